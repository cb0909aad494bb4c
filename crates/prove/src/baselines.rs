//! Trivial baselines: a method that does not beat them has shown nothing.

pub mod drift;

/// Seeded random scores in 0..1 (xorshift64*), the same at every run.
pub fn random(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..count).map(|_| next()).collect()
}

/// The row's index over the number of rows: "it breaks at the end".
pub fn row_index(count: usize) -> Vec<f64> {
    (0..count).map(|i| i as f64 / count.max(1) as f64).collect()
}

/// Distance of each value from the mean of the first `train` values, in their standard deviations; the largest over
/// the columns.
pub fn max_abs_z(columns: &[Vec<f64>], train: usize) -> Vec<f64> {
    let mut most = vec![0.0_f64; columns.first().map_or(0, Vec::len)];
    for column in columns {
        let known: Vec<f64> = column[..train.min(column.len())].iter().copied().filter(|v| v.is_finite()).collect();
        let n = known.len().max(1) as f64;
        let mean = known.iter().sum::<f64>() / n;
        let deviation = (known.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt().max(1e-9);
        for (score, value) in most.iter_mut().zip(column) {
            let z = (value - mean).abs() / deviation;
            *score = score.max(if z.is_finite() { z } else { 0.0 });
        }
    }
    most
}
