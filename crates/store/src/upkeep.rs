//! What goes on in the background: sealing, merging, retention, trimming the log; and the store's counters.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arrow::array::RecordBatch;
use types::{DAY, Position, SECOND, Tenant, Time};

use crate::{
    Inner, StoreError, StoreStatus,
    append::{LogState, sync_dir},
    blocking,
    format::{Frame, Watermark, write_definitions},
    hot::{HotBatch, LateRows},
    metadata::hex,
    recover::{DEFINITION_FILES, REPEATS_FILE, next_definition_frame},
    sealed::{
        self, Checked, Encoded, LearnedColumn, SampleColumns, SampleRows, SampleSource, SealedFile, Signal,
        hot_columns, storage_schema,
    },
};

/// How far the log is no longer needed, and which definitions are safe without it.
pub(crate) struct SealedLog {
    persisted: parking_lot::Mutex<Watermark>,
    pub checkpoint: AtomicU64,
}

impl SealedLog {
    pub fn new(persisted: Watermark, checkpoint: u64) -> SealedLog {
        SealedLog { persisted: parking_lot::Mutex::new(persisted), checkpoint: AtomicU64::new(checkpoint) }
    }
}

/// A file with at least so many rows is large: it is merged no further.
const LARGE_FILE_ROWS: u64 = 1_500_000;
/// A merged file holds at most about so many rows, because a merge is done in memory.
const MERGED_ROWS_MAX: u64 = 4_000_000;
/// So many small files of one day are worth a merge.
const MERGE_AT_FILES: usize = 6;

/// So many rows are worth a file once the oldest has waited this long, whatever the policy says; fewer, where most of
/// the log could go then.
const SETTLED_ROWS: usize = 200_000;
const SETTLED_NS: i64 = 30 * SECOND;
/// An open segment of this size is left behind once it is sealed.
const ROLL_BYTES: u64 = 1 << 20;

/// Runs upkeep once a second until the store is gone.
pub(crate) fn spawn(inner: &Arc<Inner>) {
    let weak = Arc::downgrade(inner);
    tokio::spawn(async move {
        let mut turn = 0u64;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let Some(inner) = weak.upgrade() else { return };
            if inner.log.state() == LogState::Closed {
                return;
            }
            turn += 1;
            if let Err(error) = tick(&inner, turn).await {
                tracing::warn!(%error, "upkeep failed and will be tried again");
            }
        }
    });
}

async fn tick(inner: &Arc<Inner>, turn: u64) -> Result<(), StoreError> {
    if is_due(inner) {
        seal(inner).await?;
    }
    if turn.is_multiple_of(30) {
        compact(inner, false).await?;
    }
    if turn % 600 == 60 {
        expire(inner, inner.config.now()).await?;
    }
    if turn.is_multiple_of(10) {
        let inner = inner.clone();
        blocking(move || trim_log(&inner)).await?;
    }
    Ok(())
}

fn is_due(inner: &Inner) -> bool {
    let policy = inner.config.seal;
    let state = inner.visible.state.read();
    let Some(oldest) = state.hot.front() else { return false };
    let age = inner.config.now().since(oldest.batch.learned);
    // A few late rows may keep a long log that is sealed but for them.
    let log_bytes: u64 = inner.log.shared.segments.lock().iter().map(|s| s.bytes).sum();
    let frees_log = log_bytes >= ROLL_BYTES && state.hot_bytes as u64 * 2 <= log_bytes;
    let settled = age >= SETTLED_NS && (state.hot_rows >= SETTLED_ROWS || frees_log);
    state.hot_rows >= policy.rows || state.hot_bytes >= policy.bytes || age >= policy.age_ns || settled
}

// ---- sealing

