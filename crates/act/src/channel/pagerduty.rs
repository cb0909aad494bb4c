//! PagerDuty's Events API v2: trigger, acknowledge and resolve under one key per incident, so that repeating an event
//! pages nobody twice.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use types::Severity;

use super::{Notice, Reason, Wrong, body, checked_url, json_headers, needed};
use crate::{
    egress::Outgoing,
    secret::Secret,
    story::{Story, short},
    text::cut,
};

const SUMMARY_UNITS_MAX: usize = 1024;
const KEY_UNITS_MAX: usize = 255;

/// `kind = "pagerduty"`. The secret is the integration's routing key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where events go; the default is PagerDuty's own.
    #[serde(default = "url")]
    pub url: String,
    /// Comes before the incident's name in `dedup_key`. Incidents are counted per data folder: give each Bellwether that
    /// shares a routing key its own.
    #[serde(default)]
    pub key_prefix: String,
    /// Name of the variable that holds the routing key.
    #[serde(default)]
    pub secret_env: Option<String>,
    /// File that holds the routing key.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
}

fn url() -> String {
    "https://events.pagerduty.com/v2/enqueue".into()
}

impl Settings {
    pub(super) fn open(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<PagerDuty, Wrong> {
        checked_url(&self.url).map_err(|what| ("url", what))?;
        if self.key_prefix.chars().count() > 100 || self.key_prefix.chars().any(char::is_control) {
            return Err(("key_prefix", "at most 100 printable characters".into()));
        }
        let key = needed(&self.secret_env, &self.secret_file, env, "the integration's routing key")?;
        Ok(PagerDuty { url: self.url.clone(), key_prefix: self.key_prefix.clone(), key })
    }
}

/// A PagerDuty integration, ready.
#[derive(Clone, Debug)]
pub struct PagerDuty {
    url: String,
    key_prefix: String,
    key: Secret,
}

impl PagerDuty {
    pub(super) fn request(&self, notice: &Notice) -> Outgoing {
        Outgoing { url: self.url.clone(), headers: json_headers(), body: body(&self.event(notice)) }
    }

    fn event(&self, notice: &Notice) -> Value {
        let action = match notice.reason {
            Reason::Acknowledged => "acknowledge",
            Reason::Resolved => "resolve",
            _ => "trigger",
        };
        let mut event = json!({
            "routing_key": self.key.reveal(),
            "event_action": action,
            "dedup_key": self.dedup_key(notice),
        });
        // Acknowledge and resolve take the key alone.
        if action == "trigger" {
            self.describe(notice, &mut event);
        }
        event
    }

    fn describe(&self, notice: &Notice, event: &mut Value) {
        let incident = &notice.incident;
        let story = Story::of(notice);
        let severity = match incident.severity {
            _ if notice.reason == Reason::Test => "info",
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Major => "error",
            Severity::Critical => "critical",
        };
        let details: Map<String, Value> =
            story.facts().into_iter().map(|(k, v)| (k.to_lowercase(), v.into())).collect();
        let source = if story.service.is_empty() { "bellwether" } else { &story.service };
        // PagerDuty keeps the first summary as the incident's name; a try must show that it is one.
        let name = if notice.reason == Reason::Test { &story.headline } else { &story.title };
        let summary = if story.summary.is_empty() { name.clone() } else { format!("{name}: {}", story.summary) };
        event["payload"] = json!({
            "summary": cut(&summary, SUMMARY_UNITS_MAX),
            "source": source,
            "severity": severity,
            "timestamp": incident.started_at,
            "component": source,
            "group": short(incident.tenant.as_str(), 200),
            "class": incident.causes.first().filter(|_| !incident.undecided).map(|cause| cause.kind),
            "custom_details": details,
        });
        event["client"] = "Bellwether".into();
        if let Some(link) = &story.link {
            event["client_url"] = link.clone().into();
            event["links"] = json!([{ "href": link, "text": "Open in Bellwether" }]);
        }
    }

    fn dedup_key(&self, notice: &Notice) -> String {
        // A try must never join or end a real incident.
        let name = match notice.reason {
            Reason::Test => format!("test-{}", notice.delivery),
            _ => notice.incident.id.0.clone(),
        };
        short(&format!("{}{name}", self.key_prefix), KEY_UNITS_MAX)
    }
}
