//! Prometheus remote write 1 (`prometheus.WriteRequest`) and 2 (`io.prometheus.write.v2.Request`).
//!
//! Labels may come in any order. A label with an empty value is the same as no label, as in Prometheus. A series with
//! a label name given twice, an empty label name or without `__name__` is refused, its neighbours are kept.
//!
//! Whether a metric is a counter is known from version 2's metadata; version 1 sends metadata apart from the samples,
//! so it is remembered, and until it came the name decides (`_total`, `_count`, `_sum`, `_bucket`).
//!
//! A native histogram becomes `NAME_count`, `NAME_sum` and `NAME_bucket{le}` (see `histogram`). One whose counts do
//! not add up is refused, as Prometheus does.
//!
//! Source: prometheus/docs, specs/prw/remote_write_spec.md and remote_write_spec_2_0.md; prompb/types.proto.

use types::{Batch, LabelSet, Labels, SeriesKind, Tenant};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::histogram::{Exponential, bound_text};
use crate::json_text::{Fault, text};
use crate::limits::{Limits, Off, Window, show, show_bytes};
use crate::otlp::metrics::STALE;
use crate::otlp::{mix, note, seed_of};
use crate::series::{Counts, Draft, SamplePass, check_labels, kind_of_name, series_text};
use crate::wire::{Malformed, Reader, Value, each_field, unzigzag};
use crate::{BadRequest, Decoded, Ingest, Request, Written};

pub(crate) fn decode_v1(ingest: &Ingest, request: &Request, body: &[u8]) -> Result<Decoded, BadRequest> {
    let series = learn_metadata(ingest, request, body)?;
    let mut walk = Walk::new(ingest, request, 3);
    walk.pass.reserve(series);
    let describe = |place: &Place<'_>| {
        let labels = labels_v1(place.series)?;
        draft(place, labels, &ingest.limits, |metric| ingest.kinds.read().get(&request.tenant, metric))
    };
    each_field(body, |number, value| -> Result<(), BadRequest> {
        if number != 1 {
            return Ok(());
        }
        let series = value.bytes()?;
        let key = walk.read_series(series, &V1)?;
        walk.take(series, key, &describe)?;
        ingest.limits.check_rows(walk.pass.rows())
    })?;
    walk.finish(request, describe)
}

pub(crate) fn decode_v2(ingest: &Ingest, request: &Request, body: &[u8]) -> Result<Decoded, BadRequest> {
    let mut walk = Walk::new(ingest, request, 4);
    let symbols = Symbols::read(body, &ingest.limits, walk.seed)?;
    let describe = |place: &Place<'_>| {
        let (labels, kind, unit) = symbols.labels(place.series)?;
        draft(place, labels, &ingest.limits, |metric| (kind.unwrap_or_else(|| kind_of_name(metric)), unit.into()))
    };
    each_field(body, |number, value| -> Result<(), BadRequest> {
        if number != 5 {
            return Ok(());
        }
        let series = value.bytes()?;
        walk.read_series(series, &V2)?;
        let key = symbols.key(series, walk.seed, &mut walk.scratch)?;
        walk.take(series, key, &describe)?;
        ingest.limits.check_rows(walk.pass.rows())
    })?;
    walk.finish(request, describe)
}

/// Which of a series' rows.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Whole,
    Count,
    Sum,
    Bucket(f64),
}

/// Where a series stands in the body.
#[derive(Clone, Copy)]
struct Place<'a> {
    series: &'a [u8],
    part: Part,
    is_gauge: bool,
}

/// Field numbers in which the two versions differ.
struct Numbers {
    samples: u32,
    exemplars: u32,
    histograms: u32,
}

const V1: Numbers = Numbers { samples: 2, exemplars: 3, histograms: 4 };
const V2: Numbers = Numbers { samples: 2, exemplars: 4, histograms: 3 };

struct Walk<'i, 'a> {
    limits: &'i Limits,
    window: Window,
    seed: u64,
    pass: SamplePass<'i, Place<'a>>,
    samples: Vec<&'a [u8]>,
    histograms: Vec<&'a [u8]>,
    scratch: Vec<u8>,
    exemplars: u64,
}

