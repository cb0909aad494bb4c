//! The loop without IO: [`Engine::step`] takes what became durable and says what follows from it.
//!
//! A step is a function of the engine's state, the cut (`now` and log position) and the batches up to it. It asks no
//! clock and does no IO, so the same log with the same cuts gives the same effects, byte for byte: live, after a
//! crash, in the simulator and in tests. Within a step the strata run in this order: *detect*, then findings and edges
//! are taken over, then incidents are grouped, then *cause*, then the causes found are written into the incidents.
//!
//! ```text
//! let mut engine = match recovered.checkpoint {
//!     Some(checkpoint) => Engine::restore(directory, config, checkpoint)?,
//!     None => Engine::new(directory, config)?,
//! };
//! loop { let effects = engine.step(cut, batches, &history); … commit … ; publish(engine.snapshot()); }
//! ```
//!
//! # What an analysis gets
//!
//! An analysis with `Every(period)` gets each batch exactly once, at the first step that passes a multiple of its
//! period (sooner where more than [`MAX_WAITING_ROWS`] rows wait). Batches that wait for it and rows that are held
//! back because they lie in the future are part of the checkpoint, so a checkpoint needs nothing of the log before
//! its own position. An analysis with `On` or `After` gets the batches of the step in which it runs.

mod snapshot;

mod budget;
mod codec;
mod desk;
mod intake;
mod said;
mod save;
mod services;
mod slos;
#[cfg(test)]
mod tests;
mod tuning;

use std::{collections::BTreeMap, sync::Arc};

use incident::{Command, Grouper, Update};
use types::{
    Batch, DAY, Directory, EntityId, Finding, FindingId, HOUR, Incident, IncidentId, JournalEntry, JournalKind,
    Position, Registry, Shape, Tenant, Time, Topology,
};
use view::{
    Analysis, Checkpoint, DerivedSample, FindingLog, Findings, History, Params, SeenEdge, State, StepCut, Stratum,
    Trigger, View,
};

pub use budget::Rate;
pub use incident::{
    Change, GroupingConfig, InboxCounts, InboxTally, MOST_SILENCES, Matcher, Notice, Route, Silence,
    past::{Similar, similar, was_dismissed},
    report::{markdown as postmortem, tell_users},
    route::{RouterCounts, check as check_routes, routes_of},
};
pub use slos::{MOST_SLOS, SloRow};
pub use snapshot::{AlertRow, Counters, MapEdge, RowCounts, ServiceRow, ServiceState, Snapshot};

use desk::Desk;
use intake::{EventsRead, Held};
use said::LastSaid;
use services::Services;
use slos::Slos;
use tuning::Tuning;

/// An analysis runs before its time when more rows than this wait for it: bounds memory and checkpoints.
pub const MAX_WAITING_ROWS: usize = 2_000_000;
/// At most so many rows are held back at a time.
pub const MAX_HELD_ROWS: usize = 1_000_000;

/// An edge of the map that was not seen for so long is forgotten: longer than data is kept by default (30 days), so
/// that whatever can still be looked at can be explained.
pub const EDGES_FOR_NS: i64 = 35 * DAY;
/// Most changes that are kept at a time.
const MAX_CHANGES: usize = 1000;

/// Of more alerts than these the list is published this often only: building it costs more than they do.
const FEW_ALERTS: usize = 500;
const SHOW_ALERTS_NS: i64 = 5 * types::SECOND;

/// What the engine runs, and how.
pub struct EngineConfig {
    /// The analyses, in order; all of the catalogue by default.
    pub analyses: Vec<&'static Analysis>,
    /// Settings by analysis and name; what is not said has its default.
    pub settings: BTreeMap<String, BTreeMap<String, f64>>,
    /// How findings become incidents.
    pub grouping: GroupingConfig,
}

impl Default for EngineConfig {
    fn default() -> EngineConfig {
        EngineConfig { analyses: catalogue(), settings: BTreeMap::new(), grouping: GroupingConfig::default() }
    }
}

/// What a step makes the caller carry out. In the order in which it was concluded.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A line for the journal.
    Journal(JournalEntry),
    /// A finding to store or to store again (same id).
    Finding(Finding),
    /// An incident to store or to store again (same id).
    Incident(Incident),
    /// An edge that was seen, with the count since it was last said.
    Edge(SeenEdge),
    /// A point to store.
    Derived(DerivedSample),
    /// Somebody is to be told. To be stored with the rest and carried out once.
    Notice(Notice),
}

