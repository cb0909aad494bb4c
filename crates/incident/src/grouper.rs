//! The step from findings to incidents.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use types::{
    Cause, DAY, EntityId, Evidence, Finding, FindingId, Incident, IncidentId, IncidentState, MINUTE, SECOND, Shape,
    Tenant, Time,
};

use crate::{
    Change, Command, GroupingConfig, Input, MOST_ENTITIES, News, RequestPoint, Update,
    case::{Case, Piece, rounded},
    inbox,
    learned::Learned,
    related::Neighbourhood,
    roots::{Roots, World},
    words::{cause_word, clock},
};

/// At most so many findings wait for an incident; of more, those that hurt little are left out.
const MOST_PENDING: usize = 5_000;
/// At most so many request points are kept to count back to an incident's beginning.
const MOST_POINTS: usize = 20_000;
/// Resolved incidents kept at hand, at most.
const MOST_RESOLVED: usize = 200;
/// How far before an incident changes are shown in its timeline.
const CHANGES_BEFORE_NS: i64 = 30 * MINUTE;
/// How long after its last requests an entity's requests count as seen.
const SEEN_NS: i64 = 5 * MINUTE;
/// From so many lines on, further ones are said this often, at most.
const LONG_TIMELINE: usize = 30;
const GREW_EVERY_NS: i64 = 10 * SECOND;
/// Counts of requests alone are said again this often, at most.
const COUNTS_EVERY_NS: i64 = 30 * SECOND;

/// Findings to incidents. See the crate's documentation.
#[derive(Clone, Debug)]
pub struct Grouper {
    config: GroupingConfig,
    state: GrouperState,
}

/// All that a restart must bring back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct GrouperState {
    last_number: u64,
    cases: BTreeMap<u64, Case>,
    /// Which incident a finding belongs to.
    home: BTreeMap<FindingId, u64>,
    /// Findings that go on and belong to no incident yet.
    pending: BTreeMap<FindingId, Piece>,
    /// Findings that must not open anything: what went on when its incident ended.
    muted: BTreeMap<FindingId, Time>,
    aliases: BTreeMap<EntityId, EntityId>,
    points: VecDeque<RequestPoint>,
    #[serde(default)]
    learned: Learned,
}

impl Grouper {
    /// A grouper that has seen nothing.
    pub fn new(config: GroupingConfig) -> Grouper {
        Grouper { config, state: GrouperState::default() }
    }

    /// Takes in what one step said; answers with the incidents that changed, in order of their number.
    pub fn step(&mut self, input: &Input) -> Vec<Update> {
        let mut news: BTreeMap<u64, Vec<News>> = BTreeMap::new();
        self.take_points(input);
        let goes_on = !self.state.pending.is_empty() || self.state.cases.values().any(Case::is_active);
        if !goes_on && input.said.is_empty() && input.commands.is_empty() {
            self.forget(input.now);
            return Vec::new();
        }
        let ground = Ground::new(input, &self.state.points);
        for command in input.commands {
            self.obey(command, input.now, &mut news);
        }
        self.take_findings(input.said);
        self.attach(&ground);
        self.open(input, &ground, &mut news);
        self.attach(&ground);
        self.join_neighbours(input.now, &ground, &mut news);
        self.learn_from_opened(&news);
        self.resolve_quiet(input.now, &mut news);
        self.note_changes(input);
        self.forget(input.now);
        self.publish(input, &ground.map, news)
    }

    /// Writes the causes that were said into their incidents; answers with those that changed. A cause of the same
    /// entity and kind replaces the one said before; one that is no longer ongoing is withdrawn. A cause without a kind
    /// says what is missing to decide.
    pub fn name_causes(&mut self, input: &Input, said: &[Finding]) -> Vec<Update> {
        let mut by_incident: BTreeMap<u64, Vec<&Finding>> = BTreeMap::new();
        for finding in said.iter().filter(|f| f.shape == Shape::Cause) {
            let number = finding.incident.as_ref().and_then(number_of);
            let known = number.filter(|n| self.state.cases.get(n).is_some_and(|c| c.public.tenant == finding.tenant));
            if let Some(number) = known {
                by_incident.entry(number).or_default().push(finding);
            }
        }
        if by_incident.is_empty() {
            return Vec::new();
        }
        let map = Neighbourhood::new(input.registry, input.topology, input.now);
        let points: Vec<RequestPoint> = self.state.points.iter().cloned().collect();
        let mut updates = Vec::new();
        for (number, findings) in by_incident {
            let Some(case) = self.state.cases.get_mut(&number) else { continue };
            let before = case.public.clone();
            set_causes(case, &findings, &self.config, &map, input);
            if case.public.causes == before.causes && case.public.missing == before.missing {
                continue;
            }
            case.present(&self.config, &map, &points);
            case.touched = false;
            let same_top = top(&before) == top(&case.public) && before.undecided == case.public.undecided;
            let news = if same_top { News::Grew } else { News::Cause };
            updates.push(Update { incident: case.public.clone(), news: vec![news] });
        }
        updates
    }

    /// Incidents that are not resolved or were resolved recently, in order of their number.
    pub fn incidents(&self) -> impl DoubleEndedIterator<Item = &Incident> {
        self.state.cases.values().map(|case| &case.public)
    }

    /// The incident that is known by this id.
    pub fn get(&self, id: &IncidentId) -> Option<&Incident> {
        self.state.cases.get(&number_of(id)?).map(|case| &case.public)
    }

    /// Entities of incidents that are not resolved, each with its newest incident.
    pub fn affected(&self) -> BTreeMap<(Tenant, EntityId), IncidentId> {
        let active = self.state.cases.values().filter(|case| case.is_active());
        let pairs = active.flat_map(|case| {
            let public = &case.public;
            public.entities.iter().map(move |e| ((public.tenant.clone(), e.clone()), public.id.clone()))
        });
        pairs.collect()
    }

