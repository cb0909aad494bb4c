//! A run of a DAG of Apache Airflow 3, through its REST API v2.
//!
//! The run's id is made of the key, so that a repetition is answered with 409 and is the same run. Where an answer is
//! lost, the run is asked for by that id. Text of Airflow's answers is compared with words that are known, and never
//! shown.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use ::http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{
    Admitted, BlastRadius, End, Key, Outcome, Parameter, Preview, Registration, State, Wrong, check_names, parameter,
    template::{check_places, encoded, fill_json, json_places, with_step},
};
use crate::{
    channel::checked_url,
    egress::{Call, Egress, Reply},
    secret::{self, Secret},
};

/// The action's name.
const ACTION: &str = "trigger";
/// What the ids of our runs begin with.
const RUN_PREFIX: &str = "bellwether__";
const NOTE: &str = "triggered by Bellwether";

/// `kind = "airflow"`. The secret is the user's password, or without `username` a token that Airflow takes as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where Airflow's api-server answers, without `/api/v2`.
    pub url: String,
    /// DAGs of which runs may be triggered: the targets.
    pub dags: Vec<String>,
    /// Who asks for a token at `/auth/token`.
    #[serde(default)]
    pub username: Option<String>,
    /// Name of the variable that holds the secret.
    #[serde(default)]
    pub secret_env: Option<String>,
    /// File that holds the secret.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// The run's `conf`, an object; a text that is `{name}` becomes the value, with its type.
    #[serde(default = "conf_default")]
    pub conf: Json,
    /// Parameters by name.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// Whether a DAG that is paused is unpaused first. Otherwise a step that needs it is refused.
    #[serde(default)]
    pub unpause: bool,
    /// Seconds for each request; 1..=300.
    #[serde(default = "time_default")]
    pub timeout_s: u32,
    /// What a run touches at the most.
    #[serde(default)]
    pub blast_radius: BlastRadius,
}

fn conf_default() -> Json {
    json!({})
}

fn time_default() -> u32 {
    15
}

impl Settings {
    pub(super) fn open(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Airflow, Wrong> {
        checked_url(&self.url).map_err(|what| ("url", what))?;
        if self.url.contains(['?', '#']) {
            return Err(("url", "must be the address alone, without ? and #".into()));
        }
        check_names("dags", &self.dags)?;
        if let Some(dag) = self.dags.iter().find(|dag| !is_dag_id(dag)) {
            return Err(("dags", format!("{dag:?} is no DAG's id: letters, digits, -, _ and . are")));
        }
        parameter::check_declared(&self.parameters).map_err(|what| ("parameters", what))?;
        if !self.conf.is_object() {
            return Err(("conf", "must be a table".into()));
        }
        let places = json_places(&self.conf).map_err(|what| ("conf", what))?;
        check_places(places.iter().map(String::as_str), &self.parameters).map_err(|what| ("conf", what))?;
        if !(1..=300).contains(&self.timeout_s) {
            return Err(("timeout_s", format!("{} is not within 1..=300", self.timeout_s)));
        }
        let secret = secret::read(self.secret_env.as_deref(), self.secret_file.as_deref(), env)?;
        let secret = secret.ok_or_else(|| {
            let what = "name the variable (or with secret_file the file) that holds the user's password, or a token";
            ("secret_env", what.to_owned())
        })?;
        Ok(Airflow {
            base: self.url.trim_end_matches('/').to_owned(),
            dags: self.dags.clone(),
            username: self.username.clone(),
            secret,
            conf: self.conf.clone(),
            unpause: self.unpause,
            timeout: Duration::from_secs(self.timeout_s.into()),
            registration: Registration {
                kind: "airflow",
                action: ACTION.into(),
                reversible: false,
                blast_radius: self.blast_radius,
                idempotent: true,
                parameters: self.parameters.clone(),
            },
        })
    }
}

fn is_dag_id(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    plain && !text.is_empty() && ![".", ".."].contains(&text)
}

/// An Airflow, ready.
#[derive(Clone, Debug)]
pub struct Airflow {
    base: String,
    pub(super) dags: Vec<String>,
    username: Option<String>,
    secret: Secret,
    conf: Json,
    unpause: bool,
    timeout: Duration,
    registration: Registration,
}

/// What one conversation with Airflow needs.
struct Session<'a> {
    airflow: &'a Airflow,
    egress: &'a Egress,
    token: Secret,
}

impl Airflow {
    pub(super) fn registration(&self) -> Registration {
        self.registration.clone()
    }

    pub(super) async fn dry_run(&self, egress: &Egress, step: &Admitted<'_>) -> Result<Preview, Outcome> {
        let paused = self.session(egress).await?.is_paused(step.target).await?;
        if paused && !self.unpause {
            return Err(paused_refusal());
        }
        let mut does = Vec::new();
        if paused {
            does.push(format!("unpause the DAG {}", step.target));
        }
        let conf = fill_json(&self.conf, &with_step(&step.values, step.target, "KEY"));
        does.push(format!("trigger a run {RUN_PREFIX}KEY of the DAG {} with conf {conf}", step.target));
        Ok(Preview { does, asked: true })
    }

    pub(super) async fn carry_out(&self, egress: &Egress, step: &Admitted<'_>, key: &Key) -> Outcome {
        self.trigger(egress, step, key).await.unwrap_or_else(|outcome| outcome)
    }

