//! How far a value lies beyond the highest values of a history, as a tail probability.
//!
//! Idea: above a high level the logarithm of many positive quantities (durations, sizes, counts) falls off about
//! exponentially, with the mean log excess of the highest values as its scale (Hill 1975); so the chance of a still
//! higher one is known beyond what was seen (Weissman 1978). Kept are the 16 highest values and how many there were.
//! That the scale is an estimate counts against a value; [`SCALE_MIN`] stands in it as [`SCALE_WEIGHT`] values, so that
//! a constant past is no certainty.
//!
//! Cost: some 20 ns a value, [`Tail`] is 72 bytes. Fails on: values that depend on one another (an event of many high
//! values is taken for as many; give the highest of each interval); what rises steadily; less than about a hundred
//! values; the low side, and what is unusual but not high.

use bytemuck::{Pod, Zeroable};

/// Values kept.
const KEPT: usize = 16;
/// Mean log excess before anything is known, and how many values that is worth: each tenfold rarer value is taken to
/// be a quarter higher.
const SCALE_MIN: f32 = 0.1;
const SCALE_WEIGHT: f32 = 4.0;

/// The highest values of a history, as `ln(1 + x)`; what is below zero counts as zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Tail {
    /// Falling.
    highest: [f32; KEPT],
    count: u32,
    /// Values above all before them.
    records: u32,
}

impl Tail {
    /// -log10 of the chance of a value at least as high, 0 or more and finite; 0 where little is known. The value is
    /// then part of what is known.
    pub fn observe(&mut self, value: f64) -> f64 {
        let value = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1e30) };
        let height = value.ln_1p() as f32;
        let surprise = self.surprise(height);
        self.count = self.count.saturating_add(1);
        if height > self.highest[0] || self.count == 1 {
            self.records = self.records.saturating_add(1);
        }
        if let Some(at) = self.highest.iter().position(|known| height > *known) {
            self.highest.copy_within(at..KEPT - 1, at + 1);
            self.highest[at] = height;
        }
        surprise
    }

    /// How many values were taken in.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The highest so far.
    pub fn highest(&self) -> f64 {
        f64::from(self.highest[0]).exp_m1()
    }

    /// Whether the values rise rather than scatter: of n without order about ln(n) are above all before, of a counter
    /// or a clock n.
    pub fn is_rising(&self) -> bool {
        self.records > 8 + self.count / 20
    }

    fn surprise(&self, height: f32) -> f64 {
        let level = self.highest[KEPT - 1];
        if self.count < 100 || height <= level {
            return 0.0;
        }
        let excess: f32 = self.highest.iter().map(|known| known - level).sum();
        let (sum, values) = (excess + SCALE_MIN * SCALE_WEIGHT, KEPT as f32 - 1.0 + SCALE_WEIGHT);
        // The scale is itself estimated: an exponential with a gamma-distributed rate.
        let beyond = values * ((height - level) / sum).ln_1p() * std::f32::consts::LOG10_E;
        (f64::from(self.count) / KEPT as f64).log10() + f64::from(beyond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(seed: &mut u64) -> f64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((*seed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    #[test]
    fn surprise_is_rare_in_values_of_any_shape() {
        let normal = |s: &mut u64| (-2.0 * uniform(s).ln()).sqrt() * (std::f64::consts::TAU * uniform(s)).cos();
        let shapes: [(&str, &dyn Fn(&mut u64) -> f64); 5] = [
            ("log-normal", &|s| (4.0 + 0.4 * normal(s)).exp()),
            ("exponential", &|s| -20.0 * uniform(s).ln()),
            ("heavy", &|s| uniform(s).powf(-0.7)),
            ("counts", &|s| (-3.0 * uniform(s).ln()).floor()),
            ("uniform", &|s| 1000.0 * uniform(s)),
        ];
        for (name, shape) in shapes {
            let mut counts = [0; 3];
            for seed in 0..40 {
                let (mut tail, mut seed) = (Tail::default(), seed);
                for _ in 0..5000 {
                    let surprise = tail.observe(shape(&mut seed));
                    (0..3).for_each(|k| counts[k] += usize::from(surprise >= 3.0 + k as f64));
                }
                assert!(!tail.is_rising(), "{name}");
            }
            println!("{name}: {counts:?} of 200,000");
            // 200, 20 and 2 would be exact; the first hundreds of values know less.
            assert!(counts[0] <= 400 && counts[1] <= 60 && counts[2] <= 16, "{name}: {counts:?}");
        }
    }

    #[test]
    fn what_is_far_above_is_said_once() {
        let (mut tail, mut seed) = (Tail::default(), 3);
        (0..1000).for_each(|_| _ = tail.observe(20.0 + 10.0 * uniform(&mut seed)));
        let first = tail.observe(600.0);
        assert!(first > 10.0, "{first}");
        assert!((tail.highest() - 600.0).abs() < 0.01);
        (0..16).for_each(|_| _ = tail.observe(600.0));
        assert!(tail.observe(600.0) == 0.0);
    }

    #[test]
    fn odd_values_are_no_trouble() {
        let mut tail = Tail::default();
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e308, f64::MIN_POSITIVE].repeat(100) {
            assert!(tail.observe(value).is_finite());
        }
        let mut rising = Tail::default();
        (0..1000).for_each(|i| _ = rising.observe(f64::from(i)));
        assert!(rising.is_rising());
    }
}
