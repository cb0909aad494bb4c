//! Alerts of other programs: deduplicated, counted, flapping ones held, and said as findings.
//!
//! An alert is known by its labels (the fingerprint). Alerts of one rule at one entity are one finding of measure
//! `alert`, however many instances fire: it begins with the first and ends with the last. A rule that goes on and off
//! ([`FLIPS`] times within [`FLAP_NS`]) is flapping: its finding is held until it has been quiet for [`HOLD_NS`], so
//! that it neither ends nor begins an incident each time. What is silenced is kept and counted, and says nothing.
//!
//! Every alert that comes in is counted under exactly one heading of [`InboxCounts`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use types::{DAY, Direction, EntityId, Evidence, Finding, FindingId, HOUR, MINUTE, Shape, Tenant, Time};

/// Alerts kept at most; beyond it new ones are counted only.
pub const MOST_ALERTS: usize = 50_000;
/// Rules of one entity that have a finding of their own; further ones share one.
const MOST_RULES: usize = 20;
/// Going on or off so often within [`FLAP_NS`] is flapping.
pub const FLIPS: usize = 5;
/// See [`FLIPS`].
pub const FLAP_NS: i64 = HOUR;
/// How long a flapping rule must be quiet before it counts as over.
pub const HOLD_NS: i64 = 10 * MINUTE;
/// An alert that is pushed again and again and gives no end is over when it was not heard of for so long.
pub const RESOLVE_AFTER_NS: i64 = 5 * MINUTE;
/// How long alerts that are over are kept.
const KEEP_NS: i64 = DAY;
/// Moments of going on or off that are remembered.
const MOST_FLIPS: usize = 20;
/// Measure of what is said of alerts.
pub const MEASURE: &str = "alert";

/// One alert as it came in.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Whose.
    pub tenant: Tenant,
    /// What it is about.
    pub entity: EntityId,
    /// Hash of its labels.
    pub fingerprint: u64,
    /// Name of the rule.
    pub name: String,
    /// As the rule says, e.g. `critical`; empty where it says nothing.
    pub severity: String,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// What the rule says in words (untrusted).
    pub summary: String,
    /// Where to read more (untrusted).
    pub url: Option<String>,
    /// Since when it fires.
    pub starts_at: Time,
    /// When it is over, as far as its sender knows.
    pub ends_at: Option<Time>,
    /// Whether it fires.
    pub firing: bool,
    /// Whether it counts as firing until its end is told (a webhook says so once; a Prometheus repeats itself).
    pub until_told: bool,
    /// When it came in.
    pub at: Time,
}

/// An alert that is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownAlert {
    /// What it is about.
    pub entity: EntityId,
    /// Name of the rule.
    pub name: String,
    /// As the rule says.
    pub severity: String,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// What the rule says in words (untrusted).
    pub summary: String,
    /// Where to read more (untrusted).
    pub url: Option<String>,
    /// Since when it fires, or last fired.
    pub starts_at: Time,
    /// When it was over, or will be if it is not heard of again.
    pub ends_at: Option<Time>,
    /// Whether it fires.
    pub firing: bool,
    /// It came back or ended often of late.
    pub flapping: bool,
    /// The silence that keeps it quiet.
    pub silenced_by: Option<String>,
    /// When it last came in.
    pub heard_at: Time,
    /// How often it came in.
    pub received: u64,
    /// When it last went on or off, oldest first, at most twenty in the last hour that it did.
    pub flipped_at: VecDeque<Time>,
    /// It ended because nothing was heard of it.
    expired: bool,
}

/// What became of the alerts that came in since the data folder was made. `received` is the sum of the others but
/// `expired` and `silenced`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxCounts {
    /// Alerts that came in.
    pub received: u64,
    /// New, or firing again.
    pub fired: u64,
    /// Known to be firing already.
    pub repeated: u64,
    /// Ended.
    pub resolved: u64,
    /// Said to be over though not known to fire (also: over already).
    pub resolved_unknown: u64,
    /// Fired when [`MOST_ALERTS`] were known.
    pub over_limit: u64,
    /// Ended because they were not heard of again.
    pub expired: u64,
    /// Of those that fired: kept quiet by a silence.
    pub silenced: u64,
}

