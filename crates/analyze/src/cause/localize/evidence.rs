//! What the series say of each entity by itself.

use std::ops::Range;

use math::beyond::Past;

use super::{Measure, Question, Series, belief, together, walk::Blame};

/// Known values of the past, at least, for it to say what is usual.
const PAST_LEAST: usize = 8;
/// Extra that so large a share of the past stays below is common.
const COMMON: f64 = 0.95;

/// What is known of all entities.
pub(super) struct Evidence {
    pub of: Vec<About>,
    /// The entity that is off.
    pub alarmed: usize,
    /// -log10 of the chance of an alarm like this.
    pub surprise: f64,
    /// The steps of the window in which the alarmed series is most off.
    pub stretch: Range<usize>,
    /// Who calls whom, by caller; sorted, without loops on itself and repetitions.
    pub callees: Vec<Vec<usize>>,
    /// And by who is called.
    pub callers: Vec<Vec<usize>>,
    /// Whether trouble comes down the calls (requests) rather than up.
    pub is_about_load: bool,
    /// Usual value of each series, and that of the window.
    pub usual: Vec<f64>,
    pub now: Vec<f64>,
}

/// What is known of one entity.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    /// Its series of the alarmed measure.
    pub series: Option<usize>,
    /// What it had in extra, a step.
    pub extra: f64,
    /// That, less what is common.
    pub beyond: f64,
    /// -log10 of the chance of as much extra.
    pub surprise: f64,
    /// It is called, and was hardly ever before.
    pub is_new: bool,
    /// It may have been called, for all that is known.
    pub may_be_called: bool,
    /// Its series of requests, how many there usually are, how many more there were, and how surprising that is.
    pub requests: Option<usize>,
    pub usual_requests: f64,
    pub extra_requests: f64,
    pub load_surprise: f64,
    /// Time that all its requests take together, a step.
    pub usual_time: Option<f64>,
    /// What speaks most for it besides the alarmed measure and requests.
    pub other: Option<Odd>,
}

/// A series of another measure that is off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Odd {
    pub series: usize,
    /// Beyond that of the most surprising of as many.
    pub surprise: f64,
    /// What it had in extra, a step.
    pub extra: f64,
}

impl About {
    /// Share of its requests that are more than usual; 0 where that is not surprising.
    pub fn extra_load(&self) -> f64 {
        let is_surge = belief(self.load_surprise) >= super::DECIDED && self.extra_requests > 0.0;
        if is_surge { self.extra_requests / (self.extra_requests + self.usual_requests.max(0.0)) } else { 0.0 }
    }
}

impl Evidence {
    /// `None` where the alarmed series is not there or has no past.
    pub fn new(question: &Question) -> Option<Evidence> {
        let count = question.entities.len();
        let alarm = question.series.get(question.alarmed).filter(|s| s.entity < count)?;
        let firsts = Firsts::new(question, count);
        let usual: Vec<f64> = question.series.iter().map(|s| usual(s.before)).collect();
        let now: Vec<f64> = question.series.iter().map(|s| mean(s.within)).collect();
        let is_fall = matches!(alarm.measure, Measure::Requests | Measure::Other)
            && now[question.alarmed] < usual[question.alarmed];
        let sign = if is_fall { -1.0 } else { 1.0 };
        let calls = firsts.requests_for(alarm.measure, alarm.entity, alarm.entity).map(|at| &question.series[at]);
        let (stretch, surprise) = scan(alarm, calls, usual[question.alarmed], sign)?;
        let (callees, callers) = neighbours(count, question.calls);
        let mut evidence = Evidence {
            of: vec![About::default(); count],
            alarmed: alarm.entity,
            surprise,
            stretch,
            callees,
            callers,
            is_about_load: alarm.measure == Measure::Requests,
            usual,
            now,
        };
        evidence.weigh_all(question, &firsts, alarm.measure, sign);
        evidence.weigh_others(question, &firsts, alarm.measure);
        (evidence.of[alarm.entity].extra > 0.0).then_some(evidence)
    }

