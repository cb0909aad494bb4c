//! What each channel says: bodies as they are kept in `bodies/` (rewritten with `UPDATE=1`), the limits of the receivers,
//! text that tries to be more than text, and settings that cannot be used.

mod made;

use act::{Channel, ChannelSettings, Notice, Reason};
use made::{channel, hostile, notice, now};
use serde_json::{Value, json};
use types::{IncidentState, Severity, Time};

const REASONS: [Reason; 7] = [
    Reason::Opened,
    Reason::Reopened,
    Reason::Escalated,
    Reason::Cause,
    Reason::Acknowledged,
    Reason::Resolved,
    Reason::Test,
];

fn all() -> Vec<(&'static str, Channel)> {
    vec![
        ("alertmanager", channel(json!({"kind": "alertmanager", "urls": ["http://127.0.0.1:9093"]}), "")),
        ("slack", channel(json!({"kind": "slack", "secret_env": "KEY"}), "https://hooks.slack.com/services/T/B/x")),
        ("slack-bot", channel(json!({"kind": "slack", "channel": "C012", "secret_env": "KEY"}), "xoxb-1")),
        ("pagerduty", channel(json!({"kind": "pagerduty", "secret_env": "KEY"}), "R0UT1NGKEY")),
        ("teams", channel(json!({"kind": "teams", "secret_env": "KEY"}), "https://prod.example.com/workflows/x?sig=y")),
        (
            "webhook",
            channel(
                json!({"kind": "webhook", "url": "https://example.com/hook", "secret_env": "KEY"}),
                "0123456789abcdef",
            ),
        ),
    ]
}

fn body(channel: &Channel, notice: &Notice) -> Value {
    serde_json::from_slice(&channel.requests(notice, now())[0].body).unwrap()
}

fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|item| texts(item, found)),
        _ => {}
    }
}

#[test]
fn bodies_are_as_kept() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bodies");
    for (name, channel) in all() {
        for reason in [Reason::Opened, Reason::Resolved] {
            let mut notice = notice(reason);
            if reason == Reason::Resolved && name == "slack-bot" {
                notice.receipt = Some("1767323045.000100".into());
            }
            let body = body(&channel, &notice);
            let path = format!("{dir}/{name}-{}.json", reason.as_str());
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(&path, serde_json::to_string_pretty(&body).unwrap() + "\n").unwrap();
            }
            let kept = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("no {path}: run with UPDATE=1"));
            assert_eq!(body, serde_json::from_str::<Value>(&kept).unwrap(), "{path}: see the change with UPDATE=1");
        }
    }
}

#[test]
fn the_contracts_of_the_receivers_hold_whatever_the_text() {
    let mut notices: Vec<Notice> = REASONS.map(notice).into();
    notices.extend(REASONS.map(|reason| Notice { incident: hostile(), ..notice(reason) }));
    for (name, channel) in all() {
        for notice in &notices {
            for request in channel.requests(notice, now()) {
                let body: Value = serde_json::from_slice(&request.body).unwrap();
                let mut said = Vec::new();
                texts(&body, &mut said);
                let hidden = |c: char| {
                    (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c) || c == '\u{200b}'
                };
                assert!(said.iter().all(|text| !text.contains(hidden)), "{name}: {said:?}");
                match name {
                    "alertmanager" => check_alerts(&body),
                    "slack" | "slack-bot" => check_slack(&body),
                    "pagerduty" => check_pagerduty(&body),
                    "teams" => check_teams(&body, request.body.len()),
                    _ => assert!(request.body.len() < 256 * 1024, "{}", request.body.len()),
                }
            }
        }
    }
}

