//! Seldon's first protocol over gRPC: `seldon.protos.Seldon`, its messages turned into those of HTTP and back.

// The names are those of the interface.
#![allow(missing_docs)]

use std::collections::HashMap;

use prost::{Message, Oneof};
use serde_json::{Map, Value as Json, json};

/// Deeper values are left out.
const DEPTH: usize = 32;

#[derive(Clone, PartialEq, Message)]
pub struct SeldonMessage {
    #[prost(message, optional, tag = "2")]
    pub meta: Option<Meta>,
    #[prost(oneof = "Data", tags = "3, 4, 5, 6")]
    pub data: Option<Data>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Data {
    #[prost(message, tag = "3")]
    Data(DefaultData),
    #[prost(bytes = "vec", tag = "4")]
    Bin(Vec<u8>),
    #[prost(string, tag = "5")]
    Text(String),
    #[prost(message, tag = "6")]
    Json(Value),
}

#[derive(Clone, PartialEq, Message)]
pub struct Meta {
    #[prost(string, tag = "1")]
    pub puid: String,
    #[prost(map = "string, string", tag = "4")]
    pub request_path: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct DefaultData {
    #[prost(string, repeated, tag = "1")]
    pub names: Vec<String>,
    #[prost(oneof = "Rows", tags = "2, 3")]
    pub rows: Option<Rows>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Rows {
    #[prost(message, tag = "2")]
    Tensor(Tensor),
    #[prost(message, tag = "3")]
    Lists(List),
}

#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(int32, repeated, tag = "1")]
    pub shape: Vec<i32>,
    #[prost(double, repeated, tag = "2")]
    pub values: Vec<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct List {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Struct {
    #[prost(map = "string, message", tag = "1")]
    pub fields: HashMap<String, Value>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Kind {
    #[prost(int32, tag = "1")]
    Null(i32),
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Bool(bool),
    #[prost(message, tag = "5")]
    Struct(Struct),
    #[prost(message, tag = "6")]
    List(List),
}

#[derive(Clone, PartialEq, Message)]
pub struct Feedback {
    #[prost(message, optional, tag = "1")]
    pub request: Option<SeldonMessage>,
    #[prost(message, optional, tag = "2")]
    pub response: Option<SeldonMessage>,
    #[prost(float, tag = "3")]
    pub reward: f32,
    #[prost(message, optional, tag = "4")]
    pub truth: Option<SeldonMessage>,
}

impl SeldonMessage {
    /// As HTTP has it.
    pub fn to_json(&self) -> Json {
        let mut whole = json!({});
        if let Some(meta) = &self.meta {
            whole["meta"] = json!({"puid": meta.puid});
        }
        match &self.data {
            Some(Data::Data(data)) => {
                whole["data"] = json!({"names": data.names});
                match &data.rows {
                    Some(Rows::Tensor(tensor)) => {
                        whole["data"]["tensor"] = json!({"shape": tensor.shape, "values": tensor.values});
                    }
                    Some(Rows::Lists(lists)) => whole["data"]["ndarray"] = lists.to_json(DEPTH),
                    None => {}
                }
            }
            Some(Data::Json(value)) => whole["jsonData"] = value.to_json(DEPTH),
            Some(Data::Text(text)) => whole["strData"] = text.as_str().into(),
            Some(Data::Bin(_)) | None => {}
        }
        whole
    }

    /// From what HTTP has.
    pub fn of_json(whole: &Json) -> SeldonMessage {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let path = whole["meta"]["requestPath"].as_object().cloned().unwrap_or_default();
        let meta = Meta {
            puid: text(&whole["meta"]["puid"]),
            request_path: path.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        };
        let data = match (&whole["data"], &whole["jsonData"]) {
            (Json::Object(data), _) => Some(Data::Data(data_of(data))),
            (_, Json::Null) => None,
            (_, json) => Some(Data::Json(Value::of_json(json))),
        };
        SeldonMessage { meta: Some(meta), data }
    }
}

fn data_of(data: &Map<String, Json>) -> DefaultData {
    let texts = |list: Option<&Json>| {
        let list = list.and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let rows = match (data.get("tensor"), data.get("ndarray").and_then(Json::as_array)) {
        (Some(tensor), _) => Some(Rows::Tensor(Tensor {
            shape: numbers(&tensor["shape"]).map(|axis| axis as i32).collect(),
            values: numbers(&tensor["values"]).collect(),
        })),
        (None, Some(lists)) => Some(Rows::Lists(List { values: lists.iter().map(Value::of_json).collect() })),
        (None, None) => None,
    };
    DefaultData { names: texts(data.get("names")), rows }
}

fn numbers(list: &Json) -> impl Iterator<Item = f64> {
    list.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(|value| value.as_f64().unwrap_or(f64::NAN))
}

impl List {
    fn to_json(&self, depth: usize) -> Json {
        self.values.iter().map(|value| value.to_json(depth)).collect()
    }
}

impl Value {
    fn to_json(&self, depth: usize) -> Json {
        match &self.kind {
            None | Some(Kind::Null(_)) => Json::Null,
            // What JSON lacks is spelled.
            Some(Kind::Number(number)) if number.is_nan() => "NaN".into(),
            Some(Kind::Number(number)) if number.is_infinite() => {
                if *number > 0.0 {
                    "Infinity".into()
                } else {
                    "-Infinity".into()
                }
            }
            // Every number is a double here: whole ones are whole.
            Some(Kind::Number(number)) if number.fract() == 0.0 && number.abs() < 9e15 => (*number as i64).into(),
            Some(Kind::Number(number)) => (*number).into(),
            Some(Kind::Text(text)) => text.as_str().into(),
            Some(Kind::Bool(is)) => (*is).into(),
            Some(Kind::Struct(_) | Kind::List(_)) if depth == 0 => Json::Null,
            Some(Kind::Struct(fields)) => {
                let fields = fields.fields.iter().map(|(name, value)| (name.clone(), value.to_json(depth - 1)));
                Json::Object(fields.collect())
            }
            Some(Kind::List(list)) => list.to_json(depth - 1),
        }
    }

    fn of_json(json: &Json) -> Value {
        let kind = match json {
            Json::Null => Kind::Null(0),
            Json::Bool(is) => Kind::Bool(*is),
            Json::Number(number) => Kind::Number(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Kind::Text(text.clone()),
            Json::Array(list) => Kind::List(List { values: list.iter().map(Value::of_json).collect() }),
            Json::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), Value::of_json(value))).collect();
                Kind::Struct(Struct { fields })
            }
        };
        Value { kind: Some(kind) }
    }
}

impl Feedback {
    /// As HTTP has it.
    pub fn to_json(&self) -> Json {
        let message = |message: &Option<SeldonMessage>| message.as_ref().map_or(Json::Null, SeldonMessage::to_json);
        json!({
            "request": message(&self.request),
            "response": message(&self.response),
            "reward": self.reward,
            "truth": message(&self.truth),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_went() {
        for whole in [
            json!({"meta": {"puid": "p"}, "data": {"names": ["a"], "tensor": {"shape": [1, 1], "values": [1.5]}}}),
            json!({"meta": {"puid": ""}, "data": {"names": [], "ndarray": [[1, "x", null, true]]}}),
            json!({"meta": {"puid": "p"}, "jsonData": {"a": [1, {"b": 2.5}]}}),
        ] {
            assert_eq!(SeldonMessage::of_json(&whole).to_json(), whole);
        }
    }

    #[test]
    fn deep_values_end() {
        let mut value = Value { kind: Some(Kind::Number(1.0)) };
        for _ in 0..100 {
            value = Value { kind: Some(Kind::List(List { values: vec![value] })) };
        }
        assert!(value.to_json(DEPTH).to_string().contains("null"));
    }
}
