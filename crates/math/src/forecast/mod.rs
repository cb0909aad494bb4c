//! Forecasts of one series: cheap models, weighted by how well they would have done on the series' own past.
//!
//! Idea: take the seasons that the calendar suggests or the autocorrelation shows, let every model that the history is
//! long enough for forecast from several past origins, weight the models by their errors there, say the mean of the
//! weighted middle half of them, and take the spread of that ensemble's own errors at those origins as the interval
//! (split conformal prediction; Lei et al., "Distribution-free predictive inference for regression", 2018). Nothing is
//! random: the same history gives the same forecast.
//!
//! Cost: about 2 ms for 1,000 points and 48 steps. Fails on: seasons of which hardly one is in the history (said in
//! [`Forecast::notes`]); changes that have no precedent; holidays that the caller does not name.

mod clean;
mod direct;
mod ensemble;
mod regression;
mod rules;
mod season;
mod smoothing;
mod solve;
pub mod threshold;

pub use rules::{mean, median};
pub use season::find_seasons;

/// What is known besides the values.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Seasons, in points, that the calendar would suggest (a day, a week). Models are tried with the two shortest
    /// whether the values show them or not, and weighted by how well they do; history too short for one is spoken of.
    pub expected_seasons: Vec<usize>,
    /// When the points are, where that is known: lets working days and free days be told apart from the first week on.
    pub calendar: Option<Calendar>,
    /// Lowest and highest possible value. Without it, a history that is never negative gives a forecast that is not.
    pub bounds: Option<(f64, f64)>,
}

/// Which points lie on free days.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// Time of the first point of the history: seconds since 1970 on the clock that people there go by.
    pub first_s: i64,
    /// Seconds from point to point; at least 1.
    pub step_s: u32,
    /// Free days besides Saturdays and Sundays: days since 1970-01-01.
    pub holidays: Vec<i64>,
}

impl Calendar {
    fn day_of(&self, point: usize) -> i64 {
        let since = (point as i64).saturating_mul(i64::from(self.step_s));
        self.first_s.saturating_add(since).div_euclid(86_400)
    }

    fn is_free(&self, day: i64) -> bool {
        // 1970-01-01 was a Thursday.
        (day % 7 + 3).rem_euclid(7) >= 5 || self.holidays.contains(&day)
    }

    /// Points a day, if a day is a whole number of them.
    fn points_a_day(&self) -> Option<usize> {
        (self.step_s > 0 && 86_400 % self.step_s == 0).then(|| 86_400 / self.step_s as usize)
    }

    /// The calendar of a history without its first points.
    fn after(&self, points: usize) -> Calendar {
        let cut = (points as i64).saturating_mul(i64::from(self.step_s));
        Calendar { first_s: self.first_s.saturating_add(cut), ..self.clone() }
    }
}

/// A forecast: the mean, and by [`Forecast::quantile`] any quantile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forecast {
    /// The expected value at each step.
    pub mean: Vec<f64>,
    /// Mean absolute error to expect at each step.
    pub spread: Vec<f64>,
    /// Past errors of the ensemble over their spread, sorted.
    pub errors: Vec<f64>,
    /// Models and their weights, the heaviest first; weights add up to 1.
    pub models: Vec<(&'static str, f64)>,
    /// Seasons that the values show, in points, the shortest first.
    pub seasons: Vec<usize>,
    /// Known points that it rests on.
    pub history: usize,
    /// Past origins at which the models were compared.
    pub origins: usize,
    /// What a reader must know: short history, no season, masked outages.
    pub notes: Vec<String>,
    /// Lowest and highest value that is possible.
    pub bounds: (f64, f64),
}

/// Points looked at, the newest.
const HISTORY_MOST: usize = 12_000;
/// Steps ahead at most; further ones repeat nothing and cost memory.
const HORIZON_MOST: usize = 20_000;

