//! Least squares by normal equations, and a search without derivatives.

use crate::cholesky;

/// Least ridge: what keeps features that say the same from being split by rounding.
const TINY: f64 = 1e-10;

/// Sums of products of features and target, in which samples are collected as time goes on.
#[derive(Clone)]
pub(crate) struct Normal<const F: usize> {
    products: [[f64; F]; F],
    with_target: [f64; F],
    pub samples: usize,
}

impl<const F: usize> Normal<F> {
    pub fn new() -> Normal<F> {
        Normal { products: [[0.0; F]; F], with_target: [0.0; F], samples: 0 }
    }

    pub fn add(&mut self, features: &[f64; F], target: f64) {
        for i in 0..F {
            for j in 0..=i {
                self.products[i][j] += features[i] * features[j];
            }
            self.with_target[i] += features[i] * target;
        }
        self.samples += 1;
    }

    /// Coefficients; `ridge` is the share of each feature's own energy that is added to it, so that units do not
    /// matter. A feature without energy gets 0.
    pub fn solve(&self, ridge: f64) -> [f64; F] {
        // In units in which each feature's energy is 1.
        let unit: [f64; F] = std::array::from_fn(|i| {
            let energy = self.products[i][i];
            if energy > 0.0 { energy.sqrt().recip() } else { 0.0 }
        });
        let mut packed = Vec::with_capacity(F * (F + 1) / 2);
        for i in 0..F {
            packed.extend((0..=i).map(|j| self.products[i][j] * unit[i] * unit[j]));
        }
        let target: [f64; F] = std::array::from_fn(|i| self.with_target[i] * unit[i]);
        let (mut factor, mut x) = (vec![0.0; packed.len()], Vec::with_capacity(F));
        cholesky::factorise(&packed, F, ridge + TINY, &mut factor);
        cholesky::solve(&factor, &target, &mut x);
        std::array::from_fn(|i| if x[i].is_finite() { x[i] * unit[i] } else { 0.0 })
    }
}

/// Parameters in 0..1 that make `cost` small: each in turn goes a step up or down; the step is halved when none helps.
pub(crate) fn search<const P: usize>(start: [f64; P], rounds: usize, cost: impl Fn(&[f64; P]) -> f64) -> [f64; P] {
    let (mut best, mut step) = (start, 0.5);
    let mut least = cost(&best);
    for _ in 0..rounds {
        let mut is_better = false;
        for i in 0..P {
            for sign in [1.0, -1.0] {
                let mut tried = best;
                // In the logistic scale, so that 0.01 and 0.02 are as far apart as 0.98 and 0.99.
                let at = (tried[i] / (1.0 - tried[i])).ln() + sign * 4.0 * step;
                tried[i] = (1.0 / (1.0 + (-at).exp())).clamp(1e-4, 1.0 - 1e-4);
                let found = cost(&tried);
                if found < least {
                    (best, least, is_better) = (tried, found, true);
                    break;
                }
            }
        }
        if !is_better {
            step *= 0.5;
        }
    }
    best
}
