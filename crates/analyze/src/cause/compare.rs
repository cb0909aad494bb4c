//! Which service is why requests go otherwise than they did: traces, logs and metrics of a stretch, held against those
//! of before.
//!
//! Idea: what one service does for one request (a visit: its spans that hang together, with their log lines) has marks:
//! templates written, services called, steps done, failures, own time above what is usual. Of each operation it is
//! learned in which share of requests each mark comes, and how much that share wanders from minute to minute
//! ([`math::rates`]); a mark that now comes, or stays away, in far more requests than that is evidence against the
//! service, unless something deeper in the same request went as wrong: then it only passes on. A service to which and
//! from which all ways (what a call takes over the time in the called service) are slow has a slow network; one that
//! uses up its processor or memory as never before is short of it. That patterns in traces and logs which lost their
//! support tell the cause is the idea of Nezha (Yu et al., FSE 2023); here each has a calibrated chance, and the order
//! is not by depth alone.
//!
//! Where it is live, the caller keeps one [`Usual`] and gives it each minute of spans and log records once it is two
//! minutes old ([`Usual::learn_unless_odd`]; what began before it was seen must not become usual), and asks
//! [`Usual::judge`] for the minutes since the onset of an incident, or for each new minute ([`ALARM`]); or it makes one
//! from an hour of history before the onset when it is asked. Numbers are the caller's: entity keys, template ids.
//!
//! Parameters: a mark counts from a surprise of 2 on (one in a hundred); an operation is learned below a weight of 3;
//! what was called explains what it is at least half as surprising as. Cost: some 3 µs a span to learn and to judge;
//! memory is bounded by the operations, their marks and [`BLOCKS_MOST`]. Fails on: faults that change nothing in what is
//! written, called and taken; services that send no spans; what goes wrong at the called because the caller asks
//! otherwise; a new version that writes other lines; operations with less than about five requests in the stretch.

mod asked;
mod judge;
mod resources;
mod visits;
mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use types::CauseKind;

use self::judge::Requests;
use self::visits::{Visit, visits_of};
pub use self::{
    asked::{Culprit, Different, Recorded, ask},
    resources::{Reading, Use},
    visits::{Line, Mark, Span},
    words::Named,
};

/// Weight of the strongest suspect from which a stretch is worth an alarm where nothing else raised one. Some thousand
/// marks are looked at in a minute, but few of them come apart from each other.
pub const ALARM: f64 = 5.0;

/// Stretches (minutes) that are remembered.
const BLOCKS_MOST: usize = 240;
/// Own times remembered of each operation.
const TIMES_MOST: usize = 1000;
/// Stretches in a row after which what is not as usual has become usual.
const STAYS: u32 = 60;

/// What is usual.
#[derive(Clone, Debug, Default)]
pub struct Usual {
    /// Number of the next stretch.
    next: u32,
    operations: BTreeMap<(u32, u32), Operation>,
    /// What the way of a call took, by caller and called.
    ways: BTreeMap<(u32, u32), VecDeque<(u32, i64)>>,
    /// Names that templates had before they turned out to be others.
    renamed: BTreeMap<u32, u32>,
}

/// What is usual of one operation of one service.
#[derive(Clone, Debug, Default)]
struct Operation {
    /// Requests in each stretch in which it came.
    requests: VecDeque<(u32, u32)>,
    /// For each mark, by stretch: requests with it in at least one visit, and in all visits.
    marks: BTreeMap<Mark, VecDeque<(u32, u32, u32)>>,
    /// Own time of visits, with their stretch.
    times: VecDeque<(u32, i64)>,
    /// Stretches in a row that were not learned because it was not as usual.
    left_out: u32,
}

