//! Incidents to their causes.

pub mod root_cause;
