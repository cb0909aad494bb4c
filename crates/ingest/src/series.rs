//! Samples of a request: known series by one look in the cache, unknown ones described and registered in a second
//! pass.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLockReadGuard;
use types::{EntityId, LabelSet, Labels, Registry, Samples, SeriesDef, SeriesId, SeriesKind, Tenant, Time};

use crate::cache::{Entry, SeriesCache};
use crate::json_text::Fault;
use crate::limits::{Limits, Rejects, show};
use crate::{BadRequest, Ingest, Request, Resolver, Written};

/// What a series is, before its entity went through the alias table.
pub(crate) struct Draft {
    pub metric: Box<str>,
    pub labels: LabelSet,
    pub entity: EntityId,
    pub kind: SeriesKind,
    pub unit: Box<str>,
}

/// What a row counts as in the sender's items.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// A sample of its own.
    Sample,
    /// The row that stands for its whole histogram.
    Histogram,
    /// One of a histogram's other rows.
    Part,
}

/// What the cache said of a series; rows of an unknown one are patched in [`SamplePass::finish`].
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    key: u128,
    entry: Option<Entry>,
}

/// One request's samples on their way. `W` says where in the body a series stands.
pub(crate) struct SamplePass<'i, W> {
    ingest: &'i Ingest,
    cache: RwLockReadGuard<'i, SeriesCache>,
    /// Taken after the cache's epoch was read, so that an older answer never enters a newer cache.
    resolver: Arc<Resolver>,
    epoch: u64,
    samples: Samples,
    misses: Vec<Miss<W>>,
    kept: Vec<(u128, Entry)>,
    pub written: Written,
    pub rejects: Rejects,
}

struct Miss<W> {
    key: u128,
    what: W,
    row: u32,
    counts: Counts,
}

/// A series of the second pass: described once, then given its ids, one for each span of time.
struct Unknown {
    key: u128,
    draft: Result<Draft, (&'static str, String)>,
    resolved: Vec<(EntityId, i64, i64)>,
    ids: Vec<Option<SeriesId>>,
}

const PENDING: SeriesId = SeriesId(u32::MAX);

impl<'i, W: Copy> SamplePass<'i, W> {
    pub fn new(ingest: &'i Ingest) -> SamplePass<'i, W> {
        let cache = ingest.series.read();
        SamplePass {
            ingest,
            resolver: ingest.resolver(),
            epoch: cache.epoch(),
            cache,
            samples: Samples::default(),
            misses: Vec::new(),
            kept: Vec::new(),
            written: Written::default(),
            rejects: Rejects::default(),
        }
    }

    /// Makes room for about `rows` rows.
    pub fn reserve(&mut self, rows: usize) {
        self.samples.series.reserve(rows);
        self.samples.time.reserve(rows);
        self.samples.value.reserve(rows);
    }

    #[inline]
    pub fn look_up(&mut self, key: u128) -> Slot {
        match self.cache.get(key) {
            Some((entry, false)) => Slot { key, entry: Some(entry) },
            Some((entry, true)) => {
                self.kept.push((key, entry));
                Slot { key, entry: Some(entry) }
            }
            None => Slot { key, entry: None },
        }
    }

    /// Appends one row of a series.
    #[inline]
    pub fn push(&mut self, slot: Slot, what: W, time: i64, value: f64, counts: Counts) {
        match counts {
            Counts::Sample => self.written.samples += 1,
            Counts::Histogram => self.written.histograms += 1,
            Counts::Part => {}
        }
        if let Some(entry) = slot.entry
            && self.cache.holds(entry, time)
        {
            self.samples.push(entry.id, time, value);
            return;
        }
        self.misses.push(Miss { key: slot.key, what, row: self.samples.len() as u32, counts });
        self.samples.push(PENDING, time, value);
    }

    pub fn rows(&self) -> usize {
        self.samples.len()
    }

    /// Describes, checks and registers what the cache did not know. `describe` is asked once for each new series.
    pub fn finish(
        self,
        request: &Request,
        mut describe: impl FnMut(&W) -> Result<Draft, Fault>,
    ) -> Result<(Samples, Written, Rejects), BadRequest> {
        let SamplePass { ingest, cache, resolver, epoch, mut samples, misses, kept, mut written, mut rejects } = self;
        drop(cache);
        let mut unknown: Vec<Unknown> = Vec::new();
        let mut by_key: HashMap<u128, usize> = HashMap::new();
        let mut placed = Vec::with_capacity(misses.len());
        for miss in &misses {
            let at = match by_key.get(&miss.key) {
                Some(at) => *at,
                None => {
                    let draft = match describe(&miss.what) {
                        Ok(draft) => Ok(draft),
                        Err(Fault::Item(key, reason)) => Err((key, reason)),
                        Err(Fault::Malformed(malformed)) => return Err(malformed.into()),
                    };
                    unknown.push(Unknown { key: miss.key, draft, resolved: Vec::new(), ids: Vec::new() });
                    by_key.insert(miss.key, unknown.len() - 1);
                    unknown.len() - 1
                }
            };
            placed.push((at, unknown[at].resolve(&resolver, samples.time[miss.row as usize])));
        }
        register(ingest, request, &mut unknown);
        remember(ingest, epoch, &unknown, &kept);
        let mut lost = false;
        for (miss, (at, part)) in misses.iter().zip(placed) {
            let id = unknown[at].ids.get(part).copied().flatten();
            if let Some(id) = id {
                samples.series[miss.row as usize] = id;
                continue;
            }
            lost = true;
            let count = match miss.counts {
                Counts::Sample => &mut written.samples,
                Counts::Histogram => &mut written.histograms,
                Counts::Part => continue,
            };
            *count -= 1;
            unknown[at].reject(&mut rejects, &ingest.limits);
        }
        if lost {
            drop_pending(&mut samples);
        }
        Ok((samples, written, rejects))
    }
}

impl Unknown {
    /// Index of the span that `time` lies in, resolved now if it is the first of its span.
    fn resolve(&mut self, resolver: &Resolver, time: i64) -> usize {
        let Ok(draft) = &self.draft else {
            return 0;
        };
        if let Some(part) = self.resolved.iter().position(|(_, from, to)| (*from..*to).contains(&time)) {
            return part;
        }
        let resolution = resolver.resolve_id(draft.entity.clone(), Time(time));
        self.resolved.push((resolution.entity, resolution.from.0, resolution.to.0));
        self.resolved.len() - 1
    }

