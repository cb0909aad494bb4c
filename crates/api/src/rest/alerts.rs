//! Alerts of other programs, silences, who is told, and what became of it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::{Method, StatusCode},
};
use engine::{Matcher, Route, Silence, check_routes};
use serde::Deserialize;
use serde_json::{Value, json};
use types::{DAY, EntityId, HOUR, Incident, MINUTE, Tenant, Time};

use super::{Range, TenantQuery, entity, moment, read, say, tenant, wanted};
use crate::{
    auth::Permission,
    errors::ApiError,
    guard::Caller,
    routes::Routes,
    state::{App, now, own_entity},
};

pub fn add(routes: &mut Routes) {
    let (get, post) = (Method::GET, Method::POST);
    add_reads(routes, &get);
    routes.add(
        post.clone(),
        "/api/v1/silences",
        Permission::Write,
        "Make a silence or a maintenance window, or change one",
        set_silence,
    );
    routes.add(post.clone(), "/api/v1/silences/{id}/end", Permission::Write, "End a silence now", end_silence);
    routes.add(
        post.clone(),
        "/api/v1/silences/preview",
        Permission::Read,
        "What a silence would have kept quiet of what is recorded",
        preview_silence,
    );
    routes.add(post.clone(), "/api/v1/routes", Permission::Admin, "Replace the table of routes", set_routes);
    routes.add(
        post.clone(),
        "/api/v1/routes/preview",
        Permission::Read,
        "Whom a table of routes would have told of the recorded incidents",
        preview_routes,
    );
    routes.add(
        post.clone(),
        "/api/v1/channels/{name}/test",
        Permission::Admin,
        "Send a message that tries a channel out",
        test_channel,
    );
    routes.add(post, "/api/v1/deliveries/{id}/retry", Permission::Write, "Send a dead letter again", retry);
}

fn add_reads(routes: &mut Routes, get: &Method) {
    routes.add(get.clone(), "/api/v1/alerts", Permission::Read, "Alerts of other programs", alerts);
    routes.add(get.clone(), "/api/v1/silences", Permission::Read, "Silences and maintenance windows", silences);
    routes.add(get.clone(), "/api/v1/routes", Permission::Read, "Who is told of which incidents", routes_table);
    routes.add(get.clone(), "/api/v1/deliveries", Permission::Read, "What was told to whom, newest first", deliveries);
    routes.add(
        get.clone(),
        "/api/v1/noise",
        Permission::Read,
        "How much noise was kept away, and what makes it",
        noise,
    );
}

#[derive(Deserialize)]
pub(crate) struct AlertsQuery {
    tenant: Option<String>,
    entity: Option<String>,
    /// `firing`, `resolved`, `silenced` or `flapping`.
    state: Option<String>,
    limit: Option<usize>,
}

pub(crate) async fn alerts(
    State(app): State<Arc<App>>,
    Query(query): Query<AlertsQuery>,
) -> Result<Json<Value>, ApiError> {
    let asked = tenant(query.tenant.as_deref());
    let entity = entity(query.entity.as_deref())?;
    let state = query.state.as_deref().unwrap_or("");
    if !["", "firing", "resolved", "silenced", "flapping"].contains(&state) {
        return Err(ApiError::bad_request(format!("no state {state:?}: use firing, resolved, silenced or flapping")));
    }
    let snapshot = app.snapshot.load_full();
    let fits = |row: &&engine::AlertRow| {
        let alert = &row.alert;
        wanted(&asked, &row.tenant)
            && entity.as_ref().is_none_or(|e| alert.entity == *e)
            && match state {
                "firing" => alert.firing && alert.silenced_by.is_none(),
                "resolved" => !alert.firing,
                "silenced" => alert.firing && alert.silenced_by.is_some(),
                "flapping" => alert.flapping,
                _ => true,
            }
    };
    let mut found: Vec<&engine::AlertRow> = snapshot.alerts.iter().filter(fits).collect();
    // What fires first, then what was heard of last.
    found.sort_by_key(|row| std::cmp::Reverse((row.alert.firing, row.alert.starts_at, row.alert.heard_at)));
    let total = found.len();
    found.truncate(query.limit.unwrap_or(500).min(10_000));
    Ok(Json(json!({ "alerts": found, "total": total, "counts": snapshot.inbox.of(asked.as_ref()) })))
}

