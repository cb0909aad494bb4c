//! The live loop: batches that became durable go through the engine in log order; what follows is committed and then
//! published. It has a thread of its own, so that no request waits for an analysis.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use engine::{Effect, Engine, EngineConfig, Notice};
use store::{Commit, Delivery, DeliveryState, Store, Tail};
use tokio::runtime::Handle;
use types::{Batch, LabelSet, Position, SeriesDef, SeriesKind};
use view::{DerivedSample, StepCut};

use crate::{
    serving,
    state::{App, now},
};

/// Time from one step to the next while nothing waits.
const TICK: Duration = Duration::from_secs(1);
/// How soon a stop is noticed.
const STOP_WITHIN: Duration = Duration::from_millis(50);
/// Effects that nobody waits for (edges, extended findings) are committed at least this often.
const FLUSH: Duration = Duration::from_secs(10);
/// How often the engine's changed state is written.
const CHECKPOINT: Duration = Duration::from_secs(60);

/// The running loop.
pub struct LiveLoop {
    thread: JoinHandle<Result<()>>,
}

impl LiveLoop {
    /// Starts the thread. It replays first; the server is ready when that is done.
    pub fn start(app: Arc<App>) -> Result<LiveLoop> {
        let runtime = Handle::current();
        let thread = std::thread::Builder::new().name("live".into()).spawn(move || {
            let _unready = NotReady(&app);
            run(&app, &runtime).inspect_err(|error| tracing::error!("the live loop stopped: {error:#}"))
        })?;
        Ok(LiveLoop { thread })
    }

    /// Waits for the end, which [`App::stop`] asks for.
    pub fn join(self) -> Result<()> {
        self.thread.join().unwrap_or_else(|_| anyhow::bail!("the live loop broke"))
    }
}

/// A server whose loop ended, by an error or a panic, must not go on saying that all is well.
struct NotReady<'a>(&'a App);

impl Drop for NotReady<'_> {
    fn drop(&mut self) {
        self.0.ready.store(false, Ordering::Release);
    }
}

fn run(app: &Arc<App>, runtime: &Handle) -> Result<()> {
    let mut live = Live::restore(app, runtime)?;
    app.snapshot.store(Arc::new(live.engine.snapshot()));
    while live.catch_up()? {}
    app.ready.store(true, Ordering::Release);
    while !app.stop.is_set() {
        let began = Instant::now();
        while live.catch_up()? && !app.stop.is_set() {}
        // No timer of the runtime: one of a runtime that is being shut down would panic.
        while began.elapsed() < TICK && !app.stop.is_set() {
            std::thread::park_timeout(STOP_WITHIN.min(TICK.saturating_sub(began.elapsed())));
        }
    }
    while live.catch_up()? {}
    live.flush(true)
}

struct Live<'a> {
    app: &'a Arc<App>,
    runtime: &'a Handle,
    store: Store,
    engine: Engine,
    feed: Feed,
    pending: Commit,
    flushed: Instant,
    checkpointed: Instant,
    /// The next checkpoint must hold all pages: there is no earlier one, or writing one failed.
    whole: bool,
}

