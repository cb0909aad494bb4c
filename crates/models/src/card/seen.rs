//! What the book does not know of a version, and the caller fills in: what its files say and what was seen of it live.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    artifacts::{ArtifactPath, Tree},
    book::Pairs,
};

/// What was seen. Whatever is left out is said to be missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    /// When the caller looked, ms.
    pub at: i64,
    /// What its `MLmodel` says; `None`: not read. Then the run is asked, where old clients wrote it.
    pub stated: Option<Stated>,
    /// Its files; `None`: not looked up, or they lie elsewhere.
    pub files: Option<Vec<FileSeen>>,
    /// What it answered; `None`: not looked up.
    pub answers: Option<Answers>,
    /// How well it does in use.
    pub performance: Vec<Performance>,
    /// How often groups of people get the answer that they hope for.
    pub groups: Vec<GroupSeen>,
    /// How far its inputs are from those of its beginning.
    pub drift: Vec<Drift>,
    /// What analyses said of it.
    pub findings: Vec<FindingSeen>,
}

/// What a model's own files say of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stated {
    /// Kinds of model as which it can be read: `sklearn`, `python_function` …
    pub flavors: Vec<String>,
    /// Versions of what made it: `sklearn` → `1.7.2`.
    pub libraries: Pairs,
    /// How it is written, where that is said: `skops`, `pickle`, `cloudpickle` …
    pub serialization: Option<String>,
    /// Inputs, outputs and parameters of its signature, as MLflow writes them.
    pub inputs: Option<Value>,
    /// See `inputs`.
    pub outputs: Option<Value>,
    /// See `inputs`.
    pub params: Option<Value>,
}

impl Stated {
    /// Takes in an `MLmodel`, as JSON. What is not as MLflow writes it is passed over.
    pub fn of_mlmodel(page: &Value) -> Stated {
        let mut stated = Stated::default();
        for (flavor, entries) in page["flavors"].as_object().into_iter().flatten() {
            stated.flavors.push(flavor.clone());
            for (key, value) in entries.as_object().into_iter().flatten() {
                let (Some(library), Some(version)) = (key.strip_suffix("_version"), value.as_str()) else { continue };
                stated.libraries.insert(library.to_owned(), version.to_owned());
            }
            let serialization = entries["serialization_format"].as_str().map(str::to_owned);
            stated.serialization = stated.serialization.or(serialization);
        }
        stated.flavors.sort();
        if let Some(version) = page["mlflow_version"].as_str() {
            stated.libraries.insert("mlflow".into(), version.to_owned());
        }
        // The parts of a signature are JSON within a text.
        let part = |name: &str| match &page["signature"][name] {
            Value::String(text) => serde_json::from_str(text).ok().filter(|value: &Value| !value.is_null()),
            Value::Null => None,
            value => Some(value.clone()),
        };
        (stated.inputs, stated.outputs, stated.params) = (part("inputs"), part("outputs"), part("params"));
        stated
    }
}

/// A file of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSeen {
    /// Where it is within the folder.
    pub path: String,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

impl FileSeen {
    /// The files of a folder.
    pub fn of_folder(tree: &Tree, folder: &ArtifactPath) -> Vec<FileSeen> {
        let of = |path: &ArtifactPath| {
            let within = path.as_str().strip_prefix(folder.as_str()).map(|rest| rest.trim_start_matches('/'));
            within.filter(|rest| !rest.is_empty()).unwrap_or(path.file_name()).to_owned()
        };
        let files = tree.under(folder);
        files
            .map(|(path, entry)| FileSeen {
                path: of(path),
                sha256: entry.blob.digest.to_string(),
                bytes: entry.blob.bytes,
            })
            .collect()
    }
}

