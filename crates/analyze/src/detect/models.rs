//! `models`: predictions of a team's models, held against what they were and against what was right.
//!
//! From events of kind `prediction`, `label` and `model.settings` about entities `model:…`, for each version of a model:
//!
//! - *drift* (`model_input_drift`, `model_prediction_drift`): windows of rows are compared with the version's first
//!   rows column by column ([`math::drift_two_sample`]), chances corrected for all columns together. It is said when a
//!   column drifted in two windows in a row, or once beyond doubt, and ends after two windows without. The first 1,000
//!   rows are the reference because a shift of a quarter of a deviation is then told from chance in windows of half as
//!   many; of a longer reference 2,000 rows are kept by even chance, more would only cost.
//! - *data quality* (`model_data_quality`): rules on columns, see `quality`.
//! - *errors* (`model_errors`): labels are joined to predictions by id whenever they come, and the errors go in the
//!   order of their labels into [`math::drift_stream`], which promises one false alarm in 100,000 labels at most. It
//!   ends where twice 200 labels in a row show no more than a quarter of the rise.
//! - *a worse version* (`model_worse`): its errors are paired with those of the version that was in use before it, see
//!   `against`; said by chance of one version in 1,000 that is no worse.
//! - *estimated accuracy* (`model_estimate`): how sure the model is, and how right it was when it was as sure in its
//!   first labelled predictions, say how right it is likely to be now ([`math::no_labels`]).
//! - *fairness* (`model_fairness`): rates of the favourable prediction by group, see `fairness`.
//!
//! Versions are kept apart. A version with fewer rows than its reference needs, labels that nobody sends and columns
//! that never vary give silence. Rows that come late or twice are left out; labels may come at any time, of predictions
//! that are not remembered they are counted. A row's weight counts in rates of groups alone: samples are compared row by
//! row, which is right while rows are sampled evenly within a window.
//!
//! Cost: about half a microsecond a column of a prediction, its JSON and the windows included (4 µs at 10 columns, 52 at
//! 100); 12 KB a column and version, 5 MB a model for 100,000 predictions that await labels. Fails on: a daily rhythm where the reference does not span a day (set `reference_h`); a version that was bad
//! from its first row and has no labels; columns that change only together; more than 200 columns.

pub mod columns;

mod against;
mod claims;
mod compare;
mod errors;
mod events;
mod fairness;
mod quality;
mod ring;
mod sample;
mod say;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use types::{Batch, DAY, EntityId, EntityKey, HOUR, MINUTE, SECOND, Tenant, Time};
use view::{
    Analysis, Findings, Fleet, Pages, Param, Params, State, StateData, Stratum, Trigger, View, load_nodes, save_nodes,
};

use self::against::{Against, Recent};
use self::claims::Whose;
use self::errors::{Errors, Labelled};
use self::events::{Label, Prediction, Scalar, Settings, Value, hash};
use self::fairness::Fairness;
use self::ring::{HAS_PROBABILITIES, IS_LABELLED, IS_NUMBER, Remembered, Ring};
use self::sample::{Field, Of, Sample, shown};
use super::ongoing::Claims;

