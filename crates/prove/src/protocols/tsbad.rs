//! `tsbad`: the offline methods on the series of TSB-AD that can be rebuilt (Liu and Paparrizos, NeurIPS 2024).
//!
//! The mapping names for each series the file of NAB, SMAP/MSL or SMD that it is made of. NAB's lack their first value,
//! and their labels are those of its windows, without a window's last point, by the row in the file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use math::{subsequence, symmetric};
use serde_json::json;

use crate::{
    Problem, Protocol, Report, Row, Run, baselines, data,
    metrics::ranking::{dominant_period, vus_pr},
    predictions::score,
    report::round,
    workers::timed,
};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "tsbad",
    summary: "TSB-AD: VUS-PR per series with the published methods on the same rows",
    layout: "tsb-ad/, and nab/ smap_msl/ smd/ that its mapping names",
    run,
};

/// A series that can be rebuilt from the folder.
struct Series {
    track: String,
    name: String,
    set: String,
    source: PathBuf,
    /// The one column that makes it, or all.
    column: Option<usize>,
    /// Points that the benchmark gives every method as usual.
    train: usize,
    published: BTreeMap<String, f64>,
}

fn run(run: &Run) -> Result<Report, Problem> {
    let (series, missing) = listed(run.data)?;
    let windows_at = run.data.join("nab/labels/combined_windows.json");
    let windows = match series.iter().any(|s| s.set == "NAB") {
        true => data::json(&windows_at, "NAB's windows by file")?,
        false => json!({}),
    };
    let done = run.each(&series, |series| series_rows(run, series, &windows))?;
    let mut report = Report::new(PROTOCOL.name);
    report.rows = done.into_iter().map(|(row, _)| row).collect();
    report.summarise_means();
    let wins = report.rows.iter().map(|r| r.metric.clone()).collect::<std::collections::BTreeSet<_>>();
    for metric in wins {
        let share = win_rates(report.rows.iter().filter(|r| r.metric == metric));
        report.summary.insert(format!("win rate {metric}"), share);
    }
    report.summary.insert("missing".into(), json!(missing));
    Ok(report)
}

fn series_rows(run: &Run, series: &Series, windows: &serde_json::Value) -> Result<Row, Problem> {
    let (columns, labels) = series.read(windows)?;
    let (surprise, cpu_s) = timed(|| {
        let scores = subsequence::discord_scores(&columns);
        subsequence::surprise_from_scores(&scores, series.train)
    });
    let usual = surprise[..series.train.min(surprise.len())].iter().copied().fold(0.0, f64::max);
    let rows = surprise
        .iter()
        .enumerate()
        .map(|(i, s)| vec![i.to_string(), score(*s).to_string(), u8::from(*s > usual).to_string()]);
    run.predict(&format!("tsbad/{}/{}.csv", series.set, series.name), &["index", "score", "flag"], rows)?;
    let window = dominant_period(&columns[0]);
    let volume = |scores: &[f64]| round(vus_pr(scores, &labels, window));
    let count = labels.len();
    let metric = format!("VUS-PR {}", series.track);
    let mut row = Row::new(&series.name, &metric, volume(&surprise), cpu_s)
        .baseline("random", volume(&baselines::random(count, 1)))
        .baseline("row index", volume(&baselines::row_index(count)))
        .baseline("max |z|", volume(&baselines::max_abs_z(&columns, series.train)));
    if let [values] = &columns[..] {
        row = row.baseline("Sub-PCA", volume(&sub_pca(values, window)));
    }
    row.published = series.published.clone();
    Ok(row)
}

/// For each published method the share of rows on which ours is better, a tie as half.
fn win_rates<'a>(rows: impl Iterator<Item = &'a Row>) -> serde_json::Value {
    let mut won: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for row in rows {
        for (name, value) in row.published.iter().filter(|(_, v)| v.is_finite()) {
            let share = won.entry(name).or_default();
            let win = if row.ours > *value { 1.0 } else { f64::from(u8::from(row.ours == *value)) / 2.0 };
            *share = (share.0 + win, share.1 + 1);
        }
    }
    won.into_iter().map(|(name, (sum, count))| (name.to_owned(), json!(round(sum / count as f64)))).collect()
}

