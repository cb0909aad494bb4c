//! Typed reads for the interface: series and their points, log lines and their patterns, traces.

use std::sync::Arc;

use analyze::detect::log_values::places;
use axum::{
    Json,
    extract::{Path, Query, State},
    http::Method,
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{EventFilter, FieldFilter, RecordFilter, SeriesChart, SeriesFilter, SeriesInfo, SpanFilter, SqlRequest};
use types::{SeriesId, SeriesKind, TemplateId};

use super::{Range, TenantQuery, entity, tenant};
use crate::{auth::Permission, errors::ApiError, routes::Routes, state::App};

/// Series of one request for points.
const SERIES_MAX: usize = 200;

pub fn add(routes: &mut Routes) {
    let get = Method::GET;
    routes.add(get.clone(), "/api/v1/series", Permission::Read, "Series that match", series);
    routes.add(
        get.clone(),
        "/api/v1/series/points",
        Permission::Read,
        "Points of series, merged into buckets where there are many",
        points,
    );
    routes.add(
        get.clone(),
        "/api/v1/metrics/names",
        Permission::Read,
        "Metric names with their number of series",
        names,
    );
    routes.add(get.clone(), "/api/v1/logs", Permission::Read, "Log lines, newest first", logs);
    routes.add(get.clone(), "/api/v1/logs/patterns", Permission::Read, "Log templates by number of lines", patterns);
    routes.add(
        get.clone(),
        "/api/v1/logs/patterns/{template}/parameters",
        Permission::Read,
        "What varies in the lines of a template: kinds, frequent values, how many differ",
        parameters,
    );
    routes.add(get.clone(), "/api/v1/traces", Permission::Read, "Root spans, newest first", traces);
    routes.add(get.clone(), "/api/v1/traces/{id}", Permission::Read, "All spans of one trace", trace);
    routes.add(get, "/api/v1/events", Permission::Read, "Events, newest first", events);
}

#[derive(Deserialize)]
pub(crate) struct SeriesQuery {
    pub tenant: Option<String>,
    pub metric: Option<String>,
    pub search: Option<String>,
    pub entity: Option<String>,
    /// `name=value`, several separated by commas.
    pub labels: Option<String>,
    pub limit: Option<usize>,
}

impl SeriesQuery {
    pub fn filter(&self, most: usize) -> Result<SeriesFilter, ApiError> {
        let pair = |text: &str| {
            text.split_once('=')
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .ok_or_else(|| ApiError::bad_request(format!("not name=value: {text:?}")))
        };
        let labels = self
            .labels
            .iter()
            .flat_map(|l| l.split(','))
            .filter(|l| !l.is_empty())
            .map(pair)
            .collect::<Result<_, _>>()?;
        Ok(SeriesFilter {
            tenant: tenant(self.tenant.as_deref()),
            metric: self.metric.clone().filter(|m| !m.is_empty()),
            metric_contains: self.search.clone().filter(|s| !s.is_empty()),
            entity: entity(self.entity.as_deref())?,
            labels,
            limit: self.limit.unwrap_or(most).min(most),
        })
    }
}

async fn series(State(app): State<Arc<App>>, Query(query): Query<SeriesQuery>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!(app.store.series_list(&query.filter(5000)?))))
}

#[derive(Deserialize)]
pub(crate) struct PointsQuery {
    /// Series numbers separated by commas; or the fields of `/api/v1/series`.
    series: Option<String>,
    tenant: Option<String>,
    metric: Option<String>,
    entity: Option<String>,
    labels: Option<String>,
    limit: Option<usize>,
    max_points: Option<usize>,
    from: Option<String>,
    to: Option<String>,
}

