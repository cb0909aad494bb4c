//! A simulated fleet: services that call each other under a load that rises and falls, with instances, metrics, logs
//! and traces, and faults of known kind, place and time.
//!
//! The world writes straight into columns. It knows nothing of analyses; what it breaks is told by [`Fault`].

use std::sync::Arc;

use types::{
    Batch, CauseKind, Directory, EntityId, EntityKey, LabelSet, MILLI, MINUTE, ResourceDef, ResourceId, SECOND,
    SeriesDef, SeriesId, SeriesKind, TemplateDef, TemplateId, Tenant, Time,
};

use crate::rng::Rng;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// The service takes 700 ms longer by itself.
    SlowService,
    /// Half of the service's answers are errors of its own.
    ErrorBurst,
    /// A new version that fails and is slow, with a deployment event.
    BadDeployment,
    /// Memory of one instance grows without end; near its limit it gets slow.
    MemoryLeak,
    /// The service's disk fills; what it writes fails.
    FullDisk,
    /// One of two instances is gone: no spans, no metrics, refused calls.
    LostInstance,
    /// Error lines in a loop.
    LogStorm,
    /// A database without instrumentation answers slowly.
    SlowDatabase,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [FaultKind; 8] = [
        FaultKind::SlowService,
        FaultKind::ErrorBurst,
        FaultKind::BadDeployment,
        FaultKind::MemoryLeak,
        FaultKind::FullDisk,
        FaultKind::LostInstance,
        FaultKind::LogStorm,
        FaultKind::SlowDatabase,
    ];

    /// Kinds of cause that count as right.
    pub fn right_causes(self) -> &'static [CauseKind] {
        match self {
            FaultKind::SlowService => &[CauseKind::Software, CauseKind::Dependency],
            FaultKind::ErrorBurst | FaultKind::LogStorm => &[CauseKind::Software],
            FaultKind::BadDeployment => &[CauseKind::Change],
            FaultKind::MemoryLeak | FaultKind::FullDisk => &[CauseKind::Resource],
            FaultKind::LostInstance => &[CauseKind::Host, CauseKind::Software],
            FaultKind::SlowDatabase => &[CauseKind::Dependency, CauseKind::Software],
        }
    }
}

/// One fault of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// Which service, as an index of [`World::services`].
    pub service: usize,
    /// From.
    pub from: Time,
    /// Until.
    pub until: Time,
}

/// One service of the fleet.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its entity.
    pub id: EntityId,
    /// Its number in the directory.
    pub key: EntityKey,
    /// Services that it calls, by index, with the chance that a request needs them.
    pub calls: Vec<(usize, f64)>,
    /// Whether each request asks its database.
    pub has_database: bool,
    /// Typical own time of a request.
    pub own_ms: f64,
    instances: Vec<Instance>,
}

#[derive(Clone, Debug)]
struct Instance {
    resource: ResourceId,
    memory: SeriesId,
    memory_limit: SeriesId,
    cpu: SeriesId,
    queue: SeriesId,
    disk: SeriesId,
    requests: SeriesId,
    served: f64,
    memory_bytes: f64,
}

/// The fleet and its faults. [`World::next`] gives what was emitted in the next second.
pub struct World {
    /// All services; the first takes the users' requests.
    pub services: Vec<Service>,
    /// What breaks.
    pub faults: Vec<Fault>,
    rng: Rng,
    now: Time,
    start: Time,
    requests_per_s: f64,
    directory: Arc<Directory>,
    templates: Templates,
}

struct Templates {
    handled: TemplateId,
    failed: TemplateId,
    slow: TemplateId,
    storm: TemplateId,
    started: TemplateId,
}

const LIMIT_BYTES: f64 = 512.0 * 1024.0 * 1024.0;
const NAMES: [&str; 12] = [
    "gateway", "catalog", "cart", "checkout", "search", "users", "payments", "inventory", "pricing", "shipping", "mail", "ledger",
];

impl World {
    /// A fleet of 8 to 12 services from a seed. It starts at `start` and is healthy.
    pub fn new(seed: u64, start: Time, directory: Arc<Directory>) -> World {
        let mut rng = Rng::new(seed);
        let count = 8 + rng.below(5);
        let templates = register_templates(&directory);
        let mut services: Vec<Service> = (0..count).map(|i| register_service(&directory, &mut rng, i)).collect();
        // Three tiers: the gateway calls the second tier, that one the third; nobody calls back.
        let second = 1 + (count - 1) / 2;
        services[0].calls = (1..second).map(|callee| (callee, 0.5)).collect();
        for callee in second..count {
            let callers = 1 + rng.below(2);
            for _ in 0..callers {
                let caller = 1 + rng.below(second - 1);
                if services[caller].calls.iter().all(|(c, _)| *c != callee) {
                    services[caller].calls.push((callee, 0.4 + 0.5 * rng.unit()));
                }
            }
        }
        let requests_per_s = 6.0 + 6.0 * rng.unit();
        World { services, faults: Vec::new(), rng, now: start, start, requests_per_s, directory, templates }
    }

