//! All automation of the project: `cargo xtask COMMAND`. One command a job; each installs what it needs or says how.

mod bench;
mod docs;
mod load;
mod tidy;
mod tools;

use std::{path::Path, process::ExitCode};

use anyhow::{Result, bail};
use tools::{cargo, root, run, step};

const HELP: &str = "\
cargo xtask COMMAND

  demo [ARGS]    build everything and run the demo: the server and a small shop that breaks; ARGS go to `bellwether demo`
  test [--long]  everything that must hold: format, lints, tidy rules, tests, docs, real senders, browser
                 (--long adds the slow matrices)
  check          the quick part of test: format, lints, tidy rules
  ui             build the web interface into ui/dist
  bench [NAME]   benchmarks: cost per item in CPU time and bytes; NAME is a package, `load` for the load test,
                 `crash` for kill -9 during ingest, or `demo` for the demo's faults
  mlflow [ARGS]  MLflow's own client against the built server; ARGS go to the client's session (`--part NAME`);
                 with `--diff` first, the same requests to a real MLflow server and to ours, and what differs
  inference [ARGS]
                 clients of Triton, TensorFlow Serving, MLflow's scoring and Seldon against the built server
  airflow        the airflow actuator against a real Airflow 3 (installs it, 0.4 GB)
  tidy           only the tidy rules
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.first().map(String::as_str) {
        Some("demo") => demo(&args[1..]),
        Some("test") => test(&args[1..]),
        Some("check") => check(),
        Some("ui") => ui(),
        Some("bench") => bench::bench(&args[1..]),
        Some("mlflow") => build_and_mlflow(&args[1..]),
        Some("inference") => build_and_inference(&args[1..]),
        Some("airflow") => airflow(),
        Some("tidy") => tidy(),
        Some("--help" | "-h" | "help") | None => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some(other) => Err(anyhow::anyhow!("no command {other:?}\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(args: &[String]) -> Result<()> {
    ui()?;
    step("build (the first time takes some minutes: the query engine is compiled once)");
    run(cargo().args(["build", "--package", "bellwether"]))?;
    run(std::process::Command::new(tools::binary()).arg("demo").args(args))
}

fn check() -> Result<()> {
    step("format");
    run(cargo().args(["fmt", "--all", "--check"]))?;
    tidy()?;
    step("lints");
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]))
}

fn tidy() -> Result<()> {
    step("tidy rules");
    let problems = tidy::problems(root())?;
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{} tidy rule(s) broken:\n  {}", problems.len(), problems.join("\n  "))
}

fn test(args: &[String]) -> Result<()> {
    let long = args.iter().any(|a| a == "--long");
    if std::env::var_os("BELLWETHER_DATA").is_none() {
        eprintln!("note: BELLWETHER_DATA is not set: tests on public data are skipped (and say so)");
    }
    ui()?;
    check()?;
    step("tests");
    run(cargo().args(["build", "--workspace", "--all-targets", "--quiet"]))?;
    let nextest = std::process::Command::new("cargo").args(["nextest", "--version"]).output();
    if nextest.is_ok_and(|o| o.status.success()) {
        let ignored: &[&str] = if long { &["--run-ignored", "all"] } else { &[] };
        run(cargo().args(["nextest", "run", "--workspace", "--no-fail-fast"]).args(ignored))?;
        run(cargo().args(["test", "--workspace", "--doc", "--quiet"]))?;
    } else {
        let ignored: &[&str] = if long { &["--", "--include-ignored"] } else { &[] };
        run(cargo().args(["test", "--workspace", "--no-fail-fast"]).args(ignored))?;
    }
    docs::run_all()?;
    step("real senders");
    tools::with_python(
        "venv",
        // Versions that go together: the three exporters share parts.
        &[
            "opentelemetry-sdk==1.45.*",
            "opentelemetry-exporter-otlp-proto-grpc==1.45.1",
            "opentelemetry-exporter-otlp-proto-http==1.45.1",
            "opentelemetry-exporter-otlp-json-http==0.66b1",
            "mcp==2.3.*",
        ],
        |python| {
            for script in ["otel_python.py", "mcp_client.py"] {
                run(std::process::Command::new(python)
                    .arg(root().join("xtask/senders").join(script))
                    .arg(tools::binary()))?;
            }
            Ok(())
        },
    )?;
    mlflow_client(&[])?;
    inference_clients(&[])?;
    if long {
        mlflow_diff(&[])?;
        airflow()?;
    }
    tools::with_prometheus(|prometheus| {
        run(std::process::Command::new(tools::python()?)
            .arg(root().join("xtask/senders/prometheus.py"))
            .arg(tools::binary())
            .arg(prometheus))
    })?;
    step("real receivers");
    tools::with_alertmanager(|alertmanager| {
        // With `--workspace` what was built above is used again.
        run(cargo()
            .args(["test", "--workspace", "--quiet", "--test", "alertmanager"])
            .env("ALERTMANAGER", alertmanager))
    })?;
    load::crash(if long { 20 } else { 4 })?;
    if long {
        step("demo: faults in three orders, and half an hour without");
        bench::demo(&["--quiet".to_owned(), "30".to_owned()])?;
    }
    step("browser");
    // The interface on made-up answers in all states, and on a running demo that has just broken.
    tools::with_chromium(|chromium| {
        let npm = format!("cd '{}' && npm test", root().join("ui").display());
        run(std::process::Command::new(tools::python()?)
            .arg(root().join("xtask/senders/demo.py"))
            .arg(tools::binary())
            .args(["--orders", "1", "--warm", "120", "--only", "error-burst", "--then", &npm])
            .env("CHROMIUM", chromium))
    })?;
    step("all passed");
    Ok(())
}

