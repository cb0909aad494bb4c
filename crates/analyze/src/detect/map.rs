//! The map beyond requests: what runs where, who calls whom as metrics say, and queues.
//!
//! - A sender's resource attributes say where it runs: service on pod, pod on node, node in cluster, cluster in region;
//!   each only where it is named. A node is the machine, so it is the entity `host:default/NAME`, as node exporters and
//!   alerts name it. Labels of metrics say the same (`pod`, `namespace`, `node`), those of exporters about others.
//! - Metrics of meshes and of service graphs have labels for both ends of a call, see [`PAIRS`]. They count while their
//!   values move: a mesh goes on exporting what is gone.
//! - Spans that send to or receive from a queue (`messaging.*`) make both sides need the queue.
//! - Log lines that name what was called: a peer service or a database as spans name them, or the `upstream_cluster` of
//!   Envoy's access logs.
//!
//! Edges are said again every five minutes while they are seen, and fade when they are not ([`types::topology`]). A
//! source has at most [`MAX_TARGETS`] of them that are fresh, so a name that never repeats cannot flood the map;
//! instances and containers are not entities for the same reason. Cost: one look in a table a row. It fails where a
//! container calls itself `host.name`: names that look like a container's id, and the pod's own, are not taken for
//! machines. Sources: OpenTelemetry semantic conventions (k8s, host, cloud, messaging); Istio, Linkerd and Consul
//! standard metrics; the service graph connector.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::{
    Batch, EdgeKind, EntityId, EntityKey, LabelSet, MINUTE, Registry, ResourceId, SECOND, SeriesId, SeriesKind, Spans,
    Time,
};
use view::{Analysis, Findings, Fleet, Pages, Params, SeenEdge, State, StateData, Stratum, Trigger, View};

use super::{fields::text_field, requests::peer_entity};

/// The catalogue's entry.
pub const ANALYSIS: Analysis = Analysis {
    name: "map",
    version: 1,
    summary: "what runs on which pod, machine, cluster and region, and calls as meshes, graphs and queues show them",
    stratum: Stratum::Detect,
    trigger: Trigger::Every(10 * SECOND),
    params: &[],
    new_state: |_| State::new(Book::default()),
    run,
};

/// An edge that is seen is said this often.
const SAY_EVERY_NS: i64 = 5 * MINUTE;
/// Fresh targets of one source.
const MAX_TARGETS: usize = 256;
/// Sources with edges.
const MAX_SOURCES: usize = 20_000;
/// Resources, series and queues whose last look is remembered.
const MAX_LOOKED: usize = 50_000;
/// What was not looked at for so long is forgotten when there is no room.
const FORGET_NS: i64 = 60 * MINUTE;
/// Edges whose ends have no number yet, and how long they wait for one.
const MAX_WAITING: usize = 10_000;
const WAIT_NS: i64 = MINUTE;
/// Most characters of a name.
const MAX_NAME: usize = 200;

/// Labels that name both ends of a call.
struct Pair {
    /// The metric's name must begin so.
    metric: &'static str,
    source: &'static [&'static str],
    source_namespace: &'static [&'static str],
    target: &'static [&'static str],
    target_namespace: &'static [&'static str],
}

/// In this order; the first that fits counts.
const PAIRS: [Pair; 6] = [
    // Istio, Cilium's Hubble.
    Pair {
        metric: "",
        source: &["source_workload"],
        source_namespace: &["source_workload_namespace", "source_namespace"],
        target: &["destination_workload", "destination_service_name"],
        target_namespace: &["destination_workload_namespace", "destination_service_namespace", "destination_namespace"],
    },
    // The service graphs of Tempo, Alloy and the collector's connector.
    Pair {
        metric: "traces_service_graph_",
        source: &["client"],
        source_namespace: &["client_service_namespace"],
        target: &["server"],
        target_namespace: &["server_service_namespace"],
    },
    // Linkerd.
    Pair {
        metric: "",
        source: &["deployment"],
        source_namespace: &["namespace"],
        target: &["dst_deployment"],
        target_namespace: &["dst_namespace"],
    },
    // Consul.
    Pair {
        metric: "",
        source: &["consul_source_service"],
        source_namespace: &["consul_source_namespace"],
        target: &["consul_destination_service"],
        target_namespace: &["consul_destination_namespace"],
    },
    // Open Service Mesh.
    Pair {
        metric: "",
        source: &["source_name"],
        source_namespace: &["source_namespace"],
        target: &["destination_name"],
        target_namespace: &["destination_namespace"],
    },
    // Network flows of Beyla and OpenTelemetry's eBPF instrumentation.
    Pair {
        metric: "",
        source: &["k8s_src_owner_name"],
        source_namespace: &["k8s_src_namespace"],
        target: &["k8s_dst_owner_name"],
        target_namespace: &["k8s_dst_namespace"],
    },
];

