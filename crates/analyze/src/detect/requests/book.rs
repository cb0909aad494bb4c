//! What the span analysis remembers: services, their edges and the spans that still wait for their partners.

use std::collections::{BTreeMap, VecDeque};

use bytemuck::{Pod, Zeroable};
use math::log_histogram::LogHistogram;
use serde::{Deserialize, Serialize};
use types::{Batch, EntityId, EntityKey, Registry, SECOND, Spans, Tenant, Time};
use view::{Fleet, Pages, StateData, View, load_nodes, save_nodes};

use crate::detect::{
    fields::{number_field, text_field},
    ongoing::Claims,
};

/// Width of a bucket of event time. Ten seconds: long enough for tens of requests of a small system, short enough
/// that two of them fit into half a minute.
pub(super) const BUCKET_NS: i64 = 10 * SECOND;
/// How long after its end a bucket takes spans in. SDKs export every five seconds.
pub(super) const ALLOWED_LATENESS_NS: i64 = 6 * SECOND;
/// Buckets of spans kept for joining: a caller's span may end a minute after the span that it caused.
pub(super) const JOIN_BUCKETS: i64 = 6;
/// Normal buckets remembered per service and edge: fifteen minutes.
pub(super) const RING: usize = 90;
/// Judged buckets kept before they may teach what is normal.
pub(super) const RECENT: usize = 6;
/// Services, databases and other peers in one data folder.
const MAX_NODES: usize = 4096;
/// Edges out of one service.
const MAX_EDGES: usize = 64;
/// Instances of one service.
const MAX_INSTANCES: usize = 64;
/// Names of peers (addresses, databases).
const MAX_PEERS: usize = 4096;
/// Spans kept for joining per bucket; above it whole traces are left out (see [`Pending::shift`]).
const MAX_ROWS: usize = 32_768;
/// Slots in which waiting spans are saved; more than the buckets that can wait at once.
const SLOTS: i64 = 16;

/// The state of the analysis.
#[derive(Default)]
pub(super) struct Book {
    pub fleet: FleetPart,
    pub nodes: Vec<Node>,
    pub pending: BTreeMap<i64, Pending>,
    /// Which node a name is; follows from `nodes`.
    node_by_name: BTreeMap<(Tenant, EntityId), u32>,
    /// Node and instance of each resource; a cache that follows from the registry.
    by_resource: Vec<Option<(u32, u16)>>,
    peer_by_name: BTreeMap<String, u32>,
    dirty_nodes: Vec<bool>,
    dirty_slots: [bool; SLOTS as usize],
}

/// What is saved whole.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct FleetPart {
    /// The next bucket to close; `None` before the first step.
    pub next: Option<i64>,
    /// Names of peers seen in client spans.
    pub peers: Vec<Peer>,
    /// Last time (ns) that a tenant sent anything, by entity name; bounded like nodes.
    pub heard: BTreeMap<String, BTreeMap<String, i64>>,
    /// Spans that came too late to be judged.
    pub late: u64,
    /// Spans left out because a limit was reached.
    pub left_out: u64,
}

/// What a client span says of the other side.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Peer {
    /// Tenant, namespace and name, see [`peer_name`].
    pub name: String,
    /// The node it turned out to be.
    pub node: Option<u32>,
    /// Whether the name itself makes an entity where no server span ever joins.
    pub is_entity: bool,
    /// Whether the node was learned from a server span, which overrules the name.
    pub joined: bool,
}