fn ui() -> Result<()> {
    let dir = root().join("ui");
    let stamp = dir.join("node_modules/.bellwether-installed");
    if newer(&dir.join("package-lock.json"), &stamp) {
        step("install the interface's packages");
        run(tools::npm().args(["ci", "--no-audit", "--no-fund"]))?;
        std::fs::write(&stamp, "")?;
    }
    let built = dir.join("dist/index.html");
    let sources = ["src", "index.html", "package-lock.json", "vite.config.ts", "public"];
    if sources.iter().any(|source| newer(&dir.join(source), &built)) {
        step("build the interface");
        run(tools::npm().args(["run", "build"]))?;
    }
    Ok(())
}

fn build_and_mlflow(args: &[String]) -> Result<()> {
    step("build");
    run(cargo().args(["build", "--package", "bellwether"]))?;
    match args.split_first() {
        Some((first, rest)) if first == "--diff" => mlflow_diff(rest),
        _ => mlflow_client(args),
    }
}

fn build_and_inference(args: &[String]) -> Result<()> {
    step("build");
    run(cargo().args(["build", "--workspace"]))?;
    inference_clients(args)
}

const MLFLOW_COMPANIONS: [&str; 4] = ["scikit-learn==1.9.1", "pandas==3.1.1", "skops==0.16.0", "matplotlib==3.11.2"];
/// MLflow's client asks for ONNX's own runtime before it logs a model of ONNX.
const ONNX: [&str; 3] = ["onnx==1.23.2", "onnxruntime==1.32.0", "skl2onnx==1.20.0"];

/// MLflow's own client against Bellwether. For this its light package is enough (0.6 GB with the others).
fn mlflow_client(args: &[String]) -> Result<()> {
    tools::with_python("venv-mlflow", &mlflow_packages(), |python| mlflow_script(python, "mlflow_client.py", args))
}

fn mlflow_packages() -> Vec<&'static str> {
    [&["mlflow-skinny==3.17.2", "tritonclient[http,grpc]==2.73.*"], MLFLOW_COMPANIONS.as_slice(), ONNX.as_slice()]
        .concat()
}

/// Clients of other inference servers, asking what MLflow's client logged. TensorFlow Serving's are its stubs alone.
fn inference_clients(args: &[String]) -> Result<()> {
    tools::with_python("venv-mlflow", &mlflow_packages(), |python| {
        let senders = root().join("xtask/senders");
        let stubs = tools::target().join("tfserving-stubs");
        if !stubs.join("tensorflow_serving").exists() {
            step("fetch the stubs of TensorFlow Serving's client");
            run(std::process::Command::new(python).arg(senders.join("tfserving_stubs.py")).arg(&stubs))?;
        }
        let script = senders.join("inference_clients.py");
        run(std::process::Command::new(python).arg(script).arg(tools::binary()).arg("--stubs").arg(&stubs).args(args))
    })
}

/// The same requests to MLflow's server, which needs the whole package (0.9 GB), and to Bellwether.
fn mlflow_diff(args: &[String]) -> Result<()> {
    let packages = [&["mlflow==3.17.2"], MLFLOW_COMPANIONS.as_slice()].concat();
    tools::with_python("venv-mlflow-server", &packages, |python| mlflow_script(python, "mlflow_diff.py", args))
}

/// The airflow actuator, driven by an example of its room, against an Airflow that is started for it.
fn airflow() -> Result<()> {
    step("build");
    run(cargo().args(["build", "--package", "bellwether-act", "--example", "actuate"]))?;
    let driver = tools::binary().with_file_name("examples").join("actuate");
    tools::with_python("venv-airflow", &["apache-airflow==3.3.2"], |python| {
        let script = root().join("xtask/senders/airflow_actuator.py");
        run(std::process::Command::new(python).arg(script).arg(&driver))
    })
}

fn mlflow_script(python: &Path, script: &str, args: &[String]) -> Result<()> {
    let script = root().join("xtask/senders").join(script);
    run(std::process::Command::new(python).arg(script).arg(tools::binary()).args(args))
}

/// Whether `source` (a file, or any file below a folder) was changed after `product`, or `product` is not there.
fn newer(source: &Path, product: &Path) -> bool {
    let Ok(made) = product.metadata().and_then(|m| m.modified()) else { return true };
    tools::walk(source).iter().any(|file| file.metadata().and_then(|m| m.modified()).is_ok_and(|t| t > made))
}
