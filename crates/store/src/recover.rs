//! Opening a folder: lock, version, manifest, definitions, and the log behind what is sealed.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use types::{Batch, Directory, Position, Time};

use crate::{
    Inner, Store, StoreConfig, StoreError,
    append::{LogHandle, Repeats, Segment, Start, repeat_key, sync_dir},
    format::{self, FOLDER_VERSION, Found, FrameHeader, FrameKind, HEADER_BYTES, Watermark},
    hot::{HotBatch, Visible},
    metadata::Metadata,
    sql, upkeep,
};

/// A part of the folder that could not be read and was left out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Damage {
    /// File and offset.
    pub place: String,
    /// What is wrong with it.
    pub what: String,
    /// Rows lost, where the frame's header still says so.
    pub rows: Option<u64>,
    /// First time of the lost rows.
    pub from: Option<Time>,
    /// Last time of the lost rows.
    pub to: Option<Time>,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.what)?;
        if let Some(rows) = self.rows {
            write!(f, "; {rows} rows lost")?;
        }
        if let (Some(from), Some(to)) = (self.from, self.to) {
            write!(f, " between {from} and {to}")?;
        }
        Ok(())
    }
}

pub(crate) async fn open(config: StoreConfig) -> Result<Store, StoreError> {
    let dir = config.dir.clone();
    let lock = lock_folder(&dir, config.read_only)?;
    check_version(&dir, config.read_only)?;
    if !config.read_only {
        make_folders(&dir)?;
    }
    let metadata = Metadata::open(&dir, config.read_only).await?;
    let manifest = metadata.manifest(&dir).await?;
    let mut damage: Vec<Damage> = manifest.damage.iter().map(|what| plain_damage("metadata.db", what)).collect();
    for file in manifest.files.iter().filter(|f| !f.path.is_file()) {
        damage.push(plain_damage(&file.name, &format!("is gone; {} rows lost", file.rows)));
    }
    if !config.read_only && manifest.damage.is_empty() {
        remove_orphans(&dir, &manifest.files);
    }
    let directory = Arc::new(Directory::default());
    let persisted = read_definition_files(&dir, &directory, &mut damage);
    let visible = Visible::new(manifest.files, manifest.sealed, manifest.sealed);
    let mut replay = Replay {
        sealed: manifest.sealed,
        directory: &directory,
        visible: &visible,
        read_only: config.read_only,
        next: manifest.sealed + 1,
        learned: manifest.learned,
        repeats: read_repeats(&dir),
        damage,
        last_definitions: None,
    };
    let segments = replay.run(&dir)?;
    let (next, learned, repeats, damage) = (replay.next, replay.learned, replay.repeats, replay.damage);
    for one in &damage {
        tracing::warn!("{one}");
    }
    let watermark = Watermark::of(&directory.read());
    let start = Start { next, learned, watermark, segments: segments.clone(), repeats };
    let log = if config.read_only {
        LogHandle::read_only(segments)
    } else {
        LogHandle::start(config.clone(), directory.clone(), visible.clone(), start)?
    };
    let recovered = metadata.recovered().await?;
    let checkpoint = metadata.checkpoint_position().await?;
    let engine = sql::Engine::new(&config)?;
    let inner = Arc::new(Inner {
        directory,
        visible,
        metadata,
        log,
        engine,
        recovered: parking_lot::Mutex::new(Some(recovered)),
        damage,
        upkeep: tokio::sync::Mutex::new(()),
        sealed_log: upkeep::SealedLog::new(persisted, checkpoint),
        config,
        _lock: lock,
    });
    if inner.config.upkeep && !inner.config.read_only {
        upkeep::spawn(&inner);
    }
    Ok(Store(inner))
}

fn plain_damage(place: &str, what: &str) -> Damage {
    Damage { place: place.into(), what: what.into(), rows: None, from: None, to: None }
}

fn lock_folder(dir: &Path, read_only: bool) -> Result<File, StoreError> {
    let path = dir.join("lock");
    if read_only {
        let file = File::open(&path).map_err(|e| {
            StoreError::setup(format!("no data folder at {}: {e}; name one with --data-dir", dir.display()))
        })?;
        return match file.try_lock_shared() {
            Ok(()) => Ok(file),
            Err(_) => Err(StoreError::setup(format!(
                "a server has {} open; ask it with --url instead of --data-dir",
                dir.display()
            ))),
        };
    }
    let not_writable =
        |e: std::io::Error| StoreError::setup(format!("cannot write to the data folder {}: {e}", dir.display()));
    std::fs::create_dir_all(dir).map_err(not_writable)?;
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(not_writable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::setup(format!(
            "the data folder {} is in use by another bellwether; stop it or choose another --data-dir",
            dir.display()
        ))),
        Err(std::fs::TryLockError::Error(e)) => Err(not_writable(e)),
    }
}

