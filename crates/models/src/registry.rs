//! The registry: models under a name, their versions, and which of them an alias means.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Code, Problem,
    book::{Book, Kind, Pairs},
    limits,
    moves::Places,
    traffic::{CANARY_PERCENT, percent_of},
};

/// A stage of a version. Deprecated by MLflow for aliases, and still asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// No stage.
    #[default]
    None,
    /// It is tried out.
    Staging,
    /// It is in use.
    Production,
    /// It was in use.
    Archived,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Stage; 4] = [Stage::None, Stage::Staging, Stage::Production, Stage::Archived];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Stage::None => "None",
            Stage::Staging => "Staging",
            Stage::Production => "Production",
            Stage::Archived => "Archived",
        }
    }

    /// Reads a name, whatever its case.
    pub fn parse(text: &str) -> Result<Stage, Problem> {
        let found = Stage::ALL.into_iter().find(|stage| stage.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| {
            Problem::invalid(format!(
                "Invalid Model Version stage: {text}. Value must be one of None, Staging, Production, Archived."
            ))
        })
    }
}

/// A registered model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredModel {
    /// Its name, which no other has.
    pub name: String,
    /// When it was made, and changed, ms.
    pub created: i64,
    /// See `created`.
    pub updated: i64,
    /// What people say of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What people wrote on it.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub tags: Pairs,
    /// Which version each alias means.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, u64>,
    /// Its versions by number, those that were not removed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<u64, Version>,
    /// The highest number that was given: numbers are not given twice.
    #[serde(default)]
    pub last_version: u64,
}

/// A version of a registered model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Its number.
    pub version: u64,
    /// When it was made, and changed, ms.
    pub created: i64,
    /// See `created`.
    pub updated: i64,
    /// What people say of it; `None` where somebody took that back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it came from, as its maker said.
    pub source: String,
    /// Where its files are.
    pub location: String,
    /// The run that made it; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// The logged model that it is; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// A link to the run, as its maker said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run_link: String,
    /// In which stage it is.
    #[serde(default)]
    pub stage: Stage,
    /// What people wrote on it.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub tags: Pairs,
}

/// What [`Book::create_version`] is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewVersion {
    /// Of which model.
    pub name: String,
    /// Where it comes from: `models:/m-…`, `runs:/…/…`, `mlflow-artifacts:/…`, or elsewhere.
    pub source: String,
    /// The run that made it; empty: none.
    pub run: String,
    /// The logged model that it is; empty: none.
    pub model: String,
    /// A link to the run.
    pub run_link: String,
    /// What is said of it.
    pub description: String,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// Where a new version comes from, looked up.
struct Source {
    source: String,
    location: String,
    model: String,
    run: String,
}

/// The tag that makes a registered model a prompt.
pub const IS_PROMPT: &str = "mlflow.prompt.is_prompt";

impl RegisteredModel {
    /// Aliases that mean a version.
    pub fn aliases_of(&self, version: u64) -> impl Iterator<Item = &str> {
        self.aliases.iter().filter(move |(_, v)| **v == version).map(|(alias, _)| alias.as_str())
    }

    /// The newest version in each stage that has one, by stage.
    pub fn latest(&self) -> impl Iterator<Item = &Version> {
        Stage::ALL.into_iter().filter_map(|stage| self.versions.values().rev().find(|v| v.stage == stage))
    }

