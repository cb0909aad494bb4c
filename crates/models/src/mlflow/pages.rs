//! Pages of long lists.

use serde_json::{Value, json};

use crate::Problem;

/// Where a page begins, by its token: base64 of `{"offset": N}`.
pub(super) fn offset(token: &str) -> Result<usize, Problem> {
    if token.is_empty() {
        return Ok(0);
    }
    let wrong = |what: String| Problem::invalid(format!("Invalid page token, {what}"));
    let bytes = decode(token).ok_or_else(|| wrong("could not base64-decode".into()))?;
    let text = String::from_utf8_lossy(&bytes);
    let value: Value = serde_json::from_str(&text).map_err(|_| wrong(format!("decoded value=b'{text}'")))?;
    let offset = value.get("offset").and_then(Value::as_u64).filter(|offset| *offset > 0);
    offset.map(|offset| offset as usize).ok_or_else(|| wrong(format!("parsed value={value}")))
}

/// The token of the page that begins there.
pub(super) fn token(offset: usize) -> String {
    encode(format!("{{\"offset\": {offset}}}").as_bytes())
}

/// A page of what comes in order, and where the next begins.
pub(super) fn page<T>(all: Vec<T>, offset: usize, most: usize) -> (Vec<T>, Option<String>) {
    let next = offset.saturating_add(most);
    let token = (all.len() > next).then(|| token(next));
    (all.into_iter().skip(offset).take(most).collect(), token)
}

/// A page of a list; without members where there are none.
pub(super) fn listed(name: &str, list: Vec<Value>, next: Option<String>) -> Value {
    let mut answer = json!({});
    if !list.is_empty() {
        answer[name] = list.into();
    }
    if let Some(next) = next {
        answer["next_page_token"] = next.into();
    }
    answer
}

/// How many a page holds: a number of the request, else so many; MLflow's tracking server takes 1 to 50,000.
pub(super) fn size(said: Option<i64>, default: i64) -> Result<usize, Problem> {
    let size = said.unwrap_or(default);
    let wrong = |what: &str| {
        Problem::invalid(format!("Invalid value {size} for parameter 'max_results' supplied. It must be {what}"))
    };
    match size {
        1..=50_000 => Ok(size as usize),
        ..1 => Err(wrong("a positive integer")),
        _ => Err(wrong("at most 50000")),
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// What base64 stands for; characters that are none of it are passed over.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> =
        text.bytes().filter_map(|b| DIGITS.iter().position(|d| *d == b)).map(|at| at as u32).collect();
    let padding = text.bytes().filter(|b| *b == b'=').count();
    if digits.len() % 4 == 1 || !(digits.len() + padding).is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::new();
    for four in digits.chunks(4) {
        let bits = four.iter().fold(0, |bits, d| bits << 6 | d) << (6 * (4 - four.len()));
        bytes.extend((0..four.len() - 1).map(|at| (bits >> (16 - 8 * at)) as u8));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_mlflow() {
        assert_eq!(token(1), "eyJvZmZzZXQiOiAxfQ==");
        for n in [1, 7, 99, 1000, 123_456] {
            assert_eq!(offset(&token(n)), Ok(n));
        }
        assert_eq!(offset(""), Ok(0));
        let said = |token: &str| offset(token).unwrap_err().message;
        assert_eq!(said("x"), "Invalid page token, could not base64-decode");
        assert_eq!(said("YWJj"), "Invalid page token, decoded value=b'abc'");
        assert_eq!(said("e30="), "Invalid page token, parsed value={}");
    }

    #[test]
    fn pages_cover_everything_once() {
        let (mut from, mut seen) = (0, Vec::new());
        loop {
            let (page, next) = page((0..10).collect(), from, 3);
            seen.extend(page);
            let Some(next) = next else { break };
            from = offset(&next).unwrap();
        }
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
        assert!(size(Some(0), 5).is_err() && size(Some(50_001), 5).is_err());
        assert_eq!(size(None, 5), Ok(5));
    }
}
