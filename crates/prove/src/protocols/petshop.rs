//! `petshop`: which of the services that call each other is why one of them is slow or fails.
//!
//! Each issue gives the metrics of all nodes around an alarm, the node and metric that it is about, and the alarm's
//! time; the answer is the node where the fault was. [`analyze::cause::localize`] ranks the nodes, with the metrics of
//! the healthy days as the past. Healthy windows are judged as well, as if an alarm had come at their beginning: the
//! second half of those days in stretches as long as an issue's, each with all that came before as its past. There
//! "undecided" is right.

mod peers;
mod scenario;

use analyze::cause::localize::{Answer, Question, Series, localize};

use self::scenario::{Column, Issue, Scenario, Stretch, Target, Truth};
use crate::{Problem, Protocol, Report, Row, Run, data, report::round, workers::timed};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "petshop",
    summary: "root cause over metrics and a call graph, the alarm's time given: top-1, top-3, specificity",
    layout: "petshop/SCENARIO/graph.csv (callers in rows, called in columns), noissue/metrics.csv, and \
             SPLIT/ISSUE/metrics.csv (three lines of header: node, metric, statistic) with target.json",
    run,
};

/// Steps that are judged, from that of the alarm on: a quarter of an hour at five minutes.
const STEPS: usize = 3;
/// What the paper gives for its best walk over the graph, on all issues of the scenario `low_traffic`.
const PUBLISHED: &str = "traversal MAD on low_traffic, top-1 and top-3: latency .571, .571; availability .833, 1.0; \
                         specificity .17 and 1.0 (Hardt et al., CLeaR 2024)";

/// A method's answer: suspects (node, metric, score) and whether it says that it knows.
struct Said {
    method: &'static str,
    ranking: Vec<(usize, Option<String>, f64)>,
    is_decided: bool,
}

/// One thing judged.
struct Judged {
    case: String,
    /// The alarmed metric.
    kind: String,
    /// Scenario and split; none for a healthy window.
    issue: Option<(String, Truth)>,
    /// Ours first.
    said: Vec<Said>,
    nodes: usize,
    cpu_s: f64,
    line: serde_json::Value,
}

fn run(run: &Run) -> Result<Report, Problem> {
    let folder = run.data.join("petshop");
    let is_scenario = |name: &str| folder.join(name).join("graph.csv").is_file();
    let mut report = Report::new(PROTOCOL.name);
    let mut judged = Vec::new();
    for name in data::list(&folder, PROTOCOL.layout, is_scenario)? {
        let Some(scenario) = Scenario::read(&folder.join(&name), &name)? else {
            report.summary.insert(format!("left out {name}"), "it has no noissue/metrics.csv".into());
            continue;
        };
        let issues = run.each(&scenario.issues, |issue| Ok(judge_issue(&scenario, issue)))?;
        let windows = healthy_windows(&scenario);
        let healthy = run.each(&windows, |(from, target)| Ok(judge_healthy(&scenario, *from, target)))?;
        judged.extend(issues.into_iter().chain(healthy).map(|(judged, _)| judged));
    }
    if judged.is_empty() {
        return Err(Problem::new(&folder, "no scenario with healthy metrics and issues", PROTOCOL.layout));
    }
    run.predict_json_lines("petshop.jsonl", judged.iter().map(|j| j.line.clone()))?;
    place_rows(&mut report, &judged);
    specificity_rows(&mut report, &judged);
    summarise(&mut report, &judged);
    Ok(report)
}

fn judge_issue(scenario: &Scenario, issue: &Issue) -> Judged {
    let times = &issue.metrics.times;
    let alarm = times.iter().rposition(|t| *t <= issue.target.time).unwrap_or(0);
    let within = Stretch { of: &issue.metrics, from: alarm, to: (alarm + STEPS).min(times.len()) };
    let before = Stretch { of: &scenario.healthy, from: 0, to: scenario.healthy.times.len() };
    let split = (format!("{} {}", scenario.name, issue.split), issue.truth.clone());
    judge(scenario, &issue.name, Some(split), &issue.target, (before, within))
}

fn judge_healthy(scenario: &Scenario, from: usize, target: &Target) -> Judged {
    let name = format!("{}/noissue/{} {}", scenario.name, target.metric, scenario.healthy.times[from]);
    let stretch = |from, to| Stretch { of: &scenario.healthy, from, to };
    judge(scenario, &name, None, target, (stretch(0, from), stretch(from, from + STEPS)))
}

