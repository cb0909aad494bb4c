//! Whether the mean of a stream of bounded values has changed, said while it runs: the errors of a model, a share, a
//! score; through ranks any real value.
//!
//! Idea: a bet against "the mean is still at most what it was". A value x in 0..=1 multiplies a stake by
//! `(1 + (r - 1) x) / (1 + (r - 1) m)`, which nobody can win by on average while the mean is at most `m`, whatever the
//! distribution; on 0/1 it is the likelihood ratio of odds that are `r` times as high. A fresh stake of 1 is laid at
//! each row, because a change may begin at any (Shiryaev 1963, Roberts 1966), and the sum of all stakes is averaged
//! over several `r` ([`ODDS`]), so that small and large changes are both found. While nothing changes, the sum less the
//! number of rows is a game that cannot be won, so on average at least [`Settings::rows_per_false`] rows pass until
//! it reaches that number: the one threshold there is has a meaning and is not tuned. (Shin, Ramdas, Rinaldo,
//! "E-detectors", arXiv 2203.03532, 2022; Waudby-Smith, Ramdas, "Estimating means of
//! bounded random variables by betting", JRSS-B 2024.)
//!
//! `m` is not known but estimated from the rows since the last change, and moved by [`SLACK`] standard errors to the
//! safe side. A direction that is not watched restarts that estimate in silence, so that a model that learns is held
//! against what it has come to, not against its beginnings.
//!
//! Cost: about 30 ns a value, [`Detector`] some 450 bytes, whatever the length of the stream. Fails on: values that
//! depend on one another (a burst of errors is taken for a change; the promise about false alarms needs each row to be
//! unpredictable from those before), a change within [`Settings::settle`] rows of the last, a mean that moves by less
//! than half of the least odds, and a drift so slow that the estimate follows it.

use serde::{Deserialize, Serialize};

/// Odds ratios that are bet on. The least is the least change that matters: half as many errors again for a good
/// model; a change of less than half of it wins nothing on average, which is also what protects against the estimate
/// of the mean being off. Each next one is about twice as high: in between a bet loses little.
pub const ODDS: [f64; 6] = [1.5, 2.0, 4.0, 8.0, 16.0, 32.0];
/// Standard errors by which the estimated mean is moved to the safe side.
pub const SLACK: f64 = 1.0;
/// Rows of a new level, at least, before changes in either direction are looked for.
const KNOWN_MIN: f64 = 30.0;
/// Values that make up the scale of ranks.
const RANKS: usize = 128;

/// Which changes are said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Watch {
    /// Only a mean that rises: errors.
    Rises,
    /// Only a mean that falls: a share of what is right.
    Falls,
    /// Both.
    Both,
}

/// Which way a mean went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// It is higher now.
    Up,
    /// It is lower now.
    Down,
}

/// What a detector may do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Rows to a false alarm on average, at least. 100,000 by default: at a prediction a second about one a day.
    pub rows_per_false: f64,
    /// Rows after the start and after a change in which nothing is said: a change takes time to be complete, and what
    /// is usual now must be known first. 1,000 by default: a rate of one in ten is then known to a fifth of it (two
    /// standard errors).
    pub settle: u32,
    /// Which changes are said.
    pub watch: Watch,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { rows_per_false: 100_000.0, settle: 1000, watch: Watch::Both }
    }
}

/// A change that was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The row, from 0 on, from which on the values speak for it.
    pub since: u64,
    /// The row at which it was found.
    pub at: u64,
    /// Which way.
    pub direction: Direction,
    /// The mean before.
    pub before: f64,
    /// The mean since then.
    pub after: f64,
}

/// The memory of one stream of values in 0..=1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    settings: Settings,
    /// Rows taken.
    rows: u64,
    /// Rows that are waited for until something is said.
    quiet: u32,
    /// Rows of the present level and the sum of their values.
    known: f64,
    sum: f64,
    up: [Bet; ODDS.len()],
    down: [Bet; ODDS.len()],
}

/// What was won on one odds ratio, by all stakes together and by the best one, which is the likeliest start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Bet {
    won: f64,
    best: f64,
    /// Row at which the best stake was laid, and the sum of values from it on.
    since: u64,
    sum: f64,
}

impl Default for Detector {
    fn default() -> Detector {
        Detector::new(Settings::default())
    }
}

impl Detector {
    /// A detector that has seen nothing.
    pub fn new(settings: Settings) -> Detector {
        let (up, down) = ([Bet::default(); ODDS.len()], [Bet::default(); ODDS.len()]);
        Detector { settings, rows: 0, quiet: settings.settle, known: 0.0, sum: 0.0, up, down }
    }

    /// Takes the next value; outside 0..=1 it counts as the nearer end, and no number says nothing and is no row.
    pub fn push(&mut self, value: f64) -> Option<Change> {
        if value.is_nan() {
            return None;
        }
        let value = value.clamp(0.0, 1.0);
        let change = if self.known >= KNOWN_MIN { self.judge(value) } else { None };
        self.rows += 1;
        self.quiet = self.quiet.saturating_sub(1);
        if change.is_none() {
            self.known += 1.0;
            self.sum += value;
        }
        change.filter(|c| self.settings.watch.says(c.direction))
    }

