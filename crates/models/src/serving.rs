//! Which version of a model answers, and where its files are.

use std::collections::BTreeMap;

use crate::{
    Code, Problem,
    book::Book,
    limits,
    registry::{RegisteredModel, Stage, Version},
};

/// The alias whose version answers where a request names none.
pub const CHAMPION: &str = "champion";

/// Which version is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// The one in use: alias `champion`, else the newest in stage Production, else the newest.
    InUse,
    /// A number.
    Number(u64),
    /// An alias.
    Alias(String),
}

impl Which {
    /// Reads what a client names: nothing, a number, or an alias.
    pub fn of(text: &str) -> Which {
        match text {
            "" => Which::InUse,
            text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().map_or_else(|_| Which::Alias(text.to_owned()), Which::Number)
            }
            alias => Which::Alias(alias.trim_start_matches('@').to_owned()),
        }
    }
}

impl RegisteredModel {
    /// The version that is in use: alias `champion`, else the newest in stage Production, else the newest.
    pub fn in_use(&self) -> Option<&Version> {
        let stages = self.versions.values().map(|version| (version.version, version.stage));
        in_use(&self.aliases, |number| self.versions.contains_key(&number), stages)
            .and_then(|number| self.versions.get(&number))
    }
}

/// The number of the version in use, by aliases and stages; `stages` by number.
pub(crate) fn in_use(
    aliases: &BTreeMap<String, u64>,
    is_there: impl Fn(u64) -> bool,
    stages: impl DoubleEndedIterator<Item = (u64, Stage)> + Clone,
) -> Option<u64> {
    let champion = aliases.get(CHAMPION).copied().filter(|number| is_there(*number));
    let number = |(number, _): (u64, Stage)| number;
    let production = || stages.clone().rev().find(|(_, stage)| *stage == Stage::Production).map(number);
    champion.or_else(production).or_else(|| stages.clone().next_back().map(number))
}

impl Book {
    /// The version that answers.
    ///
    /// # Errors
    /// [`Code::ResourceDoesNotExist`]: a model, version or alias that is not there.
    pub fn answering(&self, name: &str, which: &Which) -> Result<&Version, Problem> {
        limits::model_name(name)?;
        let model = self.registered(name)?;
        if model.is_prompt() {
            return Err(Problem::missing(format!("{name} is a prompt, and no model")));
        }
        let found = match which {
            Which::InUse => model.in_use(),
            Which::Number(number) => model.versions.get(number),
            Which::Alias(alias) if alias.eq_ignore_ascii_case("latest") => model.versions.values().next_back(),
            Which::Alias(alias) => model.aliases.get(alias).and_then(|number| model.versions.get(number)),
        };
        found.ok_or_else(|| {
            Problem::missing(match which {
                Which::InUse => format!("model {name} has no version"),
                Which::Number(number) => format!("model {name} has no version {number}"),
                Which::Alias(alias) => format!("model {name} has no alias {alias}"),
            })
        })
    }

    /// The versions whose state is asked for: the one that is named, or all, the newest first.
    ///
    /// # Errors
    /// As [`Book::answering`].
    pub fn asked(&self, name: &str, which: &Which) -> Result<Vec<u64>, Problem> {
        let one = self.answering(name, which)?.version;
        match which {
            Which::InUse => Ok(self.registered(name)?.versions.keys().rev().copied().collect()),
            _ => Ok(vec![one]),
        }
    }

    /// The folder of a version's files, below the root of files that are kept here.
    ///
    /// # Errors
    /// [`Code::NotImplemented`]: files that lie elsewhere.
    pub fn folder_of(&self, version: &Version) -> Result<String, Problem> {
        let within = |root: &str, rest: &str| {
            root.strip_prefix("mlflow-artifacts:/").map(|root| match rest.trim_matches('/') {
                "" => root.trim_matches('/').to_owned(),
                rest => format!("{}/{rest}", root.trim_matches('/')),
            })
        };
        let found = match version.location.strip_prefix("runs:/") {
            None => within(&version.location, ""),
            Some(path) => {
                let (run, rest) = path.split_once('/').unwrap_or((path, ""));
                within(&self.run(run)?.0.artifact_uri, rest)
            }
        };
        found.ok_or_else(|| Problem {
            code: Code::NotImplemented,
            message: format!("its files are at {}, and only files that are kept here are run", version.location),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::NewVersion;

    #[test]
    fn champions_come_before_stages_and_stages_before_the_newest() {
        let mut book = Book::default();
        book.ensure_default(1);
        book.create_registered("iris", "", vec![], 1).unwrap();
        let which =
            |book: &Book, text: &str| book.answering("iris", &Which::of(text)).map(|version| version.version).ok();
        assert_eq!(which(&book, ""), None);
        for _ in 0..3 {
            let new = NewVersion { name: "iris".into(), source: "s3://a".into(), ..NewVersion::default() };
            book.create_version(new, 2).unwrap();
        }
        assert_eq!(which(&book, ""), Some(3));
        book.transition("iris", "2", "Production", false, 3).unwrap();
        assert_eq!(which(&book, ""), Some(2));
        book.set_alias("iris", CHAMPION, "1").unwrap();
        assert_eq!(which(&book, ""), Some(1));
        assert_eq!((which(&book, "3"), which(&book, "latest"), which(&book, "@champion")), (Some(3), Some(3), Some(1)));
        assert_eq!((which(&book, "9"), which(&book, "none")), (None, None));
        let elsewhere = book.folder_of(book.answering("iris", &Which::InUse).unwrap()).unwrap_err();
        assert_eq!(elsewhere.code, Code::NotImplemented);
    }

    #[test]
    fn files_of_runs_are_found() {
        let mut book = Book::default();
        book.ensure_default(1);
        book.create_registered("iris", "", vec![], 1).unwrap();
        let run = crate::runs::NewRun { experiment: "0".into(), ..crate::runs::NewRun::default() };
        let run = book.create_run(run).unwrap().id.clone();
        let source = format!("runs:/{run}/model");
        let new = NewVersion { name: "iris".into(), source, run: run.clone(), ..NewVersion::default() };
        book.create_version(new, 2).unwrap();
        let version = book.answering("iris", &Which::InUse).unwrap();
        assert_eq!(book.folder_of(version).unwrap(), format!("0/{run}/artifacts/model"));
    }
}
