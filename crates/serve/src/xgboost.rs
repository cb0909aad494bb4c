//! Models of XGBoost, from its JSON and UBJSON (1.0 and later): trees, with dropout too, and linear boosters.
//!
//! Numbers are compared and added as 32-bit floats in XGBoost's order, so answers equal those of its Python library.

mod forest;
mod json;
mod objective;
mod ubjson;
mod value;

use std::collections::HashMap;

use crate::explain::{self, How, Space};
use crate::{Answer, Column, Explanation, Frame, Label, Matrix, Model, Problem};
use forest::{Forest, LANES};
use objective::{Objective, highest, softmax};
use value::{Value, index};

/// How many rows are laid out and walked at a time.
const BLOCK: usize = 8 * LANES;
/// More outputs than this are not read: scores of a block of rows are held for all of them.
const MOST_GROUPS: usize = 1 << 16;

/// Reads a model file; what it holds tells JSON from UBJSON.
///
/// A file that a wrapper for scikit-learn saved answers as the wrapper does (classes from a classifier, rounds up to the
/// best one); any other as `Booster.predict` does (all rounds). Where the objective is `binary:logistic` or one of
/// `multi:`, [`Model::probabilities`] and [`Model::classes`] answer in both cases.
///
/// Errors: [`Problem::Damaged`] for what is no model file, or one whose parts do not fit each other;
/// [`Problem::Unsupported`] for other objectives and boosters, and XGBoost's old binary format.
pub fn read(bytes: &[u8]) -> Result<Box<dyn Model>, Problem> {
    let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    let file = &bytes[start..];
    if file.starts_with(b"binf") || file.starts_with(b"bs64") {
        return Err(Problem::Unsupported("XGBoost's old binary format".into()));
    }
    if file.first() != Some(&b'{') {
        return Err(Problem::Damaged("it is neither JSON nor UBJSON of XGBoost".into()));
    }
    let is_json = file[1..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'"');
    let value = if is_json { json::parse(file)? } else { ubjson::parse(file)? };
    Ok(Box::new(Booster::read(&value)?))
}

#[derive(Debug)]
struct Booster {
    names: Option<Vec<String>>,
    width: usize,
    /// The codes of a column's categories, where the file has them.
    codes: Vec<Option<Codes>>,
    kind: Kind,
    base: Vec<f32>,
    objective: Objective,
    is_classifier: bool,
    classes: Option<Vec<Label>>,
}

#[derive(Debug)]
enum Kind {
    Trees(Forest),
    /// Weights of a feature for each group, one feature after the other, the biases last.
    Linear(Vec<f32>),
}

#[derive(Debug, PartialEq)]
enum Codes {
    Texts(HashMap<String, u32>),
    Numbers(HashMap<i64, u32>),
    /// Texts with letters beyond ASCII, whose ends XGBoost counts in letters and not in bytes: what it writes can not be
    /// told apart for sure.
    Unsure,
}

