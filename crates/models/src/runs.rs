//! Runs: what was tried, with what, and how well it did.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    Code, Problem,
    book::{Book, Kind, Lifecycle, Pairs},
    ids, limits,
};

/// How a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// It goes on.
    #[default]
    Running,
    /// It waits.
    Scheduled,
    /// It ended as it should.
    Finished,
    /// It ended with an error.
    Failed,
    /// Somebody ended it.
    Killed,
}

impl Status {
    /// All, with their names and numbers on the wire.
    pub const ALL: [(Status, &'static str, i64); 5] = [
        (Status::Running, "RUNNING", 1),
        (Status::Scheduled, "SCHEDULED", 2),
        (Status::Finished, "FINISHED", 3),
        (Status::Failed, "FAILED", 4),
        (Status::Killed, "KILLED", 5),
    ];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        Status::ALL.iter().find(|(status, ..)| *status == self).map_or("", |(_, name, _)| name)
    }
}

/// A run, but for its metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its place in the order in which runs were made.
    pub number: u64,
    /// Thirty-two hexadecimal digits.
    pub id: String,
    /// Of which experiment.
    pub experiment: u64,
    /// What people call it.
    pub name: String,
    /// Who made it, as they said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// How it stands.
    pub status: Status,
    /// When it began and ended, ms.
    pub start: i64,
    /// See `start`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
    /// Where its artifacts are.
    pub artifact_uri: String,
    /// Whether it was removed, and when, ms.
    pub lifecycle: Lifecycle,
    /// See `lifecycle`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<i64>,
    /// What it was given.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub params: Pairs,
    /// What people wrote on it.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub tags: Pairs,
    /// Data that it used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<DatasetInput>,
    /// Logged models that it used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model_inputs: Vec<String>,
    /// Logged models that it made, with the step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model_outputs: Vec<(String, i64)>,
}

/// Data that a run used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetInput {
    /// Name, digest, type of source, source, schema and profile, as they were sent.
    pub name: String,
    /// See `name`.
    pub digest: String,
    /// See `name`.
    pub source_type: String,
    /// See `name`.
    pub source: String,
    /// See `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// See `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What it was used for.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub tags: Pairs,
}

/// A value of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Finite or NaN.
    pub value: f64,
    /// ms.
    pub timestamp: i64,
    /// Which step of training.
    pub step: i64,
}

/// The last value of each metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latest(pub BTreeMap<Box<str>, Point>);

impl Latest {
    /// Takes a value in; the last is that of the highest step, then time, then value.
    pub fn see(&mut self, key: &str, point: Point) {
        match self.0.get_mut(key) {
            Some(known) => {
                let rank = |p: &Point| (p.step, p.timestamp);
                // What is no number counts as zero.
                let size = |p: &Point| if p.value.is_nan() { 0.0 } else { p.value };
                let is_later =
                    rank(&point) > rank(known) || (rank(&point) == rank(known) && size(&point) > size(known));
                if is_later {
                    *known = point;
                }
            }
            None => {
                self.0.insert(key.into(), point);
            }
        }
    }
}

impl Serialize for Latest {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let value = |p: &Point| if p.value.is_nan() { None } else { Some(p.value) };
        s.collect_map(self.0.iter().map(|(key, p)| (key, (value(p), p.timestamp, p.step))))
    }
}

impl<'de> Deserialize<'de> for Latest {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Latest, D::Error> {
        let kept: BTreeMap<Box<str>, (Option<f64>, i64, i64)> = Deserialize::deserialize(d)?;
        let of = |(key, (value, timestamp, step)): (Box<str>, (Option<f64>, i64, i64))| {
            (key, Point { value: value.unwrap_or(f64::NAN), timestamp, step })
        };
        Ok(Latest(kept.into_iter().map(of).collect()))
    }
}

