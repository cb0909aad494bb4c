//! A borrowing reader of the protobuf wire format. Nothing is copied and nothing allocated; every length is checked
//! against what is there, so that no claim of a sender costs memory.
//!
//! Source: the protobuf encoding guide. Groups (wire types 3 and 4) were never used by the formats read here and
//! are refused.

use crate::BadRequest;

/// The bytes are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub &'static str);

impl From<Malformed> for BadRequest {
    fn from(malformed: Malformed) -> BadRequest {
        BadRequest::malformed(format!("the body is not the expected protobuf message: {}", malformed.0))
    }
}

/// A field's value as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// No field that is read has this type, so its value is passed over.
    Fixed32,
}

/// A field: its number and value.
pub(crate) type Field<'a> = (u32, Value<'a>);

/// Walks the fields of one message.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// Where the next field begins.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next field, `None` at the end.
    #[inline]
    pub fn next(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed("a field number is out of range"))?;
        if number == 0 {
            return Err(Malformed("a field has number 0"));
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.chunk()?)),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| TRUNCATED)?;
                let rest = self.bytes.get(self.at..).unwrap_or_default();
                let value = rest.get(..len).ok_or(TRUNCATED)?;
                self.at += len;
                Value::Bytes(value)
            }
            5 => {
                self.chunk::<4>()?;
                Value::Fixed32
            }
            _ => return Err(Malformed("a field has an unknown wire type")),
        };
        Ok(Some((number, value)))
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let chunk = self.bytes.get(self.at..).and_then(|b| b.first_chunk::<N>()).ok_or(TRUNCATED)?;
        self.at += N;
        Ok(*chunk)
    }

    /// A varint of up to ten bytes.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let first = *self.bytes.get(self.at).ok_or(TRUNCATED)?;
        if first < 0x80 {
            self.at += 1;
            return Ok(first.into());
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for i in 0..10 {
            let byte = *self.bytes.get(self.at + i).ok_or(TRUNCATED)?;
            if i == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.at += i + 1;
                return Ok(value);
            }
        }
        Err(Malformed("a number is longer than 64 bits"))
    }

    #[inline]
    pub fn is_done(&self) -> bool {
        self.at >= self.bytes.len()
    }
}

const TRUNCATED: Malformed = Malformed("it ends in the middle of a field");
const WRONG_TYPE: Malformed = Malformed("a field has the wrong wire type");

impl<'a> Value<'a> {
    #[inline]
    pub fn varint(self) -> Result<u64, Malformed> {
        if let Value::Varint(v) = self { Ok(v) } else { Err(WRONG_TYPE) }
    }

    #[inline]
    pub fn fixed64(self) -> Result<u64, Malformed> {
        if let Value::Fixed64(v) = self { Ok(v) } else { Err(WRONG_TYPE) }
    }

    #[inline]
    pub fn double(self) -> Result<f64, Malformed> {
        self.fixed64().map(f64::from_bits)
    }

    #[inline]
    pub fn bytes(self) -> Result<&'a [u8], Malformed> {
        if let Value::Bytes(v) = self { Ok(v) } else { Err(WRONG_TYPE) }
    }

    /// A `sint32` or `sint64`.
    #[inline]
    pub fn zigzag(self) -> Result<i64, Malformed> {
        self.varint().map(unzigzag)
    }

    /// Feeds a repeated `fixed64` or `double`, packed or not, into `out`.
    pub fn repeated_fixed64(self, out: &mut Vec<u64>) -> Result<(), Malformed> {
        match self {
            Value::Fixed64(v) => out.push(v),
            Value::Bytes(packed) => {
                let (chunks, rest) = packed.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(TRUNCATED);
                }
                out.extend(chunks.iter().map(|c| u64::from_le_bytes(*c)));
            }
            _ => return Err(WRONG_TYPE),
        }
        Ok(())
    }

    /// Feeds a repeated varint, packed or not, into `take`, which says whether it wants more.
    pub fn repeated_varint(self, mut take: impl FnMut(u64) -> bool) -> Result<(), Malformed> {
        match self {
            Value::Varint(v) => {
                take(v);
            }
            Value::Bytes(packed) => {
                let mut reader = Reader::new(packed);
                while !reader.is_done() {
                    if !take(reader.varint()?) {
                        break;
                    }
                }
            }
            _ => return Err(WRONG_TYPE),
        }
        Ok(())
    }
}

/// Signed numbers are written with their sign in the lowest bit.
#[inline]
pub(crate) fn unzigzag(v: u64) -> i64 {
    ((v >> 1) as i64) ^ -((v & 1) as i64)
}

/// Calls `take` for each field of `bytes`.
#[inline]
pub(crate) fn each_field<'a, E: From<Malformed>>(
    bytes: &'a [u8],
    mut take: impl FnMut(u32, Value<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.next()? {
        take(number, value)?;
    }
    Ok(())
}

/// The last occurrence of a bytes field, empty where there is none.
pub(crate) fn find_bytes(bytes: &[u8], number: u32) -> Result<&[u8], Malformed> {
    let mut found: &[u8] = &[];
    each_field(bytes, |n, value| -> Result<(), Malformed> {
        if n == number {
            found = value.bytes()?;
        }
        Ok(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Field<'_>>, Malformed> {
        let mut fields = Vec::new();
        each_field(bytes, |n, v| -> Result<(), Malformed> {
            fields.push((n, v));
            Ok(())
        })?;
        Ok(fields)
    }

    #[test]
    fn the_examples_of_the_encoding_guide() {
        assert_eq!(read(&[0x08, 0x96, 0x01]), Ok(vec![(1, Value::Varint(150))]));
        assert_eq!(read(b"\x12\x07testing"), Ok(vec![(2, Value::Bytes(b"testing"))]));
        assert_eq!((unzigzag(0), unzigzag(1), unzigzag(2), unzigzag(u64::MAX)), (0, -1, 1, i64::MIN));
        let minus_two = [8, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(read(&minus_two), Ok(vec![(1, Value::Varint(-2i64 as u64))]));
    }

    #[test]
    fn i1_bad_bytes_are_errors() {
        for bad in [&b"\x12\x07test"[..], b"\x08", b"\x08\xff", b"\x0b", b"\x00\x01", b"\x0d\x01", b"\x09\x01\x02"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert!(read(&[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).is_err());
        assert!(read(&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).is_err());
    }
}
