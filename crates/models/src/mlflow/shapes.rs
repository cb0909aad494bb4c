//! Answers' parts, as MLflow prints them.

use serde_json::{Map, Value, json};

use crate::{
    Pairs,
    experiments::Experiment,
    logged::LoggedModel,
    registry::{RegisteredModel, Version},
    runs::{DatasetInput, Latest, Point, Run},
};

/// A list of `{"key", "value"}`.
pub(super) fn pairs(pairs: &Pairs) -> Vec<Value> {
    pairs.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

/// Puts a list where it is not empty.
fn put_list(object: &mut Map<String, Value>, name: &str, list: Vec<Value>) {
    if !list.is_empty() {
        object.insert(name.to_owned(), list.into());
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// A number; what is none is a text.
fn number(value: f64) -> Value {
    if value.is_nan() { "NaN".into() } else { value.into() }
}

/// A value of a metric.
pub fn point(key: &str, point: &Point) -> Value {
    json!({"key": key, "value": number(point.value), "timestamp": point.timestamp, "step": point.step})
}

pub(super) fn experiment(of: &Experiment) -> Value {
    let mut shape = object(json!({
        "experiment_id": of.id.to_string(), "name": of.name, "artifact_location": of.artifact_location,
        "lifecycle_stage": of.lifecycle.name(), "last_update_time": of.updated, "creation_time": of.created,
        "workspace": "default",
    }));
    put_list(&mut shape, "tags", pairs(&of.tags));
    shape.into()
}

pub(super) fn run_info(run: &Run) -> Value {
    let mut info = object(json!({
        "run_uuid": run.id, "run_id": run.id, "experiment_id": run.experiment.to_string(), "run_name": run.name,
        "user_id": run.user, "status": run.status.name(), "start_time": run.start, "artifact_uri": run.artifact_uri,
        "lifecycle_stage": run.lifecycle.name(),
    }));
    if let Some(end) = run.end.filter(|end| *end != 0) {
        info.insert("end_time".into(), end.into());
    }
    info.into()
}

fn dataset_input(of: &DatasetInput) -> Value {
    let mut dataset = object(json!({
        "name": of.name, "digest": of.digest, "source_type": of.source_type, "source": of.source,
    }));
    for (name, value) in [("schema", &of.schema), ("profile", &of.profile)] {
        if let Some(value) = value {
            dataset.insert(name.into(), value.clone().into());
        }
    }
    let mut input = Map::from_iter([("dataset".to_owned(), Value::from(dataset))]);
    put_list(&mut input, "tags", pairs(&of.tags));
    input.into()
}

/// A run; as a new one is answered it has no outputs.
pub(super) fn run(run: &Run, latest: &Latest, is_new: bool) -> Value {
    let mut data = Map::new();
    put_list(&mut data, "metrics", latest.0.iter().map(|(key, of)| point(key, of)).collect());
    put_list(&mut data, "params", pairs(&run.params));
    put_list(&mut data, "tags", pairs(&run.tags));
    let mut inputs = Map::new();
    put_list(&mut inputs, "dataset_inputs", run.datasets.iter().map(dataset_input).collect());
    put_list(&mut inputs, "model_inputs", run.model_inputs.iter().map(|id| json!({"model_id": id})).collect());
    let mut shape = object(json!({"info": run_info(run), "data": data, "inputs": inputs}));
    if !is_new {
        let mut outputs = Map::new();
        let output = |(id, step): &(String, i64)| json!({"model_id": id, "step": step});
        put_list(&mut outputs, "model_outputs", run.model_outputs.iter().map(output).collect());
        shape.insert("outputs".into(), outputs.into());
    }
    shape.into()
}

pub(super) fn logged_model(of: &LoggedModel) -> Value {
    let mut info = object(json!({
        "model_id": of.id, "experiment_id": of.experiment.to_string(), "name": of.name,
        "creation_timestamp_ms": of.created, "last_updated_timestamp_ms": of.updated, "artifact_uri": of.artifact_uri,
        "status": of.standing.name(), "model_type": of.model_type, "source_run_id": of.source_run,
    }));
    put_list(&mut info, "tags", pairs(&of.tags));
    let mut data = Map::new();
    put_list(&mut data, "params", pairs(&of.params));
    let metric = |m: &crate::logged::ModelMetric| {
        let at = Point { value: m.value.unwrap_or(f64::NAN), timestamp: m.timestamp, step: m.step };
        let mut shape = object(point(&m.key, &at));
        shape.insert("model_id".into(), of.id.clone().into());
        shape.insert("run_id".into(), m.run.clone().into());
        for (name, value) in [("dataset_name", &m.dataset_name), ("dataset_digest", &m.dataset_digest)] {
            if let Some(value) = value {
                shape.insert(name.into(), value.clone().into());
            }
        }
        shape.into()
    };
    put_list(&mut data, "metrics", of.metrics.iter().map(metric).collect());
    json!({"info": info, "data": data})
}

pub(super) fn registered(of: &RegisteredModel) -> Value {
    let mut shape = object(json!({
        "name": of.name, "creation_timestamp": of.created, "last_updated_timestamp": of.updated,
    }));
    if !of.description.is_empty() {
        shape.insert("description".into(), of.description.clone().into());
    }
    put_list(&mut shape, "latest_versions", of.latest().map(|v| version(of, v, false)).collect());
    put_list(&mut shape, "tags", pairs(&of.tags));
    let alias = |(alias, version): (&String, &u64)| json!({"alias": alias, "version": version.to_string()});
    put_list(&mut shape, "aliases", of.aliases.iter().map(alias).collect());
    shape.into()
}

/// A version; in lists it has no aliases.
pub(super) fn version(model: &RegisteredModel, of: &Version, with_aliases: bool) -> Value {
    let mut shape = object(json!({
        "name": model.name, "version": of.version.to_string(), "creation_timestamp": of.created,
        "last_updated_timestamp": of.updated, "current_stage": of.stage.name(), "description": of.description,
        "source": of.source, "run_id": of.run, "status": "READY", "run_link": of.run_link,
    }));
    put_list(&mut shape, "tags", pairs(&of.tags));
    if with_aliases {
        put_list(&mut shape, "aliases", model.aliases_of(of.version).map(Value::from).collect());
    }
    shape.into()
}
