//! What a request says, checked as MLflow checks it.

use serde_json::{Map, Value};

use crate::{Problem, limits};

/// What is added to sentences about parameters.
const SEE_DOCS: &str = " See the API docs for more information about request parameters.";

/// What a parameter may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// A text.
    Text,
    /// A whole number, or a text that is one.
    Int,
    /// A number, or a text that is one.
    Float,
    /// True or false.
    Bool,
    /// A list.
    List,
    /// A list of texts.
    Texts,
    /// An object.
    Object,
    /// A name of a few, or its number.
    Name,
}

/// A parameter: its name, what it may be, and whether it must be there.
pub(super) type Param = (&'static str, Type, bool);

/// One that must be there.
pub(super) const fn need(name: &'static str, of: Type) -> Param {
    (name, of, true)
}

/// One that may be there.
pub(super) const fn may(name: &'static str, of: Type) -> Param {
    (name, of, false)
}

/// Parameters of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    values: Map<String, Value>,
    /// It came as a query, in which everything is text and what comes twice is a list.
    is_query: bool,
    /// What the path says.
    path: Vec<(&'static str, String)>,
}

impl Said {
    /// From a query string's names and values, in order: of a name that comes more than once there is a list.
    pub fn of_query(pairs: impl IntoIterator<Item = (String, String)>) -> Said {
        let mut values: Map<String, Value> = Map::new();
        for (name, value) in pairs {
            match values.get_mut(&name) {
                None => drop(values.insert(name, value.into())),
                Some(Value::Array(known)) => known.push(value.into()),
                Some(known) => *known = vec![known.take(), value.into()].into(),
            }
        }
        Said { values, is_query: true, ..Said::default() }
    }

    /// From a body. One that is no JSON counts as empty, as at MLflow's server; `None`: it is JSON, and no object.
    pub fn of_body(body: &[u8]) -> Option<Said> {
        let value = match serde_json::from_slice::<Value>(body) {
            Ok(Value::String(twice)) => serde_json::from_str(&twice).unwrap_or_default(),
            Ok(value) => value,
            Err(_) => Value::Null,
        };
        match value {
            Value::Object(values) => Some(Said { values, ..Said::default() }),
            Value::Null => Some(Said::default()),
            _ => None,
        }
    }

    /// The path that a query names.
    pub fn path_said(&self) -> &str {
        self.text("path")
    }

    /// Where letters go, as a webhook says it.
    pub fn url(&self) -> &str {
        self.text("url")
    }

    /// The registered model and the alias that a call names; empty where it does not.
    pub fn model_and_alias(&self) -> (&str, &str) {
        (self.text("name"), self.text("alias"))
    }

    /// The run whose files are asked for, and the path below its root.
    pub fn run_and_path(&self) -> Result<(&str, &str), Problem> {
        self.check(&[need("run_id", Type::Text), may("path", Type::Text), may("page_token", Type::Text)])?;
        Ok((self.text("run_id"), self.text("path")))
    }

    /// The logged model whose files are asked for, and the path below its root.
    pub fn model_and_directory(&self) -> (&str, &str) {
        (self.of_path("model_id"), self.text("artifact_directory_path"))
    }

    /// Adds what a path says.
    pub fn with(mut self, named: impl IntoIterator<Item = (&'static str, String)>) -> Said {
        self.path.extend(named);
        self
    }

    /// What the path says.
    pub(super) fn of_path(&self, name: &str) -> &str {
        self.path.iter().find(|(of, _)| *of == name).map_or("", |(_, value)| value)
    }

    /// Checks parameters, in this order.
    pub(super) fn check(&self, params: &[Param]) -> Result<&Said, Problem> {
        for (name, of, is_needed) in params {
            let value = self.get(name);
            if *is_needed && (value.is_none() || value == Some(&Value::String(String::new()))) {
                return Err(missing(name));
            }
            if let Some(value) = value.filter(|value| !fits(value, *of, self.is_query)) {
                return Err(wrong(name, value));
            }
        }
        Ok(self)
    }

    /// A value that is there and not null. A run's id has two names.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        let there = |name: &str| self.values.get(name).filter(|value| !value.is_null());
        there(name).or_else(|| if name == "run_id" { there("run_uuid") } else { None })
    }

    /// A text; empty where there is none. Of several values of a query the first.
    pub(super) fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Some(Value::Array(several)) => several.first().and_then(Value::as_str).unwrap_or_default(),
            value => value.and_then(Value::as_str).unwrap_or_default(),
        }
    }

    /// A whole number.
    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(int)
    }

    /// A number.
    pub(super) fn float(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(float)
    }

    /// Yes or no.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            Some(Value::Bool(yes)) => Ok(*yes),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(Value::String(text)) if !text.eq_ignore_ascii_case("false") => {
                Err(Problem::invalid(format!("Invalid boolean value: {text}, must be 'true' or 'false'.")))
            }
            _ => Ok(false),
        }
    }

    /// A list; one value of a query is a list of one.
    pub(super) fn list(&self, name: &str) -> &[Value] {
        match self.get(name) {
            Some(Value::Array(list)) => list,
            Some(one) => std::slice::from_ref(one),
            None => &[],
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.list(name).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Names and values of a list of `{"key", "value"}`.
    pub(super) fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, Problem> {
        pairs(name, self.list(name))
    }

    /// One of a few names, or its number; a name that is none of them counts as not said, a number is wrong.
    pub(super) fn name<T: Copy>(&self, name: &str, all: &[(T, &str, i64)]) -> Result<Option<T>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = int(value);
        let is_it = |(_, known, of): &&(T, &str, i64)| value.as_str() == Some(known) || number == Some(*of);
        match (all.iter().find(is_it), number) {
            (None, Some(_)) => Err(wrong(name, value)),
            (found, _) => Ok(found.map(|(of, ..)| *of)),
        }
    }
}

