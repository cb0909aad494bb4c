//! Models that answer: which version, loaded when it is first asked for, and what was counted of it.
//!
//! A version is read off the hot path. While a version that follows another is being read, or where it cannot be, the
//! one before goes on answering. What nobody has asked for in a while is let go and read again when asked.

mod columns;
mod grpc;
mod http;
mod log;
mod observed;
mod rest;
mod traffic;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use models::{
    Code, Problem,
    artifacts::{ArtifactPath, Digest, Entry},
    serving::Which,
};
use parking_lot::{Mutex, RwLock};
use serve::{MlModel, Servable, wire::seldon::Feedback};
use types::{Batch, SeriesKind, Tenant};

use crate::{
    errors::ApiError,
    guard::Caller,
    host, intake,
    routes::Routes,
    state::{App, now},
};

pub use grpc::add as add_grpc;
pub use log::{entity, write};
pub use observed::{observe_finding, observe_sample, whose};

use log::{Logging, Pace, PredictionLog, Watched};

/// Files of more bytes are not read.
const FILE_MAX: u64 = 1 << 30;
/// A version that nobody asked for this long is let go.
const IDLE_MS: i64 = 15 * 60 * 1000;
/// How often a loaded version's file is compared with what is kept.
const CHECK_MS: i64 = 1000;
/// A version that cannot be loaded is not tried again sooner.
const RETRY: Duration = Duration::from_secs(5);
/// How often what was asked of versions is noted.
const PERIOD: Duration = Duration::from_secs(10);
/// How long whoever moves an alias waits for the version to be ready.
const READY_WAIT: Duration = Duration::from_secs(2);
/// Files that are tried where a folder has no `MLmodel`.
const USUAL: [&str; 8] =
    ["model.skops", "model.ubj", "model.json", "model.xgb", "model.lgb", "model.txt", "model.lightgbm", "model.onnx"];

/// Adds what is asked over HTTP.
pub fn add_http(routes: &mut Routes) {
    http::add(routes);
    rest::add(routes);
    columns::add(routes);
}

/// All versions that are loaded.
#[derive(Default)]
pub struct Serving {
    versions: RwLock<HashMap<(String, u64), Arc<Loaded>>>,
    /// What answered last where this was asked for.
    before: RwLock<HashMap<(String, Which), Arc<Loaded>>>,
    loading: Mutex<HashMap<(String, u64), Arc<tokio::sync::Mutex<()>>>>,
    failed: RwLock<HashMap<(String, u64), Failed>>,
    /// Models that somebody took out of service until they are put back.
    unloaded: RwLock<HashSet<String>>,
    ids: Ids,
    /// Requests that a canary might have answered.
    turns: AtomicU64,
    /// What was asked and answered, on its way to the log.
    pub log: PredictionLog,
}

/// A version that answers.
pub struct Loaded {
    /// The model.
    pub model: Servable,
    /// What was counted of it.
    pub counts: Counts,
    created: i64,
    file: (ArtifactPath, Digest),
    used_ms: AtomicI64,
    checked_ms: AtomicI64,
    logging: ArcSwap<Logging>,
    pace: Mutex<Pace>,
    /// What of the settings the log has.
    said: Mutex<Watched>,
}

/// What was counted of a version since it was loaded.
#[derive(Default)]
pub struct Counts {
    /// Requests that were answered.
    pub answered: AtomicU64,
    /// Nanoseconds that they took.
    pub answered_ns: AtomicU64,
    /// Requests that were refused.
    pub refused: AtomicU64,
    /// Nanoseconds that they took.
    pub refused_ns: AtomicU64,
    /// Rows that were answered.
    pub rows: AtomicU64,
    /// When it was asked last, ms.
    pub last_ms: AtomicI64,
}

struct Failed {
    created: i64,
    at: Instant,
    why: Refusal,
}