impl InboxCounts {
    /// What is left without those of another count.
    fn without(self, other: InboxCounts) -> InboxCounts {
        InboxCounts {
            received: self.received.saturating_sub(other.received),
            fired: self.fired.saturating_sub(other.fired),
            repeated: self.repeated.saturating_sub(other.repeated),
            resolved: self.resolved.saturating_sub(other.resolved),
            resolved_unknown: self.resolved_unknown.saturating_sub(other.resolved_unknown),
            over_limit: self.over_limit.saturating_sub(other.over_limit),
            expired: self.expired.saturating_sub(other.expired),
            silenced: self.silenced.saturating_sub(other.silenced),
        }
    }
}

/// Counts of all tenants together, and of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxTally {
    /// Of all together.
    #[serde(flatten)]
    pub all: InboxCounts,
    /// Of each tenant whose alerts came in.
    #[serde(default)]
    pub by_tenant: BTreeMap<Tenant, InboxCounts>,
}

impl InboxTally {
    /// Of one tenant; `None`: of all but `_self`.
    pub fn of(&self, tenant: Option<&Tenant>) -> InboxCounts {
        let one = |tenant: &Tenant| self.by_tenant.get(tenant).copied().unwrap_or_default();
        match tenant {
            Some(tenant) => one(tenant),
            None => self.by_tenant.keys().filter(|t| t.is_self()).fold(self.all, |all, own| all.without(one(own))),
        }
    }

    fn add(&mut self, tenant: &Tenant, heading: fn(&mut InboxCounts) -> &mut u64) {
        *heading(&mut self.all) += 1;
        match self.by_tenant.get_mut(tenant) {
            Some(counts) => *heading(counts) += 1,
            None => *heading(self.by_tenant.entry(tenant.clone()).or_default()) += 1,
        }
    }
}

/// All instances of one rule at one entity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Rule {
    /// When the finding began.
    start: Time,
    /// Fingerprints that fire and are not silenced.
    firing: BTreeSet<u64>,
    /// When the last of them ended.
    quiet_since: Option<Time>,
    flapping: bool,
    flips: VecDeque<Time>,
    /// The finding that was said and goes on.
    said: Option<FindingId>,
}

type RuleKey = (Tenant, EntityId, String);

/// The alerts that are known. See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inbox {
    #[serde(with = "pairs")]
    alerts: BTreeMap<(Tenant, u64), KnownAlert>,
    #[serde(with = "pairs")]
    rules: BTreeMap<RuleKey, Rule>,
    counts: InboxTally,
    /// Next moment at which something may expire.
    next_expiry: Option<Time>,
    #[serde(skip)]
    quieted: Vec<String>,
}

impl Inbox {
    /// Takes in what came in one step and says what follows. `silence` names the silence that holds for an alert.
    pub fn step(
        &mut self,
        came: &[Alert],
        now: Time,
        silence: impl Fn(&Tenant, &KnownAlert) -> Option<String>,
    ) -> Vec<Finding> {
        let mut touched = BTreeSet::new();
        for alert in came {
            self.take(alert, &silence, &mut touched);
        }
        if self.next_expiry.is_some_and(|at| at <= now) {
            self.expire(now, &mut touched);
        }
        touched.into_iter().filter_map(|key| self.judge(&key, now)).collect()
    }

    /// Looks again which alerts are silenced: a silence was made or ended.
    pub fn silence_again(
        &mut self,
        now: Time,
        silence: impl Fn(&Tenant, &KnownAlert) -> Option<String>,
    ) -> Vec<Finding> {
        let mut touched = BTreeSet::new();
        for ((tenant, fingerprint), known) in &mut self.alerts {
            let by = silence(tenant, known);
            if by == known.silenced_by {
                continue;
            }
            known.silenced_by = by;
            let key = rule_key(&self.rules, tenant, known);
            if known.firing && known.silenced_by.is_none() {
                self.rules.entry(key.clone()).or_default().go_on(*fingerprint, known.starts_at, now);
            } else if let Some(rule) = self.rules.get_mut(&key) {
                rule.go_off(*fingerprint, now);
            }
            if known.firing {
                self.quieted.extend(known.silenced_by.clone());
            }
            touched.insert(key);
        }
        touched.into_iter().filter_map(|key| self.judge(&key, now)).collect()
    }

