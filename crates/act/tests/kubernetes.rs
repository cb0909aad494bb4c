//! The actuator `kubernetes`, against a server that speaks enough of its API: lists, objects, merge and JSON patches with
//! `resourceVersion` and `dryRun`. It is no cluster: admission, controllers and permissions are not played.

mod made;

use std::{collections::BTreeMap, sync::Arc};

use act::actuator::{Actuator, End, State};
use made::{Behaviour, HOSTILE, Server, actuator, egress, key, opened, says, step};
use parking_lot::Mutex;
use serde_json::{Value, json};

const APPS: &str = "/apis/apps/v1/namespaces/shop";

type Objects = Arc<Mutex<BTreeMap<String, Value>>>;

fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}})
}

fn replica_set(name: &str, revision: &str, owner: &str, image: &str) -> Value {
    let mut template = template(image);
    template["metadata"]["labels"]["pod-template-hash"] = json!(name);
    json!({
        "metadata": {"name": name, "uid": format!("u-{name}"), "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [{"kind": "Deployment", "uid": owner}]},
        "spec": {"template": template},
    })
}

/// A cluster with one deployment at its third revision, a stateful set and a node.
fn objects() -> Objects {
    let deployment = json!({
        "metadata": {"name": "web", "uid": "u-web", "resourceVersion": "100", "generation": 3,
            "annotations": {"deployment.kubernetes.io/revision": "3"}},
        "spec": {"replicas": 3, "template": template("web:3")},
        "status": {"observedGeneration": 3, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3},
    });
    let set = json!({"metadata": {"name": "db", "uid": "u-db", "resourceVersion": "200"}, "spec": {"replicas": 1, "template": template("db:1")}});
    let node = json!({"metadata": {"name": "node-1", "uid": "u-node", "resourceVersion": "300"}, "spec": {}});
    let mut all = BTreeMap::from([
        (format!("{APPS}/deployments/web"), deployment.clone()),
        (format!("{APPS}/statefulsets/db"), set),
        ("/api/v1/nodes/node-1".to_owned(), node),
    ]);
    let mut other = deployment;
    other["metadata"]["name"] = json!("other");
    other["metadata"]["uid"] = json!("u-other");
    all.insert(format!("{APPS}/deployments/other"), other);
    for (name, revision, owner, image) in [
        ("web-a", "1", "u-web", "web:1"),
        ("web-b", "2", "u-web", "web:2"),
        ("web-c", "3", "u-web", "web:3"),
        ("other-x", "2", "u-other", "other:9"),
    ] {
        all.insert(format!("{APPS}/replicasets/{name}"), replica_set(name, revision, owner, image));
    }
    Arc::new(Mutex::new(all))
}

async fn cluster(objects: &Objects) -> Server {
    let objects = objects.clone();
    Server::start(Behaviour::Ask(Arc::new(move |request: &str| {
        let (status, body) = answer(&mut objects.lock(), request);
        says(status, &body.to_string())
    })))
    .await
}

fn answer(objects: &mut BTreeMap<String, Value>, request: &str) -> (u16, Value) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut line = head.lines().next().unwrap().split(' ');
    let (method, url) = (line.next().unwrap(), line.next().unwrap());
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    if !head.contains("\r\nauthorization: Bearer t0ken") {
        return (401, json!({"reason": "Unauthorized"}));
    }
    let path = path.strip_suffix("/scale").unwrap_or(path);
    let items = || -> Vec<_> {
        objects
            .iter()
            .filter(|(name, _)| name.rsplit_once('/').is_some_and(|(of, _)| of == path))
            .map(|(_, o)| o.clone())
            .collect()
    };
    match (method, objects.get(path)) {
        ("GET", Some(object)) => (200, object.clone()),
        ("GET", None)
            if ["deployments", "statefulsets", "daemonsets", "replicasets", "nodes"]
                .iter()
                .any(|kind| path.ends_with(kind)) =>
        {
            (200, json!({"items": items()}))
        }
        ("PATCH", Some(object)) => {
            let patch: Value = serde_json::from_str(body).unwrap();
            let mut patched = object.clone();
            let fits = if head.contains("application/json-patch+json") {
                json_patch(&mut patched, &patch)
            } else {
                merge(&mut patched, &patch)
            };
            let version = |of: &Value| of["metadata"]["resourceVersion"].clone();
            if !fits || patched["metadata"]["uid"] != object["metadata"]["uid"] {
                return (422, json!({"reason": "Invalid"}));
            }
            if version(&patched) != version(object) {
                return (409, json!({"reason": "Conflict"}));
            }
            if !query.contains("dryRun=All") {
                let next = version(object).as_str().unwrap().parse::<u64>().unwrap() + 1;
                patched["metadata"]["resourceVersion"] = json!(next.to_string());
                objects.insert(path.to_owned(), patched.clone());
            }
            (200, patched)
        }
        _ => (404, json!({"reason": "NotFound"})),
    }
}

