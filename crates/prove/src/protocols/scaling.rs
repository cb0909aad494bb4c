//! `scaling`: replicas for a load that changes, by the rule of Kubernetes and by our plan.
//!
//! Each trace is replayed with replicas that take 1, 2, 5 and 10 minutes to start. One replica takes a thirtieth of the
//! load that is exceeded one tick in a thousand, so that the peak needs some 20 to 50; for one start-up time a tenth and
//! a hundredth too. A policy costs the hours of its replicas, starting ones included; it violates in each minute whose
//! load exceeds what the ready replicas take (in parts of a minute where the trace is finer). The plan is run at many
//! prices of a violation, which gives a front of cost against violations; between two neighbouring prices it may be
//! mixed in time, so the front is the line between them. See [`replay`] for what a policy sees and when.

mod made_up;
mod recorded;
mod replay;

use math::scaling::{plan::PlanOptions, reactive::ReactiveOptions};
use serde_json::json;

use crate::{Problem, Protocol, Report, Row, Run, report::round};
use replay::{Outcome, Trace};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "scaling",
    summary: "replicas ahead of the load against the Kubernetes autoscaler's rule: replica hours, violating minutes",
    layout: recorded::LAYOUT,
    run,
};

/// Columns of a file of predictions.
pub(super) const PREDICTION_COLUMNS: [&str; 5] =
    ["policy", "start_minutes", "replica_hours", "violating_minutes", "requests_over"];

const START_MINUTES: [f64; 4] = [1.0, 2.0, 5.0, 10.0];
/// Targets of the autoscaler, percent; the third is the one that goals are about.
const TARGETS: [u32; 4] = [50, 60, 70, 80];
const GOAL_TARGET: usize = 2;
/// Replicas that the peak needs, and those of the other sizes, which are run with one start-up time only.
const PEAK: f64 = 30.0;
const OTHER_PEAKS: [f64; 2] = [10.0, 100.0];
const OTHER_START: f64 = 5.0;
/// Share of the ticks that may lie above what is called the peak.
const ABOVE_PEAK: f64 = 0.001;
/// Prices of a violating minute, in minutes of a replica: from 10^.5 to 10^6.
const PRICES: usize = 23;
const SEED: u64 = 1;

/// A trace, a start-up time and a size.
struct Job<'a> {
    trace: &'a Trace,
    start_minutes: f64,
    peak: f64,
    is_recorded: bool,
}

/// What came of all policies.
struct Replayed {
    targets: [Outcome; TARGETS.len()],
    fixed: Outcome,
    oracle: Outcome,
    plan: Outcome,
    front: Vec<(f64, Outcome)>,
}

fn run(run: &Run) -> Result<Report, Problem> {
    let recorded = recorded::traces(run.data)?;
    if recorded.is_empty() {
        return Err(Problem::new(run.data, "no trace of a day or more", PROTOCOL.layout));
    }
    let made_up = made_up::traces(SEED);
    let traces = || recorded.iter().map(|t| (t, true)).chain(made_up.iter().map(|t| (t, false)));
    let sizes = |(trace, is_recorded)| {
        let main = START_MINUTES.iter().map(move |s| Job { trace, start_minutes: *s, peak: PEAK, is_recorded });
        let other = OTHER_PEAKS.iter().map(move |p| Job { trace, start_minutes: OTHER_START, peak: *p, is_recorded });
        main.chain(other)
    };
    let jobs: Vec<Job> = traces().flat_map(sizes).collect();
    let replayed = run.each(&jobs, |job| Ok(replay_all(job)))?;
    let mut report = Report::new(PROTOCOL.name);
    let done: Vec<(&Job, &Replayed)> = jobs.iter().zip(&replayed).map(|(job, (r, _))| (job, r)).collect();
    for ((job, replayed), (_, cpu_s)) in done.iter().zip(&replayed) {
        add_rows(&mut report, job, replayed, *cpu_s);
    }
    for (trace, _) in traces() {
        let rows = done.iter().filter(|(job, _)| std::ptr::eq(job.trace, trace) && job.peak == PEAK);
        let rows = rows.flat_map(|(job, replayed)| prediction_rows(job, replayed));
        run.predict(&format!("scaling/{}.csv", trace.name.replace(['/', ' '], "_")), &PREDICTION_COLUMNS, rows)?;
    }
    for (name, is_recorded, is_main) in [
        ("recorded", true, true),
        ("recorded, peaks of 10 and 100 replicas", true, false),
        ("made up", false, true),
        ("made up, peaks of 10 and 100 replicas", false, false),
    ] {
        let of: Vec<&Replayed> = done
            .iter()
            .filter(|(job, _)| job.is_recorded == is_recorded && (job.peak == PEAK) == is_main)
            .map(|(_, replayed)| *replayed)
            .collect();
        summarise(&mut report, name, &of);
    }
    Ok(report)
}

fn prices() -> Vec<f64> {
    (0..PRICES).map(|i| 10_f64.powf(0.5 + 0.25 * i as f64)).collect()
}

