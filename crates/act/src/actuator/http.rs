//! A request to anybody who takes one. Where it goes is fixed by the settings: a step can fill in segments of the path
//! and values of the JSON body, and nothing else. What is answered beyond the status is read by nobody.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use ::http::{HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};

use super::{
    Admitted, BlastRadius, Key, Outcome, Parameter, Preview, Registration, Wrong, check_names, parameter,
    template::{UrlTemplate, check_places, fill_json, json_places, with_step},
};
use crate::{
    egress::{Call, Egress},
    secret::{self, Secret},
};

/// The action's name.
const ACTION: &str = "call";

/// `kind = "http"`. The secret is a header's value.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What it can be done with; goes where `{target}` stands.
    pub targets: Vec<String>,
    /// `POST`, `PUT`, `PATCH`, `DELETE` or `GET`.
    #[serde(default = "method_default")]
    pub method: String,
    /// Where to. A segment of the path that is `{name}` is a parameter's value, `{target}` the target, `{key}` the name
    /// of the intent.
    pub url: String,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The header that carries the secret.
    #[serde(default = "secret_header_default")]
    pub secret_header: String,
    /// What stands before the secret in it.
    #[serde(default = "secret_prefix_default")]
    pub secret_prefix: String,
    /// Name of the variable that holds the secret.
    #[serde(default)]
    pub secret_env: Option<String>,
    /// File that holds the secret.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// A JSON body; a text that is `{name}` becomes the value, with its type.
    #[serde(default)]
    pub body: Option<serde_json::Value>,
    /// Parameters by name.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// The header that carries the key of the intent; empty: none does.
    #[serde(default = "key_header_default")]
    pub key_header: String,
    /// Statuses that say it is done; 200..=299 or 409.
    #[serde(default = "done_default")]
    pub done: Vec<u16>,
    /// Seconds for the whole exchange; 1..=300.
    #[serde(default = "time_default")]
    pub timeout_s: u32,
    /// Whether a further step can bring back what was.
    #[serde(default)]
    pub reversible: bool,
    /// What it touches at the most.
    #[serde(default)]
    pub blast_radius: BlastRadius,
    /// Whether the other side knows a key again.
    #[serde(default)]
    pub idempotent: bool,
}

fn method_default() -> String {
    "POST".into()
}

fn secret_header_default() -> String {
    "authorization".into()
}

fn secret_prefix_default() -> String {
    "Bearer ".into()
}

fn key_header_default() -> String {
    "idempotency-key".into()
}

fn done_default() -> Vec<u16> {
    vec![200, 201, 202, 204]
}

fn time_default() -> u32 {
    15
}