/// What a version answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answers {
    /// Since when that is counted, ms.
    pub since: Option<i64>,
    /// Rows that it answered.
    pub rows: u64,
    /// Requests, and those of them that were refused.
    pub requests: Option<u64>,
    /// See `requests`.
    pub refused: Option<u64>,
    /// How long requests took: half of them, and 99 of 100, were faster.
    pub latency_ms_p50: Option<f64>,
    /// See `latency_ms_p50`.
    pub latency_ms_p99: Option<f64>,
}

/// How well a version does in use, by a metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Performance {
    /// Of what: `accuracy`, `error` …
    pub metric: String,
    /// Its value, with the ends of its 95 % interval where there is one.
    pub value: f64,
    /// See `value`.
    pub low: Option<f64>,
    /// See `value`.
    pub high: Option<f64>,
    /// Rows that it rests on.
    pub rows: u64,
    /// Whether it is estimated without labels.
    pub estimated: bool,
}

/// How often a group of people gets the answer that they hope for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupSeen {
    /// The column by which groups are told apart.
    pub column: String,
    /// Which group.
    pub group: String,
    /// Rows of it.
    pub rows: u64,
    /// The share of rows with the favourable answer, 0..=1, with the ends of its 95 % interval where there is one.
    pub favourable: f64,
    /// See `favourable`.
    pub low: Option<f64>,
    /// See `favourable`.
    pub high: Option<f64>,
}

/// How far a column is from what it was at the beginning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Drift {
    /// Which.
    pub column: String,
    /// Hellinger distance beyond chance, 0..=1.
    pub distance: f64,
    /// Whether that is more than trifling.
    pub drifted: bool,
}

/// What an analysis said of the version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FindingSeen {
    /// What was measured: `model_errors` …
    pub measure: String,
    /// Of which part, such as a column; empty: of the whole.
    pub scope: String,
    /// In a sentence.
    pub summary: String,
    /// Whether it goes on.
    pub ongoing: bool,
    /// When it began, ms.
    pub start: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::{Blob, Digest, Entry};
    use serde_json::json;

    #[test]
    fn an_mlmodel_says_flavours_libraries_and_signature() {
        let stated = Stated::of_mlmodel(&json!({
            "flavors": {
                "python_function": {"python_version": "3.11.2", "model_path": "model.pkl"},
                "sklearn": {"sklearn_version": "1.7.2", "serialization_format": "cloudpickle"}
            },
            "mlflow_version": "3.17.2",
            "signature": {"inputs": "[{\"name\": \"a\", \"type\": \"double\"}]", "outputs": "broken", "params": "null"}
        }));
        assert_eq!(stated.flavors, ["python_function", "sklearn"]);
        let libraries: Vec<_> = stated.libraries.iter().map(|(name, version)| format!("{name} {version}")).collect();
        assert_eq!(libraries, ["mlflow 3.17.2", "python 3.11.2", "sklearn 1.7.2"]);
        assert_eq!(stated.serialization.as_deref(), Some("cloudpickle"));
        assert_eq!(stated.inputs.unwrap()[0]["name"], "a");
        assert_eq!((stated.outputs, stated.params), (None, None));
        assert_eq!(Stated::of_mlmodel(&json!([1])), Stated::default());
    }

    #[test]
    fn files_are_named_within_their_folder() {
        let mut tree = Tree::default();
        for path in ["0/r/m/MLmodel", "0/r/m/data/x", "0/r/other"] {
            let entry = Entry { blob: Blob { digest: Digest([7; 32]), bytes: 3 }, modified_ms: 1 };
            tree.put(ArtifactPath::parse(path).unwrap(), entry).unwrap();
        }
        let files = |folder| FileSeen::of_folder(&tree, &ArtifactPath::parse(folder).unwrap());
        let names: Vec<String> = files("0/r/m").into_iter().map(|file| file.path).collect();
        assert_eq!(names, ["MLmodel", "data/x"]);
        assert_eq!(files("0/r/other")[0].path, "other");
        assert_eq!(files("0/r/other")[0].sha256, "07".repeat(32));
    }
}