/// Where the healthy windows of the second half begin, for each kind of alarm there was.
fn healthy_windows(scenario: &Scenario) -> Vec<(usize, Target)> {
    let mut targets: Vec<&Target> = scenario.issues.iter().map(|i| &i.target).collect();
    targets.sort_by_key(|t| (t.node, &t.metric, &t.statistic));
    targets.dedup_by_key(|t| (t.node, &t.metric, &t.statistic));
    let steps = scenario.healthy.times.len();
    let starts = (steps / 2..(steps + 1).saturating_sub(STEPS)).step_by(STEPS);
    starts.flat_map(|from| targets.iter().map(move |t| (from, (*t).clone()))).collect()
}

fn judge(
    scenario: &Scenario,
    case: &str,
    issue: Option<(String, Truth)>,
    target: &Target,
    (before, within): (Stretch, Stretch),
) -> Judged {
    let columns = scenario::columns(before, within);
    let series: Vec<Series> = columns.iter().map(Column::series).collect();
    let entities: Vec<&str> = scenario.nodes.iter().map(String::as_str).collect();
    let alarmed = columns.iter().position(|c| c.is(target)).unwrap_or(usize::MAX);
    let question = Question { entities: &entities, calls: &scenario.calls, series: &series, alarmed };
    let (answer, cpu_s) = timed(|| localize(&question));
    let metric = |series: Option<usize>| series.map(|at| columns[at].metric().to_owned());
    let ranking = answer.suspects.iter().map(|s| (s.entity, metric(s.series), s.belief)).collect();
    let mut said = vec![Said { method: "ours", ranking, is_decided: !answer.is_undecided }];
    said.extend(peers::rankings(&question).into_iter().map(|(method, ranking)| {
        let ranking: Vec<_> =
            ranking.into_iter().map(|(node, score)| (node, Some(target.metric.clone()), score)).collect();
        Said { method, is_decided: !ranking.is_empty(), ranking }
    }));
    Judged {
        case: case.to_owned(),
        kind: target.metric.clone(),
        issue,
        said,
        nodes: peers::candidates(&question),
        cpu_s,
        line: line(case, &answer, &entities, &columns),
    }
}

fn line(case: &str, answer: &Answer, entities: &[&str], columns: &[Column]) -> serde_json::Value {
    let suspects = answer.suspects.iter().map(|s| {
        let metric = s.series.map(|at| columns[at].metric());
        serde_json::json!({"entity": entities[s.entity], "metric": metric, "belief": s.belief})
    });
    let ranking: Vec<serde_json::Value> = suspects.collect();
    serde_json::json!({"case": case, "given_time": true, "ranking": ranking, "undecided": answer.is_undecided})
}

impl Said {
    /// The truth's place, from 1 on: as many as have no less than it. Infinite where it is not named.
    fn place(&self, truth: &Truth) -> f64 {
        let is_true =
            |s: &&(usize, Option<String>, f64)| s.0 == truth.node && (truth.metric.is_none() || s.1 == truth.metric);
        let Some(score) = self.ranking.iter().find(is_true).map(|s| s.2) else { return f64::INFINITY };
        self.ranking.iter().filter(|s| s.2 >= score).count() as f64
    }
}

impl Judged {
    /// Place of the truth in what a method said; none for a healthy window.
    fn place(&self, method: usize) -> Option<f64> {
        self.issue.as_ref().map(|(_, truth)| self.said[method].place(truth))
    }
}

/// Groups of the issues by name: each kind, each kind and split, and all.
fn groups(judged: &[Judged]) -> Vec<(String, Vec<&Judged>)> {
    let mut groups: Vec<(String, Vec<&Judged>)> = Vec::new();
    for one in judged {
        let Some((split, _)) = &one.issue else { continue };
        for name in [one.kind.clone(), format!("{}, {split}", one.kind), "all".into()] {
            match groups.iter_mut().find(|g| g.0 == name) {
                Some(group) => group.1.push(one),
                None => groups.push((name, vec![one])),
            }
        }
    }
    groups.sort_by(|a, b| (a.0 == "all").cmp(&(b.0 == "all")).then(a.0.cmp(&b.0)));
    groups
}

