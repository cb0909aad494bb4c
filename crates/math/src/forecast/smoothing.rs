//! Exponential smoothing: level, damped trend, Theta, two seasons with an error that fades, and intermittent demand.

use super::{Case, solve::search};

/// Share of the errors' size beyond which one moves the state no further (as in Gelper, Fried and Croux, 2010).
const CLIP: f64 = 4.0;

/// Level with a damped trend (Gardner and McKenzie, 1985). Parameters: smoothing of level and trend, damping.
pub(crate) fn damped_trend(case: &Case) -> Option<Vec<Vec<f64>>> {
    if case.origins[0] < 8 {
        return None;
    }
    let fit = &case.values[..case.origins[0]];
    let found = search([0.3, 0.05, 0.9], 12, |p| run_trend(fit, case.known, p, &[]).0);
    let (_, states) = run_trend(case.values, case.known, &found, case.origins);
    Some(
        states
            .into_iter()
            .map(|(level, trend)| {
                let (mut at, mut pace) = (level, trend);
                (0..case.horizon)
                    .map(|_| {
                        pace *= found[2];
                        at += pace;
                        at
                    })
                    .collect()
            })
            .collect(),
    )
}

fn run_trend(values: &[f64], known: &[bool], p: &[f64; 3], origins: &[usize]) -> (f64, Vec<(f64, f64)>) {
    let (mut level, mut trend, mut cost, mut states) = (values[0], 0.0, 0.0, Vec::new());
    let mut next = origins.iter().peekable();
    for t in 0..values.len() {
        while next.next_if(|o| **o == t).is_some() {
            states.push((level, trend));
        }
        if known[t] {
            let error = values[t] - level - p[2] * trend;
            cost += error.abs();
            level += p[2] * trend + p[0] * error;
            trend = p[2] * trend + p[0] * p[1] * error;
        }
    }
    next.for_each(|_| states.push((level, trend)));
    (cost, states)
}

/// Theta (Assimakopoulos and Nikolopoulos, 2000; as simple smoothing with half the slope, Hyndman and Billah, 2003).
pub(crate) fn theta(case: &Case) -> Option<Vec<Vec<f64>>> {
    if case.origins[0] < 8 {
        return None;
    }
    let fit = &case.values[..case.origins[0]];
    let found = search([0.3], 8, |p| run_trend(fit, case.known, &[p[0], 0.0, 0.0], &[]).0);
    let (_, states) = run_trend(case.values, case.known, &[found[0], 0.0, 0.0], case.origins);
    let path = |((level, _), origin): ((f64, f64), &usize)| {
        let slope = 0.5 * slope(&case.values[..*origin]);
        (0..case.horizon).map(|h| level + slope * (h + 1) as f64).collect()
    };
    Some(states.into_iter().zip(case.origins).map(path).collect())
}

fn slope(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let center = (n - 1.0) / 2.0;
    let products: f64 = values.iter().enumerate().map(|(t, v)| (t as f64 - center) * v).sum();
    products / (n * (n * n - 1.0) / 12.0).max(1.0)
}

/// One or two additive seasons with a fading first-order error (Taylor, "Short-term electricity demand forecasting
/// using double seasonal exponential smoothing", 2003). Parameters: smoothing of level and seasons, fading.
pub(crate) fn seasons(case: &Case) -> Option<Vec<Vec<f64>>> {
    let first = *case.seasons.first()?;
    if case.origins[0] < 2 * first {
        return None;
    }
    let second = case.seasons.get(1).copied().filter(|second| case.origins[0] >= 2 * second);
    let start = Seasons::new(&case.values[..case.origins[0]], first, second);
    let fit = &case.values[..case.origins[0]];
    let found = search([0.05, 0.15, 0.15, 0.7], 9, |p| start.clone().run(fit, case.known, p));
    let mut state = start;
    let mut at = 0;
    let mut paths = Vec::new();
    for origin in case.origins {
        state.run_from(at, &case.values[..*origin], case.known, &found);
        at = *origin;
        paths.push(state.path(at, case.horizon, found[3]));
    }
    Some(paths)
}

#[derive(Clone)]
struct Seasons {
    level: f64,
    short: Vec<f64>,
    long: Vec<f64>,
    error: f64,
    scale: f64,
}

