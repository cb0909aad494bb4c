//! Who calls or runs on whom.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{EntityKey, Time};

/// How the source of an edge needs its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeKind {
    /// The source sends requests to the target.
    Calls,
    /// The source runs on the target (service on host, instance on node).
    RunsOn,
}

impl EdgeKind {
    /// The name used in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            EdgeKind::Calls => "calls",
            EdgeKind::RunsOn => "runs_on",
        }
    }
}

/// What is known of one edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// First time it was seen.
    pub first_seen: Time,
    /// Last time it was seen.
    pub last_seen: Time,
    /// How often (calls, or observations).
    pub count: u64,
}

/// The graph, in order of its keys, so that walking it is deterministic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Edges by source, target and kind.
    pub edges: BTreeMap<(EntityKey, EntityKey, EdgeKind), Edge>,
}

impl Topology {
    /// Notes that an edge was seen `count` times, last at `at`.
    pub fn see(&mut self, source: EntityKey, target: EntityKey, kind: EdgeKind, at: Time, count: u64) {
        let edge = self.edges.entry((source, target, kind)).or_insert(Edge { first_seen: at, last_seen: at, count: 0 });
        edge.first_seen = edge.first_seen.min(at);
        edge.last_seen = edge.last_seen.max(at);
        edge.count += count;
    }

    /// What `source` needs directly.
    pub fn needs(&self, source: EntityKey) -> impl Iterator<Item = (EntityKey, EdgeKind, &Edge)> {
        let from = (source, EntityKey(0), EdgeKind::Calls);
        let to = (source, EntityKey(u32::MAX), EdgeKind::RunsOn);
        self.edges.range(from..=to).map(|((_, target, kind), edge)| (*target, *kind, edge))
    }

    /// Who needs `target` directly.
    pub fn needed_by(&self, target: EntityKey) -> impl Iterator<Item = (EntityKey, EdgeKind, &Edge)> {
        self.edges.iter().filter(move |((_, t, _), _)| *t == target).map(|((s, _, kind), edge)| (*s, *kind, edge))
    }
}
