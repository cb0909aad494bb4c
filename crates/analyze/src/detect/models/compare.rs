//! A window held against the reference, column by column.

use std::collections::BTreeMap;

use math::drift_two_sample::{self, Comparison, NotEnough, categories, false_discovery, missing, numbers};
use types::Band;

use super::claims::{band, tidy};
use super::events::hash;
use super::sample::{Cell, Column, Of, Sample, shown};
use crate::detect::words::{percent, rounded};

/// Permutations of all columns together, and of each at least and at most: 200 columns cost no more than 50.
const DRAWS: usize = 20_000;
const DRAWS_EACH: (usize, usize) = (100, 400);
/// Corrected chance and effect from which one window is enough.
const SURE_P: f64 = 1e-6;
const SURE_EFFECT: f64 = 0.3;
/// Standard deviations from which the mean is what is said to have moved.
const MEAN_MOVED: f64 = 0.15;

/// A column before and now; all values of one that is not there now are missing.
pub(super) struct Pair<'a> {
    pub before: Column<'a>,
    pub now: Column<'a>,
    /// How its values differ; `None` where it cannot be told.
    pub values: Option<Comparison>,
    /// How often there is none.
    pub missing: Option<Comparison>,
    /// Chances, corrected for all columns of the model.
    pub p: f64,
    pub p_missing: f64,
}

impl Pair<'_> {
    pub fn has_drifted(&self) -> bool {
        self.values.is_some_and(|c| c.drifted(self.p))
    }

    pub fn lacks_more(&self) -> bool {
        self.missing.is_some_and(|c| c.drifted(self.p_missing)) && self.now_missing() > self.before_missing()
    }

    /// Whether one window says it beyond doubt.
    pub fn is_sure(&self) -> bool {
        self.p <= SURE_P && self.effect() >= SURE_EFFECT && self.has_drifted()
    }

    /// -log10 of the corrected chance, 0..=300.
    pub fn surprise(&self) -> f64 {
        -self.p.max(1e-300).log10()
    }

    /// The distance beyond chance, 0..=1.
    pub fn effect(&self) -> f64 {
        self.values.map_or(0.0, |c| c.effect)
    }

    pub fn before_missing(&self) -> f64 {
        share(self.before.missing(), self.before.cells.len())
    }

    pub fn now_missing(&self) -> f64 {
        share(self.now.missing(), self.now.cells.len())
    }

    /// The column as people call it.
    pub fn title(&self) -> String {
        match self.before.of {
            Of::Prediction => "the prediction".into(),
            Of::Probability => format!("the probability of {}", shown(self.before.name)),
            Of::Input | Of::Certainty => shown(self.before.name),
        }
    }
}

/// Holds all columns of the reference against a window. Seeds come from the names, so that order does not matter.
pub(super) fn compare<'a>(reference: &'a Sample, window: &'a Sample, of_whom: &str) -> Vec<Pair<'a>> {
    let rows = window.len();
    let mut now: BTreeMap<(Of, &str), Column> = window.columns().into_iter().map(|c| ((c.of, c.name), c)).collect();
    let mut pairs: Vec<Pair> = compared(reference.columns())
        .into_iter()
        .map(|before| {
            let now = now.remove(&(before.of, before.name)).unwrap_or_else(|| before.gone(rows));
            Pair { before, now, values: None, missing: None, p: 1.0, p_missing: 1.0 }
        })
        .collect();
    let draws = (DRAWS / pairs.len().max(1)).clamp(DRAWS_EACH.0, DRAWS_EACH.1);
    for pair in &mut pairs {
        let seed = hash(&[of_whom, pair.before.name, &format!("{:?}", pair.before.of)]);
        pair.judge(&drift_two_sample::Settings { draws, seed });
    }
    correct(&mut pairs);
    pairs
}

/// Columns of the window that the reference does not have.
pub(super) fn appeared<'a>(reference: &Sample, window: &'a Sample) -> Vec<Column<'a>> {
    let known = reference.columns();
    let is_new = |c: &Column| c.of == Of::Input && !known.iter().any(|k| (k.of, k.name) == (c.of, c.name));
    window.columns().into_iter().filter(is_new).collect()
}

/// Of two classes one probability says it all.
fn compared(mut columns: Vec<Column>) -> Vec<Column> {
    if columns.iter().filter(|c| c.of == Of::Probability).count() == 2
        && let Some(first) = columns.iter().position(|c| c.of == Of::Probability)
    {
        columns.remove(first);
    }
    columns.retain(|c| c.of != Of::Certainty);
    columns
}

