//! Places for values: `{name}` as a whole argument, a whole path segment, or a whole text in JSON. There is nothing else
//! to it: no expressions, no parts of words, no second round.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::parameter::{Parameter, Value, Values};

/// All but letters, digits and `-_.~`.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// How deep JSON of the settings may nest.
const DEPTH_MAX: usize = 32;

/// One word of a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Word {
    /// As it stands.
    Fixed(String),
    /// The value of this name.
    Place(String),
}

impl Word {
    /// Reads a word; `{` and `}` may only enclose it whole.
    pub fn parse(text: &str) -> Result<Word, String> {
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        if let Some(name) = inner.filter(|name| !name.is_empty() && !name.contains(['{', '}'])) {
            return Ok(Word::Place(name.to_owned()));
        }
        if text.contains(['{', '}']) {
            return Err(format!("{text:?}: a {{name}} must stand alone, there are no parts of words"));
        }
        Ok(Word::Fixed(text.to_owned()))
    }

    /// The word with its value. A place without a value stays empty; [`check_places`] has seen to it that none is.
    pub fn fill(&self, values: &Values) -> String {
        match self {
            Word::Fixed(text) => text.clone(),
            Word::Place(name) => values.get(name).map(Value::text).unwrap_or_default(),
        }
    }
}

/// A URL whose scheme, host and query are fixed.
#[derive(Clone, Debug)]
pub(crate) struct UrlTemplate {
    origin: String,
    segments: Vec<Word>,
    query: String,
}

impl UrlTemplate {
    /// Reads a URL with places in its path.
    pub fn parse(text: &str) -> Result<UrlTemplate, String> {
        let (before, query) = text.split_at(text.find(['?', '#']).unwrap_or(text.len()));
        let (scheme, rest) = before.split_once("://").ok_or("it must begin with https:// (or http://)")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if [scheme, authority, query].iter().any(|part| part.contains(['{', '}'])) {
            return Err("a {name} may stand in the path alone, not in scheme, host or query".into());
        }
        let origin = format!("{scheme}://{authority}");
        crate::channel::checked_url(&origin)?;
        let segments = path.strip_prefix('/').unwrap_or(path).split('/').map(Word::parse).collect::<Result<_, _>>()?;
        Ok(UrlTemplate { origin, segments, query: query.to_owned() })
    }

    /// The names of its places.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        places(&self.segments)
    }

    /// The URL. Fails where a value would be read as another path.
    pub fn fill(&self, values: &Values) -> Result<String, String> {
        let mut url = self.origin.clone();
        for word in &self.segments {
            let text = word.fill(values);
            url.push('/');
            match word {
                Word::Fixed(_) => url.push_str(&text),
                Word::Place(name) if ["", ".", ".."].contains(&text.as_str()) => {
                    return Err(format!("{name} cannot stand in a path"));
                }
                Word::Place(_) => url.push_str(&encoded(&text)),
            }
        }
        Ok(url + &self.query)
    }
}

/// One path segment, so that nothing in it can end it.
pub(crate) fn encoded(segment: &str) -> String {
    utf8_percent_encode(segment, SEGMENT).to_string()
}

/// The names of the places among these words.
pub(crate) fn places(words: &[Word]) -> impl Iterator<Item = &str> {
    words.iter().filter_map(|word| match word {
        Word::Place(name) => Some(name.as_str()),
        Word::Fixed(_) => None,
    })
}

/// The names of the places in JSON. The error names a text with a part of a place.
pub(crate) fn json_places(template: &serde_json::Value) -> Result<BTreeSet<String>, String> {
    let mut found = BTreeSet::new();
    collect(template, 0, &mut found)?;
    Ok(found)
}

fn collect(template: &serde_json::Value, depth: usize, found: &mut BTreeSet<String>) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("it is nested more than {DEPTH_MAX} deep"));
    }
    match template {
        serde_json::Value::String(text) => {
            if let Word::Place(name) = Word::parse(text)? {
                found.insert(name);
            }
            Ok(())
        }
        serde_json::Value::Array(items) => items.iter().try_for_each(|item| collect(item, depth + 1, found)),
        serde_json::Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            if name.contains(['{', '}']) {
                return Err(format!("{name:?}: a {{name}} may stand for a value, not for a field"));
            }
            collect(value, depth + 1, found)
        }),
        _ => Ok(()),
    }
}

