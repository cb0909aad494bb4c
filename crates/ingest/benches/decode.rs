//! Cost per item of each decoder, on requests shaped like a fleet's: 10 labels a series, 8 resource attributes.
//!
//! `items` in the output are samples, records or spans; decompression is part of it where the name says so.

use std::sync::Arc;

use bellwether_ingest::{Compression, Encoding, Ingest, Limits, RemoteWriteVersion, Request, decompress};
use divan::counter::ItemsCount;
use types::{Directory, MILLI, SECOND, Tenant, Time};

const NOW: i64 = 1_800_000_000 * SECOND;
const ITEMS: usize = 2000;

fn main() {
    divan::main();
}

fn set_up() -> (Ingest, Request) {
    let ingest = Ingest::new(Arc::new(Directory::default()), Limits::default(), 42);
    (ingest, Request { tenant: Tenant::default(), now: Time(NOW), backfill: false })
}

fn varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn fixed64(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn key_value(key: &str, value: &str) -> Vec<u8> {
    let (mut any, mut out) = (Vec::new(), Vec::new());
    bytes(&mut any, 1, value.as_bytes());
    bytes(&mut out, 1, key.as_bytes());
    bytes(&mut out, 2, &any);
    out
}

fn labels(i: usize) -> Vec<(&'static str, String)> {
    vec![
        ("__name__", format!("metric_{}_total", i % 10)),
        ("cluster", format!("prod-{}", i % 3)),
        ("dc", format!("dc{}", i % 5)),
        ("env", "prod".into()),
        ("instance", format!("host-{:05}.example.internal:9100", i / 10)),
        ("job", "node".into()),
        ("service", format!("svc-{:02}", i % 40)),
        ("team", format!("team-{}", i % 8)),
    ]
}

fn remote_write_1() -> Vec<u8> {
    let mut body = Vec::new();
    for i in 0..ITEMS {
        let mut series = Vec::new();
        for (name, value) in labels(i) {
            let mut label = Vec::new();
            bytes(&mut label, 1, name.as_bytes());
            bytes(&mut label, 2, value.as_bytes());
            bytes(&mut series, 1, &label);
        }
        bytes(&mut series, 2, &sample(i));
        bytes(&mut body, 1, &series);
    }
    body
}

fn sample(i: usize) -> Vec<u8> {
    let mut sample = Vec::new();
    fixed64(&mut sample, 1, (i as f64 * 1.5).to_bits());
    number(&mut sample, 2, (NOW / MILLI) as u64);
    sample
}

fn remote_write_2() -> Vec<u8> {
    let (mut symbols, mut all): (Vec<String>, Vec<Vec<u8>>) = (vec![String::new()], Vec::new());
    for i in 0..ITEMS {
        let mut refs = Vec::new();
        for text in labels(i).into_iter().flat_map(|(name, value)| [name.to_owned(), value]) {
            let at = symbols.iter().position(|s| *s == text).unwrap_or_else(|| {
                symbols.push(text);
                symbols.len() - 1
            });
            varint(&mut refs, at as u64);
        }
        let mut series = Vec::new();
        bytes(&mut series, 1, &refs);
        bytes(&mut series, 2, &sample(i));
        all.push(series);
    }
    let mut body = Vec::new();
    symbols.iter().for_each(|symbol| bytes(&mut body, 4, symbol.as_bytes()));
    all.iter().for_each(|series| bytes(&mut body, 5, series));
    body
}

fn resource(i: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in [
        ("service.name", format!("svc-{:02}", i % 40)),
        ("service.namespace", "shop".into()),
        ("service.instance.id", format!("inst-{i:06}")),
        ("host.name", format!("host-{i:05}.example.internal")),
        ("deployment.environment.name", "prod".into()),
        ("k8s.pod.name", format!("svc-{:02}-7d9c6b5f4-{i:05x}", i % 40)),
        ("cloud.availability_zone", format!("dc{}", i % 5)),
        ("telemetry.sdk.language", "rust".into()),
    ] {
        bytes(&mut out, 1, &key_value(key, &value));
    }
    out
}

/// Groups of ten items below one resource each.
fn otlp(item: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let mut body = Vec::new();
    for group in 0..ITEMS / 10 {
        let (mut scope, mut of_resource) = (Vec::new(), Vec::new());
        (0..10).for_each(|k| bytes(&mut scope, 2, &item(group * 10 + k)));
        bytes(&mut of_resource, 1, &resource(group));
        bytes(&mut of_resource, 2, &scope);
        bytes(&mut body, 1, &of_resource);
    }
    body
}

fn metric(i: usize) -> Vec<u8> {
    let (mut point, mut data, mut metric) = (Vec::new(), Vec::new(), Vec::new());
    fixed64(&mut point, 3, NOW as u64);
    fixed64(&mut point, 4, (i as f64).to_bits());
    bytes(&mut point, 7, &key_value("team", "team-1"));
    bytes(&mut point, 7, &key_value("mode", "user"));
    bytes(&mut data, 1, &point);
    number(&mut data, 2, 2);
    number(&mut data, 3, 1);
    bytes(&mut metric, 1, format!("metric_{}", i % 10).as_bytes());
    bytes(&mut metric, 7, &data);
    metric
}

fn line(i: usize) -> String {
    match i % 6 {
        0..=2 => format!(
            "10.0.{}.{} - GET /api/v1/cart/{} HTTP/1.1 200 {} {}.{:03}ms",
            i % 256,
            i % 99,
            i * 7,
            i * 3,
            i % 50,
            i % 999
        ),
        3 => format!("order placed order_id={:x} user={} total={}.50 currency=EUR", i * 7919, i, i % 500),
        4 => format!("slow query took {}ms: SELECT * FROM items WHERE sku='{}' LIMIT 50", 200 + i, i * 31),
        _ => {
            format!("connection to 10.1.{}.9:5432 failed: timeout after {}ms (attempt {}/5)", i % 256, 1000 + i, i % 5)
        }
    }
}

fn record(i: usize) -> Vec<u8> {
    let (mut record, mut any) = (Vec::new(), Vec::new());
    fixed64(&mut record, 1, NOW as u64);
    number(&mut record, 2, 9);
    bytes(&mut record, 3, b"INFO");
    bytes(&mut any, 1, line(i).as_bytes());
    bytes(&mut record, 5, &any);
    bytes(&mut record, 6, &key_value("code.function.name", "handle"));
    bytes(&mut record, 6, &key_value("thread.name", &format!("worker-{}", i % 16)));
    bytes(&mut record, 9, &[(i % 255) as u8 + 1; 16]);
    bytes(&mut record, 10, &[(i % 255) as u8 + 1; 8]);
    record
}

fn span(i: usize) -> Vec<u8> {
    let mut span = Vec::new();
    bytes(&mut span, 1, &[(i % 255) as u8 + 1; 16]);
    bytes(&mut span, 2, &[(i % 255) as u8 + 1; 8]);
    bytes(&mut span, 4, &[7; 8]);
    bytes(&mut span, 5, b"GET /api/v1/cart/{id}");
    number(&mut span, 6, 2);
    fixed64(&mut span, 7, NOW as u64);
    fixed64(&mut span, 8, NOW as u64 + 5000);
    for (key, value) in [
        ("http.request.method", "GET".to_owned()),
        ("url.path", format!("/api/v1/cart/{i}")),
        ("server.address", "cart.shop.svc".into()),
        ("network.peer.address", format!("10.0.{}.7", i % 256)),
        ("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)".into()),
    ] {
        bytes(&mut span, 9, &key_value(key, &value));
    }
    span
}

#[divan::bench]
fn remote_write_1_with_snappy(bencher: divan::Bencher) {
    let (ingest, request) = set_up();
    let body = snap::raw::Encoder::new().compress_vec(&remote_write_1()).unwrap();
    bencher.counter(ItemsCount::new(ITEMS)).bench_local(|| {
        let raw = decompress(&body, Compression::Snappy, 64 << 20).unwrap();
        ingest.remote_write(&request, &raw, RemoteWriteVersion::V1).unwrap()
    });
}

#[divan::bench]
fn remote_write_1_all_series_new(bencher: divan::Bencher) {
    let body = remote_write_1();
    bencher
        .counter(ItemsCount::new(ITEMS))
        .with_inputs(set_up)
        .bench_local_values(|(ingest, request)| ingest.remote_write(&request, &body, RemoteWriteVersion::V1).unwrap());
}

#[divan::bench]
fn remote_write_2_plain(bencher: divan::Bencher) {
    let ((ingest, request), body) = (set_up(), remote_write_2());
    bencher
        .counter(ItemsCount::new(ITEMS))
        .bench_local(|| ingest.remote_write(&request, &body, RemoteWriteVersion::V2).unwrap());
}

#[divan::bench]
fn otlp_metrics(bencher: divan::Bencher) {
    let ((ingest, request), body) = (set_up(), otlp(metric));
    bencher
        .counter(ItemsCount::new(ITEMS))
        .bench_local(|| ingest.otlp_metrics(&request, &body, Encoding::Protobuf).unwrap());
}

#[divan::bench]
fn otlp_logs_with_templates(bencher: divan::Bencher) {
    let ((ingest, request), body) = (set_up(), otlp(record));
    bencher
        .counter(ItemsCount::new(ITEMS))
        .bench_local(|| ingest.otlp_logs(&request, &body, Encoding::Protobuf).unwrap());
}

#[divan::bench]
fn otlp_logs_without_templates(bencher: divan::Bencher) {
    let (ingest, request) = set_up();
    let body = otlp(|i| {
        let mut record = record(i);
        // The body's tag becomes an unknown field's, so that there is no line to mine.
        let at = record.windows(6).position(|w| w == b"\x1a\x04INFO").unwrap() + 6;
        record[at] = 13 << 3 | 2;
        record
    });
    bencher
        .counter(ItemsCount::new(ITEMS))
        .bench_local(|| ingest.otlp_logs(&request, &body, Encoding::Protobuf).unwrap());
}

#[divan::bench]
fn templates_alone(bencher: divan::Bencher) {
    let mut miner = math::templates::Miner::default();
    let lines: Vec<String> = (0..ITEMS).map(line).collect();
    bencher.counter(ItemsCount::new(ITEMS)).bench_local(|| lines.iter().map(|line| miner.assign(line).id).max());
}

#[divan::bench]
fn secrets_alone(bencher: divan::Bencher) {
    let lines: Vec<String> = (0..ITEMS).map(line).collect();
    bencher
        .counter(ItemsCount::new(ITEMS))
        .bench_local(|| lines.iter().map(|line| math::secrets::spans(line.as_bytes()).len()).sum::<usize>());
}

#[divan::bench]
fn otlp_traces(bencher: divan::Bencher) {
    let ((ingest, request), body) = (set_up(), otlp(span));
    bencher
        .counter(ItemsCount::new(ITEMS))
        .bench_local(|| ingest.otlp_traces(&request, &body, Encoding::Protobuf).unwrap());
}
