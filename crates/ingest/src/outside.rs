//! What programs outside tell of changes, on its way to events.
//!
//! Their text is not trusted: it is cut, its control characters and secrets are taken out, and links must be http or
//! https. What was told before is not told again: each event has keys, and [`Seen`] remembers the last of them.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};
use types::{Batch, EntityId, EntityKey, Events, Registry, Reject, Time};
use xxhash_rust::xxh3::xxh3_64;

use crate::limits::{Window, show};
use crate::{BadRequest, Decoded, Ingest, Request, Written};

/// Most characters of a word (a version, a name), a sentence (a title), and a link.
pub(crate) const WORD: usize = 120;
pub(crate) const SENTENCE: usize = 300;
const LINK: usize = 2000;
/// Most characters of an event's kind.
const KIND: usize = 128;
/// Most texts, and most levels, of the data of an event that is kept as it came.
const DATA_TEXTS: usize = 200;
const DATA_LEVELS: usize = 8;
/// Keys that are remembered: at a hundred events a minute those of a day.
const SEEN: usize = 150_000;

/// Which entity a repository or an environment stands for, as settings say.
#[derive(Clone, Debug, Default)]
pub struct Places {
    entities: BTreeMap<String, EntityId>,
    environments: Vec<String>,
}

impl Places {
    /// `entities` by repository (`owner/name`), by one environment of a repository (`owner/name@environment`), or by
    /// the id of a service in CDEvents. `environments` are those whose deployments count as changes, by name; none
    /// named: all of them do. Upper and lower case are alike.
    pub fn new(entities: impl IntoIterator<Item = (String, EntityId)>, environments: Vec<String>) -> Places {
        Places {
            entities: entities.into_iter().map(|(name, entity)| (name.to_lowercase(), entity)).collect(),
            environments: environments.iter().map(|name| name.to_lowercase()).collect(),
        }
    }

    /// Whether deployments to this environment are changes of what is observed.
    pub(crate) fn watches(&self, environment: Option<&str>) -> bool {
        let Some(environment) = environment.filter(|_| !self.environments.is_empty()) else { return true };
        self.environments.contains(&environment.to_lowercase())
    }
}

/// Names to entities, for one request; remembers what it looked up.
pub(crate) struct Names<'a> {
    places: &'a Places,
    registry: &'a Registry,
    known: BTreeMap<String, Option<EntityId>>,
}

impl<'a> Names<'a> {
    pub fn new(places: &'a Places, registry: &'a Registry) -> Names<'a> {
        Names { places, registry, known: BTreeMap::new() }
    }

    /// The service of a repository. In this order: what the sender names outright (`named`), what settings say of the
    /// environment, what they say of the repository, a part of the environment's name that is a known service, the
    /// repository's own name.
    pub fn service(&mut self, repository: &str, environment: Option<&str>, named: Option<&str>) -> EntityId {
        if let Some(named) = named.map(str::trim).filter(|named| !named.is_empty()) {
            return self.entity(named);
        }
        let repository = repository.trim_matches('/');
        let of_environment =
            environment.and_then(|environment| self.said(&format!("{repository}@{environment}"))).cloned();
        if let Some(said) = of_environment.or_else(|| self.said(repository).cloned()) {
            return said;
        }
        let parts = environment.into_iter().flat_map(|text| text.split(['/', ':', ' ']));
        for part in parts.filter(|part| !part.is_empty()) {
            if let Some(known) = self.known_service(part) {
                return known;
            }
        }
        let name = repository.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("unknown");
        self.plain_service(name)
    }

    /// A service by what CDEvents call it: an entity's full name, a path whose last part is its name, or a name.
    pub fn entity(&mut self, text: &str) -> EntityId {
        let text: String = text.trim().chars().take(WORD).collect();
        if let Some(said) = self.said(&text) {
            return said.clone();
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        let is_full = text.contains(':') && !text.contains("://");
        match (EntityId::parse(&text), parts.as_slice()) {
            (Some(full), _) if is_full => full,
            (Some(full), [_, _]) if !text.starts_with('/') => full,
            (_, [.., last]) => self.plain_service(last),
            (_, []) => self.plain_service("unknown"),
        }
    }

    /// The one service of this name that is known.
    pub fn known_service(&mut self, name: &str) -> Option<EntityId> {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        let plain = EntityId::new("service", "", name);
        let found = self.registry.known_service(&plain).or_else(|| {
            let lower = EntityId::new("service", "", &name.to_lowercase());
            self.registry.known_service(&lower)
        });
        self.known.insert(name.to_owned(), found.clone());
        found
    }

    fn plain_service(&mut self, name: &str) -> EntityId {
        let name: String = name.chars().take(WORD).collect();
        self.known_service(&name).unwrap_or_else(|| EntityId::new("service", "", &name))
    }

    fn said(&self, name: &str) -> Option<&EntityId> {
        self.places.entities.get(&name.to_lowercase())
    }
}

