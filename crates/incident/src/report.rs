//! A post-mortem draft of an incident in Markdown: what is known, and gaps for what only people know.

use std::fmt::Write;

use types::{Evidence, Finding, Incident, IncidentState, Time, Users};

use crate::{
    past::{Similar, ended_by},
    words,
};

/// Most lines of the timeline in the draft.
const MOST_LINES: usize = 60;

/// Says who met a failed request, in the impact and behind the summary.
pub fn tell_users(incident: &mut Incident, users: Users) {
    incident.summary = format!("{} {}.", incident.summary, words::met(&users)).trim_start().to_owned();
    incident.impact.users = Some(users);
}

/// The draft. Text that came in as telemetry is set as code, so that it is not read as Markdown.
pub fn markdown(incident: &Incident, findings: &[Finding], similar: &[Similar], now: Time) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("# Post-mortem: {}\n", plain(&incident.title)));
    line(format!(
        "*Draft of {}, made from what was observed. What stands in brackets is for people to fill in.*\n",
        minute(now)
    ));
    line("| | |\n|---|---|".into());
    line(format!("| incident | {} |", incident.id.0));
    line(format!("| severity | {} |", incident.severity.as_str()));
    line(format!("| priority | {} |", plain(&incident.priority.reason)));
    line(format!("| began | {} |", minute(incident.started_at)));
    line(format!(
        "| noticed | {} ({} later) |",
        minute(incident.opened_at),
        length(incident.opened_at.since(incident.started_at))
    ));
    match incident.resolved_at.filter(|_| incident.state == IncidentState::Resolved) {
        Some(end) => line(format!("| over | {} (after {}) |", minute(end), length(end.since(incident.started_at)))),
        None => line("| over | not yet |".into()),
    }
    let affected: Vec<String> = incident.entities.iter().take(20).map(|e| code(e.as_str())).collect();
    line(format!("| affected | {} |", affected.join(", ")));
    line(format!("\n## Summary\n\n{}\n", plain(&incident.summary)));
    line("## Impact\n".into());
    let impact = &incident.impact;
    if impact.requests > 0 {
        line(format!(
            "- {} of {} requests failed, at least {} were slow.",
            impact.failed_requests, impact.requests, impact.slow_requests
        ));
    }
    match impact.dependents.len() {
        0 => line("- No other service is known to need what was affected.".into()),
        n => {
            let names: Vec<String> = impact.dependents.iter().take(10).map(|e| code(e.name())).collect();
            line(format!("- {n} dependents: {}{}.", names.join(", "), if n > 10 { " …" } else { "" }));
        }
    }
    match &impact.users {
        Some(users) => {
            line(format!("- {} (told apart by {} in their spans).", words::met(users), code(&users.attribute)));
            line("- [What users saw.]\n".into());
        }
        None => line("- [What users saw, and how many of them.]\n".into()),
    }
    line("## Cause\n".into());
    if incident.undecided {
        line("The cause was not decided from what was observed.\n".into());
        for missing in &incident.missing {
            line(format!("- missing: {}", plain(missing)));
        }
    }
    for (i, cause) in incident.causes.iter().take(3).enumerate() {
        line(format!(
            "{}. **{}** ({}, belief {:.2}): {}",
            i + 1,
            plain(cause.entity.name()),
            words::cause_word(cause.kind),
            cause.belief,
            plain(&cause.summary)
        ));
        for evidence in cause.evidence.iter().filter_map(in_words).take(6) {
            line(format!("   - for: {evidence}"));
        }
        for evidence in cause.against.iter().filter_map(in_words).take(4) {
            line(format!("   - against: {evidence}"));
        }
    }
    line("\n[Why it could happen: what let this cause through.]\n".into());
    line("## Timeline\n".into());
    for entry in incident.timeline.iter().take(MOST_LINES) {
        line(format!("- {} {}: {}", minute(entry.at), entry.kind, plain(&entry.text)));
    }
    if incident.timeline.len() > MOST_LINES {
        line(format!("- … {} more", incident.timeline.len() - MOST_LINES));
    }
    line("\n## What ended it\n".into());
    for how in ended_by(incident) {
        line(format!("- {}", plain(&how)));
    }
    line("- [What was done.]\n".into());
    line("## Evidence\n".into());
    for finding in findings.iter().take(20) {
        line(format!(
            "- {}: {} (found by {}, belief {:.2})",
            code(finding.entity.as_str()),
            plain(&finding.summary),
            finding.method,
            finding.belief
        ));
    }
    if !similar.is_empty() {
        line("\n## Seen before\n".into());
        for past in similar {
            line(format!(
                "- {} {} ({}): {}",
                past.id.0,
                plain(&past.title),
                minute(past.started_at),
                plain(&past.shared.join("; "))
            ));
            for how in past.ended_by.iter().take(3) {
                line(format!("  - ended by: {}", plain(how)));
            }
        }
    }
    line("\n## What we do about it\n\n| what | who | until |\n|---|---|---|\n| [ ] | | |".into());
    out
}

fn in_words(evidence: &Evidence) -> Option<String> {
    match evidence {
        Evidence::Note { text } => Some(plain(text)),
        Evidence::Change { entity, kind, version, at } => {
            let version = version.as_ref().map(|v| format!(" of version {}", plain(v))).unwrap_or_default();
            Some(format!("{} of {}{version} at {}", plain(kind), code(entity.name()), minute(*at)))
        }
        Evidence::Logs { sample, count, .. } => Some(format!("{count} lines like {}", code(sample))),
        Evidence::Trace { trace_id } => Some(format!("trace {}", code(trace_id))),
        _ => None,
    }
}

/// Telemetry text in one line, without what Markdown or HTML would take for its own.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(600) {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '!' | '~' => {
                let _ = write!(out, "\\{c}");
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn code(text: &str) -> String {
    let cleaned: String =
        text.chars().take(300).map(|c| if c.is_control() || c == '`' || c == '|' { ' ' } else { c }).collect();
    format!("`{cleaned}`")
}

fn minute(at: Time) -> String {
    let text = at.rfc3339();
    format!("{} {} UTC", text.get(..10).unwrap_or("?"), text.get(11..19).unwrap_or("?"))
}

fn length(ns: i64) -> String {
    let seconds = ns.max(0) / types::SECOND;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_met_a_failure_is_told_in_words() {
        let users =
            |count, at_least, attribute: &str| words::met(&Users { count, at_least, attribute: attribute.into() });
        assert_eq!(users(1, false, "user.id"), "1 user met a failed request");
        assert_eq!(users(12, true, "enduser.id"), "At least 12 users met a failed request");
        assert_eq!(users(2, false, "session.id"), "2 sessions met a failed request");
    }

    #[test]
    fn telemetry_text_stays_text() {
        let hostile = "<script>x</script> [a](javascript:1) | `b` # **c**\nnew line";
        let text = plain(hostile);
        assert!(!text.contains('\n') && text.contains("\\<script\\>") && text.contains("\\[a\\]"), "{text}");
        assert_eq!(code("a`b|c\nd"), "`a b c d`");
        assert_eq!((length(90 * types::SECOND), length(3 * types::HOUR)), ("90 s".into(), "3 h".into()));
    }
}
