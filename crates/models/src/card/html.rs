//! A page as HTML that needs nothing but itself: no script, no address of anything, readable in light and dark.

use super::{
    markdown::is_odd,
    page::{Block, Line, Page, Section, Span},
};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--paper:#fff;--soft:#5b6675;--line:#d8dde4;--tint:#f4f6f8}\
@media (prefers-color-scheme:dark){:root{--ink:#e4e8ee;--paper:#14181d;--soft:#98a3b1;--line:#333b45;--tint:#1d232a}}\
body{margin:0 auto;max-width:60rem;padding:2rem 1rem 4rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);\
background:var(--paper);overflow-wrap:anywhere}\
h1{font-size:1.7rem;line-height:1.2}h2{margin:2.5rem 0 .25rem;font-size:1.25rem}h3{margin:1.5rem 0 .25rem;font-size:1rem}\
.annex,.missing{color:var(--soft)}.annex{margin:0 0 1rem;font-size:.85rem}\
code{font:.9em ui-monospace,monospace;background:var(--tint);padding:.1em .3em;border-radius:3px}\
dl{display:grid;grid-template-columns:minmax(9rem,max-content) 1fr;gap:.3rem 1.5rem}dt{color:var(--soft)}dd{margin:0}\
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}\
th,td{text-align:left;vertical-align:top;padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line);\
overflow-wrap:break-word;min-width:4rem}\
@media (max-width:40rem){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}}\
@media print{body{max-width:none;padding:0}}";

pub(super) fn written(page: &Page) -> String {
    let title: String = page.title.iter().map(plain).collect();
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{}</h1>\n<p>{}</p>\n",
        line(&page.title),
        line(&page.about)
    );
    for section in &page.sections {
        write_section(section, &mut out);
    }
    out + "</body>\n</html>\n"
}

fn write_section(section: &Section, out: &mut String) {
    *out += &format!("<section>\n<h2>{}</h2>\n", escaped(section.title));
    if !section.annex.is_empty() {
        *out += &format!("<p class=\"annex\">EU AI Act, Annex IV: {}</p>\n", escaped(section.annex));
    }
    for block in &section.blocks {
        match block {
            Block::Heading(title) => *out += &format!("<h3>{}</h3>\n", escaped(title)),
            Block::Sentence(sentence) => *out += &format!("<p>{}</p>\n", line(sentence)),
            Block::Facts(facts) => {
                let fact =
                    |(title, fact): &(String, Line)| format!("<dt>{}</dt><dd>{}</dd>\n", escaped(title), line(fact));
                *out += &format!("<dl>\n{}</dl>\n", facts.iter().map(fact).collect::<String>());
            }
            Block::List(lines) => {
                let items: String = lines.iter().map(|one| format!("<li>{}</li>\n", line(one))).collect();
                *out += &format!("<ul>\n{items}</ul>\n");
            }
            Block::Table { head, rows } => write_table(head, rows, out),
        }
    }
    *out += "</section>\n";
}

fn write_table(head: &[&str], rows: &[Vec<Line>], out: &mut String) {
    let head: String = head.iter().map(|title| format!("<th scope=\"col\">{}</th>", escaped(title))).collect();
    *out += &format!("<div class=\"wide\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n");
    for row in rows {
        let cells: String = row.iter().map(|cell| format!("<td>{}</td>", line(cell))).collect();
        *out += &format!("<tr>{cells}</tr>\n");
    }
    *out += "</tbody>\n</table></div>\n";
}

fn line(spans: &Line) -> String {
    let of = |span: &Span| match span {
        Span::Text(text) => escaped(text),
        Span::Name(name) => format!("<code>{}</code>", escaped(name)),
        Span::Missing(what) => format!("<em class=\"missing\">{}</em>", escaped(what)),
    };
    spans.iter().map(of).collect()
}

/// A part of a line without its element.
fn plain(span: &Span) -> String {
    match span {
        Span::Text(text) | Span::Name(text) => escaped(text),
        Span::Missing(what) => escaped(what),
    }
}

/// Text in which nothing is markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c if c.is_whitespace() => out.push(' '),
            c if is_odd(c) => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}
