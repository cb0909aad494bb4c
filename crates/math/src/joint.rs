//! Many metrics of one thing, judged together and online.
//!
//! Idea: what the metrics of a healthy server do together is learned as their covariance; a point's surprise is its
//! Mahalanobis distance, so a combination that never was (load without traffic) stands out though each metric is within
//! its own band. Each metric's deviation is cut at [`Settings::cut`] before it is learned or judged, so that no single
//! spike rules, the distance is averaged over the last points (trouble lasts, noise does not), and its tail probability
//! is read from the distribution of the same figure in the thing's own past, continued beyond it by a Pareto tail.
//!
//! Cost: about 1.5 d² multiplications a point of d metrics, and d³/6 every [`REFIT`] points; state d² + d + 256 numbers.
//! Fails on: several regimes that each are healthy (their covariance is that of the mixture), d beyond a few hundred,
//! drifts that last longer than the memory (they are learned).
//!
//! Sources: the distance is Hotelling's T² ("Multivariate quality control", 1947) with the ridge of Ledoit and Wolf's
//! idea (2004) as a constant share; the average over time is the MEWMA chart's idea applied to the distance (Lowry et
//! al., 1992); the tail is Hill's estimator (1975).

use serde::{Deserialize, Serialize};

/// Points between two factorisations of the covariance once it is settled; before, with every eighth more points.
pub const REFIT: u64 = 64;

/// How a [`Joint`] learns and judges.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Points over which is learned; older ones fade. 10,000 is a week at one point a minute.
    pub memory: f64,
    /// Points before anything is judged; beyond it at least two a metric.
    pub warm: f64,
    /// Added to each metric's variance of 1: a combination that never varied counts as if it varied by this much.
    pub ridge: f64,
    /// A metric's deviation counts up to so many of its standard deviations.
    pub cut: f64,
    /// Points over which distances are averaged (exponentially).
    pub horizon: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { memory: 10_000.0, warm: 60.0, ridge: 0.01, cut: 10.0, horizon: 20.0 }
    }
}

/// What is known of the metrics of one thing. Plain data: reads back exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joint {
    settings: Settings,
    count: u64,
    mean: Vec<f64>,
    variance: Vec<f64>,
    /// How many points each metric has had.
    seen: Vec<f64>,
    /// Lower triangle by rows: mean products of the deviations, in standard deviations.
    products: Vec<f64>,
    /// Its Cholesky factor as of the last refit.
    factor: Vec<f64>,
    refit_at: u64,
    average: f64,
    past: Past,
    #[serde(skip)]
    scratch: Scratch,
}

/// Room to work in; says nothing about the past.
#[derive(Clone, Debug, Default)]
struct Scratch {
    deviation: Vec<f64>,
    solved: Vec<f64>,
}

impl PartialEq for Scratch {
    fn eq(&self, _: &Scratch) -> bool {
        true
    }
}

/// The verdict on one point.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Judged {
    /// -log10 of the tail probability of the averaged distance, 0..=300; 0 while it is learned.
    pub surprise: f64,
    /// Squared distance of this point per metric; about 1 when all is as usual.
    pub distance: f64,
}

/// One metric's part in a point's distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Index of the metric.
    pub metric: usize,
    /// Its share, 0..=1.
    pub share: f64,
    /// What was expected of it: its mean so far.
    pub expected: f64,
    /// Its standard deviation so far.
    pub spread: f64,
}

impl Joint {
    /// For so many metrics.
    pub fn new(metrics: usize, settings: Settings) -> Joint {
        let triangle = metrics * (metrics + 1) / 2;
        Joint {
            settings,
            count: 0,
            mean: vec![0.0; metrics],
            variance: vec![0.0; metrics],
            seen: vec![0.0; metrics],
            products: vec![0.0; triangle],
            factor: vec![0.0; triangle],
            refit_at: 0,
            average: 1.0,
            past: Past::default(),
            scratch: Scratch::default(),
        }
    }

    /// Number of metrics.
    pub fn metrics(&self) -> usize {
        self.mean.len()
    }

    /// Points taken in.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Takes a point in: one value a metric, not finite where it is missing (then it counts as expected). Judges it by
    /// what came before, then learns from it.
    pub fn observe(&mut self, values: &[f64]) -> Judged {
        self.deviate(values);
        let warm = self.count as f64 >= self.settings.warm.max(2.0 * self.metrics() as f64);
        let judged = if warm { self.judge() } else { Judged::default() };
        self.learn(values);
        judged
    }

