//! How often groups of people get the favourable prediction, over time.
//!
//! The rate of each group of a sensitive column is taken over a window of rows, each with its weight; a group counts
//! by its effective size, `(Σ w)² / Σ w²` (Kish 1965). The lowest rate over the highest is held against four fifths
//! (the rule of the US Uniform Guidelines on Employee Selection, 1978). So that chance says nothing, the *upper* end of
//! the lowest rate's Wilson interval (Wilson 1927) over the *lower* end of the highest one's must be below it: both
//! ends are of 95 %, their ratio is surer than that, which leaves room for choosing the two groups among many.

use std::collections::BTreeMap;

use math::shares::wilson_of;
use serde::{Deserialize, Serialize};
use types::{HOUR, MINUTE};

use super::events::{Prediction, Value};
use super::sample::shown;

/// Rows of a window, and how long it lasts at least; at most an hour if it has some rows by then.
const ROWS: u64 = 2000;
const LEAST_NS: i64 = MINUTE;
const MOST_NS: i64 = HOUR;
const FEW_ROWS: u64 = 100;
/// Groups of a column; what has more is no column of groups.
const MAX_GROUPS: usize = 32;
/// Standard errors of a 95 % interval.
const Z: f64 = 1.96;

/// Counts of the present window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Fairness {
    rows: u64,
    pub from: i64,
    columns: BTreeMap<String, BTreeMap<String, Group>>,
    /// Windows in a row in which a column was unfair, and when the first began.
    streaks: BTreeMap<String, (u32, i64)>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Group {
    weight: f64,
    squares: f64,
    favoured: f64,
}

/// The least and the most favoured group of a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gap {
    pub lowest: (String, f64),
    pub highest: (String, f64),
    /// Upper end of the ratio of the two.
    pub ratio_most: f64,
}

impl Gap {
    pub fn ratio(&self) -> f64 {
        if self.highest.1 > 0.0 { self.lowest.1 / self.highest.1 } else { 1.0 }
    }
}

impl Fairness {
    /// Takes a prediction into the groups of all sensitive columns that it has.
    pub fn take(&mut self, time: i64, row: &Prediction, sensitive: &[String], favourable: &str) {
        let Some(predicted) = row.prediction.value() else { return };
        let is_favoured = predicted == Value::of_text(favourable);
        let weight = row.weight.filter(|w| w.is_finite() && *w > 0.0).unwrap_or(1.0).min(1e9);
        self.from = if self.rows == 0 { time } else { self.from.min(time) };
        self.rows += 1;
        for column in sensitive {
            let value = row.inputs.iter().find(|(name, _)| *name.0 == **column).map(|(_, value)| value.text());
            let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
            let groups = self.columns.entry(column.clone()).or_default();
            let value = shown(&value);
            if groups.len() <= MAX_GROUPS || groups.contains_key(&value) {
                groups.entry(value).or_default().add(weight, is_favoured);
            }
        }
    }

    pub fn is_due(&self, now: i64) -> bool {
        let lasted = now - self.from;
        self.rows >= ROWS && lasted >= LEAST_NS || self.rows >= FEW_ROWS && lasted >= MOST_NS
    }

    /// Ends the window: of each column its gap, if there are two groups that are large enough.
    pub fn close(&mut self, group_min: f64) -> Vec<(String, Option<Gap>)> {
        self.rows = 0;
        let columns = std::mem::take(&mut self.columns);
        columns.into_iter().map(|(column, groups)| (column, gap(&groups, group_min))).collect()
    }

    /// Counts a window in which a column was unfair or not; gives the streak and its beginning.
    pub fn count(&mut self, column: &str, is_unfair: bool) -> (u32, i64) {
        if !is_unfair {
            self.streaks.remove(column);
            return (0, self.from);
        }
        let streak = self.streaks.entry(column.to_owned()).or_insert((0, self.from));
        streak.0 = streak.0.saturating_add(1);
        *streak
    }
}

impl Group {
    fn add(&mut self, weight: f64, is_favoured: bool) {
        self.weight += weight;
        self.squares += weight * weight;
        self.favoured += if is_favoured { weight } else { 0.0 };
    }

    fn size(&self) -> f64 {
        self.weight * self.weight / self.squares
    }

    fn rate(&self) -> f64 {
        self.favoured / self.weight
    }
}

fn gap(groups: &BTreeMap<String, Group>, group_min: f64) -> Option<Gap> {
    if groups.len() > MAX_GROUPS {
        return None;
    }
    let large: Vec<(&String, &Group)> = groups.iter().filter(|(_, g)| g.size() >= group_min).collect();
    let by_rate = |a: &&(&String, &Group), b: &&(&String, &Group)| a.1.rate().total_cmp(&b.1.rate());
    let (lowest, highest) = (large.iter().min_by(by_rate)?, large.iter().max_by(by_rate)?);
    if lowest.0 == highest.0 {
        return None;
    }
    let most = wilson_of(lowest.1.rate(), lowest.1.size(), Z).1;
    let least = wilson_of(highest.1.rate(), highest.1.size(), Z).0;
    let ratio_most = if least > 0.0 { most / least } else { 1.0 };
    let named = |(name, group): &(&String, &Group)| ((*name).clone(), group.rate());
    Some(Gap { lowest: named(lowest), highest: named(highest), ratio_most })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(of: &[(f64, f64)]) -> BTreeMap<String, Group> {
        let group = |(n, rate): &(f64, f64)| Group { weight: *n, squares: *n, favoured: n * rate };
        of.iter().enumerate().map(|(i, g)| (format!("g{i}"), group(g))).collect()
    }

    #[test]
    fn intervals_are_those_published() {
        // Newcombe (Statistics in Medicine 1998): 81 of 263, and 15 of 148.
        let (low, high) = wilson_of(81.0 / 263.0, 263.0, Z);
        assert!((low - 0.2553).abs() < 2e-4 && (high - 0.3662).abs() < 2e-4, "{low} {high}");
        let (low, high) = wilson_of(15.0 / 148.0, 148.0, Z);
        assert!((low - 0.0624).abs() < 2e-4 && (high - 0.1605).abs() < 2e-4, "{low} {high}");
    }

    #[test]
    fn a_gap_needs_two_large_groups_and_more_than_chance() {
        let wide = gap(&groups(&[(1000.0, 0.6), (1000.0, 0.3), (10.0, 0.0)]), 50.0).unwrap();
        assert!((wide.ratio() - 0.5).abs() < 1e-9 && wide.ratio_most < 0.6, "{wide:?}");
        let small = gap(&groups(&[(60.0, 0.5), (60.0, 0.37)]), 50.0).unwrap();
        assert!(small.ratio() < 0.8 && small.ratio_most > 0.8, "{small:?}");
        assert_eq!(gap(&groups(&[(1000.0, 0.6), (10.0, 0.1)]), 50.0), None);
        assert_eq!(gap(&groups(&[(100.0, 0.0), (100.0, 0.0)]), 50.0).unwrap().ratio_most, 1.0);
    }

    #[test]
    fn weights_count_and_do_not_make_rows_more_than_they_are() {
        let mut group = Group::default();
        (0..100).for_each(|i| group.add(if i % 2 == 0 { 9.0 } else { 1.0 }, i % 2 == 0));
        assert!((group.rate() - 0.9).abs() < 1e-9 && group.size() < 61.0, "{}", group.size());
    }
}
