//! What is said, and how often: findings as effects and as journal lines.

use std::collections::BTreeMap;

use incident::{News, Update};
use serde::{Deserialize, Serialize};
use serde_json::json;
use types::{Finding, FindingId, IncidentState, JournalEntry, JournalKind, SECOND, Shape, Time};
use view::FindingLog;

use crate::Effect;

/// A finding that merely goes on is said again this often, at most.
const AGAIN_EVERY_NS: i64 = 30 * SECOND;

/// When a finding was last said and with what score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastSaid {
    at: Time,
    /// Bits of `f64`.
    surprise: u64,
    /// Bits of `f64`.
    belief: u64,
    ongoing: bool,
}

/// Takes a finding into the log; answers with what it is now where that is worth an effect, and with its journal line
/// where it is new or ended.
pub fn take_finding(
    mut finding: Finding,
    now: Time,
    log: &mut FindingLog,
    said: &mut BTreeMap<FindingId, LastSaid>,
    effects: &mut Vec<Effect>,
) -> Option<Finding> {
    let id = finding.id;
    if finding.learned > now || log.get(id).is_none() {
        finding.learned = now;
    }
    let is_new = log.say(finding);
    let known = log.get(id)?;
    let last = said.get(&id).copied();
    let ended = last.is_some_and(|last| last.ongoing) && !known.ongoing;
    let worth_it = match last {
        None => true,
        Some(last) => {
            let (surprise, belief) = (f64::from_bits(last.surprise), f64::from_bits(last.belief));
            let stronger = known.surprise > surprise * 1.2 + 1.0 || (known.belief - belief).abs() >= 0.05;
            last.ongoing != known.ongoing || stronger || now.since(last.at) >= AGAIN_EVERY_NS && known.ongoing
        }
    };
    if worth_it {
        let (surprise, belief) = (known.surprise.to_bits(), known.belief.to_bits());
        said.insert(id, LastSaid { at: now, surprise, belief, ongoing: known.ongoing });
        // Causes are journaled with their incident.
        if (is_new || last.is_none() || ended) && known.shape != Shape::Cause {
            effects.push(Effect::Journal(finding_line(known, now, if ended { "ended" } else { "said" })));
        }
        effects.push(Effect::Finding(known.clone()));
    }
    Some(known.clone())
}

fn finding_line(finding: &Finding, now: Time, what: &str) -> JournalEntry {
    JournalEntry {
        at: now,
        kind: JournalKind::Finding,
        subject: finding.id.hex(),
        data: json!({
            "what": what,
            "tenant": finding.tenant,
            "method": finding.method,
            "version": finding.version,
            "entity": finding.entity,
            "measure": finding.measure,
            "start": finding.start,
            "end": finding.end,
            "ongoing": finding.ongoing,
            "belief": rounded(finding.belief),
            "surprise": rounded(finding.surprise),
            "impact": rounded(finding.impact),
        }),
        text: Some(finding.summary.clone()).filter(|text| !text.is_empty()),
    }
}

/// An incident's changes as journal lines and the incident itself.
pub fn take_update(update: Update, now: Time, effects: &mut Vec<Effect>) {
    for news in &update.news {
        effects.extend(incident_line(&update, news, now).map(Effect::Journal));
    }
    effects.push(Effect::Incident(update.incident));
}

fn incident_line(update: &Update, news: &News, now: Time) -> Option<JournalEntry> {
    let incident = &update.incident;
    let line = |kind, data, text: Option<String>| {
        let subject = incident.id.0.clone();
        Some(JournalEntry { at: now, kind, subject, data, text: text.filter(|t| !t.is_empty()) })
    };
    let data = |what: &str| {
        json!({
            "what": what,
            "tenant": incident.tenant,
            "state": incident.state,
            "severity": incident.severity,
            "started_at": incident.started_at,
            "entities": incident.entities,
            "findings": incident.findings,
        })
    };
    let title = Some(incident.title.clone());
    match news {
        News::Opened => line(JournalKind::Incident, data("opened"), title),
        News::Reopened => line(JournalKind::Incident, data("reopened"), title),
        News::State(IncidentState::Resolved) => line(JournalKind::Incident, data("resolved"), title),
        News::State(_) => line(JournalKind::Incident, data("state"), title),
        News::Severity(_) => line(JournalKind::Incident, data("severity"), title),
        News::TookIn(other) => {
            let mut data = data("took_in");
            data["other"] = json!(other);
            line(JournalKind::Incident, data, title)
        }
        News::MergedInto(other) => {
            let mut data = data("merged");
            data["other"] = json!(other);
            line(JournalKind::Incident, data, title)
        }
        News::Cause => {
            let top = incident.causes.first();
            let data = json!({
                "tenant": incident.tenant,
                "entity": top.map(|cause| &cause.entity),
                "kind": top.map(|cause| cause.kind),
                "belief": top.map(|cause| rounded(cause.belief)),
                "undecided": incident.undecided,
                "of": incident.causes.len(),
            });
            line(JournalKind::Cause, data, top.map(|cause| cause.summary.clone()))
        }
        News::Dismissed | News::Grew => None,
    }
}

/// Four decimals: such numbers read back from JSON as they were.
pub fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
