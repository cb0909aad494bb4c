//! The dense ids of one data folder: entities, resources, series and log templates, append-only, in order of first
//! sight. The log carries every definition before its first use, so a restart gives the same ids.

use std::collections::HashMap;

use parking_lot::{RwLock, RwLockReadGuard};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::{EntityId, EntityKey, LabelSet, Tenant};

/// Dense number of a metric series.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    bytemuck::Pod,
    bytemuck::Zeroable,
)]
#[repr(transparent)]
pub struct SeriesId(pub u32);

/// Dense number of a resource (what sent a record or span).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    bytemuck::Pod,
    bytemuck::Zeroable,
)]
#[repr(transparent)]
pub struct ResourceId(pub u32);

/// Dense number of a log template; 0 means none. Ids are stable: a template that is generalised later keeps its id.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    bytemuck::Pod,
    bytemuck::Zeroable,
)]
#[repr(transparent)]
pub struct TemplateId(pub u32);

/// What the values of a series are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum SeriesKind {
    /// A level that goes up and down, or a kind the sender did not name (Prometheus remote write 1).
    #[default]
    Gauge = 0,
    /// A running total since the sender's start; falls only when the sender restarts.
    Counter = 1,
    /// The amount since the previous point (OTLP delta temporality).
    Delta = 2,
    /// Computed by Bellwether itself from other signals; charted, never fed to the metric detector again.
    Derived = 3,
}

/// One metric series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesDef {
    /// Whose series it is.
    pub tenant: Tenant,
    /// Metric name as sent, e.g. `http_requests_total`.
    pub metric: Box<str>,
    /// The entity that the resolver named when the series was first seen.
    pub entity: EntityKey,
    /// All labels but the metric name; for OTLP the data point's attributes and the resource's identifying ones.
    pub labels: LabelSet,
    /// What its values are.
    pub kind: SeriesKind,
    /// Unit as sent (UCUM for OTLP), empty if none.
    pub unit: Box<str>,
}

/// The sender of records and spans: its resource attributes and the entity they name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceDef {
    /// Whose it is.
    pub tenant: Tenant,
    /// The entity that the resolver named.
    pub entity: EntityKey,
    /// Resource attributes as text (`service.instance.id`, `service.version`, `host.name` …).
    pub attributes: LabelSet,
}

/// A log template: the constant words of a log line with `<*>` where its parameters stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateDef {
    /// Its number; a definition that comes again with the same id replaces the text (a generalisation).
    pub id: TemplateId,
    /// The template text.
    pub text: Box<str>,
}

/// The tables themselves. Ids index the vectors ([`TemplateId`] 0 is the empty template).
#[derive(Clone, Debug, Default)]
pub struct Registry {
    entities: Vec<EntityId>,
    entity_by_id: HashMap<EntityId, EntityKey>,
    resources: Vec<ResourceDef>,
    resource_by_hash: HashMap<u128, ResourceId>,
    series: Vec<SeriesDef>,
    series_by_hash: HashMap<u128, SeriesId>,
    templates: Vec<TemplateDef>,
    template_log: Vec<TemplateId>,
}

impl Registry {
    /// Number of an entity, given now if it has none.
    pub fn entity(&mut self, id: &EntityId) -> EntityKey {
        if let Some(key) = self.entity_by_id.get(id) {
            return *key;
        }
        let key = EntityKey(self.entities.len() as u32);
        self.entities.push(id.clone());
        self.entity_by_id.insert(id.clone(), key);
        key
    }

    /// Number of a series, given now if it has none.
    pub fn series(&mut self, def: SeriesDef) -> SeriesId {
        let hash = series_hash(&def);
        if let Some(id) = self.series_by_hash.get(&hash) {
            return *id;
        }
        let id = SeriesId(self.series.len() as u32);
        self.series.push(def);
        self.series_by_hash.insert(hash, id);
        id
    }

    /// Number of a resource, given now if it has none.
    pub fn resource(&mut self, def: ResourceDef) -> ResourceId {
        let mut bytes = def.attributes.as_bytes().to_vec();
        bytes.extend_from_slice(&def.entity.0.to_le_bytes());
        bytes.extend_from_slice(def.tenant.as_str().as_bytes());
        let hash = xxh3_128(&bytes);
        if let Some(id) = self.resource_by_hash.get(&hash) {
            return *id;
        }
        let id = ResourceId(self.resources.len() as u32);
        self.resources.push(def);
        self.resource_by_hash.insert(hash, id);
        id
    }

