//! What changes the outside world: what each actuator can do, on which targets, and what became of a step.
//!
//! ```text
//! settings ─ActuatorSettings::open─▶ Actuator ─registrations, targets─▶ what a plan may hold
//!                                       │
//!                    Step ─dry_run─▶ Preview;  Step + Key ─carry_out─▶ Outcome ─state(handle)─▶ State
//! ```
//!
//! An actuator judges nothing: that a step is wanted, allowed and approved is decided elsewhere, and whoever calls
//! [`Actuator::carry_out`] holds a durable intent under the step's [`Key`]. It refuses a step that does not fit its
//! registration, or whose target is not in its own inventory, before anything is sent.
//!
//! Adding one is a file beside these with `Settings`, an opened form and a few functions, and a line in each `match`
//! below; see `docs/adding-an-actuator.md`.

mod parameter;
mod process;
mod template;

pub mod airflow;
pub mod command;
pub mod docker;
pub mod http;
pub mod kubernetes;
pub mod systemd;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use self::parameter::Values;
pub use self::parameter::{Parameter, Value};
use crate::egress::{Egress, Failure};

/// What is kept of each thing that an actuator captures.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// One thing to do, as a plan holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What to do: the name of a [`Registration`] of the actuator.
    pub action: String,
    /// With what: one of [`Actuator::targets`].
    pub target: String,
    /// All parameters of the registration, and no others.
    #[serde(default)]
    pub parameters: BTreeMap<String, serde_json::Value>,
}

/// The name of one intent: the same for every try of the same step, and of no other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// Takes 8 to 64 ASCII letters, digits and hyphens; it goes into headers and names.
    pub fn new(text: &str) -> Result<Key, String> {
        let fits = (8..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !fits {
            return Err("a key has 8 to 64 letters, digits and hyphens".into());
        }
        Ok(Key(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How much one step can touch at the most. Ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlastRadius {
    /// One instance, container, pod or run.
    Instance,
    /// All instances of one service.
    Service,
    /// All that runs on one host.
    Host,
    /// It cannot be said.
    #[default]
    Anything,
}

/// What is known of an action before it is done. What may happen by itself is derived from this alone, never from
/// anything that telemetry says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Registration {
    /// The actuator's kind: [`Actuator::kind`].
    pub kind: &'static str,
    /// The action's name.
    pub action: String,
    /// Whether a further step can bring back what was.
    pub reversible: bool,
    /// What it touches at the most.
    pub blast_radius: BlastRadius,
    /// Whether to do it twice under one key is to do it once.
    pub idempotent: bool,
    /// What it takes.
    pub parameters: BTreeMap<String, Parameter>,
}

/// What a step would do, exactly. It shows no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// In order, one thing a line.
    pub does: Vec<String>,
    /// Whether the other side was asked if it would take it.
    pub asked: bool,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It is done, by this call or by an earlier one under the same key.
    Done,
    /// Nothing happened, and nothing will while step and settings are as they are.
    Refused,
    /// Nothing happened; another time it may.
    Failed,
    /// It may have happened, wholly, in part or not at all: a person must look.
    Unknown,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// One sentence of our own.
    pub text: String,
    /// What a process wrote, by stream; never what another server answered.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub output: BTreeMap<&'static str, String>,
    /// What [`Actuator::state`] can be asked about, where the step began something that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
}

impl Outcome {
    pub(crate) fn new(end: End, text: impl Into<String>) -> Outcome {
        Outcome { end, text: text.into(), output: BTreeMap::new(), handle: None }
    }

    pub(crate) fn done(text: impl Into<String>) -> Outcome {
        Outcome::new(End::Done, text)
    }

    pub(crate) fn refused(text: impl Into<String>) -> Outcome {
        Outcome::new(End::Refused, text)
    }

    pub(crate) fn failed(text: impl Into<String>) -> Outcome {
        Outcome::new(End::Failed, text)
    }

    pub(crate) fn unknown(text: impl Into<String>) -> Outcome {
        Outcome::new(End::Unknown, text)
    }

    /// What a request without an answer means.
    pub(crate) fn unanswered(failure: Failure) -> Outcome {
        match failure {
            Failure::Refused(why) => Outcome::refused(why),
            Failure::NotSent(why) => Outcome::failed(why),
            Failure::Unanswered(why) => Outcome::unknown(why),
        }
    }

    /// What a status that is not the wanted one means by itself; `what` was asked of the other side.
    pub(crate) fn by_status(status: u16, what: &str) -> Outcome {
        let says = |text: &str| format!("{what}: {text} (HTTP {status})");
        match status {
            300..=399 => Outcome::refused(says("it answers with a redirect, none is followed")),
            401 | 403 => Outcome::refused(says("it does not accept our credentials for this")),
            404 | 410 => Outcome::refused(says("there is no such thing")),
            409 | 412 => Outcome::failed(says("it has changed meanwhile")),
            425 | 429 => Outcome::failed(says("it is asked too often")),
            408 => Outcome::unknown(says("it gave up waiting")),
            400..=499 => Outcome::refused(says("it does not take the request")),
            500..=599 => Outcome::unknown(says("it has trouble")),
            _ => Outcome::unknown(says("it answers with something else than was expected")),
        }
    }

    /// The same after a question that changes nothing: whatever went wrong, nothing happened.
    pub(crate) fn of_question(self) -> Outcome {
        if self.end == End::Unknown { Outcome { end: End::Failed, ..self } } else { self }
    }
}

/// How something that a step began stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It goes on, or waits to begin.
    Running,
    /// It ended well.
    Success,
    /// It ended otherwise.
    Failed,
}

/// An actuator as the settings say it: `[actuators.NAME]`. It holds no secret, only where secrets are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ActuatorSettings {
    /// A program of this machine.
    Command(command::Settings),
    /// A request to anybody.
    Http(http::Settings),
    /// A run of a DAG of Apache Airflow.
    Airflow(airflow::Settings),
    /// Containers of this machine.
    Docker(docker::Settings),
    /// Units of this machine.
    Systemd(systemd::Settings),
    /// Workloads and nodes of a cluster.
    Kubernetes(kubernetes::Settings),
}

