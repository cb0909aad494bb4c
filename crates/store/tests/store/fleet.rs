//! A monitored fleet: ten metrics a host, with values that move as such metrics do. For tests and benchmarks.

use types::{EntityId, LabelSet, Registry, SeriesDef, SeriesId, SeriesKind, Tenant};

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
const FIRST: [f64; 10] = [1234.0, 77.0, 5e5, 3e5, 4096.0 * 5e5, 1.0, 45.0, 0.1, 1.0, 0.0];

/// Its series, ten a host.
pub fn define(registry: &mut Registry, hosts: usize) -> Vec<SeriesId> {
    let entity = registry.entity(&EntityId::new("service", "default", "node"));
    let mut ids = Vec::with_capacity(hosts * 10);
    for host in 0..hosts {
        for metric in METRICS {
            let instance = format!("host-{host:05}.example.internal:9100");
            let labels = LabelSet::pack(&mut vec![("instance", instance.as_str()), ("env", "prod")]);
            let (tenant, unit) = (Tenant::default(), "".into());
            ids.push(registry.series(SeriesDef {
                tenant,
                metric: metric.into(),
                entity,
                labels,
                kind: SeriesKind::Gauge,
                unit,
            }));
        }
    }
    ids
}

/// Where the metrics of a host begin.
pub fn first(host: usize) -> [f64; 10] {
    FIRST.map(|value| value + (host % 7) as f64)
}

/// Counters with two decimals, byte counters, levels with steps, random floats, constants: the value after `v`. `f`
/// gives numbers evenly spread over 0 to 1.
pub fn next(mut f: impl FnMut() -> f64, metric: usize, v: f64) -> f64 {
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
