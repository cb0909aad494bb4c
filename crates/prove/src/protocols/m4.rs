//! `m4`: the hourly series of the M4 competition, 48 steps ahead.
//!
//! The forecaster is told nothing but the values: it finds the season itself. MASE is scaled with a season of 24, as
//! the competition does. OWA is computed from the means over the series present, against naive 2 on the same series.

use std::path::Path;

use math::forecast::{Forecast, Options, forecast};

use crate::{
    Problem, Protocol, Report, Row, Run, data,
    metrics::forecast::{mase, naive2, owa, pinball, smape},
    report::round,
};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "m4",
    summary: "M4 hourly forecasts: sMAPE, MASE, OWA, pinball",
    layout: "m4/Train/Hourly-train.csv and m4/Test/Hourly-test.csv: a header, then name and values of one series a line",
    run,
};

/// Season by which MASE is scaled and the naive rules go.
const SEASON: usize = 24;
const NAIVE: &str = "last value";
const SEASONAL: &str = "seasonal naive";
const NAIVE2: &str = "naive 2";

struct Item {
    name: String,
    history: Vec<f64>,
    actual: Vec<f64>,
}

fn run(run: &Run) -> Result<Report, Problem> {
    let items = read(&run.data.join("m4"))?;
    let results = run.each(&items, |item| Ok(forecast(&item.history, item.actual.len(), &Options::default())))?;
    let mut report = Report::new(PROTOCOL.name);
    for (item, (said, cpu_s)) in items.iter().zip(&results) {
        add_rows(&mut report, item, said, *cpu_s);
    }
    report.summarise_means();
    add_owa(&mut report);
    let rows = items
        .iter()
        .zip(&results)
        .flat_map(|(item, (said, _))| super::load::prediction_rows(&item.name, item.history.len(), said));
    run.predict("m4/hourly.csv", &super::load::PREDICTION_COLUMNS, rows)?;
    Ok(report)
}

fn add_rows(report: &mut Report, item: &Item, said: &Forecast, cpu_s: f64) {
    let (history, actual) = (&item.history, &item.actual);
    let horizon = actual.len();
    let last = vec![history[history.len() - 1]; horizon];
    let season = SEASON.min(history.len());
    let seasonal: Vec<f64> = (0..horizon).map(|h| history[history.len() - season + h % season]).collect();
    let second = naive2(history, SEASON, horizon);
    let mut row = |metric: &str, cpu_s: f64, error: &dyn Fn(&[f64]) -> f64| {
        let row = Row::new(&item.name, metric, error(&said.mean), cpu_s);
        report.rows.push(
            row.baseline(NAIVE, error(&last)).baseline(SEASONAL, error(&seasonal)).baseline(NAIVE2, error(&second)),
        );
    };
    row("sMAPE", cpu_s, &|f| smape(actual, f));
    row("MASE", 0.0, &|f| mase(actual, f, history, SEASON));
    let size = actual.iter().map(|v| v.abs()).sum::<f64>() / horizon.max(1) as f64;
    for p in [0.5, 0.9, 0.99] {
        let ours = pinball(actual, &said.quantile(p), p) / size;
        let row = Row::new(&item.name, &format!("pinball {p} / mean"), ours, 0.0);
        report.rows.push(row.baseline(SEASONAL, pinball(actual, &seasonal, p) / size));
    }
}

/// OWA of ours and of the naive rules, and what is published of it.
fn add_owa(report: &mut Report) {
    let mean = |metric: &str, who: &str| {
        report
            .summary
            .get(&format!("mean {metric}"))
            .and_then(|m| m.get(who))
            .and_then(|v| v.as_f64())
            .unwrap_or(f64::NAN)
    };
    let of = |who: &str| round(owa(mean("sMAPE", who), mean("MASE", who), mean("sMAPE", NAIVE2), mean("MASE", NAIVE2)));
    let owas: serde_json::Map<_, _> =
        ["ours", NAIVE, SEASONAL, NAIVE2].into_iter().map(|who| (who.to_owned(), serde_json::json!(of(who)))).collect();
    let published = serde_json::json!({ "M4 winner (all 414)": 0.440, "MSTL+ETS (all 414)": 0.604 });
    report.summary.insert("OWA".into(), owas.into());
    report.summary.insert("published OWA".into(), published);
}

