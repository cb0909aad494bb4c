//! The values in a line at the places where its template has a parameter.

use std::{borrow::Cow, ops::Range};

use super::{PARAMETER, json};

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `7`, `-1.5e3`, `12%`.
    Number,
    /// An IP or hardware address, a host with its port, a URL.
    Address,
    /// A UUID, hexadecimal, or a name with a number behind an underscore.
    Id,
    /// Of a file.
    Path,
    /// `15ms`, `2 hours`.
    Duration,
    /// `3 KB`, `12 bytes`.
    Size,
    /// A date, a time of day, or both.
    Time,
    /// Anything else.
    Text,
}

impl Kind {
    /// As people and programs are told.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Number => "number",
            Kind::Address => "address",
            Kind::Id => "id",
            Kind::Path => "path",
            Kind::Duration => "duration",
            Kind::Size => "size",
            Kind::Time => "time",
            Kind::Text => "text",
        }
    }
}

/// A value in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// What it looks like.
    pub kind: Kind,
    /// As in the line, blanks in a row as one; may be empty.
    pub text: String,
}

/// The values of a line, one for each `<*>` of its template, in order; none where the template does not fit the line.
/// For many lines of one template make a [`Pattern`] once.
pub fn parameters(line: &str, template: &str) -> Vec<Parameter> {
    let mut places = Vec::new();
    let Some(text) = Pattern::new(template).locate(line, &mut places) else { return Vec::new() };
    let one_blank = |value: &str| value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let value = |place: Range<usize>| {
        let text = one_blank(&text[place]);
        Parameter { kind: kind_of(&text), text }
    };
    places.into_iter().map(value).collect()
}

/// A template made ready to find the values in its lines.
///
/// Idea: the constant parts are looked for from left to right, each at the first place that leaves the parameter
/// before it something. Cost: linear in the line; about 50 ns a line of ten words. Where it fails: a value that holds
/// the constant part behind it ends too early; a unit that stands in the template leaves a number without it.
#[derive(Clone, Debug, Default)]
pub struct Pattern {
    constants: Vec<Box<str>>,
}

impl Pattern {
    /// Of a template's text.
    pub fn new(template: &str) -> Pattern {
        Pattern { constants: template.split(PARAMETER).map(Into::into).collect() }
    }

    /// How many parameters the template has.
    pub fn len(&self) -> usize {
        self.constants.len().saturating_sub(1)
    }

    /// Whether the template has no parameter.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text behind a parameter; empty at the end of the template and beyond.
    pub fn text_after(&self, parameter: usize) -> &str {
        self.constants.get(parameter + 1).map_or("", |text| text)
    }

    /// Where the values of a line lie: byte ranges, one a parameter, in the text that is returned (the line itself, or
    /// what counts of it with blanks in a row as one). `None` where the template does not fit the line.
    pub fn locate<'a>(&self, line: &'a str, places: &mut Vec<Range<usize>>) -> Option<Cow<'a, str>> {
        // Nearly all lines fit as they stand.
        if !line.starts_with('{') && self.align(line, false, places) {
            return Some(Cow::Borrowed(line));
        }
        let text = json::text_of(line);
        let text = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        (self.align(&text, false, places) || self.align(&text, true, places)).then_some(Cow::Owned(text))
    }

    fn align(&self, text: &str, may_be_empty: bool, places: &mut Vec<Range<usize>>) -> bool {
        places.clear();
        let Some((first, rest)) = self.constants.split_first() else { return false };
        if !text.starts_with(&**first) {
            return false;
        }
        let mut at = first.len();
        for (i, constant) in rest.iter().enumerate() {
            let Some(value) = text[at..].chars().next().map(char::len_utf8).or(may_be_empty.then_some(0)) else {
                return false;
            };
            let from = at + if may_be_empty { 0 } else { value };
            let found = if i + 1 == rest.len() {
                text.len().checked_sub(constant.len()).filter(|end| *end >= from && text.ends_with(&**constant))
            } else {
                find(text.as_bytes(), from, constant.as_bytes())
            };
            let Some(end) = found else { return false };
            places.push(at..end);
            at = end + constant.len();
        }
        at == text.len()
    }
}

