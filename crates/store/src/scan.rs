//! Reading one signal from memory and sealed files, as units of work that can run side by side.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{AsArray, BooleanArray, RecordBatch},
    compute::filter_record_batch,
    datatypes::{Int64Type, UInt32Type},
};
use parking_lot::Mutex;
use types::{Registry, Tenant};

use crate::{
    StoreError,
    hot::{HotBatch, Snapshot},
    sealed::{BadPart, Checked, SampleColumns, SampleRows, SealedFile, Signal, hot_columns, int_range, text_range},
};

/// Which rows a read wants. Everything here may let more rows through than wanted in a unit, but what comes out of
/// [`Scan::samples`] and [`Scan::rows`] is exact.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// First time, ns.
    pub from: i64,
    /// Last time, ns, itself included.
    pub to: i64,
    /// Only these series (samples); indexed by id.
    pub series: Option<Vec<bool>>,
    /// Only these entities (the rest); indexed by key.
    pub entities: Option<Vec<bool>>,
    /// Only these tenants; `None`: all.
    pub tenants: Option<Vec<Tenant>>,
    /// Only what was learned by then.
    pub learned_by: Option<i64>,
}

impl Default for Wanted {
    fn default() -> Wanted {
        Wanted { from: i64::MIN, to: i64::MAX, series: None, entities: None, tenants: None, learned_by: None }
    }
}

impl Wanted {
    fn tenant(&self, tenant: &Tenant) -> bool {
        self.tenants.as_ref().is_none_or(|t| t.contains(tenant))
    }

    fn overlaps(&self, low: i64, high: i64) -> bool {
        low <= self.to && high >= self.from
    }

    fn whole_series(&self) -> bool {
        self.series.is_none()
    }
}

/// Whether a dense id is marked.
pub(crate) fn marked(marks: &[bool], id: u32) -> bool {
    marks.get(id as usize).copied().unwrap_or(false)
}

/// A piece of work.
pub(crate) enum Unit {
    /// Batches in memory.
    Hot(Vec<Arc<HotBatch>>),
    /// A row group of a file.
    Group(Arc<SealedFile>, usize),
    /// The rows of samples that may repeat one another, from everywhere.
    Late,
}

/// Parts that could not be read, once each.
#[derive(Default, Debug)]
pub(crate) struct Quarantine(Mutex<BTreeMap<(String, String), u64>>);

impl Quarantine {
    pub fn add(&self, bad: BadPart) {
        self.0.lock().insert((bad.file, bad.what), bad.rows);
    }

    /// One sentence a file.
    pub fn warnings(&self) -> Vec<String> {
        let mut files: BTreeMap<String, (usize, u64, String)> = BTreeMap::new();
        for ((file, what), rows) in self.0.lock().iter() {
            let entry = files.entry(file.clone()).or_default();
            entry.0 += 1;
            entry.1 += rows;
            entry.2 = what.clone();
        }
        let line = |(file, (blocks, rows, what)): (String, (usize, u64, String))| {
            let plural = if blocks == 1 { "block" } else { "blocks" };
            format!("{blocks} {plural} quarantined in {file}: {rows} rows left out ({what})")
        };
        files.into_iter().map(line).collect()
    }
}

/// One read of one signal.
pub(crate) struct Scan {
    pub signal: Signal,
    pub wanted: Wanted,
    pub snapshot: Snapshot,
    pub quarantine: Arc<Quarantine>,
    /// Metrics of the wanted series, for leaving row groups out.
    metrics: Option<Vec<Box<str>>>,
}

/// Rows of hot batches that go into one unit.
const HOT_UNIT_ROWS: usize = 64 << 10;

