//! Settings of a store, as resolved.

use std::{path::PathBuf, sync::Arc};

use types::{DAY, MINUTE, Time};

/// When an append returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// After `fdatasync`: survives a power loss.
    #[default]
    Sync,
    /// After the write reached the page cache: survives a crash of the process, not of the machine.
    Os,
}

/// How long rows are kept, ns, by when they happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Metric points.
    pub samples_ns: i64,
    /// Log records.
    pub records_ns: i64,
    /// Spans.
    pub spans_ns: i64,
    /// Events.
    pub events_ns: i64,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention { samples_ns: 30 * DAY, records_ns: 14 * DAY, spans_ns: 7 * DAY, events_ns: 400 * DAY }
    }
}

/// When hot batches become a sealed file: whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealPolicy {
    /// Rows in memory.
    pub rows: usize,
    /// Bytes in memory.
    pub bytes: usize,
    /// Age of the oldest batch, ns.
    pub age_ns: i64,
}

impl Default for SealPolicy {
    fn default() -> SealPolicy {
        SealPolicy { rows: 2_000_000, bytes: 48 << 20, age_ns: 10 * MINUTE }
    }
}

/// Asked before an IO step named by its argument; an error is taken as that step's own. For tests.
pub type Fault = Arc<dyn Fn(&'static str) -> Option<std::io::Error> + Send + Sync>;

/// Settings of a store.
#[derive(Clone)]
pub struct StoreConfig {
    /// The data folder.
    pub dir: PathBuf,
    /// When an append returns.
    pub durability: Durability,
    /// Only read: nothing in the folder is changed. Fails while a server has it open.
    pub read_only: bool,
    /// Whether the log is kept back to the engine's checkpoint. Off where no engine runs.
    pub keep_for_engine: bool,
    /// How long rows are kept.
    pub retention: Retention,
    /// When hot batches are sealed.
    pub seal: SealPolicy,
    /// Size of a log segment, bytes.
    pub segment_bytes: u64,
    /// Kept free for metadata when the disk is full, bytes.
    pub reserve_bytes: u64,
    /// Memory of all queries together, bytes; they spill to disk beyond it.
    pub query_memory_bytes: usize,
    /// Whether upkeep (sealing, merging, retention) runs by itself.
    pub upkeep: bool,
    /// Where `now` comes from.
    pub clock: Arc<dyn Fn() -> Time + Send + Sync>,
    /// Makes IO steps fail, for tests.
    pub fault: Option<Fault>,
}

impl StoreConfig {
    /// Defaults for a server on `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> StoreConfig {
        StoreConfig {
            dir: dir.into(),
            durability: Durability::Sync,
            read_only: false,
            keep_for_engine: true,
            retention: Retention::default(),
            seal: SealPolicy::default(),
            segment_bytes: 64 << 20,
            reserve_bytes: 2 << 20,
            query_memory_bytes: 256 << 20,
            upkeep: true,
            clock: Arc::new(wall_clock),
            fault: None,
        }
    }

    pub(crate) fn now(&self) -> Time {
        (self.clock)()
    }

    pub(crate) fn check_fault(&self, step: &'static str) -> std::io::Result<()> {
        match self.fault.as_ref().and_then(|fault| fault(step)) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

fn wall_clock() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time(since.as_nanos() as i64)
}
