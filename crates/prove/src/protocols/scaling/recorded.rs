//! Recorded loads, read into ticks.

use std::path::Path;

use super::{
    super::traces::{CentreFile, centre_files, mask_outages, mean_of_known},
    replay::Trace,
};
use crate::{Problem, data};

/// What is read.
pub const LAYOUT: &str = "web_traces/*_per_minute.csv or *_per_second.csv (time in that unit, requests) and \
                          dc_traces/SET/*_N_seconds*.csv (columns of numbers, a row each N seconds)";

/// Ticks of a trace are at least so long: the autoscaler looks every 15 s.
const TICK_LEAST_S: f64 = 15.0;
/// Values coarser than this are held over several ticks.
const TICK_MOST_S: f64 = 60.0;
/// Ticks at most: two years by the minute.
const TICKS_MOST: usize = 1_051_200;
/// A web server that is asked nothing for so long was not there.
const OUTAGE_S: f64 = 3.0 * 3600.0;
/// Shorter traces show nothing.
const TRACE_LEAST_S: f64 = 86_400.0;

/// All traces of a data folder; none is no problem.
pub fn traces(folder: &Path) -> Result<Vec<Trace>, Problem> {
    let mut traces = Vec::new();
    let web = folder.join("web_traces");
    for file in data::list(&web, LAYOUT, |n| web_step_s(n).is_some()).unwrap_or_default() {
        traces.extend(web_trace(&web.join(&file), &file)?);
    }
    for file in centre_files(folder, LAYOUT)? {
        traces.extend(centre_traces(&file)?);
    }
    traces.retain(|t| t.loads.len() as f64 * t.tick_s >= TRACE_LEAST_S && t.loads.iter().any(|l| *l > 0.0));
    Ok(traces)
}

fn web_step_s(file: &str) -> Option<f64> {
    let name = file.strip_suffix(".csv")?;
    [("_per_minute", 60.0), ("_per_second", 1.0)].iter().find(|(end, _)| name.ends_with(end)).map(|(_, s)| *s)
}

/// Requests a minute. A time that is not in the file had none.
fn web_trace(path: &Path, file: &str) -> Result<Option<Trace>, Problem> {
    let table = data::csv_table(path, LAYOUT)?;
    let [times, requests, ..] = table.columns.as_slice() else {
        return Err(Problem::new(path, "less than two columns", LAYOUT));
    };
    let Some(step_s) = web_step_s(file) else { return Ok(None) };
    let known = || times.iter().zip(requests).filter(|(t, r)| t.is_finite() && r.is_finite());
    let first = known().map(|(t, _)| t.floor()).fold(f64::INFINITY, f64::min);
    let last = known().map(|(t, _)| t.floor()).fold(f64::NEG_INFINITY, f64::max);
    let steps = last - first + 1.0;
    let most = TICKS_MOST as f64 * TICK_LEAST_S / step_s;
    if !(steps >= 1.0 && steps <= most) {
        return Err(Problem::new(path, "no times, or more than two years between them", LAYOUT));
    }
    let mut values = vec![0.0; steps as usize];
    known().for_each(|(t, r)| values[(t.floor() - first) as usize] += r * 60.0 / step_s);
    mask_outages(&mut values, (OUTAGE_S / step_s) as usize);
    let name = file.trim_end_matches(".csv").trim_end_matches("_per_minute").trim_end_matches("_per_second");
    Ok(Some(trace(name.to_owned(), &values, step_s)))
}

fn centre_traces(file: &CentreFile) -> Result<Vec<Trace>, Problem> {
    let path = &file.path;
    let Some(step_s) = file.step_s().filter(|s| (1..=3600).contains(s)) else {
        return Err(Problem::new(path, "no `N_seconds` in its name, N from 1 to 3600", LAYOUT));
    };
    let table = data::csv_table(path, LAYOUT)?;
    let named = table.names.iter().zip(&table.columns);
    Ok(named.map(|(name, column)| trace(format!("{}/{name}", file.name), column, step_s as f64)).collect())
}

/// Values a step into ticks: finer ones are averaged, coarser ones hold until the next.
fn trace(name: String, values: &[f64], step_s: f64) -> Trace {
    let mut loads: Vec<f64>;
    let tick_s;
    if step_s < TICK_MOST_S {
        let joined = (TICK_LEAST_S / step_s).ceil().max(1.0) as usize;
        loads = values.chunks_exact(joined).map(mean_of_known).collect();
        tick_s = step_s * joined as f64;
    } else {
        let held = (step_s / TICK_MOST_S).round().max(1.0) as usize;
        loads = values.iter().flat_map(|v| std::iter::repeat_n(*v, held)).collect();
        tick_s = step_s / held as f64;
    }
    loads.truncate(TICKS_MOST);
    Trace { name, loads, tick_s }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_become_ticks() {
        let values: Vec<f64> = (0..60).map(f64::from).collect();
        let fine = trace("a".into(), &values, 1.0);
        assert_eq!((fine.loads.as_slice(), fine.tick_s), ([7.0, 22.0, 37.0, 52.0].as_slice(), 15.0));
        assert_eq!(trace("a".into(), &values, 10.0).tick_s, 20.0);
        let coarse = trace("a".into(), &[1.0, f64::NAN], 300.0);
        assert_eq!((&coarse.loads[..5], coarse.loads.len(), coarse.tick_s), ([1.0; 5].as_slice(), 10, 60.0));
        assert!(coarse.loads[5..].iter().all(|l| l.is_nan()));
        assert_eq!(trace("a".into(), &values, 60.0).loads, values);
    }

    #[test]
    fn times_that_are_missing_had_no_requests_and_outages_are_not_known() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("web_traces")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join("web_traces").join(name), text).unwrap();
        let busy: String =
            (0..1500).filter(|m| *m != 7 && !(300..600).contains(m)).map(|m| format!("{m},5\n")).collect();
        write("some_per_minute.csv", &format!("minute,requests\n{busy}"));
        let read = traces(folder.path()).unwrap();
        let loads = &read[0].loads;
        assert_eq!((read[0].name.as_str(), loads.len(), loads[7], loads[8]), ("some", 1500, 0.0, 5.0));
        assert!(loads[300..600].iter().all(|l| l.is_nan()));
        write("some_per_minute.csv", "minute,requests\n0,1\n1e300,1\n");
        assert!(traces(folder.path()).unwrap_err().to_string().contains("more than two years"));
        write("some_per_minute.csv", "minute\n0\n");
        assert!(traces(folder.path()).unwrap_err().to_string().contains("less than two columns"));
    }
}