impl Scan {
    pub fn new(
        signal: Signal,
        wanted: Wanted,
        snapshot: Snapshot,
        registry: &Registry,
        quarantine: Arc<Quarantine>,
    ) -> Scan {
        let metrics = wanted.series.as_ref().map(|marks| {
            let all = registry.all_series();
            let mut metrics: Vec<Box<str>> = Vec::new();
            for (def, _) in all.iter().zip(marks).filter(|(_, m)| **m) {
                if metrics.last() != Some(&def.metric) {
                    metrics.push(def.metric.clone());
                }
                if metrics.len() > 4096 {
                    metrics.sort_unstable();
                    metrics.dedup();
                }
            }
            metrics.sort_unstable();
            metrics.dedup();
            metrics
        });
        Scan { signal, wanted, snapshot, quarantine, metrics }
    }

    /// The units, files in order of the log, then memory. Reads footers.
    pub fn units(&self) -> Vec<Unit> {
        let mut units = Vec::new();
        for file in self.files() {
            let footer = Checked::open(file).and_then(|f| f.footer());
            let footer = match footer {
                Ok(footer) => footer,
                Err(bad) => {
                    self.quarantine.add(bad);
                    continue;
                }
            };
            let metadata = footer.metadata.metadata();
            for group in 0..metadata.num_row_groups() {
                let meta = metadata.row_group(group);
                let time = int_range(meta, "time").unwrap_or((i64::MIN, i64::MAX));
                if self.wanted.overlaps(time.0, time.1) && self.may_hold_series(meta) {
                    units.push(Unit::Group(file.clone(), group));
                }
            }
        }
        let mut chunk = Vec::new();
        let mut rows = 0;
        for hot in self.hot() {
            chunk.push(hot.clone());
            rows += self.signal.times(&hot.batch).len();
            if rows >= HOT_UNIT_ROWS {
                units.push(Unit::Hot(std::mem::take(&mut chunk)));
                rows = 0;
            }
        }
        if !chunk.is_empty() {
            units.push(Unit::Hot(chunk));
        }
        if self.late_matters() {
            units.push(Unit::Late);
        }
        units
    }

    fn files(&self) -> impl Iterator<Item = &Arc<SealedFile>> {
        self.snapshot.files.iter().filter(|f| {
            f.signal == self.signal && self.wanted.tenant(&f.tenant) && self.wanted.overlaps(f.time_min, f.time_max)
        })
    }

    fn hot(&self) -> impl Iterator<Item = &Arc<HotBatch>> {
        self.snapshot.hot.iter().filter(|h| {
            let (low, high) = h.ranges[self.signal as usize];
            low <= high && self.wanted.tenant(&h.batch.tenant) && self.wanted.overlaps(low, high)
        })
    }

    fn may_hold_series(&self, group: &parquet::file::metadata::RowGroupMetaData) -> bool {
        let (Some(marks), Some(metrics)) = (&self.wanted.series, &self.metrics) else { return true };
        if let Some((low, high)) = text_range(group, "metric") {
            let from = metrics.partition_point(|m| m.as_bytes() < &low[..]);
            if metrics.get(from).is_none_or(|m| m.as_bytes() > &high[..]) {
                return false;
            }
        }
        let Some((low, high)) = int_range(group, "series") else { return true };
        let range = low.max(0) as usize..(high.max(0) as usize + 1).min(marks.len());
        marks.get(range).is_some_and(|part| part.contains(&true))
    }

    fn late_matters(&self) -> bool {
        let late = &self.snapshot.late;
        if self.signal != Signal::Samples || late.is_empty() {
            return false;
        }
        let (low, high) = late.span();
        let wanted = |series| self.wanted.series.as_ref().is_none_or(|marks| marked(marks, series));
        self.wanted.overlaps(low, high) && late.series().any(wanted)
    }

    // ---- samples

    /// The samples of a unit, filtered. A part that cannot be read is quarantined and gives no rows.
    pub fn samples(&self, unit: &Unit, need: SampleColumns) -> SampleRows {
        let need = SampleColumns { learned: need.learned || self.wanted.learned_by.is_some(), ..need };
        match unit {
            Unit::Hot(batches) => {
                let mut rows = SampleRows::default();
                for hot in batches {
                    self.take_hot(hot, need, false, &mut rows);
                }
                rows
            }
            Unit::Group(file, group) => {
                let mut rows = SampleRows::default();
                self.take_group(file, *group, need, false, &mut rows);
                rows
            }
            Unit::Late => self.late_rows(need),
        }
    }

