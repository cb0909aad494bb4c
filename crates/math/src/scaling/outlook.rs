//! The load some minutes ahead, as a distribution that is learned while the load comes in.
//!
//! Idea: the square root of the load (which makes the noise of counts even; Bartlett 1936) is forecast for each horizon
//! by a regression on its own recent means and on the same time of the days and of the weeks before, learned by
//! recursive least squares with forgetting (Young, "Recursive Estimation and Time-Series Analysis", 2011), from a start
//! at which the level stays and follows the shape of the day. Errors over their recent size are counted in a histogram
//! that forgets; it is the distribution of what comes. Nothing looks ahead: the error of a forecast is learned when its
//! time has come.
//!
//! Cost: about 3 µs a value and horizon; some hundred kilobytes. Fails on: the first day, on which no shape is known;
//! surges that announce themselves by nothing.

use std::collections::VecDeque;

const DAY_S: f64 = 86_400.0;
const WEEK_S: f64 = 7.0 * DAY_S;
const HOUR_S: f64 = 3600.0;
/// Half-lives of the running means, minutes: the first is the level from which a forecast starts.
const HALF_LIVES_MIN: [f64; 4] = [4.0, 1.5, 15.0, 90.0];
/// Regressors.
const TERMS: usize = 13;
/// What the regressors count before anything is learned: follow the shape of the day.
const TERMS_AT_FIRST: [f64; TERMS] = [0.2, 0.1, 0.0, 0.5, 0.3, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0, 0.7, 0.3];
/// Values for which what is assumed at first stands.
const ASSUMED: f64 = 100.0;
/// A step of the load beyond this many of its mean absolute errors is a jump, which may stay.
const JUMP: f64 = 3.0;
/// Surges without precedent that are allowed for; the probability that one is of a multiple falls with its square.
const SURGES_A_WEEK: f64 = 1.0;
/// Values that are remembered, days.
const MEMORY_DAYS: f64 = 7.0;
/// Errors beyond this many times their usual size teach no more than this.
const ERROR_MOST: f64 = 10.0;
/// Least error that is expected, of the square root: 1 % is 2 % of the load.
const ERROR_LEAST: f64 = 0.01;
/// The histogram of errors: parts, and how wide each is, in mean absolute errors.
const PARTS: usize = 480;
const PART: f64 = 0.05;
/// Where the histogram begins.
const FROM: f64 = -2.0;
/// Errors of a Laplace distribution that are assumed to have been seen.
const ASSUMED_ERRORS: f64 = 20.0;

/// What may come at one horizon.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// Expected square root of the load.
    root: f64,
    /// Mean absolute error of it.
    error: f64,
    /// Probability of a surge that nothing seen so far tells of.
    surprise: f64,
    /// Share of errors above the start of each part.
    above: Vec<f64>,
}

impl Outlook {
    /// The load that is expected (its median, nearly).
    pub fn expected(&self) -> f64 {
        self.root * self.root
    }

    /// Probability that the load lies above a level, 0..=1.
    pub fn probability_above(&self, level: f64) -> f64 {
        let seen = self.probability_as_seen(level);
        let surprise = self.surprise * (self.expected() / level).powi(2).min(1.0);
        if surprise.is_finite() { seen + (1.0 - seen) * surprise } else { seen }
    }

    fn probability_as_seen(&self, level: f64) -> f64 {
        let at = ((level.max(0.0).sqrt() - self.root) / self.error - FROM) / PART;
        if !at.is_finite() || at <= 0.0 {
            return if at > 0.0 { 0.0 } else { 1.0 };
        }
        let (i, part) = (at as usize, at.fract());
        match (self.above.get(i), self.above.get(i + 1)) {
            (Some(low), Some(high)) => low + part * (high - low),
            _ => self.above.last().map_or(0.0, |last| last * (-(at - PARTS as f64) * PART).exp()),
        }
    }

