//! JSON as XGBoost writes it, which has NaN and Infinity too.

use std::borrow::Cow;

use super::value::{Gathered, Value};
use crate::Problem;

const DEEPEST: usize = 64;

/// Reads a whole file.
pub(super) fn parse(bytes: &[u8]) -> Result<Value<'_>, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::Damaged("its JSON is no UTF-8".into()))?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    if reader.peek().is_some() {
        return Err(reader.damaged("something follows its end"));
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value<'a>, Problem> {
        if depth > DEEPEST {
            return Err(self.damaged("values lie too deep in each other"));
        }
        match self.peek() {
            Some(b'{') => self.map(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Value::Text),
            _ => self.word(),
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value<'a>, Problem> {
        self.at += 1;
        let mut parts = Vec::new();
        if self.passed(b'}') {
            return Ok(Value::Map(parts));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.damaged("a name is expected"));
            }
            let name = self.string()?;
            if !self.passed(b':') {
                return Err(self.damaged("a colon is expected"));
            }
            parts.push((name, self.value(depth + 1)?));
            if self.passed(b'}') {
                return Ok(Value::Map(parts));
            }
            if !self.passed(b',') {
                return Err(self.damaged("a comma is expected"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value<'a>, Problem> {
        self.at += 1;
        let mut gathered = Gathered::default();
        if self.passed(b']') {
            return Ok(gathered.finish());
        }
        loop {
            gathered.push(self.value(depth + 1)?);
            if self.passed(b']') {
                return Ok(gathered.finish());
            }
            if !self.passed(b',') {
                return Err(self.damaged("a comma is expected"));
            }
        }
    }

    fn word(&mut self) -> Result<Value<'a>, Problem> {
        let rest = &self.text[self.at..];
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.');
        let length = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        let word = &rest[..length];
        let value = match word {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            word => Value::Number(word.parse().map_err(|_| self.damaged("a value is none"))?),
        };
        self.at += length;
        Ok(value)
    }

    /// A text whose first quote is next.
    fn string(&mut self) -> Result<Cow<'a, str>, Problem> {
        let start = self.at + 1;
        let mut end = start;
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(end) {
            match byte {
                b'"' => {
                    self.at = end + 1;
                    let raw = &self.text[start..end];
                    if !raw.contains('\\') {
                        return Ok(Cow::Borrowed(raw));
                    }
                    let quoted = &self.text[start - 1..=end];
                    return serde_json::from_str(quoted).map(Cow::Owned).map_err(|_| self.damaged("a text is none"));
                }
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        Err(self.damaged("a text does not end"))
    }

    fn passed(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    /// The next byte that is not white space; the reader stands at it.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn damaged(&self, what: &str) -> Problem {
        Problem::Damaged(format!("JSON at byte {}: {what}", self.at))
    }
}
