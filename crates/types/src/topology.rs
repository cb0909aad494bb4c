//! Who calls or runs on whom, now and earlier.
//!
//! An edge holds while it is seen. Where it is not seen for longer than [`fade_ns`] it has ended; seen again later it
//! begins anew. So the map answers for any moment, and an incident of last week is explained with the map of last week.
//! An edge keeps at most [`MAX_STRETCHES`]: beyond that the shortest pause is forgotten, that is, the edge is taken to
//! have held in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{DAY, EntityKey, HOUR, Time};

/// Most stretches of one edge.
pub const MAX_STRETCHES: usize = 32;

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

/// For how long (ns) after it was last seen an edge still counts. Calls of a nightly job come once a day; what runs
/// somewhere says so all the time, and pods come and go.
pub fn fade_ns(kind: EdgeKind) -> i64 {
    match kind {
        EdgeKind::Calls => DAY + 2 * HOUR,
        EdgeKind::RunsOn => 6 * HOUR,
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

/// Source, target and kind of an edge.
pub type EdgeKey = (EntityKey, EntityKey, EdgeKind);

/// A span of time in which an edge was seen without a long pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// First time it was seen.
    pub from: Time,
    /// Last time it was seen.
    pub to: Time,
}

/// The graph, in order of its keys, so that walking it is deterministic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Edges by source, target and kind.
    pub edges: BTreeMap<EdgeKey, Edge>,
    /// Stretches of those edges that paused, at least two each, in order of time; all others held from their
    /// `first_seen` to their `last_seen`.
    pub pauses: BTreeMap<EdgeKey, Vec<Stretch>>,
    /// Edges that people say are there: they hold, seen or not, until they are no longer said.
    pub declared: BTreeSet<EdgeKey>,
}

impl Topology {
    /// Notes that an edge was seen `count` times, last at `at`.
    pub fn see(&mut self, source: EntityKey, target: EntityKey, kind: EdgeKind, at: Time, count: u64) {
        let key = (source, target, kind);
        let Some(edge) = self.edges.get_mut(&key) else {
            self.edges.insert(key, Edge { first_seen: at, last_seen: at, count });
            return;
        };
        // What is declared held all the while, seen or not.
        let fade = if self.declared.contains(&key) { i64::MAX } else { fade_ns(kind) };
        let pauses = at.since(edge.last_seen) > fade || edge.first_seen.since(at) > fade_ns(kind);
        if pauses || self.pauses.contains_key(&key) {
            let whole = Stretch { from: edge.first_seen, to: edge.last_seen };
            let stretches = self.pauses.entry(key).or_insert_with(|| vec![whole]);
            extend(stretches, at, if at < edge.last_seen { fade_ns(kind) } else { fade });
            if stretches.len() < 2 {
                self.pauses.remove(&key);
            }
        }
        edge.first_seen = edge.first_seen.min(at);
        edge.last_seen = edge.last_seen.max(at);
        edge.count = edge.count.saturating_add(count);
    }

    /// Says which edges hold from `at` on, seen or not, in place of those that were said before.
    pub fn declare(&mut self, edges: BTreeSet<EdgeKey>, at: Time) {
        // What is said no more held until now.
        let before = std::mem::take(&mut self.declared);
        for key in before.iter().filter(|key| !edges.contains(*key)) {
            self.hold(key, at);
        }
        for key in &edges {
            match before.contains(key) {
                true => self.hold(key, at),
                false => self.see(key.0, key.1, key.2, at, 0),
            }
        }
        self.declared = edges;
    }

    /// Lengthens the last stretch of an edge up to `at`.
    fn hold(&mut self, key: &EdgeKey, at: Time) {
        if let Some(edge) = self.edges.get_mut(key) {
            edge.last_seen = edge.last_seen.max(at);
        }
        if let Some(last) = self.pauses.get_mut(key).and_then(|stretches| stretches.last_mut()) {
            last.to = last.to.max(at);
        }
    }

    /// The edges as they were known at a moment: seen by then, and not gone for longer than [`fade_ns`].
    pub fn at(&self, moment: Time) -> impl Iterator<Item = (EdgeKey, &Edge)> {
        self.during(moment, moment)
    }

    /// The edges that held at any time from `from` to `to`.
    pub fn during(&self, from: Time, to: Time) -> impl Iterator<Item = (EdgeKey, &Edge)> {
        self.edges.iter().filter(move |(key, edge)| self.held(key, edge, from, to)).map(|(key, edge)| (*key, edge))
    }

