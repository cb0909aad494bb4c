//! `slos`: service level objectives and their budgets.

use std::{io::Read, path::Path};

use serde::Deserialize;
use serde_json::Value;
use types::{
    Slo, SloStatus, Time,
    slo::{Indicator, Part},
};

use crate::{
    args::{Format, Slos},
    client::{self, Client},
    failure::{Failure, Kind, Outcome},
    output::{self, length, paint, plain},
};

/// Carries out one of them.
pub async fn run(what: Slos) -> Outcome {
    match what {
        Slos::List { tenant, remote, output } => {
            let asked: Vec<(&str, String)> = tenant.map(|tenant| ("tenant", tenant)).into_iter().collect();
            let list = Client::new(&remote)?.get_with("/api/v1/slos", &asked).await?;
            print_list(list, output)
        }
        Slos::Show { name, remote, output } => {
            let objective = Client::new(&remote)?.get(&path_of(&name)?).await?;
            match output {
                Format::Table | Format::Wide => output::write(&story(&read(objective)?)),
                _ => output::document(&objective, output),
            }
            Ok(())
        }
        Slos::Set { file, remote } => {
            let (text, slos) = open(&file)?;
            Client::new(&remote)?.post_text("/api/v1/slos", "application/yaml", text).await?;
            output::write(&slos.iter().map(|slo| format!("set {}\n", promise(slo))).collect::<String>());
            Ok(())
        }
        Slos::Check { file } => {
            let (_, slos) = open(&file)?;
            output::write(&slos.iter().map(|slo| format!("good: {}\n", promise(slo))).collect::<String>());
            Ok(())
        }
        Slos::Remove { name, remote } => {
            Client::new(&remote)?.post(&format!("{}/remove", path_of(&name)?), &Value::Null).await?;
            output::write(&format!("{}: removed\n", plain(&name)));
            Ok(())
        }
    }
}

/// An objective as the server tells it.
#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    slo: Slo,
    status: Option<SloStatus>,
}

fn read<T: for<'de> Deserialize<'de>>(answer: Value) -> Outcome<T> {
    serde_json::from_value(answer).map_err(|error| {
        Failure::new(Kind::Failed, "the server's answer is not about objectives")
            .cause(error.to_string())
            .hint("is this address a bellwether server of this version? -o json prints the answer as it is")
    })
}

fn path_of(name: &str) -> Outcome<String> {
    // Such a path would mean another one.
    if name.is_empty() || name == "." || name == ".." {
        return Err(Failure::new(Kind::Usage, format!("not an objective's name: {name:?}"))
            .hint("`bellwether slos list` shows them"));
    }
    Ok(format!("/api/v1/slos/{}", client::segment(name)))
}

/// The text of a file (`-`: of standard input) and its objectives. Notes on what is left out go to standard error.
fn open(file: &Path) -> Outcome<(String, Vec<Slo>)> {
    let bad = |error: std::io::Error| {
        Failure::new(Kind::Usage, format!("cannot read {}", file.display())).cause(error.to_string())
    };
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map_err(bad)?;
    } else {
        text = std::fs::read_to_string(file).map_err(bad)?;
    }
    let (slos, notes) = ingest::openslo::read(&text).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
        let file = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
        Failure::new(Kind::Usage, format!("nothing of {file} can be taken:{}", lines.concat()))
            .hint("mend the file; docs: slos says what is read")
    })?;
    notes.iter().for_each(|note| eprintln!("note: {}", plain(note)));
    Ok((text, slos))
}

fn print_list(list: Value, format: Format) -> Outcome {
    if matches!(format, Format::Json | Format::Jsonl) {
        output::document(&list, format);
        return Ok(());
    }
    let rows: Vec<Row> = read(list)?;
    if rows.is_empty() {
        output::write("no objectives: `bellwether slos set FILE` sets some\n");
        return Ok(());
    }
    let columns = ["name", "service", "promise", "over", "budget left", "burn 1h", "state"].map(str::to_owned);
    let row = |row: &Row| -> Vec<Value> {
        let slo = &row.slo;
        let status = row.status.as_ref();
        let left = status.and_then(|s| s.budget_left).map(|left| format!("{:.1} %", 100.0 * left));
        let burn = status.and_then(|s| burn(s, types::HOUR)).map(output::figure);
        let over = length(slo.window_ns as f64 / types::SECOND as f64);
        let cells = [
            Some(slo.name.clone()),
            Some(slo.service.to_string()),
            Some(percent(slo.target)),
            Some(over),
            left,
            burn,
            Some(state(row)),
        ];
        cells.into_iter().map(Value::from).collect()
    };
    output::rows(&columns, &rows.iter().map(row).collect::<Vec<_>>(), format);
    Ok(())
}

/// In a few words how it stands.
fn state(row: &Row) -> String {
    let Some(status) = &row.status else { return "not looked at yet".into() };
    let mut said = match (&status.missing, status.budget_left, status.exhausted_at) {
        (Some(missing), ..) => missing.clone(),
        (None, Some(left), _) if left <= 0.0 => "budget used up".into(),
        (None, _, Some(at)) => format!("gone by {}", minute(at)),
        _ => "holds".into(),
    };
    if !row.slo.enabled {
        said += ", not judged";
    }
    said
}

