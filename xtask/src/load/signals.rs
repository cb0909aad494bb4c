//! What is sent: a fleet of hosts with ten metrics each, log lines of six shapes, spans of four operations. The same
//! numbers on every run.

use std::{
    io::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use super::sender::Request;

/// One kind of load.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// 10,000 series every 15 s for six hours, 2,000 samples a request, two connections.
    RemoteWrite,
    /// 12,800 series, 200 samples a request, 64 connections.
    RemoteWriteSmall,
    /// 10,000 series, 2,000 points a request, gzip.
    OtlpMetrics,
    /// 1,000 lines a request, gzip.
    OtlpLogs,
    /// 1,000 spans a request, gzip.
    OtlpSpans,
}

impl Shape {
    /// For the table.
    pub fn name(self) -> &'static str {
        match self {
            Shape::RemoteWrite => "remote-write",
            Shape::RemoteWriteSmall => "remote-write-small",
            Shape::OtlpMetrics => "otlp-metrics",
            Shape::OtlpLogs => "otlp-logs",
            Shape::OtlpSpans => "otlp-spans",
        }
    }

    /// Where to.
    pub fn path(self) -> &'static str {
        match self {
            Shape::RemoteWrite | Shape::RemoteWriteSmall => "/api/v1/write",
            Shape::OtlpMetrics => "/v1/metrics",
            Shape::OtlpLogs => "/v1/logs",
            Shape::OtlpSpans => "/v1/traces",
        }
    }

    /// Where to as history: judged at once, whenever it happened.
    pub fn history_path(self) -> &'static str {
        match self {
            Shape::RemoteWrite | Shape::RemoteWriteSmall => "/api/v1/backfill/write",
            Shape::OtlpMetrics => "/api/v1/backfill/metrics",
            Shape::OtlpLogs => "/api/v1/backfill/logs",
            Shape::OtlpSpans => "/api/v1/backfill/traces",
        }
    }

    /// Header lines.
    pub fn headers(self) -> &'static str {
        match self {
            Shape::RemoteWrite | Shape::RemoteWriteSmall => {
                "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n"
            }
            _ => "Content-Type: application/x-protobuf\r\nContent-Encoding: gzip\r\n",
        }
    }
}

/// All requests, by connection.
pub fn requests(shape: Shape) -> Vec<Vec<Request>> {
    match shape {
        Shape::RemoteWrite => metrics(shape, 1000, 1440, 200, 2),
        Shape::RemoteWriteSmall => metrics(shape, 1280, 120, 20, 64),
        Shape::OtlpMetrics => metrics(shape, 1000, 120, 200, 2),
        Shape::OtlpLogs => lines_or_spans(shape, 1000),
        Shape::OtlpSpans => lines_or_spans(shape, 1000),
    }
}

/// So many small requests for one connection.
pub fn small_requests(shape: Shape, count: usize) -> Vec<Request> {
    let shards = match shape {
        Shape::RemoteWrite | Shape::RemoteWriteSmall | Shape::OtlpMetrics => metrics(shape, 20, count, 20, 1),
        Shape::OtlpLogs | Shape::OtlpSpans => lines_or_spans(shape, count),
    };
    shards.into_iter().flatten().collect()
}

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

fn metrics(shape: Shape, hosts: usize, steps: usize, hosts_per_request: usize, shards: usize) -> Vec<Vec<Request>> {
    let mut rng = Rng(7);
    let step_ms = 15_000;
    let start = (now_ms() / step_ms) * step_ms - steps as u64 * step_ms;
    let mut values: Vec<[f64; 10]> =
        (0..hosts).map(|_| [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|m| first(&mut rng, m))).collect();
    let mut shapes: Vec<Vec<Request>> = (0..shards).map(|_| Vec::new()).collect();
    for t in 0..steps as u64 {
        let time = start + t * step_ms;
        for (shard, requests) in shapes.iter_mut().enumerate() {
            let mine: Vec<usize> = (0..hosts).filter(|h| h % shards == shard).collect();
            for chunk in mine.chunks(hosts_per_request) {
                let mut body = Vec::new();
                for &host in chunk {
                    for (metric, value) in values[host].iter_mut().enumerate() {
                        *value = next(&mut rng, metric, *value);
                    }
                    match shape {
                        Shape::OtlpMetrics => field(&mut body, 1, &otlp_host(host, time, &values[host])),
                        _ => (0..10).for_each(|m| field(&mut body, 1, &series(host, m, time, values[host][m]))),
                    }
                }
                let body = match shape {
                    Shape::OtlpMetrics => gzip(&body),
                    _ => snap::raw::Encoder::new().compress_vec(&body).unwrap_or_default(),
                };
                requests.push(Request { items: chunk.len() as u64 * 10, body });
            }
        }
    }
    shapes
}

