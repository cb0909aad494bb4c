//! `traces/…`, and spans that come with the id of an experiment.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    pages,
    said::{
        Said,
        Type::{Bool, Int, List, Object, Text, Texts},
        at_most, may, need,
    },
};
use crate::{
    Book, Code, Pairs, Problem, limits,
    search::{Cell, Filter, Group, Item, Kind, Order},
    traces::Trace,
};

/// Where spans are: MLflow's word for the tracking server itself.
const SPANS_LOCATION: &str = "mlflow.trace.spansLocation";
/// The attribute of a span that repeats the id of its trace.
const REQUEST_ID: &str = "mlflow.traceRequestId";
const TRACE_NAME: &str = "mlflow.traceName";
const SOURCE_RUN: &str = "mlflow.sourceRun";
/// Tags of a trace that clients do not set.
const FIXED_TAGS: [&str; 3] = [SPANS_LOCATION, "mlflow.trace.archiveLocation", "mlflow.trace.archivalFailure"];
/// The metadata of a feedback's or expectation's kind.
const ASSESSED: [&str; 3] = ["feedback", "expectation", "issue"];
/// How a trace may stand.
const STATES: [&str; 3] = ["OK", "ERROR", "IN_PROGRESS"];
/// Characters of a preview.
const PREVIEW: usize = 1000;

pub(super) fn start(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[need("trace", Object)])?;
    let info = said.get("trace").and_then(|trace| trace.get("trace_info")).unwrap_or(&Value::Null);
    let text = |name: &str| info[name].as_str().map(str::to_owned);
    let place = &info["trace_location"]["mlflow_experiment"]["experiment_id"];
    let mut trace = Trace {
        id: text("trace_id").unwrap_or_default(),
        experiment: limits::experiment_id(place.as_str().unwrap_or_default())?,
        request_time: text("request_time").as_deref().and_then(instant).unwrap_or(0),
        duration: text("execution_duration").as_deref().and_then(duration),
        state: text("state").filter(|s| STATES.contains(&s.as_str())).unwrap_or_else(|| "STATE_UNSPECIFIED".into()),
        request_preview: text("request_preview"),
        response_preview: text("response_preview"),
        client_request_id: text("client_request_id"),
        metadata: map(&info["trace_metadata"]),
        tags: map(&info["tags"]).into_iter().map(|(k, v)| (k, limits::cut(limits::TAG_VALUE, &v))).collect(),
        ..Trace::default()
    };
    if trace.id.is_empty() {
        return Err(Problem::invalid("A trace needs a trace_id."));
    }
    for said in info["assessments"].as_array().into_iter().flatten().filter_map(Value::as_object) {
        let mut said = said.clone();
        said.entry("assessment_id").or_insert_with(|| format!("a-{}", crate::ids::hex()).into());
        trace.assessments.push(said);
    }
    trace.metadata.insert("mlflow.trace.infoFinalized".into(), "true".into());
    let trace = book.start_trace(trace)?;
    Ok(json!({"trace": {"trace_info": info_of(trace)}}))
}

fn map(value: &Value) -> Pairs {
    let pair = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    value.as_object().into_iter().flatten().filter_map(pair).collect()
}

/// The description of a trace.
fn info_of(trace: &Trace) -> Value {
    let place =
        json!({"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": trace.experiment.to_string()}});
    let mut info = json!({
        "trace_id": trace.id, "trace_location": place, "request_time": written(trace.request_time), "state": trace.state,
        "tags": trace.tags,
    });
    let optional = [
        ("client_request_id", &trace.client_request_id),
        ("request_preview", &trace.request_preview),
        ("response_preview", &trace.response_preview),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            info[name] = value.clone().into();
        }
    }
    if let Some(ms) = trace.duration {
        let fraction = if ms % 1000 == 0 { String::new() } else { format!(".{:03}", ms % 1000) };
        info["execution_duration"] = format!("{}{fraction}s", ms / 1000).into();
    }
    if !trace.metadata.is_empty() {
        info["trace_metadata"] = json!(trace.metadata);
    }
    if !trace.assessments.is_empty() {
        info["assessments"] = json!(trace.assessments);
    }
    info
}

fn whole(trace: &Trace) -> Value {
    json!({"trace_info": info_of(trace), "spans": trace.spans})
}

pub(super) fn get_info(book: &Book, said: &Said) -> Result<Value, Problem> {
    Ok(json!({"trace": {"trace_info": info_of(book.trace(said.of_path("trace_id"))?)}}))
}

