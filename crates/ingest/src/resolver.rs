//! Which entity a sender is.
//!
//! The rules are fixed and pure; on top of them stands an alias table whose rows hold for a span of time. A row says
//! that what the rules call `from` is `to` for whatever happened in `valid_from..valid_to`. Rows already stored are
//! never touched: a merge takes effect for what is decoded after it was learned.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use types::{EntityId, Time};

/// One row of the alias table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// The entity as the rules name it.
    pub from: EntityId,
    /// The entity that it is.
    pub to: EntityId,
    /// First moment for which it holds.
    pub valid_from: Time,
    /// First moment for which it holds no more.
    pub valid_to: Time,
    /// When this was said. Of two rows that hold at the same moment the one said last counts.
    pub learned: Time,
}

/// The entity at a moment, and for which moments around it the answer is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The entity.
    pub entity: EntityId,
    /// First moment of this answer.
    pub from: Time,
    /// First moment after this answer; `i64::MAX` where there is no end.
    pub to: Time,
}

/// The rules and an alias table.
#[derive(Debug, Default)]
pub struct Resolver {
    aliases: HashMap<EntityId, Vec<Alias>>,
}

/// A chain of aliases is followed this far.
const MAX_HOPS: usize = 8;

impl Resolver {
    /// A resolver over an alias table.
    pub fn new(rows: Vec<Alias>) -> Resolver {
        let mut aliases: HashMap<EntityId, Vec<Alias>> = HashMap::new();
        for row in rows {
            aliases.entry(row.from.clone()).or_default().push(row);
        }
        for rows in aliases.values_mut() {
            rows.sort_by_key(|row| row.learned);
        }
        Resolver { aliases }
    }

    /// The entity of an OTLP resource at a moment. `attribute` gives the resource's attributes.
    pub fn resolve_otlp<'a>(&self, attribute: impl Fn(&str) -> Option<&'a str>, at: Time) -> Resolution {
        self.resolve_id(otlp_entity(attribute), at)
    }

    /// The entity of a Prometheus series at a moment. `label` gives the series' labels.
    pub fn resolve_prometheus<'a>(&self, label: impl Fn(&str) -> Option<&'a str>, at: Time) -> Resolution {
        self.resolve_id(prometheus_entity(label), at)
    }

    /// Follows the alias table from an entity, at most eight rows far; a circle ends before it closes.
    pub fn resolve_id(&self, id: EntityId, at: Time) -> Resolution {
        let mut resolution = Resolution { entity: id, from: Time(i64::MIN), to: Time(i64::MAX) };
        let mut seen = Vec::new();
        for _ in 0..MAX_HOPS {
            let Some(rows) = self.aliases.get(&resolution.entity) else {
                break;
            };
            for bound in rows.iter().flat_map(|row| [row.valid_from, row.valid_to]) {
                if bound <= at {
                    resolution.from = resolution.from.max(bound);
                } else {
                    resolution.to = resolution.to.min(bound);
                }
            }
            let Some(row) = rows.iter().rev().find(|row| row.valid_from <= at && at < row.valid_to) else {
                break;
            };
            seen.push(resolution.entity.clone());
            if seen.contains(&row.to) {
                break;
            }
            resolution.entity = row.to.clone();
        }
        resolution
    }
}

/// `service.name` names a service, else the pod, else the host; a sender without any of them is
/// `service:default/unknown`.
pub fn otlp_entity<'a>(attribute: impl Fn(&str) -> Option<&'a str>) -> EntityId {
    let get = |name: &str| attribute(name).filter(|text| !text.trim().is_empty());
    if let Some(service) = get("service.name") {
        return EntityId::new("service", get("service.namespace").unwrap_or(""), service);
    }
    if let Some(pod) = get("k8s.pod.name") {
        return EntityId::new("pod", get("k8s.namespace.name").unwrap_or(""), pod);
    }
    match get("host.name") {
        Some(host) => EntityId::new("host", "", host),
        None => EntityId::new("service", "", "unknown"),
    }
}

