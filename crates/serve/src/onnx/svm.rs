//! Support vector machines.

use super::graph::{Node, Op};
use super::linear::{Classes, Second, Transform, logistic};
use super::ops::needed;
use super::tensor::{Tensor, cells};
use crate::Problem;

/// More classes than this are not read: each pair of them has a score.
const CLASSES_MAX: usize = 1 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    Linear,
    Poly,
    Rbf,
    Sigmoid,
}

/// Vectors with which rows are compared.
struct Vectors {
    kernel: Kernel,
    gamma: f32,
    coef0: f32,
    degree: f32,
    /// One after the other.
    cells: Vec<f32>,
    width: usize,
}

impl Vectors {
    fn read(node: &Node, cells: &[f32], count: usize) -> Result<Vectors, Problem> {
        let kernel = match node.text("kernel_type", "LINEAR")? {
            "LINEAR" => Kernel::Linear,
            "POLY" => Kernel::Poly,
            "RBF" => Kernel::Rbf,
            "SIGMOID" => Kernel::Sigmoid,
            other => return Err(Problem::Unsupported(format!("the kernel {other:?}"))),
        };
        if count == 0 || cells.is_empty() || !cells.len().is_multiple_of(count) {
            return Err(Problem::Damaged(format!("{} numbers for {count} vectors", cells.len())));
        }
        let (gamma, coef0, degree) = match node.floats("kernel_params") {
            [gamma, coef0, degree, ..] => (*gamma, *coef0, *degree),
            _ => (0.0, 0.0, 0.0),
        };
        Ok(Vectors { kernel, gamma, coef0, degree, cells: cells.to_vec(), width: cells.len() / count })
    }

    /// How like a row is to each vector.
    fn compare<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        self.cells.chunks_exact(self.width).map(move |vector| {
            let pairs = || row.iter().zip(vector);
            let product = || pairs().map(|(x, y)| x * y).sum::<f32>();
            match self.kernel {
                Kernel::Linear => product(),
                Kernel::Poly => (self.gamma * product() + self.coef0).powf(self.degree),
                Kernel::Rbf => (-self.gamma * pairs().map(|(x, y)| (x - y) * (x - y)).sum::<f32>()).exp(),
                Kernel::Sigmoid => (self.gamma * product() + self.coef0).tanh(),
            }
        })
    }

    /// Rows as floats, where they are of the right width.
    fn rows(&self, x: &Tensor) -> Result<(Vec<f32>, usize), String> {
        match x.table() {
            (rows, width) if width == self.width => Ok((x.to_floats()?, rows)),
            (_, width) => Err(format!("it takes {} columns and is given {width}", self.width)),
        }
    }
}

/// `SVMRegressor`: `[rows, 1]`; of one class: 1 within and -1 without.
pub(super) fn regressor(node: &Node) -> Result<Op, Problem> {
    let coefficients = node.floats("coefficients").to_vec();
    let count = usize::try_from(node.int("n_supports").unwrap_or(0)).unwrap_or(0);
    let is_linear = count == 0;
    let vectors = match is_linear {
        true => Vectors { kernel: Kernel::Linear, ..Vectors::read(node, &coefficients, 1)? },
        false => Vectors::read(node, node.floats("support_vectors"), count)?,
    };
    if !is_linear && coefficients.len() != count {
        return Err(Problem::Damaged(format!("{} coefficients for {count} vectors", coefficients.len())));
    }
    let rho = node.floats("rho").first().copied().unwrap_or(0.0);
    let is_one_class = node.int("one_class").unwrap_or(0) != 0;
    Ok(Box::new(move |inputs| {
        let (numbers, rows) = vectors.rows(needed(inputs, 0)?)?;
        let score = |row: &[f32]| {
            let likeness = vectors.compare(row);
            let sum: f32 = match is_linear {
                true => likeness.sum(),
                false => likeness.zip(&coefficients).map(|(x, weight)| x * weight).sum(),
            };
            match is_one_class {
                true if sum + rho > 0.0 => 1.0,
                true => -1.0,
                false => sum + rho,
            }
        };
        let scores = numbers.chunks_exact(vectors.width).map(score).collect();
        Ok(vec![Tensor::floats(vec![rows, 1], scores)?])
    }))
}

/// The machines of pairs of classes.
struct Pairs {
    vectors: Vectors,
    /// `[classes - 1, vectors]`.
    coefficients: Vec<f32>,
    /// Where the vectors of each class begin, and how many they are.
    parts: Vec<(usize, usize)>,
    rho: Vec<f32>,
    /// Slope and intercept of the probability of each pair; empty: there are no probabilities.
    slopes: Vec<(f32, f32)>,
}

