//! Values in log lines that were never there: a status, user or path that is new, a number far above all before.
//!
//! Each parameter of a template at one entity is a place. A place with few different values is a category
//! ([`math::categories`]): a value that it never had, after thousands of lines with known ones, is said. A place with
//! many different numbers (also durations and sizes), or with few that lie close, is judged by the highest of each ten
//! seconds ([`math::tail`]); one whose highest rises all the time is a counter or an id and is not judged.
//!
//! Both are evidence of low impact and never open an incident alone: what is new is not wrong for that. What a value says
//! decides nothing; only whether it was there before does.
//!
//! Bounds: [`MAX_NODES`] entities, [`MAX_TEMPLATES`] templates an entity and [`MAX_ALL`] in all, the first
//! [`MAX_PLACES`] parameters of each, 64 values a place: 3 kB a place at most. Of one template at one entity
//! [`LINES_PER_SECOND`] lines a second are read, which bounds the cost; a rare value beyond them is missed. Where a
//! template is generalised its places begin anew.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Range,
};

/// What the parameters of a template are, for those who show them.
pub use math::templates::{Place as Parameter, places};
use math::{
    categories::{Categories, Seen, hash_of},
    tail::Tail,
    templates::number_of,
};
use serde::{Deserialize, Serialize};
use types::{Band, Batch, Direction, EntityId, Evidence, Finding, FindingId, SECOND, Shape, TemplateId, Tenant, Time};
use view::{
    Analysis, BaselinePolicy, Column, Findings, Fleet, Pages, Params, State, StateData, Stratum, Trigger, View,
    load_nodes, save_nodes,
};

use super::kinds::Kinds;
use super::ongoing::{Claims, quiet_down, say};
use super::patterns::Patterns;
use super::senders::Senders;
use super::words::{belief_from_surprise, clock, cut, number, plain, round3};

/// The catalogue's entry.
pub const ANALYSIS: Analysis = Analysis {
    name: NAME,
    version: VERSION,
    summary: "values in log lines that were never there: new categories, numbers above all before",
    stratum: Stratum::Detect,
    trigger: Trigger::Every(SECOND),
    params: &[],
    new_state: |_| State::new(Book::default()),
    run,
};

const NAME: &str = "log_values";
const VERSION: u32 = 1;
const MEASURE: &str = "log_value";

/// Width of a bucket: numbers are judged and claims said at its end.
const BUCKET_NS: i64 = 10 * SECOND;
/// Entities that write logs.
const MAX_NODES: usize = 1024;
/// Templates with parameters, of an entity and of all.
const MAX_TEMPLATES: usize = 128;
const MAX_ALL: usize = 4096;
/// Parameters of a template that are looked at.
const MAX_PLACES: usize = 6;
/// Lines read of one template at one entity a second.
const LINES_PER_SECOND: u32 = 40;
/// Longest line read, bytes.
const LINE_BYTES: usize = 8192;
/// Buckets for which a place must be known before it is judged: half an hour.
const WARM_BUCKETS: i64 = 180;
/// Buckets unseen after which a template makes room for another: an hour.
const STALE_BUCKETS: i64 = 360;
/// -log10 of the probability of a new value from which it is said: once in 2,000 lines.
const NEW_SURPRISE_MIN: f64 = 3.3;
/// The same for the highest number of a bucket, as for all rates.
const NUMBER_SURPRISE_MIN: f64 = 6.0;
/// Different numbers up to which a place may be a category (a status), unless they fill their range.
const MAX_NUMBERS: usize = 8;
/// Claims at one entity at the same time.
const MAX_CLAIMS: usize = 3;
/// Values of a place kept to be shown, and bytes of each.
const EXAMPLES: usize = 5;
const EXAMPLE_BYTES: usize = 40;
/// Longest sample kept, bytes.
const SAMPLE_BYTES: usize = 1000;
/// OTLP severity of an error.
const ERROR: u8 = 17;