/// The JSON with its values; numbers stay numbers.
pub(crate) fn fill_json(template: &serde_json::Value, values: &Values) -> serde_json::Value {
    match template {
        serde_json::Value::String(text) => match Word::parse(text) {
            Ok(Word::Place(name)) => values.get(&name).map_or(serde_json::Value::Null, Value::json),
            _ => text.as_str().into(),
        },
        serde_json::Value::Array(items) => items.iter().map(|item| fill_json(item, values)).collect(),
        serde_json::Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), fill_json(value, values))).collect()
        }
        other => other.clone(),
    }
}

/// Whether places and parameters are the same; `target` and `key` may always be used.
pub(crate) fn check_places<'a>(
    places: impl Iterator<Item = &'a str>,
    parameters: &BTreeMap<String, Parameter>,
) -> Result<(), String> {
    let places: BTreeSet<&str> = places.collect();
    let of_all = ["target", "key"];
    if let Some(name) = places.iter().find(|name| !of_all.contains(name) && !parameters.contains_key(**name)) {
        return Err(format!("{{{name}}} is no parameter: it can be target, key, or a name under parameters"));
    }
    if let Some(name) = parameters.keys().find(|name| !places.contains(name.as_str())) {
        return Err(format!("parameter {name} is used nowhere"));
    }
    Ok(())
}

/// The values of a step with those that every step has.
pub(crate) fn with_step(values: &Values, target: &str, key: &str) -> Values {
    let mut all = values.clone();
    all.insert("target".into(), Value::Text(target.to_owned()));
    all.insert("key".into(), Value::Text(key.to_owned()));
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(text: &str) -> Values {
        Values::from([("name".into(), Value::Text(text.into())), ("count".into(), Value::Integer(3))])
    }

    #[test]
    fn a_place_is_a_whole_word() {
        assert_eq!(Word::parse("{name}").unwrap().fill(&values("a b; c")), "a b; c");
        assert_eq!(Word::parse("plain").unwrap().fill(&values("x")), "plain");
        // What a value holds is not read again.
        assert_eq!(Word::parse("{name}").unwrap().fill(&values("{count}")), "{count}");
        for bad in ["--x={name}", "{name}{count}", "{}", "{", "a}", "{{name}}"] {
            assert!(Word::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_cannot_leave_its_segment() {
        let url = UrlTemplate::parse("https://ops.example.com:8443/jobs/{name}/run?dry=1").unwrap();
        for (value, segment) in [
            ("a", "a"),
            ("a/b", "a%2Fb"),
            ("../x", "..%2Fx"),
            ("a?b#c", "a%3Fb%23c"),
            ("@evil.example", "%40evil.example"),
            ("%2e%2e", "%252e%252e"),
            ("a\\b", "a%5Cb"),
            ("grün", "gr%C3%BCn"),
        ] {
            let filled = url.fill(&values(value)).unwrap();
            assert_eq!(filled, format!("https://ops.example.com:8443/jobs/{segment}/run?dry=1"));
        }
        for bad in ["", ".", ".."] {
            assert!(url.fill(&values(bad)).is_err(), "{bad:?}");
        }
        for bad in [
            "https://{name}/x",
            "https://ops.example.com:{count}/x",
            "{name}://ops.example.com/",
            "https://ops.example.com/?q={name}",
            "https://ops.example.com/a-{name}",
            "https://a:b@ops.example.com/{name}",
            "ftp://ops.example.com/{name}",
            "/x",
        ] {
            assert!(UrlTemplate::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn json_keeps_types_and_fields() {
        let template = json!({"a": "{name}", "b": ["{count}", 1, null, "x"], "c": {"d": true}});
        assert_eq!(json_places(&template).unwrap(), ["count", "name"].map(String::from).into());
        let filled = fill_json(&template, &values("\",\"a\":{\"$ne\":1}"));
        assert_eq!(filled, json!({"a": "\",\"a\":{\"$ne\":1}", "b": [3, 1, null, "x"], "c": {"d": true}}));
        assert!(json_places(&json!({"{name}": 1})).is_err());
        assert!(json_places(&json!({"a": "x {name}"})).is_err());
    }
}
