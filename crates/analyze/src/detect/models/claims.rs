//! How what was found is said, goes on and ends.

use types::{Band, Direction, EntityId, Evidence, Finding, FindingId, SECOND, Shape, Tenant, Time};
use view::Findings;

use super::{ANALYSIS, Model};
use crate::detect::ongoing::{Claims, say};
use crate::detect::words::{round3, rounded};
use crate::measures;

/// How often what goes on is said again.
const SAY_AGAIN_NS: i64 = 20 * SECOND;
/// Quiet windows after which a claim ends.
const SETTLE: u32 = 2;

/// What is found of a shadow is evidence only.
const SHADOW_IMPACT: f64 = 0.1;

/// Something to be said of one version of a model.
pub(super) struct Claim {
    pub measure: &'static str,
    /// What within the version; empty for all of it.
    pub part: String,
    pub start: i64,
    pub surprise: f64,
    pub belief: f64,
    pub direction: Direction,
    pub expected: Option<Band>,
    pub observed: f64,
    pub summary: String,
    pub evidence: Vec<Evidence>,
}

/// Of whom it is said.
pub(super) struct Whose<'a> {
    pub tenant: &'a Tenant,
    pub entity: &'a EntityId,
    pub version: &'a str,
    /// It only predicts beside what is answered: what is found of it hurts nobody.
    pub is_shadow: bool,
}

impl<'a> Whose<'a> {
    pub fn of(model: &'a Model, version: &'a str, is_shadow: bool) -> Whose<'a> {
        Whose { tenant: &model.tenant, entity: &model.entity, version, is_shadow }
    }
}

/// Says a claim, or that it goes on. What is known by a higher surprise keeps it, so that new words are taken over.
pub(super) fn raise(claims: &mut Claims, whose: &Whose, claim: Claim, now: Time, out: &mut Findings) {
    let key = key(claim.measure, &claim.part);
    let known = claims.get(&key).map_or(0.0, |known| known.finding.surprise);
    let surprise = round3(claim.surprise.clamp(0.0, 300.0)).max(known);
    let start = Time(claim.start.min(now.0));
    let version = format!("version {}", whose.version);
    let finding = Finding {
        id: FindingId::default(),
        method: ANALYSIS.name.into(),
        version: ANALYSIS.version,
        tenant: whose.tenant.clone(),
        entity: whose.entity.clone(),
        shape: Shape::Abnormal,
        measure: claim.measure.into(),
        scope: if claim.part.is_empty() { version } else { format!("{version}, {}", claim.part) },
        start,
        end: now,
        ongoing: true,
        learned: now,
        belief: round3(claim.belief),
        surprise,
        impact: measures::impact(claim.measure).min(if whose.is_shadow { SHADOW_IMPACT } else { 1.0 }),
        direction: claim.direction,
        expected: claim.expected,
        observed: tidy(claim.observed),
        cause: None,
        incident: None,
        summary: claim.summary,
        evidence: claim.evidence,
    };
    say(claims, &key, finding, now, out);
}

/// Counts a quiet window for a claim; ends it after the second one.
pub(super) fn lower(claims: &mut Claims, measure: &str, part: &str, now: Time, out: &mut Findings) {
    let key = key(measure, part);
    let Some(known) = claims.get_mut(&key) else { return };
    known.quiet += 1;
    if known.quiet >= SETTLE {
        end(claims, &key, now, out);
    }
}

/// Whether it is being said.
pub(super) fn is_said(claims: &Claims, measure: &str, part: &str) -> bool {
    claims.contains_key(&key(measure, part))
}

/// Says again what was not said for a while, so that it counts as going on.
pub(super) fn go_on(claims: &mut Claims, now: Time, out: &mut Findings) {
    for known in claims.values_mut().filter(|known| now.since(known.finding.end) >= SAY_AGAIN_NS) {
        known.finding.end = now;
        out.say(known.finding.clone());
    }
}

/// Ends those that `which` names.
pub(super) fn end_all(claims: &mut Claims, now: Time, out: &mut Findings, which: impl Fn(&Finding) -> bool) {
    let over: Vec<String> = claims.iter().filter(|(_, c)| which(&c.finding)).map(|(key, _)| key.clone()).collect();
    over.iter().for_each(|key| end(claims, key, now, out));
}

fn end(claims: &mut Claims, key: &str, now: Time, out: &mut Findings) {
    if let Some(known) = claims.remove(key) {
        out.say(Finding { ongoing: false, end: now.max(known.finding.start), ..known.finding });
    }
}

fn key(measure: &str, part: &str) -> String {
    format!("{measure} {part}")
}

/// Five digits that count, always finite.
pub(super) fn tidy(value: f64) -> f64 {
    rounded(value, 5).parse().unwrap_or(0.0)
}

/// A band around a middle.
pub(super) fn band(mean: f64, half: f64) -> Band {
    Band { mean: tidy(mean), low: tidy(mean - half), high: tidy(mean + half) }
}

pub(super) fn note(text: String) -> Evidence {
    Evidence::Note { text }
}

/// A chart of what was derived of a model.
pub(super) fn chart(whose: &Whose, metric: &str, from: i64, to: Time) -> Evidence {
    let from = Time(from.min(to.0));
    Evidence::Derived { entity: whose.entity.clone(), metric: metric.into(), from, to }
}

/// `model churn (version 3)`.
pub(super) fn title(whose: &Whose) -> String {
    format!("{} (version {})", crate::detect::words::plain(whose.entity), whose.version)
}

/// `a`, `a and b`, `a, b and 3 more`.
pub(super) fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first, second] => format!("{first} and {second}"),
        [first, second, more @ ..] => format!("{first}, {second} and {} more", more.len()),
    }
}
