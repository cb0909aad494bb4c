//! Log templates on the way in: one miner for all requests, its findings in the directory before the batch leaves.

use math::templates::Miner;
use parking_lot::Mutex;
use types::{Directory, Records, Registry, TemplateDef, TemplateId};

/// The miner of a data folder. Templates are told apart by text alone, whoever sent them.
pub struct Templates {
    miner: Mutex<Miner>,
}

impl Templates {
    /// Takes up the templates that the registry holds.
    pub fn from_registry(registry: &Registry) -> Templates {
        let known = registry.templates().iter().filter(|def| def.id.0 != 0 && !def.text.is_empty());
        let miner = Miner::from_templates(known.map(|def| (def.id.0, &*def.text)));
        Templates { miner: Mutex::new(miner) }
    }

    /// Gives each record its template and registers those that are new or were generalised.
    pub fn assign(&self, directory: &Directory, records: &mut Records) {
        if records.is_empty() {
            return;
        }
        let mut miner = self.miner.lock();
        let Records { body, template, .. } = records;
        for (line, template) in body.iter().zip(template) {
            *template = TemplateId(miner.assign(line).id);
        }
        let touched = miner.take_changes();
        if touched.is_empty() {
            return;
        }
        // The miner stays locked: another request must not store an id before its definition is in the registry.
        let mut registry = directory.write();
        for id in touched {
            registry.template(TemplateDef { id: TemplateId(id), text: miner.text(id).into() });
        }
    }

    /// How many templates there are.
    pub fn len(&self) -> usize {
        self.miner.lock().len()
    }

    /// Whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
