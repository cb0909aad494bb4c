//! `slo`: error budgets that burn too fast, by several windows and burn rates.
//!
//! Of each objective bad and all events are counted: requests from spans (as `requests` counts them) or increases of
//! counters. The burn rate of a window is its share of bad events over the promised share: at 1 the budget lasts for
//! just its window. A *tier* holds where a long window has burnt a certain part of the whole budget and a short one of
//! a twelfth (a quarter of a day for the slowest) shows that it still does; the tiers are those of the SRE workbook
//! ([`TIERS`]), and their windows shrink and grow with that of the objective. What was not watched yet counts as good.
//!
//! So that one failed request of ten at night wakes nobody, a tier also needs some bad events and a share of them that
//! is no chance under the promise (Chernoff's bound of the binomial tail). An objective has one finding however many
//! tiers hold: of high impact once a fast one does, of middle impact while only slow ones do. It ends when the short
//! windows are quiet, sooner where the shortest shows beyond doubt that it burns no more. What was told then is not told
//! again by the slow tiers, which still have it in their windows.
//!
//! Cost: under 0.2 µs a span of a service with two objectives, judging included; 27 KB an objective. Fails on: promises below 93 %, which
//! cannot burn 14 times too fast; counters that first show with a high value (their first value counts for nothing,
//! as nowhere); latencies of services without spans unless a histogram's counters are given.
//!
//! Source: Beyer and others, The Site Reliability Workbook, 2018, chapter 5.

mod counters;
mod ledger;

use std::cell::LazyCell;
use std::collections::BTreeMap;

use types::slo::{Burn, Indicator, Slo, SloStatus};
use types::{
    Band, Batch, DAY, Direction, EntityId, Evidence, Finding, FindingId, HOUR, MILLI, MINUTE, SECOND, Shape, Tenant,
    Time,
};
use view::{
    Analysis, DerivedSample, Findings, NearMiss, Pages, Param, Params, State, StateData, Stratum, Trigger, View,
    load_nodes, save_nodes,
};

use self::counters::Counters;
use self::ledger::{Bins, Claim, Ledger, Sum};
use super::requests::is_error;
use super::words::{belief_from_surprise, number, percent, plain, round3};

/// The catalogue's entry.
pub const ANALYSIS: Analysis = Analysis {
    name: NAME,
    version: VERSION,
    summary: "error budgets of service level objectives that burn too fast",
    stratum: Stratum::Detect,
    trigger: Trigger::Every(10 * SECOND),
    params: &[
        Param {
            name: "failures_min",
            default: 5.0,
            range: (1.0, 1e6),
            summary: "bad events in the long window from which burning is said; 5 is more than one person who tries again",
        },
        Param {
            name: "surprise_min",
            default: 6.0,
            range: (0.0, 100.0),
            summary: "-log10 of the chance of so many bad events although the promise is kept; 6 is no chance, and reached at once where many fail",
        },
    ],
    new_state: |_| State::new(Book::default()),
    run,
};

const NAME: &str = "slo";
const VERSION: u32 = 1;
/// Measure of what is said.
const MEASURE: &str = "slo_burn";
/// Impact while only slow tiers hold: a ticket, nobody is woken.
const TICKET_IMPACT: f64 = 0.45;
/// -log10 of the chance of so few bad events if it still burned, from which it is over.
const OVER_SURPRISE: f64 = 4.0;
/// The window of which the tiers speak.
const USUAL_WINDOW_NS: i64 = 30 * DAY;
/// Windows whose burn rates are shown.
const SHOWN_NS: [i64; 7] = [5 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, DAY, 3 * DAY];
const METRICS: [&str; 2] = ["bellwether.slo.budget_left", "bellwether.slo.burn_rate"];

/// A long and a short window, and the burn rate that both must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tier {
    long_ns: i64,
    short_ns: i64,
    factor: f64,
    /// Whether it is worth waking somebody.
    page: bool,
}

