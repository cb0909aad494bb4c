//! Inputs that are broken rather than different: what a pipeline does to a column, not the world.
//!
//! Each rule holds a window against the reference rows and has a threshold of its own; none is a test of chance but
//! that of missing values. They are set so that a window of healthy rows breaks none.

use std::collections::{BTreeMap, BTreeSet};

use types::Band;

use super::claims::{band, tidy};
use super::compare::{Pair, appeared, share};
use super::sample::{Cell, Column, Of, Sample, shown};
use crate::detect::words::{percent, rounded};

/// Rows that break a rule at least.
const ROWS_MIN: usize = 5;
/// Share of values of another type, or that differ from what was constant.
const OTHER_TYPE_MIN: f64 = 0.05;
/// Share of numbers beyond the reference's range by more than its whole width: the reference has none.
const FAR_MIN: f64 = 0.01;
/// Share of values that were never seen, where values are a closed set; and times what is to be expected of it.
const UNSEEN_MIN: f64 = 0.02;
const UNSEEN_TIMES: f64 = 5.0;
/// Different texts up to which they are a closed set.
const CLOSED_MAX: usize = 64;
/// Share of the commonest value below which a column that is constant now was not before.
const VARIED_MAX: f64 = 0.9;
/// Values that it takes to call a column constant.
const CONSTANT_MIN: usize = 50;
/// Share of rows with a new column.
const APPEARED_MIN: f64 = 0.5;

/// A rule that a column breaks.
pub(super) struct Issue {
    pub column: String,
    /// One clause that names the column.
    pub text: String,
    pub observed: f64,
    pub expected: Band,
}

/// All that is broken, in order of columns; one issue each.
pub(super) fn issues(pairs: &[Pair], reference: &Sample, window: &Sample) -> Vec<Issue> {
    let inputs = pairs.iter().filter(|pair| pair.before.of == Of::Input);
    let mut found: Vec<Issue> = inputs.filter_map(issue).collect();
    found.extend(appeared(reference, window).iter().filter_map(new_column));
    found
}

/// Whether each row of a window has a value unlike all of the reference, in order of time.
pub(super) fn beyond(pairs: &[Pair], rows: usize) -> Vec<bool> {
    let mut beyond = vec![false; rows];
    for pair in pairs.iter().filter(|pair| pair.before.of == Of::Input) {
        let known = Known::of(&pair.before);
        let marks = beyond.iter_mut().zip(&pair.now.cells);
        marks.for_each(|(mark, cell)| *mark |= known.is_far(*cell) || known.is_unseen(*cell));
    }
    beyond
}

fn issue(pair: &Pair) -> Option<Issue> {
    let known = Known::of(&pair.before);
    missing(pair)
        .or_else(|| type_changed(pair))
        .or_else(|| no_more_constant(pair, &known))
        .or_else(|| far(pair, &known))
        .or_else(|| unseen(pair, &known))
        .or_else(|| constant(pair))
}

/// What the reference says of a column's values.
struct Known {
    range: Option<(f64, f64)>,
    texts: Option<BTreeSet<Cell>>,
    /// Share of values that came once: about the chance that the next one is new (Good 1953).
    once: f64,
    /// The one value there is.
    constant: Option<Cell>,
}

impl Known {
    fn of(column: &Column) -> Known {
        let mut counts: BTreeMap<Cell, usize> = BTreeMap::new();
        let present = column.present();
        present.iter().for_each(|cell| *counts.entry(*cell).or_default() += 1);
        let numbers = counts.keys().filter_map(|c| c.as_number());
        let range = numbers.fold(None, |r, v| Some(r.map_or((v, v), |(l, h): (f64, f64)| (l.min(v), h.max(v)))));
        let is_closed = !column.is_of_numbers() && counts.len() <= CLOSED_MAX;
        Known {
            range: range.filter(|(low, high)| column.is_of_numbers() && low < high),
            once: share(counts.values().filter(|n| **n == 1).count(), present.len()),
            constant: counts.keys().next().copied().filter(|_| counts.len() == 1),
            texts: is_closed.then(|| counts.into_keys().collect()),
        }
    }

    fn is_far(&self, cell: Cell) -> bool {
        let (Some((low, high)), Some(value)) = (self.range, cell.as_number()) else { return false };
        value < low - (high - low) || value > high + (high - low)
    }

    fn is_unseen(&self, cell: Cell) -> bool {
        !cell.is_missing() && self.texts.as_ref().is_some_and(|texts| !texts.contains(&cell))
    }
}

