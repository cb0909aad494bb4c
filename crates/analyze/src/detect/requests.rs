//! Requests, errors and latency per service and per edge, from spans, and the service map.
//!
//! Spans are counted into buckets of ten seconds by the moment they ended. Six seconds after a bucket's end it is
//! closed: spans are joined (a caller's with the one it caused), the numbers are stored as derived series, and the
//! bucket is held against what was usual in the last quarter of an hour of normal buckets:
//!
//! - `error_ratio`: beta-binomial tail of failed requests in the last 30 and 60 seconds against the learned share.
//! - `latency_ms_p95`: the share of requests far above the usual 95th percentile, in several buckets.
//! - `silence`: a service or one of its instances that sends nothing while its callers live.
//! - `request_rate`: only what leaves the seen range by a factor of three, since load cycles are normal.
//!
//! The first two say in their scope whether it is the service's `own` doing or comes from what it calls
//! (`downstream`): a failed request with a failed call on its behalf is passed on, time spent waiting for calls is
//! not the service's own. Where a service fails at calling another that sees nothing wrong, or that sends no spans,
//! the edge is said: scope `calls kind:namespace/name`.
//!
//! A bucket teaches what is usual only a minute later and only while nothing is abnormal; an abnormal level that
//! stays is adopted as [`BaselinePolicy`] says. Cost: well under a microsecond a span; memory is bounded by the
//! limits at the top of `book.rs`. It fails where clocks of senders are off by more than the allowed lateness
//! (such spans are only counted as late).

mod book;
mod join;
mod judge;

use std::collections::{BTreeMap, VecDeque};

use types::{Band, Direction, EdgeKind, EntityId, Evidence, Finding, FindingId, SECOND, Shape, Tenant, Time};
use view::{Analysis, BaselinePolicy, DerivedSample, Findings, Params, SeenEdge, State, Stratum, Trigger, View};

use self::book::{
    ALLOWED_LATENESS_NS, BUCKET_NS, Book, EdgeBook, JOIN_BUCKETS, Node, Point, RECENT, RING, bucket_start,
};
pub(super) use self::book::{is_error, peer_entity};
use self::join::{Calls, Joined, OwnPart, join};
pub(super) use self::judge::{ERROR_RATIO_RISE_MIN, ERRORS_MIN, SURPRISE_MIN, error_prior, middle_and_spread};
use self::judge::{Errors, Rate, Slow, Usual, judge_errors, judge_latency, judge_rate, usual};
use super::ongoing::{Ongoing, quiet_down, say};
use super::words::{belief_from_surprise, clock, millis, number, percent, plain, round3};

/// The catalogue's entry.
pub const ANALYSIS: Analysis = Analysis {
    name: NAME,
    version: VERSION,
    summary: "request rate, errors and latency per service and per edge from spans, with the service map",
    stratum: Stratum::Detect,
    trigger: Trigger::Every(SECOND),
    params: &[],
    new_state: |_| State::new(Book::default()),
    run,
};

const NAME: &str = "requests";
const VERSION: u32 = 1;

/// Buckets behind which a pause is not walked through one by one.
const MAX_PAUSE_BUCKETS: i64 = 360;
/// Normal buckets after which an abnormality ends.
const SETTLE_BUCKETS: u32 = (POLICY.settle_ns / BUCKET_NS) as u32;
/// The policy as constants of this file.
const POLICY: BaselinePolicy = BaselinePolicy {
    settle_ns: types::MINUTE,
    adopt_after_ns: 6 * types::HOUR,
    adopt_after_change_ns: types::HOUR,
    change_window_ns: 15 * types::MINUTE,
};
/// Services needed to tell a busy machine from one slow service.
const COMMON_MIN: usize = 4;
/// Empty buckets after which a service or an instance is silent.
const SILENT_BUCKETS: i64 = 2;
/// -log10 of the probability that nothing comes although nothing is wrong, from which silence is said.
const SILENCE_SURPRISE_MIN: f64 = 6.0;
/// Seconds without a span that are usual.
const SILENCE_BAND: Band = Band { mean: 0.0, low: 0.0, high: 20.0 };
/// Buckets in a row that make an instance steady.
const STEADY_BUCKETS: u32 = 6;

fn run(view: &View, _params: &Params, state: &mut State, out: &mut Findings) {
    let book: &mut Book = state.get();
    let closable = (view.now.0 - ALLOWED_LATENESS_NS).div_euclid(BUCKET_NS);
    let next = *book.fleet.next.get_or_insert(closable);
    for batch in view.batches {
        book.take(view, batch);
    }
    let first = next.max(closable - MAX_PAUSE_BUCKETS);
    for bucket in first..closable {
        close(book, bucket, view, out);
    }
    book.fleet.next = Some(next.max(closable));
}

