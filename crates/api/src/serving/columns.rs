//! Each column of a version then and now, for the interface: its first rows against those of a stretch of time.

use std::sync::Arc;

use analyze::detect::models::columns::{Compared, compare};
use axum::{
    Json,
    extract::{Path, Query, State},
    http::Method,
};
use models::serving::Which;
use serde::Deserialize;
use serde_json::{Value, json};
use store::EventFilter;
use types::{DAY, EntityKey, HOUR, MINUTE, SECOND, Time};
use view::History;

use super::entity;
use crate::{
    auth::Permission,
    errors::ApiError,
    rest::Range,
    routes::Routes,
    state::{App, now},
};

/// First rows of a version that are its reference, as the analysis `models` has it by default.
const REFERENCE_ROWS: usize = 1000;
/// Rows of a stretch that are looked at, the newest.
const WINDOW_ROWS: usize = 2000;
/// Events that are read for them: other versions may answer too.
const EVENTS_MOST: usize = 10_000;
/// How far from the first row of a version its reference is looked for, in turn.
const STRETCHES: [i64; 5] = [MINUTE, 15 * MINUTE, 4 * HOUR, 2 * DAY, 400 * DAY];

pub fn add(routes: &mut Routes) {
    let what = "Inputs and answers of a version, then and now: each column's distributions, and how far they are apart";
    routes.add(Method::GET, "/api/v1/models/{name}/columns", Permission::Read, what, columns);
}

#[derive(Deserialize)]
struct Asked {
    version: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

/// A prediction that was kept: when, and its attributes.
type Row = (Time, String);

async fn columns(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, ApiError> {
    let (from, to) = Range { from: asked.from, to: asked.to }.resolve()?;
    let which = Which::of(asked.version.as_deref().unwrap_or_default());
    let found = app.models.read(|book| {
        let model = book.registered(&name)?;
        match which == Which::InUse && model.in_use().is_none() {
            true => Ok(None),
            false => book.answering(&name, &which).map(|version| Some((version.version, version.created))),
        }
    })?;
    let Some((version, created)) = found else { return Ok(Json(answer(&name, None, &[], &[], &Compared::default()))) };
    let key = entity(&app, &name, now());
    let (reading, began) = (app.clone(), Time(created * 1_000_000));
    let work = tokio::task::spawn_blocking(move || first_rows(&reading, key, version, began));
    let broke = |error| ApiError::unavailable(format!("reading broke off: {error}"));
    let reference = work.await.map_err(broke)?;
    let after = reference.last().map_or(began, |row| row.0.plus(1));
    let window = if after < to { window(&app, key, version, from.max(after), to).await? } else { Vec::new() };
    let whole = tokio::task::spawn_blocking(move || {
        // As the analysis names it, so that the same permutations are drawn.
        let of_whom = format!("default model:default/{name} {version}");
        let compared = compare(&texts(&reference), &texts(&window), &of_whom);
        answer(&name, Some(version), &reference, &window, &compared)
    });
    Ok(Json(whole.await.map_err(broke)?))
}

fn texts(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row.1.as_str()).collect()
}

fn answer(name: &str, version: Option<u64>, reference: &[Row], window: &[Row], compared: &Compared) -> Value {
    let side = |rows: &[Row]| json!({"rows": rows.len(), "from": rows.first().map(|row| row.0), "to": rows.last().map(|row| row.0)});
    json!({
        "model": name, "version": version.map(|version| version.to_string()), "reference": side(reference),
        "window": side(window), "columns": compared.columns, "warnings": compared.warnings,
    })
}

/// The first rows of a version, in order of time.
fn first_rows(app: &App, key: EntityKey, version: u64, began: Time) -> Vec<Row> {
    let history = app.store.history();
    let now = now();
    // A file may have been registered long before it is first asked for.
    let (mut first, mut rows) = (None, Vec::<Row>::new());
    for stretch in STRETCHES {
        let from = first.unwrap_or(began);
        let to = from.plus(stretch).min(now.plus(SECOND));
        let events = history.events(Some(key), from, to, now.plus(DAY));
        rows = events
            .into_iter()
            .filter(|event| event.kind == "prediction" && is_of(&event.attributes, version))
            .map(|event| (event.time, event.attributes))
            .take(REFERENCE_ROWS)
            .collect();
        first = first.or(rows.first().map(|row| row.0));
        if rows.len() >= REFERENCE_ROWS || to > now {
            break;
        }
    }
    rows
}

/// The newest rows of a version within a stretch, in order of time.
async fn window(app: &App, key: EntityKey, version: u64, from: Time, to: Time) -> Result<Vec<Row>, ApiError> {
    let entity = app.store.directory().read().entity_id(key).cloned();
    let filter = EventFilter {
        tenant: None,
        from: Some(from),
        to: Some(to),
        entity,
        kind_prefix: Some("prediction".into()),
        limit: EVENTS_MOST,
    };
    let events = app.store.events(filter).await?.into_iter();
    let rows = events.filter(|event| event.attributes["version"] == version);
    let mut rows: Vec<Row> = rows.map(|event| (event.time, event.attributes.to_string())).take(WINDOW_ROWS).collect();
    rows.reverse();
    Ok(rows)
}

/// Whether the attributes of a prediction are those of a version.
fn is_of(attributes: &str, version: u64) -> bool {
    #[derive(Deserialize)]
    struct Of {
        version: Option<u64>,
    }
    serde_json::from_str::<Of>(attributes).is_ok_and(|of| of.version == Some(version))
}
