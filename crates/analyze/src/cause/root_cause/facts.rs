//! What is known of the entities around an incident, sorted by what it says about causes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use types::finding::{is_gone, is_of_requests, is_passed_on};
use types::{
    Direction, EdgeKind, EntityId, EntityKey, Evidence, Finding, FindingId, Incident, MINUTE, SECOND, Shape, Tenant,
    Time,
};
use view::View;

/// How far before an incident a finding that is not listed in it may have begun, and ended, and still belong to its
/// story: what was over before is another story, and what goes on for long is its usual state.
const BEGUN_BEFORE_NS: i64 = 10 * MINUTE;
const ENDED_BEFORE_NS: i64 = MINUTE;
/// How long after an incident's onset a finding of another incident may begin and still be its cause.
const BEGUN_AFTER_NS: i64 = 2 * MINUTE;
/// While something goes on, what ended so long ago no longer speaks of it.
const STALE_NS: i64 = 3 * MINUTE;
/// How far before the onset a change may lie.
pub(super) const CHANGE_WINDOW_NS: i64 = 15 * MINUTE;
/// Onsets are known to a bucket of ten seconds, and clocks differ: what lies this little later may have been first.
pub(super) const SLACK_NS: i64 = 20 * SECOND;
/// Hops of need that are followed from the affected entities.
const HOPS: usize = 3;

/// Something that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub at: Time,
    pub kind: String,
    pub version: Option<String>,
    /// Reported as an event; else seen in what the service says of itself.
    pub announced: bool,
}

/// What is known around one incident.
pub(super) struct Facts<'a> {
    pub entities: BTreeMap<EntityId, About<'a>>,
    /// The earliest sign (of an affected entity).
    pub onset: Time,
}

/// What is known of one entity.
#[derive(Default)]
pub(super) struct About<'a> {
    /// It fails or is slow by itself.
    pub own: Vec<&'a Finding>,
    /// It passes on what others do.
    pub passed_on: Vec<&'a Finding>,
    /// It, or all of it, sends nothing.
    pub silent: Vec<&'a Finding>,
    /// One of its instances is gone.
    pub lost: Vec<&'a Finding>,
    /// Errors and unusual lines in its logs.
    pub logs: Vec<&'a Finding>,
    /// A resource that runs out.
    pub resources: Vec<&'a Finding>,
    /// Metrics that are not as usual.
    pub metrics: Vec<&'a Finding>,
    /// Far more requests, or far fewer.
    pub load: Vec<&'a Finding>,
    /// Promises about it that are being broken: they say that it hurts, and nothing about why.
    pub promises: Vec<&'a Finding>,
    /// Inputs of a model that are other ones, or broken.
    pub data: Vec<&'a Finding>,
    /// What a model makes of its inputs: errors, predictions, fairness.
    pub model: Vec<&'a Finding>,
    /// Calls to it that are slow or fail, as its callers see them.
    pub blamed: Vec<&'a Finding>,
    /// Its calls to things that send no spans.
    pub calls_unseen: Vec<&'a Finding>,
    pub changes: Vec<Change>,
    /// What it needs, nearest first, up to three hops.
    pub needs: Vec<EntityId>,
    /// Who calls it directly.
    pub callers: BTreeSet<EntityId>,
    /// Whether its spans are seen.
    pub has_spans: bool,
}

impl About<'_> {
    /// All findings about it.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let groups = [&self.own, &self.passed_on, &self.silent, &self.lost, &self.logs, &self.resources, &self.metrics];
        let others = [&self.load, &self.calls_unseen, &self.promises, &self.data, &self.model];
        groups.into_iter().chain(others).flatten().copied()
    }

    /// When the first of its strong signs came.
    fn strong_onset(&self) -> Option<Time> {
        let groups = [&self.own, &self.silent, &self.lost, &self.resources, &self.data, &self.model];
        groups.into_iter().flatten().map(|f| f.start).min()
    }

    /// When the first sign that it is at fault itself came. A gauge that bent says when only where nothing else does.
    pub fn onset(&self) -> Option<Time> {
        let first = |groups: &[&Vec<&Finding>]| groups.iter().flat_map(|group| group.iter()).map(|f| f.start).min();
        let strong = [&self.own, &self.silent, &self.lost, &self.resources, &self.data, &self.model];
        let others = [&self.logs, &self.calls_unseen, &self.blamed, &self.load];
        let mine = first(&strong).into_iter().chain(first(&others)).min();
        mine.or_else(|| first(&[&self.metrics])).or_else(|| first(&[&self.passed_on]))
    }
}

