//! Observations to findings.

pub mod joint;
pub mod logs;
pub mod metric;
pub mod requests;
pub mod resource;

#[cfg(test)]
pub(crate) mod fake_shop;
pub(crate) mod ongoing;
pub(crate) mod senders;
pub(crate) mod words;
