//! How much is said: the budget of false events, verdicts on what was missed, near misses, and replays of history.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::{Method, StatusCode},
};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use types::{EntityId, HOUR, Tenant, Time};

use super::{Range, TenantQuery, moment, read, say, tenant, wanted};
use crate::{
    auth::Permission,
    errors::ApiError,
    guard::Caller,
    replay::{self, Plan, Progress, ReplayError, Report},
    routes::Routes,
    state::{App, now, own_entity},
};

pub fn add(routes: &mut Routes) {
    let (get, post) = (Method::GET, Method::POST);
    routes.add(
        get.clone(),
        "/api/v1/detection",
        Permission::Read,
        "How many events are said of each service, beside the budget, and what verdicts have moved",
        show,
    );
    routes.add(
        post.clone(),
        "/api/v1/detection/budget",
        Permission::Write,
        "Set the budget: false events a week for each service at most",
        budget,
    );
    routes.add(
        post.clone(),
        "/api/v1/detection/missed",
        Permission::Write,
        "Say that something was wrong and was not said",
        missed,
    );
    routes.add(
        get.clone(),
        "/api/v1/detection/near",
        Permission::Read,
        "What was nearly said, and why it was not",
        near,
    );
    routes.add(
        post.clone(),
        "/api/v1/replays",
        Permission::Write,
        "Run a stretch of history through the analyses",
        start,
    );
    routes.add(get, "/api/v1/replays/{id}", Permission::Read, "How far a replay is, and its report", one);
    routes.add(post, "/api/v1/replays/{id}/cancel", Permission::Write, "End a replay", cancel);
}

async fn show(State(app): State<Arc<App>>, Query(query): Query<TenantQuery>) -> Json<Value> {
    let asked = tenant(query.tenant.as_deref());
    let snapshot = app.snapshot.load_full();
    let rates: Vec<_> = snapshot.rates.iter().filter(|r| wanted(&asked, &r.tenant)).collect();
    let corrections: Vec<_> = snapshot.corrections.iter().filter(|c| wanted(&asked, &c.tenant)).collect();
    Json(json!({
        "budget_per_week": snapshot.budget_per_week,
        "rates": rates,
        "corrections": corrections,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetSaid {
    per_week: Option<f64>,
    actor: Option<String>,
}

async fn budget(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let said: BudgetSaid = read(&body)?;
    check_budget(said.per_week)?;
    let actor = said.actor.unwrap_or(caller.name);
    let entity = own_entity();
    say(&app, Tenant::default(), &entity, "detection.budget", json!({"per_week": said.per_week, "actor": actor}))
        .await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"per_week": said.per_week}))))
}

fn check_budget(per_week: Option<f64>) -> Result<(), ApiError> {
    match per_week {
        Some(n) if !(0.0..=10_000.0).contains(&n) => Err(ApiError::bad_request(format!(
            "a budget of {n} events a week: say a number from 0 (no limit) to 10000, or null"
        ))),
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MissedSaid {
    entity: String,
    metric: Option<String>,
    tenant: Option<String>,
    from: Option<Time>,
    to: Option<Time>,
    actor: Option<String>,
}

async fn missed(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let said: MissedSaid = read(&body)?;
    let entity = EntityId::parse(&said.entity)
        .ok_or_else(|| ApiError::bad_request(format!("not an entity: {:?}; write kind:namespace/name", said.entity)))?;
    if app.store.directory().read().find_entity(&entity).is_none() {
        return Err(ApiError::not_found(format!("nothing was ever seen of {entity}")));
    }
    let actor = said.actor.unwrap_or(caller.name);
    let tenant = said.tenant.as_deref().map(Tenant::new).unwrap_or_default();
    let attributes = json!({"metric": said.metric, "from": said.from, "to": said.to, "actor": actor});
    say(&app, tenant, &entity, "detection.missed", attributes).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"entity": entity, "metric": said.metric}))))
}

