//! Workloads and nodes of a Kubernetes cluster, through its REST API.
//!
//! Every change is a patch with the `resourceVersion` that was read just before, so that it fails where somebody else
//! changed the same thing meanwhile, and with the `uid` that was listed. The annotations `bellwether/restart` and
//! `bellwether/rollback` hold the key of the intent: a repetition finds it and changes nothing. The preview is the same
//! patch with `dryRun=All`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use ::http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{
    Admitted, BlastRadius, Inventory, Key, Outcome, Parameter, Preview, Registration, State, Value, Wrong, check_names,
    fits, template::encoded,
};
use crate::{
    channel::checked_url,
    egress::{Call, Egress, Reply, Trust},
    secret::{self, Secret},
};

/// Namespaces in which nothing is ever changed.
const NEVER: &[&str] = &["kube-system", "kube-public", "kube-node-lease"];
/// A list with all that its items hold.
const LIST_BYTES_MAX: usize = 32 * 1024 * 1024;
const RESTART: &str = "bellwether/restart";
const ROLLBACK: &str = "bellwether/rollback";
const REVISION: &str = "deployment.kubernetes.io/revision";
const MERGE: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";

/// `kind = "kubernetes"`. The secret is the token of a service account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the API server answers.
    pub url: String,
    /// The cluster's authorities, a PEM file; no others are trusted then.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Name of the variable that holds the secret.
    #[serde(default)]
    pub secret_env: Option<String>,
    /// File that holds the secret. It is read when the server starts.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// Deployments, stateful sets and daemon sets that may be targets, as `NAMESPACE/NAME`; a `*` at the end stands for
    /// anything, the namespace must be whole.
    #[serde(default)]
    pub workloads: Vec<String>,
    /// Nodes that may be targets; a `*` at the end stands for anything.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// The fewest replicas that may be asked for.
    #[serde(default = "replicas_min_default")]
    pub replicas_min: u32,
    /// The most replicas that may be asked for.
    #[serde(default = "replicas_max_default")]
    pub replicas_max: u32,
    /// Seconds for each request; 1..=300.
    #[serde(default = "time_default")]
    pub timeout_s: u32,
}

fn replicas_min_default() -> u32 {
    1
}

fn replicas_max_default() -> u32 {
    10
}

fn time_default() -> u32 {
    15
}

