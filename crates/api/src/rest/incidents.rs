//! Incidents and findings: lists, one of them, and what people say of it.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::{Method, StatusCode, header},
    response::IntoResponse,
};
use engine::Similar;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{JournalFilter, JournalRow};
use types::{EntityId, Finding, Incident, IncidentState, JournalKind, Tenant, Time, TimelineEntry};

use super::{Range, read, say, tenant, users::with_users, wanted};
use crate::{
    auth::Permission,
    errors::ApiError,
    guard::Caller,
    routes::Routes,
    state::{App, now, own_entity},
};

pub fn add(routes: &mut Routes) {
    let (get, post) = (Method::GET, Method::POST);
    routes.add(get.clone(), "/api/v1/incidents", Permission::Read, "Incidents, newest first", list);
    routes.add(get.clone(), "/api/v1/incidents/{id}", Permission::Read, "One incident with its findings", one);
    routes.add(
        post.clone(),
        "/api/v1/incidents/{id}/acknowledge",
        Permission::Write,
        "Say that somebody has taken it",
        |a, p, c, b| verdict("incident.acknowledged", a, p, c, b),
    );
    routes.add(
        post.clone(),
        "/api/v1/incidents/{id}/resolve",
        Permission::Write,
        "Say that it is over",
        |a, p, c, b| verdict("incident.resolved", a, p, c, b),
    );
    routes.add(
        get.clone(),
        "/api/v1/incidents/{id}/similar",
        Permission::Read,
        "Earlier incidents that look like it, and what ended them",
        similar,
    );
    routes.add(
        get.clone(),
        "/api/v1/incidents/{id}/postmortem",
        Permission::Read,
        "A post-mortem draft in Markdown",
        postmortem,
    );
    routes.add(
        post.clone(),
        "/api/v1/incidents/{id}/join",
        Permission::Write,
        "Say that it is the same as another, where it goes on",
        join,
    );
    routes.add(
        post.clone(),
        "/api/v1/incidents/{id}/split",
        Permission::Write,
        "Take entities out into an incident of their own",
        split,
    );
    routes.add(post.clone(), "/api/v1/incidents/{id}/notes", Permission::Write, "Write a note into its timeline", note);
    routes.add(post, "/api/v1/incidents/{id}/dismiss", Permission::Write, "Say that it was none", |a, p, c, b| {
        verdict("incident.dismissed", a, p, c, b)
    });
    routes.add(get, "/api/v1/findings", Permission::Read, "Findings, newest first", findings);
}

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    tenant: Option<String>,
    state: Option<String>,
    limit: Option<usize>,
}

/// The published incidents first (they are the newest state), older ones from the store.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Vec<Incident>>, ApiError> {
    let asked = tenant(query.tenant.as_deref());
    let limit = query.limit.unwrap_or(100).min(1000);
    let states: Vec<IncidentState> =
        query.state.iter().flat_map(|s| s.split(',')).map(state).collect::<Result<_, _>>()?;
    let snapshot = app.snapshot.load_full();
    let mut found: Vec<Incident> = snapshot.incidents.iter().map(|i| (**i).clone()).collect();
    let stored = app.store.incidents(asked.clone(), 1000).await?;
    found.extend(stored.into_iter().filter(|s| snapshot.incidents.iter().all(|i| i.id != s.id)));
    found.retain(|i| wanted(&asked, &i.tenant) && (states.is_empty() || states.contains(&i.state)));
    found.sort_by_key(|i| std::cmp::Reverse(i.opened_at));
    found.truncate(limit);
    Ok(Json(found))
}

fn state(text: &str) -> Result<IncidentState, ApiError> {
    serde_json::from_value(text.into())
        .map_err(|_| ApiError::bad_request(format!("no state {text:?}: use open, acknowledged or resolved")))
}

