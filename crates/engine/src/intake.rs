//! Rows on their way in: what lies in the future is held back, what is late is counted, events are read.

use std::{collections::BTreeSet, sync::Arc};

use incident::{Alert, Change, Command};
use serde_json::Value;
use types::{Batch, EntityId, IncidentId, Registry, SeriesKind, Tenant, Text, Time, topology::EdgeKey};
use view::LATENESS_NS;

use crate::{Counters, MAX_HELD_ROWS, desk, slos};

/// The last moment that a row speaks of: a span is known only when it has ended.
fn span_end(time: i64, duration_ns: i64) -> i64 {
    time.saturating_add(duration_ns.max(0))
}

/// The latest and the earliest moment of any row that lies after `now`; `None` where no row does.
fn earliest_after(batch: &Batch, now: Time) -> Option<i64> {
    let spans = batch.spans.time.iter().zip(&batch.spans.duration_ns).map(|(t, d)| span_end(*t, *d));
    let points = [&batch.samples.time, &batch.records.time, &batch.events.time];
    let later = |t: &i64| *t > now.0;
    points.into_iter().flatten().copied().filter(later).chain(spans.filter(later)).min()
}

/// Rows that wait for their time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    /// In the order in which they came.
    pub batches: Vec<Arc<Batch>>,
}

impl Held {
    /// Rows that wait.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(|batch| batch.rows()).sum()
    }

    /// What has become due, in the order in which it came.
    pub fn release(&mut self, now: Time) -> Vec<Arc<Batch>> {
        let mut due = Vec::new();
        for batch in std::mem::take(&mut self.batches) {
            let (present, future) = split(&batch, now);
            due.extend(present.filter(|b| b.rows() > 0));
            self.batches.extend(future);
        }
        due
    }

    /// The part of a batch that may be seen now; the rest is held back, or given up where too much is held already.
    pub fn admit(&mut self, batch: Arc<Batch>, now: Time, counters: &mut Counters) -> Option<Arc<Batch>> {
        let (present, future) = split(&batch, now);
        if let Some(future) = future {
            let rows = future.rows() as u64;
            if self.rows() + future.rows() <= MAX_HELD_ROWS {
                counters.held_back_rows += rows;
                self.batches.push(future);
            } else {
                counters.unjudged_rows += rows;
            }
        }
        present.filter(|b| b.rows() > 0)
    }
}

/// A batch in two: rows up to `now`, rows after it. Not copied where all rows are on one side.
fn split(batch: &Arc<Batch>, now: Time) -> (Option<Arc<Batch>>, Option<Arc<Batch>>) {
    if earliest_after(batch, now).is_none() {
        return (Some(batch.clone()), None);
    }
    let part = |wanted: &dyn Fn(i64) -> bool| Arc::new(select(batch, wanted));
    let present = part(&|t| t <= now.0);
    let future = part(&|t| t > now.0);
    ((present.rows() > 0).then_some(present), Some(future))
}

/// The rows whose moment is wanted, in their order.
fn select(batch: &Batch, wanted: &dyn Fn(i64) -> bool) -> Batch {
    let mut out =
        Batch { tenant: batch.tenant.clone(), learned: batch.learned, backfill: batch.backfill, ..Batch::default() };
    let rows = &batch.samples;
    for i in (0..rows.len()).filter(|&i| wanted(rows.time[i])) {
        out.samples.push(rows.series[i], rows.time[i], rows.value[i]);
    }
    let rows = &batch.records;
    for i in (0..rows.len()).filter(|&i| wanted(rows.time[i])) {
        out.records.time.push(rows.time[i]);
        out.records.resource.push(rows.resource[i]);
        out.records.entity.push(rows.entity[i]);
        out.records.severity.push(rows.severity[i]);
        out.records.template.push(rows.template[i]);
        copy_text(&rows.body, i, &mut out.records.body);
        copy_text(&rows.attributes, i, &mut out.records.attributes);
        out.records.trace_id.push(rows.trace_id[i]);
        out.records.span_id.push(rows.span_id[i]);
    }
    let rows = &batch.spans;
    for i in (0..rows.len()).filter(|&i| wanted(span_end(rows.time[i], rows.duration_ns[i]))) {
        out.spans.time.push(rows.time[i]);
        out.spans.duration_ns.push(rows.duration_ns[i]);
        out.spans.resource.push(rows.resource[i]);
        out.spans.entity.push(rows.entity[i]);
        copy_text(&rows.name, i, &mut out.spans.name);
        out.spans.kind.push(rows.kind[i]);
        out.spans.status.push(rows.status[i]);
        out.spans.trace_id.push(rows.trace_id[i]);
        out.spans.span_id.push(rows.span_id[i]);
        out.spans.parent_span_id.push(rows.parent_span_id[i]);
        copy_text(&rows.attributes, i, &mut out.spans.attributes);
    }
    let rows = &batch.events;
    for i in (0..rows.len()).filter(|&i| wanted(rows.time[i])) {
        out.events.push(rows.time[i], rows.entity[i], rows.kind.get(i), rows.attributes.get(i));
    }
    out
}

