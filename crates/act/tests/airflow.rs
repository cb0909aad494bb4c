//! The actuator `airflow`, against answers as a real Airflow 3.3.2 gives them (`xtask/senders/airflow_actuator.py` asks a
//! real one), and against such as go wrong.

mod made;

use std::sync::Arc;

use act::actuator::{End, Outcome, State};
use made::{Behaviour, Server, actuator, egress, key, opened, says, step};
use serde_json::{Value, json};

const TOKEN: &str = r#"{"access_token":"jwt-1"}"#;
const DAG: &str = r#"{"dag_id":"retrain","dag_display_name":"retrain","is_paused":false,"is_stale":false}"#;
const PAUSED: &str = r#"{"dag_id":"retrain","dag_display_name":"retrain","is_paused":true,"is_stale":false}"#;
const RUN: &str = r#"{"dag_run_id":"bellwether__plan-7-step-1","dag_id":"retrain","logical_date":null,"state":"queued",
    "run_type":"manual","triggered_by":"rest_api","conf":{"rows":5},"note":"triggered by Bellwether"}"#;

/// What Airflow says to each kind of question.
#[derive(Clone)]
struct Says {
    token: Behaviour,
    dag: Behaviour,
    unpause: Behaviour,
    create: Behaviour,
    run: Behaviour,
}

fn usual() -> Says {
    Says {
        token: says(201, TOKEN),
        dag: says(200, DAG),
        unpause: says(200, DAG),
        create: says(200, RUN),
        run: says(200, RUN),
    }
}

async fn airflow(said: Says) -> Server {
    Server::start(Behaviour::Ask(Arc::new(move |request: &str| {
        let line = request.lines().next().unwrap_or_default();
        match line {
            "POST /auth/token HTTP/1.1" => said.token.clone(),
            "GET /api/v2/dags/retrain HTTP/1.1" => said.dag.clone(),
            "PATCH /api/v2/dags/retrain?update_mask=is_paused HTTP/1.1" => said.unpause.clone(),
            "POST /api/v2/dags/retrain/dagRuns HTTP/1.1" => said.create.clone(),
            "GET /api/v2/dags/retrain/dagRuns/bellwether__plan-7-step-1 HTTP/1.1" => said.run.clone(),
            other => says(418, other),
        }
    })))
    .await
}

fn settings(server: &Server, more: Value) -> Value {
    let mut said = json!({
        "kind": "airflow", "url": server.url(""), "dags": ["retrain"], "username": "bellwether", "secret_env": "KEY",
        "conf": {"rows": "{rows}", "why": "drift"}, "parameters": {"rows": {"type": "integer", "min": 1, "max": 9}},
        "timeout_s": 1,
    });
    for (name, value) in more.as_object().unwrap() {
        said[name] = value.clone();
    }
    said
}

async fn triggered(said: Says, more: Value) -> (Outcome, Vec<String>) {
    let server = airflow(said).await;
    let it = actuator(settings(&server, more), "s3cret");
    let outcome = it.carry_out(&egress(), &step("trigger", "retrain", json!({"rows": 5})), &key()).await;
    let requests = server.requests.lock().clone();
    (outcome, requests)
}

fn first_lines(requests: &[String]) -> Vec<String> {
    requests.iter().map(|r| r.lines().next().unwrap_or_default().replace(" HTTP/1.1", "")).collect()
}

