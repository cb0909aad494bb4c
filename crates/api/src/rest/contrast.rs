//! What differed in a stretch of recorded time: series from what came before, bad requests from good ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use analyze::cause::{
    attributes::{Request, apart, is_outcome},
    contrast::{Contrast, contrast, history_from},
};
use axum::{
    Json,
    extract::{Query, State},
    http::Method,
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{SeriesInfo, SpanFilter, SpanRow};
use types::{EntityId, Time};

use super::{
    Range, entity,
    explore::{SeriesQuery, values},
    tenant,
};
use crate::{auth::Permission, errors::ApiError, routes::Routes, state::App};

/// Series compared at most; more are said to be left out.
const SERIES_MOST: usize = 2000;
/// Points of each at most; where there are more they come merged.
const POINTS_MOST: usize = 2000;
/// What is less surprising than one in thirty is not worth a line.
const SURPRISE_LEAST: f64 = 1.5;

pub fn add(routes: &mut Routes) {
    let what = "Which series differed in a stretch of time from what came before it, the most surprising first";
    routes.add(Method::GET, "/api/v1/contrast", Permission::Read, what, differing);
    let what = "Which attribute values set the failed or slow requests of a stretch of time apart from the others";
    routes.add(Method::GET, "/api/v1/contrast/attributes", Permission::Read, what, attributes);
}

#[derive(Deserialize)]
pub(crate) struct ContrastQuery {
    tenant: Option<String>,
    entity: Option<String>,
    /// Answers at most, default 20.
    limit: Option<usize>,
    from: Option<String>,
    to: Option<String>,
}

pub(crate) async fn differing(
    State(app): State<Arc<App>>,
    Query(query): Query<ContrastQuery>,
) -> Result<Json<Value>, ApiError> {
    let (from, to) = Range { from: query.from, to: query.to }.resolve()?;
    let filter = SeriesQuery {
        tenant: query.tenant,
        metric: None,
        search: None,
        entity: query.entity,
        labels: None,
        limit: None,
    };
    let mut infos = app.store.series_list(&filter.filter(usize::MAX)?);
    let left_out = infos.len().saturating_sub(SERIES_MOST);
    infos.truncate(SERIES_MOST);
    let ids = infos.iter().map(|i| i.series).collect();
    let charts = app.store.series_points(ids, history_from(from, to), to, POINTS_MOST).await?;
    let warnings = charts.first().map(|c| c.warnings.clone()).unwrap_or_default();
    let compared = tokio::task::spawn_blocking(move || {
        // The charts come in the order of the series asked for.
        let pairs = infos.into_iter().zip(&charts);
        let differing = |(info, chart): (SeriesInfo, _)| {
            contrast(&values(info.kind, chart), info.kind, from, to).map(|contrast| (info, contrast))
        };
        pairs.filter_map(differing).collect::<Vec<(SeriesInfo, Contrast)>>()
    });
    let mut found = compared.await.map_err(|e| ApiError::unavailable(format!("the comparison broke: {e}")))?;
    let compared = found.len();
    found.retain(|(_, c)| c.surprise >= SURPRISE_LEAST);
    found.sort_by(|a, b| b.1.surprise.total_cmp(&a.1.surprise).then(a.0.series.cmp(&b.0.series)));
    let differed = found.len();
    found.truncate(query.limit.unwrap_or(20).min(200));
    let rows: Vec<Value> = found.iter().map(|(info, c)| json!({"info": info, "contrast": c})).collect();
    Ok(Json(json!({
        "from": from, "to": to, "history_from": history_from(from, to), "compared": compared, "differed": differed,
        "left_out": left_out, "series": rows, "warnings": warnings,
    })))
}

/// Spans looked at, the newest; of more, the older ones are left out.
const SPANS_MOST: usize = 50_000;
/// Attributes of one request that are compared.
const MARKS_MOST: usize = 300;
/// Longest value that is compared, characters.
const VALUE_CHARS: usize = 200;

#[derive(Deserialize)]
pub(crate) struct AttributesQuery {
    tenant: Option<String>,
    /// Whose requests; none: whole traces, by their first span.
    entity: Option<String>,
    /// Requests at least this long are bad too, ms.
    slow_ms: Option<f64>,
    limit: Option<usize>,
    from: Option<String>,
    to: Option<String>,
}

/// Compares bad requests of the stretch with the good ones in it and in as long a stretch before it.
pub(crate) async fn attributes(
    State(app): State<Arc<App>>,
    Query(query): Query<AttributesQuery>,
) -> Result<Json<Value>, ApiError> {
    let (from, to) = Range { from: query.from, to: query.to }.resolve()?;
    let entity = entity(query.entity.as_deref())?;
    if query.slow_ms.is_some_and(|ms| !(ms > 0.0 && ms.is_finite())) {
        return Err(ApiError::bad_request("slow_ms must be a number above 0"));
    }
    let filter = SpanFilter {
        tenant: tenant(query.tenant.as_deref()),
        from: Some(from.plus(-to.since(from))),
        to: Some(to),
        limit: SPANS_MOST,
        ..SpanFilter::default()
    };
    let spans = app.store.spans(filter).await?;
    let looked_at = spans.len();
    let slow_ns = query.slow_ms.map(|ms| (ms * 1e6) as i64);
    let most = query.limit.unwrap_or(10).min(100);
    let compared = tokio::task::spawn_blocking(move || {
        let requests = requests(&spans, entity.as_ref(), from, slow_ns);
        let bad = requests.iter().filter(|r| r.bad).count();
        (requests.len(), bad, apart(&requests, most))
    });
    let (requests, bad, found) =
        compared.await.map_err(|e| ApiError::unavailable(format!("the comparison broke: {e}")))?;
    let warnings: Vec<String> = (looked_at >= SPANS_MOST)
        .then(|| format!("only the newest {SPANS_MOST} spans were looked at: choose a shorter stretch"))
        .into_iter()
        .collect();
    Ok(Json(json!({
        "from": from, "to": to, "requests": requests, "bad": bad, "values": found, "warnings": warnings,
    })))
}

/// One request for each trace that holds a span of the entity that answers (or its first span): bad ones from `from`
/// on, good ones also before.
fn requests(spans: &[SpanRow], entity: Option<&EntityId>, from: Time, slow_ns: Option<i64>) -> Vec<Request> {
    let mut traces: BTreeMap<&str, Vec<&SpanRow>> = BTreeMap::new();
    spans.iter().for_each(|span| traces.entry(&span.trace_id).or_default().push(span));
    let is_bad = |span: &SpanRow| span.status == "error" || slow_ns.is_some_and(|slow| span.duration_ns >= slow);
    let of_trace = |spans: Vec<&SpanRow>| {
        let answers = |span: &&&SpanRow| match entity {
            Some(entity) => span.entity == *entity && matches!(span.kind, "server" | "consumer" | "unspecified"),
            None => span.parent_span_id.is_none(),
        };
        let answering: Vec<&&SpanRow> = spans.iter().filter(answers).collect();
        let first = answering.first()?;
        let bad = answering.iter().any(|span| is_bad(span));
        if bad && first.time < from {
            return None;
        }
        let own = first.entity.clone();
        let mut marks = BTreeSet::new();
        for span in &spans {
            let prefix = if span.entity == own { String::new() } else { format!("{}/", span.entity.name()) };
            marks.insert((format!("{prefix}operation"), span.name.chars().take(VALUE_CHARS).collect()));
            for (name, value) in [&span.attributes, &span.resource].into_iter().filter_map(Value::as_object).flatten() {
                let value = match value {
                    Value::String(text) => text.chars().take(VALUE_CHARS).collect(),
                    Value::Number(number) => number.to_string(),
                    Value::Bool(yes) => yes.to_string(),
                    _ => continue,
                };
                if !is_outcome(name) && marks.len() < MARKS_MOST {
                    marks.insert((format!("{prefix}{name}"), value));
                }
            }
        }
        Some(Request { bad, marks: marks.into_iter().collect() })
    };
    traces.into_values().filter_map(of_trace).collect()
}
