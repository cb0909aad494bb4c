//! How good a model's predictions are while nobody yet knows what was right: from its own scores.
//!
//! Idea: a score that is calibrated says how often its rows are positive, and so how many of the predictions are
//! expected to be right: each row counts as its share of a hit or a miss, and accuracy, precision, recall, F1 and the
//! area under the ROC curve follow from expected counts (confidence-based performance estimation, NannyML 2022; Kivimäki
//! et al., "Confidence-based estimators for predictive performance in model monitoring", JAIR 2025). Calibration is
//! isotonic: the rising step function nearest to the labels of the reference (pool adjacent violators, Ayer et al.
//! 1955; Zadrozny and Elkan, KDD 2002), so that any score that ranks will do, probabilities or not.
//!
//! Intervals hold the realised value in 95 of 100 chunks: labels are drawn from the calibrated shares, which are drawn
//! themselves around what so many rows of the reference could tell.
//!
//! Cost: a sort of the reference once; a sort of a chunk and [`DRAWS`] passes over it, some 10 ms at 5,000 rows. Fails
//! on: a change of what is right for the same inputs (concept drift), which no score shows; inputs unlike all of the
//! reference, of which it says so where it is told; a reference that the model was trained on.

use crate::chance::Chance;

/// Rows of a reference, at least, and of each class in it: below, steps of the calibration rest on single rows.
pub const REFERENCE_MIN: usize = 100;
const CLASS_MIN: usize = 10;
/// Rows of a chunk, at least.
pub const CHUNK_MIN: usize = 30;
/// Share of rows without likeness in the reference, at most: an estimate can be off by all of it.
pub const BEYOND_MOST: f64 = 0.1;
/// Draws of all labels for an interval: the 5th and the 195th of 200 are its ends.
pub const DRAWS: usize = 200;

/// Why nothing can be said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cannot {
    /// Less rows with a finite score than are needed.
    TooFew {
        /// What there is.
        rows: usize,
    },
    /// Nearly all labels of the reference are the same.
    OneClass,
    /// All scores of the reference are the same: they rank nothing.
    Constant,
    /// Too many rows are unlike all of the reference.
    Beyond {
        /// Their share, 0..=1.
        share: f64,
    },
}

/// A figure with the interval that holds the realised one in 95 of 100 chunks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The expected figure.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Figures of a model on some rows; NaN where one is not defined (no positive predicted, one class).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures<T> {
    /// Share of right predictions.
    pub accuracy: T,
    /// Share of positives among those predicted to be.
    pub precision: T,
    /// Share of the positives that are predicted to be.
    pub recall: T,
    /// Harmonic mean of precision and recall.
    pub f1: T,
    /// Chance that a positive has a higher score than a negative.
    pub roc_auc: T,
}

impl<T: Copy> Figures<T> {
    /// All by name, in one order.
    pub fn named(&self) -> [(&'static str, T); 5] {
        [
            ("accuracy", self.accuracy),
            ("precision", self.precision),
            ("recall", self.recall),
            ("f1", self.f1),
            ("roc_auc", self.roc_auc),
        ]
    }
}

/// Rows whose labels are not known.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// The model's scores; high = positive.
    pub scores: &'a [f64],
    /// What was predicted of the same rows.
    pub predicted: &'a [bool],
    /// Share of the rows with an input unlike all of the reference, 0..=1; 0 where that is not known.
    pub beyond: f64,
}

/// What labelled rows tell about scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// Rising by score.
    steps: Vec<Step>,
    lowest: f64,
    highest: f64,
}

/// Scores whose rows are positive equally often.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    /// The highest score in it.
    until: f64,
    positives: f64,
    rows: f64,
}

impl Step {
    fn share(&self) -> f64 {
        self.positives / self.rows
    }

    /// Standard error of the share; half a row of each class keeps it above 0.
    fn error(&self) -> f64 {
        let share = (self.positives + 0.5) / (self.rows + 1.0);
        (share * (1.0 - share) / (self.rows + 1.0)).sqrt()
    }
}

impl Reference {
    /// From scores and labels of the same rows; rows without a finite score are left out.
    pub fn new(scores: &[f64], labels: &[bool]) -> Result<Reference, Cannot> {
        let mut rows: Vec<(f64, bool)> =
            scores.iter().copied().zip(labels.iter().copied()).filter(|r| r.0.is_finite()).collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let positives = rows.iter().filter(|r| r.1).count();
        if rows.len() < REFERENCE_MIN {
            return Err(Cannot::TooFew { rows: rows.len() });
        }
        if positives.min(rows.len() - positives) < CLASS_MIN {
            return Err(Cannot::OneClass);
        }
        let (lowest, highest) = (rows[0].0, rows[rows.len() - 1].0);
        if lowest == highest {
            return Err(Cannot::Constant);
        }
        Ok(Reference { steps: rising_steps(&rows), lowest, highest })
    }

