//! Which entities are near enough to share a cause.
//!
//! Trouble travels along dependencies, mostly from what is called to who calls. So two entities are related when one
//! needs the other, directly or over one in between (at most two hops, calls and runs-on alike), or when both call the
//! same third one, which may itself be dark (a router that is down says nothing; those who call it do). Two entities
//! that merely share a caller, or run on the same machine, are not: a frontend calls everything, and a machine that
//! is to blame has findings of its own, which relate to both.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use types::{EdgeKind, EntityId, EntityKey, Registry, Time, Topology};

/// Entities near one, with the number of hops.
pub type Near = Rc<BTreeMap<EntityId, u32>>;

/// The service map with names, walked in both directions. Built once a step where it is needed.
pub struct Neighbourhood<'a> {
    registry: &'a Registry,
    needs: BTreeMap<EntityKey, Vec<(EntityKey, EdgeKind)>>,
    needed_by: BTreeMap<EntityKey, Vec<(EntityKey, EdgeKind)>>,
    near: RefCell<BTreeMap<EntityId, Near>>,
    all_needs: RefCell<BTreeMap<EntityId, Near>>,
}

/// How far needs are followed.
const NEED_HOPS: u32 = 5;

impl<'a> Neighbourhood<'a> {
    /// Takes the map as it is at `now`.
    pub fn new(registry: &'a Registry, topology: &Topology, now: Time) -> Neighbourhood<'a> {
        let mut needs: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut needed_by: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for ((source, target, kind), _) in topology.at(now).filter(|((s, t, _), _)| s != t) {
            needs.entry(source).or_default().push((target, kind));
            needed_by.entry(target).or_default().push((source, kind));
        }
        Neighbourhood { registry, needs, needed_by, near: RefCell::default(), all_needs: RefCell::default() }
    }

    /// Hops between two entities: 0 for the same, 1 or 2 for related ones, `None` for others.
    pub fn hops(&self, a: &EntityId, b: &EntityId) -> Option<u32> {
        if a == b {
            return Some(0);
        }
        self.near(a).get(b).copied()
    }

    /// Whether one needs the other, directly or over one in between.
    pub fn needs(&self, user: &EntityId, needed: &EntityId) -> bool {
        let (Some(user), Some(needed)) = (self.registry.find_entity(user), self.registry.find_entity(needed)) else {
            return false;
        };
        let direct = |of: EntityKey| self.needs.get(&of).into_iter().flatten().map(|(key, _)| *key);
        direct(user).any(|key| key == needed || direct(key).any(|key| key == needed))
    }

    /// Everything that an entity needs, directly or over up to four others, with hops.
    pub fn all_needs(&self, entity: &EntityId) -> Near {
        if let Some(known) = self.all_needs.borrow().get(entity) {
            return known.clone();
        }
        let mut found = BTreeMap::new();
        let mut edge: Vec<EntityKey> = self.registry.find_entity(entity).into_iter().collect();
        let mut seen: std::collections::BTreeSet<EntityKey> = edge.iter().copied().collect();
        for hops in 1..=NEED_HOPS {
            let mut next = Vec::new();
            for key in edge {
                for (target, _) in self.needs.get(&key).into_iter().flatten() {
                    if seen.insert(*target) {
                        next.push(*target);
                        found.extend(self.registry.entity_id(*target).cloned().map(|id| (id, hops)));
                    }
                }
            }
            edge = next;
        }
        let found = Rc::new(found);
        self.all_needs.borrow_mut().insert(entity.clone(), found.clone());
        found
    }

    /// What two entities both call directly.
    pub fn called_by_both(&self, a: &EntityId, b: &EntityId) -> impl Iterator<Item = EntityId> {
        self.shared(a, b, |kind| kind == EdgeKind::Calls).filter_map(|key| self.registry.entity_id(key).cloned())
    }

    /// Whether two entities need the same third one directly: they call it or run on it.
    pub fn share_a_need(&self, a: &EntityId, b: &EntityId) -> bool {
        self.shared(a, b, |_| true).next().is_some()
    }

    fn shared(&self, a: &EntityId, b: &EntityId, counts: fn(EdgeKind) -> bool) -> impl Iterator<Item = EntityKey> {
        let of = move |entity: &EntityId| {
            let needs = self.registry.find_entity(entity).and_then(|key| self.needs.get(&key));
            needs.into_iter().flatten().filter(move |(_, kind)| counts(*kind)).map(|(key, _)| *key)
        };
        let theirs: Vec<EntityKey> = of(b).collect();
        of(a).filter(move |key| theirs.contains(key))
    }

    /// Whether anything is known of whom the entity calls or who calls it.
    pub fn knows(&self, entity: &EntityId) -> bool {
        let Some(key) = self.registry.find_entity(entity) else { return false };
        self.needs.contains_key(&key) || self.needed_by.contains_key(&key)
    }

    /// Who needs `entity`, directly or not, nearest first, at most `most`.
    pub fn dependents(&self, entity: &EntityId, most: usize) -> Vec<EntityId> {
        let Some(start) = self.registry.find_entity(entity) else { return Vec::new() };
        let mut seen = std::collections::BTreeSet::from([start]);
        let mut queue = VecDeque::from([start]);
        let mut found = Vec::new();
        while let Some(at) = queue.pop_front() {
            for (source, _) in self.needed_by.get(&at).into_iter().flatten() {
                if found.len() < most && seen.insert(*source) {
                    queue.push_back(*source);
                    found.extend(self.registry.entity_id(*source).cloned());
                }
            }
        }
        found
    }

    /// All related entities, with hops.
    pub fn near(&self, entity: &EntityId) -> Near {
        if let Some(known) = self.near.borrow().get(entity) {
            return known.clone();
        }
        let near = Rc::new(self.compute_near(entity));
        self.near.borrow_mut().insert(entity.clone(), near.clone());
        near
    }

    fn compute_near(&self, entity: &EntityId) -> BTreeMap<EntityId, u32> {
        let mut near = BTreeMap::new();
        let Some(start) = self.registry.find_entity(entity) else { return near };
        let mut note = |key: &EntityKey, hops: u32| {
            if *key != start
                && let Some(id) = self.registry.entity_id(*key)
            {
                let known = near.entry(id.clone()).or_insert(hops);
                *known = hops.min(*known);
            }
        };
        for direction in [&self.needs, &self.needed_by] {
            for (one, _) in direction.get(&start).into_iter().flatten() {
                note(one, 1);
                direction.get(one).into_iter().flatten().for_each(|(two, _)| note(two, 2));
            }
        }
        let called = self.needs.get(&start).into_iter().flatten().filter(|(_, kind)| *kind == EdgeKind::Calls);
        for (shared, _) in called {
            let callers = self.needed_by.get(shared).into_iter().flatten();
            callers.filter(|(_, kind)| *kind == EdgeKind::Calls).for_each(|(caller, _)| note(caller, 2));
        }
        near
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_and_called_are_near_but_mere_siblings_are_not() {
        let mut registry = Registry::default();
        let mut topology = Topology::default();
        let mut edge = |a: &str, b: &str, kind| {
            let keys = [a, b].map(|name| registry.entity(&EntityId::parse(name).unwrap()));
            topology.see(keys[0], keys[1], kind, Time(1), 1);
        };
        edge("front", "a", EdgeKind::Calls);
        edge("front", "b", EdgeKind::Calls);
        edge("a", "deep", EdgeKind::Calls);
        edge("deep", "deeper", EdgeKind::Calls);
        edge("x", "router", EdgeKind::Calls);
        edge("y", "router", EdgeKind::Calls);
        edge("a", "host:h", EdgeKind::RunsOn);
        edge("b", "host:h", EdgeKind::RunsOn);
        let map = Neighbourhood::new(&registry, &topology, Time(1));
        let hops = |a: &str, b: &str| map.hops(&EntityId::parse(a).unwrap(), &EntityId::parse(b).unwrap());
        assert_eq!(hops("front", "front"), Some(0));
        assert_eq!(hops("front", "a"), Some(1));
        assert_eq!(hops("deep", "front"), Some(2));
        assert_eq!(hops("front", "deeper"), None, "three hops are too far");
        assert_eq!(hops("a", "b"), None, "sharing a caller or a machine is no relation");
        assert_eq!(hops("x", "y"), Some(2), "calling the same thing is one");
        assert_eq!(hops("a", "host:h"), Some(1));
        let needs = |a: &str, b: &str| map.needs(&EntityId::parse(a).unwrap(), &EntityId::parse(b).unwrap());
        assert!(needs("front", "a") && needs("front", "deep") && needs("a", "host:h"));
        assert!(!needs("a", "front") && !needs("front", "deeper") && !needs("x", "y"));
        let dependents = map.dependents(&EntityId::parse("deeper").unwrap(), 9);
        assert_eq!(dependents.iter().map(EntityId::name).collect::<Vec<_>>(), ["deep", "a", "front"]);
    }
}
