//! Eigenvalues and eigenvectors of symmetric matrices.

/// Eigenvalues in falling order with their unit eigenvectors, of a symmetric matrix given by rows (only numbers; an
/// entry that is not finite counts as 0).
///
/// Idea: Householder reflections make it tridiagonal, implicit QL steps make it diagonal (Wilkinson and Reinsch,
/// "Handbook for Automatic Computation", 1971). Costs O(n^3) time and O(n^2) memory.
pub fn eigen(matrix: &[Vec<f64>]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let size = matrix.len();
    let at = |i: usize, j: usize| matrix[i].get(j).copied().filter(|v| v.is_finite()).unwrap_or(0.0);
    // Vectors are kept by row, so that every inner loop runs over neighbours in memory.
    let mut vectors: Vec<Vec<f64>> =
        (0..size).map(|i| (0..size).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let mut work: Vec<Vec<f64>> = (0..size).map(|i| (0..size).map(|j| at(i, j)).collect()).collect();
    for k in 0..size.saturating_sub(2) {
        reflect(&mut work, &mut vectors, k);
    }
    let mut diagonal: Vec<f64> = (0..size).map(|i| work[i][i]).collect();
    let mut off: Vec<f64> = (0..size).map(|i| if i + 1 < size { work[i][i + 1] } else { 0.0 }).collect();
    for l in 0..size {
        chase(&mut diagonal, &mut off, &mut vectors, l);
    }
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|a, b| diagonal[*b].total_cmp(&diagonal[*a]));
    let sorted = order.iter().map(|i| diagonal[*i]).collect();
    (sorted, order.into_iter().map(|i| std::mem::take(&mut vectors[i])).collect())
}

/// Zeroes row and column `k` beyond the first off-diagonal by a Householder reflection.
fn reflect(work: &mut [Vec<f64>], vectors: &mut [Vec<f64>], k: usize) {
    let mut axis: Vec<f64> = work[k][k + 1..].to_vec();
    let norm = axis.iter().map(|v| v * v).sum::<f64>().sqrt();
    if norm == 0.0 {
        return;
    }
    axis[0] += if axis[0] >= 0.0 { norm } else { -norm };
    let length = axis.iter().map(|v| v * v).sum::<f64>().sqrt();
    axis.iter_mut().for_each(|v| *v /= length);
    let reflect_tail = |row: &mut [f64]| {
        let along: f64 = 2.0 * row.iter().zip(&axis).map(|(r, a)| r * a).sum::<f64>();
        row.iter_mut().zip(&axis).for_each(|(r, a)| *r -= along * a);
    };
    work.iter_mut().for_each(|row| reflect_tail(&mut row[k + 1..]));
    reflect_rows(work, &axis, k);
    reflect_rows(vectors, &axis, k);
}

fn reflect_rows(rows: &mut [Vec<f64>], axis: &[f64], k: usize) {
    let mut along = vec![0.0; rows.len()];
    for (row, a) in rows[k + 1..].iter().zip(axis) {
        along.iter_mut().zip(row).for_each(|(sum, r)| *sum += 2.0 * a * r);
    }
    for (row, a) in rows[k + 1..].iter_mut().zip(axis) {
        row.iter_mut().zip(&along).for_each(|(r, s)| *r -= a * s);
    }
}

/// QL steps with implicit shifts until the off-diagonal at `l` is gone.
fn chase(diagonal: &mut [f64], off: &mut [f64], vectors: &mut [Vec<f64>], l: usize) {
    let size = diagonal.len();
    for _ in 0..60 {
        let small = |m: &usize| {
            let around = diagonal[*m].abs() + diagonal[*m + 1].abs();
            off[*m].abs() <= f64::EPSILON * around
        };
        let m = (l..size - 1).find(small).unwrap_or(size - 1);
        if m == l {
            return;
        }
        let mut shift = (diagonal[l + 1] - diagonal[l]) / (2.0 * off[l]);
        let mut radius = shift.hypot(1.0);
        shift = diagonal[m] - diagonal[l] + off[l] / (shift + radius.copysign(shift));
        let (mut sine, mut cosine, mut carried) = (1.0, 1.0, 0.0);
        let mut ended_early = false;
        for i in (l..m).rev() {
            let (f, b) = (sine * off[i], cosine * off[i]);
            radius = f.hypot(shift);
            off[i + 1] = radius;
            if radius == 0.0 {
                diagonal[i + 1] -= carried;
                off[m] = 0.0;
                ended_early = true;
                break;
            }
            sine = f / radius;
            cosine = shift / radius;
            shift = diagonal[i + 1] - carried;
            radius = (diagonal[i] - shift) * sine + 2.0 * cosine * b;
            carried = sine * radius;
            diagonal[i + 1] = shift + carried;
            shift = cosine * radius - b;
            let (low, high) = vectors.split_at_mut(i + 1);
            for (x, y) in low[i].iter_mut().zip(high[0].iter_mut()) {
                let f = *y;
                *y = sine * *x + cosine * f;
                *x = cosine * *x - sine * f;
            }
        }
        if !ended_early {
            diagonal[l] -= carried;
            off[l] = shift;
            off[m] = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_by_two_by_hand() {
        let (values, vectors) = eigen(&[vec![2.0, 1.0], vec![1.0, 2.0]]);
        assert!((values[0] - 3.0).abs() < 1e-12 && (values[1] - 1.0).abs() < 1e-12);
        assert!((vectors[0][0] - vectors[0][1]).abs() < 1e-12);
    }

    #[test]
    fn vectors_times_matrix_are_vectors_times_values() {
        let size = 40;
        let entry = |i: usize, j: usize| (((i * 7 + j * 7) % 13) as f64 - 6.0) + if i == j { i as f64 } else { 0.0 };
        let matrix: Vec<Vec<f64>> = (0..size).map(|i| (0..size).map(|j| entry(i, j)).collect()).collect();
        let (values, vectors) = eigen(&matrix);
        for (value, vector) in values.iter().zip(&vectors) {
            for i in 0..size {
                let product: f64 = matrix[i].iter().zip(vector).map(|(m, v)| m * v).sum();
                assert!((product - value * vector[i]).abs() < 1e-8);
            }
        }
        let trace: f64 = (0..size).map(|i| matrix[i][i]).sum();
        assert!((values.iter().sum::<f64>() - trace).abs() < 1e-8);
    }

    #[test]
    fn odd_input() {
        assert!(eigen(&[]).0.is_empty());
        assert_eq!(eigen(&[vec![5.0]]).0, [5.0]);
        assert_eq!(eigen(&vec![vec![0.0; 3]; 3]).0, [0.0; 3]);
        assert!(eigen(&vec![vec![f64::NAN; 3]; 3]).0.iter().all(|v| v.is_finite()));
    }
}
