//! What the series say of each entity by itself.

use std::ops::Range;

use math::beyond::Past;

use super::{DECIDED, Measure, Question, Series, belief, together, walk::Blame};
use crate::cause::contrast;

/// Known values of the past, at least, for it to say what is usual.
const PAST_LEAST: usize = 8;
/// Extra that so large a share of the past stays below is common.
const COMMON: f64 = 0.9;

/// What is known of all entities.
pub(super) struct Evidence {
    pub of: Vec<About>,
    /// The entity that is off.
    pub alarmed: usize,
    /// -log10 of the chance of an alarm like this.
    pub surprise: f64,
    /// Usual value of each series, and its mean in the stretch in which the alarmed one is most off.
    pub usual: Vec<f64>,
    pub now: Vec<f64>,
    /// To whom blame goes on from each entity, and from whom it comes: along the calls, or against them where the alarm
    /// is about requests. Sorted, without repetitions and calls of oneself.
    pub next: Vec<Vec<usize>>,
    pub before: Vec<Vec<usize>>,
    /// Who calls each entity.
    pub callers: Vec<Vec<usize>>,
    /// Whether the alarm is about requests.
    pub is_about_load: bool,
    /// Entities with something measured to which blame can come.
    tried: usize,
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
    /// It is called now, and was hardly ever before.
    pub is_new: bool,
    /// Nothing says that it was not called.
    pub may_be_called: bool,
    /// Its series of requests, how many there usually are in a step, how many more there were, and how surprising that
    /// is.
    pub requests: Option<usize>,
    pub usual_requests: f64,
    pub extra_requests: f64,
    pub load_surprise: f64,
    /// Time that all its requests take together in a step.
    pub usual_time: Option<f64>,
    /// What speaks most for it besides the alarmed measure and requests.
    pub other: Option<Odd>,
}

/// A series of another measure that is off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Odd {
    pub series: usize,
    pub measure: Measure,
    /// Beyond that of the most surprising of as many.
    pub surprise: f64,
    /// What it had in extra, a step.
    pub extra: f64,
}

impl About {
    /// Share of its requests that are more than usual; 0 where that is not surprising.
    pub fn extra_load(&self) -> f64 {
        let is_surge = belief(self.load_surprise) >= DECIDED && self.extra_requests > 0.0;
        if is_surge { self.extra_requests / (self.extra_requests + self.usual_requests.max(0.0)) } else { 0.0 }
    }

    fn weigh_requests(&mut self, series: &Series, at: usize, usual: f64, stretch: &Range<usize>) {
        let now = mean(part(series.within, stretch));
        self.requests = Some(at);
        self.usual_requests = if usual.is_finite() { usual } else { 0.0 };
        self.may_be_called = now.is_nan() || now > 0.0;
        if now.is_finite() && usual.is_finite() {
            self.extra_requests = now - usual;
            self.load_surprise = Past::new(windows(series.before, stretch.len()), stretch.len()).surprise_above(now);
        }
    }

    fn weigh(&mut self, at: usize, weighed: &Weighed, stretch: &Range<usize>) {
        if weighed.known < PAST_LEAST && !weighed.within.iter().any(|v| v.is_finite()) {
            return;
        }
        let past = weighed.past(stretch.len());
        self.series = Some(at);
        self.is_new = weighed.known < PAST_LEAST;
        self.extra = mean(part(&weighed.within, stretch));
        self.surprise = past.surprise_above(self.extra);
        let common = if self.is_new { 0.0 } else { past.quantile(COMMON).max(0.0) };
        self.beyond = (self.extra - common).max(0.0);
    }
}

