//! Alerts in, silences, routes, and what people say of incidents, over real sockets.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Server, requests};

const JSON: &str = "application/json";

fn firing(name: &str, service: &str) -> Value {
    json!({"labels": {"alertname": name, "service": service, "severity": "critical"},
        "annotations": {"summary": format!("{name} at {service}")}})
}

impl Server {
    /// Edges of the service map, so that alerts of one rule are not taken for one thing.
    async fn knows_that(&self, pairs: &[(&str, &str)]) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let resource = |name: &str, spans: Value| {
            json!({"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": name}}]},
                "scopeSpans": [{"spans": spans}]})
        };
        let span = |trace: usize, id: usize, parent: Option<usize>, kind: u8| {
            let mut span = json!({"traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"), "name": "call",
                "kind": kind, "startTimeUnixNano": now.to_string(), "endTimeUnixNano": (now + 1000).to_string()});
            if let Some(parent) = parent {
                span["parentSpanId"] = format!("{parent:016x}").into();
            }
            span
        };
        let mut spans = Vec::new();
        for (i, (source, target)) in pairs.iter().enumerate() {
            spans.push(resource(source, json!([span(i + 1, 2 * i + 1, None, 3)])));
            spans.push(resource(target, json!([span(i + 1, 2 * i + 2, Some(2 * i + 1), 2)])));
        }
        let (status, text) = self.post("/v1/traces", JSON, json!({"resourceSpans": spans}).to_string()).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        self.until("/api/v1/topology", |map| map["edges"].as_array().is_some_and(|e| e.len() >= pairs.len())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_become_one_incident_each_and_are_all_accounted_for() {
    let server = Server::start(|_| {}).await;
    server.knows_that(&[("web", "pay"), ("shop", "cart")]).await;
    let webhook = json!({"version": "4", "status": "firing", "alerts": [
        {"status": "firing", "labels": {"alertname": "Slow", "service": "pay"}, "startsAt": "2020-01-01T00:00:00Z"},
        {"status": "resolved", "labels": {"alertname": "Old", "service": "pay"}, "startsAt": "2020-01-01T00:00:00Z",
         "endsAt": "2020-01-02T00:00:00Z"}]});
    assert_eq!(server.say("/api/v1/webhooks/alertmanager", webhook.clone()).await.0, StatusCode::OK);
    assert_eq!(server.say("/api/v1/webhooks/alertmanager", webhook).await.0, StatusCode::OK, "replayed");
    let both = json!([firing("Errors", "pay"), firing("Errors", "cart"), {"labels": {}}]);
    let (status, said) = server.say("/api/v2/alerts", both).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(said.as_str().is_some_and(|s| s.contains("alerts[2]: it has no labels")), "{said}");

    let incidents = server.until("/api/v1/incidents", |i| i.as_array().is_some_and(|i| i.len() == 2)).await;
    let about = |name: &str| {
        let all = incidents.as_array().unwrap();
        all.iter().find(|i| i["entities"][0] == format!("service:default/{name}")).unwrap().clone()
    };
    assert_eq!(about("pay")["findings"].as_array().unwrap().len(), 2, "two rules, one incident");
    assert!(about("cart")["title"].as_str().unwrap().contains("Errors"));
    let alerts = server.get("/api/v1/alerts").await;
    assert_eq!(alerts["total"], 4, "{alerts}");
    let counts = &alerts["counts"];
    let count = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(
        (count("received"), count("fired"), count("repeated"), count("resolved_unknown")),
        (6, 3, 1, 2),
        "{counts}"
    );
    for (tenant, total) in [("default", 4), ("other", 0)] {
        let of = server.get(&format!("/api/v1/alerts?tenant={tenant}")).await;
        assert_eq!(of["total"], total, "{of}");
        assert_eq!(of["counts"]["received"], if total == 0 { 0 } else { 6 }, "{of}");
    }
    let rows = alerts["alerts"].as_array().unwrap();
    let errors = rows.iter().find(|row| row["name"] == "Errors" && row["entity"] == "service:default/cart").unwrap();
    assert_eq!(errors["incident"], about("cart")["id"]);
    let firing_only = server.get("/api/v1/alerts?state=firing&entity=pay").await;
    assert_eq!(firing_only["total"], 2);
    let wrong = server.http.get(server.url("/api/v1/alerts?state=loud")).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    server.running.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_map_is_shown_as_it_was() {
    let server = Server::start(|_| {}).await;
    server.knows_that(&[("web", "pay")]).await;
    let now = server.get("/api/v1/topology").await;
    assert!(now["nodes"][0]["service"].is_object() && now["warnings"].is_null(), "{now}");
    for (query, edges) in [("at=now", 1), ("from=now-1h", 1), ("at=now-1h", 0), ("from=now-2h&to=now-1h", 0)] {
        let map = server.get(&format!("/api/v1/topology?{query}")).await;
        assert_eq!(map["edges"].as_array().map(Vec::len), Some(edges), "{query}: {map}");
        assert_eq!(map["nodes"].as_array().map(Vec::len), Some(2 * edges), "{query}: {map}");
        assert!(map["nodes"][0]["service"].is_null() && map["warnings"] == json!([]), "{query}: {map}");
    }
    let old = server.get("/api/v1/topology?at=now-40d").await;
    assert!(old["warnings"][0].as_str().is_some_and(|w| w.contains("are forgotten")), "{old}");
    for (query, reason) in [
        ("at=yesterday", "not a time"),
        ("at=now%2B1h", "lies in the future"),
        ("from=now-1h&to=now%2B1h", "lies in the future"),
        ("at=now&from=now-1h", "not both"),
        ("from=now&to=now-1h", "from must lie before to"),
    ] {
        let answer = server.http.get(server.url(&format!("/api/v1/topology?{query}"))).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{query}");
        let said: Value = answer.json().await.unwrap();
        assert!(said["error"].as_str().unwrap().contains(reason), "{query}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_met_a_failed_request_is_counted_and_never_named() {
    let server = Server::start(|_| {}).await;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut alert = firing("Errors", "pay");
    alert["startsAt"] = types::Time(since.as_nanos() as i64 - 60 * types::SECOND).rfc3339().into();
    server.say("/api/v2/alerts", json!([alert])).await;
    let list = server.until("/api/v1/incidents", |i| i.as_array().is_some_and(|i| !i.is_empty())).await;
    let path = format!("/api/v1/incidents/{}", list[0]["id"].as_str().unwrap());
    let (ada, bob, eve) = (&[("user.id", "ada")][..], &[("user.id", "bob")][..], &[("user.id", "eve")][..]);
    let all = [(true, ada), (true, bob), (true, ada), (false, eve), (true, &[][..])];
    let (status, text) = server.post("/v1/traces", JSON, requests("pay", &all)).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let incident = server.get(&path).await;
    let expected = json!({"count": 2, "at_least": true, "attribute": "user.id"});
    assert_eq!(incident["impact"]["users"], expected, "{incident}");
    assert!(incident["summary"].as_str().unwrap().ends_with(". At least 2 users met a failed request."), "{incident}");
    let answer = server.http.get(server.url(&format!("{path}/postmortem"))).send().await.unwrap();
    let draft = answer.text().await.unwrap();
    let line =
        "- At least 2 users met a failed request (told apart by `user.id` in their spans).\n- [What users saw.]\n";
    assert!(draft.contains(line), "{draft}");
    assert!(!draft.contains("ada") && !incident.to_string().contains("ada"), "{draft}");
    assert!(server.get("/api/v1/incidents").await[0]["impact"]["users"].is_null(), "a list counts nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_join_split_and_write_notes() {
    let server = Server::start(|_| {}).await;
    server.knows_that(&[("web", "pay"), ("shop", "cart")]).await;
    server.say("/api/v2/alerts", json!([firing("A", "pay"), firing("B", "cart")])).await;
    let list = server.until("/api/v1/incidents", |i| i.as_array().is_some_and(|i| i.len() == 2)).await;
    let id = |name: &str| {
        let all = list.as_array().unwrap();
        let found = all.iter().find(|i| i["entities"][0] == format!("service:default/{name}")).unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    let (pay, cart) = (id("pay"), id("cart"));
    let refused = [
        (format!("/api/v1/incidents/{pay}/join"), json!({"into": pay}), "itself"),
        (format!("/api/v1/incidents/{pay}/join"), json!({"into": "inc-99"}), "inc-99"),
        (format!("/api/v1/incidents/{pay}/split"), json!({"entities": ["service:default/cart"]}), "not affected"),
        (format!("/api/v1/incidents/{pay}/split"), json!({"entities": ["service:default/pay"]}), "not all"),
        (format!("/api/v1/incidents/{pay}/notes"), json!({"text": " "}), "1 to 4000"),
    ];
    for (path, body, reason) in refused {
        let (status, said) = server.say(&path, body).await;
        assert!(status.is_client_error() && said["error"].as_str().unwrap().contains(reason), "{path}: {said}");
    }
    assert_eq!(
        server.say(&format!("/api/v1/incidents/{pay}/notes"), json!({"text": "looking"})).await.0,
        StatusCode::ACCEPTED
    );
    assert_eq!(
        server.say(&format!("/api/v1/incidents/{cart}/join"), json!({"into": pay})).await.0,
        StatusCode::ACCEPTED
    );
    let path = format!("/api/v1/incidents/{pay}");
    let joined = server.until(&path, |i| i["entities"].as_array().is_some_and(|e| e.len() == 2)).await;
    let lines: Vec<&str> = joined["timeline"].as_array().unwrap().iter().filter_map(|l| l["text"].as_str()).collect();
    assert!(
        lines.iter().any(|l| l.contains("looking")) && lines.iter().any(|l| l.contains("joined with")),
        "{lines:?}"
    );
    assert_eq!(server.get(&format!("/api/v1/incidents/{cart}")).await["state"], "resolved");

    let split = json!({"entities": ["service:default/cart"]});
    assert_eq!(server.say(&format!("{path}/split"), split).await.0, StatusCode::ACCEPTED);
    let open = server.until("/api/v1/incidents?state=open", |i| i.as_array().is_some_and(|i| i.len() == 2)).await;
    assert_eq!(open[0]["entities"], json!(["service:default/cart"]), "{open}");
    server.running.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_on_an_incident_that_is_long_over_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let at = |minute: u32| format!("2026-01-02T03:{minute:02}:00Z");
    let line = |minute: u32, text: &str| json!({"at": at(minute), "kind": "state", "entity": null, "text": text, "finding": null});
    let old: types::Incident = serde_json::from_value(json!({
        "id": "inc-1", "tenant": "default", "state": "resolved", "severity": "major", "title": "pay: errors", "summary": "Over.",
        "started_at": at(0), "opened_at": at(1), "resolved_at": at(9), "actor": null, "entities": ["service:default/pay"],
        "causes": [], "undecided": true, "missing": [], "findings": [],
        "impact": {"dependents": [], "failed_requests": 0, "slow_requests": 0, "requests": 0},
        "timeline": [line(1, "opened"), line(9, "resolved by itself")],
    }))
    .unwrap();
    let store = store::Store::open(store::StoreConfig::new(dir.path())).await.unwrap();
    store.commit(store::Commit { incidents: vec![old], ..store::Commit::default() }).await.unwrap();
    store.close().await;
    drop(store);

    let server = Server::on(dir, |_| {}).await;
    for text in ["it was the disk", "*ticket* 7"] {
        let said = server.say("/api/v1/incidents/inc-1/notes", json!({ "text": text })).await;
        assert_eq!(said.0, StatusCode::ACCEPTED, "{}", said.1);
        let shown = |incident: &Value| {
            let last = incident["timeline"].as_array().and_then(|lines| lines.last().cloned()).unwrap_or_default();
            last["kind"] == "note" && last["text"] == format!("local: {text}")
        };
        server.until("/api/v1/incidents/inc-1", shown).await;
    }
    let incident = server.get("/api/v1/incidents/inc-1").await;
    let lines: Vec<&str> = incident["timeline"].as_array().unwrap().iter().filter_map(|l| l["text"].as_str()).collect();
    assert_eq!(lines, ["opened", "resolved by itself", "local: it was the disk", "local: *ticket* 7"]);
    let draft = server.http.get(server.url("/api/v1/incidents/inc-1/postmortem")).send().await.unwrap();
    assert!(draft.text().await.unwrap().contains("local: \\*ticket\\* 7"));
    server.running.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_keeps_quiet_until_it_ends_and_survives_a_restart() {
    let server = Server::start(|_| {}).await;
    for (body, reason) in [
        (json!({"matchers": [], "lasts": "1h"}), "no condition"),
        (json!({"matchers": ["service"], "lasts": "1h"}), "no condition: write"),
        (json!({"matchers": ["service=pay"]}), "when it ends"),
        (json!({"matchers": ["service=pay"], "lasts": "soon"}), "lasts"),
        (json!({"matchers": ["service=pay"], "ends_at": "now-1h"}), "must end after"),
        (json!({"matchers": ["service=pay"], "lasts": "1h", "why": "x"}), "why"),
    ] {
        let (status, said) = server.say("/api/v1/silences", body).await;
        assert!(status == StatusCode::BAD_REQUEST && said["error"].as_str().unwrap().contains(reason), "{said}");
    }
    let silence = json!({"id": "m1", "matchers": ["service=pay"], "lasts": "1h", "comment": "upgrade"});
    assert_eq!(server.say("/api/v1/silences", silence.clone()).await.0, StatusCode::ACCEPTED);
    server.until("/api/v1/silences", |s| s[0]["state"] == "active").await;
    let two = json!([firing("Down", "pay"), firing("Full", "cart")]);
    assert_eq!(server.say("/api/v2/alerts", two).await.0, StatusCode::OK);
    let alerts = server.until("/api/v1/alerts", |a| a["total"] == 2).await;
    assert_eq!(alerts["counts"]["silenced"], 1);
    let incidents = server.until("/api/v1/incidents", |i| i.as_array().is_some_and(|i| !i.is_empty())).await;
    assert_eq!(
        (incidents.as_array().unwrap().len(), &incidents[0]["entities"][0]),
        (1, &json!("service:default/cart"))
    );
    let preview = server.say("/api/v1/silences/preview", json!({"matchers": ["service=cart"], "lasts": "1h"})).await.1;
    assert_eq!((&preview["kept_quiet"], &preview["incidents_not_opened"][0]["id"]), (&json!(1), &incidents[0]["id"]));

    let Server { running, dir, .. } = server;
    running.shutdown().await.unwrap();
    let server = Server::on(dir, |_| {}).await;
    server.until("/api/v1/silences", |silences| silences[0]["comment"] == "upgrade").await;
    assert_eq!(server.get("/api/v1/alerts").await["total"], 2);
    assert_eq!(server.say("/api/v1/silences/m1/end", json!({})).await.0, StatusCode::ACCEPTED);
    server.until("/api/v1/incidents", |i| i.as_array().is_some_and(|i| i.len() == 2)).await;
    assert_eq!(server.say("/api/v1/silences/m1/end", json!({})).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(server.say("/api/v1/silences/none/end", json!({})).await.0, StatusCode::NOT_FOUND);
    server.running.shutdown().await.unwrap();
}

/// Takes requests, answers as told, and keeps the bodies.
async fn receiver(answers: &'static [u16]) -> (std::net::SocketAddr, std::sync::Arc<parking_lot::Mutex<Vec<Value>>>) {
    use axum::{Router, extract::State, http::StatusCode, routing::post};
    type Kept = std::sync::Arc<parking_lot::Mutex<Vec<Value>>>;
    let kept: Kept = Kept::default();
    let handler = move |State(kept): State<Kept>, body: axum::body::Bytes| async move {
        let mut kept = kept.lock();
        let status = answers.get(kept.len()).copied().unwrap_or(200);
        kept.push(serde_json::from_slice(&body).unwrap());
        StatusCode::from_u16(status).unwrap()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/hook", post(handler)).with_state(kept.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, kept)
}

fn with_hook(config: &mut bellwether_api::ServerConfig, address: std::net::SocketAddr) {
    let toml = json!({"kind": "webhook", "url": format!("http://{address}/hook"), "secret_env": "HOOK"});
    let settings: act::ChannelSettings = serde_json::from_value(toml).unwrap();
    config.channels.insert("ops".into(), settings.open("ops", &|_| Some("a-secret-of-some-length".into())).unwrap());
    config.egress.allow = vec![address.to_string()];
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_told_once_for_each_decision_also_after_a_failure_and_a_restart() {
    let (address, kept) = receiver(&[503]).await;
    let server = Server::start(|config| with_hook(config, address)).await;
    let bad = server.say("/api/v1/routes", json!({"routes": [{"name": "all", "channels": ["nobody"]}]})).await;
    assert!(bad.0 == StatusCode::BAD_REQUEST && bad.1["error"].as_str().unwrap().contains("known: ops"), "{bad:?}");
    let routes = json!({"routes": [{"name": "all", "channels": ["ops"], "min_severity": "warning", "wait_s": 0}]});
    assert_eq!(server.say("/api/v1/routes", routes.clone()).await.0, StatusCode::ACCEPTED);
    server.until("/api/v1/routes", |r| r["routes"][0]["name"] == "all").await;
    server.say("/api/v2/alerts", json!([firing("Down", "pay")])).await;
    let told = server.until("/api/v1/deliveries", |d| d[0]["state"] == "delivered").await;
    assert_eq!((&told[0]["attempts"], &told[0]["reason"]), (&json!(2), &json!("opened")), "{told}");
    assert_eq!(kept.lock().len(), 2, "503 first, then taken");
    let preview = server.say("/api/v1/routes/preview", routes).await.1;
    assert_eq!((&preview["incidents"], &preview["routes"][0]["incidents"]), (&json!(1), &json!(1)), "{preview}");

    let Server { running, dir, .. } = server;
    running.shutdown().await.unwrap();
    let server = Server::on(dir, |config| with_hook(config, address)).await;
    server.until("/api/v1/routes", |r| r["routes"][0]["name"] == "all").await;
    let mut over = firing("Down", "pay");
    over["endsAt"] = "2026-01-01T00:00:00Z".into();
    over["startsAt"] = "2025-12-31T00:00:00Z".into();
    server.say("/api/v2/alerts", json!([over])).await;
    let id = server.get("/api/v1/incidents").await[0]["id"].as_str().unwrap().to_owned();
    server.say(&format!("/api/v1/incidents/{id}/resolve"), json!({})).await;
    server.until("/api/v1/deliveries", |d| d[0]["reason"] == "resolved" && d[0]["state"] == "delivered").await;
    let bodies = kept.lock().clone();
    let reasons: Vec<&str> = bodies.iter().filter_map(|b| b["reason"].as_str()).collect();
    assert_eq!(reasons, ["opened", "opened", "resolved"]);
    assert_eq!(bodies[0]["delivery"], bodies[1]["delivery"], "a repetition says that it is one");
    let tried = server.say("/api/v1/channels/ops/test", json!({})).await;
    assert_eq!((tried.0, &tried.1["outcome"]), (StatusCode::OK, &json!("delivered")));
    assert_eq!(server.say("/api/v1/channels/nobody/test", json!({})).await.0, StatusCode::NOT_FOUND);
    server.running.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_come_from_webhooks_cloudevents_and_a_file_says_what_cannot_be_seen() {
    let server = Server::start(|config| config.webhooks.gitlab = vec!["token-of-gitlab".into()]).await;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = types::Time(since.as_nanos() as i64).rfc3339();
    let body = json!({"object_kind": "deployment", "status": "success", "status_changed_at": now,
        "deployment_id": 15, "environment": "production", "project": {"path_with_namespace": "shop/pay"},
        "short_sha": "279484c0", "user": {"username": "ada"}});
    let send = async |token: &str| {
        let request = server.http.post(server.url("/api/v1/webhooks/gitlab")).header("content-type", JSON);
        let request = request.header("x-gitlab-event", "Deployment Hook").header("x-gitlab-token", token);
        request.header("x-gitlab-event-uuid", "u-1").body(body.to_string()).send().await.unwrap()
    };
    assert_eq!(send("another").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(server.count("events").await, 0, "nothing of it is stored");
    for _ in 0..2 {
        let answer = send("token-of-gitlab").await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{status} {text}");
    }
    assert_eq!(server.count("events").await, 1, "a delivery is taken once");
    let changes = server.until("/api/v1/changes", |c| c.as_array().is_some_and(|c| c.len() == 1)).await;
    assert_eq!(server.get("/api/v1/changes?tenant=default").await, changes);
    assert_eq!(server.get("/api/v1/changes?tenant=other").await, json!([]));

    let event = json!({"specversion": "1.0", "id": "1", "source": "/ci", "type": "dev.cdevents.service.deployed.0.3.0",
        "datacontenttype": JSON, "data": {"context": {"specversion": "0.5.1", "id": "1", "source": "/ci",
            "type": "dev.cdevents.service.deployed.0.3.0", "timestamp": now},
            "subject": {"id": "cart", "content": {"environment": {"id": "prod"}, "artifactId": "pkg:oci/cart@sha256%3Aabc?tag=2.1"}}}});
    let (status, text) = server.post("/api/v1/events", "application/cloudevents+json", event.to_string()).await;
    assert!(status.is_success(), "{status} {text}");
    assert_eq!(server.count("events").await, 2);
    let (status, text) = server.post("/api/v1/topology", "application/toml", "[[edge]]\nnonsense = 1\n").await;
    assert!(status == StatusCode::BAD_REQUEST && text.contains("line"), "{status} {text}");
}
