//! `changepoints`: where series change, against five annotators (van den Burg and Williams, 2020).

use std::path::Path;

use math::change_point::change_points;

use crate::{
    Problem, Protocol, Report, Row, Run, data,
    metrics::segments::{covering, f1},
    report::round,
    workers::timed,
};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "changepoints",
    summary: "Turing change point dataset: covering and F1 with margin 5, over all annotators",
    layout: "tcpd/NAME/NAME.json and tcpd/annotations.json",
    run,
};

/// Points by which a change may be off.
const MARGIN: usize = 5;
/// Segments of the baseline that cuts evenly.
const EVEN_SEGMENTS: usize = 5;

fn run(run: &Run) -> Result<Report, Problem> {
    let folder = run.data.join("tcpd");
    let annotations = data::json(&folder.join("annotations.json"), "change points by series and annotator")?;
    let holds_series = |name: &str| folder.join(name).join(format!("{name}.json")).is_file();
    let names = data::list(&folder, PROTOCOL.layout, |name| holds_series(name) && annotations[name].is_object())?;
    let done = run.each(&names, |name| series_rows(run, &folder, name, &annotations[name.as_str()]))?;
    let mut report = Report::new(PROTOCOL.name);
    report.rows = done.into_iter().flat_map(|(rows, _)| rows).collect();
    report.summarise_means();
    Ok(report)
}

fn series_rows(run: &Run, folder: &Path, name: &str, annotations: &serde_json::Value) -> Result<[Row; 2], Problem> {
    let columns = read(&folder.join(name).join(format!("{name}.json")))?;
    let points = columns[0].len();
    let as_points = |list: &serde_json::Value| -> Vec<usize> {
        list.as_array().into_iter().flatten().filter_map(|v| v.as_u64()).map(|v| v as usize).collect()
    };
    let annotations: Vec<Vec<usize>> =
        annotations.as_object().into_iter().flat_map(|a| a.values()).map(as_points).collect();
    let (found, cpu_s) = timed(|| change_points(&columns));
    run.predict(&format!("tcpd/{name}.csv"), &["index"], found.iter().map(|at| vec![at.to_string()]))?;
    let even: Vec<usize> = (1..EVEN_SEGMENTS).map(|k| k * points / EVEN_SEGMENTS).collect();
    let cover = |found: &[usize]| round(covering(&annotations, found, points));
    let hits = |found: &[usize]| round(f1(&annotations, found, MARGIN));
    Ok([
        Row::new(name, "covering", cover(&found), cpu_s).baseline("none", cover(&[])).baseline("even", cover(&even)),
        Row::new(name, "F1", hits(&found), 0.0).baseline("none", hits(&[])).baseline("even", hits(&even)),
    ])
}

/// The columns of a series; missing values are NaN.
fn read(path: &Path) -> Result<Vec<Vec<f64>>, Problem> {
    const EXPECTED: &str = "series, each with raw: a list of numbers, all of one length";
    let json = data::json(path, EXPECTED)?;
    let numbers = |series: &serde_json::Value| -> Vec<f64> {
        series["raw"].as_array().into_iter().flatten().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
    };
    let columns: Vec<Vec<f64>> = json["series"].as_array().into_iter().flatten().map(numbers).collect();
    if columns.is_empty() || columns.iter().any(|c| c.is_empty() || c.len() != columns[0].len()) {
        return Err(Problem::new(path, "no values, or columns of different lengths", EXPECTED));
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let at_work = Run { data: folder.path(), predictions: None, progress: &|_, _| {} };
        let problem = run(&at_work).err().unwrap().to_string();
        assert!(problem.contains("annotations.json") && problem.contains("expected"), "{problem}");
    }
}