fn check_alerts(body: &Value) {
    for alert in body.as_array().unwrap() {
        let labels = alert["labels"].as_object().unwrap();
        assert!(labels.contains_key("alertname") && labels.contains_key("severity") && labels.contains_key("incident"));
        assert!(labels.values().all(|v| v.as_str().is_some_and(|text| !text.is_empty())));
        let time = |field: &str| Time::parse(alert[field].as_str().unwrap()).unwrap();
        assert!(time("startsAt") <= time("endsAt"), "{alert}");
        assert!(alert["generatorURL"].as_str().unwrap().starts_with("https://"));
    }
}

fn check_slack(body: &Value) {
    let units = |text: &Value| text.as_str().unwrap().encode_utf16().count();
    assert!(!body["text"].as_str().unwrap().is_empty());
    assert_eq!((&body["unfurl_links"], &body["unfurl_media"]), (&json!(false), &json!(false)));
    let blocks = body["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50);
    for block in blocks {
        let text = &block["text"];
        match block["type"].as_str().unwrap() {
            "header" => {
                assert_eq!(text["type"], "plain_text");
                assert!((1..=150).contains(&units(&text["text"])));
            }
            "section" => {
                assert_eq!((&text["type"], &text["verbatim"]), (&json!("mrkdwn"), &json!(true)));
                assert!((1..=3000).contains(&units(&text["text"])), "{}", units(&text["text"]));
            }
            other => panic!("{other}"),
        }
    }
    let mut said = Vec::new();
    texts(body, &mut said);
    for text in &said {
        let ours = text.starts_with("<https://ops.example.com/") && text.ends_with("|Open in Bellwether>");
        assert!(ours || !text.contains(['<', '>']), "{text}");
        let lower = text.to_lowercase();
        assert!(!["@channel", "@here", "@everyone"].iter().any(|m| lower.contains(m)), "{text}");
        for (i, _) in text.match_indices('&') {
            let whole = ["&amp;", "&lt;", "&gt;"].iter().any(|escape| text[i..].starts_with(escape));
            assert!(whole, "a cut escape in {text}");
        }
    }
}

fn check_pagerduty(body: &Value) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    assert_eq!(body["routing_key"], "R0UT1NGKEY");
    assert!((1..=255).contains(&text(&body["dedup_key"]).chars().count()));
    match text(&body["event_action"]).as_str() {
        "trigger" => {
            let payload = &body["payload"];
            assert!((1..=1024).contains(&text(&payload["summary"]).chars().count()));
            assert!(!text(&payload["source"]).is_empty());
            assert!(["critical", "error", "warning", "info"].contains(&text(&payload["severity"]).as_str()));
            assert!(Time::parse(&text(&payload["timestamp"])).is_some());
            assert!(text(&body["links"][0]["href"]).starts_with("https://ops.example.com/"));
        }
        "acknowledge" | "resolve" => assert!(body.get("payload").is_none()),
        other => panic!("{other}"),
    }
}

fn check_teams(body: &Value, bytes: usize) {
    assert!(bytes <= 28 * 1024, "{bytes}");
    assert_eq!(body["type"], "message");
    let card = &body["attachments"][0];
    assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!(card["content"]["type"], "AdaptiveCard");
    for row in card["content"]["body"].as_array().unwrap() {
        assert_eq!(row["type"], "RichTextBlock", "only text runs know no Markdown");
        assert!(row["inlines"].as_array().unwrap().iter().all(|run| run["type"] == "TextRun"));
    }
}

