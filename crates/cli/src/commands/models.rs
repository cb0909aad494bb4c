//! `models`: models of other libraries, run from their files.

use std::io::Read;

use serve::{Answer, Column, Frame, Label, Matrix, Model, Problem, read};

use crate::{
    args::{Models, Predict},
    failure::{Failure, Kind, Outcome},
    output,
};

/// Carries out what is asked.
pub fn run(what: Models) -> Outcome {
    match what {
        Models::Predict(flags) => predict(&flags),
    }
}

fn predict(flags: &Predict) -> Outcome {
    let shown = flags.model.display();
    let bytes = std::fs::read(&flags.model)
        .map_err(|error| Failure::new(Kind::NotFound, format!("{shown} cannot be read")).cause(error.to_string()))?;
    let model = read(&bytes).map_err(|problem| {
        let what =
            Failure::new(Kind::Failed, format!("{shown} is no model that can be run")).cause(problem.to_string());
        what.hint("files of skops, XGBoost (UBJSON or JSON) and LightGBM (text) are run")
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
    match label {
        Label::Int(number) => number.to_string(),
        Label::Float(number) => number.to_string(),
        Label::Bool(yes) => yes.to_string(),
        Label::Text(text) => quoted(text),
    }
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
    let mut reader = csv::Reader::from_reader(&text[..]);
    let names: Vec<String> =
        reader.headers().map_err(|error| bad(error.to_string()))?.iter().map(str::to_owned).collect();
    let mut cells: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    for record in reader.records() {
        let record = record.map_err(|error| bad(error.to_string()))?;
        cells.iter_mut().zip(&record).for_each(|(column, cell)| column.push(cell.to_owned()));
    }
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