impl<'i, 'a> Walk<'i, 'a> {
    fn new(ingest: &'i Ingest, request: &Request, format: u64) -> Walk<'i, 'a> {
        Walk {
            limits: &ingest.limits,
            window: Window::new(request, &ingest.limits),
            seed: seed_of(ingest, request, format),
            pass: SamplePass::new(ingest),
            samples: Vec::new(),
            histograms: Vec::new(),
            scratch: Vec::new(),
            exemplars: 0,
        }
    }

    /// Collects a series' samples and histograms; gives the hash of its encoded labels (field 1).
    #[inline]
    fn read_series(&mut self, series: &'a [u8], numbers: &Numbers) -> Result<u128, Malformed> {
        self.samples.clear();
        self.histograms.clear();
        let mut labels = (0, 0);
        let mut is_split = false;
        let mut reader = Reader::new(series);
        loop {
            let start = reader.at();
            let Some((number, value)) = reader.next()? else {
                break;
            };
            if number == 1 {
                is_split |= labels.1 != start && labels.1 != 0;
                labels = (if labels.1 == 0 { start } else { labels.0 }, reader.at());
            } else if number == numbers.samples {
                self.samples.push(value.bytes()?);
            } else if number == numbers.histograms {
                self.histograms.push(value.bytes()?);
            } else if number == numbers.exemplars {
                self.exemplars += 1;
            }
        }
        if !is_split {
            return Ok(xxh3_128_with_seed(series.get(labels.0..labels.1).unwrap_or_default(), self.seed));
        }
        let mut hash = 0;
        each_field(series, |number, value| -> Result<(), Malformed> {
            if number == 1 {
                hash = mix(hash, xxh3_128_with_seed(value.bytes()?, self.seed), self.seed);
            }
            Ok(())
        })?;
        Ok(hash)
    }

