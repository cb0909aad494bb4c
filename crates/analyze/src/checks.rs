//! What every analysis must pass, and the tools for it: a small world from a seed, and a driver that cuts steps.
//!
//! `check(&ANALYSIS)` is called for each line of the catalogue. The world holds gauges, counters, a constant, gaps,
//! NaN and infinities, duplicates, late rows, spans in traces, log lines, a change; things break in it.

use std::sync::Arc;

use types::slo::{Indicator, Part, Selector, Slo};
use types::{
    Batch, DAY, Directory, EntityId, Finding, LabelSet, MILLI, MINUTE, ResourceDef, ResourceId, SECOND, SeriesDef,
    SeriesId, SeriesKind, TemplateDef, TemplateId, Tenant, Time, Topology,
};
use view::{Analysis, FindingLog, Findings, MemoryHistory, Pages, Params, State, Trigger, View};

/// Seconds of the world.
const LENGTH_S: i64 = 900;

/// A recorded world: one batch a second, and what the ids in it mean.
pub struct World {
    /// What the ids mean.
    pub directory: Arc<Directory>,
    /// The batch of each second, if anything came in it.
    pub seconds: Vec<Option<Arc<Batch>>>,
    /// When it begins.
    pub start: Time,
}

/// Runs all checks. Panics with the analysis' name and what is wrong.
pub fn check(analysis: &'static Analysis) {
    let world = World::new(1, true);
    let whole = run(analysis, &world, world.seconds.len(), None);
    let again = run(analysis, &world, world.seconds.len(), None);
    assert_eq!(whole, again, "{}: the same data gave other findings", analysis.name);

    for (i, found) in whole.iter().enumerate() {
        let now = world.start.plus((i as i64 + 1) * SECOND);
        for finding in found {
            check_finding(analysis, finding, now);
        }
    }
    // What comes later must not change what was said before.
    for cut in [200, 400, 700] {
        let part = run(analysis, &world, cut, None);
        assert_eq!(part[..], whole[..cut], "{}: it looks ahead", analysis.name);
    }
    for every in [1, 37, 111] {
        let restarted = run(analysis, &world, world.seconds.len(), Some(every));
        let first = restarted.iter().zip(&whole).position(|(a, b)| a != b);
        assert_eq!(
            first, None,
            "{}: a restart every {every} s changed the findings, first in second {first:?}",
            analysis.name
        );
    }
    let quiet = run(analysis, &World::constant(), LENGTH_S as usize, None);
    assert!(
        quiet.iter().all(Vec::is_empty),
        "{}: it speaks of constant data: {:?}",
        analysis.name,
        quiet.iter().flatten().next()
    );
    let renamed = run(analysis, &World::named(1, true, "zz"), world.seconds.len(), None);
    let count = |all: &[Vec<Finding>]| all.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(count(&whole), count(&renamed), "{}: names matter", analysis.name);
}

fn check_finding(analysis: &Analysis, finding: &Finding, now: Time) {
    let name = analysis.name;
    assert!((0.0..=1.0).contains(&finding.belief), "{name}: belief {}", finding.belief);
    assert!((0.0..=1.0).contains(&finding.impact), "{name}: impact {}", finding.impact);
    assert!(finding.surprise.is_finite() && finding.surprise >= 0.0, "{name}: surprise {}", finding.surprise);
    assert!(
        finding.start <= finding.end && finding.end <= now,
        "{name}: window {} to {} at {now}",
        finding.start,
        finding.end
    );
    assert!(finding.learned <= now, "{name}: learned in the future");
    assert_eq!(finding.method, name, "a finding names its analysis");
    assert!(!finding.summary.is_empty(), "{name}: no summary");
    assert!(
        crate::measures::ALL.iter().any(|m| m.name == finding.measure),
        "{name}: measure {:?} is not registered",
        finding.measure
    );
    assert_eq!(finding.id, finding.compute_id(), "{name}: the id is not that of the fields");
}

