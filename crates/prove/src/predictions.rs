//! Raw output, so that anyone can score it with another scorer.

use std::path::Path;

use crate::{Problem, Run};

impl Run<'_> {
    /// Writes a CSV file below the predictions folder, if one was asked for. `name` is its path there.
    pub fn predict(
        &self,
        name: &str,
        header: &[&str],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> Result<(), Problem> {
        let Some(folder) = self.predictions else { return Ok(()) };
        let path = folder.join(name);
        let problem = |e: &dyn std::fmt::Display| Problem::new(&path, e.to_string(), "a folder that can be written");
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(|e| problem(&e))?;
        let mut writer = csv::Writer::from_path(&path).map_err(|e| problem(&e))?;
        writer.write_record(header).map_err(|e| problem(&e))?;
        for row in rows {
            writer.write_record(&row).map_err(|e| problem(&e))?;
        }
        writer.flush().map_err(|e| problem(&e))
    }

    /// Writes a file of one JSON document a line below the predictions folder, if one was asked for.
    pub fn predict_json_lines(
        &self,
        name: &str,
        lines: impl IntoIterator<Item = serde_json::Value>,
    ) -> Result<(), Problem> {
        let Some(folder) = self.predictions else { return Ok(()) };
        let path = folder.join(name);
        let text: String = lines.into_iter().map(|line| format!("{line}\n")).collect();
        let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
        written.map_err(|e| Problem::new(&path, e.to_string(), "a folder that can be written"))
    }
}

/// The score of a surprise (-log10 of a tail probability): s / (1 + s), 0..1.
pub fn score(surprise: f64) -> f64 {
    let s = surprise.max(0.0);
    if s.is_infinite() { 1.0 } else { s / (1.0 + s) }
}
