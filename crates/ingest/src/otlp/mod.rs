//! OpenTelemetry: metrics, logs and traces. Source: opentelemetry-proto 1.x.

pub mod json;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod traces;

use std::borrow::Cow;
use std::sync::Arc;

use types::{LabelSet, ResourceDef, Time};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::cache::ResourceEntry;
use crate::json_text::{Fault, Masking, bounded, plain_value, split_key_value, text};
use crate::limits::{Limits, Rejects, Window};
use crate::wire::{Malformed, each_field, find_bytes};
use crate::{BadRequest, Ingest, Request, Resolver};

/// Attributes as text, in the order sent.
pub(crate) type Attributes<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// A seed of its own for each tenant and format, so that equal bytes of different meaning never share a cache entry.
pub(crate) fn seed_of(ingest: &Ingest, request: &Request, format: u64) -> u64 {
    xxh3_64_with_seed(request.tenant.as_str().as_bytes(), ingest.seed.wrapping_add(format))
}

/// Two hashes as one.
#[inline]
pub(crate) fn mix(a: u128, b: u128, seed: u64) -> u128 {
    let mut both = [0u8; 32];
    both[..16].copy_from_slice(&a.to_le_bytes());
    both[16..].copy_from_slice(&b.to_le_bytes());
    xxh3_128_with_seed(&both, seed)
}

/// The attributes that stand in field `number` of a message, as text.
pub(crate) fn attributes<'a>(message: &'a [u8], number: u32, limits: &Limits) -> Result<Attributes<'a>, Fault> {
    let mut found = Attributes::new();
    each_field(message, |n, value| {
        if n != number {
            return Ok(());
        }
        if found.len() >= limits.max_attributes {
            let max = limits.max_attributes;
            return Err(Fault::Item("max_attributes", format!("more than max_attributes {max} attributes")));
        }
        let (key, value) = split_key_value(value.bytes()?)?;
        let key = bounded(key, "attribute name", "max_label_name_len", limits.max_label_name_len)?;
        let value = value_text(value.unwrap_or_default(), limits)?;
        found.push((key, value));
        Ok(())
    })?;
    Ok(found)
}

fn value_text<'a>(value: &'a [u8], limits: &Limits) -> Result<Cow<'a, str>, Fault> {
    let plain = match value {
        // The usual case, one string: borrowed.
        [0x0a, ..] => {
            crate::wire::find_bytes(value, 1).ok().filter(|t| value.ends_with(t) && t.len() + 6 >= value.len())
        }
        _ => None,
    };
    if let Some(plain) = plain {
        return Ok(Cow::Borrowed(text(plain, "attribute")?));
    }
    let mut out = Vec::new();
    // Whether a resource's secrets are replaced is decided where it is registered; a series' labels are its identity.
    plain_value(&mut out, value, limits.max_value_depth, &mut Masking::default())?;
    // Everything in `out` came from checked strings and ASCII.
    Ok(Cow::Owned(String::from_utf8(out).unwrap_or_default()))
}

/// Takes the secrets out of a resource's attributes (`process.command_line`).
fn mask(attributes: &mut Attributes<'_>) {
    for (name, value) in attributes {
        if math::secrets::is_secret_name(name.as_bytes()) && !value.is_empty() {
            *value = Cow::Borrowed(math::secrets::MASK);
        } else if let Some(masked) = math::secrets::masked(value) {
            *value = Cow::Owned(masked);
        }
    }
}

pub(crate) fn get<'a>(attributes: &'a Attributes<'a>, name: &str) -> Option<&'a str> {
    attributes.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_ref())
}

/// The resource of the rows being read; asked anew only where the alias table changes within the request's times.
pub(crate) struct ResourceCursor<'i, 'a> {
    ingest: &'i Ingest,
    request: &'i Request,
    seed: u64,
    resolver: Arc<Resolver>,
    epoch: u64,
    bytes: &'a [u8],
    key: u128,
    entry: Option<ResourceEntry>,
    fault: Option<(&'static str, String)>,
}

impl<'i, 'a> ResourceCursor<'i, 'a> {
    pub fn new(ingest: &'i Ingest, request: &'i Request) -> ResourceCursor<'i, 'a> {
        let epoch = ingest.resources.read().epoch();
        let resolver = ingest.resolver();
        let seed = seed_of(ingest, request, 1);
        ResourceCursor { ingest, request, seed, resolver, epoch, bytes: &[], key: 0, entry: None, fault: None }
    }