/// What the analysis says in each second. With `restart_every_s` its state goes through a checkpoint that often:
/// whole the first time, then only changed pages laid over the earlier ones.
pub fn run(
    analysis: &'static Analysis,
    world: &World,
    seconds: usize,
    restart_every_s: Option<usize>,
) -> Vec<Vec<Finding>> {
    run_promised(analysis, world, &promises(world), seconds, restart_every_s)
}

/// The same where these service level objectives are promised.
fn run_promised(
    analysis: &'static Analysis,
    world: &World,
    slos: &[Slo],
    seconds: usize,
    restart_every_s: Option<usize>,
) -> Vec<Vec<Finding>> {
    let params = Params::defaults(analysis.params);
    let mut state = (analysis.new_state)(&params);
    let mut log = FindingLog::default();
    let mut topology = Topology::default();
    let mut pages = Pages::new();
    let mut waiting: Vec<Arc<Batch>> = Vec::new();
    let mut said = Vec::new();
    for (second, batch) in world.seconds.iter().take(seconds).enumerate() {
        let now = world.start.plus((second as i64 + 1) * SECOND);
        waiting.extend(batch.iter().cloned());
        let due = match analysis.trigger {
            Trigger::Every(period) => now.0 / period != (now.0 - SECOND) / period,
            Trigger::On(kind) => waiting.iter().any(|b| b.events.kind.iter().any(|k| k.starts_with(kind))),
            Trigger::After(..) => true,
        };
        let mut out = Findings::default();
        if due {
            let registry = world.directory.read();
            let history = MemoryHistory::default();
            let view = View {
                now,
                registry: &registry,
                batches: &waiting,
                findings: &log,
                incidents: &[],
                topology: &topology,
                calibration: &view::Calibration::default(),
                slos,
                history: &history,
            };
            (analysis.run)(&view, &params, &mut state, &mut out);
            waiting.clear();
        }
        for edge in out.edges {
            topology.see(edge.source, edge.target, edge.kind, edge.at, edge.count);
        }
        for finding in &out.said {
            log.say(finding.clone());
        }
        said.push(out.said);
        if restart_every_s.is_some_and(|every| (second + 1) % every == 0) {
            state.save(pages.is_empty(), &mut pages);
            let mut fresh: State = (analysis.new_state)(&params);
            let loaded = fresh.load(state.schema(), &pages);
            assert!(loaded.is_ok(), "{}: its own pages do not load: {loaded:?}", analysis.name);
            state = fresh;
        }
    }
    said
}

/// Objectives for each service of a world: one on requests, and one on a counter, which falls and is no promise kept.
fn promises(world: &World) -> Vec<Slo> {
    let registry = world.directory.read();
    let services = registry.entities().iter().filter(|entity| entity.kind() == "service");
    let slo = |entity: &EntityId, what: &str, indicator: Indicator| Slo {
        name: format!("{}-{what}", entity.name()),
        tenant: Tenant::default(),
        service: entity.clone(),
        description: String::new(),
        target: 0.99,
        window_ns: 7 * DAY,
        indicator,
        enabled: true,
    };
    let total = Selector { metric: "requests_total".into(), matchers: Vec::new() };
    let both = |entity: &EntityId| {
        let ratio = Indicator::Ratio { part: Part::Good(total.clone()), total: total.clone() };
        [slo(entity, "counted", ratio), slo(entity, "requests", Indicator::Requests)]
    };
    services.flat_map(both).collect()
}

impl World {
    /// A world from a seed; with `trouble` things break in it.
    pub fn new(seed: u64, trouble: bool) -> World {
        World::named(seed, trouble, "")
    }

    /// The same world with other names.
    pub fn named(seed: u64, trouble: bool, suffix: &str) -> World {
        let directory = Arc::new(Directory::default());
        let ids = Ids::register(&directory, suffix);
        let start = Time(1_750_000_000 * SECOND);
        let mut noise = Noise(seed);
        let seconds = (0..LENGTH_S).map(|s| Some(Arc::new(second(&ids, &mut noise, start, s, trouble)))).collect();
        World { directory, seconds, start }
    }

