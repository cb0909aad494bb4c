//! Lines that are JSON objects: what they say stands in one field.

use std::borrow::Cow;

/// Fields that hold what a line says, the best first.
const MESSAGES: [&str; 4] = ["message", "msg", "log", "event"];
/// Keys of a line without a message that count.
const KEYS_MAX: usize = 32;
/// Levels of objects and arrays; deeper lines are plain text.
const DEPTH_MAX: usize = 64;

/// The text of a line that the template is made of: of a JSON object its message, else its keys in order (`{a b c}`);
/// any other line, one that is not quite JSON too, is its own text. One pass, no recursion.
pub(super) fn text_of(line: &str) -> Cow<'_, str> {
    let trimmed = line.trim_ascii();
    if !(trimmed.starts_with('{') && trimmed.ends_with('}')) {
        return Cow::Borrowed(line);
    }
    read(trimmed).map_or(Cow::Borrowed(line), Cow::Owned)
}

fn read(object: &str) -> Option<String> {
    let bytes = object.as_bytes();
    let mut at = skip_blanks(bytes, 1);
    let mut keys: Vec<&str> = Vec::new();
    let mut message: Option<(usize, &str)> = None;
    while bytes.get(at) != Some(&b'}') {
        let key_end = string_end(bytes, at)?;
        let key = object.get(at + 1..key_end - 1)?;
        at = skip_blanks(bytes, key_end);
        if bytes.get(at) != Some(&b':') {
            return None;
        }
        let start = skip_blanks(bytes, at + 1);
        let end = value_end(bytes, start)?;
        let rank = MESSAGES.iter().position(|name| *name == key);
        if let Some(rank) = rank
            && bytes[start] == b'"'
            && end > start + 2
            && message.is_none_or(|(best, _)| rank < best)
        {
            message = Some((rank, object.get(start + 1..end - 1)?));
        }
        if keys.len() < KEYS_MAX {
            keys.push(key);
        }
        at = skip_blanks(bytes, end);
        match bytes.get(at)? {
            b',' if bytes.get(skip_blanks(bytes, at + 1)) == Some(&b'"') => at = skip_blanks(bytes, at + 1),
            b'}' => {}
            _ => return None,
        }
    }
    if at + 1 != bytes.len() || keys.is_empty() {
        return None;
    }
    if let Some((_, text)) = message {
        return Some(unescaped(text));
    }
    keys.sort_unstable();
    keys.dedup();
    Some(format!("{{{}}}", keys.join(" ")))
}

fn skip_blanks(bytes: &[u8], at: usize) -> usize {
    at + bytes.get(at..).map_or(0, |rest| rest.iter().take_while(|b| b.is_ascii_whitespace()).count())
}

/// Behind the string that begins at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Behind the value that begins at `at`.
fn value_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut open: Vec<u8> = Vec::new();
    loop {
        match bytes.get(at)? {
            b'"' => at = string_end(bytes, at)?,
            b'{' | b'[' if open.len() == DEPTH_MAX => return None,
            b'{' => {
                open.push(b'}');
                at += 1;
            }
            b'[' => {
                open.push(b']');
                at += 1;
            }
            close @ (b'}' | b']') => {
                if open.pop() != Some(*close) {
                    return None;
                }
                at += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if !open.is_empty() => at += 1,
            b if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.') => {
                at += bytes[at..]
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.'))
                    .count();
            }
            _ => return None,
        }
        if open.is_empty() {
            return Some(at);
        }
    }
}

/// A JSON string's text; escapes by number become one character that is in no word.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => out.push('\n'),
            Some('r' | 't' | 'b' | 'f') => out.push(' '),
            Some('u') => {
                let code: String = rest.by_ref().take(4).collect();
                let code = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                out.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_else_the_keys() {
        for (line, expected) in [
            (r#"{"ts":1.5,"level":"info","msg":"user \"bob\" in\nnext","x":{"msg":"no"}}"#, "user \"bob\" in\nnext"),
            (r#" {"event":"e1", "message" : "m1"} "#, "m1"),
            (r#"{"b":[1,{"c":"}"}],"a":null,"msg":""}"#, "{a b msg}"),
            (r#"{"message":"gr\u00fcn \ud83d"}"#, "grün \u{fffd}"),
        ] {
            assert_eq!(text_of(line), expected);
        }
    }

    #[test]
    fn what_is_not_quite_json_is_a_plain_line() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let cut = [
            "{}",
            "{not json}",
            r#"{"a":1"#,
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            r#"{"a":}"#,
            r#"{"a":[1}}"#,
            r#"{"msg":"x}"#,
            r#"{"msg":"x"} {"msg":"y"}"#,
            r#"{"msg":"x\"}"#,
            "{",
            "}",
            "",
            &deep,
        ];
        for line in cut {
            assert_eq!(text_of(line), line);
        }
    }
}
