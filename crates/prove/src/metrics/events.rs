//! Events: runs of flagged points against runs of labelled ones.
//!
//! An event is a maximal run of labelled points, an alarm a maximal run of flagged points. An event is found if any
//! flagged point lies in it. An alarm is right if any of its points lies in an event, however long it is; so a flag on
//! every point is one right alarm and has an F1 of 1. That is why `point_f1` stands beside it, whose precision counts
//! points and which gives such a flag no more than the share of labelled points deserves.

use std::ops::Range;

/// What alarms did with the events of one series. All figures but the delay are 0..=1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Events {
    /// Number of labelled runs.
    pub events: usize,
    /// Number of flagged runs.
    pub alarms: usize,
    /// Share of alarms that touch an event; 0 without an alarm.
    pub precision: f64,
    /// Share of events found; NaN without an event.
    pub recall: f64,
    /// Harmonic mean of both; NaN without an event.
    pub f1: f64,
    /// Harmonic mean of the recall of events and the precision of points (composite F1: Garg et al., "An evaluation of
    /// anomaly detection and diagnosis in multivariate time series", 2021); NaN without an event.
    pub point_f1: f64,
    /// Points from an event's start to its first flagged point, mean over the events found; NaN if none was.
    pub delay: f64,
}

/// Compares flags with labels of the same points; what the longer has more is left out.
pub fn events(flags: &[bool], labels: &[bool]) -> Events {
    let count = flags.len().min(labels.len());
    let (flags, labels) = (&flags[..count], &labels[..count]);
    let (labelled, flagged) = (runs(labels), runs(flags));
    let delays: Vec<usize> =
        labelled.iter().filter_map(|run| flags[run.clone()].iter().position(|flag| *flag)).collect();
    let right = flagged.iter().filter(|run| labels[(*run).clone()].contains(&true)).count();
    let points = flags.iter().filter(|flag| **flag).count();
    let hits = flags.iter().zip(labels).filter(|(flag, label)| **flag && **label).count();
    let precision = share(right, flagged.len());
    let recall = if labelled.is_empty() { f64::NAN } else { share(delays.len(), labelled.len()) };
    Events {
        events: labelled.len(),
        alarms: flagged.len(),
        precision,
        recall,
        f1: harmonic(precision, recall),
        point_f1: harmonic(share(hits, points), recall),
        delay: if delays.is_empty() { f64::NAN } else { delays.iter().sum::<usize>() as f64 / delays.len() as f64 },
    }
}

/// The maximal runs of `true`, in order.
pub fn runs(marks: &[bool]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (i, _) in marks.iter().enumerate().filter(|(_, mark)| **mark) {
        match found.last_mut() {
            Some(run) if run.end == i => run.end = i + 1,
            _ => found.push(i..i + 1),
        }
    }
    found
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn harmonic(a: f64, b: f64) -> f64 {
    if a + b == 0.0 { 0.0 } else { 2.0 * a * b / (a + b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(text: &str) -> Vec<bool> {
        text.chars().map(|c| c == '#').collect()
    }

    #[test]
    fn events_by_hand() {
        // Three events, two found, each after 2 points; four alarms, two of them right.
        let found = events(&marks("....##.#..#..#..."), &marks("..###...####...##"));
        assert_eq!((found.events, found.alarms), (3, 4));
        assert_eq!(found.precision, 2.0 / 4.0);
        assert_eq!(found.recall, 2.0 / 3.0);
        assert!((found.f1 - 4.0 / 7.0).abs() < 1e-12);
        assert_eq!(found.delay, 2.0);
        // Two of five flagged points are labelled: 2 · .4 · .667 / 1.067.
        assert!((found.point_f1 - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_flag_on_every_point_is_one_right_alarm() {
        let all = events(&[true; 8], &marks("..##..#."));
        assert_eq!((all.alarms, all.precision, all.recall, all.f1, all.delay), (1, 1.0, 1.0, 1.0, 0.0));
        assert!((all.point_f1 - 2.0 * 0.375 / 1.375).abs() < 1e-12);
    }

    #[test]
    fn nothing_flagged_or_nothing_labelled() {
        let silent = events(&[false; 4], &marks(".##."));
        assert_eq!((silent.precision, silent.recall, silent.f1, silent.point_f1), (0.0, 0.0, 0.0, 0.0));
        assert!(silent.delay.is_nan());
        let healthy = events(&marks("#..#"), &[false; 4]);
        assert_eq!((healthy.alarms, healthy.precision), (2, 0.0));
        assert!(healthy.recall.is_nan() && healthy.f1.is_nan());
        assert_eq!(events(&[], &[true]).events, 0);
    }
}
