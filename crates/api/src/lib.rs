//! HTTP and gRPC: the wires that telemetry comes in by, the REST API, the interface's files, and the live loop that
//! runs the engine over what became durable.
//!
//! [`start`] opens the data folder, starts the live loop and the three listeners. Reads of conclusions are served from
//! the engine's published snapshot; reads of telemetry from the store. Nothing here enters the engine but the log.

mod auth;
mod deliver;
mod errors;
mod grpc;
mod guard;
mod host;
mod intake;
mod linger;
mod listen;
mod live;
mod mcp;
mod models;
mod openapi;
mod own_logs;
pub mod replay;
mod rest;
mod routes;
mod serving;
mod state;
mod ui;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use store::{Store, StoreConfig};

pub use ::models::gates::Gate;
pub use ::models::{retraining::Policy, rollout::Rollout};
pub use auth::{Scope, create_token};
pub use own_logs::OwnLogs;
use state::App;
pub use state::now;

/// A moment as people write it: RFC 3339, `now`, or `now-15m` (s, m, h, d). The error says what is wrong.
pub fn moment(text: &str, now: types::Time) -> Result<types::Time, String> {
    rest::moment(text, now).map_err(|error| error.error)
}

/// How much history a replay learns from before it begins, ns. The error says what is allowed.
pub fn learn_ns(from: types::Time, to: types::Time, hours: Option<f64>) -> Result<i64, String> {
    rest::detection::learn_ns(from, to, hours).map_err(|error| error.error)
}

/// Everything a server needs to know.
#[derive(Clone)]
pub struct ServerConfig {
    /// Where its data lies.
    pub data_dir: PathBuf,
    /// The interface, the API and the wires.
    pub listen: SocketAddr,
    /// OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP over HTTP.
    pub otlp_http: SocketAddr,
    /// Ask for a token on loopback too.
    pub require_auth: bool,
    /// Listen beyond loopback without TLS.
    pub insecure: bool,
    /// Host names under which it may be reached, beside loopback's.
    pub hosts: Vec<String>,
    /// Watch the host that it runs on (tenant `_self`).
    pub watch_host: bool,
    /// Run the analyses; without them data is only taken in and served.
    pub run_analyses: bool,
    /// How long rows are kept.
    pub retention: store::Retention,
    /// Settings of analyses by name.
    pub analyses: BTreeMap<String, BTreeMap<String, f64>>,
    /// Where people reach the interface, for links in notices; `None`: where it listens.
    pub base_url: Option<String>,
    /// Whom notices can be sent to, by name.
    pub channels: BTreeMap<String, act::Channel>,
    /// Where Bellwether may connect to.
    pub egress: act::EgressSettings,
    /// Who may tell of changes by webhook, and which entities their names stand for.
    pub webhooks: Webhooks,
    /// What versions of models must show before an alias or a stage may mean them.
    pub gates: Vec<Gate>,
    /// How versions of models go from shadow to canary to use by themselves.
    pub rollouts: Vec<Rollout>,
    /// When models are trained again.
    pub retraining: Vec<Policy>,
    /// What can change the world outside, by name.
    pub actuators: BTreeMap<String, act::actuator::Actuator>,
    /// Bytes of request bodies that may be in the works at once; more is answered 503.
    pub intake_bytes: usize,
    /// The demo's faults, if this is the demo; set once it runs.
    pub demo: Arc<std::sync::OnceLock<shop::DemoControl>>,
    /// Bellwether's own log lines, to be stored as tenant `_self`.
    pub own_logs: Option<OwnLogs>,
}

/// Senders of webhooks. Without a secret a sender is refused.
#[derive(Clone, Default)]
pub struct Webhooks {
    /// Secrets that GitHub may sign with.
    pub github: Vec<String>,
    /// Tokens that GitLab may send.
    pub gitlab: Vec<String>,
    /// Which entities repositories and environments stand for.
    pub places: ingest::Places,
}

