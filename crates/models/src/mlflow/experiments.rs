//! `experiments/…`

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
    Book, Lifecycle, Problem,
    experiments::Experiment,
    search::{Cell, Filter, Group, Item, Kind, Order},
};

/// Which of what was removed is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Active,
    Deleted,
    All,
}

pub(super) const WHICH: [(Which, &str, i64); 3] =
    [(Which::Active, "ACTIVE_ONLY", 1), (Which::Deleted, "DELETED_ONLY", 2), (Which::All, "ALL", 3)];

impl Which {
    pub fn allows(self, lifecycle: Lifecycle) -> bool {
        match self {
            Which::Active => lifecycle == Lifecycle::Active,
            Which::Deleted => lifecycle == Lifecycle::Deleted,
            Which::All => true,
        }
    }
}

const ID: [super::said::Param; 1] = [need("experiment_id", Text)];

pub(super) fn create(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[need("name", Text), may("artifact_location", Text), may("tags", List)])?;
    let tags = said.pairs("tags")?;
    let id = book.create_experiment(said.text("name"), said.text("artifact_location"), tags, at)?;
    Ok(json!({"experiment_id": id.to_string()}))
}

pub(super) fn get(book: &Book, said: &Said) -> Result<Value, Problem> {
    let experiment = book.experiment(said.check(&ID)?.text("experiment_id"))?;
    Ok(json!({"experiment": shapes::experiment(experiment)}))
}

pub(super) fn get_by_name(book: &Book, said: &Said) -> Result<Value, Problem> {
    let name = said.check(&[need("experiment_name", Text)])?.text("experiment_name");
    let missing = || Problem::missing(format!("Could not find experiment with name '{name}'"));
    let experiment = book.experiment_by_name(name).ok_or_else(missing)?;
    Ok(json!({"experiment": shapes::experiment(experiment)}))
}

pub(super) fn delete(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    book.delete_experiment(said.check(&ID)?.text("experiment_id"), at)?;
    Ok(json!({}))
}

pub(super) fn restore(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    book.restore_experiment(said.check(&ID)?.text("experiment_id"), at)?;
    Ok(json!({}))
}

pub(super) fn update(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[need("experiment_id", Text), need("new_name", Text)])?;
    book.rename_experiment(said.text("experiment_id"), said.text("new_name"), at)?;
    Ok(json!({}))
}

pub(super) fn set_tag(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[need("experiment_id", Text), need("key", Text), may("value", Text)])?;
    book.set_experiment_tag(said.text("experiment_id"), said.text("key"), said.text("value"))?;
    Ok(json!({}))
}

pub(super) fn delete_tag(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    said.check(&[need("experiment_id", Text), need("key", Text)])?;
    book.delete_experiment_tag(said.text("experiment_id"), said.text("key"))?;
    Ok(json!({}))
}

pub(super) fn search(book: &Book, said: &Said) -> Result<Value, Problem> {
    said.check(&[
        may("view_type", Name),
        may("max_results", Int),
        may("order_by", Texts),
        may("filter", Text),
        may("page_token", Text),
    ])?;
    let which = said.name("view_type", &WHICH)?.unwrap_or(Which::Active);
    let size = pages::size(said.int("max_results"), 0)?;
    let filter = Filter::parse(Kind::Experiments, said.text("filter"))?;
    let order = Order::parse(Kind::Experiments, &said.texts("order_by"))?;
    let offset = pages::offset(said.text("page_token"))?;
    let wanted = |of: &&Experiment| which.allows(of.lifecycle) && filter.allows(*of);
    let mut found: Vec<&Experiment> = book.experiments().filter(wanted).collect();
    found.sort_by(|a, b| order.compare(*a, *b));
    let (page, next) = pages::page(found, offset, size);
    Ok(pages::listed("experiments", page.into_iter().map(shapes::experiment).collect(), next))
}

impl Item for Experiment {
    fn cell(&self, group: Group, key: &str) -> Option<Cell<'_>> {
        match (group, key) {
            (Group::Attribute, "name") => Some(Cell::from(self.name.as_str())),
            (Group::Attribute, "experiment_id") => Some(Cell::from(self.id.to_string())),
            (Group::Attribute, "creation_time") => Some(Cell::from(self.created as f64)),
            (Group::Attribute, "last_update_time") => Some(Cell::from(self.updated as f64)),
            (Group::Tag, key) => self.tags.get(key).map(|value| Cell::from(value.as_str())),
            _ => None,
        }
    }
}
