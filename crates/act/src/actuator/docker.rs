//! Containers of the Docker Engine of this machine, through its API over the socket (Podman's answers alike).
//!
//! The inventory is what the engine lists and the settings name; what is asked to change is the container with the very
//! id that was listed, so that another one that takes its name meanwhile is not touched.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use ::http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Admitted, BlastRadius, Inventory, Outcome, Preview, Registration, Wrong, check_names, fits};
use crate::egress::{Call, Reply, call_unix};

/// A container is an entry of some 2 KiB in the list.
const LIST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What the engine may take beside the time that the container has to end.
const ANSWER: Duration = Duration::from_secs(20);

/// `kind = "docker"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The engine's socket.
    #[serde(default = "socket_default")]
    pub socket: PathBuf,
    /// Names of containers that may be targets; a `*` at the end stands for anything.
    pub containers: Vec<String>,
    /// Seconds that a container has to end by itself; 0..=300.
    #[serde(default = "stop_default")]
    pub stop_timeout_s: u32,
}

fn socket_default() -> PathBuf {
    "/var/run/docker.sock".into()
}

fn stop_default() -> u32 {
    10
}

impl Settings {
    pub(super) fn open(&self) -> Result<Docker, Wrong> {
        check_names("containers", &self.containers)?;
        if !self.socket.is_absolute() {
            return Err(("socket", "give the whole path".into()));
        }
        if self.stop_timeout_s > 300 {
            return Err(("stop_timeout_s", format!("{} is not within 0..=300", self.stop_timeout_s)));
        }
        Ok(Docker {
            socket: self.socket.clone(),
            containers: self.containers.clone(),
            stop_timeout_s: self.stop_timeout_s,
        })
    }
}

/// An engine, ready.
#[derive(Clone, Debug)]
pub struct Docker {
    socket: PathBuf,
    containers: Vec<String>,
    stop_timeout_s: u32,
}

impl Docker {
    pub(super) fn registrations(&self) -> Vec<Registration> {
        let registration = |action: &str, reversible, idempotent| Registration {
            kind: "docker",
            action: action.into(),
            reversible,
            blast_radius: BlastRadius::Instance,
            idempotent,
            parameters: BTreeMap::new(),
        };
        // What a restart forgets cannot be brought back; to restart twice is to interrupt twice.
        vec![registration("restart", false, false), registration("start", true, true), registration("stop", true, true)]
    }

    /// All containers that may be targets, stopped ones too, by name with their ids.
    pub(super) async fn inventory(&self) -> Result<Inventory, Outcome> {
        let mut call = Call::new(Method::GET, "/containers/json?all=true".to_owned());
        call.answer_bytes_max = LIST_BYTES_MAX;
        let reply = self.ask(&call).await?;
        if reply.status != 200 {
            return Err(Outcome::by_status(reply.status, "the list of containers"));
        }
        let listed: Vec<Listed> = reply
            .json()
            .and_then(|body| serde_json::from_value(body).ok())
            .ok_or_else(|| Outcome::failed("the list of containers: the answer is not Docker's, or too long"))?;
        let mut inventory = Inventory::new();
        for container in listed.into_iter().filter(|container| is_id(&container.id)) {
            for name in container.names {
                // Names of links have further slashes: `/web/db`.
                let name = name.strip_prefix('/').unwrap_or(&name);
                if !name.contains('/') && self.containers.iter().any(|pattern| fits(pattern, name)) {
                    inventory.insert(name.to_owned(), container.id.clone());
                }
            }
        }
        Ok(inventory)
    }

    pub(super) async fn dry_run(&self, step: &Admitted<'_>) -> Result<Preview, Outcome> {
        let reply = self.ask(&Call::new(Method::GET, format!("/containers/{}/json", step.id))).await?;
        if reply.status != 200 {
            return Err(Outcome::by_status(reply.status, "the container"));
        }
        let running = reply.json().and_then(|body| body.pointer("/State/Running").and_then(Json::as_bool));
        let running = running.ok_or_else(|| Outcome::failed("the container: the answer is not Docker's"))?;
        let short = &step.id[..step.id.len().min(12)];
        let stands = if running { "runs" } else { "does not run" };
        Ok(Preview {
            does: vec![format!("{} the container {} ({short}), which {stands} now", step.action, step.target)],
            asked: true,
        })
    }

    pub(super) async fn carry_out(&self, step: &Admitted<'_>) -> Outcome {
        let ends = step.action != "start";
        let wait = if ends { format!("?t={}", self.stop_timeout_s) } else { String::new() };
        let mut call = Call::new(Method::POST, format!("/containers/{}/{}{wait}", step.id, step.action));
        call.timeout = Some(ANSWER + Duration::from_secs(self.stop_timeout_s.into()));
        match self.ask_to_change(&call).await {
            Ok(204) => Outcome::done(format!("{}: done", step.action)),
            Ok(304) => Outcome::done(format!("{}: it was so already", step.action)),
            Ok(status) => Outcome::by_status(status, step.action),
            Err(outcome) => outcome,
        }
    }

    async fn ask(&self, call: &Call) -> Result<Reply, Outcome> {
        call_unix(&self.socket, call).await.map_err(|failure| Outcome::unanswered(failure).of_question())
    }

    async fn ask_to_change(&self, call: &Call) -> Result<u16, Outcome> {
        call_unix(&self.socket, call).await.map(|reply| reply.status).map_err(Outcome::unanswered)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    names: Vec<String>,
}

fn is_id(text: &str) -> bool {
    (12..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}
