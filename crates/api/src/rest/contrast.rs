//! Which series differed in a stretch of recorded time.

use std::sync::Arc;

use analyze::cause::contrast::{Contrast, contrast, history_from};
use axum::{
    Json,
    extract::{Query, State},
    http::Method,
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::SeriesInfo;

use super::{
    Range,
    explore::{SeriesQuery, values},
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