/// `job` names a service (in the namespace of the label `namespace`, or written `namespace/name` as OpenTelemetry's
/// exporters do); without it `instance` names a host, its port left out.
pub fn prometheus_entity<'a>(label: impl Fn(&str) -> Option<&'a str>) -> EntityId {
    let get = |name: &str| label(name).filter(|text| !text.trim().is_empty());
    if let Some(job) = get("job") {
        return match (get("namespace"), job.split_once('/')) {
            (Some(namespace), _) => EntityId::new("service", namespace, job),
            (None, Some((namespace, name))) if !name.is_empty() && !name.contains('/') => {
                EntityId::new("service", namespace, name)
            }
            _ => EntityId::new("service", "", job),
        };
    }
    match get("instance") {
        Some(instance) => EntityId::new("host", "", without_port(instance)),
        None => EntityId::new("service", "", "unknown"),
    }
}

fn without_port(instance: &str) -> &str {
    match instance.rsplit_once(':') {
        // An IPv6 address without brackets has more colons and no port.
        Some((host, port)) if !host.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            if host.contains(':') && !host.ends_with(']') { instance } else { host }
        }
        _ => instance,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<&'a str> {
        move |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }

    fn alias(from: &str, to: &str, valid: (i64, i64), learned: i64) -> Alias {
        let id = |text| EntityId::parse(text).unwrap();
        Alias { from: id(from), to: id(to), valid_from: Time(valid.0), valid_to: Time(valid.1), learned: Time(learned) }
    }

    #[test]
    fn the_rules() {
        let otlp = |pairs: &[(&str, &str)]| otlp_entity(of(pairs)).as_str().to_owned();
        assert_eq!(otlp(&[("service.name", "pay"), ("service.namespace", "Shop")]), "service:shop/pay");
        assert_eq!(otlp(&[("service.name", "pay")]), "service:default/pay");
        assert_eq!(
            otlp(&[("k8s.pod.name", "p-1"), ("k8s.namespace.name", "shop"), ("host.name", "h")]),
            "pod:shop/p-1"
        );
        assert_eq!(otlp(&[("host.name", "h")]), "host:default/h");
        assert_eq!(otlp(&[("service.name", "  ")]), "service:default/unknown");
        let prometheus = |pairs: &[(&str, &str)]| prometheus_entity(of(pairs)).as_str().to_owned();
        assert_eq!(prometheus(&[("job", "node"), ("instance", "h:1")]), "service:default/node");
        assert_eq!(prometheus(&[("job", "pay"), ("namespace", "shop")]), "service:shop/pay");
        assert_eq!(prometheus(&[("job", "shop/pay")]), "service:shop/pay");
        assert_eq!(prometheus(&[("instance", "web-1:9100")]), "host:default/web-1");
        assert_eq!(prometheus(&[("instance", "[::1]:9100")]), "host:default/[::1]");
        assert_eq!(prometheus(&[("instance", "fe80::1")]), "host:default/fe80::1");
        assert_eq!(prometheus(&[]), "service:default/unknown");
    }

    #[test]
    fn an_alias_holds_in_its_span_only() {
        let resolver = Resolver::new(vec![alias("old", "new", (100, 200), 1)]);
        let at = |t| resolver.resolve_id(EntityId::parse("old").unwrap(), Time(t));
        let name = |t| at(t).entity.name().to_owned();
        assert_eq!([99, 100, 199, 200].map(name), ["old", "new", "new", "old"]);
        assert_eq!((at(150).from, at(150).to), (Time(100), Time(200)));
        assert_eq!((at(99).from, at(99).to), (Time(i64::MIN), Time(100)));
        assert_eq!((at(200).from, at(200).to), (Time(200), Time(i64::MAX)));
    }

    #[test]
    fn chains_are_followed_and_circles_end() {
        let resolver = Resolver::new(vec![
            alias("a", "b", (0, 100), 1),
            alias("b", "c", (50, 100), 1),
            alias("x", "y", (0, 100), 1),
            alias("y", "x", (0, 100), 1),
        ]);
        let at = |name: &str, t| resolver.resolve_id(EntityId::parse(name).unwrap(), Time(t));
        assert_eq!(at("a", 10).entity.name(), "b");
        assert_eq!(at("a", 10).to, Time(50), "the answer ends where the second hop begins to hold");
        assert_eq!(at("a", 60).entity.name(), "c");
        assert_eq!(at("x", 10).entity.name(), "y");
    }

    #[test]
    fn what_was_said_last_counts() {
        let rows = vec![alias("a", "late", (0, 100), 9), alias("a", "early", (0, 100), 1)];
        let resolver = Resolver::new(rows);
        assert_eq!(resolver.resolve_id(EntityId::parse("a").unwrap(), Time(5)).entity.name(), "late");
    }
}
