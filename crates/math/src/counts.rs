//! Tail probabilities of counts, as `-log10 P`, so that tiny ones keep their order.
//!
//! Sums of a probability mass from its edge outwards by the ratio of neighbouring terms, in log space. At most
//! [`MAX_TERMS`] terms are added; the terms fall from the edge on because the edge lies beyond the mean.

/// Terms summed at most; beyond it what is left does not change the third digit.
const MAX_TERMS: u32 = 20_000;

/// `-log10 P(X >= k)` where X is the number of hits among `n` with a hit rate that is itself uncertain,
/// Beta(`a`, `b`) (Skellam 1948, the beta-binomial). 0 where `k` is not above the mean. `a`, `b` > 0.
pub fn beta_binomial_upper(k: u64, n: u64, a: f64, b: f64) -> f64 {
    let mean = n as f64 * a / (a + b);
    if k > n {
        return 300.0;
    }
    if k == 0 || k as f64 <= mean {
        return 0.0;
    }
    let (kf, nf) = (k as f64, n as f64);
    let ln_first = ln_choose(nf, kf) + ln_beta(kf + a, nf - kf + b) - ln_beta(a, b);
    let next = |i: f64| (nf - i) * (i + a) / ((i + 1.0) * (nf - i - 1.0 + b));
    surprise(ln_first, sum_of_terms(kf, n - k, next))
}

/// `-log10 P(X >= k)` where X has mean `mean` and variance `mean + mean² / size` (negative binomial); a `size` of
/// 1e9 or more is Poisson. 0 where `k` is not above the mean. `mean` > 0, `size` > 0.
pub fn negative_binomial_upper(k: u64, mean: f64, size: f64) -> f64 {
    let kf = k as f64;
    if k == 0 || kf <= mean {
        return 0.0;
    }
    if size >= 1e9 {
        let ln_first = kf * mean.ln() - mean - ln_gamma(kf + 1.0);
        return surprise(ln_first, sum_of_terms(kf, u64::MAX, |i| mean / (i + 1.0)));
    }
    let p = mean / (mean + size);
    let ln_first = ln_gamma(kf + size) - ln_gamma(size) - ln_gamma(kf + 1.0) + size * (1.0 - p).ln() + kf * p.ln();
    surprise(ln_first, sum_of_terms(kf, u64::MAX, |i| (i + size) / (i + 1.0) * p))
}

/// `-log10 P(X <= k)` of a Poisson count with mean `mean`. 0 where `k` is not below the mean.
pub fn poisson_lower(k: u64, mean: f64) -> f64 {
    let kf = k as f64;
    if mean <= 0.0 || kf >= mean {
        return 0.0;
    }
    let ln_first = kf * mean.ln() - mean - ln_gamma(kf + 1.0);
    let (mut term, mut sum, mut i) = (1.0, 1.0, kf);
    while i > 0.0 && term > sum * 1e-12 {
        term *= i / mean;
        sum += term;
        i -= 1.0;
    }
    surprise(ln_first, sum)
}

/// Natural logarithm of the gamma function for `x` > 0; Lanczos' approximation (1964) with g = 7, nine terms,
/// relative error below 1e-13.
pub fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        // Reflection keeps the series in the half-plane in which it converges.
        return (std::f64::consts::PI / (std::f64::consts::PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let t = x + 7.5;
    let series = TERMS.iter().enumerate().skip(1).fold(TERMS[0], |sum, (i, c)| sum + c / (x + i as f64));
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + series.ln()
}

fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

fn ln_choose(n: f64, k: f64) -> f64 {
    ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0)
}

/// 1 + r(k) + r(k) r(k+1) + …: the tail in units of its first term.
fn sum_of_terms(k: f64, terms: u64, ratio: impl Fn(f64) -> f64) -> f64 {
    let (mut term, mut sum, mut i) = (1.0, 1.0, k);
    for _ in 0..terms.min(u64::from(MAX_TERMS)) {
        term *= ratio(i);
        sum += term;
        i += 1.0;
        if term < sum * 1e-12 {
            break;
        }
    }
    sum
}

fn surprise(ln_first: f64, sum: f64) -> f64 {
    let log10 = (ln_first + sum.ln()) / std::f64::consts::LN_10;
    (-log10).clamp(0.0, 300.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6 * (1.0 + b.abs()), "{a} for {b}");
    }

    #[test]
    fn ln_gamma_of_known_values() {
        close(ln_gamma(1.0), 0.0);
        close(ln_gamma(0.5), std::f64::consts::PI.sqrt().ln());
        close(ln_gamma(11.0), 3_628_800_f64.ln());
        close(ln_gamma(171.0), 706.573_062_245_787_4);
    }

    #[test]
    fn poisson_tail_of_published_values() {
        // P(X >= 10 | 3) = 0.001102488..., P(X <= 2 | 10) = 0.002769396... (tables of the Poisson distribution).
        close(10_f64.powf(-negative_binomial_upper(10, 3.0, 1e9)), 0.001_102_488);
        close(10_f64.powf(-poisson_lower(2, 10.0)), 0.002_769_396);
    }

    #[test]
    fn over_dispersion_makes_the_same_count_less_surprising() {
        assert!(negative_binomial_upper(60, 20.0, 5.0) < negative_binomial_upper(60, 20.0, 1e9));
        // Geometric (size 1), mean 1: P(X >= 10) = 2^-10.
        close(negative_binomial_upper(10, 1.0, 1.0), 10.0 * 2_f64.log10());
    }

    #[test]
    fn beta_binomial_meets_its_limits() {
        // Beta(1, 1): every count is equally likely, P(X >= 9 | n = 9) = 1/10.
        close(beta_binomial_upper(9, 9, 1.0, 1.0), 1.0);
        // A very certain rate of one half is the binomial: P(X >= 10 | n = 10) = 2^-10.
        close((beta_binomial_upper(10, 10, 5e8, 5e8) * 1e4).round() / 1e4, (10.0 * 2_f64.log10() * 1e4).round() / 1e4);
        assert_eq!(beta_binomial_upper(1, 1000, 10.0, 990.0), 0.0);
        assert!(beta_binomial_upper(400, 1000, 1.0, 999.0) > 50.0);
    }
}
