//! `load`.

use crate::{Problem, Protocol, Report, Run};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "load",
    summary: "load of services and machines, rolling origin: WAPE, MASE, pinball",
    layout: "web_traces/*_per_minute.csv and dc_traces/SET/*.csv",
    run,
};

fn run(run: &Run) -> Result<Report, Problem> {
    Err(Problem::new(run.data, "nothing", PROTOCOL.layout))
}
