//! `servers`: servers of many metrics, judged as they come.
//!
//! The training part and then the test part of each server go point by point through [`math::joint`], which the live
//! analysis `joint` uses too; nothing knows where the one ends, except that scores and flags are those of the test
//! part. The files do not say how far apart points are: one a minute is taken, so the budget of one false event a week
//! is one in 10,080 points.

mod pca;

use std::path::{Path, PathBuf};

use math::joint::{Joint, Settings};

use crate::{
    Problem, Protocol, Report, Row, Run, baselines, data,
    metrics::{
        events::{Events, events},
        ranking,
    },
    predictions::score,
    report::round,
    workers::timed,
};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "servers",
    summary: "servers of many metrics, streaming: AUC-PR, VUS-PR, events at a threshold set without labels",
    layout: "SET/NAME.train.parquet and NAME.test.parquet (a column a metric, and label) in smd, asd, jumpstarter or \
             smap_msl, at any depth",
    run,
};

/// The folders looked into.
const SETS: [&str; 4] = ["smd", "asd", "jumpstarter", "smap_msl"];
/// Points in a week at one a minute: one false event in so many is allowed.
const BUDGET_POINTS: f64 = 10_080.0;
const TRAIN: &str = ".train.parquet";
const TEST: &str = ".test.parquet";

struct Item {
    set: &'static str,
    name: String,
    folder: PathBuf,
}

/// Training part and test part of an item.
struct Server {
    /// A column a metric, both parts one after the other.
    columns: Vec<Vec<f64>>,
    /// Rows of the training part.
    train: usize,
    labels: Vec<bool>,
}

/// What a method says about each point of the test part.
struct Said {
    scores: Vec<f64>,
    flags: Vec<bool>,
    /// Alarms begun in the training part.
    train_alarms: usize,
}