/// Values of metrics as bytes: for each the length of its key (two bytes), the key, then value, time and step.
pub fn encode(points: &[(&str, Point)]) -> Vec<u8> {
    let mut body = Vec::with_capacity(points.iter().map(|(key, _)| 26 + key.len()).sum());
    for (key, point) in points {
        body.extend((key.len() as u16).to_le_bytes());
        body.extend(key.as_bytes());
        body.extend(point.value.to_bits().to_le_bytes());
        body.extend(point.timestamp.to_le_bytes());
        body.extend(point.step.to_le_bytes());
    }
    body
}

/// What [`encode`] wrote; ends where the bytes are damaged.
pub fn decode(mut body: &[u8]) -> impl Iterator<Item = (&str, Point)> {
    std::iter::from_fn(move || {
        let (length, rest) = body.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_at_checked(u16::from_le_bytes(*length) as usize)?;
        let (value, rest) = rest.split_first_chunk::<8>()?;
        let (timestamp, rest) = rest.split_first_chunk::<8>()?;
        let (step, rest) = rest.split_first_chunk::<8>()?;
        body = rest;
        let value = f64::from_bits(u64::from_le_bytes(*value));
        let (timestamp, step) = (i64::from_le_bytes(*timestamp), i64::from_le_bytes(*step));
        Some((std::str::from_utf8(key).ok()?, Point { value, timestamp, step }))
    })
}

