//! Arrays of NumPy: `.npy` files of versions 1 to 3. Arrays of Python objects are pickles, and refused.

use crate::Problem;

/// The most dimensions an array of NumPy has.
const DIMENSIONS: usize = 64;

/// An array, its numbers in the order of C.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) data: Data,
}

/// What an array holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Floats(Vec<f64>),
    Ints(Vec<i64>),
    Bools(Vec<bool>),
    Texts(Vec<String>),
    Records(Records),
}

/// Rows of named fields.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Records {
    fields: Vec<(String, Kind, usize)>,
    size: usize,
    bytes: Vec<u8>,
}

/// How one value is written.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    /// f, i, u, b, U, S or V, as in NumPy.
    letter: u8,
    /// How many bytes it takes.
    size: usize,
    big: bool,
}

impl Array {
    /// The bytes of a `.npy` file; `name` is how messages call it.
    pub(super) fn read(bytes: &[u8], name: &str) -> Result<Array, Problem> {
        let damaged = |what: &str| Problem::Damaged(format!("{name}: {what}"));
        if bytes.get(..6) != Some(b"\x93NUMPY") {
            return Err(damaged("it is no NumPy array"));
        }
        let short = || damaged("its head is cut off");
        let version = *bytes.get(6).ok_or_else(short)?;
        let (start, length) = match version {
            1 => (10, bytes.get(8..10).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])))),
            2 | 3 => (12, bytes.get(8..12).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)),
            _ => return Err(Problem::Unsupported(format!("{name}: NumPy's format {version}"))),
        };
        let end = length.and_then(|length| length.checked_add(start)).ok_or_else(short)?;
        let head = bytes.get(start..end).ok_or_else(short)?;
        let head = std::str::from_utf8(head).map_err(|_| damaged("its head is no text"))?;
        let head = Literal::read(head).ok_or_else(|| damaged("its head is no Python dictionary"))?;
        let shape = head.get("shape").and_then(Literal::numbers).ok_or_else(|| damaged("its head has no shape"))?;
        if shape.len() > DIMENSIONS {
            return Err(damaged("it has too many dimensions"));
        }
        let fortran = matches!(head.get("fortran_order"), Some(Literal::Bool(true)));
        let kind = head.get("descr").ok_or_else(|| damaged("its head has no type"))?;
        let count = shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side));
        let count = count.ok_or_else(|| damaged("its shape is too large"))?;
        let data = read_data(kind, count, &bytes[end..], name)?;
        let data = if fortran && shape.len() > 1 { data.transposed(&shape) } else { Some(data) };
        let data = data.ok_or_else(|| Problem::Unsupported(format!("{name}: records in Fortran's order")))?;
        Ok(Array { shape, data })
    }
}

impl Data {
    /// From Fortran's order to C's; `None`: records.
    fn transposed(self, shape: &[usize]) -> Option<Data> {
        Some(match self {
            Data::Floats(values) => Data::Floats(transposed(&values, shape)),
            Data::Ints(values) => Data::Ints(transposed(&values, shape)),
            Data::Bools(values) => Data::Bools(transposed(&values, shape)),
            Data::Texts(values) => Data::Texts(transposed(&values, shape)),
            Data::Records(_) => return None,
        })
    }
}

impl Records {
    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.size
    }

    /// A field of all rows as numbers: whole numbers beyond 2^53 are rounded.
    pub(super) fn floats(&self, field: &str) -> Option<Vec<f64>> {
        let (kind, rows) = self.field(field)?;
        rows.map(|value| match kind.letter {
            b'f' => float(kind, value),
            _ => Some(int(kind, value)? as f64),
        })
        .collect()
    }

    /// A field of all rows as whole numbers.
    pub(super) fn ints(&self, field: &str) -> Option<Vec<i64>> {
        let (kind, rows) = self.field(field)?;
        rows.map(|value| int(kind, value)).collect()
    }

    fn field(&self, name: &str) -> Option<(Kind, impl Iterator<Item = &[u8]>)> {
        let (_, kind, at) = self.fields.iter().find(|(field, _, _)| field == name)?;
        Some((*kind, self.bytes.chunks_exact(self.size).map(|row| &row[*at..*at + kind.size])))
    }
}