/// Each chart with what its series is. Times are milliseconds since the epoch, as charts take them.
pub(crate) async fn points(
    State(app): State<Arc<App>>,
    Query(query): Query<PointsQuery>,
) -> Result<Json<Value>, ApiError> {
    let (from, to) = Range { from: query.from, to: query.to }.resolve()?;
    let numbers: Vec<u32> = match query.series.as_deref().filter(|s| !s.is_empty()) {
        Some(list) => list
            .split(',')
            .map(|n| n.trim().parse().map_err(|_| ApiError::bad_request(format!("not a series number: {n:?}"))))
            .collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    let filter = SeriesQuery {
        tenant: query.tenant,
        metric: query.metric,
        search: None,
        entity: query.entity,
        labels: query.labels,
        limit: query.limit,
    };
    let infos = if numbers.is_empty() {
        if filter.metric.is_none() && filter.entity.is_none() {
            return Err(ApiError::bad_request("name a series, a metric or an entity"));
        }
        app.store.series_list(&filter.filter(SERIES_MAX)?)
    } else {
        by_number(&app, &numbers)
    };
    let ids: Vec<SeriesId> = infos.iter().map(|i| i.series).collect();
    let charts = app.store.series_points(ids, from, to, query.max_points.unwrap_or(500).clamp(10, 5000)).await?;
    let mut warnings: Vec<String> = charts.iter().flat_map(|c| c.warnings.clone()).collect();
    warnings.dedup();
    let rows: Vec<Value> = charts
        .iter()
        .map(|chart| {
            let info = infos.iter().find(|i| i.series == chart.series);
            let points: Vec<Value> =
                chart.points.iter().map(|p| json!([p.t / types::MILLI, p.mean, p.min, p.max])).collect();
            json!({"series": chart.series, "info": info, "points": points})
        })
        .collect();
    Ok(Json(json!({"from": from, "to": to, "charts": rows, "warnings": warnings})))
}

/// Points of a series as its values came: of totals and amounts that were merged the last one, of others the mean.
pub(super) fn values(kind: SeriesKind, chart: &SeriesChart) -> Vec<(i64, f64)> {
    let counts = is_counted(kind);
    chart.points.iter().map(|p| (p.t, if counts { p.last } else { p.mean })).collect()
}

/// Whether its values are totals or amounts, which are judged as rates.
pub(super) fn is_counted(kind: SeriesKind) -> bool {
    matches!(kind, SeriesKind::Counter | SeriesKind::Delta)
}

/// What the series with these numbers are, whosever they are; unknown numbers are left out.
pub(super) fn by_number(app: &App, numbers: &[u32]) -> Vec<SeriesInfo> {
    let registry = app.store.directory().read();
    let info = |number: &u32| {
        let def = registry.series_def(SeriesId(*number))?;
        Some(SeriesInfo {
            series: SeriesId(*number),
            tenant: def.tenant.clone(),
            metric: def.metric.to_string(),
            entity: registry.entity_id(def.entity)?.clone(),
            labels: def.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            kind: def.kind,
            unit: def.unit.to_string(),
        })
    };
    numbers.iter().take(SERIES_MAX).filter_map(info).collect()
}

pub(crate) async fn names(
    State(app): State<Arc<App>>,
    Query(query): Query<SeriesQuery>,
) -> Result<Json<Value>, ApiError> {
    let mut filter = query.filter(usize::MAX)?;
    filter.limit = usize::MAX;
    let mut counts: std::collections::BTreeMap<String, (u64, String)> = Default::default();
    for info in app.store.series_list(&filter) {
        let entry = counts.entry(info.metric).or_insert((0, info.unit));
        entry.0 += 1;
    }
    Ok(Json(
        counts.iter().map(|(name, (count, unit))| json!({"metric": name, "series": count, "unit": unit})).collect(),
    ))
}

#[derive(Deserialize)]
pub(crate) struct LogQuery {
    tenant: Option<String>,
    entity: Option<String>,
    severity: Option<u8>,
    search: Option<String>,
    template: Option<u32>,
    trace_id: Option<String>,
    /// JSON: `[["name", "value", keep], …]` over attributes of the record and its resource.
    fields: Option<String>,
    limit: Option<usize>,
    from: Option<String>,
    to: Option<String>,
}

pub(crate) async fn logs(State(app): State<Arc<App>>, Query(query): Query<LogQuery>) -> Result<Json<Value>, ApiError> {
    let (from, to) = Range { from: query.from, to: query.to }.resolve()?;
    let filter = RecordFilter {
        tenant: tenant(query.tenant.as_deref()),
        from: Some(from),
        to: Some(to),
        entity: entity(query.entity.as_deref())?,
        severity_min: query.severity.unwrap_or(0),
        text: query.search.filter(|s| !s.is_empty()),
        template: query.template.map(TemplateId),
        trace_id: query.trace_id.filter(|t| !t.is_empty()),
        fields: fields(query.fields.as_deref())?,
        limit: query.limit.unwrap_or(200).min(5000),
    };
    Ok(Json(json!(app.store.records(filter).await?)))
}

fn fields(text: Option<&str>) -> Result<Vec<FieldFilter>, ApiError> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(Vec::new()) };
    let list: Vec<(String, String, bool)> = serde_json::from_str(text).map_err(|error| {
        ApiError::bad_request(format!("fields is not [[\"name\", \"value\", true or false], …]: {error}"))
    })?;
    Ok(list.into_iter().map(|(name, value, keep)| FieldFilter { name, value, keep }).collect())
}

