//! Windows judged, and what is said of them.

use std::collections::BTreeMap;

use types::{Band, Direction, EntityKey, Time};
use view::{DerivedSample, Findings, Params};

use super::Streak;
use super::against::Against;
use super::claims::{Claim, Whose, band, chart, is_said, listed, lower, note, raise, title};
use super::compare::{Pair, compare, share};
use super::errors::{Errors, Labelled, Turn};
use super::events::hash;
use super::fairness::{Fairness, Gap};
use super::quality::{self, Issue};
use super::sample::{Of, Sample};
use crate::detect::ongoing::Claims;
use crate::detect::words::{belief_from_surprise, percent, rounded};

pub(super) const ACCURACY: &str = "bellwether.model.accuracy";
pub(super) const ESTIMATED: &str = "bellwether.model.accuracy.estimated";
pub(super) const ERROR: &str = "bellwether.model.error";
pub(super) const DRIFT: &str = "bellwether.model.drift";
/// Rows that a version predicted.
pub(super) const ROWS: &str = "bellwether.model.rows";
/// Share of rows for which a shadow said what was answered.
pub(super) const AGREEMENT: &str = "bellwether.model.agreement";
/// Mean error of a version less that of the version before it, and of how many pairs.
pub(super) const DIFFERENCE: &str = "bellwether.model.error.difference";
pub(super) const PAIRS: &str = "bellwether.model.error.pairs";

pub(super) const ERRORS: &str = "model_errors";
const WORSE: &str = "model_worse";
const INPUTS: &str = "model_input_drift";
const PREDICTIONS: &str = "model_prediction_drift";
const QUALITY: &str = "model_data_quality";
const ESTIMATE: &str = "model_estimate";
const FAIRNESS: &str = "model_fairness";

/// Columns that are described each.
const MAX_NOTES: usize = 8;
/// What a rule without a chance of its own says.
const RULE_SURPRISE: f64 = 6.0;
const RULE_BELIEF: f64 = 0.8;

/// A window that ended, with what it is held against.
pub(super) struct Window<'a> {
    pub reference: &'a Sample,
    pub window: &'a Sample,
    pub whose: &'a Whose<'a>,
    pub key: EntityKey,
    pub now: Time,
}