/// For a window of 30 days, the most urgent first: 2 % of the budget in an hour, 5 % in six, 10 % in one day and in
/// three.
const TIERS: [Tier; 4] = [
    Tier { long_ns: HOUR, short_ns: 5 * MINUTE, factor: 14.4, page: true },
    Tier { long_ns: 6 * HOUR, short_ns: 30 * MINUTE, factor: 6.0, page: true },
    Tier { long_ns: DAY, short_ns: 2 * HOUR, factor: 3.0, page: false },
    Tier { long_ns: 3 * DAY, short_ns: 6 * HOUR, factor: 1.0, page: false },
];

impl Tier {
    /// The same part of the budget of another window.
    fn of_window(self, window_ns: i64) -> Tier {
        let scaled = |ns: i64, least: i64| {
            let exact = ns as f64 * (window_ns as f64 / USUAL_WINDOW_NS as f64);
            ((exact / MINUTE as f64).round() as i64 * MINUTE).max(least)
        };
        Tier { long_ns: scaled(self.long_ns, 5 * MINUTE), short_ns: scaled(self.short_ns, MINUTE), ..self }
    }
}

/// The state.
#[derive(Default)]
struct Book {
    ledgers: Vec<Ledger>,
    dirty: Vec<bool>,
    bins: Bins,
    counters: Counters,
    /// The objectives as last seen; empty after a start.
    known: Vec<Slo>,
    /// Slots by entity that sends spans, looked up once an entity.
    by_entity: BTreeMap<Tenant, Vec<Option<Box<[u32]>>>>,
    counts_spans: bool,
}

fn run(view: &View, params: &Params, state: &mut State, out: &mut Findings) {
    let book: &mut Book = state.get();
    if view.slos.is_empty() && book.ledgers.is_empty() {
        return;
    }
    book.sync(view, out);
    book.learn_series(view);
    for batch in view.batches {
        if book.counts_spans {
            book.take_spans(view, batch);
        }
        if !book.counters.is_idle() {
            book.take_samples(view, batch);
        }
    }
    for slot in 0..book.ledgers.len() {
        if let Some(slo) = book.ledgers[slot].slo.clone() {
            book.judge(slot, &slo, view, params, out);
            book.show(slot, &slo, view, out);
        }
    }
}

/// Whether spans of `seen` are those of an objective's service: the same, or one of this name in another namespace
/// where the objective names none.
fn is_meant(service: &EntityId, seen: &EntityId) -> bool {
    service == seen
        || service.namespace() == "default" && service.kind() == seen.kind() && service.name() == seen.name()
}

/// Whether counts made for one can go on for the other.
fn counts_alike(a: &Slo, b: &Slo) -> bool {
    a.service == b.service && a.window_ns == b.window_ns && a.indicator == b.indicator
}

impl Book {
    /// Takes over objectives that are new, changed or gone.
    fn sync(&mut self, view: &View, out: &mut Findings) {
        if self.known == view.slos {
            return;
        }
        self.known = view.slos.to_vec();
        for slot in 0..self.ledgers.len() {
            let Some(slo) = &self.ledgers[slot].slo else { continue };
            let now = view.slos.iter().find(|other| other.name == slo.name && other.tenant == slo.tenant);
            match now {
                Some(now) if now == slo => continue,
                Some(now) if counts_alike(slo, now) => self.ledgers[slot].slo = Some(now.clone()),
                _ => {
                    self.end(slot, view.now, out);
                    self.ledgers[slot] = Ledger::free();
                }
            }
            self.dirty[slot] = true;
        }
        for slo in view.slos {
            let is_it = |l: &Ledger| l.slo.as_ref().is_some_and(|s| s.name == slo.name && s.tenant == slo.tenant);
            if self.ledgers.iter().any(is_it) {
                continue;
            }
            let free = self.ledgers.iter().position(|ledger| ledger.slo.is_none());
            let slot = free.unwrap_or(self.ledgers.len());
            if slot == self.ledgers.len() {
                self.ledgers.push(Ledger::free());
                self.dirty.push(true);
            }
            self.ledgers[slot].slo = Some(slo.clone());
            self.dirty[slot] = true;
            self.bins.clear(slot);
        }
        self.by_entity.clear();
        let slos =
            self.ledgers.iter().enumerate().filter_map(|(slot, ledger)| Some((slot as u32, ledger.slo.as_ref()?)));
        self.counters.want(slos.clone());
        self.counts_spans = slos.into_iter().any(|(_, slo)| !matches!(slo.indicator, Indicator::Ratio { .. }));
    }