#[derive(Deserialize)]
struct NearQuery {
    tenant: Option<String>,
    entity: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

async fn near(State(app): State<Arc<App>>, Query(query): Query<NearQuery>) -> Result<Json<Value>, ApiError> {
    let asked = tenant(query.tenant.as_deref());
    let (from, to) = Range { from: query.from.clone(), to: query.to.clone() }.resolve()?;
    let snapshot = app.snapshot.load_full();
    let found: Vec<_> = snapshot
        .near
        .iter()
        .filter(|n| wanted(&asked, &n.tenant) && n.at >= from && n.at < to)
        .filter(|n| query.entity.as_ref().is_none_or(|e| n.entity.as_str() == e))
        .collect();
    Ok(Json(json!(found)))
}

/// The replays of this server: one at a time, the last few kept.
#[derive(Default)]
pub struct Replays {
    jobs: Mutex<Jobs>,
}

#[derive(Default)]
struct Jobs {
    last: u64,
    by_id: BTreeMap<u64, Job>,
}

struct Job {
    plan: Plan,
    progress: Arc<Progress>,
    outcome: Option<Result<Arc<Report>, String>>,
}

/// Replays whose reports are kept.
const MOST_KEPT: usize = 8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplaySaid {
    from: String,
    to: Option<String>,
    /// Hours of history before `from` to learn from; as long as the stretch by default, at least six.
    learn_hours: Option<f64>,
    #[serde(default)]
    settings: BTreeMap<String, BTreeMap<String, f64>>,
    budget_per_week: Option<f64>,
    entity: Option<String>,
}

async fn start(State(app): State<Arc<App>>, body: axum::body::Bytes) -> Result<(StatusCode, Json<Value>), ApiError> {
    let said: ReplaySaid = read(&body)?;
    check_budget(said.budget_per_week)?;
    let at = now();
    let (from, to) = (moment(&said.from, at)?, said.to.as_deref().map_or(Ok(at), |t| moment(t, at))?);
    if from >= to {
        return Err(ApiError::bad_request("from must lie before to"));
    }
    let entity = said
        .entity
        .as_deref()
        .map(|e| EntityId::parse(e).ok_or_else(|| ApiError::bad_request(format!("not an entity: {e:?}"))))
        .transpose()?;
    let mut settings = app.config.analyses.clone();
    for (analysis, named) in said.settings {
        settings.entry(analysis).or_default().extend(named);
    }
    // A setting that is wrong is said at once, not by a job that fails later.
    let config = engine::EngineConfig { settings: settings.clone(), ..engine::EngineConfig::default() };
    engine::Engine::new(Arc::default(), config).map_err(ApiError::bad_request)?;
    let plan = Plan {
        from,
        to,
        learn_ns: learn_ns(from, to, said.learn_hours)?,
        settings,
        budget_per_week: said.budget_per_week.or(app.snapshot.load().budget_per_week),
        entity,
    };
    let (id, progress) = {
        let mut jobs = app.replays.jobs.lock();
        if let Some((id, _)) = jobs.by_id.iter().find(|(_, job)| job.outcome.is_none()) {
            return Err(ApiError::unavailable(format!("replay {id} is running: wait for it, or end it")));
        }
        jobs.last += 1;
        let (id, progress) = (jobs.last, Arc::new(Progress::default()));
        jobs.by_id.insert(id, Job { plan: plan.clone(), progress: progress.clone(), outcome: None });
        while jobs.by_id.len() > MOST_KEPT {
            jobs.by_id.pop_first();
        }
        (id, progress)
    };
    let here = app.clone();
    tokio::task::spawn_blocking(move || {
        let run = std::panic::AssertUnwindSafe(|| replay::run(&here.store, &plan, &progress));
        let outcome = match std::panic::catch_unwind(run) {
            Ok(outcome) => outcome.map(Arc::new).map_err(words),
            Err(_) => Err("the replay broke; the server's log says where".to_owned()),
        };
        if let Some(job) = here.replays.jobs.lock().by_id.get_mut(&id) {
            job.outcome = Some(outcome);
        }
    });
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": id.to_string() }))))
}

/// How much history to learn from before a replay: as long as the stretch, at least six hours and at most four weeks.
pub fn learn_ns(from: Time, to: Time, hours: Option<f64>) -> Result<i64, ApiError> {
    match hours {
        None => Ok(to.since(from).clamp(6 * HOUR, 28 * 24 * HOUR)),
        Some(hours) if (0.0..=24.0 * 366.0).contains(&hours) => Ok((hours * HOUR as f64) as i64),
        Some(hours) => Err(ApiError::bad_request(format!("{hours} hours to learn from: say 0 to 8784"))),
    }
}

fn words(error: ReplayError) -> String {
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let jobs = app.replays.jobs.lock();
    let job = id.parse().ok().and_then(|id: u64| jobs.by_id.get(&id));
    let job = job.ok_or_else(|| ApiError::not_found(format!("no replay {id:?}")))?;
    let mut answer = json!({
        "id": id,
        "plan": job.plan,
        "done": job.progress.permille.load(Ordering::Relaxed) as f64 / 1000.0,
        "state": match &job.outcome {
            None => "running",
            Some(Ok(_)) => "done",
            Some(Err(_)) => "failed",
        },
    });
    match &job.outcome {
        Some(Ok(report)) => answer["report"] = json!(**report),
        Some(Err(error)) => answer["error"] = json!(error),
        None => {}
    }
    Ok(Json(answer))
}

async fn cancel(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let jobs = app.replays.jobs.lock();
    let job = id.parse().ok().and_then(|id: u64| jobs.by_id.get(&id));
    let job = job.ok_or_else(|| ApiError::not_found(format!("no replay {id:?}")))?;
    job.progress.cancelled.store(true, Ordering::Relaxed);
    Ok(Json(json!({ "id": id })))
}