/// `SVMClassifier`: classes, and probabilities of classes or scores of pairs of them.
pub(super) fn classifier(node: &Node) -> Result<Op, Problem> {
    let classes = Classes::of(node, "classlabels_strings", "classlabels_ints")?;
    let transform = Transform::of(node)?;
    if node.ints("vectors_per_class").unwrap_or_default().is_empty() {
        return Err(Problem::Unsupported("SVMClassifier without support vectors: save it as LinearClassifier".into()));
    }
    if !(2..=CLASSES_MAX).contains(&classes.len()) {
        return Err(Problem::Unsupported(format!("a machine of {} classes", classes.len())));
    }
    let pairs = Pairs::read(node, classes.len())?;
    let count = classes.len();
    Ok(Box::new(move |inputs| {
        let (numbers, rows) = pairs.vectors.rows(needed(inputs, 0)?)?;
        let mut chosen = Vec::with_capacity(rows);
        let mut all = Vec::new();
        for row in numbers.chunks_exact(pairs.vectors.width) {
            let scores = pairs.scores(row);
            let votes = votes(&scores, count);
            chosen.push((0..count).fold(0, |best, at| if votes[at] > votes[best] { at } else { best }));
            let mut scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
            if !pairs.slopes.is_empty() {
                scores = pairs.shares(&scores, count);
                transform.apply(&mut scores);
                all.extend(scores);
            } else if count == 2 {
                let second = if transform == Transform::None { Second::Opposite } else { Second::Rest };
                let score = scores.first().copied().unwrap_or(0.0);
                all.extend(transform.both(score, Some(second)).into_iter().flatten());
            } else {
                transform.apply(&mut scores);
                all.extend(scores);
            }
        }
        let columns = all.len().checked_div(rows).unwrap_or(count);
        cells(&[rows, columns])?;
        let all = all.into_iter().map(|x| x as f32).collect();
        Ok(vec![classes.chosen(&chosen)?, Tensor::floats(vec![rows, columns], all)?])
    }))
}

impl Pairs {
    fn read(node: &Node, classes: usize) -> Result<Pairs, Problem> {
        let damaged =
            |what: &str| Problem::Damaged(format!("its {what} are not as many as its classes and vectors ask for"));
        let mut parts = Vec::with_capacity(classes);
        let mut count = 0_usize;
        for size in node.ints("vectors_per_class").unwrap_or_default() {
            let size = usize::try_from(*size).map_err(|_| damaged("vectors"))?;
            parts.push((count, size));
            count = count.checked_add(size).ok_or_else(|| damaged("vectors"))?;
        }
        let vectors = Vectors::read(node, node.floats("support_vectors"), count)?;
        let coefficients = node.floats("coefficients").to_vec();
        let rho = node.floats("rho").to_vec();
        let (a, b) = (node.floats("prob_a"), node.floats("prob_b"));
        let pairs = classes * (classes - 1) / 2;
        if parts.len() != classes {
            return Err(damaged("vectors"));
        }
        if (classes - 1).checked_mul(count).is_none_or(|wanted| coefficients.len() < wanted) {
            return Err(damaged("coefficients"));
        }
        if rho.len() < pairs || a.len() != b.len() || (!a.is_empty() && a.len() < pairs) {
            return Err(damaged("pairs"));
        }
        let slopes = a.iter().copied().zip(b.iter().copied()).collect();
        Ok(Pairs { vectors, coefficients, parts, rho, slopes })
    }

    /// A score for each pair of classes: positive for the first of them.
    fn scores(&self, row: &[f32]) -> Vec<f32> {
        let likeness: Vec<f32> = self.vectors.compare(row).collect();
        let side = |line: usize, (first, size): (usize, usize)| {
            let weights = &self.coefficients[line * likeness.len() + first..][..size];
            weights.iter().zip(&likeness[first..]).map(|(weight, x)| f64::from(weight * x)).sum::<f64>()
        };
        let mut scores = Vec::with_capacity(self.rho.len());
        for (i, first) in self.parts.iter().enumerate() {
            for (j, second) in self.parts.iter().enumerate().skip(i + 1) {
                let rho = f64::from(self.rho[scores.len()]);
                scores.push((side(j - 1, *first) + side(i, *second) + rho) as f32);
            }
        }
        scores
    }

    /// Probabilities of classes from the scores of pairs (Wu, Lin and Weng 2004, as libsvm has it).
    fn shares(&self, scores: &[f64], count: usize) -> Vec<f64> {
        let mut wins = vec![0.0; count * count];
        let mut pairs = scores.iter().zip(&self.slopes);
        for i in 0..count {
            for j in i + 1..count {
                let Some((score, (a, b))) = pairs.next() else { break };
                let share = 1.0 - logistic(score * f64::from(*a) + f64::from(*b));
                wins[i * count + j] = share.clamp(1e-7, 1.0 - 1e-7);
                wins[j * count + i] = 1.0 - wins[i * count + j];
            }
        }
        let mut quadratic = vec![0.0; count * count];
        for i in 0..count {
            for j in (0..count).filter(|j| *j != i) {
                let lost = wins[j * count + i];
                quadratic[i * count + i] += lost * lost;
                quadratic[i * count + j] = -lost * wins[i * count + j];
            }
        }
        let mut shares = vec![1.0 / count as f64; count];
        let mut slopes = vec![0.0; count];
        for _ in 0..100 {
            let mut total = 0.0;
            for i in 0..count {
                slopes[i] = (0..count).map(|j| quadratic[i * count + j] * shares[j]).sum();
                total += shares[i] * slopes[i];
            }
            if slopes.iter().all(|slope| (slope - total).abs() < 0.005 / count as f64) {
                break;
            }
            for i in 0..count {
                let own = quadratic[i * count + i];
                let step = (total - slopes[i]) / own;
                shares[i] += step;
                total = (total + step * (step * own + 2.0 * slopes[i])) / (1.0 + step) / (1.0 + step);
                for j in 0..count {
                    slopes[j] = (slopes[j] + step * quadratic[i * count + j]) / (1.0 + step);
                    shares[j] /= 1.0 + step;
                }
            }
        }
        shares
    }
}

/// How many pairs each class wins.
fn votes(scores: &[f32], count: usize) -> Vec<usize> {
    let mut votes = vec![0; count];
    let pairs = (0..count).flat_map(|i| (i + 1..count).map(move |j| (i, j)));
    for ((i, j), score) in pairs.zip(scores) {
        votes[if *score > 0.0 { i } else { j }] += 1;
    }
    votes
}
