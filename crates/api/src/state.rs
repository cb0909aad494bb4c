//! What all handlers share.

use std::net::SocketAddr;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64},
};

use anyhow::{Result, anyhow};
use arc_swap::ArcSwap;
use engine::Snapshot;
use ingest::{Ingest, Limits};
use parking_lot::RwLock;
use store::{Store, StoredToken};
use tokio::sync::Semaphore;
use types::{EntityId, Time};

use crate::ServerConfig;

/// The server's shared state.
pub struct App {
    /// How it was started.
    pub config: ServerConfig,
    /// The data folder.
    pub store: Store,
    /// The decoders.
    pub ingest: Ingest,
    /// Experiments, runs, models and their files.
    pub models: crate::models::Desk,
    /// Models that answer.
    pub serving: crate::serving::Serving,
    /// The engine's last conclusions.
    pub snapshot: ArcSwap<Snapshot>,
    /// Tokens by id, as in the store; reread when one changes.
    pub tokens: RwLock<Vec<StoredToken>>,
    /// Request bodies in the works, in units of [`INTAKE_UNIT`] bytes.
    pub intake: Arc<Semaphore>,
    /// Places for large bodies that are inflated and decoded at the same time.
    pub decoding: Semaphore,
    /// Everything acknowledged before is readable and judged.
    pub ready: AtomicBool,
    /// Set once, at shutdown.
    pub stop: Stop,
    /// Replays of history that people asked for.
    pub replays: crate::rest::detection::Replays,
    /// Users that were counted just now.
    pub users: crate::rest::users::Counted,
    /// The one client that speaks outwards.
    pub egress: act::Egress,
    /// What was counted since the start.
    pub counters: Counters,
    /// When this server was started.
    pub started: Time,
    /// Where the interface, OTLP over gRPC and OTLP over HTTP are, once bound.
    pub addresses: OnceLock<(SocketAddr, SocketAddr, SocketAddr)>,
}

/// How far back events are remembered at a start, and how many of them.
const RECALL_NS: i64 = 3 * types::DAY;
const RECALL_MOST: usize = 50_000;

/// Bytes of one permit of [`App::intake`].
pub const INTAKE_UNIT: usize = 1024;

/// Counted since the start; shown in `/api/v1/status` and `/metrics`.
#[derive(Default)]
pub struct Counters {
    /// Requests by outcome.
    pub requests_ok: AtomicU64,
    /// Refused as a whole.
    pub requests_bad: AtomicU64,
    /// Answered 429 or 503.
    pub requests_shed: AtomicU64,
    /// Points taken.
    pub samples: AtomicU64,
    /// Log records taken.
    pub records: AtomicU64,
    /// Spans taken.
    pub spans: AtomicU64,
    /// Events taken.
    pub events: AtomicU64,
    /// Items rejected with a reason.
    pub rejected: AtomicU64,
    /// Nanoseconds spent in decoding.
    pub decode_ns: AtomicU64,
    /// Nanoseconds spent waiting for the log.
    pub append_ns: AtomicU64,
    /// Steps of the engine.
    pub steps: AtomicU64,
    /// Nanoseconds spent in steps.
    pub step_ns: AtomicU64,
    /// Nanoseconds spent committing.
    pub commit_ns: AtomicU64,
    /// Batches that the live loop has yet to take in.
    pub lag_batches: AtomicU64,
}

/// A flag that tasks can wait for.
#[derive(Clone, Default)]
pub struct Stop(Arc<(AtomicBool, tokio::sync::Notify)>);

impl Stop {
    /// Sets it.
    pub fn cancel(&self) {
        self.0.0.store(true, std::sync::atomic::Ordering::Release);
        self.0.1.notify_waiters();
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.0.0.load(std::sync::atomic::Ordering::Acquire)
    }

    /// Returns once it is set.
    pub async fn wait(&self) {
        loop {
            let notified = self.0.1.notified();
            if self.is_set() {
                return;
            }
            notified.await;
        }
    }
}

impl App {
    /// Reads what the handlers need from the store.
    pub async fn new(store: Store, config: ServerConfig) -> Result<Arc<App>> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|e| anyhow!("no random numbers: {e}"))?;
        let limits = Limits { retention_ns: config.retention.samples_ns, ..Limits::default() };
        let ingest = Ingest::new(store.directory().clone(), limits, u64::from_le_bytes(seed));
        let own = [config.listen, config.otlp_grpc, config.otlp_http];
        let egress = act::Egress::new(&config.egress, &own).map_err(|e| anyhow!("[egress] in the settings: {e}"))?;
        let app = App {
            egress,
            tokens: RwLock::new(store.tokens().await?),
            intake: Arc::new(Semaphore::new(config.intake_bytes / INTAKE_UNIT)),
            decoding: Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from).min(8)),
            models: crate::models::Desk::open(&config).await?,
            config,
            ingest,
            store,
            serving: crate::serving::Serving::default(),
            snapshot: ArcSwap::default(),
            ready: AtomicBool::new(false),
            stop: Stop::default(),
            replays: crate::rest::detection::Replays::default(),
            users: crate::rest::users::Counted::default(),
            counters: Counters::default(),
            started: now(),
            addresses: OnceLock::new(),
        };
        app.reload_aliases().await?;
        app.recall_events().await?;
        Ok(Arc::new(app))
    }

    /// Names of the channels that are set up.
    pub fn channels(&self) -> std::collections::BTreeSet<String> {
        self.config.channels.keys().cloned().collect()
    }

    /// Where people find a page of the interface: under the base URL of the settings, else where the server listens.
    pub fn link(&self, path: &str) -> Option<String> {
        let base = match &self.config.base_url {
            Some(base) => base.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.addresses.get()?.0),
        };
        Some(format!("{base}{path}"))
    }

    /// Takes the tokens from the store, after one was made or revoked.
    pub async fn reload_tokens(&self) -> Result<(), store::StoreError> {
        *self.tokens.write() = self.store.tokens().await?;
        Ok(())
    }

    /// Reminds the decoders of what webhooks told in the last days, so that it is not taken again.
    async fn recall_events(&self) -> Result<(), store::StoreError> {
        let mut events = Vec::new();
        for kind in ["change.", "event."] {
            let filter = store::EventFilter {
                from: Some(now().plus(-RECALL_NS)),
                kind_prefix: Some(kind.to_owned()),
                limit: RECALL_MOST,
                ..store::EventFilter::default()
            };
            events.extend(self.store.events(filter).await?);
        }
        events.sort_by_key(|event| event.time);
        for event in events {
            self.ingest.recall(&event.attributes.to_string());
        }
        Ok(())
    }

    /// Takes the alias table from the store into the resolver.
    pub async fn reload_aliases(&self) -> Result<(), store::StoreError> {
        let rows = self.store.aliases().await?;
        let alias = |row: store::AliasRow| ingest::Alias {
            from: row.name,
            to: row.entity,
            valid_from: row.valid_from,
            valid_to: row.valid_to.unwrap_or(Time(i64::MAX)),
            learned: row.learned,
        };
        self.ingest.set_aliases(rows.into_iter().map(alias).collect());
        Ok(())
    }
}

/// What Bellwether is to itself.
pub fn own_entity() -> EntityId {
    EntityId::new("service", "_self", "bellwether")
}

/// The wall clock.
pub fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
