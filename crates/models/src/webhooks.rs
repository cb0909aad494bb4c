//! Webhooks: who is told of what happens in the registry. What is to be told is kept until it was, or was given up.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Problem,
    book::{Book, Kind},
    ids,
};

/// What may be told: an entity, and what may happen to it.
pub const EVENTS: [(&str, &[&str]); 10] = [
    ("REGISTERED_MODEL", &["CREATED"]),
    ("MODEL_VERSION", &["CREATED"]),
    ("MODEL_VERSION_TAG", &["SET", "DELETED"]),
    ("MODEL_VERSION_ALIAS", &["CREATED", "DELETED"]),
    ("PROMPT", &["CREATED"]),
    ("PROMPT_VERSION", &["CREATED"]),
    ("PROMPT_TAG", &["SET", "DELETED"]),
    ("PROMPT_VERSION_TAG", &["SET", "DELETED"]),
    ("PROMPT_ALIAS", &["CREATED", "DELETED"]),
    ("BUDGET_POLICY", &["EXCEEDED"]),
];

/// Most webhooks; each change of the registry looks at all of them.
const MOST: usize = 1000;
/// Most deliveries that wait; of more the oldest are given up.
const WAITING_MOST: usize = 10_000;
/// Tries of one delivery.
const TRIES: u32 = 4;

/// What happens: an entity and what happens to it, as [`EVENTS`] names them.
pub type Event = (String, String);

/// A webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// A UUID.
    pub id: String,
    /// Its name; others may have the same.
    pub name: String,
    /// What people say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it is told.
    pub url: String,
    /// Of what.
    pub events: Vec<Event>,
    /// What signs; empty: nothing is signed. It is never given out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub secret: String,
    /// Whether it is told at present.
    pub active: bool,
    /// When it was made, and changed, ms.
    pub created: i64,
    /// See `created`.
    pub updated: i64,
}

/// What changes of a webhook; nothing said leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookChange {
    /// See [`Webhook::name`]; empty: as it is.
    pub name: String,
    /// See [`Webhook::description`].
    pub description: Option<String>,
    /// See [`Webhook::url`]; empty: as it is.
    pub url: String,
    /// See [`Webhook::events`]; empty: as they are.
    pub events: Vec<Event>,
    /// See [`Webhook::secret`].
    pub secret: Option<String>,
    /// See [`Webhook::active`].
    pub active: Option<bool>,
}

/// Something that is to be told to somebody.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// A UUID, the same for every try: who is told twice can see it.
    pub id: String,
    /// To which webhook.
    pub webhook: String,
    /// What happened.
    pub event: Event,
    /// When, ms.
    pub at: i64,
    /// To what, and how.
    pub data: Value,
    /// Tries so far.
    #[serde(default)]
    pub tries: u32,
    /// When it is tried next, ms.
    pub next: i64,
}

/// A delivery with what is needed to send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The delivery's id.
    pub id: String,
    /// Where to.
    pub url: String,
    /// What signs; empty: nothing.
    pub secret: String,
    /// The body.
    pub body: String,
}

/// What became of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrived, or never will: it is done.
    Done,
    /// It may arrive another time.
    Again,
}

impl Book {
    /// Makes a webhook.
    pub fn create_webhook(&mut self, new: Webhook, at: i64) -> Result<&Webhook, Problem> {
        name(&new.name)?;
        url(&new.url)?;
        if new.events.is_empty() {
            return Err(Problem::invalid("Webhook events must be a non-empty list of WebhookEvent objects: []."));
        }
        if self.webhooks.len() >= MOST {
            return Err(Problem::invalid(format!("There are {MOST} webhooks already: remove one first.")));
        }
        let id = ids::uuid();
        let webhook = Webhook { id: id.clone(), created: at, updated: at, ..new };
        self.touch(Kind::Webhook, id.clone());
        Ok(self.webhooks.entry(id).or_insert(webhook))
    }

    /// A webhook.
    pub fn webhook(&self, id: &str) -> Result<&Webhook, Problem> {
        self.webhooks.get(id).ok_or_else(|| Problem::missing(format!("Webhook with ID {id} not found.")))
    }

    /// All of them, the newest first.
    pub fn webhooks(&self) -> Vec<&Webhook> {
        let mut all: Vec<&Webhook> = self.webhooks.values().collect();
        all.sort_by(|a, b| b.created.cmp(&a.created).then(a.id.cmp(&b.id)));
        all
    }