/// Closes one bucket of all services.
fn close(book: &mut Book, bucket: i64, view: &View, out: &mut Findings) {
    let mut joined = join(book, bucket);
    for node in 0..book.nodes.len() as u32 {
        let own = joined.nodes.remove(&node);
        close_node(book, node, bucket, own, view, out);
    }
    close_edges(book, joined, bucket, view, out);
    let known = Known::new(book, bucket);
    for node in 0..book.nodes.len() as u32 {
        judge_node(book, node, bucket, &known, view, out);
    }
    for node in 0..book.nodes.len() as u32 {
        judge_edges(book, node, bucket, known.common, view, out);
    }
    book.forget_before(bucket - JOIN_BUCKETS + 1);
}

/// What judging one service needs to know of the others.
struct Known {
    usual: Vec<Option<Usual>>,
    /// Requests in the last two buckets.
    lively: Vec<bool>,
    callers: BTreeMap<u32, Vec<u32>>,
    /// How much slower everything got together, as a logarithm.
    common: f64,
}

impl Known {
    fn new(book: &Book, bucket: i64) -> Known {
        let usual: Vec<_> = book.nodes.iter().map(|n| usual(&n.ring)).collect();
        let within = |p: &&Point| p.bucket > bucket - SILENT_BUCKETS;
        let lively = book.nodes.iter().map(|n| n.recent.iter().rev().filter(within).any(|p| p.spans > 0)).collect();
        let mut callers: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (source, node) in book.nodes.iter().enumerate() {
            for target in node.edges.keys() {
                callers.entry(*target).or_default().push(source as u32);
            }
        }
        let slowdowns = book.nodes.iter().zip(&usual);
        let mut slowdowns: Vec<f64> =
            slowdowns.filter_map(|(n, u)| judge::own_slowdown(&n.recent, u.as_ref()?)).collect();
        let common = if slowdowns.len() >= COMMON_MIN { judge::median(&mut slowdowns) } else { 0.0 };
        Known { usual, lively, callers, common }
    }
}

fn close_node(book: &mut Book, at: u32, bucket: i64, own: Option<OwnPart>, view: &View, out: &mut Findings) {
    let Some(node) = book.nodes.get_mut(at as usize).filter(|n| n.instrumented) else { return };
    let later = node.open.split_off(&(bucket + 1));
    let tally = std::mem::replace(&mut node.open, later).remove(&bucket).unwrap_or_default();
    for (instance, _) in &tally.instances {
        if let Some(instance) = node.instances.get_mut(usize::from(*instance)) {
            instance.steady = if instance.last == bucket - 1 { instance.steady + 1 } else { 1 };
            instance.first = instance.first.min(bucket);
            instance.last = bucket;
        }
    }
    let requests = if node.has_entry { tally.entry } else { tally.root };
    let own = own.unwrap_or_default();
    let point = Point {
        bucket,
        spans: tally.spans,
        requests: requests.count,
        errors: requests.errors,
        looked: own.looked,
        own: own.own,
        p50: requests.latency.quantile(0.5) as u32,
        p95: requests.latency.quantile(0.95) as u32,
        self_p50: own.self_latency.quantile(0.5) as u32,
        self_p95: own.self_latency.quantile(0.95) as u32,
        latency: requests.latency,
        self_latency: own.self_latency,
        failed_trace: requests.failed_trace,
        slow_trace: requests.slow_trace.map(|(_, trace)| trace),
    };
    derive(&node.tenant, &node.entity, None, &point, &node.recent, view, out);
    node.age = node.age.saturating_add(1);
    let frozen = !node.abnormal.is_empty();
    // The first bucket holds a start: half a bucket of cold requests teaches nothing.
    let is_first = node.age == 1;
    push(&mut node.recent, &mut node.ring, Some(&mut node.shadow), point, frozen, is_first);
    if node.instrumented && node.recent.iter().any(|p| p.spans > 0) || frozen {
        book.touch(at);
    }
}

fn close_edges(book: &mut Book, joined: Joined, bucket: i64, view: &View, out: &mut Findings) {
    for ((source, target), calls) in joined.edges {
        let Some(entity) = book.nodes.get(target as usize).map(|n| n.entity.clone()) else { continue };
        let Some(node) = book.nodes.get_mut(source as usize) else { continue };
        let (tenant, caller) = (node.tenant.clone(), node.entity.clone());
        let Some(edge) = node.edge(target) else { continue };
        edge.last = bucket;
        let point = point_of_calls(bucket, calls);
        derive(&tenant, &caller, Some(&entity), &point, &edge.recent, view, out);
        match (book::key_of(view.registry, &caller), book::key_of(view.registry, &entity)) {
            (Some(source), Some(target)) => {
                let (at, count) = (Time(bucket_start(bucket + 1).0.min(view.now.0)), u64::from(point.requests));
                out.edges.push(SeenEdge { source, target, kind: EdgeKind::Calls, at, count });
            }
            // A peer that sends nothing itself: its edge is said from the next bucket on.
            (_, None) => out.entities.push(entity),
            (None, _) => {}
        }
        let frozen = !edge.abnormal.is_empty();
        push(&mut edge.recent, &mut edge.ring, None, point, frozen, false);
        book.touch(source);
    }
}

