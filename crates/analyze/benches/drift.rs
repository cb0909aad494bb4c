//! What it costs to watch a stream for changes, to compare a column, to estimate figures without labels, and to take
//! predictions of a model in.

use std::sync::Arc;

use bellwether_analyze::detect::models;
use divan::{Bencher, counter::ItemsCount};
use math::{
    drift_stream::{Detector, RankDetector, Settings},
    drift_two_sample::{self, categories, numbers},
    no_labels::{Chunk, Reference},
};
use types::{Batch, EntityId, Registry, SECOND, Time, Topology};
use view::{Calibration, FindingLog, Findings, MemoryHistory, Params, View};

fn main() {
    divan::main();
}

/// Numbers in 0..1 from a seed.
fn uniform(count: usize, mut seed: u64) -> Vec<f64> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    };
    (0..count).map(|_| next()).collect()
}

#[divan::bench]
fn errors_pushed(bencher: Bencher) {
    let errors: Vec<f64> = uniform(100_000, 1).into_iter().map(|u| f64::from(u8::from(u < 0.1))).collect();
    bencher.counter(ItemsCount::new(errors.len())).bench(|| {
        let mut detector = Detector::new(Settings::default());
        errors.iter().filter(|e| detector.push(**e).is_some()).count()
    });
}

#[divan::bench]
fn real_values_pushed(bencher: Bencher) {
    let values = uniform(100_000, 2);
    bencher.counter(ItemsCount::new(values.len())).bench(|| {
        let mut detector = RankDetector::new(Settings::default());
        values.iter().filter(|v| detector.push(**v).is_some()).count()
    });
}

#[divan::bench(args = [1000, 10_000, 200_000])]
fn numbers_compared(bencher: Bencher, rows: usize) {
    let (reference, window) = (uniform(rows, 3), uniform(rows, 4));
    bencher.bench(|| numbers(&reference, &window, &drift_two_sample::Settings::default()));
}

#[divan::bench(args = [1000, 10_000, 200_000])]
fn categories_compared(bencher: Bencher, rows: usize) {
    let of = |seed: u64| uniform(rows, seed).into_iter().map(|u| (u * 20.0) as u32).collect::<Vec<u32>>();
    let (reference, window) = (of(5), of(6));
    bencher.bench(|| categories(&reference, &window, &drift_two_sample::Settings::default()));
}

#[divan::bench]
fn chunk_of_5000_estimated(bencher: Bencher) {
    let (scores, chances) = (uniform(50_000, 7), uniform(50_000, 8));
    let labels: Vec<bool> = scores.iter().zip(&chances).map(|(s, u)| u < s).collect();
    let reference = Reference::new(&scores, &labels).expect("enough rows");
    let (scores, predicted) = (&scores[..5000], vec![true; 5000]);
    bencher.bench(|| reference.estimate(&Chunk { scores, predicted: &predicted, beyond: 0.0 }, 1));
}

/// 10,000 predictions of so many columns over 100 seconds, windows judged.
#[divan::bench(args = [10, 100])]
fn predictions_taken(bencher: Bencher, columns: usize) {
    let mut registry = Registry::default();
    let entity = registry.entity(&EntityId::new("model", "", "churn"));
    let values = uniform(10_000 * columns, 9);
    let batches: Vec<Arc<Batch>> = values.chunks(100 * columns).enumerate().map(|(s, second)| {
        let mut batch = Batch::default();
        for (i, row) in second.chunks(columns).enumerate() {
            let inputs: Vec<String> = row.iter().enumerate().map(|(c, v)| format!("\"column{c}\":{v:.4}")).collect();
            let (inputs, p) = (inputs.join(","), row[0]);
            let text = format!(
                "{{\"id\":\"{s}/{i}\",\"version\":1,\"inputs\":{{{inputs}}},\"prediction\":1,\"probabilities\":{{\"1\":{p:.4}}}}}"
            );
            batch.events.push(s as i64 * SECOND, entity, "prediction", &text);
        }
        Arc::new(batch)
    }).collect();
    let params = Params::defaults(models::ANALYSIS.params);
    bencher.counter(ItemsCount::new(10_000_usize)).bench_local(|| {
        let mut state = (models::ANALYSIS.new_state)(&params);
        for (s, batches) in batches.chunks(10).enumerate() {
            let view = View {
                now: Time((s as i64 + 1) * 10 * SECOND),
                registry: &registry,
                batches,
                findings: &FindingLog::default(),
                incidents: &[],
                topology: &Topology::default(),
                calibration: &Calibration::default(),
                slos: &[],
                history: &MemoryHistory::default(),
            };
            (models::ANALYSIS.run)(&view, &params, &mut state, &mut Findings::default());
        }
        state
    });
}
