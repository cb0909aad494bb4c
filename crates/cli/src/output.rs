//! Printing for people and for programs. Text that came in as telemetry never reaches the terminal with control
//! characters in it.

use std::{
    io::{IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::{Map, Value};

use crate::args::{Color, Format};

static COLORED: AtomicBool = AtomicBool::new(false);

/// Decides on colour once, from the flag, NO_COLOR, FORCE_COLOR and whether standard output is a terminal.
pub fn set_color(color: Color) {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let colored = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => set("FORCE_COLOR") || (!set("NO_COLOR") && std::io::stdout().is_terminal()),
    };
    COLORED.store(colored, Ordering::Relaxed);
}

/// Text in bold, red, yellow, green or dim where colour is on.
pub fn paint(text: &str, style: &str) -> String {
    if !COLORED.load(Ordering::Relaxed) {
        return text.to_owned();
    }
    let code = match style {
        "bold" => "1",
        "dim" => "2",
        "red" => "31",
        "green" => "32",
        "yellow" => "33",
        _ => "0",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Text with control characters (but newline) and bidirectional overrides replaced.
pub fn plain(text: &str) -> String {
    let bad = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}')
    };
    text.chars().map(|c| if bad(c) { '\u{fffd}' } else { c }).collect()
}

/// A time of an answer in a table: to the second, without a `T`.
pub fn moment(time: &Value) -> Value {
    let text = time.as_str().unwrap_or_default();
    text.get(..19).unwrap_or(text).replace('T', " ").into()
}

/// Writes to standard output; a closed pipe ends the program quietly, as `head` expects.
pub fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// A bar on standard error for work that may take long; nothing where that is no terminal.
pub fn progress(what: &'static str) -> indicatif::ProgressBar {
    let style = indicatif::ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {elapsed}");
    let bar = indicatif::ProgressBar::new(0).with_message(what);
    style.map(|style| bar.set_style(style)).ok();
    bar
}

/// Prints rows under columns.
pub fn rows(columns: &[String], rows: &[Vec<Value>], format: Format) {
    write(&match format {
        Format::Table => table(columns, rows, 60),
        Format::Wide => table(columns, rows, usize::MAX),
        Format::Json => {
            let all: Vec<Value> = rows.iter().map(|r| object(columns, r)).collect();
            format!("{}\n", serde_json::to_string_pretty(&all).unwrap_or_default())
        }
        Format::Jsonl => rows.iter().map(|r| format!("{}\n", object(columns, r))).collect(),
        Format::Csv => csv(columns, rows),
    });
}

/// Prints one JSON document: as it is, or as two columns.
pub fn document(value: &Value, format: Format) {
    match format {
        Format::Json => write(&format!("{}\n", serde_json::to_string_pretty(value).unwrap_or_default())),
        Format::Jsonl => write(&format!("{value}\n")),
        _ => {
            let mut flat = Vec::new();
            flatten("", value, &mut flat);
            let all: Vec<Vec<Value>> = flat.into_iter().map(|(k, v)| vec![Value::String(k), v]).collect();
            rows(&["field".into(), "value".into()], &all, format);
        }
    }
}

/// A number to four digits.
pub fn figure(value: f64) -> String {
    if !value.is_finite() {
        return "?".to_owned();
    }
    let size = value.abs().log10().floor();
    if value != 0.0 && !(-4.0..9.0).contains(&size) {
        return format!("{value:.3e}");
    }
    let digits = if value == 0.0 { 0 } else { (3.0 - size).clamp(0.0, 8.0) as usize };
    format!("{value:.digits$}")
}

/// `45 s`, `5 min`, `1 h`, `7 d`.
pub fn length(seconds: f64) -> String {
    let units = [("d", 86_400.0), ("h", 3600.0), ("min", 60.0)];
    let whole = units.iter().find(|(_, unit)| seconds >= *unit && seconds % unit == 0.0);
    whole.map_or_else(|| format!("{seconds} s"), |(name, unit)| format!("{} {name}", seconds / unit))
}

fn flatten(prefix: &str, value: &Value, out: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&name, inner, out);
            }
        }
        _ => out.push((prefix.to_owned(), value.clone())),
    }
}

fn object(columns: &[String], row: &[Value]) -> Value {
    Value::Object(columns.iter().cloned().zip(row.iter().cloned()).collect::<Map<_, _>>())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text).replace('\n', "⏎"),
        other => plain(&other.to_string()),
    }
}

fn table(columns: &[String], rows: &[Vec<Value>], widest: usize) -> String {
    let cut = |text: String| -> String {
        if text.chars().count() <= widest { text } else { text.chars().take(widest - 1).chain(['…']).collect() }
    };
    let cells: Vec<Vec<String>> = rows.iter().map(|r| r.iter().map(|v| cut(cell(v))).collect()).collect();
    let width =
        |i: usize| cells.iter().map(|r| r[i].chars().count()).chain([columns[i].chars().count()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let right: Vec<bool> = (0..columns.len()).map(|i| rows.iter().any(|r| r[i].is_number())).collect();
    let line = |texts: &[String]| -> String {
        let padded: Vec<String> = texts
            .iter()
            .enumerate()
            .map(|(i, t)| {
                let gap = " ".repeat(widths[i].saturating_sub(t.chars().count()));
                if right[i] { format!("{gap}{t}") } else { format!("{t}{gap}") }
            })
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let header = line(&columns.iter().map(|c| c.to_uppercase()).collect::<Vec<_>>());
    let mut text = format!("{}\n", paint(&header, "bold"));
    for row in &cells {
        text.push_str(&line(row));
        text.push('\n');
    }
    text
}

fn csv(columns: &[String], rows: &[Vec<Value>]) -> String {
    let quote = |text: String| {
        if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
    };
    let raw = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut text = columns.iter().map(|c| quote(c.clone())).collect::<Vec<_>>().join(",") + "\n";
    for row in rows {
        text += &(row.iter().map(|v| quote(raw(v))).collect::<Vec<_>>().join(",") + "\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up_and_numbers_stand_right() {
        let rows = vec![vec!["a".into(), 5.into()], vec!["long".into(), 123.into()]];
        assert_eq!(table(&["name".into(), "n".into()], &rows, 60), "NAME    N\na       5\nlong  123\n");
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(plain("a\x1b[31mb\u{202e}c"), "a\u{fffd}[31mb\u{fffd}c");
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        assert_eq!(csv(&["a".into()], &[vec!["x,\"y\"".into()]]), "a\n\"x,\"\"y\"\"\"\n");
    }
}