/// One event as it was told, before it has its entity's number.
pub(crate) struct Told {
    kind: String,
    /// About what.
    pub entity: EntityId,
    /// When it happened, where it says so.
    pub at: Option<Time>,
    attributes: Map<String, Value>,
    masked: u64,
    keys: Vec<u64>,
}

impl Told {
    /// A change of the kind (without `change.`).
    pub fn change(kind: &str, entity: EntityId) -> Told {
        Told::new(format!("change.{kind}"), entity)
    }

    /// Anything else, kept under its own type as `event.<type>`.
    pub fn event(name: &str, entity: EntityId) -> Told {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let name = name.to_lowercase();
        let name: String = name.chars().take(KIND).map(|c| if is_word(c) { c } else { '_' }).collect();
        Told::new(format!("event.{name}"), entity)
    }

    fn new(kind: String, entity: EntityId) -> Told {
        Told { kind, entity, at: None, attributes: Map::new(), masked: 0, keys: Vec::new() }
    }

    /// A name or a sentence, if it says something.
    pub fn text(mut self, name: &str, text: Option<&str>, most: usize) -> Told {
        if let Some(clean) = text.and_then(|text| clean(text, most, &mut self.masked)) {
            self.attributes.insert(name.to_owned(), Value::String(clean));
        }
        self
    }

    /// A short name.
    pub fn word(self, name: &str, text: Option<&str>) -> Told {
        self.text(name, text, WORD)
    }

    /// The first of these that is a link.
    pub fn link<'t>(mut self, candidates: impl IntoIterator<Item = Option<&'t str>>) -> Told {
        let found = candidates.into_iter().flatten().find_map(|text| link(text, &mut self.masked));
        if let Some(found) = found {
            self.attributes.insert("link".to_owned(), Value::String(found));
        }
        self
    }

    /// A short name, unless there is one already.
    pub fn missing_word(self, name: &str, text: Option<&str>) -> Told {
        if self.attributes.contains_key(name) { self } else { self.word(name, text) }
    }

    /// A link, unless there is one already.
    pub fn missing_link(self, text: Option<&str>) -> Told {
        if self.attributes.contains_key("link") { self } else { self.link([text]) }
    }

    /// Data as it came, each of its texts made clean; what is too much of it is left out.
    pub fn data(mut self, data: Option<&Value>) -> Told {
        if let Some(data) = data {
            let mut left = DATA_TEXTS;
            let data = clean_data(data, DATA_LEVELS, &mut left, &mut self.masked);
            self.attributes.insert("data".to_owned(), data);
            if left == 0 {
                self.attributes.insert("data_cut".to_owned(), Value::Bool(true));
            }
        }
        self
    }

    /// When it happened; nothing where the text is no time.
    pub fn at(mut self, at: Option<Time>) -> Told {
        self.at = at;
        self
    }

    /// A key under which it is told once; the first names the event.
    pub fn key(mut self, request: &Request, parts: &[&str]) -> Told {
        let mut text = request.tenant.as_str().to_owned();
        for part in parts {
            text.push('\0');
            text.push_str(part);
        }
        self.keys.push(xxh3_64(text.as_bytes()));
        self
    }
}

