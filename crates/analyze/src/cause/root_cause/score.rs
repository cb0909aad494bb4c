//! Points for each candidate, and from points to beliefs.

use types::{CauseKind, EntityId, Evidence, Finding, MINUTE, SECOND, Time};

use super::facts::{About, Change, Facts, SLACK_NS, called, is_up};
use crate::detect::words::{clock, plain};

/// Points (logarithms of odds, natural) that evidence is worth, times the belief of the finding behind it.
pub struct Weights {
    /// The service fails by itself.
    pub own_errors: f64,
    /// The service is slow by itself.
    pub own_latency: f64,
    /// Its logs show new or more errors.
    pub logs: f64,
    /// Its metrics are not as usual.
    pub metrics: f64,
    /// All of it is silent.
    pub silent: f64,
    /// One of its instances is gone.
    pub lost: f64,
    /// A resource runs out.
    pub resource: f64,
    /// The resource was spent before the errors came.
    pub resource_first: f64,
    /// A change just before the onset; falls to 40 % of it at fifteen minutes.
    pub change: f64,
    /// Its calls to something that sends no spans are bad.
    pub unseen: f64,
    /// Calls to it are bad although it sees nothing wrong itself.
    pub blamed: f64,
    /// A surge of requests at an entry.
    pub surge: f64,
    /// Inputs of a model are other ones, or broken.
    pub data: f64,
    /// A model makes errors, or other predictions, of the inputs that it always had.
    pub model: f64,
    /// Each caller that suffers, twice at most.
    pub caller: f64,
    /// Abnormal first.
    pub first: f64,
    /// Something that it needs was abnormal no later and is at fault itself.
    pub explained: f64,
    /// None of the candidates.
    pub none: f64,
}

/// The weights in use. Set so that one strong own sign decides (own errors 4 against 2 for none gives 0.88), a change
/// or a spent resource beats the fault it shows as, and metrics alone do not decide.
pub const WEIGHTS: Weights = Weights {
    own_errors: 4.5,
    own_latency: 4.0,
    logs: 3.5,
    metrics: 1.5,
    silent: 3.0,
    lost: 5.0,
    resource: 5.0,
    resource_first: 1.5,
    change: 3.0,
    unseen: 4.5,
    blamed: 1.5,
    surge: 4.5,
    data: 4.5,
    model: 4.5,
    caller: 0.6,
    first: 0.6,
    explained: 1.5,
    none: 2.0,
};

/// Evidence copied from findings per cause.
const MAX_EVIDENCE: usize = 8;

/// A suspected cause.
pub(super) struct Candidate {
    pub entity: EntityId,
    pub kind: CauseKind,
    /// When the entity first showed signs.
    pub onset: Time,
    pub points: f64,
    /// 0..=1; all together at most 1.
    pub belief: f64,
    pub summary: String,
    pub evidence: Vec<Evidence>,
    pub reasons: Vec<String>,
    pub against: Vec<String>,
    pub missing: Vec<String>,
    /// What fails or is slow there comes from what it calls.
    pub only_passes_on: bool,
}

/// All candidates with points, best first.
pub(super) fn rank(facts: &Facts) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> =
        facts.entities.iter().flat_map(|(entity, about)| candidates_of(facts, entity, about)).collect();
    // A softmax; taking the largest away first keeps it in range and changes nothing.
    let most = candidates.iter().map(|c| c.points).fold(WEIGHTS.none, f64::max);
    let total: f64 = (WEIGHTS.none - most).exp() + candidates.iter().map(|c| (c.points - most).exp()).sum::<f64>();
    for candidate in &mut candidates {
        candidate.belief = (candidate.points - most).exp() / total;
    }
    candidates.sort_by(|a, b| {
        b.belief.total_cmp(&a.belief).then_with(|| a.entity.cmp(&b.entity)).then_with(|| a.kind.cmp(&b.kind))
    });
    candidates
}

/// What all kinds of cause at one entity share.
struct Place<'a> {
    entity: &'a EntityId,
    about: &'a About<'a>,
    onset: Time,
    /// Points for where and when it is.
    points: f64,
    reasons: Vec<String>,
    against: Vec<String>,
    missing: Vec<String>,
    /// Points of what it does by itself.
    own: f64,
    /// What fails or is slow at it comes from what it calls.
    only_passes_on: bool,
}

