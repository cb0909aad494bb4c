//! Benchmarks: micro (divan, one a hot path) and the load test against a running server.

use std::process::Command;

use anyhow::Result;

use crate::tools::{binary, cargo, python, root, run, step, target};

/// `bench` runs all micro benchmarks, `bench PACKAGE` those of one package, `bench load` the load test.
pub fn bench(args: &[String]) -> Result<()> {
    if args.first().is_some_and(|a| a == "load") {
        step("build");
        run(cargo().args(["build", "--package", "bellwether"]))?;
        return run(Command::new(python()?)
            .arg(root().join("xtask/load/load.py"))
            .arg(binary())
            .arg(target().join("load"))
            .args(&args[1..]));
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
