//! Why a model answered what it answered: each answer as a base value and what every input adds to it.
//!
//! The numbers are Shapley values (Lundberg and Lee 2017, "A unified approach to interpreting model predictions"), and
//! exact. Of trees they are path-dependent: an input that is not known sends a row both ways, in the shares in which
//! the rows of training went, which is what `shap.TreeExplainer` does without data of its own. Of linear models they
//! are `weight * (input - mean)`: inputs are taken as independent of each other, as `shap.LinearExplainer` takes them.
//!
//! What a pipeline makes of an input is added up to that input again: columns of a one-hot encoder to the column that
//! was encoded. Steps that mix inputs (`PCA`, products of several inputs, rows of length 1) cannot be taken apart so.
//!
//! ```
//! use bellwether_serve::{Column, Frame, read};
//!
//! let file = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/forest_classifier.skops"));
//! let forest = read(file).unwrap();
//! let columns = [0.1, 0.3, -0.3, f64::NAN].map(|x| Column::Numbers(vec![x])).to_vec();
//! let explained = forest.explain(&Frame { names: Vec::new(), columns, rows: 1 }, None).unwrap();
//! assert_eq!(explained.outputs, ["bad", "good"]);
//! let sum = explained.base[1] + explained.of(0, 1).iter().sum::<f64>();
//! assert!((sum - explained.scores.row(0)[1]).abs() < 1e-12); // the probability of `good`
//! ```

pub(crate) mod trees;

use crate::{Frame, Label, Matrix, Model, Problem};

/// The most contributions that are given at once: half a gigabyte of them.
const MOST: usize = 1 << 26;

/// Which models can be explained; messages end with it.
pub(crate) const CAN: &str = "trees, forests and boosted trees of scikit-learn, XGBoost and LightGBM, and linear models can be explained, also behind scalers, imputers, encoders and column transformers";

/// What the numbers of an explanation are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// The prediction itself.
    Value,
    /// Shares of classes.
    Probability,
    /// The number before a last function makes the prediction of it: log-odds, a logarithm, a distance from a
    /// border, a target that was transformed for training.
    Margin,
}

/// How an explanation came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Path-dependent Shapley values of trees.
    Trees,
    /// Weights times distances from a mean.
    Linear,
}

/// Answers to rows, taken apart: `base[output]` and `contributions` of that row and output add up to
/// `scores.row(row)[output]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Names of the inputs, in the model's order; their numbers where they have no names.
    pub inputs: Vec<String>,
    /// Names of the outputs: classes where there is an output for each (a single output of two classes is that of the
    /// second), otherwise their numbers.
    pub outputs: Vec<String>,
    /// What the numbers are.
    pub space: Space,
    /// How they came to be.
    pub how: How,
    /// What is answered on average: a number an output.
    pub base: Vec<f64>,
    /// What each input adds: rows, in each the outputs, in each the inputs.
    pub contributions: Vec<f64>,
    /// What is explained: a row each, with a number an output.
    pub scores: Matrix,
}

impl Space {
    /// Its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Space::Value => "value",
            Space::Probability => "probability",
            Space::Margin => "margin",
        }
    }
}

impl Explanation {
    /// An explanation of scores in which nothing contributes yet.
    ///
    /// # Errors
    /// [`Problem::Rows`]: no rows, or more contributions than are given at once.
    pub(crate) fn new(model: &dyn Model, how: How, space: Space, scores: Matrix) -> Result<Explanation, Problem> {
        if scores.rows == 0 {
            return Err(Problem::Rows("there is no row to explain".into()));
        }
        let width = model.width();
        let count = scores.values.len().checked_mul(width).filter(|count| *count <= MOST);
        let count = count.ok_or_else(|| {
            let (rows, columns) = (scores.rows, scores.columns);
            Problem::Rows(format!(
                "{rows} rows of {columns} outputs and {width} inputs have more than {MOST} contributions: ask for fewer rows"
            ))
        })?;
        let numbered = |count: usize| (0..count).map(|at| at.to_string()).collect();
        let outputs = match model.classes() {
            Some(classes) if classes.len() == scores.columns => classes.iter().map(Label::to_text).collect(),
            Some([_, second]) if scores.columns == 1 => vec![second.to_text()],
            _ => numbered(scores.columns),
        };
        Ok(Explanation {
            inputs: model.inputs().map_or_else(|| numbered(width), <[String]>::to_vec),
            outputs,
            space,
            how,
            base: vec![0.0; scores.columns],
            contributions: vec![0.0; count],
            scores,
        })
    }

