//! Some rows on their way through the steps of a model.

use std::borrow::Cow;

use crate::{Matrix, Problem};

/// Rows.
pub(super) struct Table<'a> {
    /// The number of the first row within what was asked.
    pub(super) first: usize,
    pub(super) rows: usize,
    pub(super) body: Body<'a>,
}

/// Numbers only, row by row, or columns of any kind.
pub(super) enum Body<'a> {
    Numbers(Matrix),
    Columns(Vec<Cells<'a>>),
}

/// A column.
#[derive(Clone)]
pub(super) enum Cells<'a> {
    Numbers(Cow<'a, [f64]>),
    Texts(Cow<'a, [Option<String>]>),
}

/// What a step takes beside finite numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Takes {
    Finite,
    Missing,
    Anything,
}

impl<'a> Table<'a> {
    pub(super) fn numbers(first: usize, matrix: Matrix) -> Table<'a> {
        Table { first, rows: matrix.rows, body: Body::Numbers(matrix) }
    }

    pub(super) fn width(&self) -> usize {
        match &self.body {
            Body::Numbers(matrix) => matrix.columns,
            Body::Columns(columns) => columns.len(),
        }
    }

    /// As a matrix of `width` columns, checked for what the step `who` takes.
    pub(super) fn into_matrix(self, who: &str, width: usize, takes: Takes) -> Result<Matrix, Problem> {
        self.check_width(who, width)?;
        let (first, rows) = (self.first, self.rows);
        let matrix = match self.body {
            Body::Numbers(matrix) => matrix,
            Body::Columns(columns) => {
                let mut values = vec![0.0; rows * width];
                for (at, column) in columns.iter().enumerate() {
                    let Cells::Numbers(numbers) = column else {
                        return Err(Problem::Rows(format!("input {at} holds texts, and {who} takes numbers")));
                    };
                    for (row, number) in numbers.iter().enumerate() {
                        values[row * width + at] = *number;
                    }
                }
                Matrix { rows, columns: width, values }
            }
        };
        let bad = match takes {
            Takes::Finite => matrix.values.iter().position(|value| !value.is_finite()),
            Takes::Missing => matrix.values.iter().position(|value| value.is_infinite()),
            Takes::Anything => None,
        };
        match bad {
            None => Ok(matrix),
            Some(at) => {
                let what = if matrix.values[at].is_nan() { "missing (NaN)" } else { "infinite" };
                let (row, input) = (first + at / width.max(1), at % width.max(1));
                Err(Problem::Rows(format!("input {input} is {what} in row {row}, and {who} takes no such")))
            }
        }
    }

    pub(super) fn check_width(&self, who: &str, width: usize) -> Result<(), Problem> {
        match self.width() == width {
            true => Ok(()),
            false => Err(Problem::Rows(format!("{who} takes {width} inputs and is given {}", self.width()))),
        }
    }

    /// A column on its own.
    pub(super) fn column(&self, at: usize) -> Option<Cells<'a>> {
        match &self.body {
            Body::Numbers(matrix) if at < matrix.columns => {
                let numbers = matrix.values.iter().skip(at).step_by(matrix.columns).copied();
                Some(Cells::Numbers(numbers.collect()))
            }
            Body::Numbers(_) => None,
            Body::Columns(columns) => columns.get(at).cloned(),
        }
    }

    /// Some of its columns; `None`: one is not there.
    pub(super) fn select(&self, columns: &[usize]) -> Option<Table<'a>> {
        let body = match &self.body {
            Body::Columns(_) => Body::Columns(columns.iter().map(|at| self.column(*at)).collect::<Option<_>>()?),
            Body::Numbers(matrix) => {
                if columns.iter().any(|at| *at >= matrix.columns) {
                    return None;
                }
                let mut values = Vec::with_capacity(self.rows * columns.len());
                for row in 0..self.rows {
                    let row = matrix.row(row);
                    values.extend(columns.iter().map(|at| row[*at]));
                }
                Body::Numbers(Matrix { rows: self.rows, columns: columns.len(), values })
            }
        };
        Some(Table { first: self.first, rows: self.rows, body })
    }

    /// The columns of all of them, one after the other.
    pub(super) fn beside(first: usize, rows: usize, tables: Vec<Table<'a>>) -> Table<'a> {
        let all_numbers = tables.iter().all(|table| match &table.body {
            Body::Numbers(_) => true,
            Body::Columns(columns) => columns.iter().all(|column| matches!(column, Cells::Numbers(_))),
        });
        if !all_numbers {
            let columns = |table: Table<'a>| (0..table.width()).filter_map(|at| table.column(at)).collect::<Vec<_>>();
            return Table { first, rows, body: Body::Columns(tables.into_iter().flat_map(columns).collect()) };
        }
        let width = tables.iter().map(Table::width).sum();
        let mut values = vec![0.0; rows * width];
        let mut start = 0;
        for table in &tables {
            table.copy_numbers(&mut values, start, width);
            start += table.width();
        }
        Table::numbers(first, Matrix { rows, columns: width, values })
    }

    fn copy_numbers(&self, values: &mut [f64], start: usize, width: usize) {
        match &self.body {
            Body::Numbers(matrix) => {
                for row in 0..self.rows {
                    let from = row * width + start;
                    values[from..from + matrix.columns].copy_from_slice(matrix.row(row));
                }
            }
            Body::Columns(columns) => {
                for (at, column) in columns.iter().enumerate() {
                    if let Cells::Numbers(numbers) = column {
                        for (row, number) in numbers.iter().enumerate() {
                            values[row * width + start + at] = *number;
                        }
                    }
                }
            }
        }
    }
}
