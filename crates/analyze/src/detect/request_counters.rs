//! `request_counters`: how requests fare at services that send no spans, by the metrics that count them.
//!
//! Counters of served requests are known by the names that instrumentation gives them: OpenTelemetry's HTTP and RPC
//! server metrics, Prometheus' client libraries and Micrometer (`http_requests_total`, `http_request_duration_seconds`),
//! gRPC, Istio at the destination, ingress controllers. What failed stands in a label: an HTTP status of 500 and above,
//! a gRPC code that is the server's fault, or `error.type`. Their rises are put into bins of half a minute; bins without
//! requests count for nothing, so the interval of a scrape does not matter. Failures are judged as those in spans are
//! ([`super::requests`]: a beta-binomial tail over the share learned, a rise that matters, in more than one bin); the
//! mean time of requests by its logarithm against the middle and spread of the last hour. What holds for an hour is
//! learned anew.
//!
//! A metric does not tell whether a service failed by itself: whose trouble it is, the map and the order of onset must
//! say. Cost: a look in a table a point, and a sort of an hour's bins every half a minute where requests come. It fails
//! where names follow no convention, where one scrape is further from the next than five minutes, and where a service
//! counts failures as successes. Sources: OpenTelemetry semantic conventions for HTTP and RPC metrics; Prometheus'
//! naming practices; Istio standard metrics.

mod names;

use std::collections::{BTreeMap, VecDeque};

use math::counts::beta_binomial_upper;
use serde::{Deserialize, Serialize};
use types::{
    Band, Batch, Direction, EntityId, EntityKey, Evidence, Finding, FindingId, MINUTE, Registry, SECOND, SeriesDef,
    SeriesId, Shape, Tenant, Time,
};
use view::{
    Analysis, DerivedSample, Findings, Fleet, Pages, Params, State, StateData, Stratum, Trigger, View, load_nodes,
    save_nodes,
};

use self::names::{Counted, read};
use super::ongoing::{Claims, quiet_down, say};
use super::requests::{
    ERROR_RATIO_RISE_MIN, ERRORS_MIN, SERVICE_METRICS, SURPRISE_MIN, error_prior, middle_and_spread,
};
use super::rises::Rises;
use super::words::{belief_from_surprise, clock, millis, percent, plain, round3};

/// The catalogue's entry.
pub const ANALYSIS: Analysis = Analysis {
    name: NAME,
    version: VERSION,
    summary: "request rate, errors and mean latency of services without spans, from the metrics that count requests",
    stratum: Stratum::Detect,
    trigger: Trigger::Every(10 * SECOND),
    params: &[],
    new_state: |_| State::new(Book::default()),
    run,
};

const NAME: &str = "request_counters";
const VERSION: u32 = 1;

const BIN_NS: i64 = 30 * SECOND;
/// How long after its end a bin is closed: samples of a scrape come a little late.
const LATE_NS: i64 = 15 * SECOND;
/// Bins with requests from which on something is judged, and how many are what is usual: an hour of them.
const WARM_BINS: usize = 10;
const RING: usize = 120;
/// Bins with requests that are judged together, at most, and how old they may be.
const RECENT: usize = 4;
const RECENT_NS: i64 = 10 * MINUTE;
/// After so long without requests nothing goes on.
const QUIET_NS: i64 = 5 * MINUTE;
/// What holds for so many bins is learned anew.
const ADOPT_BINS: u32 = 120;
/// Requests whose time counts, from which on a mean is one.
const TIMED_MIN: u64 = 5;
/// How much slower than usual is slow, at least.
const SLOW_FACTOR: f64 = 1.5;
const SLOW_RISE_MS: f64 = 10.0;
/// A surprise beyond this says no more.
const SURPRISE_MOST: f64 = 30.0;
/// Spans speak for themselves: for so long after the last one of an entity its counters are only learned from.
const SPANS_FOR_NS: i64 = 10 * MINUTE;
const MOST_SERIES: usize = 50_000;
const MOST_FAMILIES: usize = 5_000;

