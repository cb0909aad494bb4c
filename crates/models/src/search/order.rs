//! Orders: `order_by` read, with each kind's own order and tie-break.

use std::cmp::Ordering;

use super::clauses::{Fault, parts};
use super::fields::{self, Field, Use};
use super::tokens::Part;
use super::{Cell, Group, Item, Kind, condition, logged, python};
use crate::{Code, Problem};

/// A field by which logged models are ordered, as it comes in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderField {
    /// An attribute, or `metrics.` and a name.
    pub field_name: String,
    /// Smallest first.
    pub ascending: bool,
    /// Only a metric's values on data sets of this name.
    pub dataset_name: Option<String>,
    /// Only a metric's values on data sets of this digest; needs a name.
    pub dataset_digest: Option<String>,
}

/// One field to compare two items by.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub group: Group,
    pub key: String,
    pub ascending: bool,
    /// Whether text is a whole number, to be compared as one.
    pub numbered: bool,
    /// For metrics of logged models.
    pub dataset: Option<(Option<String>, Option<String>)>,
}

impl Key {
    pub(super) fn attribute(key: &str, ascending: bool) -> Key {
        Key { group: Group::Attribute, key: key.to_owned(), ascending, numbered: false, dataset: None }
    }

    pub(super) fn compare(&self, a: &dyn Item, b: &dyn Item) -> Ordering {
        let (a, b) = (self.cell(a), self.cell(b));
        let (rank_a, rank_b) = (rank(a.as_ref()), rank(b.as_ref()));
        rank_a.cmp(&rank_b).then_with(|| match (a, b) {
            (Some(a), Some(b)) if rank_a == 0 => {
                let order = if self.numbered { by_number(&a, &b) } else { by_value(&a, &b) };
                if self.ascending { order } else { order.reverse() }
            }
            _ => Ordering::Equal,
        })
    }

    fn cell<'a>(&self, item: &'a dyn Item) -> Option<Cell<'a>> {
        match &self.dataset {
            Some((name, digest)) => item.metric_on(&self.key, name.as_deref(), digest.as_deref()).map(Cell::Number),
            None => item.cell(self.group, &self.key),
        }
    }
}

/// Values first, then not-a-number, then what is missing.
fn rank(cell: Option<&Cell<'_>>) -> u8 {
    match cell {
        Some(Cell::Number(number)) if number.is_nan() => 1,
        Some(_) => 0,
        None => 2,
    }
}

fn by_value(a: &Cell<'_>, b: &Cell<'_>) -> Ordering {
    match (a, b) {
        (Cell::Number(a), Cell::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        (Cell::Number(_), Cell::Text(_)) => Ordering::Less,
        (Cell::Text(_), Cell::Number(_)) => Ordering::Greater,
    }
}

/// Experiments are numbered, maybe beyond what a float holds exactly, so their ids come as text.
fn by_number(a: &Cell<'_>, b: &Cell<'_>) -> Ordering {
    let number = |cell: &Cell<'_>| match cell {
        Cell::Text(text) => text.trim().parse::<i128>().ok(),
        Cell::Number(number) => Some(*number as i128),
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => by_value(a, b),
    }
}

/// Reads `order_by` and adds the tie-break.
pub(super) fn keys(kind: Kind, order_by: &[String]) -> Result<Vec<Key>, Problem> {
    let mut keys: Vec<Key> = Vec::new();
    if kind == Kind::LoggedModels {
        return logged::order(&order_by.iter().map(|text| logged_field(text)).collect::<Result<Vec<_>, _>>()?);
    }
    for text in order_by {
        let (word, ascending) = word_and_direction(text)?;
        let Field { group, key } = field(kind, word.trim())?;
        let twice = keys.iter().any(|known| known.group == group && known.key == key);
        if twice && kind != Kind::Experiments {
            let texts: Vec<&str> = order_by.iter().map(String::as_str).collect();
            let message = format!("`order_by` contains duplicate fields: {}", python::list(&texts));
            return Err(Problem { code: Code::InternalError, message });
        }
        keys.push(Key { group, key, ..Key::attribute("", ascending) });
    }
    let given = !keys.is_empty();
    for (key, ascending) in tie_break(kind, given) {
        if !keys.iter().any(|known| known.group == Group::Attribute && known.key == *key) {
            keys.push(Key::attribute(key, *ascending));
        }
    }
    for key in keys.iter_mut().filter(|key| kind == Kind::Experiments && key.key == "experiment_id") {
        key.numbered = true;
    }
    Ok(keys)
}