/// A service, or a peer that sends nothing itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Node {
    pub tenant: Tenant,
    pub entity: EntityId,
    /// Whether it ever sent spans of its own.
    pub instrumented: bool,
    /// Whether it ever sent server or consumer spans; if not, its root spans are its requests.
    pub has_entry: bool,
    /// Buckets not yet closed.
    pub open: BTreeMap<i64, Tally>,
    /// The last closed buckets, oldest first.
    pub recent: VecDeque<Point>,
    /// Normal buckets, oldest first.
    pub ring: VecDeque<Point>,
    /// Buckets since something was abnormal: what is adopted if it stays so.
    pub shadow: VecDeque<Point>,
    pub instances: Vec<Instance>,
    /// Calls to other nodes.
    pub edges: BTreeMap<u32, EdgeBook>,
    pub abnormal: Claims,
    /// Last change event of the entity (ns).
    pub changed_at: Option<i64>,
    /// Buckets closed since its first span.
    pub age: u32,
}

/// One instance of a service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Instance {
    pub name: String,
    /// First and last bucket in which it sent a span.
    pub first: i64,
    pub last: i64,
    /// Buckets in a row in which it sent spans, up to its last.
    pub steady: u32,
}

/// Counts of one bucket that is still open.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Any span.
    pub spans: u32,
    pub entry: Requests,
    pub root: Requests,
    pub instances: Vec<(u16, u32)>,
}

/// Requests counted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Requests {
    pub count: u32,
    pub errors: u32,
    /// Latency, µs.
    pub latency: LogHistogram,
    /// A trace that failed.
    pub failed_trace: Option<Trace>,
    /// The slowest trace (µs).
    pub slow_trace: Option<(u32, Trace)>,
}

/// A trace id, saved as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trace(pub [u8; 16]);

/// A closed bucket of a service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Point {
    pub bucket: i64,
    pub spans: u32,
    pub requests: u32,
    pub errors: u32,
    /// Failed requests whose children were looked at, and those of them without a failed child.
    pub looked: u32,
    pub own: u32,
    /// µs.
    pub p50: u32,
    pub p95: u32,
    /// Time not spent waiting for others, µs.
    pub self_p50: u32,
    pub self_p95: u32,
    /// Whole and own latency (µs); emptied when it leaves the recent ones.
    pub latency: LogHistogram,
    pub self_latency: LogHistogram,
    pub failed_trace: Option<Trace>,
    pub slow_trace: Option<Trace>,
}

/// An edge: calls from one node to another.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct EdgeBook {
    pub recent: VecDeque<Point>,
    pub ring: VecDeque<Point>,
    pub abnormal: Claims,
    pub last: i64,
}

/// Spans of one bucket that wait for their partners.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pending {
    /// Only traces whose hash ends in so many zero bits are kept; a row stands for 2^shift rows.
    pub shift: u32,
    pub rows: Vec<Row>,
}

/// A span reduced to what joining needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Row {
    pub span: u64,
    pub parent: u64,
    /// ns.
    pub start: i64,
    /// ns.
    pub end: i64,
    pub trace: u64,
    pub node: u32,
    /// Peer number plus one; 0 for none.
    pub peer: u32,
    /// OTLP kind.
    pub kind: u32,
    pub error: u32,
    /// High and low half of the trace id, to name it as evidence.
    pub trace_low: u64,
}

impl Row {
    pub fn trace_id(&self) -> Trace {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.trace.to_be_bytes());
        id[8..].copy_from_slice(&self.trace_low.to_be_bytes());
        Trace(id)
    }

    pub fn is_entry(&self) -> bool {
        matches!(self.kind, 2 | 5)
    }
}

impl Trace {
    pub fn hex(&self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }
}

impl Serialize for Trace {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.hex())
    }
}

impl<'de> Deserialize<'de> for Trace {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Trace, D::Error> {
        let text = String::deserialize(d)?;
        let number = u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)?;
        Ok(Trace(number.to_be_bytes()))
    }
}

impl Requests {
    fn count(&mut self, error: bool, duration_us: u32, trace: [u8; 16]) {
        self.count += 1;
        self.latency.record(u64::from(duration_us));
        if error {
            self.errors += 1;
            // The smallest id, so that the order of rows does not show.
            self.failed_trace = Some(self.failed_trace.map_or(Trace(trace), |t| t.min(Trace(trace))));
        }
        self.slow_trace = self.slow_trace.max(Some((duration_us, Trace(trace))));
    }
}

