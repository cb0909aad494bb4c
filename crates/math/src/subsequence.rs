//! Which stretches of a recorded series are unlike the rest: looks at the whole of it, unlike [`crate::stream`].

use crate::symmetric::eigen;

/// Windows compared for PCA and nearest neighbours are at most this long: what is longer is seen in parts.
const LONGEST_WINDOW: usize = 100;
/// Windows against which each one is compared.
const REFERENCES: usize = 400;
/// The neighbour whose distance counts: an anomaly may come back a few times.
const NEIGHBOUR: usize = 6;
/// Past values from which the next is predicted.
const LAGS: usize = 16;
/// Window in points for the joint view over several columns.
const JOINT_WINDOW: usize = 20;

/// The period of a series: the lag in 6..=303 of the highest local maximum of the autocorrelation (of the first 20,000
/// points, up to lag 400); 125 where there is none or where the highest lies outside of those lags. The choice of the
/// TSB-AD benchmark (Liu and Paparrizos, NeurIPS 2024), which scores with it.
pub fn dominant_period(values: &[f64]) -> usize {
    const NONE: usize = 125;
    let correlation = autocorrelation(&values[..values.len().min(20_000)], 400);
    let peaks = (4..correlation.len().saturating_sub(1))
        .filter(|&lag| correlation[lag] > correlation[lag - 1] && correlation[lag] > correlation[lag + 1]);
    let highest = peaks.max_by(|a, b| correlation[*a].total_cmp(&correlation[*b]));
    highest.filter(|lag| (6..=303).contains(lag)).unwrap_or(NONE)
}

/// How unlike the rest each point's surroundings are, 0.. and high = unlike, over one or several columns of equal
/// length (values that are not finite are taken as the last one before them).
///
/// Idea: four views see different faults, and each is brought to one scale (its own highest hundredth = 1) and
/// averaged: energy around the median (level and bursts), the residual of principal components of windows (shape), the
/// error of a linear prediction from the last 16 values (noise, jumps) and the distance to the sixth nearest of 400
/// windows spread over the series (never seen before). The window is the column's period. Over several columns the
/// mean of theirs is joined with the neighbour distance of windows over all columns at once. Columns of at most two
/// values are states rather than measurements: they count only where there is nothing else.
///
/// Costs O(400 * 32 * points) a column. Fails where anomalies are most of the series or come back unchanged many times,
/// and on a column that drifts: each end is then unlike the rest.
pub fn discord_scores(columns: &[Vec<f64>]) -> Vec<f64> {
    let scaled: Vec<Vec<f64>> = columns.iter().map(|column| scaled(column)).collect();
    let is_measured = |column: &&Vec<f64>| column.iter().any(|v| *v != 0.0 && *v != 1.0);
    let measured: Vec<&Vec<f64>> = scaled.iter().filter(is_measured).collect();
    let kept = if measured.is_empty() { scaled.iter().collect() } else { measured };
    let count = kept.iter().map(|c| c.len()).min().unwrap_or(0);
    let mut sum = vec![0.0; count];
    for column in &kept {
        add(&mut sum, &column_scores(&column[..count]), 1.0 / kept.len() as f64);
    }
    if kept.len() < 2 {
        return sum;
    }
    let joint = smoothed(&neighbour_distance(&kept, JOINT_WINDOW.min(count / 4).max(1), 4), JOINT_WINDOW);
    let mut both = vec![0.0; count];
    add(&mut both, &unit_tail(&sum), 0.5);
    add(&mut both, &unit_tail(&joint), 0.5);
    both
}

/// The surprise (-log10 of a tail probability, 0..) of each score, given the first `train` as usual: by their rank up
/// to their 90 % quantile, beyond it by an exponential tail with their mean excess. Keeps the order of scores.
pub fn surprise_from_scores(scores: &[f64], train: usize) -> Vec<f64> {
    let mut known: Vec<f64> = scores[..train.clamp(scores.len().min(1), scores.len())].to_vec();
    known.sort_by(f64::total_cmp);
    let start = known.get(known.len() * 9 / 10).copied().unwrap_or(0.0).max(1e-12);
    let over: Vec<f64> = known.iter().filter(|v| **v > start).map(|v| v - start).collect();
    let excess = (over.iter().sum::<f64>() / over.len().max(1) as f64).max(start * 1e-3);
    let surprise = |score: &f64| match *score <= start {
        true => -(1.0 - 0.9 * score / start).log10(),
        false => 1.0 + (score - start) / excess * std::f64::consts::LOG10_E,
    };
    scores.iter().map(surprise).collect()
}

