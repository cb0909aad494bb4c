//! How well scores rank anomalous points above normal ones.

pub use math::subsequence::dominant_period;

/// Area under the precision-recall curve as average precision: the mean over the thresholds of precision times the
/// step in recall, ties taken as one threshold (Davis and Goadrich, ICML 2006). 0..=1; NaN without a positive.
pub fn auc_pr(scores: &[f64], labels: &[bool]) -> f64 {
    let positives = labels.iter().filter(|l| **l).count();
    if positives == 0 {
        return f64::NAN;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let (mut area, mut hits, mut taken) = (0.0, 0_usize, 0_usize);
    while taken < order.len() {
        let score = scores[order[taken]];
        let before = hits;
        while taken < order.len() && scores[order[taken]] == score {
            hits += usize::from(labels[order[taken]]);
            taken += 1;
        }
        area += (hits - before) as f64 / positives as f64 * (hits as f64 / taken as f64);
    }
    area
}

/// Volume under the surface of range-aware precision and recall (Paparrizos et al., "Volume Under the Surface", VLDB
/// 2022), in the form in which the TSB-AD benchmark publishes it. 0..=1, high = anomalies rank first; NaN without a
/// positive.
///
/// Idea: a score that fires beside a labelled event is nearly as good as one that fires in it, so labels get a halo of
/// up to half a buffer on both sides whose weight falls with the distance; the area under precision and recall is
/// averaged over all buffers from 0 to `window`. Recall is multiplied with the share of events that were hit at all.
///
/// `window` is the longest buffer in points, the dominant period of the series in TSB-AD ([`dominant_period`]). The
/// curve has 250 thresholds, taken at equal steps of rank. NaN scores rank last. Costs O(window * points in or near
/// events).
pub fn vus_pr(scores: &[f64], labels: &[bool], window: usize) -> f64 {
    let count = scores.len().min(labels.len());
    let events = runs(&labels[..count]);
    if events.is_empty() {
        return f64::NAN;
    }
    let levels = Levels::new(&scores[..count]);
    let mut weights = vec![0.0; count];
    let areas = (0..=window).map(|buffer| levels.range_auc_pr(&events, buffer, &mut weights));
    areas.sum::<f64>() / (window + 1) as f64
}

/// Number of thresholds of the curve.
const THRESHOLDS: usize = 250;

/// Scores as thresholds see them.
struct Levels {
    /// For each point the first threshold (0 = the highest) at which it is flagged.
    level: Vec<usize>,
    /// Points flagged at each threshold.
    flagged: Vec<f64>,
}

impl Levels {
    fn new(scores: &[f64]) -> Levels {
        let scores: Vec<f64> = scores.iter().map(|s| if s.is_nan() { f64::NEG_INFINITY } else { *s }).collect();
        let mut sorted = scores.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let last = sorted.len() - 1;
        let step = last as f64 / (THRESHOLDS - 1) as f64;
        let rank = |k: usize| if k == THRESHOLDS - 1 { last } else { (k as f64 * step) as usize };
        let thresholds: Vec<f64> = (0..THRESHOLDS).map(|k| sorted[rank(k)]).collect();
        let level = scores.iter().map(|s| thresholds.partition_point(|t| t > s)).collect();
        let flagged = thresholds.iter().map(|t| sorted.partition_point(|s| s >= t) as f64).collect();
        Levels { level, flagged }
    }

    /// Area under precision and range-aware recall for one buffer; `weights` is all zero and is so again afterwards.
    fn range_auc_pr(&self, events: &[(usize, usize)], buffer: usize, weights: &mut [f64]) -> f64 {
        let zones = zones_of(events, buffer / 2, weights.len());
        add_halo(weights, events, buffer);
        events.iter().for_each(|&(start, end)| weights[start..end].fill(0.0));
        let (mut inside, mut halo, mut hit) = ([0.0; THRESHOLDS], [0.0; THRESHOLDS], [0.0; THRESHOLDS]);
        for &(start, end) in &zones {
            let mut first = THRESHOLDS - 1;
            for (level, weight) in self.level[start..end].iter().zip(&mut weights[start..end]) {
                halo[*level] += weight.min(1.0);
                first = first.min(*level);
                *weight = 0.0;
            }
            hit[first] += 1.0;
        }
        for &(start, end) in events {
            self.level[start..end].iter().for_each(|level| inside[*level] += 1.0);
        }
        self.area(&inside, &halo, &hit)
    }

    /// From what becomes flagged at each threshold: labelled points, weight in halos, events.
    fn area(&self, inside: &[f64], halo: &[f64], hit: &[f64]) -> f64 {
        let (positives, events): (f64, f64) = (inside.iter().sum(), hit.iter().sum());
        let (mut area, mut recall_before) = (0.0, 0.0);
        let (mut labelled, mut near, mut events_hit) = (0.0, 0.0, 0.0);
        for k in 0..THRESHOLDS {
            labelled += inside[k];
            near += halo[k];
            events_hit += hit[k];
            let recall = ((labelled + near) / (positives + near / 2.0)).min(1.0) * events_hit / events;
            area += (recall - recall_before) * (labelled + near) / self.flagged[k];
            recall_before = recall;
        }
        area
    }
}

/// Runs of true, as start and end (exclusive).
fn runs(labels: &[bool]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, label) in labels.iter().chain([&false]).enumerate() {
        match (start, label) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                found.push((from, at));
                start = None;
            }
            _ => {}
        }
    }
    found
}

