//! The one signature, and what an analysis may put out.

use std::collections::BTreeMap;

use types::{EdgeKind, EntityKey, Finding, SloStatus, Tenant, Time};

use crate::{NearMiss, State, View};

/// One capability: listed once in the catalogue of `analyze`, where its code, docs and tests are one file.
pub struct Analysis {
    /// Name in findings, settings and docs, snake case.
    pub name: &'static str,
    /// Raised whenever its verdicts may differ from before.
    pub version: u32,
    /// One sentence.
    pub summary: &'static str,
    /// When in a step it runs.
    pub stratum: Stratum,
    /// What makes it run.
    pub trigger: Trigger,
    /// Its settings with their defaults.
    pub params: &'static [Param],
    /// A fresh state.
    pub new_state: fn(&Params) -> State,
    /// The analysis itself.
    pub run: fn(&View, &Params, &mut State, &mut Findings),
}

/// Order within a step: each stratum sees what the earlier ones said in this step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stratum {
    /// Observations to findings.
    Detect,
    /// Incidents to causes (incidents are grouped between these two strata).
    Cause,
}

/// What makes an analysis run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// At every step whose time has passed the next multiple of this many nanoseconds.
    Every(i64),
    /// In a step that takes in an event whose kind starts with this.
    On(&'static str),
    /// So many nanoseconds after an event whose kind starts with this.
    After(&'static str, i64),
}

/// One setting of an analysis.
pub struct Param {
    /// Name with its unit last, e.g. `window_s`.
    pub name: &'static str,
    /// Used where nothing is said.
    pub default: f64,
    /// Smallest and largest allowed value.
    pub range: (f64, f64),
    /// One sentence: what it does and why the default.
    pub summary: &'static str,
}

/// Settings as resolved: every name of the analysis has a value in its range.
#[derive(Clone, Debug, Default)]
pub struct Params(BTreeMap<&'static str, f64>);

impl Params {
    /// The defaults.
    pub fn defaults(params: &[Param]) -> Params {
        Params(params.iter().map(|p| (p.name, p.default)).collect())
    }

    /// The defaults with what was said in their place. Errors name the key and what is allowed.
    pub fn resolve(params: &[Param], said: &BTreeMap<String, f64>) -> Result<Params, String> {
        let mut resolved = Params::defaults(params);
        for (name, value) in said {
            let Some(param) = params.iter().find(|p| p.name == name) else {
                let known: Vec<_> = params.iter().map(|p| p.name).collect();
                return Err(format!("unknown setting {name:?}; known: {}", known.join(", ")));
            };
            let (low, high) = param.range;
            if !(low..=high).contains(value) {
                return Err(format!("{name} = {value} is outside {low}..={high}"));
            }
            resolved.0.insert(param.name, *value);
        }
        Ok(resolved)
    }

    /// The value of a setting that the analysis declares.
    ///
    /// # Panics
    /// Where the analysis asks for a name it did not declare: a mistake in the analysis, found by its shared checks.
    pub fn get(&self, name: &str) -> f64 {
        self.0[name]
    }
}

/// A point of a series that an analysis derived (request rate of a service …), to be stored and charted.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivedSample {
    /// Whose tenant.
    pub tenant: Tenant,
    /// Whose series.
    pub entity: EntityKey,
    /// Metric name, starts with `bellwether.`.
    pub metric: &'static str,
    /// Labels that set it apart, e.g. the target of an edge; usually none.
    pub labels: Vec<(&'static str, String)>,
    /// When.
    pub time: Time,
    /// Value in the metric's unit.
    pub value: f64,
}

/// An edge of the service map that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenEdge {
    /// Who needs.
    pub source: EntityKey,
    /// What is needed.
    pub target: EntityKey,
    /// How.
    pub kind: EdgeKind,
    /// Last time it was seen.
    pub at: Time,
    /// How often since it was last said.
    pub count: u64,
}

/// What an analysis says.
#[derive(Default)]
pub struct Findings {
    /// Claims; one with a known id updates the known one.
    pub said: Vec<Finding>,
    /// Points to store.
    pub derived: Vec<DerivedSample>,
    /// Edges to add to the map.
    pub edges: Vec<SeenEdge>,
    /// How objectives stand, those that were looked at.
    pub slos: Vec<SloStatus>,
    /// What was nearly said, with the condition that was not met.
    pub near: Vec<NearMiss>,
    /// Entities that were seen only through others (a database that sends nothing itself) and have no number yet.
    pub entities: Vec<types::EntityId>,
}

impl Findings {
    /// Says a claim; its id is computed here.
    pub fn say(&mut self, mut finding: Finding) {
        finding.id = finding.compute_id();
        finding.belief = finding.belief.clamp(0.0, 1.0);
        self.said.push(finding);
    }
}
