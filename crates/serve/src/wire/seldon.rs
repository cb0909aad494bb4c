//! Seldon's first protocol: `POST /api/v1.0/predictions` and `/feedback`, and the same over gRPC.
//!
//! Source: Seldon Core's description of its external interface and of `SeldonMessage`. A classifier answers its
//! probabilities, as Seldon's own server for scikit-learn does.

use serde_json::{Map, Value, json};

use super::{invocations, json as read_json};
use crate::{Answer, Extra, Frame, Label, Method, Problem, Servable, values::Values};

/// In which form rows came, and go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `{"shape", "values"}`
    Tensor,
    /// Lists of lists.
    Lists,
    /// `jsonData`
    Json,
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    whole: Value,
}

/// What was found out later about a prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    /// The prediction, by the `puid` of its answer.
    pub puid: Option<String>,
    /// The truth, a value a row; empty: not said.
    pub truth: Vec<Value>,
    /// How good it was.
    pub reward: Option<f64>,
}

impl Message {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Problem::Request`]: what is no message.
    pub fn read(body: &[u8]) -> Result<Message, Problem> {
        Message::of(read_json::read(body)?)
    }

    /// A message that is read already.
    ///
    /// # Errors
    /// As [`Message::read`].
    pub fn of(whole: Value) -> Result<Message, Problem> {
        match whole.is_object() {
            true => Ok(Message { whole }),
            false => Err(Problem::Request("a message is an object".into())),
        }
    }

    /// What the client calls the prediction.
    pub fn puid(&self) -> Option<&str> {
        self.whole["meta"]["puid"].as_str().filter(|puid| !puid.is_empty())
    }

    /// The rows, and their form.
    ///
    /// # Errors
    /// Rows that cannot be read, or that the model does not take.
    pub fn rows(&self, model: &Servable) -> Result<(Frame, Form), Problem> {
        let data = &self.whole["data"];
        if let Some(json) = self.whole.get("jsonData").filter(|json| !json.is_null()) {
            return Ok((invocations::of_tensors(json.clone(), &model.schema)?, Form::Json));
        }
        let (values, form) = match values(data)? {
            Some(found) => found,
            None => {
                return Err(Problem::Request(
                    "a message has data.tensor, data.ndarray or jsonData; strData, binData and tftensor are not taken"
                        .into(),
                ));
            }
        };
        let names: Vec<&str> =
            data["names"].as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str).collect();
        // Names that are those of the model say the order; any other names are only labels.
        if names.len() > 1
            && names.iter().all(|name| model.schema.has(name))
            && values.shape.last() == Some(&names.len())
        {
            let columns = values.into_columns(names.len())?;
            let named = names.into_iter().map(str::to_owned).zip(columns).collect();
            return Ok((model.schema.columns(named, Extra::LeftOut)?, form));
        }
        Ok((model.schema.rows(values, true)?, form))
    }
}

fn values(data: &Value) -> Result<Option<(Values, Form)>, Problem> {
    let wrong = |error: serde_json::Error| Problem::Request(format!("data: {error}"));
    if let Some(lists) = data.get("ndarray").filter(|lists| !lists.is_null()) {
        let values: Values = serde_json::from_value(lists.clone()).map_err(wrong)?;
        return Ok(Some((values.with_spelled_numbers(), Form::Lists)));
    }
    let Some(tensor) = data.get("tensor").filter(|tensor| !tensor.is_null()) else { return Ok(None) };
    let shape: Vec<usize> = serde_json::from_value(tensor["shape"].clone()).map_err(wrong)?;
    let values: Values = serde_json::from_value(tensor["values"].clone()).map_err(wrong)?;
    let shaped = values.with_spelled_numbers().reshape(shape);
    let values = shaped.map_err(|problem| Problem::Request(format!("data.tensor: {problem}")))?;
    Ok(Some((values, Form::Tensor)))
}

/// What is asked of a model: probabilities where it has them.
pub fn method(model: &Servable) -> Method {
    model.methods().last().copied().unwrap_or(Method::Predict)
}

/// An answer, in the form in which the rows came.
pub fn answer(model: &Servable, puid: &str, answer: &Answer, form: Form) -> Value {
    let names: Vec<String> = match (answer, model.classes()) {
        (Answer::Numbers(shares), Some(classes)) if shares.columns == classes.len() => {
            classes.iter().map(Label::to_text).collect()
        }
        _ => Vec::new(),
    };
    let rows = answer.to_json();
    let mut message = json!({
        "meta": {"puid": puid, "requestPath": {&model.name: format!("bellwether:{}", model.version)}},
    });
    match (form, answer) {
        (Form::Json, _) => message["jsonData"] = Value::Array(rows),
        (Form::Tensor, Answer::Numbers(numbers)) => {
            let shape = [numbers.rows, numbers.columns];
            message["data"] = json!({"names": names, "tensor": {"shape": shape, "values": numbers.values}});
        }
        _ => message["data"] = json!({"names": names, "ndarray": rows}),
    }
    message
}

/// Reads what was found out about a prediction.
///
/// # Errors
/// [`Problem::Request`]: what is no feedback, or names no prediction.
pub fn feedback(body: &[u8]) -> Result<Feedback, Problem> {
    feedback_of(&read_json::read(body)?)
}

/// The same of what is read already.
///
/// # Errors
/// As [`feedback`].
pub fn feedback_of(body: &Value) -> Result<Feedback, Problem> {
    let body: &Map<String, Value> = body.as_object().ok_or_else(|| Problem::Request("feedback is an object".into()))?;
    let none = Value::Null;
    let part = |name: &str| body.get(name).unwrap_or(&none);
    let puid = [part("response"), part("request")].into_iter().find_map(|message| message["meta"]["puid"].as_str());
    let truth = part("truth");
    let rows = match (&truth["data"]["ndarray"], &truth["data"]["tensor"]["values"], &truth["jsonData"]) {
        (Value::Array(rows), _, _) | (_, Value::Array(rows), _) | (_, _, Value::Array(rows)) => rows.clone(),
        _ => Vec::new(),
    };
    let single = |row: Value| match row {
        Value::Array(mut row) if row.len() == 1 => row.remove(0),
        other => other,
    };
    Ok(Feedback {
        puid: puid.filter(|puid| !puid.is_empty()).map(str::to_owned),
        truth: rows.into_iter().map(single).collect(),
        reward: part("reward").as_f64(),
    })
}

/// A refusal, as Seldon's clients read it.
pub fn refusal(code: u16, reason: &str) -> Value {
    json!({"status": {"code": code, "info": reason, "reason": "MICROSERVICE_BAD_DATA", "status": "FAILURE"}})
}
