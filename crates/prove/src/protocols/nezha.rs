//! `nezha`: which service is why, from traces, logs and metrics at once, on the minutes around injected faults.
//!
//! Minutes pass in order, day by day. Each fault is judged twice: with its time given (three minutes from then on), and
//! without, where the minute that raises an alarm, and the next, are judged as they come. What is usual is learned from
//! the fault-free minute (`construct_data`) and, once two minutes old, from what passed without being far from usual; no
//! label is used for that, except that with the time given nothing is learned while a fault's own time is looked at.

mod day;
mod read;

use std::collections::BTreeMap;

use self::day::{Day, Fault, Outcome, Ranked};
use crate::{Problem, Protocol, Report, Row, Run, data};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "nezha",
    summary: "root cause from traces, logs and metrics on Nezha's faults: AS@1, AS@3, AS@5",
    layout: "nezha/rca_data/DAY with DAY-fault_list.json, trace/HH_MM_trace.csv[.gz], log/HH_MM_log.csv[.gz] and \
             metric/POD_metric.csv[.gz], and nezha/construct_data with DAY of the same and root_cause_*.json",
    run,
};

/// Depths of a ranking that are counted.
const DEPTHS: [usize; 3] = [1, 3, 5];
const GIVEN: &str = "time given";
const FOUND: &str = "time found by ourselves";

fn run(run: &Run) -> Result<Report, Problem> {
    let root = run.data.join("nezha");
    let folder = root.join("rca_data");
    let names = data::list(&folder, PROTOCOL.layout, |name| folder.join(name).is_dir())?;
    let labels = labels(&root.join("construct_data"))?;
    let days = run.each(&names, |name| day::run(&root, name))?;
    let left_out: Vec<&str> = names.iter().zip(&days).filter(|(_, d)| d.0.is_none()).map(|(n, _)| n.as_str()).collect();
    let left_out = left_out.join(", ");
    let days: Vec<Day> = days.into_iter().filter_map(|(day, _)| day).collect();
    if days.is_empty() {
        return Err(Problem::new(&folder, "no day with traces or logs", PROTOCOL.layout));
    }
    write(run, &days)?;
    let cases: Vec<Case> = days.iter().flat_map(|day| cases(day, &labels)).collect();
    let mut report = Report::new(PROTOCOL.name);
    let mut kinds: Vec<&str> = cases.iter().map(|c| c.fault.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for depth in DEPTHS {
        for mode in [GIVEN, FOUND] {
            for kind in kinds.iter().copied().chain(["all"]) {
                let of_kind: Vec<&Case> = cases.iter().filter(|c| kind == "all" || c.fault.kind == kind).collect();
                report.rows.push(row(&of_kind, kind, mode, depth));
            }
        }
        for mode in [GIVEN, FOUND] {
            let labelled: Vec<&Case> = cases.iter().filter(|c| c.has_label).collect();
            let hits = labelled.iter().filter(|c| c.mode(mode).inner <= depth).count();
            let name = format!("all ({}), {mode}", labelled.len());
            let metric = format!("AS@{depth}, service and what in it");
            report.rows.push(Row::new(name, &metric, share(hits, labelled.len()), 0.0));
        }
    }
    summarise(&mut report, &days, &cases);
    if !left_out.is_empty() {
        report.summary.insert("days without traces and logs, left out".into(), left_out.into());
    }
    Ok(report)
}

/// How one way to ask answered one fault.
struct Answer {
    /// Place of the service, ties against us; `usize::MAX` where it is not named.
    service: usize,
    /// Place of the service with the right line pattern or kind of metric.
    inner: usize,
    decided: bool,
    cpu_s: f64,
    delay_s: Option<f64>,
    baselines: BTreeMap<&'static str, usize>,
}

struct Case<'a> {
    fault: &'a Fault,
    has_label: bool,
    given: Answer,
    found: Answer,
}

impl Case<'_> {
    fn mode(&self, mode: &str) -> &Answer {
        if mode == GIVEN { &self.given } else { &self.found }
    }
}

fn cases<'a>(day: &'a Day, labels: &Labels) -> Vec<Case<'a>> {
    let nothing = Outcome::default();
    let of_fault = |i: usize| {
        let fault = &day.faults[i];
        let label = labels.get(&(fault.service.clone(), fault.kind.clone())).map(String::as_str);
        let found = day.found[i].as_ref().unwrap_or(&nothing);
        Case {
            fault,
            has_label: label.is_some(),
            given: answer(&day.given[i], fault, label),
            found: answer(found, fault, label),
        }
    };
    (0..day.faults.len()).map(of_fault).collect()
}

fn answer(outcome: &Outcome, fault: &Fault, label: Option<&str>) -> Answer {
    let place = |is_right: &dyn Fn(&Ranked) -> bool| {
        let right = outcome.ranking.iter().find(|r| is_right(r));
        right.map_or(usize::MAX, |right| outcome.ranking.iter().filter(|r| r.belief >= right.belief).count())
    };
    let is_service = |r: &Ranked| r.entity == fault.service;
    let baselines = outcome.baselines.iter().map(|(name, scores)| {
        let own = scores.get(&fault.service);
        (*name, own.map_or(usize::MAX, |own| scores.values().filter(|score| *score >= own).count()))
    });
    Answer {
        service: place(&is_service),
        inner: place(&|r| is_service(r) && label.is_some_and(|label| speaks_of(r, label))),
        decided: !outcome.ranking.is_empty() && !outcome.undecided,
        cpu_s: outcome.cpu_s,
        delay_s: outcome.delay_s,
        baselines: baselines.collect(),
    }
}