fn missing(pair: &Pair) -> Option<Issue> {
    let (was, is) = (pair.before_missing(), pair.now_missing());
    let name = pair.title();
    if is == 1.0 && was < 0.5 {
        return Some(pair.broken(format!("{name} is not there any more"), is, was));
    }
    let text = || format!("{name} is missing in {} of rows (was {})", percent(is), percent(was));
    pair.lacks_more().then(|| pair.broken(text(), is, was))
}

fn type_changed(pair: &Pair) -> Option<Issue> {
    let is_number = pair.before.is_of_numbers();
    let other = |column: &Column| {
        let present = column.present();
        share(present.iter().filter(|c| c.as_number().is_some() != is_number).count(), present.len())
    };
    let (was, is) = (other(&pair.before), other(&pair.now));
    let (usual, instead) = if is_number { ("numbers", "other than a number") } else { ("text", "a number") };
    let text = format!("{} is {instead} in {} of rows, where {usual} were usual", pair.title(), percent(is));
    (is >= was + OTHER_TYPE_MIN && pair.is_enough(is)).then(|| pair.broken(text, is, was))
}

fn no_more_constant(pair: &Pair, known: &Known) -> Option<Issue> {
    let only = known.constant.filter(|_| pair.before.present().len() >= CONSTANT_MIN)?;
    let present = pair.now.present();
    let is = share(present.iter().filter(|c| **c != only).count(), present.len());
    let value = pair.before.name_of(only).unwrap_or("one value".into());
    let text = format!("{} was always {value} and is another in {} of rows", pair.title(), percent(is));
    (is >= OTHER_TYPE_MIN && pair.is_enough(is)).then(|| pair.broken(text, is, 0.0))
}

fn far(pair: &Pair, known: &Known) -> Option<Issue> {
    let (low, high) = known.range?;
    let beyond: Vec<f64> = pair.now.cells.iter().filter(|c| known.is_far(**c)).filter_map(|c| c.as_number()).collect();
    let is = share(beyond.len(), pair.now.cells.len());
    let most = beyond.iter().copied().reduce(|a, b| if b.abs() > a.abs() { b } else { a })?;
    let [low, high, most] = [low, high, most].map(|v| rounded(v, 3));
    let text = format!("{} is far beyond {low} to {high} in {} of rows (up to {most})", pair.title(), percent(is));
    (is >= FAR_MIN && pair.is_enough(is)).then(|| pair.broken(text, is, 0.0))
}

fn unseen(pair: &Pair, known: &Known) -> Option<Issue> {
    let present = pair.now.present();
    let new: Vec<Cell> = present.iter().copied().filter(|c| known.is_unseen(*c)).collect();
    let is = share(new.len(), present.len());
    let example = pair.now.name_of(*new.first()?).unwrap_or("another value".into());
    let text = format!("{} has values that it never had, such as {example}, in {} of rows", pair.title(), percent(is));
    let least = UNSEEN_MIN.max(UNSEEN_TIMES * known.once);
    (is >= least && pair.is_enough(is)).then(|| pair.broken(text, is, known.once))
}

fn constant(pair: &Pair) -> Option<Issue> {
    let present = pair.now.present();
    let only = *present.first().filter(|first| present.iter().all(|c| c == *first))?;
    let before = pair.before.present();
    let was = share(before.iter().filter(|c| **c == only).count(), before.len());
    let value = pair.now.name_of(only).unwrap_or("one value".into());
    let text = format!("{} is always {value} (was in {} of rows)", pair.title(), percent(was));
    (present.len() >= CONSTANT_MIN && was <= VARIED_MAX).then(|| pair.broken(text, 1.0, was))
}

fn new_column(column: &Column) -> Option<Issue> {
    let is = 1.0 - share(column.missing(), column.cells.len());
    let name = shown(column.name);
    let text = format!("{name} is there in {} of rows and was not before", percent(is));
    let issue = Issue { column: name, text, observed: tidy(is), expected: band(0.0, 0.0) };
    (is >= APPEARED_MIN).then_some(issue)
}

impl Pair<'_> {
    fn is_enough(&self, share: f64) -> bool {
        share * self.now.cells.len() as f64 >= ROWS_MIN as f64
    }

    fn broken(&self, text: String, is: f64, was: f64) -> Issue {
        let half = 2.0 * (was * (1.0 - was) / self.now.cells.len().max(1) as f64).sqrt();
        Issue { column: self.title(), text, observed: tidy(is), expected: band(was, half) }
    }
}
