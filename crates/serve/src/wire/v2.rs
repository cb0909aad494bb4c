//! The Open Inference Protocol, version 2, over HTTP: what clients of Triton, KServe and MLServer speak, with Triton's
//! extension for binary tensors.
//!
//! Source: the protocol's specification and Triton's protocol extensions.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json};

use super::json;
use crate::{
    Answer, Answers, Extra, Frame, Kind, Label, Method, Problem, Schema, Servable,
    tensor::{self, Datatype},
    values::{Cells, Values},
};

/// What the one tensor of a model without named inputs is called.
pub const INPUT: &str = "input";

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What the client calls it.
    pub id: Option<String>,
    /// The tensors.
    pub inputs: Vec<Tensor>,
    /// Which outputs are wanted; empty: the usual one.
    pub outputs: Vec<Wanted>,
    /// Whether outputs that do not say come as bytes.
    pub is_binary: bool,
}

/// An input.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its values.
    pub values: Values,
}

/// An output that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What of the model.
    pub method: Method,
    /// What the client calls it.
    pub name: String,
    /// Whether it comes as bytes; `None`: as the request says.
    pub is_binary: Option<bool>,
    /// So many of the highest classes with their scores, as texts; 0: the values.
    pub classes: usize,
}

/// An answer on its way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// What the model answered.
    pub answer: Answer,
    /// Whether it goes as bytes.
    pub is_binary: bool,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    parameters: Option<Parameters>,
    #[serde(borrow)]
    inputs: Vec<Input<'a>>,
    #[serde(default, borrow)]
    outputs: Option<Vec<OutputAsked<'a>>>,
}

#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    shape: Vec<i64>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    #[serde(default)]
    parameters: Option<Parameters>,
    #[serde(default)]
    data: Option<Values>,
}

#[derive(Deserialize)]
struct OutputAsked<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    parameters: Option<Parameters>,
}

#[derive(Default, Deserialize)]
struct Parameters {
    #[serde(default)]
    binary_data_size: Option<usize>,
    #[serde(default)]
    binary_data: Option<bool>,
    #[serde(default)]
    binary_data_output: Option<bool>,
    #[serde(default)]
    classification: Option<usize>,
    #[serde(default)]
    shared_memory_region: Option<String>,
}

/// Reads a body; `json_bytes` is where JSON ends and the bytes of tensors begin, as `Inference-Header-Content-Length`
/// says.
///
/// # Errors
/// [`Problem::Request`]: what cannot be read, or tensors whose values do not fit their shape.
pub fn read(body: &[u8], json_bytes: Option<usize>) -> Result<Asked, Problem> {
    let split = json_bytes.unwrap_or(body.len());
    let (text, mut rest) = body.split_at_checked(split).ok_or_else(|| {
        let came = body.len();
        Problem::Request(format!("Inference-Header-Content-Length says {split} bytes of JSON, {came} bytes came"))
    })?;
    // Borrowed names need no second reading for numbers that JSON lacks: that way owns its text.
    let body: Body<'_> = match serde_json::from_slice(text) {
        Ok(body) => body,
        Err(_) => return spelled(text, rest),
    };
    asked(body, &mut rest)
}

fn spelled(text: &[u8], mut rest: &[u8]) -> Result<Asked, Problem> {
    let value: Value = json::read(text)?;
    let text = value.to_string();
    let body = serde_json::from_str(&text);
    let wrong = |error: serde_json::Error| Problem::Request(format!("not a request for inference: {error}"));
    asked(body.map_err(wrong)?, &mut rest)
}

fn asked(body: Body<'_>, rest: &mut &[u8]) -> Result<Asked, Problem> {
    let inputs = body.inputs.into_iter().map(|input| tensor_of(input, rest)).collect::<Result<Vec<_>, _>>()?;
    if !rest.is_empty() {
        return Err(Problem::Request(format!("{} bytes are left after the last tensor", rest.len())));
    }
    let outputs = body.outputs.unwrap_or_default().into_iter().map(|output| {
        let parameters = output.parameters.unwrap_or_default();
        let mut wanted = Wanted::of(&output.name)?;
        wanted.is_binary = parameters.binary_data;
        wanted.classes = parameters.classification.unwrap_or(0);
        no_shared_memory(&parameters)?;
        Ok(wanted)
    });
    let id = body.id.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
    Ok(Asked {
        id: id.filter(|id| !id.is_empty() && id != "null"),
        inputs,
        outputs: outputs.collect::<Result<_, Problem>>()?,
        is_binary: body.parameters.and_then(|parameters| parameters.binary_data_output).unwrap_or(false),
    })
}

fn no_shared_memory(parameters: &Parameters) -> Result<(), Problem> {
    match &parameters.shared_memory_region {
        Some(_) => Err(Problem::Request("shared memory is not supported: send the tensor in the request".into())),
        None => Ok(()),
    }
}