async fn silences(State(app): State<Arc<App>>, Query(query): Query<TenantQuery>) -> Json<Value> {
    let asked = tenant(query.tenant.as_deref());
    let snapshot = app.snapshot.load_full();
    let now = now();
    let row = |silence: &Silence| {
        let state = if silence.ends_at <= now {
            "over"
        } else if silence.starts_at > now {
            "planned"
        } else {
            "active"
        };
        let mut value = json!(silence);
        value["state"] = state.into();
        value
    };
    let mut found: Vec<&Silence> = snapshot.silences.iter().filter(|s| wanted(&asked, &s.tenant)).collect();
    found.sort_by_key(|silence| std::cmp::Reverse(silence.ends_at));
    Json(found.into_iter().map(row).collect())
}

/// A silence as a person makes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SilenceSaid {
    id: Option<String>,
    matchers: Vec<String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    /// Instead of `ends_at`: `30m`, `2h`, `1d`.
    lasts: Option<String>,
    #[serde(default)]
    comment: String,
}

/// Longest silence.
const LONGEST_NS: i64 = 366 * DAY;

impl SilenceSaid {
    fn checked(self, tenant: Tenant, actor: String) -> Result<Silence, ApiError> {
        let bad = ApiError::bad_request;
        let now = now();
        let matchers = Matcher::parse_all(self.matchers.iter().map(String::as_str)).map_err(bad)?;
        let starts_at = self.starts_at.as_deref().map_or(Ok(now), |text| moment(text, now))?;
        let ends_at = match (self.ends_at.as_deref(), self.lasts.as_deref()) {
            (Some(text), None) => moment(text, now)?,
            (None, Some(text)) => starts_at.plus(length(text)?),
            (None, None) => return Err(bad("say when it ends: ends_at, or lasts such as 2h".into())),
            (Some(_), Some(_)) => return Err(bad("say ends_at or lasts, not both".into())),
        };
        if ends_at <= starts_at || ends_at <= now || ends_at.since(starts_at) > LONGEST_NS {
            return Err(bad("it must end after it starts, after now, and within a year".into()));
        }
        if self.comment.chars().count() > 500 {
            return Err(bad("the comment is longer than 500 characters".into()));
        }
        let is_word = |id: &String| {
            !id.is_empty() && id.len() <= 60 && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        let id = match self.id {
            Some(id) if is_word(&id) => id,
            Some(id) => return Err(bad(format!("id {id:?} must be 1 to 60 letters, digits, '-', '_' or '.'"))),
            None => format!("silence-{}", now.0 / 1_000_000),
        };
        let (comment, actor) = (self.comment, Some(actor));
        Ok(Silence { id, tenant, matchers, starts_at, ends_at, comment, actor, kept_quiet: 0 })
    }
}

/// `30m`, `2h`, `1d` in nanoseconds.
fn length(text: &str) -> Result<i64, ApiError> {
    let bad = || ApiError::bad_request(format!("lasts {text:?}: write a number with m, h or d, e.g. 2h"));
    let unit = match text.chars().last() {
        Some('m') => MINUTE,
        Some('h') => HOUR,
        Some('d') => DAY,
        _ => return Err(bad()),
    };
    let number: i64 = text[..text.len() - 1].parse().map_err(|_| bad())?;
    if number > 0 { Ok(number.saturating_mul(unit)) } else { Err(bad()) }
}

/// Settings of the desk go through the log as events of Bellwether itself.
async fn tell(app: &App, tenant: Tenant, kind: &str, attributes: Value) -> Result<(), ApiError> {
    say(app, tenant, &own_entity(), kind, attributes).await
}

async fn set_silence(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let silence = read::<SilenceSaid>(&body)?.checked(caller.tenant, caller.name)?;
    let known = app.snapshot.load().silences.clone();
    if known.len() >= engine::MOST_SILENCES && known.iter().all(|s| s.id != silence.id) {
        return Err(ApiError::bad_request(format!("there are {} silences: end some first", known.len())));
    }
    let (tenant, value) = (silence.tenant.clone(), json!(silence));
    tell(&app, tenant, "silence.set", value.clone()).await?;
    Ok((StatusCode::ACCEPTED, Json(value)))
}

async fn end_silence(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let snapshot = app.snapshot.load_full();
    let known = snapshot.silences.iter().find(|silence| silence.id == id);
    let known = known.ok_or_else(|| ApiError::not_found(format!("no silence {id:?}")))?;
    if known.ends_at <= now() {
        return Err(ApiError::bad_request(format!("{id} is over already")));
    }
    tell(&app, known.tenant.clone(), "silence.ended", json!({"id": id, "actor": caller.name})).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"id": id, "said": "silence.ended"}))))
}

#[derive(Deserialize)]
struct PreviewQuery {
    from: Option<String>,
    to: Option<String>,
}

