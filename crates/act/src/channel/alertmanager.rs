//! Prometheus' Alertmanager, `POST /api/v2/alerts`: an alert per incident, ended when the incident is.
//!
//! An alert is known by its labels. When they change (another another service most affected) the alert under
//! the old ones is ended in the same request; the receipt is what the labels were. An alert without an end would be
//! taken for over after Alertmanager's `resolve_timeout`, so an incident that goes on carries one that lies
//! `hold_hours` ahead, and is told again at half of that.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use types::{HOUR, Time};

use super::{Notice, Reason, Wrong, body, checked_url, json_headers};
use crate::{
    egress::Outgoing,
    secret::{self, Secret},
    story::{Story, service, short},
};

const LABEL_UNITS_MAX: usize = 200;
const OWN_LABELS: [&str; 5] = ["alertname", "severity", "service", "incident", "tenant"];

/// `kind = "alertmanager"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// One URL for each Alertmanager, without `/api/v2/alerts`. Each of a cluster gets every alert.
    pub urls: Vec<String>,
    /// More labels for every alert.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How long an alert stays without news, in hours; 1..=720.
    #[serde(default = "hold_hours")]
    pub hold_hours: u32,
    /// Name of the variable that holds a bearer token.
    #[serde(default)]
    pub secret_env: Option<String>,
    /// File that holds a bearer token.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
}

fn hold_hours() -> u32 {
    24
}

impl Settings {
    pub(super) fn open(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Alertmanager, Wrong> {
        if self.urls.is_empty() {
            return Err(("urls", "name at least one Alertmanager".into()));
        }
        for url in &self.urls {
            checked_url(url).map_err(|what| ("urls", format!("{url:?}: {what}")))?;
        }
        for name in self.labels.keys() {
            let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
            if !first || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(("labels", format!("{name:?} is no name of a label: letters, digits and _")));
            }
            if OWN_LABELS.contains(&name.as_str()) {
                return Err(("labels", format!("{name:?} is set from the incident")));
            }
        }
        if !(1..=720).contains(&self.hold_hours) {
            return Err(("hold_hours", format!("{} is not within 1..=720", self.hold_hours)));
        }
        Ok(Alertmanager {
            urls: self.urls.iter().map(|url| format!("{}/api/v2/alerts", url.trim_end_matches('/'))).collect(),
            labels: self.labels.clone(),
            hold_hours: self.hold_hours,
            token: secret::read(self.secret_env.as_deref(), self.secret_file.as_deref(), env)?,
        })
    }
}

/// An Alertmanager, ready.
#[derive(Clone, Debug)]
pub struct Alertmanager {
    urls: Vec<String>,
    labels: BTreeMap<String, String>,
    hold_hours: u32,
    token: Option<Secret>,
}

impl Alertmanager {
    pub(super) fn requests(&self, notice: &Notice, now: Time) -> Vec<Outgoing> {
        let alerts = Value::Array(self.alerts(notice, now));
        let mut headers = json_headers();
        headers.extend(self.token.iter().map(|t| ("authorization", format!("Bearer {}", t.reveal()))));
        let to = |url: &String| Outgoing { url: url.clone(), headers: headers.clone(), body: body(&alerts) };
        self.urls.iter().map(to).collect()
    }

    /// The labels, for the next notice to end.
    pub(super) fn receipt(&self, notice: &Notice) -> String {
        Value::Object(self.labels_of(notice)).to_string()
    }

    pub(super) fn refresh_every(&self) -> Duration {
        Duration::from_secs(u64::from(self.hold_hours) * 1800)
    }

    fn alerts(&self, notice: &Notice, now: Time) -> Vec<Value> {
        let incident = &notice.incident;
        let story = Story::of(notice);
        let start = incident.started_at.min(now);
        let end = match notice.reason {
            Reason::Resolved => incident.resolved_at.unwrap_or(now).min(now).max(start),
            // A try must not stay as if something were wrong.
            Reason::Test => now.plus(HOUR / 12),
            _ => now.plus(i64::from(self.hold_hours) * HOUR),
        };
        let mut annotations = Map::new();
        annotations.insert("summary".into(), story.title.clone().into());
        annotations.insert("description".into(), story.summary.clone().into());
        for (label, text) in story.facts() {
            annotations.insert(label.to_lowercase(), text.into());
        }
        let alert = |labels: &Map<String, Value>, end: Time| {
            let mut alert = json!({
                "labels": labels, "annotations": annotations,
                "startsAt": millis(start), "endsAt": millis(end),
            });
            if let Some(link) = &story.link {
                alert["generatorURL"] = link.clone().into();
            }
            alert
        };
        let labels = self.labels_of(notice);
        let before = notice.receipt.as_deref().and_then(|r| serde_json::from_str::<Map<String, Value>>(r).ok());
        let changed = before.filter(|before| *before != labels && before.values().all(Value::is_string));
        let ended = changed.map(|before| alert(&before, now.max(start)));
        ended.into_iter().chain([alert(&labels, end)]).collect()
    }

    fn labels_of(&self, notice: &Notice) -> Map<String, Value> {
        let incident = &notice.incident;
        let test = notice.reason == Reason::Test;
        let own = [
            ("alertname", if test { "BellwetherTest" } else { "BellwetherIncident" }.to_owned()),
            ("severity", incident.severity.as_str().to_owned()),
            ("service", service(incident)),
            ("incident", short(&incident.id.0, LABEL_UNITS_MAX)),
            ("tenant", short(incident.tenant.as_str(), LABEL_UNITS_MAX)),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        let more = self.labels.iter().map(|(name, value)| (name.clone(), short(value, LABEL_UNITS_MAX)));
        // An empty value is no label.
        more.chain(own).filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.into())).collect()
    }
}

fn millis(time: Time) -> String {
    let text = time.rfc3339();
    text.get(..23).map_or(text.clone(), |head| format!("{head}Z"))
}