#[tokio::test]
async fn a_run_is_triggered_under_the_name_of_its_intent() {
    let (outcome, requests) = triggered(usual(), json!({})).await;
    assert_eq!(outcome.end, End::Done, "{outcome:?}");
    assert_eq!(outcome.handle.as_deref(), Some("retrain/bellwether__plan-7-step-1"));
    assert_eq!(
        first_lines(&requests),
        ["POST /auth/token", "GET /api/v2/dags/retrain", "POST /api/v2/dags/retrain/dagRuns"]
    );
    assert!(requests[0].ends_with(r#"{"password":"s3cret","username":"bellwether"}"#));
    assert!(requests[2].contains("\r\nauthorization: Bearer jwt-1\r\n"));
    let body: Value = serde_json::from_str(requests[2].split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(
        body,
        json!({
            "dag_run_id": "bellwether__plan-7-step-1", "logical_date": null, "conf": {"rows": 5, "why": "drift"},
            "note": "triggered by Bellwether",
        })
    );
}

#[tokio::test]
async fn a_repetition_is_the_same_run() {
    let (outcome, _) = triggered(Says { create: says(409, r#"{"detail":"…"}"#), ..usual() }, json!({})).await;
    assert_eq!((outcome.end, outcome.text.as_str()), (End::Done, "the run was triggered before"));
    assert!(outcome.handle.is_some());
    let other = Says { create: says(409, "{}"), run: says(404, "{}"), ..usual() };
    assert_eq!(triggered(other, json!({})).await.0.end, End::Unknown);
}

#[tokio::test]
async fn a_lost_answer_is_looked_for() {
    let lost = Says { create: Behaviour::SayAndHang(String::new()), ..usual() };
    let (outcome, requests) = triggered(lost.clone(), json!({})).await;
    assert_eq!((outcome.end, requests.len()), (End::Done, 4), "{outcome:?}");
    let gone = Says { run: says(404, "{}"), ..lost.clone() };
    assert_eq!(triggered(gone, json!({})).await.0.end, End::Unknown);
    let broken = Says { run: says(500, "{}"), ..lost };
    assert_eq!(triggered(broken, json!({})).await.0.end, End::Unknown);
    let trouble = Says { create: says(500, "{}"), run: says(404, "{}"), ..usual() };
    assert_eq!(triggered(trouble, json!({})).await.0.end, End::Unknown);
    let garbage = Says { create: says(200, "<html>"), run: says(404, "{}"), ..usual() };
    assert_eq!(triggered(garbage, json!({})).await.0.end, End::Unknown);
}

#[tokio::test]
async fn what_goes_wrong_before_the_run_did_nothing() {
    for (end, said) in [
        (End::Refused, Says { token: says(401, r#"{"detail":"Invalid credentials"}"#), ..usual() }),
        (End::Refused, Says { token: says(403, "{}"), ..usual() }),
        (End::Refused, Says { token: says(422, "{}"), ..usual() }),
        (End::Failed, Says { token: says(500, "{}"), ..usual() }),
        (End::Failed, Says { token: says(201, "garbage"), ..usual() }),
        (End::Failed, Says { token: says(201, r#"{"access_token":7}"#), ..usual() }),
        (End::Failed, Says { token: Behaviour::SayAndHang("HTTP/1.1 201".into()), ..usual() }),
        (End::Refused, Says { token: says(302, "{}"), ..usual() }),
        (End::Refused, Says { dag: says(404, r#"{"detail":"The Dag with ID: `retrain` was not found"}"#), ..usual() }),
        (End::Refused, Says { dag: says(403, r#"{"detail":"Forbidden"}"#), ..usual() }),
        (End::Failed, Says { dag: says(200, r#"{"is_paused":"no"}"#), ..usual() }),
        (End::Failed, Says { dag: Behaviour::SayWithoutEnd("HTTP/1.1 200 OK\r\n\r\n{".into()), ..usual() }),
        (End::Refused, Says { create: says(401, "{}"), ..usual() }),
        (End::Refused, Says { create: says(403, "{}"), ..usual() }),
        (End::Refused, Says { create: says(404, "{}"), ..usual() }),
        (End::Refused, Says { create: says(422, "{}"), ..usual() }),
        (End::Failed, Says { create: says(429, "{}"), ..usual() }),
    ] {
        let (outcome, _) = triggered(said, json!({})).await;
        assert_eq!(outcome.end, end, "{outcome:?}");
        assert!(!format!("{outcome:?}").contains("Invalid credentials"), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_paused_dag_is_unpaused_only_where_it_may_be() {
    let paused = Says { dag: says(200, PAUSED), ..usual() };
    let (outcome, requests) = triggered(paused.clone(), json!({})).await;
    assert_eq!((outcome.end, requests.len()), (End::Refused, 2), "{outcome:?}");
    let (outcome, requests) = triggered(paused.clone(), json!({"unpause": true})).await;
    assert_eq!((outcome.end, requests.len()), (End::Done, 4), "{outcome:?}");
    assert!(requests[2].starts_with("PATCH ") && requests[2].ends_with(r#"{"is_paused":false}"#));
    // Something has happened, though no run began.
    let (outcome, _) = triggered(Says { create: says(422, "{}"), ..paused }, json!({"unpause": true})).await;
    assert_eq!((outcome.end, outcome.text.contains("unpaused now")), (End::Unknown, true), "{outcome:?}");
}

#[tokio::test]
async fn a_token_may_be_given() {
    let (outcome, requests) = triggered(usual(), json!({"username": null})).await;
    assert_eq!((outcome.end, requests.len()), (End::Done, 2), "{outcome:?}");
    assert!(requests[0].contains("\r\nauthorization: Bearer s3cret\r\n"));
}

#[tokio::test]
async fn a_preview_asks_and_changes_nothing() {
    let server = airflow(Says { dag: says(200, PAUSED), ..usual() }).await;
    let it = actuator(settings(&server, json!({"unpause": true})), "s3cret");
    let preview = it.dry_run(&egress(), &step("trigger", "retrain", json!({"rows": 5}))).await.unwrap();
    assert_eq!(preview.does[0], "unpause the DAG retrain");
    assert_eq!(
        preview.does[1],
        r#"trigger a run bellwether__KEY of the DAG retrain with conf {"rows":5,"why":"drift"}"#
    );
    assert_eq!(first_lines(&server.requests.lock()), ["POST /auth/token", "GET /api/v2/dags/retrain"]);
}

#[tokio::test]
async fn the_state_of_a_run_is_one_of_three() {
    let handle = "retrain/bellwether__plan-7-step-1";
    for (word, expected) in [
        ("queued", State::Running),
        ("running", State::Running),
        ("success", State::Success),
        ("failed", State::Failed),
    ] {
        let server = airflow(Says { run: says(200, &RUN.replace("queued", word)), ..usual() }).await;
        let it = actuator(settings(&server, json!({})), "s3cret");
        assert_eq!(it.state(&egress(), handle).await.unwrap(), expected);
    }
    let server = airflow(Says { run: says(200, r#"{"state":"<script>"}"#), ..usual() }).await;
    let it = actuator(settings(&server, json!({})), "s3cret");
    assert_eq!(it.state(&egress(), handle).await.unwrap_err().end, End::Failed);
    for bad in [
        "",
        "retrain",
        "retrain/",
        "other/bellwether__plan-7-step-1",
        "retrain/manual__1",
        "retrain/bellwether__a/../b",
    ] {
        assert_eq!(it.state(&egress(), bad).await.unwrap_err().end, End::Refused, "{bad}");
    }
    assert_eq!(server.requests.lock().len(), 2);
}

#[test]
fn settings_that_cannot_be_meant_are_named() {
    let base = json!({"kind": "airflow", "url": "https://airflow.example", "dags": ["a"], "secret_env": "KEY"});
    let with = |name: &str, value: Value| {
        let mut said = base.clone();
        said[name] = value;
        opened(said, "s3cret").err().unwrap_or_default()
    };
    assert_eq!(with("unpause", json!(true)), "");
    assert!(with("url", json!("airflow.example")).starts_with("actuators.it.url: "));
    assert!(with("url", json!("https://airflow.example/?a=b")).starts_with("actuators.it.url: "));
    assert!(with("dags", json!([])).starts_with("actuators.it.dags: "));
    for bad in ["a/b", "..", "a b", "a?b"] {
        assert!(with("dags", json!([bad])).starts_with("actuators.it.dags: "), "{bad}");
    }
    assert!(with("conf", json!([1])).starts_with("actuators.it.conf: "));
    assert!(with("conf", json!({"a": "{b}"})).starts_with("actuators.it.conf: {b} is no parameter"));
    assert!(with("secret_env", Value::Null).starts_with("actuators.it.secret_env: "));
    assert!(with("timeout_s", json!(0)).starts_with("actuators.it.timeout_s: "));
    assert!(with("password", json!("x")).contains("unknown field `password`"));
}
