//! Which service is why a recorded stretch of time went otherwise than the time before it: asked by a person, of any
//! stretch, whether anything was said of it or not.

use std::{collections::BTreeMap, sync::Arc};

use analyze::cause::{
    compare::{self, Different, Named, Reading, Use},
    contrast::history_from,
    localize::{self, Measure, Origin},
};
use axum::{
    Json,
    extract::{Query, State},
    http::Method,
};
use engine::MapEdge;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{SeriesChart, SeriesInfo, Work, WorkFilter};
use types::{EntityId, HOUR, MINUTE, SeriesKind, Time};

use super::{
    Range, entity,
    explore::{SeriesQuery, values},
    tenant,
};
use crate::{auth::Permission, errors::ApiError, routes::Routes, state::App};

/// Series looked at, at most; more are said to be left out.
const SERIES_MOST: usize = 4000;
/// Points of each at most; where there are more they come merged.
const POINTS_MOST: usize = 2000;
/// Spans, and lines, read at most; the newest.
const ROWS_MOST: usize = 300_000;
/// So many times the length of the stretch is read before it, to learn from.
const BEFORE_TIMES: i64 = 10;
/// Longest text of a template in a sentence, characters.
const TEMPLATE_CHARS: usize = 120;

pub fn add(routes: &mut Routes) {
    let what = "Which service is why a stretch of time went otherwise than the time before it: from requests, and from series along the map";
    routes.add(Method::GET, "/api/v1/contrast/causes", Permission::Read, what, causes);
}