/// What [`Book::create_run`] is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRun {
    /// Of which experiment.
    pub experiment: String,
    /// Who makes it, as they say.
    pub user: String,
    /// What it is called; empty: it gets a name.
    pub name: String,
    /// When it begins, ms.
    pub start: i64,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// What a batch gives to a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch<'a> {
    /// Metrics.
    pub metrics: Vec<(&'a str, Point)>,
    /// Parameters.
    pub params: Vec<(String, String)>,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// The tag that repeats a run's name.
pub const RUN_NAME: &str = "mlflow.runName";

impl Book {
    /// Makes a run.
    pub fn create_run(&mut self, new: NewRun) -> Result<&Run, Problem> {
        let experiment = self.active_experiment(&new.experiment)?;
        let said = new.tags.iter().rev().find(|(key, _)| key == RUN_NAME).map(|(_, value)| value.as_str());
        if let Some(tag) = said.filter(|tag| !tag.is_empty() && !new.name.is_empty() && **tag != new.name) {
            return Err(Problem::invalid(format!(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values \
                 (run_name='{}', mlflow.runName='{tag}').",
                new.name
            )));
        }
        if new.tags.iter().enumerate().any(|(i, (key, _))| new.tags[..i].iter().any(|(before, _)| before == key)) {
            return Err(Problem { code: Code::BadRequest, message: "A tag is given twice.".into() });
        }
        let mut tags = Pairs::new();
        tags.extend(new.tags.iter().cloned());
        let name = match (new.name.as_str(), said) {
            ("", None | Some("")) => ids::run_name(),
            ("", Some(tag)) => tag.to_owned(),
            (name, _) => name.to_owned(),
        };
        tags.insert(RUN_NAME.into(), name.clone());
        let id = ids::hex();
        let run = Run {
            number: self.runs.len() as u64,
            artifact_uri: format!("{}/{id}/artifacts", experiment.artifact_location.trim_end_matches('/')),
            id: id.clone(),
            experiment: experiment.id,
            name,
            user: new.user,
            start: new.start,
            tags,
            ..Run::default()
        };
        self.index_run(run, Latest::default());
        self.touch(Kind::Run, id);
        Ok(&self.runs[self.runs.len() - 1])
    }

    fn run_number(&self, id: &str) -> Result<usize, Problem> {
        let missing = || Problem::missing(format!("Run with id={id} not found"));
        self.run_numbers.get(id).copied().ok_or_else(missing)
    }

    fn active_run(&self, id: &str) -> Result<usize, Problem> {
        let number = self.run_number(id)?;
        match self.runs[number].lifecycle {
            Lifecycle::Active => Ok(number),
            Lifecycle::Deleted => {
                Err(Problem::invalid(format!("The run {id} must be in the 'active' state. Current state is deleted.")))
            }
        }
    }

    /// A run with its last values, removed or not.
    pub fn run(&self, id: &str) -> Result<(&Run, &Latest), Problem> {
        let number = self.run_number(id)?;
        Ok((&self.runs[number], &self.latest[number]))
    }

    /// The runs of an experiment in the order in which they were made.
    pub fn runs_of(&self, experiment: u64) -> impl Iterator<Item = (&Run, &Latest)> {
        let numbers = self.runs_of.get(&experiment).into_iter().flatten();
        numbers.map(|number| (&self.runs[*number], &self.latest[*number]))
    }

    fn change_run(&mut self, number: usize, change: impl FnOnce(&mut Run)) {
        change(&mut self.runs[number]);
        let id = self.runs[number].id.clone();
        self.touch(Kind::Run, id);
    }

    /// Says how an active run stands, when it ended, what it is called.
    pub fn update_run(
        &mut self,
        id: &str,
        status: Option<Status>,
        end: Option<i64>,
        name: Option<&str>,
    ) -> Result<&Run, Problem> {
        let number = self.active_run(id)?;
        self.change_run(number, |run| {
            run.status = status.unwrap_or(run.status);
            run.end = end.or(run.end);
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                run.name = name.to_owned();
                run.tags.insert(RUN_NAME.into(), name.to_owned());
            }
        });
        Ok(&self.runs[number])
    }

    /// Removes a run; one that was removed stays so.
    pub fn delete_run(&mut self, id: &str, at: i64) -> Result<(), Problem> {
        let number = self.run_number(id)?;
        self.change_run(number, |run| (run.lifecycle, run.deleted) = (Lifecycle::Deleted, Some(at)));
        Ok(())
    }

    /// Brings a removed run back.
    pub fn restore_run(&mut self, id: &str) -> Result<(), Problem> {
        let number = self.run_number(id)?;
        self.change_run(number, |run| (run.lifecycle, run.deleted) = (Lifecycle::Active, None));
        Ok(())
    }

    pub(crate) fn mark_runs(&mut self, experiment: u64, from: Lifecycle, to: Lifecycle, at: Option<i64>) {
        for number in self.runs_of.get(&experiment).cloned().unwrap_or_default() {
            if self.runs[number].lifecycle == from {
                self.change_run(number, |run| (run.lifecycle, run.deleted) = (to, at));
            }
        }
    }

    /// Gives an active run values of metrics, parameters and tags: all or none.
    pub fn log_batch(&mut self, id: &str, batch: Batch) -> Result<(), Problem> {
        let number = self.active_run(id)?;
        for (i, (key, point)) in batch.metrics.iter().enumerate() {
            metric_key(&format!("metrics[{i}]."), key, point)?;
        }
        let mut params = Pairs::new();
        for (i, (key, value)) in batch.params.iter().enumerate() {
            limits::key(&format!("params[{i}].key"), key)?;
            limits::length("Param key", limits::KEY, key)?;
            params.insert(key.clone(), limits::cut(limits::PARAM_VALUE, value));
        }
        if params.len() < batch.params.len() {
            let again: Vec<&str> = batch
                .params
                .iter()
                .enumerate()
                .filter_map(|(i, (key, _))| {
                    batch.params[..i].iter().any(|(before, _)| before == key).then_some(key.as_str())
                })
                .collect();
            return Err(Problem::invalid(format!(
                "Duplicate parameter keys have been submitted: ['{}']. Please ensure the request contains only one \
                 param value per param key.",
                again.join("', '")
            )));
        }
        let mut tags = Pairs::new();
        for (i, (key, value)) in batch.tags.iter().enumerate() {
            tags.insert(key.clone(), run_tag(&format!("tags[{i}]"), key, value)?);
        }
        self.check_params(number, &params, batch.params.len() > 1)?;
        if !batch.metrics.is_empty() {
            self.add_points(number, &batch.metrics);
        }
        if !params.is_empty() || !tags.is_empty() {
            self.change_run(number, |run| {
                run.params.extend(params);
                if let Some(name) = tags.get(RUN_NAME) {
                    run.name.clone_from(name);
                }
                run.tags.extend(tags);
            });
        }
        Ok(())
    }

    /// A parameter is given once.
    fn check_params(&self, number: usize, params: &Pairs, many: bool) -> Result<(), Problem> {
        let run = &self.runs[number];
        let other = |(key, value): (&String, &String)| {
            let old = run.params.get(key).filter(|old| *old != value)?;
            Some((key.clone(), old.clone(), value.clone()))
        };
        let others: Vec<_> = params.iter().filter_map(other).collect();
        let Some((key, old, new)) = others.first() else { return Ok(()) };
        if !many {
            return Err(Problem::invalid(format!(
                "Changing param values is not allowed. Param with key='{key}' was already logged with value='{old}' \
                 for run ID='{}'. Attempted logging new value '{new}'.",
                run.id
            )));
        }
        let listed = others
            .iter()
            .map(|(key, old, new)| format!("{{'key': '{key}', 'old_value': '{old}', 'new_value': '{new}'}}"));
        let listed: Vec<String> = listed.collect();
        Err(Problem::invalid(format!(
            "Changing param values is not allowed. Params were already logged='[{}]' for run ID='{}'.",
            listed.join(", "),
            run.id
        )))
    }

    /// Gives an active run one value of a metric.
    pub fn log_metric(&mut self, id: &str, key: &str, point: Point) -> Result<(), Problem> {
        metric_key("", key, &point)?;
        let number = self.active_run(id)?;
        self.add_points(number, &[(key, point)]);
        Ok(())
    }

    /// Gives an active run one parameter.
    pub fn log_param(&mut self, id: &str, key: &str, value: &str) -> Result<(), Problem> {
        limits::key("key", key)?;
        limits::length("Param key", limits::KEY, key)?;
        let number = self.active_run(id)?;
        let params = Pairs::from([(key.to_owned(), limits::cut(limits::PARAM_VALUE, value))]);
        self.check_params(number, &params, false)?;
        self.change_run(number, |run| run.params.extend(params));
        Ok(())
    }

    /// Writes a tag on an active run.
    pub fn set_run_tag(&mut self, id: &str, key: &str, value: &str) -> Result<(), Problem> {
        let value = run_tag("", key, value)?;
        let number = self.active_run(id)?;
        if key == RUN_NAME && value.is_empty() {
            return Ok(());
        }
        self.change_run(number, |run| {
            if key == RUN_NAME {
                run.name.clone_from(&value);
            }
            run.tags.insert(key.to_owned(), value);
        });
        Ok(())
    }

    /// Takes a tag off an active run.
    pub fn delete_run_tag(&mut self, id: &str, key: &str) -> Result<(), Problem> {
        let number = self.active_run(id)?;
        if !self.runs[number].tags.contains_key(key) {
            return Err(Problem::missing(format!("No tag with name: {key} in run with id {id}")));
        }
        self.change_run(number, |run| drop(run.tags.remove(key)));
        Ok(())
    }

    /// Notes data and logged models that an active run used. What is noted already stays.
    pub fn log_inputs(&mut self, id: &str, datasets: Vec<DatasetInput>, models: Vec<String>) -> Result<(), Problem> {
        let number = self.active_run(id)?;
        self.change_run(number, |run| {
            for dataset in datasets {
                let is_known = |known: &&mut DatasetInput| known.name == dataset.name && known.digest == dataset.digest;
                match run.datasets.iter_mut().find(is_known) {
                    Some(_) => {}
                    None => run.datasets.push(dataset),
                }
            }
            for model in models {
                if !run.model_inputs.contains(&model) {
                    run.model_inputs.push(model);
                }
            }
        });
        Ok(())
    }

    /// Notes logged models that an active run made.
    pub fn log_outputs(&mut self, id: &str, models: Vec<(String, i64)>) -> Result<(), Problem> {
        let number = self.active_run(id)?;
        self.change_run(number, |run| {
            run.model_outputs.extend(models);
        });
        Ok(())
    }
}