impl Node {
    fn new(tenant: &Tenant, entity: &EntityId) -> Node {
        Node {
            tenant: tenant.clone(),
            entity: entity.clone(),
            instrumented: false,
            has_entry: false,
            open: BTreeMap::new(),
            recent: VecDeque::new(),
            ring: VecDeque::new(),
            shadow: VecDeque::new(),
            instances: Vec::new(),
            edges: BTreeMap::new(),
            abnormal: BTreeMap::new(),
            changed_at: None,
            age: 0,
        }
    }

    /// The edge to `target`, made if there is room.
    pub fn edge(&mut self, target: u32) -> Option<&mut EdgeBook> {
        if !self.edges.contains_key(&target) && self.edges.len() >= MAX_EDGES {
            return None;
        }
        Some(self.edges.entry(target).or_default())
    }
}

impl Book {
    /// Counts what a batch holds and keeps its spans for joining.
    pub fn take(&mut self, view: &View, batch: &Batch) {
        self.hear(view.registry, batch);
        self.note_changes(view.registry, batch);
        let spans = &batch.spans;
        let latest = view.now.0.div_euclid(BUCKET_NS) + 1;
        for i in 0..spans.len() {
            let Some((node, instance)) = self.sender(view.registry, &batch.tenant, spans, i) else {
                self.fleet.left_out += 1;
                continue;
            };
            let duration = spans.duration_ns[i].max(0);
            let end = spans.time[i].saturating_add(duration);
            let bucket = end.div_euclid(BUCKET_NS);
            if self.fleet.next.is_some_and(|next| bucket < next) || bucket > latest {
                self.fleet.late += 1;
                continue;
            }
            let error = is_error(spans, i);
            self.count(node, instance, bucket, spans, i, error);
            self.keep(&batch.tenant, node, bucket, end, spans, i, error);
        }
    }

    /// The node of an entity, made if there is room.
    pub fn node(&mut self, tenant: &Tenant, entity: &EntityId) -> Option<u32> {
        let name = (tenant.clone(), entity.clone());
        if let Some(node) = self.node_by_name.get(&name) {
            return Some(*node);
        }
        if self.nodes.len() >= MAX_NODES {
            return None;
        }
        let node = self.nodes.len() as u32;
        self.nodes.push(Node::new(tenant, entity));
        self.dirty_nodes.push(true);
        self.node_by_name.insert(name, node);
        Some(node)
    }

    /// Marks a node's page as changed.
    pub fn touch(&mut self, node: u32) {
        if let Some(dirty) = self.dirty_nodes.get_mut(node as usize) {
            *dirty = true;
        }
    }

    /// Drops waiting spans that nothing can join any more.
    pub fn forget_before(&mut self, bucket: i64) {
        while let Some((&oldest, _)) = self.pending.first_key_value() {
            if oldest >= bucket {
                break;
            }
            self.pending.remove(&oldest);
            self.dirty_slots[oldest.rem_euclid(SLOTS) as usize] = true;
        }
    }

    /// Says which node a peer is, as a joined server span shows it.
    pub fn learn_peer(&mut self, peer: u32, node: u32) {
        if let Some(peer) = self.fleet.peers.get_mut(peer as usize) {
            peer.node = Some(node);
            peer.joined = true;
        }
    }

    /// The node behind a peer's name: learned from a server span, or made from the name where it is one.
    pub fn peer_node(&mut self, peer: u32) -> Option<u32> {
        let known = self.fleet.peers.get(peer as usize)?;
        if known.node.is_some() || !known.is_entity {
            return known.node;
        }
        let mut parts = known.name.splitn(2, '\n');
        let (tenant, entity) = (Tenant::new(parts.next()?), EntityId::parse(parts.next()?)?);
        let node = self.node(&tenant, &entity);
        if let Some(known) = self.fleet.peers.get_mut(peer as usize) {
            known.node = node;
        }
        node
    }

