//! Typed reads for charts and pages: no SQL text, bounded results.

use std::sync::Arc;

use arrow::{
    array::{AsArray, RecordBatch, StringArray},
    datatypes::{Int64Type, UInt8Type, UInt32Type},
};
use types::{EntityId, EntityKey, Registry, ResourceId, SeriesId, SeriesKind, TemplateId, Tenant, Time};

use crate::{
    Inner, StoreError,
    metadata::hex,
    scan::{Quarantine, Scan, Unit, Wanted},
    sealed::{SampleColumns, Signal},
};

/// Which series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesFilter {
    /// Of this tenant; `None`: of all but `_self`.
    pub tenant: Option<Tenant>,
    /// With this metric.
    pub metric: Option<String>,
    /// With this in the metric's name, ignoring case.
    pub metric_contains: Option<String>,
    /// Of this entity.
    pub entity: Option<EntityId>,
    /// With these labels.
    pub labels: Vec<(String, String)>,
    /// At most so many; 0 means 1000.
    pub limit: usize,
}

/// One series.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SeriesInfo {
    /// Its id.
    pub series: SeriesId,
    /// Whose.
    pub tenant: Tenant,
    /// Metric name.
    pub metric: String,
    /// Of which entity.
    pub entity: EntityId,
    /// Labels in order of name.
    pub labels: std::collections::BTreeMap<String, String>,
    /// What its values are.
    pub kind: SeriesKind,
    /// Unit as sent.
    pub unit: String,
}

/// One point of a chart: a bucket of one or more values.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct ChartPoint {
    /// Start of the bucket, or the value's own time where buckets are not needed, ns.
    pub t: i64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Last.
    pub last: f64,
    /// How many values.
    pub count: u32,
}

/// A series' points.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SeriesChart {
    /// Which.
    pub series: SeriesId,
    /// In order of time.
    pub points: Vec<ChartPoint>,
    /// What could not be read.
    pub warnings: Vec<String>,
}

/// Which log records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordFilter {
    /// Of this tenant; `None`: of all but `_self`.
    pub tenant: Option<Tenant>,
    /// `from <= time`.
    pub from: Option<Time>,
    /// `time < to`.
    pub to: Option<Time>,
    /// Of this entity.
    pub entity: Option<EntityId>,
    /// At least this OTLP severity number.
    pub severity_min: u8,
    /// With this text in the line, ignoring case.
    pub text: Option<String>,
    /// Of this template.
    pub template: Option<TemplateId>,
    /// Of this trace (hexadecimal).
    pub trace_id: Option<String>,
    /// With, or without, these attributes of the record or its resource.
    pub fields: Vec<FieldFilter>,
    /// At most so many; 0 means 100.
    pub limit: usize,
}

/// An attribute that must, or must not, have a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFilter {
    /// Its name.
    pub name: String,
    /// Its value as text.
    pub value: String,
    /// Whether rows with it are kept, or left out.
    pub keep: bool,
}

impl FieldFilter {
    fn allows(&self, parts: [&serde_json::Value; 2]) -> bool {
        let has = |part: &serde_json::Value| {
            let text =
                part.get(&self.name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            text.as_deref() == Some(self.value.as_str())
        };
        parts.into_iter().any(has) == self.keep
    }
}

/// One log record.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct RecordRow {
    /// When it happened.
    pub time: Time,
    /// When it was learned.
    pub learned: Time,
    /// Whose.
    pub tenant: Tenant,
    /// Who wrote it.
    pub entity: EntityId,
    /// OTLP severity number.
    pub severity: u8,
    /// The line.
    pub body: String,
    /// Its template's number, 0 none.
    pub template_id: u32,
    /// Its template's text.
    pub template: String,
    /// Attributes.
    pub attributes: serde_json::Value,
    /// Resource attributes.
    pub resource: serde_json::Value,
    /// Hexadecimal; `None` where there is none.
    pub trace_id: Option<String>,
    /// Hexadecimal; `None` where there is none.
    pub span_id: Option<String>,
}

/// Which spans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanFilter {
    /// Of this tenant; `None`: of all but `_self`.
    pub tenant: Option<Tenant>,
    /// `from <= start`.
    pub from: Option<Time>,
    /// `start < to`.
    pub to: Option<Time>,
    /// Of this entity.
    pub entity: Option<EntityId>,
    /// With this operation name.
    pub name: Option<String>,
    /// Only those with status error.
    pub errors_only: bool,
    /// Only roots (no parent).
    pub roots_only: bool,
    /// At least this long, ns.
    pub duration_min_ns: i64,
    /// At most so many; 0 means 100.
    pub limit: usize,
}

