//! The program as people and scripts use it: what it prints where, and its exit codes.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

fn bellwether(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether"));
    command.args(args).env("NO_COLOR", "1").env_remove("BELLWETHER_URL").env("COLUMNS", "80");
    command.output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// It worked, and said nothing on standard error.
fn fine(args: &[&str]) -> String {
    let output = bellwether(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", err(&output));
    assert_eq!(err(&output), "", "{args:?}");
    out(&output)
}

/// It failed with this code, said why on standard error and nothing on standard output.
fn fails(args: &[&str], code: i32) -> String {
    let output = bellwether(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", err(&output));
    assert_eq!(out(&output), "", "{args:?}");
    err(&output)
}

/// A server on free ports.
struct Server {
    child: Child,
    url: String,
    dir: tempfile::TempDir,
}

impl Server {
    fn start() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_bellwether"))
            .args(["serve", "--listen", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(dir.path().join("data"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["pid"].as_u64(), Some(u64::from(child.id())));
        let url = format!("http://{}", ready["listen"].as_str().unwrap());
        Server { child, url, dir }
    }

    fn data(&self) -> String {
        self.dir.path().join("data").display().to_string()
    }

    /// Ends it as a service manager does; gives its data folder.
    fn stop(mut self) -> (String, tempfile::TempDir) {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "SIGTERM ends it well");
        let data = self.data();
        (data, std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn help_and_version_fit_a_terminal() {
    let help = fine(&["--help"]);
    for command in [
        "serve",
        "demo",
        "query",
        "tail",
        "send",
        "status",
        "doctor",
        "incidents",
        "alerts",
        "silences",
        "slos",
        "prove",
        "replay",
        "budget",
        "completions",
        "man",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is missing in\n{help}");
        assert!(fine(&[command, "-h"]).contains("Usage:"));
    }
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    assert!(help.contains("Examples:") && help.contains("Exit codes:"));
    assert!(fine(&["--version"]).starts_with("bellwether "));
}

#[test]
fn a_wrong_command_line_is_a_usage_error_that_says_what_was_meant() {
    let said = fails(&["serv"], 2);
    assert!(said.contains("'serve'"), "{said}");
    assert!(fails(&["query"], 2).contains("Usage:"));
    assert!(fails(&["demo", "--faults", "no-such"], 2).contains("error-burst"));
    assert!(fails(&["serve", "--listen", "nonsense"], 2).contains("nonsense"));
}

#[test]
fn what_is_not_there_is_told_apart_from_what_is_not_up() {
    for args in [&["query", "SELECT 1"][..], &["incidents", "list"], &["status"], &["tail"]] {
        let args = [args, &["--url", "http://127.0.0.1:1"]].concat();
        let said = fails(&args, 5);
        assert!(said.starts_with("error: ") && said.contains("hint: start the server"), "{said}");
    }
    for args in [&["verify"][..], &["audit", "verify"], &["tokens", "list"]] {
        let args = [args, &["--data-dir", "/no/such/folder"]].concat();
        assert!(fails(&args, 3).contains("hint: name it with --data-dir"));
    }
}

#[test]
fn completions_and_manual_pages_are_whole() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        assert!(fine(&["completions", shell]).contains("incidents"), "{shell}");
    }
    assert!(fine(&["man"]).starts_with(".ie"));
    let dir = tempfile::tempdir().unwrap();
    fine(&["man", "--dir", &dir.path().display().to_string()]);
    let pages = std::fs::read_dir(dir.path()).unwrap().count();
    assert!(pages >= 15, "{pages} pages");
}

#[test]
fn a_simulated_world_is_the_same_each_time() {
    let first = fine(&["sim", "--seed", "5", "--minutes", "12"]);
    assert!(first.contains("found within 2 min"), "{first}");
    assert_eq!(first, fine(&["sim", "--seed", "5", "--minutes", "12"]));
}

#[test]
fn prove_says_what_it_expects_where() {
    let list = fine(&["prove", "--list"]);
    for protocol in ["nab", "tsbad", "servers", "changepoints", "logs", "log-anomaly", "m4", "load", "petshop"] {
        assert!(list.lines().any(|line| line == protocol), "{protocol} is missing in\n{list}");
    }
    assert!(fails(&["prove", "nonsense", "--data", "/"], 2).contains("known: nab"));
    assert!(fails(&["prove", "nab", "--data", "/no/such/folder"], 3).contains("/no/such/folder"));
    let empty = tempfile::tempdir().unwrap();
    for protocol in ["nab", "tsbad", "servers", "changepoints", "logs", "log-anomaly", "m4", "load", "petshop"] {
        let said = fails(&["prove", protocol, "--data", &empty.path().display().to_string()], 3);
        assert!(said.contains("expected"), "{protocol}: {said}");
    }
}

#[test]
fn history_is_replayed_and_a_budget_set() {
    let server = Server::start();
    let url = server.url.as_str();
    for value in ["7", "8", "9"] {
        fine(&["send", "metric", "queue_length", value, "--service", "cart", "--url", url]);
    }
    let page = fine(&["replay", "--from", "now-1h", "--near", "--url", url]);
    assert!(page.contains("0 incidents would have opened") && page.contains("Events a week"), "{page}");
    let report: serde_json::Value =
        serde_json::from_str(&fine(&["replay", "--from", "now-1h", "--budget", "2", "-o", "json", "--url", url]))
            .unwrap();
    assert!(report["rows"].as_u64().unwrap() >= 3, "{report}");
    assert!(fails(&["replay", "--from", "soon", "--url", url], 2).contains("not a time"));
    assert!(
        fails(&["replay", "--from", "now-1h", "--set", "metric", "--url", url], 2).contains("ANALYSIS.NAME=NUMBER")
    );
    assert!(fails(&["replay", "--from", "now-1h", "--set", "metric.no=1", "--url", url], 2).contains("no"));

    assert!(fine(&["budget", "--url", url]).contains("no budget is set"));
    assert!(fine(&["budget", "2", "--url", url]).contains("at most 2"));
    assert!(fails(&["budget", "-5", "--url", url], 2).contains("-5"));
    assert!(fails(&["budget", "many", "--url", url], 2).contains("not a number"));
    let (data, _dir) = server.stop();
    let page = fine(&["replay", "--from", "now-1h", "--data-dir", &data]);
    assert!(page.contains("0 findings would have been said"), "{page}");
    assert!(fails(&["replay", "--from", "now-1h", "--data-dir", "/no/such/folder"], 3).contains("hint: name it"));
}

#[test]
fn signals_are_sent_asked_for_and_found_again() {
    let server = Server::start();
    let url = server.url.as_str();
    fine(&["send", "log", "disk \u{1b}[31mfull", "--service", "cart", "--url", url]);
    fine(&["send", "metric", "queue_length", "7", "--service", "cart", "--url", url]);
    let ask = |sql: &str, format: &str| fine(&["query", sql, "-o", format, "--url", url]);
    let sql = "SELECT metric, value FROM samples WHERE metric = 'queue_length'";
    assert_eq!(ask(sql, "csv"), "metric,value\nqueue_length,7.0\n");
    assert_eq!(ask(sql, "jsonl"), "{\"metric\":\"queue_length\",\"value\":7.0}\n");
    assert!(ask(sql, "table").contains("queue_length"));
    let logs = ask("SELECT body FROM records", "table");
    assert!(logs.contains("disk") && !logs.contains('\u{1b}'), "no control characters on a terminal: {logs:?}");
    let wrong = fails(&["query", "SELECT nonsense FROM samples", "--url", url], 2);
    assert!(wrong.contains("nonsense"), "{wrong}");
    let json: serde_json::Value = serde_json::from_str(&ask("SELECT 1 AS one", "json")).unwrap();
    assert_eq!(json, serde_json::json!([{"one": 1}]));

    assert!(fine(&["tail", "--url", url]).contains("full"));
    assert!(fine(&["status", "--url", url]).contains("samples"));
    let list = fine(&["incidents", "list", "-o", "json", "--url", url]);
    assert_eq!(list.trim(), "[]");
    for what in [&["show"][..], &["similar"], &["postmortem"]] {
        let args = [&["incidents"], what, &["inc-999", "--url", url]].concat();
        assert!(fails(&args, 3).contains("inc-999"));
    }
    assert_eq!(fine(&["alerts", "--url", url]), "no alerts\n");
    assert!(fails(&["alerts", "--state", "loud", "--url", url], 2).contains("firing"));
    assert!(fails(&["silences", "add", "service", "--lasts", "1h", "--url", url], 2).contains("label=value"));
    let preview = fine(&["silences", "add", "service=cart", "--lasts", "1h", "--dry-run", "--url", url]);
    assert!(preview.contains("would have kept 0 quiet"), "{preview}");
    assert!(fine(&["silences", "add", "service=cart", "--lasts", "1h", "--url", url]).contains("holds until"));
    assert!(fails(&["silences", "end", "none", "--url", url], 3).contains("none"));
    let doctor = bellwether(&["doctor", "--url", url]);
    assert!(matches!(doctor.status.code(), Some(0 | 1)), "{}", err(&doctor));

    // A folder in use is not for others; afterwards it is whole.
    let busy = bellwether(&["tokens", "create", "read", "--name", "x", "--data-dir", &server.data()]);
    assert_ne!(busy.status.code(), Some(0));
    let (data, _dir) = server.stop();
    whole(&data);
}

const OBJECTIVE: &str = "\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: pay availability
spec:
  description: Payments answer.
  service: payments
  indicator:
    metadata: {name: pay-requests}
    spec:
      ratioMetric:
        rawType: success
        raw: {metricSource: {type: bellwether, spec: {signal: requests}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.999}]
";

#[test]
fn objectives_are_checked_set_shown_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name).display().to_string()
    };
    let (good, bad) = (file("good.yaml", OBJECTIVE), file("bad.yaml", &OBJECTIVE.replace("  service:", "  servce:")));
    let promise = "pay availability: 99.9 % of service:default/payments over 30 d";
    assert_eq!(fine(&["slos", "check", &good]), format!("good: {promise}\n"));
    let said = fails(&["slos", "check", &bad], 2);
    assert!(said.starts_with(&format!("error: nothing of {bad} can be taken:\n  line 7: spec.servce: ")), "{said}");
    assert!(said.ends_with("hint: mend the file; docs: slos says what is read\n"), "{said}");
    assert!(fails(&["slos", "check", "/no/such/file"], 2).contains("cannot read /no/such/file"));
    assert!(fails(&["slos", "set", &good, "--url", "http://127.0.0.1:1"], 5).contains("hint: start the server"));

    let server = Server::start();
    let url = server.url.as_str();
    assert!(fine(&["slos", "list", "--url", url]).starts_with("no objectives"));
    assert!(fails(&["slos", "set", &bad, "--url", url], 2).contains("line 7"));
    assert_eq!(fine(&["slos", "set", &good, "--url", url]), format!("set {promise}\n"));
    let list = until(&["slos", "list", "-o", "csv", "--url", url], |list| list.lines().count() == 2);
    let row = list.lines().nth(1).unwrap();
    assert!(row.starts_with("pay availability,service:default/payments,99.9 %,30 d,,,"), "{list}");
    let page = fine(&["slos", "show", "pay availability", "--url", url]);
    assert!(
        page.starts_with(&format!("{promise}\nPayments answer.\ncounted: requests, bad is what failed\n")),
        "{page}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&fine(&["slos", "show", "pay availability", "-o", "json", "--url", url])).unwrap();
    assert_eq!((json["target"].as_f64(), json["service"].as_str()), (Some(0.999), Some("service:default/payments")));
    for what in ["show", "remove"] {
        assert!(fails(&["slos", what, "none", "--url", url], 3).contains("no objective"), "{what}");
        assert!(fails(&["slos", what, "..", "--url", url], 2).contains("not an objective's name"), "{what}");
    }
    assert_eq!(fine(&["slos", "remove", "pay availability", "--url", url]), "pay availability: removed\n");
    until(&["slos", "list", "--url", url], |list| list.starts_with("no objectives"));
}

/// What it prints once that is as wanted, within ten seconds.
fn until(args: &[&str], wanted: impl Fn(&str) -> bool) -> String {
    for _ in 0..100 {
        let printed = fine(args);
        if wanted(&printed) {
            return printed;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    panic!("{args:?} did not print what was wanted: {}", fine(args));
}

/// Offline commands on a folder.
fn whole(data: &str) {
    assert!(fine(&["verify", "--data-dir", data]).contains("are whole"));
    assert!(fine(&["audit", "verify", "--data-dir", data]).contains("all as they were written"));
    assert_eq!(fine(&["query", "SELECT count(*) AS n FROM records", "-o", "csv", "--data-dir", data]), "n\n1\n");
    let made = bellwether(&["tokens", "create", "read", "--name", "ci", "--data-dir", data]);
    assert_eq!(made.status.code(), Some(0), "{}", err(&made));
    let secret = out(&made).trim().to_owned();
    let list = fine(&["tokens", "list", "--data-dir", data]);
    assert!(list.contains("ci") && !list.contains(&secret), "a secret is shown once: {list}");
    assert!(!holds(Path::new(data), secret.as_bytes()), "a secret is not stored");
    let id = list.lines().last().unwrap().split_whitespace().next().unwrap();
    fine(&["tokens", "revoke", id, "--data-dir", data]);
    assert!(fails(&["tokens", "revoke", id, "--data-dir", data], 3).contains("no token"));
}

fn holds(path: &Path, needle: &[u8]) -> bool {
    if path.is_dir() {
        return std::fs::read_dir(path).unwrap().any(|entry| holds(&entry.unwrap().path(), needle));
    }
    std::fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle)
}

#[test]
fn a_models_file_answers_rows_and_what_is_none_is_said() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../serve/tests");
    let model = fixtures.join("fixtures/boosting_two.skops");
    let dir = tempfile::tempdir().unwrap();
    let case: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(fixtures.join("fixtures/boosting_two.json")).unwrap()).unwrap();
    let rows: Vec<Vec<f64>> = serde_json::from_value(case["rows"].clone()).unwrap();
    let line = |row: &Vec<f64>| row.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    let lines: Vec<String> = rows.iter().map(line).collect();
    let names: Vec<String> = (0..rows[0].len()).map(|i| format!("x{i}")).collect();
    let file = dir.path().join("rows.csv");
    std::fs::write(&file, format!("{}\n{}\n", names.join(","), lines.join("\n"))).unwrap();
    let (model, file) = (model.to_str().unwrap(), file.to_str().unwrap());
    let said = fine(&["models", "predict", model, file]);
    let wanted: Vec<String> = serde_json::from_value(case["predict"].clone()).unwrap();
    assert_eq!(said, format!("prediction\n{}\n", wanted.join("\n")));
    let shares = fine(&["models", "predict", model, file, "--probabilities"]);
    let classes: Vec<String> = serde_json::from_value(case["classes"].clone()).unwrap();
    assert!(shares.starts_with(&format!("{}\n", classes.join(","))) && shares.lines().count() == rows.len() + 1);
    let none = fails(&["models", "predict", file, file], 1);
    assert!(none.contains("is no model that can be run"), "{none}");
    let pickle = dir.path().join("model.pkl");
    std::fs::write(&pickle, [0x80, 5, 0x95, 0]).unwrap();
    assert!(fails(&["models", "predict", pickle.to_str().unwrap(), file], 1).contains("a pickle, which is a program"));
    fails(&["models", "predict", "no-such-file", file], 3);
}
