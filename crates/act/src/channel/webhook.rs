//! JSON to anybody, signed: `Bellwether-Signature: t=UNIX,v1=HEX` is the HMAC-SHA256, under the shared secret, of the
//! time, a dot and the body as it was sent. A receiver computes it over the raw body, compares in constant time, and
//! refuses times that are more than five minutes off and deliveries (`Bellwether-Delivery`) that it has seen.

use std::path::PathBuf;

use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use types::{SECOND, Time};

use super::{Notice, Wrong, body, checked_url, json_headers, needed};
use crate::{egress::Outgoing, secret::Secret, story::short, text::link};

/// A shorter secret could be guessed.
const SECRET_BYTES_MIN: usize = 16;
const TITLE_UNITS_MAX: usize = 300;
const TEXT_UNITS_MAX: usize = 2000;
const LISTED_MAX: usize = 50;

/// `kind = "webhook"`. The secret signs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where to.
    pub url: String,
    /// Name of the variable that holds the secret.
    #[serde(default)]
    pub secret_env: Option<String>,
    /// File that holds the secret.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
}

impl Settings {
    pub(super) fn open(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Webhook, Wrong> {
        checked_url(&self.url).map_err(|what| ("url", what))?;
        let secret = needed(&self.secret_env, &self.secret_file, env, "the secret that signs")?;
        if secret.reveal().len() < SECRET_BYTES_MIN {
            let field = if self.secret_env.is_some() { "secret_env" } else { "secret_file" };
            return Err((field, format!("what it points to has under {SECRET_BYTES_MIN} bytes: take a longer secret")));
        }
        Ok(Webhook { url: self.url.clone(), secret })
    }
}

/// A webhook, ready.
#[derive(Clone, Debug)]
pub struct Webhook {
    url: String,
    secret: Secret,
}

impl Webhook {
    pub(super) fn request(&self, notice: &Notice, now: Time) -> Outgoing {
        let body = body(&told(notice));
        let mut headers = json_headers();
        headers.push(("bellwether-signature", signature(&self.secret, now, &body)));
        headers.push(("bellwether-delivery", notice.delivery.clone()));
        Outgoing { url: self.url.clone(), headers, body }
    }
}

/// The value of `Bellwether-Signature` for a body sent at `now`.
pub fn signature(secret: &Secret, now: Time, body: &[u8]) -> String {
    let t = now.0.div_euclid(SECOND).to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    for part in [t.as_bytes(), b".", body] {
        context.update(part);
    }
    let hex: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={t},v1={hex}")
}

/// The body. Fields may be added; those that are here keep their meaning while `version` is 1.
fn told(notice: &Notice) -> Value {
    let incident = &notice.incident;
    let causes = incident.causes.iter().take(5).map(|cause| {
        json!({
            "entity": short(cause.entity.as_str(), TITLE_UNITS_MAX),
            "kind": cause.kind,
            "belief": cause.belief,
            "summary": short(&cause.summary, TEXT_UNITS_MAX),
        })
    });
    let causes: Vec<Value> = causes.collect();
    json!({
        "version": 1,
        "delivery": notice.delivery,
        "reason": notice.reason.as_str(),
        "link": notice.link.as_deref().and_then(link),
        "incident": {
            "id": short(&incident.id.0, TITLE_UNITS_MAX),
            "tenant": short(incident.tenant.as_str(), TITLE_UNITS_MAX),
            "state": incident.state,
            "severity": incident.severity.as_str(),
            "title": short(&incident.title, TITLE_UNITS_MAX),
            "summary": short(&incident.summary, TEXT_UNITS_MAX),
            "started_at": incident.started_at,
            "opened_at": incident.opened_at,
            "resolved_at": incident.resolved_at,
            "actor": incident.actor.as_deref().map(|a| short(a, TITLE_UNITS_MAX)),
            "entities": listed(incident.entities.iter().map(|e| e.as_str())),
            "undecided": incident.undecided,
            "missing": listed(incident.missing.iter().map(String::as_str)),
            "causes": causes,
            "impact": {
                "failed_requests": incident.impact.failed_requests,
                "slow_requests": incident.impact.slow_requests,
                "requests": incident.impact.requests,
                "dependents": listed(incident.impact.dependents.iter().map(|e| e.as_str())),
            },
        },
    })
}

fn listed<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    texts.take(LISTED_MAX).map(|text| short(text, TITLE_UNITS_MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_hmac_sha256() {
        // Computed with Python's hmac module.
        let secret = Secret::new("0123456789abcdef");
        let expected = "t=1767323045,v1=4c32cf781f3565724c268f18d7bc9ba04dd466529b0127d152f7e9f20a8ea5e0";
        assert_eq!(signature(&secret, Time(1_767_323_045_999_999_999), b"{\"a\":1}"), expected);
    }
}
