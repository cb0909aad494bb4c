//! When a series will reach a threshold: a probability over time.
//!
//! Idea: find the longest newest stretch over which the series grows at one pace; what has lasted so long goes on for
//! `h` more with a probability that falls with length / (length + h) (after Gott, "Implications of the Copernican
//! principle", 1993). Growth
//! that slows down goes on slowing down. A series that comes back to where it was (log rotation, garbage collection,
//! counters that start anew) is judged by its peaks. Level, pace and errors are drawn from those of the stretch.
//!
//! Cost: some microseconds a hundred points, plus 400 drawn paths of constant cost. Fails on: growth in rare large
//! steps; a threshold that is reached only within a season's peak beyond what was ever seen.

/// Drawn paths.
const PATHS: usize = 400;
/// Points that a stretch needs.
const STRETCH_LEAST: usize = 4;
/// Points below which nothing is said.
const POINTS_LEAST: usize = 6;
/// A fall within two steps by this share of the whole range is a reset.
const RESET_SHARE: f64 = 0.3;
/// How many times the noise a stretch must have grown, to count as growth.
const GROWTH_OVER_NOISE: f64 = 3.0;
/// How readily growth ends: what has lasted `l` lasts `h` more with probability (l / (l + h)) to this power. 1 is a
/// process of which nothing else is known; what writes to disks mostly ends sooner.
const ENDING: f64 = 1.5;
/// The same for growth of which nothing was seen before: it may end, and it may be the first tooth of a saw.
const ENDING_OF_FIRST: f64 = 1.9;
/// Share of what was seen that is the growth itself, from which it is the first.
const FIRST_SHARE: f64 = 0.9;
/// Growth of a leak over the stretch, relative to its start.
const LEAK_GROWTH: f64 = 0.1;

/// The note of a series that has only grown since it is seen.
pub const ONLY_GROWN: &str = "it has only grown so far: whether it falls back by itself is not known";
/// The note of a series that was reset once, or has outgrown all its earlier cycles.
pub const RESET_ONCE: &str = "it was reset before; only what came since is judged";

/// When a threshold above will be reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Crossing {
    /// Probability that it is reached by each horizon asked for, 0..=1, in their order.
    pub probability: Vec<f64>,
    /// Steps until it is reached, by quantiles 0.1, 0.5 and 0.9; none where the probability ever is below that.
    pub steps: [Option<f64>; 3],
    /// Growth a step.
    pub pace: f64,
    /// Steps for which it has grown so.
    pub lasted: f64,
    /// What was seen: resets, too little history.
    pub notes: Vec<&'static str>,
}

/// How a series grows now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Stretch {
    /// Level now, without noise.
    level: f64,
    pace: f64,
    /// Pace of the newer half over that of the older, at most 1.
    slowing: f64,
    /// Steps.
    length: f64,
    /// Level at its start.
    from: f64,
}

