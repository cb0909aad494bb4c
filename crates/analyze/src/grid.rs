//! Points of one series on a regular grid, for methods that look at a recorded stretch as a whole.

use types::{DAY, HOUR, MINUTE, SECOND, SeriesKind};

use crate::detect::samples;

/// Widths of a step, ns.
const WIDTHS: [i64; 16] = [
    SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
];

/// The narrowest usual width of at least so many ns; none beyond a day.
pub(crate) fn width(least: i64) -> Option<i64> {
    WIDTHS.into_iter().find(|w| *w >= least)
}

/// The usual distance of points (time in ns, ascending), ns; a second where there are not two. A tenth is taken off,
/// because points come late by fractions.
pub(crate) fn usual_gap(points: &[(i64, f64)]) -> i64 {
    let mut gaps: Vec<i64> = points.windows(2).map(|w| w[1].0 - w[0].0).filter(|g| *g > 0).collect();
    let middle = gaps.len() / 2;
    let usual = if gaps.is_empty() { SECOND } else { *gaps.select_nth_unstable(middle).1 };
    usual - usual / 10
}

/// A value a step.
pub(crate) struct Grid {
    /// One a step, NaN where nothing came.
    pub values: Vec<f64>,
    /// End of the last whole step, ns.
    pub end: i64,
}

impl Grid {
    /// The mean of each whole step of `width` ns before `now`; of totals and amounts the rate a second.
    pub fn new(points: &[(i64, f64)], kind: SeriesKind, width: i64, now: i64) -> Grid {
        let end = now - now.rem_euclid(width);
        let start = points.first().map_or(end, |p| p.0 - p.0.rem_euclid(width));
        let steps = ((end - start) / width).max(0) as usize;
        let (mut sums, mut counts) = (vec![0.0; steps], vec![0_u32; steps]);
        let mut before: Option<(i64, f64)> = None;
        for &(time, value) in points.iter().filter(|p| p.1.is_finite()) {
            let last = before.replace((time, value));
            let judged = match (kind, last) {
                (SeriesKind::Gauge | SeriesKind::Derived, _) => Some(value),
                (_, last) => last.and_then(|last| samples::level(kind, last, time, value)),
            };
            let Some(value) = judged else { continue };
            let step = ((time - start) / width) as usize;
            if step < steps && value.is_finite() {
                sums[step] += value;
                counts[step] += 1;
            }
        }
        let mean = |(sum, count): (&f64, &u32)| if *count > 0 { sum / f64::from(*count) } else { f64::NAN };
        Grid { values: sums.iter().zip(&counts).map(mean).collect(), end }
    }
}
