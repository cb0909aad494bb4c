//! OTLP metrics to samples.
//!
//! - A gauge and a non-monotonic cumulative sum are gauges, a monotonic cumulative sum is a counter, any sum of delta
//!   temporality is a delta.
//! - A histogram becomes series as in Prometheus: `NAME_bucket{le}` (cumulative over the bounds), `NAME_sum`,
//!   `NAME_count`; an exponential one gets bounds on a fixed grid (see `histogram`). A summary becomes
//!   `NAME{quantile}`, `NAME_sum`, `NAME_count`.
//! - Labels are the point's attributes and those attributes of the resource that tell instances apart
//!   ([`IDENTIFYING`]); a point's own attribute of the same name wins. `service.version` is left out on purpose: with
//!   it every deployment would begin new series and no baseline would ever span one. It stays in the resource that
//!   logs and spans refer to.
//! - A point flagged "no recorded value" is stored with Prometheus' stale marker.
//! - The scope is not part of a series.

use types::{Batch, LabelSet, Labels, SeriesKind};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::{attributes, get, mix, note, seed_of};
use crate::histogram::{Exponential, bound_text};
use crate::json_text::{Fault, bounded};
use crate::limits::{Limits, Off, Window, show_bytes};
use crate::series::{Counts, Draft, SamplePass, check_labels, series_text};
use crate::wire::{Malformed, Reader, Value, each_field, find_bytes, unzigzag};
use crate::{BadRequest, Decoded, Ingest, Request};

/// Resource attributes that become labels of its series.
pub(crate) const IDENTIFYING: [&str; 9] = [
    "service.instance.id",
    "host.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "k8s.node.name",
    "k8s.cluster.name",
    "deployment.environment.name",
    "deployment.environment",
];

/// Prometheus' mark that a series has ended; a NaN with its own bits.
pub(crate) const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Which series of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Whole,
    Count,
    Sum,
    Bucket(f64),
    Quantile(f64),
}

/// Where a series stands in the body.
#[derive(Clone, Copy)]
struct Place<'a> {
    resource: &'a [u8],
    metric: &'a [u8],
    point: &'a [u8],
    attribute_field: u32,
    kind: SeriesKind,
    part: Part,
}

/// What a sum or histogram says of all its points.
#[derive(Clone, Copy, Default)]
struct Nature {
    is_delta: bool,
    is_monotonic: bool,
}

pub(crate) fn decode(ingest: &Ingest, request: &Request, body: &[u8]) -> Result<Decoded, BadRequest> {
    let mut walk = Walk {
        limits: &ingest.limits,
        window: Window::new(request, &ingest.limits),
        seed: seed_of(ingest, request, 2),
        pass: SamplePass::new(ingest),
        counts: Vec::new(),
        bounds: Vec::new(),
        exemplars: 0,
    };
    walk.pass.reserve(body.len() / 64);
    each_field(body, |number, value| -> Result<(), BadRequest> {
        if number != 1 {
            return Ok(());
        }
        walk.resource(value.bytes()?)?;
        ingest.limits.check_rows(walk.pass.rows())
    })?;
    let (limits, exemplars) = (walk.limits, walk.exemplars);
    let (samples, mut written, rejects) = walk.pass.finish(request, |place| describe(place, limits))?;
    written.exemplars = exemplars;
    let batch = Batch { samples, ..request.batch() };
    Ok(Decoded { batch, rejects: rejects.finish(), written, ids: Vec::new(), once: Vec::new() })
}

struct Walk<'i, 'a> {
    limits: &'i Limits,
    window: Window,
    seed: u64,
    pass: SamplePass<'i, Place<'a>>,
    counts: Vec<u64>,
    bounds: Vec<u64>,
    exemplars: u64,
}

