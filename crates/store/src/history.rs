//! The past for the engine: [`view::History`] over a store.

use std::sync::Arc;

use arrow::{
    array::AsArray,
    datatypes::{Int64Type, UInt32Type},
};
use types::{EntityKey, SeriesId, Time};
use view::{EventRow, History};

use crate::{
    Inner,
    scan::{Quarantine, Scan, Wanted},
    sealed::{SampleColumns, Signal},
};

/// Synchronous reads of what had been learned by a moment. Reads memory and sealed files directly.
#[derive(Clone)]
pub struct StoreHistory(Arc<Inner>);

impl StoreHistory {
    pub(crate) fn new(inner: Arc<Inner>) -> StoreHistory {
        StoreHistory(inner)
    }

    fn scan(&self, signal: Signal, wanted: Wanted) -> Scan {
        let snapshot = self.0.visible.snapshot();
        Scan::new(signal, wanted, snapshot, &self.0.directory.read(), Arc::new(Quarantine::default()))
    }
}

fn bounded(from: Time, to: Time, learned_by: Time) -> Wanted {
    Wanted {
        from: from.0,
        to: to.0.saturating_sub(1).min(learned_by.0),
        learned_by: Some(learned_by.0),
        ..Wanted::default()
    }
}

/// Marks one id.
pub(crate) fn only(id: u32) -> Vec<bool> {
    let mut marks = vec![false; id as usize + 1];
    marks[id as usize] = true;
    marks
}

impl History for StoreHistory {
    fn samples(&self, series: SeriesId, from: Time, to: Time, learned_by: Time) -> Vec<(i64, f64)> {
        let wanted = Wanted { series: Some(only(series.0)), ..bounded(from, to, learned_by) };
        let scan = self.scan(Signal::Samples, wanted);
        let mut points = Vec::new();
        for unit in scan.units() {
            let rows = scan.samples(&unit, SampleColumns { learned: true, value: true });
            points.extend(rows.time.into_iter().zip(rows.value));
        }
        points.sort_by_key(|p| p.0);
        points
    }

    fn events(&self, entity: Option<EntityKey>, from: Time, to: Time, learned_by: Time) -> Vec<EventRow> {
        let wanted = Wanted { entities: entity.map(|e| only(e.0)), ..bounded(from, to, learned_by) };
        let scan = self.scan(Signal::Events, wanted);
        let mut found = Vec::new();
        for unit in scan.units() {
            for (_, batch) in scan.rows(&unit, &["time", "entity", "kind", "attributes"]).unwrap_or_default() {
                let column = |name: &str| batch.column_by_name(name);
                let times = column("time").and_then(|c| c.as_primitive_opt::<Int64Type>());
                let entities = column("entity").and_then(|c| c.as_primitive_opt::<UInt32Type>());
                let kinds = column("kind").and_then(|c| c.as_string_opt::<i32>());
                let attributes = column("attributes").and_then(|c| c.as_string_opt::<i32>());
                let (Some(times), Some(entities), Some(kinds), Some(attributes)) = (times, entities, kinds, attributes)
                else {
                    continue;
                };
                for i in 0..batch.num_rows() {
                    found.push(EventRow {
                        time: Time(times.value(i)),
                        entity: EntityKey(entities.value(i)),
                        kind: kinds.value(i).to_owned(),
                        attributes: attributes.value(i).to_owned(),
                    });
                }
            }
        }
        found.sort_by_key(|e| e.time);
        found
    }
}
