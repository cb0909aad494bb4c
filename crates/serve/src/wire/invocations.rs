//! MLflow's scoring protocol, `POST /invocations`: what `mlflow models serve` answers.
//!
//! Source: MLflow's documentation of its inference server.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::json;
use crate::{
    Answer, Column, Extra, Frame, Label, Problem, Schema,
    values::{Cell, Cells, Marks, Seen, Values},
};

/// What a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// `application/json`
    Json,
    /// `text/csv`
    Csv,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    dataframe_split: Option<Split>,
    #[serde(default)]
    dataframe_records: Option<Vec<Map<String, Value>>>,
    #[serde(default)]
    instances: Option<Value>,
    #[serde(default)]
    inputs: Option<Value>,
    #[serde(default)]
    params: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Split {
    #[serde(default)]
    columns: Option<Vec<Value>>,
    data: Values,
}

/// The rows that a body asks about.
///
/// # Errors
/// [`Problem::Request`]: a body that cannot be read; [`Problem::Rows`]: rows that the model does not take.
pub fn rows(content: Content, body: &[u8], schema: &Schema) -> Result<Frame, Problem> {
    match content {
        Content::Csv => schema.columns(csv(body)?, Extra::LeftOut),
        Content::Json => of_json(json::read(body)?, schema),
    }
}

fn of_json(body: Body, schema: &Schema) -> Result<Frame, Problem> {
    let kinds = [
        body.dataframe_split.is_some(),
        body.dataframe_records.is_some(),
        body.instances.is_some(),
        body.inputs.is_some(),
    ];
    if kinds.iter().filter(|is| **is).count() != 1 {
        return Err(Problem::Request(
            "a body has exactly one of dataframe_split, dataframe_records, instances and inputs".into(),
        ));
    }
    if let Some(name) = body.params.unwrap_or_default().keys().next() {
        return Err(Problem::Request(format!("params: the model takes no parameter {name:?}")));
    }
    if let Some(split) = body.dataframe_split {
        return of_split(split, schema);
    }
    if let Some(records) = body.dataframe_records {
        return schema.columns(records_to_columns(records)?, Extra::LeftOut);
    }
    of_tensors(body.instances.or(body.inputs).unwrap_or_default(), schema)
}

/// A table with names of its columns.
fn of_split(split: Split, schema: &Schema) -> Result<Frame, Problem> {
    let values = split.data.with_spelled_numbers();
    let Some(columns) = split.columns else { return schema.rows(values, false) };
    let name = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let names: Vec<String> = columns.into_iter().map(name).collect();
    let is_fitting = match values.shape.as_slice() {
        [_, width] => *width == names.len(),
        [0] => true,
        _ => false,
    };
    if !is_fitting {
        let says = format!("dataframe_split has {} columns, its data shape {:?}", names.len(), values.shape);
        return Err(Problem::Request(says));
    }
    let width = names.len();
    let cells = match values.is_empty() {
        true => vec![Cells::none(); width],
        false => values.into_columns(width)?,
    };
    schema.columns(names.into_iter().zip(cells).collect(), Extra::LeftOut)
}

/// Rows in lists, rows as objects, or an object of columns: `instances` and `inputs` of TensorFlow Serving.
///
/// # Errors
/// As [`rows`].
pub fn of_tensors(value: Value, schema: &Schema) -> Result<Frame, Problem> {
    let wrong = |error: serde_json::Error| Problem::Request(error.to_string());
    match value {
        Value::Object(columns) => {
            if let (Some(name), 1) = (columns.keys().next(), columns.len())
                && !schema.has(name)
            {
                // The one tensor of a model, whatever it is called.
                let table = columns.into_iter().map(|(_, table)| table).next().unwrap_or_default();
                let values = serde_json::from_value::<Values>(table).map_err(wrong)?;
                return schema.rows(values.with_spelled_numbers(), true);
            }
            let column = |(name, value): (String, Value)| Ok((name, one_column(value)?));
            let columns = columns.into_iter().map(column).collect::<Result<Vec<_>, Problem>>()?;
            schema.columns(columns, Extra::LeftOut)
        }
        Value::Array(rows) if rows.first().is_some_and(Value::is_object) => {
            let records = rows.into_iter().map(serde_json::from_value).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
            schema.columns(records_to_columns(records)?, Extra::LeftOut)
        }
        other => schema.rows(serde_json::from_value::<Values>(other).map_err(wrong)?.with_spelled_numbers(), true),
    }
}

