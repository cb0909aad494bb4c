//! Explanations against those of the shap package and, for XGBoost and LightGBM, of the libraries themselves:
//! `fixtures_explain/make.py` writes them for the models of the folders beside.

use std::fs;
use std::path::{Path, PathBuf};

use bellwether_serve::explain::{How, Space};
use bellwether_serve::{Column, Explanation, Frame, MlModel, Model, Problem, Servable, read, wire};
use serde_json::{Value, json};

/// How far from shap a number may be, relative to the large ones.
const NEAR: f64 = 1e-6;
/// The same where the library counts in 32 bits: XGBoost.
const NEAR_32: f64 = 1e-4;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A model, rows for it, and what shap says of them.
struct Case {
    name: String,
    bytes: Vec<u8>,
    /// All rows of its fixture.
    all: Frame,
    said: Option<Value>,
}

impl Case {
    fn of(name: &str) -> Case {
        let said = folder("fixtures_explain").join(format!("{name}.json"));
        let said = said.exists().then(|| json_of(&said));
        let own = folder("fixtures_explain").join(format!("{name}.skops"));
        let skops = folder("fixtures").join(format!("{name}.skops"));
        let (bytes, all) = if own.exists() {
            let rows = &said.as_ref().unwrap()["x"];
            (fs::read(own).unwrap(), frame(Vec::new(), turned(rows)))
        } else if skops.exists() {
            let fixture = json_of(&skops.with_extension("json"));
            let names = serde_json::from_value(fixture["names"].clone()).unwrap();
            (fs::read(skops).unwrap(), frame(names, turned(&fixture["rows"])))
        } else {
            let boost = folder("fixtures_boost");
            let fixture = json_of(&boost.join(format!("{name}.case.json")));
            let file =
                ["ubj", "json", "txt"].iter().find_map(|kind| fs::read(boost.join(format!("{name}.{kind}"))).ok());
            let names = serde_json::from_value(fixture["names"].clone()).unwrap();
            (file.unwrap(), frame(names, serde_json::from_value(fixture["columns"].clone()).unwrap()))
        };
        Case { name: name.to_owned(), bytes, all, said }
    }

    fn model(&self) -> Box<dyn Model> {
        read(&self.bytes).unwrap_or_else(|problem| panic!("{}: {problem}", self.name))
    }

    fn explain(&self, rows: &Frame) -> Result<Explanation, Problem> {
        let scaled = matches!(&self.name[..], "pipeline_standard" | "pipeline_imputer");
        self.model().explain(rows, (!scaled).then_some(&self.all))
    }

    fn asked(&self) -> Frame {
        let rows: Vec<usize> = serde_json::from_value(self.said.as_ref().unwrap()["rows"].clone()).unwrap();
        some(&self.all, &rows)
    }
}

fn names_in(name: &str, end: &str) -> Vec<String> {
    let files = fs::read_dir(folder(name)).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files.filter_map(|file| Some(file.strip_suffix(end)?.to_owned())).collect();
    names.sort();
    names
}

/// Columns of rows.
fn turned(rows: &Value) -> Vec<Vec<Value>> {
    let rows = rows.as_array().unwrap();
    (0..rows[0].as_array().unwrap().len()).map(|at| rows.iter().map(|row| row[at].clone()).collect()).collect()
}

fn frame(names: Vec<String>, columns: Vec<Vec<Value>>) -> Frame {
    let column = |cells: &Vec<Value>| match cells.iter().any(Value::is_string) {
        true => Column::Texts(cells.iter().map(|cell| cell.as_str().map(str::to_owned)).collect()),
        false => Column::Numbers(cells.iter().map(|cell| cell.as_f64().unwrap_or(f64::NAN)).collect()),
    };
    Frame { names, rows: columns[0].len(), columns: columns.iter().map(column).collect() }
}

fn some(frame: &Frame, rows: &[usize]) -> Frame {
    let column = |column: &Column| match column {
        Column::Numbers(numbers) => Column::Numbers(rows.iter().map(|row| numbers[*row]).collect()),
        Column::Texts(texts) => Column::Texts(rows.iter().map(|row| texts[*row].clone()).collect()),
    };
    Frame { names: frame.names.clone(), columns: frame.columns.iter().map(column).collect(), rows: rows.len() }
}

fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(flat).collect(),
        value => vec![value.as_f64().unwrap()],
    }
}

/// How far numbers are apart, relative to the large ones among them.
fn apart(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let largest = |a: f64, b: f64| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) };
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, largest)
}

/// How far the sum of what was taken apart is from the whole.
fn sums_apart(explained: &Explanation) -> f64 {
    let outputs = explained.outputs.len();
    let sum = |row: usize, output: usize| explained.base[output] + explained.of(row, output).iter().sum::<f64>();
    let sums: Vec<f64> =
        (0..explained.scores.rows).flat_map(|row| (0..outputs).map(move |output| sum(row, output))).collect();
    apart(&sums, &explained.scores.values)
}

