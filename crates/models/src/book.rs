//! Everything that is known, in memory, and what of it changed.
//!
//! The book is plain data. Commands check first and then change it, so that a refused one changes nothing; what changed
//! is taken with [`Book::take_changes`] as documents, which the caller makes durable before it answers. A book is made
//! again from the documents with [`Book::load`]. Memory is bounded by what is registered.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    experiments::Experiment,
    gates::Gate,
    logged::LoggedModel,
    moves::{Acting, Move},
    observed::Observed,
    registry::RegisteredModel,
    retraining::{Policy, Training},
    rollout::Rollout,
    runs::{Latest, Point, Run},
    traces::Trace,
    webhooks::{Delivery, Webhook},
};

/// Names with values.
pub type Pairs = BTreeMap<String, String>;

/// One document, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What it is: `experiment`, `run`, `model` …
    pub kind: &'static str,
    /// Which.
    pub id: String,
    /// JSON; `None`: it is gone.
    pub body: Option<String>,
}

/// Values of metrics that one call gave to one run, as they are kept: see [`crate::runs::encode`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The run's number.
    pub run: u64,
    /// What was given.
    pub body: Vec<u8>,
}

/// What is to be made durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Documents that are new, changed or gone.
    pub documents: Vec<Document>,
    /// Values of metrics.
    pub chunks: Vec<Chunk>,
}

impl Changes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.chunks.is_empty()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Experiment,
    Run,
    Latest,
    LoggedModel,
    RegisteredModel,
    Trace,
    Webhook,
    Delivery,
    Move,
    Training,
}

impl Kind {
    const ALL: [Kind; 10] = [
        Kind::Experiment,
        Kind::Run,
        Kind::Latest,
        Kind::LoggedModel,
        Kind::RegisteredModel,
        Kind::Trace,
        Kind::Webhook,
        Kind::Delivery,
        Kind::Move,
        Kind::Training,
    ];

    fn name(self) -> &'static str {
        match self {
            Kind::Experiment => "experiment",
            Kind::Run => "run",
            Kind::Latest => "latest",
            Kind::LoggedModel => "logged_model",
            Kind::RegisteredModel => "registered_model",
            Kind::Trace => "trace",
            Kind::Webhook => "webhook",
            Kind::Delivery => "delivery",
            Kind::Move => "move",
            Kind::Training => "training",
        }
    }
}

/// The book.
#[derive(Debug, Default)]
pub struct Book {
    pub(crate) experiments: BTreeMap<u64, Experiment>,
    pub(crate) experiment_names: HashMap<String, u64>,
    /// Runs by number, in the order in which they were made.
    pub(crate) runs: Vec<Run>,
    /// Their last values of metrics, by the same number.
    pub(crate) latest: Vec<Latest>,
    pub(crate) run_numbers: HashMap<String, usize>,
    pub(crate) runs_of: HashMap<u64, Vec<usize>>,
    pub(crate) logged: BTreeMap<String, LoggedModel>,
    pub(crate) registered: BTreeMap<String, RegisteredModel>,
    pub(crate) traces: BTreeMap<String, Trace>,
    pub(crate) traces_of: HashMap<u64, BTreeSet<String>>,
    pub(crate) webhooks: BTreeMap<String, Webhook>,
    pub(crate) deliveries: BTreeMap<String, Delivery>,
    /// What became of versions, by number.
    pub(crate) moves: BTreeMap<u64, Move>,
    pub(crate) gates: Vec<Gate>,
    pub(crate) rollouts: Vec<Rollout>,
    /// By number.
    pub(crate) trainings: BTreeMap<u64, Training>,
    pub(crate) retraining: Vec<Policy>,
    /// By model and version; not kept.
    pub(crate) observed: BTreeMap<(String, u64), Observed>,
    pub(crate) acting: Acting,
    dirty: BTreeSet<(Kind, String)>,
    /// Runs whose last values are newer than their document.
    unsaved: BTreeSet<usize>,
    chunks: Vec<Chunk>,
}

/// What cannot be read of the documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Kind and id of the document.
    pub document: String,
    /// What is wrong.
    pub reason: String,
}

