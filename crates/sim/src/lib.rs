//! A seeded world of services with known faults that drives the engine without IO.
//!
//! [`run`] builds a system from a seed (services that call each other, instances, databases, a load that swings every
//! ten minutes, metrics, logs and traces with noise), breaks it at times and places that the seed chooses, feeds all
//! of it to [`engine::Engine::step`] and compares what was concluded with what was done. The same seed and the same
//! program give the same journal to the byte, so a seed and a version replay any failure.

mod random;
mod report;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use engine::{Effect, Engine, EngineConfig, lay_over};
use serde::Serialize;
use types::{CauseKind, EntityId, Incident, IncidentId, MINUTE, Position, SECOND, Tenant, Time};
use view::{MemoryHistory, StepCut};

pub use report::{FaultReport, SimReport};

use random::Random;
use world::World;

/// When a world begins: a plain moment, so that reports are easy to read.
pub const START: Time = Time(1_767_268_800 * SECOND);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// A service that others call takes long.
    SlowDependency,
    /// A service fails a share of its requests.
    ErrorBurst,
    /// A new version, announced, that fails.
    BadDeployment,
    /// Memory grows until it hurts.
    MemoryLeak,
    /// A disk fills up, then writes fail.
    FullDisk,
    /// One instance is gone.
    LostInstance,
    /// Error lines by the hundred, though nothing fails.
    LogStorm,
    /// Four times the requests.
    TrafficSurge,
    /// A database, which sends nothing itself, takes long.
    SlowDatabase,
}

impl FaultKind {
    /// All of them: the seven of the demo and two more.
    pub const ALL: [FaultKind; 9] = [
        FaultKind::SlowDependency,
        FaultKind::ErrorBurst,
        FaultKind::BadDeployment,
        FaultKind::MemoryLeak,
        FaultKind::FullDisk,
        FaultKind::LostInstance,
        FaultKind::LogStorm,
        FaultKind::TrafficSurge,
        FaultKind::SlowDatabase,
    ];

    /// Kinds of cause that are right for it.
    pub fn right_causes(self) -> &'static [CauseKind] {
        match self {
            FaultKind::SlowDependency => &[CauseKind::Dependency, CauseKind::Software],
            FaultKind::ErrorBurst | FaultKind::LogStorm => &[CauseKind::Software],
            FaultKind::BadDeployment => &[CauseKind::Change],
            FaultKind::MemoryLeak | FaultKind::FullDisk => &[CauseKind::Resource],
            FaultKind::LostInstance => &[CauseKind::Host, CauseKind::Software],
            FaultKind::TrafficSurge => &[CauseKind::Traffic],
            FaultKind::SlowDatabase => &[CauseKind::Dependency, CauseKind::External],
        }
    }
}

/// One fault as it will be: what, where, when.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// Where: number of the service in the world (of the calling service, for a database).
    pub service: usize,
    /// From when.
    pub at: Time,
    /// Until when.
    pub until: Time,
}

/// What to simulate.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// The world, its noise and its faults follow from it.
    pub seed: u64,
    /// How long the world lives, in minutes of its own time.
    pub minutes: u32,
    /// How many services it has, 3..=40.
    pub services: usize,
    /// Kinds of faults to switch on, one after the other in an order that the seed chooses, each for
    /// [`FAULT_MINUTES`] with as long a pause between them. Empty: a healthy world. What does not fit into `minutes`
    /// is left out.
    pub faults: Vec<FaultKind>,
    /// Save the engine and load it again at about so many steps in a hundred, 0..=100.
    pub restart_percent: u64,
    /// Requests a second at the entry, on the average.
    pub requests_per_s: f64,
    /// Faults come two at a time, at different services, half a minute after a harmless deployment at a third was told
    /// of: pairs of the kinds in an order that the seed chooses, with three times the pause.
    pub pairs: bool,
    /// Neither spans nor lines are sent, but what a mesh counts of the calls between services.
    pub metrics_only: bool,
}

/// How long the world is healthy before the first fault, in minutes.
pub const WARM_UP_MINUTES: u32 = 15;
/// How long a fault lasts, and the pause after it.
pub const FAULT_MINUTES: u32 = 5;

