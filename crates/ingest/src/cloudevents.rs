//! CloudEvents 1.0 over HTTP to events: binary mode (attributes in `ce-` headers), structured mode
//! (`application/cloudevents+json`) and batches (`application/cloudevents-batch+json`).
//!
//! Events of type `dev.cdevents.*` are read as CDEvents; all others are kept under their type. Source and id name an
//! event: the same two come once. Source: CloudEvents specification and HTTP protocol binding, version 1.0.2.

use serde_json::Value;
use types::{EntityId, Time};

use crate::limits::show;
use crate::outside::{Names, Places, SENTENCE, Told, WORD, finish, percent_decoded};
use crate::{BadKind, BadRequest, Decoded, Ingest, Request, cdevents};

/// Most bytes of an attribute that names something.
const MOST_ATTRIBUTE: usize = 1024;

/// One event, its required attributes checked.
pub(crate) struct CloudEvent {
    pub id: String,
    pub source: String,
    pub kind: String,
    pub subject: Option<String>,
    pub time: Option<Time>,
    /// Where it is JSON.
    pub data: Option<Value>,
}

type Header<'h> = &'h dyn Fn(&str) -> Option<String>;

pub(crate) fn decode(
    ingest: &Ingest,
    request: &Request,
    header: Header,
    body: &[u8],
    places: &Places,
) -> Result<Decoded, BadRequest> {
    let content_type = header("content-type").unwrap_or_default().trim().to_ascii_lowercase();
    let media = content_type.split(';').next().unwrap_or("").trim();
    let is_batch = media.starts_with("application/cloudevents-batch");
    let is_structured = !is_batch && media.starts_with("application/cloudevents");
    if (is_batch || is_structured) && !media.ends_with("+json") {
        let reason = format!("content type {:?}: of CloudEvents only the JSON format is read", show(media));
        return Err(BadRequest { kind: BadKind::Unsupported, reason });
    }
    let events = match (is_batch, is_structured) {
        (true, _) => {
            let sent: Vec<Value> = json(body)?;
            ingest.limits.check_rows(sent.len())?;
            let one = |(i, value): (usize, Value)| (format!("events[{i}]"), structured(value));
            sent.into_iter().enumerate().map(one).collect()
        }
        (_, true) => vec![(String::new(), structured(json(body)?))],
        _ => vec![(String::new(), binary(header, media, body)?)],
    };
    let registry = ingest.directory.read();
    let mut names = Names::new(places, &registry);
    let mut told: Vec<(String, Result<Told, String>)> = Vec::with_capacity(events.len());
    for (place, event) in events {
        told.push((place, event.and_then(|event| tell(request, &event, places, &mut names))));
    }
    drop(registry);
    // An event alone is wrong as a whole.
    if !is_batch && let Some((_, Err(reason))) = told.first() {
        return Err(BadRequest::malformed(reason.clone()));
    }
    finish(ingest, request, told)
}

fn json<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, BadRequest> {
    serde_json::from_slice(body).map_err(|e| BadRequest::malformed(show(&e.to_string())))
}

/// An event whose attributes stand in headers; the body is its data.
fn binary(header: Header, media: &str, body: &[u8]) -> Result<Result<CloudEvent, String>, BadRequest> {
    let is_there = ["ce-specversion", "ce-id", "ce-source", "ce-type"].iter().any(|name| header(name).is_some());
    if !is_there {
        return Err(BadRequest::malformed(
            "this is no CloudEvent: send content type application/cloudevents+json, or headers ce-specversion, ce-id, \
             ce-source and ce-type",
        ));
    }
    let attribute = |name: &str| {
        let Some(sent) = header(&format!("ce-{name}")) else { return Ok(None) };
        let plain = unquoted(sent.trim());
        percent_decoded(plain.as_bytes(), false).map(Some).ok_or_else(|| format!("ce-{name} is no UTF-8"))
    };
    let data = match is_json(media) && !body.is_empty() {
        true => Some(json(body)?),
        false => None,
    };
    Ok(checked(attribute, data))
}

