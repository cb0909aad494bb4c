//! `log-anomaly`.

use crate::{Problem, Protocol, Report, Run};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "log-anomaly",
    summary: "abnormal sessions of logs at a threshold fixed on normal sessions: F1, AUC-PR",
    layout: "log_anomaly/SET/{train_normal_only,test}.tsv",
    run,
};

fn run(run: &Run) -> Result<Report, Problem> {
    Err(Problem::new(run.data, "nothing", PROTOCOL.layout))
}