impl Settings {
    pub(super) fn open(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Kubernetes, Wrong> {
        checked_url(&self.url).map_err(|what| ("url", what))?;
        if self.url.contains(['?', '#']) {
            return Err(("url", "must be the address alone, without ? and #".into()));
        }
        if self.workloads.is_empty() && self.nodes.is_empty() {
            return Err(("workloads", "name workloads or nodes: nothing else can be a target".into()));
        }
        if !self.nodes.is_empty() {
            check_names("nodes", &self.nodes)?;
        }
        let workloads = self.workloads.iter().map(|said| read_workload(said).map_err(|what| ("workloads", what)));
        let workloads = workloads.collect::<Result<_, _>>()?;
        if self.replicas_min > self.replicas_max {
            return Err(("replicas_min", "is above replicas_max".into()));
        }
        if !(1..=300).contains(&self.timeout_s) {
            return Err(("timeout_s", format!("{} is not within 1..=300", self.timeout_s)));
        }
        let token = secret::read(self.secret_env.as_deref(), self.secret_file.as_deref(), env)?;
        let token = token.ok_or_else(|| {
            let what = "name the variable (or with secret_file the file) that holds the service account's token";
            ("secret_env", what.to_owned())
        })?;
        let trust = self.ca_file.as_deref().map(Trust::only).transpose().map_err(|what| ("ca_file", what))?;
        Ok(Kubernetes {
            base: self.url.trim_end_matches('/').to_owned(),
            trust,
            token,
            workloads,
            nodes: self.nodes.clone(),
            replicas: (self.replicas_min, self.replicas_max),
            timeout: Duration::from_secs(self.timeout_s.into()),
        })
    }
}

fn read_workload(said: &str) -> Result<(String, String), String> {
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let read = said.split_once('/').filter(|(namespace, name)| {
        let name = name.strip_suffix('*').unwrap_or(name);
        !namespace.is_empty() && plain(namespace) && plain(&name.replace('.', "-"))
    });
    let (namespace, name) = read.ok_or_else(|| format!("{said:?} is no workload: say it as NAMESPACE/NAME"))?;
    if NEVER.contains(&namespace) {
        return Err(format!("{namespace} belongs to the cluster itself, nothing in it is changed"));
    }
    Ok((namespace.to_owned(), name.to_owned()))
}

/// A cluster, ready.
#[derive(Clone, Debug)]
pub struct Kubernetes {
    base: String,
    trust: Option<Trust>,
    token: Secret,
    /// Namespaces with patterns of names.
    workloads: Vec<(String, String)>,
    nodes: Vec<String>,
    replicas: (u32, u32),
    timeout: Duration,
}

/// The kinds of targets, as they stand in a target's name and in a path.
const KINDS: &[(&str, &str)] =
    &[("deployment", "deployments"), ("statefulset", "statefulsets"), ("daemonset", "daemonsets")];

/// A change that is to be made, or that needs none.
enum Change {
    Patch { path: String, kind: &'static str, body: Json, does: String },
    Already(&'static str),
}

impl Kubernetes {
    pub(super) fn registrations(&self) -> Vec<Registration> {
        let registration = |action: &str, reversible, blast_radius, parameters| Registration {
            kind: "kubernetes",
            action: action.into(),
            reversible,
            blast_radius,
            idempotent: true,
            parameters,
        };
        let (min, max) = (self.replicas.0.into(), self.replicas.1.into());
        let replicas = BTreeMap::from([("replicas".to_owned(), Parameter::Integer { min, max })]);
        vec![
            registration("restart", false, BlastRadius::Service, BTreeMap::new()),
            registration("scale", true, BlastRadius::Service, replicas),
            registration("rollback", true, BlastRadius::Service, BTreeMap::new()),
            registration("cordon", true, BlastRadius::Host, BTreeMap::new()),
            registration("uncordon", true, BlastRadius::Host, BTreeMap::new()),
        ]
    }

    /// `deployment/NAMESPACE/NAME` and `node/NAME`, with the `uid` of each.
    pub(super) async fn inventory(&self, egress: &Egress) -> Result<Inventory, Outcome> {
        let mut inventory = Inventory::new();
        let mut namespaces: Vec<&str> = self.workloads.iter().map(|(namespace, _)| namespace.as_str()).collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        for namespace in namespaces {
            for (kind, plural) in KINDS {
                let path = format!("/apis/apps/v1/namespaces/{}/{plural}", encoded(namespace));
                for (name, uid) in self.list(egress, path).await? {
                    let meant = |(of, pattern): &(String, String)| of == namespace && fits(pattern, &name);
                    if self.workloads.iter().any(meant) {
                        inventory.insert(format!("{kind}/{namespace}/{name}"), uid);
                    }
                }
            }
        }
        if !self.nodes.is_empty() {
            let nodes = self.list(egress, "/api/v1/nodes".into()).await?;
            let meant = nodes.into_iter().filter(|(name, _)| self.nodes.iter().any(|pattern| fits(pattern, name)));
            inventory.extend(meant.map(|(name, uid)| (format!("node/{name}"), uid)));
        }
        Ok(inventory)
    }

    pub(super) async fn dry_run(&self, egress: &Egress, step: &Admitted<'_>) -> Result<Preview, Outcome> {
        match self.change(egress, step, "KEY").await? {
            Change::Already(text) => Ok(Preview { does: vec![format!("nothing: {text}")], asked: true }),
            Change::Patch { path, kind, body, does } => {
                let shown = vec![does, format!("PATCH {path} with {body}")];
                self.patch(egress, format!("{path}?fieldManager=bellwether&dryRun=All"), kind, &body).await?;
                Ok(Preview { does: shown, asked: true })
            }
        }
    }

    pub(super) async fn carry_out(&self, egress: &Egress, step: &Admitted<'_>, key: &Key) -> Outcome {
        let change = match self.change(egress, step, key.as_str()).await {
            Ok(change) => change,
            Err(outcome) => return outcome.of_question(),
        };
        let handle = (!step.target.starts_with("node/")).then(|| step.target.to_owned());
        let text = match change {
            Change::Already(text) => text.to_owned(),
            Change::Patch { path, kind, body, does } => {
                let path = format!("{path}?fieldManager=bellwether");
                match self.patch(egress, path, kind, &body).await {
                    Ok(()) => format!("done: {does}"),
                    Err(outcome) => return outcome,
                }
            }
        };
        Outcome { handle, ..Outcome::done(text) }
    }

    /// How the roll-out of a workload stands.
    pub(super) async fn state(&self, egress: &Egress, handle: &str) -> Result<State, Outcome> {
        let known = self.inventory(egress).await?.contains_key(handle) && !handle.starts_with("node/");
        let path = path_of(handle).filter(|_| known);
        let path = path.ok_or_else(|| Outcome::refused("this is no handle of a workload of this actuator"))?;
        Ok(rollout(handle, &self.get(egress, path).await?))
    }

    /// What must be patched. Reads, and changes nothing.
    async fn change(&self, egress: &Egress, step: &Admitted<'_>, key: &str) -> Result<Change, Outcome> {
        let kind = step.target.split('/').next().unwrap_or_default();
        let fits = match step.action {
            "cordon" | "uncordon" => kind == "node",
            "rollback" => kind == "deployment",
            "scale" => ["deployment", "statefulset"].contains(&kind),
            _ => KINDS.iter().any(|(known, _)| *known == kind),
        };
        let path = path_of(step.target).filter(|_| fits);
        let path = path.ok_or_else(|| Outcome::refused(format!("{} cannot be done with a {kind}", step.action)))?;
        let now = self.get(egress, path.clone()).await?;
        let version = text_at(&now, "/metadata/resourceVersion")?;
        if text_at(&now, "/metadata/uid")? != step.id {
            return Err(Outcome::failed("the target was replaced by another of its name meanwhile"));
        }
        let held = json!({"uid": step.id, "resourceVersion": version});
        match step.action {
            "restart" => Ok(restart(path, &now, held, step.target, key)),
            "scale" => self.scale(path, &now, held, step),
            "rollback" => {
                let path_of_sets = path.rsplit_once("/deployments/").map(|(before, _)| format!("{before}/replicasets"));
                let sets = self.get(egress, path_of_sets.unwrap_or_default()).await?;
                rollback(path, &now, &sets, step, key)
            }
            action => Ok(cordon(path, &now, held, step.target, action == "cordon")),
        }
    }

    fn scale(&self, path: String, now: &Json, held: Json, step: &Admitted<'_>) -> Result<Change, Outcome> {
        let Some(Value::Integer(wanted)) = step.values.get("replicas") else {
            return Err(Outcome::refused("parameter replicas is missing"));
        };
        let before = now.pointer("/spec/replicas").and_then(Json::as_i64);
        if before == Some(*wanted) {
            return Ok(Change::Already("it has as many replicas already"));
        }
        let before = before.map_or("some".to_owned(), |count| count.to_string());
        Ok(Change::Patch {
            path: format!("{path}/scale"),
            kind: MERGE,
            body: json!({"metadata": held, "spec": {"replicas": wanted}}),
            does: format!("scale {} from {before} to {wanted} replicas", step.target),
        })
    }

    /// Names and `uid`s of a list.
    async fn list(&self, egress: &Egress, path: String) -> Result<Vec<(String, String)>, Outcome> {
        let body = self.get(egress, path).await?;
        let items = body.get("items").and_then(Json::as_array);
        let items = items.ok_or_else(|| Outcome::failed("a list: the answer is not Kubernetes'"))?;
        let read = |item: &Json| {
            let text = |pointer| item.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
            Some((text("/metadata/name").filter(|name| is_name(name))?, text("/metadata/uid")?))
        };
        Ok(items.iter().filter_map(read).collect())
    }

    async fn get(&self, egress: &Egress, path: String) -> Result<Json, Outcome> {
        let mut call = self.call(Method::GET, path);
        call.answer_bytes_max = LIST_BYTES_MAX;
        let reply = egress.call(&call).await.map_err(|failure| Outcome::unanswered(failure).of_question())?;
        if reply.status != 200 {
            return Err(Outcome::by_status(reply.status, "the cluster").of_question());
        }
        reply.json().ok_or_else(|| Outcome::failed("the cluster: the answer is not Kubernetes', or too long"))
    }

    async fn patch(&self, egress: &Egress, path: String, kind: &str, body: &Json) -> Result<(), Outcome> {
        let call = self.call(Method::PATCH, path).json(kind, body);
        let Reply { status, .. } = egress.call(&call).await.map_err(Outcome::unanswered)?;
        if status == 200 { Ok(()) } else { Err(Outcome::by_status(status, "the change")) }
    }

    fn call(&self, method: Method, path: String) -> Call {
        let mut call = Call::new(method, format!("{}{path}", self.base));
        call.timeout = Some(self.timeout);
        call.trust.clone_from(&self.trust);
        call.header("accept", "application/json").header("authorization", format!("Bearer {}", self.token.reveal()))
    }
}

fn restart(path: String, now: &Json, held: Json, target: &str, key: &str) -> Change {
    let pointer = format!("/spec/template/metadata/annotations/{}", RESTART.replace('/', "~1"));
    if now.pointer(&pointer).and_then(Json::as_str) == Some(key) {
        return Change::Already("it was restarted under this key before");
    }
    Change::Patch {
        path,
        kind: MERGE,
        body: json!({"metadata": held, "spec": {"template": {"metadata": {"annotations": {RESTART: key}}}}}),
        does: format!("restart {target} pod by pod"),
    }
}

fn cordon(path: String, now: &Json, held: Json, target: &str, closed: bool) -> Change {
    let before = now.pointer("/spec/unschedulable").and_then(Json::as_bool).unwrap_or(false);
    if before == closed {
        return Change::Already("it is so already");
    }
    let does = if closed { "let no new pods onto" } else { "let new pods onto" };
    Change::Patch {
        path,
        kind: MERGE,
        body: json!({"metadata": held, "spec": {"unschedulable": closed}}),
        does: format!("{does} {target}"),
    }
}

/// Takes the pods' template of the revision before the present one, as `kubectl rollout undo` does.
fn rollback(path: String, now: &Json, sets: &Json, step: &Admitted<'_>, key: &str) -> Result<Change, Outcome> {
    let annotation = |of: &Json, name: &str| {
        let annotations = of.pointer("/metadata/annotations")?;
        annotations.get(name).and_then(Json::as_str).map(str::to_owned)
    };
    if annotation(now, ROLLBACK).as_deref() == Some(key) {
        return Ok(Change::Already("it was rolled back under this key before"));
    }
    let revision = |of: &Json| annotation(of, REVISION).and_then(|text| text.parse::<u64>().ok());
    let current = revision(now).ok_or_else(|| Outcome::failed("the deployment has no revision yet"))?;
    let is_owned = |set: &&Json| {
        let owners = set.pointer("/metadata/ownerReferences").and_then(Json::as_array);
        owners.is_some_and(|owners| owners.iter().any(|o| o.get("uid").and_then(Json::as_str) == Some(&step.id)))
    };
    let all = sets.get("items").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let earlier = all.iter().filter(is_owned).filter_map(|set| Some((revision(set)?, set)));
    let earlier = earlier.filter(|(number, _)| *number < current).max_by_key(|(number, _)| *number);
    let (number, set) = earlier.ok_or_else(|| Outcome::refused("there is no earlier revision to go back to"))?;
    let mut template = set.pointer("/spec/template").cloned().unwrap_or_default();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Json::as_object_mut) {
        labels.remove("pod-template-hash");
    }
    let has_containers = template.pointer("/spec/containers").and_then(Json::as_array).is_some_and(|c| !c.is_empty());
    if !has_containers {
        return Err(Outcome::failed("the earlier revision cannot be read"));
    }
    let version = text_at(now, "/metadata/resourceVersion")?;
    let body = json!([
        {"op": "test", "path": "/metadata/uid", "value": step.id},
        // Not a test: the server holds a version that is given against the present one, and answers 409.
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/spec/template", "value": template},
        {"op": "add", "path": format!("/metadata/annotations/{}", ROLLBACK.replace('/', "~1")), "value": key},
    ]);
    let does = format!("roll {} back from revision {current} to {number}", step.target);
    Ok(Change::Patch { path, kind: JSON_PATCH, body, does })
}

/// What the status of a workload says, once the cluster has seen the last change.
fn rollout(handle: &str, now: &Json) -> State {
    let count = |pointer: &str| now.pointer(pointer).and_then(Json::as_u64).unwrap_or(0);
    let seen = count("/status/observedGeneration") >= count("/metadata/generation");
    let conditions = now.pointer("/status/conditions").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let gave_up = |condition: &Json| {
        condition.get("type").and_then(Json::as_str) == Some("Progressing")
            && condition.get("reason").and_then(Json::as_str) == Some("ProgressDeadlineExceeded")
    };
    if seen && conditions.iter().any(gave_up) {
        return State::Failed;
    }
    let (wanted, updated, ready, all) = if handle.starts_with("daemonset/") {
        let wanted = count("/status/desiredNumberScheduled");
        (wanted, count("/status/updatedNumberScheduled"), count("/status/numberAvailable"), wanted)
    } else {
        let wanted = now.pointer("/spec/replicas").and_then(Json::as_u64).unwrap_or(1);
        (wanted, count("/status/updatedReplicas"), count("/status/availableReplicas"), count("/status/replicas"))
    };
    // A stateful set that runs one revision everywhere does not count what is updated.
    let one_revision = handle.starts_with("statefulset/")
        && now.pointer("/status/currentRevision") == now.pointer("/status/updateRevision");
    let is_updated = updated == wanted || one_revision;
    if seen && is_updated && ready >= wanted && all == wanted { State::Success } else { State::Running }
}

/// The path of `deployment/NAMESPACE/NAME` or `node/NAME`.
fn path_of(target: &str) -> Option<String> {
    let mut parts = target.split('/');
    match (parts.next()?, parts.next()?, parts.next(), parts.next()) {
        ("node", name, None, None) => Some(format!("/api/v1/nodes/{}", encoded(name))),
        (kind, namespace, Some(name), None) => {
            let (_, plural) = KINDS.iter().find(|(known, _)| *known == kind)?;
            Some(format!("/apis/apps/v1/namespaces/{}/{plural}/{}", encoded(namespace), encoded(name)))
        }
        _ => None,
    }
}

/// A name as Kubernetes allows it, so that nothing else of an answer gets into a path.
fn is_name(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
    plain && (1..=253).contains(&text.len()) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn text_at<'a>(of: &'a Json, pointer: &str) -> Result<&'a str, Outcome> {
    let text = of.pointer(pointer).and_then(Json::as_str);
    text.ok_or_else(|| Outcome::failed("the target: the answer is not Kubernetes'"))
}