/// First place of `part` in `text` at or after `from`. Constant parts are short and mostly near, so that this is faster
/// than a search that prepares itself.
fn find(text: &[u8], from: usize, part: &[u8]) -> Option<usize> {
    let Some(first) = part.first() else { return Some(from) };
    let mut at = from;
    loop {
        at += text.get(at..)?.iter().position(|b| b == first)?;
        if text[at..].starts_with(part) {
            return Some(at);
        }
        at += 1;
    }
}

/// What a value looks like; quotes and brackets around it do not count.
pub fn kind_of(text: &str) -> Kind {
    let text = text.trim_matches(|c: char| matches!(c, '"' | '\'' | '(' | ')' | '[' | ']' | ','));
    let bytes = text.as_bytes();
    let has_digit = bytes.iter().any(u8::is_ascii_digit);
    if is_path(bytes) {
        return Kind::Path;
    }
    if !has_digit {
        return if text.contains("://") { Kind::Address } else { Kind::Text };
    }
    if is_number(text.strip_suffix('%').unwrap_or(text)) {
        return Kind::Number;
    }
    if let Some((kind, _)) = quantity(text) {
        return kind;
    }
    if is_address(text) {
        return Kind::Address;
    }
    if is_time(text) {
        return Kind::Time;
    }
    if is_id(text) { Kind::Id } else { Kind::Text }
}

fn is_path(bytes: &[u8]) -> bool {
    matches!(bytes, [b'/', _, ..] | [b'.', b'/', ..] | [b'~', b'/', ..] | [b'\\', b'\\', ..])
        || matches!(bytes, [drive, b':', b'\\', ..] if drive.is_ascii_alphabetic())
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'))
        && text.parse::<f64>().is_ok()
}

/// The number that a value says: `35`, `12%`, `1.5s` (in ns), `3 KB` (in bytes). `None` where it says none or one that
/// is not finite.
pub fn number_of(text: &str) -> Option<f64> {
    let text = text.trim_matches(|c: char| matches!(c, '"' | '\'' | '(' | ')' | '[' | ']' | ','));
    let number = text.strip_suffix('%').unwrap_or(text);
    let value = if is_number(number) { number.parse().ok()? } else { quantity(text)?.1 };
    value.is_finite().then_some(value)
}

/// Numbers with units, all of one kind: `1h30m`, `3 KB`; in ns or bytes.
fn quantity(text: &str) -> Option<(Kind, f64)> {
    let mut found: Option<(Kind, f64)> = None;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '+'))?;
        let unit = rest[number..].trim_start();
        let length = unit.find(|c: char| !c.is_alphabetic()).unwrap_or(unit.len());
        let (kind, size) = unit_of(&unit[..length])?;
        if !is_number(&rest[..number]) || found.is_some_and(|(known, _)| known != kind) {
            return None;
        }
        let value = rest[..number].parse::<f64>().ok()? * size;
        found = Some((kind, found.map_or(0.0, |(_, sum)| sum) + value));
        rest = unit[length..].trim_start();
    }
    found
}

fn unit_of(unit: &str) -> Option<(Kind, f64)> {
    let (kind, size) = match unit {
        "ns" => (Kind::Duration, 1.0),
        "us" | "µs" | "microseconds" => (Kind::Duration, 1e3),
        "ms" | "milliseconds" => (Kind::Duration, 1e6),
        "s" | "sec" | "secs" | "second" | "seconds" => (Kind::Duration, 1e9),
        "m" | "min" | "mins" | "minute" | "minutes" => (Kind::Duration, 60e9),
        "h" | "hour" | "hours" => (Kind::Duration, 3600e9),
        "d" | "day" | "days" => (Kind::Duration, 86_400e9),
        "B" | "byte" | "bytes" | "Bytes" => (Kind::Size, 1.0),
        "KB" | "kB" => (Kind::Size, 1e3),
        "MB" => (Kind::Size, 1e6),
        "GB" => (Kind::Size, 1e9),
        "TB" => (Kind::Size, 1e12),
        "PB" => (Kind::Size, 1e15),
        "KiB" => (Kind::Size, 1024.0),
        "MiB" => (Kind::Size, 1024.0 * 1024.0),
        "GiB" => (Kind::Size, 1024.0 * 1024.0 * 1024.0),
        _ => return None,
    };
    Some((kind, size))
}

