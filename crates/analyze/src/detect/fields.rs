//! Single fields of a row's attributes, read without parsing the rest.

/// The raw text of a string field in a flat JSON object. A key inside a string has its quotes escaped, so it cannot
/// be taken for one.
pub(crate) fn text_field<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    let rest = value_of(json, key)?.strip_prefix('"')?;
    let bytes = rest.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'"' => return rest.get(..i),
            _ => i += 1,
        }
    }
    None
}

/// The whole number in a field, written as a number or as text.
pub(crate) fn number_field(json: &str, key: &str) -> Option<i64> {
    let rest = value_of(json, key)?;
    let rest = rest.strip_prefix('"').unwrap_or(rest);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest.get(..digits)?.parse().ok()
}

fn value_of<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    let mut rest = json;
    while let Some(at) = rest.find(key) {
        let quoted = rest.get(..at).is_some_and(|before| before.ends_with('"') && !before.ends_with("\\\""));
        rest = rest.get(at + key.len()..)?;
        if let Some(value) = rest.strip_prefix("\":").filter(|_| quoted) {
            return Some(value.trim_start());
        }
    }
    None
}
