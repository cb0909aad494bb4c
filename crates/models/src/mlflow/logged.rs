//! `logged-models/…`

use serde_json::{Value, json};

use super::{
    experiments::listed,
    pages,
    said::{
        Said,
        Type::{Int, List, Name, Text, Texts},
        may, need,
    },
    shapes,
};
use crate::{
    Book, Lifecycle, Problem, limits,
    logged::{LoggedModel, NewLoggedModel, Standing},
    search::{Cell, Filter, Group, Item, Kind},
};

pub(super) fn create(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[
        need("experiment_id", Text),
        may("name", Text),
        may("model_type", Text),
        may("source_run_id", Text),
        may("params", List),
        may("tags", List),
    ])?;
    let text = |name: &str| said.text(name).to_owned();
    let new = NewLoggedModel {
        experiment: text("experiment_id"),
        name: text("name"),
        model_type: text("model_type"),
        source_run: text("source_run_id"),
        params: said.pairs("params")?,
        tags: said.pairs("tags")?,
    };
    Ok(json!({"model": shapes::logged_model(book.create_logged_model(new, at)?)}))
}

pub(super) fn get(book: &Book, said: &Said) -> Result<Value, Problem> {
    let model = book.logged_model(said.text("model_id"), said.flag("allow_deleted")?)?;
    Ok(json!({"model": shapes::logged_model(model)}))
}

pub(super) fn finalize(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[need("model_id", Text), need("status", Name)])?;
    let standing = said.name("status", &Standing::ALL).unwrap_or_default();
    Ok(json!({"model": shapes::logged_model(book.finalize_logged_model(said.text("model_id"), standing, at)?)}))
}

pub(super) fn delete(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    book.delete_logged_model(said.text("model_id"), at)?;
    Ok(json!({}))
}

pub(super) fn log_params(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[need("model_id", Text), may("params", List)])?;
    book.log_model_params(said.text("model_id"), said.pairs("params")?)?;
    Ok(json!({}))
}

pub(super) fn set_tags(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[may("tags", List)])?;
    book.set_logged_model_tags(said.text("model_id"), said.pairs("tags")?)?;
    Ok(json!({}))
}

pub(super) fn delete_tag(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    book.delete_logged_model_tag(said.text("model_id"), said.text("tag_key"))?;
    Ok(json!({}))
}

pub(super) fn search(book: &Book, said: &Said) -> Result<Value, Problem> {
    said.check(&[
        need("experiment_ids", Texts),
        may("filter", Text),
        may("datasets", List),
        may("max_results", Int),
        may("order_by", List),
        may("page_token", Text),
    ])?;
    let size = pages::size(said.int("max_results").filter(|n| *n != 0), 100)?;
    let filter = Filter::parse(Kind::LoggedModels, said.text("filter"))?;
    let mut experiments = Vec::new();
    for id in said.texts("experiment_ids") {
        experiments.push(limits::experiment_id(&id)?);
    }
    let datasets = datasets(said)?;
    let order = said.list("order_by").iter().map(Key::read).collect::<Result<Vec<_>, _>>()?;
    let offset = pages::offset(said.text("page_token"))?;
    let is_wanted = |of: &&LoggedModel| {
        of.lifecycle == Lifecycle::Active
            && experiments.contains(&of.experiment)
            && filter.allows(*of)
            && (datasets.is_empty() || of.metrics.iter().any(|m| datasets.iter().any(|wanted| is_of(m, wanted))))
    };
    let mut found: Vec<&LoggedModel> = book.logged_models().filter(is_wanted).collect();
    found.sort_by(|a, b| {
        let by_keys = order.iter().map(|key| key.compare(a, b)).find(|order| order.is_ne());
        by_keys.unwrap_or_else(|| b.created.cmp(&a.created).then(a.id.cmp(&b.id)))
    });
    let (page, next) = pages::page(found, offset, size);
    Ok(listed("models", page.into_iter().map(shapes::logged_model).collect(), next))
}

/// Data by name and digest.
type Dataset = (String, Option<String>);

