//! `nezha`: which service is why, from traces, logs and metrics at once, on the minutes around injected faults.

mod day;
mod read;

use std::collections::BTreeMap;

use self::day::{Day, Fault, Outcome};
use crate::{Problem, Protocol, Report, Row, Run, data};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "nezha",
    summary: "root cause from traces, logs and metrics on Nezha's faults: AS@1, AS@3, AS@5",
    layout: "nezha/rca_data/DAY with DAY-fault_list.json, trace/HH_MM_trace.csv[.gz], log/HH_MM_log.csv[.gz] and \
             metric/POD_metric.csv[.gz], and nezha/construct_data with DAY of the same and root_cause_*.json",
    run,
};

fn run(run: &Run) -> Result<Report, Problem> {
    let root = run.data.join("nezha");
    let folder = root.join("rca_data");
    let names = data::list(&folder, PROTOCOL.layout, |name| folder.join(name).is_dir())?;
    let days = run.each(&names, |name| day::run(&root, name))?;
    let mut report = Report::new(PROTOCOL.name);
    for (day, _) in &days {
        for (i, fault) in day.faults.iter().enumerate() {
            for (given, outcome) in [(true, Some(&day.given[i])), (false, day.found[i].as_ref())] {
                let rank = outcome.map_or(999, |o| rank(o, &fault.service));
                let top = outcome.and_then(|o| o.ranking.first());
                println!("{given} {} {} {} rank {rank} und {:?} {:?}", fault.when, fault.kind, fault.service, outcome.map(|o| o.undecided), top.map(|t| (&t.entity, &t.metric)));
                if rank != 1 && let Some(o) = outcome {
                    for r in o.ranking.iter().take(rank.min(4)) {
                        println!("      {} {:.2} {:#?}", r.entity, r.belief, r.reasons);
                    }
                }
            }
        }
        println!("false alarms {} of {} minutes", day.false_alarms, day.minutes);
    }
    _ = report.rows.pop();
    _ = BTreeMap::<u8, u8>::new();
    report.rows.push(Row::new("x", "y", 0.0, days.iter().map(|d| d.1).sum()));
    Ok(report)
}

fn rank(outcome: &Outcome, service: &str) -> usize {
    outcome.ranking.iter().position(|r| r.entity == service).map_or(999, |r| r + 1)
}