fn point_of_calls(bucket: i64, calls: Calls) -> Point {
    Point {
        bucket,
        spans: calls.count,
        requests: calls.count,
        errors: calls.errors,
        p50: calls.latency.quantile(0.5) as u32,
        p95: calls.latency.quantile(0.95) as u32,
        latency: calls.latency,
        failed_trace: calls.failed_trace,
        slow_trace: calls.slow_trace.map(|(_, trace)| trace),
        ..Point::default()
    }
}

/// Takes a closed bucket in; the one that is a minute old teaches what is usual, unless something is abnormal.
fn push(
    recent: &mut VecDeque<Point>,
    ring: &mut VecDeque<Point>,
    shadow: Option<&mut VecDeque<Point>>,
    point: Point,
    frozen: bool,
    is_first: bool,
) {
    if is_first {
        return;
    }
    recent.push_back(point);
    if recent.len() <= RECENT {
        return;
    }
    let Some(taught) = recent.pop_front() else { return };
    let kept = match (frozen, shadow) {
        (false, shadow) => {
            if let Some(shadow) = shadow {
                shadow.clear();
            }
            ring
        }
        (true, Some(shadow)) => shadow,
        (true, None) => return,
    };
    // What is usual is told by the numbers; histograms and examples are for the recent ones.
    let (latency, self_latency) = Default::default();
    kept.push_back(Point { latency, self_latency, failed_trace: None, slow_trace: None, ..taught });
    if kept.len() > RING {
        kept.pop_front();
    }
}

/// Stores a bucket's numbers as derived series, at the bucket's start.
fn derive(
    tenant: &Tenant,
    entity: &EntityId,
    target: Option<&EntityId>,
    point: &Point,
    recent: &VecDeque<Point>,
    view: &View,
    out: &mut Findings,
) {
    let Some(key) = book::key_of(view.registry, entity) else { return };
    // A service that has sent nothing for a minute has no rate to chart.
    if point.requests == 0 && recent.iter().all(|p| p.requests == 0) {
        return;
    }
    let labels: Vec<_> = target.iter().map(|t| ("target", t.as_str().to_owned())).collect();
    let mut put = |metric, value: f64| {
        let (tenant, labels, time) = (tenant.clone(), labels.clone(), bucket_start(point.bucket));
        out.derived.push(DerivedSample { tenant, entity: key, metric, labels, time, value });
    };
    let names = if target.is_none() { SERVICE_METRICS } else { EDGE_METRICS };
    put(names[0], f64::from(point.requests) / (BUCKET_NS / SECOND) as f64);
    if point.requests > 0 {
        put(names[1], f64::from(point.errors) / f64::from(point.requests));
        put(names[2], f64::from(point.p95) / 1000.0);
        put(names[3], point.latency.mean() / 1000.0);
        if target.is_none() {
            put("bellwether.requests.latency_ms_p50", f64::from(point.p50) / 1000.0);
        }
    }
}

/// Rate (1/s), share of errors (0..=1), 95th percentile and mean (ms) of a service.
pub(crate) const SERVICE_METRICS: [&str; 4] = [
    "bellwether.requests.rate",
    "bellwether.requests.error_ratio",
    "bellwether.requests.latency_ms_p95",
    "bellwether.requests.latency_ms_mean",
];
/// The same of an edge; the label `target` says of which.
pub(crate) const EDGE_METRICS: [&str; 4] = [
    "bellwether.calls.rate",
    "bellwether.calls.error_ratio",
    "bellwether.calls.latency_ms_p95",
    "bellwether.calls.latency_ms_mean",
];

/// Holds the last buckets of a service against what is usual and says what is not.
fn judge_node(book: &mut Book, at: u32, bucket: i64, known: &Known, view: &View, out: &mut Findings) {
    let Some(usual) = known.usual.get(at as usize).and_then(Option::as_ref) else { return };
    let claims = claims_of_node(book, at, bucket, known, usual);
    let Some(node) = book.nodes.get_mut(at as usize) else { return };
    for claim in &claims {
        let finding = claim.finding(&node.tenant, &node.entity, view);
        say(&mut node.abnormal, &claim.key, finding, view.now, out);
    }
    let still: Vec<&str> = claims.iter().map(|c| c.key.as_str()).collect();
    let ended = quiet_down(&mut node.abnormal, &still, SETTLE_BUCKETS, out);
    let adopted = adopt(node, bucket, view, out);
    if !claims.is_empty() || ended || adopted {
        book.touch(at);
    }
}