    /// The stretches of an edge, oldest first; empty for an edge that is not known.
    pub fn stretches(&self, key: &EdgeKey) -> Vec<Stretch> {
        match (self.pauses.get(key), self.edges.get(key)) {
            (Some(stretches), _) => stretches.clone(),
            (None, Some(edge)) => vec![Stretch { from: edge.first_seen, to: edge.last_seen }],
            (None, None) => Vec::new(),
        }
    }

    /// What `source` needs directly, or ever needed.
    pub fn needs(&self, source: EntityKey) -> impl Iterator<Item = (EntityKey, EdgeKind, &Edge)> {
        self.edges_of(source).map(|((_, target, kind), edge)| (*target, *kind, edge))
    }

    /// What `source` needed directly at any time from `from` to `to`.
    pub fn needs_during(
        &self,
        source: EntityKey,
        from: Time,
        to: Time,
    ) -> impl Iterator<Item = (EntityKey, EdgeKind, &Edge)> {
        let held = self.edges_of(source).filter(move |(key, edge)| self.held(key, edge, from, to));
        held.map(|((_, target, kind), edge)| (*target, *kind, edge))
    }

    /// Who needed `target` directly at any time from `from` to `to`. Cost: a look at every edge.
    pub fn needed_by_during(
        &self,
        target: EntityKey,
        from: Time,
        to: Time,
    ) -> impl Iterator<Item = (EntityKey, EdgeKind, &Edge)> {
        let of_it = self.edges.iter().filter(move |((_, of, _), _)| *of == target);
        let held = of_it.filter(move |(key, edge)| self.held(key, edge, from, to));
        held.map(|((source, _, kind), edge)| (*source, *kind, edge))
    }

    /// Drops edges, and stretches of edges, that ended before `before`.
    pub fn forget(&mut self, before: Time) {
        let declared = &self.declared;
        self.edges.retain(|key, edge| edge.last_seen >= before || declared.contains(key));
        let edges = &mut self.edges;
        self.pauses.retain(|key, stretches| {
            let Some(edge) = edges.get_mut(key) else { return false };
            let last = stretches.last().copied();
            stretches.retain(|stretch| stretch.to >= before || Some(*stretch) == last);
            edge.first_seen = stretches.first().map_or(edge.first_seen, |first| first.from);
            stretches.len() > 1
        });
    }

    fn edges_of(&self, source: EntityKey) -> impl Iterator<Item = (&EdgeKey, &Edge)> {
        let from = (source, EntityKey(0), EdgeKind::Calls);
        let to = (source, EntityKey(u32::MAX), EdgeKind::RunsOn);
        self.edges.range(from..=to)
    }

    fn held(&self, key: &EdgeKey, edge: &Edge, from: Time, to: Time) -> bool {
        let fade = fade_ns(key.2);
        let is_declared = self.declared.contains(key);
        let overlaps = |begin: Time, end: Time| {
            let goes_on = is_declared && end == edge.last_seen;
            begin <= to && (goes_on || from.since(end) <= fade)
        };
        if !overlaps(edge.first_seen, edge.last_seen) {
            return false;
        }
        match self.pauses.get(key) {
            Some(stretches) => stretches.iter().any(|stretch| overlaps(stretch.from, stretch.to)),
            None => true,
        }
    }
}

