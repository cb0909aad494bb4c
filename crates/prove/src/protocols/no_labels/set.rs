//! A set of predictions: labelled ones, and ones whose labels came later.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::Path,
};

use math::no_labels::{Figures, realised};

use super::PROTOCOL;
use crate::{Problem, data};

/// Different texts of a column at most that is taken for categories; others (names, times) are no inputs.
const CATEGORIES_MAX: usize = 200;

/// Predictions with and without labels.
pub struct Set {
    pub reference: Labelled,
    pub scores: Vec<f64>,
    pub predicted: Vec<bool>,
    /// Whether a row has a category that the reference lacks, or a number beyond all of it by its whole range.
    pub beyond: Vec<bool>,
    /// What turned out, where it is known.
    labels: Vec<Option<bool>>,
}

/// Predictions whose labels are known.
#[derive(Default)]
pub struct Labelled {
    pub scores: Vec<f64>,
    pub predicted: Vec<bool>,
    pub labels: Vec<bool>,
}

impl Set {
    /// The figures that turned out in some rows.
    pub fn realised(&self, rows: Range<usize>) -> Figures<f64> {
        let mut known = Labelled::default();
        for i in rows {
            known.push(self.scores[i], self.predicted[i], self.labels[i]);
        }
        realised(&known.scores, &known.predicted, &known.labels)
    }
}

impl Labelled {
    fn push(&mut self, score: f64, predicted: bool, label: Option<bool>) {
        let Some(label) = label else { return };
        self.scores.push(score);
        self.predicted.push(predicted);
        self.labels.push(label);
    }
}

/// Reads a set; `None` where it is not one of a binary model with scores.
pub fn read(folder: &Path, name: &str) -> Result<Option<Set>, Problem> {
    let table = |part: &str| Texts::read(&folder.join(format!("{name}_{part}.csv")));
    let (reference, analysis, target) = (table("reference")?, table("analysis")?, table("analysis_target")?);
    Ok(set_of(&reference, &analysis, &target))
}

fn set_of(reference: &Texts, analysis: &Texts, target: &Texts) -> Option<Set> {
    let is_target = |name: &&String| !analysis.has(name) && reference.has(name);
    let label = target.names.iter().find(is_target)?.clone();
    let score = reference.names.iter().find(|n| n.to_lowercase().contains("proba") && analysis.has(n))?.clone();
    let is_prediction = |n: &&String| n.to_lowercase().contains("pred") && **n != score && analysis.has(n);
    let prediction = reference.names.iter().filter(is_prediction).find(|n| reference.truths(n).is_some()).cloned();
    let (scores, numbers) = (reference.numbers(&score)?, analysis.numbers(&score)?);
    let predicted = |of: &Texts, scores: &[f64]| match &prediction {
        Some(name) => Some(of.truths(name)?.into_iter().map(|p| p.unwrap_or(false)).collect()),
        None => Some(scores.iter().map(|s| *s >= 0.5).collect::<Vec<bool>>()),
    };
    let mut labelled = Labelled::default();
    let labels = reference.truths(&label)?;
    for ((s, p), l) in scores.iter().zip(predicted(reference, &scores)?).zip(labels) {
        labelled.push(*s, p, l);
    }
    let key = target.names.iter().find(|n| analysis.has(n));
    let labels = matched(analysis, target, key, &target.truths(&label)?);
    let not_inputs: Vec<&str> =
        [Some(&score), prediction.as_ref(), key].into_iter().flatten().map(|n| n.as_str()).collect();
    let beyond = beyond(reference, analysis, &not_inputs);
    Some(Set { reference: labelled, predicted: predicted(analysis, &numbers)?, scores: numbers, beyond, labels })
}

/// Labels in the order of the analysis rows: by a column that both have, or as they come.
fn matched(analysis: &Texts, target: &Texts, key: Option<&String>, labels: &[Option<bool>]) -> Vec<Option<bool>> {
    let by_key: Option<BTreeMap<&str, Option<bool>>> =
        key.map(|key| target.column(key).zip(labels.iter().copied()).collect());
    let at = |i: usize, key: &str| match &by_key {
        Some(known) => known.get(key).copied().flatten(),
        None => labels.get(i).copied().flatten(),
    };
    match key {
        Some(key) => analysis.column(key).enumerate().map(|(i, text)| at(i, text)).collect(),
        None => (0..analysis.rows.len()).map(|i| at(i, "")).collect(),
    }
}

/// Rows of the analysis that no row of the reference is like, in some input.
fn beyond(reference: &Texts, analysis: &Texts, not_inputs: &[&str]) -> Vec<bool> {
    let mut beyond = vec![false; analysis.rows.len()];
    for name in reference.names.iter().filter(|n| analysis.has(n) && !not_inputs.contains(&n.as_str())) {
        let is_beyond = unlike(reference, name);
        for (found, text) in beyond.iter_mut().zip(analysis.column(name)) {
            *found |= is_beyond(text);
        }
    }
    beyond
}

fn unlike<'a>(reference: &'a Texts, name: &str) -> Box<dyn Fn(&str) -> bool + 'a> {
    if let Some(numbers) = reference.numbers(name) {
        let known = numbers.iter().copied().filter(|v| v.is_finite());
        let (low, high) = known.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let room = (high - low).max(0.0);
        return Box::new(move |text| text.trim().parse().is_ok_and(|v: f64| v < low - room || v > high + room));
    }
    let categories: BTreeSet<&str> = reference.column(name).collect();
    let is_input = categories.len() <= CATEGORIES_MAX;
    Box::new(move |text| is_input && !text.is_empty() && !categories.contains(text))
}

/// A CSV file as text.
struct Texts {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Texts {
    fn read(path: &Path) -> Result<Texts, Problem> {
        let mut rows = data::rows(path, b',', PROTOCOL.layout)?.into_iter();
        Ok(Texts { names: rows.next().unwrap_or_default(), rows: rows.collect() })
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|n| n == name)
    }

    fn column(&self, name: &str) -> impl Iterator<Item = &str> + '_ {
        let at = self.names.iter().position(|n| n == name);
        self.rows.iter().map(move |row| at.and_then(|at| row.get(at)).map_or("", |t| t.as_str()))
    }

    /// Numbers, NaN where the field is empty; `None` if some field is no number.
    fn numbers(&self, name: &str) -> Option<Vec<f64>> {
        let number = |text: &str| if text.trim().is_empty() { Some(f64::NAN) } else { text.trim().parse().ok() };
        self.column(name).map(number).collect()
    }

    /// Yes and no, `None` inside where the field is empty; `None` if some field is neither.
    fn truths(&self, name: &str) -> Option<Vec<Option<bool>>> {
        let truth = |text: &str| match text.trim().to_lowercase().as_str() {
            "" | "nan" => Some(None),
            "1" | "1.0" | "true" => Some(Some(true)),
            "0" | "0.0" | "false" => Some(Some(false)),
            _ => None,
        };
        self.column(name).map(truth).collect()
    }
}
