//! Regression from an origin to each step at once: how far to trust the last season, the long season, the profile
//! and the newest level, learned from all earlier origins of the series.
//!
//! All is measured from the mean profile, towards which the ridge pulls: without evidence the forecast is that.

use super::{Case, rules::median, solve::Normal};

const FEATURES: usize = 8;
const RIDGE: f64 = 0.02;
const PROFILE: usize = 7;
const LONG_PROFILE: usize = 4;
/// Origins a season that are learned from, and steps of each.
const ORIGINS: usize = 12;
const STEPS: usize = 24;

pub(crate) fn levels_and_profiles(case: &Case) -> Option<Vec<Vec<f64>>> {
    let first = *case.seasons.first()?;
    if *case.origins.first()? < 3 * first {
        return None;
    }
    let past = Past::new(case, first);
    let stride = (first / ORIGINS).max(1);
    let step = (case.horizon / STEPS).max(1);
    let mut normal = Normal::<FEATURES>::new();
    let mut learned = 2 * first;
    let mut paths = Vec::with_capacity(case.origins.len());
    for origin in case.origins {
        while learned + case.horizon <= *origin {
            // The offset changes from origin to origin, so that all steps are seen.
            let mut h = learned / stride % step;
            while h < case.horizon {
                if case.known[learned + h] {
                    let (base, features) = past.features(learned, h);
                    normal.add(&features, case.values[learned + h] - base);
                }
                h += step;
            }
            learned += stride;
        }
        if normal.samples < 8 * FEATURES {
            return None;
        }
        let coefficients = normal.solve(RIDGE);
        let path = (0..case.horizon).map(|h| {
            let (base, features) = past.features(*origin, h);
            let said = base + features.iter().zip(&coefficients).map(|(f, c)| f * c).sum::<f64>();
            said.clamp(-3.0, 3.0)
        });
        paths.push(path.collect());
    }
    Some(paths)
}

struct Past<'a> {
    values: &'a [f64],
    first: usize,
    second: Option<usize>,
    /// Sums of the values less their mean profile, up to each point.
    above: Vec<f64>,
}

impl<'a> Past<'a> {
    fn new(case: &Case<'a>, first: usize) -> Past<'a> {
        let mut past = Past { values: case.values, first, second: case.seasons.get(1).copied(), above: vec![0.0] };
        let mut sum = 0.0;
        for t in 0..case.values.len() {
            let mut seen = [0.0; PROFILE];
            let count = past.seen(t, t, first, &mut seen);
            if count > 0 && case.known[t] {
                sum += case.values[t] - seen[..count].iter().sum::<f64>() / count as f64;
            }
            past.above.push(sum);
        }
        past
    }

    /// Values before `origin` at the phase of `t`, the newest first; how many.
    fn seen<const N: usize>(&self, origin: usize, t: usize, season: usize, into: &mut [f64; N]) -> usize {
        let back = (t - origin) / season + 1;
        let mut count = 0;
        while count < N && (back + count) * season <= t {
            into[count] = self.values[t - (back + count) * season];
            count += 1;
        }
        count
    }

    /// Mean of the values less their profile over the `points` before an origin.
    fn newest(&self, origin: usize, points: usize) -> f64 {
        let from = origin.saturating_sub(points);
        (self.above[origin] - self.above[from]) / (origin - from).max(1) as f64
    }

    fn features(&self, origin: usize, h: usize) -> (f64, [f64; FEATURES]) {
        let t = origin + h;
        let mut seen = [0.0; PROFILE];
        let count = self.seen(origin, t, self.first, &mut seen).max(1);
        let base = seen[..count].iter().sum::<f64>() / count as f64;
        let naive = seen[0] - base;
        let middle = median(&mut seen[..count]) - base;
        let (mut long_naive, mut long_mean) = (0.0, 0.0);
        let mut long = [0.0; LONG_PROFILE];
        if let Some(second) = self.second {
            let count = self.seen(origin, t, second, &mut long);
            if count > 0 {
                long_naive = long[0] - base;
                long_mean = long[..count].iter().sum::<f64>() / count as f64 - base;
            }
        }
        let short = (self.first / 8).max(1);
        let (now, day) = (self.newest(origin, short), self.newest(origin, self.first));
        let ahead = (h + 1) as f64;
        let fading = |points: f64| (-ahead / points).exp();
        let features = [
            naive,
            middle,
            long_naive,
            long_mean,
            now * fading(short as f64),
            now * fading(self.first as f64 / 2.0),
            day,
            day * fading(self.first as f64),
        ];
        (base, features)
    }
}