fn series(host: usize, metric: usize, time_ms: u64, value: f64) -> Vec<u8> {
    let mut labels = vec![
        ("__name__", METRICS[metric].to_owned()),
        ("cluster", format!("prod-{}", host % 3)),
        ("dc", format!("dc{}", host % 5)),
        ("env", ["prod", "stage", "dev"][host % 3].to_owned()),
        ("instance", format!("host-{host:05}.example.internal:9100")),
        ("job", "node".to_owned()),
        ("service", format!("svc-{:02}", host % 40)),
        ("team", format!("team-{}", host % 8)),
    ];
    if metric < 2 {
        labels.insert(6, ("mode", ["user", "steal"][metric].to_owned()));
    }
    let mut out = Vec::new();
    for (name, value) in labels {
        let mut label = Vec::new();
        field(&mut label, 1, name.as_bytes());
        field(&mut label, 2, value.as_bytes());
        field(&mut out, 1, &label);
    }
    let mut sample = Vec::new();
    fixed(&mut sample, 1, value.to_bits());
    number(&mut sample, 2, time_ms);
    field(&mut out, 2, &sample);
    out
}

fn otlp_host(host: usize, time_ms: u64, values: &[f64; 10]) -> Vec<u8> {
    let mut scope = Vec::new();
    for (metric, value) in values.iter().enumerate() {
        let mut point = Vec::new();
        fixed(&mut point, 3, time_ms * 1_000_000);
        fixed(&mut point, 4, value.to_bits());
        field(&mut point, 7, &attribute("team", &format!("team-{}", host % 8)));
        let mut data = Vec::new();
        field(&mut data, 1, &point);
        if metric < 4 {
            number(&mut data, 2, 2);
            number(&mut data, 3, 1);
        }
        let mut message = Vec::new();
        field(&mut message, 1, METRICS[metric].as_bytes());
        field(&mut message, if metric < 4 { 7 } else { 5 }, &data);
        field(&mut scope, 2, &message);
    }
    let mut out = Vec::new();
    field(&mut out, 1, &resource(host));
    field(&mut out, 2, &scope);
    out
}

fn lines_or_spans(shape: Shape, requests: usize) -> Vec<Vec<Request>> {
    let mut rng = Rng(11);
    let end = now_ms() * 1_000_000;
    let mut shards: Vec<Vec<Request>> = vec![Vec::new(), Vec::new()];
    for request in 0..requests {
        let mut body = Vec::new();
        for _ in 0..10 {
            let host = rng.next() as usize % 200;
            let mut scope = Vec::new();
            for _ in 0..100 {
                let time = end - (requests - request) as u64 * 100_000_000 + rng.next() % 100_000_000;
                let item = if shape == Shape::OtlpLogs { log_record(&mut rng, time) } else { span(&mut rng, time) };
                field(&mut scope, 2, &item);
            }
            let mut out = Vec::new();
            field(&mut out, 1, &resource(host));
            field(&mut out, 2, &scope);
            field(&mut body, 1, &out);
        }
        shards[request % 2].push(Request { items: 1000, body: gzip(&body) });
    }
    shards
}

fn log_record(rng: &mut Rng, time: u64) -> Vec<u8> {
    let (severity, word, line) = line(rng);
    let mut record = Vec::new();
    fixed(&mut record, 1, time);
    number(&mut record, 2, severity);
    field(&mut record, 3, word.as_bytes());
    let mut body = Vec::new();
    field(&mut body, 1, line.as_bytes());
    field(&mut record, 5, &body);
    field(&mut record, 6, &attribute("thread.name", &format!("worker-{}", rng.next() % 16)));
    field(&mut record, 9, &[rng.next().to_be_bytes(), rng.next().to_be_bytes()].concat());
    field(&mut record, 10, &rng.next().to_be_bytes());
    record
}

fn span(rng: &mut Rng, time: u64) -> Vec<u8> {
    let mut span = Vec::new();
    field(&mut span, 1, &[rng.next().to_be_bytes(), rng.next().to_be_bytes()].concat());
    field(&mut span, 2, &rng.next().to_be_bytes());
    field(&mut span, 4, &rng.next().to_be_bytes());
    let name = ["GET /api/v1/cart/{id}", "POST /checkout", "SELECT items", "publish orders"][rng.next() as usize % 4];
    field(&mut span, 5, name.as_bytes());
    number(&mut span, 6, 2);
    fixed(&mut span, 7, time);
    fixed(&mut span, 8, time + (rng.unit() * 5e7) as u64);
    let path = format!("/api/v1/cart/{}", rng.next() % 100_000);
    let peer = format!("10.0.{}.{}", rng.next() % 256, rng.next() % 256);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", &path),
        ("server.address", "cart.shop.svc"),
        ("network.peer.address", &peer),
    ] {
        field(&mut span, 9, &attribute(key, value));
    }
    span
}

