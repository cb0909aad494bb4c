//! `load`: how busy services and machines will be over the next day, forecast anew each day.
//!
//! A web trace is summed to hours; a data-centre trace is taken as sampled, or averaged to five minutes where it is
//! finer; each of its columns is a series. The first origin is after seven days (or half of a shorter trace), so that
//! every rule can be computed; then one follows each day as long as a whole day is left. Hours of a web trace that are
//! 0 three times in a row are an outage: nothing is known of them, and they are not scored.

use std::{collections::BTreeMap, path::Path};

use math::forecast::{Forecast, Options, forecast, mean, median};

use crate::{
    Problem, Protocol, Report, Row, Run, data,
    metrics::forecast::{pinball, seasonal_scale, wape},
    report::round,
};

use super::traces::{CentreFile, centre_files, mask_outages, mean_of_known};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "load",
    summary: "load of services and machines, a day ahead from a rolling origin: WAPE, MASE, pinball",
    layout: "web_traces/*_per_minute.csv (minute, requests) and dc_traces/SET/*_N_seconds*.csv (columns of numbers, \
             a row each N seconds)",
    run,
};

/// Columns of a file of predictions.
pub(super) const PREDICTION_COLUMNS: [&str; 8] = ["series", "origin", "step", "mean", "q05", "q50", "q95", "q99"];

const DAY_S: usize = 86_400;
const HOUR_S: usize = 3600;
/// Data-centre traces sampled finer are averaged to this.
const FINEST_S: usize = 300;
const FIRST_ORIGIN_DAYS: usize = 7;
const OUTAGE_HOURS: usize = 3;

struct Trace {
    name: String,
    values: Vec<f64>,
    /// Points a day.
    day: usize,
}

/// A rule: the next `usize` values after a history with `usize` points a day.
type Rule = fn(&[f64], usize, usize) -> Vec<f64>;

const RULES: [(&str, Rule); 7] = [
    ("last value", |past, _, horizon| vec![newest_known(past); horizon]),
    ("mean of the last day", |past, day, horizon| {
        let last_day = &past[past.len().saturating_sub(day)..];
        vec![mean(&mut last_day.iter().copied().filter(|v| v.is_finite()).collect::<Vec<_>>()); horizon]
    }),
    ("seasonal naive 1 d", |past, day, horizon| same_time(past, day, horizon, 1, mean)),
    ("seasonal naive 7 d", |past, day, horizon| same_time(past, 7 * day, horizon, 1, mean)),
    ("mean of 7 days", |past, day, horizon| same_time(past, day, horizon, 7, mean)),
    ("median of 7 days", |past, day, horizon| same_time(past, day, horizon, 7, median)),
    ("mean of 4 weeks", |past, day, horizon| same_time(past, 7 * day, horizon, 4, mean)),
];

fn run(run: &Run) -> Result<Report, Problem> {
    let traces = read(run.data)?;
    let jobs: Vec<(usize, usize)> =
        traces.iter().enumerate().flat_map(|(i, trace)| origins(trace).into_iter().map(move |o| (i, o))).collect();
    let forecasts = run.each(&jobs, |(i, origin)| {
        let trace = &traces[*i];
        let options = Options { expected_seasons: vec![trace.day, 7 * trace.day], ..Options::default() };
        Ok(forecast(&trace.values[..*origin], trace.day, &options))
    })?;
    let mut report = Report::new(PROTOCOL.name);
    for (i, trace) in traces.iter().enumerate() {
        let ours: Vec<(usize, &Forecast, f64)> = jobs
            .iter()
            .zip(&forecasts)
            .filter(|((of, _), _)| *of == i)
            .map(|((_, origin), (said, cpu_s))| (*origin, said, *cpu_s))
            .collect();
        add_rows(&mut report, trace, &ours);
        let rows = ours.iter().flat_map(|(origin, said, _)| prediction_rows(&trace.name, *origin, said));
        run.predict(&format!("load/{}.csv", trace.name.replace('/', "_")), &PREDICTION_COLUMNS, rows)?;
    }
    report.summarise_means();
    compare_to_best(&mut report);
    Ok(report)
}

/// One row a step: 1 is the point at the origin's index.
pub(super) fn prediction_rows(series: &str, origin: usize, said: &Forecast) -> Vec<Vec<String>> {
    let quantiles = [0.05, 0.5, 0.95, 0.99].map(|p| said.quantile(p));
    let row = |h: usize| {
        let mut row = vec![series.to_owned(), origin.to_string(), (h + 1).to_string(), said.mean[h].to_string()];
        row.extend(quantiles.iter().map(|q| q[h].to_string()));
        row
    };
    (0..said.mean.len()).map(row).collect()
}

fn origins(trace: &Trace) -> Vec<usize> {
    let days = trace.values.len() / trace.day;
    let first = FIRST_ORIGIN_DAYS.min(days / 2).max(1);
    (first..days).map(|d| d * trace.day).collect()
}

