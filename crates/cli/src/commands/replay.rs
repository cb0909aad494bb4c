//! `replay`: a stretch of stored history through the live code, before a setting is switched on; and `budget`.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use api::replay::{Plan, Progress, ReplayError};
use serde_json::{Value, json};

use crate::{
    args::{Budget, Format, Replay},
    client::Client,
    failure::{Failure, Kind, Outcome},
    output::{self, paint, plain},
    settings::Settings,
};

/// Runs it here on a folder, or asks a server to; prints what would have been said.
pub async fn run(flags: Replay) -> Outcome {
    let settings = flags.set.iter().map(|said| parse_setting(said)).collect::<Outcome<Vec<_>>>()?;
    let report = match &flags.data_dir {
        Some(dir) => here(dir, &flags, settings).await?,
        None => there(&flags, settings).await?,
    };
    match flags.output {
        Format::Table | Format::Wide => output::write(&story(&report, flags.near)),
        _ => output::document(&report, flags.output),
    }
    Ok(())
}

/// `metric.surprise_min=12` in parts.
fn parse_setting(said: &str) -> Outcome<(String, String, f64)> {
    let parts = said.split_once('=').and_then(|(key, value)| {
        let (analysis, name) = key.split_once('.')?;
        Some((analysis.to_owned(), name.to_owned(), value.parse().ok()?))
    });
    parts.ok_or_else(|| {
        Failure::new(Kind::Usage, format!("not a setting: {said:?}"))
            .hint("write ANALYSIS.NAME=NUMBER, e.g. metric.surprise_min=12")
    })
}

