//! OTLP/JSON to OTLP protobuf, field by field, so that one decoder serves both.
//!
//! Tolerant as the specification asks: lowerCamelCase names (snake_case too, as protobuf's JSON mapping allows),
//! unknown fields ignored, 64-bit numbers as text or number, enums as numbers (or their names), ids in hexadecimal of
//! either case, bytes in base 64, `null` like absent. Nothing is built in between: known fields are written to the
//! wire form as they are read, unknown ones are skipped, so a body costs no more memory than its own size again.
//!
//! Source: opentelemetry-proto, docs/specification.md, "JSON Protobuf Encoding".

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::BadRequest;
use crate::json_text::from_base64;
use crate::limits::{Limits, show};

/// `ExportMetricsServiceRequest` from JSON to protobuf.
pub fn metrics_to_protobuf(body: &[u8], limits: &Limits) -> Result<Vec<u8>, BadRequest> {
    to_protobuf(body, &METRICS, limits)
}

/// `ExportLogsServiceRequest` from JSON to protobuf.
pub fn logs_to_protobuf(body: &[u8], limits: &Limits) -> Result<Vec<u8>, BadRequest> {
    to_protobuf(body, &LOGS, limits)
}

/// `ExportTraceServiceRequest` from JSON to protobuf.
pub fn traces_to_protobuf(body: &[u8], limits: &Limits) -> Result<Vec<u8>, BadRequest> {
    to_protobuf(body, &TRACES, limits)
}

fn to_protobuf(body: &[u8], message: &'static Message, limits: &Limits) -> Result<Vec<u8>, BadRequest> {
    if body.len() > limits.max_body_len {
        let max = limits.max_body_len;
        return Err(BadRequest::too_large(format!("the body is larger than max_body_len {max} bytes")));
    }
    let mut out = Vec::with_capacity(body.len() / 2);
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = Fields { message, out: &mut out }.deserialize(&mut reader).and_then(|()| reader.end());
    match read {
        Ok(()) => Ok(out),
        Err(error) => Err(BadRequest::malformed(format!("the body is not OTLP/JSON: {}", show(&error.to_string())))),
    }
}