fn candidates_of(facts: &Facts, entity: &EntityId, about: &About) -> Vec<Candidate> {
    let Some(place) = Place::new(facts, entity, about) else { return Vec::new() };
    let kinds = [
        (CauseKind::Resource, place.resource()),
        (CauseKind::Change, place.change()),
        (CauseKind::Host, place.host()),
        (CauseKind::Software, place.software()),
        (CauseKind::Dependency, place.dependency(facts)),
        (CauseKind::External, place.external()),
        (CauseKind::Traffic, place.traffic()),
        (CauseKind::Data, place.data()),
        (CauseKind::Model, place.model()),
    ];
    let found = kinds.into_iter().filter_map(|(kind, points)| Some((kind, points?)));
    let mut found: Vec<Candidate> = found.map(|(kind, points)| place.candidate(kind, points)).collect();
    weigh_against_each_other(&mut found);
    found
}

/// Says at each candidate which other kind at the same entity explains more.
fn weigh_against_each_other(found: &mut [Candidate]) {
    let best = found.iter().max_by(|a, b| a.points.total_cmp(&b.points)).map(|c| (c.kind, c.points));
    let Some((kind, most)) = best else { return };
    for other in found.iter_mut().filter(|c| c.kind != kind && c.points < most) {
        let better = match kind {
            CauseKind::Change => "a change just before explains it better",
            CauseKind::Resource => "a spent resource explains it better",
            CauseKind::Host => "a vanished instance explains it better",
            CauseKind::Data => "other or broken inputs explain it better",
            CauseKind::Dependency | CauseKind::External => "slow or failing calls explain it better",
            _ => continue,
        };
        other.against.push(better.to_owned());
    }
}

