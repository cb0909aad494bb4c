//! `logs`: templates of labelled lines, in order, through the miner that runs live.
//!
//! The message of each line (column `Content`: the header is parsed off, as in all published results) is given to one
//! miner per system, with the one configuration that ships. A line gets its template's number on arrival. A template
//! that is generalised later keeps its number, and those that turn out to be the same resolve to one; what is scored
//! is what the table of templates answers after the last line, as a user would ask it.

use math::templates::Miner;

use crate::{
    Problem, Protocol, Report, Row, Run, data,
    metrics::grouping::{Accuracy, accuracy},
    workers::timed,
};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "logs",
    summary: "log templates on Loghub-2k with corrected labels: GA, PA, FGA, FTA",
    layout: "loghub_2k/SYSTEM/SYSTEM_2k.log_structured_corrected.csv with columns Content and EventTemplate",
    run,
};

/// Published means over 16 systems: GA, PA, FGA, FTA.
const PUBLISHED: [(&str, [f64; 4]); 2] = [
    ("drain3, one configuration", [0.75, 0.34, 0.74, 0.30]),
    ("Brain, tuned for each system", [0.97, 0.39, 0.93, 0.44]),
];
const METRICS: [&str; 4] = ["GA", "PA", "FGA", "FTA"];
/// Lines to feed again for a speed that is above the clock's grain.
const SPEED_LINES: usize = 200_000;

