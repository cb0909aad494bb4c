//! Retraining: when a model is to be trained again, and what became of it. Who carries it out is not said here: a policy
//! names an actuator of the settings, and the book keeps what was intended before anything is started.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    book::{Book, Kind},
    observed::are_of_models,
    registry::RegisteredModel,
    search::pattern::Pattern,
    traffic::SHADOW,
};

const HOUR_MS: i64 = 3_600_000;

/// When models are trained again, as the settings say it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What it is called.
    pub name: String,
    /// Which models: names, `*` for any text.
    pub models: String,
    /// The actuator that trains, by its name in the settings.
    pub with: String,
    /// With what it does so, of the actuator's targets; nothing: with the model's name.
    #[serde(default)]
    pub target: Option<String>,
    /// The parameters of its step.
    #[serde(default)]
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// What must be being found of the version in use: measures, `*` for any text.
    #[serde(default)]
    pub on: Vec<String>,
    /// Hours after which the version in use is too old.
    #[serde(default)]
    pub max_age_h: Option<f64>,
    /// Rows that the version in use predicted after which there is enough new data.
    #[serde(default)]
    pub rows: Option<u64>,
    /// Hours between two trainings at least.
    #[serde(default = "usual_pause")]
    pub pause_h: f64,
    /// Trainings that fail one after the other before nothing more is tried until a person starts one.
    #[serde(default = "usual_failures")]
    pub failures: usize,
    /// Whether the version that comes out becomes the shadow, from where a rollout takes it on.
    #[serde(default = "yes")]
    pub shadow: bool,
}

fn usual_pause() -> f64 {
    24.0
}

fn usual_failures() -> usize {
    3
}

fn yes() -> bool {
    true
}

/// What has become of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It is to be started.
    Intended,
    /// It was started and goes on.
    Running,
    /// It ended well.
    Succeeded,
    /// It did not start, or ended badly.
    Failed,
    /// It is not known whether it was started: a person must look.
    Unknown,
}

impl Stage {
    /// Whether nothing more comes.
    pub fn is_over(self) -> bool {
        matches!(self, Stage::Succeeded | Stage::Failed | Stage::Unknown)
    }
}

/// One training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Its number, from 1.
    pub number: u64,
    /// Of which model.
    pub model: String,
    /// By which policy; empty: a person asked for it.
    pub policy: String,
    /// By which actuator.
    pub with: String,
    /// Who asked for it; empty: the server itself.
    pub by: String,
    /// Why.
    pub why: String,
    /// When it was intended, ms.
    pub at: i64,
    /// When it was over, ms.
    pub ended: Option<i64>,
    /// What has become of it.
    pub stage: Stage,
    /// What the actuator calls it.
    pub handle: String,
    /// What the actuator said.
    pub said: String,
    /// The newest version when it began, and the one that came out of it.
    pub before: Option<u64>,
    /// See `before`.
    pub version: Option<u64>,
    /// Whether what comes out of it becomes the shadow.
    pub shadow: bool,
}

impl Policy {
    /// What is wrong with it, if something is.
    ///
    /// # Errors
    /// No name, nothing that it begins on, and numbers out of range.
    pub fn check(&self) -> Result<(), String> {
        let name = &self.name;
        let is_time = |hours: f64| hours.is_finite() && hours > 0.0;
        match () {
            () if name.trim().is_empty() => Err("a policy of retraining has no name".into()),
            () if self.on.is_empty() && self.max_age_h.is_none() && self.rows.is_none() => {
                Err(format!("retraining {name:?} begins on nothing: say on, max_age_h or rows"))
            }
            () if !are_of_models(&self.on) => {
                Err(format!("retraining {name:?}: what it begins on begins with model_, as model_errors does"))
            }
            () if !is_time(self.pause_h) || self.max_age_h.is_some_and(|hours| !is_time(hours)) => {
                Err(format!("retraining {name:?}: pause_h and max_age_h are hours above 0"))
            }
            () => Ok(()),
        }
    }

    fn is_of(&self, model: &str) -> bool {
        Pattern::with_stars(&self.models).matches(model)
    }

    /// Why a model is to be trained again now, ms; `None`: it is not.
    fn why(&self, book: &Book, model: &RegisteredModel, now: i64) -> Option<String> {
        let in_use = model.in_use()?;
        let number = in_use.version;
        let age_h = (now - in_use.created) as f64 / HOUR_MS as f64;
        if let Some(most) = self.max_age_h.filter(|most| age_h > *most) {
            return Some(format!("version {number} in use is {age_h:.0} hours old, and {most} is the limit"));
        }
        let seen = book.observed(&model.name, number)?;
        if let Some(rows) = self.rows.filter(|rows| seen.rows >= *rows) {
            return Some(format!("version {number} in use predicted {} rows, and {rows} are enough", seen.rows));
        }
        let (measure, words) = seen.found(&self.on).next()?;
        Some(format!("{measure}: {words}"))
    }

