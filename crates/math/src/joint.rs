//! Many metrics of one thing, judged together and online.
//!
//! Idea: what the metrics of a healthy server do together is learned as their covariance; a point's surprise is its
//! Mahalanobis distance, so a combination that never was (load without traffic) stands out though each metric is within
//! its own band. The distance is averaged over a few points and over an hour of them (what is sudden, what lasts), and
//! each average is held against a level that it has not passed for as long as one false alarm is allowed in.
//!
//! What keeps it steady: each metric's deviation is cut at [`Settings::cut`] before it is learned or judged, so that no
//! spike rules; a point beyond [`Settings::doubt`] teaches in inverse proportion to its distance, so that trouble is
//! hardly learned as usual and a new state of things is in the end; and averages are of the distance's root, so that
//! what goes on counts more than one peak.
//!
//! Cost: about 1.5 d² multiplications a point of d metrics, and d³/6 every [`REFIT`] points; state d² + 5 d + 30 numbers.
//! Fails on: several regimes that each are healthy (their covariance is that of the mixture), d beyond a few hundred,
//! drifts that last longer than the memory (they are learned), trouble no stranger than the strangest usual hour of the
//! last week (level and budget say so).
//!
//! Sources: the distance is Hotelling's T² ("Multivariate quality control", 1947) with the ridge of Ledoit and Wolf's
//! idea (2004) as a constant share; weights that fall with the distance are those of Maronna's M-estimators of scatter
//! (1976); the average over time is the MEWMA chart's idea applied to the distance (Lowry et al., 1992); a level that
//! moves by what passed it is the idea of adaptive conformal inference (Gibbs and Candès, 2021).

use crate::cholesky;

/// Points between two factorisations of the covariance once it is settled; before, with every eighth more points.
pub const REFIT: u64 = 64;
/// An alarm is over after so many points that are below what began it.
pub const SETTLE: u32 = 20;

/// How a [`Joint`] learns and judges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Points over which is learned; older ones fade. 10,000 is a week at one point a minute.
    pub memory: f64,
    /// Points before anything is judged; beyond it at least two a metric.
    pub warm: f64,
    /// Added to each metric's variance of 1: a combination that never varied counts as if it varied by this much.
    pub ridge: f64,
    /// A metric's deviation counts up to so many of its standard deviations.
    pub cut: f64,
    /// Squared distance per metric (usually about 1) from which on a point teaches less than its full weight.
    pub doubt: f64,
    /// Points over which distances are averaged (exponentially): for what is sudden, and for what lasts.
    pub horizons: [f64; 2],
    /// One false alarm of each horizon in so many points. No alarm is raised before a tenth of it was seen.
    pub budget: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            memory: 10_000.0,
            warm: 60.0,
            ridge: 0.02,
            cut: 5.0,
            doubt: 2.0,
            horizons: [5.0, 60.0],
            budget: 10_080.0,
        }
    }
}

/// What is known of the metrics of one thing. Plain data: [`Joint::save`] and [`Joint::load`] are exact.
#[derive(Clone, Debug, PartialEq)]
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
    /// Each metric's part in the squared distance, averaged over the shorter horizon.
    parts: Vec<f64>,
    watches: [Watch; 2],
    alarm: bool,
    /// Points since the alarm's cause was last there.
    quiet: u32,
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
    /// -log10 of the chance that a usual point is as far away, 0..=300; 0 while it is learned. 0.3 (one in two) is
    /// what is typical, the logarithm of the budget (one point in so many) is what begins an alarm.
    pub surprise: f64,
    /// Squared distance of this point per metric; about 1 when all is as usual.
    pub distance: f64,
    /// Whether there is an alarm: one trouble is one alarm, not a hundred.
    pub alarm: bool,
}

