//! Where trouble begins among findings, so that two faults at once that the same callers suffer from are two incidents.
//!
//! A *root* is an entity with a sign of its own (it fails or is slow by itself, not by what it calls) that needs no
//! other such entity which explains it; or one that lost an instance or runs out of something at the beginning, or that
//! fails by itself just after it was changed: that is its own trouble whatever else goes on below it. Errors below do
//! not explain that somebody takes long by itself, nor slow answers below that it fails by itself, as long as its calls
//! are seen. Roots are of one cause where they call the same dark thing, where people or habit say so, or where a surge
//! of requests came in above both. What is no root is somebody's symptom and belongs to the roots that it needs.

use std::collections::{BTreeMap, BTreeSet};

use types::finding::{is_gone, is_latency, is_of_requests, is_passed_on};
use types::{Direction, EntityId, Tenant, Time};

use crate::{GroupingConfig, case::Piece, learned::Learned, related::Neighbourhood};

/// The roots among some findings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roots {
    /// Sets of roots that are of one cause each, with when the first of their signs came.
    pub clusters: Vec<(BTreeSet<EntityId>, Time)>,
    /// Roots whose trouble is their own whatever they need.
    apart: BTreeSet<EntityId>,
    /// Where far more requests came in, and since when.
    surges: Vec<(EntityId, Time)>,
    /// The cluster with the weightiest sign of its own.
    main: usize,
    /// What each entity shows.
    signs: BTreeMap<EntityId, Signs>,
    /// Who finds its calls to something dark bad.
    blamed_by: BTreeMap<EntityId, BTreeSet<EntityId>>,
}

/// What an entity shows.
#[derive(Clone, Copy, Debug, Default)]
struct Signs {
    /// Fails, not (as far as is known) because of what it calls.
    fails: bool,
    /// Fails without any failed call: surely by itself.
    fails_by_itself: bool,
    /// Fails because of what it calls.
    passes_on: bool,
    /// Is slow, not (as far as is known) because of what it calls.
    slow: bool,
    /// Is slow although it does not wait for calls: surely by itself.
    slow_by_itself: bool,
    /// All of it, or an instance, is gone.
    silent: bool,
}

impl Signs {
    fn add(&mut self, piece: &Piece, is_symptom: bool) {
        let is_sure = piece.scope == "own";
        match (piece.measure.as_str(), is_symptom) {
            ("error_ratio", true) => self.passes_on = true,
            ("error_ratio", false) => (self.fails, self.fails_by_itself) = (true, self.fails_by_itself || is_sure),
            (measure, false) if is_latency(measure) => {
                (self.slow, self.slow_by_itself) = (true, self.slow_by_itself || is_sure)
            }
            ("silence", _) => self.silent = true,
            _ => {}
        }
    }

    fn of(piece: &Piece) -> Signs {
        let mut signs = Signs::default();
        signs.add(piece, is_symptom(piece));
        signs
    }

    /// Whether trouble at something called may be why all of this is seen at who calls it.
    fn come_from(self, called: Signs, passes_on: bool) -> bool {
        let failing = !self.fails_by_itself || passes_on;
        let slowness = !self.slow_by_itself || called.slow;
        called.silent || failing && slowness
    }
}

/// Whether a finding says that its entity suffers from what it calls.
fn is_symptom(piece: &Piece) -> bool {
    is_passed_on(&piece.scope)
}

/// Whether a finding is an entity's own trouble by its nature.
fn is_own_by_nature(piece: &Piece) -> bool {
    piece.measure == "resource" || is_gone(&piece.measure, &piece.scope)
}

/// What the search for roots needs to know beside the findings.
pub(crate) struct World<'a, 'b> {
    /// Whose entities these are.
    pub tenant: &'a Tenant,
    pub map: &'a Neighbourhood<'b>,
    pub config: &'a GroupingConfig,
    /// What was changed lately, and when; `None`: nothing.
    pub changed: Option<&'a BTreeMap<EntityId, Vec<Time>>>,
    /// Whose requests are seen; `None`: nobody's.
    pub seen: Option<&'a BTreeSet<EntityId>>,
    pub learned: &'a Learned,
}

