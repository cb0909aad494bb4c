//! Logged models: what a run, or nobody's run, made and put down, whether or not it is registered.

use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    book::{Book, Kind, Lifecycle, Pairs},
    ids,
    runs::Point,
};

/// How a logged model stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Its files are on their way.
    #[default]
    Pending,
    /// It is whole.
    Ready,
    /// Its files did not come.
    Failed,
}

impl Standing {
    /// All, with their names and numbers on the wire.
    pub const ALL: [(Standing, &'static str, i64); 3] = [
        (Standing::Pending, "LOGGED_MODEL_PENDING", 1),
        (Standing::Ready, "LOGGED_MODEL_READY", 2),
        (Standing::Failed, "LOGGED_MODEL_UPLOAD_FAILED", 3),
    ];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        Standing::ALL.iter().find(|(standing, ..)| *standing == self).map_or("", |(_, name, _)| name)
    }
}

/// A logged model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoggedModel {
    /// `m-` and thirty-two hexadecimal digits.
    pub id: String,
    /// Of which experiment.
    pub experiment: u64,
    /// What people call it; others may have the same name.
    pub name: String,
    /// When it was made, and changed, ms.
    pub created: i64,
    /// See `created`.
    pub updated: i64,
    /// Where its files are.
    pub artifact_uri: String,
    /// How it stands.
    pub standing: Standing,
    /// What kind of model it is, as its maker said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model_type: String,
    /// The run that made it; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source_run: String,
    /// Whether it was removed.
    pub lifecycle: Lifecycle,
    /// What it was made with.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub params: Pairs,
    /// What people wrote on it.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub tags: Pairs,
    /// How well it did, in the order in which that was said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<ModelMetric>,
}

/// A value of a metric that was said of a logged model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelMetric {
    /// Its name.
    pub key: String,
    /// Finite; `None`: not a number.
    pub value: Option<f64>,
    /// ms.
    pub timestamp: i64,
    /// Which step.
    pub step: i64,
    /// The run that said it.
    pub run: String,
    /// On which data, where that is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    /// See `dataset_name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<String>,
}

/// What [`Book::create_logged_model`] is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewLoggedModel {
    /// Of which experiment.
    pub experiment: String,
    /// What it is called; empty: it gets a name.
    pub name: String,
    /// What kind of model it is.
    pub model_type: String,
    /// The run that makes it; empty: none.
    pub source_run: String,
    /// What it was made with.
    pub params: Vec<(String, String)>,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// The tag of a logged model that names its versions in the registry, as JSON.
const VERSIONS_TAG: &str = "mlflow.modelVersions";

impl Book {
    /// Makes a logged model whose files are to come.
    pub fn create_logged_model(&mut self, new: NewLoggedModel, at: i64) -> Result<&LoggedModel, Problem> {
        logged_name(&new.name)?;
        let experiment = self.active_experiment(&new.experiment)?;
        let id = format!("m-{}", ids::hex());
        let place = experiment.artifact_location.trim_end_matches('/');
        let model = LoggedModel {
            artifact_uri: format!("{place}/models/{id}/artifacts"),
            id: id.clone(),
            experiment: experiment.id,
            name: if new.name.is_empty() { ids::run_name() } else { new.name },
            created: at,
            updated: at,
            model_type: new.model_type,
            source_run: new.source_run,
            params: new.params.into_iter().collect(),
            tags: new.tags.into_iter().collect(),
            ..LoggedModel::default()
        };
        self.touch(Kind::LoggedModel, id.clone());
        Ok(self.logged.entry(id).or_insert(model))
    }

    /// A logged model; a removed one only where that is asked for.
    pub fn logged_model(&self, id: &str, removed_too: bool) -> Result<&LoggedModel, Problem> {
        let found = self.logged.get(id).filter(|model| removed_too || model.lifecycle == Lifecycle::Active);
        found.ok_or_else(|| missing(id))
    }

