//! Bits of Python that show in MLflow's messages and lists: how it prints text and sets, how it reads a list of strings.

/// Text as Python shows it in messages: `'it'`, `"it's"`.
pub(super) fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push(quote);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            '\\' => shown.push_str("\\\\"),
            c if c == quote => shown.extend(['\\', c]),
            c if (c as u32) < 0x20 || (0x7f..0xa1).contains(&(c as u32)) => {
                shown.push_str(&format!("\\x{:02x}", c as u32))
            }
            c => shown.push(c),
        }
    }
    shown.push(quote);
    shown
}

/// `{'a', 'b'}`, sorted: Python's own order changes from run to run.
pub(super) fn set(members: &[&str]) -> String {
    let mut sorted = members.to_vec();
    sorted.sort_unstable();
    format!("{{{}}}", joined(&sorted))
}

/// `('a', 'b')`.
pub(super) fn tuple(members: &[&str]) -> String {
    format!("({})", joined(members))
}

/// `['a', 'b']`.
pub(super) fn list(members: &[&str]) -> String {
    format!("[{}]", joined(members))
}

fn joined(members: &[&str]) -> String {
    members.iter().map(|member| repr(member)).collect::<Vec<_>>().join(", ")
}

/// Why a list of strings is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unlisted {
    Empty,
    IllFormed,
    /// Not only strings; with the list as Python shows it.
    Mixed(String),
}

/// Reads `('a', "b")`; a single string in parentheses is a list of one.
pub(super) fn strings(text: &str) -> Result<Vec<String>, Unlisted> {
    let mut inner = text.trim();
    while let Some(less) = inner.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        inner = less.trim();
    }
    let members = members(inner).ok_or(Unlisted::IllFormed)?;
    if members.is_empty() {
        return Err(if inner.is_empty() { Unlisted::Empty } else { Unlisted::IllFormed });
    }
    if members.iter().all(|member| matches!(member, Member::Text(_))) {
        return Ok(members.into_iter().map(Member::shown).collect());
    }
    let shown: Vec<String> = members
        .into_iter()
        .map(|member| match member {
            Member::Text(text) => repr(&text),
            Member::Number(number) => number,
        })
        .collect();
    let comma = if shown.len() == 1 { "," } else { "" };
    Err(Unlisted::Mixed(format!("({}{comma})", shown.join(", "))))
}

enum Member {
    Text(String),
    Number(String),
}

impl Member {
    fn shown(self) -> String {
        match self {
            Member::Text(text) | Member::Number(text) => text,
        }
    }
}

/// The members between commas; the last one may have a comma too.
fn members(mut rest: &str) -> Option<Vec<Member>> {
    let mut members = Vec::new();
    rest = rest.trim_start();
    while !rest.is_empty() {
        let (member, after) = member(rest)?;
        members.push(member);
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => {}
            None => return None,
        }
    }
    Some(members)
}

fn member(rest: &str) -> Option<(Member, &str)> {
    if !rest.starts_with(['\'', '"']) {
        let end = rest.find(',').unwrap_or(rest.len());
        let number = rest[..end].trim();
        number.parse::<f64>().ok().filter(|_| number.ends_with(|c: char| c.is_ascii_digit() || c == '.'))?;
        return Some((Member::Number(number.to_owned()), &rest[end..]));
    }
    // Strings side by side are one.
    let mut text = String::new();
    let mut rest = rest;
    while rest.starts_with(['\'', '"']) {
        rest = string(rest, &mut text)?.trim_start();
    }
    Some((Member::Text(text), rest))
}

/// Reads one quoted string into `text` and returns what follows it.
fn string<'a>(rest: &'a str, text: &mut String) -> Option<&'a str> {
    let mut chars = rest.chars();
    let quote = chars.next()?;
    loop {
        match chars.next()? {
            c if c == quote => return Some(chars.as_str()),
            '\n' => return None,
            '\\' => match chars.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                '\n' => {}
                c @ ('\\' | '\'' | '"') => text.push(c),
                c @ ('x' | 'u') => {
                    let length = if c == 'x' { 2 } else { 4 };
                    let digits = chars.as_str().get(..length)?;
                    text.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                    chars = chars.as_str()[length..].chars();
                }
                c => text.extend(['\\', c]),
            },
            c => text.push(c),
        }
    }
}

/// Splits like a shell: at white space, outside of quotes, which are dropped. `None`: a quote is not closed.
pub(super) fn shell_words(text: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(chars.next()?),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        end if end == c => break,
                        '\\' if c == '"' => match chars.next()? {
                            kept @ ('\\' | '"') => word.push(kept),
                            kept => word.extend(['\\', kept]),
                        },
                        inner => word.push(inner),
                    }
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_python_reads_them() {
        let read = |text: &str| strings(text);
        let owned = |words: &[&str]| Ok(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(read("('a')"), owned(&["a"]));
        assert_eq!(read("('a', \"b c\",)"), owned(&["a", "b c"]));
        assert_eq!(read("('a' 'b', 'c')"), owned(&["ab", "c"]));
        assert_eq!(read(r"('it\'s', '\x41\u00e9\q')"), owned(&["it's", "Aé\\q"]));
        assert_eq!(read("()"), Err(Unlisted::Empty));
        assert_eq!(read("(1, 'a')"), Err(Unlisted::Mixed("(1, 'a')".into())));
        assert_eq!(read("(1)"), Err(Unlisted::Mixed("(1,)".into())));
        for broken in ["(,)", "('a' b)", "('a", "(a)", "('a\n')", "(inf)", "('a',,'b')"] {
            assert_eq!(read(broken), Err(Unlisted::IllFormed), "{broken}");
        }
    }

    #[test]
    fn text_is_shown_as_python_shows_it() {
        assert_eq!(repr("a"), "'a'");
        assert_eq!(repr("it's"), "\"it's\"");
        assert_eq!(repr("it's \"x\""), r#"'it\'s "x"'"#);
        assert_eq!(repr("a\n\u{1}\\é"), r"'a\n\x01\\é'");
        assert_eq!(set(&["b", "a"]), "{'a', 'b'}");
    }

    #[test]
    fn shell_words_lose_their_quotes() {
        assert_eq!(shell_words("a.\"b c\" DESC"), Some(vec!["a.b c".to_owned(), "DESC".to_owned()]));
        assert_eq!(shell_words(r"a\ b ''"), Some(vec!["a b".to_owned(), String::new()]));
        assert_eq!(shell_words("it's"), None);
        assert_eq!(shell_words(" "), Some(vec![]));
    }
}