    /// Goes on to the next resource message.
    pub fn enter(&mut self, bytes: &'a [u8]) {
        self.bytes = bytes;
        self.key = xxh3_128_with_seed(bytes, self.seed);
        self.entry = self.ingest.resources.read().get(self.key);
        self.fault = None;
    }

    /// Ids of the resource for a row of this time. An unreadable resource refuses each of its rows.
    #[inline]
    pub fn at(&mut self, time: i64) -> Result<ResourceEntry, Fault> {
        match self.entry {
            Some(entry) if entry.holds(time) => Ok(entry),
            _ => self.resolve(time),
        }
    }

    fn resolve(&mut self, time: i64) -> Result<ResourceEntry, Fault> {
        if let Some((key, reason)) = &self.fault {
            return Err(Fault::Item(key, reason.clone()));
        }
        match self.register(time) {
            Ok(entry) => {
                self.entry = Some(entry);
                let mut cache = self.ingest.resources.write();
                if cache.epoch() == self.epoch {
                    cache.insert(self.key, entry);
                }
                Ok(entry)
            }
            Err(Fault::Item(key, reason)) => {
                let reason = format!("resource: {reason}");
                self.fault = Some((key, reason.clone()));
                Err(Fault::Item(key, reason))
            }
            Err(malformed) => Err(malformed),
        }
    }

    fn register(&self, time: i64) -> Result<ResourceEntry, Fault> {
        let limits = &self.ingest.limits;
        let mut attributes = attributes(self.bytes, 1, limits)?;
        if limits.mask_secrets {
            mask(&mut attributes);
        }
        for (name, value) in &attributes {
            if value.len() > limits.max_attribute_value_len {
                let max = limits.max_attribute_value_len;
                return Err(crate::json_text::over(
                    name,
                    value.as_bytes(),
                    value.len(),
                    "max_attribute_value_len",
                    max,
                ));
            }
        }
        let resolution = self.resolver.resolve_otlp(|name| get(&attributes, name), Time(time));
        let mut pairs = attributes.iter().filter(|(n, _)| !n.is_empty()).map(|(n, v)| (*n, v.as_ref())).collect();
        let labels = LabelSet::pack(&mut pairs);
        let mut registry = self.ingest.directory.write();
        if registry.resources().len() >= limits.max_resources {
            let reason = format!("a new one, but there are max_resources {} already", limits.max_resources);
            return Err(Fault::Item("max_resources", reason));
        }
        let entity = registry.entity(&resolution.entity);
        let id = registry.resource(ResourceDef { tenant: self.request.tenant.clone(), entity, attributes: labels });
        Ok(ResourceEntry { id, entity, from: resolution.from.0, to: resolution.to.0 })
    }
}

/// What a record or span decoder needs of its request.
pub(crate) struct Scope<'i> {
    pub limits: &'i Limits,
    pub window: Window,
    pub now: i64,
}

/// Walks a request of logs or traces, which have the same shape: resources (1) that hold their attributes (1) and
/// scopes (2), whose items (2) are given to `take` with the resource that sent them.
pub(crate) fn each_item<'i, 'a>(
    body: &'a [u8],
    resource: &mut ResourceCursor<'i, 'a>,
    mut take: impl FnMut(&'a [u8], &mut ResourceCursor<'i, 'a>) -> Result<(), BadRequest>,
) -> Result<(), BadRequest> {
    each_field(body, |number, value| -> Result<(), BadRequest> {
        if number != 1 {
            return Ok(());
        }
        let message = value.bytes()?;
        resource.enter(find_bytes(message, 1)?);
        each_field(message, |number, value| -> Result<(), BadRequest> {
            if number != 2 {
                return Ok(());
            }
            each_field(value.bytes()?, |number, value| -> Result<(), BadRequest> {
                if number == 2 { take(value.bytes()?, resource) } else { Ok(()) }
            })
        })
    })
}

/// Sixteen (or eight) bytes that are not all zero.
pub(crate) fn id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok().filter(|id| *id != [0; N])
}

/// Sorts a fault of one item into the rejects; a malformed body goes up.
pub(crate) fn note(fault: Fault, rejects: &mut Rejects, what: impl FnOnce() -> String) -> Result<(), Malformed> {
    match fault {
        Fault::Malformed(malformed) => Err(malformed),
        Fault::Item(key, reason) => {
            rejects.add(key, 1, || format!("{}: {reason}", what()));
            Ok(())
        }
    }
}