/// One span.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SpanRow {
    /// Start.
    pub time: Time,
    /// Length.
    pub duration_ns: i64,
    /// Whose.
    pub tenant: Tenant,
    /// Whose operation.
    pub entity: EntityId,
    /// Operation name.
    pub name: String,
    /// `unspecified`, `internal`, `server`, `client`, `producer` or `consumer`.
    pub kind: &'static str,
    /// `unset`, `ok` or `error`.
    pub status: &'static str,
    /// Hexadecimal.
    pub trace_id: String,
    /// Hexadecimal.
    pub span_id: String,
    /// Hexadecimal; `None` at a root.
    pub parent_span_id: Option<String>,
    /// Attributes.
    pub attributes: serde_json::Value,
    /// Resource attributes.
    pub resource: serde_json::Value,
}

/// Which events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventFilter {
    /// Of this tenant; `None`: of all but `_self`.
    pub tenant: Option<Tenant>,
    /// `from <= time`.
    pub from: Option<Time>,
    /// `time < to`.
    pub to: Option<Time>,
    /// Of this entity.
    pub entity: Option<EntityId>,
    /// With a kind that starts with this.
    pub kind_prefix: Option<String>,
    /// At most so many; 0 means 100.
    pub limit: usize,
}

/// One event.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct StoredEvent {
    /// When it happened.
    pub time: Time,
    /// When it was learned.
    pub learned: Time,
    /// Whose.
    pub tenant: Tenant,
    /// What it is about.
    pub entity: EntityId,
    /// Its kind.
    pub kind: String,
    /// Attributes.
    pub attributes: serde_json::Value,
}

/// Names of OTLP span kinds.
pub(crate) const SPAN_KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];
/// Names of OTLP span statuses.
pub(crate) const SPAN_STATUSES: [&str; 3] = ["unset", "ok", "error"];

pub(crate) fn series_list(inner: &Inner, filter: &SeriesFilter) -> Vec<SeriesInfo> {
    let registry = inner.directory.read();
    let entity = match &filter.entity {
        None => None,
        Some(id) => match registry.find_entity(id) {
            Some(key) => Some(key),
            None => return Vec::new(),
        },
    };
    let part = filter.metric_contains.as_ref().map(|p| p.to_lowercase());
    let mut found: Vec<SeriesInfo> = Vec::new();
    for (id, def) in registry.all_series().iter().enumerate() {
        let tenant = filter.tenant.as_ref().map_or(!def.tenant.is_self(), |t| *t == def.tenant);
        let metric = filter.metric.as_ref().is_none_or(|m| **m == *def.metric)
            && part.as_ref().is_none_or(|p| def.metric.to_lowercase().contains(p.as_str()));
        let labels = filter.labels.iter().all(|(name, value)| def.labels.get(name) == Some(value));
        if !tenant || !metric || !labels || entity.is_some_and(|e| e != def.entity) {
            continue;
        }
        found.push(SeriesInfo {
            series: SeriesId(id as u32),
            tenant: def.tenant.clone(),
            metric: def.metric.to_string(),
            entity: entity_name(&registry, def.entity),
            labels: def.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            kind: def.kind,
            unit: def.unit.to_string(),
        });
    }
    found.sort_by(|a, b| (&a.metric, &a.entity, a.series).cmp(&(&b.metric, &b.entity, b.series)));
    found.truncate(if filter.limit == 0 { 1000 } else { filter.limit });
    found
}

pub(crate) fn series_points(
    inner: &Inner,
    series: &[SeriesId],
    from: Time,
    to: Time,
    max_points: usize,
) -> Result<Vec<SeriesChart>, StoreError> {
    let mut marks = vec![false; series.iter().map(|s| s.0 as usize + 1).max().unwrap_or(0)];
    for id in series {
        marks[id.0 as usize] = true;
    }
    let wanted = Wanted { from: from.0, to: to.0.saturating_sub(1), series: Some(marks), ..Wanted::default() };
    let quarantine = Arc::new(Quarantine::default());
    let snapshot = inner.visible.snapshot();
    let scan = Scan::new(Signal::Samples, wanted, snapshot, &inner.directory.read(), quarantine.clone());
    let mut points: std::collections::HashMap<u32, Vec<(i64, f64)>> = std::collections::HashMap::new();
    for unit in scan.units() {
        let rows = scan.samples(&unit, SampleColumns { learned: false, value: true });
        for i in 0..rows.series.len() {
            points.entry(rows.series[i]).or_default().push((rows.time[i], rows.value[i]));
        }
    }
    let warnings = quarantine.warnings();
    let chart = |id: &SeriesId| {
        let mut values = points.get(&id.0).cloned().unwrap_or_default();
        values.retain(|p| !p.1.is_nan());
        values.sort_by_key(|p| p.0);
        SeriesChart { series: *id, points: buckets(&values, from.0, to.0, max_points), warnings: warnings.clone() }
    };
    Ok(series.iter().map(chart).collect())
}

