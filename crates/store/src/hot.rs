//! What is visible: the hot batches in memory and the list of sealed files, swapped as one.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::RwLock;
use tokio::sync::watch;
use types::{Batch, Position};

use crate::sealed::SealedFile;

/// Rows of one series that came at or before the series' last time and so may repeat stored ones:
/// series, first time, last time.
pub(crate) type LateRows = Vec<(u32, i64, i64)>;

/// One durable batch in memory.
pub(crate) struct HotBatch {
    pub position: Position,
    pub batch: Arc<Batch>,
    /// First and last time of each shape, ns: samples, records, spans, events.
    pub ranges: [(i64, i64); 4],
    pub late: LateRows,
    pub bytes: usize,
}

impl HotBatch {
    pub fn new(position: Position, batch: Arc<Batch>) -> HotBatch {
        let columns = [&batch.samples.time, &batch.records.time, &batch.spans.time, &batch.events.time];
        let ranges =
            columns.map(|times| times.iter().fold((i64::MAX, i64::MIN), |(low, high), t| (low.min(*t), high.max(*t))));
        let bytes = batch_bytes(&batch);
        HotBatch { position, batch, ranges, late: Vec::new(), bytes }
    }
}

fn batch_bytes(batch: &Batch) -> usize {
    let text = |t: &types::Text| t.bytes.len() + t.offsets.len() * 4;
    let (r, p, e) = (&batch.records, &batch.spans, &batch.events);
    let records = r.len() * 41 + text(&r.body) + text(&r.attributes);
    let spans = p.len() * 58 + text(&p.name) + text(&p.attributes);
    let events = e.len() * 12 + text(&e.kind) + text(&e.attributes);
    batch.samples.len() * 20 + records + spans + events + 512
}

#[derive(Default)]
pub(crate) struct VisibleState {
    pub hot: VecDeque<Arc<HotBatch>>,
    pub files: Arc<Vec<Arc<SealedFile>>>,
    pub last: u64,
    pub sealed: u64,
    pub hot_rows: usize,
    pub hot_bytes: usize,
    pub replaced: u64,
    /// Last time seen of each series; what is not there counts from `sealed_max`.
    last_time: Vec<i64>,
    /// Last time of samples in files that were there at the start: later rows cannot repeat one of those.
    sealed_max: i64,
}

/// Shared by the writer, upkeep and all readers.
#[derive(Clone)]
pub(crate) struct Visible {
    pub state: Arc<RwLock<VisibleState>>,
    changed: watch::Sender<u64>,
}

/// What one read sees, unaffected by what happens meanwhile.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub hot: Vec<Arc<HotBatch>>,
    pub files: Arc<Vec<Arc<SealedFile>>>,
    pub late: Arc<LateIndex>,
}

impl Visible {
    pub fn new(files: Vec<Arc<SealedFile>>, sealed: u64, last: u64) -> Visible {
        let sealed_max = files.iter().filter(|f| f.signal == crate::sealed::Signal::Samples).map(|f| f.time_max).max();
        let state = VisibleState {
            files: Arc::new(files),
            sealed,
            last,
            sealed_max: sealed_max.unwrap_or(i64::MIN),
            ..VisibleState::default()
        };
        Visible { state: Arc::new(RwLock::new(state)), changed: watch::Sender::new(last) }
    }

    pub fn last_position(&self) -> Position {
        Position(self.state.read().last)
    }

    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Adds durable batches in log order.
    pub fn push(&self, batches: Vec<HotBatch>) {
        let mut state = self.state.write();
        for mut hot in batches {
            state.note_late(&mut hot);
            state.last = state.last.max(hot.position.0);
            state.hot_rows += hot.batch.rows();
            state.hot_bytes += hot.bytes;
            state.hot.push_back(Arc::new(hot));
        }
        let last = state.last;
        drop(state);
        self.changed.send_replace(last);
    }

    /// Takes sealed batches out and files in (and old files out), as one step for readers.
    pub fn swap(&self, sealed: u64, added: Vec<Arc<SealedFile>>, removed: &[i64]) {
        let mut state = self.state.write();
        state.sealed = state.sealed.max(sealed);
        while state.hot.front().is_some_and(|h| h.position.0 <= sealed) {
            if let Some(hot) = state.hot.pop_front() {
                state.hot_rows -= hot.batch.rows();
                state.hot_bytes -= hot.bytes;
            }
        }
        let mut files: Vec<_> = state.files.iter().filter(|f| !removed.contains(&f.id)).cloned().collect();
        files.extend(added);
        files.sort_by_key(|f| (f.position_first, f.id));
        state.files = Arc::new(files);
    }

    pub fn snapshot(&self) -> Snapshot {
        let state = self.state.read();
        let hot: Vec<_> = state.hot.iter().cloned().collect();
        let files = state.files.clone();
        drop(state);
        let mut late = LateIndex::default();
        for rows in files.iter().map(|f| &f.late).chain(hot.iter().map(|h| &h.late)) {
            late.add(rows);
        }
        Snapshot { hot, files, late: Arc::new(late) }
    }
}

impl VisibleState {
    /// Tells rows in order of time apart from those that may repeat a stored one. Costs a compare a row.
    fn note_late(&mut self, hot: &mut HotBatch) {
        let samples = &hot.batch.samples;
        for (series, time) in samples.series.iter().zip(&samples.time) {
            let at = series.0 as usize;
            if at >= self.last_time.len() {
                self.last_time.resize(at + 1, self.sealed_max);
            }
            if *time > self.last_time[at] {
                self.last_time[at] = *time;
                continue;
            }
            match hot.late.last_mut() {
                Some(last) if last.0 == series.0 => *last = (series.0, last.1.min(*time), last.2.max(*time)),
                _ => hot.late.push((series.0, *time, *time)),
            }
        }
    }
}

/// Where duplicates are possible: few ranges of time a series.
#[derive(Default, Debug)]
pub(crate) struct LateIndex {
    ranges: HashMap<u32, Vec<(i64, i64)>>,
}

/// Ranges closer than this are one.
const LATE_GAP_NS: i64 = 10 * types::MINUTE;
/// A series with more ranges gets one over all of them.
const LATE_RANGES_MAX: usize = 64;

impl LateIndex {
    pub fn add(&mut self, rows: &LateRows) {
        for &(series, low, high) in rows {
            let ranges = self.ranges.entry(series).or_default();
            let near =
                |r: &&mut (i64, i64)| low <= r.1.saturating_add(LATE_GAP_NS) && high >= r.0.saturating_sub(LATE_GAP_NS);
            match ranges.iter_mut().find(near) {
                Some(range) => *range = (range.0.min(low), range.1.max(high)),
                None => ranges.push((low, high)),
            }
            if ranges.len() > LATE_RANGES_MAX {
                let all = ranges.iter().fold((i64::MAX, i64::MIN), |a, r| (a.0.min(r.0), a.1.max(r.1)));
                *ranges = vec![all];
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether a row may have a twin elsewhere.
    pub fn covers(&self, series: u32, time: i64) -> bool {
        self.ranges.get(&series).is_some_and(|ranges| ranges.iter().any(|r| (r.0..=r.1).contains(&time)))
    }

    pub fn has(&self, series: u32) -> bool {
        self.ranges.contains_key(&series)
    }

    /// First and last time of all ranges.
    pub fn span(&self) -> (i64, i64) {
        self.ranges.values().flatten().fold((i64::MAX, i64::MIN), |a, r| (a.0.min(r.0), a.1.max(r.1)))
    }

    pub fn series(&self) -> impl Iterator<Item = u32> {
        self.ranges.keys().copied()
    }
}
