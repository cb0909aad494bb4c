//! Models of scikit-learn, from skops files.
//!
//! A skops file is a zip: `schema.json` tells the objects a model is made of with their attributes, and members of it
//! hold the arrays. Nothing of it is run: classes are names that are known here or refused, and arrays are numbers.
//! What a class does with its attributes is written here from scikit-learn's documentation of it.

mod archive;
mod encoders;
mod estimators;
mod forests;
mod impute;
mod node;
mod npy;
mod object;
mod steps;
mod table;
mod trace;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

use archive::Archive;
use estimators::{Choice, Estimator, Scorer, Shares, round};
use node::Node;
use object::{File, Thing};
use steps::{Scale, Step, WIDEST};
use table::{Body, Cells, Table};
use trace::Trace;

use crate::explain::{self, Explanation, Space};
use crate::links::{logistic, softmax};
use crate::{Answer, Column, Frame, Label, Matrix, Model, Problem};

/// How many rows go through the steps together at most.
const ROWS: usize = 512;

/// How many numbers the rows may have that go through the steps together: what steps hold in between stays small.
const CELLS: usize = 1 << 20;

/// How many pipelines may hold one another.
const DEPTH: usize = 16;

/// Reads a skops file: a classifier, a regressor or KMeans of scikit-learn, alone or at the end of a pipeline.
///
/// # Errors
/// [`Problem::Damaged`]: the file is cut off, or holds what scikit-learn would not write. [`Problem::Unsupported`]: a
/// class, or a parameter that changes what it answers, that is not known here, weights that are NaN or infinite, or a
/// file that is too large.
pub fn read(bytes: &[u8]) -> Result<Box<dyn Model>, Problem> {
    let file = File { archive: RefCell::new(Archive::open(bytes)?) };
    let schema = file.archive.borrow_mut().member("schema.json")?;
    let root = Node::read(&schema)?;
    drop(schema);
    let model = Skops::read(Thing::new(&file, &root)?)?;
    Ok(Box::new(model))
}

/// A model of scikit-learn.
#[derive(Debug)]
struct Skops {
    names: Option<Vec<String>>,
    width: usize,
    /// Whether an input is looked at at all.
    used: Vec<bool>,
    steps: Vec<Step>,
    last: Estimator,
    /// What is done to numbers that are the answer.
    after: Vec<Scale>,
    /// How many rows go through the steps together.
    together: usize,
}

impl Skops {
    fn read(thing: Thing<'_>) -> Result<Skops, Problem> {
        let (mut steps, mut last) = (Vec::new(), thing);
        let (mut names, mut width) = (None, None);
        let mut after = Vec::new();
        for depth in 0.. {
            if depth == DEPTH {
                return Err(Problem::Unsupported("pipelines that hold one another too deeply".to_owned()));
            }
            if last.class() == "TransformedTargetRegressor" && last.is_of("sklearn") {
                after.insert(0, Scale::read_inverse(last.child("transformer_")?)?);
                last = last.child("regressor_")?;
                continue;
            }
            if last.class() != "Pipeline" || !last.is_of("sklearn") {
                break;
            }
            let all = last.list("steps")?;
            let (end, before) = all.split_last().ok_or_else(|| last.wrong("steps", "is empty"))?;
            for pair in before {
                let Some(step) = named(last, pair)? else { continue };
                if names.is_none() && width.is_none() {
                    (names, width) = inputs_of(step)?;
                }
                steps.push(Step::read(step, 0)?);
            }
            let end = named(last, end)?;
            last = end.ok_or_else(|| Problem::Unsupported("a pipeline without a model at its end".to_owned()))?;
        }
        if steps.is_empty() {
            (names, width) = (last.names()?, Some(last.count("n_features_in_")?));
        }
        if last.class().starts_with("HistGradientBoosting") && last.get("_preprocessor").is_some() {
            // Its own encoder of categories: they come first, then the numbers as they are.
            steps.push(Step::read(last.child("_preprocessor")?, 0)?);
        }
        let estimator = Estimator::read(last)?;
        let width = width.ok_or_else(|| Problem::Damaged("the first step does not say its inputs".to_owned()))?;
        if names.as_ref().is_some_and(|names: &Vec<String>| names.len() != width) {
            return Err(Problem::Damaged("feature_names_in_ does not fit n_features_in_".to_owned()));
        }
        if width > WIDEST {
            return Err(Problem::Unsupported(format!("a model of {width} inputs; the most are {WIDEST}")));
        }
        let mut widest = width.max(1);
        let out = steps.iter().try_fold(width, |width, step| step.out(width, &mut widest))?;
        if out != estimator.width {
            let (who, takes) = (&estimator.who, estimator.width);
            return Err(Problem::Damaged(format!("{who} takes {takes} inputs and is given {out}")));
        }
        if !after.is_empty() && !matches!(estimator.choice, Choice::Values | Choice::Powers) {
            return Err(Problem::Unsupported(format!("TransformedTargetRegressor of {}", estimator.who)));
        }
        let together = (CELLS / widest).clamp(1, ROWS);
        let mut used = vec![true; width];
        if let Some(columns) = steps.first().and_then(Step::columns_used) {
            used.fill(false);
            columns.into_iter().filter(|at| *at < width).for_each(|at| used[at] = true);
        }
        Ok(Skops { names, width, used, steps, last: estimator, after, together })
    }

