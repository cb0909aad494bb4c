//! `forecast`: how a series may go on, and when it may reach a threshold.

use serde_json::Value;

use crate::{
    args::{Forecast, Format},
    client::Client,
    failure::Outcome,
    output::{self, length, paint, plain},
};

/// Lines of the table at most; more steps are thinned out evenly.
const LINES: usize = 24;

/// Asks a server and prints its answer.
pub async fn run(flags: Forecast) -> Outcome {
    let client = Client::new(&flags.remote)?;
    let mut asked = vec![("metric", flags.metric.clone()), ("horizon", flags.horizon.clone())];
    let mut add = |name, value: Option<String>| asked.extend(value.map(|v| (name, v)));
    add("entity", flags.entity.clone());
    add("labels", (!flags.label.is_empty()).then(|| flags.label.join(",")));
    add("tenant", flags.tenant.clone());
    add("from", flags.from.clone());
    add("threshold", flags.threshold.map(|t| t.to_string()));
    add("confidence", flags.confidence.map(|c| c.to_string()));
    let answer = client.get_with("/api/v1/forecast", &asked).await?;
    for warning in answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        eprintln!("warning: {}", plain(warning));
    }
    match flags.output {
        Format::Table | Format::Wide => output::write(&story(&answer)),
        _ => output::document(&answer, flags.output),
    }
    Ok(())
}

/// The answer as a page of text.
fn story(answer: &Value) -> String {
    let said = &answer["outlook"];
    let text = |v: &Value| plain(v.as_str().unwrap_or_default());
    let time = |v: &Value| text(v).get(..16).unwrap_or_default().replace('T', " ");
    let unit = text(&answer["unit"]);
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    let mut page = format!(
        "{} of {}{}, from {} points a {} apart\n",
        paint(&text(&answer["info"]["metric"]), "bold"),
        text(&answer["info"]["entity"]),
        if unit.is_empty() { String::new() } else { format!(" in {unit}") },
        said["history"],
        length(said["step_s"].as_f64().unwrap_or(0.0)),
    );
    let models: Vec<String> = list(&said["models"])
        .iter()
        .take(3)
        .map(|m| format!("{} {:.0} %", text(&m["model"]), 100.0 * m["weight"].as_f64().unwrap_or(0.0)))
        .collect();
    let seasons: Vec<String> = list(&said["seasons_s"]).iter().filter_map(Value::as_f64).map(length).collect();
    page += &format!(
        "{}; {}\n",
        if seasons.is_empty() { "no season".to_owned() } else { format!("seasons: {}", seasons.join(", ")) },
        models.join(", "),
    );
    for note in list(&said["notes"]) {
        page += &format!("  · {}\n", text(&note));
    }
    if let Some(reach) = said["reach"].as_object() {
        page += &format!("\n{}\n", reached(&Value::Object(reach.clone())));
    }
    let steps = list(&said["steps"]);
    let stride = steps.len().div_ceil(LINES).max(1);
    let range = format!("{:.0} % of values", 100.0 * said["confidence"].as_f64().unwrap_or(0.0));
    page += &format!("\n{:16}  {:>12}  {range}\n", "time (UTC)", "expected");
    for step in steps.iter().step_by(stride) {
        let figure = |key: &str| output::figure(step[key].as_f64().unwrap_or(f64::NAN));
        page +=
            &format!("{:16}  {:>12}  {} to {}\n", time(&step["time"]), figure("mean"), figure("low"), figure("high"));
    }
    page
}

/// When the threshold is reached, as a sentence.
fn reached(reach: &Value) -> String {
    let by = |i: usize| reach["by"][i].as_str().and_then(|t| t.get(..16)).map(|t| t.replace('T', " "));
    let verb = if reach["rising"] == true { "rises to" } else { "falls to" };
    let threshold = output::figure(reach["threshold"].as_f64().unwrap_or(f64::NAN));
    let mut said = format!(
        "it {verb} {threshold} within this time with a probability of {:.0} %",
        100.0 * reach["probability"].as_f64().unwrap_or(0.0)
    );
    match (by(0), by(1), by(2)) {
        (_, Some(middle), Some(late)) => said += &format!(": as likely as not by {middle}, almost surely by {late}"),
        (_, Some(middle), None) => said += &format!(": as likely as not by {middle}"),
        (Some(early), None, _) => said += &format!(": one in ten by {early}"),
        _ => {}
    }
    for note in reach["notes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        said += &format!("\n  · {}", plain(note));
    }
    said
}
