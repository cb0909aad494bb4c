//! Whether a service is short of a resource.

use types::{SeriesKind, Time};

use crate::{
    detect::resource,
    grid::{self, Grid},
};

/// What a reading says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Share of what there is, 0..=1.
    Share,
    /// An amount; how much there is is not known.
    Amount,
}

/// Totals of the time that processors worked.
const CPU_TIMES: [&str; 4] =
    ["process.cpu.time", "container.cpu.time", "process_cpu_seconds_total", "container_cpu_usage_seconds_total"];

/// Steps of a grid at most: one point that is far from the others makes the steps wider.
const STEPS_MOST: i64 = 100_000;

impl Use {
    /// What a metric says of the use of a resource, by its name and unit; `None`: nothing.
    pub fn of(metric: &str, unit: &str) -> Option<Use> {
        let is_ratio = metric.ends_with("utilization") || (unit == "%" && metric.contains("cpu"));
        match metric {
            _ if is_ratio => Some(Use::Share),
            _ if resource::is_use(metric) || CPU_TIMES.contains(&metric) => Some(Use::Amount),
            _ => None,
        }
    }

    /// Values before a stretch and within it, for a [`Reading`], from points (time in ns, ascending; value).
    pub fn around(
        self,
        points: &[(i64, f64)],
        kind: SeriesKind,
        unit: &str,
        from: Time,
        to: Time,
    ) -> Option<(Vec<f64>, Vec<f64>)> {
        let (first, last) = points.first().zip(points.last()).map_or((0, 0), |(first, last)| (first.0, last.0));
        let width = grid::width(grid::usual_gap(points).max(last.saturating_sub(first) / STEPS_MOST))?;
        let whole = |time: i64| time.saturating_add(width - 1).div_euclid(width) * width;
        let steps = (to.since(from).saturating_add(width / 2) / width).max(1);
        let start = whole(to.0) - steps * width;
        // The stretch may reach far beyond what was recorded.
        let Grid { values: mut before, end } = Grid::new(points, kind, width, whole(to.0.min(last.saturating_add(1))));
        let scale = if self == Use::Share && unit == "%" { 0.01 } else { 1.0 };
        before.iter_mut().for_each(|value| *value *= scale);
        let within = ((end - start) / width).clamp(0, before.len() as i64);
        let within = before.split_off(before.len() - within as usize);
        Some((before, within))
    }
}

/// The points of one metric of one service that says how much of a resource is used.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// Whose it is.
    pub service: u32,
    /// The metric's number.
    pub metric: u32,
    /// What its values say.
    pub says: Use,
    /// Values before the stretch, oldest first.
    pub before: &'a [f64],
    /// Values within it.
    pub within: &'a [f64],
}

/// A reading that is above what was before.
pub(super) struct Short {
    pub surprise: f64,
    /// Surprise times how much of the resource is used.
    pub weight: f64,
    pub value: f64,
    pub before: f64,
}

/// Values before, of the most recent, that count.
const HISTORY: usize = 1440;
/// What is known of a metric before its first value, as so many values scattered by this much (natural logarithm).
const PRIOR_VALUES: f64 = 3.0;
const PRIOR_SCATTER: f64 = 0.3;
/// Degrees of freedom at most: bursts are more frequent than a normal distribution has them.
const FREEDOM_MOST: f64 = 10.0;
/// How much an amount counts against a share that is used up: what there is is not known.
const AMOUNT: f64 = 0.5;

