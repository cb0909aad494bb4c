//! `logs`.

use crate::{Problem, Protocol, Report, Run};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "logs",
    summary: "log templates on Loghub-2k with corrected labels: GA, PA, FGA, FTA",
    layout: "loghub_2k/SYSTEM/SYSTEM_2k.log and SYSTEM_2k.log_structured_corrected.csv",
    run,
};

fn run(run: &Run) -> Result<Report, Problem> {
    Err(Problem::new(run.data, "nothing", PROTOCOL.layout))
}
