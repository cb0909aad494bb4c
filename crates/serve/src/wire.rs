//! The words in which clients ask: one module a protocol, bytes to rows and answers to bytes. Nothing here opens a
//! socket or knows which models there are.

pub mod explain;
pub mod invocations;
pub mod json;
pub mod seldon;
pub mod seldon_grpc;
pub mod tensorflow;
pub mod tensorflow_grpc;
pub mod v2;
pub mod v2_grpc;