/// An event as one JSON object.
fn structured(mut event: Value) -> Result<CloudEvent, String> {
    let data = event.get_mut("data").map(Value::take);
    let media = event.get("datacontenttype").and_then(Value::as_str).unwrap_or("application/json").to_ascii_lowercase();
    let data = match data {
        // JSON may also come as text.
        Some(Value::String(text)) if is_json(&media) => serde_json::from_str(&text).ok().or(Some(Value::String(text))),
        data => data.filter(|_| is_json(&media)),
    };
    if !event.is_object() {
        return Err("an event is a JSON object".to_owned());
    }
    let attribute = |name: &str| match event.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("{name} must be a string")),
    };
    checked(attribute, data)
}

fn checked(
    attribute: impl Fn(&str) -> Result<Option<String>, String>,
    data: Option<Value>,
) -> Result<CloudEvent, String> {
    let bounded = |name: &str| match attribute(name)? {
        Some(text) if text.len() > MOST_ATTRIBUTE => Err(format!("{name} is longer than {MOST_ATTRIBUTE} bytes")),
        text => Ok(text.filter(|text| !text.trim().is_empty())),
    };
    let required = |name: &str| bounded(name)?.ok_or_else(|| format!("{name} is missing; every CloudEvent has one"));
    let version = required("specversion")?;
    if version != "1.0" {
        return Err(format!("specversion {:?}: only 1.0 is read", show(&version)));
    }
    let (id, source, kind) = (required("id")?, required("source")?, required("type")?);
    let time = match bounded("time")? {
        None => None,
        Some(text) => Some(
            Time::parse(text.trim())
                .ok_or_else(|| format!("time {:?} is not a time: RFC 3339 is expected", show(&text)))?,
        ),
    };
    Ok(CloudEvent { id, source, kind, subject: bounded("subject")?, time, data })
}

fn tell(request: &Request, event: &CloudEvent, places: &Places, names: &mut Names) -> Result<Told, String> {
    let told = match event.kind.strip_prefix("dev.cdevents.") {
        Some(kind) => cdevents::tell(event, kind, places, names)?,
        None => plain(event),
    };
    let told = told.word("type", Some(&event.kind)).word("source", Some(&event.source));
    Ok(told.at(event.time).key(request, &["cloudevent", &event.source, &event.id]))
}

/// An event of a type that is not understood: kept, about its source.
fn plain(event: &CloudEvent) -> Told {
    let source: String = event.source.chars().take(WORD).collect();
    let told = Told::event(&event.kind, EntityId::new("source", "", &source));
    told.text("subject", event.subject.as_deref(), SENTENCE).data(event.data.as_ref())
}

fn is_json(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or("").trim();
    media.is_empty() || media.ends_with("/json") || media.ends_with("+json")
}

