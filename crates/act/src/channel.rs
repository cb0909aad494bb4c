//! Receivers: what each is told, how it is asked, and what its answer means.
//!
//! Adding one is a file beside these with a `Settings`, an opened form and three functions, and a line in each `match`
//! below.

pub mod alertmanager;
pub mod pagerduty;
pub mod slack;
pub mod teams;
pub mod webhook;

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

use serde::{Deserialize, Serialize};
pub use types::NoticeReason as Reason;
use types::{EntityId, Incident, IncidentId, IncidentState, Severity, Tenant, Time, incident::Impact};

use crate::{
    deliver::{self, Outcome},
    egress::{Answer, Outgoing},
    secret::{self, Secret},
};

/// One thing to tell through one channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// The name of this delivery: the same for every try.
    pub delivery: String,
    /// Why.
    pub reason: Reason,
    /// The incident as it stood when this was decided.
    pub incident: Incident,
    /// Where to read on, made from our own base URL.
    pub link: Option<String>,
    /// What the last delivery of this incident through this channel gave ([`Outcome::Delivered`]): the thread to answer
    /// in, the labels to end. Without it the message stands for itself.
    #[serde(default)]
    pub receipt: Option<String>,
}

impl Notice {
    /// A notice to try a channel out with; it is about an incident that does not exist.
    pub fn test(delivery: String, link: Option<String>, now: Time) -> Notice {
        let incident = Incident {
            id: IncidentId("inc-0".into()),
            tenant: Tenant::own(),
            state: IncidentState::Open,
            severity: Severity::Info,
            priority: Default::default(),
            title: "messages from Bellwether arrive here".into(),
            summary: "somebody tries this channel out".into(),
            started_at: now,
            opened_at: now,
            resolved_at: None,
            actor: None,
            entities: vec![EntityId::new("service", "", "bellwether")],
            causes: Vec::new(),
            undecided: true,
            missing: Vec::new(),
            impact: Impact::default(),
            timeline: Vec::new(),
            findings: Vec::new(),
        };
        Notice { delivery, reason: Reason::Test, incident, link, receipt: None }
    }
}

/// A channel as the settings say it: `[channels.NAME]`. It holds no secret, only where secrets are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ChannelSettings {
    /// Prometheus' Alertmanager, or a cluster of it.
    Alertmanager(alertmanager::Settings),
    /// Slack: an incoming webhook, or a bot that keeps an incident in one thread.
    Slack(slack::Settings),
    /// PagerDuty's Events API v2.
    #[serde(rename = "pagerduty")]
    PagerDuty(pagerduty::Settings),
    /// A workflow of Microsoft Teams.
    Teams(teams::Settings),
    /// JSON to anybody, signed.
    Webhook(webhook::Settings),
}

/// A channel ready to be used.
#[derive(Clone, Debug)]
pub enum Channel {
    /// See [`ChannelSettings::Alertmanager`].
    Alertmanager(alertmanager::Alertmanager),
    /// See [`ChannelSettings::Slack`].
    Slack(slack::Slack),
    /// See [`ChannelSettings::PagerDuty`].
    PagerDuty(pagerduty::PagerDuty),
    /// See [`ChannelSettings::Teams`].
    Teams(teams::Teams),
    /// See [`ChannelSettings::Webhook`].
    Webhook(webhook::Webhook),
}

/// A setting that cannot be used: `channels.NAME.FIELD: what is wrong`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The channel's name.
    pub channel: String,
    /// Its setting.
    pub field: &'static str,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "channels.{}.{}: {}", self.channel, self.field, self.what)
    }
}

impl std::error::Error for Problem {}

