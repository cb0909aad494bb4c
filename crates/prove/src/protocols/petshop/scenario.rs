//! Reading a scenario: its graph, its healthy days and its issues.

use std::{collections::BTreeMap, path::Path};

use analyze::cause::localize::{Measure, Series};

use super::PROTOCOL;
use crate::{Problem, data};

/// Node (an index), metric, statistic.
pub type Key = (usize, String, String);

/// One scenario.
pub struct Scenario {
    pub name: String,
    pub nodes: Vec<String>,
    pub calls: Vec<(usize, usize)>,
    pub healthy: Metrics,
    pub issues: Vec<Issue>,
}

/// One fault.
pub struct Issue {
    pub name: String,
    pub split: String,
    pub metrics: Metrics,
    pub target: Target,
}

/// What alarmed, and why.
#[derive(Clone)]
pub struct Target {
    pub node: usize,
    pub metric: String,
    pub statistic: String,
    /// Seconds.
    pub time: f64,
    pub cause: Option<usize>,
}

/// A table of metrics.
pub struct Metrics {
    /// Seconds, rising.
    pub times: Vec<f64>,
    pub columns: BTreeMap<Key, Vec<f64>>,
}

/// One series with its past.
pub struct Column<'a> {
    pub key: &'a Key,
    /// Metric and statistic.
    pub name: String,
    measure: Measure,
    before: Vec<f64>,
    within: Vec<f64>,
}

impl Scenario {
    /// `None` where there are no healthy metrics.
    pub fn read(folder: &Path, name: &str) -> Result<Option<Scenario>, Problem> {
        let healthy = folder.join("noissue/metrics.csv");
        if !healthy.is_file() {
            return Ok(None);
        }
        let mut nodes = Vec::new();
        let calls = calls(&folder.join("graph.csv"), &mut nodes)?;
        let healthy = Metrics::read(&healthy, &mut nodes)?;
        let mut scenario = Scenario { name: name.to_owned(), nodes, calls, healthy, issues: Vec::new() };
        let is_split = |split: &str| split != "noissue" && folder.join(split).is_dir();
        for split in data::list(folder, PROTOCOL.layout, is_split)? {
            scenario.read_split(&folder.join(&split), &split)?;
        }
        Ok(Some(scenario))
    }

    fn read_split(&mut self, folder: &Path, split: &str) -> Result<(), Problem> {
        for name in data::list(folder, PROTOCOL.layout, |name| folder.join(name).join("target.json").is_file())? {
            let metrics = Metrics::read(&folder.join(&name).join("metrics.csv"), &mut self.nodes)?;
            let target = Target::read(&folder.join(&name).join("target.json"), &mut self.nodes)?;
            let name = format!("{}/{split}/{name}", self.name);
            self.issues.push(Issue { name, split: split.to_owned(), metrics, target });
        }
        Ok(())
    }
}

/// Who calls whom: a line a caller, a column each that is called, not 0 where it does.
fn calls(path: &Path, nodes: &mut Vec<String>) -> Result<Vec<(usize, usize)>, Problem> {
    let rows = data::rows(path, b',', PROTOCOL.layout)?;
    let called: Vec<usize> = rows[0].iter().skip(1).map(|name| index(nodes, name)).collect();
    let mut calls = Vec::new();
    for (line, row) in rows.iter().enumerate().skip(1) {
        let caller = index(nodes, &row[0]);
        for (column, called) in called.iter().enumerate() {
            let value = data::number(path, line + 1, row, column + 1, PROTOCOL.layout)?;
            if value != 0.0 && !value.is_nan() {
                calls.push((caller, *called));
            }
        }
    }
    Ok(calls)
}

fn index(nodes: &mut Vec<String>, name: &str) -> usize {
    nodes.iter().position(|n| n == name).unwrap_or_else(|| {
        nodes.push(name.to_owned());
        nodes.len() - 1
    })
}

impl Target {
    fn read(path: &Path, nodes: &mut Vec<String>) -> Result<Target, Problem> {
        let json = data::json(path, PROTOCOL.layout)?;
        let text = |at: &str| {
            let found = json.pointer(at).and_then(|v| v.as_str());
            found.ok_or_else(|| Problem::new(path, format!("no text at {at}"), PROTOCOL.layout))
        };
        let time = json.pointer("/target/timestamp").and_then(serde_json::Value::as_f64);
        let time = time.ok_or_else(|| Problem::new(path, "no number at /target/timestamp", PROTOCOL.layout))?;
        Ok(Target {
            node: index(nodes, text("/target/node")?),
            metric: text("/target/metric")?.to_owned(),
            statistic: text("/target/agg")?.to_owned(),
            time,
            cause: Some(index(nodes, text("/root_cause/node")?)),
        })
    }
}

impl Metrics {
    fn read(path: &Path, nodes: &mut Vec<String>) -> Result<Metrics, Problem> {
        let rows = data::rows(path, b',', PROTOCOL.layout)?;
        let [node, metric, statistic, ..] = &rows[..] else {
            return Err(Problem::new(path, "less than three lines of header", PROTOCOL.layout));
        };
        let width = node.len().min(metric.len()).min(statistic.len());
        let is_data = |row: &&Vec<String>| row[0].trim().parse::<f64>().is_ok();
        let lines: Vec<(usize, &Vec<String>)> =
            rows.iter().enumerate().skip(3).filter(|(_, row)| is_data(row)).collect();
        if lines.is_empty() {
            return Err(Problem::new(path, "no line that begins with a time", PROTOCOL.layout));
        }
        let value = |line: usize, row: &[String], column| data::number(path, line + 1, row, column, PROTOCOL.layout);
        let times: Result<Vec<f64>, Problem> = lines.iter().map(|(line, row)| value(*line, row, 0)).collect();
        let mut columns = BTreeMap::new();
        for column in 1..width {
            let values: Result<Vec<f64>, Problem> = lines.iter().map(|(line, row)| value(*line, row, column)).collect();
            let key = (index(nodes, &node[column]), metric[column].clone(), statistic[column].clone());
            columns.insert(key, values?);
        }
        Ok(Metrics { times: times?, columns })
    }
}

/// All series of a stretch with their past; each stretch is a table and its steps, from and to.
pub fn columns<'a>(past: (&Metrics, usize, usize), now: (&'a Metrics, usize, usize)) -> Vec<Column<'a>> {
    let column = |(key, values): (&'a Key, &Vec<f64>)| {
        let measure = measure(&key.1);
        // Availability is a percentage of what did not fail.
        let judged = |v: &f64| if key.1 == "availability" { 1.0 - v / 100.0 } else { *v };
        let before = past.0.columns.get(key).map_or(&[][..], |values| &values[past.1..past.2]);
        Column {
            key,
            name: format!("{} {}", key.1, key.2),
            measure,
            before: before.iter().map(judged).collect(),
            within: values[now.1..now.2].iter().map(judged).collect(),
        }
    };
    now.0.columns.iter().map(column).collect()
}

fn measure(metric: &str) -> Measure {
    match metric {
        "latency" => Measure::Latency,
        "availability" => Measure::Errors,
        "requests" => Measure::Requests,
        _ => Measure::Other,
    }
}

impl Column<'_> {
    /// Whether it is the one that alarmed.
    pub fn is(&self, target: &Target) -> bool {
        self.key.0 == target.node && self.key.1 == target.metric && self.key.2 == target.statistic
    }

    /// As the method takes it.
    pub fn series(&self) -> Series<'_> {
        Series {
            entity: self.key.0,
            name: &self.name,
            measure: self.measure,
            before: &self.before,
            within: &self.within,
        }
    }
}