fn line(rng: &mut Rng) -> (u64, &'static str, String) {
    let ip = format!("10.{}.{}.{}", rng.next() % 256, rng.next() % 256, rng.next() % 256);
    let id = rng.next();
    match rng.next() % 10 {
        0..=4 => (
            9,
            "INFO",
            format!(
                "{ip} - GET /api/v1/cart/{} HTTP/1.1 200 {} {:.3}ms",
                id % 100_000,
                rng.next() % 9000,
                rng.unit() * 50.0
            ),
        ),
        5 => (
            9,
            "INFO",
            format!(
                "order placed order_id={id:x} user={} total={:.2} currency=EUR",
                rng.next() % 100_000,
                rng.unit() * 500.0
            ),
        ),
        6 => (
            5,
            "DEBUG",
            format!("cache lookup key=sess:{id:016x} hit={} took={}us", id.is_multiple_of(2), rng.next() % 900),
        ),
        7 => (
            13,
            "WARN",
            format!(
                "slow query took {}ms: SELECT * FROM items WHERE sku='{}' LIMIT 50",
                200 + rng.next() % 3000,
                id % 1_000_000
            ),
        ),
        8 => (
            9,
            "INFO",
            format!(
                "consumer group=billing topic=orders partition={} offset={} lag={}",
                rng.next() % 12,
                id % 100_000_000,
                rng.next() % 500
            ),
        ),
        _ => (
            17,
            "ERROR",
            format!(
                "connection to {ip}:5432 failed: timeout after {}ms (attempt {}/5), request_id={id:016x}",
                1000 + rng.next() % 4000,
                1 + rng.next() % 5
            ),
        ),
    }
}

fn resource(host: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in [
        ("service.name", format!("svc-{:02}", host % 40)),
        ("service.namespace", "shop".to_owned()),
        ("service.instance.id", format!("inst-{host:06}")),
        ("host.name", format!("host-{host:05}.example.internal")),
        ("deployment.environment.name", "prod".to_owned()),
    ] {
        field(&mut out, 1, &attribute(key, &value));
    }
    out
}

fn first(rng: &mut Rng, metric: usize) -> f64 {
    match metric {
        0..=3 => (rng.unit() * 1e6).floor(),
        4 => 4096.0 * (rng.unit() * 1e6).floor(),
        5 | 8 => 1.0,
        6 => 45.0,
        7 => 0.1,
        _ => 0.0,
    }
}

fn next(rng: &mut Rng, metric: usize, value: f64) -> f64 {
    let cents = |v: f64| (v * 100.0).round() / 100.0;
    match metric {
        0 => cents(value + rng.unit() * 15.0),
        1 if rng.unit() < 0.1 => cents(value + 0.01),
        2 => value + (rng.unit() * 300.0).floor(),
        3 => value + (rng.unit() * 2e6).floor(),
        4 => (value + 4096.0 * ((rng.unit() - 0.5) * 2000.0).floor()).max(0.0),
        5 => cents((value + (rng.unit() - 0.5) * 0.2).max(0.0)),
        6 if rng.unit() < 0.2 => value + if rng.unit() < 0.5 { 0.5 } else { -0.5 },
        7 => 0.05 + 0.1 * rng.unit(),
        9 if rng.unit() < 0.05 => (rng.unit() * 20.0).floor(),
        9 => 0.0,
        _ => value,
    }
}

/// xorshift64*: small, seeded, good enough for load.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    let _ = encoder.write_all(data);
    encoder.finish().unwrap_or_default()
}

fn attribute(key: &str, value: &str) -> Vec<u8> {
    let (mut any, mut out) = (Vec::new(), Vec::new());
    field(&mut any, 1, value.as_bytes());
    field(&mut out, 1, key.as_bytes());
    field(&mut out, 2, &any);
    out
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn field(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    varint(out, u64::from(number << 3 | 2));
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn fixed(out: &mut Vec<u8>, number: u32, value: u64) {
    varint(out, u64::from(number << 3 | 1));
    out.extend_from_slice(&value.to_le_bytes());
}

fn number(out: &mut Vec<u8>, number: u32, value: u64) {
    varint(out, u64::from(number << 3));
    varint(out, value);
}