    /// Finds the series of objectives among those that are new.
    fn learn_series(&mut self, view: &View) {
        let (ledgers, dirty) = (&mut self.ledgers, &mut self.dirty);
        self.counters.learn(view.registry, |slot, def| {
            let (Some(ledger), Some(seen)) = (ledgers.get_mut(slot as usize), view.registry.entity_id(def.entity))
            else {
                return;
            };
            let is_meant = ledger.slo.as_ref().is_some_and(|slo| is_meant(&slo.service, seen));
            if ledger.entity.is_none() && is_meant {
                ledger.entity = Some(seen.clone());
                dirty[slot as usize] = true;
            }
        });
        for slot in std::mem::take(&mut self.counters.left_out) {
            let ledger = &mut self.ledgers[slot as usize];
            ledger.left_out = ledger.left_out.saturating_add(1);
            self.dirty[slot as usize] = true;
        }
    }

    /// Counts the requests of a batch. Rows of one minute in a row are added together.
    fn take_spans(&mut self, view: &View, batch: &Batch) {
        let spans = &batch.spans;
        let mut sums: Vec<(i64, Sum)> = vec![(i64::MIN, Sum::default()); self.ledgers.len()];
        let known = self.by_entity.entry(batch.tenant.clone()).or_default();
        for i in 0..spans.len() {
            let is_entry = matches!(spans.kind[i], 2 | 5);
            if !is_entry && spans.parent_span_id[i] != [0; 8] {
                continue;
            }
            let took_ns = spans.duration_ns[i].max(0);
            let end = spans.time[i].saturating_add(took_ns);
            if !batch.backfill && view.is_late(end) {
                continue;
            }
            let at = spans.entity[i].0 as usize;
            if known.get(at).is_none_or(Option::is_none) {
                let Some(entity) = view.registry.entity_id(spans.entity[i]) else { continue };
                if at >= known.len() {
                    known.resize(at + 1, None);
                }
                known[at] = Some(slots_of(&mut self.ledgers, &mut self.dirty, &batch.tenant, entity));
            }
            let Some(slots) = known[at].as_deref().filter(|slots| !slots.is_empty()) else { continue };
            let minute = end.min(view.now.0).div_euclid(MINUTE);
            let failed = is_error(spans, i);
            for &slot in slots {
                let ledger = &mut self.ledgers[slot as usize];
                if is_entry != ledger.has_entry {
                    if !is_entry {
                        continue;
                    }
                    ledger.has_entry = true;
                    self.dirty[slot as usize] = true;
                }
                let is_bad = match ledger.slo.as_ref().map(|slo| &slo.indicator) {
                    Some(Indicator::Requests) => failed,
                    Some(Indicator::Latency { threshold_ms }) => failed || took_ns as f64 > threshold_ms * MILLI as f64,
                    _ => continue,
                };
                let (at, sum) = &mut sums[slot as usize];
                if *at != minute {
                    add(&mut self.bins, slot as usize, ledger, *at, *sum);
                    (*at, *sum) = (minute, Sum::default());
                }
                sum.total += 1.0;
                sum.bad += f64::from(u8::from(is_bad));
            }
        }
        for (slot, (minute, sum)) in sums.into_iter().enumerate().filter(|(_, (_, sum))| sum.total > 0.0) {
            add(&mut self.bins, slot, &mut self.ledgers[slot], minute, sum);
            self.dirty[slot] = true;
        }
    }