impl Model for Booster {
    fn inputs(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn predict(&self, rows: &Frame) -> Result<Answer, Problem> {
        let margins = self.margins(rows)?;
        if self.is_classifier {
            let labels = margins.chunks_exact(self.base.len()).map(|margins| Label::Int(self.class(margins)));
            return Ok(Answer::Labels(labels.collect()));
        }
        let columns = self.objective.answers(self.base.len());
        let mut values = Vec::with_capacity(rows.rows * columns);
        for margins in margins.chunks_exact(self.base.len()) {
            self.objective.answer(margins, &mut values);
        }
        Ok(Answer::Numbers(Matrix { rows: rows.rows, columns, values }))
    }

    fn probabilities(&self, rows: &Frame) -> Result<Option<Matrix>, Problem> {
        let Some(classes) = &self.classes else { return Ok(None) };
        let margins = self.margins(rows)?;
        let mut values = Vec::with_capacity(rows.rows * classes.len());
        for margins in margins.chunks_exact(self.base.len()) {
            match self.objective {
                Objective::Probabilities | Objective::Highest => softmax(margins, &mut values),
                _ => {
                    let at = values.len();
                    self.objective.answer(margins, &mut values);
                    let other = f64::from(1.0 - values[at] as f32);
                    values.insert(at, other);
                }
            }
        }
        Ok(Some(Matrix { rows: rows.rows, columns: classes.len(), values }))
    }

    fn classes(&self) -> Option<&[Label]> {
        self.classes.as_deref()
    }

    fn explain(&self, rows: &Frame, reference: Option<&Frame>) -> Result<Explanation, Problem> {
        let how = if matches!(self.kind, Kind::Trees(_)) { How::Trees } else { How::Linear };
        let space = if self.objective == Objective::Raw { Space::Value } else { Space::Margin };
        let groups = self.base.len();
        let margins = self.margins(rows)?.into_iter().map(f64::from).collect();
        let scores = Matrix { rows: rows.rows, columns: groups, values: margins };
        let mut explanation = Explanation::new(self, how, space, scores)?;
        let owners: Vec<usize> = (0..self.width).collect();
        match &self.kind {
            Kind::Trees(forest) => {
                let start: Vec<f64> = self.base.iter().map(|base| f64::from(*base)).collect();
                let rows = self.row_major(rows)?;
                explanation.add_trees(0, &start, forest, &forest.roots(groups), &rows, &owners)?;
            }
            Kind::Linear(weights) => {
                let row_major = |frame| -> Result<Matrix, Problem> {
                    // What is missing adds nothing, as 0 does.
                    let number = |x: f32| if x.is_nan() { 0.0 } else { f64::from(x) };
                    let values = self.row_major(frame)?.into_iter().map(number).collect();
                    Ok(Matrix { rows: frame.rows, columns: self.width, values })
                };
                let means = explain::means(&row_major(explain::reference(reference)?)?);
                let of_group =
                    |group: usize| weights.iter().skip(group).step_by(groups).map(|weight| f64::from(*weight));
                let values = (0..groups).flat_map(|group| of_group(group).take(self.width)).collect();
                let weights_of_groups = Matrix { rows: groups, columns: self.width, values };
                let biases = &weights[self.width * groups..];
                let add: Vec<f64> = self.base.iter().zip(biases).map(|(a, b)| f64::from(*a) + f64::from(*b)).collect();
                explanation.add_linear(0, &row_major(rows)?, &weights_of_groups, &add, &means, &owners);
            }
        }
        Ok(explanation)
    }
}

impl Booster {
    fn read(file: &Value) -> Result<Booster, Problem> {
        let learner = file.part("learner")?;
        let param = learner.part("learner_model_param")?;
        let width = param.count("num_feature", 0)?;
        let groups = param.count("num_class", 0)?.max(param.count("num_target", 1)?).max(1);
        if groups > MOST_GROUPS {
            return Err(Problem::Unsupported(format!("{groups} outputs")));
        }
        let objective_name = learner.part("objective")?.text("name")?;
        let objective = Objective::named(objective_name)?;
        let mut base = base_margins(param.text("base_score")?, objective, groups)?;
        let wrapper = Wrapper::read(learner);
        let booster = learner.part("gradient_booster")?;
        let (kind, codes) = match booster.text("name")? {
            "gbtree" => trees(booster.part("model")?, None, width, groups, wrapper.rounds)?,
            "dart" => {
                let weights = booster.floats("weight_drop")?;
                let model = booster.part("gbtree")?.part("model")?;
                trees(model, Some(&weights), width, groups, wrapper.rounds)?
            }
            "gblinear" => {
                // XGBoost adds the first class's base score to every class.
                let first = base[0];
                base.fill(first);
                (linear(booster.part("model")?, width, groups)?, Vec::new())
            }
            other => return Err(Problem::Unsupported(format!("the booster `{other}` of XGBoost"))),
        };
        let classes = match objective_name {
            "binary:logistic" if groups == 1 => Some(2),
            "multi:softprob" | "multi:softmax" => Some(groups),
            _ => None,
        };
        Ok(Booster {
            names: names(learner, width)?,
            width,
            codes,
            kind,
            base,
            objective,
            is_classifier: wrapper.is_classifier && groups == param.count("num_class", 0)?.max(1),
            classes: classes.map(|count| (0..count as i64).map(Label::Int).collect()),
        })
    }

    fn class(&self, margins: &[f32]) -> i64 {
        if margins.len() > 1 {
            return highest(margins) as i64;
        }
        let mut answer = Vec::with_capacity(1);
        self.objective.answer(margins, &mut answer);
        i64::from(answer.first().is_some_and(|number| *number > 0.5))
    }