/// The state of the analysis.
#[derive(Default)]
struct Book {
    saved: Saved,
    /// What each series is good for; follows from the registry.
    series: Vec<Worth>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Worth {
    Nothing,
    Place,
    /// Index into [`PAIRS`].
    Call(u8),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Saved {
    /// When a resource was last looked at (its own time, ns).
    resources: BTreeMap<u32, i64>,
    /// The same of a series, and the bits of its value then.
    series: BTreeMap<u32, (i64, u64)>,
    /// The same of an entity's queue, and of what its lines name.
    queues: BTreeMap<String, i64>,
    /// Fresh targets by source.
    targets: BTreeMap<u32, BTreeMap<u32, i64>>,
    waiting: Vec<Waiting>,
    /// Edges left out because a limit was reached.
    left_out: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Waiting {
    source: EntityId,
    target: EntityId,
    kind: EdgeKind,
    at: i64,
    /// Until when it may wait.
    until: i64,
}

fn run(view: &View, _params: &Params, state: &mut State, out: &mut Findings) {
    let book: &mut Book = state.get();
    book.say_waiting(view, out);
    for batch in view.batches {
        book.take_senders(view, batch, out);
        book.take_queues(view, batch, out);
        book.take_lines(view, batch, out);
        book.take_series(view, batch, out);
    }
}

impl Book {
    fn take_senders(&mut self, view: &View, batch: &Batch, out: &mut Findings) {
        let spans = batch.spans.resource.iter().zip(&batch.spans.time);
        let records = batch.records.resource.iter().zip(&batch.records.time);
        let mut last = None;
        for (resource, time) in spans.chain(records) {
            if last != Some(*resource) && looks(&mut self.saved.resources, resource.0, *time) {
                self.place_sender(view, *resource, *time, out);
            }
            last = Some(*resource);
        }
    }

    fn place_sender(&mut self, view: &View, resource: ResourceId, time: i64, out: &mut Findings) {
        let Some(def) = view.registry.resource_def(resource) else { return };
        let Some(entity) = view.registry.entity_id(def.entity) else { return };
        for (source, target) in Place::of(&def.attributes).chain(Some(entity)) {
            self.say(view, source, target, EdgeKind::RunsOn, time, out);
        }
    }

    /// What a producer sends to, and a consumer receives from.
    fn take_queues(&mut self, view: &View, batch: &Batch, out: &mut Findings) {
        let spans = &batch.spans;
        for i in (0..spans.len()).filter(|i| matches!(spans.kind[*i], 4 | 5)) {
            let Some(queue) = queue_of(spans, i) else { continue };
            let key = format!("{} {queue}", spans.entity[i].0);
            let is_due = looks(&mut self.saved.queues, key, spans.time[i]);
            if let Some(entity) = view.registry.entity_id(spans.entity[i]).filter(|_| is_due) {
                self.say(view, entity.clone(), queue, EdgeKind::Calls, spans.time[i], out);
            }
        }
    }

    fn take_lines(&mut self, view: &View, batch: &Batch, out: &mut Findings) {
        let lines = &batch.records;
        for (i, entity) in lines.entity.iter().enumerate() {
            let attributes = lines.attributes.get(i);
            if attributes.is_empty() {
                continue;
            }
            let Some(caller) = view.registry.entity_id(*entity) else { continue };
            let Some(called) = called_of_line(view.registry, caller.namespace(), attributes) else { continue };
            if looks(&mut self.saved.queues, format!("{} {called}", entity.0), lines.time[i]) {
                self.say(view, caller.clone(), called, EdgeKind::Calls, lines.time[i], out);
            }
        }
    }

    fn take_series(&mut self, view: &View, batch: &Batch, out: &mut Findings) {
        let rows = &batch.samples;
        for ((series, time), value) in rows.series.iter().zip(&rows.time).zip(&rows.value) {
            match self.worth(view.registry, *series) {
                Worth::Nothing => {}
                Worth::Place => self.place_series(view, *series, *time, out),
                Worth::Call(pair) => self.call(view, *series, &PAIRS[usize::from(pair)], *time, *value, out),
            }
        }
    }

    fn worth(&mut self, registry: &Registry, series: SeriesId) -> Worth {
        let all = registry.all_series();
        for def in &all[self.series.len().min(all.len())..] {
            self.series.push(match def.kind {
                SeriesKind::Derived => Worth::Nothing,
                _ => worth_of(&def.metric, &def.labels),
            });
        }
        self.series.get(series.0 as usize).copied().unwrap_or(Worth::Nothing)
    }

    fn place_series(&mut self, view: &View, series: SeriesId, time: i64, out: &mut Findings) {
        if self.saved.series.get(&series.0).is_some_and(|(last, _)| is_soon(*last, time)) {
            return;
        }
        let Some(def) = view.registry.series_def(series) else { return };
        remember(&mut self.saved.series, series.0, (time, 0), |(at, _)| *at, time);
        let entity = view.registry.entity_id(def.entity);
        // An exporter speaks of others: where those run is not where it runs.
        let speaks_of_others = |entity: &&EntityId| is_exporter(def.labels.get("job").unwrap_or(entity.name()));
        let entity = entity.filter(|entity| !speaks_of_others(entity));
        for (source, target) in Place::of(&def.labels).chain(entity) {
            self.say(view, source, target, EdgeKind::RunsOn, time, out);
        }
    }

    fn call(&mut self, view: &View, series: SeriesId, pair: &Pair, time: i64, value: f64, out: &mut Findings) {
        let known = self.saved.series.get(&series.0).copied();
        if known.is_some_and(|(last, _)| is_soon(last, time)) || value.is_nan() {
            return;
        }
        let moved = match known {
            Some((_, bits)) => bits != value.to_bits(),
            None => value > 0.0,
        };
        remember(&mut self.saved.series, series.0, (time, value.to_bits()), |(at, _)| *at, time);
        let Some(def) = view.registry.series_def(series).filter(|_| moved) else { return };
        let Some((source, target)) = ends(view.registry, pair, &def.labels) else { return };
        self.say(view, source, target, EdgeKind::Calls, time, out);
    }

    /// Says an edge, now or as soon as both ends have a number.
    fn say(&mut self, view: &View, source: EntityId, target: EntityId, kind: EdgeKind, at: i64, out: &mut Findings) {
        if source == target {
            return;
        }
        match (view.registry.find_entity(&source), view.registry.find_entity(&target)) {
            (Some(from), Some(to)) => self.say_known(from, to, kind, at, out),
            (from, to) => {
                if self.saved.waiting.len() >= MAX_WAITING {
                    self.saved.left_out += 1;
                    return;
                }
                out.entities.extend(from.is_none().then(|| source.clone()));
                out.entities.extend(to.is_none().then(|| target.clone()));
                let until = view.now.plus(WAIT_NS).0;
                self.saved.waiting.push(Waiting { source, target, kind, at, until });
            }
        }
    }

    fn say_known(&mut self, from: EntityKey, to: EntityKey, kind: EdgeKind, at: i64, out: &mut Findings) {
        let targets = &mut self.saved.targets;
        if !targets.contains_key(&from.0) && targets.len() >= MAX_SOURCES {
            let old = at.saturating_sub(types::topology::fade_ns(EdgeKind::Calls));
            targets.retain(|_, of| of.values().any(|last| *last >= old));
            if targets.len() >= MAX_SOURCES {
                self.saved.left_out += 1;
                return;
            }
        }
        let of = targets.entry(from.0).or_default();
        if !of.contains_key(&to.0) && of.len() >= MAX_TARGETS {
            let old = at.saturating_sub(types::topology::fade_ns(kind));
            of.retain(|_, last| *last >= old);
            if of.len() >= MAX_TARGETS {
                self.saved.left_out += 1;
                return;
            }
        }
        let last = of.entry(to.0).or_insert(at);
        *last = at.max(*last);
        out.edges.push(SeenEdge { source: from, target: to, kind, at: Time(at), count: 1 });
    }

    fn say_waiting(&mut self, view: &View, out: &mut Findings) {
        for waiting in std::mem::take(&mut self.saved.waiting) {
            match (view.registry.find_entity(&waiting.source), view.registry.find_entity(&waiting.target)) {
                (Some(from), Some(to)) => self.say_known(from, to, waiting.kind, waiting.at, out),
                _ if waiting.until > view.now.0 => self.saved.waiting.push(waiting),
                _ => self.saved.left_out += 1,
            }
        }
    }
}

/// Where something runs, as attributes or labels say.
#[derive(Default)]
struct Place<'a> {
    pod: Option<&'a str>,
    namespace: Option<&'a str>,
    node: Option<&'a str>,
    host: Option<&'a str>,
    cluster: Option<&'a str>,
    region: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn of(labels: &'a LabelSet) -> Place<'a> {
        let mut place = Place::default();
        for (name, value) in labels.iter() {
            let field = match name {
                "k8s.pod.name" | "pod" | "k8s_pod_name" => &mut place.pod,
                "k8s.namespace.name" | "namespace" | "k8s_namespace_name" => &mut place.namespace,
                "k8s.node.name" | "node" | "k8s_node_name" => &mut place.node,
                "host.name" => &mut place.host,
                "k8s.cluster.name" | "k8s_cluster_name" => &mut place.cluster,
                "cloud.region" => &mut place.region,
                _ => continue,
            };
            *field = Some(value).filter(|text| is_name(text)).or(*field);
        }
        place
    }

    /// Edges from each named thing to the next larger one, beginning with the sender.
    fn chain(&self, sender: Option<&EntityId>) -> Vec<(EntityId, EntityId)> {
        let pod = self.pod.map(|name| EntityId::new("pod", self.namespace.unwrap_or(""), name));
        let host = self.host.filter(|host| self.pod != Some(host) && !is_container_id(host) && *host != "localhost");
        let machine = self.node.or(host).map(|name| EntityId::new("host", "", name));
        let cluster = self.cluster.map(|name| EntityId::new("cluster", "", name));
        let region = self.region.map(|name| EntityId::new("region", "", name));
        let sender = sender.filter(|sender| sender.name() != "unknown").cloned();
        let mut named: Vec<EntityId> = [sender, pod, machine, cluster, region].into_iter().flatten().collect();
        named.dedup();
        named.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }
}

fn worth_of(metric: &str, labels: &LabelSet) -> Worth {
    for (i, pair) in PAIRS.iter().enumerate().filter(|(_, pair)| metric.starts_with(pair.metric)) {
        if value_of(labels, pair.source).is_some() && value_of(labels, pair.target).is_some() {
            return Worth::Call(i as u8);
        }
    }
    let place = Place::of(labels);
    // A pod or a machine must be named: a cluster alone stands on every series of some.
    if place.pod.is_some() || place.host.is_some() || (place.node.is_some() && place.cluster.is_some()) {
        Worth::Place
    } else {
        Worth::Nothing
    }
}

/// Who calls and who is called.
fn ends(registry: &Registry, pair: &Pair, labels: &LabelSet) -> Option<(EntityId, EntityId)> {
    let source_namespace = value_of(labels, pair.source_namespace).unwrap_or("");
    let source = service(registry, source_namespace, value_of(labels, pair.source)?);
    let name = value_of(labels, pair.target)?;
    if labels.get("connection_type") == Some("database") {
        return Some((source.clone(), EntityId::new("database", source.namespace(), name)));
    }
    let namespace = value_of(labels, pair.target_namespace).unwrap_or("");
    Some((source, service(registry, namespace, name)))
}

/// The first of these labels that names something. Meshes write `unknown` for what they do not see, service graphs
/// `user` for whoever calls from outside.
fn value_of<'a>(labels: &'a LabelSet, names: &[&str]) -> Option<&'a str> {
    let says = |value: &&str| !matches!(*value, "unknown" | "user" | "-" | "none") && is_name(value);
    names.iter().find_map(|name| labels.get(name).filter(says))
}

/// The service of this name, in whichever namespace its own telemetry puts it.
fn service(registry: &Registry, namespace: &str, name: &str) -> EntityId {
    let named = EntityId::new("service", namespace, name);
    registry.known_service(&named).unwrap_or(named)
}

fn queue_of(spans: &Spans, i: usize) -> Option<EntityId> {
    let attributes = spans.attributes.get(i);
    if !attributes.contains("\"messaging.") || attributes.contains("destination.temporary\":true") {
        return None;
    }
    let system = text_field(attributes, "messaging.system").unwrap_or("");
    let names = ["messaging.destination.template", "messaging.destination.name", "messaging.destination"];
    let name = names.iter().find_map(|name| text_field(attributes, name))?;
    is_name(name).then(|| EntityId::new("queue", system, name))
}

/// What a log line says was called. Envoy names what it routed to `outbound|PORT|SUBSET|SERVICE.NAMESPACE.svc.DOMAIN`.
fn called_of_line(registry: &Registry, namespace: &str, attributes: &str) -> Option<EntityId> {
    if let Some(named) = peer_entity(namespace, attributes) {
        return Some(if named.kind() == "service" { service(registry, namespace, named.name()) } else { named });
    }
    if !attributes.contains("\"upstream_cluster\"") {
        return None;
    }
    let address = text_field(attributes, "upstream_cluster")?.strip_prefix("outbound|")?.rsplit('|').next()?;
    let mut parts = address.split('.');
    let (name, of) = (parts.next().filter(|name| is_name(name))?, parts.next()?);
    (parts.next() == Some("svc")).then(|| service(registry, of, name))
}

/// Not blank, and not too long.
fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= MAX_NAME
}