    /// Counts the rises of counters. A rise over a longer time is spread over its minutes.
    fn take_samples(&mut self, view: &View, batch: &Batch) {
        let rows = &batch.samples;
        let mut sums: BTreeMap<(u32, i64), Sum> = BTreeMap::new();
        for ((&series, &time), &value) in rows.series.iter().zip(&rows.time).zip(&rows.value) {
            if !self.counters.has_role(series) || !batch.backfill && view.is_late(time) || time > view.now.0 {
                continue;
            }
            let Some(def) = view.registry.series_def(series) else { continue };
            let Some((rise, roles)) = self.counters.rise(series, def.kind, time, value) else { continue };
            for (minute, share) in stretches(rise.from, time) {
                for role in roles {
                    let sum = sums.entry((role.slot, minute)).or_default();
                    sum.bad += rise.by * share * f64::from(role.bad);
                    sum.total += rise.by * share * f64::from(role.total);
                }
            }
        }
        for ((slot, minute), sum) in sums {
            add(&mut self.bins, slot as usize, &mut self.ledgers[slot as usize], minute, sum);
            self.dirty[slot as usize] = true;
        }
    }

    fn judge(&mut self, slot: usize, slo: &Slo, view: &View, params: &Params, out: &mut Findings) {
        if !slo.enabled {
            self.end(slot, view.now, out);
            return;
        }
        let meter = &Meter { bins: &self.bins, slot, ledger: &self.ledgers[slot], slo, now: view.now };
        let goes_on = meter.ledger.claim.as_ref().map(|claim| claim.page);
        // Asked of slow and of fast tiers, at most once each.
        let over = [false, true].map(|page| LazyCell::new(move || meter.is_over(page)));
        let is_over = |page: bool| *over[usize::from(page)];
        let burning = meter.burning(params, goes_on, is_over, out);
        let is_over = goes_on.is_some_and(is_over);
        let known = meter.ledger.claim.as_ref().filter(|_| !is_over).map(|claim| claim.finding.clone());
        let (said, page) = match (burning, known) {
            (Some(burning), _) => {
                let page = burning.tier.page || goes_on == Some(true);
                (meter.finding(&burning, page), page)
            }
            (None, Some(known)) => (Finding { end: view.now, ..known }, goes_on == Some(true)),
            (None, None) => return self.end(slot, view.now, out),
        };
        self.ledgers[slot].claim = Some(Claim { finding: said.clone(), page });
        self.dirty[slot] = true;
        out.say(said);
    }

    /// Ends what goes on.
    fn end(&mut self, slot: usize, now: Time, out: &mut Findings) {
        let Some(claim) = self.ledgers[slot].claim.take() else { return };
        let end = now.max(claim.finding.start);
        out.say(Finding { ongoing: false, end, ..claim.finding });
        self.ledgers[slot].told_until = now;
        self.dirty[slot] = true;
    }

    /// Once a minute: how it stands, and the points of its charts.
    fn show(&mut self, slot: usize, slo: &Slo, view: &View, out: &mut Findings) {
        let minute = view.now.0.div_euclid(MINUTE);
        if self.ledgers[slot].shown == Some(minute) {
            return;
        }
        self.ledgers[slot].shown = Some(minute);
        self.dirty[slot] = true;
        let meter = Meter { bins: &self.bins, slot, ledger: &self.ledgers[slot], slo, now: view.now };
        let status = meter.status();
        if let (Some(entity), Some(left)) = (&status.entity, status.budget_left) {
            match view.registry.find_entity(entity) {
                Some(key) => {
                    let burn = status.burn.iter().find(|burn| burn.window_ns == HOUR).and_then(|burn| burn.rate);
                    for (metric, value) in METRICS.into_iter().zip([Some(left), burn]) {
                        let Some(value) = value else { continue };
                        out.derived.push(DerivedSample {
                            tenant: slo.tenant.clone(),
                            entity: key,
                            metric,
                            labels: vec![("slo", slo.name.clone())],
                            time: Time(minute * MINUTE),
                            value,
                        });
                    }
                }
                None => out.entities.push(entity.clone()),
            }
        }
        out.slos.push(status);
    }
}

