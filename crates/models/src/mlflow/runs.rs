//! `runs/…` and `metrics/…`

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    experiments::{WHICH, Which},
    pages,
    said::{
        self, Said,
        Type::{Float, Int, List, Name, Text, Texts},
        at_most, may, missing, need, refused, wrong,
    },
    shapes,
};
use crate::{
    Book, Code, Problem,
    limits::{self, finite},
    logged::ModelMetric,
    runs::{Batch, DatasetInput, Latest, NewRun, Point, Run, Status, decode},
    search::{Cell, Filter, Group, Item, Kind, Order},
};

const ID: [said::Param; 1] = [need("run_id", Text)];

pub(super) fn create(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[
        may("experiment_id", Text),
        may("start_time", Int),
        may("run_name", Text),
        may("user_id", Text),
        may("tags", List),
    ])?;
    let new = NewRun {
        experiment: said.text("experiment_id").to_owned(),
        user: said.text("user_id").to_owned(),
        name: said.text("run_name").to_owned(),
        start: said.int("start_time").unwrap_or(0),
        tags: said.pairs("tags")?,
    };
    let run = book.create_run(new)?;
    Ok(json!({"run": shapes::run(run, &Latest::default(), true)}))
}

pub(super) fn update(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[need("run_id", Text), may("end_time", Int), may("status", Name), may("run_name", Text)])?;
    let name = Some(said.text("run_name")).filter(|name| !name.is_empty());
    let status = said.name("status", &Status::ALL)?;
    let run = book.update_run(said.text("run_id"), status, said.int("end_time"), name)?;
    Ok(json!({"run_info": shapes::run_info(run)}))
}

pub(super) fn delete(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    book.delete_run(said.check(&ID)?.text("run_id"), at)?;
    Ok(json!({}))
}

pub(super) fn restore(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    book.restore_run(said.check(&ID)?.text("run_id"))?;
    Ok(json!({}))
}

pub(super) fn get(book: &Book, said: &Said) -> Result<Value, Problem> {
    let (run, latest) = book.run(said.check(&ID)?.text("run_id"))?;
    Ok(json!({"run": shapes::run(run, latest, false)}))
}

pub(super) fn log_metric_said(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[
        need("run_id", Text),
        need("key", Text),
        need("value", Float),
        need("timestamp", Int),
        may("step", Int),
        may("model_id", Text),
        may("dataset_name", Text),
        may("dataset_digest", Text),
    ])?;
    let (run, key) = (said.text("run_id"), said.text("key"));
    let point = Point {
        value: finite(said.float("value").unwrap_or(0.0)),
        timestamp: said.int("timestamp").unwrap_or(0),
        step: said.int("step").unwrap_or(0),
    };
    let of_model =
        model_metric(run, key, point, [said.text("model_id"), said.text("dataset_name"), said.text("dataset_digest")])?;
    if let Some((id, _)) = &of_model {
        book.logged_model(id, true).map_err(|problem| Problem { code: Code::BadRequest, ..problem })?;
    }
    book.log_metric(run, key, point)?;
    book.add_model_metrics(of_model.into_iter().collect());
    Ok(json!({}))
}

/// What a value says of a logged model, where it names one; from the ids of model, data set and its digest.
fn model_metric(
    run: &str,
    key: &str,
    point: Point,
    [model, dataset, digest]: [&str; 3],
) -> Result<Option<(String, ModelMetric)>, Problem> {
    if dataset.is_empty() != digest.is_empty() {
        return Err(Problem::invalid("Both dataset_name and dataset_digest must be provided if one is provided"));
    }
    if model.is_empty() {
        return Ok(None);
    }
    let mut metric = ModelMetric::new(run, key, point);
    metric.dataset_name = Some(dataset.to_owned()).filter(|name| !name.is_empty());
    metric.dataset_digest = Some(digest.to_owned()).filter(|digest| !digest.is_empty());
    Ok(Some((model.to_owned(), metric)))
}

/// A value of a metric as clients send it.
#[derive(Deserialize)]
struct MetricBody<'a> {
    #[serde(borrow, default)]
    run_id: Cow<'a, str>,
    #[serde(borrow)]
    key: Cow<'a, str>,
    value: f64,
    timestamp: i64,
    #[serde(default)]
    step: i64,
    model_id: Option<Cow<'a, str>>,
    dataset_name: Option<Cow<'a, str>>,
    dataset_digest: Option<Cow<'a, str>>,
}

