//! `changepoints`.

use crate::{Problem, Protocol, Report, Run};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "changepoints",
    summary: "Turing change point dataset: covering and F1",
    layout: "tcpd/NAME/NAME.json and tcpd/annotations.json",
    run,
};

fn run(run: &Run) -> Result<Report, Problem> {
    Err(Problem::new(run.data, "nothing", PROTOCOL.layout))
}