/// A service that may be why.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// The service.
    pub service: u32,
    /// In which way it is the cause.
    pub kind: CauseKind,
    /// Weight of all that speaks for it, 0..=300: surprise where it changed everything that the service does.
    pub weight: f64,
    /// 0..=1; all together less than 1.
    pub belief: f64,
    /// What speaks for it, strongest first; at least one.
    pub evidence: Vec<Evidence>,
    /// Where its work leaves the usual way: a template that still comes (`None`: the begin) and the one that no longer
    /// comes right after it.
    pub leaves: Option<(Option<u32>, u32)>,
}

/// One thing that is not as usual.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// What it is.
    pub about: About,
    /// -log10 of the chance.
    pub surprise: f64,
    /// Surprise times the share of requests, of the time, or of the resource that it concerns; 0..=300.
    pub weight: f64,
    /// Requests in which it is so and that are not explained by what was called, of how many.
    pub seen: u32,
    /// Requests looked at.
    pub of: u32,
    /// Share of requests in which it is usually so.
    pub usual: f64,
}

/// What evidence speaks of.
#[derive(Clone, Debug, PartialEq)]
pub enum About {
    /// A mark of an operation comes in more requests.
    Comes {
        /// The operation.
        operation: u32,
        /// What comes.
        mark: Mark,
    },
    /// A mark of an operation stays away in more requests.
    StaysAway {
        /// The operation.
        operation: u32,
        /// What stays away.
        mark: Mark,
    },
    /// Calls to and from the service take longer on the way.
    Ways,
    /// More of a resource is used.
    Resource {
        /// The metric that says so.
        metric: u32,
        /// Its highest value.
        value: f64,
        /// Its usual value.
        before: f64,
    },
}

/// The outcome of a comparison.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Strongest first.
    pub suspects: Vec<Suspect>,
    /// Whether none is clearly the cause.
    pub undecided: bool,
}

impl Usual {
    /// Learns a stretch (a minute of requests, or less) that is known to be as usual.
    pub fn learn(&mut self, spans: &[Span], lines: &[Line]) {
        let visits = visits_of(spans, &self.renamed_lines(lines));
        self.learn_but(&visits, judge::requests_of(&visits), &BTreeSet::new());
    }

    /// Learns of a stretch what is not far from usual, operation by operation: a fault must not become usual because it
    /// was there before. What stays as it is for [`STAYS`] stretches becomes usual all the same.
    pub fn learn_unless_odd(&mut self, spans: &[Span], lines: &[Line]) {
        let visits = visits_of(spans, &self.renamed_lines(lines));
        let requests = judge::requests_of(&visits);
        let mut odd = self.odd_operations(&requests, &visits);
        odd.retain(|key| {
            let Some(operation) = self.operations.get_mut(key) else { return false };
            operation.left_out += 1;
            operation.left_out <= STAYS
        });
        self.learn_but(&visits, requests, &odd);
    }

    fn learn_but(&mut self, visits: &[Visit], requests: BTreeMap<(u32, u32), Requests>, odd: &BTreeSet<(u32, u32)>) {
        let block = self.next;
        self.next = self.next.saturating_add(1);
        for visit in visits.iter().filter(|v| !odd.contains(&(v.service, v.operation))) {
            self.learn_visit(visit, block, visits);
        }
        for (key, requests) in requests {
            if odd.contains(&key) {
                continue;
            }
            let operation = self.operations.entry(key).or_default();
            operation.left_out = 0;
            operation.requests.push_back((block, requests.len() as u32));
            for (mark, (some, all)) in judge::counts_of(&requests, visits) {
                operation.marks.entry(mark).or_default().push_back((block, some, all));
            }
            operation.forget(block);
        }
        for ways in self.ways.values_mut() {
            forget(ways, |(of, _)| *of, block, TIMES_MOST);
        }
    }

    /// Takes a template for another from now on, because the two turned out to be the same.
    pub fn rename(&mut self, template: u32, goes_on_as: u32) {
        if template == goes_on_as {
            return;
        }
        self.renamed.values_mut().filter(|to| **to == template).for_each(|to| *to = goes_on_as);
        self.renamed.insert(template, goes_on_as);
        for operation in self.operations.values_mut() {
            operation.rename(template, goes_on_as);
        }
    }