impl MetricBody<'_> {
    /// Whether nothing is said of a logged model, or of data.
    fn is_plain(&self) -> bool {
        self.model_id.is_none() && self.dataset_name.is_none() && self.dataset_digest.is_none() && !self.key.is_empty()
    }

    fn point(&self) -> Point {
        Point { value: finite(self.value), timestamp: self.timestamp, step: self.step }
    }
}

/// A change that only has to be made.
pub type Ready<'a> = Box<dyn FnOnce(&mut Book) -> Result<(), Problem> + Send + 'a>;

/// `runs/log-metric` as clients send it, without looking at it piece by piece; `None`: it is not as usual.
pub fn log_metric(body: &[u8]) -> Option<Ready<'_>> {
    let said: MetricBody = serde_json::from_slice(body).ok()?;
    let is_usual = said.is_plain() && !said.run_id.is_empty();
    is_usual.then(|| -> Ready<'_> { Box::new(move |book| book.log_metric(&said.run_id, &said.key, said.point())) })
}

/// `runs/log-batch` with metrics alone, as clients send it; `None`: it is not as usual.
pub fn log_batch(body: &[u8]) -> Option<Ready<'_>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body<'a> {
        #[serde(borrow)]
        run_id: Cow<'a, str>,
        #[serde(borrow)]
        metrics: Vec<MetricBody<'a>>,
    }
    let said: Body = serde_json::from_slice(body).ok()?;
    let is_usual = limits::run_id(&said.run_id).is_ok()
        && said.metrics.len() <= limits::METRICS_PER_BATCH
        && said.metrics.iter().all(MetricBody::is_plain);
    is_usual.then(|| -> Ready<'_> {
        Box::new(move |book| {
            let metrics = said.metrics.iter().map(|metric| (&*metric.key, metric.point())).collect();
            book.log_batch(&said.run_id, Batch { metrics, ..Batch::default() })
        })
    })
}

pub(super) fn log_param(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[need("run_id", Text), need("key", Text), may("value", Text)])?;
    book.log_param(said.text("run_id"), said.text("key"), said.text("value"))?;
    Ok(json!({}))
}

pub(super) fn set_tag(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[need("run_id", Text), need("key", Text), may("value", Text)])?;
    book.set_run_tag(said.text("run_id"), said.text("key"), said.text("value"))?;
    Ok(json!({}))
}

pub(super) fn delete_tag(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[need("run_id", Text), need("key", Text)])?;
    book.delete_run_tag(said.text("run_id"), said.text("key"))?;
    Ok(json!({}))
}

pub(super) fn log_batch_said(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[need("run_id", Text), may("metrics", List), may("params", List), may("tags", List)])?;
    let run = said.text("run_id");
    let (mut metrics, mut of_models) = (Vec::new(), Vec::new());
    for (i, entry) in said.list("metrics").iter().enumerate() {
        let path = |name: &str| format!("metrics[{i}].{name}");
        let there = |name: &str| match entry.get(name) {
            None | Some(Value::Null) => Err(missing(&path(name))),
            Some(Value::String(text)) if text.is_empty() => Err(missing(&path(name))),
            Some(value) => Ok(value),
        };
        let (key, value, timestamp) = (there("key")?, there("value")?, there("timestamp")?);
        let key = key.as_str().ok_or_else(|| wrong(&path("key"), key))?;
        let step = entry.get("step").filter(|step| !step.is_null());
        let point = Point {
            value: finite(said::float(value).ok_or_else(|| wrong(&path("value"), value))?),
            timestamp: said::int(timestamp).ok_or_else(|| wrong(&path("timestamp"), timestamp))?,
            step: step.map_or(Some(0), said::int).ok_or_else(|| wrong(&path("step"), &entry["step"]))?,
        };
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        of_models.extend(model_metric(run, key, point, ["model_id", "dataset_name", "dataset_digest"].map(text))?);
        metrics.push((key, point));
    }
    let (params, tags) = (said.pairs("params")?, said.pairs("tags")?);
    for (name, list) in [("params", &params), ("tags", &tags)] {
        if let Some(i) = list.iter().position(|(key, _)| key.is_empty()) {
            return Err(missing(&format!("{name}[{i}].key")));
        }
    }
    limits::run_id(run)?;
    let all = metrics.len() + params.len() + tags.len();
    let counts = [
        ("metrics", metrics.len(), limits::METRICS_PER_BATCH),
        ("params", params.len(), limits::PARAMS_PER_BATCH),
        ("tags", tags.len(), limits::PARAMS_PER_BATCH),
        ("metrics, params, and tags", all, limits::ENTITIES_PER_BATCH),
    ];
    for (what, count, most) in counts {
        if count > most {
            return Err(Problem::invalid(format!(
                "A batch logging request can contain at most {most} {what}. Got {count} {what}. Please split up {what} \
                 across multiple requests and try again."
            )));
        }
    }
    for (id, _) in &of_models {
        book.logged_model(id, true).map_err(|problem| Problem { code: Code::BadRequest, ..problem })?;
    }
    book.log_batch(run, Batch { metrics, params, tags })?;
    book.add_model_metrics(of_models);
    Ok(json!({}))
}

