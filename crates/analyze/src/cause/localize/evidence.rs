//! What the series say of each entity by itself.

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
    /// What speaks most for it besides the alarmed measure and requests: series, and surprise beyond that of the most
    /// surprising of as many.
    pub other: Option<(usize, f64)>,
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
        let of_measure = chosen(question, count, alarm.measure, alarm.name);
        let requests = chosen(question, count, Measure::Requests, alarm.name);
        let usual: Vec<f64> = question.series.iter().map(|s| usual(s.before)).collect();
        let now: Vec<f64> = question.series.iter().map(|s| mean(s.within)).collect();
        let (callees, callers) = neighbours(count, question.calls);
        let mut evidence = Evidence {
            of: vec![About::default(); count],
            alarmed: alarm.entity,
            callees,
            callers,
            is_about_load: alarm.measure == Measure::Requests,
            usual,
            now,
        };
        let is_fall = matches!(alarm.measure, Measure::Requests | Measure::Other)
            && evidence.now[question.alarmed] < evidence.usual[question.alarmed];
        let adds_up = matches!(alarm.measure, Measure::Latency | Measure::Errors | Measure::Requests);
        for entity in 0..count {
            let own = if entity == alarm.entity { Some(question.alarmed) } else { of_measure[entity] };
            let about = &mut evidence.of[entity];
            about.may_be_called = true;
            if let Some(at) = requests[entity] {
                about.weigh_requests(&question.series[at], at, evidence.usual[at]);
            }
            if let Some(at) = own.filter(|_| adds_up || entity == alarm.entity) {
                let calls = requests[entity].or(requests[alarm.entity]).map(|at| &question.series[at]);
                let calls = calls.filter(|_| alarm.measure != Measure::Requests);
                about.weigh(&question.series[at], at, calls, if is_fall { -1.0 } else { 1.0 });
            }
        }
        evidence.weigh_others(question, alarm.measure);
        let is_known = evidence.of[alarm.entity].series.is_some() && !evidence.of[alarm.entity].is_new;
        is_known.then_some(evidence)
    }

    /// Keeps for each entity the most surprising series of other measures. Of several of latency or of errors the first
    /// stands for all.
    fn weigh_others(&mut self, question: &Question, alarmed: Measure) {
        let count = self.of.len();
        let firsts = [Measure::Latency, Measure::Errors].map(|measure| chosen(question, count, measure, ""));
        let is_other = |at: usize, s: &Series| match s.measure {
            Measure::Requests => false,
            measure if measure == alarmed => false,
            Measure::Latency => s.entity < count && firsts[0][s.entity] == Some(at),
            Measure::Errors => s.entity < count && firsts[1][s.entity] == Some(at),
            Measure::Resource | Measure::Other => s.entity < count,
        };
        let others: Vec<(usize, &Series)> =
            question.series.iter().enumerate().filter(|(at, s)| is_other(*at, s)).collect();
        let mut counts = vec![0_usize; count];
        others.iter().for_each(|(_, s)| counts[s.entity] += 1);
        for (at, series) in others {
            let about = &mut self.of[series.entity];
            let requests = about.requests.map(|at| &question.series[at]);
            let surprise = surprise_of(series, requests, self.usual[at]) - (counts[series.entity] as f64).log10();
            if surprise > about.other.map_or(0.0, |o| o.1) {
                about.other = Some((at, surprise));
            }
        }
    }

    /// Belief that an entity is why: its blame, as far as alarm and suspect together are more than chance.
    pub fn belief_in(&self, entity: usize, blame: &Blame) -> f64 {
        let (about, alarm) = (&self.of[entity], self.of[self.alarmed].surprise);
        // The alarm does not speak twice, and what was never seen before is no surprise of its own.
        let speaks = entity != self.alarmed && !about.is_new;
        // The most surprising of as many would be as surprising by chance.
        let tried = (self.of.iter().filter(|a| a.series.is_some()).count() as f64).log10();
        let other = about.other.map_or(0.0, |o| o.1);
        let shares = [(blame.own, about.surprise), (blame.load, about.load_surprise), (blame.other, other)];
        let believed = |(share, surprise): &(f64, f64)| {
            let further = if speaks { (surprise - tried).max(0.0) } else { 0.0 };
            share * belief(together(alarm, further))
        };
        shares.iter().map(believed).sum()
    }
}

