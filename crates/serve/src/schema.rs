//! What a model takes, as its signature says, or else its file; and rows held against it.

use serde_json::Value;

use crate::{
    Column, Frame, Model, Problem,
    values::{Cells, Seen, Values},
};

/// What a column holds. Names are those of MLflow's signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no.
    Boolean,
    /// Whole numbers of 32 bits.
    Integer,
    /// Whole numbers of 64 bits.
    Long,
    /// Numbers of 32 bits.
    Float,
    /// Numbers of 64 bits.
    Double,
    /// Texts.
    Text,
    /// Numbers or texts: nobody said.
    Any,
}

/// A column that a model takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether rows must have it.
    pub required: bool,
}

/// What a model takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// Columns with names.
    Columns(Vec<Field>),
    /// So many numbers a row, without names.
    Matrix {
        /// How many.
        width: usize,
        /// Of which kind.
        kind: Kind,
    },
}

/// What is done with columns that a model does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// They are left out, as MLflow does.
    LeftOut,
    /// They are refused, as Triton does.
    Refused,
}

impl Kind {
    /// Its name in a signature of columns.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::Integer => "integer",
            Kind::Long => "long",
            Kind::Float => "float",
            Kind::Double => "double",
            Kind::Text => "string",
            Kind::Any => "any",
        }
    }

    /// The kind that a signature of columns names; of those not run here `None`.
    fn of_column(name: &str) -> Option<Kind> {
        [Kind::Boolean, Kind::Integer, Kind::Long, Kind::Float, Kind::Double, Kind::Text, Kind::Any]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// The kind that NumPy's name of a type is.
    fn of_numpy(name: &str) -> Option<Kind> {
        match name {
            "bool" => Some(Kind::Boolean),
            "int8" | "int16" | "int32" | "uint8" | "uint16" => Some(Kind::Integer),
            "int64" | "uint32" | "uint64" => Some(Kind::Long),
            "float16" | "float32" => Some(Kind::Float),
            "float64" => Some(Kind::Double),
            "str" | "object" => Some(Kind::Text),
            _ => None,
        }
    }

    fn is_whole(self) -> bool {
        matches!(self, Kind::Integer | Kind::Long)
    }
}

impl Schema {
    /// The inputs of a signature as MLflow writes them: a list of columns, or one tensor.
    ///
    /// # Errors
    /// [`Problem::Unsupported`]: kinds that no model here takes.
    pub fn of_signature(inputs: &Value, width: usize) -> Result<Schema, Problem> {
        let fields = inputs.as_array().ok_or_else(|| Problem::Damaged("the signature is no list".into()))?;
        if let [only] = fields.as_slice()
            && only["type"] == "tensor"
        {
            let spec = &only["tensor-spec"];
            let dtype = spec["dtype"].as_str().unwrap_or_default();
            let kind = Kind::of_numpy(dtype)
                .ok_or_else(|| Problem::Unsupported(format!("a signature with a tensor of {dtype}")))?;
            let last = spec["shape"].as_array().and_then(|shape| shape.last()?.as_i64()).unwrap_or(-1);
            if last >= 0 && last as usize != width {
                let says = format!("its signature says {last} inputs, its file {width}");
                return Err(Problem::Damaged(says));
            }
            return Ok(Schema::Matrix { width, kind });
        }
        fields.iter().enumerate().map(|(at, field)| column(at, field)).collect::<Result<_, _>>().map(Schema::Columns)
    }

    /// What a model without a signature takes: what its file says.
    pub fn of_model(model: &dyn Model) -> Schema {
        match model.inputs() {
            None => Schema::Matrix { width: model.width(), kind: model.kind(0) },
            Some(names) => {
                let field =
                    |(at, name): (usize, &String)| Field { name: name.clone(), kind: model.kind(at), required: true };
                Schema::Columns(names.iter().enumerate().map(field).collect())
            }
        }
    }

    /// How many columns there are.
    pub fn width(&self) -> usize {
        match self {
            Schema::Columns(fields) => fields.len(),
            Schema::Matrix { width, .. } => *width,
        }
    }

    /// Whether a column of this name is taken.
    pub fn has(&self, name: &str) -> bool {
        matches!(self, Schema::Columns(fields) if fields.iter().any(|field| field.name == name))
    }

