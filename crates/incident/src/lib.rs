//! Findings to incidents: one incident for one cause, however many symptoms it has.
//!
//! [`Grouper`] is plain state and pure functions. Each step it is given what the detectors said and answers with the
//! incidents that changed. In short:
//!
//! - **Opening.** A finding of high impact that is well believed opens an incident by itself. Weaker ones add up, as
//!   long as one of them hurts at all. A bent gauge joins incidents as evidence and opens one alone only where it is
//!   nearly certain, hurts somewhat and has lasted. Findings that have already ended never open one.
//! - **Grouping.** Findings belong together when they began within [`GroupingConfig::onset_window_ns`] of one another
//!   ([`GroupingConfig::at_once_ns`] where trouble did not travel to who needs it), were seen at the same time, and
//!   their entities are the same or near in the service map (see [`related`]). Two incidents that turn out to be
//!   neighbours become one.
//! - **Ending.** An incident resolves by itself when all evidence that hurts has been over for a while, or when a
//!   person says so. What comes back soon on the same entities reopens it, unless a person had closed it.
//!
//! All numbers in the state are rounded to a few decimals, so that they survive JSON exactly.

mod case;
mod grouper;
pub mod inbox;
mod learned;
mod matcher;
pub mod past;
pub mod related;
pub mod report;
mod roots;
pub mod route;
mod silence;
mod words;

use serde::{Deserialize, Serialize};
use types::{EntityId, Finding, Incident, IncidentId, IncidentState, Registry, Severity, Tenant, Time, Topology};
use types::{MINUTE, SECOND};

pub use grouper::Grouper;
pub use inbox::{Alert, Inbox, InboxCounts, InboxTally, KnownAlert};
pub use matcher::{Matcher, Operator};
pub use route::{Notice, Route, Router};
pub use silence::{MOST_SILENCES, Silence, Silences};

/// Most pieces of evidence, timeline entries and entities of one incident; what comes beyond is counted only.
pub const MOST_PIECES: usize = 200;
/// Most entities of one incident: the cap on chains of neighbours.
pub const MOST_ENTITIES: usize = 60;

/// How findings become incidents.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupingConfig {
    /// 0..=1: a single finding with at least this belief …
    pub alone_belief: f64,
    /// … and this impact opens an incident.
    pub alone_impact: f64,
    /// Sum of belief times impact over related findings that opens one together.
    pub together_weight: f64,
    /// 0..=1: from here on a finding hurts. Below, it is only evidence.
    pub hurts_impact: f64,
    /// 0..=1: belief from which a lasting finding that hurts somewhat opens an incident alone.
    pub lasting_belief: f64,
    /// How long it must have lasted, ns.
    pub lasting_ns: i64,
    /// How far apart the onsets of related findings may be, where the later one is at something that needs the other, ns.
    pub onset_window_ns: i64,
    /// How far apart they may be elsewhere, ns.
    pub at_once_ns: i64,
    /// How long a finding may be unseen and still be of one cause with what begins then, ns. Detectors say again what
    /// goes on at least this often.
    pub unseen_ns: i64,
    /// How long all that hurts must be over before an incident resolves by itself, ns.
    pub quiet_ns: i64,
    /// How soon after resolving by itself an incident is reopened rather than a new one opened, ns.
    pub reopen_ns: i64,
    /// How long a resolved incident is kept at hand, ns.
    pub keep_ns: i64,
    /// 0..=1: below this belief of the best cause the incident is undecided.
    pub decided_belief: f64,
    /// 0..=1: the best cause must lead the next (of another entity) by this much.
    pub decided_margin: f64,
}

impl Default for GroupingConfig {
    fn default() -> GroupingConfig {
        GroupingConfig {
            alone_belief: 0.7,
            alone_impact: 0.6,
            together_weight: 0.9,
            hurts_impact: 0.4,
            lasting_belief: 0.9,
            lasting_ns: 2 * MINUTE,
            onset_window_ns: 5 * MINUTE,
            at_once_ns: 2 * MINUTE,
            unseen_ns: 45 * SECOND,
            quiet_ns: 45 * SECOND,
            reopen_ns: MINUTE,
            keep_ns: 60 * MINUTE,
            decided_belief: 0.5,
            decided_margin: 0.15,
        }
    }
}