fn transposed<T: Clone>(values: &[T], shape: &[usize]) -> Vec<T> {
    let mut place = vec![0; shape.len()];
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        let at = place.iter().zip(shape).rev().fold(0, |at, (place, side)| at * side + place);
        out.push(values[at].clone());
        for axis in (0..shape.len()).rev() {
            place[axis] += 1;
            if place[axis] < shape[axis] {
                break;
            }
            place[axis] = 0;
        }
    }
    out
}

fn read_data(kind: &Literal, count: usize, bytes: &[u8], name: &str) -> Result<Data, Problem> {
    let unsupported = |what: &str| Problem::Unsupported(format!("{name}: an array of {what}"));
    let (fields, size) = match kind {
        Literal::Text(text) => {
            let kind = Kind::read(text).ok_or_else(|| unsupported(&format!("type {text}")))?;
            (vec![(String::new(), kind, 0)], kind.size)
        }
        Literal::List(list) => read_fields(list).map_err(|what| unsupported(&what))?,
        _ => return Err(unsupported("an unknown type")),
    };
    let wanted = count.checked_mul(size);
    if wanted != Some(bytes.len()) {
        let wanted = wanted.map_or("too many".to_owned(), |wanted| wanted.to_string());
        return Err(Problem::Damaged(format!("{name}: it has {} bytes where its head says {wanted}", bytes.len())));
    }
    if matches!(kind, Literal::List(_)) {
        if size == 0 {
            return Err(unsupported("empty records"));
        }
        return Ok(Data::Records(Records { fields, size, bytes: bytes.to_vec() }));
    }
    let kind = fields[0].1;
    if size == 0 {
        return match kind.letter {
            b'U' | b'S' if count <= 1 << 20 => Ok(Data::Texts(vec![String::new(); count])),
            _ => Err(unsupported("nothing")),
        };
    }
    let values = bytes.chunks_exact(size);
    let data = match kind.letter {
        b'f' => values.map(|value| float(kind, value)).collect::<Option<_>>().map(Data::Floats),
        b'i' | b'u' => values.map(|value| int(kind, value)).collect::<Option<_>>().map(Data::Ints),
        b'b' => Some(Data::Bools(values.map(|value| value[0] != 0).collect())),
        b'U' | b'S' => values.map(|value| text(kind, value)).collect::<Option<_>>().map(Data::Texts),
        _ => None,
    };
    data.ok_or_else(|| Problem::Damaged(format!("{name}: a value is none of its type")))
}

/// Fields with their places, and the bytes of a record.
fn read_fields(list: &[Literal]) -> Result<(Vec<(String, Kind, usize)>, usize), String> {
    let mut fields = Vec::with_capacity(list.len());
    let mut at = 0usize;
    for field in list {
        let Literal::List(parts) = field else { return Err("records of an unknown form".to_owned()) };
        let [Literal::Text(name), Literal::Text(kind)] = &parts[..] else {
            return Err("records that hold arrays or records".to_owned());
        };
        let kind = Kind::read(kind).ok_or_else(|| format!("type {kind}"))?;
        let size = kind.size;
        fields.push((name.clone(), kind, at));
        at = at.checked_add(size).ok_or("records that are too large")?;
    }
    Ok((fields, at))
}