/// One metric's part in the distance of late.
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
            parts: vec![0.0; metrics],
            watches: [Watch::default(); 2],
            alarm: false,
            quiet: 0,
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

    /// One more metric, after those that are there. It counts as expected until it had as many points as all need
    /// before they are judged.
    pub fn add_metric(&mut self) {
        let metrics = self.metrics() + 1;
        for of_metrics in [&mut self.mean, &mut self.variance, &mut self.seen, &mut self.parts] {
            of_metrics.push(0.0);
        }
        for triangle in [&mut self.products, &mut self.factor] {
            triangle.resize(metrics * (metrics + 1) / 2, 0.0);
        }
        self.refit_at = 0;
    }

    /// Writes everything but the settings as whole numbers.
    pub fn save(&self, words: &mut Vec<u64>) {
        let (alarm, quiet) = (u64::from(self.alarm), u64::from(self.quiet));
        words.extend([self.metrics() as u64, self.count, self.refit_at, alarm, quiet]);
        for numbers in self.numbers() {
            words.extend(numbers.iter().map(|number| number.to_bits()));
        }
        self.watches.iter().for_each(|watch| watch.save(words));
    }

    /// Reads back what [`Joint::save`] wrote; none where that is not what the words are.
    pub fn load(settings: Settings, words: &mut impl Iterator<Item = u64>) -> Option<Joint> {
        let metrics = usize::try_from(words.next()?).ok().filter(|metrics| *metrics <= MOST_METRICS)?;
        let mut joint = Joint::new(metrics, settings);
        joint.count = words.next()?;
        joint.refit_at = words.next()?;
        joint.alarm = words.next()? != 0;
        joint.quiet = u32::try_from(words.next()?).ok()?;
        for number in joint.numbers_mut().into_iter().flatten() {
            *number = f64::from_bits(words.next()?);
        }
        for watch in &mut joint.watches {
            watch.load(words)?;
        }
        Some(joint)
    }

    fn numbers(&self) -> [&Vec<f64>; 6] {
        [&self.mean, &self.variance, &self.seen, &self.parts, &self.products, &self.factor]
    }

    fn numbers_mut(&mut self) -> [&mut Vec<f64>; 6] {
        [&mut self.mean, &mut self.variance, &mut self.seen, &mut self.parts, &mut self.products, &mut self.factor]
    }

    /// Takes a point in: one value a metric, not finite where it is missing (then it counts as expected). Judges it by
    /// what came before, then learns from it.
    pub fn observe(&mut self, values: &[f64]) -> Judged {
        self.deviate(values);
        let judged = if self.is_warm() { self.judge() } else { Judged::default() };
        let trust = if judged.distance > self.settings.doubt { self.settings.doubt / judged.distance } else { 1.0 };
        self.learn(values, trust);
        judged
    }

    /// Each metric's part in the distance of the points last observed, largest first.
    pub fn parts(&self) -> Vec<Part> {
        let sum: f64 = self.parts.iter().sum();
        let part = |(metric, own): (usize, &f64)| Part {
            metric,
            share: if sum > 0.0 { own / sum } else { 0.0 },
            expected: self.mean[metric],
            spread: self.variance[metric].sqrt(),
        };
        let mut parts: Vec<Part> = self.parts.iter().enumerate().map(part).collect();
        parts.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.metric.cmp(&b.metric)));
        parts
    }

    fn is_warm(&self) -> bool {
        self.count as f64 >= self.settings.warm.max(2.0 * self.metrics() as f64)
    }

    /// Deviations of the point from the means, in standard deviations, cut. What is too new to be known counts as
    /// expected once others are judged.
    fn deviate(&mut self, values: &[f64]) {
        let cut = self.settings.cut;
        let least = if self.is_warm() { self.settings.warm } else { 1.0 };
        self.scratch.deviation.clear();
        for i in 0..self.mean.len() {
            let value = values.get(i).copied().filter(|v| v.is_finite() && v.abs() < HUGE);
            let deviation = value.filter(|_| self.seen[i] >= least).map_or(0.0, |v| {
                let away = v - self.mean[i];
                let spread = self.variance[i].sqrt();
                // A metric that never moved has no spread: whatever it does is as far away as counts.
                if away.abs() <= TINY * self.mean[i].abs().max(1e-9) { 0.0 } else { (away / spread).clamp(-cut, cut) }
            });
            self.scratch.deviation.push(deviation);
        }
    }

    fn judge(&mut self) -> Judged {
        if self.watches[0].seen == 0.0 {
            (0..self.metrics()).for_each(|metric| self.begin_to_judge(metric));
        }
        if self.count >= self.refit_at {
            self.refit();
        }
        cholesky::solve(&self.factor, &self.scratch.deviation, &mut self.scratch.solved);
        let mut product = 0.0;
        for ((part, a), b) in self.parts.iter_mut().zip(&self.scratch.deviation).zip(&self.scratch.solved) {
            product += a * b;
            *part += ((a * b).max(0.0) - *part) / self.settings.horizons[0];
        }
        let distance = product.max(0.0) / self.metrics().max(1) as f64;
        let mut surprise = 0.0_f64;
        for (watch, horizon) in self.watches.iter_mut().zip(self.settings.horizons) {
            surprise = surprise.max(watch.judge(distance, horizon, &self.settings));
        }
        self.raise();
        self.watches.iter_mut().for_each(|watch| watch.learn(&self.settings));
        Judged { surprise, distance, alarm: self.alarm }
    }

    /// Begins or ends the alarm. It ends by the shorter average even where the longer one began it: that one is slow to
    /// forget, and what is over is over.
    fn raise(&mut self) {
        let mut begins = false;
        for watch in &mut self.watches {
            begins |= watch.begins(&self.settings);
        }
        let now = self.watches[0].figure;
        let goes_on = self.watches.iter().any(|watch| watch.loud && now > watch.began_at);
        self.alarm |= begins;
        self.quiet = if goes_on || begins { 0 } else { self.quiet.saturating_add(1) };
        if self.alarm && self.quiet >= SETTLE {
            self.alarm = false;
            self.watches.iter_mut().for_each(|watch| watch.loud = false);
        }
    }

    /// A metric that hardly moved, or that counted as expected, until it is judged is held to deviate by 1: what it
    /// does first is no more than that.
    fn begin_to_judge(&mut self, metric: usize) {
        let own = &mut self.products[metric * (metric + 1) / 2 + metric];
        *own = own.max(1.0);
        self.refit_at = 0;
    }

    fn refit(&mut self) {
        let diagonal = self.settings.ridge;
        cholesky::factorise(&self.products, self.metrics(), diagonal, &mut self.factor);
        self.refit_at = self.count + (self.count / 8).clamp(1, REFIT);
    }

    fn learn(&mut self, values: &[f64], trust: f64) {
        self.count += 1;
        let weight = trust / (self.count as f64).min(self.settings.memory);
        let mut at = 0;
        for i in 0..self.mean.len() {
            let own = self.scratch.deviation[i];
            for other in &self.scratch.deviation[..=i] {
                self.products[at] += weight * (own * other - self.products[at]);
                at += 1;
            }
            self.learn_metric(i, values.get(i).copied().unwrap_or(f64::NAN), trust);
        }
    }

    /// Mean and variance, from the value cut to where it counts.
    fn learn_metric(&mut self, i: usize, value: f64, trust: f64) {
        if !value.is_finite() || value.abs() >= HUGE {
            return;
        }
        self.seen[i] += 1.0;
        if self.seen[i] == 1.0 {
            self.mean[i] = value;
            return;
        }
        if self.seen[i] == self.settings.warm.ceil() && self.seen[i] < self.count as f64 && self.is_warm() {
            self.begin_to_judge(i);
        }
        let weight = trust / self.seen[i].min(self.settings.memory);
        let mut away = value - self.mean[i];
        if self.variance[i] > 0.0 && self.seen[i] > self.settings.warm {
            let most = self.settings.cut * self.variance[i].sqrt();
            away = away.clamp(-most, most);
        }
        self.mean[i] += weight * away;
        self.variance[i] = (1.0 - weight) * (self.variance[i] + weight * away * away);
    }
}

