//! `pii`: personal data in sentences that people might write, against labelled spans.
//!
//! Three ways to match. *Presidio's* (the rule of presidio-research's span evaluator): spans of one type with nothing but
//! blanks and marks between them are joined on both sides, and two spans match where at least nine tenths of their
//! letters and digits are common; counted with the type, and over all types also without it, as Presidio does. *Strict*:
//! the very same span and type, nothing joined. *Overlap*: one common letter and the same type. F2 weighs recall four
//! times.
//!
//! The labels of the file say how fine it is: where it knows no postal codes they are addresses, without nationalities
//! they are places, and types that it never uses (ages, say) are not judged.

use std::{collections::BTreeMap, collections::BTreeSet, path::Path};

use math::pii::{Kind, Span, find, find_patterns};

use crate::{Problem, Protocol, Report, Row, Run, data, report::round, workers::timed};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "pii",
    summary: "personal data in text: F2 of spans by type",
    layout: "pii_presidio/NAME.json: a list of {full_text, spans: [{entity_type, start_position, end_position}]} with \
             positions in characters",
    run,
};

/// Common letters of two spans that match, by Presidio's rule.
const COMMON: f64 = 0.9;
/// Presidio's figures over all types: as it comes, and customised.
const PUBLISHED: [(&str, f64); 2] = [("Presidio, stock", 0.618), ("Presidio, customised", 0.845)];

/// A sentence with its labels.
struct Case {
    text: String,
    spans: Vec<Label>,
}

/// Characters `start..end` and their type.
#[derive(Clone, Debug, PartialEq)]
struct Label {
    start: usize,
    end: usize,
    kind: String,
}

/// Hits, spans labelled, spans found.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    hits: usize,
    labelled: usize,
    found: usize,
}

/// How two spans are held against each other.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    Strict,
    Presidio,
    PresidioAnyType,
    Overlap,
}

fn run(run: &Run) -> Result<Report, Problem> {
    let folder = run.data.join("pii_presidio");
    let names = data::list(&folder, PROTOCOL.layout, |name| name.ends_with(".json"))?;
    let mut report = Report::new(PROTOCOL.name);
    let mut lines = Vec::new();
    for (name, ((rows, written), _)) in names.iter().zip(run.each(&names, |name| file_rows(&folder.join(name)))?) {
        let set = name.trim_end_matches(".json");
        report.rows.extend(rows.into_iter().map(|row| Row { name: format!("{set}, {}", row.name), ..row }));
        lines.extend(written.into_iter().enumerate().map(|(i, spans)| {
            let case = if names.len() == 1 { i.to_string() } else { format!("{set}/{i}") };
            serde_json::json!({ "case": case, "spans": spans })
        }));
    }
    run.predict_json_lines("pii.jsonl", lines)?;
    let note = "over all types, whatever the type; on the whole set, of which this may be a part";
    report.summary.insert("published".into(), note.into());
    Ok(report)
}

fn file_rows(path: &Path) -> Result<(Vec<Row>, Vec<Vec<serde_json::Value>>), Problem> {
    let cases = cases(path)?;
    let known: BTreeSet<&str> = cases.iter().flat_map(|case| &case.spans).map(|span| span.kind.as_str()).collect();
    let (spans, cpu_s) = timed(|| cases.iter().map(|case| find(&case.text)).collect::<Vec<_>>());
    let found: Vec<Vec<Label>> =
        cases.iter().zip(&spans).map(|(case, spans)| labels(&case.text, spans, &known)).collect();
    let simple = cases.iter().map(|case| labels(&case.text, &find_patterns(&case.text), &known)).collect::<Vec<_>>();
    let capitals: Vec<Vec<Label>> = cases.iter().map(|case| capitals(&case.text)).collect();
    let all = |cases: &[Case], found: &[Vec<Label>], rule| f2(score(cases, found, rule)[""]);
    let row = |name: &str, metric: &str, rule| {
        Row::new(name, metric, all(&cases, &found, rule), 0.0)
            .baseline("forms alone", all(&cases, &simple, rule))
            .baseline("words with a capital", all(&cases, &capitals, rule))
    };
    let mut rows = vec![row("all, any type", "F2", Rule::PresidioAnyType)];
    rows[0].cpu_s = cpu_s;
    rows[0].published.extend(PUBLISHED.map(|(name, value)| (name.to_owned(), value)));
    rows.push(row("all", "F2", Rule::Presidio));
    rows.push(row("all", "F2, strict", Rule::Strict));
    rows.push(row("all", "F2, overlap", Rule::Overlap));
    for (metric, rule) in [("F2", Rule::Presidio), ("F2, strict", Rule::Strict)] {
        rows.extend(by_type(&cases, &found, metric, rule));
    }
    let half = cases.len() / 2;
    for (name, from, to) in [("first half", 0, half), ("second half", half, cases.len())] {
        let value = all(&cases[from..to], &found[from..to], Rule::PresidioAnyType);
        rows.push(Row::new(format!("{name}, any type"), "F2", value, 0.0));
        rows.push(Row::new(name, "F2", all(&cases[from..to], &found[from..to], Rule::Presidio), 0.0));
    }
    let written = found.iter().map(|labels| labels.iter().map(as_json).collect()).collect();
    Ok((rows, written))
}

