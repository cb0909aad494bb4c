//! `tsbad`.

use crate::{Problem, Protocol, Report, Run};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "tsbad",
    summary: "TSB-AD: VUS-PR per series with the published methods on the same rows",
    layout: "tsb-ad/, and nab/ smap_msl/ smd/ that its mapping names",
    run,
};

fn run(run: &Run) -> Result<Report, Problem> {
    Err(Problem::new(run.data, "nothing", PROTOCOL.layout))
}