/// What decides where nothing else does. `true`: ascending.
fn tie_break(kind: Kind, given: bool) -> &'static [(&'static str, bool)] {
    match (kind, given) {
        (Kind::Runs, _) => &[("start_time", false), ("run_id", true)],
        (Kind::Experiments, true) => &[("experiment_id", false)],
        (Kind::Experiments, false) => &[("creation_time", false), ("experiment_id", true)],
        (Kind::RegisteredModels, _) => &[("name", true)],
        (Kind::ModelVersions, true) => &[("name", true), ("version_number", false)],
        (Kind::ModelVersions, false) => &[("last_updated_timestamp", false), ("name", true), ("version_number", false)],
        (Kind::Traces, _) => &[("timestamp_ms", false), ("request_id", true)],
        (Kind::LoggedModels, _) => &[("creation_timestamp_ms", false), ("model_id", true)],
    }
}

fn field(kind: Kind, word: &str) -> Result<Field, Problem> {
    match kind {
        Kind::RegisteredModels => model_field(word),
        Kind::ModelVersions => {
            let field = fields::field(kind, word, Use::Order)?;
            if field.group == Group::Attribute || fields::VERSIONS_ORDER.contains(&field.key.as_str()) {
                return Ok(Field { group: Group::Attribute, ..field });
            }
            let known = python::set(fields::VERSIONS_ORDER);
            Err(Problem::invalid(format!("Invalid order by key '{}' specified. Valid keys are {known}", field.key)))
        }
        Kind::Experiments => match fields::field(kind, word, Use::Order)? {
            field if field.group == Group::Attribute => Ok(field),
            _ => Err(Problem::invalid("Invalid order_by entity: tag")),
        },
        Kind::Traces => {
            let field = condition::trace_field(fields::field(kind, word, Use::Order)?);
            match field.group {
                Group::Attribute | Group::Tag | Group::Metadata => Ok(field),
                group => Err(bad_group(group)),
            }
        }
        Kind::Runs | Kind::LoggedModels => {
            let field = fields::field(kind, word, Use::Order)?;
            match field.group {
                Group::Dataset => Err(bad_group(field.group)),
                Group::Attribute => Ok(Field { key: fields::canonical(kind, &field.key).to_owned(), ..field }),
                _ => Ok(field),
            }
        }
    }
}

fn bad_group(group: Group) -> Problem {
    Problem::invalid(format!("Invalid identifier type '{}'", fields::group_name(group)))
}

fn model_field(word: &str) -> Result<Field, Problem> {
    let key = match word {
        "name" => "name",
        "timestamp" | "last_updated_timestamp" => "last_updated_timestamp",
        _ => {
            let known = python::set(&["name", "timestamp"]);
            return Err(Problem::invalid(format!("Invalid order by key '{word}' specified. Valid keys are '{known}'")));
        }
    };
    Ok(Field { group: Group::Attribute, key: key.to_owned() })
}

/// The field of `metrics.loss DESC`, and whether it ascends.
fn word_and_direction(text: &str) -> Result<(String, bool), Problem> {
    let unreadable = || Problem::invalid(format!("Invalid order_by clause '{text}'. Could not be parsed."));
    let parts = parts(text).map_err(|fault| match fault {
        Fault::TooMuch(_) => Problem::invalid(format!("Error on parsing order_by clause '{text}'")),
        Fault::Nothing | Fault::Several => unreadable(),
    })?;
    let is_timestamp = |at: usize| parts[at].part == Part::Builtin && parts[at].text == "timestamp";
    let last = parts.len() - 1;
    let word = match parts.as_slice() {
        [only] if only.part == Part::Identifier || is_timestamp(0) => only.text.to_owned(),
        [_, inner @ .., direction]
            if is_timestamp(0)
                && inner.iter().all(|part| part.part == Part::Space)
                && direction.part == Part::Direction =>
        {
            format!("timestamp {}", parts[last].text)
        }
        _ => return Err(unreadable()),
    };
    let words = python::shell_words(&word.replace('`', "\"")).ok_or_else(unreadable)?;
    match words.as_slice() {
        [key, direction] => match direction.to_lowercase().as_str() {
            "asc" => Ok((key.clone(), true)),
            "desc" => Ok((key.clone(), false)),
            _ => Err(Problem::invalid(format!("Invalid ordering key in order_by clause '{text}'."))),
        },
        [] | [_] => Ok((word, true)),
        _ => Err(unreadable()),
    }
}

fn logged_field(text: &str) -> Result<OrderField, Problem> {
    let (field_name, ascending) = word_and_direction(text)?;
    Ok(OrderField {
        field_name: field_name.trim().replace('`', ""),
        ascending,
        dataset_name: None,
        dataset_digest: None,
    })
}
