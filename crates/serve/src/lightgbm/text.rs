//! LightGBM's text format: sections of lines `name=value`.

use std::collections::HashMap;
use std::str::FromStr;

use crate::Problem;

/// The lines of a section.
#[derive(Debug, Default)]
pub(super) struct Section<'a> {
    values: HashMap<&'a str, &'a str>,
}

/// A file's parts.
#[derive(Debug)]
pub(super) struct File<'a> {
    /// What stands before the first tree.
    pub head: Section<'a>,
    /// Whether the head has a line `average_output`.
    pub averages: bool,
    /// The trees in their order.
    pub trees: Vec<Section<'a>>,
    /// What follows the trees.
    pub tail: &'a str,
}

impl<'a> File<'a> {
    /// Tells the parts of a file from each other.
    pub fn read(text: &'a str) -> Result<File<'a>, Problem> {
        if text.lines().next().map(str::trim_end) != Some("tree") {
            return Err(Problem::Damaged("it is no model of LightGBM: its first line is not `tree`".into()));
        }
        let mut file = File { head: Section::default(), averages: false, trees: Vec::new(), tail: "" };
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            at += line.len();
            let line = line.trim_end_matches(['\n', '\r']);
            if line.trim_end() == "end of trees" {
                file.tail = &text[at..];
                return Ok(file);
            }
            let Some((name, value)) = line.split_once('=') else {
                file.averages |= line.trim_end() == "average_output" && file.trees.is_empty();
                continue;
            };
            if name == "Tree" {
                if value.trim().parse() != Ok(file.trees.len()) {
                    return Err(Problem::Damaged(format!("tree {} is missing", file.trees.len())));
                }
                file.trees.push(Section::default());
                continue;
            }
            let section = file.trees.last_mut().unwrap_or(&mut file.head);
            section.values.insert(name, value);
        }
        Err(Problem::Damaged("it ends within its trees".into()))
    }
}

impl<'a> Section<'a> {
    /// The value of a line, where it is there.
    pub fn find(&self, name: &str) -> Option<&'a str> {
        self.values.get(name).copied()
    }

    /// The value of a line.
    pub fn text(&self, name: &str) -> Result<&'a str, Problem> {
        self.find(name).ok_or_else(|| Problem::Damaged(format!("`{name}` is missing")))
    }

    /// A count.
    pub fn count(&self, name: &str) -> Result<usize, Problem> {
        self.text(name)?.trim().parse().map_err(|_| Problem::Damaged(format!("`{name}` is no count")))
    }

    /// So many numbers.
    pub fn numbers<T: FromStr>(&self, name: &str, count: usize) -> Result<Vec<T>, Problem> {
        let numbers: Result<Vec<T>, T::Err> = self.text(name)?.split_ascii_whitespace().map(str::parse).collect();
        let numbers = numbers.map_err(|_| Problem::Damaged(format!("`{name}` holds something that is no number")))?;
        if numbers.len() != count {
            return Err(Problem::Damaged(format!("`{name}` holds {} numbers, not {count}", numbers.len())));
        }
        Ok(numbers)
    }
}