/// A stretch unlike the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Discord {
    /// First point.
    pub start: usize,
    /// End, exclusive.
    pub end: usize,
    /// Its highest score, in multiples of the median score.
    pub times_usual: f64,
    /// The most similar stretch elsewhere, point by point: what was to be expected.
    pub expected: Vec<f64>,
}

/// The `most` stretches of a series that are most unlike the rest, the highest score first, none overlapping: for
/// back-tests and for explaining a slice of history. Empty where the series has less than four periods or is constant.
pub fn discords(values: &[f64], most: usize) -> Vec<Discord> {
    let scores = discord_scores(&[values.to_vec()]);
    let clean = cleaned(values);
    let window = dominant_period(&clean);
    if values.len() < 4 * window || clean.iter().all(|v| *v == clean[0]) {
        return Vec::new();
    }
    let usual = quantile(&scores, 0.5).max(1e-12);
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    let mut found: Vec<Discord> = Vec::new();
    for at in order {
        if found.len() >= most {
            break;
        }
        let start = at.saturating_sub(window / 2).min(values.len() - window);
        let end = start + window;
        if found.iter().all(|known| end <= known.start || start >= known.end) {
            let expected = most_similar(&clean, start, window);
            found.push(Discord { start, end, times_usual: scores[at] / usual, expected });
        }
    }
    found
}

fn most_similar(values: &[f64], start: usize, window: usize) -> Vec<f64> {
    let wanted = &values[start..start + window];
    let distance =
        |from: &usize| -> f64 { values[*from..*from + window].iter().zip(wanted).map(|(a, b)| (a - b).powi(2)).sum() };
    let elsewhere = (0..=values.len() - window).filter(|from| from.abs_diff(start) >= window);
    let best = elsewhere.min_by(|a, b| distance(a).total_cmp(&distance(b)));
    best.map_or_else(Vec::new, |from| values[from..from + window].to_vec())
}

fn column_scores(values: &[f64]) -> Vec<f64> {
    let window = dominant_period(values).min(values.len() / 4).max(1);
    let views = [
        energy(values, window.max(64)),
        component_residual(values, window),
        prediction_error(values, window),
        smoothed(&neighbour_distance(&[values], window.min(64), (window.min(64) / 32).max(1)), window.min(64)),
    ];
    let mut sum = vec![0.0; values.len()];
    for view in &views {
        add(&mut sum, &unit_tail(view), 1.0 / views.len() as f64);
    }
    sum
}

/// Mean squared distance from the median.
fn energy(values: &[f64], window: usize) -> Vec<f64> {
    let median = quantile(values, 0.5);
    smoothed(&values.iter().map(|v| (v - median).powi(2)).collect::<Vec<_>>(), window)
}

/// Squared distance of each point's window from the principal components that hold 90 % of the variance.
fn component_residual(values: &[f64], window: usize) -> Vec<f64> {
    let window = window.min(LONGEST_WINDOW);
    let padded = padded(values, window);
    let starts: Vec<usize> = (0..values.len()).step_by((values.len() / 4000).max(1)).collect();
    let (mean, covariance) = covariance(&padded, window, &starts);
    let (variances, components) = eigen(&covariance);
    let total: f64 = variances.iter().map(|v| v.max(0.0)).sum();
    let mut held = 0.0;
    let needed = variances.iter().take_while(|v| {
        let more = held < 0.9 * total;
        held += v.max(0.0);
        more
    });
    let kept = needed.count().max(1).min(components.len());
    let mut centred = vec![0.0; window];
    let residual = |start: usize| {
        centred.iter_mut().zip(&padded[start..]).zip(&mean).for_each(|((c, v), m)| *c = v - m);
        let all = dot(&centred, &centred);
        let explained: f64 = components[..kept].iter().map(|component| dot(component, &centred).powi(2)).sum();
        (all - explained).max(0.0)
    };
    smoothed(&(0..values.len()).map(residual).collect::<Vec<_>>(), window)
}

fn covariance(values: &[f64], window: usize, starts: &[usize]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let count = starts.len().max(1) as f64;
    let mut mean = vec![0.0; window];
    for start in starts {
        mean.iter_mut().zip(&values[*start..]).for_each(|(m, v)| *m += v / count);
    }
    let mut sums = vec![vec![0.0; window]; window];
    for start in starts {
        let centred: Vec<f64> = values[*start..*start + window].iter().zip(&mean).map(|(v, m)| v - m).collect();
        for (row, a) in sums.iter_mut().zip(&centred) {
            row.iter_mut().zip(&centred).for_each(|(s, b)| *s += a * b / count);
        }
    }
    (mean, sums)
}