/// An actuator ready to be used.
#[derive(Clone, Debug)]
pub enum Actuator {
    /// See [`ActuatorSettings::Command`].
    Command(command::Command),
    /// See [`ActuatorSettings::Http`].
    Http(http::Http),
    /// See [`ActuatorSettings::Airflow`].
    Airflow(airflow::Airflow),
    /// See [`ActuatorSettings::Docker`].
    Docker(docker::Docker),
    /// See [`ActuatorSettings::Systemd`].
    Systemd(systemd::Systemd),
    /// See [`ActuatorSettings::Kubernetes`].
    Kubernetes(kubernetes::Kubernetes),
}

/// A setting that cannot be used: `actuators.NAME.FIELD: what is wrong`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The actuator's name.
    pub actuator: String,
    /// Its setting.
    pub field: &'static str,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "actuators.{}.{}: {}", self.actuator, self.field, self.what)
    }
}

impl std::error::Error for Problem {}

impl ActuatorSettings {
    /// Checks the settings and reads the secrets. `env` looks a variable of the environment up.
    pub fn open(&self, name: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Actuator, Problem> {
        let opened = match self {
            ActuatorSettings::Command(settings) => settings.open(env).map(Actuator::Command),
            ActuatorSettings::Http(settings) => settings.open(env).map(Actuator::Http),
            ActuatorSettings::Airflow(settings) => settings.open(env).map(Actuator::Airflow),
            ActuatorSettings::Docker(settings) => settings.open().map(Actuator::Docker),
            ActuatorSettings::Systemd(settings) => settings.open(env).map(Actuator::Systemd),
            ActuatorSettings::Kubernetes(settings) => settings.open(env).map(Actuator::Kubernetes),
        };
        opened.map_err(|(field, what)| Problem { actuator: name.to_owned(), field, what })
    }
}

/// Opens all actuators of the settings; or all problems, so that none has to be found after another.
pub fn open_all(
    settings: &BTreeMap<String, ActuatorSettings>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, Actuator>, Vec<Problem>> {
    let (mut actuators, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, said) in settings {
        match said.open(name, env) {
            Ok(actuator) => drop(actuators.insert(name.clone(), actuator)),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(actuators) } else { Err(problems) }
}

/// Targets, each with the name under which the other side knows this very one.
pub(crate) type Inventory = BTreeMap<String, String>;

/// A step that fits its registration and whose target is in the inventory.
pub(crate) struct Admitted<'a> {
    pub action: &'a str,
    pub target: &'a str,
    /// What the inventory says of the target.
    pub id: String,
    pub values: Values,
}

impl Actuator {
    /// `command`, `http`, `airflow`, `docker`, `systemd`, `kubernetes`.
    pub fn kind(&self) -> &'static str {
        match self {
            Actuator::Command(_) => "command",
            Actuator::Http(_) => "http",
            Actuator::Airflow(_) => "airflow",
            Actuator::Docker(_) => "docker",
            Actuator::Systemd(_) => "systemd",
            Actuator::Kubernetes(_) => "kubernetes",
        }
    }

    /// All that it can do.
    pub fn registrations(&self) -> Vec<Registration> {
        match self {
            Actuator::Command(actuator) => vec![actuator.registration()],
            Actuator::Http(actuator) => vec![actuator.registration()],
            Actuator::Airflow(actuator) => vec![actuator.registration()],
            Actuator::Docker(actuator) => actuator.registrations(),
            Actuator::Systemd(actuator) => actuator.registrations(),
            Actuator::Kubernetes(actuator) => actuator.registrations(),
        }
    }

    /// What it can be done with, in order; asks the other side where that knows best. The error's end is never `done`
    /// or `unknown`: to ask changes nothing.
    pub async fn targets(&self, egress: &Egress) -> Result<Vec<String>, Outcome> {
        Ok(self.inventory(egress).await?.into_keys().collect())
    }

    /// What the step would do. Changes nothing.
    pub async fn dry_run(&self, egress: &Egress, step: &Step) -> Result<Preview, Outcome> {
        let step = self.admit(egress, step).await?;
        let preview = match self {
            Actuator::Command(actuator) => actuator.dry_run(&step),
            Actuator::Http(actuator) => actuator.dry_run(&step),
            Actuator::Airflow(actuator) => actuator.dry_run(egress, &step).await,
            Actuator::Docker(actuator) => actuator.dry_run(&step).await,
            Actuator::Systemd(actuator) => actuator.dry_run(&step).await,
            Actuator::Kubernetes(actuator) => actuator.dry_run(egress, &step).await,
        };
        preview.map_err(Outcome::of_question)
    }

    /// Does it. Never repeats by itself. The future must be run to its end: whoever drops it must take the outcome for
    /// unknown.
    pub async fn carry_out(&self, egress: &Egress, step: &Step, key: &Key) -> Outcome {
        let step = match self.admit(egress, step).await {
            Ok(step) => step,
            Err(outcome) => return outcome,
        };
        match self {
            Actuator::Command(actuator) => actuator.carry_out(&step, key).await,
            Actuator::Http(actuator) => actuator.carry_out(egress, &step, key).await,
            Actuator::Airflow(actuator) => actuator.carry_out(egress, &step, key).await,
            Actuator::Docker(actuator) => actuator.carry_out(&step).await,
            Actuator::Systemd(actuator) => actuator.carry_out(&step).await,
            Actuator::Kubernetes(actuator) => actuator.carry_out(egress, &step, key).await,
        }
    }

    /// How that stands which a step began, by the handle of its outcome. Changes nothing.
    pub async fn state(&self, egress: &Egress, handle: &str) -> Result<State, Outcome> {
        match self {
            Actuator::Airflow(actuator) => actuator.state(egress, handle).await.map_err(Outcome::of_question),
            Actuator::Kubernetes(actuator) => actuator.state(egress, handle).await.map_err(Outcome::of_question),
            _ => Err(Outcome::refused(format!("{} begins nothing that goes on", self.kind()))),
        }
    }

    async fn inventory(&self, egress: &Egress) -> Result<Inventory, Outcome> {
        match self {
            Actuator::Command(actuator) => Ok(listed(&actuator.targets)),
            Actuator::Http(actuator) => Ok(listed(&actuator.targets)),
            Actuator::Airflow(actuator) => Ok(listed(&actuator.dags)),
            Actuator::Docker(actuator) => actuator.inventory().await,
            Actuator::Systemd(actuator) => Ok(listed(&actuator.units)),
            Actuator::Kubernetes(actuator) => actuator.inventory(egress).await.map_err(Outcome::of_question),
        }
    }

    async fn admit<'a>(&self, egress: &Egress, step: &'a Step) -> Result<Admitted<'a>, Outcome> {
        let registrations = self.registrations();
        let registration = registrations.iter().find(|registration| registration.action == step.action);
        let Some(registration) = registration else {
            let known: Vec<_> = registrations.iter().map(|r| r.action.as_str()).collect();
            return Err(Outcome::refused(format!("this actuator has no such action; it has {}", known.join(", "))));
        };
        let values = parameter::check_all(&registration.parameters, &step.parameters).map_err(Outcome::refused)?;
        let id = self.inventory(egress).await?.remove(&step.target);
        let id = id.ok_or_else(|| Outcome::refused("the target is not in this actuator's own inventory"))?;
        Ok(Admitted { action: &step.action, target: &step.target, id, values })
    }
}

/// A field and what is wrong with it.
type Wrong = (&'static str, String);

/// The inventory that the settings name.
fn listed(targets: &[String]) -> Inventory {
    targets.iter().map(|target| (target.clone(), target.clone())).collect()
}

/// Whether a name is meant by a pattern of the settings: a `*` at its end stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// A list of the settings that must name something, once each, in plain characters.
fn check_names(field: &'static str, names: &[String]) -> Result<(), Wrong> {
    if names.is_empty() {
        return Err((field, "name at least one: nothing else can be a target".into()));
    }
    for name in names {
        let plain = !name.is_empty() && name.len() <= 250 && !name.chars().any(char::is_control);
        if !plain {
            return Err((field, format!("{name:?} must have 1 to 250 characters, and no control characters")));
        }
        if names.iter().filter(|other| *other == name).count() > 1 {
            return Err((field, format!("{name:?} is named twice")));
        }
    }
    Ok(())
}
