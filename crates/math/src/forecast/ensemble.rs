//! The models, their weights by back-test, and the ensemble's own errors.

use super::{Calendar, Case, Forecast, clean::Series, direct, regression, rules, season::shown, smoothing};

/// A model: a path from each origin, or None where it does not apply.
type Model = fn(&Case) -> Option<Vec<Vec<f64>>>;

/// A model that applies, with its paths from all origins and its mean absolute error at the past ones.
struct Tried {
    name: &'static str,
    share: f64,
    paths: Vec<Vec<f64>>,
    error: f64,
}

/// What each is called, and what it counts beside the others at equal errors. Near copies (three that follow the level,
/// two profiles of each season) count one over the root of their number, so that no opinion wins by being repeated.
const MODELS: [(&str, f64, Model); 14] = [
    ("last value", 0.58, rules::last_value),
    ("mean of the last season", 1.0, rules::season_mean),
    ("damped trend", 0.58, smoothing::damped_trend),
    ("theta", 0.58, smoothing::theta),
    ("intermittent demand", 1.0, smoothing::intermittent),
    ("seasonal naive", 1.0, rules::seasonal_naive),
    ("long seasonal naive", 0.71, rules::long_seasonal_naive),
    ("mean profile", 0.71, rules::mean_profile),
    ("median profile", 0.71, rules::median_profile),
    ("kinds of days", 1.0, rules::kinds_of_days),
    ("long mean profile", 0.71, rules::long_mean_profile),
    ("seasonal smoothing", 1.0, smoothing::seasons),
    ("regression on its past", 1.0, regression::own_past),
    ("levels and profiles", 1.0, direct::levels_and_profiles),
];

/// Past origins at most.
const ORIGINS: usize = 7;
/// How sharply weight falls with error: weight is the least error over the error, to a power that grows with the number
/// of origins, since a few tell good models from lucky ones hardly.
const SHARPNESS: f64 = 1.0;
const SHARPNESS_AN_ORIGIN: f64 = 0.25;
/// Models whose error is so many times the least are left out.
const ERROR_MOST: f64 = 3.0;

/// Share of the weight that is left out at either end of the models' range.
const TRIMMED: f64 = 0.25;

/// Forecasts in the units of `series`.
pub(crate) fn forecast(series: &Series, seasons: &[usize], calendar: Option<&Calendar>, horizon: usize) -> Forecast {
    let n = series.values.len();
    let tested = tested_steps(n, horizon);
    let mut origins = past_origins(n, tested, seasons);
    let past = origins.len();
    origins.push(n);
    let case = Case { values: &series.values, known: &series.known, seasons, origins: &origins, horizon, calendar };
    let mut models: Vec<Tried> = Vec::new();
    for (name, share, model) in MODELS {
        if let Some(paths) = model(&case).filter(|paths| paths.iter().flatten().all(|v| v.is_finite())) {
            let error = backtest_error(series, &origins[..past], tested, &paths);
            models.push(Tried { name, share, paths, error });
        }
    }
    let weights = if past > 0 { weights(&models, past) } else { plainest(&models) };
    let mixed: Vec<Vec<f64>> = (0..=past).map(|k| mix(&models, &weights, k, horizon)).collect();
    let mut said = Forecast {
        mean: mixed[past].clone(),
        seasons: shown(&series.values, seasons),
        history: series.known.iter().filter(|k| **k).count(),
        origins: past,
        ..Forecast::default()
    };
    said.models = models.iter().zip(&weights).filter(|(_, w)| **w > 0.0).map(|(m, w)| (m.name, *w)).collect();
    said.models.sort_by(|a, b| b.1.total_cmp(&a.1));
    if past == 0 {
        let names: Vec<&str> = said.models.iter().map(|m| m.0).collect();
        said.notes.push(format!("{n} points are too few to compare models: it is the {}", names.join(" and the ")));
    }
    (said.spread, said.errors) = errors(series, &origins[..past], tested, &mixed, horizon, seasons);
    said
}

/// Steps that can be tested on so short a past.
fn tested_steps(n: usize, horizon: usize) -> usize {
    horizon.min(n / 4).max(1)
}

/// Origins one season apart (so that they stand at today's phase), the oldest first. Two seasons lie before each where
/// the history is long enough, else one.
fn past_origins(n: usize, tested: usize, seasons: &[usize]) -> Vec<usize> {
    let stride = seasons.first().copied().unwrap_or((tested / 2).max(1));
    let after = |least: usize| -> Vec<usize> {
        let origins = (0..ORIGINS).map_while(|k| n.checked_sub(tested + k * stride));
        let mut origins: Vec<usize> = origins.filter(|o| *o >= least.max(n / 3)).collect();
        origins.reverse();
        origins
    };
    let Some(season) = seasons.first() else { return after(4) };
    let origins = after(2 * season);
    if origins.is_empty() { after(*season) } else { origins }
}

/// Weights where there is nothing to compare by: the last value, and as much of what does better if the season that
/// the calendar suggests is there.
fn plainest(models: &[Tried]) -> Vec<f64> {
    let is_plain = |m: &&Tried| ["last value", "mean of the last season", "seasonal naive"].contains(&m.name);
    let count = models.iter().filter(is_plain).count().max(1);
    models.iter().map(|m| if is_plain(&m) { 1.0 / count as f64 } else { 0.0 }).collect()
}

