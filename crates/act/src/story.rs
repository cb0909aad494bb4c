//! What every channel tells of an incident, in the same words: clean of what telemetry could have hidden in it, and cut
//! to a length. Each channel escapes it in its own way.

use types::{Cause, EntityId, Incident, IncidentState, SECOND, Time};

use crate::{
    channel::{Notice, Reason},
    text::{clean, cut, link},
};

const TITLE_UNITS_MAX: usize = 120;
const SENTENCE_UNITS_MAX: usize = 1000;
const NAME_UNITS_MAX: usize = 200;
const AFFECTED_MAX: usize = 10;

/// An incident told.
pub(crate) struct Story {
    /// A few words.
    pub title: String,
    /// `Opened: checkout fails`.
    pub headline: String,
    /// What broke, since when, why.
    pub summary: String,
    /// The likeliest cause with its belief, or what is missing to decide.
    pub cause: String,
    /// Affected entities, most affected first.
    pub affected: String,
    /// Who is hurt; empty where nobody is known to be.
    pub impact: String,
    /// `critical`, `major` …
    pub severity: &'static str,
    /// `open`, `acknowledged by …`, `resolved`.
    pub state: String,
    /// The service that is affected most.
    pub service: String,
    /// When it began, `2026-01-02 03:04:05 UTC`.
    pub since: String,
    /// Where to read on, if it is a link that may be passed on.
    pub link: Option<String>,
}

impl Story {
    /// Tells what the notice is about.
    pub fn of(notice: &Notice) -> Story {
        let incident = &notice.incident;
        let title = match short(&incident.title, TITLE_UNITS_MAX) {
            empty if empty.is_empty() => format!("incident {}", short(&incident.id.0, TITLE_UNITS_MAX)),
            title => title,
        };
        Story {
            headline: format!("{}: {title}", lead(notice)),
            title,
            summary: short(&incident.summary, SENTENCE_UNITS_MAX),
            cause: cause(incident),
            affected: affected(&incident.entities),
            impact: impact(incident),
            severity: incident.severity.as_str(),
            state: state(incident),
            service: service(incident),
            since: when(incident.started_at),
            link: notice.link.as_deref().and_then(link),
        }
    }

    /// Label and text of what is worth a line of its own.
    pub fn facts(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("Severity", self.severity),
            ("State", &self.state),
            ("Affected", &self.affected),
            ("Since", &self.since),
            ("Cause", &self.cause),
            ("Impact", &self.impact),
        ];
        all.into_iter().filter(|(_, text)| !text.is_empty()).collect()
    }
}

/// Clean and cut.
pub(crate) fn short(text: &str, units_max: usize) -> String {
    cut(&clean(text), units_max)
}

/// The name of the service that is affected most; of whatever is, where no service is.
pub(crate) fn service(incident: &Incident) -> String {
    let first = incident.entities.iter().find(|e| e.kind() == "service").or(incident.entities.first());
    first.map_or(String::new(), |e| short(e.name(), NAME_UNITS_MAX))
}

fn lead(notice: &Notice) -> String {
    let incident = &notice.incident;
    match notice.reason {
        Reason::Opened => "Opened".into(),
        Reason::Reopened => "Reopened".into(),
        Reason::Escalated => format!("Now {}", incident.severity.as_str()),
        Reason::Cause => "Cause".into(),
        Reason::Acknowledged => "Acknowledged".into(),
        Reason::Resolved => match incident.resolved_at {
            Some(end) => format!("Resolved after {}", lasting(end.since(incident.started_at))),
            None => "Resolved".into(),
        },
        Reason::Test => "Test, nothing is wrong".into(),
    }
}

fn cause(incident: &Incident) -> String {
    if incident.undecided || incident.causes.is_empty() {
        let missing: Vec<_> = incident.missing.iter().map(|m| short(m, NAME_UNITS_MAX)).collect();
        return match missing.is_empty() {
            true => "undecided".into(),
            false => cut(&format!("undecided; to decide it needs {}", missing.join(", ")), SENTENCE_UNITS_MAX),
        };
    }
    let Cause { summary, belief, .. } = &incident.causes[0];
    let rest = incident.causes.len() - 1;
    let more = if rest > 0 { format!(", and {rest} less likely") } else { String::new() };
    format!("{} (belief {:.0} %{more})", short(summary, SENTENCE_UNITS_MAX), belief.clamp(0.0, 1.0) * 100.0)
}

fn affected(entities: &[EntityId]) -> String {
    let shown: Vec<_> = entities.iter().take(AFFECTED_MAX).map(|e| short(e.as_str(), NAME_UNITS_MAX)).collect();
    let more = entities.len().saturating_sub(AFFECTED_MAX);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    cut(&format!("{}{tail}", shown.join(", ")), SENTENCE_UNITS_MAX)
}

fn impact(incident: &Incident) -> String {
    let impact = &incident.impact;
    let told = [
        (impact.failed_requests, format!("{} requests failed", impact.failed_requests)),
        (impact.slow_requests, format!("{} were slow", impact.slow_requests)),
        (impact.dependents.len() as u64, format!("needed by {} more", impact.dependents.len())),
    ];
    let told: Vec<_> = told.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
    told.join(", ")
}

fn state(incident: &Incident) -> String {
    let by = incident.actor.as_deref().map(|a| format!(" by {}", short(a, NAME_UNITS_MAX))).unwrap_or_default();
    match incident.state {
        IncidentState::Open => "open".into(),
        IncidentState::Acknowledged => format!("acknowledged{by}"),
        IncidentState::Resolved => format!("resolved{by}"),
    }
}

fn when(time: Time) -> String {
    let text = time.rfc3339();
    text.get(..19).map(|t| format!("{} UTC", t.replace('T', " "))).unwrap_or_default()
}

fn lasting(ns: i64) -> String {
    let seconds = (ns / SECOND).max(0);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
