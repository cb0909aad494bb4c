//! Reading a scenario: its graph, its healthy days and its issues.

use std::{collections::BTreeMap, path::Path};

use analyze::cause::localize::{Measure, Series};

use super::PROTOCOL;
use crate::{Problem, data};

/// The metric that is the share of requests that did not fail, in percent.
const AVAILABILITY: &str = "availability";

/// One scenario.
pub struct Scenario {
    pub name: String,
    /// Names; everything else names nodes by their index.
    pub nodes: Vec<String>,
    /// Caller and called.
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
    pub truth: Truth,
}

/// What alarmed.
#[derive(Clone)]
pub struct Target {
    pub node: usize,
    pub metric: String,
    pub statistic: String,
    /// Seconds.
    pub time: f64,
}

/// Where the fault was, and in which metric, if that is said.
#[derive(Clone)]
pub struct Truth {
    pub node: usize,
    pub metric: Option<String>,
}

/// A table of metrics.
pub struct Metrics {
    /// When each step begins, in seconds, rising.
    pub times: Vec<f64>,
    /// By node, metric and statistic.
    columns: BTreeMap<Key, Vec<f64>>,
}

type Key = (usize, String, String);

/// Steps of a table.
#[derive(Clone, Copy)]
pub struct Stretch<'a> {
    pub of: &'a Metrics,
    pub from: usize,
    pub to: usize,
}

/// One series with its past.
pub struct Column<'a> {
    key: &'a Key,
    name: String,
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
        for split in data::list(folder, PROTOCOL.layout, |split| folder.join(split).is_dir())? {
            scenario.read_split(&folder.join(&split), &split)?;
        }
        if scenario.issues.is_empty() {
            return Err(Problem::new(folder, "no issue with a target.json", PROTOCOL.layout));
        }
        Ok(Some(scenario))
    }

    fn read_split(&mut self, folder: &Path, split: &str) -> Result<(), Problem> {
        let is_issue = |name: &str| folder.join(name).join("target.json").is_file();
        for issue in data::list(folder, PROTOCOL.layout, |_| true).unwrap_or_default() {
            if is_issue(&issue) {
                let at = folder.join(&issue);
                let (target, truth) = target(&at.join("target.json"), &mut self.nodes)?;
                let metrics = Metrics::read(&at.join("metrics.csv"), &mut self.nodes)?;
                let name = format!("{}/{split}/{issue}", self.name);
                self.issues.push(Issue { name, split: split.to_owned(), metrics, target, truth });
            }
        }
        Ok(())
    }
}

/// Who calls whom: a line a caller, a column each that may be called, not 0 where it is.
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

fn target(path: &Path, nodes: &mut Vec<String>) -> Result<(Target, Truth), Problem> {
    let json = data::json(path, PROTOCOL.layout)?;
    let no = |what: &str, at: &str| Problem::new(path, format!("no {what} at {at}"), PROTOCOL.layout);
    let text = |at: &str| json.pointer(at).and_then(|v| v.as_str()).ok_or_else(|| no("text", at));
    let time = json.pointer("/target/timestamp").and_then(serde_json::Value::as_f64);
    let target = Target {
        time: time.ok_or_else(|| no("number", "/target/timestamp"))?,
        node: index(nodes, text("/target/node")?),
        metric: text("/target/metric")?.to_owned(),
        statistic: text("/target/agg")?.to_owned(),
    };
    let metric = json.pointer("/root_cause/metric").and_then(|v| v.as_str()).map(str::to_owned);
    Ok((target, Truth { node: index(nodes, text("/root_cause/node")?), metric }))
}

/// Index of a node, which is added where it is new.
fn index(nodes: &mut Vec<String>, name: &str) -> usize {
    nodes.iter().position(|n| n == name).unwrap_or_else(|| {
        nodes.push(name.to_owned());
        nodes.len() - 1
    })
}

impl Metrics {
    fn read(path: &Path, nodes: &mut Vec<String>) -> Result<Metrics, Problem> {
        let rows = data::rows(path, b',', PROTOCOL.layout)?;
        let [node, metric, statistic, ..] = &rows[..] else {
            return Err(Problem::new(path, "less than three lines of header", PROTOCOL.layout));
        };
        let has_time = |row: &[String]| row[0].trim().parse::<f64>().is_ok();
        let lines = rows.iter().enumerate().skip(3).filter(|(_, row)| has_time(row));
        let lines: Vec<(usize, &Vec<String>)> = lines.collect();
        if lines.is_empty() {
            return Err(Problem::new(path, "no line that begins with a time", PROTOCOL.layout));
        }
        let values = |column: usize| -> Result<Vec<f64>, Problem> {
            lines.iter().map(|(line, row)| data::number(path, line + 1, row, column, PROTOCOL.layout)).collect()
        };
        let mut columns = BTreeMap::new();
        for column in 1..node.len().min(metric.len()).min(statistic.len()) {
            let key = (index(nodes, &node[column]), metric[column].clone(), statistic[column].clone());
            columns.insert(key, values(column)?);
        }
        Ok(Metrics { times: values(0)?, columns })
    }
}

/// All series of a stretch with their past. They come by name, and so the average before percentiles.
pub fn columns<'a>(before: Stretch, within: Stretch<'a>) -> Vec<Column<'a>> {
    let column = |(key, values): (&'a Key, &Vec<f64>)| {
        // Availability enters as the share of requests that failed.
        let judged = |v: &f64| if key.1 == AVAILABILITY { 1.0 - v / 100.0 } else { *v };
        let past = before.of.columns.get(key).map_or(&[][..], |values| &values[before.from..before.to]);
        Column {
            key,
            name: format!("{} {}", if key.1 == AVAILABILITY { "unavailability" } else { &key.1 }, key.2),
            before: past.iter().map(judged).collect(),
            within: values[within.from..within.to].iter().map(judged).collect(),
        }
    };
    within.of.columns.iter().map(column).collect()
}

impl Column<'_> {
    /// The metric's name.
    pub fn metric(&self) -> &str {
        &self.key.1
    }

    /// Whether it is the one that alarmed.
    pub fn is(&self, target: &Target) -> bool {
        self.key.0 == target.node && self.key.1 == target.metric && self.key.2 == target.statistic
    }

    /// As the method takes it.
    pub fn series(&self) -> Series<'_> {
        let measure = match self.metric() {
            "latency" => Measure::Latency,
            AVAILABILITY => Measure::Errors,
            "requests" => Measure::Requests,
            _ => Measure::Other,
        };
        Series { entity: self.key.0, name: &self.name, measure, before: &self.before, within: &self.within }
    }
}
