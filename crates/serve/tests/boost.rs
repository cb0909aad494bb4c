//! Models of XGBoost and LightGBM answer what their Python libraries answered, and damaged files do no harm.
//!
//! The models and answers are made by `fixtures_boost/make.py`.

mod said;

use std::path::PathBuf;

use bellwether_serve::{Answer, Column, Frame, Label, Matrix, Model, Problem, lightgbm, xgboost};
use serde_json::Value;

use said::frame;

type Read = fn(&[u8]) -> Result<Box<dyn Model>, Problem>;

const TOLERANCE: f64 = 1e-6;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures_boost")
}

/// A model's file, rows and what its library answered to them.
struct Case {
    name: String,
    model: Vec<u8>,
    rows: Frame,
    said: Value,
}

fn cases(library: &str) -> Vec<Case> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let names = paths.iter().filter_map(|path| path.file_name()?.to_str()?.strip_suffix(".case.json"));
    names.filter(|name| name.starts_with(library)).map(case).collect()
}

fn case(name: &str) -> Case {
    let text = std::fs::read(folder().join(format!("{name}.case.json"))).unwrap();
    let said: Value = serde_json::from_slice(&text).unwrap();
    let model =
        ["ubj", "json", "txt"].iter().find_map(|kind| std::fs::read(folder().join(format!("{name}.{kind}"))).ok());
    Case { name: name.into(), model: model.unwrap(), rows: frame(&said), said }
}

fn flat(said: &Value) -> Vec<f64> {
    match said {
        Value::Array(values) => values.iter().flat_map(flat).collect(),
        value => vec![value.as_f64().unwrap()],
    }
}

/// How far numbers are apart, relative to the large ones among them.
fn apart(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max)
}

fn numbers(answer: Answer) -> Matrix {
    match answer {
        Answer::Numbers(matrix) => matrix,
        Answer::Labels(labels) => panic!("labels: {labels:?}"),
    }
}

fn check(case: &Case, read: Read) -> Result<(), String> {
    let model = read(&case.model).map_err(|problem| format!("{}: {problem}", case.name))?;
    let answer = model.predict(&case.rows).map_err(|problem| format!("{}: {problem}", case.name))?;
    let theirs = flat(&case.said["predict"]);
    let ours = match answer {
        Answer::Numbers(matrix) if case.said["labels"] == false => matrix.values,
        Answer::Labels(labels) if case.said["labels"] == true => labels
            .iter()
            .map(|label| match label {
                Label::Int(number) => *number as f64,
                other => panic!("{other:?}"),
            })
            .collect(),
        other => return Err(format!("{}: answers {other:?}", case.name)),
    };
    let distance = apart(&ours, &theirs);
    if distance.is_nan() || distance > TOLERANCE {
        return Err(format!("{}: {distance} apart: {:?} {:?}", case.name, &ours[..4], &theirs[..4]));
    }
    if let Some(said) = case.said.get("probabilities") {
        let ours = model.probabilities(&case.rows).unwrap().ok_or(format!("{}: no probabilities", case.name))?;
        assert_eq!(ours.columns, model.classes().unwrap().len());
        let distance = apart(&ours.values, &flat(said));
        if distance.is_nan() || distance > TOLERANCE {
            return Err(format!("{}: probabilities are {distance} apart", case.name));
        }
    }
    Ok(())
}

