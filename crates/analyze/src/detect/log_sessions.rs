//! Sessions of log lines that were never so: a request whose lines are not those that such requests write.
//!
//! A session is the lines of one entity with the same trace id; where they have none, with the same value at the place
//! that holds an id which comes back in other templates (see `ids.rs`); where there is no such place either, all lines of
//! ten seconds. It is over when it has been quiet for a minute. Then it is held against the sessions before
//! ([`math::sessions`]) in three views: which templates it has, how often each, and which followed which. Each view
//! knows how many of the entity's sessions are usually new to it, and far more than that within a minute are said: one
//! finding an entity, evidence of low impact, with what was new in the latest. Where sessions are long and free nearly
//! all are new, and nothing is said.
//!
//! Bounds: [`MAX_NODES`] entities, [`MAX_OPEN`] sessions open at each and [`MAX_ALL_OPEN`] in all (where more come, only
//! every second, fourth … id counts, whole sessions at a time), [`MAX_KINDS`] templates a session, [`MAX_VECTORS`]
//! sessions known a view. Sessions of more than [`MAX_LINES`] lines are none.

use std::collections::{BTreeMap, VecDeque};

use math::{
    counts::beta_binomial_upper,
    sessions::{Normal, Reason, Verdict},
};
use serde::{Deserialize, Serialize};
use types::{Band, Batch, Direction, EntityId, Evidence, Finding, FindingId, SECOND, Shape, TemplateId, Tenant, Time};
use view::{
    Analysis, BaselinePolicy, Findings, Fleet, Pages, Params, State, StateData, Stratum, Trigger, View, load_nodes,
    save_nodes,
};

use super::ids::Ids;
use super::kinds::Kinds;
use super::ongoing::{Claims, quiet_down, say};
use super::patterns::Patterns;
use super::senders::Senders;
use super::words::{belief_from_surprise, clock, cut, percent, plain, round3};

/// The catalogue's entry.
pub const ANALYSIS: Analysis = Analysis {
    name: NAME,
    version: VERSION,
    summary: "sessions of log lines (by trace, id or time) that were never so",
    stratum: Stratum::Detect,
    trigger: Trigger::Every(SECOND),
    params: &[],
    new_state: |_| State::new(Book::default()),
    run,
};

const NAME: &str = "log_sessions";
const VERSION: u32 = 1;
const MEASURE: &str = "log_session";

/// Width of a bucket: sessions end and claims are said at its end.
const BUCKET_NS: i64 = 10 * SECOND;
/// Buckets of quiet after which a session is over.
const QUIET: i64 = 6;
/// Buckets of ended sessions that are judged together, and that teach nothing yet.
const RECENT: usize = 6;
/// Entities that write logs.
const MAX_NODES: usize = 512;
/// Open sessions of an entity, and of all.
const MAX_OPEN: usize = 2048;
const MAX_ALL_OPEN: usize = 32_768;
/// Templates and lines of a session. Counts beyond 100 are one.
const MAX_KINDS: usize = 32;
const MAX_LINES: u32 = 1000;
const MAX_COUNT: u32 = 100;
/// Different sessions known in a view, and counted in one bucket.
const MAX_VECTORS: usize = 1000;
const MAX_ENDED: usize = 500;
/// Sessions learned before any is counted as new, and counted before more are said; the fewer there are, the more must
/// be new. Buckets for which an entity must be known: a quarter of an hour, so that a few seconds of load teach nothing.
const WARM_SESSIONS: u64 = 200;
const COUNTED_MIN: u64 = 200;
const WARM_BUCKETS: i64 = 90;
/// Sessions as which the usual share counts at most: it is never taken to be steadier than that.
const COUNTED_MAX: u64 = 2000;
/// New sessions within a minute from which they are said, and how many times the usual share.
const NEW_MIN: u64 = 5;
const NEW_FACTOR: f64 = 5.0;
/// -log10 of the tail probability from which it is said.
const SURPRISE_MIN: f64 = 6.0;
/// Bytes of a template's text in a note.
const TEXT_BYTES: usize = 200;

/// In which way a session can be new.
const VIEWS: [&str; 3] = ["kinds of lines", "counts of lines", "orders of lines"];

