//! What will be.

pub mod exhaustion;
