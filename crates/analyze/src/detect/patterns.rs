//! Templates made ready to find the values of their lines.

use math::{categories::hash_of, templates::Pattern};
use types::{Registry, TemplateId};

/// Patterns of templates; a cache that follows from the registry.
#[derive(Default)]
pub(crate) struct Patterns {
    by_template: Vec<Option<(Pattern, u64)>>,
    changes_seen: usize,
}

impl Patterns {
    /// Forgets templates whose text changed.
    pub(crate) fn update(&mut self, registry: &Registry) {
        let log = registry.template_log();
        for id in log.get(self.changes_seen..).unwrap_or_default() {
            if let Some(known) = self.by_template.get_mut(id.0 as usize) {
                *known = None;
            }
        }
        self.changes_seen = log.len();
    }

    /// The pattern of a template with the hash of its text.
    pub(crate) fn of(&mut self, registry: &Registry, id: TemplateId) -> Option<&(Pattern, u64)> {
        let text = |id| registry.template_def(id).map(|def| &*def.text);
        let at = id.0 as usize;
        if at >= self.by_template.len() {
            text(id)?;
            self.by_template.resize(at + 1, None);
        }
        let slot = self.by_template.get_mut(at)?;
        if slot.is_none() {
            let text = text(id)?;
            *slot = Some((Pattern::new(text), hash_of(text)));
        }
        slot.as_ref()
    }
}