fn datasets(said: &Said) -> Result<Vec<Dataset>, Problem> {
    let of = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let name = text("dataset_name").ok_or_else(|| {
            Problem::invalid("`dataset_name` in the `datasets` clause must be specified.")
        })?;
        Ok((name, text("dataset_digest")))
    };
    said.list("datasets").iter().map(of).collect()
}

fn is_of(metric: &crate::logged::ModelMetric, (name, digest): &Dataset) -> bool {
    metric.dataset_name.as_ref() == Some(name) && (digest.is_none() || metric.dataset_digest == *digest)
}

/// A key to sort by.
struct Key {
    name: String,
    ascending: bool,
    dataset: Option<Dataset>,
}

impl Key {
    fn read(entry: &Value) -> Result<Key, Problem> {
        let name = entry["field_name"].as_str().unwrap_or_default();
        let known =
            ["name", "model_id", "creation_time", "creation_timestamp", "creation_timestamp_ms", "last_updated_timestamp_ms",
             "last_updated_timestamp"];
        if !known.contains(&name) && !name.starts_with("metrics.") {
            return Err(Problem::invalid(match name.contains('.') {
                true => format!("Invalid order by field name: {name}. Only metrics are supported."),
                false => format!("Invalid order by field name: {name}"),
            }));
        }
        let text = |name: &str| entry[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        Ok(Key {
            name: name.to_owned(),
            ascending: entry["ascending"].as_bool().unwrap_or(true),
            dataset: text("dataset_name").map(|name| (name, text("dataset_digest"))),
        })
    }

    /// What is not there comes last, whichever way.
    fn compare(&self, a: &LoggedModel, b: &LoggedModel) -> std::cmp::Ordering {
        let turn = |order: std::cmp::Ordering| if self.ascending { order } else { order.reverse() };
        match self.name.strip_prefix("metrics.") {
            Some(metric) => match (self.metric(a, metric), self.metric(b, metric)) {
                (Some(a), Some(b)) => turn(a.total_cmp(&b)),
                (a, b) => b.is_some().cmp(&a.is_some()),
            },
            None => turn(match self.name.as_str() {
                "name" => a.name.cmp(&b.name),
                "model_id" => a.id.cmp(&b.id),
                name if name.starts_with("creation") => a.created.cmp(&b.created),
                _ => a.updated.cmp(&b.updated),
            }),
        }
    }

    fn metric(&self, model: &LoggedModel, key: &str) -> Option<f64> {
        let fits = |m: &&crate::logged::ModelMetric| {
            m.key == key && self.dataset.as_ref().is_none_or(|dataset| is_of(m, dataset))
        };
        model.metrics.iter().filter(fits).max_by_key(|m| (m.timestamp, m.step)).and_then(|m| m.value)
    }
}

impl Item for LoggedModel {
    fn cell(&self, group: Group, key: &str) -> Option<Cell<'_>> {
        match (group, key) {
            (Group::Attribute, "name") => Some(Cell::Text(&self.name)),
            (Group::Attribute, "model_id") => Some(Cell::Text(&self.id)),
            (Group::Attribute, "model_type") => Some(Cell::Text(&self.model_type)),
            (Group::Attribute, "status") => Some(Cell::Text(self.standing.name())),
            (Group::Attribute, "source_run_id") => Some(Cell::Text(&self.source_run)),
            (Group::Attribute, "experiment_id") => Some(Cell::Number(self.experiment as f64)),
            (Group::Attribute, name) if name.starts_with("creation") => Some(Cell::Number(self.created as f64)),
            (Group::Attribute, name) if name.starts_with("last_updated") => Some(Cell::Number(self.updated as f64)),
            (Group::Param, key) => self.params.get(key).map(|value| Cell::Text(value)),
            (Group::Tag, key) => self.tags.get(key).map(|value| Cell::Text(value)),
            _ => None,
        }
    }

    fn cells(&self, group: Group, key: &str) -> Vec<Cell<'_>> {
        if group != Group::Metric {
            return self.cell(group, key).into_iter().collect();
        }
        let of = self.metrics.iter().filter(|m| m.key == key);
        of.map(|m| Cell::Number(m.value.unwrap_or(f64::NAN))).collect()
    }
}