fn check_version(dir: &Path, read_only: bool) -> Result<(), StoreError> {
    let path = dir.join("format");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !read_only => {
            let write = || -> std::io::Result<()> {
                let temporary = dir.join("format.tmp");
                std::fs::write(&temporary, format!("bellwether data {FOLDER_VERSION}\n"))?;
                File::open(&temporary)?.sync_all()?;
                std::fs::rename(&temporary, &path)?;
                sync_dir(dir)
            };
            return write().map_err(|e| StoreError::io(format!("write {}", path.display()), e));
        }
        Err(e) => return Err(StoreError::io(format!("read {}", path.display()), e)),
    };
    let version = text.trim().rsplit(' ').next().and_then(|v| v.parse::<u32>().ok());
    match version {
        Some(version) if version > FOLDER_VERSION => Err(StoreError::setup(format!(
            "the data folder {} has version {version}, this program knows up to {FOLDER_VERSION}; \
             use the newer bellwether that wrote it",
            dir.display()
        ))),
        // A damaged version file must not keep the store from starting: every file carries its own version too.
        None => {
            tracing::warn!(path = %path.display(), "the version file is damaged; version {FOLDER_VERSION} is assumed");
            Ok(())
        }
        Some(_) => Ok(()),
    }
}

fn make_folders(dir: &Path) -> Result<(), StoreError> {
    let make = || -> std::io::Result<()> {
        for name in ["wal", "directory", "data"] {
            std::fs::create_dir_all(dir.join(name))?;
        }
        let _ = std::fs::remove_dir_all(dir.join("tmp"));
        std::fs::create_dir_all(dir.join("tmp"))?;
        sync_dir(dir)
    };
    make().map_err(|e| StoreError::io(format!("make folders in {}", dir.display()), e))
}

/// What a crash left between writing a file and naming it in the manifest, or between the two the other way round.
fn remove_orphans(dir: &Path, files: &[Arc<crate::sealed::SealedFile>]) {
    let known: std::collections::HashSet<&PathBuf> = files.iter().map(|f| &f.path).collect();
    let mut folders = vec![dir.join("data")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet" || e == "tmp") && !known.contains(&path) {
                tracing::info!(path = %path.display(), "removed a file that no manifest names");
                let _ = std::fs::remove_file(&path);
            }
        }
    }
    let _ = std::fs::remove_file(dir.join("wal/probe.tmp"));
}

// ---- definitions

/// Names of the two copies.
pub(crate) const DEFINITION_FILES: [&str; 2] = ["directory/a.log", "directory/b.log"];

/// Reads both copies and takes of each frame the first that is intact. Gives what is in these files.
fn read_definition_files(dir: &Path, directory: &Directory, damage: &mut Vec<Damage>) -> Watermark {
    let copies: Vec<Vec<u8>> =
        DEFINITION_FILES.iter().map(|name| std::fs::read(dir.join(name)).unwrap_or_default()).collect();
    let mut payloads: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for (name, bytes) in DEFINITION_FILES.iter().zip(&copies) {
        for (at, found) in format::frames(bytes) {
            let intact = match &found {
                Found::Frame(header, payload) => format::plain_payload(header, payload).map(|p| (header, p)),
                _ => None,
            };
            match intact {
                Some((header, plain)) => {
                    payloads.entry(header.sequence).or_insert_with(|| plain.into_owned());
                }
                None => damage.push(plain_damage(&format!("{name} at {at}"), "damaged; the other copy is used")),
            }
        }
    }
    let mut registry = directory.write();
    let last = payloads.last_key_value().map_or(0, |(n, _)| *n);
    if payloads.len() as u64 != last {
        damage.push(plain_damage("directory", "definitions are lost in both copies; their names read as lost"));
    }
    for plain in payloads.values() {
        format::read_definitions(plain, &mut registry);
    }
    Watermark::of(&registry)
}

/// The sequence that the next frame of the definition files gets.
pub(crate) fn next_definition_frame(dir: &Path) -> u64 {
    let bytes = std::fs::read(dir.join(DEFINITION_FILES[0])).unwrap_or_default();
    let other = std::fs::read(dir.join(DEFINITION_FILES[1])).unwrap_or_default();
    let last = |bytes: &[u8]| {
        let sequence = |found: Found<'_>| match found {
            Found::Frame(header, _) => header.sequence,
            _ => 0,
        };
        format::frames(bytes).map(|(_, found)| sequence(found)).max().unwrap_or(0)
    };
    last(&bytes).max(last(&other)) + 1
}

/// Hashes of requests whose log segments may be gone: key, position, learned; with a checksum over all.
pub(crate) const REPEATS_FILE: &str = "directory/repeats";