fn claims_of_node(book: &Book, at: u32, bucket: i64, known: &Known, usual: &Usual) -> Vec<Claim> {
    let Some(node) = book.nodes.get(at as usize).filter(|n| n.instrumented) else { return Vec::new() };
    let goes_on = |key: &str| node.abnormal.get(key);
    let mut claims = Vec::new();
    if let Some(errors) = judge_errors(&node.recent, usual, goes_on("error_ratio").is_some()) {
        claims.push(claim_of_errors(node, &errors, goes_on("error_ratio")));
    }
    if let Some(slow) = judge_latency(&node.recent, usual, known.common, goes_on("latency_ms_p95").is_some()) {
        claims.push(claim_of_latency(node, &slow, goes_on("latency_ms_p95")));
    }
    if let Some(claim) = silence_of_service(book, at, bucket, known, usual) {
        claims.push(claim);
    } else {
        claims.extend(silence_of_instances(book, at, bucket, known, usual));
        if let Some(rate) = judge_rate(&node.recent, usual, goes_on("request_rate").is_some()) {
            // Where the callers' load changed alike it is the callers' story.
            let passed_on = known.callers.get(&at).is_some_and(|callers| !callers.is_empty());
            if !passed_on {
                claims.push(claim_of_rate(&rate, bucket));
            }
        }
    }
    claims
}

/// A service from which nothing comes although its callers, or other things around it, still live.
fn silence_of_service(book: &Book, at: u32, bucket: i64, known: &Known, usual: &Usual) -> Option<Claim> {
    let node = book.nodes.get(at as usize)?;
    let empty = node.recent.iter().rev().take_while(|p| p.spans == 0).count() as i64;
    let steady = usual.present >= 0.9 && usual.spans >= 5.0;
    let gone = node.abnormal.contains_key("silence");
    // Small numbers need one more bucket: three of them without a span are no accident.
    let needed = if usual.spans >= 20.0 { SILENT_BUCKETS } else { SILENT_BUCKETS + 1 };
    if empty < needed || !(steady || gone) {
        return None;
    }
    let surprise = (usual.rate[0].max(usual.rate[1] * 0.3) * 0.7 * empty as f64 / std::f64::consts::LN_10).min(300.0);
    if surprise < SILENCE_SURPRISE_MIN && !gone {
        return None;
    }
    let since = bucket_start(bucket).0 - 3 * BUCKET_NS;
    let (others, own) = book.heard(&node.tenant, &node.entity);
    let callers = known.callers.get(&at).filter(|c| !c.is_empty());
    let needed_by: Vec<&Node> = callers
        .into_iter()
        .flatten()
        .filter(|c| known.lively[**c as usize])
        .map(|c| &book.nodes[*c as usize])
        .collect();
    let alive = match callers {
        Some(_) => !needed_by.is_empty(),
        // Nobody is known to call it: it is silent if it says nothing at all while others still do.
        None => others.is_some_and(|at| at >= since) && own.is_none_or(|at| at < since),
    };
    if !alive {
        return None;
    }
    let per_second = usual.spans / (BUCKET_NS / SECOND) as f64;
    let mut notes = vec![format!("usually {} spans a second; none in the last {} s", number(per_second), empty * 10)];
    notes.extend(needed_by.first().map(|n| format!("{} still sends requests", plain(&n.entity))));
    Some(Claim {
        key: "silence".into(),
        measure: "silence",
        scope: String::new(),
        start: bucket - empty + 1,
        end: bucket,
        surprise: round3(surprise),
        belief: 0.9,
        direction: Direction::Silent,
        expected: SILENCE_BAND,
        observed: (empty * BUCKET_NS / SECOND) as f64,
        words: "has sent no spans".into(),
        notes,
        evidence: Vec::new(),
        metric: SERVICE_METRICS[0],
    })
}

/// Instances that stopped while the service goes on and no other instance took their place. Where no caller has
/// trouble it may have been stopped on purpose: then it is hardly believed to be a fault.
fn silence_of_instances(book: &Book, at: u32, bucket: i64, known: &Known, usual: &Usual) -> Vec<Claim> {
    let Some(node) = book.nodes.get(at as usize) else { return Vec::new() };
    let live = node.instances.iter().filter(|i| i.last > bucket - SILENT_BUCKETS).count();
    if live == 0 {
        return Vec::new();
    }
    let callers = known.callers.get(&at).into_iter().flatten();
    let hurts = callers.filter_map(|c| book.nodes.get(*c as usize)?.edges.get(&at)).any(has_failing_calls);
    let mut claims = Vec::new();
    for instance in node.instances.iter().filter(|i| !i.name.is_empty() && i.last <= bucket - SILENT_BUCKETS) {
        let replaced =
            node.instances.iter().filter(|i| i.first >= instance.last - 6 && i.last > bucket - SILENT_BUCKETS);
        let key = format!("silence of {}", instance.name);
        let gone_for = bucket - instance.last;
        let is_news = instance.steady >= STEADY_BUCKETS && gone_for <= RING as i64;
        if replaced.count() > 0 || !(is_news || node.abnormal.contains_key(&key)) {
            continue;
        }
        // Against its share in the quietest time seen: an idle instance is not a lost one.
        let share = usual.rate[0] * 0.7 / (live + 1) as f64;
        let surprise = (share * gone_for as f64 / std::f64::consts::LN_10).min(300.0);
        if surprise < SILENCE_SURPRISE_MIN && !node.abnormal.contains_key(&key) {
            continue;
        }
        let text = format!("instance {} sends nothing, {live} other instance(s) go on", instance.name);
        claims.push(Claim {
            key,
            measure: "silence",
            scope: format!("instance {}", instance.name),
            start: instance.last + 1,
            end: bucket,
            surprise: round3(surprise),
            belief: if hurts { 0.85 } else { 0.5 },
            direction: Direction::Silent,
            expected: SILENCE_BAND,
            observed: (gone_for * BUCKET_NS / SECOND) as f64,
            words: format!("has lost the instance {}", instance.name),
            notes: vec![text],
            evidence: Vec::new(),
            metric: SERVICE_METRICS[0],
        });
    }
    claims.truncate(4);
    claims
}

