//! Service level objectives: what share of a service's events is promised to be good, and how it stands.

use serde::{Deserialize, Serialize};

use crate::{DAY, EntityId, HOUR, Tenant, Time};

/// Shortest and longest rolling window, ns.
pub const WINDOW_NS: (i64, i64) = (HOUR, 366 * DAY);
/// Longest name, bytes; other texts are at most five times as long.
pub const MOST_NAME_BYTES: usize = 200;
/// Most conditions of one selector.
pub const MOST_MATCHERS: usize = 20;

/// A promise about a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slo {
    /// Unique within its tenant.
    pub name: String,
    /// Whose.
    pub tenant: Tenant,
    /// What is promised about. In the namespace `default` it also stands for the first service of this name that is
    /// seen in another namespace.
    pub service: EntityId,
    /// For people (untrusted).
    pub description: String,
    /// Share of events that is promised to be good, above 0 and below 1.
    pub target: f64,
    /// Length of the rolling window for which it is promised, see [`WINDOW_NS`].
    pub window_ns: i64,
    /// Which events count, and which of them are good.
    pub indicator: Indicator,
    /// Whether burning is said; counted it is in any case.
    pub enabled: bool,
}

/// Which events count, and which of them are good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum Indicator {
    /// The service's requests (server and consumer spans); good is what did not fail.
    Requests,
    /// The service's requests; good is what did not fail and took no longer than the threshold.
    Latency {
        /// Milliseconds.
        threshold_ms: f64,
    },
    /// Increases of counters.
    Ratio {
        /// What is counted beside all events.
        part: Part,
        /// All events.
        total: Selector,
    },
}

/// The part of all events that is counted apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The good ones.
    Good(Selector),
    /// The bad ones.
    Bad(Selector),
}

/// Which series of a tenant are meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// Name of the metric.
    pub metric: String,
    /// All must fit.
    #[serde(default)]
    pub matchers: Vec<LabelMatcher>,
}

/// A condition on a label. One that is not there counts as empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelMatcher {
    /// Name of the label.
    pub label: String,
    /// How it is compared.
    pub operator: LabelOperator,
    /// With what.
    pub value: String,
}

/// How a label is compared, as in PromQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelOperator {
    /// `=`
    Is,
    /// `!=`
    IsNot,
    /// `=~`: the whole value fits a regular expression.
    Fits,
    /// `!~`
    FitsNot,
}

/// How an objective stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SloStatus {
    /// Which objective.
    pub name: String,
    /// Whose.
    pub tenant: Tenant,
    /// At which moment this was so.
    pub at: Time,
    /// Whose events are counted, once some were seen.
    pub entity: Option<EntityId>,
    /// Good events in the window.
    pub good: f64,
    /// All events in the window.
    pub total: f64,
    /// Share of good events in the window, 0..=1; `None` without events.
    pub ratio: Option<f64>,
    /// Share of the error budget that is left, at most 1, negative where more was spent than there is.
    pub budget_left: Option<f64>,
    /// How many times faster than promised the budget is spent, by window, shortest first.
    pub burn: Vec<Burn>,
    /// When the budget is gone if it goes on like in the last hour. `None` where it is gone already, or never will be.
    pub exhausted_at: Option<Time>,
    /// Since when events are counted.
    pub since: Option<Time>,
    /// Whether there are events enough to speak of a budget.
    pub is_enough: bool,
    /// What is missing where they are not, or what was left out.
    pub missing: Option<String>,
}

/// How fast an error budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Burn {
    /// In the last so many nanoseconds.
    pub window_ns: i64,
    /// 1: the budget lasts for just its window. `None` without events.
    pub rate: Option<f64>,
}

