//! The small, permanent record of everything concluded, decided and done.

use serde::{Deserialize, Serialize};

use crate::Time;

/// What a journal line records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalKind {
    /// A finding was said, or ended.
    Finding,
    /// An incident opened, changed or ended.
    Incident,
    /// A cause was named.
    Cause,
    /// A person's verdict (acknowledged, resolved, not an incident, missed).
    Verdict,
    /// A person changed a setting.
    Setting,
    /// Two names were found to be one entity.
    Merge,
    /// Something about access: a token made or revoked.
    Access,
    /// A version of a model was registered, approved, moved or removed, or a model is trained again.
    Model,
}

/// One line before it is chained: ids, numbers and digests only. Free text goes to `text`, which is kept in an
/// erasable store beside the chain (the chain holds its salted digest).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// When it was concluded, decided or done.
    pub at: Time,
    /// What it records.
    pub kind: JournalKind,
    /// What it is about: a finding's or incident's id, a token's id.
    pub subject: String,
    /// Ids and numbers, as a JSON object.
    pub data: serde_json::Value,
    /// Free text and personal data, erasable.
    pub text: Option<String>,
}