/// Whether more than a few of the last calls on an edge failed.
fn has_failing_calls(edge: &EdgeBook) -> bool {
    let last: Vec<&Point> = edge.recent.iter().rev().take(4).collect();
    let (failed, of) = last.iter().fold((0, 0), |(f, o), p| (f + p.errors, o + p.requests));
    edge.abnormal.contains_key("error_ratio") || failed >= 3 && f64::from(failed) >= 0.05 * f64::from(of)
}

fn claim_of_errors(node: &Node, errors: &Errors, known: Option<&Ongoing>) -> Claim {
    let looked: u32 = node.recent.iter().rev().take(3).map(|p| p.looked).sum();
    let own: u32 = node.recent.iter().rev().take(3).map(|p| p.own).sum();
    let own_share = if looked == 0 { 1.0 } else { f64::from(own) / f64::from(looked) };
    let ratio = errors.failed as f64 / errors.of.max(1) as f64;
    let own_note = if looked == 0 {
        "missing: traces that show whether a call on the request's behalf failed".into()
    } else {
        format!("{} of its failed requests had no failed call: its own errors", percent(own_share))
    };
    Claim {
        key: "error_ratio".into(),
        measure: "error_ratio",
        scope: scope_of(known, own_share >= 0.5),
        start: errors.start,
        end: errors.end,
        surprise: round3(errors.surprise),
        belief: round3(belief_from_surprise(errors.surprise)),
        direction: Direction::Up,
        expected: band_of_ratio(errors.usual_ratio),
        observed: round3(ratio),
        words: format!("answers {} of its requests with errors", percent(ratio)),
        notes: vec![
            format!("{} of {} requests failed, usually {}", errors.failed, errors.of, percent(errors.usual_ratio)),
            own_note,
        ],
        evidence: trace_evidence(&node.recent, |p| p.failed_trace),
        metric: SERVICE_METRICS[1],
    }
}

fn claim_of_latency(node: &Node, slow: &Slow, known: Option<&Ongoing>) -> Claim {
    let own_note = match slow.own {
        true => "the time is spent in the service itself, not in waiting for its calls".to_owned(),
        false => "the time is spent in waiting for its calls, not in the service itself".to_owned(),
    };
    Claim {
        key: "latency_ms_p95".into(),
        measure: "latency_ms_p95",
        scope: scope_of(known, slow.own),
        start: slow.start,
        end: slow.end,
        surprise: round3(slow.surprise),
        belief: round3(belief_from_surprise(slow.surprise)),
        direction: Direction::Up,
        expected: band_of_latency(slow),
        observed: round3(slow.p95_us / 1000.0),
        words: format!("takes {} for the slowest 5 % of its requests", millis(slow.p95_us / 1000.0)),
        notes: vec![
            format!(
                "{} of {} requests took longer than {}; the 95th percentile is usually {}",
                percent(slow.share),
                slow.requests,
                millis(slow.limit_us / 1000.0),
                millis(slow.usual_us / 1000.0)
            ),
            own_note,
        ],
        evidence: trace_evidence(&node.recent, |p| p.slow_trace),
        metric: SERVICE_METRICS[2],
    }
}

fn claim_of_rate(rate: &Rate, bucket: i64) -> Claim {
    let per_second = |bucket: f64| round3(bucket / (BUCKET_NS / SECOND) as f64);
    let (word, direction) = if rate.up { ("as many as", Direction::Up) } else { ("only", Direction::Down) };
    Claim {
        key: "request_rate".into(),
        measure: "request_rate",
        scope: String::new(),
        start: rate.start,
        end: bucket,
        surprise: round3(rate.surprise),
        belief: round3(belief_from_surprise(rate.surprise)),
        direction,
        expected: Band {
            mean: per_second(rate.usual[1]),
            low: per_second(rate.usual[0]),
            high: per_second(rate.usual[2]),
        },
        observed: per_second(rate.per_bucket),
        words: format!("gets {word} {} requests a second", number(per_second(rate.per_bucket))),
        notes: vec![format!(
            "usually {} to {} a second",
            number(per_second(rate.usual[0])),
            number(per_second(rate.usual[2]))
        )],
        evidence: Vec::new(),
        metric: SERVICE_METRICS[0],
    }
}

