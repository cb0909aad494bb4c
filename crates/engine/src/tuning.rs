//! How much is said: the budget, what people said of earlier claims, and what was therefore nearly said.

use std::collections::VecDeque;

use incident::Command;
use serde::{Deserialize, Serialize};
use types::{Finding, FindingId, IncidentId, JournalEntry, JournalKind, Shape, Time};
use view::{Calibration, FindingLog, NearMiss};

use crate::{budget::Budget, intake, said::rounded};

/// Near misses kept, the newest.
const MOST_NEAR: usize = 200;

/// Part of the engine's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    pub budget: Budget,
    pub calibration: Calibration,
    near: VecDeque<NearMiss>,
}

impl Tuning {
    /// Does what people said; answers with the journal's lines.
    pub fn obey(&mut self, said: &[intake::Tuning], now: Time) -> Vec<JournalEntry> {
        said.iter().map(|word| self.obey_one(word, now)).collect()
    }

    fn obey_one(&mut self, word: &intake::Tuning, now: Time) -> JournalEntry {
        match word {
            intake::Tuning::Missed { tenant, entity, metric, actor, at } => {
                self.calibration.miss(tenant, entity, metric, now);
                let ease = rounded(self.calibration.ease(tenant, entity, "", metric, now));
                JournalEntry {
                    at: now,
                    kind: JournalKind::Verdict,
                    subject: entity.to_string(),
                    data: serde_json::json!({
                        "verdict": "missed", "tenant": tenant, "metric": metric, "at": at, "ease": ease,
                    }),
                    text: actor.clone(),
                }
            }
            intake::Tuning::Budget { per_week, actor } => {
                self.budget.set(*per_week);
                JournalEntry {
                    at: now,
                    kind: JournalKind::Setting,
                    subject: "detection.budget".to_owned(),
                    data: serde_json::json!({ "per_week": self.budget.per_week() }),
                    text: actor.clone(),
                }
            }
        }
    }

    /// Learns from verdicts on incidents: what was dismissed needs more next time, what was taken for real uses up no
    /// budget.
    pub fn learn(
        &mut self,
        commands: &[Command],
        findings_of: impl Fn(&IncidentId) -> Option<Vec<FindingId>>,
        findings: &FindingLog,
        now: Time,
    ) {
        for command in commands {
            let (incident, dismissed) = match command {
                Command::Acknowledge { incident, .. } => (incident, false),
                Command::Resolve { incident, dismissed, .. } => (incident, *dismissed),
                Command::Merge { .. } | Command::Join { .. } | Command::Split { .. } | Command::Note { .. } => continue,
            };
            let Some(claims) = findings_of(incident) else { continue };
            self.budget.judge(&claims, !dismissed);
            if dismissed {
                let known = claims.iter().filter_map(|id| findings.get(*id));
                for finding in known.filter(|f| f.shape == Shape::Abnormal) {
                    self.calibration.dismiss(&rounded_surprise(finding), now);
                }
            }
        }
    }

    /// Whether a claim may be said; what may not is kept as nearly said. A claim that was said before goes on.
    pub fn admits(&mut self, finding: &Finding, said_before: bool, now: Time) -> bool {
        if finding.shape != Shape::Abnormal {
            return true;
        }
        let finding = &rounded_surprise(finding);
        let needed = self.calibration.needed(finding, now);
        if !said_before && finding.surprise < needed {
            let why = "one like it was said to be no incident, so it must be more surprising than that one was";
            self.keep(nearly(finding, needed, why, now));
            return false;
        }
        match self.budget.admit(finding, now) {
            Err(needed) if !said_before => {
                let why = "the budget of false events is used up by more surprising ones that nobody confirmed";
                self.keep(nearly(finding, needed, why, now));
                false
            }
            _ => true,
        }
    }

    /// Keeps what analyses nearly said.
    pub fn note(&mut self, near: Vec<NearMiss>) {
        near.into_iter().for_each(|miss| self.keep(miss));
    }

    /// What was nearly said, newest first.
    pub fn near(&self) -> impl Iterator<Item = &NearMiss> {
        self.near.iter().rev()
    }

    fn keep(&mut self, mut miss: NearMiss) {
        (miss.surprise, miss.needed) = (rounded(miss.surprise), rounded(miss.needed));
        // Said again while it goes on: once is enough, the most surprising moment stays.
        let same = |known: &NearMiss| {
            (&known.tenant, &known.entity, &known.method, &known.measure, &known.scope)
                == (&miss.tenant, &miss.entity, &miss.method, &miss.measure, &miss.scope)
                && miss.at.since(known.at) <= crate::budget::SAME_EVENT_NS
        };
        if let Some(at) = self.near.iter().rposition(same) {
            if self.near[at].surprise >= miss.surprise {
                return;
            }
            self.near.remove(at);
        }
        self.near.push_back(miss);
        while self.near.len() > MOST_NEAR {
            self.near.pop_front();
        }
    }
}

/// State is saved as JSON, which keeps four decimals exactly.
fn rounded_surprise(finding: &Finding) -> Finding {
    Finding { surprise: rounded(finding.surprise), ..finding.clone() }
}

fn nearly(finding: &Finding, needed: f64, why: &str, now: Time) -> NearMiss {
    NearMiss {
        method: finding.method.clone(),
        tenant: finding.tenant.clone(),
        entity: finding.entity.clone(),
        measure: finding.measure.clone(),
        scope: finding.scope.clone(),
        at: finding.end.max(finding.start).min(now),
        surprise: finding.surprise,
        needed,
        why: format!("{why}: {}", finding.summary),
    }
}