    /// Each metric's part in the distance of the point last observed, largest first.
    pub fn parts(&self) -> Vec<Part> {
        let products = self.scratch.deviation.iter().zip(&self.scratch.solved).map(|(a, b)| (a * b).max(0.0));
        let products: Vec<f64> = products.collect();
        let sum: f64 = products.iter().sum();
        let part = |(metric, product): (usize, &f64)| Part {
            metric,
            share: if sum > 0.0 { product / sum } else { 0.0 },
            expected: self.mean[metric],
            spread: self.variance[metric].sqrt(),
        };
        let mut parts: Vec<Part> = products.iter().enumerate().map(part).collect();
        parts.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.metric.cmp(&b.metric)));
        parts
    }

    /// Deviations of the point from the means, in standard deviations, cut.
    fn deviate(&mut self, values: &[f64]) {
        let cut = self.settings.cut;
        self.scratch.deviation.clear();
        for i in 0..self.mean.len() {
            let value = values.get(i).copied().filter(|v| v.is_finite() && v.abs() < HUGE);
            let deviation = value.filter(|_| self.seen[i] >= 1.0).map_or(0.0, |v| {
                let away = v - self.mean[i];
                let spread = self.variance[i].sqrt();
                // A metric that never moved has no spread: whatever it does is as far away as counts.
                if away.abs() <= TINY * self.mean[i].abs().max(1e-9) { 0.0 } else { (away / spread).clamp(-cut, cut) }
            });
            self.scratch.deviation.push(deviation);
        }
    }

    fn judge(&mut self) -> Judged {
        if self.count >= self.refit_at {
            self.refit();
        }
        solve(&self.factor, &self.scratch.deviation, &mut self.scratch.solved);
        let product: f64 = self.scratch.deviation.iter().zip(&self.scratch.solved).map(|(a, b)| a * b).sum();
        let distance = product.max(0.0) / self.metrics().max(1) as f64;
        self.average += (distance - self.average) / self.settings.horizon;
        let figure = self.average.max(1e-12).ln();
        let surprise = self.past.surprise(figure);
        // What is surely trouble is hardly learned as usual, yet a new state of things is in the end.
        let trust = if surprise > DOUBT { 0.1 } else { 1.0 };
        self.past.learn(figure, trust, self.settings.memory);
        Judged { surprise, distance }
    }

    fn refit(&mut self) {
        let diagonal = self.settings.ridge;
        factorise(&self.products, self.metrics(), diagonal, &mut self.factor);
        self.refit_at = self.count + (self.count / 8).clamp(1, REFIT);
    }

    fn learn(&mut self, values: &[f64]) {
        self.count += 1;
        let weight = 1.0 / (self.count as f64).min(self.settings.memory);
        let mut at = 0;
        for i in 0..self.mean.len() {
            let own = self.scratch.deviation[i];
            for other in &self.scratch.deviation[..=i] {
                self.products[at] += weight * (own * other - self.products[at]);
                at += 1;
            }
            self.learn_metric(i, values.get(i).copied().unwrap_or(f64::NAN));
        }
    }

    /// Mean and variance, from the value cut to where it counts.
    fn learn_metric(&mut self, i: usize, value: f64) {
        if !value.is_finite() || value.abs() >= HUGE {
            return;
        }
        self.seen[i] += 1.0;
        if self.seen[i] == 1.0 {
            self.mean[i] = value;
            return;
        }
        let weight = 1.0 / self.seen[i].min(self.settings.memory);
        let mut away = value - self.mean[i];
        if self.variance[i] > 0.0 && self.seen[i] > self.settings.warm {
            let most = self.settings.cut * self.variance[i].sqrt();
            away = away.clamp(-most, most);
        }
        self.mean[i] += weight * away;
        self.variance[i] = (1.0 - weight) * (self.variance[i] + weight * away * away);
    }
}

/// Points that a chance excursion lasts, in horizons.
const EXCURSION: f64 = 0.5;
/// An alarm goes on while the surprise is above this share of what begins one: a chance of about one in five.
const LOW: f64 = 0.3;

/// Turns surprises into alarms that last: one trouble is one alarm, not a hundred.
///
/// An averaged distance that is up by chance stays up for about half a horizon (measured on noise), so one false alarm
/// a budget is a tail probability of half a horizon in the budget. Real metrics leave their past in longer and more
/// frequent excursions than noise: expect two to three times the budget there. An alarm begins there, and ends where the
/// surprise has stayed below a third of that for [`Alarm::SETTLE`] points. Cost: nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    begin: f64,
    on: bool,
    quiet: u32,
}

impl Alarm {
    /// Points below the lower threshold after which an alarm is over.
    pub const SETTLE: u32 = 20;

