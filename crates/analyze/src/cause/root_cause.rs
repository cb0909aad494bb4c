//! Which entity is why an incident happened, and of which kind the cause is.
//!
//! For each open incident every affected entity, what it needs (two hops of the service map) and what was changed is a
//! candidate for each admissible kind of cause. Evidence adds and takes points; points become beliefs by a softmax
//! against a fixed "none of these", so that they sum to less than one and weak evidence stays weak:
//!
//! - what a service does by itself (`own` errors and latency, its log errors) speaks for `software`; what it passes on
//!   (`downstream`) is a symptom and speaks for nothing;
//! - a resource that ran out, before or with the errors, speaks for `resource`, a change shortly before the onset for
//!   `change`, a vanished instance for `host`, calls to something that sends no spans for `dependency` or `external`,
//!   a surge of requests at the entry for `traffic`;
//! - abnormal things further down the call path that began no later explain those above them;
//! - who was abnormal first, and whose callers suffer, gains.
//!
//! The weights are set by hand for the order of precedence, a change or a spent resource before the fault that it
//! shows as; [`WEIGHTS`] lists them all. The idea of walking the map to the deepest abnormal node is that of
//! MonitorRank (Kim, Sumbaly and Shah, SIGMETRICS 2013); the restriction to admissible causes keeps symptoms out.
//! Where the best candidate is not clearly better than the next, its belief is kept below one half: undecided, with
//! what is missing. It fails where the faulty service sends nothing at all and nobody's spans name it.

mod facts;
mod score;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use types::{
    Direction, EntityId, EntityKey, Evidence, Finding, FindingId, HOUR, Incident, IncidentState, MINUTE, SECOND, Shape,
    Tenant, Time,
};
use view::{Analysis, Findings, Fleet, Pages, Params, State, StateData, Stratum, Trigger, View};

use self::facts::{Change, Record, gather};
pub use self::score::WEIGHTS;
use self::score::{Candidate, rank};
use crate::detect::words::round3;

/// The catalogue's entry.
pub const ANALYSIS: Analysis = Analysis {
    name: NAME,
    version: VERSION,
    summary: "suspected causes of an incident from the service map, order of onset, own and passed-on faults and changes",
    stratum: Stratum::Cause,
    trigger: Trigger::Every(SECOND),
    params: &[],
    new_state: |_| State::new(Book::default()),
    run,
};

const NAME: &str = "root_cause";
const VERSION: u32 = 1;

/// Causes said per incident.
const MAX_CAUSES: usize = 5;
/// Beliefs below this are not said.
const BELIEF_MIN: f64 = 0.03;
/// A cause is said again when its belief moved by this much, or after this long.
const BELIEF_STEP: f64 = 0.05;
const SAY_AGAIN_NS: i64 = MINUTE;
/// Best belief and lead over the next that make a decision.
const DECIDED_BELIEF: f64 = 0.5;
const DECIDED_MARGIN: f64 = 0.15;
const DECIDED_MARGIN_ELSEWHERE: f64 = 0.4;
/// After so long whoever is in trouble has been heard of: silence takes the longest to be noticed.
const HEARD_NS: i64 = 75 * SECOND;
/// Changes remembered per entity, and for how long.
const MAX_CHANGES: usize = 16;
const CHANGES_FOR_NS: i64 = 2 * HOUR;
/// Entities whose changes and versions are remembered.
const MAX_ENTITIES: usize = 8192;

/// The state of the analysis.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Book {
    /// Changes by tenant and entity, oldest first.
    changes: BTreeMap<String, Vec<Change>>,
    /// Version last seen, by tenant and entity.
    versions: BTreeMap<String, String>,
    /// Resources whose version was looked at.
    resources: BTreeSet<u32>,
    /// Numbers of entities that send spans.
    #[serde(default)]
    senders: BTreeSet<u32>,
    /// What was said and goes on, by incident.
    said: BTreeMap<String, BTreeMap<String, Finding>>,
    /// Whether any change that can break something was ever reported.
    knows_changes: bool,
}

