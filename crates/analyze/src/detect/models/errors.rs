//! Errors of a version as its labels come in, and what they tell about certainty for the time when none do.

use math::drift_stream::{Change, Detector, RankDetector, Settings, Watch};
use math::no_labels::{Chunk, Estimate, Reference};
use serde::{Deserialize, Serialize};
use types::{MINUTE, Time};

/// Labels until a rise can be said: a rate of one in ten is then known to a quarter of it (two standard errors). Half
/// of the detector's own default, since labels are dear; see the test of false alarms.
const SETTLE: u32 = 500;
/// Errors are remembered as sums of so many, and so many sums.
const BLOCK: u32 = 20;
const BLOCKS: usize = 100;
/// Blocks after which it is looked whether errors are back, and the share of the rise that may be left then. 200 labels
/// at a level half as high again as before are below it once in fourteen looks.
const BACK_BLOCKS: u32 = 10;
const BACK_LEFT: f64 = 0.25;
/// Looks in a row at which they are, before it is said.
const BACK_LOOKS: u32 = 2;
/// Labels and time between two points of the chart.
const POINT_LABELS: u32 = 50;
const POINT_NS: i64 = MINUTE;
/// Joined labels that it takes to estimate, and those that are kept.
const LABELLED_MIN: usize = 500;
const LABELLED_MAX: usize = 2000;

/// The errors of one version, in order of their labels' arrival.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Errors {
    stream: Option<Stream>,
    open: Block,
    /// The newest last.
    blocks: Vec<Block>,
    raised: Option<Raised>,
    /// Since the last point of the chart.
    point: Block,
    pointed_ns: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Stream {
    /// Right or wrong.
    Shares(Detector),
    /// By how much a number is off.
    Sizes(RankDetector),
}

/// A rise that is being said.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Raised {
    before: f64,
    /// Of the first labels after it was found: those that made it be found tell too high a mean.
    after: Option<f64>,
    start: i64,
    /// Blocks since then, and looks in a row at which errors were back.
    blocks: u32,
    calm: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Block {
    /// When the first label of it came.
    at: i64,
    count: u32,
    sum: f64,
}

/// What errors came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Turn {
    /// They rose; said once more when the mean since is known better.
    Rose {
        /// Mean before.
        before: f64,
        /// Mean since.
        after: f64,
        /// When the first label that shows it came.
        start: i64,
        /// Labels since then.
        labels: u64,
    },
    /// They are back where they were.
    Back,
}

impl Errors {
    /// Takes an error: 0 or 1, or the distance of a number (`is_size`), which must be finite.
    pub fn push(&mut self, error: f64, is_size: bool, now: Time) -> Option<Turn> {
        if self.stream.as_ref().is_none_or(|s| matches!(s, Stream::Sizes(_)) != is_size) {
            *self = Errors { stream: Some(Stream::new(is_size)), pointed_ns: now.0, ..Errors::default() };
        }
        self.open.add(error, now);
        self.point.add(error, now);
        let change = self.stream.as_mut().and_then(|stream| stream.push(error));
        let turn = change.map(|change| self.rose(&change));
        let has_closed = self.open.count >= BLOCK;
        if has_closed {
            self.blocks.push(std::mem::take(&mut self.open));
            let surplus = self.blocks.len().saturating_sub(BLOCKS);
            self.blocks.drain(..surplus);
        }
        turn.or_else(|| if has_closed { self.look_back() } else { None })
    }

    /// Whether right and wrong is what is counted.
    pub fn is_of_classes(&self) -> bool {
        !matches!(self.stream, Some(Stream::Sizes(_)))
    }

    /// The mean error since the last point of the chart, if there is enough for another.
    pub fn point(&mut self, now: Time) -> Option<f64> {
        if self.point.count < POINT_LABELS || now.0 - self.pointed_ns < POINT_NS {
            return None;
        }
        self.pointed_ns = now.0;
        Some(std::mem::take(&mut self.point).mean())
    }

