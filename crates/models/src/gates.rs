//! Gates: what a version must show before an alias or a stage may mean it. They hold for every client that moves one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    Code, Problem,
    book::Book,
    moves::What,
    registry::{RegisteredModel, Version},
    search::pattern::Pattern,
    serving::CHAMPION,
};

/// One gate, as the settings say it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// What it is called.
    pub name: String,
    /// Which models it stands before: names, `*` for any text.
    #[serde(default = "any")]
    pub models: String,
    /// Before which aliases and stages; default: `champion` and `Production`.
    #[serde(default = "usual")]
    pub before: Vec<String>,
    /// The metric that is looked at, of the logged model or its run.
    #[serde(default)]
    pub metric: Option<String>,
    /// It must be at least so much.
    #[serde(default)]
    pub at_least: Option<f64>,
    /// It must be at most so much.
    #[serde(default)]
    pub at_most: Option<f64>,
    /// It may be worse than that of the version in use by so much at most; more is worse where `at_most` is said or
    /// `less_is_better`.
    #[serde(default)]
    pub not_worse_by: Option<f64>,
    /// Whether less of the metric is better.
    #[serde(default)]
    pub less_is_better: bool,
    /// Whether both versions must have been measured on the same data.
    #[serde(default)]
    pub same_data: bool,
    /// How many people other than who registered the version must approve it.
    #[serde(default)]
    pub approvals: usize,
}

fn any() -> String {
    "*".into()
}

fn usual() -> Vec<String> {
    vec![CHAMPION.into(), "Production".into()]
}

/// What a version was measured to be.
struct Measured {
    value: f64,
    /// Digests of the data, where they are said.
    data: BTreeSet<String>,
}

impl Gate {
    /// What is wrong with it, if something is.
    ///
    /// # Errors
    /// A gate that asks for nothing, or compares without a metric.
    pub fn check(&self) -> Result<(), String> {
        let compares = self.at_least.is_some() || self.at_most.is_some() || self.not_worse_by.is_some();
        match &self.metric {
            _ if self.name.trim().is_empty() => Err("a gate has no name".into()),
            None if compares || self.same_data => Err(format!("gate {:?} compares and names no metric", self.name)),
            Some(metric) if !compares => Err(format!(
                "gate {:?} says nothing of metric {metric:?}: at_least, at_most or not_worse_by",
                self.name
            )),
            None if self.approvals == 0 => Err(format!("gate {:?} asks for nothing", self.name)),
            _ if self.not_worse_by.is_some_and(|by| !by.is_finite() || by < 0.0) => {
                Err(format!("gate {:?}: not_worse_by is a number from 0 on", self.name))
            }
            _ => Ok(()),
        }
    }

    fn is_of(&self, model: &str) -> bool {
        Pattern::with_stars(&self.models).matches(model)
    }

    fn stands_before(&self, model: &str, place: &str) -> bool {
        self.is_of(model) && self.before.iter().any(|before| before.eq_ignore_ascii_case(place))
    }
}

impl Book {
    /// Sets the gates that hold from now on. They are settings, and not kept.
    pub fn set_gates(&mut self, gates: Vec<Gate>) {
        self.gates = gates;
    }

    /// The gates that stand before some place of a model.
    pub fn gates_of<'a>(&'a self, model: &'a str) -> impl Iterator<Item = &'a Gate> {
        self.gates.iter().filter(move |gate| gate.is_of(model))
    }