struct Outcome {
    set: &'static str,
    name: String,
    cpu_s: f64,
    points: usize,
    /// Alarms of ours in the training part, and its rows.
    training: (usize, usize),
    /// By method: ours first.
    figures: Vec<(&'static str, Figures)>,
}

struct Figures {
    auc_pr: f64,
    vus_pr: f64,
    events: Events,
}

fn run(run: &Run) -> Result<Report, Problem> {
    let items = find(run.data)?;
    let outcomes = run.each(&items, |item| examine(run, item))?;
    let outcomes: Vec<Outcome> = outcomes.into_iter().map(|(outcome, _)| outcome).collect();
    let mut report = Report::new(PROTOCOL.name);
    for (metric, _) in METRICS {
        report.rows.extend(outcomes.iter().map(|outcome| row(outcome, metric)));
    }
    report.summarise_means();
    for set in SETS {
        summarise_set(set, &outcomes, &mut report);
    }
    let (cpu_s, points) = outcomes.iter().fold((0.0, 0), |(cpu, points), o| (cpu + o.cpu_s, points + o.points));
    report.summary.insert("CPU ns a metric point".into(), (cpu_s * 1e9 / points.max(1) as f64).round().into());
    report.summary.insert("budget".into(), "one false event in 10,080 points (a week at one a minute)".into());
    let (alarms, rows) = outcomes.iter().fold((0, 0), |(a, r), o| (a + o.training.0, r + o.training.1));
    let alarms_a_week = round(alarms as f64 * BUDGET_POINTS / rows.max(1) as f64);
    report.summary.insert("alarms in training parts a week (10,080 points)".into(), alarms_a_week.into());
    Ok(report)
}

/// A metric's name and where it is found.
type Metric = (&'static str, fn(&Figures) -> f64);

const METRICS: [Metric; 7] = [
    ("AUC-PR", |f| f.auc_pr),
    ("VUS-PR", |f| f.vus_pr),
    ("event F1", |f| f.events.f1),
    ("event precision", |f| f.events.precision),
    ("event recall", |f| f.events.recall),
    ("event F1, precision of points", |f| f.events.point_f1),
    ("event delay, points", |f| f.events.delay),
];

fn row(outcome: &Outcome, metric: &str) -> Row {
    let name = format!("{}/{}", outcome.set, outcome.name);
    let of = |f: &Figures| METRICS.iter().find(|(n, _)| *n == metric).map_or(f64::NAN, |(_, of)| of(f));
    let cpu_s = if metric == METRICS[0].0 { outcome.cpu_s } else { 0.0 };
    let mut row = Row::new(name, metric, f64::NAN, cpu_s);
    for (method, figures) in &outcome.figures {
        match *method {
            OURS => row.ours = of(figures),
            _ => row = row.baseline(method, of(figures)),
        }
    }
    row
}

fn summarise_set(set: &str, outcomes: &[Outcome], report: &mut Report) {
    let of_set: Vec<&Outcome> = outcomes.iter().filter(|o| o.set == set).collect();
    if of_set.is_empty() {
        report.summary.insert(format!("{set}, left out"), "nothing of it in the data folder".into());
        return;
    }
    for (metric, of) in METRICS {
        let mean = |method: &str| {
            let figures = of_set.iter().flat_map(|o| &o.figures).filter(|(name, _)| *name == method);
            let values: Vec<f64> = figures.map(|(_, f)| of(f)).filter(|v| v.is_finite()).collect();
            round(values.iter().sum::<f64>() / values.len().max(1) as f64)
        };
        let means = of_set[0].figures.iter().map(|(name, _)| ((*name).to_owned(), mean(name).into())).collect();
        report.summary.insert(format!("{set} ({}), mean {metric}", of_set.len()), serde_json::Value::Object(means));
    }
}

const OURS: &str = "ours";

fn examine(run: &Run, item: &Item) -> Result<Outcome, Problem> {
    let server = read(item)?;
    let (ours, cpu_s) = timed(|| judge(&server));
    let rows = ours.scores.iter().zip(&ours.flags).enumerate();
    let rows = rows.map(|(i, (s, f))| vec![i.to_string(), s.to_string(), u8::from(*f).to_string()]);
    run.predict(&format!("servers/{}/{}.csv", item.set, item.name), &["index", "score", "flag"], rows)?;
    let test = server.labels.len();
    let window = server.columns.first().map_or(0, |c| ranking::dominant_period(&c[server.train..]));
    let figures = |said: &Said| Figures {
        auc_pr: ranking::auc_pr(&said.scores, &server.labels),
        vus_pr: ranking::vus_pr(&said.scores, &server.labels, window),
        events: events(&said.flags, &server.labels),
    };
    let pca::Scores { residual, weighted } = pca::scores(&server.columns, server.train);
    let with_flags = |scores: Vec<f64>| flag_by_training(scores, server.train);
    let all = Said { scores: vec![1.0; test], flags: vec![true; test], train_alarms: 0 };
    let index = baselines::row_index(test);
    let figures = vec![
        (OURS, figures(&ours)),
        ("PCA", figures(&with_flags(residual))),
        ("PCA, all components", figures(&with_flags(weighted))),
        ("max |z|", figures(&with_flags(baselines::max_abs_z(&server.columns, server.train)))),
        ("random", figures(&with_flags(baselines::random(server.train + test, test as u64)))),
        (
            "row index",
            figures(&Said { flags: index.iter().map(|s| *s >= 0.5).collect(), scores: index, train_alarms: 0 }),
        ),
        ("flag everything", figures(&all)),
    ];
    let points = server.columns.iter().map(Vec::len).sum();
    Ok(Outcome {
        set: item.set,
        name: item.name.clone(),
        cpu_s,
        points,
        training: (ours.train_alarms, server.train),
        figures,
    })
}

/// Ours: point by point through the training part and the test part.
fn judge(server: &Server) -> Said {
    let mut joint = Joint::new(server.columns.len(), Settings { budget: BUDGET_POINTS, ..Settings::default() });
    let rows = server.train + server.labels.len();
    let mut said = Said { scores: Vec::new(), flags: Vec::new(), train_alarms: 0 };
    let mut before = false;
    let mut values = vec![0.0; server.columns.len()];
    for row in 0..rows {
        for (value, column) in values.iter_mut().zip(&server.columns) {
            *value = column[row];
        }
        let judged = joint.observe(&values);
        let flag = judged.alarm;
        if row >= server.train {
            said.scores.push(score(judged.surprise));
            said.flags.push(flag);
        } else {
            said.train_alarms += usize::from(flag && !before);
        }
        before = flag;
    }
    said
}

/// The test part's scores, flagged where they exceed all but so many of the training part as the budget allows.
fn flag_by_training(scores: Vec<f64>, train: usize) -> Said {
    let mut known = scores[..train].to_vec();
    known.sort_by(f64::total_cmp);
    let allowed = (train as f64 / BUDGET_POINTS) as usize;
    let threshold = known.len().checked_sub(allowed + 1).map_or(f64::INFINITY, |i| known[i]);
    let scores = scores[train..].to_vec();
    Said { flags: scores.iter().map(|s| *s > threshold).collect(), scores, train_alarms: allowed }
}

fn find(data: &Path) -> Result<Vec<Item>, Problem> {
    let mut items = Vec::new();
    for set in SETS {
        look_into(&data.join(set), set, 0, &mut items)?;
    }
    if items.is_empty() {
        return Err(Problem::new(data, "no training part of any server", PROTOCOL.layout));
    }
    Ok(items)
}

/// Folders deeper than this are not looked into.
const DEEPEST: usize = 4;

fn look_into(folder: &Path, set: &'static str, depth: usize, items: &mut Vec<Item>) -> Result<(), Problem> {
    if !folder.is_dir() || depth > DEEPEST {
        return Ok(());
    }
    for name in data::list(folder, PROTOCOL.layout, |_| true)? {
        let path = folder.join(&name);
        if path.is_dir() {
            look_into(&path, set, depth + 1, items)?;
        } else if let Some(name) = name.strip_suffix(TRAIN) {
            items.push(Item { set, name: name.to_owned(), folder: folder.to_owned() });
        }
    }
    Ok(())
}

fn read(item: &Item) -> Result<Server, Problem> {
    let train_path = item.folder.join(format!("{}{TRAIN}", item.name));
    let test_path = item.folder.join(format!("{}{TEST}", item.name));
    let mut train = data::parquet_table(&train_path, PROTOCOL.layout)?;
    let mut test = data::parquet_table(&test_path, PROTOCOL.layout)?;
    train.take("label");
    let labels = test.take("label").ok_or_else(|| Problem::new(&test_path, "no column label", PROTOCOL.layout))?;
    let mut columns = Vec::new();
    for (name, mut column) in train.names.into_iter().zip(train.columns) {
        let further = test.take(&name);
        let further = further.ok_or_else(|| Problem::new(&test_path, format!("no column {name}"), PROTOCOL.layout))?;
        column.extend(further);
        columns.push(column);
    }
    let train = columns.first().map_or(0, |c| c.len().saturating_sub(labels.len()));
    if columns.iter().any(|c| c.len() != train + labels.len()) || train == 0 || labels.is_empty() {
        return Err(Problem::new(&test_path, "no metrics, no rows, or columns of different lengths", PROTOCOL.layout));
    }
    Ok(Server { columns, train, labels: labels.into_iter().map(|l| l > 0.5).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two metrics that go together; in the last part of the test they do not.
    fn server() -> Server {
        let load: Vec<f64> = (0..3000).map(|i| f64::from(i * 7919 % 101)).collect();
        let mut follows: Vec<f64> = load.iter().enumerate().map(|(i, v)| 2.0 * v + (i % 3) as f64).collect();
        let labels: Vec<bool> = (0..1000).map(|i| (600..700).contains(&i)).collect();
        follows[2600..2700].iter_mut().for_each(|v| *v = 200.0 - *v);
        Server { columns: vec![load, follows], train: 2000, labels }
    }

    #[test]
    fn what_goes_together_and_then_does_not_is_found_and_nothing_looks_ahead() {
        let whole = server();
        let said = judge(&whole);
        assert_eq!(said.scores.len(), 1000);
        assert!(ranking::auc_pr(&said.scores, &whole.labels) > 0.7);
        assert_eq!(events(&said.flags, &whole.labels).recall, 1.0);
        let mut part = server();
        part.columns.iter_mut().for_each(|c| c.truncate(2650));
        part.labels.truncate(650);
        assert_eq!(judge(&part).scores[..], said.scores[..650]);
    }

    #[test]
    fn missing_and_huge_values_are_judged() {
        let mut odd = server();
        odd.columns[0].fill(f64::NAN);
        odd.columns[1][2500] = 1e308;
        odd.columns.push(vec![4.0; 3000]);
        assert!(judge(&odd).scores.iter().all(|s| (0.0..=1.0).contains(s)));
        let one = Server { columns: vec![vec![1.0, 2.0]], train: 1, labels: vec![true] };
        assert_eq!(judge(&one).flags, [false]);
    }

    #[test]
    fn a_folder_without_servers_is_a_problem_that_says_what_was_expected() {
        let empty = std::env::temp_dir().join(format!("servers-{}", std::process::id()));
        std::fs::create_dir_all(empty.join("smd")).unwrap();
        std::fs::write(empty.join("smd/README.md"), "x").unwrap();
        let run = |data: &Path| run(&Run { data, predictions: None, progress: &|_, _| {} }).map(|_| ()).unwrap_err();
        assert!(run(&empty).to_string().contains("NAME.train.parquet"));
        std::fs::write(empty.join("smd/a.train.parquet"), "no parquet").unwrap();
        assert!(run(&empty).to_string().contains("a.train.parquet"));
        std::fs::remove_dir_all(&empty).unwrap();
    }
}