    /// Whether enough time went by since the last training, and not too many failed.
    fn may_begin(&self, book: &Book, model: &str, now: i64) -> bool {
        let mut last = book.trainings_of(model).rev().peekable();
        let pause = (self.pause_h * HOUR_MS as f64) as i64;
        let is_soon = last.peek().is_some_and(|training| !training.stage.is_over() || now - training.at < pause);
        let failed = last.take_while(|training| training.stage != Stage::Succeeded && training.by.is_empty()).count();
        !is_soon && failed < self.failures
    }
}

impl Book {
    /// Sets when models are trained again. Policies are settings, and not kept.
    pub fn set_retraining(&mut self, policies: Vec<Policy>) {
        self.retraining = policies;
    }

    /// The policy of a model: the first that names it.
    pub fn retraining_of(&self, name: &str) -> Option<&Policy> {
        self.retraining.iter().find(|policy| policy.is_of(name))
    }

    /// Models that are to be trained again now, ms, and why.
    pub fn due_trainings(&self, now: i64) -> Vec<(String, String)> {
        let due = |model: &RegisteredModel| {
            let policy = self.retraining_of(&model.name).filter(|policy| policy.may_begin(self, &model.name, now))?;
            Some((model.name.clone(), policy.why(self, model, now)?))
        };
        self.registered.values().filter(|model| !model.is_prompt()).filter_map(due).collect()
    }

    /// The trainings of a model, in order.
    pub fn trainings_of<'a>(&'a self, model: &'a str) -> impl DoubleEndedIterator<Item = &'a Training> {
        self.trainings.values().filter(move |training| training.model == model)
    }

    /// A training by its number.
    pub fn training(&self, number: u64) -> Option<&Training> {
        self.trainings.get(&number)
    }

    /// Trainings that are not over, in order.
    pub fn open_trainings(&self) -> Vec<Training> {
        self.trainings.values().filter(|training| !training.stage.is_over()).cloned().collect()
    }

    /// Intends a training of a model; who acts asks for it.
    ///
    /// # Errors
    /// A model that is not there, that no policy says how to train, or that is being trained already.
    pub fn intend_training(&mut self, name: &str, why: String) -> Result<Training, Problem> {
        let newest = self.registered(name)?.versions.keys().next_back().copied();
        let Some(policy) = self.retraining_of(name) else {
            return Err(Problem::invalid(format!("no [[retraining]] of the settings says how {name} is trained")));
        };
        if let Some(open) = self.trainings_of(name).find(|training| !training.stage.is_over()) {
            return Err(Problem::exists(format!("{name} is being trained already (training {})", open.number)));
        }
        let number = self.trainings.keys().next_back().map_or(1, |last| last + 1);
        let training = Training {
            number,
            model: name.to_owned(),
            policy: policy.name.clone(),
            with: policy.with.clone(),
            by: self.acting.by.clone(),
            why,
            at: self.acting.at,
            ended: None,
            stage: Stage::Intended,
            handle: String::new(),
            said: String::new(),
            before: newest,
            version: None,
            shadow: policy.shadow,
        };
        self.trainings.insert(number, training.clone());
        self.touch(Kind::Training, number.to_string());
        Ok(training)
    }

    /// Notes what has become of a training. What came out of one that succeeded becomes the shadow, where that is asked
    /// for and the gates let it.
    ///
    /// # Errors
    /// A training that is not there, or is over.
    pub fn note_training(&mut self, number: u64, stage: Stage, handle: &str, said: &str) -> Result<Training, Problem> {
        let at = self.acting.at;
        let open = self.trainings.get(&number).filter(|training| !training.stage.is_over());
        let Some(training) = open else {
            return Err(Problem::missing(format!("there is no training {number} that goes on")));
        };
        let mut training = training.clone();
        training.stage = stage;
        training.said = said.chars().take(SAID_MAX).collect();
        if !handle.is_empty() {
            training.handle = handle.to_owned();
        }
        training.ended = stage.is_over().then_some(at);
        if stage == Stage::Succeeded {
            self.take_over_version(&mut training);
        }
        self.trainings.insert(number, training.clone());
        self.touch(Kind::Training, number.to_string());
        Ok(training)
    }

    /// Finds the version that came out of a training.
    fn take_over_version(&mut self, training: &mut Training) {
        let newest = self.registered.get(&training.model).and_then(|model| model.versions.keys().next_back().copied());
        training.version = newest.filter(|newest| training.before.is_none_or(|before| *newest > before));
        let Some(version) = training.version.filter(|_| training.shadow) else { return };
        self.because(format!("it came out of training {}", training.number));
        if let Err(problem) = self.set_alias(&training.model, SHADOW, &version.to_string()) {
            training.said = format!("{}\n{}", training.said, problem.message).trim().to_owned();
        }
        self.because(String::new());
    }
}