/// Takes a moment into a list of stretches that lie further apart than `fade`.
fn extend(stretches: &mut Vec<Stretch>, at: Time, fade: i64) {
    let place = stretches.partition_point(|stretch| stretch.from <= at);
    stretches.insert(place, Stretch { from: at, to: at });
    let mut i = place.saturating_sub(1);
    while i + 1 < stretches.len() && i <= place {
        if stretches[i + 1].from.since(stretches[i].to) <= fade {
            let next = stretches.remove(i + 1);
            stretches[i].to = stretches[i].to.max(next.to);
        } else {
            i += 1;
        }
    }
    if stretches.len() > MAX_STRETCHES {
        let pause = |i: &usize| stretches[i + 1].from.since(stretches[*i].to);
        if let Some(shortest) = (0..stretches.len() - 1).min_by_key(pause) {
            let next = stretches.remove(shortest + 1);
            stretches[shortest].to = next.to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: EntityKey = EntityKey(1);
    const B: EntityKey = EntityKey(2);

    fn seen(days: &[i64]) -> Topology {
        let mut map = Topology::default();
        days.iter().for_each(|day| map.see(A, B, EdgeKind::Calls, Time(day * DAY), 1));
        map
    }

    fn days_held(map: &Topology, days: std::ops::Range<i64>) -> Vec<i64> {
        days.filter(|day| map.at(Time(day * DAY)).next().is_some()).collect()
    }

    #[test]
    fn an_edge_holds_while_it_is_seen_and_a_little_longer() {
        let map = seen(&[10, 11, 12, 20, 21]);
        assert_eq!(days_held(&map, 0..30), [10, 11, 12, 13, 20, 21, 22]);
        let key = (A, B, EdgeKind::Calls);
        let stretch = |from: i64, to: i64| Stretch { from: Time(from * DAY), to: Time(to * DAY) };
        assert_eq!(map.stretches(&key), [stretch(10, 12), stretch(20, 21)]);
        assert_eq!(map.edges[&key], Edge { first_seen: Time(10 * DAY), last_seen: Time(21 * DAY), count: 5 });
        assert_eq!(map.needs_during(A, Time(14 * DAY), Time(19 * DAY)).count(), 0);
        assert_eq!(map.needs_during(A, Time(14 * DAY), Time(20 * DAY)).count(), 1);
        assert_eq!(map.needs(A).count(), 1, "whatever was ever seen");
    }

    #[test]
    fn the_order_in_which_it_is_seen_does_not_matter() {
        let expected = seen(&[1, 2, 5, 6, 9]);
        for order in [[9, 5, 1, 2, 6], [6, 9, 2, 1, 5], [1, 9, 2, 5, 6], [5, 1, 9, 6, 2]] {
            assert_eq!(seen(&order), expected, "{order:?}");
        }
        let closed = seen(&[1, 3, 2]);
        assert!(closed.pauses.is_empty(), "what fills a pause joins its sides: {closed:?}");
    }

    #[test]
    fn what_runs_somewhere_fades_sooner() {
        let mut map = Topology::default();
        map.see(A, B, EdgeKind::RunsOn, Time(0), 1);
        assert_eq!((map.at(Time(5 * HOUR)).count(), map.at(Time(7 * HOUR)).count()), (1, 0));
        assert_eq!(map.at(Time(-1)).count(), 0, "nothing is known before it is seen");
    }

    #[test]
    fn stretches_are_capped_by_forgetting_the_shortest_pause() {
        let mut days: Vec<i64> = (0..MAX_STRETCHES as i64).map(|i| i * 10).collect();
        days.push(MAX_STRETCHES as i64 * 10 - 6);
        let map = seen(&days);
        let stretches = &map.pauses[&(A, B, EdgeKind::Calls)];
        assert_eq!(stretches.len(), MAX_STRETCHES);
        assert_eq!(stretches.last().map(|s| s.to.since(s.from)), Some(4 * DAY));
    }

    #[test]
    fn old_stretches_and_edges_are_forgotten() {
        let mut map = seen(&[1, 10, 20]);
        map.see(B, A, EdgeKind::Calls, Time(2 * DAY), 1);
        map.forget(Time(5 * DAY));
        assert_eq!(days_held(&map, 0..30), [10, 11, 20, 21]);
        assert_eq!(map.edges.len(), 1);
        map.forget(Time(15 * DAY));
        assert!(map.pauses.is_empty() && map.edges.len() == 1);
        map.forget(Time(i64::MAX));
        assert_eq!(map, Topology::default());
    }

    #[test]
    fn what_is_declared_holds_until_it_is_said_no_more() {
        let key = (A, B, EdgeKind::Calls);
        let mut map = seen(&[1]);
        map.declare(BTreeSet::from([key]), Time(10 * DAY));
        assert_eq!(days_held(&map, 0..15), [1, 2, 10, 11, 12, 13, 14]);
        map.see(A, B, EdgeKind::Calls, Time(20 * DAY), 3);
        map.declare(BTreeSet::from([key]), Time(25 * DAY));
        map.forget(Time(24 * DAY));
        assert_eq!(map.at(Time(99 * DAY)).count(), 1);
        map.declare(BTreeSet::new(), Time(30 * DAY));
        assert_eq!(days_held(&map, 8..40), (10..32).collect::<Vec<_>>());
        assert_eq!((map.edges[&key].count, map.pauses.len()), (4, 0));
        map.declare(BTreeSet::from([key]), Time(50 * DAY));
        map.declare(BTreeSet::new(), Time(60 * DAY));
        assert_eq!(days_held(&map, 30..70), [30, 31, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61]);
    }

    #[test]
    fn times_at_the_ends_of_the_range_do_no_harm() {
        let mut map = Topology::default();
        for at in [0, i64::MIN, i64::MAX] {
            map.see(A, B, EdgeKind::Calls, Time(at), u64::MAX);
        }
        assert_eq!(map.at(Time(i64::MAX)).count(), 1);
    }
}