/// All findings, by whom they are about, and which incidents have them. Made once for all incidents of a step.
pub(super) struct Record<'a> {
    by_entity: BTreeMap<&'a EntityId, Vec<&'a Finding>>,
    /// Number of the incident that has a finding; `None` where more than one lists it.
    homes: BTreeMap<FindingId, Option<usize>>,
}

impl<'a> Record<'a> {
    pub fn new(view: &'a View) -> Record<'a> {
        let mut by_entity: BTreeMap<&EntityId, Vec<&Finding>> = BTreeMap::new();
        for finding in view.findings.iter().filter(|f| f.shape == Shape::Abnormal) {
            by_entity.entry(&finding.entity).or_default().push(finding);
        }
        let listed = view
            .incidents
            .iter()
            .enumerate()
            .flat_map(|(i, incident)| incident.findings.iter().map(move |finding| (*finding, Some(i))));
        let mut homes = BTreeMap::new();
        for (finding, home) in listed {
            homes.entry(finding).and_modify(|known| *known = None).or_insert(home);
        }
        Record { by_entity, homes }
    }
}

/// Collects what is known around the incident of this number.
pub(super) fn gather<'a>(
    view: &'a View,
    record: &Record<'a>,
    number: usize,
    changes_of: impl Fn(&Tenant, &EntityId) -> Vec<Change>,
    sends_spans: impl Fn(EntityKey) -> bool,
) -> Facts<'a> {
    let incident = &view.incidents[number];
    let listed: BTreeMap<FindingId, &Finding> =
        incident.findings.iter().filter_map(|id| Some((*id, view.findings.get(*id)?))).collect();
    let is_of_another = |f: &Finding| record.homes.get(&f.id).is_some_and(|home| *home != Some(number));
    let latest = incident.started_at.plus(BEGUN_AFTER_NS);
    // Where somebody here has trouble of its own, what another incident has is another story.
    let has_own = listed.values().any(|f| is_own(f));
    let around = around(view, incident);
    let mut facts = Facts { entities: BTreeMap::new(), onset: incident.started_at };
    for entity in &around {
        facts.entities.insert(entity.clone(), About::default());
    }
    let is_near = |f: &Finding| {
        (f.ongoing || f.end >= incident.started_at.plus(-ENDED_BEFORE_NS))
            && f.start >= incident.started_at.plus(-BEGUN_BEFORE_NS)
            // What another incident has speaks of that one alone where it is about an entity that is in both, was over
            // before this one began, or came well after. That an entity passes on trouble says everywhere that its
            // other signs may be others' doing.
            && !(f.scope != "downstream"
                && (has_own || incident.entities.contains(&f.entity) || f.end < incident.started_at || f.start > latest)
                && is_of_another(f))
    };
    let near = around.iter().filter_map(|entity| record.by_entity.get(entity)).flatten().filter(|f| is_near(f));
    let mut belonging: BTreeMap<FindingId, &'a Finding> = near.map(|f| (f.id, *f)).collect();
    belonging.extend(listed);
    // Two weak beliefs do not make a strong one: what is hardly believed is left out.
    belonging.retain(|_, f| f.shape == Shape::Abnormal && f.tenant == incident.tenant && f.belief >= 0.3);
    let goes_on = belonging.values().any(|f| f.ongoing);
    for finding in belonging.into_values() {
        // That it passed on the trouble of others still says that its other signs are theirs.
        let may_pass = !finding.ongoing && finding.scope != "downstream";
        let is_stale = goes_on && may_pass && view.now.since(finding.end) > STALE_NS;
        if !is_stale {
            facts.sort_in(finding);
        }
    }
    for (entity, about) in &mut facts.entities {
        // Something minor may have begun before the change that made it an incident.
        let onset = about.strong_onset().or(about.onset()).unwrap_or_default().max(incident.started_at);
        let window = onset.0 - CHANGE_WINDOW_NS..=onset.0 + SLACK_NS;
        about.changes = changes_of(&incident.tenant, entity);
        about.changes.retain(|c| window.contains(&c.at.0));
        about.learn_place(view, incident, entity, &sends_spans);
    }
    facts.onset = facts.entities.values().filter_map(About::onset).min().unwrap_or(incident.started_at);
    facts
}

/// Whether a finding says that its entity is in trouble by itself, not by what it calls.
fn is_own(finding: &Finding) -> bool {
    let (measure, scope) = (finding.measure.as_str(), finding.scope.as_str());
    is_of_requests(measure) && !is_passed_on(scope) || is_gone(measure, scope) || measure == "resource"
}