    async fn trigger(&self, egress: &Egress, step: &Admitted<'_>, key: &Key) -> Result<Outcome, Outcome> {
        let run = format!("{RUN_PREFIX}{}", key.as_str());
        let session = self.session(egress).await?;
        // Until something is asked to change, nothing has happened, whatever goes wrong.
        let paused = session.is_paused(step.target).await?;
        if paused && !self.unpause {
            return Err(paused_refusal());
        }
        if paused {
            session.unpause(step.target).await?;
        }
        let conf = fill_json(&self.conf, &with_step(&step.values, step.target, key.as_str()));
        let outcome = session.create_run(step.target, &run, &conf).await;
        if outcome.end == End::Done {
            return Ok(outcome);
        }
        if outcome.end != End::Unknown {
            let unpaused =
                |outcome: Outcome| Outcome::unknown(format!("{}; but the DAG is unpaused now", outcome.text));
            return Ok(if paused { unpaused(outcome) } else { outcome });
        }
        match session.run_state(step.target, &run).await {
            Ok(_) => Ok(triggered("the answer was lost, but the run is there", step.target, &run)),
            Err(_) => Ok(outcome),
        }
    }

    pub(super) async fn state(&self, egress: &Egress, handle: &str) -> Result<State, Outcome> {
        let known = handle.split_once('/').filter(|(dag, _)| self.dags.iter().any(|known| known == dag));
        let known = known.filter(|(_, run)| run.strip_prefix(RUN_PREFIX).is_some_and(|key| Key::new(key).is_ok()));
        let (dag, run) = known.ok_or_else(|| Outcome::refused("this is no handle of a run of this actuator"))?;
        self.session(egress).await?.run_state(dag, run).await
    }

    async fn session<'a>(&'a self, egress: &'a Egress) -> Result<Session<'a>, Outcome> {
        let token = match &self.username {
            None => self.secret.clone(),
            Some(username) => self.token(egress, username).await.map_err(Outcome::of_question)?,
        };
        Ok(Session { airflow: self, egress, token })
    }

    async fn token(&self, egress: &Egress, username: &str) -> Result<Secret, Outcome> {
        let body = json!({"username": username, "password": self.secret.reveal()});
        let call = Call::new(Method::POST, format!("{}/auth/token", self.base)).json("application/json", &body);
        let call = Call { timeout: Some(self.timeout), ..call };
        let reply = egress.call(&call).await.map_err(Outcome::unanswered)?;
        if !matches!(reply.status, 200 | 201) {
            return Err(Outcome::by_status(reply.status, "a token"));
        }
        let token = reply.json().and_then(|body| Some(Secret::new(body.get("access_token")?.as_str()?)));
        token.ok_or_else(|| Outcome::failed("a token: the answer is not Airflow's"))
    }
}

impl Session<'_> {
    fn call(&self, method: Method, path: String) -> Call {
        let url = format!("{}/api/v2/dags/{path}", self.airflow.base);
        let call = Call { timeout: Some(self.airflow.timeout), ..Call::new(method, url) };
        call.header("accept", "application/json").header("authorization", format!("Bearer {}", self.token.reveal()))
    }

    async fn ask(&self, call: Call, what: &str) -> Result<Reply, Outcome> {
        let reply = self.egress.call(&call).await.map_err(Outcome::unanswered)?;
        if reply.status == 200 { Ok(reply) } else { Err(Outcome::by_status(reply.status, what)) }
    }

    async fn is_paused(&self, dag: &str) -> Result<bool, Outcome> {
        let reply = self.ask(self.call(Method::GET, encoded(dag)), "the DAG").await.map_err(Outcome::of_question)?;
        let paused = reply.json().and_then(|body| body.get("is_paused")?.as_bool());
        paused.ok_or_else(|| Outcome::failed("the DAG: the answer is not Airflow's"))
    }

    async fn unpause(&self, dag: &str) -> Result<(), Outcome> {
        let path = format!("{}?update_mask=is_paused", encoded(dag));
        let call = self.call(Method::PATCH, path).json("application/json", &json!({"is_paused": false}));
        self.ask(call, "unpausing the DAG").await.map(drop)
    }

    async fn create_run(&self, dag: &str, run: &str, conf: &Json) -> Outcome {
        let body = json!({"dag_run_id": run, "logical_date": null, "conf": conf, "note": NOTE});
        let call = self.call(Method::POST, format!("{}/dagRuns", encoded(dag))).json("application/json", &body);
        let reply = match self.egress.call(&call).await {
            Ok(reply) => reply,
            Err(failure) => return Outcome::unanswered(failure),
        };
        let named = || reply.json().is_some_and(|body| body.get("dag_run_id").and_then(Json::as_str) == Some(run));
        match reply.status {
            200 if named() => triggered("the run is triggered", dag, run),
            200 => Outcome::unknown("the run: the answer is not Airflow's"),
            409 => match self.run_state(dag, run).await {
                Ok(_) => triggered("the run was triggered before", dag, run),
                // Airflow answers 409 for some other conflict, too.
                Err(_) => Outcome::unknown("the run conflicts with another one (HTTP 409)"),
            },
            status => Outcome::by_status(status, "the run"),
        }
    }

    async fn run_state(&self, dag: &str, run: &str) -> Result<State, Outcome> {
        let call = self.call(Method::GET, format!("{}/dagRuns/{}", encoded(dag), encoded(run)));
        let reply = self.ask(call, "the run").await?;
        let body = reply.json().unwrap_or_default();
        match body.get("state").and_then(Json::as_str) {
            Some("queued" | "running") => Ok(State::Running),
            Some("success") => Ok(State::Success),
            Some("failed") => Ok(State::Failed),
            _ => Err(Outcome::failed("the run: its state is none that is known")),
        }
    }
}

fn triggered(text: &str, dag: &str, run: &str) -> Outcome {
    Outcome { handle: Some(format!("{dag}/{run}")), ..Outcome::done(text) }
}

fn paused_refusal() -> Outcome {
    Outcome::refused("the DAG is paused, its run would not begin: unpause it, or set unpause = true")
}
