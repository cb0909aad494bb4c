//! Linear models, and what is done with scores of all models: [`Transform`] and [`Classes`].

use std::sync::Arc;

use super::graph::{Node, Op};
use super::ops::needed;
use super::tensor::{Data, Tensor, cells};
use crate::Problem;

/// What becomes of the scores of a row (`post_transform`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transform {
    None,
    Logistic,
    Softmax,
    /// As softmax, and what is 0 stays 0.
    SoftmaxZero,
    Probit,
}

/// How the score of the first of two classes follows from that of the second, where none becomes a probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Second {
    /// What is left of 1.
    Rest,
    /// The same with the other sign.
    Opposite,
}

/// The names of classes.
#[derive(Clone, Debug)]
pub(super) enum Classes {
    Ints(Vec<i64>),
    Texts(Vec<Arc<str>>),
}

impl Transform {
    pub fn of(node: &Node) -> Result<Transform, Problem> {
        match node.text("post_transform", "NONE")? {
            "NONE" => Ok(Transform::None),
            "LOGISTIC" => Ok(Transform::Logistic),
            "SOFTMAX" => Ok(Transform::Softmax),
            "SOFTMAX_ZERO" => Ok(Transform::SoftmaxZero),
            "PROBIT" => Ok(Transform::Probit),
            other => Err(Problem::Unsupported(format!("the post_transform {other:?}"))),
        }
    }

    /// Changes the scores of a row.
    pub fn apply(self, row: &mut [f64]) {
        match self {
            Transform::None => {}
            Transform::Logistic => row.iter_mut().for_each(|x| *x = logistic(*x)),
            Transform::Probit => row.iter_mut().for_each(|x| *x = probit(*x)),
            Transform::Softmax | Transform::SoftmaxZero => {
                let most = row.iter().copied().fold(f64::MIN, f64::max);
                let keeps = |x: f64| self == Transform::SoftmaxZero && x.abs() <= 1e-7;
                let mut sum = 0.0;
                for x in row.iter_mut() {
                    match keeps(*x) {
                        true => *x *= (-most).exp(),
                        false => {
                            *x = (*x - most).exp();
                            sum += *x;
                        }
                    }
                }
                row.iter_mut().for_each(|x| *x /= sum);
            }
        }
    }

    /// The scores of two classes from one; `None`: it stays alone.
    pub fn both(self, score: f64, second: Option<Second>) -> [Option<f64>; 2] {
        match (self, second) {
            (Transform::Probit, _) => [Some(probit(score)), None],
            (_, None) => [Some(score), None],
            (Transform::Logistic, _) => [Some(logistic(-score)), Some(logistic(score))],
            (_, Some(Second::Rest)) => [Some(1.0 - score), Some(score)],
            (_, Some(Second::Opposite)) => [Some(-score), Some(score)],
        }
    }
}

impl Classes {
    /// The classes of a node, which names them in `strings` or `ints`.
    ///
    /// # Errors
    /// [`Problem::Damaged`]: it names none.
    pub fn of(node: &Node, strings: &str, ints: &str) -> Result<Classes, Problem> {
        let texts = node.texts(strings)?;
        match (texts.is_empty(), node.ints(ints).unwrap_or_default()) {
            (false, _) => Ok(Classes::Texts(texts)),
            (true, []) => Err(Problem::Damaged("it names no classes".into())),
            (true, ints) => Ok(Classes::Ints(ints.to_vec())),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Classes::Ints(ints) => ints.len(),
            Classes::Texts(texts) => texts.len(),
        }
    }

    /// A class a row, from their numbers.
    ///
    /// # Errors
    /// If there is no such class.
    pub fn chosen(&self, rows: &[usize]) -> Result<Tensor, String> {
        let data = match self {
            Classes::Ints(ints) => Data::Int(ints.clone()),
            Classes::Texts(texts) => Data::Text(texts.clone()),
        };
        Tensor { shape: vec![self.len()], data }.picked(vec![rows.len()], rows)
    }
}

pub(super) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The number that [`probit`] is said with.
#[allow(clippy::approx_constant)]
const PI_SHORT: f64 = 3.14159;

/// The quantile of the normal distribution as the runtime of ONNX has it, whose constants are cut off early.
fn probit(x: f64) -> f64 {
    let x = 2.0 * x - 1.0;
    let log = ((1.0 - x) * (1.0 + x)).ln();
    let v = 2.0 / (PI_SHORT * 0.147) + 0.5 * log;
    let inverse = (-v + (v * v - log / 0.147).sqrt()).sqrt();
    std::f64::consts::SQRT_2 * if x < 0.0 { -inverse } else { inverse }
}