pub(super) fn get(book: &Book, said: &Said) -> Result<Value, Problem> {
    let id = said.check(&[need("trace_id", Text), may("allow_partial", Bool)])?.text("trace_id");
    said.flag("allow_partial")?;
    let trace = book.trace(id).map_err(|_| Problem::missing(format!("Trace with ID {id} is not found.")))?;
    if trace.spans.is_empty() {
        return Err(Problem { code: Code::InternalError, message: "Trace data not stored in tracking store".into() });
    }
    Ok(json!({"trace": whole(trace)}))
}

pub(super) fn get_many(book: &Book, said: &Said) -> Result<Value, Problem> {
    let ids = said.check(&[need("trace_ids", Texts)])?.texts("trace_ids");
    let found: Vec<Value> = ids.iter().filter_map(|id| book.trace(id).ok()).map(whole).collect();
    Ok(if found.is_empty() { json!({}) } else { json!({"traces": found}) })
}

pub(super) fn get_infos(book: &Book, said: &Said) -> Result<Value, Problem> {
    let ids = said.check(&[need("trace_ids", Texts)])?.texts("trace_ids");
    let found: Vec<Value> = ids.iter().filter_map(|id| book.trace(id).ok()).map(info_of).collect();
    Ok(if found.is_empty() { json!({}) } else { json!({"trace_infos": found}) })
}

pub(super) fn search(book: &Book, said: &Said) -> Result<Value, Problem> {
    said.check(&[
        need("locations", List),
        may("filter", Text),
        may("max_results", Int),
        may("order_by", Texts),
        may("page_token", Text),
    ])?;
    at_most("max_results", said, 500)?;
    let size = pages::size(said.int("max_results"), 100)?;
    let filter = Filter::parse(Kind::Traces, said.text("filter"))?;
    let order = Order::parse(Kind::Traces, &said.texts("order_by"))?;
    let offset = pages::offset(said.text("page_token"))?;
    let mut found: Vec<&Trace> = Vec::new();
    for place in said.list("locations") {
        let id = place["mlflow_experiment"]["experiment_id"].as_str().unwrap_or_default();
        found.extend(book.traces_of(limits::experiment_id(id)?).filter(|trace| filter.allows(*trace)));
    }
    found.sort_by(|a, b| order.compare(*a, *b));
    let page: Vec<Value> = found.into_iter().skip(offset).take(size).map(info_of).collect();
    // As MLflow does it: a full page may have a next one.
    let next = (page.len() == size).then(|| pages::token(offset + size));
    Ok(pages::listed("traces", page, next))
}

pub(super) fn delete_many(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[
        need("experiment_id", Text),
        may("max_timestamp_millis", Int),
        may("max_traces", Int),
        may("request_ids", Texts),
        may("trace_ids", Texts),
    ])?;
    let experiment = limits::experiment_id(said.text("experiment_id"))?;
    let mut ids = said.texts("request_ids");
    ids.extend(said.texts("trace_ids"));
    let (before, most) = (said.int("max_timestamp_millis"), said.int("max_traces"));
    let wrong = match (before, ids.is_empty(), most) {
        (None, true, _) => "Either `max_timestamp_millis` or `trace_ids` must be specified.".to_owned(),
        (Some(_), false, _) => "Only one of `max_timestamp_millis` and `trace_ids` can be specified.".to_owned(),
        (None, false, Some(_)) => "`max_traces` can't be specified if `trace_ids` is specified.".to_owned(),
        (_, _, Some(most)) if most < 1 => format!("`max_traces` must be a positive integer, received {most}."),
        _ => String::new(),
    };
    if !wrong.is_empty() {
        return Err(Problem::invalid(wrong));
    }
    let is_wanted =
        |trace: &Trace| before.map_or_else(|| ids.contains(&trace.id), |before| trace.request_time <= before);
    let most = most.map_or(usize::MAX, |most| most as usize);
    Ok(json!({"traces_deleted": book.delete_traces(experiment, is_wanted, most)}))
}

pub(super) fn link_to_run(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[need("trace_ids", Texts), need("run_id", Text)])?;
    let ids = said.texts("trace_ids");
    if ids.len() > 100 {
        return Err(Problem::invalid(format!(
            "Cannot link more than 100 traces to a run in a single request. Provided {} traces.",
            ids.len()
        )));
    }
    for id in ids {
        let _ = book.link_trace(&id, said.text("run_id"));
    }
    Ok(json!({}))
}

