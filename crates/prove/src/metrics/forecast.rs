//! Forecast errors: sMAPE, MASE, OWA, WAPE, pinball.
//!
//! sMAPE, MASE and OWA are as the M4 competition defines them (Makridakis, Spiliotis and Assimakopoulos, "The M4
//! Competition: 100,000 time series and 61 forecasting methods", 2020). Steps whose actual value is not finite are
//! left out everywhere.

/// Symmetric mean absolute percentage error, 0..=200: the mean of 200 |y - f| / (|y| + |f|); a step at which both are
/// 0 counts 0. NaN without a step.
pub fn smape(actual: &[f64], forecast: &[f64]) -> f64 {
    mean(pairs(actual, forecast).map(|(y, f)| {
        let size = y.abs() + f.abs();
        if size > 0.0 { 200.0 * (y - f).abs() / size } else { 0.0 }
    }))
}

/// Mean absolute scaled error: the mean absolute error over that of the seasonal naive within `history`. NaN where
/// the history is shorter than a season or repeats exactly.
pub fn mase(actual: &[f64], forecast: &[f64], history: &[f64], season: usize) -> f64 {
    let scale = seasonal_scale(history, season);
    if scale > 0.0 { mean(pairs(actual, forecast).map(|(y, f)| (y - f).abs())) / scale } else { f64::NAN }
}

/// Mean absolute difference of a history to itself one season before.
pub fn seasonal_scale(history: &[f64], season: usize) -> f64 {
    let later = history.get(season..).unwrap_or(&[]);
    mean(pairs(later, history).map(|(y, before)| (y - before).abs()))
}

/// Overall weighted average: half of sMAPE over naive 2's and half of MASE over naive 2's; each is first averaged over
/// all series.
pub fn owa(smape: f64, mase: f64, naive2_smape: f64, naive2_mase: f64) -> f64 {
    0.5 * (smape / naive2_smape + mase / naive2_mase)
}

/// Weighted absolute percentage error: the sum of |y - f| over the sum of |y|. NaN where all actual values are 0.
pub fn wape(actual: &[f64], forecast: &[f64]) -> f64 {
    let (error, size) = pairs(actual, forecast).fold((0.0, 0.0), |(e, s), (y, f)| (e + (y - f).abs(), s + y.abs()));
    if size > 0.0 { error / size } else { f64::NAN }
}

/// Mean pinball loss of forecasts of a quantile (0..1): at 0.5 half of the mean absolute error.
pub fn pinball(actual: &[f64], forecast: &[f64], quantile: f64) -> f64 {
    mean(pairs(actual, forecast).map(|(y, f)| ((y - f) * quantile).max((f - y) * (1.0 - quantile))))
}

/// M4's naive 2: the last value, of the series without its season where it has one. The season is tested at lag
/// `season` of the autocorrelation with 90 % confidence and taken out by classical multiplicative decomposition.
pub fn naive2(history: &[f64], season: usize, horizon: usize) -> Vec<f64> {
    let indices = if is_seasonal(history, season) { seasonal_indices(history, season) } else { vec![1.0] };
    let (n, m) = (history.len(), indices.len());
    let Some(last) = history.last() else { return vec![f64::NAN; horizon] };
    let level = last / indices[(n - 1) % m];
    (0..horizon).map(|h| level * indices[(n + h) % m]).collect()
}

/// M4's test of seasonality.
fn is_seasonal(history: &[f64], season: usize) -> bool {
    let n = history.len();
    if season < 2 || n < 3 * season {
        return false;
    }
    let center = mean(history.iter().copied());
    let total: f64 = history.iter().map(|v| (v - center).powi(2)).sum();
    let correlation =
        |lag: usize| history[lag..].iter().zip(history).map(|(a, b)| (a - center) * (b - center)).sum::<f64>() / total;
    let below: f64 = (1..season).map(|lag| correlation(lag).powi(2)).sum();
    let limit = 1.645 * ((1.0 + 2.0 * below) / n as f64).sqrt();
    correlation(season).abs() > limit
}

/// Multiplicative seasonal indices with mean 1: values over a centred moving average of one season.
fn seasonal_indices(history: &[f64], season: usize) -> Vec<f64> {
    let half = season / 2;
    let mut sums = vec![(0.0, 0usize); season];
    for t in half..history.len().saturating_sub(half) {
        let window = &history[t - half..=t + half];
        let mut sum: f64 = window.iter().sum();
        if season.is_multiple_of(2) {
            sum -= 0.5 * (window[0] + window[window.len() - 1]);
        }
        let ratio = history[t] * season as f64 / sum;
        sums[t % season] = (sums[t % season].0 + ratio, sums[t % season].1 + 1);
    }
    let means: Vec<f64> = sums.iter().map(|(sum, count)| sum / (*count).max(1) as f64).collect();
    let whole = mean(means.iter().copied());
    means.iter().map(|m| m / whole).collect()
}

fn pairs<'a>(actual: &'a [f64], forecast: &'a [f64]) -> impl Iterator<Item = (f64, f64)> + 'a {
    actual.iter().copied().zip(forecast.iter().copied()).filter(|(y, _)| y.is_finite())
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), v| (sum + v, count + 1));
    sum / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_as_computed_by_hand() {
        let (actual, forecast) = ([10.0, 20.0, 0.0, f64::NAN], [12.0, 15.0, 0.0, 7.0]);
        let by_hand = (200.0 * 2.0 / 22.0 + 200.0 * 5.0 / 35.0) / 3.0;
        assert!((smape(&actual, &forecast) - by_hand).abs() < 1e-12);
        assert!((wape(&actual, &forecast) - 7.0 / 30.0).abs() < 1e-12);
        let history = [1.0, 2.0, 3.0, 5.0];
        assert!((seasonal_scale(&history, 2) - 2.5).abs() < 1e-12);
        assert!((mase(&actual, &forecast, &history, 2) - 7.0 / 3.0 / 2.5).abs() < 1e-12);
        assert!((pinball(&actual, &forecast, 0.9) - (2.0 * 0.1 + 5.0 * 0.9) / 3.0).abs() < 1e-12);
        assert!((pinball(&actual, &forecast, 0.5) - 7.0 / 3.0 / 2.0).abs() < 1e-12);
        assert!(wape(&[0.0], &[1.0]).is_nan() && mase(&[1.0], &[1.0], &[3.0], 1).is_nan());
        assert!(smape(&[], &[]).is_nan());
    }

    /// The published M4 hourly means of the seasonal naive (13.912, 1.193) and of naive 2 (18.383, 2.395) give the
    /// OWA of .628 that the evaluation tables carry.
    #[test]
    fn owa_of_the_published_seasonal_naive() {
        assert!((owa(13.912, 1.193, 18.383, 2.395) - 0.628).abs() < 1e-3);
    }

    #[test]
    fn naive_2_takes_the_season_out_and_puts_it_back() {
        let pattern = [0.5, 1.0, 1.5, 1.0];
        let history: Vec<f64> = (0..40).map(|t| 8.0 * pattern[t % 4]).collect();
        let said = naive2(&history[..39], 4, 5);
        let expected = [8.0, 4.0, 8.0, 12.0, 8.0];
        assert!(said.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{said:?}");
        assert_eq!(naive2(&[1.0, 5.0, 2.0, 7.0], 4, 2), [7.0, 7.0], "too short for a season");
        assert!(naive2(&[], 4, 1)[0].is_nan());
    }
}
