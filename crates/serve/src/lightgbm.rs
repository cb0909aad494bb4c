//! Models of LightGBM, from its text format (versions 2 to 4): trees, with lines as leaves too.
//!
//! Numbers are compared and added as 64-bit floats in LightGBM's order, so answers equal those of its Python library.

mod categories;
mod forest;
mod objective;
mod text;

use crate::explain::{self, How, Space};
use crate::{Answer, Column, Explanation, Frame, Label, Matrix, Model, Problem};
use categories::{Codes, coded_columns, codes};
use forest::{Forest, LANES, NEARLY_ZERO};
use objective::Objective;
use text::{File, Section};

/// How many rows are laid out and walked at a time.
const BLOCK: usize = 8 * LANES;
/// More outputs than this are not read: scores of a block of rows are held for all of them.
const MOST_GROUPS: usize = 1 << 16;

/// Reads a model file, which answers as `Booster.predict` does.
///
/// Columns are found by name where both the model and the rows have names of their own, otherwise by place. Columns that
/// were categories of pandas are coded by the list at the end of the file; a category that is not in it is missing. In
/// rows without names, numbers are taken for the codes themselves.
///
/// Errors: [`Problem::Damaged`] for what is no model file, or one whose parts do not fit each other;
/// [`Problem::Unsupported`] for other objectives and versions.
pub fn read(bytes: &[u8]) -> Result<Box<dyn Model>, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::Damaged("it is no text in UTF-8".into()))?;
    Ok(Box::new(Booster::read(&File::read(text)?)?))
}

#[derive(Debug)]
struct Booster {
    names: Vec<String>,
    forest: Forest,
    groups: usize,
    objective: Objective,
    /// What scores are divided by.
    divisor: f64,
    /// The categories of pandas, and the columns that have them where that is known.
    codes: Vec<Codes>,
    coded: Option<Vec<usize>>,
    classes: Option<Vec<Label>>,
}

impl Model for Booster {
    fn inputs(&self) -> Option<&[String]> {
        Some(&self.names)
    }

    fn width(&self) -> usize {
        self.names.len()
    }

    fn predict(&self, rows: &Frame) -> Result<Answer, Problem> {
        let mut values = self.scores(rows)?;
        for scores in values.chunks_exact_mut(self.groups) {
            self.objective.answer(scores);
        }
        Ok(Answer::Numbers(Matrix { rows: rows.rows, columns: self.groups, values }))
    }

    fn probabilities(&self, rows: &Frame) -> Result<Option<Matrix>, Problem> {
        let Some(classes) = &self.classes else { return Ok(None) };
        let Answer::Numbers(mut matrix) = self.predict(rows)? else { return Ok(None) };
        if self.groups == 1 {
            matrix.values = matrix.values.iter().flat_map(|number| [1.0 - number, *number]).collect();
            matrix.columns = classes.len();
        }
        Ok(Some(matrix))
    }

    fn classes(&self) -> Option<&[Label]> {
        self.classes.as_deref()
    }

    fn explain(&self, rows: &Frame, _reference: Option<&Frame>) -> Result<Explanation, Problem> {
        if self.forest.has_lines() {
            return Err(explain::cannot("trees with lines in their leaves (linear_tree)"));
        }
        let space = if self.objective == Objective::Raw { Space::Value } else { Space::Margin };
        let scores = Matrix { rows: rows.rows, columns: self.groups, values: self.scores(rows)? };
        let mut explanation = Explanation::new(self, How::Trees, space, scores)?;
        let owners: Vec<usize> = (0..self.names.len()).collect();
        let roots = self.forest.roots(self.groups, 1.0 / self.divisor);
        let start = vec![0.0; self.groups];
        explanation.add_trees(0, &start, &self.forest, &roots, &self.row_major(rows)?, &owners)?;
        Ok(explanation)
    }
}

impl Booster {
    fn read(file: &File) -> Result<Booster, Problem> {
        let head = &file.head;
        let version = head.text("version")?.trim();
        if !matches!(version, "v2" | "v3" | "v4") {
            return Err(Problem::Unsupported(format!("version `{version}` of LightGBM's format")));
        }
        let names: Vec<String> = head.text("feature_names")?.split_ascii_whitespace().map(str::to_string).collect();
        if head.count("max_feature_idx")?.checked_add(1) != Some(names.len()) {
            return Err(Problem::Damaged("there are not as many names as features".into()));
        }
        let groups = head.count("num_tree_per_iteration")?;
        if groups == 0 || groups > MOST_GROUPS || !file.trees.len().is_multiple_of(groups) {
            return Err(Problem::Damaged(format!("{} trees for {groups} outputs", file.trees.len())));
        }
        if let Some(sizes) = head.find("tree_sizes")
            && sizes.split_ascii_whitespace().count() != file.trees.len()
        {
            return Err(Problem::Damaged("there are not as many trees as it says".into()));
        }
        let objective = Objective::read(head.find("objective").unwrap_or("custom"), groups)?;
        let forest = forest(&file.trees, names.len())?;
        let rounds = forest.len() / groups;
        let codes = codes(file.tail)?;
        let classes = objective.classes(groups);
        Ok(Booster {
            coded: coded_columns(file, names.len(), codes.len()),
            names,
            forest,
            groups,
            objective,
            divisor: if file.averages { rounds.max(1) as f64 } else { 1.0 },
            codes,
            classes: classes.map(|count| (0..count as i64).map(Label::Int).collect()),
        })
    }

