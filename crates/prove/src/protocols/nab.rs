//! `nab`.

use crate::{Problem, Protocol, Report, Run};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "nab",
    summary: "NAB: streaming anomaly detection on real series, swept as NAB does and at the label-free threshold",
    layout: "nab/data/FOLDER/*.csv, nab/labels/combined_windows.json, nab/config/profiles.json",
    run,
};

fn run(run: &Run) -> Result<Report, Problem> {
    Err(Problem::new(run.data, "nothing", PROTOCOL.layout))
}
