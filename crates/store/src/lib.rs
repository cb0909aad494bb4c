//! Telemetry, journal and metadata of one data folder.
//!
//! What comes in is a [`types::Batch`]. [`Store::append`] writes it to the write-ahead log (`wal`), syncs, and only then
//! returns: a 2xx means durable. From that moment the batch is visible to SQL, to charts and to the live loop's
//! [`Tail`], all of which read the *hot* batches in memory together with the *sealed* Parquet files on disk. A
//! background task seals hot batches, merges small files and deletes what is older than the retention.
//!
//! ```text
//! DIR/format          version of the folder, refused if newer than this program
//! DIR/lock            held while a process has the folder open
//! DIR/reserve         a few MiB kept free for metadata when the disk is full
//! DIR/wal/*.wal       segments of checksummed frames (module `format` has the layout)
//! DIR/directory/*.log definitions of dense ids whose log segments are gone, in two copies
//! DIR/data/SIGNAL/TENANT/DATE/*.parquet   sealed files; checksums of their blocks are in the manifest
//! DIR/metadata.db     SQLite: manifest, journal, findings, incidents, edges, checkpoint, tokens, aliases
//! ```
//!
//! Damage is found by checksums, contained and counted: a bad frame or block is left out, the rest stays readable, and
//! an answer that would have needed it carries a warning. It never changes a number silently and never keeps the
//! store from starting.

mod append;
mod config;
mod deliveries;
mod documents;
mod error;
mod failed;
mod history;
mod hot;
mod metadata;
mod past;
mod reads;
mod recover;
mod scan;
mod scrub;
mod sealed;
mod sql;
mod tables;
mod tail;
mod upkeep;
mod work;

pub mod format;

use std::sync::Arc;

use types::{Batch, Directory, Finding, Incident, JournalEntry, Position, Tenant, Time};
use view::{Checkpoint, SeenEdge, StepCut};

pub use append::{Appended, LogState};
pub use config::{Durability, Fault, Retention, SealPolicy, StoreConfig};
pub use deliveries::{Delivery, DeliveryState};
pub use documents::{ChunkRow, DocumentChanges, DocumentRow, Documents, Kept};
pub use error::{ErrorKind, StoreError};
pub use failed::{Distinct, FailedFilter, FailedTraces};
pub use history::StoreHistory;
pub use metadata::{AliasRow, JournalCheck, JournalFilter, JournalHead, JournalRow, StoredToken};
pub use past::{Past, Stretch};
pub use reads::{
    ChartPoint, EventFilter, FieldFilter, RecordFilter, RecordRow, SeriesChart, SeriesFilter, SeriesInfo, SpanFilter,
    SpanRow, StoredEvent,
};
pub use recover::Damage;
pub use scrub::{Progress as ScrubProgress, ScrubFault, ScrubReport};
pub use sql::{SqlAnswer, SqlColumn, SqlLimits, SqlRequest};
pub use tail::Tail;
pub use work::{Work, WorkFilter, WorkLine, WorkSpan};

use hot::Visible;
use metadata::Metadata;

/// One open data folder. Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: StoreConfig,
    pub(crate) directory: Arc<Directory>,
    pub(crate) visible: Visible,
    pub(crate) metadata: Metadata,
    pub(crate) log: append::LogHandle,
    pub(crate) engine: sql::Engine,
    pub(crate) recovered: parking_lot::Mutex<Option<Recovered>>,
    pub(crate) damage: Vec<Damage>,
    pub(crate) upkeep: tokio::sync::Mutex<()>,
    pub(crate) sealed_log: upkeep::SealedLog,
    /// Held for its lock: the folder belongs to this process until it is dropped.
    pub(crate) _lock: std::fs::File,
}

/// What is committed in one transaction: effects of steps with the cuts that they came from.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The steps whose effects these are, in order, with those before them that had no effect.
    pub cuts: Vec<StepCut>,
    /// Lines for the journal, in order.
    pub journal: Vec<JournalEntry>,
    /// Findings as they stand now; one with a known id replaces it.
    pub findings: Vec<Finding>,
    /// Incidents as they stand now; one with a known id replaces it.
    pub incidents: Vec<Incident>,
    /// What is to be told to somebody; one whose id is known is left as it is.
    pub deliveries: Vec<Delivery>,
    /// Edges seen; counts are added.
    pub edges: Vec<SeenEdge>,
    /// All or the changed pages of the engine's state. Cuts up to its step are forgotten with it.
    pub checkpoint: Option<Checkpoint>,
}