    /// Whether a finding is part of an incident.
    pub fn holds(&self, finding: FindingId) -> bool {
        self.state.home.contains_key(&finding)
    }

    /// The incident that a finding is part of.
    pub fn home_of(&self, finding: FindingId) -> Option<&IncidentId> {
        let number = self.state.home.get(&finding)?;
        self.state.cases.get(number).map(|case| &case.public.id)
    }

    /// How it groups.
    pub fn config(&self) -> &GroupingConfig {
        &self.config
    }

    /// The state as JSON; equal states give equal bytes.
    pub fn save(&self) -> Vec<u8> {
        serde_json::to_vec(&self.state).unwrap_or_default()
    }

    /// Takes saved state over. The error says what is wrong with the bytes.
    pub fn load(config: GroupingConfig, bytes: &[u8]) -> Result<Grouper, String> {
        let state = serde_json::from_slice(bytes).map_err(|e| format!("saved incidents cannot be read: {e}"))?;
        Ok(Grouper { config, state })
    }

    fn take_points(&mut self, input: &Input) {
        for point in input.requests {
            let fine = point.rate.is_finite() && point.error_ratio.is_finite();
            if !fine {
                continue;
            }
            self.state.points.push_back(RequestPoint {
                rate: rounded(point.rate, 3),
                error_ratio: rounded(point.error_ratio, 6),
                latency_ms_p50: rounded(point.latency_ms_p50, 3),
                latency_ms_p95: rounded(point.latency_ms_p95, 3),
                ..point.clone()
            });
        }
        let oldest = input.now.plus(-10 * MINUTE);
        while self.state.points.len() > MOST_POINTS || self.state.points.front().is_some_and(|p| p.at < oldest) {
            self.state.points.pop_front();
        }
    }

    fn obey(&mut self, command: &Command, now: Time, news: &mut BTreeMap<u64, Vec<News>>) {
        match command {
            Command::Merge { alias, entity } => {
                self.state.aliases.insert(alias.clone(), entity.clone());
            }
            Command::Acknowledge { incident, actor, at } => {
                let Some(case) = self.active(incident) else { return };
                if case.public.state == IncidentState::Acknowledged {
                    return;
                }
                case.public.state = IncidentState::Acknowledged;
                case.public.actor = actor.clone();
                case.note(*at, "state", None, by("acknowledged", actor), None);
                news.entry(case.number).or_default().push(News::State(IncidentState::Acknowledged));
            }
            Command::Resolve { incident, actor, at, dismissed } => {
                let Some(case) = self.active(incident) else { return };
                let number = case.number;
                case.public.actor = actor.clone();
                case.by_hand = true;
                let words = if *dismissed { "said to be no incident" } else { "resolved" };
                case.note(*at, "state", None, by(words, actor), None);
                self.close(number, *at);
                let list = news.entry(number).or_default();
                list.push(News::State(IncidentState::Resolved));
                if *dismissed {
                    list.push(News::Dismissed);
                }
            }
            Command::Note { incident, text, actor, at } => {
                let Some(case) = number_of(incident).and_then(|n| self.state.cases.get_mut(&n)) else { return };
                let who = actor.as_deref().unwrap_or("somebody");
                case.note(*at, "note", None, format!("{who}: {text}"), None);
                news.entry(case.number).or_default().push(News::Grew);
            }
            Command::Join { incident, into, actor, at } => {
                let (Some(gone), Some(stays)) = (number_of(incident), number_of(into)) else { return };
                let main = |n: &u64| Some(self.state.cases.get(n).filter(|c| c.is_active())?.main_entity()?.clone());
                let (Some(a), Some(b)) = (main(&gone), main(&stays)) else { return };
                let tenant = self.state.cases[&stays].public.tenant.clone();
                if gone == stays || self.state.cases[&gone].public.tenant != tenant {
                    return;
                }
                self.state.learned.say(&tenant, &a, &b, true);
                if let Some(case) = self.state.cases.get_mut(&stays) {
                    case.note(*at, "state", None, by(&format!("joined with {}", incident.0), actor), None);
                }
                self.take_in(stays, gone, now, news);
            }
            Command::Split { incident, entities, actor, at } => self.split(incident, entities, actor, *at, now, news),
        }
    }

    /// Takes entities out of an incident into one of their own.
    fn split(
        &mut self,
        incident: &IncidentId,
        entities: &[EntityId],
        actor: &Option<String>,
        at: Time,
        now: Time,
        news: &mut BTreeMap<u64, Vec<News>>,
    ) {
        let Some(case) = self.active(incident) else { return };
        let (number, tenant) = (case.number, case.public.tenant.clone());
        let is_out = |piece: &Piece| entities.contains(&piece.entity);
        let out = case.pieces.values().filter(|piece| is_out(piece)).count();
        if out == 0 || out == case.pieces.len() {
            return;
        }
        let kept = case.pieces.values().map(|p| p.entity.clone()).filter(|e| !entities.contains(e));
        let kept: BTreeSet<EntityId> = kept.collect();
        let (out, left): (Vec<Piece>, Vec<Piece>) =
            std::mem::take(&mut case.pieces).into_values().partition(|piece| is_out(piece));
        case.pieces = left.into_iter().map(|piece| (piece.id, piece)).collect();
        case.public.causes.retain(|cause| !entities.contains(&cause.entity));
        case.public.undecided |= case.public.causes.is_empty();
        let started_at = out.iter().map(|piece| piece.start).min().unwrap_or(now);
        let new = self.new_case(tenant.clone(), started_at, now, at, by(&format!("split off {}", incident.0), actor));
        if let Some(case) = self.state.cases.get_mut(&number) {
            case.note(at, "state", None, by(&format!("split: inc-{new} goes on by itself"), actor), None);
        }
        self.give(new, out);
        for (a, b) in entities.iter().flat_map(|a| kept.iter().map(move |b| (a, b))).take(100) {
            self.state.learned.say(&tenant, a, b, false);
        }
        news.entry(number).or_default().push(News::Grew);
        news.entry(new).or_default().push(News::Opened);
    }