impl<'a> Walk<'_, 'a> {
    fn resource(&mut self, message: &'a [u8]) -> Result<(), BadRequest> {
        let resource = find_bytes(message, 1)?;
        let hash = xxh3_128_with_seed(resource, self.seed);
        each_field(message, |number, scope| -> Result<(), BadRequest> {
            if number != 2 {
                return Ok(());
            }
            each_field(scope.bytes()?, |number, metric| -> Result<(), BadRequest> {
                if number == 2 {
                    self.metric(resource, hash, metric.bytes()?)?;
                    self.limits.check_rows(self.pass.rows())?;
                }
                Ok(())
            })
        })
    }

    fn metric(&mut self, resource: &'a [u8], resource_hash: u128, metric: &'a [u8]) -> Result<(), Malformed> {
        let name = find_bytes(metric, 1)?;
        let name_hash = mix(resource_hash, xxh3_128_with_seed(name, self.seed), self.seed);
        each_field(metric, |number, value| {
            if !matches!(number, 5 | 7 | 9 | 10 | 11) {
                return Ok(());
            }
            let data = value.bytes()?;
            let nature = nature(data, number)?;
            let kind = match (number, nature.is_delta, nature.is_monotonic) {
                (5, ..) => SeriesKind::Gauge,
                (11, ..) => SeriesKind::Counter,
                (_, true, _) => SeriesKind::Delta,
                (7, false, false) => SeriesKind::Gauge,
                _ => SeriesKind::Counter,
            };
            let hash = mix(name_hash, (u128::from(number) << 8) | kind as u128, self.seed);
            let attribute_field = match number {
                9 => 9,
                10 => 1,
                _ => 7,
            };
            each_field(data, |n, point| {
                if n != 1 {
                    return Ok(());
                }
                let point = point.bytes()?;
                let place = Place { resource, metric, point, attribute_field, kind, part: Part::Whole };
                match number {
                    9 => self.histogram(place, hash),
                    10 => self.exponential(place, hash),
                    11 => self.summary(place, hash),
                    _ => self.number(place, hash),
                }
            })
        })
    }

    #[inline]
    fn number(&mut self, place: Place<'a>, hash: u128) -> Result<(), Malformed> {
        let mut point = Point::default();
        let (mut value, mut is_stale) = (None, false);
        point.read(place.point, 7, |number, field| {
            match number {
                4 => value = Some(field.double()?),
                6 => value = Some(field.fixed64()? as i64 as f64),
                5 => self.exemplars += 1,
                8 => is_stale = has_no_value(field)?,
                _ => {}
            }
            Ok(())
        })?;
        let value = if is_stale { Some(f64::from_bits(STALE)) } else { value };
        let Some(value) = value else {
            self.refuse(place, "no_value", "the point has no value".into());
            return Ok(());
        };
        let Some(time) = self.time(place, &point) else {
            return Ok(());
        };
        let slot = self.pass.look_up(point.key(hash, self.seed, place));
        self.pass.push(slot, place, time, value, Counts::Sample);
        Ok(())
    }

    fn histogram(&mut self, place: Place<'a>, hash: u128) -> Result<(), Malformed> {
        let mut point = Point::default();
        let (mut count, mut sum, mut is_stale) = (0u64, None, false);
        let (counts, bounds) = (&mut self.counts, &mut self.bounds);
        counts.clear();
        bounds.clear();
        let exemplars = &mut self.exemplars;
        point.read(place.point, 9, |number, field| {
            match number {
                4 => count = field.fixed64()?,
                5 => sum = Some(field.double()?),
                6 => field.repeated_fixed64(counts)?,
                7 => field.repeated_fixed64(bounds)?,
                8 => *exemplars += 1,
                10 => is_stale = has_no_value(field)?,
                _ => {}
            }
            Ok(())
        })?;
        if let Err(Fault::Item(key, reason)) = check_buckets(&self.counts, &self.bounds, self.limits) {
            self.refuse(place, key, reason);
            return Ok(());
        }
        let Some(time) = self.time(place, &point) else {
            return Ok(());
        };
        let key = point.key(hash, self.seed, place);
        self.totals(place, key, time, count, sum, is_stale);
        let (counts, bounds) = (std::mem::take(&mut self.counts), std::mem::take(&mut self.bounds));
        let mut total = 0u64;
        for (bucket, bound) in counts.iter().zip(&bounds) {
            total = total.saturating_add(*bucket);
            let value = if is_stale { f64::from_bits(STALE) } else { total as f64 };
            self.part(place, Part::Bucket(f64::from_bits(*bound)), key, time, value, Counts::Part);
        }
        (self.counts, self.bounds) = (counts, bounds);
        Ok(())
    }

    fn exponential(&mut self, place: Place<'a>, hash: u128) -> Result<(), Malformed> {
        let mut point = Point::default();
        let (mut count, mut sum, mut is_stale) = (0u64, None, false);
        let mut buckets = Exponential::default();
        let mut too_many = false;
        let most = self.limits.max_buckets * 16;
        point.read(place.point, 1, |number, field| {
            match number {
                4 => count = field.fixed64()?,
                5 => sum = Some(field.double()?),
                6 => buckets.scale = field.zigzag()?.clamp(-100, 100) as i32,
                7 => buckets.zero_count = field.fixed64()? as f64,
                8 => too_many |= exponential_side(field.bytes()?, most, &mut buckets.positive)?,
                9 => too_many |= exponential_side(field.bytes()?, most, &mut buckets.negative)?,
                10 => is_stale = has_no_value(field)?,
                11 => self.exemplars += 1,
                14 => buckets.zero_threshold = field.double()?,
                _ => {}
            }
            Ok(())
        })?;
        if too_many {
            self.refuse(place, "max_buckets", format!("more than {most} (16 times max_buckets) buckets"));
            return Ok(());
        }
        let Some(time) = self.time(place, &point) else {
            return Ok(());
        };
        let key = point.key(hash, self.seed, place);
        self.totals(place, key, time, count, sum, is_stale);
        for (bound, total) in buckets.cumulative(self.limits.max_buckets) {
            let value = if is_stale { f64::from_bits(STALE) } else { total };
            self.part(place, Part::Bucket(bound), key, time, value, Counts::Part);
        }
        Ok(())
    }

    fn summary(&mut self, place: Place<'a>, hash: u128) -> Result<(), Malformed> {
        let mut point = Point::default();
        let (mut count, mut sum, mut is_stale) = (0u64, 0.0, false);
        let mut quantiles = Vec::new();
        let most = self.limits.max_buckets;
        point.read(place.point, 7, |number, field| {
            match number {
                4 => count = field.fixed64()?,
                5 => sum = field.double()?,
                6 if quantiles.len() <= most => quantiles.push(quantile(field.bytes()?)?),
                8 => is_stale = has_no_value(field)?,
                _ => {}
            }
            Ok(())
        })?;
        if quantiles.len() > most {
            self.refuse(place, "max_buckets", format!("more than max_buckets {most} quantiles"));
            return Ok(());
        }
        let Some(time) = self.time(place, &point) else {
            return Ok(());
        };
        let key = point.key(hash, self.seed, place);
        let [total_count, total_sum] = [count as f64, sum].map(|v| if is_stale { f64::from_bits(STALE) } else { v });
        self.part(place, Part::Count, key, time, total_count, Counts::Histogram);
        self.part(place, Part::Sum, key, time, total_sum, Counts::Part);
        let place = Place { kind: SeriesKind::Gauge, ..place };
        for (quantile, value) in quantiles {
            let value = if is_stale { f64::from_bits(STALE) } else { value };
            self.part(place, Part::Quantile(quantile), key, time, value, Counts::Part);
        }
        Ok(())
    }

    /// The rows that both kinds of histogram have: `_count`, `_sum` and the last bucket.
    fn totals(&mut self, place: Place<'a>, key: u128, time: i64, count: u64, sum: Option<f64>, is_stale: bool) {
        let stale_or = |value: f64| if is_stale { f64::from_bits(STALE) } else { value };
        self.part(place, Part::Count, key, time, stale_or(count as f64), Counts::Histogram);
        if sum.is_some() || is_stale {
            self.part(place, Part::Sum, key, time, stale_or(sum.unwrap_or(0.0)), Counts::Part);
        }
        self.part(place, Part::Bucket(f64::INFINITY), key, time, stale_or(count as f64), Counts::Part);
    }

    fn part(&mut self, place: Place<'a>, part: Part, key: u128, time: i64, value: f64, counts: Counts) {
        let (tag, bits) = match part {
            Part::Whole => (0u128, 0),
            Part::Count => (1, 0),
            Part::Sum => (2, 0),
            Part::Bucket(bound) => (3, bound.to_bits()),
            Part::Quantile(quantile) => (4, quantile.to_bits()),
        };
        let slot = self.pass.look_up(mix(key, (tag << 64) | u128::from(bits), self.seed));
        self.pass.push(slot, Place { part, ..place }, time, value, counts);
    }

    #[inline]
    fn time(&mut self, place: Place<'a>, point: &Point) -> Option<i64> {
        match self.window.check_unsigned(point.time) {
            Ok(time) => Some(time),
            Err(off) => {
                self.off(place, point.time, off);
                None
            }
        }
    }

    fn off(&mut self, place: Place<'a>, sent: u64, off: Off) {
        let (window, limits) = (self.window, self.limits);
        self.pass.rejects.add(off.key(), 1, || window.reason(off, &name_of(&place, limits), &format!("{sent} ns")));
    }

    fn refuse(&mut self, place: Place<'a>, key: &'static str, reason: String) {
        let limits = self.limits;
        // A fault that carries a reason for one item never turns into a malformed body.
        let _ = note(Fault::Item(key, reason), &mut self.pass.rejects, || name_of(&place, limits));
    }
}

