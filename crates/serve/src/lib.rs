//! Models of other libraries, run here without them: their files are read as data, never as code.
//!
//! [`read`] reads a file; a [`Servable`] is a version of a model that can be asked, with the schema that rows are held
//! against; [`wire`] has the words in which clients of other servers ask.

pub mod explain;
pub mod frame;
pub mod lightgbm;
mod links;
mod mlmodel;
pub mod onnx;
mod schema;
mod servable;
pub mod skops;
pub mod tensor;
mod trees;
pub mod values;
pub mod wire;
pub mod xgboost;

use std::fmt;

pub use explain::Explanation;
pub use frame::{Column, Frame, Label, Matrix};
pub use mlmodel::MlModel;
pub use schema::{Extra, Field, Kind, Schema};
pub use servable::{Answers, Method, Servable};

/// What a model answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Numbers, a row each.
    Numbers(Matrix),
    /// Classes, one a row.
    Labels(Vec<Label>),
}

/// A model that was read. It does not change, and may be asked from many threads at once.
pub trait Model: Send + Sync + fmt::Debug {
    /// Names of the inputs in their order, where the file says them.
    fn inputs(&self) -> Option<&[String]>;

    /// How many inputs a row has.
    fn width(&self) -> usize;

    /// What an input takes, as far as the file says it.
    fn kind(&self, _at: usize) -> Kind {
        Kind::Any
    }

    /// What its library's `predict` answers.
    fn predict(&self, rows: &Frame) -> Result<Answer, Problem>;

    /// What its library's `predict_proba` answers; `None`: it has none.
    fn probabilities(&self, rows: &Frame) -> Result<Option<Matrix>, Problem>;

    /// The classes, in the order of the columns of [`Model::probabilities`].
    fn classes(&self) -> Option<&[Label]>;

    /// What its answers are made of. Trees compare with the rows that they were trained with; linear models with the
    /// mean of the rows in `reference`, or with that of their training where a scaler before them says it.
    ///
    /// # Errors
    /// [`Problem::Unsupported`]: a model that cannot be taken apart, or whose file does not say enough;
    /// [`Problem::Rows`]: rows that it does not take, or no reference where one is needed.
    fn explain(&self, _rows: &Frame, _reference: Option<&Frame>) -> Result<Explanation, Problem> {
        Err(explain::cannot("this kind of model"))
    }
}

/// Reads a model, whichever library wrote it: what the file is, is told by how it begins.
pub fn read(bytes: &[u8]) -> Result<Box<dyn Model>, Problem> {
    let begin = &bytes[..bytes.len().min(64)];
    match begin {
        [b'P', b'K', ..] => skops::read(bytes),
        [0x80, ..] => Err(Problem::Unsupported(
            "a pickle, which is a program: it is never run here. Save the model as skops, ONNX or the library's own format"
                .into(),
        )),
        _ if begin.starts_with(b"tree") => lightgbm::read(bytes),
        _ if begin.trim_ascii_start().starts_with(b"{") => xgboost::read(bytes),
        _ if onnx::begins(begin) => onnx::read(bytes),
        _ => Err(Problem::Damaged("it begins like no model that is known".into())),
    }
}

/// Why a file is no model that can be run, or rows are none that it can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The file is damaged, or not what it says it is.
    Damaged(String),
    /// The file is whole and holds something that is not run here.
    Unsupported(String),
    /// The rows do not fit the model.
    Rows(String),
    /// The request is none that can be read.
    Request(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Damaged(what) => write!(f, "the file is damaged: {what}"),
            Problem::Unsupported(what) => write!(f, "this is not run here: {what}"),
            Problem::Rows(what) => write!(f, "the rows do not fit the model: {what}"),
            Problem::Request(what) => write!(f, "the request cannot be read: {what}"),
        }
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_model_is_said_to_be_none() {
        assert!(matches!(read(b"\x80\x05\x95"), Err(Problem::Unsupported(what)) if what.contains("pickle")));
        for bytes in [&b""[..], b"x", b"PK", b"PK\x03\x04", b"{", b"{}", b"tree", b"tree\nversion=v4\n", &[0xff; 99]] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }
}
