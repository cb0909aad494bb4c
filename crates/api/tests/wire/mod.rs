//! Every wire, spoken by real clients: what is good is stored, what is bad is refused with a reason, and neither size
//! nor pace nor nesting harms the requests that come after.

mod values;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse, metrics_service_client::MetricsServiceClient,
        },
        trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    },
    common::v1::{AnyValue, KeyValue, any_value::Value as Any},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point::Value as Number,
    },
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tonic::{Code, codec::CompressionEncoding};

use super::{Server, logs};

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
}

fn resource() -> Option<Resource> {
    let value = Some(AnyValue { value: Some(Any::StringValue("wire".into())) });
    let name = KeyValue { key: "service.name".into(), value, ..Default::default() };
    Some(Resource { attributes: vec![name], ..Default::default() })
}

fn metrics(times: &[u64]) -> ExportMetricsServiceRequest {
    let point = |time: &u64| NumberDataPoint {
        time_unix_nano: *time,
        value: Some(Number::AsDouble(1.5)),
        ..Default::default()
    };
    let data = Some(Data::Gauge(Gauge { data_points: times.iter().map(point).collect() }));
    let metric = Metric { name: "wire.level".into(), data, ..Default::default() };
    let scope = ScopeMetrics { metrics: vec![metric], ..Default::default() };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: resource(),
            scope_metrics: vec![scope],
            ..Default::default()
        }],
    }
}

fn log_lines(time: u64, lines: &[&str]) -> ExportLogsServiceRequest {
    let record = |line: &&str| LogRecord {
        time_unix_nano: time,
        body: Some(AnyValue { value: Some(Any::StringValue((*line).into())) }),
        ..Default::default()
    };
    let scope = ScopeLogs { log_records: lines.iter().map(record).collect(), ..Default::default() };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource: resource(), scope_logs: vec![scope], ..Default::default() }],
    }
}

fn span(start: u64) -> ExportTraceServiceRequest {
    let span = Span {
        trace_id: start.to_be_bytes().repeat(2),
        span_id: start.to_be_bytes().to_vec(),
        name: "GET /".into(),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 5_000_000,
        ..Default::default()
    };
    let scope = ScopeSpans { spans: vec![span], ..Default::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource: resource(), scope_spans: vec![scope], ..Default::default() }],
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// 300 MiB of zeros in members of 1 MiB, and as one stream.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let zeros = vec![0; 1 << 20];
    let stream = std::io::repeat(0).take(300 << 20);
    vec![("gzip", gzip(&zeros).repeat(300)), ("zstd", zstd::encode_all(stream, 1).unwrap())]
}

async fn send(
    server: &Server,
    at: SocketAddr,
    path: &str,
    encoding: &str,
    body: Vec<u8>,
) -> (StatusCode, String, Vec<u8>) {
    let mut request =
        server.http.post(format!("http://{at}{path}")).header("content-type", "application/x-protobuf").body(body);
    if !encoding.is_empty() {
        request = request.header("content-encoding", encoding);
    }
    let answer = request.send().await.unwrap();
    let kind = answer.headers().get("content-type").map(|k| k.to_str().unwrap().to_owned()).unwrap_or_default();
    (answer.status(), kind, answer.bytes().await.unwrap().to_vec())
}

async fn grpc_metrics(server: &Server) -> MetricsServiceClient<tonic::transport::Channel> {
    MetricsServiceClient::connect(format!("http://{}", server.running.otlp_grpc)).await.unwrap()
}

