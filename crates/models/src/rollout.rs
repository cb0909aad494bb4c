//! Rollouts: how a version goes from shadow to canary to use by itself, one step at a time, and back where it shows
//! itself to be worse. What each step asks for are the gates before it; a rollout adds the waiting and the giving up.

use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    book::Book,
    gates,
    moves::{Move, What},
    observed::are_of_models,
    registry::RegisteredModel,
    search::pattern::Pattern,
    serving::CHAMPION,
    traffic::{CANARY, CANARY_PERCENT, SHADOW},
};

/// One rollout, as the settings say it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// What it is called.
    pub name: String,
    /// Of which models: names, `*` for any text.
    #[serde(default = "gates::any")]
    pub models: String,
    /// Minutes that a version is a shadow at least.
    #[serde(default = "usual_shadow")]
    pub shadow_minutes: u32,
    /// The canary's shares of the requests, one after the other, in percent.
    #[serde(default = "usual_shares")]
    pub canary_percents: Vec<f64>,
    /// Minutes at each of them at least.
    #[serde(default = "usual_canary")]
    pub canary_minutes: u32,
    /// What must not be found of a canary, or it is taken back: measures, `*` for any text.
    #[serde(default = "usual_back")]
    pub back_on: Vec<String>,
    /// By how much the share of its requests that a canary refuses may be above that of the version in use, 0..=1.
    #[serde(default = "usual_refused")]
    pub refused: f64,
}

fn usual_shadow() -> u32 {
    60
}

fn usual_shares() -> Vec<f64> {
    vec![5.0, 25.0, 50.0]
}

fn usual_canary() -> u32 {
    30
}

fn usual_back() -> Vec<String> {
    ["model_worse", "model_errors", "model_fairness", "model_prediction_drift"].map(String::from).to_vec()
}

fn usual_refused() -> f64 {
    0.05
}

/// A step that is due.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A version answers a share from now on, percent.
    Canary {
        /// Its number.
        version: u64,
        /// The share.
        percent: f64,
    },
    /// A version is in use from now on.
    Live {
        /// Its number.
        version: u64,
    },
    /// A version is no canary any more.
    Back {
        /// Its number.
        version: u64,
    },
}

/// Where a version stands in its rollout.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Its number.
    pub version: u64,
    /// What is due, if something is.
    pub step: Option<Step>,
    /// Why it is due, or what is waited for.
    pub why: String,
}

impl Rollout {
    /// What is wrong with it, if something is.
    ///
    /// # Errors
    /// No name, and shares that are none or do not rise.
    pub fn check(&self) -> Result<(), String> {
        let is_share = |percent: &f64| *percent > 0.0 && *percent <= 100.0;
        let rises = self.canary_percents.windows(2).all(|pair| pair[0] < pair[1]);
        match () {
            () if self.name.trim().is_empty() => Err("a rollout has no name".into()),
            () if !self.canary_percents.iter().all(is_share) || !rises => {
                Err(format!("rollout {:?}: canary_percents are shares above 0 up to 100 that rise", self.name))
            }
            () if !(0.0..=1.0).contains(&self.refused) => {
                Err(format!("rollout {:?}: refused is a number from 0 to 1", self.name))
            }
            () if !are_of_models(&self.back_on) => {
                Err(format!("rollout {:?}: what it goes back on begins with model_, as model_* does", self.name))
            }
            () => Ok(()),
        }
    }

    /// Where the version that is being rolled out stands at a time, ms; `None` where there is none.
    pub fn standing(&self, book: &Book, model: &RegisteredModel, now: i64) -> Option<Standing> {
        if let Some((canary, percent)) = model.canary() {
            return Some(self.of_canary(book, model, canary.version, percent, now));
        }
        let version = model.shadow()?.version;
        let minutes = minutes_since(book, &model.name, SHADOW, version, now);
        let wait = |why: String| Some(Standing { version, step: None, why });
        if !has_shown_itself(book, &model.name, version) {
            return wait(UNSEEN.into());
        }
        if minutes < i64::from(self.shadow_minutes) {
            return wait(format!("a shadow for {minutes} of {} minutes", self.shadow_minutes));
        }
        let first = self.canary_percents.first().copied();
        let place = if first.is_some() { CANARY } else { CHAMPION };
        if let Some(why) = refusal(book, &model.name, place, version) {
            return wait(why);
        }
        let step = first.map_or(Step::Live { version }, |percent| Step::Canary { version, percent });
        Some(Standing {
            version,
            step: Some(step),
            why: format!("it was a shadow for {minutes} minutes, and no gate refuses it"),
        })
    }

