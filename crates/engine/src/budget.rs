//! The false-alarm budget: at most so many false events a week for each service, kept without labels.
//!
//! Idea: nobody says which alarms were false, so all that no person has confirmed count as false. An event (claims of
//! one entity that begin within [`SAME_EVENT_NS`] of one another) is let through if the budget is not used up, or if it
//! is more surprising than enough of the events before it: it must be among the `budget × weeks` most surprising
//! unconfirmed events of the last four weeks. With events that are exchangeable that holds the rate at the budget but
//! for new records, of which `ln n` are expected among `n`; a rate that is really higher is shown, and said not to
//! hold. This is conformal ranking (Vovk, Gammerman and Shafer, 2005) over events instead of points.
//!
//! Cost: one ledger of at most [`MOST_EVENTS`] events an entity, looked at when a claim is first said. It fails where
//! real faults are frequent and nobody confirms them: they then count as false and weaker ones are held back. What is
//! held back is never lost: it is shown as nearly said, with the level it would have needed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::{DAY, EntityId, Finding, FindingId, MINUTE, Tenant, Time};

/// Claims of one entity that begin this close to one another are one event.
pub const SAME_EVENT_NS: i64 = 10 * MINUTE;
/// How far back events count.
pub const MEMORY_NS: i64 = 28 * DAY;
/// Events kept for each entity at most: the newest.
const MOST_EVENTS: usize = 256;
const WEEK_NS: i64 = 7 * DAY;

/// What happened to one entity at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Event {
    start: Time,
    last: Time,
    /// Most surprise of its claims.
    surprise: f64,
    /// It was let through.
    said: bool,
    /// A person took it for real.
    confirmed: bool,
    /// A person said that it was none.
    dismissed: bool,
    claims: Vec<FindingId>,
}

/// The events of one entity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Ledger {
    since: Option<Time>,
    events: Vec<Event>,
}

/// Budget and ledgers of all entities.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// False events a week for each entity; `None`: no limit.
    per_week: Option<f64>,
    ledgers: BTreeMap<Tenant, BTreeMap<EntityId, Ledger>>,
}

/// How one entity stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// Whose.
    pub tenant: Tenant,
    /// Which.
    pub entity: EntityId,
    /// Days of history behind the rates, at most 28.
    pub days: f64,
    /// Events a week that were said.
    pub said_per_week: f64,
    /// Of those, events a week that nobody confirmed: what counts as false.
    pub unconfirmed_per_week: f64,
    /// Events a week that people said were none.
    pub dismissed_per_week: f64,
    /// Events a week that were held back.
    pub held_back_per_week: f64,
    /// The budget, if there is one.
    pub budget_per_week: Option<f64>,
    /// Surprise that the next event needs; 0 while the budget is not used up.
    pub needed_surprise: f64,
    /// Whether the budget holds; `None` where there is none, or the history is too short to tell.
    pub holds: Option<bool>,
    /// One sentence about it.
    pub says: String,
}

impl Budget {
    /// Sets the budget; what is not a number above 0 means no limit.
    pub fn set(&mut self, per_week: Option<f64>) {
        self.per_week = per_week.filter(|n| n.is_finite() && *n > 0.0);
    }

    /// The budget.
    pub fn per_week(&self) -> Option<f64> {
        self.per_week
    }

    /// Whether a claim may be said. If not: the surprise that it would have needed.
    pub fn admit(&mut self, finding: &Finding, now: Time) -> Result<(), f64> {
        let per_week = self.per_week;
        let ledger = self.ledger(&finding.tenant, &finding.entity);
        let since = *ledger.since.get_or_insert(finding.start.min(now));
        let at = ledger.event_of(finding);
        if let Some(at) = at {
            let event = &mut ledger.events[at];
            event.last = event.last.max(if finding.ongoing { now } else { finding.end });
            event.surprise = event.surprise.max(finding.surprise);
            if !event.claims.contains(&finding.id) {
                event.claims.push(finding.id);
            }
            if event.said {
                return Ok(());
            }
        }
        let needed = per_week.map_or(0.0, |n| ledger.needed(n, since, at, now));
        // As surprising as the weakest that the budget has room for is not enough.
        let said = needed == 0.0 || finding.surprise > needed;
        match at {
            Some(at) => ledger.events[at].said = said,
            None => ledger.events.push(Event {
                start: finding.start,
                last: now,
                surprise: finding.surprise,
                said,
                confirmed: false,
                dismissed: false,
                claims: vec![finding.id],
            }),
        }
        ledger.forget(now);
        if said { Ok(()) } else { Err(needed) }
    }

