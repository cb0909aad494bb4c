//! Which series differed in a stretch of time, and from when on: what a person asks of recorded history.
//!
//! The mean of the stretch is held against the means of all windows of its length in the hours or days before it. Its
//! surprise is their rank; beyond all of them it grows with the logarithm of the distance, as a tail that falls with
//! the third power would. No season is modelled: what came at this time of day before is among the windows. When it
//! began is the change point ([`math::change_point`]) nearest to the beginning of the stretch.
//!
//! Cost: linear in the points for the ranking, and some 10,000 operations a series for the onset. Fails on: changes of
//! shape or variance that leave the mean where it was; trends (whatever grows is higher than ever).

use math::change_point::change_points;
use serde::Serialize;
use types::{DAY, Direction, HOUR, SeriesKind, Time};

use crate::grid::{self, Grid};

/// Steps into which a stretch is cut.
const STEPS: i64 = 12;
/// So many times its length is looked at before it.
const HISTORY_TIMES: i64 = 30;
/// Windows to compare with, at least.
const WINDOWS_LEAST: usize = 8;
/// Steps in which the onset is looked for, at most.
const ONSET_STEPS: usize = 240;
/// A series that hardly varied counts as if it varied by this share of its level.
const FLOOR: f64 = 0.01;
/// Power with which the chance of a distance beyond all that was seen falls.
const TAIL: f64 = 3.0;
/// Share of steps before the stretch that must have had points, for their absence to say something.
const REGULAR: f64 = 0.8;

/// How a series differed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contrast {
    /// Middle of the windows before; of totals and amounts a rate a second.
    pub before: f64,
    /// Mean of the stretch; none where nothing came.
    pub within: Option<f64>,
    /// -log10 of the share of windows that lay as far off, 0..=300.
    pub surprise: f64,
    /// Which way.
    pub direction: Direction,
    /// When it began, where a change point says so.
    pub onset: Option<Time>,
}

/// Where the history that a stretch is compared with begins.
pub fn history_from(from: Time, to: Time) -> Time {
    from.plus(-(to.since(from).saturating_mul(HISTORY_TIMES)).clamp(2 * HOUR, 14 * DAY))
}

/// Compares a stretch with what came before it. `points` (time in ns, ascending; value) begin at [`history_from`] and
/// end with the stretch. `None` where too little came before.
pub fn contrast(points: &[(i64, f64)], kind: SeriesKind, from: Time, to: Time) -> Option<Contrast> {
    let length = to.since(from);
    let width = grid::width(grid::usual_gap(points).max(length / STEPS))?;
    let grid = Grid::new(points, kind, width, to.0 + width - 1);
    // A series that stopped is not known to the end of the grid.
    let steps = ((length + width / 2) / width).max(1) as usize;
    let start = grid.values.len().checked_sub(steps)?;
    let (before, within) = grid.values.split_at(start);
    let known = before.iter().filter(|v| v.is_finite()).count();
    let mut windows: Vec<f64> = before.windows(steps).step_by(steps.div_ceil(4)).filter_map(mean).collect();
    if windows.len() < WINDOWS_LEAST {
        return None;
    }
    windows.sort_by(f64::total_cmp);
    let middle = windows[windows.len() / 2];
    let Some(here) = mean(within) else {
        let regular = known as f64 >= REGULAR * before.len() as f64;
        let surprise = ((windows.len() + 1) as f64).log10() + 1.0;
        let gone = Contrast { before: middle, within: None, surprise, direction: Direction::Silent, onset: None };
        return regular.then_some(gone);
    };
    let away = (here - middle).abs();
    let farthest = (windows[windows.len() - 1] - middle).max(middle - windows[0]).max(FLOOR * middle.abs()).max(1e-12);
    let as_far = windows.iter().filter(|w| (*w - middle).abs() >= away).count();
    let all = (windows.len() + 1) as f64;
    let surprise = if as_far > 0 || away <= farthest {
        (all / (as_far + 1) as f64).log10()
    } else {
        all.log10() + TAIL * (away / farthest).log10()
    };
    // Where even the least distance that counts was not reached, nothing differed.
    let surprise = if away <= FLOOR * middle.abs() { 0.0 } else { surprise.min(300.0) };
    Some(Contrast {
        before: middle,
        within: Some(here),
        surprise,
        direction: if here > middle { Direction::Up } else { Direction::Down },
        onset: onset(&grid, steps, width),
    })
}

