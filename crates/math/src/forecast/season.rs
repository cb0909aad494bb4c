//! Seasons, found in the autocorrelation.
//!
//! The first season is the shortest lag at which the autocorrelation peaks nearly as far above the valley before it
//! as at its best lag. A second is looked for among the multiples of the first, in what the first leaves over.

use rustfft::{FftPlanner, num_complex::Complex};

/// Points below which no season is looked for.
const POINTS_LEAST: usize = 8;
/// Rise of the autocorrelation from the valley before it that a season needs at least.
const RISE_LEAST: f64 = 0.15;
/// What peak and valley of pure noise are apart at most, in its standard deviations.
const RISE_NOISE: f64 = 7.5;
/// Share of the best rise that a shorter lag needs to be preferred.
const RISE_SHARE: f64 = 0.6;
/// Multiples of the first season that are tried for the second.
const MULTIPLES: usize = 12;
/// Cycles below which a season must be clean: come back to itself within a share of the mean deviation.
const FEW_CYCLES: usize = 3;
const CLEAN: f64 = 0.3;
/// Share of the calendar's naive error that another season's must be below.
const DISTINCT: f64 = 0.8;
/// Share of another lag's naive error that a season's must be below, to be spoken of.
const SHOWN: f64 = 0.9;
/// A found season within this share of an expected one is that one.
const NEAR: f64 = 0.03;

/// None, one or two seasons in points, each seen about twice in the values or more; values must be finite.
pub fn find_seasons(values: &[f64], expected: &[usize]) -> Vec<usize> {
    let n = values.len();
    if n < POINTS_LEAST {
        return Vec::new();
    }
    let level = without_line(values);
    let Some(correlation) = autocorrelation(&level, (n * 2 / 3).min(n - 2)) else { return Vec::new() };
    let noise = 3.0 / (n as f64).sqrt();
    let Some(first) = first_season(&correlation, &level) else { return Vec::new() };
    let first = snap(first, n, expected);
    let cycles = n / first;
    let rest = without_profile(values, first);
    let Some(correlation) = autocorrelation(&rest, n / 2) else { return vec![first] };
    let at = |k: usize| correlation.get(k * first).copied();
    let mut valley = 1.0_f64;
    let mut best: Option<(usize, f64)> = None;
    for k in 2..=MULTIPLES.min(cycles / 2) {
        let (Some(before), Some(here)) = (at(k - 1), at(k)) else { break };
        valley = valley.min(before);
        let is_peak = here > before && at(k + 1).is_none_or(|after| here > after);
        let rise = here - valley;
        if is_peak && here > 0.0 && rise > RISE_LEAST.max(noise) && best.is_none_or(|(_, r)| rise > r / RISE_SHARE) {
            best = Some((k, rise));
        }
    }
    std::iter::once(first).chain(best.map(|(k, _)| k * first)).collect()
}

/// The seasons that models are tried with: the shortest of the calendar that is in the history once, the next where one
/// of the first is there besides, and what the values show. The calendar explains a slow wave as well as any other
/// length; a season that is none of the calendar's stands only where the values come back to themselves after it
/// clearly better than after the calendar's. How much any of them is worth, the back-test says.
pub(crate) fn seasons_to_try(values: &[f64], expected: &[usize]) -> Vec<usize> {
    let found = find_seasons(values, expected);
    let n = values.len();
    let mut calendar: Vec<usize> = expected.iter().copied().filter(|e| (2..=n).contains(e)).collect();
    calendar.sort_unstable();
    let Some(shortest) = calendar.first().copied() else { return found };
    let first = match found.first() {
        Some(own) if naive_error(values, *own) < DISTINCT * naive_error(values, shortest) => *own,
        _ => shortest,
    };
    let longer = calendar.into_iter().find(|e| *e > first && e.is_multiple_of(first) && first + e <= n);
    let own = found.get(1).copied().filter(|_| found[0] == first);
    std::iter::once(first).chain(longer.or(own)).collect()
}

/// Those of the seasons that the values show: they come back to themselves after one better than after half of it, and
/// after a second one better than after the first.
pub(crate) fn shown(values: &[f64], seasons: &[usize]) -> Vec<usize> {
    let found = find_seasons(values, seasons);
    let is_shown = |(i, season): (usize, &usize)| {
        let other = if i == 0 { (season / 2).max(1) } else { seasons[i - 1] };
        let is_evident = || naive_error(values, *season) < SHOWN * naive_error(values, other);
        found.contains(season) || FEW_CYCLES * season <= values.len() && is_evident()
    };
    { seasons.iter().enumerate() }.filter(|(i, s)| is_shown((*i, s))).map(|(_, s)| *s).collect()
}

/// Whether a season is in `n` points twice, or nearly.
fn is_seen_twice(season: usize, n: usize) -> bool {
    5 * n >= 9 * season
}

/// Mean absolute difference of the values to those one season before.
fn naive_error(values: &[f64], season: usize) -> f64 {
    let later = &values[season..];
    later.iter().zip(values).map(|(v, before)| (v - before).abs()).sum::<f64>() / later.len().max(1) as f64
}

