//! OTLP traces to spans.
//!
//! Events and links are not stored one by one: their number goes into the attributes `events` and `links`, and the
//! attributes of an `exception` event (`exception.type`, `exception.message`, `exception.stacktrace`) are kept as the
//! span's own. The status message becomes `otel.status_description`, as in the specification's mapping for formats
//! without one. A span that ends before it starts has length 0.

use types::{Batch, Spans};

use super::{ResourceCursor, Scope, each_item, id, note};
use crate::json_text::{Fault, Object, bounded, split_key_value};
use crate::limits::{Rejects, Window, show_bytes};
use crate::wire::{Malformed, each_field, find_bytes};
use crate::{BadRequest, Decoded, Ingest, Request, Written};

pub(crate) fn decode(ingest: &Ingest, request: &Request, body: &[u8]) -> Result<Decoded, BadRequest> {
    let scope = Scope { limits: &ingest.limits, window: Window::new(request, &ingest.limits), now: request.now.0 };
    let mut resource = ResourceCursor::new(ingest, request);
    let mut spans = Spans::default();
    spans.name.bytes.reserve(body.len() / 8);
    spans.attributes.bytes.reserve(body.len());
    let mut rejects = Rejects::default();
    let mut object = Object::new(&ingest.limits);
    each_item(body, &mut resource, |span, resource| {
        take(span, &scope, resource, &mut object, &mut spans, &mut rejects)?;
        scope.limits.check_rows(spans.len())
    })?;
    let written = Written { spans: spans.len() as u64, masked: object.masking.count, ..Written::default() };
    let batch = Batch { spans, ..request.batch() };
    Ok(Decoded { batch, rejects: rejects.finish(), written, ids: Vec::new(), once: Vec::new() })
}

/// Takes one span in, or undoes what was written of it and notes why.
fn take<'a>(
    span: &'a [u8],
    scope: &Scope<'_>,
    resource: &mut ResourceCursor<'_, 'a>,
    object: &mut Object<'a>,
    spans: &mut Spans,
    rejects: &mut Rejects,
) -> Result<(), Malformed> {
    let (name_len, attributes_len) = (spans.name.bytes.len(), spans.attributes.bytes.len());
    let fault = match read(span, scope, resource, object, spans) {
        Ok(()) => return Ok(()),
        Err(fault) => fault,
    };
    spans.name.bytes.truncate(name_len);
    spans.attributes.bytes.truncate(attributes_len);
    note(fault, rejects, || format!("span {:?}", show_bytes(find_bytes(span, 5).unwrap_or_default())))
}

#[inline]
fn read<'a>(
    span: &'a [u8],
    scope: &Scope<'_>,
    resource: &mut ResourceCursor<'_, 'a>,
    object: &mut Object<'a>,
    spans: &mut Spans,
) -> Result<(), Fault> {
    let limits = scope.limits;
    let (mut trace_id, mut span_id, mut parent) = (None, None, [0; 8]);
    let (mut name, mut status): (&[u8], &[u8]) = (&[], &[]);
    let (mut kind, mut start, mut end, mut events, mut links) = (0, 0, 0, 0, 0);
    let attributes = &mut spans.attributes.bytes;
    object.begin();
    each_field(span, |number, value| -> Result<(), Fault> {
        match number {
            1 => trace_id = id(value.bytes()?),
            2 => span_id = id(value.bytes()?),
            4 => parent = id(value.bytes()?).unwrap_or_default(),
            5 => name = value.bytes()?,
            6 => kind = value.varint()?,
            7 => start = value.fixed64()?,
            8 => end = value.fixed64()?,
            9 => object.key_value(attributes, value.bytes()?, limits)?,
            11 => {
                events += 1;
                fold_exception(value.bytes()?, object, attributes, scope)?;
            }
            13 => links += 1,
            15 => status = value.bytes()?,
            _ => {}
        }
        Ok(())
    })?;
    let code = read_status(status, object, attributes, scope)?;
    for (key, count) in [("events", events), ("links", links)] {
        if count > 0 {
            object.number(attributes, key, count, limits)?;
        }
    }
    object.end(attributes);
    let (Some(trace_id), Some(span_id)) = (trace_id, span_id) else {
        let reason = "the trace id must have 16 bytes and the span id 8, not all zero".to_owned();
        return Err(Fault::Item("span_id", reason));
    };
    let name = bounded(name, "span name", "max_span_name_len", limits.max_span_name_len)?;
    let time = scope
        .window
        .check_unsigned(start)
        .map_err(|off| Fault::Item(off.key(), scope.window.reason(off, "start", &format!("{start} ns"))))?;
    let entry = resource.at(time)?;
    spans.time.push(time);
    spans.duration_ns.push(i64::try_from(end.saturating_sub(start)).unwrap_or(i64::MAX));
    spans.resource.push(entry.id);
    spans.entity.push(entry.entity);
    spans.name.push(name);
    spans.kind.push(if kind <= 5 { kind as u8 } else { 0 });
    spans.status.push(code);
    spans.trace_id.push(trace_id);
    spans.span_id.push(span_id);
    spans.parent_span_id.push(parent);
    spans.attributes.close();
    Ok(())
}

/// Keeps what an `exception` event says; other events are only counted.
fn fold_exception<'a>(
    event: &'a [u8],
    object: &mut Object<'a>,
    attributes: &mut Vec<u8>,
    scope: &Scope<'_>,
) -> Result<(), Fault> {
    if find_bytes(event, 2)? != b"exception" {
        return Ok(());
    }
    each_field(event, |number, value| {
        if number != 3 {
            return Ok(());
        }
        let key_value = value.bytes()?;
        if split_key_value(key_value)?.0.starts_with(b"exception.") {
            object.key_value(attributes, key_value, scope.limits)?;
        }
        Ok(())
    })
}

/// Status code 0..=2; a message becomes an attribute.
fn read_status<'a>(
    status: &'a [u8],
    object: &mut Object<'a>,
    attributes: &mut Vec<u8>,
    scope: &Scope<'_>,
) -> Result<u8, Fault> {
    let mut code = 0;
    each_field(status, |number, value| -> Result<(), Fault> {
        match number {
            2 => {
                let message = value.bytes()?;
                if !message.is_empty() {
                    object.member(attributes, "otel.status_description", message, scope.limits)?;
                }
            }
            3 => code = value.varint()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(if code <= 2 { code as u8 } else { 0 })
}