    fn renamed_lines(&self, lines: &[Line]) -> Vec<Line> {
        let now = |l: &Line| Line { template: *self.renamed.get(&l.template).unwrap_or(&l.template), ..*l };
        lines.iter().map(now).collect()
    }

    fn learn_visit(&mut self, visit: &Visit, block: u32, visits: &[Visit]) {
        let operation = self.operations.entry((visit.service, visit.operation)).or_default();
        operation.times.push_back((block, visit.own));
        for (called, way) in &visit.ways {
            self.ways.entry((visit.service, visits[*called].service)).or_default().push_back((block, *way));
        }
    }
}

impl Operation {
    fn forget(&mut self, block: u32) {
        forget(&mut self.requests, |(of, _)| *of, block, BLOCKS_MOST);
        forget(&mut self.times, |(of, _)| *of, block, TIMES_MOST);
        for blocks in self.marks.values_mut() {
            forget(blocks, |(of, _, _)| *of, block, BLOCKS_MOST);
        }
        self.marks.retain(|_, blocks| !blocks.is_empty());
    }

    fn rename(&mut self, template: u32, goes_on_as: u32) {
        let now = |of: u32| if of == template { goes_on_as } else { of };
        let renamed = |mark: &Mark| match *mark {
            Mark::Line(of) => Mark::Line(now(of)),
            Mark::Then(before, of) => Mark::Then(before.map(now), of.map(now)),
            other => other,
        };
        let others: Vec<Mark> = self.marks.keys().filter(|mark| renamed(mark) != **mark).copied().collect();
        for mark in others {
            let blocks = self.marks.remove(&mark).unwrap_or_default();
            let known = self.marks.remove(&renamed(&mark)).unwrap_or_default();
            let mut sums: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
            for (block, some, all) in blocks.into_iter().chain(known) {
                let sum = sums.entry(block).or_default();
                *sum = (sum.0.saturating_add(some), sum.1.saturating_add(all));
            }
            let sums = sums.into_iter().map(|(block, (some, all))| (block, some, all)).collect();
            self.marks.insert(renamed(&mark), sums);
        }
    }
}

