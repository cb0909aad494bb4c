//! `webhooks/…`, and what of the registry they are told.

use serde_json::{Map, Value, json};

use super::{
    pages,
    said::{
        Said,
        Type::{Int, List, Object, Text},
        may, need,
    },
};
use crate::{
    Book, Problem,
    registry::IS_PROMPT,
    webhooks::{self, Event, Webhook, WebhookChange},
};

fn shape(of: &Webhook) -> Value {
    let events: Vec<Value> =
        of.events.iter().map(|(entity, action)| json!({"entity": entity, "action": action})).collect();
    let mut shape = json!({
        "webhook_id": of.id, "name": of.name, "url": of.url, "events": events,
        "status": if of.active { "ACTIVE" } else { "DISABLED" },
        "creation_timestamp": of.created, "last_updated_timestamp": of.updated,
    });
    if let Some(description) = &of.description {
        shape["description"] = description.clone().into();
    }
    shape
}

fn events(said: &Said) -> Result<Vec<Event>, Problem> {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let of = |entry: &Value| webhooks::event(&text(entry, "entity"), &text(entry, "action"));
    said.list("events").iter().map(of).collect()
}

fn status(said: &Said) -> Result<Option<bool>, Problem> {
    said.name("status", &[(true, "ACTIVE", 1), (false, "DISABLED", 2)])
}

/// A text that was said, be it empty.
fn text(said: &Said, name: &str) -> Option<String> {
    said.get(name).and_then(Value::as_str).map(str::to_owned)
}

pub(super) fn create(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[
        need("name", Text),
        need("url", Text),
        need("events", List),
        may("description", Text),
        may("secret", Text),
    ])?;
    let new = Webhook {
        name: said.text("name").to_owned(),
        url: said.text("url").to_owned(),
        events: events(said)?,
        description: text(said, "description"),
        secret: said.text("secret").to_owned(),
        active: status(said)?.unwrap_or(true),
        ..Webhook::default()
    };
    Ok(json!({"webhook": shape(book.create_webhook(new, at)?)}))
}

pub(super) fn list(book: &Book, said: &Said) -> Result<Value, Problem> {
    said.check(&[may("max_results", Int), may("page_token", Text)])?;
    let size = said.int("max_results").filter(|size| *size != 0).unwrap_or(100);
    if !(1..=1000).contains(&size) {
        return Err(Problem::invalid("max_results must be between 1 and 1000."));
    }
    let (page, next) = pages::page(book.webhooks(), pages::offset(said.text("page_token"))?, size as usize);
    Ok(pages::listed("webhooks", page.into_iter().map(shape).collect(), next))
}

pub(super) fn get(book: &Book, said: &Said) -> Result<Value, Problem> {
    Ok(json!({"webhook": shape(book.webhook(said.of_path("webhook_id"))?)}))
}

pub(super) fn update(book: &mut Book, said: &Said, at: i64) -> Result<Value, Problem> {
    said.check(&[
        may("name", Text),
        may("description", Text),
        may("url", Text),
        may("events", List),
        may("secret", Text),
    ])?;
    let change = WebhookChange {
        name: said.text("name").to_owned(),
        description: text(said, "description"),
        url: said.text("url").to_owned(),
        events: events(said)?,
        secret: text(said, "secret"),
        active: status(said)?,
    };
    Ok(json!({"webhook": shape(book.change_webhook(said.of_path("webhook_id"), change, at)?)}))
}

pub(super) fn delete(book: &mut Book, said: &Said, _: i64) -> Result<Value, Problem> {
    book.delete_webhook(said.of_path("webhook_id"))?;
    Ok(json!({}))
}

/// The webhook that is to be tried, and with which event.
pub fn tested(book: &Book, said: &Said) -> Result<(Webhook, Event), Problem> {
    said.check(&[may("event", Object)])?;
    let webhook = book.webhook(said.of_path("webhook_id"))?.clone();
    let asked = said.get("event").map(|event| {
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        webhooks::event(text("entity"), text("action"))
    });
    let event = match asked {
        Some(event) => event?,
        None => webhook.events.first().cloned().unwrap_or_default(),
    };
    Ok((webhook, event))
}

/// The tags of a request as a JSON object, without those that make a prompt one.
pub(super) fn tags(pairs: &[(String, String)], is_prompt: bool) -> Value {
    let is_shown = |key: &str| !is_prompt || ![IS_PROMPT, "_mlflow_prompt_type", "mlflow.prompt.text"].contains(&key);
    let shown = pairs.iter().filter(|(key, _)| is_shown(key));
    shown.map(|(key, value)| (key.clone(), Value::from(value.clone()))).collect::<Map<_, _>>().into()
}

/// Tells of a tag or alias of a version; of a prompt's under its own name.
pub(super) fn tell_of_version(book: &mut Book, name: &str, what: &str, action: &str, data: Value, at: i64) {
    let is_prompt = book.registered(name).is_ok_and(crate::registry::RegisteredModel::is_prompt);
    let entity = match (what, is_prompt) {
        ("TAG", true) => "PROMPT_VERSION_TAG",
        ("TAG", false) => "MODEL_VERSION_TAG",
        (_, true) => "PROMPT_ALIAS",
        (_, false) => "MODEL_VERSION_ALIAS",
    };
    book.tell(entity, action, data, at);
}
