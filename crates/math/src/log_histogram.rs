//! A histogram of positive values with a fixed relative error, for latencies.
//!
//! Each octave is cut into eight equal parts, so that a quantile is off by at most 6.25 %. Recording is a few bit
//! operations, merging an addition per part. Parts as in Gil Tene, "HdrHistogram" (2012); the guarantee on the
//! relative error of quantiles is that of Masson, Rim and Lee, "DDSketch", VLDB 2019.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Parts of an octave.
const PARTS: u64 = 8;

/// Counts of whole numbers (microseconds, bytes …) in parts that grow with the value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogHistogram {
    counts: Vec<u32>,
    total: u64,
}

impl LogHistogram {
    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        self.record_many(value, 1);
    }

    /// Counts one value `times` times.
    pub fn record_many(&mut self, value: u64, times: u32) {
        let part = part_of(value);
        if part >= self.counts.len() {
            self.counts.resize(part + 1, 0);
        }
        self.counts[part] = self.counts[part].saturating_add(times);
        self.total += u64::from(times);
    }

    /// Adds all counts of another histogram.
    pub fn merge(&mut self, other: &LogHistogram) {
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
        self.total += other.total;
    }

    /// How many values were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The value below which the share `q` (0..=1) of all values lies; 0 of an empty histogram.
    pub fn quantile(&self, q: f64) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        let rank = (q.clamp(0.0, 1.0) * (self.total - 1) as f64).round() as u64;
        let mut below = 0;
        for (part, count) in self.counts.iter().enumerate() {
            below += u64::from(*count);
            if below > rank {
                return middle_of(part);
            }
        }
        middle_of(self.counts.len().saturating_sub(1))
    }

    /// The mean, by the middle of each part; 0 of an empty histogram.
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.counts.iter().enumerate().map(|(part, count)| middle_of(part) * f64::from(*count)).sum();
        if self.total == 0 { 0.0 } else { sum / self.total as f64 }
    }

    /// The share (0..=1) of values in parts whose middle lies above `value`; 0 of an empty histogram.
    pub fn share_above(&self, value: f64) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        let above: u64 = self
            .counts
            .iter()
            .enumerate()
            .filter(|(part, _)| middle_of(*part) > value)
            .map(|(_, c)| u64::from(*c))
            .sum();
        above as f64 / self.total as f64
    }
}

/// Part 0 holds the value 0; part 1 + 8 o + s holds values from 2^o (1 + s/8) on.
fn part_of(value: u64) -> usize {
    if value == 0 {
        return 0;
    }
    let octave = 63 - u64::from(value.leading_zeros());
    let sub = if octave >= 3 { (value >> (octave - 3)) & 7 } else { (value << (3 - octave)) & 7 };
    (1 + octave * PARTS + sub) as usize
}

fn middle_of(part: usize) -> f64 {
    if part == 0 {
        return 0.0;
    }
    let (octave, sub) = ((part as u64 - 1) / PARTS, (part as u64 - 1) % PARTS);
    let width = (octave as f64).exp2() / PARTS as f64;
    // Below 8 a part holds one whole number at most: that number is its middle.
    if octave < 3 { (octave as f64).exp2() + sub as f64 * width } else { (8.0 + sub as f64 + 0.5) * width }
}

impl Serialize for LogHistogram {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.counts.iter().enumerate().filter(|(_, c)| **c > 0).map(|(part, c)| (part as u16, *c)))
    }
}

impl<'de> Deserialize<'de> for LogHistogram {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<LogHistogram, D::Error> {
        let pairs = Vec::<(u16, u32)>::deserialize(d)?;
        let mut histogram = LogHistogram::default();
        for (part, count) in pairs {
            let part = usize::from(part);
            if part > (1 + 64 * PARTS) as usize {
                return Err(serde::de::Error::custom(format!("histogram part {part} does not exist")));
            }
            if part >= histogram.counts.len() {
                histogram.counts.resize(part + 1, 0);
            }
            histogram.counts[part] = count;
            histogram.total += u64::from(count);
        }
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_the_promised_relative_error() {
        let mut h = LogHistogram::default();
        let values: Vec<u64> = (1..=10_000).map(|i| i * i / 7 + 1).collect();
        values.iter().for_each(|v| h.record(*v));
        for q in [0.0, 0.1, 0.5, 0.95, 0.99, 1.0] {
            let exact = values[(q * 9_999.0_f64).round() as usize] as f64;
            assert!((h.quantile(q) / exact - 1.0).abs() <= 0.0625, "{q}: {} for {exact}", h.quantile(q));
        }
        let mean = values.iter().sum::<u64>() as f64 / 10_000.0;
        assert!((h.mean() / mean - 1.0).abs() <= 0.0625, "{} for {mean}", h.mean());
        let above = h.share_above(values[4_999] as f64);
        assert!((above - 0.5).abs() < 0.02, "{above}");
    }

    #[test]
    fn small_numbers_are_exact_and_empty_is_zero() {
        let mut h = LogHistogram::default();
        assert_eq!((h.quantile(0.5), h.mean(), h.share_above(0.0)), (0.0, 0.0, 0.0));
        for v in [0, 1, 2, 3, 5, 7] {
            h.record(v);
        }
        assert_eq!([0.0, 0.2, 0.4, 0.6, 0.8, 1.0].map(|q| h.quantile(q)), [0.0, 1.0, 2.0, 3.0, 5.0, 7.0]);
        h.record(u64::MAX);
        assert!(h.quantile(1.0) > 1e19);
    }

    #[test]
    fn merging_is_counting_all() {
        let (mut a, mut b, mut both) = (LogHistogram::default(), LogHistogram::default(), LogHistogram::default());
        for v in 0..500_u64 {
            if v % 3 == 0 {
                a.record(v)
            } else {
                b.record(v * 9)
            }
            both.record(if v % 3 == 0 { v } else { v * 9 });
        }
        a.merge(&b);
        assert_eq!(a, both);
    }
}