    /// The mean that is usual now; one half before the first value.
    pub fn mean(&self) -> f64 {
        (self.sum + 0.5) / (self.known + 1.0)
    }

    /// Rows taken.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How much speaks for a change: 0 nothing, 1 the alarm, in equal steps of how rare it is.
    pub fn evidence(&self) -> f64 {
        let most = average(&self.up).max(average(&self.down));
        (most.max(1.0).ln() / self.threshold().ln()).min(1.0)
    }

    fn judge(&mut self, value: f64) -> Option<Change> {
        let mean = self.mean();
        let slack = SLACK * (mean * (1.0 - mean) / self.known).sqrt();
        let (high, low) = ((mean + slack).min(1.0), (mean - slack).max(0.0));
        let both = [(Direction::Up, value, high), (Direction::Down, 1.0 - value, 1.0 - low)];
        for (direction, x, safe_mean) in both {
            let is_said = self.settings.watch.says(direction);
            if is_said && self.quiet > 0 {
                continue;
            }
            let bets = if direction == Direction::Up { &mut self.up } else { &mut self.down };
            stake(bets, x, safe_mean, value, self.rows);
            if average(bets) >= self.threshold() {
                return Some(self.change(direction, mean, is_said));
            }
        }
        None
    }

    fn threshold(&self) -> f64 {
        let directions = if self.settings.watch == Watch::Both { 2.0 } else { 1.0 };
        directions * self.settings.rows_per_false.max(2.0)
    }

    /// Says the change and begins anew: from its start on where it is not said, from here on where it is.
    fn change(&mut self, direction: Direction, before: f64, is_said: bool) -> Change {
        let bets = if direction == Direction::Up { &self.up } else { &self.down };
        let best = bets.iter().copied().reduce(|a, b| if b.best > a.best { b } else { a }).unwrap_or_default();
        let rows = (self.rows + 1 - best.since) as f64;
        let after = best.sum / rows;
        (self.known, self.sum) = if is_said { (0.0, 0.0) } else { (rows, best.sum) };
        self.quiet = if is_said { self.settings.settle } else { self.quiet };
        (self.up, self.down) = ([Bet::default(); ODDS.len()], [Bet::default(); ODDS.len()]);
        Change { since: best.since, at: self.rows, direction, before, after }
    }
}

impl Watch {
    fn says(self, direction: Direction) -> bool {
        match self {
            Watch::Rises => direction == Direction::Up,
            Watch::Falls => direction == Direction::Down,
            Watch::Both => true,
        }
    }
}

/// Plays one row on each odds ratio: the stakes so far and a fresh one.
fn stake(bets: &mut [Bet; ODDS.len()], x: f64, mean: f64, value: f64, row: u64) {
    for (bet, odds) in bets.iter_mut().zip(ODDS) {
        if bet.best <= 1.0 {
            *bet = Bet { won: bet.won, best: 1.0, since: row, sum: 0.0 };
        }
        let times = (1.0 + (odds - 1.0) * x) / (1.0 + (odds - 1.0) * mean);
        (bet.won, bet.best) = ((1.0 + bet.won) * times, bet.best * times);
        bet.sum += value;
    }
}

fn average(bets: &[Bet; ODDS.len()]) -> f64 {
    bets.iter().map(|b| b.won).sum::<f64>() / ODDS.len() as f64
}

/// The same for real values of any scale: each is replaced by its rank, 0..=1, among the first [`RANKS`] ones, so that
/// a shift is one of the mean rank and no outlier counts more than another. Fails on a change of spread alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankDetector {
    scale: Vec<f64>,
    detector: Detector,
}

impl RankDetector {
    /// A detector that has seen nothing.
    pub fn new(settings: Settings) -> RankDetector {
        RankDetector { scale: Vec::with_capacity(RANKS), detector: Detector::new(settings) }
    }

    /// Takes the next value. Means in a [`Change`] are mean ranks; its rows count from the first value.
    pub fn push(&mut self, value: f64) -> Option<Change> {
        if value.is_nan() {
            return None;
        }
        if self.scale.len() < RANKS {
            let at = self.scale.partition_point(|known| *known < value);
            self.scale.insert(at, value);
            return None;
        }
        let shift = RANKS as u64;
        let change = self.detector.push(self.rank(value))?;
        Some(Change { since: change.since + shift, at: change.at + shift, ..change })
    }