fn run(view: &View, _params: &Params, state: &mut State, out: &mut Findings) {
    let book: &mut Book = state.get();
    book.learn(view);
    let open = view.incidents.iter().enumerate().filter(|(_, i)| i.state != IncidentState::Resolved);
    let mut record = None;
    for (number, incident) in open {
        let record = record.get_or_insert_with(|| Record::new(view));
        let sends_spans = |key: EntityKey| book.senders.contains(&key.0);
        let facts = gather(view, record, number, |tenant, entity| book.changes_of(tenant, entity), sends_spans);
        let ranked = decide(rank(&facts), view.now.since(facts.onset) < HEARD_NS);
        book.say(view, incident, ranked, out);
    }
    book.end_others(view, out);
}

/// Keeps the beliefs of an undecided ranking low, so that nobody takes a guess for a verdict. While the incident is
/// young, what only passes on the trouble of others is never decided: those may not have spoken yet.
fn decide(mut ranked: Vec<Candidate>, is_young: bool) -> Vec<Candidate> {
    let best = ranked.first().map_or(0.0, |c| c.belief);
    let next = ranked.get(1).map_or(0.0, |c| c.belief);
    // Two kinds of cause at one entity do not leave open where to look; two entities do.
    let elsewhere = ranked.iter().find(|c| ranked.first().is_some_and(|first| first.entity != c.entity));
    let elsewhere = elsewhere.map_or(0.0, |c| c.belief);
    let is_early = is_young && ranked.first().is_some_and(|c| c.only_passes_on);
    let is_open = is_early || best - next < DECIDED_MARGIN || best - elsewhere < DECIDED_MARGIN_ELSEWHERE;
    if best >= DECIDED_BELIEF && is_open {
        let scale = 0.45 / best;
        ranked.iter_mut().for_each(|c| c.belief *= scale);
    }
    ranked.retain(|c| c.belief >= BELIEF_MIN);
    ranked.truncate(MAX_CAUSES);
    ranked
}

impl Book {
    /// Notes changes that can break something: events that say so, and versions that changed in what services say of themselves.
    fn learn(&mut self, view: &View) {
        for batch in view.batches {
            for i in 0..batch.events.len() {
                let Some(kind) = types::change::breaking_kind(batch.events.kind.get(i)) else { continue };
                let Some(entity) = view.registry.entity_id(batch.events.entity[i]) else { continue };
                let version = version_of(batch.events.attributes.get(i));
                let at = Time(batch.events.time[i]);
                self.knows_changes = true;
                self.add_change(&batch.tenant, entity, Change { at, kind: kind.to_owned(), version, announced: true });
            }
            let mut last = None;
            for entity in &batch.spans.entity {
                if last != Some(entity) && self.senders.len() < MAX_ENTITIES {
                    self.senders.insert(entity.0);
                }
                last = Some(entity);
            }
            let spans = batch.spans.resource.iter().zip(&batch.spans.time);
            let records = batch.records.resource.iter().zip(&batch.records.time);
            let mut last = None;
            for (resource, time) in spans.chain(records) {
                if last != Some(*resource) && !self.resources.contains(&resource.0) {
                    self.learn_version(view, &batch.tenant, *resource, *time);
                }
                last = Some(*resource);
            }
        }
        let before = view.now.plus(-CHANGES_FOR_NS);
        self.changes.retain(|_, changes| {
            changes.retain(|c| c.at >= before);
            !changes.is_empty()
        });
    }

    fn learn_version(&mut self, view: &View, tenant: &Tenant, resource: types::ResourceId, time: i64) {
        if self.resources.len() < MAX_ENTITIES * 8 {
            self.resources.insert(resource.0);
        }
        let Some(def) = view.registry.resource_def(resource) else { return };
        let Some(version) = def.attributes.get("service.version") else { return };
        let Some(entity) = view.registry.entity_id(def.entity).cloned() else { return };
        let name = name_of(tenant, &entity);
        let known = self.versions.get(&name);
        let is_other = known.is_some_and(|k| k != version);
        if is_other || (known.is_none() && self.versions.len() < MAX_ENTITIES) {
            self.versions.insert(name, version.to_owned());
        }
        if is_other {
            let change =
                Change { at: Time(time), kind: "version".into(), version: Some(version.to_owned()), announced: false };
            self.add_change(tenant, &entity, change);
        }
    }

    fn add_change(&mut self, tenant: &Tenant, entity: &EntityId, change: Change) {
        let name = name_of(tenant, entity);
        if !self.changes.contains_key(&name) && self.changes.len() >= MAX_ENTITIES {
            return;
        }
        let changes = self.changes.entry(name).or_default();
        if changes.contains(&change) {
            return;
        }
        changes.push(change);
        changes.sort_by(|a, b| a.at.cmp(&b.at).then(a.kind.cmp(&b.kind)));
        if changes.len() > MAX_CHANGES {
            changes.remove(0);
        }
    }