    /// The level that is exceeded with a probability of 1 - `p`.
    pub fn quantile(&self, p: f64) -> f64 {
        let rest = (1.0 - p).clamp(1e-9, 1.0);
        let i = self.above.partition_point(|above| *above > rest);
        let z = match (i.checked_sub(1).and_then(|b| self.above.get(b)), self.above.get(i)) {
            (None, _) => FROM,
            (Some(before), Some(here)) => FROM + PART * (i as f64 - (rest - here) / (before - here).max(1e-12)),
            (Some(last), None) => FROM + PART * PARTS as f64 + (last / rest).ln().max(0.0),
        };
        (self.root + z * self.error).max(0.0).powi(2)
    }
}

/// Learns from loads, one a tick, and says what may come.
#[derive(Clone, Debug)]
pub struct LoadModel {
    tick_s: f64,
    ticks: u64,
    means: [f64; HALF_LIVES_MIN.len()],
    last: f64,
    before: f64,
    day: Shape,
    week: Shape,
    hour: Shape,
    ahead: Vec<Ahead>,
}

impl LoadModel {
    /// A model of loads that come every `tick_s` seconds (at least 1), for horizons in ticks: 1 is the next load.
    pub fn new(tick_s: f64, horizons: &[usize]) -> LoadModel {
        let tick_s = if tick_s >= 1.0 { tick_s.min(DAY_S) } else { 1.0 };
        let mut horizons: Vec<usize> = horizons.iter().map(|h| (*h).max(1)).collect();
        horizons.sort_unstable();
        horizons.dedup();
        LoadModel {
            tick_s,
            ticks: 0,
            means: [f64::NAN; HALF_LIVES_MIN.len()],
            last: f64::NAN,
            before: f64::NAN,
            day: Shape::new(DAY_S, tick_s, 600.0, 0.2),
            week: Shape::new(WEEK_S, tick_s, 900.0, 0.4),
            hour: Shape::new(HOUR_S, tick_s, 0.0, 0.02),
            ahead: horizons.iter().map(|h| Ahead::new(*h, tick_s)).collect(),
        }
    }

    /// Takes in the load of the next tick; a negative one counts as 0, one that is not finite is missing.
    pub fn add(&mut self, load: f64) {
        let root = load.max(0.0).sqrt();
        let (t, is_known) = (self.ticks, load.is_finite());
        for ahead in &mut self.ahead {
            ahead.learn(root, is_known);
        }
        if is_known {
            self.before = if self.last.is_finite() { self.last } else { root };
            self.last = root;
            for (mean, half_life) in self.means.iter_mut().zip(HALF_LIVES_MIN) {
                let part = 1.0 - 0.5_f64.powf(self.tick_s / (60.0 * half_life));
                *mean = if mean.is_finite() { *mean + part * (root - *mean) } else { root };
            }
            self.day.learn(t, root);
            self.week.learn(t, root);
            self.hour.learn(t, root - self.means[2]);
        }
        self.ticks += 1;
        if !self.last.is_finite() {
            return;
        }
        let usual = self.ahead.first().map_or(0.0, Ahead::usual_error).max(0.0);
        for i in 0..self.ahead.len() {
            let terms = self.terms(self.ahead[i].horizon as u64, usual);
            self.ahead[i].say(self.means[0], terms);
        }
    }

    /// What may come at each horizon, in their order; nothing before the first load.
    pub fn outlooks(&self) -> impl Iterator<Item = (usize, Outlook)> + '_ {
        self.ahead.iter().filter_map(|ahead| Some((ahead.horizon, ahead.outlook()?)))
    }

    fn terms(&self, horizon: u64, usual: f64) -> [f64; TERMS] {
        let beyond = |d: f64| d.signum() * (d.abs() - JUMP * usual).max(0.0);
        let now = self.ticks.saturating_sub(1);
        let then = now + horizon;
        let level = self.means[0];
        let or_zero = |v: f64| if v.is_finite() { v } else { 0.0 };
        let bend = |shape: &Shape| or_zero(shape.smooth(then) - shape.smooth(now));
        [
            self.last - level,
            self.means[1] - level,
            self.means[2] - level,
            bend(&self.day),
            or_zero(self.day.exact(then) - self.day.smooth(then)),
            or_zero(self.day.smooth(then) - level),
            bend(&self.week),
            or_zero(self.week.exact(then) - self.week.smooth(then)),
            or_zero(self.week.smooth(then) - level),
            self.means[3] - level,
            or_zero(self.hour.exact(then)),
            beyond(self.last - level),
            beyond(self.last - self.before),
        ]
    }
}

