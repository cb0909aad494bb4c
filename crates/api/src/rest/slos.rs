//! Service level objectives: taken as OpenSLO YAML, shown with their budgets.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::{Method, StatusCode},
};
use serde_json::{Value, json};
use types::{Slo, Tenant};

use super::{TenantQuery, say, tenant, wanted};
use crate::{auth::Permission, errors::ApiError, guard::Caller, routes::Routes, state::App};

pub fn add(routes: &mut Routes) {
    let (get, post) = (Method::GET, Method::POST);
    routes.add(get.clone(), "/api/v1/slos", Permission::Read, "Objectives and how their budgets stand", list);
    routes.add(post.clone(), "/api/v1/slos", Permission::Write, "Set objectives from OpenSLO v1 YAML", set);
    routes.add(
        post.clone(),
        "/api/v1/slos/check",
        Permission::Read,
        "What would be read of OpenSLO v1 YAML, without setting it",
        check,
    );
    routes.add(get, "/api/v1/slos/{name}", Permission::Read, "One objective and how its budget stands", one);
    routes.add(post, "/api/v1/slos/{name}/remove", Permission::Write, "Remove an objective", remove);
}

pub(crate) async fn list(State(app): State<Arc<App>>, Query(query): Query<TenantQuery>) -> Json<Value> {
    let asked = tenant(query.tenant.as_deref());
    let snapshot = app.snapshot.load_full();
    Json(snapshot.slos.iter().filter(|row| wanted(&asked, &row.slo.tenant)).map(|row| json!(row)).collect())
}

async fn one(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, ApiError> {
    let snapshot = app.snapshot.load_full();
    let row = snapshot.slos.iter().find(|row| row.slo.name == name && row.slo.tenant == caller.tenant);
    row.map(|row| Json(json!(row))).ok_or_else(|| ApiError::not_found(format!("no objective {name:?}")))
}

/// All objectives of a text, or a refusal that names every problem with its line.
fn read(body: &[u8], tenant: &Tenant) -> Result<(Vec<Slo>, Vec<String>), ApiError> {
    let text = std::str::from_utf8(body).map_err(|_| ApiError::bad_request("the body is not UTF-8"))?;
    let (mut slos, notes) = ingest::openslo::read(text).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        ApiError::bad_request(all.join("\n"))
    })?;
    slos.iter_mut().for_each(|slo| slo.tenant = tenant.clone());
    Ok((slos, notes))
}

async fn check(Extension(caller): Extension<Caller>, body: axum::body::Bytes) -> Result<Json<Value>, ApiError> {
    let (slos, notes) = read(&body, &caller.tenant)?;
    Ok(Json(json!({ "slos": slos, "notes": notes })))
}

async fn set(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let (slos, notes) = read(&body, &caller.tenant)?;
    if slos.is_empty() {
        return Err(ApiError::bad_request("no document of kind SLO in it"));
    }
    let known = app.snapshot.load_full().slos.clone();
    let is_new = |slo: &&Slo| known.iter().all(|row| row.slo.name != slo.name || row.slo.tenant != slo.tenant);
    if known.len() + slos.iter().filter(is_new).count() > engine::MOST_SLOS {
        return Err(ApiError::bad_request(format!("there would be more than {} objectives", engine::MOST_SLOS)));
    }
    for slo in &slos {
        let attributes = json!({ "slo": slo, "actor": caller.name });
        say(&app, caller.tenant.clone(), &slo.service, "slo.set", attributes).await?;
    }
    Ok((StatusCode::ACCEPTED, Json(json!({ "slos": slos, "notes": notes }))))
}

async fn remove(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Extension(caller): Extension<Caller>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let snapshot = app.snapshot.load_full();
    let row = snapshot.slos.iter().find(|row| row.slo.name == name && row.slo.tenant == caller.tenant);
    let row = row.ok_or_else(|| ApiError::not_found(format!("no objective {name:?}")))?;
    let attributes = json!({ "name": name, "actor": caller.name });
    say(&app, caller.tenant.clone(), &row.slo.service, "slo.removed", attributes).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "name": name, "said": "slo.removed" }))))
}
