//! Sessions of events held against normal ones by how often each event came.
//!
//! Idea: a session is the vector of its events' counts. Normal sessions take few such vectors; one that was never seen,
//! or hardly ever, is abnormal. Landauer et al. (FSE 2024) show that this does as well as sequence models on the
//! public sets. Cost: a look-up a session. Fails where sessions are long and free, so that no two are alike, and where
//! abnormal sessions have normal counts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Vectors, events and steps kept at most where no other bound is given.
const MAX_KEPT: usize = 100_000;

/// What normal sessions look like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normal {
    /// Vectors kept at most; where there are more, all counts are halved, and what came once is forgotten.
    most: usize,
    sessions: u64,
    #[serde(with = "pairs")]
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

impl Default for Normal {
    fn default() -> Normal {
        Normal::with_most(MAX_KEPT)
    }
}

impl Normal {
    /// Nothing learned; at most so many vectors, events and steps are kept.
    pub fn with_most(most: usize) -> Normal {
        Normal {
            most,
            sessions: 0,
            vectors: BTreeMap::new(),
            vectors_by_count: BTreeMap::new(),
            counts: BTreeMap::new(),
            steps: BTreeSet::new(),
        }
    }

    /// How many sessions were learned (halved with their counts).
    pub fn sessions(&self) -> u64 {
        self.sessions
    }

    /// Takes a normal session in: its events in order.
    pub fn learn(&mut self, session: &[u32]) {
        self.learn_steps(session.windows(2).map(|pair| (pair[0], pair[1])));
        self.learn_vector(counts(session), 1);
    }

    /// Takes normal sessions in that were `times` the same: their events with counts, in the order in which each came
    /// first.
    pub fn learn_counted(&mut self, events: &[(u32, u32)], times: u64) {
        self.learn_steps(events.windows(2).map(|pair| (pair[0].0, pair[1].0)));
        self.learn_vector(in_order(events), times);
    }

    /// Holds a session against the normal ones.
    pub fn judge(&self, session: &[u32]) -> Verdict {
        self.judge_vector(counts(session), session.windows(2).map(|pair| (pair[0], pair[1])))
    }

    /// The same for events with counts, in the order in which each came first.
    pub fn judge_counted(&self, events: &[(u32, u32)]) -> Verdict {
        self.judge_vector(in_order(events), events.windows(2).map(|pair| (pair[0].0, pair[1].0)))
    }

    /// The events of the most frequent session, with their counts.
    pub fn most_frequent(&self) -> Option<&[(u32, u32)]> {
        let most = self.vectors.iter().max_by_key(|(vector, seen)| (**seen, std::cmp::Reverse(*vector)));
        most.map(|(vector, _)| &vector[..])
    }

    /// An event turned out to be another one. Whether it was known at all.
    pub fn rename(&mut self, from: u32, to: u32) -> bool {
        let Some(known) = self.counts.remove(&from) else { return false };
        self.counts.entry(to).or_default().extend(known);
        let name = |event: u32| if event == from { to } else { event };
        self.steps = std::mem::take(&mut self.steps).into_iter().map(|(a, b)| (name(a), name(b))).collect();
        let renamed = |events: Vec<(u32, u32)>| {
            let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
            for (event, count) in events {
                let known = counts.entry(name(event)).or_default();
                *known = known.saturating_add(count);
            }
            counts.into_iter().collect()
        };
        for (vector, seen) in std::mem::take(&mut self.vectors) {
            *self.vectors.entry(renamed(vector)).or_default() += seen;
        }
        self.count_vectors();
        true
    }

    fn learn_steps(&mut self, steps: impl Iterator<Item = (u32, u32)>) {
        let room = self.most.saturating_sub(self.steps.len());
        self.steps.extend(steps.take(room));
    }