/// An objective as a page of text.
fn story(row: &Row) -> String {
    let slo = &row.slo;
    let mut page = format!("{}\n", paint(&plain(&promise(slo)), "bold"));
    if !slo.description.is_empty() {
        page += &format!("{}\n", plain(slo.description.trim()));
    }
    page += &format!("counted: {}\n", plain(&counted(&slo.indicator)));
    page += &format!("state: {}\n", plain(&state(row)));
    let Some(status) = &row.status else { return page };
    if let Some(entity) = status.entity.as_ref().filter(|entity| **entity != slo.service) {
        page += &format!("whose: {}\n", plain(entity.as_str()));
    }
    if let Some(left) = status.budget_left {
        page += &format!("budget left: {:.1} %", 100.0 * left);
        if let Some(at) = status.exhausted_at {
            page += &format!(", gone by {} if it goes on like in the last hour", minute(at));
        }
        page.push('\n');
    }
    if let (Some(ratio), Some(since)) = (status.ratio, status.since) {
        page += &format!(
            "good: {} of {} events, {}, counted since {}\n",
            output::figure(status.good),
            output::figure(status.total),
            percent(ratio),
            minute(since)
        );
    }
    let seconds = |ns: i64| length(ns as f64 / types::SECOND as f64);
    let rates =
        status.burn.iter().filter_map(|b| Some(format!("{} {}", seconds(b.window_ns), output::figure(b.rate?))));
    let rates: Vec<String> = rates.collect();
    if !rates.is_empty() {
        page += &format!("burn rate by window: {}\n", rates.join(", "));
    }
    page
}

/// `pay-availability: 99.9 % of service:shop/payments over 30 d`.
fn promise(slo: &Slo) -> String {
    let over = length(slo.window_ns as f64 / types::SECOND as f64);
    format!("{}: {} of {} over {over}", plain(&slo.name), percent(slo.target), plain(slo.service.as_str()))
}

fn counted(indicator: &Indicator) -> String {
    match indicator {
        Indicator::Requests => "requests, bad is what failed".into(),
        Indicator::Latency { threshold_ms } => format!("requests, bad is what failed or took over {threshold_ms} ms"),
        Indicator::Ratio { part: Part::Good(good), total } => format!("{good} is good of {total}"),
        Indicator::Ratio { part: Part::Bad(bad), total } => format!("{bad} is bad of {total}"),
    }
}

fn burn(status: &SloStatus, window_ns: i64) -> Option<f64> {
    status.burn.iter().find(|burn| burn.window_ns == window_ns)?.rate
}

/// `99.95 %`, without digits that are only rounding.
fn percent(share: f64) -> String {
    format!("{} %", (share * 1e9).round() / 1e7)
}

fn minute(at: Time) -> String {
    at.rfc3339().get(..16).unwrap_or("?").replace('T', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(status: Value) -> Row {
        read(json!({
            "name": "pay", "tenant": "default", "service": "service:shop/payments", "description": "Payments\u{1b} answer.",
            "target": 0.9995, "window_ns": 30 * types::DAY, "indicator": {"type": "requests"}, "enabled": true,
            "status": status,
        }))
        .unwrap()
    }

    fn counted_row() -> Row {
        row(json!({
            "name": "pay", "tenant": "default", "at": "2026-01-02T00:00:00Z", "entity": "service:shop/payments",
            "good": 99_990.0, "total": 100_000.0, "ratio": 0.9999, "budget_left": 0.8,
            "burn": [{"window_ns": types::HOUR, "rate": 14.4}, {"window_ns": types::DAY, "rate": null}],
            "exhausted_at": "2026-01-04T05:06:00Z", "since": "2026-01-01T00:00:00Z", "is_enough": true, "missing": null,
        }))
    }

    #[test]
    fn a_page_says_what_is_promised_and_how_it_stands() {
        let expected = "\
pay: 99.95 % of service:shop/payments over 30 d
Payments\u{fffd} answer.
counted: requests, bad is what failed
state: gone by 2026-01-04 05:06
budget left: 80.0 %, gone by 2026-01-04 05:06 if it goes on like in the last hour
good: 99990 of 100000 events, 99.99 %, counted since 2026-01-01 00:00
burn rate by window: 1 h 14.40
";
        assert_eq!(story(&counted_row()), expected);
        let young = story(&row(Value::Null));
        assert!(young.ends_with("counted: requests, bad is what failed\nstate: not looked at yet\n"), "{young}");
    }

    #[test]
    fn a_budget_that_is_gone_and_one_that_is_not_judged_say_so() {
        let mut row = counted_row();
        let status = row.status.as_mut().unwrap();
        (status.budget_left, status.exhausted_at) = (Some(-0.2), None);
        assert_eq!(state(&row), "budget used up");
        row.slo.enabled = false;
        row.status.as_mut().unwrap().missing = Some("no request was seen".into());
        assert_eq!(state(&row), "no request was seen, not judged");
    }

    #[test]
    fn a_share_has_no_digits_of_rounding() {
        assert_eq!(
            [0.999, 0.9995, 0.99, 0.999_999, 0.5].map(percent),
            ["99.9 %", "99.95 %", "99 %", "99.9999 %", "50 %"]
        );
    }

    #[test]
    fn names_that_would_lead_elsewhere_are_refused() {
        assert_eq!(path_of("pay 99.9 %").unwrap(), "/api/v1/slos/pay%2099.9%20%25");
        assert!(path_of("..").is_err() && path_of("").is_err());
    }
}
