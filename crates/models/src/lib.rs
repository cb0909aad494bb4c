//! What teams keep of their models: experiments, runs, artifacts, versions, aliases. Plain data and rules; no HTTP, no
//! database.

pub mod artifacts;
mod problem;
pub mod search;

pub use problem::{Code, Problem};
