//! ONNX files answer what onnxruntime answered, and damaged files do no harm.
//!
//! The files and answers are made by `fixtures_onnx/make.py`.

mod said;

use std::path::PathBuf;

use bellwether_serve::{Answer, Column, Frame, Kind, Label, MlModel, Problem, Schema, Servable, onnx};
use serde_json::Value;

use said::frame;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures_onnx")
}

/// A model's file, rows and what onnxruntime answered to them.
struct Case {
    name: String,
    file: Vec<u8>,
    rows: Frame,
    said: Value,
}

fn cases() -> Vec<Case> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let names = paths.iter().filter_map(|path| path.file_name()?.to_str()?.strip_suffix(".case.json"));
    let cases: Vec<Case> = names.map(case).collect();
    assert!(cases.len() > 120, "{} cases", cases.len());
    cases
}

fn case(name: &str) -> Case {
    let said = std::fs::read(folder().join(format!("{name}.case.json"))).unwrap();
    let said: Value = serde_json::from_slice(&said).unwrap();
    let file = std::fs::read(folder().join(format!("{name}.onnx"))).unwrap();
    Case { name: name.into(), file, rows: frame(&said), said }
}

fn flat(said: &Value) -> Vec<f64> {
    match said {
        Value::Array(values) => values.iter().flat_map(flat).collect(),
        Value::Bool(is) => vec![f64::from(u8::from(*is))],
        value => vec![value.as_f64().unwrap()],
    }
}

fn label(value: &Value) -> Label {
    match value {
        Value::Bool(value) => Label::Bool(*value),
        Value::String(value) => Label::Text(value.clone()),
        value => value.as_i64().map_or_else(|| Label::Float(value.as_f64().unwrap()), Label::Int),
    }
}

fn label_list(said: &Value) -> Vec<Label> {
    said.as_array().unwrap().iter().map(label).collect()
}

/// Whether numbers are those that are said, as far as 32 bits tell.
fn near(ours: &[f64], said: &Value) -> Result<(), String> {
    let theirs = flat(said);
    if ours.len() != theirs.len() {
        return Err(format!("{} numbers, not {}", ours.len(), theirs.len()));
    }
    match ours.iter().zip(&theirs).position(|(a, b)| (a - b).abs() > 1e-6 + 1e-5 * b.abs() || a.is_nan()) {
        None => Ok(()),
        Some(at) => Err(format!("number {at} is {} where onnxruntime says {}", ours[at], theirs[at])),
    }
}

fn check(case: &Case) -> Result<(), String> {
    let model = onnx::read(&case.file).map_err(|problem| problem.to_string())?;
    let answer = model.predict(&case.rows).map_err(|problem| problem.to_string())?;
    match (answer, case.said["labels"] == true) {
        (Answer::Labels(labels), true) if labels == label_list(&case.said["predict"]) => {}
        (Answer::Numbers(matrix), false) => near(&matrix.values, &case.said["predict"])?,
        (other, _) => return Err(format!("answers {other:?} where onnxruntime says {}", case.said["predict"])),
    }
    let shares = model.probabilities(&case.rows).map_err(|problem| problem.to_string())?;
    match (shares, case.said.get("probabilities")) {
        (Some(shares), Some(said)) => {
            near(&shares.values, said).map_err(|what| format!("probabilities: {what}"))?;
            if model.classes() != Some(&label_list(&case.said["classes"])) {
                return Err(format!("classes {:?}", model.classes()));
            }
        }
        (None, Some(_)) => return Err("no probabilities".into()),
        _ => {}
    }
    match model.inputs().unwrap_or_default() == case.rows.names {
        true => Ok(()),
        false => Err(format!("inputs {:?}", model.inputs())),
    }
}