impl Evidence {
    /// `None` where the alarmed series is not there, has no past, or is not off.
    pub fn new(question: &Question) -> Option<Evidence> {
        let count = question.entities.len();
        let alarm = question.series.get(question.alarmed).filter(|s| s.entity < count)?;
        let firsts = Firsts::new(question, count);
        let usual: Vec<f64> = question.series.iter().map(|s| usual(s.before)).collect();
        let is_about_load = alarm.measure == Measure::Requests;
        let has_two_sides = is_about_load || alarm.measure == Measure::Other;
        let is_fall = has_two_sides && mean(alarm.within) < usual[question.alarmed];
        let weigh = Weigh { question, firsts: &firsts, usual: &usual, sign: if is_fall { -1.0 } else { 1.0 } };
        let (stretch, surprise) = weigh.series(question.alarmed, alarm.entity).scan()?;
        let (callees, callers) = neighbours(count, question.calls);
        let (next, before) = if is_about_load { (&callers, &callees) } else { (&callees, &callers) };
        let mut evidence = Evidence {
            of: vec![About::default(); count],
            alarmed: alarm.entity,
            surprise,
            now: question.series.iter().map(|s| mean(part(s.within, &stretch))).collect(),
            usual: usual.clone(),
            next: next.clone(),
            before: before.clone(),
            callers,
            is_about_load,
            tried: 0,
        };
        evidence.weigh_all(&weigh, alarm.measure, &stretch);
        evidence.weigh_others(&weigh, alarm.measure, &stretch);
        evidence.cut_circles();
        let is_tried = |entity: &usize| evidence.of[*entity].series.is_some() || evidence.of[*entity].other.is_some();
        let depth = depths(alarm.entity, &evidence.next);
        evidence.tried = (0..count).filter(|entity| depth[*entity] < usize::MAX && is_tried(entity)).count();
        (evidence.of[alarm.entity].extra > 0.0).then_some(evidence)
    }

    /// Of calls in a circle of entities with extra, leaves those that lead away from the alarmed one: what comes back
    /// to where it came from explains nothing.
    fn cut_circles(&mut self) {
        let has_extra = |entity: &usize| self.of[*entity].beyond > 0.0;
        let extra: Vec<Vec<usize>> =
            self.next.iter().map(|next| next.iter().copied().filter(has_extra).collect()).collect();
        let (circle, depth) = (circles(&extra), depths(self.alarmed, &extra));
        let comes_back =
            |from: usize, to: usize| circle[from] == circle[to] && depth[to] <= depth[from] && depth[from] < usize::MAX;
        for from in 0..self.next.len() {
            let (next, before) = (&mut self.next[from], &mut self.before);
            next.retain(|to| {
                let is_kept = !comes_back(from, *to);
                if !is_kept {
                    before[*to].retain(|other| *other != from);
                }
                is_kept
            });
        }
    }

    /// Belief that an entity is why: its blame, as far as alarm and suspect together are more than chance.
    pub fn belief_in(&self, entity: usize, blame: &Blame) -> f64 {
        let about = &self.of[entity];
        // The alarm does not speak twice, and what was never seen before is no surprise of its own.
        let speaks = entity != self.alarmed && !about.is_new;
        // The most surprising of as many would be as surprising by chance.
        let by_chance = (self.tried.max(1) as f64).log10();
        let other = about.other.map_or(0.0, |o| o.surprise);
        let shares = [(blame.own, about.surprise), (blame.load, about.load_surprise), (blame.other, other)];
        let believed = |(share, surprise): &(f64, f64)| {
            let further = if speaks { (surprise - by_chance).max(0.0) } else { 0.0 };
            share * belief(together(self.surprise, further))
        };
        shares.iter().map(believed).sum()
    }

