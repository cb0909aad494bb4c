//! Why a model answers so: `POST /v1/models/NAME:explain` of KServe's first protocol, and `POST /api/v1.0/explain` of
//! Seldon's.
//!
//! Sources: KServe's description of its V1 data plane, which leaves open what an explanation is; Seldon's explainers
//! answer what Alibi writes of its TreeShap, and that is answered here. A linear model whose file does not say the mean
//! of its inputs takes rows to compare with as `reference`, written as what is explained: a body of KServe's has them
//! beside `instances`, a message of Seldon's has there a message.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{json as read_json, seldon, tensorflow};
use crate::explain::How;
use crate::{Explanation, Frame, Problem, Servable};

#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    reference: Option<Value>,
}

/// Answers KServe's `:explain`. The body is that of `:predict`, and so is `predictions` of the answer. Beside it stand
/// `explanations`, one a row: `base_values` (a number an output), `values` (for each output a number an input, in the
/// order of `inputs`) and `scores` (for each output the sum of both). `space` says what these numbers are.
///
/// # Errors
/// [`Problem::Request`], [`Problem::Rows`]: what cannot be read, or rows that the model does not take;
/// [`Problem::Unsupported`]: a model that cannot be explained.
pub fn kserve(body: &[u8], model: &Servable) -> Result<Vec<u8>, Problem> {
    let asked = tensorflow::predict(body, model)?;
    let reference = read_json::read::<Reference>(body)?.reference;
    let reference = reference.map(|rows| tensorflow::instances(rows, model)).transpose()?;
    let explained = model.explain(&asked.rows, reference.as_ref())?;
    let row = |row: usize| json!({"base_values": explained.base, "values": values(&explained, row), "scores": explained.scores.row(row)});
    let rows: Vec<Value> = (0..explained.scores.rows).map(row).collect();
    let answer = json!({
        "predictions": model.ask(&asked.rows, asked.method)?.to_json(),
        "explanations": rows,
        "inputs": explained.inputs,
        "outputs": explained.outputs,
        "space": explained.space.name(),
    });
    Ok(answer.to_string().into_bytes())
}

/// Answers Seldon's `/explain`. The body is a message as for predictions; the answer is what Alibi's TreeShap writes:
/// `data.shap_values` has for each output a list of rows, `data.expected_value` a number an output.
///
/// # Errors
/// As [`kserve`].
pub fn seldon(body: &[u8], model: &Servable) -> Result<Vec<u8>, Problem> {
    let whole: Value = read_json::read(body)?;
    let reference = whole.get("reference").filter(|reference| !reference.is_null()).cloned();
    let rows_of = |message: Value| -> Result<Frame, Problem> { Ok(seldon::Message::of(message)?.rows(model)?.0) };
    let reference = reference.map(rows_of).transpose()?;
    let rows = rows_of(whole)?;
    let explained = model.explain(&rows, reference.as_ref())?;
    let of_output = |output: usize| (0..rows.rows).map(|row| explained.of(row, output)).collect::<Vec<_>>();
    let shap_values: Vec<_> = (0..explained.outputs.len()).map(of_output).collect();
    let scores: Vec<&[f64]> = (0..rows.rows).map(|row| explained.scores.row(row)).collect();
    let name = match explained.how {
        How::Trees => "TreeShap",
        How::Linear => "LinearShap",
    };
    let answer = json!({
        "meta": {
            "name": name,
            "type": ["whitebox"],
            "task": if model.classes().is_some() { "classification" } else { "regression" },
            "explanations": ["local"],
            "params": {"model_output": "raw", "space": explained.space.name()},
            "version": format!("bellwether:{}", model.version),
        },
        "data": {
            "shap_values": shap_values,
            "expected_value": explained.base,
            "categorical_names": {},
            "feature_names": explained.inputs,
            "target_names": explained.outputs,
            "raw": {"raw_prediction": scores, "prediction": model.ask(&rows, model.method)?.to_json()},
        },
    });
    Ok(answer.to_string().into_bytes())
}

fn values(explained: &Explanation, row: usize) -> Vec<&[f64]> {
    (0..explained.outputs.len()).map(|output| explained.of(row, output)).collect()
}