fn tensor_of(input: Input<'_>, rest: &mut &[u8]) -> Result<Tensor, Problem> {
    let name = input.name.into_owned();
    let datatype = Datatype::of(&input.datatype)?;
    let shape = tensor::shape(&input.shape)?;
    let parameters = input.parameters.unwrap_or_default();
    no_shared_memory(&parameters)?;
    let values = match (parameters.binary_data_size, input.data) {
        (Some(_), Some(_)) => {
            return Err(Problem::Request(format!("tensor {name:?} has both data and binary_data_size")));
        }
        (None, None) => return Err(Problem::Request(format!("tensor {name:?} has no data"))),
        (Some(bytes), None) => {
            let (own, after) = rest.split_at_checked(bytes).ok_or_else(|| {
                Problem::Request(format!("tensor {name:?} has {bytes} bytes, {} are left", rest.len()))
            })?;
            *rest = after;
            tensor::read(&name, datatype, shape, own)?
        }
        (None, Some(values)) => {
            let of_shape = values.reshape(shape);
            let in_words = |problem: Problem| match problem {
                Problem::Rows(what) => Problem::Request(format!("tensor {name:?}: {what}")),
                other => other,
            };
            written_as(datatype, of_shape.map_err(in_words)?)
        }
    };
    Ok(Tensor { name, values })
}

/// Values of JSON, where numbers may be spelled.
fn written_as(datatype: Datatype, values: Values) -> Values {
    if datatype == Datatype::Bytes { values } else { values.with_spelled_numbers() }
}

impl Wanted {
    /// The output of a name.
    ///
    /// # Errors
    /// A name of nothing that models have.
    pub fn of(name: &str) -> Result<Wanted, Problem> {
        let known = || {
            format!(
                "there is no output {name:?}: models answer \"predict\" and, if they are classifiers, \"predict_proba\""
            )
        };
        let method = Method::of(name).ok_or_else(|| Problem::Request(known()))?;
        Ok(Wanted { method, name: name.to_owned(), is_binary: None, classes: 0 })
    }
}

impl Asked {
    /// The rows that are asked about.
    ///
    /// # Errors
    /// [`Problem::Rows`]: tensors that the model does not take.
    pub fn rows(&mut self, model: &Servable) -> Result<Frame, Problem> {
        rows(&model.schema, std::mem::take(&mut self.inputs))
    }

    /// Asks the model for the outputs that are wanted.
    ///
    /// # Errors
    /// [`Problem::Rows`]: rows that the model does not take, or an output that it does not have.
    pub fn answer(&self, model: &Servable, rows: &Frame) -> Result<Vec<Output>, Problem> {
        if self.outputs.is_empty() {
            let answer = model.ask(rows, model.method)?;
            return Ok(vec![Output { name: model.method.name().into(), answer, is_binary: self.is_binary }]);
        }
        let output = |wanted: &Wanted| {
            let answer = match wanted.classes {
                0 => model.ask(rows, wanted.method)?,
                most => highest(model, rows, most)?,
            };
            Ok(Output { name: wanted.name.clone(), answer, is_binary: wanted.is_binary.unwrap_or(self.is_binary) })
        };
        self.outputs.iter().map(output).collect()
    }
}

/// The rows that tensors hold: one table, or a tensor a column.
///
/// # Errors
/// [`Problem::Rows`]: tensors that a model of this schema does not take.
pub fn rows(schema: &Schema, mut inputs: Vec<Tensor>) -> Result<Frame, Problem> {
    if inputs.is_empty() {
        return Err(Problem::Rows("no tensor came".into()));
    }
    if let [only] = inputs.as_slice()
        && !schema.has(&only.name)
    {
        return schema.rows(inputs.remove(0).values, false);
    }
    let column = |tensor: Tensor| {
        let Tensor { name, values } = tensor;
        let is_column = matches!(values.shape.as_slice(), [_] | [_, 1]);
        if !is_column {
            let says = format!("tensor {name:?} has shape {:?}; a column has [rows] or [rows, 1]", values.shape);
            return Err(Problem::Rows(says));
        }
        let cells: Cells = match values.is_empty() {
            true => Cells::none(),
            false => values.into_columns(1)?.remove(0),
        };
        Ok((name, cells))
    };
    schema.columns(inputs.into_iter().map(column).collect::<Result<_, _>>()?, Extra::Refused)
}

