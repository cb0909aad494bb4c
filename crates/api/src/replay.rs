//! Any stretch of stored history through the live code: what would have been said, with which settings, and why.
//!
//! A replay is an engine of its own over batches as they were learned, with a copy of the directory, so that nothing
//! of it shows in the live one. It first learns from a stretch before the one asked for, whose conclusions are not
//! shown. Steps are cut every [`STEP_NS`] of history, not where live cut them, so a claim may lie some seconds apart.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use engine::{Effect, Engine, EngineConfig, Rate, Snapshot};
use serde::{Deserialize, Serialize};
use store::{Store, StoreError};
use types::{Batch, EntityId, EntityKey, Finding, FindingId, Incident, IncidentId, Position, SECOND, Shape, Time};
use view::{NearMiss, StepCut};

/// History between two steps.
pub const STEP_NS: i64 = 5 * SECOND;
/// Findings in a report at most, the most surprising; all are counted.
const MOST_FINDINGS: usize = 500;

/// What to replay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// From.
    pub from: Time,
    /// To.
    pub to: Time,
    /// How much history before `from` to learn from, ns.
    pub learn_ns: i64,
    /// Settings by analysis and name, in place of those that run.
    pub settings: BTreeMap<String, BTreeMap<String, f64>>,
    /// False events a week for each service, in place of the budget that runs; 0: no limit.
    pub budget_per_week: Option<f64>,
    /// Only what concerns this entity is reported.
    pub entity: Option<EntityId>,
}

/// What would have been said.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// From.
    pub from: Time,
    /// To.
    pub to: Time,
    /// History that was learned from before.
    pub learned_from: Time,
    /// Rows that were judged, learning included.
    pub rows: u64,
    /// Findings that began in the stretch.
    pub findings_total: usize,
    /// The most surprising of them, in order of start.
    pub findings: Vec<Finding>,
    /// Incidents that opened in the stretch, in order.
    pub incidents: Vec<Incident>,
    /// What was nearly said, newest first.
    pub near: Vec<NearMiss>,
    /// Events a week of each entity, beside the budget.
    pub rates: Vec<Rate>,
    /// What could not be read.
    pub warnings: Vec<String>,
}

/// How far a replay is; shared with who waits for it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Parts in a thousand of the history that were run.
    pub permille: AtomicU64,
    /// Set to end it early.
    pub cancelled: AtomicBool,
}

/// Why a replay gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A setting is unknown or out of its range, or the stretch is empty.
    #[error("{0}")]
    BadPlan(String),
    /// The history could not be read.
    #[error("the history could not be read")]
    Store(#[from] StoreError),
    /// Somebody ended it.
    #[error("the replay was cancelled")]
    Cancelled,
}

/// Runs the plan. Reads files and computes: call it from a thread that may block.
pub fn run(store: &Store, plan: &Plan, progress: &Progress) -> Result<Report, ReplayError> {
    if plan.from >= plan.to {
        return Err(ReplayError::BadPlan("from must lie before to".into()));
    }
    let directory = Arc::new(store.directory().copy());
    let config = EngineConfig { settings: plan.settings.clone(), ..EngineConfig::default() };
    let mut engine = Engine::new(directory.clone(), config).map_err(ReplayError::BadPlan)?;
    let begin = plan.from.plus(-plan.learn_ns.max(0));
    let mut runner =
        Runner { engine: &mut engine, history: store.history(), cut: StepCut::default(), said: Said::default() };
    let budget = plan.budget_per_week.map(|n| {
        let mut batch = Batch { learned: begin, ..Batch::default() };
        batch.events.push(begin.0, EntityKey(0), "detection.budget", &serde_json::json!({ "per_week": n }).to_string());
        batch
    });
    runner.step(begin, budget.into_iter().collect());
    let mut past = store.past(begin, plan.to);
    let mut rows = 0;
    while let Some(stretch) = past.next_stretch()? {
        let mut waiting = stretch.batches.into_iter().peekable();
        while runner.cut.now < stretch.to {
            if progress.cancelled.load(Ordering::Relaxed) {
                return Err(ReplayError::Cancelled);
            }
            let until = runner.cut.now.plus(STEP_NS).min(stretch.to);
            let mut known = Vec::new();
            while let Some(batch) = waiting.next_if(|b| b.learned < until) {
                rows += batch.rows() as u64;
                known.push(without_words(batch));
            }
            runner.step(until, known);
            let done = runner.cut.now.since(begin) as f64 / plan.to.since(begin).max(1) as f64;
            progress.permille.store((done * 1000.0) as u64, Ordering::Relaxed);
        }
    }
    let said = runner.said;
    let warnings = past.warnings();
    Ok(Report { learned_from: begin, rows, warnings, ..report(plan, said, &engine.snapshot()) })
}

/// What of a run concerns the plan's stretch and entity.
fn report(plan: &Plan, said: Said, snapshot: &Snapshot) -> Report {
    let about = |entity: &EntityId| plan.entity.as_ref().is_none_or(|wanted| wanted == entity);
    let mut findings: Vec<Finding> = said.findings.into_values().collect();
    findings.retain(|f| f.start >= plan.from && f.shape != Shape::Cause && about(&f.entity));
    let findings_total = findings.len();
    findings.sort_by(|a, b| b.surprise.total_cmp(&a.surprise).then(a.id.cmp(&b.id)));
    findings.truncate(MOST_FINDINGS);
    findings.sort_by_key(|f| (f.start, f.id));
    let mut incidents: Vec<Incident> = said.incidents.into_values().collect();
    incidents.retain(|i| i.opened_at >= plan.from && i.entities.iter().any(about));
    incidents.sort_by(|a, b| a.opened_at.cmp(&b.opened_at).then_with(|| a.id.cmp(&b.id)));
    Report {
        from: plan.from,
        to: plan.to,
        findings_total,
        findings,
        incidents,
        near: snapshot.near.iter().filter(|n| n.at >= plan.from && about(&n.entity)).cloned().collect(),
        rates: snapshot.rates.iter().filter(|r| about(&r.entity)).cloned().collect(),
        ..Report::default()
    }
}

/// What people said then was about incidents of then: it says nothing of a replay's own. Settings said then are
/// replaced by the plan's.
fn without_words(mut batch: Batch) -> Batch {
    let events = std::mem::take(&mut batch.events);
    for i in 0..events.len() {
        let kind = events.kind.get(i);
        if !kind.starts_with("incident.") && !kind.starts_with("detection.") {
            batch.events.push(events.time[i], events.entity[i], kind, events.attributes.get(i));
        }
    }
    batch
}

struct Runner<'a> {
    engine: &'a mut Engine,
    history: store::StoreHistory,
    cut: StepCut,
    said: Said,
}

#[derive(Default)]
struct Said {
    findings: BTreeMap<FindingId, Finding>,
    incidents: BTreeMap<IncidentId, Incident>,
}

impl Runner<'_> {
    fn step(&mut self, now: Time, batches: Vec<Batch>) {
        let mut position = self.cut.position.0;
        let mut numbered = Vec::with_capacity(batches.len());
        for batch in batches.into_iter().filter(|b| b.rows() > 0) {
            position += 1;
            numbered.push((Position(position), Arc::new(batch)));
        }
        self.cut = StepCut { step: self.cut.step + 1, now, position: Position(position) };
        for effect in self.engine.step(self.cut, numbered, &self.history) {
            match effect {
                Effect::Finding(finding) => {
                    self.said.findings.insert(finding.id, finding);
                }
                Effect::Incident(incident) => {
                    self.said.incidents.insert(incident.id.clone(), incident);
                }
                _ => {}
            }
        }
    }
}