impl ServerConfig {
    /// The defaults for a data folder.
    pub fn new(data_dir: impl Into<PathBuf>) -> ServerConfig {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        ServerConfig {
            data_dir: data_dir.into(),
            listen: loopback(7171),
            otlp_grpc: loopback(4317),
            otlp_http: loopback(4318),
            require_auth: false,
            insecure: false,
            hosts: Vec::new(),
            watch_host: true,
            run_analyses: true,
            retention: store::Retention::default(),
            analyses: BTreeMap::new(),
            base_url: None,
            channels: BTreeMap::new(),
            egress: act::EgressSettings::default(),
            webhooks: Webhooks::default(),
            gates: Vec::new(),
            rollouts: Vec::new(),
            retraining: Vec::new(),
            actuators: BTreeMap::new(),
            intake_bytes: 256 << 20,
            demo: Arc::default(),
            own_logs: None,
        }
    }
}

/// A running server.
pub struct Running {
    /// Where the interface and the API are.
    pub listen: SocketAddr,
    /// Where OTLP over gRPC is.
    pub otlp_grpc: SocketAddr,
    /// Where OTLP over HTTP is.
    pub otlp_http: SocketAddr,
    /// A token for the first administrator, made when the folder had none and one is needed.
    pub first_token: Option<String>,
    app: Arc<App>,
    live: Option<live::LiveLoop>,
    deliveries: tokio::task::JoinHandle<()>,
    listeners: listen::Listeners,
}

/// Opens the data folder and starts everything. Errors say what to do.
pub async fn start(config: ServerConfig) -> Result<Running> {
    refuse_unsafe_listeners(&config)?;
    let mut store_config = StoreConfig::new(&config.data_dir);
    store_config.retention = config.retention;
    store_config.keep_for_engine = config.run_analyses;
    create_private(&config.data_dir)?;
    let store = Store::open(store_config).await?;
    let first_token = auth::first_token(&store, config.require_auth || !all_loopback(&config)).await?;
    let app = App::new(store, config).await?;
    // Before anybody can ask for new ones.
    let trainings = app.models.read(::models::Book::open_trainings);
    let listeners = listen::Listeners::bind(&app).await?;
    let live = if app.config.run_analyses { Some(live::LiveLoop::start(app.clone())?) } else { None };
    if live.is_none() {
        app.ready.store(true, std::sync::atomic::Ordering::Release);
    }
    if app.config.watch_host {
        host::watch(app.clone());
    }
    if let Some(logs) = &app.config.own_logs {
        logs.store_into(app.clone());
    }
    let deliveries = tokio::spawn(deliver::run(app.clone()));
    tokio::spawn(models::keep(app.clone()));
    tokio::spawn(models::roll_out(app.clone()));
    tokio::spawn(models::retrain(app.clone(), trainings));
    tokio::spawn(models::journal(app.clone()));
    tokio::spawn(serving::keep(app.clone()));
    tokio::spawn(serving::write(app.clone()));
    tokio::spawn(models::deliver(app.clone()));
    Ok(Running {
        listen: listeners.listen,
        otlp_grpc: listeners.otlp_grpc,
        otlp_http: listeners.otlp_http,
        first_token,
        app,
        live,
        deliveries,
        listeners,
    })
}

impl Running {
    /// Stops taking requests, lets those in the works end, writes a checkpoint and closes the store.
    pub async fn shutdown(self) -> Result<()> {
        self.listeners.stop(Duration::from_secs(5)).await;
        self.app.stop.cancel();
        // What is on its way gets its outcome noted; the client gives up on its own before long.
        self.deliveries.await.context("telling people stopped early")?;
        if let Some(live) = self.live {
            tokio::task::spawn_blocking(move || live.join()).await.context("the live loop stopped early")??;
        }
        self.app.models.close().await?;
        self.app.store.close().await;
        Ok(())
    }
}

/// A new data folder is its owner's alone; one that is there keeps the permissions that somebody gave it.
fn create_private(dir: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if dir.exists() {
        return Ok(());
    }
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("cannot make the data folder {}: name another with --data-dir", dir.display()))
}

fn all_loopback(config: &ServerConfig) -> bool {
    [config.listen, config.otlp_grpc, config.otlp_http].iter().all(|a| a.ip().is_loopback())
}

fn refuse_unsafe_listeners(config: &ServerConfig) -> Result<()> {
    if all_loopback(config) || config.insecure {
        return Ok(());
    }
    bail!(
        "refusing to listen beyond loopback without TLS: put a TLS proxy in front of a loopback address, \
         or say --insecure if everybody who reaches the port may be trusted"
    )
}