fn by_type(cases: &[Case], found: &[Vec<Label>], metric: &str, rule: Rule) -> Vec<Row> {
    let counts = score(cases, found, rule);
    let kinds = counts.into_iter().filter(|(kind, counts)| !kind.is_empty() && counts.labelled > 0);
    kinds.map(|(kind, counts)| Row::new(format!("{kind} ({})", counts.labelled), metric, f2(counts), 0.0)).collect()
}

fn as_json(label: &Label) -> serde_json::Value {
    serde_json::json!({ "start": label.start, "end": label.end, "type": label.kind })
}

/// Counts by type of the label, and over all under "".
fn score(cases: &[Case], found: &[Vec<Label>], rule: Rule) -> BTreeMap<String, Counts> {
    let mut counts = BTreeMap::from([(String::new(), Counts::default())]);
    for (case, found) in cases.iter().zip(found) {
        let text: Vec<char> = case.text.chars().collect();
        let (labelled, found) = match rule {
            Rule::Strict => (case.spans.clone(), found.clone()),
            _ => (joined(&text, &case.spans), joined(&text, found)),
        };
        let mut count = |kind: &str, change: fn(&mut Counts)| {
            change(counts.entry(String::new()).or_default());
            change(counts.entry(kind.to_owned()).or_default());
        };
        let mut used = vec![false; found.len()];
        for label in &labelled {
            count(&label.kind, |counts| counts.labelled += 1);
            let fits = |i: &usize| !used[*i] && matches(&text, label, &found[*i], rule);
            let better =
                |a: &usize, b: &usize| common(&text, label, &found[*a]).total_cmp(&common(&text, label, &found[*b]));
            if let Some(hit) = (0..found.len()).filter(fits).max_by(better) {
                used[hit] = true;
                count(&label.kind, |counts| counts.hits += 1);
            }
        }
        found.iter().for_each(|label| count(&label.kind, |counts| counts.found += 1));
    }
    counts
}

fn matches(text: &[char], label: &Label, found: &Label, rule: Rule) -> bool {
    let is_type = label.kind == found.kind;
    match rule {
        Rule::Strict => label == found,
        Rule::Presidio => is_type && common(text, label, found) >= COMMON,
        Rule::PresidioAnyType => common(text, label, found) >= COMMON,
        Rule::Overlap => is_type && common(text, label, found) > 0.0,
    }
}

/// Letters and digits in both by those in either.
fn common(text: &[char], a: &Label, b: &Label) -> f64 {
    let letters = |start: usize, end: usize| {
        text.get(start..end).map_or(0, |chars| chars.iter().filter(|c| c.is_alphanumeric()).count()) as f64
    };
    let both = letters(a.start.max(b.start), a.end.min(b.end));
    both / (letters(a.start, a.end) + letters(b.start, b.end) - both).max(1.0)
}

/// Spans of one type that stand next to each other, as one.
fn joined(text: &[char], spans: &[Label]) -> Vec<Label> {
    let mut sorted = spans.to_vec();
    sorted.sort_by_key(|span| (span.start, span.end));
    let mut joined: Vec<Label> = Vec::new();
    for span in sorted {
        let is_next = |last: &&mut Label| {
            let between = text.get(last.end..span.start.max(last.end)).unwrap_or_default();
            last.kind == span.kind && !between.iter().any(|c| c.is_alphanumeric())
        };
        match joined.last_mut().filter(is_next) {
            Some(last) => last.end = last.end.max(span.end),
            None => joined.push(span),
        }
    }
    joined
}

fn f2(counts: Counts) -> f64 {
    let (hits, missed) = (counts.hits as f64, counts.labelled as f64 - counts.hits as f64);
    let wrong = counts.found as f64 - hits;
    let all = 5.0 * hits + 4.0 * missed + wrong;
    if all > 0.0 { round(5.0 * hits / all) } else { 0.0 }
}

/// Spans in characters and with the names that the file knows.
fn labels(text: &str, spans: &[Span], known: &BTreeSet<&str>) -> Vec<Label> {
    let at = |byte: usize| text[..byte].chars().count();
    let label = |span: &Span| {
        let kind = named(span.kind, known)?;
        Some(Label { start: at(span.start), end: at(span.end), kind: kind.to_owned() })
    };
    spans.iter().filter_map(label).collect()
}

/// The name of a kind in the words of a file, or of what it is part of there.
fn named(kind: Kind, known: &BTreeSet<&str>) -> Option<&'static str> {
    let names: &[&'static str] = match kind {
        Kind::Address => &["ADDRESS", "STREET_ADDRESS"],
        Kind::ZipCode => &["ZIP_CODE", "ADDRESS", "STREET_ADDRESS"],
        Kind::Location => &["LOCATION", "GPE"],
        Kind::Nationality => &["NRP", "LOCATION", "GPE"],
        Kind::NationalId => &["NATIONAL_ID", "ID"],
        _ => return Some(kind.name()).filter(|name| known.contains(name)),
    };
    names.iter().find(|name| known.contains(*name)).copied()
}

