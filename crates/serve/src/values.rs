//! Values as they come in a request: a block of cells in rows, from JSON or from a tensor, and the columns they make.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, SeqAccess, Visitor};

use crate::{Column, Problem};

/// More nesting than any table or tensor has.
const DEPTH: usize = 8;

/// What a cell was written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing: `null`.
    Missing = 1,
    /// `true` or `false`.
    Bool = 2,
    /// A whole number.
    Whole = 4,
    /// Another number.
    Number = 8,
    /// A text.
    Text = 16,
}

/// What the cells of a column were written as, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u8);

impl Marks {
    /// Notes a cell.
    pub fn add(&mut self, seen: Seen) {
        self.0 |= seen as u8;
    }

    /// Whether some cell was written so.
    pub fn has(self, seen: Seen) -> bool {
        self.0 & seen as u8 != 0
    }

    /// Whether the column is of texts.
    ///
    /// # Errors
    /// If it holds numbers too; `what` names the column.
    fn has_texts(self, what: impl Fn() -> String) -> Result<bool, Problem> {
        match self.has(Seen::Text) {
            true if !self.only(&[Seen::Text, Seen::Missing]) => {
                Err(Problem::Rows(format!("{} holds both texts and numbers", what())))
            }
            is => Ok(is),
        }
    }

    /// Whether all cells were written as one of these.
    pub fn only(self, among: &[Seen]) -> bool {
        self.0 & !among.iter().fold(0, |all, seen| all | *seen as u8) == 0
    }
}

/// A column with what its cells were written as.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    /// The values.
    pub column: Column,
    /// How they were written.
    pub marks: Marks,
}

/// One cell: its number (NaN where it is none), its text, and what it was written as.
pub type Cell = (f64, Option<String>, Seen);

impl Cells {
    /// A column without rows.
    pub fn none() -> Cells {
        Cells { column: Column::Numbers(Vec::new()), marks: Marks::default() }
    }

    /// A column of single cells.
    ///
    /// # Errors
    /// If it mixes texts with numbers, or a cell is none; `what` names the column.
    pub fn gather(
        cells: impl Iterator<Item = Result<Cell, Problem>>,
        what: impl Fn() -> String,
    ) -> Result<Cells, Problem> {
        let mut marks = Marks::default();
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        for cell in cells {
            let (number, text, seen) = cell?;
            numbers.push(number);
            texts.push(text);
            marks.add(seen);
        }
        let column = if marks.has_texts(what)? { Column::Texts(texts) } else { Column::Numbers(numbers) };
        Ok(Cells { column, marks })
    }
}

/// A block of cells: the last axis runs fastest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    /// Lengths along the axes; empty: a single cell.
    pub shape: Vec<usize>,
    /// Numbers; NaN where a text stands or nothing.
    numbers: Vec<f64>,
    /// Texts, by their place.
    texts: Vec<(usize, String)>,
    marks: Written,
}

/// What cells were written as: all alike, or each.
#[derive(Clone, Debug, PartialEq)]
enum Written {
    Alike(Seen),
    Each(Vec<Seen>),
}

impl Default for Written {
    fn default() -> Written {
        Written::Each(Vec::new())
    }
}

impl Values {
    /// Numbers of a tensor that are all written alike.
    pub fn of_numbers(shape: Vec<usize>, numbers: Vec<f64>, seen: Seen) -> Values {
        Values { shape, numbers, texts: Vec::new(), marks: Written::Alike(seen) }
    }

    /// Texts of a tensor.
    pub fn of_texts(shape: Vec<usize>, texts: Vec<String>) -> Values {
        let numbers = vec![f64::NAN; texts.len()];
        Values { shape, numbers, texts: texts.into_iter().enumerate().collect(), marks: Written::Alike(Seen::Text) }
    }

    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Gives the cells another shape.
    ///
    /// # Errors
    /// If the shape does not hold as many cells.
    pub fn reshape(mut self, shape: Vec<usize>) -> Result<Values, Problem> {
        let wanted = shape.iter().try_fold(1_usize, |all, axis| all.checked_mul(*axis));
        if wanted != Some(self.len()) {
            return Err(Problem::Rows(format!("shape {shape:?} does not hold {} values", self.len())));
        }
        self.shape = shape;
        Ok(self)
    }

    /// Reads as numbers the texts that are `NaN`, `Infinity` and `-Infinity`: what JSON cannot say otherwise.
    pub fn with_spelled_numbers(mut self) -> Values {
        let spelled = |text: &str| match text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        };
        if self.texts.is_empty() || !self.texts.iter().all(|(_, text)| spelled(text).is_some()) {
            return self;
        }
        for (place, text) in std::mem::take(&mut self.texts) {
            self.numbers[place] = spelled(&text).unwrap_or(f64::NAN);
            match &mut self.marks {
                Written::Each(each) => each[place] = Seen::Number,
                alike => *alike = Written::Alike(Seen::Number),
            }
        }
        self
    }

    /// The columns, where each row has `width` cells.
    ///
    /// # Errors
    /// If a column mixes texts with numbers.
    pub fn into_columns(self, width: usize) -> Result<Vec<Cells>, Problem> {
        let rows = self.len().checked_div(width).unwrap_or(0);
        let mut marks = vec![Marks::default(); width];
        match &self.marks {
            Written::Alike(seen) if rows > 0 => marks.iter_mut().for_each(|mark| mark.add(*seen)),
            Written::Alike(_) => {}
            Written::Each(each) => {
                for row in each.chunks_exact(width.max(1)) {
                    row.iter().zip(&mut marks).for_each(|(seen, mark)| mark.add(*seen));
                }
            }
        }
        let mut texts: Vec<Vec<Option<String>>> = vec![Vec::new(); width];
        for (place, text) in self.texts {
            let column = &mut texts[place % width];
            if column.is_empty() {
                column.resize(rows, None);
            }
            column[place / width] = Some(text);
        }
        let column = |at: usize, texts: Vec<Option<String>>| match marks[at].has_texts(|| format!("input {at}"))? {
            true => Ok(Column::Texts(texts)),
            false => Ok(Column::Numbers(self.numbers.iter().skip(at).step_by(width).copied().collect())),
        };
        let columns = texts.into_iter().enumerate();
        columns.map(|(at, texts)| Ok(Cells { column: column(at, texts)?, marks: marks[at] })).collect()
    }

    fn push(&mut self, number: f64, seen: Seen) {
        self.numbers.push(number);
        match &mut self.marks {
            Written::Each(each) => each.push(seen),
            Written::Alike(_) => {}
        }
    }
}

