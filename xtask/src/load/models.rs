//! Load on MLflow's wire: what a call costs, beside the disk's own sync and, where MLFLOW names its program, beside
//! MLflow's server under the same requests.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail};

use super::{
    Process, Target, fresh, pause,
    sender::{self, Request},
};
use crate::tools::{cargo, run, step};

pub const API: &str = "/api/2.0/mlflow";
const JSON: &str = "Content-Type: application/json\r\n";
/// Runs that are searched.
const RUNS: usize = 10_000;
/// Bytes of the large file.
const LARGE: u64 = 1 << 30;

/// Runs all loads.
pub fn models() -> Result<()> {
    step("build");
    run(cargo().args(["build", "--package", "bellwether"]))?;
    println!("fdatasync of the data folder: p50 {:.2} ms, p99 {:.2} ms", sync_ms(0.5)?, sync_ms(0.99)?);
    println!("| load | server | calls | calls a second | CPU µs a call | wall p50 / p99 ms | RSS MB |");
    println!("|---|---|---|---|---|---|---|");
    loads(&Target::bellwether(&["--no-analyses"], "bellwether")?, 1)?;
    if let Some(peer) = mlflow()? {
        loads(&peer, 50)?;
    }
    Ok(())
}

/// MLflow's own server.
fn mlflow() -> Result<Option<Target>> {
    let Some(program) = std::env::var_os("MLFLOW") else { return Ok(None) };
    let data = fresh("mlflow")?;
    std::fs::create_dir_all(&data)?;
    let mut command = Command::new(program);
    command
        .args(["server", "--host", "127.0.0.1", "--port", "18500", "--workers", "1"])
        .arg(format!("--backend-store-uri=sqlite:///{}", data.join("mlflow.db").display()))
        .arg(format!("--artifacts-destination={}", data.join("artifacts").display()));
    Target::peer(command, "mlflow server", data, "127.0.0.1:18500")
}

/// A quantile of the time that a small write with a sync takes, ms.
fn sync_ms(q: f64) -> Result<f64> {
    let dir = fresh("sync")?;
    std::fs::create_dir_all(&dir)?;
    let mut file = std::fs::File::create(dir.join("file"))?;
    let mut times = Vec::new();
    for _ in 0..300 {
        file.write_all(&[7; 64])?;
        let began = Instant::now();
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[(299.0 * q) as usize])
}