/// Names and values of a list of `{"key", "value"}`.
pub(super) fn pairs(name: &str, list: &[Value]) -> Result<Vec<(String, String)>, Problem> {
    let pair = |(i, entry): (usize, &Value)| {
        let key = match entry.get("key") {
            None | Some(Value::Null) => "",
            Some(Value::String(text)) => text,
            Some(other) => return Err(wrong(&format!("{name}[{i}].key"), other)),
        };
        let value = match entry.get("value") {
            None | Some(Value::Null) => "",
            Some(Value::String(text)) => text,
            Some(other) => return Err(wrong(&format!("{name}[{i}].value"), other)),
        };
        Ok((key.to_owned(), value.to_owned()))
    };
    list.iter().enumerate().map(pair).collect()
}

/// What is there instead of a parameter that must be.
pub(super) fn missing(name: &str) -> Problem {
    Problem::invalid(format!("{}{SEE_DOCS}", limits::missing_value(name).message))
}

/// A parameter of the wrong type.
pub(super) fn wrong(name: &str, value: &Value) -> Problem {
    let of = match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    };
    let hint = format!(" Hint: Value was of type '{of}'.");
    Problem::invalid(format!("{}{SEE_DOCS}", limits::invalid_value(name, value, &hint).message))
}

/// A number above what it may be.
pub(super) fn at_most(name: &str, said: &Said, most: i64) -> Result<(), Problem> {
    match said.get(name).filter(|value| int(value).is_some_and(|n| n > most)) {
        Some(value) => Err(wrong(name, value)),
        None => Ok(()),
    }
}

/// A sentence about a parameter, as MLflow ends it.
pub(super) fn refused(message: String) -> Problem {
    Problem::invalid(message + SEE_DOCS)
}

fn fits(value: &Value, of: Type, is_query: bool) -> bool {
    let is_texts = || value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    match of {
        Type::Text => value.is_string() || (is_query && value.is_array()),
        Type::Int => int(value).is_some(),
        Type::Float => float(value).is_some(),
        Type::Bool => value.is_boolean() || (is_query && value.is_string()),
        Type::List => value.is_array() || is_query,
        Type::Texts => is_texts() || (is_query && value.is_string()),
        Type::Object => value.is_object(),
        Type::Name => value.is_string() || int(value).is_some(),
    }
}

pub(super) fn int(value: &Value) -> Option<i64> {
    let whole = |v: f64| (v.fract() == 0.0 && v.abs() < 9.3e18).then_some(v as i64);
    match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => text.parse().ok().or_else(|| text.parse().ok().and_then(whole)),
        _ => None,
    }
}

pub(super) fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
        Value::String(text) => match text.trim() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            number => number.parse().ok(),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Type::*, *};

    fn body(value: Value) -> Said {
        Said::of_body(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_is_missing_or_of_the_wrong_type_is_said_as_mlflow_says_it() {
        let check = |value: Value| body(value).check(&[need("name", Text), may("step", Int)]).unwrap_err_message();
        assert_eq!(
            check(json!({"name": 123})),
            "Invalid value 123 for parameter 'name' supplied:  Hint: Value was of type 'int'. See the API docs for more \
             information about request parameters."
        );
        let missing = "Missing value for required parameter 'name'. See the API docs for more information about request \
                       parameters.";
        assert_eq!(check(json!({})), missing);
        assert_eq!(check(json!({"name": ""})), missing);
        assert_eq!(check(json!({"name": null})), missing);
        assert!(check(json!({"name": "a", "step": "x"})).contains("Invalid value \"x\" for parameter 'step'"));
        assert_eq!(check(json!({"name": "a", "step": "3"})), "");
        assert_eq!(check(json!({"name": "a", "step": 3.0})), "");
    }

    trait ErrMessage {
        fn unwrap_err_message(&self) -> String;
    }

    impl ErrMessage for Result<&Said, Problem> {
        fn unwrap_err_message(&self) -> String {
            self.as_ref().err().map(|problem| problem.message.clone()).unwrap_or_default()
        }
    }

    #[test]
    fn bodies_that_are_no_objects() {
        for empty in ["", "null", "{", "not json", "\"{}\""] {
            assert_eq!(Said::of_body(empty.as_bytes()), Some(Said::default()), "{empty}");
        }
        assert_eq!(Said::of_body(b"[]"), None);
        assert_eq!(Said::of_body(br#""{\"name\":\"x\"}""#).unwrap().text("name"), "x");
    }

    #[test]
    fn queries_have_the_first_of_a_name_or_all() {
        let pairs = [("a", "1"), ("b", "x"), ("a", "2")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        let said = Said::of_query(pairs);
        assert_eq!(
            (said.text("a"), said.texts("a"), said.texts("b")),
            ("1", vec!["1".into(), "2".into()], vec!["x".into()])
        );
        assert_eq!(said.int("b"), None);
        assert!(said.flag("b").is_err() && !said.flag("c").unwrap());
    }

    #[test]
    fn numbers_may_be_texts_and_names_numbers() {
        let said = body(json!({"a": "NaN", "b": "-Infinity", "c": "1e3", "d": 2, "e": "BOGUS", "f": "1.5"}));
        assert!(said.float("a").unwrap().is_nan());
        assert_eq!((said.float("b"), said.int("c"), said.int("f")), (Some(f64::NEG_INFINITY), Some(1000), None));
        let all = [('x', "ONE", 1), ('y', "TWO", 2)];
        assert_eq!((said.name("d", &all), said.name("e", &all)), (Ok(Some('y')), Ok(None)));
    }
}