    /// Rows of a block of cells, its columns in the order of the schema: `[rows, width]`, or `[width]` for one row
    /// where `one_row` allows it.
    ///
    /// # Errors
    /// [`Problem::Rows`]: another shape, or cells of another kind.
    pub fn rows(&self, values: Values, one_row: bool) -> Result<Frame, Problem> {
        let width = self.width();
        let shape = values.shape.clone();
        let rows = match shape.as_slice() {
            [rows, columns] if *columns == width => *rows,
            [rows] if width == 1 => *rows,
            [columns] if one_row && *columns == width => 1,
            [rows, rest @ ..] if rest.iter().product::<usize>() == width && !rest.is_empty() => *rows,
            [0, ..] => 0,
            _ => {
                let says = format!("the shape is {shape:?}, and the model takes [rows, {width}]");
                return Err(Problem::Rows(says));
            }
        };
        let columns = match rows {
            0 => vec![Cells::none(); width],
            _ => values.into_columns(width)?,
        };
        let checked = columns.into_iter().enumerate().map(|(at, cells)| self.check(at, cells));
        Ok(Frame { names: self.names(), columns: checked.collect::<Result<_, _>>()?, rows })
    }

    /// Rows of columns with names, in any order.
    ///
    /// # Errors
    /// [`Problem::Rows`]: columns that are missing, of other lengths, of another kind, or not known.
    pub fn columns(&self, given: Vec<(String, Cells)>, extra: Extra) -> Result<Frame, Problem> {
        let Schema::Columns(fields) = self else { return self.unnamed(given) };
        let rows = rows_of(&given)?;
        let mut given: Vec<(String, Option<Cells>)> =
            given.into_iter().map(|(name, cells)| (name, Some(cells))).collect();
        let mut columns = Vec::with_capacity(fields.len());
        let mut missing = Vec::new();
        for (at, field) in fields.iter().enumerate() {
            // Columns mostly come in the model's order.
            let place = match given.get(at) {
                Some((name, _)) if *name == field.name => Some(at),
                _ => given.iter().position(|(name, _)| *name == field.name),
            };
            match place.and_then(|place| given[place].1.take()) {
                Some(cells) => columns.push(self.check(at, cells)?),
                None if field.required => missing.push(field.name.as_str()),
                None => columns.push(absent(field.kind, rows)),
            }
        }
        if !missing.is_empty() {
            let known = given.iter().map(|(name, _)| name.as_str());
            return Err(Problem::Rows(format!(
                "the model takes columns that are missing: {}; given are: {}",
                listed(missing.into_iter()),
                listed(known)
            )));
        }
        let left = given.iter().find(|(_, cells)| cells.is_some());
        if let (Extra::Refused, Some((name, _))) = (extra, left) {
            let known = listed(fields.iter().map(|field| field.name.as_str()));
            return Err(Problem::Rows(format!("the model takes no input {name:?}; it takes: {known}")));
        }
        Ok(Frame { names: self.names(), columns, rows })
    }

    /// Columns for a model whose inputs have no names: as many as it takes, in their order.
    fn unnamed(&self, given: Vec<(String, Cells)>) -> Result<Frame, Problem> {
        if given.len() != self.width() {
            let says = format!("the model takes {} inputs and is given {} columns", self.width(), given.len());
            return Err(Problem::Rows(says));
        }
        let rows = rows_of(&given)?;
        let checked = given.into_iter().enumerate().map(|(at, (_, cells))| self.check(at, cells));
        Ok(Frame { names: Vec::new(), columns: checked.collect::<Result<_, _>>()?, rows })
    }

    fn names(&self) -> Vec<String> {
        match self {
            Schema::Columns(fields) => fields.iter().map(|field| field.name.clone()).collect(),
            Schema::Matrix { .. } => Vec::new(),
        }
    }

    fn check(&self, at: usize, cells: Cells) -> Result<Column, Problem> {
        let (name, kind, required) = match self {
            Schema::Columns(fields) => (Some(fields[at].name.as_str()), fields[at].kind, fields[at].required),
            Schema::Matrix { kind, .. } => (None, *kind, true),
        };
        let what = || name.map_or_else(|| format!("input {at}"), |name| format!("column {name:?}"));
        check(&cells, kind, required)
            .map_err(|wrong| Problem::Rows(format!("{} takes {} ({}): {wrong}", what(), takes(kind), kind.name())))?;
        Ok(cells.column)
    }
}