/// The catalogue's entry.
pub const ANALYSIS: Analysis = Analysis {
    name: "models",
    version: 1,
    summary: "drift, broken inputs, errors and fairness of the team's own models",
    stratum: Stratum::Detect,
    trigger: Trigger::Every(10 * SECOND),
    params: &[
        Param {
            name: "reference_rows",
            default: 1000.0,
            range: (100.0, 1e6),
            summary: "first rows of a version that serve as its reference; 1,000 tell a quarter of a deviation from chance",
        },
        Param {
            name: "reference_h",
            default: 0.0,
            range: (0.0, 720.0),
            summary: "hours that the reference spans at least; 0 lets rows decide, 24 takes a daily rhythm in",
        },
        Param {
            name: "window_rows",
            default: 500.0,
            range: (100.0, 2000.0),
            summary: "rows of a window; half of the reference, so that the reference's own chance weighs no more",
        },
        Param {
            name: "window_s",
            default: 60.0,
            range: (1.0, 86_400.0),
            summary: "seconds that a window lasts at least, so that two in a row are more than a burst of one client",
        },
        Param {
            name: "window_h",
            default: 1.0,
            range: (0.1, 168.0),
            summary: "hours after which a window of 100 rows or more ends; what is slower is told too late to help",
        },
        Param {
            name: "estimate_margin",
            default: 0.05,
            range: (0.0, 0.5),
            summary: "accuracy that must be lost by the whole interval of the estimate; one in twenty is worth a look",
        },
        Param {
            name: "fairness_ratio",
            default: 0.8,
            range: (0.1, 1.0),
            summary: "lowest over highest rate of the favourable prediction; four fifths is the usual rule",
        },
        Param {
            name: "group_rows",
            default: 50.0,
            range: (10.0, 1e5),
            summary: "rows in a window from which a group counts; fewer give intervals that say nothing",
        },
    ],
    new_state: |_| State::new(Book::default()),
    run,
};

/// Models and versions watched at most.
const MAX_MODELS: usize = 64;
const MAX_VERSIONS: usize = 64;
/// A version that made no prediction for so long is forgotten, and a model where another needs its place.
const GONE_NS: i64 = DAY;
const MODEL_GONE_NS: i64 = 30 * DAY;
/// Without a prediction for so long, nothing is said of predictions.
const IDLE_NS: i64 = 2 * HOUR;
/// Rows kept of a reference.
const REFERENCE_MOST: usize = 2000;
/// Rows without which a window does not end by time.
const WINDOW_FEW: usize = 100;
/// Classes whose probabilities are compared.
const MAX_CLASSES: usize = 16;
/// Different whole numbers up to which predictions without probabilities are taken for classes.
const MAX_NUMBERS: usize = 20;
/// Labels of a model that may wait for their predictions: those are written a moment after they are answered.
const MAX_EARLY: usize = 500;
/// Settings of versions kept, and sensitive columns of one.
const MAX_SETTINGS: usize = 32;
const MAX_SENSITIVE: usize = 8;

