//! Columns that were categories of pandas: their codes stand in the last line of a file.

use std::collections::HashMap;

use serde_json::Value;

use super::text::File;
use crate::Problem;

/// The codes of a column's categories.
#[derive(Debug, Default)]
pub(super) struct Codes {
    texts: HashMap<String, usize>,
    /// By the bits of the number.
    numbers: HashMap<u64, usize>,
}

impl Codes {
    fn read(categories: &[Value]) -> Codes {
        let mut codes = Codes::default();
        for (at, category) in categories.iter().enumerate() {
            let number = category.as_f64().or(category.as_bool().map(|yes| f64::from(u8::from(yes))));
            if let Some(number) = number {
                codes.numbers.insert(bits(number), at);
            }
            let text = category.as_str().map_or_else(|| category.to_string(), str::to_string);
            codes.texts.insert(text, at);
        }
        codes
    }

    /// The code of a number; NaN: it is no category.
    pub fn of_number(&self, number: f64) -> f64 {
        self.numbers.get(&bits(number)).map_or(f64::NAN, |code| *code as f64)
    }

    /// The code of a text; NaN: it is no category.
    pub fn of_text(&self, text: &str) -> f64 {
        self.texts.get(text).map_or(f64::NAN, |code| *code as f64)
    }
}

/// Reads the codes from what follows the trees.
pub(super) fn codes(tail: &str) -> Result<Vec<Codes>, Problem> {
    let Some(said) = tail.lines().rev().find_map(|line| line.strip_prefix("pandas_categorical:")) else {
        return Ok(Vec::new());
    };
    let lists: Option<Vec<Vec<Value>>> =
        serde_json::from_str(said).map_err(|_| Problem::Damaged("its categories of pandas are no JSON".into()))?;
    Ok(lists.unwrap_or_default().iter().map(|categories| Codes::read(categories)).collect())
}

/// The columns that have codes, by what training was told or by what was seen in it; `None`: the file does not say.
pub(super) fn coded_columns(file: &File, width: usize, codes: usize) -> Option<Vec<usize>> {
    let told = file.tail.lines().find_map(|line| line.strip_prefix("[categorical_feature: ")?.strip_suffix(']'));
    let told: Vec<usize> = told.unwrap_or_default().split(',').filter_map(|at| at.trim().parse().ok()).collect();
    let infos = file.head.find("feature_infos").unwrap_or_default().split_ascii_whitespace().enumerate();
    let seen: Vec<usize> =
        infos.filter(|(_, info)| !info.starts_with('[') && *info != "none").map(|(at, _)| at).collect();
    [told, seen].into_iter().find(|columns| columns.len() == codes && columns.iter().all(|at| *at < width))
}

fn bits(number: f64) -> u64 {
    (number + 0.0).to_bits()
}