    /// The sums of leaves, a row of groups for each row.
    fn margins(&self, frame: &Frame) -> Result<Vec<f32>, Problem> {
        let columns = self.columns(frame)?;
        let (groups, width) = (self.base.len(), columns.len().max(1));
        let mut all = Vec::with_capacity(frame.rows * groups);
        let mut block = vec![f32::NAN; width * BLOCK];
        let mut margins = vec![0.0; groups * BLOCK];
        for start in (0..frame.rows).step_by(BLOCK) {
            let count = BLOCK.min(frame.rows - start);
            for (at, column) in columns.iter().enumerate() {
                for (lane, row) in (start..start + count).enumerate() {
                    block[lane * width + at] = column.number(row)?;
                }
            }
            for margins in margins.chunks_exact_mut(groups) {
                margins.copy_from_slice(&self.base);
            }
            let lanes = count.div_ceil(LANES) * LANES;
            match &self.kind {
                Kind::Trees(forest) => {
                    forest.add(&block[..lanes * width], width, &mut margins[..lanes * groups], groups);
                }
                Kind::Linear(weights) => {
                    add_linear(weights, &block[..count * width], width, self.width, &mut margins, groups);
                }
            }
            all.extend_from_slice(&margins[..count * groups]);
        }
        Ok(all)
    }

    /// Rows one after the other, as the trees take them.
    fn row_major(&self, frame: &Frame) -> Result<Vec<f32>, Problem> {
        let columns = self.columns(frame)?;
        let mut values = Vec::with_capacity(frame.rows * columns.len());
        for row in 0..frame.rows {
            for column in &columns {
                values.push(column.number(row)?);
            }
        }
        Ok(values)
    }

    /// The columns of a frame in the order of the model's inputs.
    fn columns<'a>(&'a self, frame: &'a Frame) -> Result<Vec<Input<'a>>, Problem> {
        if frame.columns.iter().any(|column| length(column) != frame.rows) {
            return Err(Problem::Rows("columns are of different lengths".into()));
        }
        let is_named = self.names.is_some() && !frame.names.is_empty();
        let order: Vec<usize> = match &self.names {
            Some(names) if is_named => by_name(names, frame)?,
            _ if frame.columns.len() == self.width => (0..self.width).collect(),
            _ => {
                let (given, taken) = (frame.columns.len(), self.width);
                return Err(Problem::Rows(format!("{given} columns are given, the model takes {taken}")));
            }
        };
        let inputs = order.iter().enumerate().map(|(at, from)| {
            let codes = self.codes.get(at).and_then(Option::as_ref);
            let name = self.names.as_ref().map_or_else(|| at.to_string(), |names| names[at].clone());
            match (&frame.columns[*from], codes) {
                (Column::Numbers(numbers), Some(Codes::Numbers(codes))) if is_named => {
                    Ok(Input::CodedNumbers(numbers, codes, name))
                }
                (Column::Numbers(numbers), _) => Ok(Input::Numbers(numbers)),
                (Column::Texts(texts), Some(Codes::Texts(codes))) => Ok(Input::CodedTexts(texts, codes, name)),
                (Column::Texts(texts), _) if texts.iter().all(Option::is_none) => Ok(Input::Nothing),
                (Column::Texts(_), Some(Codes::Unsure)) => Err(Problem::Rows(format!(
                    "the categories of column `{name}` have letters beyond ASCII, which XGBoost's file does not keep"
                ))),
                (Column::Texts(_), _) => Err(Problem::Rows(format!("column `{name}` holds texts, not numbers"))),
            }
        });
        inputs.collect()
    }
}

/// A column of rows as the model takes it.
enum Input<'a> {
    Nothing,
    Numbers(&'a [f64]),
    CodedNumbers(&'a [f64], &'a HashMap<i64, u32>, String),
    CodedTexts(&'a [Option<String>], &'a HashMap<String, u32>, String),
}

impl Input<'_> {
    #[inline]
    fn number(&self, row: usize) -> Result<f32, Problem> {
        let unknown = |name: &str, value: &str| {
            Problem::Rows(format!("column `{name}` holds the category `{value}`, which the model does not know"))
        };
        match self {
            Input::Numbers(numbers) => Ok(numbers[row] as f32),
            Input::Nothing => Ok(f32::NAN),
            Input::CodedNumbers(numbers, _, _) if numbers[row].is_nan() => Ok(f32::NAN),
            Input::CodedNumbers(numbers, codes, name) => {
                let number = numbers[row];
                let code = codes.get(&(number as i64)).filter(|_| number.fract() == 0.0);
                code.map(|code| *code as f32).ok_or_else(|| unknown(name, &number.to_string()))
            }
            Input::CodedTexts(texts, codes, name) => match &texts[row] {
                None => Ok(f32::NAN),
                Some(text) => codes.get(text).map(|code| *code as f32).ok_or_else(|| unknown(name, text)),
            },
        }
    }
}

