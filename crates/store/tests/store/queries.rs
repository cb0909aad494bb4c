//! SQL and typed reads over memory and sealed files.

use std::time::Duration;

use bellwether_store::{
    Distinct, ErrorKind, EventFilter, FailedFilter, FailedTraces, FieldFilter, RecordFilter, SeriesFilter, SpanFilter,
    SqlLimits, SqlRequest, Store,
};
use serde_json::json;
use types::{Batch, EntityId, HOUR, SECOND, Tenant, Time};
use view::History;

use crate::world::{Folder, START, at, number, sample_batch, series, sql, text_batch};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_counted_at_once() {
    let folder = Folder::new();
    let store = folder.open().await;
    for step in 0..5 {
        store.append(sample_batch(&store, 10, step), None).await.unwrap();
        assert_eq!(number(&store, "SELECT count(*) FROM samples").await, (step + 1) as f64 * 10.0);
    }
    assert_eq!(number(&store, "SELECT sum(value) FROM samples WHERE metric = 'cpu_seconds_total'").await, 51.5625);
}

const QUERIES: [&str; 12] = [
    "SELECT * FROM samples ORDER BY time, series",
    "SELECT count(*) FROM samples",
    "SELECT metric, entity, count(*), sum(value), min(time), max(time) FROM samples GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT value, label(labels, 'host') FROM samples WHERE metric LIKE 'cpu%' AND value > 3 ORDER BY time, series",
    "SELECT count(*) FROM samples WHERE entity IN ('service:shop/cart') AND time >= '2026-11-23T10:00:30Z'",
    "SELECT time, learned, entity, severity, body, template, attributes, trace_id, span_id, resource, template_id, tenant
     FROM records ORDER BY time, span_id",
    "SELECT count(*) FROM records WHERE body LIKE '%-1 placed' AND entity = 'service:shop/cart'",
    "SELECT * FROM spans ORDER BY time, span_id",
    "SELECT * FROM events ORDER BY time",
    "SELECT date_bin(interval '1 minute', time) AS minute, avg(value) FROM samples GROUP BY 1 ORDER BY 1",
    "SELECT r.body FROM records r JOIN spans s ON r.trace_id = s.trace_id WHERE s.status = 'error' ORDER BY 1",
    "WITH a AS (SELECT series, max(value) AS v FROM samples GROUP BY series) SELECT avg(v) FROM a",
];