/// Merges points into at most `max_points` buckets of equal width, aligned to the width, so that a chart that moves on
/// does not flicker.
fn buckets(values: &[(i64, f64)], from: i64, to: i64, max_points: usize) -> Vec<ChartPoint> {
    let single = |(t, v): &(i64, f64)| ChartPoint { t: *t, min: *v, max: *v, mean: *v, last: *v, count: 1 };
    if values.len() <= max_points.max(1) {
        return values.iter().map(single).collect();
    }
    let slots = max_points.saturating_sub(1).max(1) as i64;
    let width = (to.saturating_sub(from) / slots + 1).max(1);
    let mut points: Vec<ChartPoint> = Vec::with_capacity(max_points);
    for (time, value) in values {
        let start = time - time.rem_euclid(width);
        match points.last_mut() {
            Some(p) if p.t == start => {
                p.min = p.min.min(*value);
                p.max = p.max.max(*value);
                p.mean += (value - p.mean) / f64::from(p.count + 1);
                p.last = *value;
                p.count += 1;
            }
            _ => points.push(single(&(start, *value))),
        }
    }
    points
}

/// Newest first, reading only as many units as the page needs.
fn newest<T>(
    scan: &Scan,
    limit: usize,
    columns: &[&str],
    time_of: impl Fn(&T) -> i64,
    mut take: impl FnMut(&Tenant, &RecordBatch, &mut Vec<T>),
) -> Result<Vec<T>, StoreError> {
    let limit = if limit == 0 { 100 } else { limit.min(100_000) };
    let mut found: Vec<T> = Vec::new();
    for unit in newest_first(scan) {
        let last = last_time(scan.signal, &unit);
        if found.len() >= limit && time_of(&found[limit - 1]) > last {
            break;
        }
        for (tenant, batch) in scan.rows(&unit, columns)? {
            take(&tenant, &batch, &mut found);
        }
        found.sort_by_key(|row| std::cmp::Reverse(time_of(row)));
        found.truncate(limit);
    }
    Ok(found)
}

/// The units of a scan, the newest first.
pub(crate) fn newest_first(scan: &Scan) -> Vec<Unit> {
    let mut units = scan.units();
    units.sort_by_cached_key(|unit| std::cmp::Reverse(last_time(scan.signal, unit)));
    units
}

fn last_time(signal: Signal, unit: &Unit) -> i64 {
    match unit {
        Unit::Hot(batches) => batches.iter().map(|h| h.ranges[signal as usize].1).max().unwrap_or(i64::MIN),
        Unit::Group(file, _) => file.time_max,
        Unit::Late => i64::MIN,
    }
}

pub(crate) fn scan_of(
    inner: &Inner,
    signal: Signal,
    tenant: Option<&Tenant>,
    from: Option<Time>,
    to: Option<Time>,
    entity: Option<&EntityId>,
) -> Scan {
    let snapshot = inner.visible.snapshot();
    let registry = inner.directory.read();
    let tenants = match tenant {
        Some(tenant) => vec![tenant.clone()],
        None => tenants_of(&snapshot).into_iter().filter(|t| !t.is_self()).collect(),
    };
    let entities = entity.map(|id| registry.find_entity(id).map_or_else(Vec::new, |key| crate::history::only(key.0)));
    let wanted = Wanted {
        from: from.map_or(i64::MIN, |t| t.0),
        to: to.map_or(i64::MAX, |t| t.0.saturating_sub(1)),
        entities,
        tenants: Some(tenants),
        ..Wanted::default()
    };
    Scan::new(signal, wanted, snapshot, &registry, Arc::new(Quarantine::default()))
}

/// All tenants that have rows.
pub(crate) fn tenants_of(snapshot: &crate::hot::Snapshot) -> Vec<Tenant> {
    let files = snapshot.files.iter().map(|f| &f.tenant);
    let mut tenants: Vec<Tenant> = Vec::new();
    for tenant in files.chain(snapshot.hot.iter().map(|h| &h.batch.tenant)) {
        if !tenants.contains(tenant) {
            tenants.push(tenant.clone());
        }
    }
    tenants
}

