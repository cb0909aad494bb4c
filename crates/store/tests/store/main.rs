//! The store as its users see it: real files in a temporary folder, opened, damaged, killed and opened again.

mod crash;
mod damage;
mod deliveries;
mod fleet;
mod metadata;
mod past;
mod queries;
mod recovery;
mod size;
mod world;
