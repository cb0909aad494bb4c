//! A service under steady load whose requests fail as a test says, one step every ten seconds.

use std::sync::Arc;

use types::slo::{LabelMatcher, LabelOperator, Part, Selector};
use types::{EntityKey, LabelSet, Registry, ResourceDef, ResourceId, SeriesDef, SeriesId, SeriesKind, Topology};
use view::{Calibration, FindingLog, MemoryHistory};

use super::*;

const START: i64 = 1_767_268_800 * SECOND;
const STEP: i64 = 10 * SECOND;

fn slo(name: &str, target: f64) -> Slo {
    Slo {
        name: name.into(),
        tenant: Tenant::default(),
        service: EntityId::new("service", "", "payments"),
        description: String::new(),
        target,
        window_ns: 30 * DAY,
        indicator: Indicator::Requests,
        enabled: true,
    }
}

struct Life {
    registry: Registry,
    slos: Vec<Slo>,
    state: State,
    log: FindingLog,
    now: i64,
    said: Vec<Finding>,
    derived: Vec<DerivedSample>,
    near: Vec<NearMiss>,
    status: BTreeMap<String, SloStatus>,
}

impl Life {
    fn new(slos: Vec<Slo>) -> Life {
        let mut registry = Registry::default();
        let entity = registry.entity(&EntityId::new("service", "shop", "payments"));
        let attributes = LabelSet::pack(&mut vec![("service.name", "payments")]);
        registry.resource(ResourceDef { tenant: Tenant::default(), entity, attributes });
        let state = (ANALYSIS.new_state)(&Params::defaults(ANALYSIS.params));
        Life {
            registry,
            slos,
            state,
            log: FindingLog::default(),
            now: START,
            said: Vec::new(),
            derived: Vec::new(),
            near: Vec::new(),
            status: BTreeMap::new(),
        }
    }

    fn step(&mut self, batch: Batch) {
        self.now += STEP;
        let batches = [Arc::new(batch)];
        let view = View {
            now: Time(self.now),
            registry: &self.registry,
            batches: &batches,
            findings: &self.log,
            incidents: &[],
            topology: &Topology::default(),
            calibration: &Calibration::default(),
            slos: &self.slos,
            history: &MemoryHistory::default(),
        };
        let mut out = Findings::default();
        run(&view, &Params::defaults(ANALYSIS.params), &mut self.state, &mut out);
        for finding in out.said {
            assert!(finding.start <= finding.end && finding.end.0 <= self.now, "{finding:#?}");
            self.log.say(finding.clone());
            self.said.push(finding);
        }
        self.derived.extend(out.derived);
        self.near.extend(out.near);
        self.status.extend(out.slos.into_iter().map(|status| (status.name.clone(), status)));
        for entity in out.entities {
            self.registry.entity(&entity);
        }
    }

    /// Lives on for a while: in each step so many requests, of which so many fail (shares are carried over).
    fn live(&mut self, for_ns: i64, requests: f64, failed: f64) {
        let (mut some, mut bad) = (0.0, 0.0);
        for _ in 0..for_ns / STEP {
            some += requests;
            bad += failed;
            let (count, broken) = (some as usize, bad as usize);
            (some, bad) = (some.fract(), bad.fract());
            let mut batch = Batch::default();
            for i in 0..count {
                span(&mut batch, self.now + i as i64 * (STEP / (count as i64 + 1)), 20 * MILLI, i < broken);
            }
            self.step(batch);
        }
    }

    fn restart(&mut self) {
        let mut pages = Pages::new();
        self.state.save(true, &mut pages);
        let mut fresh = (ANALYSIS.new_state)(&Params::defaults(ANALYSIS.params));
        fresh.load(self.state.schema(), &pages).unwrap();
        self.state = fresh;
    }

    /// Each finding as it was said last.
    fn findings(&self) -> Vec<Finding> {
        let mut last: BTreeMap<FindingId, Finding> = BTreeMap::new();
        self.said.iter().for_each(|f| drop(last.insert(f.id, f.clone())));
        let mut last: Vec<Finding> = last.into_values().collect();
        last.sort_by_key(|f| f.start);
        last
    }
}

fn span(batch: &mut Batch, at: i64, took: i64, failed: bool) {
    let rows = &mut batch.spans;
    rows.time.push(at);
    rows.duration_ns.push(took);
    rows.entity.push(EntityKey(0));
    rows.resource.push(ResourceId(0));
    rows.name.push("POST /pay");
    rows.kind.push(2);
    rows.status.push(if failed { 2 } else { 0 });
    rows.trace_id.push([1; 16]);
    rows.span_id.push([1; 8]);
    rows.parent_span_id.push([2; 8]);
    rows.attributes.push("");
}