fn read_repeats(dir: &Path) -> Repeats {
    let mut repeats = Repeats::default();
    let bytes = std::fs::read(dir.join(REPEATS_FILE)).unwrap_or_default();
    let Some((rows, crc)) = bytes.split_last_chunk::<4>() else { return repeats };
    if crc32c::crc32c(rows).to_le_bytes() != *crc {
        tracing::warn!("{REPEATS_FILE} is damaged; a request that is sent again now may be stored twice");
        return repeats;
    }
    for row in rows.chunks_exact(32) {
        let key = u128::from_le_bytes(row[..16].try_into().unwrap_or_default());
        let number = |at: usize| i64::from_le_bytes(row[at..at + 8].try_into().unwrap_or_default());
        repeats.add(key, number(16) as u64, number(24));
    }
    repeats
}

// ---- the log

/// Segments in order of name: path and first position.
pub(crate) fn list_segments(dir: &Path) -> Vec<(PathBuf, u64)> {
    let first = |path: &Path| path.file_stem()?.to_str()?.split('-').next()?.parse().ok();
    let entries = std::fs::read_dir(dir.join("wal")).into_iter().flatten().flatten().map(|e| e.path());
    let mut found: Vec<(PathBuf, u64)> = entries
        .filter(|p| p.extension().is_some_and(|e| e == "wal"))
        .filter_map(|p| first(&p).map(|n| (p, n)))
        .collect();
    found.sort();
    found
}

/// Positions that segments declare void in their heads.
fn void_ranges(segments: &[(PathBuf, u64)]) -> Vec<(u64, u64)> {
    let mut voids = Vec::new();
    for (path, _) in segments {
        let mut head = vec![0u8; 4 * HEADER_BYTES];
        let read = File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut head)).unwrap_or(0);
        for (_, found) in format::frames(&head[..read]) {
            if let Found::Frame(FrameHeader { kind: FrameKind::Void, sequence, learned, .. }, _) = found {
                voids.push((sequence, learned as u64));
            }
        }
    }
    voids.dedup();
    voids
}

/// Where the committed part of a segment ends.
fn committed_end(bytes: &[u8]) -> usize {
    let end = |(at, found): (usize, Found<'_>)| match found {
        Found::Frame(header, _) if header.kind == FrameKind::Commit => Some(at + HEADER_BYTES),
        _ => None,
    };
    format::frames(bytes).filter_map(end).last().unwrap_or(0)
}

struct Replay<'a> {
    sealed: u64,
    directory: &'a Directory,
    visible: &'a Visible,
    read_only: bool,
    next: u64,
    learned: i64,
    repeats: Repeats,
    damage: Vec<Damage>,
    /// Definitions come twice; the second copy is read only where the first was not.
    last_definitions: Option<(u64, u32)>,
}

