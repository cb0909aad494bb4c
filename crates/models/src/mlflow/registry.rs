//! `registered-models/…` and `model-versions/…`

use serde_json::{Value, json};

use super::{
    pages,
    said::{
        Param, Said,
        Type::{Bool, Int, List, Text, Texts},
        at_most, may, need,
    },
    shapes,
    webhooks::{tags, tell_of_version},
};
use crate::{
    Book, Problem,
    registry::{IS_PROMPT, NewVersion, RegisteredModel, Stage, Version},
    search::{Cell, Filter, Group, Item, Kind, Order},
};

const NAME: [Param; 1] = [need("name", Text)];
const VERSION: [Param; 2] = [need("name", Text), need("version", Text)];

pub(super) fn create(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[need("name", Text), may("tags", List), may("description", Text)])?;
    let pairs = said.pairs("tags")?;
    let made = book.create_registered(said.text("name"), said.text("description"), pairs.clone(), at)?;
    let (answer, is_prompt) = (json!({"registered_model": shapes::registered(made)}), made.is_prompt());
    let data =
        json!({"name": said.text("name"), "tags": tags(&pairs, is_prompt), "description": said.text("description")});
    book.tell(if is_prompt { "PROMPT" } else { "REGISTERED_MODEL" }, "CREATED", data, at);
    Ok(answer)
}

pub(super) fn get(book: &Book, said: &Said) -> Result<Value, Problem> {
    let model = book.registered(said.check(&NAME)?.text("name"))?;
    Ok(json!({"registered_model": shapes::registered(model)}))
}

pub(super) fn update(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[need("name", Text), may("description", Text)])?;
    let model = book.describe_registered(said.text("name"), said.text("description"), at)?;
    Ok(json!({"registered_model": shapes::registered(model)}))
}

pub(super) fn rename(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[need("name", Text), need("new_name", Text)])?;
    let model = book.rename_registered(said.text("name"), said.text("new_name"), at)?;
    Ok(json!({"registered_model": shapes::registered(model)}))
}

pub(super) fn delete(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    book.delete_registered(said.check(&NAME)?.text("name"))?;
    Ok(json!({}))
}

pub(super) fn search(book: &Book, said: &Said) -> Result<Value, Problem> {
    said.check(&[may("filter", Text), may("max_results", Int), may("order_by", Texts), may("page_token", Text)])?;
    at_most("max_results", said, 1000)?;
    let filter = Filter::parse(Kind::RegisteredModels, said.text("filter"))?;
    let order = Order::parse(Kind::RegisteredModels, &said.texts("order_by"))?;
    let offset = pages::offset(said.text("page_token"))?;
    let mut found: Vec<&RegisteredModel> = book.registered_models().filter(|model| filter.allows(*model)).collect();
    found.sort_by(|a, b| order.compare(*a, *b));
    let size = said.int("max_results").unwrap_or(100).max(0) as usize;
    let (page, next) = pages::page(found, offset, size);
    Ok(pages::listed("registered_models", page.into_iter().map(shapes::registered).collect(), next))
}

pub(super) fn latest_versions(book: &Book, said: &Said) -> Result<Value, Problem> {
    said.check(&[need("name", Text), may("stages", Texts)])?;
    let stages = said.texts("stages");
    let stages = stages.iter().map(|stage| Stage::parse(stage)).collect::<Result<Vec<_>, _>>()?;
    let model = book.registered(said.text("name"))?;
    let wanted = model.latest().filter(|version| stages.is_empty() || stages.contains(&version.stage));
    Ok(pages::listed("model_versions", wanted.map(|version| shapes::version(model, version, true)).collect(), None))
}

pub(super) fn set_tag(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[need("name", Text), need("key", Text), may("value", Text)])?;
    book.set_registered_tag(said.text("name"), said.text("key"), said.text("value"))?;
    if book.registered(said.text("name"))?.is_prompt() {
        let data = json!({"name": said.text("name"), "key": said.text("key"), "value": said.text("value")});
        book.tell("PROMPT_TAG", "SET", data, at);
    }
    Ok(json!({}))
}