    /// A new incident, with the first line of its timeline; its number.
    fn new_case(&mut self, tenant: Tenant, started_at: Time, now: Time, at: Time, words: String) -> u64 {
        self.state.last_number += 1;
        let number = self.state.last_number;
        let mut case = Case::new(number, tenant, started_at, now);
        case.note(at, "state", None, words, None);
        self.state.cases.insert(number, case);
        number
    }

    /// Puts evidence into an incident.
    fn give(&mut self, number: u64, pieces: impl IntoIterator<Item = Piece>) {
        let Some(case) = self.state.cases.get_mut(&number) else { return };
        for piece in pieces {
            self.state.home.insert(piece.id, number);
            case.add(piece);
        }
    }

    fn active(&mut self, id: &IncidentId) -> Option<&mut Case> {
        self.state.cases.get_mut(&number_of(id)?).filter(|case| case.is_active())
    }

    /// Ends an incident; what of its evidence goes on opens nothing any more.
    fn close(&mut self, number: u64, at: Time) {
        let Some(case) = self.state.cases.get_mut(&number) else { return };
        case.public.state = IncidentState::Resolved;
        case.public.resolved_at = Some(at.max(case.public.opened_at));
        for piece in case.pieces.values().filter(|p| p.ongoing) {
            self.state.muted.insert(piece.id, at);
        }
    }

    fn take_findings(&mut self, said: &[Finding]) {
        let evidence = said.iter().filter(|f| matches!(f.shape, Shape::Abnormal | Shape::Match));
        for finding in evidence {
            let entity = self.state.aliases.get(&finding.entity).unwrap_or(&finding.entity).clone();
            let piece = Piece::new(finding, entity);
            if let Some(case) = self.state.home.get(&piece.id).and_then(|n| self.state.cases.get_mut(n)) {
                case.renew(piece);
            } else if !finding.ongoing {
                self.state.pending.remove(&piece.id);
                self.state.muted.remove(&piece.id);
            } else if let Some(known) = self.state.pending.get_mut(&piece.id) {
                known.renew(piece);
            } else if !self.state.muted.contains_key(&piece.id)
                && (self.state.pending.len() < MOST_PENDING || piece.impact >= self.config.hurts_impact)
            {
                self.state.pending.insert(piece.id, piece);
            }
        }
    }

    /// Hops between what two findings speak of, by the map and by what was learned. Alerts of one rule are near where
    /// no map says anything of either entity.
    fn hops(&self, map: &Neighbourhood, a: &Piece, b: &Piece) -> Option<u32> {
        if a.entity == b.entity {
            return Some(0);
        }
        match self.state.learned.related(&a.tenant, &a.entity, &b.entity) {
            Some(true) => return Some(1),
            Some(false) => return None,
            None => {}
        }
        let same_rule = a.measure == inbox::MEASURE && b.measure == inbox::MEASURE && a.scope == b.scope;
        let is_near = || same_rule && !a.scope.is_empty() && !map.knows(&a.entity) && !map.knows(&b.entity);
        map.hops(&a.entity, &b.entity).or_else(|| is_near().then_some(1))
    }

    /// Names under which findings, or those near them, are listed in an [`Index`].
    fn near(&self, map: &Neighbourhood, pieces: &[&Piece]) -> BTreeSet<Listed> {
        let mut near = BTreeSet::new();
        let entities: BTreeSet<(&Tenant, &EntityId)> = pieces.iter().map(|p| (&p.tenant, &p.entity)).collect();
        for (tenant, entity) in entities {
            near.insert(Listed::Entity(entity.clone()));
            near.extend(map.near(entity).keys().cloned().map(Listed::Entity));
            near.extend(self.state.learned.near(tenant, entity).cloned().map(Listed::Entity));
        }
        let alerts = pieces.iter().filter(|p| p.measure == inbox::MEASURE && !map.knows(&p.entity));
        near.extend(alerts.map(|p| Listed::Rule(p.scope.clone())));
        near
    }

    /// Gives each waiting finding to the best related incident, until none fits any more.
    fn attach(&mut self, ground: &Ground) {
        if self.state.pending.is_empty() || !self.state.cases.values().any(Case::is_active) {
            return;
        }
        loop {
            let mut index: Index<u64> = Index::default();
            for case in self.state.cases.values().filter(|case| case.is_active()) {
                let telling = case.telling(self.config.hurts_impact);
                telling.iter().for_each(|known| index.list(known, case.number));
            }
            let near = |piece: &Piece| index.any_of(&self.near(&ground.map, &[piece]));
            let mut waiting: Vec<(Time, FindingId, BTreeSet<u64>)> =
                self.state.pending.values().map(|p| (p.start, p.id, near(p))).collect();
            waiting.sort();
            let numbers: BTreeSet<u64> = waiting.iter().flat_map(|(_, _, near)| near).copied().collect();
            let cases = numbers.iter().filter_map(|number| self.state.cases.get(number));
            let roots = |case: &Case| {
                let telling = case.telling(self.config.hurts_impact);
                (case.number, Roots::of(&telling, &self.world(&case.public.tenant, ground)))
            };
            let roots: BTreeMap<u64, Roots> = cases.map(roots).collect();
            let mut found_one = false;
            for (_, id, near) in waiting {
                let Some(piece) = self.state.pending.get(&id) else { continue };
                let cases = near.iter().filter_map(|number| self.state.cases.get(number));
                let best = cases.filter_map(|case| {
                    let hops = self.distance(case, piece, &ground.map)?;
                    let roots = &roots[&case.number];
                    let world = self.world(&piece.tenant, ground);
                    let fits = case.has_more_of(piece) || roots.takes(piece, &world);
                    // Of two that fit as well, the one that is about this very entity, and most of all about it.
                    let is_of_it = case.public.entities.first() == Some(&piece.entity);
                    let differs = roots.nearness(piece, &world).is_some_and(|(differs, _)| differs);
                    fits.then_some((differs, hops, !roots.is_about(piece, &world), !is_of_it, case.number))
                });
                let Some((.., number)) = best.min() else { continue };
                let piece = self.state.pending.remove(&id);
                self.give(number, piece);
                found_one = true;
            }
            if !found_one {
                return;
            }
        }
    }