    /// With a budget of one false alarm in so many points.
    pub fn new(budget_points: f64, settings: &Settings) -> Alarm {
        Alarm { begin: (budget_points / (EXCURSION * settings.horizon)).max(2.0).log10(), on: false, quiet: 0 }
    }

    /// Takes the next point's surprise in; whether there is an alarm now.
    pub fn observe(&mut self, surprise: f64) -> bool {
        if surprise >= self.begin {
            self.on = true;
        }
        self.quiet = if surprise >= self.begin * LOW { 0 } else { self.quiet.saturating_add(1) };
        self.on &= self.quiet < Alarm::SETTLE;
        self.on
    }
}

/// Values beyond it count as missing: their squares would not be numbers.
const HUGE: f64 = 1e120;
/// Relative difference that is rounding.
const TINY: f64 = 1e-12;

/// Cholesky's factor of a packed lower triangle with `ridge` added to its diagonal.
fn factorise(matrix: &[f64], size: usize, ridge: f64, factor: &mut [f64]) {
    for i in 0..size {
        let row = i * (i + 1) / 2;
        for j in 0..=i {
            let other = j * (j + 1) / 2;
            let dot: f64 = factor[row..row + j].iter().zip(&factor[other..other + j]).map(|(a, b)| a * b).sum();
            factor[row + j] = if i == j {
                (matrix[row + i] + ridge - dot).max(ridge * 0.1).sqrt()
            } else {
                (matrix[row + j] - dot) / factor[other + j]
            };
        }
    }
}

/// Solves L Lᵀ x = b.
fn solve(factor: &[f64], b: &[f64], x: &mut Vec<f64>) {
    x.clear();
    for (i, value) in b.iter().enumerate() {
        let row = i * (i + 1) / 2;
        let dot: f64 = factor[row..row + i].iter().zip(&x[..]).map(|(a, b)| a * b).sum();
        x.push((value - dot) / factor[row + i]);
    }
    for i in (0..b.len()).rev() {
        let row = i * (i + 1) / 2;
        x[i] /= factor[row + i];
        let own = x[i];
        for (value, f) in x[..i].iter_mut().zip(&factor[row..row + i]) {
            *value -= own * f;
        }
    }
}

/// A surprise above it teaches the past little.
const DOUBT: f64 = 3.0;

const BINS: usize = 256;
/// The figures that the bins cover: natural logarithms of a distance per metric.
const LOWEST: f64 = -8.0;
const PER_UNIT: f64 = 16.0;
/// The share of the past that makes the tail.
const TAIL: f64 = 0.05;

/// Distribution of a figure in the past: fading counts in bins of 1/16, and the mean excess over the tail's start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Past {
    bins: Vec<f64>,
    sum: f64,
    /// Weight of a new point; grows instead of all others fading, brought back to 1 now and then.
    weight: f64,
    tail_from: f64,
    excess: f64,
    tail_share: f64,
    fresh: u32,
}

impl Default for Past {
    fn default() -> Past {
        Past { bins: vec![0.0; BINS], sum: 0.0, weight: 1.0, tail_from: 0.0, excess: 1.0, tail_share: TAIL, fresh: 0 }
    }
}

impl Past {
    /// -log10 of the share of the past at or above the figure: counted up to the tail, exponential in it (the figure is
    /// a logarithm, so the distance itself has a Pareto tail).
    fn surprise(&self, figure: f64) -> f64 {
        if self.sum <= 0.0 {
            return 0.0;
        }
        if figure >= self.tail_from {
            let beyond = (figure - self.tail_from) / self.excess;
            return (beyond / std::f64::consts::LN_10 - self.tail_share.log10()).clamp(0.0, 300.0);
        }
        let position = place(figure);
        let bin = position as usize;
        let above: f64 = self.bins[bin + 1..].iter().sum();
        let within = self.bins[bin] * (1.0 - position.fract());
        -((above + within) / self.sum).clamp(1e-12, 1.0).log10()
    }

    fn learn(&mut self, figure: f64, trust: f64, memory: f64) {
        self.bins[place(figure) as usize] += self.weight * trust;
        self.sum += self.weight * trust;
        self.weight *= 1.0 + 1.0 / memory;
        self.fresh += 1;
        if self.fresh >= 32 {
            self.fresh = 0;
            self.find_tail();
        }
        if self.weight > 1e6 {
            let scale = 1.0 / self.weight;
            self.bins.iter_mut().for_each(|bin| *bin *= scale);
            self.sum *= scale;
            self.weight = 1.0;
        }
    }