    fn rose(&mut self, change: &Change) -> Turn {
        let labels = change.at + 1 - change.since;
        let blocks = (labels.saturating_sub(u64::from(self.open.count)).div_ceil(u64::from(BLOCK))) as usize;
        let at = self.blocks.len() - blocks.min(self.blocks.len());
        let (old, new) = self.blocks.split_at(at);
        let since = new.iter().fold(Block::default(), |sum, b| sum.plus(b)).plus(&self.open);
        let (before, after) = match self.stream {
            Some(Stream::Shares(_)) => (change.before, change.after),
            _ => (old.iter().fold(Block::default(), |sum, b| sum.plus(b)).mean(), since.mean()),
        };
        let before = self.raised.map_or(before, |first| first.before);
        let start = self.raised.map_or(since.at, |first| first.start);
        self.raised = Some(Raised { before, after: None, start, blocks: 0, calm: 0 });
        Turn::Rose { before, after, start, labels }
    }

    /// Called once a block: tells the mean after a rise better once it is known, and whether errors are back.
    fn look_back(&mut self) -> Option<Turn> {
        let raised = self.raised.as_mut()?;
        raised.blocks += 1;
        if !raised.blocks.is_multiple_of(BACK_BLOCKS) {
            return None;
        }
        let from = self.blocks.len().saturating_sub(BACK_BLOCKS as usize);
        let last = self.blocks[from..].iter().fold(Block::default(), |sum, b| sum.plus(b));
        let Raised { before, start, .. } = *raised;
        let Some(after) = raised.after else {
            raised.after = Some(last.mean());
            return Some(Turn::Rose { before, after: last.mean(), start, labels: u64::from(last.count) });
        };
        let is_back = last.mean() <= before + BACK_LEFT * (after - before).max(0.0);
        raised.calm = if is_back { raised.calm + 1 } else { 0 };
        if raised.calm < BACK_LOOKS {
            return None;
        }
        self.raised = None;
        Some(Turn::Back)
    }
}

impl Stream {
    fn new(is_size: bool) -> Stream {
        let settings = Settings { watch: Watch::Rises, settle: SETTLE, ..Settings::default() };
        if is_size { Stream::Sizes(RankDetector::new(settings)) } else { Stream::Shares(Detector::new(settings)) }
    }

    fn push(&mut self, error: f64) -> Option<Change> {
        match self {
            Stream::Shares(detector) => detector.push(error),
            Stream::Sizes(detector) => detector.push(error),
        }
    }
}

impl Block {
    fn add(&mut self, error: f64, now: Time) {
        self.at = if self.count == 0 { now.0 } else { self.at };
        self.count += 1;
        self.sum += error;
    }

    fn plus(&self, later: &Block) -> Block {
        let at = if self.count == 0 { later.at } else { self.at };
        Block { at, count: self.count + later.count, sum: self.sum + later.sum }
    }

    fn mean(&self) -> f64 {
        self.sum / f64::from(self.count.max(1))
    }
}

/// How sure the first labelled predictions were, and whether they were right: bits of an `f32`, which read back exactly.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Labelled(Vec<(u32, bool)>);

impl Labelled {
    /// Takes a labelled prediction; what comes after the first 2,000 is no reference any more.
    pub fn take(&mut self, certainty: f32, is_right: bool) {
        if certainty.is_finite() && self.0.len() < LABELLED_MAX {
            self.0.push((certainty.to_bits(), is_right));
        }
    }

    /// Share of them that were right.
    pub fn accuracy(&self) -> f64 {
        self.0.iter().filter(|(_, is_right)| *is_right).count() as f64 / self.0.len().max(1) as f64
    }