    /// Hops from a finding to an incident that it belongs to. While evidence goes on, anything new on its entity
    /// belongs to it, and near it what began within the onset window; what hurts nobody only within one hop. What is
    /// over, or was last seen well before, takes in only more of the same: the same measure of the same entity.
    fn distance(&self, case: &Case, piece: &Piece, map: &Neighbourhood) -> Option<u32> {
        if case.public.tenant != piece.tenant {
            return None;
        }
        let reach = if piece.impact >= self.config.hurts_impact { 2 } else { 1 };
        let telling = case.telling(self.config.hurts_impact);
        let entities: BTreeSet<&EntityId> = telling.iter().map(|p| &p.entity).collect();
        if entities.len() >= MOST_ENTITIES && !entities.contains(&piece.entity) {
            return None;
        }
        let is_apart = |main: &EntityId| self.state.learned.related(&piece.tenant, main, &piece.entity) == Some(false);
        if case.main_entity().is_some_and(|main| is_apart(&main)) {
            return None;
        }
        let close = telling.iter().filter_map(|known| {
            let hops = self.hops(map, known, piece)?;
            let goes_on = known.ongoing && self.overlap(known, piece);
            let fits = match (hops, goes_on) {
                // What hurts users is not swallowed by a gauge that has been off for long.
                (0, true) => {
                    let hurts_more =
                        piece.impact >= self.config.alone_impact && known.impact < self.config.alone_impact;
                    !hurts_more || self.together_in_time(known, piece, map)
                }
                (0, false) => known.measure == piece.measure && known.scope == piece.scope,
                // What needs the affected may follow later; the cause, below, was there from the beginning.
                (_, true) => {
                    let follows = map.needs(&piece.entity, &known.entity) || self.is_of_onset(case, piece);
                    hops <= reach && follows && self.together_in_time(known, piece, map)
                }
                (_, false) => false,
            };
            fits.then_some(hops)
        });
        close.min()
    }

    /// Whether two findings began near enough in time to be of one cause. Trouble travels to those who need what is in
    /// trouble, which may take a while; what begins elsewhere must have begun about at once.
    fn together_in_time(&self, a: &Piece, b: &Piece, map: &Neighbourhood) -> bool {
        let (earlier, later) = if a.start <= b.start { (a, b) } else { (b, a) };
        let travelled = map.needs(&later.entity, &earlier.entity);
        let window = if travelled { self.config.onset_window_ns } else { self.config.at_once_ns };
        later.start.since(earlier.start) <= window && self.overlap(a, b)
    }

    /// Whether a finding began about when its incident did.
    fn is_of_onset(&self, case: &Case, piece: &Piece) -> bool {
        piece.start.since(case.public.started_at).abs() <= self.config.at_once_ns
    }

    /// Whether one was still seen when the other began: what had stopped before is not of the same cause, although its
    /// end is not sure yet.
    fn overlap(&self, a: &Piece, b: &Piece) -> bool {
        let slack = self.config.unseen_ns;
        // An alert holds until its end is told.
        let seen_until = |p: &Piece| if p.ongoing && p.measure == inbox::MEASURE { Time(i64::MAX) } else { p.end };
        a.start.since(seen_until(b)) <= slack && b.start.since(seen_until(a)) <= slack
    }

    /// Opens an incident for each group of waiting findings that is heavy enough.
    fn open(&mut self, input: &Input, ground: &Ground, news: &mut BTreeMap<u64, Vec<News>>) {
        let groups = self.groups(&ground.map);
        let groups: Vec<_> = groups.into_iter().flat_map(|group| self.by_root(group, ground)).collect();
        for group in groups {
            let pieces: Vec<&Piece> = group.iter().filter_map(|id| self.state.pending.get(id)).collect();
            if !self.is_heavy(&pieces, input.now) {
                continue;
            }
            let Some(first) = pieces.iter().min_by_key(|p| (p.start, p.id)) else { continue };
            let (tenant, start) = (first.tenant.clone(), first.start);
            let number = match self.to_reopen(&tenant, &pieces, input.now) {
                Some(number) => {
                    news.entry(number).or_default().push(News::Reopened);
                    number
                }
                None => {
                    let number = self.new_case(tenant, start, input.now, input.now, "opened".to_owned());
                    news.entry(number).or_default().push(News::Opened);
                    number
                }
            };
            let Some(case) = self.state.cases.get_mut(&number) else { continue };
            if !case.is_active() {
                case.public.state = IncidentState::Open;
                case.public.resolved_at = None;
                case.note(input.now, "state", None, "came back: reopened".to_owned(), None);
            }
            let pieces: Vec<Piece> = group.iter().filter_map(|id| self.state.pending.remove(id)).collect();
            self.give(number, pieces);
            self.fetch(number, ground);
        }
    }

