//! Experiments: where runs belong.

use serde::{Deserialize, Serialize};

use crate::{
    Code, Problem,
    book::{Book, Kind, Lifecycle, Pairs},
    limits,
};

/// An experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// Its number.
    pub id: u64,
    /// Its name, which no other has.
    pub name: String,
    /// Where its artifacts are.
    pub artifact_location: String,
    /// Whether it was removed.
    pub lifecycle: Lifecycle,
    /// When it was made, and changed, ms.
    pub created: i64,
    /// See `created`.
    pub updated: i64,
    /// What people wrote on it.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub tags: Pairs,
}

/// Name and number of the one that is always there.
pub const DEFAULT_NAME: &str = "Default";

impl Book {
    /// Makes the default experiment where there is none.
    pub fn ensure_default(&mut self, at: i64) {
        if self.experiments.is_empty() {
            self.insert_experiment(0, DEFAULT_NAME.into(), "mlflow-artifacts:/0".into(), Pairs::new(), at);
        }
    }

    fn insert_experiment(&mut self, id: u64, name: String, artifact_location: String, tags: Pairs, at: i64) {
        self.experiment_names.insert(name.clone(), id);
        let lifecycle = Lifecycle::Active;
        self.experiments
            .insert(id, Experiment { id, name, artifact_location, lifecycle, created: at, updated: at, tags });
        self.touch(Kind::Experiment, id.to_string());
    }

    /// Makes an experiment.
    pub fn create_experiment(
        &mut self,
        name: &str,
        artifact_location: &str,
        tags: Vec<(String, String)>,
        at: i64,
    ) -> Result<u64, Problem> {
        place(artifact_location)?;
        if artifact_location.starts_with("runs:") {
            return Err(Problem::invalid(format!(
                "Artifact location cannot be a runs:/ URI. Given: '{artifact_location}'"
            )));
        }
        limits::experiment_name(name)?;
        for (key, value) in &tags {
            experiment_tag(key, value)?;
        }
        let is_twice = |(i, (key, _)): (usize, &(String, String))| tags[..i].iter().any(|(before, _)| before == key);
        if self.experiment_names.contains_key(name) || tags.iter().enumerate().any(is_twice) {
            return Err(Problem::exists(format!("Experiment(name={name}) already exists.")));
        }
        let id = self.experiments.keys().next_back().map_or(0, |last| last + 1);
        let location = match artifact_location {
            "" => format!("mlflow-artifacts:/{id}"),
            place => place.to_owned(),
        };
        self.insert_experiment(id, name.to_owned(), location, tags.into_iter().collect(), at);
        Ok(id)
    }

    /// An experiment by its number, removed or not.
    pub fn experiment(&self, id: &str) -> Result<&Experiment, Problem> {
        let number = limits::experiment_id(id)?;
        self.experiments.get(&number).ok_or_else(|| Problem::missing(format!("No Experiment with id={number} exists")))
    }

    /// An experiment by its name, removed or not.
    pub fn experiment_by_name(&self, name: &str) -> Option<&Experiment> {
        self.experiment_names.get(name).and_then(|id| self.experiments.get(id))
    }

    /// All of them.
    pub fn experiments(&self) -> impl Iterator<Item = &Experiment> {
        self.experiments.values()
    }

    fn change_experiment(&mut self, id: u64, at: i64, change: impl FnOnce(&mut Experiment)) {
        if let Some(experiment) = self.experiments.get_mut(&id) {
            change(experiment);
            experiment.updated = at;
            self.touch(Kind::Experiment, id.to_string());
        }
    }

    /// One that is active; else the reason.
    pub(crate) fn active_experiment(&self, id: &str) -> Result<&Experiment, Problem> {
        let experiment = self.experiment(id)?;
        if experiment.lifecycle != Lifecycle::Active {
            return Err(Problem::invalid(format!(
                "The experiment {} must be in the 'active' state. Current state is deleted.",
                experiment.id
            )));
        }
        Ok(experiment)
    }

