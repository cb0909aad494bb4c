//! How one series may go on: what a person asks for, not an analysis that runs by itself.
//!
//! The points are brought onto a grid (amounts and totals as rates), [`math::forecast`] says how they may go on, and
//! where a threshold is named, when it may be reached: from the forecast's own errors where a season was found, from
//! [`math::forecast::threshold`] where there is none. A day and a week are tried as seasons where the grid allows.
//!
//! Cost: that of one forecast of at most 4,000 points and 500 steps, some milliseconds. Fails on: what the forecast
//! fails on; a gauge that changes its meaning within the history.

use math::forecast::{self, Calendar, Forecast, Options, threshold};
use serde::Serialize;
use types::{DAY, SECOND, SeriesKind, Time};

use crate::grid::{self, Grid};

/// Points of history at most; the step is widened until they suffice.
const HISTORY_MOST: i64 = 4_000;
/// Steps ahead at most.
const STEPS_MOST: i64 = 500;
/// Points of history at least.
const HISTORY_LEAST: usize = 3;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// History is looked at from here on.
    pub from: Time,
    /// Forecast from here on; later points are left out.
    pub now: Time,
    /// How far ahead, ns, above 0.
    pub horizon_ns: i64,
    /// Share of future points that the interval should hold, 0.5..0.999.
    pub confidence: f64,
    /// A value of which is asked when it is reached, from wherever the series stands now.
    pub threshold: Option<f64>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outlook {
    /// Seconds between two steps.
    pub step_s: i64,
    /// Points on the grid that were known.
    pub history: usize,
    /// Share of future points that `low` to `high` should hold.
    pub confidence: f64,
    /// The newest of the history on the grid, twice as many steps as are forecast: start of the step and its value, none
    /// where nothing came.
    pub past: Vec<(Time, Option<f64>)>,
    /// One a step.
    pub steps: Vec<Step>,
    /// Models and their weights, the heaviest first; weights add up to 1.
    pub models: Vec<Weight>,
    /// Seasons found, s, the shortest first.
    pub seasons_s: Vec<i64>,
    /// Past origins at which the models were compared.
    pub origins: usize,
    /// What a reader must know: short history, no season, masked outages.
    pub notes: Vec<String>,
    /// When the threshold is reached, where one was named.
    pub reach: Option<Reach>,
}

/// What is expected at one time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Start of the step.
    pub time: Time,
    /// Expected value; of totals and amounts a rate a second.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A model's part in the forecast.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Weight {
    /// The model.
    pub model: &'static str,
    /// 0..=1.
    pub weight: f64,
}

/// When a threshold is reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reach {
    /// The value.
    pub threshold: f64,
    /// Whether it is reached from below.
    pub rising: bool,
    /// Probability that it is reached within the horizon, 0..=1.
    pub probability: f64,
    /// Probability that it is reached by the end of each step.
    pub by_step: Vec<f64>,
    /// By when it is reached with a probability of 10, 50 and 90 %, within the horizon.
    pub by: [Option<Time>; 3],
    /// What was seen: resets, new growth.
    pub notes: Vec<&'static str>,
}

/// How a series of points (time in ns, ascending; value) may go on.
///
/// # Errors
/// Says what is missing where there are fewer than three points on the grid, or the question makes no sense.
pub fn outlook(points: &[(i64, f64)], kind: SeriesKind, question: &Question) -> Result<Outlook, String> {
    if question.horizon_ns < SECOND || question.now <= question.from {
        return Err("the horizon must be a second at least, and the history must begin before now".into());
    }
    if !(0.5..0.999_1).contains(&question.confidence) {
        return Err(format!("the confidence must lie within 0.5 and 0.999, not {}", question.confidence));
    }
    if question.threshold.is_some_and(|t| !t.is_finite()) {
        return Err("the threshold must be a number".into());
    }
    let points = within(points, question);
    let Some(width) = width(points, question) else {
        return Err(format!("the horizon is too far for a step of a day: {STEPS_MOST} days at most"));
    };
    let grid = Grid::new(points, kind, width, question.now.0);
    let known = grid.values.iter().filter(|v| v.is_finite()).count();
    if known < HISTORY_LEAST {
        return Err(format!(
            "{known} points are too few to forecast from ({HISTORY_LEAST} at least, one every {} s): ask for a longer history",
            width / SECOND
        ));
    }
    let steps = (question.horizon_ns + width - 1) / width;
    let seasons = [DAY, 7 * DAY].into_iter().filter(|s| s % width == 0 && s / width >= 4);
    let options = Options {
        expected_seasons: seasons.map(|s| (s / width) as usize).collect(),
        calendar: Some(calendar(&grid, width, steps)),
        ..Options::default()
    };
    let said = forecast::forecast(&grid.values, steps as usize, &options);
    let time = |step: usize| Time(grid.end + step as i64 * width);
    let tail = (1.0 - question.confidence) / 2.0;
    let (low, high) = (said.quantile(tail), said.quantile(1.0 - tail));
    let step = |(i, mean): (usize, &f64)| Step { time: time(i), mean: *mean, low: low[i], high: high[i] };
    let newest = grid.values.len().saturating_sub(2 * steps as usize);
    let past = grid.values.iter().enumerate().skip(newest).map(|(i, value)| {
        (Time(grid.end - (grid.values.len() - i) as i64 * width), Some(*value).filter(|v| v.is_finite()))
    });
    Ok(Outlook {
        past: past.collect(),
        step_s: width / SECOND,
        history: known,
        confidence: question.confidence,
        steps: said.mean.iter().enumerate().map(step).collect(),
        models: said.models.iter().map(|(model, weight)| Weight { model, weight: *weight }).collect(),
        seasons_s: said.seasons.iter().map(|s| *s as i64 * width / SECOND).collect(),
        origins: said.origins,
        notes: notes(&said, width, grid.values.len()),
        reach: question.threshold.map(|t| reach(&grid, &said, t, width)),
    })
}

