//! `nab`: the Numenta Anomaly Benchmark, fed in order to the detector that runs live.
//!
//! All files of a folder make one row a metric; the summary holds the figures over all files, which is how NAB counts
//! (one threshold for all). The threshold of the swept figure is picked with the labels, as NAB does; the label-free
//! one is the detector's own default.

use std::{collections::BTreeMap, path::Path};

use math::stream::{SURPRISE_DEFAULT, Watch};
use serde_json::{Value, json};

use crate::{
    Problem, Protocol, Report, Row, Run, baselines, data,
    metrics::{
        nab::{Profile, Scored, at_threshold, labelled, probation, swept},
        ranking::auc_pr,
    },
    predictions::score,
    report::round,
};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "nab",
    summary: "NAB: streaming anomaly detection on real series, swept as NAB does and at the label-free threshold",
    layout: "nab/data/FOLDER/*.csv, nab/labels/combined_windows.json, nab/config/profiles.json",
    run,
};

/// Standard, low FP, low FN and AUC-PR of published detectors on 35 of the 58 files, scored from their published raw
/// results with one threshold for these files.
const PUBLISHED: [(&str, [f64; 4]); 4] = [
    ("ARTime", [67.8, 57.8, 73.7, 0.102]),
    ("HTM", [66.6, 60.8, 71.1, 0.200]),
    ("CAD OSE", [62.2, 57.1, 66.3, 0.128]),
    ("RCF", [49.5, 38.2, 56.0, 0.241]),
];
/// The same, where only the standard figure is known.
const PUBLISHED_STANDARD: [(&str, f64); 5] = [
    ("KNN-CAD", 53.0),
    ("relative entropy", 50.0),
    ("Skyline (earthgecko)", 47.5),
    ("Twitter ADVec", 36.2),
    ("windowed Gaussian", 22.0),
];
const PROFILES: [(&str, &str); 3] =
    [("standard", "standard"), ("low FP", "reward_low_FP_rate"), ("low FN", "reward_low_FN_rate")];

struct File {
    folder: String,
    name: String,
    timestamps: Vec<String>,
    values: Vec<f64>,
    windows: Vec<(usize, usize)>,
}

/// Scores of one method over all files.
type Method = Vec<Scored>;

fn run(run: &Run) -> Result<Report, Problem> {
    let root = run.data.join("nab");
    let profiles = read_profiles(&root)?;
    let files = read_files(&root)?;
    let results = run.each(&files, |file| Ok(detect(file)))?;
    for (file, (scores, _)) in files.iter().zip(&results) {
        let rows = file.timestamps.iter().zip(scores).map(|(t, s)| vec![t.clone(), s.to_string()]);
        run.predict(&format!("nab/{}/{}", file.folder, file.name), &["timestamp", "score"], rows)?;
    }
    let scored = |of: &dyn Fn(usize, &File) -> Vec<f64>| -> Method {
        files.iter().enumerate().map(|(i, f)| Scored { scores: of(i, f), windows: f.windows.clone() }).collect()
    };
    let ours = scored(&|i, _| results[i].0.clone());
    let trivial: Vec<(&str, Method)> = vec![
        ("random", scored(&|i, f| baselines::random(f.values.len(), i as u64 + 1))),
        ("row index", scored(&|_, f| baselines::row_index(f.values.len()))),
        ("max |z|", scored(&|_, f| baselines::max_abs_z(std::slice::from_ref(&f.values), probation(f.values.len())))),
        ("flag everything", scored(&|_, f| vec![1.0; f.values.len()])),
    ];
    let cpu: Vec<f64> = results.iter().map(|(_, cpu_s)| *cpu_s).collect();
    let mut report = Report::new(PROTOCOL.name);
    add_folders(&mut report, &files, &profiles, &ours, &trivial, &cpu);
    add_all(&mut report, &profiles, &ours, &trivial, &cpu);
    report.summary.insert("files".into(), json!(files.len()));
    report.summary.insert("windows".into(), json!(files.iter().map(|f| f.windows.len()).sum::<usize>()));
    report.summary.insert("label-free threshold".into(), json!(round(score(f64::from(SURPRISE_DEFAULT)))));
    add_published(&mut report);
    Ok(report)
}

/// The score of each point as the live detector gives it, before it sees the next.
fn detect(file: &File) -> Vec<f64> {
    let mut watch = Watch::default();
    let points = file.timestamps.iter().zip(&file.values);
    points
        .map(|(stamp, value)| match seconds(stamp) {
            Some(time_s) => score(f64::from(watch.observe(time_s * 1_000_000_000, *value).surprise)),
            None => 0.0,
        })
        .collect()
}

