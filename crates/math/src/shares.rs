//! Shares of counts: intervals of one, of the difference of two, and how surprising that difference is.
//!
//! Wilson's interval (1927) is taken and not Wald's or the bootstrap: it needs no resampling, is never outside 0..=1,
//! and covers about as often as it says down to ten rows and at shares of 0 and 1, where the others are empty. The
//! difference of two shares is Newcombe's hybrid of two such intervals (Statistics in Medicine 1998, method 10).
//! Cost: some ten operations; a quantile some hundred. Fails on: rows that depend on one another, which count as fewer.

use std::f64::consts::{LN_10, TAU};

/// Wilson's interval of `hits` among `tries` at `z` standard deviations; 0..=1 where nothing was tried.
pub fn wilson(hits: u64, tries: u64, z: f64) -> (f64, f64) {
    wilson_of(hits.min(tries) as f64 / tries.max(1) as f64, tries as f64, z)
}

/// The same of a share among `n` rows, where weights make them no whole number.
pub fn wilson_of(share: f64, n: f64, z: f64) -> (f64, f64) {
    if n <= 0.0 {
        return (0.0, 1.0);
    }
    let square = z * z;
    let middle = (share + square / (2.0 * n)) / (1.0 + square / n);
    let reach = z / (1.0 + square / n) * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
    ((middle - reach).max(0.0), (middle + reach).min(1.0))
}

/// Newcombe's interval of the first share less the second, each as (hits, tries), at `z` standard deviations.
pub fn difference(first: (u64, u64), second: (u64, u64), z: f64) -> (f64, f64) {
    let share = |(hits, tries): (u64, u64)| hits.min(tries) as f64 / tries.max(1) as f64;
    let (p, q) = (share(first), share(second));
    let ((p_low, p_high), (q_low, q_high)) = (wilson(first.0, first.1, z), wilson(second.0, second.1, z));
    let low = p - q - ((p - p_low).powi(2) + (q_high - q).powi(2)).sqrt();
    (low.max(-1.0), (p - q + ((p_high - p).powi(2) + (q - q_low).powi(2)).sqrt()).min(1.0))
}

/// -log10 of the chance that two equal shares differ so much to either side (pooled z test); 0 where one was not tried.
/// Good from some five hits and misses expected on each side on.
pub fn difference_surprise(first: (u64, u64), second: (u64, u64)) -> f64 {
    if first.1 == 0 || second.1 == 0 {
        return 0.0;
    }
    let (n, m) = (first.1 as f64, second.1 as f64);
    let (p, q) = (first.0 as f64 / n, second.0 as f64 / m);
    let pooled = (first.0 + second.0) as f64 / (n + m);
    let deviation = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    if deviation.is_nan() || deviation <= 0.0 {
        return 0.0;
    }
    (normal_surprise((p - q).abs() / deviation) - 2.0_f64.log10()).max(0.0)
}

/// -log10 of the chance that a standard normal value is at least `z`.
///
/// Below 2 by the series of the distribution, above by Laplace's continued fraction; right to nine digits.
pub fn normal_surprise(z: f64) -> f64 {
    if z.is_nan() {
        return 0.0;
    }
    if z < 0.0 {
        return -(1.0 - 10.0_f64.powf(-normal_surprise(-z))).log10();
    }
    let ln_density = -0.5 * (z * z + TAU.ln());
    if z < 2.0 {
        let step = |(sum, term): (f64, f64), k: i32| (sum + term, term * z * z / f64::from(2 * k + 1));
        let (sum, _) = (1..60).fold((0.0, z), step);
        return -(0.5 - ln_density.exp() * sum).log10();
    }
    let fraction = (1..=80).rev().fold(z, |below, k| z + f64::from(k) / below);
    -(ln_density - fraction.ln()) / LN_10
}

/// The `z` that a standard normal value exceeds with chance `tail` (above 0, at most a half).
pub fn normal_quantile(tail: f64) -> f64 {
    let wanted = -tail.clamp(1e-300, 0.5).log10();
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if normal_surprise(middle) < wanted { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_examples() {
        // Newcombe 1998: 81 of 263 (method 3), and 56 of 70 less 48 of 80 (method 10).
        let (low, high) = wilson(81, 263, 1.959_964);
        assert!((low - 0.2553).abs() < 5e-5 && (high - 0.3662).abs() < 5e-5, "{low} {high}");
        let (low, high) = difference((56, 70), (48, 80), 1.959_964);
        assert!((low - 0.0524).abs() < 5e-5 && (high - 0.3339).abs() < 5e-5, "{low} {high}");
        let (low, high) = wilson(0, 20, 1.959_964);
        assert!(low == 0.0 && (high - 0.1611).abs() < 5e-5);
    }

    #[test]
    fn the_normal_tail_of_known_values() {
        for (z, tail) in
            [(0.0, 0.5), (1.0, 0.158_655_254), (1.959_964, 0.025), (3.0, 1.349_898e-3), (6.0, 9.865_876e-10)]
        {
            assert!((10.0_f64.powf(-normal_surprise(z)) / tail - 1.0).abs() < 1e-6, "{z}");
            assert!((normal_quantile(tail) - z).abs() < 1e-6, "{tail}");
        }
        assert!((10.0_f64.powf(-normal_surprise(-1.0)) - 0.841_344_746).abs() < 1e-8);
        assert!((normal_surprise(40.0) - 349.4370).abs() < 1e-3);
        assert_eq!((normal_surprise(f64::NAN), difference_surprise((0, 0), (3, 4))), (0.0, 0.0));
        assert_eq!(difference_surprise((0, 9), (0, 4)), 0.0);
    }
}