/// The fields of one message: its JSON name, number and type.
struct Message(&'static [(&'static str, u32, Kind)]);

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Hex,
    Base64,
    Bool,
    /// `uint32`, `uint64`, `int32`, `int64`.
    Varint,
    /// `sint32`, `sint64`.
    ZigZag,
    Fixed64,
    Fixed32,
    Double,
    Enum(&'static [(&'static str, u64)]),
    One(&'static Message),
    Many(&'static Message),
    ManyFixed64,
    ManyVarint,
    ManyDouble,
}

use Kind::*;

static METRICS: Message = Message(&[("resourceMetrics", 1, Many(&RESOURCE_METRICS))]);
static RESOURCE_METRICS: Message =
    Message(&[("resource", 1, One(&RESOURCE)), ("scopeMetrics", 2, Many(&SCOPE_METRICS))]);
static SCOPE_METRICS: Message = Message(&[("metrics", 2, Many(&METRIC))]);
static METRIC: Message = Message(&[
    ("name", 1, Text),
    ("unit", 3, Text),
    ("gauge", 5, One(&GAUGE)),
    ("sum", 7, One(&SUM)),
    ("histogram", 9, One(&HISTOGRAM)),
    ("exponentialHistogram", 10, One(&EXPONENTIAL)),
    ("summary", 11, One(&SUMMARY)),
]);
static GAUGE: Message = Message(&[("dataPoints", 1, Many(&NUMBER_POINT))]);
static SUM: Message = Message(&[
    ("dataPoints", 1, Many(&NUMBER_POINT)),
    ("aggregationTemporality", 2, TEMPORALITY),
    ("isMonotonic", 3, Bool),
]);
static HISTOGRAM: Message =
    Message(&[("dataPoints", 1, Many(&HISTOGRAM_POINT)), ("aggregationTemporality", 2, TEMPORALITY)]);
static EXPONENTIAL: Message =
    Message(&[("dataPoints", 1, Many(&EXPONENTIAL_POINT)), ("aggregationTemporality", 2, TEMPORALITY)]);
static SUMMARY: Message = Message(&[("dataPoints", 1, Many(&SUMMARY_POINT))]);
const TEMPORALITY: Kind = Enum(&[("AGGREGATION_TEMPORALITY_DELTA", 1), ("AGGREGATION_TEMPORALITY_CUMULATIVE", 2)]);
static EXEMPLAR: Message = Message(&[]);
static NUMBER_POINT: Message = Message(&[
    ("attributes", 7, Many(&KEY_VALUE)),
    ("timeUnixNano", 3, Fixed64),
    ("asDouble", 4, Double),
    ("asInt", 6, Fixed64),
    ("exemplars", 5, Many(&EXEMPLAR)),
    ("flags", 8, Varint),
]);
static HISTOGRAM_POINT: Message = Message(&[
    ("attributes", 9, Many(&KEY_VALUE)),
    ("timeUnixNano", 3, Fixed64),
    ("count", 4, Fixed64),
    ("sum", 5, Double),
    ("bucketCounts", 6, ManyFixed64),
    ("explicitBounds", 7, ManyDouble),
    ("exemplars", 8, Many(&EXEMPLAR)),
    ("flags", 10, Varint),
]);
static EXPONENTIAL_POINT: Message = Message(&[
    ("attributes", 1, Many(&KEY_VALUE)),
    ("timeUnixNano", 3, Fixed64),
    ("count", 4, Fixed64),
    ("sum", 5, Double),
    ("scale", 6, ZigZag),
    ("zeroCount", 7, Fixed64),
    ("positive", 8, One(&BUCKETS)),
    ("negative", 9, One(&BUCKETS)),
    ("flags", 10, Varint),
    ("exemplars", 11, Many(&EXEMPLAR)),
    ("zeroThreshold", 14, Double),
]);
static BUCKETS: Message = Message(&[("offset", 1, ZigZag), ("bucketCounts", 2, ManyVarint)]);
static SUMMARY_POINT: Message = Message(&[
    ("attributes", 7, Many(&KEY_VALUE)),
    ("timeUnixNano", 3, Fixed64),
    ("count", 4, Fixed64),
    ("sum", 5, Double),
    ("quantileValues", 6, Many(&QUANTILE)),
    ("flags", 8, Varint),
]);
static QUANTILE: Message = Message(&[("quantile", 1, Double), ("value", 2, Double)]);

static LOGS: Message = Message(&[("resourceLogs", 1, Many(&RESOURCE_LOGS))]);
static RESOURCE_LOGS: Message = Message(&[("resource", 1, One(&RESOURCE)), ("scopeLogs", 2, Many(&SCOPE_LOGS))]);
static SCOPE_LOGS: Message = Message(&[("logRecords", 2, Many(&LOG_RECORD))]);
static LOG_RECORD: Message = Message(&[
    ("timeUnixNano", 1, Fixed64),
    ("observedTimeUnixNano", 11, Fixed64),
    ("severityNumber", 2, Varint),
    ("severityText", 3, Text),
    ("body", 5, One(&ANY_VALUE)),
    ("attributes", 6, Many(&KEY_VALUE)),
    ("flags", 8, Fixed32),
    ("traceId", 9, Hex),
    ("spanId", 10, Hex),
    ("eventName", 12, Text),
]);

static TRACES: Message = Message(&[("resourceSpans", 1, Many(&RESOURCE_SPANS))]);
static RESOURCE_SPANS: Message = Message(&[("resource", 1, One(&RESOURCE)), ("scopeSpans", 2, Many(&SCOPE_SPANS))]);
static SCOPE_SPANS: Message = Message(&[("spans", 2, Many(&SPAN))]);
static SPAN: Message = Message(&[
    ("traceId", 1, Hex),
    ("spanId", 2, Hex),
    ("traceState", 3, Text),
    ("parentSpanId", 4, Hex),
    ("name", 5, Text),
    ("kind", 6, SPAN_KIND),
    ("startTimeUnixNano", 7, Fixed64),
    ("endTimeUnixNano", 8, Fixed64),
    ("attributes", 9, Many(&KEY_VALUE)),
    ("events", 11, Many(&EVENT)),
    ("links", 13, Many(&LINK)),
    ("status", 15, One(&STATUS)),
]);
const SPAN_KIND: Kind = Enum(&[
    ("SPAN_KIND_INTERNAL", 1),
    ("SPAN_KIND_SERVER", 2),
    ("SPAN_KIND_CLIENT", 3),
    ("SPAN_KIND_PRODUCER", 4),
    ("SPAN_KIND_CONSUMER", 5),
]);
static EVENT: Message =
    Message(&[("timeUnixNano", 1, Fixed64), ("name", 2, Text), ("attributes", 3, Many(&KEY_VALUE))]);
static LINK: Message = Message(&[]);
static STATUS: Message = Message(&[("message", 2, Text), ("code", 3, STATUS_CODE)]);
const STATUS_CODE: Kind = Enum(&[("STATUS_CODE_OK", 1), ("STATUS_CODE_ERROR", 2)]);

static RESOURCE: Message = Message(&[("attributes", 1, Many(&KEY_VALUE))]);
static KEY_VALUE: Message = Message(&[("key", 1, Text), ("value", 2, One(&ANY_VALUE))]);
static ANY_VALUE: Message = Message(&[
    ("stringValue", 1, Text),
    ("boolValue", 2, Bool),
    ("intValue", 3, Varint),
    ("doubleValue", 4, Double),
    ("arrayValue", 5, One(&ARRAY)),
    ("kvlistValue", 6, One(&MAP)),
    ("bytesValue", 7, Base64),
]);
static ARRAY: Message = Message(&[("values", 1, Many(&ANY_VALUE))]);
static MAP: Message = Message(&[("values", 1, Many(&KEY_VALUE))]);

impl Message {
    fn field(&self, name: &str) -> Option<(u32, Kind)> {
        let camel = |c: &str| {
            let mut rest = name.split('_');
            let mut at = rest.next().filter(|first| c.starts_with(first)).map(str::len)?;
            for part in rest {
                let tail = c.get(at..at + part.len())?;
                if !tail.eq_ignore_ascii_case(part) || !tail.starts_with(|c: char| c.is_ascii_uppercase()) {
                    return None;
                }
                at += part.len();
            }
            (at == c.len()).then_some(())
        };
        self.0.iter().find(|(n, ..)| *n == name || camel(n).is_some()).map(|(_, number, kind)| (*number, *kind))
    }
}

/// Reads a JSON object and writes the fields of a message.
struct Fields<'o> {
    message: &'static Message,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.message.field(&name) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some((number, kind)) => map.next_value_seed(OneField { number, kind, out: &mut *self.out })?,
            }
        }
        Ok(())
    }
}

