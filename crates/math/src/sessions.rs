//! Sessions of events held against normal ones by how often each event came.
//!
//! Idea: a session is the vector of its events' counts. Normal sessions take few such vectors; one that was never seen,
//! or hardly ever, is abnormal. Landauer et al. (FSE 2024) show that this does as well as sequence models on the
//! public sets. Cost: a look-up a session. Fails where sessions are long and free, so that no two are alike, and where
//! abnormal sessions have normal counts.

use std::collections::{BTreeMap, BTreeSet};

/// Vectors and steps kept at most; further ones count as never seen.
const MAX_KEPT: usize = 100_000;

/// What normal sessions look like.
#[derive(Clone, Debug, Default)]
pub struct Normal {
    sessions: u64,
    vectors: BTreeMap<Vec<(u32, u32)>, u64>,
    /// How many vectors were seen so often.
    vectors_by_count: BTreeMap<u64, u64>,
    /// Counts seen of each event.
    counts: BTreeMap<u32, BTreeSet<u32>>,
    steps: BTreeSet<(u32, u32)>,
}

/// Why a session is unusual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An event that no normal session had.
    NewEvent(u32),
    /// An event came as often as in no normal session (0: it is missing).
    NewCount(u32, u32),
    /// The counts are each known but not together.
    NewCombination,
    /// The counts were together in so many normal sessions only.
    RareCombination(u64),
    /// An event followed another as never before. Told, but no part of the surprise: order scatters in normal sessions.
    NewStep(u32, u32),
}

/// The verdict on a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// -log10 of the share of normal sessions that are at least as unusual; beyond what the normal sessions can tell
    /// (`1 / (n + 1)`) it grows by the logarithm of how much is new.
    pub surprise: f64,
    /// What is unusual, most telling first.
    pub reasons: Vec<Reason>,
}

impl Normal {
    /// Takes a normal session in: its events in order.
    pub fn learn(&mut self, session: &[u32]) {
        self.sessions += 1;
        let vector = counts(session);
        for (event, count) in &vector {
            self.counts.entry(*event).or_default().insert(*count);
        }
        if self.steps.len() < MAX_KEPT {
            self.steps.extend(session.windows(2).map(|pair| (pair[0], pair[1])));
        }
        if self.vectors.len() >= MAX_KEPT && !self.vectors.contains_key(&vector) {
            return;
        }
        let seen = self.vectors.entry(vector).or_default();
        if let Some(vectors) = self.vectors_by_count.get_mut(seen) {
            *vectors -= 1;
        }
        *seen += 1;
        *self.vectors_by_count.entry(*seen).or_default() += 1;
    }

    /// Holds a session against the normal ones.
    pub fn judge(&self, session: &[u32]) -> Verdict {
        let vector = counts(session);
        let all = self.sessions as f64 + 1.0;
        let steps = session.windows(2).map(|pair| (pair[0], pair[1]));
        let steps: BTreeSet<(u32, u32)> = steps.filter(|step| !self.steps.contains(step)).collect();
        let steps = steps.into_iter().map(|(from, to)| Reason::NewStep(from, to));
        if let Some(seen) = self.vectors.get(&vector) {
            let as_rare: u64 = self.vectors_by_count.range(..=seen).map(|(count, vectors)| count * vectors).sum();
            let surprise = (all / (as_rare as f64 + 1.0)).log10().max(0.0);
            let rare = (surprise >= 2.0).then_some(Reason::RareCombination(*seen));
            return Verdict { surprise, reasons: rare.into_iter().chain(steps).collect() };
        }
        let mut reasons: Vec<Reason> = Vec::new();
        for (event, count) in &vector {
            match self.counts.get(event) {
                None => reasons.push(Reason::NewEvent(*event)),
                Some(known) if !known.contains(count) => reasons.push(Reason::NewCount(*event, *count)),
                Some(_) => {}
            }
        }
        if reasons.is_empty() {
            reasons.push(Reason::NewCombination);
        }
        let surprise = all.log10() + (reasons.len() as f64).log10();
        reasons.extend(steps);
        Verdict { surprise, reasons }
    }
}

/// Events with their counts, in order of event.
fn counts(session: &[u32]) -> Vec<(u32, u32)> {
    let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
    for event in session {
        *counts.entry(*event).or_default() += 1;
    }
    counts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_seen_is_more_surprising_than_what_is_rare() {
        let mut normal = Normal::default();
        (0..998).for_each(|_| normal.learn(&[1, 2, 2, 3]));
        normal.learn(&[1, 2, 3]);
        let usual = normal.judge(&[2, 1, 2, 3]);
        assert_eq!(usual.surprise, 0.0);
        assert_eq!(usual.reasons, [Reason::NewStep(1, 2), Reason::NewStep(2, 1)][1..]);
        let rare = normal.judge(&[1, 2, 3]);
        assert!((rare.surprise - 500_f64.log10()).abs() < 1e-12, "{rare:?}");
        let new = normal.judge(&[1, 2, 3, 9]);
        assert!(new.surprise >= 3.0 && new.reasons[0] == Reason::NewEvent(9), "{new:?}");
        assert_eq!(normal.judge(&[1, 1, 2, 3]).reasons[0], Reason::NewCount(1, 2));
    }

    #[test]
    fn nothing_learned_and_nothing_given_are_no_trouble() {
        assert_eq!(Normal::default().judge(&[]).surprise, 0.0);
        let mut normal = Normal::default();
        normal.learn(&[]);
        assert!(normal.judge(&[u32::MAX; 3]).surprise.is_finite());
    }
}
