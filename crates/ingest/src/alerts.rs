//! Alerts of other programs to events of kind `alert`: what an Alertmanager sends to a webhook (version 4), and what a
//! Prometheus sends to an Alertmanager (`POST /api/v2/alerts`).
//!
//! An alert is known by its labels, as an Alertmanager knows it; the fingerprint that a webhook carries is not trusted
//! to say so. One bad alert does not spoil the others. A body is one batch, in one order.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use types::{EntityId, Events, Reject, Time};
use xxhash_rust::xxh3::xxh3_64;

use crate::limits::show;
use crate::outside::entity_key;
use crate::resolver::prometheus_entity;
use crate::{BadRequest, Decoded, Ingest, Limits, Request, Written, changes};

/// Most labels, and most annotations, of an alert.
const MOST_LABELS: usize = 100;

/// What an Alertmanager posts to a webhook; fields that say nothing new are left out.
#[derive(Deserialize)]
struct Webhook<'a> {
    version: Option<&'a str>,
    alerts: Option<Vec<Value>>,
    #[serde(rename = "truncatedAlerts", default)]
    truncated: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    status: Option<String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    #[serde(rename = "generatorURL")]
    generator_url: Option<String>,
}

/// An Alertmanager webhook, version 4.
pub(crate) fn decode_webhook(ingest: &Ingest, request: &Request, body: &[u8]) -> Result<Decoded, BadRequest> {
    let webhook: Webhook = serde_json::from_slice(body).map_err(|e| BadRequest::malformed(show(&e.to_string())))?;
    if webhook.version.is_some_and(|version| version != "4") {
        let sent = show(webhook.version.unwrap_or(""));
        return Err(BadRequest::malformed(format!("webhook version {sent:?}: only version 4 is read")));
    }
    let Some(alerts) = webhook.alerts else {
        return Err(BadRequest::malformed("alerts is missing: this is no Alertmanager webhook"));
    };
    let mut decoded = decode(ingest, request, alerts, true)?;
    if webhook.truncated > 0 {
        let reason = format!("{} alerts were cut off by the sender (max_alerts): raise it there", webhook.truncated);
        decoded.rejects.push(Reject { count: webhook.truncated, reason });
    }
    Ok(decoded)
}

/// A list of alerts as a Prometheus posts it to an Alertmanager.
pub(crate) fn decode_list(ingest: &Ingest, request: &Request, body: &[u8]) -> Result<Decoded, BadRequest> {
    let alerts: Vec<Value> = serde_json::from_slice(body)
        .map_err(|e| BadRequest::malformed(format!("a list of alerts is expected: {}", show(&e.to_string()))))?;
    decode(ingest, request, alerts, false)
}

fn decode(ingest: &Ingest, request: &Request, sent: Vec<Value>, until_told: bool) -> Result<Decoded, BadRequest> {
    ingest.limits.check_rows(sent.len())?;
    let (mut rejects, mut masked) = (Vec::new(), 0);
    let mut events = Vec::with_capacity(sent.len());
    {
        let resolver = ingest.resolver();
        let registry = ingest.directory.read();
        // Many alerts speak of few services, and a look-up goes through all that is known.
        let mut known: BTreeMap<EntityId, EntityId> = BTreeMap::new();
        let mut only = |plain: EntityId| match known.get(&plain) {
            Some(found) => found.clone(),
            None => {
                let found = changes::only_service(&registry, plain.clone());
                known.insert(plain, found.clone());
                found
            }
        };
        for (i, value) in sent.into_iter().enumerate() {
            match event(&ingest.limits, request.now, value, until_told, &mut masked, &mut only) {
                Ok((entity, attributes)) => {
                    events.push((resolver.resolve_id(entity, request.now).entity, attributes));
                }
                Err(reason) => rejects.push(Reject { count: 1, reason: format!("alerts[{i}]: {reason}") }),
            }
        }
    }
    let mut registry = ingest.directory.write();
    let mut columns = Events::default();
    for (entity, attributes) in &events {
        match entity_key(&mut registry, entity, ingest.limits.max_resources) {
            Ok(key) => columns.push(request.now.0, key, "alert", &attributes.to_string()),
            Err(reject) => rejects.push(reject),
        }
    }
    drop(registry);
    let written = Written { events: columns.len() as u64, masked, ..Written::default() };
    let mut batch = request.batch();
    batch.events = columns;
    Ok(Decoded { batch, rejects, written, ids: Vec::new(), once: Vec::new() })
}

