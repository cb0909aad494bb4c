//! Models of scikit-learn against what scikit-learn answers: `fixtures/make.py` makes both.

use std::fs;
use std::io::{Cursor, Read, Write};
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

/// A file with other members.
fn with_members(name: &str, change: impl Fn(&str, Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let mut old = zip::ZipArchive::new(Cursor::new(bytes(name))).unwrap();
    let mut new = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for at in 0..old.len() {
        let mut member = old.by_index(at).unwrap();
        let name = member.name().unwrap().into_owned();
        let mut content = Vec::new();
        member.read_to_end(&mut content).unwrap();
        new.start_file(&name, stored).unwrap();
        new.write_all(&change(&name, content)).unwrap();
    }
    new.finish().unwrap().into_inner()
}

/// The names of the arrays of a file.
fn arrays(name: &str) -> Vec<String> {
    let file = zip::ZipArchive::new(Cursor::new(bytes(name))).unwrap();
    let names = file.file_names().map(|name| name.unwrap().into_owned());
    names.filter(|name| name.ends_with(".npy")).collect()
}

/// An array of NumPy.
fn npy(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let head = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    [b"\x93NUMPY\x01\x00", &(head.len() as u16).to_le_bytes()[..], head.as_bytes(), data].concat()
}

/// A file whose schema has another text in place of one.
fn with_schema(name: &str, from: &str, to: &str) -> Vec<u8> {
    with_members(name, |member, content| match member {
        "schema.json" => {
            let text = String::from_utf8(content).unwrap();
            assert!(text.contains(from), "{from}");
            text.replace(from, to).into_bytes()
        }
        _ => content,
    })
}

fn refusal(file: &[u8]) -> Problem {
    skops::read(file).expect_err("this file is refused")
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % end.max(1)
    }
}

/// Reads a file that may be broken and, where it can be read, asks it.
fn survive(file: &[u8], frame: &Frame) {
    if let Ok(model) = skops::read(file) {
        let _ = model.predict(frame);
        let _ = model.probabilities(frame);
    }
}

#[test]
fn files_that_are_cut_off_are_damaged() {
    for name in ["linear", "columns_by_name", "histograms_two"] {
        let file = bytes(name);
        for end in (0..file.len()).step_by(97) {
            assert!(matches!(refusal(&file[..end]), Problem::Damaged(_)), "{name} cut at {end}");
        }
    }
}

#[test]
fn broken_bytes_never_panic() {
    let mut random = Random(1);
    for name in all_names() {
        let (file, frame) = (bytes(&name), frame(&expected(&name)));
        for _ in 0..20 {
            let mut broken = file.clone();
            let at = random.below(broken.len());
            broken[at] ^= 1 << random.below(8);
            survive(&broken, &frame);
        }
        // Checksums notice most of that: what follows is broken within whole members.
        for _ in 0..12 {
            let seed = random.below(usize::MAX) as u64;
            let broken = with_members(&name, |member, mut content| {
                let mut random = Random(seed ^ member.len() as u64 ^ content.len() as u64);
                let hit = member == "schema.json" || random.below(3) == 0;
                for _ in 0..if hit { 1 + random.below(3) } else { 0 } {
                    let at = random.below(content.len());
                    match random.below(3) {
                        0 => content[at] ^= 1 << random.below(8),
                        1 => content[at] = b"0123456789-."[random.below(12)],
                        _ => content[at] = random.below(256) as u8,
                    }
                }
                content
            });
            survive(&broken, &frame);
        }
    }
}

#[test]
fn arrays_of_other_lengths_never_panic() {
    for name in all_names() {
        let frame = frame(&expected(&name));
        for hit in arrays(&name).into_iter().take(12) {
            let broken = with_members(&name, |member, content| match member == hit {
                true => npy("<f8", "(1,)", &1e9f64.to_le_bytes()),
                false => content,
            });
            survive(&broken, &frame);
        }
    }
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let unsupported = |file: &[u8]| match refusal(file) {
        Problem::Unsupported(why) => why,
        problem => panic!("{problem}"),
    };
    let other = unsupported(&with_schema("linear", "\"LinearRegression\"", "\"IsotonicRegression\""));
    assert!(other.contains("IsotonicRegression"), "{other}");
    let own = unsupported(&with_schema("linear", "\"sklearn.linear_model._base\"", "\"os\""));
    assert!(own.contains("os.LinearRegression"), "{own}");
    let own = unsupported(&with_schema("linear", "\"sklearn.linear_model._base\"", "\"sklearnx.linear\""));
    assert!(own.contains("sklearnx"), "{own}");
    let step = unsupported(&with_schema("pipeline_standard", "\"StandardScaler\"", "\"PowerTransformer\""));
    assert!(step.contains("PowerTransformer"), "{step}");
    let loss = unsupported(&with_schema("boosting_two", "\\\"log_loss\\\"", "\\\"tweedie\\\""));
    assert!(loss.contains("loss") && loss.contains("tweedie"), "{loss}");
    let function = unsupported(&with_schema("pipeline_function", "\"square\"", "\"fromfile\""));
    assert!(function.contains("fromfile"), "{function}");
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name() {
    let spoil = |name: &str, value: f64| {
        with_members(name, |_, mut content| {
            let end = content.len();
            let floats = content.windows(5).any(|at| at == b"'<f8'");
            // Not the arrays of one number: the last of several, a weight.
            if floats && end > 128 + 8 {
                content[end - 8..].copy_from_slice(&value.to_le_bytes());
            }
            content
        })
    };
    for value in [f64::NAN, f64::INFINITY] {
        let Problem::Unsupported(why) = refusal(&spoil("linear", value)) else { panic!("it is whole") };
        assert!(why.contains("LinearRegression.coef_") && why.contains(&value.to_string()), "{why}");
    }
    assert!(refusal(&spoil("boosting_regressor", f64::NAN)).to_string().contains("NaN"));
}

#[test]
fn pickles_are_never_read() {
    let file = with_members("linear", |member, content| match member.ends_with(".npy") {
        true => npy("|O", "(4,)", b"\x80\x04]\x94."),
        false => content,
    });
    assert!(matches!(refusal(&file), Problem::Unsupported(why) if why.contains("|O")));
}

#[test]
fn members_are_only_members() {
    let file = with_schema("linear", &arrays("linear")[0], "../../../../etc/hostname");
    assert!(matches!(refusal(&file), Problem::Damaged(why) if why.contains("not there")));
}

#[test]
fn bombs_are_refused() {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let packed = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    zip.start_file("schema.json", packed).unwrap();
    for _ in 0..64 {
        zip.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    let file = zip.finish().unwrap().into_inner();
    assert!(file.len() < 200_000);
    assert!(matches!(refusal(&file), Problem::Unsupported(why) if why.contains("unpacks to more")));
}