#[derive(Default)]
struct Book {
    fleet: FleetPart,
    nodes: Vec<Node>,
    dirty: Vec<bool>,
    senders: Senders,
    kinds: Kinds,
    patterns: Patterns,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct FleetPart {
    /// The bucket in which the last step ran.
    bucket: Option<i64>,
    open: usize,
    /// Lines of entities beyond the limit.
    left_out: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Node {
    tenant: Tenant,
    entity: EntityId,
    since: i64,
    /// Sessions that began before this bucket may have begun unseen.
    whole_from: i64,
    /// Of the ids only one in two to the power of this counts.
    thinning: u32,
    open: BTreeMap<u64, Session>,
    ids: Ids,
    recent: VecDeque<Ended>,
    /// Sessions as sets of kinds (and their order), and with counts.
    normal: [Normal; 2],
    /// Sessions counted, and how many were new in each view.
    counted: u64,
    new: [u64; 3],
    /// The latest new session.
    latest: Option<Unusual>,
    abnormal: Claims,
    abnormal_since: Option<i64>,
}

/// A session: kinds of lines with their counts, in the order in which each came first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Session {
    trace: (u64, u64),
    first: i64,
    last: i64,
    lines: u32,
    kinds: Vec<(u32, u32)>,
}

/// Sessions that ended in one bucket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Ended {
    bucket: i64,
    sessions: u64,
    new: [u64; 3],
    /// Equal ones are counted.
    kinds: Vec<(Vec<(u32, u32)>, u64)>,
}

/// What is told of a new session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Unusual {
    trace: (u64, u64),
    kinds: Vec<u32>,
    new_kinds: Vec<u32>,
    new_counts: Vec<(u32, u32)>,
    missing: Vec<u32>,
}

fn run(view: &View, _params: &Params, state: &mut State, out: &mut Findings) {
    let book: &mut Book = state.get();
    let now = view.now.0.div_euclid(BUCKET_NS);
    book.patterns.update(view.registry);
    for (from, to) in book.kinds.update(view.registry) {
        book.rename(from, to);
    }
    let before = *book.fleet.bucket.get_or_insert(now);
    if now > before {
        (0..book.nodes.len()).for_each(|at| book.close(at, now - 1, view, out));
        book.fleet.bucket = Some(now);
    }
    for batch in view.batches {
        book.take(view, batch, now);
    }
}

impl Book {
    fn take(&mut self, view: &View, batch: &Batch, bucket: i64) {
        let records = &batch.records;
        let mut places = Vec::new();
        for i in 0..records.len() {
            let template = self.kinds.of(records.template[i]);
            if template.0 == 0 || view.is_late(records.time[i]) {
                continue;
            }
            let nodes = &mut self.nodes;
            let add = |tenant, entity| nodes.push(Node::new(tenant, entity, bucket));
            let Some(at) = self.senders.of_record(view.registry, batch, i, MAX_NODES, add) else {
                self.fleet.left_out += 1;
                continue;
            };
            self.dirty.resize(self.nodes.len(), true);
            self.dirty[at] = true;
            let node = &mut self.nodes[at];
            let trace = halves(records.trace_id[i]);
            let key = if trace == (0, 0) {
                let pattern = self.patterns.of(view.registry, template);
                let found = node.ids.found();
                let of = |pattern| node.ids.of(template.0, pattern, records.body.get(i), &mut places);
                let key = pattern.and_then(of);
                if node.ids.found() != found {
                    node.whole_from = bucket + 1 + QUIET;
                }
                key
            } else {
                Some(mixed(trace.0 ^ trace.1.rotate_left(32)))
            };
            // All lines without a session of their own are one until the bucket ends.
            node.add(key.unwrap_or(0), trace, template.0, bucket, &mut self.fleet);
        }
    }

    fn rename(&mut self, from: u32, to: u32) {
        for (node, dirty) in self.nodes.iter_mut().zip(&mut self.dirty) {
            for normal in &mut node.normal {
                *dirty |= normal.rename(from, to);
            }
            let recent = node.recent.iter_mut().flat_map(|ended| &mut ended.kinds).map(|(kinds, _)| kinds);
            for kinds in node.open.values_mut().map(|session| &mut session.kinds).chain(recent) {
                *dirty |= rename(kinds, from, to);
            }
        }
    }