/// Looks up which objectives count the spans of an entity. The first entity that fits an objective is the one it
/// counts.
fn slots_of(ledgers: &mut [Ledger], dirty: &mut [bool], tenant: &Tenant, entity: &EntityId) -> Box<[u32]> {
    let mut slots = Vec::new();
    for (slot, ledger) in ledgers.iter_mut().enumerate() {
        let Some(slo) = ledger.slo.as_ref().filter(|slo| slo.tenant == *tenant) else { continue };
        let is_it = match &ledger.entity {
            Some(bound) => bound == entity,
            None => is_meant(&slo.service, entity),
        };
        if is_it && !matches!(slo.indicator, Indicator::Ratio { .. }) {
            if ledger.entity.is_none() {
                ledger.entity = Some(entity.clone());
                dirty[slot] = true;
            }
            slots.push(slot as u32);
        }
    }
    slots.into()
}

/// Adds the events of a minute.
fn add(bins: &mut Bins, slot: usize, ledger: &mut Ledger, minute: i64, sum: Sum) {
    if sum == Sum::default() {
        return;
    }
    let at = Time(minute * MINUTE);
    bins.add(slot, ledger, at, sum.bad, sum.total);
    if sum.total > 0.0 {
        ledger.since = Some(ledger.since.map_or(at, |since| since.min(at)));
    }
}

/// The minutes of a stretch with their shares of it; of a long one some of them stand for their neighbours.
fn stretches(from: i64, to: i64) -> impl Iterator<Item = (i64, f64)> {
    let from = from.max(to.saturating_sub(366 * DAY)).min(to);
    let (first, last) = (from.div_euclid(MINUTE), to.div_euclid(MINUTE));
    let step = ((last - first) / 72).max(1);
    let is_moment = from == to;
    (first..=last).step_by(step as usize).filter_map(move |minute| {
        let (begin, end) = ((minute * MINUTE).max(from), ((minute + step) * MINUTE).min(to));
        let share = if is_moment { 1.0 } else { (end - begin) as f64 / (to - from) as f64 };
        (share > 0.0).then_some((minute, share))
    })
}

/// A tier that holds.
struct Burning {
    tier: Tier,
    long: Sum,
    /// How many times too fast, in the long window.
    rate: f64,
    surprise: f64,
}

/// Reads the counts of one objective.
struct Meter<'a> {
    bins: &'a Bins,
    slot: usize,
    ledger: &'a Ledger,
    slo: &'a Slo,
    now: Time,
}