    /// All known alerts with the id of the finding that speaks of each.
    pub fn alerts(&self) -> impl Iterator<Item = (&Tenant, u64, &KnownAlert, Option<FindingId>)> {
        self.alerts.iter().map(|((tenant, fingerprint), known)| {
            let rule = self.rules.get(&rule_key(&self.rules, tenant, known));
            (tenant, *fingerprint, known, rule.and_then(|rule| rule.said))
        })
    }

    /// Silences that kept an alert quiet since this was last asked, once for each alert.
    pub fn take_quieted(&mut self) -> Vec<String> {
        std::mem::take(&mut self.quieted)
    }

    /// What became of all that came in.
    pub fn counts(&self) -> &InboxTally {
        &self.counts
    }

    fn take(
        &mut self,
        alert: &Alert,
        silence: &impl Fn(&Tenant, &KnownAlert) -> Option<String>,
        touched: &mut BTreeSet<RuleKey>,
    ) {
        self.counts.add(&alert.tenant, |c| &mut c.received);
        let id = (alert.tenant.clone(), alert.fingerprint);
        let starts_at = alert.starts_at.min(alert.at);
        let ends_at = match (alert.firing, alert.until_told) {
            (true, true) => None,
            (true, false) => Some(alert.ends_at.unwrap_or(alert.at.plus(RESOLVE_AFTER_NS)).max(alert.at)),
            (false, _) => Some(alert.ends_at.unwrap_or(alert.at).min(alert.at)),
        };
        let is_full = self.alerts.len() >= MOST_ALERTS;
        let known = match self.alerts.get_mut(&id) {
            Some(known) => known,
            None if is_full => {
                self.counts.add(&alert.tenant, |c| &mut c.over_limit);
                return;
            }
            None => self.alerts.entry(id).or_insert_with(|| KnownAlert::unheard(alert, starts_at)),
        };
        // A sender that repeats what had ended is late, not new: a rule that fires again says a new beginning.
        let is_stale = !known.firing && !known.expired && known.received > 0 && starts_at <= known.starts_at;
        known.heard_at = alert.at;
        known.received += 1;
        match (known.firing, alert.firing) {
            (false, true) if is_stale => self.counts.add(&alert.tenant, |c| &mut c.repeated),
            (false, true) => {
                self.counts.add(&alert.tenant, |c| &mut c.fired);
                known.renew(alert, starts_at, ends_at);
                known.flip(alert.at);
                known.silenced_by = silence(&alert.tenant, known);
                if let Some(silence) = &known.silenced_by {
                    self.counts.add(&alert.tenant, |c| &mut c.silenced);
                    self.quieted.push(silence.clone());
                } else {
                    let key = rule_key(&self.rules, &alert.tenant, known);
                    self.rules.entry(key.clone()).or_default().go_on(alert.fingerprint, starts_at, alert.at);
                    touched.insert(key);
                }
            }
            (true, true) => {
                self.counts.add(&alert.tenant, |c| &mut c.repeated);
                known.ends_at = ends_at;
            }
            (true, false) => {
                self.counts.add(&alert.tenant, |c| &mut c.resolved);
                let key = rule_key(&self.rules, &alert.tenant, known);
                known.end(ends_at.unwrap_or(alert.at), false);
                if let Some(rule) = self.rules.get_mut(&key) {
                    rule.go_off(alert.fingerprint, known.ends_at.unwrap_or(alert.at));
                    touched.insert(key);
                }
            }
            (false, false) => {
                self.counts.add(&alert.tenant, |c| &mut c.resolved_unknown);
                known.ends_at = known.ends_at.or(ends_at);
            }
        }
        self.next_expiry = earlier(self.next_expiry, ends_at);
    }