impl Seasons {
    fn new(values: &[f64], first: usize, second: Option<usize>) -> Seasons {
        let longest = second.unwrap_or(first);
        let begin = &values[..(2 * longest).min(values.len()) / first * first];
        let level = begin.iter().sum::<f64>() / begin.len().max(1) as f64;
        let profile = |season: usize, of: &dyn Fn(usize) -> f64| -> Vec<f64> {
            let mut sums = vec![(0.0, 0.0); season];
            for t in 0..begin.len() {
                sums[t % season] = (sums[t % season].0 + of(t), sums[t % season].1 + 1.0);
            }
            sums.iter().map(|(sum, count)| if *count > 0.0 { sum / count } else { 0.0 }).collect()
        };
        let short = profile(first, &|t| begin[t] - level);
        let long = second.map_or(vec![0.0], |second| profile(second, &|t| begin[t] - level - short[t % first]));
        let rest = |t: usize| (begin[t] - level - short[t % first] - long[t % long.len()]).abs();
        let scale = (0..begin.len()).map(rest).sum::<f64>() / begin.len().max(1) as f64;
        Seasons { level, short, long, error: 0.0, scale: scale.max(1e-9) }
    }

    fn run(mut self, values: &[f64], known: &[bool], p: &[f64; 4]) -> f64 {
        self.run_from(0, values, known, p)
    }

    /// Takes the values from an index on; returns the sum of absolute errors of one step.
    fn run_from(&mut self, from: usize, values: &[f64], known: &[bool], p: &[f64; 4]) -> f64 {
        let [level_rate, short_rate, long_rate, fading] = *p;
        let (first, second) = (self.short.len(), self.long.len());
        let (mut i, mut j) = (from % first, from % second);
        let mut cost = 0.0;
        for (value, known) in values[from..].iter().zip(&known[from..]) {
            let base = self.level + self.short[i] + self.long[j];
            let error = if *known { value - base - fading * self.error } else { 0.0 };
            cost += error.abs();
            let moved = error.clamp(-CLIP * self.scale, CLIP * self.scale);
            self.scale += 0.02 * (error.abs().min(CLIP * self.scale) - self.scale);
            self.level += level_rate * moved;
            self.short[i] += short_rate * moved;
            if second > 1 {
                self.long[j] += long_rate * moved;
            }
            self.error = if *known { value - base } else { fading * self.error };
            i = if i + 1 == first { 0 } else { i + 1 };
            j = if j + 1 == second { 0 } else { j + 1 };
        }
        cost
    }

    fn path(&self, origin: usize, horizon: usize, fading: f64) -> Vec<f64> {
        let mut error = self.error;
        let step = |t: usize| {
            error *= fading;
            self.level + self.short[t % self.short.len()] + self.long[t % self.long.len()] + error
        };
        (origin..origin + horizon).map(step).collect()
    }
}

/// Intermittent demand: size and probability smoothed apart (Teunter, Syntetos and Babai, 2011). Only where two in
/// five points or more are zero.
pub(crate) fn intermittent(case: &Case) -> Option<Vec<Vec<f64>>> {
    let seen = &case.values[..case.origins[0]];
    let zeros = seen.iter().filter(|v| **v == 0.0).count();
    if seen.len() < 8 || 5 * zeros < 2 * seen.len() {
        return None;
    }
    let states = |values: &[f64], p: &[f64; 2], origins: &[usize]| {
        let sizes: Vec<f64> = values.iter().copied().filter(|v| *v != 0.0).collect();
        let mut size = sizes.iter().sum::<f64>() / sizes.len().max(1) as f64;
        let (mut chance, mut cost, mut states) = (sizes.len() as f64 / values.len() as f64, 0.0, Vec::new());
        let mut next = origins.iter().peekable();
        for (t, value) in values.iter().enumerate() {
            while next.next_if(|o| **o == t).is_some() {
                states.push(size * chance);
            }
            cost += (value - size * chance).powi(2);
            if *value != 0.0 {
                size += p[0] * (value - size);
            }
            chance += p[1] * (f64::from(u8::from(*value != 0.0)) - chance);
        }
        next.for_each(|_| states.push(size * chance));
        (cost, states)
    };
    let found = search([0.1, 0.1], 6, |p| states(seen, p, &[]).0);
    let (_, levels) = states(case.values, &found, case.origins);
    Some(levels.into_iter().map(|level| vec![level; case.horizon]).collect())
}
