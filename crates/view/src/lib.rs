//! What an analysis may see, and what it may say.
//!
//! An analysis is a function over a [`View`], a snapshot bounded by `now` in both times (happened and learned), with
//! plain-data [`State`] that is its checkpoint and its model. The same function runs live, in a back-test, in the
//! simulator and in tests, and cannot look ahead in any of them.

mod analysis;
mod baseline;
mod calibration;
mod history;
mod state;

pub use analysis::{Analysis, DerivedSample, Findings, Param, Params, SeenEdge, Stratum, Trigger};
pub use baseline::BaselinePolicy;
pub use calibration::{Calibration, Correction, NearMiss};
pub use history::{EventRow, History, MemoryHistory};
pub use state::{Column, Fleet, Pages, State, StateData, load_nodes, save_nodes};

use std::{collections::BTreeMap, sync::Arc};

use types::{Batch, Finding, FindingId, Incident, MINUTE, Position, Registry, Slo, Time, Topology};

/// Where one step ended: recorded, so that a replay cuts where live cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepCut {
    /// Number of the step, from 1.
    pub step: u64,
    /// The `now` it ran with; never falls from step to step.
    pub now: Time,
    /// The last batch of the log it took in.
    pub position: Position,
}

/// The engine's whole state after a step, or those pages of it that changed since the last checkpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint {
    /// The step after which it was taken.
    pub cut: StepCut,
    /// For each part (an analysis' name, or `engine`): schema version and pages.
    pub parts: BTreeMap<String, (u32, Pages)>,
}

/// Data older than this on arrival is stored and counted but does not change a score already given.
pub const LATENESS_NS: i64 = 5 * MINUTE;

/// A snapshot bounded by `now`. Everything in it happened and was learned at or before `now`.
pub struct View<'a> {
    /// The moment of this step.
    pub now: Time,
    /// What the dense ids in the batches mean.
    pub registry: &'a Registry,
    /// What is new since this analysis last ran, in order of the log. Rows that lie in the future of `now` are held
    /// back by the engine until their time has come; rows of `_self` are included (look at `batch.tenant`).
    pub batches: &'a [Arc<Batch>],
    /// Findings said before: all strata of earlier steps, earlier strata of this one.
    pub findings: &'a FindingLog,
    /// Incidents that are not resolved, or were resolved in the last hour.
    pub incidents: &'a [Incident],
    /// The service map so far.
    pub topology: &'a Topology,
    /// What people said of earlier claims: how much more or less surprise a claim needs.
    pub calibration: &'a Calibration,
    /// What people promised of services, in order of tenant and name.
    pub slos: &'a [Slo],
    /// What happened earlier, on demand. Costs IO when live; only for incidents and fits.
    pub history: &'a dyn History,
}

impl View<'_> {
    /// Whether a row that happened at `time` comes too late to be judged.
    pub fn is_late(&self, time: i64) -> bool {
        self.now.0.saturating_sub(time) > LATENESS_NS
    }
}

/// The findings of the recent past, by id. The engine keeps those that go on or ended in the last two hours.
#[derive(Clone, Debug, Default)]
pub struct FindingLog {
    by_id: BTreeMap<FindingId, Finding>,
}

impl FindingLog {
    /// Adds a finding or updates the one with the same id (`start`, `learned` stay what was first said; the score
    /// first said stays too unless the new one is higher while the finding is ongoing). Returns whether it is new.
    pub fn say(&mut self, finding: Finding) -> bool {
        match self.by_id.get_mut(&finding.id) {
            None => {
                self.by_id.insert(finding.id, finding);
                true
            }
            Some(known) => {
                let learned = known.learned;
                let end = known.end.max(finding.end);
                if finding.surprise >= known.surprise {
                    *known = Finding { learned, end, ..finding };
                } else {
                    known.end = end;
                    known.ongoing = finding.ongoing;
                }
                false
            }
        }
    }

    /// One finding.
    pub fn get(&self, id: FindingId) -> Option<&Finding> {
        self.by_id.get(&id)
    }

    /// All, in order of id.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.by_id.values()
    }

    /// Drops what ended before `before`; what goes on stays.
    pub fn forget(&mut self, before: Time) {
        self.by_id.retain(|_, f| f.ongoing || f.end >= before);
    }
}