    /// Ends alerts that were not heard of again, and holds of rules that stayed quiet.
    fn expire(&mut self, now: Time, touched: &mut BTreeSet<RuleKey>) {
        self.next_expiry = None;
        self.alerts.retain(|(tenant, fingerprint), known| {
            let Some(ends_at) = known.ends_at else { return true };
            if !known.firing {
                let gone_at = ends_at.max(known.heard_at).plus(KEEP_NS);
                self.next_expiry = earlier(self.next_expiry, Some(gone_at.plus(1)));
                return now <= gone_at;
            }
            if ends_at > now {
                self.next_expiry = earlier(self.next_expiry, Some(ends_at));
                return true;
            }
            known.end(ends_at, true);
            self.next_expiry = earlier(self.next_expiry, Some(ends_at.max(known.heard_at).plus(KEEP_NS + 1)));
            self.counts.add(tenant, |c| &mut c.expired);
            let key = rule_key(&self.rules, tenant, known);
            if let Some(rule) = self.rules.get_mut(&key) {
                rule.go_off(*fingerprint, ends_at);
                touched.insert(key);
            }
            true
        });
        let forgotten_at = |rule: &Rule| rule.flips.back().copied().unwrap_or(rule.start).plus(FLAP_NS + 1);
        self.rules.retain(|_, rule| rule.said.is_some() || !rule.firing.is_empty() || now < forgotten_at(rule));
        for (key, rule) in self.rules.iter().filter(|(_, rule)| rule.firing.is_empty()) {
            let next = rule.over_at().filter(|_| rule.said.is_some());
            if next.is_some_and(|at| at <= now) {
                touched.insert(key.clone());
            }
            let later = next.filter(|at| *at > now).unwrap_or_else(|| forgotten_at(rule));
            self.next_expiry = earlier(self.next_expiry, Some(later));
        }
    }

    /// What is to be said of a rule now. A rule that is over is remembered for a while, to see whether it flaps.
    fn judge(&mut self, key: &RuleKey, now: Time) -> Option<Finding> {
        let rule = self.rules.get_mut(key)?;
        let is_over = rule.over_at().is_some_and(|at| at <= now);
        if rule.said.is_none() && rule.firing.is_empty() {
            return None;
        }
        let known = |fingerprint: &u64| self.alerts.get(&(key.0.clone(), *fingerprint));
        let firing: Vec<&KnownAlert> = rule.firing.iter().filter_map(known).collect();
        let end = if is_over { rule.quiet_since.unwrap_or(now) } else { now };
        let mut finding = finding_of(key, rule, &firing, end);
        finding.ongoing = !is_over;
        rule.said = (!is_over).then_some(finding.id);
        // Quiet just now, but held since it flaps.
        let over_at = rule.over_at().filter(|_| !is_over);
        self.next_expiry = earlier(self.next_expiry, over_at);
        Some(finding)
    }
}

impl KnownAlert {
    fn unheard(alert: &Alert, starts_at: Time) -> KnownAlert {
        KnownAlert {
            entity: alert.entity.clone(),
            name: alert.name.clone(),
            severity: alert.severity.clone(),
            labels: alert.labels.clone(),
            summary: alert.summary.clone(),
            url: alert.url.clone(),
            starts_at,
            ends_at: None,
            firing: false,
            flapping: false,
            silenced_by: None,
            heard_at: alert.at,
            received: 0,
            flipped_at: VecDeque::new(),
            expired: false,
        }
    }

    fn renew(&mut self, alert: &Alert, starts_at: Time, ends_at: Option<Time>) {
        (self.summary, self.url) = (alert.summary.clone(), alert.url.clone());
        (self.starts_at, self.ends_at) = (starts_at, ends_at);
        (self.firing, self.expired) = (true, false);
    }

    fn end(&mut self, at: Time, expired: bool) {
        (self.firing, self.expired, self.ends_at) = (false, expired, Some(at));
        self.flip(at);
    }

    fn flip(&mut self, at: Time) {
        note_flip(&mut self.flipped_at, at);
        self.flapping = is_flapping(&self.flipped_at, at);
    }
}

