//! Earlier incidents that look like one, and what ended them.

use std::collections::BTreeSet;

use serde::Serialize;
use types::{Cause, EntityId, Incident, IncidentId, IncidentState, Severity, Time};

/// An earlier incident that looks like another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Similar {
    /// Which.
    pub id: IncidentId,
    /// Its title.
    pub title: String,
    /// How bad it was.
    pub severity: Severity,
    /// When it began.
    pub started_at: Time,
    /// When it ended.
    pub resolved_at: Option<Time>,
    /// 0..=1: how much it looks like it.
    pub score: f64,
    /// What they share, in words.
    pub shared: Vec<String>,
    /// What ended it, as far as its timeline tells: changes at the cause, notes of people, who resolved it.
    pub ended_by: Vec<String>,
}

/// Below this score nothing is said.
const SCORE_MIN: f64 = 0.35;

/// The most similar of `all` that began before `to`, best first: the same place and kind of cause, the same symptoms,
/// the same entities. Those that people said were none are left out.
pub fn similar(to: &Incident, all: &[Incident], most: usize) -> Vec<Similar> {
    let mut found: Vec<Similar> = all.iter().filter_map(|past| compare(to, past)).collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.started_at.cmp(&a.started_at)));
    found.truncate(most);
    found
}

fn compare(to: &Incident, past: &Incident) -> Option<Similar> {
    let is_earlier = past.started_at < to.started_at && past.id != to.id && past.tenant == to.tenant;
    if !is_earlier || was_dismissed(past) {
        return None;
    }
    let mut shared = Vec::new();
    let mut score = 0.0;
    if let (Some(a), Some(b)) = (cause(to), cause(past)) {
        if a.entity == b.entity {
            score += 0.3;
            shared.push(format!("the same place: {}", a.entity.name()));
        }
        if a.kind == b.kind {
            score += 0.2;
            shared.push(format!("the same kind of cause: {}", crate::words::cause_word(a.kind)));
        }
    }
    let (mine, theirs) = (symptoms(to), symptoms(past));
    let both: Vec<&&str> = mine.intersection(&theirs).collect();
    if !both.is_empty() {
        score += 0.25 * both.len() as f64 / mine.union(&theirs).count() as f64;
        shared.push(format!("the same symptoms: {}", both.iter().map(|s| **s).collect::<Vec<_>>().join(", ")));
    }
    let (mine, theirs): (BTreeSet<&EntityId>, BTreeSet<&EntityId>) =
        (to.entities.iter().collect(), past.entities.iter().collect());
    let both = mine.intersection(&theirs).count();
    if both > 0 {
        score += 0.25 * both as f64 / mine.union(&theirs).count() as f64;
        shared.push(format!("{both} affected in common"));
    }
    (score >= SCORE_MIN).then(|| Similar {
        id: past.id.clone(),
        title: past.title.clone(),
        severity: past.severity,
        started_at: past.started_at,
        resolved_at: past.resolved_at,
        score: crate::case::rounded(score, 3),
        shared,
        ended_by: ended_by(past),
    })
}

fn cause(incident: &Incident) -> Option<&Cause> {
    incident.causes.first().filter(|_| !incident.undecided)
}

/// The symptoms in a title: `pay: errors and slow answers`.
fn symptoms(incident: &Incident) -> BTreeSet<&str> {
    let words = incident.title.split_once(": ").map_or("", |(_, words)| words);
    words.split(", ").flat_map(|part| part.split(" and ")).filter(|word| !word.is_empty()).collect()
}

/// Whether a person said that it was none.
pub fn was_dismissed(incident: &Incident) -> bool {
    incident.timeline.iter().any(|line| line.kind == "state" && line.text.starts_with("said to be no incident"))
}

/// What ended an incident, as far as its timeline tells.
pub fn ended_by(incident: &Incident) -> Vec<String> {
    if incident.state != IncidentState::Resolved {
        return vec!["it goes on".to_owned()];
    }
    let during = |at: Time| at > incident.opened_at && incident.resolved_at.is_none_or(|end| at <= end);
    let telling = incident.timeline.iter().filter(|line| match line.kind.as_str() {
        "change" => during(line.at),
        "note" => true,
        "state" => line.text.starts_with("resolved"),
        _ => false,
    });
    telling.map(|line| line.text.chars().take(300).collect()).collect()
}

#[cfg(test)]
mod tests {
    use types::{CauseKind, MINUTE, Tenant, TimelineEntry};

    use super::*;

    fn incident(number: i64, place: &str, title: &str, kind: CauseKind) -> Incident {
        let entity = EntityId::parse(place).unwrap();
        Incident {
            id: IncidentId(format!("inc-{number}")),
            tenant: Tenant::default(),
            state: IncidentState::Resolved,
            severity: Severity::Major,
            priority: Default::default(),
            title: title.into(),
            summary: String::new(),
            started_at: Time(number * MINUTE),
            opened_at: Time(number * MINUTE),
            resolved_at: Some(Time((number + 5) * MINUTE)),
            actor: None,
            entities: vec![entity.clone()],
            causes: vec![Cause {
                entity,
                kind,
                belief: 0.9,
                summary: String::new(),
                evidence: vec![],
                against: vec![],
            }],
            undecided: false,
            missing: vec![],
            impact: Default::default(),
            timeline: vec![],
            findings: vec![],
        }
    }

    #[test]
    fn the_same_cause_and_symptoms_come_first_with_what_ended_them() {
        let now = incident(100, "pay", "pay: errors and slow answers", CauseKind::Change);
        let mut twin = incident(10, "pay", "pay: errors and slow answers", CauseKind::Change);
        let line = |minute: i64, kind: &str, text: &str| TimelineEntry {
            at: Time(minute * MINUTE),
            kind: kind.into(),
            entity: None,
            text: text.into(),
            finding: None,
        };
        twin.timeline = vec![
            line(9, "change", "pay: deployment of version 2"),
            line(13, "change", "pay: rollback of version 1"),
            line(14, "note", "ada: rolled back"),
            line(15, "state", "resolved: all that hurt was over at 00:14:00 UTC"),
        ];
        let other_kind = incident(20, "pay", "pay: slow answers", CauseKind::Resource);
        let elsewhere = incident(30, "cart", "cart: a new log message", CauseKind::Software);
        let later = incident(200, "pay", "pay: errors and slow answers", CauseKind::Change);
        let mut none = twin.clone();
        (none.id, none.started_at) = (IncidentId("inc-11".into()), Time(11 * MINUTE));
        none.timeline = vec![line(12, "state", "said to be no incident by ada")];
        let found = similar(&now, &[other_kind, elsewhere, later, none, twin], 5);
        assert_eq!(found.iter().map(|s| s.id.0.as_str()).collect::<Vec<_>>(), ["inc-10", "inc-20"]);
        assert_eq!(found[0].score, 1.0);
        let ended = &found[0].ended_by;
        assert_eq!(ended.len(), 3, "the deployment before it did not end it: {ended:?}");
        assert!(ended[0].contains("rollback"));
    }
}
