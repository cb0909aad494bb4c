//! Retraining: begins trainings that are due, asks after those that go on, and what people ask for.
//!
//! What is intended is durable, in the book and in the journal, before an actuator is asked. After a stop in between, an
//! actuator that takes the same name twice for one is asked again; of another it is not known what it did, and a person
//! must look.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use act::actuator::{Actuator, End, Key, Outcome, State as Standing, Step};
use axum::{
    Extension, Json,
    extract::{Path, State},
    http::Method,
};
use models::retraining::{Stage, Training};
use serde_json::{Value, json};
use types::{JournalEntry, JournalKind, Time};

use crate::{
    auth::Permission,
    errors::ApiError,
    guard::Caller,
    routes::Routes,
    state::{App, now},
};

/// How often it is looked which trainings are due.
const PERIOD: Duration = Duration::from_secs(10);
/// How often one that goes on is asked after.
const ASK_EVERY: Duration = Duration::from_secs(20);

pub fn add(routes: &mut Routes) {
    routes.add(
        Method::GET,
        "/api/v1/models/{name}/trainings",
        Permission::Read,
        "When a model was trained again, why, and what became of it, newest first",
        trainings,
    );
    routes.add(
        Method::POST,
        "/api/v1/models/{name}/train",
        Permission::Admin,
        "Train a model again now, as [[retraining]] of the settings says",
        train,
    );
}

type Shared = State<Arc<App>>;

async fn trainings(State(app): Shared, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    let (all, policy) = app.models.read(|book| {
        book.registered(&name)?;
        let all: Vec<Value> = book.trainings_of(&name).rev().map(shown).collect();
        Ok::<_, models::Problem>((all, book.retraining_of(&name).cloned()))
    })?;
    Ok(Json(json!({"trainings": all, "policy": policy})))
}

/// Times of a training as everywhere else in the API.
fn shown(training: &Training) -> Value {
    let mut shown = json!(training);
    shown["at"] = json!(Time(training.at * 1_000_000));
    shown["ended"] = json!(training.ended.map(|ended| Time(ended * 1_000_000)));
    shown
}

async fn train(
    State(app): Shared,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let why = format!("{} asked for it", caller.name);
    let training = app.models.change_by(&caller.name, |book, _| book.intend_training(&name, why)).await?;
    let answer = shown(&training);
    begin(&app, training).await;
    Ok(Json(answer))
}

/// Begins what is due and asks after what goes on, until the server stops; `left` was not over when it started.
pub async fn retrain(app: Arc<App>, left: Vec<Training>) {
    for training in left.into_iter().filter(|training| training.stage == Stage::Intended) {
        take_up(&app, training).await;
    }
    let mut asked: BTreeMap<u64, Instant> = BTreeMap::new();
    while !app.stop.is_set() {
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = app.stop.wait() => return,
        }
        let at = now().0 / 1_000_000;
        for (name, why) in app.models.read(|book| book.due_trainings(at)) {
            match app.models.change(|book, _| book.intend_training(&name, why)).await {
                Ok(training) => begin(&app, training).await,
                Err(problem) => tracing::warn!(model = name, "it is not trained again: {}", problem.message),
            }
        }
        let open = app.models.read(models::Book::open_trainings);
        asked.retain(|number, _| open.iter().any(|training| training.number == *number));
        for training in open.into_iter().filter(|training| training.stage == Stage::Running) {
            if asked.get(&training.number).is_none_or(|at| at.elapsed() >= ASK_EVERY) {
                asked.insert(training.number, Instant::now());
                ask_after(&app, &training).await;
            }
        }
    }
}

/// Goes on with a training that was intended when the server stopped.
async fn take_up(app: &Arc<App>, training: Training) {
    let is_idempotent = app.config.actuators.get(&training.with).is_some_and(|actuator| {
        let registrations = actuator.registrations();
        registrations.first().is_some_and(|registration| registration.idempotent)
    });
    match is_idempotent {
        true => begin(app, training).await,
        false => note(app, &training, Stage::Unknown, "", "the server stopped while it was being started").await,
    }
}

