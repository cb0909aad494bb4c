//! How a model answers, for the interface.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Json,
    extract::{Path, State},
    http::Method,
};
use models::{observed::Observed, traffic::Phase};
use serde_json::{Value, json};
use serve::wire::v2;
use types::Time;

use super::{Loaded, State as Standing};
use crate::{
    auth::Permission,
    errors::ApiError,
    routes::Routes,
    state::{App, now},
};

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
    let at = now().0 / 1_000_000;
    let (mut answer, phases) = app.models.read(|book| {
        let model = book.registered(&name)?;
        let in_use = model.in_use().map(|version| version.version.to_string());
        let gates: Vec<Value> = book.gates_of(&name).map(|gate| json!(gate)).collect();
        let canary =
            model.canary().map(|(canary, percent)| json!({"version": canary.version.to_string(), "percent": percent}));
        let shadow = model.shadow().map(|shadow| shadow.version.to_string());
        let rollout = book.rollout_of(&name).map(|rollout| {
            let standing = rollout.standing(book, model, at);
            json!({
                "name": rollout.name,
                "version": standing.as_ref().map(|standing| standing.version.to_string()),
                "waits_for": standing.map(|standing| standing.why),
            })
        });
        let answer = json!({
            "model": name, "in_use": in_use, "gates": gates, "canary": canary, "shadow": shadow, "rollout": rollout,
        });
        let observed = |number: u64| book.observed(&name, number).map(observed);
        let phases = book.phases(&name)?.into_iter().rev().map(|(number, phase)| (number, phase, observed(number)));
        Ok::<_, models::Problem>((answer, phases.collect::<Vec<_>>()))
    })?;
    let loaded = app.serving.loaded();
    let of = |number: u64| loaded.iter().find(|l| l.model.name == name && l.model.version == number);
    let version = |(number, phase, observed): (u64, Phase, Option<Value>)| {
        let (state, reason) = match app.serving.state(&name, number) {
            Standing::Loaded => ("loaded", None),
            Standing::OnRequest => ("on request", None),
            Standing::Failed(why) => ("cannot be run", Some(why)),
            Standing::Unloaded => ("out of service", None),
        };
        let mut shown = json!({
            "version": number.to_string(), "phase": phase, "state": state, "reason": reason, "observed": observed,
        });
        if let Some(loaded) = of(number) {
            shown["counts"] = counts(loaded);
            shown["takes"] = tensors(v2::tensors(&loaded.model).0);
            shown["answers"] = tensors(v2::tensors(&loaded.model).1);
        }
        shown
    };
    answer["versions"] = phases.into_iter().map(version).collect();
    Ok(Json(answer))
}

fn observed(seen: &Observed) -> Value {
    json!({
        "rows": seen.rows, "labels": seen.pairs, "error_above": seen.difference, "agreement": seen.agreement,
        "findings": seen.findings,
    })
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
