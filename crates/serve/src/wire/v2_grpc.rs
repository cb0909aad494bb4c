//! The Open Inference Protocol, version 2, over gRPC: its messages, and requests for inference as rows.
//!
//! Source: `inference.GRPCInferenceService` of the protocol's specification and Triton's additions to it.

// The protocol's names say what the fields are.
#![allow(missing_docs)]

use std::collections::HashMap;

use prost::{Message, Oneof};

use super::v2::{Asked, Output, Tensor, Wanted};
use crate::{
    Answer, Label, Problem, Servable,
    tensor::{self, Datatype},
    values::{Seen, Values},
};

#[derive(Clone, PartialEq, Message)]
pub struct Parameter {
    #[prost(oneof = "Choice", tags = "1, 2, 3, 4, 5")]
    pub choice: Option<Choice>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Choice {
    #[prost(bool, tag = "1")]
    Bool(bool),
    #[prost(int64, tag = "2")]
    Int64(i64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(uint64, tag = "5")]
    Uint64(u64),
}

#[derive(Clone, PartialEq, Message)]
pub struct Contents {
    #[prost(bool, repeated, tag = "1")]
    pub bools: Vec<bool>,
    #[prost(int32, repeated, tag = "2")]
    pub ints: Vec<i32>,
    #[prost(int64, repeated, tag = "3")]
    pub longs: Vec<i64>,
    #[prost(uint32, repeated, tag = "4")]
    pub uints: Vec<u32>,
    #[prost(uint64, repeated, tag = "5")]
    pub ulongs: Vec<u64>,
    #[prost(float, repeated, tag = "6")]
    pub floats: Vec<f32>,
    #[prost(double, repeated, tag = "7")]
    pub doubles: Vec<f64>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub bytes: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct InferTensor {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
    #[prost(map = "string, message", tag = "4")]
    pub parameters: HashMap<String, Parameter>,
    #[prost(message, optional, tag = "5")]
    pub contents: Option<Contents>,
}

#[derive(Clone, PartialEq, Message)]
pub struct RequestedOutput {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(map = "string, message", tag = "2")]
    pub parameters: HashMap<String, Parameter>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ModelInferRequest {
    #[prost(string, tag = "1")]
    pub model_name: String,
    #[prost(string, tag = "2")]
    pub model_version: String,
    #[prost(string, tag = "3")]
    pub id: String,
    #[prost(map = "string, message", tag = "4")]
    pub parameters: HashMap<String, Parameter>,
    #[prost(message, repeated, tag = "5")]
    pub inputs: Vec<InferTensor>,
    #[prost(message, repeated, tag = "6")]
    pub outputs: Vec<RequestedOutput>,
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub raw_input_contents: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ModelInferResponse {
    #[prost(string, tag = "1")]
    pub model_name: String,
    #[prost(string, tag = "2")]
    pub model_version: String,
    #[prost(string, tag = "3")]
    pub id: String,
    #[prost(map = "string, message", tag = "4")]
    pub parameters: HashMap<String, Parameter>,
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<InferTensor>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub raw_output_contents: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ModelStreamInferResponse {
    #[prost(string, tag = "1")]
    pub error_message: String,
    #[prost(message, optional, tag = "2")]
    pub infer_response: Option<ModelInferResponse>,
}

/// Live, ready, and whether a model is: one message has all of them.
#[derive(Clone, PartialEq, Message)]
pub struct Flag {
    #[prost(bool, tag = "1")]
    pub is: bool,
}

/// The requests that name a model: `ModelReady`, `ModelMetadata`, `ModelConfig`, `ModelStatistics`.
#[derive(Clone, PartialEq, Message)]
pub struct ModelRequest {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub version: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ServerMetadataResponse {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(string, repeated, tag = "3")]
    pub extensions: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ModelMetadataResponse {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, repeated, tag = "2")]
    pub versions: Vec<String>,
    #[prost(string, tag = "3")]
    pub platform: String,
    #[prost(message, repeated, tag = "4")]
    pub inputs: Vec<TensorMetadata>,
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<TensorMetadata>,
}

#[derive(Clone, PartialEq, Message)]
pub struct RepositoryIndexRequest {
    #[prost(string, tag = "1")]
    pub repository_name: String,
    #[prost(bool, tag = "2")]
    pub ready: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct ModelIndex {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(string, tag = "3")]
    pub state: String,
    #[prost(string, tag = "4")]
    pub reason: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct RepositoryIndexResponse {
    #[prost(message, repeated, tag = "1")]
    pub models: Vec<ModelIndex>,
}

/// `RepositoryModelLoad` and `RepositoryModelUnload`.
#[derive(Clone, PartialEq, Message)]
pub struct RepositoryModelRequest {
    #[prost(string, tag = "1")]
    pub repository_name: String,
    #[prost(string, tag = "2")]
    pub model_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ModelConfigResponse {
    #[prost(message, optional, tag = "1")]
    pub config: Option<ModelConfig>,
}

/// The part of Triton's configuration that says what a model takes.
#[derive(Clone, PartialEq, Message)]
pub struct ModelConfig {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub platform: String,
    #[prost(int32, tag = "4")]
    pub max_batch_size: i32,
    #[prost(message, repeated, tag = "5")]
    pub input: Vec<ConfigTensor>,
    #[prost(message, repeated, tag = "6")]
    pub output: Vec<ConfigTensor>,
    #[prost(string, tag = "17")]
    pub backend: String,
}

/// An input or output of a configuration. Of inputs, `dims` has number 4, of outputs number 3: both are sent, and each
/// reader skips the other (3 is the format of an input, an enum, which is never sent).
#[derive(Clone, PartialEq, Message)]
pub struct ConfigTensor {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(int64, repeated, tag = "3")]
    pub output_dims: Vec<i64>,
    #[prost(int64, repeated, tag = "4")]
    pub input_dims: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ModelStatisticsResponse {
    #[prost(message, repeated, tag = "1")]
    pub model_stats: Vec<ModelStatistics>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ModelStatistics {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(uint64, tag = "3")]
    pub last_inference: u64,
    #[prost(uint64, tag = "4")]
    pub inference_count: u64,
    #[prost(uint64, tag = "5")]
    pub execution_count: u64,
    #[prost(message, optional, tag = "6")]
    pub inference_stats: Option<InferStatistics>,
}

#[derive(Clone, PartialEq, Message)]
pub struct InferStatistics {
    #[prost(message, optional, tag = "1")]
    pub success: Option<StatisticDuration>,
    #[prost(message, optional, tag = "2")]
    pub fail: Option<StatisticDuration>,
}

#[derive(Clone, PartialEq, Message)]
pub struct StatisticDuration {
    #[prost(uint64, tag = "1")]
    pub count: u64,
    #[prost(uint64, tag = "2")]
    pub ns: u64,
}

impl ModelInferRequest {
    /// The request, in the words that HTTP has too.
    ///
    /// # Errors
    /// [`Problem::Request`]: tensors whose values do not fit their shape.
    pub fn asked(self) -> Result<Asked, Problem> {
        let is_raw = !self.raw_input_contents.is_empty();
        if is_raw && self.raw_input_contents.len() != self.inputs.len() {
            let (raw, inputs) = (self.raw_input_contents.len(), self.inputs.len());
            return Err(Problem::Request(format!("{raw} raw contents came for {inputs} inputs")));
        }
        let mut raw = self.raw_input_contents.into_iter();
        let inputs = self.inputs.into_iter().map(|input| tensor_of(input, raw.next()));
        let outputs = self.outputs.into_iter().map(|output| {
            let mut wanted = Wanted::of(&output.name)?;
            wanted.classes = match output.parameters.get("classification").and_then(|p| p.choice.as_ref()) {
                Some(Choice::Int64(classes)) => usize::try_from(*classes).unwrap_or(0),
                _ => 0,
            };
            if output.parameters.contains_key("shared_memory_region") {
                return Err(shared_memory());
            }
            Ok(wanted)
        });
        Ok(Asked {
            id: Some(self.id).filter(|id| !id.is_empty()),
            inputs: inputs.collect::<Result<_, _>>()?,
            outputs: outputs.collect::<Result<_, _>>()?,
            // As it came, so it goes.
            is_binary: is_raw,
        })
    }
}

fn shared_memory() -> Problem {
    Problem::Request("shared memory is not supported: send the tensor in the request".into())
}

fn tensor_of(input: InferTensor, raw: Option<Vec<u8>>) -> Result<Tensor, Problem> {
    let datatype = Datatype::of(&input.datatype)?;
    let shape = tensor::shape(&input.shape)?;
    if input.parameters.contains_key("shared_memory_region") {
        return Err(shared_memory());
    }
    let values = match (raw, input.contents) {
        (Some(_), Some(contents)) if contents != Contents::default() => {
            return Err(Problem::Request(format!("tensor {:?} has both contents and raw contents", input.name)));
        }
        (Some(bytes), _) => tensor::read(&input.name, datatype, shape, &bytes)?,
        (None, contents) => typed(&input.name, datatype, shape, contents.unwrap_or_default())?,
    };
    Ok(Tensor { name: input.name, values })
}

fn typed(name: &str, datatype: Datatype, shape: Vec<usize>, contents: Contents) -> Result<Values, Problem> {
    use Datatype::{Bool, Bytes, Fp32, Fp64, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64};
    fn wide<T: Copy + Into<f64>>(values: Vec<T>) -> Vec<f64> {
        values.into_iter().map(Into::into).collect()
    }
    let numbers = match datatype {
        Bool => contents.bools.into_iter().map(|is| f64::from(u8::from(is))).collect(),
        Int8 | Int16 | Int32 => wide(contents.ints),
        Uint8 | Uint16 | Uint32 => wide(contents.uints),
        Int64 => contents.longs.into_iter().map(|long| long as f64).collect(),
        Uint64 => contents.ulongs.into_iter().map(|long| long as f64).collect(),
        Fp32 => wide(contents.floats),
        Fp64 => contents.doubles,
        Bytes => {
            let text = |bytes| {
                String::from_utf8(bytes).map_err(|_| Problem::Request(format!("tensor {name:?}: a text is not UTF-8")))
            };
            let texts: Vec<String> = contents.bytes.into_iter().map(text).collect::<Result<_, _>>()?;
            return fit(name, shape.clone(), texts.len(), datatype).map(|()| Values::of_texts(shape, texts));
        }
        Datatype::Fp16 | Datatype::Bf16 => {
            return Err(Problem::Request(format!("tensor {name:?}: {} comes as raw contents only", datatype.name())));
        }
    };
    let seen: Seen = datatype.seen();
    fit(name, shape.clone(), numbers.len(), datatype).map(|()| Values::of_numbers(shape, numbers, seen))
}

fn fit(name: &str, shape: Vec<usize>, came: usize, datatype: Datatype) -> Result<(), Problem> {
    match tensor::count(&shape) == Some(came) {
        true => Ok(()),
        false => {
            let kind = datatype.name();
            Err(Problem::Request(format!("tensor {name:?}: {came} values of {kind} came, its shape is {shape:?}")))
        }
    }
}

/// The answer to a request for inference.
pub fn response(model: &Servable, id: String, outputs: Vec<Output>) -> ModelInferResponse {
    let mut response = ModelInferResponse {
        model_name: model.name.clone(),
        model_version: model.version.to_string(),
        id,
        ..ModelInferResponse::default()
    };
    let is_raw = outputs.iter().any(|output| output.is_binary);
    for output in outputs {
        let (datatype, shape) = tensor::outline(&output.answer);
        let mut tensor = InferTensor {
            name: output.name,
            datatype: datatype.name().into(),
            shape: shape.into_iter().map(|axis| axis as i64).collect(),
            ..InferTensor::default()
        };
        if is_raw {
            let mut bytes = Vec::new();
            tensor::write(&output.answer, &mut bytes);
            response.raw_output_contents.push(bytes);
        } else {
            tensor.contents = Some(contents(output.answer));
        }
        response.outputs.push(tensor);
    }
    response
}

fn contents(answer: Answer) -> Contents {
    let mut contents = Contents::default();
    match answer {
        Answer::Numbers(matrix) => contents.doubles = matrix.values,
        Answer::Labels(labels) => labels.into_iter().for_each(|label| match label {
            Label::Int(number) => contents.longs.push(number),
            Label::Float(number) => contents.doubles.push(number),
            Label::Bool(is) => contents.bools.push(is),
            Label::Text(text) => contents.bytes.push(text.into_bytes()),
        }),
    }
    contents
}

/// What a model takes and answers.
pub fn metadata(model: &Servable, versions: Vec<String>) -> ModelMetadataResponse {
    let (inputs, outputs) = super::v2::tensors(model);
    let tensor = |(name, datatype, shape): (String, Datatype, Vec<i64>)| TensorMetadata {
        name,
        datatype: datatype.name().into(),
        shape,
    };
    ModelMetadataResponse {
        name: model.name.clone(),
        versions,
        platform: model.platform.clone(),
        inputs: inputs.into_iter().map(tensor).collect(),
        outputs: outputs.into_iter().map(tensor).collect(),
    }
}

/// The same as a configuration of Triton.
pub fn config(model: &Servable) -> ModelConfig {
    let (inputs, outputs) = super::v2::tensors(model);
    let name = |tensor: &(String, Datatype, Vec<i64>)| ConfigTensor {
        name: tensor.0.clone(),
        data_type: triton_type(tensor.1).0,
        ..ConfigTensor::default()
    };
    ModelConfig {
        name: model.name.clone(),
        platform: model.platform.clone(),
        backend: "bellwether".into(),
        input: inputs.iter().map(|tensor| ConfigTensor { input_dims: tensor.2.clone(), ..name(tensor) }).collect(),
        output: outputs.iter().map(|tensor| ConfigTensor { output_dims: tensor.2.clone(), ..name(tensor) }).collect(),
        ..ModelConfig::default()
    }
}

/// Number and name of a type in Triton's configuration.
pub fn triton_type(datatype: Datatype) -> (i32, &'static str) {
    match datatype {
        Datatype::Bool => (1, "TYPE_BOOL"),
        Datatype::Uint8 => (2, "TYPE_UINT8"),
        Datatype::Uint16 => (3, "TYPE_UINT16"),
        Datatype::Uint32 => (4, "TYPE_UINT32"),
        Datatype::Uint64 => (5, "TYPE_UINT64"),
        Datatype::Int8 => (6, "TYPE_INT8"),
        Datatype::Int16 => (7, "TYPE_INT16"),
        Datatype::Int32 => (8, "TYPE_INT32"),
        Datatype::Int64 => (9, "TYPE_INT64"),
        Datatype::Fp16 => (10, "TYPE_FP16"),
        Datatype::Fp32 => (11, "TYPE_FP32"),
        Datatype::Fp64 => (12, "TYPE_FP64"),
        Datatype::Bytes => (13, "TYPE_STRING"),
        Datatype::Bf16 => (14, "TYPE_BF16"),
    }
}