/// Probability that `values` (one a step, not finite ones are missing) reach `threshold` from below within each of
/// `horizons` steps. Deterministic.
pub fn crossing(values: &[f64], threshold: f64, horizons: &[f64]) -> Crossing {
    let unit = values.iter().copied().filter(|v| v.is_finite()).fold(threshold.abs(), |most, v| most.max(v.abs()));
    let nothing = |note| Crossing { probability: vec![0.0; horizons.len()], notes: vec![note], ..Crossing::default() };
    if !unit.is_finite() || unit == 0.0 {
        return nothing("no value or threshold to judge by");
    }
    let points = known(values, unit);
    if points.len() < POINTS_LEAST {
        return nothing("too few points to say when a threshold is reached");
    }
    let end = (values.len() - 1) as f64;
    let limit = threshold / unit;
    if points[points.len() - 1].1 >= limit {
        let here = [Some(0.0); 3];
        return Crossing { probability: vec![1.0; horizons.len()], steps: here, ..Crossing::default() };
    }
    let mut notes = Vec::new();
    let basis = without_resets(&points, &mut notes);
    let stretch = newest_stretch(&basis);
    let errors = errors(&basis, &stretch, end);
    let is_first = notes.is_empty() && stretch.pace > 0.0 && stretch.length >= FIRST_SHARE * (end - points[0].0);
    if is_first {
        notes.push(ONLY_GROWN);
    }
    let ending = if is_first { ENDING_OF_FIRST } else { ENDING };
    let times = drawn_times(&stretch, ending, &errors, (basis[basis.len() - 1].0, end), limit);
    let within = |h: &f64| times.iter().filter(|t| **t <= *h).count() as f64 / PATHS as f64;
    let quantile = |p: f64| times.get((p * PATHS as f64) as usize).copied().filter(|t| t.is_finite());
    if stretch.length < horizons.iter().copied().fold(0.0, f64::max) / 4.0 && stretch.pace > 0.0 {
        notes.push("growth is new: it may end as it began");
    }
    Crossing {
        probability: horizons.iter().map(within).collect(),
        steps: [quantile(0.1), quantile(0.5), quantile(0.9)],
        pace: stretch.pace * unit,
        lasted: stretch.length,
        notes,
    }
}

/// Whether a level (of memory) only ever grows: steadily, without slowing down, for most of the time seen, by a tenth
/// or more. A start-up ramp slows down, a saw-tooth comes back.
pub fn is_leak(values: &[f64]) -> bool {
    let unit = values.iter().copied().filter(|v| v.is_finite()).fold(0.0_f64, |most, v| most.max(v.abs()));
    let points = if unit > 0.0 { known(values, unit) } else { Vec::new() };
    if points.len() < 2 * POINTS_LEAST {
        return false;
    }
    let basis = without_resets(&points, &mut Vec::new());
    let seen = points[points.len() - 1].0 - points[0].0;
    let stretch = newest_stretch(&basis);
    let grown = stretch.level - stretch.from;
    stretch.pace > 0.0
        && stretch.slowing > 0.5
        && stretch.length > 0.45 * seen
        && grown > LEAK_GROWTH * stretch.from.abs()
}

fn known(values: &[f64], unit: f64) -> Vec<(f64, f64)> {
    values.iter().enumerate().filter(|(_, v)| v.is_finite()).map(|(t, v)| (t as f64, v / unit)).collect()
}

/// The points themselves, or the peaks before each reset where there are several. A cycle that has outgrown all
/// earlier ones has missed its reset and is judged alone.
fn without_resets(points: &[(f64, f64)], notes: &mut Vec<&'static str>) -> Vec<(f64, f64)> {
    let (low, high) = points.iter().fold((f64::MAX, f64::MIN), |(l, h), p| (l.min(p.1), h.max(p.1)));
    let fall = RESET_SHARE * (high - low);
    let mut starts: Vec<usize> = Vec::new();
    for i in 1..points.len() {
        let before = points[i - 1].1.max(points[i.saturating_sub(2)].1);
        let is_new = starts.last().is_none_or(|last| i > last + 2);
        if fall > 0.0 && before - points[i].1 > fall && is_new {
            starts.push(i);
        }
    }
    let peak = |from: usize, to: usize| {
        points[from..to].iter().copied().fold((0.0, f64::MIN), |most, p| if p.1 >= most.1 { p } else { most })
    };
    let Some(last) = starts.last().copied() else { return points.to_vec() };
    let mut peaks = Vec::with_capacity(starts.len());
    let mut from = 0;
    for start in &starts {
        peaks.push(peak(from, *start));
        from = *start;
    }
    let now = peak(last, points.len());
    let most = peaks.iter().map(|p| p.1).fold(f64::MIN, f64::max);
    if starts.len() == 1 || now.1 > most + 0.25 * (high - low).min(most - low) {
        notes.push(RESET_ONCE);
        return points[last..].to_vec();
    }
    notes.push("a saw-tooth: its peaks are judged");
    // The cycle that goes on has not reached its peak: it counts once it is above the others' lowest.
    if peaks.iter().any(|p| p.1 <= now.1) {
        peaks.push(now);
    }
    peaks
}

