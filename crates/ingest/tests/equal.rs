//! The own reader gives what prost gives, OTLP/JSON gives what protobuf gives, and no bytes make it panic.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwether_ingest::{Compression, Decoded, Encoding, Ingest, Limits, RemoteWriteVersion, Request, decompress};
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value as Any};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
    number_data_point::Value as Number,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message;
use serde_json::{Value, json};
use types::{Directory, SECOND, SeriesKind, Tenant, Time};

const NOW: i64 = 1_800_000_000 * SECOND;

fn ingest() -> Ingest {
    Ingest::new(Arc::new(Directory::default()), Limits::default(), 42)
}

fn request() -> Request {
    Request { tenant: Tenant::default(), now: Time(NOW), backfill: false }
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        ".{0,12}".prop_map(Any::StringValue),
        any::<bool>().prop_map(Any::BoolValue),
        any::<i64>().prop_map(Any::IntValue),
        plain_double().prop_map(Any::DoubleValue),
        vec(any::<u8>(), 0..9).prop_map(Any::BytesValue),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        let inner = inner.prop_map(|value| AnyValue { value: Some(value) });
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| Any::ArrayValue(ArrayValue { values })),
            btree_map("[a-z\"é]{1,6}", inner, 0..4)
                .prop_map(|map| Any::KvlistValue(KeyValueList { values: pairs(map) })),
        ]
    });
    value.prop_map(|value| AnyValue { value: Some(value) })
}

fn pairs(map: BTreeMap<String, AnyValue>) -> Vec<KeyValue> {
    map.into_iter().map(|(key, value)| KeyValue { key, value: Some(value), ..Default::default() }).collect()
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    btree_map("[a-z.\\\\é]{1,8}", any_value(), 0..5).prop_map(pairs)
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    let named = (btree_map("[a-z.]{1,6}", any_value(), 0..3), option::of("[a-z]{1,5}"), option::of("[a-z]{1,5}"));
    let some = named.prop_map(|(mut map, service, host)| {
        let text = |text: String| AnyValue { value: Some(Any::StringValue(text)) };
        service.map(|name| map.insert("service.name".into(), text(name)));
        host.map(|name| map.insert("host.name".into(), text(name)));
        Resource { attributes: pairs(map), ..Resource::default() }
    });
    option::of(some)
}

fn time() -> impl Strategy<Value = u64> {
    (0..20 * 86_400 * SECOND as u64).prop_map(|ago| NOW as u64 - ago)
}

fn log_record() -> impl Strategy<Value = LogRecord> {
    let ids = (vec(any::<u8>(), 16), vec(any::<u8>(), 8));
    (option::of(time()), time(), 0..25i32, option::of(any_value()), attributes(), option::of(ids), any::<u32>())
        .prop_map(|(time, observed, severity_number, body, attributes, ids, flags)| {
            let (trace_id, span_id) = ids.unwrap_or_default();
            LogRecord {
                time_unix_nano: time.unwrap_or(0),
                observed_time_unix_nano: observed,
                severity_number,
                body,
                attributes,
                trace_id,
                span_id,
                flags,
                dropped_attributes_count: flags,
                ..LogRecord::default()
            }
        })
}

fn logs() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let scope = vec(log_record(), 0..4).prop_map(|log_records| ScopeLogs { log_records, ..Default::default() });
    let resource_logs = (resource(), vec(scope, 0..3));
    vec(
        resource_logs.prop_map(|(resource, scope_logs)| ResourceLogs { resource, scope_logs, ..Default::default() }),
        0..3,
    )
    .prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (vec(1..u8::MAX, 16), vec(1..u8::MAX, 8), option::of(vec(1..u8::MAX, 8)));
    let event =
        (".{0,5}", attributes()).prop_map(|(name, attributes)| span::Event { name, attributes, ..Default::default() });
    let rest = (vec(event, 0..3), 0..3i32, 0..6i32);
    (ids, ".{0,12}", time(), 0..1u64 << 40, attributes(), rest).prop_map(
        |((trace_id, span_id, parent), name, start, length, attributes, (events, code, kind))| Span {
            trace_id,
            span_id,
            parent_span_id: parent.unwrap_or_default(),
            name,
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: start + length,
            attributes,
            events,
            status: Some(Status { code, message: String::new() }),
            ..Span::default()
        },
    )
}

