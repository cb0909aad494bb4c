//! The load test: a running server under prebuilt requests, measured in CPU-seconds of the server and bytes on disk.
//!
//! Loopback only. Each shape of load runs against a fresh server without analyses, and the metric load again with
//! them. Where VICTORIA_METRICS or PROMETHEUS names a binary, the same requests go to it in the same run.

mod crash;
mod inference;
mod models;
mod sender;
mod signals;

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use signals::Shape;

pub use crash::crash;
pub use inference::inference;
pub use models::models;

use crate::tools::{binary, cargo, run, step, target, walk};

/// Runs all loads, or those whose name contains `args[0]`.
pub fn load(args: &[String]) -> Result<()> {
    step("build");
    run(cargo().args(["build", "--package", "bellwether"]))?;
    let wanted = |name: &str| args.first().is_none_or(|a| name.contains(a.as_str()));
    println!("| load | server | items | per CPU-second | wall p50 / p99 ms | RSS MB | bytes an item on disk |");
    println!("|---|---|---|---|---|---|---|");
    for shape in [Shape::RemoteWrite, Shape::RemoteWriteSmall, Shape::OtlpMetrics, Shape::OtlpLogs, Shape::OtlpSpans] {
        if !wanted(shape.name()) {
            continue;
        }
        let requests = signals::requests(shape);
        measure(shape, shape.path(), &requests, Target::bellwether(&["--no-analyses"], "bellwether")?)?;
        // The load lies hours back: as history it is judged, else it would be late and only stored.
        measure(shape, shape.history_path(), &requests, Target::bellwether(&[], "bellwether, analyses on")?)?;
        if matches!(shape, Shape::RemoteWrite | Shape::RemoteWriteSmall) {
            for peer in [Target::victoria_metrics()?, Target::prometheus()?].into_iter().flatten() {
                measure(shape, shape.path(), &requests, peer)?;
            }
        }
    }
    if wanted("idle") {
        idle()?;
    }
    Ok(())
}

/// A server under load.
struct Target {
    name: &'static str,
    child: Child,
    data: PathBuf,
    listen: String,
    started: Instant,
}

impl Target {
    fn bellwether(flags: &[&str], name: &'static str) -> Result<Target> {
        Target::bellwether_on(fresh("bellwether")?, flags, name)
    }

    fn bellwether_on(data: PathBuf, flags: &[&str], name: &'static str) -> Result<Target> {
        let started = Instant::now();
        let mut child = Command::new(binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0"])
            .args(flags)
            .arg("--data-dir")
            .arg(&data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let listen = line.split("\"listen\":\"").nth(1).and_then(|r| r.split('"').next()).context("no address")?;
        Ok(Target { name, child, data, listen: listen.to_owned(), started })
    }

    fn victoria_metrics() -> Result<Option<Target>> {
        let Some(program) = std::env::var_os("VICTORIA_METRICS") else { return Ok(None) };
        let data = fresh("victoria-metrics")?;
        let listen = "127.0.0.1:18428";
        let mut command = Command::new(program);
        command.arg(format!("-storageDataPath={}", data.display())).arg(format!("-httpListenAddr={listen}"));
        command.args(["-retentionPeriod=12", "-loggerLevel=WARN"]);
        Target::peer(command, "VictoriaMetrics", data, listen)
    }

    fn prometheus() -> Result<Option<Target>> {
        let Some(program) = std::env::var_os("PROMETHEUS") else { return Ok(None) };
        let data = fresh("prometheus")?;
        let config = data.with_extension("yml");
        std::fs::write(&config, "global: {}\n")?;
        let listen = "127.0.0.1:19090";
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()));
        command
            .arg(format!("--web.listen-address={listen}"))
            .args(["--web.enable-remote-write-receiver", "--log.level=warn"]);
        Target::peer(command, "Prometheus", data, listen)
    }

    fn peer(mut command: Command, name: &'static str, data: PathBuf, listen: &str) -> Result<Option<Target>> {
        let started = Instant::now();
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        while std::net::TcpStream::connect(listen).is_err() {
            if started.elapsed() > Duration::from_secs(60) {
                bail!("{name} does not listen on {listen}");
            }
            pause(50);
        }
        pause(500);
        Ok(Some(Target { name, child, data, listen: listen.to_owned(), started }))
    }

    fn process(&self) -> Process {
        Process::of(self.child.id())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// How long a server may take to seal and merge before its disk is looked at, s.
const SETTLE_S: u32 = 100;

fn measure(shape: Shape, path: &str, requests: &[Vec<sender::Request>], server: Target) -> Result<()> {
    let before = server.process();
    let sent = sender::send(&server.listen, path, shape.headers(), requests)?;
    let after = server.process();
    // Sealing, merging and catching up belong to the cost: wait until the server has had time for them and rests.
    let mut settled = after;
    for second in 0..180 {
        pause(1000);
        let now = server.process();
        let rests = now.cpu_s - settled.cpu_s < 0.05;
        settled = now;
        if rests && second >= SETTLE_S {
            break;
        }
    }
    let bytes: u64 = walk(&server.data).iter().filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum();
    println!(
        "| {} | {} | {} | {:.0} ({:.0} settled) | {:.1} / {:.1} | {:.0} | {:.2} |",
        shape.name(),
        server.name,
        sent.items,
        sent.items as f64 / (after.cpu_s - before.cpu_s),
        sent.items as f64 / (settled.cpu_s - before.cpu_s),
        sent.p50_ms,
        sent.p99_ms,
        settled.rss_mb,
        bytes as f64 / sent.items as f64,
    );
    Ok(())
}

fn idle() -> Result<()> {
    let server = Target::bellwether(&[], "bellwether")?;
    let ready = server.started.elapsed();
    pause(20_000);
    let first = server.process();
    pause(20_000);
    let then = server.process();
    println!(
        "start to ready {:.2} s; idle with its host watched: {:.0} MB, {:.2} % of a core",
        ready.as_secs_f64(),
        then.rss_mb,
        (then.cpu_s - first.cpu_s) / 20.0 * 100.0
    );
    Ok(())
}

/// What the kernel says of a process.
#[derive(Clone, Copy)]
struct Process {
    cpu_s: f64,
    rss_mb: f64,
}

impl Process {
    /// A process with all that it started.
    fn of_tree(pid: u32) -> Process {
        let mut sum = Process::of(pid);
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
                let child = Process::of_tree(child);
                sum.cpu_s += child.cpu_s;
                sum.rss_mb += child.rss_mb;
            }
        }
        sum
    }

    fn of(pid: u32) -> Process {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let rss = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).and_then(|l| l.split_whitespace().next());
        // The kernel counts in ticks of 10 ms.
        Process {
            cpu_s: (ticks(11) + ticks(12)) / 100.0,
            rss_mb: rss.and_then(|r| r.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0,
        }
    }
}

fn fresh(name: &str) -> Result<PathBuf> {
    let dir = target().join("load").join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(Path::new(&dir).parent().context("a parent")?)?;
    Ok(dir)
}

#[allow(clippy::disallowed_methods)] // a load test has no runtime
fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}