    /// The share of the scale below a value; of equals half counts.
    fn rank(&self, value: f64) -> f64 {
        let below = self.scale.partition_point(|known| *known < value);
        let up_to = self.scale.partition_point(|known| *known <= value);
        (below + up_to) as f64 / (2 * RANKS) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(seed: &mut u64) -> f64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((*seed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn errors() -> Settings {
        Settings { watch: Watch::Rises, ..Settings::default() }
    }

    /// Changes in `rows` draws of 0 and 1 with a rate by row.
    fn changes(settings: Settings, seed: u64, rows: u64, rate: impl Fn(u64) -> f64) -> Vec<Change> {
        let (mut detector, mut seed) = (Detector::new(settings), seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
        (0..rows).filter_map(|row| detector.push(f64::from(u8::from(uniform(&mut seed) < rate(row))))).collect()
    }

    #[test]
    fn one_row_by_hand() {
        // Two to one on x = 1 at a mean of one half: 2 / 1.5; on x = 0: 1 / 1.5. A fresh stake of 1 joins each row.
        let mut bets = [Bet::default(); ODDS.len()];
        stake(&mut bets, 1.0, 0.5, 1.0, 0);
        assert!((bets[1].won - 4.0 / 3.0).abs() < 1e-12);
        stake(&mut bets, 0.0, 0.5, 0.0, 1);
        assert!((bets[1].won - (1.0 + 4.0 / 3.0) / 1.5).abs() < 1e-12);
        assert_eq!((bets[1].since, bets[1].sum), (0, 1.0));
    }

    /// The promise: with 20,000 rows a false alarm, 2 million rows without a change have at most 100 (here with room
    /// for the estimated mean), at any rate and in any shape of values.
    #[test]
    fn false_alarms_are_as_rare_as_was_asked_for() {
        for watch in [Watch::Rises, Watch::Both] {
            let settings = Settings { rows_per_false: 20_000.0, watch, ..Settings::default() };
            for rate in [0.001, 0.01, 0.1, 0.3, 0.5, 0.9] {
                let found: usize = (0..20).map(|seed| changes(settings, seed, 100_000, |_| rate).len()).sum();
                println!("{watch:?} {rate}: {found} of 100 that were allowed");
                assert!(found <= 100, "{watch:?} {rate}: {found}");
            }
        }
    }

    #[test]
    fn a_jump_is_found_soon_with_its_start_and_size() {
        for (after, most) in [(0.2, 230.0), (0.4, 40.0), (0.85, 14.0)] {
            let (mut delay, mut off, mut early) = (0.0, 0.0, 0);
            for seed in 0..50 {
                let found = changes(errors(), seed, 12_000, |row| if row < 10_000 { 0.1 } else { after });
                early += found.len() - 1;
                let change = found[found.len() - 1];
                delay += (change.at as f64 - 9_999.0) / 50.0;
                off += change.since.abs_diff(10_000) as f64 / 50.0;
                assert!(change.direction == Direction::Up && (change.before - 0.1).abs() < 0.02, "{change:?}");
            }
            println!("0.1 to {after}: found after {delay:.0} rows, its start off by {off:.0}, {early} early");
            // Half a million rows without a change: five false alarms are what was allowed.
            assert!(delay <= most && off <= delay / 2.0 + 5.0 && early <= 5, "to {after}: {delay}, {off}, {early}");
        }
    }

    #[test]
    fn what_is_not_watched_restarts_the_estimate_in_silence() {
        // It learns until row 5,000; the rise to a level that is still below the first one is found.
        let rate = |row: u64| [0.5, 0.1, 0.25][usize::from(row >= 5000) + usize::from(row >= 10_000)];
        let found = changes(errors(), 3, 12_000, rate);
        assert!(found.len() == 1 && found[0].at < 10_200, "{found:?}");
        let both = changes(Settings::default(), 3, 12_000, rate);
        let ways: Vec<Direction> = both.iter().map(|c| c.direction).collect();
        assert_eq!(ways, [Direction::Down, Direction::Up], "{both:?}");
    }

    #[test]
    fn real_values_of_any_scale() {
        for scale in [1e-9, 1.0, 1e12] {
            let (mut detector, mut seed) = (RankDetector::new(Settings::default()), 5);
            let heavy =
                |row: u64, seed: &mut u64| scale * (uniform(seed).powf(-1.5) + if row < 8000 { 0.0 } else { 3.0 });
            let found: Vec<Change> = (0..9000).filter_map(|row| detector.push(heavy(row, &mut seed))).collect();
            let [change] = found[..] else { panic!("{found:?}") };
            assert!(change.direction == Direction::Up && (8000..8100).contains(&change.at), "{change:?}");
            assert!(change.since.abs_diff(8000) < 60, "{change:?}");
        }
    }

    #[test]
    fn odd_input_says_nothing_and_a_state_that_is_kept_goes_on() {
        let mut detector = Detector::default();
        let odd = [f64::NAN, 0.5, f64::NAN, 0.5];
        assert!(odd.repeat(3000).into_iter().all(|v| detector.push(v).is_none()));
        assert_eq!((detector.rows(), (detector.mean() * 100.0).round()), (6000, 50.0));
        assert!((0..100_000).all(|_| Detector::default().push(f64::INFINITY).is_none()));
        let mut ranks = RankDetector::new(Settings::default());
        for v in [f64::NAN, f64::INFINITY, 1e308, -1e308, f64::NEG_INFINITY].repeat(2000) {
            assert!(ranks.push(v).is_none());
        }
        let mut constant = Detector::default();
        assert!((0..200_000).all(|_| constant.push(0.0).is_none()) && constant.evidence() < 1.0);
    }
}
