//! The messages of a model file, as far as they are read here.
//!
//! Source: `onnx.proto` of ONNX. Fields that are not named here are skipped.

// The names are those of the format.
#![allow(missing_docs)]

use prost::Message;

use crate::Problem;

/// Most nodes, attributes and initial values of a file, each.
const PARTS_MAX: usize = 1 << 18;

#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetId>,
}

#[derive(Clone, PartialEq, Message)]
pub struct OperatorSetId {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "15")]
    pub sparse_initializer: Vec<Skipped>,
}

#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    #[prost(string, tag = "7")]
    pub domain: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct AttributeProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, tag = "2")]
    pub f: f32,
    #[prost(int64, tag = "3")]
    pub i: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub s: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    pub t: Option<TensorProto>,
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    #[prost(int32, tag = "20")]
    pub kind: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub string_data: Vec<Vec<u8>>,
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    #[prost(uint64, repeated, tag = "11")]
    pub uint64_data: Vec<u64>,
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<Entry>,
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ValueInfoProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub kind: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TypeProto {
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<ShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ShapeProto {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dim>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Dim {
    #[prost(int64, optional, tag = "1")]
    pub value: Option<i64>,
}

/// A message of which only is of interest that it is there.
#[derive(Clone, PartialEq, Message)]
pub struct Skipped {}

/// Reads a file.
///
/// # Errors
/// [`Problem::Damaged`]: it is no such file, or is cut off. [`Problem::Unsupported`]: it has too many parts.
pub fn read(bytes: &[u8]) -> Result<ModelProto, Problem> {
    let damaged = || Problem::Damaged("it is no ONNX file, or is cut off".into());
    // An empty part takes two bytes here and hundreds once it is read: they are counted first.
    let (mut nodes, mut attributes, mut tensors) = (0, 0, 0);
    for graph in parts(bytes, 7) {
        for node in parts(graph.ok_or_else(damaged)?, 1) {
            nodes += 1;
            attributes += parts(node.ok_or_else(damaged)?, 5).count();
        }
        tensors += parts(graph.ok_or_else(damaged)?, 5).count();
    }
    for (count, what) in [(nodes, "nodes"), (attributes, "attributes"), (tensors, "initial values")] {
        if count > PARTS_MAX {
            return Err(Problem::Unsupported(format!("an ONNX graph of {count} {what}; the most are {PARTS_MAX}")));
        }
    }
    ModelProto::decode(bytes).map_err(|error| Problem::Damaged(format!("it is no ONNX file, or is cut off: {error}")))
}

/// The parts of a message that have this number, as bytes; `None` once: it goes wrong there.
fn parts(mut bytes: &[u8], number: u64) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        loop {
            if bytes.is_empty() {
                return None;
            }
            match field(&mut bytes) {
                Some((found, Some(part))) if found == number => return Some(Some(part)),
                Some(_) => {}
                None => {
                    bytes = &[];
                    return Some(None);
                }
            }
        }
    })
}

/// The next field of a message: its number, and its bytes where it is made of bytes.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Option<&'a [u8]>)> {
    let key = varint(bytes)?;
    let size = match key & 7 {
        0 => {
            varint(bytes)?;
            return Some((key >> 3, None));
        }
        1 => 8,
        2 => usize::try_from(varint(bytes)?).ok()?,
        5 => 4,
        _ => return None,
    };
    let (part, rest) = bytes.split_at_checked(size)?;
    *bytes = rest;
    Some((key >> 3, (key & 7 == 2).then_some(part)))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 127).checked_shl(shift)?;
        if byte & 128 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_parts_are_refused_before_they_are_read() {
        let graph = [0x0a, 0].repeat(PARTS_MAX + 1);
        let mut file = vec![0x3a];
        prost::encoding::encode_varint(graph.len() as u64, &mut file);
        file.extend(graph);
        let says = read(&file).unwrap_err().to_string();
        assert!(says.contains("262145 nodes"), "{says}");
        for bytes in [&[0x3a, 0x05, 0x0a][..], &[0x3a], &[0xff; 30], &[0x3b]] {
            assert!(matches!(read(bytes), Err(Problem::Damaged(_))), "{bytes:?}");
        }
    }
}