fn one_column(value: Value) -> Result<Cells, Problem> {
    let values: Values = serde_json::from_value(value).map_err(|error| Problem::Request(error.to_string()))?;
    let values = values.with_spelled_numbers();
    match values.shape.as_slice() {
        [] | [_] | [_, 1] if !values.is_empty() => Ok(values.into_columns(1)?.remove(0)),
        [0] | [0, _] => Ok(Cells::none()),
        shape => Err(Problem::Rows(format!("a column has shape {shape:?}; it is [rows] or [rows, 1]"))),
    }
}

/// Rows as objects, to columns: those of all rows, in the order in which they first come.
fn records_to_columns(records: Vec<Map<String, Value>>) -> Result<Vec<(String, Cells)>, Problem> {
    let mut names: Vec<String> = Vec::new();
    for record in &records {
        for name in record.keys() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    let none = Value::Null;
    let column = |name: &String| {
        let cells = records.iter().map(|record| cell(name, record.get(name).unwrap_or(&none)));
        Ok((name.clone(), Cells::gather(cells, || format!("column {name:?}"))?))
    };
    names.iter().map(column).collect()
}

fn cell(name: &str, value: &Value) -> Result<Cell, Problem> {
    Ok(match value {
        Value::Null => (f64::NAN, None, Seen::Missing),
        Value::Bool(is) => (f64::from(u8::from(*is)), None, Seen::Bool),
        Value::Number(number) if number.is_f64() => (number.as_f64().unwrap_or(f64::NAN), None, Seen::Number),
        Value::Number(number) => (number.as_f64().unwrap_or(f64::NAN), None, Seen::Whole),
        Value::String(text) => (f64::NAN, Some(text.clone()), Seen::Text),
        other => {
            let shown: String = other.to_string().chars().take(60).collect();
            return Err(Problem::Rows(format!("column {name:?} holds {shown}, which is no single value")));
        }
    })
}

/// A table with a line of names. A column is numbers where every cell is one or empty.
fn csv(body: &[u8]) -> Result<Vec<(String, Cells)>, Problem> {
    let (names, cells) = table_of_csv(body).map_err(|error| Problem::Request(format!("not CSV: {error}")))?;
    Ok(names.into_iter().zip(cells.into_iter().map(column_of_texts)).collect())
}

/// Names and cells, column by column, of CSV with a line of names.
///
/// # Errors
/// What is no such table.
pub fn table_of_csv(body: &[u8]) -> Result<(Vec<String>, Vec<Vec<String>>), csv::Error> {
    let mut reader = csv::Reader::from_reader(body);
    let names: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let mut cells: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    for record in reader.records() {
        cells.iter_mut().zip(&record?).for_each(|(column, cell)| column.push(cell.to_owned()));
    }
    Ok((names, cells))
}

/// A column as CSV has it.
fn column_of_texts(cells: Vec<String>) -> Cells {
    let mut marks = Marks::default();
    let number = |cell: &String| match cell.trim() {
        "" => Some((f64::NAN, Seen::Missing)),
        text => {
            let number: f64 = text.parse().ok()?;
            Some((number, if text.contains(['.', 'e', 'E', 'n', 'N']) { Seen::Number } else { Seen::Whole }))
        }
    };
    let numbers: Option<Vec<(f64, Seen)>> = cells.iter().map(number).collect();
    if let Some(numbers) = numbers {
        numbers.iter().for_each(|(_, seen)| marks.add(*seen));
        return Cells { column: Column::Numbers(numbers.into_iter().map(|(number, _)| number).collect()), marks };
    }
    let is_bool = |cell: &String| matches!(cell.as_str(), "True" | "False" | "true" | "false");
    if cells.iter().all(is_bool) {
        marks.add(Seen::Bool);
        let numbers = cells.iter().map(|cell| f64::from(u8::from(cell.eq_ignore_ascii_case("true")))).collect();
        return Cells { column: Column::Numbers(numbers), marks };
    }
    marks.add(Seen::Text);
    Cells { column: Column::Texts(cells.into_iter().map(|cell| Some(cell).filter(|c| !c.is_empty())).collect()), marks }
}

/// `{"predictions": […]}`
pub fn write(answer: &Answer) -> Vec<u8> {
    let mut out = b"{\"predictions\": ".to_vec();
    push_rows(&mut out, answer);
    out.push(b'}');
    out
}

/// A list with a value a row, or a list a row where it has several. Numbers that JSON lacks are written as Python does.
pub fn push_rows(out: &mut Vec<u8>, answer: &Answer) {
    out.push(b'[');
    for row in 0..answer.rows() {
        if row > 0 {
            out.extend_from_slice(b", ");
        }
        match answer {
            Answer::Labels(labels) => push_label(out, &labels[row]),
            Answer::Numbers(matrix) if matrix.columns == 1 => push_number(out, matrix.values[row]),
            Answer::Numbers(matrix) => {
                out.push(b'[');
                for (at, number) in matrix.row(row).iter().enumerate() {
                    if at > 0 {
                        out.extend_from_slice(b", ");
                    }
                    push_number(out, *number);
                }
                out.push(b']');
            }
        }
    }
    out.push(b']');
}

fn push_label(out: &mut Vec<u8>, label: &Label) {
    match label {
        Label::Float(number) => push_number(out, *number),
        other => {
            // Writing to memory does not fail.
            let _ = serde_json::to_writer(out, &other.to_json());
        }
    }
}

fn push_number(out: &mut Vec<u8>, number: f64) {
    match number {
        n if n.is_nan() => out.extend_from_slice(b"NaN"),
        n if n.is_infinite() => out.extend_from_slice(if n > 0.0 { b"Infinity" } else { b"-Infinity" }),
        _ => drop(serde_json::to_writer(out, &number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Field, Kind, Matrix};

    fn schema() -> Schema {
        let field = |name: &str, kind| Field { name: name.into(), kind, required: true };
        Schema::Columns(vec![field("a", Kind::Double), field("b", Kind::Long)])
    }

    fn read(body: &str) -> Result<Frame, String> {
        rows(Content::Json, body.as_bytes(), &schema()).map_err(|problem| problem.to_string())
    }

    #[test]
    fn all_forms_say_the_same() {
        let wanted = vec![Column::Numbers(vec![1.5, 3.0]), Column::Numbers(vec![2.0, 4.0])];
        for body in [
            r#"{"dataframe_split": {"columns": ["b", "a"], "data": [[2, 1.5], [4, 3]]}}"#,
            r#"{"dataframe_split": {"index": [0, 1], "columns": ["a", "b"], "data": [[1.5, 2], [3, 4]]}}"#,
            r#"{"dataframe_records": [{"a": 1.5, "b": 2}, {"b": 4, "a": 3}], "params": {}}"#,
            r#"{"instances": [{"a": 1.5, "b": 2}, {"b": 4, "a": 3}]}"#,
            r#"{"instances": [[1.5, 2], [3, 4]]}"#,
            r#"{"inputs": {"a": [1.5, 3], "b": [[2], [4]]}}"#,
        ] {
            assert_eq!(read(body).unwrap().columns, wanted, "{body}");
        }
        let csv = rows(Content::Csv, b"b,a,other\n2,1.5,x\n4,3,y\n", &schema()).unwrap();
        assert_eq!(csv.columns, wanted);
        assert_eq!(read(r#"{"dataframe_split": {"columns": ["a", "b"], "data": []}}"#).unwrap().rows, 0);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (body, says) in [
            ("{}", "exactly one of"),
            (r#"{"inputs": [[1, 2]], "instances": [[1, 2]]}"#, "exactly one of"),
            ("[1]", "not JSON as is expected"),
            ("{", "EOF"),
            (r#"{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}"#, "has 1 columns"),
            (r#"{"dataframe_records": [{"a": [1], "b": 2}]}"#, "no single value"),
            (r#"{"dataframe_records": [{"a": 1}]}"#, "missing: \"b\""),
            (r#"{"inputs": {"a": [[1, 2]], "b": [1]}}"#, "a column has shape [1, 2]"),
            (r#"{"instances": [[1, 2, 3]]}"#, "the model takes [rows, 2]"),
            (r#"{"instances": [[1, 2.5]]}"#, "row 0 holds 2.5"),
            (r#"{"instances": [[1, 2]], "params": {"x": 1}}"#, "no parameter \"x\""),
        ] {
            let said = read(body).unwrap_err();
            assert!(said.contains(says), "{body}: {said}");
        }
        assert!(rows(Content::Csv, b"a,b\n1\n", &schema()).is_err());
    }

    #[test]
    fn answers_are_written_as_python_writes() {
        let numbers = Answer::Numbers(Matrix { rows: 2, columns: 2, values: vec![1.0, f64::NAN, 0.5, f64::INFINITY] });
        assert_eq!(write(&numbers), b"{\"predictions\": [[1.0, NaN], [0.5, Infinity]]}");
        let labels = Answer::Labels(vec![Label::Int(1), Label::Text("a\"".into()), Label::Bool(true)]);
        assert_eq!(write(&labels), b"{\"predictions\": [1, \"a\\\"\", true]}");
    }
}