/// Triton's classification extension: `score:index:label`, the highest first.
fn highest(model: &Servable, rows: &Frame, most: usize) -> Result<Answer, Problem> {
    let Answer::Numbers(shares) = model.ask(rows, Method::Probabilities)? else {
        return Err(Problem::Rows("this model gives no scores".into()));
    };
    let classes = model.classes().unwrap_or_default();
    let mut labels = Vec::new();
    for row in 0..shares.rows {
        let mut order: Vec<usize> = (0..shares.columns).collect();
        order.sort_by(|a, b| shares.row(row)[*b].total_cmp(&shares.row(row)[*a]));
        for class in order.into_iter().take(most) {
            let name = classes.get(class).map_or_else(String::new, Label::to_text);
            labels.push(Label::Text(format!("{:.6}:{class}:{name}", shares.row(row)[class])));
        }
    }
    Ok(Answer::Labels(labels))
}

/// A body of answers, and where its JSON ends if bytes follow.
pub fn write(model: &Servable, id: &str, outputs: &[Output]) -> (Vec<u8>, Option<usize>) {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"model_name\":");
    push_json(&mut out, &model.name);
    out.extend_from_slice(format!(",\"model_version\":\"{}\",\"id\":", model.version).as_bytes());
    push_json(&mut out, id);
    out.extend_from_slice(b",\"outputs\":[");
    let mut bytes = Vec::new();
    for (at, output) in outputs.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let (datatype, shape) = tensor::outline(&output.answer);
        out.extend_from_slice(b"{\"name\":");
        push_json(&mut out, &output.name);
        out.extend_from_slice(format!(",\"datatype\":\"{}\",\"shape\":{shape:?}", datatype.name()).as_bytes());
        if output.is_binary {
            let before = bytes.len();
            tensor::write(&output.answer, &mut bytes);
            let size = bytes.len() - before;
            out.extend_from_slice(format!(",\"parameters\":{{\"binary_data_size\":{size}}}}}").as_bytes());
        } else {
            out.extend_from_slice(b",\"data\":[");
            push_values(&mut out, &output.answer);
            out.extend_from_slice(b"]}");
        }
    }
    out.extend_from_slice(b"]}");
    let json_bytes = (!bytes.is_empty()).then_some(out.len());
    out.extend_from_slice(&bytes);
    (out, json_bytes)
}

fn push_json(out: &mut Vec<u8>, text: &str) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

fn push_values(out: &mut Vec<u8>, answer: &Answer) {
    let mut first = true;
    let mut comma = |out: &mut Vec<u8>| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
    };
    match answer {
        Answer::Numbers(matrix) => {
            for value in &matrix.values {
                comma(out);
                let _ = serde_json::to_writer(&mut *out, value);
            }
        }
        Answer::Labels(labels) => {
            for label in labels {
                comma(out);
                let _ = serde_json::to_writer(&mut *out, &label.to_json());
            }
        }
    }
}

/// What a model takes and answers, as `GET /v2/models/NAME` says it.
pub fn metadata(model: &Servable, versions: &[String]) -> Value {
    let tensor = |tensor: &(String, Datatype, Vec<i64>)| json!({"name": tensor.0, "datatype": tensor.1.name(), "shape": tensor.2});
    let (inputs, outputs) = tensors(model);
    json!({
        "name": model.name,
        "versions": versions,
        "platform": model.platform,
        "inputs": inputs.iter().map(tensor).collect::<Vec<_>>(),
        "outputs": outputs.iter().map(tensor).collect::<Vec<_>>(),
    })
}

/// Names, types and shapes of inputs and outputs; -1: any number of rows.
pub fn tensors(model: &Servable) -> (Vec<(String, Datatype, Vec<i64>)>, Vec<(String, Datatype, Vec<i64>)>) {
    let inputs = match &model.schema {
        Schema::Matrix { width, kind } => vec![(INPUT.to_owned(), datatype(*kind), vec![-1, *width as i64])],
        Schema::Columns(fields) => {
            fields.iter().map(|field| (field.name.clone(), datatype(field.kind), vec![-1, 1])).collect()
        }
    };
    let answers = match model.answers {
        Answers::Classes(kind) => (datatype(kind), vec![-1]),
        Answers::Numbers(1) => (Datatype::Fp64, vec![-1]),
        Answers::Numbers(columns) => (Datatype::Fp64, vec![-1, columns as i64]),
    };
    let mut outputs = vec![(Method::Predict.name().to_owned(), answers.0, answers.1)];
    if let Some(classes) = model.classes() {
        let name = Method::Probabilities.name().to_owned();
        outputs.push((name, Datatype::Fp64, vec![-1, classes.len() as i64]));
    }
    (inputs, outputs)
}

fn datatype(kind: Kind) -> Datatype {
    match kind {
        Kind::Boolean => Datatype::Bool,
        Kind::Integer => Datatype::Int32,
        Kind::Long => Datatype::Int64,
        Kind::Float => Datatype::Fp32,
        Kind::Double | Kind::Any => Datatype::Fp64,
        Kind::Text => Datatype::Bytes,
    }
}