impl<'de> Deserialize<'de> for Values {
    /// Lists within lists of equal lengths.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Values, D::Error> {
        let mut values = Values::default();
        Nest { values: &mut values, depth: 0 }.deserialize(deserializer)?;
        Ok(values)
    }
}

/// One level of lists.
struct Nest<'a> {
    values: &'a mut Values,
    depth: usize,
}

impl Nest<'_> {
    fn cell<E: de::Error>(self, number: f64, seen: Seen) -> Result<(), E> {
        if self.depth < self.values.shape.len() {
            return Err(E::custom("a single value stands where others have a list"));
        }
        self.values.push(number, seen);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Nest<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nest<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers, texts, or lists of them")
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<(), E> {
        self.cell(number, Seen::Number)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        self.cell(number as f64, Seen::Whole)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        self.cell(number as f64, Seen::Whole)
    }

    fn visit_bool<E: de::Error>(self, is: bool) -> Result<(), E> {
        self.cell(f64::from(u8::from(is)), Seen::Bool)
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.cell(f64::NAN, Seen::Missing)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.values.texts.push((self.values.len(), text.to_owned()));
        self.cell(f64::NAN, Seen::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Nest { values, depth } = self;
        if depth == DEPTH {
            return Err(de::Error::custom(format!("lists lie within lists more than {DEPTH} deep")));
        }
        let is_first = depth == values.shape.len();
        if is_first && !values.is_empty() {
            return Err(de::Error::custom("a list stands where others have a single value"));
        }
        if is_first {
            values.shape.push(0);
        }
        let mut count = 0;
        while list.next_element_seed(Nest { values, depth: depth + 1 })?.is_some() {
            count += 1;
            // Deeper levels take their length from their first list.
            if is_first {
                values.shape[depth] = count;
            }
        }
        if values.shape[depth] != count {
            let wanted = values.shape[depth];
            return Err(de::Error::custom(format!("a list has {count} values where others have {wanted}")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Values, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn lists_within_lists_are_a_block() {
        let values = read("[[1, 2.5, null], [4, true, 6]]").unwrap();
        assert_eq!((values.shape.clone(), values.len()), (vec![2, 3], 6));
        let columns = values.into_columns(3).unwrap();
        assert_eq!(columns[0].column, Column::Numbers(vec![1.0, 4.0]));
        assert!(columns[0].marks.only(&[Seen::Whole]) && columns[1].marks.has(Seen::Bool));
        assert!(matches!(&columns[2].column, Column::Numbers(n) if n[0].is_nan() && n[1] == 6.0));
        assert_eq!(read("7").unwrap().shape, Vec::<usize>::new());
        assert_eq!(read("[]").unwrap().shape, [0]);
        assert_eq!(read("[[],[]]").unwrap().shape, [2, 0]);
    }

    #[test]
    fn texts_have_their_places() {
        let columns = read(r#"[[1, "a"], [2, null], [3, "c"]]"#).unwrap().into_columns(2).unwrap();
        assert_eq!(columns[1].column, Column::Texts(vec![Some("a".into()), None, Some("c".into())]));
        let mixed = read(r#"[[1], ["b"]]"#).unwrap().into_columns(1).unwrap_err();
        assert!(mixed.to_string().contains("both texts and numbers"), "{mixed}");
        let spelled = read(r#"[1, "NaN", "-Infinity"]"#).unwrap().with_spelled_numbers().into_columns(1).unwrap();
        assert!(matches!(&spelled[0].column, Column::Numbers(n) if n[1].is_nan() && n[2] == f64::NEG_INFINITY));
    }

    #[test]
    fn ragged_lists_and_depths_are_refused() {
        for (text, says) in [
            ("[[1,2],[3]]", "a list has 1 values where others have 2"),
            ("[1,[2]]", "a list stands where others"),
            ("[[1],2]", "a single value stands where others"),
            ("[[[[[[[[[1]]]]]]]]]", "more than 8 deep"),
            ("{}", "expected numbers, texts, or lists"),
            ("[[1],[2,3]]", "a list has 2 values where others have 1"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(says), "{text}: {said}");
        }
        assert!(read("[1,2,3]").unwrap().reshape(vec![2, 2]).is_err());
        assert_eq!(read("[1,2,3,4]").unwrap().reshape(vec![2, 2]).unwrap().shape, [2, 2]);
    }
}