/// What an OTLP error says: code and message of its `google.rpc.Status`.
fn status_of(body: &[u8]) -> (i32, String) {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Status {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(string, tag = "2")]
        message: String,
    }
    let status = Status::decode(body).expect("the body is a google.rpc.Status");
    (status.code, status.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_signals_over_every_transport_and_encoding() {
    let server = Server::start(|_| {}).await;
    let start = now();
    let mut sent = 0;
    for at in [server.running.listen, server.running.otlp_http] {
        for encoding in ["", "gzip", "zstd"] {
            let time = start + sent * 1000;
            let packed = |bytes: Vec<u8>| match encoding {
                "gzip" => gzip(&bytes),
                "zstd" => zstd::encode_all(&bytes[..], 3).unwrap(),
                _ => bytes,
            };
            for (path, body) in [
                ("/v1/metrics", metrics(&[time]).encode_to_vec()),
                ("/v1/logs", log_lines(time, &["one line"]).encode_to_vec()),
                ("/v1/traces", span(time).encode_to_vec()),
            ] {
                let (status, kind, answer) = send(&server, at, path, encoding, packed(body)).await;
                assert_eq!((status, kind.as_str()), (StatusCode::OK, "application/x-protobuf"), "{path} {encoding}");
                assert!(answer.is_empty(), "partial_success is unset where all was taken");
            }
            sent += 1;
        }
    }
    let grpc = format!("http://{}", server.running.otlp_grpc);
    for encoding in [None, Some(CompressionEncoding::Gzip)] {
        let time = start + sent * 1000;
        let mut m = MetricsServiceClient::connect(grpc.clone()).await.unwrap();
        let mut l = LogsServiceClient::connect(grpc.clone()).await.unwrap();
        let mut t = TraceServiceClient::connect(grpc.clone()).await.unwrap();
        if let Some(encoding) = encoding {
            (m, l, t) = (m.send_compressed(encoding), l.send_compressed(encoding), t.send_compressed(encoding));
        }
        assert!(m.export(metrics(&[time])).await.unwrap().into_inner().partial_success.is_none());
        l.export(log_lines(time, &["one line"])).await.unwrap();
        t.export(span(time)).await.unwrap();
        sent += 1;
    }
    assert_eq!(server.count("samples WHERE metric = 'wire.level'").await, sent);
    assert_eq!(server.count("records").await, sent);
    assert_eq!(server.count("spans").await, sent);
    let empty = send(&server, server.running.listen, "/v1/metrics", "", Vec::new()).await;
    assert_eq!(empty.0, StatusCode::OK, "an empty request is a success");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_ten_years_ahead_spoils_neither_its_neighbours_nor_what_comes_later() {
    let server = Server::start(|_| {}).await;
    let time = now();
    let body = metrics(&[time, time + 3650 * DAY, time + 1]);
    let (status, _, answer) =
        send(&server, server.running.listen, "/v1/metrics", "", body.clone().encode_to_vec()).await;
    assert_eq!(status, StatusCode::OK);
    let partial = ExportMetricsServiceResponse::decode(&answer[..]).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_data_points, 1);
    assert!(partial.error_message.contains("wire.level"), "{}", partial.error_message);

    let body = metrics(&[time + 2, u64::MAX, time + 3]);
    let answer = grpc_metrics(&server).await.export(body).await.unwrap().into_inner();
    assert_eq!(answer.partial_success.unwrap().rejected_data_points, 1);

    let ms = time / 1_000_000;
    let (status, reason) = write_1(&server, &[ms + 1, ms + 3650 * 86_400_000]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(reason.starts_with("1 of 2 items rejected"), "{reason}");
    assert_eq!(write_1(&server, &[ms + 2]).await.0, StatusCode::NO_CONTENT);
    assert_eq!(server.count("samples WHERE metric IN ('wire.level', 'written')").await, 6);
}

async fn write_1(server: &Server, times_ms: &[u64]) -> (StatusCode, String) {
    let mut body = Vec::new();
    for time in times_ms {
        super::series(&mut body, &[("__name__", "written"), ("job", "wire")], 2.0, *time);
    }
    let packed = snap::raw::Encoder::new().compress_vec(&body).unwrap();
    let (status, _, answer) = send(server, server.running.listen, "/api/v1/write", "snappy", packed).await;
    (status, String::from_utf8(answer).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn remote_write_2_is_read_by_its_content_type_and_counts_what_it_wrote() {
    use prost::encoding::{bytes, double, int64, string, uint32};
    let server = Server::start(|_| {}).await;
    let mut body = Vec::new();
    for symbol in ["", "__name__", "second", "job", "wire"] {
        string::encode(4, &symbol.to_owned(), &mut body);
    }
    let (mut one, mut sample) = (Vec::new(), Vec::new());
    uint32::encode_packed(1, &[1, 2, 3, 4], &mut one);
    double::encode(1, &2.5, &mut sample);
    int64::encode(2, &((now() / 1_000_000) as i64), &mut sample);
    bytes::encode(2, &sample, &mut one);
    bytes::encode(5, &one, &mut body);
    let packed = snap::raw::Encoder::new().compress_vec(&body).unwrap();
    let ask = |kind: &'static str, encoding: &'static str| {
        server
            .http
            .post(server.url("/api/v1/write"))
            .header("content-type", kind)
            .header("content-encoding", encoding)
            .body(packed.clone())
            .send()
    };
    let second = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    let answer = ask(second, "snappy").await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(answer.headers()["x-prometheus-remote-write-samples-written"], "1");
    assert_eq!(answer.headers()["x-prometheus-remote-write-histograms-written"], "0");
    assert_eq!(server.count("samples WHERE metric = 'second' AND value = 2.5").await, 1);
    for (kind, encoding) in
        [("application/json", "snappy"), ("application/x-protobuf;proto=other", "snappy"), (second, "gzip")]
    {
        let status = ask(kind, encoding).await.unwrap().status();
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind} {encoding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_data_is_answered_in_the_words_of_its_protocol() {
    let server = Server::start(|_| {}).await;
    let at = server.running.otlp_http;
    for (encoding, body, expected, code) in [
        ("", vec![0xff; 64], 400, 3),
        ("", metrics(&[now()]).encode_to_vec()[..20].to_vec(), 400, 3),
        ("gzip", vec![1, 2, 3], 400, 3),
        ("br", vec![1], 415, 12),
        ("snappy", vec![1], 415, 12),
    ] {
        let (status, kind, answer) = send(&server, at, "/v1/metrics", encoding, body).await;
        assert_eq!((status.as_u16(), kind.as_str()), (expected, "application/x-protobuf"));
        let (said, message) = status_of(&answer);
        assert!(said == code && !message.is_empty(), "{said} {message}");
    }
    let (status, text) = server.post("/v1/metrics", "application/json", r#"{"resourceMetrics": 7}"#).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["code"], 3);

    let grpc = |kind: &'static str, encoding: &'static str, body: Vec<u8>| {
        // Without TLS a client must know that gRPC is HTTP/2; the frame is written by hand to make it wrong.
        let channel = tonic::transport::Endpoint::new(format!("http://{}", server.running.otlp_grpc)).unwrap();
        async move {
            use tower::ServiceExt;
            let request = http::Request::post("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
                .header("content-type", kind)
                .header("grpc-encoding", encoding)
                .body(tonic::body::Body::new(http_body_util::Full::new(body.into())))
                .unwrap();
            let answer = channel.connect().await.unwrap().oneshot(request).await.unwrap();
            let text = |name: &str| answer.headers().get(name).and_then(|h| h.to_str().ok()).unwrap_or("").to_owned();
            (text("grpc-status"), text("grpc-message"))
        }
    };
    assert_eq!(grpc("application/grpc", "identity", vec![0, 0, 0, 0, 3, 0xff, 0xff, 0xff]).await.0, "3");
    assert_eq!(grpc("application/grpc", "identity", vec![0, 0, 0, 0, 9, 1]).await.0, "3");
    assert_eq!(grpc("application/grpc", "br", vec![1, 0, 0, 0, 1, 1]).await.0, "12");
    for (encoding, bomb) in bombs() {
        let framed = [&[1][..], &(bomb.len() as u32).to_be_bytes(), &bomb].concat();
        let (status, message) = grpc("application/grpc", encoding, framed).await;
        assert!(status == "3" && message.contains("max_body_len"), "{status} {message}");
    }
    assert_eq!(server.post("/v1/logs", "application/json", logs(1)).await.0, StatusCode::OK);
    assert_eq!(server.count("records").await, 1);
}

/// Resident memory, bytes: the most since the last call.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    kib << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_and_bombs_take_no_more_memory_than_the_limit() {
    let server = Server::start(|_| {}).await;
    assert_eq!(server.post("/v1/logs", "application/json", logs(1)).await.0, StatusCode::OK);
    let packed = bombs();
    let zeros = snap::raw::Encoder::new().compress_vec(&vec![0; 100 << 20]).unwrap();
    peak();
    let before = peak();
    for claim in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0x80, 0x80, 0x80, 0x1e]] {
        let body = [claim, &[0; 10]].concat();
        let (status, ..) = send(&server, server.running.listen, "/api/v1/write", "snappy", body).await;
        assert!(matches!(status.as_u16(), 400 | 413), "{status}");
    }
    let grown = peak().saturating_sub(before);
    assert!(grown < 4 << 20, "a claim of 4 GiB took {grown} bytes");
    let (status, ..) = send(&server, server.running.listen, "/api/v1/write", "snappy", zeros).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    for (encoding, bomb) in packed {
        let (status, _, answer) = send(&server, server.running.listen, "/v1/logs", encoding, bomb).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(status_of(&answer).1.contains("max_body_len"));
    }
    let grown = peak().saturating_sub(before);
    assert!(grown < 80 << 20, "bombs of 300 MiB took {grown} bytes");
    assert_eq!(server.post("/v1/logs", "application/json", logs(2)).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn nesting_and_lengths_are_limited_by_name() {
    let server = Server::start(|_| {}).await;
    let deep =
        format!("{}{{\"stringValue\":\"x\"}}{}", r#"{"arrayValue":{"values":["#.repeat(100_000), "]}}".repeat(100_000));
    let body = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{deep}}}]}}]}}]}}"#);
    let (status, text) = server.post("/v1/logs", "application/json", body).await;
    assert!(status == StatusCode::BAD_REQUEST || text.contains("rejectedLogRecords"), "{status} {text}");
    let long = "x".repeat(2 << 20);
    let (status, _, answer) =
        send(&server, server.running.listen, "/v1/logs", "", log_lines(now(), &["good", &long]).encode_to_vec()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(String::from_utf8_lossy(&answer).contains("max_log_body_len"));
    assert_eq!(server.count("records").await, 1);
}