/// Seals all hot batches into files; gives how many files.
pub(crate) async fn seal(inner: &Arc<Inner>) -> Result<usize, StoreError> {
    let _one = inner.upkeep.lock().await;
    let hot: Vec<Arc<HotBatch>> = inner.visible.state.read().hot.iter().cloned().collect();
    let Some(last) = hot.last().map(|h| h.position) else { return Ok(0) };
    let work = inner.clone();
    let files = blocking(move || {
        persist_definitions(&work)?;
        seal_files(&work, &hot)
    })
    .await?;
    let replaced: u64 = files.iter().map(|(_, replaced)| replaced).sum();
    let files = files.into_iter().map(|(file, _)| file).collect();
    let files = inner.metadata.swap_files(files, &[], Some(last.0)).await?;
    let count = files.len();
    inner.visible.swap(last.0, files, &[]);
    inner.visible.state.write().replaced += replaced;
    let open_bytes = inner.log.shared.segments.lock().last().map_or(0, |s| s.bytes);
    if open_bytes >= ROLL_BYTES {
        inner.log.shared.roll.store(true, Ordering::Relaxed);
    }
    let work = inner.clone();
    blocking(move || trim_log(&work)).await?;
    Ok(count)
}

fn seal_files(inner: &Inner, hot: &[Arc<HotBatch>]) -> Result<Vec<(SealedFile, u64)>, StoreError> {
    let mut files = Vec::new();
    for (signal, tenant, day) in partitions(hot) {
        let part: Vec<&Arc<HotBatch>> = hot.iter().filter(|h| h.batch.tenant == tenant).collect();
        let range = day * DAY..(day + 1).saturating_mul(DAY);
        let encoded = match signal {
            Signal::Samples => {
                let sources: Vec<SampleSource<'_>> = part.iter().map(|h| hot_source(h)).collect();
                sealed::encode_samples(&sources, range, |ids| sealed::metric_names(&inner.directory.read(), ids))
            }
            _ => {
                let schema = storage_schema(signal);
                let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
                let filled = part.iter().filter(|h| !signal.times(&h.batch).is_empty());
                let parts: Result<Vec<RecordBatch>, _> =
                    filled.map(|h| hot_columns(signal, &h.batch, &names)).collect();
                parts.map_err(Into::into).and_then(|parts| sealed::encode_rows(signal, &parts, range))
            }
        };
        let encoded = encoded.map_err(|e| StoreError::fatal("a file could not be encoded").with_source(e))?;
        if encoded.rows == 0 {
            continue;
        }
        let late: LateRows = match signal {
            Signal::Samples => part.iter().flat_map(|h| h.late.iter().copied()).collect(),
            _ => Vec::new(),
        };
        let meta = SealedFile {
            signal,
            tenant,
            date: day_text(day),
            position_first: hot.first().map_or(0, |h| h.position.0),
            position_last: hot.last().map_or(0, |h| h.position.0),
            learned_max: part.iter().map(|h| h.batch.learned.0).max().unwrap_or(0),
            late: clip_late(late, day),
            ..SealedFile::default()
        };
        files.push(write_sealed(inner, meta, encoded)?);
    }
    Ok(files)
}

/// Signal, tenant and day of everything hot.
fn partitions(hot: &[Arc<HotBatch>]) -> BTreeSet<(Signal, Tenant, i64)> {
    let mut found = BTreeSet::new();
    for batch in hot {
        for signal in Signal::ALL {
            let times = signal.times(&batch.batch);
            if times.is_empty() {
                continue;
            }
            let (low, high) = batch.ranges[signal as usize];
            if low.div_euclid(DAY) == high.div_euclid(DAY) {
                found.insert((signal, batch.batch.tenant.clone(), low.div_euclid(DAY)));
                continue;
            }
            for time in times {
                found.insert((signal, batch.batch.tenant.clone(), time.div_euclid(DAY)));
            }
        }
    }
    found
}

fn hot_source(hot: &HotBatch) -> SampleSource<'_> {
    let samples = &hot.batch.samples;
    SampleSource {
        series: bytemuck::cast_slice(&samples.series),
        time: &samples.time,
        value: &samples.value,
        learned: LearnedColumn::Same((!hot.batch.backfill).then_some(hot.batch.learned.0)),
    }
}

