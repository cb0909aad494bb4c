//! The world: services, their load, their telemetry and their faults.

use std::{collections::BTreeMap, f64::consts::TAU, sync::Arc};

use types::{
    Batch, Directory, EntityId, EntityKey, Incident, LabelSet, MILLI, MINUTE, ResourceDef, ResourceId, SECOND,
    SeriesDef, SeriesId, SeriesKind, TemplateDef, TemplateId, Tenant, Time,
};

use crate::{FAULT_MINUTES, Fault, FaultKind, START, SimConfig, WARM_UP_MINUTES, random::Random};

const NAMES: [&str; 20] = [
    "frontend",
    "catalog",
    "cart",
    "checkout",
    "payments",
    "inventory",
    "shipping",
    "search",
    "reviews",
    "pricing",
    "accounts",
    "email",
    "fraud",
    "images",
    "recommend",
    "ledger",
    "tax",
    "coupons",
    "stock",
    "audit",
];
/// The load swings once in ten minutes.
const CYCLE_S: f64 = 600.0;
/// Metrics are sampled this often.
const SAMPLE_NS: i64 = 10 * SECOND;

struct Service {
    name: String,
    entity: EntityKey,
    instances: u64,
    /// Own time of a request without trouble, ms.
    own_ms: f64,
    calls: Vec<usize>,
    database: Option<String>,
    version: u32,
    /// Share of memory in use at the leak's moment, beyond the usual.
    leak: f64,
    /// Share of the disk in use.
    disk: f64,
    /// Requests since the last sample, by instance.
    busy: BTreeMap<u64, u64>,
    /// Requests since the start, by instance.
    total: BTreeMap<u64, u64>,
}

/// A span on its way.
struct Span {
    start: i64,
    end: i64,
    service: usize,
    instance: u64,
    kind: u8,
    failed: bool,
    name: &'static str,
    trace: [u8; 16],
    id: [u8; 8],
    parent: [u8; 8],
    attributes: String,
}

/// A log line on its way.
struct Line {
    at: i64,
    service: usize,
    instance: u64,
    severity: u8,
    template: u32,
    body: String,
    trace: [u8; 16],
    span: [u8; 8],
}

/// The system under observation.
pub struct World {
    pub directory: Arc<Directory>,
    pub faults: Vec<Fault>,
    /// Harmless deployments: when they are told of, and of what.
    pub decoys: Vec<(Time, EntityId)>,
    services: Vec<Service>,
    random: Random,
    now: Time,
    next_id: u64,
    requests_per_s: f64,
    spans: Vec<Span>,
    lines: Vec<Line>,
    announced: Vec<(usize, bool)>,
    metrics_only: bool,
    /// What a mesh counted since the start: requests and their time together, ms, by caller, called and whether they failed.
    mesh: BTreeMap<(Option<usize>, usize, bool), (u64, f64)>,
}

/// From a harmless deployment to the faults after it.
const DECOY_BEFORE_NS: i64 = 30 * SECOND;

/// What a request meets on its way.
struct Caller {
    trace: [u8; 16],
    parent: [u8; 8],
}

