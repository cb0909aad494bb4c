//! Replicas for a load that changes: the reactive rule of Kubernetes, and a plan that looks as far ahead as a replica
//! takes to start.

pub mod capacity;
pub mod outlook;
pub mod plan;
pub mod reactive;
pub mod sizing;