fn traces() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scope = vec(span(), 0..4).prop_map(|spans| ScopeSpans { spans, ..Default::default() });
    let resource_spans = (resource(), vec(scope, 0..3));
    vec(
        resource_spans.prop_map(|(resource, scope_spans)| ResourceSpans {
            resource,
            scope_spans,
            ..Default::default()
        }),
        0..3,
    )
    .prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

/// Doubles that every JSON reader reads exactly; `serde_json` is off by the last bit for some of the others.
fn plain_double() -> impl Strategy<Value = f64> {
    (-1i64 << 20..1 << 20).prop_map(|v| v as f64 / 64.0)
}

fn number_point(double: BoxedStrategy<f64>) -> impl Strategy<Value = NumberDataPoint> {
    let value = prop_oneof![double.prop_map(Number::AsDouble), any::<i64>().prop_map(Number::AsInt)];
    (attributes(), time(), value, 0..2u32).prop_map(|(attributes, time_unix_nano, value, flags)| NumberDataPoint {
        attributes,
        time_unix_nano,
        start_time_unix_nano: time_unix_nano / 2,
        value: Some(value),
        flags,
        ..NumberDataPoint::default()
    })
}

fn histogram_point() -> impl Strategy<Value = HistogramDataPoint> {
    (attributes(), time(), vec(0..1000u64, 1..6), option::of(plain_double())).prop_map(
        |(attributes, time, counts, sum)| HistogramDataPoint {
            attributes,
            time_unix_nano: time,
            count: counts.iter().sum(),
            sum,
            explicit_bounds: (1..counts.len()).map(|i| i as f64 * 2.5).collect(),
            bucket_counts: counts,
            ..HistogramDataPoint::default()
        },
    )
}

fn metric(double: BoxedStrategy<f64>) -> impl Strategy<Value = Metric> {
    let points = || vec(number_point(double.clone()), 0..4);
    let data = prop_oneof![
        points().prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        (points(), 0..3i32, any::<bool>()).prop_map(|(data_points, aggregation_temporality, is_monotonic)| {
            Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic })
        }),
        (vec(histogram_point(), 0..3), 0..3i32).prop_map(|(data_points, aggregation_temporality)| {
            Data::Histogram(Histogram { data_points, aggregation_temporality })
        }),
    ];
    ("[a-z_.]{1,10}", "[a-z]{0,3}", data).prop_map(|(name, unit, data)| Metric {
        name,
        unit,
        description: "d".into(),
        data: Some(data),
        ..Metric::default()
    })
}

fn metrics(double: BoxedStrategy<f64>) -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let scope = vec(metric(double), 0..4).prop_map(|metrics| ScopeMetrics { metrics, ..Default::default() });
    let resource_metrics = (resource(), vec(scope, 0..3));
    let one = resource_metrics.prop_map(|(resource, scope_metrics)| ResourceMetrics {
        resource,
        scope_metrics,
        ..Default::default()
    });
    vec(one, 0..3).prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

/// An attribute value as JSON, from prost's structs.
fn expected_json(value: &AnyValue) -> Value {
    match &value.value {
        None => Value::Null,
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(v)) => json!(v),
        Some(Any::IntValue(v)) => json!(v),
        Some(Any::DoubleValue(v)) => json!(v),
        Some(Any::BytesValue(v)) => json!(base64(v)),
        Some(Any::ArrayValue(array)) => array.values.iter().map(expected_json).collect(),
        Some(Any::KvlistValue(map)) => expected_object(&map.values),
        _ => Value::Null,
    }
}