    /// How many rows a unit gives, where the file alone can tell.
    pub fn known_rows(&self, unit: &Unit) -> Option<usize> {
        let Unit::Group(file, group) = unit else { return None };
        let inside = file.time_min >= self.wanted.from && file.time_max <= self.wanted.to;
        let all = self.wanted.whole_series() && self.wanted.entities.is_none() && self.wanted.learned_by.is_none();
        if !inside || !all || self.late_matters() {
            return None;
        }
        let footer = Checked::open(file).and_then(|f| f.footer()).ok()?;
        Some(footer.metadata.metadata().row_group(*group).num_rows() as usize)
    }

    /// `may_repeat`: the series has rows that may repeat others, so each of its rows must be looked up.
    fn keeps(&self, series: u32, time: i64, may_repeat: bool, late: bool) -> bool {
        (self.wanted.from..=self.wanted.to).contains(&time)
            && (may_repeat && self.snapshot.late.covers(series, time)) == late
    }

    fn take_hot(&self, hot: &HotBatch, need: SampleColumns, late: bool, rows: &mut SampleRows) {
        let samples = &hot.batch.samples;
        let any_late = !self.snapshot.late.is_empty();
        for i in 0..samples.len() {
            let (series, time) = (samples.series[i].0, samples.time[i]);
            let learned = if hot.batch.backfill { time } else { hot.batch.learned.0 };
            if self.wanted.series.as_ref().is_some_and(|marks| !marked(marks, series)) {
                continue;
            }
            if !self.keeps(series, time, any_late, late) || self.wanted.learned_by.is_some_and(|by| learned > by) {
                continue;
            }
            rows.series.push(series);
            rows.time.push(time);
            if need.value {
                rows.value.push(samples.value[i]);
            }
            if need.learned {
                rows.learned.push(learned);
            }
        }
    }

    fn take_group(&self, file: &SealedFile, group: usize, need: SampleColumns, late: bool, rows: &mut SampleRows) {
        let read = || {
            let checked = Checked::open(file)?;
            let footer = checked.footer()?;
            checked.samples(&footer, group, need)
        };
        let part = match read() {
            Ok(part) => part,
            Err(bad) => return self.quarantine.add(bad),
        };
        let everything = self.wanted.whole_series()
            && self.wanted.learned_by.is_none()
            && self.snapshot.late.is_empty()
            && file.time_min >= self.wanted.from
            && file.time_max <= self.wanted.to;
        if everything && rows.series.is_empty() {
            *rows = part;
            return;
        }
        let n = part.series.len();
        let mut at = 0;
        while at < n {
            let series = part.series[at];
            let run = part.series[at..].iter().take_while(|s| **s == series).count();
            let may_repeat = self.snapshot.late.has(series);
            let wanted = self.wanted.series.as_ref().is_none_or(|marks| marked(marks, series));
            if wanted && (may_repeat || !late) {
                for i in at..at + run {
                    let learned = part.learned.get(i).copied();
                    let known = self.wanted.learned_by.is_none_or(|by| learned.is_none_or(|l| l <= by));
                    if !known || !self.keeps(series, part.time[i], may_repeat, late) {
                        continue;
                    }
                    rows.series.push(series);
                    rows.time.push(part.time[i]);
                    rows.value.extend(part.value.get(i));
                    rows.learned.extend(learned);
                }
            }
            at += run;
        }
    }