/// What the engine needs to go on where it stopped.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The last checkpoint; `None` in a new folder or where its pages are damaged.
    pub checkpoint: Option<Checkpoint>,
    /// The recorded cuts after it, in order of step.
    pub cuts: Vec<StepCut>,
}

/// Sizes and counters for `/api/v1/status` and `/metrics`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct StoreStatus {
    /// `sync` or `os`.
    pub durability: String,
    /// Last position in the log.
    pub last_position: u64,
    /// Everything up to here is sealed.
    pub sealed_position: u64,
    /// Rows in memory that are not sealed.
    pub hot_rows: u64,
    /// Their size, bytes.
    pub hot_bytes: u64,
    /// Rows in sealed files.
    pub sealed_rows: u64,
    /// Bytes of sealed files.
    pub sealed_bytes: u64,
    /// Sealed files.
    pub sealed_files: u64,
    /// Bytes of log segments.
    pub log_bytes: u64,
    /// Series known.
    pub series: u64,
    /// Entities known.
    pub entities: u64,
    /// Batches acknowledged without being stored because they had come before.
    pub repeated_batches: u64,
    /// Samples that replaced another value of the same series and time.
    pub replaced_samples: u64,
    /// Why nothing can be written at the moment, if so.
    pub unavailable: Option<String>,
    /// Damage found when the folder was opened, in words.
    pub damage: Vec<String>,
}

impl Store {
    /// Opens or creates a data folder. Damage in it is reported by [`Store::damage`] and never an error; errors are a
    /// folder in use, one that cannot be written, and one of a newer version. Must be called within a tokio runtime.
    pub async fn open(config: StoreConfig) -> Result<Store, StoreError> {
        recover::open(config).await
    }