fn expected_object(pairs: &[KeyValue]) -> Value {
    let member = |pair: &KeyValue| (pair.key.clone(), pair.value.as_ref().map_or(Value::Null, expected_json));
    Value::Object(pairs.iter().map(member).collect())
}

fn expected_text(value: &AnyValue) -> String {
    match expected_json(value) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: String = bytes.iter().map(|b| format!("{b:08b}")).collect();
    let mut text: String = bits
        .as_bytes()
        .chunks(6)
        .map(|c| usize::from_str_radix(&format!("{:0<6}", std::str::from_utf8(c).unwrap()), 2).unwrap())
        .map(|digit| DIGITS[digit] as char)
        .collect();
    text.extend(std::iter::repeat_n('=', (4 - text.len() % 4) % 4));
    text
}

fn read_object(text: &str) -> Value {
    if text.is_empty() { json!({}) } else { serde_json::from_str(text).unwrap() }
}

/// JSON numbers may differ in their last digit's notation (1e3 or 1000.0): compared as numbers.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// A point as (metric, labels, kind, time, value).
type Row = (String, BTreeMap<String, String>, SeriesKind, i64, f64);

fn expected_rows(sent: &ExportMetricsServiceRequest) -> Vec<Row> {
    let mut rows = Vec::new();
    for group in &sent.resource_metrics {
        let resource = group.resource.as_ref().map_or(&[][..], |r| &r.attributes);
        let base = |own: &[KeyValue]| -> BTreeMap<String, String> {
            let host = resource.iter().filter(|pair| pair.key == "host.name");
            host.chain(own).map(|p| (p.key.clone(), p.value.as_ref().map_or(String::new(), expected_text))).collect()
        };
        for metric in group.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            let stale = f64::from_bits(0x7ff0_0000_0000_0002);
            let numbers = |rows: &mut Vec<Row>, points: &[NumberDataPoint], kind| {
                for point in points {
                    let value = match point.value {
                        _ if point.flags & 1 == 1 => stale,
                        Some(Number::AsDouble(v)) => v,
                        Some(Number::AsInt(v)) => v as f64,
                        None => continue,
                    };
                    rows.push((metric.name.clone(), base(&point.attributes), kind, point.time_unix_nano as i64, value));
                }
            };
            match metric.data.as_ref().unwrap() {
                Data::Gauge(gauge) => numbers(&mut rows, &gauge.data_points, SeriesKind::Gauge),
                Data::Sum(sum) => {
                    let kind = match (sum.aggregation_temporality, sum.is_monotonic) {
                        (1, _) => SeriesKind::Delta,
                        (_, true) => SeriesKind::Counter,
                        _ => SeriesKind::Gauge,
                    };
                    numbers(&mut rows, &sum.data_points, kind);
                }
                Data::Histogram(histogram) => {
                    let is_delta = histogram.aggregation_temporality == 1;
                    let kind = if is_delta { SeriesKind::Delta } else { SeriesKind::Counter };
                    for point in &histogram.data_points {
                        expected_histogram(&mut rows, &metric.name, &base(&point.attributes), kind, point);
                    }
                }
                _ => unreachable!("not generated"),
            }
        }
    }
    rows
}

fn expected_histogram(
    rows: &mut Vec<Row>,
    name: &str,
    labels: &BTreeMap<String, String>,
    kind: SeriesKind,
    point: &HistogramDataPoint,
) {
    let time = point.time_unix_nano as i64;
    rows.push((format!("{name}_count"), labels.clone(), kind, time, point.count as f64));
    if let Some(sum) = point.sum {
        rows.push((format!("{name}_sum"), labels.clone(), kind, time, sum));
    }
    let with_le = |le: String| {
        let mut labels = labels.clone();
        labels.insert("le".into(), le);
        labels
    };
    rows.push((format!("{name}_bucket"), with_le("+Inf".into()), kind, time, point.count as f64));
    let mut total = 0;
    for (bound, count) in point.explicit_bounds.iter().zip(&point.bucket_counts) {
        total += count;
        rows.push((format!("{name}_bucket"), with_le(bound.to_string()), kind, time, total as f64));
    }
}

