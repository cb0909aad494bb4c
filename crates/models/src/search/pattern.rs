//! `LIKE` patterns: `%` stands for any text, `_` for one character, nothing else is special. And those of settings, in
//! which `*` stands for any text.

/// A pattern, taken apart once. Matching is linear in the text for patterns without `_`; with it, each piece between two
/// `%` may cost its length times the text's. It never backs up across a `%`.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    folded: bool,
    /// What lies between the `%`; never empty.
    pieces: Vec<Piece>,
    shortest: usize,
}

#[derive(Clone, Debug)]
enum Piece {
    Plain(String),
    /// `None` is any one character.
    Gapped(Vec<Option<char>>),
}

impl Pattern {
    /// Takes `pattern` apart; `folded` patterns do not tell upper from lower case.
    pub(super) fn new(pattern: &str, folded: bool) -> Pattern {
        let pattern = if folded { pattern.to_lowercase() } else { pattern.to_owned() };
        let shortest = pattern.chars().filter(|c| *c != '%').count();
        let pieces = pattern.split('%').map(piece).collect();
        Pattern { folded, pieces, shortest }
    }

    /// Takes a pattern apart in which `*` alone is special.
    pub(crate) fn with_stars(pattern: &str) -> Pattern {
        let shortest = pattern.chars().filter(|c| *c != '*').count();
        let pieces = pattern.split('*').map(|text| Piece::Plain(text.to_owned())).collect();
        Pattern { folded: false, pieces, shortest }
    }

    /// Whether `text` is of this form.
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self.folded {
            true => self.covers(&text.to_lowercase()),
            false => self.covers(text),
        }
    }

    fn covers(&self, text: &str) -> bool {
        if text.len() < self.shortest {
            return false;
        }
        let (first, rest) = self.pieces.split_first().expect("a split has one piece at least");
        let Some(after) = first.prefix(text) else { return false };
        let Some((last, inner)) = rest.split_last() else { return after == text.len() };
        let mut from = after;
        for piece in inner {
            let Some(end) = piece.find(text, from) else { return false };
            from = end;
        }
        last.suffix(text).is_some_and(|start| start >= from)
    }
}

fn piece(text: &str) -> Piece {
    match text.contains('_') {
        true => Piece::Gapped(text.chars().map(|c| Some(c).filter(|c| *c != '_')).collect()),
        false => Piece::Plain(text.to_owned()),
    }
}

impl Piece {
    /// Where it ends if `text` begins with it.
    fn prefix(&self, text: &str) -> Option<usize> {
        match self {
            Piece::Plain(plain) => text.starts_with(plain.as_str()).then_some(plain.len()),
            Piece::Gapped(gapped) => {
                let mut rest = text.chars();
                gapped
                    .iter()
                    .all(|wanted| rest.next().is_some_and(|c| wanted.is_none_or(|wanted| wanted == c)))
                    .then(|| text.len() - rest.as_str().len())
            }
        }
    }

    /// Where it begins if `text` ends with it.
    fn suffix(&self, text: &str) -> Option<usize> {
        match self {
            Piece::Plain(plain) => text.ends_with(plain.as_str()).then(|| text.len() - plain.len()),
            Piece::Gapped(gapped) => {
                let start = text.char_indices().rev().nth(gapped.len() - 1)?.0;
                self.prefix(&text[start..]).map(|_| start)
            }
        }
    }

    /// Where its first occurrence at or after `from` ends.
    fn find(&self, text: &str, from: usize) -> Option<usize> {
        let tail = &text[from..];
        match self {
            Piece::Plain(plain) => tail.find(plain.as_str()).map(|at| from + at + plain.len()),
            Piece::Gapped(_) => {
                tail.char_indices().find_map(|(at, _)| self.prefix(&tail[at..]).map(|length| from + at + length))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_any_text_and_underscore_one_character() {
        let cases = [
            ("abc", "abc", true),
            ("abc", "ABC", false),
            ("abc", "abcd", false),
            ("a%", "abc", true),
            ("%c", "abc", true),
            ("%b%", "abc", true),
            ("%", "", true),
            ("", "", true),
            ("", "a", false),
            ("_", "", false),
            ("_", "é", true),
            ("__", "é", false),
            ("a_c", "abc", true),
            ("a%_", "a", false),
            ("a%_", "ab", true),
            ("%_b_%", "xaby", true),
            ("%_b_%", "aby", true),
            ("%_b_%", "by", false),
            ("ab%ba", "aba", false),
            ("ab%ba", "abba", true),
            ("%a%a%", "a", false),
            ("%%", "x\ny", true),
            (r"100\%", r"100\x", true),
            ("a.c", "abc", false),
            ("_é%_ü", "aé-bü", true),
        ];
        for (pattern, text, wanted) in cases {
            assert_eq!(Pattern::new(pattern, false).matches(text), wanted, "{text} LIKE {pattern}");
        }
        assert!(Pattern::new("%B_", true).matches("aBc"));
        assert!(Pattern::new("STRASSE%É", true).matches("straSSe-é"));
        assert!(!Pattern::new("%z", true).matches("abc"));
    }

    #[test]
    fn many_wildcards_stay_cheap() {
        let started = std::time::Instant::now();
        let pattern = Pattern::new(&"%a".repeat(5_000), false);
        let text = "a".repeat(4_999) + "b";
        assert!(!pattern.matches(&text));
        assert!(!Pattern::new(&"%_a".repeat(2_000), false).matches(&"ab".repeat(3_000)));
        assert!(started.elapsed().as_secs() < 2);
    }
}