async fn here(dir: &Path, flags: &Replay, said: Vec<(String, String, f64)>) -> Outcome<Value> {
    let at = api::now();
    let moment = |text: &str| api::moment(text, at).map_err(|error| Failure::new(Kind::Usage, error));
    let (from, to) = (moment(&flags.from)?, flags.to.as_deref().map_or(Ok(at), moment)?);
    let mut settings: BTreeMap<String, BTreeMap<String, f64>> = Settings::load(flags.config.as_ref())?.analyses;
    for (analysis, name, value) in said {
        settings.entry(analysis).or_default().insert(name, value);
    }
    let entity = flags.entity.as_deref().map(|e| {
        types::EntityId::parse(e)
            .ok_or_else(|| Failure::new(Kind::Usage, format!("not an entity: {e:?}")).hint("write kind:namespace/name"))
    });
    let learn_ns = api::learn_ns(from, to, flags.learn_hours).map_err(|error| Failure::new(Kind::Usage, error))?;
    let plan = Plan { from, to, learn_ns, settings, budget_per_week: flags.budget, entity: entity.transpose()? };
    let store = super::data::open(dir, true).await?;
    let progress = Arc::new(Progress::default());
    let bar = output::progress("of a thousand parts");
    bar.set_length(1000);
    let (told, shown) = (progress.clone(), bar.clone());
    let ticking = tokio::spawn(async move {
        loop {
            shown.set_position(told.permille.load(std::sync::atomic::Ordering::Relaxed));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let source = store.clone();
    let report = tokio::task::spawn_blocking(move || api::replay::run(&source, &plan, &progress)).await;
    ticking.abort();
    bar.finish_and_clear();
    store.close().await;
    let report = report.map_err(|e| Failure::new(Kind::Failed, format!("the replay broke: {e}")))?;
    let report = report.map_err(|error| match error {
        ReplayError::BadPlan(said) => Failure::new(Kind::Usage, said),
        ReplayError::Store(error) => error.into(),
        ReplayError::Cancelled => Failure::new(Kind::Failed, error.to_string()),
    })?;
    Ok(json!(report))
}

async fn there(flags: &Replay, said: Vec<(String, String, f64)>) -> Outcome<Value> {
    let client = Client::new(&flags.remote)?;
    let mut settings = json!({});
    for (analysis, name, value) in said {
        settings[analysis][name] = json!(value);
    }
    let plan = json!({
        "from": flags.from, "to": flags.to, "learn_hours": flags.learn_hours, "settings": settings,
        "budget_per_week": flags.budget, "entity": flags.entity,
    });
    let started = client.post("/api/v1/replays", &plan).await?;
    let id = started["id"].as_str().unwrap_or_default().to_owned();
    let bar = output::progress("of a thousand parts");
    bar.set_length(1000);
    loop {
        let job = client.get(&format!("/api/v1/replays/{id}")).await?;
        bar.set_position((job["done"].as_f64().unwrap_or(0.0) * 1000.0) as u64);
        match job["state"].as_str() {
            Some("running") => tokio::time::sleep(Duration::from_millis(300)).await,
            Some("done") => {
                bar.finish_and_clear();
                return Ok(job["report"].clone());
            }
            _ => {
                bar.finish_and_clear();
                return Err(Failure::new(Kind::Failed, job["error"].as_str().unwrap_or("the replay failed")));
            }
        }
    }
}

/// A report as a page of text.
fn story(report: &Value, near: bool) -> String {
    let text = |v: &Value| plain(v.as_str().unwrap_or_default());
    let time = |v: &Value| text(v).get(..19).unwrap_or_default().replace('T', " ");
    let list = |key: &str| report[key].as_array().cloned().unwrap_or_default();
    let mut page = format!(
        "{} to {}, learned from {} on, {} rows\n",
        time(&report["from"]),
        time(&report["to"]),
        time(&report["learned_from"]),
        report["rows"]
    );
    page += &format!("\n{} {}\n", list("incidents").len(), paint("incidents would have opened", "bold"));
    for incident in list("incidents") {
        let cause = incident["causes"]
            .get(0)
            .map_or("undecided".to_owned(), |c| format!("{} ({})", text(&c["entity"]), text(&c["kind"])));
        page += &format!("  {}  {}  {cause}\n", time(&incident["opened_at"]), text(&incident["title"]));
    }
    page += &format!("\n{} {}\n", report["findings_total"], paint("findings would have been said", "bold"));
    for finding in list("findings") {
        page += &format!(
            "  {}  {:6.1}  {}\n",
            time(&finding["start"]),
            finding["surprise"].as_f64().unwrap_or(0.0),
            text(&finding["summary"])
        );
        for note in finding["evidence"].as_array().into_iter().flatten().filter(|e| e["type"] == "note") {
            page += &format!("                               · {}\n", text(&note["text"]));
        }
    }
    if near {
        page += &format!("\n{} {}\n", list("near").len(), paint("were nearly said", "bold"));
        for miss in list("near") {
            page += &format!("  {}  {}: {}\n", time(&miss["at"]), text(&miss["entity"]), text(&miss["why"]));
        }
    } else {
        page += &format!("\n{} were nearly said (--near shows why they were not)\n", list("near").len());
    }
    page += &format!("\n{}\n{}", paint("Events a week", "bold"), rates(&list("rates")));
    for warning in list("warnings") {
        page += &format!("warning: {}\n", text(&warning));
    }
    page
}

/// A line an entity of which something was said or held back.
fn rates(rates: &[Value]) -> String {
    let number = |rate: &Value, key: &str| rate[key].as_f64().unwrap_or(0.0);
    let some = rates.iter().filter(|r| number(r, "said_per_week") + number(r, "held_back_per_week") > 0.0);
    let line = |rate: &Value| {
        format!(
            "  {}: {:.1} said, {:.1} held back over {:.1} days; {}\n",
            plain(rate["entity"].as_str().unwrap_or_default()),
            number(rate, "said_per_week"),
            number(rate, "held_back_per_week"),
            number(rate, "days"),
            plain(rate["says"].as_str().unwrap_or_default())
        )
    };
    let lines: String = some.map(line).collect();
    if lines.is_empty() { "  nothing was said of any service\n".to_owned() } else { lines }
}

/// `budget`: shows it, or sets it.
pub async fn budget(flags: Budget) -> Outcome {
    let client = Client::new(&flags.remote)?;
    if let Some(said) = &flags.per_week {
        let per_week = match said.as_str() {
            "none" => None,
            number => Some(number.parse::<f64>().map_err(|_| {
                Failure::new(Kind::Usage, format!("not a number: {number:?}"))
                    .hint("events a week for each service, or none")
            })?),
        };
        client.post("/api/v1/detection/budget", &json!({ "per_week": per_week })).await?;
        output::write(&match per_week {
            Some(n) if n > 0.0 => format!("at most {n} false events a week for each service, from now on\n"),
            _ => "no limit from now on\n".to_owned(),
        });
        return Ok(());
    }
    let answer = client.get("/api/v1/detection").await?;
    if !matches!(flags.output, Format::Table | Format::Wide) {
        output::document(&answer, flags.output);
        return Ok(());
    }
    let budget = answer["budget_per_week"].as_f64();
    output::write(&match budget {
        Some(n) => format!("at most {n} false events a week for each service\n"),
        None => "no budget is set: `bellwether budget 2` sets two false events a week for each service\n".to_owned(),
    });
    output::write(&rates(answer["rates"].as_array().map_or(&[][..], Vec::as_slice)));
    for correction in answer["corrections"].as_array().into_iter().flatten() {
        let what = |key: &str| plain(correction[key].as_str().unwrap_or_default());
        let (needed, ease) = (correction["needed"].as_f64().unwrap_or(0.0), correction["ease"].as_f64().unwrap_or(0.0));
        let moved = if ease > 0.0 {
            format!("missed: {ease:.1} less surprise suffices")
        } else {
            format!("dismissed: must reach a surprise of {needed:.1}")
        };
        output::write(&format!("  {} {} {moved}, said {}\n", what("entity"), what("scope"), what("at")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use types::Time;

    use super::*;

    #[test]
    fn settings_are_read_or_refused() {
        assert_eq!(parse_setting("metric.surprise_min=12").unwrap(), ("metric".into(), "surprise_min".into(), 12.0));
        for bad in ["metric=1", "metric.a", "a.b=x", ""] {
            assert!(parse_setting(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_the_same_as_the_servers() {
        assert!(api::moment("now-15m", Time(0)).is_ok() && api::moment("soon", Time(0)).is_err());
    }
}