fn merge(object: &mut Value, patch: &Value) -> bool {
    match patch {
        Value::Object(fields) => {
            if !object.is_object() {
                *object = json!({});
            }
            fields.iter().all(|(name, value)| merge(&mut object[name], value))
        }
        other => {
            *object = other.clone();
            true
        }
    }
}

fn json_patch(object: &mut Value, patch: &Value) -> bool {
    patch.as_array().unwrap().iter().all(|operation| {
        let path = operation["path"].as_str().unwrap();
        let (parent, last) = path.rsplit_once('/').unwrap();
        match operation["op"].as_str().unwrap() {
            "test" => object.pointer(path) == Some(&operation["value"]),
            _ => {
                object.pointer_mut(parent).map(|of| of[last.replace("~1", "/")] = operation["value"].clone()).is_some()
            }
        }
    })
}

fn opened_on(server: &Server) -> Actuator {
    actuator(
        json!({
            "kind": "kubernetes", "url": server.url(""), "secret_env": "KEY", "workloads": ["shop/web*", "shop/db"], "nodes": ["node-*"],
            "replicas_max": 5, "timeout_s": 1,
        }),
        "t0ken",
    )
}

const WEB: &str = "deployment/shop/web";

#[tokio::test]
async fn the_inventory_is_what_is_listed_and_named() {
    let server = cluster(&objects()).await;
    let it = opened_on(&server);
    assert_eq!(it.targets(&egress()).await.unwrap(), [WEB, "node/node-1", "statefulset/shop/db"]);
    let wrong =
        actuator(json!({"kind": "kubernetes", "url": server.url(""), "secret_env": "KEY", "nodes": ["a"]}), "wrong");
    assert_eq!(wrong.targets(&egress()).await.unwrap_err().end, End::Refused);
}

#[tokio::test]
async fn a_restart_is_one_under_its_key() {
    let objects = objects();
    let server = cluster(&objects).await;
    let it = opened_on(&server);
    let wanted = step("restart", WEB, json!({}));
    let before = objects.lock().clone();
    let preview = it.dry_run(&egress(), &wanted).await.unwrap();
    assert_eq!(preview.does[0], "restart deployment/shop/web pod by pod");
    assert_eq!(*objects.lock(), before, "a preview changes nothing");
    let outcome = it.carry_out(&egress(), &wanted, &key()).await;
    assert_eq!((outcome.end, outcome.handle.as_deref()), (End::Done, Some(WEB)), "{outcome:?}");
    let after = objects.lock()[&format!("{APPS}/deployments/web")].clone();
    assert_eq!(after["spec"]["template"]["metadata"]["annotations"]["bellwether/restart"], "plan-7-step-1");
    assert_eq!(after["spec"]["template"]["spec"]["containers"][0]["image"], "web:3");
    let outcome = it.carry_out(&egress(), &wanted, &key()).await;
    assert_eq!((outcome.end, outcome.text.as_str()), (End::Done, "it was restarted under this key before"));
    assert_eq!(objects.lock()[&format!("{APPS}/deployments/web")]["metadata"]["resourceVersion"], "101");
}

