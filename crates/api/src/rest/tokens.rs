//! Access tokens: list, make, revoke. Their digests never leave the store.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::{Method, StatusCode},
};
use serde::Deserialize;
use serde_json::{Value, json};
use types::{JournalEntry, JournalKind};

use super::read;
use crate::{
    auth::{Permission, Scope, create_token},
    errors::ApiError,
    guard::Caller,
    routes::Routes,
    state::{App, now},
};

pub fn add(routes: &mut Routes) {
    let (get, post) = (Method::GET, Method::POST);
    routes.add(get, "/api/v1/tokens", Permission::Admin, "Access tokens, without their secrets", list);
    routes.add(post.clone(), "/api/v1/tokens", Permission::Admin, "Make a token; it is shown once", make);
    routes.add(post, "/api/v1/tokens/{id}/revoke", Permission::Admin, "Revoke a token, at once", revoke);
}

async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let tokens = app.tokens.read();
    Json(
        tokens
            .iter()
            .map(|t| {
                json!({"id": t.id, "name": t.name, "scope": t.scopes, "created_at": t.created_at,
                    "expires_at": t.expires_at, "revoked_at": t.revoked_at})
            })
            .collect(),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    scope: String,
    #[serde(default)]
    name: String,
    /// Until it expires; 0 never.
    #[serde(default)]
    days: u32,
}

async fn make(State(app): State<Arc<App>>, body: axum::body::Bytes) -> Result<(StatusCode, Json<Value>), ApiError> {
    let said: NewToken = read(&body)?;
    if Scope::parse(&said.scope).is_none() {
        return Err(ApiError::bad_request(format!("no scope {:?}: use ingest, read, write or admin", said.scope)));
    }
    let text = create_token(&app.store, &said.scope, &said.name, said.days)
        .await
        .map_err(|error| ApiError::unavailable(format!("the token was not made: {error:#}")))?;
    app.reload_tokens().await?;
    Ok((StatusCode::CREATED, Json(json!({"token": text}))))
}

async fn revoke(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, ApiError> {
    let known = app.tokens.read().iter().find(|t| t.id == id).cloned();
    let Some(mut token) = known else { return Err(ApiError::not_found(format!("no token {id:?}"))) };
    let at = now();
    if token.revoked_at.is_none() {
        token.revoked_at = Some(at);
        app.store.put_token(token).await?;
        app.reload_tokens().await?;
        let data = json!({"revoked": id, "actor": caller.name});
        let entry = JournalEntry { at, kind: JournalKind::Access, subject: id.clone(), data, text: None };
        app.store.append_journal(entry).await?;
    }
    Ok(Json(json!({"id": id, "revoked": true})))
}
