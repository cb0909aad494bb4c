//! Which templates are one kind of line.

use std::collections::BTreeMap;

use types::{Registry, TemplateId};

/// Templates that proved to be one have one text: which id stands for each. A cache that follows from the registry.
#[derive(Default)]
pub(crate) struct Kinds {
    /// The lowest id with the same text, by id.
    lowest: Vec<u32>,
    by_text: BTreeMap<Box<str>, u32>,
    changes_seen: usize,
}

impl Kinds {
    /// Takes in templates that are new or changed; answers with those that became one with a lower id.
    pub(crate) fn update(&mut self, registry: &Registry) -> Vec<(u32, u32)> {
        let log = registry.template_log();
        let mut changed: Vec<u32> = match log.get(self.changes_seen..) {
            Some(new) if !self.lowest.is_empty() => new.iter().map(|id| id.0).collect(),
            _ => (1..registry.templates().len() as u32).collect(),
        };
        self.changes_seen = log.len();
        changed.sort_unstable();
        changed.dedup();
        let text_of = |id: u32| registry.template_def(TemplateId(id)).map_or("", |def| &*def.text);
        let mut merged = Vec::new();
        for id in changed.into_iter().filter(|id| !text_of(*id).is_empty()) {
            let text = text_of(id);
            let known = self.by_text.get(text).copied().filter(|known| text_of(*known) == text).unwrap_or(id);
            let lowest = known.min(id);
            self.by_text.insert(text.into(), lowest);
            for of in [id, known] {
                let at = of as usize;
                while self.lowest.len() <= at {
                    self.lowest.push(self.lowest.len() as u32);
                }
                if self.lowest[at] != lowest {
                    self.lowest[at] = lowest;
                    merged.extend((of != lowest).then_some((of, lowest)));
                }
            }
        }
        merged
    }

    /// The id that stands for this one.
    pub(crate) fn of(&self, id: TemplateId) -> TemplateId {
        TemplateId(self.lowest.get(id.0 as usize).copied().unwrap_or(id.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_of_one_text_are_one_kind() {
        let mut registry = Registry::default();
        let mut define = |id: u32, text: &str| {
            registry.template(types::TemplateDef { id: TemplateId(id), text: text.into() });
            registry.clone()
        };
        define(1, "login of ann failed");
        define(2, "started");
        let first = define(3, "login of bob failed");
        let mut kinds = Kinds::default();
        assert_eq!(kinds.update(&first), []);
        define(1, "login of <*> failed");
        let merged = define(3, "login of <*> failed");
        assert_eq!(kinds.update(&merged), [(3, 1)]);
        assert_eq!((kinds.of(TemplateId(3)), kinds.of(TemplateId(2))), (TemplateId(1), TemplateId(2)));
        assert_eq!(kinds.update(&merged), []);
        assert_eq!(Kinds::default().update(&merged), [(3, 1)], "made again from the registry alone");
    }
}