fn rows(ingest: &Ingest, decoded: &Decoded) -> Vec<Row> {
    let registry = ingest.directory().read();
    let samples = &decoded.batch.samples;
    (0..samples.len())
        .map(|i| {
            let def = registry.series_def(samples.series[i]).unwrap();
            let labels = def.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            (def.metric.to_string(), labels, def.kind, samples.time[i], samples.value[i])
        })
        .collect()
}

/// A label's number may be written in another notation: those are left to the attribute tests.
fn comparable(rows: Vec<Row>) -> Vec<String> {
    rows.into_iter()
        .map(|(metric, labels, kind, time, value)| {
            let names: Vec<&String> = labels.keys().collect();
            let texts: Vec<&String> = labels.values().filter(|v| !v.contains(|c: char| c.is_ascii_digit())).collect();
            format!("{metric} {names:?} {texts:?} {:?} {kind:?} {time} {:x}", labels.get("le"), value.to_bits())
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn logs_equal_prost(sent in logs()) {
        let ingest = ingest();
        let decoded = ingest.otlp_logs(&request(), &sent.encode_to_vec(), Encoding::Protobuf).unwrap();
        let groups = sent.resource_logs.iter().flat_map(|g| g.scope_logs.iter().map(move |s| (g.resource.as_ref(), s)));
        let all: Vec<_> = groups.flat_map(|(r, s)| s.log_records.iter().map(move |l| (r, l))).collect();
        let records = &decoded.batch.records;
        prop_assert_eq!(records.len(), all.len());
        let registry = ingest.directory().read();
        for (i, (resource, record)) in all.into_iter().enumerate() {
            let time = if record.time_unix_nano != 0 { record.time_unix_nano } else { record.observed_time_unix_nano };
            prop_assert_eq!(records.time[i], time as i64);
            prop_assert_eq!(records.severity[i] as i32, record.severity_number);
            let expected = expected_object(&record.attributes);
            prop_assert!(same(&read_object(records.attributes.get(i)), &expected), "{} {expected}", records.attributes.get(i));
            match record.body.as_ref().map(expected_json) {
                None => prop_assert_eq!(records.body.get(i), ""),
                Some(Value::String(text)) => prop_assert_eq!(records.body.get(i), text),
                Some(other) => prop_assert!(same(&serde_json::from_str(records.body.get(i)).unwrap(), &other)),
            }
            let zero_or = |bytes: &[u8], len| if bytes.len() == len { bytes.to_vec() } else { vec![0; len] };
            prop_assert_eq!(records.trace_id[i].to_vec(), zero_or(&record.trace_id, 16));
            prop_assert_eq!(records.span_id[i].to_vec(), zero_or(&record.span_id, 8));
            let def = registry.resource_def(records.resource[i]).unwrap();
            let count = resource.map_or(0, |r| r.attributes.len());
            prop_assert_eq!(def.attributes.iter().count(), count);
            prop_assert_eq!(def.entity, records.entity[i]);
        }
    }

    #[test]
    fn traces_equal_prost(sent in traces()) {
        let decoded = ingest().otlp_traces(&request(), &sent.encode_to_vec(), Encoding::Protobuf).unwrap();
        let all = sent.resource_spans.iter().flat_map(|g| &g.scope_spans).flat_map(|s| &s.spans);
        let spans = &decoded.batch.spans;
        let mut rows = 0;
        for (i, span) in all.enumerate() {
            rows += 1;
            prop_assert_eq!(spans.time[i], span.start_time_unix_nano as i64);
            prop_assert_eq!(spans.duration_ns[i] as u64, span.end_time_unix_nano - span.start_time_unix_nano);
            prop_assert_eq!(spans.name.get(i), &span.name);
            prop_assert_eq!((spans.kind[i] as i32, spans.status[i] as i32), (span.kind, span.status.as_ref().unwrap().code));
            prop_assert_eq!(&spans.trace_id[i][..], &span.trace_id);
            prop_assert_eq!(&spans.span_id[i][..], &span.span_id);
            let parent = if span.parent_span_id.is_empty() { vec![0; 8] } else { span.parent_span_id.clone() };
            prop_assert_eq!(&spans.parent_span_id[i][..], &parent);
            let mut expected = expected_object(&span.attributes);
            if !span.events.is_empty() {
                expected["events"] = json!(span.events.len());
            }
            prop_assert!(same(&read_object(spans.attributes.get(i)), &expected));
        }
        prop_assert_eq!(spans.len(), rows);
    }

    #[test]
    fn metrics_equal_prost(sent in metrics(any::<f64>().boxed())) {
        let ingest = ingest();
        let body = sent.encode_to_vec();
        let expected = comparable(expected_rows(&sent));
        // The second time from the cache.
        for _ in 0..2 {
            let decoded = ingest.otlp_metrics(&request(), &body, Encoding::Protobuf).unwrap();
            prop_assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects);
            prop_assert_eq!(&comparable(rows(&ingest, &decoded)), &expected);
        }
    }

    #[test]
    fn json_equals_protobuf(logs in logs(), traces in traces(), metrics in metrics(plain_double().boxed())) {
        let pairs = [
            (Ingest::otlp_logs as fn(&Ingest, &Request, &[u8], Encoding) -> _, logs.encode_to_vec(), serde_json::to_vec(&logs)),
            (Ingest::otlp_traces, traces.encode_to_vec(), serde_json::to_vec(&traces)),
            (Ingest::otlp_metrics, metrics.encode_to_vec(), serde_json::to_vec(&metrics)),
        ];
        for (decode, protobuf, json) in pairs {
            let ingest = ingest();
            let a = decode(&ingest, &request(), &protobuf, Encoding::Protobuf).unwrap();
            let b = decode(&ingest, &request(), &json.unwrap(), Encoding::Json).unwrap();
            prop_assert_eq!(format!("{:?}", a.batch), format!("{:?}", b.batch));
            prop_assert_eq!(a.written, b.written);
        }
    }

    #[test]
    fn i1_no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..400)) {
        try_all(&ingest(), &bytes);
    }

    #[test]
    fn i1_no_damaged_body_makes_it_panic(
        logs in logs(), traces in traces(), metrics in metrics(any::<f64>().boxed()),
        cut in any::<prop::sample::Index>(), flips in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let ingest = ingest();
        for mut body in [logs.encode_to_vec(), traces.encode_to_vec(), metrics.encode_to_vec()] {
            if body.is_empty() {
                continue;
            }
            for (at, byte) in &flips {
                let at = at.index(body.len());
                body[at] ^= byte;
            }
            body.truncate(cut.index(body.len()) + 1);
            try_all(&ingest, &body);
        }
    }
}