/// Makes events of what was told, each once. `told` has a name for the place of each, for the rejects.
pub(crate) fn finish(
    ingest: &Ingest,
    request: &Request,
    told: Vec<(String, Result<Told, String>)>,
) -> Result<Decoded, BadRequest> {
    ingest.limits.check_rows(told.len())?;
    let window = Window::new(request, &ingest.limits);
    let (mut rejects, mut written) = (Vec::new(), Written::default());
    let (mut taken, mut ids, mut once) = (Vec::new(), Vec::new(), Vec::new());
    let mut fresh = HashSet::new();
    for (place, told) in told {
        let told = told.and_then(|told| Ok((time_of(&told, request, window)?, told)));
        let (at, told) = match told {
            Ok(told) => told,
            Err(reason) => {
                let reason = if place.is_empty() { reason } else { format!("{place}: {reason}") };
                rejects.push(Reject { count: 1, reason });
                continue;
            }
        };
        ids.extend(told.keys.first().map(|key| hex(*key)));
        let is_known = told.keys.iter().any(|key| fresh.contains(key)) || ingest.seen.lock().knows(&told.keys);
        if is_known {
            written.repeated += 1;
            continue;
        }
        fresh.extend(told.keys.iter().copied());
        taken.push((at, told));
    }
    let resolver = ingest.resolver();
    let mut events = Events::default();
    let mut registry = ingest.directory.write();
    for (at, mut told) in taken {
        let entity = resolver.resolve_id(told.entity, at).entity;
        let key = match entity_key(&mut registry, &entity, ingest.limits.max_resources) {
            Ok(key) => key,
            Err(reject) => {
                rejects.push(reject);
                continue;
            }
        };
        once.extend(told.keys.iter().copied());
        written.masked += told.masked;
        for (name, key) in ["id", "payload_id"].into_iter().zip(&told.keys) {
            told.attributes.insert(name.to_owned(), Value::String(hex(*key)));
        }
        events.push(at.0, key, &told.kind, &Value::Object(told.attributes).to_string());
    }
    drop(registry);
    written.events = events.len() as u64;
    Ok(Decoded { batch: Batch { events, ..request.batch() }, rejects, written, ids, once })
}

fn time_of(told: &Told, request: &Request, window: Window) -> Result<Time, String> {
    let Some(at) = told.at else { return Ok(request.now) };
    let unsigned = u64::try_from(at.0).map_err(|_| format!("time {at} lies before 1970"))?;
    window.check_unsigned(unsigned).map(Time).map_err(|off| window.reason(off, &told.kind, &at.rfc3339()))
}

/// The number of an entity; a new one gets one while there are fewer than `most`.
pub(crate) fn entity_key(registry: &mut Registry, entity: &EntityId, most: usize) -> Result<EntityKey, Reject> {
    match registry.find_entity(entity) {
        None if registry.entities().len() >= most => {
            let reason = format!("{}: a new entity, but there are very many already", show(entity.as_str()));
            Err(Reject { count: 1, reason })
        }
        _ => Ok(registry.entity(entity)),
    }
}

fn hex(key: u64) -> String {
    format!("{key:016x}")
}

