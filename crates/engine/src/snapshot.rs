//! What is published after each step: every read of incidents, findings, services and map is served from it.

use std::{collections::BTreeMap, sync::Arc};

use incident::{Change, InboxTally, KnownAlert, Route, Silence, route::RouterCounts};
use serde::{Deserialize, Serialize};
use view::{Correction, NearMiss};

use crate::{budget::Rate, slos::SloRow};
use types::{Edge, EdgeKind, EntityId, Finding, Incident, IncidentId, Position, Registry, Tenant, Time, Topology};

/// The engine's conclusions after one step. Cheap to build and to clone: what is large is shared.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// The `now` of the step.
    pub now: Time,
    /// Number of the step; 0 before the first.
    pub step: u64,
    /// The last batch of the log that was taken in.
    pub position: Position,
    /// Incidents of all tenants (also `_self`) that are not resolved or were opened recently, newest first.
    pub incidents: Vec<Arc<Incident>>,
    /// Findings of all tenants that go on or ended in the last two hours, newest start first, at most 1000.
    pub findings: Vec<Arc<Finding>>,
    /// The service map as it is now, in order of its names.
    pub edges: Arc<Vec<MapEdge>>,
    /// The map over time, see [`Snapshot::map_during`].
    #[serde(skip)]
    pub topology: Arc<Topology>,
    /// One row for each service (and whatever else answers requests), in order of tenant and name.
    pub services: Arc<Vec<ServiceRow>>,
    /// Changes of the last 24 hours, newest first, at most 1000.
    pub changes: Arc<Vec<Change>>,
    /// False events a week for each entity at most; `None`: no limit.
    pub budget_per_week: Option<f64>,
    /// How many events are said of each entity, beside the budget; in order of tenant and name.
    pub rates: Arc<Vec<Rate>>,
    /// What people said of earlier claims, and how far it moved the level that a claim needs.
    pub corrections: Arc<Vec<Correction>>,
    /// What was nearly said, newest first, at most 200.
    pub near: Arc<Vec<NearMiss>>,
    /// Alerts of other programs that fire or did in the last day; in order of tenant and fingerprint.
    pub alerts: Arc<Vec<AlertRow>>,
    /// What became of all alerts that came in.
    pub inbox: InboxTally,
    /// Silences that hold, will, or did in the last week.
    pub silences: Arc<Vec<Silence>>,
    /// Who is told of which incidents.
    pub routes: Arc<Vec<Route>>,
    /// How many notices were decided.
    pub told: RouterCounts,
    /// Service level objectives and how they stand, in order of tenant and name.
    pub slos: Arc<Vec<SloRow>>,
    /// What was counted since the data folder was made.
    pub counters: Counters,
}

impl Snapshot {
    /// The map as it was at any time from `from` to `to`, in order of its names: what an incident of last week is shown
    /// with.
    pub fn map_during(&self, registry: &Registry, from: Time, to: Time) -> Vec<MapEdge> {
        named_edges(&self.topology, registry, from, to)
    }
}

pub(crate) fn named_edges(topology: &Topology, registry: &Registry, from: Time, to: Time) -> Vec<MapEdge> {
    let named = topology.during(from, to).filter_map(|((source, target, kind), edge)| {
        let (source, target) = (registry.entity_id(source)?.clone(), registry.entity_id(target)?.clone());
        Some(MapEdge { source, target, kind, edge: *edge })
    });
    let mut edges: Vec<MapEdge> = named.collect();
    edges.sort_by(|a, b| (&a.source, &a.target, a.kind).cmp(&(&b.source, &b.target, b.kind)));
    edges
}

/// An alert of another program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertRow {
    /// Whose.
    pub tenant: Tenant,
    /// Sixteen hexadecimal digits: the hash of its labels.
    pub fingerprint: String,
    /// The alert.
    #[serde(flatten)]
    pub alert: KnownAlert,
    /// The incident that it is part of.
    pub incident: Option<IncidentId>,
}

/// One edge of the map with names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MapEdge {
    /// Who needs.
    pub source: EntityId,
    /// What is needed.
    pub target: EntityId,
    /// How.
    pub kind: EdgeKind,
    /// When and how often it was seen.
    #[serde(flatten)]
    pub edge: Edge,
}

/// How a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Nothing that hurts is known.
    Healthy,
    /// It is part of an incident that is not resolved, or a finding that hurts goes on.
    Abnormal,
    /// It should send and does not.
    Silent,
}

/// One row of the service table. Numbers are those last derived from spans, missing where there are none or the last
/// is older than five minutes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceRow {
    /// Whose.
    pub tenant: Tenant,
    /// Which.
    pub entity: EntityId,
    /// How it is.
    pub state: ServiceState,
    /// Requests a second.
    pub request_rate: Option<f64>,
    /// Share of requests that failed, 0..=1.
    pub error_ratio: Option<f64>,
    /// Middle latency in milliseconds.
    pub latency_ms_p50: Option<f64>,
    /// 95th percentile of latency in milliseconds.
    pub latency_ms_p95: Option<f64>,
    /// When anything of it was last seen (its own time).
    pub last_seen: Option<Time>,
    /// The incident that it is part of.
    pub incident: Option<IncidentId>,
}

/// What was counted since the data folder was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Rows that came more than five minutes late: stored, not judged. Marked backfill does not count.
    pub late_rows: u64,
    /// Rows that lay in the future when they came and were held back until their time.
    pub held_back_rows: u64,
    /// Rows that are held back now.
    pub held_back_now: u64,
    /// Rows that lay in the future when too many were held back already: stored, never judged.
    pub unjudged_rows: u64,
    /// Events of people or merges that named nothing known, or could not be read.
    pub ignored_events: u64,
    /// Rows taken in, by tenant; what Bellwether derived itself is not counted.
    pub rows: BTreeMap<String, RowCounts>,
}

/// Rows taken in, by signal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Metric points.
    pub samples: u64,
    /// Log lines.
    pub records: u64,
    /// Spans.
    pub spans: u64,
    /// Events.
    pub events: u64,
}