impl<'a> Live<'a> {
    /// The engine as it was: the last checkpoint, then the recorded cuts again, whose effects are committed already.
    fn restore(app: &'a Arc<App>, runtime: &'a Handle) -> Result<Live<'a>> {
        let store = app.store.clone();
        let config = || EngineConfig { settings: app.config.analyses.clone(), ..EngineConfig::default() };
        let recovered = runtime.block_on(async { store.recovered() });
        let directory = store.directory().clone();
        let whole = recovered.checkpoint.is_none();
        let mut engine = match recovered.checkpoint {
            Some(checkpoint) => Engine::restore(directory, config(), checkpoint),
            None => Engine::new(directory, config()),
        }
        .map_err(anyhow::Error::msg)
        .context("the analyses cannot be started")?;
        for warning in engine.warnings() {
            tracing::warn!("{warning}");
        }
        let mut feed = Feed { tail: store.tail(engine.cut().position), waiting: VecDeque::new() };
        let history = store.history();
        let cuts = recovered.cuts.len();
        for cut in recovered.cuts {
            let batches = feed.until(cut.position);
            engine.step(cut, batches, &history);
        }
        if cuts > 0 {
            tracing::info!(cuts, "steps after the last checkpoint were run again");
        }
        let now = Instant::now();
        Ok(Live {
            app,
            runtime,
            store,
            engine,
            feed,
            pending: Commit::default(),
            flushed: now,
            checkpointed: now,
            whole,
        })
    }

    /// One step over what is there. Returns whether more waits.
    fn catch_up(&mut self) -> Result<bool> {
        let batches = self.feed.next();
        let more = !batches.is_empty() && self.store.last_position() > self.feed.tail.position();
        let last = self.engine.cut();
        let position = batches.last().map_or(last.position, |(p, _)| *p);
        let learned = batches.iter().map(|(_, b)| b.learned).max().unwrap_or(last.now);
        let cut = StepCut { step: last.step + 1, now: now().max(last.now).max(learned), position };
        let began = Instant::now();
        let effects = self.engine.step(cut, batches, &self.store.history());
        let counters = &self.app.counters;
        counters.steps.fetch_add(1, Ordering::Relaxed);
        counters.step_ns.fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
        counters.lag_batches.store(self.store.last_position().0.saturating_sub(position.0), Ordering::Relaxed);

        self.pending.cuts.push(cut);
        let mut derived = Vec::new();
        let mut wanted = false;
        for effect in effects {
            match effect {
                Effect::Journal(entry) => {
                    self.pending.journal.push(entry);
                    wanted = true;
                }
                Effect::Incident(incident) => {
                    self.pending.incidents.push(incident);
                    wanted = true;
                }
                Effect::Finding(finding) => {
                    serving::observe_finding(self.app, &finding);
                    self.pending.findings.push(finding);
                }
                Effect::Edge(edge) => self.pending.edges.push(edge),
                Effect::Derived(sample) => {
                    serving::observe_sample(self.app, &sample);
                    derived.push(sample);
                }
                Effect::Notice(notice) => {
                    self.pending.deliveries.push(delivery(notice));
                    wanted = true;
                }
            }
        }
        if wanted || self.flushed.elapsed() > FLUSH || self.checkpointed.elapsed() > CHECKPOINT {
            self.flush(false)?;
        }
        self.app.snapshot.store(Arc::new(self.engine.snapshot()));
        self.store_derived(derived);
        Ok(more)
    }

    /// Commits what is pending. If the disk refuses, all of it stays pending and is tried again.
    fn flush(&mut self, last: bool) -> Result<()> {
        let checkpoint_due = last || self.checkpointed.elapsed() > CHECKPOINT;
        let mut commit = std::mem::take(&mut self.pending);
        // What a failure leaves to be tried again; a checkpoint is taken anew then, so its pages are not copied.
        let again = commit.clone();
        if checkpoint_due {
            commit.checkpoint = Some(self.engine.checkpoint(self.whole));
        }
        let began = Instant::now();
        let result = self.runtime.block_on(self.store.commit(commit));
        self.app.counters.commit_ns.fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.flushed = Instant::now();
        match result {
            Ok(()) if checkpoint_due => {
                self.checkpointed = Instant::now();
                self.whole = false;
                Ok(())
            }
            Ok(()) => Ok(()),
            Err(error) if error.kind == store::ErrorKind::Unavailable && !last => {
                tracing::warn!(%error, "conclusions cannot be written at the moment, trying again");
                self.whole |= checkpoint_due;
                self.pending = again;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Stores derived points as a batch of their own. They come back through the log and are not judged again.
    fn store_derived(&self, derived: Vec<DerivedSample>) {
        if derived.is_empty() {
            return;
        }
        let mut batches: Vec<Batch> = Vec::new();
        let mut registry = self.store.directory().write();
        for sample in derived {
            let mut labels = sample.labels.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let series = registry.series(SeriesDef {
                tenant: sample.tenant.clone(),
                metric: sample.metric.into(),
                entity: sample.entity,
                labels: LabelSet::pack(&mut labels),
                kind: SeriesKind::Derived,
                unit: "".into(),
            });
            let batch = match batches.iter_mut().position(|b| b.tenant == sample.tenant) {
                Some(at) => &mut batches[at],
                None => {
                    batches.push(Batch { tenant: sample.tenant.clone(), ..Batch::default() });
                    let last = batches.len() - 1;
                    &mut batches[last]
                }
            };
            batch.samples.push(series, sample.time.0, sample.value);
        }
        drop(registry);
        for batch in batches {
            if let Err(error) = self.runtime.block_on(self.store.append(batch, None)) {
                tracing::warn!(%error, "derived points were not stored");
            }
        }
    }
}

/// A notice as it waits in the outbox.
fn delivery(notice: Notice) -> Delivery {
    Delivery {
        id: notice.id,
        at: notice.at,
        route: notice.route,
        channel: notice.channel,
        reason: notice.reason,
        incident: notice.incident,
        state: DeliveryState::Due,
        attempts: 0,
        next_at: notice.at,
        outcome: String::new(),
        updated_at: notice.at,
        receipt: None,
    }
}

/// The log's tail, cut where it is asked to be cut.
struct Feed {
    tail: Tail,
    waiting: VecDeque<(Position, Arc<Batch>)>,
}

impl Feed {
    /// What is there now, up to a bound of the tail's own.
    fn next(&mut self) -> Vec<(Position, Arc<Batch>)> {
        if self.waiting.is_empty() {
            return self.tail.drain();
        }
        self.waiting.drain(..).collect()
    }

    /// Everything up to `position`, however much.
    fn until(&mut self, position: Position) -> Vec<(Position, Arc<Batch>)> {
        let mut taken = Vec::new();
        loop {
            while self.waiting.front().is_some_and(|(p, _)| *p <= position) {
                taken.extend(self.waiting.pop_front());
            }
            if !self.waiting.is_empty() || self.tail.position() >= position {
                return taken;
            }
            let more = self.tail.drain();
            if more.is_empty() {
                return taken;
            }
            self.waiting.extend(more);
        }
    }
}