#[derive(Default)]
struct Book {
    fleet: FleetPart,
    nodes: Vec<Node>,
    dirty: Vec<bool>,
    /// Tails of the places with numbers, by their row.
    numbers: Column<Tail>,
    senders: Senders,
    kinds: Kinds,
    patterns: Patterns,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct FleetPart {
    /// The bucket in which the last step ran.
    bucket: Option<i64>,
    /// Templates kept at all entities.
    templates: usize,
    /// Rows of `numbers` that are given, and given back.
    rows: u32,
    free: Vec<u32>,
    /// Lines of entities and templates beyond the limits.
    left_out: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Node {
    tenant: Tenant,
    entity: EntityId,
    templates: BTreeMap<u32, Known>,
    /// New values that are being said.
    news: Vec<News>,
    abnormal: Claims,
}

/// A template at one entity.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Known {
    /// Of the template's text: places are other ones where it changes.
    text_hash: u64,
    since: i64,
    last: i64,
    severity: u8,
    second: i64,
    /// Lines read in that second.
    taken: u32,
    places: Vec<Place>,
}

/// A parameter of a template.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Place {
    values: Categories,
    /// The first values, to be shown.
    examples: Vec<String>,
    number: Option<Number>,
}

/// The numbers of a place. They are kept as the bits of an `f32`, which read back exactly.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Number {
    row: u32,
    low: u32,
    high: u32,
    /// The highest before what is being said.
    usual: u32,
    /// The highest of the open bucket, with its line.
    open: Option<u32>,
    sample: String,
}

/// A new value that is being said.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct News {
    template: u32,
    place: usize,
    hash: u64,
    value: String,
    sample: String,
    surprise: f64,
    /// Values before it, and how many different ones.
    before: u64,
    distinct: usize,
    start: i64,
    count: u64,
    /// Came in the open bucket.
    is_open: bool,
}

fn run(view: &View, _params: &Params, state: &mut State, out: &mut Findings) {
    let book: &mut Book = state.get();
    let now = view.now.0.div_euclid(BUCKET_NS);
    book.patterns.update(view.registry);
    for (from, to) in book.kinds.update(view.registry) {
        book.merge(from, to);
    }
    let before = *book.fleet.bucket.get_or_insert(now);
    if now > before {
        (0..book.nodes.len()).for_each(|at| book.close(at, before, view, out));
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
            if view.is_late(records.time[i]) {
                continue;
            }
            let template = self.kinds.of(records.template[i]);
            let Some((pattern, text_hash)) = self.patterns.of(view.registry, template) else { continue };
            if pattern.is_empty() {
                continue;
            }
            let nodes = &mut self.nodes;
            let add = |tenant, entity| nodes.push(Node::new(tenant, entity));
            let Some(at) = self.senders.of_record(view.registry, batch, i, MAX_NODES, add) else {
                self.fleet.left_out += 1;
                continue;
            };
            self.dirty.resize(self.nodes.len(), true);
            self.dirty[at] = true;
            let Some(known) = self.nodes[at].known(template.0, *text_hash, bucket, &mut self.fleet) else {
                self.fleet.left_out += 1;
                continue;
            };
            if !known.may_read(records.time[i].div_euclid(SECOND)) {
                continue;
            }
            let line = records.body.get(i);
            if line.len() > LINE_BYTES {
                continue;
            }
            known.last = bucket;
            known.severity = known.severity.max(records.severity[i]);
            let Some(text) = pattern.locate(line, &mut places) else { continue };
            known.places.resize_with(pattern.len().min(MAX_PLACES), Place::default);
            let row = Row { template: template.0, line, text: &text, time: records.time[i], bucket };
            self.nodes[at].read(&row, &places, &mut self.fleet, &mut self.numbers);
        }
    }

    /// Templates that became one: the places of the other go on.
    fn merge(&mut self, from: u32, to: u32) {
        for at in 0..self.nodes.len() {
            let node = &mut self.nodes[at];
            let Some(known) = node.templates.remove(&from) else { continue };
            self.dirty[at] = true;
            node.news.retain(|news| news.template != from);
            match node.templates.entry(to) {
                Entry::Vacant(there) => _ = there.insert(known),
                Entry::Occupied(_) => self.fleet.give_back(&known),
            }
        }
    }

    /// Ends a bucket of one entity: numbers are judged, claims said.
    fn close(&mut self, at: usize, bucket: i64, view: &View, out: &mut Findings) {
        let node = &mut self.nodes[at];
        self.dirty[at] |= node.is_open();
        let mut claims = node.claim_news(bucket, view);
        claims.extend(node.claim_numbers(bucket, view, &mut self.numbers));
        claims.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.surprise.total_cmp(&a.1.surprise)).then(a.2.cmp(&b.2)));
        claims.truncate(MAX_CLAIMS);
        self.dirty[at] |= !claims.is_empty() || !node.abnormal.is_empty();
        for (_, finding, key) in &claims {
            say(&mut node.abnormal, key, finding.clone(), view.now, out);
        }
        let still: Vec<&str> = claims.iter().map(|(_, _, key)| key.as_str()).collect();
        let settle = (BaselinePolicy::default().settle_ns / BUCKET_NS) as u32;
        quiet_down(&mut node.abnormal, &still, settle, out);
        let abnormal = &node.abnormal;
        node.news.retain(|news| abnormal.contains_key(&news.key()));
    }
}