impl<'a> Place<'a> {
    fn new(facts: &Facts, entity: &'a EntityId, about: &'a About<'a>) -> Option<Place<'a>> {
        let has_changes = !about.changes.is_empty();
        let onset = about.onset().or(has_changes.then_some(facts.onset))?;
        let mut place = Place {
            entity,
            about,
            onset,
            points: 0.0,
            reasons: Vec::new(),
            against: Vec::new(),
            missing: Vec::new(),
            own: 0.0,
            only_passes_on: about.own.is_empty()
                && !about.passed_on.is_empty()
                && !calls_something_unseen(facts, about),
        };
        // Something that only was changed is not earlier than others, nor does it hurt its callers.
        if about.onset().is_some() {
            place.weigh_onset(facts);
            place.weigh_callers(facts);
        }
        place.own = place.weigh_own(facts);
        Some(place)
    }

    fn weigh_onset(&mut self, facts: &Facts) {
        let later = self.onset.since(facts.onset);
        if later <= SLACK_NS / 2 {
            self.points += WEIGHTS.first;
            self.reasons.push(format!("it was among the first to be abnormal, at {}", clock(self.onset)));
        } else if later > SLACK_NS {
            // Half a point a minute: late ones are rather symptoms.
            self.points -= (later as f64 / MINUTE as f64 * 0.5).min(1.0);
            self.against.push(format!("others were abnormal {} s before it", later / SECOND));
        }
    }

    fn weigh_callers(&mut self, facts: &Facts) {
        let suffers =
            |c: &&EntityId| facts.entities.get(*c).is_some_and(|a| !a.passed_on.is_empty() || !a.own.is_empty());
        let suffering: Vec<String> = self.about.callers.iter().filter(suffers).map(plain).collect();
        if !suffering.is_empty() {
            self.points += WEIGHTS.caller * suffering.len().min(2) as f64;
            self.reasons.push(format!("it is called by {}, abnormal too", suffering.join(", ")));
        }
    }

    /// Points of what it does by itself, less what others explain.
    fn weigh_own(&mut self, facts: &Facts) -> f64 {
        let about = self.about;
        let spans = about.own.iter().map(|f| match f.measure.as_str() {
            "error_ratio" => WEIGHTS.own_errors * f.belief,
            _ => WEIGHTS.own_latency * f.belief,
        });
        let by_spans = best_and_half(spans);
        let logs = about.logs.iter().map(|f| WEIGHTS.logs * f.belief * log_weight(f));
        let metrics = about.metrics.iter().map(|f| WEIGHTS.metrics * f.belief);
        let mut by_others = best_and_half(logs).max(0.0) + best_and_half(metrics);
        // Calls to something unseen (its own database) leave open who is at fault.
        if self.only_passes_on {
            by_others *= 0.2;
            self.against.push("its failed or slow requests come from what it calls".into());
        }
        let culprit = about.needs.iter().find(|n| at_fault_no_later(facts, n, self.onset));
        if let Some(culprit) = culprit {
            self.against.push(format!("it needs {}, which is abnormal too and no later", plain(culprit)));
            if by_spans > 0.0 {
                self.points -= WEIGHTS.explained;
            } else {
                by_others *= 0.25;
            }
        }
        if let Some(entry) = surge_above(facts, self.entity, self.onset) {
            self.against.push(format!("far more requests came in at {} than usual", plain(entry)));
            by_others *= 0.25;
            if by_spans > 0.0 {
                self.points -= WEIGHTS.explained;
            }
        }
        if !about.has_spans {
            self.missing.push(format!("traces of {}, which would show whether it fails by itself", plain(self.entity)));
        }
        if by_spans > 0.0 {
            self.reasons.push("its own work fails or is slow, not what it calls".into());
            return by_spans + by_others.min(1.5);
        }
        by_others
    }

    fn software(&self) -> Option<f64> {
        let silent = strongest(&self.about.silent) * (WEIGHTS.silent - 0.5);
        let lost = strongest(&self.about.lost) * WEIGHTS.lost * 0.5;
        let blamed = if self.blamed_alone() { strongest(&self.about.blamed) * WEIGHTS.blamed } else { 0.0 };
        let points = self.own.max(silent).max(lost).max(blamed);
        (points > 0.0 && self.is_a_program()).then_some(self.points + points)
    }

    fn resource(&self) -> Option<f64> {
        let first = self.about.resources.iter().map(|f| f.start).min()?;
        let errors = self.about.own.iter().chain(&self.about.logs).map(|f| f.start).min();
        let base = strongest(&self.about.resources) * WEIGHTS.resource;
        let points = match errors {
            // Memory also grows because requests pile up: what came long after the errors is their effect.
            Some(errors) if first.since(errors) > 3 * SLACK_NS => base * 0.5 + self.own * 0.4,
            Some(_) => base + WEIGHTS.resource_first + self.own * 0.8,
            None => base + self.own * 0.8,
        };
        Some(self.points + points)
    }

    fn change(&self) -> Option<f64> {
        let change = self.latest_change()?;
        let minutes = (self.onset.since(change.at).max(0) as f64 / MINUTE as f64 - 2.0).max(0.0);
        let near = (1.0 - 0.6 * minutes / 13.0).clamp(0.4, 1.0);
        let sure = if change.announced { 1.0 } else { 0.8 };
        let signs = self.own.max(strongest(&self.about.silent) * 2.0).max(strongest(&self.about.lost) * 2.0);
        let signs = signs.max(strongest(&self.about.data) * WEIGHTS.data);
        let signs = signs.max(strongest(&self.about.model) * WEIGHTS.model);
        let signs = signs.max(strongest(&self.about.resources) * WEIGHTS.resource * 0.8);
        // A change of something that shows no sign of its own is a coincidence more often than not.
        let worth = if signs > 0.5 && !self.only_passes_on { WEIGHTS.change } else { WEIGHTS.change / 2.0 };
        Some(self.points + signs + worth * near * sure)
    }

    fn host(&self) -> Option<f64> {
        let lost = strongest(&self.about.lost) * WEIGHTS.lost;
        let silent = strongest(&self.about.silent) * WEIGHTS.silent;
        let points = lost.max(silent);
        if points <= 0.0 {
            return None;
        }
        let blamed = strongest(&self.about.blamed) * WEIGHTS.blamed;
        Some(self.points + points + blamed)
    }

    /// Slow or failing calls to something that sends no spans: rather that than its caller, whose use of it may still be
    /// the reason while it has no other caller.
    fn dependency(&self, facts: &Facts) -> Option<f64> {
        if self.entity.kind() == "database" && !self.about.blamed.is_empty() {
            return Some(self.points + strongest(&self.about.blamed) * WEIGHTS.unseen);
        }
        let unseen = unseen_calls(facts, self.about);
        if unseen.is_empty() {
            return None;
        }
        let shared = unseen.iter().filter_map(|f| called(f)).any(|t| callers_that_blame(facts, t) >= 2);
        let discount = if shared { 3.0 } else { 2.0 };
        Some(self.points + strongest(&unseen) * WEIGHTS.unseen - discount)
    }

    /// A called service that sends no spans and is no database: somebody else's.
    fn external(&self) -> Option<f64> {
        let is_outside =
            self.entity.kind() == "service" && !self.about.has_spans && self.about.findings().next().is_none();
        if !is_outside || self.about.blamed.is_empty() {
            return None;
        }
        Some(self.points + strongest(&self.about.blamed) * WEIGHTS.unseen + 0.5)
    }

    fn traffic(&self) -> Option<f64> {
        let surges: Vec<&Finding> = self.about.load.iter().copied().filter(|f| is_up(f)).collect();
        let drops: Vec<&Finding> = self.about.load.iter().copied().filter(|f| !is_up(f)).collect();
        let surge = strongest(&surges) * WEIGHTS.surge;
        let drop = strongest(&drops) * WEIGHTS.surge * 0.6;
        (surge.max(drop) > 0.0).then_some(self.points + surge.max(drop))
    }

    /// Other inputs make other predictions and errors: what a model makes of them adds to what speaks against them.
    fn data(&self) -> Option<f64> {
        let points = strongest(&self.about.data) * WEIGHTS.data;
        let effect = strongest(&self.about.model);
        (points > 0.0).then_some(self.points + points + effect)
    }

    /// The model itself, unless its inputs explain it.
    fn model(&self) -> Option<f64> {
        let points = strongest(&self.about.model) * WEIGHTS.model;
        let explained = if self.about.data.is_empty() { 0.0 } else { WEIGHTS.explained };
        (points > 0.0).then_some(self.points + points - explained)
    }

    /// Calls to it fail but it sees nothing wrong: refused connections, a network between.
    fn blamed_alone(&self) -> bool {
        self.about.own.is_empty() && self.about.has_spans
    }

    fn is_a_program(&self) -> bool {
        !matches!(self.entity.kind(), "database" | "host" | "disk" | "model")
    }

    fn latest_change(&self) -> Option<&'a Change> {
        // An announced change also shows as a version: the announcement says more.
        let announced = self.about.changes.iter().rev().find(|c| c.announced);
        announced.or_else(|| self.about.changes.last())
    }