    fn reject(&self, rejects: &mut Rejects, limits: &Limits) {
        match &self.draft {
            Err((key, reason)) => rejects.add(key, 1, || reason.clone()),
            Ok(draft) => rejects.add("max_series", 1, || {
                let name = series_text(&draft.metric, draft.labels.iter());
                format!("{name}: a new series, but there are max_series {} already", limits.max_series)
            }),
        }
    }
}

fn register(ingest: &Ingest, request: &Request, unknown: &mut [Unknown]) {
    if unknown.is_empty() {
        return;
    }
    let mut registry = ingest.directory.write();
    for series in unknown {
        let Ok(draft) = &series.draft else {
            continue;
        };
        for (entity, _, _) in &series.resolved {
            let def = SeriesDef {
                tenant: request.tenant.clone(),
                metric: draft.metric.clone(),
                entity: registry.entity(entity),
                labels: draft.labels.clone(),
                kind: draft.kind,
                unit: draft.unit.clone(),
            };
            let is_full = registry.all_series().len() >= ingest.limits.max_series;
            let id = if is_full { registry.find_series(&def) } else { Some(registry.series(def)) };
            series.ids.push(id);
        }
    }
}

fn remember(ingest: &Ingest, epoch: u64, unknown: &[Unknown], kept: &[(u128, Entry)]) {
    if unknown.is_empty() && kept.is_empty() {
        return;
    }
    let mut cache = ingest.series.write();
    if cache.epoch() != epoch {
        return;
    }
    for (key, entry) in kept {
        cache.put(*key, *entry);
    }
    for series in unknown {
        for ((_, from, to), id) in series.resolved.iter().zip(&series.ids) {
            if let Some(id) = id {
                cache.insert(series.key, *id, *from, *to);
            }
        }
    }
}

fn drop_pending(samples: &mut Samples) {
    let mut keep = samples.series.iter().map(|id| *id != PENDING);
    samples.time.retain(|_| keep.next().unwrap_or(true));
    let mut keep = samples.series.iter().map(|id| *id != PENDING);
    samples.value.retain(|_| keep.next().unwrap_or(true));
    samples.series.retain(|id| *id != PENDING);
}

/// `name{label="value",…}` for people: cut short, so that what is wrong with it stands near the front, and escaped.
pub(crate) fn series_text<'a>(metric: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let cut = |text: &str| match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    };
    let mut text = cut(metric);
    text.push('{');
    for (i, (name, value)) in labels.enumerate() {
        if text.len() > 120 {
            text.push('…');
            break;
        }
        let comma = if i > 0 { "," } else { "" };
        text.push_str(&format!("{comma}{}={:?}", cut(name), cut(value)));
    }
    text.push('}');
    show(&text)
}

/// Checks a label set against the limits and for names given twice; sorts it. `metric` is for the reason.
pub(crate) fn check_labels(metric: &str, labels: &mut Labels<'_>, limits: &Limits) -> Result<(), Fault> {
    labels.sort_unstable();
    let named = |labels: &Labels<'_>| series_text(metric, labels.iter().copied());
    if metric.is_empty() {
        return Err(Fault::Item("no_name", format!("{}: the metric has no name", named(labels))));
    }
    if metric.len() > limits.max_metric_name_len {
        let (len, max) = (metric.len(), limits.max_metric_name_len);
        let reason = format!("metric name {:?} has {len} bytes, more than max_metric_name_len {max}", show(metric));
        return Err(Fault::Item("max_metric_name_len", reason));
    }
    if labels.len() > limits.max_labels_per_series {
        let (len, max) = (labels.len(), limits.max_labels_per_series);
        let reason = format!("{}: {len} labels, more than max_labels_per_series {max}", named(labels));
        return Err(Fault::Item("max_labels_per_series", reason));
    }
    for (i, (name, value)) in labels.iter().enumerate() {
        if name.is_empty() {
            return Err(Fault::Item("empty_label_name", format!("{}: a label has no name", named(labels))));
        }
        if i > 0 && labels[i - 1].0 == *name {
            let reason = format!("{}: label {:?} is given twice", named(labels), show(name));
            return Err(Fault::Item("duplicate_label", reason));
        }
        let too_long = [
            ("max_label_name_len", name.len(), limits.max_label_name_len),
            ("max_label_value_len", value.len(), limits.max_label_value_len),
        ];
        for (limit, len, max) in too_long {
            if len > max {
                let reason =
                    format!("{}: label {:?} has {len} bytes, more than {limit} {max}", named(labels), show(name));
                return Err(Fault::Item(limit, reason));
            }
        }
    }
    Ok(())
}

/// What metadata said of metrics: remote write 1 sends it apart from the samples, so it is kept. Where it said
/// nothing the name decides, see [`kind_of_name`].
#[derive(Default)]
pub(crate) struct Kinds {
    known: HashMap<Tenant, HashMap<Box<str>, (SeriesKind, Box<str>)>>,
    len: usize,
}

/// Metrics whose metadata is kept; more are treated as if they had none.
const MAX_KNOWN: usize = 1_000_000;

impl Kinds {
    /// What the series stored so far say, so that a restart does not change a series' identity.
    pub fn from_registry(registry: &Registry) -> Kinds {
        let mut kinds = Kinds::default();
        for def in registry.all_series() {
            if matches!(def.kind, SeriesKind::Gauge | SeriesKind::Counter) {
                kinds.learn(&def.tenant, &def.metric, def.kind, &def.unit);
            }
        }
        kinds
    }

