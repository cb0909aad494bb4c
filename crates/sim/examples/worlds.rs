//! Lives through a world for each seed given and prints what was found: `… --example worlds -- 1 2 3`. With
//! `healthy` among the arguments no fault is switched on, with `pairs` two at a time, with `metrics` no
//! spans and lines are sent; with `minutes=N` the worlds live that long.

use std::time::Instant;

use bellwether_sim::{SimConfig, run};

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut config = SimConfig::default();
    if arguments.iter().any(|a| a == "healthy") {
        config.faults.clear();
    }
    config.pairs = arguments.iter().any(|a| a == "pairs");
    config.metrics_only = arguments.iter().any(|a| a == "metrics");
    for minutes in arguments.iter().filter_map(|a| a.strip_prefix("minutes=")) {
        config.minutes = minutes.parse().map_err(|e| format!("minutes={minutes}: {e}"))?;
    }
    for seed in arguments.iter().filter_map(|a| a.parse().ok()) {
        let began = Instant::now();
        let report = run(&SimConfig { seed, ..config.clone() })?;
        println!("{}({:.1} s)\n", report.render(), began.elapsed().as_secs_f64());
    }
    Ok(())
}
