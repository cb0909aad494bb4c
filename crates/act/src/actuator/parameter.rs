//! What a step may be told: types with ranges, checked before anything is made of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The longest text that can be chosen.
const CHOICE_BYTES_MAX: usize = 1000;
/// The longest duration, a year.
const DURATION_S_MAX: u64 = 366 * 24 * 3600;

/// A type with its range. There is no free text: a text is one of a list that the settings name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Parameter {
    /// One of these texts.
    Choice {
        /// The texts.
        one_of: Vec<String>,
    },
    /// A whole number.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A number.
    Number {
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
    },
    /// A stretch of time: a number of seconds, or `30s`, `5m`, `2h`, `1d`.
    Duration {
        /// The shortest, in seconds.
        min_s: u64,
        /// The longest, in seconds.
        max_s: u64,
    },
    /// Yes or no.
    Bool {},
}

/// A value that was checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of [`Parameter::Choice`].
    Text(String),
    /// Of [`Parameter::Integer`].
    Integer(i64),
    /// Of [`Parameter::Number`].
    Number(f64),
    /// Of [`Parameter::Duration`], in seconds.
    Seconds(u64),
    /// Of [`Parameter::Bool`].
    Bool(bool),
}

/// Values by the names of their parameters.
pub(crate) type Values = BTreeMap<String, Value>;

impl Value {
    /// As one argument or path segment: a duration in seconds.
    pub fn text(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Seconds(seconds) => seconds.to_string(),
            Value::Bool(yes) => yes.to_string(),
        }
    }

    /// As JSON: numbers stay numbers, a duration is its seconds.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Value::Text(text) => text.as_str().into(),
            Value::Integer(number) => (*number).into(),
            Value::Number(number) => (*number).into(),
            Value::Seconds(seconds) => (*seconds).into(),
            Value::Bool(yes) => (*yes).into(),
        }
    }
}

impl Parameter {
    /// Whether the range can be met at all; the error says what is wrong.
    pub(crate) fn check_range(&self) -> Result<(), String> {
        let empty = || "its least value is above its greatest".to_owned();
        match self {
            Parameter::Choice { one_of } if one_of.is_empty() => Err("one_of names nothing".into()),
            Parameter::Choice { one_of } => one_of.iter().try_for_each(|text| check_choice(text)),
            Parameter::Integer { min, max } if min > max => Err(empty()),
            Parameter::Number { min, max } if !(min.is_finite() && max.is_finite()) => {
                Err("its range has no end".into())
            }
            Parameter::Number { min, max } if min > max => Err(empty()),
            Parameter::Duration { min_s, max_s } if min_s > max_s => Err(empty()),
            Parameter::Duration { max_s, .. } if *max_s > DURATION_S_MAX => Err("max_s is above a year".into()),
            _ => Ok(()),
        }
    }

    /// Reads a value. The error says what is expected and does not repeat what was given.
    pub fn check(&self, given: &serde_json::Value) -> Result<Value, String> {
        match self {
            Parameter::Choice { one_of } => {
                let chosen = given.as_str().and_then(|text| one_of.iter().find(|choice| *choice == text));
                let chosen = chosen.ok_or_else(|| format!("must be one of {}", one_of.join(", ")))?;
                Ok(Value::Text(chosen.clone()))
            }
            Parameter::Integer { min, max } => {
                let number = given.as_i64().filter(|number| (min..=max).contains(&number));
                number.map(Value::Integer).ok_or_else(|| format!("must be a whole number in {min}..={max}"))
            }
            Parameter::Number { min, max } => {
                let number = given.as_f64().filter(|number| (min..=max).contains(&number));
                number.map(Value::Number).ok_or_else(|| format!("must be a number in {min}..={max}"))
            }
            Parameter::Duration { min_s, max_s } => {
                let seconds = given.as_u64().or_else(|| given.as_str().and_then(seconds));
                let seconds = seconds.filter(|seconds| (min_s..=max_s).contains(&seconds));
                seconds.map(Value::Seconds).ok_or_else(|| format!("must be a duration of {min_s} to {max_s} seconds"))
            }
            Parameter::Bool {} => given.as_bool().map(Value::Bool).ok_or_else(|| "must be true or false".into()),
        }
    }
}

/// Whether names and ranges of the settings can be used.
pub(crate) fn check_declared(parameters: &BTreeMap<String, Parameter>) -> Result<(), String> {
    for (name, parameter) in parameters {
        let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.len() <= 64
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !plain {
            return Err(format!("{name:?} must be lower-case letters, digits and _, beginning with a letter"));
        }
        if ["target", "key"].contains(&name.as_str()) {
            return Err(format!("{name} is what every step has: name the parameter otherwise"));
        }
        parameter.check_range().map_err(|what| format!("{name}: {what}"))?;
    }
    Ok(())
}

