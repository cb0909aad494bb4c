//! Rows of one version as columns: some first ones that serve as the reference, and those of the present window.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytemuck::{Pod, Zeroable};
use math::chance::Chance;
use serde::{Deserialize, Serialize};
use view::Pages;

use super::events::{Scalar, hash};
use crate::detect::words::cut;

/// Columns of a version at most, inputs and outputs together.
pub(super) const MAX_COLUMNS: usize = 200;
/// Values of a column whose names are kept to be shown, and bytes of a name.
const MAX_NAMES: usize = 32;
const NAME_BYTES: usize = 40;

/// What a column holds. Outputs come after inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Of {
    Input,
    Prediction,
    /// Of a class, which is the column's name.
    Probability,
    /// The probability of the class that was predicted: not compared, estimates are made of it.
    Certainty,
}

/// A value in four bytes: a finite `f32`, or a NaN whose payload says what else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
#[repr(transparent)]
pub(super) struct Cell(u32);

impl Cell {
    pub const MISSING: Cell = Cell(0x7fc0_0000);
    /// A list or an object.
    pub const OTHER: Cell = Cell(0x7fc0_0001);
    /// Texts are negative NaNs with 22 bits of their hash: of 64 common values two share one once in 2,000 columns.
    const TEXT: u32 = 0xffc0_0000;

    pub fn number(value: f64) -> Cell {
        let value = value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
        if value.is_nan() { Cell::MISSING } else { Cell(value.to_bits()) }
    }

    fn of(value: &Scalar) -> Cell {
        match value {
            Scalar::Missing => Cell::MISSING,
            Scalar::Number(number) => Cell::number(*number),
            Scalar::Text(text) => Cell(Cell::TEXT | hash(&[text]) as u32 & 0x003f_ffff),
            Scalar::Other => Cell::OTHER,
        }
    }

    pub fn as_number(self) -> Option<f64> {
        let value = f32::from_bits(self.0);
        value.is_finite().then(|| f64::from(value))
    }

    pub fn is_missing(self) -> bool {
        self == Cell::MISSING
    }
}

/// One value of a row.
pub(super) struct Field<'a> {
    pub of: Of,
    pub name: &'a str,
    pub cell: Cell,
    pub text: Option<&'a str>,
}

impl<'a> Field<'a> {
    pub fn new(of: Of, name: &'a str, value: &'a Scalar) -> Field<'a> {
        let text = if let Scalar::Text(text) = value { Some(text.as_ref()) } else { None };
        Field { of, name: cut(name, 2 * NAME_BYTES), cell: Cell::of(value), text }
    }

    pub fn number(of: Of, value: f64) -> Field<'a> {
        Field { of, name: "", cell: Cell::number(value), text: None }
    }

    fn key(&self) -> (Of, &str) {
        (self.of, self.name)
    }
}

/// A sample of rows in order of time. It is of even chance of all rows that it was given (reservoir sampling, Vitter
/// 1985), so that a busy model's window costs no more than a quiet one's.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub head: Head,
    /// By column and place.
    cells: Vec<Vec<Cell>>,
    dirty: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Head {
    seed: u64,
    /// Rows kept at most.
    most: usize,
    /// Rows given.
    pub seen: u64,
    /// Time of the first and the last row, ns.
    pub from: i64,
    pub to: i64,
    /// Number of the row in each place.
    numbers: Vec<u64>,
    columns: Vec<ColumnHead>,
    /// Values beyond [`MAX_COLUMNS`].
    pub left_out: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct ColumnHead {
    of: Of,
    name: String,
    /// Of texts, to be shown.
    names: BTreeMap<u32, String>,
}

/// A column as it is read.
pub(super) struct Column<'a> {
    pub of: Of,
    pub name: &'a str,
    /// In order of time.
    pub cells: Vec<Cell>,
    names: &'a BTreeMap<u32, String>,
}

impl Sample {
    pub fn new(seed: u64, most: usize) -> Sample {
        Sample { head: Head { seed, most, ..Head::default() }, cells: Vec::new(), dirty: true }
    }