    /// Changes of an entity; those reported in the default namespace too, since people write plain names.
    fn changes_of(&self, tenant: &Tenant, entity: &EntityId) -> Vec<Change> {
        let plain = EntityId::new(entity.kind(), "", entity.name());
        let mut found = self.changes.get(&name_of(tenant, entity)).cloned().unwrap_or_default();
        if plain != *entity {
            found.extend(self.changes.get(&name_of(tenant, &plain)).into_iter().flatten().cloned());
        }
        found.sort_by_key(|c| c.at);
        found
    }

    /// Says what changed in the ranking since it was last said.
    fn say(&mut self, view: &View, incident: &Incident, ranked: Vec<Candidate>, out: &mut Findings) {
        let decided = ranked.first().is_some_and(|c| c.belief >= DECIDED_BELIEF);
        let said = self.said.entry(incident.id.0.clone()).or_default();
        let mut left: BTreeSet<String> = said.keys().cloned().collect();
        for candidate in ranked {
            let scope = candidate.kind.as_str();
            let key = format!("{} {scope}", candidate.entity);
            left.remove(&key);
            let known = said.get(&key);
            let moved = known.is_none_or(|k| {
                let is_due = view.now.since(k.end) >= SAY_AGAIN_NS;
                is_due || (k.belief - candidate.belief).abs() >= BELIEF_STEP || crosses(k.belief, candidate.belief)
            });
            if !moved {
                continue;
            }
            let mut finding = finding_of(view, incident, candidate, decided, self.knows_changes);
            if let Some(known) = known {
                finding.start = known.start;
                finding.learned = known.learned;
            }
            said.insert(key, finding.clone());
            out.say(finding);
        }
        for key in left {
            if let Some(finding) = said.remove(&key) {
                out.say(Finding { belief: 0.0, ongoing: false, end: view.now, ..finding });
            }
        }
    }

    /// Ends what was said about incidents that are over.
    fn end_others(&mut self, view: &View, out: &mut Findings) {
        let open: BTreeSet<&str> =
            view.incidents.iter().filter(|i| i.state != IncidentState::Resolved).map(|i| i.id.0.as_str()).collect();
        let over: Vec<String> = self.said.keys().filter(|id| !open.contains(id.as_str())).cloned().collect();
        for id in over {
            for finding in self.said.remove(&id).into_iter().flat_map(BTreeMap::into_values) {
                out.say(Finding { ongoing: false, end: view.now, ..finding });
            }
        }
    }
}

impl StateData for Book {
    fn schema(&self) -> u32 {
        1
    }

    fn save(&mut self, _all: bool, pages: &mut Pages) {
        pages.insert("fleet".into(), Fleet(self.clone()).to_bytes());
    }

    fn load(&mut self, schema: u32, pages: &Pages) -> Result<(), String> {
        if schema != 1 {
            return Err(format!("schema {schema} is not 1: start fresh"));
        }
        *self = match pages.get("fleet") {
            Some(bytes) => Fleet::from_bytes(bytes)?.0,
            None => Book::default(),
        };
        Ok(())
    }
}

fn finding_of(view: &View, incident: &Incident, candidate: Candidate, decided: bool, knows_changes: bool) -> Finding {
    let mut evidence = candidate.evidence;
    evidence.extend(candidate.reasons.into_iter().map(note));
    evidence.extend(candidate.against.into_iter().map(|text| note(format!("against: {text}"))));
    if !decided {
        evidence.extend(candidate.missing.into_iter().map(|text| note(format!("missing: {text}"))));
        if !knows_changes {
            evidence.push(note("missing: deployments and other changes; none was ever reported".into()));
        }
    }
    Finding {
        id: FindingId::default(),
        method: NAME.into(),
        version: VERSION,
        tenant: incident.tenant.clone(),
        entity: candidate.entity,
        shape: Shape::Cause,
        measure: "cause".into(),
        scope: candidate.kind.as_str().into(),
        start: candidate.onset.min(view.now),
        end: view.now,
        ongoing: true,
        learned: view.now,
        belief: round3(candidate.belief),
        // The same for all, so that each update replaces the one before.
        surprise: 0.0,
        impact: crate::measures::impact("cause"),
        direction: Direction::New,
        expected: None,
        observed: round3(candidate.points),
        cause: Some(candidate.kind),
        incident: Some(incident.id.clone()),
        summary: candidate.summary,
        evidence,
    }
}

