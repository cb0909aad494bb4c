use std::sync::Arc;

use types::{LabelSet, SeriesKind, Topology};
use view::{Calibration, FindingLog, MemoryHistory};

use super::*;

/// A service whose requests are counted, scraped at an interval.
struct World {
    registry: Registry,
    state: State,
    now: i64,
    every_s: i64,
    log: FindingLog,
    derived: Vec<DerivedSample>,
    counts: BTreeMap<u32, f64>,
    noise: u64,
}

impl World {
    fn new(every_s: i64) -> World {
        World {
            registry: Registry::default(),
            state: (ANALYSIS.new_state)(&Params::default()),
            now: 1_800_000_000 * SECOND,
            every_s,
            log: FindingLog::default(),
            derived: Vec::new(),
            counts: BTreeMap::new(),
            noise: 1,
        }
    }

    fn series(&mut self, metric: &str, code: &str) -> SeriesId {
        let entity = self.registry.entity(&EntityId::parse("service:shop/pay").unwrap());
        let mut labels = if code.is_empty() { vec![] } else { vec![("code", code)] };
        let def = SeriesDef {
            tenant: Tenant::default(),
            metric: metric.into(),
            entity,
            labels: LabelSet::pack(&mut labels),
            kind: SeriesKind::Counter,
            unit: "".into(),
        };
        self.registry.series(def)
    }

    /// Lives so many minutes with so many requests a second, a share that fails and a mean time.
    fn live(&mut self, minutes: i64, rate: f64, failing: f64, mean_ms: f64) {
        for second in 0..minutes * 60 {
            self.now += SECOND;
            let mut batch = Batch { learned: Time(self.now), ..Batch::default() };
            if second % self.every_s == 0 {
                self.noise = self.noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                let swing = 0.8 + 0.4 * (self.noise >> 40) as f64 / 16_777_216.0;
                let requests = (rate * self.every_s as f64 * swing).round();
                let failed = (requests * failing).round();
                let parts = [
                    ("http_request_duration_seconds_count", "200", requests - failed),
                    ("http_request_duration_seconds_count", "500", failed),
                    ("http_request_duration_seconds_sum", "200", requests * mean_ms * swing.sqrt() / 1000.0),
                ];
                for (metric, code, by) in parts {
                    let series = self.series(metric, code);
                    let count = self.counts.entry(series.0).or_default();
                    *count += by;
                    batch.samples.push(series, self.now, *count);
                }
            }
            self.step(batch);
        }
    }

    fn step(&mut self, batch: Batch) {
        let mut out = Findings::default();
        let view = View {
            now: Time(self.now),
            registry: &self.registry,
            batches: &[Arc::new(batch)],
            findings: &self.log,
            incidents: &[],
            topology: &Topology::default(),
            calibration: &Calibration::default(),
            slos: &[],
            history: &MemoryHistory::default(),
        };
        run(&view, &Params::default(), &mut self.state, &mut out);
        out.said.into_iter().for_each(|finding| {
            self.log.say(finding);
        });
        self.derived.extend(out.derived);
    }

    fn said(&self) -> Vec<(String, bool)> {
        self.log.iter().map(|finding| (finding.measure.clone(), finding.ongoing)).collect()
    }
}

#[test]
fn failures_are_found_within_two_minutes_whatever_the_interval_and_end() {
    for every_s in [5, 15, 60] {
        let mut world = World::new(every_s);
        world.live(40, 10.0, 0.005, 40.0);
        assert_eq!(world.said(), [], "a scrape each {every_s} s");
        world.live(if every_s == 60 { 3 } else { 2 }, 10.0, 0.3, 40.0);
        assert_eq!(world.said(), [("error_ratio".to_owned(), true)], "a scrape each {every_s} s");
        let finding = world.log.iter().next().unwrap();
        assert!(finding.belief > 0.7 && finding.summary.starts_with("shop/pay answers"), "{finding:#?}");
        world.live(6, 10.0, 0.005, 40.0);
        assert_eq!(world.said(), [("error_ratio".to_owned(), false)], "a scrape each {every_s} s");
    }
}

#[test]
fn slow_requests_are_found() {
    let mut world = World::new(15);
    world.live(40, 10.0, 0.0, 40.0);
    world.live(3, 10.0, 0.0, 300.0);
    assert_eq!(world.said(), [("latency_ms_mean".to_owned(), true)]);
    world.live(6, 10.0, 0.0, 40.0);
    assert_eq!(world.said(), [("latency_ms_mean".to_owned(), false)]);
}

#[test]
fn a_few_failures_and_a_quiet_night_are_nothing() {
    let mut world = World::new(15);
    world.live(60, 10.0, 0.02, 40.0);
    world.live(30, 0.02, 0.5, 60.0);
    world.live(30, 10.0, 0.03, 45.0);
    assert_eq!(world.said(), []);
}

#[test]
fn the_rate_is_that_of_the_requests_also_with_long_intervals() {
    let mut world = World::new(60);
    world.live(20, 10.0, 0.1, 40.0);
    let rates = || world.derived.iter().filter(|sample| sample.metric == "bellwether.requests.rate");
    let mean = rates().map(|sample| sample.value).sum::<f64>() / rates().count() as f64;
    assert!((9.0..11.0).contains(&mean), "{mean}");
    let last = world.derived.iter().rfind(|sample| sample.metric == "bellwether.requests.error_ratio").unwrap();
    assert!((last.value - 0.1).abs() < 0.01, "{last:?}");
}

#[test]
fn who_sends_spans_is_left_to_them() {
    let mut world = World::new(15);
    world.live(30, 10.0, 0.0, 40.0);
    let entity = world.registry.entity(&EntityId::parse("service:shop/pay").unwrap());
    let mut batch = Batch::default();
    batch.spans.time.push(world.now);
    batch.spans.entity.push(entity);
    batch.spans.kind.push(2);
    world.step(batch);
    let derived = world.derived.len();
    world.live(4, 10.0, 0.5, 400.0);
    assert_eq!(world.said(), []);
    assert_eq!(world.derived.len(), derived);
}

#[test]
fn what_holds_for_an_hour_is_learned_anew() {
    let mut world = World::new(15);
    world.live(40, 10.0, 0.0, 40.0);
    world.live(75, 10.0, 0.2, 40.0);
    assert_eq!(world.said(), [("error_ratio".to_owned(), false)]);
}

#[test]
fn odd_values_do_no_harm() {
    let mut world = World::new(15);
    world.live(20, 10.0, 0.0, 40.0);
    let series = world.series("http_request_duration_seconds_count", "500");
    for value in [f64::NAN, f64::INFINITY, -5.0, 1e308, 0.0, 1e300] {
        world.now += 15 * SECOND;
        let mut batch = Batch { learned: Time(world.now), ..Batch::default() };
        batch.samples.push(series, world.now, value);
        batch.samples.push(series, world.now - 3600 * SECOND, 7.0);
        batch.samples.push(series, world.now + 3600 * SECOND, 7.0);
        world.step(batch);
    }
    assert_eq!(world.said(), []);
}
