//! JSON text written straight into a column: attributes as an object, OTLP's `AnyValue` as a value.

use crate::limits::{Limits, show_bytes};
use crate::wire::{Malformed, Value, each_field};

/// Why an item was not taken, or why the whole body cannot be read.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The body is not the message it should be.
    Malformed(Malformed),
    /// Only this item is refused: the sort of reject and the reason.
    Item(&'static str, String),
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Fault {
        Fault::Malformed(malformed)
    }
}

/// Text that must be UTF-8; `what` names it in the reject.
pub(crate) fn text<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, Fault> {
    std::str::from_utf8(bytes)
        .map_err(|_| Fault::Item("invalid_utf8", format!("{what} {:?} is not valid UTF-8", show_bytes(bytes))))
}

/// Text of at most `max` bytes; `limit` is the limit's name.
pub(crate) fn bounded<'a>(bytes: &'a [u8], what: &str, limit: &'static str, max: usize) -> Result<&'a str, Fault> {
    if bytes.len() > max {
        return Err(over(what, bytes, bytes.len(), limit, max));
    }
    text(bytes, what)
}

pub(crate) fn over(what: &str, bytes: &[u8], len: usize, limit: &'static str, max: usize) -> Fault {
    Fault::Item(limit, format!("{what} {:?} has {len} bytes, more than {limit} {max}", show_bytes(bytes)))
}

/// Replaces secrets on their way into a column, and counts them.
#[derive(Default)]
pub(crate) struct Masking {
    /// See [`Limits::mask_secrets`].
    pub is_on: bool,
    /// Secrets replaced so far.
    pub count: u64,
}

impl Masking {
    pub fn new(limits: &Limits) -> Masking {
        Masking { is_on: limits.mask_secrets, count: 0 }
    }

    /// Takes the secrets out of `out[start..]`, which is text.
    #[inline]
    fn text(&mut self, out: &mut Vec<u8>, start: usize) {
        if self.is_on {
            self.count += math::secrets::mask_from(out, start) as u64;
        }
    }

    /// A JSON string of these bytes without the secrets in them; none of them where the field's name is a secret's.
    #[inline]
    fn string(&mut self, out: &mut Vec<u8>, name: &[u8], bytes: &[u8]) -> Result<(), Fault> {
        if !self.is_on || bytes.is_empty() {
            return string(out, bytes);
        }
        if math::secrets::is_secret_name(name) {
            text(bytes, "text")?;
            self.count += 1;
            return string(out, math::secrets::MASK.as_bytes());
        }
        if math::secrets::spans(bytes).is_empty() {
            return string(out, bytes);
        }
        let mut masked = bytes.to_vec();
        self.text(&mut masked, 0);
        string(out, &masked)
    }
}

/// One JSON object being written at the end of a column's bytes. Of a key given twice the first value stays.
pub(crate) struct Object<'k> {
    keys: Vec<&'k [u8]>,
    pub masking: Masking,
}

impl<'k> Object<'k> {
    pub fn new(limits: &Limits) -> Object<'k> {
        Object { keys: Vec::new(), masking: Masking::new(limits) }
    }

    /// Begins anew, for the next row.
    #[inline]
    pub fn begin(&mut self) {
        self.keys.clear();
    }

    /// Writes one encoded `KeyValue` under its own key or, for folded ones, only if `wanted` says so.
    #[inline]
    pub fn key_value(&mut self, out: &mut Vec<u8>, bytes: &'k [u8], limits: &Limits) -> Result<(), Fault> {
        let (key, value) = split_key_value(bytes)?;
        if !self.key(out, key, limits)? {
            return Ok(());
        }
        let start = out.len();
        match value {
            Some(value) => any_value(out, key, value, limits.max_value_depth, &mut self.masking)?,
            None => out.extend_from_slice(b"null"),
        }
        let len = out.len() - start;
        if len > limits.max_attribute_value_len {
            return Err(over("attribute", key, len, "max_attribute_value_len", limits.max_attribute_value_len));
        }
        Ok(())
    }

    /// Writes a member whose value is text.
    pub fn member(&mut self, out: &mut Vec<u8>, key: &'k str, value: &[u8], limits: &Limits) -> Result<(), Fault> {
        if value.len() > limits.max_attribute_value_len {
            return Err(over(key, value, value.len(), "max_attribute_value_len", limits.max_attribute_value_len));
        }
        if self.key(out, key.as_bytes(), limits)? {
            self.masking.string(out, key.as_bytes(), value)?;
        }
        Ok(())
    }

    /// Writes a member whose value is a number.
    pub fn number(&mut self, out: &mut Vec<u8>, key: &'k str, value: u64, limits: &Limits) -> Result<(), Fault> {
        if self.key(out, key.as_bytes(), limits)? {
            out.extend_from_slice(value.to_string().as_bytes());
        }
        Ok(())
    }

    /// Closes the object; where there was no member nothing was written at all.
    #[inline]
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if !self.keys.is_empty() {
            out.push(b'}');
        }
    }

    /// Writes the key; false where it was there before.
    #[inline]
    fn key(&mut self, out: &mut Vec<u8>, key: &'k [u8], limits: &Limits) -> Result<bool, Fault> {
        if self.keys.contains(&key) {
            return Ok(false);
        }
        if self.keys.len() >= limits.max_attributes {
            let max = limits.max_attributes;
            return Err(Fault::Item("max_attributes", format!("more than max_attributes {max} attributes")));
        }
        if key.len() > limits.max_label_name_len {
            return Err(over("attribute name", key, key.len(), "max_label_name_len", limits.max_label_name_len));
        }
        out.push(if self.keys.is_empty() { b'{' } else { b',' });
        self.keys.push(key);
        string(out, key)?;
        out.push(b':');
        Ok(true)
    }
}