pub(super) fn delete_tag(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[need("name", Text), need("key", Text)])?;
    book.delete_registered_tag(said.text("name"), said.text("key"))?;
    if book.registered(said.text("name"))?.is_prompt() {
        book.tell("PROMPT_TAG", "DELETED", json!({"name": said.text("name"), "key": said.text("key")}), at);
    }
    Ok(json!({}))
}

pub(super) fn get_by_alias(book: &Book, said: &Said) -> Result<Value, Problem> {
    said.check(&[need("name", Text), need("alias", Text)])?;
    Ok(one(book.version_by_alias(said.text("name"), said.text("alias"))?))
}

pub(super) fn set_alias(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[need("name", Text), need("alias", Text), need("version", Text)])?;
    book.set_alias(said.text("name"), said.text("alias"), said.text("version"))?;
    let data = json!({"name": said.text("name"), "alias": said.text("alias"), "version": said.text("version")});
    tell_of_version(book, said.text("name"), "ALIAS", "CREATED", data, at);
    Ok(json!({}))
}

pub(super) fn delete_alias(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[need("name", Text), need("alias", Text)])?;
    book.delete_alias(said.text("name"), said.text("alias"))?;
    let data = json!({"name": said.text("name"), "alias": said.text("alias")});
    tell_of_version(book, said.text("name"), "ALIAS", "DELETED", data, at);
    Ok(json!({}))
}

fn one((model, version): (&RegisteredModel, &Version)) -> Value {
    json!({"model_version": shapes::version(model, version, true)})
}

pub(super) fn create_version(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[
        need("name", Text),
        need("source", Text),
        may("run_id", Text),
        may("tags", List),
        may("run_link", Text),
        may("description", Text),
        may("model_id", Text),
    ])?;
    let text = |name: &str| said.text(name).to_owned();
    let new = NewVersion {
        name: text("name"),
        source: text("source"),
        run: text("run_id"),
        model: text("model_id"),
        run_link: text("run_link"),
        description: text("description"),
        tags: said.pairs("tags")?,
    };
    let (model, made) = book.create_version(new, at)?;
    let (answer, is_prompt, pairs) = (one((model, made)), model.is_prompt(), said.pairs("tags")?);
    let (name, version) = (model.name.clone(), made.version.to_string());
    let description = Some(said.text("description")).filter(|text| !text.is_empty());
    if is_prompt {
        let template = pairs.iter().find(|(key, _)| key == "mlflow.prompt.text").map(|(_, text)| text.as_str());
        let data = json!({"name": name, "version": version, "template": template, "tags": tags(&pairs, true),
            "description": description});
        book.tell("PROMPT_VERSION", "CREATED", data, at);
    } else {
        let run = Some(said.text("run_id")).filter(|run| !run.is_empty());
        let data = json!({"name": name, "version": version, "source": made.source.clone(), "run_id": run,
            "tags": tags(&pairs, false), "description": description});
        book.tell("MODEL_VERSION", "CREATED", data, at);
    }
    Ok(answer)
}

pub(super) fn get_version(book: &Book, said: &Said) -> Result<Value, Problem> {
    said.check(&VERSION)?;
    Ok(one(book.version(said.text("name"), said.text("version"))?))
}

pub(super) fn download_uri(book: &Book, said: &Said) -> Result<Value, Problem> {
    let (_, version) = book.version(said.text("name"), said.text("version"))?;
    Ok(json!({"artifact_uri": version.location}))
}