#[test]
fn an_alert_that_changes_its_labels_ends_under_the_old_ones() {
    let (_, alertmanager) = all().remove(0);
    let first = body(&alertmanager, &notice(Reason::Opened));
    let labels = first[0]["labels"].clone();
    let mut second = notice(Reason::Escalated);
    second.incident.severity = Severity::Critical;
    second.incident.entities.reverse();
    second.receipt = Some(labels.to_string());
    let alerts = body(&alertmanager, &second);
    assert_eq!(alerts.as_array().unwrap().len(), 2);
    assert_eq!((&alerts[0]["labels"], &alerts[0]["endsAt"]), (&labels, &json!("2026-11-27T13:00:00.000Z")));
    assert_eq!(
        (&alerts[1]["labels"]["severity"], &alerts[1]["labels"]["service"]),
        (&json!("critical"), &json!("payments"))
    );
    assert_eq!(alerts[1]["endsAt"], "2026-11-28T13:00:00.000Z");
    for receipt in [first[0]["labels"].to_string(), "nonsense".into(), "{\"a\":1}".into()] {
        let again = Notice { receipt: Some(receipt), ..notice(Reason::Cause) };
        assert_eq!(body(&alertmanager, &again).as_array().unwrap().len(), 1);
    }
    assert_eq!(alertmanager.refresh_every().unwrap().as_secs(), 12 * 3600);
}

#[test]
fn pagerduty_maps_reason_and_severity() {
    let pagerduty = all().into_iter().find(|(name, _)| *name == "pagerduty").unwrap().1;
    let action = |reason| body(&pagerduty, &notice(reason))["event_action"].as_str().unwrap().to_owned();
    assert_eq!(REASONS.map(action), ["trigger", "trigger", "trigger", "trigger", "acknowledge", "resolve", "trigger"]);
    for (severity, expected) in [
        (Severity::Info, "info"),
        (Severity::Warning, "warning"),
        (Severity::Major, "error"),
        (Severity::Critical, "critical"),
    ] {
        let mut notice = notice(Reason::Opened);
        notice.incident.severity = severity;
        assert_eq!(body(&pagerduty, &notice)["payload"]["severity"], expected);
    }
    assert_eq!(body(&pagerduty, &notice(Reason::Opened))["dedup_key"], "inc-42");
    let test = body(&pagerduty, &notice(Reason::Test));
    assert_eq!((&test["dedup_key"], &test["payload"]["severity"]), (&json!("test-d-1"), &json!("info")));
    let own = json!({"kind": "pagerduty", "secret_env": "KEY", "key_prefix": "eu-"});
    assert_eq!(body(&channel(own, "k"), &notice(Reason::Opened))["dedup_key"], "eu-inc-42");
}

#[test]
fn only_our_links_and_only_plain_ones_are_passed_on() {
    for (name, channel) in all() {
        for bad in ["javascript:alert(1)", "https://u@evil.example/", "https://x/|y>", "not a link"] {
            let notice = Notice { link: Some(bad.into()), ..notice(Reason::Opened) };
            let sent = String::from_utf8(channel.requests(&notice, now())[0].body.clone()).unwrap();
            assert!(
                !sent.contains("javascript:") && !sent.contains("evil.example") && !sent.contains("not a link"),
                "{name}"
            );
            assert!(!sent.contains("|y>"), "{name}: {sent}");
        }
        assert!(channel.requests(&Notice { link: None, ..notice(Reason::Opened) }, now()).len() == 1);
    }
}

#[test]
fn an_incident_with_nothing_in_it_is_told_too() {
    for (name, channel) in all() {
        for reason in REASONS {
            let mut notice = notice(reason);
            let incident = &mut notice.incident;
            (incident.title, incident.summary) = (String::new(), String::new());
            (incident.entities, incident.causes) = (Vec::new(), Vec::new());
            (incident.undecided, incident.impact) = (true, Default::default());
            (incident.started_at, incident.resolved_at) = (Time(i64::MAX), Some(Time(i64::MIN)));
            incident.state = IncidentState::Resolved;
            let body = body(&channel, &notice);
            match name {
                "alertmanager" => check_alerts(&body),
                "slack" | "slack-bot" => check_slack(&body),
                "pagerduty" => check_pagerduty(&body),
                _ => assert!(body.is_object()),
            }
        }
    }
}