#[test]
fn files_answer_as_onnxruntime() {
    let wrong = |case: &Case| check(case).err().map(|what| format!("{}: {what}", case.name));
    let wrong: Vec<String> = cases().iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn rows_answer_alike_alone_and_together() {
    for case in cases().iter().filter(|case| case.name != "one_row") {
        let model = onnx::read(&case.file).unwrap();
        let together = model.predict(&case.rows).unwrap();
        let alone = |column: &Column, row: usize| match column {
            Column::Numbers(numbers) => Column::Numbers(vec![numbers[row]]),
            Column::Texts(texts) => Column::Texts(vec![texts[row].clone()]),
        };
        for row in 0..case.rows.rows.min(3) {
            let columns = case.rows.columns.iter().map(|column| alone(column, row)).collect();
            let one = Frame { names: case.rows.names.clone(), columns, rows: 1 };
            match (model.predict(&one), &together) {
                (Ok(Answer::Labels(one)), Answer::Labels(all)) => assert_eq!(one[0], all[row], "{}", case.name),
                (Ok(Answer::Numbers(one)), Answer::Numbers(all)) => {
                    assert_eq!(one.values, all.row(row), "{}", case.name)
                }
                // A graph may hold a table with a line for each row.
                (Err(Problem::Rows(_)), _) if case.name == "ops_axes" => {}
                (other, _) => panic!("{}: {other:?}", case.name),
            }
        }
    }
}

#[test]
fn damaged_files_do_no_harm() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for name in ["forest_two", "columns_one_hot", "attention", "svc_three", "ops_axes", "ops_cells", "lgb_codes"] {
        let case = case(name);
        let ask = |file: &[u8]| match onnx::read(file) {
            Ok(model) => model.predict(&case.rows).is_ok() && model.probabilities(&case.rows).is_ok(),
            Err(_) => false,
        };
        for _ in 0..150 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % case.file.len();
            ask(&case.file[..at]);
            let mut changed = case.file.clone();
            changed[at] ^= 1 << ((state >> 20) & 7);
            ask(&changed);
            changed[at] = (state >> 12) as u8;
            ask(&changed);
        }
    }
}

#[test]
fn columns_come_by_name_and_what_they_hold_is_known() {
    let case = case("columns_one_hot");
    let model = onnx::read(&case.file).unwrap();
    let answer = model.predict(&case.rows).unwrap();
    let mut turned = case.rows.clone();
    turned.names.reverse();
    turned.columns.reverse();
    assert_eq!(model.predict(&turned).unwrap(), answer);
    turned.names[0] = "other".into();
    assert_eq!(model.predict(&turned).unwrap_err(), Problem::Rows("columns are missing: age".into()));
    let Schema::Columns(fields) = Schema::of_model(model.as_ref()) else { panic!("a matrix") };
    let kinds: Vec<Kind> = fields.iter().map(|field| field.kind).collect();
    assert_eq!(kinds, [Kind::Text, Kind::Long, Kind::Float, Kind::Float]);
    let mut rows = case.rows.clone();
    rows.columns[1] = Column::Numbers(vec![1.5; rows.rows]);
    assert!(model.predict(&rows).unwrap_err().to_string().contains("takes whole numbers"));
    rows.columns[0] = Column::Numbers(vec![1.0; rows.rows]);
    assert!(model.predict(&rows).unwrap_err().to_string().contains("takes texts"));
}

#[test]
fn a_folder_of_mlflow_is_served() {
    let page = "\
flavors:
  onnx:
    code: null
    data: model.onnx
    onnx_version: 1.23.2
    providers:
    - CPUExecutionProvider
  python_function:
    data: model.onnx
    loader_module: mlflow.onnx
signature:
  inputs: '[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float32\", \"shape\": [-1, 5]}}]'
";
    let case = case("logistic_three");
    for (page, kind) in [(MlModel::read(page.as_bytes()).unwrap(), "onnx"), (MlModel::default(), "unknown")] {
        let model = bellwether_serve::read(&case.file).unwrap();
        let servable = Servable::new("towns", 1, &page, model).unwrap();
        assert_eq!((servable.platform.as_str(), page.file.as_deref().unwrap_or("model.onnx")), (kind, "model.onnx"));
        assert_eq!(servable.schema, Schema::Matrix { width: 5, kind: Kind::Float });
        assert_eq!(servable.methods().len(), 2);
        assert_eq!(servable.answers, bellwether_serve::Answers::Classes(Kind::Text));
    }
}

#[test]
fn scores_that_are_no_shares_are_no_probabilities() {
    for name in ["linear_svc", "means", "isolation", "svc_scores", "tree_classes_many_none", "ridge_classifier"] {
        let case = case(name);
        let model = onnx::read(&case.file).unwrap();
        assert_eq!(model.probabilities(&case.rows).unwrap(), None, "{name}");
        assert_eq!(model.classes(), None, "{name}");
    }
}