fn clip_late(late: LateRows, day: i64) -> LateRows {
    let (from, to) = (day * DAY, (day + 1) * DAY - 1);
    let clipped = late.into_iter().filter(|(_, low, high)| *low <= to && *high >= from);
    let mut rows: LateRows = clipped.map(|(series, low, high)| (series, low.max(from), high.min(to))).collect();
    rows.sort_unstable();
    let mut merged: LateRows = Vec::with_capacity(rows.len());
    for row in rows {
        match merged.last_mut() {
            Some(last) if last.0 == row.0 && row.1 <= last.2.saturating_add(types::MINUTE) => {
                last.2 = last.2.max(row.2)
            }
            _ => merged.push(row),
        }
    }
    merged
}

fn day_text(day: i64) -> String {
    Time(day.saturating_mul(DAY)).rfc3339().get(..10).unwrap_or("unknown").to_owned()
}

/// A folder name that any file system takes and that no tenant can use to leave the data folder.
fn folder_name(tenant: &str) -> String {
    let plain = !tenant.is_empty()
        && tenant.len() <= 64
        && tenant.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
    if plain {
        tenant.to_owned()
    } else {
        format!("x{}", hex(&xxhash_rust::xxh3::xxh3_128(tenant.as_bytes()).to_be_bytes()))
    }
}

fn write_sealed(inner: &Inner, mut meta: SealedFile, encoded: Encoded) -> Result<(SealedFile, u64), StoreError> {
    let mut random = [0u8; 4];
    getrandom::fill(&mut random).map_err(|e| StoreError::fatal(format!("no random bytes: {e}")))?;
    let (first, last) = (meta.position_first, meta.position_last);
    let file = format!("{first:016}-{last:016}-{}.parquet", hex(&random));
    meta.name = format!("{}/{}/{}/{file}", meta.signal.as_str(), folder_name(meta.tenant.as_str()), meta.date);
    meta.path = inner.config.dir.join("data").join(&meta.name);
    meta.rows = encoded.rows;
    meta.bytes = encoded.bytes.len() as u64;
    meta.time_min = encoded.time_min;
    meta.time_max = encoded.time_max;
    let io = |e| StoreError::io(format!("write {}", meta.path.display()), e);
    inner.config.check_fault("seal").map_err(io)?;
    meta.sums = sealed::write_file(&meta.path, &encoded.bytes).map_err(io)?;
    Ok((meta, encoded.replaced))
}

// ---- merging

/// Merges small files of one signal, tenant and day; gives how many files went into larger ones.
pub(crate) async fn compact(inner: &Arc<Inner>, all: bool) -> Result<usize, StoreError> {
    let _one = inner.upkeep.lock().await;
    let mut merged = 0;
    for group in merge_groups(inner, all) {
        let work = inner.clone();
        let parts = group.clone();
        let file = match blocking(move || merge(&work, &parts)).await {
            Ok(file) => file,
            Err(error) => {
                // A damaged file stays as it is: its good parts can still be read.
                tracing::warn!(%error, "files were not merged");
                continue;
            }
        };
        let removed: Vec<i64> = group.iter().map(|f| f.id).collect();
        let added = inner.metadata.swap_files(vec![file], &removed, None).await?;
        inner.visible.swap(0, added, &removed);
        for file in &group {
            file.doom();
        }
        merged += group.len();
    }
    Ok(merged)
}

/// Neighbours in the order of the log, so that "the last one wins" stays what it was.
fn merge_groups(inner: &Inner, all: bool) -> Vec<Vec<Arc<SealedFile>>> {
    let mut days: BTreeMap<(Signal, Tenant, String), Vec<Arc<SealedFile>>> = BTreeMap::new();
    for file in inner.visible.state.read().files.iter() {
        days.entry((file.signal, file.tenant.clone(), file.date.clone())).or_default().push(file.clone());
    }
    let at = if all { 2 } else { MERGE_AT_FILES };
    let mut groups = Vec::new();
    for files in days.into_values() {
        let mut group: Vec<Arc<SealedFile>> = Vec::new();
        let mut rows = 0;
        for file in files {
            let large = !all && file.rows >= LARGE_FILE_ROWS;
            if large || rows + file.rows > MERGED_ROWS_MAX {
                if group.len() >= at {
                    groups.push(std::mem::take(&mut group));
                }
                group.clear();
                rows = 0;
            }
            if !large {
                rows += file.rows;
                group.push(file);
            }
        }
        if group.len() >= at {
            groups.push(group);
        }
    }
    groups
}