#[derive(Default)]
struct Book {
    fleet: FleetPart,
    versions: Vec<Version>,
    dirty: Vec<bool>,
    /// By version: its reference and its present window.
    samples: Vec<(Sample, Sample)>,
    /// By model.
    rings: Vec<Ring>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct FleetPart {
    models: Vec<Model>,
    /// Events that could not be read, or are beyond the limits.
    left_out: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Model {
    tenant: Tenant,
    entity: EntityId,
    key: u32,
    last: i64,
    /// Predictions remembered so far.
    taken: u64,
    /// Predictions and labels that came twice, and labels of predictions that are not remembered.
    twice: u64,
    unknown: u64,
    /// Labels that came before their predictions.
    #[serde(default)]
    early: VecDeque<(u64, Value)>,
    /// What people said, by version; empty for all.
    settings: BTreeMap<String, Setting>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Setting {
    sensitive: Vec<String>,
    favourable: String,
}

/// One version of a model. Its place is given to another once it is forgotten.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Version {
    is_used: bool,
    generation: u8,
    model: usize,
    name: String,
    /// Time of the first row, ns, and when the last prediction or label came.
    first: i64,
    last: i64,
    is_referenced: bool,
    /// Whether it predicts numbers, not classes; while it may be either, the different numbers.
    is_measured: bool,
    numbers: BTreeSet<i64>,
    /// Whether its last prediction was one beside that of another version.
    is_shadow: bool,
    against: Option<Against>,
    recent: Recent,
    /// Rows that it predicted, and what of rows and pairs was charted when.
    rows: u64,
    charted: (u64, u64),
    charted_ns: i64,
    drift: BTreeMap<String, Streak>,
    errors: Errors,
    labelled: Labelled,
    fairness: Fairness,
    claims: Claims,
}

/// Columns that drifted in the last window, and since when some did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Streak {
    columns: Vec<String>,
    since: i64,
}

fn run(view: &View, params: &Params, state: &mut State, out: &mut Findings) {
    let book: &mut Book = state.get();
    for batch in view.batches {
        for i in 0..batch.events.len() {
            match batch.events.kind.get(i) {
                "prediction" => book.take_prediction(view, params, batch, i, out),
                "label" => book.take_label(view, batch, i, out),
                "model.settings" => book.take_settings(view, batch, i),
                _ => {}
            }
        }
    }
    for at in 0..book.versions.len() {
        if book.versions[at].is_used {
            book.close_windows(at, view.now.0, view, params, out);
            book.go_on(at, view, out);
        }
    }
}

impl Book {
    fn take_prediction(&mut self, view: &View, params: &Params, batch: &Batch, i: usize, out: &mut Findings) {
        let time = batch.events.time[i];
        if view.is_late(time) || time > view.now.0 {
            return;
        }
        let Ok(row) = serde_json::from_str::<Prediction>(batch.events.attributes.get(i)) else {
            self.fleet.left_out += 1;
            return;
        };
        let Some(model) = self.model(view, batch, i) else { return };
        let answered = id_of(&row.id);
        let id = if row.shadow { shadow_id(answered) } else { answered };
        if self.rings[model].has(id) {
            self.fleet.models[model].twice += 1;
            return;
        }
        let Some(at) = self.version(model, &row.version.text(), row.shadow, time, view.now) else {
            self.fleet.left_out += 1;
            return;
        };
        if let (true, Some(of_answer)) = (row.shadow, self.rings[model].get(answered)) {
            self.versions[at].note_both(&of_answer, row.prediction.value());
        }
        self.close_windows(at, time, view, params, out);
        let certainty = certainty(&row);
        self.remember(model, at, id, time, &row, certainty);
        self.judge_fairness_of(model, at, time, &row);
        self.sample(at, time, &row, certainty, params);
        if let Some(value) = self.fleet.models[model].label_before(answered) {
            self.join_label(model, id, value, view, out);
        }
    }

    /// Adds a row to the reference or the window of its version.
    fn sample(&mut self, at: usize, time: i64, row: &Prediction, certainty: Option<f64>, params: &Params) {
        let version = &mut self.versions[at];
        let (reference, window) = &mut self.samples[at];
        let fields = fields(row, certainty);
        if version.is_referenced {
            window.push(time, &fields);
            return;
        }
        reference.push(time, &fields);
        let has_rows = reference.head.seen as f64 >= params.get("reference_rows");
        version.is_referenced = has_rows && (time - version.first) as f64 >= params.get("reference_h") * HOUR as f64;
    }

    fn remember(&mut self, model: usize, at: usize, id: u64, time: i64, row: &Prediction, certainty: Option<f64>) {
        let version = &mut self.versions[at];
        let Some(value) = row.prediction.value() else { return };
        let mut flags = if row.probabilities.is_empty() { 0 } else { HAS_PROBABILITIES };
        let value = match value {
            Value::Text(hash) => hash,
            Value::Number(number) => {
                flags |= IS_NUMBER;
                version.learn_kind(number, !row.probabilities.is_empty());
                (number as f32).to_bits()
            }
        };
        let prediction = Remembered {
            id,
            value,
            certainty: certainty.map_or(f32::NAN, |c| c as f32),
            time_s: (time / SECOND).clamp(0, i64::from(u32::MAX)) as u32,
            node: at as u16,
            generation: version.generation,
            flags,
        };
        let of = &mut self.fleet.models[model];
        self.rings[model].keep(of.taken, prediction);
        of.taken += 1;
    }

    fn judge_fairness_of(&mut self, model: usize, at: usize, time: i64, row: &Prediction) {
        let version = &mut self.versions[at];
        let settings = &self.fleet.models[model].settings;
        let Some(setting) = settings.get(&version.name).or_else(|| settings.get("")) else { return };
        if !setting.favourable.is_empty() {
            version.fairness.take(time, row, &setting.sensitive, &setting.favourable);
        }
    }