impl Slo {
    /// Whether it can be judged; the error names the field and what it may be.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let is_plain = |text: &str, most: usize| text.len() <= most && !text.chars().any(|c| c.is_control());
        if self.name.trim().is_empty() || !is_plain(&self.name, MOST_NAME_BYTES) {
            return Err(("name", format!("must have 1 to {MOST_NAME_BYTES} bytes and no control characters")));
        }
        if !is_plain(self.service.as_str(), MOST_NAME_BYTES) {
            return Err(("service", format!("must have at most {MOST_NAME_BYTES} bytes")));
        }
        if self.description.len() > 5 * MOST_NAME_BYTES {
            return Err(("description", format!("is longer than {} bytes", 5 * MOST_NAME_BYTES)));
        }
        // So close to 1 that not one event in a thousand million may be bad, no budget is left to speak of.
        if !(self.target > 0.0 && self.target <= 1.0 - 1e-9) {
            return Err(("target", format!("is {}, it must be above 0 and below 1, e.g. 0.999", self.target)));
        }
        if !(WINDOW_NS.0..=WINDOW_NS.1).contains(&self.window_ns) {
            return Err(("window", "must be 1 hour to 366 days long".to_owned()));
        }
        match &self.indicator {
            Indicator::Requests => Ok(()),
            Indicator::Latency { threshold_ms } if *threshold_ms > 0.0 && *threshold_ms <= 1e9 => Ok(()),
            Indicator::Latency { threshold_ms } => {
                Err(("threshold_ms", format!("is {threshold_ms}, it must be above 0 and at most 1e9")))
            }
            Indicator::Ratio { part: Part::Good(part) | Part::Bad(part), total } => part.check().and(total.check()),
        }
    }
}

impl Selector {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let is_long = |text: &str| text.len() > 5 * MOST_NAME_BYTES;
        let is_any_long = self.matchers.iter().any(|m| is_long(&m.label) || is_long(&m.value));
        match () {
            () if self.metric.is_empty() => Err(("selector", "names no metric".to_owned())),
            () if is_long(&self.metric) || is_any_long => {
                Err(("selector", format!("a name or value is longer than {} bytes", 5 * MOST_NAME_BYTES)))
            }
            () if self.matchers.len() > MOST_MATCHERS => {
                Err(("selector", format!("has {} conditions, more than {MOST_MATCHERS}", self.matchers.len())))
            }
            () => Ok(()),
        }
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.metric)?;
        for (i, matcher) in self.matchers.iter().enumerate() {
            let sign = match matcher.operator {
                LabelOperator::Is => "=",
                LabelOperator::IsNot => "!=",
                LabelOperator::Fits => "=~",
                LabelOperator::FitsNot => "!~",
            };
            let before = if i == 0 { '{' } else { ',' };
            write!(f, "{before}{}{sign}{:?}", matcher.label, matcher.value)?;
        }
        f.write_str(if self.matchers.is_empty() { "" } else { "}" })
    }
}

/// A label's pattern as a regular expression that fits the whole value only.
pub fn whole_pattern(pattern: &str) -> String {
    format!("^(?:{pattern})$")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slo() -> Slo {
        Slo {
            name: "pay-availability".into(),
            tenant: Tenant::default(),
            service: EntityId::new("service", "shop", "payments"),
            description: String::new(),
            target: 0.999,
            window_ns: 30 * DAY,
            indicator: Indicator::Requests,
            enabled: true,
        }
    }

    #[test]
    fn what_cannot_be_judged_is_named() {
        assert_eq!(slo().check(), Ok(()));
        let field = |slo: Slo| slo.check().unwrap_err().0;
        for target in [0.0, 1.0, -1.0, f64::NAN, 99.9] {
            assert_eq!(field(Slo { target, ..slo() }), "target");
        }
        assert_eq!(field(Slo { window_ns: 5, ..slo() }), "window");
        assert_eq!(field(Slo { name: "a\nb".into(), ..slo() }), "name");
        let indicator = Indicator::Latency { threshold_ms: f64::INFINITY };
        assert_eq!(field(Slo { indicator, ..slo() }), "threshold_ms");
        let none = Selector { metric: String::new(), matchers: Vec::new() };
        let indicator = Indicator::Ratio { part: Part::Bad(none.clone()), total: none };
        assert_eq!(field(Slo { indicator, ..slo() }), "selector");
    }

    #[test]
    fn it_reads_back_from_json() {
        let matcher = LabelMatcher { label: "code".into(), operator: LabelOperator::Fits, value: "5..".into() };
        let bad = Selector { metric: "http_requests_total".into(), matchers: vec![matcher] };
        let total = Selector { metric: "http_requests_total".into(), matchers: Vec::new() };
        assert_eq!(bad.to_string(), r#"http_requests_total{code=~"5.."}"#);
        let slo = Slo { indicator: Indicator::Ratio { part: Part::Bad(bad), total }, ..slo() };
        let text = serde_json::to_string(&slo).unwrap();
        assert_eq!(serde_json::from_str::<Slo>(&text).unwrap(), slo);
    }
}