/// The mean course over a period, by phase.
#[derive(Clone, Debug)]
struct Shape {
    slots: Vec<f64>,
    seen: Vec<u32>,
    smoothed: Vec<f64>,
    /// Slots to either side that are smoothed over.
    reach: usize,
    /// Least weight of the newest turn.
    newest: f64,
}

impl Shape {
    fn new(period_s: f64, tick_s: f64, reach_s: f64, newest: f64) -> Shape {
        let slots = (period_s / tick_s).round().max(1.0) as usize;
        let reach = ((reach_s / tick_s) as usize).min(slots.saturating_sub(1) / 2);
        Shape { slots: vec![f64::NAN; slots], seen: vec![0; slots], smoothed: vec![f64::NAN; slots], reach, newest }
    }

    fn learn(&mut self, tick: u64, value: f64) {
        let n = self.slots.len();
        let at = (tick % n as u64) as usize;
        self.seen[at] = self.seen[at].saturating_add(1);
        let part = (1.0 / f64::from(self.seen[at])).max(self.newest);
        let slot = &mut self.slots[at];
        *slot = if slot.is_finite() { *slot + part * (value - *slot) } else { value };
        // The slots around this one are of this turn before it and of the one before after it.
        let middle = (at + n - self.reach) % n;
        let around = (0..=2 * self.reach).map(|k| self.slots[(at + n - k) % n]).filter(|v| v.is_finite());
        let (sum, count) = around.fold((0.0, 0.0), |(s, c), v| (s + v, c + 1.0));
        self.smoothed[middle] = sum / count;
    }

    fn exact(&self, tick: u64) -> f64 {
        self.slots[(tick % self.slots.len() as u64) as usize]
    }

    fn smooth(&self, tick: u64) -> f64 {
        self.smoothed[(tick % self.slots.len() as u64) as usize]
    }
}

/// What was said and is not judged yet.
#[derive(Clone, Debug)]
struct Said {
    level: f64,
    terms: [f64; TERMS],
    /// The forecast, and the error that was expected of it.
    root: f64,
    error: f64,
}

/// The forecast at one horizon.
#[derive(Clone, Debug)]
struct Ahead {
    horizon: usize,
    said: VecDeque<Option<Said>>,
    now: Option<Said>,
    weights: [f64; TERMS],
    /// Covariance of the weights over that of the errors.
    spread: [[f64; TERMS]; TERMS],
    /// Share that is kept of what is known, each tick.
    kept: f64,
    /// Mean absolute error: lately (an hour), and over a day.
    errors: [f64; 3],
    parts: [f64; 3],
    counts: Vec<f64>,
    /// Weight of the newest count, and of all.
    newest: f64,
    all: f64,
    surprise: f64,
}

impl Ahead {
    fn new(horizon: usize, tick_s: f64) -> Ahead {
        let mut spread = [[0.0; TERMS]; TERMS];
        (0..TERMS).for_each(|i| spread[i][i] = 1.0 / ASSUMED);
        let part = |half_life_s: f64| 1.0 - 0.5_f64.powf(tick_s / half_life_s);
        Ahead {
            horizon,
            said: VecDeque::new(),
            now: None,
            weights: TERMS_AT_FIRST,
            spread,
            kept: (-tick_s / (MEMORY_DAYS * DAY_S)).exp(),
            errors: [f64::NAN; 3],
            parts: [part(300.0), part(HOUR_S), part(DAY_S)],
            counts: vec![0.0; PARTS],
            newest: 1.0,
            all: 0.0,
            surprise: (SURGES_A_WEEK * horizon as f64 * tick_s / WEEK_S).min(0.05),
        }
    }