    fn candidate(&self, kind: CauseKind, points: f64) -> Candidate {
        let about = self.about;
        let mut findings: Vec<&Finding> = match kind {
            CauseKind::Resource => about.resources.iter().chain(&about.own).chain(&about.logs).copied().collect(),
            CauseKind::Host => about.lost.iter().chain(&about.silent).chain(&about.blamed).copied().collect(),
            CauseKind::Traffic => about.load.clone(),
            CauseKind::Data => about.data.iter().chain(&about.model).copied().collect(),
            CauseKind::Model => about.model.clone(),
            CauseKind::Change if self.entity.kind() == "model" => {
                about.model.iter().chain(&about.data).copied().collect()
            }
            CauseKind::Dependency | CauseKind::External => {
                about.calls_unseen.iter().chain(&about.blamed).chain(&about.own).copied().collect()
            }
            _ => about.own.iter().chain(&about.logs).chain(&about.silent).chain(&about.metrics).copied().collect(),
        };
        if findings.is_empty() {
            findings = about.findings().chain(about.blamed.iter().copied()).take(3).collect();
        }
        let mut reasons: Vec<String> = findings.iter().take(4).map(|f| f.summary.clone()).collect();
        reasons.extend(self.reasons.iter().cloned());
        let mut against = self.against.clone();
        let change = self.latest_change().filter(|_| kind == CauseKind::Change);
        if kind == CauseKind::Change && findings.is_empty() {
            against.push("nothing abnormal is seen at what was changed".into());
        }
        let evidence = change.map(|c| self.change_evidence(c)).into_iter();
        let evidence = evidence.chain(findings.iter().flat_map(|f| f.evidence.iter()).filter(is_openable).cloned());
        Candidate {
            entity: self.entity.clone(),
            kind,
            onset: self.onset,
            points,
            belief: 0.0,
            summary: self.summary(kind, &findings),
            evidence: evidence.take(MAX_EVIDENCE).collect(),
            reasons,
            against,
            missing: self.missing.clone(),
            only_passes_on: self.only_passes_on,
        }
    }