    /// How often rows with this score are positive, 0..=1.
    pub fn calibrated(&self, score: f64) -> f64 {
        self.steps[self.step_of(score)].share()
    }

    /// The figures that are expected of a chunk. `seed` fixes the draws of the intervals.
    pub fn estimate(&self, chunk: &Chunk, seed: u64) -> Result<Figures<Estimate>, Cannot> {
        let rows = chunk.scores.iter().copied().zip(chunk.predicted.iter().copied());
        let mut rows: Vec<(f64, bool)> = rows.filter(|r| r.0.is_finite()).collect();
        if rows.len() < CHUNK_MIN {
            return Err(Cannot::TooFew { rows: rows.len() });
        }
        let outside = rows.iter().filter(|r| r.0 < self.lowest || r.0 > self.highest).count();
        let share = chunk.beyond.max(outside as f64 / rows.len() as f64);
        if share > BEYOND_MOST {
            return Err(Cannot::Beyond { share });
        }
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let steps: Vec<usize> = rows.iter().map(|r| self.step_of(r.0)).collect();
        let expected = |i: usize| self.steps[steps[i]].share();
        let values = figures_of(&rows, expected);
        Ok(with_intervals(values, &self.drawn(&rows, &steps, seed)))
    }

    fn step_of(&self, score: f64) -> usize {
        self.steps.partition_point(|s| s.until < score).min(self.steps.len() - 1)
    }

    /// Figures as labels could turn out to be.
    fn drawn(&self, rows: &[(f64, bool)], steps: &[usize], seed: u64) -> Vec<Figures<f64>> {
        let mut chance = Chance::new(seed);
        let draw = |_| {
            let shares: Vec<f64> = self.steps.iter().map(|s| s.share() + s.error() * chance.normal()).collect();
            let labels: Vec<f64> = steps.iter().map(|s| f64::from(u8::from(chance.uniform() < shares[*s]))).collect();
            figures_of(rows, |i| labels[i])
        };
        (0..DRAWS).map(draw).collect()
    }
}

/// The figures where labels are known; rows without a finite score are left out.
pub fn realised(scores: &[f64], predicted: &[bool], labels: &[bool]) -> Figures<f64> {
    let rows = scores.iter().zip(predicted).zip(labels).filter(|((s, _), _)| s.is_finite());
    let mut rows: Vec<(f64, bool, bool)> = rows.map(|((s, p), l)| (*s, *p, *l)).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let known: Vec<(f64, bool)> = rows.iter().map(|r| (r.0, r.1)).collect();
    figures_of(&known, |i| f64::from(u8::from(rows[i].2)))
}