/// Text without control characters and secrets, cut to `most` characters; `None` where nothing is left.
pub(crate) fn clean(text: &str, most: usize, masked: &mut u64) -> Option<String> {
    // A secret must not be cut in two before it is looked for, nor is a book looked through.
    let near: String = text.chars().take(most * 2 + 200).collect();
    let mut bytes = near.into_bytes();
    *masked += math::secrets::mask_from(&mut bytes, 0) as u64;
    let text = String::from_utf8_lossy(&bytes);
    let is_hidden =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let shown = text.chars().filter(|c| !is_hidden(*c)).map(|c| if c.is_control() { ' ' } else { c });
    let shown: String = shown.collect();
    let mut words = String::new();
    for word in shown.split_whitespace() {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    if words.chars().count() > most {
        words = words.chars().take(most.saturating_sub(1)).collect();
        words.push('…');
    }
    (!words.is_empty()).then_some(words)
}

/// A link, if it is one of http or https without blanks; its secrets are taken out.
fn link(text: &str, masked: &mut u64) -> Option<String> {
    let text = text.trim();
    let head: String = text.chars().take(8).collect::<String>().to_ascii_lowercase();
    let is_link = head.starts_with("https://") || head.starts_with("http://");
    let is_plain =
        text.len() <= LINK && !text.chars().any(|c| c.is_control() || c.is_whitespace() || "\"<>\\^`{|}".contains(c));
    if is_link && is_plain { clean(text, LINK, masked) } else { None }
}

fn clean_data(data: &Value, levels: usize, left: &mut usize, masked: &mut u64) -> Value {
    if *left == 0 || levels == 0 {
        *left = 0;
        return Value::Null;
    }
    match data {
        Value::String(text) => {
            *left -= 1;
            Value::String(clean(text, SENTENCE, masked).unwrap_or_default())
        }
        Value::Array(items) => {
            let mut kept = Vec::new();
            for item in items {
                if *left == 0 {
                    break;
                }
                kept.push(clean_data(item, levels - 1, left, masked));
            }
            Value::Array(kept)
        }
        Value::Object(fields) => {
            let mut kept = Map::new();
            for (name, value) in fields {
                if *left == 0 {
                    break;
                }
                let is_secret = math::secrets::is_secret_name(name.as_bytes()) && !value.is_null();
                let value = match is_secret {
                    true => Value::String(math::secrets::MASK.to_owned()),
                    false => clean_data(value, levels - 1, left, masked),
                };
                *masked += u64::from(is_secret);
                kept.insert(clean(name, WORD, masked).unwrap_or_default(), value);
            }
            Value::Object(kept)
        }
        other => {
            *left -= 1;
            other.clone()
        }
    }
}

/// A time as RFC 3339, or as GitLab writes it (`2021-04-28 21:50:00 +0200`, `2016-08-12 15:23:28 UTC`).
pub(crate) fn time(text: &str) -> Option<Time> {
    let text = text.trim();
    if let Some(time) = Time::parse(text) {
        return Some(time);
    }
    let (day, rest) = text.split_once(' ')?;
    let (clock, zone) = rest.split_once(' ')?;
    let zone = match zone {
        "UTC" | "Z" => "Z".to_owned(),
        zone if zone.is_ascii() && zone.len() == 5 => format!("{}:{}", &zone[..3], &zone[3..]),
        zone => zone.to_owned(),
    };
    Time::parse(&format!("{day}T{clock}{zone}"))
}

/// Takes `%41` as `A` (and `+` as a blank, in forms). `None` where the bytes are no UTF-8.
pub(crate) fn percent_decoded(text: &[u8], is_form: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut i = 0;
    while i < text.len() {
        let digit = |at: usize| text.get(at).and_then(|b| (*b as char).to_digit(16));
        match (text[i], digit(i + 1), digit(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                i += 2;
            }
            (b'+', ..) if is_form => out.push(b' '),
            (byte, ..) => out.push(byte),
        }
        i += 1;
    }
    String::from_utf8(out).ok()
}

/// Text at a path of fields, e.g. `deployment.creator.login`; numbers are given as text.
pub(crate) fn text_at<'v>(value: &'v Value, path: &str) -> Option<std::borrow::Cow<'v, str>> {
    let found = path.split('.').try_fold(value, |value, name| value.get(name))?;
    match found {
        Value::String(text) if !text.trim().is_empty() => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

/// Plain text at a path of fields.
pub(crate) fn str_at<'v>(value: &'v Value, path: &str) -> Option<&'v str> {
    let found = path.split('.').try_fold(value, |value, name| value.get(name))?;
    found.as_str().filter(|text| !text.trim().is_empty())
}