/// Gives the bytes to everything that reads bytes; whatever is taken has columns of one length.
fn try_all(ingest: &Ingest, bytes: &[u8]) {
    let request = request();
    let mut results = Vec::new();
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        results.push(ingest.otlp_metrics(&request, bytes, encoding));
        results.push(ingest.otlp_logs(&request, bytes, encoding));
        results.push(ingest.otlp_traces(&request, bytes, encoding));
    }
    results.push(ingest.remote_write(&request, bytes, RemoteWriteVersion::V1));
    results.push(ingest.remote_write(&request, bytes, RemoteWriteVersion::V2));
    results.push(ingest.changes(&request, bytes));
    results.push(ingest.labels(&request, bytes));
    for compression in [Compression::Gzip, Compression::Snappy, Compression::Zstd] {
        let inflated = decompress(bytes, compression, 1 << 16);
        assert!(inflated.is_ok_and(|b| b.len() <= 1 << 16) || bytes.len() <= 1 << 16);
    }
    for decoded in results.into_iter().flatten() {
        let batch = decoded.batch;
        assert_eq!((batch.samples.series.len(), batch.samples.value.len()), (batch.samples.len(), batch.samples.len()));
        let records = batch.records.len();
        assert_eq!(
            (batch.records.body.len(), batch.records.attributes.len(), batch.records.template.len()),
            (records, records, records)
        );
        assert_eq!((batch.spans.name.len(), batch.spans.attributes.len()), (batch.spans.len(), batch.spans.len()));
    }
}