fn merge(inner: &Inner, files: &[Arc<SealedFile>]) -> Result<SealedFile, StoreError> {
    let bad = |e: sealed::BadPart| StoreError::fatal(e.to_string());
    let Some((first, last)) = files.first().zip(files.last()) else {
        return Err(StoreError::fatal("nothing to merge"));
    };
    let mut samples: Vec<SampleRows> = Vec::new();
    let mut batches: Vec<RecordBatch> = Vec::new();
    let schema = storage_schema(first.signal);
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    for file in files {
        let checked = Checked::open(file).map_err(bad)?;
        let footer = checked.footer().map_err(bad)?;
        for group in 0..footer.metadata.metadata().num_row_groups() {
            if first.signal == Signal::Samples {
                let need = SampleColumns { learned: true, value: true };
                samples.push(checked.samples(&footer, group, need).map_err(bad)?);
            } else {
                batches.push(checked.group(&footer, group, &names).map_err(bad)?);
            }
        }
    }
    let everything = i64::MIN..i64::MAX;
    let encoded = if first.signal == Signal::Samples {
        let sources: Vec<SampleSource<'_>> = samples.iter().map(row_source).collect();
        sealed::encode_samples(&sources, everything, |ids| sealed::metric_names(&inner.directory.read(), ids))
    } else {
        sealed::encode_rows(first.signal, &batches, everything)
    };
    let encoded = encoded.map_err(|e| StoreError::fatal("a file could not be encoded").with_source(e))?;
    let late: LateRows = files.iter().flat_map(|f| f.late.iter().copied()).collect();
    // Nothing came before these files: rows that repeat others in them are gone now.
    let from_the_start = !inner.visible.state.read().files.iter().any(|f| {
        f.signal == first.signal
            && f.tenant == first.tenant
            && f.date == first.date
            && f.position_first < first.position_first
    });
    let meta = SealedFile {
        signal: first.signal,
        tenant: first.tenant.clone(),
        date: first.date.clone(),
        position_first: first.position_first,
        position_last: last.position_last,
        learned_max: files.iter().map(|f| f.learned_max).max().unwrap_or(0),
        late: if from_the_start { Vec::new() } else { late },
        ..SealedFile::default()
    };
    let (file, replaced) = write_sealed(inner, meta, encoded)?;
    inner.visible.state.write().replaced += replaced;
    Ok(file)
}

fn row_source(rows: &SampleRows) -> SampleSource<'_> {
    SampleSource {
        series: &rows.series,
        time: &rows.time,
        value: &rows.value,
        learned: LearnedColumn::Rows(&rows.learned),
    }
}

// ---- retention

/// Takes files whose rows are all too old out of the manifest, then deletes them.
pub(crate) async fn expire(inner: &Arc<Inner>, now: Time) -> Result<usize, StoreError> {
    let _one = inner.upkeep.lock().await;
    let keep = inner.config.retention;
    let old = |file: &Arc<SealedFile>| {
        let age = match file.signal {
            Signal::Samples => keep.samples_ns,
            Signal::Records => keep.records_ns,
            Signal::Spans => keep.spans_ns,
            Signal::Events => keep.events_ns,
        };
        file.time_max < now.0.saturating_sub(age)
    };
    let files: Vec<Arc<SealedFile>> = inner.visible.state.read().files.iter().filter(|f| old(f)).cloned().collect();
    if files.is_empty() {
        return Ok(0);
    }
    let ids: Vec<i64> = files.iter().map(|f| f.id).collect();
    inner.metadata.swap_files(Vec::new(), &ids, None).await?;
    inner.visible.swap(0, Vec::new(), &ids);
    for file in &files {
        file.doom();
    }
    Ok(files.len())
}

