//! How much a sample costs once it is settled, with the data of a monitored fleet: ten metrics a host at 15 s.

use types::{Batch, EntityId, LabelSet, SECOND, SeriesDef, SeriesKind, Tenant};

use crate::world::{Folder, Random, START, number};

const METRICS: [&str; 10] = [
    "node_cpu_seconds_total",
    "node_cpu_steal_seconds_total",
    "http_requests_total",
    "node_network_receive_bytes_total",
    "node_memory_used_bytes",
    "node_load1",
    "node_hwmon_temp_celsius",
    "http_request_latency_seconds",
    "up",
    "app_queue_depth",
];

/// Counters with two decimals, byte counters, levels with steps, random floats, constants: next value after `v`.
fn next(random: &mut Random, metric: usize, v: f64) -> f64 {
    let mut f = || random.next(1 << 53) as f64 / (1u64 << 53) as f64;
    match metric {
        0 => ((v + f() * 15.0) * 100.0).round() / 100.0,
        1 if f() < 0.1 => ((v + 0.01) * 100.0).round() / 100.0,
        1 => v,
        2 => v + (f() * 300.0).floor(),
        3 => v + (f() * 2e6).floor(),
        4 => (v + 4096.0 * ((f() - 0.5) * 2000.0).floor()).max(0.0),
        5 => ((v + (f() - 0.5) * 0.2).max(0.0) * 100.0).round() / 100.0,
        6 if f() < 0.2 => v + if f() < 0.5 { 0.5 } else { -0.5 },
        6 => v,
        7 => 0.05 + 0.1 * f(),
        8 => 1.0,
        _ if f() < 0.05 => (f() * 20.0).floor(),
        _ => 0.0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_of_a_fleet_settles_below_1_9_bytes() {
    const HOSTS: usize = 200;
    const STEPS: i64 = 480;
    let folder = Folder::new();
    let store = folder.open().await;
    let mut random = Random(7);
    let mut values = vec![[0.0f64; 10]; HOSTS];
    let mut ids = Vec::new();
    {
        let mut registry = store.directory().write();
        for (host, values) in values.iter_mut().enumerate() {
            let entity = registry.entity(&EntityId::new("service", "default", "node"));
            for (m, metric) in METRICS.iter().enumerate() {
                values[m] = [1234.0, 77.0, 5e5, 3e5, 4096.0 * 5e5, 1.0, 45.0, 0.1, 1.0, 0.0][m] + (host % 7) as f64;
                let instance = format!("host-{host:05}.example.internal:9100");
                let labels = LabelSet::pack(&mut vec![("instance", instance.as_str()), ("env", "prod")]);
                let def = SeriesDef {
                    tenant: Tenant::default(),
                    metric: (*metric).into(),
                    entity,
                    labels,
                    kind: SeriesKind::Gauge,
                    unit: "".into(),
                };
                ids.push(registry.series(def));
            }
        }
    }
    let mut sum = 0.0;
    for step in 0..STEPS {
        for hosts in (0..HOSTS).collect::<Vec<_>>().chunks(100) {
            let mut batch = Batch::default();
            for &host in hosts {
                for metric in 0..10 {
                    let value = next(&mut random, metric, values[host][metric]);
                    values[host][metric] = value;
                    sum += value;
                    batch.samples.push(ids[host * 10 + metric], START + step * 15 * SECOND, value);
                }
            }
            store.append(batch, None).await.unwrap();
        }
        if step % 160 == 159 {
            store.seal_now().await.unwrap();
        }
    }
    let rows = (HOSTS * 10) as f64 * STEPS as f64;
    let bytes = |folder: &Folder| {
        folder.files("data", "parquet").iter().map(|f| std::fs::metadata(f).unwrap().len()).sum::<u64>() as f64
    };
    let sealed = bytes(&folder) / rows;
    store.compact_now().await.unwrap();
    let merged = bytes(&folder) / rows;
    eprintln!("{sealed:.3} bytes a sample sealed, {merged:.3} merged");
    assert!(sealed < 2.1 && merged < 1.9, "{sealed} sealed, {merged} merged");
    assert_eq!(number(&store, "SELECT count(*) FROM samples").await, rows);
    let stored = number(&store, "SELECT sum(value) FROM samples").await;
    assert!((stored - sum).abs() <= sum.abs() * 1e-9, "{stored} instead of {sum}");
}