#[test]
fn json_is_read_tolerantly() {
    let body = json!({"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "s", "unheard": [1]}}]},
    "scopeSpans": [{"scope": {"name": "x"}, "spans": [{
        "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174", "parentSpanId": "",
        "name": "op", "kind": "SPAN_KIND_SERVER", "startTimeUnixNano": NOW.to_string(), "endTimeUnixNano": NOW + 5,
        "attributes": [{"key": "n", "value": {"intValue": "7"}}, {"key": "m", "value": {"intValue": 8}}, {"key": "e", "value": {}}],
        "status": {"code": 2, "message": "boom"}, "future": {"a": [1, {"b": null}]},
        "events": [{"name": "exception", "attributes": [{"key": "exception.type", "value": {"stringValue": "E"}}]}],
    }]}]}]});
    let ingest = ingest();
    let decoded = ingest.otlp_traces(&request(), body.to_string().as_bytes(), Encoding::Json).unwrap();
    let spans = &decoded.batch.spans;
    assert_eq!((spans.kind[0], spans.status[0], spans.duration_ns[0]), (2, 2, 5));
    assert_eq!(spans.trace_id[0][0], 0x5b);
    let expected =
        json!({"n": 7, "m": 8, "e": null, "exception.type": "E", "otel.status_description": "boom", "events": 1});
    assert_eq!(read_object(spans.attributes.get(0)), expected);
    let registry = ingest.directory().read();
    assert_eq!(registry.entity_id(spans.entity[0]).unwrap().as_str(), "service:default/s");
}

#[test]
fn i6_too_many_attributes_and_long_lines_are_refused_one_by_one() {
    let text = |text: String| Some(AnyValue { value: Some(Any::StringValue(text)) });
    let attribute = |i: usize| KeyValue { key: format!("k{i}"), value: text("v".into()), ..Default::default() };
    let record = |attributes: usize, body: &str| LogRecord {
        attributes: (0..attributes).map(attribute).collect(),
        body: text(body.to_owned()),
        ..LogRecord::default()
    };
    let long = "x".repeat(16 << 20);
    let log_records = vec![record(1, "first"), record(100_000, "many"), record(0, &long), record(1, "last")];
    let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
    let sent = ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..Default::default() }] };
    let decoded = ingest().otlp_logs(&request(), &sent.encode_to_vec(), Encoding::Protobuf).unwrap();
    let bodies: Vec<&str> = decoded.batch.records.body.iter().collect();
    assert_eq!(bodies, ["first", "last"]);
    assert_eq!(decoded.batch.records.attributes.get(1), r#"{"k0":"v"}"#);
    assert!(decoded.reasons().contains("max_attributes 256") && decoded.reasons().contains("max_log_body_len"));
    assert_eq!(decoded.batch.records.time, [NOW, NOW], "a record without a time gets the request's");
}