impl FleetPart {
    fn row(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.rows += 1;
            self.rows - 1
        })
    }

    fn give_back(&mut self, known: &Known) {
        self.templates -= 1;
        self.free.extend(known.places.iter().filter_map(|place| place.number.as_ref()).map(|number| number.row));
    }
}

impl Known {
    fn may_read(&mut self, second: i64) -> bool {
        if second > self.second {
            (self.second, self.taken) = (second, 0);
        }
        self.taken = self.taken.saturating_add(1);
        self.taken <= LINES_PER_SECOND
    }
}

/// A line as it is read.
struct Row<'a> {
    template: u32,
    line: &'a str,
    /// What the places lie in.
    text: &'a str,
    time: i64,
    bucket: i64,
}

type Claim = (bool, Finding, String);

impl Node {
    fn new(tenant: Tenant, entity: EntityId) -> Node {
        Node { tenant, entity, templates: BTreeMap::new(), news: Vec::new(), abnormal: Claims::new() }
    }

    /// What is known of a template; begun anew where its text is another. `None` where there is no room.
    fn known(&mut self, template: u32, text_hash: u64, bucket: i64, fleet: &mut FleetPart) -> Option<&mut Known> {
        let fresh = || Known { text_hash, since: bucket, last: bucket, second: i64::MIN, ..Known::default() };
        let is_there = self.templates.contains_key(&template);
        if !is_there {
            if self.templates.len() >= MAX_TEMPLATES || fleet.templates >= MAX_ALL {
                self.forget_one(bucket, fleet)?;
            }
            fleet.templates += 1;
        }
        let known = self.templates.entry(template).or_insert_with(fresh);
        if known.text_hash != text_hash {
            fleet.give_back(known);
            fleet.templates += 1;
            *known = fresh();
        }
        Some(known)
    }

    /// Makes room: what has not come for longest goes, if that is long enough.
    fn forget_one(&mut self, bucket: i64, fleet: &mut FleetPart) -> Option<()> {
        let (id, _) = self.templates.iter().min_by_key(|(_, known)| known.last)?;
        let id = Some(*id).filter(|id| self.templates[id].last < bucket - STALE_BUCKETS)?;
        fleet.give_back(&self.templates.remove(&id)?);
        Some(())
    }

    fn read(&mut self, row: &Row, places: &[Range<usize>], fleet: &mut FleetPart, numbers: &mut Column<Tail>) {
        let Some(known) = self.templates.get_mut(&row.template) else { return };
        let is_warm = row.bucket - known.since >= WARM_BUCKETS;
        for (at, (place, range)) in known.places.iter_mut().zip(places).enumerate() {
            let value = &row.text[range.clone()];
            let (before, distinct) = (place.values.count(), place.values.distinct());
            let hash = hash_of(value);
            let is_code = place.is_code();
            let seen = place.values.observe(hash);
            place.read_number(value, row.line, fleet, numbers);
            match seen {
                Seen::TooMany => place.examples = Vec::new(),
                Seen::Known if self.news.is_empty() => {}
                Seen::Known => {
                    if let Some(news) = self.news.iter_mut().find(|n| n.is(row.template, at, hash)) {
                        news.count += 1;
                        news.is_open = true;
                    }
                }
                Seen::New(surprise) => {
                    let is_news = is_warm && surprise >= NEW_SURPRISE_MIN && is_code;
                    if is_news && self.news.len() < MAX_CLAIMS {
                        self.news.push(News {
                            template: row.template,
                            place: at,
                            hash,
                            value: cut(value, EXAMPLE_BYTES).to_owned(),
                            sample: cut(row.line, SAMPLE_BYTES).to_owned(),
                            surprise: round3(surprise),
                            before,
                            distinct,
                            start: row.time,
                            count: 1,
                            is_open: true,
                        });
                    } else if place.examples.len() < EXAMPLES {
                        place.examples.push(cut(value, EXAMPLE_BYTES).to_owned());
                    }
                }
            }
        }
    }

    /// Whether anything came that the end of the bucket takes in.
    fn is_open(&self) -> bool {
        let places = self.templates.values().flat_map(|known| &known.places);
        !self.news.is_empty() || places.filter_map(|place| place.number.as_ref()).any(|number| number.open.is_some())
    }

