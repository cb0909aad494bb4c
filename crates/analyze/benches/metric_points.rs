//! Cost of the metric analysis a point and its state a series, on a mixed fleet of 100,000 series over an hour;
//! `-- 1000000 60` takes a million for a quarter of an hour.

use std::{sync::Arc, time::Instant};

use bellwether_analyze::detect::metric;
use types::{
    Batch, Directory, EntityId, LabelSet, Registry, SECOND, SeriesDef, SeriesId, SeriesKind, Tenant, Time, Topology,
};
use view::{FindingLog, Findings, MemoryHistory, Pages, Params, View};

fn main() {
    let mut numbers = std::env::args().filter_map(|a| a.parse::<usize>().ok());
    let (series, steps) = (numbers.next().unwrap_or(100_000), numbers.next().unwrap_or(240) as i64);
    let directory = Directory::default();
    register(&mut directory.write(), series);
    let params = Params::defaults(metric::ANALYSIS.params);
    let mut state = (metric::ANALYSIS.new_state)(&params);
    let (log, topology, history) = (FindingLog::default(), Topology::default(), MemoryHistory::default());
    let start = Time(1_750_000_000 * SECOND);
    let mut spent = std::time::Duration::ZERO;
    let mut said = 0;
    for step in 0..steps {
        let at = start.plus(step * 15 * SECOND);
        let batches = [Arc::new(points(at, step, series))];
        let registry = directory.read();
        let view = View {
            now: at.plus(SECOND),
            registry: &registry,
            batches: &batches,
            findings: &log,
            incidents: &[],
            topology: &topology,
            calibration: &view::Calibration::default(),
            slos: &[],
            history: &history,
        };
        let mut out = Findings::default();
        let began = Instant::now();
        (metric::ANALYSIS.run)(&view, &params, &mut state, &mut out);
        spent += began.elapsed();
        said += out.said.len();
    }
    let mut pages = Pages::new();
    state.save(true, &mut pages);
    let bytes: usize = pages.values().map(Vec::len).sum();
    let points = series as f64 * steps as f64;
    println!(
        "{:.0} ns a point, {:.0} bytes of state a series, {said} claims, {series} series, {steps} steps of 15 s",
        spent.as_nanos() as f64 / points,
        bytes as f64 / series as f64
    );
    let minute = spent.as_secs_f64() / points * 1e6;
    println!("one million series at a point a minute: {minute:.2} s of one core a minute");
}

fn register(registry: &mut Registry, series: usize) {
    for i in 0..series {
        let entity = registry.entity(&EntityId::new("service", "bench", &format!("s{}", i / 100)));
        let instance = format!("{}", i / 20);
        registry.series(SeriesDef {
            tenant: Tenant::default(),
            metric: format!("metric_{}", i % 20).into(),
            entity,
            labels: LabelSet::pack(&mut vec![("service.instance.id", instance.as_str())]),
            kind: if i % 4 == 0 { SeriesKind::Counter } else { SeriesKind::Gauge },
            unit: "".into(),
        });
    }
}

/// A quarter counters, a quarter constant, the rest noisy gauges of which half follow a ten-minute cycle.
fn points(at: Time, step: i64, series: usize) -> Batch {
    let mut batch = Batch { learned: at, ..Batch::default() };
    for i in 0..series {
        let noise = (((i as u64 + 1).wrapping_mul(step as u64 + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 40) as f64
            / 16_777_216.0;
        let cycle = (step as f64 * 15.0 / 600.0 * std::f64::consts::TAU).sin();
        let value = match i % 4 {
            0 => step as f64 * 100.0 + noise * 10.0,
            1 => 7.0,
            2 => 50.0 + 5.0 * noise,
            _ => 100.0 + 40.0 * cycle + 5.0 * noise,
        };
        batch.samples.push(SeriesId(i as u32), at.0, value);
    }
    batch
}