/// The longest newest stretch at one pace; of ever shorter ones the last if none is.
fn newest_stretch(points: &[(f64, f64)]) -> Stretch {
    let mut length = points.len();
    loop {
        let part = &points[points.len() - length..];
        let stretch = stretch_of(part);
        let is_one_pace = stretch.slowing > 0.4;
        if is_one_pace || length / 2 < STRETCH_LEAST {
            return stretch;
        }
        length = length * 2 / 3;
    }
}

fn stretch_of(points: &[(f64, f64)]) -> Stretch {
    let n = points.len();
    let still = |level| Stretch { level, slowing: 1.0, from: level, ..Stretch::default() };
    if n < STRETCH_LEAST {
        return still(median(points.iter().map(|p| p.1)));
    }
    // Medians of thirds stand for the stretch: a burst or a few outliers do not move them.
    let third = n / 3;
    let center = |part: &[(f64, f64)]| (median(part.iter().map(|p| p.0)), median(part.iter().map(|p| p.1)));
    let (early, middle, late) =
        (center(&points[..third.max(1)]), center(&points[third..n - third]), center(&points[n - third.max(1)..]));
    let span = late.0 - early.0;
    let noise = median(points.windows(2).map(|w| (w[1].1 - w[0].1).abs()));
    let pace = if span > 0.0 { (late.1 - early.1) / span } else { 0.0 };
    let residual = |p: &(f64, f64)| (p.1 - early.1 - pace * (p.0 - early.0)).abs();
    let around = median(points.iter().map(residual)).min(noise.max(1e-12) * (n as f64).sqrt());
    let grown = late.1 - early.1;
    if pace <= 0.0 || grown < GROWTH_OVER_NOISE * around.max(noise / (third.max(1) as f64).sqrt()) {
        let newest = &points[n - third.max(1)..];
        let moved = (median(newest.iter().map(|p| p.1)) - early.1).abs();
        // A jump within a flat stretch is no one pace either: look nearer.
        let jumps = (points[n - 1].1 - late.1).abs() > GROWTH_OVER_NOISE * around.max(noise).max(moved);
        return Stretch { slowing: if jumps && n > 3 * STRETCH_LEAST { 0.0 } else { 1.0 }, ..still(late.1) };
    }
    let old = (middle.1 - early.1) / (middle.0 - early.0).max(1e-9);
    let new = (late.1 - middle.1) / (late.0 - middle.0).max(1e-9);
    let ratio = if old > 0.0 { new / old } else { f64::INFINITY };
    // Much faster now than before is as little of one pace as much slower.
    let slowing = if ratio > 2.5 { 1.0 / ratio } else { ratio.clamp(0.0, 1.0) };
    let end = points[n - 1].0;
    let newest = if ratio < 1.0 { new.max(0.0) } else { pace };
    Stretch {
        level: late.1 + newest * (end - late.0),
        pace: newest,
        slowing,
        length: end - points[0].0,
        from: early.1 - pace * (early.0 - points[0].0),
    }
}

/// Errors of the stretch's newest part around it, in order of size.
fn errors(points: &[(f64, f64)], stretch: &Stretch, end: f64) -> Vec<f64> {
    let from = end - if stretch.length > 0.0 { stretch.length } else { end };
    let last = points[points.len() - 1].0;
    let newest = points.iter().filter(|p| p.0 >= from);
    let mut errors: Vec<f64> = newest.map(|p| p.1 - stretch.level - stretch.pace * (p.0 - last)).collect();
    errors.sort_by(f64::total_cmp);
    // A stretch that slows down lies above the line through its end only in the past; no error of that kind.
    let middle = errors.get(errors.len() / 2).copied().unwrap_or(0.0);
    errors.iter().map(|e| e - middle).collect()
}