fn is_exporter(job: &str) -> bool {
    ["exporter", "kube-state-metrics", "kubelet", "cadvisor", "otel-collector"].iter().any(|word| job.contains(word))
}

/// What Docker calls a container when nobody names it.
fn is_container_id(name: &str) -> bool {
    matches!(name.len(), 12 | 64) && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether something is due to be looked at; notes that it is. Times may come in any order.
fn looks<K: Ord>(looked: &mut BTreeMap<K, i64>, key: K, time: i64) -> bool {
    if looked.get(&key).is_some_and(|last| is_soon(*last, time)) {
        return false;
    }
    remember(looked, key, time, |at| *at, time);
    true
}

fn is_soon(last: i64, time: i64) -> bool {
    last.abs_diff(time) < SAY_EVERY_NS as u64
}

fn remember<K: Ord, V>(looked: &mut BTreeMap<K, V>, key: K, value: V, time_of: impl Fn(&V) -> i64, now: i64) {
    if looked.len() >= MAX_LOOKED && !looked.contains_key(&key) {
        looked.retain(|_, value| time_of(value) >= now.saturating_sub(FORGET_NS));
        // Full of what is fresh: begin again rather than stand still. Edges are then said a little too often.
        if looked.len() >= MAX_LOOKED {
            looked.clear();
        }
    }
    looked.insert(key, value);
}

impl StateData for Book {
    fn schema(&self) -> u32 {
        1
    }

    fn save(&mut self, _all: bool, pages: &mut Pages) {
        pages.insert("fleet".into(), Fleet(self.saved.clone()).to_bytes());
    }

    fn load(&mut self, schema: u32, pages: &Pages) -> Result<(), String> {
        if schema != 1 {
            return Err(format!("schema {schema} is not 1: start fresh"));
        }
        let saved = match pages.get("fleet") {
            Some(bytes) => Fleet::from_bytes(bytes)?.0,
            None => Saved::default(),
        };
        *self = Book { saved, series: Vec::new() };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use types::{HOUR, ResourceDef, SeriesDef, Tenant, Topology};
    use view::{Calibration, FindingLog, MemoryHistory};

    use super::*;

    struct World {
        registry: Registry,
        topology: Topology,
        state: State,
        now: i64,
    }

    impl World {
        fn new() -> World {
            let state = (ANALYSIS.new_state)(&Params::default());
            World { registry: Registry::default(), topology: Topology::default(), state, now: 1_800_000_000 * SECOND }
        }

        /// Runs over a batch, and once more, ten seconds later, for what had no number yet.
        fn take(&mut self, batch: Batch) {
            for batches in [vec![Arc::new(batch)], Vec::new()] {
                let (log, history) = (FindingLog::default(), MemoryHistory::default());
                let mut out = Findings::default();
                let view = View {
                    now: Time(self.now),
                    registry: &self.registry,
                    batches: &batches,
                    findings: &log,
                    incidents: &[],
                    topology: &self.topology,
                    calibration: &Calibration::default(),
                    slos: &[],
                    history: &history,
                };
                run(&view, &Params::default(), &mut self.state, &mut out);
                for edge in &out.edges {
                    self.topology.see(edge.source, edge.target, edge.kind, edge.at, edge.count);
                }
                for entity in &out.entities {
                    self.registry.entity(entity);
                }
                self.now += 10 * SECOND;
            }
        }

        fn line(&mut self, entity: &str, attributes: &[(&str, &str)]) {
            let entity = self.registry.entity(&EntityId::parse(entity).unwrap());
            let attributes = LabelSet::pack(&mut attributes.to_vec());
            let resource = self.registry.resource(ResourceDef { tenant: Tenant::default(), entity, attributes });
            let mut batch = Batch::default();
            batch.records.time.push(self.now);
            batch.records.resource.push(resource);
            batch.records.entity.push(entity);
            batch.records.attributes.push("");
            self.take(batch);
        }

        fn sample(&mut self, entity: &str, metric: &str, labels: &[(&str, &str)], value: f64) {
            let def = SeriesDef {
                tenant: Tenant::default(),
                metric: metric.into(),
                entity: self.registry.entity(&EntityId::parse(entity).unwrap()),
                labels: LabelSet::pack(&mut labels.to_vec()),
                kind: SeriesKind::Counter,
                unit: "".into(),
            };
            let series = self.registry.series(def);
            let mut batch = Batch::default();
            batch.samples.push(series, self.now, value);
            self.take(batch);
        }

        fn edges(&self) -> Vec<String> {
            let name = |key| self.registry.entity_id(key).unwrap().to_string();
            let text = |((source, target, kind), _): ((EntityKey, EntityKey, EdgeKind), _)| {
                format!("{} {} {}", name(source), kind.as_str(), name(target))
            };
            self.topology.at(Time(self.now)).map(text).collect()
        }
    }

    #[test]
    fn a_sender_says_where_it_runs() {
        let mut world = World::new();
        let kubernetes = [
            ("service.name", "pay"),
            ("k8s.pod.name", "pay-7f"),
            ("k8s.namespace.name", "shop"),
            ("k8s.node.name", "ip-10-0-0-1"),
            ("host.name", "pay-7f"),
            ("k8s.cluster.name", "eu-1"),
            ("cloud.region", "eu-west-1"),
            ("container.id", "9f86d081884c7d659a2feaa0c55ad015"),
            ("service.instance.id", "627cc493"),
        ];
        world.line("service:shop/pay", &kubernetes);
        let expected = [
            "service:shop/pay runs_on pod:shop/pay-7f",
            "pod:shop/pay-7f runs_on host:default/ip-10-0-0-1",
            "host:default/ip-10-0-0-1 runs_on cluster:default/eu-1",
            "cluster:default/eu-1 runs_on region:default/eu-west-1",
        ];
        assert_eq!(world.edges(), expected);
        world.now += 7 * HOUR;
        assert!(world.edges().is_empty(), "what is gone fades");
        world.line("service:shop/pay", &kubernetes);
        assert_eq!(world.edges(), expected);
    }

    #[test]
    fn a_plain_host_is_one_and_a_container_is_none() {
        let mut world = World::new();
        world.line("service:shop/cart", &[("host.name", "web-1")]);
        world.line("service:shop/stock", &[("host.name", "9f86d081884c")]);
        world.line("host:web-1", &[("host.name", "web-1")]);
        world.line("service:default/unknown", &[("host.name", "web-2")]);
        world.line("service:shop/front", &[("host.name", "localhost"), ("k8s.pod.name", " ")]);
        assert_eq!(world.edges(), ["service:shop/cart runs_on host:default/web-1"]);
    }

    #[test]
    fn metrics_of_meshes_and_graphs_name_both_ends() {
        let mut world = World::new();
        world.registry.entity(&EntityId::new("service", "shop", "stock"));
        let istio = [
            ("source_workload", "cart"),
            ("source_workload_namespace", "shop"),
            ("destination_workload", "pay"),
            ("destination_workload_namespace", "shop"),
            ("destination_service_name", "pay-svc"),
        ];
        world.sample("service:istio/proxy", "istio_requests_total", &istio, 7.0);
        let graph = [("client", "cart"), ("server", "stock"), ("connection_type", "")];
        world.sample("service:tempo", "traces_service_graph_request_total", &graph, 7.0);
        let database = [("client", "stock"), ("server", "stockdb"), ("connection_type", "database")];
        world.sample("service:tempo", "traces_service_graph_request_total", &database, 7.0);
        let linkerd =
            [("deployment", "front"), ("namespace", "shop"), ("dst_deployment", "cart"), ("dst_namespace", "shop")];
        world.sample("service:linkerd", "response_total", &linkerd, 7.0);
        let calls = [
            "service:shop/cart calls service:shop/pay",
            "service:shop/cart calls service:shop/stock",
            "service:shop/stock calls database:shop/stockdb",
            "service:shop/front calls service:shop/cart",
        ];
        let mut edges = world.edges();
        edges.sort();
        let mut expected = calls.to_vec();
        expected.sort();
        assert_eq!(edges, expected);
        // What is not seen, what never moved, and what only looks alike.
        world.sample(
            "service:x",
            "istio_requests_total",
            &[("source_workload", "unknown"), ("destination_workload", "pay")],
            7.0,
        );
        world.sample(
            "service:x",
            "istio_requests_total",
            &[("source_workload", "a"), ("destination_workload", "b")],
            0.0,
        );
        world.sample("service:x", "haproxy_sessions_total", &[("client", "10.0.0.1"), ("server", "s1")], 7.0);
        world.sample("service:x", "traces_service_graph_request_total", &[("client", "user"), ("server", "cart")], 7.0);
        assert_eq!(world.edges().len(), 4);
    }

    #[test]
    fn a_series_that_stands_still_is_not_seen() {
        let mut world = World::new();
        let labels = [("source_workload", "a"), ("destination_workload", "b")];
        let key = |world: &World| {
            let key = |name| world.registry.find_entity(&EntityId::new("service", "", name)).unwrap();
            world.topology.edges[&(key("a"), key("b"), EdgeKind::Calls)].count
        };
        for value in [5.0, 6.0, 6.0, 6.0, f64::NAN, 9.0] {
            world.sample("service:x", "istio_requests_total", &labels, value);
            world.now += 10 * MINUTE;
        }
        assert_eq!(key(&world), 3);
    }

    #[test]
    fn labels_of_pods_say_where_they_run() {
        let mut world = World::new();
        let info = [("job", "kube-state-metrics"), ("namespace", "shop"), ("pod", "pay-7f"), ("node", "n1")];
        world.sample("service:kube-system/kube-state-metrics", "kube_pod_info", &info, 1.0);
        let own = [("job", "cart"), ("namespace", "shop"), ("pod", "cart-1")];
        world.sample("service:shop/cart", "http_requests_total", &own, 1.0);
        world.sample("service:shop/cart", "up", &[("job", "cart"), ("instance", "h:1"), ("node", "n1")], 1.0);
        assert_eq!(
            world.edges(),
            ["pod:shop/pay-7f runs_on host:default/n1", "service:shop/cart runs_on pod:shop/cart-1"]
        );
    }

    #[test]
    fn both_sides_need_the_queue() {
        let mut world = World::new();
        let mut send = |entity: &str, kind: u8, attributes: &str| {
            let mut batch = Batch::default();
            let entity = world.registry.entity(&EntityId::parse(entity).unwrap());
            batch.spans.time.push(world.now);
            batch.spans.resource.push(ResourceId(99));
            batch.spans.entity.push(entity);
            batch.spans.kind.push(kind);
            batch.spans.attributes.push(attributes);
            world.take(batch);
        };
        let orders = r#"{"messaging.system":"kafka","messaging.destination.name":"orders"}"#;
        send("service:shop/cart", 4, orders);
        send("service:billing/pay", 5, orders);
        send("service:shop/cart", 3, orders);
        send(
            "service:shop/cart",
            4,
            r#"{"messaging.destination.name":"amq.gen-1","messaging.destination.temporary":true}"#,
        );
        send("service:shop/cart", 4, r#"{"note":"\"messaging.destination.name\":\"evil\""}"#);
        assert_eq!(
            world.edges(),
            ["service:shop/cart calls queue:kafka/orders", "service:billing/pay calls queue:kafka/orders"]
        );
    }

    #[test]
    fn lines_name_what_was_called() {
        let mut world = World::new();
        world.registry.entity(&EntityId::parse("service:billing/pay").unwrap());
        let mut write = |attributes: &str| {
            let mut batch = Batch::default();
            let entity = world.registry.entity(&EntityId::parse("service:shop/cart").unwrap());
            batch.records.time.push(world.now);
            batch.records.resource.push(ResourceId(99));
            batch.records.entity.push(entity);
            batch.records.attributes.push(attributes);
            world.take(batch);
        };
        write("");
        write(r#"{"peer.service":"pay"}"#);
        write(r#"{"db.system.name":"postgresql","db.namespace":"carts"}"#);
        write(r#"{"upstream_cluster":"outbound|8080|v2|reviews.books.svc.cluster.local"}"#);
        write(r#"{"upstream_cluster":"PassthroughCluster"}"#);
        write(r#"{"upstream_cluster":"outbound|443||api.example.com"}"#);
        write(r#"{"note":"\"peer.service\":\"evil\""}"#);
        let mut edges = world.edges();
        edges.sort();
        assert_eq!(
            edges,
            [
                "service:shop/cart calls database:shop/carts",
                "service:shop/cart calls service:billing/pay",
                "service:shop/cart calls service:books/reviews",
            ]
        );
    }

    #[test]
    fn names_that_never_repeat_do_not_flood_the_map() {
        let mut world = World::new();
        let entity = world.registry.entity(&EntityId::parse("service:shop/pay").unwrap());
        let mut batch = Batch::default();
        for i in 0..5_000 {
            let pod = format!("pay-{i}");
            let attributes = LabelSet::pack(&mut vec![("k8s.pod.name", pod.as_str())]);
            let resource = world.registry.resource(ResourceDef { tenant: Tenant::default(), entity, attributes });
            batch.records.time.push(world.now);
            batch.records.resource.push(resource);
        }
        world.take(batch);
        assert_eq!(world.topology.edges.len(), MAX_TARGETS);
        let book: &mut Book = world.state.get();
        assert_eq!(book.saved.left_out, 5_000 - MAX_TARGETS as u64);
    }

    #[test]
    fn edges_are_said_again_only_after_a_while() {
        let mut world = World::new();
        for _ in 0..20 {
            world.line("service:shop/cart", &[("host.name", "web-1")]);
        }
        let count = world.topology.edges.values().next().unwrap().count;
        assert_eq!(count, 2, "in 400 seconds");
    }
}
