//! What the store costs: CPU seconds of durable appends, bytes a sample, CPU of queries. Run with
//! `cargo bench --profile dev -p bellwether-store --bench load [-- HOSTS STEPS]`.

#[path = "../tests/store/fleet.rs"]
mod fleet;

use std::time::{Duration, Instant};

use bellwether_store::{SqlLimits, SqlRequest, Store, StoreConfig};
use types::{Batch, SECOND, Time};

const START: i64 = 1_795_428_000 * SECOND;

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let (hosts, steps) = (numbers.first().copied().unwrap_or(1000), numbers.get(1).copied().unwrap_or(240));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(load(hosts, steps));
}

async fn load(hosts: usize, steps: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = StoreConfig { keep_for_engine: false, ..StoreConfig::new(folder.path()) };
    let store = Store::open(config.clone()).await.expect("a store");
    let ids = fleet::define(&mut store.directory().write(), hosts);
    let rows = (hosts * 10 * steps) as f64;
    let (cpu, wall) = (cpu_seconds(), Instant::now());
    let mut values: Vec<f64> = (0..hosts).flat_map(fleet::first).collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut making = 0.0;
    for step in 0..steps {
        let made = cpu_seconds();
        let mut batches = Vec::new();
        for part in 0..(hosts * 10).div_ceil(2000) {
            let mut batch = Batch::default();
            for i in part * 2000..((part + 1) * 2000).min(hosts * 10) {
                values[i] = fleet::next(|| unit(&mut random), i % 10, values[i]);
                batch.samples.push(ids[i], START + step as i64 * 15 * SECOND, values[i]);
            }
            batches.push(batch);
        }
        making += cpu_seconds() - made;
        let appends = batches.into_iter().map(|batch| store.append(batch, None));
        for appended in futures::future::join_all(appends).await {
            appended.expect("an append");
        }
    }
    let spent = cpu_seconds() - cpu - making;
    println!(
        "append: {:.0} samples a CPU second, {:.0} a second; with what was sealed meanwhile",
        rows / spent,
        rows / wall.elapsed().as_secs_f64()
    );
    let cpu = cpu_seconds();
    store.seal_now().await.expect("a seal");
    store.compact_now().await.expect("a merge");
    let status = store.status();
    println!(
        "settled: {:.3} bytes a sample, {} files; last seal and merge {:.2} CPU s",
        status.sealed_bytes as f64 / status.sealed_rows as f64,
        status.sealed_files,
        cpu_seconds() - cpu
    );
    let end = Time(START + steps as i64 * 15 * SECOND);
    let from = Time(end.0 - 3600 * SECOND);
    let window = format!("time >= '{}' AND time < '{}'", from.rfc3339(), end.rfc3339());
    for (name, query) in [
        ("count", "SELECT count(*) FROM samples".to_owned()),
        (
            "raw, 1 h of one metric",
            format!("SELECT series, time, value FROM samples WHERE metric = 'node_load1' AND {window}"),
        ),
        (
            "mean a minute of one metric",
            format!(
                "SELECT date_bin(interval '1 minute', time), avg(value) FROM samples
                 WHERE metric = 'http_requests_total' AND {window} GROUP BY 1"
            ),
        ),
        (
            "one series",
            "SELECT time, value FROM samples WHERE metric = 'up' AND label(labels, 'instance') = 'host-00007.example.internal:9100'".into(),
        ),
        ("sum of everything", "SELECT metric, sum(value) FROM samples GROUP BY metric".into()),
    ] {
        let mut best = (f64::MAX, f64::MAX);
        let mut answered = 0;
        for _ in 0..3 {
            let (cpu, wall) = (cpu_seconds(), Instant::now());
            let limits = SqlLimits { rows_max: 10_000_000, time_max: Duration::from_secs(120) };
            let request = SqlRequest { query: query.clone(), tenant: None, limits };
            answered = store.sql(request).await.expect("an answer").rows.len();
            best = (best.0.min(cpu_seconds() - cpu), best.1.min(wall.elapsed().as_secs_f64()));
        }
        println!("query {name}: {:.0} ms CPU, {:.0} ms wall, {answered} rows", best.0 * 1e3, best.1 * 1e3);
    }
    store.close().await;
    drop(store);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let wall = Instant::now();
    let store = Store::open(config).await.expect("the store again");
    println!("open again: {:.0} ms; {} rows", wall.elapsed().as_secs_f64() * 1e3, store.status().sealed_rows);
}

/// xorshift64, as numbers evenly spread over 0 to 1.
fn unit(random: &mut u64) -> f64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    (*random >> 11) as f64 / (1u64 << 53) as f64
}

/// CPU time of this process, user and system, seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