impl Roots {
    /// The roots among findings (those that hurt count).
    pub fn of(pieces: &[&Piece], world: &World) -> Roots {
        let hurting: Vec<&&Piece> = pieces.iter().filter(|p| p.impact >= world.config.hurts_impact).collect();
        let onset = hurting.iter().map(|p| p.start).min().unwrap_or_default();
        let is_surge = |p: &&&&Piece| p.measure == "request_rate" && p.direction == Direction::Up;
        let surges = hurting.iter().filter(is_surge).map(|p| (p.entity.clone(), p.start)).collect();
        let apart = hurting.iter().filter(|p| world.is_apart(p, onset)).map(|p| p.entity.clone()).collect();
        let mut found = Roots { apart, surges, ..Roots::default() };
        // When the first sign of each own trouble came, and the weight of the weightiest.
        let mut own: BTreeMap<EntityId, (Time, f64)> = BTreeMap::new();
        for piece in &hurting {
            let (place, is_symptom) = world.place(piece);
            found.signs.entry(place.clone()).or_default().add(piece, is_symptom);
            if place != piece.entity {
                found.blamed_by.entry(place.clone()).or_default().insert(piece.entity.clone());
            }
            if !is_symptom {
                let (first, weight) = own.entry(place).or_insert((piece.start, 0.0));
                (*first, *weight) = (piece.start.min(*first), piece.weight().max(*weight));
            }
        }
        if own.is_empty() {
            own.extend(hurting.iter().map(|p| (p.entity.clone(), (p.start, 0.0))));
        }
        let needs_another = |entity: &EntityId| {
            let needs = world.map.all_needs(entity);
            let explains = |other: &&EntityId| found.explains(other, entity, found.signs_of(entity), world);
            let mut others = own.keys().filter(|other| *other != entity && needs.contains_key(*other));
            others.any(|other| !world.circular(other, entity) && explains(&other))
        };
        let roots = own.iter().filter(|(entity, _)| found.apart.contains(*entity) || !needs_another(entity));
        let roots: Vec<(EntityId, Time)> = roots.map(|(entity, (start, _))| (entity.clone(), *start)).collect();
        for (root, start) in roots {
            let mut joined = (BTreeSet::from([root.clone()]), start);
            let mut others = Vec::new();
            for (cluster, first) in std::mem::take(&mut found.clusters) {
                if cluster.iter().any(|other| found.are_one(&root, other, world)) {
                    joined.0.extend(cluster);
                    joined.1 = joined.1.min(first);
                } else {
                    others.push((cluster, first));
                }
            }
            others.push(joined);
            found.clusters = others;
        }
        found.clusters.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
        let weight = |cluster: &BTreeSet<EntityId>| {
            cluster.iter().filter_map(|root| own.get(root)).map(|(_, weight)| *weight).fold(0.0, f64::max)
        };
        let weights: Vec<f64> = found.clusters.iter().map(|(cluster, _)| weight(cluster)).collect();
        found.main = (0..weights.len()).rev().max_by(|a, b| weights[*a].total_cmp(&weights[*b])).unwrap_or(0);
        found
    }

    /// Whether a finding says what is wrong with a root.
    pub fn is_about(&self, piece: &Piece, world: &World) -> bool {
        let (place, is_symptom) = world.place(piece);
        !is_symptom && self.contains(&place)
    }

    /// Whether a finding says what is wrong with a root, but not what the findings are mostly about.
    pub fn is_beside(&self, piece: &Piece, world: &World) -> bool {
        self.is_about(piece, world) && !self.mains().any(|root| *root == world.place(piece).0)
    }

    fn contains(&self, entity: &EntityId) -> bool {
        self.clusters.iter().any(|(cluster, _)| cluster.contains(entity))
    }

    fn mains(&self) -> impl Iterator<Item = &EntityId> {
        self.clusters.get(self.main).into_iter().flat_map(|(cluster, _)| cluster)
    }

    /// Whether a finding fits to these roots: as one of their symptoms, as what is below them, or as one of them.
    pub fn takes(&self, piece: &Piece, world: &World) -> bool {
        let (entity, _) = &world.place(piece);
        if self.clusters.is_empty() || !world.map.knows(entity) {
            return true;
        }
        let roots = || self.clusters.iter().flat_map(|(cluster, _)| cluster);
        let onset = self.clusters.iter().map(|(_, start)| *start).min().unwrap_or_default();
        if world.is_apart(piece, onset) {
            return self.mains().any(|root| root == entity || self.are_one(entity, root, world));
        }
        let needs = world.map.all_needs(entity);
        let below = |root: &EntityId| {
            let is_below = world.map.all_needs(root).contains_key(entity) && !self.apart.contains(root);
            is_below && self.signs_of(root).come_from(Signs::of(piece), self.signs_of(root).passes_on)
        };
        roots().any(|root| {
            let symptom =
                root == entity || needs.contains_key(root) && self.explains(root, entity, Signs::of(piece), world);
            // What hurts nobody is evidence for what needs it, also where that has trouble of its own.
            let detail = piece.impact < world.config.hurts_impact && world.map.all_needs(root).contains_key(entity);
            symptom || detail || below(root) || self.are_one(entity, root, world)
        })
    }

    /// How well a finding fits as a symptom of these roots: whether none of those that its entity needs shows the same,
    /// and the hops to the nearest. `None` where it needs none of them.
    pub fn nearness(&self, piece: &Piece, world: &World) -> Option<(bool, u32)> {
        self.clusters.iter().filter_map(|(cluster, _)| self.nearness_of(cluster, piece, world)).min()
    }