/// Says what is wrong with calls to others that themselves see nothing wrong, or that send no spans.
fn judge_edges(book: &mut Book, at: u32, bucket: i64, common: f64, view: &View, out: &mut Findings) {
    let Some(node) = book.nodes.get(at as usize) else { return };
    let mut claims: Vec<(u32, Claim)> = Vec::new();
    for (target, edge) in node.edges.iter().filter(|(_, e)| e.last == bucket || !e.abnormal.is_empty()) {
        let Some(other) = book.nodes.get(*target as usize) else { continue };
        let Some(usual) = usual(&edge.ring) else { continue };
        let scope = format!("calls {}", other.entity);
        let explained = other.abnormal.contains_key("error_ratio") && !edge.abnormal.contains_key("error_ratio");
        if let Some(e) = judge_errors(&edge.recent, &usual, edge.abnormal.contains_key("error_ratio"))
            && !explained
        {
            claims.push((*target, claim_of_edge_errors(node, other, &edge.recent, &e, &scope)));
        }
        let slow = judge_latency(&edge.recent, &usual, common, edge.abnormal.contains_key("latency_ms_p95"));
        if let Some(s) = slow
            && !other.instrumented
        {
            claims.push((*target, claim_of_edge_latency(node, other, &edge.recent, &s, &scope)));
        }
    }
    let Some(node) = book.nodes.get_mut(at as usize) else { return };
    let mut changed = !claims.is_empty();
    for (target, edge) in &mut node.edges {
        let mine: Vec<&Claim> = claims.iter().filter(|(t, _)| t == target).map(|(_, c)| c).collect();
        for claim in &mine {
            let finding = claim.finding(&node.tenant, &node.entity, view);
            say(&mut edge.abnormal, &claim.key, finding, view.now, out);
        }
        let still: Vec<&str> = mine.iter().map(|c| c.key.as_str()).collect();
        changed |= quiet_down(&mut edge.abnormal, &still, SETTLE_BUCKETS, out);
    }
    // An edge unused for an hour is forgotten.
    let before = node.edges.len();
    node.edges.retain(|_, e| bucket - e.last < MAX_PAUSE_BUCKETS || !e.abnormal.is_empty());
    if changed || node.edges.len() != before {
        book.touch(at);
    }
}

fn claim_of_edge_errors(node: &Node, other: &Node, recent: &VecDeque<Point>, e: &Errors, scope: &str) -> Claim {
    let ratio = e.failed as f64 / e.of.max(1) as f64;
    let whose = if other.instrumented { "which itself sees no more errors than usual" } else { "which sends no spans" };
    let mut evidence = trace_evidence(recent, |p| p.failed_trace);
    evidence.push(Evidence::Edge { source: node.entity.clone(), target: other.entity.clone() });
    Claim {
        key: "error_ratio".into(),
        measure: "error_ratio",
        scope: scope.to_owned(),
        start: e.start,
        end: e.end,
        surprise: round3(e.surprise),
        belief: round3(belief_from_surprise(e.surprise)),
        direction: Direction::Up,
        expected: band_of_ratio(e.usual_ratio),
        observed: round3(ratio),
        words: format!("fails at {} of its calls to {}", percent(ratio), plain(&other.entity)),
        notes: vec![
            format!("{} of {} calls failed, usually {}", e.failed, e.of, percent(e.usual_ratio)),
            format!("the called side is {}, {whose}", plain(&other.entity)),
        ],
        evidence,
        metric: EDGE_METRICS[1],
    }
}

fn claim_of_edge_latency(node: &Node, other: &Node, recent: &VecDeque<Point>, slow: &Slow, scope: &str) -> Claim {
    let mut evidence = trace_evidence(recent, |p| p.slow_trace);
    evidence.push(Evidence::Edge { source: node.entity.clone(), target: other.entity.clone() });
    Claim {
        key: "latency_ms_p95".into(),
        measure: "latency_ms_p95",
        scope: scope.to_owned(),
        start: slow.start,
        end: slow.end,
        surprise: round3(slow.surprise),
        belief: round3(belief_from_surprise(slow.surprise)),
        direction: Direction::Up,
        expected: band_of_latency(slow),
        observed: round3(slow.p95_us / 1000.0),
        words: format!(
            "waits {} for the slowest 5 % of its calls to {}",
            millis(slow.p95_us / 1000.0),
            plain(&other.entity)
        ),
        notes: vec![format!(
            "{} of {} calls took longer than {}; {} sends no spans of its own",
            percent(slow.share),
            slow.requests,
            millis(slow.limit_us / 1000.0),
            plain(&other.entity)
        )],
        evidence,
        metric: EDGE_METRICS[2],
    }
}

/// What is about to be said.
struct Claim {
    /// Which ongoing abnormality it is within its service or edge.
    key: String,
    measure: &'static str,
    scope: String,
    /// First and last abnormal bucket.
    start: i64,
    end: i64,
    surprise: f64,
    belief: f64,
    direction: Direction,
    expected: Band,
    observed: f64,
    words: String,
    notes: Vec<String>,
    evidence: Vec<Evidence>,
    /// The derived series that shows it.
    metric: &'static str,
}