fn replay_all(job: &Job) -> Replayed {
    let (trace, start) = (job.trace, job.start_minutes);
    let capacity = capacity(&trace.loads, job.peak);
    let options = PlanOptions::default();
    let prices = prices();
    let all: Vec<f64> = prices.iter().copied().chain([options.violation_price]).collect();
    let mut planned = replay::planned(trace, capacity, start, &all, &options);
    let plan = planned.pop().unwrap_or_default();
    Replayed {
        targets: TARGETS.map(|t| replay::reactive(trace, capacity, start, ReactiveOptions::at(f64::from(t) / 100.0))),
        fixed: replay::fixed(trace, capacity),
        oracle: replay::oracle(trace, capacity, start),
        plan,
        front: prices.into_iter().zip(planned).collect(),
    }
}

/// What one replica takes, so that the peak needs so many.
fn capacity(loads: &[f64], peak: f64) -> f64 {
    let mut known: Vec<f64> = loads.iter().copied().filter(|l| l.is_finite() && *l > 0.0).collect();
    known.sort_by(f64::total_cmp);
    let at = ((known.len().max(1) - 1) as f64 * (1.0 - ABOVE_PEAK)).round() as usize;
    known.get(at).map_or(1.0, |load| load / peak)
}

impl Replayed {
    /// Violating minutes at a target's cost.
    fn violating_at_cost_of(&self, target: usize) -> Option<f64> {
        let points = self.front.iter().map(|(_, o)| (o.replica_hours, o.violating_minutes));
        least_at(&points.collect::<Vec<_>>(), self.targets[target].replica_hours)
    }

    /// Replica hours at a target's violating minutes.
    fn hours_at_violations_of(&self, target: usize) -> Option<f64> {
        let points = self.front.iter().map(|(_, o)| (o.violating_minutes, o.replica_hours));
        least_at(&points.collect::<Vec<_>>(), self.targets[target].violating_minutes)
    }

    fn is_half_the_violations(&self) -> bool {
        let theirs = self.targets[GOAL_TARGET].violating_minutes;
        self.violating_at_cost_of(GOAL_TARGET).is_some_and(|ours| ours <= 0.5 * theirs)
    }

    fn is_cheaper(&self, target: usize, by: f64) -> bool {
        let theirs = self.targets[target].replica_hours;
        self.hours_at_violations_of(target).is_some_and(|ours| ours <= theirs * (1.0 - by) && ours < theirs)
    }

    fn is_better_as_a_whole(&self) -> bool {
        (0..TARGETS.len()).all(|target| {
            let theirs = self.targets[target].violating_minutes;
            self.is_cheaper(target, 0.0) && self.violating_at_cost_of(target).is_some_and(|ours| ours <= theirs)
        })
    }
}

/// The least y at an x of at most `x`, of points and of what lies between two neighbours.
fn least_at(points: &[(f64, f64)], x: f64) -> Option<f64> {
    let below = points.iter().filter(|p| p.0 <= x).map(|p| p.1);
    let between = points.windows(2).filter_map(|pair| {
        let (a, b) = if pair[0].0 <= pair[1].0 { (pair[0], pair[1]) } else { (pair[1], pair[0]) };
        (a.0 <= x && x < b.0).then(|| a.1 + (b.1 - a.1) * (x - a.0) / (b.0 - a.0))
    });
    below.chain(between).min_by(f64::total_cmp)
}

fn add_rows(report: &mut Report, job: &Job, replayed: &Replayed, cpu_s: f64) {
    let size = if job.peak == PEAK { String::new() } else { format!(", peak of {}", job.peak) };
    let name = format!("{}, {} min{size}", job.trace.name, job.start_minutes);
    let goal = format!("HPA {} %", TARGETS[GOAL_TARGET]);
    let theirs = replayed.targets[GOAL_TARGET];
    let mut row = |metric: String, ours: Option<f64>, theirs: f64, cpu_s: f64| {
        report.rows.push(Row::new(&name, &metric, ours.unwrap_or(f64::NAN), cpu_s).baseline(&goal, theirs));
    };
    let (fewer, cheaper) = (replayed.violating_at_cost_of(GOAL_TARGET), replayed.hours_at_violations_of(GOAL_TARGET));
    row(format!("violating minutes at the replica hours of {goal}"), fewer, theirs.violating_minutes, cpu_s);
    row(format!("replica hours at the violating minutes of {goal}"), cheaper, theirs.replica_hours, 0.0);
    let metrics: [(&str, fn(&Outcome) -> f64); 4] = [
        ("violating minutes, usual price", |o| o.violating_minutes),
        ("replica hours, usual price", |o| o.replica_hours),
        ("requests over capacity, usual price", |o| o.requests_over),
        ("changes, usual price", |o| o.changes),
    ];
    for (metric, of) in metrics {
        let row = Row::new(&name, metric, of(&replayed.plan), 0.0);
        let row = row.baseline("static peak", of(&replayed.fixed)).baseline("oracle", of(&replayed.oracle));
        let targets = TARGETS.iter().zip(&replayed.targets);
        report.rows.push(targets.fold(row, |row, (t, o)| row.baseline(&format!("HPA {t} %"), of(o))));
    }
}

