//! Encoders of categories: one column for each, or a number for each.

use std::collections::HashMap;

use super::node::Node;
use super::npy::Data;
use super::object::{Thing, Value};
use super::table::{Body, Cells, Table};
use crate::{Matrix, Problem};

/// An encoder.
#[derive(Debug)]
pub(super) struct Encoder {
    who: String,
    /// How many columns it answers.
    out: usize,
    inputs: Vec<Codes>,
}

/// What becomes of the values of an input.
#[derive(Debug)]
struct Codes {
    /// The first of its columns.
    start: usize,
    texts: HashMap<String, Code>,
    /// By their bits; -0 is 0.
    numbers: HashMap<u64, Code>,
    missing: Option<Code>,
    /// Of a value that is none of the categories; `None`: it is an error.
    unknown: Option<Code>,
}

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Code {
    /// A one in this of its columns.
    One(usize),
    /// Only zeros.
    Zeros,
    /// This number.
    Number(f64),
}

impl Encoder {
    pub(super) fn read(thing: Thing<'_>) -> Result<Encoder, Problem> {
        let categories = thing.list("categories_")?;
        let one_hot = thing.class() == "OneHotEncoder";
        let mut encoder = Encoder { who: thing.class().to_owned(), out: 0, inputs: Vec::new() };
        for (input, node) in categories.iter().enumerate() {
            let values = thing.values(node, "categories_")?;
            let groups = read_groups(thing, input, &values)?;
            let (codes, width) = match one_hot {
                true => one_hot_codes(thing, input, &groups)?,
                false => ordinal_codes(thing, input, &groups)?,
            };
            let unknown = match (thing.text("handle_unknown"), one_hot) {
                (Some("error"), _) => None,
                (Some("ignore"), true) => Some(Code::Zeros),
                (Some("infrequent_if_exist" | "warn"), true) => {
                    let rare = groups.rare.and_then(|rare| codes.get(rare).copied());
                    Some(rare.unwrap_or(Code::Zeros))
                }
                (Some("use_encoded_value"), false) => Some(Code::Number(thing.number("unknown_value")?)),
                _ => return Err(thing.unsupported("handle_unknown")),
            };
            encoder.inputs.push(Codes::new(encoder.out, &values, &codes, unknown));
            encoder.out += width;
        }
        Ok(encoder)
    }

    pub(super) fn who(&self) -> &str {
        &self.who
    }

    /// How many columns it takes.
    pub(super) fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// How many columns it answers.
    pub(super) fn out(&self) -> usize {
        self.out
    }

    /// The input that each of the columns it answers is made of.
    pub(super) fn owners(&self) -> impl Iterator<Item = usize> + '_ {
        let end = |input: usize| self.inputs.get(input + 1).map_or(self.out, |next| next.start);
        (0..self.inputs.len()).flat_map(move |input| (self.inputs[input].start..end(input)).map(move |_| input))
    }

    pub(super) fn apply<'a>(&self, table: Table<'a>) -> Result<Table<'a>, Problem> {
        table.check_width(&self.who, self.inputs.len())?;
        let mut matrix = Matrix { rows: table.rows, columns: self.out, values: vec![0.0; table.rows * self.out] };
        for (input, codes) in self.inputs.iter().enumerate() {
            let unknown = |row: usize, value: String| {
                let row = table.first + row;
                Problem::Rows(format!("input {input} of {} is {value} in row {row}, which is no category", self.who))
            };
            match &table.body {
                Body::Numbers(numbers) => {
                    for row in 0..table.rows {
                        let value = numbers.row(row)[input];
                        let code = codes.of_number(value).ok_or_else(|| unknown(row, value.to_string()))?;
                        codes.put(code, &mut matrix, row);
                    }
                }
                Body::Columns(columns) => match &columns[input] {
                    Cells::Numbers(numbers) => {
                        for (row, value) in numbers.iter().enumerate() {
                            let code = codes.of_number(*value).ok_or_else(|| unknown(row, value.to_string()))?;
                            codes.put(code, &mut matrix, row);
                        }
                    }
                    Cells::Texts(texts) => {
                        for (row, value) in texts.iter().enumerate() {
                            let code = codes.of_text(value.as_deref());
                            codes.put(code.ok_or_else(|| unknown(row, format!("{value:?}")))?, &mut matrix, row);
                        }
                    }
                },
            }
        }
        Ok(Table::numbers(table.first, matrix))
    }
}

impl Codes {
    fn new(start: usize, values: &[Value], codes: &[Code], unknown: Option<Code>) -> Codes {
        let mut all = Codes { start, texts: HashMap::new(), numbers: HashMap::new(), missing: None, unknown };
        for (value, code) in values.iter().zip(codes) {
            match value {
                Value::Text(text) => {
                    all.texts.insert(text.clone(), *code);
                }
                Value::Number(number) => {
                    all.numbers.insert((number + 0.0).to_bits(), *code);
                }
                Value::Missing => all.missing = Some(*code),
            }
        }
        all
    }