/// Key and encoded value of a `KeyValue`.
#[inline]
pub(crate) fn split_key_value(bytes: &[u8]) -> Result<(&[u8], Option<&[u8]>), Malformed> {
    let mut key: &[u8] = &[];
    let mut value = None;
    each_field(bytes, |number, field| -> Result<(), Malformed> {
        match number {
            1 => key = field.bytes()?,
            2 => value = Some(field.bytes()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok((key, value))
}

/// An `AnyValue` as plain text: a string as it is, anything else as JSON, nothing as nothing.
pub(crate) fn plain_value(out: &mut Vec<u8>, bytes: &[u8], depth: usize, masking: &mut Masking) -> Result<(), Fault> {
    match single(bytes)? {
        None => Ok(()),
        Some((1, value)) => {
            let start = out.len();
            out.extend_from_slice(text(value.bytes()?, "text")?.as_bytes());
            masking.text(out, start);
            Ok(())
        }
        Some((7, value)) => {
            base64(out, value.bytes()?);
            Ok(())
        }
        Some((number, value)) => json_value(out, b"", number, value, depth, masking),
    }
}

/// An `AnyValue` as a JSON value; `name` is that of the field in which it stands.
#[inline]
fn any_value(out: &mut Vec<u8>, name: &[u8], bytes: &[u8], depth: usize, masking: &mut Masking) -> Result<(), Fault> {
    match single(bytes)? {
        None => {
            out.extend_from_slice(b"null");
            Ok(())
        }
        Some((1, value)) => masking.string(out, name, value.bytes()?),
        Some((number, value)) => json_value(out, name, number, value, depth, masking),
    }
}

/// The member of the `oneof` that is set; of several the last one counts.
#[inline]
fn single(bytes: &[u8]) -> Result<Option<(u32, Value<'_>)>, Malformed> {
    let mut found = None;
    each_field(bytes, |number, value| -> Result<(), Malformed> {
        if (1..=7).contains(&number) {
            found = Some((number, value));
        }
        Ok(())
    })?;
    Ok(found)
}

fn json_value(
    out: &mut Vec<u8>,
    name: &[u8],
    number: u32,
    value: Value<'_>,
    depth: usize,
    masking: &mut Masking,
) -> Result<(), Fault> {
    match number {
        2 => out.extend_from_slice(if value.varint()? != 0 { b"true" } else { b"false" }),
        3 => integer(out, value.varint()? as i64),
        4 => double(out, value.double()?),
        5 | 6 if depth == 0 => {
            let reason = "an attribute or log body is nested deeper than max_value_depth".to_owned();
            return Err(Fault::Item("max_value_depth", reason));
        }
        5 => array(out, name, value.bytes()?, depth - 1, masking)?,
        6 => map(out, value.bytes()?, depth - 1, masking)?,
        7 => {
            out.push(b'"');
            base64(out, value.bytes()?);
            out.push(b'"');
        }
        _ => masking.string(out, name, value.bytes()?)?,
    }
    Ok(())
}

fn array(out: &mut Vec<u8>, name: &[u8], bytes: &[u8], depth: usize, masking: &mut Masking) -> Result<(), Fault> {
    out.push(b'[');
    let mut first = true;
    each_field(bytes, |number, value| {
        if number != 1 {
            return Ok(());
        }
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        any_value(out, name, value.bytes()?, depth, masking)
    })?;
    out.push(b']');
    Ok(())
}

fn map(out: &mut Vec<u8>, bytes: &[u8], depth: usize, masking: &mut Masking) -> Result<(), Fault> {
    out.push(b'{');
    let mut first = true;
    each_field(bytes, |number, value| {
        if number != 1 {
            return Ok(());
        }
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        let (key, value) = split_key_value(value.bytes()?)?;
        string(out, key)?;
        out.push(b':');
        match value {
            Some(value) => any_value(out, key, value, depth, masking),
            None => {
                out.extend_from_slice(b"null");
                Ok(())
            }
        }
    })?;
    out.push(b'}');
    Ok(())
}

/// Bytes that stand in a JSON string as they are: printable ASCII but for the quote and the backslash.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0x20;
    while i < 0x7f {
        table[i] = i != b'"' as usize && i != b'\\' as usize;
        i += 1;
    }
    table
};

/// A JSON string of bytes that must be UTF-8.
#[inline]
pub(crate) fn string(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Fault> {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    // One check does for both UTF-8 and escapes in the usual case; no early exit, so that it runs on many bytes at once.
    if bytes.iter().fold(true, |plain, b| plain & PLAIN[*b as usize]) {
        out.extend_from_slice(bytes);
    } else {
        escaped(out, text(bytes, "text")?.as_bytes());
    }
    out.push(b'"');
    Ok(())
}

fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut run = 0;
    for (i, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0x08 => b"\\b",
            0x0c => b"\\f",
            0..=0x1f => {
                out.extend_from_slice(&bytes[run..i]);
                out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                run = i + 1;
                continue;
            }
            _ => continue,
        };
        out.extend_from_slice(&bytes[run..i]);
        out.extend_from_slice(escape);
        run = i + 1;
    }
    out.extend_from_slice(&bytes[run..]);
}

/// The decimal digits of a number.
pub(crate) fn integer(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// JSON knows no NaN and no infinity: they become text, as in OTLP/JSON.
fn double(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        // The debug form is the shortest that reads back, with an exponent where that is shorter.
        out.extend_from_slice(format!("{value:?}").as_bytes());
        return;
    }
    let name = if value.is_nan() {
        "\"NaN\""
    } else if value > 0.0 {
        "\"Infinity\""
    } else {
        "\"-Infinity\""
    };
    out.extend_from_slice(name.as_bytes());
}

/// Standard base 64 with padding (RFC 4648, section 4).
pub(crate) fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i)) as usize & 63];
            out.push(if i <= chunk.len() { digit } else { b'=' });
        }
    }
}