    /// Of rows with the same series and time the last in the log.
    fn late_rows(&self, need: SampleColumns) -> SampleRows {
        let mut rows = SampleRows::default();
        let (low, high) = self.snapshot.late.span();
        for unit in self.units_within(low, high) {
            match unit {
                Unit::Group(file, group) => self.take_group(&file, group, need, true, &mut rows),
                Unit::Hot(batches) => {
                    for hot in &batches {
                        self.take_hot(hot, need, true, &mut rows);
                    }
                }
                Unit::Late => {}
            }
        }
        let mut order: Vec<usize> = (0..rows.series.len()).collect();
        order.sort_by_key(|i| (rows.series[*i], rows.time[*i]));
        let mut kept: Vec<usize> = Vec::with_capacity(order.len());
        for i in order {
            match kept.last_mut() {
                Some(last) if (rows.series[*last], rows.time[*last]) == (rows.series[i], rows.time[i]) => *last = i,
                _ => kept.push(i),
            }
        }
        SampleRows {
            series: kept.iter().map(|i| rows.series[*i]).collect(),
            time: kept.iter().map(|i| rows.time[*i]).collect(),
            learned: if need.learned { kept.iter().map(|i| rows.learned[*i]).collect() } else { Vec::new() },
            value: if need.value { kept.iter().map(|i| rows.value[*i]).collect() } else { Vec::new() },
        }
    }

    fn units_within(&self, low: i64, high: i64) -> Vec<Unit> {
        let mut units = self.units();
        units.retain(|unit| match unit {
            Unit::Group(file, _) => file.time_min <= high && file.time_max >= low,
            Unit::Hot(_) => true,
            Unit::Late => false,
        });
        units
    }

    // ---- records, spans, events

    /// The rows of a unit as stored columns (those named), one batch for each tenant in it, filtered by time, entity and
    /// learning. `time` and `entity` are read for the filters whether named or not.
    pub fn rows(&self, unit: &Unit, columns: &[&str]) -> Result<Vec<(Tenant, RecordBatch)>, StoreError> {
        let mut names = columns.to_vec();
        for name in ["time", "entity"] {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if self.wanted.learned_by.is_some() && !names.contains(&"learned") {
            names.push("learned");
        }
        let fatal = |e: arrow::error::ArrowError| StoreError::fatal(format!("columns could not be built: {e}"));
        let mut found = Vec::new();
        match unit {
            Unit::Hot(batches) => {
                for hot in batches {
                    let batch = hot_columns(self.signal, &hot.batch, &names).map_err(fatal)?;
                    found.push((hot.batch.tenant.clone(), self.filter(batch).map_err(fatal)?));
                }
            }
            Unit::Group(file, group) => {
                let read = || {
                    let checked = Checked::open(file)?;
                    let footer = checked.footer()?;
                    checked.group(&footer, *group, &names)
                };
                match read() {
                    Ok(batch) => found.push((file.tenant.clone(), self.filter(batch).map_err(fatal)?)),
                    Err(bad) => self.quarantine.add(bad),
                }
            }
            Unit::Late => {}
        }
        found.retain(|(_, batch)| batch.num_rows() > 0);
        Ok(found)
    }

    fn filter(&self, batch: RecordBatch) -> Result<RecordBatch, arrow::error::ArrowError> {
        let column = |name: &str| batch.column_by_name(name);
        let times = column("time").and_then(|c| c.as_primitive_opt::<Int64Type>());
        let entities = column("entity").and_then(|c| c.as_primitive_opt::<UInt32Type>());
        let learned = column("learned").and_then(|c| c.as_primitive_opt::<Int64Type>());
        let keep = |i: usize| {
            let time = times.is_none_or(|t| (self.wanted.from..=self.wanted.to).contains(&t.value(i)));
            let entity = match (&self.wanted.entities, entities) {
                (Some(marks), Some(entities)) => marked(marks, entities.value(i)),
                _ => true,
            };
            let known = match (self.wanted.learned_by, learned) {
                (Some(by), Some(learned)) => learned.value(i) <= by,
                _ => true,
            };
            time && entity && known
        };
        let kept: Vec<bool> = (0..batch.num_rows()).map(keep).collect();
        if !kept.contains(&false) {
            return Ok(batch);
        }
        filter_record_batch(&batch, &BooleanArray::from(kept))
    }
}
