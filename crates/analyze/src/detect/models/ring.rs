//! The last predictions of a model, for labels that come late.

use std::collections::BTreeMap;

use bytemuck::{Pod, Zeroable};
use view::{Column, Pages};

/// Predictions remembered of one model: at one a second, labels may be a day late.
pub(super) const MOST: usize = 100_000;

/// The predicted value is a number, not the hash of a text.
pub(super) const IS_NUMBER: u8 = 1;
/// It came with probabilities.
pub(super) const HAS_PROBABILITIES: u8 = 2;
/// Its label came.
pub(super) const IS_LABELLED: u8 = 4;

/// A prediction that awaits its label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Remembered {
    /// Hash of its id; 0 = empty.
    pub id: u64,
    /// Bits of an `f32`, or hash of a text.
    pub value: u32,
    /// Probability of the class that was predicted; NaN where there is none.
    pub certainty: f32,
    /// When it was made, seconds since the epoch.
    pub time_s: u32,
    /// Number of its version, and which of those that had this number.
    pub node: u16,
    pub generation: u8,
    pub flags: u8,
}

/// Predictions by id, the oldest of which make room.
#[derive(Default)]
pub(super) struct Ring {
    rows: Column<Remembered>,
    /// Derived from the rows, not saved.
    places: BTreeMap<u64, u32>,
}

impl Ring {
    pub fn has(&self, id: u64) -> bool {
        self.places.contains_key(&id)
    }

    /// Keeps a prediction as the `number`-th of its model.
    pub fn keep(&mut self, number: u64, prediction: Remembered) {
        let place = (number % MOST as u64) as usize;
        let row = self.rows.row(place);
        let old = std::mem::replace(row, prediction);
        if self.places.get(&old.id).is_some_and(|known| *known as usize == place) {
            self.places.remove(&old.id);
        }
        self.places.insert(prediction.id, place as u32);
    }

    /// The prediction with this id.
    pub fn get(&self, id: u64) -> Option<Remembered> {
        self.rows.peek(*self.places.get(&id)? as usize).copied()
    }

    /// The prediction with this id, marked as labelled from now on.
    pub fn label(&mut self, id: u64) -> Option<Remembered> {
        let place = *self.places.get(&id)? as usize;
        let row = self.rows.row(place);
        let before = *row;
        row.flags |= IS_LABELLED;
        Some(before)
    }

    /// Empties it for another model; pages of a checkpoint cannot be taken away, so that rows stay and are empty.
    pub fn clear(&mut self) {
        (0..self.rows.len()).for_each(|place| *self.rows.row(place) = Remembered::default());
        self.places.clear();
    }

    pub fn save(&mut self, name: &str, all: bool, pages: &mut Pages) {
        self.rows.save(name, all, pages);
    }

    pub fn load(name: &str, pages: &Pages) -> Result<Ring, String> {
        let mut ring = Ring::default();
        ring.rows.load(name, pages)?;
        let rows = (0..ring.rows.len()).filter_map(|place| Some((ring.rows.peek(place)?.id, place as u32)));
        ring.places = rows.filter(|(id, _)| *id != 0).collect();
        Ok(ring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room_and_what_is_kept_reads_back() {
        let mut ring = Ring::default();
        for number in 0..MOST as u64 + 10 {
            ring.keep(number, Remembered { id: number + 1, ..Remembered::default() });
        }
        assert!(!ring.has(10) && ring.has(11) && ring.has(MOST as u64 + 10) && ring.label(3).is_none());
        assert_eq!((ring.label(11).unwrap().flags, ring.label(11).unwrap().flags), (0, IS_LABELLED));
        let mut pages = Pages::new();
        ring.save("ring0", true, &mut pages);
        let back = Ring::load("ring0", &pages).unwrap();
        assert_eq!((back.places.clone(), back.rows.peek(7)), (ring.places.clone(), ring.rows.peek(7)));
        ring.clear();
        assert!(!ring.has(11) && ring.rows.len() == MOST);
    }
}