fn place_rows(report: &mut Report, judged: &[Judged]) {
    let groups = groups(judged);
    for (k, metric) in [(1.0, "top-1"), (3.0, "top-3"), (0.0, "decided and right")] {
        for (name, group) in &groups {
            let is_hit = |j: &Judged, at: usize| match j.place(at) {
                Some(place) if k == 0.0 => place <= 1.0 && j.said[at].is_decided,
                Some(place) => place <= k,
                None => false,
            };
            let name = format!("{name} ({})", group.len());
            let cpu_s = if k == 1.0 { group.iter().map(|j| j.cpu_s).sum() } else { 0.0 };
            let mut row = row(name, metric, group, is_hit, cpu_s);
            if k > 0.0 {
                let random = group.iter().map(|j| (k / j.nodes.max(1) as f64).min(1.0)).sum::<f64>();
                row = row.baseline("random", random / group.len() as f64);
            }
            report.rows.push(row);
        }
    }
}

fn specificity_rows(report: &mut Report, judged: &[Judged]) {
    let mut kinds: Vec<&str> = judged.iter().filter(|j| j.issue.is_none()).map(|j| j.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let group: Vec<&Judged> = judged.iter().filter(|j| j.issue.is_none() && j.kind == kind).collect();
        let name = format!("{kind}, healthy ({})", group.len());
        report.rows.push(row(name, "specificity", &group, |j, at| !j.said[at].is_decided, 0.0));
    }
}

/// The share of a group that is as it should be, for each method.
fn row(name: String, metric: &str, group: &[&Judged], is_so: impl Fn(&Judged, usize) -> bool, cpu_s: f64) -> Row {
    let share = |at: usize| group.iter().filter(|j| is_so(j, at)).count() as f64 / group.len() as f64;
    let mut row = Row::new(name, metric, share(0), cpu_s);
    for (at, said) in group[0].said.iter().enumerate().skip(1) {
        row = row.baseline(said.method, share(at));
    }
    row
}