/// What the wrapper for scikit-learn left in the file.
#[derive(Debug, Default)]
struct Wrapper {
    is_classifier: bool,
    /// How many rounds count.
    rounds: Option<usize>,
}

impl Wrapper {
    fn read(learner: &Value) -> Wrapper {
        let Some(attributes) = learner.find("attributes") else { return Wrapper::default() };
        let Ok(said) = attributes.text("scikit_learn") else { return Wrapper::default() };
        let said: serde_json::Value = serde_json::from_str(said).unwrap_or_default();
        let is_classifier = match said.get("_estimator_type") {
            Some(kind) => kind == "classifier",
            None => said.get("type").is_some_and(|kind| kind == "XGBClassifier" || kind == "XGBRFClassifier"),
        };
        let best = attributes.text("best_iteration").ok().and_then(|best| best.parse::<usize>().ok());
        Wrapper { is_classifier, rounds: best.map(|best| best.saturating_add(1)) }
    }
}

fn names(learner: &Value, width: usize) -> Result<Option<Vec<String>>, Problem> {
    let Some(Value::List(list)) = learner.find("feature_names") else { return Ok(None) };
    let names = list.iter().map(|name| match name {
        Value::Text(name) => Ok(name.to_string()),
        _ => Err(Problem::Damaged("a feature's name is no text".into())),
    });
    let names: Vec<String> = names.collect::<Result<_, _>>()?;
    if names.len() != width {
        return Err(Problem::Damaged(format!("{} names for {width} features", names.len())));
    }
    Ok(Some(names))
}

/// The base score, said as `5E-1` or as `[5E-1,…]`, as margins.
fn base_margins(said: &str, objective: Objective, groups: usize) -> Result<Vec<f32>, Problem> {
    let damaged = || Problem::Damaged(format!("the base score `{said}` is none"));
    let bare = said.trim().trim_start_matches('[').trim_end_matches(']');
    let scores = bare.split(',').map(|score| score.trim().parse::<f32>().map_err(|_| damaged()));
    let margins: Vec<f32> = scores.map(|score| score.map(|score| objective.margin(score))).collect::<Result<_, _>>()?;
    if margins.iter().any(|margin| !margin.is_finite()) {
        return Err(damaged());
    }
    match margins.as_slice() {
        [margin] => Ok(vec![*margin; groups]),
        margins if margins.len() == groups => Ok(margins.to_vec()),
        _ => Err(damaged()),
    }
}

fn trees(
    model: &Value,
    weights: Option<&[f32]>,
    width: usize,
    groups: usize,
    rounds: Option<usize>,
) -> Result<(Kind, Vec<Option<Codes>>), Problem> {
    let (trees, places) = (model.list("trees")?, model.integers("tree_info")?);
    let said = model.part("gbtree_model_param")?.count("num_trees", trees.len())?;
    if places.len() != trees.len() || said != trees.len() || weights.is_some_and(|some| some.len() != trees.len()) {
        return Err(Problem::Damaged("there are not as many trees as it says".into()));
    }
    let mut forest = Forest::default();
    for (at, (tree, group)) in trees.iter().zip(&places).enumerate() {
        let weight = weights.map_or(1.0, |weights| weights[at]);
        let group = index(*group as f64).filter(|group| *group < groups && weight.is_finite());
        let group = group.ok_or_else(|| Problem::Damaged(format!("tree {at} has no place or weight")))?;
        forest.push(tree, group, weight, width, groups).map_err(|problem| in_tree(at, problem))?;
    }
    if let Some(rounds) = rounds {
        forest.truncate(trees_of(model, rounds, groups, forest.len())?);
    }
    Ok((Kind::Trees(forest), codes(model)?))
}