    /// What each input adds to an output of a row.
    ///
    /// # Panics
    /// If there is no such row or output.
    pub fn of(&self, row: usize, output: usize) -> &[f64] {
        let width = self.inputs.len();
        let start = (row * self.outputs.len() + output) * width;
        &self.contributions[start..start + width]
    }

    /// Adds what the trees' answers to rows, from the row `first` on, are made of. `start` is what the answers are
    /// without the trees, and becomes the base values together with the trees' means; `owners` says of each number of a
    /// row which input it was made of.
    ///
    /// # Errors
    /// As [`trees::add`].
    pub(crate) fn add_trees<F: trees::Forest>(
        &mut self,
        first: usize,
        start: &[f64],
        forest: &F,
        roots: &[trees::Root],
        rows: &[F::Number],
        owners: &[usize],
    ) -> Result<(), Problem> {
        let inputs = self.inputs.len();
        self.base.copy_from_slice(start);
        let contributions = &mut self.contributions[first * start.len() * inputs..];
        let mut sums = trees::Sums { base: &mut self.base, contributions, inputs, owners };
        trees::add(forest, roots, rows, owners.len(), &mut sums)
    }

    /// Adds what a linear model explains: `weights` has a row for each output with a number for each column, `means`
    /// and `rows` are of the columns, and `owners` says of each column which input it was made of. Fills the base
    /// values. Costs a multiplication for each row, output and column.
    pub(crate) fn add_linear(
        &mut self,
        first: usize,
        rows: &Matrix,
        weights: &Matrix,
        add: &[f64],
        means: &[f64],
        owners: &[usize],
    ) {
        let (outputs, inputs) = (self.outputs.len(), self.inputs.len());
        for (output, add) in add.iter().enumerate() {
            let weights = weights.row(output);
            self.base[output] = add + weights.iter().zip(means).map(|(weight, mean)| weight * mean).sum::<f64>();
            for row in 0..rows.rows {
                let into = &mut self.contributions[((first + row) * outputs + output) * inputs..][..inputs];
                for (column, x) in rows.row(row).iter().enumerate() {
                    into[owners[column]] += weights[column] * (x - means[column]);
                }
            }
        }
    }
}

/// The mean of each column.
pub(crate) fn means(rows: &Matrix) -> Vec<f64> {
    let mut sums = vec![0.0; rows.columns];
    for row in 0..rows.rows {
        sums.iter_mut().zip(rows.row(row)).for_each(|(sum, x)| *sum += x);
    }
    sums.iter().map(|sum| sum / rows.rows as f64).collect()
}

/// Of what has no explanation.
pub(crate) fn cannot(what: &str) -> Problem {
    Problem::Unsupported(format!("an explanation of {what}: {CAN}"))
}

/// A linear model was asked without rows to compare with.
pub(crate) fn needs_reference() -> Problem {
    Problem::Rows(
        "a linear model is explained against the mean of its inputs, which this file does not say: give rows as reference"
            .into(),
    )
}

/// The rows to compare with, checked for being there.
pub(crate) fn reference(reference: Option<&Frame>) -> Result<&Frame, Problem> {
    reference.filter(|reference| reference.rows > 0).ok_or_else(needs_reference)
}