pub(super) fn log_inputs(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[need("run_id", Text), may("datasets", List), may("models", List)])?;
    limits::run_id(said.text("run_id"))?;
    let datasets = said.list("datasets").iter().map(dataset).collect::<Result<Vec<_>, _>>()?;
    let models = said.list("models").iter().filter_map(|m| m.get("model_id")?.as_str().map(str::to_owned)).collect();
    book.log_inputs(said.text("run_id"), datasets, models)?;
    Ok(json!({}))
}

fn dataset(entry: &Value) -> Result<DatasetInput, Problem> {
    let of = &entry["dataset"];
    let text = |name: &str| of[name].as_str().map(str::to_owned);
    let input = DatasetInput {
        name: text("name").unwrap_or_default(),
        digest: text("digest").unwrap_or_default(),
        source_type: text("source_type").unwrap_or_default(),
        source: text("source").unwrap_or_default(),
        schema: text("schema"),
        profile: text("profile"),
        tags: said::pairs("tags", entry["tags"].as_array().map_or(&[], Vec::as_slice))?.into_iter().collect(),
    };
    limits::length("name", 500, &input.name)?;
    limits::length("digest", 36, &input.digest)?;
    limits::length("source", 65_535, &input.source)?;
    limits::length("schema", 1_048_575, input.schema.as_deref().unwrap_or_default())?;
    limits::length("profile", 16_777_215, input.profile.as_deref().unwrap_or_default())?;
    for (key, value) in &input.tags {
        limits::length("key", 255, key)?;
        limits::length("value", 500, value)?;
    }
    Ok(input)
}

pub(super) fn log_outputs(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[need("run_id", Text), need("models", List)])?;
    let output = |entry: &Value| {
        let step = entry.get("step").and_then(said::int).unwrap_or(0);
        Some((entry.get("model_id")?.as_str()?.to_owned(), step))
    };
    let models = said.list("models").iter().filter_map(output).collect();
    book.log_outputs(said.text("run_id"), models)?;
    Ok(json!({}))
}

/// What old clients say of a model that they logged: kept in a tag.
pub(super) fn log_model(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[need("run_id", Text), need("model_json", Text)])?;
    let text = said.text("model_json");
    let model: Value = serde_json::from_str(text).map_err(|error| {
        Problem::invalid(format!("Malformed model info. \n {text} \n Could not be parsed as JSON: {error}"))
    })?;
    let wanted = ["artifact_path", "flavors", "utc_time_created", "run_id"];
    let absent: Vec<&str> = wanted.into_iter().filter(|name| model.get(name).is_none()).collect();
    if !absent.is_empty() {
        let listed = format!("{{'{}'}}", absent.join("', '"));
        return Err(Problem::invalid(format!("Model json is missing mandatory fields: {listed}")));
    }
    const HISTORY: &str = "mlflow.log-model.history";
    let (run, _) = book.run(said.text("run_id"))?;
    let known = run.tags.get(HISTORY).map_or("[]", String::as_str);
    let mut models: Vec<Value> = serde_json::from_str(known).unwrap_or_default();
    models.push(model);
    book.set_run_tag(said.text("run_id"), HISTORY, &Value::from(models).to_string())?;
    Ok(json!({}))
}

