//! Filters and orders as MLflow 3.17 answers them: what comes back, in which order, or what it complains of. The cases
//! were put to MLflow's own store, over the items below, and its answers written down.

use super::tests_cases::{EXPERIMENTS, LOGGED_MODELS, MODELS, RUNS, VERSIONS};
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