/// Times at which the drawn paths reach the limit, in order; infinite where they do not.
fn drawn_times(stretch: &Stretch, ending: f64, errors: &[f64], (last, end): (f64, f64), limit: f64) -> Vec<f64> {
    let since = end - last;
    let mut times: Vec<f64> = (0..PATHS)
        .map(|i| {
            // Three low-discrepancy sequences in place of random draws.
            let draw = |step: f64| ((i as f64 + 0.5) * step).fract();
            let u = draw(0.618_033_988_749_895);
            let error =
                errors.get((draw(0.754_877_666_246_693) * errors.len() as f64) as usize).copied().unwrap_or(0.0);
            let pace = stretch.pace * (0.8 + 0.4 * draw(0.569_840_290_998_053));
            let lasts = stretch.length * (u.max(1e-9).powf(-1.0 / ending) - 1.0);
            let missing = limit - stretch.level - error;
            if missing <= 0.0 {
                // Noise alone reaches it.
                return since.max(1.0);
            }
            let needed = time_to_grow(missing, pace, stretch);
            if needed <= lasts { (needed - since).max(0.0) } else { f64::INFINITY }
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Steps in which the level grows by `missing`; growth that slows down loses pace by the same share each half stretch.
fn time_to_grow(missing: f64, pace: f64, stretch: &Stretch) -> f64 {
    if pace <= 0.0 {
        return f64::INFINITY;
    }
    if stretch.slowing > 0.8 {
        return missing / pace;
    }
    let fading = -stretch.slowing.max(1e-6).ln() / (stretch.length / 2.0).max(1.0);
    let share = missing * fading / pace;
    if share >= 1.0 { f64::INFINITY } else { -(1.0 - share).ln() / fading }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    super::rules::median(&mut values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_fill_has_its_date() {
        let values: Vec<f64> = (0..600).map(|t| 40.0 + 0.2 * f64::from((t - 400).max(0))).collect();
        let said = crossing(&values, 100.0, &[50.0, 150.0, 400.0]);
        assert!(said.probability[0] < 0.05 && said.probability[1] > 0.5, "{said:?}");
        let first = crossing(&values[400..], 100.0, &[50.0, 150.0, 400.0]);
        assert!(first.notes.contains(&ONLY_GROWN) && !said.notes.contains(&ONLY_GROWN));
        assert!((0.4..0.5).contains(&first.probability[1]), "it may be the first tooth of a saw: {first:?}");
        assert!(said.probability.is_sorted());
        let median = said.steps[1].unwrap();
        assert!((85.0..160.0).contains(&median), "{said:?}");
    }

    #[test]
    fn a_level_that_stays_never_crosses() {
        let values: Vec<f64> = (0..200).map(|t| 40.0 + (t % 7) as f64).collect();
        assert_eq!(crossing(&values, 100.0, &[1e6]).probability, [0.0]);
        assert_eq!(crossing(&values, 30.0, &[1.0]).probability, [1.0], "it is there");
    }

    #[test]
    fn bad_input_says_something_or_nothing() {
        let alternating: Vec<f64> = (0..99).map(|t| if t % 2 == 0 { 1e308 } else { -1e308 }).collect();
        let counter: Vec<f64> = (0..99).map(|t| -1e6 * t as f64).collect();
        let cases: [&[f64]; 8] =
            [&[], &[1.0], &[f64::NAN; 50], &[3.0; 50], &[0.0; 50], &[1e308; 50], &alternating, &counter];
        for case in cases {
            for threshold in [0.0, 1.0, 1e308, f64::NAN, f64::INFINITY, -5.0] {
                let said = crossing(case, threshold, &[0.0, 10.0, f64::MAX]);
                assert!(said.probability.iter().all(|p| (0.0..=1.0).contains(p)), "{said:?}");
                assert!(said.pace.is_finite());
            }
            assert!(!is_leak(case));
        }
    }
}