    fn of_number(&self, value: f64) -> Option<Code> {
        let known = match value.is_nan() {
            true => self.missing,
            false => self.numbers.get(&(value + 0.0).to_bits()).copied(),
        };
        known.or(self.unknown)
    }

    fn of_text(&self, value: Option<&str>) -> Option<Code> {
        let known = match value {
            None => self.missing,
            Some(text) => self.texts.get(text).copied(),
        };
        known.or(self.unknown)
    }

    fn put(&self, code: Code, matrix: &mut Matrix, row: usize) {
        let start = row * matrix.columns + self.start;
        match code {
            Code::One(column) => matrix.values[start + column] = 1.0,
            Code::Zeros => {}
            Code::Number(number) => matrix.values[start] = number,
        }
    }
}

/// Categories after the rare ones are put together.
struct Groups {
    /// The group of each category, in their order.
    of: Vec<usize>,
    count: usize,
    /// A category that is rare.
    rare: Option<usize>,
}

fn read_groups(thing: Thing<'_>, input: usize, values: &[Value]) -> Result<Groups, Problem> {
    let plain = Groups { of: (0..values.len()).collect(), count: values.len(), rare: None };
    if !thing.flag("_infrequent_enabled", false)? {
        return Ok(plain);
    }
    let wrong = || thing.wrong("_default_to_infrequent_mappings", "does not fit the categories");
    let mapping = match thing.list("_default_to_infrequent_mappings")?.get(input).ok_or_else(wrong)? {
        Node::Null => return Ok(plain),
        node => thing.array_of(node, "_default_to_infrequent_mappings")?,
    };
    let Data::Ints(mapping) = mapping.data else { return Err(wrong()) };
    let mut of: Vec<usize> =
        mapping.iter().map(|group| usize::try_from(*group).ok()).collect::<Option<_>>().ok_or_else(wrong)?;
    let count = of.iter().max().map_or(0, |last| last + 1);
    if count > values.len() || of.len() > values.len() || of.len() + 1 < values.len() {
        return Err(wrong());
    }
    let rare = of.iter().position(|group| *group + 1 == count);
    // Of an ordinal encoder a missing value, which is the last category, is no part of the mapping.
    of.resize(values.len(), count);
    Ok(Groups { of, count, rare })
}

/// What becomes of the categories, and how many columns they have.
fn one_hot_codes(thing: Thing<'_>, input: usize, groups: &Groups) -> Result<(Vec<Code>, usize), Problem> {
    let wrong = || thing.wrong("drop_idx_", "does not fit the categories");
    let dropped = match thing.get("_drop_idx_after_grouping") {
        None => None,
        Some(Node::Objects(objects)) => match objects.1.get(input) {
            Some(Node::Null) => None,
            Some(Node::Int(at)) => Some(usize::try_from(*at).map_err(|_| wrong())?),
            Some(node @ Node::Array(_)) => {
                let at = thing.matrix_of(node, "drop_idx_")?.values.first().copied().ok_or_else(wrong)?;
                Some(at as usize)
            }
            _ => return Err(wrong()),
        },
        Some(node) => {
            let places = thing.matrix_of(node, "drop_idx_")?.values;
            Some(places.get(input).copied().ok_or_else(wrong)? as usize)
        }
    };
    if dropped.is_some_and(|dropped| dropped >= groups.count) {
        return Err(wrong());
    }
    let code = |group: &usize| match dropped {
        Some(dropped) if *group == dropped => Code::Zeros,
        Some(dropped) if *group > dropped => Code::One(group - 1),
        _ => Code::One(*group),
    };
    let width = groups.of.iter().max().map_or(0, |last| last + 1).max(groups.count);
    Ok((groups.of.iter().map(code).collect(), width - usize::from(dropped.is_some())))
}

fn ordinal_codes(thing: Thing<'_>, input: usize, groups: &Groups) -> Result<(Vec<Code>, usize), Problem> {
    let mut codes: Vec<Code> = groups.of.iter().map(|group| Code::Number(*group as f64)).collect();
    let Some(Node::Dict(missing)) = thing.get("_missing_indices") else { return Ok((codes, 1)) };
    if let Some((_, at)) = missing.iter().find(|(key, _)| **key == *input.to_string()) {
        let encoded = thing.number("encoded_missing_value")?;
        let code = match at {
            Node::Int(at) => usize::try_from(*at).ok().and_then(|at| codes.get_mut(at)),
            _ => None,
        };
        *code.ok_or_else(|| thing.wrong("_missing_indices", "does not fit the categories"))? = Code::Number(encoded);
    }
    Ok((codes, 1))
}