    /// Something of the entity was seen: its history has begun.
    pub fn seen(&mut self, tenant: &Tenant, entity: &EntityId, at: Time) {
        self.ledger(tenant, entity).since.get_or_insert(at);
    }

    /// A person took an incident with these claims for real, or said that it was none.
    pub fn judge(&mut self, claims: &[FindingId], confirmed: bool) {
        for event in self.ledgers.values_mut().flat_map(|of| of.values_mut()).flat_map(|l| &mut l.events) {
            if event.claims.iter().any(|id| claims.contains(id)) {
                event.confirmed = confirmed;
                event.dismissed = !confirmed;
            }
        }
    }

    /// How each entity stands, in order of tenant and name.
    pub fn rates(&self, now: Time) -> Vec<Rate> {
        let all = self.ledgers.iter().flat_map(|(tenant, of)| of.iter().map(move |(entity, l)| (tenant, entity, l)));
        all.map(|(tenant, entity, ledger)| self.rate(tenant, entity, ledger, now)).collect()
    }

    fn rate(&self, tenant: &Tenant, entity: &EntityId, ledger: &Ledger, now: Time) -> Rate {
        let since = ledger.since.unwrap_or(now).max(now.plus(-MEMORY_NS));
        let days = now.since(since).max(0) as f64 / DAY as f64;
        // Less than a day says little: a rate over it is not blown up further.
        let weeks = days.max(1.0) / 7.0;
        let recent = || ledger.events.iter().filter(|e| e.start >= since);
        let per_week = |wanted: &dyn Fn(&&Event) -> bool| recent().filter(|e| wanted(e)).count() as f64 / weeks;
        let unconfirmed = per_week(&|e| e.said && !e.confirmed);
        let needed = self.per_week.map_or(0.0, |n| ledger.needed(n, since, None, now));
        let enough = self.per_week.is_some_and(|n| n * days / 7.0 >= 1.0);
        let holds = self.per_week.filter(|_| enough).map(|n| unconfirmed <= n + 1e-9);
        let says = match (self.per_week, holds) {
            (None, _) => "no budget is set".to_owned(),
            (Some(n), None) => {
                format!("{days:.1} days of history are too few to hold {n} a week; nothing is promised yet")
            }
            (Some(n), Some(true)) => format!("{unconfirmed:.1} a week, the budget of {n} holds"),
            (Some(n), Some(false)) => format!(
                "{unconfirmed:.1} a week, the budget of {n} could not be held: each event was more surprising than those before it"
            ),
        };
        Rate {
            tenant: tenant.clone(),
            entity: entity.clone(),
            days,
            said_per_week: per_week(&|e| e.said),
            unconfirmed_per_week: unconfirmed,
            dismissed_per_week: per_week(&|e| e.dismissed),
            held_back_per_week: per_week(&|e| !e.said),
            budget_per_week: self.per_week,
            needed_surprise: needed,
            holds,
            says,
        }
    }

    fn ledger(&mut self, tenant: &Tenant, entity: &EntityId) -> &mut Ledger {
        self.ledgers.entry(tenant.clone()).or_default().entry(entity.clone()).or_default()
    }
}

impl Ledger {
    /// The event that a claim belongs to.
    fn event_of(&self, finding: &Finding) -> Option<usize> {
        let known = self.events.iter().position(|e| e.claims.contains(&finding.id));
        let near =
            |e: &Event| finding.start <= e.last.plus(SAME_EVENT_NS) && finding.start >= e.start.plus(-SAME_EVENT_NS);
        known.or_else(|| self.events.iter().rposition(near))
    }

    /// Surprise that an event (`apart` from the one at this place) must exceed; 0 while the budget has room.
    fn needed(&self, per_week: f64, since: Time, apart: Option<usize>, now: Time) -> f64 {
        let weeks = now.since(since).clamp(0, MEMORY_NS) as f64 / WEEK_NS as f64;
        let room = (per_week * weeks).max(1.0).floor() as usize;
        let oldest = now.plus(-MEMORY_NS);
        let others = self.events.iter().enumerate().filter(|(i, e)| Some(*i) != apart && e.start >= oldest);
        let mut false_ones: Vec<f64> = others.filter(|(_, e)| !e.confirmed).map(|(_, e)| e.surprise).collect();
        false_ones.sort_by(|a, b| b.total_cmp(a));
        false_ones.get(room - 1).copied().unwrap_or(0.0)
    }