/// One alert as an event: about which entity, and its attributes.
fn event(
    limits: &Limits,
    now: Time,
    value: Value,
    until_told: bool,
    masked: &mut u64,
    only: &mut dyn FnMut(EntityId) -> EntityId,
) -> Result<(EntityId, Value), String> {
    let mut sent: Sent = serde_json::from_value(value).map_err(|e| show(&e.to_string()))?;
    if sent.labels.values().all(|value| value.is_empty()) {
        return Err("it has no labels".to_owned());
    }
    for (what, map) in [("labels", &sent.labels), ("annotations", &sent.annotations)] {
        if map.len() > MOST_LABELS {
            return Err(format!("{} {what}, more than {MOST_LABELS}", map.len()));
        }
        if let Some((name, _)) =
            map.iter().find(|(name, value)| name.len() + value.len() > limits.max_attribute_value_len)
        {
            return Err(format!("{what}.{} is longer than {} bytes", show(name), limits.max_attribute_value_len));
        }
    }
    for value in sent.annotations.values_mut().filter(|_| limits.mask_secrets) {
        let mut bytes = std::mem::take(value).into_bytes();
        *masked += math::secrets::mask_from(&mut bytes, 0) as u64;
        *value = String::from_utf8_lossy(&bytes).into_owned();
    }
    let time = |name: &str, text: &Option<String>| match text.as_deref() {
        None => Ok(None),
        Some(text) => match Time::parse(text.trim()) {
            // Go's zero time stands for "not said".
            Some(time) if time.0 <= 0 => Ok(None),
            Some(time) => Ok(Some(time)),
            None if text.starts_with("0001-") => Ok(None),
            None => Err(format!("{name} {:?} is not a time: RFC 3339 is expected", show(text))),
        },
    };
    let (starts_at, ends_at) = (time("startsAt", &sent.starts_at)?, time("endsAt", &sent.ends_at)?);
    let firing = match sent.status.as_deref() {
        Some("firing") => true,
        Some("resolved") => false,
        None => ends_at.is_none_or(|end| end > now),
        Some(other) => return Err(format!("status {:?} is neither firing nor resolved", show(other))),
    };
    if let (Some(start), Some(end)) = (starts_at, ends_at)
        && end < start
    {
        return Err("endsAt lies before startsAt".to_owned());
    }
    let labels: BTreeMap<&str, &str> =
        sent.labels.iter().filter(|(_, value)| !value.is_empty()).map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let entity = entity_of(only, |name| labels.get(name).copied());
    let name = labels.get("alertname").copied().unwrap_or("alert");
    let severity = ["severity", "priority", "level"].into_iter().find_map(|label| labels.get(label)).copied();
    let said = ["summary", "title", "description", "message"].into_iter().find_map(|name| sent.annotations.get(name));
    let link = sent.annotations.get("runbook_url").or(sent.generator_url.as_ref());
    let link = link.filter(|url| url.starts_with("https://") || url.starts_with("http://"));
    let mut attributes = Map::new();
    let mut put = |name: &str, value: Value| attributes.insert(name.to_owned(), value);
    put("fingerprint", format!("{:016x}", fingerprint(&labels)).into());
    put("name", name.into());
    put("status", if firing { "firing" } else { "resolved" }.into());
    put("until_told", until_told.into());
    put("severity", severity.unwrap_or("").into());
    put("labels", json!(labels));
    put("annotations", json!(sent.annotations));
    put("summary", said.map_or("", String::as_str).into());
    for (name, time) in [("starts_at", starts_at), ("ends_at", ends_at)] {
        if let Some(time) = time {
            put(name, time.rfc3339().into());
        }
    }
    if let Some(link) = link {
        put("url", link.as_str().into());
    }
    Ok((entity, Value::Object(attributes)))
}

/// Hash of the labels, whatever their order.
fn fingerprint(labels: &BTreeMap<&str, &str>) -> u64 {
    let mut text = String::new();
    for (name, value) in labels {
        text.push_str(name);
        text.push('\u{0}');
        text.push_str(value);
        text.push('\u{1}');
    }
    xxh3_64(text.as_bytes())
}