/// The incident, with the findings behind it under `finding_details`.
pub(crate) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let incident = with_users(&app, find(&app, &id).await?).await;
    let details = app.store.findings_by_id(&incident.findings).await?;
    let mut value = serde_json::to_value(&incident).map_err(|e| ApiError::bad_request(e.to_string()))?;
    value["finding_details"] = serde_json::to_value(details).map_err(|e| ApiError::bad_request(e.to_string()))?;
    Ok(Json(value))
}

async fn find(app: &App, id: &str) -> Result<Incident, ApiError> {
    if let Some(known) = app.snapshot.load().incidents.iter().find(|i| i.id.0 == id) {
        return Ok((**known).clone());
    }
    let stored = app.store.incident(id).await?.ok_or_else(|| ApiError::not_found(format!("no incident {id:?}")))?;
    with_late_notes(app, stored).await
}

/// Notes that are shown of an incident that was over for long when they were written.
const MOST_LATE_NOTES: usize = 200;

/// Some time after its end an incident is no longer changed: what people noted from then on stands in the journal only,
/// and is read from there.
async fn with_late_notes(app: &App, mut incident: Incident) -> Result<Incident, ApiError> {
    let (subject, kind) = (Some(incident.id.0.clone()), Some(JournalKind::Verdict));
    let filter = JournalFilter { subject, kind, limit: MOST_LATE_NOTES, ..JournalFilter::default() };
    let late = |line: JournalRow| {
        let is_late = line.data["verdict"] == "note" && line.data["known"] == false;
        let at = line.data["at"].as_str().and_then(Time::parse).unwrap_or(line.at);
        // Nothing is left of one that was erased.
        let text = line.text.filter(|_| is_late)?;
        Some(TimelineEntry { at, kind: "note".to_owned(), entity: None, text, finding: None })
    };
    let lines = app.store.journal(filter).await?;
    incident.timeline.extend(lines.into_iter().rev().filter_map(late));
    incident.timeline.sort_by_key(|line| line.at);
    Ok(incident)
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Verdict {
    actor: Option<String>,
}

async fn verdict(
    kind: &'static str,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let said: Verdict = if body.is_empty() { Verdict::default() } else { read(&body)? };
    let incident = find(&app, &id).await?;
    let actor = said.actor.unwrap_or(caller.name);
    tell(&app, &incident, kind, json!({"actor": actor})).await
}

/// Incidents that are looked through for similar ones.
const MOST_PAST: usize = 2000;

async fn past(app: &App, incident: &Incident) -> Result<Vec<Similar>, ApiError> {
    let all = app.store.incidents(Some(incident.tenant.clone()), MOST_PAST).await?;
    Ok(engine::similar(incident, &all, 5))
}

pub(crate) async fn similar(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Vec<Similar>>, ApiError> {
    Ok(Json(past(&app, &find(&app, &id).await?).await?))
}

async fn postmortem(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<impl IntoResponse, ApiError> {
    let incident = with_users(&app, find(&app, &id).await?).await;
    let findings = app.store.findings_by_id(&incident.findings).await?;
    let similar = past(&app, &incident).await?;
    let text = engine::postmortem(&incident, &findings, &similar, now());
    let name = format!("attachment; filename=\"{}.md\"", incident.id.0);
    let headers =
        [(header::CONTENT_TYPE, "text/markdown; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, text))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Join {
    into: String,
}

async fn join(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let said: Join = read(&body)?;
    let (incident, into) = (active(&app, &id).await?, active(&app, &said.into).await?);
    if incident.id == into.id {
        return Err(ApiError::bad_request("an incident cannot be joined with itself"));
    }
    if incident.tenant != into.tenant {
        return Err(ApiError::bad_request("the two belong to different tenants"));
    }
    tell(&app, &incident, "incident.joined", json!({"into": into.id.0, "actor": caller.name})).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Split {
    entities: Vec<EntityId>,
}

async fn split(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let said: Split = read(&body)?;
    let incident = active(&app, &id).await?;
    if let Some(foreign) = said.entities.iter().find(|entity| !incident.entities.contains(entity)) {
        return Err(ApiError::bad_request(format!("{foreign} is not affected by {id}")));
    }
    if said.entities.is_empty() || incident.entities.iter().all(|entity| said.entities.contains(entity)) {
        return Err(ApiError::bad_request("name some of the affected entities, not none and not all"));
    }
    tell(&app, &incident, "incident.split", json!({"entities": said.entities, "actor": caller.name})).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
}

/// Longest note, characters.
const MOST_NOTE_CHARS: usize = 4000;
/// Findings at most, in a list and of the kept ones.
const MOST_FINDINGS: usize = 2000;

async fn note(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let said: Note = read(&body)?;
    let incident = find(&app, &id).await?;
    let chars = said.text.chars().count();
    if said.text.trim().is_empty() || chars > MOST_NOTE_CHARS {
        return Err(ApiError::bad_request(format!(
            "a note has 1 to {MOST_NOTE_CHARS} characters, this one has {chars}"
        )));
    }
    tell(&app, &incident, "incident.noted", json!({"text": said.text.trim(), "actor": caller.name})).await
}

/// An incident that is not over.
async fn active(app: &App, id: &str) -> Result<Incident, ApiError> {
    let incident = find(app, id).await?;
    if incident.state == IncidentState::Resolved {
        return Err(ApiError::bad_request(format!("{id} is over")));
    }
    Ok(incident)
}

/// Puts what a person said of an incident into the log.
async fn tell(
    app: &App,
    incident: &Incident,
    kind: &str,
    mut attributes: Value,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    attributes["incident"] = incident.id.0.as_str().into();
    let entity = incident.entities.first().cloned().unwrap_or_else(own_entity);
    say(app, incident.tenant.clone(), &entity, kind, attributes).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"incident": incident.id.0, "said": kind}))))
}

#[derive(Deserialize)]
pub(crate) struct FindingsQuery {
    tenant: Option<String>,
    entity: Option<String>,
    ongoing: Option<bool>,
    limit: Option<usize>,

    from: Option<String>,
    to: Option<String>,
}

/// What was found in a stretch: as it is now, and as it was kept last; the newest of the kept ones.
pub(crate) async fn all_findings(
    app: &App,
    tenant: Option<Tenant>,
    from: Time,
    to: Time,
) -> Result<Vec<Finding>, ApiError> {
    let mut found: Vec<Finding> =
        app.snapshot.load().findings.iter().filter(|f| f.start < to && f.end >= from).map(|f| (**f).clone()).collect();
    let stored = app.store.findings(tenant, from, to, MOST_FINDINGS).await?;
    let known: std::collections::BTreeSet<_> = found.iter().map(|f| f.id).collect();
    found.extend(stored.into_iter().filter(|f| !known.contains(&f.id)));
    Ok(found)
}

pub(crate) async fn findings(
    State(app): State<Arc<App>>,
    Query(query): Query<FindingsQuery>,
) -> Result<Json<Vec<Finding>>, ApiError> {
    let asked: Option<Tenant> = tenant(query.tenant.as_deref());
    let (from, to) = Range { from: query.from.clone(), to: query.to.clone() }.resolve()?;
    let limit = query.limit.unwrap_or(200).min(MOST_FINDINGS);
    let mut found = all_findings(&app, asked.clone(), from, to).await?;
    let entity = query
        .entity
        .as_deref()
        .map(|e| EntityId::parse(e).ok_or_else(|| ApiError::bad_request(format!("not an entity: {e:?}"))))
        .transpose()?;
    found.retain(|f| {
        wanted(&asked, &f.tenant)
            && entity.as_ref().is_none_or(|e| f.entity == *e)
            && query.ongoing.is_none_or(|o| f.ongoing == o)
    });
    found.sort_by_key(|f| std::cmp::Reverse((f.start, f.id)));
    found.truncate(limit);
    Ok(Json(found))
}
