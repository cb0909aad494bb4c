//! The actuator `docker`, against a server on a unix socket that answers as the Engine API does.

mod made;

use std::{path::Path, sync::Arc};

use act::actuator::{Actuator, End};
use made::{Behaviour, HOSTILE, actuator, egress, key, opened, says, serve, step};
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::UnixListener;

const WEB: &str = "8dfafdbc3a40dd1a8dfafdbc3a40dd1a8dfafdbc3a40dd1a8dfafdbc3a40dd1a";
const DB: &str = "9cd87474be90aaaa9cd87474be90aaaa9cd87474be90aaaa9cd87474be90aaaa";

/// An engine with three containers; `change` answers what is asked to change.
fn engine(folder: &Path, change: Behaviour) -> (Actuator, Arc<Mutex<Vec<String>>>) {
    let socket = folder.join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = requests.clone();
    let list = json!([
        {"Id": WEB, "Names": ["/shop-web"], "State": "running"},
        {"Id": DB, "Names": ["/shop-db", "/shop-web/db"], "State": "exited"},
        {"Id": "0123456789ab", "Names": ["/other"], "State": "running"},
        {"Id": "../../images", "Names": ["/shop-evil"], "State": "running"},
    ]);
    let answer = Behaviour::Ask(Arc::new(move |request: &str| {
        let line = request.lines().next().unwrap_or_default();
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["GET", "/containers/json?all=true", _] => says(200, &list.to_string()),
            ["GET", path, _] if path == format!("/containers/{WEB}/json") => says(200, r#"{"State":{"Running":true}}"#),
            ["POST", path, _] if path.starts_with(&format!("/containers/{WEB}/")) => change.clone(),
            _ => says(404, r#"{"message":"No such container"}"#),
        }
    }));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, answer.clone(), kept.clone()));
        }
    });
    (actuator(json!({"kind": "docker", "socket": socket, "containers": ["shop-*"], "stop_timeout_s": 0}), ""), requests)
}

#[tokio::test]
async fn the_inventory_is_what_is_listed_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let (it, _) = engine(folder.path(), says(204, ""));
    assert_eq!(it.targets(&egress()).await.unwrap(), ["shop-db", "shop-web"]);
    let actions: Vec<_> = it.registrations().into_iter().map(|r| (r.action, r.reversible, r.idempotent)).collect();
    assert_eq!(actions, [("restart".into(), false, false), ("start".into(), true, true), ("stop".into(), true, true)]);
}

#[tokio::test]
async fn the_container_that_was_listed_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (it, requests) = engine(folder.path(), says(204, ""));
    let preview = it.dry_run(&egress(), &step("restart", "shop-web", json!({}))).await.unwrap();
    assert_eq!(preview.does, ["restart the container shop-web (8dfafdbc3a40), which runs now"]);
    assert!(requests.lock().iter().all(|request| request.starts_with("GET ")));
    for (action, query) in [("restart", "?t=0"), ("stop", "?t=0"), ("start", "")] {
        let outcome = it.carry_out(&egress(), &step(action, "shop-web", json!({})), &key()).await;
        assert_eq!(outcome.end, End::Done, "{outcome:?}");
        let last = requests.lock().last().cloned().unwrap();
        assert!(
            last.starts_with(&format!("POST /containers/{WEB}/{action}{query} HTTP/1.1\r\nhost: localhost\r\n")),
            "{last}"
        );
    }
}

#[tokio::test]
async fn hostile_texts_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (it, requests) = engine(folder.path(), says(204, ""));
    for text in HOSTILE.iter().chain(&["other", "shop-evil", "shop-*", "shop-web/db", WEB]) {
        for wanted in [
            step("restart", text, json!({})),
            step(text, "shop-web", json!({})),
            step("stop", "shop-web", json!({*text: 1})),
        ] {
            assert_eq!(it.carry_out(&egress(), &wanted, &key()).await.end, End::Refused, "{wanted:?}");
        }
    }
    assert!(requests.lock().iter().all(|request| request.starts_with("GET /containers/json?all=true ")));
}

#[tokio::test]
async fn an_answer_says_how_it_ended() {
    for (behaviour, end) in [
        (says(304, ""), End::Done),
        (says(404, "{}"), End::Refused),
        (says(409, "{}"), End::Failed),
        (says(500, "{}"), End::Unknown),
        (Behaviour::Say("nonsense\r\n\r\n".into()), End::Unknown),
        (Behaviour::Say("HTTP/1.1 204".into()), End::Unknown),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (it, _) = engine(folder.path(), behaviour);
        let outcome = it.carry_out(&egress(), &step("stop", "shop-web", json!({})), &key()).await;
        assert_eq!(outcome.end, end, "{outcome:?}");
    }
    let nobody = actuator(json!({"kind": "docker", "socket": "/nonexistent.sock", "containers": ["a"]}), "");
    assert_eq!(nobody.carry_out(&egress(), &step("stop", "a", json!({})), &key()).await.end, End::Failed);
    assert_eq!(nobody.targets(&egress()).await.unwrap_err().end, End::Failed);
}

#[test]
fn settings_that_cannot_be_meant_are_named() {
    for (said, says) in [
        (json!({"kind": "docker"}), "missing field `containers`"),
        (json!({"kind": "docker", "containers": []}), "actuators.it.containers: name at least one"),
        (json!({"kind": "docker", "containers": ["a"], "socket": "docker.sock"}), "actuators.it.socket"),
        (json!({"kind": "docker", "containers": ["a"], "stop_timeout_s": 301}), "actuators.it.stop_timeout_s"),
        (json!({"kind": "docker", "containers": ["a"], "image": "x"}), "unknown field `image`"),
    ] {
        let error = opened(said, "").unwrap_err();
        assert!(error.contains(says), "{error}, expected {says}");
    }
}