fn backtest_error(series: &Series, origins: &[usize], tested: usize, paths: &[Vec<f64>]) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for (origin, path) in origins.iter().zip(paths) {
        for (h, said) in path.iter().enumerate().take(tested).filter(|(h, _)| series.known[origin + h]) {
            sum += (series.values[origin + h] - said).abs();
            count += 1.0;
        }
    }
    if count > 0.0 { sum / count } else { 0.0 }
}

fn weights(models: &[Tried], origins: usize) -> Vec<f64> {
    let least = models.iter().map(|m| m.error).fold(f64::INFINITY, f64::min).max(1e-12);
    let sharpness = SHARPNESS + SHARPNESS_AN_ORIGIN * origins as f64;
    let weight = |model: &Tried| {
        let ratio = model.error.max(1e-12) / least;
        if ratio > ERROR_MOST { 0.0 } else { model.share * ratio.powf(-sharpness) }
    };
    let weights: Vec<f64> = models.iter().map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

/// At each step the mean of the models' middle half: their paths in order of value, each as wide as its weight, without
/// the quarters at both ends. Between mean and median, so that a single path that runs away moves nothing (as in
/// Petropoulos and Svetunkov, "A simple combination of univariate models", 2020, who take the median).
fn mix(models: &[Tried], weights: &[f64], origin: usize, horizon: usize) -> Vec<f64> {
    let used: Vec<(&[f64], f64)> = models
        .iter()
        .zip(weights)
        .filter(|(_, weight)| **weight > 0.0)
        .map(|(model, weight)| (model.paths[origin].as_slice(), *weight))
        .collect();
    let mut said = Vec::with_capacity(used.len());
    let at = |h: usize| {
        said.clear();
        said.extend(used.iter().map(|(path, weight)| (path[h], *weight)));
        middle_half(&mut said)
    };
    (0..horizon).map(at).collect()
}

/// Mean of the middle half of weighted values; weights add up to 1.
pub(super) fn middle_half(values: &mut [(f64, f64)]) -> f64 {
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut sum) = (0.0, (0.0, 0.0));
    for (value, weight) in values {
        let inside = (below + *weight).min(1.0 - TRIMMED) - below.max(TRIMMED);
        if inside > 0.0 {
            sum = (sum.0 + inside * *value, sum.1 + inside);
        }
        below += *weight;
    }
    sum.0 / sum.1
}

/// The spread by step, smoothed over its neighbours, and all errors over it, sorted.
fn errors(
    series: &Series,
    origins: &[usize],
    tested: usize,
    mixed: &[Vec<f64>],
    horizon: usize,
    seasons: &[usize],
) -> (Vec<f64>, Vec<f64>) {
    let error = |k: usize, h: usize| {
        let t = origins[k] + h;
        series.known[t].then(|| series.values[t] - mixed[k][h])
    };
    let mut by_step: Vec<(f64, f64)> = vec![(0.0, 0.0); tested];
    for (h, sum) in by_step.iter_mut().enumerate() {
        for error in (0..origins.len()).filter_map(|k| error(k, h)) {
            *sum = (sum.0 + error.abs(), sum.1 + 1.0);
        }
    }
    let all = by_step.iter().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    let overall = if all.1 > 0.0 { all.0 / all.1 } else { typical_change(&series.values) };
    let reach = (tested / 12).max(1);
    let near = |h: usize| {
        let around = &by_step[h.saturating_sub(reach)..(h + reach + 1).min(tested)];
        // Drawn towards the whole, as if that had been seen a few times.
        let (sum, count) = around.iter().fold((3.0 * overall, 3.0), |a, b| (a.0 + b.0, a.1 + b.1));
        sum / count
    };
    let mut spread: Vec<f64> = (0..tested.min(horizon)).map(near).collect();
    let last = spread.last().copied().unwrap_or(overall);
    for h in spread.len()..horizon {
        let grows = if seasons.is_empty() { ((h + 1) as f64 / tested as f64).sqrt() } else { 1.0 };
        spread.push(last.max(overall) * grows);
    }
    let mut errors: Vec<f64> = (0..origins.len())
        .flat_map(|k| (0..tested.min(horizon)).map(move |h| (k, h)))
        .filter_map(|(k, h)| error(k, h).map(|e| if spread[h] > 0.0 { e / spread[h] } else { 0.0 }))
        .collect();
    if errors.is_empty() {
        // Without a test: as if they were Laplace distributed around the forecast.
        errors = (1..20)
            .map(|i| i as f64 / 20.0)
            .map(|p| if p < 0.5 { (2.0 * p).ln() } else { -(2.0 - 2.0 * p).ln() })
            .collect();
    }
    errors.sort_by(f64::total_cmp);
    (spread, errors)
}

fn typical_change(values: &[f64]) -> f64 {
    let sum: f64 = values.windows(2).map(|w| (w[1] - w[0]).abs()).sum();
    sum / values.len().saturating_sub(1).max(1) as f64
}