    /// Stores a template or replaces the text of a known one. Ids are given by the miner, densely from 1.
    pub fn template(&mut self, def: TemplateDef) {
        let at = def.id.0 as usize;
        while self.templates.len() <= at {
            let id = TemplateId(self.templates.len() as u32);
            self.templates.push(TemplateDef { id, text: "".into() });
        }
        self.template_log.push(def.id);
        self.templates[at] = def;
    }

    /// The entity of a number; `None` for a number never given.
    pub fn entity_id(&self, key: EntityKey) -> Option<&EntityId> {
        self.entities.get(key.0 as usize)
    }

    /// The number of an entity seen before.
    pub fn find_entity(&self, id: &EntityId) -> Option<EntityKey> {
        self.entity_by_id.get(id).copied()
    }

    /// The service itself if it is known, else the one known service of its name in another namespace; `None` where
    /// none or several are. Cost: one look where it is known, else a walk over all entities.
    pub fn known_service(&self, plain: &EntityId) -> Option<EntityId> {
        if self.entity_by_id.contains_key(plain) {
            return Some(plain.clone());
        }
        let mut known = self.entities.iter().filter(|id| id.kind() == "service" && id.name() == plain.name());
        match (known.next(), known.next()) {
            (Some(only), None) => Some(only.clone()),
            _ => None,
        }
    }

    /// The definition of a series.
    pub fn series_def(&self, id: SeriesId) -> Option<&SeriesDef> {
        self.series.get(id.0 as usize)
    }

    /// The number of a series seen before.
    pub fn find_series(&self, def: &SeriesDef) -> Option<SeriesId> {
        self.series_by_hash.get(&series_hash(def)).copied()
    }

    /// The definition of a resource.
    pub fn resource_def(&self, id: ResourceId) -> Option<&ResourceDef> {
        self.resources.get(id.0 as usize)
    }

    /// The definition of a template.
    pub fn template_def(&self, id: TemplateId) -> Option<&TemplateDef> {
        self.templates.get(id.0 as usize)
    }

    /// All entities in order of number.
    pub fn entities(&self) -> &[EntityId] {
        &self.entities
    }

    /// All series in order of number.
    pub fn all_series(&self) -> &[SeriesDef] {
        &self.series
    }

    /// All resources in order of number.
    pub fn resources(&self) -> &[ResourceDef] {
        &self.resources
    }

    /// Every definition and change of a template so far, in order: what `store` has yet to write down.
    pub fn template_log(&self) -> &[TemplateId] {
        &self.template_log
    }

    /// All templates in order of number; index 0 is the empty one (the slice is empty before the first template).
    pub fn templates(&self) -> &[TemplateDef] {
        &self.templates
    }
}

fn series_hash(def: &SeriesDef) -> u128 {
    let mut bytes = Vec::with_capacity(def.labels.as_bytes().len() + def.metric.len() + 16);
    bytes.extend_from_slice(def.metric.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(def.tenant.as_str().as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&def.entity.0.to_le_bytes());
    bytes.push(def.kind as u8);
    bytes.extend_from_slice(def.labels.as_bytes());
    xxh3_128(&bytes)
}

/// The registry shared between rooms. Readers hold the lock for a request or a step, never across IO.
#[derive(Debug, Default)]
pub struct Directory(RwLock<Registry>);

impl Directory {
    /// A directory of its own that begins as this one is now: what is registered in one does not show in the other.
    pub fn copy(&self) -> Directory {
        Directory(RwLock::new(self.0.read().clone()))
    }

    /// Read access to all tables.
    pub fn read(&self) -> RwLockReadGuard<'_, Registry> {
        self.0.read()
    }

    /// Write access, to register what is new.
    pub fn write(&self) -> parking_lot::RwLockWriteGuard<'_, Registry> {
        self.0.write()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_dense_and_stable() {
        let dir = Directory::default();
        let mut reg = dir.write();
        let a = reg.entity(&EntityId::new("service", "shop", "a"));
        let b = reg.entity(&EntityId::new("service", "shop", "b"));
        assert_eq!((a.0, b.0), (0, 1));
        let def = |metric: &str, entity| SeriesDef {
            tenant: Tenant::default(),
            metric: metric.into(),
            entity,
            labels: LabelSet::default(),
            kind: SeriesKind::Gauge,
            unit: "".into(),
        };
        let s = reg.series(def("up", a));
        assert_eq!(reg.series(def("up", a)), s);
        assert_ne!(reg.series(def("up", b)), s, "the entity is part of a series");
        reg.template(TemplateDef { id: TemplateId(2), text: "x <*>".into() });
        assert_eq!(&*reg.template_def(TemplateId(2)).unwrap().text, "x <*>");
    }
}
