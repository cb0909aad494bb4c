//! The log's writer: one thread that collects what came in, writes it as one group, syncs, and then acknowledges all.
//!
//! Nobody waits for a clock: while one group is being synced the next one gathers. A write or sync that fails poisons
//! the segment: nothing of the group is acknowledged, its positions are declared void in the next segment, and the
//! store takes nothing until a fresh segment could be written and synced. A failed `fsync` is never tried again on the
//! same file, because the kernel may have dropped the pages and would report success.

use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use types::{Batch, Directory, MINUTE, Position, Time};
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    Durability, StoreConfig, StoreError,
    error::ErrorKind,
    format::{Frame, HEADER_BYTES, Watermark, write_definitions},
    hot::{HotBatch, Visible},
};

/// What an append gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its place in the log; of a repeated batch the place of the first.
    pub position: Position,
    /// When it counts as learned.
    pub learned: Time,
    /// It had come before and was not stored again.
    pub repeated: bool,
}

/// Whether the log takes batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogState {
    /// It does.
    Open,
    /// The folder was opened only for reading.
    ReadOnly,
    /// Not now, for this reason; it tries to recover by itself.
    Unavailable(String),
    /// The store was closed.
    Closed,
}

/// A file of the log.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub path: PathBuf,
    /// Last position in it; 0 where there is none.
    pub last: u64,
    pub bytes: u64,
}

/// How long a request's hash is remembered.
pub(crate) const REPEAT_WINDOW_NS: i64 = 10 * MINUTE;

/// Hashes of requests seen within the window.
#[derive(Default)]
pub(crate) struct Repeats {
    known: HashMap<u128, (u64, i64)>,
    order: VecDeque<(i64, u128)>,
}

impl Repeats {
    pub fn add(&mut self, key: u128, position: u64, learned: i64) {
        if self.known.insert(key, (position, learned)).is_none() {
            self.order.push_back((learned, key));
        }
    }

    fn get(&self, key: u128) -> Option<(u64, i64)> {
        self.known.get(&key).copied()
    }