impl PreviewQuery {
    /// Seven days unless said otherwise.
    fn range(&self) -> Result<(Time, Time), ApiError> {
        let from = self.from.clone().or_else(|| Some("now-7d".into()));
        Range { from, to: self.to.clone() }.resolve()
    }
}

/// What the silence would have done in a stretch of history, had it held for all of it.
async fn preview_silence(
    State(app): State<Arc<App>>,
    Query(query): Query<PreviewQuery>,
    Extension(caller): Extension<Caller>,
    body: axum::body::Bytes,
) -> Result<Json<Value>, ApiError> {
    let silence = read::<SilenceSaid>(&body)?.checked(caller.tenant, caller.name)?;
    let (from, to) = query.range()?;
    let findings = app.store.findings(Some(silence.tenant.clone()), from, to, 20_000).await?;
    let looked_at = findings.len();
    let kept: Vec<_> = findings.into_iter().filter(|finding| silence.fits_finding(finding)).collect();
    let kept_ids: std::collections::BTreeSet<_> = kept.iter().map(|finding| finding.id).collect();
    let incidents = stored(&app, &silence.tenant, from, to).await?;
    let touched = |incident: &&Incident| incident.findings.iter().any(|id| kept_ids.contains(id));
    let touched: Vec<&Incident> = incidents.iter().filter(touched).collect();
    let whole = |incident: &&&Incident| incident.findings.iter().all(|id| kept_ids.contains(id));
    let unopened: Vec<_> = touched.iter().filter(whole).map(|incident| short(incident)).collect();
    let snapshot = app.snapshot.load_full();
    let alerts = snapshot.alerts.iter().filter(|row| silence.fits_alert(&row.tenant, &row.alert));
    let (firing, all) = alerts.fold((0, 0), |(firing, all), row| (firing + u32::from(row.alert.firing), all + 1));
    Ok(Json(json!({
        "from": from, "to": to, "findings": looked_at, "kept_quiet": kept.len(),
        "incidents": incidents.len(), "incidents_smaller": touched.len() - unopened.len(),
        "incidents_not_opened": unopened, "alerts_now": all, "alerts_firing_now": firing,
        "examples": kept.iter().take(10).map(|f| json!({"at": f.start, "entity": f.entity, "summary": f.summary})).collect::<Vec<_>>(),
    })))
}

fn short(incident: &Incident) -> Value {
    json!({ "id": incident.id, "title": incident.title, "severity": incident.severity, "opened_at": incident.opened_at })
}

/// Incidents of a stretch of history.
async fn stored(app: &App, tenant: &Tenant, from: Time, to: Time) -> Result<Vec<Incident>, ApiError> {
    Ok(app.store.incidents_opened(tenant, from, to, 10_000).await?)
}

async fn routes_table(State(app): State<Arc<App>>) -> Json<Value> {
    let snapshot = app.snapshot.load_full();
    let kinds: BTreeMap<&String, &str> = app.config.channels.iter().map(|(name, c)| (name, c.kind())).collect();
    Json(
        json!({ "routes": snapshot.routes.as_ref(), "channels": app.channels(), "kinds": kinds, "counts": snapshot.told }),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoutesSaid {
    routes: Vec<Route>,
}

impl RoutesSaid {
    fn checked(body: &[u8], app: &App) -> Result<Vec<Route>, ApiError> {
        let said: RoutesSaid = read(body)?;
        check_routes(&said.routes, &app.channels()).map_err(ApiError::bad_request)?;
        Ok(said.routes)
    }
}

async fn set_routes(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let routes = RoutesSaid::checked(&body, &app)?;
    tell(&app, Tenant::default(), "routes.set", json!({"routes": routes, "actor": caller.name})).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "routes": routes }))))
}

/// Whom each route would have told of the recorded incidents, as they were in the end.
async fn preview_routes(
    State(app): State<Arc<App>>,
    Query(query): Query<PreviewQuery>,
    Extension(caller): Extension<Caller>,
    body: axum::body::Bytes,
) -> Result<Json<Value>, ApiError> {
    let routes = RoutesSaid::checked(&body, &app)?;
    let (from, to) = query.range()?;
    let incidents = stored(&app, &caller.tenant, from, to).await?;
    let mut told: BTreeMap<&str, Vec<Value>> = routes.iter().map(|route| (route.name.as_str(), Vec::new())).collect();
    let mut nobody = Vec::new();
    for incident in &incidents {
        let fits: Vec<&Route> = engine::routes_of(&routes, incident).collect();
        if fits.is_empty() {
            nobody.push(short(incident));
        }
        for route in fits {
            told.entry(&route.name).or_default().push(short(incident));
        }
    }
    let rows: Vec<Value> = routes
        .iter()
        .map(|route| {
            let incidents = &told[route.name.as_str()];
            json!({ "route": route.name, "channels": route.channels, "incidents": incidents.len(),
                "examples": incidents.iter().take(10).collect::<Vec<_>>() })
        })
        .collect();
    Ok(Json(
        json!({ "from": from, "to": to, "incidents": incidents.len(), "routes": rows, "told_to_nobody": nobody.len(),
        "examples_told_to_nobody": nobody.iter().take(10).collect::<Vec<_>>() }),
    ))
}

