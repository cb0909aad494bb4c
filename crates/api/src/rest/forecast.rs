//! How a series may go on, and when it may reach a threshold.

use std::sync::Arc;

use analyze::forecast::outlook::{Question, outlook};
use axum::{
    Json,
    extract::{Query, State},
    http::Method,
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::SeriesInfo;
use types::{DAY, Time};

use super::{
    explore::{SeriesQuery, by_number, is_counted, values},
    moment,
};
use crate::{
    auth::Permission,
    errors::ApiError,
    routes::Routes,
    state::{App, now},
};

/// Points of history read; where there are more they come merged.
const POINTS_MOST: usize = 1_000_000;
/// History looked at where nothing is said: two weeks show a week's cycle.
const HISTORY_NS: i64 = 14 * DAY;

pub fn add(routes: &mut Routes) {
    let what = "How one series may go on, and when it may reach a threshold";
    routes.add(Method::GET, "/api/v1/forecast", Permission::Read, what, forecast);
}

#[derive(Deserialize)]
pub(crate) struct ForecastQuery {
    /// A series number; or the fields of `/api/v1/series`, which must match one.
    series: Option<u32>,
    tenant: Option<String>,
    metric: Option<String>,
    entity: Option<String>,
    labels: Option<String>,
    /// From where on history is looked at, default two weeks ago.
    from: Option<String>,
    /// How far ahead, such as 6h; default a day.
    horizon: Option<String>,
    threshold: Option<f64>,
    /// Share of future points that the interval should hold, default 0.9.
    confidence: Option<f64>,
}

pub(crate) async fn forecast(
    State(app): State<Arc<App>>,
    Query(query): Query<ForecastQuery>,
) -> Result<Json<Value>, ApiError> {
    let now = now();
    let from = query.from.as_deref().map_or(Ok(now.plus(-HISTORY_NS)), |text| moment(text, now))?;
    let horizon = query.horizon.as_deref().unwrap_or("1d");
    let until = moment(&format!("now+{horizon}"), now)
        .map_err(|_| ApiError::bad_request(format!("not a length of time: {horizon:?}; use 90s, 15m, 6h or 2d")))?;
    let confidence = query.confidence.unwrap_or(0.9);
    let question = Question { from, now, horizon_ns: until.since(now), confidence, threshold: query.threshold };
    let info = the_series(&app, query)?;
    let charts = app.store.series_points(vec![info.series], from, now, POINTS_MOST).await?;
    let warnings = charts.first().map(|c| c.warnings.clone()).unwrap_or_default();
    let kind = info.kind;
    let points = charts.first().map(|chart| values(kind, chart)).unwrap_or_default();
    let said = tokio::task::spawn_blocking(move || outlook(&points, kind, &question)).await;
    let said = said.map_err(|e| ApiError::unavailable(format!("the forecast broke: {e}")))?;
    let said = said.map_err(ApiError::bad_request)?;
    let unit = if info.unit == "1" { "" } else { &info.unit };
    let unit = if is_counted(kind) { format!("{unit}/s") } else { unit.to_owned() };
    Ok(Json(json!({
        "info": info, "unit": unit, "from": from, "now": now, "to": Time(until.0), "outlook": said, "warnings": warnings,
    })))
}

/// The one that is meant.
fn the_series(app: &App, query: ForecastQuery) -> Result<SeriesInfo, ApiError> {
    if let Some(number) = query.series {
        let found = by_number(app, &[number]).into_iter().next();
        return found.ok_or_else(|| ApiError::not_found(format!("no series {number}")));
    }
    if query.metric.as_deref().is_none_or(str::is_empty) {
        return Err(ApiError::bad_request("name a metric, or a series by its number"));
    }
    let filter = SeriesQuery {
        tenant: query.tenant,
        metric: query.metric,
        search: None,
        entity: query.entity,
        labels: query.labels,
        limit: None,
    };
    let mut found = app.store.series_list(&filter.filter(1000)?);
    if found.len() > 1 {
        let name = |info: &SeriesInfo| {
            let labels: Vec<String> = info.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("entity={} labels={}", info.entity, labels.join(","))
        };
        let some: Vec<String> = found.iter().take(3).map(name).collect();
        let said =
            format!("{} series match; name one by its entity and labels, such as {}", found.len(), some.join("; "));
        return Err(ApiError::bad_request(said));
    }
    found.pop().ok_or_else(|| ApiError::not_found("no series of that metric"))
}
