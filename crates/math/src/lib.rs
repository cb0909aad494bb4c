//! Algorithms on slices and text, each with its source, units and limits. Knows no telemetry, does no IO, has no clock.

pub mod beyond;
pub mod calendar;
pub mod categories;
pub mod chance;
pub mod change_point;
pub mod cholesky;
pub mod counts;
pub mod drift_stream;
pub mod drift_two_sample;
pub mod fairness;
pub mod forecast;
pub mod joint;
pub mod log_histogram;
pub mod no_labels;
pub mod novelty;
pub mod pii;
pub mod profile;
pub mod rates;
pub mod secrets;
pub mod sessions;
pub mod shares;
pub mod stream;
pub mod subsequence;
pub mod symmetric;
pub mod tail;
pub mod templates;