fn summarise(report: &mut Report, judged: &[Judged]) {
    let issues: Vec<(&Judged, f64)> = judged.iter().filter_map(|j| Some((j, j.place(0)?))).collect();
    let missed = issues.iter().filter(|(_, place)| *place > 1.0).map(|(j, place)| format!("{} at {place}", j.case));
    let missed: Vec<String> = missed.collect();
    let first = format!("{} of {}", issues.len() - missed.len(), issues.len());
    let cpu_ms = 1e3 * judged.iter().map(|j| j.cpu_s).sum::<f64>() / judged.len() as f64;
    let mut add = |name: &str, value: serde_json::Value| report.summary.insert(name.to_owned(), value);
    add("named first", first.into());
    add("not first", missed.join(", ").into());
    add("CPU ms a case", round(cpu_ms).into());
    add("time of the alarm", "given".into());
    add("published", PUBLISHED.into());
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn prove(folder: &Path) -> Result<Report, Problem> {
        run(&Run { data: folder, predictions: Some(folder), progress: &|_, _| {} })
    }

    /// Steps of five minutes of three nodes, `shop` calls `stock` calls `disk`: latency (and requests) of each.
    fn metrics(steps: usize, slow_from: usize, by: f64) -> String {
        let mut text = String::from(
            "microservice,shop,stock,disk,shop,stock,disk\nmetric,latency,latency,latency,requests,requests,requests\n\
             statistic,Average,Average,Average,Sum,Sum,Sum\nunix_timestamp,,,,,,\n",
        );
        for i in 0..steps {
            let noise = (i * 7919 % 13) as f64 / 1000.0;
            let extra = if i >= slow_from { by } else { 0.0 };
            let (disk, stock) = (0.02 + noise + extra, 0.05 + noise + extra);
            let shop = 0.1 + 2.0 * noise + extra;
            text += &format!(
                "{},{shop},{stock},{},100,100,100\n",
                1_000_000 + 300 * i,
                if i % 9 == 4 { String::new() } else { disk.to_string() }
            );
        }
        text
    }

    fn write_set(folder: &Path) {
        let scenario = folder.join("petshop/small");
        let issue = scenario.join("train/issue_0");
        fs::create_dir_all(&issue).unwrap();
        fs::create_dir_all(scenario.join("noissue")).unwrap();
        fs::write(scenario.join("graph.csv"), ",shop,stock,disk\nshop,0,1.0,0\nstock,0,0,1\ndisk,0,0,0\n").unwrap();
        fs::write(scenario.join("noissue/metrics.csv"), metrics(200, 200, 0.0)).unwrap();
        fs::write(issue.join("metrics.csv"), metrics(4, 1, 0.3)).unwrap();
        let target = r#"{"target": {"node": "shop", "metric": "latency", "agg": "Average", "timestamp": 1000305},
            "root_cause": {"node": "disk", "metric": null}}"#;
        fs::write(issue.join("target.json"), target).unwrap();
    }

    #[test]
    fn a_small_set_by_hand() {
        let folder = tempfile::tempdir().unwrap();
        write_set(folder.path());
        let report = prove(folder.path()).unwrap();
        let of = |metric: &str, name: &str| {
            report.rows.iter().find(|r| r.metric == metric && r.name.starts_with(name)).unwrap()
        };
        let first = of("top-1", "latency, small train (1)");
        assert_eq!((first.ours, first.baselines["alarmed node"], first.baselines["deepest abnormal"]), (1.0, 0.0, 1.0));
        assert!((first.baselines["random"] - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(of("top-3", "all").baselines["random"], 1.0);
        assert_eq!(of("specificity", "latency").ours, 1.0);
        assert_eq!(of("specificity", "latency").baselines["alarmed node"], 0.0);
        let written = fs::read_to_string(folder.path().join("petshop.jsonl")).unwrap();
        let first: serde_json::Value = serde_json::from_str(written.lines().next().unwrap()).unwrap();
        assert_eq!(first["case"], "small/train/issue_0");
        assert_eq!(
            (&first["ranking"][0]["entity"], &first["ranking"][0]["metric"]),
            (&"disk".into(), &"latency".into())
        );
        assert_eq!((&first["given_time"], &first["undecided"]), (&true.into(), &false.into()));
        // One issue, and the hundred steps of the second half by threes.
        assert_eq!(written.lines().count(), 1 + 33);
    }

    #[test]
    fn ties_count_against_and_what_is_not_named_has_no_place() {
        let ranking = vec![(4, None, 0.5), (7, Some("latency".to_owned()), 0.5), (9, None, 0.1)];
        let said = Said { method: "ours", ranking, is_decided: true };
        let truth = |node, metric: Option<&str>| Truth { node, metric: metric.map(str::to_owned) };
        assert_eq!(said.place(&truth(4, None)), 2.0);
        assert_eq!(said.place(&truth(7, Some("latency"))), 2.0);
        assert_eq!(said.place(&truth(7, Some("requests"))), f64::INFINITY);
        assert_eq!(said.place(&truth(9, None)), 3.0);
        assert_eq!(said.place(&truth(1, None)), f64::INFINITY);
    }

    #[test]
    fn what_is_missing_or_broken_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let fails = |what: &str| {
            let said = prove(path).map(|r| r.rows.len()).unwrap_err().to_string();
            assert!(said.contains(what) && said.contains("expected petshop/SCENARIO/graph.csv"), "{said}");
        };
        fails("petshop");
        write_set(path);
        let small = path.join("petshop/small");
        let target = fs::read(small.join("train/issue_0/target.json")).unwrap();
        fs::write(small.join("train/issue_0/target.json"), "{}").unwrap();
        fails("no number at /target/timestamp");
        fs::write(small.join("train/issue_0/target.json"), "{").unwrap();
        fails("not JSON");
        fs::write(small.join("train/issue_0/target.json"), &target).unwrap();
        fs::write(small.join("train/issue_0/metrics.csv"), "a,b\nc,d\ne,f\n").unwrap();
        fails("no line that begins with a time");
        fs::write(small.join("train/issue_0/metrics.csv"), "a,b\nc,latency\ne,f\n1,x\n").unwrap();
        fails("\"x\" is not a number");
        fs::remove_file(small.join("train/issue_0/metrics.csv")).unwrap();
        fails("issue_0/metrics.csv");
        fs::remove_file(small.join("train/issue_0/target.json")).unwrap();
        fails("no issue with a target.json");
        fs::remove_file(small.join("noissue/metrics.csv")).unwrap();
        fails("no scenario with healthy metrics");
        // One that is whole is run, the other is named.
        write_set(path);
        fs::create_dir_all(path.join("petshop/other")).unwrap();
        fs::write(path.join("petshop/other/graph.csv"), ",a\na,0\n").unwrap();
        assert!(prove(path).unwrap().summary.contains_key("left out other"));
    }
}
