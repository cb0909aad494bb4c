//! What was seen of versions while they answered, as far as it is known now: gates ask it. It is told by whoever
//! watches, and is not kept.

use std::collections::BTreeMap;

use crate::{book::Book, search::pattern::Pattern};

/// What was seen of one version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Rows that it predicted, as a shadow, a canary or in use.
    pub rows: u64,
    /// Pairs of labels in which its error was held against that of the version before it.
    pub pairs: u64,
    /// Its mean error less that of the version before it.
    pub difference: Option<f64>,
    /// Share of rows for which it said, as a shadow, what was answered; 0..=1.
    pub agreement: Option<f64>,
    /// Its requests that were refused or broke, of all, since it was loaded; 0..=1.
    pub refused: f64,
    /// What is being found of it: measure and words.
    pub findings: BTreeMap<String, String>,
}

impl Observed {
    /// What is being found of the measures that the settings name, `*` for any text: measure and words.
    pub(crate) fn found<'a>(&'a self, measures: &'a [String]) -> impl Iterator<Item = (&'a String, &'a String)> {
        let is_meant = |measure: &str| measures.iter().any(|meant| Pattern::with_stars(meant).matches(measure));
        self.findings.iter().filter(move |(measure, _)| is_meant(measure))
    }
}

/// Whether measures of the settings are such as are found of models.
pub(crate) fn are_of_models(measures: &[String]) -> bool {
    measures.iter().all(|measure| measure.starts_with("model_"))
}

impl Book {
    /// Notes what was seen of a version.
    pub fn observe(&mut self, model: &str, version: u64, note: impl FnOnce(&mut Observed)) {
        note(self.observed.entry((model.to_owned(), version)).or_default());
    }

    /// What was seen of a version; `None`: nothing yet.
    pub fn observed(&self, model: &str, version: u64) -> Option<&Observed> {
        self.observed.get(&(model.to_owned(), version))
    }

    /// Takes over what is not kept, for a book that was read again: the settings, and what was seen.
    pub fn take_unkept(&mut self, from: &Book) {
        self.gates.clone_from(&from.gates);
        self.rollouts.clone_from(&from.rollouts);
        self.retraining.clone_from(&from.retraining);
        self.observed.clone_from(&from.observed);
    }
}
