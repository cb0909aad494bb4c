//! Attributes of an object of scikit-learn, with messages that say which one is wrong.

use std::cell::RefCell;

use super::archive::Archive;
use super::node::{Node, Object};
use super::npy::{Array, Data};
use crate::{Label, Matrix, Problem};

/// A file that is being read.
pub(super) struct File<'a> {
    pub(super) archive: RefCell<Archive<'a>>,
}

/// An object within a file.
#[derive(Clone, Copy)]
pub(super) struct Thing<'a> {
    file: &'a File<'a>,
    object: &'a Object,
}

/// A value that an input may have.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Text(String),
    Missing,
}

impl<'a> Thing<'a> {
    /// The object that a node is.
    pub(super) fn new(file: &'a File<'a>, node: &'a Node) -> Result<Thing<'a>, Problem> {
        match node {
            Node::Object(object) => Ok(Thing { file, object }),
            _ => Err(Problem::Unsupported("a step that is no object of scikit-learn".to_owned())),
        }
    }

    /// Another object of the same file.
    pub(super) fn other(&self, node: &'a Node) -> Result<Thing<'a>, Problem> {
        Thing::new(self.file, node)
    }

    /// The name of its class; of one that is not scikit-learn's: with its module.
    pub(super) fn class(&self) -> &'a str {
        &self.object.class
    }

    pub(super) fn is_of(&self, module: &str) -> bool {
        let rest = self.object.module.strip_prefix(module);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    pub(super) fn full_name(&self) -> String {
        format!("{}.{}", self.object.module, self.object.class)
    }

    pub(super) fn loader(&self) -> &'a str {
        &self.object.loader
    }

    pub(super) fn content(&self) -> &'a Node {
        &self.object.content
    }