/// Parts of the budget whose peaks are kept: the level forgets the oldest part as a whole.
const BLOCKS: usize = 7;
/// How far above the level a peak counts, as a logarithm of the distance (a factor of 1.6): trouble raises the level a
/// little, so that what keeps coming back stops being an alarm, but never so far that the next trouble is missed.
const STEP: f64 = 0.5;
/// While less than a budget was seen, the level lies above the highest peak by so much times the logarithm of how often
/// the budget has what was seen.
const GROWTH: f64 = 0.1;
/// Lowest figure.
const FLOOR: f64 = -30.0;
/// Surprise of what is typical: one in two.
const TYPICAL: f64 = 0.3;
/// A level is at least so far above what is typical.
const NARROWEST: f64 = 0.3;

/// One average of the distance, and the level it is held against: the highest it was within the budget, the level
/// itself being as far as a peak counts.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Watch {
    /// Of the distance's root.
    average: f64,
    /// Logarithm of the distance that the average stands for.
    figure: f64,
    /// Mean of the figure.
    typical: f64,
    level: f64,
    /// Highest figure of each part of the budget, as far as it counts.
    peaks: [f64; BLOCKS],
    block: usize,
    /// Points in the present part, and in all.
    in_block: f64,
    seen: f64,
    /// Well below the level again since it last passed it.
    armed: bool,
    /// Passed the level and began or joined the present alarm.
    loud: bool,
    /// The level when that was.
    began_at: f64,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            average: 1.0,
            figure: 0.0,
            typical: 0.0,
            level: 0.0,
            peaks: [FLOOR; BLOCKS],
            block: 0,
            in_block: 0.0,
            seen: 0.0,
            armed: true,
            loud: false,
            began_at: 0.0,
        }
    }
}