pub(super) fn search(book: &Book, said: &Said) -> Result<Value, Problem> {
    said.check(&[
        may("experiment_ids", Texts),
        may("filter", Text),
        may("run_view_type", Name),
        may("max_results", Int),
        may("order_by", Texts),
        may("page_token", Text),
    ])?;
    at_most("max_results", said, 50_000)?;
    let which = said.name("run_view_type", &WHICH)?.unwrap_or(Which::Active);
    let size = pages::size(said.int("max_results"), 1000)?;
    let filter = Filter::parse(Kind::Runs, said.text("filter"))?;
    let order = Order::parse(Kind::Runs, &said.texts("order_by"))?;
    let offset = pages::offset(said.text("page_token"))?;
    let mut experiments = Vec::new();
    for id in said.texts("experiment_ids") {
        let id = limits::experiment_id(&id)?;
        if !experiments.contains(&id) {
            experiments.push(id);
        }
    }
    let all = experiments.iter().flat_map(|id| book.runs_of(*id)).map(|(run, latest)| Found { run, latest });
    let mut found: Vec<Found> = all.filter(|of| which.allows(of.run.lifecycle) && filter.allows(of)).collect();
    found.sort_by(|a, b| order.compare(a, b));
    let (page, next) = pages::page(found, offset, size);
    let shape = |of: Found| {
        let mut shape = shapes::run(of.run, of.latest, false);
        if let Some(inputs) = shape["inputs"].as_object_mut() {
            inputs.remove("model_inputs");
        }
        shape
    };
    Ok(pages::listed("runs", page.into_iter().map(shape).collect(), next))
}

/// A run with its last values, as it is searched.
struct Found<'a> {
    run: &'a Run,
    latest: &'a Latest,
}

impl Item for Found<'_> {
    fn cell(&self, group: Group, key: &str) -> Option<Cell<'_>> {
        let run = self.run;
        match (group, key) {
            (Group::Metric, key) => self.latest.0.get(key).map(|point| Cell::Number(point.value)),
            (Group::Param, key) => run.params.get(key).map(|value| Cell::from(value.as_str())),
            (Group::Tag, key) => run.tags.get(key).map(|value| Cell::from(value.as_str())),
            (Group::Attribute, "run_id") => Some(Cell::from(run.id.as_str())),
            (Group::Attribute, "run_name") => Some(Cell::from(run.name.as_str())),
            (Group::Attribute, "status") => Some(Cell::from(run.status.name())),
            (Group::Attribute, "user_id") => Some(Cell::from(run.user.as_str())),
            (Group::Attribute, "artifact_uri") => Some(Cell::from(run.artifact_uri.as_str())),
            (Group::Attribute, "start_time") => Some(Cell::from(run.start as f64)),
            (Group::Attribute, "end_time") => run.end.map(|end| Cell::from(end as f64)),
            _ => None,
        }
    }

    fn cells(&self, group: Group, key: &str) -> Vec<Cell<'_>> {
        if group != Group::Dataset {
            return self.cell(group, key).into_iter().collect();
        }
        let of = |dataset: &'_ DatasetInput| match key {
            "name" => Some(dataset.name.clone()),
            "digest" => Some(dataset.digest.clone()),
            _ => dataset.tags.get("mlflow.data.context").cloned(),
        };
        self.run.datasets.iter().filter_map(of).map(Cell::from).collect()
    }
}

/// A question for values of a metric, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Of which runs.
    pub runs: Vec<String>,
    /// Of which metric.
    pub key: String,
    /// Values at most: of the page, or of each run.
    most: Option<usize>,
    offset: usize,
    steps: Option<(i64, i64)>,
}

impl History {
    /// `metrics/get-history`.
    pub fn of_one(said: &Said) -> Result<History, Problem> {
        said.check(&[
            need("run_id", Text),
            need("metric_key", Text),
            may("page_token", Text),
            may("max_results", Int),
        ])?;
        let most = said.int("max_results");
        if let Some(most) = most.filter(|most| *most < 1) {
            return Err(Problem::invalid(format!(
                "Invalid value {most} for parameter 'max_results' supplied. It must be a positive integer."
            )));
        }
        Ok(History {
            runs: vec![said.text("run_id").to_owned()],
            key: said.text("metric_key").to_owned(),
            most: most.map(|most| most as usize),
            offset: pages::offset(said.text("page_token"))?,
            steps: None,
        })
    }