    fn learn_vector(&mut self, vector: Vec<(u32, u32)>, times: u64) {
        self.sessions += times;
        for (event, count) in &vector {
            if self.counts.len() < self.most || self.counts.contains_key(event) {
                self.counts.entry(*event).or_default().insert(*count);
            }
        }
        if self.vectors.len() >= self.most && !self.vectors.contains_key(&vector) {
            self.halve();
        }
        if self.vectors.len() >= self.most && !self.vectors.contains_key(&vector) {
            return;
        }
        let seen = self.vectors.entry(vector).or_default();
        if let Some(vectors) = self.vectors_by_count.get_mut(seen) {
            *vectors -= 1;
            if *vectors == 0 {
                self.vectors_by_count.remove(seen);
            }
        }
        *seen += times;
        *self.vectors_by_count.entry(*seen).or_default() += 1;
    }

    fn halve(&mut self) {
        self.sessions /= 2;
        self.vectors.values_mut().for_each(|seen| *seen /= 2);
        self.vectors.retain(|_, seen| *seen > 0);
        self.count_vectors();
    }

    fn count_vectors(&mut self) {
        self.vectors_by_count.clear();
        for seen in self.vectors.values() {
            *self.vectors_by_count.entry(*seen).or_default() += 1;
        }
    }

    fn judge_vector(&self, vector: Vec<(u32, u32)>, steps: impl Iterator<Item = (u32, u32)>) -> Verdict {
        let all = self.sessions as f64 + 1.0;
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

impl Verdict {
    /// Whether its counts were in no normal session.
    pub fn is_new(&self) -> bool {
        let is_new = |r: &Reason| matches!(r, Reason::NewEvent(_) | Reason::NewCount(..) | Reason::NewCombination);
        self.reasons.iter().any(is_new)
    }

    /// Whether an event followed another as never before.
    pub fn has_new_step(&self) -> bool {
        self.reasons.iter().any(|reason| matches!(reason, Reason::NewStep(..)))
    }
}

fn in_order(events: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut vector = events.to_vec();
    vector.sort_unstable();
    vector
}

/// A map whose keys are lists, as pairs: JSON knows only text as keys.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    type Map = BTreeMap<Vec<(u32, u32)>, u64>;

    pub(super) fn serialize<S: Serializer>(map: &Map, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Map, D::Error> {
        Ok(Vec::<(Vec<(u32, u32)>, u64)>::deserialize(from)?.into_iter().collect())
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
    fn counted_sessions_are_the_same_sessions() {
        let (mut listed, mut counted) = (Normal::default(), Normal::default());
        (0..20).for_each(|_| listed.learn(&[1, 2, 2, 3]));
        counted.learn_counted(&[(1, 1), (2, 2), (3, 1)], 20);
        assert_eq!((&listed.vectors, listed.sessions()), (&counted.vectors, counted.sessions()));
        assert!(!counted.judge_counted(&[(1, 1), (2, 2), (3, 1)]).is_new());
        let verdict = counted.judge_counted(&[(3, 1), (1, 1), (2, 2)]);
        assert!(!verdict.is_new() && verdict.has_new_step());
        assert!(counted.judge_counted(&[(1, 1)]).is_new());
        assert_eq!(counted.most_frequent(), Some(&[(1, 1), (2, 2), (3, 1)][..]));
        assert!(counted.rename(3, 2) && !counted.rename(3, 2));
        assert!(!counted.judge_counted(&[(1, 1), (2, 3)]).is_new());
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_frequent_stays() {
        let mut normal = Normal::with_most(50);
        for event in 10..10_000 {
            normal.learn(&[1, 2]);
            normal.learn(&[1, event]);
        }
        assert!(normal.vectors.len() <= 50 && normal.steps.len() <= 50 && normal.counts.len() <= 50);
        assert!(!normal.judge(&[1, 2]).is_new() && normal.judge(&[1, 2]).surprise < 0.5);
        let by_count: u64 = normal.vectors_by_count.values().sum();
        assert_eq!(by_count, normal.vectors.len() as u64);
    }

    #[test]
    fn nothing_learned_and_nothing_given_are_no_trouble() {
        assert_eq!(Normal::default().judge(&[]).surprise, 0.0);
        let mut normal = Normal::default();
        normal.learn(&[]);
        assert!(normal.judge(&[u32::MAX; 3]).surprise.is_finite());
    }
}