/// What all kinds of points share.
#[derive(Default)]
struct Point {
    time: u64,
    attributes: Option<(usize, usize)>,
    is_split: bool,
}

impl Point {
    /// Reads a point; `other` gets the fields that are not time or attributes.
    #[inline]
    fn read<'a>(
        &mut self,
        bytes: &'a [u8],
        attribute_field: u32,
        mut other: impl FnMut(u32, Value<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut reader = Reader::new(bytes);
        loop {
            let start = reader.at();
            let Some((number, value)) = reader.next()? else {
                return Ok(());
            };
            if number == attribute_field {
                value.bytes()?;
                self.attributes = match self.attributes {
                    None => Some((start, reader.at())),
                    Some((first, end)) => {
                        self.is_split |= end != start;
                        Some((first, reader.at()))
                    }
                };
            } else if number == 3 {
                self.time = value.fixed64()?;
            } else {
                other(number, value)?;
            }
        }
    }

    /// Identity of the point's series: what stands above it and its encoded attributes.
    #[inline]
    fn key(&self, hash: u128, seed: u64, place: Place<'_>) -> u128 {
        let (start, end) = self.attributes.unwrap_or_default();
        if self.is_split {
            return mix(hash, split_hash(place, seed), seed);
        }
        let attributes = place.point.get(start..end).unwrap_or_default();
        mix(hash, xxh3_128_with_seed(attributes, seed), seed)
    }
}

