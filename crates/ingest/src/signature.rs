//! Whether a webhook comes from who it says: an HMAC over its body, or a token that both sides know.
//!
//! Comparisons take the same time wherever they fail. Several secrets may be in force at once, so that one can be
//! replaced without a gap; a sender for whom none is set is refused.

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::{BadKind, BadRequest};

/// HMAC-SHA-256 (RFC 2104) of a message.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().into()
}

/// Checks a signature header `sha256=<64 hexadecimal digits>` over a raw body.
pub(crate) fn check_signature(
    secrets: &[String],
    header: Option<&str>,
    body: &[u8],
    sender: &str,
) -> Result<(), BadRequest> {
    let secrets = set_secrets(secrets, sender)?;
    let Some(header) = header else {
        return Err(refused(format!("the signature is missing: set the secret of the webhook at {sender}")));
    };
    let sent = header.trim().strip_prefix("sha256=").and_then(digest_from_hex);
    let Some(sent) = sent else {
        return Err(refused(format!("the signature of {sender} is not sha256= and 64 hexadecimal digits")));
    };
    let matches = secrets.map(|secret| hmac_sha256(secret.as_bytes(), body).ct_eq(&sent));
    if any(matches) { Ok(()) } else { Err(refused(format!("the signature of {sender} does not fit the body"))) }
}

/// Checks a token that is sent as it is.
pub(crate) fn check_token(tokens: &[String], header: Option<&str>, sender: &str) -> Result<(), BadRequest> {
    let tokens = set_secrets(tokens, sender)?;
    let Some(sent) = header else {
        return Err(refused(format!("the token is missing: set the secret token of the webhook at {sender}")));
    };
    // Digests are of one length, so that the length of the token does not show either.
    let sent: [u8; 32] = Sha256::digest(sent).into();
    let matches = tokens.map(|token| <[u8; 32]>::from(Sha256::digest(token)).ct_eq(&sent));
    if any(matches) { Ok(()) } else { Err(refused(format!("the token of {sender} is wrong"))) }
}

fn set_secrets<'a>(secrets: &'a [String], sender: &str) -> Result<impl Iterator<Item = &'a String>, BadRequest> {
    // An empty secret would let everybody in.
    let mut set = secrets.iter().filter(|secret| !secret.trim().is_empty()).peekable();
    if set.peek().is_none() {
        return Err(refused(format!("no secret is set for {sender}: set one in the settings and at the sender")));
    }
    Ok(set)
}

fn any(matches: impl Iterator<Item = Choice>) -> bool {
    matches.fold(Choice::from(0), |all, one| all | one).into()
}

fn refused(reason: String) -> BadRequest {
    BadRequest { kind: BadKind::Unauthenticated, reason }
}

fn digest_from_hex(text: &str) -> Option<[u8; 32]> {
    let (digits, rest) = text.as_bytes().as_chunks::<2>();
    if digits.len() != 32 || !rest.is_empty() {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits) {
        let [high, low] = pair.map(|digit| (digit as char).to_digit(16));
        *byte = (high? * 16 + low?) as u8;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// RFC 4231, test cases 1, 2 and 6 (a key longer than a block).
    #[test]
    fn the_vectors_of_the_rfc() {
        let cases: [(&[u8], &[u8], &str); 3] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, message, expected) in cases {
            assert_eq!(hex(&hmac_sha256(key, message)), expected);
        }
    }

    /// The vector that GitHub publishes for those who write a receiver.
    #[test]
    fn the_vector_of_github() {
        let secrets = ["It's a Secret to Everybody".to_owned()];
        let header = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(check_signature(&secrets, Some(header), b"Hello, World!", "GitHub"), Ok(()));
        assert!(
            check_signature(&secrets, Some(&header.to_uppercase().replace("SHA", "sha")), b"Hello, World!", "").is_ok()
        );
        for (header, body) in [
            (Some(header), &b"Hello, World?"[..]),
            (Some(&header[..70]), b"Hello, World!"),
            (Some(&header[7..]), b"Hello, World!"),
            (Some("sha256="), b"Hello, World!"),
            (Some(""), b"Hello, World!"),
            (None, b"Hello, World!"),
        ] {
            let refused = check_signature(&secrets, header, body, "GitHub").unwrap_err();
            assert_eq!(refused.kind, BadKind::Unauthenticated, "{header:?}");
            assert!(!refused.reason.contains("Everybody") && !refused.reason.contains("757107"), "{refused}");
        }
    }

    #[test]
    fn without_a_secret_nobody_is_let_in() {
        for secrets in [vec![], vec![String::new()], vec!["  ".to_owned()]] {
            let empty = hex(&hmac_sha256(b"", b"x"));
            let refused = check_signature(&secrets, Some(&format!("sha256={empty}")), b"x", "GitHub").unwrap_err();
            assert!(refused.reason.starts_with("no secret is set for GitHub"), "{refused}");
            assert!(check_token(&secrets, Some(""), "GitLab").is_err());
        }
    }

    #[test]
    fn any_secret_in_force_will_do() {
        let tokens = ["old".to_owned(), "new".to_owned()];
        assert_eq!(check_token(&tokens, Some("old"), "GitLab"), Ok(()));
        assert_eq!(check_token(&tokens, Some("new"), "GitLab"), Ok(()));
        for wrong in [None, Some(""), Some("ne"), Some("news"), Some("oldnew")] {
            assert_eq!(check_token(&tokens, wrong, "GitLab").unwrap_err().kind, BadKind::Unauthenticated, "{wrong:?}");
        }
        let body = b"{}";
        let signed = format!("sha256={}", hex(&hmac_sha256(b"new", body)));
        assert_eq!(check_signature(&tokens, Some(&signed), body, "GitHub"), Ok(()));
    }
}