/// One row a folder and metric: one threshold serves the files of the folder.
fn add_folders(
    report: &mut Report,
    files: &[File],
    profiles: &[(&'static str, Profile)],
    ours: &Method,
    trivial: &[(&str, Method)],
    cpu: &[f64],
) {
    let mut folders: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, file) in files.iter().enumerate() {
        folders.entry(&file.folder).or_default().push(i);
    }
    for (folder, members) in folders {
        if members.iter().all(|i| files[*i].windows.is_empty()) {
            continue;
        }
        let part = |method: &Method| -> Method { members.iter().map(|i| method[*i].clone()).collect() };
        let trivial: Vec<(&str, Method)> = trivial.iter().map(|(name, m)| (*name, part(m))).collect();
        let cpu: f64 = members.iter().map(|i| cpu[*i]).sum();
        add_rows(report, folder, profiles, &part(ours), &trivial, cpu);
    }
}

fn add_all(
    report: &mut Report,
    profiles: &[(&'static str, Profile)],
    ours: &Method,
    trivial: &[(&str, Method)],
    cpu: &[f64],
) {
    let before = report.rows.len();
    add_rows(report, "all files", profiles, ours, trivial, cpu.iter().sum());
    for row in &report.rows[before..] {
        report.summary.insert(row.metric.clone(), json!(round(row.ours)));
    }
}

fn add_rows(
    report: &mut Report,
    name: &str,
    profiles: &[(&'static str, Profile)],
    ours: &Method,
    trivial: &[(&str, Method)],
    cpu_s: f64,
) {
    let mut add = |metric: String, of: &dyn Fn(&Method) -> f64| {
        let row = Row::new(name, &metric, of(ours), cpu_s);
        report.rows.push(trivial.iter().fold(row, |row, (name, method)| row.baseline(name, of(method))));
    };
    for (title, profile) in profiles {
        add(format!("NAB {title} (threshold swept on the labels)"), &|m| swept(m, *profile).0);
    }
    add("AUC-PR".into(), &average_precision);
    let threshold = score(f64::from(SURPRISE_DEFAULT));
    for (title, profile) in profiles {
        let row = Row::new(name, &format!("NAB {title} (label-free)"), at_threshold(ours, *profile, threshold), cpu_s);
        let everything = trivial.iter().find(|(n, _)| *n == "flag everything");
        report.rows.push(everything.into_iter().fold(row, |r, (n, m)| r.baseline(n, at_threshold(m, *profile, 0.0))));
    }
}

/// Mean over the files that have a window, of average precision over the rows that count.
fn average_precision(method: &Method) -> f64 {
    let each = method.iter().map(|file| {
        let (scores, labels) = labelled(file);
        auc_pr(&scores, &labels)
    });
    let known: Vec<f64> = each.filter(|v| v.is_finite()).collect();
    known.iter().sum::<f64>() / known.len() as f64
}

fn add_published(report: &mut Report) {
    let full = PUBLISHED
        .map(|(name, [s, fp, fn_, area])| (name, json!({"standard": s, "low FP": fp, "low FN": fn_, "AUC-PR": area})));
    let short = PUBLISHED_STANDARD.map(|(name, standard)| (name, json!({"standard": standard})));
    let all = full.into_iter().chain(short).map(|(name, figures)| (name.to_owned(), figures));
    report.summary.insert("published, on 35 of the 58 files".into(), Value::Object(all.collect()));
}

fn read_profiles(root: &Path) -> Result<Vec<(&'static str, Profile)>, Problem> {
    let path = root.join("config/profiles.json");
    let expected = "NAB's cost profiles, {\"standard\": {\"CostMatrix\": {\"tpWeight\": …}}, …}";
    let all = data::json(&path, expected)?;
    let read = |(title, key): (&'static str, &str)| {
        let weight = |name: &str| all[key]["CostMatrix"][name].as_f64();
        match (weight("tpWeight"), weight("fnWeight"), weight("fpWeight")) {
            (Some(true_positive), Some(false_negative), Some(false_positive)) => {
                Ok((title, Profile { true_positive, false_negative, false_positive }))
            }
            _ => Err(Problem::new(&path, format!("no weights under {key:?}"), expected)),
        }
    };
    PROFILES.into_iter().map(read).collect()
}

/// Every file that is there and whose windows are known.
fn read_files(root: &Path) -> Result<Vec<File>, Problem> {
    let labels_path = root.join("labels/combined_windows.json");
    let labels = data::json(&labels_path, "{\"FOLDER/FILE.csv\": [[first timestamp, last timestamp], …], …}")?;
    let mut files = Vec::new();
    let folder_path = root.join("data");
    for folder in data::list(&folder_path, "folders of CSV files", |name| folder_path.join(name).is_dir())? {
        let path = folder_path.join(&folder);
        for name in data::list(&path, "CSV files of timestamp,value", |name| name.ends_with(".csv"))? {
            if let Some(windows) = labels[format!("{folder}/{name}")].as_array() {
                files.push(read_file(&path.join(&name), &folder, &name, windows)?);
            }
        }
    }
    if files.is_empty() {
        return Err(Problem::new(labels_path, "no windows for any file below data", PROTOCOL.layout));
    }
    Ok(files)
}

fn read_file(path: &Path, folder: &str, name: &str, windows: &[Value]) -> Result<File, Problem> {
    let expected = "a line timestamp,value and then one row a point, as 2014-04-01 00:00:00,20.0";
    let rows = data::rows(path, b',', expected)?;
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    for (line, row) in rows.iter().enumerate().skip(1) {
        values.push(data::number(path, line + 1, row, 1, expected)?);
        if seconds(&row[0]).is_none() {
            return Err(Problem::new(path, format!("line {}: {:?} is not a timestamp", line + 1, row[0]), expected));
        }
        timestamps.push(row[0].clone());
    }
    let row_of = |stamp: Option<&str>| -> Result<usize, Problem> {
        let time_s = stamp.and_then(seconds);
        let row = timestamps.iter().position(|t| time_s.is_some() && seconds(t) == time_s);
        row.ok_or_else(|| Problem::new(path, format!("no row at {stamp:?}, where a window begins or ends"), expected))
    };
    let window = |w: &Value| Ok((row_of(w[0].as_str())?, row_of(w[1].as_str())?));
    let mut windows = windows.iter().map(window).collect::<Result<Vec<_>, Problem>>()?;
    windows.sort_unstable();
    Ok(File { folder: folder.to_owned(), name: name.to_owned(), timestamps, values, windows })
}

/// Seconds since 1970 of `2014-04-01 00:00:00`, fractions left out.
fn seconds(stamp: &str) -> Option<i64> {
    let part = |from: usize, to: usize| stamp.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    // Days from civil, with the year beginning in March (Hinnant).
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_run(data: &Path) -> Result<Report, Problem> {
        run(&Run { data, predictions: None, progress: &|_, _| {} })
    }

    #[test]
    fn a_folder_that_is_not_there_or_malformed_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(try_run(folder.path()).unwrap_err().to_string().contains("profiles.json"));
        write_small(folder.path(), "2014-04-01 00:00:00,x\n");
        let problem = try_run(folder.path()).unwrap_err().to_string();
        assert!(
            problem.contains("a.csv") && problem.contains("line 2") && problem.contains("not a number"),
            "{problem}"
        );
    }

    #[test]
    fn what_is_there_is_run() {
        let folder = tempfile::tempdir().unwrap();
        let rows = (0..600).map(|i| {
            let value = if i == 500 { 1000.0 } else { f64::from(i % 7) };
            format!("2014-04-{:02} {:02}:{:02}:00,{value}\n", 1 + i / 288, i / 12 % 24, i % 12 * 5)
        });
        write_small(folder.path(), &rows.collect::<String>());
        let report = try_run(folder.path()).unwrap();
        assert_eq!(report.summary["files"], json!(1));
        let standard = report.rows.iter().find(|r| r.name == "all files").unwrap();
        assert!(standard.ours > 80.0, "{report:?}");
    }

    fn write_small(root: &Path, rows: &str) {
        let write = |path: &str, text: &str| {
            let path = root.join("nab").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let weights = r#"{"CostMatrix": {"tpWeight": 1.0, "fnWeight": 1.0, "fpWeight": 0.11}}"#;
        write(
            "config/profiles.json",
            &format!(r#"{{"standard": {weights}, "reward_low_FP_rate": {weights}, "reward_low_FN_rate": {weights}}}"#),
        );
        let window = r#"[["2014-04-02 17:00:00.000000", "2014-04-02 18:00:00.000000"]]"#;
        write("labels/combined_windows.json", &format!(r#"{{"x/a.csv": {window}, "x/absent.csv": {window}}}"#));
        write("data/x/a.csv", &format!("timestamp,value\n{rows}"));
    }

    #[test]
    fn timestamps_are_read() {
        assert_eq!(seconds("1970-01-01 00:00:00"), Some(0));
        assert_eq!(seconds("2014-04-01 00:00:00.000000"), Some(1_396_310_400));
        assert_eq!(seconds("no time"), None);
    }
}
