//! Load on the wires of inference: what a prediction costs, and what logging it adds; where MLFLOW names its program,
//! beside MLflow's own scoring server under the same requests.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use super::{
    Target, fresh,
    models::{API, call, measure, text},
    sender,
};
use crate::tools::{root, run, step};

/// Trains the models of the load with the libraries of `python`, and puts each under load.
pub fn inference(python: &Path) -> Result<()> {
    let files = fresh("inference-models")?;
    std::fs::create_dir_all(&files)?;
    step("train the models");
    run(Command::new(python).arg(root().join("xtask/senders/bench_models.py")).arg(&files))?;
    println!("| load | server | calls | calls a second | CPU µs a call | wall p50 / p99 ms | RSS MB |");
    println!("|---|---|---|---|---|---|---|");
    let server = Target::bellwether(&["--no-analyses"], "bellwether")?;
    for model in ["logistic", "forest"] {
        register(&server, model, &std::fs::read(files.join(format!("{model}.skops")))?)?;
    }
    let row = |i: usize| format!("[{}, 3.5, 1.4, 0.{}]", 4.0 + (i % 40) as f64 / 10.0, i % 9 + 1);
    let v2 = |_: usize, i: usize| {
        let row = row(i);
        format!(r#"{{"inputs": [{{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [{row}]}}]}}"#)
    };
    let instances = |_: usize, i: usize| format!(r#"{{"instances": [{}]}}"#, row(i));
    measure(&server, "what any call costs (GET /ping), 16 connections", "GET", "/ping", 16, 2500, &|_, _| {
        String::new()
    })?;
    for logging in ["sample", "off"] {
        for model in ["logistic", "forest"] {
            let tag = format!(r#"{{"name": "{model}", "key": "bellwether.log", "value": "{logging}"}}"#);
            call(&server, "registered-models/set-tag", &tag)?;
            super::pause(1500);
            let name = |what: &str| format!("{model}, {what}, a row a call, log {logging}");
            let (infer, predict) = (format!("/v2/models/{model}/infer"), format!("/v1/models/{model}:predict"));
            for connections in [1, 16] {
                let what = format!("V2 JSON, {connections} connections");
                measure(&server, &name(&what), "POST", &infer, connections, 40_000 / connections, &v2)?;
            }
            measure(&server, &name("TensorFlow Serving"), "POST", &predict, 16, 2500, &instances)?;
        }
    }
    if let Some(peer) = scoring(&files.join("mlflow-logistic"))? {
        measure(&peer, "logistic, a row a call", "POST", "/invocations", 16, 100, &instances)?;
    }
    Ok(())
}

/// Registers a file as a version of a model.
fn register(server: &Target, name: &str, bytes: &[u8]) -> Result<()> {
    let run = text(server, "runs/create", r#"{"experiment_id": "0", "start_time": 1}"#, "run_id")?;
    let path = format!("{}-artifacts/artifacts/0/{run}/artifacts/model/model.skops", API);
    let put = [vec![sender::Request { items: 1, body: bytes.to_vec() }]];
    if sender::send_as("PUT", &server.listen, &path, "", &put)?.items != 1 {
        bail!("the model {name} was not taken");
    }
    call(server, "registered-models/create", &format!(r#"{{"name": "{name}"}}"#))?;
    let version = format!(r#"{{"name": "{name}", "source": "runs:/{run}/model", "run_id": "{run}"}}"#);
    call(server, "model-versions/create", &version)?;
    Ok(())
}

/// MLflow's scoring server on the same model, with one worker.
fn scoring(model: &Path) -> Result<Option<Target>> {
    let Some(program) = std::env::var_os("MLFLOW") else { return Ok(None) };
    let mut command = Command::new(program);
    command.args([
        "models",
        "serve",
        "--env-manager",
        "local",
        "--host",
        "127.0.0.1",
        "--port",
        "18501",
        "--workers",
        "1",
    ]);
    command.arg("-m").arg(model);
    Target::peer(command, "mlflow models serve", fresh("mlflow-scoring")?, "127.0.0.1:18501")
}