/// Which days are free: those of [`math::calendar`] count, though nobody said whether this series keeps them.
fn calendar(grid: &Grid, width: i64, steps: i64) -> Calendar {
    let first = grid.end - grid.values.len() as i64 * width;
    let days = first.div_euclid(DAY)..=(grid.end + steps * width).div_euclid(DAY);
    Calendar {
        first_s: first / SECOND,
        step_s: (width / SECOND) as u32,
        holidays: days.filter(|day| math::calendar::holiday(*day).is_some()).collect(),
    }
}

/// The forecast's notes, with what it says of seasons in days.
fn notes(said: &Forecast, width: i64, points: usize) -> Vec<String> {
    let mut notes: Vec<String> = said.notes.iter().filter(|n| !n.contains(forecast::TOO_SHORT)).cloned().collect();
    for (length, cycle) in [(DAY, "daily"), (7 * DAY, "weekly")] {
        if (points as i64) * width < 2 * length {
            let days = 2 * length / DAY;
            notes.push(format!("a {cycle} cycle cannot be known yet: it takes {days} days of history"));
        }
    }
    notes
}

fn within<'a>(points: &'a [(i64, f64)], question: &Question) -> &'a [(i64, f64)] {
    let from = points.partition_point(|p| p.0 < question.from.0);
    let to = points.partition_point(|p| p.0 < question.now.0);
    &points[from.min(to)..to]
}

/// The narrowest step that is not below the usual distance of points and makes neither history nor forecast too long.
fn width(points: &[(i64, f64)], question: &Question) -> Option<i64> {
    let length = points.last().map_or(0, |l| l.0 - points[0].0);
    let least = grid::usual_gap(points).max(length / HISTORY_MOST).max((question.horizon_ns - 1) / STEPS_MOST + 1);
    grid::width(least)
}

fn reach(grid: &Grid, said: &Forecast, threshold: f64, width: i64) -> Reach {
    let last = grid.values.iter().rev().copied().find(|v| v.is_finite()).unwrap_or(0.0);
    let rising = last < threshold;
    let sign = if rising { 1.0 } else { -1.0 };
    let horizons: Vec<f64> = (1..=said.mean.len()).map(|h| h as f64).collect();
    let (by_step, notes) = if said.seasons.is_empty() {
        let values: Vec<f64> = grid.values.iter().map(|v| sign * v).collect();
        let crossing = threshold::crossing(&values, sign * threshold, &horizons);
        (crossing.probability, crossing.notes)
    } else {
        let above = said.probability_above(threshold);
        let mut most: f64 = 0.0;
        let by = above.iter().map(|p| {
            most = most.max(if rising { *p } else { 1.0 - p });
            most
        });
        (by.collect(), Vec::new())
    };
    let when = |p: f64| by_step.iter().position(|b| *b >= p).map(|i| Time(grid.end + (i as i64 + 1) * width));
    Reach {
        threshold,
        rising,
        probability: by_step.last().copied().unwrap_or(0.0),
        by: [when(0.1), when(0.5), when(0.9)],
        by_step,
        notes,
    }
}

#[cfg(test)]
mod tests {
    use types::{HOUR, MINUTE};

    use super::*;

    const START: i64 = 1_767_571_200 * SECOND;

    fn points(every: i64, count: usize, value: impl Fn(f64) -> f64) -> Vec<(i64, f64)> {
        (0..count as i64).map(|i| (START + i * every, value((i * every) as f64 / HOUR as f64))).collect()
    }

