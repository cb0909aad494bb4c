//! A claim about an entity in a window, with belief and evidence.

use serde::{Deserialize, Serialize};

use crate::{EntityId, SeriesId, TemplateId, Tenant, Time};

/// Hash of method, version, tenant, entity, measure, scope and window start: saying a thing twice is saying it once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FindingId(pub u64);

impl FindingId {
    /// Sixteen hexadecimal digits.
    pub fn hex(self) -> String {
        format!("{:016x}", self.0)
    }
}

impl Serialize for FindingId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.hex())
    }
}

impl<'de> Deserialize<'de> for FindingId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<FindingId, D::Error> {
        let text = String::deserialize(d)?;
        u64::from_str_radix(&text, 16).map(FindingId).map_err(serde::de::Error::custom)
    }
}

/// What sort of claim it is. Closed: a new domain registers a new *measure*, never a new shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Something is not as it usually is.
    Abnormal,
    /// This entity is why.
    Cause,
    /// Something will be so.
    Forecast,
    /// A known pattern was seen (a rule, a signature).
    Match,
    /// Something should be done.
    Advice,
    /// A number that was estimated.
    Estimate,
}

/// Admissible root causes. Symptoms are never causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// A deployment, a setting, a flag.
    Change,
    /// Memory, disk, processor, a limit.
    Resource,
    /// The service's own fault without a change.
    Software,
    /// Something that it calls.
    Dependency,
    /// More or other load.
    Traffic,
    /// Bad data.
    Data,
    /// The machine or process is gone.
    Host,
    /// A model.
    Model,
    /// Outside of what is observed.
    External,
}

impl CauseKind {
    /// All of them.
    pub const ALL: [CauseKind; 9] = [
        CauseKind::Change,
        CauseKind::Resource,
        CauseKind::Software,
        CauseKind::Dependency,
        CauseKind::Traffic,
        CauseKind::Data,
        CauseKind::Host,
        CauseKind::Model,
        CauseKind::External,
    ];

    /// The name used in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            CauseKind::Change => "change",
            CauseKind::Resource => "resource",
            CauseKind::Software => "software",
            CauseKind::Dependency => "dependency",
            CauseKind::Traffic => "traffic",
            CauseKind::Data => "data",
            CauseKind::Host => "host",
            CauseKind::Model => "model",
            CauseKind::External => "external",
        }
    }
}

/// Which way a value left its band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Above.
    Up,
    /// Below.
    Down,
    /// No value came.
    Silent,
    /// Not a number that moves (a new template, a change).
    New,
}

/// What was expected: a middle and a band in the measure's own unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// Most likely value.
    pub mean: f64,
    /// Lower edge.
    pub low: f64,
    /// Upper edge.
    pub high: f64,
}

/// Something that can be opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum Evidence {
    /// A chart of one stored series.
    Series {
        /// Which one.
        series: SeriesId,
        /// Metric name, for people.
        metric: String,
        /// From.
        from: Time,
        /// To.
        to: Time,
    },
    /// A chart of something derived from spans or logs, stored as a derived series of the entity.
    Derived {
        /// Whose.
        entity: EntityId,
        /// Derived metric, e.g. `bellwether.requests.error_ratio`.
        metric: String,
        /// From.
        from: Time,
        /// To.
        to: Time,
    },
    /// Log lines of one template.
    Logs {
        /// Which entity wrote them.
        entity: EntityId,
        /// Which template.
        template: TemplateId,
        /// The template's text when this was said.
        text: String,
        /// One line as it came in (cut to 1000 bytes); untrusted text, to be shown as such.
        sample: String,
        /// How many in the window.
        count: u64,
        /// From.
        from: Time,
        /// To.
        to: Time,
    },
    /// One trace that shows it.
    Trace {
        /// Hexadecimal trace id.
        trace_id: String,
    },
    /// Calls between two entities.
    Edge {
        /// Caller.
        source: EntityId,
        /// Called.
        target: EntityId,
    },
    /// Something that was changed.
    Change {
        /// What was changed.
        entity: EntityId,
        /// Kind, e.g. `deployment`.
        kind: String,
        /// Version after it, if named.
        version: Option<String>,
        /// When.
        at: Time,
    },
    /// A fact in words: a number, a comparison, a reason against.
    Note {
        /// One sentence.
        text: String,
    },
}

/// Whether a measure is the time that requests take.
pub fn is_latency(measure: &str) -> bool {
    measure.starts_with("latency")
}

/// Whether a measure says that requests fail or take long.
pub fn is_of_requests(measure: &str) -> bool {
    measure == "error_ratio" || is_latency(measure)
}

/// Whether a scope says that what was found comes from what the entity calls.
pub fn is_passed_on(scope: &str) -> bool {
    scope == "downstream" || scope.starts_with("calls ")
}

/// Whether an entity, or one of its instances, is gone.
pub fn is_gone(measure: &str, scope: &str) -> bool {
    measure == "silence" && (scope.is_empty() || scope.starts_with("instance "))
}

/// A claim about an entity in a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// See [`FindingId`].
    pub id: FindingId,
    /// Name of the analysis, as in the catalogue.
    pub method: String,
    /// Its version.
    pub version: u32,
    /// Whose.
    pub tenant: Tenant,
    /// About what.
    pub entity: EntityId,
    /// What sort of claim.
    pub shape: Shape,
    /// Registered measure, e.g. `latency_ms_p95`, `error_ratio`, `metric`, `log_template`.
    pub measure: String,
    /// What within the entity: a metric with labels, an operation, a template. Empty for the whole entity.
    pub scope: String,
    /// When it began to be so.
    pub start: Time,
    /// Until when it is known to be so.
    pub end: Time,
    /// Whether it still goes on at `end`.
    pub ongoing: bool,
    /// When it was first said.
    pub learned: Time,
    /// 0..=1, how much this should be believed.
    pub belief: f64,
    /// -log10 of the calibrated tail probability, 0.., capped at 300.
    pub surprise: f64,
    /// 0..=1, how much it hurts whoever uses the entity (errors, latency and silence high, a bent gauge low). From
    /// the measure's registration, never from telemetry text.
    pub impact: f64,
    /// Which way.
    pub direction: Direction,
    /// What was expected.
    pub expected: Option<Band>,
    /// What was seen.
    pub observed: f64,
    /// For [`Shape::Cause`].
    pub cause: Option<CauseKind>,
    /// The incident it speaks of, for [`Shape::Cause`].
    pub incident: Option<crate::IncidentId>,
    /// One sentence for people, in plain words with numbers and units.
    pub summary: String,
    /// What to open.
    pub evidence: Vec<Evidence>,
}

impl Finding {
    /// The id that the finding's own fields give (FNV-1a over their text).
    pub fn compute_id(&self) -> FindingId {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let incident = self.incident.as_ref().map_or("", |i| i.0.as_str());
        let start = self.start.0.to_string();
        let version = self.version.to_string();
        for part in [
            &self.method,
            &version,
            self.tenant.as_str(),
            self.entity.as_str(),
            &self.measure,
            &self.scope,
            incident,
            &start,
        ] {
            for byte in part.bytes().chain([0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        FindingId(hash)
    }
}