/// Sends bytes as they are and reads until the other side closes or says nothing for a while.
fn raw(at: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while let Ok(len @ 1..) = stream.read(&mut part) {
        answer.extend_from_slice(&part[..len]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_requests_get_one_clear_answer() {
    let server = Server::start(|_| {}).await;
    let at = server.running.listen;
    let body = logs(1);
    let head = "POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let chunked =
        format!("{head}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let old = format!(
        "POST /v1/logs HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
        logs(1).len(),
        logs(1)
    );
    let asked = format!(
        "{head}Connection: close\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n{}",
        logs(1).len(),
        logs(1)
    );
    let one = logs(1);
    let pipelined = format!("{head}Content-Length: {}\r\n\r\n{one}{head}Content-Length: 1\r\n\r\n{{", one.len());
    let smuggled = format!(
        "{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    );
    let stuffed = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "y".repeat(100 << 10));
    let (chunked, old, asked, pipelined, smuggled, stuffed) = tokio::task::spawn_blocking(move || {
        let ask = |text: String| raw(at, text.as_bytes());
        (ask(chunked), ask(old), ask(asked), ask(pipelined), ask(smuggled), ask(stuffed))
    })
    .await
    .unwrap();
    assert!(chunked.starts_with("HTTP/1.1 200"), "{chunked}");
    assert!(old.starts_with("HTTP/1.0 200"), "{old}");
    assert!(asked.starts_with("HTTP/1.1 100") && asked.contains("HTTP/1.1 200"), "{asked}");
    assert!(pipelined.starts_with("HTTP/1.1 200") && pipelined.contains("HTTP/1.1 400"), "{pipelined}");
    // Either refused, or read by the one rule (chunks win) and closed: never a second request out of the first's body.
    assert!(smuggled.matches("HTTP/1.1").count() <= 1 || smuggled.contains("400"), "{smuggled}");
    assert!(stuffed.starts_with("HTTP/1.1 431"), "{stuffed}");
    assert_eq!(server.count("records").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_that_claim_much_and_send_little_keep_nobody_out() {
    let server = Server::start(|_| {}).await;
    let at = server.running.otlp_http;
    let head = b"POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 60000000\r\n\r\n{";
    let slow: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(at).unwrap();
            stream.write_all(head).unwrap();
            stream
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..20 {
        let began = Instant::now();
        let (status, ..) = send(&server, at, "/v1/logs", "", log_lines(now(), &["in between"]).encode_to_vec()).await;
        assert_eq!(status, StatusCode::OK);
        assert!(began.elapsed() < Duration::from_secs(1));
    }
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_never_say_what_they_want_are_closed() {
    let server = Server::start(|_| {}).await;
    let at = server.running.listen;
    let closed = tokio::task::spawn_blocking(move || {
        let open = |bytes: &'static [u8]| {
            std::thread::spawn(move || {
                let mut stream = TcpStream::connect(at).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                stream.write_all(bytes).unwrap();
                let began = Instant::now();
                let mut answer = Vec::new();
                let ended = stream.read_to_end(&mut answer);
                ended.is_ok_and(|_| began.elapsed() < Duration::from_secs(15))
            })
        };
        [open(b""), open(b"PRI"), open(b"GET / HT")].map(|thread| thread.join().unwrap())
    })
    .await
    .unwrap();
    assert_eq!(closed, [true, true, true], "nothing, half a preface, half a head");
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_memory_budget_senders_are_told_to_come_again() {
    let server = Server::start(|config| config.intake_bytes = 256 << 10).await;
    let large = log_lines(now(), &["x".repeat(700 << 10).as_str()]);
    let answer = server
        .http
        .post(server.url("/v1/logs"))
        .header("content-type", "application/x-protobuf")
        .body(large.clone().encode_to_vec())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(status_of(&answer.bytes().await.unwrap()).0, 14);
    let mut client = LogsServiceClient::connect(format!("http://{}", server.running.otlp_grpc)).await.unwrap();
    let refused = client.export(large).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.details().windows(9).any(|w| w == b"RetryInfo"));
    client.export(log_lines(now(), &["small"])).await.unwrap();
    assert_eq!(server.count("records").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_scope_reaches_exactly_its_routes_and_a_revoked_token_none() {
    let server = Server::start(|config| config.require_auth = true).await;
    let admin = server.running.first_token.clone().unwrap();
    let make = async |scope: &str| {
        let body = json!({"scope": scope, "name": "matrix"}).to_string();
        let answer =
            server.http.post(server.url("/api/v1/tokens")).bearer_auth(&admin).body(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap()["token"].as_str().unwrap().to_owned()
    };
    let document = server.http.get(server.url("/api/v1/openapi.json")).send().await.unwrap().text().await.unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    for (scope, may) in [
        ("ingest", &["public", "ingest"][..]),
        ("read", &["public", "read"]),
        ("write", &["public", "ingest", "read", "write"]),
    ] {
        let token = make(scope).await;
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let url = server.url(&path.replace('{', "x").replace('}', ""));
                let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                let ask = server.http.request(method.clone(), &url);
                let status = ask.bearer_auth(&token).send().await.unwrap().status();
                let allowed = may.contains(&operation["x-permission"].as_str().unwrap());
                assert_eq!(status != StatusCode::FORBIDDEN, allowed, "{scope} {method} {path}: {status}");
            }
        }
    }
    let token = make("read").await;
    let ask = || server.http.get(server.url("/api/v1/incidents")).bearer_auth(&token).send();
    assert_eq!(ask().await.unwrap().status(), StatusCode::OK);
    let id = token.split('_').nth(2).unwrap();
    let url = server.url(&format!("/api/v1/tokens/{id}/revoke"));
    assert_eq!(server.http.post(url).bearer_auth(&admin).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(ask().await.unwrap().status(), StatusCode::UNAUTHORIZED);

    let (status, _, answer) =
        send(&server, server.running.otlp_http, "/v1/metrics", "", metrics(&[now()]).encode_to_vec()).await;
    assert_eq!((status, status_of(&answer).0), (StatusCode::UNAUTHORIZED, 16));
    let refused = grpc_metrics(&server).await.export(metrics(&[now()])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_are_wrong_or_too_much_say_so_and_harm_nothing() {
    let server = Server::start(|_| {}).await;
    for query in [
        "SELECT nothing FROM samples".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        "DROP TABLE samples".to_owned(),
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'".to_owned(),
        "COPY samples TO '/tmp/out.csv'".to_owned(),
        format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000)),
        format!("SELECT '{}' FROM nowhere", "x".repeat(1 << 20)),
    ] {
        let began = Instant::now();
        let (status, text) = server.post("/api/v1/sql", "application/json", json!({"query": query}).to_string()).await;
        let shown = query.get(..60).unwrap_or(&query);
        assert!(status.is_client_error(), "{shown}: {status} {text}");
        let said: Value = serde_json::from_str(&text).unwrap();
        let code = said["code"].as_str().unwrap();
        assert!(code.starts_with("BELLWETHER-E") && !said["error"].as_str().unwrap().is_empty(), "{text}");
        assert!(said["hint"].is_string() && began.elapsed() < Duration::from_secs(40), "{shown}");
    }
    assert_eq!(server.count("records").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_changes_is_taken_as_a_whole_or_not_at_all() {
    let server = Server::start(|_| {}).await;
    let change = |entity: &str| json!({"entity": entity, "kind": "deployment", "version": "1"});
    let wrong = json!([change("service:shop/a"), {"entity": "service:shop/c", "kind": "two words"}]);
    let (status, text) = server.post("/api/v1/changes", "application/json", wrong.to_string()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.contains("item 1"), "the reason names the culprit: {text}");
    let good = json!([change("service:shop/a"), change("service:shop/b")]);
    let (status, text) = server.post("/api/v1/changes", "application/json", good.to_string()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{text}");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["ids"].as_array().unwrap().len(), 2);
    assert_eq!(server.count("events WHERE kind = 'change.deployment'").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_learned_when_it_happened() {
    let server = Server::start(|_| {}).await;
    let old = now() - 90 * DAY;
    let body = metrics(&[old]).encode_to_vec();
    let (_, _, answer) = send(&server, server.running.listen, "/v1/metrics", "", body.clone()).await;
    let partial = ExportMetricsServiceResponse::decode(&answer[..]).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_data_points, 1, "older than what is kept");
    let (status, _, answer) = send(&server, server.running.listen, "/api/v1/backfill/metrics", "", body).await;
    assert_eq!((status, answer.len()), (StatusCode::OK, 0));
    assert_eq!(server.count("samples WHERE metric = 'wire.level' AND learned = time").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_can_be_read_in_two_ways_are_refused() {
    let server = Server::start(|_| {}).await;
    let at = server.running.listen;
    for path in ["/api//v1/status", "/api/v1/services/a%2fb/c", "/x/../api/v1/status", "/a%5Cb", "/%00"] {
        let text = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = tokio::task::spawn_blocking(move || raw(at, text.as_bytes())).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
    let (status, text) = server.post("/api/v1/nothing", "application/json", "{}").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(text.contains("BELLWETHER-E"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_data_folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start(|config| config.data_dir = config.data_dir.join("new")).await;
    let mode = std::fs::metadata(server.dir.path().join("new")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}
