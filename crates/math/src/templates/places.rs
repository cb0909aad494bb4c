//! What the parameters of a template are: a kind, examples, how many different values.

use std::collections::BTreeMap;

use super::{ParameterKind, Pattern, kind_of};

/// Different values counted at most for one place; beyond it the share of different ones is that of the lines until
/// then.
const MAX_VALUES: usize = 2_000;
/// Examples given of a place, and bytes of each at most.
const EXAMPLES: usize = 5;
const EXAMPLE_BYTES: usize = 80;

/// One parameter of a template, as some of its lines show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// What most of its values look like.
    pub kind: ParameterKind,
    /// The most frequent values with their counts, most frequent first; long ones are cut.
    pub examples: Vec<(String, u64)>,
    /// How many different values were counted.
    pub distinct: usize,
    /// 0..=1: different values in the number of values: near 0 it is a category, near 1 an id.
    pub distinct_share: f64,
}

/// The parameters of a template in order, from some of its lines; those that it does not fit do not count. Without any
/// line that fits there is none.
///
/// Cost: about a microsecond a line; memory is bounded by 2,000 values a place. A thousand lines tell enough.
pub fn places<'a>(template: &str, lines: impl IntoIterator<Item = &'a str>) -> Vec<Place> {
    let pattern = Pattern::new(template);
    let mut counted: Vec<Counted> = Vec::new();
    let mut found = Vec::new();
    for line in lines {
        let Some(text) = pattern.locate(line, &mut found) else { continue };
        counted.resize_with(pattern.len(), Counted::default);
        for (place, range) in counted.iter_mut().zip(&found) {
            place.count(&text[range.clone()]);
        }
    }
    counted.into_iter().map(Counted::place).collect()
}

#[derive(Default)]
struct Counted {
    lines: u64,
    values: BTreeMap<String, u64>,
    kinds: BTreeMap<ParameterKind, u64>,
}

impl Counted {
    fn count(&mut self, value: &str) {
        if self.values.len() >= MAX_VALUES && !self.values.contains_key(value) {
            return;
        }
        self.lines += 1;
        *self.values.entry(value.to_owned()).or_default() += 1;
        *self.kinds.entry(kind_of(value)).or_default() += 1;
    }

    fn place(self) -> Place {
        let most = self.kinds.iter().max_by_key(|(kind, count)| (**count, std::cmp::Reverse(**kind)));
        let kind = most.map_or(ParameterKind::Text, |(kind, _)| *kind);
        let distinct = self.values.len();
        let mut examples: Vec<(String, u64)> = self.values.into_iter().collect();
        // By falling count; those of the same count stay in order of text.
        examples.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        examples.truncate(EXAMPLES);
        let cut =
            |text: String| text.char_indices().take_while(|(at, _)| *at < EXAMPLE_BYTES).map(|(_, c)| c).collect();
        let examples = examples.into_iter().map(|(text, count)| (cut(text), count)).collect();
        Place { kind, examples, distinct, distinct_share: distinct as f64 / self.lines.max(1) as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_kinds_examples_and_a_share_of_different_values() {
        let lines: Vec<String> =
            (0..100).map(|i| format!("user u{i} got {} in {i}ms", if i % 10 == 0 { 500 } else { 200 })).collect();
        let lines = lines.iter().map(String::as_str).chain(["another line"]);
        let found = places("user <*> got <*> in <*>", lines);
        assert_eq!(found.len(), 3);
        assert_eq!((found[0].distinct, found[0].distinct_share), (100, 1.0));
        assert_eq!(found[1].kind, ParameterKind::Number);
        assert_eq!(found[1].examples, [("200".to_owned(), 90), ("500".to_owned(), 10)]);
        assert_eq!((found[1].distinct, found[1].distinct_share), (2, 0.02));
        assert_eq!(found[2].kind, ParameterKind::Duration);
        assert_eq!(found[2].examples.len(), EXAMPLES);
    }

    #[test]
    fn what_does_not_fit_and_what_explodes_is_bounded() {
        assert_eq!(places("a <*>", ["b c", "", "a"]), []);
        assert_eq!(places("no parameter", ["no parameter"]), []);
        let lines: Vec<String> = (0..5_000).map(|i| format!("a {i}{}", "ü".repeat(100))).collect();
        let found = places("a <*>", lines.iter().map(String::as_str));
        assert_eq!((found[0].distinct, found[0].distinct_share), (MAX_VALUES, 1.0));
        assert!(found[0].examples.iter().all(|(text, _)| text.len() <= EXAMPLE_BYTES + 4));
    }
}
