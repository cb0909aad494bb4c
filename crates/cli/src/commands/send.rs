//! `send`: one test signal, over the same wire as everybody's.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::{
    args::{Send, SendCommon},
    client::Client,
    failure::{Failure, Kind, Outcome},
    output,
};

/// Sends and says what was sent.
pub async fn run(what: Send) -> Outcome {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
    let (path, body, common) = match &what {
        Send::Log { body, level, common } => {
            let severity = match level.to_lowercase().as_str() {
                "debug" => 5,
                "info" => 9,
                "warn" => 13,
                "error" => 17,
                _ => {
                    return Err(
                        Failure::new(Kind::Usage, format!("no level {level:?}")).hint("use debug, info, warn or error")
                    );
                }
            };
            let record = json!({"timeUnixNano": now.to_string(), "severityNumber": severity, "severityText": level.to_uppercase(),
                "body": {"stringValue": body}, "attributes": attributes(common)?});
            (
                "/v1/logs",
                json!({"resourceLogs": [{"resource": resource(common), "scopeLogs": [{"logRecords": [record]}]}]}),
                common,
            )
        }
        Send::Metric { name, value, common } => {
            let point = json!({"timeUnixNano": now.to_string(), "asDouble": value, "attributes": attributes(common)?});
            let metric = json!({"name": name, "gauge": {"dataPoints": [point]}});
            (
                "/v1/metrics",
                json!({"resourceMetrics": [{"resource": resource(common), "scopeMetrics": [{"metrics": [metric]}]}]}),
                common,
            )
        }
        Send::Span { name, duration_ms, error, common } => {
            if !duration_ms.is_finite() || *duration_ms < 0.0 {
                return Err(Failure::new(Kind::Usage, "the duration must be 0 ms or more"));
            }
            let start = now.saturating_sub((duration_ms * 1e6) as u64);
            let status = if *error { json!({"code": 2}) } else { json!({}) };
            let span = json!({"traceId": format!("{:032x}", u128::from(now) | 1 << 100), "spanId": format!("{:016x}", now | 1 << 60), "name": name, "kind": 2,
                "startTimeUnixNano": start.to_string(), "endTimeUnixNano": now.to_string(), "status": status, "attributes": attributes(common)?});
            (
                "/v1/traces",
                json!({"resourceSpans": [{"resource": resource(common), "scopeSpans": [{"spans": [span]}]}]}),
                common,
            )
        }
        Send::Event { kind, version, common } => {
            let pairs: serde_json::Map<String, Value> = pairs(common)?.map(|(k, v)| (k.to_owned(), v.into())).collect();
            let mut change =
                json!({"entity": format!("service:default/{}", common.service), "kind": kind, "attributes": pairs});
            if let Some(version) = version {
                change["version"] = version.as_str().into();
            }
            ("/api/v1/changes", change, common)
        }
    };
    let client = Client::new(&common.remote)?;
    client.post(path, &body).await?;
    output::write(&format!("sent to {}{path} as {}\n", client.url(), common.service));
    Ok(())
}

fn resource(common: &SendCommon) -> Value {
    json!({"attributes": [{"key": "service.name", "value": {"stringValue": common.service}}]})
}

fn attributes(common: &SendCommon) -> Outcome<Value> {
    Ok(pairs(common)?.map(|(key, value)| json!({"key": key, "value": {"stringValue": value}})).collect())
}

fn pairs(common: &SendCommon) -> Outcome<impl Iterator<Item = (&str, &str)>> {
    if let Some(bad) = common.attributes.iter().find(|a| !a.contains('=')) {
        return Err(Failure::new(Kind::Usage, format!("not KEY=VALUE: {bad:?}")));
    }
    Ok(common.attributes.iter().filter_map(|a| a.split_once('=')))
}
