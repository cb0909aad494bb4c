//! Where a recorded series changes its behaviour for good.

/// Points between two change points, at least.
const SHORTEST: usize = 5;
/// What a change must gain, in multiples of the logarithm of the number of points, for each column and parameter.
const PENALTY: f64 = 6.0;

/// Points at which a new segment starts, in order, over one or several columns of equal length; the first point is not
/// named. Values that are not finite count as the last one before them.
///
/// Idea: the split into segments with a straight line each (level and slope) that has the least squared error of the
/// standardised columns plus a penalty for each segment (optimal partitioning, Jackson et al. 2005, with a penalty in
/// the manner of BIC). Noise is measured by what lines over short stretches leave, but at least a hundredth of the
/// variance, so that smooth curves are not cut up. Costs O(points^2) time for each column: meant for up to some
/// thousands of points. Fails on changes of variance alone, and on seasons longer than a few points.
pub fn change_points(columns: &[Vec<f64>]) -> Vec<usize> {
    let columns: Vec<Sums> = columns.iter().filter_map(|column| Sums::new(column)).collect();
    let count = columns.iter().map(|c| c.count).min().unwrap_or(0);
    if count < 2 * SHORTEST {
        return Vec::new();
    }
    let penalty = PENALTY * (count as f64).ln() * columns.len() as f64;
    let mut best = vec![f64::INFINITY; count + 1];
    let mut from = vec![0; count + 1];
    best[0] = -penalty;
    for end in SHORTEST..=count {
        for start in 0..=end - SHORTEST {
            if best[start].is_infinite() {
                continue;
            }
            let cost = best[start] + penalty + columns.iter().map(|c| c.cost(start, end)).sum::<f64>();
            if cost < best[end] {
                (best[end], from[end]) = (cost, start);
            }
        }
    }
    let mut found = Vec::new();
    let mut at = from[count];
    while at > 0 {
        found.push(at);
        at = from[at];
    }
    found.reverse();
    found
}

/// Running sums of one standardised column.
struct Sums {
    count: usize,
    value: Vec<f64>,
    square: Vec<f64>,
    timed: Vec<f64>,
    noise: f64,
}

impl Sums {
    /// `None` where the column does not vary.
    fn new(values: &[f64]) -> Option<Sums> {
        let mut last = values.iter().copied().find(|v| v.is_finite()).unwrap_or(0.0);
        let largest = values.iter().filter(|v| v.is_finite()).fold(0.0_f64, |m, v| m.max(v.abs()));
        let clean = values.iter().map(|v| {
            last = if v.is_finite() { *v } else { last };
            last / largest.max(f64::MIN_POSITIVE)
        });
        let clean: Vec<f64> = clean.collect();
        let count = clean.len();
        let mean = clean.iter().sum::<f64>() / count as f64;
        let deviation = (clean.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count as f64).sqrt();
        if !deviation.is_finite() || deviation < 1e-9 {
            return None;
        }
        let mut sums = Sums { count, value: vec![0.0], square: vec![0.0], timed: vec![0.0], noise: 1.0 };
        for (i, v) in clean.iter().enumerate() {
            let z = (v - mean) / deviation;
            sums.value.push(sums.value[i] + z);
            sums.square.push(sums.square[i] + z * z);
            sums.timed.push(sums.timed[i] + z * i as f64);
        }
        sums.noise = sums.local_noise();
        Some(sums)
    }

    /// Variance that straight lines over stretches leave, as the median over them.
    fn local_noise(&self) -> f64 {
        let length = (self.count / 10).clamp(SHORTEST, 30);
        let stretches = (0..(self.count + 1).saturating_sub(length)).step_by((length / 2).max(1));
        let mut left: Vec<f64> = stretches.map(|s| self.residual(s, s + length) / (length - 2) as f64).collect();
        left.sort_by(f64::total_cmp);
        left.get(left.len() / 2).copied().unwrap_or(1.0).max(0.01)
    }

    fn cost(&self, start: usize, end: usize) -> f64 {
        self.residual(start, end) / self.noise
    }

    /// Squared error of the best straight line.
    fn residual(&self, start: usize, end: usize) -> f64 {
        let n = (end - start) as f64;
        let sum = self.value[end] - self.value[start];
        let square = self.square[end] - self.square[start];
        let middle = (start + end - 1) as f64 / 2.0;
        let covariance = self.timed[end] - self.timed[start] - middle * sum;
        let spread = n * (n * n - 1.0) / 12.0;
        let line = if spread > 0.0 { covariance * covariance / spread } else { 0.0 };
        (square - sum * sum / n - line).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(i: usize) -> f64 {
        (i.wrapping_mul(2_654_435_761) % 1000) as f64 / 1000.0 - 0.5
    }

    #[test]
    fn a_step_and_a_bend_are_found_and_nothing_else() {
        let step: Vec<f64> = (0..200).map(|i| noise(i) + if i < 120 { 0.0 } else { 4.0 }).collect();
        let found = change_points(&[step]);
        assert!(found.len() == 1 && found[0].abs_diff(120) <= 2, "{found:?}");
        let bend: Vec<f64> = (0..200).map(|i| noise(i) + (i as f64 - 100.0).max(0.0)).collect();
        let found = change_points(&[bend]);
        assert!(found.len() == 1 && found[0].abs_diff(100) <= 8, "{found:?}");
        assert!(change_points(&[(0..200).map(noise).collect()]).is_empty());
        assert!(change_points(&[(0..200).map(|i| i as f64 + noise(i)).collect()]).is_empty());
    }

    #[test]
    fn odd_input() {
        let alternating: Vec<f64> = (0..60).map(|i| if i % 2 == 0 { 1e308 } else { -1e308 }).collect();
        for values in [vec![], vec![1.0], vec![2.0; 60], vec![f64::NAN; 60], vec![f64::INFINITY; 60], alternating] {
            assert!(change_points(&[values]).is_empty());
        }
        assert!(change_points(&[]).is_empty());
        change_points(&[vec![1.0, f64::NAN, 1e308, -1e308, 0.0], vec![1.0]]);
    }
}