#[test]
fn four_tiers_of_one_objective_are_one_page() {
    let mut life = Life::new(vec![slo("pay-availability", 0.999)]);
    let begin = Time(START + 2 * HOUR + 7 * MINUTE);
    life.live(begin.0 - START, 100.0, 0.0);
    assert!(life.said.is_empty());
    // Everything fails for a quarter of an hour: the bad events fit all four tiers.
    life.live(15 * MINUTE, 100.0, 100.0);
    let first = &life.said[0];
    assert_eq!((first.measure.as_str(), first.scope.as_str()), ("slo_burn", "pay-availability"));
    assert_eq!(first.entity.as_str(), "service:shop/payments");
    assert_eq!(first.impact, 0.8);
    assert!(first.learned.since(begin) <= 2 * MINUTE, "{}", first.learned);
    assert_eq!(first.start, begin);
    let meter_rates =
        |life: &Life| life.status["pay-availability"].burn.iter().map(|b| b.rate.unwrap()).collect::<Vec<_>>();
    let rates = meter_rates(&life);
    assert!(rates[0] > 900.0 && rates[2] > 14.4 && rates[4] > 6.0 && rates[6] > 1.0, "{rates:?}");
    life.live(8 * HOUR, 100.0, 0.0);
    let findings = life.findings();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(!findings[0].ongoing);
    let over = findings[0].end.since(begin.plus(15 * MINUTE));
    assert!((4 * MINUTE..8 * MINUTE).contains(&over), "{}", over / SECOND);
}

#[test]
fn the_sentence_and_the_numbers_are_right() {
    let mut life = Life::new(vec![slo("pay-availability", 0.999)]);
    life.live(3 * HOUR, 100.0, 0.0);
    life.live(40 * MINUTE, 100.0, 5.0);
    let last = life.said.last().unwrap();
    // 40 minutes at 5 % are 3.3 % of the hour (and a minute, for whole minutes are counted). A month allows 25,920
    // bad ones, of which 1,200 are spent in that hour.
    assert_eq!(
        last.summary,
        "pay-availability burns its error budget 33 times too fast: 3.3 % of requests failed in the last hour, 99.9 % \
         are promised to be good; the budget of 30 days would be gone in 21 hours"
    );
    let status = &life.status["pay-availability"];
    let total = 100.0 * 6.0 * 220.0;
    assert!((status.total - total).abs() <= 700.0 && status.is_enough, "{status:?}");
    let left = 1.0 - 1_200.0 / (600.0 * 60.0 * 24.0 * 30.0 * 0.001);
    assert!((status.budget_left.unwrap() - left).abs() < 0.01, "{:?} {left}", status.budget_left);
    let gone = status.exhausted_at.unwrap().since(status.at) as f64 / HOUR as f64;
    assert!((17.0..22.0).contains(&gone), "{gone}");
    let charts: Vec<_> = life.derived.iter().filter(|d| d.time.0 >= life.now - 2 * MINUTE).collect();
    assert!(charts.iter().any(|d| d.metric == METRICS[0] && d.labels == [("slo", "pay-availability".to_owned())]));
    assert!(charts.iter().any(|d| d.metric == METRICS[1] && d.value > 30.0));
    assert!(life.derived.len() <= 2 * 222, "once a minute: {}", life.derived.len());
}

#[test]
fn one_failed_request_of_ten_at_night_wakes_nobody() {
    let mut life = Life::new(vec![slo("night", 0.999)]);
    // Ten requests an hour, one of which fails; then two more.
    life.live(5 * HOUR, 1.0 / 36.0, 0.0);
    life.live(HOUR, 1.0 / 36.0, 1.0 / 359.0);
    life.live(HOUR, 1.0 / 36.0, 2.0 / 359.0);
    assert_eq!(life.findings(), []);
    assert!(life.near.iter().any(|miss| miss.why.contains("few say little")), "{:?}", life.near);
    // All ten fail: somebody should know.
    life.live(HOUR, 1.0 / 36.0, 1.0 / 36.0);
    assert_eq!(life.findings().len(), 1);
}

#[test]
fn a_slow_burn_is_a_ticket_and_becomes_a_page() {
    let mut life = Life::new(vec![slo("x", 0.99)]);
    life.live(DAY, 20.0, 0.0);
    // Four times the promised share.
    life.live(30 * HOUR, 20.0, 0.8);
    let ticket = life.findings();
    assert_eq!(ticket.len(), 1, "{ticket:#?}");
    assert_eq!((ticket[0].impact, ticket[0].ongoing), (0.45, true));
    assert!(ticket[0].summary.contains("in the last day") || ticket[0].summary.contains("in the last 3 days"));
    life.live(HOUR, 20.0, 10.0);
    let page = life.findings();
    assert_eq!((page.len(), page[0].id, page[0].impact), (1, ticket[0].id, 0.8));
    life.live(DAY, 20.0, 0.0);
    let findings = life.findings();
    assert!(findings.len() == 1 && !findings[0].ongoing, "{findings:#?}");
}