    /// Takes to a new incident what fits there better than where it is: details of its entities which are not what the
    /// other is about, and symptoms that began with it.
    fn fetch(&mut self, number: u64, ground: &Ground) {
        let Some(new) = self.state.cases.get(&number) else { return };
        let world = self.world(&new.public.tenant, ground);
        let telling = new.telling(self.config.hurts_impact);
        let roots = Roots::of(&telling, &world);
        let start = telling.iter().map(|p| p.start).min().unwrap_or(new.public.started_at);
        let mut better = Vec::new();
        for case in self.state.cases.values().filter(|case| case.is_active() && case.number != number) {
            if case.public.tenant != new.public.tenant {
                continue;
            }
            let hurts = |p: &Piece| p.impact >= self.config.hurts_impact;
            let is_own = |p: &Piece| roots.is_about(p, &world);
            let began_with_it = |p: &Piece| p.start.since(start).abs() <= self.config.at_once_ns;
            let suffers =
                |p: &Piece| world.place(p).1 && hurts(p) && began_with_it(p) && roots.nearness(p, &world).is_some();
            let concerned: Vec<&Piece> = case.pieces.values().filter(|p| is_own(p) || suffers(p)).collect();
            if concerned.is_empty() {
                continue;
            }
            let theirs: BTreeSet<&EntityId> = case.pieces.values().filter(|p| hurts(p)).map(|p| &p.entity).collect();
            let their_roots = Roots::of(&case.telling(self.config.hurts_impact), &world);
            let fits_better = |piece: &&&Piece| {
                if is_own(piece) {
                    return !theirs.contains(&piece.entity) || their_roots.is_beside(piece, &world);
                }
                let there = their_roots.nearness(piece, &world);
                there.is_none_or(|there| roots.nearness(piece, &world).is_some_and(|here| here < there))
            };
            let ids: Vec<FindingId> = concerned.iter().filter(fits_better).map(|piece| piece.id).collect();
            if ids.len() < case.pieces.len() {
                better.extend(ids.into_iter().map(|id| (case.number, id)));
            }
        }
        for (from, id) in better {
            let piece = self.state.cases.get_mut(&from).and_then(|case| case.pieces.remove(&id));
            self.give(number, piece);
        }
    }

    /// An incident that ended by itself a short while ago and is back: its worst evidence is among these findings.
    /// That somebody suffers again is not enough, a frontend suffers from whatever breaks.
    fn to_reopen(&self, tenant: &Tenant, pieces: &[&Piece], now: Time) -> Option<u64> {
        let recent = |case: &&Case| {
            let resolved_at = case.public.resolved_at.unwrap_or(now);
            !case.is_active() && !case.by_hand && now.since(resolved_at) <= self.config.reopen_ns
        };
        let is_back = |case: &&Case| {
            let Some(worst) = case.main_entity().and_then(|main| case.worst(&main).cloned()) else { return false };
            let hurting = pieces.iter().filter(|p| p.impact >= self.config.hurts_impact);
            let mut same = hurting.filter(|p| p.entity == worst.entity);
            same.any(|p| p.measure == worst.measure && p.scope == worst.scope)
        };
        let cases = self.state.cases.values().rev().filter(recent).filter(|case| case.public.tenant == *tenant);
        cases.into_iter().find(is_back).map(|case| case.number)
    }

    /// Waiting findings in groups of those that are related, each in order of id.
    fn groups(&self, map: &Neighbourhood) -> Vec<Vec<FindingId>> {
        let pieces: Vec<&Piece> = self.state.pending.values().collect();
        let hurts = |i: usize| pieces[i].impact >= self.config.hurts_impact;
        if !(0..pieces.len()).any(hurts) {
            return Vec::new();
        }
        let mut index: Index<usize> = Index::default();
        pieces.iter().enumerate().for_each(|(i, piece)| index.list(piece, i));
        let mut union = Union::new(pieces.len());
        // What hurts links the groups; what does not only joins one, at the end.
        for i in (0..pieces.len()).filter(|i| hurts(*i)) {
            for j in index.any_of(&self.near(map, &[pieces[i]])) {
                if j == i || pieces[i].tenant != pieces[j].tenant || hurts(j) && (j < i || union.are_one(i, j)) {
                    continue;
                }
                let Some(hops) = self.hops(map, pieces[i], pieces[j]) else { continue };
                let reach = if hurts(j) { 2 } else { 1 };
                let related = hops == 0 || hops <= reach && self.together_in_time(pieces[i], pieces[j], map);
                if related && (hurts(j) || union.is_alone(j)) {
                    union.link(i, j);
                }
            }
        }
        let mut groups: BTreeMap<usize, Vec<FindingId>> = BTreeMap::new();
        for (i, piece) in pieces.iter().enumerate() {
            groups.entry(union.root(i)).or_default().push(piece.id);
        }
        groups.into_values().collect()
    }

    /// A group of related findings in parts, one for each cause.
    fn by_root(&self, group: Vec<FindingId>, ground: &Ground) -> Vec<Vec<FindingId>> {
        let pieces: Vec<&Piece> = group.iter().filter_map(|id| self.state.pending.get(id)).collect();
        let Some(first) = pieces.first() else { return Vec::new() };
        let world = self.world(&first.tenant, ground);
        let roots = Roots::of(&pieces, &world);
        if roots.clusters.len() < 2 {
            return vec![group];
        }
        let mut parts = vec![Vec::new(); roots.clusters.len()];
        pieces.iter().for_each(|piece| parts[roots.cluster_of(piece, &world)].push(piece.id));
        parts.retain(|part| !part.is_empty());
        parts
    }

    /// What the search for roots needs to know.
    fn world<'a, 'b>(&'a self, tenant: &'a Tenant, ground: &'a Ground<'b>) -> World<'a, 'b> {
        let (changed, seen) = (ground.changed.get(tenant), ground.seen.get(tenant));
        World { tenant, map: &ground.map, config: &self.config, changed, seen, learned: &self.state.learned }
    }