    /// Judges what was said about this tick.
    fn learn(&mut self, root: f64, is_known: bool) {
        // What was said last is about the tick that lies one less than the horizon ahead.
        self.said.push_back(self.now.take());
        if self.said.len() < self.horizon {
            return;
        }
        let Some(said) = self.said.pop_front().flatten().filter(|_| is_known) else { return };
        let error = root - said.root;
        self.count(error / said.error);
        for (mean, part) in self.errors.iter_mut().zip(self.parts) {
            let size = error.abs();
            *mean = if mean.is_finite() { *mean + part * (size - *mean) } else { size.max(said.error) };
        }
        let unit = said.error;
        let terms = said.terms.map(|t| t / unit);
        let wanted = (root - said.level) / unit;
        self.fit(&terms, wanted);
    }

    /// A step of recursive least squares.
    fn fit(&mut self, terms: &[f64; TERMS], wanted: f64) {
        let along: [f64; TERMS] = std::array::from_fn(|i| dot(&self.spread[i], terms));
        let size = self.kept + dot(&along, terms);
        if !(size.is_finite() && wanted.is_finite()) || size <= 0.0 {
            return;
        }
        let error = (wanted - dot(&self.weights, terms)).clamp(-ERROR_MOST, ERROR_MOST);
        for i in 0..TERMS {
            self.weights[i] += along[i] / size * error;
            for j in 0..TERMS {
                self.spread[i][j] -= along[i] * along[j] / size;
            }
        }
        // Forgetting must not blow up what is never asked about: the spread is kept below where it began.
        let can_grow = (0..TERMS).all(|i| self.spread[i][i] / self.kept <= 1.0 / ASSUMED);
        if can_grow {
            self.spread.iter_mut().flatten().for_each(|v| *v /= self.kept);
        }
    }

    fn count(&mut self, z: f64) {
        if !z.is_finite() {
            return;
        }
        let part = ((z - FROM) / PART).clamp(0.0, PARTS as f64 - 1.0) as usize;
        self.newest /= self.kept;
        self.counts[part] += self.newest;
        self.all += self.newest;
        if self.newest > 1e9 {
            self.counts.iter_mut().for_each(|c| *c /= self.newest);
            self.all /= self.newest;
            self.newest = 1.0;
        }
    }

    /// Mean absolute error to expect; NaN before the first.
    fn usual_error(&self) -> f64 {
        let [now, hour, day] = self.errors;
        (0.2 * now * now + 0.4 * hour * hour + 0.4 * day * day).sqrt()
    }

    fn say(&mut self, level: f64, terms: [f64; TERMS]) {
        let root = (level + dot(&self.weights, &terms)).max(0.0);
        let usual = self.usual_error();
        let size = if usual.is_finite() { usual } else { 0.05 * level };
        let error = size.max(ERROR_LEAST * level).max(f64::MIN_POSITIVE);
        self.now = Some(Said { level, terms, root, error });
    }

    fn outlook(&self) -> Option<Outlook> {
        let said = self.now.as_ref()?;
        let seen = self.all / self.newest;
        let mut rest = self.all;
        let share = |i: usize, rest: f64| {
            let z = FROM + PART * i as f64;
            let assumed = if z < 0.0 { 1.0 - 0.5 * z.exp() } else { 0.5 * (-z).exp() };
            (rest.max(0.0) / self.newest + ASSUMED_ERRORS * assumed) / (seen + ASSUMED_ERRORS)
        };
        let mut above = Vec::with_capacity(PARTS + 1);
        above.push(share(0, rest));
        for (i, count) in self.counts.iter().enumerate() {
            rest -= count;
            above.push(share(i + 1, rest));
        }
        Some(Outlook { root: said.root, error: said.error, surprise: self.surprise, above })
    }
}