    /// `metrics/get-history-bulk-interval`.
    pub fn of_many(said: &Said) -> Result<History, Problem> {
        said.check(&[
            need("run_ids", Texts),
            need("metric_key", Text),
            may("start_step", Int),
            may("end_step", Int),
            may("max_results", Int),
        ])?;
        let runs = said.texts("run_ids");
        if runs.len() > 100 {
            return Err(refused(format!(
                "GetMetricHistoryBulkInterval request must specify at most 100 run_ids. Received {} run_ids.",
                runs.len()
            )));
        }
        let most = said.int("max_results").unwrap_or(2500);
        if !(1..=2500).contains(&most) {
            return Err(refused("max_results must be between 1 and 2500.".into()));
        }
        let steps = match (said.int("start_step"), said.int("end_step")) {
            (None, None) => None,
            (Some(from), Some(to)) if from > to => {
                return Err(Problem::invalid(format!(
                    "end_step must be greater than start_step. Found start_step={from} and end_step={to}."
                )));
            }
            (Some(from), Some(to)) => Some((from, to)),
            _ => {
                return Err(Problem::invalid(
                    "If either start step or end step are specified, both must be specified.",
                ));
            }
        };
        let key = said.text("metric_key").to_owned();
        Ok(History { runs, key, most: Some(most as usize), offset: 0, steps })
    }

    /// The values of the metric in what was kept of one run, each once.
    fn points(&self, chunks: &[Vec<u8>]) -> Vec<Point> {
        let all = chunks.iter().flat_map(|body| decode(body));
        all.filter(|(key, _)| *key == self.key).map(|(_, point)| point).collect()
    }
}

fn rank(point: &Point) -> (f64, bool) {
    (if point.value.is_nan() { 0.0 } else { point.value }, point.value.is_nan())
}

fn by_value(a: &Point, b: &Point) -> std::cmp::Ordering {
    let (a, b) = (rank(a), rank(b));
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}

/// Answers `metrics/get-history` from what was kept of the run.
pub fn history(asked: &History, chunks: &[Vec<u8>]) -> Value {
    let mut points = asked.points(chunks);
    points.sort_by(|a, b| (a.timestamp, a.step).cmp(&(b.timestamp, b.step)).then_with(|| by_value(a, b)));
    points.dedup_by(|a, b| (a.timestamp, a.step) == (b.timestamp, b.step) && by_value(a, b).is_eq());
    let (page, next) = match asked.most {
        Some(most) => pages::page(points, asked.offset, most),
        None => (points, None),
    };
    pages::listed("metrics", page.iter().map(|point| shapes::point(&asked.key, point)).collect(), next)
}

/// Answers `metrics/get-history-bulk-interval` from what was kept of each run: where there are more values than asked
/// for, the first of as many equal parts, and the last.
pub fn history_of_many(asked: &History, chunks: &[Vec<Vec<u8>>]) -> Value {
    let most = asked.most.unwrap_or(2500).max(1);
    let mut list = Vec::new();
    for (run, chunks) in asked.runs.iter().zip(chunks) {
        let mut points = asked.points(chunks);
        points.retain(|p| asked.steps.is_none_or(|(from, to)| (from..=to).contains(&p.step)));
        points.sort_by(|a, b| (a.step, a.timestamp).cmp(&(b.step, b.timestamp)).then_with(|| by_value(a, b)));
        points.dedup_by(|a, b| (a.timestamp, a.step) == (b.timestamp, b.step) && by_value(a, b).is_eq());
        for point in thinned(&points, most) {
            let mut shape = shapes::point(&asked.key, &point);
            shape["run_id"] = run.clone().into();
            list.push(shape);
        }
    }
    pages::listed("metrics", list, None)
}