impl Kind {
    /// `<f8` and its kin; `None`: another, objects among them.
    fn read(text: &str) -> Option<Kind> {
        let big = match text.as_bytes().first()? {
            b'<' | b'|' | b'=' => false,
            b'>' => true,
            _ => return None,
        };
        let letter = *text.as_bytes().get(1)?;
        let size: usize = text.get(2..)?.parse().ok()?;
        let size = if letter == b'U' { size.checked_mul(4)? } else { size };
        let known = match letter {
            b'f' => matches!(size, 2 | 4 | 8),
            b'i' | b'u' => matches!(size, 1 | 2 | 4 | 8),
            b'b' => size == 1,
            b'U' | b'S' | b'V' => size <= 1 << 20,
            _ => false,
        };
        known.then_some(Kind { letter, size, big })
    }

    /// The bytes of a value, the lowest first.
    fn little(self, value: &[u8]) -> [u8; 8] {
        let mut bytes = [0; 8];
        for (at, byte) in value.iter().take(8).enumerate() {
            bytes[if self.big { value.len() - 1 - at } else { at }] = *byte;
        }
        bytes
    }
}

fn float(kind: Kind, value: &[u8]) -> Option<f64> {
    let bytes = kind.little(value);
    Some(match (kind.letter, kind.size) {
        (b'f', 8) => f64::from_le_bytes(bytes),
        (b'f', 4) => f64::from(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
        (b'f', 2) => half(u16::from_le_bytes([bytes[0], bytes[1]])),
        _ => return None,
    })
}

fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let fraction = f64::from(bits & 0x3ff) / 1024.0;
    match i32::from(bits >> 10 & 0x1f) {
        0 => sign * fraction * 2f64.powi(-14),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        exponent => sign * (1.0 + fraction) * 2f64.powi(exponent - 15),
    }
}

fn int(kind: Kind, value: &[u8]) -> Option<i64> {
    let bytes = kind.little(value);
    match (kind.letter, kind.size) {
        (b'i', 1..=8) => {
            let unused = 64 - 8 * kind.size as u32;
            Some(i64::from_le_bytes(bytes) << unused >> unused)
        }
        (b'u' | b'b', 1..=8) => i64::try_from(u64::from_le_bytes(bytes)).ok(),
        _ => None,
    }
}

fn text(kind: Kind, value: &[u8]) -> Option<String> {
    if kind.letter == b'S' {
        let end = value.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        return String::from_utf8(value[..end].to_vec()).ok();
    }
    let units = value.chunks_exact(4).map(|unit| {
        let unit = [unit[0], unit[1], unit[2], unit[3]];
        if kind.big { u32::from_be_bytes(unit) } else { u32::from_le_bytes(unit) }
    });
    let mut text: String = units.map(char::from_u32).collect::<Option<_>>()?;
    text.truncate(text.trim_end_matches('\0').len());
    Some(text)
}

/// A literal of Python, as heads of `.npy` files hold it.
#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Text(String),
    Number(usize),
    Bool(bool),
    List(Vec<Literal>),
    Dict(Vec<(String, Literal)>),
}

impl Literal {
    fn read(text: &str) -> Option<Literal> {
        let mut rest = text;
        let literal = Literal::take(&mut rest, 8)?;
        rest.trim().is_empty().then_some(literal)
    }

