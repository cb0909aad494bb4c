//! `servers`.

use crate::{Problem, Protocol, Report, Run};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "servers",
    summary: "servers of many metrics, streaming: AUC-PR, VUS-PR, events at a threshold set without labels",
    layout: "SET/NAME.train.parquet and NAME.test.parquet for smd, asd, jumpstarter/Dataset2, smap_msl",
    run,
};

fn run(run: &Run) -> Result<Report, Problem> {
    Err(Problem::new(run.data, "nothing", PROTOCOL.layout))
}