/// Zones in which a flagged point counts for an event: the events widened by `reach` on both sides, merged where they
/// overlap.
fn zones_of(events: &[(usize, usize)], reach: usize, points: usize) -> Vec<(usize, usize)> {
    let mut zones: Vec<(usize, usize)> = Vec::new();
    for &(start, end) in events {
        let (start, end) = (start.saturating_sub(reach), (end + reach).min(points));
        match zones.last_mut() {
            Some(last) if last.1 > start => last.1 = end,
            _ => zones.push((start, end)),
        }
    }
    zones
}

/// Adds the weights of points near events, sqrt(1 - distance / buffer) up to half a buffer away; halos add up. What
/// lies inside of an event is to be ignored by the caller.
fn add_halo(weights: &mut [f64], events: &[(usize, usize)], buffer: usize) {
    let reach = buffer / 2;
    let falling: Vec<f64> = (1..=reach).map(|distance| (1.0 - distance as f64 / buffer as f64).sqrt()).collect();
    for &(start, end) in events {
        weights[end..].iter_mut().zip(&falling).for_each(|(weight, add)| *weight += add);
        weights[..start].iter_mut().rev().zip(&falling).for_each(|(weight, add)| *weight += add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_precision_by_hand() {
        // scikit-learn's documented example: average_precision_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) = 0.83…
        let value = auc_pr(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]);
        assert!((value - 0.833_333_333_333).abs() < 1e-9);
        // A constant score ranks nothing: precision is the share of positives.
        assert_eq!(auc_pr(&[1.0; 4], &[true, false, false, false]), 0.25);
        assert!(auc_pr(&[1.0], &[false]).is_nan());
    }

    #[test]
    fn volume_under_the_surface_by_hand() {
        let labels = [false, false, false, true, true, false, false, false];
        // Buffers 0 and 1 reach nothing: the plain curve. The two events points are first: area 1.
        let perfect = [0.0, 0.1, 0.2, 0.9, 0.8, 0.3, 0.25, 0.15];
        assert!((vus_pr(&perfect, &labels, 1) - 1.0).abs() < 1e-12);
        // All equal: one threshold that flags all. Buffer 0: precision 2/8.
        assert!((vus_pr(&[1.0; 8], &labels, 0) - 0.25).abs() < 1e-12);
        // Buffer 2: one point on each side weighs sqrt(1/2). Recall (2 + 2w) / (2 + w), at most 1, times precision
        // (2 + 2w) / 8. Mean with buffers 0 and 1, which give 1/4.
        let near = 0.5_f64.sqrt();
        let expected = (0.25 + 0.25 + (2.0 + 2.0 * near) / 8.0) / 3.0;
        assert!((vus_pr(&[1.0; 8], &labels, 2) - expected).abs() < 1e-12);
        // One of two events found: recall counts points and events, (1/2) * (1/2), at precision 1; then all, 2/8.
        let two = [true, false, false, false, true, false, false, false];
        let one_first = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert!((vus_pr(&one_first, &two, 0) - (0.25 + 0.75 * 0.25)).abs() < 1e-12);
    }

    #[test]
    fn volume_under_the_surface_of_odd_input() {
        assert!(vus_pr(&[], &[], 10).is_nan());
        assert!(vus_pr(&[1.0, 2.0], &[false, false], 10).is_nan());
        assert!((vus_pr(&[1.0], &[true], 1000) - 1.0).abs() < 1e-12);
        let value = vus_pr(&[f64::NAN, f64::INFINITY, 1e308, -1e308], &[false, true, false, false], 3);
        assert!((0.0..=1.0).contains(&value), "{value}");
        assert!(vus_pr(&[f64::NAN; 4], &[true, true, true, true], 9) <= 1.0);
    }
}
