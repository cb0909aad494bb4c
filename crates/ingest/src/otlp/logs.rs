//! OTLP logs to records.
//!
//! The body is kept as text: a string as it is, anything structured as JSON. Where no time was given the observed
//! time counts, else the request's. A severity given as text only is read (`error`, `WARN` …). Trace and span ids of
//! the wrong length count as absent. Secrets in the body and in attributes are replaced here, before anything is kept.

use types::{Batch, Records, TemplateId};

use super::{ResourceCursor, Scope, each_item, id, note};
use crate::json_text::{Fault, Object, over, plain_value, text};
use crate::limits::{Rejects, Window, show};
use crate::wire::{Malformed, each_field, find_bytes};
use crate::{BadRequest, Decoded, Ingest, Request, Written};

pub(crate) fn decode(ingest: &Ingest, request: &Request, body: &[u8]) -> Result<Decoded, BadRequest> {
    let scope = Scope { limits: &ingest.limits, window: Window::new(request, &ingest.limits), now: request.now.0 };
    let mut resource = ResourceCursor::new(ingest, request);
    let mut records = Records::default();
    records.body.bytes.reserve(body.len() / 2);
    records.attributes.bytes.reserve(body.len() / 2);
    let mut rejects = Rejects::default();
    let mut object = Object::new(&ingest.limits);
    each_item(body, &mut resource, |record, resource| {
        take(record, &scope, resource, &mut object, &mut records, &mut rejects)?;
        scope.limits.check_rows(records.len())
    })?;
    ingest.templates.assign(&ingest.directory, &mut records);
    let written = Written { records: records.len() as u64, masked: object.masking.count, ..Written::default() };
    let batch = Batch { records, ..request.batch() };
    Ok(Decoded { batch, rejects: rejects.finish(), written, ids: Vec::new(), once: Vec::new() })
}

/// Takes one record in, or undoes what was written of it and notes why.
fn take<'a>(
    record: &'a [u8],
    scope: &Scope<'_>,
    resource: &mut ResourceCursor<'_, 'a>,
    object: &mut Object<'a>,
    records: &mut Records,
    rejects: &mut Rejects,
) -> Result<(), Malformed> {
    let (body_len, attributes_len) = (records.body.bytes.len(), records.attributes.bytes.len());
    let fault = match read(record, scope, resource, object, records) {
        Ok(()) => return Ok(()),
        Err(fault) => fault,
    };
    records.body.bytes.truncate(body_len);
    records.attributes.bytes.truncate(attributes_len);
    note(fault, rejects, || match find_bytes(record, 5).map(|body| find_bytes(body, 1)) {
        // A reject is shown and kept as well.
        Ok(Ok(line)) if scope.limits.mask_secrets => {
            let mut line = line[..line.len().min(1000)].to_vec();
            math::secrets::mask_from(&mut line, 0);
            format!("log record {:?}", crate::limits::show_bytes(&line))
        }
        Ok(Ok(line)) => format!("log record {:?}", crate::limits::show_bytes(line)),
        _ => "log record".into(),
    })
}

#[inline]
fn read<'a>(
    record: &'a [u8],
    scope: &Scope<'_>,
    resource: &mut ResourceCursor<'_, 'a>,
    object: &mut Object<'a>,
    records: &mut Records,
) -> Result<(), Fault> {
    let limits = scope.limits;
    let (mut time, mut observed, mut severity) = (0, 0, 0);
    let (mut severity_text, mut body, mut event_name): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
    let (mut trace_id, mut span_id) = ([0; 16], [0; 8]);
    let attributes = &mut records.attributes.bytes;
    object.begin();
    each_field(record, |number, value| -> Result<(), Fault> {
        match number {
            1 => time = value.fixed64()?,
            2 => severity = value.varint()?,
            3 => severity_text = value.bytes()?,
            5 => body = value.bytes()?,
            6 => object.key_value(attributes, value.bytes()?, limits)?,
            9 => trace_id = id(value.bytes()?).unwrap_or_default(),
            10 => span_id = id(value.bytes()?).unwrap_or_default(),
            11 => observed = value.fixed64()?,
            12 => event_name = value.bytes()?,
            _ => {}
        }
        Ok(())
    })?;
    if !event_name.is_empty() {
        object.member(attributes, "event.name", event_name, limits)?;
    }
    object.end(attributes);
    let start = records.body.bytes.len();
    plain_value(&mut records.body.bytes, body, limits.max_value_depth, &mut object.masking)?;
    let len = records.body.bytes.len() - start;
    if len > limits.max_log_body_len {
        return Err(over("log line", &records.body.bytes[start..], len, "max_log_body_len", limits.max_log_body_len));
    }
    let sent = [time, observed].into_iter().find(|t| *t != 0);
    let time = match sent {
        None => scope.now,
        Some(sent) => scope
            .window
            .check_unsigned(sent)
            .map_err(|off| Fault::Item(off.key(), scope.window.reason(off, "time", &format!("{sent} ns"))))?,
    };
    let entry = resource.at(time)?;
    records.time.push(time);
    records.resource.push(entry.id);
    records.entity.push(entry.entity);
    records.severity.push(severity_of(severity, severity_text)?);
    records.template.push(TemplateId(0));
    records.body.close();
    records.attributes.close();
    records.trace_id.push(trace_id);
    records.span_id.push(span_id);
    Ok(())
}

/// OTLP severity number; from the text where only that was given.
fn severity_of(number: u64, severity_text: &[u8]) -> Result<u8, Fault> {
    if (1..=24).contains(&number) {
        return Ok(number as u8);
    }
    if severity_text.is_empty() {
        return Ok(0);
    }
    Ok(severity_from_text(text(severity_text, "severity text")?))
}

/// Severity number of a level's usual names (OpenTelemetry logs data model, appendix B); 0 for others.
pub fn severity_from_text(name: &str) -> u8 {
    let name = show(name.trim()).to_ascii_lowercase();
    match name.as_str() {
        "trace" | "finest" | "verbose" => 1,
        "debug" | "fine" | "finer" | "config" => 5,
        "info" | "information" | "informational" | "default" => 9,
        "notice" => 10,
        "warn" | "warning" => 13,
        "error" | "err" | "severe" => 17,
        "critical" | "crit" => 18,
        "alert" => 19,
        "fatal" | "panic" | "dpanic" => 21,
        "emergency" | "emerg" => 22,
        _ => 0,
    }
}