    fn claim_news(&mut self, bucket: i64, view: &View) -> Vec<Claim> {
        let mut news = std::mem::take(&mut self.news);
        let open = news.iter_mut().filter(|news| news.is_open && self.templates.contains_key(&news.template));
        let claim = |news: &mut News| {
            news.is_open = false;
            let key = news.key();
            let known = &self.templates[&news.template];
            let examples = known.places.get(news.place).map(|place| place.examples.join(", ")).unwrap_or_default();
            let note = format!(
                "{} was never the value {} of these lines; {} lines before had {} values, such as {examples}",
                news.value,
                news.place + 1,
                news.before,
                news.distinct,
            );
            let words = format!(
                "logs a value that lines of one kind never had before, after {} with {} values",
                news.before, news.distinct
            );
            let about = About {
                scope: key.clone(),
                start: news.start,
                surprise: news.surprise,
                direction: Direction::New,
                observed: news.count as f64,
                expected: None,
            };
            let evidence = self.evidence(news.template, &news.sample, news.count, news.start, note, view);
            let finding = self.finding(about, known.severity, words, evidence, bucket, view);
            (self.abnormal.contains_key(&key), finding, key)
        };
        let claims = open.map(claim).collect();
        self.news = news;
        claims
    }

    fn claim_numbers(&mut self, bucket: i64, view: &View, numbers: &mut Column<Tail>) -> Vec<Claim> {
        let mut found = Vec::new();
        for (id, known) in &mut self.templates {
            let is_warm = bucket - known.since >= WARM_BUCKETS;
            for (at, place) in known.places.iter_mut().enumerate() {
                let is_code = place.is_code();
                let Some(number) = &mut place.number else { continue };
                let key = format!("value {} of template {id}", at + 1);
                let ongoing = self.abnormal.contains_key(&key);
                if let Some(rise) = number.judge(is_code, ongoing, numbers).filter(|_| is_warm) {
                    found.push((*id, known.severity, key, ongoing, rise, number.sample.clone()));
                }
            }
        }
        let claim = |(id, severity, key, ongoing, rise, sample): (u32, u8, String, bool, Rise, String)| {
            let (value, top) = (f64::from(rise.value), f64::from(rise.usual));
            let words = format!("logs a number of {}, at most {} before", number(value), number(top));
            let note = format!("{key}: {} in ten seconds, at most {} before", number(value), number(top));
            let start = bucket * BUCKET_NS;
            let about = About {
                scope: key.clone(),
                start,
                surprise: rise.surprise,
                direction: Direction::Up,
                observed: value,
                expected: Some(Band { mean: round3(top), low: 0.0_f64.min(round3(top)), high: round3(top) }),
            };
            let evidence = self.evidence(id, &sample, 1, start, note, view);
            (ongoing, self.finding(about, severity, words, evidence, bucket, view), key)
        };
        found.into_iter().map(claim).collect()
    }

    fn evidence(&self, id: u32, sample: &str, count: u64, start: i64, note: String, view: &View) -> Vec<Evidence> {
        let text = view.registry.template_def(TemplateId(id)).map_or("", |t| &t.text);
        let logs = Evidence::Logs {
            entity: self.entity.clone(),
            template: TemplateId(id),
            text: cut(text, SAMPLE_BYTES).to_owned(),
            sample: sample.to_owned(),
            count,
            from: Time(start.min(view.now.0)),
            to: view.now,
        };
        vec![logs, Evidence::Note { text: note }]
    }

    fn finding(
        &self,
        about: About,
        severity: u8,
        words: String,
        evidence: Vec<Evidence>,
        bucket: i64,
        view: &View,
    ) -> Finding {
        let start = Time(about.start.min(view.now.0));
        // What is new in an error says more than what is new in a line that follows the load.
        let weight = if severity >= ERROR { 0.5 } else { 0.2 };
        Finding {
            id: FindingId::default(),
            method: NAME.into(),
            version: VERSION,
            tenant: self.tenant.clone(),
            entity: self.entity.clone(),
            shape: Shape::Abnormal,
            measure: MEASURE.into(),
            scope: about.scope,
            start,
            end: Time(((bucket + 1) * BUCKET_NS).min(view.now.0)),
            ongoing: true,
            learned: view.now,
            belief: round3(belief_from_surprise(about.surprise)),
            surprise: round3(about.surprise),
            impact: round3(crate::measures::impact(MEASURE) * weight),
            direction: about.direction,
            expected: about.expected,
            observed: round3(about.observed),
            cause: None,
            incident: None,
            summary: format!("{} {words}, since {}", plain(&self.entity), clock(start)),
            evidence,
        }
    }
}