/// All loads on one server, with so many times fewer calls.
fn loads(server: &Target, fewer: usize) -> Result<()> {
    let experiment = text(server, "experiments/create", r#"{"name": "load"}"#, "experiment_id")?;
    let new_run =
        format!(r#"{{"experiment_id": "{experiment}", "start_time": 1, "tags": [{{"key": "k", "value": "v"}}]}}"#);
    let runs = (0..64).map(|_| text(server, "runs/create", &new_run, "run_id")).collect::<Result<Vec<_>>>()?;
    let metric = |connection: usize, i: usize| {
        let run = &runs[connection % runs.len()];
        format!(
            r#"{{"run_uuid": "{run}", "key": "loss", "value": {}, "timestamp": {}, "step": {i}, "run_id": "{run}"}}"#,
            1.0 / (i + 1) as f64,
            1_700_000_000_000_u64 + i as u64
        )
    };
    let batch = |keys: usize| {
        let runs = &runs;
        move |connection: usize, i: usize| {
            let point = |j: usize| {
                format!(
                    r#"{{"key": "m{}", "value": {}, "timestamp": {}, "step": {}}}"#,
                    j % keys,
                    j as f64 * 0.37,
                    1_700_000_000_000_u64 + (i * 1000 + j) as u64,
                    i * 1000 + j
                )
            };
            let points: Vec<String> = (0..1000).map(point).collect();
            format!(r#"{{"run_id": "{}", "metrics": [{}]}}"#, runs[connection % runs.len()], points.join(", "))
        }
    };
    let post = |name: &str, path: &str, connections: usize, calls: usize, body: &dyn Fn(usize, usize) -> String| {
        measure(server, name, "POST", &format!("{API}/{path}"), connections, (calls / fewer).max(10), body)
    };
    post("log-metric, 1 connection", "runs/log-metric", 1, 3000, &metric)?;
    post("log-metric, 256 connections", "runs/log-metric", 256, 400, &metric)?;
    post("log-batch of 1000, 10 keys, 4 connections", "runs/log-batch", 4, 200, &batch(10))?;
    post("log-batch of 1000, 1000 keys, 4 connections", "runs/log-batch", 4, 100, &batch(1000))?;
    text(server, "registered-models/create", r#"{"name": "load"}"#, "name")?;
    text(server, "model-versions/create", r#"{"name": "load", "source": "s3://bucket/model"}"#, "version")?;
    call(server, "registered-models/alias", r#"{"name": "load", "alias": "champion", "version": "1"}"#)?;
    let alias = format!("{API}/registered-models/alias?name=load&alias=champion");
    measure(server, "get by alias, 8 connections", "GET", &alias, 8, (5000 / fewer).max(10), &|_, _| String::new())?;
    post("create run, 64 connections", "runs/create", 64, RUNS / 64, &|_, _| new_run.clone())?;
    let search = format!(
        r#"{{"experiment_ids": ["{experiment}"], "filter": "tags.k = 'v' and attributes.start_time < 5", "max_results": 100, "order_by": ["metrics.loss DESC"]}}"#
    );
    post("search runs, a page of 100", "runs/search", 1, 100, &|_, _| search.clone())?;
    large(server, &experiment)
}

/// So many calls on each connection.
pub fn measure(
    server: &Target,
    name: &str,
    method: &str,
    path: &str,
    connections: usize,
    calls: usize,
    body: &dyn Fn(usize, usize) -> String,
) -> Result<()> {
    let shard = |connection: usize| -> Vec<Request> {
        (0..calls).map(|i| Request { items: 1, body: body(connection, i).into_bytes() }).collect()
    };
    let shards: Vec<Vec<Request>> = (0..connections).map(shard).collect();
    let (before, began) = (Process::of_tree(server.child.id()), Instant::now());
    let sent = sender::send_as(method, &server.listen, path, JSON, &shards)?;
    let (after, wall_s) = (Process::of_tree(server.child.id()), began.elapsed().as_secs_f64());
    println!(
        "| {name} | {} | {} | {:.0} | {:.0} | {:.2} / {:.2} | {:.0} |",
        server.name,
        sent.items,
        sent.items as f64 / wall_s,
        (after.cpu_s - before.cpu_s) / sent.items as f64 * 1e6,
        sent.p50_ms,
        sent.p99_ms,
        after.rss_mb,
    );
    Ok(())
}

/// A file of 1 GiB up and down: bytes a second, and the memory that it takes.
fn large(server: &Target, experiment: &str) -> Result<()> {
    let path = format!("/api/2.0/mlflow-artifacts/artifacts/{experiment}/large.bin");
    let piece: Vec<u8> = (0..1 << 20).map(|i: u32| (i * 7919 % 251) as u8).collect();
    let (before, began) = (Process::of_tree(server.child.id()), Instant::now());
    let mut stream = TcpStream::connect(&server.listen)?;
    write!(
        stream,
        "PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {LARGE}\r\nConnection: close\r\n\r\n",
        server.listen
    )?;
    for _ in 0..LARGE / piece.len() as u64 {
        stream.write_all(&piece)?;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if !answer.starts_with("HTTP/1.1 200") {
        bail!("the large file was answered {answer}");
    }
    let up = began.elapsed().as_secs_f64();
    let middle = Process::of_tree(server.child.id());
    let began = Instant::now();
    let mut stream = TcpStream::connect(&server.listen)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.listen)?;
    let (mut buffer, mut received) = (vec![0; 1 << 20], 0);
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            count => received += count as u64,
        }
    }
    if received < LARGE {
        bail!("only {received} bytes of the large file came back");
    }
    let after = Process::of_tree(server.child.id());
    for (name, seconds, cpu_s, rss) in [
        ("1 GiB up", up, middle.cpu_s - before.cpu_s, middle.rss_mb),
        ("1 GiB down", began.elapsed().as_secs_f64(), after.cpu_s - middle.cpu_s, after.rss_mb),
    ] {
        println!(
            "| {name} | {} | 1 | {:.0} MB/s | {cpu_s:.2} s | | {rss:.0} |",
            server.name,
            LARGE as f64 / 1e6 / seconds
        );
    }
    pause(100);
    Ok(())
}

/// A call that must be answered well.
pub fn call(server: &Target, path: &str, body: &str) -> Result<String> {
    let (code, answer) = sender::ask(&server.listen, &format!("{API}/{path}"), JSON, body.as_bytes())?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if code != 200 {
        bail!("{path} answered {code}: {answer}");
    }
    Ok(answer)
}

/// A text of the answer to a call, by the name before it.
pub fn text(server: &Target, path: &str, body: &str, name: &str) -> Result<String> {
    let answer = call(server, path, body)?;
    let value = answer.split(&format!("\"{name}\": \"")).nth(1).and_then(|rest| rest.split('"').next());
    value.map(str::to_owned).with_context(|| format!("{path} answered no {name}: {answer}"))
}
