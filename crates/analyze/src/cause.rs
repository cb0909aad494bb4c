//! Incidents to their causes.

pub mod attributes;
pub mod compare;
pub mod contrast;
pub mod localize;
pub mod root_cause;
