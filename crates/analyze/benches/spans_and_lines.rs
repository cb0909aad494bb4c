//! What a span and a log line cost on their way through their analyses, joins, judging and derived series included.

use std::sync::Arc;

use divan::{Bencher, counter::ItemsCount};
use types::slo::{Indicator, Slo};
use types::{
    Batch, DAY, EntityId, LabelSet, MILLI, Registry, ResourceDef, SECOND, TemplateDef, TemplateId, Tenant, Time,
    Topology,
};
use view::{Analysis, FindingLog, Findings, MemoryHistory, Params, View};

const SERVICES: usize = 20;
const SECONDS: i64 = 60;
const PER_SECOND: usize = 2000;

fn main() {
    divan::main();
}

#[divan::bench]
fn spans(bencher: Bencher) {
    bench(bencher, &bellwether_analyze::detect::requests::ANALYSIS, spans_of);
}

/// Two objectives for each service: what is more than nothing is the cost of counting.
#[divan::bench]
fn spans_of_objectives(bencher: Bencher) {
    let slo = |i: usize| Slo {
        name: format!("slo-{i}"),
        tenant: Tenant::default(),
        service: EntityId::new("service", "shop", &format!("s{}", i % SERVICES)),
        description: String::new(),
        target: 0.999,
        window_ns: 30 * DAY,
        indicator: if i < SERVICES { Indicator::Requests } else { Indicator::Latency { threshold_ms: 300.0 } },
        enabled: true,
    };
    let slos: Vec<Slo> = (0..2 * SERVICES).map(slo).collect();
    bench_promised(bencher, &bellwether_analyze::detect::slo::ANALYSIS, spans_of, &slos);
}

#[divan::bench]
fn lines(bencher: Bencher) {
    bench(bencher, &bellwether_analyze::detect::logs::ANALYSIS, lines_of);
}

#[divan::bench]
fn lines_values(bencher: Bencher) {
    bench(bencher, &bellwether_analyze::detect::log_values::ANALYSIS, lines_of);
}

#[divan::bench]
fn lines_sessions_by_id(bencher: Bencher) {
    bench(bencher, &bellwether_analyze::detect::log_sessions::ANALYSIS, lines_of);
}

#[divan::bench]
fn lines_sessions_by_trace(bencher: Bencher) {
    bench(bencher, &bellwether_analyze::detect::log_sessions::ANALYSIS, traced_lines_of);
}

#[divan::bench]
fn causes_in_peace(bencher: Bencher) {
    bench(bencher, &bellwether_analyze::cause::root_cause::ANALYSIS, spans_of);
}

/// Runs a minute of telemetry, a step a second, through one analysis.
fn bench(bencher: Bencher, analysis: &Analysis, rows: fn(&Registry, i64) -> Batch) {
    bench_promised(bencher, analysis, rows, &[]);
}

fn bench_promised(bencher: Bencher, analysis: &Analysis, rows: fn(&Registry, i64) -> Batch, slos: &[Slo]) {
    let registry = registry();
    let steps: Vec<Vec<Arc<Batch>>> = (0..SECONDS).map(|s| vec![Arc::new(rows(&registry, s * SECOND))]).collect();
    let (log, topology, history) = (FindingLog::default(), Topology::default(), MemoryHistory::default());
    let params = Params::defaults(analysis.params);
    let items = steps.iter().flatten().map(|b| b.rows()).sum::<usize>();
    bencher.counter(ItemsCount::new(items)).bench_local(|| {
        let mut state = (analysis.new_state)(&params);
        let mut said = 0;
        for (second, batches) in steps.iter().enumerate() {
            let view = View {
                now: Time((second as i64 + 1) * SECOND),
                registry: &registry,
                batches,
                findings: &log,
                incidents: &[],
                topology: &topology,
                calibration: &view::Calibration::default(),
                slos,
                history: &history,
            };
            let mut out = Findings::default();
            (analysis.run)(&view, &params, &mut state, &mut out);
            said += out.derived.len();
        }
        said
    });
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    for service in 0..SERVICES {
        let entity = registry.entity(&EntityId::new("service", "shop", &format!("s{service}")));
        let instance = format!("s{service}-1");
        let attributes = LabelSet::pack(&mut vec![("service.instance.id", &instance), ("service.version", "1")]);
        registry.resource(ResourceDef { tenant: Tenant::default(), entity, attributes });
    }
    for template in 1..200 {
        let text =
            format!("served order <*> of customer <*> in <*> ms from the cache, nothing special in case {template}");
        registry.template(TemplateDef { id: TemplateId(template), text: text.into() });
    }
    registry
}

