//! The real server on free ports, asked over real sockets.

mod desk;
mod mcp;
mod models;
mod wire;

use std::time::Duration;

use bellwether_api::{Running, ServerConfig};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

struct Server {
    running: Running,
    http: Client,
    dir: tempfile::TempDir,
}

impl Server {
    async fn start(change: impl FnOnce(&mut ServerConfig)) -> Server {
        Server::on(tempfile::tempdir().unwrap(), change).await
    }

    async fn on(dir: tempfile::TempDir, change: impl FnOnce(&mut ServerConfig)) -> Server {
        let mut config = ServerConfig::new(dir.path());
        let free = "127.0.0.1:0".parse().unwrap();
        (config.listen, config.otlp_grpc, config.otlp_http) = (free, free, free);
        config.watch_host = false;
        change(&mut config);
        let running = bellwether_api::start(config).await.unwrap();
        Server { running, http: Client::new(), dir }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.listen)
    }

    async fn post(&self, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> (StatusCode, String) {
        let answer = self.http.post(self.url(path)).header("content-type", kind).body(body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        self.http.get(self.url(path)).send().await.unwrap().json().await.unwrap()
    }

    async fn say(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let (status, text) = self.post(path, "application/json", body.to_string()).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Asks until the answer is as wanted, for 25 seconds at most.
    async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut answer = Value::Null;
        for _ in 0..250 {
            answer = self.get(path).await;
            if wanted(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{path} did not become as wanted: {answer}");
    }

    async fn count(&self, table: &str) -> u64 {
        let (status, text) = self
            .post(
                "/api/v1/sql",
                "application/json",
                json!({"query": format!("SELECT count(*) FROM {table}")}).to_string(),
            )
            .await;
        assert_eq!(status, StatusCode::OK, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["rows"][0][0].as_u64().unwrap()
    }
}

fn logs(count: usize) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let record = |i: usize| json!({"timeUnixNano": (now as u64 + i as u64).to_string(), "severityNumber": 9, "body": {"stringValue": format!("line {i}")}});
    json!({"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "t"}}]},
        "scopeLogs": [{"logRecords": (0..count).map(record).collect::<Vec<_>>()}]}]})
    .to_string()
}

/// Requests of a service that end now, each a trace of its own: whether it failed, and its attributes.
fn requests(service: &str, all: &[(bool, &[(&str, &str)])]) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let text = |(key, value): &(&str, &str)| json!({"key": key, "value": {"stringValue": value}});
    let span = |(i, (failed, attributes)): (usize, &(bool, &[(&str, &str)]))| {
        json!({"traceId": format!("{:032x}", u128::from(now) + i as u128), "spanId": format!("{:016x}", i + 1), "name": "GET /",
            "kind": 2, "startTimeUnixNano": (now - 5_000_000).to_string(), "endTimeUnixNano": now.to_string(),
            "status": {"code": if *failed { 2 } else { 0 }}, "attributes": attributes.iter().map(text).collect::<Vec<_>>()})
    };
    json!({"resourceSpans": [{"resource": {"attributes": [text(&("service.name", service))]},
        "scopeSpans": [{"spans": all.iter().enumerate().map(span).collect::<Vec<_>>()}]}]})
    .to_string()
}