/// The state of the loop. See the crate's documentation.
pub struct Engine {
    directory: Arc<Directory>,
    slots: Vec<Slot>,
    cut: StepCut,
    held: Held,
    /// Batches that some analysis has yet to see, and the running number of the first of them.
    recent: Vec<Arc<Batch>>,
    first_recent: u64,
    findings: FindingLog,
    said: BTreeMap<FindingId, LastSaid>,
    /// Shared with what was published; copied where it is changed.
    topology: Arc<Topology>,
    grouper: Grouper,
    incidents: Vec<Incident>,
    services: Services,
    tuning: Tuning,
    desk: Desk,
    slos: Slos,
    changes: Vec<Change>,
    counters: Counters,
    shelf: Shelf,
    page_hashes: BTreeMap<String, u64>,
    warnings: Vec<String>,
    /// Seen through others in this step.
    unregistered: Vec<types::EntityId>,
}

/// One analysis with what it needs from step to step.
struct Slot {
    analysis: &'static Analysis,
    params: Params,
    state: State,
    /// The `now` of its last run; `None` before the first.
    last_run: Option<Time>,
    /// Number of the first batch that it has not seen (only for `Every`).
    cursor: u64,
    /// When it must run (only for `After`).
    due: Vec<Time>,
}

/// What was published, shared with those who read.
#[derive(Default)]
struct Shelf {
    incidents: BTreeMap<IncidentId, Arc<Incident>>,
    findings: BTreeMap<FindingId, Arc<Finding>>,
    changes: Arc<Vec<Change>>,
    alerts: Arc<Vec<AlertRow>>,
    /// Something about alerts changed since they were shown, and when that was.
    alerts_old: bool,
    alerts_at: Time,
}

/// What both strata of a step share.
struct Step<'a> {
    now: Time,
    registry: &'a Registry,
    history: &'a dyn History,
    /// Kinds and moments of the events of this step.
    events: &'a [(String, Time)],
    /// Number of the first batch of this step.
    first_batch: u64,
}

