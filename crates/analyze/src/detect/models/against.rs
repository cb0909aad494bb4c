//! A version held against the one that was in use when it began: whether it errs more, label by label, and how often
//! both predict the same for one row.
//!
//! Their errors are paired in the order in which labels come, and a sequential test watches which is worse more often
//! ([`math::sign_test`]). A version that follows another, or answers beside it, is held against the other's last errors
//! and those that still come; a shadow against those for the same rows. So a version that is worse from its first row
//! on, which is its own reference in all else, is told by its labels.

use std::cmp::Ordering;
use std::collections::VecDeque;

use math::sign_test::SignTest;
use serde::{Deserialize, Serialize};

/// Errors of a version that are kept for those that follow it, and that wait for theirs.
const KEPT: usize = 1000;
/// Surprise from which it is said, and below which it is not said any longer: it comes by chance for one version in
/// 1,000 that are no worse.
const SURE: f64 = 3.0;
const NOT_SURE: f64 = 1.0;

/// The last errors of a version, as bits of `f32`, in order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Recent {
    last: VecDeque<u32>,
    /// Of all that came.
    count: u64,
}

/// What a version is held against, and what came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Against {
    /// The other's place, which of those that had it, and what it is called.
    pub node: usize,
    pub generation: u8,
    pub name: String,
    /// The next of its errors.
    next: u64,
    /// Own errors that wait for one.
    waiting: VecDeque<u32>,
    test: SignTest,
    /// Sums over all pairs.
    own: f64,
    other: f64,
    /// Rows that both predicted, and for which they said the same.
    pub both: u64,
    pub same: u64,
}

/// What was found of a version against the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Compared {
    /// How much speaks for it being worse.
    pub surprise: f64,
    /// Mean errors.
    pub own: f64,
    pub other: f64,
    /// Pairs, and those in which it was worse and better.
    pub pairs: u64,
    pub worse: u64,
    pub better: u64,
}

impl Recent {
    pub fn push(&mut self, error: f64) {
        push(&mut self.last, error);
        self.count += 1;
    }

    /// The `number`-th of all errors, or the first after it that is kept.
    fn from(&self, number: u64) -> Option<(u64, f64)> {
        let first = self.count - self.last.len() as u64;
        let number = number.max(first);
        let bits = self.last.get((number - first) as usize)?;
        Some((number, f64::from(f32::from_bits(*bits))))
    }
}

impl Against {
    /// Begins to hold a version against another; one that answers other rows begins with what is known of the other.
    pub fn new(node: usize, generation: u8, name: &str, recent: &Recent, are_same_rows: bool) -> Against {
        let next = if are_same_rows { recent.count } else { 0 };
        Against { node, generation, name: name.to_owned(), next, ..Against::default() }
    }

    /// Takes an error of its own.
    pub fn push(&mut self, error: f64) {
        push(&mut self.waiting, error);
    }

    /// Pairs what waits with the other's errors.
    pub fn settle(&mut self, other: &Recent) {
        while let Some(own) = self.waiting.front()
            && let Some((number, theirs)) = other.from(self.next)
        {
            let own = f64::from(f32::from_bits(*own));
            self.waiting.pop_front();
            self.next = number + 1;
            self.own += own;
            self.other += theirs;
            self.test.push(own.partial_cmp(&theirs).unwrap_or(Ordering::Equal));
        }
    }

    pub fn compared(&self) -> Compared {
        let pairs = self.test.pairs();
        let mean = |sum: f64| sum / pairs.max(1) as f64;
        let SignTest { worse, better, .. } = self.test;
        Compared { surprise: self.test.surprise(), own: mean(self.own), other: mean(self.other), pairs, worse, better }
    }
}

impl Compared {
    /// Whether it is worse; `is_said`: whether that is being said.
    pub fn is_worse(&self, is_said: bool) -> bool {
        self.surprise >= if is_said { NOT_SURE } else { SURE }
    }
}

fn push(kept: &mut VecDeque<u32>, error: f64) {
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back((error as f32).to_bits());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_paired_in_order_and_what_is_gone_is_passed_over() {
        let mut recent = Recent::default();
        (0..2000).for_each(|i| recent.push(f64::from(i)));
        let mut against = Against::new(0, 0, "1", &recent, false);
        against.push(9000.0);
        against.settle(&recent);
        assert_eq!((against.next, against.compared().other), (1001, 1000.0), "the oldest that is kept");
        (0..1100).for_each(|_| against.push(0.0));
        against.settle(&recent);
        let compared = against.compared();
        assert_eq!((compared.pairs, compared.worse, compared.better, against.waiting.len()), (1000, 1, 999, 1));
        recent.push(5.0);
        against.settle(&recent);
        assert_eq!((against.compared().pairs, against.waiting.len()), (1001, 0));
        let mut shadow = Against::new(0, 0, "1", &recent, true);
        shadow.push(1.0);
        shadow.settle(&recent);
        assert_eq!(shadow.compared().pairs, 0, "a shadow waits for the same row");
        let text = serde_json::to_string(&against).unwrap();
        let back: Against = serde_json::from_str(&text).unwrap();
        assert_eq!((back.compared(), back.next), (against.compared(), against.next));
    }
}
