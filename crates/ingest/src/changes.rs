//! Changes (`POST /api/v1/changes`) and labels (`POST /api/v1/labels`) to events.
//!
//! People and pipelines write these by hand, so they are taken whole or not at all, and errors name the field.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use types::{Batch, EntityId, EntityKey, Events, Registry, Time};
use xxhash_rust::xxh3::xxh3_64;

use crate::limits::{Window, show};
use crate::{BadRequest, Decoded, Ingest, Request, Written};

/// A change as it is sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    entity: String,
    kind: String,
    version: Option<String>,
    at: Option<String>,
    author: Option<String>,
    link: Option<String>,
    attributes: Option<Map<String, Value>>,
}

/// The true outcome of a prediction as it is sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    model: String,
    prediction_id: String,
    value: Value,
    at: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelList {
    labels: Vec<Label>,
}

/// An event before it has its entity's number.
struct Event {
    entity: EntityId,
    kind: String,
    at: Time,
    attributes: Map<String, Value>,
}

/// One change or a list of them to events of kind `change.<kind>`, with attributes
/// `{"id","version"?,"author"?,"link"?,"attributes"?}`.
pub(crate) fn decode(ingest: &Ingest, request: &Request, body: &[u8]) -> Result<Decoded, BadRequest> {
    let is_list = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
    let changes: Vec<Change> = if is_list { parse(body)? } else { vec![parse(body)?] };
    let mut events = Vec::with_capacity(changes.len());
    for (i, change) in changes.into_iter().enumerate() {
        let event = change_event(ingest, request, change);
        events.push(event.map_err(|reason| at_index(is_list, i, &reason))?);
    }
    finish(ingest, request, events)
}