/// A header value without the quotation marks that older senders put around it.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return text.to_owned() };
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::outside::fixtures::{Host, header_of};

    fn event(id: &str) -> Value {
        json!({"specversion": "1.0", "type": "com.example.someevent", "source": "/mycontext", "id": id,
            "time": "2027-01-15T07:59:00Z", "subject": "a thing", "traceparent": "00-x",
            "data": {"appinfoA": "abc", "token": "abc123secretvalue"}})
    }

    fn send(host: &Host, content_type: &str, body: &str) -> Result<Decoded, BadRequest> {
        let header = header_of(&[("content-type", content_type)]);
        host.ingest.cloudevents(&host.request, &header, body.as_bytes(), &Places::default())
    }

    #[test]
    fn an_unknown_type_is_kept_as_it_is_without_its_secrets() {
        let host = Host::new();
        let decoded = send(&host, "application/cloudevents+json; charset=UTF-8", &event("A234").to_string()).unwrap();
        let (kind, entity, attributes) = host.row(&decoded, 0);
        assert_eq!((kind.as_str(), entity.as_str()), ("event.com.example.someevent", "source:default//mycontext"));
        assert_eq!(attributes["data"], json!({"appinfoA": "abc", "token": "[masked]"}));
        assert_eq!((&attributes["subject"], &attributes["source"]), (&json!("a thing"), &json!("/mycontext")));
        assert_eq!(decoded.batch.events.time[0], Time::parse("2027-01-15T07:59:00Z").unwrap().0);
        assert_eq!(attributes["id"], json!(decoded.ids[0]));
    }

    #[test]
    fn binary_mode_reads_headers_as_the_binding_says() {
        let host = Host::new();
        let headers = [
            ("content-type", "application/json; charset=utf-8"),
            ("ce-specversion", "1.0"),
            ("ce-type", "com.example.someevent"),
            ("ce-time", "2027-01-15T07:59:00Z"),
            ("ce-id", "1234-1234-1234"),
            ("ce-source", "/mycontext/subcontext"),
            ("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
        ];
        let send = |headers: &[(&str, &str)], body: &str| {
            host.ingest.cloudevents(&host.request, &header_of(headers), body.as_bytes(), &Places::default())
        };
        let decoded = send(&headers, r#"{"a": 1}"#).unwrap();
        let (_, _, attributes) = host.row(&decoded, 0);
        assert_eq!((&attributes["subject"], &attributes["data"]), (&json!("Euro € 😀"), &json!({"a": 1})));
        let with = |name: &'static str, value: &'static str| {
            let mut headers = headers.to_vec();
            headers.retain(|(known, _)| *known != name);
            headers.push((name, value));
            send(&headers, "{}")
        };
        let quoted = with("ce-subject", r#""a \"b\" c""#).unwrap();
        assert_eq!(host.row(&quoted, 0).2["subject"], json!("a \"b\" c"));
        let reason = |name, value| with(name, value).unwrap_err().reason;
        assert!(reason("ce-subject", "%C0%A0").contains("ce-subject is no UTF-8"));
        assert!(reason("ce-specversion", "0.3").contains("specversion \"0.3\""));
        assert!(reason("ce-id", "").contains("id is missing"));
        assert!(reason("ce-time", "noon").contains("time \"noon\""));
        assert!(send(&[("content-type", "application/json")], "{}").unwrap_err().reason.contains("no CloudEvent"));
        let plain = with("content-type", "text/plain").unwrap();
        assert_eq!(host.row(&plain, 0).2.get("data"), None, "only JSON is kept");
    }

    #[test]
    fn a_batch_takes_what_is_good_and_each_event_once() {
        let host = Host::new();
        let batch = json!([event("1"), event("2"), event("1"), {"specversion": "1.0"}, 7,
            {"specversion": "1.0", "id": "3", "source": "s", "type": 9}]);
        let media = "application/cloudevents-batch+json";
        let decoded = send(&host, media, &batch.to_string()).unwrap();
        assert_eq!((decoded.written.events, decoded.written.repeated, decoded.rejected()), (2, 1, 3));
        let reasons = decoded.reasons();
        assert!(reasons.contains("events[3]: id is missing") && reasons.contains("events[5]: type must be a string"));
        assert_eq!(send(&host, media, &batch.to_string()).unwrap().written.events, 2, "not durable, so not yet taken");
        host.ingest.taken(&decoded.once);
        let again = send(&host, media, &batch.to_string()).unwrap();
        assert_eq!((again.written.events, again.written.repeated), (0, 3));
        assert_eq!(send(&host, media, "[]").unwrap().written.events, 0, "a batch may be empty");
        assert!(send(&host, media, "{}").is_err());
    }

    #[test]
    fn what_is_known_survives_a_restart_if_it_is_recalled() {
        let (host, later) = (Host::new(), Host::new());
        let decoded = send(&host, "application/cloudevents+json", &event("1").to_string()).unwrap();
        later.ingest.recall(decoded.batch.events.attributes.get(0));
        let again = send(&later, "application/cloudevents+json", &event("1").to_string()).unwrap();
        assert_eq!((again.written.events, again.written.repeated), (0, 1));
    }

    #[test]
    fn wrong_bodies_are_refused_with_a_reason() {
        let host = Host::new();
        let reason = |media: &str, body: &str| send(&host, media, body).unwrap_err();
        assert_eq!(reason("application/cloudevents+avro", "").kind, BadKind::Unsupported);
        assert!(reason("application/cloudevents+json", "{").reason.contains("EOF"));
        assert!(reason("application/cloudevents+json", "[]").reason.contains("JSON object"));
        let deep = "[".repeat(100_000);
        assert!(reason("application/cloudevents+json", &deep).reason.contains("recursion"));
        let mut old = event("1");
        old["time"] = json!("2018-04-05T17:31:00Z");
        let decoded = send(&host, "application/cloudevents+json", &old.to_string()).unwrap();
        assert!(decoded.reasons().contains("older than the retention"), "{}", decoded.reasons());
    }
}
