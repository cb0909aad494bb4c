//! `incidents`: list, show, acknowledge, resolve.

use serde_json::{Value, json};

use crate::{
    args::{Format, Incidents, Remote, Verdict},
    client::Client,
    failure::{Failure, Kind, Outcome},
    output::{self, paint, plain},
};

/// Carries out one of them.
pub async fn run(what: Incidents) -> Outcome {
    match what {
        Incidents::List { state, tenant, remote, output } => {
            let mut path = "/api/v1/incidents".to_owned();
            let said = [("state", state), ("tenant", tenant)];
            for (i, (key, value)) in said.iter().filter_map(|(k, v)| v.as_ref().map(|v| (k, v))).enumerate() {
                path += &format!("{}{key}={value}", if i == 0 { '?' } else { '&' });
            }
            let list = Client::new(&remote)?.get(&path).await?;
            print_list(&list, output);
            Ok(())
        }
        Incidents::Show { id, remote, output } => {
            let incident = Client::new(&remote)?.get(&format!("/api/v1/incidents/{}", checked(&id)?)).await?;
            match output {
                Format::Table | Format::Wide => output::write(&story(&incident)),
                _ => output::document(&incident, output),
            }
            Ok(())
        }
        Incidents::Ack(verdict) => say(verdict, "acknowledge").await,
        Incidents::Resolve(verdict) => say(verdict, "resolve").await,
        Incidents::Note { id, text, remote } => tell(&remote, &id, "notes", json!({ "text": text })).await,
        Incidents::Join { id, into, remote } => tell(&remote, &id, "join", json!({ "into": checked(&into)? })).await,
        Incidents::Split { id, entities, remote } => tell(&remote, &id, "split", json!({ "entities": entities })).await,
        Incidents::Similar { id, remote, output } => {
            let list = Client::new(&remote)?.get(&format!("/api/v1/incidents/{}/similar", checked(&id)?)).await?;
            print_similar(&list, output);
            Ok(())
        }
        Incidents::Postmortem { id, remote } => {
            let path = format!("/api/v1/incidents/{}/postmortem", checked(&id)?);
            output::write(&plain(&Client::new(&remote)?.get_text(&path).await?));
            Ok(())
        }
    }
}

async fn tell(remote: &Remote, id: &str, what: &str, body: Value) -> Outcome {
    let id = checked(id)?;
    Client::new(remote)?.post(&format!("/api/v1/incidents/{id}/{what}"), &body).await?;
    output::write(&format!("{id}: noted\n"));
    Ok(())
}

fn print_similar(list: &Value, format: Format) {
    if matches!(format, Format::Json | Format::Jsonl) {
        return output::document(list, format);
    }
    let found = list.as_array().map(Vec::as_slice).unwrap_or_default();
    if found.is_empty() {
        return output::write("none looks like it\n");
    }
    let columns = ["id", "score", "began", "title", "shared", "ended by"].map(str::to_owned);
    let words = |value: &Value| -> Value {
        let words: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        words.join("; ").into()
    };
    let row = |s: &Value| {
        let began = output::moment(&s["started_at"]);
        vec![s["id"].clone(), s["score"].clone(), began, s["title"].clone(), words(&s["shared"]), words(&s["ended_by"])]
    };
    output::rows(&columns, &found.iter().map(row).collect::<Vec<_>>(), format);
}

fn print_list(list: &Value, format: Format) {
    let empty = Vec::new();
    let incidents = list.as_array().unwrap_or(&empty);
    if matches!(format, Format::Json | Format::Jsonl) {
        return output::document(list, format);
    }
    if incidents.is_empty() {
        return output::write("no incidents\n");
    }
    let columns = ["id", "state", "severity", "opened", "title", "cause"].map(str::to_owned);
    let rows: Vec<Vec<Value>> = incidents
        .iter()
        .map(|i| {
            let cause = match i["causes"].get(0) {
                _ if i["undecided"] == json!(true) => "undecided".to_owned(),
                Some(c) => {
                    format!("{} ({})", c["entity"].as_str().unwrap_or_default(), c["kind"].as_str().unwrap_or_default())
                }
                None => "undecided".to_owned(),
            };
            vec![
                i["id"].clone(),
                i["state"].clone(),
                i["severity"].clone(),
                output::moment(&i["opened_at"]),
                i["title"].clone(),
                cause.into(),
            ]
        })
        .collect();
    output::rows(&columns, &rows, format);
}

/// An incident as a page of text.
fn story(incident: &Value) -> String {
    let text = |v: &Value| plain(v.as_str().unwrap_or_default());
    let mut page = format!(
        "{}  {}  {}\n",
        paint(&text(&incident["title"]), "bold"),
        text(&incident["state"]),
        text(&incident["severity"])
    );
    page += &format!("{}\n", text(&incident["summary"]));
    if incident["priority"]["level"].as_u64().is_some_and(|level| level > 0) {
        page += &format!("{}\n", text(&incident["priority"]["reason"]));
    }
    page += &format!("\n{}\n", paint("Suspected causes", "bold"));
    for cause in incident["causes"].as_array().into_iter().flatten() {
        let belief = cause["belief"].as_f64().unwrap_or(0.0) * 100.0;
        page += &format!(
            "  {belief:3.0} %  {} ({})  {}\n",
            text(&cause["entity"]),
            text(&cause["kind"]),
            text(&cause["summary"])
        );
        for evidence in cause["evidence"].as_array().into_iter().flatten() {
            page += &format!("         · {}\n", evidence_line(evidence));
        }
    }
    if incident["undecided"] == json!(true) {
        page += "  undecided: no cause stands out\n";
        for missing in incident["missing"].as_array().into_iter().flatten() {
            page += &format!("         missing: {}\n", text(missing));
        }
    }
    page += &format!("\n{}\n", paint("Timeline", "bold"));
    for entry in incident["timeline"].as_array().into_iter().flatten() {
        let at = text(&entry["at"]);
        page += &format!("  {}  {}\n", at.get(11..19).unwrap_or(&at), text(&entry["text"]));
    }
    page
}

fn evidence_line(evidence: &Value) -> String {
    let text = |key: &str| plain(evidence[key].as_str().unwrap_or_default());
    match evidence["type"].as_str().unwrap_or_default() {
        "series" | "derived" => format!("chart of {} {}", text("metric"), text("entity")),
        "logs" => format!("{} log lines like: {}", evidence["count"], text("text")),
        "trace" => format!("trace {}", text("trace_id")),
        "edge" => format!("calls {} → {}", text("source"), text("target")),
        "change" => format!("{} of {} {} at {}", text("kind"), text("entity"), text("version"), text("at")),
        _ => text("text"),
    }
}

async fn say(verdict: Verdict, what: &str) -> Outcome {
    let id = checked(&verdict.id)?;
    let actor = verdict.actor.or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "cli".into());
    if verdict.dry_run {
        output::write(&format!("would {what} {id} as {actor}\n"));
        return Ok(());
    }
    Client::new(&verdict.remote)?.post(&format!("/api/v1/incidents/{id}/{what}"), &json!({ "actor": actor })).await?;
    output::write(&format!("{id}: {what} noted\n"));
    Ok(())
}

fn checked(id: &str) -> Outcome<&str> {
    if !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Ok(id);
    }
    Err(Failure::new(Kind::Usage, format!("not an incident's id: {id:?}"))
        .hint("ids look like inc-3; `bellwether incidents list` shows them"))
}
