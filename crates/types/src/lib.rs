//! The vocabulary: time, entity, signal columns, finding, incident, change. Plain data; no IO, no clock.
//!
//! Every other room speaks in these types. Signals are always held in columns, never one heap object a row.

pub mod change;
pub mod directory;
pub mod entity;
pub mod finding;
pub mod incident;
pub mod journal;
pub mod labels;
pub mod signal;
pub mod slo;
pub mod time;
pub mod topology;

pub use directory::{
    Directory, Registry, ResourceDef, ResourceId, SeriesDef, SeriesId, SeriesKind, TemplateDef, TemplateId,
};
pub use entity::{EntityId, EntityKey};
pub use finding::{Band, CauseKind, Direction, Evidence, Finding, FindingId, Shape};
pub use incident::{
    Cause, Incident, IncidentId, IncidentState, NoticeReason, Priority, Severity, TimelineEntry, Users,
};
pub use journal::{JournalEntry, JournalKind};
pub use labels::{LabelSet, Labels};
pub use signal::{Batch, Events, Position, Records, Samples, Spans, Tenant, Text};
pub use slo::{Slo, SloStatus};
pub use time::{DAY, HOUR, MILLI, MINUTE, SECOND, Time};
pub use topology::{Edge, EdgeKind, Stretch, Topology};

/// One thing that could not be taken in, with the reason. Bad input yields what could be read and a list of these.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Reject {
    /// How many items (samples, records, spans, events) this reject stands for.
    pub count: u64,
    /// What was wrong, naming the culprit and the limit that it broke. Lower case, no full stop.
    pub reason: String,
}
