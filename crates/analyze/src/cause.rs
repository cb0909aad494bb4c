//! Incidents to their causes.

pub mod contrast;
pub mod root_cause;