    #[inline]
    fn take(
        &mut self,
        series: &'a [u8],
        key: u128,
        describe: &impl Fn(&Place<'_>) -> Result<Draft, Fault>,
    ) -> Result<(), Malformed> {
        let place = Place { series, part: Part::Whole, is_gauge: false };
        if !self.samples.is_empty() {
            let slot = self.pass.look_up(key);
            for i in 0..self.samples.len() {
                let (value, ms) = sample(self.samples[i])?;
                match self.window.check_ms(ms) {
                    Ok(time) => self.pass.push(slot, place, time, value, Counts::Sample),
                    Err(off) => self.off(place, ms, off, describe),
                }
            }
        }
        for i in 0..self.histograms.len() {
            let sent = self.histograms[i];
            match Native::read(sent, self.limits) {
                Ok(native) => self.histogram(place, key, native, describe),
                Err(fault) => note(fault, &mut self.pass.rejects, || name_of(&place, describe))?,
            }
        }
        Ok(())
    }

    fn histogram(
        &mut self,
        place: Place<'a>,
        key: u128,
        native: Native,
        describe: &impl Fn(&Place<'_>) -> Result<Draft, Fault>,
    ) {
        let time = match self.window.check_ms(native.time_ms) {
            Ok(time) => time,
            Err(off) => return self.off(place, native.time_ms, off, describe),
        };
        let is_stale = native.sum.to_bits() == STALE;
        let place = Place { is_gauge: native.is_gauge, ..place };
        let (count, sum) = (native.count, native.sum);
        let mut rows = vec![(Part::Count, count), (Part::Sum, sum), (Part::Bucket(f64::INFINITY), count)];
        rows.extend(native.cumulative(self.limits).into_iter().map(|(bound, total)| (Part::Bucket(bound), total)));
        for (part, value) in rows {
            let (tag, bits, counts) = match part {
                Part::Count | Part::Whole => (1u128, 0, Counts::Histogram),
                Part::Sum => (2, 0, Counts::Part),
                Part::Bucket(bound) => (3, bound.to_bits(), Counts::Part),
            };
            let part_key = (tag << 72) | (u128::from(place.is_gauge) << 64) | u128::from(bits);
            let slot = self.pass.look_up(mix(key, part_key, self.seed));
            let value = if is_stale { f64::from_bits(STALE) } else { value };
            self.pass.push(slot, Place { part, ..place }, time, value, counts);
        }
    }

    #[cold]
    fn off(&mut self, place: Place<'a>, ms: i64, off: Off, describe: &impl Fn(&Place<'_>) -> Result<Draft, Fault>) {
        let window = self.window;
        let reason = || window.reason(off, &name_of(&place, describe), &format!("{ms} ms"));
        self.pass.rejects.add(off.key(), 1, reason);
    }

    fn finish(
        self,
        request: &Request,
        describe: impl Fn(&Place<'_>) -> Result<Draft, Fault>,
    ) -> Result<Decoded, BadRequest> {
        let exemplars = self.exemplars;
        let (samples, written, rejects) = self.pass.finish(request, describe)?;
        let batch = Batch { samples, ..request.batch() };
        Ok(Decoded {
            batch,
            rejects: rejects.finish(),
            written: Written { exemplars, ..written },
            ids: Vec::new(),
            once: Vec::new(),
        })
    }
}

/// Value and time in ms of a sample.
#[inline]
fn sample(bytes: &[u8]) -> Result<(f64, i64), Malformed> {
    let (mut value, mut ms) = (0.0, 0);
    each_field(bytes, |number, field| -> Result<(), Malformed> {
        match number {
            1 => value = field.double()?,
            2 => ms = field.varint()? as i64,
            _ => {}
        }
        Ok(())
    })?;
    Ok((value, ms))
}

/// A series in words for a reject, even where its labels are what is wrong.
fn name_of(place: &Place<'_>, describe: &impl Fn(&Place<'_>) -> Result<Draft, Fault>) -> String {
    match describe(place) {
        Ok(draft) => series_text(&draft.metric, draft.labels.iter()),
        Err(Fault::Item(_, reason)) => reason,
        Err(Fault::Malformed(_)) => "a series".into(),
    }
}

fn draft(
    place: &Place<'_>,
    labels: Labels<'_>,
    limits: &Limits,
    kind_and_unit: impl Fn(&str) -> (SeriesKind, Box<str>),
) -> Result<Draft, Fault> {
    let (suffix, bound) = match place.part {
        Part::Whole => ("", None),
        Part::Count => ("_count", None),
        Part::Sum => ("_sum", None),
        Part::Bucket(bound) => ("_bucket", Some(bound_text(bound))),
    };
    let mut labels: Labels<'_> = labels;
    labels.retain(|(name, value)| !value.is_empty() || name.is_empty());
    let named = labels.iter().position(|(name, _)| *name == "__name__");
    let metric = named.map_or("", |at| labels.swap_remove(at).1);
    if labels.iter().any(|(name, _)| *name == "__name__") {
        let reason = format!("{}: label \"__name__\" is given twice", series_text(metric, labels.iter().copied()));
        return Err(Fault::Item("duplicate_label", reason));
    }
    check_labels(metric, &mut labels, limits)?;
    let get = |name: &str| labels.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
    let entity = crate::resolver::prometheus_entity(get);
    let (kind, unit) = match place.part {
        Part::Whole => kind_and_unit(metric),
        _ if place.is_gauge => (SeriesKind::Gauge, "".into()),
        _ => (SeriesKind::Counter, "".into()),
    };
    if let Some(bound) = &bound {
        labels.retain(|(name, _)| *name != "le");
        labels.push(("le", bound));
    }
    Ok(Draft { metric: format!("{metric}{suffix}").into(), labels: LabelSet::pack(&mut labels), entity, kind, unit })
}

/// The labels of a version 1 series.
fn labels_v1(series: &[u8]) -> Result<Labels<'_>, Fault> {
    let mut labels = Vec::new();
    let mut bad = None;
    each_field(series, |number, value| -> Result<(), Fault> {
        if number != 1 {
            return Ok(());
        }
        let (mut name, mut content): (&[u8], &[u8]) = (&[], &[]);
        each_field(value.bytes()?, |number, value| -> Result<(), Malformed> {
            match number {
                1 => name = value.bytes()?,
                2 => content = value.bytes()?,
                _ => {}
            }
            Ok(())
        })?;
        match (std::str::from_utf8(name), std::str::from_utf8(content)) {
            (Ok(name), Ok(content)) => labels.push((name, content)),
            _ => bad = bad.or(Some((name, content))),
        }
        Ok(())
    })?;
    match bad {
        None => Ok(labels),
        Some((name, content)) => Err(not_utf8(&labels, name, content)),
    }
}

