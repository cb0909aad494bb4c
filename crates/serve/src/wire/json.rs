//! JSON as clients in Python send it: with `NaN` and `Infinity`, which JSON does not have.

use std::borrow::Cow;

use serde::Deserialize;

use crate::Problem;

/// Reads a body. Where it holds `NaN`, `Infinity` or `-Infinity` outside of texts, they are read as texts of that name:
/// see [`crate::values::Values::with_spelled_numbers`].
///
/// # Errors
/// [`Problem::Request`]: what is wrong, and where.
pub fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Problem> {
    let first = match serde_json::from_slice(body) {
        Ok(read) => return Ok(read),
        Err(error) => error,
    };
    match spelled(body) {
        Cow::Owned(body) => serde_json::from_slice(&body).map_err(|error| wrong(&error)),
        Cow::Borrowed(_) => Err(wrong(&first)),
    }
}

fn wrong(error: &serde_json::Error) -> Problem {
    Problem::Request(format!("not JSON as is expected here: {error}"))
}

/// The body with the numbers that JSON lacks as texts.
fn spelled(body: &[u8]) -> Cow<'_, [u8]> {
    let mut out: Option<Vec<u8>> = None;
    let (mut at, mut in_text) = (0, false);
    while at < body.len() {
        let rest = &body[at..];
        let word = [&b"NaN"[..], b"-Infinity", b"Infinity"].into_iter().find(|word| !in_text && rest.starts_with(word));
        if let Some(word) = word {
            let out = out.get_or_insert_with(|| body[..at].to_vec());
            out.push(b'"');
            out.extend_from_slice(word);
            out.push(b'"');
            at += word.len();
            continue;
        }
        let taken = match body[at] {
            b'\\' if in_text => rest.len().min(2),
            _ => 1,
        };
        in_text ^= body[at] == b'"';
        if let Some(out) = &mut out {
            out.extend_from_slice(&rest[..taken]);
        }
        at += taken;
    }
    out.map_or(Cow::Borrowed(body), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn numbers_that_json_lacks_are_read() {
        let read = |text: &str| read::<Value>(text.as_bytes());
        assert_eq!(
            read(r#"{"a": [NaN, -Infinity, "NaN \" NaN"]}"#).unwrap(),
            json!({"a": ["NaN", "-Infinity", "NaN \" NaN"]})
        );
        assert!(read("{\"a\": nan}").unwrap_err().to_string().contains("line 1"));
        assert!(read("[NaN").is_err() && read("\"\\").is_err());
    }
}