fn prediction_rows(job: &Job, replayed: &Replayed) -> Vec<Vec<String>> {
    let start = job.start_minutes;
    let row = |policy: String, o: &Outcome| {
        let figures = [start, o.replica_hours, o.violating_minutes, o.requests_over].map(|f| f.to_string());
        std::iter::once(policy).chain(figures).collect()
    };
    let mut rows: Vec<Vec<String>> =
        TARGETS.iter().zip(&replayed.targets).map(|(t, o)| row(format!("hpa {t}"), o)).collect();
    rows.push(row("static peak".into(), &replayed.fixed));
    rows.push(row("oracle".into(), &replayed.oracle));
    rows.push(row("bellwether".into(), &replayed.plan));
    rows.extend(replayed.front.iter().map(|(price, o)| row(format!("bellwether at price {}", round(*price)), o)));
    rows
}

/// How often each goal is met, and the figures over all.
fn summarise(report: &mut Report, name: &str, of: &[&Replayed]) {
    if of.is_empty() {
        return;
    }
    let count =
        |holds: &dyn Fn(&Replayed) -> bool| format!("{} of {}", of.iter().filter(|r| holds(r)).count(), of.len());
    let target = TARGETS[GOAL_TARGET];
    let theirs: f64 = of.iter().map(|r| r.targets[GOAL_TARGET].violating_minutes).sum();
    let ours: f64 = of.iter().filter_map(|r| r.violating_at_cost_of(GOAL_TARGET)).sum();
    let savings = of.iter().map(|r| {
        1.0 - r.hours_at_violations_of(GOAL_TARGET).unwrap_or(f64::NAN) / r.targets[GOAL_TARGET].replica_hours
    });
    let mut savings: Vec<f64> = savings.filter(|s| s.is_finite()).collect();
    let summary = json!({
        "violating minutes at its cost, of its": round(ours / theirs.max(1e-9)),
        "at most half of them (or none as well)": count(&|r| r.is_half_the_violations()),
        "median saving at its violations": round(math::forecast::median(&mut savings)),
        "a saving of 5 % or more": count(&|r| r.is_cheaper(GOAL_TARGET, 0.05)),
        "the whole front from 50 to 80 % better": count(&|r| r.is_better_as_a_whole()),
        "each of the four targets better, replica hours": (0..TARGETS.len())
            .map(|t| count(&|r| r.is_cheaper(t, 0.0))).collect::<Vec<_>>().join(", "),
    });
    report.summary.insert(format!("{name}: against HPA {target} %"), summary);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_traces_says_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        let progress: &(dyn Fn(usize, usize) + Sync) = &|_, _| {};
        let problem = super::run(&Run { data: folder.path(), predictions: None, progress }).unwrap_err().to_string();
        assert!(problem.contains("no trace of a day or more") && problem.contains("web_traces/"), "{problem}");
    }

    #[test]
    fn the_front_lies_between_its_points() {
        let points = [(1.0, 10.0), (3.0, 4.0), (5.0, 4.5)];
        assert_eq!(least_at(&points, 2.0), Some(7.0));
        assert_eq!(least_at(&points, 0.5), None);
        assert_eq!(least_at(&points, 9.0), Some(4.0));
        assert_eq!(least_at(&[], 9.0), None);
    }

    #[test]
    fn the_peak_needs_as_many_as_was_said() {
        let loads: Vec<f64> = (0..=1000).map(f64::from).chain([f64::NAN]).collect();
        assert!((capacity(&loads, 30.0) - 999.0 / 30.0).abs() < 0.1);
        assert_eq!(capacity(&[], 30.0), 1.0);
        assert_eq!(capacity(&[f64::NAN, 0.0, -1.0], 30.0), 1.0);
    }

    #[test]
    fn a_wave_is_met_better_than_by_the_rule() {
        let traces = made_up::traces(99);
        let trace = traces
            .iter()
            .find(|t| t.name.ends_with("few requests"))
            .map(|t| Trace { loads: t.loads[..5 * 1440].to_vec(), ..t.clone() });
        let trace = trace.unwrap();
        let job = Job { trace: &trace, start_minutes: 5.0, peak: PEAK, is_recorded: false };
        let replayed = replay_all(&job);
        assert!(replayed.is_half_the_violations() && replayed.is_cheaper(GOAL_TARGET, 0.05));
        assert!(replayed.is_better_as_a_whole());
        assert!(replayed.oracle.violating_minutes == 0.0 && replayed.fixed.violating_minutes == 0.0);
        let rows = prediction_rows(&job, &replayed);
        assert!(rows.iter().all(|r| r.len() == PREDICTION_COLUMNS.len()) && rows.len() == 4 + 3 + PRICES);
    }
}
