//! `sim`: the analyses on simulated fleets with known faults.

use crate::{args::Sim, failure::Outcome, output};

/// Runs the worlds and prints what was found and named of what broke.
pub fn run(flags: Sim) -> Outcome {
    for seed in flags.seed..flags.seed + flags.worlds {
        let report = sim::run(sim::SimConfig { seed, minutes: flags.minutes, faults: !flags.healthy, ..Default::default() });
        output::write(&report.render());
    }
    Ok(())
}