impl About {
    fn weigh_requests(&mut self, series: &Series, at: usize, usual: f64) {
        let now = mean(series.within);
        self.requests = Some(at);
        self.usual_requests = if usual.is_finite() { usual } else { 0.0 };
        self.may_be_called = !(now <= 0.0);
        if now.is_finite() && usual.is_finite() {
            self.extra_requests = now - usual;
            let steps = series.within.len();
            self.load_surprise = Past::new(windows(series.before, steps), steps).surprise_above(now);
        }
    }

    /// Adds up what is extra in each step; `sign` is -1 where less is what is off.
    fn weigh(&mut self, series: &Series, at: usize, requests: Option<&Series>, sign: f64) {
        let known = series.before.iter().filter(|v| v.is_finite()).count();
        let is_measured = series.within.iter().any(|v| v.is_finite());
        if known < PAST_LEAST && !is_measured {
            return;
        }
        self.series = Some(at);
        self.is_new = known < PAST_LEAST;
        // What was never called before is extra as a whole.
        let usual = if self.is_new { 0.0 } else { usual(series.before) };
        let steps = series.within.len();
        let before = extras(series.before, requests.map(|r| aligned_at_end(r.before, series.before.len())), usual, sign);
        let within = extras(series.within, requests.map(|r| r.within), usual, sign);
        self.extra = mean(&within);
        let past = Past::new(windows(&before, steps), steps);
        self.surprise = past.surprise_above(self.extra);
        let common = past.quantile(COMMON);
        self.beyond = (self.extra - if self.is_new { 0.0 } else { common.max(0.0) }).max(0.0);
    }
}

/// For each entity its series of a measure: the one of that name, else the first.
fn chosen(question: &Question, count: usize, measure: Measure, name: &str) -> Vec<Option<usize>> {
    let mut chosen: Vec<Option<usize>> = vec![None; count];
    for (at, series) in question.series.iter().enumerate() {
        if series.entity >= count || series.measure != measure {
            continue;
        }
        let is_named = series.name == name && chosen[series.entity].is_some_and(|c| question.series[c].name != name);
        if chosen[series.entity].is_none() || is_named {
            chosen[series.entity] = Some(at);
        }
    }
    chosen
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

/// What is extra in each step: 0 where there were no requests, NaN where nothing is known.
fn extras(values: &[f64], requests: Option<&[f64]>, usual: f64, sign: f64) -> Vec<f64> {
    let extra = |(i, value): (usize, &f64)| {
        let times = requests.map_or(1.0, |r| r.get(i).copied().unwrap_or(f64::NAN));
        let extra = sign * times * (value - usual);
        if times == 0.0 { 0.0 } else { extra }
    };
    values.iter().enumerate().map(extra).collect()
}

/// The last `count` values.
fn aligned_at_end(values: &[f64], count: usize) -> &[f64] {
    &values[values.len().saturating_sub(count)..]
}

/// How surprising the window is, on the side or sides that its measure is bad at.
fn surprise_of(series: &Series, requests: Option<&Series>, usual: f64) -> f64 {
    if series.before.iter().filter(|v| v.is_finite()).count() < PAST_LEAST {
        return 0.0;
    }
    let requests = requests.filter(|_| matches!(series.measure, Measure::Latency | Measure::Errors));
    let steps = series.within.len();
    let before = extras(series.before, requests.map(|r| aligned_at_end(r.before, series.before.len())), usual, 1.0);
    let within = extras(series.within, requests.map(|r| r.within), usual, 1.0);
    let off = |extra: f64| if series.measure == Measure::Other { extra.abs() } else { extra };
    Past::new(windows(&before, steps).map(off), steps).surprise_above(off(mean(&within)))
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