/// The last keys of events that were taken, in two generations.
#[derive(Default)]
pub(crate) struct Seen {
    young: HashSet<u64>,
    old: HashSet<u64>,
}

impl Seen {
    pub fn knows(&self, keys: &[u64]) -> bool {
        keys.iter().any(|key| self.young.contains(key) || self.old.contains(key))
    }

    pub fn add(&mut self, keys: impl IntoIterator<Item = u64>) {
        for key in keys {
            if self.young.len() >= SEEN / 2 {
                self.old = std::mem::take(&mut self.young);
            }
            self.young.insert(key);
        }
    }

    /// Takes up the keys of an event as it was stored.
    pub fn recall(&mut self, attributes: &str) {
        let Ok(Value::Object(attributes)) = serde_json::from_str(attributes) else { return };
        let keys = ["id", "payload_id"].into_iter().filter_map(|name| attributes.get(name)?.as_str());
        self.add(keys.filter_map(|key| u64::from_str_radix(key, 16).ok()));
    }
}

/// A decoder with a clock for the tests of those who tell.
#[cfg(test)]
pub(crate) mod fixtures {
    use std::sync::Arc;

    use serde_json::Value;
    use types::{Directory, SECOND, Time};

    use crate::{Decoded, Ingest, Limits, Request};

    pub struct Host {
        pub ingest: Ingest,
        pub request: Request,
    }

    impl Host {
        /// A host at 2027-01-15T08:00:00Z.
        pub fn new() -> Host {
            let ingest = Ingest::new(Arc::new(Directory::default()), Limits::default(), 1);
            Host {
                ingest,
                request: Request { tenant: Default::default(), now: Time(1_800_000_000 * SECOND), backfill: false },
            }
        }

        /// Kind, entity and attributes of a row.
        pub fn row(&self, decoded: &Decoded, i: usize) -> (String, String, Value) {
            let events = &decoded.batch.events;
            let entity = self.ingest.directory.read().entity_id(events.entity[i]).unwrap().to_string();
            (events.kind.get(i).to_owned(), entity, serde_json::from_str(events.attributes.get(i)).unwrap())
        }
    }