    fn question(points: &[(i64, f64)], horizon_ns: i64, threshold: Option<f64>) -> Question {
        let now = Time(points.last().map_or(START + HOUR, |p| p.0 + 1));
        Question { from: Time(START), now, horizon_ns, confidence: 0.9, threshold }
    }

    fn wave(hours: f64) -> f64 {
        100.0 + 40.0 * (hours / 24.0 * std::f64::consts::TAU).sin() + (hours * 7.3).sin()
    }

    #[test]
    fn a_daily_cycle_goes_on_and_its_peak_says_when_a_threshold_is_reached() {
        let known = points(5 * MINUTE, 5 * 288, wave);
        let said = outlook(&known, SeriesKind::Gauge, &question(&known, DAY, Some(130.0))).unwrap();
        assert_eq!((said.step_s, said.steps.len()), (300, 288));
        assert_eq!(said.seasons_s, [86_400]);
        assert_eq!(said.past.len(), 576);
        assert_eq!(said.past[575].0.0 + 5 * MINUTE, said.steps[0].time.0);
        assert!(said.notes.iter().any(|n| n.starts_with("a weekly cycle cannot be known yet")), "{:?}", said.notes);
        let error = said.steps.iter().map(|s| (s.mean - wave((s.time.0 - START) as f64 / HOUR as f64)).abs());
        assert!(error.sum::<f64>() / 288.0 < 2.0, "{:?}", said.models);
        let reach = said.reach.unwrap();
        let hours = (reach.by[1].unwrap().0 - START) as f64 / HOUR as f64 % 24.0;
        assert!(reach.rising && reach.probability > 0.9, "{reach:?}");
        assert!((hours - 3.2).abs() < 0.7, "the wave reaches 130 at 3:14, said {hours}");
    }

    #[test]
    fn a_total_is_forecast_as_its_rate_over_its_restarts() {
        let mut total = 0.0;
        let mut known = points(MINUTE, 600, |_| 0.0);
        for (i, point) in known.iter_mut().enumerate() {
            total = if i == 300 { 0.0 } else { total + 120.0 };
            point.1 = total;
        }
        let said = outlook(&known, SeriesKind::Counter, &question(&known, HOUR, None)).unwrap();
        assert!(said.steps.iter().all(|s| (s.mean - 2.0).abs() < 0.05), "{:?}", said.steps[0]);
    }

    #[test]
    fn growth_reaches_a_threshold_and_falling_does_too() {
        let known = points(10 * MINUTE, 6 * 48, |hours| 20.0 + hours);
        let said = outlook(&known, SeriesKind::Gauge, &question(&known, DAY, Some(80.0))).unwrap().reach.unwrap();
        let hours = (said.by[1].unwrap().0 - known[known.len() - 1].0) as f64 / HOUR as f64;
        assert!((10.0..16.0).contains(&hours), "it takes 12 h, said {hours}");
        let falling: Vec<(i64, f64)> = known.iter().map(|(t, v)| (*t, 200.0 - v)).collect();
        let said = outlook(&falling, SeriesKind::Gauge, &question(&falling, DAY, Some(120.0))).unwrap().reach.unwrap();
        assert!(!said.rising && said.probability > 0.5, "{said:?}");
    }

    #[test]
    fn what_cannot_be_forecast_says_why() {
        let known = points(MINUTE, 2, |_| 1.0);
        let error = outlook(&known, SeriesKind::Gauge, &question(&known, HOUR, None)).unwrap_err();
        assert!(error.contains("too few"), "{error}");
        let known = points(MINUTE, 60, |_| f64::NAN);
        assert!(outlook(&known, SeriesKind::Gauge, &question(&known, HOUR, None)).is_err());
        let known = points(MINUTE, 60, |hours| hours);
        assert!(
            outlook(&known, SeriesKind::Gauge, &question(&known, 501 * DAY, None)).unwrap_err().contains("too far")
        );
        assert!(outlook(&known, SeriesKind::Gauge, &question(&known, HOUR, Some(f64::NAN))).is_err());
        let backwards = Question { from: Time(START + DAY), ..question(&known, HOUR, None) };
        assert!(outlook(&known, SeriesKind::Gauge, &backwards).is_err());
        let odd = points(MINUTE, 60, |hours| if hours > 0.5 { 1e308 } else { -1e308 });
        let said = outlook(&odd, SeriesKind::Gauge, &question(&odd, HOUR, Some(0.0))).unwrap();
        assert!(said.steps.iter().all(|s| s.mean.is_finite() && s.low <= s.high));
    }
}