impl Rule {
    fn go_on(&mut self, fingerprint: u64, starts_at: Time, at: Time) {
        if self.said.is_none() && self.firing.is_empty() {
            self.start = starts_at;
        }
        if self.firing.is_empty() && self.quiet_since.take().is_some() {
            note_flip(&mut self.flips, at);
            self.flapping = is_flapping(&self.flips, at);
        }
        self.firing.insert(fingerprint);
    }

    fn go_off(&mut self, fingerprint: u64, at: Time) {
        if self.firing.remove(&fingerprint) && self.firing.is_empty() {
            self.quiet_since = Some(at);
            note_flip(&mut self.flips, at);
            self.flapping = is_flapping(&self.flips, at);
        }
    }

    /// When its finding is over; `None` while it fires.
    fn over_at(&self) -> Option<Time> {
        let quiet = self.quiet_since.filter(|_| self.firing.is_empty())?;
        Some(if self.flapping { quiet.plus(HOLD_NS) } else { quiet })
    }
}

fn note_flip(flips: &mut VecDeque<Time>, at: Time) {
    flips.push_back(at);
    while flips.len() > MOST_FLIPS || flips.front().is_some_and(|first| at.since(*first) > FLAP_NS) {
        flips.pop_front();
    }
}

fn is_flapping(flips: &VecDeque<Time>, at: Time) -> bool {
    flips.iter().filter(|flip| at.since(**flip) <= FLAP_NS).count() >= FLIPS
}

fn earlier(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    a.into_iter().chain(b).min()
}

/// The rule that an alert belongs to; beyond [`MOST_RULES`] of an entity all share one without a name.
fn rule_key(rules: &BTreeMap<RuleKey, Rule>, tenant: &Tenant, known: &KnownAlert) -> RuleKey {
    let own = (tenant.clone(), known.entity.clone(), known.name.clone());
    if rules.contains_key(&own) {
        return own;
    }
    let shared = (tenant.clone(), known.entity.clone(), String::new());
    let others = rules.range(shared.clone()..).take_while(|((t, e, _), _)| t == tenant && *e == known.entity);
    if others.count() < MOST_RULES { own } else { shared }
}

/// The finding of a rule. Everything that makes its id stays the same while the rule goes on.
fn finding_of((tenant, entity, name): &RuleKey, rule: &Rule, firing: &[&KnownAlert], end: Time) -> Finding {
    let worst = firing.iter().max_by(|a, b| impact(&a.severity).total_cmp(&impact(&b.severity)));
    let named = if name.is_empty() { "further alerts" } else { name };
    let mut summary = format!("{named} fires at {}", entity.name());
    if firing.len() > 1 {
        summary = format!("{summary} ({} alerts)", firing.len());
    }
    if rule.flapping {
        summary = format!("{summary}, on and off");
    }
    if let Some(text) = worst.map(|w| w.summary.as_str()).filter(|text| !text.is_empty()) {
        summary = format!("{summary}: {}", text.chars().take(200).collect::<String>());
    }
    let evidence = firing.iter().take(5).map(|known| Evidence::Note { text: in_words(known) }).collect();
    let mut finding = Finding {
        id: FindingId::default(),
        method: "alerts".to_owned(),
        version: 1,
        tenant: tenant.clone(),
        entity: entity.clone(),
        shape: Shape::Match,
        measure: MEASURE.to_owned(),
        scope: name.clone(),
        start: rule.start,
        end: end.max(rule.start),
        ongoing: true,
        learned: end,
        belief: 0.9,
        surprise: 0.0,
        impact: worst.map_or(0.0, |w| impact(&w.severity)),
        direction: Direction::New,
        expected: None,
        observed: firing.len() as f64,
        cause: None,
        incident: None,
        summary,
        evidence,
    };
    finding.id = finding.compute_id();
    finding
}

fn in_words(known: &KnownAlert) -> String {
    let labels: Vec<String> =
        known.labels.iter().filter(|(name, _)| *name != "alertname").map(|(n, v)| format!("{n}={v}")).collect();
    let labels: String = labels.join(" ").chars().take(300).collect();
    format!("{} since {}: {labels}", known.name, crate::words::clock(known.starts_at))
}