    /// The numbers of all rows, a few rows at a time.
    fn scores(&self, frame: &Frame) -> Result<Matrix, Problem> {
        let mut all = Matrix::default();
        self.each_part(frame, |first, matrix| {
            let scores = self.last.scores(matrix)?;
            if first == 0 {
                all = Matrix { rows: 0, columns: scores.columns, values: Vec::new() };
                all.values.reserve_exact(frame.rows * scores.columns);
            }
            all.rows += scores.rows;
            all.values.extend_from_slice(&scores.values);
            Ok(())
        })?;
        Ok(all)
    }

    /// Goes with a few rows at a time to what the model at the end is given, and their first row's number.
    fn each_part(
        &self,
        frame: &Frame,
        mut take: impl FnMut(usize, Matrix) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let columns = self.columns(frame)?;
        for first in (0..frame.rows).step_by(self.together) {
            let rows = self.together.min(frame.rows - first);
            let table = Table { first, rows, body: Body::Columns(slices(&columns, first, rows)) };
            let table = self.steps.iter().try_fold(table, |table, step| step.apply(table))?;
            take(first, table.into_matrix(&self.last.who, self.last.width, self.last.takes)?)?;
        }
        Ok(())
    }

    /// The means that a linear model is explained against: those of the reference, else those that scalers know.
    fn means(&self, traces: &[Trace], reference: Option<&Frame>) -> Result<Vec<f64>, Problem> {
        let Some(reference) = reference.filter(|reference| reference.rows > 0) else {
            let known: Option<Vec<f64>> = traces.iter().map(|column| column.mean).collect();
            return known.ok_or_else(explain::needs_reference);
        };
        let mut sums = vec![0.0; self.last.width];
        self.each_part(reference, |_, matrix| {
            let (rows, means) = (matrix.rows as f64, explain::means(&matrix));
            sums.iter_mut().zip(means).for_each(|(sum, mean)| *sum += mean * rows);
            Ok(())
        })?;
        Ok(sums.into_iter().map(|sum| sum / reference.rows as f64).collect())
    }

    /// The columns in the order of the model; `None`: one that is not there and not looked at.
    fn columns<'a>(&self, frame: &'a Frame) -> Result<Vec<Option<&'a Column>>, Problem> {
        check_frame(frame)?;
        let Some(names) = self.names.as_ref().filter(|_| !frame.names.is_empty()) else {
            return match frame.columns.len() == self.width {
                true => Ok(frame.columns.iter().map(Some).collect()),
                false => {
                    let there = frame.columns.len();
                    Err(Problem::Rows(format!("the model takes {} inputs, and there are {there}", self.width)))
                }
            };
        };
        let there: HashMap<&str, &Column> = frame.names.iter().map(String::as_str).zip(&frame.columns).collect();
        let columns: Vec<_> = names.iter().map(|name| there.get(name.as_str()).copied()).collect();
        let lacks = |at: &usize| columns[*at].is_none() && self.used[*at];
        let missing: Vec<&str> = (0..names.len()).filter(lacks).map(|at| names[at].as_str()).collect();
        match missing.is_empty() {
            true => Ok(columns),
            false => Err(Problem::Rows(format!("these columns are not there: {}", missing.join(", ")))),
        }
    }
}