    /// Ends a bucket of one entity: sessions that are over are judged, what is usual is learned, claims are said.
    fn close(&mut self, at: usize, bucket: i64, view: &View, out: &mut Findings) {
        let node = &mut self.nodes[at];
        let is_quiet = node.recent.iter().all(|ended| ended.sessions == 0);
        if node.open.is_empty() && is_quiet && node.abnormal.is_empty() {
            return;
        }
        self.dirty[at] = true;
        let open = node.open.len();
        let ended = node.end(bucket);
        self.fleet.open -= open - node.open.len();
        node.thin_less(bucket);
        node.push(ended);
        if let Some(finding) = node.claim(bucket, view) {
            say(&mut node.abnormal, "sessions", finding, view.now, out);
        } else {
            let settle = (BaselinePolicy::default().settle_ns / BUCKET_NS) as u32;
            quiet_down(&mut node.abnormal, &[], settle, out);
        }
        node.adopt(bucket, view, out);
    }
}

impl Node {
    fn new(tenant: Tenant, entity: EntityId, bucket: i64) -> Node {
        Node {
            tenant,
            entity,
            since: bucket,
            whole_from: bucket + QUIET,
            thinning: 0,
            open: BTreeMap::new(),
            ids: Ids::default(),
            recent: VecDeque::new(),
            normal: [Normal::with_most(MAX_VECTORS), Normal::with_most(MAX_VECTORS)],
            counted: 0,
            new: [0; 3],
            latest: None,
            abnormal: Claims::new(),
            abnormal_since: None,
        }
    }

    /// Takes a line in; `key` 0 stands for lines without a session of their own.
    fn add(&mut self, key: u64, trace: (u64, u64), template: u32, bucket: i64, fleet: &mut FleetPart) {
        if !is_counted(key, self.thinning) {
            return;
        }
        if !self.open.contains_key(&key) {
            while self.open.len() >= MAX_OPEN && self.thinning < 32 {
                self.thinning += 1;
                let (thinning, before) = (self.thinning, self.open.len());
                self.open.retain(|key, _| is_counted(*key, thinning));
                fleet.open -= before - self.open.len();
            }
            let is_full = fleet.open >= MAX_ALL_OPEN || self.open.len() >= MAX_OPEN;
            if is_full || !is_counted(key, self.thinning) {
                // Where all entities together are too many, sessions may be seen in part from now on.
                self.whole_from = self.whole_from.max(bucket + if is_full { QUIET } else { 0 });
                return;
            }
            fleet.open += 1;
        }
        let session = self.open.entry(key).or_insert_with(|| Session { trace, first: bucket, ..Session::default() });
        session.last = bucket;
        session.lines = session.lines.saturating_add(1);
        let known = session.kinds.iter().position(|(known, _)| *known == template);
        if let Some(at) = known {
            session.kinds[at].1 = (session.kinds[at].1 + 1).min(MAX_COUNT);
        } else if session.kinds.len() < MAX_KINDS {
            session.kinds.push((template, 1));
        }
    }

    /// Takes the sessions out that are over. Lines without one are a session of this bucket where there were no others.
    fn end(&mut self, bucket: i64) -> Ended {
        let is_keyed = self.open.keys().any(|key| *key != 0);
        let is_over = |key: &u64, session: &Session| *key == 0 || session.last <= bucket - QUIET;
        let over: Vec<u64> = self.open.iter().filter(|(key, s)| is_over(key, s)).map(|(key, _)| *key).collect();
        let mut same: BTreeMap<Vec<(u32, u32)>, (u64, (u64, u64))> = BTreeMap::new();
        for key in over {
            let Some(mut session) = self.open.remove(&key) else { continue };
            let is_whole = (key == 0 || session.lines <= MAX_LINES) && session.first >= self.whole_from;
            if (key == 0 && is_keyed) || !is_whole {
                continue;
            }
            if key == 0 {
                // How many lines come and in which order in ten seconds is up to the load. Template 0 marks them, so
                // that they are not taken for sessions by id.
                session.kinds.iter_mut().for_each(|(_, count)| *count = 1);
                session.kinds.push((0, 1));
                session.kinds.sort_unstable();
            }
            if same.len() < MAX_ENDED || same.contains_key(&session.kinds) {
                same.entry(session.kinds).or_insert((0, session.trace)).0 += 1;
            }
        }
        let mut ended = Ended { bucket, ..Ended::default() };
        for (kinds, (times, trace)) in same {
            ended.sessions += times;
            if self.normal[0].sessions() >= WARM_SESSIONS {
                for (new, is_new) in ended.new.iter_mut().zip(self.judge(&kinds, trace)) {
                    *new += if is_new { times } else { 0 };
                }
            }
            ended.kinds.push((kinds, times));
        }
        ended
    }

