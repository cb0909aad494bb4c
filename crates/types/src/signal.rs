//! Observations in columns: what happened, as it came in.
//!
//! A [`Batch`] is one accepted request: one tenant, one `learned` time, up to five shapes. All columns of one shape
//! have the same length; row `i` is the i-th item.

use serde::{Deserialize, Serialize};

use crate::{EntityKey, ResourceId, SeriesId, TemplateId, Time};

/// Who a row belongs to. `default` until tenants are switched on; `_self` is what Bellwether observes of itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tenant(std::sync::Arc<str>);

impl Tenant {
    /// The tenant of Bellwether's own host and self-observation.
    pub const SELF: &'static str = "_self";

    /// A tenant by name.
    pub fn new(name: &str) -> Tenant {
        Tenant(name.into())
    }

    /// `_self`.
    pub fn own() -> Tenant {
        Tenant::new(Tenant::SELF)
    }

    /// Whether this is `_self`.
    pub fn is_self(&self) -> bool {
        &*self.0 == Tenant::SELF
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Tenant {
    fn default() -> Tenant {
        Tenant("default".into())
    }
}

/// Number of an accepted batch in the write-ahead log: 1, 2, 3 … in the order in which they became durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position(pub u64);

/// A column of text: all bytes in one buffer, `offsets[i]..offsets[i + 1]` is row `i`. The layout of an Arrow
/// string array, so that `store` takes it over without copying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// One more than there are rows, first 0, never falling.
    pub offsets: Vec<i32>,
    /// UTF-8.
    pub bytes: Vec<u8>,
}

impl Default for Text {
    fn default() -> Text {
        Text { offsets: vec![0], bytes: Vec::new() }
    }
}

impl Text {
    /// Appends one row.
    pub fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.close();
    }

    /// Ends the row whose bytes were appended to `bytes` directly (they must be UTF-8).
    pub fn close(&mut self) {
        self.offsets.push(self.bytes.len() as i32);
    }

    /// Row `i`; empty where its bytes are not UTF-8.
    pub fn get(&self, i: usize) -> &str {
        let bytes = &self.bytes[self.offsets[i] as usize..self.offsets[i + 1] as usize];
        std::str::from_utf8(bytes).unwrap_or("")
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|i| self.get(i))
    }
}

/// Metric points.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Which series.
    pub series: Vec<SeriesId>,
    /// When it happened, ns.
    pub time: Vec<i64>,
    /// The value; a Prometheus stale marker keeps its bit pattern.
    pub value: Vec<f64>,
}

/// Log lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    /// When it happened, ns.
    pub time: Vec<i64>,
    /// Who sent it.
    pub resource: Vec<ResourceId>,
    /// The entity, as the resource says.
    pub entity: Vec<EntityKey>,
    /// OTLP severity number, 1..=24; 0 unknown. 17 and above is an error.
    pub severity: Vec<u8>,
    /// Its template; 0 where none was given.
    pub template: Vec<TemplateId>,
    /// The line.
    pub body: Text,
    /// Attributes as a JSON object; empty text where there are none.
    pub attributes: Text,
    /// All zero where there is none.
    pub trace_id: Vec<[u8; 16]>,
    /// All zero where there is none.
    pub span_id: Vec<[u8; 8]>,
}

/// Operations of a trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spans {
    /// Start, ns.
    pub time: Vec<i64>,
    /// Length, ns.
    pub duration_ns: Vec<i64>,
    /// Who sent it.
    pub resource: Vec<ResourceId>,
    /// The entity, as the resource says.
    pub entity: Vec<EntityKey>,
    /// Operation name.
    pub name: Text,
    /// OTLP kind: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: Vec<u8>,
    /// OTLP status: 0 unset, 1 ok, 2 error.
    pub status: Vec<u8>,
    /// Trace.
    pub trace_id: Vec<[u8; 16]>,
    /// Span.
    pub span_id: Vec<[u8; 8]>,
    /// All zero at a root.
    pub parent_span_id: Vec<[u8; 8]>,
    /// Attributes as a JSON object; empty text where there are none.
    pub attributes: Text,
}

/// Things that happened once: deployments and other changes, alerts, commands of people, labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Events {
    /// When it happened, ns.
    pub time: Vec<i64>,
    /// What it is about.
    pub entity: Vec<EntityKey>,
    /// Kind, e.g. `change.deployment`, `incident.acknowledged`, `label`.
    pub kind: Text,
    /// Attributes as a JSON object.
    pub attributes: Text,
}

/// One accepted request, in columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Whose rows these are.
    pub tenant: Tenant,
    /// When they were accepted; for a backfill each row's own time counts as learned.
    pub learned: Time,
    /// Marked as history by the sender.
    pub backfill: bool,
    /// Metric points.
    pub samples: Samples,
    /// Log lines.
    pub records: Records,
    /// Trace spans.
    pub spans: Spans,
    /// Events.
    pub events: Events,
}

impl Samples {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.time.is_empty()
    }

    /// Appends one row.
    pub fn push(&mut self, series: SeriesId, time: i64, value: f64) {
        self.series.push(series);
        self.time.push(time);
        self.value.push(value);
    }
}

impl Records {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.time.is_empty()
    }
}

impl Spans {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.time.is_empty()
    }
}

impl Events {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.time.is_empty()
    }

    /// Appends one row; `attributes` is a JSON object.
    pub fn push(&mut self, time: i64, entity: EntityKey, kind: &str, attributes: &str) {
        self.time.push(time);
        self.entity.push(entity);
        self.kind.push(kind);
        self.attributes.push(attributes);
    }
}

impl Batch {
    /// Rows of all shapes.
    pub fn rows(&self) -> usize {
        self.samples.len() + self.records.len() + self.spans.len() + self.events.len()
    }
}