    /// Nothing changes: the same gauge, counter pace, span and line every second.
    pub fn constant() -> World {
        let directory = Arc::new(Directory::default());
        let ids = Ids::register(&directory, "");
        let start = Time(1_750_000_000 * SECOND);
        let seconds = (0..LENGTH_S).map(|s| Some(Arc::new(steady_second(&ids, start, s)))).collect();
        World { directory, seconds, start }
    }
}

struct Ids {
    caller: (types::EntityKey, ResourceId),
    called: (types::EntityKey, ResourceId),
    gauge: SeriesId,
    counter: SeriesId,
    constant: SeriesId,
    odd: SeriesId,
    memory: SeriesId,
    disk: SeriesId,
}

impl Ids {
    fn register(directory: &Directory, suffix: &str) -> Ids {
        let mut registry = directory.write();
        for (id, text) in [(1, "handled <*>"), (2, "failed <*>"), (3, "strange <*>")] {
            registry.template(TemplateDef { id: TemplateId(id), text: text.into() });
        }
        let mut service = |name: &str| {
            let name = format!("{name}{suffix}");
            let entity = registry.entity(&EntityId::new("service", "t", &name));
            let attributes = LabelSet::pack(&mut vec![("service.name", name.as_str()), ("service.instance.id", "1")]);
            (entity, registry.resource(ResourceDef { tenant: Tenant::default(), entity, attributes }))
        };
        let (caller, called) = (service("a"), service("b"));
        let mut series = |metric: &str, kind: SeriesKind| {
            registry.series(SeriesDef {
                tenant: Tenant::default(),
                metric: metric.into(),
                entity: called.0,
                labels: LabelSet::pack(&mut vec![("service.instance.id", "1")]),
                kind,
                unit: "".into(),
            })
        };
        let gauge = series("load", SeriesKind::Gauge);
        let counter = series("requests_total", SeriesKind::Counter);
        let constant = series("workers", SeriesKind::Gauge);
        let odd = series("odd", SeriesKind::Gauge);
        let memory = series("process.memory.usage", SeriesKind::Gauge);
        let disk = series("system.filesystem.utilization", SeriesKind::Gauge);
        Ids { caller, called, gauge, counter, constant, odd, memory, disk }
    }
}

fn second(ids: &Ids, noise: &mut Noise, start: Time, s: i64, trouble: bool) -> Batch {
    let at = start.plus(s * SECOND);
    let bad = trouble && (500..650).contains(&s);
    let mut batch = Batch { learned: at.plus(SECOND), ..Batch::default() };
    let cycle = 1.0 + 0.3 * (s as f64 / 300.0 * std::f64::consts::TAU).sin();
    if s % 5 == 0 && !(300..340).contains(&s) {
        let rows = &mut batch.samples;
        rows.push(ids.gauge, at.0, 50.0 * cycle + 2.0 * noise.next() + if bad { 200.0 } else { 0.0 });
        rows.push(ids.counter, at.0, (s % 400) as f64 * 10.0);
        rows.push(ids.constant, at.0, 8.0);
        rows.push(ids.memory, at.0, 50e6 + if bad { (s - 500) as f64 * 6e6 } else { 0.0 });
        rows.push(ids.disk, at.0, if bad { 0.97 } else { 0.4 });
        let odd = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            1e300,
            -1e300,
            f64::MIN_POSITIVE,
            f64::from_bits(0x7ff0_0000_0000_0002),
        ];
        rows.push(ids.odd, at.0, odd[(s / 5) as usize % odd.len()]);
        // A duplicate, one out of order, one far too late.
        rows.push(ids.gauge, at.0, 50.0);
        rows.push(ids.gauge, at.plus(-7 * SECOND).0, 49.0);
        rows.push(ids.gauge, at.plus(-20 * MINUTE).0, 1e9);
    }
    for request in 0..4 {
        trace(ids, noise, at.plus(request * 200 * MILLI), s, bad, &mut batch);
    }
    if s == 495 && trouble {
        batch.events.push(at.0, ids.called.0, "change.deployment", r#"{"version":"2"}"#);
    }
    batch
}