impl Watch {
    /// Takes a distance in. Surprise grows with the logarithm of the distance (a Pareto tail), through what is typical
    /// and through the level.
    fn judge(&mut self, distance: f64, horizon: f64, settings: &Settings) -> f64 {
        self.seen += 1.0;
        self.average += (distance.sqrt() - self.average) / horizon;
        self.figure = (2.0 * self.average.max(1e-12).ln()).max(FLOOR);
        if !self.settled(settings) {
            return 0.0;
        }
        let highest = self.peaks.iter().copied().fold(FLOOR, f64::max);
        let unseen = GROWTH * (settings.budget / self.seen).max(1.0).ln();
        self.level = (highest + unseen).max(self.typical + NARROWEST);
        let per_unit = (settings.budget.max(10.0).log10() - TYPICAL) / (self.level - self.typical);
        (TYPICAL + per_unit * (self.figure - self.typical)).clamp(0.0, 300.0)
    }

    /// Averages begin at a guess: the first points of the longer horizon count nowhere.
    fn settled(&self, settings: &Settings) -> bool {
        self.seen > settings.horizons[1] + 1.0
    }

    /// Whether an alarm begins here.
    fn begins(&mut self, settings: &Settings) -> bool {
        let above = self.settled(settings) && self.figure > self.level;
        // Well below the level, half way to what is typical, so that what decays does not begin again and again.
        self.armed |= !above && self.figure < 0.5 * (self.level + self.typical);
        let begins = above && self.armed && !self.loud && self.seen > settings.budget / 10.0;
        if begins {
            (self.loud, self.armed, self.began_at) = (true, false, self.level);
        }
        begins
    }

    fn learn(&mut self, settings: &Settings) {
        self.typical += (self.figure - self.typical) / self.seen.min(settings.memory);
        if self.seen > settings.horizons[1] {
            let quiet = self.armed && !self.loud;
            let counts_to = if quiet { self.level } else { self.began_at } + STEP;
            let calibrates = self.seen <= settings.budget / 10.0;
            let counts = if calibrates { self.figure } else { self.figure.min(counts_to) };
            self.peaks[self.block] = self.peaks[self.block].max(counts);
        }
        self.in_block += 1.0;
        if self.in_block >= settings.budget / BLOCKS as f64 {
            self.in_block = 0.0;
            self.block = (self.block + 1) % BLOCKS;
            self.peaks[self.block] = FLOOR;
        }
    }
}

impl Watch {
    fn save(&self, words: &mut Vec<u64>) {
        let numbers = [self.average, self.figure, self.typical, self.level, self.in_block, self.seen, self.began_at];
        words.extend(numbers.iter().chain(&self.peaks).map(|number| number.to_bits()));
        words.extend([self.block as u64, u64::from(self.armed), u64::from(self.loud)]);
    }

    fn load(&mut self, words: &mut impl Iterator<Item = u64>) -> Option<()> {
        let numbers = [
            &mut self.average,
            &mut self.figure,
            &mut self.typical,
            &mut self.level,
            &mut self.in_block,
            &mut self.seen,
            &mut self.began_at,
        ];
        for number in numbers.into_iter().chain(&mut self.peaks) {
            *number = f64::from_bits(words.next()?);
        }
        self.block = usize::try_from(words.next()?).ok().filter(|block| *block < BLOCKS)?;
        self.armed = words.next()? != 0;
        self.loud = words.next()? != 0;
        Some(())
    }
}