    /// Changes a webhook.
    pub fn change_webhook(&mut self, id: &str, change: WebhookChange, at: i64) -> Result<&Webhook, Problem> {
        self.webhook(id)?;
        if !change.name.is_empty() {
            name(&change.name)?;
        }
        if !change.url.is_empty() {
            url(&change.url)?;
        }
        if let Some(webhook) = self.webhooks.get_mut(id) {
            let or = |new: String, old: &mut String| {
                if !new.is_empty() {
                    *old = new;
                }
            };
            or(change.name, &mut webhook.name);
            or(change.url, &mut webhook.url);
            if !change.events.is_empty() {
                webhook.events = change.events;
            }
            webhook.description = change.description.or(webhook.description.take());
            webhook.secret = change.secret.unwrap_or(std::mem::take(&mut webhook.secret));
            webhook.active = change.active.unwrap_or(webhook.active);
            webhook.updated = at;
        }
        self.touch(Kind::Webhook, id);
        self.webhook(id)
    }

    /// Removes a webhook with what it was to be told.
    pub fn delete_webhook(&mut self, id: &str) -> Result<(), Problem> {
        self.webhook(id)?;
        self.webhooks.remove(id);
        self.touch(Kind::Webhook, id);
        let waiting: Vec<String> = self.deliveries.values().filter(|d| d.webhook == id).map(|d| d.id.clone()).collect();
        waiting.iter().for_each(|delivery| self.forget_delivery(delivery));
        Ok(())
    }

    /// Notes that something happened, for all who want to know.
    pub fn tell(&mut self, entity: &str, action: &str, data: Value, at: i64) {
        let wants = |webhook: &&Webhook| {
            webhook.active && webhook.events.iter().any(|(of, does)| of == entity && does == action)
        };
        let told: Vec<String> = self.webhooks.values().filter(wants).map(|webhook| webhook.id.clone()).collect();
        for webhook in told {
            let (id, event) = (ids::uuid(), (entity.to_owned(), action.to_owned()));
            let delivery = Delivery { id: id.clone(), webhook, event, at, data: data.clone(), tries: 0, next: at };
            self.touch(Kind::Delivery, id.clone());
            self.deliveries.insert(id, delivery);
        }
        while self.deliveries.len() > WAITING_MOST {
            let oldest = self.deliveries.values().min_by_key(|d| (d.at, d.id.clone())).map(|d| d.id.clone());
            oldest.iter().for_each(|id| self.forget_delivery(id));
        }
    }

    fn forget_delivery(&mut self, id: &str) {
        self.deliveries.remove(id);
        self.touch(Kind::Delivery, id);
    }

    /// What is to be sent now.
    pub fn due(&self, at: i64, most: usize) -> Vec<Letter> {
        let mut due: Vec<&Delivery> = self.deliveries.values().filter(|d| d.next <= at).collect();
        due.sort_by_key(|d| (d.at, d.id.as_str()));
        let letter = |d: &&Delivery| {
            let webhook = self.webhooks.get(&d.webhook)?;
            Some(Letter {
                id: d.id.clone(),
                url: webhook.url.clone(),
                secret: webhook.secret.clone(),
                body: body(&d.event, d.at, &d.data),
            })
        };
        due.iter().take(most).filter_map(letter).collect()
    }

    /// Notes what became of a try; says whether the delivery was given up.
    pub fn tried(&mut self, id: &str, fate: Fate, at: i64) -> bool {
        let Some(delivery) = self.deliveries.get_mut(id) else { return false };
        delivery.tries += 1;
        // One second, two, four.
        delivery.next = at + (500 << delivery.tries.min(10));
        let is_last = delivery.tries >= TRIES;
        if fate == Fate::Done || is_last {
            self.forget_delivery(id);
        } else {
            self.touch(Kind::Delivery, id);
        }
        fate == Fate::Again && is_last
    }
}

/// The body of what is sent.
pub fn body(event: &Event, at: i64, data: &Value) -> String {
    let time = crate::mlflow::written(at).replace('Z', "+00:00");
    let (entity, action) = (event.0.to_ascii_lowercase(), event.1.to_ascii_lowercase());
    json!({"entity": entity, "action": action, "timestamp": time, "data": data}).to_string()
}

/// Something that may have happened, for a test.
pub fn example(event: &Event) -> Value {
    let (name, key, value) = ("example_model", "example_key", "example_value");
    match event.0.as_str() {
        "REGISTERED_MODEL" | "PROMPT" => json!({"name": name, "tags": {key: value}, "description": "An example"}),
        "MODEL_VERSION" => {
            json!({"name": name, "version": "1", "source": "models:/m-123", "run_id": "abcd1234abcd5678",
            "tags": {key: value}, "description": "An example"})
        }
        "PROMPT_VERSION" => json!({"name": name, "version": "1", "template": "Hello {{name}}!", "tags": {key: value},
            "description": "An example"}),
        "MODEL_VERSION_ALIAS" | "PROMPT_ALIAS" => json!({"name": name, "alias": "example_alias", "version": "1"}),
        "PROMPT_TAG" => json!({"name": name, "key": key, "value": value}),
        _ => json!({"name": name, "version": "1", "key": key, "value": value}),
    }
}