impl<'a> Facts<'a> {
    fn sort_in(&mut self, finding: &'a Finding) {
        let about = self.entities.entry(finding.entity.clone()).or_default();
        if let Some(target) = called(finding) {
            let target = target.clone();
            about.calls_unseen.push(finding);
            self.entities.entry(target).or_default().blamed.push(finding);
            return;
        }
        let group = match (finding.measure.as_str(), finding.scope.as_str()) {
            (measure, "downstream") if is_of_requests(measure) => &mut about.passed_on,
            (measure, _) if is_of_requests(measure) => &mut about.own,
            ("silence", "") => &mut about.silent,
            ("silence", scope) if scope.starts_with("instance ") => &mut about.lost,
            // A metric that stopped says that something stopped, but not more than other metrics do.
            ("silence", _) => &mut about.metrics,
            ("request_rate", _) => &mut about.load,
            ("slo_burn", _) => &mut about.promises,
            ("resource", _) => &mut about.resources,
            ("model_input_drift" | "model_data_quality", _) => &mut about.data,
            (measure, _) if measure.starts_with("model_") => &mut about.model,
            (measure, _) if measure.starts_with("log_") => &mut about.logs,
            _ => &mut about.metrics,
        };
        group.push(finding);
    }
}

impl About<'_> {
    fn learn_place(
        &mut self,
        view: &View,
        incident: &Incident,
        entity: &EntityId,
        sends_spans: &impl Fn(EntityKey) -> bool,
    ) {
        let has_findings = self.findings().any(|f| f.method == "requests");
        self.has_spans = has_findings;
        // What sends no spans may not be on the map: who blames it calls it.
        self.callers = self.blamed.iter().map(|f| f.entity.clone()).collect();
        let Some(key) = view.registry.find_entity(entity) else { return };
        self.needs =
            needs(view, incident, key).into_iter().filter_map(|k| view.registry.entity_id(k).cloned()).collect();
        let needed_by = view.topology.needed_by_during(key, incident.started_at, view.now);
        let callers = needed_by.filter(|(_, kind, _)| *kind == EdgeKind::Calls);
        self.callers.extend(callers.filter_map(|(k, _, _)| view.registry.entity_id(k).cloned()));
        self.has_spans |= sends_spans(key);
    }
}

/// The affected entities and what they need. What needs another affected entity suffers from that one: what else it
/// needs is another story.
fn around(view: &View, incident: &Incident) -> BTreeSet<EntityId> {
    let mut found: BTreeSet<EntityId> = incident.entities.iter().cloned().collect();
    let keys: Vec<EntityKey> = incident.entities.iter().filter_map(|e| view.registry.find_entity(e)).collect();
    let all_needs: Vec<Vec<EntityKey>> = keys.iter().map(|key| needs(view, incident, *key)).collect();
    let needs_mutually = |i: usize, j: usize| all_needs[i].contains(&keys[j]) && all_needs[j].contains(&keys[i]);
    for (i, own_needs) in all_needs.iter().enumerate() {
        let suffers = (0..keys.len()).any(|j| i != j && own_needs.contains(&keys[j]) && !needs_mutually(i, j));
        if !suffers {
            found.extend(own_needs.iter().filter_map(|k| view.registry.entity_id(*k).cloned()));
        }
    }
    found
}

/// What an entity needs, or needed since the incident began, directly or not, nearest first.
fn needs(view: &View, incident: &Incident, from: EntityKey) -> Vec<EntityKey> {
    let mut seen = BTreeSet::from([from]);
    let (mut order, mut edge) = (Vec::new(), vec![from]);
    for _ in 0..HOPS {
        let mut next = Vec::new();
        for key in edge {
            for (target, _, _) in view.topology.needs_during(key, incident.started_at, view.now) {
                if seen.insert(target) {
                    next.push(target);
                }
            }
        }
        order.extend(next.iter().copied());
        edge = next;
    }
    order
}

/// The called side of a finding about calls.
pub(super) fn called(finding: &Finding) -> Option<&EntityId> {
    if !finding.scope.starts_with("calls ") {
        return None;
    }
    finding.evidence.iter().find_map(|e| match e {
        Evidence::Edge { target, .. } => Some(target),
        _ => None,
    })
}

/// Whether a finding says that something rose.
pub(super) fn is_up(finding: &Finding) -> bool {
    finding.direction == Direction::Up
}
