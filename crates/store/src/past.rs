//! History as batches, so that the engine can be run over it again.

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::RecordBatch;
use types::{Batch, EntityKey, HOUR, MINUTE, ResourceId, SECOND, SeriesId, TemplateId, Tenant, Time};

use crate::{
    Inner, StoreError,
    reads::Columns,
    scan::{Quarantine, Scan, Wanted},
    sealed::{SampleColumns, Signal, storage_schema},
};

/// Rows that a stretch should hold at most, about: bounds memory.
const STRETCH_ROWS: f64 = 1_000_000.0;
/// Rows are put together by the second in which they were learned.
const GRAIN_NS: i64 = SECOND;

/// Reads history from one moment to another. See [`crate::Store::past`].
pub struct Past {
    inner: Arc<Inner>,
    next: Time,
    to: Time,
    stretch_ns: i64,
    /// Rows of earlier stretches that were learned after them.
    carried: BTreeMap<i64, BTreeMap<Tenant, Batch>>,
    quarantine: Arc<Quarantine>,
}

/// What was learned up to a moment.
pub struct Stretch {
    /// Up to here.
    pub to: Time,
    /// One for each second and tenant in which something was learned, in that order.
    pub batches: Vec<Batch>,
}

impl Past {
    pub(crate) fn new(inner: Arc<Inner>, from: Time, to: Time) -> Past {
        let stretch_ns = stretch(&inner, from, to);
        Past { inner, next: from, to, stretch_ns, carried: BTreeMap::new(), quarantine: Arc::default() }
    }

    /// The next stretch; `None` after the last. What was learned after the end of all is left out: it was not known.
    pub fn next_stretch(&mut self) -> Result<Option<Stretch>, StoreError> {
        if self.next >= self.to {
            return Ok(None);
        }
        let from = self.next;
        let to = from.plus(self.stretch_ns).min(self.to);
        self.next = to;
        for signal in [Signal::Samples, Signal::Records, Signal::Spans, Signal::Events] {
            self.read(signal, from, to)?;
        }
        let later = self.carried.split_off(&to.0);
        let known = std::mem::replace(&mut self.carried, later);
        let batches = known.into_values().flat_map(BTreeMap::into_values).collect();
        Ok(Some(Stretch { to, batches }))
    }

    /// What could not be read so far, one sentence a file.
    pub fn warnings(&self) -> Vec<String> {
        self.quarantine.warnings()
    }

    fn read(&mut self, signal: Signal, from: Time, to: Time) -> Result<(), StoreError> {
        let wanted = Wanted { from: from.0, to: to.0 - 1, ..Wanted::default() };
        let snapshot = self.inner.visible.snapshot();
        let inner = self.inner.clone();
        let scan = Scan::new(signal, wanted, snapshot, &inner.directory.read(), self.quarantine.clone());
        let schema = storage_schema(signal);
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        for unit in scan.units() {
            if signal == Signal::Samples {
                let rows = scan.samples(&unit, SampleColumns { learned: true, value: true });
                let registry = inner.directory.read();
                for i in 0..rows.series.len() {
                    let Some(def) = registry.series_def(SeriesId(rows.series[i])) else { continue };
                    let batch = self.batch(&def.tenant, rows.time[i], rows.learned[i]);
                    batch.samples.push(SeriesId(rows.series[i]), rows.time[i], rows.value[i]);
                }
            } else {
                for (tenant, columns) in scan.rows(&unit, &names)? {
                    self.take(signal, &tenant, &columns);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, signal: Signal, tenant: &Tenant, columns: &RecordBatch) {
        let rows = Columns(columns);
        for i in 0..columns.num_rows() {
            let batch = self.batch(tenant, rows.int("time", i), rows.int("learned", i));
            match signal {
                Signal::Samples => {}
                Signal::Records => {
                    let to = &mut batch.records;
                    to.time.push(rows.int("time", i));
                    to.resource.push(ResourceId(rows.id("resource", i)));
                    to.entity.push(EntityKey(rows.id("entity", i)));
                    to.severity.push(rows.byte("severity", i));
                    to.template.push(TemplateId(rows.id("template", i)));
                    to.body.push(rows.text("body", i));
                    to.attributes.push(rows.text("attributes", i));
                    to.trace_id.push(rows.bytes("trace_id", i));
                    to.span_id.push(rows.bytes("span_id", i));
                }
                Signal::Spans => {
                    let to = &mut batch.spans;
                    to.time.push(rows.int("time", i));
                    to.duration_ns.push(rows.int("duration_ns", i));
                    to.resource.push(ResourceId(rows.id("resource", i)));
                    to.entity.push(EntityKey(rows.id("entity", i)));
                    to.name.push(rows.text("name", i));
                    to.kind.push(rows.byte("kind", i));
                    to.status.push(rows.byte("status", i));
                    to.trace_id.push(rows.bytes("trace_id", i));
                    to.span_id.push(rows.bytes("span_id", i));
                    to.parent_span_id.push(rows.bytes("parent_span_id", i));
                    to.attributes.push(rows.text("attributes", i));
                }
                Signal::Events => {
                    let to = &mut batch.events;
                    to.time.push(rows.int("time", i));
                    to.entity.push(EntityKey(rows.id("entity", i)));
                    to.kind.push(rows.text("kind", i));
                    to.attributes.push(rows.text("attributes", i));
                }
            }
        }
    }

    /// Where a row belongs that happened and was learned then. A row that was sent ahead of its time is known at its
    /// time.
    fn batch(&mut self, tenant: &Tenant, time: i64, learned: i64) -> &mut Batch {
        let exactly = learned.max(time);
        let mut known = exactly.div_euclid(GRAIN_NS) * GRAIN_NS + GRAIN_NS - 1;
        if exactly < self.to.0 {
            // The last second may be cut short by the end.
            known = known.min(self.to.0 - 1);
        }
        let of_second = self.carried.entry(known).or_default();
        of_second.entry(tenant.clone()).or_insert_with(|| Batch {
            tenant: tenant.clone(),
            learned: Time(known),
            ..Batch::default()
        })
    }
}

/// How long a stretch may be to hold about [`STRETCH_ROWS`] rows, by what files and memory say of their density.
fn stretch(inner: &Inner, from: Time, to: Time) -> i64 {
    let snapshot = inner.visible.snapshot();
    let mut per_ns = 0.0;
    let overlaps = |low: i64, high: i64| low < to.0 && high >= from.0;
    for file in snapshot.files.iter().filter(|f| overlaps(f.time_min, f.time_max)) {
        let span = (file.time_max - file.time_min).max(MINUTE) as f64;
        let inside = (file.time_max.min(to.0) - file.time_min.max(from.0)).max(0) as f64 / span;
        per_ns += file.rows as f64 * inside;
    }
    let hot: usize = snapshot.hot.iter().map(|h| h.batch.rows()).sum();
    per_ns = (per_ns + hot as f64) / (to.0.saturating_sub(from.0)).max(1) as f64;
    ((STRETCH_ROWS / per_ns.max(1e-18)) as i64).clamp(MINUTE, 6 * HOUR)
}