impl Replay<'_> {
    fn run(&mut self, dir: &Path) -> Result<Vec<Segment>, StoreError> {
        let listed = list_segments(dir);
        let voids = void_ranges(&listed);
        let mut segments = Vec::with_capacity(listed.len());
        for (n, (path, _)) in listed.iter().enumerate() {
            let bytes_on_disk = std::fs::metadata(path).map_or(0, |m| m.len());
            let next_first = listed.get(n + 1).map(|(_, first)| *first);
            if let Some(next_first) = next_first
                && next_first <= self.sealed + 1
            {
                let last = next_first.saturating_sub(1);
                segments.push(Segment { path: path.clone(), last, bytes: bytes_on_disk });
                continue;
            }
            let bytes = std::fs::read(path).map_err(|e| StoreError::io(format!("read {}", path.display()), e))?;
            let (last, bytes) = self.segment(path, &bytes, &voids);
            segments.push(Segment { path: path.clone(), last, bytes });
        }
        if let Some(last_void) = voids.iter().map(|v| v.1).max() {
            self.next = self.next.max(last_void + 1);
        }
        Ok(segments)
    }

    /// Takes one segment in; gives its last position and the length of its committed part.
    fn segment(&mut self, path: &Path, bytes: &[u8], voids: &[(u64, u64)]) -> (u64, u64) {
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let end = committed_end(bytes);
        let mut last = 0;
        let mut hot = Vec::new();
        // All definitions first: where one copy is damaged the other stands behind the data that needs it.
        for (_, found) in format::frames(&bytes[..end]) {
            if let Found::Frame(header, payload) = found
                && header.kind == FrameKind::Definitions
            {
                self.definitions(&header, payload);
            }
        }
        for (at, found) in format::frames(&bytes[..end]) {
            let place = || format!("wal/{name} at {at}");
            let (header, payload) = match found {
                Found::Frame(header, payload) => (header, payload),
                Found::Garbage { bytes } | Found::Torn { bytes } => {
                    self.damage.push(plain_damage(&place(), &format!("{bytes} bytes are no frame and were skipped")));
                    continue;
                }
            };
            match header.kind {
                FrameKind::Commit | FrameKind::Void => last = last.max(header.sequence),
                FrameKind::Definitions if format::plain_payload(&header, payload).is_none() => {
                    self.damage.push(plain_damage(&place(), "definitions are damaged; their other copy is used"));
                }
                FrameKind::Definitions => {}
                FrameKind::Data => {
                    last = last.max(header.sequence);
                    if voids.iter().any(|v| (v.0..=v.1).contains(&header.sequence)) {
                        continue;
                    }
                    hot.extend(self.data(&header, payload, place));
                }
            }
        }
        self.visible.push(hot);
        self.next = self.next.max(last + 1);
        if end < bytes.len() {
            self.torn_tail(path, &name, &bytes[end..], end as u64);
        }
        (last, end as u64)
    }

    fn definitions(&mut self, header: &FrameHeader, payload: &[u8]) {
        let id = (header.sequence, header.payload_crc);
        if self.last_definitions == Some(id) {
            return;
        }
        let Some(plain) = format::plain_payload(header, payload) else { return };
        if format::read_definitions(&plain, &mut self.directory.write()).is_some() {
            self.last_definitions = Some(id);
        }
    }

    fn data(&mut self, header: &FrameHeader, payload: &[u8], place: impl Fn() -> String) -> Option<HotBatch> {
        self.learned = self.learned.max(header.learned);
        let plain = if header.sequence > self.sealed || header.request_hash != 0 {
            format::plain_payload(header, payload)
        } else {
            None
        };
        let batch = plain.as_deref().and_then(|plain| format::read_batch(header, plain));
        if header.sequence <= self.sealed {
            if let Some(batch) = batch {
                self.remember(header, &batch);
            }
            return None;
        }
        let Some(batch) = batch else {
            self.damage.push(Damage {
                place: place(),
                what: "a batch does not match its checksum and was left out".into(),
                rows: Some(u64::from(header.rows)),
                from: Some(Time(header.time_min)),
                to: Some(Time(header.time_max)),
            });
            return None;
        };
        format::fill_ids(&mut self.directory.write(), &batch);
        self.remember(header, &batch);
        Some(HotBatch::new(Position(header.sequence), Arc::new(batch)))
    }

    fn remember(&mut self, header: &FrameHeader, batch: &Batch) {
        if header.request_hash != 0 {
            let key = repeat_key(batch.tenant.as_str(), header.request_hash);
            self.repeats.add(key, header.sequence, header.learned);
        }
    }

    /// Frames behind the last commit were never acknowledged. Their positions are not given again.
    fn torn_tail(&mut self, path: &Path, name: &str, tail: &[u8], end: u64) {
        for (_, found) in format::frames(tail) {
            if let Found::Frame(header, _) = found
                && header.kind == FrameKind::Data
            {
                self.next = self.next.max(header.sequence + 1);
            }
        }
        tracing::info!("wal/{name}: dropped {} bytes behind the last commit, never acknowledged", tail.len());
        if self.read_only {
            return;
        }
        let cut = File::options().write(true).open(path).and_then(|file| {
            file.set_len(end)?;
            file.sync_all()
        });
        if let Err(error) = cut {
            tracing::warn!(%error, "wal/{name} could not be cut; the same bytes will be dropped at the next start");
        }
    }
}

/// Batches with `after < position <= up_to` from the log's segments, about `rows_max` rows of them.
pub(crate) fn read_log(
    inner: &Inner,
    after: Position,
    up_to: Position,
    rows_max: usize,
) -> Vec<(Position, Arc<Batch>)> {
    let listed = list_segments(&inner.config.dir);
    let voids = void_ranges(&listed);
    let mut found = Vec::new();
    let mut rows = 0;
    for (n, (path, _)) in listed.iter().enumerate() {
        if listed.get(n + 1).is_some_and(|(_, next)| *next <= after.0 + 1) {
            continue;
        }
        let Ok(bytes) = std::fs::read(path) else { continue };
        let end = committed_end(&bytes);
        for (_, frame) in format::frames(&bytes[..end]) {
            let Found::Frame(header, payload) = frame else { continue };
            let wanted = header.kind == FrameKind::Data && header.sequence > after.0 && header.sequence <= up_to.0;
            if !wanted || voids.iter().any(|v| (v.0..=v.1).contains(&header.sequence)) {
                continue;
            }
            let plain = format::plain_payload(&header, payload);
            let Some(batch) = plain.and_then(|plain| format::read_batch(&header, &plain)) else { continue };
            rows += batch.rows();
            found.push((Position(header.sequence), Arc::new(batch)));
            if rows >= rows_max {
                return found;
            }
        }
    }
    found
}
