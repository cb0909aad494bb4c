//! Telling those who asked for it what happens in the registry, as MLflow's server signs and sends it.

use std::{sync::Arc, time::Duration};

use act::{Failure, Outgoing};
use models::{
    Problem,
    mlflow::{self, Said},
    webhooks::{self, Fate, Letter},
};
use ring::hmac;
use serde_json::{Value, json};

use super::now_ms;
use crate::state::App;

/// How often it is looked at what is due.
const EVERY: Duration = Duration::from_millis(500);
/// Letters sent at the same time.
const TOGETHER: usize = 16;

/// Sends what is due until the server stops.
pub async fn deliver(app: Arc<App>) {
    while !app.stop.is_set() {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = app.stop.wait() => return,
        }
        let due = app.models.read(|book| book.due(now_ms(), TOGETHER));
        if due.is_empty() {
            continue;
        }
        let mut sending = tokio::task::JoinSet::new();
        for letter in due {
            let app = app.clone();
            sending.spawn(async move {
                let fate = send(&app, &letter).await;
                (letter.id, fate)
            });
        }
        while let Some(Ok((id, fate))) = sending.join_next().await {
            if let Err(why) = &fate {
                tracing::warn!("a webhook was not told: {why}");
            }
            let fate = fate.unwrap_or_else(|unsent| unsent.0);
            let noted = app.models.change(|book, at| Ok(book.tried(&id, fate, at))).await;
            if noted.is_ok_and(|is_given_up| is_given_up) {
                tracing::warn!("a webhook did not answer well four times: what it was to be told is given up");
            }
        }
    }
}

/// What a failed try means, and why it failed.
struct Unsent(Fate, String);

impl std::fmt::Display for Unsent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.1)
    }
}

async fn send(app: &App, letter: &Letter) -> Result<Fate, Unsent> {
    match app.egress.send(&outgoing(letter)).await {
        Ok(answer) if matches!(answer.status, 429 | 500 | 502 | 503 | 504) => {
            Err(Unsent(Fate::Again, format!("it answered {}", answer.status)))
        }
        Ok(answer) if answer.status >= 400 => Err(Unsent(Fate::Done, format!("it answered {}", answer.status))),
        Ok(_) => Ok(Fate::Done),
        Err(Failure::Refused(why)) => Err(Unsent(Fate::Done, why)),
        Err(other) => Err(Unsent(Fate::Again, other.to_string())),
    }
}

fn outgoing(letter: &Letter) -> Outgoing {
    let seconds = (now_ms() / 1000).to_string();
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("x-mlflow-delivery-id", letter.id.clone()),
        ("x-mlflow-timestamp", seconds.clone()),
    ];
    if !letter.secret.is_empty() {
        headers.push(("x-mlflow-signature", signature(letter, &seconds)));
    }
    Outgoing { url: letter.url.clone(), headers, body: letter.body.clone().into_bytes() }
}

/// `v1,` and the HMAC-SHA256 of id, time and body in base64.
fn signature(letter: &Letter, seconds: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, letter.secret.as_bytes());
    let signed = format!("{}.{seconds}.{}", letter.id, letter.body);
    format!("v1,{}", mlflow::base64(hmac::sign(&key, signed.as_bytes()).as_ref()))
}

/// Answers a try of a webhook.
pub async fn test(app: &Arc<App>, said: &Said) -> Result<Value, Problem> {
    let (webhook, event) = app.models.read(|book| mlflow::tested(book, said))?;
    let body = webhooks::body(&event, now_ms(), &webhooks::example(&event));
    let id = format!("{}-test", webhook.id);
    let letter = Letter { id, url: webhook.url, secret: webhook.secret, body };
    let result = match app.egress.send(&outgoing(&letter)).await {
        Ok(answer) => json!({"success": answer.status < 400, "response_status": answer.status}),
        Err(why) => json!({"success": false, "error_message": format!("Failed to test webhook: {why}")}),
    };
    Ok(json!({"result": result}))
}

/// Whether letters may go where a request says.
pub async fn check(app: &App, said: &Said) -> Result<(), Problem> {
    let Some(url) = Some(said.url()).filter(|url| url.contains("://")) else { return Ok(()) };
    match app.egress.check(url).await {
        Err(Failure::Refused(why)) => Err(Problem::invalid(format!("Webhook URL must not be used: {why}"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_signed_as_mlflow_signs_them() {
        let letter =
            Letter { id: "d1".into(), url: "https://x".into(), secret: "s3cret".into(), body: "{\"a\": 1}".into() };
        // By Python's hmac, over d1.1700000000.{"a": 1}
        assert_eq!(signature(&letter, "1700000000"), "v1,SL09e/IZgMeXvzZRPOdF+ztEGcfCg48OkhwoQmVq2JE=");
        let plain = outgoing(&Letter { secret: String::new(), ..letter });
        assert!(plain.headers.iter().all(|(name, _)| *name != "x-mlflow-signature"));
    }
}
