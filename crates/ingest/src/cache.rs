//! What the hot path remembers between requests: ids by the hash of the bytes that name them.
//!
//! Pure speed: an empty cache gives the same batches. Bounded by generations: when the young half is full it becomes
//! the old half and the old half is forgotten; what is still in use moves back as it is met.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use types::{EntityKey, ResourceId, SeriesId};

/// Keys are hashes already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

type Map<V> = HashMap<u128, V, BuildHasherDefault<AsIs>>;

/// The id of a series and for which times it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub id: SeriesId,
    /// Index into the spans; 0 is always.
    span: u32,
}

/// Ids of series by the hash of their encoded labels.
pub(crate) struct SeriesCache {
    young: Map<Entry>,
    old: Map<Entry>,
    half: usize,
    spans: Vec<(i64, i64)>,
    epoch: u64,
}

const ALWAYS: (i64, i64) = (i64::MIN, i64::MAX);

impl SeriesCache {
    pub fn new(max: usize) -> SeriesCache {
        let half = (max / 2).max(1);
        SeriesCache { young: Map::default(), old: Map::default(), half, spans: vec![ALWAYS], epoch: 0 }
    }

    /// The entry of a key, and whether it should be put in again to stay.
    #[inline]
    pub fn get(&self, key: u128) -> Option<(Entry, bool)> {
        if let Some(entry) = self.young.get(&key) {
            return Some((*entry, false));
        }
        self.old.get(&key).map(|entry| (*entry, true))
    }

    /// Whether an entry holds at a time.
    #[inline]
    pub fn holds(&self, entry: Entry, time: i64) -> bool {
        if entry.span == 0 {
            return true;
        }
        self.spans.get(entry.span as usize).is_some_and(|(from, to)| (*from..*to).contains(&time))
    }

    /// Remembers an id for the times `from..to`.
    pub fn insert(&mut self, key: u128, id: SeriesId, from: i64, to: i64) {
        let span = match self.spans.iter().position(|s| *s == (from, to)) {
            Some(span) => span,
            None if self.spans.len() >= 1024 => return,
            None => {
                self.spans.push((from, to));
                self.spans.len() - 1
            }
        };
        self.put(key, Entry { id, span: span as u32 });
    }

    /// Keeps an entry of the old half.
    pub fn put(&mut self, key: u128, entry: Entry) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, entry);
    }

    /// Forgets all; entries found under an earlier epoch must not be put in any more.
    pub fn clear(&mut self) {
        self.young = Map::default();
        self.old = Map::default();
        self.spans = vec![ALWAYS];
        self.epoch += 1;
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

/// The ids that a resource has in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResourceEntry {
    pub id: ResourceId,
    pub entity: EntityKey,
    pub from: i64,
    pub to: i64,
}

impl ResourceEntry {
    #[inline]
    pub fn holds(&self, time: i64) -> bool {
        (self.from..self.to).contains(&time)
    }
}

/// Ids of resources by the hash of their encoded form.
pub(crate) struct ResourceCache {
    entries: Map<ResourceEntry>,
    max: usize,
    epoch: u64,
}

impl ResourceCache {
    pub fn new(max: usize) -> ResourceCache {
        ResourceCache { entries: Map::default(), max: max.max(1), epoch: 0 }
    }

    pub fn get(&self, key: u128) -> Option<ResourceEntry> {
        self.entries.get(&key).copied()
    }

    pub fn insert(&mut self, key: u128, entry: ResourceEntry) {
        if self.entries.len() >= self.max {
            self.entries.clear();
        }
        self.entries.insert(key, entry);
    }

    pub fn clear(&mut self) {
        self.entries.clear();
        self.epoch += 1;
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_bounded_and_keeps_what_is_used() {
        let mut cache = SeriesCache::new(100);
        for key in 0..10_000u128 {
            if let Some((entry, true)) = cache.get(7) {
                cache.put(7, entry);
            }
            cache.insert(key, SeriesId(key as u32), i64::MIN, i64::MAX);
        }
        assert!(cache.len() <= 100);
        assert_eq!(cache.get(7).map(|(e, _)| e.id), Some(SeriesId(7)));
        assert_eq!(cache.get(8), None);
    }

    #[test]
    fn an_entry_holds_only_in_its_span() {
        let mut cache = SeriesCache::new(100);
        cache.insert(1, SeriesId(1), 10, 20);
        let (entry, _) = cache.get(1).unwrap();
        assert_eq!([9, 10, 19, 20].map(|t| cache.holds(entry, t)), [false, true, true, false]);
    }
}