    /// The same world with faults at random times and places: the first after `quiet_ns`, each `length_ns` long, the
    /// next `gap_ns` after the last ended, until `end`.
    pub fn with_faults(mut self, quiet_ns: i64, length_ns: i64, gap_ns: i64, end: Time) -> World {
        let mut from = self.start.plus(quiet_ns);
        while from.plus(length_ns + gap_ns) <= end {
            let kind = FaultKind::ALL[self.rng.below(FaultKind::ALL.len())];
            let fits = |s: &Service| match kind {
                FaultKind::LostInstance => s.instances.len() > 1,
                FaultKind::SlowDatabase => s.has_database,
                _ => true,
            };
            let candidates: Vec<usize> = (1..self.services.len()).filter(|i| fits(&self.services[*i])).collect();
            if !candidates.is_empty() {
                let service = candidates[self.rng.below(candidates.len())];
                let jitter = (self.rng.unit() * 20.0) as i64 * SECOND;
                self.faults.push(Fault { kind, service, from: from.plus(jitter), until: from.plus(length_ns) });
            }
            from = from.plus(length_ns + gap_ns);
        }
        self
    }

    /// The moment up to which everything was emitted.
    pub fn now(&self) -> Time {
        self.now
    }

    /// What the fleet emits in the next second, learned at its end.
    pub fn next_second(&mut self) -> Batch {
        let from = self.now;
        self.now = from.plus(SECOND);
        let mut batch = Batch { tenant: Tenant::default(), learned: self.now, ..Batch::default() };
        self.emit_changes(from, &mut batch);
        let elapsed_s = from.since(self.start) as f64 / SECOND as f64;
        let load = self.requests_per_s * (1.0 + 0.5 * (std::f64::consts::TAU * elapsed_s / 600.0).sin());
        for _ in 0..self.rng.poisson(load) {
            let at = from.plus((self.rng.unit() * SECOND as f64) as i64);
            let trace = [self.rng.bits().to_be_bytes(), self.rng.bits().to_be_bytes()].concat();
            let trace: [u8; 16] = trace.try_into().unwrap_or([1; 16]);
            self.serve(0, at, trace, [0; 8], &mut batch);
        }
        self.emit_storms(from, &mut batch);
        if from.0.rem_euclid(10 * SECOND) < SECOND {
            self.emit_metrics(from, &mut batch);
        }
        batch
    }

    fn active(&self, kind: FaultKind, service: usize, at: Time) -> Option<Fault> {
        self.faults.iter().copied().find(|f| f.kind == kind && f.service == service && f.from <= at && at < f.until)
    }

