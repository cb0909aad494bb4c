//! TensorFlow Serving over gRPC: the messages of `PredictionService` and `ModelService`, and their tensors.
//!
//! Source: the published interface of TensorFlow Serving and TensorFlow's `TensorProto`.

// The names are those of the interface.
#![allow(missing_docs)]

use std::collections::HashMap;

use prost::{Message, Oneof};

use super::{tensorflow, v2::Tensor};
use crate::{
    Answer, Frame, Label, Method, Problem, Servable,
    tensor::{self, Datatype},
    values::{Cell, Cells, Seen, Values},
};

#[derive(Clone, PartialEq, Message)]
pub struct ModelSpec {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(oneof = "Choice", tags = "2, 4")]
    pub choice: Option<Choice>,
    #[prost(string, tag = "3")]
    pub signature_name: String,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Choice {
    #[prost(message, tag = "2")]
    Version(Int64Value),
    #[prost(string, tag = "4")]
    Label(String),
}

#[derive(Clone, PartialEq, Message)]
pub struct Int64Value {
    #[prost(int64, tag = "1")]
    pub value: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    #[prost(int32, tag = "1")]
    pub dtype: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShape>,
    #[prost(bytes = "vec", tag = "4")]
    pub content: Vec<u8>,
    #[prost(float, repeated, tag = "5")]
    pub floats: Vec<f32>,
    #[prost(double, repeated, tag = "6")]
    pub doubles: Vec<f64>,
    #[prost(int32, repeated, tag = "7")]
    pub ints: Vec<i32>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub strings: Vec<Vec<u8>>,
    #[prost(int64, repeated, tag = "10")]
    pub longs: Vec<i64>,
    #[prost(bool, repeated, tag = "11")]
    pub bools: Vec<bool>,
    #[prost(uint32, repeated, tag = "16")]
    pub uints: Vec<u32>,
    #[prost(uint64, repeated, tag = "17")]
    pub ulongs: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorShape {
    #[prost(message, repeated, tag = "2")]
    pub dim: Vec<Dim>,
    #[prost(bool, tag = "3")]
    pub unknown_rank: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct Dim {
    #[prost(int64, tag = "1")]
    pub size: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct PredictRequest {
    #[prost(message, optional, tag = "1")]
    pub model_spec: Option<ModelSpec>,
    #[prost(map = "string, message", tag = "2")]
    pub inputs: HashMap<String, TensorProto>,
    #[prost(string, repeated, tag = "3")]
    pub output_filter: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct PredictResponse {
    #[prost(map = "string, message", tag = "1")]
    pub outputs: HashMap<String, TensorProto>,
    #[prost(message, optional, tag = "2")]
    pub model_spec: Option<ModelSpec>,
}

/// `ClassificationRequest` and `RegressionRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct ExamplesRequest {
    #[prost(message, optional, tag = "1")]
    pub model_spec: Option<ModelSpec>,
    #[prost(message, optional, tag = "2")]
    pub input: Option<ExamplesInput>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ExamplesInput {
    #[prost(message, optional, tag = "1")]
    pub list: Option<ExampleList>,
    #[prost(message, optional, tag = "2")]
    pub with_context: Option<ExampleList>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ExampleList {
    #[prost(message, repeated, tag = "1")]
    pub examples: Vec<Example>,
    #[prost(message, optional, tag = "2")]
    pub context: Option<Example>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Example {
    #[prost(message, optional, tag = "1")]
    pub features: Option<Features>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Features {
    #[prost(map = "string, message", tag = "1")]
    pub feature: HashMap<String, Feature>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Feature {
    #[prost(oneof = "FeatureKind", tags = "1, 2, 3")]
    pub kind: Option<FeatureKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum FeatureKind {
    #[prost(message, tag = "1")]
    Bytes(BytesList),
    #[prost(message, tag = "2")]
    Floats(FloatList),
    #[prost(message, tag = "3")]
    Longs(Int64List),
}

#[derive(Clone, PartialEq, Message)]
pub struct BytesList {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub value: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct FloatList {
    #[prost(float, repeated, tag = "1")]
    pub value: Vec<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Int64List {
    #[prost(int64, repeated, tag = "1")]
    pub value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ClassificationResponse {
    #[prost(message, optional, tag = "1")]
    pub result: Option<ClassificationResult>,
    #[prost(message, optional, tag = "2")]
    pub model_spec: Option<ModelSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ClassificationResult {
    #[prost(message, repeated, tag = "1")]
    pub classifications: Vec<Classifications>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Classifications {
    #[prost(message, repeated, tag = "1")]
    pub classes: Vec<Class>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Class {
    #[prost(string, tag = "1")]
    pub label: String,
    #[prost(float, tag = "2")]
    pub score: f32,
}

#[derive(Clone, PartialEq, Message)]
pub struct RegressionResponse {
    #[prost(message, optional, tag = "1")]
    pub result: Option<RegressionResult>,
    #[prost(message, optional, tag = "2")]
    pub model_spec: Option<ModelSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub struct RegressionResult {
    #[prost(message, repeated, tag = "1")]
    pub regressions: Vec<Regression>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Regression {
    #[prost(float, tag = "1")]
    pub value: f32,
}

#[derive(Clone, PartialEq, Message)]
pub struct GetModelMetadataRequest {
    #[prost(message, optional, tag = "1")]
    pub model_spec: Option<ModelSpec>,
    #[prost(string, repeated, tag = "2")]
    pub metadata_field: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct GetModelMetadataResponse {
    #[prost(message, optional, tag = "1")]
    pub model_spec: Option<ModelSpec>,
    #[prost(map = "string, message", tag = "2")]
    pub metadata: HashMap<String, Any>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SignatureDefMap {
    #[prost(map = "string, message", tag = "1")]
    pub signature_def: HashMap<String, SignatureDef>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SignatureDef {
    #[prost(map = "string, message", tag = "1")]
    pub inputs: HashMap<String, TensorInfo>,
    #[prost(map = "string, message", tag = "2")]
    pub outputs: HashMap<String, TensorInfo>,
    #[prost(string, tag = "3")]
    pub method_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorInfo {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int32, tag = "2")]
    pub dtype: i32,
    #[prost(message, optional, tag = "3")]
    pub tensor_shape: Option<TensorShape>,
}

#[derive(Clone, PartialEq, Message)]
pub struct GetModelStatusRequest {
    #[prost(message, optional, tag = "1")]
    pub model_spec: Option<ModelSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub struct GetModelStatusResponse {
    #[prost(message, repeated, tag = "1")]
    pub model_version_status: Vec<ModelVersionStatus>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ModelVersionStatus {
    #[prost(int64, tag = "1")]
    pub version: i64,
    #[prost(int32, tag = "2")]
    pub state: i32,
    #[prost(message, optional, tag = "3")]
    pub status: Option<StatusProto>,
}

#[derive(Clone, PartialEq, Message)]
pub struct StatusProto {
    #[prost(int32, tag = "1")]
    pub error_code: i32,
    #[prost(string, tag = "2")]
    pub error_message: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ReloadConfigRequest {
    #[prost(message, optional, tag = "1")]
    pub config: Option<ModelServerConfig>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ModelServerConfig {
    #[prost(message, optional, tag = "1")]
    pub model_config_list: Option<ModelConfigList>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ModelConfigList {
    #[prost(message, repeated, tag = "1")]
    pub config: Vec<ModelConfig>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ModelConfig {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub base_path: String,
    #[prost(map = "string, int64", tag = "8")]
    pub version_labels: HashMap<String, i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ReloadConfigResponse {
    #[prost(message, optional, tag = "1")]
    pub status: Option<StatusProto>,
}

/// Number and name of a type.
pub fn type_of(datatype: Datatype) -> (i32, &'static str) {
    match datatype {
        Datatype::Fp32 => (1, "DT_FLOAT"),
        Datatype::Fp64 => (2, "DT_DOUBLE"),
        Datatype::Int32 => (3, "DT_INT32"),
        Datatype::Uint8 => (4, "DT_UINT8"),
        Datatype::Int16 => (5, "DT_INT16"),
        Datatype::Int8 => (6, "DT_INT8"),
        Datatype::Bytes => (7, "DT_STRING"),
        Datatype::Int64 => (9, "DT_INT64"),
        Datatype::Bool => (10, "DT_BOOL"),
        Datatype::Bf16 => (14, "DT_BFLOAT16"),
        Datatype::Uint16 => (17, "DT_UINT16"),
        Datatype::Fp16 => (19, "DT_HALF"),
        Datatype::Uint32 => (22, "DT_UINT32"),
        Datatype::Uint64 => (23, "DT_UINT64"),
    }
}

const TYPES: [Datatype; 14] = [
    Datatype::Fp32,
    Datatype::Fp64,
    Datatype::Int32,
    Datatype::Uint8,
    Datatype::Int16,
    Datatype::Int8,
    Datatype::Bytes,
    Datatype::Int64,
    Datatype::Bool,
    Datatype::Bf16,
    Datatype::Uint16,
    Datatype::Fp16,
    Datatype::Uint32,
    Datatype::Uint64,
];

impl PredictRequest {
    /// The rows, by tensors.
    ///
    /// # Errors
    /// Tensors that cannot be read, or that the model does not take.
    pub fn rows(self, model: &Servable) -> Result<Frame, Problem> {
        let mut tensors = Vec::with_capacity(self.inputs.len());
        for (name, tensor) in self.inputs {
            let values = tensor.values(&name)?;
            tensors.push(Tensor { name, values });
        }
        // A map has no order of its own.
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        super::v2::rows(&model.schema, tensors)
    }
}

impl TensorProto {
    /// The values of a tensor: as bytes, or as a list that is filled up with its last value.
    fn values(self, name: &str) -> Result<Values, Problem> {
        let wrong = |what: String| Problem::Request(format!("tensor {name:?}: {what}"));
        let found = TYPES.into_iter().find(|datatype| type_of(*datatype).0 == self.dtype);
        let datatype = found.ok_or_else(|| wrong(format!("type {} is not taken", self.dtype)))?;
        let dims: Vec<i64> = self.shape.iter().flat_map(|shape| shape.dim.iter().map(|dim| dim.size)).collect();
        let shape = tensor::shape(&dims)?;
        if !self.content.is_empty() {
            return tensor::read(name, datatype, shape, &self.content);
        }
        let wanted = tensor::count(&shape).ok_or_else(|| wrong("its shape is too large".into()))?;
        if datatype == Datatype::Bytes {
            let text = |bytes| String::from_utf8(bytes).map_err(|_| wrong("a text is not UTF-8".into()));
            let texts: Vec<String> = self.strings.into_iter().map(text).collect::<Result<_, _>>()?;
            return Ok(Values::of_texts(shape, filled(texts, wanted).map_err(wrong)?));
        }
        let numbers: Vec<f64> = match datatype {
            Datatype::Fp32 => self.floats.into_iter().map(f64::from).collect(),
            Datatype::Fp64 => self.doubles,
            Datatype::Int64 => self.longs.into_iter().map(|long| long as f64).collect(),
            Datatype::Bool => self.bools.into_iter().map(|is| f64::from(u8::from(is))).collect(),
            Datatype::Uint32 => self.uints.into_iter().map(f64::from).collect(),
            Datatype::Uint64 => self.ulongs.into_iter().map(|long| long as f64).collect(),
            Datatype::Fp16 | Datatype::Bf16 => return Err(wrong("half precision comes as tensor_content only".into())),
            _ => self.ints.into_iter().map(f64::from).collect(),
        };
        Ok(Values::of_numbers(shape, filled(numbers, wanted).map_err(wrong)?, datatype.seen()))
    }
}

/// More values than this are not made of one.
const FILLED_MAX: usize = 1 << 24;

fn filled<T: Clone>(mut values: Vec<T>, wanted: usize) -> Result<Vec<T>, String> {
    let came = values.len();
    match values.last().cloned() {
        Some(last) if came < wanted && wanted <= FILLED_MAX => values.resize(wanted, last),
        _ if came != wanted => return Err(format!("{came} values came, its shape holds {wanted}")),
        _ => {}
    }
    Ok(values)
}

/// An answer as a tensor.
pub fn tensor_of(answer: Answer) -> TensorProto {
    let (datatype, shape) = tensor::outline(&answer);
    let mut tensor = TensorProto {
        dtype: type_of(datatype).0,
        shape: Some(shape_of(&shape.iter().map(|axis| *axis as i64).collect::<Vec<_>>())),
        ..TensorProto::default()
    };
    match answer {
        Answer::Numbers(matrix) => tensor.doubles = matrix.values,
        Answer::Labels(labels) => labels.into_iter().for_each(|label| match label {
            Label::Int(number) => tensor.longs.push(number),
            Label::Float(number) => tensor.doubles.push(number),
            Label::Bool(is) => tensor.bools.push(is),
            Label::Text(text) => tensor.strings.push(text.into_bytes()),
        }),
    }
    tensor
}

fn shape_of(shape: &[i64]) -> TensorShape {
    TensorShape { dim: shape.iter().map(|size| Dim { size: *size }).collect(), unknown_rank: false }
}

/// Which version answered, and how it was asked.
pub fn spec(model: &Servable, signature: &str) -> ModelSpec {
    ModelSpec {
        name: model.name.clone(),
        choice: Some(Choice::Version(Int64Value { value: model.version as i64 })),
        signature_name: signature.to_owned(),
    }
}

/// The rows of examples.
///
/// # Errors
/// Examples of which a feature has several values, or that the model does not take.
pub fn example_rows(input: Option<ExamplesInput>, model: &Servable) -> Result<Frame, Problem> {
    let input = input.unwrap_or_default();
    let list = input.list.or(input.with_context).unwrap_or_default();
    let context = list.context.and_then(|context| context.features).unwrap_or_default().feature;
    let mut names: Vec<String> = Vec::new();
    let rows: Vec<HashMap<String, Feature>> = list
        .examples
        .into_iter()
        .map(|example| {
            let mut all = context.clone();
            all.extend(example.features.unwrap_or_default().feature);
            all
        })
        .collect();
    rows.iter().flat_map(HashMap::keys).for_each(|name| {
        if !names.contains(name) {
            names.push(name.clone());
        }
    });
    names.sort();
    let column = |name: String| column_of(&name, &rows).map(|cells| (name, cells));
    let columns = names.into_iter().map(column).collect::<Result<Vec<(String, Cells)>, Problem>>()?;
    model.schema.columns(columns, crate::Extra::LeftOut)
}

fn column_of(name: &str, rows: &[HashMap<String, Feature>]) -> Result<Cells, Problem> {
    let cells = rows.iter().map(|row| cell(name, row.get(name).and_then(|feature| feature.kind.as_ref())));
    Cells::gather(cells, || format!("feature {name:?}"))
}

/// The one value of a feature.
fn cell(name: &str, feature: Option<&FeatureKind>) -> Result<Cell, Problem> {
    let missing = (f64::NAN, None, Seen::Missing);
    let Some(feature) = feature else { return Ok(missing) };
    let (count, cell) = match feature {
        FeatureKind::Floats(list) => {
            (list.value.len(), list.value.first().map(|n| (f64::from(*n), None, Seen::Number)))
        }
        FeatureKind::Longs(list) => (list.value.len(), list.value.first().map(|n| (*n as f64, None, Seen::Whole))),
        FeatureKind::Bytes(list) => {
            let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
            (list.value.len(), list.value.first().map(|bytes| (f64::NAN, Some(text(bytes)), Seen::Text)))
        }
    };
    match count {
        0 | 1 => Ok(cell.unwrap_or(missing)),
        _ => Err(Problem::Rows(format!("feature {name:?} has several values in one example"))),
    }
}

/// What a model takes and answers, packed as clients unpack it.
pub fn metadata(model: &Servable) -> GetModelMetadataResponse {
    let infos = |tensors: Vec<(String, Datatype, Vec<i64>)>| {
        let info = |(name, datatype, shape): (String, Datatype, Vec<i64>)| {
            let dtype = type_of(datatype).0;
            (name.clone(), TensorInfo { name: format!("{name}:0"), dtype, tensor_shape: Some(shape_of(&shape)) })
        };
        tensors.into_iter().map(info).collect::<HashMap<_, _>>()
    };
    let signature = |(name, method): (&str, Method)| {
        let (inputs, outputs) = tensorflow::of_method(model, method);
        let method_name = "tensorflow/serving/predict".to_owned();
        (name.to_owned(), SignatureDef { inputs: infos(inputs), outputs: infos(outputs), method_name })
    };
    let map = SignatureDefMap { signature_def: tensorflow::signatures_of(model).into_iter().map(signature).collect() };
    let packed =
        Any { type_url: "type.googleapis.com/tensorflow.serving.SignatureDefMap".into(), value: map.encode_to_vec() };
    GetModelMetadataResponse {
        model_spec: Some(spec(model, "")),
        metadata: HashMap::from([("signature_def".to_owned(), packed)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_filled_up_with_their_last_value() {
        let tensor =
            TensorProto { dtype: 1, shape: Some(shape_of(&[2, 2])), floats: vec![1.0, 2.0], ..Default::default() };
        let columns = tensor.values("x").unwrap().into_columns(2).unwrap();
        assert_eq!(columns[1].column, crate::Column::Numbers(vec![2.0, 2.0]));
        let huge = TensorProto { dtype: 1, shape: Some(shape_of(&[1 << 40])), floats: vec![1.0], ..Default::default() };
        assert!(huge.values("x").is_err());
        let complex = TensorProto { dtype: 8, ..Default::default() };
        assert!(complex.values("x").unwrap_err().to_string().contains("type 8"));
    }
}