fn forget<T>(known: &mut VecDeque<T>, block_of: impl Fn(&T) -> u32, now: u32, most: usize) {
    let is_old = |entry: &T| now.saturating_sub(block_of(entry)) as usize >= BLOCKS_MOST;
    while known.len() > most || known.front().is_some_and(is_old) {
        known.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;
    const FRONT: u32 = 1;
    const MIDDLE: u32 = 2;
    const DEEP: u32 = 3;

    /// What a request is changed by: its spans by id less one, and its lines.
    type Change<'a> = &'a dyn Fn(u64, &mut [Span], &mut Vec<Line>);

    /// A minute of requests: front calls middle calls deep; each writes two lines.
    fn minute(number: u64, change: Change) -> (Vec<Span>, Vec<Line>) {
        let (mut all_spans, mut all_lines) = (Vec::new(), Vec::new());
        for request in 0..30 {
            let trace = number * 100 + request;
            let jitter = (trace * 7919 % 13) as i64;
            let span = |id: u64, service, operation, start: i64, end: i64| Span {
                trace,
                id,
                parent: (id > 1).then_some(id - 1),
                service,
                operation,
                start: (trace as i64 * 2000 + start) * MS,
                end: (trace as i64 * 2000 + end + jitter) * MS,
                failed: false,
            };
            let mut spans = [
                span(1, FRONT, 10, 0, 100),
                span(2, FRONT, 11, 10, 80),
                span(3, MIDDLE, 20, 15, 75),
                span(4, MIDDLE, 21, 25, 60),
                span(5, DEEP, 30, 30, 55),
            ];
            let line = |span: u64, template: u32, at: i64| Line {
                trace,
                span,
                template,
                time: (trace as i64 * 2000 + at) * MS,
            };
            let mut lines =
                vec![line(1, 1, 1), line(1, 2, 99), line(3, 3, 16), line(3, 4, 74), line(5, 5, 31), line(5, 6, 54)];
            change(request, &mut spans, &mut lines);
            all_spans.extend(spans);
            all_lines.extend(lines);
        }
        (all_spans, all_lines)
    }

    fn usual() -> Usual {
        let mut usual = Usual::default();
        for number in 0..10 {
            let (spans, lines) = minute(number, &|_, _, _| {});
            usual.learn(&spans, &lines);
        }
        usual
    }

    fn judge(change: Change) -> Verdict {
        let (spans, lines) = minute(90, change);
        usual().judge(&spans, &lines, &[])
    }

    /// Makes the spans up to this id last longer.
    fn delay(spans: &mut [Span], up_to: usize, by: i64) {
        spans[..up_to].iter_mut().for_each(|s| s.end += by * MS);
    }

    #[test]
    fn another_line_deep_down_is_the_cause_and_what_follows_above_is_not() {
        let verdict = judge(&|_, _, lines| {
            lines.iter_mut().filter(|l| l.template == 6).for_each(|l| l.template = 60);
            lines.iter_mut().filter(|l| l.template == 4).for_each(|l| l.template = 40);
        });
        let first = &verdict.suspects[0];
        assert_eq!((first.service, first.kind, verdict.undecided), (DEEP, CauseKind::Software, false));
        assert_eq!(first.leaves, Some((Some(5), 6)));
        assert!(verdict.suspects.iter().all(|s| s.service != MIDDLE), "{verdict:?}");
        assert!(verdict.suspects.iter().map(|s| s.belief).sum::<f64>() < 1.0);
    }

    #[test]
    fn what_is_lost_between_two_equal_lines_is_seen() {
        // The same template twice in a row, and then only once: no line is new and none is gone.
        let twice = |_: u64, _: &mut [Span], lines: &mut Vec<Line>| {
            lines.iter_mut().filter(|l| l.template == 6).for_each(|l| l.template = 5);
        };
        let mut usual = Usual::default();
        for number in 0..10 {
            let (spans, lines) = minute(number, &twice);
            usual.learn(&spans, &lines);
        }
        let (spans, lines) = minute(90, &|_, _, lines| lines.retain(|l| l.template != 6));
        let verdict = usual.judge(&spans, &lines, &[]);
        assert_eq!((verdict.suspects[0].service, verdict.suspects[0].leaves), (DEEP, Some((Some(5), 5))));
    }

    #[test]
    fn longer_own_work_is_the_cause_where_it_is_done() {
        let verdict = judge(&|_, spans, _| delay(spans, 3, 300));
        let first = &verdict.suspects[0];
        assert_eq!((first.service, first.kind, verdict.undecided), (MIDDLE, CauseKind::Software, false));
        let is_time = |e: &Evidence| matches!(e.about, About::Comes { mark: Mark::Slow | Mark::Slowest, .. });
        assert!(is_time(&first.evidence[0]), "{first:?}");
        assert_eq!(verdict.suspects.len(), 1, "those above only wait: {verdict:?}");
    }

    #[test]
    fn slow_ways_are_of_the_service_all_of_whose_ways_are_slow() {
        let verdict = judge(&|_, spans, _| delay(spans, 4, 100));
        assert_eq!((verdict.suspects[0].service, &verdict.suspects[0].evidence[0].about), (DEEP, &About::Ways));
    }

    #[test]
    fn a_used_up_processor_without_anything_else_is_a_lack_of_a_resource() {
        let (spans, lines) = minute(90, &|_, _, _| {});
        let before: Vec<f64> = (0..200).map(|i| 0.02 + 0.01 * f64::from(i % 4)).collect();
        let reading = |within| Reading { service: MIDDLE, metric: 7, says: Use::Share, before: &before, within };
        let verdict = usual().judge(&spans, &lines, &[reading(&[0.03, 1.0])]);
        assert_eq!((verdict.suspects[0].service, verdict.suspects[0].kind), (MIDDLE, CauseKind::Resource));
        assert!(matches!(verdict.suspects[0].evidence[0].about, About::Resource { metric: 7, .. }));
        assert_eq!(usual().judge(&spans, &lines, &[reading(&[0.06])]).suspects, []);
    }

    #[test]
    fn nothing_wrong_is_undecided_and_raises_no_alarm() {
        for verdict in [judge(&|_, _, _| {}), usual().judge(&[], &[], &[]), Usual::default().judge(&[], &[], &[])] {
            assert!(verdict.undecided && verdict.suspects.iter().all(|s| s.weight < ALARM), "{verdict:?}");
        }
        let (spans, lines) = minute(90, &|_, _, _| {});
        assert!(Usual::default().judge(&spans, &lines, &[]).undecided, "without knowing what is usual");
        // Two requests of thirty that fail otherwise are no fault that must wake anybody.
        let few = judge(&|request, _, lines| {
            let few = request < 2;
            lines.iter_mut().filter(|l| few && l.template == 6).for_each(|l| l.template = 60);
        });
        assert!(few.suspects.iter().all(|s| s.weight < ALARM), "{few:?}");
    }

    #[test]
    fn a_fault_is_not_learned_until_it_has_stayed_for_long() {
        let fault = |_: u64, _: &mut [Span], lines: &mut Vec<Line>| lines.retain(|l| l.template != 6);
        let mut usual = usual();
        let mut weights = Vec::new();
        for number in 0..u64::from(STAYS) + 10 {
            let (spans, lines) = minute(90 + number, &fault);
            let verdict = usual.judge(&spans, &lines, &[]);
            weights.push(verdict.suspects.first().map_or(0.0, |s| s.weight));
            usual.learn_unless_odd(&spans, &lines);
        }
        assert!(weights[..STAYS as usize].iter().all(|w| *w >= ALARM), "{weights:?}");
        assert!(weights[weights.len() - 1] < ALARM, "{weights:?}");
    }

    #[test]
    fn templates_that_turn_out_to_be_one_are_no_change() {
        let mut usual = usual();
        usual.rename(6, 66);
        for template in [6, 66] {
            let (spans, lines) = minute(90, &|_, _, lines| {
                lines.iter_mut().filter(|l| l.template == 6).for_each(|l| l.template = template);
            });
            assert_eq!(usual.judge(&spans, &lines, &[]).suspects, []);
        }
    }

    #[test]
    fn garbage_is_no_trouble_and_order_does_not_matter() {
        let odd = [i64::MIN, -1, 0, 1, i64::MAX];
        let span = |i: u64| Span {
            trace: i % 3,
            id: i % 7,
            parent: Some(i % 5),
            service: (i % 4) as u32,
            operation: u32::MAX - (i % 2) as u32,
            start: odd[i as usize % 5],
            end: odd[(i as usize + 2) % 5],
            failed: i.is_multiple_of(2),
        };
        let spans: Vec<Span> = (0..200).map(span).collect();
        let line = |i: u64| Line { trace: i % 4, span: i % 9, template: (i % 3) as u32, time: odd[i as usize % 5] };
        let lines: Vec<Line> = (0..200).map(line).collect();
        let mut usual = usual();
        for _ in 0..3 {
            usual.learn(&spans, &lines);
            usual.learn_unless_odd(&spans, &lines);
            let verdict = usual.judge(&spans, &lines, &[]);
            assert!(verdict.suspects.iter().all(|s| s.weight.is_finite() && (0.0..=1.0).contains(&s.belief)));
        }
        let (mut spans, mut lines) = minute(90, &|_, spans, _| delay(spans, 3, 300));
        let verdict = usual.judge(&spans, &lines, &[]);
        spans.reverse();
        lines.reverse();
        assert_eq!(usual.judge(&spans, &lines, &[]), verdict);
    }
}
