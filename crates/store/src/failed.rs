//! How many different values of an attribute stand in the traces of failed requests. Values are counted, never given
//! out and never kept.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use types::{EntityId, MINUTE, Tenant, Time};

use crate::{
    Inner, StoreError,
    reads::{Columns, json, newest_first},
    scan::{Quarantine, Scan, Wanted, marked},
    sealed::Signal,
};

/// Spans of one trace lie this close to one another, ns.
const TRACE_NS: i64 = MINUTE;

/// Whose failed requests, and what is counted of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FailedFilter {
    /// Of this tenant.
    pub tenant: Tenant,
    /// `from <= start`.
    pub from: Time,
    /// `start < to`.
    pub to: Time,
    /// Who answered: server and consumer spans, and roots.
    pub entities: Vec<EntityId>,
    /// Names of attributes of any span of the trace.
    pub attributes: Vec<&'static str>,
    /// After so many spans (of whatever entity) nothing older is looked at.
    pub spans_most: usize,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedTraces {
    /// Traces in which a request failed.
    pub traces: usize,
    /// For each attribute asked for, in that order.
    pub values: Vec<Distinct>,
    /// Everything in the stretch was looked at; otherwise there may be more.
    pub whole: bool,
}

/// Different values of one attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distinct {
    /// How many there are.
    pub values: usize,
    /// In how many of the traces there is one.
    pub traces: usize,
}

/// Of one attribute: hashes of its values, and the traces that have one.
#[derive(Clone, Default)]
struct Found {
    values: HashSet<u64>,
    traces: HashSet<[u8; 16]>,
}

/// Looks through the newest spans of the stretch twice: for traces that failed, and for the attributes in them.
pub(crate) fn failed_traces(inner: &Inner, filter: &FailedFilter) -> Result<FailedTraces, StoreError> {
    let mut whole = true;
    let failed = failed(inner, filter, &mut whole)?;
    let mut found = vec![Found::default(); filter.attributes.len()];
    if !failed.is_empty() {
        let scan = scan(inner, filter, TRACE_NS);
        let mut seen = 0;
        for unit in newest_first(&scan) {
            if seen >= filter.spans_most {
                whole = false;
                break;
            }
            // Few row groups hold one of them where few requests fail: look at the ids alone first.
            let ids = scan.rows(&unit, &["trace_id"])?;
            seen += ids.iter().map(|(_, batch)| batch.num_rows()).sum::<usize>();
            let is_here = ids.iter().any(|(_, batch)| {
                let columns = Columns(batch);
                (0..batch.num_rows()).any(|i| failed.contains(&columns.bytes("trace_id", i)))
            });
            if !is_here {
                continue;
            }
            for (_, batch) in scan.rows(&unit, &["trace_id", "attributes"])? {
                let columns = Columns(&batch);
                for i in 0..batch.num_rows() {
                    let trace = columns.bytes("trace_id", i);
                    if failed.contains(&trace) {
                        take(columns.text("attributes", i), trace, &filter.attributes, &mut found);
                    }
                }
            }
        }
    }
    let distinct = |found: &Found| Distinct { values: found.values.len(), traces: found.traces.len() };
    Ok(FailedTraces { traces: failed.len(), values: found.iter().map(distinct).collect(), whole })
}

/// Traces with a failed request of the entities.
fn failed(inner: &Inner, filter: &FailedFilter, whole: &mut bool) -> Result<HashSet<[u8; 16]>, StoreError> {
    let mut marks = Vec::new();
    {
        let registry = inner.directory.read();
        for key in filter.entities.iter().filter_map(|id| registry.find_entity(id)) {
            marks.resize(marks.len().max(key.0 as usize + 1), false);
            marks[key.0 as usize] = true;
        }
    }
    let (mut failed, mut seen) = (HashSet::new(), 0);
    if marks.is_empty() {
        return Ok(failed);
    }
    let scan = scan(inner, filter, 0);
    for unit in newest_first(&scan) {
        if seen >= filter.spans_most {
            *whole = false;
            break;
        }
        for (_, batch) in scan.rows(&unit, &["entity", "kind", "status", "parent_span_id", "trace_id"])? {
            let columns = Columns(&batch);
            seen += batch.num_rows();
            let is_failed = |i: &usize| columns.byte("status", *i) == 2 && marked(&marks, columns.id("entity", *i));
            for i in (0..batch.num_rows()).filter(is_failed) {
                if matches!(columns.byte("kind", i), 2 | 5) || columns.bytes::<8>("parent_span_id", i) == [0; 8] {
                    failed.insert(columns.bytes("trace_id", i));
                }
            }
        }
    }
    Ok(failed)
}

/// All spans of the stretch, and of a margin around it.
fn scan(inner: &Inner, filter: &FailedFilter, margin_ns: i64) -> Scan {
    let wanted = Wanted {
        from: filter.from.0.saturating_sub(margin_ns),
        to: filter.to.0.saturating_sub(1).saturating_add(margin_ns),
        tenants: Some(vec![filter.tenant.clone()]),
        ..Wanted::default()
    };
    let registry = inner.directory.read();
    Scan::new(Signal::Spans, wanted, inner.visible.snapshot(), &registry, Arc::new(Quarantine::default()))
}

fn take(text: &str, trace: [u8; 16], names: &[&str], found: &mut [Found]) {
    if !names.iter().any(|name| text.contains(name)) {
        return;
    }
    let attributes = json(text);
    for (name, found) in names.iter().zip(found) {
        let value = &attributes[*name];
        let is_said = value.is_number() || value.as_str().is_some_and(|text| !text.is_empty());
        if is_said {
            let mut hasher = DefaultHasher::new();
            value.to_string().hash(&mut hasher);
            found.values.insert(hasher.finish());
            found.traces.insert(trace);
        }
    }
}