impl Claim {
    fn finding(&self, tenant: &Tenant, entity: &EntityId, view: &View) -> Finding {
        let start = Time(bucket_start(self.start).0.min(view.now.0));
        let end = Time(bucket_start(self.end + 1).0.min(view.now.0));
        let from = start.plus(-10 * types::MINUTE);
        let mut evidence =
            vec![Evidence::Derived { entity: entity.clone(), metric: self.metric.into(), from, to: end }];
        evidence.extend(self.evidence.iter().cloned());
        evidence.extend(self.notes.iter().map(|text| Evidence::Note { text: text.clone() }));
        Finding {
            id: FindingId::default(),
            method: NAME.into(),
            version: VERSION,
            tenant: tenant.clone(),
            entity: entity.clone(),
            shape: Shape::Abnormal,
            measure: self.measure.into(),
            scope: self.scope.clone(),
            start,
            end,
            ongoing: true,
            learned: view.now,
            belief: self.belief,
            surprise: self.surprise,
            impact: crate::measures::impact(self.measure),
            direction: self.direction,
            expected: Some(self.expected),
            observed: self.observed,
            cause: None,
            incident: None,
            summary: format!("{} {} since {}", plain(entity), self.words, clock(start)),
            evidence,
        }
    }
}

/// Takes a level for normal that has held for as long as the policy says.
fn adopt(node: &mut Node, bucket: i64, view: &View, out: &mut Findings) -> bool {
    let Some(oldest) = node.abnormal.values().map(|o| o.finding.start.0).min() else { return false };
    let changed = node.changed_at.is_some_and(|at| {
        let slack = POLICY.change_window_ns;
        (oldest - slack..=oldest + BUCKET_NS).contains(&at)
    });
    let after = if changed { POLICY.adopt_after_change_ns } else { POLICY.adopt_after_ns };
    if bucket_start(bucket).0 - oldest < after || node.shadow.len() < judge::WARM_BUCKETS {
        return false;
    }
    node.ring = std::mem::take(&mut node.shadow);
    for known in std::mem::take(&mut node.abnormal).into_values() {
        out.say(Finding { ongoing: false, end: view.now, ..known.finding });
    }
    for instance in node.instances.iter_mut().filter(|i| i.last <= bucket - SILENT_BUCKETS) {
        instance.steady = 0;
    }
    true
}

fn scope_of(known: Option<&Ongoing>, own: bool) -> String {
    match known {
        Some(known) => known.finding.scope.clone(),
        None if own => "own".into(),
        None => "downstream".into(),
    }
}

fn band_of_ratio(usual: f64) -> Band {
    Band { mean: round3(usual), low: 0.0, high: round3(usual + 0.05) }
}

fn band_of_latency(slow: &Slow) -> Band {
    Band { mean: round3(slow.usual_us / 1000.0), low: 0.0, high: round3(slow.limit_us / 1000.0) }
}