    /// Rows of 32 bytes (key, position, learned) of what came at or after `from`, and a checksum.
    pub fn to_bytes(&self, from: i64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.known.len() * 32 + 4);
        for (learned, key) in self.order.iter().filter(|(learned, _)| *learned >= from) {
            let position = self.known.get(key).map_or(0, |k| k.0);
            bytes.extend_from_slice(&key.to_le_bytes());
            bytes.extend_from_slice(&position.to_le_bytes());
            bytes.extend_from_slice(&learned.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn forget_before(&mut self, time: i64) {
        while self.order.front().is_some_and(|(learned, _)| *learned < time) {
            if let Some((_, key)) = self.order.pop_front() {
                self.known.remove(&key);
            }
        }
    }
}

/// The key under which a request of a tenant is remembered.
pub(crate) fn repeat_key(tenant: &str, request_hash: u128) -> u128 {
    request_hash ^ xxh3_128(tenant.as_bytes())
}

/// Where the log goes on after recovery.
pub(crate) struct Start {
    pub next: u64,
    pub learned: i64,
    pub watermark: Watermark,
    pub segments: Vec<Segment>,
    pub repeats: Repeats,
}

/// A batch to write; an empty one asks only that the definitions be made durable.
struct Job {
    batch: Batch,
    frame: Frame,
    reply: oneshot::Sender<Result<Appended, StoreError>>,
    _room: OwnedSemaphorePermit,
}

struct Queue {
    jobs: VecDeque<Job>,
    state: LogState,
}

/// State that the writer shares with those who ask.
pub(crate) struct LogShared {
    queue: Mutex<Queue>,
    wake: Condvar,
    pub segments: Mutex<Vec<Segment>>,
    pub repeats: Mutex<Repeats>,
    pub repeated: std::sync::atomic::AtomicU64,
    /// The next group begins a new segment: all of the open one is sealed, so it can go.
    pub roll: std::sync::atomic::AtomicBool,
    /// What the log holds of the directory.
    pub watermark: Mutex<Watermark>,
}

/// The way to the writer thread.
pub(crate) struct LogHandle {
    pub shared: Arc<LogShared>,
    room: Arc<Semaphore>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// Bytes that may wait for the writer, in units of a KiB.
const ROOM_KIB: usize = 64 << 10;
/// A group is closed when it is this large.
const GROUP_BYTES: usize = 1 << 20;
/// How often a poisoned writer tries again.
const RETRY: Duration = Duration::from_millis(500);

impl LogHandle {
    pub fn read_only(segments: Vec<Segment>) -> LogHandle {
        LogHandle::new(segments, LogState::ReadOnly)
    }

    fn new(segments: Vec<Segment>, state: LogState) -> LogHandle {
        let shared = LogShared {
            queue: Mutex::new(Queue { jobs: VecDeque::new(), state }),
            wake: Condvar::new(),
            segments: Mutex::new(segments),
            repeats: Mutex::default(),
            repeated: Default::default(),
            roll: Default::default(),
            watermark: Mutex::default(),
        };
        LogHandle { shared: Arc::new(shared), room: Arc::new(Semaphore::new(ROOM_KIB)), thread: Mutex::new(None) }
    }

    pub fn start(
        config: StoreConfig,
        directory: Arc<Directory>,
        visible: Visible,
        start: Start,
    ) -> Result<LogHandle, StoreError> {
        let handle = LogHandle::new(start.segments, LogState::Open);
        *handle.shared.repeats.lock() = start.repeats;
        *handle.shared.watermark.lock() = start.watermark;
        let writer = Writer {
            wal_dir: config.dir.join("wal"),
            config,
            directory,
            visible,
            shared: handle.shared.clone(),
            next: start.next,
            learned: start.learned,
            watermark: start.watermark,
            open: None,
            void: None,
            group: Vec::new(),
        };
        writer.ensure_reserve().map_err(|e| StoreError::io("write the reserve file", e))?;
        let thread = std::thread::Builder::new()
            .name("bellwether-log".into())
            .spawn(move || writer.run())
            .map_err(|e| StoreError::io("start the log's thread", e))?;
        *handle.thread.lock() = Some(thread);
        Ok(handle)
    }

    pub fn state(&self) -> LogState {
        self.shared.queue.lock().state.clone()
    }

    pub async fn append(&self, batch: Batch, request_hash: Option<u128>) -> Result<Appended, StoreError> {
        check_columns(&batch)?;
        refuse(&self.state())?;
        let frame = Frame::of_batch(&batch, request_hash);
        let kib = (frame.payload.len() / 1024 + 1).min(ROOM_KIB) as u32;
        let room = self.room.clone().acquire_many_owned(kib).await;
        let room = room.map_err(|_| StoreError::unavailable("the store is closing"))?;
        let (reply, answer) = oneshot::channel();
        {
            let mut queue = self.shared.queue.lock();
            refuse(&queue.state)?;
            queue.jobs.push_back(Job { batch, frame, reply, _room: room });
        }
        self.shared.wake.notify_one();
        answer.await.unwrap_or_else(|_| Err(StoreError::unavailable("the store is closing")))
    }

    /// Makes all definitions so far durable, if they are not.
    pub async fn flush_definitions(&self, directory: &Directory) -> Result<(), StoreError> {
        let now = Watermark::of(&directory.read());
        if now == *self.shared.watermark.lock() {
            return Ok(());
        }
        self.append(Batch::default(), None).await.map(|_| ())
    }

    pub async fn close(&self) {
        self.shared.queue.lock().state = LogState::Closed;
        self.shared.wake.notify_all();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for LogHandle {
    fn drop(&mut self) {
        self.shared.queue.lock().state = LogState::Closed;
        self.shared.wake.notify_all();
    }
}

fn refuse(state: &LogState) -> Result<(), StoreError> {
    match state {
        LogState::Open => Ok(()),
        LogState::ReadOnly => Err(StoreError::setup("the data folder was opened only for reading")),
        LogState::Unavailable(why) => Err(StoreError::unavailable(format!("nothing can be stored now: {why}"))),
        LogState::Closed => Err(StoreError::unavailable("the store is closing")),
    }
}

/// All columns of a shape must have one length: a mistake of the caller must not reach the log.
fn check_columns(batch: &Batch) -> Result<(), StoreError> {
    let (s, r, p, e) = (&batch.samples, &batch.records, &batch.spans, &batch.events);
    let samples = [s.series.len(), s.value.len()].iter().all(|n| *n == s.len());
    let records = [
        r.resource.len(),
        r.entity.len(),
        r.severity.len(),
        r.template.len(),
        r.body.len(),
        r.attributes.len(),
        r.trace_id.len(),
        r.span_id.len(),
    ];
    let spans = [
        p.duration_ns.len(),
        p.resource.len(),
        p.entity.len(),
        p.name.len(),
        p.kind.len(),
        p.status.len(),
        p.trace_id.len(),
        p.span_id.len(),
        p.parent_span_id.len(),
        p.attributes.len(),
    ];
    let events = [e.entity.len(), e.kind.len(), e.attributes.len()];
    let even = samples
        && records.iter().all(|n| *n == r.len())
        && spans.iter().all(|n| *n == p.len())
        && events.iter().all(|n| *n == e.len());
    if even { Ok(()) } else { Err(StoreError::fatal("the columns of a batch differ in length")) }
}

struct Writer {
    config: StoreConfig,
    wal_dir: PathBuf,
    directory: Arc<Directory>,
    visible: Visible,
    shared: Arc<LogShared>,
    next: u64,
    learned: i64,
    watermark: Watermark,
    /// The segment being written; none at first and after a failure.
    open: Option<(File, u64)>,
    /// Positions of a group that may lie on disk without having been acknowledged.
    void: Option<(u64, u64)>,
    group: Vec<u8>,
}

impl Writer {
    fn run(mut self) {
        let mut failing = false;
        loop {
            let (jobs, closed) = self.take_jobs(failing);
            if failing {
                match self.recover() {
                    Ok(()) => {
                        failing = false;
                        self.set_state(LogState::Open);
                        tracing::info!("the log is written again");
                    }
                    Err(error) => self.set_state(LogState::Unavailable(error.to_string())),
                }
            }
            if !jobs.is_empty()
                && !failing
                && let Err(error) = self.write_jobs(jobs)
            {
                failing = true;
                tracing::error!(%error, "the log cannot be written; nothing is taken in until it can");
                self.set_state(LogState::Unavailable(error.to_string()));
                self.release_reserve();
            }
            if closed {
                break;
            }
        }
    }

    fn set_state(&self, state: LogState) {
        let mut queue = self.shared.queue.lock();
        if queue.state == LogState::Closed {
            return;
        }
        if let LogState::Unavailable(why) = &state {
            for job in queue.jobs.drain(..) {
                let _ = job.reply.send(Err(StoreError::unavailable(format!("nothing can be stored now: {why}"))));
            }
        }
        queue.state = state;
    }

    fn take_jobs(&self, failing: bool) -> (Vec<Job>, bool) {
        let mut queue = self.shared.queue.lock();
        while queue.jobs.is_empty() && queue.state != LogState::Closed {
            if failing {
                self.shared.wake.wait_for(&mut queue, RETRY);
                break;
            }
            self.shared.wake.wait(&mut queue);
        }
        let mut jobs = Vec::new();
        let mut bytes = 0;
        while bytes < GROUP_BYTES
            && let Some(job) = queue.jobs.pop_front()
        {
            bytes += job.frame.payload.len();
            jobs.push(job);
        }
        (jobs, queue.state == LogState::Closed && queue.jobs.is_empty())
    }

    /// Writes one group and answers its jobs. After an error the segment is gone and the group's positions are void.
    fn write_jobs(&mut self, jobs: Vec<Job>) -> std::io::Result<()> {
        let first = self.next;
        let learned = self.learned.max(self.config.now().0);
        self.shared.repeats.lock().forget_before(learned - REPEAT_WINDOW_NS);
        let mut fresh = Vec::with_capacity(jobs.len());
        let mut repeated = Vec::new();
        let mut flushes = Vec::new();
        let mut keys = HashMap::new();
        for mut job in jobs {
            if job.frame.header.rows == 0 {
                flushes.push(job);
                continue;
            }
            let key = (job.frame.header.request_hash != 0)
                .then(|| repeat_key(job.batch.tenant.as_str(), job.frame.header.request_hash));
            let known = key.and_then(|k| self.shared.repeats.lock().get(k).or_else(|| keys.get(&k).copied()));
            if let Some((position, learned)) = known {
                repeated.push((job, Appended { position: Position(position), learned: Time(learned), repeated: true }));
                continue;
            }
            if let Some(key) = key {
                keys.insert(key, (self.next, learned));
            }
            job.batch.learned = Time(learned);
            job.frame.header.learned = learned;
            job.frame.header.sequence = self.next;
            self.next += 1;
            fresh.push(job);
        }
        if !fresh.is_empty() || !flushes.is_empty() {
            if let Err(error) = self.write_group(first, &fresh) {
                self.open = None;
                self.void = Some((self.void.map_or(first, |v| v.0), self.next - 1));
                let text = format!("nothing can be stored now: {error}");
                for job in fresh.into_iter().chain(flushes).chain(repeated.into_iter().map(|r| r.0)) {
                    let _ = job.reply.send(Err(StoreError::new(ErrorKind::Unavailable, text.clone())));
                }
                return Err(error);
            }
            self.learned = learned;
            let mut repeats = self.shared.repeats.lock();
            for (key, (position, learned)) in keys {
                repeats.add(key, position, learned);
            }
            drop(repeats);
            self.publish(fresh);
        }
        self.shared.repeated.fetch_add(repeated.len() as u64, std::sync::atomic::Ordering::Relaxed);
        for (job, appended) in repeated {
            let _ = job.reply.send(Ok(appended));
        }
        let done = Appended { position: Position(self.next - 1), learned: Time(learned), repeated: false };
        for job in flushes {
            let _ = job.reply.send(Ok(done));
        }
        Ok(())
    }

    fn write_group(&mut self, first: u64, jobs: &[Job]) -> std::io::Result<()> {
        let mut group = std::mem::take(&mut self.group);
        group.clear();
        let (definitions, watermark) = write_definitions(&self.directory.read(), self.watermark);
        let definitions = definitions.map(|plain| {
            let mut frame = Frame::of_definitions(plain);
            frame.header.sequence = first;
            frame
        });
        if definitions.is_none() && jobs.is_empty() {
            self.group = group;
            return Ok(());
        }
        if let Some(frame) = &definitions {
            frame.write_to(&mut group);
        }
        for job in jobs {
            job.frame.write_to(&mut group);
        }
        if let Some(frame) = &definitions {
            frame.write_to(&mut group);
        }
        let commit = Frame::commit(Position(self.next - 1));
        group.extend_from_slice(&commit);
        group.extend_from_slice(&commit);
        let written = self.write_bytes(&group, first);
        if group.capacity() <= 4 * GROUP_BYTES {
            self.group = group;
        }
        written?;
        self.watermark = watermark;
        *self.shared.watermark.lock() = watermark;
        Ok(())
    }

    fn write_bytes(&mut self, bytes: &[u8], first: u64) -> std::io::Result<()> {
        let roll = self.shared.roll.swap(false, std::sync::atomic::Ordering::Relaxed);
        if self.open.as_ref().is_none_or(|(_, len)| roll || *len >= self.config.segment_bytes) {
            self.open_segment(first)?;
        }
        self.config.check_fault("log write")?;
        let Some((file, length)) = &mut self.open else { return Err(std::io::Error::other("no segment is open")) };
        file.write_all(bytes)?;
        self.config.check_fault("log sync")?;
        if self.config.durability == Durability::Sync {
            file.sync_data()?;
        }
        *length += bytes.len() as u64;
        if let Some(segment) = self.shared.segments.lock().last_mut() {
            segment.last = self.next - 1;
            segment.bytes = *length;
        }
        Ok(())
    }

    /// A new segment starts with a commit (or with what is void), so that its name and place are durable before the
    /// first batch is.
    fn open_segment(&mut self, first: u64) -> std::io::Result<()> {
        self.open = None;
        let (path, mut file) = (0..10_000)
            .find_map(|n| {
                let path = self.wal_dir.join(format!("{first:020}-{n:04}.wal"));
                let made = File::create_new(&path);
                match made {
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => None,
                    made => Some(made.map(|file| (path, file))),
                }
            })
            .unwrap_or_else(|| Err(std::io::Error::other("too many segments of one position")))?;
        let mut head = Vec::with_capacity(4 * HEADER_BYTES);
        if let Some((first, last)) = self.void {
            head.extend_from_slice(&Frame::void(first, last));
            head.extend_from_slice(&Frame::void(first, last));
        }
        let last_done = self.void.map_or(0, |v| v.1);
        head.extend_from_slice(&Frame::commit(Position(last_done)));
        head.extend_from_slice(&Frame::commit(Position(last_done)));
        let ready = self.config.check_fault("segment").and_then(|()| file.write_all(&head));
        let ready = ready.and_then(|()| file.sync_all()).and_then(|()| sync_dir(&self.wal_dir));
        if let Err(error) = ready {
            drop(file);
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        self.void = None;
        let bytes = head.len() as u64;
        self.shared.segments.lock().push(Segment { path, last: 0, bytes });
        self.open = Some((file, bytes));
        Ok(())
    }

    /// Makes batches visible in log order, then tells their senders.
    fn publish(&self, jobs: Vec<Job>) {
        let mut replies = Vec::with_capacity(jobs.len());
        let mut batches = Vec::with_capacity(jobs.len());
        for job in jobs {
            let position = Position(job.frame.header.sequence);
            let appended = Appended { position, learned: job.batch.learned, repeated: false };
            batches.push(HotBatch::new(position, Arc::new(job.batch)));
            replies.push((job.reply, appended));
        }
        self.visible.push(batches);
        for (reply, appended) in replies {
            let _ = reply.send(Ok(appended));
        }
    }

    /// Takes the reserve back, then proves with a fresh segment that a group would fit.
    fn recover(&mut self) -> std::io::Result<()> {
        self.ensure_reserve()?;
        let probe = self.wal_dir.join("probe.tmp");
        let proof = write_zeros(&probe, GROUP_BYTES as u64, &self.config);
        let _ = std::fs::remove_file(&probe);
        let result = proof.and_then(|()| self.open_segment(self.next));
        if result.is_err() {
            self.release_reserve();
        }
        result
    }

    fn ensure_reserve(&self) -> std::io::Result<()> {
        let path = self.config.dir.join("reserve");
        if std::fs::metadata(&path).is_ok_and(|m| m.len() >= self.config.reserve_bytes) {
            return Ok(());
        }
        let made = write_zeros(&path, self.config.reserve_bytes, &self.config);
        if made.is_err() {
            let _ = std::fs::remove_file(&path);
        }
        made
    }

    /// Gives the reserve to the metadata, so that the journal and the interface go on while the log cannot.
    fn release_reserve(&self) {
        let _ = std::fs::remove_file(self.config.dir.join("reserve"));
    }
}

fn write_zeros(path: &Path, bytes: u64, config: &StoreConfig) -> std::io::Result<()> {
    config.check_fault("reserve")?;
    let mut file = File::create(path)?;
    let zeros = vec![0u8; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(zeros.len() as u64) as usize;
        file.write_all(&zeros[..part])?;
        left -= part as u64;
    }
    file.sync_data()
}

/// Makes created, renamed and removed names in a folder durable.
pub(crate) fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}
