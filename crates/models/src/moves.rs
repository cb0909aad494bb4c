//! What became of versions: who registered, moved and removed them, and when. So it can be said which one was in use at
//! any time.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    book::{Book, Kind},
    registry::{RegisteredModel, Stage},
    serving::in_use,
    traffic::{CANARY, Phase, SHADOW},
};

/// One move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Its number, from 1; later moves have higher ones.
    pub number: u64,
    /// Of which registered model.
    pub model: String,
    /// When, ms.
    pub at: i64,
    /// Who did it; empty: the server itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// What was done.
    pub what: What,
    /// The version in use before and after; `None`: there is none.
    pub before: Option<u64>,
    /// See `before`.
    pub after: Option<u64>,
    /// Gates that it passed, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<String>,
    /// Versions that are at another place in their life by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseChange>,
    /// Why, where it was not somebody who moved it by hand.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Whether the journal has it.
    #[serde(default)]
    pub journaled: bool,
}

/// What a move does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum What {
    /// A version came.
    Registered {
        /// Its number.
        version: u64,
    },
    /// A version went.
    Removed {
        /// Its number.
        version: u64,
    },
    /// An alias means another version.
    Alias {
        /// Which.
        alias: String,
        /// What it meant; `None`: it was not there.
        from: Option<u64>,
        /// What it means; `None`: it is gone.
        to: Option<u64>,
    },
    /// A version is in another stage.
    Stage {
        /// Its number.
        version: u64,
        /// Where it was.
        from: Stage,
        /// Where it is.
        to: Stage,
    },
    /// Somebody approves a version.
    Approved {
        /// Its number.
        version: u64,
    },
}

/// A version that is at another place in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseChange {
    /// Its number.
    pub version: u64,
    /// Where it was; `None`: it is new.
    pub from: Option<Phase>,
    /// Where it is; `None`: it is gone.
    pub to: Option<Phase>,
}

/// What moves change of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    aliases: BTreeMap<String, u64>,
    stages: BTreeMap<u64, Stage>,
}

impl Places {
    pub(crate) fn of(model: Option<&RegisteredModel>) -> Places {
        let Some(model) = model else { return Places::default() };
        let stages = model.versions.values().map(|version| (version.version, version.stage)).collect();
        Places { aliases: model.aliases.clone(), stages }
    }

    /// The version in use: as [`RegisteredModel::in_use`] says.
    fn in_use(&self) -> Option<u64> {
        let stages = self.stages.iter().map(|(number, stage)| (*number, *stage));
        in_use(&self.aliases, |number| self.stages.contains_key(&number), stages)
    }

    /// Where a version is in its life; `used`: those that answered at some time.
    pub(crate) fn phase(&self, number: u64, used: &BTreeSet<u64>) -> Phase {
        let means = |alias: &str| self.aliases.get(alias) == Some(&number);
        match self.stages.get(&number) {
            _ if self.in_use() == Some(number) => Phase::Live,
            _ if means(CANARY) => Phase::Canary,
            _ if means(SHADOW) => Phase::Shadow,
            Some(Stage::Archived) => Phase::Retired,
            _ if used.contains(&number) => Phase::Retired,
            _ => Phase::Trained,
        }
    }

    /// Versions whose phase is another afterwards.
    fn phases_to(&self, after: &Places, used: &BTreeSet<u64>) -> Vec<PhaseChange> {
        let mut used_after = used.clone();
        used_after.extend(self.in_use().into_iter().chain(self.aliases.get(CANARY).copied()));
        let numbers: BTreeSet<u64> = self.stages.keys().chain(after.stages.keys()).copied().collect();
        let phase = |places: &Places, version: &u64, used: &BTreeSet<u64>| {
            places.stages.contains_key(version).then(|| places.phase(*version, used))
        };
        let change = |version: u64| {
            let (from, to) = (phase(self, &version, used), phase(after, &version, &used_after));
            (from != to).then_some(PhaseChange { version, from, to })
        };
        numbers.into_iter().filter_map(change).collect()
    }

