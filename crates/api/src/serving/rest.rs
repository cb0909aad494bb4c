//! How a model answers, for the interface.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Json,
    extract::{Path, State},
    http::Method,
};
use serde_json::{Value, json};
use serve::wire::v2;
use types::Time;

use super::{Loaded, State as Standing};
use crate::{auth::Permission, errors::ApiError, routes::Routes, state::App};

pub fn add(routes: &mut Routes) {
    routes.add(
        Method::GET,
        "/api/v1/models/{name}/serving",
        Permission::Read,
        "How a model answers: the version in use, which versions are loaded, what was asked of them, the gates before it",
        serving,
    );
}

async fn serving(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    let (in_use, numbers, gates) = app.models.read(|book| {
        let model = book.registered(&name)?;
        let in_use = model.in_use().map(|version| version.version.to_string());
        let gates: Vec<Value> = book.gates_of(&name).map(|gate| json!(gate)).collect();
        Ok::<_, models::Problem>((in_use, model.versions.keys().rev().copied().collect::<Vec<u64>>(), gates))
    })?;
    let loaded = app.serving.loaded();
    let of = |number: u64| loaded.iter().find(|l| l.model.name == name && l.model.version == number);
    let version = |number: u64| {
        let (state, reason) = match app.serving.state(&name, number) {
            Standing::Loaded => ("loaded", None),
            Standing::OnRequest => ("on request", None),
            Standing::Failed(why) => ("cannot be run", Some(why)),
            Standing::Unloaded => ("out of service", None),
        };
        let mut shown = json!({"version": number.to_string(), "state": state, "reason": reason});
        if let Some(loaded) = of(number) {
            shown["counts"] = counts(loaded);
            shown["takes"] = tensors(v2::tensors(&loaded.model).0);
            shown["answers"] = tensors(v2::tensors(&loaded.model).1);
        }
        shown
    };
    let versions: Vec<Value> = numbers.into_iter().map(version).collect();
    Ok(Json(json!({"model": name, "in_use": in_use, "versions": versions, "gates": gates})))
}

fn counts(loaded: &Loaded) -> Value {
    let counts = &loaded.counts;
    let answered = counts.answered.load(Ordering::Relaxed);
    let mean_ms = counts.answered_ns.load(Ordering::Relaxed) as f64 / answered.max(1) as f64 * 1e-6;
    let last = counts.last_ms.load(Ordering::Relaxed);
    json!({
        "answered": answered,
        "refused": counts.refused.load(Ordering::Relaxed),
        "rows": counts.rows.load(Ordering::Relaxed),
        "mean_ms": if answered > 0 { Some(mean_ms) } else { None },
        "last": if last > 0 { Some(Time(last * 1_000_000)) } else { None },
    })
}

fn tensors(tensors: Vec<(String, serve::tensor::Datatype, Vec<i64>)>) -> Value {
    let one = |(name, datatype, shape): (String, serve::tensor::Datatype, Vec<i64>)| json!({"name": name, "datatype": datatype.name(), "shape": shape});
    tensors.into_iter().map(one).collect()
}