/// Bytes as they are: a row that is not UTF-8 stays what it was.
fn copy_text(from: &Text, row: usize, to: &mut Text) {
    to.bytes.extend_from_slice(&from.bytes[from.offsets[row] as usize..from.offsets[row + 1] as usize]);
    to.close();
}

/// Whether a batch holds only what Bellwether derived itself.
pub fn is_derived(batch: &Batch, registry: &Registry) -> bool {
    let first = batch.samples.series.first().and_then(|id| registry.series_def(*id));
    first.is_some_and(|def| def.kind == SeriesKind::Derived) && batch.rows() == batch.samples.len()
}

/// Counts what came in one batch, with its late rows.
pub fn count(batch: &Batch, now: Time, counters: &mut Counters) {
    let of_tenant = counters.rows.entry(batch.tenant.as_str().to_owned()).or_default();
    of_tenant.samples += batch.samples.len() as u64;
    of_tenant.records += batch.records.len() as u64;
    of_tenant.spans += batch.spans.len() as u64;
    of_tenant.events += batch.events.len() as u64;
    if !batch.backfill {
        let edge = now.0.saturating_sub(LATENESS_NS);
        let columns = [&batch.samples.time, &batch.records.time, &batch.spans.time, &batch.events.time];
        counters.late_rows += columns.into_iter().flatten().filter(|t| **t < edge).count() as u64;
    }
}

/// What a person said about how much is said.
#[derive(Clone, Debug, PartialEq)]
pub enum Tuning {
    /// Something of an entity was missed.
    Missed {
        /// Whose.
        tenant: Tenant,
        /// Of what.
        entity: EntityId,
        /// One of its metrics; empty: any.
        metric: String,
        /// Who says so.
        actor: Option<String>,
        /// When it was said.
        at: Time,
    },
    /// At most so many false events a week for each service; `None`: no limit.
    Budget {
        /// The limit.
        per_week: Option<f64>,
        /// Who says so.
        actor: Option<String>,
    },
}

/// What the events of a step say to the engine itself.
#[derive(Default)]
pub struct EventsRead {
    /// Kind and moment of every event, for triggers.
    pub kinds: Vec<(String, Time)>,
    /// Changes, in order.
    pub changes: Vec<Change>,
    /// What people said, and merges.
    pub commands: Vec<Command>,
    /// What people said about how much is said.
    pub tuning: Vec<Tuning>,
    /// Alerts of other programs, in order.
    pub alerts: Vec<Alert>,
    /// What people said about silences and routes.
    pub words: Vec<desk::Word>,
    /// What people said about service level objectives.
    pub slos: Vec<slos::Word>,
    /// Edges that people say are there, from the last file that they gave, and since when.
    pub declared: Option<(BTreeSet<EdgeKey>, Time)>,
    /// Events that named nothing that can be read.
    pub ignored: u64,
}

