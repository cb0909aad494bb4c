//! Trivial rankings of the nodes.

use analyze::cause::localize::{Question, Series};

/// Robust deviations beyond which a node counts as abnormal.
const ABNORMAL: f64 = 3.0;

/// How many nodes have the alarmed metric with values in the window.
pub fn candidates(question: &Question) -> usize {
    deviations(question, from_mean).len()
}

/// By name: nodes with scores; empty where the peer says nothing.
pub fn rankings(question: &Question) -> Vec<(&'static str, Vec<(usize, f64)>)> {
    let alarmed = question.series.get(question.alarmed).map(|alarm| alarm.entity);
    vec![
        ("alarmed node", alarmed.map(|node| (node, 1.0)).into_iter().collect()),
        ("largest |z|", deviations(question, from_mean)),
        ("deepest abnormal", alarmed.map(|node| deepest(question, node)).unwrap_or_default()),
    ]
}

/// For each node how far the alarmed metric's mean in the window is off, in deviations of the past.
fn deviations(question: &Question, scale: fn(&[f64]) -> (f64, f64)) -> Vec<(usize, f64)> {
    let Some(alarm) = question.series.get(question.alarmed) else { return Vec::new() };
    let deviation = |s: &Series| {
        let (middle, scale) = scale(&known(s.before));
        let off = (mean(&known(s.within)) - middle).abs() / scale.max(1e-9);
        s.within.iter().any(|v| v.is_finite()).then_some((s.entity, if off.is_finite() { off } else { 0.0 }))
    };
    question.series.iter().filter(|s| s.name == alarm.name).filter_map(deviation).collect()
}

/// Walks from the alarmed node along calls over abnormal nodes; those that call no abnormal one are suspects.
fn deepest(question: &Question, alarmed: usize) -> Vec<(usize, f64)> {
    let mut abnormal = deviations(question, from_median);
    abnormal.retain(|(_, off)| *off > ABNORMAL);
    let of = |node: usize| abnormal.iter().find(|(other, _)| *other == node).copied();
    let (mut found, mut seen, mut open) = (Vec::new(), vec![alarmed], vec![alarmed]);
    while let Some(node) = open.pop() {
        let Some(this) = of(node) else { continue };
        let called = question.calls.iter().filter(|(from, to)| *from == node && to != from).map(|(_, to)| *to);
        let called: Vec<usize> = called.filter(|to| of(*to).is_some()).collect();
        if called.is_empty() {
            found.push(this);
        }
        for next in called.into_iter().filter(|to| !seen.contains(to)).collect::<Vec<_>>() {
            seen.push(next);
            open.push(next);
        }
    }
    found
}

/// Mean and standard deviation.
fn from_mean(values: &[f64]) -> (f64, f64) {
    let middle = mean(values);
    (middle, mean(&values.iter().map(|v| (v - middle).powi(2)).collect::<Vec<_>>()).sqrt())
}

/// Median, and median absolute deviation on the scale of a standard one.
fn from_median(values: &[f64]) -> (f64, f64) {
    let middle = median(values);
    (middle, 1.4826 * median(&values.iter().map(|v| (v - middle).abs()).collect::<Vec<_>>()))
}

fn known(values: &[f64]) -> Vec<f64> {
    values.iter().copied().filter(|v| v.is_finite()).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
