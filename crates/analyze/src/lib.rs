//! The catalogue: one file a method, listed once in [`catalog`].
//!
//! Each analysis has the one signature of [`view::Analysis`], plain-data state and a version, and passes the same
//! checks (see `checks`). `docs/adding-an-analysis.md` is the recipe for a new one.

pub mod catalog;
pub mod cause;
pub mod checks;
pub mod detect;
pub mod forecast;
mod grid;
pub mod measures;

/// The settings of an analysis with what was said in place of the defaults; the error names the key.
pub fn resolve_params(
    analysis: &view::Analysis,
    said: &std::collections::BTreeMap<String, f64>,
) -> Result<view::Params, String> {
    view::Params::resolve(analysis.params, said)
}