/// What a finding is about.
struct About {
    scope: String,
    start: i64,
    surprise: f64,
    direction: Direction,
    observed: f64,
    expected: Option<Band>,
}

impl News {
    fn key(&self) -> String {
        format!("new value {} of template {}: {:016x}", self.place + 1, self.template, self.hash)
    }

    fn is(&self, template: u32, place: usize, hash: u64) -> bool {
        (self.template, self.place, self.hash) == (template, place, hash)
    }
}

impl Place {
    /// Whether its values are few and apart, so that they are names rather than measured.
    fn is_code(&self) -> bool {
        let Some(number) = &self.number else { return true };
        let range = f32::from_bits(number.high) - f32::from_bits(number.low) + 1.0;
        let distinct = self.values.distinct();
        !self.values.is_too_many() && distinct <= MAX_NUMBERS && (distinct as f32) < 0.5 * range
    }

    /// Takes a number in, if the value is one.
    fn read_number(&mut self, value: &str, line: &str, fleet: &mut FleetPart, numbers: &mut Column<Tail>) {
        let Some(value) = number_of(value).map(|value| value as f32).filter(|value| value.is_finite()) else { return };
        let number = self.number.get_or_insert_with(|| {
            let row = fleet.row();
            *numbers.row(row as usize) = Tail::default();
            Number { row, low: value.to_bits(), high: value.to_bits(), ..Number::default() }
        });
        if number.open.is_none_or(|open| value > f32::from_bits(open)) {
            number.open = Some(value.to_bits());
            number.sample.clear();
            number.sample.push_str(cut(line, SAMPLE_BYTES));
        }
        let (low, high) = (f32::from_bits(number.low), f32::from_bits(number.high));
        if value < low || value > high {
            (number.low, number.high) = (value.min(low).to_bits(), value.max(high).to_bits());
        }
    }
}

/// A number above all before.
struct Rise {
    value: f32,
    usual: f32,
    surprise: f64,
}

impl Number {
    /// Takes the open bucket in. `is_code`: new values of the place are said as such, not as high numbers.
    fn judge(&mut self, is_code: bool, ongoing: bool, numbers: &mut Column<Tail>) -> Option<Rise> {
        let value = f32::from_bits(self.open.take()?);
        let tail = numbers.row(self.row as usize);
        let highest = tail.highest() as f32;
        let surprise = tail.observe(f64::from(value));
        if tail.is_rising() || is_code {
            return None;
        }
        if ongoing {
            let usual = f32::from_bits(self.usual);
            return (value > usual).then_some(Rise { value, usual, surprise: NUMBER_SURPRISE_MIN });
        }
        if surprise < NUMBER_SURPRISE_MIN || i64::from(tail.count()) < WARM_BUCKETS {
            return None;
        }
        self.usual = highest.to_bits();
        Some(Rise { value, usual: highest, surprise })
    }
}

impl StateData for Book {
    fn schema(&self) -> u32 {
        1
    }

