//! How unusual a share is, where shares wander from one stretch of time to the next.
//!
//! Idea: hits among tries, counted in blocks (minutes), are beta-binomial: each block has its own rate, drawn around a
//! mean. How much rates wander is the intraclass correlation, estimated from the blocks by analysis of variance
//! (Ridout, Demétrio and Firth, Biometrics 1999); what came in bursts before is then no surprise when it comes in a
//! burst again, and what never came is one. The tail is that of [`crate::counts::beta_binomial_upper`].
//!
//! Cost: linear in the blocks. Fails on: trends of the rate; few blocks, in which no burst was seen yet.

use crate::counts::beta_binomial_upper;

/// Tries that a rate is worth at most, however long it was watched: tries within a block depend on one another.
const WORTH_MOST: f64 = 100.0;
/// Hits among two tries that stand for what is not known.
const PRIOR_HITS: f64 = 0.5;

/// The rate at which something came, and how sure it is: the two parameters of a beta distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Share of hits, above 0 and below 1.
    pub share: f64,
    /// Tries that it is worth, 1 to 100: few where it wandered.
    pub worth: f64,
}

impl Rate {
    /// From hits and tries by block; hits above the tries count as so many tries. Without a try nothing is known: one
    /// half, worth one try.
    pub fn of_blocks(blocks: impl Iterator<Item = (u32, u32)> + Clone) -> Rate {
        let sums = |(k, n, blocks, squares), (hits, tries): (u32, u32)| {
            let (hits, tries) = (f64::from(hits.min(tries)), f64::from(tries));
            (k + hits, n + tries, blocks + f64::from(u8::from(tries > 0.0)), squares + tries * tries)
        };
        let (hits, tries, count, squares) = blocks.clone().fold((0.0, 0.0, 0.0, 0.0), sums);
        let share = (hits + PRIOR_HITS) / (tries + 2.0 * PRIOR_HITS);
        let most = (tries + 1.0).clamp(1.0, WORTH_MOST);
        let mean = if tries > 0.0 { hits / tries } else { 0.5 };
        let mut between = 0.0;
        let mut inside = 0.0;
        for (hits, tries) in blocks.filter(|(_, tries)| *tries > 0) {
            let (own, tries) = (f64::from(hits.min(tries)) / f64::from(tries), f64::from(tries));
            between += tries * (own - mean).powi(2);
            inside += tries * own * (1.0 - own);
        }
        if count < 2.0 || tries <= count || between + inside <= 0.0 {
            return Rate { share, worth: most };
        }
        let (between, inside) = (between / (count - 1.0), inside / (tries - count));
        let usual_tries = (tries - squares / tries) / (count - 1.0);
        let alike = (between - inside) / (between + (usual_tries - 1.0) * inside);
        let worth = if alike > 0.0 { 1.0 / alike - 1.0 } else { most };
        Rate { share, worth: worth.clamp(1.0, most) }
    }

    /// -log10 of the chance of at least so many hits among so many tries, 0..=300.
    pub fn surprise(&self, hits: u32, tries: u32) -> f64 {
        let (a, b) = (self.share * self.worth, (1.0 - self.share) * self.worth);
        beta_binomial_upper(u64::from(hits.min(tries)), u64::from(tries), a, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_in_bursts_is_less_surprising_than_what_came_evenly() {
        let even = Rate::of_blocks((0..40).map(|_| (2, 20)));
        let bursts = Rate::of_blocks((0..40).map(|i| (if i % 10 == 0 { 20 } else { 0 }, 20)));
        assert!((even.share - bursts.share).abs() < 1e-9);
        assert!(even.worth == 100.0 && bursts.worth < 2.0, "{even:?} {bursts:?}");
        assert!(even.surprise(15, 20) > 8.0 && bursts.surprise(15, 20) < 1.5);
    }

    #[test]
    fn what_never_came_is_a_surprise_that_grows_with_the_hits() {
        let never = Rate::of_blocks((0..40).map(|_| (0, 20)));
        assert!(never.surprise(1, 20) > 1.0 && never.surprise(1, 20) < 3.5, "{}", never.surprise(1, 20));
        assert!(never.surprise(8, 12) > 8.0);
        assert_eq!(never.surprise(0, 12), 0.0);
    }

    #[test]
    fn the_correlation_of_a_known_example() {
        // Blocks of four, half of them all hits: between = 20 / 9, inside = 0, so they are all alike.
        let alike = Rate::of_blocks((0..10).map(|i| (if i % 2 == 0 { 4 } else { 0 }, 4)));
        assert_eq!((alike.share, alike.worth), (0.5, 1.0));
        // Blocks (1, 4) and (3, 4): mean 1/2, between 8 · 1/16 / 1 = 1/2, inside 8 · 3/16 / 6 = 1/4, four tries a block:
        // (1/2 - 1/4) / (1/2 + 3/4) = 1/5, worth four tries.
        let mixed = Rate::of_blocks([(1, 4), (3, 4)].into_iter());
        assert!((mixed.worth - 4.0).abs() < 1e-9, "{mixed:?}");
    }

    #[test]
    fn odd_blocks_are_no_trouble() {
        for blocks in [vec![], vec![(0, 0)], vec![(5, 0), (7, 3)], vec![(u32::MAX, u32::MAX), (0, 1)], vec![(1, 1); 3]]
        {
            let rate = Rate::of_blocks(blocks.iter().copied());
            assert!(rate.share > 0.0 && rate.share < 1.0 && rate.worth >= 1.0, "{blocks:?}: {rate:?}");
            assert!(rate.surprise(7, 9).is_finite() && rate.surprise(9, 7).is_finite() && rate.surprise(0, 0) == 0.0);
        }
    }
}