    /// What each entity had in extra of the alarmed measure, and of requests.
    fn weigh_all(&mut self, question: &Question, firsts: &Firsts, measure: Measure, sign: f64) {
        let adds_up = matches!(measure, Measure::Latency | Measure::Errors | Measure::Requests);
        for entity in 0..self.of.len() {
            let stretch = self.stretch.clone();
            let about = &mut self.of[entity];
            about.may_be_called = true;
            if let Some(at) = firsts.of(Measure::Requests)[entity] {
                about.weigh_requests(&question.series[at], at, self.usual[at], &stretch);
            }
            let own = if adds_up { firsts.of(measure)[entity] } else { None };
            if let Some(at) = own.or((entity == self.alarmed).then_some(question.alarmed)) {
                let calls = firsts.requests_for(measure, entity, self.alarmed).map(|at| &question.series[at]);
                about.weigh(&question.series[at], at, calls, sign, &stretch);
            }
        }
    }

    /// Keeps for each entity the most surprising series of other measures. Of several of latency or of errors the first
    /// stands for all.
    fn weigh_others(&mut self, question: &Question, firsts: &Firsts, alarmed: Measure) {
        let count = self.of.len();
        let is_other = |at: usize, s: &Series| match s.measure {
            Measure::Requests => false,
            measure if measure == alarmed || s.entity >= count => false,
            Measure::Latency | Measure::Errors => firsts.of(s.measure)[s.entity] == Some(at),
            Measure::Resource | Measure::Other => true,
        };
        let others: Vec<(usize, &Series)> =
            question.series.iter().enumerate().filter(|(at, s)| is_other(*at, s)).collect();
        let mut counts = vec![0_usize; count];
        others.iter().for_each(|(_, s)| counts[s.entity] += 1);
        for (at, series) in others {
            let calls = firsts.requests_for(series.measure, series.entity, series.entity);
            let (extra, surprise) = off(series, calls.map(|at| &question.series[at]), self.usual[at], &self.stretch);
            let surprise = surprise - (counts[series.entity] as f64).log10();
            let about = &mut self.of[series.entity];
            if surprise > about.other.map_or(0.0, |o| o.surprise) {
                about.other = Some(Odd { series: at, surprise, extra });
            }
        }
        self.weigh_totals(question, firsts);
    }

    /// How much of each additive measure there usually is at an entity, a step.
    fn weigh_totals(&mut self, question: &Question, firsts: &Firsts) {
        for (entity, about) in self.of.iter_mut().enumerate() {
            if about.requests.is_some() {
                about.usual_time = firsts.of(Measure::Latency)[entity].map(|at| self.usual[at] * about.usual_requests);
            }
        }
        let _ = question;
    }

    /// How far what is off at `to` in another measure can matter to `from`, which calls it, 0..=1: its extra against
    /// all there usually is of it at the caller.
    pub fn materiality(&self, question: &Question, from: usize, to: usize) -> f64 {
        let Some(odd) = self.of[to].other else { return 0.0 };
        let caller = &self.of[from];
        let all = match question.series[odd.series].measure {
            Measure::Latency => caller.usual_time,
            Measure::Errors => caller.requests.map(|_| caller.usual_requests),
            _ => None,
        };
        all.map_or(1.0, |all| odd.extra / (odd.extra + all.max(0.0))).clamp(0.0, 1.0)
    }

    /// Belief that an entity is why: its blame, as far as alarm and suspect together are more than chance.
    pub fn belief_in(&self, entity: usize, blame: &Blame) -> f64 {
        let (about, alarm) = (&self.of[entity], self.surprise);
        // The alarm does not speak twice, and what was never seen before is no surprise of its own.
        let speaks = entity != self.alarmed && !about.is_new;
        // The most surprising of as many would be as surprising by chance.
        let tried = (self.of.iter().filter(|a| a.series.is_some()).count() as f64).log10();
        let other = about.other.map_or(0.0, |o| o.surprise);
        let shares = [(blame.own, about.surprise), (blame.load, about.load_surprise), (blame.other, other)];
        let believed = |(share, surprise): &(f64, f64)| {
            let further = if speaks { (surprise - tried).max(0.0) } else { 0.0 };
            share * belief(together(alarm, further))
        };
        shares.iter().map(believed).sum()
    }
}