const RECORD_COLUMNS: [&str; 10] =
    ["time", "learned", "resource", "entity", "severity", "template", "body", "attributes", "trace_id", "span_id"];

pub(crate) fn records(inner: &Inner, filter: &RecordFilter) -> Result<Vec<RecordRow>, StoreError> {
    let scan = scan_of(inner, Signal::Records, filter.tenant.as_ref(), filter.from, filter.to, filter.entity.as_ref());
    let text = filter.text.as_ref().map(|t| t.to_lowercase());
    newest(
        &scan,
        filter.limit,
        &RECORD_COLUMNS,
        |row: &RecordRow| row.time.0,
        |tenant, batch, found| {
            let columns = Columns(batch);
            let registry = inner.directory.read();
            for i in 0..batch.num_rows() {
                let template = columns.id("template", i);
                let wanted = columns.byte("severity", i) >= filter.severity_min
                    && filter.template.is_none_or(|t| t.0 == template)
                    && filter.trace_id.as_ref().is_none_or(|t| columns.hex("trace_id", i).as_ref() == Some(t))
                    && text.as_ref().is_none_or(|t| columns.text("body", i).to_lowercase().contains(t.as_str()));
                if !wanted {
                    continue;
                }
                let attributes = json(columns.text("attributes", i));
                let resource = resource_json(&registry, columns.id("resource", i));
                if !filter.fields.iter().all(|field| field.allows([&attributes, &resource])) {
                    continue;
                }
                found.push(RecordRow {
                    time: Time(columns.int("time", i)),
                    learned: Time(columns.int("learned", i)),
                    tenant: tenant.clone(),
                    entity: entity_name(&registry, EntityKey(columns.id("entity", i))),
                    severity: columns.byte("severity", i),
                    body: columns.text("body", i).to_owned(),
                    template_id: template,
                    template: registry.template_def(TemplateId(template)).map_or("", |t| &t.text).to_owned(),
                    attributes,
                    resource,
                    trace_id: columns.hex("trace_id", i),
                    span_id: columns.hex("span_id", i),
                });
            }
        },
    )
}

const SPAN_COLUMNS: [&str; 11] = [
    "time",
    "duration_ns",
    "resource",
    "entity",
    "name",
    "kind",
    "status",
    "trace_id",
    "span_id",
    "parent_span_id",
    "attributes",
];

pub(crate) fn spans(inner: &Inner, filter: &SpanFilter) -> Result<Vec<SpanRow>, StoreError> {
    let scan = scan_of(inner, Signal::Spans, filter.tenant.as_ref(), filter.from, filter.to, filter.entity.as_ref());
    newest(
        &scan,
        filter.limit,
        &SPAN_COLUMNS,
        |row: &SpanRow| row.time.0,
        |tenant, batch, found| {
            let columns = Columns(batch);
            let registry = inner.directory.read();
            for i in 0..batch.num_rows() {
                let wanted = columns.int("duration_ns", i) >= filter.duration_min_ns
                    && (!filter.errors_only || columns.byte("status", i) == 2)
                    && (!filter.roots_only || columns.hex("parent_span_id", i).is_none())
                    && filter.name.as_ref().is_none_or(|n| n == columns.text("name", i));
                if wanted {
                    found.push(span_row(&registry, tenant, &columns, i));
                }
            }
        },
    )
}

pub(crate) fn trace(inner: &Inner, tenant: Option<&Tenant>, trace_id: &str) -> Result<Vec<SpanRow>, StoreError> {
    let scan = scan_of(inner, Signal::Spans, tenant, None, None, None);
    let wanted = trace_id.to_lowercase();
    let mut found = Vec::new();
    for unit in scan.units() {
        // Most row groups do not hold the trace: look at the ids alone first.
        let ids = scan.rows(&unit, &["trace_id"])?;
        let here = |batch: &RecordBatch| {
            let columns = Columns(batch);
            (0..batch.num_rows()).any(|i| columns.hex("trace_id", i).as_ref() == Some(&wanted))
        };
        if !ids.iter().any(|(_, batch)| here(batch)) {
            continue;
        }
        let batches = scan.rows(&unit, &SPAN_COLUMNS)?;
        let registry = inner.directory.read();
        for (tenant, batch) in batches {
            let columns = Columns(&batch);
            let rows = (0..batch.num_rows()).filter(|i| columns.hex("trace_id", *i).as_ref() == Some(&wanted));
            found.extend(rows.map(|i| span_row(&registry, &tenant, &columns, i)));
        }
    }
    found.sort_by_key(|row| row.time);
    Ok(found)
}