pub(super) fn set_tag(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[need("key", Text), may("value", Text)])?;
    let key = said.text("key");
    if FIXED_TAGS.contains(&key) {
        return Err(Problem::invalid(format!("Tag '{key}' is immutable and cannot be set on a trace.")));
    }
    limits::key("key", key)?;
    limits::length("key", limits::KEY, key)?;
    book.set_trace_tag(said.of_path("trace_id"), key, &limits::cut(limits::TAG_VALUE, said.text("value")))
        .map_err(|problem| Problem { code: Code::BadRequest, ..problem })?;
    Ok(json!({}))
}

pub(super) fn delete_tag(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    book.delete_trace_tag(said.of_path("trace_id"), said.check(&[need("key", Text)])?.text("key"))?;
    Ok(json!({}))
}

/// What somebody says of a trace, as it is kept.
fn assessment(said: &Said, at: i64) -> Result<Map<String, Value>, Problem> {
    let body = said.check(&[need("assessment", Object)])?.get("assessment").and_then(Value::as_object);
    let mut kept = body.cloned().unwrap_or_default();
    if let Some(expectation) = kept.get_mut("expectation").and_then(Value::as_object_mut) {
        let is_said = |name: &str| expectation.get(name).is_some_and(|value| !value.is_null());
        if !is_said("value") && !is_said("serialized_value") {
            return Err(Problem::invalid("The `value` field must be specified."));
        }
        // A list or an object is kept as a text.
        if let Some(value) = expectation.get("value").filter(|v| v.is_object() || v.is_array()).map(Value::to_string) {
            expectation.remove("value");
            let text = json!({"serialization_format": "JSON_FORMAT", "value": value});
            expectation.insert("serialized_value".into(), text);
        }
    }
    for time in ["create_time", "last_update_time"] {
        kept.entry(time).or_insert_with(|| written(at).into());
    }
    Ok(kept)
}

pub(super) fn create_assessment(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    let mut kept = assessment(said, at)?;
    if !ASSESSED.iter().any(|kind| kept.contains_key(*kind)) {
        return Err(Problem::invalid("Unknown assessment type: None"));
    }
    let id = said.of_path("trace_id");
    kept.insert("valid".into(), true.into());
    let overridden = kept.get("overrides").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
    if let Some(other) = &overridden {
        book.update_assessment(id, other, Map::from_iter([("valid".to_owned(), false.into())]))?;
    }
    Ok(json!({"assessment": book.add_assessment(id, kept)?}))
}

pub(super) fn get_assessment(book: &Book, said: &Said) -> Result<Value, Problem> {
    let id = said.of_path("trace_id");
    book.trace(id).map_err(|_| Problem::missing(format!("Trace with request_id '{id}' not found")))?;
    Ok(json!({"assessment": book.assessment(id, said.of_path("assessment_id"))?}))
}

pub(super) fn update_assessment(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    let body = assessment(said, at)?;
    said.check(&[need("update_mask", Text)])?;
    let (id, which) = (said.of_path("trace_id"), said.of_path("assessment_id"));
    let known = book.assessment(id, which)?.clone();
    let mut fields = Map::new();
    for path in said.text("update_mask").split(',') {
        let name = snake(path);
        for (this, other) in [("feedback", "Expectation"), ("expectation", "Feedback")] {
            if name == this && !known.contains_key(this) {
                return Err(Problem::invalid(format!("Cannot update {this} value on a {other} assessment.")));
            }
        }
        let Some(value) = body.get(&name) else { continue };
        match (name.as_str(), value, known.get(&name)) {
            ("metadata", Value::Object(new), Some(Value::Object(old))) => {
                let mut merged = old.clone();
                merged.extend(new.clone());
                fields.insert(name, merged.into());
            }
            ("assessment_name" | "feedback" | "expectation" | "rationale" | "metadata", ..) => {
                fields.insert(name, value.clone());
            }
            _ => {}
        }
    }
    fields.insert("last_update_time".into(), written(at).into());
    Ok(json!({"assessment": book.update_assessment(id, which, fields)?}))
}

pub(super) fn delete_assessment(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    let (id, which) = (said.of_path("trace_id"), said.of_path("assessment_id"));
    let overridden =
        book.assessment(id, which).ok().and_then(|said| said.get("overrides")?.as_str().map(str::to_owned));
    book.delete_assessment(id, which)?;
    if let Some(other) = overridden {
        let _ = book.update_assessment(id, &other, Map::from_iter([("valid".to_owned(), true.into())]));
    }
    Ok(json!({}))
}

