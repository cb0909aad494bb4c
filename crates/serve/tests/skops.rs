//! Models of scikit-learn against what scikit-learn answers: `fixtures/make.py` makes both.

use std::fs;
use std::path::{Path, PathBuf};

use bellwether_serve::{Answer, Column, Frame, Label, Matrix, Model, Problem, skops};
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(fixtures().join(format!("{name}.skops"))).unwrap()
}

fn model(name: &str) -> Box<dyn Model> {
    skops::read(&bytes(name)).unwrap_or_else(|problem| panic!("{name}: {problem}"))
}

fn expected(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixtures().join(format!("{name}.json"))).unwrap()).unwrap()
}

fn all_names() -> Vec<String> {
    let files = fs::read_dir(fixtures()).unwrap().map(|file| file.unwrap().path());
    let models = files.filter(|path| path.extension().is_some_and(|extension| extension == "skops"));
    let mut names: Vec<String> = models.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    assert!(names.len() > 40);
    names
}

/// Rows of JSON as columns.
fn frame(answer: &Value) -> Frame {
    let rows = answer["rows"].as_array().unwrap();
    let names: Vec<String> = serde_json::from_value(answer["names"].clone()).unwrap();
    let column = |at: usize| {
        let cells: Vec<&Value> = rows.iter().map(|row| &row[at]).collect();
        match cells.iter().any(|cell| cell.is_string()) {
            true => Column::Texts(cells.iter().map(|cell| cell.as_str().map(str::to_owned)).collect()),
            false => Column::Numbers(cells.iter().map(|cell| cell.as_f64().unwrap_or(f64::NAN)).collect()),
        }
    };
    let width = rows[0].as_array().unwrap().len();
    Frame { names, columns: (0..width).map(column).collect(), rows: rows.len() }
}

fn label(value: &Value) -> Label {
    match value {
        Value::Bool(value) => Label::Bool(*value),
        Value::String(value) => Label::Text(value.clone()),
        value => value.as_i64().map_or_else(|| Label::Float(value.as_f64().unwrap()), Label::Int),
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => vec![value.as_f64().unwrap()],
    }
}

fn assert_near(name: &str, ours: &[f64], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len(), "{name}");
    for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let near = (ours - theirs).abs() <= 1e-6 * theirs.abs().max(1.0);
        assert!(near, "{name}: number {at} is {ours} where scikit-learn says {theirs}");
    }
}

fn check(name: &str) {
    let (model, answer) = (model(name), expected(name));
    let frame = frame(&answer);
    match model.predict(&frame).unwrap_or_else(|problem| panic!("{name}: {problem}")) {
        Answer::Numbers(matrix) => assert_near(name, &matrix.values, &numbers(&answer["predict"])),
        Answer::Labels(labels) => {
            let theirs: Vec<Label> = answer["predict"].as_array().unwrap().iter().map(label).collect();
            assert_eq!(labels, theirs, "{name}");
        }
    }
    let shares = model.probabilities(&frame).unwrap();
    assert_eq!(shares.is_some(), !answer["proba"].is_null(), "{name}");
    if let Some(Matrix { rows, columns, values }) = shares {
        assert_eq!((rows, columns), (frame.rows, model.classes().unwrap().len()), "{name}");
        assert_near(name, &values, &numbers(&answer["proba"]));
    }
    let classes = answer["classes"].as_array().map(|classes| classes.iter().map(label).collect::<Vec<_>>());
    assert_eq!(model.classes().map(<[Label]>::to_vec), classes, "{name}");
    assert_eq!(model.width(), frame.columns.len(), "{name}");
    assert_eq!(model.inputs().unwrap_or_default(), frame.names, "{name}");
}

#[test]
fn answers_are_those_of_scikit_learn() {
    all_names().iter().for_each(|name| check(name));
}

#[test]
fn rows_answer_alike_alone_and_together() {
    for name in all_names() {
        let (model, frame) = (model(&name), frame(&expected(&name)));
        let together = model.predict(&frame).unwrap();
        let alone = |column: &Column, row: usize| match column {
            Column::Numbers(numbers) => Column::Numbers(vec![numbers[row]]),
            Column::Texts(texts) => Column::Texts(vec![texts[row].clone()]),
        };
        for row in 0..frame.rows {
            let columns = frame.columns.iter().map(|column| alone(column, row)).collect();
            let one = Frame { names: frame.names.clone(), columns, rows: 1 };
            match (model.predict(&one).unwrap(), &together) {
                (Answer::Labels(one), Answer::Labels(all)) => assert_eq!(one[0], all[row], "{name}"),
                (Answer::Numbers(one), Answer::Numbers(all)) => assert_eq!(one.values, all.row(row), "{name}"),
                _ => panic!("{name}: answers of two kinds"),
            }
        }
    }
}

#[test]
fn columns_are_taken_by_their_names() {
    let (model, answer) = (model("columns_by_name"), expected("columns_by_name"));
    let frame = frame(&answer);
    let turned = Frame {
        names: frame.names.iter().rev().cloned().collect(),
        columns: frame.columns.iter().rev().cloned().collect(),
        rows: frame.rows,
    };
    assert_eq!(model.predict(&turned), model.predict(&frame));
    let without = |gone: &[&str]| {
        let kept = frame.names.iter().zip(&frame.columns).filter(|(name, _)| !gone.contains(&name.as_str()));
        let (names, columns) = kept.map(|(name, column)| (name.clone(), column.clone())).unzip();
        Frame { names, columns, rows: frame.rows }
    };
    assert_eq!(model.predict(&without(&["size", "note"])), model.predict(&frame), "these are dropped anyway");
    let Err(Problem::Rows(why)) = model.predict(&without(&["age", "town", "note"])) else {
        panic!("columns are missing");
    };
    assert!(why.contains("age, town") && !why.contains("note"), "{why}");
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let frame = |columns| Frame { names: Vec::new(), columns, rows: 1 };
    let linear = model("linear");
    let number = |value: f64| Column::Numbers(vec![value]);
    let text = || Column::Texts(vec![Some("a".to_owned())]);
    for columns in [
        vec![number(1.0); 3],
        vec![number(1.0), number(f64::NAN), number(1.0), number(1.0)],
        vec![number(1.0), number(f64::INFINITY), number(1.0), number(1.0)],
        vec![number(1.0), text(), number(1.0), number(1.0)],
        vec![number(1.0), Column::Numbers(vec![]), number(1.0), number(1.0)],
    ] {
        assert!(matches!(linear.predict(&frame(columns)), Err(Problem::Rows(_))));
    }
    let forest = model("forest_classifier");
    assert!(forest.predict(&frame(vec![number(f64::NAN); 4])).is_ok());
    assert!(matches!(forest.predict(&frame(vec![number(1e39); 4])), Err(Problem::Rows(_))));
    let none = Frame { names: Vec::new(), columns: vec![Column::Numbers(vec![]); 4], rows: 0 };
    assert_eq!(linear.predict(&none), Ok(Answer::Numbers(Matrix::default())));
    assert_eq!(forest.predict(&none), Ok(Answer::Labels(Vec::new())));
}
