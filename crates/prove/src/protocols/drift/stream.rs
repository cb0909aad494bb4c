//! A stream with known drifts, as its file has it.

use std::path::Path;

use crate::{Problem, data};

/// What a stream's rows are made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// Any number.
    Number,
    /// One of these; a row has its index.
    Category(Vec<String>),
}

/// Rows in order, with what is to be predicted of each.
pub struct Stream {
    /// Of all columns but the class.
    pub attributes: Vec<Attribute>,
    /// How many classes there are.
    pub classes: usize,
    /// Values by row.
    pub rows: Vec<Vec<f64>>,
    /// Class by row.
    pub labels: Vec<usize>,
    /// Rows at which a drift begins, for scoring alone; `None` where its relation does not tell.
    pub drifts: Option<Vec<usize>>,
    /// Rows that a drift takes, for scoring alone.
    pub width: usize,
}

const EXPECTED: &str = "an ARFF file: @relation, @attribute lines of numbers or {categories}, the class last, @data";

/// Rows of one concept by the stream's kind, as their generators define them.
const CONCEPTS: [(&str, usize); 6] = [
    ("SINE1", 20_000),
    ("SINE2", 20_000),
    ("MIXED", 20_000),
    ("CIRCLES", 25_000),
    ("LED", 25_000),
    ("STAGGER", 33_334),
];

/// Reads a stream. Where its drifts are is told by its relation, how wide they are by `w_N` in its name.
pub fn read(path: &Path) -> Result<Stream, Problem> {
    let text = data::text(path, EXPECTED)?;
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('%'));
    let (mut relation, mut attributes) = (String::new(), Vec::new());
    for (_, line) in lines.by_ref() {
        match words(line) {
            ("@relation", name) => relation = name.trim_matches('\'').to_ascii_uppercase(),
            ("@attribute", declared) => attributes.push(attribute(declared)),
            ("@data", _) => break,
            _ => return Err(Problem::new(path, format!("{line:?} before @data"), EXPECTED)),
        }
    }
    let Some(Attribute::Category(classes)) = attributes.pop() else {
        return Err(Problem::new(path, "no class of {categories} as the last attribute", EXPECTED));
    };
    let (mut rows, mut labels) = (Vec::new(), Vec::new());
    for (number, line) in lines {
        let row = row(line, &attributes, &classes);
        let (values, label) =
            row.ok_or_else(|| Problem::new(path, format!("line {}: {line:?}", number + 1), EXPECTED))?;
        rows.push(values);
        labels.push(label);
    }
    let concept = CONCEPTS.iter().find(|(kind, _)| *kind == relation).map(|(_, rows)| *rows);
    let drifts = concept.map(|every| (1..).map(|k| k * every).take_while(|at| at + every / 2 <= rows.len()).collect());
    Ok(Stream { attributes, classes: classes.len(), rows, labels, drifts, width: width(path) })
}

/// The first word in small letters, and the rest.
fn words(line: &str) -> (&'static str, &str) {
    let (word, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
    let known = ["@relation", "@attribute", "@data"].into_iter().find(|k| word.eq_ignore_ascii_case(k));
    (known.unwrap_or(""), rest.trim())
}

fn attribute(declared: &str) -> Attribute {
    let Some((_, values)) = declared.split_once('{') else { return Attribute::Number };
    let plain = |value: &str| value.trim().trim_matches('\'').to_owned();
    Attribute::Category(values.trim_end().trim_end_matches('}').split(',').map(plain).collect())
}

fn row(line: &str, attributes: &[Attribute], classes: &[String]) -> Option<(Vec<f64>, usize)> {
    let index = |field: &str, of: &[String]| of.iter().position(|v| v == field);
    let mut fields = line.split(',').map(|f| f.trim().trim_matches('\''));
    let mut values = Vec::with_capacity(attributes.len());
    for attribute in attributes {
        let field = fields.next()?;
        values.push(match attribute {
            Attribute::Number => field.parse().ok().filter(|v: &f64| v.is_finite())?,
            Attribute::Category(known) => index(field, known)? as f64,
        });
    }
    let label = index(fields.next()?, classes)?;
    fields.next().is_none().then_some((values, label))
}

fn width(path: &Path) -> usize {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let words: Vec<&str> = name.split('_').collect();
    words.windows(2).find(|w| w[0] == "w").and_then(|w| w[1].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some_w_500_n_0.1_3.arff");
        let text = "@relation 'STAGGER'\n@attribute 'size' {small,large}\n@attribute x real\n@attribute 'class' {p,n}\n\n\
                    @data\nsmall,0.5,p\nlarge,-1,n\n";
        std::fs::write(&path, text).unwrap();
        let stream = read(&path).unwrap();
        assert_eq!(stream.attributes[1], Attribute::Number);
        assert_eq!((stream.rows, stream.labels), (vec![vec![0.0, 0.5], vec![1.0, -1.0]], vec![0, 1]));
        assert_eq!((stream.classes, stream.width, stream.drifts), (2, 500, Some(Vec::new())));
        std::fs::write(&path, text.replace("STAGGER", "weather")).unwrap();
        assert_eq!(read(&path).unwrap().drifts, None);
        for (bad, said) in [("medium,1,p\n", "line 7"), ("small,1\n", "line 7"), ("small,1,p,p\n", "line 7")] {
            std::fs::write(&path, format!("{}{bad}", &text[..text.find("small,0.5").unwrap()])).unwrap();
            assert!(read(&path).err().unwrap().to_string().contains(said));
        }
    }
}
