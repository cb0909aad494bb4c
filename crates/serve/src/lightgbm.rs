//! Models of LightGBM, from its text format.

use crate::{Model, Problem};

/// Reads a model file.
pub fn read(bytes: &[u8]) -> Result<Box<dyn Model>, Problem> {
    if bytes.starts_with(b"tree") {
        return Err(Problem::Unsupported("models of LightGBM".into()));
    }
    Err(Problem::Damaged("it is no model of LightGBM".into()))
}
