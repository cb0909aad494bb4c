//! `alerts` and `silences`.

use serde_json::{Value, json};

use crate::{
    args::{Alerts, Format, Silences},
    client::Client,
    failure::{Failure, Kind, Outcome},
    output::{self, plain},
};

/// Lists alerts.
pub async fn run(flags: Alerts) -> Outcome {
    let said = [("state", flags.state), ("entity", flags.entity), ("tenant", flags.tenant)];
    let parameters: Vec<(&str, String)> = said.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let answer = Client::new(&flags.remote)?.get_with("/api/v1/alerts", &parameters).await?;
    if matches!(flags.output, Format::Json | Format::Jsonl) {
        output::document(&answer["alerts"], flags.output);
        return Ok(());
    }
    let alerts = answer["alerts"].as_array().map(Vec::as_slice).unwrap_or_default();
    if alerts.is_empty() {
        output::write("no alerts\n");
        return Ok(());
    }
    let columns = ["state", "alert", "severity", "entity", "since", "incident", "summary"].map(str::to_owned);
    let row = |alert: &Value| {
        let state = match (alert["firing"].as_bool(), alert["silenced_by"].is_null(), alert["flapping"].as_bool()) {
            (Some(true), false, _) => "silenced",
            (Some(true), _, Some(true)) => "firing, flaps",
            (Some(true), ..) => "firing",
            _ => "resolved",
        };
        let since = output::moment(&alert["starts_at"]);
        let cell = |name: &str| alert[name].clone();
        vec![state.into(), cell("name"), cell("severity"), cell("entity"), since, cell("incident"), cell("summary")]
    };
    output::rows(&columns, &alerts.iter().map(row).collect::<Vec<_>>(), flags.output);
    let total = answer["total"].as_u64().unwrap_or(0);
    if total > alerts.len() as u64 {
        output::write(&format!("{} more\n", total - alerts.len() as u64));
    }
    Ok(())
}

/// Lists, makes and ends silences.
pub async fn silences(what: Silences) -> Outcome {
    match what {
        Silences::List { remote, output } => {
            let list = Client::new(&remote)?.get("/api/v1/silences").await?;
            print(&list, output);
        }
        Silences::Add { matchers, lasts, starts_at, comment, dry_run, remote } => {
            let body = json!({ "matchers": matchers, "lasts": lasts, "starts_at": starts_at, "comment": comment });
            let client = Client::new(&remote)?;
            if dry_run {
                let seen = client.post("/api/v1/silences/preview", &body).await?;
                output::write(&format!(
                    "of {} findings of the last seven days it would have kept {} quiet; {} of {} incidents would not have opened; {} alerts fit now\n",
                    seen["findings"],
                    seen["kept_quiet"],
                    seen["incidents_not_opened"].as_array().map_or(0, Vec::len),
                    seen["incidents"],
                    seen["alerts_now"],
                ));
                return Ok(());
            }
            let made = client.post("/api/v1/silences", &body).await?;
            let text = |name: &str| plain(made[name].as_str().unwrap_or_default());
            output::write(&format!("{} holds until {}\n", text("id"), text("ends_at")));
        }
        Silences::End { id, remote } => {
            if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
                return Err(Failure::new(Kind::Usage, format!("not a silence's id: {id:?}"))
                    .hint("`bellwether silences list` shows them"));
            }
            Client::new(&remote)?.post(&format!("/api/v1/silences/{id}/end"), &json!({})).await?;
            output::write(&format!("{id} is over\n"));
        }
    }
    Ok(())
}

fn print(list: &Value, format: Format) {
    if matches!(format, Format::Json | Format::Jsonl) {
        return output::document(list, format);
    }
    let silences = list.as_array().map(Vec::as_slice).unwrap_or_default();
    if silences.is_empty() {
        return output::write("no silences\n");
    }
    let columns = ["id", "state", "conditions", "until", "kept quiet", "comment"].map(str::to_owned);
    let row = |s: &Value| {
        let conditions: Vec<&str> = s["matchers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        vec![
            s["id"].clone(),
            s["state"].clone(),
            conditions.join(" ").into(),
            output::moment(&s["ends_at"]),
            s["kept_quiet"].clone(),
            s["comment"].clone(),
        ]
    };
    output::rows(&columns, &silences.iter().map(row).collect::<Vec<_>>(), format);
}
