//! Batches as bytes, for the rows that are part of a checkpoint. Little-endian, lengths first; NaN bit patterns stay.
//!
//! Not a format for the disk at large (that is the store's): it lives and dies with the schema version of the
//! `engine` part.

use types::{Batch, EntityKey, Events, Records, ResourceId, Samples, SeriesId, Spans, TemplateId, Tenant, Text, Time};

/// Appends one batch.
pub fn write_batch(batch: &Batch, out: &mut Vec<u8>) {
    write_bytes(batch.tenant.as_str().as_bytes(), out);
    out.extend(batch.learned.0.to_le_bytes());
    out.push(batch.backfill as u8);
    let Samples { series, time, value } = &batch.samples;
    write_column(series.iter().map(|id| id.0.to_le_bytes()), out);
    write_column(time.iter().map(|t| t.to_le_bytes()), out);
    write_column(value.iter().map(|v| v.to_bits().to_le_bytes()), out);
    let rows = &batch.records;
    write_column(rows.time.iter().map(|t| t.to_le_bytes()), out);
    write_column(rows.resource.iter().map(|id| id.0.to_le_bytes()), out);
    write_column(rows.entity.iter().map(|id| id.0.to_le_bytes()), out);
    write_column(rows.severity.iter().map(|s| [*s]), out);
    write_column(rows.template.iter().map(|id| id.0.to_le_bytes()), out);
    write_text(&rows.body, out);
    write_text(&rows.attributes, out);
    write_column(rows.trace_id.iter().copied(), out);
    write_column(rows.span_id.iter().copied(), out);
    let rows = &batch.spans;
    write_column(rows.time.iter().map(|t| t.to_le_bytes()), out);
    write_column(rows.duration_ns.iter().map(|t| t.to_le_bytes()), out);
    write_column(rows.resource.iter().map(|id| id.0.to_le_bytes()), out);
    write_column(rows.entity.iter().map(|id| id.0.to_le_bytes()), out);
    write_text(&rows.name, out);
    write_column(rows.kind.iter().map(|k| [*k]), out);
    write_column(rows.status.iter().map(|s| [*s]), out);
    write_column(rows.trace_id.iter().copied(), out);
    write_column(rows.span_id.iter().copied(), out);
    write_column(rows.parent_span_id.iter().copied(), out);
    write_text(&rows.attributes, out);
    let rows = &batch.events;
    write_column(rows.time.iter().map(|t| t.to_le_bytes()), out);
    write_column(rows.entity.iter().map(|id| id.0.to_le_bytes()), out);
    write_text(&rows.kind, out);
    write_text(&rows.attributes, out);
}

/// Takes one batch from the front of `bytes`; `None` where they are not one.
pub fn read_batch(bytes: &mut &[u8]) -> Option<Batch> {
    let tenant = Tenant::new(std::str::from_utf8(take_bytes(bytes)?).ok()?);
    let learned = Time(i64::from_le_bytes(take(bytes)?));
    let [backfill] = take(bytes)?;
    let samples = Samples {
        series: read_column(bytes, |b| SeriesId(u32::from_le_bytes(b)))?,
        time: read_column(bytes, i64::from_le_bytes)?,
        value: read_column(bytes, |b| f64::from_bits(u64::from_le_bytes(b)))?,
    };
    let records = Records {
        time: read_column(bytes, i64::from_le_bytes)?,
        resource: read_column(bytes, |b| ResourceId(u32::from_le_bytes(b)))?,
        entity: read_column(bytes, |b| EntityKey(u32::from_le_bytes(b)))?,
        severity: read_column(bytes, |[s]| s)?,
        template: read_column(bytes, |b| TemplateId(u32::from_le_bytes(b)))?,
        body: read_text(bytes)?,
        attributes: read_text(bytes)?,
        trace_id: read_column(bytes, |b| b)?,
        span_id: read_column(bytes, |b| b)?,
    };
    let spans = Spans {
        time: read_column(bytes, i64::from_le_bytes)?,
        duration_ns: read_column(bytes, i64::from_le_bytes)?,
        resource: read_column(bytes, |b| ResourceId(u32::from_le_bytes(b)))?,
        entity: read_column(bytes, |b| EntityKey(u32::from_le_bytes(b)))?,
        name: read_text(bytes)?,
        kind: read_column(bytes, |[k]| k)?,
        status: read_column(bytes, |[s]| s)?,
        trace_id: read_column(bytes, |b| b)?,
        span_id: read_column(bytes, |b| b)?,
        parent_span_id: read_column(bytes, |b| b)?,
        attributes: read_text(bytes)?,
    };
    let events = Events {
        time: read_column(bytes, i64::from_le_bytes)?,
        entity: read_column(bytes, |b| EntityKey(u32::from_le_bytes(b)))?,
        kind: read_text(bytes)?,
        attributes: read_text(bytes)?,
    };
    Some(Batch { tenant, learned, backfill: backfill == 1, samples, records, spans, events })
}

fn write_column<const N: usize>(rows: impl ExactSizeIterator<Item = [u8; N]>, out: &mut Vec<u8>) {
    out.extend((rows.len() as u32).to_le_bytes());
    rows.for_each(|row| out.extend(row));
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

fn write_text(text: &Text, out: &mut Vec<u8>) {
    write_column(text.offsets.iter().map(|offset| offset.to_le_bytes()), out);
    write_bytes(&text.bytes, out);
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(take(bytes)?) as usize;
    let (head, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(head)
}

fn read_column<T, const N: usize>(bytes: &mut &[u8], read: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
    let rows = u32::from_le_bytes(take(bytes)?) as usize;
    let (head, rest) = bytes.split_at_checked(rows.checked_mul(N)?)?;
    *bytes = rest;
    Some(head.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect())
}

fn read_text(bytes: &mut &[u8]) -> Option<Text> {
    let offsets = read_column(bytes, i32::from_le_bytes)?;
    let text = take_bytes(bytes)?.to_vec();
    let in_order = offsets.first() == Some(&0) && offsets.is_sorted();
    (in_order && offsets.last().copied()? as usize == text.len()).then_some(Text { offsets, bytes: text })
}