/// All values of a step, each checked; every parameter must be given, and nothing else.
pub(crate) fn check_all(
    declared: &BTreeMap<String, Parameter>,
    given: &BTreeMap<String, serde_json::Value>,
) -> Result<Values, String> {
    if given.keys().any(|name| !declared.contains_key(name)) {
        let known: Vec<_> = declared.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(format!("a parameter that the action does not have; it has {known}"));
    }
    let mut values = Values::new();
    for (name, parameter) in declared {
        let value = given.get(name).ok_or_else(|| format!("parameter {name} is missing"))?;
        let value = parameter.check(value).map_err(|what| format!("parameter {name} {what}"))?;
        values.insert(name.clone(), value);
    }
    Ok(values)
}

fn check_choice(text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > CHOICE_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(format!("{text:?} must have 1 to {CHOICE_BYTES_MAX} bytes, and no control characters"));
    }
    Ok(())
}

fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return None,
    };
    let plain = number.bytes().all(|b| b.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| plain)?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parameter(value: serde_json::Value) -> Parameter {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn values_keep_to_their_type_and_range() {
        let choice = parameter(json!({"type": "choice", "one_of": ["web", "$(id)"]}));
        let integer = parameter(json!({"type": "integer", "min": -2, "max": 5}));
        let number = parameter(json!({"type": "number", "min": 0.0, "max": 1.0}));
        let duration = parameter(json!({"type": "duration", "min_s": 10, "max_s": 3600}));
        let yes = parameter(json!({"type": "bool"}));
        for (parameter, given, text) in [
            (&choice, json!("web"), "web"),
            (&choice, json!("$(id)"), "$(id)"),
            (&integer, json!(-2), "-2"),
            (&integer, json!(5), "5"),
            (&number, json!(0.25), "0.25"),
            (&number, json!(1), "1"),
            (&duration, json!("5m"), "300"),
            (&duration, json!(10), "10"),
            (&duration, json!("1h"), "3600"),
            (&yes, json!(true), "true"),
        ] {
            assert_eq!(parameter.check(&given).unwrap().text(), text, "{given}");
        }
        for (parameter, given) in [
            (&choice, json!("web ")),
            (&choice, json!("")),
            (&choice, json!(1)),
            (&choice, json!(["web"])),
            (&integer, json!(6)),
            (&integer, json!(1.5)),
            (&integer, json!("1")),
            (&integer, json!(9_223_372_036_854_775_808_u64)),
            (&number, json!(1.01)),
            (&number, json!(null)),
            (&duration, json!("9s")),
            (&duration, json!("2h")),
            (&duration, json!("+60s")),
            (&duration, json!("60")),
            (&duration, json!("s")),
            (&duration, json!("ß")),
            (&duration, json!("99999999999999999999d")),
            (&duration, json!(-1)),
            (&yes, json!("true")),
            (&yes, json!(1)),
        ] {
            assert!(parameter.check(&given).is_err(), "{given}");
        }
    }

    #[test]
    fn all_are_needed_and_no_others_taken() {
        let declared = BTreeMap::from([("count".to_owned(), Parameter::Integer { min: 1, max: 3 })]);
        let check = |given| check_all(&declared, &serde_json::from_value(given).unwrap());
        assert!(check(json!({"count": 2})).is_ok());
        assert_eq!(check(json!({})).unwrap_err(), "parameter count is missing");
        assert!(check(json!({"count": 4})).unwrap_err().contains("1..=3"));
        let error = check(json!({"count": 2, "; rm -rf /": 1})).unwrap_err();
        assert!(!error.contains("rm"), "{error}");
    }

    #[test]
    fn ranges_that_cannot_be_met_are_named() {
        for bad in [
            json!({"type": "choice", "one_of": []}),
            json!({"type": "choice", "one_of": ["a\nb"]}),
            json!({"type": "integer", "min": 2, "max": 1}),
            json!({"type": "number", "min": 2.0, "max": 1.0}),
            json!({"type": "duration", "min_s": 2, "max_s": 1}),
            json!({"type": "duration", "min_s": 0, "max_s": u64::MAX}),
        ] {
            assert!(parameter(bad.clone()).check_range().is_err(), "{bad}");
        }
        for bad in [json!({"type": "text"}), json!({"type": "bool", "x": 1}), json!({"type": "integer", "min": 1})] {
            assert!(serde_json::from_value::<Parameter>(bad.clone()).is_err(), "{bad}");
        }
        for bad in ["", "A", "1a", "a b", "target", "key", "a-b"] {
            assert!(check_declared(&BTreeMap::from([(bad.to_owned(), Parameter::Bool {})])).is_err(), "{bad:?}");
        }
    }
}