impl EventsRead {
    /// Reads the events of one batch.
    pub fn read(&mut self, batch: &Batch, registry: &Registry) {
        for i in 0..batch.events.len() {
            let (kind, at) = (batch.events.kind.get(i), Time(batch.events.time[i]));
            self.kinds.push((kind.to_owned(), at));
            let attributes: Value = serde_json::from_str(batch.events.attributes.get(i)).unwrap_or(Value::Null);
            let text = |name: &str| text_of(&attributes, name, WORD_CHARS);
            if let Some(kind) = kind.strip_prefix("change.") {
                let Some(entity) = registry.entity_id(batch.events.entity[i]).cloned() else { continue };
                let kind = kind.to_owned();
                let (version, author, link) = (text("version"), text("author"), text("link"));
                self.changes.push(Change { at, tenant: batch.tenant.clone(), entity, kind, version, author, link });
            } else if kind == "alert" {
                let entity = registry.entity_id(batch.events.entity[i]);
                match entity.and_then(|entity| desk::alert(&batch.tenant, entity, at, &attributes)) {
                    Some(alert) => self.alerts.push(alert),
                    None => self.ignored += 1,
                }
            } else if kind.starts_with("silence.") || kind == "routes.set" {
                match desk::word(kind, &batch.tenant, &attributes) {
                    Some(word) => self.words.push(word),
                    None => self.ignored += 1,
                }
            } else if kind.starts_with("slo.") {
                match slos::word(kind, &batch.tenant, &attributes) {
                    Some(word) => self.slos.push(word),
                    None => self.ignored += 1,
                }
            } else if kind == "topology.declared" {
                let edges = attributes.get("edges").and_then(Value::as_array).into_iter().flatten();
                let edges: Vec<_> = edges.map(|edge| declared_edge(edge, registry)).collect();
                self.ignored += edges.iter().filter(|edge| edge.is_none()).count() as u64;
                self.declared = Some((edges.into_iter().flatten().collect(), at));
            } else if kind == "detection.budget" {
                let per_week = attributes.get("per_week").and_then(Value::as_f64);
                self.tuning.push(Tuning::Budget { per_week, actor: text("actor") });
            } else if kind == "detection.missed" {
                let Some(entity) = registry.entity_id(batch.events.entity[i]).cloned() else { continue };
                let (metric, actor) = (text("metric").unwrap_or_default(), text("actor"));
                self.tuning.push(Tuning::Missed { tenant: batch.tenant.clone(), entity, metric, actor, at });
            } else if kind.starts_with("incident.") || kind == "entity.merged" {
                match command(kind, at, &attributes) {
                    Some(command) => self.commands.push(command),
                    None => self.ignored += 1,
                }
            }
        }
    }
}

/// Longest word (a name, an id) and longest note that is taken from an event, characters.
pub(crate) const WORD_CHARS: usize = 300;
const NOTE_CHARS: usize = 4000;

/// A text among the attributes of an event, cut.
pub(crate) fn text_of(attributes: &Value, name: &str, most: usize) -> Option<String> {
    attributes.get(name).and_then(Value::as_str).map(|text| text.chars().take(most).collect())
}

/// An edge of a file, whose ends were given their numbers when it was read.
fn declared_edge(edge: &Value, registry: &Registry) -> Option<EdgeKey> {
    let entity = |name: &str| registry.find_entity(&EntityId::parse(edge.get(name)?.as_str()?)?);
    let kind = serde_json::from_value(edge.get("kind")?.clone()).ok()?;
    Some((entity("from")?, entity("to")?, kind)).filter(|(from, to, _)| from != to)
}

fn command(kind: &str, at: Time, attributes: &Value) -> Option<Command> {
    let text = |name: &str| text_of(attributes, name, WORD_CHARS);
    if kind == "entity.merged" {
        let (alias, entity) = (EntityId::parse(&text("alias")?)?, EntityId::parse(&text("entity")?)?);
        return (alias != entity).then_some(Command::Merge { alias, entity });
    }
    let (incident, actor) = (IncidentId(text("incident")?), text("actor"));
    let dismissed = kind == "incident.dismissed" || text("verdict").as_deref() == Some("not_an_incident");
    match kind {
        "incident.acknowledged" => Some(Command::Acknowledge { incident, actor, at }),
        "incident.resolved" | "incident.dismissed" => Some(Command::Resolve { incident, actor, at, dismissed }),
        "incident.joined" => Some(Command::Join { incident, into: IncidentId(text("into")?), actor, at }),
        "incident.split" => {
            let entities = attributes.get("entities")?.as_array()?;
            let entities = entities.iter().filter_map(|e| EntityId::parse(e.as_str()?)).collect();
            Some(Command::Split { incident, entities, actor, at })
        }
        "incident.noted" => {
            let text = text_of(attributes, "text", NOTE_CHARS)?;
            Some(Command::Note { incident, text, actor, at })
        }
        _ => None,
    }
}