impl Settings {
    pub(super) fn open(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Http, Wrong> {
        check_names("targets", &self.targets)?;
        parameter::check_declared(&self.parameters).map_err(|what| ("parameters", what))?;
        let url = UrlTemplate::parse(&self.url).map_err(|what| ("url", what))?;
        let in_body = self.body.as_ref().map(json_places).transpose().map_err(|what| ("body", what))?;
        let in_body = in_body.unwrap_or_default();
        let places = url.places().chain(in_body.iter().map(String::as_str));
        check_places(places, &self.parameters).map_err(|what| ("parameters", what))?;
        let method = match self.method.as_str() {
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            "GET" => Method::GET,
            _ => return Err(("method", "must be POST, PUT, PATCH, DELETE or GET".into())),
        };
        if !(1..=300).contains(&self.timeout_s) {
            return Err(("timeout_s", format!("{} is not within 1..=300", self.timeout_s)));
        }
        if self.done.is_empty() || !self.done.iter().all(|status| matches!(status, 200..=299 | 409)) {
            return Err(("done", "must name statuses within 200..=299, or 409".into()));
        }
        Ok(Http {
            targets: self.targets.clone(),
            method,
            url,
            headers: self.headers(env)?,
            key_header: (!self.key_header.is_empty()).then(|| self.key_header.clone()),
            body: self.body.clone(),
            done: self.done.clone(),
            timeout: Duration::from_secs(self.timeout_s.into()),
            registration: Registration {
                kind: "http",
                action: ACTION.into(),
                reversible: self.reversible,
                blast_radius: self.blast_radius,
                idempotent: self.idempotent,
                parameters: self.parameters.clone(),
            },
        })
    }

    /// All headers but that of the key, each checked.
    fn headers(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Vec<(String, Secret)>, Wrong> {
        let mut all = Vec::new();
        for (name, value) in &self.headers {
            check_header(name, value).map_err(|what| ("headers", what))?;
            all.push((name.to_ascii_lowercase(), Secret::new(value)));
        }
        if let Some(secret) = secret::read(self.secret_env.as_deref(), self.secret_file.as_deref(), env)? {
            let value = format!("{}{}", self.secret_prefix, secret.reveal());
            check_header(&self.secret_header, &value).map_err(|what| ("secret_header", what))?;
            all.push((self.secret_header.to_ascii_lowercase(), Secret::new(value)));
        }
        if !self.key_header.is_empty() {
            check_header(&self.key_header, "").map_err(|what| ("key_header", what))?;
            all.push((self.key_header.to_ascii_lowercase(), Secret::new("")));
        }
        for (index, (name, _)) in all.iter().enumerate() {
            if all[..index].iter().any(|(other, _)| other == name) {
                return Err(("headers", format!("{name} is set twice")));
            }
        }
        all.truncate(all.len() - usize::from(!self.key_header.is_empty()));
        Ok(all)
    }
}

/// A header that may be set by the settings. The error does not show the value.
fn check_header(name: &str, value: &str) -> Result<(), String> {
    let known = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no name of a header"))?;
    let ours = ["host", "content-length", "transfer-encoding", "connection", "user-agent", "content-type", "expect"];
    if ours.contains(&known.as_str()) {
        return Err(format!("{name} is set by the client itself"));
    }
    HeaderValue::from_str(value).map_err(|_| format!("the value of {name} cannot stand in a header"))?;
    Ok(())
}

/// A request, ready.
#[derive(Clone, Debug)]
pub struct Http {
    pub(super) targets: Vec<String>,
    method: Method,
    url: UrlTemplate,
    headers: Vec<(String, Secret)>,
    key_header: Option<String>,
    body: Option<serde_json::Value>,
    done: Vec<u16>,
    timeout: Duration,
    registration: Registration,
}

impl Http {
    pub(super) fn registration(&self) -> Registration {
        self.registration.clone()
    }

    pub(super) fn dry_run(&self, step: &Admitted<'_>) -> Result<Preview, Outcome> {
        let values = with_step(&step.values, step.target, "KEY");
        let url = self.url.fill(&values).map_err(Outcome::refused)?;
        let mut does = vec![format!("{} {url}", self.method)];
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).chain(&self.key_header).cloned().collect();
        if !names.is_empty() {
            does.push(format!("with the headers {}", names.join(", ")));
        }
        if let Some(body) = &self.body {
            does.push(format!("with the body {}", fill_json(body, &values)));
        }
        Ok(Preview { does, asked: false })
    }

    pub(super) async fn carry_out(&self, egress: &Egress, step: &Admitted<'_>, key: &Key) -> Outcome {
        let values = with_step(&step.values, step.target, key.as_str());
        let url = match self.url.fill(&values) {
            Ok(url) => url,
            Err(why) => return Outcome::refused(why),
        };
        let mut call = Call { timeout: Some(self.timeout), ..Call::new(self.method.clone(), url) };
        for (name, value) in &self.headers {
            call = call.header(name, value.reveal());
        }
        if let Some(name) = &self.key_header {
            call = call.header(name, key.as_str());
        }
        if let Some(body) = &self.body {
            call = call.json("application/json", &fill_json(body, &values));
        }
        match egress.call(&call).await {
            Ok(reply) if self.done.contains(&reply.status) => {
                Outcome::done(format!("the other side took it (HTTP {})", reply.status))
            }
            Ok(reply) => Outcome::by_status(reply.status, "the request"),
            Err(failure) => Outcome::unanswered(failure),
        }
    }
}