/// Letters, digits, and `.`, `_`, `-` within; at most 63.
fn name(text: &str) -> Result<(), Problem> {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if ends(text.chars().next()) && ends(text.chars().last()) && text.chars().all(is_inner) && text.len() <= 63 {
        return Ok(());
    }
    Err(Problem::invalid(format!(
        "Webhook name '{text}' is invalid. It must start and end with a letter or digit, be less than 63 characters long, \
         and contain only letters, digits, dots (.), underscores (_), and hyphens (-)."
    )))
}

fn url(text: &str) -> Result<(), Problem> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    if !["https", "http"].iter().any(|of| scheme.eq_ignore_ascii_case(of)) {
        return Err(Problem::invalid(format!("Invalid webhook URL scheme: '{scheme}'. Allowed schemes are: https.")));
    }
    if rest.split(['/', '?', '#']).next().unwrap_or_default().is_empty() {
        return Err(Problem::invalid(format!("Webhook URL must include a hostname: '{text}'")));
    }
    Ok(())
}

/// An event as it is named on the wire.
pub fn event(entity: &str, action: &str) -> Result<Event, Problem> {
    let Some((_, actions)) = EVENTS.iter().find(|(of, _)| *of == entity) else {
        return Err(Problem::invalid(format!("There are no events of '{entity}'.")));
    };
    if !actions.contains(&action) {
        let listed: Vec<String> = actions.iter().map(|action| format!("'{}'", action.to_ascii_lowercase())).collect();
        return Err(Problem::invalid(format!(
            "Invalid action '{}' for entity '{}'. Valid actions are: [{}]",
            action.to_ascii_lowercase(),
            entity.to_ascii_lowercase(),
            listed.join(", ")
        )));
    }
    Ok((entity.to_owned(), action.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(events: &[(&str, &str)]) -> Webhook {
        let events = events.iter().map(|(of, does)| event(of, does).unwrap()).collect();
        Webhook { name: "w".into(), url: "https://example.com/x".into(), events, active: true, ..Webhook::default() }
    }

    #[test]
    fn who_wants_to_know_is_told_until_it_arrives_or_is_given_up() {
        let mut book = Book::default();
        let id = book.create_webhook(webhook(&[("MODEL_VERSION", "CREATED")]), 1).unwrap().id.clone();
        book.tell("MODEL_VERSION", "CREATED", json!({"name": "iris"}), 1000);
        book.tell("REGISTERED_MODEL", "CREATED", json!({}), 1000);
        let due = book.due(1000, 9);
        assert_eq!(due.len(), 1);
        assert!(
            due[0].body.contains("\"entity\":\"model_version\"") && due[0].body.contains("1970-01-01T00:00:01+00:00")
        );
        assert!(!book.tried(&due[0].id, Fate::Again, 1000));
        assert_eq!((book.due(1500, 9).len(), book.due(2000, 9).len()), (0, 1));
        let changes = book.take_changes();
        let kept = changes.documents.into_iter().filter_map(|d| Some((d.kind.to_owned(), d.id, d.body?)));
        let mut read = Book::load(kept).unwrap();
        assert_eq!(read.due(2000, 9), book.due(2000, 9), "it waits across a restart");
        for tries in 2..=4 {
            assert_eq!(read.tried(&due[0].id, Fate::Again, 2000), tries == 4);
        }
        assert!(read.due(i64::MAX, 9).is_empty());
        book.change_webhook(&id, WebhookChange { active: Some(false), ..WebhookChange::default() }, 5).unwrap();
        book.tell("MODEL_VERSION", "CREATED", json!({}), 6);
        assert_eq!(book.due(9_999_999, 9).len(), 1, "one that is switched off is told nothing new");
        book.delete_webhook(&id).unwrap();
        assert!(book.due(9_999_999, 9).is_empty() && book.webhook(&id).is_err());
    }

    #[test]
    fn names_places_and_events_are_checked() {
        let mut book = Book::default();
        for bad in ["", "-a", "a-", "a b", &"x".repeat(64)] {
            let new = Webhook { name: bad.into(), ..webhook(&[("PROMPT", "CREATED")]) };
            assert!(book.create_webhook(new, 1).is_err(), "{bad}");
        }
        for bad in ["", "ftp://x", "https://", "https:///x", "x"] {
            let new = Webhook { url: bad.into(), ..webhook(&[("PROMPT", "CREATED")]) };
            assert!(book.create_webhook(new, 1).is_err(), "{bad}");
        }
        assert!(book.create_webhook(webhook(&[]), 1).is_err());
        assert!(event("REGISTERED_MODEL", "DELETED").unwrap_err().message.contains("Valid actions are: ['created']"));
        assert!(event("NOTHING", "CREATED").is_err());
        for (entity, actions) in EVENTS {
            assert!(actions.iter().all(|action| !example(&(entity.into(), (*action).into())).is_null()));
        }
    }
}
