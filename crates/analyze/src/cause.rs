//! Incidents to their causes.

pub mod compare;
pub mod contrast;
pub mod root_cause;