fn dot(a: &[f64; TERMS], b: &[f64; TERMS]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    /// Shares of loads above the .5, .9 and .99 quantile of their forecast, after two days of fourteen.
    fn shares_above(load: impl Fn(usize, &mut Chance) -> f64, horizon: usize) -> [f64; 3] {
        let mut chance = Chance::new(7);
        let loads: Vec<f64> = (0..14 * 1440).map(|t| load(t, &mut chance)).collect();
        let mut model = LoadModel::new(60.0, &[horizon]);
        let (mut above, mut all) = ([0.0; 3], 0.0);
        for t in 0..loads.len() - horizon {
            model.add(loads[t]);
            let Some((_, outlook)) = model.outlooks().next().filter(|_| t > 2880) else { continue };
            for (share, p) in above.iter_mut().zip([0.5, 0.9, 0.99]) {
                *share += if loads[t + horizon] > outlook.quantile(p) { 1.0 } else { 0.0 };
            }
            all += 1.0;
        }
        above.map(|a| a / all)
    }

    #[test]
    fn quantiles_hold_as_often_as_they_say() {
        let wave = |t: usize| 1.5 + (t as f64 / 1440.0 * std::f64::consts::TAU).sin();
        let noisy = |t: usize, chance: &mut Chance| 100.0 * wave(t) * (0.2 * chance.normal()).exp();
        for horizon in [2, 11] {
            let [half, tenth, hundredth] = shares_above(noisy, horizon);
            assert!((half - 0.5).abs() < 0.03, "{half}");
            assert!((tenth - 0.1).abs() < 0.015, "{tenth}");
            assert!((hundredth - 0.01).abs() < 0.004, "{hundredth}");
        }
    }

    #[test]
    fn what_happens_on_the_hour_is_foreseen() {
        let load = |t: usize| if t % 60 < 5 { 300.0 } else { 100.0 };
        let mut model = LoadModel::new(60.0, &[3]);
        (0..5 * 1440).for_each(|t| model.add(load(t)));
        for t in 5 * 1440..5 * 1440 + 120 {
            model.add(load(t));
            let said = model.outlooks().next().map_or(0.0, |(_, o)| o.expected());
            assert!((said / load(t + 3) - 1.0).abs() < 0.3, "{t}: {said}");
        }
    }

    #[test]
    fn quantile_and_probability_agree() {
        let mut model = LoadModel::new(60.0, &[1]);
        let mut chance = Chance::new(1);
        (0..500).for_each(|_| model.add(50.0 + 10.0 * chance.normal()));
        let Some((_, outlook)) = model.outlooks().next() else { unreachable!() };
        for p in [0.05, 0.5, 0.9, 0.99] {
            let back = outlook.probability_as_seen(outlook.quantile(p));
            assert!((back - (1.0 - p)).abs() < 0.01, "{p}: {back}");
        }
    }

    #[test]
    fn bad_input_gives_numbers() {
        let spikes: Vec<f64> = (0..3000).map(|t| if t % 97 == 0 { 1e308 } else { 1e-300 }).collect();
        let gaps: Vec<f64> = (0..3000).map(|t| if t % 3 == 0 { f64::NAN } else { t as f64 }).collect();
        let cases: [&[f64]; 7] =
            [&[1.0], &[0.0; 3000], &[5.0; 3000], &[-1.0; 50], &spikes, &gaps, &[f64::INFINITY, 1.0, f64::NAN]];
        for case in cases {
            let mut model = LoadModel::new(60.0, &[0, 1, 1, 40]);
            case.iter().for_each(|load| model.add(*load));
            let outlooks: Vec<(usize, Outlook)> = model.outlooks().collect();
            assert_eq!(outlooks.iter().map(|o| o.0).collect::<Vec<_>>(), [1, 40]);
            for (_, outlook) in outlooks {
                assert!(outlook.expected().is_finite() && outlook.quantile(0.99) >= outlook.quantile(0.5));
                for level in [0.0, 1.0, 1e300, f64::NAN, f64::INFINITY, -1.0] {
                    assert!((0.0..=1.0).contains(&outlook.probability_above(level)), "{level} {outlook:?}");
                }
            }
        }
        assert_eq!(LoadModel::new(f64::NAN, &[5]).outlooks().count(), 0, "nothing is known before the first load");
    }
}