impl Meter<'_> {
    fn sum(&self, window_ns: i64) -> Sum {
        self.bins.sum(self.slot, self.ledger, self.now, window_ns, Time(i64::MIN))
    }

    /// Bad events of a window, for slow tiers without what was told, and all events.
    fn untold(&self, window_ns: i64, page: bool) -> Sum {
        let whole = self.sum(window_ns);
        if page || self.ledger.claim.is_some() || self.ledger.told_until < self.now.plus(-window_ns) {
            return whole;
        }
        let from = self.ledger.told_until;
        Sum { bad: self.bins.sum(self.slot, self.ledger, self.now, window_ns, from).bad, ..whole }
    }

    fn allowed(&self) -> f64 {
        1.0 - self.slo.target
    }

    fn rate(&self, sum: Sum) -> f64 {
        sum.share().map_or(0.0, |share| share / self.allowed())
    }

    /// The most urgent tier that holds. `goes_on`: something was said before (of a fast tier), so that the numbers need
    /// not be proved again.
    fn burning(
        &self,
        params: &Params,
        goes_on: Option<bool>,
        is_over: impl Fn(bool) -> bool,
        out: &mut Findings,
    ) -> Option<Burning> {
        if goes_on.is_some_and(&is_over) {
            return None;
        }
        let watched = self.ledger.watched_ns(self.now);
        for tier in TIERS.map(|tier| tier.of_window(self.slo.window_ns)) {
            let long = self.untold(tier.long_ns, tier.page);
            let seen = (watched as f64 / tier.long_ns as f64).clamp(0.0, 1.0);
            let rate = self.rate(long);
            let is_quiet = || self.rate(self.untold(tier.short_ns, tier.page)) < tier.factor;
            if rate * seen < tier.factor || is_quiet() || is_over(tier.page) {
                continue;
            }
            let surprise = surprise_of(long, self.allowed());
            let needed = params.get("surprise_min");
            let is_proved = long.bad >= params.get("failures_min") - 0.5 && surprise >= needed;
            if is_proved || goes_on == Some(true) && tier.page {
                return Some(Burning { tier, long, rate, surprise });
            }
            if tier.page && goes_on.is_none() && self.ledger.shown != Some(self.now.0.div_euclid(MINUTE)) {
                out.near.push(self.near_miss(&tier, long, surprise, needed));
            }
        }
        None
    }

    /// Whether what was said is over: the short windows of its tiers are quiet, or the shortest shows beyond doubt
    /// that it burns no more.
    fn is_over(&self, page: bool) -> bool {
        let tiers = TIERS.map(|tier| tier.of_window(self.slo.window_ns));
        let mine = || tiers.iter().filter(|tier| tier.page == page);
        if mine().all(|tier| self.rate(self.sum(tier.short_ns)) < tier.factor) {
            return true;
        }
        let factor = mine().map(|tier| tier.factor).fold(f64::INFINITY, f64::min);
        let shortest_ns = if page { tiers[0].short_ns } else { tiers[1].short_ns };
        too_few(self.sum(shortest_ns), (factor * self.allowed()).min(1.0)) >= OVER_SURPRISE
    }

    fn near_miss(&self, tier: &Tier, long: Sum, surprise: f64, needed: f64) -> NearMiss {
        let entity = self.entity();
        let why = format!(
            "{} of {} events of {} were bad in the last {}, {} times what is promised, but so few say little",
            number(long.bad),
            number(long.total),
            self.slo.name,
            last(tier.long_ns),
            number(self.rate(long)),
        );
        NearMiss {
            method: NAME.into(),
            tenant: self.slo.tenant.clone(),
            entity,
            measure: MEASURE.into(),
            scope: self.slo.name.clone(),
            at: self.now,
            surprise: round3(surprise),
            needed: if surprise >= needed { 0.0 } else { needed },
            why,
        }
    }

    fn entity(&self) -> EntityId {
        self.ledger.entity.clone().unwrap_or_else(|| self.slo.service.clone())
    }

    fn finding(&self, burning: &Burning, page: bool) -> Finding {
        let known = self.ledger.claim.as_ref().map(|claim| &claim.finding);
        let tier = burning.tier;
        // While it ebbs away it is still told by the most urgent tier that held.
        if let Some(known) = known.filter(|known| known.expected.is_some_and(|band| band.high > tier.factor)) {
            return Finding { end: self.now, ..known.clone() };
        }
        let share = (tier.factor * self.allowed()).min(1.0);
        let from = self.ledger.told_until;
        let start = known.map_or_else(
            || self.bins.begin(self.slot, self.ledger, self.now, tier.long_ns, tier.short_ns + MINUTE, share, from),
            |known| known.start,
        );
        // What grows less sure is still what it was.
        let surprise = round3(burning.surprise).max(known.map_or(0.0, |known| known.surprise));
        let entity = self.entity();
        let chart = |metric: &str| Evidence::Derived {
            entity: entity.clone(),
            metric: metric.into(),
            from: start.plus(-HOUR),
            to: self.now,
        };
        let seen = self.sum(self.slo.window_ns);
        let mut evidence = vec![chart(METRICS[1]), chart(METRICS[0])];
        evidence.extend(self.notes(seen, burning).into_iter().map(|text| Evidence::Note { text }));
        let impact = if page { crate::measures::impact(MEASURE) } else { TICKET_IMPACT };
        Finding {
            id: FindingId::default(),
            method: NAME.into(),
            version: VERSION,
            tenant: self.slo.tenant.clone(),
            entity,
            shape: Shape::Abnormal,
            measure: MEASURE.into(),
            scope: self.slo.name.clone(),
            start,
            end: self.now,
            ongoing: true,
            learned: known.map_or(self.now, |known| known.learned),
            belief: round3(belief_from_surprise(surprise)),
            surprise,
            impact,
            direction: Direction::Up,
            expected: Some(Band { mean: 1.0, low: 0.0, high: tier.factor }),
            observed: round3(burning.rate),
            cause: None,
            incident: None,
            summary: self.summary(seen, burning),
            evidence,
        }
    }

    /// What a bad event is, as in `3 % of requests failed`.
    fn bad_words(&self) -> (String, String) {
        match &self.slo.indicator {
            Indicator::Requests => ("requests".into(), "failed".into()),
            Indicator::Latency { threshold_ms } => {
                ("requests".into(), format!("failed or took longer than {threshold_ms} ms"))
            }
            Indicator::Ratio { total, .. } => {
                let shown: String = total.to_string().chars().take(120).collect();
                (shown, "were bad".into())
            }
        }
    }

    fn summary(&self, seen: Sum, burning: &Burning) -> String {
        let (events, were_bad) = self.bad_words();
        let share = burning.long.share().unwrap_or(0.0);
        format!(
            "{} burns its error budget {} times too fast: {} of {events} {were_bad} in the last {}, {} are promised \
             to be good; {}",
            self.slo.name,
            number(burning.rate),
            percent(share),
            last(burning.tier.long_ns),
            promised(self.slo.target),
            self.outlook(seen, burning.long.bad, burning.tier.long_ns),
        )
    }

    /// What becomes of the budget if bad events go on coming as in a window.
    fn outlook(&self, seen: Sum, bad: f64, window_ns: i64) -> String {
        let of = length(self.slo.window_ns);
        match self.gone_in(seen, bad, window_ns) {
            Gone::Already => format!("the budget of {of} is used up"),
            Gone::In(ns) => format!("the budget of {of} would be gone in {}", length(ns)),
            Gone::Never => format!("the budget of {of} is not used up yet"),
        }
    }

    fn notes(&self, seen: Sum, burning: &Burning) -> Vec<String> {
        let tier = burning.tier;
        let short = self.sum(tier.short_ns);
        let mut notes = vec![
            format!(
                "{} of {} events were bad in the last {}, {} of {} in the last {}",
                number(burning.long.bad),
                number(burning.long.total),
                last(tier.long_ns),
                number(short.bad),
                number(short.total),
                last(tier.short_ns)
            ),
            format!(
                "that is {} and {} times the promised share; from {} times on in both it is said",
                number(burning.rate),
                number(self.rate(short)),
                number(tier.factor)
            ),
        ];
        if let Some(left) = self.budget_left(seen) {
            notes.push(format!("{} of the budget of {} is left", percent(left.max(0.0)), length(self.slo.window_ns)));
        }
        notes
    }

    /// Bad events that the budget of a whole window allows: what was watched so far (`seen`) stands for the rest.
    fn budget(&self, seen: Sum) -> Option<f64> {
        let watched = self.ledger.watched_ns(self.now).clamp(MINUTE, self.slo.window_ns);
        let whole = seen.total * (self.slo.window_ns as f64 / watched as f64);
        (seen.total > 0.0).then_some(whole * self.allowed())
    }

    fn budget_left(&self, seen: Sum) -> Option<f64> {
        let budget = self.budget(seen)?;
        let left = 1.0 - seen.bad / budget;
        Some((left * 1e6).round() / 1e6)
    }

    fn gone_in(&self, seen: Sum, bad: f64, window_ns: i64) -> Gone {
        let Some(budget) = self.budget(seen) else { return Gone::Never };
        let left = budget - seen.bad;
        if left <= 0.0 {
            return Gone::Already;
        }
        let seen_ns = self.ledger.watched_ns(self.now).clamp(MINUTE, window_ns);
        let ns = left / bad.max(0.0) * seen_ns as f64;
        if ns < self.slo.window_ns as f64 { Gone::In(ns as i64) } else { Gone::Never }
    }

    fn status(&self) -> SloStatus {
        let seen = self.sum(self.slo.window_ns);
        let hour = self.sum(HOUR);
        let exhausted_at = match self.gone_in(seen, hour.bad, HOUR) {
            Gone::In(ns) => Some(self.now.plus(ns).floor(MINUTE)),
            Gone::Already | Gone::Never => None,
        };
        let rate = |window_ns: i64| {
            let share = self.sum(window_ns).share()?;
            Some(round3(share / self.allowed()))
        };
        let missing = self.missing(seen, hour);
        SloStatus {
            name: self.slo.name.clone(),
            tenant: self.slo.tenant.clone(),
            at: self.now,
            entity: self.ledger.since.map(|_| self.entity()),
            good: round3(seen.total - seen.bad),
            total: round3(seen.total),
            ratio: seen.share().map(|bad| ((1.0 - bad) * 1e9).round() / 1e9),
            budget_left: self.budget_left(seen),
            burn: SHOWN_NS.iter().map(|&window_ns| Burn { window_ns, rate: rate(window_ns) }).collect(),
            exhausted_at,
            since: self.ledger.since,
            is_enough: missing.is_none(),
            missing: missing.or_else(|| match self.ledger.left_out {
                0 => None,
                n => Some(format!("{n} series fit its selectors and are too many to be counted")),
            }),
        }
    }

    /// Why nothing can be said of the budget yet.
    fn missing(&self, seen: Sum, hour: Sum) -> Option<String> {
        let what = match &self.slo.indicator {
            Indicator::Ratio { total, .. } => format!("no increase of {total} was seen"),
            _ => format!("no request to {} was seen in spans", plain(&self.slo.service)),
        };
        if seen.total <= 0.0 {
            return Some(what);
        }
        if hour.total <= 0.0 {
            return Some(format!("{what} in the last hour"));
        }
        let may_fail = seen.total * self.allowed();
        (may_fail < 1.0).then(|| format!("of {} events so far not one may be bad", number(seen.total)))
    }
}

