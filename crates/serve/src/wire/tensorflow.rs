//! TensorFlow Serving over HTTP: `/v1/models/NAME[/versions/N|/labels/L]:predict`, `:classify`, `:regress`, status and
//! metadata. KServe's first protocol is a part of it.
//!
//! Source: TensorFlow Serving's description of its REST interface.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    invocations::{of_tensors, push_rows},
    json as read_json, v2,
};
use crate::{Answer, Frame, Label, Method, Problem, Servable, tensor::Datatype};

/// The name of the signature where none is said.
pub const DEFAULT: &str = "serving_default";

/// A request for predictions.
#[derive(Clone, Debug, PartialEq)]
pub struct Predict {
    /// What of the model.
    pub method: Method,
    /// The rows.
    pub rows: Frame,
    /// Whether rows came one by one (`instances`), and not as columns (`inputs`).
    pub by_row: bool,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    signature_name: String,
    #[serde(default)]
    instances: Option<Value>,
    #[serde(default)]
    inputs: Option<Value>,
}

#[derive(Deserialize)]
struct Examples {
    #[serde(default)]
    signature_name: String,
    #[serde(default)]
    context: Map<String, Value>,
    examples: Vec<Map<String, Value>>,
}

/// The method that a signature is.
///
/// # Errors
/// [`Problem::Request`]: a signature that the model does not have.
pub fn method(signature: &str, model: &Servable) -> Result<Method, Problem> {
    if signature.is_empty() || signature == DEFAULT {
        return Ok(model.method);
    }
    let known = Method::of(signature).filter(|method| model.methods().contains(method));
    known.ok_or_else(|| Problem::Request(format!("Serving signature name: \"{signature}\" not found in signature def")))
}

/// A request for predictions.
///
/// # Errors
/// [`Problem::Request`], [`Problem::Rows`]: what cannot be read, or rows that the model does not take.
pub fn predict(body: &[u8], model: &Servable) -> Result<Predict, Problem> {
    let body: Body = read_json::read(body)?;
    let method = method(&body.signature_name, model)?;
    let (value, by_row) = match (body.instances, body.inputs) {
        (Some(instances), None) => (instances, true),
        (None, Some(inputs)) => (inputs, false),
        (Some(_), Some(_)) => return Err(Problem::Request("a body has instances or inputs, not both".into())),
        (None, None) => return Err(Problem::Request("Missing 'inputs' or 'instances' key".into())),
    };
    let rows = if by_row { instances(value, model)? } else { of_tensors(value, &model.schema)? };
    Ok(Predict { method, rows, by_row })
}

/// Rows that came one by one.
///
/// # Errors
/// As [`predict`].
pub(super) fn instances(value: Value, model: &Servable) -> Result<Frame, Problem> {
    match value.is_array() {
        true => of_tensors(table(value, model), &model.schema),
        false => Err(Problem::Request("instances is a list with a row in each place".into())),
    }
}

/// A list of single values is a row each for a model of one input, and not one row of many.
fn table(instances: Value, model: &Servable) -> Value {
    match instances {
        Value::Array(rows)
            if model.schema.width() != 1 && rows.iter().all(|row| !row.is_array() && !row.is_object()) =>
        {
            Value::Array(rows.into_iter().map(|row| Value::Array(vec![row])).collect())
        }
        other => other,
    }
}

/// Predictions, in the form in which they were asked.
pub fn predictions(answer: &Answer, by_row: bool) -> Vec<u8> {
    let mut out = if by_row { b"{\"predictions\": ".to_vec() } else { b"{\"outputs\": ".to_vec() };
    push_rows(&mut out, answer);
    out.push(b'}');
    out
}

/// The rows of `:classify` and `:regress`, and the signature that is asked for.
///
/// # Errors
/// As [`predict`].
pub fn examples(body: &[u8], model: &Servable) -> Result<Frame, Problem> {
    let body: Examples = read_json::read(body)?;
    method(&body.signature_name, model)?;
    let with_context = |example: Map<String, Value>| {
        let mut whole = body.context.clone();
        whole.extend(example);
        Value::Object(whole)
    };
    of_tensors(Value::Array(body.examples.into_iter().map(with_context).collect()), &model.schema)
}

/// Classes with their scores, for each row.
///
/// # Errors
/// [`Problem::Rows`]: of a model that is no classifier.
pub fn classify(model: &Servable, rows: &Frame) -> Result<Vec<Vec<(String, f64)>>, Problem> {
    let Answer::Numbers(shares) = model.ask(rows, Method::Probabilities)? else { return Ok(Vec::new()) };
    let names: Vec<String> = model.classes().unwrap_or_default().iter().map(Label::to_text).collect();
    let of_row = |row: usize| names.iter().cloned().zip(shares.row(row).iter().copied()).collect();
    Ok((0..shares.rows).map(of_row).collect())
}

/// A number for each row.
///
/// # Errors
/// [`Problem::Rows`]: of a model that answers classes, or several numbers.
pub fn regress(model: &Servable, rows: &Frame) -> Result<Vec<f64>, Problem> {
    match model.ask(rows, Method::Predict)? {
        Answer::Numbers(matrix) if matrix.columns == 1 => Ok(matrix.values),
        _ => Err(Problem::Rows("regress is asked of a model that does not answer one number a row".into())),
    }
}

/// Answers of `:classify` as JSON.
pub fn classified(rows: &[Vec<(String, f64)>]) -> Value {
    let row = |row: &Vec<(String, f64)>| row.iter().map(|(label, score)| json!([label, score])).collect::<Vec<_>>();
    json!({"results": rows.iter().map(row).collect::<Vec<_>>()})
}

/// What a model takes and answers, as `…/metadata` says it.
pub fn metadata(model: &Servable) -> Value {
    let mut signatures = Map::new();
    for (name, method) in signatures_of(model) {
        let (inputs, outputs) = of_method(model, method);
        let infos = |tensors: Vec<(String, Datatype, Vec<i64>)>| {
            tensors
                .into_iter()
                .map(|(name, datatype, shape)| (name.clone(), info(&name, datatype, &shape)))
                .collect::<Map<_, _>>()
        };
        signatures.insert(
            name.to_owned(),
            json!({
                "inputs": infos(inputs),
                "outputs": infos(outputs),
                "method_name": "tensorflow/serving/predict",
                "defaults": {},
            }),
        );
    }
    json!({
        "model_spec": {"name": model.name, "signature_name": "", "version": model.version.to_string()},
        "metadata": {"signature_def": {"signature_def": signatures}},
    })
}

/// Names of signatures, with what each asks for.
pub fn signatures_of(model: &Servable) -> Vec<(&'static str, Method)> {
    let own = model.methods().iter().map(|method| (method.name(), *method));
    std::iter::once((DEFAULT, model.method)).chain(own).collect()
}

/// Inputs, and the output of a method.
pub fn of_method(
    model: &Servable,
    method: Method,
) -> (Vec<(String, Datatype, Vec<i64>)>, Vec<(String, Datatype, Vec<i64>)>) {
    let (inputs, outputs) = v2::tensors(model);
    (inputs, outputs.into_iter().filter(|(name, _, _)| name == method.name()).collect())
}

fn info(name: &str, datatype: Datatype, shape: &[i64]) -> Value {
    let dims: Vec<Value> = shape.iter().map(|size| json!({"size": size.to_string(), "name": ""})).collect();
    json!({
        "dtype": super::tensorflow_grpc::type_of(datatype).1,
        "tensor_shape": {"dim": dims, "unknown_rank": false},
        "name": format!("{name}:0"),
    })
}