/// A name in camel case as MLflow's messages have it.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.trim().chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// Spans of one trace that came with the id of an experiment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanSet {
    /// Thirty-two hexadecimal digits.
    pub trace: String,
    /// The spans, as OTLP in JSON with names as MLflow has them.
    pub spans: Vec<Value>,
    /// `service.name` of who sent them.
    pub service: Option<String>,
}

/// Takes in spans of one trace: what is known of the trace follows from them where nobody told it.
pub fn receive_spans(book: &mut Book, experiment: &str, run: Option<&str>, set: SpanSet) -> Result<(), Problem> {
    let experiment = book.active_experiment(experiment)?.id;
    let id = format!("tr-{}", set.trace);
    let known = book.trace(&id).ok();
    let request_id = json!({"key": REQUEST_ID, "value": {"string_value": id}});
    let mut set = set;
    for attributes in set.spans.iter_mut().filter_map(|span| span["attributes"].as_array_mut()) {
        if !attributes.iter().any(|attribute| attribute["key"] == REQUEST_ID) {
            attributes.push(request_id.clone());
        }
    }
    let mut spans: BTreeMap<String, Value> = BTreeMap::new();
    for span in known.into_iter().flat_map(|trace| trace.spans.iter().cloned()).chain(set.spans) {
        spans.insert(span["span_id"].as_str().unwrap_or_default().to_owned(), span);
    }
    let mut spans: Vec<Value> = spans.into_values().collect();
    spans.sort_by_key(|span| span["start_time_unix_nano"].as_i64());
    let is_told = known.is_some_and(|trace| trace.metadata.contains_key("mlflow.trace.infoFinalized"));
    let mut trace = known.cloned().unwrap_or_else(|| Trace { id, experiment, ..Trace::default() });
    if !is_told {
        describe(&mut trace, &spans);
    }
    if let Some(service) = set.service {
        trace.tags.entry("service.name".into()).or_insert(service);
    }
    if let Some(run) = run.filter(|run| !run.is_empty()) {
        trace.metadata.insert(SOURCE_RUN.into(), run.to_owned());
    }
    trace.tags.insert(SPANS_LOCATION.into(), "TRACKING_STORE".into());
    trace.spans = spans;
    // What is known is in it already.
    trace.assessments.clear();
    book.start_trace(trace).map(drop)
}

/// Times, state and previews of a trace from its spans.
fn describe(trace: &mut Trace, spans: &[Value]) {
    let start = spans.iter().filter_map(|span| span["start_time_unix_nano"].as_i64()).min().unwrap_or(0);
    let end = spans.iter().filter_map(|span| span["end_time_unix_nano"].as_i64()).max().unwrap_or(start);
    trace.request_time = start / 1_000_000;
    trace.duration = Some(end / 1_000_000 - start / 1_000_000);
    let root = spans.iter().find(|span| span.get("parent_span_id").is_none());
    trace.state = match root.map(|span| span["status"]["code"] == "STATUS_CODE_ERROR") {
        None => "IN_PROGRESS".into(),
        Some(true) => "ERROR".into(),
        Some(false) => "OK".into(),
    };
    let Some(root) = root else { return };
    if let Some(name) = root["name"].as_str() {
        trace.tags.entry(TRACE_NAME.into()).or_insert_with(|| name.to_owned());
    }
    trace.request_preview = preview(root, "mlflow.spanInputs").or(trace.request_preview.take());
    trace.response_preview = preview(root, "mlflow.spanOutputs").or(trace.response_preview.take());
}

fn preview(span: &Value, name: &str) -> Option<String> {
    let attribute = span["attributes"].as_array()?.iter().find(|a| a["key"] == name)?;
    Some(limits::cut(PREVIEW, &plain(&attribute["value"]).to_string()))
}

/// An attribute's value as plain JSON.
fn plain(value: &Value) -> Value {
    let Some((kind, of)) = value.as_object().and_then(|object| object.iter().next()) else { return Value::Null };
    match kind.as_str() {
        "array_value" => of["values"].as_array().into_iter().flatten().map(plain).collect::<Vec<_>>().into(),
        "kvlist_value" => {
            let pair = |kv: &Value| (kv["key"].as_str().unwrap_or_default().to_owned(), plain(&kv["value"]));
            of["values"].as_array().into_iter().flatten().map(pair).collect::<Map<_, _>>().into()
        }
        _ => of.clone(),
    }
}

