//! Tensors of the Open Inference Protocol: types, and their bytes.

use crate::{
    Answer, Label, Problem,
    values::{Seen, Values},
};

/// What a tensor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

use Datatype::{Bf16, Bool, Bytes, Fp16, Fp32, Fp64, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64};

/// All of them, with their names.
const NAMES: [(Datatype, &str); 14] = [
    (Bool, "BOOL"),
    (Uint8, "UINT8"),
    (Uint16, "UINT16"),
    (Uint32, "UINT32"),
    (Uint64, "UINT64"),
    (Int8, "INT8"),
    (Int16, "INT16"),
    (Int32, "INT32"),
    (Int64, "INT64"),
    (Fp16, "FP16"),
    (Bf16, "BF16"),
    (Fp32, "FP32"),
    (Fp64, "FP64"),
    (Bytes, "BYTES"),
];

impl Datatype {
    /// The type of a name.
    ///
    /// # Errors
    /// A name that the protocol does not have.
    pub fn of(name: &str) -> Result<Datatype, Problem> {
        let found = NAMES.iter().find(|(_, known)| *known == name).map(|(datatype, _)| *datatype);
        found.ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
            Problem::Request(format!("datatype {name:?} is not one of {}", known.join(", ")))
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }

    /// Bytes of a value; `None`: they differ.
    pub fn size(self) -> Option<usize> {
        match self {
            Bool | Uint8 | Int8 => Some(1),
            Uint16 | Int16 | Fp16 | Bf16 => Some(2),
            Uint32 | Int32 | Fp32 => Some(4),
            Uint64 | Int64 | Fp64 => Some(8),
            Bytes => None,
        }
    }

    /// What a value of the type is written as.
    pub fn seen(self) -> Seen {
        match self {
            Bool => Seen::Bool,
            Fp16 | Bf16 | Fp32 | Fp64 => Seen::Number,
            Bytes => Seen::Text,
            _ => Seen::Whole,
        }
    }
}

/// A shape as it is sent.
///
/// # Errors
/// A length below zero.
pub fn shape(said: &[i64]) -> Result<Vec<usize>, Problem> {
    let axis = |axis: &i64| usize::try_from(*axis).map_err(|_| Problem::Request(format!("shape {said:?} has {axis}")));
    said.iter().map(axis).collect()
}

/// How many values a shape holds; `None`: more than can be counted.
pub fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |all, axis| all.checked_mul(*axis))
}

/// The values of a tensor from its bytes: little-endian, one after the other; each text after its length in four bytes.
///
/// # Errors
/// Bytes that are too few or too many for the shape, or texts that are not UTF-8.
pub fn read(name: &str, datatype: Datatype, shape: Vec<usize>, bytes: &[u8]) -> Result<Values, Problem> {
    let wrong = |what: String| Problem::Request(format!("tensor {name:?}: {what}"));
    let wanted = count(&shape).ok_or_else(|| wrong(format!("shape {shape:?} is too large")))?;
    let Some(size) = datatype.size() else {
        let texts = texts(bytes).map_err(wrong)?;
        if texts.len() != wanted {
            return Err(wrong(format!("{} texts came, shape {shape:?} holds {wanted}", texts.len())));
        }
        return Ok(Values::of_texts(shape, texts));
    };
    if wanted.checked_mul(size) != Some(bytes.len()) {
        let says = format!(
            "{} bytes came, shape {shape:?} of {} holds {wanted} values of {size}",
            bytes.len(),
            datatype.name()
        );
        return Err(wrong(says));
    }
    Ok(Values::of_numbers(shape, numbers(datatype, bytes), datatype.seen()))
}

fn numbers(datatype: Datatype, bytes: &[u8]) -> Vec<f64> {
    macro_rules! read {
        ($kind:ty) => {{
            let (whole, _) = bytes.as_chunks::<{ size_of::<$kind>() }>();
            whole.iter().map(|bytes| <$kind>::from_le_bytes(*bytes) as f64).collect()
        }};
    }
    match datatype {
        Bool => bytes.iter().map(|byte| f64::from(u8::from(*byte != 0))).collect(),
        Uint8 => read!(u8),
        Uint16 => read!(u16),
        Uint32 => read!(u32),
        Uint64 => read!(u64),
        Int8 => read!(i8),
        Int16 => read!(i16),
        Int32 => read!(i32),
        Int64 => read!(i64),
        Fp32 => read!(f32),
        Fp64 => read!(f64),
        Fp16 => bytes.as_chunks::<2>().0.iter().map(|bytes| half(u16::from_le_bytes(*bytes))).collect(),
        Bf16 => {
            let wide = |bytes: &[u8; 2]| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16));
            bytes.as_chunks::<2>().0.iter().map(wide).collect()
        }
        Bytes => Vec::new(),
    }
}