pub(super) fn search_versions(book: &Book, said: &Said) -> Result<Value, Problem> {
    said.check(&[may("filter", Text), may("max_results", Int), may("order_by", Texts), may("page_token", Text)])?;
    at_most("max_results", said, 200_000)?;
    let size = said.int("max_results").unwrap_or(200_000);
    if size < 1 {
        return Err(Problem::invalid(format!(
            "Invalid value for max_results. It must be a positive integer, but got {size}"
        )));
    }
    let filter = Filter::parse(Kind::ModelVersions, said.text("filter"))?;
    let order = Order::parse(Kind::ModelVersions, &said.texts("order_by"))?;
    let offset = pages::offset(said.text("page_token"))?;
    let all = book.registered_models().flat_map(|model| model.versions.values().map(move |of| Found { model, of }));
    let mut found: Vec<Found> = all.filter(|of| filter.allows(of)).collect();
    found.sort_by(|a, b| order.compare(a, b));
    let (page, next) = pages::page(found, offset, size as usize);
    Ok(pages::listed("model_versions", page.iter().map(|f| shapes::version(f.model, f.of, false)).collect(), next))
}

pub(super) fn update_version(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[need("name", Text), need("version", Text), may("description", Text)])?;
    let description = said.get("description").and_then(Value::as_str);
    Ok(one(book.describe_version(said.text("name"), said.text("version"), description, at)?))
}

pub(super) fn transition(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[
        need("name", Text),
        need("version", Text),
        need("stage", Text),
        may("archive_existing_versions", Bool),
    ])?;
    let archive = said.flag("archive_existing_versions")?;
    Ok(one(book.transition(said.text("name"), said.text("version"), said.text("stage"), archive, at)?))
}

pub(super) fn delete_version(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&VERSION)?;
    book.delete_version(said.text("name"), said.text("version"), at)?;
    Ok(json!({}))
}

pub(super) fn set_version_tag(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[need("name", Text), need("version", Text), need("key", Text), may("value", Text)])?;
    book.set_version_tag(said.text("name"), said.text("version"), said.text("key"), said.text("value"))?;
    let (name, version) = (said.text("name"), said.text("version"));
    let data = json!({"name": name, "version": version, "key": said.text("key"), "value": said.text("value")});
    tell_of_version(book, name, "TAG", "SET", data, at);
    Ok(json!({}))
}

pub(super) fn delete_version_tag(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[need("name", Text), need("version", Text), need("key", Text)])?;
    book.delete_version_tag(said.text("name"), said.text("version"), said.text("key"))?;
    let (name, version) = (said.text("name"), said.text("version"));
    let data = json!({"name": name, "version": version, "key": said.text("key")});
    tell_of_version(book, name, "TAG", "DELETED", data, at);
    Ok(json!({}))
}

impl Item for RegisteredModel {
    fn cell(&self, group: Group, key: &str) -> Option<Cell<'_>> {
        match (group, key) {
            (Group::Attribute, "name") => Some(Cell::from(self.name.as_str())),
            (Group::Attribute, "creation_timestamp") => Some(Cell::from(self.created as f64)),
            (Group::Attribute, _) => Some(Cell::from(self.updated as f64)),
            (Group::Tag, key) => self.tags.get(key).map(|value| Cell::from(value.as_str())),
            _ => None,
        }
    }
}

/// A version with its model, as it is searched.
struct Found<'a> {
    model: &'a RegisteredModel,
    of: &'a Version,
}

impl Item for Found<'_> {
    fn cell(&self, group: Group, key: &str) -> Option<Cell<'_>> {
        match (group, key) {
            (Group::Attribute, "name") => Some(Cell::from(self.model.name.as_str())),
            (Group::Attribute, "run_id") => Some(Cell::from(self.of.run.as_str())),
            (Group::Attribute, "source_path") => Some(Cell::from(self.of.source.as_str())),
            (Group::Attribute, "version_number" | "version") => Some(Cell::from(self.of.version as f64)),
            (Group::Attribute, "creation_timestamp") => Some(Cell::from(self.of.created as f64)),
            (Group::Attribute, "last_updated_timestamp") => Some(Cell::from(self.of.updated as f64)),
            // Versions of prompts are told by their model.
            (Group::Tag, IS_PROMPT) => self.model.tags.get(IS_PROMPT).map(|value| Cell::from(value.as_str())),
            (Group::Tag, key) => self.of.tags.get(key).map(|value| Cell::from(value.as_str())),
            _ => None,
        }
    }
}