/// Hash of attributes that other fields stand between.
fn split_hash(place: Place<'_>, seed: u64) -> u128 {
    let mut hash = 0;
    // The point was read once already, so it reads.
    let _ = each_field(place.point, |number, value| -> Result<(), Malformed> {
        if number == place.attribute_field {
            hash = mix(hash, xxh3_128_with_seed(value.bytes()?, seed), seed);
        }
        Ok(())
    });
    hash
}

/// Bit 0 of a point's flags: there is no value, the series has ended.
fn has_no_value(flags: Value<'_>) -> Result<bool, Malformed> {
    Ok(flags.varint()? & 1 == 1)
}

fn nature(data: &[u8], number: u32) -> Result<Nature, Malformed> {
    let mut nature = Nature::default();
    if matches!(number, 7 | 9 | 10) {
        each_field(data, |n, value| -> Result<(), Malformed> {
            match n {
                2 => nature.is_delta = value.varint()? == 1,
                3 => nature.is_monotonic = value.varint()? != 0,
                _ => {}
            }
            Ok(())
        })?;
    }
    Ok(nature)
}

/// Reads one side of an exponential histogram; true where there are more than `most` buckets. Empty buckets are left
/// out, as a later bound counts the same.
fn exponential_side(bytes: &[u8], most: usize, out: &mut Vec<(i32, f64)>) -> Result<bool, Malformed> {
    let mut offset = 0i64;
    let mut too_many = false;
    each_field(bytes, |number, value| -> Result<(), Malformed> {
        if number == 1 {
            offset = unzigzag(value.varint()?);
        }
        Ok(())
    })?;
    let mut index = offset;
    each_field(bytes, |number, value| -> Result<(), Malformed> {
        if number == 2 {
            value.repeated_varint(|count| {
                too_many |= index - offset >= most as i64;
                if count > 0 && !too_many {
                    out.push((index.clamp(i32::MIN.into(), i32::MAX.into()) as i32, count as f64));
                }
                index = index.saturating_add(1);
                !too_many
            })?;
        }
        Ok(())
    })?;
    Ok(too_many)
}

