//! What services did for requests, reduced to what comparing takes: spans and the log lines written within them, with
//! numbers for names.

use std::collections::HashMap;

use types::{EntityId, EntityKey, TemplateId, Tenant, Time};

use crate::{
    Inner, StoreError,
    reads::{Columns, newest_first, scan_of},
    sealed::Signal,
};

/// Which spans and lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkFilter {
    /// Of this tenant; `None`: of all but `_self`.
    pub tenant: Option<Tenant>,
    /// `from <= start`.
    pub from: Time,
    /// `start < to`.
    pub to: Time,
    /// After so many spans, and so many lines, nothing older is read.
    pub rows_most: usize,
}

/// What was found. Numbers of services, operations and templates are places in the lists of names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// Spans, in no order.
    pub spans: Vec<WorkSpan>,
    /// Log lines with a trace and a span, in no order.
    pub lines: Vec<WorkLine>,
    /// Whose spans they are.
    pub services: Vec<EntityId>,
    /// Names of spans.
    pub operations: Vec<Box<str>>,
    /// Texts of templates; those of one text are one.
    pub templates: Vec<Box<str>>,
    /// Everything in the stretch was read; otherwise its begin is missing.
    pub whole: bool,
}

/// A span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkSpan {
    /// A hash of its trace's id.
    pub trace: u64,
    /// Its own id.
    pub id: u64,
    /// The id of the span that made it.
    pub parent: Option<u64>,
    /// Whose.
    pub service: u32,
    /// Its name.
    pub operation: u32,
    /// Begin, ns.
    pub start: i64,
    /// End, ns.
    pub end: i64,
    /// Whether its status says that it failed.
    pub failed: bool,
}

/// A log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkLine {
    /// A hash of its trace's id.
    pub trace: u64,
    /// The id of the span in which it was written.
    pub span: u64,
    /// Its template.
    pub template: u32,
    /// ns.
    pub time: i64,
}

/// Reads the newest spans and lines of a stretch.
pub(crate) fn work(inner: &Inner, filter: &WorkFilter) -> Result<Work, StoreError> {
    let mut work = Work { whole: true, ..Work::default() };
    let mut services: HashMap<u32, u32> = HashMap::new();
    let mut operations: HashMap<Box<str>, u32> = HashMap::new();
    let columns = ["time", "duration_ns", "entity", "name", "status", "trace_id", "span_id", "parent_span_id"];
    let scan = scan_of(inner, Signal::Spans, filter.tenant.as_ref(), Some(filter.from), Some(filter.to), None);
    for unit in newest_first(&scan) {
        if work.spans.len() >= filter.rows_most {
            work.whole = false;
            break;
        }
        for (_, batch) in scan.rows(&unit, &columns)? {
            let columns = Columns(&batch);
            let registry = inner.directory.read();
            for i in 0..batch.num_rows() {
                let key = columns.id("entity", i);
                let service = *services.entry(key).or_insert_with(|| {
                    let lost = || EntityId::new("lost", "lost", &key.to_string());
                    work.services.push(registry.entity_id(EntityKey(key)).cloned().unwrap_or_else(lost));
                    work.services.len() as u32 - 1
                });
                let start = columns.int("time", i);
                work.spans.push(WorkSpan {
                    trace: trace(columns.bytes("trace_id", i)),
                    id: u64::from_be_bytes(columns.bytes("span_id", i)),
                    parent: Some(u64::from_be_bytes(columns.bytes("parent_span_id", i))).filter(|id| *id != 0),
                    service,
                    operation: number(columns.text("name", i), &mut operations, &mut work.operations),
                    start,
                    end: start.saturating_add(columns.int("duration_ns", i)),
                    failed: columns.byte("status", i) == 2,
                });
            }
        }
    }
    lines(inner, filter, &mut work)?;
    Ok(work)
}

fn lines(inner: &Inner, filter: &WorkFilter, work: &mut Work) -> Result<(), StoreError> {
    let mut templates: HashMap<Box<str>, u32> = HashMap::new();
    let mut known: HashMap<u32, u32> = HashMap::new();
    let scan = scan_of(inner, Signal::Records, filter.tenant.as_ref(), Some(filter.from), Some(filter.to), None);
    let mut seen = 0;
    for unit in newest_first(&scan) {
        if seen >= filter.rows_most {
            work.whole = false;
            break;
        }
        for (_, batch) in scan.rows(&unit, &["time", "template", "trace_id", "span_id"])? {
            let columns = Columns(&batch);
            let registry = inner.directory.read();
            seen += batch.num_rows();
            for i in 0..batch.num_rows() {
                let (id, span) = (columns.id("template", i), u64::from_be_bytes(columns.bytes("span_id", i)));
                if id == 0 || span == 0 {
                    continue;
                }
                let template = *known.entry(id).or_insert_with(|| {
                    let text = registry.template_def(TemplateId(id)).map_or("", |def| &*def.text);
                    number(text, &mut templates, &mut work.templates)
                });
                let (trace, time) = (trace(columns.bytes("trace_id", i)), columns.int("time", i));
                work.lines.push(WorkLine { trace, span, template, time });
            }
        }
    }
    Ok(())
}

/// Ids are random: half of one tells traces apart as well as a hash of it.
fn trace(id: [u8; 16]) -> u64 {
    let [high, low] = [0, 8].map(|at| id[at..at + 8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    high ^ low.rotate_left(1)
}

fn number(name: &str, numbers: &mut HashMap<Box<str>, u32>, names: &mut Vec<Box<str>>) -> u32 {
    if let Some(known) = numbers.get(name) {
        return *known;
    }
    let number = names.len() as u32;
    numbers.insert(name.into(), number);
    names.push(name.into());
    number
}