    fn take_label(&mut self, view: &View, batch: &Batch, i: usize, out: &mut Findings) {
        let Ok(label) = serde_json::from_str::<Label>(batch.events.attributes.get(i)) else {
            self.fleet.left_out += 1;
            return;
        };
        let (Some(model), Some(value)) = (self.model(view, batch, i), label.value.value()) else { return };
        let answered = id_of(&label.prediction_id);
        if !self.join_label(model, answered, value, view, out) {
            self.fleet.models[model].wait_for(answered, value);
        }
        self.join_label(model, shadow_id(answered), value, view, out);
    }

    /// Joins a label to the prediction of an id; `false` where that is not remembered.
    fn join_label(&mut self, model: usize, id: u64, value: Value, view: &View, out: &mut Findings) -> bool {
        let Some(known) = self.rings[model].label(id) else { return false };
        if known.flags & IS_LABELLED != 0 {
            self.fleet.models[model].twice += 1;
            return true;
        }
        let at = usize::from(known.node);
        let is_same = |v: &Version| v.is_used && v.generation == known.generation && v.model == model;
        let is_there = self.versions.get(at).is_some_and(is_same);
        if is_there {
            self.join(at, &known, value, view, out);
        }
        is_there
    }

    fn join(&mut self, at: usize, known: &Remembered, value: Value, view: &View, out: &mut Findings) {
        let version = &mut self.versions[at];
        self.dirty[at] = true;
        if let Value::Number(number) = value {
            version.learn_kind(number, known.flags & HAS_PROBABILITIES != 0);
        }
        let is_size = version.is_measured && known.flags & (HAS_PROBABILITIES | IS_NUMBER) == IS_NUMBER;
        let error = match (value, is_size) {
            (Value::Number(number), true) => (f64::from(f32::from_bits(known.value)) - number).abs(),
            // A text is no answer where numbers are predicted.
            (Value::Text(_), true) => return,
            _ => f64::from(u8::from(!known.is_class(value))),
        };
        if !is_size {
            version.labelled.take(known.certainty, error == 0.0);
        }
        let turn = version.errors.push(error.min(1e300), is_size, view.now);
        version.recent.push(error);
        if let Some(against) = &mut version.against {
            against.push(error);
        }
        let model = &self.fleet.models[version.model];
        let whose = Whose::of(model, &version.name, version.is_shadow);
        if let Some(turn) = turn {
            say::errors(&mut version.claims, &whose, &version.errors, turn, view.now, out);
        }
        self.compare_versions(at, view, out);
    }

    /// Holds a version that has a new error against the one before it, and those that came after it against it.
    fn compare_versions(&mut self, changed: usize, view: &View, out: &mut Findings) {
        for at in 0..self.versions.len() {
            let is_concerned = |against: &mut Against| at == changed || against.node == changed;
            if let Some(mut against) = self.versions[at].against.take_if(is_concerned) {
                self.hold_against(at, &mut against, view, out);
                self.versions[at].against = Some(against);
            }
        }
    }

    fn hold_against(&mut self, at: usize, against: &mut Against, view: &View, out: &mut Findings) {
        let is_of_classes = self.versions[at].errors.is_of_classes();
        let Some(other) = self.versions.get(against.node) else { return };
        if other.generation != against.generation || other.errors.is_of_classes() != is_of_classes {
            return;
        }
        against.settle(&other.recent);
        self.dirty[at] = true;
        let version = &mut self.versions[at];
        let model = &self.fleet.models[version.model];
        let whose = Whose::of(model, &version.name, version.is_shadow);
        let held = say::Held { against, since: version.first, is_of_classes };
        say::worse(&mut version.claims, &whose, held, view.now, out);
    }