    /// Takes a row, whose fields are in order.
    pub fn push(&mut self, time: i64, row: &[Field]) {
        let head = &mut self.head;
        head.from = if head.seen == 0 { time } else { head.from.min(time) };
        head.to = if head.seen == 0 { time } else { head.to.max(time) };
        head.seen += 1;
        self.dirty = true;
        let Some(place) = self.place() else { return };
        let mut at = 0;
        for field in row {
            while self.head.columns.get(at).is_some_and(|c| (c.of, c.name.as_str()) < field.key()) {
                at += 1;
            }
            self.put(at, place, field);
        }
    }

    /// Where the newest row goes; its values there are missing. `None` where chance leaves it out.
    fn place(&mut self) -> Option<usize> {
        let head = &mut self.head;
        if head.numbers.len() < head.most {
            head.numbers.push(head.seen);
            self.cells.iter_mut().for_each(|column| column.push(Cell::MISSING));
            return Some(head.numbers.len() - 1);
        }
        let place = (Chance::new(head.seed ^ head.seen).bits() % head.seen) as usize;
        *head.numbers.get_mut(place)? = head.seen;
        self.cells.iter_mut().for_each(|column| column[place] = Cell::MISSING);
        Some(place)
    }

    fn put(&mut self, at: usize, place: usize, field: &Field) {
        let columns = &mut self.head.columns;
        if columns.get(at).is_none_or(|c| (c.of, c.name.as_str()) != field.key()) {
            if columns.len() >= MAX_COLUMNS {
                self.head.left_out += 1;
                return;
            }
            columns.insert(at, ColumnHead { of: field.of, name: field.name.to_owned(), names: BTreeMap::new() });
            self.cells.insert(at, vec![Cell::MISSING; self.head.numbers.len()]);
        }
        self.cells[at][place] = field.cell;
        let names = &mut columns[at].names;
        if let Some(text) = field.text
            && names.len() < MAX_NAMES
            && !names.contains_key(&field.cell.0)
        {
            names.insert(field.cell.0, shown(text));
        }
    }

    /// Rows kept.
    pub fn len(&self) -> usize {
        self.head.numbers.len()
    }

    /// All columns, each in order of time.
    pub fn columns(&self) -> Vec<Column<'_>> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_unstable_by_key(|place| self.head.numbers[*place]);
        let heads = self.head.columns.iter().zip(&self.cells);
        let column = |(head, cells): (&'_ ColumnHead, &Vec<Cell>)| -> Vec<Cell> {
            debug_assert_eq!(cells.len(), self.len(), "{}", head.name);
            order.iter().map(|place| cells[*place]).collect()
        };
        heads.map(|h| Column { of: h.0.of, name: &h.0.name, names: &h.0.names, cells: column(h) }).collect()
    }

    /// Writes the sample if it changed.
    pub fn save(&mut self, name: &str, all: bool, pages: &mut Pages) {
        if all || self.dirty {
            pages.insert(format!("{name}/head"), serde_json::to_vec(&self.head).unwrap_or_default());
            pages.insert(format!("{name}/cells"), bytemuck::cast_slice(&self.cells.concat()).to_vec());
        }
        self.dirty = false;
    }

    /// Reads back what [`Sample::save`] wrote; empty where nothing was.
    pub fn load(name: &str, pages: &Pages) -> Result<Sample, String> {
        let page = |part: &str| pages.get(&format!("{name}/{part}"));
        let (Some(head), Some(cells)) = (page("head"), page("cells")) else { return Ok(Sample::default()) };
        let head: Head = serde_json::from_slice(head).map_err(|e| format!("{name}: {e}"))?;
        let cells: Vec<Cell> = cells.chunks_exact(size_of::<Cell>()).map(bytemuck::pod_read_unaligned).collect();
        let rows = head.numbers.len();
        if cells.len() != rows * head.columns.len() {
            return Err(format!("{name}: {} values are not {rows} rows of {}", cells.len(), head.columns.len()));
        }
        let cells = (0..head.columns.len()).map(|c| cells[c * rows..(c + 1) * rows].to_vec()).collect();
        Ok(Sample { head, cells, dirty: false })
    }
}