    /// When a tenant's other entities were last heard of by metrics or logs, and when this one was (ns).
    pub fn heard(&self, tenant: &Tenant, entity: &EntityId) -> (Option<i64>, Option<i64>) {
        let Some(heard) = self.fleet.heard.get(tenant.as_str()) else { return (None, None) };
        let others = heard.iter().filter(|(name, _)| *name != entity.as_str()).map(|(_, at)| *at).max();
        (others, heard.get(entity.as_str()).copied())
    }

    /// Notes who sends metrics or logs, by the first row of each batch (a batch is one request of one sender).
    fn hear(&mut self, registry: &Registry, batch: &Batch) {
        let records = batch.records.entity.first().zip(batch.records.time.last());
        let samples = batch.samples.series.first().and_then(|s| registry.series_def(*s)).map(|d| d.entity);
        let samples = samples.zip(batch.samples.time.last().copied());
        for (key, at) in records.map(|(k, t)| (*k, *t)).into_iter().chain(samples) {
            let Some(entity) = registry.entity_id(key) else { continue };
            let heard = self.fleet.heard.entry(batch.tenant.as_str().to_owned()).or_default();
            if let Some(known) = heard.get_mut(entity.as_str()) {
                *known = at.max(*known);
            } else if heard.len() < MAX_NODES {
                heard.insert(entity.as_str().to_owned(), at);
            }
        }
    }

    fn note_changes(&mut self, registry: &Registry, batch: &Batch) {
        for i in 0..batch.events.len() {
            if types::change::breaking_kind(batch.events.kind.get(i)).is_none() {
                continue;
            }
            let Some(entity) = registry.entity_id(batch.events.entity[i]) else { continue };
            if let Some(&node) = self.node_by_name.get(&(batch.tenant.clone(), entity.clone())) {
                let known = &mut self.nodes[node as usize].changed_at;
                *known = (*known).max(Some(batch.events.time[i]));
                self.touch(node);
            }
        }
    }

    /// Node and instance of the span's sender, looked up once per resource.
    fn sender(&mut self, registry: &Registry, tenant: &Tenant, spans: &Spans, i: usize) -> Option<(u32, u16)> {
        let at = spans.resource[i].0 as usize;
        if let Some(Some(known)) = self.by_resource.get(at) {
            return Some(*known);
        }
        let entity = registry.entity_id(spans.entity[i])?.clone();
        let node = self.node(tenant, &entity)?;
        let instance = match registry.resource_def(spans.resource[i]) {
            Some(resource) => self.instance(node, &instance_name(&resource.attributes)),
            None => return Some((node, u16::MAX)),
        };
        if at >= self.by_resource.len() {
            self.by_resource.resize(at + 1, None);
        }
        self.by_resource[at] = Some((node, instance));
        Some((node, instance))
    }

    fn instance(&mut self, node: u32, name: &str) -> u16 {
        let instances = &mut self.nodes[node as usize].instances;
        if let Some(at) = instances.iter().position(|i| i.name == name) {
            return at as u16;
        }
        let fresh = Instance { name: name.to_owned(), first: i64::MAX, last: i64::MIN, steady: 0 };
        if instances.len() < MAX_INSTANCES {
            instances.push(fresh);
            return (instances.len() - 1) as u16;
        }
        // The one that has been gone for longest makes room.
        let oldest = instances.iter().enumerate().min_by_key(|(_, i)| i.last).map_or(0, |(at, _)| at);
        instances[oldest] = fresh;
        for known in self.by_resource.iter_mut().filter(|k| **k == Some((node, oldest as u16))) {
            *known = None;
        }
        oldest as u16
    }

