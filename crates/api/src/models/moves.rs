//! What became of versions: into the journal, as changes of the model, and for those who ask.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::Method,
};
use models::moves::{Move, What};
use serde::Deserialize;
use serde_json::{Value, json};
use types::{Batch, JournalEntry, JournalKind, Tenant, Time};

use crate::{
    auth::Permission,
    errors::ApiError,
    guard::Caller,
    rest,
    routes::Routes,
    serving,
    state::{App, now},
};

/// How long after a failure the journal is tried again.
const RETRY: Duration = Duration::from_secs(2);

pub fn add(routes: &mut Routes) {
    routes.add(
        Method::GET,
        "/api/v1/models/{name}/moves",
        Permission::Read,
        "What became of a model's versions: who registered, approved, moved and removed them, newest first",
        moves,
    );
    routes.add(
        Method::GET,
        "/api/v1/models/{name}/in-use",
        Permission::Read,
        "The version of a model that is in use, or was at a moment",
        in_use,
    );
    routes.add(
        Method::POST,
        "/api/v1/models/{name}/versions/{version}/approve",
        Permission::Write,
        "Approve a version, for gates that want approvals",
        approve,
    );
}

type Shared = State<Arc<App>>;

async fn moves(State(app): Shared, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    let all: Vec<Value> = app.models.read(|book| {
        let known = book.registered(&name).map(drop);
        let all: Vec<Value> = book.moves_of(&name).rev().map(shown).collect();
        if all.is_empty() { known.map(|()| all) } else { Ok(all) }
    })?;
    Ok(Json(json!({"moves": all})))
}

/// Times of a move as everywhere else in the API.
fn shown(made: &Move) -> Value {
    let at = Time(made.at * 1_000_000);
    json!({
        "number": made.number, "at": at, "by": made.by, "what": made.what, "before": made.before, "after": made.after,
        "gates": made.gates, "phases": made.phases, "why": made.why,
    })
}

#[derive(Deserialize)]
struct At {
    at: Option<String>,
}

async fn in_use(
    State(app): Shared,
    Path(name): Path<String>,
    Query(asked): Query<At>,
) -> Result<Json<Value>, ApiError> {
    let at = asked.at.as_deref().map_or(Ok(now()), |at| rest::moment(at, now()))?;
    let version = app.models.read(|book| book.in_use_at(&name, at.0 / 1_000_000))?;
    Ok(Json(json!({"model": name, "at": at, "version": version.map(|number| number.to_string())})))
}

async fn approve(
    State(app): Shared,
    Extension(caller): Extension<Caller>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let number = app.models.change_by(&caller.name, |book, _| book.approve(&name, &version)).await?;
    Ok(Json(json!({"model": name, "version": number.to_string(), "by": caller.name})))
}

/// Writes moves into the journal, and as changes of the model where another version is in use; until the server stops.
pub async fn journal(app: Arc<App>) {
    while !app.stop.is_set() {
        let waiting = app.models.moved.notified();
        let wait = match journal_all(&app).await {
            Ok(()) => Duration::from_secs(3600),
            Err(error) => {
                tracing::warn!("what became of models is not in the journal yet: {error}");
                RETRY
            }
        };
        tokio::select! {
            () = waiting => {}
            () = tokio::time::sleep(wait) => {}
            () = app.stop.wait() => return,
        }
    }
}

async fn journal_all(app: &Arc<App>) -> Result<(), String> {
    let waiting = app.models.read(models::Book::moves_to_journal);
    for made in &waiting {
        app.store.append_journal(line(made)).await.map_err(|error| error.to_string())?;
        if made.before != made.after {
            app.store.append(change(app, made), None).await.map_err(|error| error.to_string())?;
        }
        let number = [made.number];
        let marked = app.models.change(|book, _| {
            book.moves_journaled(&number);
            Ok(())
        });
        marked.await.map_err(|problem| problem.message)?;
    }
    Ok(())
}

fn line(made: &Move) -> JournalEntry {
    let version = match &made.what {
        What::Registered { version }
        | What::Removed { version }
        | What::Stage { version, .. }
        | What::Approved { version } => Some(*version),
        What::Alias { to, from, .. } => to.or(*from),
    };
    let subject = version.map_or_else(|| made.model.clone(), |version| format!("{}/{version}", made.model));
    let data = json!({
        "model": made.model, "move": made.number, "what": made.what, "in_use": {"before": made.before, "after": made.after},
        "gates": made.gates, "phases": made.phases, "actor": made.by,
    });
    JournalEntry {
        at: Time(made.at * 1_000_000),
        kind: JournalKind::Model,
        subject,
        data,
        text: Some(made.why.clone()).filter(|why| !why.is_empty()),
    }
}

/// That another version is in use, as a change of the model.
fn change(app: &App, made: &Move) -> Batch {
    let at = Time(made.at * 1_000_000);
    let entity = serving::entity(app, &made.model, at);
    let version = made.after.map_or_else(|| "none".to_owned(), |version| version.to_string());
    let attributes = json!({"id": format!("model-move-{}", made.number), "version": version, "author": made.by});
    let mut batch = Batch { tenant: Tenant::default(), ..Batch::default() };
    batch.events.push(at.0, entity, "change.deployment", &attributes.to_string());
    batch
}
