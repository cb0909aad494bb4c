//! `doctor`: look for what commonly goes wrong.

use serde_json::Value;

use crate::{
    args::Doctor,
    client::Client,
    failure::{Failure, Kind, Outcome},
    output::{self, paint},
    settings::Settings,
};

use super::query::ask;

/// Runs all checks, prints a line each, and fails if one did.
pub async fn run(flags: Doctor) -> Outcome {
    let mut bad = 0;
    let mut say = |ok: bool, what: &str, hint: &str| {
        let mark = if ok { paint("ok  ", "green") } else { paint("bad ", "red") };
        output::write(&format!("{mark} {what}\n"));
        if !ok {
            output::write(&format!("     {hint}\n"));
            bad += 1;
        }
    };
    match Settings::load(None) {
        Ok(_) => say(true, "settings can be read", ""),
        Err(failure) => say(false, &format!("settings: {failure:?}"), "run `bellwether config check`"),
    }
    let client = Client::new(&flags.remote)?;
    match client.get("/readyz").await {
        Ok(_) => say(true, &format!("server at {} is ready", client.url()), ""),
        Err(failure) => {
            say(
                false,
                &format!("server at {} is not ready", client.url()),
                "start it with `bellwether serve`, or name another with --url",
            );
            failure.print();
            return Err(Failure::new(Kind::Unavailable, "the other checks need a server"));
        }
    }
    match ask(&client, "SELECT count(*) FROM samples WHERE tenant <> '_self'").await {
        Ok((_, rows, warnings)) => {
            let count = rows.first().and_then(|r| r.first()).and_then(Value::as_u64).unwrap_or(0);
            say(
                count > 0,
                &format!("{count} metric points were taken in"),
                "point a sender at it: the page /welcome has snippets, `bellwether send metric x 1` a test",
            );
            say(warnings.is_empty(), "stored blocks read back whole", &warnings.join("; "));
        }
        Err(_) => say(false, "queries are answered", "see the server's log"),
    }
    if let Ok(status) = client.get("/api/v1/status").await {
        let lag = status.pointer("/live/lag_s").and_then(Value::as_f64).unwrap_or(0.0);
        say(
            lag < 30.0,
            &format!("analyses are {lag:.0} s behind"),
            "fewer series or more processor time: see `bellwether status`",
        );
    }
    if bad > 0 { Err(Failure::new(Kind::Failed, format!("{bad} check(s) failed"))) } else { Ok(()) }
}