/// Squared error of predicting each value from those before it, by least squares over the series.
fn prediction_error(values: &[f64], window: usize) -> Vec<f64> {
    let mut errors = vec![0.0; values.len()];
    if values.len() > 2 * LAGS {
        let starts: Vec<usize> = (0..values.len() - LAGS).collect();
        let (mean, covariance) = covariance(values, LAGS + 1, &starts);
        // A small ridge keeps lags that say the same apart.
        let ridge = 1e-6 * covariance[LAGS][LAGS] + 1e-12;
        let (variances, axes) = eigen(&covariance[..LAGS].iter().map(|row| row[..LAGS].to_vec()).collect::<Vec<_>>());
        let mut weights = vec![0.0; LAGS];
        for (variance, axis) in variances.iter().zip(&axes) {
            let along: f64 = axis.iter().zip(&covariance).map(|(a, row)| a * row[LAGS]).sum();
            add(&mut weights, axis, along / (variance.max(0.0) + ridge));
        }
        let offset = mean[LAGS] - dot(&weights, &mean[..LAGS]);
        for at in LAGS..values.len() {
            errors[at] = (values[at] - offset - dot(&weights, &values[at - LAGS..at])).powi(2);
        }
    }
    smoothed(&errors, window)
}

/// Squared distance of the window around each point to its sixth nearest of windows spread over the series; every
/// `step`-th value of a window counts.
fn neighbour_distance<C: AsRef<[f64]>>(columns: &[C], window: usize, step: usize) -> Vec<f64> {
    let count = columns.first().map_or(0, |c| c.as_ref().len());
    let padded: Vec<Vec<f64>> = columns.iter().map(|c| padded(c.as_ref(), window)).collect();
    let fill = |start: usize, out: &mut Vec<f32>| {
        out.clear();
        for column in &padded {
            out.extend(column[start..start + window].iter().step_by(step).map(|v| *v as f32));
        }
    };
    let references = count.min(REFERENCES);
    let spread = |i: usize| if references > 1 { i * (count - 1) / (references - 1) } else { 0 };
    let against: Vec<Vec<f32>> = (0..references)
        .map(|i| {
            let mut row = Vec::new();
            fill(spread(i), &mut row);
            row
        })
        .collect();
    let mut row = Vec::new();
    let mut distances = vec![0.0_f32; references];
    let nearest = |start: usize| {
        fill(start, &mut row);
        distances.iter_mut().zip(&against).for_each(|(d, other)| *d = squared_distance(&row, other));
        let rank = (NEIGHBOUR - 1).min(references - 1);
        f64::from(*distances.select_nth_unstable_by(rank, f32::total_cmp).1)
    };
    (0..count).map(nearest).collect()
}

fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    // Eight sums side by side, which the processor adds at once.
    let mut sums = [0.0_f32; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| (x - y) * (x - y)).sum();
    for (x, y) in a.zip(b) {
        for i in 0..8 {
            sums[i] += (x[i] - y[i]) * (x[i] - y[i]);
        }
    }
    rest + sums.iter().sum::<f32>()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (a, b) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a.zip(b) {
        for i in 0..4 {
            sums[i] += x[i] * y[i];
        }
    }
    rest + sums.iter().sum::<f64>()
}

fn add(sum: &mut [f64], values: &[f64], weight: f64) {
    sum.iter_mut().zip(values).for_each(|(s, v)| *s += weight * v);
}

/// In multiples of the mean of the highest hundredth.
fn unit_tail(scores: &[f64]) -> Vec<f64> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let tail = &sorted[..(sorted.len() / 100).max(1).min(sorted.len())];
    let unit = tail.iter().sum::<f64>() / tail.len().max(1) as f64;
    scores.iter().map(|s| if unit > 0.0 { s / unit } else { 0.0 }).collect()
}

/// Centred moving mean; the ends are continued by their last value.
fn smoothed(values: &[f64], window: usize) -> Vec<f64> {
    let padded = padded(values, window.max(1));
    let mut sums = Vec::with_capacity(padded.len() + 1);
    sums.push(0.0);
    padded.iter().for_each(|v| sums.push(sums[sums.len() - 1] + v));
    let window = window.max(1);
    (0..values.len()).map(|i| ((sums[i + window] - sums[i]) / window as f64).max(0.0)).collect()
}

/// So that the window that starts at i of the result has i of the series in its middle.
fn padded(values: &[f64], window: usize) -> Vec<f64> {
    let (Some(first), Some(last)) = (values.first(), values.last()) else { return Vec::new() };
    let before = std::iter::repeat_n(*first, window / 2);
    let after = std::iter::repeat_n(*last, window - 1 - window / 2);
    before.chain(values.iter().copied()).chain(after).collect()
}