#[tokio::test]
async fn scaling_keeps_to_its_range() {
    let objects = objects();
    let server = cluster(&objects).await;
    let it = opened_on(&server);
    for (count, end) in [(5, End::Done), (5, End::Done), (6, End::Refused), (0, End::Refused), (-1, End::Refused)] {
        let outcome = it.carry_out(&egress(), &step("scale", WEB, json!({"replicas": count})), &key()).await;
        assert_eq!(outcome.end, end, "{outcome:?}");
    }
    let after = objects.lock()[&format!("{APPS}/deployments/web")].clone();
    assert_eq!(
        (after["spec"]["replicas"].as_i64(), after["metadata"]["resourceVersion"].as_str()),
        (Some(5), Some("101"))
    );
    let patch = server.requests.lock().iter().find(|r| r.starts_with("PATCH")).cloned().unwrap();
    assert!(
        patch.starts_with(&format!("PATCH {APPS}/deployments/web/scale?fieldManager=bellwether HTTP/1.1")),
        "{patch}"
    );
    assert!(
        patch.ends_with(r#"{"metadata":{"resourceVersion":"100","uid":"u-web"},"spec":{"replicas":5}}"#),
        "{patch}"
    );
}

#[tokio::test]
async fn a_roll_back_takes_the_revision_before() {
    let objects = objects();
    let server = cluster(&objects).await;
    let it = opened_on(&server);
    let wanted = step("rollback", WEB, json!({}));
    let preview = it.dry_run(&egress(), &wanted).await.unwrap();
    assert_eq!(preview.does[0], "roll deployment/shop/web back from revision 3 to 2");
    for _ in 0..2 {
        let outcome = it.carry_out(&egress(), &wanted, &key()).await;
        assert_eq!(outcome.end, End::Done, "{outcome:?}");
        let after = objects.lock()[&format!("{APPS}/deployments/web")].clone();
        assert_eq!(after["spec"]["template"], template("web:2"));
        assert_eq!(after["metadata"]["resourceVersion"], "101");
    }
    objects.lock().retain(|name, _| !name.contains("/replicasets/web"));
    let other = act::actuator::Key::new("plan-8-step-1").unwrap();
    assert_eq!(it.carry_out(&egress(), &wanted, &other).await.end, End::Refused);
}

#[tokio::test]
async fn nodes_are_closed_and_opened() {
    let objects = objects();
    let server = cluster(&objects).await;
    let it = opened_on(&server);
    for (action, closed) in [("cordon", true), ("cordon", true), ("uncordon", false)] {
        let outcome = it.carry_out(&egress(), &step(action, "node/node-1", json!({})), &key()).await;
        assert_eq!((outcome.end, outcome.handle), (End::Done, None), "{}", outcome.text);
        assert_eq!(objects.lock()["/api/v1/nodes/node-1"]["spec"]["unschedulable"], closed);
    }
    for (action, target) in [("cordon", WEB), ("restart", "node/node-1"), ("rollback", "statefulset/shop/db")] {
        let outcome = it.carry_out(&egress(), &step(action, target, json!({})), &key()).await;
        assert_eq!((outcome.end, outcome.text.contains("cannot be done with")), (End::Refused, true), "{outcome:?}");
    }
}

#[tokio::test]
async fn what_changed_meanwhile_is_left_alone() {
    let objects = objects();
    let changing = objects.clone();
    // Somebody else is always quicker.
    let server = Server::start(Behaviour::Ask(Arc::new(move |request: &str| {
        let mut objects = changing.lock();
        if request.starts_with("PATCH") {
            objects.get_mut(&format!("{APPS}/deployments/web")).unwrap()["metadata"]["resourceVersion"] = json!("900");
        }
        let (status, body) = answer(&mut objects, request);
        says(status, &body.to_string())
    })))
    .await;
    let it = opened_on(&server);
    for (action, parameters) in [("restart", json!({})), ("scale", json!({"replicas": 2})), ("rollback", json!({}))] {
        objects.lock().get_mut(&format!("{APPS}/deployments/web")).unwrap()["metadata"]["resourceVersion"] =
            json!("100");
        let outcome = it.carry_out(&egress(), &step(action, WEB, parameters), &key()).await;
        assert_eq!((outcome.end, outcome.text.contains("HTTP 409")), (End::Failed, true), "{outcome:?}");
    }
}

#[tokio::test]
async fn trouble_with_the_change_is_unknown_and_before_it_failed() {
    for (answers, end) in [
        (says(500, "{}"), End::Unknown),
        (Behaviour::SayAndHang(String::new()), End::Unknown),
        (says(403, "{}"), End::Refused),
        (says(422, "{}"), End::Refused),
        (says(429, "{}"), End::Failed),
    ] {
        let objects = objects();
        let server = Server::start(Behaviour::Ask(Arc::new(move |request: &str| {
            if request.starts_with("PATCH") {
                return answers.clone();
            }
            let (status, body) = answer(&mut objects.lock(), request);
            says(status, &body.to_string())
        })))
        .await;
        let it = opened_on(&server);
        let wanted = step("restart", WEB, json!({}));
        assert_eq!(it.carry_out(&egress(), &wanted, &key()).await.end, end);
        assert!(matches!(it.dry_run(&egress(), &wanted).await.unwrap_err().end, End::Failed | End::Refused));
    }
    for body in
        [says(500, "{}"), says(200, "garbage"), says(200, r#"{"items":7}"#), Behaviour::SayAndHang(String::new())]
    {
        let server = Server::start(body).await;
        let outcome = opened_on(&server).carry_out(&egress(), &step("restart", WEB, json!({})), &key()).await;
        assert_eq!(outcome.end, End::Failed, "{outcome:?}");
    }
}

#[tokio::test]
async fn hostile_texts_change_nothing() {
    let objects = objects();
    // A name that is none is not taken up, whoever says it.
    let mut evil = objects.lock()[&format!("{APPS}/deployments/web")].clone();
    evil["metadata"]["name"] = json!("web/../../secrets");
    objects.lock().insert(format!("{APPS}/deployments/evil"), evil);
    let before = objects.lock().clone();
    let server = cluster(&objects).await;
    let it = opened_on(&server);
    let names = [
        "deployment/shop/other",
        "deployment/kube-system/web",
        "deployment/shop/web/../../secrets",
        "secret/shop/web",
        "deployment/shop/web*",
    ];
    for text in HOSTILE.iter().chain(&names) {
        for wanted in [
            step("restart", text, json!({})),
            step(text, WEB, json!({})),
            step("scale", WEB, json!({"replicas": text})),
        ] {
            assert_eq!(it.carry_out(&egress(), &wanted, &key()).await.end, End::Refused, "{wanted:?}");
        }
    }
    assert_eq!(*objects.lock(), before);
}

#[tokio::test]
async fn a_roll_out_is_followed() {
    let objects = objects();
    let server = cluster(&objects).await;
    let it = opened_on(&server);
    let path = format!("{APPS}/deployments/web");
    let set = |status: Value| objects.lock().get_mut(&path).unwrap()["status"] = status;
    assert_eq!(it.state(&egress(), WEB).await.unwrap(), State::Success);
    set(json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}));
    assert_eq!(it.state(&egress(), WEB).await.unwrap(), State::Running);
    set(json!({"observedGeneration": 3, "replicas": 4, "updatedReplicas": 3, "availableReplicas": 3}));
    assert_eq!(it.state(&egress(), WEB).await.unwrap(), State::Running);
    set(json!({"observedGeneration": 3, "replicas": 3, "updatedReplicas": 1, "availableReplicas": 3,
        "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]}));
    assert_eq!(it.state(&egress(), WEB).await.unwrap(), State::Failed);
    assert_eq!(it.state(&egress(), "deployment/shop/other").await.unwrap_err().end, End::Refused);
    assert_eq!(it.state(&egress(), "node/node-1").await.unwrap_err().end, End::Refused);
}

#[tokio::test]
async fn the_authorities_of_the_cluster_are_trusted_alone() {
    let objects = objects();
    let (port, requests) = made::start_tls(Behaviour::Ask(Arc::new(move |request: &str| {
        let (status, body) = answer(&mut objects.lock(), request);
        says(status, &body.to_string())
    })))
    .await;
    let egress = egress().with_resolver(made::Told::new(&[&["127.0.0.1"]]));
    let said = json!({"kind": "kubernetes", "url": format!("https://hooks.test:{port}"), "secret_env": "KEY", "nodes": ["node-1"]});
    let stranger = actuator(said.clone(), "t0ken");
    let refused = stranger.targets(&egress).await.unwrap_err();
    assert_eq!((refused.end, refused.text.contains("not trusted")), (End::Failed, true), "{refused:?}");
    assert!(requests.lock().is_empty(), "no token goes to a stranger");
    let mut said = said;
    said["ca_file"] = json!(made::TEST_CA);
    let it = actuator(said, "t0ken");
    let outcome = it.carry_out(&egress, &step("cordon", "node/node-1", json!({})), &key()).await;
    assert_eq!(outcome.end, End::Done, "{outcome:?}");
}

#[test]
fn settings_that_cannot_be_meant_are_named() {
    let base =
        json!({"kind": "kubernetes", "url": "https://10.0.0.1:6443", "secret_env": "KEY", "workloads": ["shop/web"]});
    let with = |name: &str, value: Value| {
        let mut said = base.clone();
        said[name] = value;
        opened(said, "t0ken").err().unwrap_or_default()
    };
    assert_eq!(with("nodes", json!([])), "");
    for bad in ["web", "*/web", "shop/../web", "Shop/web", "shop/web?x", "/web", "kube-system/coredns", "kube-system/*"]
    {
        assert!(with("workloads", json!([bad])).starts_with("actuators.it.workloads: "), "{bad}");
    }
    assert!(with("workloads", json!([])).starts_with("actuators.it.workloads: "));
    assert!(with("url", json!("10.0.0.1")).starts_with("actuators.it.url: "));
    assert!(with("ca_file", json!("/nonexistent")).starts_with("actuators.it.ca_file: "));
    assert!(with("ca_file", json!("/dev/null")).contains("holds no certificate"));
    assert!(with("replicas_min", json!(11)).starts_with("actuators.it.replicas_min: "));
    assert!(with("secret_env", Value::Null).starts_with("actuators.it.secret_env: "));
    assert!(with("token", json!("x")).contains("unknown field `token`"));
}