    /// Whether findings together are an incident. Of one measure of one entity only the heaviest counts.
    fn is_heavy(&self, pieces: &[&Piece], now: Time) -> bool {
        let config = &self.config;
        let alone = |p: &&Piece| p.belief >= config.alone_belief && p.impact >= config.alone_impact;
        let lasting = |p: &&Piece| {
            p.belief >= config.lasting_belief
                && p.impact >= config.hurts_impact
                && now.since(p.start) >= config.lasting_ns
        };
        if pieces.iter().any(|p| alone(p) || lasting(p)) {
            return true;
        }
        let mut heaviest: BTreeMap<(&EntityId, &str), f64> = BTreeMap::new();
        for piece in pieces {
            let weight = heaviest.entry((&piece.entity, &piece.measure)).or_default();
            *weight = weight.max(piece.weight());
        }
        let hurts = pieces.iter().any(|p| p.impact >= config.hurts_impact);
        hurts && heaviest.values().sum::<f64>() >= config.together_weight
    }

    /// Two incidents that began together and are neighbours are one: the younger goes into the older.
    fn join_neighbours(&mut self, now: Time, ground: &Ground, news: &mut BTreeMap<u64, Vec<News>>) {
        let mut index: Index<u64> = Index::default();
        let mut near: BTreeMap<u64, BTreeSet<Listed>> = BTreeMap::new();
        for case in self.state.cases.values().filter(|case| case.is_active()) {
            let pieces = self.of_onset(case);
            pieces.iter().for_each(|piece| index.list(piece, case.number));
            near.insert(case.number, self.near(&ground.map, &pieces));
        }
        for (older, listed) in near {
            for younger in index.any_of(&listed).into_iter().filter(|number| *number > older) {
                if self.are_one(older, younger, ground) {
                    self.take_in(older, younger, now, news);
                }
            }
        }
    }