/// Saved words that claim more metrics than this are not read.
const MOST_METRICS: usize = 4096;
/// Values beyond it count as missing: their squares would not be numbers.
const HUGE: f64 = 1e120;
/// Relative difference that is rounding.
const TINY: f64 = 1e-12;

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
        taught_with(points, Settings::default())
    }

    fn taught_with(points: usize, settings: Settings) -> (Joint, u64) {
        let (mut joint, mut state) = (Joint::new(3, settings), 7);
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
        let (mut joint, mut state) = taught_with(5000, Settings { budget: 1000.0, ..Settings::default() });
        let (mut alarms, mut before) = (0, false);
        for _ in 0..20_000 {
            let now = joint.observe(&healthy(&mut state)).alarm;
            alarms += usize::from(now && !before);
            before = now;
        }
        assert!((2..=40).contains(&alarms), "{alarms} alarms where 20 are allowed");
    }

    #[test]
    fn a_trouble_is_one_alarm_that_ends_soon_after_it() {
        let (mut joint, mut state) = taught(3000);
        let mut flags = Vec::new();
        for i in 0..700 {
            let mut values = healthy(&mut state);
            if (100..300).contains(&i) {
                values[1] = 400.0 - values[1];
            }
            flags.push(joint.observe(&values).alarm);
        }
        let begins: Vec<usize> = (1..700).filter(|i| flags[*i] && !flags[i - 1]).collect();
        assert!(begins.len() == 1 && (100..110).contains(&begins[0]), "{begins:?}");
        let last = flags.iter().rposition(|flag| *flag).unwrap();
        assert!((300..360).contains(&last), "{last}");
    }

    #[test]
    fn what_keeps_coming_back_stops_being_an_alarm_and_a_new_state_is_learned_in_the_end() {
        let (mut joint, mut state) = taught(3000);
        let (mut alarms, mut before) = ([0, 0], false);
        for i in 0..6000 {
            let mut values = healthy(&mut state);
            if i % 200 < 20 {
                values[1] += 30.0;
            }
            let now = joint.observe(&values).alarm;
            alarms[i / 3000] += usize::from(now && !before);
            before = now;
        }
        assert!(alarms[0] >= 1 && alarms[1] <= 1, "{alarms:?}");
        let (mut joint, mut state) = taught(3000);
        let mut last = Judged::default();
        for i in 0..9000 {
            let mut values = healthy(&mut state);
            values[1] += 40.0;
            last = joint.observe(&values);
            assert!(i != 20 || last.alarm);
        }
        assert!(!last.alarm && last.distance < 2.0, "{last:?}");
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
        let mut words = Vec::new();
        joint.save(&mut words);
        let mut back = Joint::load(Settings::default(), &mut words.iter().copied()).unwrap();
        assert!(Joint::load(Settings::default(), &mut words[..words.len() - 1].iter().copied()).is_none());
        assert!(Joint::load(Settings::default(), &mut [u64::MAX; 50].into_iter()).is_none());
        for _ in 0..100 {
            let values = healthy(&mut state);
            assert_eq!(joint.observe(&values), back.observe(&values));
        }
        assert_eq!(joint, back);
    }

    #[test]
    fn a_metric_that_joins_later_is_no_trouble_and_counts_in_time() {
        let (mut joint, mut state) = taught(2000);
        joint.add_metric();
        for i in 0..3000 {
            let [load, follows, falls] = healthy(&mut state);
            let judged = joint.observe(&[load, follows, falls, 7.0 + load * 0.1]);
            assert!(judged.surprise < 5.0 && judged.distance < 12.0, "{i} {judged:?}");
        }
        let [load, follows, falls] = healthy(&mut state);
        let odd = (0..10).map(|_| joint.observe(&[load, follows, falls, 30.0 - load * 0.1])).last().unwrap();
        assert!(odd.alarm, "{odd:?}");
        assert_eq!(joint.parts()[0].metric, 3);
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
        assert!((0..30_000).all(|_| !constant.observe(&[3.0, f64::NAN]).alarm));
    }
}