/// The state.
#[derive(Default)]
struct Book {
    families: Vec<Family>,
    dirty: Vec<bool>,
    rises: Rises,
    saved: Saved,
    /// What each series counts; follows from the registry.
    roles: Vec<Option<Role>>,
    /// Which family is of this tenant, entity and metric.
    by_name: BTreeMap<(Tenant, u32, String), u32>,
    /// The family that speaks for an entity.
    main: BTreeMap<u32, u32>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Saved {
    /// The last bin that was closed.
    closed: i64,
    /// When each entity last sent a span of a request, ns.
    spans: BTreeMap<u32, i64>,
}

#[derive(Clone, Copy)]
struct Role {
    family: u32,
    row: u32,
    counted: Counted,
}

/// All series of one metric of one entity.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Family {
    tenant: Tenant,
    entity: u32,
    name: String,
    /// A label says what failed.
    is_coded: bool,
    /// A series that counted failures lately.
    failing: Option<u32>,
    /// Bins that are not closed, oldest first.
    open: VecDeque<Bin>,
    /// The last closed ones with requests.
    recent: VecDeque<Bin>,
    /// Usual ones before.
    ring: VecDeque<Bin>,
    claims: Claims,
    /// Bins since something began that goes on.
    abnormal: u32,
}

/// What half a minute of requests came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Bin {
    at: i64,
    requests: u64,
    failed: u64,
    /// Requests whose time is known, and their time together, µs.
    timed: u64,
    micros: u64,
}

impl Bin {
    fn mean_ms(&self) -> Option<f64> {
        (self.timed >= TIMED_MIN).then(|| self.micros as f64 / self.timed as f64 / 1000.0)
    }

    fn start(&self) -> Time {
        Time(self.at.saturating_mul(BIN_NS))
    }
}

fn run(view: &View, _params: &Params, state: &mut State, out: &mut Findings) {
    let book: &mut Book = state.get();
    book.learn(view.registry);
    for batch in view.batches {
        book.take(batch, view);
    }
    let last = view.now.plus(-LATE_NS).0.div_euclid(BIN_NS) - 1;
    if last <= book.saved.closed {
        return;
    }
    book.saved.closed = last;
    for i in 0..book.families.len() {
        book.close(i, view, out);
    }
}

impl Book {
    /// Looks at the series that are new in the registry.
    fn learn(&mut self, registry: &Registry) {
        let all = registry.all_series();
        for (number, def) in all.iter().enumerate().skip(self.roles.len()) {
            let role = self.role_of(registry, number as u32, def);
            self.roles.push(role);
        }
    }

    fn role_of(&mut self, registry: &Registry, series: u32, def: &SeriesDef) -> Option<Role> {
        let (name, counted, served_by) = read(def)?;
        let entity = match served_by {
            Some(service) => registry.find_entity(&registry.known_service(&service).unwrap_or(service))?,
            None => def.entity,
        };
        let key = (def.tenant.clone(), entity.0, name.to_owned());
        let family = match self.by_name.get(&key) {
            Some(family) => *family,
            None if self.families.len() >= MOST_FAMILIES => return None,
            None => {
                let family = self.families.len() as u32;
                self.families.push(Family::new(&key));
                self.dirty.push(true);
                self.by_name.insert(key, family);
                family
            }
        };
        let row = self.rises.row_of(series, MOST_SERIES)?;
        if let Counted::Requests { failed: Some(_), .. } = counted
            && !self.families[family as usize].is_coded
        {
            self.families[family as usize].is_coded = true;
            self.dirty[family as usize] = true;
        }
        self.choose_main(entity.0, family);
        Some(Role { family, row, counted })
    }

    /// The first that knows what failed speaks for its entity, else the first.
    fn choose_main(&mut self, entity: u32, family: u32) {
        let main = self.main.entry(entity).or_insert(family);
        let rank = |family: u32| (!self.families[family as usize].is_coded, family);
        if rank(family) < rank(*main) {
            *main = family;
        }
    }

