//! Regression on the series' own past, carried forward step by step.
//!
//! The next value is a linear function of the last three, of those one and two seasons ago, of their successors'
//! differences and of the mean profile (ridge regression; Hoerl and Kennard, 1970). Fails on: short histories, where
//! it has more coefficients than it can learn.

use super::{Case, solve::Normal};

const FEATURES: usize = 13;
/// Share of its own energy added to each feature.
const RIDGE: f64 = 1e-4;
/// Points before the one a season ago that it looks at.
const REACH: usize = 4;
/// Seasons in the profile.
const PROFILE: usize = 7;

pub(crate) fn own_past(case: &Case) -> Option<Vec<Vec<f64>>> {
    let first = *case.seasons.first()?;
    let earliest = *case.origins.first()?;
    let is_enough = |season: usize| earliest >= season + REACH + 4 * FEATURES;
    let second = case.seasons.get(1).copied().filter(|second| is_enough(*second));
    let reach = second.unwrap_or(2 * first) + REACH;
    if !is_enough(2 * first) {
        return None;
    }
    let mut normal = Normal::<FEATURES>::new();
    let mut at = reach;
    let mut paths = Vec::with_capacity(case.origins.len());
    let mut extended = case.values.to_vec();
    for origin in case.origins {
        while at < *origin {
            if case.known[at] {
                normal.add(&features(case.values, at, first, second), case.values[at]);
            }
            at += 1;
        }
        let coefficients = normal.solve(RIDGE);
        extended.truncate(*origin);
        for t in *origin..origin + case.horizon {
            let said = features(&extended, t, first, second).iter().zip(&coefficients).map(|(f, c)| f * c).sum::<f64>();
            // Units are those of the largest value: a path that leaves them far behind has run away.
            extended.push(said.clamp(-3.0, 3.0));
        }
        paths.push(extended[*origin..].to_vec());
        extended.truncate(*origin);
        extended.extend_from_slice(&case.values[*origin..]);
    }
    Some(paths)
}

fn features(values: &[f64], t: usize, first: usize, second: Option<usize>) -> [f64; FEATURES] {
    let cycles = (t / first).clamp(1, PROFILE);
    let profile = |back: usize| {
        let seen = (1..=cycles).filter(|k| k * first + back <= t);
        let (sum, count) = seen.fold((0.0, 0.0), |(s, c), k| (s + values[t - back - k * first], c + 1.0));
        if count > 0.0 { sum / count } else { 0.0 }
    };
    let long = second.unwrap_or(2 * first);
    [
        1.0,
        values[t - 1],
        values[t - 2],
        values[t - 3],
        values[t - first],
        values[t - first - 1],
        values[t - first - 2],
        values[t - 2 * first],
        values[t - 2 * first - 1],
        values[t - long],
        values[t - long - 1],
        profile(0),
        profile(1),
    ]
}
