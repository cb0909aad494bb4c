//! `m4`.

use crate::{Problem, Protocol, Report, Run};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "m4",
    summary: "M4 hourly forecasts: sMAPE, MASE, OWA, pinball",
    layout: "m4/Train/Hourly-train.csv and m4/Test/Hourly-test.csv",
    run,
};

fn run(run: &Run) -> Result<Report, Problem> {
    Err(Problem::new(run.data, "nothing", PROTOCOL.layout))
}
