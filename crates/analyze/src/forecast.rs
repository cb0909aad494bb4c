//! What will be.

pub mod exhaustion;
pub mod outlook;
