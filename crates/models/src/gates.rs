//! Gates: what a version must show before an alias or a stage may mean it. They hold for every client that moves one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    Code, Problem,
    book::Book,
    moves::What,
    observed::{Observed, are_of_models},
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
    /// So many rows it must have predicted before, as a shadow or a canary.
    #[serde(default)]
    pub rows: u64,
    /// In so many pairs of labels its errors must have been held against those of the version before it.
    #[serde(default)]
    pub labels: u64,
    /// So much of what it said as a shadow must have been what was answered, 0..=1.
    #[serde(default)]
    pub agreement: Option<f64>,
    /// Its mean error may be above that of the version before it by so much at most.
    #[serde(default)]
    pub error_above: Option<f64>,
    /// What must not be being found of it: measures, `*` for any text, as `model_*` or `model_fairness`.
    #[serde(default)]
    pub without: Vec<String>,
}

pub(crate) fn any() -> String {
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
            None if self.approvals == 0 && !self.asks_of_observed() => {
                Err(format!("gate {:?} asks for nothing", self.name))
            }
            _ if self.agreement.is_some_and(|share| !(0.0..=1.0).contains(&share)) => {
                Err(format!("gate {:?}: agreement is a number from 0 to 1", self.name))
            }
            _ if self.error_above.is_some_and(|by| !by.is_finite() || by < 0.0) => {
                Err(format!("gate {:?}: error_above is a number from 0 on", self.name))
            }
            _ if !are_of_models(&self.without) => {
                Err(format!("gate {:?}: what it is to be without begins with model_, as model_* does", self.name))
            }
            _ if self.not_worse_by.is_some_and(|by| !by.is_finite() || by < 0.0) => {
                Err(format!("gate {:?}: not_worse_by is a number from 0 on", self.name))
            }
            _ => Ok(()),
        }
    }

    /// Whether it asks what was seen of a version while it answered.
    fn asks_of_observed(&self) -> bool {
        let asks_how_well = self.agreement.is_some() || self.error_above.is_some() || !self.without.is_empty();
        self.rows > 0 || self.labels > 0 || asks_how_well
    }

    fn pass_observed(&self, observed: Option<&Observed>) -> Result<(), String> {
        let unseen = Observed::default();
        let seen = observed.unwrap_or(&unseen);
        let known = |what: Option<f64>, says: &str| what.ok_or_else(|| format!("{says} is not known (yet)"));
        if seen.rows < self.rows {
            return Err(format!("it predicted {} rows so far, and must have {}", seen.rows, self.rows));
        }
        if seen.pairs < self.labels {
            let (seen, wanted) = (seen.pairs, self.labels);
            return Err(format!("{seen} labels show how it does against the version before it, and {wanted} must"));
        }
        if let Some(least) = self.agreement {
            let share = known(seen.agreement, "how often it says, as a shadow, what is answered")?;
            if share < least {
                return Err(format!("it said what was answered for {share:.3} of the rows, and must for {least}"));
            }
        }
        if let Some(most) = self.error_above {
            let by = known(seen.difference, "its error against that of the version before it")?;
            if by > most {
                return Err(format!(
                    "its mean error is above that of the version before it by {by:.4}, and may be by {most}"
                ));
            }
        }
        match seen.found(&self.without).next() {
            Some((measure, words)) => Err(format!("{measure} is being found of it: {words}")),
            None => Ok(()),
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

    /// Why a version may not take a place, gate by gate: name and reason. Empty where it may.
    ///
    /// # Errors
    /// A model that is not there.
    pub fn refusals(&self, name: &str, place: &str, number: u64) -> Result<Vec<(String, String)>, Problem> {
        let model = self.registered(name)?;
        let refused = |gate: &Gate| self.pass(gate, model, number).err().map(|why| (gate.name.clone(), why));
        Ok(self.gates_before(name, place).filter_map(refused).collect())
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
        if gate.asks_of_observed() {
            gate.pass_observed(self.observed(&model.name, number))?;
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
    fn a_version_must_have_shown_itself() {
        let mut book = book(&[0.9]);
        book.set_gates(vec![gate(serde_json::json!({
            "name": "shown", "rows": 100, "labels": 50, "agreement": 0.9, "error_above": 0.01, "without": ["model_*"]
        }))]);
        let mut refused = |note: &dyn Fn(&mut Observed)| {
            book.observe("iris", 1, note);
            move_to(&mut book, "1").err().unwrap_or_default()
        };
        assert!(refused(&|_| ()).contains("0 rows so far, and must have 100"));
        assert!(refused(&|o| o.rows = 100).contains("0 labels show"));
        assert!(refused(&|o| o.pairs = 50).contains("is not known (yet)"));
        assert!(refused(&|o| o.agreement = Some(0.5)).contains("for 0.500 of the rows, and must for 0.9"));
        assert!(refused(&|o| o.agreement = Some(0.95)).contains("is not known (yet)"));
        assert!(refused(&|o| o.difference = Some(0.02)).contains("by 0.0200, and may be by 0.01"));
        let find = |o: &mut Observed| {
            o.difference = Some(-0.1);
            o.findings.insert("model_fairness".into(), "favours some".into());
        };
        assert!(refused(&find).contains("model_fairness is being found of it: favours some"));
        assert_eq!(refused(&|o| o.findings.clear()), "");
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
            (serde_json::json!({"name": "g", "without": ["drift"]}), "begins with model_"),
            (serde_json::json!({"name": "g", "agreement": 90.0}), "from 0 to 1"),
            (serde_json::json!({"name": "g", "error_above": -0.1}), "from 0 on"),
            (serde_json::json!({"name": "g", "metric": "a", "not_worse_by": -1.0}), "from 0 on"),
        ] {
            assert!(gate(bad.clone()).check().unwrap_err().contains(says), "{bad}");
        }
        assert!(serde_json::from_value::<Gate>(serde_json::json!({"name": "g", "approval": 1})).is_err());
    }
}