fn in_tree(at: usize, problem: Problem) -> Problem {
    match problem {
        Problem::Damaged(what) => Problem::Damaged(format!("tree {at}: {what}")),
        Problem::Unsupported(what) => Problem::Unsupported(format!("tree {at}: {what}")),
        other => other,
    }
}

/// How many trees the first rounds have.
fn trees_of(model: &Value, rounds: usize, groups: usize, trees: usize) -> Result<usize, Problem> {
    if model.find("iteration_indptr").is_some() {
        let ends = model.integers("iteration_indptr")?;
        let end = ends.get(rounds).map_or(trees, |end| usize::try_from(*end).unwrap_or(trees));
        return Ok(end.min(trees));
    }
    let parallel = model.part("gbtree_model_param")?.count("num_parallel_tree", 1)?.max(1);
    Ok(rounds.saturating_mul(parallel).saturating_mul(groups).min(trees))
}

/// The categories of the columns, which files have since 3.1.
fn codes(model: &Value) -> Result<Vec<Option<Codes>>, Problem> {
    let Some(encodings) = model.find("cats").filter(|cats| cats.find("enc").is_some()) else { return Ok(Vec::new()) };
    encodings.list("enc")?.iter().map(codes_of).collect()
}

fn codes_of(encoding: &Value) -> Result<Option<Codes>, Problem> {
    let values = encoding.integers("values")?;
    if values.is_empty() {
        return Ok(None);
    }
    if encoding.find("offsets").is_none() {
        return Ok(Some(Codes::Numbers(values.iter().enumerate().map(|(at, value)| (*value, at as u32)).collect())));
    }
    let damaged = || Problem::Damaged("the texts of categories are damaged".into());
    let bytes: Vec<u8> = values.iter().map(|value| *value as u8).collect();
    if !bytes.is_ascii() {
        return Ok(Some(Codes::Unsure));
    }
    let (mut texts, mut total) = (HashMap::new(), 0);
    for (at, ends) in encoding.integers("offsets")?.windows(2).enumerate() {
        let (start, end) = (usize::try_from(ends[0]), usize::try_from(ends[1]));
        let range = start.map_err(|_| damaged())?..end.map_err(|_| damaged())?;
        let text = std::str::from_utf8(bytes.get(range).ok_or_else(damaged)?).map_err(|_| damaged())?;
        total += text.len();
        if total > bytes.len() {
            return Err(damaged());
        }
        texts.insert(text.to_string(), at as u32);
    }
    Ok(Some(Codes::Texts(texts)))
}

fn linear(model: &Value, width: usize, groups: usize) -> Result<Kind, Problem> {
    let weights = model.floats("weights")?;
    if width.checked_add(1).and_then(|rows| rows.checked_mul(groups)) != Some(weights.len()) {
        return Err(Problem::Damaged(format!("{} weights for {width} features", weights.len())));
    }
    if weights.iter().any(|weight| !weight.is_finite()) {
        return Err(Problem::Damaged("a weight is no finite number".into()));
    }
    Ok(Kind::Linear(weights))
}

fn add_linear(weights: &[f32], rows: &[f32], stride: usize, width: usize, margins: &mut [f32], groups: usize) {
    let biases = &weights[width * groups..];
    for (row, margins) in rows.chunks_exact(stride).zip(margins.chunks_exact_mut(groups)) {
        for (group, margin) in margins.iter_mut().enumerate() {
            *margin += biases[group];
            for (at, number) in row.iter().take(width).enumerate().filter(|(_, number)| !number.is_nan()) {
                *margin += number * weights[at * groups + group];
            }
        }
    }
}

/// Where in the frame the columns of these names are.
fn by_name(names: &[String], frame: &Frame) -> Result<Vec<usize>, Problem> {
    let mut places = HashMap::with_capacity(frame.columns.len());
    for (at, name) in frame.names.iter().take(frame.columns.len()).enumerate() {
        places.entry(name.as_str()).or_insert(at);
    }
    let missing: Vec<&str> = names.iter().map(String::as_str).filter(|name| !places.contains_key(name)).collect();
    if !missing.is_empty() {
        return Err(Problem::Rows(format!("columns are missing: {}", missing.join(", "))));
    }
    Ok(names.iter().map(|name| places[name.as_str()]).collect())
}

fn length(column: &Column) -> usize {
    match column {
        Column::Numbers(numbers) => numbers.len(),
        Column::Texts(texts) => texts.len(),
    }
}
