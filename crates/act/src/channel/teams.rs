//! Microsoft Teams: a workflow that starts "when a Teams webhook request is received" and posts the Adaptive Card it
//! gets. The secret is the workflow's URL.
//!
//! Text of telemetry stands in text runs, which know no Markdown, so that it can neither link nor mention.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use types::Severity;

use super::{Notice, Reason, Wrong, body, json_headers, needed, secret_url};
use crate::{egress::Outgoing, secret::Secret, story::Story};

/// `kind = "teams"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name of the variable that holds the workflow's URL.
    #[serde(default)]
    pub secret_env: Option<String>,
    /// File that holds it.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
}

impl Settings {
    pub(super) fn open(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Teams, Wrong> {
        let secret = needed(&self.secret_env, &self.secret_file, env, "the workflow's URL")?;
        Ok(Teams { url: secret_url(secret, self.secret_env.is_some())? })
    }
}

/// A workflow, ready.
#[derive(Clone, Debug)]
pub struct Teams {
    url: Secret,
}

impl Teams {
    pub(super) fn request(&self, notice: &Notice) -> Outgoing {
        let message = json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": card(notice),
            }],
        });
        Outgoing { url: self.url.reveal().to_owned(), headers: json_headers(), body: body(&message) }
    }
}

fn card(notice: &Notice) -> Value {
    let story = Story::of(notice);
    let color = match (notice.reason, notice.incident.severity) {
        (Reason::Resolved, _) => "good",
        (Reason::Test, _) | (_, Severity::Info) => "accent",
        (_, Severity::Warning) => "warning",
        (_, Severity::Major | Severity::Critical) => "attention",
    };
    let mut rows = vec![runs(json!([
        { "type": "TextRun", "text": story.headline, "weight": "bolder", "size": "medium", "color": color },
    ]))];
    if !story.summary.is_empty() {
        rows.push(runs(json!([{ "type": "TextRun", "text": story.summary }])));
    }
    rows.extend(story.facts().into_iter().map(|(label, text)| {
        runs(json!([
            { "type": "TextRun", "text": format!("{label}: "), "weight": "bolder" },
            { "type": "TextRun", "text": text },
        ]))
    }));
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": rows,
    });
    if let Some(link) = &story.link {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": "Open in Bellwether", "url": link }]);
    }
    card
}

fn runs(inlines: Value) -> Value {
    json!({ "type": "RichTextBlock", "inlines": inlines })
}