    /// The gates before a place of a model: an alias or a stage.
    pub fn gates_before<'a>(&'a self, model: &'a str, place: &'a str) -> impl Iterator<Item = &'a Gate> {
        self.gates.iter().filter(move |gate| gate.stands_before(model, place))
    }

    /// Whether a version may take a place; the names of the gates that it passed.
    ///
    /// # Errors
    /// [`Code::PermissionDenied`]: a gate that it does not pass, and why.
    pub(crate) fn pass_gates(&self, name: &str, place: &str, number: u64) -> Result<Vec<String>, Problem> {
        let model = self.registered(name)?;
        let mut passed = Vec::new();
        for gate in self.gates_before(name, place) {
            self.pass(gate, model, number).map_err(|why| Problem {
                code: Code::PermissionDenied,
                message: format!("Gate '{}' refuses {place} for version {number} of {name}: {why}", gate.name),
            })?;
            passed.push(gate.name.clone());
        }
        Ok(passed)
    }

    fn pass(&self, gate: &Gate, model: &RegisteredModel, number: u64) -> Result<(), String> {
        if let Some(metric) = &gate.metric {
            self.pass_metric(gate, metric, model, number)?;
        }
        if gate.approvals > 0 {
            self.pass_approvals(gate.approvals, &model.name, number)?;
        }
        Ok(())
    }

    fn pass_metric(&self, gate: &Gate, metric: &str, model: &RegisteredModel, number: u64) -> Result<(), String> {
        let version = model.versions.get(&number).ok_or("there is no such version")?;
        let own = self.measured(version, metric);
        let own = own.ok_or_else(|| format!("metric {metric:?} was not measured of its model or its run"))?;
        let value = own.value;
        if let Some(least) = gate.at_least.filter(|least| value < *least) {
            return Err(format!("{metric} is {value}, and must be at least {least}"));
        }
        if let Some(most) = gate.at_most.filter(|most| value > *most) {
            return Err(format!("{metric} is {value}, and must be at most {most}"));
        }
        let Some(by) = gate.not_worse_by else { return Ok(()) };
        // The first version has none to be held against.
        let Some(used) = model.in_use().filter(|used| used.version != number) else { return Ok(()) };
        let Some(other) = self.measured(used, metric) else {
            return Err(format!("version {} in use has no {metric} to be held against", used.version));
        };
        if gate.same_data && own.data.is_disjoint(&other.data) {
            return Err(format!(
                "it and version {} were not measured on the same data, as far as is said",
                used.version
            ));
        }
        let less_is_better = gate.less_is_better || gate.at_most.is_some();
        let worse = if less_is_better { value - other.value } else { other.value - value };
        if worse > by {
            let used = used.version;
            return Err(format!(
                "{metric} is {value}, that of version {used} in use {}, and may be worse by {by} at most",
                other.value
            ));
        }
        Ok(())
    }

    fn pass_approvals(&self, wanted: usize, name: &str, number: u64) -> Result<(), String> {
        let mut maker = None;
        let mut approved = BTreeSet::new();
        for made in self.moves_of(name) {
            match made.what {
                What::Registered { version } if version == number => {
                    maker = Some(made.by.as_str());
                    approved.clear();
                }
                What::Approved { version } if version == number => {
                    approved.insert(made.by.as_str());
                }
                _ => {}
            }
        }
        let others = approved.iter().filter(|by| Some(**by) != maker).count();
        match others >= wanted {
            true => Ok(()),
            false => Err(format!(
                "{others} of {wanted} approvals by others than {} who registered it",
                maker.filter(|by| !by.is_empty()).unwrap_or("whoever")
            )),
        }
    }

    /// The last value of a metric of a version: of its logged model, else of its run.
    fn measured(&self, version: &Version, metric: &str) -> Option<Measured> {
        let of_model = self.logged_model(&version.model, true).ok().and_then(|model| {
            let all = model.metrics.iter().filter(|m| m.key == metric && m.value.is_some());
            let last = all.clone().max_by_key(|m| (m.step, m.timestamp))?;
            let data = all.filter_map(|m| m.dataset_digest.clone()).collect();
            Some(Measured { value: last.value?, data })
        });
        of_model.or_else(|| {
            let (run, latest) = self.run(&version.run).ok()?;
            let value = latest.0.get(metric)?.value;
            let data = run.datasets.iter().map(|dataset| dataset.digest.clone()).collect();
            value.is_finite().then_some(Measured { value, data })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        registry::NewVersion,
        runs::{NewRun, Point},
    };

    fn gate(toml: serde_json::Value) -> Gate {
        serde_json::from_value(toml).unwrap()
    }

    /// A model with a version for each accuracy.
    fn book(values: &[f64]) -> Book {
        let mut book = Book::default();
        book.ensure_default(1);
        book.act_as("ann", 1);
        book.create_registered("iris", "", vec![], 1).unwrap();
        for value in values {
            let run = book.create_run(NewRun { experiment: "0".into(), ..NewRun::default() }).unwrap().id.clone();
            let number = book.run_numbers[&run];
            book.add_points(number, &[("accuracy", Point { value: *value, timestamp: 1, step: 0 })]);
            let source = format!("runs:/{run}/model");
            book.create_version(NewVersion { name: "iris".into(), source, run, ..NewVersion::default() }, 2).unwrap();
        }
        book
    }

    fn move_to(book: &mut Book, version: &str) -> Result<(), String> {
        book.set_alias("iris", CHAMPION, version).map_err(|problem| {
            assert_eq!(problem.code, Code::PermissionDenied);
            problem.message
        })
    }

    #[test]
    fn a_version_that_is_not_good_enough_does_not_become_champion() {
        let mut book = book(&[0.95, 0.80, 0.93]);
        book.set_gates(vec![gate(serde_json::json!({
            "name": "accuracy", "models": "ir*", "metric": "accuracy", "at_least": 0.9, "not_worse_by": 0.01
        }))]);
        move_to(&mut book, "1").unwrap();
        assert!(move_to(&mut book, "2").unwrap_err().contains("is 0.8, and must be at least 0.9"));
        assert!(move_to(&mut book, "3").unwrap_err().contains("that of version 1 in use 0.95"));
        assert!(book.transition("iris", "2", "Production", false, 5).is_err());
        book.set_alias("iris", "shadow", "2").unwrap();
        assert_eq!(book.registered("iris").unwrap().aliases[CHAMPION], 1, "what is refused changes nothing");
        assert_eq!(book.moves_of("iris").nth(3).unwrap().gates, ["accuracy"]);
    }

    #[test]
    fn what_was_not_measured_does_not_pass() {
        let mut book = book(&[f64::NAN, 0.9]);
        book.set_gates(vec![gate(serde_json::json!({"name": "loss", "metric": "loss", "at_most": 1.0}))]);
        assert!(move_to(&mut book, "2").unwrap_err().contains("was not measured"));
        book.set_gates(vec![gate(serde_json::json!({"name": "a", "metric": "accuracy", "at_least": 0.0}))]);
        assert!(move_to(&mut book, "1").unwrap_err().contains("was not measured"));
        let compared =
            serde_json::json!({"name": "same", "metric": "accuracy", "not_worse_by": 1.0, "same_data": true});
        book.set_gates(vec![gate(compared)]);
        assert!(move_to(&mut book, "1").is_err());
    }

    #[test]
    fn approvals_are_those_of_others() {
        let mut book = book(&[0.9]);
        book.set_gates(vec![gate(serde_json::json!({"name": "eyes", "approvals": 1}))]);
        assert!(move_to(&mut book, "1").unwrap_err().contains("0 of 1 approvals by others than ann"));
        book.approve("iris", "1").unwrap();
        assert!(move_to(&mut book, "1").is_err(), "who made it cannot approve it");
        book.act_as("bob", 3);
        book.approve("iris", "1").unwrap();
        move_to(&mut book, "1").unwrap();
        assert!(book.approve("iris", "9").is_err());
    }

    #[test]
    fn patterns_and_bad_gates() {
        let matches = |pattern: &str, name: &str| Pattern::with_stars(pattern).matches(name);
        assert!(matches("*", "a") && matches("a*c", "abc") && matches("a*b*c", "axbyc") && matches("a", "a"));
        assert!(!matches("a*c", "ab") && !matches("a", "ab") && !matches("b*", "ab"));
        for (bad, says) in [
            (serde_json::json!({"name": "g"}), "asks for nothing"),
            (serde_json::json!({"name": "g", "at_least": 1.0}), "names no metric"),
            (serde_json::json!({"name": "g", "metric": "a"}), "says nothing of metric"),
            (serde_json::json!({"name": " ", "approvals": 1}), "has no name"),
            (serde_json::json!({"name": "g", "metric": "a", "not_worse_by": -1.0}), "from 0 on"),
        ] {
            assert!(gate(bad.clone()).check().unwrap_err().contains(says), "{bad}");
        }
        assert!(serde_json::from_value::<Gate>(serde_json::json!({"name": "g", "approval": 1})).is_err());
    }
}