/// What a system gave.
struct Outcome {
    ours: Accuracy,
    baselines: [(&'static str, Accuracy); 3],
    templates: usize,
    lines_per_cpu_s: f64,
    mining_s: f64,
}

fn run(run: &Run) -> Result<Report, Problem> {
    let folder = run.data.join("loghub_2k");
    let systems = data::list(&folder, PROTOCOL.layout, |name| folder.join(name).is_dir())?;
    let found = run.each(&systems, |system| one(run, system))?;
    let mut report = Report::new(PROTOCOL.name);
    for (at, metric) in METRICS.iter().enumerate() {
        for (system, (outcome, _)) in systems.iter().zip(&found) {
            let mut row = Row::new(system, metric, values(&outcome.ours)[at], outcome.mining_s);
            for (name, baseline) in &outcome.baselines {
                row = row.baseline(name, values(baseline)[at]);
            }
            report.rows.push(row);
        }
    }
    report.summarise_means();
    for (system, (outcome, _)) in systems.iter().zip(&found) {
        report.rows.push(Row::new(system, "lines per CPU-second", outcome.lines_per_cpu_s.round(), 0.0));
        report.rows.push(Row::new(system, "templates", outcome.templates as f64, 0.0));
    }
    for (name, means) in PUBLISHED {
        let means = METRICS.iter().zip(means).map(|(metric, mean)| (metric.to_string(), mean.into())).collect();
        report.summary.insert(format!("published mean of 16 systems, {name}"), serde_json::Value::Object(means));
    }
    report.summary.insert("templates".into(), "as resolved by the table of templates after the last line".into());
    Ok(report)
}

fn one(run: &Run, system: &str) -> Result<Outcome, Problem> {
    let path = run.data.join(format!("loghub_2k/{system}/{system}_2k.log_structured_corrected.csv"));
    let rows = data::rows(&path, b',', PROTOCOL.layout)?;
    let column = |name: &str| {
        let at = rows[0].iter().position(|h| h == name);
        at.ok_or_else(|| Problem::new(&path, format!("no column {name}"), PROTOCOL.layout))
    };
    let (content, template) = (column("Content")?, column("EventTemplate")?);
    let field = |row: usize, at: usize| {
        let short = || Problem::new(&path, format!("line {} has no column {}", row + 1, at + 1), PROTOCOL.layout);
        rows[row].get(at).map(String::as_str).ok_or_else(short)
    };
    let lines = (1..rows.len()).map(|row| field(row, content)).collect::<Result<Vec<&str>, Problem>>()?;
    let truth = (1..rows.len()).map(|row| field(row, template)).collect::<Result<Vec<&str>, Problem>>()?;

    let mut miner = Miner::default();
    let (given, mining_s) = timed(|| lines.iter().map(|line| miner.assign(line).id).collect::<Vec<u32>>());
    let ids: Vec<u32> = given.iter().map(|id| miner.resolve(*id)).collect();
    let texts: Vec<&str> = ids.iter().map(|id| miner.text(*id)).collect();
    let rows = ids.iter().zip(&texts).enumerate();
    let rows = rows.map(|(i, (id, text))| vec![(i + 1).to_string(), id.to_string(), (*text).to_owned()]);
    run.predict(&format!("logs/{system}.csv"), &["line", "template_id", "template"], rows)?;
    let ours = accuracy(&ids, &texts, &truth);
    let templates = ids.iter().collect::<std::collections::BTreeSet<_>>().len();
    let baselines = trivial(&lines, &truth);
    let (fed, cpu_s) = timed(|| feed_again(&mut miner, &lines));
    Ok(Outcome { ours, baselines, templates, lines_per_cpu_s: fed as f64 / cpu_s.max(1e-9), mining_s })
}

/// Every line its own template; everything one template; lines of equal text one template.
fn trivial(lines: &[&str], truth: &[&str]) -> [(&'static str, Accuracy); 3] {
    let own: Vec<u32> = (0..lines.len() as u32).collect();
    let mut first_of = std::collections::BTreeMap::new();
    let exact: Vec<u32> = own.iter().map(|i| *first_of.entry(lines[*i as usize]).or_insert(*i)).collect();
    [
        ("own", accuracy(&own, lines, truth)),
        ("one", accuracy(&vec![1; lines.len()], &vec![math::templates::PARAMETER; lines.len()], truth)),
        ("exact", accuracy(&exact, lines, truth)),
    ]
}

fn feed_again(miner: &mut Miner, lines: &[&str]) -> usize {
    let rounds = if lines.is_empty() { 0 } else { SPEED_LINES.div_ceil(lines.len()) };
    for _ in 0..rounds {
        for line in lines {
            std::hint::black_box(miner.assign(line));
        }
    }
    rounds * lines.len()
}

fn values(accuracy: &Accuracy) -> [f64; 4] {
    [accuracy.grouping, accuracy.parsing, accuracy.f_grouping, accuracy.f_template]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_on(folder: &std::path::Path) -> Result<Report, Problem> {
        run(&Run { data: folder, predictions: Some(&folder.join("out")), progress: &|_, _| {} })
    }

    /// Accuracy on the published lines does not fall; needs the folder `loghub_2k` below `$BELLWETHER_DATA`.
    #[test]
    fn templates_of_loghub_stay_right() {
        let Ok(data) = std::env::var("BELLWETHER_DATA") else {
            eprintln!("SKIPPED: set BELLWETHER_DATA to the folder that holds loghub_2k");
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let data = std::path::Path::new(&data);
        let report = run(&Run { data, predictions: Some(folder.path()), progress: &|_, _| {} }).unwrap();
        let mean = |metric: &str| report.summary[&format!("mean {metric}")]["ours"].as_f64().unwrap();
        for (metric, least) in [("GA", 0.93), ("FGA", 0.88), ("FTA", 0.70)] {
            assert!(mean(metric) >= least, "{metric} fell to {}", mean(metric));
        }
    }

    #[test]
    fn a_small_system_is_scored_and_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let system = folder.path().join("loghub_2k/Tiny");
        std::fs::create_dir_all(&system).unwrap();
        let csv = "LineId,Content,EventTemplate\n1,took 12 ms,took <*> ms\n2,\"took 7 ms\",took <*> ms\n3,done,done\n";
        std::fs::write(system.join("Tiny_2k.log_structured_corrected.csv"), csv).unwrap();
        let report = run_on(folder.path()).unwrap();
        let ga = report.rows.iter().find(|r| r.metric == "GA").unwrap();
        assert_eq!((ga.ours, ga.baselines["own"], ga.baselines["one"]), (1.0, 1.0 / 3.0, 0.0));
        let written = std::fs::read_to_string(folder.path().join("out/logs/Tiny.csv")).unwrap();
        assert_eq!(written, "line,template_id,template\n1,1,took <*> ms\n2,1,took <*> ms\n3,2,done\n");
    }

    #[test]
    fn missing_and_malformed_folders_are_said() {
        let folder = tempfile::tempdir().unwrap();
        assert!(run_on(folder.path()).unwrap_err().to_string().contains("loghub_2k"));
        let system = folder.path().join("loghub_2k/Bad");
        std::fs::create_dir_all(&system).unwrap();
        assert!(run_on(folder.path()).unwrap_err().to_string().contains("Bad_2k.log_structured_corrected.csv"));
        std::fs::write(system.join("Bad_2k.log_structured_corrected.csv"), "LineId,Content\n1,x\n").unwrap();
        assert!(run_on(folder.path()).unwrap_err().to_string().contains("no column EventTemplate"));
    }
}