/// `LinearRegressor`: `[rows, targets]`.
pub(super) fn regressor(node: &Node) -> Result<Op, Problem> {
    let targets = usize::try_from(node.int("targets").unwrap_or(1)).unwrap_or(0);
    let layer = Layer::read(node, targets)?;
    let transform = Transform::of(node)?;
    Ok(Box::new(move |inputs| {
        let (mut scores, rows) = layer.scores(needed(inputs, 0)?)?;
        match (targets, transform) {
            (1, Transform::Probit) | (2.., _) => {
                scores.chunks_exact_mut(targets).for_each(|row| transform.apply(row));
            }
            _ => {}
        }
        let cells = scores.into_iter().map(|x| x as f32).collect();
        Ok(vec![Tensor::floats(vec![rows, targets], cells)?])
    }))
}

/// `LinearClassifier`: classes, and scores of `[rows, classes]`.
pub(super) fn classifier(node: &Node) -> Result<Op, Problem> {
    let classes = Classes::of(node, "classlabels_strings", "classlabels_ints")?;
    let layer = Layer::read(node, node.floats("intercepts").len())?;
    let transform = Transform::of(node)?;
    let targets = layer.targets;
    let second = (targets == 1 && classes.len() == 2).then_some(Second::Rest);
    if targets > 1 && targets > classes.len() {
        return Err(Problem::Damaged(format!("it has {targets} scores for {} classes", classes.len())));
    }
    Ok(Box::new(move |inputs| {
        let (mut scores, rows) = layer.scores(needed(inputs, 0)?)?;
        let best = |row: &[f64]| (0..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best });
        let chosen: Vec<usize> = match targets {
            1 => scores.iter().map(|score| usize::from(*score > 0.0)).collect(),
            _ => scores.chunks_exact(targets).map(best).collect(),
        };
        let labels = match (&classes, targets, classes.len()) {
            // Without two names for the two sides they are 0 and 1.
            (Classes::Ints(_), 1, count) if count != 2 => {
                Tensor::ints(vec![rows], chosen.iter().map(|at| *at as i64).collect())?
            }
            _ => classes.chosen(&chosen)?,
        };
        if targets == 1 {
            scores = scores.into_iter().flat_map(|score| transform.both(score, second)).flatten().collect();
        } else {
            scores.chunks_exact_mut(targets).for_each(|row| transform.apply(row));
        }
        let columns = scores.len().checked_div(rows).unwrap_or(classes.len());
        let cells = scores.into_iter().map(|x| x as f32).collect();
        Ok(vec![labels, Tensor::floats(vec![rows, columns], cells)?])
    }))
}

/// Weights and intercepts.
struct Layer {
    /// `[targets, inputs]`.
    weights: Vec<f32>,
    intercepts: Vec<f32>,
    targets: usize,
    width: usize,
}

impl Layer {
    fn read(node: &Node, targets: usize) -> Result<Layer, Problem> {
        let (weights, intercepts) = (node.floats("coefficients").to_vec(), node.floats("intercepts").to_vec());
        let width = weights.len().checked_div(targets).unwrap_or(0);
        if targets == 0 || width * targets != weights.len() || !(intercepts.is_empty() || intercepts.len() == targets) {
            let says =
                format!("{} coefficients and {} intercepts for {targets} targets", weights.len(), intercepts.len());
            return Err(Problem::Damaged(says));
        }
        if weights.iter().chain(&intercepts).any(|weight| weight.is_nan()) {
            return Err(Problem::Damaged("a weight is NaN".into()));
        }
        Ok(Layer { weights, intercepts, targets, width })
    }

    /// The scores of all rows, and how many rows there are.
    fn scores(&self, x: &Tensor) -> Result<(Vec<f64>, usize), String> {
        let (rows, width) = x.table();
        if width != self.width {
            return Err(format!("it takes {} columns and is given {width}", self.width));
        }
        let mut scores = Vec::with_capacity(cells(&[rows, self.targets])?);
        let numbers = x.to_floats()?;
        for row in 0..rows {
            let row = &numbers[row * width..(row + 1) * width];
            for target in 0..self.targets {
                let weights = &self.weights[target * width..(target + 1) * width];
                let sum: f32 = row.iter().zip(weights).map(|(x, weight)| x * weight).sum();
                scores.push(f64::from(sum + self.intercepts.get(target).copied().unwrap_or(0.0)));
            }
        }
        Ok((scores, rows))
    }
}