fn read(folder: &Path) -> Result<Vec<Item>, Problem> {
    let (train, test) = (folder.join("Train/Hourly-train.csv"), folder.join("Test/Hourly-test.csv"));
    let mut tests = series(&test)?.into_iter().collect::<std::collections::BTreeMap<_, _>>();
    let items = series(&train)?.into_iter().filter(|(_, history)| !history.is_empty());
    let items: Vec<Item> =
        items.filter_map(|(name, history)| Some(Item { actual: tests.remove(&name)?, name, history })).collect();
    if items.is_empty() {
        return Err(Problem::new(test, "no series that the training file also has", PROTOCOL.layout));
    }
    Ok(items)
}

/// Name and values of each line after the first.
fn series(path: &Path) -> Result<Vec<(String, Vec<f64>)>, Problem> {
    let rows = data::rows(path, b',', PROTOCOL.layout)?;
    let mut found = Vec::new();
    for (line, row) in rows.iter().enumerate().skip(1) {
        let filled = row.iter().rposition(|f| !f.trim().is_empty()).unwrap_or(0);
        let values: Result<Vec<f64>, Problem> =
            (1..=filled).map(|i| data::number(path, line + 1, row, i, PROTOCOL.layout)).collect();
        found.push((row[0].clone(), values?));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_in(folder: &Path) -> Result<Report, Problem> {
        run(&Run { data: folder, predictions: Some(&folder.join("out")), progress: &|_, _| {} })
    }

    #[test]
    fn a_missing_or_broken_folder_says_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        assert!(run_in(folder.path()).unwrap_err().to_string().contains("Hourly-t"));
        for part in ["Train", "Test"] {
            std::fs::create_dir_all(folder.path().join("m4").join(part)).unwrap();
        }
        let write = |name: &str, text: &str| std::fs::write(folder.path().join("m4").join(name), text).unwrap();
        write("Train/Hourly-train.csv", "V1,V2,V3\nH1,1,x\n");
        write("Test/Hourly-test.csv", "V1,V2\nH1,1\n");
        assert!(run_in(folder.path()).unwrap_err().to_string().contains("line 2, column 3"));
        write("Train/Hourly-train.csv", "V1,V2,V3\nH2,1,2\n");
        assert!(run_in(folder.path()).unwrap_err().to_string().contains("no series"));
    }

    #[test]
    fn other_series_of_the_layout_run_and_predictions_are_written() {
        let folder = tempfile::tempdir().unwrap();
        for part in ["Train", "Test"] {
            std::fs::create_dir_all(folder.path().join("m4").join(part)).unwrap();
        }
        let line =
            |from: usize, to: usize| (from..to).map(|t| format!(",{}", 50 + 10 * (t % 24) + t % 5)).collect::<String>();
        let text = |name: &str, from, to| format!("V1\n{name}{}\n", line(from, to));
        std::fs::write(folder.path().join("m4/Train/Hourly-train.csv"), text("X9", 0, 400)).unwrap();
        std::fs::write(folder.path().join("m4/Test/Hourly-test.csv"), text("X9", 400, 448)).unwrap();
        let report = run_in(folder.path()).unwrap();
        assert!(report.summary["OWA"]["ours"].as_f64().unwrap() < 0.7, "{}", report.render());
        let written = std::fs::read_to_string(folder.path().join("out/m4/hourly.csv")).unwrap();
        assert!(written.starts_with("series,origin,step,mean,q05,q50,q95,q99\nX9,400,1,"));
        assert_eq!(written.lines().count(), 49);
    }
}