/// Pool adjacent violators over rows that rise by score; rows of one score stay together.
fn rising_steps(rows: &[(f64, bool)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for same in rows.chunk_by(|a, b| a.0 == b.0) {
        let positives = same.iter().filter(|r| r.1).count() as f64;
        let mut step = Step { until: same[0].0, positives, rows: same.len() as f64 };
        while let Some(before) = steps.pop_if(|before| before.share() >= step.share()) {
            step.positives += before.positives;
            step.rows += before.rows;
        }
        steps.push(step);
    }
    steps
}

/// Figures of rows that rise by score, each positive to the share `positive` (its label, or a calibrated share).
fn figures_of(rows: &[(f64, bool)], positive: impl Fn(usize) -> f64) -> Figures<f64> {
    let (mut hits, mut claimed, mut positives) = (0.0, 0.0, 0.0);
    let (mut ordered, mut below, mut own) = (0.0, 0.0, 0.0);
    let mut start = 0;
    for same in rows.chunk_by(|a, b| a.0 == b.0) {
        let (mut here, mut own_here) = (0.0, 0.0);
        for (i, row) in same.iter().enumerate() {
            let share = positive(start + i);
            here += share;
            own_here += share * (1.0 - share);
            hits += if row.1 { share } else { 0.0 };
            claimed += f64::from(u8::from(row.1));
        }
        // A row is no pair with itself.
        let negatives = same.len() as f64 - here;
        ordered += here * below + 0.5 * (here * negatives - own_here);
        (below, positives, own, start) = (below + negatives, positives + here, own + own_here, start + same.len());
    }
    let count = rows.len() as f64;
    let right = hits + (count - claimed) - (positives - hits);
    Figures {
        accuracy: right / count,
        precision: hits / claimed,
        recall: hits / positives,
        f1: 2.0 * hits / (claimed + positives),
        roc_auc: ordered / (positives * (count - positives) - own),
    }
}

fn with_intervals(values: Figures<f64>, drawn: &[Figures<f64>]) -> Figures<Estimate> {
    let estimate = |value: f64, of: fn(&Figures<f64>) -> f64| {
        let mut known: Vec<f64> = drawn.iter().map(of).filter(|v| v.is_finite()).collect();
        known.sort_by(f64::total_cmp);
        let at = |share: f64| known.get((share * known.len() as f64) as usize).copied().unwrap_or(f64::NAN);
        Estimate { value, low: at(0.025).min(value), high: at(0.975).max(value) }
    };
    Figures {
        accuracy: estimate(values.accuracy, |f| f.accuracy),
        precision: estimate(values.precision, |f| f.precision),
        recall: estimate(values.recall, |f| f.recall),
        f1: estimate(values.f1, |f| f.f1),
        roc_auc: estimate(values.roc_auc, |f| f.roc_auc),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores whose rows are positive with the chance `positive(score)`.
    fn rows(count: usize, seed: u64, high: f64, positive: fn(f64) -> f64) -> (Vec<f64>, Vec<bool>) {
        let mut chance = Chance::new(seed);
        let scores: Vec<f64> = (0..count).map(|_| chance.uniform().powf(high)).collect();
        let labels = scores.iter().map(|s| chance.uniform() < positive(*s)).collect();
        (scores, labels)
    }

    #[test]
    fn figures_of_a_known_example() {
        let (scores, predicted) = ([0.1, 0.4, 0.35, 0.8], [false, false, false, true]);
        // The area of this example is .75 in scikit-learn's documentation.
        let figures = realised(&scores, &predicted, &[false, false, true, true]);
        assert_eq!((figures.roc_auc, figures.accuracy, figures.precision, figures.recall), (0.75, 0.75, 1.0, 0.5));
        assert!((figures.f1 - 2.0 / 3.0).abs() < 1e-12);
        let ties = realised(&[0.5; 4], &[true; 4], &[true, false, true, false]);
        assert_eq!((ties.roc_auc, ties.precision, ties.recall), (0.5, 0.5, 1.0));
        assert!(realised(&[0.5; 4], &[true; 4], &[true; 4]).roc_auc.is_nan());
    }

    #[test]
    fn steps_of_a_known_example() {
        // 1, 0, 1 pooled where they fall: shares 0, 1/2 (of two scores), 1.
        let rows = [(0.1, false), (0.2, true), (0.3, false), (0.4, true)];
        let steps: Vec<(f64, f64)> = rising_steps(&rows).iter().map(|s| (s.until, s.share())).collect();
        assert_eq!(steps, [(0.1, 0.0), (0.3, 0.5), (0.4, 1.0)]);
    }

    #[test]
    fn figures_are_told_from_scores_that_are_off_and_intervals_hold_them() {
        let positive = |s: f64| 0.1 + 0.7 * s * s;
        let (scores, labels) = rows(50_000, 1, 1.0, positive);
        let reference = Reference::new(&scores, &labels).unwrap();
        let (mut inside, mut off) = (0, 0.0);
        for seed in 0..100 {
            // The chunk has other scores than the reference: more high ones.
            let (scores, labels) = rows(2000, 100 + seed, 0.6, positive);
            let predicted: Vec<bool> = scores.iter().map(|s| *s > 0.5).collect();
            let chunk = Chunk { scores: &scores, predicted: &predicted, beyond: 0.0 };
            let said = reference.estimate(&chunk, seed).unwrap().named();
            for ((name, said), (_, is)) in said.iter().zip(realised(&scores, &predicted, &labels).named()) {
                assert!((said.value - is).abs() < 0.06, "{name}: {said:?} for {is}");
                inside += usize::from((said.low..=said.high).contains(&is));
                off += (said.value - is) / 500.0;
            }
        }
        println!("{inside} of 500 inside, off by {off:.5} on average");
        assert!((465..=492).contains(&inside) && off.abs() < 0.003, "{inside} of 500, {off}");
    }

    #[test]
    fn what_cannot_be_told_is_said() {
        let (scores, labels) = rows(1000, 2, 1.0, |s| s);
        assert_eq!(Reference::new(&scores[..50], &labels[..50]), Err(Cannot::TooFew { rows: 50 }));
        assert_eq!(Reference::new(&scores, &[true; 1000]), Err(Cannot::OneClass));
        assert_eq!(Reference::new(&[0.5; 1000], &labels), Err(Cannot::Constant));
        assert_eq!(Reference::new(&[f64::NAN; 1000], &labels), Err(Cannot::TooFew { rows: 0 }));
        let reference = Reference::new(&scores, &labels).unwrap();
        let said = |scores: &[f64], beyond: f64| {
            reference.estimate(&Chunk { scores, predicted: &vec![true; scores.len()], beyond }, 1)
        };
        assert_eq!(said(&[0.5; 10], 0.0), Err(Cannot::TooFew { rows: 10 }));
        assert_eq!(said(&[0.5; 100], 0.4), Err(Cannot::Beyond { share: 0.4 }));
        assert_eq!(said(&[7.0; 100], 0.0), Err(Cannot::Beyond { share: 1.0 }));
        // Constant scores in a chunk rank nothing, which is an area of one half and no reason for silence.
        assert!((said(&[0.5; 100], 0.0).unwrap().roc_auc.value - 0.5).abs() < 1e-9);
        assert_eq!(said(&scores, 0.0), said(&scores, 0.0));
    }
}
