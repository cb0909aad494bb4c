//! How well scores rank anomalous points above normal ones.

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
}