    /// Telling evidence from the beginning of an incident.
    fn of_onset<'a>(&self, case: &'a Case) -> Vec<&'a Piece> {
        case.telling(self.config.hurts_impact).into_iter().filter(|piece| self.is_of_onset(case, piece)).collect()
    }

    fn are_one(&self, older: u64, younger: u64, ground: &Ground) -> bool {
        let (Some(a), Some(b)) = (self.state.cases.get(&older), self.state.cases.get(&younger)) else { return false };
        if !a.is_active() || !b.is_active() || a.public.tenant != b.public.tenant {
            return false;
        }
        if let (Some(x), Some(y)) = (a.main_entity(), b.main_entity())
            && self.state.learned.related(&a.public.tenant, &x, &y) == Some(false)
        {
            return false;
        }
        // Only how they began counts: later on both may hurt the same ones above them.
        let (ours, theirs) = (self.of_onset(a), self.of_onset(b));
        let both: Vec<&Piece> = ours.iter().chain(&theirs).copied().collect();
        if Roots::of(&both, &self.world(&a.public.tenant, ground)).clusters.len() > 1 {
            return false;
        }
        ours.iter().any(|x| {
            let near = |y: &&&Piece| self.hops(&ground.map, x, y).is_some_and(|hops| hops <= 1);
            theirs.iter().filter(near).any(|y| self.together_in_time(x, y, &ground.map))
        })
    }

    fn take_in(&mut self, older: u64, younger: u64, now: Time, news: &mut BTreeMap<u64, Vec<News>>) {
        let Some(gone) = self.state.cases.get_mut(&younger) else { return };
        let gone_id = gone.public.id.clone();
        let pieces: Vec<Piece> = std::mem::take(&mut gone.pieces).into_values().collect();
        let older_id = IncidentId(format!("inc-{older}"));
        gone.public.state = IncidentState::Resolved;
        gone.public.resolved_at = Some(now);
        gone.by_hand = true;
        gone.note(now, "state", None, format!("same cause as {}: went on there", older_id.0), None);
        gone.public.summary = format!("Same cause as {}, where it goes on.", older_id.0);
        let was_opened_now = news.get(&younger).is_some_and(|list| list.contains(&News::Opened));
        if was_opened_now {
            // Nobody has seen it: it never was.
            self.state.cases.remove(&younger);
            news.remove(&younger);
            if self.state.last_number == younger {
                self.state.last_number -= 1;
            }
        } else {
            news.entry(younger).or_default().push(News::MergedInto(older_id));
        }
        self.give(older, pieces);
        let Some(case) = self.state.cases.get_mut(&older) else { return };
        if !was_opened_now {
            case.note(now, "state", None, format!("took in {}: same cause", gone_id.0), None);
            news.entry(older).or_default().push(News::TookIn(gone_id));
        }
    }

    /// Notes which incidents began together, so that a habit is known one day.
    fn learn_from_opened(&mut self, news: &BTreeMap<u64, Vec<News>>) {
        let opened = news.iter().filter(|(_, list)| list.contains(&News::Opened)).map(|(number, _)| *number);
        for number in opened.collect::<Vec<u64>>() {
            let Some(case) = self.state.cases.get(&number) else { continue };
            let Some(main) = self.named_after(case) else { continue };
            let (tenant, start) = (case.public.tenant.clone(), case.public.started_at);
            let others = self.state.cases.range(..number).map(|(_, other)| other);
            let at_once = others.filter(|other| {
                let apart = other.public.started_at.since(start).abs();
                other.public.tenant == tenant && apart <= self.config.at_once_ns
            });
            let others: BTreeSet<EntityId> = at_once.filter_map(|other| self.named_after(other)).collect();
            self.state.learned.opened(&tenant, &main, others.iter().filter(|other| **other != main));
        }
    }

    /// The entity of an incident's first evidence that hurts.
    fn named_after(&self, case: &Case) -> Option<EntityId> {
        let telling = case.telling(self.config.hurts_impact);
        telling.into_iter().min_by_key(|piece| (piece.start, piece.id)).map(|piece| piece.entity.clone())
    }

    fn resolve_quiet(&mut self, now: Time, news: &mut BTreeMap<u64, Vec<News>>) {
        let quiet: Vec<(u64, Time)> = self
            .state
            .cases
            .values()
            .filter(|case| case.is_active())
            .filter_map(|case| Some((case.number, case.quiet_since(&self.config)?)))
            .filter(|(_, since)| now.since(*since) >= self.config.quiet_ns)
            .collect();
        for (number, since) in quiet {
            if let Some(case) = self.state.cases.get_mut(&number) {
                case.note(now, "state", None, format!("resolved: all that hurt was over at {}", clock(since)), None);
            }
            self.close(number, now);
            news.entry(number).or_default().push(News::State(IncidentState::Resolved));
        }
    }

    /// Shows changes of affected entities, and of what those need, in the timeline.
    fn note_changes(&mut self, input: &Input) {
        for case in self.state.cases.values_mut().filter(|case| case.is_active()) {
            let from = case.public.started_at.plus(-CHANGES_BEFORE_NS);
            let entities: BTreeSet<EntityId> = case.pieces.values().map(|p| p.entity.clone()).collect();
            let tenant = case.public.tenant.clone();
            for change in input.changes.iter().filter(|c| c.at >= from && c.tenant == tenant) {
                let concerns = entities.contains(&change.entity);
                if concerns && !case.has_line(change.at, "change", &change.entity) {
                    let version = change.version.as_ref().map(|v| format!(" of version {v}")).unwrap_or_default();
                    let text = format!("{}: {}{version}", change.entity.name(), change.kind);
                    case.note(change.at, "change", Some(change.entity.clone()), text, None);
                }
            }
        }
    }

    fn forget(&mut self, now: Time) {
        let too_old = |case: &Case| {
            let resolved_at = case.public.resolved_at.unwrap_or(now);
            !case.is_active() && now.since(resolved_at) > self.config.keep_ns
        };
        let mut gone: Vec<u64> = self.state.cases.values().filter(|c| too_old(c)).map(|c| c.number).collect();
        let resolved: Vec<u64> = self.state.cases.values().filter(|c| !c.is_active()).map(|c| c.number).collect();
        gone.extend(resolved.iter().take(resolved.len().saturating_sub(MOST_RESOLVED)));
        for number in gone {
            self.state.cases.remove(&number);
        }
        let cases = &self.state.cases;
        self.state.home.retain(|_, number| cases.contains_key(number));
        self.state.muted.retain(|_, since| now.since(*since) <= DAY);
    }

    fn publish(&mut self, input: &Input, map: &Neighbourhood, mut news: BTreeMap<u64, Vec<News>>) -> Vec<Update> {
        let points: Vec<RequestPoint> = self.state.points.iter().cloned().collect();
        let mut updates = Vec::new();
        for case in self.state.cases.values_mut() {
            let mut list = news.remove(&case.number).unwrap_or_default();
            if !case.is_active() && list.is_empty() {
                continue;
            }
            let before = case.public.clone();
            case.present(&self.config, map, &points);
            let opened = list.contains(&News::Opened);
            if case.public.severity != before.severity && !opened {
                list.push(News::Severity(case.public.severity));
            }
            let grew = case.touched
                || case.public.findings != before.findings
                || case.public.entities != before.entities
                || case.public.title != before.title;
            let since_said = input.now.since(case.counts_said_at);
            let counts_due = since_said >= COUNTS_EVERY_NS;
            // A storm of evidence is not said line by line.
            let grew = grew && (case.public.timeline.len() < LONG_TIMELINE || since_said >= GREW_EVERY_NS);
            if list.is_empty() && (grew || counts_due && case.public != before) {
                list.push(News::Grew);
            }
            if list.is_empty() {
                // Not said, so not shown either: what is read is what was said.
                case.public = before;
                continue;
            }
            case.counts_said_at = input.now;
            case.touched = false;
            updates.push(Update { incident: case.public.clone(), news: list });
        }
        updates
    }
}

/// What the findings of a step are held against.
struct Ground<'a> {
    map: Neighbourhood<'a>,
    /// What was changed lately in a way that may break it, by tenant, and when.
    changed: BTreeMap<Tenant, BTreeMap<EntityId, Vec<Time>>>,
    /// Whose requests are seen, by tenant.
    seen: BTreeMap<Tenant, BTreeSet<EntityId>>,
}

impl<'a> Ground<'a> {
    fn new(input: &Input<'a>, points: &VecDeque<RequestPoint>) -> Ground<'a> {
        let mut changed: BTreeMap<Tenant, BTreeMap<EntityId, Vec<Time>>> = BTreeMap::new();
        let lately = |c: &&Change| input.now.since(c.at) <= CHANGES_BEFORE_NS && types::change::can_break(&c.kind);
        for change in input.changes.iter().filter(lately) {
            let of_tenant = changed.entry(change.tenant.clone()).or_default();
            of_tenant.entry(change.entity.clone()).or_default().push(change.at);
        }
        let mut seen: BTreeMap<Tenant, BTreeSet<EntityId>> = BTreeMap::new();
        for point in points.iter().rev().take_while(|point| input.now.since(point.at) <= SEEN_NS) {
            if !seen.get(&point.tenant).is_some_and(|seen| seen.contains(&point.entity)) {
                seen.entry(point.tenant.clone()).or_default().insert(point.entity.clone());
            }
        }
        Ground { map: Neighbourhood::new(input.registry, input.topology, input.now), changed, seen }
    }
}

/// A name under which findings are looked up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Listed {
    Entity(EntityId),
    /// Alerts of one rule.
    Rule(String),
}