/// Why a request about a model is refused.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// There is no such model, version or alias.
    Missing(String),
    /// The request is wrong.
    Bad(String),
    /// It is not done here.
    NotHere(String),
    /// Try again later.
    Unavailable(String),
    /// Something broke.
    Broken(String),
    /// Who asks may not.
    NotAllowed(u16, String),
}

impl Refusal {
    /// The status of HTTP.
    pub fn status(&self) -> u16 {
        match self {
            Refusal::Missing(_) => 404,
            Refusal::Bad(_) => 400,
            Refusal::NotHere(_) => 501,
            Refusal::Unavailable(_) => 503,
            Refusal::Broken(_) => 500,
            Refusal::NotAllowed(status, _) => *status,
        }
    }

    /// What is said.
    pub fn message(&self) -> &str {
        match self {
            Refusal::Missing(what)
            | Refusal::Bad(what)
            | Refusal::NotHere(what)
            | Refusal::Unavailable(what)
            | Refusal::Broken(what)
            | Refusal::NotAllowed(_, what) => what,
        }
    }
}

impl From<serve::Problem> for Refusal {
    fn from(problem: serve::Problem) -> Refusal {
        Refusal::Bad(problem.to_string())
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Refusal {
        match problem.code {
            Code::ResourceDoesNotExist => Refusal::Missing(problem.message),
            Code::NotImplemented => Refusal::NotHere(problem.message),
            Code::TemporarilyUnavailable => Refusal::Unavailable(problem.message),
            Code::InternalError => Refusal::Broken(problem.message),
            _ => Refusal::Bad(problem.message),
        }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Refusal {
        let says = format!("{}: {}", error.error, error.hint);
        match error.status.as_u16() {
            503 | 429 => Refusal::Unavailable(says),
            400 => Refusal::Bad(says),
            404 => Refusal::Missing(says),
            status => Refusal::NotAllowed(status, says),
        }
    }
}

/// Names for predictions that clients do not name: one run of the server has one beginning.
struct Ids {
    begin: String,
    next: AtomicU64,
}

impl Default for Ids {
    fn default() -> Ids {
        let mut bytes = [0; 8];
        // Without random numbers the time tells runs apart.
        if getrandom::fill(&mut bytes).is_err() {
            bytes = now().0.to_le_bytes();
        }
        Ids { begin: format!("{:016x}", u64::from_le_bytes(bytes)), next: AtomicU64::new(0) }
    }
}

impl Serving {
    /// A name for a prediction.
    pub fn prediction_id(&self) -> String {
        format!("{}-{:x}", self.ids.begin, self.ids.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes a model out of service, or puts it back.
    pub fn set_in_service(&self, name: &str, is: bool) {
        let mut unloaded = self.unloaded.write();
        if is {
            unloaded.remove(name);
        } else {
            unloaded.insert(name.to_owned());
            self.versions.write().retain(|(model, _), _| model != name);
            self.before.write().retain(|(model, _), _| model != name);
        }
        self.failed.write().retain(|(model, _), _| model != name);
    }

    /// Whether a version is loaded, and else why it could not be.
    pub fn state(&self, name: &str, version: u64) -> State {
        let key = (name.to_owned(), version);
        if self.unloaded.read().contains(name) {
            return State::Unloaded;
        }
        if self.versions.read().contains_key(&key) {
            return State::Loaded;
        }
        match self.failed.read().get(&key) {
            Some(failed) => State::Failed(failed.why.message().to_owned()),
            None => State::OnRequest,
        }
    }

    /// All versions that are loaded, by name and number.
    pub fn loaded(&self) -> Vec<Arc<Loaded>> {
        let versions = self.versions.read();
        let sorted: BTreeMap<_, _> = versions.iter().collect();
        sorted.into_values().cloned().collect()
    }
}

/// What has become of a version.
pub enum State {
    /// It is loaded.
    Loaded,
    /// It will be when it is asked for.
    OnRequest,
    /// It could not be loaded, and why.
    Failed(String),
    /// Somebody took it out of service.
    Unloaded,
}

/// The version that answers.
///
/// # Errors
/// A model that is not there or out of service, or a version that cannot be run.
pub async fn find(app: &Arc<App>, name: &str, which: Which) -> Result<Arc<Loaded>, Refusal> {
    let serving = &app.serving;
    if serving.unloaded.read().contains(name) {
        return Err(Refusal::Unavailable(format!("model {name} was taken out of service: load it again")));
    }
    let (version, created) =
        app.models.read(|book| book.answering(name, &which).map(|version| (version.version, version.created)))?;
    let key = (name.to_owned(), version);
    let route = (name.to_owned(), which);
    let before = serving.before.read().get(&route).cloned();
    if let Some(known) = current(app, &key, created) {
        if before.is_none_or(|before| !Arc::ptr_eq(&before, &known)) {
            serving.before.write().insert(route, known.clone());
        }
        return Ok(known);
    }
    let Some(before) = before.filter(|before| before.model.version != version) else {
        let loaded = load(app, &key, created).await?;
        serving.before.write().insert(route, loaded.clone());
        return Ok(loaded);
    };
    // Another version answers until this one can.
    if failure(serving, &key, created).is_none() {
        let app = app.clone();
        tokio::spawn(async move {
            match load(&app, &key, created).await {
                Ok(loaded) => drop(app.serving.before.write().insert(route, loaded)),
                Err(why) => tracing::warn!(
                    "version {} of model {} cannot be run, the one before goes on answering: {}",
                    key.1,
                    key.0,
                    why.message()
                ),
            }
        });
    }
    Ok(before)
}

/// Makes the version that is in use ready, for whoever just moved an alias; does not wait for long.
pub async fn ready(app: &Arc<App>, name: &str, which: Which) {
    let Ok((version, created)) =
        app.models.read(|book| book.answering(name, &which).map(|version| (version.version, version.created)))
    else {
        return;
    };
    // Only where the model answers already: others are loaded when they are asked for.
    if !app.serving.before.read().keys().any(|(model, _)| model == name) {
        return;
    }
    let (app, key) = (app.clone(), (name.to_owned(), version));
    let load = tokio::spawn(async move { load(&app, &key, created).await.map(drop) });
    let _ = tokio::time::timeout(READY_WAIT, load).await;
}

/// Why a version could not be loaded a moment ago.
fn failure(serving: &Serving, key: &(String, u64), created: i64) -> Option<Refusal> {
    let failed = serving.failed.read();
    let recent = failed.get(key).filter(|failed| failed.created == created && failed.at.elapsed() < RETRY);
    recent.map(|failed| failed.why.clone())
}

/// A version that is loaded, from the file that is kept.
fn current(app: &App, key: &(String, u64), created: i64) -> Option<Arc<Loaded>> {
    let known = app.serving.versions.read().get(key).filter(|known| known.created == created).cloned();
    known.filter(|known| is_current(app, known))
}

/// Whether the file that was read is still the one that is kept; looked up once in a while.
fn is_current(app: &App, known: &Loaded) -> bool {
    let at = now().0 / 1_000_000;
    known.used_ms.store(at, Ordering::Relaxed);
    if at - known.checked_ms.load(Ordering::Relaxed) < CHECK_MS {
        return true;
    }
    known.checked_ms.store(at, Ordering::Relaxed);
    known.logging.store(Arc::new(logging_of(app, &known.model.name)));
    app.models.entry(&known.file.0).is_some_and(|entry| entry.blob.digest == known.file.1)
}

fn logging_of(app: &App, name: &str) -> Logging {
    app.models.read(|book| book.registered(name).map(Logging::of).unwrap_or_default())
}

/// Reads a version, once for all who wait for it.
async fn load(app: &Arc<App>, key: &(String, u64), created: i64) -> Result<Arc<Loaded>, Refusal> {
    let serving = &app.serving;
    let turn = serving.loading.lock().entry(key.clone()).or_default().clone();
    let _turn = turn.lock().await;
    if let Some(known) = current(app, key, created) {
        return Ok(known);
    }
    if let Some(why) = failure(serving, key, created) {
        return Err(why);
    }
    match read(app, key, created).await {
        Ok(loaded) => {
            let loaded = Arc::new(loaded);
            serving.failed.write().remove(key);
            serving.versions.write().insert(key.clone(), loaded.clone());
            Ok(loaded)
        }
        Err(why) => {
            serving.failed.write().insert(key.clone(), Failed { created, at: Instant::now(), why: why.clone() });
            Err(why)
        }
    }
}

async fn read(app: &Arc<App>, key: &(String, u64), created: i64) -> Result<Loaded, Refusal> {
    let (name, version) = key.clone();
    let folder = app.models.read(|book| {
        let version = book.answering(&name, &Which::Number(version))?;
        book.folder_of(version)
    })?;
    let folder = ArtifactPath::parse(&folder)?;
    let page = match app.models.entry(&folder.join("MLmodel")?) {
        Some(entry) => MlModel::read(&bytes(app, entry).await?)?,
        None => MlModel::default(),
    };
    let (path, entry) = file_of(app, &folder, &page)?;
    if entry.blob.bytes > FILE_MAX {
        let size = entry.blob.bytes;
        return Err(Refusal::NotHere(format!("its file {path} has {size} bytes, more than {FILE_MAX}")));
    }
    let content = bytes(app, entry).await?;
    let made = tokio::task::spawn_blocking(move || {
        let model = serve::read(&content)?;
        Servable::new(&name, version, &page, model)
    });
    let model = made.await.map_err(|error| Refusal::Broken(format!("reading broke off: {error}")))?;
    let model =
        model.map_err(|problem| Refusal::NotHere(format!("version {version} of model {}: {problem}", key.0)))?;
    let at = now().0 / 1_000_000;
    Ok(Loaded {
        model,
        counts: Counts::default(),
        created,
        file: (path, entry.blob.digest),
        used_ms: AtomicI64::new(at),
        checked_ms: AtomicI64::new(at),
        logging: ArcSwap::from_pointee(logging_of(app, &key.0)),
        pace: Mutex::default(),
        said: Mutex::default(),
    })
}

/// The file of the model within its folder.
fn file_of(app: &App, folder: &ArtifactPath, page: &MlModel) -> Result<(ArtifactPath, Entry), Refusal> {
    if let Some(file) = &page.file {
        let path = folder.join(file)?;
        let entry = app.models.entry(&path);
        return entry
            .map(|entry| (path.clone(), entry))
            .ok_or_else(|| Refusal::Missing(format!("its file {path} is not there")));
    }
    // The version may be a file itself.
    if let Some(entry) = app.models.entry(folder) {
        return Ok((folder.clone(), entry));
    }
    let usual = USUAL.into_iter().filter_map(|name| folder.join(name).ok());
    let found = usual.filter_map(|path| app.models.entry(&path).map(|entry| (path, entry))).next();
    found.ok_or_else(|| {
        let flavors = page.flavors.join(", ");
        Refusal::NotHere(match flavors.as_str() {
            "" => format!(
                "there is no model in {folder} that is run here: files of skops, XGBoost, LightGBM and ONNX are"
            ),
            flavors => format!("it is of {flavors}: scikit-learn as skops, XGBoost, LightGBM and ONNX are run here"),
        })
    })
}

/// The content of a file.
pub async fn bytes(app: &Arc<App>, entry: Entry) -> Result<Vec<u8>, Refusal> {
    let files = app.models.files();
    let read = tokio::task::spawn_blocking(move || {
        use std::io::Read;
        let mut content = Vec::with_capacity(entry.blob.bytes as usize);
        files.reader(&entry.blob)?.read_to_end(&mut content)?;
        Ok::<_, std::io::Error>(content)
    });
    let read = read.await.map_err(|error| Refusal::Broken(format!("reading broke off: {error}")))?;
    read.map_err(|error| Refusal::Unavailable(format!("its file cannot be read: {error}")))
}

/// Takes in what was found out about a prediction: the truth of each row becomes a label.
///
/// # Errors
/// Feedback that names no prediction or no truth, and a model that is not there.
pub async fn feedback(
    app: &Arc<App>,
    caller: Caller,
    name: &str,
    which: Which,
    feedback: Feedback,
) -> Result<(), Refusal> {
    app.models.read(|book| book.answering(name, &which).map(drop))?;
    if feedback.truth.is_empty() {
        return match feedback.reward {
            Some(_) => Err(Refusal::Bad("a reward alone is not kept: say truth.data, a value a row".into())),
            None => Err(Refusal::Bad("feedback has no truth".into())),
        };
    }
    let puid = feedback
        .puid
        .ok_or_else(|| Refusal::Bad("feedback names no prediction: send the response with its meta.puid".into()))?;
    let count = feedback.truth.len();
    let label = |(row, value): (usize, serde_json::Value)| serde_json::json!({"model": name, "prediction_id": row_id(&puid, row, count), "value": value});
    let labels: Vec<serde_json::Value> = feedback.truth.into_iter().enumerate().map(label).collect();
    let body = serde_json::json!({"labels": labels}).to_string();
    intake::store_labels(app, caller, body.into()).await?;
    Ok(())
}

/// What the prediction of a row is called: as the request, and with its number where there are several.
pub fn row_id(id: &str, row: usize, rows: usize) -> String {
    if rows == 1 { id.to_owned() } else { format!("{id}/{row}") }
}

impl Counts {
    /// Notes a request.
    pub fn note(&self, began: Instant, rows: Option<usize>) {
        let ns = began.elapsed().as_nanos() as u64;
        self.last_ms.store(now().0 / 1_000_000, Ordering::Relaxed);
        match rows {
            Some(rows) => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                self.answered_ns.fetch_add(ns, Ordering::Relaxed);
                self.rows.fetch_add(rows as u64, Ordering::Relaxed);
            }
            None => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                self.refused_ns.fetch_add(ns, Ordering::Relaxed);
            }
        }
    }
}

/// Notes what was asked of versions as metrics of their models, and lets go of those that nobody asked for in a while;
/// until the server stops.
pub async fn keep(app: Arc<App>) {
    while !app.stop.is_set() {
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = app.stop.wait() => return,
        }
        let batch = metrics(&app);
        if batch.rows() > 0
            && let Err(error) = app.store.append(batch, None).await
        {
            tracing::debug!(%error, "metrics of models were not stored");
        }
        let oldest = now().0 / 1_000_000 - IDLE_MS;
        let is_idle = |loaded: &Loaded| loaded.used_ms.load(Ordering::Relaxed) < oldest;
        app.serving.versions.write().retain(|_, loaded| !is_idle(loaded));
        app.serving.before.write().retain(|_, loaded| !is_idle(loaded));
        app.serving.loading.lock().retain(|_, turn| Arc::strong_count(turn) > 1);
        app.serving.failed.write().retain(|_, failed| failed.at.elapsed() < RETRY);
    }
}

/// What was asked of each version, as metrics of its model.
fn metrics(app: &App) -> Batch {
    let mut batch = Batch { tenant: Tenant::default(), ..Batch::default() };
    let time = now();
    for loaded in app.serving.loaded() {
        let entity = entity(app, &loaded.model.name, time);
        let counts = &loaded.counts;
        let counted = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        let version = loaded.model.version.to_string();
        for (metric, unit, value) in [
            ("model.requests", "{request}", counted(&counts.answered)),
            ("model.requests.refused", "{request}", counted(&counts.refused)),
            ("model.rows", "{row}", counted(&counts.rows)),
            ("model.requests.duration_s", "s", counted(&counts.answered_ns) * 1e-9),
        ] {
            let labels = [("version", version.as_str())];
            host::push(app, &mut batch, time.0, entity, metric, unit, SeriesKind::Counter, &labels, value);
        }
    }
    batch
}
