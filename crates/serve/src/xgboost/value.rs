//! What JSON and UBJSON hold, in one light form: arrays of numbers stay arrays of numbers.

use std::borrow::Cow;

use crate::Problem;

/// A value of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// Numbers as they lie in the file.
    Packed(Packed<'a>),
    /// Numbers.
    Numbers(Vec<f64>),
    /// Values that are not all numbers.
    List(Vec<Value<'a>>),
    /// Named values, in the order of the file.
    Map(Vec<(Cow<'a, str>, Value<'a>)>),
}

/// Numbers of one UBJSON type, big endian, in the bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Packed<'a> {
    /// The type's letter.
    pub kind: u8,
    /// The numbers.
    pub bytes: &'a [u8],
}

/// How many bytes a number of a UBJSON type takes; `None`: it is no type of numbers.
pub(super) fn width_of(kind: u8) -> Option<usize> {
    Some(match kind {
        b'i' | b'U' => 1,
        b'I' => 2,
        b'l' | b'd' => 4,
        b'L' | b'D' => 8,
        _ => return None,
    })
}

/// The number of a UBJSON type that `bytes` hold.
pub(super) fn number(kind: u8, bytes: &[u8]) -> Option<f64> {
    Some(match kind {
        b'i' => i8::from_be_bytes(bytes.try_into().ok()?) as f64,
        b'U' => u8::from_be_bytes(bytes.try_into().ok()?) as f64,
        b'I' => i16::from_be_bytes(bytes.try_into().ok()?) as f64,
        b'l' => i32::from_be_bytes(bytes.try_into().ok()?) as f64,
        b'L' => i64::from_be_bytes(bytes.try_into().ok()?) as f64,
        b'd' => f32::from_be_bytes(bytes.try_into().ok()?) as f64,
        b'D' => f64::from_be_bytes(bytes.try_into().ok()?),
        _ => return None,
    })
}

impl<'a> Value<'a> {
    /// A part of a map, where it is there.
    pub fn find(&self, name: &str) -> Option<&Value<'a>> {
        match self {
            Value::Map(parts) => parts.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// A part of a map.
    pub fn part(&self, name: &str) -> Result<&Value<'a>, Problem> {
        self.find(name).ok_or_else(|| Problem::Damaged(format!("`{name}` is missing")))
    }

    /// The text of a part.
    pub fn text(&self, name: &str) -> Result<&str, Problem> {
        match self.part(name)? {
            Value::Text(text) => Ok(text),
            _ => Err(Problem::Damaged(format!("`{name}` is no text"))),
        }
    }

    /// A whole number at or over 0, said as a number or as a text; `otherwise` where it is not there.
    pub fn count(&self, name: &str, otherwise: usize) -> Result<usize, Problem> {
        let wrong = || Problem::Damaged(format!("`{name}` is no count"));
        match self.find(name) {
            None => Ok(otherwise),
            Some(Value::Text(text)) => text.trim().parse().map_err(|_| wrong()),
            Some(Value::Number(number)) => index(*number).ok_or_else(wrong),
            Some(_) => Err(wrong()),
        }
    }

    /// The numbers of a part as 32-bit floats.
    pub fn floats(&self, name: &str) -> Result<Vec<f32>, Problem> {
        self.numbers(name, |number| Some(number as f32))
    }

    /// The numbers of a part, which must be whole.
    pub fn integers(&self, name: &str) -> Result<Vec<i64>, Problem> {
        self.numbers(name, |number| (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64))
    }

    /// The values of a part that is a list.
    pub fn list(&self, name: &str) -> Result<&[Value<'a>], Problem> {
        match self.part(name)? {
            Value::List(list) => Ok(list),
            Value::Numbers(numbers) if numbers.is_empty() => Ok(&[]),
            _ => Err(Problem::Damaged(format!("`{name}` is no list"))),
        }
    }

    fn numbers<T>(&self, name: &str, convert: impl Fn(f64) -> Option<T>) -> Result<Vec<T>, Problem> {
        let found: Option<Vec<T>> = match self.part(name)? {
            Value::Numbers(numbers) => numbers.iter().map(|number| convert(*number)).collect(),
            Value::Packed(Packed { kind, bytes }) => bytes
                .chunks_exact(width_of(*kind).unwrap_or(1))
                .map(|bytes| number(*kind, bytes).and_then(&convert))
                .collect(),
            Value::List(list) => list
                .iter()
                .map(|value| match value {
                    Value::Number(number) => convert(*number),
                    Value::Bool(yes) => convert(f64::from(u8::from(*yes))),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        found.ok_or_else(|| Problem::Damaged(format!("`{name}` holds something else than the numbers it should")))
    }
}

/// Puts values in a list, as numbers for as long as they are all numbers.
#[derive(Debug, Default)]
pub(super) struct Gathered<'a> {
    numbers: Vec<f64>,
    values: Vec<Value<'a>>,
}

impl<'a> Gathered<'a> {
    /// One more value.
    pub fn push(&mut self, value: Value<'a>) {
        match value {
            Value::Number(number) if self.values.is_empty() => self.numbers.push(number),
            value => {
                self.values.extend(self.numbers.drain(..).map(Value::Number));
                self.values.push(value);
            }
        }
    }

    /// All of them.
    pub fn finish(self) -> Value<'a> {
        if self.values.is_empty() { Value::Numbers(self.numbers) } else { Value::List(self.values) }
    }
}

/// A number as an index.
pub(super) fn index(number: f64) -> Option<usize> {
    (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as usize)
}
