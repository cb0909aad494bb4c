//! `logged-models/…`

use serde_json::{Value, json};

use super::{
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
    logged::{LoggedModel, ModelMetric, NewLoggedModel, Standing},
    search::{Cell, Filter, Group, Item, Kind, Order, OrderField},
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
    let model = book.logged_model(said.of_path("model_id"), said.flag("allow_deleted")?)?;
    Ok(json!({"model": shapes::logged_model(model)}))
}

pub(super) fn finalize(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[need("model_id", Text), need("status", Name)])?;
    let standing = said.name("status", &Standing::ALL)?.unwrap_or_default();
    Ok(json!({"model": shapes::logged_model(book.finalize_logged_model(said.text("model_id"), standing, at)?)}))
}

pub(super) fn delete(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    book.delete_logged_model(said.of_path("model_id"), at)?;
    Ok(json!({}))
}

pub(super) fn log_params(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[need("model_id", Text), may("params", List)])?;
    book.log_model_params(said.text("model_id"), said.pairs("params")?)?;
    Ok(json!({}))
}

pub(super) fn set_tags(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[may("tags", List)])?;
    book.set_logged_model_tags(said.of_path("model_id"), said.pairs("tags")?)?;
    Ok(json!({}))
}

pub(super) fn delete_tag(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    book.delete_logged_model_tag(said.of_path("model_id"), said.of_path("tag_key"))?;
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
    let order: Vec<OrderField> = said.list("order_by").iter().map(order_field).collect();
    let order = Order::of_logged_models(&order)?;
    let offset = pages::offset(said.text("page_token"))?;
    let is_wanted = |of: &&LoggedModel| {
        of.lifecycle == Lifecycle::Active
            && experiments.contains(&of.experiment)
            && filter.allows(*of)
            && (datasets.is_empty() || of.metrics.iter().any(|m| datasets.iter().any(|wanted| is_of(m, wanted))))
    };
    let mut found: Vec<&LoggedModel> = book.logged_models().filter(is_wanted).collect();
    found.sort_by(|a, b| order.compare(*a, *b));
    let (page, next) = pages::page(found, offset, size);
    Ok(pages::listed("models", page.into_iter().map(shapes::logged_model).collect(), next))
}

/// Data by name and digest.
type Dataset = (String, Option<String>);

fn datasets(said: &Said) -> Result<Vec<Dataset>, Problem> {
    let of = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let name = text("dataset_name")
            .ok_or_else(|| Problem::invalid("`dataset_name` in the `datasets` clause must be specified."))?;
        Ok((name, text("dataset_digest")))
    };
    said.list("datasets").iter().map(of).collect()
}

fn is_of(metric: &ModelMetric, (name, digest): &Dataset) -> bool {
    metric.dataset_name.as_ref() == Some(name) && (digest.is_none() || metric.dataset_digest == *digest)
}

/// A key to sort by, as clients send it.
fn order_field(entry: &Value) -> OrderField {
    let text = |name: &str| entry[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    OrderField {
        field_name: text("field_name").unwrap_or_default(),
        ascending: entry["ascending"].as_bool().unwrap_or(true),
        dataset_name: text("dataset_name"),
        dataset_digest: text("dataset_digest"),
    }
}

impl Item for LoggedModel {
    fn cell(&self, group: Group, key: &str) -> Option<Cell<'_>> {
        match (group, key) {
            (Group::Attribute, "name") => Some(Cell::from(self.name.as_str())),
            (Group::Attribute, "model_id") => Some(Cell::from(self.id.as_str())),
            (Group::Attribute, "model_type") => Some(Cell::from(self.model_type.as_str())),
            (Group::Attribute, "status") => Some(Cell::from(self.standing.name())),
            (Group::Attribute, "source_run_id") => Some(Cell::from(self.source_run.as_str())),
            (Group::Attribute, "experiment_id") => Some(Cell::from(self.experiment as f64)),
            (Group::Attribute, name) if name.starts_with("creation") => Some(Cell::from(self.created as f64)),
            (Group::Attribute, name) if name.starts_with("last_updated") => Some(Cell::from(self.updated as f64)),
            (Group::Param, key) => self.params.get(key).map(|value| Cell::from(value.as_str())),
            (Group::Tag, key) => self.tags.get(key).map(|value| Cell::from(value.as_str())),
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

    fn metric_on(&self, key: &str, dataset_name: Option<&str>, dataset_digest: Option<&str>) -> Option<f64> {
        let is_on = |said: &Option<String>, wanted: Option<&str>| wanted.is_none() || said.as_deref() == wanted;
        let fits = |m: &&ModelMetric| {
            m.key == key && is_on(&m.dataset_name, dataset_name) && is_on(&m.dataset_digest, dataset_digest)
        };
        let latest = self.metrics.iter().filter(fits).max_by_key(|m| (m.timestamp, m.step))?;
        Some(latest.value.unwrap_or(f64::NAN))
    }
}
