//! Metrics, each written from its definition and tested against published or hand-computed values.

pub mod events;
pub mod forecast;
pub mod grouping;
pub mod nab;
pub mod ranking;
pub mod segments;
