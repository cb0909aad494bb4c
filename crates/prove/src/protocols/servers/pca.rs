//! Principal components, fitted on the training part: the baseline that deep detectors mostly fail to beat.

use math::symmetric::eigen;

/// Share of the variance that the kept components explain.
const KEPT: f64 = 0.9;
/// Smallest eigenvalue that is divided by.
const LEAST: f64 = 1e-3;

/// Both common scores of each row, both parts.
pub(super) struct Scores {
    /// Squared error of what the components with 90 % of the variance rebuild.
    pub residual: Vec<f64>,
    /// Sum over all components of the squared coordinate over the eigenvalue.
    pub weighted: Vec<f64>,
}

/// Standardises by mean and deviation of the first `train` rows (a metric that is constant there keeps its unit) and
/// scores every row.
pub(super) fn scores(columns: &[Vec<f64>], train: usize) -> Scores {
    let columns: Vec<Vec<f64>> = columns.iter().map(|column| standardised(column, train)).collect();
    let (values, vectors) = eigen(&covariance(&columns, train));
    let total: f64 = values.iter().sum();
    let mut explained = 0.0;
    let kept = values.iter().take_while(|value| {
        let more = explained < KEPT * total;
        explained += **value;
        more
    });
    let kept = kept.count();
    let rows = columns.first().map_or(0, Vec::len);
    let mut scores = Scores { residual: vec![0.0; rows], weighted: vec![0.0; rows] };
    for row in 0..rows {
        for (rank, (value, vector)) in values.iter().zip(&vectors).enumerate() {
            let coordinate: f64 = columns.iter().zip(vector).map(|(c, v)| c[row] * v).sum();
            scores.weighted[row] += coordinate.powi(2) / value.max(LEAST);
            if rank >= kept {
                scores.residual[row] += coordinate.powi(2);
            }
        }
    }
    scores
}

fn standardised(column: &[f64], train: usize) -> Vec<f64> {
    let known: Vec<f64> = column[..train].iter().copied().filter(|v| v.is_finite()).collect();
    let count = known.len().max(1) as f64;
    let mean = known.iter().sum::<f64>() / count;
    let deviation = (known.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt();
    let deviation = if deviation < 1e-9 || !deviation.is_finite() { 1.0 } else { deviation };
    let mean = if mean.is_finite() { mean } else { 0.0 };
    column
        .iter()
        .map(|v| (v - mean) / deviation)
        .map(|z| if z.is_finite() { z.clamp(-1e9, 1e9) } else { 0.0 })
        .collect()
}

fn covariance(columns: &[Vec<f64>], train: usize) -> Vec<Vec<f64>> {
    let product =
        |a: &Vec<f64>, b: &Vec<f64>| a[..train].iter().zip(&b[..train]).map(|(a, b)| a * b).sum::<f64>() / train as f64;
    columns.iter().map(|a| columns.iter().map(|b| product(a, b)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_by_hand() {
        let (mut values, vectors) = eigen(&[vec![2.0, 1.0], vec![1.0, 2.0]]);
        let first = &vectors[usize::from(values[1] > values[0])];
        assert!((first[0] - first[1]).abs() < 1e-9, "{first:?}");
        values.sort_by(f64::total_cmp);
        assert!((values[0] - 1.0).abs() < 1e-9 && (values[1] - 3.0).abs() < 1e-9, "{values:?}");
    }

    #[test]
    fn what_leaves_the_line_is_far_though_each_value_was_seen() {
        let mut columns = vec![Vec::new(), Vec::new()];
        for i in 0..400 {
            let value = f64::from(i % 20);
            columns[0].push(value);
            columns[1].push(2.0 * value + f64::from(i % 3) * 0.1);
        }
        columns[0].push(19.0);
        columns[1].push(0.0);
        let found = scores(&columns, 400);
        for scores in [&found.residual, &found.weighted] {
            let most = scores[..400].iter().copied().fold(0.0, f64::max);
            assert!(scores[400] > 100.0 * most, "{most} {}", scores[400]);
        }
    }

    #[test]
    fn missing_constant_and_huge_columns_give_numbers() {
        let found = scores(&[vec![f64::NAN; 4], vec![3.0; 4], vec![1e308, -1e308, 1e308, 0.0]], 3);
        assert!(found.residual.iter().chain(&found.weighted).all(|s| s.is_finite()));
    }
}
