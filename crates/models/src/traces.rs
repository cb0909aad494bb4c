//! Traces of what models and agents did, as MLflow keeps them: their description, and what people said of them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Problem,
    book::{Book, Kind, Pairs},
    ids,
};

/// A trace without its spans.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// `tr-` and thirty-two hexadecimal digits.
    pub id: String,
    /// Of which experiment.
    pub experiment: u64,
    /// When it began, ms.
    pub request_time: i64,
    /// How long it took, ms; `None`: it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<i64>,
    /// `OK`, `ERROR`, `IN_PROGRESS` or `STATE_UNSPECIFIED`.
    pub state: String,
    /// Begins of the question and of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_preview: Option<String>,
    /// See `request_preview`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_preview: Option<String>,
    /// An id that the client gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<String>,
    /// What the client said of it; does not change.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub metadata: Pairs,
    /// What people wrote on it.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub tags: Pairs,
    /// Feedback and expectations, as they were sent, with their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assessments: Vec<Map<String, Value>>,
    /// Runs that it was linked to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub linked_runs: Vec<String>,
    /// Its spans, as OTLP in JSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<Value>,
}

impl Book {
    /// Makes a trace known, or what is known of it newer.
    pub fn start_trace(&mut self, mut trace: Trace) -> Result<&Trace, Problem> {
        let place = self.active_experiment(&trace.experiment.to_string())?.artifact_location.clone();
        let id = trace.id.clone();
        if let Some(known) = self.traces.remove(&id) {
            let (mut tags, mut metadata) = (known.tags, known.metadata);
            tags.append(&mut trace.tags);
            metadata.append(&mut trace.metadata);
            trace = Trace { tags, metadata, ..trace };
            trace.assessments.splice(0..0, known.assessments);
            trace.linked_runs = known.linked_runs;
            if trace.spans.is_empty() {
                trace.spans = known.spans;
            }
            if known.experiment != trace.experiment {
                self.traces_of.entry(known.experiment).or_default().remove(&id);
            }
        }
        let artifacts = format!("{}/traces/{id}/artifacts", place.trim_end_matches('/'));
        trace.tags.entry("mlflow.artifactLocation".into()).or_insert(artifacts);
        self.traces_of.entry(trace.experiment).or_default().insert(id.clone());
        self.touch(Kind::Trace, id.clone());
        Ok(self.traces.entry(id).or_insert(trace))
    }

    /// A trace.
    pub fn trace(&self, id: &str) -> Result<&Trace, Problem> {
        self.traces.get(id).ok_or_else(|| Problem::missing(format!("Trace with ID '{id}' not found.")))
    }

    /// The traces of an experiment, by id.
    pub fn traces_of(&self, experiment: u64) -> impl Iterator<Item = &Trace> {
        self.traces_of.get(&experiment).into_iter().flatten().filter_map(|id| self.traces.get(id))
    }

    /// Changes a trace.
    pub(crate) fn change_trace(&mut self, id: &str, change: impl FnOnce(&mut Trace)) -> Result<&Trace, Problem> {
        let missing = || Problem::missing(format!("Trace with ID '{id}' not found."));
        change(self.traces.get_mut(id).ok_or_else(missing)?);
        self.touch(Kind::Trace, id);
        self.trace(id)
    }

    /// Says that a trace belongs to a run.
    pub fn link_trace(&mut self, id: &str, run: &str) -> Result<(), Problem> {
        self.change_trace(id, |trace| {
            if !trace.linked_runs.iter().any(|known| known == run) {
                trace.linked_runs.push(run.to_owned());
            }
        })
        .map(drop)
    }

    /// Writes a tag on a trace.
    pub fn set_trace_tag(&mut self, id: &str, key: &str, value: &str) -> Result<(), Problem> {
        self.change_trace(id, |trace| drop(trace.tags.insert(key.to_owned(), value.to_owned()))).map(drop)
    }

    /// Takes a tag off a trace.
    pub fn delete_trace_tag(&mut self, id: &str, key: &str) -> Result<(), Problem> {
        if !self.trace(id)?.tags.contains_key(key) {
            return Err(Problem::missing(format!("No trace tag with key '{key}' for trace with ID '{id}'")));
        }
        self.change_trace(id, |trace| drop(trace.tags.remove(key))).map(drop)
    }

    /// Removes traces of an experiment; says how many were there.
    pub fn delete_traces(&mut self, experiment: u64, is_wanted: impl Fn(&Trace) -> bool, most: usize) -> usize {
        let mut found: Vec<(i64, String)> =
            self.traces_of(experiment).filter(|t| is_wanted(t)).map(|t| (t.request_time, t.id.clone())).collect();
        found.sort();
        found.truncate(most);
        for (_, id) in &found {
            self.traces.remove(id);
            self.traces_of.entry(experiment).or_default().remove(id);
            self.touch(Kind::Trace, id.clone());
        }
        found.len()
    }

    /// Adds what somebody said of a trace; it gets an id.
    pub fn add_assessment(&mut self, id: &str, mut said: Map<String, Value>) -> Result<Map<String, Value>, Problem> {
        said.insert("assessment_id".into(), format!("a-{}", ids::hex()).into());
        said.insert("trace_id".into(), id.into());
        self.change_trace(id, |trace| trace.assessments.push(said.clone()))?;
        Ok(said)
    }

    /// What somebody said of a trace.
    pub fn assessment(&self, id: &str, assessment: &str) -> Result<&Map<String, Value>, Problem> {
        let found = self.trace(id)?.assessments.iter().find(|said| is_it(said, assessment));
        found.ok_or_else(|| Problem::missing(format!("Assessment with ID '{assessment}' not found for trace '{id}'")))
    }

    /// Replaces fields of what somebody said of a trace.
    pub fn update_assessment(
        &mut self,
        id: &str,
        assessment: &str,
        fields: Map<String, Value>,
    ) -> Result<Map<String, Value>, Problem> {
        self.assessment(id, assessment)?;
        self.change_trace(id, |trace| {
            if let Some(said) = trace.assessments.iter_mut().find(|said| is_it(said, assessment)) {
                said.extend(fields);
            }
        })?;
        self.assessment(id, assessment).cloned()
    }

    /// Takes back what somebody said of a trace, if it is there.
    pub fn delete_assessment(&mut self, id: &str, assessment: &str) -> Result<(), Problem> {
        self.change_trace(id, |trace| trace.assessments.retain(|said| !is_it(said, assessment))).map(drop)
    }
}

/// Whether it has this id.
fn is_it(said: &Map<String, Value>, id: &str) -> bool {
    said.get("assessment_id").and_then(Value::as_str) == Some(id)
}