fn add_rows(report: &mut Report, trace: &Trace, ours: &[(usize, &Forecast, f64)]) {
    let (values, day) = (&trace.values, trace.day);
    let actual: Vec<f64> = ours.iter().flat_map(|(o, ..)| values[*o..o + day].to_vec()).collect();
    let said: Vec<f64> = ours.iter().flat_map(|(_, said, _)| said.mean.clone()).collect();
    let cpu_s = ours.iter().map(|(.., cpu_s)| cpu_s).sum();
    let ruled: Vec<(&str, Vec<f64>)> = RULES
        .iter()
        .map(|(name, rule)| (*name, ours.iter().flat_map(|(o, ..)| rule(&values[..*o], day, day)).collect()))
        .collect();
    let mut row = |metric: &str, cpu_s: f64, ours: f64, error: &dyn Fn(&[f64]) -> f64| {
        let row = Row::new(&trace.name, metric, ours, cpu_s);
        report.rows.push(ruled.iter().fold(row, |row, (name, said)| row.baseline(name, error(said))));
    };
    row("WAPE", cpu_s, wape(&actual, &said), &|f| wape(&actual, f));
    let scaled = |f: &[f64]| {
        let errors = ours.iter().enumerate().map(|(k, (o, ..))| {
            let steps = k * day..(k + 1) * day;
            let (sum, count) = steps
                .filter(|t| actual[*t].is_finite())
                .fold((0.0, 0.0), |(s, c), t| (s + (actual[t] - f[t]).abs(), c + 1.0));
            sum / count / seasonal_scale(&values[..*o], day)
        });
        let known: Vec<f64> = errors.filter(|e| e.is_finite()).collect();
        known.iter().sum::<f64>() / known.len() as f64
    };
    row("MASE", 0.0, scaled(&said), &scaled);
    let known: Vec<f64> = actual.iter().filter(|v| v.is_finite()).map(|v| v.abs()).collect();
    let size = known.iter().sum::<f64>() / known.len() as f64;
    for p in [0.5, 0.9, 0.99] {
        let quantile: Vec<f64> = ours.iter().flat_map(|(_, said, _)| said.quantile(p)).collect();
        let loss = |f: &[f64]| pinball(&actual, f, p) / size;
        row(&format!("pinball {p} / mean"), 0.0, loss(&quantile), &loss);
    }
}

/// How ours stands against the best single rule over all traces, and against the best of each trace in hindsight.
fn compare_to_best(report: &mut Report) {
    let means = report.summary.get("mean WAPE").and_then(|m| m.as_object()).cloned().unwrap_or_default();
    let ours = means.get("ours").and_then(|v| v.as_f64()).unwrap_or(f64::NAN);
    let rules = means.iter().filter(|(name, _)| *name != "ours").filter_map(|(n, v)| Some((n.clone(), v.as_f64()?)));
    if let Some((name, best)) = rules.min_by(|a, b| a.1.total_cmp(&b.1)) {
        report.summary.insert("best single rule".into(), name.into());
        report.summary.insert("WAPE over the best single rule's".into(), round(ours / best).into());
    }
    let over = report.rows.iter().filter(|r| r.metric == "WAPE").map(|row| {
        let best = row.baselines.values().copied().fold(f64::INFINITY, f64::min);
        (row.name.clone(), serde_json::json!(round(row.ours / best)))
    });
    let over: serde_json::Map<_, _> = over.collect();
    report.summary.insert("WAPE over the best rule's in hindsight".into(), over.into());
}

fn newest_known(past: &[f64]) -> f64 {
    past.iter().rev().copied().find(|v| v.is_finite()).unwrap_or(0.0)
}

/// The values at the same time of the last `seasons` seasons (fewer where there are none), as one.
fn same_time(past: &[f64], season: usize, horizon: usize, seasons: usize, of: fn(&mut [f64]) -> f64) -> Vec<f64> {
    let at = |h: usize| {
        let backs = (1..).map(|k| k * season).skip_while(|back| *back <= h).take_while(|back| *back <= past.len() + h);
        let mut known: Vec<f64> =
            backs.map(|back| past[past.len() + h - back]).filter(|v| v.is_finite()).take(seasons).collect();
        if known.is_empty() { newest_known(past) } else { of(&mut known) }
    };
    (0..horizon).map(at).collect()
}

fn read(folder: &Path) -> Result<Vec<Trace>, Problem> {
    let mut traces = Vec::new();
    let web = folder.join("web_traces");
    for file in data::list(&web, PROTOCOL.layout, |n| n.ends_with("_per_minute.csv")).unwrap_or_default() {
        traces.push(web_trace(&web.join(&file), file.trim_end_matches("_per_minute.csv"))?);
    }
    for file in centre_files(folder, PROTOCOL.layout)? {
        traces.extend(centre_traces(&file)?);
    }
    traces.retain(|trace| trace.values.len() >= 2 * trace.day);
    if traces.is_empty() {
        return Err(Problem::new(folder, "no trace of two days or more", PROTOCOL.layout));
    }
    Ok(traces)
}