    /// Headers by lower-case name.
    pub fn header_of(headers: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> + use<> {
        let headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        move |name| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &str, most: usize) -> Option<String> {
        clean(text, most, &mut 0)
    }

    #[test]
    fn text_is_cut_and_harmless() {
        assert_eq!(cleaned("  Fix\n\u{1b}[31m the\u{202e}cart ", 99).as_deref(), Some("Fix [31m thecart"));
        assert_eq!(cleaned(&"x".repeat(500), 10).map(|text| text.chars().count()), Some(10));
        assert_eq!(cleaned("\n\t ", 10), None);
        let mut masked = 0;
        let text = clean("deploy with password=hunter2secret now", 300, &mut masked).unwrap();
        assert!(!text.contains("hunter2") && masked == 1, "{text}");
        let cut = clean(&format!("{} token=ghp_{}", "y".repeat(100), "A1b2C3d4".repeat(5)), 112, &mut masked).unwrap();
        assert!(!cut.contains("ghp_A"), "a secret at the cut is found: {cut}");
    }

    #[test]
    fn only_links_are_links() {
        let of = |text| link(text, &mut 0);
        assert_eq!(of("https://ci.example/7").as_deref(), Some("https://ci.example/7"));
        for bad in
            ["javascript:alert(1)", "https ://x", "ftp://x", "", "http://x/ y", "data:text/html,x", "http://x/\"><b>"]
        {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert!(!of("https://ada:hunter2@git.example/x").unwrap().contains("hunter2"));
    }

    #[test]
    fn times_of_both_hosts() {
        let expected = Time::parse("2021-04-28T19:50:00Z");
        for text in ["2021-04-28T21:50:00+02:00", "2021-04-28 21:50:00 +0200", "2021-04-28 19:50:00 UTC"] {
            assert_eq!(time(text), expected, "{text}");
        }
        for bad in ["", "yesterday", "2021-04-28", "2021-04-28 21:50:00", "2021-04-28 21:50:00 +02é0", "a b c"] {
            assert_eq!(time(bad), None, "{bad}");
        }
    }

    #[test]
    fn percent_signs_are_read_once() {
        let plain = |text: &str| percent_decoded(text.as_bytes(), false);
        assert_eq!(plain("Euro%20%E2%82%AC%20%F0%9F%98%80").as_deref(), Some("Euro € 😀"));
        assert_eq!(plain("%2541+b%").as_deref(), Some("%41+b%"));
        assert_eq!(plain("%C0%A0"), None, "an overlong form is no UTF-8");
        assert_eq!(percent_decoded(b"a+b%2Bc", true).as_deref(), Some("a b+c"));
    }

    #[test]
    fn data_is_bounded_and_without_secrets() {
        let told = |data: Value| {
            let told = Told::event("x", EntityId::new("service", "", "a")).data(Some(&data));
            (told.attributes["data"].clone(), told.attributes.contains_key("data_cut"))
        };
        let (data, cut) = told(serde_json::json!({"token": 12345, "n": 1, "list": ["a\u{0}b"], "password": "x"}));
        assert_eq!(data, serde_json::json!({"token": "[masked]", "n": 1, "list": ["a b"], "password": "[masked]"}));
        assert!(!cut);
        let (data, cut) = told(Value::Array(vec![Value::from("x"); 1000]));
        assert!(data.as_array().is_some_and(|items| items.len() == DATA_TEXTS) && cut);
        let deep = (0..60).fold(Value::from(1), |inner, _| Value::Array(vec![inner]));
        assert!(told(deep).1);
    }

    #[test]
    fn keys_are_remembered_in_two_generations() {
        let mut seen = Seen::default();
        seen.recall(r#"{"id":"00000000000000ff","payload_id":"00000000000000fe"}"#);
        seen.recall("[]");
        seen.recall(r#"{"id":7}"#);
        assert!(seen.knows(&[255]) && seen.knows(&[1, 254]) && !seen.knows(&[1]));
        seen.add(1000..1000 + SEEN as u64);
        assert!(!seen.knows(&[255]) && seen.knows(&[1000 + SEEN as u64 - 1]));
        assert!(seen.young.len() + seen.old.len() <= SEEN);
    }

    #[test]
    fn a_repository_leads_to_its_service() {
        let mut registry = Registry::default();
        registry.entity(&EntityId::new("service", "shop", "payments"));
        let said = |name: &str, entity: &str| (name.to_owned(), EntityId::parse(entity).unwrap());
        let places = Places::new(
            [said("Acme/Shop", "service:shop/front"), said("acme/shop@Canary", "service:shop/front-canary")],
            vec!["Production".into()],
        );
        let mut names = Names::new(&places, &registry);
        let mut of = |repository, environment, named| names.service(repository, environment, named).to_string();
        assert_eq!(of("acme/shop", None, None), "service:shop/front");
        assert_eq!(of("ACME/shop", Some("canary"), None), "service:shop/front-canary");
        assert_eq!(of("acme/shop", Some("canary"), Some("payments")), "service:shop/payments");
        assert_eq!(of("acme/mono", Some("production/payments"), None), "service:shop/payments");
        assert_eq!(of("acme/Payments", Some("production"), None), "service:shop/payments");
        assert_eq!(of("acme/other", None, None), "service:default/other");
        assert_eq!(of("", None, Some(" ")), "service:default/unknown");
        assert!(places.watches(Some("production")) && places.watches(None) && !places.watches(Some("staging")));
        for (text, expected) in [
            ("/apis/v1/namespaces/x/payments", "service:shop/payments"),
            ("shop/cart", "service:shop/cart"),
            ("database:shop/orders", "database:shop/orders"),
            ("https://x.example/services/cart", "service:default/cart"),
            ("/", "service:default/unknown"),
        ] {
            assert_eq!(names.entity(text).as_str(), expected, "{text}");
        }
    }
}
