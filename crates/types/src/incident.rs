//! Findings grouped by time and topology, with a life cycle.

use serde::{Deserialize, Serialize};

use crate::{CauseKind, EntityId, Evidence, FindingId, Tenant, Time};

/// `inc-` and a number counted per data folder from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(pub String);

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    /// It goes on and nobody has taken it.
    Open,
    /// Somebody has taken it.
    Acknowledged,
    /// Over: the evidence ended, or a person said so.
    Resolved,
}

impl IncidentState {
    /// The name used in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            IncidentState::Open => "open",
            IncidentState::Acknowledged => "acknowledged",
            IncidentState::Resolved => "resolved",
        }
    }
}

/// How bad, by impact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Somebody should look today.
    Warning,
    /// Users notice.
    Major,
    /// Many users cannot use it.
    Critical,
}

impl Severity {
    /// The name used in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Major => "major",
            Severity::Critical => "critical",
        }
    }
}

/// Why people are told of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeReason {
    /// It is new.
    Opened,
    /// It was over and goes on.
    Reopened,
    /// It is worse than was told.
    Escalated,
    /// Why it broke became known, or another cause is likelier.
    Cause,
    /// Somebody took it.
    Acknowledged,
    /// It is over.
    Resolved,
    /// Somebody tries a channel out.
    Test,
}

impl NoticeReason {
    /// The name used in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            NoticeReason::Opened => "opened",
            NoticeReason::Reopened => "reopened",
            NoticeReason::Escalated => "escalated",
            NoticeReason::Cause => "cause",
            NoticeReason::Acknowledged => "acknowledged",
            NoticeReason::Resolved => "resolved",
            NoticeReason::Test => "test",
        }
    }
}

/// A suspected cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// What.
    pub entity: EntityId,
    /// Of which kind.
    pub kind: CauseKind,
    /// 0..=1.
    pub belief: f64,
    /// One sentence.
    pub summary: String,
    /// Evidence for it.
    pub evidence: Vec<Evidence>,
    /// Evidence against it.
    pub against: Vec<Evidence>,
}

/// One line of an incident's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When it happened.
    pub at: Time,
    /// `finding`, `change`, `cause`, `state`.
    pub kind: String,
    /// What it is about.
    pub entity: Option<EntityId>,
    /// One sentence.
    pub text: String,
    /// The finding behind it.
    pub finding: Option<FindingId>,
}

/// Who is hurt and how much.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    /// Services that need the affected ones, directly or not, nearest first.
    pub dependents: Vec<EntityId>,
    /// Requests that failed since the incident began.
    pub failed_requests: u64,
    /// Requests that were slower than usual since the incident began.
    pub slow_requests: u64,
    /// Requests in all at the affected services since the incident began.
    pub requests: u64,
    /// Who met a failed request, where spans name them. Counted when the incident is shown, never stored with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Users>,
}

/// How many met a failed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users {
    /// Different values of the attribute in traces that failed at the affected services.
    pub count: u64,
    /// There may be more: some of these traces name nobody, or not all were looked at.
    pub at_least: bool,
    /// The attribute that tells them apart.
    pub attribute: String,
}

/// How soon somebody should look, with the reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Priority {
    /// 1 (now) to 4 (worth knowing); 0 where nothing was said yet.
    pub level: u8,
    /// One sentence: what about the impact makes it so.
    pub reason: String,
}

/// An incident as people and programs see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name.
    pub id: IncidentId,
    /// Whose.
    pub tenant: Tenant,
    /// Life cycle.
    pub state: IncidentState,
    /// By impact.
    pub severity: Severity,
    /// How soon somebody should look, and why.
    #[serde(default)]
    pub priority: Priority,
    /// A few words.
    pub title: String,
    /// One sentence: what broke, since when, why.
    pub summary: String,
    /// When the first evidence began.
    pub started_at: Time,
    /// When it was said.
    pub opened_at: Time,
    /// When it ended.
    pub resolved_at: Option<Time>,
    /// Who acknowledged or resolved it, if a person did.
    pub actor: Option<String>,
    /// Affected, most affected first.
    pub entities: Vec<EntityId>,
    /// Best first; empty or weak while `undecided`.
    pub causes: Vec<Cause>,
    /// No cause stands out.
    pub undecided: bool,
    /// What would be needed to decide, while undecided.
    pub missing: Vec<String>,
    /// Who is hurt.
    pub impact: Impact,
    /// History, oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// Its findings.
    pub findings: Vec<FindingId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_json() {
        let json = |value: serde_json::Value| value.as_str().unwrap().to_owned();
        for state in [IncidentState::Open, IncidentState::Acknowledged, IncidentState::Resolved] {
            assert_eq!(json(serde_json::to_value(state).unwrap()), state.as_str());
        }
        for severity in [Severity::Info, Severity::Warning, Severity::Major, Severity::Critical] {
            assert_eq!(json(serde_json::to_value(severity).unwrap()), severity.as_str());
        }
        use NoticeReason::{Acknowledged, Cause, Escalated, Opened, Reopened, Resolved, Test};
        for reason in [Opened, Reopened, Escalated, Cause, Acknowledged, Resolved, Test] {
            assert_eq!(json(serde_json::to_value(reason).unwrap()), reason.as_str());
        }
        for kind in crate::CauseKind::ALL {
            assert_eq!(json(serde_json::to_value(kind).unwrap()), kind.as_str());
        }
    }
}