impl Book {
    /// A book of the documents kept, in any order. Values of metrics that were kept since the last values were
    /// ([`Book::take_latest`]) are given with [`Book::replay`] afterwards.
    pub fn load(documents: impl IntoIterator<Item = (String, String, String)>) -> Result<Book, Unreadable> {
        let mut book = Book::default();
        let mut runs: BTreeMap<u64, Run> = BTreeMap::new();
        let mut latest: BTreeMap<u64, Latest> = BTreeMap::new();
        for (kind, id, body) in documents {
            let Some(kind) = Kind::ALL.into_iter().find(|k| k.name() == kind) else { continue };
            let place = || format!("{} {id}", kind.name());
            match kind {
                Kind::Experiment => {
                    let experiment: Experiment = read(&body, place)?;
                    book.experiment_names.insert(experiment.name.clone(), experiment.id);
                    book.experiments.insert(experiment.id, experiment);
                }
                Kind::Run => {
                    let run: Run = read(&body, place)?;
                    runs.insert(run.number, run);
                }
                Kind::Latest => {
                    let number = id.parse().map_err(|_| unreadable(place(), "its id is no number".into()))?;
                    latest.insert(number, read(&body, place)?);
                }
                Kind::LoggedModel => {
                    book.logged.insert(id.clone(), read(&body, place)?);
                }
                Kind::RegisteredModel => {
                    book.registered.insert(id.clone(), read(&body, place)?);
                }
                Kind::Webhook => {
                    book.webhooks.insert(id.clone(), read(&body, place)?);
                }
                Kind::Delivery => {
                    book.deliveries.insert(id.clone(), read(&body, place)?);
                }
                Kind::Move => {
                    let made: Move = read(&body, place)?;
                    book.moves.insert(made.number, made);
                }
                Kind::Training => {
                    let training: Training = read(&body, place)?;
                    book.trainings.insert(training.number, training);
                }
                Kind::Trace => {
                    let trace: Trace = read(&body, place)?;
                    book.traces_of.entry(trace.experiment).or_default().insert(id.clone());
                    book.traces.insert(id.clone(), trace);
                }
            }
        }
        for (expected, (number, run)) in (0..).zip(runs) {
            if number != expected {
                return Err(unreadable(format!("run {expected}"), "it is missing".into()));
            }
            book.index_run(run, latest.remove(&number).unwrap_or_default());
        }
        Ok(book)
    }

    /// Takes in values of metrics that were kept. Those of a run that is not known are left out.
    pub fn replay(&mut self, run: u64, body: &[u8]) {
        let Some(latest) = self.latest.get_mut(run as usize) else { return };
        for (key, point) in crate::runs::decode(body) {
            latest.see(key, point);
        }
        self.unsaved.insert(run as usize);
    }

    pub(crate) fn index_run(&mut self, run: Run, latest: Latest) {
        let number = self.runs.len();
        self.run_numbers.insert(run.id.clone(), number);
        self.runs_of.entry(run.experiment).or_default().push(number);
        self.runs.push(run);
        self.latest.push(latest);
    }

    /// Notes that something changed, or is gone.
    pub(crate) fn touch(&mut self, kind: Kind, id: impl Into<String>) {
        self.dirty.insert((kind, id.into()));
    }

    /// Notes values of metrics.
    pub(crate) fn add_points(&mut self, run: usize, points: &[(&str, Point)]) {
        for (key, point) in points {
            self.latest[run].see(key, *point);
        }
        self.unsaved.insert(run);
        self.chunks.push(Chunk { run: run as u64, body: crate::runs::encode(points) });
    }

    /// What changed since it was last taken.
    pub fn take_changes(&mut self) -> Changes {
        let dirty = std::mem::take(&mut self.dirty);
        let documents = dirty.into_iter().map(|(kind, id)| self.document(kind, id)).collect();
        Changes { documents, chunks: std::mem::take(&mut self.chunks) }
    }

    /// The last values of the runs in which they changed. Once these are kept, chunks kept before need no replay.
    pub fn take_latest(&mut self) -> Vec<Document> {
        let unsaved = std::mem::take(&mut self.unsaved);
        unsaved.into_iter().map(|run| self.document(Kind::Latest, run.to_string())).collect()
    }

    fn document(&self, kind: Kind, id: String) -> Document {
        let body = match kind {
            Kind::Experiment => id.parse().ok().and_then(|id: u64| self.experiments.get(&id)).map(json),
            Kind::Run => self.run_numbers.get(&id).map(|number| json(&self.runs[*number])),
            Kind::Latest => id.parse().ok().and_then(|number: usize| self.latest.get(number)).map(json),
            Kind::LoggedModel => self.logged.get(&id).map(json),
            Kind::RegisteredModel => self.registered.get(&id).map(json),
            Kind::Trace => self.traces.get(&id).map(json),
            Kind::Webhook => self.webhooks.get(&id).map(json),
            Kind::Delivery => self.deliveries.get(&id).map(json),
            Kind::Move => id.parse().ok().and_then(|number: u64| self.moves.get(&number)).map(json),
            Kind::Training => id.parse().ok().and_then(|number: u64| self.trainings.get(&number)).map(json),
        };
        Document { kind: kind.name(), id, body }
    }
}

fn json<T: Serialize>(value: &T) -> String {
    // Plain data with text keys always serializes.
    serde_json::to_string(value).unwrap_or_default()
}

fn read<T: DeserializeOwned>(body: &str, place: impl Fn() -> String) -> Result<T, Unreadable> {
    serde_json::from_str(body).map_err(|error| unreadable(place(), error.to_string()))
}

fn unreadable(document: String, reason: String) -> Unreadable {
    Unreadable { document, reason }
}

/// Whether something is there or was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifecycle {
    /// It is there.
    #[default]
    Active,
    /// It was removed and can be restored.
    Deleted,
}

impl Lifecycle {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Lifecycle::Active => "active",
            Lifecycle::Deleted => "deleted",
        }
    }
}