/// Numbers only: what is not finite is the last value before it (0 at the start).
fn cleaned(values: &[f64]) -> Vec<f64> {
    let mut last = values.iter().copied().find(|v| v.is_finite()).unwrap_or(0.0);
    let keep = |v: &f64| {
        last = if v.is_finite() { *v } else { last };
        last
    };
    values.iter().map(keep).collect()
}

/// In 0..=1 between lowest and highest; all 0 where they are equal.
fn scaled(values: &[f64]) -> Vec<f64> {
    // Halves, so that the range of the largest numbers does not overflow.
    let halves: Vec<f64> = cleaned(values).iter().map(|v| v / 2.0).collect();
    let low = halves.iter().copied().fold(f64::INFINITY, f64::min);
    let range = halves.iter().copied().fold(f64::NEG_INFINITY, f64::max) - low;
    halves.iter().map(|v| if range > 0.0 { (v - low) / range } else { 0.0 }).collect()
}

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(0.0)
}

fn autocorrelation(values: &[f64], lags: usize) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let centred: Vec<f64> = values.iter().map(|v| v - mean).collect();
    let at = |lag: usize| dot(&centred[lag..], &centred[..centred.len() - lag]);
    let variance = if values.is_empty() { 0.0 } else { at(0) };
    (0..values.len().min(lags + 1)).map(|lag| at(lag) / variance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine_with_a_flat_stretch() -> Vec<f64> {
        let wave = |i: usize| (i as f64 * std::f64::consts::TAU / 50.0).sin() + 0.01 * ((i * 37 % 11) as f64);
        (0..3000).map(|i| if (2000..2050).contains(&i) { 0.0 } else { wave(i) }).collect()
    }

    #[test]
    fn a_stretch_unlike_the_rest_is_first() {
        let values = sine_with_a_flat_stretch();
        let scores = discord_scores(std::slice::from_ref(&values));
        let highest = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap();
        assert!((1975..2075).contains(&highest), "{highest}");
        let found = discords(&values, 2);
        assert_eq!(found.len(), 2);
        assert!(found[0].start < 2050 && found[0].end > 2000 && found[0].times_usual > 2.0);
        assert_eq!(found[0].expected.len(), found[0].end - found[0].start);
    }

    #[test]
    fn states_do_not_drown_measurements() {
        let mut columns = vec![sine_with_a_flat_stretch()];
        columns.extend((3..8).map(|k| (0..3000).map(|i| f64::from(u8::from(i % (k * 97) < k))).collect()));
        let scores = discord_scores(&columns);
        let highest = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap();
        assert!((1975..2075).contains(&highest), "{highest}");
    }

    #[test]
    fn dominant_period_of_a_sine_and_of_nothing() {
        let sine: Vec<f64> = (0..2000).map(|i| (i as f64 * std::f64::consts::TAU / 48.0).sin()).collect();
        assert_eq!(dominant_period(&sine), 48);
        for odd in [vec![], vec![1.0], vec![3.0; 500], vec![f64::NAN; 500], vec![1e308; 500]] {
            assert_eq!(dominant_period(&odd), 125);
        }
    }

    #[test]
    fn surprise_keeps_the_order_and_grows_beyond_what_was_seen() {
        let scores: Vec<f64> = (0..1000).map(|i| i as f64).collect();
        let surprise = surprise_from_scores(&scores, 100);
        assert!(surprise.windows(2).all(|pair| pair[0] < pair[1]));
        assert!((surprise[90] - 1.0).abs() < 0.01 && surprise[999] > 10.0);
        assert!(surprise_from_scores(&[], 5).is_empty());
        assert!(surprise_from_scores(&[0.0], 0)[0].is_finite());
    }

    #[test]
    fn odd_input() {
        let odd = [
            vec![],
            vec![1.0],
            vec![1.0, 2.0],
            vec![3.0; 200],
            vec![f64::NAN; 200],
            vec![f64::INFINITY, 1.0, f64::NEG_INFINITY],
            (0..200).map(|i| if i % 2 == 0 { 1e308 } else { -1e308 }).collect(),
            (0..100).map(|i| f64::from(i % 7)).collect(),
        ];
        for values in &odd {
            let scores = discord_scores(std::slice::from_ref(values));
            assert_eq!(scores.len(), values.len());
            assert!(scores.iter().all(|s| s.is_finite() && *s >= 0.0), "{values:?}");
            assert!(discord_scores(&[values.clone(), values.clone()]).iter().all(|s| s.is_finite()));
            discords(values, 3);
        }
        assert!(discord_scores(&[]).is_empty());
        assert!(discord_scores(&[vec![3.0; 200]]).iter().all(|s| *s == 0.0));
    }
}