    fn of_canary(&self, book: &Book, model: &RegisteredModel, version: u64, percent: f64, now: i64) -> Standing {
        if let Some(why) = self.failure(book, model, version) {
            return Standing { version, step: Some(Step::Back { version }), why };
        }
        let since = share_since(model).unwrap_or(0).max(moved_at(book, &model.name, CANARY, version));
        let minutes = (now - since) / 60_000;
        let wait = |why: String| Standing { version, step: None, why };
        if !has_shown_itself(book, &model.name, version) {
            return wait(UNSEEN.into());
        }
        if minutes < i64::from(self.canary_minutes) {
            return wait(format!("a canary at {percent} % for {minutes} of {} minutes", self.canary_minutes));
        }
        let next = self.canary_percents.iter().copied().find(|next| *next > percent);
        let why = format!("it was a canary at {percent} % for {minutes} minutes, and no gate refuses it");
        match next {
            Some(percent) => Standing { version, step: Some(Step::Canary { version, percent }), why },
            None => match refusal(book, &model.name, CHAMPION, version) {
                Some(why) => wait(why),
                None => Standing { version, step: Some(Step::Live { version }), why },
            },
        }
    }

    /// Why a canary is to be taken back: what is found of it, or refused by it, and not of the version in use.
    fn failure(&self, book: &Book, model: &RegisteredModel, version: u64) -> Option<String> {
        let seen = book.observed(&model.name, version)?;
        let of_in_use = model.in_use().and_then(|in_use| book.observed(&model.name, in_use.version));
        let is_common = |measure: &String| of_in_use.is_some_and(|seen| seen.findings.contains_key(measure));
        let found = seen.found(&self.back_on).find(|(measure, _)| !is_common(measure));
        let found = found.map(|(measure, words)| format!("{measure} is being found of it: {words}"));
        let refuses = || {
            let (own, usual) = (seen.refused * 100.0, of_in_use.map_or(0.0, |seen| seen.refused) * 100.0);
            let says = format!("{own:.1} % of its requests were refused, of the version in use {usual:.1} %");
            (own - usual > self.refused * 100.0).then_some(says)
        };
        found.or_else(refuses)
    }
}

/// What is waited for where a version cannot be judged.
const UNSEEN: &str = "it has not predicted a row that was kept: is it asked, can it be run, is bellwether.log off?";

fn has_shown_itself(book: &Book, name: &str, version: u64) -> bool {
    book.observed(name, version).is_some_and(|seen| seen.rows > 0)
}

/// The tag that says since when the canary has its share, ms.
const SHARE_SINCE: &str = "bellwether.canary.since";

fn share_since(model: &RegisteredModel) -> Option<i64> {
    model.tags.get(SHARE_SINCE)?.parse().ok()
}

fn refusal(book: &Book, name: &str, place: &str, version: u64) -> Option<String> {
    let first = book.refusals(name, place, version).ok()?.into_iter().next()?;
    Some(format!("gate '{}': {}", first.0, first.1))
}

/// When an alias was given to a version last, ms.
fn moved_at(book: &Book, name: &str, alias: &str, version: u64) -> i64 {
    let is_it =
        |made: &&Move| matches!(&made.what, What::Alias { alias: a, to, .. } if a == alias && *to == Some(version));
    book.moves_of(name).rev().find(is_it).map_or(0, |made| made.at)
}

fn minutes_since(book: &Book, name: &str, alias: &str, version: u64, now: i64) -> i64 {
    (now - moved_at(book, name, alias, version)) / 60_000
}

