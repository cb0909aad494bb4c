//! Predictions as observations: what models were asked and what they answered, as events of kind `prediction`.
//!
//! How much is kept is said by tags of the registered model: `bellwether.log` is `sample` (some 200 rows a second are
//! written soon after the answer; what is left out is counted), `all` (every row, durable before the answer) or `off`;
//! `bellwether.log.fields` names the inputs that are kept, with commas between them; `bellwether.log.mask` is `patterns`
//! (mail addresses, phone, card and account numbers in texts are masked), `names` (people and places too) or `off`. `bellwether.sensitive` names those by
//! which groups of people are told apart, `bellwether.favourable` the answer that they hope for: what is said of fairness
//! needs both.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ingest::without_personal_data;
use models::registry::RegisteredModel;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use serve::{Answer, Column, Frame, Method};
use tokio::sync::mpsc;
use types::{Batch, EntityId, EntityKey, Registry, Tenant, Time};

use super::{Loaded, Refusal, row_id, traffic};
use crate::state::{App, now};

/// Rows of a version that are sampled in a second.
const ROWS_PER_SECOND: u64 = 200;
/// Requests that wait to be written.
const WAITING: usize = 1024;
/// Requests that are written together.
const TOGETHER: usize = 256;
/// How long a request waits for others.
const LINGER: Duration = Duration::from_millis(200);
/// Longer texts are cut.
const TEXT_MAX: usize = 1024;

/// The tag that says how much is kept.
const MODE: &str = "bellwether.log";
/// The tag that says of which inputs.
const FIELDS: &str = "bellwether.log.fields";
/// The tag that says what of personal data in texts is masked.
const MASK: &str = "bellwether.log.mask";
/// The tag that names the inputs by whose values groups of people are told apart.
const SENSITIVE: &str = "bellwether.sensitive";
/// The tag that says which answer is the one that people hope for.
const FAVOURABLE: &str = "bellwether.favourable";

/// What of a model is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logging {
    mode: Mode,
    /// The inputs that are kept; `None`: all.
    fields: Option<BTreeSet<String>>,
    mask: Mask,
    /// What is watched for fairness.
    watched: Watched,
}

/// What of personal data in texts is masked before it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mask {
    Off,
    /// What has a form of its own: addresses of mail, numbers of phones, cards and accounts, and the like.
    #[default]
    Patterns,
    /// Names of people, places and firms too, as far as rules find them.
    Names,
}

/// The inputs that tell groups apart, and the answer that is hoped for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    sensitive: Vec<String>,
    favourable: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    Off,
    #[default]
    Sample,
    All,
}

impl Logging {
    /// What a model's tags say. A word that is not known counts as `sample`.
    pub fn of(model: &RegisteredModel) -> Logging {
        let mode = match model.tags.get(MODE).map(|mode| mode.trim()) {
            Some("off") => Mode::Off,
            Some("all") => Mode::All,
            _ => Mode::Sample,
        };
        let names = |said: &String| -> Vec<String> {
            said.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
        };
        let watched = Watched {
            sensitive: model.tags.get(SENSITIVE).map(names).unwrap_or_default(),
            favourable: model.tags.get(FAVOURABLE).map(|said| said.trim().to_owned()),
        };
        let mask = match model.tags.get(MASK).map(|mask| mask.trim()) {
            Some("off") => Mask::Off,
            Some("names") => Mask::Names,
            _ => Mask::Patterns,
        };
        Logging { mode, mask, fields: model.tags.get(FIELDS).map(|said| names(said).into_iter().collect()), watched }
    }
}

/// What was asked of a version, on its way to the log.
struct Record {
    loaded: Arc<Loaded>,
    id: String,
    rows: Arc<Frame>,
    /// The rows that are kept, and of how many each is one.
    kept: Vec<usize>,
    weight: f64,
    at: Time,
    /// Whether the answer itself is written.
    is_answer: bool,
    /// Whether the shadow is asked the same.
    is_live: bool,
}

