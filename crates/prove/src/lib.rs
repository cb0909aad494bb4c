//! Accuracy on public data: protocols that anyone can run again.
//!
//! A protocol reads a folder of published data, runs the methods of `analyze` and `math` over it as they run live,
//! and reports ours, the trivial baselines and the published peers on the same rows. Rules: one set of defaults for
//! all data, nothing looks at a file's name, no point adjustment, thresholds never come from test labels unless the
//! column says so. Metrics are written from their definitions, see [`metrics`].

pub mod baselines;
pub mod data;
pub mod metrics;
pub mod predictions;
mod protocols;
mod report;
pub mod workers;

pub use data::Problem;
pub use protocols::ALL;
pub use report::{Report, Row};

use std::path::Path;

/// One protocol: what it measures, on which data, and how.
pub struct Protocol {
    /// Name on the command line.
    pub name: &'static str,
    /// One sentence: what is measured, and by which metric.
    pub summary: &'static str,
    /// What it expects below the data folder.
    pub layout: &'static str,
    /// The protocol itself.
    pub run: fn(&Run) -> Result<Report, Problem>,
}

/// What a protocol is run with.
pub struct Run<'a> {
    /// The data folder.
    pub data: &'a Path,
    /// Where raw predictions go, if wanted.
    pub predictions: Option<&'a Path>,
    /// Called as work goes on: items done, items in all.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}