fn first_season(correlation: &[f64], level: &[f64]) -> Option<usize> {
    let n = level.len();
    let mut valley = 1.0_f64;
    let mut peaks: Vec<(usize, f64)> = Vec::new();
    for lag in (2..correlation.len()).take_while(|lag| is_seen_twice(*lag, n)) {
        let here = correlation[lag];
        valley = valley.min(correlation[lag - 1]);
        let reach = (lag / 10).max(1);
        let around = &correlation[lag - reach..(lag + reach + 1).min(correlation.len())];
        let is_peak = around.iter().all(|c| *c <= here) && around.len() > reach + reach / 2;
        let rises = here > 0.0 && here - valley > RISE_LEAST.max(RISE_NOISE / ((n - lag) as f64).sqrt());
        // What is seen hardly twice may be any slow wander, unless it comes back to the same values.
        if is_peak && rises && (FEW_CYCLES * lag <= n || is_clean(level, lag)) {
            peaks.push((lag, here - valley));
        }
    }
    let best = peaks.iter().map(|(_, rise)| *rise).fold(0.0, f64::max);
    peaks.iter().find(|(_, rise)| *rise >= RISE_SHARE * best).map(|(lag, _)| *lag)
}

/// Whether the values, of mean 0, come back to themselves after a season, but for a steady growth.
fn is_clean(level: &[f64], season: usize) -> bool {
    let mean_size = |values: &mut dyn Iterator<Item = f64>| {
        let (sum, count) = values.fold((0.0, 0.0), |(sum, count), v| (sum + v.abs(), count + 1.0));
        sum / f64::max(count, 1.0)
    };
    let changes = || level[season..].iter().zip(level).map(|(v, before)| v - before);
    let growth = changes().sum::<f64>() / (level.len() - season) as f64;
    mean_size(&mut changes().map(|c| c - growth)) < CLEAN * mean_size(&mut level.iter().copied())
}

fn snap(season: usize, n: usize, expected: &[usize]) -> usize {
    let near = |e: &&usize| season.abs_diff(**e) as f64 <= NEAR * **e as f64 && 2 * **e <= n;
    expected.iter().find(near).copied().unwrap_or(season)
}

fn without_line(values: &[f64]) -> Vec<f64> {
    let n = values.len() as f64;
    let (center, mean) = ((n - 1.0) / 2.0, values.iter().sum::<f64>() / n);
    let products = values.iter().enumerate().map(|(t, v)| (t as f64 - center) * (v - mean));
    let slope = products.sum::<f64>() / (n * (n * n - 1.0) / 12.0).max(1.0);
    values.iter().enumerate().map(|(t, v)| v - mean - slope * (t as f64 - center)).collect()
}

/// Values less the mean at their phase.
fn without_profile(values: &[f64], season: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); season];
    for (t, v) in values.iter().enumerate() {
        let (sum, count) = &mut sums[t % season];
        (*sum, *count) = (*sum + v, *count + 1.0);
    }
    values.iter().enumerate().map(|(t, v)| v - sums[t % season].0 / sums[t % season].1).collect()
}

/// Autocorrelation at lags 0..=`lags`, by the Fourier transform; None for a constant.
fn autocorrelation(values: &[f64], lags: usize) -> Option<Vec<f64>> {
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n as f64;
    let energy: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    if energy.is_nan() || energy <= 1e-18 * n as f64 {
        return None;
    }
    let size = (2 * n).next_power_of_two();
    let mut buffer: Vec<Complex<f64>> = values.iter().map(|v| Complex::new(v - mean, 0.0)).collect();
    buffer.resize(size, Complex::default());
    let mut planner = FftPlanner::new();
    planner.plan_fft_forward(size).process(&mut buffer);
    buffer.iter_mut().for_each(|c| *c = Complex::new(c.norm_sqr(), 0.0));
    planner.plan_fft_inverse(size).process(&mut buffer);
    // Each lag over its own number of pairs, so that long seasons are not held back.
    let whole = buffer[0].re / n as f64;
    Some((0..=lags).map(|lag| buffer[lag].re / (n - lag).max(1) as f64 / whole).collect())
}

#[cfg(test)]
mod tests {
    use super::{super::tests::noise, *};

    #[test]
    fn seasons_are_found_where_they_are() {
        let wave = |period: f64| move |t: usize| (t as f64 / period * std::f64::consts::TAU).sin() + noise(t);
        let series = |f: &dyn Fn(usize) -> f64, n: usize| (0..n).map(f).collect::<Vec<_>>();
        assert_eq!(find_seasons(&series(&wave(24.0), 300), &[]), [24]);
        assert_eq!(find_seasons(&series(&wave(7.0), 100), &[]), [7]);
        let long = find_seasons(&series(&wave(288.0), 1500), &[288]);
        assert_eq!(long, [288]);
        assert!(find_seasons(&series(&noise, 600), &[24]).is_empty(), "noise has no season");
        assert!(find_seasons(&series(&|t| t as f64, 600), &[24]).is_empty(), "a line has no season");
        assert!(find_seasons(&series(&wave(24.0), 40), &[24]).is_empty(), "less than two");
    }
}
