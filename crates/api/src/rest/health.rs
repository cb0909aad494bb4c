//! `/healthz`, `/readyz`, `/metrics`.

use std::{
    fmt::Write,
    sync::{Arc, atomic::Ordering},
};

use axum::{
    Json,
    extract::State,
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{auth::Permission, routes::Routes, state::App};

pub fn add(routes: &mut Routes) {
    let get = Method::GET;
    routes.add(get.clone(), "/healthz", Permission::Public, "Alive", async || "ok\n");
    routes.add(
        get.clone(),
        "/readyz",
        Permission::Public,
        "Ready once everything acknowledged is readable and judged",
        ready,
    );
    routes.add(get, "/metrics", Permission::Read, "Bellwether's own metrics in Prometheus' text format", metrics);
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let ready = app.ready.load(Ordering::Acquire);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let position = app.snapshot.load().position.0;
    (status, Json(json!({"ready": ready, "position": position, "last_position": app.store.last_position().0})))
        .into_response()
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let c = &app.counters;
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let log = &app.serving.log;
    let store = app.store.status();
    let snapshot = app.snapshot.load();
    let open =
        snapshot.incidents.iter().filter(|i| i.state != types::IncidentState::Resolved && !i.tenant.is_self()).count();
    let rows = [
        ("bellwether_requests_total", "counter", "Requests taken in", read(&c.requests_ok)),
        ("bellwether_requests_bad_total", "counter", "Requests refused as a whole", read(&c.requests_bad)),
        ("bellwether_requests_shed_total", "counter", "Requests told to come again", read(&c.requests_shed)),
        ("bellwether_samples_total", "counter", "Metric points taken in", read(&c.samples)),
        ("bellwether_records_total", "counter", "Log records taken in", read(&c.records)),
        ("bellwether_spans_total", "counter", "Spans taken in", read(&c.spans)),
        ("bellwether_events_total", "counter", "Events taken in", read(&c.events)),
        ("bellwether_rejected_total", "counter", "Items rejected with a reason", read(&c.rejected)),
        ("bellwether_decode_seconds_total", "counter", "Time spent decoding", read(&c.decode_ns) * 1e-9),
        ("bellwether_append_seconds_total", "counter", "Time requests waited for the log", read(&c.append_ns) * 1e-9),
        ("bellwether_steps_total", "counter", "Steps of the engine", read(&c.steps)),
        ("bellwether_step_seconds_total", "counter", "Time spent in steps", read(&c.step_ns) * 1e-9),
        ("bellwether_commit_seconds_total", "counter", "Time spent committing conclusions", read(&c.commit_ns) * 1e-9),
        ("bellwether_predictions_kept_total", "counter", "Rows that models were asked about, kept", read(&log.written)),
        ("bellwether_predictions_left_out_total", "counter", "Rows left out by sampling", read(&log.left_out)),
        ("bellwether_predictions_lost_total", "counter", "Rows that were to be kept and were not", read(&log.lost)),
        ("bellwether_lag_batches", "gauge", "Batches the live loop has yet to take in", read(&c.lag_batches)),
        ("bellwether_incidents_open", "gauge", "Incidents that are not resolved", open as f64),
        ("bellwether_series", "gauge", "Series known", store.series as f64),
        ("bellwether_hot_rows", "gauge", "Rows in memory", store.hot_rows as f64),
        ("bellwether_sealed_bytes", "gauge", "Bytes of sealed files", store.sealed_bytes as f64),
        ("bellwether_log_bytes", "gauge", "Bytes of the write-ahead log", store.log_bytes as f64),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in rows {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    of_models(&app, &mut text);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// What was asked of each version that is loaded.
fn of_models(app: &App, text: &mut String) {
    type Count = fn(&crate::serving::Counts) -> f64;
    let rows: [(&str, &str, Count); 4] = [
        ("bellwether_model_requests_total", "Requests that a version answered", |c| {
            c.answered.load(Ordering::Relaxed) as f64
        }),
        ("bellwether_model_refused_total", "Requests that it refused", |c| c.refused.load(Ordering::Relaxed) as f64),
        ("bellwether_model_rows_total", "Rows that it answered", |c| c.rows.load(Ordering::Relaxed) as f64),
        ("bellwether_model_seconds_total", "Time spent answering", |c| {
            c.answered_ns.load(Ordering::Relaxed) as f64 * 1e-9
        }),
    ];
    let loaded = app.serving.loaded();
    for (name, help, count) in rows {
        if loaded.is_empty() {
            return;
        }
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
        for version in &loaded {
            let (model, number) =
                (version.model.name.replace('\\', "\\\\").replace('"', "\\\""), version.model.version);
            let _ = writeln!(text, "{name}{{model=\"{model}\",version=\"{number}\"}} {}", count(&version.counts));
        }
    }
}
