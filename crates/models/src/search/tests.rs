//! Filters and orders as MLflow 3.17 answers them: what comes back, in which order, or what it complains of. The cases
//! were put to MLflow's own store, over the items below, and its answers written down.

use super::tests_cases::{EXPERIMENTS, LOGGED_MODELS, MODELS, RUNS, TRACES, VERSIONS};
use super::*;

/// An item out of a table.
struct Row {
    name: &'static str,
    cells: Vec<(Group, &'static str, Cell<'static>)>,
}

impl Item for Row {
    fn cell(&self, group: Group, key: &str) -> Option<Cell<'_>> {
        self.cells(group, key).into_iter().next_back()
    }

    fn cells(&self, group: Group, key: &str) -> Vec<Cell<'_>> {
        self.cells.iter().filter(|cell| cell.0 == group && cell.1 == key).map(|cell| cell.2.clone()).collect()
    }
}

fn row(
    name: &'static str,
    texts: &[(Group, &'static str, &'static str)],
    numbers: &[(Group, &'static str, f64)],
) -> Row {
    let texts = texts.iter().map(|(group, key, text)| (*group, *key, Cell::from(*text)));
    let numbers = numbers.iter().map(|(group, key, number)| (*group, *key, Cell::from(*number)));
    Row { name, cells: texts.chain(numbers).collect() }
}

use Group::{Attribute as A, Dataset as D, Metric as M, Param as P, Tag as T};

fn runs() -> Vec<Row> {
    vec![
        row(
            "r1",
            &[
                (A, "run_id", "r1"),
                (A, "run_name", "alpha"),
                (A, "status", "FINISHED"),
                (A, "user_id", "ann"),
                (A, "artifact_uri", "mlflow-artifacts:/1/r1/artifacts"),
                (P, "lr", "0.1"),
                (P, "opt", "Adam"),
                (T, "team", "red"),
                (T, "a b", "x y"),
                (T, "k.dot", "dotted"),
                (T, "mlflow.runName", "alpha"),
                (D, "name", "iris"),
                (D, "digest", "d1"),
                (D, "context", "train"),
                (D, "name", "wine"),
                (D, "digest", "d2"),
                (D, "context", "test"),
            ],
            &[
                (A, "start_time", 1000.0),
                (A, "end_time", 2000.0),
                (M, "loss", 0.5),
                (M, "acc", 0.9),
                (M, "my metric", 3.0),
            ],
        ),
        row(
            "r2",
            &[
                (A, "run_id", "r2"),
                (A, "run_name", "Beta"),
                (A, "status", "FAILED"),
                (A, "user_id", "bob"),
                (A, "artifact_uri", "mlflow-artifacts:/1/r2/artifacts"),
                (P, "lr", "0.01"),
                (T, "team", "Blue"),
                (T, "mlflow.runName", "Beta"),
            ],
            &[(A, "start_time", 1500.0), (M, "loss", f64::NAN)],
        ),
        row(
            "r3",
            &[
                (A, "run_id", "r3"),
                (A, "run_name", "alpha 2"),
                (A, "status", "RUNNING"),
                (A, "user_id", "ann"),
                (A, "artifact_uri", "mlflow-artifacts:/1/r3/artifacts"),
                (T, "team", "red"),
                (T, "mlflow.runName", "alpha 2"),
                (D, "name", "iris"),
                (D, "digest", "d9"),
            ],
            &[(A, "start_time", 1500.0), (M, "loss", 0.1), (M, "acc", 0.9)],
        ),
        row(
            "r4",
            &[
                (A, "run_id", "r4"),
                (A, "run_name", "it's"),
                (A, "status", "FINISHED"),
                (A, "user_id", "cy"),
                (A, "artifact_uri", "mlflow-artifacts:/1/r4/artifacts"),
                (P, "opt", "adam"),
                (T, "quote", "it's"),
                (T, "pct", "100%_x"),
                (T, "team", ""),
                (T, "mlflow.runName", "it's"),
            ],
            &[(A, "start_time", 500.0), (A, "end_time", 900.0), (M, "my metric", -2.0)],
        ),
    ]
}

fn experiments() -> Vec<Row> {
    let times = |created, updated| [(A, "creation_time", created), (A, "last_update_time", updated)];
    vec![
        row("2", &[(A, "experiment_id", "2"), (A, "name", "one"), (T, "team", "red")], &times(100.0, 900.0)),
        row(
            "3",
            &[(A, "experiment_id", "3"), (A, "name", "Two"), (T, "team", "Blue"), (T, "a b", "x")],
            &times(200.0, 800.0),
        ),
        row("4", &[(A, "experiment_id", "4"), (A, "name", "one more")], &times(200.0, 700.0)),
    ]
}

fn models() -> Vec<Row> {
    let updated = |ms| [(A, "last_updated_timestamp", ms)];
    vec![
        row("churn", &[(A, "name", "churn"), (T, "team", "red"), (T, "stage", "x")], &updated(500.0)),
        row("Fraud", &[(A, "name", "Fraud"), (T, "team", "Blue")], &updated(900.0)),
        row("greet", &[(A, "name", "greet"), (T, fields::PROMPT_TAG, "true")], &updated(700.0)),
        row("plain", &[(A, "name", "plain")], &updated(900.0)),
    ]
}

fn versions() -> Vec<Row> {
    let numbers = |version, created, updated| {
        [(A, "version_number", version), (A, "creation_timestamp", created), (A, "last_updated_timestamp", updated)]
    };
    vec![
        row(
            "churn/1",
            &[(A, "name", "churn"), (A, "run_id", "r1"), (A, "source_path", "s3://a/1"), (T, "ok", "yes")],
            &numbers(1.0, 10.0, 40.0),
        ),
        row(
            "churn/2",
            &[(A, "name", "churn"), (A, "run_id", "r2"), (A, "source_path", "s3://a/2")],
            &numbers(2.0, 20.0, 30.0),
        ),
        row(
            "Fraud/1",
            &[
                (A, "name", "Fraud"),
                (A, "run_id", "r3"),
                (A, "source_path", "file:/b"),
                (T, "ok", "no"),
                (T, "a b", "c"),
            ],
            &numbers(1.0, 15.0, 40.0),
        ),
        row(
            "greet/1",
            &[(A, "name", "greet"), (A, "source_path", "p"), (T, fields::PROMPT_TAG, "true")],
            &numbers(1.0, 5.0, 5.0),
        ),
    ]
}

fn logged_models() -> Vec<Row> {
    let times = |created, updated| [(A, "creation_timestamp_ms", created), (A, "last_updated_timestamp_ms", updated)];
    let texts = |id, name, model_type| {
        [(A, "model_id", id), (A, "name", name), (A, "model_type", model_type), (A, "source_run_id", "rx")]
    };
    let mut rows = vec![
        row("a", &texts("m-a", "net", "Agent"), &times(100.0, 10.0)),
        row("b", &texts("m-b", "Net 2", "LLM"), &times(200.0, 30.0)),
        row("c", &texts("m-c", "other", "Agent"), &times(200.0, 20.0)),
    ];
    rows[0].cells.extend([(M, "acc", Cell::from(0.5)), (M, "acc", Cell::from(0.8))]);
    rows[0].cells.extend([(P, "lr", Cell::from("0.1")), (T, "team", Cell::from("red"))]);
    rows[1].cells.extend([(M, "acc", Cell::from(0.6)), (P, "lr", Cell::from("0.2")), (T, "team", Cell::from("Blue"))]);
    rows
}

fn traces() -> Vec<Row> {
    use Group::{Expectation, Feedback, Metadata};
    let times = |start: f64, took: f64| [(A, "timestamp_ms", start), (A, "end_time_ms", start + took)];
    let mut rows = vec![
        row(
            "t1",
            &[
                (A, "request_id", "t1"),
                (A, "client_request_id", "c1"),
                (A, "status", "OK"),
                (Metadata, "mlflow.sourceRun", "r1"),
                (Metadata, "env", "prod"),
                (T, "mlflow.traceName", "chat"),
                (T, "team", "red"),
                (T, "a b", "x"),
                (Feedback, "good", "yes"),
                (Expectation, "answer", "42"),
            ],
            &times(1000.0, 50.0),
        ),
        row(
            "t2",
            &[
                (A, "request_id", "t2"),
                (A, "status", "ERROR"),
                (Metadata, "env", "dev"),
                (T, "mlflow.traceName", "Plan"),
                (Feedback, "good", "false"),
                (Feedback, "good", "no"),
            ],
            &times(2000.0, 0.0),
        ),
        row(
            "t3",
            &[
                (A, "request_id", "t3"),
                (A, "client_request_id", "c3"),
                (A, "status", "IN_PROGRESS"),
                (Metadata, "mlflow.sourceRun", "r2"),
                (T, "team", "Blue"),
            ],
            &times(2000.0, 10.0),
        ),
    ];
    for (row, key, number) in [(0, "score", 0.8), (1, "score", 0.3)] {
        rows[row].cells.push((Feedback, key, Cell::from(number)));
    }
    for (row, took) in [(0, 50.0), (2, 10.0)] {
        rows[row].cells.push((A, "execution_time_ms", Cell::from(took)));
    }
    rows
}

/// The names of the rows that pass, in order, or the complaint.
fn answer(kind: Kind, rows: &[Row], filter: &str, order_by: &[&str]) -> String {
    let order_by: Vec<String> = order_by.iter().map(|text| (*text).to_owned()).collect();
    let order = match kind {
        Kind::LoggedModels => {
            Order::of_logged_models(&order_by.iter().map(|text| order_field(text)).collect::<Vec<_>>())
        }
        _ => Order::parse(kind, &order_by),
    };
    let parsed = Filter::parse(kind, filter).and_then(|filter| Ok((filter, order?)));
    match parsed {
        Ok((filter, order)) => {
            let mut passed: Vec<&Row> = rows.iter().filter(|row| filter.allows(*row)).collect();
            passed.sort_by(|a, b| order.compare(*a, *b));
            passed.iter().map(|row| row.name).collect::<Vec<_>>().join(" ")
        }
        Err(problem) if problem.code == crate::Code::InvalidParameterValue => format!("! {}", problem.message),
        Err(problem) => format!("! {} [{}]", problem.message, problem.code.name()),
    }
}

fn order_field(text: &str) -> OrderField {
    let field_name = text.split_whitespace().next().unwrap_or_default().to_owned();
    OrderField { field_name, ascending: !text.ends_with("DESC"), dataset_name: None, dataset_digest: None }
}

fn check(kind: Kind, rows: &[Row], cases: &[(&str, &[&str], &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .map(|(filter, order_by, wanted)| (filter, order_by, wanted, answer(kind, rows, filter, order_by)))
        .filter(|(_, _, wanted, answer)| answer != *wanted)
        .map(|(filter, order_by, wanted, answer)| {
            format!("{filter:?} {order_by:?}\n  wanted {wanted}\n  got    {answer}")
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn what_mlflow_breaks_on_is_refused() {
    let invalid = |kind, filter| match Filter::parse(kind, filter) {
        Err(problem) if problem.code == crate::Code::InvalidParameterValue => problem.message,
        other => panic!("{filter}: {other:?}"),
    };
    assert_eq!(
        invalid(Kind::RegisteredModels, "tags.team IS NULL"),
        "Invalid comparison clause. Expected 3 tokens found 2"
    );
    assert!(invalid(Kind::LoggedModels, "nope = 'x'").starts_with("Invalid attribute key 'nope' specified."));
    assert!(invalid(Kind::LoggedModels, "metrics.acc > 'x'").starts_with("could not convert string to float"));
    assert!(invalid(Kind::LoggedModels, "name IN (1)").starts_with("Expected a list"));
    assert!(invalid(Kind::Runs, "run_id = ('r1')").contains("does not take a list"));
    let regex = Filter::parse(Kind::Traces, "status RLIKE 'O'").expect_err("no regular expressions");
    assert_eq!(regex.code, crate::Code::NotImplemented);
}

#[test]
fn numbers_of_experiments_are_not_ordered_as_text() {
    let named = |name| row(name, &[(A, "experiment_id", name)], &[]);
    let rows = ["99", "100", "925138671362486412", "925138671362486413"].map(named);
    let order = ["experiment_id".to_owned()];
    let order = Order::parse(Kind::Experiments, &order).expect("an order");
    assert!(rows.windows(2).all(|pair| order.compare(&pair[0], &pair[1]).is_lt()));
    assert_eq!(answer(Kind::Experiments, &rows, "experiment_id = '925138671362486413'", &[]), "925138671362486413");
}

#[test]
fn logged_models_are_ordered_by_a_metric_on_a_data_set() {
    struct OnData(f64, f64);
    impl Item for OnData {
        fn cell(&self, _: Group, _: &str) -> Option<Cell<'_>> {
            None
        }
        fn metric_on(&self, key: &str, dataset_name: Option<&str>, digest: Option<&str>) -> Option<f64> {
            assert_eq!((key, digest), ("acc", None));
            Some(if dataset_name == Some("iris") { self.0 } else { self.1 })
        }
    }
    let by = |dataset: Option<&str>| {
        let field = OrderField { dataset_name: dataset.map(str::to_owned), ..order_field("metrics.acc") };
        Order::of_logged_models(&[field]).expect("an order").compare(&OnData(1.0, 2.0), &OnData(2.0, 1.0))
    };
    assert_eq!((by(Some("iris")), by(None)), (Ordering::Less, Ordering::Greater));
}

#[test]
fn bad_input_is_answered_quickly_and_without_panic() {
    let kinds =
        [Kind::Runs, Kind::Experiments, Kind::RegisteredModels, Kind::ModelVersions, Kind::LoggedModels, Kind::Traces];
    let pieces = [
        "(",
        ")",
        "[",
        "'",
        "\"",
        "`",
        "/*",
        "--",
        ";",
        ".",
        ",",
        " ",
        "\n",
        "a.",
        "a,",
        "a=",
        "a = 'b' and ",
        "''",
        "\\'",
        "é",
        "0",
        "-",
        "NOT ",
        "a::",
        "%",
        "$a$",
        "a as ",
        "a b ",
        "IN(",
        "where ",
        "values ",
        "\u{0}",
        "timestamp ",
    ];
    let started = std::time::Instant::now();
    for piece in pieces {
        for text in [piece.to_owned(), piece.repeat(3), piece.repeat(1_000_000 / piece.len())] {
            for kind in kinds {
                let _ = Filter::parse(kind, &text);
                let _ = Order::parse(kind, std::slice::from_ref(&text));
            }
        }
    }
    let long = format!("tags.a LIKE '{}'", "%a".repeat(500_000));
    let filter = Filter::parse(Kind::Runs, &long).expect("a filter");
    assert!(!filter.allows(&row("x", &[(T, "a", "b")], &[])));
    let ids = vec!["'r1'"; 4_000].join(",");
    assert!(Filter::parse(Kind::Runs, &format!("run_id IN ({ids})")).is_ok());
    assert_eq!(
        answer(Kind::Runs, &[], &"a ".repeat(6_000), &[]),
        format!("! Error on parsing filter '{}'", "a ".repeat(6_000))
    );
    let deep = format!("{}{}", "(".repeat(200), ")".repeat(200));
    assert_eq!(answer(Kind::Runs, &[], &deep, &[]), format!("! Error on parsing filter '{deep}'"));
    // Wide, since the machine may be busy: alone it takes two seconds.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn runs_are_found_as_by_mlflow() {
    check(Kind::Runs, &runs(), RUNS);
}

#[test]
fn experiments_are_found_as_by_mlflow() {
    check(Kind::Experiments, &experiments(), EXPERIMENTS);
}

#[test]
fn models_are_found_as_by_mlflow() {
    check(Kind::RegisteredModels, &models(), MODELS);
}

#[test]
fn versions_are_found_as_by_mlflow() {
    check(Kind::ModelVersions, &versions(), VERSIONS);
}

#[test]
fn logged_models_are_found_as_by_mlflow() {
    check(Kind::LoggedModels, &logged_models(), LOGGED_MODELS);
}

#[test]
fn traces_are_found_as_by_mlflow() {
    check(Kind::Traces, &traces(), TRACES);
}