/// Something that was changed, from an event of kind `change.*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Change {
    /// When.
    pub at: Time,
    /// Whose.
    pub tenant: Tenant,
    /// What.
    pub entity: EntityId,
    /// Kind without `change.`, e.g. `deployment`.
    pub kind: String,
    /// Version after it, if named.
    pub version: Option<String>,
    /// Who did it, if named.
    pub author: Option<String>,
    /// Where to read more, if named (untrusted text).
    pub link: Option<String>,
}

/// Requests of one service at one moment, as derived from spans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestPoint {
    /// Whose.
    pub tenant: Tenant,
    /// Which service.
    pub entity: EntityId,
    /// When.
    pub at: Time,
    /// Requests a second.
    pub rate: f64,
    /// Share that failed, 0..=1.
    pub error_ratio: f64,
    /// Middle latency, ms; 0 where unknown.
    pub latency_ms_p50: f64,
    /// 95th percentile of latency, ms; 0 where unknown.
    pub latency_ms_p95: f64,
}

/// What a person said, or what was found out about names.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Somebody takes the incident.
    Acknowledge {
        /// Which.
        incident: IncidentId,
        /// Who.
        actor: Option<String>,
        /// When.
        at: Time,
    },
    /// Somebody says that it is over, or never was one.
    Resolve {
        /// Which.
        incident: IncidentId,
        /// Who.
        actor: Option<String>,
        /// When.
        at: Time,
        /// It was no incident.
        dismissed: bool,
    },
    /// Somebody says that two incidents are one: `incident` goes on in `into`.
    Join {
        /// Which goes.
        incident: IncidentId,
        /// Which stays.
        into: IncidentId,
        /// Who.
        actor: Option<String>,
        /// When.
        at: Time,
    },
    /// Somebody says that some entities of an incident are another incident.
    Split {
        /// Which.
        incident: IncidentId,
        /// What goes into an incident of its own.
        entities: Vec<EntityId>,
        /// Who.
        actor: Option<String>,
        /// When.
        at: Time,
    },
    /// Somebody writes a note into its timeline.
    Note {
        /// Which.
        incident: IncidentId,
        /// The note.
        text: String,
        /// Who.
        actor: Option<String>,
        /// When.
        at: Time,
    },
    /// Two names are one entity from now on.
    Merge {
        /// The name that goes.
        alias: EntityId,
        /// The name that stays.
        entity: EntityId,
    },
}

/// What a step gives the grouper.
pub struct Input<'a> {
    /// The moment of the step.
    pub now: Time,
    /// Findings said in this step, new or again.
    pub said: &'a [Finding],
    /// Changes of at least the last 35 minutes, oldest first.
    pub changes: &'a [Change],
    /// Requests that were derived in this step.
    pub requests: &'a [RequestPoint],
    /// What people said in this step.
    pub commands: &'a [Command],
    /// Names of the map's entities.
    pub registry: &'a Registry,
    /// The service map.
    pub topology: &'a Topology,
}

/// What is new about an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It was opened.
    Opened,
    /// It was over and is back.
    Reopened,
    /// A person or the end of the evidence changed its state.
    State(IncidentState),
    /// A person said that it was none.
    Dismissed,
    /// It is worse than thought.
    Severity(Severity),
    /// It took the named one in.
    TookIn(IncidentId),
    /// It was taken in by the named one and is thereby resolved.
    MergedInto(IncidentId),
    /// Another cause stands first, or it became decided or undecided.
    Cause,
    /// Evidence, entities, timeline, words or counts changed.
    Grew,
}

/// An incident as it is now, and what is new about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The whole incident.
    pub incident: Incident,
    /// Never empty; most important first.
    pub news: Vec<News>,
}