    fn take_settings(&mut self, view: &View, batch: &Batch, i: usize) {
        let Ok(said) = serde_json::from_str::<Settings>(batch.events.attributes.get(i)) else {
            self.fleet.left_out += 1;
            return;
        };
        let Some(model) = self.model(view, batch, i) else { return };
        let settings = &mut self.fleet.models[model].settings;
        let version = shown(&said.version.text());
        if settings.len() < MAX_SETTINGS || settings.contains_key(&version) {
            let sensitive = said.sensitive.into_iter().take(MAX_SENSITIVE).collect();
            settings.insert(version, Setting { sensitive, favourable: said.favourable.text().into_owned() });
        }
    }

    /// Ends the windows of a version that are due by `time`, and judges them.
    fn close_windows(&mut self, at: usize, time: i64, view: &View, params: &Params, out: &mut Findings) {
        let version = &mut self.versions[at];
        let model = &self.fleet.models[version.model];
        let whose = Whose::of(model, &version.name, version.is_shadow);
        if version.fairness.is_due(time) {
            self.dirty[at] = true;
            say::fairness(&mut version.fairness, &mut version.claims, &whose, params, view.now, out);
        }
        let (reference, window) = &mut self.samples[at];
        if !is_due(window, time, params) {
            return;
        }
        self.dirty[at] = true;
        let judged = say::Window { reference, window, whose: &whose, key: EntityKey(model.key), now: view.now };
        judged.drift(&mut version.drift, &mut version.claims, &version.labelled, params, out);
        *window = version.fresh_window(model, params);
    }

    /// Says what goes on, charts what came, and lets go of what is gone.
    fn go_on(&mut self, at: usize, view: &View, out: &mut Findings) {
        let version = &mut self.versions[at];
        let model = &self.fleet.models[version.model];
        let whose = Whose::of(model, &version.name, version.is_shadow);
        if let Some(error) = version.errors.point(view.now) {
            self.dirty[at] = true;
            let is_of_classes = version.errors.is_of_classes();
            let metric = if is_of_classes { say::ACCURACY } else { say::ERROR };
            let value = if is_of_classes { 1.0 - error } else { error };
            say::point(&whose, EntityKey(model.key), metric, value, view.now, out);
        }
        let seen = version.seen();
        if seen != version.charted && view.now.0 - version.charted_ns >= MINUTE {
            self.dirty[at] = true;
            (version.charted, version.charted_ns) = (seen, view.now.0);
            say::seen(&whose, EntityKey(model.key), version.rows, version.against.as_ref(), view.now, out);
        }
        let silent_ns = view.now.0 - version.last;
        if silent_ns >= IDLE_NS {
            claims::end_all(&mut version.claims, view.now, out, |f| f.measure != say::ERRORS || silent_ns >= GONE_NS);
        }
        self.dirty[at] |= !version.claims.is_empty();
        claims::go_on(&mut version.claims, view.now, out);
        if silent_ns >= GONE_NS {
            self.forget(at);
        }
    }

    fn forget(&mut self, at: usize) {
        let generation = self.versions[at].generation.wrapping_add(1);
        self.versions[at] = Version { generation, ..Version::default() };
        self.samples[at] = (Sample::new(0, 0), Sample::new(0, 0));
        self.dirty[at] = true;
    }

    /// The number of the model that event `i` is about; `None` where it is no model, or there are too many.
    fn model(&mut self, view: &View, batch: &Batch, i: usize) -> Option<usize> {
        let key = batch.events.entity[i];
        let models = &mut self.fleet.models;
        if let Some(known) = models.iter().position(|m| m.key == key.0 && m.tenant == batch.tenant) {
            models[known].last = view.now.0;
            return Some(known);
        }
        let entity = view.registry.entity_id(key)?.clone();
        if entity.kind() != "model" {
            return None;
        }
        let settings = BTreeMap::new();
        let tenant = batch.tenant.clone();
        let early = VecDeque::new();
        let new =
            Model { tenant, entity, key: key.0, last: view.now.0, taken: 0, twice: 0, unknown: 0, early, settings };
        if models.len() < MAX_MODELS {
            models.push(new);
            self.rings.push(Ring::default());
            return Some(models.len() - 1);
        }
        let gone = models.iter().position(|m| view.now.0 - m.last >= MODEL_GONE_NS);
        let Some(gone) = gone else {
            self.fleet.left_out += 1;
            return None;
        };
        models[gone] = new;
        self.rings[gone].clear();
        Some(gone)
    }