    /// The sums of leaves, a row of groups for each row.
    fn scores(&self, frame: &Frame) -> Result<Vec<f64>, Problem> {
        let columns = self.columns(frame)?;
        let (groups, width) = (self.groups, columns.len().max(1));
        let mut all = Vec::with_capacity(frame.rows * groups);
        let mut block = vec![f64::NAN; width * BLOCK];
        let mut scores = vec![0.0; groups * BLOCK];
        for start in (0..frame.rows).step_by(BLOCK) {
            let count = BLOCK.min(frame.rows - start);
            for (at, column) in columns.iter().enumerate() {
                for (lane, row) in (start..start + count).enumerate() {
                    block[lane * width + at] = near_zero(column.number(row));
                }
            }
            let lanes = count.div_ceil(LANES) * LANES;
            scores.fill(0.0);
            self.forest.add(&block[..lanes * width], width, &mut scores[..lanes * groups], groups);
            all.extend(scores[..count * groups].iter().map(|score| score / self.divisor));
        }
        Ok(all)
    }

    /// Rows one after the other, as the trees take them.
    fn row_major(&self, frame: &Frame) -> Result<Vec<f64>, Problem> {
        let columns = self.columns(frame)?;
        let numbers = (0..frame.rows).flat_map(|row| columns.iter().map(move |column| near_zero(column.number(row))));
        Ok(numbers.collect())
    }

    /// The columns of a frame in the order of the model's inputs.
    fn columns<'a>(&'a self, frame: &'a Frame) -> Result<Vec<Input<'a>>, Problem> {
        if frame.columns.iter().any(|column| length(column) != frame.rows) {
            return Err(Problem::Rows("columns are of different lengths".into()));
        }
        let columns: Vec<&Column> = self.order(frame)?.into_iter().map(|at| &frame.columns[at]).collect();
        let texts = || (0..columns.len()).filter(|at| matches!(columns[*at], Column::Texts(_)));
        let coded = match &self.coded {
            Some(coded) => coded.clone(),
            None if texts().count() == self.codes.len() => texts().collect(),
            None => Vec::new(),
        };
        let inputs = columns.iter().enumerate().map(|(at, column)| {
            let codes = coded.iter().position(|coded| *coded == at).map(|place| &self.codes[place]);
            match (column, codes) {
                (Column::Numbers(numbers), Some(codes)) if !frame.names.is_empty() => {
                    Ok(Input::CodedNumbers(numbers, codes))
                }
                (Column::Numbers(numbers), _) => Ok(Input::Numbers(numbers)),
                (Column::Texts(texts), Some(codes)) => Ok(Input::CodedTexts(texts, codes)),
                (Column::Texts(texts), None) if texts.iter().all(Option::is_none) => Ok(Input::Nothing),
                (Column::Texts(_), None) => {
                    Err(Problem::Rows(format!("column `{}` holds texts, not numbers", self.names[at])))
                }
            }
        });
        inputs.collect()
    }

    /// Where in the frame the model's inputs are.
    fn order(&self, frame: &Frame) -> Result<Vec<usize>, Problem> {
        let given: std::collections::HashMap<String, usize> = frame
            .names
            .iter()
            .take(frame.columns.len())
            .enumerate()
            .rev()
            .map(|(at, name)| (plain(name), at))
            .collect();
        let missing: Vec<&str> =
            self.names.iter().map(String::as_str).filter(|name| !given.contains_key(*name)).collect();
        if missing.is_empty() {
            return Ok(self.names.iter().map(|name| given[name]).collect());
        }
        let has_own_names = self.names.iter().enumerate().any(|(at, name)| *name != format!("Column_{at}"));
        if !frame.names.is_empty() && has_own_names {
            return Err(Problem::Rows(format!("columns are missing: {}", missing.join(", "))));
        }
        if frame.columns.len() != self.names.len() {
            let (given, taken) = (frame.columns.len(), self.names.len());
            return Err(Problem::Rows(format!("{given} columns are given, the model takes {taken}")));
        }
        Ok((0..frame.columns.len()).collect())
    }
}

/// A column of rows as the model takes it.
enum Input<'a> {
    Nothing,
    Numbers(&'a [f64]),
    CodedNumbers(&'a [f64], &'a Codes),
    CodedTexts(&'a [Option<String>], &'a Codes),
}

impl Input<'_> {
    #[inline]
    fn number(&self, row: usize) -> f64 {
        match self {
            Input::Numbers(numbers) => numbers[row],
            Input::Nothing => f64::NAN,
            Input::CodedNumbers(numbers, codes) => codes.of_number(numbers[row]),
            Input::CodedTexts(texts, codes) => texts[row].as_deref().map_or(f64::NAN, |text| codes.of_text(text)),
        }
    }
}

fn forest(trees: &[Section], width: usize) -> Result<Forest, Problem> {
    let mut forest = Forest::default();
    for (at, tree) in trees.iter().enumerate() {
        forest.push(tree, width).map_err(|problem| match problem {
            Problem::Damaged(what) => Problem::Damaged(format!("tree {at}: {what}")),
            Problem::Unsupported(what) => Problem::Unsupported(format!("tree {at}: {what}")),
            other => other,
        })?;
    }
    Ok(forest)
}

/// What LightGBM takes a number for.
#[inline]
fn near_zero(number: f64) -> f64 {
    if number.abs() <= NEARLY_ZERO { 0.0 } else { number }
}

/// A column's name as LightGBM writes it.
fn plain(name: &str) -> String {
    name.replace(' ', "_")
}

fn length(column: &Column) -> usize {
    match column {
        Column::Numbers(numbers) => numbers.len(),
        Column::Texts(texts) => texts.len(),
    }
}