/// RFC 3339 in UTC, with milliseconds where there are some; empty outside the years that it has.
pub fn written(ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(ms);
    time.map_or_else(String::new, |time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
}

/// ms of RFC 3339.
fn instant(text: &str) -> Option<i64> {
    Some(chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis())
}

/// ms of `1.5s`.
fn duration(text: &str) -> Option<i64> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    seconds.is_finite().then(|| (seconds * 1000.0).round() as i64)
}

impl Item for Trace {
    fn cell(&self, group: Group, key: &str) -> Option<Cell<'_>> {
        match (group, key) {
            (Group::Attribute, "request_id" | "trace_id") => Some(Cell::from(self.id.as_str())),
            (Group::Attribute, "status" | "state") => Some(Cell::from(self.state.as_str())),
            (Group::Attribute, "client_request_id") => self.client_request_id.as_deref().map(Cell::from),
            (Group::Attribute, "timestamp_ms" | "timestamp") => Some(Cell::from(self.request_time as f64)),
            (Group::Attribute, "execution_time_ms" | "execution_time") => self.duration.map(|ms| Cell::from(ms as f64)),
            (Group::Attribute, "end_time" | "end_time_ms") => {
                self.duration.map(|ms| Cell::Number((self.request_time + ms) as f64))
            }
            (Group::Tag, key) => self.tags.get(key).map(|value| Cell::from(value.as_str())),
            (Group::Metadata, key) => self.metadata.get(key).map(|value| Cell::from(value.as_str())),
            _ => None,
        }
    }

    fn cells(&self, group: Group, key: &str) -> Vec<Cell<'_>> {
        let kind = match group {
            Group::Feedback => "feedback",
            Group::Expectation => "expectation",
            Group::Span => return self.span_cells(key),
            _ => {
                let linked = match (group, key) {
                    (Group::Metadata, SOURCE_RUN) => &self.linked_runs[..],
                    _ => &[],
                };
                return self
                    .cell(group, key)
                    .into_iter()
                    .chain(linked.iter().map(|run| Cell::from(run.as_str())))
                    .collect();
            }
        };
        let of = self.assessments.iter().filter(|said| {
            let is_valid = said.get("valid").and_then(Value::as_bool) != Some(false);
            is_valid && said.get("assessment_name").and_then(Value::as_str) == Some(key)
        });
        let value = |said: &Map<String, Value>| match said.get(kind)?.get("value")? {
            Value::String(text) => Some(Cell::from(text.clone())),
            Value::Number(number) => number.as_f64().map(Cell::from),
            other => Some(Cell::from(other.to_string())),
        };
        of.filter_map(value).collect()
    }
}