    fn nearness_of(&self, cluster: &BTreeSet<EntityId>, piece: &Piece, world: &World) -> Option<(bool, u32)> {
        let needs = world.map.all_needs(&piece.entity);
        let shows_another = |root: &EntityId| {
            let signs = self.signs_of(root);
            match piece.measure.as_str() {
                "error_ratio" => !signs.fails && !signs.silent,
                measure if is_latency(measure) => !signs.slow && !signs.silent,
                _ => false,
            }
        };
        cluster.iter().filter_map(|root| Some((shows_another(root), *needs.get(root)?))).min()
    }

    /// Which cluster a finding belongs to: its entity's own, the nearest that it needs, one that needs it, the first.
    pub fn cluster_of(&self, piece: &Piece, world: &World) -> usize {
        let (entity, _) = &world.place(piece);
        if let Some(own) = self.clusters.iter().position(|(cluster, _)| cluster.contains(entity)) {
            return own;
        }
        let nearest = |(i, (cluster, start)): (usize, &(BTreeSet<EntityId>, Time))| {
            Some((self.nearness_of(cluster, piece, world)?, *start, i))
        };
        if let Some((_, _, i)) = self.clusters.iter().enumerate().filter_map(nearest).min() {
            return i;
        }
        let needed = |(cluster, _): &(BTreeSet<EntityId>, Time)| {
            cluster.iter().any(|root| world.map.all_needs(root).contains_key(entity))
        };
        self.clusters.iter().position(needed).unwrap_or(0)
    }

    fn signs_of(&self, entity: &EntityId) -> Signs {
        self.signs.get(entity).copied().unwrap_or_default()
    }

    /// Whether trouble at `called` may be why `entity`, which needs it, shows these signs.
    fn explains(&self, called: &EntityId, entity: &EntityId, signs: Signs, world: &World) -> bool {
        !self.is_seen(called, world) || signs.come_from(self.signs_of(called), self.signs_of(entity).passes_on)
    }

    /// Whether it is known how an entity's requests fare.
    fn is_seen(&self, entity: &EntityId, world: &World) -> bool {
        let signs = self.signs_of(entity);
        let speaks_itself = (signs.fails || signs.slow) && !self.blamed_by.contains_key(entity);
        speaks_itself || world.seen.is_some_and(|seen| seen.contains(entity))
    }

    /// Whether something dark has only one who finds its calls to it bad: these two are not told apart.
    fn is_blamed_only_by(&self, dark: &EntityId, entity: &EntityId) -> bool {
        self.blamed_by.get(dark).is_some_and(|by| by.len() == 1 && by.contains(entity))
    }

    /// Whether two roots are of one cause.
    fn are_one(&self, a: &EntityId, b: &EntityId, world: &World) -> bool {
        if a == b {
            return true;
        }
        if let Some(said) = world.learned.related(world.tenant, a, b) {
            return said;
        }
        if !world.map.knows(a) || !world.map.knows(b) {
            return true;
        }
        if self.is_blamed_only_by(a, b) || self.is_blamed_only_by(b, a) {
            return true;
        }
        if self.apart.contains(a) || self.apart.contains(b) {
            // Instances that are lost together, or all that runs on a machine.
            return self.apart.contains(a) && self.apart.contains(b) && world.map.share_a_need(a, b);
        }
        let above = |entity: &EntityId| entity == a || world.map.all_needs(entity).contains_key(a);
        let above_both =
            |entity: &EntityId| above(entity) && (entity == b || world.map.all_needs(entity).contains_key(b));
        let dark = |called: &EntityId| !self.is_seen(called, world);
        world.map.called_by_both(a, b).any(|called| dark(&called))
            || self.surges.iter().any(|(entity, _)| above_both(entity))
    }
}

impl World<'_, '_> {
    /// Where a finding says that something is wrong, and whether it says so of what suffers only: bad calls to what
    /// sends no requests of its own are that one's trouble.
    pub fn place(&self, piece: &Piece) -> (EntityId, bool) {
        let called = piece.scope.strip_prefix("calls ").and_then(EntityId::parse);
        let is_dark =
            |called: &EntityId| self.map.knows(called) && !self.seen.is_some_and(|seen| seen.contains(called));
        match called.filter(is_dark) {
            Some(called) => (called, false),
            None => (piece.entity.clone(), is_symptom(piece)),
        }
    }

    /// Whether a finding is its entity's own trouble whatever else goes on, and was there from the beginning.
    fn is_apart(&self, piece: &Piece, onset: Time) -> bool {
        if piece.impact < self.config.hurts_impact || piece.start.since(onset) > self.config.at_once_ns {
            return false;
        }
        let fails = is_of_requests(&piece.measure) && !is_symptom(piece);
        let changed = || {
            let times = self.changed.and_then(|changed| changed.get(&piece.entity));
            let just_before = -self.config.unseen_ns..=self.config.onset_window_ns;
            times.into_iter().flatten().any(|at| just_before.contains(&piece.start.since(*at)))
        };
        is_own_by_nature(piece) || fails && changed()
    }

    /// Two that need one another: neither is below.
    fn circular(&self, a: &EntityId, b: &EntityId) -> bool {
        self.map.all_needs(a).contains_key(b) && a > b
    }
}