#[test]
fn a_kept_promise_is_silent_and_so_is_one_that_is_switched_off() {
    let mut life = Life::new(vec![slo("kept", 0.99), Slo { enabled: false, ..slo("off", 0.999) }]);
    life.live(DAY, 20.0, 0.19);
    assert_eq!(life.findings(), []);
    let off = &life.status["off"];
    assert!(off.budget_left.unwrap() < 1.0 && off.total > 0.0, "it is counted: {off:?}");
}

#[test]
fn without_data_the_status_says_so() {
    let mut life = Life::new(vec![slo("x", 0.99)]);
    life.slos[0].service = EntityId::new("service", "other", "payments");
    life.live(10 * MINUTE, 1.0, 1.0);
    let status = &life.status["x"];
    assert_eq!(status.missing.as_deref(), Some("no request to other/payments was seen in spans"));
    assert_eq!((status.is_enough, status.ratio, status.budget_left, status.since), (false, None, None, None));
    assert_eq!(life.findings(), []);
    assert!(life.derived.is_empty());
}

#[test]
fn latency_counts_what_is_too_slow_or_failed() {
    let quick = Slo { indicator: Indicator::Latency { threshold_ms: 300.0 }, ..slo("quick", 0.9) };
    let mut life = Life::new(vec![quick]);
    for i in 0..360 {
        let mut batch = Batch::default();
        let at = life.now + SECOND;
        span(&mut batch, at, 300 * MILLI, false);
        span(&mut batch, at, 301 * MILLI, i % 2 == 0);
        span(&mut batch, at, 10 * MILLI, i % 4 == 0);
        span(&mut batch, at, 10 * MILLI, false);
        life.step(batch);
    }
    let status = &life.status["quick"];
    let share = 1.0 - status.ratio.unwrap();
    assert!((share - 0.3125).abs() < 0.01, "{share}");
    assert!(life.findings().is_empty(), "a promise of 90 % cannot burn 14 times too fast");
}

#[test]
fn counters_count_with_resets_and_patterns() {
    let selector = |metric: &str, matchers: Vec<LabelMatcher>| Selector { metric: metric.into(), matchers };
    let fits = LabelMatcher { label: "code".into(), operator: LabelOperator::Fits, value: "5..|timeout".into() };
    let not = LabelMatcher { label: "job".into(), operator: LabelOperator::IsNot, value: "probe".into() };
    let bad = selector("http_total", vec![fits, not.clone()]);
    let indicator = Indicator::Ratio { part: Part::Bad(bad), total: selector("http_total", vec![not]) };
    let mut life = Life::new(vec![Slo { indicator, ..slo("http", 0.999) }]);
    let mut series = |labels: &[(&str, &str)], kind| -> SeriesId {
        let labels = LabelSet::pack(&mut labels.to_vec());
        let metric = "http_total".into();
        life.registry.series(SeriesDef {
            tenant: Tenant::default(),
            metric,
            entity: EntityKey(0),
            labels,
            kind,
            unit: "".into(),
        })
    };
    let ok = series(&[("code", "200")], SeriesKind::Counter);
    let failed = series(&[("code", "503")], SeriesKind::Delta);
    let slow = series(&[("code", "timeout")], SeriesKind::Gauge);
    let probe = series(&[("code", "500"), ("job", "probe")], SeriesKind::Counter);
    for i in 0..180 {
        let mut batch = Batch::default();
        let at = life.now + 9 * SECOND;
        // The sender of the total begins anew every 50 points.
        batch.samples.push(ok, at, f64::from(i % 50) * 90.0 + 90.0);
        batch.samples.push(failed, at, 5.0);
        batch.samples.push(slow, at, f64::from(i) * 5.0);
        batch.samples.push(probe, at, f64::from(i) * 1000.0);
        for odd in [f64::NAN, f64::INFINITY, -1.0, f64::from_bits(0x7ff0_0000_0000_0002)] {
            batch.samples.push(ok, at + 1, odd);
        }
        batch.samples.push(ok, at - 20 * MINUTE, 1e9);
        life.step(batch);
    }
    let status = &life.status["http"];
    assert!((status.ratio.unwrap() - 0.9).abs() < 0.001, "{status:#?}");
    assert!((status.total - 179.0 * 100.0).abs() < 700.0, "{status:#?}");
    assert_eq!(status.entity.as_ref().unwrap().as_str(), "service:shop/payments");
    assert_eq!(life.findings().len(), 1, "10 % failed where one in a thousand may");
}