/// The trivial baseline: runs of words with a capital are people.
fn capitals(text: &str) -> Vec<Label> {
    let chars: Vec<char> = text.chars().collect();
    let mut found: Vec<Label> = Vec::new();
    for (start, c) in chars.iter().enumerate() {
        let is_word_start = c.is_uppercase() && (start == 0 || !chars[start - 1].is_alphanumeric());
        if is_word_start {
            let length = chars[start..].iter().take_while(|c| c.is_alphanumeric()).count();
            found.push(Label { start, end: start + length, kind: Kind::Person.name().to_owned() });
        }
    }
    found
}

fn cases(path: &Path) -> Result<Vec<Case>, Problem> {
    let json = data::json(path, PROTOCOL.layout)?;
    let wrong = |i: usize, what: &str| Problem::new(path, format!("entry {i}: {what}"), PROTOCOL.layout);
    let list = json.as_array().ok_or_else(|| Problem::new(path, "no list", PROTOCOL.layout))?;
    let span = |value: &serde_json::Value| {
        let position = |name: &str| value[name].as_u64().map(|at| at as usize);
        let kind = value["entity_type"].as_str()?.to_owned();
        Some(Label { start: position("start_position")?, end: position("end_position")?, kind })
    };
    let case = |(i, value): (usize, &serde_json::Value)| {
        let text = value["full_text"].as_str().ok_or_else(|| wrong(i, "no full_text"))?.to_owned();
        let spans = value["spans"].as_array().ok_or_else(|| wrong(i, "no spans"))?;
        let spans: Option<Vec<Label>> = spans.iter().map(span).collect();
        Ok(Case { text, spans: spans.ok_or_else(|| wrong(i, "a span without type, start or end"))? })
    };
    list.iter().enumerate().map(case).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_set_by_hand_and_a_broken_one() {
        let folder = tempfile::tempdir().unwrap();
        let run_it = || run(&Run { data: folder.path(), predictions: Some(folder.path()), progress: &|_, _| {} });
        assert!(run_it().unwrap_err().to_string().contains("pii_presidio"));
        std::fs::create_dir_all(folder.path().join("pii_presidio")).unwrap();
        let file = folder.path().join("pii_presidio/x.json");
        let text = r#"[{"full_text": "Zoë: mail zoe@example.org", "spans": [
            {"entity_type": "EMAIL_ADDRESS", "start_position": 10, "end_position": 25},
            {"entity_type": "US_SSN", "start_position": 0, "end_position": 3}]}]"#;
        std::fs::write(&file, text).unwrap();
        let report = run_it().unwrap();
        // The type of the first word is wrong in the labels, so half of it is missed: 5 / (5 + 4).
        let row = |name: &str| report.rows.iter().find(|row| row.name == name && row.metric == "F2").unwrap().ours;
        assert_eq!((row("x, EMAIL_ADDRESS (1)"), row("x, all")), (1.0, 0.55556));
        let written = std::fs::read_to_string(folder.path().join("pii.jsonl")).unwrap();
        assert_eq!(written, "{\"case\":\"0\",\"spans\":[{\"end\":25,\"start\":10,\"type\":\"EMAIL_ADDRESS\"}]}\n");
        std::fs::write(&file, "[{\"full_text\": 1}]").unwrap();
        assert!(run_it().unwrap_err().to_string().contains("entry 0: no full_text"));
    }

    #[test]
    fn neighbours_are_joined_and_marks_do_not_count() {
        let text: Vec<char> = "12 Elm St., Apt. 4 x".chars().collect();
        let label = |start, end, kind: &str| Label { start, end, kind: kind.to_owned() };
        let joint = joined(&text, &[label(12, 18, "A"), label(0, 10, "A"), label(19, 20, "B")]);
        assert_eq!(joint, [label(0, 18, "A"), label(19, 20, "B")]);
        assert_eq!(common(&text, &label(0, 9, "A"), &label(0, 11, "A")), 1.0);
        assert_eq!(f2(Counts { hits: 1, labelled: 2, found: 1 }), 0.55556);
    }

    /// What was reached does not fall; needs the folder `pii_presidio` below `$BELLWETHER_DATA`.
    #[test]
    fn the_published_sentences() {
        let Ok(data) = std::env::var("BELLWETHER_DATA") else {
            eprintln!("SKIPPED: set BELLWETHER_DATA to the folder that holds pii_presidio");
            return;
        };
        let report = run(&Run { data: Path::new(&data), predictions: None, progress: &|_, _| {} }).unwrap();
        let row = |name: &str| report.rows.iter().find(|row| row.name == name && row.metric == "F2").unwrap().ours;
        let (any, typed) = (row("generated_small, all, any type"), row("generated_small, all"));
        assert!(any >= 0.80 && typed >= 0.78, "{any} {typed}");
    }
}