impl Model for Skops {
    fn inputs(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn predict(&self, rows: &Frame) -> Result<Answer, Problem> {
        let mut scores = self.scores(rows)?;
        let classes = &self.last.classes;
        let each = scores.values.chunks_exact(scores.columns.max(1));
        let labels = match self.last.choice {
            Choice::Values | Choice::Powers => {
                if self.last.choice == Choice::Powers {
                    scores.values.iter_mut().for_each(|value| *value = value.exp());
                }
                self.after.iter().for_each(|scale| scale.apply(&mut scores));
                return Ok(Answer::Numbers(scores));
            }
            Choice::Outlier(offset) => {
                each.map(|row| Label::Int(if -(-row[0]).exp2() - offset < 0.0 { -1 } else { 1 })).collect()
            }
            Choice::Positive => each.map(|row| classes[usize::from(row[0] > 0.0)].clone()).collect(),
            Choice::NotNegative => each.map(|row| classes[usize::from(row[0] >= 0.0)].clone()).collect(),
            Choice::Half => each.map(|row| classes[usize::from(row[0] > 0.5)].clone()).collect(),
            Choice::Largest | Choice::Cluster => each.map(|row| classes[largest(row)].clone()).collect(),
        };
        Ok(Answer::Labels(labels))
    }

    fn probabilities(&self, rows: &Frame) -> Result<Option<Matrix>, Problem> {
        if self.last.shares == Shares::None {
            return Ok(None);
        }
        let mut scores = self.scores(rows)?;
        let columns = scores.columns.max(1);
        let pairs = |second: &dyn Fn(f64) -> f64| {
            let values = scores.values.iter().flat_map(|score| {
                let second = second(*score);
                [1.0 - second, second]
            });
            Ok(Some(Matrix { rows: scores.rows, columns: 2, values: values.collect() }))
        };
        match self.last.shares {
            Shares::None => return Ok(None),
            Shares::Given => {}
            Shares::Second => return pairs(&|score| score),
            Shares::Logistic(factor) => return pairs(&|score| logistic(factor * score)),
            Shares::Huber if columns == 1 => return pairs(&|score| (score.clamp(-1.0, 1.0) + 1.0) / 2.0),
            Shares::Softmax => scores.values.chunks_exact_mut(columns).for_each(softmax),
            Shares::OneForEach => scores.values.chunks_exact_mut(columns).for_each(|row| {
                row.iter_mut().for_each(|x| *x = logistic(*x));
                whole(row);
            }),
            Shares::Huber => scores.values.chunks_exact_mut(columns).for_each(|row| {
                row.iter_mut().for_each(|x| *x = (x.clamp(-1.0, 1.0) + 1.0) / 2.0);
                whole(row);
            }),
        }
        Ok(Some(scores))
    }

    fn explain(&self, rows: &Frame, reference: Option<&Frame>) -> Result<Explanation, Problem> {
        let how = self.last.how().ok_or_else(|| explain::cannot(&self.last.who))?;
        let columns = Trace::inputs(self.width);
        let columns = self.steps.iter().try_fold(columns, |columns, step| step.trace(&columns))?;
        let owners: Vec<usize> = columns.iter().map(|column| column.owner).collect();
        let space = if self.after.is_empty() { self.last.space() } else { Space::Margin };
        let mut explanation = Explanation::new(self, how, space, self.scores(rows)?)?;
        match &self.last.scorer {
            Scorer::Linear(weights, add) => {
                let means = self.means(&columns, reference)?;
                self.each_part(rows, |first, matrix| {
                    explanation.add_linear(first, &matrix, weights, add, &means, &owners);
                    Ok(())
                })?;
            }
            Scorer::Trees { start, trees, divide, single } => {
                let (start, roots): (Vec<f64>, _) =
                    (start.iter().map(|start| start / divide).collect(), trees.roots(1.0 / divide));
                self.each_part(rows, |first, mut matrix| {
                    if *single {
                        round(&mut matrix, &self.last.who, self.last.takes)?;
                    }
                    explanation.add_trees(first, &start, trees, &roots, &matrix.values, &owners)
                })?;
            }
            _ => return Err(explain::cannot(&self.last.who)),
        }
        Ok(explanation)
    }

    fn classes(&self) -> Option<&[Label]> {
        let clusters = self.last.choice == Choice::Cluster;
        (!self.last.classes.is_empty() && !clusters).then_some(&self.last.classes)
    }
}

/// The object of a pair of a name and an object; `None`: it does nothing.
fn named<'a>(pipeline: Thing<'a>, pair: &'a Node) -> Result<Option<Thing<'a>>, Problem> {
    match pair {
        Node::List(pair) if pair.len() >= 2 => match &pair[1] {
            Node::Null => Ok(None),
            Node::Text(word) if &**word == "passthrough" => Ok(None),
            node => pipeline.other(node).map(Some),
        },
        _ => Err(pipeline.wrong("steps", "holds what is no named step")),
    }
}

/// The names and the number of inputs of a step, which those that hold steps may know from the first of them.
fn inputs_of(step: Thing<'_>) -> Result<(Option<Vec<String>>, Option<usize>), Problem> {
    let mut step = step;
    for _ in 0..DEPTH {
        if step.get("n_features_in_").is_some() {
            return Ok((step.names()?, Some(step.count("n_features_in_")?)));
        }
        let list = if step.class() == "FeatureUnion" { "transformer_list" } else { "steps" };
        let mut within = None;
        for pair in step.list(list)? {
            if let Node::List(pair) = pair
                && let Some(node @ Node::Object(_)) = pair.get(1)
            {
                within = Some(step.other(node)?);
                break;
            }
        }
        step = within.ok_or_else(|| step.wrong(list, "holds no step"))?;
    }
    Err(Problem::Unsupported("steps that hold one another too deeply".to_owned()))
}

fn check_frame(frame: &Frame) -> Result<(), Problem> {
    if !frame.names.is_empty() && frame.names.len() != frame.columns.len() {
        return Err(Problem::Rows("there are not as many names as columns".to_owned()));
    }
    let length = |column: &Column| match column {
        Column::Numbers(numbers) => numbers.len(),
        Column::Texts(texts) => texts.len(),
    };
    match frame.columns.iter().all(|column| length(column) == frame.rows) {
        true => Ok(()),
        false => Err(Problem::Rows(format!("the columns have not all {} rows", frame.rows))),
    }
}

fn slices<'a>(columns: &[Option<&'a Column>], first: usize, rows: usize) -> Vec<Cells<'a>> {
    let slice = |column: &Option<&'a Column>| match column {
        None => Cells::Numbers(vec![f64::NAN; rows].into()),
        Some(Column::Numbers(numbers)) => Cells::Numbers(Cow::Borrowed(&numbers[first..first + rows])),
        Some(Column::Texts(texts)) => Cells::Texts(Cow::Borrowed(&texts[first..first + rows])),
    };
    columns.iter().map(slice).collect()
}

/// The place of the largest number, the first of equal ones.
fn largest(row: &[f64]) -> usize {
    let better = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
    (0..row.len()).fold(0, better)
}

/// Makes numbers sum to 1, all of them alike where they are 0.
fn whole(row: &mut [f64]) {
    let sum: f64 = row.iter().sum();
    match sum == 0.0 {
        true => row.fill(1.0 / row.len() as f64),
        false => row.iter_mut().for_each(|x| *x /= sum),
    }
}