    /// In which views a session is new.
    fn judge(&mut self, kinds: &[(u32, u32)], trace: (u64, u64)) -> [bool; 3] {
        let once: Vec<(u32, u32)> = kinds.iter().map(|(kind, _)| (*kind, 1)).collect();
        let (as_set, counted) = (self.normal[0].judge_counted(&once), self.normal[1].judge_counted(kinds));
        let is_new = [as_set.is_new(), counted.is_new(), as_set.has_new_step()];
        if is_new.contains(&true) {
            self.latest = Some(self.unusual(kinds, trace, &as_set, &counted));
        }
        is_new
    }

    fn unusual(&self, kinds: &[(u32, u32)], trace: (u64, u64), as_set: &Verdict, counted: &Verdict) -> Unusual {
        let kinds: Vec<u32> = kinds.iter().map(|(kind, _)| *kind).filter(|kind| *kind != 0).collect();
        let new_kinds =
            as_set.reasons.iter().filter_map(|r| if let Reason::NewEvent(kind) = r { Some(*kind) } else { None });
        let new_counts = counted
            .reasons
            .iter()
            .filter_map(|r| if let Reason::NewCount(kind, n) = r { Some((*kind, *n)) } else { None });
        let usual = self.normal[0].most_frequent().unwrap_or_default().iter().map(|(kind, _)| *kind);
        let missing = usual.filter(|kind| *kind != 0 && as_set.is_new() && !kinds.contains(kind)).collect();
        Unusual { trace, new_kinds: new_kinds.collect(), new_counts: new_counts.collect(), missing, kinds }
    }

    /// Keeps what ended; what ended a minute ago is usual now, unless something is wrong.
    fn push(&mut self, ended: Ended) {
        self.recent.push_back(ended);
        if self.recent.len() <= RECENT {
            return;
        }
        let Some(ended) = self.recent.pop_front() else { return };
        if !self.abnormal.is_empty() {
            return;
        }
        if self.normal[0].sessions() >= WARM_SESSIONS {
            self.counted += ended.sessions;
            self.new.iter_mut().zip(ended.new).for_each(|(all, new)| *all += new);
        }
        if self.counted >= 10 * COUNTED_MAX {
            self.counted /= 2;
            self.new.iter_mut().for_each(|new| *new /= 2);
        }
        for (kinds, times) in ended.kinds {
            let once: Vec<(u32, u32)> = kinds.iter().map(|(kind, _)| (*kind, 1)).collect();
            self.normal[0].learn_counted(&once, times);
            self.normal[1].learn_counted(&kinds, times);
        }
    }