/// Which findings or incidents are listed under a name.
struct Index<T>(BTreeMap<Listed, BTreeSet<T>>);

impl<T> Default for Index<T> {
    fn default() -> Index<T> {
        Index(BTreeMap::new())
    }
}

impl<T: Copy + Ord> Index<T> {
    fn list(&mut self, piece: &Piece, what: T) {
        self.0.entry(Listed::Entity(piece.entity.clone())).or_default().insert(what);
        if piece.measure == inbox::MEASURE && !piece.scope.is_empty() {
            self.0.entry(Listed::Rule(piece.scope.clone())).or_default().insert(what);
        }
    }

    fn any_of(&self, names: &BTreeSet<Listed>) -> BTreeSet<T> {
        names.iter().filter_map(|name| self.0.get(name)).flatten().copied().collect()
    }
}

/// Sets that are joined step by step; the smallest number stands for its set.
struct Union(Vec<usize>);

impl Union {
    fn new(n: usize) -> Union {
        Union((0..n).collect())
    }

    fn root(&mut self, mut i: usize) -> usize {
        while self.0[i] != i {
            self.0[i] = self.0[self.0[i]];
            i = self.0[i];
        }
        i
    }

    fn link(&mut self, i: usize, j: usize) {
        let (x, y) = (self.root(i), self.root(j));
        self.0[y.max(x)] = x.min(y);
    }

    fn are_one(&mut self, i: usize, j: usize) -> bool {
        self.root(i) == self.root(j)
    }

    fn is_alone(&mut self, i: usize) -> bool {
        self.root(i) == i
    }
}

/// The number in `inc-NUMBER`.
fn number_of(id: &IncidentId) -> Option<u64> {
    id.0.strip_prefix("inc-")?.parse().ok()
}

fn by(what: &str, actor: &Option<String>) -> String {
    match actor {
        Some(actor) => format!("{what} by {actor}"),
        None => what.to_owned(),
    }
}

fn top(incident: &Incident) -> Option<(&EntityId, types::CauseKind)> {
    incident.causes.first().map(|cause| (&cause.entity, cause.kind))
}

/// Takes over what was said of causes: one said again is replaced, one that ended is withdrawn.
fn set_causes(case: &mut Case, said: &[&Finding], config: &GroupingConfig, map: &Neighbourhood, input: &Input) {
    let old_top = top(&case.public).map(|(entity, kind)| (entity.clone(), kind));
    let mut causes = std::mem::take(&mut case.public.causes);
    let mut missing = std::mem::take(&mut case.public.missing);
    for finding in said {
        let (evidence, against, lacks) = sort_evidence(&finding.evidence);
        missing.extend(lacks);
        let Some(kind) = finding.cause else {
            missing.push(finding.summary.clone());
            continue;
        };
        if !finding.ongoing && !case.is_active() {
            // The incident is over, and so is asking why: what was found stays.
            continue;
        }
        causes.retain(|known| known.entity != finding.entity || known.kind != kind);
        if finding.ongoing {
            let (entity, belief) = (finding.entity.clone(), rounded(finding.belief, 4));
            causes.push(Cause { entity, kind, belief, summary: finding.summary.clone(), evidence, against });
        }
    }
    causes.sort_by(|a, b| b.belief.total_cmp(&a.belief).then_with(|| (&a.entity, a.kind).cmp(&(&b.entity, b.kind))));
    causes.truncate(10);
    let best = causes.first().map_or(0.0, |cause| cause.belief);
    let next = causes.iter().skip(1).find(|c| c.entity != causes[0].entity).map_or(0.0, |cause| cause.belief);
    let undecided = best < config.decided_belief || best - next < config.decided_margin;
    if undecided {
        missing.extend(what_would_help(case, map, input));
    } else {
        missing.clear();
    }
    missing.sort();
    missing.dedup();
    missing.truncate(10);
    let was_undecided = case.public.undecided;
    case.public.causes = causes;
    case.public.undecided = undecided;
    case.public.missing = missing;
    let new_top = top(&case.public).map(|(entity, kind)| (entity.clone(), kind));
    let decided_anew = !undecided && (was_undecided || old_top != new_top);
    if let (true, Some((entity, kind))) = (decided_anew, new_top) {
        let text = format!("likely cause: {}, {} (belief {best:.2})", entity.name(), cause_word(kind));
        case.note(input.now, "cause", Some(entity), text, None);
    } else if undecided && !was_undecided {
        case.note(input.now, "cause", None, "the cause is undecided again".to_owned(), None);
    }
}

/// Notes that begin with `against:` or `missing:` are kept apart.
fn sort_evidence(evidence: &[Evidence]) -> (Vec<Evidence>, Vec<Evidence>, Vec<String>) {
    let (mut pro, mut against, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for item in evidence.iter().take(50) {
        match item {
            Evidence::Note { text } if text.starts_with("missing:") => missing.push(text[8..].trim().to_owned()),
            Evidence::Note { text } if text.starts_with("against:") => {
                against.push(Evidence::Note { text: text[8..].trim().to_owned() });
            }
            _ => pro.push(item.clone()),
        }
    }
    (pro, against, missing)
}

fn what_would_help(case: &Case, map: &Neighbourhood, input: &Input) -> Vec<String> {
    let mut hints = Vec::new();
    if !case.public.entities.iter().any(|entity| map.knows(entity)) {
        hints.push("who calls whom: send traces of the affected services".to_owned());
    }
    let mut of_tenant = input.changes.iter().filter(|change| change.tenant == case.public.tenant);
    if !of_tenant.any(|change| types::change::can_break(&change.kind)) {
        hints.push("what was changed: announce deployments as changes".to_owned());
    }
    hints
}
