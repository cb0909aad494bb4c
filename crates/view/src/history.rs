//! The past on demand: one trait, in memory for tests and the simulator, from the store when live.

use std::sync::Arc;

use types::{Batch, EntityKey, SeriesId, Time};

/// One stored event.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// When it happened.
    pub time: Time,
    /// What it is about.
    pub entity: EntityKey,
    /// Its kind.
    pub kind: String,
    /// A JSON object.
    pub attributes: String,
}

/// Typed reads over what was learned. The implementation must honour `learned_by`: a row learned later is not there.
pub trait History {
    /// Points of one series with `from <= time < to`, in order of time.
    fn samples(&self, series: SeriesId, from: Time, to: Time, learned_by: Time) -> Vec<(i64, f64)>;

    /// Events with `from <= time < to`, in order of time; of one entity or of all.
    fn events(&self, entity: Option<EntityKey>, from: Time, to: Time, learned_by: Time) -> Vec<EventRow>;
}

/// History over batches held in memory.
#[derive(Default)]
pub struct MemoryHistory {
    /// What was accepted, in order.
    pub batches: Vec<Arc<Batch>>,
}

impl History for MemoryHistory {
    fn samples(&self, series: SeriesId, from: Time, to: Time, learned_by: Time) -> Vec<(i64, f64)> {
        let mut points = Vec::new();
        for batch in self.batches.iter().filter(|b| b.backfill || b.learned <= learned_by) {
            let rows = &batch.samples;
            for i in (0..rows.len()).filter(|&i| rows.series[i] == series && (from.0..to.0).contains(&rows.time[i])) {
                points.push((rows.time[i], rows.value[i]));
            }
        }
        points.retain(|p| p.0 <= learned_by.0);
        points.sort_by_key(|p| p.0);
        points
    }

    fn events(&self, entity: Option<EntityKey>, from: Time, to: Time, learned_by: Time) -> Vec<EventRow> {
        let mut found = Vec::new();
        for batch in self.batches.iter().filter(|b| b.backfill || b.learned <= learned_by) {
            let rows = &batch.events;
            for i in 0..rows.len() {
                let wanted = entity.is_none_or(|e| e == rows.entity[i]);
                if wanted && (from.0..to.0).contains(&rows.time[i]) && rows.time[i] <= learned_by.0 {
                    found.push(EventRow {
                        time: Time(rows.time[i]),
                        entity: rows.entity[i],
                        kind: rows.kind.get(i).to_owned(),
                        attributes: rows.attributes.get(i).to_owned(),
                    });
                }
            }
        }
        found.sort_by_key(|e| e.time);
        found
    }
}