impl Window<'_> {
    /// Says how the window differs from the reference: drift, broken inputs, and the accuracy that is to be expected.
    pub fn drift(
        &self,
        streaks: &mut BTreeMap<String, Streak>,
        claims: &mut Claims,
        labelled: &Labelled,
        params: &Params,
        out: &mut Findings,
    ) {
        let name = format!("{} {} {}", self.whose.tenant.as_str(), self.whose.entity, self.whose.version);
        let pairs = compare(self.reference, self.window, &name);
        let (inputs, outputs): (Vec<&Pair>, Vec<&Pair>) = pairs.iter().partition(|p| p.before.of == Of::Input);
        self.judge(INPUTS, &inputs, streaks.entry(INPUTS.into()).or_default(), claims, out);
        self.judge(PREDICTIONS, &outputs, streaks.entry(PREDICTIONS.into()).or_default(), claims, out);
        let most = inputs.iter().map(|pair| pair.effect()).fold(0.0, f64::max);
        point(self.whose, self.key, DRIFT, most, self.now, out);
        let issues = quality::issues(&pairs, self.reference, self.window);
        self.quality(&issues, claims, out);
        self.estimate(&pairs, labelled, params, claims, out);
    }

    /// Columns that drifted in two windows in a row, or in one beyond doubt.
    fn judge(
        &self,
        measure: &'static str,
        pairs: &[&Pair],
        streak: &mut Streak,
        claims: &mut Claims,
        out: &mut Findings,
    ) {
        let mut drifted: Vec<&Pair> = pairs.iter().copied().filter(|pair| pair.has_drifted()).collect();
        drifted.sort_by(|a, b| b.effect().total_cmp(&a.effect()));
        if drifted.is_empty() {
            *streak = Streak::default();
            lower(claims, measure, "", self.now, out);
            return;
        }
        if streak.columns.is_empty() {
            streak.since = self.window.head.from;
        }
        let before = std::mem::take(&mut streak.columns);
        streak.columns = drifted.iter().map(|pair| pair.title()).collect();
        let is_ongoing = is_said(claims, measure, "");
        drifted.retain(|pair| is_ongoing || pair.is_sure() || before.contains(&pair.title()));
        if !drifted.is_empty() {
            raise(claims, self.whose, self.drifted(measure, &drifted, streak.since), self.now, out);
        }
    }

    fn drifted(&self, measure: &'static str, drifted: &[&Pair], since: i64) -> Claim {
        let what = if measure == INPUTS { "Inputs" } else { "Predictions" };
        let changes: Vec<_> = drifted.iter().take(MAX_NOTES).map(|pair| (pair, pair.change())).collect();
        let (observed, expected) = changes.first().map_or((0.0, None), |(_, c)| (c.observed, Some(c.expected)));
        let first = changes.first().map_or("", |(_, change)| change.text.as_str());
        let names: Vec<String> = drifted.iter().skip(1).map(|pair| pair.title()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let others = if names.is_empty() { String::new() } else { format!("; also {}", listed(&names)) };
        let rows = format!("than in its first {} rows", self.reference.head.seen);
        let surprise = drifted.iter().map(|pair| pair.surprise()).fold(0.0, f64::max);
        let detail = |(pair, change): &(&&Pair, super::compare::Change)| {
            let effect = rounded(pair.effect(), 2);
            note(format!("{}; Hellinger distance beyond chance {effect}, of 0 to 1", change.text))
        };
        let mut evidence = vec![chart(self.whose, DRIFT, since, self.now)];
        evidence.extend(changes.iter().map(detail));
        Claim {
            measure,
            part: String::new(),
            start: since,
            surprise,
            belief: belief_from_surprise(surprise).max(0.6),
            direction: direction(observed, expected),
            expected,
            observed,
            summary: format!("{what} of {} are other {rows}: {first}{others}", title(self.whose)),
            evidence,
        }
    }

    fn quality(&self, issues: &[Issue], claims: &mut Claims, out: &mut Findings) {
        let Some(first) = issues.first() else { return lower(claims, QUALITY, "", self.now, out) };
        let names: Vec<&str> = issues.iter().skip(1).map(|issue| issue.column.as_str()).collect();
        let others = if names.is_empty() { String::new() } else { format!("; also {}", listed(&names)) };
        let claim = Claim {
            measure: QUALITY,
            part: String::new(),
            start: self.window.head.from,
            surprise: RULE_SURPRISE,
            belief: RULE_BELIEF,
            direction: Direction::New,
            expected: Some(first.expected),
            observed: first.observed,
            summary: format!("Inputs of {} are broken: {}{others}", title(self.whose), first.text),
            evidence: issues.iter().take(MAX_NOTES).map(|issue| note(issue.text.clone())).collect(),
        };
        raise(claims, self.whose, claim, self.now, out);
    }

    /// What the certainty of the window's predictions says about how many are right.
    fn estimate(&self, pairs: &[Pair], labelled: &Labelled, params: &Params, claims: &mut Claims, out: &mut Findings) {
        let certainty = self.window.columns().into_iter().find(|c| c.of == Of::Certainty);
        let certainty = certainty.map_or(Vec::new(), |column| column.numbers());
        let beyond = quality::beyond(pairs, self.window.len());
        let beyond = share(beyond.iter().filter(|b| **b).count(), beyond.len());
        let seed = hash(&[self.whose.entity.as_str(), self.whose.version]);
        let Some(said) = labelled.estimate(&certainty, beyond, seed) else {
            return lower(claims, ESTIMATE, "", self.now, out);
        };
        point(self.whose, self.key, ESTIMATED, said.value, self.now, out);
        let was = labelled.accuracy();
        if said.high >= was - params.get("estimate_margin") {
            return lower(claims, ESTIMATE, "", self.now, out);
        }
        let [now, low, high, before] = [said.value, said.low, said.high, was].map(percent);
        let interval = format!("95 of 100 such windows have {low} to {high} right");
        let claim = Claim {
            measure: ESTIMATE,
            part: String::new(),
            start: self.window.head.from,
            surprise: RULE_SURPRISE,
            belief: 0.7,
            direction: Direction::Down,
            expected: Some(band(was, params.get("estimate_margin"))),
            observed: said.value,
            summary: format!(
                "{} is probably right in {now} of its predictions now, was in {before} while labels came",
                title(self.whose)
            ),
            evidence: vec![
                chart(self.whose, ESTIMATED, self.window.head.from, self.now),
                note(format!("{interval}, by how sure the model is of them")),
            ],
        };
        raise(claims, self.whose, claim, self.now, out);
    }
}

/// Says that errors rose, or ends it.
pub(super) fn errors(claims: &mut Claims, whose: &Whose, errors: &Errors, turn: Turn, now: Time, out: &mut Findings) {
    let Turn::Rose { before, after, start, labels } = turn else {
        return super::claims::end_all(claims, now, out, |f| f.measure == ERRORS);
    };
    let is_of_classes = errors.is_of_classes();
    let (what, metric) = if is_of_classes {
        (format!("is wrong in {} of its predictions, was in {}", percent(after), percent(before)), ACCURACY)
    } else {
        let [after, before] = [after, before].map(|v| rounded(v, 3));
        (format!("is off by {after} on average, was by {before}"), ERROR)
    };
    let promise = "such a rise comes by chance once in 100,000 labels at most";
    let claim = Claim {
        measure: ERRORS,
        part: String::new(),
        start,
        surprise: RULE_SURPRISE,
        belief: 0.9,
        direction: Direction::Up,
        expected: Some(band(before, 0.0)),
        observed: after,
        summary: format!("{} {what}, as its last {labels} labels show", title(whose)),
        evidence: vec![chart(whose, metric, start, now), note(promise.into())],
    };
    raise(claims, whose, claim, now, out);
}