/// Reads one value and writes it as a field.
struct OneField<'o> {
    number: u32,
    kind: Kind,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for OneField<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl OneField<'_> {
    fn tag(&mut self, wire_type: u64) {
        varint(self.out, u64::from(self.number) << 3 | wire_type);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.tag(2);
        varint(self.out, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    /// Writes a number as the field's type wants it.
    fn number<E: Error>(&mut self, value: Number) -> Result<(), E> {
        let bad = || E::custom(format_args!("{value:?} does not fit field {}", self.number));
        match self.kind {
            Double | ManyDouble => {
                let bits = value.double().to_bits();
                self.fixed64(bits);
            }
            Fixed64 | ManyFixed64 => {
                let bits = value.bits().ok_or_else(bad)?;
                self.fixed64(bits);
            }
            Varint | ManyVarint | Enum(_) => {
                let bits = value.bits().ok_or_else(bad)?;
                self.tag(0);
                varint(self.out, bits);
            }
            ZigZag => {
                let bits = value.bits().ok_or_else(bad)? as i64;
                self.tag(0);
                varint(self.out, ((bits << 1) ^ (bits >> 63)) as u64);
            }
            Fixed32 => {
                let bits = value.bits().ok_or_else(bad)? as u32;
                self.tag(5);
                self.out.extend_from_slice(&bits.to_le_bytes());
            }
            Bool => {
                let bits = value.bits().ok_or_else(bad)?;
                self.tag(0);
                varint(self.out, bits);
            }
            _ => return Err(bad()),
        }
        Ok(())
    }

    fn fixed64(&mut self, bits: u64) {
        self.tag(1);
        self.out.extend_from_slice(&bits.to_le_bytes());
    }
}

/// A number as JSON holds it.
#[derive(Clone, Copy, Debug)]
enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Number {
    fn double(self) -> f64 {
        match self {
            Number::Unsigned(v) => v as f64,
            Number::Signed(v) => v as f64,
            Number::Float(v) => v,
        }
    }

    /// The 64 bits of a whole number; `None` for a fraction.
    fn bits(self) -> Option<u64> {
        match self {
            Number::Unsigned(v) => Some(v),
            Number::Signed(v) => Some(v as u64),
            Number::Float(v) if v.fract() == 0.0 && (0.0..1.8e19).contains(&v) => Some(v as u64),
            Number::Float(v) if v.fract() == 0.0 && (-9.2e18..0.0).contains(&v) => Some(v as i64 as u64),
            Number::Float(_) => None,
        }
    }

    fn parse(text: &str) -> Option<Number> {
        let text = text.trim();
        match text {
            "NaN" => return Some(Number::Float(f64::NAN)),
            "Infinity" => return Some(Number::Float(f64::INFINITY)),
            "-Infinity" => return Some(Number::Float(f64::NEG_INFINITY)),
            _ => {}
        }
        let unsigned = text.parse().map(Number::Unsigned).ok();
        unsigned.or_else(|| text.parse().map(Number::Signed).ok()).or_else(|| text.parse().map(Number::Float).ok())
    }
}

impl<'de> Visitor<'de> for OneField<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Text => "text",
            Hex => "hexadecimal digits",
            Base64 => "base 64",
            Bool => "true or false",
            One(_) => "an object",
            Many(_) | ManyFixed64 | ManyVarint | ManyDouble => "a list",
            Enum(_) => "a number",
            _ => "a number or a number as text",
        })
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        if !matches!(self.kind, Bool) {
            return Err(E::invalid_type(serde::de::Unexpected::Bool(value), &self));
        }
        self.number(Number::Unsigned(value.into()))
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        self.number(Number::Unsigned(value))
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        self.number(Number::Signed(value))
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        self.number(Number::Float(value))
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<(), E> {
        let unexpected = serde::de::Unexpected::Str(value);
        match self.kind {
            Text => self.bytes(value.as_bytes()),
            Hex => {
                let bytes = from_hex(value).ok_or_else(|| E::invalid_value(unexpected, &self))?;
                self.bytes(&bytes);
            }
            Base64 => {
                let bytes = from_base64(value).ok_or_else(|| E::invalid_value(unexpected, &self))?;
                self.bytes(&bytes);
            }
            Enum(names) => {
                // A name that is not known is 0, unspecified, as a newer sender may say it.
                let number = Number::parse(value).unwrap_or_else(|| {
                    Number::Unsigned(names.iter().find(|(name, _)| *name == value).map_or(0, |(_, number)| *number))
                });
                return self.number(number);
            }
            Varint | ZigZag | Fixed64 | Fixed32 | Double | ManyFixed64 | ManyVarint | ManyDouble => {
                let number = Number::parse(value).ok_or_else(|| E::invalid_value(unexpected, &self))?;
                return self.number(number);
            }
            Bool | One(_) | Many(_) => return Err(E::invalid_type(unexpected, &self)),
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        let (One(message) | Many(message)) = self.kind else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self));
        };
        self.tag(2);
        // The length is not known yet: five bytes are kept for it and filled with a padded number, which is valid.
        let start = self.out.len();
        self.out.extend_from_slice(&[0; LENGTH]);
        Fields { message, out: &mut *self.out }.visit_map(map)?;
        let mut len = self.out.len() - start - LENGTH;
        for (i, byte) in self.out[start..start + LENGTH].iter_mut().enumerate() {
            *byte = (len & 0x7f) as u8 | if i + 1 < LENGTH { 0x80 } else { 0 };
            len >>= 7;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let kind = match self.kind {
            Many(message) => One(message),
            ManyFixed64 => Fixed64,
            ManyVarint => Varint,
            ManyDouble => Double,
            _ => return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self)),
        };
        while list.next_element_seed(OneField { number: self.number, kind, out: &mut *self.out })?.is_some() {}
        Ok(())
    }
}

/// Bytes of a padded length: 2^35 is more than any body.
const LENGTH: usize = 5;

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