impl Cells {
    /// How many rows.
    pub fn len(&self) -> usize {
        match &self.column {
            Column::Numbers(numbers) => numbers.len(),
            Column::Texts(texts) => texts.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How many rows all columns have.
fn rows_of(given: &[(String, Cells)]) -> Result<usize, Problem> {
    let rows = given.first().map_or(0, |(_, cells)| cells.len());
    match given.iter().find(|(_, cells)| cells.len() != rows) {
        None => Ok(rows),
        Some((name, cells)) => {
            Err(Problem::Rows(format!("column {name:?} has {} rows, others have {rows}", cells.len())))
        }
    }
}

fn column(at: usize, field: &Value) -> Result<Field, Problem> {
    let name = field["name"].as_str().map_or_else(|| at.to_string(), str::to_owned);
    let said = field["type"].as_str().unwrap_or_default();
    let kind = Kind::of_column(said)
        .or_else(|| of_single(field))
        .ok_or_else(|| Problem::Unsupported(format!("a signature whose column {name:?} is of type {said:?}")))?;
    Ok(Field { name, kind, required: field["required"].as_bool().unwrap_or(true) })
}

/// The kind of a tensor of one column: graphs of ONNX take several such.
fn of_single(field: &Value) -> Option<Kind> {
    let spec = field.get("tensor-spec")?;
    let lengths = spec["shape"].as_array()?.iter().skip(1);
    lengths.map(Value::as_i64).all(|length| length == Some(1)).then(|| Kind::of_numpy(spec["dtype"].as_str()?))?
}

/// A column that may be left out, and was.
fn absent(kind: Kind, rows: usize) -> Column {
    match kind {
        Kind::Text => Column::Texts(vec![None; rows]),
        _ => Column::Numbers(vec![f64::NAN; rows]),
    }
}

fn takes(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "true and false",
        Kind::Integer | Kind::Long => "whole numbers",
        Kind::Float | Kind::Double => "numbers",
        Kind::Text => "texts",
        Kind::Any => "anything",
    }
}

fn check(cells: &Cells, kind: Kind, required: bool) -> Result<(), String> {
    let marks = cells.marks;
    let is_text = marks.has(Seen::Text);
    match kind {
        Kind::Any => return Ok(()),
        Kind::Text if marks.only(&[Seen::Text, Seen::Missing]) => return Ok(()),
        Kind::Text => return Err("it holds numbers".into()),
        _ if is_text => return Err("it holds texts".into()),
        Kind::Boolean if marks.only(&[Seen::Bool]) => return Ok(()),
        Kind::Boolean => return Err("it holds other values".into()),
        _ if marks.has(Seen::Bool) => return Err("it holds true or false".into()),
        _ => {}
    }
    let Column::Numbers(numbers) = &cells.column else { return Ok(()) };
    if kind.is_whole() {
        let wrong = |number: &f64| match kind {
            Kind::Integer => number.fract() != 0.0 || number.abs() > f64::from(u32::MAX),
            _ => number.fract() != 0.0 || number.is_infinite(),
        };
        let bad = numbers.iter().position(|number| if number.is_nan() { required } else { wrong(number) });
        if let Some(row) = bad {
            let number = numbers[row];
            let shown = if number.is_nan() { "nothing".to_owned() } else { number.to_string() };
            return Err(format!("row {row} holds {shown}"));
        }
    }
    Ok(())
}

/// Names in quotes, the first of many.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
    match names.len() {
        0 => "none".into(),
        count if count > SHOWN => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        let inputs = serde_json::json!([
            {"type": "long", "name": "age", "required": true},
            {"type": "double", "name": "pay", "required": true},
            {"type": "string", "name": "city", "required": false},
        ]);
        Schema::of_signature(&inputs, 3).unwrap()
    }

    fn cells(json: &str) -> Cells {
        serde_json::from_str::<Values>(json).unwrap().into_columns(1).unwrap().remove(0)
    }

    fn given(columns: &[(&str, &str)]) -> Vec<(String, Cells)> {
        columns.iter().map(|(name, json)| ((*name).to_owned(), cells(json))).collect()
    }

    #[test]
    fn columns_come_in_any_order_and_some_may_be_missing() {
        let all = given(&[("pay", "[1.5, 2]"), ("other", "[0, 0]"), ("age", "[30, 40.0]")]);
        let frame = schema().columns(all.clone(), Extra::LeftOut).unwrap();
        assert_eq!(frame.names, ["age", "pay", "city"]);
        assert_eq!(frame.columns[0], Column::Numbers(vec![30.0, 40.0]));
        assert_eq!(frame.columns[2], Column::Texts(vec![None, None]));
        let said = schema().columns(all, Extra::Refused).unwrap_err().to_string();
        assert!(said.contains("takes no input \"other\""), "{said}");
    }

    #[test]
    fn several_tensors_of_one_column_are_columns() {
        let tensor = |name: &str, dtype: &str, shape: &[i64]| serde_json::json!({"type": "tensor", "name": name, "tensor-spec": {"dtype": dtype, "shape": shape}});
        let inputs = serde_json::json!([tensor("age", "int64", &[-1, 1]), tensor("town", "str", &[-1])]);
        let Schema::Columns(fields) = Schema::of_signature(&inputs, 2).unwrap() else { panic!("a matrix") };
        assert_eq!((fields[0].kind, fields[1].kind), (Kind::Long, Kind::Text));
        let inputs = serde_json::json!([tensor("a", "int64", &[-1, 2]), tensor("b", "int64", &[-1, 1])]);
        assert!(matches!(Schema::of_signature(&inputs, 3), Err(Problem::Unsupported(_))));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (columns, says) in [
            (&[("pay", "[1]")][..], "missing: \"age\"; given are: \"pay\""),
            (&[("age", "[1.5]"), ("pay", "[1]")], "column \"age\" takes whole numbers (long): row 0 holds 1.5"),
            (&[("age", "[1]"), ("pay", "[\"x\"]")], "column \"pay\" takes numbers (double): it holds texts"),
            (&[("age", "[null]"), ("pay", "[1]")], "row 0 holds nothing"),
            (&[("age", "[true]"), ("pay", "[1]")], "true or false"),
            (&[("age", "[1]"), ("pay", "[1]"), ("city", "[7]")], "takes texts (string): it holds numbers"),
            (&[("age", "[1]"), ("pay", "[1, 2]")], "column \"pay\" has 2 rows, others have 1"),
        ] {
            let said = schema().columns(given(columns), Extra::LeftOut).unwrap_err().to_string();
            assert!(said.contains(says), "{columns:?}: {said}");
        }
    }

    #[test]
    fn blocks_are_rows() {
        let matrix = Schema::Matrix { width: 2, kind: Kind::Double };
        let values = |json: &str| serde_json::from_str::<Values>(json).unwrap();
        assert_eq!(matrix.rows(values("[[1,2],[3,4]]"), false).unwrap().rows, 2);
        assert_eq!(matrix.rows(values("[1,2]"), true).unwrap().rows, 1);
        assert_eq!(matrix.rows(values("[]"), false).unwrap().rows, 0);
        assert_eq!(matrix.rows(values("[[[1],[2]]]"), false).unwrap().rows, 1);
        for bad in ["[1,2]", "[[1,2,3]]", "1", "[[\"a\",\"b\"]]"] {
            assert!(matrix.rows(values(bad), false).is_err(), "{bad}");
        }
    }

    #[test]
    fn signatures_of_tensors_and_unknown_kinds() {
        let tensor = |dtype: &str, last: i64| {
            let inputs = serde_json::json!([{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, last]}}]);
            Schema::of_signature(&inputs, 4)
        };
        assert_eq!(tensor("float64", 4).unwrap(), Schema::Matrix { width: 4, kind: Kind::Double });
        assert_eq!(tensor("int64", -1).unwrap(), Schema::Matrix { width: 4, kind: Kind::Long });
        assert!(tensor("float64", 5).is_err() && tensor("complex64", 4).is_err());
        let dates = serde_json::json!([{"type": "datetime", "name": "when"}]);
        assert!(Schema::of_signature(&dates, 1).unwrap_err().to_string().contains("datetime"));
    }
}