fn trace(ids: &Ids, noise: &mut Noise, at: Time, s: i64, bad: bool, batch: &mut Batch) {
    let failed = bad && noise.next() > 0.0;
    let took = 20 * MILLI + (noise.next().abs() * 4.0) as i64 * MILLI + if bad { 800 * MILLI } else { 0 };
    let id = (at.0 as u64).to_be_bytes();
    let trace: [u8; 16] = [id, id].concat().try_into().unwrap_or([1; 16]);
    let child = (at.0 as u64 + 1).to_be_bytes();
    let inner = (at.0 as u64 + 2).to_be_bytes();
    span(batch, ids.caller, at, took + 10 * MILLI, 2, failed, trace, id, [0; 8]);
    span(batch, ids.caller, at.plus(2 * MILLI), took + 4 * MILLI, 3, failed, trace, child, id);
    span(batch, ids.called, at.plus(4 * MILLI), took, 2, failed, trace, inner, child);
    let (severity, template, body) = if failed { (17, 2, "failed <b>x</b>") } else { (9, 1, "handled") };
    record(batch, ids.called, at.plus(took), severity, template, body, trace);
    if bad && s % 3 == 0 {
        record(batch, ids.called, at, 17, 3, "strange \u{202e} thing", trace);
    }
}

fn steady_second(ids: &Ids, start: Time, s: i64) -> Batch {
    let at = start.plus(s * SECOND);
    let mut batch = Batch { learned: at.plus(SECOND), ..Batch::default() };
    if s % 5 == 0 {
        batch.samples.push(ids.gauge, at.0, 50.0);
        batch.samples.push(ids.counter, at.0, s as f64 * 10.0);
        batch.samples.push(ids.constant, at.0, 8.0);
        batch.samples.push(ids.memory, at.0, 5e8);
        batch.samples.push(ids.disk, at.0, 0.95);
    }
    for request in 0..4 {
        let at = at.plus(request * 200 * MILLI);
        let id = (at.0 as u64).to_be_bytes();
        let trace: [u8; 16] = [id, id].concat().try_into().unwrap_or([1; 16]);
        let (child, inner) = ((at.0 as u64 + 1).to_be_bytes(), (at.0 as u64 + 2).to_be_bytes());
        span(&mut batch, ids.caller, at, 30 * MILLI, 2, false, trace, id, [0; 8]);
        span(&mut batch, ids.caller, at.plus(2 * MILLI), 24 * MILLI, 3, false, trace, child, id);
        span(&mut batch, ids.called, at.plus(4 * MILLI), 20 * MILLI, 2, false, trace, inner, child);
        record(&mut batch, ids.called, at, 9, 1, "handled", trace);
    }
    batch
}

fn span(
    batch: &mut Batch,
    who: (types::EntityKey, ResourceId),
    at: Time,
    took: i64,
    kind: u8,
    failed: bool,
    trace: [u8; 16],
    id: [u8; 8],
    parent: [u8; 8],
) {
    let rows = &mut batch.spans;
    rows.time.push(at.0);
    rows.duration_ns.push(took);
    rows.entity.push(who.0);
    rows.resource.push(who.1);
    rows.name.push("GET /");
    rows.kind.push(kind);
    rows.status.push(if failed { 2 } else { 0 });
    rows.trace_id.push(trace);
    rows.span_id.push(id);
    rows.parent_span_id.push(parent);
    rows.attributes.push("");
}

fn record(
    batch: &mut Batch,
    who: (types::EntityKey, ResourceId),
    at: Time,
    severity: u8,
    template: u32,
    body: &str,
    trace: [u8; 16],
) {
    let rows = &mut batch.records;
    rows.time.push(at.0);
    rows.entity.push(who.0);
    rows.resource.push(who.1);
    rows.severity.push(severity);
    rows.template.push(TemplateId(template));
    rows.body.push(body);
    rows.attributes.push("");
    rows.trace_id.push(trace);
    rows.span_id.push([0; 8]);
}

/// Roughly normal noise from a seed (sum of uniforms), in -3..=3.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        let mut sum = 0.0;
        for _ in 0..6 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sum += (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        }
        sum - 3.0
    }
}
