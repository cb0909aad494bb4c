//! `models`: what is registered, which version is in use, who moved it; and models run from their files.

use std::io::Read;

use serde_json::{Value, json};
use serve::{Answer, Column, Frame, Label, Matrix, Model, Problem, read, wire::invocations::table_of_csv};

use crate::{
    args::{Format, Models, Predict},
    client::{self, Client},
    failure::{Failure, Kind, Outcome},
    output,
};

/// Carries out what is asked.
pub async fn run(what: Models) -> Outcome {
    match what {
        Models::Predict(flags) => predict(&flags),
        Models::List { remote, output } => {
            let asked = [("max_results", "1000".to_owned())];
            let found = Client::new(&remote)?.get_with("/api/2.0/mlflow/registered-models/search", &asked).await?;
            let row = |model: &Value| {
                vec![model["name"].clone(), newest(model), aliases(model), model["description"].clone()]
            };
            print(&found, &found["registered_models"], &["model", "newest", "aliases", "description"], row, output);
            Ok(())
        }
        Models::Show { name, remote, output } => {
            let found = Client::new(&remote)?.get(&path_of(&name, "serving")?).await?;
            let row = |version: &Value| {
                let is_used = version["version"] == found["in_use"];
                let counts = &version["counts"];
                let state = match version["reason"].as_str() {
                    Some(reason) => json!(format!("{}: {reason}", version["state"].as_str().unwrap_or_default())),
                    None => version["state"].clone(),
                };
                let used = json!(if is_used { "yes" } else { "" });
                vec![
                    version["version"].clone(),
                    used,
                    state,
                    counts["answered"].clone(),
                    counts["refused"].clone(),
                    counts["mean_ms"].clone(),
                ]
            };
            let columns = ["version", "in use", "state", "answered", "refused", "mean_ms"];
            print(&found, &found["versions"], &columns, row, output);
            Ok(())
        }
        Models::Moves { name, remote, output } => {
            let found = Client::new(&remote)?.get(&path_of(&name, "moves")?).await?;
            let row = |made: &Value| {
                let what = &made["what"];
                let version = [&what["version"], &what["to"], &what["from"]].into_iter().find(|v| v.is_number());
                let place = what["alias"].as_str().or(what["to"].as_str()).unwrap_or_default();
                vec![
                    output::moment(&made["at"]),
                    made["by"].clone(),
                    what["kind"].clone(),
                    json!(version),
                    json!(place),
                    made["after"].clone(),
                ]
            };
            print(&found, &found["moves"], &["at", "by", "what", "version", "place", "in use then"], row, output);
            Ok(())
        }
        Models::Card { name, version, html, remote } => {
            let client = Client::new(&remote)?;
            let version = match version {
                Some(version) => version,
                None => {
                    let found = client.get(&path_of(&name, "serving")?).await?;
                    let in_use = found["in_use"].as_str().map(str::to_owned);
                    in_use.ok_or_else(|| Failure::new(Kind::NotFound, format!("model {name} has no version")))?
                }
            };
            let format = if html { "html" } else { "markdown" };
            let below = format!("versions/{}/card?format={format}", client::segment(&version));
            output::write(&client.get_text(&path_of(&name, &below)?).await?);
            Ok(())
        }
        Models::Promote { name, version, alias, remote } => {
            let said = json!({"name": name, "alias": alias, "version": version.to_string()});
            Client::new(&remote)?.post("/api/2.0/mlflow/registered-models/alias", &said).await?;
            output::write(&format!("{alias} of {} is version {version}\n", output::plain(&name)));
            Ok(())
        }
        Models::Approve { name, version, remote } => {
            let path = path_of(&name, &format!("versions/{version}/approve"))?;
            let answer = Client::new(&remote)?.post(&path, &Value::Null).await?;
            let by = answer["by"].as_str().unwrap_or_default();
            output::write(&format!(
                "version {version} of {}: approved by {}\n",
                output::plain(&name),
                output::plain(by)
            ));
            Ok(())
        }
    }
}

fn path_of(name: &str, below: &str) -> Outcome<String> {
    // Such a path would mean another one.
    if name.is_empty() || name == "." || name == ".." {
        let what = Failure::new(Kind::Usage, format!("not a model's name: {name:?}"));
        return Err(what.hint("`bellwether models list` shows them"));
    }
    Ok(format!("/api/v1/models/{}/{below}", client::segment(name)))
}

