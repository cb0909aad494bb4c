//! `POST /api/v1/sql`.

use std::sync::Arc;

use axum::{Json, extract::State, http::Method};
use serde::Deserialize;
use store::{SqlAnswer, SqlRequest};

use crate::{auth::Permission, errors::ApiError, routes::Routes, state::App};

pub fn add(routes: &mut Routes) {
    routes.add(Method::POST, "/api/v1/sql", Permission::Read, "Ask in SQL", ask);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    query: String,
}

async fn ask(State(app): State<Arc<App>>, body: axum::body::Bytes) -> Result<Json<SqlAnswer>, ApiError> {
    let ask: Ask = serde_json::from_slice(&body)
        .map_err(|e| ApiError::bad_request(format!("the body must be {{\"query\":\"SELECT …\"}}: {e}")))?;
    Ok(Json(app.store.sql(SqlRequest { query: ask.query, ..SqlRequest::default() }).await?))
}