fn trace_evidence(recent: &VecDeque<Point>, pick: impl Fn(&Point) -> Option<book::Trace>) -> Vec<Evidence> {
    let trace = recent.iter().rev().find_map(pick).filter(|t| t.0 != [0; 16]);
    trace.map(|t| Evidence::Trace { trace_id: t.hex() }).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::fake_shop::{Fault, Shop};

    fn shop(seed: u64) -> Shop {
        Shop::new(seed, &[&ANALYSIS])
    }

    /// Seconds from the fault's begin until a finding of `measure` about `name` was said.
    fn said_after(shop: &Shop, begin: i64, measure: &str, name: &str) -> i64 {
        let found = shop.findings(measure, name);
        let first = found.first().unwrap_or_else(|| panic!("no {measure} of {name}: {:#?}", shop.summaries()));
        first.learned.since(shop.time_of(begin)) / SECOND
    }

    #[test]
    fn four_healthy_hours_of_cyclic_load_are_silent() {
        let mut shop = shop(1);
        shop.run_until(4 * 3600);
        assert_eq!(shop.summaries(), Vec::<String>::new());
        assert!(shop.derived > 4 * 360 * 6 * 4);
    }

    #[test]
    fn other_seeds_and_a_busy_machine_are_silent_too() {
        for seed in 2..5 {
            let mut shop = shop(seed).fault(700, 120, Fault::Busy(30.0)).fault(1500, 15, Fault::Busy(80.0));
            shop.run_until(1800);
            assert_eq!(shop.summaries(), Vec::<String>::new(), "seed {seed}");
        }
    }

    #[test]
    fn the_map_holds_who_calls_whom_and_no_loopback_address() {
        let mut shop = shop(3);
        shop.run_until(60);
        let name = |key| shop.registry.entity_id(key).unwrap().as_str().to_owned();
        let edges: Vec<_> = shop.topology.edges.keys().map(|(s, t, _)| format!("{} {}", name(*s), name(*t))).collect();
        assert_eq!(
            edges,
            [
                "service:shop/frontend service:shop/catalog",
                "service:shop/frontend service:shop/cart",
                "service:shop/frontend service:shop/checkout",
                "service:shop/catalog service:shop/inventory",
                "service:shop/checkout service:shop/cart",
                "service:shop/checkout service:shop/payments",
                "service:shop/checkout service:shop/inventory",
                "service:shop/checkout service:shop/shipping",
                "service:shop/checkout database:shop/orders",
                "service:shop/inventory database:shop/stock",
            ]
        );
    }

    #[test]
    fn own_errors_and_those_passed_on_are_told_apart() {
        let mut shop = shop(4).fault(300, 180, Fault::Errors("payments", 0.35));
        shop.run_until(800);
        assert!(said_after(&shop, 300, "error_ratio", "payments") <= 40);
        let scope = |name| shop.findings("error_ratio", name)[0].scope.clone();
        assert_eq!([scope("payments"), scope("checkout"), scope("frontend")], ["own", "downstream", "downstream"]);
        let going: Vec<_> = shop.log.iter().filter(|f| f.ongoing).collect();
        assert!(going.is_empty(), "{going:?}");
        let ended = shop.findings("error_ratio", "payments").last().unwrap().end;
        let ended = ended.since(shop.time_of(0)) / SECOND;
        assert!((480..=500).contains(&ended), "{ended}");
        assert!(shop.findings("error_ratio", "cart").is_empty());
    }

    #[test]
    fn a_slow_service_is_told_from_those_that_wait_for_it() {
        for seed in 5..8 {
            let mut shop = shop(seed).fault(150, 180, Fault::Slow("catalog", 400.0));
            shop.run_until(330);
            assert!(said_after(&shop, 150, "latency_ms_p95", "catalog") <= 50);
            assert_eq!(shop.findings("latency_ms_p95", "catalog")[0].scope, "own");
            assert_eq!(shop.findings("latency_ms_p95", "frontend")[0].scope, "downstream");
        }
    }

    #[test]
    fn a_slow_database_shows_on_the_edge() {
        let mut shop = shop(6).fault(300, 180, Fault::SlowDatabase("stock", 500.0));
        shop.run_until(400);
        let inventory = shop.findings("latency_ms_p95", "inventory");
        let scopes: std::collections::BTreeSet<_> = inventory.iter().map(|f| f.scope.as_str()).collect();
        assert_eq!(scopes.into_iter().collect::<Vec<_>>(), ["calls database:shop/stock", "downstream"]);
    }

    #[test]
    fn a_lost_instance_is_said_and_ends_when_it_is_back() {
        let mut shop = shop(7).fault(300, 180, Fault::Lost("catalog"));
        shop.run_until(900);
        assert!(said_after(&shop, 300, "silence", "catalog") <= 60);
        assert_eq!(shop.findings("silence", "catalog")[0].scope, "instance catalog-1");
        assert!(shop.findings("error_ratio", "frontend").iter().any(|f| f.scope == "calls service:shop/catalog"));
        assert!(shop.log.iter().all(|f| !f.ongoing));
    }

    #[test]
    fn a_dead_service_is_silent_but_a_gap_of_everything_is_not() {
        let mut dead = shop(8).fault(300, 180, Fault::Dead("payments"));
        dead.run_until(400);
        assert!(said_after(&dead, 300, "silence", "payments") <= 60);
        assert_eq!(dead.findings("silence", "payments")[0].scope, "");
        let mut gap = shop(8).fault(300, 120, Fault::Gap);
        gap.run_until(900);
        assert!(gap.said.iter().all(|f| f.measure != "silence"), "{:#?}", gap.summaries());
    }

    #[test]
    fn extreme_load_is_said_and_a_doubled_one_is_not() {
        let mut shop = shop(9).fault(900, 120, Fault::Load(6.0));
        shop.run_until(1100);
        assert!(said_after(&shop, 900, "request_rate", "frontend") <= 60);
        assert!(shop.findings("request_rate", "cart").is_empty(), "its caller tells the story");
        let mut doubled = Shop::new(9, &[&ANALYSIS]).fault(900, 120, Fault::Load(2.0));
        doubled.run_until(1100);
        assert_eq!(doubled.summaries(), Vec::<String>::new());
    }

    #[test]
    fn a_restart_in_the_middle_changes_nothing() {
        let lived = |restart: bool| {
            let mut shop = shop(10).fault(200, 100, Fault::Errors("cart", 0.5)).fault(220, 60, Fault::Lost("catalog"));
            for until in [97, 203, 247, 301, 420] {
                shop.run_until(until);
                if restart {
                    shop.restart();
                }
            }
            (shop.said, shop.derived)
        };
        let (straight, restarted) = (lived(false), lived(true));
        assert!(!straight.0.is_empty());
        assert_eq!(straight, restarted);
    }

    #[test]
    fn an_incident_does_not_teach_what_is_normal() {
        let mut shop =
            shop(11).fault(400, 1200, Fault::Errors("cart", 0.3)).fault(2000, 200, Fault::Errors("cart", 0.3));
        shop.run_until(2200);
        let starts: std::collections::BTreeSet<_> =
            shop.findings("error_ratio", "cart").iter().map(|f| f.start).collect();
        assert_eq!(starts.len(), 2, "found again as before");
    }
}