async fn fill(store: &Store) {
    for step in 0..20 {
        store.append(sample_batch(store, 12, step), None).await.unwrap();
        store.append(text_batch(store, step), None).await.unwrap();
    }
    // Repeated rows and one that is corrected.
    store.append(sample_batch(store, 12, 7), None).await.unwrap();
    let mut corrected = sample_batch(store, 12, 8);
    corrected.samples.value[0] = 1000.0;
    store.append(corrected, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hot_half_sealed_sealed_and_merged_answer_alike() {
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    let mut hot = Vec::new();
    for query in QUERIES {
        hot.push(sql(&store, query).await);
    }
    assert_eq!(hot[1].rows, vec![vec![json!(240)]]);
    assert!(hot.iter().all(|a| !a.rows.is_empty()));

    store.seal_now().await.unwrap();
    // Repeats of what is sealed now.
    store.append(sample_batch(&store, 12, 3), None).await.unwrap();
    for (query, expected) in QUERIES.iter().zip(&hot) {
        let mixed = sql(&store, query).await;
        if !query.contains("*  FROM samples") && !query.starts_with("SELECT * FROM samples") {
            assert_eq!(mixed.rows, expected.rows, "half sealed: {query}");
        }
    }
    store.seal_now().await.unwrap();
    store.append(sample_batch(&store, 12, 20), None).await.unwrap();
    store.seal_now().await.unwrap();
    assert!(store.status().sealed_files >= 6);
    assert!(store.compact_now().await.unwrap() >= 3);
    let total = number(&store, "SELECT count(*) FROM samples").await;
    assert_eq!(total, 252.0);
    drop(store);

    let store = folder.open().await;
    for (query, expected) in QUERIES.iter().zip(&hot).skip(5).take(4) {
        assert_eq!(sql(&store, query).await.rows, expected.rows, "merged and opened again: {query}");
    }
    assert_eq!(number(&store, "SELECT count(*) FROM samples").await, 252.0);
    assert_eq!(number(&store, "SELECT max(value) FROM samples").await, 1000.0);
    assert_eq!(number(&store, "SELECT count(DISTINCT learned) FROM samples WHERE series = 1").await, 21.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_has_times_objects_and_what_numbers_cannot_say() {
    let folder = Folder::new();
    let store = folder.open().await;
    let mut batch = sample_batch(&store, 3, 0);
    batch.samples.value = vec![f64::NAN, f64::INFINITY, 0.25];
    store.append(batch, None).await.unwrap();
    store.append(text_batch(&store, 0), None).await.unwrap();
    let answer = sql(&store, "SELECT time, labels, value FROM samples ORDER BY series").await;
    assert_eq!(answer.columns.iter().map(|c| c.kind.as_str()).collect::<Vec<_>>(), ["timestamp", "json", "double"]);
    assert_eq!(answer.rows[0], vec![json!("2026-11-23T10:00:00.000000000Z"), json!({"host": "h0"}), json!("NaN")]);
    assert_eq!(answer.rows[1][2], json!("+Inf"));
    let answer = sql(&store, "SELECT attributes, template, trace_id, span_id FROM records ORDER BY time").await;
    assert_eq!(answer.rows[0][0], json!({"thread": "w-1", "n": 3}));
    assert_eq!(answer.rows[0][1], json!("order <*> placed"));
    assert_eq!(answer.rows[0][2], json!("01010101010101010101010101010101"));
    assert_eq!(answer.rows[0][3], json!(null), "an id of zeros is none");
    assert_eq!(answer.rows[1][0], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_own_tenant_stays_out_unless_asked_for() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.append(sample_batch(&store, 4, 0), None).await.unwrap();
    let own = Tenant::own();
    let mut batch = Batch { tenant: own.clone(), ..Batch::default() };
    batch.samples.push(series(store.directory(), &own, "host_cpu", "self", "me"), START, 1.0);
    store.append(batch, None).await.unwrap();
    for sealed in [false, true] {
        if sealed {
            store.seal_now().await.unwrap();
        }
        assert_eq!(number(&store, "SELECT count(*) FROM samples").await, 4.0);
        assert_eq!(number(&store, "SELECT count(*) FROM samples WHERE tenant = '_self'").await, 1.0);
        assert_eq!(number(&store, "SELECT count(*) FROM samples WHERE tenant LIKE '%'").await, 5.0);
        assert_eq!(number(&store, "SELECT count(*) FROM samples WHERE metric = 'host_cpu'").await, 0.0);
        let scoped = SqlRequest {
            query: "SELECT count(*) FROM samples WHERE tenant LIKE '%'".into(),
            tenant: Some(Tenant::default()),
            ..SqlRequest::default()
        };
        assert_eq!(store.sql(scoped).await.unwrap().rows[0][0], json!(4));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_reading_within_limits() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.append(sample_batch(&store, 50, 0), None).await.unwrap();
    let run = |query: &str, limits: SqlLimits| {
        let request = SqlRequest { query: query.into(), tenant: None, limits };
        let store = store.clone();
        async move { store.sql(request).await }
    };
    let none = SqlLimits::default();
    for query in [
        "DROP TABLE samples",
        "INSERT INTO samples SELECT * FROM samples",
        "CREATE TABLE t AS SELECT 1",
        "COPY samples TO '/tmp/x.csv'",
        "SET datafusion.execution.batch_size = 1",
        "SELEC 1",
        "SELECT nothing FROM samples",
        "SELECT 1; SELECT 2",
    ] {
        let error = run(query, none).await.expect_err(query);
        assert_eq!(error.kind, ErrorKind::BadRequest, "{query}: {error}");
    }
    let few = SqlLimits { rows_max: 10, ..none };
    let error = run("SELECT * FROM samples", few).await.unwrap_err();
    assert!(error.kind == ErrorKind::Limit && error.to_string().contains("rows_max"), "{error}");
    let quick = SqlLimits { time_max: Duration::from_millis(50), ..none };
    let cross =
        "SELECT count(*) FROM samples a, samples b, samples c, samples d, samples e WHERE a.value < b.value + e.value";
    let error = run(cross, quick).await.unwrap_err();
    assert!(error.kind == ErrorKind::Limit && error.to_string().contains("time_max"), "{error}");
    for query in ["SHOW TABLES", "EXPLAIN SELECT count(*) FROM samples", "SELECT source FROM edges"] {
        run(query, none).await.unwrap_or_else(|e| panic!("{query}: {e}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_reads_agree_with_what_was_sent() {
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    for sealed in [false, true] {
        if sealed {
            store.seal_now().await.unwrap();
        }
        let listed = store.series_list(&SeriesFilter { metric: Some("requests_total".into()), ..Default::default() });
        assert_eq!(listed.len(), 6);
        assert_eq!(listed[0].entity.as_str(), "service:shop/payments");
        let one = store.series_list(&SeriesFilter { labels: vec![("host".into(), "h3".into())], ..Default::default() });
        let chart = store.series_points(vec![one[0].series], at(2), at(6), 100).await.unwrap();
        let values: Vec<f64> = chart[0].points.iter().map(|p| p.last).collect();
        assert_eq!(values, [2.046875, 3.046875, 4.046875, 5.046875]);
        let chart = store.series_points(vec![one[0].series], at(0), at(20), 5).await.unwrap();
        assert!(chart[0].points.len() <= 5);
        assert_eq!(chart[0].points.iter().map(|p| p.count).sum::<u32>(), 20);
        assert_eq!(chart[0].points.last().unwrap().max, 19.046875);

        let page = RecordFilter { text: Some("-2 PLACED".into()), limit: 2, ..Default::default() };
        let records = store.records(page).await.unwrap();
        assert_eq!(
            records.iter().map(|r| r.body.as_str()).collect::<Vec<_>>(),
            ["order 19-2 placed", "order 18-2 placed"]
        );
        let records =
            store.records(RecordFilter { severity_min: 17, limit: 1000, ..Default::default() }).await.unwrap();
        assert_eq!(records.len(), 20);
        let field = |name: &str, value: &str, keep| FieldFilter { name: name.into(), value: value.into(), keep };
        let count = async |fields: Vec<FieldFilter>| {
            store.records(RecordFilter { fields, limit: 1000, ..Default::default() }).await.unwrap().len()
        };
        let all = count(Vec::new()).await;
        let with = count(vec![field("thread", "w-1", true), field("n", "3", true)]).await;
        assert!(with > 0 && with < all);
        assert_eq!(count(vec![field("thread", "w-1", false)]).await, all - with);
        assert_eq!(count(vec![field("service.version", "1.2", true)]).await, all, "the resource's count too");
        assert_eq!(count(vec![field("thread", "w-2", true)]).await, 0);
        let spans = store.spans(SpanFilter { errors_only: true, limit: 7, ..Default::default() }).await.unwrap();
        assert_eq!((spans.len(), spans[0].kind, spans[0].status), (7, "client", "error"));
        let trace = store.trace(None, "05050505050505050505050505050505").await.unwrap();
        assert_eq!(trace.len(), 2);
        assert_eq!(trace[0].parent_span_id, None);
        let events =
            store.events(EventFilter { kind_prefix: Some("change.".into()), ..Default::default() }).await.unwrap();
        assert_eq!(events.len(), 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_in_failed_traces_are_counted_wherever_in_the_trace_they_stand() {
    let folder = Folder::new();
    let store = folder.open().await;
    let mut batch = text_batch(&store, 0);
    let (cart, resource) = (batch.spans.entity[0], batch.spans.resource[0]);
    let web = store.directory().write().entity(&EntityId::new("service", "shop", "web"));
    batch.spans = Default::default();
    let mut span = |entity, trace: u8, parent: u8, kind: u8, status: u8, attributes: &str| {
        let spans = &mut batch.spans;
        spans.time.push(at(0).0);
        spans.duration_ns.push(1000);
        spans.resource.push(resource);
        spans.entity.push(entity);
        spans.name.push("GET /");
        spans.kind.push(kind);
        spans.status.push(status);
        spans.trace_id.push([trace; 16]);
        spans.span_id.push([parent + 1; 8]);
        spans.parent_span_id.push([parent; 8]);
        spans.attributes.push(attributes);
    };
    // The user stands at the root only; 3 repeats 2, 4 names nobody, 5 failed elsewhere, 6 within a request that did not.
    for (trace, user) in [(1, r#"{"user.id":"ada"}"#), (2, r#"{"user.id":7}"#), (3, r#"{"user.id":7}"#), (4, "{}")] {
        span(web, trace, 0, 2, 0, user);
        span(cart, trace, 1, 2, 2, r#"{"session.id":"s","user.id":""}"#);
    }
    span(web, 5, 0, 2, 2, r#"{"user.id":"eve"}"#);
    span(cart, 6, 1, 1, 2, r#"{"user.id":"bob"}"#);
    store.append(batch, None).await.unwrap();
    let filter = FailedFilter {
        tenant: Tenant::default(),
        from: at(0),
        to: at(1),
        entities: vec![EntityId::new("service", "shop", "cart"), EntityId::new("service", "shop", "unknown")],
        attributes: vec!["user.id", "session.id"],
        spans_most: 1000,
    };
    let expected = FailedTraces {
        traces: 4,
        values: vec![Distinct { values: 2, traces: 3 }, Distinct { values: 1, traces: 4 }],
        whole: true,
    };
    for sealed in [false, true] {
        if sealed {
            store.seal_now().await.unwrap();
        }
        assert_eq!(store.failed_traces(filter.clone()).await.unwrap(), expected);
        let none = store.failed_traces(FailedFilter { spans_most: 0, ..filter.clone() }).await.unwrap();
        assert_eq!((none.traces, none.whole), (0, false), "what was not looked at is told");
        let later = store.failed_traces(FailedFilter { from: at(1), to: at(9), ..filter.clone() }).await.unwrap();
        assert_eq!((later.traces, later.whole), (0, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_shows_only_what_was_learned_by_then() {
    let folder = Folder::new();
    let now = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(START));
    let clock = now.clone();
    let mut config = folder.config();
    config.clock = std::sync::Arc::new(move || Time(clock.load(std::sync::atomic::Ordering::Relaxed)));
    let store = Store::open(config).await.unwrap();
    for step in 0..10 {
        now.store(at(step).0 + SECOND, std::sync::atomic::Ordering::Relaxed);
        store.append(sample_batch(&store, 2, step), None).await.unwrap();
        store.append(text_batch(&store, step * 15), None).await.unwrap();
    }
    // Told late: happened at step 2, learned at step 11.
    now.store(at(11).0, std::sync::atomic::Ordering::Relaxed);
    let mut late = sample_batch(&store, 2, 2);
    late.samples.time[0] += 5;
    late.samples.series.truncate(1);
    late.samples.time.truncate(1);
    late.samples.value.truncate(1);
    let id = late.samples.series[0];
    store.append(late, None).await.unwrap();
    let cart = store.directory().read().find_entity(&EntityId::new("service", "shop", "cart"));
    let history = store.history();
    for sealed in [false, true] {
        if sealed {
            store.seal_now().await.unwrap();
        }
        let then = history.samples(id, at(0), at(20), at(5));
        assert_eq!(then.len(), 5, "step 5 itself was learned a second later");
        assert_eq!(history.samples(id, at(0), at(20), at(12)).len(), 11);
        assert_eq!(history.samples(id, at(3), at(5), at(12)).len(), 2);
        assert_eq!(history.events(cart, at(0), at(20), at(5)).len(), 5);
        assert_eq!(history.events(None, at(0), at(1), Time(START + HOUR)).len(), 1);
    }
}