/// Forecasts the `horizon` values that follow `history`; not finite values are missing. A horizon beyond 20,000 is
/// cut. Without a single finite value the forecast is NaN and says why.
pub fn forecast(history: &[f64], horizon: usize, options: &Options) -> Forecast {
    let horizon = horizon.min(HORIZON_MOST);
    let newest = &history[history.len().saturating_sub(HISTORY_MOST)..];
    let Some(mut series) = clean::Series::new(newest) else {
        return Forecast {
            mean: vec![f64::NAN; horizon],
            spread: vec![f64::NAN; horizon],
            notes: vec!["no value is known: nothing can be forecast".into()],
            bounds: options.bounds.unwrap_or((f64::NEG_INFINITY, f64::INFINITY)),
            ..Forecast::default()
        };
    };
    let seasons = season::seasons_to_try(&series.values, &options.expected_seasons);
    series.fill(&seasons);
    let calendar = options.calendar.as_ref().map(|calendar| calendar.after(history.len() - series.values.len()));
    let mut said = ensemble::forecast(&series, &seasons, calendar.as_ref(), horizon.max(1));
    said.mean.truncate(horizon);
    said.spread.truncate(horizon);
    said.notes.extend(series.notes.iter().cloned());
    let notes = season_notes(series.values.len(), &said.seasons, &options.expected_seasons);
    said.notes.extend(notes);
    said.scale_back(&series, options.bounds);
    said
}

/// What the note of a season that is too long for the history says.
pub const TOO_SHORT: &str = "are less than two seasons of";

fn season_notes(points: usize, seasons: &[usize], expected: &[usize]) -> Vec<String> {
    let short = expected.iter().filter(|e| points < 2 * **e);
    let mut notes: Vec<String> =
        short.map(|e| format!("{points} points {TOO_SHORT} {e}: whether it repeats is not known yet")).collect();
    if seasons.is_empty() {
        notes.push("no season was found".into());
    }
    notes
}

impl Forecast {
    /// The quantile `p` (0..1) at each step.
    pub fn quantile(&self, p: f64) -> Vec<f64> {
        let factor = self.error_quantile(p);
        let (low, high) = self.bounds;
        let at = |(mean, spread): (&f64, &f64)| (mean + factor * spread).max(low).min(high);
        self.mean.iter().zip(&self.spread).map(at).collect()
    }

    /// Probability that the value at each step lies above a threshold, 0..=1: the share of past errors that would carry
    /// it there, never quite 0 or 1 (one more error of either kind is added).
    pub fn probability_above(&self, threshold: f64) -> Vec<f64> {
        let at = |(mean, spread): (&f64, &f64)| {
            let needed = threshold - mean;
            let below = if *spread > 0.0 {
                self.errors.partition_point(|e| e * spread <= needed)
            } else {
                if needed >= 0.0 { self.errors.len() } else { 0 }
            };
            let above = self.errors.len() - below;
            (above as f64 + 0.5) / (self.errors.len() as f64 + 1.0)
        };
        self.mean.iter().zip(&self.spread).map(at).collect()
    }

    /// Quantile of the errors over their spread. With few origins the tails are drawn out, as a conformal interval
    /// would be; beyond the outermost errors they fall off exponentially.
    fn error_quantile(&self, p: f64) -> f64 {
        let n = self.errors.len();
        if n == 0 {
            return 0.0;
        }
        let p = p.clamp(1e-6, 1.0 - 1e-6);
        let outer = 0.05_f64.max(1.0 / n as f64).min(0.5);
        let at = |p: f64| {
            let place = p * (n - 1) as f64;
            let (i, part) = (place as usize, place.fract());
            self.errors[i] + part * (self.errors[(i + 1).min(n - 1)] - self.errors[i])
        };
        let middle = at(0.5);
        let inside = p.clamp(outer, 1.0 - outer);
        let beyond = (inside.min(1.0 - inside) / p.min(1.0 - p)).ln();
        // The edge of the tail, with its own mean excess as its scale.
        let edge = at(inside);
        let excess: Vec<f64> = if inside > 0.5 {
            self.errors.iter().filter(|e| **e > edge).map(|e| e - edge).collect()
        } else {
            self.errors.iter().filter(|e| **e < edge).map(|e| edge - e).collect()
        };
        let scale = excess.iter().sum::<f64>() / excess.len().max(1) as f64;
        let tail = if beyond > 0.0 { beyond * scale.max(0.25 * (edge - middle).abs()) } else { 0.0 };
        let widened = 1.0 + 1.0 / self.origins.max(1) as f64;
        let sign = if p > 0.5 { 1.0 } else { -1.0 };
        middle + (edge - middle + sign * tail) * widened
    }

