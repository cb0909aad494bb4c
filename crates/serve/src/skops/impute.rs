//! Values for what is missing.

use std::borrow::Cow;

use super::node::Node;
use super::object::{Thing, Value};
use super::table::{Body, Cells, Table};
use crate::{Matrix, Problem};

/// An imputer that puts one value of its own into each input.
#[derive(Debug)]
pub(super) struct Imputer {
    /// What counts as missing.
    missing: Value,
    /// What is put in, an input each; [`Value::Missing`]: the input is left out.
    values: Vec<Value>,
    /// Inputs that get a column more, which tells where they were missing.
    told: Vec<usize>,
}

impl Imputer {
    pub(super) fn read(thing: Thing<'_>) -> Result<Imputer, Problem> {
        let missing = match thing.get("missing_values") {
            None => Value::Missing,
            Some(Node::Float(value)) if value.is_nan() => Value::Missing,
            Some(Node::Float(value)) => Value::Number(*value),
            Some(Node::Int(value)) => Value::Number(*value as f64),
            Some(Node::Text(text)) => Value::Text(text.to_string()),
            Some(_) => return Err(thing.unsupported("missing_values")),
        };
        let values = thing.values(thing.need("statistics_")?, "statistics_")?;
        let told = match thing.flag("add_indicator", false)? {
            false => Vec::new(),
            true => {
                let places = thing.child("indicator_")?.floats("features_")?;
                if places.iter().any(|at| *at < 0.0 || *at >= values.len() as f64) {
                    return Err(thing.wrong("indicator_", "tells of inputs that are not there"));
                }
                places.into_iter().map(|at| at as usize).collect()
            }
        };
        if thing.flag("keep_empty_features", false)? && values.contains(&Value::Missing) {
            return Err(thing.unsupported("keep_empty_features"));
        }
        Ok(Imputer { missing, values, told })
    }

    /// How many columns it takes.
    pub(super) fn inputs(&self) -> usize {
        self.values.len()
    }

    /// How many columns it answers.
    pub(super) fn out(&self) -> usize {
        self.values.iter().filter(|value| **value != Value::Missing).count() + self.told.len()
    }

    /// The input that each of the columns it answers is made of.
    pub(super) fn owners(&self) -> impl Iterator<Item = usize> + '_ {
        let kept = (0..self.values.len()).filter(|at| self.values[*at] != Value::Missing);
        kept.chain(self.told.iter().copied())
    }

    pub(super) fn apply<'a>(&self, table: Table<'a>) -> Result<Table<'a>, Problem> {
        table.check_width("SimpleImputer", self.values.len())?;
        let (first, rows) = (table.first, table.rows);
        let mut columns = Vec::with_capacity(self.values.len() + self.told.len());
        let mut told = Vec::with_capacity(self.told.len());
        for at in &self.told {
            told.extend(table.column(*at).map(|cells| Cells::Numbers(Cow::Owned(self.where_missing(&cells)))));
        }
        if let (Body::Numbers(matrix), true) = (&table.body, self.plain()) {
            return Ok(self.fill_matrix(first, matrix, told));
        }
        for (at, value) in self.values.iter().enumerate() {
            if *value == Value::Missing {
                continue;
            }
            if let Some(cells) = table.column(at) {
                columns.push(self.fill(at, cells, value)?);
            }
        }
        columns.extend(told);
        let columns = Table { first, rows, body: Body::Columns(columns) };
        Ok(Table::beside(first, rows, vec![columns]))
    }

    /// Whether all inputs stay and get numbers.
    fn plain(&self) -> bool {
        self.values.iter().all(|value| matches!(value, Value::Number(_)))
    }

    fn fill_matrix<'a>(&self, first: usize, matrix: &Matrix, told: Vec<Cells<'a>>) -> Table<'a> {
        let mut matrix = matrix.clone();
        for row in matrix.values.chunks_exact_mut(self.values.len().max(1)) {
            for (x, value) in row.iter_mut().zip(&self.values) {
                if let (true, Value::Number(value)) = (self.is_missing(*x), value) {
                    *x = *value;
                }
            }
        }
        let rows = matrix.rows;
        if told.is_empty() {
            return Table::numbers(first, matrix);
        }
        let told = Table { first, rows, body: Body::Columns(told) };
        Table::beside(first, rows, vec![Table::numbers(first, matrix), told])
    }

    fn is_missing(&self, number: f64) -> bool {
        match &self.missing {
            Value::Missing => number.is_nan(),
            Value::Number(missing) => number == *missing,
            Value::Text(_) => false,
        }
    }

    fn is_missing_text(&self, text: Option<&str>) -> bool {
        match (&self.missing, text) {
            (Value::Missing, None) => true,
            (Value::Text(missing), Some(text)) => missing == text,
            _ => false,
        }
    }

    fn where_missing(&self, cells: &Cells<'_>) -> Vec<f64> {
        match cells {
            Cells::Numbers(numbers) => numbers.iter().map(|x| f64::from(self.is_missing(*x))).collect(),
            Cells::Texts(texts) => texts.iter().map(|text| f64::from(self.is_missing_text(text.as_deref()))).collect(),
        }
    }

    fn fill<'a>(&self, at: usize, cells: Cells<'a>, value: &Value) -> Result<Cells<'a>, Problem> {
        match (cells, value) {
            (Cells::Numbers(mut numbers), Value::Number(value)) => {
                if numbers.iter().any(|x| self.is_missing(*x)) {
                    numbers.to_mut().iter_mut().filter(|x| self.is_missing(**x)).for_each(|x| *x = *value);
                }
                Ok(Cells::Numbers(numbers))
            }
            (Cells::Texts(mut texts), Value::Text(value)) => {
                if texts.iter().any(|text| self.is_missing_text(text.as_deref())) {
                    let gaps = texts.to_mut().iter_mut().filter(|text| self.is_missing_text(text.as_deref()));
                    gaps.for_each(|text| *text = Some(value.clone()));
                }
                Ok(Cells::Texts(texts))
            }
            // A column in which everything is missing comes as numbers, all NaN.
            (Cells::Numbers(numbers), Value::Text(value)) if numbers.iter().all(|x| self.is_missing(*x)) => {
                Ok(Cells::Texts(vec![Some(value.clone()); numbers.len()].into()))
            }
            (Cells::Texts(texts), Value::Number(value)) if texts.iter().all(Option::is_none) => {
                Ok(Cells::Numbers(vec![*value; texts.len()].into()))
            }
            (Cells::Numbers(_), _) => Err(Problem::Rows(format!("input {at} holds numbers where texts are taken"))),
            (Cells::Texts(_), _) => Err(Problem::Rows(format!("input {at} holds texts where numbers are taken"))),
        }
    }
}