/// Counted by the SQL engine, since a pattern may stand for millions of lines.
async fn patterns(State(app): State<Arc<App>>, Query(query): Query<LogQuery>) -> Result<Json<Value>, ApiError> {
    let (from, to) = Range { from: query.from, to: query.to }.resolve()?;
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let mut filter = format!(
        "time >= {} AND time < {} AND severity >= {}",
        literal(&from.rfc3339()),
        literal(&to.rfc3339()),
        query.severity.unwrap_or(0)
    );
    if let Some(entity) = entity(query.entity.as_deref())? {
        filter += &format!(" AND entity = {}", literal(entity.as_str()));
    }
    if let Some(tenant) = tenant(query.tenant.as_deref()) {
        filter += &format!(" AND tenant = {}", literal(tenant.as_str()));
    }
    let limit = query.limit.unwrap_or(100).min(1000);
    let sql = format!(
        "SELECT template, template_id, entity, max(severity) AS severity, count(*) AS count, min(time) AS first, max(time) AS last, max(body) AS sample \
         FROM records WHERE {filter} GROUP BY template, template_id, entity ORDER BY count DESC LIMIT {limit}"
    );
    let answer = app.store.sql(SqlRequest { query: sql, ..SqlRequest::default() }).await?;
    let names: Vec<&str> = answer.columns.iter().map(|c| c.name.as_str()).collect();
    let rows: Vec<Value> = answer
        .rows
        .iter()
        .map(|row| {
            names.iter().zip(row).map(|(n, v)| ((*n).to_owned(), v.clone())).collect::<serde_json::Map<_, _>>().into()
        })
        .collect();
    Ok(Json(json!({"patterns": rows, "warnings": answer.warnings})))
}

/// Lines from which the parameters of a template are told.
const SAMPLE: usize = 1000;

/// From its newest lines in the range; a template without parameters, or without lines there, has an empty list.
async fn parameters(
    State(app): State<Arc<App>>,
    Path(template): Path<u32>,
    Query(query): Query<LogQuery>,
) -> Result<Json<Value>, ApiError> {
    let (from, to) = Range { from: query.from, to: query.to }.resolve()?;
    let filter = RecordFilter {
        tenant: tenant(query.tenant.as_deref()),
        from: Some(from),
        to: Some(to),
        entity: entity(query.entity.as_deref())?,
        template: Some(TemplateId(template)),
        limit: query.limit.unwrap_or(SAMPLE).min(SAMPLE),
        ..RecordFilter::default()
    };
    let lines = app.store.records(filter).await?;
    let text = lines.first().map(|l| l.template.clone()).unwrap_or_default();
    let places = places(&text, lines.iter().map(|l| l.body.as_str()));
    let value = |(value, count): &(String, u64)| json!({"value": value, "count": count});
    let rows: Vec<Value> = places
        .iter()
        .map(|place| {
            json!({
                "kind": place.kind.name(), "examples": place.examples.iter().map(value).collect::<Vec<_>>(),
                "distinct": place.distinct, "distinct_share": place.distinct_share,
            })
        })
        .collect();
    Ok(Json(json!({"template_id": template, "template": text, "lines": lines.len(), "parameters": rows})))
}

#[derive(Deserialize)]
struct TraceQuery {
    tenant: Option<String>,
    entity: Option<String>,
    name: Option<String>,
    errors: Option<bool>,
    roots: Option<bool>,
    min_ms: Option<f64>,
    limit: Option<usize>,
    from: Option<String>,
    to: Option<String>,
}

async fn traces(State(app): State<Arc<App>>, Query(query): Query<TraceQuery>) -> Result<Json<Value>, ApiError> {
    let (from, to) = Range { from: query.from, to: query.to }.resolve()?;
    let entity = entity(query.entity.as_deref())?;
    let filter = SpanFilter {
        tenant: tenant(query.tenant.as_deref()),
        from: Some(from),
        to: Some(to),
        name: query.name.filter(|n| !n.is_empty()),
        errors_only: query.errors.unwrap_or(false),
        // A service inside the system has no root spans of its own.
        roots_only: query.roots.unwrap_or(entity.is_none()),
        entity,
        duration_min_ns: (query.min_ms.unwrap_or(0.0) * 1e6) as i64,
        limit: query.limit.unwrap_or(100).min(2000),
    };
    Ok(Json(json!(app.store.spans(filter).await?)))
}

async fn trace(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Query<TenantQuery>,
) -> Result<Json<Value>, ApiError> {
    if id.len() != 32 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(ApiError::bad_request("a trace id has 32 hexadecimal digits"));
    }
    let spans = app.store.trace(tenant(query.tenant.as_deref()), &id.to_ascii_lowercase()).await?;
    if spans.is_empty() {
        return Err(ApiError::not_found(format!("no spans of trace {id} are stored")));
    }
    Ok(Json(json!({"trace_id": id, "spans": spans})))
}

#[derive(Deserialize)]
struct EventQuery {
    tenant: Option<String>,
    entity: Option<String>,
    kind: Option<String>,
    limit: Option<usize>,
    from: Option<String>,
    to: Option<String>,
}

async fn events(State(app): State<Arc<App>>, Query(query): Query<EventQuery>) -> Result<Json<Value>, ApiError> {
    let (from, to) = Range { from: query.from, to: query.to }.resolve()?;
    let filter = EventFilter {
        tenant: tenant(query.tenant.as_deref()),
        from: Some(from),
        to: Some(to),
        entity: entity(query.entity.as_deref())?,
        kind_prefix: query.kind,
        limit: query.limit.unwrap_or(200).min(5000),
    };
    Ok(Json(json!(app.store.events(filter).await?)))
}