fn web_trace(path: &Path, name: &str) -> Result<Trace, Problem> {
    let table = data::csv_table(path, PROTOCOL.layout)?;
    if table.columns.len() < 2 {
        return Err(Problem::new(path, "less than two columns", PROTOCOL.layout));
    }
    let mut hours: BTreeMap<i64, f64> = BTreeMap::new();
    for (minute, requests) in
        table.columns[0].iter().zip(&table.columns[1]).filter(|(m, r)| m.is_finite() && r.is_finite())
    {
        *hours.entry((minute / 60.0).floor() as i64).or_default() += requests;
    }
    let minutes = table.columns[0].iter().copied().filter(|m| m.is_finite());
    let last_minute = minutes.fold(f64::NEG_INFINITY, f64::max);
    // Whole hours only; bounded, whatever numbers the minutes are.
    let first = hours.keys().next().copied().unwrap_or(0);
    let whole = ((((last_minute + 1.0) / 60.0).floor() as i64).saturating_sub(first)).clamp(0, 1_000_000);
    let mut values: Vec<f64> = (first..first + whole).map(|hour| hours.get(&hour).copied().unwrap_or(0.0)).collect();
    mask_outages(&mut values, OUTAGE_HOURS);
    Ok(Trace { name: name.to_owned(), values, day: DAY_S / HOUR_S })
}

fn centre_traces(file: &CentreFile) -> Result<Vec<Trace>, Problem> {
    let path = &file.path;
    let interval_s = file.step_s().filter(|s| *s > 0 && DAY_S.is_multiple_of(*s) && *s <= HOUR_S);
    let Some(interval_s) = interval_s else {
        return Err(Problem::new(path, "no `N_seconds` in its name that divides a day", PROTOCOL.layout));
    };
    let table = data::csv_table(path, PROTOCOL.layout)?;
    let joined = (FINEST_S / interval_s).max(1);
    let series = table.names.iter().zip(&table.columns).filter(|(_, column)| column.iter().any(|v| v.is_finite()));
    let trace = |(name, column): (&String, &Vec<f64>)| Trace {
        name: format!("{}/{name}", file.name),
        values: column.chunks_exact(joined).map(mean_of_known).collect(),
        day: DAY_S / (interval_s * joined),
    };
    Ok(series.map(trace).collect())
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
        assert!(run_in(folder.path()).unwrap_err().to_string().contains("expected web_traces/*_per_minute.csv"));
        let set = folder.path().join("dc_traces/some");
        std::fs::create_dir_all(&set).unwrap();
        std::fs::write(set.join("use_300_seconds.csv"), "cpu\n1\nx\n").unwrap();
        assert!(run_in(folder.path()).unwrap_err().to_string().contains("line 3, column 1"));
        std::fs::write(set.join("use_300_seconds.csv"), "cpu\n1\n2\n").unwrap();
        assert!(run_in(folder.path()).unwrap_err().to_string().contains("no trace of two days"));
    }

    #[test]
    fn short_traces_of_any_interval_run() {
        let folder = tempfile::tempdir().unwrap();
        let set = folder.path().join("dc_traces/some");
        std::fs::create_dir_all(&set).unwrap();
        let rows: String = (0..3 * 8640).map(|t| format!("{},\n", 40 + t / 360 % 24 + t % 7)).collect();
        std::fs::write(set.join("usage_10_seconds.csv"), format!("cpu,net\n{rows}")).unwrap();
        let report = run_in(folder.path()).unwrap();
        let row = &report.rows[0];
        assert_eq!((row.name.as_str(), row.metric.as_str()), ("some/usage_10_seconds/cpu", "WAPE"));
        assert!(row.ours < 0.1, "{}", report.render());
        let written = std::fs::read_to_string(folder.path().join("out/load/some_usage_10_seconds_cpu.csv")).unwrap();
        assert!(written.contains("some/usage_10_seconds/cpu,288,1,"), "{}", &written[..200]);
    }

    #[test]
    fn rules_are_as_by_hand() {
        let past: Vec<f64> = (0..16).map(f64::from).collect();
        assert_eq!(same_time(&past, 4, 2, 1, mean), [12.0, 13.0]);
        assert_eq!(same_time(&past, 4, 2, 7, mean), [6.0, 7.0]);
        assert_eq!(same_time(&past, 28, 1, 1, mean), [15.0], "too short: the last value");
        assert_eq!(same_time(&[1.0, f64::NAN, 3.0, 4.0], 2, 2, 7, median), [2.0, 4.0]);
        let mut values = [1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0];
        mask_outages(&mut values, OUTAGE_HOURS);
        assert!(values[1] == 0.0 && values[4..].iter().all(|v| v.is_nan()));
    }
}
