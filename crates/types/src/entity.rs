//! Entities: whatever can be observed, written `kind:namespace/name`.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Dense number of an entity in one data folder's [`crate::Directory`]; given in order of first sight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntityKey(pub u32);

/// The name of an entity: `kind:namespace/name`, e.g. `service:shop/payments`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityId(Arc<str>);

impl EntityId {
    /// Builds an id; an empty namespace becomes `default`. Control characters become `_`, a `:` in the kind and a
    /// `/` in the namespace too, so that the text always reads back; kind and namespace are lower-cased.
    pub fn new(kind: &str, namespace: &str, name: &str) -> EntityId {
        let clean = |text: &str, banned: &[char]| -> String {
            text.trim().chars().map(|c| if c.is_control() || banned.contains(&c) { '_' } else { c }).collect()
        };
        let kind = clean(kind, &[':', '/']).to_lowercase();
        let namespace = clean(namespace, &['/']).to_lowercase();
        let namespace = if namespace.is_empty() { "default" } else { &namespace };
        EntityId(format!("{kind}:{namespace}/{}", clean(name, &[])).into())
    }

    /// Reads `kind:namespace/name`, `kind:name` (namespace `default`) or `name` (a service in `default`); `None` where
    /// the name is empty.
    pub fn parse(text: &str) -> Option<EntityId> {
        let (kind, rest) = text.split_once(':').unwrap_or(("service", text));
        let (namespace, name) = rest.split_once('/').unwrap_or(("default", rest));
        if name.trim().is_empty() || kind.trim().is_empty() {
            return None;
        }
        Some(EntityId::new(kind, namespace, name))
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What sort of thing it is: `service`, `instance`, `host`, `database`, `deployment` …
    pub fn kind(&self) -> &str {
        self.0.split_once(':').map_or("", |(k, _)| k)
    }

    /// The namespace, `default` where nothing named one.
    pub fn namespace(&self) -> &str {
        self.0.split_once(':').and_then(|(_, r)| r.split_once('/')).map_or("", |(n, _)| n)
    }

    /// The plain name.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, n)| n)
    }
}

impl std::fmt::Display for EntityId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for EntityId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for EntityId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EntityId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<EntityId, D::Error> {
        let text = String::deserialize(d)?;
        EntityId::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("not an entity (kind:namespace/name): {text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_read_back() {
        let e = EntityId::new("service", "Shop", "a/b:c");
        assert_eq!((e.as_str(), e.kind(), e.namespace(), e.name()), ("service:shop/a/b:c", "service", "shop", "a/b:c"));
        assert_eq!(EntityId::parse(e.as_str()), Some(e));
        assert_eq!(EntityId::parse("payments").unwrap().as_str(), "service:default/payments");
        assert_eq!(EntityId::parse("host:web1").unwrap().as_str(), "host:default/web1");
        assert_eq!(EntityId::parse("service:shop/"), None);
    }
}