impl Trace {
    fn span_cells(&self, key: &str) -> Vec<Cell<'_>> {
        let of = |span: &Value| match key.strip_prefix("attributes.") {
            Some(name) => {
                let found = span["attributes"].as_array()?.iter().find(|a| a["key"] == name)?;
                Some(Cell::from(plain(&found["value"]).to_string()))
            }
            None if key == "status" => {
                let code = span["status"]["code"].as_str()?.strip_prefix("STATUS_CODE_")?;
                Some(Cell::from(code.to_owned()))
            }
            None if key == "type" => {
                let found = span["attributes"].as_array()?.iter().find(|a| a["key"] == "mlflow.spanType")?;
                Some(Cell::from(found["value"]["string_value"].as_str()?.to_owned()))
            }
            None if key == "content" => Some(Cell::from(span.to_string())),
            None => span[key].as_str().map(|text| Cell::from(text.to_owned())),
        };
        self.spans.iter().filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_795_430_978_297, "2026-11-23T10:49:38.297Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(written(ms), text);
            assert_eq!(instant(text), Some(ms), "{text}");
        }
        assert_eq!(instant("2026-11-23T10:49:38.2971234Z"), Some(1_795_430_978_297));
        assert_eq!((instant("yesterday"), instant("")), (None, None));
        assert_eq!((duration("1.5s"), duration("0.001s"), duration("x")), (Some(1500), Some(1), None));
        assert_eq!(snake("assessmentName"), "assessment_name");
    }

    #[test]
    fn spans_make_a_trace_known_and_what_is_told_of_it_wins() {
        let mut book = Book::default();
        book.ensure_default(1);
        let span = |id: &str, parent: Option<&str>, from: i64, to: i64| {
            let mut span = json!({"span_id": id, "name": format!("s{id}"), "start_time_unix_nano": from * 1_000_000,
                "end_time_unix_nano": to * 1_000_000, "status": {"code": "STATUS_CODE_OK"},
                "attributes": [{"key": "mlflow.spanInputs", "value": {"kvlist_value": {"values": [{"key": "x", "value": {"int_value": 1}}]}}}]});
            if let Some(parent) = parent {
                span["parent_span_id"] = parent.into();
            }
            span
        };
        let set = |spans: Vec<Value>| SpanSet { trace: "ab".into(), spans, service: Some("shop".into()) };
        receive_spans(&mut book, "0", None, set(vec![span("2", Some("1"), 1005, 1010)])).unwrap();
        assert_eq!(book.trace("tr-ab").unwrap().state, "IN_PROGRESS");
        receive_spans(&mut book, "0", Some("r"), set(vec![span("1", None, 1000, 1020)])).unwrap();
        let trace = book.trace("tr-ab").unwrap();
        assert_eq!((trace.request_time, trace.duration, trace.state.as_str()), (1000, Some(20), "OK"));
        assert_eq!((trace.spans.len(), trace.request_preview.as_deref()), (2, Some("{\"x\":1}")));
        assert_eq!((trace.tags["service.name"].as_str(), trace.metadata[SOURCE_RUN].as_str()), ("shop", "r"));
        let told = json!({"trace": {"trace_info": {"trace_id": "tr-ab", "request_time": "1970-01-01T00:00:02Z", "state": "ERROR",
            "trace_location": {"mlflow_experiment": {"experiment_id": "0"}}, "execution_duration": "3s"}}});
        start(&mut book, &Said::of_body(told.to_string().as_bytes()).unwrap(), 9).unwrap();
        receive_spans(&mut book, "0", None, set(vec![span("3", Some("1"), 1001, 1002)])).unwrap();
        let trace = book.trace("tr-ab").unwrap();
        assert_eq!((trace.request_time, trace.state.as_str(), trace.spans.len()), (2000, "ERROR", 3));
        book.link_trace("tr-ab", "r2").unwrap();
        let found = |run: &str| {
            let asked = json!({"locations": [{"mlflow_experiment": {"experiment_id": "0"}}], "filter": format!("run_id = '{run}'")});
            search(&book, &Said::of_body(asked.to_string().as_bytes()).unwrap()).unwrap()["traces"]
                .as_array()
                .map_or(0, Vec::len)
        };
        assert_eq!((found("r"), found("r2"), found("r3")), (1, 1, 0));
        assert!(receive_spans(&mut book, "99", None, set(vec![])).is_err());
    }

    #[test]
    fn what_people_say_of_a_trace_is_kept_changed_and_taken_back() {
        let mut book = Book::default();
        book.ensure_default(1);
        book.start_trace(Trace { id: "tr-1".into(), ..Trace::default() }).unwrap();
        let said =
            |body: Value| Said::of_body(body.to_string().as_bytes()).unwrap().with([("trace_id", "tr-1".to_owned())]);
        let good = said(json!({"assessment": {"assessment_name": "good", "feedback": {"value": true}}}));
        let made = create_assessment(&mut book, &good, 1000).unwrap();
        let id = made["assessment"]["assessment_id"].as_str().unwrap().to_owned();
        assert_eq!(made["assessment"]["create_time"], "1970-01-01T00:00:01Z");
        assert!(create_assessment(&mut book, &said(json!({"assessment": {"assessment_name": "x"}})), 1).is_err());
        let change = |body: Value| said(body).with([("assessment_id", id.clone())]);
        let new = change(json!({"assessment": {"feedback": {"value": false}}, "update_mask": "feedback"}));
        assert_eq!(update_assessment(&mut book, &new, 2000).unwrap()["assessment"]["feedback"]["value"], false);
        let wrong = change(json!({"assessment": {"expectation": {"value": 1}}, "update_mask": "expectation"}));
        assert!(update_assessment(&mut book, &wrong, 2000).is_err());
        let over =
            said(json!({"assessment": {"assessment_name": "good", "feedback": {"value": true}, "overrides": id}}));
        create_assessment(&mut book, &over, 3000).unwrap();
        assert_eq!(book.assessment("tr-1", &id).unwrap()["valid"], false);
        delete_assessment(&mut book, &change(json!({})), 1).unwrap();
        assert!(book.assessment("tr-1", &id).is_err());
    }
}