/// Charts how much was seen of a version, and how it does against the one before it.
pub(super) fn seen(whose: &Whose, key: EntityKey, rows: u64, against: Option<&Against>, now: Time, out: &mut Findings) {
    point(whose, key, ROWS, rows as f64, now, out);
    let Some(against) = against else { return };
    let compared = against.compared();
    if compared.pairs > 0 {
        point(whose, key, DIFFERENCE, compared.own - compared.other, now, out);
        point(whose, key, PAIRS, compared.pairs as f64, now, out);
    }
    if against.both > 0 {
        point(whose, key, AGREEMENT, against.same as f64 / against.both as f64, now, out);
    }
}

/// A version, as it is held against another.
pub(super) struct Held<'a> {
    pub against: &'a Against,
    /// When it began.
    pub since: i64,
    pub is_of_classes: bool,
}

/// Says that a version errs more than the one before it, or that this is not so sure any more.
pub(super) fn worse(claims: &mut Claims, whose: &Whose, held: Held, now: Time, out: &mut Findings) {
    let compared = held.against.compared();
    if !compared.is_worse(is_said(claims, WORSE, "")) {
        return super::claims::end_all(claims, now, out, |f| f.measure == WORSE);
    }
    let other = &held.against.name;
    let what = if held.is_of_classes {
        let [own, theirs] = [compared.own, compared.other].map(percent);
        format!("is wrong in {own} of its predictions, version {other} before it in {theirs}")
    } else {
        let [own, theirs] = [compared.own, compared.other].map(|v| rounded(v, 3));
        format!("is off by {own} on average, version {other} before it by {theirs}")
    };
    let pairs = format!(
        "of {} pairs of labels it was worse in {} and better in {}; that is said by chance of one version in 1,000",
        compared.pairs, compared.worse, compared.better
    );
    let claim = Claim {
        measure: WORSE,
        part: String::new(),
        start: held.since,
        surprise: compared.surprise,
        belief: belief_from_surprise(compared.surprise).max(0.8),
        direction: Direction::Up,
        expected: Some(band(compared.other, 0.0)),
        observed: compared.own,
        summary: format!("{} {what}", title(whose)),
        evidence: vec![chart(whose, DIFFERENCE, held.since, now), note(pairs)],
    };
    raise(claims, whose, claim, now, out);
}

/// Ends a window of fairness and says what was unfair twice in a row.
pub(super) fn fairness(
    fairness: &mut Fairness,
    claims: &mut Claims,
    whose: &Whose,
    params: &Params,
    now: Time,
    out: &mut Findings,
) {
    for (column, gap) in fairness.close(params.get("group_rows")) {
        let gap = gap.filter(|gap| gap.ratio_most < params.get("fairness_ratio"));
        let (streak, since) = fairness.count(&column, gap.is_some());
        match gap {
            Some(gap) if streak >= 2 => raise(claims, whose, unfair(whose, &column, &gap, since, params), now, out),
            Some(_) => {}
            None => lower(claims, FAIRNESS, &column, now, out),
        }
    }
}

fn unfair(whose: &Whose, column: &str, gap: &Gap, since: i64, params: &Params) -> Claim {
    let [ratio, most] = [gap.ratio(), gap.ratio_most].map(|v| rounded(v, 2));
    let [low, high] = [gap.lowest.1, gap.highest.1].map(percent);
    let (lowest, highest) = (&gap.lowest.0, &gap.highest.0);
    let shown = super::sample::shown(column);
    Claim {
        measure: FAIRNESS,
        part: column.to_owned(),
        start: since,
        surprise: RULE_SURPRISE,
        belief: RULE_BELIEF,
        direction: Direction::Down,
        expected: Some(Band { mean: 1.0, low: params.get("fairness_ratio"), high: 1.0 }),
        observed: gap.ratio(),
        summary: format!(
            "{} favours {low} of {shown} {lowest} and {high} of {shown} {highest}: {ratio} times as many",
            title(whose)
        ),
        evidence: vec![note(format!("the ratio of the two is at most {most}, by the 95 % intervals of both"))],
    }
}

/// Charts a value of a version.
pub(super) fn point(whose: &Whose, entity: EntityKey, metric: &'static str, value: f64, now: Time, out: &mut Findings) {
    let labels = vec![("version", whose.version.to_owned())];
    out.derived.push(DerivedSample { tenant: whose.tenant.clone(), entity, metric, labels, time: now, value });
}

fn direction(observed: f64, expected: Option<Band>) -> Direction {
    if expected.is_some_and(|band| observed < band.mean) { Direction::Down } else { Direction::Up }
}
