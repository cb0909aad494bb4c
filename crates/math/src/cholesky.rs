//! Linear equations with a symmetric positive matrix, by Cholesky's factor.
//!
//! A matrix of size n is its lower triangle row after row: the entry of row `i` and column `j <= i` is at
//! `i (i + 1) / 2 + j`. Cost: n³ / 6 products for the factor, n² for a solution. Fails on: a matrix that is not positive,
//! where the ridge alone holds it up and the solution says little (Golub and Van Loan, "Matrix Computations", 4.2).

/// The lower factor L of a packed matrix with `ridge` (above 0) added to its diagonal, in the same packing.
pub fn factorise(matrix: &[f64], size: usize, ridge: f64, factor: &mut [f64]) {
    for i in 0..size {
        let row = i * (i + 1) / 2;
        for j in 0..=i {
            let other = j * (j + 1) / 2;
            let dot: f64 = factor[row..row + j].iter().zip(&factor[other..other + j]).map(|(a, b)| a * b).sum();
            factor[row + j] = if i == j {
                (matrix[row + i] + ridge - dot).max(ridge * 0.1).sqrt()
            } else {
                (matrix[row + j] - dot) / factor[other + j]
            };
        }
    }
}

/// The x of L Lᵀ x = b.
pub fn solve(factor: &[f64], b: &[f64], x: &mut Vec<f64>) {
    x.clear();
    for (i, value) in b.iter().enumerate() {
        let row = i * (i + 1) / 2;
        let dot: f64 = factor[row..row + i].iter().zip(&x[..]).map(|(a, b)| a * b).sum();
        x.push((value - dot) / factor[row + i]);
    }
    for i in (0..b.len()).rev() {
        let row = i * (i + 1) / 2;
        x[i] /= factor[row + i];
        let own = x[i];
        for (value, f) in x[..i].iter_mut().zip(&factor[row..row + i]) {
            *value -= own * f;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_solved() {
        // 4 12 -16; 12 37 -43; -16 -43 98 has the factor 2; 6 1; -8 5 3.
        let matrix = [4.0, 12.0, 37.0, -16.0, -43.0, 98.0];
        let (mut factor, mut x) = ([0.0; 6], Vec::new());
        factorise(&matrix, 3, 1e-12, &mut factor);
        assert!(factor.iter().zip([2.0, 6.0, 1.0, -8.0, 5.0, 3.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{factor:?}");
        // b is the matrix times (1, 2, 3).
        solve(&factor, &[-20.0, -43.0, 192.0], &mut x);
        assert!(x.iter().zip([1.0, 2.0, 3.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{x:?}");
    }

    #[test]
    fn a_matrix_without_rank_is_held_up_by_the_ridge() {
        let (mut factor, mut x) = ([0.0; 3], Vec::new());
        factorise(&[1.0, 1.0, 1.0], 2, 0.01, &mut factor);
        solve(&factor, &[2.0, 2.0], &mut x);
        assert!(x.iter().all(|v| (v - 2.0 / 2.01).abs() < 1e-9), "{x:?}");
        factorise(&[0.0, 0.0, -5.0], 2, 0.01, &mut factor);
        solve(&factor, &[0.0, 0.0], &mut x);
        assert_eq!(x, [0.0, 0.0]);
    }
}
