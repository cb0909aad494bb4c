//! `no-labels`: how good a model is on rows whose labels come later, told from its scores (chunks of 5,000 rows).
//!
//! What was right in the analysis part is read for scoring alone. Columns are found by what the files share: the target
//! is what the target file adds to the analysis file, the rows are matched by a column that both have (or by order),
//! the score and the prediction are what the reference names so.

mod set;

use math::no_labels::{Chunk, Estimate, Figures, Reference, realised};

use crate::{Problem, Protocol, Report, Row, Run, data, report::round, workers::timed};
use set::Set;

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "no-labels",
    summary: "a model's AUC, F1 and accuracy without labels, chunks of 5,000 rows: error against what turned out",
    layout: "drift_nannyml/NAME_reference.csv, NAME_analysis.csv and NAME_analysis_target.csv, with a column of scores \
             (*proba*), one of predictions (*pred*) and a binary target",
    run,
};

const CHUNK: usize = 5000;
const SEED: u64 = 1;
const REFERENCE: &str = "_reference.csv";
/// Figures of confidence-based performance estimation, by data set.
const PUBLISHED: [(&str, &str, f64); 3] = [
    ("synthetic_car_loan", "roc_auc", 0.0021),
    ("synthetic_car_loan", "f1", 0.0026),
    ("synthetic_car_loan", "accuracy", 0.0031),
];

fn run(run: &Run) -> Result<Report, Problem> {
    let folder = run.data.join("drift_nannyml");
    let names = data::list(&folder, PROTOCOL.layout, |name| name.ends_with(REFERENCE))?;
    let names: Vec<&str> = names.iter().map(|n| n.trim_end_matches(REFERENCE)).collect();
    let done = run.each(&names, |name| {
        let Some(set) = set::read(&folder, name)? else { return Ok(None) };
        let outcome = Outcome::of(&set);
        run.predict(&format!("no-labels/{name}.csv"), &PREDICTION_COLUMNS, outcome.predictions())?;
        Ok(Some(outcome))
    })?;
    let mut report = Report::new(PROTOCOL.name);
    let mut left_out = Vec::new();
    for (name, (outcome, _)) in names.iter().zip(&done) {
        match outcome {
            Some(outcome) => outcome.add_rows(name, &mut report),
            None => left_out.push(*name),
        }
    }
    report.summarise_means();
    if !left_out.is_empty() {
        report.summary.insert("left out, not a binary model with scores".into(), left_out.join(", ").into());
    }
    Ok(report)
}

const PREDICTION_COLUMNS: [&str; 5] = ["chunk", "metric", "estimate", "low", "high"];

/// What was said of a set, chunk by chunk, and what turned out.
struct Outcome {
    /// `None` where it was said that nothing can be.
    said: Vec<Option<Figures<Estimate>>>,
    turned_out: Vec<Figures<f64>>,
    before: Figures<f64>,
    cpu_s: f64,
}

impl Outcome {
    fn of(set: &Set) -> Outcome {
        let chunks = || (0..set.scores.len()).step_by(CHUNK).map(|s| s..(s + CHUNK).min(set.scores.len()));
        let (said, cpu_s) = timed(|| {
            let reference = Reference::new(&set.reference.scores, &set.reference.labels);
            let estimate = |rows: std::ops::Range<usize>| {
                let beyond = set.beyond[rows.clone()].iter().filter(|b| **b).count() as f64 / rows.len() as f64;
                let (scores, predicted) = (&set.scores[rows.clone()], &set.predicted[rows.clone()]);
                let chunk = Chunk { scores, predicted, beyond };
                reference.as_ref().ok()?.estimate(&chunk, SEED + rows.start as u64).ok()
            };
            chunks().map(estimate).collect()
        });
        let turned_out = chunks().map(|r| set.realised(r)).collect();
        let of = &set.reference;
        Outcome { said, turned_out, before: realised(&of.scores, &of.predicted, &of.labels), cpu_s }
    }

    fn add_rows(&self, name: &str, report: &mut Report) {
        let before = self.before.named();
        for (k, (metric, known)) in before.into_iter().enumerate() {
            let pairs: Vec<(Estimate, f64)> = self.pairs(k).collect();
            let mean = |error: &dyn Fn(&(Estimate, f64)) -> f64| {
                round(pairs.iter().map(error).sum::<f64>() / pairs.len() as f64)
            };
            let cpu_s = if k == 0 { self.cpu_s } else { 0.0 };
            let row = Row::new(name, &format!("{metric} error"), mean(&|(said, is)| (said.value - is).abs()), cpu_s)
                .baseline("nothing changed", mean(&|(_, is)| (known - is).abs()));
            let published = PUBLISHED.iter().filter(|(set, of, _)| *set == name && *of == metric);
            report.rows.push(published.fold(row, |row, (.., error)| row.published("CBPE", *error)));
            let inside = mean(&|(said, is)| f64::from(u8::from((said.low..=said.high).contains(is))));
            report.rows.push(Row::new(name, &format!("{metric} in its interval"), inside, 0.0));
        }
        let silent = self.said.iter().filter(|s| s.is_none()).count();
        report.rows.push(Row::new(name, "chunks without an estimate", silent as f64, 0.0));
    }

