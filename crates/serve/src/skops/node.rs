//! The schema of a skops file: a tree of nodes. Read whole, within bounds, without what only Python needs.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::Problem;

/// The most nodes a schema may have: a forest of 100,000 trees has about 5 million.
const NODES: usize = 8_000_000;

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    /// A list, a tuple or a set.
    List(Vec<Node>),
    Dict(Vec<(Rc<str>, Node)>),
    /// An object of a class.
    Object(Box<Object>),
    /// An array in a member of the file.
    Array(Rc<str>),
    /// An array of objects.
    Objects(Box<(Node, Vec<Node>)>),
}

/// An object of a class; a type is an object without content.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Object {
    pub(super) loader: Rc<str>,
    pub(super) module: Rc<str>,
    pub(super) class: Rc<str>,
    pub(super) content: Node,
}

impl Node {
    /// Reads a schema.
    pub(super) fn read(json: &[u8]) -> Result<Node, Problem> {
        let reading = Reading { words: Cell::default(), left: Cell::new(NODES) };
        let mut json = serde_json::Deserializer::from_slice(json);
        let node = Seed(&reading).deserialize(&mut json).and_then(|node| json.end().map(|()| node));
        match node {
            Ok(node) => Ok(node),
            Err(_) if reading.left.get() == 0 => {
                Err(Problem::Unsupported(format!("its schema has more than {NODES} nodes")))
            }
            Err(problem) if problem.to_string().contains("recursion limit") => {
                Err(Problem::Unsupported("its schema is nested too deeply".to_owned()))
            }
            Err(problem) => Err(Problem::Damaged(format!("its schema: {problem}"))),
        }
    }
}

/// What nodes share while they are read.
struct Reading {
    /// Words that come often, kept once.
    words: Cell<BTreeMap<Rc<str>, ()>>,
    /// How many nodes more there may be.
    left: Cell<usize>,
}

impl Reading {
    fn word(&self, text: &str) -> Rc<str> {
        let mut words = self.words.take();
        let word = match words.get_key_value(text) {
            Some((word, ())) => word.clone(),
            None => {
                let word: Rc<str> = text.into();
                if words.len() < 4096 && text.len() < 64 {
                    words.insert(word.clone(), ());
                }
                word
            }
        };
        self.words.set(words);
        word
    }
}

#[derive(Clone, Copy)]
struct Seed<'a>(&'a Reading);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Node, D::Error> {
        match self.0.left.get().checked_sub(1) {
            Some(left) => self.0.left.set(left),
            None => return Err(serde::de::Error::custom("too many nodes")),
        }
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(i64::try_from(value).map_or(Node::Float(value as f64), Node::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(self.0.word(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        list.shrink_to_fit();
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut dict: Vec<(Rc<str>, Node)> = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            match key.as_str() {
                "__id__" | "key_types" | "is_json" | "__reduce__" => {
                    entries.next_value::<IgnoredAny>()?;
                }
                key => dict.push((self.0.word(key), entries.next_value_seed(self)?)),
            }
        }
        match dict.iter().any(|(key, _)| &**key == "__loader__") {
            true => self.loaded(dict).map_err(serde::de::Error::custom),
            false => {
                dict.shrink_to_fit();
                Ok(Node::Dict(dict))
            }
        }
    }
}

impl Seed<'_> {
    /// What a node with a loader is.
    fn loaded(self, mut entries: Vec<(Rc<str>, Node)>) -> Result<Node, String> {
        let mut take = |name: &str| {
            let entry = entries.iter_mut().find(|(key, _)| &**key == name);
            entry.map_or(Node::Null, |(_, value)| std::mem::replace(value, Node::Null))
        };
        let mut text = |name: &str| match take(name) {
            Node::Text(text) => Ok(text),
            _ => Err(format!("a node has no text {name}")),
        };
        let (loader, module, class) = (text("__loader__")?, text("__module__")?, text("__class__")?);
        let content = take("content");
        match (&*loader, content) {
            ("JsonNode", Node::Text(text)) => self.plain(&text),
            ("ListNode" | "TupleNode" | "SetNode", content @ Node::List(_)) => Ok(content),
            ("DictNode", content @ Node::Dict(_)) => Ok(content),
            ("JsonNode" | "ListNode" | "TupleNode" | "SetNode" | "DictNode", _) => {
                Err(format!("a {loader} has no content"))
            }
            ("NdArrayNode", content) => match (take("type"), take("file"), content) {
                (Node::Text(kind), Node::Text(file), _) if &*kind == "numpy" => Ok(Node::Array(file)),
                (Node::Text(kind), _, Node::List(items)) if &*kind == "json" => {
                    Ok(Node::Objects(Box::new((take("shape"), items))))
                }
                _ => Err("an array has neither a file nor content".to_owned()),
            },
            (_, content) => Ok(Node::Object(Box::new(Object { loader, module, class, content }))),
        }
    }

    /// A plain value, which is JSON within a text, as Python writes it.
    fn plain(self, text: &str) -> Result<Node, String> {
        match text {
            "NaN" => return Ok(Node::Float(f64::NAN)),
            "Infinity" => return Ok(Node::Float(f64::INFINITY)),
            "-Infinity" => return Ok(Node::Float(f64::NEG_INFINITY)),
            _ => {}
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let value = self.deserialize(&mut json).and_then(|node| json.end().map(|()| node));
        value.map_err(|problem| format!("a plain value is no JSON: {problem}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(content: &str) -> String {
        format!(
            r#"{{"__class__":"str","__module__":"builtins","__loader__":"JsonNode","content":{content:?},"is_json":true}}"#
        )
    }

    #[test]
    fn plain_values_are_read() {
        assert_eq!(Node::read(plain("1").as_bytes()), Ok(Node::Int(1)));
        assert_eq!(Node::read(plain("\"a\"").as_bytes()), Ok(Node::Text("a".into())));
        assert_eq!(Node::read(plain("-Infinity").as_bytes()), Ok(Node::Float(f64::NEG_INFINITY)));
        assert_eq!(Node::read(plain("null").as_bytes()), Ok(Node::Null));
    }

    #[test]
    fn what_is_deep_or_broken_is_refused() {
        let deep = r#"{"a":"#.repeat(100_000);
        assert!(matches!(Node::read(deep.as_bytes()), Err(Problem::Unsupported(why)) if why.contains("deep")));
        let inner = plain(&"[".repeat(100_000));
        assert!(Node::read(inner.as_bytes()).is_err());
        assert!(matches!(Node::read(b"{"), Err(Problem::Damaged(_))));
        let no_class = br#"{"__loader__":"ObjectNode"}"#;
        assert!(matches!(Node::read(no_class), Err(Problem::Damaged(_))));
    }
}