    /// What became of these places.
    fn moves_to(&self, after: &Places) -> Vec<What> {
        let mut all = Vec::new();
        for (version, stage) in &after.stages {
            match self.stages.get(version) {
                None => {
                    all.push(What::Registered { version: *version });
                    if *stage != Stage::None {
                        all.push(What::Stage { version: *version, from: Stage::None, to: *stage });
                    }
                }
                Some(from) if from != stage => {
                    all.push(What::Stage { version: *version, from: *from, to: *stage });
                }
                Some(_) => {}
            }
        }
        let names: BTreeSet<&String> = self.aliases.keys().chain(after.aliases.keys()).collect();
        for alias in names {
            let (from, to) = (self.aliases.get(alias).copied(), after.aliases.get(alias).copied());
            if from != to {
                all.push(What::Alias { alias: alias.clone(), from, to });
            }
        }
        let gone = self.stages.keys().filter(|version| !after.stages.contains_key(version));
        all.extend(gone.map(|version| What::Removed { version: *version }));
        all
    }

    /// Takes a move back.
    fn undo(&mut self, what: &What) {
        match what {
            What::Registered { version } => drop(self.stages.remove(version)),
            What::Removed { version } => drop(self.stages.entry(*version).or_default()),
            What::Stage { version, from, .. } => drop(self.stages.insert(*version, *from)),
            What::Alias { alias, from: Some(from), .. } => drop(self.aliases.insert(alias.clone(), *from)),
            What::Alias { alias, from: None, .. } => drop(self.aliases.remove(alias)),
            What::Approved { .. } => {}
        }
    }
}

/// Who changes the book, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acting {
    pub by: String,
    pub at: i64,
    pub why: String,
}

impl Book {
    /// Says who makes the next changes, and when, ms.
    pub fn act_as(&mut self, by: &str, at: i64) {
        self.acting = Acting { by: by.to_owned(), at, why: String::new() };
    }

    /// Says why the next changes are made, until somebody else makes some.
    pub fn because(&mut self, why: String) {
        self.acting.why = why;
    }

    /// Notes what became of a model's versions.
    pub(crate) fn note_moves(&mut self, name: &str, before: &Places, gates: Vec<String>) {
        let after = Places::of(self.registered.get(name));
        let moves = before.moves_to(&after);
        if moves.is_empty() {
            return;
        }
        let mut phases = before.phases_to(&after, &self.ever_answered(name));
        for what in moves {
            self.note_move(name, what, before.in_use(), after.in_use(), gates.clone());
            if let Some(mut made) = self.moves.last_entry() {
                made.get_mut().phases = std::mem::take(&mut phases);
            }
        }
    }

    fn note_move(&mut self, name: &str, what: What, before: Option<u64>, after: Option<u64>, gates: Vec<String>) {
        let number = self.moves.keys().next_back().map_or(1, |last| last + 1);
        let Acting { by, at, why } = self.acting.clone();
        let (model, phases) = (name.to_owned(), Vec::new());
        self.moves
            .insert(number, Move { number, model, at, by, what, before, after, gates, phases, why, journaled: false });
        self.touch(Kind::Move, number.to_string());
    }

    /// A model has another name: its moves are those of that.
    pub(crate) fn rename_moves(&mut self, from: &str, to: &str) {
        let renamed: Vec<u64> = self.moves_of(from).map(|made| made.number).collect();
        for number in renamed {
            if let Some(made) = self.moves.get_mut(&number) {
                made.model = to.to_owned();
            }
            self.touch(Kind::Move, number.to_string());
        }
    }

    /// What became of a model's versions, in order.
    pub fn moves_of<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a Move> {
        self.moves.values().filter(move |made| made.model == name)
    }

