//! UBJSON (<https://ubjson.org>, draft 12), as XGBoost writes it. Nothing is taken on trust: a length must fit in what
//! is left of the file, and values lie in each other at most [`DEEPEST`] deep.

use std::borrow::Cow;

use super::value::{Gathered, Packed, Value, number, width_of};
use crate::Problem;

const DEEPEST: usize = 64;

/// Reads a whole file.
pub(super) fn parse(bytes: &[u8]) -> Result<Value<'_>, Problem> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(0)?;
    if reader.at != bytes.len() {
        return Err(reader.damaged("something follows its end"));
    }
    Ok(value)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value<'a>, Problem> {
        if depth > DEEPEST {
            return Err(self.damaged("values lie too deep in each other"));
        }
        match self.letter()? {
            b'Z' => Ok(Value::Null),
            b'T' => Ok(Value::Bool(true)),
            b'F' => Ok(Value::Bool(false)),
            b'S' => Ok(Value::Text(self.text()?)),
            b'H' => self.text()?.parse().map(Value::Number).map_err(|_| self.damaged("a number is none")),
            b'C' => {
                let bytes = self.take(1)?;
                Ok(Value::Text(Cow::Owned(char::from(bytes[0]).to_string())))
            }
            b'[' => self.array(depth),
            b'{' => self.map(depth),
            kind => {
                let Some(width) = width_of(kind) else { return Err(self.damaged("a value is of no known type")) };
                let bytes = self.take(width)?;
                number(kind, bytes).map(Value::Number).ok_or_else(|| self.damaged("a number is none"))
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value<'a>, Problem> {
        let kind = self.kind()?;
        let count = self.count()?;
        if let Some(kind) = kind {
            let Some(count) = count else { return Err(self.damaged("a list of one type has no length")) };
            let Some(width) = width_of(kind) else { return Err(self.damaged("a list is of a type it cannot be of")) };
            let length = count.checked_mul(width).ok_or_else(|| self.damaged("a list is too long"))?;
            return Ok(Value::Packed(Packed { kind, bytes: self.take(length)? }));
        }
        let mut gathered = Gathered::default();
        match count {
            Some(count) => {
                for _ in 0..count {
                    gathered.push(self.value(depth + 1)?);
                }
            }
            None => {
                while self.peek() != Some(b']') {
                    gathered.push(self.value(depth + 1)?);
                }
                self.at += 1;
            }
        }
        Ok(gathered.finish())
    }

    fn map(&mut self, depth: usize) -> Result<Value<'a>, Problem> {
        if self.kind()?.is_some() {
            return Err(self.damaged("a map is of one type"));
        }
        let mut parts = Vec::new();
        match self.count()? {
            Some(count) => {
                for _ in 0..count {
                    parts.push((self.text()?, self.value(depth + 1)?));
                }
            }
            None => {
                while self.peek() != Some(b'}') {
                    parts.push((self.text()?, self.value(depth + 1)?));
                }
                self.at += 1;
            }
        }
        Ok(Value::Map(parts))
    }

    /// The type that all values of a container have, where it says one.
    fn kind(&mut self) -> Result<Option<u8>, Problem> {
        if self.peek() != Some(b'$') {
            return Ok(None);
        }
        self.at += 1;
        self.letter().map(Some)
    }

    /// How many values a container has, where it says it.
    fn count(&mut self) -> Result<Option<usize>, Problem> {
        if self.peek() != Some(b'#') {
            return Ok(None);
        }
        self.at += 1;
        self.length().map(Some)
    }

    /// A length, which is never more than the bytes that are left.
    fn length(&mut self) -> Result<usize, Problem> {
        let kind = self.letter()?;
        let width = width_of(kind).filter(|_| !matches!(kind, b'd' | b'D'));
        let bytes = self.take(width.ok_or_else(|| self.damaged("a length is no whole number"))?)?;
        let left = self.bytes.len() - self.at;
        number(kind, bytes)
            .filter(|length| (0.0..=left as f64).contains(length))
            .map(|length| length as usize)
            .ok_or_else(|| self.damaged("a length is more than the file has"))
    }

    fn text(&mut self) -> Result<Cow<'a, str>, Problem> {
        let length = self.length()?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| self.damaged("a text is no UTF-8"))
    }

    /// The next letter; the letter N says nothing and is passed over.
    fn letter(&mut self) -> Result<u8, Problem> {
        loop {
            match self.take(1)?[0] {
                b'N' => continue,
                letter => return Ok(letter),
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Problem> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.damaged("it ends too early"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn damaged(&self, what: &str) -> Problem {
        Problem::Damaged(format!("UBJSON at byte {}: {what}", self.at))
    }
}
