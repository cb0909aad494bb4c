//! The file `MLmodel`, in which MLflow says what a model is: YAML as it writes it.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

use crate::Problem;

/// Files of more bytes are not read.
const BYTES_MAX: usize = 4 << 20;
/// Deepest nesting.
const DEPTH: usize = 40;

/// What a model's folder says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MlModel {
    /// The file of the model within the folder, where a library that is known here wrote one.
    pub file: Option<String>,
    /// The library that wrote it.
    pub flavor: Option<String>,
    /// What is asked of it: `predict`, or another method of its library.
    pub method: Option<String>,
    /// The inputs of its signature, as MLflow writes them.
    pub inputs: Option<Value>,
    /// Libraries that the folder names, for messages.
    pub flavors: Vec<String>,
}

/// Flavors that are run here, with the name of the entry that names their file.
const FLAVORS: [(&str, &str); 4] =
    [("sklearn", "pickled_model"), ("xgboost", "data"), ("lightgbm", "data"), ("onnx", "data")];

impl MlModel {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Problem::Damaged`]: it is no YAML as MLflow writes it.
    pub fn read(bytes: &[u8]) -> Result<MlModel, Problem> {
        let page = MlModel::page(bytes)?;
        let flavors = page["flavors"].as_object().cloned().unwrap_or_default();
        let found = FLAVORS.into_iter().find_map(|(flavor, file)| {
            let file = flavors.get(flavor)?.get(file)?.as_str()?;
            Some((flavor.to_owned(), file.to_owned()))
        });
        let method = flavors.get("python_function").and_then(|flavor| flavor["predict_fn"].as_str());
        let inputs = match page["signature"]["inputs"].as_str() {
            None => None,
            Some(inputs) => {
                Some(serde_json::from_str(inputs).map_err(|error| damaged(format!("signature.inputs: {error}")))?)
            }
        };
        let (flavor, file) = found.unzip();
        Ok(MlModel {
            file,
            flavor,
            method: method.map(str::to_owned),
            inputs,
            flavors: flavors.keys().cloned().collect(),
        })
    }

    /// All that the file says, as plain values.
    ///
    /// # Errors
    /// As [`MlModel::read`].
    pub fn page(bytes: &[u8]) -> Result<Value, Problem> {
        if bytes.len() > BYTES_MAX {
            return Err(damaged(format!("it has {} bytes, more than {BYTES_MAX}", bytes.len())));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not UTF-8".into()))?;
        yaml(text).map_err(damaged)
    }
}

fn damaged(what: String) -> Problem {
    Problem::Damaged(format!("MLmodel: {what}"))
}

/// One document as plain values. Scalars without quotes are read as JSON where they are JSON, else as text.
fn yaml(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut whole = Value::Null;
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| format!("line {}: {}", error.marker().line(), error.info()))?;
        let value = match event {
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                None
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(Open::close),
            Event::Scalar(text, style, ..) => Some(scalar(&text, style)),
            Event::Alias(_) => return Err(format!("line {}: aliases are not read", span.start.line())),
            _ => None,
        };
        if open.len() > DEPTH {
            return Err(format!("line {}: nested deeper than {DEPTH} levels", span.start.line()));
        }
        if let Some(value) = value {
            match open.last_mut() {
                Some(open) => open.take(value).map_err(|what| format!("line {}: {what}", span.start.line()))?,
                None => whole = value,
            }
        }
    }
    Ok(whole)
}

/// A list or mapping that is not closed yet.
enum Open {
    List(Vec<Value>),
    /// The entries, and the key that waits for its value.
    Map(Map<String, Value>, Option<String>),
}

impl Open {
    fn take(&mut self, value: Value) -> Result<(), String> {
        match self {
            Open::List(list) => list.push(value),
            Open::Map(map, key) => match key.take() {
                Some(key) => drop(map.insert(key, value)),
                None => match value {
                    Value::String(name) => *key = Some(name),
                    Value::Number(_) | Value::Bool(_) => *key = Some(value.to_string()),
                    _ => return Err("a list or mapping stands where a name is expected".into()),
                },
            },
        }
        Ok(())
    }

    fn close(self) -> Value {
        match self {
            Open::List(list) => Value::Array(list),
            Open::Map(map, _) => Value::Object(map),
        }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match (style, text) {
        (ScalarStyle::Plain, "" | "~") => Value::Null,
        (ScalarStyle::Plain, _) => {
            let read = serde_json::from_str(text).ok().filter(|value: &Value| !value.is_array() && !value.is_object());
            read.unwrap_or_else(|| Value::String(text.to_owned()))
        }
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
artifact_path: model
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    model_path: model.skops
    predict_fn: predict_proba
    python_version: 3.11.2
  sklearn:
    code: null
    pickled_model: model.skops
    serialization_format: skops
    sklearn_version: 1.7.2
mlflow_version: 3.17.2
model_id: m-0123
signature:
  inputs: '[{\"type\": \"double\", \"name\": \"sepal length (cm)\", \"required\": true}]'
  outputs: '[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"int64\", \"shape\": [-1]}}]'
  params: null
utc_time_created: '2026-11-27 10:00:00.000000'
";

    #[test]
    fn what_mlflow_writes_is_read() {
        let model = MlModel::read(PAGE.as_bytes()).unwrap();
        assert_eq!((model.file.as_deref(), model.flavor.as_deref()), (Some("model.skops"), Some("sklearn")));
        assert_eq!(model.method.as_deref(), Some("predict_proba"));
        assert_eq!(model.inputs.unwrap()[0]["name"], "sepal length (cm)");
        assert_eq!(model.flavors, ["python_function", "sklearn"]);
    }

    #[test]
    fn what_is_no_such_file_is_said() {
        for (text, says) in [
            ("a: [", "line"),
            ("a: &x 1\nb: *x\n", "aliases"),
            ("signature:\n  inputs: 'x'\n", "signature.inputs"),
            (&"[".repeat(50), "line"),
        ] {
            let said = MlModel::read(text.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(says), "{text}: {said}");
        }
        assert!(MlModel::read(&[0xff]).is_err());
        assert_eq!(MlModel::read(b"just text").unwrap(), MlModel::default());
    }
}
