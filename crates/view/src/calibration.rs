//! What people and the false-alarm budget ask of a claim before it is said, in surprise (-log10 of a tail probability).
//!
//! A detector's surprise is calibrated on the series' own past; this moves the level that it must reach, visibly:
//! "not an incident" raises it for the series that were wrong, "missed" lowers it for an entity or one of its metrics.
//! Both wear off by half each 30 days, so that an old verdict does not blind a detector for ever.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::{DAY, EntityId, Finding, Tenant, Time};

/// After this long a correction counts half.
pub const HALF_LIFE_NS: i64 = 30 * DAY;
/// How much less surprise suffices at most, after "missed".
pub const MOST_EASE: f64 = 6.0;
/// What one "missed" takes off.
pub const EASE_STEP: f64 = 2.0;
/// How far above the surprise of a claim that was wrong the next one must lie.
pub const ABOVE_DISMISSED: f64 = 1.0;
/// Corrections kept at most; those that count least go first.
const MOST_CORRECTIONS: usize = 10_000;

/// A correction of one series, operation, template (`scope`), or of a whole entity (empty `scope`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    /// Whose.
    pub tenant: Tenant,
    /// About what.
    pub entity: EntityId,
    /// The measure as in [`Finding::measure`]; empty: any.
    pub measure: String,
    /// As in [`Finding::scope`], or a metric's name; empty: any.
    pub scope: String,
    /// Surprise that a claim must reach when said; 0 where nothing was dismissed.
    pub needed: f64,
    /// Surprise that a claim needs less when said; 0 where nothing was missed.
    pub ease: f64,
    /// When it was last said.
    pub at: Time,
    /// How often people said so.
    pub verdicts: u32,
}

impl Correction {
    fn fade(&self, now: Time) -> f64 {
        let age = now.since(self.at).max(0) as f64 / HALF_LIFE_NS as f64;
        0.5_f64.powf(age)
    }

    fn speaks_of(&self, measure: &str, scope: &str) -> bool {
        let metric = scope.split('{').next().unwrap_or(scope);
        (self.measure.is_empty() || self.measure == measure)
            && (self.scope.is_empty() || self.scope == scope || self.scope == metric)
    }
}

/// All corrections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    corrections: BTreeMap<String, Correction>,
}

impl Calibration {
    /// A person said that this claim was no incident: the next of its series must be more surprising than it was.
    pub fn dismiss(&mut self, finding: &Finding, now: Time) {
        let (measure, scope) = (finding.measure.as_str(), finding.scope.as_str());
        let known = self.entry(&finding.tenant, &finding.entity, measure, scope);
        known.needed = known.needed.max(finding.surprise + ABOVE_DISMISSED);
        known.ease = 0.0;
        known.at = now;
        known.verdicts += 1;
        self.forget_least(now);
    }

    /// A person said that something of an entity (of one of its metrics, if named) was missed: less suffices from now
    /// on, and what was raised there before is taken back.
    pub fn miss(&mut self, tenant: &Tenant, entity: &EntityId, metric: &str, now: Time) {
        for known in self.corrections.values_mut() {
            let same = known.tenant == *tenant && known.entity == *entity;
            let scope = known.scope.split('{').next().unwrap_or_default();
            if same && (metric.is_empty() || scope == metric) {
                known.needed = 0.0;
            }
        }
        let known = self.entry(tenant, entity, "", metric);
        known.ease = (known.ease * known.fade(now) + EASE_STEP).min(MOST_EASE);
        known.at = now;
        known.verdicts += 1;
        self.corrections.retain(|_, c| c.needed > 0.0 || c.ease > 0.0);
        self.forget_least(now);
    }

    /// Surprise below which a claim is not said; 0 where nobody dismissed one like it.
    pub fn needed(&self, finding: &Finding, now: Time) -> f64 {
        let of = self.of(&finding.tenant, &finding.entity);
        let said = of.filter(|c| c.speaks_of(&finding.measure, &finding.scope));
        said.map(|c| c.needed * c.fade(now)).fold(0.0, f64::max)
    }

    /// How much less surprise than usual suffices, 0..=[`MOST_EASE`]: a detector takes it off its own minimum.
    pub fn ease(&self, tenant: &Tenant, entity: &EntityId, measure: &str, scope: &str, now: Time) -> f64 {
        if self.corrections.is_empty() {
            return 0.0;
        }
        let said = self.of(tenant, entity).filter(|c| c.speaks_of(measure, scope));
        said.map(|c| c.ease * c.fade(now)).fold(0.0, f64::max)
    }

    /// All corrections, in order of tenant, entity, measure and scope.
    pub fn iter(&self) -> impl Iterator<Item = &Correction> {
        self.corrections.values()
    }