    fn count(&mut self, node: u32, instance: u16, bucket: i64, spans: &Spans, i: usize, error: bool) {
        self.dirty_nodes[node as usize] = true;
        let node = &mut self.nodes[node as usize];
        node.instrumented = true;
        let tally = node.open.entry(bucket).or_default();
        tally.spans += 1;
        match tally.instances.iter_mut().find(|(n, _)| *n == instance) {
            Some((_, count)) => *count += 1,
            None => tally.instances.push((instance, 1)),
        }
        let duration_us = (spans.duration_ns[i].max(0) / 1000).min(i64::from(u32::MAX)) as u32;
        if matches!(spans.kind[i], 2 | 5) {
            node.has_entry = true;
            tally.entry.count(error, duration_us, spans.trace_id[i]);
        } else if spans.parent_span_id[i] == [0; 8] {
            tally.root.count(error, duration_us, spans.trace_id[i]);
        }
    }

    fn keep(&mut self, tenant: &Tenant, node: u32, bucket: i64, end: i64, spans: &Spans, i: usize, error: bool) {
        let (trace, trace_low) = halves(&spans.trace_id[i]);
        let span = u64::from_be_bytes(spans.span_id[i]);
        if span == 0 {
            return;
        }
        let pending = self.pending.entry(bucket).or_default();
        if !in_sample(trace_low, pending.shift) {
            return;
        }
        let peer = if spans.kind[i] == 3 { self.peer_of(tenant, node, spans.attributes.get(i)) } else { 0 };
        let row = Row {
            span,
            parent: u64::from_be_bytes(spans.parent_span_id[i]),
            start: spans.time[i],
            end,
            trace,
            node,
            peer,
            kind: u32::from(spans.kind[i]),
            error: u32::from(error),
            trace_low,
        };
        self.dirty_slots[bucket.rem_euclid(SLOTS) as usize] = true;
        let Some(pending) = self.pending.get_mut(&bucket) else { return };
        pending.rows.push(row);
        while pending.rows.len() > MAX_ROWS && pending.shift < 32 {
            pending.shift += 1;
            let shift = pending.shift;
            pending.rows.retain(|r| in_sample(r.trace_low, shift));
        }
    }

    /// Number of the peer plus one, 0 where the span names none.
    fn peer_of(&mut self, tenant: &Tenant, node: u32, attributes: &str) -> u32 {
        let namespace = self.nodes[node as usize].entity.namespace();
        let Some((name, is_entity)) = peer_name(tenant, namespace, attributes) else { return 0 };
        if let Some(peer) = self.peer_by_name.get(&name) {
            return peer + 1;
        }
        if self.fleet.peers.len() >= MAX_PEERS {
            self.fleet.left_out += 1;
            return 0;
        }
        let peer = self.fleet.peers.len() as u32;
        self.peer_by_name.insert(name.clone(), peer);
        self.fleet.peers.push(Peer { name, node: None, is_entity, joined: false });
        peer + 1
    }

    fn rebuild_lookups(&mut self) {
        self.node_by_name =
            self.nodes.iter().enumerate().map(|(i, n)| ((n.tenant.clone(), n.entity.clone()), i as u32)).collect();
        self.peer_by_name = self.fleet.peers.iter().enumerate().map(|(i, p)| (p.name.clone(), i as u32)).collect();
        self.by_resource.clear();
        self.dirty_nodes = vec![false; self.nodes.len()];
        self.dirty_slots = [false; SLOTS as usize];
    }
}

impl StateData for Book {
    fn schema(&self) -> u32 {
        1
    }

    fn save(&mut self, all: bool, pages: &mut Pages) {
        pages.insert("fleet".into(), Fleet(self.fleet.clone()).to_bytes());
        save_nodes(&self.nodes, &mut self.dirty_nodes, all, pages);
        let mut by_slot: [Option<(i64, &Pending)>; SLOTS as usize] = [None; SLOTS as usize];
        for (bucket, pending) in &self.pending {
            by_slot[bucket.rem_euclid(SLOTS) as usize] = Some((*bucket, pending));
        }
        for (slot, held) in by_slot.iter().enumerate() {
            if all || self.dirty_slots[slot] {
                pages.insert(format!("rows/{slot}"), held.map(pending_to_bytes).unwrap_or_default());
            }
        }
        self.dirty_slots.fill(false);
    }