enum Gone {
    Already,
    In(i64),
    Never,
}

/// -log10 of an upper bound of the chance of so many bad events where `share` of them is promised (Chernoff 1952),
/// at most 300; 0 where there are not more.
fn surprise_of(sum: Sum, share: f64) -> f64 {
    let seen = sum.share().unwrap_or(0.0);
    if seen <= share { 0.0 } else { bound(sum.total, seen, share) }
}

/// The same for so few.
fn too_few(sum: Sum, share: f64) -> f64 {
    let Some(seen) = sum.share() else { return 0.0 };
    if seen >= share { 0.0 } else { bound(sum.total, seen, share) }
}

fn bound(events: f64, seen: f64, share: f64) -> f64 {
    let part = |a: f64, b: f64| if a > 0.0 { a * (a / b.max(1e-300)).ln() } else { 0.0 };
    let divergence = part(seen, share) + part(1.0 - seen, 1.0 - share);
    (events * divergence / std::f64::consts::LN_10).clamp(0.0, 300.0)
}

/// `99.9 %`.
fn promised(target: f64) -> String {
    format!("{} %", (target * 1e9).round() / 1e7)
}

/// As it reads after "the last": `hour`, `6 hours`.
fn last(ns: i64) -> String {
    let text = length(ns);
    text.strip_prefix("1 ").map_or(text.clone(), str::to_owned)
}