    /// Moves that the journal does not have yet, in order: it takes them in order.
    pub fn moves_to_journal(&self) -> Vec<Move> {
        let mut waiting: Vec<Move> = self.moves.values().rev().take_while(|made| !made.journaled).cloned().collect();
        waiting.reverse();
        waiting
    }

    /// The journal has these now.
    pub fn moves_journaled(&mut self, numbers: &[u64]) {
        for number in numbers {
            if let Some(made) = self.moves.get_mut(number) {
                made.journaled = true;
            }
            self.touch(Kind::Move, number.to_string());
        }
    }

    /// The version of a model that was in use at a time, ms; `None`: none was.
    ///
    /// # Errors
    /// A model that is not there and never was.
    pub fn in_use_at(&self, name: &str, at: i64) -> Result<Option<u64>, Problem> {
        if self.moves_of(name).next().is_none() {
            self.registered(name)?;
        }
        let mut places = Places::of(self.registered.get(name));
        for made in self.moves_of(name).rev().take_while(|made| made.at > at) {
            places.undo(&made.what);
        }
        Ok(places.in_use())
    }

    /// Notes that somebody approves a version.
    ///
    /// # Errors
    /// A version that is not there.
    pub fn approve(&mut self, name: &str, version: &str) -> Result<u64, Problem> {
        let number = self.version(name, version)?.1.version;
        let in_use = Places::of(self.registered.get(name)).in_use();
        self.note_move(name, What::Approved { version: number }, in_use, in_use, Vec::new());
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::NewVersion;
    use crate::serving::CHAMPION;

    fn book() -> Book {
        let mut book = Book::default();
        book.ensure_default(1);
        book.act_as("ann", 10);
        book.create_registered("iris", "", vec![], 10).unwrap();
        for at in [20, 30] {
            book.act_as("ann", at);
            let new = NewVersion { name: "iris".into(), source: "s3://a".into(), ..NewVersion::default() };
            book.create_version(new, at).unwrap();
        }
        book
    }

    #[test]
    fn the_version_in_use_is_known_for_any_time() {
        let mut book = book();
        book.act_as("bob", 40);
        book.set_alias("iris", CHAMPION, "1").unwrap();
        book.act_as("bob", 50);
        book.set_alias("iris", CHAMPION, "2").unwrap();
        book.act_as("bob", 60);
        book.delete_version("iris", "2", 60).unwrap();
        let at = |at| book.in_use_at("iris", at).unwrap();
        assert_eq!([5, 20, 30, 40, 50, 60].map(at), [None, Some(1), Some(2), Some(1), Some(2), Some(1)]);
        assert!(book.in_use_at("none", 5).is_err());
        let told: Vec<(i64, &str, Option<u64>)> =
            book.moves_of("iris").map(|m| (m.at, m.by.as_str(), m.after)).collect();
        assert_eq!(told[..2], [(20, "ann", Some(1)), (30, "ann", Some(2))]);
        assert_eq!(book.moves_of("iris").count(), 6, "the alias went with its version");
    }

    #[test]
    fn moves_survive_and_are_journaled_once() {
        let mut book = book();
        let mut kept: Vec<(String, String, String)> = Vec::new();
        for document in book.take_changes().documents {
            kept.extend(document.body.map(|body| (document.kind.into(), document.id, body)));
        }
        let mut read = Book::load(kept).unwrap();
        assert_eq!(read.moves_to_journal(), book.moves_to_journal());
        let numbers: Vec<u64> = read.moves_to_journal().iter().map(|made| made.number).collect();
        read.moves_journaled(&numbers);
        assert!(read.moves_to_journal().is_empty() && numbers == [1, 2]);
        book.rename_registered("iris", "flowers", 70).unwrap();
        assert_eq!(book.in_use_at("flowers", 20).unwrap(), Some(1));
        book.delete_registered("flowers").unwrap();
        assert_eq!(book.in_use_at("flowers", 20).unwrap(), Some(1), "what is gone is still known");
    }
}