impl About {
    fn weigh_requests(&mut self, series: &Series, at: usize, usual: f64, stretch: &Range<usize>) {
        let now = mean(part(series.within, stretch));
        self.requests = Some(at);
        self.usual_requests = if usual.is_finite() { usual } else { 0.0 };
        self.may_be_called = !(now <= 0.0);
        if now.is_finite() && usual.is_finite() {
            self.extra_requests = now - usual;
            self.load_surprise = Past::new(windows(series.before, stretch.len()), stretch.len()).surprise_above(now);
        }
    }

    /// Adds up what is extra in the stretch; `sign` is -1 where less is what is off.
    fn weigh(&mut self, series: &Series, at: usize, calls: Option<&Series>, sign: f64, stretch: &Range<usize>) {
        let known = series.before.iter().filter(|v| v.is_finite()).count();
        let is_measured = series.within.iter().any(|v| v.is_finite());
        if known < PAST_LEAST && !is_measured {
            return;
        }
        self.series = Some(at);
        self.is_new = known < PAST_LEAST;
        // What was never called before is extra as a whole.
        let usual = if self.is_new { 0.0 } else { usual(series.before) };
        let (before, within) = extras(series, calls, usual, sign);
        self.extra = mean(part(&within, stretch));
        let past = Past::new(windows(&before, stretch.len()), stretch.len());
        self.surprise = past.surprise_above(self.extra);
        let common = if self.is_new { 0.0 } else { past.quantile(COMMON).max(0.0) };
        self.beyond = (self.extra - common).max(0.0);
    }
}

/// For each entity the first series of each measure.
struct Firsts {
    latency: Vec<Option<usize>>,
    errors: Vec<Option<usize>>,
    requests: Vec<Option<usize>>,
    others: Vec<Option<usize>>,
}

impl Firsts {
    fn new(question: &Question, count: usize) -> Firsts {
        let none = || vec![None; count];
        let mut firsts = Firsts { latency: none(), errors: none(), requests: none(), others: none() };
        for (at, series) in question.series.iter().enumerate().filter(|(_, s)| s.entity < count) {
            let first = match series.measure {
                Measure::Latency => &mut firsts.latency,
                Measure::Errors => &mut firsts.errors,
                Measure::Requests => &mut firsts.requests,
                Measure::Resource | Measure::Other => &mut firsts.others,
            };
            first[series.entity].get_or_insert(at);
        }
        firsts
    }

    fn of(&self, measure: Measure) -> &[Option<usize>] {
        match measure {
            Measure::Latency => &self.latency,
            Measure::Errors => &self.errors,
            Measure::Requests => &self.requests,
            Measure::Resource | Measure::Other => &self.others,
        }
    }

    /// The requests that a measure of an entity is weighed with: its own, or else those of another.
    fn requests_for(&self, measure: Measure, entity: usize, or: usize) -> Option<usize> {
        matches!(measure, Measure::Latency | Measure::Errors).then(|| self.requests[entity].or(self.requests[or]))?
    }
}

/// The stretch of the window in which a series is most off, and how surprising that is among the most that windows as
/// long were off before.
fn scan(series: &Series, calls: Option<&Series>, usual: f64, sign: f64) -> Option<(Range<usize>, f64)> {
    if series.before.iter().filter(|v| v.is_finite()).count() < PAST_LEAST {
        return None;
    }
    let (before, within) = extras(series, calls, usual, sign);
    let (stretch, most) = most_off(&within)?;
    let past = before.windows(within.len()).filter_map(|w| Some(most_off(w)?.1));
    Some((stretch, Past::new(past, within.len()).surprise_above(most)))
}

