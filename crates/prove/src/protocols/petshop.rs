//! `petshop`: which of the services that call each other is why one of them is slow or fails.
//!
//! Each issue gives the metrics of all nodes around an alarm, the node and metric that it is about, and the alarm's
//! time; the answer is the node where the fault was. [`analyze::cause::localize`] ranks the nodes, with the metrics of
//! the healthy days as the past. Healthy windows are judged too, as if an alarm had come at their beginning: the second
//! half of those days in stretches as long as an issue's, each with what came before it as its past. There "undecided"
//! is right.

mod peers;
mod scenario;

use analyze::cause::localize::{Answer, Question, Series, localize};

use self::scenario::{Issue, Metrics, Scenario, Target};
use crate::{Problem, Protocol, Report, Row, Run, data, report::round, workers::timed};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "petshop",
    summary: "root cause over metrics and a call graph, the alarm's time given: top-1, top-3, specificity on healthy windows",
    layout: "petshop/SCENARIO/graph.csv (callers in rows, called in columns), noissue/metrics.csv, and \
             SPLIT/ISSUE/metrics.csv (three lines of header: node, metric, statistic) with target.json",
    run,
};

/// Steps that are judged, from that of the alarm on: a quarter of an hour at five minutes.
fn env(n: &str) -> Option<usize> { std::env::var(n).ok().and_then(|v| v.parse().ok()) }
#[allow(non_snake_case)] fn STEPS() -> usize { env("PS_STEPS").unwrap_or(3) }