/// What an alert is about: a service by name, a workload or pod of Kubernetes, the job that was scraped (unless that
/// is an exporter, which speaks of others), a machine; else the rule itself, so that rules about nothing known are not
/// taken for one thing. `only` gives the one known service of a plain name.
fn entity_of<'a>(
    only: &mut dyn FnMut(EntityId) -> EntityId,
    label: impl Fn(&str) -> Option<&'a str> + Copy,
) -> EntityId {
    let namespace = ["namespace", "service_namespace", "exported_namespace"].into_iter().find_map(label).unwrap_or("");
    let named = [
        "service",
        "service_name",
        "app",
        "app_kubernetes_io_name",
        "application",
        "deployment",
        "statefulset",
        "daemonset",
    ];
    let job = label("job");
    let is_exporter = job.is_some_and(|job| job.contains("exporter") || job.contains("kube-state-metrics"));
    // An exporter's own service label names the exporter.
    let named = named.into_iter().skip(if is_exporter { 2 } else { 0 }).find_map(label);
    if let Some(name) = named {
        return match (namespace, EntityId::parse(name)) {
            ("", Some(plain)) if !name.contains([':', '/']) => only(plain),
            ("", Some(full)) => full,
            _ => EntityId::new("service", namespace, name),
        };
    }
    if let Some(pod) = label("pod") {
        return EntityId::new("pod", namespace, pod);
    }
    if job.is_some() && !is_exporter {
        let entity = prometheus_entity(label);
        return if entity.namespace() == "default" { only(entity) } else { entity };
    }
    if let Some(machine) = ["node", "host", "hostname", "instance"].into_iter().find_map(label) {
        return prometheus_entity(|name| (name == "instance").then_some(machine));
    }
    EntityId::new("alert", namespace, label("alertname").unwrap_or("unknown"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use types::{Directory, MINUTE, SECOND};

    use super::*;

    fn set_up() -> (Ingest, Request) {
        let ingest = Ingest::new(Arc::new(Directory::default()), Limits::default(), 1);
        (ingest, Request { tenant: Default::default(), now: Time(1_800_000_000 * SECOND), backfill: false })
    }

    fn attributes(decoded: &Decoded, i: usize) -> Value {
        serde_json::from_str(decoded.batch.events.attributes.get(i)).unwrap()
    }

    fn entity(ingest: &Ingest, decoded: &Decoded, i: usize) -> String {
        ingest.directory.read().entity_id(decoded.batch.events.entity[i]).unwrap().to_string()
    }

    #[test]
    fn a_webhook_as_alertmanager_sends_it() {
        let (ingest, request) = set_up();
        let body = json!({"version": "4", "groupKey": "{}:{}", "truncatedAlerts": 2, "status": "firing", "receiver": "bw",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am",
        "alerts": [
            {"status": "firing", "labels": {"alertname": "HighErrors", "service": "pay", "severity": "critical"},
             "annotations": {"summary": "5 % of requests fail"}, "startsAt": "2027-01-15T07:58:00Z",
             "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prom/graph", "fingerprint": "abc"},
            {"status": "resolved", "labels": {"alertname": "HighErrors", "service": "cart"}, "annotations": {},
             "startsAt": "2027-01-15T07:00:00Z", "endsAt": "2027-01-15T07:59:00Z", "fingerprint": "abc"},
        ]});
        let decoded = ingest.alertmanager_webhook(&request, body.to_string().as_bytes()).unwrap();
        assert_eq!((decoded.written.events, decoded.rejected()), (2, 2));
        let (first, second) = (attributes(&decoded, 0), attributes(&decoded, 1));
        assert_eq!((&first["status"], &first["summary"]), (&json!("firing"), &json!("5 % of requests fail")));
        assert_eq!((first.get("ends_at"), &first["until_told"]), (None, &json!(true)));
        let end = second["ends_at"].as_str().and_then(Time::parse);
        assert_eq!((&second["status"], end), (&json!("resolved"), Time::parse("2027-01-15T07:59:00Z")));
        assert_ne!(
            first["fingerprint"], second["fingerprint"],
            "labels tell alerts apart, not what a sender calls them"
        );
        assert_eq!(entity(&ingest, &decoded, 0), "service:default/pay");
    }

    #[test]
    fn a_list_as_prometheus_sends_it() {
        let (ingest, request) = set_up();
        let end = request.now.plus(4 * MINUTE).rfc3339();
        let over = request.now.plus(-MINUTE).rfc3339();
        let body = json!([
            {"labels": {"alertname": "Down", "job": "pay", "instance": "a:9090"}, "startsAt": "2027-01-15T07:58:00Z", "endsAt": end},
            {"labels": {"instance": "a:9090", "job": "pay", "alertname": "Down"}, "endsAt": over},
        ]);
        let decoded = ingest.alerts(&request, body.to_string().as_bytes()).unwrap();
        let (first, second) = (attributes(&decoded, 0), attributes(&decoded, 1));
        assert_eq!((&first["status"], &second["status"]), (&json!("firing"), &json!("resolved")));
        assert_eq!(first["fingerprint"], second["fingerprint"], "order does not matter");
    }

    #[test]
    fn labels_say_what_an_alert_is_about() {
        let (ingest, request) = set_up();
        ingest.directory.write().entity(&EntityId::new("service", "shop", "pay"));
        let about = |labels: Value| {
            let body = json!([{"labels": labels}]).to_string();
            entity(&ingest, &ingest.alerts(&request, body.as_bytes()).unwrap(), 0)
        };
        assert_eq!(about(json!({"alertname": "A", "service": "pay"})), "service:shop/pay");
        assert_eq!(about(json!({"alertname": "A", "service": "shop/pay"})), "service:shop/pay");
        assert_eq!(about(json!({"alertname": "A", "job": "pay", "instance": "h:1"})), "service:shop/pay");
        assert_eq!(
            about(json!({"alertname": "A", "job": "node-exporter", "instance": "web1:9100"})),
            "host:default/web1"
        );
        assert_eq!(
            about(
                json!({"alertname": "A", "job": "kube-state-metrics", "service": "ksm", "namespace": "x", "deployment": "api"})
            ),
            "service:x/api"
        );
        assert_eq!(about(json!({"alertname": "A", "namespace": "x", "pod": "api-1"})), "pod:x/api-1");
        assert_eq!(about(json!({"alertname": "Watchdog"})), "alert:default/Watchdog");
    }

    #[test]
    fn new_entities_are_bounded() {
        let limits = Limits { max_resources: 2, ..Limits::default() };
        let ingest = Ingest::new(Arc::new(Directory::default()), limits, 1);
        let (_, request) = set_up();
        let alert = |name: &str| json!({"labels": {"alertname": "A", "service": name}});
        let body = Value::from(["a", "b", "c", "a"].map(alert).to_vec()).to_string();
        let decoded = ingest.alerts(&request, body.as_bytes()).unwrap();
        assert_eq!((decoded.written.events, decoded.rejected()), (3, 1));
        assert_eq!(decoded.reasons(), "service:default/c: a new entity, but there are very many already");
        assert_eq!(ingest.directory.read().entities().len(), 2);
    }

    #[test]
    fn one_bad_alert_does_not_spoil_the_others() {
        let (ingest, request) = set_up();
        let body = json!([
            {"labels": {"alertname": "Good"}},
            {"labels": {}},
            {"annotations": {}},
            {"labels": {"alertname": "A"}, "startsAt": "yesterday"},
            {"labels": {"alertname": "A"}, "startsAt": "2027-01-15T07:58:00Z", "endsAt": "2027-01-15T07:00:00Z"},
            {"labels": {"alertname": "A"}, "status": "maybe"},
            {"labels": {"alertname": 7}},
            7,
        ]);
        let decoded = ingest.alerts(&request, body.to_string().as_bytes()).unwrap();
        assert_eq!((decoded.written.events, decoded.rejected()), (1, 7));
        let reasons = decoded.reasons();
        for part in ["alerts[1]: it has no labels", "alerts[3]: startsAt", "alerts[4]: endsAt", "alerts[5]: status"] {
            assert!(reasons.contains(part), "{part}: {reasons}");
        }
        let bad = |body: &str| ingest.alertmanager_webhook(&request, body.as_bytes()).unwrap_err().reason;
        assert!(bad("{}").contains("alerts is missing"));
        assert!(bad(r#"{"version": "3", "alerts": []}"#).contains("version"));
        assert!(ingest.alerts(&request, b"{}").unwrap_err().reason.contains("list"));
    }
}