impl Pair<'_> {
    fn judge(&mut self, settings: &drift_two_sample::Settings) {
        let said: Result<Comparison, NotEnough> = if self.before.is_of_numbers() {
            numbers(&self.before.numbers(), &self.now.numbers(), settings)
        } else {
            categories(&self.before.present(), &self.now.present(), settings)
        };
        self.values = said.ok();
        if self.before.of == Of::Input {
            let lacks = |of: &Column| of.cells.iter().map(|c| c.is_missing()).collect::<Vec<bool>>();
            self.missing = missing(&lacks(&self.before), &lacks(&self.now), settings).ok();
        }
    }

    /// How it differs, in words and numbers.
    pub fn change(&self) -> Change {
        if self.before.is_of_numbers() { self.change_of_numbers() } else { self.change_of_shares() }
    }

    fn change_of_numbers(&self) -> Change {
        let (before, now) = (Moments::of(&self.before.numbers()), Moments::of(&self.now.numbers()));
        let (name, moved) = (self.title(), now.mean - before.mean);
        let text = if moved.abs() >= MEAN_MOVED * before.deviation {
            let way = if moved > 0.0 { "higher" } else { "lower" };
            let [by, now, before] = [moved.abs(), now.mean, before.mean].map(|v| rounded(v, 3));
            format!("{name} is {by} {way} on average ({now}, was {before})")
        } else {
            let [low, high, was_low, was_high] = [now.low, now.high, before.low, before.high].map(|v| rounded(v, 3));
            format!("{name} is spread otherwise (nine in ten lie in {low} to {high}, were in {was_low} to {was_high})")
        };
        let half = 2.0 * before.deviation / (self.now.cells.len().max(1) as f64).sqrt();
        Change { text, observed: tidy(now.mean), expected: band(before.mean, half) }
    }

    fn change_of_shares(&self) -> Change {
        let (before, now) = (shares(&self.before), shares(&self.now));
        let of = |shares: &BTreeMap<Cell, f64>, cell: Cell| shares.get(&cell).copied().unwrap_or(0.0);
        let moved = |cell: Cell| (of(&now, cell) - of(&before, cell)).abs();
        let most = before.keys().chain(now.keys()).copied().reduce(|a, b| if moved(b) > moved(a) { b } else { a });
        let Some(most) = most else { return Change { text: self.title(), observed: 0.0, expected: band(0.0, 0.0) } };
        let value = self.now.name_of(most).or_else(|| self.before.name_of(most)).unwrap_or("one value".into());
        let (is, was) = (of(&now, most), of(&before, most));
        let text = format!("{} is {value} in {} of rows (was {})", self.title(), percent(is), percent(was));
        let half = 2.0 * (was * (1.0 - was) / self.now.cells.len().max(1) as f64).sqrt();
        Change { text, observed: tidy(is), expected: band(was, half) }
    }
}

/// A change in words, with the mean or share that shows it.
pub(super) struct Change {
    pub text: String,
    pub observed: f64,
    pub expected: Band,
}

/// Corrects the chances of all columns of the model together.
fn correct(pairs: &mut [Pair]) {
    let known = |c: &Option<Comparison>| c.as_ref().map(|c| c.p);
    let p: Vec<f64> = pairs.iter().flat_map(|pair| [known(&pair.values), known(&pair.missing)]).flatten().collect();
    let mut corrected = false_discovery(&p).into_iter();
    for pair in pairs {
        pair.p = pair.values.and_then(|_| corrected.next()).unwrap_or(1.0);
        pair.p_missing = pair.missing.and_then(|_| corrected.next()).unwrap_or(1.0);
    }
}

struct Moments {
    mean: f64,
    deviation: f64,
    low: f64,
    high: f64,
}

impl Moments {
    fn of(values: &[f64]) -> Moments {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt();
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| sorted.get((share * sorted.len() as f64) as usize).copied().unwrap_or(mean);
        Moments { mean, deviation, low: at(0.05), high: at(0.95) }
    }
}

fn shares(column: &Column) -> BTreeMap<Cell, f64> {
    let present = column.present();
    let mut shares: BTreeMap<Cell, f64> = BTreeMap::new();
    present.iter().for_each(|cell| *shares.entry(*cell).or_default() += 1.0 / present.len() as f64);
    shares
}

pub(super) fn share(of: usize, all: usize) -> f64 {
    if all == 0 { 0.0 } else { of as f64 / all as f64 }
}