/// A number of 16 bits (IEEE 754 binary16).
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

fn texts(mut bytes: &[u8]) -> Result<Vec<String>, String> {
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or("it ends within the length of a text")?;
        let length = u32::from_le_bytes(*length) as usize;
        let (text, rest) = rest.split_at_checked(length).ok_or("it ends within a text")?;
        texts.push(String::from_utf8(text.to_vec()).map_err(|_| "a text is not UTF-8")?);
        bytes = rest;
    }
    Ok(texts)
}

/// What a model answered, as one tensor: its type, its shape, and the answer.
pub fn outline(answer: &Answer) -> (Datatype, Vec<usize>) {
    match answer {
        Answer::Numbers(matrix) if matrix.columns == 1 => (Fp64, vec![matrix.rows]),
        Answer::Numbers(matrix) => (Fp64, vec![matrix.rows, matrix.columns]),
        Answer::Labels(labels) => (labels.first().map_or(Int64, of_label), vec![labels.len()]),
    }
}

fn of_label(label: &Label) -> Datatype {
    match label {
        Label::Int(_) => Int64,
        Label::Float(_) => Fp64,
        Label::Bool(_) => Bool,
        Label::Text(_) => Bytes,
    }
}

/// The bytes of an answer.
pub fn write(answer: &Answer, out: &mut Vec<u8>) {
    match answer {
        Answer::Numbers(matrix) => matrix.values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes())),
        Answer::Labels(labels) => labels.iter().for_each(|label| match label {
            Label::Int(number) => out.extend_from_slice(&number.to_le_bytes()),
            Label::Float(number) => out.extend_from_slice(&number.to_le_bytes()),
            Label::Bool(is) => out.push(u8::from(*is)),
            Label::Text(text) => {
                out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                out.extend_from_slice(text.as_bytes());
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Column;

    fn column(datatype: Datatype, count: usize, bytes: &[u8]) -> Column {
        read("x", datatype, vec![count], bytes).unwrap().into_columns(1).unwrap().remove(0).column
    }

    #[test]
    fn bytes_of_all_types_are_read() {
        assert_eq!(column(Bool, 2, &[0, 1]), Column::Numbers(vec![0.0, 1.0]));
        assert_eq!(column(Int8, 1, &[0xff]), Column::Numbers(vec![-1.0]));
        assert_eq!(column(Uint8, 1, &[0xff]), Column::Numbers(vec![255.0]));
        assert_eq!(column(Int64, 1, &(-5_i64).to_le_bytes()), Column::Numbers(vec![-5.0]));
        assert_eq!(column(Fp32, 1, &1.5_f32.to_le_bytes()), Column::Numbers(vec![1.5]));
        assert_eq!(column(Bf16, 1, &[0x80, 0x3f]), Column::Numbers(vec![1.0]));
        assert_eq!(
            column(Fp16, 3, &[0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00]),
            Column::Numbers(vec![1.0, -2.0, 2f64.powi(-24)])
        );
        assert_eq!(
            column(Bytes, 2, b"\x02\0\0\0ab\0\0\0\0"),
            Column::Texts(vec![Some("ab".into()), Some(String::new())])
        );
    }

    #[test]
    fn bytes_that_do_not_fit_are_refused() {
        for (datatype, shape, bytes) in [
            (Fp32, vec![2], &[0; 4][..]),
            (Fp32, vec![1], &[0; 5]),
            (Fp64, vec![usize::MAX, 2], &[]),
            (Fp64, vec![usize::MAX / 2], &[]),
            (Bytes, vec![1], b"\x02\0\0\0a"),
            (Bytes, vec![1], b"\x02\0\0"),
            (Bytes, vec![2], b"\x01\0\0\0a"),
            (Bytes, vec![1], b"\x01\0\0\0\xff"),
        ] {
            assert!(read("x", datatype, shape.clone(), bytes).is_err(), "{datatype:?} {shape:?}");
        }
        assert!(shape(&[2, -1]).is_err() && Datatype::of("FP128").is_err());
    }

    #[test]
    fn answers_are_written() {
        let mut out = Vec::new();
        write(&Answer::Labels(vec![Label::Text("ab".into())]), &mut out);
        assert_eq!(out, b"\x02\0\0\0ab");
        assert_eq!(outline(&Answer::Labels(vec![Label::Bool(true)])), (Bool, vec![1]));
    }
}