fn span_row(registry: &Registry, tenant: &Tenant, columns: &Columns<'_>, i: usize) -> SpanRow {
    SpanRow {
        time: Time(columns.int("time", i)),
        duration_ns: columns.int("duration_ns", i),
        tenant: tenant.clone(),
        entity: entity_name(registry, EntityKey(columns.id("entity", i))),
        name: columns.text("name", i).to_owned(),
        kind: SPAN_KINDS.get(columns.byte("kind", i) as usize).copied().unwrap_or("unspecified"),
        status: SPAN_STATUSES.get(columns.byte("status", i) as usize).copied().unwrap_or("unset"),
        trace_id: columns.hex("trace_id", i).unwrap_or_default(),
        span_id: columns.hex("span_id", i).unwrap_or_default(),
        parent_span_id: columns.hex("parent_span_id", i),
        attributes: json(columns.text("attributes", i)),
        resource: resource_json(registry, columns.id("resource", i)),
    }
}

pub(crate) fn events(inner: &Inner, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
    let scan = scan_of(inner, Signal::Events, filter.tenant.as_ref(), filter.from, filter.to, filter.entity.as_ref());
    let columns = ["time", "learned", "entity", "kind", "attributes"];
    newest(
        &scan,
        filter.limit,
        &columns,
        |row: &StoredEvent| row.time.0,
        |tenant, batch, found| {
            let columns = Columns(batch);
            let registry = inner.directory.read();
            for i in 0..batch.num_rows() {
                let kind = columns.text("kind", i);
                if filter.kind_prefix.as_ref().is_some_and(|p| !kind.starts_with(p.as_str())) {
                    continue;
                }
                found.push(StoredEvent {
                    time: Time(columns.int("time", i)),
                    learned: Time(columns.int("learned", i)),
                    tenant: tenant.clone(),
                    entity: entity_name(&registry, EntityKey(columns.id("entity", i))),
                    kind: kind.to_owned(),
                    attributes: json(columns.text("attributes", i)),
                });
            }
        },
    )
}

/// Cells of a batch of stored columns; what is not there reads as zero or empty.
pub(crate) struct Columns<'a>(pub &'a RecordBatch);

impl Columns<'_> {
    pub fn int(&self, name: &str, i: usize) -> i64 {
        self.0.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>()).map_or(0, |c| c.value(i))
    }

    pub fn id(&self, name: &str, i: usize) -> u32 {
        self.0.column_by_name(name).and_then(|c| c.as_primitive_opt::<UInt32Type>()).map_or(0, |c| c.value(i))
    }

    pub fn byte(&self, name: &str, i: usize) -> u8 {
        self.0.column_by_name(name).and_then(|c| c.as_primitive_opt::<UInt8Type>()).map_or(0, |c| c.value(i))
    }

    pub fn text(&self, name: &str, i: usize) -> &str {
        let column: Option<&StringArray> = self.0.column_by_name(name).and_then(|c| c.as_string_opt());
        column.map_or("", |c| c.value(i))
    }

    pub fn bytes<const N: usize>(&self, name: &str, i: usize) -> [u8; N] {
        let column = self.0.column_by_name(name).and_then(|c| c.as_fixed_size_binary_opt());
        column.and_then(|c| c.value(i).try_into().ok()).unwrap_or([0; N])
    }

    pub fn hex(&self, name: &str, i: usize) -> Option<String> {
        let column = self.0.column_by_name(name).and_then(|c| c.as_fixed_size_binary_opt())?;
        id_hex(column.value(i))
    }
}

/// Hexadecimal, or `None` for the id of zeros, which stands for none.
pub(crate) fn id_hex(bytes: &[u8]) -> Option<String> {
    bytes.iter().any(|b| *b != 0).then(|| hex(bytes))
}

/// Text as a JSON object; text that is none reads as a string.
pub(crate) fn json(text: &str) -> serde_json::Value {
    if text.is_empty() {
        return serde_json::Value::Object(serde_json::Map::new());
    }
    serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::String(text.to_owned()))
}

fn entity_name(registry: &Registry, key: EntityKey) -> EntityId {
    registry.entity_id(key).cloned().unwrap_or_else(|| EntityId::new("lost", "lost", &key.0.to_string()))
}

fn resource_json(registry: &Registry, id: u32) -> serde_json::Value {
    registry
        .resource_def(ResourceId(id))
        .map_or(serde_json::Value::Null, |r| serde_json::to_value(&r.attributes).unwrap_or_default())
}
