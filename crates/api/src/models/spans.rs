//! Spans that come with the id of an experiment: MLflow's traces.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::HeaderMap;
use ingest::{Compression, Encoding, decompress};
use models::{
    Problem,
    mlflow::{SpanSet, receive_spans},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value as Any},
    trace::v1::{Span, span::Event},
};
use prost::Message;
use serde_json::{Map, Value, json};

use crate::{errors::ApiError, state::App};

/// Which experiment the spans belong to, by a header.
const EXPERIMENT: &str = "x-mlflow-experiment-id";
/// Which run they belong to.
const RUN: &str = "x-mlflow-run-id";

/// Takes in spans that name an experiment; others are none of ours.
pub async fn receive(
    app: &Arc<App>,
    headers: &HeaderMap,
    encoding: Encoding,
    compression: Compression,
    body: &[u8],
) -> Result<(), ApiError> {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let Some(experiment) = said(EXPERIMENT) else { return Ok(()) };
    let limit = app.ingest.limits().max_body_len;
    let body = decompress(body, compression, limit).map_err(|bad| ApiError::bad_request(bad.to_string()))?;
    let request: ExportTraceServiceRequest = match encoding {
        Encoding::Protobuf => ExportTraceServiceRequest::decode(&body[..]).map_err(|error| error.to_string()),
        Encoding::Json => serde_json::from_slice(&body).map_err(|error| error.to_string()),
    }
    .map_err(|error| ApiError::bad_request(format!("the body is not OTLP: {error}")))?;
    let run = said(RUN);
    let sets = sets(request);
    let taken = app
        .models
        .change(|book, _| sets.into_iter().try_for_each(|set| receive_spans(book, &experiment, run.as_deref(), set)));
    taken.await.map_err(|problem: Problem| ApiError::bad_request(problem.message))
}

/// The spans by trace, in MLflow's JSON.
fn sets(request: ExportTraceServiceRequest) -> Vec<SpanSet> {
    let mut sets: BTreeMap<String, SpanSet> = BTreeMap::new();
    for resource in request.resource_spans {
        let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
        let service = attributes.iter().find(|kv| kv.key == "service.name").and_then(|kv| text(kv.value.as_ref()?));
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let trace: String = span.trace_id.iter().map(|b| format!("{b:02x}")).collect();
            let set = sets.entry(trace.clone()).or_insert_with(|| SpanSet { trace, ..SpanSet::default() });
            set.service = set.service.take().or_else(|| service.clone());
            set.spans.push(shape(&span));
        }
    }
    sets.into_values().collect()
}

fn text(value: &AnyValue) -> Option<String> {
    match &value.value {
        Some(Any::StringValue(text)) => Some(text.clone()),
        _ => None,
    }
}

fn shape(span: &Span) -> Value {
    let mut shape = json!({
        "trace_id": base64(&span.trace_id), "span_id": base64(&span.span_id), "name": span.name,
        "start_time_unix_nano": span.start_time_unix_nano, "end_time_unix_nano": span.end_time_unix_nano,
        "attributes": span.attributes.iter().map(attribute).collect::<Vec<_>>(),
    });
    if span.parent_span_id.iter().any(|b| *b != 0) {
        shape["parent_span_id"] = base64(&span.parent_span_id).into();
    }
    if !span.events.is_empty() {
        let event = |event: &Event| {
            json!({"time_unix_nano": event.time_unix_nano, "name": event.name,
                "attributes": event.attributes.iter().map(plain_attribute).collect::<Vec<_>>()})
        };
        shape["events"] = span.events.iter().map(event).collect();
    }
    let code = span.status.as_ref().map_or(0, |status| status.code);
    let code =
        ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"].get(code as usize).unwrap_or(&"STATUS_CODE_UNSET");
    let mut status = Map::from_iter([("code".to_owned(), Value::from(*code))]);
    if let Some(message) = span.status.as_ref().map(|status| &status.message).filter(|message| !message.is_empty()) {
        status.insert("message".into(), message.clone().into());
    }
    shape["status"] = status.into();
    shape
}

/// An attribute of a span: MLflow sends values as JSON texts and hands them out typed.
fn attribute(kv: &KeyValue) -> Value {
    let typed = kv.value.as_ref().and_then(text).and_then(|text| serde_json::from_str::<Value>(&text).ok());
    match typed {
        Some(value) => json!({"key": kv.key, "value": of_json(&value)}),
        None => plain_attribute(kv),
    }
}

fn plain_attribute(kv: &KeyValue) -> Value {
    json!({"key": kv.key, "value": kv.value.as_ref().map_or_else(|| json!({}), any)})
}

/// Plain JSON as OTLP's value.
fn of_json(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(yes) => json!({"bool_value": yes}),
        Value::Number(number) if number.is_f64() => json!({"double_value": number}),
        Value::Number(number) => json!({"int_value": number}),
        Value::String(text) => json!({"string_value": text}),
        Value::Array(list) => json!({"array_value": {"values": list.iter().map(of_json).collect::<Vec<_>>()}}),
        Value::Object(map) => {
            let pair = |(key, value): (&String, &Value)| json!({"key": key, "value": of_json(value)});
            json!({"kvlist_value": {"values": map.iter().map(pair).collect::<Vec<_>>()}})
        }
    }
}

fn any(value: &AnyValue) -> Value {
    match &value.value {
        None => json!({}),
        Some(Any::StringValue(text)) => json!({"string_value": text}),
        Some(Any::BoolValue(yes)) => json!({"bool_value": yes}),
        Some(Any::IntValue(number)) => json!({"int_value": number}),
        Some(Any::DoubleValue(number)) => json!({"double_value": number}),
        Some(Any::BytesValue(bytes)) => json!({"bytes_value": base64(bytes)}),
        Some(Any::ArrayValue(list)) => {
            json!({"array_value": {"values": list.values.iter().map(any).collect::<Vec<_>>()}})
        }
        Some(Any::KvlistValue(list)) => {
            json!({"kvlist_value": {"values": list.values.iter().map(plain_attribute).collect::<Vec<_>>()}})
        }
        Some(_) => json!({}),
    }
}

fn base64(bytes: &[u8]) -> String {
    models::mlflow::base64(bytes)
}