/// 0..=1: how much an alert hurts, by the common words for severity. One that says nothing was meant to be looked at.
pub fn impact(severity: &str) -> f64 {
    match severity.trim().to_ascii_lowercase().as_str() {
        "critical" | "page" | "emergency" | "fatal" | "disaster" | "p1" | "sev1" | "1" => 0.8,
        "warning" | "warn" | "minor" | "medium" | "average" | "p3" | "sev3" | "3" => 0.45,
        "info" | "informational" | "none" | "low" | "debug" | "ok" | "p4" | "p5" | "sev4" | "sev5" | "4" | "5" => 0.2,
        _ => 0.6,
    }
}

/// A map whose keys are no text, as a list of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(map: &BTreeMap<K, V>, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(map.iter())
    }

    pub fn deserialize<'de, K, V, D>(d: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(d)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use types::SECOND;

    use super::*;

    fn at(seconds: i64) -> Time {
        Time(1_800_000_000 * SECOND).plus(seconds * SECOND)
    }

    fn alert(name: &str, instance: u64, firing: bool, seconds: i64) -> Alert {
        Alert {
            tenant: Tenant::default(),
            entity: EntityId::new("service", "shop", "pay"),
            fingerprint: instance,
            name: name.to_owned(),
            severity: "critical".to_owned(),
            labels: BTreeMap::from([("alertname".to_owned(), name.to_owned())]),
            summary: String::new(),
            url: None,
            starts_at: at(seconds),
            ends_at: None,
            firing,
            until_told: true,
            at: at(seconds),
        }
    }

    fn step(inbox: &mut Inbox, came: &[Alert], seconds: i64) -> Vec<Finding> {
        inbox.step(came, at(seconds), |_, _| None)
    }

    fn adds_up(counts: InboxCounts) -> bool {
        let InboxCounts { received, fired, repeated, resolved, resolved_unknown, over_limit, .. } = counts;
        received == fired + repeated + resolved + resolved_unknown + over_limit
    }

    #[test]
    fn instances_of_one_rule_are_one_finding_from_the_first_to_the_last() {
        let mut inbox = Inbox::default();
        let said = step(&mut inbox, &[alert("Down", 1, true, 0), alert("Down", 2, true, 0)], 0);
        assert_eq!((said.len(), said[0].ongoing, said[0].observed, said[0].start), (1, true, 2.0, at(0)));
        let id = said[0].id;
        let said = step(&mut inbox, &[alert("Down", 1, false, 60)], 60);
        assert!(said[0].ongoing && said[0].id == id, "one still fires");
        let said = step(&mut inbox, &[alert("Down", 2, false, 90)], 90);
        assert_eq!((said[0].ongoing, said[0].end, said[0].id), (false, at(90), id));
        assert!(step(&mut inbox, &[], 95).is_empty());
        assert!(adds_up(inbox.counts().all), "{:?}", inbox.counts().all);
    }

    #[test]
    fn what_is_pushed_expires_unless_it_is_heard_of_again() {
        let mut inbox = Inbox::default();
        let pushed = |seconds| Alert { until_told: false, starts_at: at(0), ..alert("Down", 1, true, seconds) };
        assert_eq!(step(&mut inbox, &[pushed(0)], 0).len(), 1);
        assert!(step(&mut inbox, &[pushed(200)], 200).is_empty(), "it goes on: nothing new to say");
        assert!(step(&mut inbox, &[], 499).is_empty());
        let said = step(&mut inbox, &[], 500);
        assert_eq!((said[0].ongoing, said[0].end), (false, at(500)));
        // Its sender was away and says the same again.
        assert!(step(&mut inbox, &[pushed(600)], 600)[0].ongoing);
        assert_eq!((inbox.counts().all.expired, inbox.counts().all.fired), (1, 2));
    }

    #[test]
    fn over_before_it_fired_says_nothing_and_a_late_copy_is_not_new() {
        let mut inbox = Inbox::default();
        assert!(step(&mut inbox, &[Alert { starts_at: at(-60), ..alert("Down", 1, false, 0) }], 0).is_empty());
        let late = Alert { starts_at: at(-60), ..alert("Down", 1, true, 5) };
        assert!(step(&mut inbox, &[late], 5).is_empty(), "the news came in the wrong order");
        assert!(step(&mut inbox, &[alert("Down", 1, true, 30)], 30)[0].ongoing, "it fires anew");
        let counts = inbox.counts().all;
        assert_eq!((counts.resolved_unknown, counts.repeated, counts.fired), (1, 1, 1));
        assert!(adds_up(counts));
    }

    #[test]
    fn a_flapping_rule_is_held_until_it_is_quiet() {
        let mut inbox = Inbox::default();
        let mut ids = BTreeSet::new();
        for round in 0..6 {
            let said = step(&mut inbox, &[alert("Flaps", 1, true, round * 120)], round * 120);
            ids.extend(said.iter().map(|f| f.id));
            step(&mut inbox, &[alert("Flaps", 1, false, round * 120 + 60)], round * 120 + 60);
        }
        assert_eq!(ids.len(), 3, "from the third time on it is one finding");
        let (_, _, known, finding) = inbox.alerts().next().unwrap();
        assert!(known.flapping && !known.firing && finding == ids.iter().find(|id| Some(**id) == finding).copied());
        assert!(step(&mut inbox, &[], 660 + 590).is_empty(), "it is held");
        let said = step(&mut inbox, &[], 660 + 600);
        assert_eq!((said.len(), said[0].ongoing), (1, false));
        let said = step(&mut inbox, &[alert("Flaps", 1, true, 2 * 3600)], 2 * 3600);
        assert!(said[0].start == at(2 * 3600) && !said[0].summary.contains("on and off"), "long ago is forgotten");
    }

    #[test]
    fn a_silence_keeps_quiet_and_its_end_speaks() {
        let mut inbox = Inbox::default();
        let silence = |_: &Tenant, _: &KnownAlert| Some("s1".to_owned());
        assert!(inbox.step(&[alert("Down", 1, true, 0)], at(0), silence).is_empty());
        assert_eq!(inbox.counts().all.silenced, 1);
        let said = inbox.silence_again(at(60), |_, _| None);
        assert_eq!((said.len(), said[0].ongoing), (1, true));
        let said = inbox.silence_again(at(90), silence);
        assert!(!said[0].ongoing);
    }

    #[test]
    fn a_storm_of_rules_at_one_entity_is_a_few_findings() {
        let mut inbox = Inbox::default();
        let storm: Vec<Alert> = (0..500).map(|i| alert(&format!("Rule{i}"), i, true, 0)).collect();
        let said = step(&mut inbox, &storm, 0);
        assert_eq!(said.len(), MOST_RULES + 1);
        assert_eq!(said.iter().map(|f| f.observed).sum::<f64>(), 500.0, "every alert is in one of them");
        let text = serde_json::to_string(&inbox).unwrap();
        assert_eq!(serde_json::from_str::<Inbox>(&text).unwrap(), inbox);
    }

    #[test]
    fn each_tenant_has_its_own_account() {
        let of = |tenant: &str, at: i64| Alert { tenant: Tenant::new(tenant), ..alert("Down", 1, true, at) };
        let mut inbox = Inbox::default();
        step(&mut inbox, &[of("a", 0), of("b", 0), of("b", 1), of("_self", 0)], 1);
        let count = |tenant: Option<&str>| {
            let counts = inbox.counts().of(tenant.map(Tenant::new).as_ref());
            (counts.received, counts.fired, counts.repeated)
        };
        assert_eq!((count(Some("a")), count(Some("b"))), ((1, 1, 0), (2, 1, 1)));
        assert_eq!((count(Some("none")), count(None)), ((0, 0, 0), (3, 2, 1)));
        let saved = serde_json::to_string(&inbox).unwrap();
        assert_eq!(serde_json::from_str::<Inbox>(&saved).unwrap(), inbox);
    }

    #[test]
    fn a_clock_ahead_counts_as_now() {
        let mut inbox = Inbox::default();
        let said = step(&mut inbox, &[Alert { starts_at: at(3600), ..alert("Down", 1, true, 0) }], 0);
        assert_eq!(said[0].start, at(0));
    }
}