fn crosses(before: f64, after: f64) -> bool {
    (before >= DECIDED_BELIEF) != (after >= DECIDED_BELIEF)
}

fn note(text: String) -> Evidence {
    Evidence::Note { text }
}

fn name_of(tenant: &Tenant, entity: &EntityId) -> String {
    format!("{}\n{entity}", tenant.as_str())
}

/// The version that a change event names.
fn version_of(attributes: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(attributes).ok()?;
    let version = value.get("version")?.as_str()?;
    Some(version.chars().filter(|c| !c.is_control()).take(80).collect())
}

#[cfg(test)]
mod tests {
    use types::CauseKind;

    use super::*;
    use crate::detect::fake_shop::{Fault, Shop, service};
    use crate::detect::{logs, requests};

    /// Lives through a fault and gives the causes at the end, best first, as `name kind`.
    fn causes(shop: &mut Shop, until: i64) -> Vec<(String, f64)> {
        shop.run_until(until);
        let causes = shop.log.iter().filter(|f| f.shape == Shape::Cause && f.ongoing);
        let mut causes: Vec<_> = causes.map(|f| (format!("{} {}", f.entity.name(), f.scope), f.belief)).collect();
        causes.sort_by(|a, b| b.1.total_cmp(&a.1));
        let sum: f64 = causes.iter().map(|c| c.1).sum();
        assert!(sum <= 1.001, "{causes:?}");
        causes
    }

    fn all(seed: u64) -> Shop {
        Shop::new(seed, &[&requests::ANALYSIS, &logs::ANALYSIS, &ANALYSIS])
    }

    /// The best cause is one of `expected` and decided, for several seeds.
    fn names_first(fault: Fault, expected: &[&str]) {
        for seed in 20..22 {
            let mut shop = all(seed).fault(200, 200, fault.clone());
            let causes = causes(&mut shop, 290);
            let (name, belief) = causes.first().unwrap_or_else(|| panic!("no cause: {:#?}", shop.summaries()));
            assert!(
                expected.contains(&name.as_str()) && *belief >= 0.5,
                "seed {seed}: {causes:?} {:#?}",
                shop.summaries()
            );
        }
    }

    #[test]
    fn each_fault_is_named_first() {
        names_first(Fault::Errors("payments", 0.35), &["payments software"]);
        names_first(Fault::Slow("catalog", 500.0), &["catalog software"]);
        names_first(Fault::Slow("inventory", 500.0), &["inventory software"]);
        names_first(Fault::SlowDatabase("stock", 500.0), &["stock dependency"]);
        names_first(Fault::Deploy("cart"), &["cart change"]);
        names_first(Fault::Deploy("payments"), &["payments change"]);
        names_first(Fault::Lost("catalog"), &["catalog host"]);
        names_first(Fault::Dead("inventory"), &["inventory host", "inventory software"]);
        names_first(Fault::Storm("checkout", 30), &["checkout software"]);
        names_first(Fault::Load(8.0), &["frontend traffic"]);
    }

    #[test]
    fn a_change_is_said_in_words_with_its_evidence() {
        let mut shop = all(30).fault(200, 200, Fault::Deploy("payments"));
        causes(&mut shop, 300);
        let cause = shop.log.iter().find(|f| f.cause == Some(CauseKind::Change)).unwrap();
        assert_eq!(cause.entity, service("payments"));
        assert!(cause.summary.contains("with errors since 12:03:"), "{}", cause.summary);
        assert!(cause.summary.ends_with("; its deployment of 2.1.0 at 12:03:20 came just before"), "{}", cause.summary);
        assert!(cause.evidence.iter().any(|e| matches!(e, Evidence::Change { version: Some(v), .. } if v == "2.1.0")));
        let software = shop.said.iter().find(|f| f.cause == Some(CauseKind::Software)).unwrap();
        let against = |e: &Evidence| matches!(e, Evidence::Note { text } if text.starts_with("against: a change"));
        assert!(software.evidence.iter().any(against), "{software:#?}");
    }