    /// How far what is off at `to` in another measure can matter to `from`, which calls it, 0..=1: its extra against
    /// all there usually is of it at the caller.
    pub fn materiality(&self, from: usize, to: usize) -> f64 {
        let Some(odd) = self.of[to].other else { return 0.0 };
        let caller = &self.of[from];
        let all = match odd.measure {
            Measure::Latency => caller.usual_time,
            Measure::Errors => caller.requests.map(|_| caller.usual_requests),
            _ => None,
        };
        let share = all.map_or(1.0, |all| odd.extra / (odd.extra + all.max(0.0)));
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// What each entity had in extra of the alarmed measure, and of requests.
    fn weigh_all(&mut self, weigh: &Weigh, measure: Measure, stretch: &Range<usize>) {
        let (series, firsts) = (weigh.question.series, weigh.firsts);
        for (entity, about) in self.of.iter_mut().enumerate() {
            about.may_be_called = true;
            if let Some(at) = firsts.requests[entity] {
                about.weigh_requests(&series[at], at, self.usual[at], stretch);
                about.usual_time = firsts.latency[entity].map(|at| self.usual[at] * about.usual_requests);
            }
            let own = firsts.of(measure).and_then(|firsts| firsts[entity]);
            let alarmed = (entity == self.alarmed).then_some(weigh.question.alarmed);
            if let Some(at) = own.or(alarmed) {
                about.weigh(at, &weigh.series(at, self.alarmed), stretch);
            }
        }
    }

    /// Keeps for each entity the most surprising series of other measures.
    fn weigh_others(&mut self, weigh: &Weigh, alarmed: Measure, stretch: &Range<usize>) {
        let others = weigh.question.series.iter().enumerate().filter(|(at, s)| {
            let stands_for_it = weigh.firsts.of(s.measure).is_none_or(|f| f.get(s.entity) == Some(&Some(*at)));
            s.entity < self.of.len() && s.measure != alarmed && s.measure != Measure::Requests && stands_for_it
        });
        let others: Vec<(usize, &Series)> = others.collect();
        let mut counts = vec![0_usize; self.of.len()];
        others.iter().for_each(|(_, s)| counts[s.entity] += 1);
        for (at, series) in others {
            let (extra, surprise) = Weigh { sign: 1.0, ..*weigh }.series(at, series.entity).off(stretch);
            let surprise = surprise - (counts[series.entity] as f64).log10();
            let about = &mut self.of[series.entity];
            if surprise > about.other.map_or(0.0, |o| o.surprise) {
                about.other = Some(Odd { series: at, measure: series.measure, surprise, extra });
            }
        }
    }
}

/// For each entity the series that stands for a measure.
struct Firsts {
    latency: Vec<Option<usize>>,
    errors: Vec<Option<usize>>,
    requests: Vec<Option<usize>>,
}

impl Firsts {
    fn new(question: &Question, count: usize) -> Firsts {
        let none = || vec![None; count];
        let mut firsts = Firsts { latency: none(), errors: none(), requests: none() };
        for (at, series) in question.series.iter().enumerate().filter(|(_, s)| s.entity < count) {
            let first = match series.measure {
                Measure::Latency => &mut firsts.latency,
                Measure::Errors => &mut firsts.errors,
                Measure::Requests => &mut firsts.requests,
                Measure::Resource | Measure::Other => continue,
            };
            first[series.entity].get_or_insert(at);
        }
        firsts
    }

    /// `None` for measures of which no series stands for the others.
    fn of(&self, measure: Measure) -> Option<&[Option<usize>]> {
        match measure {
            Measure::Latency => Some(&self.latency),
            Measure::Errors => Some(&self.errors),
            Measure::Requests => Some(&self.requests),
            Measure::Resource | Measure::Other => None,
        }
    }
}

/// How series are turned into what adds up.
#[derive(Clone, Copy)]
struct Weigh<'a> {
    question: &'a Question<'a>,
    firsts: &'a Firsts,
    /// Usual value of each series.
    usual: &'a [f64],
    /// -1 where less is what is off.
    sign: f64,
}

impl Weigh<'_> {
    /// A series times the requests of its entity, or else those of another.
    fn series(&self, at: usize, or: usize) -> Weighed {
        let series = &self.question.series[at];
        let is_of_requests = matches!(series.measure, Measure::Latency | Measure::Errors);
        let calls = self.firsts.requests[series.entity].or(self.firsts.requests[or]).filter(|_| is_of_requests);
        let calls = calls.map(|at| &self.question.series[at]);
        let known = series.before.iter().filter(|v| v.is_finite()).count();
        // What was hardly ever called before is extra as a whole.
        let usual = if known < PAST_LEAST { 0.0 } else { self.usual[at] };
        let extra = |(value, times): (&f64, f64)| if times == 0.0 { 0.0 } else { self.sign * times * (value - usual) };
        let times = |of: Option<&[f64]>, i: usize| of.map_or(1.0, |c| c.get(i).copied().unwrap_or(f64::NAN));
        // The past of both ends with the same step.
        let steps = calls.map_or(usize::MAX, |c| c.before.len()).min(series.before.len());
        let before = &series.before[series.before.len() - steps..];
        let before_calls = calls.map(|c| &c.before[c.before.len() - steps..]);
        let within_calls = calls.map(|c| c.within);
        Weighed {
            known,
            before: before.iter().enumerate().map(|(i, v)| extra((v, times(before_calls, i)))).collect(),
            within: series.within.iter().enumerate().map(|(i, v)| extra((v, times(within_calls, i)))).collect(),
            has_two_sides: series.measure == Measure::Other,
        }
    }
}