/// The stretch whose sum is the most for its length, as noise goes: over its root.
fn most_off(extras: &[f64]) -> Option<(Range<usize>, f64)> {
    let mut best: Option<(Range<usize>, f64)> = None;
    for from in 0..extras.len() {
        let (mut sum, mut count) = (0.0, 0.0_f64);
        for (to, extra) in extras.iter().enumerate().skip(from) {
            if extra.is_finite() {
                (sum, count) = (sum + extra, count + 1.0);
                let off = sum / count.sqrt();
                if best.as_ref().is_none_or(|b| off > b.1) {
                    best = Some((from..to + 1, off));
                }
            }
        }
    }
    best
}

fn neighbours(count: usize, calls: &[(usize, usize)]) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let (mut callees, mut callers) = (vec![Vec::new(); count], vec![Vec::new(); count]);
    for &(from, to) in calls.iter().filter(|(from, to)| from != to && *from < count && *to < count) {
        callees[from].push(to);
        callers[to].push(from);
    }
    for list in callees.iter_mut().chain(&mut callers) {
        list.sort_unstable();
        list.dedup();
    }
    (callees, callers)
}

/// What is extra in each step, before and within: 0 where there were no requests, NaN where nothing is known.
fn extras(series: &Series, calls: Option<&Series>, usual: f64, sign: f64) -> (Vec<f64>, Vec<f64>) {
    let extra = |value: &f64, times: f64| if times == 0.0 { 0.0 } else { sign * times * (value - usual) };
    let all = |values: &[f64], calls: Option<&[f64]>| -> Vec<f64> {
        let times = |i: usize| calls.map_or(1.0, |c| c.get(i).copied().unwrap_or(f64::NAN));
        values.iter().enumerate().map(|(i, value)| extra(value, times(i))).collect()
    };
    // The past of both ends with the same step.
    let steps = calls.map_or(usize::MAX, |c| c.before.len()).min(series.before.len());
    let end = |values: &'_ [f64]| -> Vec<f64> { values[values.len() - steps..].to_vec() };
    let before_calls = calls.map(|c| end(c.before));
    (all(&end(series.before), before_calls.as_deref()), all(series.within, calls.map(|c| c.within)))
}

/// What is extra in a stretch, and how surprising that is on the side or sides that its measure is bad at.
fn off(series: &Series, calls: Option<&Series>, usual: f64, stretch: &Range<usize>) -> (f64, f64) {
    if series.before.iter().filter(|v| v.is_finite()).count() < PAST_LEAST {
        return (0.0, 0.0);
    }
    let (before, within) = extras(series, calls, usual, 1.0);
    let sided = |extra: f64| if series.measure == Measure::Other { extra.abs() } else { extra };
    let extra = sided(mean(part(&within, stretch)));
    let past = Past::new(windows(&before, stretch.len()).map(sided), stretch.len());
    (extra, past.surprise_above(extra))
}

/// The steps of a stretch, as far as they are there.
fn part<'a>(values: &'a [f64], stretch: &Range<usize>) -> &'a [f64] {
    &values[stretch.start.min(values.len())..stretch.end.min(values.len())]
}

/// Means of all windows of so many steps.
fn windows(values: &[f64], steps: usize) -> impl Iterator<Item = f64> {
    values.windows(steps.max(1)).map(mean)
}

/// The middle of the known values; NaN where there are none.
fn usual(values: &[f64]) -> f64 {
    Past::new(values.iter().copied(), 1).quantile(0.5)
}

/// Mean of the known values; NaN where less than half are known.
fn mean(values: &[f64]) -> f64 {
    let known = values.iter().filter(|v| v.is_finite());
    let (sum, count) = known.fold((0.0, 0), |(sum, count), v| (sum + v, count + 1));
    if count > 0 && 2 * count >= values.len() { sum / count as f64 } else { f64::NAN }
}