/// The way to the log.
pub struct PredictionLog {
    sender: mpsc::Sender<Record>,
    receiver: Mutex<Option<mpsc::Receiver<Record>>>,
    /// Rows that were left out by sampling.
    pub left_out: AtomicU64,
    /// Rows that were to be kept and could not be.
    pub lost: AtomicU64,
    /// Rows that were written.
    pub written: AtomicU64,
}

impl Default for PredictionLog {
    fn default() -> PredictionLog {
        let (sender, receiver) = mpsc::channel(WAITING);
        PredictionLog {
            sender,
            receiver: Mutex::new(Some(receiver)),
            left_out: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            written: AtomicU64::new(0),
        }
    }
}

/// How many rows of a version came in this second and the one before.
#[derive(Debug, Default)]
pub struct Pace {
    second: i64,
    seen: u64,
    kept: u64,
    before: u64,
}

impl Pace {
    /// How many of `rows` are kept, and of how many rows each is one.
    fn take(&mut self, rows: u64, second: i64) -> (u64, f64) {
        if second != self.second {
            self.before = if second == self.second + 1 { self.seen } else { 0 };
            (self.second, self.seen, self.kept) = (second, 0, 0);
        }
        let expected = self.before.max(self.seen + rows);
        self.seen += rows;
        // As many as are due by now: one of `expected / ROWS_PER_SECOND`.
        let due = if expected <= ROWS_PER_SECOND {
            self.seen
        } else {
            (self.seen as f64 * ROWS_PER_SECOND as f64 / expected as f64).ceil() as u64
        };
        let keep = due.saturating_sub(self.kept).min(rows);
        self.kept += keep;
        (keep, rows as f64 / keep.max(1) as f64)
    }
}

/// Keeps what was asked, as the model's tags say.
///
/// # Errors
/// Where every row must be durable before the answer, and the disk refuses.
pub async fn keep(app: &Arc<App>, loaded: &Arc<Loaded>, is_live: bool, id: String, rows: Frame) -> Result<(), Refusal> {
    let mode = loaded.logging.load().mode;
    if mode == Mode::Off || rows.rows == 0 {
        return Ok(());
    }
    let at = now();
    let count = rows.rows;
    let (kept, weight) = match mode {
        Mode::All => ((0..count).collect(), 1.0),
        _ => {
            let (keep, weight) = loaded.pace.lock().take(count as u64, at.0 / 1_000_000_000);
            let keep = keep as usize;
            ((0..keep).map(|place| place * count / keep).collect::<Vec<usize>>(), weight)
        }
    };
    let log = &app.serving.log;
    log.left_out.fetch_add((count - kept.len()) as u64, Ordering::Relaxed);
    if kept.is_empty() {
        return Ok(());
    }
    let is_live = is_live && has_shadow(app, &loaded.model.name);
    let rows = Arc::new(rows);
    let mut record = Record { loaded: loaded.clone(), id, rows, kept, weight, at, is_answer: true, is_live };
    let count = record.kept.len() as u64;
    if mode == Mode::All {
        let is_live = std::mem::take(&mut record.is_live);
        let batch = written(app, std::slice::from_ref(&record));
        app.store.append(batch, None).await.map_err(crate::errors::ApiError::from)?;
        log.written.fetch_add(count, Ordering::Relaxed);
        if !is_live {
            return Ok(());
        }
        // The answer does not wait for the shadow.
        (record.is_answer, record.is_live) = (false, true);
    }
    if log.sender.try_send(record).is_err() {
        log.lost.fetch_add(count, Ordering::Relaxed);
    }
    Ok(())
}

/// Writes what is to be kept, until the server stops; what waits then is written too.
pub async fn write(app: Arc<App>) {
    let Some(mut receiver) = app.serving.log.receiver.lock().take() else { return };
    let mut waiting = Vec::new();
    loop {
        tokio::select! {
            count = receiver.recv_many(&mut waiting, TOGETHER) => if count == 0 { return },
            () = app.stop.wait() => {
                while let Ok(record) = receiver.try_recv() {
                    waiting.push(record);
                }
                append(&app, &mut waiting).await;
                return;
            }
        }
        if waiting.len() < TOGETHER {
            tokio::time::sleep(LINGER).await;
            while waiting.len() < TOGETHER
                && let Ok(record) = receiver.try_recv()
            {
                waiting.push(record);
            }
        }
        append(&app, &mut waiting).await;
    }
}

