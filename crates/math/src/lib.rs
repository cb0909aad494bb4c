//! Algorithms on slices and text, each with its source, units and limits. Knows no telemetry, does no IO, has no clock.

pub mod counts;
pub mod forecast;
pub mod log_histogram;
pub mod stream;
pub mod templates;
