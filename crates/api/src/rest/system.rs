//! Status, journal, the demo's faults.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Json,
    extract::{Query, State},
    http::Method,
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{JournalFilter, JournalRow};

use crate::{
    auth::Permission,
    errors::ApiError,
    routes::Routes,
    state::{App, now},
};

pub fn add(routes: &mut Routes) {
    let (get, post) = (Method::GET, Method::POST);
    routes.add(get.clone(), "/api/v1/status", Permission::Read, "What the server takes in, holds and does", status);
    routes.add(get.clone(), "/api/v1/journal", Permission::Read, "Journal lines, newest first", journal);
    routes.add(get.clone(), "/api/v1/journal/head", Permission::Read, "Number and hash of the newest line", head);
    routes.add(get.clone(), "/api/v1/journal/verify", Permission::Read, "Recompute the chain", verify);
    routes.add(get, "/api/v1/demo/faults", Permission::Read, "The demo's faults", faults);
    routes.add(post, "/api/v1/demo/faults", Permission::Write, "Switch a fault of the demo on or off", set_fault);
}

async fn status(State(app): State<Arc<App>>) -> Json<Value> {
    let c = &app.counters;
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let snapshot = app.snapshot.load();
    let addresses = app
        .addresses
        .get()
        .map(|(l, g, h)| json!({"listen": l.to_string(), "otlp_grpc": g.to_string(), "otlp_http": h.to_string()}));
    let lag = if snapshot.step == 0 { 0.0 } else { now().since(snapshot.now).max(0) as f64 / 1e9 };
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": app.started,
        "uptime_s": now().since(app.started) / types::SECOND,
        "ready": app.ready.load(Ordering::Acquire),
        "addresses": addresses,
        "auth": app.config.require_auth,
        "demo": app.config.demo.get().is_some(),
        "received": {
            "requests": read(&c.requests_ok), "bad_requests": read(&c.requests_bad), "shed_requests": read(&c.requests_shed),
            "samples": read(&c.samples), "records": read(&c.records), "spans": read(&c.spans), "events": read(&c.events), "rejected": read(&c.rejected),
        },
        "judged": snapshot.counters,
        "live": {"step": snapshot.step, "now": snapshot.now, "lag_s": lag, "lag_batches": read(&c.lag_batches)},
        "store": app.store.status(),
    }))
}

#[derive(Deserialize)]
struct JournalQuery {
    before: Option<u64>,
    subject: Option<String>,
    kind: Option<types::JournalKind>,
    limit: Option<usize>,
}

async fn journal(
    State(app): State<Arc<App>>,
    Query(query): Query<JournalQuery>,
) -> Result<Json<Vec<JournalRow>>, ApiError> {
    let filter = JournalFilter {
        before: query.before,
        subject: query.subject,
        kind: query.kind,
        limit: query.limit.unwrap_or(100).min(1000),
    };
    Ok(Json(app.store.journal(filter).await?))
}

async fn head(State(app): State<Arc<App>>) -> Result<Json<store::JournalHead>, ApiError> {
    Ok(Json(app.store.journal_head().await?))
}

async fn verify(State(app): State<Arc<App>>) -> Result<Json<store::JournalCheck>, ApiError> {
    Ok(Json(app.store.verify_journal().await?))
}

fn demo(app: &App) -> Result<&shop::DemoControl, ApiError> {
    app.config
        .demo
        .get()
        .ok_or_else(|| ApiError::not_found("this server runs no demo: start it with `bellwether demo`"))
}

async fn faults(State(app): State<Arc<App>>) -> Result<Json<Vec<shop::FaultInfo>>, ApiError> {
    Ok(Json(demo(&app)?.list()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetFault {
    name: String,
    on: bool,
}

async fn set_fault(State(app): State<Arc<App>>, body: axum::body::Bytes) -> Result<Json<shop::FaultInfo>, ApiError> {
    let said: SetFault = serde_json::from_slice(&body)
        .map_err(|e| ApiError::bad_request(format!("the body must be {{\"name\":\"…\",\"on\":true}}: {e}")))?;
    demo(&app)?.set(&said.name, said.on).await.map(Json).map_err(|error| match error {
        shop::FaultError::Unknown(_) => ApiError::not_found(error.to_string()),
        shop::FaultError::Failed { .. } => ApiError::unavailable(error.to_string()),
    })
}
