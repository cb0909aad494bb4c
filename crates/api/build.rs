//! The interface's files are built into this crate: build it again when they change.

fn main() {
    println!("cargo:rerun-if-changed=../../ui/dist");
}