    fn claim(&self, bucket: i64, view: &View) -> Option<Finding> {
        if self.counted < COUNTED_MIN || bucket - self.since < WARM_BUCKETS {
            return None;
        }
        let sessions: u64 = self.recent.iter().map(|ended| ended.sessions).sum();
        let new = |of: usize| self.recent.iter().map(|ended| ended.new[of]).sum::<u64>();
        let ongoing = !self.abnormal.is_empty();
        let rises = (0..VIEWS.len()).map(|of| (of, new(of), self.judge_share(new(of), sessions, self.new[of])));
        let (of, count, surprise) = rises.max_by(|a, b| a.2.total_cmp(&b.2).then(b.0.cmp(&a.0)))?;
        if surprise < if ongoing { SURPRISE_MIN / 2.0 } else { SURPRISE_MIN } {
            return None;
        }
        let usual = (self.new[of] as f64 + 0.5) / (self.counted as f64 + 1.0);
        let start = self.recent.iter().find(|ended| ended.new[of] > 0).map_or(bucket, |ended| ended.bucket);
        let share = count as f64 / sessions.max(1) as f64;
        let start = Time(((start - QUIET) * BUCKET_NS).min(view.now.0));
        let before = match self.new[of] {
            0 => format!("none of the {} before", self.counted),
            _ => format!("usually {}", percent(usual)),
        };
        let words = format!(
            "{count} of {sessions} sessions in its logs within a minute had {} never seen, {before}",
            VIEWS[of]
        );
        Some(Finding {
            id: FindingId::default(),
            method: NAME.into(),
            version: VERSION,
            tenant: self.tenant.clone(),
            entity: self.entity.clone(),
            shape: Shape::Abnormal,
            measure: MEASURE.into(),
            scope: String::new(),
            start,
            end: Time(((bucket + 1) * BUCKET_NS).min(view.now.0)),
            ongoing: true,
            learned: view.now,
            belief: round3(belief_from_surprise(surprise)),
            surprise: round3(surprise),
            // Evidence only: what is new is not wrong for that.
            impact: round3(crate::measures::impact(MEASURE) * 0.5),
            direction: Direction::New,
            expected: Some(Band { mean: round3(usual), low: 0.0, high: round3(usual * NEW_FACTOR) }),
            observed: round3(share),
            cause: None,
            incident: None,
            summary: format!("{}: {words}, since {}", plain(&self.entity), clock(start)),
            evidence: self.latest.iter().flat_map(|latest| latest.evidence(view)).collect(),
        })
    }

    /// -log10 of how likely so many new ones among the sessions are by the usual share; 0 where they are not far more.
    fn judge_share(&self, new: u64, sessions: u64, usual: u64) -> f64 {
        let counted = self.counted as f64;
        let share = (usual as f64 + 0.5) / (counted + 1.0);
        if new < NEW_MIN || (new as f64) < NEW_FACTOR * share * sessions as f64 {
            return 0.0;
        }
        let weight = counted.min(COUNTED_MAX as f64) + 1.0;
        beta_binomial_upper(new, sessions, share * weight, (1.0 - share) * weight)
    }

    /// Where sessions became few again, more ids count.
    fn thin_less(&mut self, bucket: i64) {
        if self.thinning > 0 && self.open.len() < MAX_OPEN / 8 && bucket % 360 == 0 {
            self.thinning -= 1;
            self.whole_from = bucket + 1 + QUIET;
        }
    }

    /// What stays for as long as the policy says becomes usual.
    fn adopt(&mut self, bucket: i64, view: &View, out: &mut Findings) {
        if self.abnormal.is_empty() {
            self.abnormal_since = None;
            return;
        }
        let since = *self.abnormal_since.get_or_insert(bucket);
        if (bucket - since) * BUCKET_NS < BaselinePolicy::default().adopt_after_ns {
            return;
        }
        for known in std::mem::take(&mut self.abnormal).into_values() {
            out.say(Finding { ongoing: false, end: view.now, ..known.finding });
        }
        // What is usual is counted anew, so that it is not said again at once.
        (self.counted, self.new, self.abnormal_since) = (0, [0; 3], None);
    }
}

impl Unusual {
    fn evidence(&self, view: &View) -> Vec<Evidence> {
        let text = |kind: &u32| {
            let text = view.registry.template_def(TemplateId(*kind)).map_or("", |t| &t.text);
            format!("\"{}\"", cut(text, TEXT_BYTES))
        };
        let list = |kinds: &[u32]| kinds.iter().take(5).map(text).collect::<Vec<_>>().join(", ");
        let mut notes = vec![format!("the latest such session: {}", list(&self.kinds))];
        if !self.new_kinds.is_empty() {
            notes.push(format!("in no session before: {}", list(&self.new_kinds)));
        }
        if !self.missing.is_empty() {
            notes.push(format!("in most sessions but not in this one: {}", list(&self.missing)));
        }
        for (kind, count) in self.new_counts.iter().take(3) {
            notes.push(format!("never {count} times in a session before: {}", text(kind)));
        }
        let trace_id = format!("{:016x}{:016x}", self.trace.0, self.trace.1);
        let trace = (self.trace != (0, 0)).then_some(Evidence::Trace { trace_id });
        trace.into_iter().chain(notes.into_iter().map(|text| Evidence::Note { text })).collect()
    }
}

