//! Benchmarks: micro (divan, one a hot path) and the load test against a running server.

use anyhow::Result;

use crate::{
    load,
    tools::{self, cargo, root, run},
};

/// `bench` runs all micro benchmarks, `bench PACKAGE` those of one package, `bench load` the load test, `bench demo`
/// the demo's faults, `bench models` the load on MLflow's wire, `bench inference` on those of inference, `bench alerts` a storm of alerts.
pub fn bench(args: &[String]) -> Result<()> {
    match args.first().map(String::as_str) {
        Some("load") => return load::load(&args[1..]),
        Some("crash") => return load::crash(args.get(1).and_then(|n| n.parse().ok()).unwrap_or(20)),
        Some("models") => return load::models(),
        Some("inference") => {
            run(cargo().args(["build", "--workspace"]))?;
            return tools::with_python("venv-mlflow", &crate::mlflow_packages(), load::inference);
        }
        Some("demo") => return demo(&args[1..]),
        Some("alerts") => return alerts(&args[1..]),
        _ => {}
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

/// Fresh demos whose faults are switched on in shuffled orders, and one without faults: what the incidents named.
pub fn demo(args: &[String]) -> Result<()> {
    run(cargo().args(["build", "--package", "bellwether"]))?;
    let script = root().join("xtask/senders/demo.py");
    run(std::process::Command::new(tools::python()?).arg(script).arg(tools::binary()).args(args))
}

/// A storm of alerts at a fresh server: what it costs, and whether every one is accounted for.
fn alerts(args: &[String]) -> Result<()> {
    run(cargo().args(["build", "--package", "bellwether"]))?;
    let script = root().join("xtask/senders/alerts.py");
    run(std::process::Command::new(tools::python()?).arg(script).arg(tools::binary()).args(args))
}