#[derive(Deserialize)]
pub(crate) struct CausesQuery {
    tenant: Option<String>,
    /// Who is off; none: who is most off of those that nobody calls.
    entity: Option<String>,
    /// `errors`, `latency` or `requests`; none: errors or latency, whichever is more off.
    measure: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

pub(crate) async fn causes(
    State(app): State<Arc<App>>,
    Query(query): Query<CausesQuery>,
) -> Result<Json<Value>, ApiError> {
    let (from, to) = Range { from: query.from, to: query.to }.resolve()?;
    let entity = entity(query.entity.as_deref())?;
    let measure = match query.measure.as_deref().filter(|m| !m.is_empty()) {
        None => None,
        Some("errors") => Some(Measure::Errors),
        Some("latency") => Some(Measure::Latency),
        Some("requests") => Some(Measure::Requests),
        Some(other) => {
            return Err(ApiError::bad_request(format!("measure is {other:?}, not errors, latency or requests")));
        }
    };
    let filter = SeriesQuery {
        tenant: query.tenant.clone(),
        metric: None,
        search: None,
        entity: None,
        labels: None,
        limit: None,
    };
    let mut infos = app.store.series_list(&filter.filter(usize::MAX)?);
    infos.retain(is_wanted);
    // What is derived says how requests went; without it the rest says nothing.
    infos.sort_by_key(|info| (!info.metric.starts_with("bellwether."), info.series));
    let left_out = infos.len().saturating_sub(SERIES_MOST);
    infos.truncate(SERIES_MOST);
    let ids = infos.iter().map(|i| i.series).collect();
    let charts = app.store.series_points(ids, history_from(from, to), to, POINTS_MOST).await?;
    let learn_from = from.plus(-(to.since(from).saturating_mul(BEFORE_TIMES)).clamp(10 * MINUTE, HOUR));
    let asked_tenant = tenant(query.tenant.as_deref());
    let filter = WorkFilter { tenant: asked_tenant, from: learn_from, to, rows_most: ROWS_MOST };
    let work = app.store.work(filter).await?;
    let edges = app.snapshot.load().map_during(&app.store.directory().read(), history_from(from, to), to);
    let mut warnings: Vec<String> = charts.first().map(|c| c.warnings.clone()).unwrap_or_default();
    if left_out > 0 {
        warnings.push(format!("{left_out} series were left out"));
    }
    if !work.whole {
        warnings.push(format!("only the newest {ROWS_MOST} spans were looked at: choose a shorter stretch"));
    }
    let asked = move || {
        let requests = of_requests(&work, &infos, &charts, from, to);
        let series =
            of_series(&infos, &charts, &edges, &localize::Asked { entity: entity.as_ref(), measure, from, to });
        (requests, series)
    };
    let (requests, series) = tokio::task::spawn_blocking(asked)
        .await
        .map_err(|e| ApiError::unavailable(format!("the comparison broke: {e}")))?;
    Ok(Json(json!({
        "from": from, "to": to, "requests_from": learn_from, "series_from": history_from(from, to),
        "requests": requests, "series": series, "warnings": warnings,
    })))
}

fn is_wanted(info: &SeriesInfo) -> bool {
    match info.metric.as_str() {
        name if name.starts_with("bellwether.") => localize::wanted_metrics().any(|wanted| wanted == name),
        name => info.kind == SeriesKind::Gauge || Use::of(name, &info.unit).is_some(),
    }
}

/// From spans and the lines written within them, with the resources that services used.
fn of_requests(work: &Work, infos: &[SeriesInfo], charts: &[SeriesChart], from: Time, to: Time) -> Different {
    let spans = work.spans.iter().map(|s| compare::Span {
        trace: s.trace,
        id: s.id,
        parent: s.parent,
        service: s.service,
        operation: s.operation,
        start: s.start,
        end: s.end,
        failed: s.failed,
    });
    let lines =
        work.lines.iter().map(|l| compare::Line { trace: l.trace, span: l.span, template: l.template, time: l.time });
    let services: BTreeMap<&EntityId, u32> = work.services.iter().zip(0..).collect();
    let used = infos.iter().zip(charts).enumerate().filter_map(|(number, (info, chart))| {
        let (says, service) = (Use::of(&info.metric, &info.unit)?, *services.get(&info.entity)?);
        let (before, within) = says.around(&values(info.kind, chart), info.kind, &info.unit, from, to)?;
        Some((number as u32, service, says, before, within))
    });
    let used: Vec<_> = used.collect();
    let readings: Vec<Reading> = used
        .iter()
        .map(|(metric, service, says, before, within)| Reading {
            service: *service,
            metric: *metric,
            says: *says,
            before,
            within,
        })
        .collect();
    let name = |of: Named| match of {
        Named::Service(at) => work.services[at as usize].to_string(),
        Named::Operation(at) => work.operations[at as usize].to_string(),
        Named::Template(at) => work.templates[at as usize].chars().take(TEMPLATE_CHARS).collect(),
        Named::Metric(at) => infos[at as usize].metric.clone(),
    };
    let (spans, lines): (Vec<_>, Vec<_>) = (spans.collect(), lines.collect());
    let recorded = compare::Recorded { spans: &spans, lines: &lines, readings: &readings };
    compare::ask(&recorded, from, &name)
}

/// From the series of services and their calls, along the map.
fn of_series(
    infos: &[SeriesInfo],
    charts: &[SeriesChart],
    edges: &[MapEdge],
    asked: &localize::Asked,
) -> Option<Origin> {
    // The charts come in the order of the series asked for.
    let points: Vec<Vec<(i64, f64)>> = infos.iter().zip(charts).map(|(info, c)| values(info.kind, c)).collect();
    let targets: Vec<Option<EntityId>> =
        infos.iter().map(|info| info.labels.get("target").and_then(|name| EntityId::parse(name))).collect();
    let series = infos.iter().zip(&points).zip(&targets).map(|((info, points), target)| localize::Recorded {
        entity: &info.entity,
        metric: &info.metric,
        target: target.as_ref().filter(|_| info.metric.starts_with("bellwether.calls.")),
        kind: info.kind,
        points,
    });
    let calls: Vec<(&EntityId, &EntityId)> = edges.iter().map(|edge| (&edge.source, &edge.target)).collect();
    localize::ask(&series.collect::<Vec<_>>(), &calls, asked)
}