impl World {
    /// A world by its seed.
    pub fn new(config: &SimConfig) -> World {
        let mut random = Random::new(config.seed);
        let directory = Arc::new(Directory::default());
        let count = config.services.clamp(3, 40);
        let mut services = Vec::new();
        for i in 0..count {
            let base = NAMES[i % NAMES.len()];
            let name = if i < NAMES.len() { base.to_owned() } else { format!("{base}-{}", i / NAMES.len() + 1) };
            let entity = directory.write().entity(&EntityId::new("service", "shop", &name));
            services.push(Service {
                database: random.chance(0.3).then(|| format!("{name}-db")),
                name,
                entity,
                instances: 1 + random.below(3),
                own_ms: 2.0 + 12.0 * random.unit(),
                calls: Vec::new(),
                version: 1,
                leak: 0.0,
                disk: 0.3 + 0.3 * random.unit(),
                busy: BTreeMap::new(),
                total: BTreeMap::new(),
            });
        }
        // A tree with a few more edges, so that all are reached and some have two callers.
        for i in 1..count {
            let caller = if i < 4 { 0 } else { random.below((i as u64).min(6)) as usize };
            services[caller].calls.push(i);
            let other = random.below(i as u64) as usize;
            if random.chance(0.25) && other != caller {
                services[other].calls.push(i);
            }
        }
        services.iter_mut().rev().find(|s| s.calls.is_empty()).into_iter().for_each(|s| {
            s.database.get_or_insert_with(|| format!("{}-db", s.name));
        });
        let (faults, decoys) = plan(config, &services, &mut random);
        let mut world = World {
            directory,
            faults,
            decoys,
            services,
            random,
            now: START,
            next_id: 1,
            requests_per_s: config.requests_per_s,
            spans: Vec::new(),
            lines: Vec::new(),
            announced: Vec::new(),
            metrics_only: config.metrics_only,
            mesh: BTreeMap::new(),
        };
        world.define_templates();
        world
    }

    /// Whom a right answer names: the first is the true place.
    pub fn truth(&self, fault: &Fault) -> Vec<EntityId> {
        let service = &self.services[fault.service];
        let own = EntityId::new("service", "shop", &service.name);
        match (fault.kind, &service.database) {
            (FaultKind::SlowDatabase, Some(name)) => vec![EntityId::new("database", "shop", name)],
            _ => vec![own],
        }
    }

    /// Place of a fault among the causes of an incident, from 0.
    pub fn rank(&self, fault: &Fault, incident: &Incident) -> Option<usize> {
        let truth = self.truth(fault);
        incident.causes.iter().position(|cause| truth.contains(&cause.entity))
    }

    /// Everything that reaches the engine between the last call and `now`.
    pub fn live_until(&mut self, now: Time) -> Batch {
        let mut batch = Batch { learned: now, ..Batch::default() };
        self.announce(now, &mut batch);
        self.wear();
        let length_s = now.since(self.now) as f64 / SECOND as f64;
        for _ in 0..self.random.poisson(self.rate() * length_s) {
            let at = self.now.0 + (self.random.unit() * now.since(self.now) as f64) as i64;
            let mut trace = [0; 16];
            trace[..8].copy_from_slice(&self.random.next().to_be_bytes());
            trace[8..].copy_from_slice(&self.random.next().to_be_bytes());
            let (end, failed) = self.serve(0, at, &Caller { trace, parent: [0; 8] });
            self.count(None, 0, failed, end - at);
        }
        self.storms(now);
        self.sample(now, &mut batch);
        self.now = now;
        self.send(&mut batch);
        batch
    }

    /// Requests a second at the entry now.
    fn rate(&self) -> f64 {
        let seconds = self.now.since(START) as f64 / SECOND as f64;
        let surge = if self.active(FaultKind::TrafficSurge, 0) { 4.0 } else { 1.0 };
        self.requests_per_s * (1.0 + 0.3 * (TAU * seconds / CYCLE_S).sin()) * surge
    }

    fn active(&self, kind: FaultKind, service: usize) -> bool {
        let on = |f: &&Fault| f.kind == kind && f.service == service && self.now >= f.at && self.now < f.until;
        self.faults.iter().any(|f| on(&f))
    }

