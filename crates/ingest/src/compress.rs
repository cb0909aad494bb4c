//! Request bodies out of their compression, never beyond the limit.

use std::borrow::Cow;
use std::io::Read;

use crate::{BadKind, BadRequest};

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Identity,
    /// One or more gzip members.
    Gzip,
    /// Zstandard frames.
    Zstd,
    /// One snappy block (remote write), not the framed format.
    Snappy,
}

impl Compression {
    /// Reads a `Content-Encoding` header; a missing header is `identity`.
    pub fn from_header(text: &str) -> Result<Compression, BadRequest> {
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Compression::Identity),
            "gzip" | "x-gzip" => Ok(Compression::Gzip),
            "zstd" => Ok(Compression::Zstd),
            "snappy" => Ok(Compression::Snappy),
            other => Err(BadRequest {
                kind: BadKind::Unsupported,
                reason: format!(
                    "content-encoding {:?} is not supported; use identity, gzip, zstd or snappy",
                    crate::limits::show(other)
                ),
            }),
        }
    }
}

/// The body as sent before compression. Over `max_len` bytes it is refused while inflating, so that a small body
/// never takes more memory than the limit.
pub fn decompress(body: &[u8], compression: Compression, max_len: usize) -> Result<Cow<'_, [u8]>, BadRequest> {
    if body.len() > max_len {
        return Err(too_large(max_len));
    }
    match compression {
        Compression::Identity => Ok(Cow::Borrowed(body)),
        Compression::Snappy => snappy_block(body, max_len).map(Cow::Owned),
        // A body of several members is one body; a plain gzip decoder would drop all but the first.
        Compression::Gzip => {
            inflate(|| Ok(flate2::read::MultiGzDecoder::new(body)), body.len(), max_len, "gzip").map(Cow::Owned)
        }
        Compression::Zstd => {
            let decoder = || {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(body)?;
                // The window is allocated before the first byte comes out; 32 MiB covers every level but "ultra" ones.
                decoder.window_log_max(25)?;
                Ok(decoder)
            };
            inflate(decoder, body.len(), max_len, "zstd").map(Cow::Owned)
        }
    }
}

/// Inflated at once up to here. What is larger is inflated twice, first only to see how large it is: a bomb takes no
/// memory, and a large body exactly what it needs.
const AT_ONCE: usize = 8 << 20;

fn inflate<R: Read>(
    decoder: impl Fn() -> std::io::Result<R>,
    compressed_len: usize,
    max_len: usize,
    name: &str,
) -> Result<Vec<u8>, BadRequest> {
    let failed = |error: std::io::Error| corrupt(name, &error.to_string());
    let at_once = AT_ONCE.min(max_len);
    let mut out = Vec::with_capacity(compressed_len.saturating_mul(4).min(at_once));
    let mut reader = decoder().map_err(failed)?.take(max_len as u64 + 1);
    reader.by_ref().take(at_once as u64).read_to_end(&mut out).map_err(failed)?;
    let rest = std::io::copy(&mut reader, &mut std::io::sink()).map_err(failed)? as usize;
    if out.len() + rest > max_len {
        return Err(too_large(max_len));
    }
    if rest > 0 {
        let len = out.len() + rest;
        out = Vec::with_capacity(len);
        decoder().map_err(failed)?.take(len as u64).read_to_end(&mut out).map_err(failed)?;
    }
    Ok(out)
}

/// A snappy block says its length in front. The claim is held against the limit and against what the body can hold
/// at most (a copy of 64 bytes takes 3) before anything is allocated.
fn snappy_block(body: &[u8], max_len: usize) -> Result<Vec<u8>, BadRequest> {
    let claimed = snap::raw::decompress_len(body).map_err(|e| corrupt("snappy", &e.to_string()))?;
    if claimed > max_len {
        return Err(too_large(max_len));
    }
    if claimed > body.len().saturating_mul(22) {
        return Err(corrupt("snappy", "the length in front is more than the block can hold"));
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(|e| corrupt("snappy", &e.to_string()))
}

fn too_large(max_len: usize) -> BadRequest {
    BadRequest::too_large(format!("the body is larger than max_body_len {max_len} bytes"))
}

fn corrupt(name: &str, detail: &str) -> BadRequest {
    BadRequest::malformed(format!("the body is not {name}: {detail}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const MAX: usize = 1 << 20;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_larger_than_at_once_comes_out_whole() {
        let large: Vec<u8> = (0..AT_ONCE + 12_345).map(|i| (i % 251) as u8).collect();
        assert!(decompress(&gzip(&large), Compression::Gzip, 64 << 20).unwrap() == large);
        let zstd = zstd::stream::encode_all(&large[..], 1).unwrap();
        assert!(decompress(&zstd, Compression::Zstd, 64 << 20).unwrap() == large);
        assert_eq!(decompress(&zstd, Compression::Zstd, AT_ONCE).unwrap_err().kind, BadKind::TooLarge);
    }

    #[test]
    fn all_members_of_a_gzip_body_are_read() {
        let body = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(&*decompress(&body, Compression::Gzip, MAX).unwrap(), b"one two");
    }

    #[test]
    fn i2_a_claim_the_block_cannot_hold_is_refused_before_allocating() {
        let four_gib = [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0; 10]].concat();
        assert_eq!(decompress(&four_gib, Compression::Snappy, 64 << 20).unwrap_err().kind, BadKind::TooLarge);
        let sixty_mib = [&[0x80, 0x80, 0x80, 0x1e][..], &[0; 10]].concat();
        assert_eq!(decompress(&sixty_mib, Compression::Snappy, 64 << 20).unwrap_err().kind, BadKind::Malformed);
    }

    #[test]
    fn i3_bombs_stop_at_the_limit() {
        let zeros = vec![0u8; 4 * MAX];
        let snappy = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
        let zstd = zstd::encode_all(&zeros[..], 19).unwrap();
        let members = gzip(&zeros[..MAX]).repeat(4);
        for (body, compression) in [
            (snappy, Compression::Snappy),
            (zstd, Compression::Zstd),
            (gzip(&zeros), Compression::Gzip),
            (members, Compression::Gzip),
        ] {
            let refused = decompress(&body, compression, MAX).unwrap_err();
            assert_eq!(refused.kind, BadKind::TooLarge, "{compression:?}");
            assert!(refused.reason.contains("max_body_len"));
        }
        assert_eq!(decompress(&gzip(&zeros[..MAX]), Compression::Gzip, MAX).unwrap().len(), MAX);
    }

    #[test]
    fn i1_garbage_is_malformed() {
        for compression in [Compression::Gzip, Compression::Zstd, Compression::Snappy] {
            assert_eq!(
                decompress(&[7; 100], compression, MAX).unwrap_err().kind,
                BadKind::Malformed,
                "{compression:?}"
            );
        }
        assert_eq!(Compression::from_header("br").unwrap_err().kind, BadKind::Unsupported);
    }
}
