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

mod judge;
mod resources;
mod visits;
mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use types::CauseKind;

use self::visits::{Visit, visits_of};
pub use self::{
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
        self.learn_but(&visits, &BTreeSet::new());
    }

    /// Learns of a stretch what is not far from usual, operation by operation: a fault must not become usual because it
    /// was there before. What stays as it is for [`STAYS`] stretches becomes usual all the same.
    pub fn learn_unless_odd(&mut self, spans: &[Span], lines: &[Line]) {
        let visits = visits_of(spans, &self.renamed_lines(lines));
        let mut odd = self.odd_operations(&visits);
        odd.retain(|key| {
            let Some(operation) = self.operations.get_mut(key) else { return false };
            operation.left_out += 1;
            operation.left_out <= STAYS
        });
        self.learn_but(&visits, &odd);
    }

    fn learn_but(&mut self, visits: &[Visit], odd: &BTreeSet<(u32, u32)>) {
        let block = self.next;
        self.next = self.next.saturating_add(1);
        for visit in visits.iter().filter(|v| !odd.contains(&(v.service, v.operation))) {
            self.learn_visit(visit, block, visits);
        }
        for (key, requests) in judge::requests_of(visits) {
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

    /// Whether nothing was learned.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
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