fn is_address(text: &str) -> bool {
    if text.contains("://") || text.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    let host = text.trim_start_matches('/');
    if let Some((host, port)) = host.rsplit_once(':')
        && port.parse::<u16>().is_ok()
        && host.bytes().any(|b| b.is_ascii_alphabetic() || b == b'.')
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'[' | b']' | b':'))
    {
        return true;
    }
    text.len() == 17
        && text.split([':', '-']).all(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Of digits with at least two of the joints of dates and times, or with a month's name.
fn is_time(text: &str) -> bool {
    let joints = text.bytes().filter(|b| matches!(b, b':' | b'-' | b'/')).count();
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b" :-/.,+TZ".contains(&b));
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let has_month = || text.split([' ', '-', '/', ',']).any(|word| months.contains(&word));
    (is_plain && joints >= 2 && !text.contains("--")) || has_month()
}

fn is_id(text: &str) -> bool {
    let hex = text.strip_prefix("0x").unwrap_or(text);
    let is_hex = hex.len() >= 4 && hex.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') || hex.len() < text.len();
    let is_numbered = || {
        let digits = |tail: &str| !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit());
        text.rsplit_once('_').is_some_and(|(_, tail)| digits(tail.trim_start_matches('-')))
    };
    is_hex || is_numbered()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_kinds() {
        for (text, kind) in [
            ("-1.5e3", Kind::Number),
            ("12%", Kind::Number),
            ("10.0.0.1", Kind::Address),
            ("db-1.local:5432", Kind::Address),
            ("fe80::1", Kind::Address),
            ("https://a.b/c", Kind::Address),
            ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", Kind::Id),
            ("blk_-160899", Kind::Id),
            ("0xff", Kind::Id),
            ("/var/log/a.log", Kind::Path),
            ("C:\\Temp", Kind::Path),
            ("1h30m", Kind::Duration),
            ("15 ms", Kind::Duration),
            ("3.5 KB", Kind::Size),
            ("2015-07-29 19:04:12,394", Kind::Time),
            ("Jun 20 2005", Kind::Time),
            ("alice", Kind::Text),
            ("", Kind::Text),
        ] {
            assert_eq!(kind_of(text), kind, "{text}");
        }
    }

    #[test]
    fn values_say_numbers() {
        let found = ["35", "-1.5e3", "12%", "1m30s", "3 KB", "2KiB", "(7)", "x", "", "1e999", "nan", "3 apples"];
        let found = found.map(number_of);
        let expected = [35.0, -1500.0, 12.0, 90e9, 3000.0, 2048.0, 7.0].map(Some);
        assert_eq!(found[..7], expected);
        assert_eq!(found[7..], [None; 5]);
    }

    #[test]
    fn they_stand_where_the_template_has_them() {
        let texts = |line: &str, template: &str| {
            parameters(line, template).into_iter().map(|parameter| parameter.text).collect::<Vec<_>>()
        };
        assert_eq!(texts("user  bob took 5ms.", "user <*> took <*>."), ["bob", "5ms"]);
        assert_eq!(texts("f(a) = ", "f(<*>) ="), ["a"]);
        assert_eq!(texts("f() = x", "f(<*>) = <*>"), ["", "x"]);
        assert_eq!(texts(r#"{"msg":"got 1 of 2"}"#, "got <*> of <*>"), ["1", "2"]);
        assert_eq!(texts("boom\n at a\n at b", "boom <*>"), ["at a at b"]);
        for (line, template) in [("user bob left", "user <*> took <*>"), ("a", ""), ("", "<*> b"), ("ab", "b<*>")] {
            assert_eq!(texts(line, template), [""; 0]);
        }
        assert_eq!(texts(&"ü ".repeat(1 << 19), "ü <*> ü").len(), 1);
    }

    #[test]
    fn a_miners_template_fits_its_line() {
        let mut miner = crate::templates::Miner::default();
        let line = "copied 3.5 KB from /a/b to 10.0.0.1:80 in 7 ms";
        let id = miner.assign(line).id;
        let kinds: Vec<Kind> = parameters(line, miner.text(id)).iter().map(|parameter| parameter.kind).collect();
        // The units stand in the template until another one is seen.
        assert_eq!(kinds, [Kind::Number, Kind::Path, Kind::Address, Kind::Number], "{}", miner.text(id));
    }
}