    /// One request at a service: its server span, what it calls, its log line. Returns duration and success.
    fn serve(&mut self, service: usize, at: Time, trace: [u8; 16], parent: [u8; 8], batch: &mut Batch) -> (i64, bool) {
        let span_id = self.rng.bits().to_be_bytes();
        let lost = self.active(FaultKind::LostInstance, service, at).is_some();
        let count = self.services[service].instances.len();
        let pick = if lost { 0 } else { self.rng.below(count) };
        let resource = self.services[service].instances[pick].resource;
        self.services[service].instances[pick].served += 1.0;

        let (mut own_ms, mut failed) = self.own_work(service, pick, at);
        let mut passed = 0;
        let calls = self.services[service].calls.clone();
        for (callee, chance) in calls {
            if !self.rng.chance(chance) {
                continue;
            }
            let client = self.rng.bits().to_be_bytes();
            let began = at.plus((own_ms * 0.5) as i64 * MILLI + passed);
            // Half of the calls to a service with a lost instance hit the closed port first.
            let refused = self.active(FaultKind::LostInstance, callee, began).is_some() && self.rng.chance(0.5);
            let (took, ok) = if refused { (2 * MILLI, false) } else { self.serve(callee, began, trace, client, batch) };
            let took = took + MILLI;
            let name = format!("GET {}", self.services[callee].id.name());
            self.span(service, resource, began, took, &name, 3, !ok, trace, client, span_id, "", batch);
            passed += took;
            failed |= !ok && (refused || self.rng.chance(0.9));
        }
        if self.services[service].has_database {
            let slow = self.active(FaultKind::SlowDatabase, service, at).is_some();
            let took = ((2.0 + 3.0 * self.rng.unit() + if slow { 600.0 + 200.0 * self.rng.unit() } else { 0.0 }) * MILLI as f64) as i64;
            let full = self.active(FaultKind::FullDisk, service, at).is_some_and(|f| at.since(f.from) > 30 * SECOND);
            let client = self.rng.bits().to_be_bytes();
            let attributes = format!(r#"{{"db.system.name":"postgresql","db.namespace":"{}"}}"#, self.services[service].id.name());
            self.span(service, resource, at.plus(passed), took, "SELECT", 3, full, trace, client, span_id, &attributes, batch);
            failed |= full;
            passed += took;
        }
        own_ms = own_ms.max(0.1);
        let took = (own_ms * MILLI as f64) as i64 + passed;
        let name = format!("GET /{}", self.services[service].id.name());
        self.span(service, resource, at, took, &name, 2, failed, trace, span_id, parent, "", batch);
        if failed {
            self.record(service, resource, at.plus(took), 17, self.templates.failed, "request failed", trace, span_id, batch);
        } else if self.rng.chance(0.3) {
            self.record(service, resource, at.plus(took), 9, self.templates.handled, "request handled", trace, span_id, batch);
        }
        (took, !failed)
    }

    /// Own time in ms and whether the service fails by itself.
    fn own_work(&mut self, service: usize, instance: usize, at: Time) -> (f64, bool) {
        let mut ms = self.services[service].own_ms * (0.25 * self.rng.normal()).exp();
        let mut failed = self.rng.chance(0.001);
        if self.active(FaultKind::SlowService, service, at).is_some() {
            ms += 700.0 + 100.0 * self.rng.normal();
        }
        if self.active(FaultKind::ErrorBurst, service, at).is_some() {
            failed |= self.rng.chance(0.5);
        }
        if self.active(FaultKind::BadDeployment, service, at).is_some() {
            failed |= self.rng.chance(0.4);
            ms += 150.0;
        }
        let near_limit = self.services[service].instances[instance].memory_bytes > 0.85 * LIMIT_BYTES;
        if near_limit && self.rng.chance(0.5) {
            ms += 400.0;
        }
        (ms, failed)
    }

    fn emit_changes(&mut self, from: Time, batch: &mut Batch) {
        for fault in self.faults.clone() {
            let in_second = |t: Time| from <= t && t < from.plus(SECOND);
            if fault.kind == FaultKind::BadDeployment && in_second(fault.from) {
                let key = self.services[fault.service].key;
                batch.events.push(fault.from.0, key, "change.deployment", r#"{"version":"2.0.0","attributes":{}}"#);
            }
            if fault.kind == FaultKind::MemoryLeak && in_second(fault.until) {
                for instance in &mut self.services[fault.service].instances {
                    instance.memory_bytes = 0.2 * LIMIT_BYTES;
                }
            }
            let returns = matches!(fault.kind, FaultKind::MemoryLeak | FaultKind::LostInstance);
            if returns && in_second(fault.until) {
                let resource = self.services[fault.service].instances[0].resource;
                self.record(fault.service, resource, fault.until, 9, self.templates.started, "service started", [0; 16], [0; 8], batch);
            }
        }
    }

    fn emit_storms(&mut self, from: Time, batch: &mut Batch) {
        for service in 0..self.services.len() {
            if self.active(FaultKind::LogStorm, service, from).is_none() {
                continue;
            }
            let resource = self.services[service].instances[0].resource;
            for i in 0..40 {
                let at = from.plus(i * SECOND / 40);
                self.record(service, resource, at, 17, self.templates.storm, "retry of upstream call failed, trying again", [0; 16], [0; 8], batch);
            }
        }
    }

    fn emit_metrics(&mut self, at: Time, batch: &mut Batch) {
        for service in 0..self.services.len() {
            let leak = self.active(FaultKind::MemoryLeak, service, at);
            let full = self.active(FaultKind::FullDisk, service, at);
            let lost = self.active(FaultKind::LostInstance, service, at).is_some();
            for number in 0..self.services[service].instances.len() {
                if lost && number > 0 {
                    continue;
                }
                let (noise, queue) = (self.rng.normal(), self.rng.poisson(2.0));
                let instance = &mut self.services[service].instances[number];
                if leak.is_some() && number == 0 {
                    instance.memory_bytes = (instance.memory_bytes + 5.0 * 1024.0 * 1024.0 * 10.0).min(0.98 * LIMIT_BYTES);
                }
                let memory = instance.memory_bytes * (1.0 + 0.01 * noise);
                let disk = match full {
                    Some(fault) => (0.4 + at.since(fault.from) as f64 / (30 * SECOND) as f64 * 0.6).min(1.0),
                    None => 0.4 + 0.005 * noise,
                };
                let cpu = (0.05 + instance.served / 2000.0 % 0.001 + 0.02 * noise.abs()).min(1.0);
                let points = [
                    (instance.memory, memory.round()),
                    (instance.memory_limit, LIMIT_BYTES),
                    (instance.cpu, cpu),
                    (instance.queue, queue as f64),
                    (instance.disk, disk),
                    (instance.requests, instance.served),
                ];
                for (series, value) in points {
                    batch.samples.push(series, at.0, value);
                }
            }
        }
    }

    fn span(
        &mut self, service: usize, resource: ResourceId, at: Time, duration_ns: i64, name: &str, kind: u8, failed: bool,
        trace: [u8; 16], id: [u8; 8], parent: [u8; 8], attributes: &str, batch: &mut Batch,
    ) {
        let spans = &mut batch.spans;
        spans.time.push(at.0);
        spans.duration_ns.push(duration_ns);
        spans.resource.push(resource);
        spans.entity.push(self.services[service].key);
        spans.name.push(name);
        spans.kind.push(kind);
        spans.status.push(if failed { 2 } else { 0 });
        spans.trace_id.push(trace);
        spans.span_id.push(id);
        spans.parent_span_id.push(parent);
        spans.attributes.push(attributes);
    }

    fn record(
        &mut self, service: usize, resource: ResourceId, at: Time, severity: u8, template: TemplateId, body: &str,
        trace: [u8; 16], span: [u8; 8], batch: &mut Batch,
    ) {
        let records = &mut batch.records;
        records.time.push(at.0);
        records.resource.push(resource);
        records.entity.push(self.services[service].key);
        records.severity.push(severity);
        records.template.push(template);
        records.body.push(body);
        records.attributes.push("");
        records.trace_id.push(trace);
        records.span_id.push(span);
    }

    /// The directory that the world's ids mean something in.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }
}

fn register_service(directory: &Directory, rng: &mut Rng, number: usize) -> Service {
    let mut registry = directory.write();
    let id = EntityId::new("service", "sim", NAMES[number % NAMES.len()]);
    let key = registry.entity(&id);
    let count = 1 + rng.below(2);
    let mut instances = Vec::new();
    for i in 0..count {
        let instance_id = format!("{}-{i}", id.name());
        let attributes = LabelSet::pack(&mut vec![
            ("service.instance.id", instance_id.as_str()),
            ("service.name", id.name()),
            ("service.namespace", "sim"),
            ("service.version", "1.0.0"),
        ]);
        let resource = registry.resource(ResourceDef { tenant: Tenant::default(), entity: key, attributes });
        let mut series = |metric: &str, kind: SeriesKind, unit: &str| {
            registry.series(SeriesDef {
                tenant: Tenant::default(),
                metric: metric.into(),
                entity: key,
                labels: LabelSet::pack(&mut vec![("service.instance.id", instance_id.as_str())]),
                kind,
                unit: unit.into(),
            })
        };
        instances.push(Instance {
            resource,
            memory: series("process.memory.usage", SeriesKind::Gauge, "By"),
            memory_limit: series("process.memory.limit", SeriesKind::Gauge, "By"),
            cpu: series("process.cpu.utilization", SeriesKind::Gauge, "1"),
            queue: series("app.queue.depth", SeriesKind::Gauge, "{item}"),
            disk: series("system.filesystem.utilization", SeriesKind::Gauge, "1"),
            requests: series("http.server.requests", SeriesKind::Counter, "{request}"),
            served: 0.0,
            memory_bytes: LIMIT_BYTES * (0.15 + 0.1 * rng.unit()),
        });
    }
    let own_ms = 5.0 + 25.0 * rng.unit();
    Service { id, key, calls: Vec::new(), has_database: rng.chance(0.5), own_ms, instances }
}

fn register_templates(directory: &Directory) -> Templates {
    let texts = ["request handled in <*>", "request failed: <*>", "slow request: <*>", "retry <*> of upstream call failed, trying again", "service started, version <*>"];
    let mut registry = directory.write();
    let first = registry.templates().len().max(1) as u32;
    for (i, text) in texts.iter().enumerate() {
        registry.template(TemplateDef { id: TemplateId(first + i as u32), text: (*text).into() });
    }
    let id = |i: u32| TemplateId(first + i);
    Templates { handled: id(0), failed: id(1), slow: id(2), storm: id(3), started: id(4) }
}

/// Length of a fault unless said otherwise, and of the quiet between two.
pub const FAULT_NS: i64 = 4 * MINUTE;
