//! Rows as the scripts of the fixtures write them.

use bellwether_serve::{Column, Frame};
use serde_json::Value;

/// The rows of a case: its `columns`, with their `names`.
pub fn frame(said: &Value) -> Frame {
    let names: Vec<String> = serde_json::from_value(said["names"].clone()).unwrap();
    let columns: Vec<Column> = said["columns"].as_array().unwrap().iter().map(column).collect();
    let rows = said["columns"][0].as_array().unwrap().len();
    Frame { names, columns, rows }
}

fn column(said: &Value) -> Column {
    match serde_json::from_value::<Vec<Option<f64>>>(said.clone()) {
        Ok(numbers) => Column::Numbers(numbers.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect()),
        Err(_) => Column::Texts(serde_json::from_value(said.clone()).unwrap()),
    }
}