#[test]
fn secrets_are_masked_before_anything_is_kept() {
    let text = |text: &str| Some(AnyValue { value: Some(Any::StringValue(text.to_owned())) });
    let pair = |key: &str, value: &str| KeyValue { key: key.into(), value: text(value), ..Default::default() };
    let nested = AnyValue { value: Some(Any::KvlistValue(KeyValueList { values: vec![pair("token", "t1")] })) };
    let structured = LogRecord { body: Some(nested.clone()), ..LogRecord::default() };
    let attributes = vec![
        pair("db.password", "p2"),
        pair("url.full", "ftp://u:p3@h/\"x"),
        KeyValue { key: "context".into(), value: Some(nested), ..Default::default() },
        pair("user", "bob"),
    ];
    let plain = LogRecord { body: text("login password=p4 of \"bob\""), attributes, ..LogRecord::default() };
    let refused = LogRecord { body: text("token=p5 late"), time_unix_nano: u64::MAX, ..LogRecord::default() };
    let resource =
        Resource { attributes: vec![pair("process.command_line", "run --password=p6")], ..Default::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![structured, plain, refused], ..Default::default() }];
    let resource_logs = vec![ResourceLogs { resource: Some(resource), scope_logs, ..Default::default() }];
    let sent = ExportLogsServiceRequest { resource_logs };
    let bodies = [(sent.encode_to_vec(), Encoding::Protobuf), (serde_json::to_vec(&sent).unwrap(), Encoding::Json)];
    for (body, encoding) in bodies {
        let ingest = ingest();
        let decoded = ingest.otlp_logs(&request(), &body, encoding).unwrap();
        let records = &decoded.batch.records;
        assert_eq!(
            records.body.iter().collect::<Vec<_>>(),
            [r#"{"token":"[masked]"}"#, "login password=[masked] of \"bob\""]
        );
        let expected = r#"{"db.password":"[masked]","url.full":"ftp://u:[masked]@h/\"x","context":{"token":"[masked]"},"user":"bob"}"#;
        assert_eq!(records.attributes.get(1), expected);
        assert_eq!(decoded.written.masked, 6, "with the one of the record refused");
        assert!(decoded.reasons().contains("token=[masked] late"), "{}", decoded.reasons());
        let registry = ingest.directory().read();
        let of_resource = registry.resource_def(records.resource[0]).unwrap();
        assert_eq!(of_resource.attributes.iter().next().unwrap().1, "run --password=[masked]");
        drop(registry);
        let off = Limits { mask_secrets: false, ..Limits::default() };
        let ingest = Ingest::new(Arc::new(Directory::default()), off, 1);
        let decoded = ingest.otlp_logs(&request(), &body, encoding).unwrap();
        assert_eq!(decoded.batch.records.body.get(1), "login password=p4 of \"bob\"");
        assert_eq!((decoded.written.masked, decoded.batch.records.attributes.get(0)), (0, ""));
    }
}

#[test]
fn templates_are_registered_before_the_batch_leaves() {
    let record = |body: String| LogRecord {
        body: Some(AnyValue { value: Some(Any::StringValue(body)) }),
        ..LogRecord::default()
    };
    // Two names may be two kinds of line; this many are a parameter.
    let log_records = (0..200).map(|i| record(format!("order {i} placed by {}", NAMES[i % NAMES.len()]))).collect();
    let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
    let sent = ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..Default::default() }] };
    let body = sent.encode_to_vec();
    let directory = Arc::new(Directory::default());
    let ingest = Ingest::new(directory.clone(), Limits::default(), 1);
    let decoded = ingest.otlp_logs(&request(), &body, Encoding::Protobuf).unwrap();
    assert_eq!(&*directory.read().template_def(types::TemplateId(1)).unwrap().text, "order <*> placed by <*>");
    let last = decoded.batch.records.template.last();
    assert_eq!(last, Some(&types::TemplateId(1)), "templates that became one go on under the lowest id");
    let texts = |directory: &Directory| {
        let registry = directory.read();
        registry.templates().iter().map(|def| def.text.clone()).collect::<Vec<_>>()
    };
    let known = texts(&directory);
    let restarted = Ingest::new(directory.clone(), Limits::default(), 2);
    let again = restarted.otlp_logs(&request(), &body, Encoding::Protobuf).unwrap();
    assert!(again.batch.records.template.iter().all(|id| id.0 == 1));
    assert_eq!(texts(&directory), known, "a restart makes no template anew");
}

const NAMES: [&str; 10] = ["ann", "bob", "cid", "dora", "eve", "finn", "gus", "hal", "ida", "jo"];