/// One thing judged, by ours and the peers.
struct Judged {
    /// Empty for a healthy window.
    split: String,
    case: String,
    target: Target,
    /// What the truth's place is in each ranking, ours first, ties against it; none where it is not in there.
    places: Vec<(&'static str, f64)>,
    /// Whether nothing was said, ours first.
    silent: Vec<(&'static str, bool)>,
    nodes: usize,
    cpu_s: f64,
    line: serde_json::Value,
}

fn run(run: &Run) -> Result<Report, Problem> {
    let folder = run.data.join("petshop");
    let is_scenario = |name: &str| folder.join(name).join("graph.csv").is_file();
    let names = data::list(&folder, PROTOCOL.layout, is_scenario)?;
    let mut report = Report::new(PROTOCOL.name);
    let mut judged = Vec::new();
    for name in &names {
        let Some(scenario) = Scenario::read(&folder.join(name), name)? else {
            report.summary.insert(format!("left out {name}"), "it has no noissue/metrics.csv".into());
            continue;
        };
        let issues = run.each(&scenario.issues, |issue| Ok(judge_issue(&scenario, issue)))?;
        let windows = healthy_windows(&scenario);
        let healthy = run.each(&windows, |(from, target)| Ok(judge_healthy(&scenario, *from, target)))?;
        judged.extend(issues.into_iter().chain(healthy).map(|(judged, _)| judged));
    }
    if judged.is_empty() {
        return Err(Problem::new(&folder, "no scenario has healthy metrics", PROTOCOL.layout));
    }
    run.predict_json_lines("petshop.jsonl", judged.iter().map(|j| j.line.clone()))?;
    summarise(&mut report, &judged);
    Ok(report)
}

fn judge_issue(scenario: &Scenario, issue: &Issue) -> Judged {
    let alarm = issue.metrics.times.iter().rposition(|t| *t <= issue.target.time).unwrap_or(0);
    let alarm = (alarm.saturating_sub(env("PS_EARLY").unwrap_or(0)) + env("PS_LATE").unwrap_or(0)).min(4);
    let to = (alarm + STEPS()).min(issue.metrics.times.len());
    let past = &scenario.healthy;
    let n = past.times.len(); let from = n - n.min(env("PS_HIST").unwrap_or(n));
    let mut target = issue.target.clone(); if let Ok(a) = std::env::var("PS_AGG") { if target.metric=="latency" {target.statistic=a;} }
    judge(scenario, &issue.name, &issue.split, &target, (past, from, n), (&issue.metrics, alarm, to))
}

fn judge_healthy(scenario: &Scenario, from: usize, target: &Target) -> Judged {
    let healthy = &scenario.healthy;
    let name = format!("{}/healthy/{}/{}", scenario.name, target.metric, healthy.times[from]);
    judge(scenario, &name, "", target, (healthy, 0, from), (healthy, from, from + STEPS()))
}

/// Where the healthy windows of the second half begin, for each kind of alarm there was.
fn healthy_windows(scenario: &Scenario) -> Vec<(usize, Target)> {
    let mut targets: Vec<&Target> = scenario.issues.iter().map(|i| &i.target).collect();
    targets.sort_by_key(|t| (t.node, &t.metric, &t.statistic));
    targets.dedup_by_key(|t| (t.node, &t.metric, &t.statistic));
    let steps = scenario.healthy.times.len();
    let starts = (steps / 2..(steps + 1).saturating_sub(STEPS())).step_by(STEPS());
    starts.flat_map(|from| targets.iter().map(move |t| (from, (*t).clone()))).collect()
}

type Stretch<'a> = (&'a Metrics, usize, usize);

fn judge(scenario: &Scenario, case: &str, split: &str, target: &Target, past: Stretch, now: Stretch) -> Judged {
    let columns = scenario::columns(past, now);
    let columns: Vec<scenario::Column> = columns.into_iter().filter(|c| !(env("PS_NOREQ").is_some() && c.key.1=="requests") && !(env("PS_NOROOT").is_some() && Some(c.key.0)==target.cause)).collect();
    let series: Vec<Series> = columns.iter().map(scenario::Column::series).collect();
    let names: Vec<&str> = scenario.nodes.iter().map(String::as_str).collect();
    let alarmed = columns.iter().position(|c| c.is(target)).unwrap_or(usize::MAX);
    let question = Question { entities: &names, calls: &scenario.calls, series: &series, alarmed };
    let (answer, cpu_s) = timed(|| localize(&question));
    let ranking: Vec<(usize, f64)> = answer.suspects.iter().map(|s| (s.entity, s.belief)).collect();
    let mut rankings = vec![("ours", ranking)];
    rankings.extend(peers::rankings(&question));
    if std::env::var("PETSHOP_DEBUG").is_ok() {
        debug(scenario, case, target, &answer, &columns);
    }
    Judged {
        split: split.to_owned(),
        case: case.to_owned(),
        target: target.clone(),
        places: rankings.iter().map(|(name, ranking)| (*name, place(ranking, target.cause))).collect(),
        silent: rankings
            .iter()
            .map(|(name, r)| (*name, if *name == "ours" { answer.is_undecided } else { r.is_empty() }))
            .collect(),
        nodes: peers::candidates(&question).len(),
        cpu_s,
        line: line(case, &answer, &names, &columns),
    }
}

fn debug(scenario: &Scenario, case: &str, target: &Target, answer: &Answer, columns: &[scenario::Column]) {
    if answer.suspects.is_empty() && target.cause.is_none() {
        return;
    }
    eprintln!(
        "\n{case} {} truth {} surprise {:.2} undecided {}",
        target.metric,
        target.cause.map_or("-", |c| &scenario.nodes[c]),
        answer.surprise,
        answer.is_undecided
    );
    for s in answer.suspects.iter().take(6) {
        let metric = s.series.map(|i| columns[i].name.clone());
        eprintln!("   {:.3} {} {metric:?} {}", s.belief, scenario.nodes[s.entity], s.reasons.join("; "));
    }
}

/// The truth's place, from 1 on, as many before it as have no less; infinite where it is not named.
fn place(ranking: &[(usize, f64)], truth: Option<usize>) -> f64 {
    let Some(score) = ranking.iter().find(|r| Some(r.0) == truth).map(|r| r.1) else { return f64::INFINITY };
    ranking.iter().filter(|r| r.1 >= score).count() as f64
}

fn line(case: &str, answer: &Answer, names: &[&str], columns: &[scenario::Column]) -> serde_json::Value {
    let ranking = answer.suspects.iter().map(|s| {
        let metric = s.series.map(|i| columns[i].key.1.as_str());
        serde_json::json!({"entity": names[s.entity], "metric": metric, "belief": s.belief})
    });
    let ranking: Vec<serde_json::Value> = ranking.collect();
    serde_json::json!({"case": case, "given_time": true, "ranking": ranking, "undecided": answer.is_undecided})
}

fn summarise(report: &mut Report, judged: &[Judged]) {
    let issues: Vec<&Judged> = judged.iter().filter(|j| !j.split.is_empty()).collect();
    let healthy: Vec<&Judged> = judged.iter().filter(|j| j.split.is_empty()).collect();
    let mut groups: Vec<(String, Vec<&Judged>)> = Vec::new();
    let mut add = |name: String, judged: &Judged| -> usize {
        let at = groups.iter().position(|g| g.0 == name).unwrap_or(groups.len());
        if at == groups.len() {
            groups.push((name, Vec::new()));
        }
        let _ = judged;
        at
    };
    let mut placed = Vec::new();
    for judged in &issues {
        placed.push((add(judged.target.metric.clone(), judged), *judged));
        placed.push((add(format!("{}, {}", judged.target.metric, judged.split), judged), *judged));
        placed.push((add("all".into(), judged), *judged));
    }
    placed.into_iter().for_each(|(at, judged)| groups[at].1.push(judged));
    groups.sort_by(|a, b| (a.0 == "all").cmp(&(b.0 == "all")).then(a.0.cmp(&b.0)));
    for k in [1.0, 3.0] {
        for (name, group) in &groups {
            let cpu_s = if k == 1.0 { group.iter().map(|j| j.cpu_s).sum() } else { 0.0 };
            let n = group.len() as f64;
            let share = |at: usize| group.iter().filter(|j| j.places[at].1 <= k).count() as f64 / n;
            let mut row = Row::new(format!("{name} ({})", group.len()), &format!("top-{k}"), share(0), cpu_s);
            for at in 1..group[0].places.len() {
                row = row.baseline(group[0].places[at].0, share(at));
            }
            let random = group.iter().map(|j| (k / j.nodes.max(1) as f64).min(1.0)).sum::<f64>() / n;
            report.rows.push(row.baseline("random", random));
        }
    }
    let mut kinds: Vec<&str> = healthy.iter().map(|j| j.target.metric.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let group: Vec<&&Judged> = healthy.iter().filter(|j| j.target.metric == kind).collect();
        let share = |at: usize| group.iter().filter(|j| j.silent[at].1).count() as f64 / group.len() as f64;
        let mut row = Row::new(format!("{kind} ({})", group.len()), "specificity", share(0), 0.0);
        for at in 1..group[0].silent.len() {
            row = row.baseline(group[0].silent[at].0, share(at));
        }
        report.rows.push(row);
    }
    let wrong: Vec<String> = issues.iter().filter(|j| j.places[0].1 > 1.0).map(|j| format!("{} ({})", j.case, j.places[0].1)).collect();
    report.summary.insert("not first (place)".into(), wrong.join(", ").into());
    let undecided = issues.iter().filter(|j| j.silent[0].1).count();
    report.summary.insert("issues undecided".into(), undecided.into());
    let mean = issues.iter().map(|j| j.cpu_s).sum::<f64>() / issues.len().max(1) as f64;
    report.summary.insert("CPU ms a case".into(), round(1e3 * mean).into());
    report.summary.insert("the alarm's time".into(), "is given".into());
}
