//! A history made ready: gaps and outages masked and filled, values in units of the largest.

/// A history without gaps.
pub(crate) struct Series {
    /// Values over [`Series::unit`]; filled where none was known.
    pub values: Vec<f64>,
    /// Whether a value was seen.
    pub known: Vec<bool>,
    /// The largest absolute value, or 1 where all are 0.
    pub unit: f64,
    /// Whether any value is below 0.
    pub is_negative: bool,
    /// What was masked.
    pub notes: Vec<String>,
}

/// Zeros in a row, from which they are an outage where the series is else never 0.
const OUTAGE_LEAST: usize = 3;

impl Series {
    /// None where no value is known. Leading gaps are cut off; others are filled with straight lines at first.
    pub fn new(history: &[f64]) -> Option<Series> {
        let first = history.iter().position(|v| v.is_finite())?;
        let history = &history[first..];
        let mut known: Vec<bool> = history.iter().map(|v| v.is_finite()).collect();
        let mut notes = Vec::new();
        let missing = known.iter().filter(|k| !**k).count();
        if missing > 0 {
            notes.push(format!("{missing} of {} points are missing and were masked", history.len()));
        }
        let masked = mask_outages(history, &mut known);
        if masked > 0 {
            notes.push(format!("{masked} points at 0 are taken for an outage and were masked"));
        }
        let seen = || history.iter().zip(&known).filter(|(_, k)| **k).map(|(v, _)| *v);
        let largest = seen().fold(0.0_f64, |most, v| most.max(v.abs()));
        let unit = if largest > 0.0 { largest } else { 1.0 };
        let is_negative = seen().any(|v| v < 0.0);
        let mut values: Vec<f64> = history.iter().map(|v| v / unit).collect();
        fill_with_lines(&mut values, &known);
        Some(Series { values, known, unit, is_negative, notes })
    }

    /// Fills the gaps anew from one season before (or after), the longest season first.
    pub fn fill(&mut self, seasons: &[usize]) {
        if self.known.iter().all(|k| *k) {
            return;
        }
        let mut filled = self.known.clone();
        for season in seasons.iter().rev() {
            for t in *season..filled.len() {
                if !filled[t] && filled[t - season] {
                    (self.values[t], filled[t]) = (self.values[t - season], true);
                }
            }
            for t in (0..filled.len().saturating_sub(*season)).rev() {
                if !filled[t] && filled[t + season] {
                    (self.values[t], filled[t]) = (self.values[t + season], true);
                }
            }
        }
    }
}

/// Masks runs of zeros that are rare in the series; returns how many points. A run that goes on until now and is as
/// long as all that was seen before is no outage but how things are.
fn mask_outages(history: &[f64], known: &mut [bool]) -> usize {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (t, value) in history.iter().enumerate().filter(|(_, v)| **v == 0.0) {
        match runs.last_mut() {
            Some((_, end)) if *end == t => *end = t + 1,
            _ => runs.push((t, t + 1)),
        }
        debug_assert!(*value == 0.0);
    }
    let (zeros, n) = (runs.iter().map(|(a, b)| b - a).sum::<usize>(), history.len());
    let is_rare = runs.len() <= 1 + n / 200 && 4 * zeros < n;
    let mut masked = 0;
    for (start, end) in runs.into_iter().filter(|(a, b)| is_rare && *a > 0 && b - a >= OUTAGE_LEAST) {
        known[start..end].fill(false);
        masked += end - start;
    }
    masked
}

fn fill_with_lines(values: &mut [f64], known: &[bool]) {
    let mut last: Option<usize> = None;
    for t in 0..values.len() {
        if !known[t] {
            continue;
        }
        if let Some(from) = last {
            let slope = (values[t] - values[from]) / (t - from) as f64;
            for gap in from + 1..t {
                values[gap] = values[from] + slope * (gap - from) as f64;
            }
        }
        last = Some(t);
    }
    if let Some(from) = last {
        let value = values[from];
        values[from + 1..].fill(value);
    }
    if let Some(first) = known.iter().position(|k| *k) {
        let value = values[first];
        values[..first].fill(value);
    }
}