    fn find_tail(&mut self) {
        let (mut above, mut bin) = (0.0, BINS);
        while bin > 0 && above < TAIL * self.sum {
            bin -= 1;
            above += self.bins[bin];
        }
        self.tail_from = LOWEST + bin as f64 / PER_UNIT;
        self.tail_share = above / self.sum;
        let middle = |i: usize| (i - bin) as f64 / PER_UNIT + 0.5 / PER_UNIT;
        let weighted: f64 = (bin..BINS).map(|i| self.bins[i] * middle(i)).sum();
        // A tail of at least a bin's width, so that one bin is no certainty.
        self.excess = (weighted / above).max(1.0 / PER_UNIT);
    }
}

/// Where a figure lies among the bins, 0.. below their number.
fn place(figure: f64) -> f64 {
    ((figure - LOWEST) * PER_UNIT).clamp(0.0, BINS as f64 - 1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise in -1..1 from a seed.
    fn noise(state: &mut u64) -> f64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// Load and what follows from it, with a little noise of its own.
    fn healthy(state: &mut u64) -> [f64; 3] {
        let load = 100.0 + 30.0 * noise(state);
        [load, 2.0 * load + noise(state), 50.0 - 0.2 * load + 0.1 * noise(state)]
    }

    fn taught(points: usize) -> (Joint, u64) {
        let (mut joint, mut state) = (Joint::new(3, Settings::default()), 7);
        for _ in 0..points {
            joint.observe(&healthy(&mut state));
        }
        (joint, state)
    }

    #[test]
    fn a_combination_that_never_was_is_found_though_each_metric_stays_in_its_band() {
        let (mut joint, mut state) = taught(2000);
        let usual = (0..200).map(|_| joint.observe(&healthy(&mut state)).surprise).fold(0.0, f64::max);
        let mut odd = Judged::default();
        for _ in 0..20 {
            let mut values = healthy(&mut state);
            values[1] = 400.0 - values[1];
            odd = joint.observe(&values);
        }
        assert!(odd.surprise > 4.0 && odd.surprise > usual + 1.0, "{usual} {odd:?}");
        let parts = joint.parts();
        assert_eq!(parts[0].metric, 1, "{parts:?}");
        assert!((parts.iter().map(|p| p.share).sum::<f64>() - 1.0).abs() < 1e-9);
        assert!((parts[0].expected - 200.0).abs() < 5.0, "{parts:?}");
    }

    #[test]
    fn false_alarms_keep_to_the_budget() {
        let (mut joint, mut state) = taught(5000);
        let mut alarm = Alarm::new(1000.0, &Settings::default());
        let (mut alarms, mut before) = (0, false);
        for _ in 0..20_000 {
            let now = alarm.observe(joint.observe(&healthy(&mut state)).surprise);
            alarms += usize::from(now && !before);
            before = now;
        }
        assert!((2..=40).contains(&alarms), "{alarms} alarms where 20 are allowed");
    }

    #[test]
    fn what_never_moved_and_moves_is_found() {
        let mut joint = Joint::new(2, Settings::default());
        let mut state = 3;
        for _ in 0..500 {
            assert!(joint.observe(&[noise(&mut state), 4.0]).surprise < 4.0);
        }
        joint.observe(&[0.0, 5.0]);
        assert!(joint.observe(&[0.0, 5.0]).surprise > 3.0);
        assert_eq!(joint.parts()[0].metric, 1);
    }

    #[test]
    fn nothing_but_what_is_kept_matters() {
        let (mut joint, mut state) = taught(300);
        let mut back = joint.clone();
        back.scratch = Scratch::default();
        for _ in 0..100 {
            let values = healthy(&mut state);
            assert_eq!(joint.observe(&values), back.observe(&values));
        }
        assert_eq!(joint, back);
    }

    #[test]
    fn bad_input_gives_numbers() {
        let odd = [f64::NAN, f64::INFINITY, -f64::INFINITY, 1e308, -1e308, 1e119, -1e119, f64::MIN_POSITIVE, 0.0, 5.0];
        for metrics in [0, 1, 3, 40] {
            let mut joint = Joint::new(metrics, Settings::default());
            for i in 0..1000 {
                let values: Vec<f64> = (0..i % (metrics + 2)).map(|k| odd[(i * 7 + k * 3) % odd.len()]).collect();
                let judged = joint.observe(&values);
                assert!((0.0..=300.0).contains(&judged.surprise), "{judged:?}");
                assert!(judged.distance.is_finite());
            }
            assert!(
                joint.parts().iter().all(|p| p.share.is_finite() && p.expected.is_finite() && p.spread.is_finite())
            );
        }
        let mut constant = Joint::new(2, Settings::default());
        let mut alarm = Alarm::new(10_080.0, &Settings::default());
        assert!((0..3000).all(|_| !alarm.observe(constant.observe(&[3.0, f64::NAN]).surprise)));
    }
}
