//! What a protocol reports.

use std::collections::BTreeMap;

use serde::Serialize;

/// The outcome of a protocol.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Its name.
    pub protocol: String,
    /// One row an item (or group of items) and metric.
    pub rows: Vec<Row>,
    /// Figures over all rows, by name: means, totals, notes on what was left out.
    pub summary: BTreeMap<String, serde_json::Value>,
}

/// One figure with what it is compared to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// Series, system, set.
    pub name: String,
    /// The metric's name.
    pub metric: String,
    /// Ours.
    pub ours: f64,
    /// Trivial baselines, computed here.
    pub baselines: BTreeMap<String, f64>,
    /// Published figures of others on the very same row.
    pub published: BTreeMap<String, f64>,
    /// CPU seconds of our method on this row's data; 0 where another row of the same item has it.
    pub cpu_s: f64,
}

impl Row {
    /// A row without comparisons.
    pub fn new(name: impl Into<String>, metric: &str, ours: f64, cpu_s: f64) -> Row {
        Row { name: name.into(), metric: metric.to_owned(), ours, cpu_s, ..Row::default() }
    }

    /// Adds a trivial baseline.
    pub fn baseline(mut self, name: &str, value: f64) -> Row {
        self.baselines.insert(name.to_owned(), value);
        self
    }

    /// Adds a published figure.
    pub fn published(mut self, name: &str, value: f64) -> Row {
        self.published.insert(name.to_owned(), value);
        self
    }
}

impl Report {
    /// An empty report.
    pub fn new(protocol: &str) -> Report {
        Report { protocol: protocol.to_owned(), ..Report::default() }
    }

    /// Adds to the summary, for each metric, the mean of ours, of each baseline and of each published method over
    /// the rows that have one (NaN left out).
    pub fn summarise_means(&mut self) {
        let mut metrics: BTreeMap<&str, BTreeMap<String, (f64, usize)>> = BTreeMap::new();
        for row in &self.rows {
            let sums = metrics.entry(&row.metric).or_default();
            let all = std::iter::once(("ours", row.ours))
                .chain(row.baselines.iter().map(|(n, v)| (n.as_str(), *v)))
                .chain(row.published.iter().map(|(n, v)| (n.as_str(), *v)));
            for (name, value) in all.filter(|(_, v)| v.is_finite()) {
                let sum = sums.entry(name.to_owned()).or_default();
                *sum = (sum.0 + value, sum.1 + 1);
            }
        }
        let means = metrics.into_iter().map(|(metric, sums)| {
            let means = sums.into_iter().map(|(n, (sum, count))| (n, serde_json::json!(round(sum / count as f64))));
            (format!("mean {metric}"), serde_json::Value::Object(means.collect()))
        });
        let means: Vec<_> = means.collect();
        self.summary.extend(means);
    }
}

/// To five digits after the point.
pub fn round(value: f64) -> f64 {
    (value * 1e5).round() / 1e5
}

impl Report {
    /// As a table for people: one line a row, one block a metric, the means below.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let mut metrics: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !metrics.contains(&row.metric.as_str()) {
                metrics.push(&row.metric);
            }
        }
        for metric in metrics {
            text += &self.render_metric(metric);
            text.push('\n');
        }
        for (name, value) in &self.summary {
            text += &format!("{name}: {}\n", plain(value));
        }
        text
    }

    fn render_metric(&self, metric: &str) -> String {
        let rows: Vec<&Row> = self.rows.iter().filter(|r| r.metric == metric).collect();
        let names = |of: fn(&Row) -> &BTreeMap<String, f64>| -> Vec<String> {
            let all: std::collections::BTreeSet<_> = rows.iter().flat_map(|r| of(r).keys().cloned()).collect();
            all.into_iter().collect()
        };
        let (baselines, published) = (names(|r| &r.baselines), best_first(&rows, names(|r| &r.published)));
        let mut lines = vec![vec![metric.to_owned(), "ours".to_owned()]];
        lines[0].extend(baselines.iter().cloned());
        lines[0].extend(published.iter().map(|n| format!("[{n}]")));
        lines[0].push("CPU s".into());
        for row in &rows {
            let mut line = vec![row.name.clone(), figure(Some(&row.ours))];
            line.extend(baselines.iter().map(|n| figure(row.baselines.get(n))));
            line.extend(published.iter().map(|n| figure(row.published.get(n))));
            line.push(format!("{:.2}", row.cpu_s));
            lines.push(line);
        }
        let width = |i: usize| lines.iter().map(|l| l[i].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
        let align = |line: &Vec<String>| -> String {
            let cells = line.iter().zip(&widths).enumerate();
            let cells = cells.map(|(i, (c, w))| if i == 0 { format!("{c:<w$}") } else { format!("{c:>w$}") });
            cells.collect::<Vec<_>>().join("  ") + "\n"
        };
        lines.iter().map(align).collect()
    }
}

/// Published methods at most in a printed table; the JSON has them all.
const PUBLISHED_SHOWN: usize = 4;

fn best_first(rows: &[&Row], mut names: Vec<String>) -> Vec<String> {
    let mean = |name: &String| {
        let values: Vec<f64> = rows.iter().filter_map(|r| r.published.get(name).copied()).collect();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    };
    names.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
    names.truncate(PUBLISHED_SHOWN);
    names
}

fn figure(value: Option<&f64>) -> String {
    match value {
        None => "-".into(),
        Some(v) if v.abs() >= 1000.0 => format!("{v:.0}"),
        Some(v) => format!("{v:.3}"),
    }
}

fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(map) => {
            map.iter().map(|(k, v)| format!("{k} {}", plain(v))).collect::<Vec<_>>().join(", ")
        }
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
