//! Exponential histograms as cumulative `le` buckets.
//!
//! A bucket `i` of scale `s` covers `(base^i, base^(i+1)]` with `base = 2^(2^-s)` (OpenTelemetry metrics data model,
//! "Exponential Scale"). Halving the scale by one merges neighbours: `i >> 1`. Histograms are brought down to scale 1
//! (factor 1.41 between bounds, so a quantile read from them is off by at most a fifth to either side when
//! interpolated on the log scale) and further until they fit the limit. So the bounds of a metric are a fixed grid:
//! series stay the same when the sender changes its scale, and one decade costs seven series.

/// The finest scale that is stored.
pub(crate) const MAX_SCALE: i32 = 1;

/// A histogram's buckets as they were sent: index and count, plus what lies around zero.
#[derive(Default)]
pub(crate) struct Exponential {
    pub scale: i32,
    pub zero_threshold: f64,
    pub zero_count: f64,
    pub positive: Vec<(i32, f64)>,
    pub negative: Vec<(i32, f64)>,
}

impl Exponential {
    /// Cumulative counts up to and including each bound, bounds rising; without the last bucket `+Inf`.
    pub fn cumulative(mut self, max_buckets: usize) -> Vec<(f64, f64)> {
        // The sender names the scale, so it is cut to what a double can tell apart before anything counts with it.
        self.scale = self.scale.clamp(-16, 32);
        self.coarsen((self.scale - MAX_SCALE).max(0));
        while self.positive.len() + self.negative.len() + 1 > max_buckets && self.scale > -16 {
            self.coarsen(1);
        }
        let mut out = Vec::with_capacity(self.positive.len() + self.negative.len() + 1);
        let mut sum = 0.0;
        for (index, count) in self.negative.iter().rev() {
            sum += count;
            // The upper end of a negative bucket is the one nearer to zero.
            out.push((-bound(self.scale, *index), sum));
        }
        if self.zero_count > 0.0 || !self.negative.is_empty() {
            sum += self.zero_count;
            out.push((self.zero_threshold, sum));
        }
        for (index, count) in &self.positive {
            sum += count;
            out.push((bound(self.scale, index.saturating_add(1)), sum));
        }
        out.retain(|(bound, _)| bound.is_finite());
        out
    }

    fn coarsen(&mut self, by: i32) {
        self.scale -= by;
        let shift = by.clamp(0, 31);
        for side in [&mut self.positive, &mut self.negative] {
            side.sort_by_key(|(index, _)| *index);
            let mut merged: Vec<(i32, f64)> = Vec::with_capacity(side.len());
            for (index, count) in side.drain(..) {
                match merged.last_mut() {
                    Some((last, total)) if *last == index >> shift => *total += count,
                    _ => merged.push((index >> shift, count)),
                }
            }
            *side = merged;
        }
    }
}

/// `base^index` for scales of -16..=32: exact for whole powers of two, so that the text of a bound never wavers.
fn bound(scale: i32, index: i32) -> f64 {
    if scale > 0 {
        let per_octave = 1i64 << scale;
        let (octave, part) = (i64::from(index).div_euclid(per_octave), i64::from(index).rem_euclid(per_octave));
        return 2f64.powi(octave as i32) * 2f64.powf(part as f64 / per_octave as f64);
    }
    let exponent = i64::from(index).saturating_mul(1 << -scale);
    2f64.powi(exponent.clamp(-2000, 2000) as i32)
}

/// A bound as Prometheus writes it in `le`.
pub(crate) fn bound_text(bound: f64) -> String {
    if bound == f64::INFINITY {
        return "+Inf".into();
    }
    let magnitude = bound.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) { format!("{bound:e}") } else { format!("{bound}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_powers_of_the_base() {
        assert_eq!([-1, 0, 1, 2].map(|i| bound(0, i)), [0.5, 1.0, 2.0, 4.0]);
        assert_eq!([0, 2, 4, -2].map(|i| bound(1, i)), [1.0, 2.0, 4.0, 0.5]);
        assert!((bound(1, 1) - 2f64.sqrt()).abs() < 1e-15);
        assert_eq!([0, 1, 2].map(|i| bound(-1, i)), [1.0, 4.0, 16.0]);
        assert!(bound(-10, i32::MAX).is_infinite());
        let absurd = Exponential { scale: i32::MAX, positive: vec![(i32::MAX, 1.0)], ..Exponential::default() };
        assert!(absurd.cumulative(10).len() <= 1);
        let absurd = Exponential { scale: i32::MIN, positive: vec![(i32::MIN, 1.0)], ..Exponential::default() };
        assert!(absurd.cumulative(10).len() <= 1);
    }

    #[test]
    fn coarser_buckets_keep_every_count() {
        let fine = Exponential {
            scale: 8,
            zero_count: 2.0,
            positive: (0..1000).map(|i| (i - 300, 1.0)).collect(),
            negative: vec![(0, 3.0), (5000, 4.0)],
            ..Exponential::default()
        };
        let buckets = fine.cumulative(100);
        assert_eq!(buckets.last().map(|b| b.1), Some(1009.0));
        assert!(buckets.len() <= 100);
        assert!(buckets.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1), "{buckets:?}");
        let zero = buckets.iter().find(|b| b.0 == 0.0).unwrap();
        assert_eq!(zero.1, 9.0, "the negative ones and the zeros lie at or below 0");
    }

    #[test]
    fn bounds_read_like_prometheus() {
        let texts = [0.005, 10.0, f64::INFINITY, 1e-7, -2.5, 0.0].map(bound_text);
        assert_eq!(texts, ["0.005", "10", "+Inf", "1e-7", "-2.5", "0"]);
    }
}
