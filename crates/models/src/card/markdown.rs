//! A page as Markdown (CommonMark with GitHub's tables). Nothing in a text becomes markup: names stand in code spans
//! where they can, and all else is escaped so that it neither links, nor formats, nor breaks a table or a line.

use super::page::{Block, Line, Page, Section, Span};

pub(super) fn written(page: &Page) -> String {
    let mut out = format!("# {}\n\n{}\n", line(&page.title), line(&page.about));
    for section in &page.sections {
        write_section(section, &mut out);
    }
    out
}

fn write_section(section: &Section, out: &mut String) {
    *out += &format!("\n## {}\n", section.title);
    if !section.annex.is_empty() {
        *out += &format!("\n*EU AI Act, Annex IV: {}*\n", section.annex);
    }
    for block in &section.blocks {
        *out += "\n";
        match block {
            Block::Heading(title) => *out += &format!("### {title}\n"),
            Block::Sentence(sentence) => *out += &format!("{}\n", line(sentence)),
            Block::Facts(facts) => {
                facts.iter().for_each(|(title, fact)| *out += &format!("- **{}**: {}\n", escaped(title), line(fact)));
            }
            Block::List(lines) => lines.iter().for_each(|one| *out += &format!("- {}\n", line(one))),
            Block::Table { head, rows } => {
                *out += &format!("| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len()));
                for row in rows {
                    let cells: Vec<String> = row.iter().map(line).collect();
                    *out += &format!("| {} |\n", cells.join(" | "));
                }
            }
        }
    }
}

fn line(spans: &Line) -> String {
    let of = |span: &Span| match span {
        Span::Text(text) => escaped(text),
        Span::Name(name) => code(name),
        Span::Missing(what) => format!("*{what}*"),
    };
    spans.iter().map(of).collect::<String>().trim_end().to_owned()
}

/// A name in a code span, where nothing in it could end the span or a cell of a table.
fn code(name: &str) -> String {
    let is_plain = |c: char| !"`|\\<>&[]".contains(c) && !is_odd(c);
    if !name.is_empty() && name.trim() == name && name.chars().all(is_plain) {
        return format!("`{name}`");
    }
    escaped(name)
}

/// Text in which nothing is markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let after = chars.peek().copied().unwrap_or(' ');
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '|' => out += "&#124;",
            '@' => {
                // A mail address links itself even where its sign is escaped, but not across a code span.
                out += if before == '@' { "@" } else { "`@" };
                out += if after == '@' { "" } else { "`" };
            }
            c if c.is_whitespace() => out.push(' '),
            c if is_odd(c) => out.push(char::REPLACEMENT_CHARACTER),
            c if c.is_ascii_punctuation() && !is_harmless(before, c, after) => out.extend(['\\', c]),
            c => out.push(c),
        }
        before = c;
    }
    out
}

/// Whether a mark between these is never markup and makes no address of a text: addresses link themselves, by `://`,
/// `//` or the points of a host's name.
fn is_harmless(before: char, mark: char, after: char) -> bool {
    match mark {
        ',' | ';' | '%' | '?' | '!' | '\'' | '"' | ')' => true,
        '(' => before != ']',
        '.' => !after.is_alphanumeric() || (before.is_ascii_digit() && after.is_ascii_digit()),
        '-' => after.is_alphanumeric(),
        '=' | '+' => before != mark && after != mark,
        ':' => after != '/',
        '/' => before != '/' && before != ':' && after != '/',
        _ => false,
    }
}

/// Characters that are not seen and change how others are read or shown: controls, and marks of direction.
pub(super) fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        for (text, written) in [
            ("plain, with (brackets): 0.95 and pre-trained.", "plain, with (brackets): 0.95 and pre-trained."),
            ("[a](https://evil.example/x)", r"\[a\]\(https\:\/\/evil\.example/x)"),
            ("<b>&lt;</b>", "&lt;b&gt;&amp;lt;&lt;/b&gt;"),
            ("a|b\n- c\r\n# d", r"a&#124;b \- c  \# d"),
            ("*a* _b_ `c` ~d~ $e$", r"\*a\* \_b\_ \`c\` \~d\~ \$e\$"),
            ("ann@example.com, @@x", r"ann`@`example\.com, `@@`x"),
            ("www.evil.example", r"www\.evil\.example"),
            ("a\u{202e}b\u{0}c\u{200b}", "a\u{fffd}b\u{fffd}c\u{fffd}"),
            ("\\", r"\\"),
        ] {
            assert_eq!(escaped(text), written);
        }
    }

    #[test]
    fn names_stand_in_code_where_they_can() {
        assert_eq!(code("petal_length"), "`petal_length`");
        assert_eq!(code("a|b"), "a&#124;b");
        assert_eq!(code("a`b"), r"a\`b");
        assert_eq!((code(""), code(" a")), (String::new(), " a".into()));
    }
}
