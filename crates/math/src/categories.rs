//! A place that takes few different values, and how surprising one is that was never there.
//!
//! Idea: how likely the next value is a new one is told by how often new ones came: by Laplace's rule of succession
//! over the latest nine tenths of the history, `(new + 1) / (values + 1)`. A place whose values all came in its first
//! tenth and that then took thousands of known ones is closed, and a new value in it is news; a place that finds new
//! values all the time never is. Each new value is known from then on, so that a place can be surprising only about
//! once for each tenfold of its history.
//!
//! Cost: a search among at most [`MAX_VALUES`] numbers, about 10 ns; 12 bytes a value. Fails on: values that come back
//! less often than once in the history (a nightly job is new in the first night); places with more than
//! [`MAX_VALUES`] values, which are never judged; runs of one value count as often as they are long.

use serde::{Deserialize, Serialize};

/// Different values of a place at most. One more, and it is [`Seen::TooMany`] for good: no category.
pub const MAX_VALUES: usize = 64;

/// What a place has taken so far. Values are known by their hash alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Categories {
    count: u64,
    hashes: Vec<u64>,
    /// Values before each was first seen; rising. Empty where there were too many.
    firsts: Vec<u64>,
    too_many: bool,
}

/// What a value is to its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seen {
    /// It was there before.
    Known,
    /// It was not; -log10 of how likely a new one was, 0 or more.
    New(f64),
    /// The place takes any number of values.
    TooMany,
}

impl Categories {
    /// Takes the next value in.
    pub fn observe(&mut self, hash: u64) -> Seen {
        if self.too_many {
            return Seen::TooMany;
        }
        let before = self.count;
        self.count += 1;
        if self.hashes.contains(&hash) {
            return Seen::Known;
        }
        if self.hashes.len() == MAX_VALUES {
            *self = Categories { count: self.count, too_many: true, ..Categories::default() };
            return Seen::TooMany;
        }
        let surprise = self.surprise_of_new(before);
        self.hashes.push(hash);
        self.firsts.push(before);
        Seen::New(surprise)
    }

    /// How many values were taken, equal ones counted each time.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many different ones; 0 where there were too many.
    pub fn distinct(&self) -> usize {
        self.hashes.len()
    }

    /// Whether it takes any number of values.
    pub fn is_too_many(&self) -> bool {
        self.too_many
    }

    fn surprise_of_new(&self, before: u64) -> f64 {
        let settled = before / 10;
        let new = self.firsts.iter().rev().take_while(|first| **first >= settled).count();
        // All that a short history has is new.
        let new = if settled == 0 { before } else { new as u64 };
        (((before - settled) as f64 + 1.0) / (new as f64 + 1.0)).log10().max(0.0)
    }
}

/// Hash of a value's text (FNV-1a, Fowler, Noll and Vo 1991; the first 256 bytes count).
pub fn hash_of(text: &str) -> u64 {
    let of_byte = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    text.as_bytes().iter().take(256).fold(0xcbf2_9ce4_8422_2325, of_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(values: impl IntoIterator<Item = u64>) -> Categories {
        let mut place = Categories::default();
        values.into_iter().for_each(|value| _ = place.observe(value));
        place
    }

    #[test]
    fn a_new_value_is_as_surprising_as_the_history_is_long() {
        let mut place = after((0..10_000).map(|i| i % 5));
        assert_eq!((place.observe(3), place.distinct(), place.count()), (Seen::Known, 5, 10_001));
        let Seen::New(surprise) = place.observe(77) else { panic!("new") };
        assert!((surprise - 9002_f64.log10()).abs() < 1e-4, "{surprise}");
        // A second one right after it is no longer as surprising.
        let Seen::New(second) = place.observe(78) else { panic!("new") };
        assert!((surprise - second - 2_f64.log10()).abs() < 1e-3, "{second}");
    }

    #[test]
    fn a_place_that_keeps_finding_values_is_never_surprising() {
        let mut place = Categories::default();
        for i in 0..40_u64 {
            (0..100).for_each(|_| assert!(!matches!(place.observe(i), Seen::New(surprise) if surprise > 2.2)));
        }
    }

    #[test]
    fn too_many_values_are_no_category_and_cost_nothing() {
        let mut place = after(0..1_000_000);
        assert_eq!(place.observe(1), Seen::TooMany);
        assert!(place.is_too_many() && place.distinct() == 0 && place.hashes.capacity() == 0);
        assert_eq!(Categories::default().observe(u64::MAX), Seen::New(0.0));
        // The published values of FNV-1a.
        assert_eq!((hash_of(""), hash_of("foobar")), (0xcbf2_9ce4_8422_2325, 0x8594_4171_f739_67e8));
    }
}