    fn take(&mut self, batch: &Batch, view: &View) {
        let mut last = None;
        for ((entity, kind), time) in batch.spans.entity.iter().zip(&batch.spans.kind).zip(&batch.spans.time) {
            if matches!(kind, 2 | 5) && last != Some(*entity) {
                let seen = self.saved.spans.entry(entity.0).or_insert(*time);
                *seen = (*time).max(*seen);
                last = Some(*entity);
            }
        }
        let rows = &batch.samples;
        for ((series, time), value) in rows.series.iter().zip(&rows.time).zip(&rows.value) {
            let Some(Some(role)) = self.roles.get(series.0 as usize) else { continue };
            let Some(def) = view.registry.series_def(*series) else { continue };
            let Some(rise) = self.rises.rise(role.row, series.0, def.kind, *time, *value) else { continue };
            let at = time.div_euclid(BIN_NS);
            if at <= self.saved.closed || *time > view.now.0 {
                continue;
            }
            self.families[role.family as usize].count(at, role.counted, rise.by, *series);
            self.dirty[role.family as usize] = true;
        }
    }

    /// Closes the bins of a family that are due, and judges it.
    fn close(&mut self, i: usize, view: &View, out: &mut Findings) {
        let closed = self.saved.closed;
        let family = &mut self.families[i];
        let Some(entity) = view.registry.entity_id(EntityKey(family.entity)) else { return };
        let is_main = self.main.get(&family.entity) == Some(&(i as u32));
        let last_span = self.saved.spans.get(&family.entity);
        let has_spans = last_span.is_some_and(|at| view.now.0.saturating_sub(*at) < SPANS_FOR_NS);
        let mut is_new = false;
        while family.open.front().is_some_and(|bin| bin.at <= closed) {
            let Some(bin) = family.open.pop_front() else { break };
            if bin.requests == 0 && bin.timed == 0 {
                continue;
            }
            if is_main && !has_spans {
                family.derive(&bin, out);
            }
            family.push(bin, closed);
            is_new = true;
        }
        if !is_new && family.claims.is_empty() {
            return;
        }
        self.dirty[i] = true;
        if has_spans || family.is_silent(closed) {
            quiet_down(&mut family.claims, &[], 1, out);
        } else if is_new {
            family.judge(entity, view, out);
        } else {
            family.go_on(view, out);
        }
        family.adopt(view, out);
    }
}

impl Family {
    fn new((tenant, entity, name): &(Tenant, u32, String)) -> Family {
        Family {
            tenant: tenant.clone(),
            entity: *entity,
            name: name.clone(),
            is_coded: false,
            failing: None,
            open: VecDeque::new(),
            recent: VecDeque::new(),
            ring: VecDeque::new(),
            claims: Claims::new(),
            abnormal: 0,
        }
    }

    fn count(&mut self, at: i64, counted: Counted, by: f64, series: SeriesId) {
        let place = self.open.partition_point(|bin| bin.at < at);
        if self.open.get(place).is_none_or(|bin| bin.at != at) {
            self.open.insert(place, Bin { at, ..Bin::default() });
        }
        let bin = &mut self.open[place];
        match counted {
            Counted::Requests { failed, timed } => {
                let by = by.round() as u64;
                bin.requests += by;
                bin.timed += if timed { by } else { 0 };
                if failed == Some(true) {
                    bin.failed += by;
                    self.failing = Some(series.0);
                }
            }
            Counted::Time { micros } => bin.micros += (by * micros).round() as u64,
        }
    }

    /// A closed bin is judged with the last ones; what is older is usual while nothing goes on.
    fn push(&mut self, bin: Bin, closed: i64) {
        self.recent.push_back(bin);
        while self.recent.len() > RECENT {
            if let Some(old) = self.recent.pop_front().filter(|_| self.claims.is_empty()) {
                self.ring.push_back(old);
            }
        }
        let oldest = closed - RECENT_NS / BIN_NS;
        self.recent.retain(|bin| bin.at >= oldest);
        while self.ring.len() > RING {
            self.ring.pop_front();
        }
    }

    fn is_silent(&self, closed: i64) -> bool {
        self.recent.back().is_none_or(|bin| (closed - bin.at) * BIN_NS > QUIET_NS)
    }

    fn judge(&mut self, entity: &EntityId, view: &View, out: &mut Findings) {
        if self.ring.len() < WARM_BINS {
            return;
        }
        let found = [("error_ratio", self.errors(entity, view)), ("latency_ms_mean", self.latency(entity, view))];
        let mut still = Vec::new();
        for (measure, finding) in found {
            if let Some(finding) = finding {
                say(&mut self.claims, measure, finding, view.now, out);
                still.push(measure);
            }
        }
        quiet_down(&mut self.claims, &still, 2, out);
    }