    fn get(&self, key: &str) -> Option<&Literal> {
        match self {
            Literal::Dict(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    fn numbers(&self) -> Option<Vec<usize>> {
        let Literal::List(items) = self else { return None };
        items.iter().map(|item| if let Literal::Number(number) = item { Some(*number) } else { None }).collect()
    }

    fn take(rest: &mut &str, depth: usize) -> Option<Literal> {
        let depth = depth.checked_sub(1)?;
        *rest = rest.trim_start();
        let first = rest.chars().next()?;
        match first {
            '\'' | '"' => {
                let end = rest[1..].find(first)? + 1;
                let text = &rest[1..end];
                *rest = &rest[end + 1..];
                (!text.contains('\\')).then(|| Literal::Text(text.to_owned()))
            }
            '(' | '[' => {
                let close = if first == '(' { ')' } else { ']' };
                *rest = &rest[1..];
                let mut items = Vec::new();
                while !accept(rest, close) {
                    items.push(Literal::take(rest, depth)?);
                    if !accept(rest, ',') && !rest.trim_start().starts_with(close) {
                        return None;
                    }
                }
                Some(Literal::List(items))
            }
            '{' => {
                *rest = &rest[1..];
                let mut entries = Vec::new();
                while !accept(rest, '}') {
                    let Literal::Text(key) = Literal::take(rest, depth)? else { return None };
                    accept(rest, ':').then_some(())?;
                    entries.push((key, Literal::take(rest, depth)?));
                    if !accept(rest, ',') && !rest.trim_start().starts_with('}') {
                        return None;
                    }
                }
                Some(Literal::Dict(entries))
            }
            '0'..='9' => {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let number = rest[..end].parse().ok()?;
                *rest = &rest[end..];
                Some(Literal::Number(number))
            }
            _ => {
                let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
                let word = &rest[..end];
                *rest = &rest[end..];
                match word {
                    "True" => Some(Literal::Bool(true)),
                    "False" => Some(Literal::Bool(false)),
                    _ => None,
                }
            }
        }
    }
}

/// Takes a letter, and the spaces before it.
fn accept(rest: &mut &str, letter: char) -> bool {
    match rest.trim_start().strip_prefix(letter) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(head: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((head.len() as u16).to_le_bytes());
        bytes.extend(head.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn numbers_are_read_in_the_order_of_c() {
        let bytes = npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", &[1, 4, 2, 5, 3, 6]);
        let array = Array::read(&bytes, "a").unwrap();
        assert_eq!(array, Array { shape: vec![2, 3], data: Data::Ints(vec![1, 2, 3, 4, 5, 6]) });
        let bytes = npy("{'descr': '>i2', 'fortran_order': False, 'shape': (1,)}", &[0xff, 0xfe]);
        assert_eq!(Array::read(&bytes, "a").unwrap().data, Data::Ints(vec![-2]));
        let bytes = npy("{'descr': '<f2', 'fortran_order': False, 'shape': ()}", &[0x00, 0x3e]);
        assert_eq!(Array::read(&bytes, "a").unwrap().data, Data::Floats(vec![1.5]));
        let bytes = npy("{'descr': '<U2', 'fortran_order': False, 'shape': (1,)}", b"\xe9\0\0\0\0\0\0\0");
        assert_eq!(Array::read(&bytes, "a").unwrap().data, Data::Texts(vec!["é".to_owned()]));
    }

    #[test]
    fn records_have_fields() {
        let head = "{'descr': [('a', '<i2'), ('', '|V1'), ('b', '|u1')], 'fortran_order': False, 'shape': (2,), }";
        let Data::Records(records) = Array::read(&npy(head, &[1, 0, 9, 7, 255, 255, 9, 8]), "a").unwrap().data else {
            panic!("these are records");
        };
        assert_eq!(records.ints("a"), Some(vec![1, -1]));
        assert_eq!(records.floats("b"), Some(vec![7.0, 8.0]));
        assert_eq!((records.ints("c"), records.len()), (None, 2));
    }

    #[test]
    fn what_is_no_array_of_values_is_refused() {
        let objects = npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"\x80\x04N.");
        assert!(matches!(Array::read(&objects, "a"), Err(Problem::Unsupported(why)) if why.contains("|O")));
        let huge = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({0}, {0})}}", usize::MAX);
        assert!(matches!(Array::read(&npy(&huge, &[]), "a"), Err(Problem::Damaged(_))));
        let nothing = npy("{'descr': '<U0', 'fortran_order': False, 'shape': (99999999999,)}", &[]);
        assert!(Array::read(&nothing, "a").is_err());
        let deep = npy(&"[".repeat(60_000), &[]);
        assert!(matches!(Array::read(&deep, "a"), Err(Problem::Damaged(_))));
        let good = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", &[0; 16]);
        for end in 0..good.len() {
            assert!(matches!(Array::read(&good[..end], "a"), Err(Problem::Damaged(_))), "{end}");
        }
    }
}