/// Reads base 64, standard or for URLs, padded or not.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut word, mut bits) = (0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        word = word << 6 | u32::from(digit);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
        }
    }
    (bits != 6).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_what_serde_writes() {
        for text in ["", "plain", "a\"b\\c", "ü€😀", "\0\u{1}\n\t\r\u{1f}\u{7f}", "<script>\u{202e}"] {
            let mut out = Vec::new();
            string(&mut out, text.as_bytes()).unwrap();
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
        assert!(matches!(string(&mut Vec::new(), b"a\xffb"), Err(Fault::Item("invalid_utf8", _))));
    }

    #[test]
    fn base64_reads_back_what_it_wrote() {
        for (bytes, text) in [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"\xff\xfe", "//4=")]
        {
            let mut out = Vec::new();
            base64(&mut out, bytes);
            assert_eq!(out, text.as_bytes());
            assert_eq!(from_base64(text).unwrap(), bytes);
        }
        assert_eq!(from_base64("__4").unwrap(), b"\xff\xfe");
        assert_eq!(from_base64("a"), None);
        assert_eq!(from_base64("a b="), None);
    }

    #[test]
    fn numbers_are_exact() {
        for value in [0, -1, i64::MAX, i64::MIN, 1_000_000] {
            let mut out = Vec::new();
            integer(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
        let mut out = Vec::new();
        double(&mut out, 1e300);
        assert_eq!(out, b"1e300");
    }

    #[test]
    fn i6_deep_values_are_refused_not_followed() {
        let mut value = Vec::new();
        for _ in 0..100_000u32 {
            // AnyValue{array{values: [inner]}}, built from the inside; the lengths stay exact.
            let mut array = vec![0x0a];
            varint(&mut array, value.len());
            array.extend_from_slice(&value);
            value = vec![0x2a];
            varint(&mut value, array.len());
            value.extend_from_slice(&array);
            if value.len() > 20_000 {
                break;
            }
        }
        let fault = any_value(&mut Vec::new(), b"", &value, 64, &mut Masking::default()).unwrap_err();
        assert!(matches!(fault, Fault::Item("max_value_depth", _)));
    }

    fn varint(out: &mut Vec<u8>, mut v: usize) {
        while v >= 0x80 {
            out.push(v as u8 | 0x80);
            v >>= 7;
        }
        out.push(v as u8);
    }
}