impl Book {
    /// Sets the rollouts that hold from now on. They are settings, and not kept.
    pub fn set_rollouts(&mut self, rollouts: Vec<Rollout>) {
        self.rollouts = rollouts;
    }

    /// The rollout of a model: the first that names it.
    pub fn rollout_of(&self, name: &str) -> Option<&Rollout> {
        self.rollouts.iter().find(|rollout| Pattern::with_stars(&rollout.models).matches(name))
    }

    /// Where the versions that are being rolled out stand, by model.
    pub fn standings(&self, now: i64) -> Vec<(String, Standing)> {
        let of = |model: &RegisteredModel| {
            let standing = self.rollout_of(&model.name)?.standing(self, model, now)?;
            Some((model.name.clone(), standing))
        };
        self.registered.values().filter_map(of).collect()
    }

    /// Takes a step that is due, if it still is.
    ///
    /// # Errors
    /// A gate that refuses it after all.
    pub fn take_step(&mut self, name: &str, standing: &Standing, now: i64) -> Result<(), Problem> {
        let due = self.rollout_of(name).and_then(|rollout| rollout.standing(self, self.registered(name).ok()?, now));
        let Some(step) = due.filter(|due| due.step == standing.step).and_then(|due| due.step) else { return Ok(()) };
        self.because(standing.why.clone());
        match step {
            Step::Canary { version, percent } => {
                self.set_alias(name, CANARY, &version.to_string())?;
                self.set_registered_tag(name, CANARY_PERCENT, &percent.to_string())?;
                self.set_registered_tag(name, SHARE_SINCE, &now.to_string())?;
                self.leave(name, SHADOW, version)
            }
            Step::Live { version } => {
                self.set_alias(name, CHAMPION, &version.to_string())?;
                self.leave(name, SHADOW, version)?;
                self.leave_canary(name, version)
            }
            Step::Back { version } => self.leave_canary(name, version),
        }
    }

    /// Ends a canary; the next one begins with its own share.
    fn leave_canary(&mut self, name: &str, version: u64) -> Result<(), Problem> {
        self.delete_registered_tag(name, CANARY_PERCENT)?;
        self.delete_registered_tag(name, SHARE_SINCE)?;
        self.leave(name, CANARY, version)
    }

