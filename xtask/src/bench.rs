//! Benchmarks: micro (divan, one a hot path) and the load test against a running server.

use anyhow::Result;

use crate::{
    load,
    tools::{cargo, run},
};

/// `bench` runs all micro benchmarks, `bench PACKAGE` those of one package, `bench load` the load test.
pub fn bench(args: &[String]) -> Result<()> {
    if args.first().is_some_and(|a| a == "load") {
        return load::load(&args[1..]);
    }
    // The one profile: what is measured is what runs.
    let mut command = cargo();
    command.args(["bench", "--profile", "dev"]);
    match args.first() {
        Some(package) => command.args(["--package", &format!("bellwether-{package}")]),
        None => command.args(["--workspace"]),
    };
    run(&mut command)
}
