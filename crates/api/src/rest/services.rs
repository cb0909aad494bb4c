//! Services, the map, entities and aliases, changes.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::{Method, StatusCode},
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::AliasRow;
use types::{EntityId, JournalEntry, JournalKind, Time};

use super::{Range, TenantQuery, moment, read, tenant, wanted};
use crate::{
    auth::Permission,
    errors::ApiError,
    guard::Caller,
    routes::Routes,
    state::{App, now},
};

pub fn add(routes: &mut Routes) {
    let (get, post) = (Method::GET, Method::POST);
    routes.add(get.clone(), "/api/v1/services", Permission::Read, "The service table", list);
    routes.add(
        get.clone(),
        "/api/v1/services/{namespace}/{name}",
        Permission::Read,
        "One service: its row, calls, changes and incidents",
        one,
    );
    routes.add(
        get.clone(),
        "/api/v1/topology",
        Permission::Read,
        "The service map, as it is or at a moment that was",
        topology,
    );
    routes.add(get.clone(), "/api/v1/entities", Permission::Read, "Everything that was observed", entities);
    routes.add(
        get.clone(),
        "/api/v1/entities/aliases",
        Permission::Read,
        "Names that mean another entity, with when",
        aliases,
    );
    routes.add(
        post,
        "/api/v1/entities/aliases",
        Permission::Admin,
        "Say that a name means another entity from a moment on",
        add_alias,
    );
    routes.add(get, "/api/v1/changes", Permission::Read, "Changes, newest first", changes);
}

pub(crate) async fn list(State(app): State<Arc<App>>, Query(query): Query<TenantQuery>) -> Json<Value> {
    let asked = tenant(query.tenant.as_deref());
    let snapshot = app.snapshot.load();
    Json(snapshot.services.iter().filter(|s| wanted(&asked, &s.tenant)).map(|s| json!(s)).collect())
}

async fn one(
    State(app): State<Arc<App>>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let id = EntityId::new("service", &namespace, &name);
    let snapshot = app.snapshot.load();
    let row = snapshot.services.iter().find(|s| s.entity == id);
    if row.is_none() && app.store.directory().read().find_entity(&id).is_none() {
        return Err(ApiError::not_found(format!("no service {namespace}/{name}")));
    }
    let calls: Vec<_> = snapshot.edges.iter().filter(|e| e.source == id).collect();
    let called_by: Vec<_> = snapshot.edges.iter().filter(|e| e.target == id).collect();
    let changes: Vec<_> = snapshot.changes.iter().filter(|c| c.entity == id).collect();
    let incidents: Vec<_> = snapshot
        .incidents
        .iter()
        .filter(|i| i.entities.contains(&id) || i.causes.iter().any(|c| c.entity == id))
        .collect();
    let findings: Vec<_> = snapshot.findings.iter().filter(|f| f.entity == id).collect();
    let versions = versions(&app, &id);
    Ok(Json(json!({"entity": id, "service": row, "calls": calls, "called_by": called_by, "changes": changes,
        "incidents": incidents, "findings": findings, "versions": versions.0, "instances": versions.1})))
}

/// Versions and instances that the service's senders named, in order of first sight.
fn versions(app: &App, id: &EntityId) -> (Vec<String>, Vec<String>) {
    let registry = app.store.directory().read();
    let Some(key) = registry.find_entity(id) else { return Default::default() };
    let (mut versions, mut instances) = (Vec::new(), Vec::new());
    for resource in registry.resources().iter().filter(|r| r.entity == key) {
        for (label, list) in [("service.version", &mut versions), ("service.instance.id", &mut instances)] {
            if let Some(value) = resource.attributes.get(label).filter(|v| !list.iter().any(|k: &String| k == v)) {
                list.push(value.to_owned());
            }
        }
    }
    (versions, instances)
}

#[derive(Deserialize)]
pub(crate) struct MapQuery {
    tenant: Option<String>,
    /// The map of this moment.
    at: Option<String>,
    /// What held at any time of a stretch.
    from: Option<String>,
    to: Option<String>,
}

impl MapQuery {
    /// The stretch of time that is asked for; `None`: the map as it is now.
    fn stretch(&self) -> Result<Option<(Time, Time)>, ApiError> {
        let [at, from, to] = [&self.at, &self.from, &self.to].map(|text| text.as_deref().filter(|t| !t.is_empty()));
        let asked = match (at, from, to) {
            (None, None, None) => return Ok(None),
            (Some(at), None, None) => moment(at, now()).map(|at| (at, at))?,
            (Some(_), ..) => return Err(ApiError::bad_request("say at, or from and to, not both")),
            (None, from, to) => Range { from: from.map(str::to_owned), to: to.map(str::to_owned) }.resolve()?,
        };
        if asked.1 > now() {
            return Err(ApiError::bad_request(format!(
                "{} lies in the future: no map is known of it",
                asked.1.rfc3339()
            )));
        }
        Ok(Some(asked))
    }
}