/// Requests every half second over twelve minutes: shop calls pay, which writes two lines; in the last two minutes only
/// the first. As traces and logs in OTLP JSON; times are minutes from now.
fn work(front: &str, deep: &str) -> (String, String) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let (mut above, mut below, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..1440_u64 {
        let start = now - (1440 - i) * 500_000_000;
        let trace = format!("{:032x}", u128::from(now) << 32 | u128::from(i));
        let span = |id: u64, name: &str, kind: u8, from: u64, to: u64| {
            let parent = if id > 1 { format!("{:016x}", id - 1) } else { String::new() };
            json!({"traceId": trace, "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": name, "kind": kind,
                "startTimeUnixNano": (start + from).to_string(), "endTimeUnixNano": (start + to).to_string()})
        };
        above.extend([span(1, "GET /", 2, 0, 40_000_000), span(2, "pay", 3, 5_000_000, 35_000_000)]);
        below.push(span(3, "POST /pay", 2, 8_000_000, 30_000_000));
        let written = ["charging card", "card charged"].into_iter().take(if i < 1200 { 2 } else { 1 });
        lines.extend(written.enumerate().map(|(at, text)| {
            json!({"timeUnixNano": (start + 9_000_000 + at as u64).to_string(), "severityNumber": 9, "body": {"stringValue": text},
                "traceId": trace, "spanId": format!("{:016x}", 3)})
        }));
    }
    let of = |name: &str| json!({"attributes": [{"key": "service.name", "value": {"stringValue": name}}]});
    let spans = [(front, above), (deep, below)];
    let spans = spans.map(|(name, spans)| json!({"resource": of(name), "scopeSpans": [{"spans": spans}]}));
    let logs = json!({"resourceLogs": [{"resource": of(deep), "scopeLogs": [{"logRecords": lines}]}]});
    (json!({"resourceSpans": spans}).to_string(), logs.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_why_a_stretch_went_otherwise_is_told_and_what_cannot_be_is_said() {
    let server = Server::start(|_| {}).await;
    let (traces, logs) = work("shop", "pay");
    assert_eq!(server.post("/v1/traces", "application/json", traces).await.0, StatusCode::OK);
    assert_eq!(server.post("/v1/logs", "application/json", logs).await.0, StatusCode::OK);
    let said = server.get("/api/v1/contrast/causes?from=now-115s&to=now%2B1s").await;
    let requests = &said["requests"];
    let (before, within) = (requests["before"].as_u64().unwrap(), requests["within"].as_u64().unwrap());
    assert!(before + within == 1440 && within >= 200 && requests["undecided"] == false, "{said}");
    let first = &requests["suspects"][0];
    assert_eq!((&first["entity"], &first["kind"]), (&json!("service:default/pay"), &json!("software")), "{said}");
    assert_eq!(first["leaves"], json!(["charging card", "card charged"]));
    let healthy = server.get("/api/v1/contrast/causes?from=now-5m&to=now-3m").await;
    assert_eq!((&healthy["requests"]["suspects"], &healthy["requests"]["undecided"]), (&json!([]), &json!(true)));
    let nothing = server.get("/api/v1/contrast/causes?from=2020-01-01T00:00:00Z&to=2020-01-01T01:00:00Z").await;
    assert_eq!((nothing["requests"]["within"].as_u64(), &nothing["series"]), (Some(0), &Value::Null), "{nothing}");
    let bad = [
        ("from=now&to=now-1h", "from"),
        ("entity=service:shop/&from=now-5m", "not an entity"),
        ("measure=speed&from=now-5m", "not errors, latency or requests"),
    ];
    for (query, reason) in bad {
        let answer = server.http.get(server.url(&format!("/api/v1/contrast/causes?{query}"))).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{query}");
        let said: Value = answer.json().await.unwrap();
        assert!(said["error"].as_str().unwrap().contains(reason), "{query}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_counted_at_once_and_after_a_restart() {
    let server = Server::start(|_| {}).await;
    let (status, text) = server.post("/v1/logs", "application/json", logs(7)).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "{}"));
    assert_eq!(server.count("records").await, 7);
    let Server { running, dir, .. } = server;
    running.shutdown().await.unwrap();
    let server = Server::on(dir, |_| {}).await;
    assert_eq!(server.count("records").await, 7);
    server.running.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_varies_in_the_lines_of_a_template_is_told() {
    let server = Server::start(|_| {}).await;
    assert_eq!(server.post("/v1/logs", "application/json", logs(40)).await.0, StatusCode::OK);
    let get = async |path: String| -> Value {
        server.http.get(server.url(&path)).send().await.unwrap().json().await.unwrap()
    };
    let patterns = get("/api/v1/logs/patterns?from=now-1h&to=now%2B1h".into()).await;
    let template = patterns["patterns"][0]["template_id"].as_u64().unwrap();
    let said = get(format!("/api/v1/logs/patterns/{template}/parameters?from=now-1h&to=now%2B1h")).await;
    assert_eq!((said["template"].as_str(), said["lines"].as_u64()), (Some("line <*>"), Some(40)), "{said}");
    let parameter = &said["parameters"][0];
    assert_eq!((parameter["kind"].as_str(), parameter["distinct"].as_u64()), (Some("number"), Some(40)), "{said}");
    let none = get("/api/v1/logs/patterns/4000000/parameters".into()).await;
    assert_eq!((none["lines"].as_u64(), &none["parameters"]), (Some(0), &json!([])), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_again_is_not_stored_again() {
    let server = Server::start(|_| {}).await;
    let body = logs(3);
    for _ in 0..2 {
        assert_eq!(server.post("/v1/logs", "application/json", body.clone()).await.0, StatusCode::OK);
    }
    assert_eq!(server.count("records").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_are_refused_with_a_reason_and_harm_nothing() {
    let server = Server::start(|_| {}).await;
    let cases: [(&str, &str, Vec<u8>, u16); 7] = [
        ("/v1/logs", "application/x-protobuf", vec![0xff; 40], 400),
        ("/v1/traces", "application/json", b"{".to_vec(), 400),
        ("/v1/metrics", "text/plain", b"x".to_vec(), 415),
        ("/api/v1/write", "application/x-protobuf", vec![0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2], 413),
        ("/api/v1/write", "application/json", b"{}".to_vec(), 415),
        ("/api/v1/sql", "application/json", br#"{"query":"SELEC 1"}"#.to_vec(), 400),
        (
            "/api/v1/changes",
            "application/json",
            br#"{"entity":"service:a/b","kind":"deployment","colour":"red"}"#.to_vec(),
            400,
        ),
    ];
    for (path, kind, body, expected) in cases {
        let (status, text) = server.post(path, kind, body).await;
        assert_eq!(status.as_u16(), expected, "{path}: {text}");
        assert!(!text.is_empty(), "{path}: no reason");
    }
    let (_, text) = server
        .post("/api/v1/changes", "application/json", r#"{"entity":"service:a/b","kind":"deployment","colour":"red"}"#)
        .await;
    assert!(text.contains("colour"), "the reason names the culprit: {text}");
    assert_eq!(server.post("/v1/logs", "application/json", logs(2)).await.0, StatusCode::OK);
    assert_eq!(server.count("records").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_is_forecast_and_what_cannot_be_is_said() {
    let server = Server::start(|_| {}).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 300 * 300;
    let points: Vec<Value> = (1..=3 * 288_u64)
        .map(|i| {
            let at = now - i * 300;
            let day = (at as f64 / 86_400.0 * std::f64::consts::TAU).sin();
            json!({"timeUnixNano": (at * 1_000_000_000).to_string(), "asDouble": 100.0 + 40.0 * day + (i % 7) as f64})
        })
        .collect();
    let metric = |name: &str, points: &[Value]| json!({"name": name, "gauge": {"dataPoints": points}});
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]});
    let metrics = json!([metric("queue", &points), metric("young", &points[..2])]);
    let body = json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]});
    assert_eq!(server.post("/v1/metrics", "application/json", body.to_string()).await.0, StatusCode::OK);
    let get = async |query: &str| -> (u16, Value) {
        let answer = server.http.get(server.url(&format!("/api/v1/forecast?{query}"))).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    };
    let (status, said) = get("metric=queue&horizon=1d&threshold=130").await;
    assert_eq!(status, 200, "{said}");
    let outlook = &said["outlook"];
    assert_eq!((outlook["step_s"].as_u64(), outlook["seasons_s"][0].as_u64()), (Some(300), Some(86_400)), "{outlook}");
    assert_eq!(outlook["steps"].as_array().unwrap().len(), 288);
    assert!(outlook["reach"]["probability"].as_f64().unwrap() > 0.9, "{}", outlook["reach"]);
    let stretch = server.url("/api/v1/contrast?from=now-30m&to=now&entity=service:default/cart");
    let said: Value = server.http.get(stretch).send().await.unwrap().json().await.unwrap();
    assert_eq!((said["compared"].as_u64(), said["left_out"].as_u64()), (Some(1), Some(0)), "{said}");
    let backwards = server.url("/api/v1/contrast?from=now&to=now-1h");
    assert_eq!(server.http.get(backwards).send().await.unwrap().status().as_u16(), 400);
    let bad = [
        ("", 400, "name a metric"),
        ("metric=nothing", 404, "no series"),
        ("series=99999", 404, "no series 99999"),
        ("metric=young", 400, "too few"),
        ("metric=queue&horizon=soon", 400, "use 90s"),
        ("metric=queue&horizon=9999d", 400, "too far"),
        ("metric=queue&confidence=2", 400, "confidence"),
        ("metric=queue&threshold=NaN", 400, "must be a number"),
        ("metric=queue&labels=x", 400, "name=value"),
    ];
    for (query, expected, reason) in bad {
        let (status, said) = get(query).await;
        assert_eq!(status, expected, "{query}: {said}");
        assert!(said["error"].as_str().unwrap_or_default().contains(reason), "{query}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gzip_bomb_is_refused_within_the_limit() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0_u8; 1 << 20];
    for _ in 0..200 {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let server = Server::start(|_| {}).await;
    let answer = server
        .http
        .post(server.url("/v1/logs"))
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", "gzip")
        .body(bomb)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn remote_write_keeps_the_good_series_and_names_the_bad_one() {
    let server = Server::start(|_| {}).await;
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let mut body = Vec::new();
    for labels in
        [vec![("__name__", "good_a")], vec![("__name__", "bad"), ("x", "1"), ("x", "2")], vec![("__name__", "good_b")]]
    {
        series(&mut body, &labels, 1.5, now_ms);
    }
    let packed = snap::raw::Encoder::new().compress_vec(&body).unwrap();
    let answer = server
        .http
        .post(server.url("/api/v1/write"))
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", "snappy")
        .body(packed)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(answer.headers()["x-prometheus-remote-write-samples-written"], "2");
    let reason = answer.text().await.unwrap();
    assert!(reason.contains("bad"), "{reason}");
    assert_eq!(server.count("samples").await, 2);
}

fn series(out: &mut Vec<u8>, labels: &[(&str, &str)], value: f64, time_ms: u64) {
    use prost::encoding::{bytes, double, string, uint64};
    let mut message = Vec::new();
    for (name, text) in labels {
        let mut label = Vec::new();
        string::encode(1, &(*name).to_owned(), &mut label);
        string::encode(2, &(*text).to_owned(), &mut label);
        bytes::encode(1, &label, &mut message);
    }
    let mut sample = Vec::new();
    double::encode(1, &value, &mut sample);
    uint64::encode(2, &time_ms, &mut sample);
    bytes::encode(2, &sample, &mut message);
    bytes::encode(1, &message, out);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_allow_what_their_scope_says_and_every_route_is_declared() {
    let server = Server::start(|config| config.require_auth = true).await;
    let admin = server.running.first_token.clone().expect("a first token is made");
    let document: Value = serde_json::from_str(
        &server.http.get(server.url("/api/v1/openapi.json")).send().await.unwrap().text().await.unwrap(),
    )
    .unwrap();
    let mut checked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let permission = operation["x-permission"].as_str().expect("every route declares a permission");
            let url = server.url(&path.replace('{', "x").replace('}', ""));
            let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let ask = || server.http.request(method.clone(), &url);
            let without = ask().send().await.unwrap().status();
            // These are signed instead, which is checked where they are read.
            if ["/api/v1/webhooks/github", "/api/v1/webhooks/gitlab"].contains(&path.as_str()) {
                assert_eq!((without, permission), (StatusCode::UNAUTHORIZED, "public"), "{path}");
                continue;
            }
            assert_eq!(without == StatusCode::UNAUTHORIZED, permission != "public", "{method} {path}: {without}");
            let with = ask().bearer_auth(&admin).send().await.unwrap().status();
            assert!(with != StatusCode::UNAUTHORIZED && with != StatusCode::FORBIDDEN, "{method} {path}: {with}");
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} routes");
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_hosts_and_pages_are_turned_away() {
    let server = Server::start(|_| {}).await;
    let foreign_host =
        server.http.get(server.url("/api/v1/status")).header("host", "evil.example").send().await.unwrap();
    assert_eq!(foreign_host.status(), StatusCode::FORBIDDEN);
    let foreign_page = server
        .http
        .post(server.url("/api/v1/changes"))
        .header("origin", "https://evil.example")
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(foreign_page.status(), StatusCode::FORBIDDEN);
    let own = server.http.get(server.url("/")).send().await.unwrap();
    let policy = own.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn listening_beyond_loopback_needs_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = ServerConfig::new(dir.path());
    config.listen = "0.0.0.0:0".parse().unwrap();
    let error = bellwether_api::start(config).await.err().expect("it refuses").to_string();
    assert!(error.contains("--insecure"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_sender_is_cut_off_and_others_are_served() {
    use std::io::Write;
    let server = Server::start(|_| {}).await;
    let slow: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(server.running.listen).unwrap();
            stream.write_all(b"POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{").unwrap();
            stream
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.post("/v1/logs", "application/json", logs(1)).await.0, StatusCode::OK);
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_the_one_in_the_repository() {
    let server = Server::start(|_| {}).await;
    let document: Value = serde_json::from_str(
        &server.http.get(server.url("/api/v1/openapi.json")).send().await.unwrap().text().await.unwrap(),
    )
    .unwrap();
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    let file = "openapi.json";
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(file, &text).unwrap();
    }
    let known = std::fs::read_to_string(file).unwrap_or_default();
    assert!(known == text, "openapi.json is out of date: run this test with UPDATE_EXPECT=1");
}