#[test]
fn which_channels_may_hear_twice() {
    let idempotent: Vec<_> = all().iter().filter(|(_, c)| c.is_idempotent()).map(|(name, _)| *name).collect();
    assert_eq!(idempotent, ["alertmanager", "pagerduty"]);
    let again: Vec<_> = all().iter().filter(|(_, c)| c.refresh_every().is_some()).map(|(name, _)| *name).collect();
    assert_eq!(again, ["alertmanager"]);
}

#[test]
fn nothing_shown_holds_a_secret() {
    let secrets = ["hooks.slack.com", "xoxb-1", "R0UT1NGKEY", "sig=y", "0123456789abcdef"];
    for (name, channel) in all() {
        let mut shown = format!("{channel:?}");
        for request in channel.requests(&notice(Reason::Opened), now()) {
            let debug = format!("{request:?}");
            assert!(name != "slack" || debug.contains("hooks.slack.com"), "the host may be shown: {debug}");
            shown += &debug.replace("hooks.slack.com", "");
        }
        assert!(!secrets.iter().any(|secret| shown.contains(secret)), "{name}: {shown}");
    }
}

#[test]
fn a_try_joins_and_ends_nothing() {
    let notice = Notice::test("t-7".into(), None, now());
    for (name, channel) in all() {
        let body = body(&channel, &notice);
        match name {
            "alertmanager" => {
                check_alert_of_a_try(&body);
            }
            "pagerduty" => {
                assert_eq!((&body["dedup_key"], &body["event_action"]), (&json!("test-t-7"), &json!("trigger")))
            }
            "webhook" => assert_eq!(body["reason"], "test"),
            _ => assert!(body.to_string().contains("Test, nothing is wrong"), "{name}: {body}"),
        }
    }
}

fn check_alert_of_a_try(body: &Value) {
    assert_eq!(body[0]["labels"]["alertname"], "BellwetherTest");
    assert_eq!(body[0]["endsAt"], "2026-11-27T13:05:00.000Z", "a try is over after five minutes");
}

#[test]
fn the_documented_settings_can_be_used() {
    use figment::{Figment, providers::Format, providers::Toml};
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        channels: std::collections::BTreeMap<String, ChannelSettings>,
        egress: act::EgressSettings,
    }
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/notifications.md")).unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for block in text.split("```toml\n").skip(1) {
        // Files that are not on this machine: the secret stands in the environment instead, and no authority is added.
        let block = block.split("```").next().unwrap().replace("secret_file = \"/run/secrets/", "secret_env = \"");
        let mut file: File = Figment::from(Toml::string(&block)).extract().unwrap();
        file.egress.ca_file = None;
        act::Egress::new(&file.egress, &[]).unwrap();
        let env = |name: &str| match name {
            "SLACK_BOT_TOKEN" => Some("xoxb-1".to_owned()),
            name if name.ends_with("URL") => Some("https://example.com/x".to_owned()),
            _ => Some("0123456789abcdef".to_owned()),
        };
        let opened = act::open_all(&file.channels, &env).unwrap();
        kinds.extend(opened.values().map(Channel::kind));
        let problems = act::open_all(&file.channels, &|_| None).err().unwrap_or_default();
        assert_eq!(problems.len(), file.channels.len().saturating_sub(1), "{problems:?}");
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["alertmanager", "pagerduty", "slack", "teams", "webhook"]);
}

/// Settings as in the file, under `[channels.ops]`.
fn read(toml: &str) -> Result<(), String> {
    use figment::{Figment, providers::Format, providers::Toml};
    #[derive(serde::Deserialize)]
    struct File {
        channels: std::collections::BTreeMap<String, ChannelSettings>,
    }
    let figment = Figment::from(Toml::string(&format!("[channels.ops]\n{toml}")));
    let file: File = figment.extract().map_err(|e| e.to_string())?;
    let env = |name: &str| match name {
        "URL" => Some("https://example.com/x".to_owned()),
        "BOT" => Some("xoxb-1".to_owned()),
        "LONG" => Some("0123456789abcdef".to_owned()),
        "SHORT" => Some("abc".to_owned()),
        _ => None,
    };
    file.channels["ops"].open("ops", &env).map(|_| ()).map_err(|problem| problem.to_string())
}