fn metric_key(path: &str, key: &str, point: &Point) -> Result<(), Problem> {
    // The path in a message is made only where there is one.
    let named = |name: &str| format!("{path}{name}");
    limits::key_at(|| named("name"), key)?;
    if point.timestamp < 0 {
        let hint = format!(
            "metric '{key}' (value={}). Timestamp must be a nonnegative long (64-bit integer) ",
            serde_json::Value::from(point.value)
        );
        return Err(limits::invalid_value(&named("timestamp"), &point.timestamp.into(), &hint));
    }
    limits::length("Metric name", limits::KEY, key)
}

/// A tag's value as it is kept.
fn run_tag(path: &str, key: &str, value: &str) -> Result<String, Problem> {
    let path = if path.is_empty() { "key".to_owned() } else { format!("{path}.key") };
    limits::key(&path, key)?;
    limits::length(&path, limits::KEY, key)?;
    Ok(limits::cut(limits::TAG_VALUE, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Book {
        let mut book = Book::default();
        book.ensure_default(1);
        book
    }

    fn new_run(book: &mut Book) -> String {
        book.create_run(NewRun { experiment: "0".into(), start: 5, ..NewRun::default() }).unwrap().id.clone()
    }

    /// Everything kept, read back.
    fn again(kept: &mut Vec<(String, String, String)>, book: &mut Book) -> Book {
        let changes = book.take_changes();
        for document in changes.documents {
            kept.retain(|(kind, id, _)| (kind.as_str(), id) != (document.kind, &document.id));
            if let Some(body) = document.body {
                kept.push((document.kind.into(), document.id, body));
            }
        }
        let mut read = Book::load(kept.iter().rev().cloned()).unwrap();
        changes.chunks.iter().for_each(|chunk| read.replay(chunk.run, &chunk.body));
        read
    }

    #[test]
    fn the_last_value_is_that_of_the_highest_step_then_time_then_value() {
        let mut latest = Latest::default();
        let see = |latest: &mut Latest, value, timestamp, step| {
            latest.see("loss", Point { value, timestamp, step });
            latest.0["loss"].value
        };
        assert_eq!(see(&mut latest, 1.0, 10, 5), 1.0);
        assert_eq!(see(&mut latest, 2.0, 99, 4), 1.0);
        assert_eq!(see(&mut latest, 3.0, 9, 5), 1.0);
        assert_eq!(see(&mut latest, 0.5, 10, 5), 1.0);
        assert_eq!(see(&mut latest, 4.0, 10, 5), 4.0);
        assert!(see(&mut latest, f64::NAN, 11, 5).is_nan());
        assert!(see(&mut latest, -1.0, 11, 5).is_nan());
        assert_eq!(see(&mut latest, 0.1, 11, 5), 0.1);
        latest.0.insert("nan".into(), Point { value: f64::NAN, timestamp: 1, step: 1 });
        let read: Latest = serde_json::from_str(&serde_json::to_string(&latest).unwrap()).unwrap();
        assert_eq!(read.0["loss"], latest.0["loss"]);
        assert!(read.0["nan"].value.is_nan());
    }

    #[test]
    fn a_run_reads_back_as_it_was_with_values_that_came_after_its_last_ones_were_kept() {
        let mut book = book();
        let id = new_run(&mut book);
        let point = |value| Point { value, timestamp: 7, step: 1 };
        let batch = Batch {
            metrics: vec![("acc", point(0.5)), ("nan", point(f64::NAN))],
            params: vec![("C".into(), "1".into())],
            tags: vec![(RUN_NAME.into(), "mine".into())],
        };
        book.log_batch(&id, batch).unwrap();
        let mut kept = Vec::new();
        let read = again(&mut kept, &mut book);
        assert_eq!(read.run(&id).unwrap().0, book.run(&id).unwrap().0);
        assert_eq!(read.run(&id).unwrap().1.0["acc"], point(0.5));
        assert!(read.run(&id).unwrap().1.0["nan"].value.is_nan());
        assert_eq!(read.run(&id).unwrap().0.name, "mine");
        for document in book.take_latest() {
            kept.push((document.kind.into(), document.id, document.body.unwrap()));
        }
        book.log_metric(&id, "acc", Point { value: 0.7, timestamp: 9, step: 2 }).unwrap();
        let read = again(&mut kept, &mut book);
        assert_eq!(read.run(&id).unwrap().1.0["acc"].value, 0.7);
        assert_eq!(read.run(&id).unwrap().1.0.len(), 2);
    }

    #[test]
    fn a_refused_batch_changes_nothing() {
        let mut book = book();
        let id = new_run(&mut book);
        book.log_param(&id, "p", "1").unwrap();
        book.take_changes();
        let point = Point { value: 1.0, timestamp: 1, step: 0 };
        let params = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        let bad = [
            Batch { metrics: vec![("a", point), ("../b", point)], ..Batch::default() },
            Batch { metrics: vec![("a", point)], params: params("p", "2"), ..Batch::default() },
            Batch { metrics: vec![("a", point)], tags: params("", "2"), ..Batch::default() },
            Batch { params: [params("q", "1"), params("q", "1")].concat(), ..Batch::default() },
        ];
        for batch in bad {
            assert!(book.log_batch(&id, batch.clone()).is_err(), "{batch:?}");
            assert!(book.take_changes().is_empty(), "{batch:?}");
        }
        let said = book.log_param(&id, "p", "2").unwrap_err().message;
        assert!(said.contains("was already logged with value='1'"), "{said}");
        book.log_param(&id, "p", "1").unwrap();
        book.delete_run(&id, 9).unwrap();
        assert!(book.log_metric(&id, "a", point).unwrap_err().message.contains("must be in the 'active' state"));
        book.restore_run(&id).unwrap();
        book.log_metric(&id, "a", point).unwrap();
        assert!(book.log_metric("none", "a", point).unwrap_err().message.contains("not found"));
    }

    #[test]
    fn runs_go_and_come_with_their_experiment() {
        let mut book = book();
        let other = book.create_experiment("other", "", vec![], 3).unwrap().to_string();
        assert_eq!(
            book.create_experiment("other", "", vec![], 3).unwrap_err().code,
            crate::Code::ResourceAlreadyExists
        );
        let run = NewRun { experiment: other.clone(), ..NewRun::default() };
        let id = book.create_run(run.clone()).unwrap().id.clone();
        book.delete_experiment(&other, 4).unwrap();
        assert_eq!(book.run(&id).unwrap().0.lifecycle, Lifecycle::Deleted);
        assert!(book.create_run(run).unwrap_err().message.contains("must be in the 'active' state"));
        assert!(book.delete_experiment(&other, 4).is_err() && book.rename_experiment(&other, "x", 4).is_err());
        book.restore_experiment(&other, 5).unwrap();
        assert_eq!(book.run(&id).unwrap().0.lifecycle, Lifecycle::Active);
        book.rename_experiment(&other, "x", 6).unwrap();
        assert!(book.experiment_by_name("other").is_none() && book.experiment_by_name("x").is_some());
    }

    #[test]
    fn damaged_bytes_end_the_values() {
        let points =
            [("a", Point { value: 1.0, timestamp: 2, step: 3 }), ("b", Point { value: 4.0, timestamp: 5, step: 6 })];
        let body = encode(&points);
        assert_eq!(decode(&body).collect::<Vec<_>>(), points);
        for cut in 0..body.len() {
            assert!(decode(&body[..cut]).count() < 2, "{cut}");
        }
    }
}
