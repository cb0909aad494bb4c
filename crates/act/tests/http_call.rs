//! The actuator `http`, against a local server that behaves as told.

mod made;

use act::actuator::End;
use made::{Behaviour, HOSTILE, Server, actuator, egress, key, opened, says, step};
use serde_json::{Value, json};

fn settings(url: &str, more: Value) -> Value {
    let mut said = json!({"kind": "http", "targets": ["web", "a/../b"], "url": url});
    for (name, value) in more.as_object().unwrap() {
        said[name] = value.clone();
    }
    said
}

#[tokio::test]
async fn the_request_is_as_the_settings_say() {
    let server = Server::start(says(202, "{}")).await;
    let said = settings(
        &server.url("/v1/{target}/scale?force=1"),
        json!({
            "method": "PUT", "secret_env": "KEY", "headers": {"X-Team": "shop"},
            "body": {"count": "{count}", "reason": "by Bellwether", "id": "{key}", "nested": ["{target}"]},
            "parameters": {"count": {"type": "integer", "min": 1, "max": 9}},
        }),
    );
    let it = actuator(said, "s3cret");
    let wanted = step("call", "a/../b", json!({"count": 3}));
    let preview = it.dry_run(&egress(), &wanted).await.unwrap();
    assert_eq!(
        preview.does,
        [
            format!("PUT {}", server.url("/v1/a%2F..%2Fb/scale?force=1")),
            "with the headers x-team, authorization, idempotency-key".into(),
            r#"with the body {"count":3,"id":"KEY","nested":["a/../b"],"reason":"by Bellwether"}"#.into(),
        ]
    );
    assert!(!format!("{it:?}{preview:?}").contains("s3cret"));
    assert_eq!(*server.connections.lock(), 0);
    let outcome = it.carry_out(&egress(), &wanted, &key()).await;
    assert_eq!((outcome.end, outcome.output.len()), (End::Done, 0), "{outcome:?}");
    let request = server.requests.lock()[0].clone();
    assert!(request.starts_with("PUT /v1/a%2F..%2Fb/scale?force=1 HTTP/1.1\r\n"), "{request}");
    for header in [
        "authorization: Bearer s3cret",
        "idempotency-key: plan-7-step-1",
        "x-team: shop",
        "content-type: application/json",
    ] {
        assert!(request.contains(&format!("\r\n{header}\r\n")), "{header}: {request}");
    }
    assert!(
        request.ends_with(r#"{"count":3,"id":"plan-7-step-1","nested":["a/../b"],"reason":"by Bellwether"}"#),
        "{request}"
    );
}

#[tokio::test]
async fn hostile_texts_reach_nothing() {
    let server = Server::start(says(200, "{}")).await;
    let parameters =
        json!({"mode": {"type": "choice", "one_of": ["soft"]}, "count": {"type": "number", "min": 0.0, "max": 1.0}});
    let said = settings(&server.url("/{target}/{mode}"), json!({"body": {"n": "{count}"}, "parameters": parameters}));
    let it = actuator(said, "");
    for text in HOSTILE {
        for wanted in [
            step("call", text, json!({"mode": "soft", "count": 1})),
            step("call", "web", json!({"mode": text, "count": 1})),
            step("call", "web", json!({"mode": "soft", "count": text})),
            step("call", "web", json!({"mode": "soft", "count": 1, *text: 1})),
            step(text, "web", json!({"mode": "soft", "count": 1})),
        ] {
            assert_eq!(it.carry_out(&egress(), &wanted, &key()).await.end, End::Refused, "{wanted:?}");
        }
    }
    assert_eq!(*server.connections.lock(), 0);
}

#[tokio::test]
async fn a_status_says_how_it_ended() {
    for (status, end) in [
        (200, End::Done),
        (204, End::Done),
        (409, End::Done),
        (203, End::Unknown),
        (302, End::Refused),
        (400, End::Refused),
        (401, End::Refused),
        (403, End::Refused),
        (404, End::Refused),
        (408, End::Unknown),
        (412, End::Failed),
        (422, End::Refused),
        (429, End::Failed),
        (500, End::Unknown),
        (503, End::Unknown),
    ] {
        let server = Server::start(says(status, "secret words of the other side")).await;
        let it = actuator(settings(&server.url("/"), json!({"done": [200, 204, 409]})), "");
        let outcome = it.carry_out(&egress(), &step("call", "web", json!({})), &key()).await;
        assert_eq!(outcome.end, end, "{status}: {outcome:?}");
        assert!(!format!("{outcome:?}").contains("words of the other"), "{outcome:?}");
        assert_eq!(server.requests.lock().len(), 1, "nothing is repeated");
    }
}

#[tokio::test]
async fn what_was_sent_and_not_answered_is_unknown() {
    for (behaviour, end) in [
        (Behaviour::SayAndHang(String::new()), End::Unknown),
        (Behaviour::Say("HTTP/1.1 2".into()), End::Unknown),
        (Behaviour::Say("SSH-2.0-OpenSSH\r\n".into()), End::Unknown),
        (Behaviour::SayAndHang("HTTP/1.1 200 OK\r\ncontent-le".into()), End::Unknown),
    ] {
        let server = Server::start(behaviour).await;
        let it = actuator(settings(&server.url("/"), json!({"timeout_s": 1})), "");
        let outcome = it.carry_out(&egress(), &step("call", "web", json!({})), &key()).await;
        assert_eq!(outcome.end, end, "{outcome:?}");
    }
    let it = actuator(settings("http://127.0.0.1:1/", json!({})), "");
    let outcome = it.carry_out(&egress(), &step("call", "web", json!({})), &key()).await;
    assert_eq!(outcome.end, End::Failed, "{outcome:?}");
}

#[tokio::test]
async fn the_rules_of_what_may_be_reached_hold() {
    let server = Server::start(says(200, "{}")).await;
    let closed = act::Egress::new(&Default::default(), &[]).unwrap();
    for url in [server.url("/"), "http://169.254.169.254/latest/meta-data".into(), "http://[::1]:1/".into()] {
        let it = actuator(settings(&url, json!({})), "");
        let outcome = it.carry_out(&closed, &step("call", "web", json!({})), &key()).await;
        assert_eq!((outcome.end, outcome.text.contains("egress.allow")), (End::Refused, true), "{outcome:?}");
    }
    assert_eq!(*server.connections.lock(), 0);
}

#[test]
fn settings_that_cannot_be_meant_are_named() {
    for (url, more, says) in [
        ("https://{target}/", json!({}), "actuators.it.url: a {name} may stand in the path alone"),
        ("https://x.example/?q={target}", json!({}), "in the path alone"),
        ("file:///etc/passwd", json!({}), "actuators.it.url"),
        ("https://x.example/", json!({"method": "get"}), "actuators.it.method"),
        ("https://x.example/", json!({"headers": {"Host": "a"}}), "Host is set by the client itself"),
        ("https://x.example/", json!({"headers": {"a b": "a"}}), "no name of a header"),
        ("https://x.example/", json!({"headers": {"a": "b\r\nc"}}), "cannot stand in a header"),
        (
            "https://x.example/",
            json!({"headers": {"Authorization": "b"}, "secret_env": "KEY"}),
            "authorization is set twice",
        ),
        ("https://x.example/", json!({"done": [500]}), "actuators.it.done"),
        ("https://x.example/", json!({"body": {"a": "{b}"}}), "{b} is no parameter"),
        ("https://x.example/", json!({"body": {"{target}": 1}}), "not for a field"),
        ("https://x.example/", json!({"timeout_s": 301}), "actuators.it.timeout_s"),
        ("https://x.example/", json!({"key_header": "content-length"}), "actuators.it.key_header"),
        ("https://x.example/", json!({"secret_env": "GONE"}), "actuators.it.secret_env"),
        ("https://x.example/", json!({"secret": "x"}), "unknown field `secret`"),
    ] {
        let error = opened(settings(url, more), "s3cret").unwrap_err();
        assert!(error.contains(says), "{error}, expected {says}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}