fn check_all(library: &str, read: Read, at_least: usize) {
    let cases = cases(library);
    assert!(cases.len() >= at_least, "{} cases", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(|case| check(case, read).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn xgboost_answers_as_its_library() {
    check_all("xgb_", xgboost::read, 30);
}

#[test]
fn lightgbm_answers_as_its_library() {
    check_all("lgb_", lightgbm::read, 25);
}

fn backwards(frame: &Frame) -> Frame {
    let mut other = frame.clone();
    other.names.reverse();
    other.columns.reverse();
    other
}

#[test]
fn columns_come_in_any_order_and_missing_ones_are_named() {
    let case = case("xgb_categories");
    let model = xgboost::read(&case.model).unwrap();
    let as_given = model.predict(&case.rows).unwrap();
    let mut other = backwards(&case.rows);
    assert_eq!(model.predict(&other).unwrap(), as_given);
    other.names[0] = "something".into();
    let problem = model.predict(&other).unwrap_err();
    assert_eq!(problem, Problem::Rows("columns are missing: kind".into()));
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let case = case("xgb_categories");
    let model = xgboost::read(&case.model).unwrap();
    let mut rows = case.rows.clone();
    rows.columns[3] = Column::Texts(vec![Some("Paris".into()); rows.rows]);
    let problem = model.predict(&rows).unwrap_err().to_string();
    assert!(problem.contains("column `town` holds the category `Paris`"), "{problem}");
    rows.columns[3] = Column::Texts(vec![None; rows.rows]);
    assert!(model.predict(&rows).is_ok());
    rows.columns[0] = Column::Texts(vec![Some("1".into()); rows.rows]);
    assert!(matches!(model.predict(&rows), Err(Problem::Rows(_))));
    rows.columns[0] = Column::Numbers(vec![1.0]);
    assert!(matches!(model.predict(&rows), Err(Problem::Rows(_))));
    rows.columns.pop();
    rows.names.clear();
    assert!(matches!(model.predict(&rows), Err(Problem::Rows(_))));
}

#[test]
fn extreme_rows_are_answered() {
    for library in [("xgb_", xgboost::read as Read), ("lgb_", lightgbm::read)] {
        for case in cases(library.0) {
            let model = library.1(&case.model).unwrap();
            for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308, -1e308, 1e-320, 0.0] {
                let columns = vec![Column::Numbers(vec![number; 3]); model.width()];
                let rows = Frame { names: Vec::new(), columns, rows: 3 };
                assert!(model.predict(&rows).is_ok(), "{} {number}", case.name);
            }
            let columns = vec![Column::Numbers(Vec::new()); model.width()];
            assert!(model.predict(&Frame { names: Vec::new(), columns, rows: 0 }).is_ok());
        }
    }
}

/// A model that was read from a changed file must answer or refuse, and never panic or run on.
fn ask(model: Result<Box<dyn Model>, Problem>, rows: &Frame) -> bool {
    match model {
        Ok(model) => model.predict(rows).is_ok() && model.probabilities(rows).is_ok(),
        Err(_) => false,
    }
}

/// Cuts and changes a file at many places, the same ones in every run.
fn damage(case: &Case, read: Read) {
    let (file, mut state) = (&case.model, 0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..200 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (state >> 33) as usize % file.len();
        ask(read(&file[..at]), &case.rows);
        let mut changed = file.clone();
        changed[at] ^= 1 << ((state >> 20) & 7);
        ask(read(&changed), &case.rows);
        changed[at] = (state >> 12) as u8;
        ask(read(&changed), &case.rows);
    }
}

#[test]
fn damaged_files_of_xgboost_do_no_harm() {
    for name in ["xgb_softprob", "xgb_categories", "xgb_onehot", "xgb_dart", "xgb_wide", "xgb_linear_classes"] {
        damage(&case(name), xgboost::read);
    }
}

#[test]
fn damaged_files_of_lightgbm_do_no_harm() {
    for name in ["lgb_multiclass", "lgb_categories", "lgb_linear", "lgb_rf", "lgb_constant"] {
        damage(&case(name), lightgbm::read);
    }
}

#[test]
fn cut_files_of_lightgbm_are_damaged() {
    let file = case("lgb_categories").model;
    let end = String::from_utf8(file.clone()).unwrap().find("end of trees").unwrap();
    for at in (0..end).step_by(97) {
        assert!(matches!(lightgbm::read(&file[..at]), Err(Problem::Damaged(_))), "cut at {at}");
    }
    assert!(lightgbm::read(&file[..end + 13]).is_ok(), "what follows the trees is not needed");
}

/// A text model of a fixture with the first place of a text in it replaced.
fn replaced(name: &str, from: &str, to: &str) -> Result<Box<dyn Model>, Problem> {
    let text = String::from_utf8(case(name).model).unwrap();
    assert!(text.contains(from), "{from}");
    lightgbm::read(text.replacen(from, to, 1).as_bytes())
}

#[test]
fn what_does_not_fit_in_a_text_is_said() {
    for (from, to, said) in [
        ("version=v4", "version=v9", "version `v9`"),
        ("objective=regression_l1", "objective=other", "the objective `other`"),
        ("leaf_value=", "leaf_value=nan ", "tree 0: `leaf_value` holds 9 numbers, not 8"),
        ("num_leaves=8", "num_leaves=9", "tree 0: `leaf_value` holds 8 numbers, not 9"),
        ("split_feature=", "split_feature=7 ", "tree 0: `split_feature` holds 8 numbers, not 7"),
        ("max_feature_idx=4", "max_feature_idx=3", "names"),
        ("Tree=1", "Tree=2", "tree 1 is missing"),
        ("tree_sizes=", "tree_sizes=1 ", "not as many trees"),
        ("num_cat=0\n", "num_cat=1\n", "tree 0: `cat_boundaries` is missing"),
        ("pandas_categorical:null", "pandas_categorical:[", "categories of pandas"),
    ] {
        let problem = replaced("lgb_l1", from, to).unwrap_err().to_string();
        assert!(problem.contains(said), "{from}: {problem}");
    }
    let problem = replaced("lgb_constant", "leaf_value=3.5", "leaf_value=inf").unwrap_err().to_string();
    assert!(problem.contains("tree 0: leaf 0 has no finite number"), "{problem}");
}

#[test]
fn columns_of_lightgbm_come_in_any_order() {
    let case = case("lgb_categories");
    let model = lightgbm::read(&case.model).unwrap();
    let as_given = model.predict(&case.rows).unwrap();
    let mut other = backwards(&case.rows);
    assert_eq!(model.predict(&other).unwrap(), as_given);
    other.names[0] = "something".into();
    assert_eq!(model.predict(&other).unwrap_err(), Problem::Rows("columns are missing: kind".into()));
}

#[test]
fn cut_files_of_xgboost_are_damaged() {
    for name in ["xgb_softprob", "xgb_squarederror"] {
        let file = case(name).model;
        for at in (0..file.len() - 1).step_by(97) {
            assert!(matches!(xgboost::read(&file[..at]), Err(Problem::Damaged(_))), "{name} cut at {at}");
        }
    }
}

/// The JSON model of a fixture with a part of it replaced.
fn changed(path: &str, to: Value) -> Result<Box<dyn Model>, Problem> {
    let mut file: Value = serde_json::from_slice(&case("xgb_squarederror").model).unwrap();
    *file.pointer_mut(path).expect(path) = to;
    xgboost::read(&serde_json::to_vec(&file).unwrap())
}

#[test]
fn what_does_not_fit_in_a_file_is_said() {
    let tree = "/learner/gradient_booster/model/trees/2";
    for (path, to, said) in [
        (format!("{tree}/left_children/0"), 0.into(), "tree 2: node 0 is reached twice"),
        (format!("{tree}/left_children/0"), 99.into(), "tree 2: a node leads to 99"),
        (format!("{tree}/right_children/0"), (-7).into(), "tree 2: a node leads to -7"),
        (format!("{tree}/split_indices/0"), 5.into(), "tree 2: node 0 asks for feature 5 of 5"),
        (format!("{tree}/split_indices"), vec![0].into(), "tree 2: its arrays are of different lengths"),
        (format!("{tree}/split_conditions/14"), 1e300.into(), "tree 2: leaf 14 has no finite number"),
        ("/learner/gradient_booster/model/tree_info/2".into(), 1.into(), "tree 2 has no place"),
        ("/learner/objective/name".into(), "reg:other".into(), "the objective `reg:other`"),
        ("/learner/gradient_booster/name".into(), "gbforest".into(), "the booster `gbforest`"),
        ("/learner/learner_model_param/base_score".into(), "[x]".into(), "the base score `[x]`"),
        ("/learner/learner_model_param/num_feature".into(), "many".into(), "`num_feature` is no count"),
    ] {
        let problem = changed(&path, to).unwrap_err().to_string();
        assert!(problem.contains(said), "{path}: {problem}");
    }
    assert!(matches!(xgboost::read(b"binf...."), Err(Problem::Unsupported(_))));
    assert!(matches!(xgboost::read(b""), Err(Problem::Damaged(_))));
    assert!(matches!(lightgbm::read(b""), Err(Problem::Damaged(_))));
}

#[test]
fn both_notations_of_a_base_score_are_read() {
    let rows = case("xgb_squarederror").rows;
    for said in ["5E-1", "[5E-1]", "0.5"] {
        let high = changed("/learner/learner_model_param/base_score", said.into()).unwrap();
        let low = changed("/learner/learner_model_param/base_score", "-0.5".into()).unwrap();
        let (high, low) = (numbers(high.predict(&rows).unwrap()), numbers(low.predict(&rows).unwrap()));
        assert!(high.values.iter().zip(&low.values).all(|(high, low)| (high - low - 1.0).abs() < 1e-5));
    }
}

#[test]
fn lists_that_claim_more_than_the_file_has_are_damaged() {
    for list in
        [&b"{i\x01a[$Z#l\x7f\xff\xff\xff"[..], b"{i\x01a[#L\x7f\xff\xff\xff\xff\xff\xff\xff", b"{i\x01a[$d#l\x40\0\0\0"]
    {
        assert!(matches!(xgboost::read(list), Err(Problem::Damaged(_))));
    }
    let deep: Vec<u8> = [b"{i\x01a".to_vec(), vec![b'['; 100_000]].concat();
    assert!(matches!(xgboost::read(&deep), Err(Problem::Damaged(_))));
    let deep = [b"{\"a\":".to_vec(), vec![b'['; 100_000]].concat();
    assert!(matches!(xgboost::read(&deep), Err(Problem::Damaged(_))));
}

/// Prints how long a row takes; run it with optimisation: `cargo test --release -- --ignored --nocapture speed`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    for (name, read) in [("xgb", xgboost::read as Read), ("lgb", lightgbm::read)] {
        let path = std::env::var(format!("BOOST_{}", name.to_uppercase())).expect("the path of a model");
        let model = read(&std::fs::read(path).unwrap()).unwrap();
        let rows = 20_000;
        let mut state = 1_u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1 << 24) as f64 * 6.0 - 3.0
        };
        let columns = (0..model.width()).map(|_| Column::Numbers((0..rows).map(|_| draw()).collect())).collect();
        let frame = Frame { names: Vec::new(), columns, rows };
        for _ in 0..3 {
            let start = std::time::Instant::now();
            numbers(model.predict(&frame).unwrap());
            println!("{name}: {:.2} µs a row", start.elapsed().as_secs_f64() * 1e6 / rows as f64);
        }
    }
}