/// The first change point from a stretch's length before it on.
fn onset(grid: &Grid, steps: usize, width: i64) -> Option<Time> {
    let newest = &grid.values[grid.values.len().saturating_sub((4 * steps).clamp(40, ONSET_STEPS))..];
    let from = newest.len().saturating_sub(2 * steps);
    let at = change_points(&[newest.to_vec()]).into_iter().find(|at| *at >= from)?;
    Some(Time(grid.end - (newest.len() - at) as i64 * width))
}

/// Mean of the known values; `None` where less than half are known.
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    let known = values.iter().filter(|v| v.is_finite());
    let (sum, count) = known.fold((0.0, 0), |(sum, count), v| (sum + v, count + 1));
    (2 * count >= values.len() && count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use types::{MINUTE, SECOND};

    use super::*;

    const START: i64 = 1_767_571_200 * SECOND;

    /// Two hours at a point every 10 s, and then a stretch of ten minutes.
    fn points(value: impl Fn(i64) -> Option<f64>) -> Vec<(i64, f64)> {
        (0..780).filter_map(|i| value(i).map(|v| (START + i * 10 * SECOND, v))).collect()
    }

    fn compare(points: &[(i64, f64)], kind: SeriesKind) -> Option<Contrast> {
        let from = Time(START + 120 * MINUTE);
        contrast(points, kind, from, from.plus(10 * MINUTE))
    }

    fn wave(i: i64) -> f64 {
        50.0 + 5.0 * (i as f64 / 9.0).sin() + (i * 7919 % 13) as f64 / 5.0
    }

    #[test]
    fn what_rose_is_ranked_over_what_went_on_and_its_onset_is_dated() {
        let usual = compare(&points(|i| Some(wave(i))), SeriesKind::Gauge).unwrap();
        let rose = compare(&points(|i| Some(wave(i) + if i >= 738 { 90.0 } else { 0.0 })), SeriesKind::Gauge).unwrap();
        assert!(usual.surprise < 1.0, "{usual:?}");
        assert!(rose.surprise > 3.0 && rose.direction == Direction::Up, "{rose:?}");
        let late = (rose.onset.unwrap().0 - START) as f64 / (10 * SECOND) as f64 - 738.0;
        assert!(late.abs() <= 12.0, "it began {late} points off");
    }

    #[test]
    fn a_cycle_that_was_there_before_is_no_difference() {
        let bursts = points(|i| Some(if i % 120 >= 100 { 900.0 } else { 10.0 }));
        assert!(compare(&bursts, SeriesKind::Gauge).unwrap().surprise < 1.5);
    }

    #[test]
    fn totals_are_compared_as_rates_and_silence_is_a_difference() {
        let total = points(|i| Some((i * 20 + (i - 720).max(0) * 100) as f64));
        let said = compare(&total, SeriesKind::Counter).unwrap();
        assert!((said.before - 2.0).abs() < 0.1 && (said.within.unwrap() - 12.0).abs() < 0.5, "{said:?}");
        let gone = compare(&points(|i| (i < 715).then(|| wave(i))), SeriesKind::Gauge).unwrap();
        assert_eq!((gone.direction, gone.within), (Direction::Silent, None));
    }

    #[test]
    fn bad_input_is_no_difference() {
        assert_eq!(compare(&[], SeriesKind::Gauge), None);
        assert_eq!(compare(&[(START, 1.0)], SeriesKind::Gauge), None);
        assert_eq!(compare(&points(|_| Some(f64::NAN)), SeriesKind::Gauge), None);
        assert_eq!(compare(&points(|_| Some(7.0)), SeriesKind::Gauge).unwrap().surprise, 0.0);
        let odd = compare(&points(|i| Some(if i % 2 == 0 { 1e308 } else { -1e308 })), SeriesKind::Gauge);
        assert!(odd.is_none_or(|c| c.surprise.is_finite()), "a value that is no number");
    }
}