impl ChannelSettings {
    /// Checks the settings and reads the secret. `env` looks a variable of the environment up.
    pub fn open(&self, name: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Channel, Problem> {
        let opened = match self {
            ChannelSettings::Alertmanager(settings) => settings.open(env).map(Channel::Alertmanager),
            ChannelSettings::Slack(settings) => settings.open(env).map(Channel::Slack),
            ChannelSettings::PagerDuty(settings) => settings.open(env).map(Channel::PagerDuty),
            ChannelSettings::Teams(settings) => settings.open(env).map(Channel::Teams),
            ChannelSettings::Webhook(settings) => settings.open(env).map(Channel::Webhook),
        };
        opened.map_err(|(field, what)| Problem { channel: name.to_owned(), field, what })
    }
}

/// Opens all channels of the settings; or all problems, so that none has to be found after another.
pub fn open_all(
    settings: &BTreeMap<String, ChannelSettings>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, Channel>, Vec<Problem>> {
    let (mut channels, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, said) in settings {
        match said.open(name, env) {
            Ok(channel) => drop(channels.insert(name.clone(), channel)),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(channels) } else { Err(problems) }
}

impl Channel {
    /// `alertmanager`, `slack`, `pagerduty`, `teams`, `webhook`.
    pub fn kind(&self) -> &'static str {
        match self {
            Channel::Alertmanager(_) => "alertmanager",
            Channel::Slack(_) => "slack",
            Channel::PagerDuty(_) => "pagerduty",
            Channel::Teams(_) => "teams",
            Channel::Webhook(_) => "webhook",
        }
    }

    /// The requests that tell the notice; several only where there are several receivers. Pure.
    pub fn requests(&self, notice: &Notice, now: Time) -> Vec<Outgoing> {
        match self {
            Channel::Alertmanager(channel) => channel.requests(notice, now),
            Channel::Slack(channel) => vec![channel.request(notice)],
            Channel::PagerDuty(channel) => vec![channel.request(notice)],
            Channel::Teams(channel) => vec![channel.request(notice)],
            Channel::Webhook(channel) => vec![channel.request(notice, now)],
        }
    }

    /// Whether telling the same twice is as good as telling it once, because the receiver knows it again.
    pub fn is_idempotent(&self) -> bool {
        matches!(self, Channel::Alertmanager(_) | Channel::PagerDuty(_))
    }

    /// How often an incident that goes on must be told again so that the receiver does not take it for over; `None`:
    /// once is enough.
    pub fn refresh_every(&self) -> Option<Duration> {
        match self {
            Channel::Alertmanager(channel) => Some(channel.refresh_every()),
            _ => None,
        }
    }

    /// What an answer to one of the requests means.
    pub(crate) fn judge(&self, notice: &Notice, answer: &Answer, now: Time) -> Outcome {
        match self.judge_told(notice, answer, now) {
            // Nothing follows a try: the next message must not join its thread.
            Outcome::Delivered { .. } if notice.reason == Reason::Test => Outcome::Delivered { receipt: None },
            outcome => outcome,
        }
    }

    fn judge_told(&self, notice: &Notice, answer: &Answer, now: Time) -> Outcome {
        match self {
            Channel::Alertmanager(channel) => deliver::by_status(answer, Some(channel.receipt(notice)), now),
            Channel::Slack(channel) => channel.judge(notice, answer, now),
            _ => deliver::by_status(answer, None, now),
        }
    }
}

/// A field and what is wrong with it.
type Wrong = (&'static str, String);

fn needed(
    env_name: &Option<String>,
    file: &Option<impl AsRef<Path>>,
    env: &dyn Fn(&str) -> Option<String>,
    what: &str,
) -> Result<Secret, Wrong> {
    let secret = secret::read(env_name.as_deref(), file.as_ref().map(AsRef::as_ref), env)?;
    secret.ok_or_else(|| ("secret_env", format!("name the variable (or with secret_file the file) that holds {what}")))
}

/// The secret is the URL to send to.
fn secret_url(secret: Secret, is_env: bool) -> Result<Secret, Wrong> {
    let field = if is_env { "secret_env" } else { "secret_file" };
    checked_url(secret.reveal())
        .map_err(|what| (field, format!("what it points to must be the webhook's URL: {what}")))?;
    Ok(secret)
}

pub(crate) fn checked_url(text: &str) -> Result<(), String> {
    let url = url::Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("it must begin with https:// (or http://) and name a host".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it must not hold a user's name".into());
    }
    Ok(())
}

fn json_headers() -> Vec<(&'static str, String)> {
    vec![("content-type", "application/json; charset=utf-8".into())]
}

fn body(value: &serde_json::Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