/// Series whose data is there, and the names of those whose data is not.
fn listed(folder: &Path) -> Result<(Vec<Series>, Vec<String>), Problem> {
    const EXPECTED: &str = "columns track, file, ds, source and dim, a row for each series";
    let at = folder.join("tsb-ad/mapping_to_local_sources.csv");
    let rows = data::rows(&at, b',', EXPECTED)?;
    let column = |name: &str| {
        let found = rows[0].iter().position(|n| n == name);
        found.ok_or_else(|| Problem::new(&at, format!("no column {name}"), EXPECTED))
    };
    let (track, file, set) = (column("track")?, column("file")?, column("ds")?);
    let (source, dim) = (column("source")?, column("dim")?);
    let published = [
        ("U", published(&folder.join("tsb-ad/uni_VUS-PR_per_series.csv"))?),
        ("M", published(&folder.join("tsb-ad/multi_VUS-PR_per_series.csv"))?),
    ];
    let (mut series, mut missing) = (Vec::new(), Vec::new());
    for row in &rows[1..] {
        let field = |at: usize| row.get(at).map_or("", String::as_str);
        let one_column = field(dim).parse::<f64>().unwrap_or(-1.0);
        let of_many = field(set) != "NAB" && field(track) == "U";
        let from = source_of(folder, field(set), field(source)).filter(|path| path.exists());
        let train = field(file).split("_tr_").nth(1).and_then(|rest| rest.split('_').next()?.parse().ok());
        let (Some(from), Some(train), false) = (from, train, of_many && one_column < 0.0) else {
            missing.push(field(file).to_owned());
            continue;
        };
        let peers = published.iter().find(|(t, _)| *t == field(track)).and_then(|(_, all)| all.get(field(file)));
        series.push(Series {
            track: field(track).to_owned(),
            name: field(file).trim_end_matches(".csv").to_owned(),
            set: field(set).to_owned(),
            source: from,
            column: of_many.then_some(one_column.max(0.0) as usize),
            train,
            published: peers.cloned().unwrap_or_default(),
        });
    }
    if series.is_empty() {
        return Err(Problem::new(folder, "none of the series that the mapping names", PROTOCOL.layout));
    }
    Ok((series, missing))
}

fn source_of(folder: &Path, set: &str, source: &str) -> Option<PathBuf> {
    let stem = source.trim_start_matches("smd/").trim_end_matches(".npz");
    match set {
        _ if source.is_empty() => None,
        "NAB" => Some(folder.join("nab/data").join(source)),
        "MSL" | "SMAP" => Some(folder.join(format!("smap_msl/{stem}.test.parquet"))),
        "SMD" => Some(folder.join(format!("smd/{stem}.test.parquet"))),
        _ => None,
    }
}

/// Published figures by series and method; the columns after `ts_len` describe the series.
fn published(path: &Path) -> Result<BTreeMap<String, BTreeMap<String, f64>>, Problem> {
    const EXPECTED: &str = "a column file, then one for each method up to ts_len";
    let rows = data::rows(path, b',', EXPECTED)?;
    let end = rows[0].iter().position(|n| n == "ts_len").unwrap_or(rows[0].len());
    let mut found = BTreeMap::new();
    for (line, row) in rows.iter().enumerate().skip(1) {
        let mut figures = BTreeMap::new();
        for (column, method) in rows[0][..end].iter().enumerate().skip(1) {
            let value = data::number(path, line + 1, row, column, EXPECTED)?;
            figures.insert(method.clone(), value);
        }
        found.insert(row[0].clone(), figures);
    }
    Ok(found)
}

impl Series {
    fn read(&self, windows: &serde_json::Value) -> Result<(Vec<Vec<f64>>, Vec<bool>), Problem> {
        if self.set == "NAB" {
            return read_nab(&self.source, windows);
        }
        let expected = "columns d0, d1, … and label";
        let mut table = data::parquet_table(&self.source, expected)?;
        let labels = table.take("label").ok_or_else(|| Problem::new(&self.source, "no label", expected))?;
        let labels = labels.iter().map(|l| *l > 0.0).collect();
        let Some(column) = self.column else { return Ok((table.columns, labels)) };
        if column >= table.columns.len() {
            return Err(Problem::new(&self.source, format!("no column d{column}"), expected));
        }
        Ok((vec![table.columns.swap_remove(column)], labels))
    }
}