#[test]
fn settings_are_read_or_the_channel_and_field_are_named() {
    for good in [
        "kind = 'alertmanager'\nurls = ['http://a:9093', 'https://b/am/']\nlabels = { cluster = 'eu' }\nhold_hours = 2",
        "kind = 'alertmanager'\nurls = ['http://a:9093']\nsecret_env = 'LONG'",
        "kind = 'slack'\nsecret_env = 'URL'",
        "kind = 'slack'\nchannel = 'C012'\nsecret_env = 'BOT'",
        "kind = 'pagerduty'\nsecret_env = 'LONG'\nkey_prefix = 'eu-'",
        "kind = 'teams'\nsecret_env = 'URL'",
        "kind = 'webhook'\nurl = 'https://example.com/'\nsecret_env = 'LONG'",
    ] {
        assert_eq!(read(good), Ok(()), "{good}");
    }
    for (bad, expected) in [
        ("kind = 'pager'\nsecret_env = 'X'", "found `pager`"),
        ("kind = 'teams'\nsecret = 'inline'", "found `secret`"),
        ("kind = 'slack'\nwebhook_url = 'https://x/'", "found `webhook_url`"),
        ("kind = 'webhook'\nsecret_env = 'LONG'", "missing field `url`"),
        ("kind = 'teams'", "channels.ops.secret_env: name the variable"),
        ("kind = 'teams'\nsecret_env = 'GONE'", "channels.ops.secret_env: the environment has no GONE"),
        ("kind = 'teams'\nsecret_file = '/nonexistent'", "channels.ops.secret_file: cannot read /nonexistent"),
        ("kind = 'teams'\nsecret_env = 'URL'\nsecret_file = '/x'", "channels.ops.secret_env: give secret_env or"),
        (
            "kind = 'teams'\nsecret_env = 'SHORT'",
            "channels.ops.secret_env: what it points to must be the webhook's URL",
        ),
        ("kind = 'slack'\nsecret_env = 'BOT'", "channels.ops.channel: the secret is a bot's token"),
        ("kind = 'slack'\nchannel = '#ops'\nsecret_env = 'BOT'", "channels.ops.channel: \"#ops\" is no id"),
        (
            "kind = 'slack'\nchannel = 'C012'\nsecret_env = 'URL'",
            "channels.ops.secret_env: what it points to is no bot's",
        ),
        ("kind = 'webhook'\nurl = 'x'\nsecret_env = 'LONG'", "channels.ops.url: "),
        ("kind = 'webhook'\nurl = 'https://a@b/'\nsecret_env = 'LONG'", "channels.ops.url: "),
        ("kind = 'webhook'\nurl = 'https://b/'\nsecret_env = 'SHORT'", "has under 16 bytes"),
        ("kind = 'alertmanager'\nurls = []", "channels.ops.urls: name at least one"),
        ("kind = 'alertmanager'\nurls = ['ftp://x']", "channels.ops.urls: "),
        ("kind = 'alertmanager'\nurls = ['http://x']\nlabels = { 'a-b' = 'c' }", "channels.ops.labels: "),
        ("kind = 'alertmanager'\nurls = ['http://x']\nlabels = { severity = 'c' }", "is set from the incident"),
        ("kind = 'alertmanager'\nurls = ['http://x']\nhold_hours = 0", "channels.ops.hold_hours: "),
        ("kind = 'pagerduty'\nsecret_env = 'LONG'\nkey_prefix = \"a\\nb\"", "channels.ops.key_prefix: "),
    ] {
        let error = read(bad).expect_err(bad);
        assert!(error.contains(expected) && error.contains("ops"), "{bad}\n{error}");
        assert!(!error.contains("inline"), "{error}");
        println!("{error}");
    }
}
