//! `tail`: the newest log lines, and those that follow.

use std::time::Duration;

use serde_json::Value;

use crate::{
    args::{Format, Tail},
    client::Client,
    failure::{Failure, Kind, Outcome},
    output::{self, paint, plain},
};

use super::query::{ask, literal};

/// Prints lines, oldest first; with `--follow` asks again every second for what was learned since.
pub async fn run(flags: Tail) -> Outcome {
    let client = Client::new(&flags.remote)?;
    let mut filter = format!("severity >= {}", level(&flags.level)?);
    if let Some(entity) = &flags.entity {
        let name = if entity.contains(':') {
            format!("entity = {}", literal(entity))
        } else {
            format!("entity LIKE {}", literal(&format!("%/{entity}")))
        };
        filter += &format!(" AND {name}");
    }
    if let Some(text) = &flags.grep {
        filter += &format!(" AND strpos(body, {}) > 0", literal(text));
    }
    let mut since: Option<String> = None;
    loop {
        let (bound, limit) = match &since {
            Some(since) => (format!(" AND learned > {}", literal(since)), 1000),
            None => (String::new(), flags.lines),
        };
        let sql = format!(
            "SELECT learned, time, severity, entity, body FROM records WHERE {filter}{bound} ORDER BY learned DESC, time DESC LIMIT {limit}"
        );
        let (_, mut rows, warnings) = ask(&client, &sql).await?;
        for warning in warnings {
            eprintln!("warning: {}", plain(&warning));
        }
        if let Some(newest) = rows.first().and_then(|r| r.first()).and_then(Value::as_str) {
            since = Some(newest.to_owned());
        } else if since.is_none() {
            since = Some("1970-01-01T00:00:00Z".into());
        }
        rows.reverse();
        for row in &rows {
            print(row, flags.output);
        }
        if !flags.follow {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn print(row: &[Value], format: Format) {
    let text = |i: usize| row.get(i).and_then(Value::as_str).unwrap_or_default();
    if matches!(format, Format::Json | Format::Jsonl) {
        let line = serde_json::json!({"time": text(1), "severity": row.get(2), "entity": text(3), "body": text(4)});
        return output::write(&format!("{line}\n"));
    }
    let severity = row.get(2).and_then(Value::as_u64).unwrap_or(0);
    let (word, style) = match severity {
        17.. => ("ERROR", "red"),
        13..=16 => ("WARN ", "yellow"),
        9..=12 => ("INFO ", "green"),
        1..=8 => ("DEBUG", "dim"),
        _ => ("     ", "dim"),
    };
    let time = text(1).get(11..23).unwrap_or(text(1));
    output::write(&format!("{} {} {} {}\n", paint(time, "dim"), paint(word, style), plain(text(3)), plain(text(4))));
}

fn level(name: &str) -> Outcome<u8> {
    match name.to_lowercase().as_str() {
        "trace" | "debug" => Ok(0),
        "info" => Ok(9),
        "warn" | "warning" => Ok(13),
        "error" => Ok(17),
        "fatal" => Ok(21),
        _ => Err(Failure::new(Kind::Usage, format!("no level {name:?}")).hint("use debug, info, warn, error or fatal")),
    }
}