    /// Deployments: the bad one, the one that takes it back, and those that harm nobody.
    fn announce(&mut self, now: Time, batch: &mut Batch) {
        for (when, entity) in self.decoys.iter().filter(|(when, _)| (self.now..now).contains(when)) {
            let entity = self.directory.write().entity(entity);
            batch.events.push(when.0, entity, "change.deployment", r#"{"version":"9.9.9","author":"eve"}"#);
        }
        for (i, fault) in self.faults.iter().enumerate().filter(|(_, f)| f.kind == FaultKind::BadDeployment) {
            for (back, when) in [(false, fault.at), (true, fault.until)] {
                if now >= when && !self.announced.contains(&(i, back)) {
                    self.announced.push((i, back));
                    let service = &mut self.services[fault.service];
                    service.version += 1;
                    let attributes = format!(r#"{{"version":"1.{}.0","author":"ann"}}"#, service.version);
                    batch.events.push(when.0, service.entity, "change.deployment", &attributes);
                }
            }
        }
    }

    /// Memory and disks, step by step.
    fn wear(&mut self) {
        for i in 0..self.services.len() {
            let (leaking, filling) = (self.active(FaultKind::MemoryLeak, i), self.active(FaultKind::FullDisk, i));
            let service = &mut self.services[i];
            service.leak = if leaking { (service.leak + 0.012).min(0.6) } else { 0.0 };
            service.disk = match filling {
                true => (service.disk + 0.045).min(1.0),
                // What filled it is removed; the rest grows by and by.
                false if service.disk > 0.9 => 0.4,
                false => service.disk + 2e-7,
            };
        }
    }

    /// One request at a service; answers when it was done and whether it failed.
    fn serve(&mut self, at: usize, start: i64, caller: &Caller) -> (i64, bool) {
        let instances = self.services[at].instances;
        let mut instance = self.random.below(instances);
        if self.active(FaultKind::LostInstance, at) && instance == instances - 1 {
            let since = self.faults.iter().filter(|f| f.service == at && f.at <= self.now).map(|f| f.at).max();
            let noticed = since.is_some_and(|t| self.now.since(t) > 30 * SECOND);
            if instances == 1 || !noticed {
                return (start + 2 * MILLI, true);
            }
            instance = self.random.below(instances - 1);
        }
        let id = self.id();
        let mut clock = start + self.own_time(at);
        let mut failed = self.fails(at);
        if let Some(name) = self.services[at].database.clone() {
            let (done, broke) = self.query(at, instance, &name, clock, caller.trace, id);
            clock = done;
            failed |= broke;
        }
        let calls = self.services[at].calls.clone();
        for callee in calls {
            if failed || !self.random.chance(0.7) {
                continue;
            }
            let call = self.id();
            let (done, broke) = self.serve(callee, clock + MILLI / 2, &Caller { trace: caller.trace, parent: call });
            self.count(Some(at), callee, broke, done - clock);
            let done = done + MILLI / 2;
            let attributes = format!(r#"{{"peer.service":"{}"}}"#, self.services[callee].name);
            self.spans.push(Span {
                start: clock,
                end: done,
                service: at,
                instance,
                kind: 3,
                failed: broke,
                name: "call",
                trace: caller.trace,
                id: call,
                parent: id,
                attributes,
            });
            clock = done;
            failed |= broke && self.random.chance(0.95);
        }
        *self.services[at].busy.entry(instance).or_default() += 1;
        *self.services[at].total.entry(instance).or_default() += 1;
        self.spans.push(Span {
            start,
            end: clock,
            service: at,
            instance,
            kind: 2,
            failed,
            name: "handle",
            trace: caller.trace,
            id,
            parent: caller.parent,
            attributes: String::new(),
        });
        self.log_request(at, instance, clock, failed, caller.trace, id);
        (clock, failed)
    }

    /// A call as a mesh counts it.
    fn count(&mut self, caller: Option<usize>, called: usize, failed: bool, took: i64) {
        let (requests, ms) = self.mesh.entry((caller, called, failed)).or_default();
        *requests += 1;
        *ms += took as f64 / MILLI as f64;
    }

    /// A call to a database, which sends no spans of its own.
    fn query(
        &mut self,
        at: usize,
        instance: u64,
        name: &str,
        start: i64,
        trace: [u8; 16],
        parent: [u8; 8],
    ) -> (i64, bool) {
        let slow = if self.active(FaultKind::SlowDatabase, at) { 250.0 + 150.0 * self.random.unit() } else { 0.0 };
        let took = (1.5 * (0.3 * self.random.normal()).exp() + slow) * MILLI as f64;
        let full = self.services[at].disk >= 0.999 && self.random.chance(0.5);
        let end = start + took as i64;
        let id = self.id();
        let attributes = format!(r#"{{"db.system":"sqlite","db.namespace":"{name}"}}"#);
        let span = Span {
            start,
            end,
            service: at,
            instance,
            kind: 3,
            failed: full,
            name: "query",
            trace,
            id,
            parent,
            attributes,
        };
        self.spans.push(span);
        (end, full)
    }

    /// Own time of one request, ns.
    fn own_time(&mut self, at: usize) -> i64 {
        let service = &self.services[at];
        let mut ms = service.own_ms * (0.25 * self.random.normal()).exp();
        if self.active(FaultKind::SlowDependency, at) {
            ms += 300.0 + 200.0 * self.random.unit();
        }
        if self.services[at].leak > 0.35 {
            ms *= 1.0 + 10.0 * (self.services[at].leak - 0.35);
        }
        if self.active(FaultKind::TrafficSurge, 0) {
            ms *= 1.3;
        }
        (ms * MILLI as f64) as i64
    }

    /// Whether a request fails by the service's own doing.
    fn fails(&mut self, at: usize) -> bool {
        let mut probability: f64 = 0.001;
        if self.active(FaultKind::ErrorBurst, at) {
            probability = 0.4;
        }
        if self.active(FaultKind::BadDeployment, at) {
            probability = 0.3;
        }
        if self.services[at].disk >= 0.999 {
            probability = 0.5;
        }
        self.random.chance(probability)
    }

    fn log_request(&mut self, at: usize, instance: u64, when: i64, failed: bool, trace: [u8; 16], span: [u8; 8]) {
        let (severity, which) = match failed {
            true if self.services[at].disk >= 0.999 => (17, 3),
            true => (17, 2),
            false if self.random.chance(0.3) => (9, 1),
            false => return,
        };
        let number = self.random.below(100_000);
        let body = match which {
            1 => format!("served request {number}"),
            2 => format!("request {number} failed"),
            _ => format!("cannot write order {number}: no space left on device"),
        };
        let template = template_of(at, which);
        self.lines.push(Line { at: when, service: at, instance, severity, template, body, trace, span });
    }

    /// Log storms: lines that no request writes.
    fn storms(&mut self, now: Time) {
        for at in 0..self.services.len() {
            if !self.active(FaultKind::LogStorm, at) {
                continue;
            }
            for _ in 0..self.random.poisson(20.0 * now.since(self.now) as f64 / SECOND as f64) {
                let when = self.now.0 + (self.random.unit() * now.since(self.now) as f64) as i64;
                let body = format!("lost connection to broker {}, retrying", self.random.below(8));
                let template = template_of(at, 4);
                let (trace, span) = ([0; 16], [0; 8]);
                self.lines.push(Line { at: when, service: at, instance: 0, severity: 17, template, body, trace, span });
            }
        }
    }

    /// Metrics of each instance.
    fn sample(&mut self, now: Time, batch: &mut Batch) {
        let mut at = self.now.floor(SAMPLE_NS).plus(SAMPLE_NS);
        while at <= now {
            for i in 0..self.services.len() {
                for instance in 0..self.services[i].instances {
                    let gone = self.active(FaultKind::LostInstance, i) && instance == self.services[i].instances - 1;
                    if !gone {
                        self.sample_instance(i, instance, at, batch);
                    }
                }
            }
            if self.metrics_only {
                self.sample_mesh(at, batch);
            }
            at = at.plus(SAMPLE_NS);
        }
    }

    /// Istio's standard metrics, as the called say them.
    fn sample_mesh(&mut self, when: Time, batch: &mut Batch) {
        for ((caller, called, failed), (requests, ms)) in self.mesh.clone() {
            let name = |service: usize| self.services[service].name.as_str();
            let source = caller.map_or("unknown", name);
            let code = if failed { "503" } else { "200" };
            let labels = [
                ("reporter", "destination"),
                ("source_workload", source),
                ("source_workload_namespace", "shop"),
                ("destination_workload", name(called)),
                ("destination_workload_namespace", "shop"),
                ("response_code", code),
            ];
            for (metric, unit, value) in [
                ("istio_requests_total", "", requests as f64),
                ("istio_request_duration_milliseconds_count", "", requests as f64),
                ("istio_request_duration_milliseconds_sum", "ms", ms),
            ] {
                let def = SeriesDef {
                    tenant: Tenant::default(),
                    metric: metric.into(),
                    entity: self.services[called].entity,
                    labels: LabelSet::pack(&mut labels.to_vec()),
                    kind: SeriesKind::Counter,
                    unit: unit.into(),
                };
                let series = self.directory.write().series(def);
                batch.samples.push(series, when.0, value);
            }
        }
    }

    fn sample_instance(&mut self, at: usize, instance: u64, when: Time, batch: &mut Batch) {
        let seconds = when.since(START) as f64 / SECOND as f64;
        let requests = self.services[at].busy.remove(&instance).unwrap_or(0) as f64;
        let service = &self.services[at];
        let (leak, disk) = (service.leak, service.disk);
        let total = service.total.get(&instance).copied().unwrap_or(0) as f64;
        // Garbage collection makes a saw of ninety seconds, out of step between instances.
        let saw = ((seconds + 17.0 * (at as f64 + 3.0 * instance as f64)) / 90.0).fract();
        let memory = 0.35 + 0.05 * saw + 0.004 * self.random.normal() + leak;
        let cpu = 0.08 + 0.006 * requests + 0.01 * self.random.normal().abs();
        let queue = (0.3 * requests * self.random.unit()).floor();
        let limit = 1_073_741_824.0;
        let gauge = SeriesKind::Gauge;
        for (metric, unit, kind, value) in [
            ("process.memory.usage", "By", gauge, (memory * limit).floor()),
            ("process.memory.limit", "By", gauge, limit),
            ("process.cpu.utilization", "1", gauge, cpu),
            ("system.filesystem.utilization", "1", gauge, disk + 2e-4 * self.random.unit()),
            ("shop.queue.depth", "{item}", gauge, queue),
            ("http.server.requests", "{request}", SeriesKind::Counter, total),
        ] {
            let series = self.series(at, instance, metric, unit, kind);
            batch.samples.push(series, when.0, value);
        }
    }

    /// Puts on the wire what has ended.
    fn send(&mut self, batch: &mut Batch) {
        let now = self.now.0;
        if self.metrics_only {
            self.spans.clear();
            self.lines.clear();
            return;
        }
        let (done, later) = std::mem::take(&mut self.spans).into_iter().partition(|span| span.end <= now);
        self.spans = later;
        let done: Vec<Span> = done;
        for span in done {
            let resource = self.resource(span.service, span.instance);
            let rows = &mut batch.spans;
            rows.time.push(span.start);
            rows.duration_ns.push(span.end - span.start);
            rows.resource.push(resource);
            rows.entity.push(self.services[span.service].entity);
            rows.name.push(span.name);
            rows.kind.push(span.kind);
            rows.status.push(if span.failed { 2 } else { 0 });
            rows.trace_id.push(span.trace);
            rows.span_id.push(span.id);
            rows.parent_span_id.push(span.parent);
            rows.attributes.push(&span.attributes);
        }
        let (done, later) = std::mem::take(&mut self.lines).into_iter().partition(|line| line.at <= now);
        self.lines = later;
        let done: Vec<Line> = done;
        for line in done {
            let resource = self.resource(line.service, line.instance);
            let rows = &mut batch.records;
            rows.time.push(line.at);
            rows.resource.push(resource);
            rows.entity.push(self.services[line.service].entity);
            rows.severity.push(line.severity);
            rows.template.push(TemplateId(line.template));
            rows.body.push(&line.body);
            rows.attributes.push("");
            rows.trace_id.push(line.trace);
            rows.span_id.push(line.span);
        }
    }

    fn resource(&self, at: usize, instance: u64) -> ResourceId {
        let service = &self.services[at];
        let (name, version) = (format!("{}-{instance}", service.name), format!("1.{}.0", service.version));
        let mut pairs = vec![
            ("service.name", service.name.as_str()),
            ("service.namespace", "shop"),
            ("service.instance.id", &name),
            ("service.version", &version),
        ];
        let attributes = LabelSet::pack(&mut pairs);
        self.directory.write().resource(ResourceDef { tenant: Tenant::default(), entity: service.entity, attributes })
    }

    fn series(&self, at: usize, instance: u64, metric: &str, unit: &str, kind: SeriesKind) -> SeriesId {
        let service = &self.services[at];
        let name = format!("{}-{instance}", service.name);
        let labels = LabelSet::pack(&mut vec![("service.instance.id", name.as_str())]);
        let (tenant, entity) = (Tenant::default(), service.entity);
        let def = SeriesDef { tenant, metric: metric.into(), entity, labels, kind, unit: unit.into() };
        self.directory.write().series(def)
    }

    fn define_templates(&mut self) {
        let texts = [
            "served request <*>",
            "request <*> failed",
            "cannot write order <*>: no space left on device",
            "lost connection to broker <*>, retrying",
        ];
        let mut registry = self.directory.write();
        for at in 0..self.services.len() {
            for (i, text) in texts.iter().enumerate() {
                let id = TemplateId(template_of(at, i as u32 + 1));
                registry.template(TemplateDef { id, text: (*text).into() });
            }
        }
    }

    fn id(&mut self) -> [u8; 8] {
        self.next_id += 1;
        // Spread, as real ids are.
        self.next_id.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
    }
}

/// Templates 1 to 4 of each service.
fn template_of(at: usize, which: u32) -> u32 {
    at as u32 * 4 + which
}

/// One fault after the other, or one pair, each at a place that can have it; and the harmless deployments before.
fn plan(config: &SimConfig, services: &[Service], random: &mut Random) -> (Vec<Fault>, Vec<(Time, EntityId)>) {
    let (mut faults, mut decoys) = (Vec::new(), Vec::new());
    let mut kinds = config.faults.clone();
    random.shuffle(&mut kinds);
    let mut sets: Vec<Vec<FaultKind>> = kinds.iter().map(|kind| vec![*kind]).collect();
    if config.pairs {
        sets = kinds.iter().enumerate().flat_map(|(i, a)| kinds[..i].iter().map(|b| vec![*b, *a])).collect();
        random.shuffle(&mut sets);
    }
    let mut at = START.plus(i64::from(WARM_UP_MINUTES) * MINUTE);
    for kinds in sets {
        // Not on the minute: nothing in the world is.
        let from = at.plus(random.below(60) as i64 * SECOND);
        let until = from.plus(i64::from(FAULT_MINUTES) * MINUTE);
        if until.plus(2 * MINUTE) > START.plus(i64::from(config.minutes) * MINUTE) {
            break;
        }
        let mut taken: Vec<usize> = Vec::new();
        for kind in kinds {
            let able: Vec<usize> = match kind {
                FaultKind::TrafficSurge => vec![0],
                FaultKind::SlowDatabase => (1..services.len()).filter(|i| services[*i].database.is_some()).collect(),
                _ => (1..services.len()).collect(),
            };
            let able: Vec<usize> = able.into_iter().filter(|service| !taken.contains(service)).collect();
            let Some(service) = able.get(random.below(able.len() as u64) as usize).copied() else { continue };
            taken.push(service);
            faults.push(Fault { kind, service, at: from, until });
        }
        if config.pairs {
            let spared: Vec<&Service> =
                (0..services.len()).filter(|i| !taken.contains(i)).map(|i| &services[i]).collect();
            let decoy = spared[random.below(spared.len() as u64) as usize];
            decoys.push((from.plus(-DECOY_BEFORE_NS), EntityId::new("service", "shop", &decoy.name)));
        }
        // A change is under suspicion for a quarter of an hour.
        let pauses = if config.pairs { 3 } else { 1 };
        at = at.plus((1 + pauses) * i64::from(FAULT_MINUTES) * MINUTE);
    }
    (faults, decoys)
}