    /// No requests came since: what goes on is said again.
    fn go_on(&mut self, view: &View, out: &mut Findings) {
        for known in self.claims.values_mut() {
            known.finding.end = view.now;
            out.say(known.finding.clone());
        }
    }

    fn adopt(&mut self, view: &View, out: &mut Findings) {
        self.abnormal = if self.claims.is_empty() { 0 } else { self.abnormal + 1 };
        if self.abnormal > ADOPT_BINS {
            for known in std::mem::take(&mut self.claims).into_values() {
                out.say(Finding { ongoing: false, end: view.now, ..known.finding });
            }
            self.ring.clear();
            self.abnormal = 0;
        }
    }

    fn errors(&self, entity: &EntityId, view: &View) -> Option<Finding> {
        if !self.is_coded {
            return None;
        }
        let (failed, of) = failed_of(self.ring.iter());
        let (a, b) = error_prior(failed, of);
        let usual = a / (a + b);
        let ongoing = self.claims.contains_key("error_ratio");
        for width in [2, RECENT] {
            let window = || self.recent.iter().rev().take(width);
            let (failed, of) = failed_of(window());
            let ratio = failed as f64 / of.max(1) as f64;
            let rise = ratio - usual;
            let still = ongoing && width == 2 && failed >= 2 && rise >= ERROR_RATIO_RISE_MIN / 2.0;
            let spread = window().filter(|bin| bin.failed > 0).count() >= 2;
            let surprise = beta_binomial_upper(failed, of, a, b).min(SURPRISE_MOST);
            let is_large = failed >= ERRORS_MIN && rise >= ERROR_RATIO_RISE_MIN && spread && surprise >= SURPRISE_MIN;
            if !still && !is_large {
                continue;
            }
            let limit = usual + (rise / 2.0).max(ERROR_RATIO_RISE_MIN / 2.0);
            let is_bad = |bin: &&Bin| bin.failed as f64 > bin.requests as f64 * limit;
            let start = window().filter(is_bad).map(Bin::start).min().unwrap_or(view.now);
            let words = format!("answers {} of its requests with errors", percent(ratio));
            let note = format!("{failed} of {of} requests failed, usually {}", percent(usual));
            let expected = Band { mean: round3(usual), low: 0.0, high: round3(usual + ERROR_RATIO_RISE_MIN) };
            return Some(self.finding(view, entity, "error_ratio", start, surprise, (ratio, expected), &words, note));
        }
        None
    }

