//! What stands between findings and people: the inbox of alerts, silences, and who is told.

use std::collections::BTreeMap;

use incident::{Alert, Grouper, Inbox, KnownAlert, Matcher, Notice, Router, Silence, Silences};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use types::{EntityId, Finding, Incident, JournalEntry, JournalKind, Tenant, Time};

use crate::intake::text_of;

/// Longest texts that are taken from alerts and silences, characters.
const MOST_CHARS: usize = 1000;
/// Most labels of an alert that are kept.
const MOST_LABELS: usize = 64;

/// What a person said about silences and routes.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// A silence or maintenance window.
    Silence(Silence),
    /// A silence ends now.
    EndSilence { id: String, actor: Option<String> },
    /// The table of routes, whole.
    Routes { routes: Vec<incident::Route>, actor: Option<String> },
}

/// Part of the engine's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Desk {
    pub inbox: Inbox,
    pub silences: Silences,
    pub router: Router,
    /// The silences that held in the last step.
    active: Vec<String>,
}

impl Desk {
    /// Does what people said; answers with the journal's lines.
    pub fn obey(&mut self, words: Vec<Word>, now: Time) -> Vec<JournalEntry> {
        words.into_iter().map(|word| self.obey_one(word, now)).collect()
    }

    fn obey_one(&mut self, word: Word, now: Time) -> JournalEntry {
        let line = |subject: String, data: Value, text: Option<String>| JournalEntry {
            at: now,
            kind: JournalKind::Setting,
            subject,
            data,
            text,
        };
        match word {
            Word::Silence(silence) => {
                let data = json!({ "what": "silence", "tenant": silence.tenant, "matchers": silence.matchers,
                    "starts_at": silence.starts_at, "ends_at": silence.ends_at });
                let text = format!("{}: {}", silence.actor.as_deref().unwrap_or("somebody"), silence.comment);
                let subject = silence.id.clone();
                self.silences.set(silence);
                line(subject, data, Some(text))
            }
            Word::EndSilence { id, actor } => {
                let known = self.silences.end(&id, now);
                line(id, json!({ "what": "silence_ended", "known": known }), actor)
            }
            Word::Routes { routes, actor } => {
                let data = json!({ "what": "routes", "routes": routes });
                self.router.set(routes);
                line("routes".to_owned(), data, actor)
            }
        }
    }

    /// Takes the alerts of a step; says what follows, also from silences that began or ended.
    pub fn take(&mut self, alerts: &[Alert], now: Time) -> Vec<Finding> {
        let active = self.silences.active(now);
        let silences = &self.silences;
        let silence = |tenant: &Tenant, known: &KnownAlert| silences.of_alert(tenant, known, now);
        let mut said = Vec::new();
        if active != self.active {
            said = self.inbox.silence_again(now, silence);
        }
        said.extend(self.inbox.step(alerts, now, silence));
        for id in self.inbox.take_quieted() {
            self.silences.count(&id);
        }
        self.active = active;
        self.silences.forget(now);
        said
    }

    /// Leaves out what is silenced. What an incident holds already goes on there, and ends are always told.
    pub fn unsilenced(&mut self, said: Vec<Finding>, grouper: &Grouper, now: Time) -> Vec<Finding> {
        if self.active.is_empty() {
            return said;
        }
        let silences = &mut self.silences;
        let told = |f: &Finding| !f.ongoing || grouper.holds(f.id) || !silences.quiets(f, now);
        said.into_iter().filter(told).collect()
    }

    /// What is to be told now, and to whom.
    pub fn notices<'a>(&mut self, incidents: impl Iterator<Item = &'a Incident>, now: Time) -> Vec<Notice> {
        self.router.step(incidents, now)
    }
}

/// Reads an event of kind `alert`; `None` where it lacks what an alert needs.
pub fn alert(tenant: &Tenant, entity: &EntityId, at: Time, attributes: &Value) -> Option<Alert> {
    let text = |name: &str| text_of(attributes, name, MOST_CHARS);
    let cut = |text: &str| text.chars().take(MOST_CHARS).collect::<String>();
    let time = |name: &str| text(name).and_then(|text| Time::parse(&text));
    let labels = attributes.get("labels")?.as_object()?;
    let labels: BTreeMap<String, String> =
        labels.iter().take(MOST_LABELS).filter_map(|(name, value)| Some((cut(name), cut(value.as_str()?)))).collect();
    Some(Alert {
        tenant: tenant.clone(),
        entity: entity.clone(),
        fingerprint: u64::from_str_radix(&text("fingerprint")?, 16).ok()?,
        name: text("name")?,
        severity: text("severity").unwrap_or_default(),
        labels,
        summary: text("summary").unwrap_or_default(),
        url: text("url"),
        starts_at: time("starts_at").unwrap_or(at),
        ends_at: time("ends_at"),
        firing: text("status")? == "firing",
        until_told: attributes.get("until_told").and_then(Value::as_bool).unwrap_or(false),
        at,
    })
}

/// Reads an event of kind `silence.set`, `silence.ended` or `routes.set`; `None` where it cannot be read.
pub fn word(kind: &str, tenant: &Tenant, attributes: &Value) -> Option<Word> {
    let text = |name: &str| text_of(attributes, name, MOST_CHARS);
    let actor = text("actor");
    match kind {
        "silence.set" => {
            let matchers = attributes.get("matchers")?.as_array()?;
            Some(Word::Silence(Silence {
                id: text("id")?,
                tenant: tenant.clone(),
                matchers: Matcher::parse_all(matchers.iter().filter_map(Value::as_str)).ok()?,
                starts_at: Time::parse(&text("starts_at")?)?,
                ends_at: Time::parse(&text("ends_at")?)?,
                comment: text("comment").unwrap_or_default(),
                actor,
                kept_quiet: 0,
            }))
        }
        "silence.ended" => Some(Word::EndSilence { id: text("id")?, actor }),
        "routes.set" => {
            let routes = serde_json::from_value(attributes.get("routes")?.clone()).ok()?;
            Some(Word::Routes { routes, actor })
        }
        _ => None,
    }
}