/// Writes the intent into the journal, and starts.
async fn begin(app: &Arc<App>, training: Training) {
    if let Err(error) = app.store.append_journal(line(&training)).await {
        let why = format!("not started, since the journal cannot be written: {error}");
        return note(app, &training, Stage::Failed, "", &why).await;
    }
    let app = app.clone();
    tokio::spawn(async move {
        // What a stop cuts off is taken up at the next start.
        let outcome = tokio::select! {
            outcome = carry_out(&app, &training) => outcome,
            () = app.stop.wait() => return,
        };
        let output: Vec<String> = outcome.output.iter().map(|(stream, text)| format!("{stream}: {text}")).collect();
        let said = [outcome.text.clone(), output.join("\n")].join("\n");
        let handle = outcome.handle.unwrap_or_default();
        let stage = match outcome.end {
            End::Done if handle.is_empty() => Stage::Succeeded,
            End::Done => Stage::Running,
            End::Refused | End::Failed => Stage::Failed,
            End::Unknown => Stage::Unknown,
        };
        note(&app, &training, stage, &handle, said.trim()).await;
    });
}

async fn carry_out(app: &Arc<App>, training: &Training) -> Outcome {
    let refused = |text: String| Outcome { end: End::Refused, text, output: BTreeMap::new(), handle: None };
    let Some(actuator) = app.config.actuators.get(&training.with) else {
        return refused(format!("there is no [actuators.{}] in the settings", training.with));
    };
    let (step, key) = match (step(app, actuator, training), key(app, training)) {
        (Ok(step), Ok(key)) => (step, key),
        (Err(why), _) | (_, Err(why)) => return refused(why),
    };
    actuator.carry_out(&app.egress, &step, &key).await
}

/// What the policy of a training asks its actuator for.
fn step(app: &App, actuator: &Actuator, training: &Training) -> Result<Step, String> {
    let policy = app.models.read(|book| book.retraining_of(&training.model).cloned());
    let policy = policy.ok_or_else(|| format!("no [[retraining]] says how {} is trained", training.model))?;
    let first = actuator.registrations().into_iter().next().map(|registration| registration.action);
    let action = first.ok_or("the actuator can do nothing")?;
    let target = policy.target.unwrap_or_else(|| training.model.clone());
    Ok(Step { action, target, parameters: policy.parameters })
}

/// The name of a training: no other of this server has it.
fn key(app: &App, training: &Training) -> Result<Key, String> {
    // The model's own name may hold anything, and the number alone may be that of another data folder.
    Key::new(&format!("training-{}-{}", training.number, training.at))
        .map_err(|why| format!("{}: {why}", app.config.data_dir.display()))
}

/// Asks how one that goes on stands.
async fn ask_after(app: &Arc<App>, training: &Training) {
    let Some(actuator) = app.config.actuators.get(&training.with) else {
        let why = format!("there is no [actuators.{}] in the settings any more", training.with);
        return note(app, training, Stage::Unknown, "", &why).await;
    };
    match actuator.state(&app.egress, &training.handle).await {
        Ok(Standing::Running) => {}
        Ok(Standing::Success) => note(app, training, Stage::Succeeded, "", "it ended well").await,
        Ok(Standing::Failed) => note(app, training, Stage::Failed, "", "it failed").await,
        Err(outcome) if outcome.end == End::Refused => note(app, training, Stage::Unknown, "", &outcome.text).await,
        Err(outcome) => tracing::warn!(training = training.number, "it cannot be asked after: {}", outcome.text),
    }
}

/// Notes what has become of a training, in the book and in the journal.
async fn note(app: &Arc<App>, training: &Training, stage: Stage, handle: &str, said: &str) {
    let noted = app.models.change(|book, _| book.note_training(training.number, stage, handle, said)).await;
    match noted {
        Ok(training) => {
            if let Err(error) = app.store.append_journal(line(&training)).await {
                tracing::warn!(%error, "what became of a training is not in the journal");
            }
        }
        Err(problem) => tracing::warn!("what became of a training was not kept: {}", problem.message),
    }
}

fn line(training: &Training) -> JournalEntry {
    let data = json!({
        "model": training.model, "training": training.number, "stage": training.stage, "policy": training.policy,
        "with": training.with, "actor": training.by, "version": training.version,
    });
    let text = [training.why.as_str(), training.said.as_str()].join("\n").trim().to_owned();
    let at = Time(training.ended.unwrap_or(training.at) * 1_000_000);
    let subject = format!("{}/training/{}", training.model, training.number);
    JournalEntry { at, kind: JournalKind::Model, subject, data, text: Some(text) }
}