/// A list of labels to events of kind `label`, with attributes `{"id","model","prediction_id","value"}`.
pub(crate) fn decode_labels(ingest: &Ingest, request: &Request, body: &[u8]) -> Result<Decoded, BadRequest> {
    let list: LabelList = parse(body)?;
    let mut events = Vec::with_capacity(list.labels.len());
    for (i, label) in list.labels.into_iter().enumerate() {
        let event = label_event(ingest, request, label);
        events.push(event.map_err(|reason| at_index(true, i, &reason))?);
    }
    finish(ingest, request, events)
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, BadRequest> {
    serde_json::from_slice(body).map_err(|e| BadRequest::malformed(show(&e.to_string())))
}

fn at_index(is_list: bool, i: usize, reason: &str) -> BadRequest {
    BadRequest::malformed(if is_list { format!("item {i}: {reason}") } else { reason.to_owned() })
}

fn change_event(ingest: &Ingest, request: &Request, change: Change) -> Result<Event, String> {
    let at = read_time(ingest, request, change.at.as_deref())?;
    let kind = change.kind.trim().strip_prefix("change.").unwrap_or(change.kind.trim()).to_lowercase();
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if kind.is_empty() || kind.len() > 64 || !kind.chars().all(is_word) {
        let sent = show(&change.kind);
        return Err(format!("kind {sent:?} must be 1 to 64 letters, digits, '_', '-' or '.', e.g. deployment"));
    }
    let entity = find_entity(ingest, &change.entity, at)?;
    if let Some(link) = &change.link
        && !(link.starts_with("https://") || link.starts_with("http://"))
    {
        return Err(format!("link {:?} must begin with https:// or http://", show(link)));
    }
    let mut attributes = Map::new();
    for (name, value) in [("version", change.version), ("author", change.author), ("link", change.link)] {
        if let Some(value) = value {
            attributes.insert(name.into(), Value::String(value));
        }
    }
    if let Some(own) = change.attributes {
        if own.len() > ingest.limits.max_attributes {
            return Err(format!("{} attributes, more than max_attributes {}", own.len(), ingest.limits.max_attributes));
        }
        attributes.insert("attributes".into(), Value::Object(own));
    }
    check_size(ingest, &attributes)?;
    Ok(Event { entity, kind: format!("change.{}", types::change::usual_kind(&kind)), at, attributes })
}

fn label_event(ingest: &Ingest, request: &Request, label: Label) -> Result<Event, String> {
    let at = read_time(ingest, request, label.at.as_deref())?;
    if label.prediction_id.trim().is_empty() {
        return Err("prediction_id is empty".into());
    }
    let entity = match label.model.contains(':') {
        true => find_entity(ingest, &label.model, at)?,
        false if label.model.trim().is_empty() => return Err("model is empty".into()),
        false => ingest.resolver().resolve_id(EntityId::new("model", "", &label.model), at).entity,
    };
    let Value::Object(attributes) =
        json!({"model": label.model, "prediction_id": label.prediction_id, "value": label.value})
    else {
        return Err("not an object".into());
    };
    check_size(ingest, &attributes)?;
    Ok(Event { entity, kind: "label".into(), at, attributes })
}

fn check_size(ingest: &Ingest, attributes: &Map<String, Value>) -> Result<(), String> {
    let max = ingest.limits.max_attribute_value_len;
    match attributes.iter().map(|(name, value)| (name, value.to_string().len())).find(|(_, len)| *len > max) {
        Some((name, len)) => Err(format!("{name} has {len} bytes, more than max_attribute_value_len {max}")),
        None => Ok(()),
    }
}

fn read_time(ingest: &Ingest, request: &Request, sent: Option<&str>) -> Result<Time, String> {
    let Some(sent) = sent else {
        return Ok(request.now);
    };
    let time = Time::parse(sent.trim()).ok_or_else(|| {
        format!("at {:?} is not a time; write RFC 3339 with an offset, e.g. 2026-01-02T03:04:05Z", show(sent))
    })?;
    let window = Window::new(request, &ingest.limits);
    let unsigned = u64::try_from(time.0).map_err(|_| format!("at {} lies before 1970", show(sent)))?;
    window.check_unsigned(unsigned).map(Time).map_err(|off| window.reason(off, "at", &show(sent)))
}

/// Reads an entity. A plain name means the one known service of that name, in whichever namespace; where none or
/// several are known it is the service of the namespace `default`.
fn find_entity(ingest: &Ingest, sent: &str, at: Time) -> Result<EntityId, String> {
    let parsed = EntityId::parse(sent)
        .ok_or_else(|| format!("entity {:?} is not kind:namespace/name, e.g. service:shop/payments", show(sent)))?;
    let is_plain = !sent.contains([':', '/']);
    let found = if is_plain { only_service(&ingest.directory.read(), parsed) } else { parsed };
    Ok(ingest.resolver().resolve_id(found, at).entity)
}

pub(crate) fn only_service(registry: &Registry, plain: EntityId) -> EntityId {
    registry.known_service(&plain).unwrap_or(plain)
}

fn finish(ingest: &Ingest, request: &Request, sent: Vec<Event>) -> Result<Decoded, BadRequest> {
    ingest.limits.check_rows(sent.len())?;
    let keys: Vec<EntityKey> = {
        let mut registry = ingest.directory.write();
        sent.iter().map(|event| registry.entity(&event.entity)).collect()
    };
    let mut events = Events::default();
    let mut ids = Vec::with_capacity(sent.len());
    for (mut event, key) in sent.into_iter().zip(keys) {
        let id = event_id(request, &event);
        event.attributes.insert("id".into(), Value::String(id.clone()));
        events.push(event.at.0, key, &event.kind, &Value::Object(event.attributes).to_string());
        ids.push(id);
    }
    let written = Written { events: events.len() as u64, ..Written::default() };
    Ok(Decoded { batch: Batch { events, ..request.batch() }, rejects: Vec::new(), written, ids, once: Vec::new() })
}

/// Hash of what was said: saying it twice (with its time) gives the same id.
fn event_id(request: &Request, event: &Event) -> String {
    let attributes = Value::Object(event.attributes.clone()).to_string();
    let parts = [request.tenant.as_str(), event.entity.as_str(), &event.kind, &event.at.rfc3339(), &attributes];
    format!("{:016x}", xxh3_64(parts.join("\0").as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use types::{Directory, MINUTE, SECOND};

    use super::*;
    use crate::Limits;

    fn set_up() -> (Ingest, Request) {
        let ingest = Ingest::new(Arc::new(Directory::default()), Limits::default(), 1);
        (ingest, Request { tenant: Default::default(), now: Time(1_800_000_000 * SECOND), backfill: false })
    }

    #[test]
    fn a_change_becomes_an_event() {
        let (ingest, request) = set_up();
        let at = request.now.plus(-MINUTE);
        let body = json!({"entity": "service:shop/pay", "kind": "deployment", "version": "2.1", "at": at.rfc3339(),
            "author": "ada", "link": "https://ci/7", "attributes": {"canary": true}});
        let decoded = ingest.changes(&request, body.to_string().as_bytes()).unwrap();
        let events = &decoded.batch.events;
        assert_eq!((events.time[0], events.kind.get(0)), (at.0, "change.deployment"));
        let attributes: Value = serde_json::from_str(events.attributes.get(0)).unwrap();
        assert_eq!(attributes["version"], "2.1");
        assert_eq!(attributes["attributes"]["canary"], true);
        assert_eq!(attributes["id"], decoded.ids[0].as_str());
        let again = ingest.changes(&request, body.to_string().as_bytes()).unwrap();
        assert_eq!(again.ids, decoded.ids);
    }

    #[test]
    fn a_plain_name_finds_the_one_service_it_can_mean() {
        let (ingest, request) = set_up();
        let entity_of = |name: &str| {
            let body = json!([{"entity": name, "kind": "config"}]).to_string();
            let decoded = ingest.changes(&request, body.as_bytes()).unwrap();
            let registry = ingest.directory.read();
            registry.entity_id(decoded.batch.events.entity[0]).unwrap().as_str().to_owned()
        };
        assert_eq!(entity_of("unheard"), "service:default/unheard");
        ingest.directory.write().entity(&EntityId::new("service", "shop", "pay"));
        assert_eq!(entity_of("pay"), "service:shop/pay");
        ingest.directory.write().entity(&EntityId::new("service", "other", "pay"));
        assert_eq!(entity_of("pay"), "service:default/pay", "two could be meant");
    }

    #[test]
    fn errors_name_the_field() {
        let (ingest, request) = set_up();
        let reason = |body: Value| ingest.changes(&request, body.to_string().as_bytes()).unwrap_err().reason;
        assert!(reason(json!({"entity": "a", "kind": "x", "verison": "1"})).contains("verison"));
        assert!(reason(json!({"entity": "a", "kind": "x", "at": "yesterday"})).contains("RFC 3339"));
        assert!(reason(json!({"entity": "a", "kind": "x", "at": "2400-01-01T00:00:00Z"})).contains("at"));
        assert!(reason(json!({"entity": "a", "kind": "x", "at": "2200-01-01T00:00:00Z"})).contains("future"));
        assert!(reason(json!([{"entity": "a", "kind": "x"}, {"entity": "a", "kind": "a b"}])).contains("item 1: kind"));
        assert!(reason(json!({"entity": "a", "kind": "x", "link": "javascript:alert(1)"})).contains("link"));
        assert!(reason(json!({"entity": " ", "kind": "x"})).contains("entity"));
        assert!(reason(json!({"kind": "x"})).contains("entity"));
    }

    #[test]
    fn labels_become_events_of_their_model() {
        let (ingest, request) = set_up();
        let body = json!({"labels": [{"model": "churn", "prediction_id": "p1", "value": 1},
            {"model": "churn", "prediction_id": "p2", "value": "yes"}]});
        let decoded = ingest.labels(&request, body.to_string().as_bytes()).unwrap();
        assert_eq!(decoded.written.events, 2);
        assert_ne!(decoded.ids[0], decoded.ids[1]);
        let registry = ingest.directory.read();
        assert_eq!(registry.entity_id(decoded.batch.events.entity[0]).unwrap().as_str(), "model:default/churn");
        let body = json!({"labels": [{"model": "churn", "prediction_id": "", "value": 1}]});
        drop(registry);
        assert!(ingest.labels(&request, body.to_string().as_bytes()).unwrap_err().reason.contains("prediction_id"));
    }
}