    fn of(&self, tenant: &Tenant, entity: &EntityId) -> impl Iterator<Item = &Correction> {
        let from = format!("{}\u{1}{}\u{1}", tenant.as_str(), entity.as_str());
        let range = self.corrections.range(from.clone()..);
        range.take_while(move |(key, _)| key.starts_with(&from)).map(|(_, correction)| correction)
    }

    fn entry(&mut self, tenant: &Tenant, entity: &EntityId, measure: &str, scope: &str) -> &mut Correction {
        let key = format!("{}\u{1}{}\u{1}{measure}\u{1}{scope}", tenant.as_str(), entity.as_str());
        self.corrections.entry(key).or_insert_with(|| Correction {
            tenant: tenant.clone(),
            entity: entity.clone(),
            measure: measure.to_owned(),
            scope: scope.to_owned(),
            needed: 0.0,
            ease: 0.0,
            at: Time(0),
            verdicts: 0,
        })
    }

    fn forget_least(&mut self, now: Time) {
        while self.corrections.len() > MOST_CORRECTIONS {
            let weight = |c: &Correction| c.needed.max(c.ease) * c.fade(now);
            let least = self.corrections.iter().min_by(|a, b| weight(a.1).total_cmp(&weight(b.1)));
            let Some(key) = least.map(|(key, _)| key.clone()) else { return };
            self.corrections.remove(&key);
        }
    }
}

/// Something that was nearly said, and why it was not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NearMiss {
    /// The analysis that looked.
    pub method: String,
    /// Whose.
    pub tenant: Tenant,
    /// About what.
    pub entity: EntityId,
    /// Registered measure.
    pub measure: String,
    /// What within the entity.
    pub scope: String,
    /// When it was nearest.
    pub at: Time,
    /// Surprise that it had.
    pub surprise: f64,
    /// Surprise that it needed; 0 where it was not surprise that it lacked.
    pub needed: f64,
    /// One sentence: which condition was not met.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use types::{Direction, FindingId, Shape};

    use super::*;

    fn claim(scope: &str, surprise: f64) -> Finding {
        Finding {
            id: FindingId(1),
            method: "metric".into(),
            version: 1,
            tenant: Tenant::default(),
            entity: EntityId::new("service", "shop", "cart"),
            shape: Shape::Abnormal,
            measure: "metric".into(),
            scope: scope.into(),
            start: Time(0),
            end: Time(0),
            ongoing: true,
            learned: Time(0),
            belief: 0.9,
            surprise,
            impact: 0.2,
            direction: Direction::Up,
            expected: None,
            observed: 0.0,
            cause: None,
            incident: None,
            summary: String::new(),
            evidence: Vec::new(),
        }
    }

    #[test]
    fn what_was_dismissed_must_be_more_surprising_next_time_and_only_there() {
        let mut calibration = Calibration::default();
        let wrong = claim("queue{\"a\":\"1\"}", 12.0);
        calibration.dismiss(&wrong, Time(0));
        assert_eq!(calibration.needed(&wrong, Time(0)), 13.0);
        assert_eq!(calibration.needed(&claim("queue{\"a\":\"2\"}", 12.0), Time(0)), 0.0);
        assert!((calibration.needed(&wrong, Time(HALF_LIFE_NS)) - 6.5).abs() < 1e-9, "it wears off");
    }

    #[test]
    fn what_was_missed_needs_less_and_takes_a_dismissal_back() {
        let mut calibration = Calibration::default();
        let wrong = claim("queue{}", 12.0);
        calibration.dismiss(&wrong, Time(0));
        calibration.miss(&wrong.tenant, &wrong.entity, "queue", Time(1));
        assert_eq!(calibration.needed(&wrong, Time(1)), 0.0);
        let ease = |scope: &str| calibration.ease(&wrong.tenant, &wrong.entity, "metric", scope, Time(1));
        assert_eq!(ease("queue{\"x\":\"y\"}"), EASE_STEP);
        assert_eq!(ease("other{}"), 0.0);
        for _ in 0..9 {
            calibration.miss(&wrong.tenant, &wrong.entity, "queue", Time(1));
        }
        assert_eq!(calibration.ease(&wrong.tenant, &wrong.entity, "metric", "queue", Time(1)), MOST_EASE);
    }

    #[test]
    fn an_entity_whose_name_begins_like_another_is_another() {
        let mut calibration = Calibration::default();
        let wrong = claim("", 5.0);
        calibration.dismiss(&wrong, Time(0));
        let other = Finding { entity: EntityId::new("service", "shop", "cart2"), ..wrong };
        assert_eq!(calibration.needed(&other, Time(0)), 0.0);
    }
}
