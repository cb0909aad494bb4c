//! How far a value lies above those of a history, as a tail probability, from few values and without a model.

/// Power with which the chance of a distance beyond all that was seen falls.
const TAIL: f64 = 3.0;
/// -log10 of the chance that is given at most.
const MOST: f64 = 300.0;

/// The values of a history, to hold others against.
///
/// Idea: among the values of the past a value's chance is its rank; beyond all of them it falls with the third power
/// of the distance from their middle, a tail so heavy that few measured quantities exceed it. Where the past is one
/// constant there is no distance to measure by, and the chance is a tenth of that of the least rank. Values of windows
/// that overlap are no independent ones: `overlap` of them count as one. Costs a sort, then a binary search a value.
/// Fails on: trends, and what is usual for an hour of the day only.
#[derive(Clone, Debug, Default)]
pub struct Past {
    sorted: Vec<f64>,
    overlap: f64,
}

impl Past {
    /// Takes in the finite ones of `values`, of which `overlap` (at least 1) count as one.
    pub fn new(values: impl IntoIterator<Item = f64>, overlap: usize) -> Past {
        let mut sorted: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        Past { sorted, overlap: overlap.max(1) as f64 }
    }

    /// How many values there are, overlapping ones too.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The value that a share `q` (0..=1) of the past lies at or below; NaN without a past.
    pub fn quantile(&self, q: f64) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get((q.clamp(0.0, 1.0) * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// -log10 of the chance of a value at least as high, 0..=300; 0 where nothing is known or the value is no number.
    pub fn surprise_above(&self, value: f64) -> f64 {
        let (Some(highest), false) = (self.sorted.last(), value.is_nan()) else { return 0.0 };
        let count = self.sorted.len() as f64;
        let as_high = self.sorted.len() - self.sorted.partition_point(|v| *v < value);
        let by_rank = ((count + self.overlap) / (as_high as f64 + self.overlap)).log10();
        if as_high > 0 {
            return by_rank;
        }
        let middle = self.quantile(0.5);
        // Halves keep the differences of huge numbers finite.
        let (reach, away) = (highest / 2.0 - middle / 2.0, value / 2.0 - middle / 2.0);
        let beyond = if reach > 0.0 { TAIL * (away / reach).log10() } else { 1.0 };
        (by_rank + beyond).clamp(0.0, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_within_and_distance_beyond() {
        let past = Past::new((0..99).map(f64::from), 1);
        // 50 of 99 are as high: 51 of 100 with itself.
        assert!((past.surprise_above(49.0) - (100.0_f64 / 51.0).log10()).abs() < 1e-12);
        assert!((past.surprise_above(98.0) - 50.0_f64.log10()).abs() < 1e-12);
        // Just beyond all: one in a hundred; twice as far from the middle: an eighth of that.
        assert!((past.surprise_above(98.0 + 1e-9) - 2.0).abs() < 1e-6);
        assert!((past.surprise_above(49.0 + 98.0) - 2.0 - 8.0_f64.log10()).abs() < 1e-12);
        assert_eq!(past.surprise_above(-5.0), 0.0);
        assert_eq!((past.quantile(0.5), past.quantile(1.0), past.count()), (49.0, 98.0, 99));
    }

    #[test]
    fn overlapping_windows_count_as_fewer() {
        let windows = Past::new((0..300).map(|i| f64::from(i / 3)), 3);
        assert!((windows.surprise_above(99.0) - (303.0_f64 / 6.0).log10()).abs() < 1e-12);
    }

    #[test]
    fn bad_input_is_no_surprise() {
        assert_eq!(Past::default().surprise_above(1.0), 0.0);
        assert!(Past::default().quantile(0.5).is_nan());
        let odd = Past::new([f64::NAN, f64::INFINITY, 1e308, -1e308], 0);
        assert_eq!(odd.count(), 2);
        assert_eq!(odd.surprise_above(f64::NAN), 0.0);
        assert!(odd.surprise_above(f64::INFINITY) <= MOST && odd.surprise_above(f64::MAX).is_finite());
        // A constant past: a tenth of the least rank, however far.
        let constant = Past::new([7.0; 9], 1);
        assert_eq!((constant.surprise_above(7.0), constant.surprise_above(1e9)), (0.0, 2.0));
    }
}