/// Sends a message at once and says what became of it; nothing of the receiver's answer but its status is shown.
async fn test_channel(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    let channel = app.config.channels.get(&name);
    let channel = channel.ok_or_else(|| ApiError::not_found(format!("no channel {name:?} in the settings")))?;
    let notice = act::Notice::test(format!("test-{}", now().0), app.link("/"), now());
    let outcome = act::deliver(&app.egress, channel, &notice, now()).await;
    Ok(Json(json!({ "channel": name, "outcome": outcome.word(), "why": outcome.why() })))
}

#[derive(Deserialize)]
struct DeliveriesQuery {
    incident: Option<String>,
    limit: Option<usize>,
}

async fn deliveries(
    State(app): State<Arc<App>>,
    Query(query): Query<DeliveriesQuery>,
) -> Result<Json<Value>, ApiError> {
    let limit = query.limit.unwrap_or(100).min(1000);
    let rows = app.store.deliveries(query.incident.as_deref(), limit).await?;
    let row = |delivery: &store::Delivery| {
        let mut value = json!(delivery);
        value["incident"] = short(&delivery.incident);
        value
    };
    Ok(Json(rows.iter().map(row).collect()))
}

async fn retry(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    if !app.store.retry_delivery(&id, now()).await? {
        return Err(ApiError::not_found(format!("no dead letter {id:?}")));
    }
    app.store
        .append_journal(types::JournalEntry {
            at: now(),
            kind: types::JournalKind::Setting,
            subject: id.clone(),
            data: json!({ "what": "delivery_retried" }),
            text: Some(caller.name),
        })
        .await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": id }))))
}

/// What came in against what people were shown, and what makes the most noise.
async fn noise(
    State(app): State<Arc<App>>,
    Query(query): Query<PreviewQuery>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, ApiError> {
    let (from, to) = query.range()?;
    let mut findings = app.store.findings(Some(caller.tenant.clone()), from, to, 50_000).await?;
    findings.retain(|f| f.shape != types::Shape::Cause);
    let incidents = stored(&app, &caller.tenant, from, to).await?;
    let snapshot = app.snapshot.load_full();
    let grouped: usize = incidents.iter().map(|incident| incident.findings.len()).sum();
    let mut sources: BTreeMap<(&EntityId, &str, &str), u64> = BTreeMap::new();
    for finding in &findings {
        *sources.entry((&finding.entity, &finding.measure, &finding.scope)).or_default() += 1;
    }
    let dismissed = incidents.iter().filter(|incident| engine::was_dismissed(incident)).count();
    let mut loudest: Vec<_> = sources.into_iter().collect();
    loudest.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let loudest: Vec<_> = loudest
        .into_iter()
        .take(20)
        .map(|((entity, measure, scope), count)| json!({"entity": entity, "measure": measure, "scope": scope, "count": count}))
        .collect();
    let mut flapping: Vec<_> = snapshot.alerts.iter().filter(|row| row.alert.flipped_at.len() > 1).collect();
    flapping.sort_by_key(|row| std::cmp::Reverse(row.alert.flipped_at.len()));
    let flapping: Vec<_> = flapping
        .into_iter()
        .take(20)
        .map(|row| {
            let alert = &row.alert;
            json!({"entity": alert.entity, "name": alert.name, "flips": alert.flipped_at.len(), "flapping": alert.flapping,
                "received": alert.received, "labels": alert.labels})
        })
        .collect();
    let silences: Vec<_> = snapshot
        .silences
        .iter()
        .map(|s| json!({"id": s.id, "matchers": s.matchers, "kept_quiet": s.kept_quiet}))
        .collect();
    Ok(Json(json!({
        "from": from, "to": to, "findings": findings.len(), "incidents": incidents.len(), "findings_in_incidents": grouped,
        "dismissed": dismissed, "alerts": snapshot.inbox.of(Some(&caller.tenant)), "notices": snapshot.told,
        "loudest": loudest, "flapping": flapping, "silences": silences,
    })))
}