    fn forget(&mut self, now: Time) {
        let oldest = now.plus(-MEMORY_NS);
        self.events.retain(|e| e.last >= oldest);
        let surplus = self.events.len().saturating_sub(MOST_EVENTS);
        self.events.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use types::HOUR;

    use super::*;

    fn claim(number: u64, start: Time, surprise: f64) -> Finding {
        let cart = EntityId::new("service", "shop", "cart");
        let claim = crate::tests::finding(&Tenant::default(), &cart, start, start, true, surprise);
        Finding { id: FindingId(number), ..claim }
    }

    /// Surprises of a series that cries every `every`: exchangeable, the same at every run.
    fn said(budget: &mut Budget, weeks: i64, every: i64) -> Vec<Time> {
        let (mut state, mut said) = (7_u64, Vec::new());
        for i in 0..weeks * WEEK_NS / every {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let u = ((state >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
            let at = Time(i * every);
            if budget.admit(&claim(i as u64 + 1, at, 6.0 - u.log10()), at).is_ok() {
                said.push(at);
            }
        }
        said
    }

    #[test]
    fn a_series_that_cries_often_is_held_to_the_budget_without_labels() {
        let mut budget = Budget::default();
        budget.set(Some(2.0));
        let all = said(&mut budget, 12, 3 * HOUR);
        let late = all.iter().filter(|at| at.0 >= 4 * WEEK_NS).count() as f64 / 8.0;
        assert!((1.0..=2.6).contains(&late), "{late} a week after the first four");
        let rate = &budget.rates(Time(12 * WEEK_NS))[0];
        assert!(rate.unconfirmed_per_week <= 2.6 && rate.held_back_per_week > 40.0, "{rate:?}");
        assert!(rate.says.contains("a week"), "{rate:?}");
    }

    #[test]
    fn without_a_budget_all_is_said_and_counted() {
        let mut budget = Budget::default();
        assert_eq!(said(&mut budget, 1, 3 * HOUR).len(), 56);
        let rate = &budget.rates(Time(WEEK_NS))[0];
        assert!((rate.said_per_week - 56.0).abs() < 1.0 && rate.holds.is_none(), "{rate:?}");
    }

    #[test]
    fn an_event_that_dwarfs_the_rest_is_said_whatever_was_used_up() {
        let mut budget = Budget::default();
        budget.set(Some(1.0));
        said(&mut budget, 4, 3 * HOUR);
        let at = Time(4 * WEEK_NS + HOUR);
        let needed = budget.admit(&claim(90_000, at, 6.1), at).unwrap_err();
        assert!(needed > 6.1, "{needed}");
        let later = at.plus(5 * HOUR);
        assert!(budget.admit(&claim(90_001, later, 200.0), later).is_ok());
    }

    #[test]
    fn what_a_person_confirmed_uses_nothing_up() {
        let mut budget = Budget::default();
        budget.set(Some(1.0));
        for i in 0..5 {
            let at = Time(i * DAY);
            assert!(budget.admit(&claim(i as u64 + 1, at, 10.0 - i as f64), at).is_ok(), "event {i}");
            budget.judge(&[FindingId(i as u64 + 1)], true);
        }
    }

    #[test]
    fn claims_of_one_event_count_once() {
        let mut budget = Budget::default();
        budget.set(Some(1.0));
        for i in 0..5 {
            assert!(budget.admit(&claim(i + 1, Time(i as i64 * MINUTE), 8.0), Time(i as i64 * MINUTE)).is_ok());
        }
        let rate = &budget.rates(Time(DAY))[0];
        assert!((rate.said_per_week - 7.0).abs() < 1e-9, "{rate:?}");
        assert!(rate.holds.is_none() && rate.says.contains("too few"), "a day is too short for one a week: {rate:?}");
    }

    #[test]
    fn odd_budgets_are_none() {
        let mut budget = Budget::default();
        for odd in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            budget.set(Some(odd));
            assert_eq!(budget.per_week(), None);
        }
    }
}