impl Default for SimConfig {
    fn default() -> SimConfig {
        SimConfig {
            seed: 1,
            minutes: WARM_UP_MINUTES + 2 * FAULT_MINUTES * FaultKind::ALL.len() as u32,
            services: 10,
            faults: FaultKind::ALL.to_vec(),
            restart_percent: 0,
            requests_per_s: 6.0,
            pairs: false,
            metrics_only: false,
        }
    }
}

/// Seconds between two steps.
const STEP_S: i64 = 5;

/// Lives through one world. Errors are those of [`Engine::new`].
pub fn run(config: &SimConfig) -> Result<SimReport, String> {
    run_with(config, &|| EngineConfig::default())
}

/// The same with another engine configuration, made anew for each start of the engine.
pub fn run_with(config: &SimConfig, engine_config: &dyn Fn() -> EngineConfig) -> Result<SimReport, String> {
    let mut world = World::new(config);
    let mut engine = Engine::new(world.directory.clone(), engine_config())?;
    let mut restarts = Random::new(config.seed ^ 0x5eed);
    let mut kept = engine.checkpoint(true);
    let mut history = MemoryHistory::default();
    let mut watch = Watch::new(&world.faults);
    let mut digest = Digest::default();
    let steps = i64::from(config.minutes) * 60 / STEP_S;
    for step in 1..=steps {
        let now = START.plus(step * STEP_S * SECOND);
        let batch = Arc::new(world.live_until(now));
        history.batches.push(batch.clone());
        let cut = StepCut { step: step as u64, now, position: Position(step as u64) };
        let effects = engine.step(cut, vec![(cut.position, batch)], &history);
        for effect in &effects {
            match effect {
                Effect::Journal(entry) => {
                    digest.add(serde_json::to_string(entry).unwrap_or_default().as_bytes());
                    if entry.data["what"] == "opened" || entry.data["what"] == "reopened" {
                        watch.opened.push((now, IncidentId(entry.subject.clone())));
                    }
                }
                Effect::Incident(incident) => {
                    watch.incidents.insert(incident.id.clone(), incident.clone());
                }
                _ => {}
            }
        }
        watch.look(&world, now);
        if restarts.below(100) < config.restart_percent {
            lay_over(&mut kept, engine.checkpoint(false));
            engine = Engine::restore(world.directory.clone(), engine_config(), kept.clone())?;
        }
    }
    let counters = engine.snapshot().counters;
    Ok(watch.report(config, &world, digest.hex(), counters))
}

/// Compares what was concluded with what was done.
#[derive(Default)]
struct Watch {
    incidents: BTreeMap<IncidentId, Incident>,
    /// When incidents opened or came back.
    opened: Vec<(Time, IncidentId)>,
    /// For each fault: rank and kind of its cause after two minutes, and at its end.
    looks: Vec<[Option<Named>; 2]>,
    /// Harmless deployments that stood first among the causes of an incident, and how it came.
    blamed: BTreeMap<String, String>,
}

/// Whether and how the true cause was named.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Named {
    /// 1 is first; 0 where it was not named.
    rank: usize,
    kind_ok: bool,
    undecided: bool,
}

impl Watch {
    fn new(faults: &[Fault]) -> Watch {
        Watch { looks: vec![[None; 2]; faults.len()], ..Watch::default() }
    }

    fn look(&mut self, world: &World, now: Time) {
        for (i, fault) in world.faults.iter().enumerate() {
            for (which, when) in [fault.at.plus(2 * MINUTE), fault.until].into_iter().enumerate() {
                if now >= when && self.looks[i][which].is_none() {
                    self.looks[i][which] = Some(self.named(world, fault));
                }
            }
        }
        for (at, decoy) in &world.decoys {
            let is_lately = |opened: &Time| *opened >= *at && now.since(*at) < i64::from(FAULT_MINUTES) * MINUTE;
            for (opened, incident) in &self.opened {
                let Some(incident) = self.incidents.get(incident).filter(|i| is_lately(opened) && !i.undecided) else {
                    continue;
                };
                if incident.causes.first().is_some_and(|cause| cause.entity == *decoy) {
                    let name = format!("{} by {}", decoy.name(), incident.id.0);
                    let how = || format!("{} s after: {}", now.since(*at) / SECOND, causes_of(incident).join(", "));
                    self.blamed.entry(name).or_insert_with(how);
                }
            }
        }
    }

