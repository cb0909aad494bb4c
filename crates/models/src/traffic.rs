//! Who is asked besides the version in use: the canary answers a share of the requests, the shadow is asked beside the
//! answer and heard by nobody. Both are aliases, so that any client of the registry can set them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    book::Book,
    moves::{Move, Places, What},
    registry::{RegisteredModel, Version},
};

/// The alias whose version answers a share of the requests that name no version.
pub const CANARY: &str = "canary";
/// The alias whose version is asked beside the answer.
pub const SHADOW: &str = "shadow";
/// The tag of a registered model that says how large the canary's share is, in percent.
pub const CANARY_PERCENT: &str = "bellwether.canary.percent";
/// The canary's share where the tag does not say it: few are hurt, and it is judged within a day at a request a second.
const USUAL_PERCENT: f64 = 5.0;

/// Where a version is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It is registered.
    Trained,
    /// It is asked beside the answer.
    Shadow,
    /// It answers a share.
    Canary,
    /// It is in use.
    Live,
    /// It was in use or a canary, or was archived.
    Retired,
}

impl RegisteredModel {
    /// The version that answers a share of the requests, and that share, percent.
    pub fn canary(&self) -> Option<(&Version, f64)> {
        let version = self.beside(CANARY)?;
        let percent = self.tags.get(CANARY_PERCENT).and_then(|said| percent_of(said));
        Some((version, percent.unwrap_or(USUAL_PERCENT)))
    }

    /// The version that is asked beside the answer.
    pub fn shadow(&self) -> Option<&Version> {
        self.beside(SHADOW)
    }

    /// The version of an alias, where another is in use.
    fn beside(&self, alias: &str) -> Option<&Version> {
        let version = self.versions.get(self.aliases.get(alias)?)?;
        let in_use = self.in_use()?.version;
        (version.version != in_use).then_some(version)
    }
}

/// A share of requests, 0..=100.
pub(crate) fn percent_of(text: &str) -> Option<f64> {
    let text = text.trim();
    let percent: f64 = text.strip_suffix('%').unwrap_or(text).trim().parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent)
}

impl Book {
    /// Where each version of a model is in its life, by number.
    ///
    /// # Errors
    /// A model that is not there.
    pub fn phases(&self, name: &str) -> Result<Vec<(u64, Phase)>, Problem> {
        let model = self.registered(name)?;
        let places = Places::of(Some(model));
        let used = self.ever_answered(name);
        Ok(model.versions.keys().map(|number| (*number, places.phase(*number, &used))).collect())
    }

    /// Versions that answered at some time: in use, or as a canary.
    pub(crate) fn ever_answered(&self, name: &str) -> BTreeSet<u64> {
        let canary = |made: &Move| match &made.what {
            What::Alias { alias, to, .. } if alias == CANARY => *to,
            _ => None,
        };
        self.moves_of(name).flat_map(|made| [made.before, made.after, canary(made)]).flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{registry::NewVersion, serving::CHAMPION};

    fn book(versions: usize) -> Book {
        let mut book = Book::default();
        book.ensure_default(1);
        book.create_registered("iris", "", vec![], 1).unwrap();
        for _ in 0..versions {
            let new = NewVersion { name: "iris".into(), source: "s3://a".into(), ..NewVersion::default() };
            book.create_version(new, 2).unwrap();
        }
        book
    }

    #[test]
    fn a_canary_has_its_share_and_is_none_once_it_is_in_use() {
        let mut book = book(3);
        book.set_alias("iris", CHAMPION, "1").unwrap();
        let canary = |book: &Book| book.registered("iris").unwrap().canary().map(|(v, percent)| (v.version, percent));
        assert_eq!(canary(&book), None);
        book.set_alias("iris", CANARY, "2").unwrap();
        assert_eq!(canary(&book), Some((2, 5.0)));
        book.set_registered_tag("iris", CANARY_PERCENT, "25 %").unwrap();
        assert_eq!(canary(&book), Some((2, 25.0)));
        for bad in ["101", "-1", "half", "NaN"] {
            let refused = book.set_registered_tag("iris", CANARY_PERCENT, bad).unwrap_err();
            assert!(refused.message.contains("from 0 to 100"), "{}", refused.message);
        }
        book.set_alias("iris", CHAMPION, "2").unwrap();
        assert_eq!(canary(&book), None);
        book.set_alias("iris", SHADOW, "3").unwrap();
        assert_eq!(book.registered("iris").unwrap().shadow().map(|v| v.version), Some(3));
    }

    #[test]
    fn versions_go_through_their_phases() {
        let mut book = book(4);
        let phases = |book: &Book| -> Vec<Phase> { book.phases("iris").unwrap().into_iter().map(|p| p.1).collect() };
        book.set_alias("iris", CHAMPION, "1").unwrap();
        book.set_alias("iris", CANARY, "3").unwrap();
        book.set_alias("iris", SHADOW, "4").unwrap();
        // Each was the newest once, and so was in use.
        assert_eq!(phases(&book), [Phase::Live, Phase::Retired, Phase::Canary, Phase::Shadow]);
        book.act_as("ann", 9);
        book.set_alias("iris", CHAMPION, "3").unwrap();
        assert_eq!(phases(&book), [Phase::Retired, Phase::Retired, Phase::Live, Phase::Shadow]);
        let last = book.moves_of("iris").next_back().unwrap();
        let stepped: Vec<_> = last.phases.iter().map(|p| (p.version, p.from, p.to)).collect();
        assert_eq!(
            stepped,
            [(1, Some(Phase::Live), Some(Phase::Retired)), (3, Some(Phase::Canary), Some(Phase::Live))]
        );
        let new = NewVersion { name: "iris".into(), source: "s3://a".into(), ..NewVersion::default() };
        book.create_version(new, 10).unwrap();
        assert_eq!(phases(&book)[4], Phase::Trained);
        book.transition("iris", "5", "Archived", false, 11).unwrap();
        assert_eq!(phases(&book)[4], Phase::Retired);
    }
}
