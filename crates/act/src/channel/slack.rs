//! Slack, in two ways. The secret is either the URL of an incoming webhook, or, where `channel` is given, the token of a
//! bot (scope `chat:write`), which keeps all that is said of an incident in one thread.
//!
//! Text of telemetry cannot mention anybody or link anywhere: `<`, `>` and `&` are escaped, automatic parsing is off
//! (`verbatim`, `parse`, `link_names`), and `@channel` and its like are written with another @.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use types::Time;

use super::{Notice, Reason, Wrong, body, checked_url, json_headers, needed, secret_url};
use crate::{
    deliver::{self, Outcome},
    egress::{Answer, Outgoing},
    secret::Secret,
    story::Story,
    text::fit,
};

const HEADER_UNITS_MAX: usize = 150;
const SECTION_UNITS_MAX: usize = 3000;

/// `kind = "slack"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// For a bot: the channel's id (`C0123456789`).
    #[serde(default)]
    pub channel: Option<String>,
    /// For a bot: Slack's API; the default is Slack's own.
    #[serde(default = "api_url")]
    pub api_url: String,
    /// Name of the variable that holds the webhook's URL or the bot's token.
    #[serde(default)]
    pub secret_env: Option<String>,
    /// File that holds it.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
}

fn api_url() -> String {
    "https://slack.com/api".into()
}

impl Settings {
    pub(super) fn open(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Slack, Wrong> {
        let what = if self.channel.is_some() { "the bot's token" } else { "the incoming webhook's URL" };
        let secret = needed(&self.secret_env, &self.secret_file, env, what)?;
        let Some(channel) = &self.channel else {
            if secret.reveal().starts_with("xox") {
                return Err(("channel", "the secret is a bot's token: say in which channel it speaks".into()));
            }
            return Ok(Slack::Webhook { url: secret_url(secret, self.secret_env.is_some())? });
        };
        let is_id = (2..=80).contains(&channel.len()) && channel.chars().all(|c| c.is_ascii_alphanumeric());
        if !is_id {
            return Err((
                "channel",
                format!("{channel:?} is no id of a channel (C0123456789): see its details in Slack"),
            ));
        }
        if !secret.reveal().starts_with("xox") {
            let field = if self.secret_env.is_some() { "secret_env" } else { "secret_file" };
            return Err((
                field,
                "what it points to is no bot's token (xoxb-…); a webhook's URL needs no channel".into(),
            ));
        }
        checked_url(&self.api_url).map_err(|what| ("api_url", what))?;
        let url = format!("{}/chat.postMessage", self.api_url.trim_end_matches('/'));
        Ok(Slack::Bot { url, token: secret, channel: channel.clone() })
    }
}

/// Slack, ready.
#[derive(Clone, Debug)]
pub enum Slack {
    /// An incoming webhook.
    Webhook {
        /// Where to; whoever has it can post.
        url: Secret,
    },
    /// A bot.
    Bot {
        /// The method's URL.
        url: String,
        /// Its token.
        token: Secret,
        /// The channel's id.
        channel: String,
    },
}

impl Slack {
    pub(super) fn request(&self, notice: &Notice) -> Outgoing {
        let mut message = message(notice);
        let mut headers = json_headers();
        let url = match self {
            Slack::Webhook { url } => url.reveal().to_owned(),
            Slack::Bot { url, token, channel } => {
                headers.push(("authorization", format!("Bearer {}", token.reveal())));
                message["channel"] = channel.clone().into();
                message["parse"] = "none".into();
                message["link_names"] = false.into();
                if let Some(thread) = thread(notice) {
                    message["thread_ts"] = thread.into();
                    // What changes what people do is shown in the channel too, not in the thread alone.
                    let loud = matches!(notice.reason, Reason::Escalated | Reason::Reopened | Reason::Resolved);
                    message["reply_broadcast"] = loud.into();
                }
                url.clone()
            }
        };
        Outgoing { url, headers, body: body(&message) }
    }

    /// A bot's call is answered with 200 and `ok`; the thread is the first message's `ts`.
    pub(super) fn judge(&self, notice: &Notice, answer: &Answer, now: Time) -> Outcome {
        let by_status = deliver::by_status(answer, None, now);
        if matches!(self, Slack::Webhook { .. }) || !matches!(by_status, Outcome::Delivered { .. }) {
            return by_status;
        }
        let said = answer.body.as_deref().and_then(|body| serde_json::from_slice::<Value>(body).ok());
        let Some(said) = said.filter(Value::is_object) else {
            return Outcome::Unknown { why: "slack's answer was cut off; the message may have been posted".into() };
        };
        if said["ok"] == true {
            let posted = said["ts"].as_str().filter(|ts| is_thread(ts));
            return Outcome::Delivered { receipt: thread(notice).or(posted).map(str::to_owned) };
        }
        refusal(said["error"].as_str().unwrap_or_default())
    }
}

/// What Slack's error codes ask for, in our words.
fn refusal(code: &str) -> Outcome {
    let why = match code {
        "ratelimited"
        | "rate_limited"
        | "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout" => {
            return Outcome::Retry { after: None, why: "slack has trouble or is asked too often".into() };
        }
        "not_in_channel" => "the bot is not in the channel: invite it",
        "channel_not_found" => "there is no such channel, or the bot may not see it",
        "is_archived" => "the channel is archived",
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive" => {
            "slack does not accept the bot's token"
        }
        "missing_scope" | "restricted_action" | "no_permission" => {
            "the bot may not post: it needs the scope chat:write"
        }
        _ => "slack does not take the message",
    };
    Outcome::Refused { why: why.into() }
}

fn message(notice: &Notice) -> Value {
    let story = Story::of(notice);
    let mut lines: Vec<String> = Vec::new();
    if !story.summary.is_empty() {
        lines.push(escaped(&story.summary, 2400));
    }
    let facts: Vec<String> =
        story.facts().into_iter().map(|(label, text)| format!("*{label}:* {}", escaped(text, 1400))).collect();
    let mut blocks = vec![json!({
        "type": "header",
        "text": { "type": "plain_text", "text": escaped(&story.headline, HEADER_UNITS_MAX), "emoji": false },
    })];
    blocks.extend(lines.into_iter().map(section));
    // One section would do for most; two keep each below the limit whatever the texts are.
    let (state, rest) = facts.split_at(facts.len().min(3));
    blocks.extend([state, rest].into_iter().filter(|part| !part.is_empty()).map(|part| section(part.join("\n"))));
    if let Some(link) = &story.link {
        let link: String = link.replace('&', "&amp;").replace('|', "%7C");
        blocks.push(section(format!("<{link}|Open in Bellwether>")));
    }
    json!({
        "text": escaped(&story.headline, SECTION_UNITS_MAX),
        "blocks": blocks,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

fn section(text: String) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } })
}

/// Escaped as Slack asks, at most `units_max` long with the escapes.
fn escaped(text: &str, units_max: usize) -> String {
    fit(&without_mentions(text), units_max, |c, out| match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    })
}

fn without_mentions(text: &str) -> String {
    let loud = |rest: &str| {
        ["channel", "here", "everyone"]
            .iter()
            .any(|word| rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word)))
    };
    text.char_indices().map(|(i, c)| if c == '@' && loud(&text[i + 1..]) { '＠' } else { c }).collect()
}

fn thread(notice: &Notice) -> Option<&str> {
    notice.receipt.as_deref().filter(|ts| is_thread(ts))
}

fn is_thread(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.len() <= 20 && part.bytes().all(|b| b.is_ascii_digit());
    text.split_once('.').is_some_and(|(seconds, rest)| digits(seconds) && digits(rest))
}
