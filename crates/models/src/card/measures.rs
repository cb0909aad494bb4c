//! How well versions were measured to be: which metric, on which data, by whom; and one version beside another.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    book::Book,
    lineage::CONTEXT,
    registry::Version,
    runs::{DatasetInput, Run},
};

/// What a metric was measured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// On data that it was trained with.
    Training,
    /// On other data.
    Evaluation,
}

impl Phase {
    /// Reads what a run used data for, or the beginning of a metric's name.
    fn of(text: &str) -> Option<Phase> {
        let word = text.split(['_', '-', '/', '.', ' ', ':']).next().unwrap_or_default().to_ascii_lowercase();
        match word.as_str() {
            "train" | "training" | "fit" => Some(Phase::Training),
            "val" | "valid" | "validation" | "eval" | "evaluation" | "test" | "testing" | "holdout" => {
                Some(Phase::Evaluation)
            }
            _ => None,
        }
    }

    /// What a run used a data set for, as far as it says.
    pub(super) fn of_data(dataset: &DatasetInput) -> Option<Phase> {
        dataset.tags.get(CONTEXT).and_then(|context| Phase::of(context))
    }
}

/// A value of a metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// Its name.
    pub metric: String,
    /// Its last value.
    pub value: f64,
    /// At which step, and when, ms.
    pub step: i64,
    /// See `step`.
    pub at: i64,
    /// On which data, where that is said.
    pub data: Option<DataName>,
    /// What for, where the data or the metric's name says it.
    pub phase: Option<Phase>,
    /// The run that said it.
    pub run: String,
}

/// A data set by name and digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DataName {
    /// Its name.
    pub name: String,
    /// Its digest; empty: not said.
    pub digest: String,
}

/// A metric of two versions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Its name.
    pub metric: String,
    /// Its value of this version, and of the other.
    pub value: f64,
    /// See `value`.
    pub other: f64,
    /// Whether both were measured on data of the same digest; `None`: one of them does not say.
    pub same_data: Option<bool>,
}

/// What was measured of a version: of its logged model, by data; else of its run. By metric and data.
pub(super) fn measures(book: &Book, version: &Version) -> Vec<Measure> {
    let run = book.run(&version.run).ok();
    let contexts = run.map(|(run, _)| contexts(run)).unwrap_or_default();
    let mut found: BTreeMap<(String, Option<DataName>), Measure> = BTreeMap::new();
    let logged = book.logged_model(&version.model, true).ok();
    for metric in logged.into_iter().flat_map(|model| &model.metrics) {
        let Some(value) = metric.value.filter(|value| value.is_finite()) else { continue };
        let data = metric
            .dataset_name
            .as_ref()
            .map(|name| DataName { name: name.clone(), digest: metric.dataset_digest.clone().unwrap_or_default() });
        let of_data = data.as_ref().and_then(|data| contexts.get(data.digest.as_str()).copied());
        let measure = Measure {
            metric: metric.key.clone(),
            value,
            step: metric.step,
            at: metric.timestamp,
            phase: of_data.or_else(|| Phase::of(&metric.key)),
            data: data.clone(),
            run: metric.run.clone(),
        };
        let known = found.entry((metric.key.clone(), data)).or_insert_with(|| measure.clone());
        if (measure.step, measure.at) >= (known.step, known.at) {
            *known = measure;
        }
    }
    let of_model: BTreeSet<String> = found.keys().map(|(metric, _)| metric.clone()).collect();
    if let Some((run, latest)) = run {
        let others = latest.0.iter().filter(|(metric, p)| p.value.is_finite() && !of_model.contains(&***metric));
        for (metric, point) in others {
            let measure = Measure {
                metric: metric.to_string(),
                value: point.value,
                step: point.step,
                at: point.timestamp,
                data: None,
                phase: Phase::of(metric),
                run: run.id.clone(),
            };
            found.insert((metric.to_string(), None), measure);
        }
    }
    found.into_values().collect()
}

/// What a run used data for, by digest.
fn contexts(run: &Run) -> BTreeMap<&str, Phase> {
    let said = run.datasets.iter().filter(|data| !data.digest.is_empty());
    said.filter_map(|data| Some((data.digest.as_str(), Phase::of_data(data)?))).collect()
}

/// The metrics that two versions share, by name: on the same data where they have one in common, else the last values.
pub(super) fn compare(own: &[Measure], other: &[Measure]) -> Vec<Compared> {
    let names: BTreeSet<&str> = own.iter().map(|measure| measure.metric.as_str()).collect();
    names.into_iter().filter_map(|name| compare_metric(name, own, other)).collect()
}

fn compare_metric(name: &str, own: &[Measure], other: &[Measure]) -> Option<Compared> {
    let of = |all: &'_ [Measure]| all.iter().filter(|measure| measure.metric == name).cloned().collect::<Vec<_>>();
    let (own, other) = (of(own), of(other));
    let on_the_same = own.iter().find_map(|a| {
        let b = other.iter().find(|b| digest(a).is_some() && digest(a) == digest(b))?;
        Some((a.value, b.value))
    });
    if let Some((value, other)) = on_the_same {
        return Some(Compared { metric: name.to_owned(), value, other, same_data: Some(true) });
    }
    let last = |all: &[Measure]| all.iter().max_by_key(|measure| (measure.step, measure.at)).map(|m| m.value);
    let says = |all: &[Measure]| all.iter().any(|measure| digest(measure).is_some());
    let same_data = (says(&own) && says(&other)).then_some(false);
    Some(Compared { metric: name.to_owned(), value: last(&own)?, other: last(&other)?, same_data })
}

fn digest(measure: &Measure) -> Option<&str> {
    measure.data.as_ref().map(|data| data.digest.as_str()).filter(|digest| !digest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(metric: &str, value: f64, digest: &str) -> Measure {
        let data = (!digest.is_empty()).then(|| DataName { name: "d".into(), digest: digest.into() });
        Measure { metric: metric.into(), value, step: 0, at: 0, data, phase: None, run: String::new() }
    }

    #[test]
    fn versions_are_held_against_each_other_on_the_same_data_where_there_is_some() {
        let own = [measure("a", 0.9, "x"), measure("a", 0.7, "y"), measure("b", 1.0, ""), measure("c", 1.0, "x")];
        let other = [measure("a", 0.8, "y"), measure("a", 0.1, "z"), measure("b", 2.0, "x"), measure("c", 3.0, "y")];
        let told: Vec<_> =
            compare(&own, &other).into_iter().map(|c| (c.metric, c.value, c.other, c.same_data)).collect();
        assert_eq!(
            told,
            [("a".into(), 0.7, 0.8, Some(true)), ("b".into(), 1.0, 2.0, None), ("c".into(), 1.0, 3.0, Some(false))]
        );
        assert!(compare(&own, &[]).is_empty());
    }

    #[test]
    fn names_say_what_a_metric_is_of_by_their_first_word() {
        assert_eq!(Phase::of("training_accuracy_score"), Some(Phase::Training));
        assert_eq!(Phase::of("val/loss"), Some(Phase::Evaluation));
        assert_eq!((Phase::of("valuable"), Phase::of("accuracy"), Phase::of("")), (None, None, None));
    }
}