impl Engine {
    /// An engine that has seen nothing. The error names a setting that is unknown or out of its range.
    pub fn new(directory: Arc<Directory>, config: EngineConfig) -> Result<Engine, String> {
        let known: Vec<&str> = config.analyses.iter().map(|analysis| analysis.name).collect();
        if let Some(name) = config.settings.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("settings for unknown analysis {name:?}; known: {}", known.join(", ")));
        }
        let mut slots = Vec::new();
        for analysis in config.analyses {
            let said = config.settings.get(analysis.name).cloned().unwrap_or_default();
            let params =
                Params::resolve(analysis.params, &said).map_err(|e| format!("settings of {}: {e}", analysis.name))?;
            let state = (analysis.new_state)(&params);
            slots.push(Slot { analysis, params, state, last_run: None, cursor: 0, due: Vec::new() });
        }
        Ok(Engine {
            directory,
            slots,
            cut: StepCut::default(),
            held: Held::default(),
            recent: Vec::new(),
            first_recent: 0,
            findings: FindingLog::default(),
            said: BTreeMap::new(),
            topology: Arc::default(),
            grouper: Grouper::new(config.grouping),
            incidents: Vec::new(),
            services: Services::default(),
            tuning: Tuning::default(),
            desk: Desk::default(),
            slos: Slos::default(),
            changes: Vec::new(),
            counters: Counters::default(),
            shelf: Shelf::default(),
            page_hashes: BTreeMap::new(),
            warnings: Vec::new(),
            unregistered: Vec::new(),
        })
    }

    /// An engine as it was when `checkpoint` was taken: a full checkpoint, with the pages of later ones laid over it
    /// (see [`lay_over`]). An analysis whose state cannot be read starts afresh and is named in
    /// [`Engine::warnings`]; so does the engine's own part.
    pub fn restore(directory: Arc<Directory>, config: EngineConfig, checkpoint: Checkpoint) -> Result<Engine, String> {
        let mut engine = Engine::new(directory, config)?;
        engine.load(checkpoint);
        Ok(engine)
    }

    /// Takes in the batches after the last cut up to `cut.position`, in order of the log, and says what follows.
    /// `cut.now` must not fall from step to step (an earlier one counts as the last).
    pub fn step(&mut self, cut: StepCut, batches: Vec<(Position, Arc<Batch>)>, history: &dyn History) -> Vec<Effect> {
        let now = cut.now.max(self.cut.now);
        let directory = self.directory.clone();
        let registry = directory.read();
        let mut effects = Vec::new();

        let mut fresh = self.held.release(now);
        let arrived = batches.into_iter().filter_map(|(_, batch)| self.held.admit(batch, now, &mut self.counters));
        let released = fresh.len();
        fresh.extend(arrived);
        self.counters.held_back_now = self.held.rows() as u64;
        let mut events = EventsRead::default();
        for (i, batch) in fresh.iter().enumerate() {
            if !intake::is_derived(batch, &registry) {
                // What was held back is on time.
                let counted_at = if i < released { Time(i64::MIN) } else { now };
                intake::count(batch, counted_at, &mut self.counters);
                for (key, at) in self.services.see(batch, &registry) {
                    if let Some(entity) = registry.entity_id(key) {
                        self.tuning.budget.seen(&batch.tenant, entity, at);
                    }
                }
            }
            events.read(batch, &registry);
        }
        self.counters.ignored_events += events.ignored;
        let first_batch = self.first_recent + self.recent.len() as u64;
        self.recent.extend(fresh);
        effects.extend(self.tuning.obey(&events.tuning, now).into_iter().map(Effect::Journal));
        effects.extend(self.slos.obey(std::mem::take(&mut events.slos), now).into_iter().map(Effect::Journal));
        let about = |id: &IncidentId| self.grouper.get(id).map(|known| known.findings.clone());
        self.tuning.learn(&events.commands, about, &self.findings, now);

        let step = Step { now, registry: &registry, history, events: &events.kinds, first_batch };
        let detected = self.run_stratum(Stratum::Detect, &step);
        let requests = self.services.take_derived(&detected.derived, &registry);
        effects.extend(self.desk.obey(events.words, now).into_iter().map(Effect::Journal));
        let alerts = Findings { said: self.desk.take(&events.alerts, now), ..Findings::default() };
        let alerts_changed = !events.alerts.is_empty() || !alerts.said.is_empty();
        let mut said = self.take_over(detected, now, &mut effects);
        said.extend(self.take_over(alerts, now, &mut effects));
        let mut said = self.desk.unsilenced(said, &self.grouper, now);

        if let Some((edges, at)) = events.declared {
            Arc::make_mut(&mut self.topology).declare(edges, at.min(now));
        }
        self.take_changes(events.changes, now);
        self.journal_commands(&events.commands, now, &mut effects);
        let input = incident::Input {
            now,
            said: &said,
            changes: &self.changes,
            requests: &requests,
            commands: &events.commands,
            registry: &registry,
            topology: &self.topology,
        };
        let updates = self.grouper.step(&input);
        let grouped = !updates.is_empty();
        self.take_updates(updates, now, &mut effects);

        let explained = self.run_stratum(Stratum::Cause, &step);
        said.extend(self.take_over(explained, now, &mut effects));
        let input = incident::Input {
            now,
            said: &[],
            changes: &self.changes,
            requests: &[],
            commands: &[],
            registry: &registry,
            topology: &self.topology,
        };
        let updates = self.grouper.name_causes(&input, &said);
        self.take_updates(updates, now, &mut effects);
        effects.extend(self.desk.notices(self.grouper.incidents(), now).into_iter().map(Effect::Notice));
        self.shelf.alerts_old |= alerts_changed || grouped;
        let due = self.shelf.alerts.len() < FEW_ALERTS || now.since(self.shelf.alerts_at) >= SHOW_ALERTS_NS;
        if self.shelf.alerts_old && due {
            self.show_alerts();
            (self.shelf.alerts_old, self.shelf.alerts_at) = (false, now);
        }

        self.forget(now);
        self.cut = StepCut { now, ..cut };
        drop(registry);
        for entity in std::mem::take(&mut self.unregistered) {
            directory.write().entity(&entity);
        }
        effects
    }

    /// All state (`all`), or the pages that changed since the last call. Laying each over the earlier ones gives what
    /// [`Engine::restore`] takes.
    pub fn checkpoint(&mut self, all: bool) -> Checkpoint {
        self.save(all)
    }

    /// What to publish after a step.
    pub fn snapshot(&mut self) -> Snapshot {
        let registry = self.directory.read();
        let mut findings: Vec<_> = self.shelf.findings.values().cloned().collect();
        findings.sort_by(|a, b| b.start.cmp(&a.start).then(a.id.cmp(&b.id)));
        findings.truncate(1000);
        let mut incidents: Vec<_> = self.shelf.incidents.values().cloned().collect();
        incidents.sort_by(|a, b| b.opened_at.cmp(&a.opened_at).then_with(|| newest_number_first(&a.id, &b.id)));
        Snapshot {
            now: self.cut.now,
            step: self.cut.step,
            position: self.cut.position,
            incidents,
            findings,
            edges: Arc::new(snapshot::named_edges(&self.topology, &registry, self.cut.now, self.cut.now)),
            topology: self.topology.clone(),
            services: Arc::new(self.service_rows(&registry)),
            changes: self.shelf.changes.clone(),
            budget_per_week: self.tuning.budget.per_week(),
            rates: Arc::new(self.tuning.budget.rates(self.cut.now)),
            corrections: Arc::new(self.tuning.calibration.iter().cloned().collect()),
            near: Arc::new(self.tuning.near().cloned().collect()),
            alerts: self.shelf.alerts.clone(),
            inbox: self.desk.inbox.counts().clone(),
            silences: Arc::new(self.desk.silences.iter().cloned().collect()),
            routes: Arc::new(self.desk.router.routes().to_vec()),
            told: self.desk.router.counts,
            slos: self.slos.rows(),
            counters: self.counters.clone(),
        }
    }

    /// What could not be restored, for people.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The last cut; its step is 0 before the first.
    pub fn cut(&self) -> StepCut {
        self.cut
    }

    /// Rows that some analysis has yet to see or that are held back: what a checkpoint taken now carries with it.
    pub fn waiting_rows(&self) -> usize {
        self.recent.iter().map(|batch| batch.rows()).sum::<usize>() + self.held.rows()
    }

    /// Runs what is due of one stratum. Analyses of one stratum do not see what the others say in this step.
    fn run_stratum(&mut self, stratum: Stratum, step: &Step) -> Findings {
        let mut out = Findings::default();
        let end = self.first_recent + self.recent.len() as u64;
        for slot in self.slots.iter_mut().filter(|slot| slot.analysis.stratum == stratum) {
            let from = match slot.analysis.trigger {
                Trigger::Every(_) => slot.cursor.max(self.first_recent),
                _ => step.first_batch,
            };
            let batches = &self.recent[(from - self.first_recent) as usize..];
            if !slot.is_due(step, batches) {
                continue;
            }
            let view = View {
                now: step.now,
                registry: step.registry,
                batches,
                findings: &self.findings,
                incidents: &self.incidents,
                topology: &self.topology,
                calibration: &self.tuning.calibration,
                slos: self.slos.list(),
                history: step.history,
            };
            (slot.analysis.run)(&view, &slot.params, &mut slot.state, &mut out);
            slot.last_run = Some(step.now);
            slot.cursor = end;
        }
        out
    }

    /// Takes over what a stratum said: findings, edges, derived points. Answers with the findings as they are now.
    fn take_over(&mut self, out: Findings, now: Time, effects: &mut Vec<Effect>) -> Vec<Finding> {
        effects.extend(out.derived.into_iter().map(Effect::Derived));
        // Registered at the end of the step, when nobody reads the directory.
        self.unregistered.extend(out.entities);
        for edge in out.edges {
            Arc::make_mut(&mut self.topology).see(edge.source, edge.target, edge.kind, edge.at, edge.count);
            effects.push(Effect::Edge(edge));
        }
        self.tuning.note(out.near);
        self.slos.take(out.slos);
        let mut taken = Vec::new();
        for finding in out.said {
            if !self.tuning.admits(&finding, self.findings.get(finding.id).is_some(), now) {
                continue;
            }
            let known = said::take_finding(finding, now, &mut self.findings, &mut self.said, effects);
            if let Some(known) = &known {
                self.shelf.findings.insert(known.id, Arc::new(known.clone()));
            }
            taken.extend(known);
        }
        taken
    }

    fn take_changes(&mut self, changes: Vec<Change>, now: Time) {
        let before = self.changes.len();
        let is_new = !changes.is_empty();
        self.changes.extend(changes);
        if is_new {
            self.changes.sort();
            self.changes.dedup();
        }
        self.changes.retain(|change| now.since(change.at) <= DAY);
        // A busy pipeline must not push out the deployment that broke something.
        let mut surplus = self.changes.len().saturating_sub(MAX_CHANGES);
        self.changes.retain(|change| {
            let goes = surplus > 0 && !types::change::can_break(&change.kind);
            surplus -= usize::from(goes);
            !goes
        });
        let surplus = self.changes.len().saturating_sub(MAX_CHANGES);
        self.changes.drain(..surplus);
        if is_new || self.changes.len() != before {
            self.shelf.changes = Arc::new(self.changes.iter().rev().cloned().collect());
        }
    }

    fn journal_commands(&mut self, commands: &[Command], now: Time, effects: &mut Vec<Effect>) {
        for command in commands {
            if let Command::Merge { alias, entity } = command {
                let data = serde_json::json!({ "entity": entity });
                let (kind, subject) = (JournalKind::Merge, alias.to_string());
                effects.push(Effect::Journal(JournalEntry { at: now, kind, subject, data, text: None }));
            }
            let Some((incident, actor, mut data)) = verdict(command) else { continue };
            let known = self.grouper.get(incident).is_some();
            self.counters.ignored_events += u64::from(!known);
            data["known"] = known.into();
            let (kind, subject) = (JournalKind::Verdict, incident.0.clone());
            effects.push(Effect::Journal(JournalEntry { at: now, kind, subject, data, text: actor }));
        }
    }

    fn take_updates(&mut self, updates: Vec<Update>, now: Time, effects: &mut Vec<Effect>) {
        for update in updates {
            let incident = update.incident.clone();
            self.shelf.incidents.insert(incident.id.clone(), Arc::new(incident.clone()));
            match self.incidents.iter_mut().find(|known| known.id == incident.id) {
                Some(known) => *known = incident,
                None => self.incidents.push(incident),
            }
            said::take_update(update, now, effects);
        }
    }

    fn forget(&mut self, now: Time) {
        let kept = self.slots.iter().filter(|slot| matches!(slot.analysis.trigger, Trigger::Every(_)));
        let end = self.first_recent + self.recent.len() as u64;
        let needed = kept.map(|slot| slot.cursor).min().unwrap_or(end).clamp(self.first_recent, end);
        self.recent.drain(..(needed - self.first_recent) as usize);
        self.first_recent = needed;

        self.findings.forget(now.plus(-2 * HOUR));
        // Once a day: an edge lives longer than any row of the log.
        if now.floor(DAY) > self.cut.now.floor(DAY) {
            Arc::make_mut(&mut self.topology).forget(now.plus(-EDGES_FOR_NS));
        }
        let findings = &self.findings;
        self.said.retain(|id, _| findings.get(*id).is_some());
        self.shelf.findings.retain(|id, _| findings.get(*id).is_some());
        if self.incidents.len() != self.grouper.incidents().count() {
            let grouper = &self.grouper;
            self.incidents.retain(|incident| grouper.get(&incident.id).is_some());
            self.shelf.incidents.retain(|id, _| grouper.get(id).is_some());
        }
    }

    /// Publishes the alerts as they are now, each with its incident.
    fn show_alerts(&mut self) {
        let row = |(tenant, fingerprint, known, finding): (&Tenant, u64, &incident::KnownAlert, Option<FindingId>)| {
            AlertRow {
                tenant: tenant.clone(),
                fingerprint: format!("{fingerprint:016x}"),
                alert: known.clone(),
                incident: finding.filter(|_| known.firing).and_then(|id| self.grouper.home_of(id)).cloned(),
            }
        };
        if self.desk.inbox.counts().all.received > 0 {
            self.shelf.alerts = Arc::new(self.desk.inbox.alerts().map(row).collect());
        }
    }

    fn service_rows(&self, registry: &Registry) -> Vec<ServiceRow> {
        let affected = self.grouper.affected();
        let hurting: BTreeMap<(&Tenant, &EntityId), bool> = self
            .findings
            .iter()
            .filter(|f| f.ongoing && f.shape == Shape::Abnormal && f.impact >= 0.4)
            .fold(BTreeMap::new(), |mut map, f| {
                *map.entry((&f.tenant, &f.entity)).or_default() |= f.measure == "silence";
                map
            });
        let row =
            |((tenant, entity), (last_seen, derived)): ((Tenant, EntityId), (Option<Time>, services::Derived))| {
                let [request_rate, error_ratio, latency_ms_p50, latency_ms_p95] = derived.current(self.cut.now);
                let incident = affected.get(&(tenant.clone(), entity.clone())).cloned();
                let state = match (hurting.get(&(&tenant, &entity)), &incident) {
                    (Some(true), _) => ServiceState::Silent,
                    (None, None) => ServiceState::Healthy,
                    _ => ServiceState::Abnormal,
                };
                ServiceRow {
                    tenant,
                    entity,
                    state,
                    request_rate,
                    error_ratio,
                    latency_ms_p50,
                    latency_ms_p95,
                    last_seen,
                    incident,
                }
            };
        self.services.rows(registry).into_iter().map(row).collect()
    }
}