/// What is extra in each step: 0 where there were no requests, not finite where nothing is known.
struct Weighed {
    /// Known values of the past.
    known: usize,
    before: Vec<f64>,
    within: Vec<f64>,
    has_two_sides: bool,
}

impl Weighed {
    fn past(&self, steps: usize) -> Past {
        Past::new(windows(&self.before, steps), steps)
    }

    /// What is extra in a stretch, and how surprising that is on the side or sides that the measure is bad at.
    fn off(&self, stretch: &Range<usize>) -> (f64, f64) {
        if self.known < PAST_LEAST {
            return (0.0, 0.0);
        }
        let sided = |extra: f64| if self.has_two_sides { extra.abs() } else { extra };
        let extra = sided(mean(part(&self.within, stretch)));
        let past = Past::new(windows(&self.before, stretch.len()).map(sided), stretch.len());
        (extra, past.surprise_above(extra))
    }

    /// The stretch of the window that is most off, and how surprising that is among the most that windows as long were
    /// off before.
    fn scan(&self) -> Option<(Range<usize>, f64)> {
        if self.known < PAST_LEAST {
            return None;
        }
        let (stretch, most) = most_off(&self.within)?;
        let steps = self.within.len();
        let past = self.before.windows(steps).filter_map(|window| Some(most_off(window)?.1));
        Some((stretch, Past::new(past, steps).surprise_above(most)))
    }
}

/// The stretch whose sum is the most for its length, as noise goes: over its root.
fn most_off(extras: &[f64]) -> Option<(Range<usize>, f64)> {
    let mut best: Option<(Range<usize>, f64)> = None;
    for from in 0..extras.len() {
        let (mut sum, mut count) = (0.0, 0.0_f64);
        for (to, extra) in extras.iter().enumerate().skip(from).filter(|(_, extra)| extra.is_finite()) {
            (sum, count) = (sum + extra, count + 1.0);
            let off = sum / count.sqrt();
            if best.as_ref().is_none_or(|b| off > b.1) {
                best = Some((from..to + 1, off));
            }
        }
    }
    best
}

/// By entity whom it calls, and who calls it.
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

/// Steps from an entity to each other; `usize::MAX` where there is no way.
fn depths(from: usize, next: &[Vec<usize>]) -> Vec<usize> {
    let mut depth = vec![usize::MAX; next.len()];
    depth[from] = 0;
    let mut open = vec![from];
    let mut at = 0;
    while at < open.len() {
        let here = open[at];
        for to in &next[here] {
            if depth[*to] == usize::MAX {
                depth[*to] = depth[here] + 1;
                open.push(*to);
            }
        }
        at += 1;
    }
    depth
}

/// A number for each entity, the same for those that can reach each other (strongly connected components: Tarjan 1972,
/// with a stack in place of recursion).
fn circles(next: &[Vec<usize>]) -> Vec<usize> {
    let count = next.len();
    let (mut order, mut low, mut circle) = (vec![usize::MAX; count], vec![0; count], vec![usize::MAX; count]);
    let (mut seen, mut found) = (0, 0);
    let mut open = Vec::new();
    for start in 0..count {
        let mut path: Vec<(usize, usize)> = if order[start] == usize::MAX { vec![(start, 0)] } else { Vec::new() };
        while let Some((here, at)) = path.pop() {
            if at == 0 {
                (order[here], low[here]) = (seen, seen);
                seen += 1;
                open.push(here);
            } else {
                low[here] = low[here].min(low[next[here][at - 1]]);
            }
            // Whose circle is complete counts no more.
            let mut at = at;
            while let Some(to) = next[here].get(at) {
                if order[*to] == usize::MAX {
                    break;
                }
                if circle[*to] == usize::MAX {
                    low[here] = low[here].min(order[*to]);
                }
                at += 1;
            }
            if let Some(to) = next[here].get(at) {
                path.extend([(here, at + 1), (*to, 0)]);
            } else if low[here] == order[here] {
                while let Some(member) = open.pop() {
                    circle[member] = found;
                    if member == here {
                        break;
                    }
                }
                found += 1;
            }
        }
    }
    circle
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

/// Mean of the known values; NaN where less than half are known, or their sum is no number.
fn mean(values: &[f64]) -> f64 {
    contrast::mean(values).filter(|mean| mean.is_finite()).unwrap_or(f64::NAN)
}