    fn change_evidence(&self, change: &Change) -> Evidence {
        Evidence::Change {
            entity: self.entity.clone(),
            kind: change.kind.clone(),
            version: change.version.clone(),
            at: change.at,
        }
    }

    fn summary(&self, kind: CauseKind, findings: &[&Finding]) -> String {
        let name = plain(self.entity);
        let what = findings.first().map_or_else(|| format!("{name} is affected"), |f| f.summary.clone());
        match kind {
            CauseKind::Change => match self.latest_change() {
                Some(change) => format!("{what}; {} came just before", change_in_words(change)),
                None => what,
            },
            CauseKind::Software => format!("{what}; no change or spent resource explains it"),
            CauseKind::Dependency | CauseKind::External => format!("{what}; the time or the errors come from there"),
            CauseKind::Traffic => format!("{what}; the load itself changed"),
            CauseKind::Model => format!("{what}; no change and no other inputs explain it"),
            _ => what,
        }
    }
}

/// `its deployment of 2.1.0 at 12:03:05`.
fn change_in_words(change: &Change) -> String {
    let version = change.version.as_ref().map(|v| format!(" of {v}")).unwrap_or_default();
    match (change.announced, change.kind.as_str()) {
        (true, kind) => format!("its {kind}{version} at {}", clock(change.at)),
        (false, _) => {
            format!("its first spans or lines of version{version} at {}", clock(change.at)).replace(" of ", " ")
        }
    }
}

/// Whether an entity is at fault itself and was so no later than `onset`.
fn at_fault_no_later(facts: &Facts, entity: &EntityId, onset: Time) -> bool {
    let Some(about) = facts.entities.get(entity) else { return false };
    let groups = [&about.own, &about.silent, &about.lost, &about.resources];
    let first = groups.into_iter().flatten().map(|f| f.start).min();
    let others = about.logs.iter().chain(&about.metrics).filter(|_| about.passed_on.is_empty()).map(|f| f.start).min();
    first.into_iter().chain(others).min().is_some_and(|first| first.since(onset) <= SLACK_NS)
}

/// An entry (or the entity itself) at which a surge of requests began no later.
fn surge_above<'a>(facts: &'a Facts, entity: &EntityId, onset: Time) -> Option<&'a EntityId> {
    let surges = |about: &About| about.load.iter().any(|f| is_up(f) && f.start.since(onset) <= SLACK_NS);
    let entry = facts.entities.iter().find(|(e, a)| (*e == entity || a.needs.contains(entity)) && surges(a));
    entry.map(|(entity, _)| entity)
}

/// Whether an entity sends no spans of its own.
fn is_unseen(facts: &Facts, entity: &EntityId) -> bool {
    facts.entities.get(entity).is_none_or(|a| !a.has_spans && a.findings().next().is_none())
}

/// Findings about its calls to things that send no spans.
fn unseen_calls<'a>(facts: &Facts, about: &About<'a>) -> Vec<&'a Finding> {
    about.calls_unseen.iter().copied().filter(|f| called(f).is_some_and(|t| is_unseen(facts, t))).collect()
}

fn calls_something_unseen(facts: &Facts, about: &About) -> bool {
    !unseen_calls(facts, about).is_empty()
}

fn callers_that_blame(facts: &Facts, target: &EntityId) -> usize {
    let Some(about) = facts.entities.get(target) else { return 0 };
    about.blamed.iter().map(|f| &f.entity).collect::<std::collections::BTreeSet<_>>().len()
}

fn strongest(findings: &[&Finding]) -> f64 {
    findings.iter().map(|f| f.belief).fold(0.0, f64::max)
}

/// The best, and half a point for each further one, one point at most: signs of one fault are not independent.
fn best_and_half(points: impl Iterator<Item = f64>) -> f64 {
    let points: Vec<f64> = points.collect();
    let best = points.iter().copied().fold(0.0, f64::max);
    best + (points.len().saturating_sub(1) as f64 * 0.5).min(1.0)
}

/// Error lines weigh fully; a new line that is no error hardly. The impact of a log finding is its severity's.
fn log_weight(finding: &Finding) -> f64 {
    let full = crate::measures::impact(&finding.measure);
    if full > 0.0 { (finding.impact / full).clamp(0.0, 1.0) } else { 1.0 }
}

fn is_openable(evidence: &&Evidence) -> bool {
    !matches!(evidence, Evidence::Note { .. })
}