    /// Kind and unit of a metric.
    pub fn get(&self, tenant: &Tenant, metric: &str) -> (SeriesKind, Box<str>) {
        match self.known.get(tenant).and_then(|metrics| metrics.get(metric)) {
            Some((kind, unit)) => (*kind, unit.clone()),
            None => (kind_of_name(metric), "".into()),
        }
    }

    /// Takes metadata in; true where the kind is another than before.
    pub fn learn(&mut self, tenant: &Tenant, metric: &str, kind: SeriesKind, unit: &str) -> bool {
        let before = self.get(tenant, metric);
        if before == (kind, unit.into()) {
            return false;
        }
        let is_known = self.known.get(tenant).is_some_and(|metrics| metrics.contains_key(metric));
        if !is_known && self.len >= MAX_KNOWN {
            return false;
        }
        self.len += usize::from(!is_known);
        self.known.entry(tenant.clone()).or_default().insert(metric.into(), (kind, unit.into()));
        before.0 != kind
    }
}

/// Prometheus' naming practice: totals, counts, sums and buckets only grow.
pub(crate) fn kind_of_name(metric: &str) -> SeriesKind {
    let grows = ["_total", "_count", "_sum", "_bucket"].iter().any(|suffix| metric.ends_with(suffix));
    if grows { SeriesKind::Counter } else { SeriesKind::Gauge }
}