impl<'a> Column<'a> {
    /// The same column in as many rows without it.
    pub fn gone(&self, rows: usize) -> Column<'a> {
        Column { of: self.of, name: self.name, cells: vec![Cell::MISSING; rows], names: self.names }
    }

    /// Whether most of its values are numbers.
    pub fn is_of_numbers(&self) -> bool {
        let numbers = self.cells.iter().filter(|c| c.as_number().is_some()).count();
        2 * numbers >= self.cells.len() - self.missing() && numbers > 0
    }

    pub fn missing(&self) -> usize {
        self.cells.iter().filter(|c| c.is_missing()).count()
    }

    pub fn numbers(&self) -> Vec<f64> {
        self.cells.iter().filter_map(|c| c.as_number()).collect()
    }

    /// Values that are there.
    pub fn present(&self) -> Vec<Cell> {
        self.cells.iter().copied().filter(|c| !c.is_missing()).collect()
    }

    /// What a value is called.
    pub fn name_of(&self, cell: Cell) -> Option<Cow<'_, str>> {
        let named = self.names.get(&cell.0).map(|name| Cow::Borrowed(name.as_str()));
        named.or_else(|| cell.as_number().map(|n| crate::detect::words::rounded(n, 3).into()))
    }
}

/// Text of senders as it is shown: short, without control characters.
pub(super) fn shown(text: &str) -> String {
    cut(text, NAME_BYTES).chars().map(|c| if c.is_control() { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_keep_what_they_were() {
        assert_eq!(Cell::of(&Scalar::Number(0.25)).as_number(), Some(0.25));
        assert_eq!(Cell::of(&Scalar::Number(1e300)).as_number(), Some(f64::from(f32::MAX)));
        let (cat, dog) = (Cell::of(&Scalar::Text("cat".into())), Cell::of(&Scalar::Text("dog".into())));
        assert!(cat != dog && cat.as_number().is_none() && !cat.is_missing());
        assert!(Cell::of(&Scalar::Missing).is_missing() && !Cell::OTHER.is_missing());
    }

    #[test]
    fn a_sample_is_even_in_order_bounded_and_reads_back() {
        let mut sample = Sample::new(7, 500);
        for i in 0..10_000_i64 {
            let (number, late) = (Scalar::Number(i as f64), Scalar::Text(format!("v{}", i % 3).into()));
            let mut row = vec![Field::new(Of::Input, "b", &number)];
            if i % 2 == 0 {
                row.insert(0, Field::new(Of::Input, "a", &late));
            }
            sample.push(i, &row);
        }
        let columns = sample.columns();
        let numbers = columns[1].numbers();
        assert!(numbers.len() == 500 && numbers.is_sorted(), "{numbers:?}");
        let mean = numbers.iter().sum::<f64>() / 500.0;
        assert!((mean - 5000.0).abs() < 400.0 && (columns[0].missing() as f64 - 250.0).abs() < 50.0, "{mean}");
        assert_eq!(columns[0].name_of(columns[0].present()[0]).unwrap().len(), 2);
        let mut pages = Pages::new();
        sample.clone().save("x", true, &mut pages);
        let back = Sample::load("x", &pages).unwrap();
        assert_eq!((back.cells, back.head.numbers), (sample.cells.clone(), sample.head.numbers.clone()));
    }

    #[test]
    fn columns_and_names_are_bounded() {
        let mut sample = Sample::new(1, 10);
        for i in 0..300 {
            let (name, value) = (format!("c{i:03}"), Scalar::Text(format!("{}\n{i}", "é".repeat(100)).into()));
            sample.push(0, &[Field::new(Of::Input, &name, &value)]);
            sample.push(0, &[Field::new(Of::Input, "c000", &value)]);
        }
        assert!(sample.head.columns.len() <= MAX_COLUMNS && sample.head.columns[0].names.len() <= MAX_NAMES);
    }
}
