//! Rules without parameters: the last value, seasonal naive, mean and median profiles of the last seasons.

use super::Case;

/// Seasons that a profile looks back: a week of days.
const PROFILE: usize = 7;
/// Long seasons that a profile looks back.
const LONG_PROFILE: usize = 4;

pub(crate) fn last_value(case: &Case) -> Option<Vec<Vec<f64>>> {
    Some(case.origins.iter().map(|o| vec![case.values[o - 1]; case.horizon]).collect())
}

/// The mean of the last season, flat.
pub(crate) fn season_mean(case: &Case) -> Option<Vec<Vec<f64>>> {
    let season = *case.seasons.first()?;
    let level = |o: &usize| mean(&mut case.values[o.saturating_sub(season)..*o].to_vec());
    Some(case.origins.iter().map(|o| vec![level(o); case.horizon]).collect())
}

pub(crate) fn seasonal_naive(case: &Case) -> Option<Vec<Vec<f64>>> {
    from_profile(case, *case.seasons.first()?, 1, mean)
}

pub(crate) fn long_seasonal_naive(case: &Case) -> Option<Vec<Vec<f64>>> {
    from_long_profile(case, 1)
}

pub(crate) fn mean_profile(case: &Case) -> Option<Vec<Vec<f64>>> {
    from_profile(case, *case.seasons.first()?, PROFILE, mean)
}

pub(crate) fn median_profile(case: &Case) -> Option<Vec<Vec<f64>>> {
    from_profile(case, *case.seasons.first()?, PROFILE, median)
}

pub(crate) fn long_mean_profile(case: &Case) -> Option<Vec<Vec<f64>>> {
    from_long_profile(case, LONG_PROFILE)
}

/// Days of one kind that a profile takes, and how far back it looks for them.
const DAYS_OF_A_KIND: usize = 5;
const DAYS_BACK: usize = 28;

/// Mean of the last days of the kind that the step's day is of, working or free; of none of the kind, of the last days.
pub(crate) fn kinds_of_days(case: &Case) -> Option<Vec<Vec<f64>>> {
    let calendar = case.calendar?;
    let day = calendar.points_a_day().filter(|day| case.seasons.first() == Some(day))?;
    if *case.origins.first()? < day {
        return None;
    }
    let step = |origin: usize, t: usize| {
        let is_free = calendar.is_free(calendar.day_of(t));
        let before = || ((t - origin) / day + 1..).map(|back| back * day).take_while(|back| *back <= t).take(DAYS_BACK);
        let is_same = |back: &usize| calendar.is_free(calendar.day_of(t - back)) == is_free;
        let mut same: Vec<f64> =
            before().filter(is_same).take(DAYS_OF_A_KIND).map(|back| case.values[t - back]).collect();
        if same.is_empty() {
            same = before().take(DAYS_OF_A_KIND).map(|back| case.values[t - back]).collect();
        }
        mean(&mut same)
    };
    let path = |origin: &usize| (*origin..origin + case.horizon).map(|t| step(*origin, t)).collect();
    Some(case.origins.iter().map(path).collect())
}

/// From an origin before which no whole long season lies, the mean profile of the first.
fn from_long_profile(case: &Case, seasons: usize) -> Option<Vec<Vec<f64>>> {
    let (first, second) = (*case.seasons.first()?, *case.seasons.get(1)?);
    let origins = |is_early: bool| -> Vec<usize> {
        case.origins.iter().copied().filter(|origin| (*origin < second) == is_early).collect()
    };
    let (early, late) = (origins(true), origins(false));
    let of = |origins: &[usize], season, seasons| match origins.is_empty() {
        true => Some(Vec::new()),
        false => from_profile(&Case { origins, ..*case }, season, seasons, mean),
    };
    let mut paths = of(&early, first, PROFILE)?;
    paths.extend(of(&late, second, seasons)?);
    Some(paths)
}

fn from_profile(case: &Case, season: usize, seasons: usize, of: fn(&mut [f64]) -> f64) -> Option<Vec<Vec<f64>>> {
    if *case.origins.first()? < season {
        return None;
    }
    let path = |origin: &usize| {
        let mut path: Vec<f64> =
            (0..season.min(case.horizon)).map(|h| at(case.values, *origin, h, season, seasons, of)).collect();
        (season..case.horizon).for_each(|h| path.push(path[h - season]));
        path
    };
    Some(case.origins.iter().map(path).collect())
}

/// Mean or median of the last values at the phase of step `h` (0-based, below the season) after an origin.
fn at(values: &[f64], origin: usize, h: usize, season: usize, seasons: usize, of: fn(&mut [f64]) -> f64) -> f64 {
    let mut seen = [0.0; PROFILE];
    let mut count = 0;
    while count < seasons && (count + 1) * season <= origin + h {
        seen[count] = values[origin + h - (count + 1) * season];
        count += 1;
    }
    of(&mut seen[..count])
}

/// Mean of finite values; 0 of none.
pub fn mean(values: &mut [f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Middle of values, which it sorts; 0 of none.
pub fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.sort_unstable_by(f64::total_cmp);
    0.5 * (values[values.len() / 2] + values[(values.len() - 1) / 2])
}
