//! `sim`: the analyses on simulated fleets with known faults.

use crate::{
    args::Sim,
    failure::{Failure, Kind, Outcome},
    output,
};

/// Runs the worlds and prints what was found and named of what broke.
pub fn run(flags: Sim) -> Outcome {
    let bar = output::progress("worlds");
    bar.set_length(flags.worlds);
    for seed in flags.seed..flags.seed + flags.worlds {
        let mut config = sim::SimConfig { seed, ..sim::SimConfig::default() };
        if let Some(minutes) = flags.minutes {
            config.minutes = minutes;
        }
        if flags.healthy {
            config.faults.clear();
        }
        (config.pairs, config.metrics_only) = (flags.pairs, flags.metrics_only);
        let report = sim::run(&config).map_err(|error| Failure::new(Kind::Failed, error))?;
        bar.suspend(|| output::write(&report.render()));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}