    /// An attribute; `None` where it is not there or is Python's `None`.
    pub(super) fn get(&self, name: &str) -> Option<&'a Node> {
        let Node::Dict(entries) = &self.object.content else { return None };
        let entry = entries.iter().find(|(key, _)| &**key == name);
        entry.map(|(_, value)| value).filter(|value| **value != Node::Null)
    }

    pub(super) fn need(&self, name: &str) -> Result<&'a Node, Problem> {
        let missing = || Problem::Damaged(format!("{} has no {name}: was it fitted?", self.class()));
        self.get(name).ok_or_else(missing)
    }

    pub(super) fn child(&self, name: &str) -> Result<Thing<'a>, Problem> {
        match self.need(name)? {
            Node::Object(object) => Ok(Thing { file: self.file, object }),
            _ => Err(self.wrong(name, "is no object")),
        }
    }

    pub(super) fn list(&self, name: &str) -> Result<&'a [Node], Problem> {
        match self.need(name)? {
            Node::List(items) => Ok(items),
            _ => Err(self.wrong(name, "is no list")),
        }
    }

    /// A text; `None` where it is not there or something else.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        match self.get(name)? {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn flag(&self, name: &str, otherwise: bool) -> Result<bool, Problem> {
        match self.get(name) {
            None => Ok(otherwise),
            Some(Node::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(name, "is neither true nor false")),
        }
    }

    /// A number, which may be an array of one.
    pub(super) fn number(&self, name: &str) -> Result<f64, Problem> {
        match self.need(name)? {
            Node::Int(value) => Ok(*value as f64),
            Node::Float(value) => Ok(*value),
            Node::Array(_) => match self.floats(name)?[..] {
                [value] => Ok(value),
                _ => Err(self.wrong(name, "is no single number")),
            },
            _ => Err(self.wrong(name, "is no number")),
        }
    }

    /// A whole number from 0.
    pub(super) fn count(&self, name: &str) -> Result<usize, Problem> {
        let number = self.number(name)?;
        if !(0.0..=1e9).contains(&number) || number.fract() != 0.0 {
            return Err(self.wrong(name, "is no count"));
        }
        Ok(number as usize)
    }

    pub(super) fn array(&self, name: &str) -> Result<Array, Problem> {
        self.array_of(self.need(name)?, name)
    }

    /// The array that a node is; `name` is for messages.
    pub(super) fn array_of(&self, node: &Node, name: &str) -> Result<Array, Problem> {
        let Node::Array(member) = node else { return Err(self.wrong(name, "is no array of numbers")) };
        let bytes = self.file.archive.borrow_mut().member(member)?;
        Array::read(&bytes, &format!("{}.{name}", self.class()))
    }

    /// All numbers of an array, or a single number; none of them may be NaN or infinite.
    pub(super) fn floats(&self, name: &str) -> Result<Vec<f64>, Problem> {
        Ok(self.matrix_of(self.need(name)?, name)?.values)
    }

    /// A matrix; an array of one dimension is a row.
    pub(super) fn matrix(&self, name: &str) -> Result<Matrix, Problem> {
        self.matrix_of(self.need(name)?, name)
    }

    pub(super) fn matrix_of(&self, node: &Node, name: &str) -> Result<Matrix, Problem> {
        let matrix = self.raw_matrix(node, name)?;
        match matrix.values.iter().find(|value| !value.is_finite()) {
            None => Ok(matrix),
            Some(value) => Err(Problem::Unsupported(format!("{}.{name} holds {value}", self.class()))),
        }
    }

    /// As [`Thing::matrix_of`], where NaN and infinite numbers may be.
    pub(super) fn raw_matrix(&self, node: &Node, name: &str) -> Result<Matrix, Problem> {
        match node {
            Node::Int(value) => return Ok(Matrix { rows: 1, columns: 1, values: vec![*value as f64] }),
            Node::Float(value) => return Ok(Matrix { rows: 1, columns: 1, values: vec![*value] }),
            _ => {}
        }
        let array = self.array_of(node, name)?;
        let (rows, columns) = match array.shape[..] {
            [] => (1, 1),
            [columns] => (1, columns),
            [rows, columns] => (rows, columns),
            _ => return Err(self.wrong(name, "has more than two dimensions")),
        };
        let values = match array.data {
            Data::Floats(values) => values,
            Data::Ints(values) => values.into_iter().map(|value| value as f64).collect(),
            Data::Bools(values) => values.into_iter().map(f64::from).collect(),
            _ => return Err(self.wrong(name, "holds no numbers")),
        };
        Ok(Matrix { rows, columns, values })
    }

    /// Classes.
    pub(super) fn labels(&self, name: &str) -> Result<Vec<Label>, Problem> {
        let labels: Vec<Label> = match self.need(name)? {
            Node::List(_) => {
                return Err(Problem::Unsupported(format!("{} answers several outputs", self.class())));
            }
            Node::Objects(objects) => {
                let labels = objects.1.iter().map(|node| match node {
                    Node::Int(value) => Ok(Label::Int(*value)),
                    Node::Float(value) => Ok(Label::Float(*value)),
                    Node::Bool(value) => Ok(Label::Bool(*value)),
                    Node::Text(value) => Ok(Label::Text(value.to_string())),
                    _ => Err(self.wrong(name, "holds what is no class")),
                });
                labels.collect::<Result<_, _>>()?
            }
            node => match self.array_of(node, name)?.data {
                Data::Ints(values) => values.into_iter().map(Label::Int).collect(),
                Data::Floats(values) => values.into_iter().map(Label::Float).collect(),
                Data::Bools(values) => values.into_iter().map(Label::Bool).collect(),
                Data::Texts(values) => values.into_iter().map(Label::Text).collect(),
                Data::Records(_) => return Err(self.wrong(name, "holds records")),
            },
        };
        if labels.is_empty() {
            return Err(self.wrong(name, "is empty"));
        }
        Ok(labels)
    }

    /// Values of inputs, from an array of any kind.
    pub(super) fn values(&self, node: &Node, name: &str) -> Result<Vec<Value>, Problem> {
        if let Node::Objects(objects) = node {
            return objects.1.iter().map(|node| self.value(node, name)).collect();
        }
        let number = |value: f64| if value.is_nan() { Value::Missing } else { Value::Number(value) };
        Ok(match self.array_of(node, name)?.data {
            Data::Ints(values) => values.into_iter().map(|value| Value::Number(value as f64)).collect(),
            Data::Floats(values) => values.into_iter().map(number).collect(),
            Data::Bools(values) => values.into_iter().map(|value| Value::Number(f64::from(value))).collect(),
            Data::Texts(values) => values.into_iter().map(Value::Text).collect(),
            Data::Records(_) => return Err(self.wrong(name, "holds records")),
        })
    }

    fn value(&self, node: &Node, name: &str) -> Result<Value, Problem> {
        Ok(match node {
            Node::Null => Value::Missing,
            Node::Float(value) if value.is_nan() => Value::Missing,
            Node::Float(value) => Value::Number(*value),
            Node::Int(value) => Value::Number(*value as f64),
            Node::Bool(value) => Value::Number(f64::from(*value)),
            Node::Text(value) => Value::Text(value.to_string()),
            Node::Array(_) => match &self.values(node, name)?[..] {
                [value] => value.clone(),
                _ => return Err(self.wrong(name, "holds arrays")),
            },
            _ => return Err(self.wrong(name, "holds what is no plain value")),
        })
    }

    /// The names of its inputs, where it knows them.
    pub(super) fn names(&self) -> Result<Option<Vec<String>>, Problem> {
        let Some(node) = self.get("feature_names_in_") else { return Ok(None) };
        let names = self.values(node, "feature_names_in_")?.into_iter().map(|value| match value {
            Value::Text(name) => Ok(name),
            _ => Err(self.wrong("feature_names_in_", "holds what is no name")),
        });
        names.collect::<Result<_, _>>().map(Some)
    }

    /// An attribute of an unexpected form.
    pub(super) fn wrong(&self, name: &str, what: &str) -> Problem {
        Problem::Damaged(format!("{}.{name} {what}", self.class()))
    }

    /// A parameter with a value that is not run here.
    pub(super) fn unsupported(&self, name: &str) -> Problem {
        let value = match self.get(name) {
            None => "None".to_owned(),
            Some(Node::Text(text)) => format!("{text:?}"),
            Some(Node::Object(object)) => format!("{}.{}", object.module, object.class),
            Some(Node::Int(value)) => value.to_string(),
            Some(Node::Float(value)) => value.to_string(),
            Some(Node::Bool(value)) => value.to_string(),
            Some(_) => "what it is".to_owned(),
        };
        Problem::Unsupported(format!("{} with {name} = {value}", self.class()))
    }
}
