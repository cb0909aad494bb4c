//! Recorded loads as the data folder has them, for the protocols that read them.

use std::path::{Path, PathBuf};

use crate::{Problem, data};

/// A file of columns of numbers, a row every so often, from a data centre.
pub struct CentreFile {
    /// Where it is.
    pub path: PathBuf,
    /// `SET/FILE`, without its ending.
    pub name: String,
}

/// The files below `dc_traces`, in order; none is no problem.
pub fn centre_files(folder: &Path, layout: &'static str) -> Result<Vec<CentreFile>, Problem> {
    let centres = folder.join("dc_traces");
    let mut files = Vec::new();
    for set in data::list(&centres, layout, |_| true).unwrap_or_default() {
        for file in data::list(&centres.join(&set), layout, |n| n.ends_with(".csv")).unwrap_or_default() {
            let name = format!("{set}/{}", file.trim_end_matches(".csv"));
            files.push(CentreFile { path: centres.join(&set).join(&file), name });
        }
    }
    Ok(files)
}

impl CentreFile {
    /// Seconds between two rows: `N` of `N_seconds` in its name.
    pub fn step_s(&self) -> Option<usize> {
        let (_, file) = self.name.split_once('/')?;
        let words: Vec<&str> = file.split('_').collect();
        words.windows(2).find(|w| w[1] == "seconds").and_then(|w| w[0].parse().ok())
    }
}

/// Makes zeros that last for `least` values or longer unknown: nobody was there to count.
pub fn mask_outages(values: &mut [f64], least: usize) {
    let mut start = 0;
    for t in 0..=values.len() {
        if t == values.len() || values[t] != 0.0 {
            if t - start >= least.max(1) {
                values[start..t].fill(f64::NAN);
            }
            start = t + 1;
        }
    }
}

/// The mean of the values that are known; NaN of none.
pub fn mean_of_known(chunk: &[f64]) -> f64 {
    let (sum, count) = chunk.iter().filter(|v| v.is_finite()).fold((0.0, 0.0), |(s, c), v| (s + v, c + 1.0));
    sum / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_zeros_are_outages_and_short_ones_are_not() {
        let mut values = [1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0];
        mask_outages(&mut values, 3);
        assert!(values[1] == 0.0 && values[4..].iter().all(|v| v.is_nan()));
    }

    #[test]
    fn the_step_is_in_the_name() {
        let step_s = |name: &str| CentreFile { path: PathBuf::new(), name: name.into() }.step_s();
        assert_eq!(
            (step_s("a_5_seconds/use_300_seconds_x"), step_s("set/use"), step_s("set/x_seconds")),
            (Some(300), None, None)
        );
    }
}