/// `5 minutes`, `1 hour`, `30 days`.
fn length(ns: i64) -> String {
    let (count, unit) = match ns {
        ns if ns >= 2 * DAY || ns == DAY => (ns as f64 / DAY as f64, "day"),
        ns if ns >= 2 * HOUR || ns == HOUR => (ns as f64 / HOUR as f64, "hour"),
        ns => ((ns as f64 / MINUTE as f64).max(1.0), "minute"),
    };
    match (count.round() as i64, unit) {
        (1, unit) => format!("1 {unit}"),
        (count, unit) => format!("{count} {unit}s"),
    }
}

impl StateData for Book {
    fn schema(&self) -> u32 {
        1
    }

    fn save(&mut self, all: bool, pages: &mut Pages) {
        save_nodes(&self.ledgers, &mut self.dirty, all, pages);
        self.bins.0.save("bin", all, pages);
        self.counters.save(all, pages);
    }

    fn load(&mut self, schema: u32, pages: &Pages) -> Result<(), String> {
        if schema != 1 {
            return Err(format!("schema {schema}"));
        }
        self.ledgers = load_nodes(pages)?;
        self.dirty = vec![false; self.ledgers.len()];
        self.bins.0.load("bin", pages)?;
        self.counters.load(pages)
    }
}

#[cfg(test)]
mod tests;