/// The number of a model's newest version.
fn newest(model: &Value) -> Value {
    let versions = model["latest_versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let number = |version: &Value| version["version"].as_str().and_then(|v| v.parse::<u64>().ok());
    json!(versions.iter().filter_map(number).max())
}

/// `champion=2 canary=3`
fn aliases(model: &Value) -> Value {
    let all = model["aliases"].as_array().map(Vec::as_slice).unwrap_or_default();
    let one = |alias: &Value| {
        format!("{}={}", alias["alias"].as_str().unwrap_or_default(), alias["version"].as_str().unwrap_or_default())
    };
    json!(all.iter().map(one).collect::<Vec<_>>().join(" "))
}

/// A list as a table, or the whole answer as a document.
fn print(whole: &Value, list: &Value, columns: &[&str], row: impl Fn(&Value) -> Vec<Value>, format: Format) {
    match format {
        Format::Table | Format::Wide => {
            let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
            let rows: Vec<Vec<Value>> = list.iter().map(row).collect();
            output::rows(&columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), &rows, format);
        }
        _ => output::document(whole, format),
    }
}

fn predict(flags: &Predict) -> Outcome {
    let shown = flags.model.display();
    let bytes = std::fs::read(&flags.model)
        .map_err(|error| Failure::new(Kind::NotFound, format!("{shown} cannot be read")).cause(error.to_string()))?;
    let model = read(&bytes).map_err(|problem| {
        let what =
            Failure::new(Kind::Failed, format!("{shown} is no model that can be run")).cause(problem.to_string());
        what.hint("files of skops, XGBoost (UBJSON or JSON), LightGBM (text) and ONNX are run")
    })?;
    let rows = rows(flags)?;
    let wrong = |problem: Problem| Failure::new(Kind::Usage, "the rows cannot be answered").cause(problem.to_string());
    if flags.probabilities {
        let Some(shares) = model.probabilities(&rows).map_err(wrong)? else {
            return Err(
                Failure::new(Kind::Usage, "this model gives no probabilities").hint("leave --probabilities out")
            );
        };
        let names = names(model.as_ref(), shares.columns);
        output::write(&table(&names, &shares));
        return Ok(());
    }
    match model.predict(&rows).map_err(wrong)? {
        Answer::Labels(labels) => {
            let lines: Vec<String> = labels.iter().map(shown_label).collect();
            output::write(&format!("prediction\n{}\n", lines.join("\n")));
        }
        Answer::Numbers(numbers) => {
            let one = || vec!["prediction".to_owned()];
            let names =
                if numbers.columns == 1 { one() } else { (0..numbers.columns).map(|i| i.to_string()).collect() };
            output::write(&table(&names, &numbers));
        }
    }
    Ok(())
}

/// The classes, or numbers where the file does not name them.
fn names(model: &dyn Model, columns: usize) -> Vec<String> {
    match model.classes().filter(|classes| classes.len() == columns) {
        Some(classes) => classes.iter().map(shown_label).collect(),
        None => (0..columns).map(|i| i.to_string()).collect(),
    }
}

fn shown_label(label: &Label) -> String {
    quoted(&label.to_text())
}

/// A cell of CSV.
fn quoted(text: &str) -> String {
    let is_plain = !text.contains([',', '"', '\n', '\r']);
    if is_plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

fn table(names: &[String], numbers: &Matrix) -> String {
    let mut page = names.join(",") + "\n";
    for row in 0..numbers.rows {
        let cells: Vec<String> = numbers.row(row).iter().map(f64::to_string).collect();
        page += &(cells.join(",") + "\n");
    }
    page
}

/// Columns of numbers where every cell is one or empty, else of texts.
fn rows(flags: &Predict) -> Outcome<Frame> {
    let bad = |what: String| Failure::new(Kind::Usage, "the rows cannot be read").cause(what);
    let mut text = Vec::new();
    match flags.rows.as_ref().filter(|path| path.as_os_str() != "-") {
        Some(path) => {
            text = std::fs::read(path).map_err(|error| {
                Failure::new(Kind::NotFound, format!("{} cannot be read", path.display())).cause(error.to_string())
            })?;
        }
        None => {
            std::io::stdin().lock().read_to_end(&mut text).map_err(|error| bad(error.to_string()))?;
        }
    }
    let (names, cells) = table_of_csv(&text).map_err(|error| bad(error.to_string()))?;
    let rows = cells.first().map_or(0, Vec::len);
    let column = |cells: Vec<String>| {
        let number = |cell: &String| match cell.trim() {
            "" => Some(f64::NAN),
            text => text.parse().ok(),
        };
        match cells.iter().map(number).collect() {
            Some(numbers) => Column::Numbers(numbers),
            None => Column::Texts(cells.into_iter().map(|cell| Some(cell).filter(|c| !c.is_empty())).collect()),
        }
    };
    Ok(Frame { names, columns: cells.into_iter().map(column).collect(), rows })
}