impl Slot {
    /// Whether the trigger says that it runs in this step; notes what comes due later.
    fn is_due(&mut self, step: &Step, batches: &[Arc<Batch>]) -> bool {
        match self.analysis.trigger {
            Trigger::Every(period) => {
                let period = period.max(1);
                let passed = self.last_run.is_none_or(|last| step.now.floor(period) > last.floor(period));
                passed || batches.iter().map(|batch| batch.rows()).sum::<usize>() > MAX_WAITING_ROWS
            }
            Trigger::On(kind) => step.events.iter().any(|(said, _)| said.starts_with(kind)),
            Trigger::After(kind, delay) => {
                let heard = step.events.iter().filter(|(said, _)| said.starts_with(kind));
                self.due.extend(heard.map(|(_, at)| at.plus(delay)));
                let before = self.due.len();
                self.due.retain(|at| *at > step.now);
                self.due.len() < before
            }
        }
    }
}

/// What a person said of an incident: which, who (with the words, where there are some), and the rest as numbers and ids.
fn verdict(command: &Command) -> Option<(&IncidentId, Option<String>, serde_json::Value)> {
    use serde_json::json;
    match command {
        Command::Merge { .. } => None,
        Command::Acknowledge { incident, actor, at } => {
            Some((incident, actor.clone(), json!({ "verdict": "acknowledged", "at": at })))
        }
        Command::Resolve { incident, actor, at, dismissed } => {
            let verdict = if *dismissed { "not_an_incident" } else { "resolved" };
            Some((incident, actor.clone(), json!({ "verdict": verdict, "at": at })))
        }
        Command::Join { incident, into, actor, at } => {
            Some((incident, actor.clone(), json!({ "verdict": "same_incident", "into": into, "at": at })))
        }
        Command::Split { incident, entities, actor, at } => {
            Some((incident, actor.clone(), json!({ "verdict": "split", "entities": entities, "at": at })))
        }
        Command::Note { incident, text, actor, at } => {
            let said = format!("{}: {text}", actor.as_deref().unwrap_or("somebody"));
            Some((incident, Some(said), json!({ "verdict": "note", "at": at })))
        }
    }
}

/// Lays the pages of a later checkpoint over those of the ones before it: what a store keeps, and what
/// [`Engine::restore`] takes.
pub fn lay_over(base: &mut Checkpoint, later: Checkpoint) {
    base.cut = later.cut;
    for (name, (schema, pages)) in later.parts {
        let part = base.parts.entry(name).or_default();
        part.0 = schema;
        part.1.extend(pages);
    }
}

fn newest_number_first(a: &IncidentId, b: &IncidentId) -> std::cmp::Ordering {
    (b.0.len(), &b.0).cmp(&(a.0.len(), &a.0))
}

fn catalogue() -> Vec<&'static Analysis> {
    analyze::catalog::ALL.iter().collect()
}