    fn latency(&self, entity: &EntityId, view: &View) -> Option<Finding> {
        let (usual, sigma) = middle_and_spread(self.ring.iter().filter_map(Bin::mean_ms));
        let mut last: Vec<(Time, f64)> =
            self.recent.iter().filter_map(|bin| Some((bin.start(), bin.mean_ms()?))).rev().take(2).collect();
        last.reverse();
        let [(start, first), (_, second)] = last[..] else { return None };
        let (least, most) = (first.min(second), first.max(second));
        let ongoing = self.claims.contains_key("latency_ms_mean");
        let limit = (usual * SLOW_FACTOR).max(usual + SLOW_RISE_MS).max(usual * (4.0 * sigma).exp());
        let limit = if ongoing { usual + (limit - usual) / 2.0 } else { limit };
        let surprise = normal_upper((least / usual).ln() / sigma).min(SURPRISE_MOST);
        if usual <= 0.0 || least <= limit || !ongoing && surprise < SURPRISE_MIN / 2.0 {
            return None;
        }
        let words = format!("takes {} for a request on the average", millis(second));
        let note = format!("usually {}, at most {} in the last half minutes", millis(usual), millis(most));
        let expected = Band { mean: round3(usual), low: 0.0, high: round3(limit) };
        // Two bins in a row are twice as surprising as one.
        let surprise = (2.0 * surprise).min(SURPRISE_MOST);
        Some(self.finding(view, entity, "latency_ms_mean", start, surprise, (second, expected), &words, note))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a finding that differ between the two measures")]
    fn finding(
        &self,
        view: &View,
        entity: &EntityId,
        measure: &'static str,
        start: Time,
        surprise: f64,
        (observed, expected): (f64, Band),
        words: &str,
        note: String,
    ) -> Finding {
        let start = start.min(view.now);
        let series = self.failing.filter(|_| measure == "error_ratio").map(SeriesId);
        let shown = series.and_then(|series| Some((series, view.registry.series_def(series)?.metric.to_string())));
        let window = (start.plus(-10 * MINUTE), view.now);
        let chart = shown.map(|(series, metric)| Evidence::Series { series, metric, from: window.0, to: window.1 });
        let notes = [
            format!("{note}, as {} counts them", self.name),
            "missing: traces, which would show whether it fails or is slow by itself".to_owned(),
        ];
        Finding {
            id: FindingId::default(),
            method: NAME.into(),
            version: VERSION,
            tenant: self.tenant.clone(),
            entity: entity.clone(),
            shape: Shape::Abnormal,
            measure: measure.into(),
            scope: self.name.clone(),
            start,
            end: view.now,
            ongoing: true,
            learned: view.now,
            belief: round3(belief_from_surprise(surprise)),
            surprise: round3(surprise),
            impact: crate::measures::impact(measure),
            direction: Direction::Up,
            expected: Some(expected),
            observed: round3(observed),
            cause: None,
            incident: None,
            summary: format!("{} {words} since {}", plain(entity), clock(start)),
            evidence: chart.into_iter().chain(notes.map(|text| Evidence::Note { text })).collect(),
        }
    }

    /// Rate, share of errors and mean time, so that the service is in the table as those with spans are.
    fn derive(&self, bin: &Bin, out: &mut Findings) {
        let before = self.recent.back().map_or(bin.at - 1, |last| last.at);
        let length_s = ((bin.at - before) * BIN_NS).clamp(BIN_NS, QUIET_NS) / SECOND;
        let mut put = |metric, value| {
            let (tenant, entity, labels) = (self.tenant.clone(), EntityKey(self.entity), Vec::new());
            out.derived.push(DerivedSample { tenant, entity, metric, labels, time: bin.start(), value });
        };
        put(SERVICE_METRICS[0], bin.requests as f64 / length_s as f64);
        if self.is_coded && bin.requests > 0 {
            put(SERVICE_METRICS[1], bin.failed.min(bin.requests) as f64 / bin.requests as f64);
        }
        if let Some(mean) = bin.mean_ms() {
            put(SERVICE_METRICS[3], mean);
        }
    }
}

/// Failed requests and all.
fn failed_of<'a>(bins: impl Iterator<Item = &'a Bin>) -> (u64, u64) {
    bins.fold((0, 0), |(failed, of), bin| (failed + bin.failed.min(bin.requests), of + bin.requests))
}

/// `-log10` of the upper tail of the normal distribution, by Mills' ratio; 0 below the mean.
fn normal_upper(z: f64) -> f64 {
    if z.is_finite() && z > 1.0 {
        (z * z / 2.0) * std::f64::consts::LOG10_E + (z * std::f64::consts::TAU.sqrt()).log10()
    } else if z > 1.0 {
        SURPRISE_MOST
    } else {
        0.0
    }
}

impl StateData for Book {
    fn schema(&self) -> u32 {
        1
    }

    fn save(&mut self, all: bool, pages: &mut Pages) {
        save_nodes(&self.families, &mut self.dirty, all, pages);
        self.rises.save(all, pages);
        pages.insert("fleet".into(), Fleet(self.saved.clone()).to_bytes());
    }

    fn load(&mut self, schema: u32, pages: &Pages) -> Result<(), String> {
        if schema != 1 {
            return Err(format!("schema {schema} is not 1: start fresh"));
        }
        let mut book = Book { families: load_nodes(pages)?, ..Book::default() };
        book.rises.load(pages)?;
        if let Some(bytes) = pages.get("fleet") {
            book.saved = Fleet::from_bytes(bytes)?.0;
        }
        book.dirty = vec![false; book.families.len()];
        for (i, family) in book.families.iter().enumerate() {
            book.by_name.insert((family.tenant.clone(), family.entity, family.name.clone()), i as u32);
        }
        *self = book;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