    /// Whether it is a prompt.
    pub fn is_prompt(&self) -> bool {
        self.tags.get(IS_PROMPT).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

impl Book {
    /// Makes a registered model.
    pub fn create_registered(
        &mut self,
        name: &str,
        description: &str,
        tags: Vec<(String, String)>,
        at: i64,
    ) -> Result<&RegisteredModel, Problem> {
        limits::model_name(name)?;
        for (key, value) in &tags {
            registry_tag(key, value)?;
        }
        if let Some(known) = self.registered.get(name) {
            let is_prompt = tags.iter().any(|(key, value)| key == IS_PROMPT && value.eq_ignore_ascii_case("true"));
            return Err(Problem::exists(match (known.is_prompt(), is_prompt) {
                (false, false) => format!("Registered Model (name={name}) already exists."),
                (true, true) => format!("Prompt (name={name}) already exists."),
                (true, false) => format!(
                    "Tried to create a registered model with name '{name}', but the name is already taken by a \
                     prompt. MLflow does not allow creating a model and a prompt with the same name."
                ),
                (false, true) => format!(
                    "Tried to create a prompt with name '{name}', but the name is already taken by a registered \
                     model. MLflow does not allow creating a model and a prompt with the same name."
                ),
            }));
        }
        let model = RegisteredModel {
            name: name.to_owned(),
            created: at,
            updated: at,
            description: description.to_owned(),
            tags: tags.into_iter().collect(),
            ..RegisteredModel::default()
        };
        self.touch(Kind::RegisteredModel, name);
        Ok(self.registered.entry(name.to_owned()).or_insert(model))
    }

    /// A registered model.
    pub fn registered(&self, name: &str) -> Result<&RegisteredModel, Problem> {
        limits::model_name(name)?;
        self.registered.get(name).ok_or_else(|| missing(name))
    }

    /// All of them, by name.
    pub fn registered_models(&self) -> impl Iterator<Item = &RegisteredModel> {
        self.registered.values()
    }

    fn change_registered(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut RegisteredModel),
    ) -> Result<&RegisteredModel, Problem> {
        self.change_through(name, Vec::new(), change)
    }

    /// Changes a model whose version passed these gates.
    fn change_through(
        &mut self,
        name: &str,
        gates: Vec<String>,
        change: impl FnOnce(&mut RegisteredModel),
    ) -> Result<&RegisteredModel, Problem> {
        limits::model_name(name)?;
        let model = self.registered.get_mut(name).ok_or_else(|| missing(name))?;
        let before = Places::of(Some(model));
        change(model);
        self.touch(Kind::RegisteredModel, name);
        self.note_moves(name, &before, gates);
        self.registered(name)
    }

    /// Says something else of a registered model.
    pub fn describe_registered(&mut self, name: &str, description: &str, at: i64) -> Result<&RegisteredModel, Problem> {
        self.change_registered(name, |model| {
            model.updated = at;
            model.description = description.to_owned();
        })
    }

    /// Gives a registered model another name.
    pub fn rename_registered(&mut self, name: &str, new_name: &str, at: i64) -> Result<&RegisteredModel, Problem> {
        if new_name.trim().is_empty() {
            return Err(limits::missing_value("new_name"));
        }
        limits::model_name(new_name)?;
        self.registered(name)?;
        if name != new_name && self.registered.contains_key(new_name) {
            return Err(Problem::exists(format!("Registered Model (name={new_name}) already exists.")));
        }
        if let Some(mut model) = self.registered.remove(name) {
            model.name = new_name.to_owned();
            model.updated = at;
            model.versions.values_mut().for_each(|version| version.updated = at);
            self.registered.insert(new_name.to_owned(), model);
            self.rename_moves(name, new_name);
        }
        self.touch(Kind::RegisteredModel, name);
        self.touch(Kind::RegisteredModel, new_name);
        self.registered(new_name)
    }

    /// Removes a registered model with all its versions. Their files stay.
    pub fn delete_registered(&mut self, name: &str) -> Result<(), Problem> {
        self.registered(name)?;
        let before = Places::of(self.registered.remove(name).as_ref());
        self.touch(Kind::RegisteredModel, name);
        self.note_moves(name, &before, Vec::new());
        Ok(())
    }

    /// Writes a tag on a registered model.
    pub fn set_registered_tag(&mut self, name: &str, key: &str, value: &str) -> Result<(), Problem> {
        limits::model_name(name)?;
        registry_tag(key, value)?;
        if key == CANARY_PERCENT && percent_of(value).is_none() {
            return Err(Problem::invalid(format!("{key} is {value:?}, and must be a number from 0 to 100")));
        }
        self.change_registered(name, |model| drop(model.tags.insert(key.to_owned(), value.to_owned()))).map(drop)
    }

    /// Takes a tag off a registered model, if it is there.
    pub fn delete_registered_tag(&mut self, name: &str, key: &str) -> Result<(), Problem> {
        limits::model_name(name)?;
        limits::key("key", key)?;
        self.change_registered(name, |model| drop(model.tags.remove(key))).map(drop)
    }

    /// Makes a version.
    pub fn create_version(&mut self, new: NewVersion, at: i64) -> Result<(&RegisteredModel, &Version), Problem> {
        limits::model_name(&new.name)?;
        for (key, value) in &new.tags {
            registry_tag(key, value)?;
        }
        let is_prompt = self.registered.get(&new.name).is_some_and(RegisteredModel::is_prompt);
        self.check_source(&new, is_prompt)?;
        let Source { source, location, model, mut run } = self.resolve_source(&new)?;
        if run.is_empty() && !model.is_empty() {
            run.clone_from(&self.logged_model(&model, false)?.source_run);
        }
        let mut number = 0;
        self.change_registered(&new.name, |registered| {
            registered.updated = at;
            number = registered.last_version + 1;
            registered.last_version = number;
            let version = Version {
                version: number,
                created: at,
                updated: at,
                description: Some(new.description),
                source,
                location,
                run,
                model: model.clone(),
                run_link: new.run_link,
                stage: Stage::None,
                tags: new.tags.into_iter().collect(),
            };
            registered.versions.insert(number, version);
        })?;
        if !model.is_empty() {
            self.note_version(&model, &new.name, number);
        }
        self.version(&new.name, &number.to_string())
    }

    /// Whether a version may come from there: not from a path of the machine that this runs on, and not from files of
    /// ours that belong to another run or model.
    fn check_source(&self, new: &NewVersion, is_prompt: bool) -> Result<(), Problem> {
        let source = new.source.as_str();
        if is_prompt {
            let is_placeholder = ["dummy-source", "prompt-template"].contains(&source);
            return if is_placeholder {
                Ok(())
            } else {
                Err(Problem::invalid(format!(
                    "Invalid prompt source: '{source}'. Prompt sources must use an MLflow placeholder."
                )))
            };
        }
        let wrong = |rest: String| Problem::invalid(format!("Invalid model version source: '{source}'. {rest}"));
        let (scheme, path) = source.split_once(":/").unwrap_or(("", source));
        let by = if new.model.is_empty() { "run_id" } else { "model_id" };
        if scheme.is_empty() || scheme.len() == 1 || scheme.eq_ignore_ascii_case("file") {
            if !new.run.is_empty() && self.run(&new.run).is_err() {
                let what = "The run_id request parameter must identify the resource that contains the source.";
                return Err(wrong(what.into()));
            }
            let thing = if new.model.is_empty() { "run" } else { "model" };
            return Err(wrong(format!(
                "To use a local path as a model version source, the {by} request parameter has to be specified and the \
                 local path has to be contained within the artifact directory of the {thing} specified by the {by}."
            )));
        }
        if path.split('/').any(|part| part == ".." || part == "." || part.contains('\\')) || path.contains('%') {
            return Err(wrong(
                "If supplying a source as an http, https, local file path, ftp, objectstore, or mlflow-artifacts uri, an \
                 absolute path must be provided without relative path references present. Please provide an absolute \
                 path."
                    .into(),
            ));
        }
        if ["http", "https"].iter().any(|of| scheme.eq_ignore_ascii_case(of)) {
            return Err(Problem::invalid(format!(
                "'source' cannot use the '{scheme}' scheme: files at other hosts are not fetched."
            )));
        }
        let elsewhere = |by: &str| {
            wrong(format!("The {by} request parameter must identify the resource that contains the source."))
        };
        match scheme.to_ascii_lowercase().as_str() {
            "runs" => {
                let run = path.trim_start_matches('/').split('/').next().unwrap_or_default();
                if new.run.is_empty() || run != new.run || !new.model.is_empty() {
                    return Err(elsewhere(by));
                }
            }
            "models" if path.starts_with("m-") && (new.model.is_empty() || new.model != path) => {
                return Err(elsewhere("model_id"));
            }
            "mlflow-artifacts" => {
                let root = match new.model.as_str() {
                    "" => self.run(&new.run).ok().map(|(run, _)| run.artifact_uri.as_str()),
                    model => self.logged_model(model, false).ok().map(|model| model.artifact_uri.as_str()),
                };
                let is_within = root.is_some_and(|root| {
                    source.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                });
                if !is_within {
                    return Err(elsewhere(by));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Where a new version comes from, where its files are, the logged model that it is, and the run that made it.
    fn resolve_source(&self, new: &NewVersion) -> Result<Source, Problem> {
        let wrong = |what: &str| Problem::invalid(format!("Invalid model version source: '{}'. {what}", new.source));
        let Some(path) = new.source.strip_prefix("models:/") else {
            let source = new.source.clone();
            return Ok(Source { location: source.clone(), source, model: new.model.clone(), run: new.run.clone() });
        };
        if path.starts_with('/') {
            return Err(wrong("Registered model sources must use the active model registry."));
        }
        let said_or = |said: &str, known: &str| if said.is_empty() { known.to_owned() } else { said.to_owned() };
        if path.starts_with("m-") && !path.contains(['/', '@']) {
            let model = self.logged_model(path, false)?;
            return Ok(Source {
                source: new.source.clone(),
                location: model.artifact_uri.clone(),
                model: model.id.clone(),
                run: said_or(&new.run, &model.source_run),
            });
        }
        if !path.contains(['/', '@']) {
            return Err(wrong("The model_id request parameter must identify the resource that contains the source."));
        }
        let (model, version) = self.named_version(path)?;
        let is_other = |said: &str, known: &str| !said.is_empty() && said != known;
        if is_other(&new.run, &version.run) || is_other(&new.model, &version.model) {
            return Err(wrong("The run_id and model_id request parameters must match the referenced model version."));
        }
        Ok(Source {
            source: format!("models:/{}/{}", model.name, version.version),
            location: version.location.clone(),
            model: said_or(&new.model, &version.model),
            run: said_or(&new.run, &version.run),
        })
    }

    /// A version as `models:/…` names it: `name/number`, `name/stage`, `name/latest`, `name@alias`.
    pub fn named_version(&self, path: &str) -> Result<(&RegisteredModel, &Version), Problem> {
        let wrong = || {
            Problem::invalid(format!(
                "Not a proper models:/ URI: models:/{path}. Models URIs must be of the form \
                 'models:/model_name/suffix' or 'models:/model_name@alias' where suffix is a model version, stage, or \
                 the string 'latest' and where alias is a registered model alias. Only one of suffix or alias can be \
                 defined at a time."
            ))
        };
        if let Some((name, alias)) = path.split_once('@').filter(|(name, _)| !name.contains('/')) {
            return self.version_by_alias(name, alias);
        }
        let (name, suffix) = path.split_once('/').filter(|(_, suffix)| !suffix.contains('/')).ok_or_else(wrong)?;
        if suffix.chars().all(|c| c.is_ascii_digit()) {
            return self.version(name, suffix);
        }
        if suffix.eq_ignore_ascii_case("latest") {
            return self.version_by_alias(name, suffix);
        }
        let stage = Stage::parse(suffix)?;
        let model = self.registered(name)?;
        let found = model.latest().find(|version| version.stage == stage).map(|version| (model, version));
        found.ok_or_else(|| {
            Problem::missing(format!("No versions of model with name '{name}' and stage '{suffix}' found"))
        })
    }

    /// A version by its number.
    pub fn version(&self, name: &str, version: &str) -> Result<(&RegisteredModel, &Version), Problem> {
        limits::model_name(name)?;
        let number = limits::version(version)?;
        let missing = || Problem::missing(format!("Model Version (name={name}, version={version}) not found"));
        let model = self.registered.get(name).ok_or_else(missing)?;
        model.versions.get(&number).map(|version| (model, version)).ok_or_else(missing)
    }

    /// The version that an alias means; `latest` means the newest.
    pub fn version_by_alias(&self, name: &str, alias: &str) -> Result<(&RegisteredModel, &Version), Problem> {
        limits::model_name(name)?;
        limits::alias(alias)?;
        let model = self.registered(name)?;
        if alias.eq_ignore_ascii_case("latest") {
            let newest = model.versions.values().next_back().map(|version| (model, version));
            return newest.ok_or_else(|| Problem::missing(format!("Latest version not found for model {name}.")));
        }
        let found = model.aliases.get(alias).and_then(|number| model.versions.get(number));
        found
            .map(|version| (model, version))
            .ok_or_else(|| Problem::invalid(format!("Registered model alias {alias} not found.")))
    }

    fn change_version(
        &mut self,
        name: &str,
        version: &str,
        change: impl FnOnce(&mut RegisteredModel, u64),
    ) -> Result<(&RegisteredModel, &Version), Problem> {
        let number = self.version(name, version)?.1.version;
        self.change_registered(name, |model| change(model, number))?;
        self.version(name, version)
    }

    /// Says something else of a version.
    pub fn describe_version(
        &mut self,
        name: &str,
        version: &str,
        description: Option<&str>,
        at: i64,
    ) -> Result<(&RegisteredModel, &Version), Problem> {
        self.change_version(name, version, |model, number| {
            if let Some(version) = model.versions.get_mut(&number) {
                version.description = description.map(str::to_owned);
                version.updated = at;
            }
        })
    }

    /// Moves a version into a stage; those that are in it may go to the archive.
    pub fn transition(
        &mut self,
        name: &str,
        version: &str,
        stage: &str,
        archive_others: bool,
        at: i64,
    ) -> Result<(&RegisteredModel, &Version), Problem> {
        let to = Stage::parse(stage)?;
        if archive_others && !matches!(to, Stage::Staging | Stage::Production) {
            return Err(Problem {
                code: Code::InternalError,
                message: format!(
                    "Model version transition cannot archive existing model versions because '{stage}' is not an \
                     Active stage. Valid stages are ['Staging', 'Production']"
                ),
            });
        }
        let number = self.version(name, version)?.1.version;
        let gates = self.pass_gates(name, to.name(), number)?;
        self.change_through(name, gates, |model| {
            model.updated = at;
            for other in model.versions.values_mut() {
                if other.version == number {
                    (other.stage, other.updated) = (to, at);
                } else if archive_others && other.stage == to {
                    (other.stage, other.updated) = (Stage::Archived, at);
                }
            }
        })?;
        self.version(name, version)
    }

    /// Removes a version with the aliases that mean it. Its files stay, its number is not given again.
    pub fn delete_version(&mut self, name: &str, version: &str, at: i64) -> Result<(), Problem> {
        let number = self.version(name, version)?.1.version;
        self.change_registered(name, |model| {
            model.updated = at;
            model.versions.remove(&number);
            model.aliases.retain(|_, v| *v != number);
        })
        .map(drop)
    }

    /// Writes a tag on a version.
    pub fn set_version_tag(&mut self, name: &str, version: &str, key: &str, value: &str) -> Result<(), Problem> {
        limits::model_name(name)?;
        limits::version(version)?;
        registry_tag(key, value)?;
        self.change_version(name, version, |model, number| {
            if let Some(version) = model.versions.get_mut(&number) {
                version.tags.insert(key.to_owned(), value.to_owned());
            }
        })
        .map(drop)
    }

    /// Takes a tag off a version, if it is there.
    pub fn delete_version_tag(&mut self, name: &str, version: &str, key: &str) -> Result<(), Problem> {
        limits::model_name(name)?;
        limits::version(version)?;
        limits::key("key", key)?;
        self.change_version(name, version, |model, number| {
            if let Some(version) = model.versions.get_mut(&number) {
                version.tags.remove(key);
            }
        })
        .map(drop)
    }

    /// Lets an alias mean a version.
    ///
    /// # Errors
    /// [`Code::PermissionDenied`]: a gate that the version does not pass.
    pub fn set_alias(&mut self, name: &str, alias: &str, version: &str) -> Result<(), Problem> {
        limits::model_name(name)?;
        limits::free_alias(alias)?;
        limits::version(version)?;
        let number = self.version(name, version)?.1.version;
        let gates = self.pass_gates(name, alias, number)?;
        self.change_through(name, gates, |model| {
            model.aliases.insert(alias.to_owned(), number);
        })
        .map(drop)
    }

    /// Removes an alias, if it is there.
    pub fn delete_alias(&mut self, name: &str, alias: &str) -> Result<(), Problem> {
        limits::model_name(name)?;
        limits::alias(alias)?;
        self.change_registered(name, |model| {
            model.aliases.remove(alias);
        })
        .map(drop)
    }
}

fn missing(name: &str) -> Problem {
    Problem::missing(format!("Registered Model with name={name} not found"))
}

fn registry_tag(key: &str, value: &str) -> Result<(), Problem> {
    limits::key("key", key)?;
    limits::length("key", limits::KEY, key)?;
    limits::length("value", limits::REGISTRY_TAG_VALUE, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logged::NewLoggedModel;

    fn version(name: &str, source: &str) -> NewVersion {
        NewVersion { name: name.into(), source: source.into(), ..NewVersion::default() }
    }

    fn book() -> Book {
        let mut book = Book::default();
        book.ensure_default(1);
        book.create_registered("iris", "", vec![], 2).unwrap();
        book
    }

    #[test]
    fn a_version_of_a_logged_model_has_its_place_and_run() {
        let mut book = book();
        let new = NewLoggedModel { experiment: "0".into(), source_run: "r1".into(), ..NewLoggedModel::default() };
        let id = book.create_logged_model(new, 3).unwrap().id.clone();
        let of_model = NewVersion { model: id.clone(), ..version("iris", &format!("models:/{id}")) };
        let made = book.create_version(of_model, 4).unwrap().1.clone();
        assert_eq!((made.version, made.run.as_str(), made.model.clone()), (1, "r1", id.clone()));
        assert_eq!(made.location, format!("mlflow-artifacts:/0/models/{id}/artifacts"));
        let other = NewVersion { run: "r2".into(), ..version("iris", "models:/iris/1") };
        assert!(book.create_version(other, 5).unwrap_err().message.contains("must match the referenced"));
        for (source, reason) in
            [("models:/iris/9", "not found"), ("models:/iris@x", "x not found"), ("models:/iris", "must identify")]
        {
            let said = book.create_version(version("iris", source), 5).unwrap_err();
            assert!(said.message.contains(reason), "{source}: {said}");
        }
        let copy = book.create_version(version("iris", "models:/iris/1"), 5).unwrap().1.clone();
        assert_eq!((copy.version, copy.location), (2, made.location));
        let tags = &book.logged_model(&id, false).unwrap().tags;
        assert_eq!(
            tags["mlflow.modelVersions"],
            "[{\"name\": \"iris\", \"version\": 1}, {\"name\": \"iris\", \"version\": 2}]"
        );
        let none = NewVersion { model: "m-none".into(), ..version("iris", "models:/m-none") };
        assert!(book.create_version(none, 5).unwrap_err().message.contains("not found"));
        assert!(book.create_version(version("none", "s3://x"), 5).unwrap_err().message.contains("not found"));
    }

    #[test]
    fn versions_come_from_where_they_may() {
        let mut book = book();
        let run = crate::runs::NewRun { experiment: "0".into(), ..crate::runs::NewRun::default() };
        let run = book.create_run(run).unwrap().id.clone();
        let from = |source: &str, run: &str| NewVersion { run: run.into(), ..version("iris", source) };
        let (within, beside) =
            (format!("mlflow-artifacts:/0/{run}/artifacts/m"), format!("mlflow-artifacts:/0/{run}/artifactsx"));
        let of_run = format!("runs:/{run}/m");
        for (source, run) in [
            ("s3://bucket/m", ""),
            ("models:/iris/1", ""),
            (within.as_str(), run.as_str()),
            (of_run.as_str(), run.as_str()),
        ] {
            let made = book.create_version(from(source, run), 4);
            assert!(made.is_ok(), "{source}: {made:?}");
        }
        let bad = [
            ("/etc/passwd", ""),
            ("file:///etc/passwd", run.as_str()),
            ("C:/x", ""),
            ("s3://bucket/../m", ""),
            ("s3://b/%2e%2e/m", ""),
            (of_run.as_str(), ""),
            (of_run.as_str(), "other"),
            (within.as_str(), ""),
            (beside.as_str(), run.as_str()),
            ("models:/m-0123", ""),
        ];
        for (source, run) in bad {
            let said = book.create_version(from(source, run), 4).unwrap_err();
            assert_eq!(said.code, Code::InvalidParameterValue, "{source}: {said}");
            assert!(said.message.starts_with(&format!("Invalid model version source: '{source}'")), "{said}");
        }
    }

    #[test]
    fn aliases_mean_versions_and_go_with_them() {
        let mut book = book();
        book.create_version(version("iris", "s3://a"), 3).unwrap();
        book.create_version(version("iris", "s3://b"), 4).unwrap();
        book.set_alias("iris", "champion", "1").unwrap();
        assert_eq!(book.named_version("iris@champion").unwrap().1.version, 1);
        assert_eq!(book.version_by_alias("iris", "latest").unwrap().1.version, 2);
        assert!(book.set_alias("iris", "champion", "9").is_err() && book.set_alias("iris", "v2", "1").is_err());
        book.delete_version("iris", "1", 5).unwrap();
        assert!(book.version_by_alias("iris", "champion").unwrap_err().message.contains("champion not found"));
        assert!(book.version("iris", "1").is_err() && book.version("iris", "x").is_err());
        book.delete_version("iris", "2", 5).unwrap();
        assert_eq!(
            book.create_version(version("iris", "s3://c"), 6).unwrap().1.version,
            3,
            "numbers are not given twice"
        );
        book.delete_alias("iris", "champion").unwrap();
    }

    #[test]
    fn stages_archive_what_was_there() {
        let mut book = book();
        for _ in 0..2 {
            book.create_version(version("iris", "s3://a"), 3).unwrap();
        }
        book.transition("iris", "1", "production", false, 4).unwrap();
        assert_eq!(book.transition("iris", "2", "Production", true, 5).unwrap().1.stage, Stage::Production);
        assert_eq!(book.version("iris", "1").unwrap().1.stage, Stage::Archived);
        assert_eq!(book.named_version("iris/Production").unwrap().1.version, 2);
        assert!(book.transition("iris", "2", "Archived", true, 5).is_err());
        assert!(book.transition("iris", "2", "Live", false, 5).unwrap_err().message.contains("must be one of None"));
    }

    #[test]
    fn a_renamed_model_is_found_under_its_new_name_alone_also_after_a_restart() {
        let mut book = book();
        book.create_version(version("iris", "s3://a"), 3).unwrap();
        book.create_registered("other", "", vec![], 3).unwrap();
        let mut kept: Vec<(String, String, String)> = Vec::new();
        let keep = |book: &mut Book, kept: &mut Vec<(String, String, String)>| {
            for document in book.take_changes().documents {
                kept.retain(|(kind, id, _)| (kind.as_str(), id) != (document.kind, &document.id));
                kept.extend(document.body.map(|body| (document.kind.into(), document.id, body)));
            }
        };
        keep(&mut book, &mut kept);
        assert!(book.rename_registered("iris", "other", 4).is_err());
        book.rename_registered("iris", "flowers", 4).unwrap();
        keep(&mut book, &mut kept);
        let read = Book::load(kept).unwrap();
        assert!(read.registered("iris").is_err());
        assert_eq!(read.version("flowers", "1").unwrap().1.source, "s3://a");
    }
}