fn not_utf8(labels: &Labels<'_>, name: &[u8], content: &[u8]) -> Fault {
    let metric = labels.iter().find(|(n, _)| *n == "__name__").map_or("", |(_, v)| *v);
    let series = series_text(metric, labels.iter().copied().filter(|(n, _)| *n != "__name__"));
    let (name, content) = (show_bytes(name), show_bytes(content));
    Fault::Item("invalid_utf8", format!("{series}: label {name:?} = {content:?} is not valid UTF-8"))
}

/// Version 2's table of texts, with the hash of each so that a series is hashed without looking at text.
struct Symbols<'a> {
    texts: Vec<&'a [u8]>,
    hashes: Vec<u128>,
}

impl<'a> Symbols<'a> {
    fn read(body: &'a [u8], limits: &Limits, seed: u64) -> Result<Symbols<'a>, BadRequest> {
        let mut texts = Vec::new();
        let mut is_v1 = false;
        each_field(body, |number, value| -> Result<(), BadRequest> {
            match number {
                1 | 3 => is_v1 = true,
                4 => {
                    texts.push(value.bytes()?);
                    limits.check_rows(texts.len())?;
                }
                _ => {}
            }
            Ok(())
        })?;
        if texts.is_empty() && !is_v1 && body.is_empty() {
            return Ok(Symbols { texts, hashes: Vec::new() });
        }
        if texts.first() != Some(&&b""[..]) {
            let hint = if is_v1 { "; it looks like remote write 1" } else { "" };
            return Err(BadRequest::malformed(format!("the first symbol must be the empty text{hint}")));
        }
        let hashes = texts.iter().map(|text| xxh3_128_with_seed(text, seed)).collect();
        Ok(Symbols { texts, hashes })
    }

    /// Identity of a series: its symbols in the order given and its metadata's type.
    fn key(&self, series: &[u8], seed: u64, scratch: &mut Vec<u8>) -> Result<u128, Malformed> {
        scratch.clear();
        each_field(series, |number, value| -> Result<(), Malformed> {
            match number {
                1 => value.repeated_varint(|at| {
                    let hash = self.hashes.get(at as usize).copied().unwrap_or(u128::from(at));
                    scratch.extend_from_slice(&hash.to_le_bytes());
                    true
                })?,
                5 => {
                    scratch.push(b'm');
                    scratch.extend_from_slice(&metadata_type(value.bytes()?)?.0.to_le_bytes());
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(xxh3_128_with_seed(scratch, seed))
    }

    /// Labels, kind and unit of a series.
    fn labels(&self, series: &[u8]) -> Result<(Labels<'a>, Option<SeriesKind>, &'a str), Fault> {
        let mut at = Vec::new();
        let mut metadata = (0, 0);
        each_field(series, |number, value| -> Result<(), Malformed> {
            match number {
                1 => value.repeated_varint(|symbol| {
                    at.push(symbol);
                    true
                })?,
                5 => metadata = metadata_type(value.bytes()?)?,
                _ => {}
            }
            Ok(())
        })?;
        let outside = |symbol: u64| {
            let len = self.texts.len();
            Fault::Item("symbols", format!("a series refers to symbol {symbol}, but there are only {len}"))
        };
        let symbol = |at: u64| self.texts.get(at as usize).copied().ok_or_else(|| outside(at));
        let (pairs, rest) = at.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Fault::Item("symbols", "a series has an odd number of label references".into()));
        }
        let mut labels = Labels::with_capacity(pairs.len());
        for [name, value] in pairs {
            let (name, value) = (symbol(*name)?, symbol(*value)?);
            match (std::str::from_utf8(name), std::str::from_utf8(value)) {
                (Ok(name), Ok(value)) => labels.push((name, value)),
                _ => return Err(not_utf8(&labels, name, value)),
            }
        }
        let kind = match metadata.0 {
            1 => Some(SeriesKind::Counter),
            2 => Some(SeriesKind::Gauge),
            _ => None,
        };
        Ok((labels, kind, text(symbol(metadata.1)?, "unit")?))
    }
}

/// Type and unit reference of version 2's metadata.
fn metadata_type(bytes: &[u8]) -> Result<(u64, u64), Malformed> {
    let mut found = (0, 0);
    each_field(bytes, |number, value| -> Result<(), Malformed> {
        match number {
            1 => found.0 = value.varint()?,
            4 => found.1 = value.varint()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(found)
}

/// Takes in version 1's metadata; gives the number of series. A body of version 2 read as version 1 would be empty
/// without any error, so it is looked for.
fn learn_metadata(ingest: &Ingest, request: &Request, body: &[u8]) -> Result<usize, BadRequest> {
    let mut metadata = Vec::new();
    let (mut series, mut is_v2) = (0usize, false);
    each_field(body, |number, value| -> Result<(), BadRequest> {
        match number {
            1 => series += 1,
            3 => {
                metadata.push(value.bytes()?);
                ingest.limits.check_rows(metadata.len())?;
            }
            4 | 5 => is_v2 = true,
            _ => {}
        }
        Ok(())
    })?;
    if is_v2 && series == 0 && metadata.is_empty() {
        let reason = "this is remote write 2; say so in content-type: \
                      application/x-protobuf;proto=io.prometheus.write.v2.Request";
        return Err(BadRequest::malformed(reason));
    }
    let mut is_changed = false;
    for message in metadata {
        is_changed |= learn_one(ingest, &request.tenant, message)?;
    }
    if is_changed {
        ingest.series.write().clear();
    }
    Ok(series.min(ingest.limits.max_rows_per_request))
}

fn learn_one(ingest: &Ingest, tenant: &Tenant, message: &[u8]) -> Result<bool, Malformed> {
    let (mut kind, mut name, mut unit): (u64, &[u8], &[u8]) = (0, &[], &[]);
    each_field(message, |number, value| -> Result<(), Malformed> {
        match number {
            1 => kind = value.varint()?,
            2 => name = value.bytes()?,
            5 => unit = value.bytes()?,
            _ => {}
        }
        Ok(())
    })?;
    let kind = match kind {
        1 => SeriesKind::Counter,
        2 => SeriesKind::Gauge,
        _ => return Ok(false),
    };
    let (Ok(name), Ok(unit)) = (std::str::from_utf8(name), std::str::from_utf8(unit)) else {
        return Ok(false);
    };
    let is_sane = !name.is_empty() && name.len() <= ingest.limits.max_metric_name_len && unit.len() <= 64;
    if !is_sane || ingest.kinds.read().get(tenant, name) == (kind, unit.into()) {
        return Ok(false);
    }
    Ok(ingest.kinds.write().learn(tenant, name, kind, &show(unit)))
}

/// A native histogram as sent.
#[derive(Default)]
struct Native {
    count: f64,
    sum: f64,
    time_ms: i64,
    is_gauge: bool,
    schema: i64,
    buckets: Exponential,
    custom: Vec<u64>,
}

/// Schema of histograms with bounds of their own.
const CUSTOM: i64 = -53;

/// One side of a native histogram's buckets.
#[derive(Default)]
struct Side {
    spans: Vec<(i64, u64)>,
    deltas: Vec<i64>,
    counts: Vec<u64>,
}

impl Native {
    fn read(bytes: &[u8], limits: &Limits) -> Result<Native, Fault> {
        let mut native = Native::default();
        let (mut positive, mut negative) = (Side::default(), Side::default());
        let mut is_whole = false;
        let most = limits.max_buckets * 16;
        each_field(bytes, |number, value| -> Result<(), Malformed> {
            match number {
                1 => (native.count, is_whole) = (value.varint()? as f64, true),
                2 => native.count = value.double()?,
                3 => native.sum = value.double()?,
                4 => native.schema = value.zigzag()?,
                5 => native.buckets.zero_threshold = value.double()?,
                6 => native.buckets.zero_count = value.varint()? as f64,
                7 => native.buckets.zero_count = value.double()?,
                8..=10 => negative.read(number - 8, value, most)?,
                11..=13 => positive.read(number - 11, value, most)?,
                14 => native.is_gauge = value.varint()? == 3,
                15 => native.time_ms = value.varint()? as i64,
                16 => value.repeated_fixed64(&mut native.custom)?,
                _ => {}
            }
            Ok(())
        })?;
        if !(-4..=8).contains(&native.schema) && native.schema != CUSTOM {
            let reason = format!("schema {} of a native histogram is not known", native.schema);
            return Err(Fault::Item("histogram", reason));
        }
        native.buckets.scale = native.schema as i32;
        native.buckets.positive = positive.buckets(most)?;
        native.buckets.negative = negative.buckets(most)?;
        native.check(is_whole, limits)?;
        Ok(native)
    }

    /// The buckets must hold as many as the count says; observations of NaN are in none, then the sum is NaN.
    fn check(&self, is_whole: bool, limits: &Limits) -> Result<(), Fault> {
        let buckets = &self.buckets;
        let all = buckets.positive.iter().chain(&buckets.negative).map(|(_, count)| count);
        if all.clone().any(|count| *count < 0.0) || self.count < 0.0 || buckets.zero_count < 0.0 {
            return Err(Fault::Item("histogram", "a native histogram has a bucket below zero".into()));
        }
        let total: f64 = all.sum::<f64>() + buckets.zero_count;
        let fits = if self.sum.is_nan() { total <= self.count } else { total == self.count };
        if is_whole && !fits {
            let reason = format!("a native histogram counts {} but its buckets hold {total}", self.count);
            return Err(Fault::Item("histogram", reason));
        }
        if self.custom.len() > limits.max_buckets {
            let (len, max) = (self.custom.len(), limits.max_buckets);
            return Err(Fault::Item("max_buckets", format!("{len} custom bounds, more than max_buckets {max}")));
        }
        let rising = self.custom.windows(2).all(|pair| f64::from_bits(pair[0]) < f64::from_bits(pair[1]));
        if !rising {
            return Err(Fault::Item("histogram", "the custom bounds of a native histogram do not rise".into()));
        }
        Ok(())
    }

    fn cumulative(self, limits: &Limits) -> Vec<(f64, f64)> {
        if self.schema != CUSTOM {
            return self.buckets.cumulative(limits.max_buckets);
        }
        let mut rest = self.buckets.positive.iter().peekable();
        let mut total = 0.0;
        let mut out = Vec::with_capacity(self.custom.len());
        for (i, bound) in self.custom.iter().enumerate() {
            // `buckets` shifted the indices by one for the exponential grid.
            while let Some((_, count)) = rest.next_if(|(index, _)| i64::from(*index) < i as i64) {
                total += count;
            }
            out.push((f64::from_bits(*bound), total));
        }
        out.retain(|(bound, _)| bound.is_finite());
        out
    }
}

impl Side {
    /// Field 0 are the spans, 1 the deltas of whole counts, 2 fractional counts.
    fn read(&mut self, field: u32, value: Value<'_>, most: usize) -> Result<(), Malformed> {
        match field {
            0 if self.spans.len() <= most => {
                let mut span = (0, 0);
                each_field(value.bytes()?, |number, value| -> Result<(), Malformed> {
                    match number {
                        1 => span.0 = unzigzag(value.varint()?),
                        2 => span.1 = value.varint()?,
                        _ => {}
                    }
                    Ok(())
                })?;
                self.spans.push(span);
            }
            1 => value.repeated_varint(|delta| {
                self.deltas.push(unzigzag(delta));
                self.deltas.len() <= most
            })?,
            2 => value.repeated_fixed64(&mut self.counts)?,
            _ => {}
        }
        Ok(())
    }

    /// Index and count of each bucket. Prometheus' bucket `i` ends where OpenTelemetry's `i` begins, so 1 is taken off.
    fn buckets(self, most: usize) -> Result<Vec<(i32, f64)>, Fault> {
        let sent = self.deltas.len().max(self.counts.len());
        if sent > most || self.spans.len() > most {
            return Err(Fault::Item("max_buckets", format!("more than {most} (16 times max_buckets) buckets")));
        }
        let expected = self.spans.iter().fold(0u64, |sum, (_, length)| sum.saturating_add(*length));
        if expected != sent as u64 {
            let reason = format!("the spans of a native histogram hold {expected} buckets but {sent} were sent");
            return Err(Fault::Item("histogram", reason));
        }
        let mut out = Vec::with_capacity(sent);
        let (mut index, mut at, mut count) = (0i64, 0, 0i64);
        for (offset, length) in self.spans {
            index = index.saturating_add(offset);
            for _ in 0..length {
                let value = match self.counts.get(at) {
                    Some(bits) => f64::from_bits(*bits),
                    None => {
                        count = count.saturating_add(self.deltas.get(at).copied().unwrap_or(0));
                        count as f64
                    }
                };
                let is_empty = value == 0.0;
                if !is_empty {
                    out.push(((index - 1).clamp(i32::MIN.into(), i32::MAX.into()) as i32, value));
                }
                index = index.saturating_add(1);
                at += 1;
            }
        }
        Ok(out)
    }
}