    fn load(&mut self, schema: u32, pages: &Pages) -> Result<(), String> {
        if schema != 1 {
            return Err(format!("schema {schema} is not 1: start fresh"));
        }
        *self = Book::default();
        if let Some(bytes) = pages.get("fleet") {
            self.fleet = Fleet::from_bytes(bytes)?.0;
        }
        self.nodes = load_nodes(pages)?;
        for slot in 0..SLOTS {
            let Some(bytes) = pages.get(&format!("rows/{slot}")).filter(|b| !b.is_empty()) else { continue };
            let (bucket, pending) = pending_from_bytes(bytes)?;
            self.pending.insert(bucket, pending);
        }
        self.rebuild_lookups();
        Ok(())
    }
}

fn pending_to_bytes((bucket, pending): (i64, &Pending)) -> Vec<u8> {
    let mut bytes = bucket.to_le_bytes().to_vec();
    bytes.extend_from_slice(&u64::from(pending.shift).to_le_bytes());
    bytes.extend_from_slice(bytemuck::cast_slice(&pending.rows));
    bytes
}

fn pending_from_bytes(bytes: &[u8]) -> Result<(i64, Pending), String> {
    let broken = || format!("a page of waiting spans has {} bytes: start fresh", bytes.len());
    let (bucket, rest) = bytes.split_first_chunk::<8>().ok_or_else(broken)?;
    let (shift, rest) = rest.split_first_chunk::<8>().ok_or_else(broken)?;
    if rest.len() % size_of::<Row>() != 0 {
        return Err(broken());
    }
    let rows = rest.chunks_exact(size_of::<Row>()).map(bytemuck::pod_read_unaligned).collect();
    Ok((i64::from_le_bytes(*bucket), Pending { shift: u64::from_le_bytes(*shift) as u32, rows }))
}

fn halves(trace: &[u8; 16]) -> (u64, u64) {
    let number = u128::from_be_bytes(*trace);
    ((number >> 64) as u64, number as u64)
}

/// Whether a trace belongs to the sample of one in 2^shift. A multiplicative hash, since some senders count up ids.
fn in_sample(trace_low: u64, shift: u32) -> bool {
    shift == 0 || trace_low.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - shift.min(63)) == 0
}

/// What tells instances of one service apart; empty where nothing does.
fn instance_name(attributes: &types::LabelSet) -> String {
    for name in ["service.instance.id", "k8s.pod.name"] {
        if let Some(value) = attributes.get(name) {
            return value.chars().take(120).collect();
        }
    }
    match (attributes.get("host.name"), attributes.get("process.pid")) {
        (Some(host), Some(pid)) => format!("{host}/{pid}").chars().take(120).collect(),
        (Some(host), None) => host.chars().take(120).collect(),
        _ => String::new(),
    }
}

/// A request failed if its status says so, or if it was answered with 5xx (old senders set no status).
pub(in crate::detect) fn is_error(spans: &Spans, i: usize) -> bool {
    if spans.status[i] == 2 {
        return true;
    }
    // One vectorised look for the common case that nothing of the kind is there.
    let attributes = spans.attributes.get(i);
    spans.kind[i] == 2
        && attributes.contains("status_code\":5")
        && ["http.response.status_code", "http.status_code"]
            .iter()
            .any(|key| number_field(attributes, key).is_some_and(|code| (500..600).contains(&code)))
}

