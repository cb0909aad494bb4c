//! Least squares by normal equations, and a search without derivatives.

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
    /// matter. By Cholesky decomposition; a feature without energy gets 0.
    pub fn solve(&self, ridge: f64) -> [f64; F] {
        let mut lower = [[0.0; F]; F];
        let most = (0..F).map(|i| self.products[i][i]).fold(0.0, f64::max);
        for i in 0..F {
            for j in 0..=i {
                let before: f64 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
                let mut value = self.products[i][j] - before;
                if i == j {
                    value += ridge * self.products[i][i] + 1e-10 * most + 1e-300;
                    lower[i][i] = value.max(1e-300).sqrt();
                } else {
                    lower[i][j] = value / lower[j][j];
                }
            }
        }
        let mut x = self.with_target;
        for i in 0..F {
            let before: f64 = (0..i).map(|k| lower[i][k] * x[k]).sum();
            x[i] = (x[i] - before) / lower[i][i];
        }
        for i in (0..F).rev() {
            let after: f64 = (i + 1..F).map(|k| lower[k][i] * x[k]).sum();
            x[i] = (x[i] - after) / lower[i][i];
        }
        x.map(|v| if v.is_finite() { v } else { 0.0 })
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
