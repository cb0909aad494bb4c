//! Titles and summary sentences: plain words, numbers with units, the same order each time.

use types::finding::is_latency;
use types::{CauseKind, Direction, EntityId, Incident, IncidentState, Time, Users};

use crate::case::{Case, Piece};

/// `14:05:10 UTC`.
pub fn clock(at: Time) -> String {
    let text = at.rfc3339();
    format!("{} UTC", text.get(11..19).unwrap_or("?"))
}

/// A few words on what a finding shows: `errors`, `slow answers`.
pub fn symptom(piece: &Piece) -> String {
    let word = match (piece.measure.as_str(), piece.direction) {
        ("error_ratio", _) => "errors",
        ("request_rate", Direction::Down | Direction::Silent) => "fewer requests",
        ("request_rate", _) => "more requests",
        ("slo_burn", _) => "a burning error budget",
        ("silence", _) | (_, Direction::Silent) => "no data",
        ("log_errors_rate", _) => "error logs",
        ("log_template_new", _) => "a new log message",
        ("log_template_rate", _) => "unusual logs",
        ("log_value", _) => "a new value in logs",
        ("log_session", _) => "unusual sessions in logs",
        ("model_errors", _) => "a model's errors",
        ("model_worse", _) => "a model worse than the one before",
        ("model_estimate", _) => "a model probably less right",
        ("model_data_quality", _) => "broken inputs of a model",
        ("model_fairness", _) => "an unfair model",
        ("model_input_drift", _) => "other inputs of a model",
        ("model_prediction_drift", _) => "other predictions of a model",
        ("joint", _) => "metrics out of step",
        ("alert", _) if piece.scope.is_empty() => "further alerts",
        ("alert", _) => return piece.scope.clone(),
        (measure, Direction::Down) if is_latency(measure) => "faster answers",
        (measure, _) if is_latency(measure) => "slow answers",
        ("resource", _) => return resource(&piece.scope),
        (_, Direction::Down) => return format!("low {}", plain_metric(&piece.scope, &piece.measure)),
        _ => return format!("unusual {}", plain_metric(&piece.scope, &piece.measure)),
    };
    word.to_owned()
}

/// `payments: errors and slow answers`.
pub fn title(main: &EntityId, case: &Case) -> String {
    let mut own: Vec<&Piece> = case.pieces.values().filter(|p| p.entity == *main).collect();
    if own.is_empty() {
        own = case.pieces.values().collect();
    }
    own.sort_by(|a, b| b.weight().total_cmp(&a.weight()).then(a.start.cmp(&b.start)));
    let mut words: Vec<String> = Vec::new();
    for word in own.into_iter().map(symptom) {
        if words.len() < 3 && !words.contains(&word) {
            words.push(word);
        }
    }
    format!("{}: {}", main.name(), list(&words))
}

/// One sentence: what broke, since when, why, who is hurt.
pub fn summary(main: &EntityId, case: &Case, incident: &Incident) -> String {
    let worst = case.worst(main);
    let mut text = match worst {
        Some(piece) if !piece.summary.is_empty() => {
            format!("Since {}: {}", clock(incident.started_at), piece.summary.trim_end_matches('.'))
        }
        Some(piece) => format!("Since {}: {} at {}", clock(incident.started_at), symptom(piece), piece.entity.name()),
        None => format!("Since {}: {} is not as usual", clock(incident.started_at), main.name()),
    };
    match incident.causes.first() {
        Some(cause) if !incident.undecided => {
            let how = if cause.belief >= 0.8 { "very likely" } else { "likely" };
            let reason = cause.summary.trim_end_matches('.');
            text.push_str(&format!("; {how} cause: {} ({})", cause.entity.name(), cause_word(cause.kind)));
            if !reason.is_empty() {
                text.push_str(&format!(", {reason}"));
            }
        }
        _ => text.push_str("; the cause is undecided"),
    }
    let impact = &incident.impact;
    let mut hurt = Vec::new();
    match impact.dependents.len() {
        0 => {}
        1 => hurt.push(format!("{} needs it", impact.dependents[0].name())),
        n => hurt.push(format!("{n} services need it")),
    }
    if impact.failed_requests > 0 {
        hurt.push(format!("{} of {} requests failed", impact.failed_requests, impact.requests));
    }
    if impact.slow_requests > 0 {
        hurt.push(format!("at least {} were slow", impact.slow_requests));
    }
    if !hurt.is_empty() {
        text.push_str(&format!("; {}", list(&hurt)));
    }
    if let (IncidentState::Resolved, Some(at)) = (incident.state, incident.resolved_at) {
        text.push_str(&format!("; over since {}", clock(at)));
    }
    text.push('.');
    text
}

/// `At least 12 users met a failed request`.
pub fn met(users: &Users) -> String {
    let what = if users.attribute == "session.id" { "session" } else { "user" };
    let plural = if users.count == 1 { "" } else { "s" };
    let least = if users.at_least { "At least " } else { "" };
    format!("{least}{} {what}{plural} met a failed request", users.count)
}

/// The kind of a cause in a word or two.
pub fn cause_word(kind: CauseKind) -> &'static str {
    match kind {
        CauseKind::Change => "a change",
        CauseKind::Resource => "a resource",
        CauseKind::Software => "its own fault",
        CauseKind::Dependency => "what it calls",
        CauseKind::Traffic => "its load",
        CauseKind::Data => "bad data",
        CauseKind::Host => "its machine or process",
        CauseKind::Model => "a model",
        CauseKind::External => "something outside",
    }
}

/// The scope of a resource may begin with what is wrong: `full process.memory.usage{…}`.
fn resource(scope: &str) -> String {
    match scope.split_once(' ') {
        Some(("full", metric)) => format!("{} full", plain_metric(metric, "a resource")),
        Some(("leak", metric)) => format!("{} leaking", plain_metric(metric, "a resource")),
        _ => format!("{} running out", plain_metric(scope, "a resource")),
    }
}

fn plain_metric(scope: &str, otherwise: &str) -> String {
    let name = scope.split('{').next().unwrap_or("").trim();
    if name.is_empty() { otherwise.replace('_', " ") } else { name.to_owned() }
}

/// `half`, `all`, `12 %`.
pub fn share(ratio: f64) -> String {
    match ratio {
        r if r >= 0.995 => "all".to_owned(),
        r if (0.45..0.55).contains(&r) => "half".to_owned(),
        r if r >= 0.1 => format!("{:.0} %", r * 100.0),
        r => format!("{:.1} %", r * 100.0),
    }
}

/// `a, b and c`.
pub fn list(words: &[String]) -> String {
    match words {
        [] => "not as usual".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