    /// Takes an alias from a version.
    fn leave(&mut self, name: &str, alias: &str, version: u64) -> Result<(), Problem> {
        let means_it = self.registered(name)?.aliases.get(alias) == Some(&version);
        if means_it { self.delete_alias(name, alias) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{registry::NewVersion, traffic::Phase};

    const MINUTE: i64 = 60_000;

    fn book(rollout: serde_json::Value) -> Book {
        let mut book = Book::default();
        book.ensure_default(1);
        book.create_registered("iris", "", vec![], 1).unwrap();
        for _ in 0..2 {
            let new = NewVersion { name: "iris".into(), source: "s3://a".into(), ..NewVersion::default() };
            book.create_version(new, 2).unwrap();
        }
        book.set_rollouts(vec![serde_json::from_value(rollout).unwrap()]);
        book.set_alias("iris", CHAMPION, "1").unwrap();
        book.act_as("ann", 0);
        book.set_alias("iris", SHADOW, "2").unwrap();
        book
    }

    /// Takes what is due at a minute; what was waited for, or done.
    fn at(book: &mut Book, minute: i64) -> String {
        let now = minute * MINUTE;
        let Some((name, standing)) = book.standings(now).pop() else { return "none".into() };
        book.act_as("rollout", now);
        book.take_step(&name, &standing, now).unwrap();
        match standing.step {
            None => standing.why,
            Some(Step::Canary { percent, .. }) => format!("canary {percent}"),
            Some(Step::Live { .. }) => "live".into(),
            Some(Step::Back { .. }) => "back".into(),
        }
    }

    #[test]
    fn a_version_goes_from_shadow_to_canary_to_use() {
        let mut book = book(
            serde_json::json!({"name": "slow", "shadow_minutes": 10, "canary_percents": [5, 50], "canary_minutes": 20}),
        );
        assert!(at(&mut book, 9).contains("has not predicted a row"));
        book.observe("iris", 2, |seen| seen.rows = 1);
        assert_eq!(at(&mut book, 9), "a shadow for 9 of 10 minutes");
        assert_eq!(at(&mut book, 10), "canary 5");
        let model = book.registered("iris").unwrap();
        assert_eq!((model.shadow(), model.canary().map(|(v, s)| (v.version, s))), (None, Some((2, 5.0))));
        assert_eq!(at(&mut book, 29), "a canary at 5 % for 19 of 20 minutes");
        assert_eq!([30, 49, 50].map(|minute| at(&mut book, minute))[2], "live");
        assert_eq!(book.phases("iris").unwrap(), [(1, Phase::Retired), (2, Phase::Live)]);
        assert_eq!(at(&mut book, 51), "none");
        let made = book.moves_of("iris").rfind(|made| made.after == Some(2) && made.before == Some(1)).unwrap();
        assert_eq!(made.by, "rollout");
        assert!(made.why.contains("canary at 50 % for 20 minutes"), "{}", made.why);
    }

    #[test]
    fn gates_hold_a_rollout_and_a_bad_canary_goes_back() {
        let mut book =
            book(serde_json::json!({"name": "r", "shadow_minutes": 1, "canary_percents": [10], "canary_minutes": 1}));
        let gate = serde_json::json!({"name": "rows", "rows": 100, "before": ["canary"]});
        book.set_gates(vec![serde_json::from_value(gate).unwrap()]);
        book.observe("iris", 2, |seen| seen.rows = 9);
        assert_eq!(at(&mut book, 5), "gate 'rows': it predicted 9 rows so far, and must have 100");
        book.observe("iris", 2, |seen| seen.rows = 100);
        assert_eq!(at(&mut book, 6), "canary 10");
        for version in [1, 2] {
            book.observe("iris", version, |seen| {
                seen.refused = 0.2;
                seen.findings.insert("model_errors".into(), "the world changed".into());
            });
        }
        let model = book.registered("iris").unwrap();
        assert_eq!(book.rollouts[0].failure(&book, model, 2), None, "the version in use does no better");
        book.observe("iris", 2, |seen| seen.refused = 0.3);
        let why = book.rollouts[0].failure(&book, book.registered("iris").unwrap(), 2).unwrap();
        assert_eq!(why, "30.0 % of its requests were refused, of the version in use 20.0 %");
        book.observe("iris", 2, |seen| {
            seen.refused = 0.2;
            seen.findings.insert("model_worse".into(), "it errs".into());
        });
        assert_eq!(at(&mut book, 7), "back");
        assert_eq!(book.registered("iris").unwrap().tags.len(), 0, "the next canary has its own share");
        assert_eq!(book.phases("iris").unwrap()[1].1, Phase::Retired, "it was the newest, and so in use, once");
        let last = book.moves_of("iris").next_back().unwrap();
        assert_eq!(last.why, "model_worse is being found of it: it errs");
        assert_eq!(at(&mut book, 90), "none", "nobody tries it again by itself");
    }

    #[test]
    fn bad_rollouts_are_refused() {
        let check = |value: serde_json::Value| serde_json::from_value::<Rollout>(value).unwrap().check();
        assert!(check(serde_json::json!({"name": "r"})).is_ok());
        for (bad, says) in [
            (serde_json::json!({"name": ""}), "no name"),
            (serde_json::json!({"name": "r", "canary_percents": [50, 5]}), "that rise"),
            (serde_json::json!({"name": "r", "canary_percents": [0]}), "above 0"),
            (serde_json::json!({"name": "r", "back_on": ["errors"]}), "begins with model_"),
            (serde_json::json!({"name": "r", "refused": 5}), "from 0 to 1"),
        ] {
            assert!(check(bad.clone()).unwrap_err().contains(says), "{bad}");
        }
        assert!(serde_json::from_value::<Rollout>(serde_json::json!({"name": "r", "minutes": 1})).is_err());
    }
}