    /// Back to the units of the history, and into what is possible.
    fn scale_back(&mut self, series: &clean::Series, bounds: Option<(f64, f64)>) {
        self.bounds = bounds.unwrap_or((if series.is_negative { f64::MIN } else { 0.0 }, f64::MAX));
        let (low, high) = self.bounds;
        for value in &mut self.mean {
            *value = (*value * series.unit).max(low).min(high);
        }
        for value in &mut self.spread {
            *value = (*value * series.unit).min(f64::MAX);
        }
    }
}

/// What a model works on: values without gaps, in units of their largest, and the origins to forecast from.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    values: &'a [f64],
    /// Whether a value was really seen.
    known: &'a [bool],
    /// None, one or two; of two the second is a multiple of the first. The first is in the history once at least, the
    /// second with one of the first besides.
    seasons: &'a [usize],
    /// Ascending; a forecast from an origin uses the values before it. Parameters that are shared by all origins come
    /// from before the first.
    origins: &'a [usize],
    horizon: usize,
    calendar: Option<&'a Calendar>,
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn noise(t: usize) -> f64 {
        let mut x = (t as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x >> 40) as f64 / 16_777_216.0 - 0.5
    }

    fn daily_and_weekly(t: usize) -> f64 {
        let day = (t as f64 / 24.0 * std::f64::consts::TAU).sin();
        let weekend = if t / 24 % 7 >= 5 { -30.0 } else { 0.0 };
        100.0 + 40.0 * day + weekend
    }

    #[test]
    fn two_seasons_are_found_and_used() {
        let history: Vec<f64> = (0..28 * 24).map(|t| daily_and_weekly(t) + 6.0 * noise(t)).collect();
        let said = forecast(&history, 7 * 24, &Options::default());
        assert_eq!(said.seasons, [24, 168]);
        let error = (0..168).map(|h| (said.mean[h] - daily_and_weekly(28 * 24 + h)).abs()).sum::<f64>() / 168.0;
        assert!(error < 2.5, "mean error {error}, models {:?}", said.models);
    }

    #[test]
    fn intervals_hold_as_often_as_they_say() {
        let (mut inside, mut all) = (0, 0);
        for seed in 0..40 {
            let value = |t: usize| daily_and_weekly(t) + 30.0 * noise(t + 10_000 * seed);
            let history: Vec<f64> = (0..21 * 24).map(value).collect();
            let said = forecast(&history, 24, &Options::default());
            let (low, high) = (said.quantile(0.05), said.quantile(0.95));
            inside += (0..24).filter(|h| (low[*h]..=high[*h]).contains(&value(21 * 24 + h))).count();
            all += 24;
        }
        let share = f64::from(inside as u32) / f64::from(all);
        assert!((0.85..0.97).contains(&share), "a 90 % interval held {share}");
    }

    #[test]
    fn short_history_is_spoken_of() {
        let options = Options { expected_seasons: vec![24, 168], ..Options::default() };
        let said = forecast(&(0..40).map(daily_and_weekly).collect::<Vec<_>>(), 24, &options);
        assert!(said.seasons.is_empty());
        assert!(said.notes.iter().any(|n| n.contains("less than two seasons of 24")), "{:?}", said.notes);
        assert!(said.notes.iter().any(|n| n.contains("less than two seasons of 168")));
    }

    fn error_share(history: &[f64], horizon: usize, expected: &[usize], truth: &dyn Fn(usize) -> f64) -> f64 {
        let options = Options { expected_seasons: expected.to_vec(), ..Options::default() };
        let said = forecast(history, horizon, &options);
        let truth: Vec<f64> = (0..horizon).map(|h| truth(history.len() + h)).collect();
        let error: f64 = said.mean.iter().zip(&truth).map(|(m, v)| (m - v).abs()).sum();
        error / truth.iter().map(|v| v.abs()).sum::<f64>()
    }

    #[test]
    fn about_two_clean_seasons_are_enough() {
        let stairs = |t: usize| (40 + t / 12 % 24) as f64 + (t % 7) as f64 / 7.0;
        let wave = |t: usize| 100.0 + 40.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin() + noise(t);
        let shapes: [(usize, &dyn Fn(usize) -> f64); 2] = [(288, &stairs), (24, &wave)];
        for (season, value) in shapes {
            for (points, most) in [(1.85, 0.02), (2.0, 0.02), (2.1, 0.02), (2.5, 0.02), (3.0, 0.02)] {
                let history: Vec<f64> = (0..(points * season as f64) as usize).map(value).collect();
                for expected in [&[][..], &[season, 7 * season]] {
                    let share = error_share(&history, season, expected, value);
                    assert!(share < most, "{share} after {points} seasons of {season}, expected {expected:?}");
                }
            }
            // After one season only the calendar knows of it; it is followed in part.
            let history: Vec<f64> = (0..season).map(value).collect();
            let (known, unknown) =
                (error_share(&history, season, &[season], value), error_share(&history, season, &[], value));
            assert!(known < 0.75 * unknown, "{known} with the calendar, {unknown} without");
        }
    }

    #[test]
    fn a_second_week_is_like_the_first() {
        let history: Vec<f64> = (0..10 * 24).map(daily_and_weekly).collect();
        // The next days end with a weekend, of which one was seen.
        let share = |expected: &[usize]| error_share(&history, 96, expected, &daily_and_weekly);
        let (day, week) = (share(&[24]), share(&[24, 168]));
        assert!(week < 0.8 * day, "{week} with the week, {day} without");
    }

    #[test]
    fn the_calendar_knows_the_second_weekend_and_a_holiday() {
        // From Monday 2024-01-01 on; the first is a holiday, and so is the second Wednesday.
        let holidays = vec![19_723, 19_732];
        let calendar = Calendar { first_s: 19_723 * 86_400, step_s: 3600, holidays };
        let value = |t: usize| {
            let busy = if calendar.is_free(calendar.day_of(t)) { 30.0 } else { 100.0 };
            busy + 20.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin()
        };
        assert!((0..14).map(|d| d * 24).filter(|t| value(*t) < 60.0).eq([0, 5, 6, 9, 12, 13].map(|d| d * 24)));
        let history: Vec<f64> = (0..9 * 24).map(value).collect();
        let error = |calendar: Option<Calendar>| {
            let options = Options { expected_seasons: vec![24, 168], calendar, ..Options::default() };
            let said = forecast(&history, 24, &options);
            (0..24).map(|h| (said.mean[h] - value(9 * 24 + h)).abs()).sum::<f64>() / 24.0
        };
        let (with, without) = (error(Some(calendar.clone())), error(None));
        assert!(with < 0.6 * without, "{with} with the calendar, {without} without");
        for (first_s, step_s) in [(i64::MAX, u32::MAX), (i64::MIN, 3600), (0, 0)] {
            assert!(error(Some(Calendar { first_s, step_s, holidays: Vec::new() })).is_finite());
        }
    }

    #[test]
    fn rare_demand_is_forecast_by_its_rate() {
        let value = |t: usize| if noise(t) > 0.35 { 8.0 + 4.0 * noise(t + 5000) } else { 0.0 };
        let history: Vec<f64> = (0..500).map(value).collect();
        let said = forecast(&history, 100, &Options::default());
        let rate = history.iter().sum::<f64>() / 500.0;
        assert!(said.mean.iter().all(|v| (0.0..2.0 * rate).contains(v)), "{:?} at a rate of {rate}", &said.mean[..3]);
        assert!(said.models.iter().any(|m| m.0 == "intermittent demand"), "{:?}", said.models);
        let above = (500..600).filter(|t| value(*t) > said.quantile(0.95)[t - 500]).count();
        assert!(above <= 12, "{above} of 100 above the 95 % quantile");
    }

    #[test]
    fn what_wanders_shows_no_season() {
        let mut shown = 0;
        for seed in 0..50 {
            let mut level = 0.0;
            let walk = |t: usize| {
                level += noise(t + 10_000 * seed);
                level
            };
            let history: Vec<f64> = (0..576).map(walk).collect();
            let options = Options { expected_seasons: vec![288], ..Options::default() };
            shown += usize::from(!forecast(&history, 48, &options).seasons.is_empty());
        }
        assert!(shown <= 5, "{shown} of 50 random walks show a season");
    }

    #[test]
    fn one_path_that_runs_away_moves_nothing() {
        let mut values = [(1e300, 0.2), (2.0, 0.4), (3.0, 0.4)];
        assert!((ensemble::middle_half(&mut values) - 2.7).abs() < 0.01);
    }

    #[test]
    fn an_outage_is_masked_and_said() {
        let mut history: Vec<f64> = (0..28 * 24).map(|t| daily_and_weekly(t) + 6.0 * noise(t)).collect();
        history[500..530].fill(0.0);
        let said = forecast(&history, 24, &Options::default());
        assert!(said.notes.iter().any(|n| n.contains("outage")), "{:?}", said.notes);
        assert!((0..24).all(|h| (said.mean[h] - daily_and_weekly(28 * 24 + h)).abs() < 12.0));
    }

    #[test]
    fn bounds_are_kept() {
        let history: Vec<f64> = (0..200).map(|t| (0.004 * t as f64 + 0.05 * noise(t)).clamp(0.0, 1.0)).collect();
        let said = forecast(&history, 400, &Options { bounds: Some((0.0, 1.0)), ..Options::default() });
        assert!(said.quantile(0.999).iter().chain(&said.mean).all(|v| (0.0..=1.0).contains(v)));
        let falling: Vec<f64> = (0..100).map(|t| 100.0 - t as f64).collect();
        assert!(forecast(&falling, 50, &Options::default()).quantile(0.01).iter().all(|v| *v >= 0.0));
    }

    #[test]
    fn bad_input_gives_a_forecast_or_says_why() {
        let alternating: Vec<f64> = (0..300).map(|t| if t % 2 == 0 { 1e308 } else { -1e308 }).collect();
        let counter: Vec<f64> = (0..300).map(|t| -(t as f64) * 1e6).collect();
        let mixed: Vec<f64> = (0..300).map(|t| [f64::NAN, 1.0, f64::INFINITY, 1e308, -1e-308][t % 5]).collect();
        let cases: [&[f64]; 10] = [
            &[5.0],
            &[5.0, 6.0],
            &[7.0; 500],
            &[0.0; 500],
            &[1e308; 100],
            &[5e-324; 100],
            &alternating,
            &counter,
            &mixed,
            &[1.0, f64::NAN, f64::NAN, f64::NAN, 2.0],
        ];
        for case in cases {
            for horizon in [0, 1, 48, 3000] {
                let said = forecast(case, horizon, &Options::default());
                assert_eq!(said.mean.len(), horizon);
                for p in [0.0, 0.05, 0.5, 0.95, 1.0] {
                    assert!(said.quantile(p).iter().all(|v| v.is_finite()), "{:?} at {p}", &case[..1]);
                }
            }
        }
        assert!(forecast(&[7.0; 500], 9, &Options::default()).quantile(0.95).iter().all(|v| (v - 7.0).abs() < 1e-9));
        for nothing in [&[][..], &[f64::NAN; 4]] {
            let said = forecast(nothing, 3, &Options::default());
            assert!(said.mean.iter().all(|v| v.is_nan()) && said.mean.len() == 3 && said.notes[0].contains("no value"));
        }
        assert_eq!(forecast(&[1.0, 2.0], usize::MAX, &Options::default()).mean.len(), HORIZON_MOST);
    }

    #[test]
    fn equal_histories_give_equal_forecasts() {
        let history: Vec<f64> = (0..600).map(|t| daily_and_weekly(t) + noise(t)).collect();
        assert_eq!(forecast(&history, 48, &Options::default()), forecast(&history, 48, &Options::default()));
    }
}