// ---- the log's end

/// Writes definitions that are only in the log into the definition files, both copies, so that segments can go.
fn persist_definitions(inner: &Inner) -> Result<(), StoreError> {
    let mut persisted = inner.sealed_log.persisted.lock();
    let (plain, now) = write_definitions(&inner.directory.read(), *persisted);
    let Some(plain) = plain else { return Ok(()) };
    let mut frame = Frame::of_definitions(plain);
    frame.header.sequence = next_definition_frame(&inner.config.dir);
    let mut bytes = Vec::new();
    frame.write_to(&mut bytes);
    for name in DEFINITION_FILES {
        let path = inner.config.dir.join(name);
        let write = || -> std::io::Result<()> {
            inner.config.check_fault("definitions")?;
            let mut file = File::options().create(true).append(true).open(&path)?;
            file.write_all(&bytes)?;
            file.sync_all()
        };
        write().map_err(|e| StoreError::io(format!("write {}", path.display()), e))?;
    }
    let done = sync_dir(&inner.config.dir.join("directory"));
    done.map_err(|e| StoreError::io("make the definition files durable", e))?;
    *persisted = now;
    Ok(())
}

/// Deletes segments that neither recovery nor the engine needs.
fn trim_log(inner: &Inner) -> Result<(), StoreError> {
    let sealed = inner.visible.state.read().sealed;
    let checkpoint =
        if inner.config.keep_for_engine { inner.sealed_log.checkpoint.load(Ordering::Relaxed) } else { u64::MAX };
    let done = Position(sealed.min(checkpoint));
    let old: Vec<_> = {
        let segments = inner.log.shared.segments.lock();
        let closed = segments.len().saturating_sub(1);
        segments[..closed].iter().take_while(|s| s.last <= done.0).map(|s| s.path.clone()).collect()
    };
    if old.is_empty() {
        return Ok(());
    }
    write_repeats(inner)?;
    for path in &old {
        std::fs::remove_file(path).map_err(|e| StoreError::io(format!("remove {}", path.display()), e))?;
    }
    sync_dir(&inner.config.dir.join("wal")).map_err(|e| StoreError::io("make the log's folder durable", e))?;
    inner.log.shared.segments.lock().retain(|s| !old.contains(&s.path));
    Ok(())
}

fn write_repeats(inner: &Inner) -> Result<(), StoreError> {
    let path = inner.config.dir.join(REPEATS_FILE);
    let bytes = inner.log.shared.repeats.lock().to_bytes(inner.config.now().0 - 600 * SECOND);
    let write = || -> std::io::Result<()> {
        let temporary = path.with_extension("tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        sync_dir(&inner.config.dir.join("directory"))
    };
    write().map_err(|e| StoreError::io(format!("write {}", path.display()), e))
}

pub(crate) fn status(inner: &Inner) -> StoreStatus {
    let registry = inner.directory.read();
    let (series, entities) = (registry.all_series().len(), registry.entities().len());
    drop(registry);
    let state = inner.visible.state.read();
    StoreStatus {
        durability: match inner.config.durability {
            crate::Durability::Sync => "sync".into(),
            crate::Durability::Os => "os".into(),
        },
        last_position: state.last,
        sealed_position: state.sealed,
        hot_rows: state.hot_rows as u64,
        hot_bytes: state.hot_bytes as u64,
        sealed_rows: state.files.iter().map(|f| f.rows).sum(),
        sealed_bytes: state.files.iter().map(|f| f.bytes).sum(),
        sealed_files: state.files.len() as u64,
        log_bytes: inner.log.shared.segments.lock().iter().map(|s| s.bytes).sum(),
        series: series as u64,
        entities: entities as u64,
        repeated_batches: inner.log.shared.repeated.load(Ordering::Relaxed),
        replaced_samples: state.replaced,
        unavailable: match inner.log.state() {
            LogState::Unavailable(why) => Some(why),
            _ => None,
        },
        damage: inner.damage.iter().map(ToString::to_string).collect(),
    }
}
