//! To come.

pub mod templates;
