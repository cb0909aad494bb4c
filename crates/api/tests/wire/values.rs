//! Odd times, odd numbers and odd text: what is stored is what was sent, or the answer says why not.

use super::{send, *};

async fn rows(server: &Server, query: &str) -> Vec<Vec<Value>> {
    let body = json!({ "query": query }).to_string();
    let (status, text) = server.post("/api/v1/sql", "application/json", body).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_value(serde_json::from_str::<Value>(&text).unwrap()["rows"].take()).unwrap()
}

async fn write(server: &Server, metric: &str, points: &[(f64, u64)]) -> StatusCode {
    let mut body = Vec::new();
    for (value, time) in points {
        crate::series(&mut body, &[("__name__", metric), ("job", "wire")], *value, *time);
    }
    let packed = snap::raw::Encoder::new().compress_vec(&body).unwrap();
    send(server, server.running.listen, "/api/v1/write", "snappy", packed).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn i9_late_again_and_contrary_samples() {
    let server = Server::start(|_| {}).await;
    let ms = now() / 1_000_000;
    for (value, time) in [(1.0, ms), (2.0, ms - 60_000), (3.0, ms - 7_200_000), (4.0, ms - 86_400_000)] {
        assert_eq!(write(&server, "late", &[(value, time)]).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(write(&server, "late", &[(1.0, ms)]).await, StatusCode::NO_CONTENT, "the same again");
    assert_eq!(write(&server, "late", &[(9.0, ms), (5.0, ms + 1)]).await, StatusCode::NO_CONTENT, "contrary");
    let found = rows(&server, "SELECT value FROM samples WHERE metric = 'late' ORDER BY time").await;
    let values: Vec<f64> = found.iter().map(|row| row[0].as_f64().unwrap()).collect();
    assert_eq!(values, [4.0, 3.0, 2.0, 9.0, 5.0], "the last word for a time counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn i10_odd_numbers_are_kept_and_stale_marks_are_no_values() {
    let server = Server::start(|_| {}).await;
    let ms = now() / 1_000_000 - 10_000;
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, stale, -0.0, 5e-324, 1.0, 0.0];
    let points: Vec<(f64, u64)> = odd.iter().zip(ms..).map(|(value, time)| (*value, time)).collect();
    assert_eq!(write(&server, "odd", &points).await, StatusCode::NO_CONTENT);
    let count = |only: &'static str| {
        let server = &server;
        async move { server.count(&format!("samples WHERE metric = 'odd' AND {only}")).await }
    };
    assert_eq!(count("value = 'Infinity'::double").await, 1);
    assert_eq!(count("value = '-Infinity'::double").await, 1);
    assert_eq!(count("value = 5e-324").await, 1);
    assert_eq!(count("value = 1").await, 1);
    // Text that is no number in JSON, never a broken answer.
    let all = rows(&server, "SELECT value FROM samples WHERE metric = 'odd' ORDER BY time").await;
    assert!((7..=8).contains(&all.len()), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn i7_hostile_text_comes_back_as_it_was_sent() {
    let server = Server::start(|_| {}).await;
    let hostile = "<script>alert(1)</script> \u{1b}[31mred \u{202e}rtl \u{0}nul 'quote\" ; DROP TABLE records";
    let body = log_lines(now(), &[hostile]).encode_to_vec();
    assert_eq!(send(&server, server.running.listen, "/v1/logs", "", body).await.0, StatusCode::OK);
    assert_eq!(rows(&server, "SELECT body FROM records").await, [[json!(hostile)]]);

    // A body that is not UTF-8 is refused or kept, but what comes later is not harmed.
    let mut broken = log_lines(now(), &["AAAA"]).encode_to_vec();
    let at = broken.windows(4).position(|w| w == b"AAAA").unwrap();
    broken[at..at + 4].copy_from_slice(&[0xff, 0xfe, 0xc0, 0x80]);
    let (status, ..) = send(&server, server.running.listen, "/v1/logs", "", broken).await;
    assert!(matches!(status.as_u16(), 200 | 400), "{status}");
    let body = log_lines(now(), &["fine"]).encode_to_vec();
    assert_eq!(send(&server, server.running.listen, "/v1/logs", "", body).await.0, StatusCode::OK);
    assert_eq!(rows(&server, "SELECT count(*) FROM records WHERE body = 'fine'").await, [[json!(1)]]);
}
