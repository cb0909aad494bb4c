//! What events about models say, read without copying more than is needed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// One prediction that was made.
#[derive(Deserialize)]
pub(super) struct Prediction<'a> {
    /// Names it for its label.
    #[serde(borrow)]
    pub id: Scalar<'a>,
    #[serde(borrow, default)]
    pub version: Scalar<'a>,
    #[serde(borrow, default)]
    pub inputs: BTreeMap<Name<'a>, Scalar<'a>>,
    #[serde(borrow, default)]
    pub prediction: Scalar<'a>,
    /// By class; none of a model that predicts numbers.
    #[serde(borrow, default)]
    pub probabilities: BTreeMap<Name<'a>, Scalar<'a>>,
    /// Rows that it stands for; absent = 1.
    pub weight: Option<f64>,
    /// Whether another version answered, and this was only asked beside it.
    #[serde(default)]
    pub shadow: bool,
}

/// What was right.
#[derive(Deserialize)]
pub(super) struct Label<'a> {
    #[serde(borrow)]
    pub prediction_id: Scalar<'a>,
    #[serde(borrow, default)]
    pub value: Scalar<'a>,
}

/// What people said of a version, or of all where none is named.
#[derive(Deserialize)]
pub(super) struct Settings<'a> {
    #[serde(borrow, default)]
    pub version: Scalar<'a>,
    #[serde(default)]
    pub sensitive: BTreeSet<String>,
    #[serde(borrow, default)]
    pub favourable: Scalar<'a>,
}

/// A single value as JSON has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Scalar<'a> {
    #[default]
    Missing,
    Number(f64),
    Text(Cow<'a, str>),
    /// A list or an object: it is there and not looked into.
    Other,
}

/// A key that borrows from the text where it can.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name<'a>(pub Cow<'a, str>);

/// A class or a number, so that `1`, `"1"`, `1.0` and `true` are one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Value {
    Number(#[serde(with = "bits")] f64),
    /// Hash of the text.
    Text(u32),
}

/// A number as its bits, which read back exactly.
mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(number.to_bits())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        u64::deserialize(from).map(f64::from_bits)
    }
}

impl Scalar<'_> {
    /// The class or number; `None` where there is none.
    pub fn value(&self) -> Option<Value> {
        match self {
            Scalar::Number(number) => Some(Value::Number(*number)),
            Scalar::Text(text) => Some(Value::of_text(text)),
            Scalar::Missing | Scalar::Other => None,
        }
    }

    /// As text, for names of versions and groups; empty where there is none.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Scalar::Number(number) => number.to_string().into(),
            Scalar::Text(text) => Cow::Borrowed(text),
            Scalar::Missing | Scalar::Other => "".into(),
        }
    }
}

impl Value {
    pub fn of_text(text: &str) -> Value {
        let text = text.trim();
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Value::Number(number),
            _ if text.eq_ignore_ascii_case("true") => Value::Number(1.0),
            _ if text.eq_ignore_ascii_case("false") => Value::Number(0.0),
            _ => Value::Text(hash(&[text]) as u32),
        }
    }
}

/// FNV-1a of parts.
pub(super) fn hash(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    let sum = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
    // FNV leaves similar texts near one another; the high bits are mixed into the low ones, which are used alone.
    sum ^ (sum >> 32)
}

/// Words that stand for no value where a format has no null.
fn is_nothing(text: &str) -> bool {
    text.is_empty() || ["nan", "null", "none"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Scalar<'a>, D::Error> {
        d.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Missing)
    }

    fn visit_bool<E>(self, is_so: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(if is_so { "true" } else { "false" })))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar<'de>, E> {
        Ok(if number.is_finite() { Scalar::Number(number) } else { Scalar::Missing })
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Number(number as f64))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(if is_nothing(text) { Scalar::Missing } else { Scalar::Text(Cow::Borrowed(text)) })
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(if is_nothing(text) { Scalar::Missing } else { Scalar::Text(Cow::Owned(text.to_owned())) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scalar<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Scalar<'de>, A::Error> {
        while items.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Name<'a>, D::Error> {
        d.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_are_sent() {
        let text = r#"{"id":"abc/0","version":1,"inputs":{"b":null,"a":30.5,"c":"x\"y","d":[1,{"e":2}],"f":true,"g":"NaN"},
            "prediction":"1","probabilities":{"1":0.9,"0":0.1},"weight":12.5,"more":{}}"#;
        let read: Prediction = serde_json::from_str(text).unwrap();
        let inputs: Vec<(&str, &Scalar)> = read.inputs.iter().map(|(name, value)| (&*name.0, value)).collect();
        let (x, truth) = (Scalar::Text("x\"y".into()), Scalar::Text("true".into()));
        let (missing, other) = (Scalar::Missing, Scalar::Other);
        assert_eq!(
            inputs,
            [("a", &Scalar::Number(30.5)), ("b", &missing), ("c", &x), ("d", &other), ("f", &truth), ("g", &missing)]
        );
        assert_eq!((read.version.text().as_ref(), read.weight), ("1", Some(12.5)));
        let bare: Prediction = serde_json::from_str(r#"{"id":7}"#).unwrap();
        assert_eq!((bare.id.text().as_ref(), bare.prediction), ("7", Scalar::Missing));
        assert!(serde_json::from_str::<Prediction>(r#"{"inputs":{}}"#).is_err());
    }

    #[test]
    fn one_class_has_many_spellings() {
        let same = [Value::of_text("1"), Value::of_text(" 1.0 "), Value::of_text("True"), Value::Number(1.0)];
        assert!(same.iter().all(|v| *v == same[0]));
        assert_ne!(Value::of_text("cat"), Value::of_text("dog"));
    }
}