    /// All of them, removed ones too, by id.
    pub fn logged_models(&self) -> impl Iterator<Item = &LoggedModel> {
        self.logged.values()
    }

    fn change_logged(&mut self, id: &str, change: impl FnOnce(&mut LoggedModel)) -> Result<&LoggedModel, Problem> {
        let model = self.logged.get_mut(id).ok_or_else(|| missing(id))?;
        change(model);
        self.touch(Kind::LoggedModel, id);
        self.logged_model(id, true)
    }

    /// Says that its files are there, or did not come.
    pub fn finalize_logged_model(&mut self, id: &str, standing: Standing, at: i64) -> Result<&LoggedModel, Problem> {
        self.change_logged(id, |model| (model.standing, model.updated) = (standing, at))
    }

    /// Removes a logged model; its files stay.
    pub fn delete_logged_model(&mut self, id: &str, at: i64) -> Result<(), Problem> {
        self.change_logged(id, |model| (model.lifecycle, model.updated) = (Lifecycle::Deleted, at)).map(drop)
    }

    /// Says what it was made with. What was said stays.
    pub fn log_model_params(&mut self, id: &str, params: Vec<(String, String)>) -> Result<(), Problem> {
        self.change_logged(id, |model| model.params.extend(params)).map(drop)
    }

    /// Writes tags on a logged model.
    pub fn set_logged_model_tags(&mut self, id: &str, tags: Vec<(String, String)>) -> Result<(), Problem> {
        self.change_logged(id, |model| model.tags.extend(tags)).map(drop)
    }

    /// Takes a tag off a logged model.
    pub fn delete_logged_model_tag(&mut self, id: &str, key: &str) -> Result<(), Problem> {
        if !self.logged_model(id, true)?.tags.contains_key(key) {
            return Err(Problem::missing(format!("No tag with key '{key}' found for model with ID '{id}'.")));
        }
        self.change_logged(id, |model| drop(model.tags.remove(key))).map(drop)
    }

    /// Notes values of metrics that a run said of logged models. Models that are not known are left out.
    pub fn add_model_metrics(&mut self, said: Vec<(String, ModelMetric)>) {
        for (id, metric) in said {
            let _ = self.change_logged(&id, |model| model.metrics.push(metric));
        }
    }

    /// Notes on a logged model that it became a version in the registry.
    pub(crate) fn note_version(&mut self, id: &str, name: &str, version: u64) {
        let _ = self.change_logged(id, |model| {
            let known = model.tags.get(VERSIONS_TAG).map_or("", String::as_str);
            let mut versions: Vec<serde_json::Value> = serde_json::from_str(known).unwrap_or_default();
            versions.push(serde_json::json!({"name": name, "version": version}));
            let listed = versions.iter().map(|v| format!("{{\"name\": {}, \"version\": {}}}", v["name"], v["version"]));
            let listed: Vec<String> = listed.collect();
            model.tags.insert(VERSIONS_TAG.into(), format!("[{}]", listed.join(", ")));
        });
    }
}

impl ModelMetric {
    /// One that a run said.
    pub fn new(run: &str, key: &str, point: Point) -> ModelMetric {
        ModelMetric {
            key: key.to_owned(),
            value: Some(point.value).filter(|v| !v.is_nan()),
            timestamp: point.timestamp,
            step: point.step,
            run: run.to_owned(),
            ..ModelMetric::default()
        }
    }
}

fn missing(id: &str) -> Problem {
    Problem::missing(format!("Logged model with ID '{id}' not found."))
}

fn logged_name(name: &str) -> Result<(), Problem> {
    if name.contains(['/', ':', '.', '%', '"', '\'']) {
        return Err(Problem::invalid(format!(
            "Invalid model name ({name}) provided. Model name must be a non-empty string and cannot contain the \
             following characters: ('/', ':', '.', '%', '\"', \"'\")"
        )));
    }
    Ok(())
}