/// What a client span's attributes say of the called side: a key for it, and whether it is an entity's name. The key
/// is the tenant, a line break, and `kind:namespace/name`, or `address/host:port`, which is an entity only where a
/// server span joins or the address is not a loopback one.
fn peer_name(tenant: &Tenant, namespace: &str, attributes: &str) -> Option<(String, bool)> {
    if let Some(entity) = peer_entity(namespace, attributes) {
        return Some((format!("{}\n{entity}", tenant.as_str()), true));
    }
    let host = ["server.address", "net.peer.name", "http.host"].iter().find_map(|key| text_field(attributes, key))?;
    let port = ["server.port", "net.peer.port"].iter().find_map(|key| number_field(attributes, key));
    let host = host.chars().take(200).collect::<String>().replace(['\n', '\r'], "_");
    if is_loopback(&host) {
        return Some((format!("{}\naddress/{host}:{}", tenant.as_str(), port.unwrap_or(0)), false));
    }
    let entity = EntityId::new("service", namespace, &host);
    Some((format!("{}\n{entity}", tenant.as_str()), true))
}

/// The entity that a client span, or a line about a call, names outright: a database (`db.system.name` and `db.namespace`) or a peer service.
pub(in crate::detect) fn peer_entity(namespace: &str, attributes: &str) -> Option<EntityId> {
    if attributes.contains("\"db.system") {
        let system = text_field(attributes, "db.system.name").or_else(|| text_field(attributes, "db.system"))?;
        let name = text_field(attributes, "db.namespace").or_else(|| text_field(attributes, "db.name"));
        let name = name.filter(|n| !n.is_empty()).unwrap_or(system);
        return Some(EntityId::new("database", namespace, &name.chars().take(200).collect::<String>()));
    }
    if attributes.contains("\"peer.service\"") {
        let name = text_field(attributes, "peer.service").filter(|n| !n.trim().is_empty())?;
        return Some(EntityId::new("service", namespace, &name.chars().take(200).collect::<String>()));
    }
    None
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.starts_with("127.") || matches!(host, "::1" | "[::1]" | "0.0.0.0")
}

/// The key of an entity in the registry, if it has one.
pub(super) fn key_of(registry: &Registry, entity: &EntityId) -> Option<EntityKey> {
    registry.find_entity(entity)
}

/// Start of a bucket.
pub(super) fn bucket_start(bucket: i64) -> Time {
    Time(bucket.saturating_mul(BUCKET_NS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_only_as_keys() {
        let json =
            r#"{"note":"\"db.system\":\"x\"","db.system":"sqlite","db.namespace":"orders.db","server.port":8081}"#;
        assert_eq!(text_field(json, "db.system"), Some("sqlite"));
        assert_eq!(number_field(json, "server.port"), Some(8081));
        assert_eq!(peer_entity("shop", json).unwrap().as_str(), "database:shop/orders.db");
        let only_in_text = r#"{"note":"\"peer.service\":\"evil\""}"#;
        assert_eq!(peer_entity("shop", only_in_text), None);
    }

    #[test]
    fn loopback_addresses_are_no_entities() {
        let tenant = Tenant::default();
        let at = |json| peer_name(&tenant, "shop", json).unwrap();
        assert_eq!(
            at(r#"{"server.address":"127.0.0.1","server.port":9}"#),
            ("default\naddress/127.0.0.1:9".into(), false)
        );
        let (name, is_entity) = at(r#"{"server.address":"api.stripe.com","server.port":443}"#);
        assert_eq!((name.as_str(), is_entity), ("default\nservice:shop/api.stripe.com", true));
    }

    #[test]
    fn http_5xx_counts_only_as_http_status() {
        let mut spans = Spans { status: vec![0; 3], kind: vec![2; 3], ..Spans::default() };
        spans.attributes.push(r#"{"http.response.status_code":503}"#);
        spans.attributes.push(r#"{"rpc.grpc.status_code":5}"#);
        spans.attributes.push(r#"{"http.response.status_code":404}"#);
        assert_eq!([0, 1, 2].map(|i| is_error(&spans, i)), [true, false, false]);
    }
}
