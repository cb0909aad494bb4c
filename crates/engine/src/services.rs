//! The service table: what was last derived of each service, and when each entity was last seen.

use std::collections::BTreeMap;

use incident::RequestPoint;
use serde::{Deserialize, Serialize};
use types::{Batch, EntityId, EntityKey, MINUTE, Registry, SeriesKind, Tenant, Time};
use view::DerivedSample;

/// A derived number older than this is not shown as current.
const CURRENT_NS: i64 = 5 * MINUTE;
/// Marks a series in the cache whose points are no sign of life.
const NO_ENTITY: u32 = u32::MAX;

/// What was last derived of one service. Bits of `f64`, so that JSON keeps them exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Derived {
    /// Time and value of rate, error ratio, p50 and p95, in this order.
    points: [Option<(i64, u64)>; 4],
}

const METRICS: [&str; 4] = [
    "bellwether.requests.rate",
    "bellwether.requests.error_ratio",
    "bellwether.requests.latency_ms_p50",
    "bellwether.requests.latency_ms_p95",
];

impl Derived {
    /// Rate, error ratio, p50 and p95 where they are current at `now`.
    pub fn current(&self, now: Time) -> [Option<f64>; 4] {
        let fresh = |p: Option<(i64, u64)>| p.filter(|(t, _)| now.0.saturating_sub(*t) <= CURRENT_NS);
        self.points.map(|point| fresh(point).map(|(_, bits)| f64::from_bits(bits)))
    }
}

/// Tables by tenant and entity.
#[derive(Clone, Debug, Default)]
pub struct Services {
    /// By tenant and dense entity number; `i64::MIN` for never.
    last_seen: BTreeMap<Tenant, Vec<i64>>,
    /// By tenant and dense entity number.
    derived: BTreeMap<(Tenant, EntityKey), Derived>,
    /// Entity of each series, so that the registry is asked once a series. Not saved.
    entity_of_series: Vec<u32>,
}

/// What is saved of [`Services`].
#[derive(Serialize, Deserialize)]
struct Saved {
    last_seen: Vec<(Tenant, Vec<(u32, i64)>)>,
    derived: Vec<(Tenant, u32, Derived)>,
}

impl Services {
    /// Notes which entities sent something; answers with those that had never sent anything, and when they did.
    pub fn see(&mut self, batch: &Batch, registry: &Registry) -> Vec<(EntityKey, Time)> {
        let mut fresh = Vec::new();
        let from = self.entity_of_series.len();
        if batch.samples.series.iter().any(|id| id.0 as usize >= from) {
            let more = registry.all_series().iter().skip(from);
            self.entity_of_series.extend(more.map(|def| match def.kind {
                SeriesKind::Derived => NO_ENTITY,
                _ => def.entity.0,
            }));
        }
        let last_seen = self.last_seen.entry(batch.tenant.clone()).or_default();
        let mut note = |entity: u32, time: i64| {
            let at = entity as usize;
            if at >= registry.entities().len() {
                return;
            }
            if at >= last_seen.len() {
                last_seen.resize(at + 1, i64::MIN);
            }
            if last_seen[at] == i64::MIN {
                fresh.push((EntityKey(entity), Time(time)));
            }
            last_seen[at] = last_seen[at].max(time);
        };
        for (series, time) in batch.samples.series.iter().zip(&batch.samples.time) {
            note(self.entity_of_series.get(series.0 as usize).copied().unwrap_or(NO_ENTITY), *time);
        }
        batch.records.entity.iter().zip(&batch.records.time).for_each(|(entity, time)| note(entity.0, *time));
        batch.spans.entity.iter().zip(&batch.spans.time).for_each(|(entity, time)| note(entity.0, *time));
        fresh
    }

    /// Takes over what was derived in a step; answers with one point a service and moment that has a request rate.
    pub fn take_derived(&mut self, derived: &[DerivedSample], registry: &Registry) -> Vec<RequestPoint> {
        let mut moments: BTreeMap<(Time, Tenant, EntityKey), [Option<f64>; 4]> = BTreeMap::new();
        for sample in derived.iter().filter(|s| s.labels.is_empty()) {
            let Some(which) = METRICS.iter().position(|metric| *metric == sample.metric) else { continue };
            let known = self.derived.entry((sample.tenant.clone(), sample.entity)).or_default();
            if known.points[which].is_none_or(|(t, _)| t <= sample.time.0) {
                known.points[which] = Some((sample.time.0, sample.value.to_bits()));
            }
            moments.entry((sample.time, sample.tenant.clone(), sample.entity)).or_default()[which] = Some(sample.value);
        }
        let point = |((at, tenant, entity), [rate, errors, p50, p95]): (_, [Option<f64>; 4])| {
            Some(RequestPoint {
                tenant,
                entity: registry.entity_id(entity)?.clone(),
                at,
                rate: rate?,
                error_ratio: errors.unwrap_or(0.0),
                latency_ms_p50: p50.unwrap_or(0.0),
                latency_ms_p95: p95.unwrap_or(0.0),
            })
        };
        moments.into_iter().filter_map(point).collect()
    }

    /// Services and whatever else answers requests: entities of kind `service` that sent something, and all that
    /// have derived numbers.
    pub fn rows(&self, registry: &Registry) -> BTreeMap<(Tenant, EntityId), (Option<Time>, Derived)> {
        let mut rows = BTreeMap::new();
        for (tenant, last_seen) in &self.last_seen {
            for (entity, time) in registry.entities().iter().zip(last_seen).filter(|(_, t)| **t != i64::MIN) {
                if entity.kind() == "service" {
                    rows.insert((tenant.clone(), entity.clone()), (Some(Time(*time)), Derived::default()));
                }
            }
        }
        for ((tenant, key), derived) in &self.derived {
            if let Some(entity) = registry.entity_id(*key) {
                rows.entry((tenant.clone(), entity.clone())).or_insert((None, Derived::default())).1 = *derived;
            }
        }
        rows
    }

    /// The tables as JSON.
    pub fn save(&self) -> Vec<u8> {
        let seen = |times: &Vec<i64>| {
            let pairs = times.iter().enumerate().filter(|(_, t)| **t != i64::MIN);
            pairs.map(|(entity, t)| (entity as u32, *t)).collect()
        };
        let saved = Saved {
            last_seen: self.last_seen.iter().map(|(tenant, times)| (tenant.clone(), seen(times))).collect(),
            derived: self.derived.iter().map(|((tenant, key), d)| (tenant.clone(), key.0, *d)).collect(),
        };
        serde_json::to_vec(&saved).unwrap_or_default()
    }

    /// Reads them back.
    pub fn load(bytes: &[u8]) -> Result<Services, String> {
        let saved: Saved = serde_json::from_slice(bytes).map_err(|e| format!("service table: {e}"))?;
        let mut services = Services::default();
        for (tenant, pairs) in saved.last_seen {
            let times = services.last_seen.entry(tenant).or_default();
            for (entity, time) in pairs {
                times.resize(times.len().max(entity as usize + 1), i64::MIN);
                times[entity as usize] = time;
            }
        }
        services.derived = saved.derived.into_iter().map(|(t, key, d)| ((t, EntityKey(key)), d)).collect();
        Ok(services)
    }
}
