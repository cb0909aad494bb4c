//! Trivial rankings of the nodes.

use analyze::cause::localize::Question;

/// Robust deviations beyond which a node counts as abnormal.
const ABNORMAL: f64 = 3.0;

/// The nodes that have the alarmed metric with values in the window.
pub fn candidates(question: &Question) -> Vec<usize> {
    deviations(question, false).into_iter().map(|d| d.0).collect()
}

/// By name; empty where the peer says nothing.
pub fn rankings(question: &Question) -> Vec<(&'static str, Vec<(usize, f64)>)> {
    let Some(alarm) = question.series.get(question.alarmed) else { return Vec::new() };
    vec![
        ("alarmed", vec![(alarm.entity, 1.0)]),
        ("max |z|", deviations(question, false)),
        ("deepest", deepest(question, alarm.entity)),
    ]
}

/// For each node how far the alarmed metric's mean in the window is off, in deviations of the past: standard ones from
/// the mean, or median absolute ones from the median.
fn deviations(question: &Question, is_robust: bool) -> Vec<(usize, f64)> {
    let Some(alarm) = question.series.get(question.alarmed) else { return Vec::new() };
    let same = question.series.iter().filter(|s| s.name == alarm.name);
    let deviation = |s: &analyze::cause::localize::Series| {
        let (before, now) = (known(s.before), known(s.within));
        if now.is_empty() {
            return None;
        }
        let (middle, scale) = if is_robust {
            let middle = median(before.clone());
            (middle, 1.4826 * median(before.iter().map(|v| (v - middle).abs()).collect()))
        } else {
            let middle = mean(&before);
            (middle, mean(&before.iter().map(|v| (v - middle).powi(2)).collect::<Vec<_>>()).sqrt())
        };
        let z = (mean(&now) - middle).abs() / scale.max(1e-9);
        Some((s.entity, if z.is_finite() { z } else { 0.0 }))
    };
    same.filter_map(deviation).collect()
}

/// Walks from the alarmed node along calls over abnormal nodes; those that call no abnormal one are suspects.
fn deepest(question: &Question, alarmed: usize) -> Vec<(usize, f64)> {
    let abnormal: Vec<(usize, f64)> = deviations(question, true).into_iter().filter(|d| d.1 > ABNORMAL).collect();
    let of = |node: usize| abnormal.iter().find(|d| d.0 == node).copied();
    let (mut found, mut seen, mut open) = (Vec::new(), vec![alarmed], vec![alarmed]);
    while let Some(node) = open.pop() {
        let Some(this) = of(node) else { continue };
        let called = question.calls.iter().filter(|c| c.0 == node && c.1 != node).map(|c| c.1);
        let called: Vec<usize> = called.filter(|c| of(*c).is_some()).collect();
        if called.is_empty() {
            found.push(this);
        }
        for next in called {
            if !seen.contains(&next) {
                seen.push(next);
                open.push(next);
            }
        }
    }
    found
}

fn known(values: &[f64]) -> Vec<f64> {
    values.iter().copied().filter(|v| v.is_finite()).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
