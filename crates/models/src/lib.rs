//! What teams keep of their models: experiments, runs, artifacts, versions, aliases. Plain data and rules; no HTTP, no
//! database.

pub mod artifacts;
mod book;
pub mod card;
pub mod experiments;
pub mod gates;
mod ids;
pub mod limits;
pub mod lineage;
pub mod logged;
pub mod mlflow;
pub mod moves;
pub mod observed;
mod problem;
pub mod registry;
pub mod retraining;
pub mod rollout;
pub mod runs;
pub mod search;
pub mod serving;
pub mod traces;
pub mod traffic;
pub mod webhooks;

pub use book::{Book, Changes, Chunk, Document, Lifecycle, Pairs, Unreadable};
pub use problem::{Code, Problem};
