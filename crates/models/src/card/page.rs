//! A card as a page: sections of sentences, facts, lists and tables, for whoever writes them down.

use chrono::DateTime;

use super::{Card, Column, DataSet, Earlier, Identity, Listed, Measure, Named, Phase, Statement};

/// A page.
pub(super) struct Page {
    pub title: Line,
    pub about: Line,
    pub sections: Vec<Section>,
}

/// A section of it.
pub(super) struct Section {
    pub title: &'static str,
    /// Points of Annex IV; empty: none.
    pub annex: &'static str,
    pub blocks: Vec<Block>,
}

/// What stands in a section.
pub(super) enum Block {
    Heading(&'static str),
    Sentence(Line),
    Facts(Vec<(String, Line)>),
    List(Vec<Line>),
    Table { head: Vec<&'static str>, rows: Vec<Vec<Line>> },
}

/// A line of a page. No part of it is trusted: whoever writes it down escapes all.
pub(super) type Line = Vec<Span>;

/// A part of a line.
pub(super) enum Span {
    /// Words.
    Text(String),
    /// A name or value, shown as it is written.
    Name(String),
    /// That something is not known.
    Missing(&'static str),
}

const NOT_STATED: &str = "not stated";
const NOT_KNOWN: &str = "not known";

pub(super) fn page(card: &Card) -> Page {
    let identity = &card.identity;
    let about = format!("Made of what the registry holds and of what was seen of the version until {}.", time(card.at));
    Page {
        title: vec![text("Model card: "), name(&identity.name), text(format!(" version {}", identity.version))],
        about: vec![text(about)],
        sections: vec![
            section("Model details", "1 (a), 1 (c), 1 (d)", details(identity)),
            section("Intended use", "1 (a), 1 (h), 2 (e), 5", purpose(card)),
            section("Inputs and outputs", "2 (b), 3", signature(card)),
            section("Data", "2 (d)", data(card)),
            section("Training", "2 (a), 2 (c)", training(card)),
            section("Metrics", "2 (g), 3, 4", metrics(card)),
            section("Gates", "2 (g)", gates(card)),
            section("Lifecycle", "6", lifecycle(card)),
            section("In use", "3, 9", live(card)),
            section("Fairness", "2 (g), 3", fairness(card)),
            section("Limits and caveats", "3", caveats(card)),
            section("What this card cannot say", "", missing(card)),
        ],
    }
}

fn section(title: &'static str, annex: &'static str, blocks: Vec<Block>) -> Section {
    Section { title, annex, blocks }
}

fn details(identity: &Identity) -> Vec<Block> {
    let by = identity.registered_by.as_deref();
    let mut registered = vec![text(format!("{}, by ", time(identity.registered_at)))];
    registered.extend(name_or(by, NOT_KNOWN));
    let mut facts = vec![
        fact("Model", vec![name(&identity.name)]),
        fact("Version", vec![text(identity.version.to_string())]),
        fact("In use", vec![text(yes(identity.in_use))]),
        fact("Stage", vec![text(identity.stage.name())]),
        fact("Aliases", names(&identity.aliases, "none")),
        fact("Registered", registered),
        fact("Source", vec![name(&identity.source)]),
        fact("Files at", vec![name(&identity.location)]),
        fact("Can be read as", names(&identity.flavors, NOT_STATED)),
        fact("Written as", name_or(identity.serialization.as_deref(), NOT_STATED)),
    ];
    if let Some(logged) = &identity.logged_model {
        let mut line = vec![name(&logged.id), text(" ("), name(&logged.name), text(")")];
        if !logged.kind.is_empty() {
            line.extend([text(", kind "), name(&logged.kind)]);
        }
        facts.push(fact("Logged model", line));
    }
    let mut blocks = vec![Block::Facts(facts), Block::Heading("Files")];
    let rows = |file: &super::FileSeen| {
        vec![vec![name(&file.path)], vec![text(file.bytes.to_string())], vec![name(&file.sha256)]]
    };
    match &identity.files {
        Some(files) => blocks.extend(table(vec!["Path", "Bytes", "SHA-256"], files, rows, "none")),
        None => blocks.push(sentence_missing(NOT_KNOWN)),
    }
    blocks
}

fn purpose(card: &Card) -> Vec<Block> {
    let purpose = &card.purpose;
    let said = |said: Option<&str>| match said {
        Some(said) => vec![text(said)],
        None => vec![Span::Missing(NOT_STATED)],
    };
    let statement = |statement: &Statement| (statement.title.to_owned(), said(statement.said.as_deref()));
    let mut facts = vec![
        fact("The model", said(purpose.model_description.as_deref())),
        fact("This version", said(purpose.version_description.as_deref())),
    ];
    facts.extend(purpose.statements.iter().map(statement));
    let mut blocks = vec![Block::Facts(facts)];
    for (title, tags) in [("Tags of the model", &purpose.model_tags), ("Tags of the version", &purpose.version_tags)] {
        if !tags.is_empty() {
            blocks.push(Block::Heading(title));
            blocks.extend(table(vec!["Tag", "Value"], tags, pair, "none"));
        }
    }
    blocks
}

fn signature(card: &Card) -> Vec<Block> {
    let Some(signature) = &card.signature else { return vec![sentence_missing(NOT_STATED)] };
    let row = |column: &Column| {
        let required = column.required.map(yes);
        vec![
            name_or(column.name.as_deref(), "no name"),
            vec![name(&column.kind)],
            required.map_or_else(|| vec![Span::Missing(NOT_STATED)], |required| vec![text(required)]),
        ]
    };
    let mut blocks = Vec::new();
    for (title, columns) in
        [("Inputs", &signature.inputs), ("Outputs", &signature.outputs), ("Parameters", &signature.params)]
    {
        blocks.push(Block::Heading(title));
        blocks.extend(table(vec!["Name", "Type", "Required"], columns, row, NOT_STATED));
    }
    blocks
}

fn data(card: &Card) -> Vec<Block> {
    let data = &card.data;
    let row = |set: &DataSet| {
        let size = |count: Option<String>| match count {
            Some(count) => vec![text(count)],
            None => vec![Span::Missing(NOT_STATED)],
        };
        let mut source = name_or(Some(set.source_type.as_str()), NOT_STATED);
        if !set.source.is_empty() {
            source.extend([text(" "), name(&set.source)]);
        }
        vec![
            vec![name(&set.name)],
            name_or(Some(set.digest.as_str()), NOT_STATED),
            name_or(set.context.as_deref(), NOT_STATED),
            size(set.rows.map(|rows| rows.to_string())),
            size(set.columns.map(|columns| columns.to_string())),
            source,
        ]
    };
    let head = vec!["Data set", "Digest", "Used for", "Rows", "Columns", "Source"];
    let mut blocks = table(head, &data.datasets, row, NOT_STATED);
    if !data.of_metrics.is_empty() {
        blocks.push(Block::Heading("Named by metrics alone"));
        let row = |set: &super::DataName| vec![vec![name(&set.name)], name_or(Some(&set.digest), NOT_STATED)];
        blocks.extend(table(vec!["Data set", "Digest"], &data.of_metrics, row, "none"));
    }
    let listed = [
        ("Models that its run used", &data.models),
        ("Versions whose run read the same data", &data.shared_with),
        ("Other versions of its run", &data.same_run),
    ];
    blocks.push(Block::Facts(listed.into_iter().map(|(title, all)| fact(title, names(all, "none known"))).collect()));
    blocks
}

fn training(card: &Card) -> Vec<Block> {
    let training = &card.training;
    let mut blocks = Vec::new();
    match &training.run {
        None => blocks.push(Block::Facts(vec![fact("Run", vec![Span::Missing(NOT_KNOWN)])])),
        Some(run) => {
            let mut experiment = name_or(run.experiment_name.as_deref(), NOT_KNOWN);
            experiment.push(text(format!(" (number {})", run.experiment)));
            let mut times = vec![text(format!("{} to ", time(run.start)))];
            times.push(run.end.map_or(Span::Missing("no end stated"), |end| text(time(end))));
            blocks.push(Block::Facts(vec![
                fact("Run", vec![name(&run.id), text(" ("), name(&run.name), text(")")]),
                fact("Experiment", experiment),
                fact("By", name_or(run.user.as_deref(), NOT_STATED)),
                fact("Status", vec![text(run.status.name())]),
                fact("Time", times),
            ]));
        }
    }
    for (title, head, all) in [
        ("Code", "Fact", &training.code),
        ("Parameters", "Parameter", &training.parameters),
        ("Libraries", "Library", &training.libraries),
    ] {
        blocks.push(Block::Heading(title));
        blocks.extend(table(vec![head, "Value"], all, pair, NOT_STATED));
    }
    blocks
}

fn metrics(card: &Card) -> Vec<Block> {
    let row = |measure: &Measure| {
        let data = match &measure.data {
            Some(data) => vec![name(&data.name), text(" "), name(&data.digest)],
            None => vec![Span::Missing(NOT_STATED)],
        };
        let phase = match measure.phase {
            Some(Phase::Training) => text("training"),
            Some(Phase::Evaluation) => text("evaluation"),
            None => Span::Missing(NOT_STATED),
        };
        let value = vec![text(number(measure.value))];
        vec![vec![name(&measure.metric)], value, data, vec![phase], vec![text(time(measure.at))]]
    };
    let head = vec!["Metric", "Value", "Measured on", "For", "When"];
    let mut blocks = table(head, &card.metrics.measured, row, "none was logged");
    let earlier = &card.metrics.earlier;
    blocks.push(Block::Heading("Beside the versions before it"));
    if earlier.is_empty() {
        blocks.push(Block::Sentence(vec![text("There is no version before it.")]));
        return blocks;
    }
    let rows: Vec<Vec<Line>> = earlier.shown.iter().flat_map(compared).collect();
    blocks.push(Block::Table {
        head: vec!["Version", "Registered", "Metric", "Then", "This version", "Change", "Same data"],
        rows,
    });
    blocks.extend(more(earlier.more, "earlier versions"));
    blocks
}

/// The rows of an earlier version.
fn compared(earlier: &Earlier) -> Vec<Vec<Line>> {
    let start = || vec![vec![text(earlier.version.to_string())], vec![text(time(earlier.registered_at))]];
    let missing = |what| vec![Span::Missing(what)];
    if earlier.compared.is_empty() {
        let mut row = start();
        row.push(missing("no metric that both have"));
        row.extend((0..4).map(|_| Vec::new()));
        return vec![row];
    }
    let row = |compared: &super::Compared| {
        let mut row = start();
        row.extend([
            vec![name(&compared.metric)],
            vec![text(number(compared.other))],
            vec![text(number(compared.value))],
            vec![text(change(compared.other, compared.value))],
            compared.same_data.map_or_else(|| missing(NOT_STATED), |same| vec![text(yes(same))]),
        ]);
        row
    };
    let mut rows: Vec<Vec<Line>> = earlier.compared.shown.iter().map(row).collect();
    if earlier.compared.more > 0 {
        let mut row = start();
        row.push(vec![text(format!("and {} more", earlier.compared.more))]);
        row.extend((0..4).map(|_| Vec::new()));
        rows.push(row);
    }
    rows
}

fn gates(card: &Card) -> Vec<Block> {
    if card.gates.is_empty() {
        return vec![Block::Sentence(vec![text("No gate stands before an alias or a stage of this model.")])];
    }
    let row = |place: &super::Place| {
        let mut asks = Line::new();
        for (i, gate) in place.gates.iter().enumerate() {
            asks.extend([text(if i == 0 { "" } else { "; " }), name(&gate.name), text(format!(": {}", gate.asks))]);
        }
        let answer = place.refusal.as_ref().map_or_else(|| "passes".to_owned(), |why| format!("refused: {why}"));
        vec![vec![name(&place.place)], vec![text(yes(place.held))], asks, vec![text(answer)]]
    };
    let head = vec!["Before", "Holds it", "Gates", "Now"];
    vec![Block::Table { head, rows: card.gates.iter().map(row).collect() }]
}

fn lifecycle(card: &Card) -> Vec<Block> {
    let lifecycle = &card.lifecycle;
    let row = |made: &super::Moved| {
        let version = |version: Option<u64>| version.map_or("none".to_owned(), |v| v.to_string());
        let in_use = match made.before == made.after {
            true => version(made.after),
            false => format!("{} → {}", version(made.before), version(made.after)),
        };
        let mut gates = Line::new();
        for gate in &made.gates {
            gates.extend([name(gate), text(" ")]);
        }
        let by = name_or(made.by.as_deref(), NOT_KNOWN);
        vec![vec![text(time(made.at))], by, vec![text(&made.what)], gates, vec![text(in_use)]]
    };
    let head = vec!["When", "By", "What", "Gates passed", "Version in use"];
    let mut blocks: Vec<Block> = more(lifecycle.moves.more, "earlier moves").into_iter().collect();
    let newest = Listed { shown: lifecycle.moves.shown.iter().collect(), more: 0 };
    blocks.extend(table(head, &newest, |made| row(made), "no move is known"));
    let mut approvals = Line::new();
    for (i, approval) in lifecycle.approvals.shown.iter().enumerate() {
        approvals.push(text(if i == 0 { "" } else { ", " }));
        approvals.extend(name_or(approval.by.as_deref(), NOT_KNOWN));
        approvals.push(text(format!(" at {}", time(approval.at))));
    }
    if approvals.is_empty() {
        approvals.push(Span::Missing("none"));
    }
    blocks.push(Block::Facts(vec![fact("Approved by", approvals)]));
    blocks
}

fn live(card: &Card) -> Vec<Block> {
    let live = &card.live;
    let mut blocks = Vec::new();
    match &live.answers {
        None => blocks.push(sentence_missing(NOT_KNOWN)),
        Some(answers) => {
            let count = |count: Option<u64>| count.map_or(Span::Missing(NOT_KNOWN), |count| text(count.to_string()));
            let ms = |ms: Option<f64>| ms.map_or(Span::Missing(NOT_KNOWN), |ms| text(format!("{} ms", number(ms))));
            let since = answers.since.map_or(Span::Missing("since when is not known"), |at| text(time(at)));
            blocks.push(Block::Facts(vec![
                fact("Rows answered", vec![text(answers.rows.to_string())]),
                fact("Since", vec![since]),
                fact("Requests", vec![count(answers.requests)]),
                fact("Refused", vec![count(answers.refused)]),
                fact("Half of the requests within", vec![ms(answers.latency_ms_p50)]),
                fact("99 of 100 requests within", vec![ms(answers.latency_ms_p99)]),
            ]));
        }
    }
    blocks.push(Block::Heading("How well it does"));
    let row = |seen: &super::Performance| {
        let by = if seen.estimated { "estimated without labels" } else { "labels" };
        vec![
            vec![name(&seen.metric)],
            vec![text(number(seen.value))],
            vec![interval(seen.low, seen.high)],
            vec![text(seen.rows.to_string())],
            vec![text(by)],
        ]
    };
    blocks.extend(table(vec!["Metric", "Value", "95 % interval", "Rows", "By"], &live.performance, row, NOT_KNOWN));
    blocks.push(Block::Heading("Drift of its inputs"));
    let row = |seen: &super::Drift| {
        vec![vec![name(&seen.column)], vec![text(number(seen.distance))], vec![text(yes(seen.drifted))]]
    };
    blocks.extend(table(vec!["Column", "Distance, 0 to 1", "Drifted"], &live.drift, row, NOT_KNOWN));
    blocks.push(Block::Heading("Findings"));
    let none = if live.answers.is_some() { "none" } else { NOT_KNOWN };
    let row = |seen: &super::FindingSeen| {
        let stands = if seen.ongoing { "goes on" } else { "ended" };
        vec![
            vec![name(&seen.measure)],
            name_or(Some(&seen.scope), "the whole"),
            vec![text(&seen.summary)],
            vec![text(time(seen.start))],
            vec![text(stands)],
        ]
    };
    blocks.extend(table(vec!["Measure", "Of", "What", "Since", "Stands"], &live.findings, row, none));
    blocks
}

fn fairness(card: &Card) -> Vec<Block> {
    let fairness = &card.fairness;
    let mut blocks = vec![Block::Facts(vec![
        fact("Sensitive columns", names(&fairness.sensitive, "none named")),
        fact("Favourable answer", name_or(fairness.favourable.as_deref(), NOT_STATED)),
    ])];
    let row = |seen: &super::GroupSeen| {
        vec![
            vec![name(&seen.column)],
            vec![name(&seen.group)],
            vec![text(number(seen.favourable))],
            vec![interval(seen.low, seen.high)],
            vec![text(seen.rows.to_string())],
        ]
    };
    let head = vec!["Column", "Group", "Favourable answers", "95 % interval", "Rows"];
    blocks.extend(table(head, &fairness.groups, row, NOT_KNOWN));
    if !fairness.ratios.is_empty() {
        blocks.push(Block::Heading("Lowest rate by highest"));
        let row = |ratio: &super::Ratio| {
            let of = |text: &str| vec![name(text)];
            vec![of(&ratio.column), of(&ratio.lowest), of(&ratio.highest), vec![text(number(ratio.ratio))]]
        };
        blocks.extend(table(vec!["Column", "Lowest", "Highest", "Ratio"], &fairness.ratios, row, "none"));
    }
    blocks
}

fn caveats(card: &Card) -> Vec<Block> {
    if card.caveats.is_empty() {
        return vec![Block::Sentence(vec![text("None follows from what is known.")])];
    }
    vec![Block::List(card.caveats.iter().map(|caveat| vec![text(format!("{caveat}."))]).collect())]
}

fn missing(card: &Card) -> Vec<Block> {
    let line = |missing: &super::Missing| vec![text(format!("{}: {}.", missing.what, missing.tell))];
    vec![Block::List(card.missing.iter().map(line).collect())]
}

fn text(words: impl Into<String>) -> Span {
    Span::Text(words.into())
}

fn name(of: &str) -> Span {
    Span::Name(of.to_owned())
}

fn name_or(of: Option<&str>, missing: &'static str) -> Line {
    vec![of.filter(|of| !of.is_empty()).map_or(Span::Missing(missing), name)]
}

fn names(all: &Listed<String>, missing: &'static str) -> Line {
    if all.is_empty() {
        return vec![Span::Missing(missing)];
    }
    let mut line = Line::new();
    for one in &all.shown {
        if !line.is_empty() {
            line.push(text(", "));
        }
        line.push(name(one));
    }
    if all.more > 0 {
        line.push(text(format!(" and {} more", all.more)));
    }
    line
}

fn fact(title: &str, line: Line) -> (String, Line) {
    (title.to_owned(), line)
}

fn sentence_missing(what: &'static str) -> Block {
    Block::Sentence(vec![Span::Missing(what)])
}

fn pair(pair: &Named) -> Vec<Line> {
    vec![vec![name(&pair.name)], vec![name(&pair.value)]]
}

/// A table of a list, or that there is nothing.
fn table<T>(
    head: Vec<&'static str>,
    all: &Listed<T>,
    row: impl Fn(&T) -> Vec<Line>,
    missing: &'static str,
) -> Vec<Block> {
    if all.is_empty() {
        return vec![sentence_missing(missing)];
    }
    let mut blocks = vec![Block::Table { head, rows: all.shown.iter().map(row).collect() }];
    blocks.extend(more(all.more, "more"));
    blocks
}

fn more(count: usize, what: &str) -> Option<Block> {
    (count > 0).then(|| Block::Sentence(vec![text(format!("{count} {what} are not shown."))]))
}

fn interval(low: Option<f64>, high: Option<f64>) -> Span {
    match low.zip(high) {
        Some((low, high)) => text(format!("{} to {}", number(low), number(high))),
        None => Span::Missing(NOT_KNOWN),
    }
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// A number to six digits that count.
fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || !value.is_finite() {
        return format!("{}", value + 0.0);
    }
    if !(1e-4..1e15).contains(&size) {
        return format!("{value:.5e}");
    }
    let decimals = (5 - size.log10().floor() as i32).max(0) as usize;
    let written = format!("{value:.decimals$}");
    match written.contains('.') {
        true => written.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => written,
    }
}

fn change(before: f64, after: f64) -> String {
    let difference = after - before;
    let sign = if difference > 0.0 { "+" } else { "" };
    format!("{sign}{}", number(difference))
}

/// A time, ms since 1970, for people.
fn time(ms: i64) -> String {
    match DateTime::from_timestamp_millis(ms) {
        Some(time) => time.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
        None => format!("{ms} ms since 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_six_digits_that_count() {
        for (value, written) in [
            (0.0, "0"),
            (-0.0, "0"),
            (0.966_666_666_7, "0.966667"),
            (150.0, "150"),
            (1234567.0, "1234567"),
            (-0.000_012_5, "-1.25000e-5"),
            (f64::MAX, "1.79769e308"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), written);
        }
        assert_eq!((change(0.9, 0.95).as_str(), change(2.0, 1.5).as_str()), ("+0.05", "-0.5"));
        assert_eq!(time(i64::MAX), "9223372036854775807 ms since 1970");
        assert_eq!(time(0), "1970-01-01 00:00:00 UTC");
    }
}