fn read_nab(path: &Path, windows: &serde_json::Value) -> Result<(Vec<Vec<f64>>, Vec<bool>), Problem> {
    const EXPECTED: &str = "timestamp,value with a header";
    let rows = data::rows(path, b',', EXPECTED)?;
    let name: PathBuf = path.iter().rev().take(2).collect::<Vec<_>>().into_iter().rev().collect();
    let of_file = windows.get(name.to_string_lossy().as_ref()).and_then(|w| w.as_array());
    let of_file = of_file.ok_or_else(|| Problem::new(path, "no windows for it", "labels/combined_windows.json"))?;
    let bound = |window: &serde_json::Value, i: usize| -> String {
        window[i].as_str().unwrap_or("").chars().take(19).collect()
    };
    let windows: Vec<(String, String)> = of_file.iter().map(|w| (bound(w, 0), bound(w, 1))).collect();
    let labelled = |row: &Vec<String>| windows.iter().any(|(start, end)| row[0] >= *start && row[0] < *end);
    let labels: Vec<bool> = rows[1..].iter().map(labelled).collect();
    let mut values = Vec::with_capacity(labels.len());
    for (line, row) in rows.iter().enumerate().skip(2) {
        values.push(data::number(path, line + 1, row, 1, EXPECTED)?);
    }
    let labels = labels[..values.len()].to_vec();
    Ok((vec![values], labels))
}

/// TSB-AD's Sub-PCA: windows with each position standardised; the sum over all principal axes of the distance of the
/// window from the axis's unit vector, over the axis's share of the variance. The small axes outweigh the rest, which
/// makes it nearly the length of the standardised window.
fn sub_pca(values: &[f64], window: usize) -> Vec<f64> {
    if values.len() <= window {
        return vec![0.0; values.len()];
    }
    let count = values.len() + 1 - window;
    let columns: Vec<Vec<f64>> = (0..window).map(|j| standardised(&values[j..j + count])).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let mut covariance = vec![vec![0.0; window]; window];
    for i in 0..window {
        for j in 0..=i {
            covariance[i][j] = dot(&columns[i], &columns[j]) / count as f64;
            covariance[j][i] = covariance[i][j];
        }
    }
    let (variances, axes) = symmetric::eigen(&covariance);
    let total: f64 = variances.iter().map(|v| v.max(0.0)).sum::<f64>().max(1e-300);
    let mut squares = vec![0.0; count];
    columns.iter().for_each(|c| squares.iter_mut().zip(c).for_each(|(s, v)| *s += v * v));
    let mut scores = vec![0.0; count];
    let mut along = vec![0.0; count];
    for (variance, axis) in variances.iter().zip(&axes) {
        along.fill(0.0);
        columns.iter().zip(axis).for_each(|(c, a)| along.iter_mut().zip(c).for_each(|(s, v)| *s += a * v));
        let largest = along.iter().copied().fold(0.0, |m: f64, a| if a.abs() > m.abs() { a } else { m });
        let weight = (variance / total).max(1e-16);
        for i in 0..count {
            scores[i] += (squares[i] + 1.0 - 2.0 * along[i] * largest.signum()).max(0.0).sqrt() / weight;
        }
    }
    let before = std::iter::repeat_n(scores[0], window / 2);
    let after = std::iter::repeat_n(scores[count - 1], (window - 1) / 2);
    before.chain(scores.iter().copied()).chain(after).collect()
}

fn standardised(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
    values.iter().map(|v| if deviation > 0.0 { (v - mean) / deviation } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_pca_reproduces_what_is_published() {
        let Some(folder) = std::env::var_os("BELLWETHER_DATA").map(PathBuf::from) else {
            eprintln!("SKIPPED: BELLWETHER_DATA is not set, Sub-PCA was not compared with its published figures");
            return;
        };
        let (series, _) = listed(&folder).unwrap();
        let windows = data::json(&folder.join("nab/labels/combined_windows.json"), "windows").unwrap();
        let (mut compared, mut off) = (0, Vec::new());
        for one in series.iter().filter(|s| s.track == "U") {
            let (columns, labels) = one.read(&windows).unwrap();
            let window = dominant_period(&columns[0]);
            let found = vus_pr(&sub_pca(&columns[0], window), &labels, window);
            let wanted = one.published["Sub-PCA"];
            compared += 1;
            if (found - wanted).abs() > 5e-3 {
                off.push(format!("{}: {found:.4}, published {wanted:.4}", one.name));
            }
        }
        assert!(compared > 0 && off.is_empty(), "{compared} compared, {off:#?}");
    }

    #[test]
    fn sub_pca_of_odd_input() {
        for values in [vec![], vec![1.0], vec![2.0; 50], vec![f64::NAN; 50]] {
            assert_eq!(sub_pca(&values, 20).len(), values.len());
        }
    }

    #[test]
    fn a_missing_folder_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let problem = listed(folder.path()).err().unwrap().to_string();
        assert!(problem.contains("mapping_to_local_sources.csv") && problem.contains("expected"), "{problem}");
    }
}
