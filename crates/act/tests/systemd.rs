//! The actuator `systemd`, with a program in the place of `systemctl` that keeps its arguments.

mod made;

use std::{os::unix::fs::PermissionsExt, path::Path};

use act::actuator::{Actuator, End};
use made::{HOSTILE, actuator, egress, key, opened, step};
use serde_json::json;

/// An actuator whose `systemctl` keeps its arguments in `argv` and does `then`.
fn with(folder: &Path, then: &str) -> Actuator {
    let program = folder.join("systemctl");
    let kept = folder.join("argv");
    std::fs::write(&program, format!("#!/bin/sh\nfor a; do echo \"$a\"; done > {}\n{then}\n", kept.display())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let units = ["web.service", "backup@daily.timer"];
    actuator(json!({"kind": "systemd", "units": units, "systemctl": program, "timeout_s": 1}), "")
}

fn argv(folder: &Path) -> Vec<String> {
    std::fs::read_to_string(folder.join("argv")).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_arguments_are_fixed_words_and_a_unit() {
    let folder = tempfile::tempdir().unwrap();
    let it = with(folder.path(), "exit 0");
    assert_eq!(it.targets(&egress()).await.unwrap(), ["backup@daily.timer", "web.service"]);
    for action in ["restart", "start", "stop"] {
        let outcome = it.carry_out(&egress(), &step(action, "web.service", json!({})), &key()).await;
        assert_eq!(outcome.end, End::Done, "{outcome:?}");
        assert_eq!(argv(folder.path()), ["--no-ask-password", "--no-pager", action, "--", "web.service"]);
    }
}

#[tokio::test]
async fn a_preview_asks_for_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let it = with(folder.path(), "echo LoadState=loaded; echo ActiveState=failed");
    let preview = it.dry_run(&egress(), &step("restart", "web.service", json!({}))).await.unwrap();
    assert!(preview.does[0].ends_with(r#""restart", "--", "web.service"]; the unit is failed now"#), "{preview:?}");
    let shown = ["--no-ask-password", "--no-pager", "show", "--property=LoadState,ActiveState", "--", "web.service"];
    assert_eq!(argv(folder.path()), shown);
    let folder = tempfile::tempdir().unwrap();
    let it = with(folder.path(), "echo LoadState=not-found; echo ActiveState=inactive");
    let refused = it.dry_run(&egress(), &step("restart", "web.service", json!({}))).await.unwrap_err();
    assert_eq!(refused.end, End::Refused, "{refused:?}");
}

#[tokio::test]
async fn hostile_texts_start_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let it = with(folder.path(), "exit 0");
    for text in HOSTILE.iter().chain(&["*", "web*", "ssh.service", "poweroff", "isolate", "--root=/tmp"]) {
        for wanted in [step("restart", text, json!({})), step(text, "web.service", json!({}))] {
            assert_eq!(it.carry_out(&egress(), &wanted, &key()).await.end, End::Refused, "{wanted:?}");
        }
    }
    assert!(argv(folder.path()).is_empty());
}

#[tokio::test]
async fn the_exit_code_says_how_it_ended() {
    for (then, end) in [
        ("echo no >&2; exit 1", End::Unknown),
        ("exit 4", End::Refused),
        ("exit 5", End::Refused),
        ("exec /bin/sleep 7010", End::Unknown),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let it = with(folder.path(), then);
        let outcome = it.carry_out(&egress(), &step("restart", "web.service", json!({})), &key()).await;
        assert_eq!(outcome.end, end, "{then}: {outcome:?}");
    }
    let it = actuator(json!({"kind": "systemd", "units": ["a.service"], "systemctl": "/nonexistent"}), "");
    assert_eq!(it.carry_out(&egress(), &step("stop", "a.service", json!({})), &key()).await.end, End::Failed);
}

/// The true program, where there is one: it has no such unit, and nothing may happen.
#[tokio::test]
async fn the_true_program_knows_no_such_unit() {
    if !Path::new("/usr/bin/systemctl").exists() {
        return;
    }
    let it = actuator(json!({"kind": "systemd", "units": ["bellwether-nonesuch.service"]}), "");
    let wanted = step("restart", "bellwether-nonesuch.service", json!({}));
    let outcome = it.carry_out(&egress(), &wanted, &key()).await;
    assert_ne!(outcome.end, End::Done, "{outcome:?}");
    assert!(it.dry_run(&egress(), &wanted).await.is_err());
}

#[test]
fn settings_that_cannot_be_meant_are_named() {
    for bad in
        ["web", "*.service", "-x.service", "--all", "a b.service", "../x.service", "/etc/x.service", ".service", ""]
    {
        let error = opened(json!({"kind": "systemd", "units": [bad]}), "").unwrap_err();
        assert!(error.starts_with("actuators.it.units: "), "{bad}: {error}");
    }
    for (said, says) in [
        (json!({"kind": "systemd", "units": ["a.service"], "systemctl": "systemctl"}), "actuators.it.systemctl"),
        (json!({"kind": "systemd", "units": ["a.service"], "timeout_s": 601}), "actuators.it.timeout_s"),
        (json!({"kind": "systemd", "units": ["a.service"], "host": "b"}), "unknown field `host`"),
    ] {
        let error = opened(said, "").unwrap_err();
        assert!(error.contains(says), "{error}, expected {says}");
    }
}