    /// The number of a version, which is begun where it is new; `None` where there are too many.
    fn version(&mut self, model: usize, name: &str, is_shadow: bool, time: i64, now: Time) -> Option<usize> {
        let name = shown(name);
        let known = self.versions.iter().position(|v| v.is_used && v.model == model && v.name == name);
        let at = match known {
            Some(at) => at,
            None => self.begin(model, name, is_shadow, time)?,
        };
        self.dirty[at] = true;
        self.versions[at].is_shadow = is_shadow;
        self.versions[at].rows += 1;
        self.versions[at].last = now.0;
        Some(at)
    }

    fn begin(&mut self, model: usize, name: String, is_shadow: bool, time: i64) -> Option<usize> {
        let in_use = self.versions.iter().enumerate().filter(|(_, v)| v.is_used && v.model == model && !v.is_shadow);
        let before = in_use.max_by_key(|(_, v)| (v.last, v.first));
        let against = before.map(|(at, v)| Against::new(at, v.generation, &v.name, &v.recent, is_shadow));
        let free = self.versions.iter().position(|v| !v.is_used);
        let at = free.unwrap_or(self.versions.len());
        if at >= MAX_VERSIONS {
            return None;
        }
        if at == self.versions.len() {
            self.versions.push(Version::default());
            self.dirty.push(true);
            self.samples.push(<(Sample, Sample)>::default());
        }
        let generation = self.versions[at].generation;
        let version = Version { is_used: true, generation, model, name, first: time, against, ..Version::default() };
        let seed = version.seed(&self.fleet.models[model]);
        self.samples[at] = (Sample::new(seed, REFERENCE_MOST), Sample::new(seed, REFERENCE_MOST));
        self.versions[at] = version;
        Some(at)
    }
}

impl Model {
    /// Keeps a label whose prediction may still come.
    fn wait_for(&mut self, id: u64, value: Value) {
        if self.early.len() == MAX_EARLY {
            self.early.pop_front();
            self.unknown += 1;
        }
        self.early.push_back((id, value));
    }

    /// The label of a prediction that came before it; it stays, since a shadow may predict the same row.
    fn label_before(&self, id: u64) -> Option<Value> {
        self.early.iter().rev().find(|(of, _)| *of == id).map(|(_, value)| *value)
    }
}

impl Version {
    /// Rows and pairs so far.
    fn seen(&self) -> (u64, u64) {
        (self.rows, self.against.as_ref().map_or(0, |against| against.compared().pairs))
    }

    /// Notes a row that another version answered and this one predicted beside it.
    fn note_both(&mut self, of_answer: &Remembered, own: Option<Value>) {
        if let (Some(against), Some(own)) = (&mut self.against, own) {
            against.both += 1;
            against.same += u64::from(of_answer.is_class(own));
        }
    }

    /// Learns from a number that was predicted, or was right, whether these are numbers or names of classes.
    fn learn_kind(&mut self, number: f64, has_probabilities: bool) {
        if self.is_measured || has_probabilities {
            return;
        }
        if number.fract() == 0.0 && number.abs() < 1e15 {
            self.numbers.insert(number as i64);
        }
        self.is_measured = number.fract() != 0.0 || number.abs() >= 1e15 || self.numbers.len() > MAX_NUMBERS;
    }

    fn seed(&self, model: &Model) -> u64 {
        hash(&[model.tenant.as_str(), model.entity.as_str(), &self.name])
    }