/// The first of each of `most` parts, the larger ones first, as SQL's `NTILE` cuts; the last point is the last.
fn thinned(points: &[Point], most: usize) -> Vec<Point> {
    let parts = most.min(points.len());
    if parts == 0 {
        return Vec::new();
    }
    let (each, more) = (points.len() / parts, points.len() % parts);
    let first = |part: usize| part * each + part.min(more);
    let mut thin: Vec<Point> = (0..parts).map(|part| points[first(part)]).collect();
    if first(parts - 1) != points.len() - 1 {
        thin[parts - 1] = points[points.len() - 1];
    }
    thin
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::encode;

    fn book() -> (Book, String) {
        let mut book = Book::default();
        book.ensure_default(1);
        let said = Said::of_body(br#"{"experiment_id": "0", "start_time": 5}"#).unwrap();
        let run = create(&mut book, &said, 5).unwrap();
        (book, run["run"]["info"]["run_id"].as_str().unwrap().to_owned())
    }

    #[test]
    fn the_quick_way_and_the_careful_one_agree() {
        let (mut book, id) = book();
        let (mut other, other_id) = self::tests::book();
        let bodies = [
            json!({"key": "a", "value": 1.5, "timestamp": 3, "step": 2}),
            json!({"key": "a", "value": 2, "timestamp": 4}),
            json!({"key": "b/c", "value": -1e300, "timestamp": 4, "step": -1}),
        ];
        for body in bodies {
            let (mut quick, mut careful) = (body.clone(), body);
            (quick["run_id"], careful["run_id"]) = (json!(id), json!(other_id));
            log_metric(quick.to_string().as_bytes()).unwrap()(&mut book).unwrap();
            log_metric_said(&mut other, &Said::of_body(careful.to_string().as_bytes()).unwrap(), 0).unwrap();
        }
        assert_eq!(book.run(&id).unwrap().1, other.run(&other_id).unwrap().1);
        for body in ["{", "[]", r#"{"key":"a"}"#, r#"{"run_id":"x","key":"a","value":"NaN","timestamp":1}"#] {
            assert!(log_metric(body.as_bytes()).is_none(), "{body}");
        }
        let batch = json!({"run_id": id, "metrics": [{"key": "m", "value": 1.0, "timestamp": 1, "run_id": id}]});
        log_batch(batch.to_string().as_bytes()).unwrap()(&mut book).unwrap();
        let with_params = json!({"run_id": id, "metrics": [], "params": []});
        assert!(log_batch(with_params.to_string().as_bytes()).is_none());
        assert_eq!(book.run(&id).unwrap().1.0["m"].value, 1.0);
    }

    #[test]
    fn history_comes_by_time_without_repetitions_and_in_pages() {
        let point = |value, timestamp, step| ("m", Point { value, timestamp, step });
        let chunks = [
            encode(&[point(3.0, 9, 1), ("other", Point { value: 0.0, timestamp: 0, step: 0 })]),
            encode(&[point(1.0, 2, 0), point(f64::NAN, 5, 0), point(3.0, 9, 1)]),
        ];
        let said = |most: i64, token: &str| {
            let pairs = [
                ("run_id", "r".to_owned()),
                ("metric_key", "m".into()),
                ("max_results", most.to_string()),
                ("page_token", token.into()),
            ];
            Said::of_query(pairs.map(|(name, value)| (name.to_owned(), value)))
        };
        let all = history(&History::of_one(&said(99, "")).unwrap(), &chunks);
        let values: Vec<&Value> = all["metrics"].as_array().unwrap().iter().map(|m| &m["value"]).collect();
        assert_eq!(values, [&json!(1.0), &json!("NaN"), &json!(3.0)]);
        assert!(all.get("next_page_token").is_none());
        let first = history(&History::of_one(&said(2, "")).unwrap(), &chunks);
        let next = first["next_page_token"].as_str().unwrap();
        let rest = history(&History::of_one(&said(2, next)).unwrap(), &chunks);
        assert_eq!(rest["metrics"][0]["value"], 3.0);
        assert!(History::of_one(&said(0, "")).is_err());
    }

    #[test]
    fn many_values_are_thinned_to_the_first_of_equal_parts_and_the_last() {
        let points: Vec<Point> = (0..10).map(|step| Point { value: step as f64, timestamp: 0, step }).collect();
        let steps = |most| thinned(&points, most).iter().map(|p| p.step).collect::<Vec<_>>();
        assert_eq!(steps(100), (0..10).collect::<Vec<_>>());
        assert_eq!(steps(4), [0, 3, 6, 9]);
        assert_eq!(steps(1), [9]);
        assert_eq!(thinned(&[], 4), []);
    }
}