    /// Incidents that opened while a fault was on, or soon after: of two at once those that name its place before the
    /// other's.
    fn of_fault(&self, world: &World, fault: &Fault) -> Vec<(Time, &Incident)> {
        let in_time = |t: &Time| *t >= fault.at && *t <= fault.until.plus(2 * MINUTE);
        let incidents = self.opened.iter().filter(|(t, _)| in_time(t));
        let mut found: Vec<(Time, &Incident)> =
            incidents.filter_map(|(t, id)| Some((*t, self.incidents.get(id)?))).collect();
        found.retain(|(_, incident)| incident.tenant == Tenant::default());
        for other in world.faults.iter().filter(|other| other.at == fault.at && *other != fault) {
            found.retain(|(_, incident)| {
                let (own, others) = (world.rank(fault, incident), world.rank(other, incident));
                own.is_some_and(|own| others.is_none_or(|others| own < others))
            });
        }
        found
    }

    fn named(&self, world: &World, fault: &Fault) -> Named {
        let of_one = |incident: &Incident| {
            let rank = world.rank(fault, incident);
            let kind_ok = rank.is_some_and(|r| fault.kind.right_causes().contains(&incident.causes[r].kind));
            Named { rank: rank.map_or(0, |r| r + 1), kind_ok, undecided: incident.undecided }
        };
        let all = self.of_fault(world, fault).into_iter().map(|(_, incident)| of_one(incident)).filter(|n| n.rank > 0);
        all.min_by_key(|named| named.rank).unwrap_or(Named { rank: 0, kind_ok: false, undecided: true })
    }

    fn report(self, config: &SimConfig, world: &World, journal: String, counters: engine::Counters) -> SimReport {
        let mut faults = Vec::new();
        let mut explained: Vec<(Time, IncidentId)> = Vec::new();
        for (fault, looks) in world.faults.iter().zip(&self.looks) {
            let mine = self.of_fault(world, fault);
            explained.extend(mine.iter().map(|(t, incident)| (*t, incident.id.clone())));
            let [early, late] = looks.map(|look| look.unwrap_or(Named { rank: 0, kind_ok: false, undecided: true }));
            let truth: Vec<EntityId> = world.truth(fault);
            let ids: BTreeSet<&IncidentId> = mine.iter().map(|(_, incident)| &incident.id).collect();
            faults.push(FaultReport {
                kind: fault.kind,
                entity: truth[0].clone(),
                at_s: fault.at.since(START) / SECOND,
                found_after_s: mine.first().map(|(t, _)| t.since(fault.at) / SECOND),
                named_rank_2min: early.rank,
                kind_ok_2min: early.kind_ok,
                named_rank: late.rank,
                kind_ok: late.kind_ok,
                undecided: late.undecided,
                incidents: ids.len(),
                title: mine.first().map(|(_, incident)| incident.title.clone()).unwrap_or_default(),
                causes: mine.first().map(|(_, incident)| causes_of(incident)).unwrap_or_default(),
            });
        }
        let unexplained = self.opened.iter().filter(|opened| !explained.contains(opened));
        let false_incidents = unexplained.filter_map(|(t, id)| {
            let incident = self.incidents.get(id)?;
            let causes = causes_of(incident).join(", ");
            Some(format!("{}s {}: {} [{causes}]", t.since(START) / SECOND, id.0, incident.summary))
        });
        SimReport {
            seed: config.seed,
            minutes: config.minutes,
            services: config.services,
            faults,
            false_incidents: false_incidents.collect(),
            blamed: self.blamed.into_iter().map(|(name, how)| format!("{name} {how}")).collect(),
            journal_digest: journal,
            rows: counters.rows.values().map(|c| c.samples + c.records + c.spans + c.events).sum(),
        }
    }
}

/// The best three causes in short.
fn causes_of(incident: &Incident) -> Vec<String> {
    let name = |c: &types::Cause| format!("{} {:?} {:.2}", c.entity.name(), c.kind, c.belief);
    incident.causes.iter().take(3).map(name).collect()
}

/// FNV-1a over all journal lines, twice with different starts: 128 bits.
#[derive(Clone, Copy)]
struct Digest(u64, u64);

impl Default for Digest {
    fn default() -> Digest {
        Digest(0xcbf2_9ce4_8422_2325, 0x6c62_272e_07bb_0142)
    }
}

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().chain(b"\n") {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            self.1 = (self.1 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(5);
        }
    }

    fn hex(self) -> String {
        format!("{:016x}{:016x}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests;