    #[test]
    fn what_alters_nothing_that_runs_is_no_suspect() {
        let causes_with = |kind: &str| {
            let mut shop = all(37).fault(200, 200, Fault::Errors("payments", 0.35));
            shop.run_until(195);
            let entity = shop.registry.entity(&service("payments"));
            let mut batch = types::Batch { learned: Time(shop.now), ..types::Batch::default() };
            // Twice: a report that is sent again is one change.
            for _ in 0..2 {
                batch.events.push(shop.now, entity, kind, "{}");
            }
            shop.extra.push(std::sync::Arc::new(batch));
            causes(&mut shop, 290)
        };
        for kind in ["deployment", "rollback", "config", "flag", "scaling", "certificate", "model_promotion"] {
            let causes = causes_with(&format!("change.{kind}"));
            assert_eq!(causes[0].0, "payments change", "{kind}: {causes:?}");
        }
        for kind in ["merge", "pipeline", "test", "release"] {
            let causes = causes_with(&format!("change.{kind}"));
            assert_eq!(causes[0].0, "payments software", "{kind}: {causes:?}");
            assert!(causes.iter().all(|(cause, _)| !cause.ends_with(" change")), "{kind}: {causes:?}");
        }
    }

    #[test]
    fn a_harmless_change_of_who_only_suffers_is_not_blamed() {
        let mut shop = all(38).fault(200, 200, Fault::Errors("payments", 0.35));
        shop.run_until(195);
        let entity = shop.registry.entity(&service("frontend"));
        let mut batch = types::Batch { learned: Time(shop.now), ..types::Batch::default() };
        batch.events.push(shop.now, entity, "change.deployment", "{}");
        shop.extra.push(std::sync::Arc::new(batch));
        for until in (200..=290).step_by(5) {
            let causes = causes(&mut shop, until);
            let blamed = causes.iter().find(|(name, belief)| name == "frontend change" && *belief >= DECIDED_BELIEF);
            assert_eq!(blamed, None, "second {until}: {causes:?}");
        }
        assert_eq!(causes(&mut shop, 295)[0].0, "payments software");
    }

    #[test]
    fn a_gauge_that_bent_before_at_a_caller_is_no_first_sign() {
        let mut shop = all(39).fault(200, 200, Fault::Errors("payments", 0.35));
        shop.run_until(215);
        let gauge = finding(&shop, "checkout", "metric", "connections", 150, 0.85);
        let line = finding(&shop, "checkout", "log_template_new", "template 9", 202, 0.8);
        [gauge, line].into_iter().for_each(|finding| tell(&mut shop, finding));
        let causes = causes(&mut shop, 290);
        assert!(causes[0].0 == "payments software" && causes[0].1 >= 0.5, "{causes:?}");
    }

    #[test]
    fn logs_alone_are_enough() {
        let mut shop = all(31).fault(200, 200, Fault::Storm("cart", 30));
        shop.traces = false;
        let causes = causes(&mut shop, 290);
        assert_eq!(causes[0].0, "cart software");
        assert!(causes[0].1 >= 0.5, "{causes:?}");
    }

    /// A finding as another analysis would say it.
    fn finding(shop: &Shop, entity: &str, measure: &str, scope: &str, second: i64, belief: f64) -> Finding {
        Finding {
            id: FindingId::default(),
            method: "metric".into(),
            version: 1,
            tenant: Tenant::default(),
            entity: service(entity),
            shape: Shape::Abnormal,
            measure: measure.into(),
            scope: scope.into(),
            start: shop.time_of(second),
            end: Time(shop.now),
            ongoing: true,
            learned: Time(shop.now),
            belief,
            surprise: 10.0,
            impact: 0.6,
            direction: Direction::Up,
            expected: None,
            observed: 1.0,
            cause: None,
            incident: None,
            summary: format!("{entity} {measure}"),
            evidence: Vec::new(),
        }
    }

    fn tell(shop: &mut Shop, mut finding: Finding) {
        finding.id = finding.compute_id();
        shop.log.say(finding);
    }

    #[test]
    fn a_spent_resource_wins_over_the_errors_it_shows_as() {
        let mut shop = all(32).fault(200, 200, Fault::Errors("payments", 0.4));
        shop.run_until(210);
        let leak = finding(&shop, "payments", "resource", "memory", 195, 0.8);
        tell(&mut shop, leak);
        let causes = causes(&mut shop, 290);
        assert_eq!(causes[0].0, "payments resource");
        assert!(causes[0].1 >= 0.5, "{causes:?}");
    }