#[test]
fn explanations_are_those_of_shap() {
    let names = names_in("fixtures_explain", ".json");
    assert!(names.len() > 90, "{}", names.len());
    let mut wrong = Vec::new();
    for name in names {
        let case = Case::of(&name);
        let explained = case.explain(&case.asked()).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let said = case.said.as_ref().unwrap();
        let base = apart(&explained.base, &flat(&said["base"]));
        let values = apart(&explained.contributions, &flat(&said["values"]));
        let near = if name.starts_with("xgb_") { NEAR_32 } else { NEAR };
        if base.is_nan() || values.is_nan() || base > near || values > near {
            wrong.push(format!("{name}: base values are {base} apart, contributions {values}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What cannot be explained, with a part of what is said of it.
const REFUSED: [(&str, &str); 13] = [
    ("bayes", "GaussianNB"),
    ("means", "KMeans"),
    ("neighbors_two", "KNeighborsClassifier"),
    ("neighbors_regressor", "KNeighborsRegressor"),
    ("network_two", "MLPClassifier"),
    ("network_three", "MLPClassifier"),
    ("network_regressor", "MLPRegressor"),
    ("pipeline_normalizer", "Normalizer"),
    ("pipeline_pca", "PCA"),
    ("pipeline_svd", "TruncatedSVD"),
    ("pipeline_polynomials", "PolynomialFeatures"),
    ("pipeline_interactions", "PolynomialFeatures"),
    ("lgb_linear", "linear_tree"),
];

#[test]
fn base_and_contributions_add_up_to_the_score_or_it_says_why_not() {
    let mut names = names_in("fixtures", ".skops");
    names.extend(names_in("fixtures_boost", ".case.json"));
    names.extend(names_in("fixtures_explain", ".skops"));
    let mut wrong = Vec::new();
    for name in names {
        let case = Case::of(&name);
        match (case.explain(&case.all), REFUSED.iter().find(|(refused, _)| *refused == name)) {
            (Ok(explained), None) => {
                assert_eq!(explained.scores.rows, case.all.rows, "{name}");
                // XGBoost's own scores are sums in 32 bits.
                let near = if name.starts_with("xgb_") { 1e-5 } else { NEAR };
                let apart = sums_apart(&explained);
                if apart.is_nan() || apart > near {
                    wrong.push(format!("{name}: sums are {apart} apart"));
                }
            }
            (Err(problem @ Problem::Unsupported(_)), Some((_, why))) => {
                let said = problem.to_string();
                assert!(said.contains(why) && said.contains("can be explained"), "{name}: {said}");
            }
            (other, _) => wrong.push(format!("{name}: {:?}", other.err())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rows_are_explained_alike_alone_and_together() {
    for name in ["forest_classifier", "columns_by_name", "histograms_categories", "xgb_categories", "lgb_multiclass"] {
        let case = Case::of(name);
        let together = case.explain(&case.all).unwrap();
        for row in 0..case.all.rows {
            let alone = case.explain(&some(&case.all, &[row])).unwrap();
            let size = alone.contributions.len();
            assert_eq!(alone.contributions, together.contributions[row * size..(row + 1) * size], "{name}");
            assert_eq!(alone.base, together.base, "{name}");
        }
    }
}

#[test]
fn columns_in_another_order_are_explained_in_that_of_the_model() {
    for name in ["columns_by_name", "xgb_categories", "lgb_categories"] {
        let case = Case::of(name);
        let mut turned = case.all.clone();
        turned.names.reverse();
        turned.columns.reverse();
        assert_eq!(case.explain(&turned), case.explain(&case.all), "{name}");
    }
}

#[test]
fn what_is_explained_is_said() {
    let of = |name: &str| Case::of(name).explain(&Case::of(name).all).unwrap();
    let forest = of("forest_classifier");
    assert_eq!((forest.space, forest.how), (Space::Probability, How::Trees));
    assert_eq!(forest.outputs, ["bad", "good"]);
    assert_eq!(forest.inputs, ["0", "1", "2", "3"]);
    let boosting = of("boosting_two");
    assert_eq!((boosting.space, &boosting.outputs[..]), (Space::Margin, &["good".to_owned()][..]));
    let columns = of("columns_by_name");
    assert_eq!((columns.space, columns.how), (Space::Margin, How::Linear));
    assert_eq!(columns.inputs, ["age", "height", "town", "size", "note"]);
    assert_eq!(columns.of(0, 0)[3..], [0.0, 0.0], "inputs that are not looked at");
    assert_eq!(of("forest_regressor").space, Space::Value);
    assert_eq!(of("target_scaled").space, Space::Margin);
    assert_eq!(of("xgb_softprob").outputs, ["0", "1", "2"]);
    assert_eq!(of("own_wide").outputs.len(), 10);
}

#[test]
fn missing_and_extreme_numbers_are_explained() {
    for name in
        ["tree_classifier", "histograms_two", "xgb_squarederror", "xgb_codes", "lgb_zero", "lgb_nomissing", "lgb_codes"]
    {
        let model = Case::of(name).model();
        for number in [f64::NAN, 0.0, -1e30, 1e30, 1e-36] {
            let columns = vec![Column::Numbers(vec![number; 2]); model.width()];
            let explained = model.explain(&Frame { names: Vec::new(), columns, rows: 2 }, None).unwrap();
            assert!(sums_apart(&explained) < 1e-5, "{name} {number}");
        }
    }
}

#[test]
fn trees_without_counts_and_linear_models_without_reference_are_refused() {
    let text = String::from_utf8(Case::of("lgb_regression").bytes).unwrap();
    let rows = Case::of("lgb_regression").all;
    let uncounted = read(text.replace("internal_count=", "other=").as_bytes()).unwrap();
    let problem = uncounted.explain(&rows, None).unwrap_err().to_string();
    assert!(problem.contains("how many rows of training"), "{problem}");

    let linear = Case::of("linear");
    let problem = linear.model().explain(&linear.all, None).unwrap_err();
    assert!(matches!(&problem, Problem::Rows(why) if why.contains("reference")), "{problem}");
    let none = some(&linear.all, &[]);
    assert!(linear.model().explain(&linear.all, Some(&none)).is_err());
    assert!(linear.model().explain(&none, Some(&linear.all)).is_err(), "no rows");
    let gaps = Frame { names: Vec::new(), columns: vec![Column::Numbers(vec![f64::NAN]); 4], rows: 1 };
    assert!(matches!(linear.model().explain(&linear.all, Some(&gaps)), Err(Problem::Rows(_))));
}

#[test]
fn more_contributions_than_fit_are_refused() {
    let model = Case::of("own_wide").model();
    let rows = 600_000;
    let columns = vec![Column::Numbers(vec![0.0; rows]); model.width()];
    let problem = model.explain(&Frame { names: Vec::new(), columns, rows }, None).unwrap_err();
    assert!(matches!(&problem, Problem::Rows(why) if why.contains("fewer rows")), "{problem}");
}

fn servable(name: &str) -> Servable {
    Servable::new(name, 3, &MlModel::default(), Case::of(name).model()).unwrap()
}

fn answer(bytes: Result<Vec<u8>, Problem>) -> Value {
    serde_json::from_slice(&bytes.unwrap()).unwrap()
}

#[test]
fn kserve_is_answered() {
    let body = json!({"instances": [[0.1, 0.3, -0.3, -0.9], [1.0, 0.0, 0.0, 2.0]]}).to_string();
    let forest = servable("forest_classifier");
    let said = answer(wire::explain::kserve(body.as_bytes(), &forest));
    assert_eq!(said["predictions"].as_array().unwrap().len(), 2);
    assert_eq!(said["outputs"], json!(["bad", "good"]));
    assert_eq!(said["space"], "probability");
    let first = &said["explanations"][0];
    let sum = flat(&first["base_values"])[1] + flat(&first["values"][1]).iter().sum::<f64>();
    assert!((sum - flat(&first["scores"])[1]).abs() < NEAR, "{first}");

    let linear = servable("linear");
    let without = wire::explain::kserve(body.as_bytes(), &linear).unwrap_err();
    assert!(matches!(without, Problem::Rows(why) if why.contains("reference")));
    let body = json!({"instances": [[1.0, 2.0, 3.0, 4.0]], "reference": [[1.0, 2.0, 3.0, 5.0], [1.0, 2.0, 3.0, 3.0]]});
    let said = answer(wire::explain::kserve(body.to_string().as_bytes(), &linear));
    assert!(flat(&said["explanations"][0]["values"]).iter().all(|value| value.abs() < 1e-12), "{said}");
    assert!(wire::explain::kserve(b"{\"instances\": 1}", &forest).is_err());
    assert!(wire::explain::kserve(b"{\"instances\": []}", &forest).is_err());
}

#[test]
fn seldon_is_answered_as_its_explainers_do() {
    let forest = servable("forest_classifier");
    let body = json!({"data": {"ndarray": [[0.1, 0.3, -0.3, -0.9], [1.0, 0.0, 0.0, 2.0]]}}).to_string();
    let said = answer(wire::explain::seldon(body.as_bytes(), &forest));
    assert_eq!((&said["meta"]["name"], &said["meta"]["task"]), (&json!("TreeShap"), &json!("classification")));
    let values = said["data"]["shap_values"].as_array().unwrap();
    assert_eq!((values.len(), values[0].as_array().unwrap().len(), flat(&values[0][0]).len()), (2, 2, 4));
    assert_eq!(flat(&said["data"]["expected_value"]).len(), 2);
    let linear = servable("linear");
    assert!(wire::explain::seldon(body.as_bytes(), &linear).is_err());
    let body = json!({
        "data": {"ndarray": [[1.0, 2.0, 3.0, 4.0]]},
        "reference": {"data": {"tensor": {"shape": [1, 4], "values": [0.0, 0.0, 0.0, 0.0]}}},
    });
    let said = answer(wire::explain::seldon(body.to_string().as_bytes(), &linear));
    assert_eq!(said["meta"]["name"], "LinearShap");
    assert!(wire::explain::seldon(b"[]", &linear).is_err());
}
