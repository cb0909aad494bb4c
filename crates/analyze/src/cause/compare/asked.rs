//! A recorded stretch held against what was recorded before it, and the answer with names.

use std::collections::BTreeMap;

use serde::Serialize;
use types::{MINUTE, Time};

use super::{About, Evidence, Line, Named, Reading, Span, Usual};
use crate::detect::words::rounded;

/// Traces before the stretch, at least, for it to be held against anything.
const BEFORE_LEAST: usize = 20;

/// What was recorded: from some time before the stretch to its end.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// Spans, in any order.
    pub spans: &'a [Span],
    /// Log lines written within spans, in any order.
    pub lines: &'a [Line],
    /// How much of resources was used.
    pub readings: &'a [Reading<'a>],
}

/// Which service is why requests went otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Different {
    /// Traces that began before the stretch, and within it.
    pub before: usize,
    /// See `before`.
    pub within: usize,
    /// Whether nobody should act on the first suspect.
    pub undecided: bool,
    /// Strongest first.
    pub suspects: Vec<Culprit>,
}

/// A service that may be why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Culprit {
    /// Its name, as the caller knows it.
    pub entity: String,
    /// In which way it is the cause: a kind of cause.
    pub kind: &'static str,
    /// 0..=1; all together less than 1.
    pub belief: f64,
    /// What speaks for it, one sentence each, strongest first.
    pub reasons: Vec<String>,
    /// Where its work leaves the usual way: a line that still comes (none: the begin), and the one that no longer comes
    /// right after it.
    pub leaves: Option<(Option<String>, String)>,
}

/// Learns what is usual from the minutes before `from` (traces belong to the minute in which they began; what is far
/// from usual is not learned), and judges what began since.
pub fn ask(recorded: &Recorded, from: Time, name: &dyn Fn(Named) -> String) -> Different {
    let mut starts: BTreeMap<u64, i64> = BTreeMap::new();
    for span in recorded.spans {
        let start = starts.entry(span.trace).or_insert(span.start);
        *start = (*start).min(span.start);
    }
    let before = starts.values().filter(|start| **start < from.0).count();
    let mut answer = Different { before, within: starts.len() - before, undecided: true, suspects: Vec::new() };
    if before < BEFORE_LEAST || answer.within == 0 {
        return answer;
    }
    // By minutes back from the stretch; the stretch itself is the last.
    let block_of = |trace: u64| starts.get(&trace).map_or(1, |start| (start - from.0).div_euclid(MINUTE).min(0));
    let mut blocks: BTreeMap<i64, (Vec<Span>, Vec<Line>)> = BTreeMap::new();
    recorded.spans.iter().for_each(|span| blocks.entry(block_of(span.trace)).or_default().0.push(*span));
    for line in recorded.lines {
        if let Some(block) = blocks.get_mut(&block_of(line.trace)) {
            block.1.push(*line);
        }
    }
    let Some((spans, lines)) = blocks.remove(&0) else { return answer };
    let mut usual = Usual::default();
    for (spans, lines) in blocks.into_values() {
        usual.learn_unless_odd(&spans, &lines);
    }
    let verdict = usual.judge(&spans, &lines, recorded.readings);
    answer.undecided = verdict.undecided;
    for suspect in verdict.suspects {
        answer.suspects.push(Culprit {
            entity: name(Named::Service(suspect.service)),
            kind: suspect.kind.as_str(),
            belief: suspect.belief,
            reasons: suspect.evidence.iter().map(|evidence| sentence(evidence, name)).collect(),
            leaves: suspect.leaves.map(|(before, after)| {
                (before.map(|before| name(Named::Template(before))), name(Named::Template(after)))
            }),
        });
    }
    answer
}

fn sentence(evidence: &Evidence, name: &dyn Fn(Named) -> String) -> String {
    let title = evidence.about.title(name);
    let Evidence { seen, of, .. } = evidence;
    let usual = format!("usually {:.0} %", 100.0 * evidence.usual);
    match &evidence.about {
        About::Comes { .. } | About::StaysAway { .. } => format!("{title}: in {seen} of {of} requests, {usual}"),
        About::Ways => format!("{title} is longer in {seen} of {of}, {usual}"),
        About::Resource { value, before, .. } => {
            format!("{title} is {}, usually {}", rounded(*value, 3), rounded(*before, 3))
        }
    }
}

#[cfg(test)]
mod tests {
    use types::SECOND;

    use super::*;

    const START: i64 = 1_767_571_200 * SECOND;
    const BEFORE: i64 = 20;

    fn name(of: Named) -> String {
        match of {
            Named::Service(1) => "front".into(),
            Named::Service(_) => "deep".into(),
            Named::Operation(of) => format!("operation {of}"),
            Named::Template(of) => format!("template {of}"),
            Named::Metric(of) => format!("metric {of}"),
        }
    }

    /// A request a second: front calls deep, which writes two lines; from minute 20 on only the first.
    fn recorded(minutes: i64, breaks: bool) -> (Vec<Span>, Vec<Line>) {
        let (mut spans, mut lines) = (Vec::new(), Vec::new());
        for second in 0..minutes * 60 {
            let trace = second as u64 + 1;
            let at = START + second * SECOND;
            let length = 90_000_000 + (second * 7919 % 13) * 1_000_000;
            let span = |id, service: u32, end| Span {
                trace,
                id,
                parent: (id > 1).then_some(1),
                service,
                operation: service * 10,
                start: at,
                end: at + end,
                failed: false,
            };
            spans.extend([span(1, 1, length), span(2, 2, length / 2)]);
            lines.push(Line { trace, span: 2, template: 7, time: at + 1 });
            if !(breaks && second >= BEFORE * 60) {
                lines.push(Line { trace, span: 2, template: 8, time: at + 2 });
            }
        }
        (spans, lines)
    }

    fn asked(minutes: i64, breaks: bool) -> Different {
        let (spans, lines) = recorded(minutes, breaks);
        let recorded = Recorded { spans: &spans, lines: &lines, readings: &[] };
        ask(&recorded, Time(START + BEFORE * MINUTE), &name)
    }

    #[test]
    fn where_work_leaves_the_usual_way_is_said() {
        let answer = asked(BEFORE + 3, true);
        assert_eq!((answer.before, answer.within, answer.undecided), (1200, 180, false));
        let first = &answer.suspects[0];
        assert_eq!((first.entity.as_str(), first.kind), ("deep", "software"));
        assert_eq!(first.leaves, Some((Some("template 7".into()), "template 8".into())));
        assert!(first.reasons.iter().any(|r| r.contains("no line template 8: in 180 of 180")), "{first:#?}");
    }

    #[test]
    fn where_nothing_changed_or_nothing_is_known_nobody_is_named() {
        let same = asked(BEFORE + 3, false);
        assert!(same.undecided && same.suspects.is_empty(), "{same:#?}");
        for minutes in [0, BEFORE] {
            let none = asked(minutes, true);
            assert!(none.undecided && none.suspects.is_empty() && none.within == 0, "{none:#?}");
        }
        let (spans, lines) = recorded(3, true);
        let recorded = Recorded { spans: &spans, lines: &lines, readings: &[] };
        let first = ask(&recorded, Time(START), &name);
        assert_eq!((first.before, first.within, first.undecided), (0, 180, true));
    }
}