    #[test]
    fn a_resource_that_rose_long_after_the_errors_is_their_effect() {
        let mut shop = all(32).fault(200, 400, Fault::Errors("payments", 0.4));
        shop.run_until(320);
        let pile = finding(&shop, "payments", "resource", "memory", 310, 0.8);
        tell(&mut shop, pile);
        let causes = causes(&mut shop, 340);
        assert_eq!(causes[0].0, "payments software", "{causes:?}");
    }

    #[test]
    fn metrics_alone_are_undecided_and_say_what_is_missing() {
        let mut shop = all(33);
        shop.traces = false;
        shop.logs = false;
        shop.run_until(100);
        for name in ["cart", "catalog"] {
            let bent = finding(&shop, name, "metric", "queue_length", 90, 0.8);
            tell(&mut shop, bent);
        }
        let causes = causes(&mut shop, 110);
        assert!(!causes.is_empty() && causes[0].1 < 0.5, "{causes:?}");
        let cause = shop.log.iter().find(|f| f.shape == Shape::Cause).unwrap();
        let missing = |e: &Evidence| matches!(e, Evidence::Note { text } if text.starts_with("missing: traces of"));
        assert!(cause.evidence.iter().any(missing), "{cause:#?}");
    }

    #[test]
    fn two_equal_suspects_stay_undecided() {
        let mut shop =
            all(34).fault(200, 200, Fault::Errors("cart", 0.3)).fault(200, 200, Fault::Errors("payments", 0.3));
        let causes = causes(&mut shop, 290);
        assert!(causes[0].1 < 0.5, "{causes:?}");
    }

    /// The best cause of an incident of a model with these findings and, if so, a change just before them.
    fn cause_of_model(measures: &[&str], is_changed: bool) -> (String, f64) {
        let mut shop = all(40);
        shop.run_until(195);
        let entity = EntityId::new("model", "", "churn");
        let key = shop.registry.entity(&entity);
        if is_changed {
            let mut batch = types::Batch { learned: Time(shop.now), ..types::Batch::default() };
            batch.events.push(shop.now, key, "change.model_promotion", r#"{"version":"2"}"#);
            shop.extra.push(std::sync::Arc::new(batch));
        }
        shop.run_until(210);
        for measure in measures {
            let bent = finding(&shop, "churn", measure, "version 2", 205, 0.85);
            tell(&mut shop, Finding { entity: entity.clone(), ..bent });
        }
        causes(&mut shop, 225).first().cloned().unwrap_or_default()
    }

    #[test]
    fn a_model_is_a_cause_by_its_inputs_itself_or_by_a_change() {
        for (measures, is_changed, expected) in [
            (&["model_input_drift"][..], false, "churn data"),
            (&["model_data_quality"], false, "churn data"),
            (&["model_errors"], false, "churn model"),
            (&["model_errors", "model_prediction_drift"], false, "churn model"),
            (&["model_errors", "model_input_drift"], false, "churn data"),
            (&["model_errors"], true, "churn change"),
            (&["model_errors", "model_input_drift"], true, "churn change"),
        ] {
            let (cause, belief) = cause_of_model(measures, is_changed);
            assert!(cause == expected && belief >= 0.5, "{measures:?}, changed {is_changed}: {cause} {belief}");
        }
    }

    #[test]
    fn it_ends_with_its_incident_and_survives_a_restart() {
        let lived = |restart: bool| {
            let mut shop = all(35).fault(200, 60, Fault::Deploy("payments"));
            for until in [150, 230, 260, 500] {
                shop.run_until(until);
                if restart {
                    shop.restart();
                }
            }
            shop
        };
        let (straight, restarted) = (lived(false), lived(true));
        assert!(straight.log.iter().all(|f| !f.ongoing));
        assert!(straight.said.iter().any(|f| f.shape == Shape::Cause));
        assert_eq!(straight.said, restarted.said);
    }

    #[test]
    fn a_changed_version_without_an_event_counts_as_a_change() {
        let mut silent = all(36).fault(200, 200, Fault::Deploy("cart"));
        silent.announce = false;
        let causes = causes(&mut silent, 290);
        assert_eq!(causes[0].0, "cart change", "{causes:?}");
    }
}