    /// The accuracy that the certainty of unlabelled predictions speaks for; `beyond` is the share of rows unlike all of
    /// the reference. `None` where nothing can be told.
    pub fn estimate(&self, certainty: &[f64], beyond: f64, seed: u64) -> Option<Estimate> {
        if self.0.len() < LABELLED_MIN {
            return None;
        }
        let scores: Vec<f64> = self.0.iter().map(|(bits, _)| f64::from(f32::from_bits(*bits))).collect();
        let rights: Vec<bool> = self.0.iter().map(|(_, is_right)| *is_right).collect();
        let reference = Reference::new(&scores, &rights).ok()?;
        // "Positive" is that the class that was predicted is right, so that all rows are predicted to be positive.
        let predicted = vec![true; certainty.len()];
        let chunk = Chunk { scores: certainty, predicted: &predicted, beyond };
        reference.estimate(&chunk, seed).ok().map(|figures| figures.accuracy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(seed: &mut u64) -> f64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((*seed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn turns(rows: u64, seed: u64, is_size: bool, error: impl Fn(u64, f64) -> f64) -> Vec<(u64, Turn)> {
        let (mut errors, mut seed) = (Errors::default(), seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
        let mut push = |row: u64| errors.push(error(row, uniform(&mut seed)), is_size, Time(row as i64));
        (0..rows).filter_map(|row| push(row).map(|turn| (row, turn))).collect()
    }

    /// A million labels without a change: ten false alarms are what was asked for.
    #[test]
    fn false_alarms_are_as_rare_as_promised_although_it_settles_sooner() {
        // A rise is said twice, with one start.
        let alarms = |is_size: bool, error: &dyn Fn(u64, f64) -> f64| -> usize {
            let starts = |seed| {
                let found = turns(100_000, seed, is_size, error);
                let rose = found
                    .iter()
                    .filter_map(|(_, t)| if let Turn::Rose { start, .. } = t { Some(*start) } else { None });
                rose.collect::<std::collections::BTreeSet<i64>>().len()
            };
            (0..10).map(starts).sum()
        };
        for rate in [0.01, 0.1, 0.3] {
            let found = alarms(false, &|_, u| f64::from(u8::from(u < rate)));
            println!("{rate}: {found} false alarms in a million labels");
            assert!(found <= 12, "{rate}: {found}");
        }
        let found = alarms(true, &|_, u| -u.ln());
        println!("sizes: {found} false alarms in a million labels");
        assert!(found <= 12, "sizes: {found}");
    }

    #[test]
    fn errors_that_rise_and_come_back_are_two_turns() {
        let rate = |row: u64| if (3000..5000).contains(&row) { 0.3 } else { 0.1 };
        let found = turns(8000, 5, false, |row, u| f64::from(u8::from(u < rate(row))));
        let [(at, Turn::Rose { before, start, labels, .. }), (_, Turn::Rose { after, .. }), (back, Turn::Back)] =
            found[..]
        else {
            panic!("{found:?}")
        };
        assert!((3000..3100).contains(&at) && (5000..5700).contains(&back), "{found:?}");
        assert!((before - 0.1).abs() < 0.02 && (after - 0.3).abs() < 0.08, "{found:?}");
        assert!(start.abs_diff(3000) < 40 && labels < 120, "{found:?}");
    }

    #[test]
    fn a_rise_that_stays_is_not_said_to_be_over() {
        let mut over = 0;
        for seed in 0..20 {
            let rate = |row: u64| if row >= 3000 { 0.2 } else { 0.1 };
            let mut found = turns(10_000, seed, false, |row, u| f64::from(u8::from(u < rate(row))));
            found.retain(|(row, _)| *row >= 3000);
            assert!(matches!(found[0], (3000..4000, Turn::Rose { .. })), "seed {seed}: {found:?}");
            over += found.iter().filter(|(_, turn)| *turn == Turn::Back).count();
        }
        println!("{over} of 20 rises from .1 to .2 were said to be over within 7,000 labels");
        assert!(over <= 1, "{over}");
    }

    #[test]
    fn sizes_of_errors_are_said_in_their_own_unit() {
        let size = |row: u64, u: f64| 100.0 * u + if row >= 3000 { 60.0 } else { 0.0 };
        let found = turns(4000, 6, true, size);
        let [(at, Turn::Rose { before, .. }), (_, Turn::Rose { after, .. })] = found[..] else { panic!("{found:?}") };
        assert!(at < 3100 && (before - 50.0).abs() < 5.0 && (after - 110.0).abs() < 10.0, "{found:?}");
        assert_eq!(turns(4000, 6, true, |_, _| 0.0), []);
    }
}
