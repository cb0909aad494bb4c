//! The actuator `command`, with real processes: also such as hang, multiply, flood and ignore.

mod made;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use act::actuator::{BlastRadius, End, Outcome};
use made::{HOSTILE, actuator, egress, key, opened, step};
use serde_json::{Value, json};

fn settings(argv: Value, more: Value) -> Value {
    let mut said = json!({"kind": "command", "targets": ["web"], "argv": argv, "folder": "/tmp"});
    for (name, value) in more.as_object().unwrap() {
        said[name] = value.clone();
    }
    said
}

/// What a program does that is written for a shell; the shell is the program here, nothing is put into its text.
async fn script(text: &str, more: Value) -> Outcome {
    let it = actuator(settings(json!(["/bin/sh", "-c", text]), more), "");
    it.carry_out(&egress(), &step("run", "web", json!({})), &key()).await
}

/// How many processes have this text among their arguments.
fn alive(mark: &str) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path().join("cmdline")));
    all.filter(|path| std::fs::read_to_string(path).is_ok_and(|line| line.split('\0').any(|word| word == mark))).count()
}

#[tokio::test]
async fn arguments_arrive_whole_and_nothing_else_does() {
    let argv = json!(["/usr/bin/env", "-S", "printf", "[%s]", "{target}", "{key}", "{count}", "{wait}", "a b"]);
    let parameters = json!({"count": {"type": "integer", "min": -5, "max": 5}, "wait": {"type": "duration", "min_s": 0, "max_s": 600}});
    let it = actuator(settings(argv, json!({"parameters": parameters, "environment": {"PATH": "/usr/bin:/bin"}})), "");
    let wanted = step("run", "web", json!({"count": -3, "wait": "5m"}));
    let preview = it.dry_run(&egress(), &wanted).await.unwrap();
    assert!(preview.does[0].contains(r#""web", "{key}", "-3", "300", "a b"]"#), "{preview:?}");
    let outcome = it.carry_out(&egress(), &wanted, &key()).await;
    assert_eq!((outcome.end, outcome.output["stdout"].as_str()), (End::Done, "[web][plan-7-step-1][-3][300][a b]"));
}

#[tokio::test]
async fn hostile_texts_select_nothing() {
    let parameters = json!({"mode": {"type": "choice", "one_of": ["soft", "hard"]}, "count": {"type": "integer", "min": 1, "max": 3}});
    let it = actuator(
        settings(json!(["/bin/false", "{target}", "{mode}", "{count}"]), json!({"parameters": parameters})),
        "",
    );
    for text in HOSTILE {
        for wanted in [
            step("run", text, json!({"mode": "soft", "count": 1})),
            step("run", "web", json!({"mode": text, "count": 1})),
            step("run", "web", json!({"mode": "soft", "count": text})),
            step("run", "web", json!({"mode": "soft", "count": 1, *text: 1})),
            step(text, "web", json!({"mode": "soft", "count": 1})),
        ] {
            let outcome = it.carry_out(&egress(), &wanted, &key()).await;
            assert_eq!(outcome.end, End::Refused, "{wanted:?}");
            assert!(text.trim().len() < 5 || !outcome.text.contains(text), "{outcome:?}");
            assert!(it.dry_run(&egress(), &wanted).await.is_err());
        }
    }
}

/// A text that the settings allow is one argument, whatever it holds.
#[tokio::test]
async fn a_shell_would_obey_what_is_one_argument_here() {
    let texts: Vec<_> = HOSTILE.iter().filter(|text| !text.is_empty() && !text.chars().any(char::is_control)).collect();
    let parameters = json!({"text": {"type": "choice", "one_of": texts}});
    let it =
        actuator(settings(json!(["/usr/bin/printf", "%s|%s", "--", "{text}"]), json!({"parameters": parameters})), "");
    for text in texts {
        let outcome = it.carry_out(&egress(), &step("run", "web", json!({"text": text})), &key()).await;
        assert_eq!(outcome.end, End::Done);
        let seen = outcome.output["stdout"].clone();
        assert_eq!(seen, act::text::clean(&format!("--|{text}")), "{text:?}");
    }
    assert!(!Path::new("/tmp/pwned").exists());
}

#[tokio::test]
async fn nothing_is_inherited() {
    let more = json!({"environment": {"PATH": "/usr/bin:/bin", "A": "1"}, "pass": ["KEY"]});
    let outcome = script("echo $#; pwd; cat; tr '\\0' '\\n' < /proc/$$/environ", more).await;
    assert_eq!(outcome.output["stdout"], "0\n/tmp\nA=1\nKEY=\nPATH=/usr/bin:/bin", "{outcome:?}");
    let it = actuator(settings(json!(["/bin/ls", "/proc/self/fd"]), json!({})), "");
    let outcome = it.carry_out(&egress(), &step("run", "web", json!({})), &key()).await;
    // The last is the folder that it lists.
    assert_eq!(outcome.output["stdout"], "0\n1\n2\n3", "{outcome:?}");
    let shown = actuator(settings(json!(["/bin/true"]), json!({"pass": ["KEY"]})), "s3cret");
    let preview = shown.dry_run(&egress(), &step("run", "web", json!({}))).await.unwrap();
    assert!(!format!("{shown:?}{preview:?}").contains("s3cret"));
    let passed = script("echo $KEY $HOME", json!({"pass": ["KEY"]})).await;
    assert!(!passed.output.contains_key("stdout"), "{passed:?}");
}

#[tokio::test]
async fn exit_codes_say_how_it_ended() {
    let more = json!({"done": [0, 3], "nothing_happened": [4]});
    for (code, end) in [(0, End::Done), (3, End::Done), (4, End::Failed), (1, End::Unknown), (127, End::Unknown)] {
        let outcome = script(&format!("echo out; echo err >&2; exit {code}"), more.clone()).await;
        assert_eq!(outcome.end, end, "{code}");
        assert_eq!((outcome.output["stdout"].as_str(), outcome.output["stderr"].as_str()), ("out", "err"));
    }
    let killed = script("kill -9 $$", json!({})).await;
    assert_eq!((killed.end, killed.text.contains("signal 9")), (End::Unknown, true));
}

#[tokio::test]
async fn what_cannot_be_started_did_nothing() {
    let run = async |said: Value| actuator(said, "").carry_out(&egress(), &step("run", "web", json!({})), &key()).await;
    let missing = run(settings(json!(["/nonexistent/program"]), json!({}))).await;
    assert_eq!((missing.end, missing.text.contains("/nonexistent/program")), (End::Failed, true), "{missing:?}");
    let folder = run(settings(json!(["/bin/true"]), json!({"folder": "/nonexistent"}))).await;
    assert_eq!(folder.end, End::Failed);
    let not_executable = run(settings(json!(["/etc/hostname"]), json!({}))).await;
    assert_eq!(not_executable.end, End::Failed);
}

#[tokio::test]
async fn one_that_hangs_is_ended() {
    let begun = Instant::now();
    let outcome =
        script("echo before; sleep 7001", json!({"timeout_s": 1, "environment": {"PATH": "/bin:/usr/bin"}})).await;
    assert_eq!((outcome.end, outcome.output["stdout"].as_str()), (End::Unknown, "before"), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(alive("7001"), 0);
}

#[tokio::test]
async fn one_that_ignores_the_request_to_end_is_killed() {
    let begun = Instant::now();
    let text = "trap '' TERM; echo armed; while :; do /bin/sleep 7002; done";
    let outcome = script(text, json!({"timeout_s": 1, "grace_s": 1})).await;
    assert_eq!((outcome.end, outcome.output["stdout"].as_str()), (End::Unknown, "armed"), "{outcome:?}");
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(alive("7002"), 0);
}

#[tokio::test]
async fn children_do_not_outlive_it() {
    let begun = Instant::now();
    // They hold the pipes open, and some ignore the request to end.
    let text = "for i in 1 2 3; do (trap '' TERM HUP; /bin/sleep 7003) & done; echo started";
    let outcome = script(text, json!({"timeout_s": 30})).await;
    assert_eq!((outcome.end, outcome.output["stdout"].as_str()), (End::Done, "started"), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(alive("7003"), 0);
}

#[tokio::test]
async fn nothing_of_it_outlives_a_call_that_is_dropped() {
    let call = script("trap '' TERM; /bin/sleep 7004 & /bin/sleep 7004; /bin/sleep 7004", json!({"timeout_s": 30}));
    assert!(tokio::time::timeout(Duration::from_millis(300), call).await.is_err());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(alive("7004"), 0);
}

/// A daemon leaves the group, and is not waited for though it holds the pipes.
#[tokio::test]
async fn a_daemon_is_not_waited_for() {
    let begun = Instant::now();
    let outcome = script(
        "/usr/bin/setsid /bin/sleep 4 & sleep 0.2; echo started",
        json!({"environment": {"PATH": "/bin:/usr/bin"}}),
    )
    .await;
    assert_eq!((outcome.end, outcome.output["stdout"].as_str()), (End::Done, "started"), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_flood_is_cut_and_does_not_block() {
    let outcome = script(
        "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo end >&2",
        json!({
            "environment": {"PATH": "/bin:/usr/bin"}, "output_kib_max": 4,
        }),
    )
    .await;
    assert_eq!((outcome.end, outcome.output["stderr"].as_str()), (End::Done, "end"), "{:?}", outcome.text);
    let out = &outcome.output["stdout"];
    assert!(out.len() < 5000 && out.ends_with("… 19995905 bytes more"), "{}", &out[out.len() - 40..]);
    let endless = script("yes", json!({"environment": {"PATH": "/bin:/usr/bin"}, "timeout_s": 1})).await;
    assert_eq!(endless.end, End::Unknown);
    assert!(endless.output["stdout"].len() < 70_000);
}

#[tokio::test]
async fn what_it_writes_cannot_act_on_a_terminal() {
    let outcome = script("printf 'a\\033[2Jb\\000c\\377d\\nline'", json!({})).await;
    assert_eq!(outcome.output["stdout"], "a[2Jbc\u{fffd}d\nline");
}

#[tokio::test]
async fn what_it_may_use_is_limited() {
    let path = json!({"PATH": "/bin:/usr/bin"});
    let limits = json!({"environment": path, "memory_mib_max": 256, "open_files_max": 33, "file_mib_max": 1});
    let outcome = script("sleep 0.1; ulimit -v; ulimit -n; ulimit -c; ulimit -f", limits.clone()).await;
    assert_eq!(outcome.output["stdout"], "262144\n33\n0\n2048", "{outcome:?}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!("sleep 0.1; head -c 3000000 /dev/zero > {}", file.path().display());
    assert_eq!(script(&text, limits).await.end, End::Unknown);
    assert!(file.path().metadata().unwrap().len() <= 1024 * 1024);
}

#[tokio::test]
async fn it_can_be_another_user() {
    let said = settings(json!(["/usr/bin/id"]), json!({"uid": 65534, "gid": 65534}));
    match opened(said, "") {
        Ok(it) => {
            let outcome = it.carry_out(&egress(), &step("run", "web", json!({})), &key()).await;
            let id = &outcome.output["stdout"];
            // No further groups are left.
            assert!(id.contains("uid=65534") && id.contains("gid=65534") && !id.contains("root"), "{outcome:?}");
            assert!(!id.contains("groups=0"), "{id}");
        }
        Err(why) => assert!(why.contains("does not run as root"), "{why}"),
    }
}

#[test]
fn what_it_is_said_to_be_comes_from_the_settings() {
    let registration = actuator(settings(json!(["/bin/true"]), json!({})), "").registrations().remove(0);
    assert_eq!((registration.kind, registration.action.as_str()), ("command", "run"));
    assert_eq!((registration.reversible, registration.idempotent), (false, false));
    assert_eq!(registration.blast_radius, BlastRadius::Anything);
    let said = json!({"reversible": true, "idempotent": true, "blast_radius": "instance"});
    let registration = actuator(settings(json!(["/bin/true"]), said), "").registrations().remove(0);
    assert_eq!((registration.reversible, registration.blast_radius), (true, BlastRadius::Instance));
}

#[test]
fn settings_that_cannot_be_meant_are_named() {
    for (argv, more, says) in [
        (json!([]), json!({}), "actuators.it.argv: name the executable"),
        (json!(["true"]), json!({}), "actuators.it.argv: the first is the executable with its whole path"),
        (json!(["{target}"]), json!({}), "actuators.it.argv: the first is"),
        (json!(["/bin/echo", "--x={target}"]), json!({}), "must stand alone"),
        (json!(["/bin/echo", "{nothing}"]), json!({}), "{nothing} is no parameter"),
        (json!(["/bin/true"]), json!({"parameters": {"n": {"type": "bool"}}}), "parameter n is used nowhere"),
        (json!(["/bin/true"]), json!({"parameters": {"n": {"type": "text"}}}), "unknown variant `text`"),
        (json!(["/bin/true"]), json!({"folder": "here"}), "actuators.it.folder: give the whole path"),
        (json!(["/bin/true"]), json!({"timeout_s": 0}), "actuators.it.timeout_s: 0 is not within 1..=3600"),
        (json!(["/bin/true"]), json!({"targets": []}), "actuators.it.targets: name at least one"),
        (json!(["/bin/true"]), json!({"targets": ["a", "a"]}), "\"a\" is named twice"),
        (json!(["/bin/true"]), json!({"nothing_happened": [0]}), "0 is under done, too"),
        (json!(["/bin/true"]), json!({"uid": 1}), "give uid and gid"),
        (json!(["/bin/true"]), json!({"pass": ["GONE"]}), "actuators.it.pass: the environment has no GONE"),
        (json!(["/bin/true"]), json!({"environment": {"A=B": "1"}}), "cannot be in an environment"),
        (json!(["/bin/true"]), json!({"shell": true}), "unknown field `shell`"),
    ] {
        let error = opened(settings(argv, more), "").unwrap_err();
        assert!(error.contains(says), "{error}, expected {says}");
    }
}