/// Characters that are kept of what an actuator said.
const SAID_MAX: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{registry::NewVersion, serving::CHAMPION};

    const HOUR: i64 = HOUR_MS;

    fn policy(more: serde_json::Value) -> Policy {
        let mut all = serde_json::json!({"name": "p", "models": "ir*", "with": "airflow"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn version(book: &mut Book, at: i64) {
        let new = NewVersion { name: "iris".into(), source: "s3://a".into(), ..NewVersion::default() };
        book.create_version(new, at).unwrap();
    }

    fn book(more: serde_json::Value) -> Book {
        let mut book = Book::default();
        book.ensure_default(1);
        book.create_registered("iris", "", vec![], 1).unwrap();
        version(&mut book, 0);
        book.set_alias("iris", CHAMPION, "1").unwrap();
        book.set_retraining(vec![policy(more)]);
        book
    }

    fn due(book: &Book, hour: i64) -> Option<String> {
        book.due_trainings(hour * HOUR).pop().map(|due| due.1)
    }

    #[test]
    fn a_model_is_due_by_age_by_rows_and_by_what_is_found() {
        let old = book(serde_json::json!({"max_age_h": 100}));
        assert_eq!(due(&old, 99), None);
        assert_eq!(due(&old, 101).unwrap(), "version 1 in use is 101 hours old, and 100 is the limit");
        let mut seen = book(serde_json::json!({"rows": 1000, "on": ["model_*drift"]}));
        seen.observe("iris", 1, |seen| seen.rows = 999);
        assert_eq!(due(&seen, 5), None);
        seen.observe("iris", 1, |seen| drop(seen.findings.insert("model_input_drift".into(), "x is other".into())));
        assert_eq!(due(&seen, 5).unwrap(), "model_input_drift: x is other");
        seen.observe("iris", 1, |seen| seen.rows = 1000);
        assert!(due(&seen, 5).unwrap().contains("predicted 1000 rows"));
    }

    #[test]
    fn a_training_is_intended_once_and_its_version_becomes_the_shadow() {
        let mut book = book(serde_json::json!({"max_age_h": 1}));
        book.act_as("", 2 * HOUR);
        let why = due(&book, 2).unwrap();
        let training = book.intend_training("iris", why).unwrap();
        assert_eq!((training.number, training.stage, training.before), (1, Stage::Intended, Some(1)));
        assert_eq!(due(&book, 90), None, "it is not over");
        assert!(book.intend_training("iris", "x".into()).unwrap_err().message.contains("already"));
        book.note_training(1, Stage::Running, "run-1", "").unwrap();
        version(&mut book, 3 * HOUR);
        book.act_as("", 3 * HOUR);
        let over = book.note_training(1, Stage::Succeeded, "", "done").unwrap();
        assert_eq!((over.version, over.handle.as_str(), over.ended), (Some(2), "run-1", Some(3 * HOUR)));
        assert_eq!(book.registered("iris").unwrap().shadow().unwrap().version, 2);
        assert_eq!(book.moves_of("iris").next_back().unwrap().why, "it came out of training 1");
        assert!(book.note_training(1, Stage::Failed, "", "").is_err(), "what is over stays");
        assert_eq!(due(&book, 25), None, "a day has to go by");
        assert!(due(&book, 27).is_some());
    }

    #[test]
    fn what_fails_again_and_again_is_not_tried_for_ever() {
        let mut book = book(serde_json::json!({"max_age_h": 1, "pause_h": 1, "failures": 2}));
        for hour in [2, 4] {
            book.act_as("", hour * HOUR);
            let why = due(&book, hour).unwrap();
            let number = book.intend_training("iris", why).unwrap().number;
            book.note_training(number, Stage::Failed, "", "exit 1").unwrap();
        }
        assert_eq!(due(&book, 60), None);
        book.act_as("ann", 60 * HOUR);
        let number = book.intend_training("iris", "asked for".into()).unwrap().number;
        book.note_training(number, Stage::Unknown, "", "the connection broke").unwrap();
        assert!(due(&book, 90).is_some(), "a person tried it, so it may be tried again");
    }

    #[test]
    fn trainings_are_kept() {
        let mut book = book(serde_json::json!({"max_age_h": 1}));
        book.act_as("ann", HOUR);
        book.intend_training("iris", "asked for".into()).unwrap();
        let documents = book.take_changes().documents.into_iter();
        let kept = documents.filter_map(|document| Some((document.kind.to_owned(), document.id, document.body?)));
        let read = Book::load(kept.collect::<Vec<_>>()).unwrap();
        assert_eq!(read.open_trainings(), book.open_trainings());
    }

    #[test]
    fn bad_policies_are_refused() {
        for (bad, says) in [
            (serde_json::json!({}), "begins on nothing"),
            (serde_json::json!({"on": ["drift"]}), "begins with model_"),
            (serde_json::json!({"rows": 1, "pause_h": 0}), "above 0"),
            (serde_json::json!({"name": " ", "rows": 1}), "has no name"),
        ] {
            assert!(policy(bad.clone()).check().unwrap_err().contains(says), "{bad}");
        }
        assert!(policy(serde_json::json!({"rows": 1})).check().is_ok());
    }
}