fn quantile(bytes: &[u8]) -> Result<(f64, f64), Malformed> {
    let mut pair = (0.0, 0.0);
    each_field(bytes, |number, value| -> Result<(), Malformed> {
        match number {
            1 => pair.0 = value.double()?,
            2 => pair.1 = value.double()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(pair)
}

fn check_buckets(counts: &[u64], bounds: &[u64], limits: &Limits) -> Result<(), Fault> {
    if bounds.len() >= limits.max_buckets {
        let (len, max) = (bounds.len() + 1, limits.max_buckets);
        return Err(Fault::Item("max_buckets", format!("{len} buckets, more than max_buckets {max}")));
    }
    if counts.len() != bounds.len() + 1 && !(counts.is_empty() && bounds.is_empty()) {
        let reason = format!("{} bucket counts for {} bounds; there must be one more", counts.len(), bounds.len());
        return Err(Fault::Item("histogram", reason));
    }
    let rising = bounds.windows(2).all(|pair| f64::from_bits(pair[0]) < f64::from_bits(pair[1]));
    if !rising {
        return Err(Fault::Item("histogram", "the bounds do not rise".into()));
    }
    Ok(())
}

/// Puts a series into words for the registry; runs once for each new series.
fn describe(place: &Place<'_>, limits: &Limits) -> Result<Draft, Fault> {
    let name = bounded(find_bytes(place.metric, 1)?, "metric name", "max_metric_name_len", limits.max_metric_name_len)?;
    let unit = bounded(find_bytes(place.metric, 3)?, "unit", "max_label_value_len", limits.max_label_value_len)?;
    let resource = attributes(place.resource, 1, limits)?;
    let own = attributes(place.point, place.attribute_field, limits)?;
    let extra = match place.part {
        Part::Bucket(bound) => Some(("le", bound_text(bound))),
        Part::Quantile(quantile) => Some(("quantile", bound_text(quantile))),
        _ => None,
    };
    let mut labels: Labels<'_> = own.iter().map(|(n, v)| (*n, v.as_ref())).collect();
    for name in IDENTIFYING {
        if let Some(value) = get(&resource, name)
            && get(&own, name).is_none()
        {
            labels.push((name, value));
        }
    }
    if let Some((name, value)) = &extra {
        labels.retain(|(n, _)| n != name);
        labels.push((name, value));
    }
    check_labels(name, &mut labels, limits)?;
    let suffix = match place.part {
        Part::Whole | Part::Quantile(_) => "",
        Part::Count => "_count",
        Part::Sum => "_sum",
        Part::Bucket(_) => "_bucket",
    };
    let unit = if matches!(place.part, Part::Count | Part::Bucket(_)) { "" } else { unit };
    Ok(Draft {
        metric: format!("{name}{suffix}").into(),
        labels: LabelSet::pack(&mut labels),
        entity: crate::resolver::otlp_entity(|name| get(&resource, name)),
        kind: place.kind,
        unit: unit.into(),
    })
}

fn name_of(place: &Place<'_>, limits: &Limits) -> String {
    match describe(place, limits) {
        Ok(draft) => series_text(&draft.metric, draft.labels.iter()),
        Err(_) => format!("metric {}", show_bytes(find_bytes(place.metric, 1).unwrap_or_default())),
    }
}