    fn fresh_window(&self, model: &Model, params: &Params) -> Sample {
        let most = 2.0 * params.get("window_rows");
        Sample::new(self.seed(model), (most as usize).min(REFERENCE_MOST))
    }
}

impl Remembered {
    /// Whether this is the class that was predicted.
    fn is_class(&self, value: Value) -> bool {
        match value {
            Value::Number(number) => self.flags & IS_NUMBER != 0 && (number as f32).to_bits() == self.value,
            Value::Text(hash) => self.flags & IS_NUMBER == 0 && hash == self.value,
        }
    }
}

fn is_due(window: &Sample, time: i64, params: &Params) -> bool {
    let lasted = time.saturating_sub(window.head.from);
    let is_full = window.head.seen as f64 >= params.get("window_rows");
    let is_long = lasted as f64 >= params.get("window_h") * HOUR as f64 && window.len() >= WINDOW_FEW;
    is_full && lasted as f64 >= params.get("window_s") * SECOND as f64 || is_long
}

/// The columns of a row, in order.
fn fields<'a>(row: &'a Prediction, certainty: Option<f64>) -> Vec<Field<'a>> {
    let inputs = row.inputs.iter().map(|(name, value)| Field::new(Of::Input, &name.0, value));
    let predicted = std::iter::once(Field::new(Of::Prediction, "", &row.prediction));
    let classes = row.probabilities.iter().take(MAX_CLASSES);
    let classes = classes.map(|(name, value)| Field::new(Of::Probability, &name.0, value));
    let certainty = certainty.map(|c| Field::number(Of::Certainty, c));
    inputs.chain(predicted).chain(classes).chain(certainty).collect()
}

/// The probability of the class that was predicted; the highest where no class has its name.
fn certainty(row: &Prediction) -> Option<f64> {
    let predicted = row.prediction.value()?;
    let number = |value: &Scalar| if let Scalar::Number(p) = value { Some(*p) } else { None };
    let named = row.probabilities.iter().find(|(name, _)| Value::of_text(&name.0) == predicted);
    let highest = || row.probabilities.values().filter_map(number).reduce(f64::max);
    named.and_then(|(_, value)| number(value)).or_else(highest)
}

/// Never 0, which stands for none.
fn id_of(id: &Scalar) -> u64 {
    hash(&[&id.text()]).max(1)
}

/// What the prediction of a shadow beside an answer is called.
fn shadow_id(answered: u64) -> u64 {
    answered.rotate_left(32) ^ 1
}

impl StateData for Book {
    fn schema(&self) -> u32 {
        1
    }

    fn save(&mut self, all: bool, pages: &mut Pages) {
        pages.insert("fleet".into(), Fleet(self.fleet.clone()).to_bytes());
        save_nodes(&self.versions, &mut self.dirty, all, pages);
        for (i, (reference, window)) in self.samples.iter_mut().enumerate() {
            reference.save(&format!("reference{i}"), all, pages);
            window.save(&format!("window{i}"), all, pages);
        }
        self.rings.iter_mut().enumerate().for_each(|(i, ring)| ring.save(&format!("ring{i}"), all, pages));
    }

    fn load(&mut self, schema: u32, pages: &Pages) -> Result<(), String> {
        if schema != 1 {
            return Err(format!("schema {schema} is not 1: start fresh"));
        }
        self.fleet = pages.get("fleet").map_or(Ok(Fleet::default()), |bytes| Fleet::from_bytes(bytes))?.0;
        self.versions = load_nodes(pages)?;
        self.dirty = vec![false; self.versions.len()];
        let sample = |name: &str, i: usize| Sample::load(&format!("{name}{i}"), pages);
        let samples = (0..self.versions.len()).map(|i| Ok((sample("reference", i)?, sample("window", i)?)));
        self.samples = samples.collect::<Result<_, String>>()?;
        let rings = (0..self.fleet.models.len()).map(|i| Ring::load(&format!("ring{i}"), pages));
        self.rings = rings.collect::<Result<_, String>>()?;
        Ok(())
    }
}