async fn append(app: &Arc<App>, waiting: &mut Vec<Record>) {
    let records = std::mem::take(waiting);
    let rows: usize = records.iter().map(|record| record.kept.len()).sum();
    if rows == 0 {
        return;
    }
    let batch = written(app, &records);
    let log = &app.serving.log;
    match app.store.append(batch, None).await {
        Ok(_) => log.written.fetch_add(rows as u64, Ordering::Relaxed),
        Err(error) => {
            tracing::debug!(%error, "predictions were not kept");
            log.lost.fetch_add(rows as u64, Ordering::Relaxed)
        }
    };
}

/// Records as events. The answer is asked again, with probabilities: the rows are few.
fn written(app: &Arc<App>, records: &[Record]) -> Batch {
    let mut batch = Batch { tenant: Tenant::default(), ..Batch::default() };
    for record in records {
        let key = entity(app, &record.loaded.model.name, record.at);
        let rows = picked(&record.rows, &record.kept);
        if record.is_answer {
            push(&mut batch, key, record, &rows, &record.loaded, false);
        }
        let shadow = record.is_live.then(|| traffic::shadow(app, &record.loaded.model.name)).flatten();
        // What the shadow says beside itself tells nothing.
        if let Some(shadow) = shadow.filter(|shadow| shadow.model.version != record.loaded.model.version) {
            push(&mut batch, key, record, &rows, &shadow, true);
        }
    }
    batch
}

/// What a version says of the rows of a record, as events.
fn push(batch: &mut Batch, key: EntityKey, record: &Record, rows: &Frame, loaded: &Loaded, is_shadow: bool) {
    let model = &loaded.model;
    let began = Instant::now();
    let answer = model.ask(rows, Method::Predict);
    if is_shadow {
        loaded.counts.note(began, answer.as_ref().ok().map(|_| rows.rows));
    }
    let Ok(answer) = answer else { return };
    let (answers, shares) = (answer.to_json(), shares(loaded, rows));
    let logging = record.loaded.logging.load();
    if let Some(settings) = settings(loaded, &logging.watched) {
        batch.events.push(record.at.0, key, "model.settings", &settings.to_string());
    }
    for (place, row) in record.kept.iter().enumerate() {
        let mut event = Map::new();
        event.insert("id".into(), row_id(&record.id, *row, record.rows.rows).into());
        event.insert("version".into(), model.version.into());
        event.insert("inputs".into(), inputs(rows, place, &logging));
        event.insert("prediction".into(), answers.get(place).cloned().unwrap_or_default());
        if let Some(shares) = shares.as_ref().and_then(|shares| shares.get(place)) {
            event.insert("probabilities".into(), shares.clone());
        }
        if record.weight > 1.0 {
            event.insert("weight".into(), record.weight.into());
        }
        if is_shadow {
            event.insert("shadow".into(), true.into());
        }
        batch.events.push(record.at.0, key, "prediction", &Value::Object(event).to_string());
    }
}

fn has_shadow(app: &App, name: &str) -> bool {
    app.models.read(|book| book.registered(name).is_ok_and(|model| model.shadow().is_some()))
}

/// What is watched of a version, if that was not said yet.
fn settings(loaded: &Loaded, watched: &Watched) -> Option<Value> {
    let mut said = loaded.said.lock();
    if *said == *watched {
        return None;
    }
    said.clone_from(watched);
    Some(serde_json::json!({
        "version": loaded.model.version, "sensitive": watched.sensitive, "favourable": watched.favourable,
    }))
}

/// What a model is to the map.
pub fn entity(app: &App, name: &str, at: Time) -> EntityKey {
    let id = app.ingest.resolver().resolve_id(EntityId::new("model", "", name), at).entity;
    Registry::entity(&mut app.store.directory().write(), &id)
}

