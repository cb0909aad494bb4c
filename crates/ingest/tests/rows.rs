//! Bad and odd input, row by row: I1 to I10 of the input table, at the level of bytes in, columns out.

use std::sync::Arc;

use bellwether_ingest::{
    Alias, BadKind, Compression, Decoded, Encoding, Ingest, Limits, RemoteWriteVersion, Request, decompress,
};
use prost::Message;
use types::{DAY, Directory, EntityId, HOUR, MILLI, SECOND, SeriesKind, Tenant, Time};

const NOW: i64 = 1_800_000_000 * SECOND;
const NOW_MS: i64 = NOW / MILLI;

fn ingest() -> Ingest {
    Ingest::new(Arc::new(Directory::default()), Limits::default(), 42)
}

fn request() -> Request {
    Request { tenant: Tenant::default(), now: Time(NOW), backfill: false }
}

/// Remote write 1 and 2, as the senders' schema has them.
mod prompb {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct WriteRequest {
        #[prost(message, repeated, tag = "1")]
        pub timeseries: Vec<TimeSeries>,
        #[prost(message, repeated, tag = "3")]
        pub metadata: Vec<Metadata>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Metadata {
        #[prost(int32, tag = "1")]
        pub kind: i32,
        #[prost(string, tag = "2")]
        pub family: String,
        #[prost(string, tag = "5")]
        pub unit: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct TimeSeries {
        #[prost(message, repeated, tag = "1")]
        pub labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub samples: Vec<Sample>,
        #[prost(message, repeated, tag = "3")]
        pub exemplars: Vec<Sample>,
        #[prost(message, repeated, tag = "4")]
        pub histograms: Vec<Histogram>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Label {
        #[prost(bytes = "vec", tag = "1")]
        pub name: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub value: Vec<u8>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Sample {
        // Required, so that -0.0 is written and not left out as the default.
        #[prost(double, required, tag = "1")]
        pub value: f64,
        #[prost(int64, tag = "2")]
        pub timestamp: i64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Span {
        #[prost(sint32, tag = "1")]
        pub offset: i32,
        #[prost(uint32, tag = "2")]
        pub length: u32,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Histogram {
        #[prost(uint64, tag = "1")]
        pub count: u64,
        #[prost(double, tag = "3")]
        pub sum: f64,
        #[prost(sint32, tag = "4")]
        pub schema: i32,
        #[prost(uint64, tag = "6")]
        pub zero_count: u64,
        #[prost(message, repeated, tag = "11")]
        pub positive_spans: Vec<Span>,
        #[prost(sint64, repeated, tag = "12")]
        pub positive_deltas: Vec<i64>,
        #[prost(int64, tag = "15")]
        pub timestamp: i64,
        #[prost(double, repeated, tag = "16")]
        pub custom_values: Vec<f64>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct RequestV2 {
        #[prost(string, repeated, tag = "4")]
        pub symbols: Vec<String>,
        #[prost(message, repeated, tag = "5")]
        pub timeseries: Vec<TimeSeriesV2>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct TimeSeriesV2 {
        #[prost(uint32, repeated, tag = "1")]
        pub labels_refs: Vec<u32>,
        #[prost(message, repeated, tag = "2")]
        pub samples: Vec<Sample>,
        #[prost(message, repeated, tag = "3")]
        pub histograms: Vec<Histogram>,
        #[prost(message, repeated, tag = "4")]
        pub exemplars: Vec<Sample>,
        #[prost(message, optional, tag = "5")]
        pub metadata: Option<MetadataV2>,
        #[prost(int64, tag = "6")]
        pub created_timestamp: i64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct MetadataV2 {
        #[prost(int32, tag = "1")]
        pub kind: i32,
        #[prost(uint32, tag = "3")]
        pub help_ref: u32,
        #[prost(uint32, tag = "4")]
        pub unit_ref: u32,
    }
}

use prompb::*;

fn series(labels: &[(&str, &str)], samples: &[(f64, i64)]) -> TimeSeries {
    raw_series(&labels.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect::<Vec<_>>(), samples)
}

fn raw_series(labels: &[(&[u8], &[u8])], samples: &[(f64, i64)]) -> TimeSeries {
    TimeSeries {
        labels: labels.iter().map(|(n, v)| Label { name: n.to_vec(), value: v.to_vec() }).collect(),
        samples: samples.iter().map(|(value, timestamp)| Sample { value: *value, timestamp: *timestamp }).collect(),
        ..TimeSeries::default()
    }
}

fn write(ingest: &Ingest, timeseries: Vec<TimeSeries>) -> Decoded {
    let body = WriteRequest { timeseries, metadata: Vec::new() }.encode_to_vec();
    ingest.remote_write(&request(), &body, RemoteWriteVersion::V1).unwrap()
}

fn good(name: &str) -> TimeSeries {
    series(&[("__name__", name), ("job", "t")], &[(1.0, NOW_MS)])
}

fn only_reason(decoded: &Decoded) -> &str {
    assert_eq!(decoded.rejects.len(), 1, "{:?}", decoded.rejects);
    &decoded.rejects[0].reason
}

/// Metric and labels of a row's series.
fn labels_of(ingest: &Ingest, decoded: &Decoded, row: usize) -> (String, String) {
    let registry = ingest.directory().read();
    let def = registry.series_def(decoded.batch.samples.series[row]).unwrap();
    (def.metric.to_string(), def.labels.to_json())
}

#[test]
fn i1_empty_bodies_are_empty_batches_and_garbage_is_malformed() {
    let ingest = ingest();
    for version in [RemoteWriteVersion::V1, RemoteWriteVersion::V2] {
        assert_eq!(ingest.remote_write(&request(), b"", version).unwrap().batch.rows(), 0);
        assert_eq!(ingest.remote_write(&request(), &[0xff; 40], version).unwrap_err().kind, BadKind::Malformed);
    }
    for decode in [Ingest::otlp_metrics, Ingest::otlp_logs, Ingest::otlp_traces] {
        assert_eq!(decode(&ingest, &request(), b"", Encoding::Protobuf).unwrap().batch.rows(), 0);
        assert_eq!(decode(&ingest, &request(), b"{}", Encoding::Json).unwrap().batch.rows(), 0);
        assert_eq!(decode(&ingest, &request(), &[0xff; 40], Encoding::Protobuf).unwrap_err().kind, BadKind::Malformed);
        assert_eq!(decode(&ingest, &request(), b"not json", Encoding::Json).unwrap_err().kind, BadKind::Malformed);
    }
    let whole = WriteRequest { timeseries: vec![good("a")], metadata: Vec::new() }.encode_to_vec();
    let truncated = ingest.remote_write(&request(), &whole[..whole.len() - 3], RemoteWriteVersion::V1);
    assert_eq!(truncated.unwrap_err().kind, BadKind::Malformed);
}

#[test]
fn i2_i3_claims_and_bombs_are_refused() {
    let claim = [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0; 10]].concat();
    assert_eq!(decompress(&claim, Compression::Snappy, 64 << 20).unwrap_err().kind, BadKind::TooLarge);
}

#[test]
fn i4_bad_label_sets_are_refused_by_name_and_the_rest_is_kept() {
    let ingest = ingest();
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[("__name__", "dup"), ("a", "1"), ("a", "2")], "dup{a=\"1\",a=\"2\"}: label \"a\" is given twice"),
        (&[("__name__", "e"), ("", "x")], "a label has no name"),
        (&[("a", "1")], "the metric has no name"),
        (&[], "the metric has no name"),
        (&[("__name__", "x"), ("__name__", "y")], "given twice"),
    ];
    for (labels, expected) in cases {
        let decoded = write(&ingest, vec![good("before"), series(labels, &[(1.0, NOW_MS)]), good("after")]);
        assert_eq!(decoded.written.samples, 2, "{labels:?}");
        assert_eq!(decoded.batch.samples.len(), 2);
        assert!(only_reason(&decoded).contains(expected), "{}", only_reason(&decoded));
    }
    let unsorted =
        write(&ingest, vec![series(&[("z", "1"), ("__name__", "t"), ("a", "2"), ("empty", "")], &[(1.0, NOW_MS)])]);
    let sorted = write(&ingest, vec![series(&[("__name__", "t"), ("a", "2"), ("z", "1")], &[(1.0, NOW_MS)])]);
    assert_eq!(unsorted.batch.samples.series, sorted.batch.samples.series);
    assert_eq!(labels_of(&ingest, &unsorted, 0), ("t".into(), r#"{"a":"2","z":"1"}"#.into()));
}

#[test]
fn i5_one_good_one_bad_one_good() {
    let ingest = ingest();
    let bad = series(&[("__name__", "dup"), ("a", "1"), ("a", "2")], &[(1.0, NOW_MS), (2.0, NOW_MS + 1)]);
    let decoded = write(&ingest, vec![good("good1"), bad, good("good2")]);
    assert_eq!((decoded.written.samples, decoded.rejected()), (2, 2));
    let names: Vec<String> = (0..2).map(|row| labels_of(&ingest, &decoded, row).0).collect();
    assert_eq!(names, ["good1", "good2"]);
    let v2 = RequestV2 {
        symbols: ["", "__name__", "m", "job", "j"].map(String::from).to_vec(),
        timeseries: vec![
            TimeSeriesV2 {
                labels_refs: vec![1, 2, 3, 4],
                samples: vec![Sample { value: 1.0, timestamp: NOW_MS }],
                ..Default::default()
            },
            TimeSeriesV2 {
                labels_refs: vec![1, 99],
                samples: vec![Sample { value: 1.0, timestamp: NOW_MS }],
                ..Default::default()
            },
            TimeSeriesV2 {
                labels_refs: vec![1, 2, 3],
                samples: vec![Sample { value: 1.0, timestamp: NOW_MS }],
                ..Default::default()
            },
        ],
    };
    let decoded = ingest.remote_write(&request(), &v2.encode_to_vec(), RemoteWriteVersion::V2).unwrap();
    assert_eq!((decoded.written.samples, decoded.rejected()), (1, 2));
}

#[test]
fn i6_limits_are_named() {
    let ingest = ingest();
    let many: Vec<(String, String)> = (0..1000).map(|i| (format!("l{i:04}"), "v".into())).collect();
    let mut many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    many.push(("__name__", "many"));
    let (long, name) = ("x".repeat(1 << 20), "n".repeat(64 << 10));
    for (labels, limit) in [
        (&[("__name__", "big"), ("a", long.as_str())][..], "max_label_value_len 4096"),
        (&many, "max_labels_per_series 64"),
        (&[("__name__", name.as_str())], "max_metric_name_len 512"),
        (&[("__name__", "n"), (name.as_str(), "v")], "max_label_name_len 256"),
    ] {
        let decoded = write(&ingest, vec![series(labels, &[(1.0, NOW_MS)]), good("good")]);
        assert!(only_reason(&decoded).contains(limit), "{}", only_reason(&decoded));
        assert!(only_reason(&decoded).len() < 1000);
        assert_eq!(decoded.written.samples, 1);
    }
    let tiny = Limits { max_rows_per_request: 2, ..Limits::default() };
    let ingest = Ingest::new(Arc::new(Directory::default()), tiny, 1);
    let body = WriteRequest { timeseries: vec![good("a"), good("b"), good("c")], metadata: Vec::new() }.encode_to_vec();
    let refused = ingest.remote_write(&request(), &body, RemoteWriteVersion::V1).unwrap_err();
    assert_eq!(refused.kind, BadKind::TooLarge);
    assert!(refused.reason.contains("max_rows_per_request"));
    let few = Limits { max_series: 1, ..Limits::default() };
    let ingest = Ingest::new(Arc::new(Directory::default()), few, 1);
    let decoded = write(&ingest, vec![good("a"), good("b"), good("a")]);
    assert_eq!(decoded.written.samples, 2);
    assert!(only_reason(&decoded).contains("max_series 1"));
}

#[test]
fn i7_invalid_utf8_is_refused_and_odd_text_is_kept() {
    let ingest = ingest();
    let bad = raw_series(&[(b"__name__", b"u"), (b"a", b"\xff\xfe")], &[(1.0, NOW_MS)]);
    let decoded = write(&ingest, vec![bad, good("good")]);
    assert!(only_reason(&decoded).contains("not valid UTF-8"));
    let odd = "a\0\u{202e}\u{1b}[31m<script>";
    let decoded = write(&ingest, vec![series(&[("__name__", "odd"), ("v", odd)], &[(1.0, NOW_MS)])]);
    let registry = ingest.directory().read();
    let def = registry.series_def(decoded.batch.samples.series[0]).unwrap();
    assert_eq!(def.labels.get("v"), Some(odd));
}

#[test]
fn i8_extreme_times_are_refused_one_by_one() {
    let ingest = ingest();
    let year = 365 * DAY / MILLI;
    for ms in [i64::MAX, i64::MIN, -1, 0, NOW_MS + 10 * year, NOW_MS - 10 * year, NOW, NOW_MS + 2 * HOUR / MILLI] {
        let decoded = write(&ingest, vec![series(&[("__name__", "t")], &[(1.0, ms), (2.0, NOW_MS)])]);
        assert_eq!((decoded.written.samples, decoded.rejected()), (1, 1), "{ms}");
        assert!(only_reason(&decoded).starts_with("t{}: time"), "{}", only_reason(&decoded));
        assert_eq!(decoded.batch.samples.time, [NOW]);
    }
    assert_eq!(write(&ingest, vec![good("after")]).written.samples, 1);
    let body = WriteRequest {
        timeseries: vec![series(&[("__name__", "t")], &[(1.0, NOW_MS - 10 * year)])],
        metadata: Vec::new(),
    };
    let history = Request { backfill: true, ..request() };
    let decoded = ingest.remote_write(&history, &body.encode_to_vec(), RemoteWriteVersion::V1).unwrap();
    assert_eq!(decoded.written.samples, 1);
    assert!(decoded.batch.backfill);
}

#[test]
fn i9_out_of_order_and_repeated_samples_are_kept_as_sent() {
    let ingest = ingest();
    let times = [NOW_MS, NOW_MS - 60_000, NOW_MS - 7_200_000, NOW_MS - 86_400_000, NOW_MS, NOW_MS];
    let samples: Vec<(f64, i64)> = times.iter().enumerate().map(|(i, ms)| (i as f64, *ms)).collect();
    let decoded = write(&ingest, vec![series(&[("__name__", "ooo")], &samples)]);
    assert_eq!(decoded.written.samples, 6);
    assert_eq!(decoded.batch.samples.time, times.map(|ms| ms * MILLI));
    assert!(decoded.rejects.is_empty());
}

#[test]
fn i10_values_keep_their_bits() {
    let ingest = ingest();
    let bits = [
        0x7ff0_0000_0000_0002,
        f64::NAN.to_bits(),
        0x7ff8_0000_0000_0001,
        f64::INFINITY.to_bits(),
        f64::NEG_INFINITY.to_bits(),
        (-0.0f64).to_bits(),
        1,
        u64::MAX,
    ];
    let samples: Vec<(f64, i64)> = bits.iter().map(|b| (f64::from_bits(*b), NOW_MS)).collect();
    let decoded = write(&ingest, vec![series(&[("__name__", "nan")], &samples)]);
    let stored: Vec<u64> = decoded.batch.samples.value.iter().map(|v| v.to_bits()).collect();
    assert_eq!(stored, bits);
}

#[test]
fn i10_native_histograms_add_up_or_are_refused() {
    let ingest = ingest();
    let histogram = Histogram {
        count: 12,
        sum: 18.4,
        schema: 0,
        zero_count: 2,
        positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 2 }],
        positive_deltas: vec![1, 1, 1, 1],
        timestamp: NOW_MS,
        ..Histogram::default()
    };
    let name = [("__name__", "h"), ("job", "t")];
    let good = TimeSeries { histograms: vec![histogram.clone()], ..series(&name, &[]) };
    let bad = TimeSeries { histograms: vec![Histogram { count: 13, ..histogram }], ..series(&name, &[]) };
    let decoded = write(&ingest, vec![good, bad]);
    assert_eq!((decoded.written.histograms, decoded.rejected()), (1, 1));
    assert!(only_reason(&decoded).contains("counts 13 but its buckets hold 12"), "{}", only_reason(&decoded));
    let rows: Vec<(String, String, f64)> = (0..decoded.batch.samples.len())
        .map(|row| {
            let (metric, _) = labels_of(&ingest, &decoded, row);
            let registry = ingest.directory().read();
            let def = registry.series_def(decoded.batch.samples.series[row]).unwrap();
            assert_eq!(def.kind, SeriesKind::Counter);
            (metric, def.labels.get("le").unwrap_or("").to_owned(), decoded.batch.samples.value[row])
        })
        .collect();
    let expected = [
        ("h_count", "", 12.0),
        ("h_sum", "", 18.4),
        ("h_bucket", "+Inf", 12.0),
        ("h_bucket", "0", 2.0),
        ("h_bucket", "1", 3.0),
        ("h_bucket", "2", 5.0),
        ("h_bucket", "8", 8.0),
        ("h_bucket", "16", 12.0),
    ];
    assert_eq!(rows, expected.map(|(m, le, v)| (m.to_owned(), le.to_owned(), v)));
}

#[test]
fn custom_bounds_become_buckets() {
    let ingest = ingest();
    let histogram = Histogram {
        count: 6,
        sum: 1.0,
        schema: -53,
        positive_spans: vec![Span { offset: 0, length: 3 }],
        positive_deltas: vec![1, 1, 1],
        timestamp: NOW_MS,
        custom_values: vec![0.5, 2.5],
        ..Histogram::default()
    };
    let decoded = write(&ingest, vec![TimeSeries { histograms: vec![histogram], ..series(&[("__name__", "h")], &[]) }]);
    assert_eq!(decoded.batch.samples.value, [6.0, 1.0, 6.0, 1.0, 3.0]);
}

#[test]
fn a_body_of_the_other_version_is_said_to_be_one() {
    let ingest = ingest();
    let v2 = RequestV2 { symbols: vec!["".into(), "__name__".into()], timeseries: vec![TimeSeriesV2::default()] };
    let refused = ingest.remote_write(&request(), &v2.encode_to_vec(), RemoteWriteVersion::V1).unwrap_err();
    assert!(refused.reason.contains("remote write 2"), "{}", refused.reason);
    let v1 = WriteRequest { timeseries: vec![good("a")], metadata: Vec::new() };
    let refused = ingest.remote_write(&request(), &v1.encode_to_vec(), RemoteWriteVersion::V2).unwrap_err();
    assert!(refused.reason.contains("remote write 1"), "{}", refused.reason);
    let v2 = RequestV2 { symbols: vec!["x".into()], timeseries: vec![TimeSeriesV2::default()] };
    let refused = ingest.remote_write(&request(), &v2.encode_to_vec(), RemoteWriteVersion::V2).unwrap_err();
    assert!(refused.reason.contains("first symbol"));
}

#[test]
fn version_2_brings_kind_and_unit_along() {
    let ingest = ingest();
    let v2 = RequestV2 {
        symbols: ["", "__name__", "jobs", "job", "j", "seconds"].map(String::from).to_vec(),
        timeseries: vec![TimeSeriesV2 {
            labels_refs: vec![1, 2, 3, 4],
            samples: vec![Sample { value: 1.0, timestamp: NOW_MS }],
            exemplars: vec![Sample::default()],
            metadata: Some(MetadataV2 { kind: 1, help_ref: 0, unit_ref: 5 }),
            created_timestamp: NOW_MS,
            ..Default::default()
        }],
    };
    let decoded = ingest.remote_write(&request(), &v2.encode_to_vec(), RemoteWriteVersion::V2).unwrap();
    assert_eq!(decoded.written.exemplars, 1);
    let registry = ingest.directory().read();
    let def = registry.series_def(decoded.batch.samples.series[0]).unwrap();
    assert_eq!((def.kind, &*def.unit), (SeriesKind::Counter, "seconds"));
    assert_eq!(registry.entity_id(def.entity).unwrap().as_str(), "service:default/j");
}

#[test]
fn version_1_metadata_is_remembered_over_a_restart() {
    let directory = Arc::new(Directory::default());
    let kind_of = |ingest: &Ingest, decoded: &Decoded| {
        ingest.directory().read().series_def(decoded.batch.samples.series[0]).unwrap().kind
    };
    let ingest = Ingest::new(directory.clone(), Limits::default(), 1);
    assert_eq!(kind_of(&ingest, &write(&ingest, vec![good("jobs_done")])), SeriesKind::Gauge);
    assert_eq!(kind_of(&ingest, &write(&ingest, vec![good("jobs_total")])), SeriesKind::Counter);
    let metadata = Metadata { kind: 1, family: "jobs_done".into(), unit: String::new() };
    let body = WriteRequest { timeseries: Vec::new(), metadata: vec![metadata] }.encode_to_vec();
    ingest.remote_write(&request(), &body, RemoteWriteVersion::V1).unwrap();
    let after = write(&ingest, vec![good("jobs_done")]);
    assert_eq!(kind_of(&ingest, &after), SeriesKind::Counter);
    let restarted = Ingest::new(directory, Limits::default(), 2);
    assert_eq!(write(&restarted, vec![good("jobs_done")]).batch.samples.series, after.batch.samples.series);
}

#[test]
fn a_merge_holds_in_its_span_and_never_touches_earlier_rows() {
    let ingest = ingest();
    let hour = HOUR / MILLI;
    let send = || {
        let samples = [(1.0, NOW_MS - 3 * hour), (2.0, NOW_MS - hour), (3.0, NOW_MS)];
        write(&ingest, vec![series(&[("__name__", "m"), ("job", "old")], &samples)])
    };
    let entities = |decoded: &Decoded| -> Vec<String> {
        let registry = ingest.directory().read();
        let name = |id| registry.entity_id(registry.series_def(id).unwrap().entity).unwrap().name().to_owned();
        decoded.batch.samples.series.iter().map(|id| name(*id)).collect()
    };
    let before = send();
    assert_eq!(entities(&before), ["old", "old", "old"]);
    let id = |name| EntityId::new("service", "", name);
    let span = (Time(NOW - 2 * HOUR), Time(NOW - HOUR / 2));
    ingest.set_aliases(vec![Alias {
        from: id("old"),
        to: id("new"),
        valid_from: span.0,
        valid_to: span.1,
        learned: Time(NOW),
    }]);
    let during = send();
    assert_eq!(entities(&during), ["old", "new", "old"]);
    assert_eq!(entities(&send()), ["old", "new", "old"], "from the cache too");
    assert_eq!(entities(&before), ["old", "old", "old"], "what was stored stays");
    assert_eq!(during.batch.samples.series[0], before.batch.samples.series[0]);
    ingest.set_aliases(Vec::new());
    assert_eq!(entities(&send()), ["old", "old", "old"]);
}