/// The map as it is, each node with its row of the service table; or as it was, whose nodes are the ends of its edges:
/// how services were then is not kept.
pub(crate) async fn topology(
    State(app): State<Arc<App>>,
    Query(query): Query<MapQuery>,
) -> Result<Json<Value>, ApiError> {
    let asked = tenant(query.tenant.as_deref());
    let stretch = query.stretch()?;
    let snapshot = app.snapshot.load();
    let rows: Vec<_> = snapshot.services.iter().filter(|s| wanted(&asked, &s.tenant)).collect();
    let own: BTreeSet<&EntityId> = rows.iter().map(|r| &r.entity).collect();
    let past = stretch.map(|(from, to)| snapshot.map_during(&app.store.directory().read(), from, to));
    let edges: Vec<_> = past
        .as_ref()
        .unwrap_or(&snapshot.edges)
        .iter()
        .filter(|e| (asked.is_some() || e.source.namespace() != "_self") && own.contains(&e.source))
        .collect();
    let mut names = if past.is_none() { own } else { edges.iter().map(|e| &e.source).collect() };
    names.extend(edges.iter().map(|e| &e.target));
    let row = |name: &EntityId| rows.iter().find(|row| past.is_none() && row.entity == *name);
    let nodes: Vec<Value> = names.iter().map(|n| json!({"entity": n, "service": row(n)})).collect();
    let mut map = json!({"nodes": nodes, "edges": edges});
    if let Some((from, to)) = stretch {
        let known_from = now().plus(-engine::EDGES_FOR_NS);
        let says = format!("edges last seen before {} are forgotten", known_from.rfc3339());
        let warnings: Vec<String> = (from < known_from).then_some(says).into_iter().collect();
        (map["from"], map["to"], map["warnings"]) = (json!(from), json!(to), warnings.into());
    }
    Ok(Json(map))
}

#[derive(Deserialize)]
struct EntityQuery {
    kind: Option<String>,
    search: Option<String>,
    limit: Option<usize>,
}

async fn entities(State(app): State<Arc<App>>, Query(query): Query<EntityQuery>) -> Json<Value> {
    let registry = app.store.directory().read();
    let fits = |e: &&EntityId| {
        query.kind.as_ref().is_none_or(|k| e.kind() == k)
            && query.search.as_ref().is_none_or(|s| e.as_str().contains(s.as_str()))
    };
    let mut found: Vec<_> = registry.entities().iter().filter(fits).collect();
    found.sort();
    found.truncate(query.limit.unwrap_or(1000).min(10_000));
    Json(
        found
            .iter()
            .map(|e| json!({"entity": e, "kind": e.kind(), "namespace": e.namespace(), "name": e.name()}))
            .collect(),
    )
}

async fn aliases(State(app): State<Arc<App>>) -> Result<Json<Vec<AliasRow>>, ApiError> {
    Ok(Json(app.store.aliases().await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAlias {
    name: EntityId,
    entity: EntityId,
    valid_from: Option<Time>,
    valid_to: Option<Time>,
}

async fn add_alias(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: axum::body::Bytes,
) -> Result<StatusCode, ApiError> {
    let said: NewAlias = read(&body)?;
    if said.name == said.entity {
        return Err(ApiError::bad_request("a name cannot mean itself"));
    }
    let at = now();
    let valid_from = said.valid_from.unwrap_or(at);
    let row = AliasRow {
        name: said.name.clone(),
        entity: said.entity.clone(),
        valid_from,
        valid_to: said.valid_to,
        learned: at,
    };
    app.store.add_alias(row).await?;
    app.reload_aliases().await?;
    let data = json!({"name": said.name, "entity": said.entity, "valid_from": valid_from, "valid_to": said.valid_to, "actor": caller.name});
    app.store
        .append_journal(JournalEntry { at, kind: JournalKind::Merge, subject: said.name.to_string(), data, text: None })
        .await?;
    Ok(StatusCode::CREATED)
}

#[derive(Deserialize)]
pub(crate) struct ChangeQuery {
    tenant: Option<String>,
    entity: Option<String>,

    from: Option<String>,
    to: Option<String>,
}

pub(crate) async fn changes(
    State(app): State<Arc<App>>,
    Query(query): Query<ChangeQuery>,
) -> Result<Json<Value>, ApiError> {
    let (from, to) = match (&query.from, &query.to) {
        (None, None) => (Time(0), now().plus(types::HOUR)),
        _ => Range { from: query.from.clone(), to: query.to.clone() }.resolve()?,
    };
    let asked = tenant(query.tenant.as_deref());
    let snapshot = app.snapshot.load();
    let found = snapshot.changes.iter().filter(|change| {
        wanted(&asked, &change.tenant)
            && (from..to).contains(&change.at)
            && query.entity.as_ref().is_none_or(|entity| change.entity.as_str() == entity)
    });
    Ok(Json(found.map(|c| json!(c)).collect()))
}