#[test]
fn a_pause_of_a_counter_is_spread_over_its_time() {
    let all = |from: i64, to: i64| stretches(from, to).collect::<Vec<_>>();
    assert_eq!(all(5 * MINUTE, 5 * MINUTE), [(5, 1.0)]);
    assert_eq!(all(MINUTE / 2, MINUTE), [(0, 1.0)]);
    assert_eq!(all(MINUTE / 2, 3 * MINUTE / 2), [(0, 0.5), (1, 0.5)]);
    for (from, to) in [(0, 6 * HOUR), (7, 3 * DAY + 5), (0, 5000 * DAY), (i64::MIN, 0), (-HOUR, HOUR)] {
        let parts = all(from, to);
        let sum: f64 = parts.iter().map(|(_, share)| share).sum();
        assert!((sum - 1.0).abs() < 1e-9 && parts.len() <= 146, "{from} {to}: {sum}, {} parts", parts.len());
    }
}

#[test]
fn a_changed_objective_counts_anew_and_a_removed_one_ends() {
    let mut life = Life::new(vec![slo("a", 0.999), slo("b", 0.999)]);
    life.live(HOUR, 20.0, 4.0);
    assert_eq!(life.findings().iter().filter(|f| f.ongoing).count(), 2);
    life.slos.remove(1);
    life.slos[0].target = 0.99;
    life.live(MINUTE, 20.0, 4.0);
    let findings = life.findings();
    assert_eq!(findings.iter().map(|f| (f.scope.as_str(), f.ongoing)).collect::<Vec<_>>(), [("a", true), ("b", false)]);
    assert!(life.status["a"].total > 7000.0, "another target counts the same");
    life.slos[0].indicator = Indicator::Latency { threshold_ms: 5.0 };
    life.live(MINUTE, 20.0, 4.0);
    assert!(life.status["a"].total < 300.0);
    assert!(life.findings().iter().all(|f| !f.ongoing || f.start.0 > life.now - 2 * MINUTE));
}

#[test]
fn a_restart_changes_nothing() {
    let lived = |restart: bool| {
        let mut life = Life::new(vec![slo("a", 0.999), slo("b", 0.9), slo("c", 0.5)]);
        for (for_ns, failed) in [(HOUR, 0.0), (7 * MINUTE, 9.3), (20 * MINUTE, 0.01), (3 * MINUTE, 20.0), (HOUR, 0.0)] {
            life.live(for_ns, 20.7, failed);
            if restart {
                life.restart();
            }
        }
        (life.said, life.derived, life.status)
    };
    let straight = lived(false);
    assert!(!straight.0.is_empty());
    assert!(straight == lived(true));
}

#[test]
fn tiers_follow_the_window_and_chernoff_bounds_the_binomial() {
    let tier = |days: i64, i: usize| {
        let tier = TIERS[i].of_window(days * DAY);
        (tier.long_ns / MINUTE, tier.short_ns / MINUTE)
    };
    assert_eq!([tier(30, 0), tier(30, 1), tier(30, 2), tier(30, 3)], [(60, 5), (360, 30), (1440, 120), (4320, 360)]);
    assert_eq!([tier(7, 0), tier(7, 3), tier(90, 0), tier(1, 0)], [(14, 1), (1008, 84), (180, 15), (5, 1)]);
    // P(X >= 5) of 10 at 0.1 is 0.00163: 2.79 as a surprise, which the bound stays below.
    let bound = surprise_of(Sum { bad: 5.0, total: 10.0 }, 0.1);
    assert!((2.0..2.79).contains(&bound), "{bound}");
    assert_eq!(surprise_of(Sum { bad: 1.0, total: 10.0 }, 0.1), 0.0);
    assert_eq!(surprise_of(Sum::default(), 0.1), 0.0);
    assert_eq!(surprise_of(Sum { bad: 1e12, total: 1e12 }, 1e-9), 300.0);
    // P(X = 0) of 100 at 0.1 is 0.9^100.
    assert!((too_few(Sum { bad: 0.0, total: 100.0 }, 0.1) - 4.576).abs() < 0.001);
    assert_eq!(
        [length(HOUR), length(36 * HOUR), length(30 * DAY), length(SECOND)],
        ["1 hour", "36 hours", "30 days", "1 minute"]
    );
    assert_eq!((last(HOUR), promised(0.9995)), ("hour".to_owned(), "99.95 %".to_owned()));
}
