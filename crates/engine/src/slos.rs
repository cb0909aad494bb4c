//! Service level objectives: what people promised, and how it stands.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use types::{JournalEntry, JournalKind, Slo, SloStatus, Tenant, Time};

use crate::intake;

/// Most objectives of all tenants.
pub const MOST_SLOS: usize = 1000;

/// What a person said about objectives.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// A new one, or another definition of one that is known by its name.
    Set { slo: Slo, actor: Option<String> },
    /// One is no more.
    Remove { tenant: Tenant, name: String, actor: Option<String> },
}

/// An objective and how it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SloRow {
    /// What is promised.
    #[serde(flatten)]
    pub slo: Slo,
    /// How it stands; `None` until it is looked at: at most a minute after a start.
    pub status: Option<SloStatus>,
}

/// Part of the engine's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slos {
    /// In order of tenant and name.
    list: Vec<Slo>,
    /// As last said. Not saved: it is said again within a minute.
    #[serde(skip)]
    status: BTreeMap<(Tenant, String), SloStatus>,
    /// As last shown; `None` where it changed since.
    #[serde(skip)]
    shown: Option<Arc<Vec<SloRow>>>,
}

impl Slos {
    /// All objectives, in order of tenant and name.
    pub fn list(&self) -> &[Slo] {
        &self.list
    }

    /// Does what people said; answers with the journal's lines.
    pub fn obey(&mut self, words: Vec<Word>, now: Time) -> Vec<JournalEntry> {
        words.into_iter().map(|word| self.obey_one(word, now)).collect()
    }

    fn obey_one(&mut self, word: Word, now: Time) -> JournalEntry {
        self.shown = None;
        let line = |subject, data, text| JournalEntry { at: now, kind: JournalKind::Setting, subject, data, text };
        match word {
            Word::Set { slo, actor } => {
                let mut data = json!({
                    "what": "slo", "tenant": slo.tenant, "service": slo.service, "target": slo.target,
                    "window_ns": slo.window_ns, "indicator": slo.indicator, "enabled": slo.enabled,
                });
                let subject = slo.name.clone();
                data["taken"] = self.set(slo).into();
                line(subject, data, actor)
            }
            Word::Remove { tenant, name, actor } => {
                let place = self.place(&tenant, &name);
                if let Ok(at) = place {
                    self.list.remove(at);
                    self.status.remove(&(tenant.clone(), name.clone()));
                }
                let data = json!({ "what": "slo_removed", "tenant": tenant, "known": place.is_ok() });
                line(name, data, actor)
            }
        }
    }

    /// Whether it was taken: not where there are [`MOST_SLOS`] others.
    fn set(&mut self, slo: Slo) -> bool {
        match self.place(&slo.tenant, &slo.name) {
            Ok(at) => self.list[at] = slo,
            Err(_) if self.list.len() >= MOST_SLOS => return false,
            Err(at) => self.list.insert(at, slo),
        }
        true
    }

    fn place(&self, tenant: &Tenant, name: &str) -> Result<usize, usize> {
        self.list.binary_search_by(|known| (&known.tenant, known.name.as_str()).cmp(&(tenant, name)))
    }

    /// Takes over how objectives stand.
    pub fn take(&mut self, said: Vec<SloStatus>) {
        if !said.is_empty() {
            self.shown = None;
        }
        for status in said {
            if self.place(&status.tenant, &status.name).is_ok() {
                self.status.insert((status.tenant.clone(), status.name.clone()), status);
            }
        }
    }

    /// What is shown.
    pub fn rows(&mut self) -> Arc<Vec<SloRow>> {
        let row = |slo: &Slo| {
            let status = self.status.get(&(slo.tenant.clone(), slo.name.clone())).cloned();
            SloRow { slo: slo.clone(), status }
        };
        let rows = || Arc::new(self.list.iter().map(row).collect());
        self.shown.get_or_insert_with(rows).clone()
    }
}

/// Reads an event of kind `slo.set` (attributes `slo` and `actor`) or `slo.removed` (`name` and `actor`); `None` where
/// it cannot be read. The objective belongs to the event's tenant, whatever it says.
pub fn word(kind: &str, tenant: &Tenant, attributes: &Value) -> Option<Word> {
    let text = |name: &str| intake::text_of(attributes, name, intake::WORD_CHARS);
    let actor = text("actor");
    match kind {
        "slo.set" => {
            let slo: Slo = serde_json::from_value(attributes.get("slo")?.clone()).ok()?;
            let slo = rounded(Slo { tenant: tenant.clone(), ..slo });
            slo.check().ok()?;
            Some(Word::Set { slo, actor })
        }
        "slo.removed" => Some(Word::Remove { tenant: tenant.clone(), name: text("name")?, actor }),
        _ => None,
    }
}

/// Numbers as JSON keeps them exactly.
fn rounded(mut slo: Slo) -> Slo {
    slo.target = (slo.target * 1e9).round() / 1e9;
    if let types::slo::Indicator::Latency { threshold_ms } = &mut slo.indicator {
        *threshold_ms = (*threshold_ms * 1e3).round() / 1e3;
    }
    slo
}