fn rename(kinds: &mut Vec<(u32, u32)>, from: u32, to: u32) -> bool {
    let Some(at) = kinds.iter().position(|(kind, _)| *kind == from) else { return false };
    let count = kinds[at].1;
    match kinds.iter_mut().find(|(kind, _)| *kind == to) {
        Some(known) => {
            known.1 = (known.1 + count).min(MAX_COUNT);
            kinds.remove(at);
        }
        None => kinds[at].0 = to,
    }
    true
}

fn halves(trace: [u8; 16]) -> (u64, u64) {
    let number = u128::from_be_bytes(trace);
    ((number >> 64) as u64, number as u64)
}

/// Spreads ids that count up; never 0.
fn mixed(id: u64) -> u64 {
    let id = (id ^ (id >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (id ^ (id >> 29)).max(1)
}

fn is_counted(key: u64, thinning: u32) -> bool {
    key == 0 || key.trailing_zeros() >= thinning
}

impl StateData for Book {
    fn schema(&self) -> u32 {
        1
    }

    fn save(&mut self, all: bool, pages: &mut Pages) {
        pages.insert("fleet".into(), Fleet(self.fleet.clone()).to_bytes());
        save_nodes(&self.nodes, &mut self.dirty, all, pages);
    }

    fn load(&mut self, schema: u32, pages: &Pages) -> Result<(), String> {
        if schema != 1 {
            return Err(format!("schema {schema} is not 1: start fresh"));
        }
        *self = Book::default();
        if let Some(bytes) = pages.get("fleet") {
            self.fleet = Fleet::from_bytes(bytes)?.0;
        }
        self.nodes = load_nodes(pages)?;
        for node in &self.nodes {
            self.senders.put(node.tenant.clone(), node.entity.clone());
        }
        self.dirty = vec![false; self.nodes.len()];
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checks,
        detect::{
            fake_lines::{Line, book_after, said, world},
            fake_shop::Shop,
        },
    };

    const TEMPLATES: [&str; 4] = ["order <*> placed", "order <*> paid", "order <*> sent to <*>", "order <*> again"];

    fn line(template: u32, order: i64, trace: u64) -> Line {
        let order = format!("o{:07}", order * 7919 % 10_000_000);
        let body = match template {
            3 => format!("order {order} sent to town-{}", template),
            _ => TEMPLATES[template as usize - 1].replace("<*>", &order),
        };
        Line { template, severity: 9, trace, body }
    }

    /// Three orders a second, each with its lines over ten seconds; from `bad` on for a minute every third stays unsent.
    fn orders(s: i64, bad: i64, by_trace: bool) -> Vec<Line> {
        let of = |template: u32, after: i64| {
            let orders = ((s - after) * 3..(s - after) * 3 + 3).filter(move |_| s >= after);
            let is_lost = move |order: i64| (bad..bad + 60).contains(&(order / 3)) && order % 3 == 0 && template == 3;
            let trace = move |order: i64| if by_trace { order as u64 + 1 } else { 0 };
            orders.filter(move |order| !is_lost(*order)).map(move |order| line(template, order, trace(order)))
        };
        of(1, 0).chain(of(2, 3)).chain(of(3, 10)).collect()
    }

    #[test]
    fn sessions_by_trace_that_miss_a_line_are_said_once() {
        let world = world(1500, &TEMPLATES, |s| orders(s, 1000, true));
        let all = said(&ANALYSIS, &world);
        let first = all.first().expect("sessions without their last line");
        assert!(all.iter().all(|f| f.id == first.id) && all.last().is_some_and(|f| !f.ongoing), "{all:#?}");
        let after = first.learned.since(world.start.plus(1000 * SECOND)) / SECOND;
        assert!((60..120).contains(&after), "said after {after} s");
        let words = "sessions in its logs within a minute had kinds of lines never seen, none of the ";
        assert!(first.impact <= 0.1 && first.summary.contains(words), "{}", first.summary);
        let missing = "in most sessions but not in this one: \"order <*> sent to <*>\"";
        let notes: Vec<&Evidence> = first.evidence.iter().collect();
        assert!(notes.iter().any(|e| matches!(e, Evidence::Note { text } if text == missing)), "{notes:?}");
        assert!(matches!(notes[0], Evidence::Trace { .. }));
        assert_eq!(checks::run(&ANALYSIS, &world, 1500, Some(7)), checks::run(&ANALYSIS, &world, 1500, None));
    }

    #[test]
    fn ids_in_the_text_are_found_and_make_sessions() {
        let world = world(1500, &TEMPLATES, |s| orders(s, 1000, false));
        let all = said(&ANALYSIS, &world);
        let first = all.first().expect("orders that were never sent");
        assert!(first.learned > world.start.plus(1000 * SECOND) && first.summary.contains("kinds of lines"));
        assert_eq!(checks::run(&ANALYSIS, &world, 1500, Some(111)), checks::run(&ANALYSIS, &world, 1500, None));
    }

    #[test]
    fn a_kind_of_line_that_comes_no_more_is_missed_without_any_id() {
        let lines = |s: i64| {
            let line = |template: u32, body: &str| Line { template, severity: 9, trace: 0, body: body.into() };
            let beat = (s % 5 == 0).then(|| line(1, "beat"));
            let backup = (s % 5 == 0 && s < 9000).then(|| line(2, "replica in sync"));
            beat.into_iter().chain(backup).collect()
        };
        let world = world(9300, &["beat", "replica in sync"], lines);
        let all = said(&ANALYSIS, &world);
        assert!(all.first().is_some_and(|f| f.learned > world.start.plus(9000 * SECOND)), "{all:?}");
    }

    #[test]
    fn usual_and_free_sessions_are_not_said() {
        assert_eq!(said(&ANALYSIS, &world(2000, &TEMPLATES, |s| orders(s, i64::MAX / 2, true))), []);
        let names: Vec<String> = (0..30).map(|i| format!("kind {i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let hash = |i: i64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64) as u64 >> 40;
        let free = |s: i64| {
            let line = |i: i64| Line {
                template: (hash(s * 20 + i) % 30) as u32 + 1,
                trace: (s * 2 + i % 2 + 1) as u64,
                ..Line::default()
            };
            (0..10 + (hash(s) % 10) as i64).map(line).collect()
        };
        assert_eq!(said(&ANALYSIS, &world(2000, &names, free)), []);
    }

    #[test]
    fn kinds_that_become_one_are_counted_as_one() {
        let mut kinds = vec![(3, 1), (1, 60), (2, 60)];
        assert!(rename(&mut kinds, 2, 1) && !rename(&mut kinds, 2, 1));
        assert_eq!(kinds, [(3, 1), (1, MAX_COUNT)]);
        assert!(rename(&mut kinds, 3, 2));
        assert_eq!(kinds, [(2, 1), (1, MAX_COUNT)]);
    }

    #[test]
    fn the_healthy_shop_is_silent() {
        let mut shop = Shop::new(1, &[&ANALYSIS]);
        shop.traces = false;
        shop.run_until(3 * 3600);
        assert_eq!(shop.summaries(), Vec::<String>::new());
    }

    #[test]
    fn floods_and_odd_lines_are_bounded() {
        let names: Vec<String> = (0..3000).map(|i| format!("kind {i} of <*>")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let big = "x".repeat(1 << 20);
        let flood = |s: i64| {
            let line = |i: i64| {
                let (template, trace) = ((i % 3000) as u32 + 1, if i % 2 == 0 { (s * 2000 + i) as u64 } else { 0 });
                Line { template, trace, severity: 0, body: format!("kind {} of id{s}x{i}\u{0}\u{fffd}", i % 3000) }
            };
            let odd = [(1, big.clone()), (2, String::new()), (77_777, "?".into()), (0, "no kind".into())];
            let endless = (0..5).map(|_| Line { template: 5, trace: 7, ..Line::default() });
            let odd = odd.into_iter().map(|(template, body)| Line { template, body, ..Line::default() });
            (0..1000).map(line).chain(odd).chain(endless).collect()
        };
        let mut state = book_after(&ANALYSIS, &world(220, &names, flood));
        let book: &mut Book = state.get();
        let node = &book.nodes[0];
        assert!(node.open.len() <= MAX_OPEN && node.thinning > 0 && book.fleet.open == node.open.len());
        assert!(node.normal.iter().all(|normal| normal.sessions() > 100));
        assert!(node.recent.iter().all(|ended| ended.kinds.len() <= MAX_ENDED));
        let mut pages = Pages::new();
        book.save(true, &mut pages);
        assert!(pages.values().map(Vec::len).sum::<usize>() < 1_000_000);
    }
}