impl Reading<'_> {
    /// How surprising the highest value within is, as Student's t on logarithms, times the share that is used: half of
    /// a processor in use hurts nobody. `None` without values on both sides or where it is not above.
    pub(super) fn short(&self) -> Option<Short> {
        let usable = |v: &&f64| v.is_finite() && **v >= 0.0;
        let from = self.before.len().saturating_sub(HISTORY);
        let scale = if self.says == Use::Share { 100.0 } else { 1.0 };
        let known: Vec<f64> = self.before[from..].iter().filter(usable).map(|v| (v * scale).ln_1p()).collect();
        let value = self.within.iter().filter(usable).copied().fold(f64::NAN, f64::max);
        if known.is_empty() || value.is_nan() {
            return None;
        }
        let count = known.len() as f64;
        let mean = known.iter().sum::<f64>() / count;
        let scatter = known.iter().map(|v| (v - mean).powi(2)).sum::<f64>() + PRIOR_VALUES * PRIOR_SCATTER.powi(2);
        let freedom = (count - 1.0 + PRIOR_VALUES).min(FREEDOM_MOST);
        let deviation = (scatter / (count - 1.0 + PRIOR_VALUES) * (1.0 + 1.0 / count)).sqrt();
        let away = ((value * scale).ln_1p() - mean) / deviation;
        if away <= 0.0 || !away.is_finite() {
            return None;
        }
        // A bound of the tail of Student's t, within a factor of two.
        let surprise = 2_f64.log10() + freedom / 2.0 * (away * away / freedom).ln_1p() * std::f64::consts::LOG10_E;
        let surprise = surprise.min(300.0);
        let matters = if self.says == Use::Share { value.min(1.0) } else { AMOUNT };
        Some(Short { surprise, weight: surprise * matters, value, before: mean.exp_m1() / scale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(says: Use, before: &[f64], within: &[f64]) -> f64 {
        let reading = Reading { service: 1, metric: 1, says, before, within };
        reading.short().map_or(0.0, |s| s.weight)
    }

    #[test]
    fn a_processor_that_is_used_up_is_a_surprise_and_a_burst_at_the_bottom_is_not() {
        let quiet: Vec<f64> = (0..300).map(|i| 0.01 + 0.01 * f64::from(i % 5)).collect();
        assert!(short(Use::Share, &quiet, &[0.02, 0.99]) > 4.0);
        assert!(short(Use::Share, &quiet, &[0.12]) < 1.0);
        let busy: Vec<f64> = (0..300).map(|i| 0.8 + 0.04 * f64::from(i % 5)).collect();
        assert!(short(Use::Share, &busy, &[0.99]) < 2.0);
        assert!(short(Use::Share, &[0.01, 0.02], &[0.99]) > 1.5, "two values before are few but something");
        assert!(short(Use::Amount, &quiet, &[40.0]) > 2.0);
    }

    #[test]
    fn metrics_of_resources_are_known_by_name_and_cut_at_the_stretch() {
        assert_eq!(Use::of("process.cpu.utilization", "1"), Some(Use::Share));
        assert_eq!(Use::of("container.memory.usage", "By"), Some(Use::Amount));
        assert_eq!(Use::of("queue.length", "1"), None);
        let at = |i: i64| 1_767_571_200_000_000_000 + i * 10_000_000_000;
        let total: Vec<(i64, f64)> = (0..=60).map(|i| (at(i), 5.0 * i as f64)).collect();
        let amount = Use::of("process.cpu.time", "s").unwrap();
        let around = amount.around(&total, SeriesKind::Counter, "s", Time(at(48)), Time(at(60)));
        let (before, within) = around.unwrap();
        assert_eq!(within, [0.5; 12]);
        assert!(before.len() == 48 && before[1..].iter().all(|v| *v == 0.5), "{before:?}");
        let shares: Vec<(i64, f64)> = (0..60).map(|i| (at(i), 40.0)).collect();
        let share = Use::Share.around(&shares, SeriesKind::Gauge, "%", Time(at(50)), Time(at(60)));
        assert_eq!(share.unwrap().1, [0.4; 10]);
        assert_eq!(amount.around(&[], SeriesKind::Counter, "s", Time(0), Time(at(1))), Some((vec![], vec![])));
    }

    #[test]
    fn a_stretch_that_reaches_far_beyond_what_was_recorded_costs_no_more() {
        let at = |i: i64| 1_767_571_200_000_000_000 + i * 10_000_000_000;
        let end = Time::parse("2260-01-01T00:00:00Z").unwrap();
        let mut shares: Vec<(i64, f64)> = (0..60).map(|i| (at(i), 0.4)).collect();
        let (before, within) = Use::Share.around(&shares, SeriesKind::Gauge, "1", Time(at(50)), end).unwrap();
        assert_eq!((before, within), (vec![0.4; 50], vec![0.4; 10]));
        let (before, within) = Use::Share.around(&shares, SeriesKind::Gauge, "1", end.plus(-1), end).unwrap();
        assert_eq!((before, within), (vec![0.4; 60], vec![]));
        // One point of long ago.
        shares.insert(0, (0, 0.4));
        let far = Use::Share.around(&shares, SeriesKind::Gauge, "1", Time(at(50)), end);
        assert!(far.is_none_or(|(before, within)| (before.len() + within.len()) as i64 <= STEPS_MOST + 1));
    }

    #[test]
    fn odd_values_are_no_trouble() {
        for values in [&[][..], &[f64::NAN], &[f64::INFINITY, -1.0], &[0.0; 9], &[1e308, 1e308], &[f64::MIN_POSITIVE]] {
            for within in [&[][..], &[f64::NAN], &[1e308], &[-1e308, 0.5]] {
                assert!(
                    short(Use::Share, values, within).is_finite() && short(Use::Amount, values, within).is_finite()
                );
            }
        }
    }
}