/// Probabilities by class, of a classifier.
fn shares(loaded: &Loaded, rows: &Frame) -> Option<Vec<Value>> {
    let model = &loaded.model;
    let classes: Vec<String> = model.classes()?.iter().map(serve::Label::to_text).collect();
    let Ok(Answer::Numbers(shares)) = model.ask(rows, Method::Probabilities) else { return None };
    let row = |row: usize| {
        let by_class = classes.iter().cloned().zip(shares.row(row).iter().map(|share| Value::from(*share)));
        Value::Object(by_class.collect())
    };
    Some((0..shares.rows).map(row).collect())
}

/// Some rows of a frame.
fn picked(rows: &Frame, kept: &[usize]) -> Frame {
    let column = |column: &Column| match column {
        Column::Numbers(numbers) => Column::Numbers(kept.iter().map(|row| numbers[*row]).collect()),
        Column::Texts(texts) => Column::Texts(kept.iter().map(|row| texts[*row].clone()).collect()),
    };
    Frame { names: rows.names.clone(), columns: rows.columns.iter().map(column).collect(), rows: kept.len() }
}

/// The inputs of a row by name.
fn inputs(rows: &Frame, row: usize, logging: &Logging) -> Value {
    let name = |at: usize| rows.names.get(at).cloned().unwrap_or_else(|| at.to_string());
    let value = |column: &Column| match column {
        Column::Numbers(numbers) => Value::from(numbers[row]),
        Column::Texts(texts) => texts[row].as_deref().map(|text| logging.mask.over(&cut(text))).into(),
    };
    let all = rows.columns.iter().enumerate().map(|(at, column)| (name(at), value(column)));
    Value::Object(all.filter(|(name, _)| logging.fields.as_ref().is_none_or(|fields| fields.contains(name))).collect())
}

impl Mask {
    fn over(self, text: &str) -> String {
        match self {
            Mask::Off => text.to_owned(),
            Mask::Patterns => without_personal_data(text, false),
            Mask::Names => without_personal_data(text, true),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_model_is_kept_whole_and_a_busy_one_in_part() {
        let mut pace = Pace::default();
        assert_eq!(pace.take(10, 1), (10, 1.0));
        let mut busy = Pace::default();
        let kept: u64 = (0..10_000).map(|_| busy.take(1, 5).0).sum();
        assert!((200..=1200).contains(&kept), "{kept}");
        // The second after knows how busy it is.
        let kept: u64 = (0..10_000).map(|_| busy.take(1, 6).0).sum();
        assert!((195..=205).contains(&kept), "{kept}");
        let (keep, weight) = Pace::default().take(100_000, 1);
        assert_eq!((keep, weight), (200, 500.0));
    }

    #[test]
    fn tags_say_what_is_kept() {
        let mut model = RegisteredModel::default();
        assert_eq!(Logging::of(&model), Logging::default());
        model.tags.insert(MODE.into(), "all".into());
        model.tags.insert(FIELDS.into(), "age, pay".into());
        let logging = Logging::of(&model);
        assert_eq!(logging.mode, Mode::All);
        let rows = Frame {
            names: vec!["age".into(), "name".into()],
            columns: vec![Column::Numbers(vec![30.0]), Column::Texts(vec![Some("Ada".into())])],
            rows: 1,
        };
        assert_eq!(inputs(&rows, 0, &logging).to_string(), "{\"age\":30.0}");
        assert_eq!(inputs(&rows, 0, &Logging::default()).to_string(), "{\"age\":30.0,\"name\":\"Ada\"}");
    }

    #[test]
    fn personal_data_is_masked() {
        let text = "write to ann@example.com";
        assert_eq!(Mask::Patterns.over(text), "write to <EMAIL_ADDRESS>");
        assert_eq!(Mask::Off.over(text), text);
        assert_eq!(Mask::Patterns.over("since 2026-11-28"), "since 2026-11-28");
    }
}