    /// The dense ids of this folder. Register what a batch speaks of here before it is appended.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.0.directory
    }

    /// Makes a batch durable and visible; sets its `learned` (never falling). `request_hash` is the hash of the request
    /// that it came in: one that came within the last 10 minutes from the same tenant is acknowledged, not stored.
    pub async fn append(&self, batch: Batch, request_hash: Option<u128>) -> Result<Appended, StoreError> {
        self.0.log.append(batch, request_hash).await
    }

    /// Batches after a position, in log order, for the live loop.
    pub fn tail(&self, after: Position) -> Tail {
        Tail::new(self.0.clone(), after)
    }

    /// Position of the last visible batch.
    pub fn last_position(&self) -> Position {
        self.0.visible.last_position()
    }

    /// Commits effects in one transaction.
    pub async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        // What a commit speaks of by dense id must be as durable as the commit itself.
        self.0.log.flush_definitions(&self.0.directory).await?;
        let edges = metadata::edge_tenants(&self.0.directory, &commit.edges);
        let checkpoint = commit.checkpoint.as_ref().map(|c| c.cut.position.0);
        self.0.metadata.commit(commit, edges).await?;
        if let Some(position) = checkpoint {
            self.0.sealed_log.checkpoint.store(position, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(())
    }

    /// What the engine needs to go on; the first call after [`Store::open`] takes it, later ones get an empty one.
    pub fn recovered(&self) -> Recovered {
        self.0.recovered.lock().take().unwrap_or_default()
    }

    /// Answers one SQL query over hot and sealed rows. Dropping the future cancels it.
    pub async fn sql(&self, request: SqlRequest) -> Result<SqlAnswer, StoreError> {
        sql::run(&self.0, request).await
    }

    /// Typed reads of the past for the engine; synchronous, callable from any thread.
    pub fn history(&self) -> StoreHistory {
        StoreHistory::new(self.0.clone())
    }

    /// What happened in `from <= time < to`, stretch by stretch, in batches as they were learned: for running the engine
    /// over history again. Synchronous, callable from any thread.
    pub fn past(&self, from: Time, to: Time) -> Past {
        Past::new(self.0.clone(), from, to)
    }

    /// Series that match, in order of metric, entity and id.
    pub fn series_list(&self, filter: &SeriesFilter) -> Vec<SeriesInfo> {
        reads::series_list(&self.0, filter)
    }

    /// Points of series in `from <= time < to`, at most `max_points` a series: where there are more, they are merged in
    /// buckets of equal width.
    pub async fn series_points(
        &self,
        series: Vec<types::SeriesId>,
        from: Time,
        to: Time,
        max_points: usize,
    ) -> Result<Vec<SeriesChart>, StoreError> {
        let inner = self.0.clone();
        blocking(move || reads::series_points(&inner, &series, from, to, max_points)).await
    }

    /// One page of log records, newest first.
    pub async fn records(&self, filter: RecordFilter) -> Result<Vec<RecordRow>, StoreError> {
        let inner = self.0.clone();
        blocking(move || reads::records(&inner, &filter)).await
    }

    /// One page of spans, newest first.
    pub async fn spans(&self, filter: SpanFilter) -> Result<Vec<SpanRow>, StoreError> {
        let inner = self.0.clone();
        blocking(move || reads::spans(&inner, &filter)).await
    }

    /// All spans of one trace (hexadecimal id), in order of start.
    pub async fn trace(&self, tenant: Option<Tenant>, trace_id: &str) -> Result<Vec<SpanRow>, StoreError> {
        let inner = self.0.clone();
        let id = trace_id.to_owned();
        blocking(move || reads::trace(&inner, tenant.as_ref(), &id)).await
    }

    /// How many different values of attributes stand in the traces of failed requests.
    pub async fn failed_traces(&self, filter: FailedFilter) -> Result<FailedTraces, StoreError> {
        let inner = self.0.clone();
        blocking(move || failed::failed_traces(&inner, &filter)).await
    }

    /// Spans and the log lines written within them, for comparing.
    pub async fn work(&self, filter: WorkFilter) -> Result<Work, StoreError> {
        let inner = self.0.clone();
        blocking(move || work::work(&inner, &filter)).await
    }

    /// Events, newest first.
    pub async fn events(&self, filter: EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
        let inner = self.0.clone();
        blocking(move || reads::events(&inner, &filter)).await
    }

    /// Incidents of a tenant (`None`: of all but `_self`), newest first.
    pub async fn incidents(&self, tenant: Option<Tenant>, limit: usize) -> Result<Vec<Incident>, StoreError> {
        self.0.metadata.incidents(tenant, limit).await
    }

    /// Incidents of a tenant that were opened in `from..to`, newest first.
    pub async fn incidents_opened(
        &self,
        tenant: &Tenant,
        from: Time,
        to: Time,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError> {
        self.0.metadata.incidents_opened(tenant, from, to, limit).await
    }

    /// One incident.
    pub async fn incident(&self, id: &str) -> Result<Option<Incident>, StoreError> {
        self.0.metadata.incident(id).await
    }

    /// Findings of a tenant (`None`: of all but `_self`) that overlap `from..to`, newest first.
    pub async fn findings(
        &self,
        tenant: Option<Tenant>,
        from: Time,
        to: Time,
        limit: usize,
    ) -> Result<Vec<Finding>, StoreError> {
        self.0.metadata.findings(tenant, from, to, limit).await
    }

    /// Findings by id (hexadecimal), those that are there.
    pub async fn findings_by_id(&self, ids: &[types::FindingId]) -> Result<Vec<Finding>, StoreError> {
        self.0.metadata.findings_by_id(ids).await
    }

    /// Deliveries whose time has come, oldest first.
    pub async fn due_deliveries(&self, now: Time, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        self.0.metadata.due_deliveries(now, limit).await
    }

    /// Deliveries (of one incident), newest first.
    pub async fn deliveries(&self, incident: Option<&str>, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        self.0.metadata.deliveries(incident, limit).await
    }

    /// Notes where a delivery stands; durable when it returns.
    pub async fn mark_delivery(&self, delivery: &Delivery) -> Result<(), StoreError> {
        self.0.metadata.mark_delivery(delivery).await
    }

    /// What the receiver gave with the last delivery of an incident through a channel.
    pub async fn receipt(&self, incident: &str, channel: &str) -> Result<Option<String>, StoreError> {
        self.0.metadata.receipt(incident, channel).await
    }

    /// Makes the last delivery of an incident that goes on due again, if it was delivered before `before`.
    pub async fn refresh_delivery(
        &self,
        incident: &str,
        channel: &str,
        before: Time,
        now: Time,
    ) -> Result<(), StoreError> {
        self.0.metadata.refresh_delivery(incident, channel, before, now).await
    }

    /// Sends a dead letter again; whether there was one.
    pub async fn retry_delivery(&self, id: &str, now: Time) -> Result<bool, StoreError> {
        self.0.metadata.retry_delivery(id, now).await
    }

    /// After a start: decides about what was on its way. How many are sent again, and how many are left as unknown.
    pub async fn settle_deliveries(&self, now: Time, idempotent: &[String]) -> Result<(usize, usize), StoreError> {
        self.0.metadata.settle_deliveries(now, idempotent).await
    }

    /// Forgets what was decided before `before` and is not on its way.
    pub async fn forget_deliveries(&self, before: Time) -> Result<u64, StoreError> {
        self.0.metadata.forget_deliveries(before).await
    }

    /// The service map as committed, for the engine's start and for reads.
    pub async fn topology(&self) -> Result<types::Topology, StoreError> {
        self.0.metadata.topology(&self.0.directory).await
    }

    /// Journal lines, newest first.
    pub async fn journal(&self, filter: JournalFilter) -> Result<Vec<JournalRow>, StoreError> {
        self.0.metadata.journal(filter).await
    }

    /// Appends one line to the journal by itself (access, verdicts from outside the engine).
    pub async fn append_journal(&self, entry: JournalEntry) -> Result<(), StoreError> {
        self.commit(Commit { journal: vec![entry], ..Commit::default() }).await
    }

    /// Number and hash of the last journal line, to be kept elsewhere as a witness.
    pub async fn journal_head(&self) -> Result<JournalHead, StoreError> {
        self.0.metadata.journal_head().await
    }

    /// Walks the chain and names the first line that is not what was written.
    pub async fn verify_journal(&self) -> Result<JournalCheck, StoreError> {
        self.0.metadata.verify_journal().await
    }

    /// Erases the free text of a journal line; the chain still verifies.
    pub async fn erase_journal_text(&self, seq: u64) -> Result<bool, StoreError> {
        self.0.metadata.erase_journal_text(seq).await
    }

    /// Access tokens, for the api's permission checks.
    pub async fn tokens(&self) -> Result<Vec<StoredToken>, StoreError> {
        self.0.metadata.tokens().await
    }

    /// Adds or replaces a token.
    pub async fn put_token(&self, token: StoredToken) -> Result<(), StoreError> {
        self.0.metadata.put_token(token).await
    }

    /// Deletes a token; whether there was one.
    pub async fn delete_token(&self, id: &str) -> Result<bool, StoreError> {
        self.0.metadata.delete_token(id).await
    }

    /// The alias table, in order of `learned`.
    pub async fn aliases(&self) -> Result<Vec<AliasRow>, StoreError> {
        self.0.metadata.aliases().await
    }

    /// Adds an alias; rows are never changed, a newer row of the same name closes the older one.
    pub async fn add_alias(&self, alias: AliasRow) -> Result<(), StoreError> {
        self.0.metadata.add_alias(alias).await
    }

    /// Small settings that belong to the folder (instance id, signing key, what a person chose in the interface).
    pub async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.0.metadata.setting(key).await
    }

    /// Writes a setting.
    pub async fn put_setting(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.0.metadata.put_setting(key, value).await
    }

    /// Sizes and counters.
    pub fn status(&self) -> StoreStatus {
        upkeep::status(&self.0)
    }

    /// Damage found when the folder was opened.
    pub fn damage(&self) -> &[Damage] {
        &self.0.damage
    }

    /// Seals everything hot now. Upkeep does it by itself when it is due; this is for tests, backups and benches.
    pub async fn seal_now(&self) -> Result<(), StoreError> {
        let inner = self.0.clone();
        to_its_end(async move { upkeep::seal(&inner).await.map(|_| ()) }).await
    }

    /// Merges small files, whether or not it is due. Returns how many files went into larger ones.
    pub async fn compact_now(&self) -> Result<usize, StoreError> {
        let inner = self.0.clone();
        to_its_end(async move { upkeep::compact(&inner, true).await }).await
    }

    /// Deletes what is older than the retention at `now`. Returns the number of files deleted.
    pub async fn expire(&self, now: Time) -> Result<usize, StoreError> {
        let inner = self.0.clone();
        to_its_end(async move { upkeep::expire(&inner, now).await }).await
    }

    /// Stops the log's writer after what is queued; nothing can be appended afterwards.
    pub async fn close(&self) {
        self.0.log.close().await;
        self.0.metadata.close().await;
    }

    /// Checks every frame, block and journal line of a folder that no server has open. `progress` is told how many of
    /// how many sealed files were looked at.
    pub async fn scrub(dir: &std::path::Path, progress: ScrubProgress) -> Result<ScrubReport, StoreError> {
        scrub::run(dir, progress).await
    }
}

/// Runs upkeep to its end even where the caller stops waiting: between the manifest and the memory there is no way back.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::fatal(format!("a storage task stopped: {error}"))),
    }
}

/// Runs file work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::fatal(format!("a storage task stopped: {error}"))),
    }
}