    /// Of the figure at a place: what was said and what turned out, where both are known.
    fn pairs(&self, k: usize) -> impl Iterator<Item = (Estimate, f64)> + '_ {
        let both = self.said.iter().zip(&self.turned_out);
        let pairs = both.filter_map(move |(said, is)| Some((said.as_ref()?.named()[k].1, is.named()[k].1)));
        pairs.filter(|(said, is)| said.value.is_finite() && is.is_finite())
    }

    fn predictions(&self) -> impl Iterator<Item = Vec<String>> + '_ {
        let known = self.said.iter().enumerate().filter_map(|(chunk, said)| Some((chunk, said.as_ref()?.named())));
        known.flat_map(|(chunk, figures)| {
            figures.map(|(metric, e)| {
                let mut row = vec![chunk.to_string(), metric.to_owned()];
                row.extend([e.value, e.low, e.high].map(|v| v.to_string()));
                row
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published loans; needs the folder `drift_nannyml` below `$BELLWETHER_DATA`.
    #[test]
    fn figures_of_published_sets_are_told_without_labels() {
        let Ok(data) = std::env::var("BELLWETHER_DATA") else {
            eprintln!("SKIPPED: set BELLWETHER_DATA to the folder that holds drift_nannyml");
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let data = std::path::Path::new(&data);
        let report = run(&Run { data, predictions: Some(folder.path()), progress: &|_, _| {} }).unwrap();
        println!("{}", report.render());
        let error = |metric: &str| report.summary[&format!("mean {metric} error")].clone();
        for (metric, most) in [("roc_auc", 0.004), ("f1", 0.005), ("accuracy", 0.005)] {
            let (ours, before) = (error(metric)["ours"].as_f64().unwrap(), &error(metric)["nothing changed"]);
            assert!(ours <= most && ours < before.as_f64().unwrap(), "{metric}: {ours}");
        }
    }

    #[test]
    fn a_made_up_set_with_other_names_is_read_and_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let sets = folder.path().join("drift_nannyml");
        std::fs::create_dir_all(&sets).unwrap();
        let chances = crate::baselines::random(20_000, 3);
        let line = |i: usize, with_target: bool| {
            let score = (chances[2 * i] * 100.0).round() / 100.0;
            let target = if with_target { format!(",{}", chances[2 * i + 1] < score) } else { String::new() };
            format!("{i},{},2018-01-01 00:00:{i},{score},{}{target}\n", ["a", "b"][i % 2], score > 0.5)
        };
        let header = "key,colour,at,model_proba,model_pred";
        let lines = |from: usize, until: usize, with: bool| (from..until).map(|i| line(i, with)).collect::<String>();
        std::fs::write(sets.join("x_reference.csv"), format!("{header},bought\n{}", lines(0, 4000, true))).unwrap();
        std::fs::write(sets.join("x_analysis.csv"), format!("{header}\n{}", lines(4000, 9500, false))).unwrap();
        // In another order, and one label is missing.
        let targets: String = (4001..9500)
            .rev()
            .map(|i| format!("{},{}\n", chances[2 * i + 1] < (chances[2 * i] * 100.0).round() / 100.0, i))
            .collect();
        std::fs::write(sets.join("x_analysis_target.csv"), format!("bought,key\n{targets},4000\n")).unwrap();
        let report = run(&Run { data: folder.path(), predictions: Some(folder.path()), progress: &|_, _| {} }).unwrap();
        let auc = report.rows.iter().find(|r| r.metric == "roc_auc error").unwrap();
        assert!(auc.ours < 0.03, "{}", report.render());
        let written = std::fs::read_to_string(folder.path().join("no-labels/x.csv")).unwrap();
        assert!(written.starts_with("chunk,metric,estimate,low,high\n0,accuracy,0.7"), "{written}");
        assert_eq!(written.lines().count(), 11);
    }

    #[test]
    fn a_set_without_scores_is_left_out_and_a_missing_folder_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let at_work = Run { data: folder.path(), predictions: None, progress: &|_, _| {} };
        assert!(run(&at_work).err().unwrap().to_string().contains("drift_nannyml"));
        let sets = folder.path().join("drift_nannyml");
        std::fs::create_dir_all(&sets).unwrap();
        std::fs::write(sets.join("price_reference.csv"), "id,y_pred,y\n1,10.5,11\n2,9,9\n").unwrap();
        assert!(run(&at_work).err().unwrap().to_string().contains("price_analysis.csv"));
        std::fs::write(sets.join("price_analysis.csv"), "id,y_pred\n3,10.5\n").unwrap();
        std::fs::write(sets.join("price_analysis_target.csv"), "id,y\n3,10\n").unwrap();
        let report = run(&at_work).unwrap();
        assert!(report.rows.is_empty() && report.render().contains("left out"), "{}", report.render());
    }
}