/// Pairs of a client span and the server span it causes, with the attributes that HTTP instrumentation sends.
fn spans_of(registry: &Registry, at: i64) -> Batch {
    let mut batch = Batch { learned: Time(at + SECOND), ..Batch::default() };
    let spans = &mut batch.spans;
    for i in 0..PER_SECOND {
        let pair = at as u64 + (i as u64 / 2) + 1;
        let is_client = i % 2 == 0;
        let service = if is_client { i % SERVICES } else { (i * 7) % SERVICES };
        let resource = types::ResourceId(service as u32);
        let start = at + (i as i64) * (SECOND / PER_SECOND as i64);
        spans.time.push(start);
        spans.duration_ns.push((5 + (i as i64 * 31) % 40) * MILLI / 10);
        spans.resource.push(resource);
        spans.entity.push(registry.resource_def(resource).map(|r| r.entity).unwrap_or_default());
        spans.name.push("GET /orders/{id}");
        spans.kind.push(if is_client { 3 } else { 2 });
        spans.status.push(if i % 211 == 0 { 2 } else { 0 });
        spans.trace_id.push(u128::from(pair.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes());
        spans.span_id.push((pair * 2 + u64::from(!is_client)).to_be_bytes());
        spans.parent_span_id.push(if is_client { [0; 8] } else { (pair * 2).to_be_bytes() });
        spans.attributes.push(if is_client {
            r#"{"http.request.method":"GET","server.address":"127.0.0.1","server.port":9003,"url.full":"http://127.0.0.1:9003/orders/17","peer.service":"orders","http.response.status_code":200}"#
        } else {
            r#"{"http.request.method":"GET","http.route":"/orders/{id}","url.path":"/orders/17","url.scheme":"http","network.protocol.version":"1.1","http.response.status_code":200}"#
        });
    }
    batch
}

fn lines_of(registry: &Registry, at: i64) -> Batch {
    let mut batch = Batch { learned: Time(at + SECOND), ..Batch::default() };
    let records = &mut batch.records;
    for i in 0..PER_SECOND {
        let resource = types::ResourceId((i % SERVICES) as u32);
        records.time.push(at + (i as i64) * (SECOND / PER_SECOND as i64));
        records.resource.push(resource);
        records.entity.push(registry.resource_def(resource).map(|r| r.entity).unwrap_or_default());
        records.severity.push(if i % 97 == 0 { 17 } else { 9 });
        // Seven kinds of lines a service.
        let template = 1 + (i % 140) as u32;
        records.template.push(TemplateId(template));
        let (order, customer, ms) = (at / SECOND * 1000 + i as i64 / 60, i % 50, 3 + i * 31 % 200);
        records.body.push(&format!(
            "served order ord_{order:07} of customer {customer} in {ms} ms from the cache, nothing special in case {template}"
        ));
        records.attributes.push("");
        records.trace_id.push([0; 16]);
        records.span_id.push([0; 8]);
    }
    batch
}

fn traced_lines_of(registry: &Registry, at: i64) -> Batch {
    let mut batch = lines_of(registry, at);
    // Three lines of a service a trace.
    let trace = |i: usize| (at / SECOND * 10_000) as u128 + (i / 60 * 20 + i % 20) as u128 + 1;
    batch.records.trace_id = (0..PER_SECOND).map(|i| (trace(i) * 0x9e37_79b9_7f4a_7c15).to_be_bytes()).collect();
    batch
}
