//! Rises of counters: the last point of each series that is looked at, and by how much the next is above it.

use std::collections::BTreeMap;

use bytemuck::{Pod, Zeroable};
use types::SeriesKind;
use view::{Column, Pages};

/// Marks a row that no series has.
const FREE: u32 = u32::MAX;
/// A rise beyond this is no count.
const MOST_RISE: f64 = 1e15;

/// A rise of a counter over a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rise {
    /// Where the stretch begins; the point's own time where that is not known.
    pub from: i64,
    pub by: f64,
}

/// The last point of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Last {
    series: u32,
    /// 1 where a point was seen.
    seen: u32,
    time: i64,
    value: f64,
}

/// The counters that are looked at.
#[derive(Default)]
pub(crate) struct Rises {
    lasts: Column<Last>,
    /// Row by series; follows from the rows.
    rows: BTreeMap<u32, u32>,
    free: Vec<u32>,
}

impl Rises {
    /// The row of a series, a new one while there are fewer than `most`.
    pub fn row_of(&mut self, series: u32, most: usize) -> Option<u32> {
        if let Some(row) = self.rows.get(&series) {
            return Some(*row);
        }
        let row = match self.free.pop() {
            Some(row) => row,
            None if self.lasts.len() < most => self.lasts.len() as u32,
            None => return None,
        };
        *self.lasts.row(row as usize) = Last { series, ..Last::default() };
        self.rows.insert(series, row);
        Some(row)
    }

    /// Frees the rows of all series but these.
    pub fn keep(&mut self, is_kept: impl Fn(u32) -> bool) {
        let gone: Vec<(u32, u32)> =
            self.rows.iter().filter(|(series, _)| !is_kept(**series)).map(|(series, row)| (*series, *row)).collect();
        for (series, row) in gone {
            self.rows.remove(&series);
            *self.lasts.row(row as usize) = Last { series: FREE, ..Last::default() };
            self.free.push(row);
        }
    }

    /// Takes a point in; the rise since the last one. A counter that falls began anew.
    pub fn rise(&mut self, row: u32, series: u32, kind: SeriesKind, time: i64, value: f64) -> Option<Rise> {
        if !value.is_finite() || value < 0.0 {
            return None;
        }
        let last = self.lasts.row(row as usize);
        if last.seen == 1 && time <= last.time {
            return None;
        }
        let before = std::mem::replace(last, Last { series, seen: 1, time, value });
        let from = if before.seen == 1 { before.time } else { time };
        let by = match (kind, before.seen) {
            (SeriesKind::Delta, _) => value,
            (_, 0) => return None,
            // It began anew: what it shows came since.
            _ if value < before.value => value,
            _ => value - before.value,
        };
        (by > 0.0 && by <= MOST_RISE).then_some(Rise { from, by })
    }

    pub fn save(&mut self, all: bool, pages: &mut Pages) {
        self.lasts.save("last", all, pages);
    }

    pub fn load(&mut self, pages: &Pages) -> Result<(), String> {
        self.lasts.load("last", pages)?;
        for row in 0..self.lasts.len() {
            match self.lasts.peek(row).map(|last| last.series) {
                None | Some(FREE) => self.free.push(row as u32),
                Some(series) => {
                    self.rows.insert(series, row as u32);
                }
            }
        }
        Ok(())
    }
}
