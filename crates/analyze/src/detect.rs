//! Observations to findings.

pub mod joint;
pub mod log_sessions;
pub mod log_values;
pub mod logs;
pub mod map;
pub mod metric;
pub mod models;
pub mod request_counters;
pub mod requests;
pub mod resource;
pub mod slo;

#[cfg(test)]
pub(crate) mod fake_lines;
#[cfg(test)]
pub(crate) mod fake_shop;
pub(crate) mod fields;
pub(crate) mod ids;
pub(crate) mod kinds;
pub(crate) mod ongoing;
pub(crate) mod patterns;
pub(crate) mod rises;
pub(crate) mod samples;
pub(crate) mod senders;
pub(crate) mod words;
