//! Silences and maintenance windows: what people do not want to hear of for a while.
//!
//! What is silenced is still found, stored and counted; it opens no incident and joins none. What an incident already
//! holds goes on there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::{Finding, Tenant, Time};

use crate::{Matcher, inbox::KnownAlert};

/// One silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its name, unique.
    pub id: String,
    /// Whose findings.
    pub tenant: Tenant,
    /// All must fit.
    pub matchers: Vec<Matcher>,
    /// From when.
    pub starts_at: Time,
    /// Until when.
    pub ends_at: Time,
    /// Why.
    pub comment: String,
    /// Who made it.
    pub actor: Option<String>,
    /// How many claims and alerts it kept quiet.
    pub kept_quiet: u64,
}

/// All silences, also those over a short while ago.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Silences {
    by_id: BTreeMap<String, Silence>,
}

/// Most silences at a time.
pub const MOST_SILENCES: usize = 500;
/// How long one that is over is still shown, ns.
const KEEP_NS: i64 = 7 * types::DAY;

impl Silences {
    /// Makes a silence, or changes the one of this id.
    pub fn set(&mut self, silence: Silence) {
        if self.by_id.len() < MOST_SILENCES || self.by_id.contains_key(&silence.id) {
            let kept_quiet = self.by_id.get(&silence.id).map_or(0, |known| known.kept_quiet);
            self.by_id.insert(silence.id.clone(), Silence { kept_quiet, ..silence });
        }
    }

    /// Ends a silence at `now`; whether there was one that was not over.
    pub fn end(&mut self, id: &str, now: Time) -> bool {
        let Some(known) = self.by_id.get_mut(id).filter(|known| known.ends_at > now) else { return false };
        known.ends_at = now;
        true
    }

    /// Forgets what is long over.
    pub fn forget(&mut self, now: Time) {
        self.by_id.retain(|_, silence| now.since(silence.ends_at) <= KEEP_NS);
    }

    /// All of them, in order of id.
    pub fn iter(&self) -> impl Iterator<Item = &Silence> {
        self.by_id.values()
    }

    /// Which of them hold now; changes when one begins or ends.
    pub fn active(&self, now: Time) -> Vec<String> {
        self.by_id.values().filter(|silence| silence.holds(now)).map(|silence| silence.id.clone()).collect()
    }

    /// The silence that holds for an alert.
    pub fn of_alert(&self, tenant: &Tenant, alert: &KnownAlert, now: Time) -> Option<String> {
        let fits = |silence: &&Silence| silence.holds(now) && silence.fits_alert(tenant, alert);
        self.by_id.values().find(fits).map(|silence| silence.id.clone())
    }

    /// The silence that holds for a finding; it is counted there.
    pub fn quiets(&mut self, finding: &Finding, now: Time) -> bool {
        let fits = |silence: &&mut Silence| silence.holds(now) && silence.fits_finding(finding);
        let Some(silence) = self.by_id.values_mut().find(fits) else { return false };
        silence.kept_quiet += 1;
        true
    }

    /// Counts what a silence kept quiet.
    pub fn count(&mut self, id: &str) {
        if let Some(silence) = self.by_id.get_mut(id) {
            silence.kept_quiet += 1;
        }
    }
}

impl Silence {
    /// Whether it is in force.
    pub fn holds(&self, now: Time) -> bool {
        self.starts_at <= now && now < self.ends_at
    }

    /// Whether it speaks of an alert: by the alert's own labels, or by `entity`, `service`, `namespace`, `kind`,
    /// `severity`.
    pub fn fits_alert(&self, tenant: &Tenant, alert: &KnownAlert) -> bool {
        let label = |name: &str| match alert.labels.get(name) {
            Some(value) => Some(value.as_str()),
            None if name == "severity" => Some(alert.severity.as_str()),
            None => entity_label(&alert.entity, name),
        };
        self.tenant == *tenant && self.matchers.iter().all(|matcher| matcher.fits(label))
    }

    /// Whether it speaks of a finding: by `entity`, `service`, `namespace`, `kind`, `measure`, `method`, and for
    /// alerts `alertname`.
    pub fn fits_finding(&self, finding: &Finding) -> bool {
        let label = |name: &str| match name {
            "measure" => Some(finding.measure.as_str()),
            "method" => Some(finding.method.as_str()),
            "scope" => Some(finding.scope.as_str()),
            "alertname" if finding.measure == crate::inbox::MEASURE => Some(finding.scope.as_str()),
            _ => entity_label(&finding.entity, name),
        };
        self.tenant == finding.tenant && self.matchers.iter().all(|matcher| matcher.fits(label))
    }
}

/// A label that any entity has.
pub(crate) fn entity_label<'a>(entity: &'a types::EntityId, name: &str) -> Option<&'a str> {
    match name {
        "entity" => Some(entity.as_str()),
        "namespace" => Some(entity.namespace()),
        "kind" => Some(entity.kind()),
        "name" => Some(entity.name()),
        kind if kind == entity.kind() => Some(entity.name()),
        _ => None,
    }
}
