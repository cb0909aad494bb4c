//! `log-anomaly`: sessions of log events held against normal ones.
//!
//! Learned on `train_normal_only.tsv`, judged on `test.tsv`; the threshold is a false-alarm budget of one normal session
//! in a thousand and sees no label. A second row adds the abnormal sessions of `train_with_anomalies.tsv` where that file
//! is there. About half of the abnormal sessions of HDFS_100k are equal to normal ones event by event, which bounds F1.

use std::collections::BTreeSet;

use math::sessions::Normal;

use crate::{
    Problem, Protocol, Report, Row, Run, baselines, data, metrics::ranking::auc_pr, predictions, workers::timed,
};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "log-anomaly",
    summary: "abnormal sessions of logs at a threshold fixed on normal sessions: F1, AUC-PR",
    layout: "log_anomaly/SET/{train_normal_only,test}.tsv with columns session, label (0 or 1) and events",
    run,
};

/// -log10 of the share of normal sessions that may be flagged.
const BUDGET: f64 = 3.0;

struct Session {
    name: String,
    is_abnormal: bool,
    events: Vec<u32>,
}

fn run(run: &Run) -> Result<Report, Problem> {
    let folder = run.data.join("log_anomaly");
    let is_set = |name: &str| folder.join(name).join("train_normal_only.tsv").is_file();
    let sets = data::list(&folder, PROTOCOL.layout, is_set)?;
    let mut report = Report::new(PROTOCOL.name);
    for rows in run.each(&sets, |set| one(run, set))? {
        report.rows.extend(rows.0);
    }
    report.rows.sort_by_key(|row| row.metric != "F1");
    report.summarise_means();
    report.summary.insert("threshold".into(), "one normal session in a thousand".into());
    Ok(report)
}

fn one(run: &Run, set: &str) -> Result<Vec<Row>, Problem> {
    let folder = run.data.join("log_anomaly").join(set);
    let train = sessions(&folder.join("train_normal_only.tsv"))?;
    let mut test = sessions(&folder.join("test.tsv"))?;
    let mut normal = Normal::default();
    train.iter().filter(|s| !s.is_abnormal).for_each(|s| normal.learn(&s.events));
    let (verdicts, _) = timed(|| test.iter().map(|s| normal.judge(&s.events).surprise).collect::<Vec<f64>>());
    let written = test.iter().zip(&verdicts).map(|(session, surprise)| {
        let flag = u8::from(*surprise >= BUDGET).to_string();
        vec![session.name.clone(), predictions::score(*surprise).to_string(), flag]
    });
    run.predict(&format!("log-anomaly/{set}.csv"), &["session", "score", "flag"], written)?;
    let mut rows = judge(&format!("{set}, test"), &train, &normal, &test);
    let mixed = folder.join("train_with_anomalies.tsv");
    if mixed.is_file() {
        test.extend(sessions(&mixed)?.into_iter().filter(|s| s.is_abnormal));
        rows.extend(judge(&format!("{set}, all abnormal"), &train, &normal, &test));
    }
    Ok(rows)
}

fn judge(name: &str, train: &[Session], normal: &Normal, test: &[Session]) -> Vec<Row> {
    let labels: Vec<bool> = test.iter().map(|s| s.is_abnormal).collect();
    let (scores, cpu_s) = timed(|| test.iter().map(|s| normal.judge(&s.events).surprise).collect::<Vec<f64>>());
    let vector = |session: &Session| {
        let mut events = session.events.clone();
        events.sort_unstable();
        events
    };
    let known: BTreeSet<Vec<u32>> = train.iter().map(vector).collect();
    let lengths: BTreeSet<usize> = train.iter().map(|s| s.events.len()).collect();
    let as_score = |flags: Vec<bool>| flags.into_iter().map(|f| f64::from(u8::from(f))).collect::<Vec<f64>>();
    let peers = [
        ("count vectors", as_score(test.iter().map(|s| !known.contains(&vector(s))).collect())),
        ("new length", as_score(test.iter().map(|s| !lengths.contains(&s.events.len())).collect())),
        ("all", vec![1.0; test.len()]),
        ("random", baselines::random(test.len(), 1)),
    ];
    let mut f = Row::new(name, "F1", f1(&scores, BUDGET, &labels), cpu_s);
    let mut area = Row::new(name, "AUC-PR", auc_pr(&scores, &labels), 0.0);
    for (peer, scores) in peers {
        f = f.baseline(peer, f1(&scores, 0.5, &labels));
        area = area.baseline(peer, auc_pr(&scores, &labels));
    }
    vec![f, area]
}

/// F1 of the sessions at or above a threshold; 0 where none is right.
fn f1(scores: &[f64], threshold: f64, labels: &[bool]) -> f64 {
    let flagged = scores.iter().filter(|s| **s >= threshold).count();
    let right = scores.iter().zip(labels).filter(|(s, label)| **s >= threshold && **label).count();
    let abnormal = labels.iter().filter(|label| **label).count();
    2.0 * right as f64 / (flagged + abnormal).max(1) as f64
}

fn sessions(path: &std::path::Path) -> Result<Vec<Session>, Problem> {
    let rows = data::rows(path, b'\t', PROTOCOL.layout)?;
    let parse = |(line, row): (usize, Vec<String>)| {
        let wrong = |what: &str| Problem::new(path, format!("line {}: {what}", line + 1), PROTOCOL.layout);
        let [name, label, events, ..] = &row[..] else { return Err(wrong("less than three columns")) };
        let events: Result<Vec<u32>, _> = events.split_ascii_whitespace().map(str::parse).collect();
        let is_abnormal = match label.as_str() {
            "0" => false,
            "1" => true,
            _ => return Err(wrong("a label that is neither 0 nor 1")),
        };
        Ok(Session {
            name: name.clone(),
            is_abnormal,
            events: events.map_err(|_| wrong("an event that is no number"))?,
        })
    };
    rows.into_iter().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_set_by_hand_and_a_broken_one() {
        let folder = tempfile::tempdir().unwrap();
        let run_it = || run(&Run { data: folder.path(), predictions: Some(folder.path()), progress: &|_, _| {} });
        assert!(run_it().unwrap_err().to_string().contains("log_anomaly"));
        let set = folder.path().join("log_anomaly/tiny");
        std::fs::create_dir_all(&set).unwrap();
        std::fs::write(set.join("train_normal_only.tsv"), "n\t0\t1 2\n".repeat(2000)).unwrap();
        std::fs::write(set.join("test.tsv"), "a\t0\t2 1\nb\t1\t1\nc\t1\t1 2\n").unwrap();
        let report = run_it().unwrap();
        // One of two abnormal sessions found, no false one.
        assert!((report.rows[0].ours - 2.0 / 3.0).abs() < 1e-12);
        let written = std::fs::read_to_string(folder.path().join("log-anomaly/tiny.csv")).unwrap();
        assert!(written.starts_with("session,score,flag\na,0,0\nb,0.7"), "{written}");
        std::fs::write(set.join("test.tsv"), "a\tx\t2 1\n").unwrap();
        assert!(run_it().unwrap_err().to_string().contains("neither 0 nor 1"));
    }
}