    /// Gives an active experiment another name.
    pub fn rename_experiment(&mut self, id: &str, name: &str, at: i64) -> Result<(), Problem> {
        limits::experiment_name(name)?;
        let experiment = self.experiment(id)?;
        if experiment.lifecycle != Lifecycle::Active {
            let message = "Cannot rename a non-active experiment.".into();
            return Err(Problem { code: Code::InvalidState, message });
        }
        let (id, old) = (experiment.id, experiment.name.clone());
        if self.experiment_names.get(name).is_some_and(|known| *known != id) {
            let message = format!("Experiment(name={name}) already exists.");
            return Err(Problem { code: Code::BadRequest, message });
        }
        self.experiment_names.remove(&old);
        self.experiment_names.insert(name.to_owned(), id);
        self.change_experiment(id, at, |experiment| experiment.name = name.to_owned());
        Ok(())
    }

    /// Removes an experiment with its runs.
    pub fn delete_experiment(&mut self, id: &str, at: i64) -> Result<(), Problem> {
        let id = self.only(id, Lifecycle::Active)?;
        self.change_experiment(id, at, |experiment| experiment.lifecycle = Lifecycle::Deleted);
        self.mark_runs(id, Lifecycle::Active, Lifecycle::Deleted, Some(at));
        Ok(())
    }

    /// Brings a removed experiment back with its runs.
    pub fn restore_experiment(&mut self, id: &str, at: i64) -> Result<(), Problem> {
        let id = self.only(id, Lifecycle::Deleted)?;
        self.change_experiment(id, at, |experiment| experiment.lifecycle = Lifecycle::Active);
        self.mark_runs(id, Lifecycle::Deleted, Lifecycle::Active, None);
        Ok(())
    }

    /// The number of an experiment in this state.
    fn only(&self, id: &str, lifecycle: Lifecycle) -> Result<u64, Problem> {
        let experiment = self.experiment(id)?;
        if experiment.lifecycle != lifecycle {
            return Err(Problem::missing(format!("No Experiment with id={} exists", experiment.id)));
        }
        Ok(experiment.id)
    }

    /// Writes a tag on an active experiment.
    pub fn set_experiment_tag(&mut self, id: &str, key: &str, value: &str) -> Result<(), Problem> {
        experiment_tag(key, value)?;
        let experiment = self.active_experiment(id)?;
        let (id, at) = (experiment.id, experiment.updated);
        self.change_experiment(id, at, |experiment| drop(experiment.tags.insert(key.to_owned(), value.to_owned())));
        Ok(())
    }

    /// Takes a tag off an active experiment.
    pub fn delete_experiment_tag(&mut self, id: &str, key: &str) -> Result<(), Problem> {
        let experiment = self.active_experiment(id)?;
        let (id, at) = (experiment.id, experiment.updated);
        if !experiment.tags.contains_key(key) {
            return Err(Problem::missing(format!("No tag with name: {key} in experiment with id {id}")));
        }
        self.change_experiment(id, at, |experiment| drop(experiment.tags.remove(key)));
        Ok(())
    }
}

/// A place for artifacts: an address without what an address may have besides.
fn place(text: &str) -> Result<(), Problem> {
    if text.contains(['#', ';']) {
        return Err(Problem::invalid("'artifact_location' URL can't include fragments or params."));
    }
    if text.split_once('?').is_some_and(|(_, query)| query.contains("..")) {
        return Err(Problem::invalid("Invalid query string"));
    }
    if text.chars().count() > 2048 {
        return Err(Problem::invalid(
            "Invalid artifact path length. The length of the artifact path cannot be greater than 2048 characters.",
        ));
    }
    Ok(())
}

fn experiment_tag(key: &str, value: &str) -> Result<(), Problem> {
    limits::key("key", key)?;
    limits::length("key", limits::KEY, key)?;
    limits::length("value", limits::EXPERIMENT_TAG_VALUE, value)
}