    fn save(&mut self, all: bool, pages: &mut Pages) {
        pages.insert("fleet".into(), Fleet(self.fleet.clone()).to_bytes());
        save_nodes(&self.nodes, &mut self.dirty, all, pages);
        self.numbers.save("numbers", all, pages);
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
        self.numbers.load("numbers", pages)
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

    fn line(template: u32, body: String) -> Line {
        Line { template, severity: 9, trace: 0, body }
    }

    /// Four lines a second: `done with STATUS by USER in N ms`, the number scattered by a fixed rule.
    fn requests(s: i64, status: impl Fn(i64) -> u32, ms: impl Fn(i64) -> i64) -> Vec<Line> {
        let scatter = |i: i64| (i.wrapping_mul(2_654_435_761) >> 7) % 200;
        let request = |i: i64| {
            let user = ["ann", "bob", "cid"][(i % 3) as usize];
            format!("done with {} by {user} in {} ms", status(i), 20 + scatter(i) + ms(s))
        };
        (s * 4..s * 4 + 4).map(|i| line(1, request(i))).collect()
    }

    const TEMPLATE: &str = "done with <*> by <*> in <*> ms";

    #[test]
    fn a_status_that_never_was_is_said_once_with_its_line() {
        let status = |i: i64| if (10_000..10_003).contains(&i) { 507 } else { [200, 404][usize::from(i % 50 == 0)] };
        let world = world(3600, &[TEMPLATE], |s| requests(s, status, |_| 0));
        let all = said(&ANALYSIS, &world);
        let ids: std::collections::BTreeSet<_> = all.iter().map(|f| f.id).collect();
        assert_eq!(ids.len(), 1, "{all:#?}");
        let first = &all[0];
        assert_eq!((first.start, first.direction), (world.start.plus(2500 * SECOND), Direction::New));
        assert_eq!(
            first.summary,
            "t/a logs a value that lines of one kind never had before, after 10000 with 2 values, since 15:48:20"
        );
        assert!(first.learned.since(first.start) <= 11 * SECOND);
        assert!(first.surprise > NEW_SURPRISE_MIN && first.impact <= 0.1, "{first:?}");
        assert!(matches!(&first.evidence[0], Evidence::Logs { sample, .. } if sample.starts_with("done with 507 by")));
        assert!(all.last().is_some_and(|f| !f.ongoing), "it ends");
        let restarted = checks::run(&ANALYSIS, &world, 3600, Some(7));
        assert_eq!(restarted, checks::run(&ANALYSIS, &world, 3600, None));
    }

    #[test]
    fn a_number_above_all_before_is_said_and_usual_scatter_is_not() {
        let slow = |s: i64| if s == 3000 { 60_000 } else { 0 };
        let all = said(&ANALYSIS, &world(3600, &[TEMPLATE], |s| requests(s, |_| 200, slow)));
        let first = all.first().expect("a number above all before");
        assert!(first.direction == Direction::Up && first.observed > 60_000.0, "{first:?}");
        assert!(first.summary.contains("at most 219 before"), "{}", first.summary);
        assert_eq!(said(&ANALYSIS, &world(3600, &[TEMPLATE], |s| requests(s, |_| 200, |_| 0))), []);
        // A counter is the highest ever with each line.
        assert_eq!(said(&ANALYSIS, &world(3600, &[TEMPLATE], |s| requests(s, |_| 200, |s| s * s))), []);
    }

    #[test]
    fn what_is_always_new_and_what_is_young_is_not_said() {
        let user = |s: i64| vec![line(1, format!("login of user{s}x")), line(1, format!("login of user{}x", s / 40))];
        assert_eq!(said(&ANALYSIS, &world(4000, &["login of <*>"], user)), []);
        let early = |i: i64| if i == 5000 { 507 } else { 200 };
        assert_eq!(said(&ANALYSIS, &world(1700, &[TEMPLATE], |s| requests(s, early, |_| 0))), []);
    }

    #[test]
    fn the_healthy_shop_is_silent() {
        let mut shop = Shop::new(1, &[&ANALYSIS]);
        shop.traces = false;
        shop.run_until(2 * 3600);
        assert_eq!(shop.summaries(), Vec::<String>::new());
    }

    #[test]
    fn templates_and_values_that_explode_are_bounded() {
        let templates: Vec<String> =
            (0..3000).map(|i| format!("kind {i} of <*> and <*> <*> <*> <*> <*> <*> <*>")).collect();
        let templates: Vec<&str> = templates.iter().map(String::as_str).collect();
        let big = "x".repeat(1 << 20);
        let flood = |s: i64| {
            let of = |i: i64, end: &str| {
                format!("kind {} of {i} and {i}\u{0} \u{fffd} <*> {} é{i} 1e999 {end}", i % 3000, -i)
            };
            let short = |i: i64| line((i % 3000) as u32 + 1, of(i, "b"));
            let odd = [(1, of(0, &big)), (2, String::new()), (77_777, "?".into()), (0, "no kind".into())];
            (s * 50..s * 50 + 50).map(short).chain(odd.map(|(template, body)| line(template, body))).collect()
        };
        let mut state = book_after(&ANALYSIS, &world(120, &templates, flood));
        let book: &mut Book = state.get();
        assert_eq!((book.nodes.len(), book.nodes[0].templates.len()), (1, MAX_TEMPLATES));
        assert!(book.nodes[0].templates.values().all(|known| known.places.len() <= MAX_PLACES));
        assert!(book.fleet.left_out > 1000 && book.fleet.templates == MAX_TEMPLATES);
        let mut pages = Pages::new();
        book.save(true, &mut pages);
        assert!(pages.values().map(Vec::len).sum::<usize>() < 2_000_000);
    }
}