/// Whether what is said of a service is what the label says: two log lines, of which the second is expected after the
/// first (as Nezha's own scorer compares them, by a part of their text), or a metric, by the resource that it measures.
fn speaks_of(ranked: &Ranked, label: &str) -> bool {
    if let Some((before, line)) = label.split_once('_') {
        return ranked.lines.iter().any(|(first, second)| first.contains(before) && second.contains(line));
    }
    let (label, metric) = (label.to_lowercase(), ranked.metric.to_lowercase());
    ["cpu", "memory", "network"].iter().any(|resource| label.contains(resource) && metric.contains(resource))
}

type Labels = BTreeMap<(String, String), String>;

/// Labels within services, of all files `root_cause_*.json`: by service and kind of fault. None without such files.
fn labels(folder: &std::path::Path) -> Result<Labels, Problem> {
    let is_label = |name: &str| name.starts_with("root_cause") && name.ends_with(".json");
    let mut found = Labels::new();
    for name in data::list(folder, PROTOCOL.layout, is_label).unwrap_or_default() {
        let path = folder.join(name);
        let labels = data::json(&path, PROTOCOL.layout)?;
        let problem = || Problem::new(&path, "no object of services", PROTOCOL.layout);
        for (service, kinds) in labels.as_object().ok_or_else(problem)? {
            for (kind, label) in kinds.as_object().into_iter().flatten() {
                found.insert((service.clone(), kind.clone()), label.as_str().unwrap_or("").to_owned());
            }
        }
    }
    Ok(found)
}

fn row(cases: &[&Case], kind: &str, mode: &str, depth: usize) -> Row {
    let count = cases.len();
    let hits = cases.iter().filter(|c| c.mode(mode).service <= depth).count();
    let cpu_s = cases.iter().map(|c| c.mode(mode).cpu_s).sum::<f64>() / count.max(1) as f64;
    let mut row =
        Row::new(format!("{kind} ({count}), {mode}"), &format!("AS@{depth}, service"), share(hits, count), cpu_s);
    let names: Vec<&'static str> = cases.iter().flat_map(|c| c.given.baselines.keys().copied()).collect();
    for name in names.into_iter().filter(|_| mode == GIVEN) {
        let hits = cases.iter().filter(|c| c.given.baselines.get(name).is_some_and(|place| *place <= depth)).count();
        row = row.baseline(name, share(hits, count));
    }
    row
}

fn share(hits: usize, of: usize) -> f64 {
    if of == 0 { f64::NAN } else { hits as f64 / of as f64 }
}

fn summarise(report: &mut Report, days: &[Day], cases: &[Case]) {
    let mut say = |name: &str, value: serde_json::Value| report.summary.insert(name.to_owned(), value);
    let alarms: usize = days.iter().map(|d| d.false_alarms).sum();
    let early: usize = days.iter().map(|d| d.early_alarms).sum();
    let minutes: usize = days.iter().map(|d| d.minutes).sum();
    let mut delays: Vec<f64> = cases.iter().filter_map(|c| c.found.delay_s).collect();
    delays.sort_by(f64::total_cmp);
    say("faults found by ourselves", format!("{} of {}", delays.len(), cases.len()).into());
    say("seconds from a fault's time in the list to our alarm, median", delays.get(delays.len() / 2).copied().into());
    say("minutes watched", minutes.into());
    say("alarms near no fault", alarms.into());
    say("alarms up to 90 s before the time of a fault that raised one during it too", early.into());
    for mode in [GIVEN, FOUND] {
        let decided: Vec<&Case> = cases.iter().filter(|c| c.mode(mode).decided).collect();
        let right = decided.iter().filter(|c| c.mode(mode).service == 1).count();
        say(&format!("decided, {mode}"), format!("{}, of them right {right}", decided.len()).into());
    }
    say("services", days.iter().map(|d| d.services).max().unwrap_or(0).into());
    say(
        "published, Nezha, both days of Train-Ticket, time given, service and what in it",
        serde_json::json!({"AS@1 strict": 0.711, "AS@1 with shared ranks": 0.867, "AS@3": 0.978, "AS@5": 0.978}),
    );
}

fn write(run: &Run, days: &[Day]) -> Result<(), Problem> {
    let mut lines = Vec::new();
    for day in days {
        for (i, fault) in day.faults.iter().enumerate() {
            let case = format!("{} {} {}", fault.when, fault.service, fault.kind);
            let nothing = Outcome { undecided: true, ..Outcome::default() };
            for (given, outcome) in [(true, &day.given[i]), (false, day.found[i].as_ref().unwrap_or(&nothing))] {
                let ranking = outcome.ranking.iter();
                let ranking =
                    ranking.map(|r| serde_json::json!({"entity": r.entity, "metric": r.metric, "belief": r.belief}));
                lines.push(serde_json::json!({
                    "case": case, "given_time": given, "ranking": ranking.collect::<Vec<_>>(), "undecided": outcome.undecided,
                }));
            }
        }
    }
    run.predict_json_lines("nezha.jsonl", lines)
}
