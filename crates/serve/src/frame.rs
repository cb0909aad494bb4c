//! Rows as models take them, and answers.

/// Columns of equal length, with names where they have some.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// Names, as many as columns; empty: they have none.
    pub names: Vec<String>,
    /// The columns.
    pub columns: Vec<Column>,
    /// How many rows.
    pub rows: usize,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Numbers; NaN where one is missing.
    Numbers(Vec<f64>),
    /// Texts; `None` where one is missing.
    Texts(Vec<Option<String>>),
}

/// Numbers in rows, one row after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    /// How many rows.
    pub rows: usize,
    /// How many numbers a row has.
    pub columns: usize,
    /// `rows` times `columns` numbers.
    pub values: Vec<f64>,
}

/// A class.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A text.
    Text(String),
}

impl Matrix {
    /// A row.
    pub fn row(&self, at: usize) -> &[f64] {
        &self.values[at * self.columns..(at + 1) * self.columns]
    }
}
