//! Logged models: MLflow reads their filters and orders by rules of their own.

use super::clauses::{Clause, Fault, Side, clauses};
use super::condition::{Condition, Test};
use super::fields::{self, Value};
use super::order::{Key, OrderField};
use super::python::Unlisted;
use super::{Group, Kind, python};
use crate::Problem;

const ATTRIBUTES: &[&str] = &[
    "model_id",
    "experiment_id",
    "name",
    "artifact_location",
    "creation_timestamp_ms",
    "last_updated_timestamp_ms",
    "status",
    "lifecycle_stage",
    "model_type",
    "source_run_id",
    "status_message",
];
const TEXT: &[&str] = &["=", "!=", "LIKE", "ILIKE", "IN", "NOT IN"];

/// The conditions of a filter.
pub(super) fn conditions(text: &str) -> Result<Vec<Condition>, Problem> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let bad = |why: &str| Problem::invalid(format!("Invalid filter string: {}. {why}", python::repr(text)));
    let clauses = clauses(text, false).map_err(|fault| match fault {
        Fault::TooMuch(why) => bad(&format!("SQLParseError('{why}')")),
        Fault::Nothing | Fault::Several => bad("Expected a single SQL expression."),
    })?;
    let mut conditions = Vec::new();
    for clause in clauses {
        match clause {
            Clause::And => {}
            Clause::Comparison { left, operator, right: Some(right), .. } => {
                conditions.push(condition(left.text, operator, right)?);
            }
            Clause::Comparison { left, operator, .. } => {
                let shown = format!("{}{operator}", left.text);
                let message = format!("Invalid comparison: {shown}. Expected a comparison with 3 tokens.");
                return Err(Problem::invalid(message));
            }
            Clause::Other(_) => {
                return Err(bad(
                    "Expected a list of comparisons separated by 'AND' (e.g. 'metrics.loss > 0.1 AND params.lr = \
                                0.01').",
                ));
            }
        }
    }
    // Whether there is such an attribute shows only once all of it is read.
    let strange =
        |condition: &&Condition| condition.group == Group::Attribute && !ATTRIBUTES.contains(&condition.key.as_str());
    match conditions.iter().find(strange) {
        Some(Condition { key, .. }) => Err(Problem::invalid(format!(
            "Invalid attribute key '{key}' specified. Valid keys are '{}'",
            python::set(ATTRIBUTES)
        ))),
        None => Ok(conditions),
    }
}

fn condition(left: &str, operator: &str, right: Side<'_>) -> Result<Condition, Problem> {
    let (group, written) = field(left)?;
    let operator = operator.to_uppercase();
    let key = if group == Group::Attribute { alias(written) } else { written };
    let numeric = group == Group::Metric || fields::numeric_attributes(Kind::LoggedModels).contains(&key);
    let operators = if numeric { NUMERIC } else { TEXT };
    if !operators.contains(&operator.as_str()) {
        let name = match group {
            Group::Attribute => "attributes",
            Group::Metric => "metrics",
            Group::Param => "params",
            _ => "tags",
        };
        return Err(Problem::invalid(format!(
            "Invalid comparison operator for {name}.{key}: {}. Expected one of {}.",
            python::repr(&operator),
            python::tuple(operators)
        )));
    }
    let test =
        if numeric { Test::of_number(&operator, number(right.text)?, false) } else { text_test(&operator, right)? };
    Ok(Condition { group, key: key.to_owned(), several: group == Group::Metric, test })
}

/// Operators for numbers, in the order in which MLflow shows them here.
const NUMERIC: &[&str] = &["<", "<=", ">", ">=", "=", "!="];

fn field(text: &str) -> Result<(Group, &str), Problem> {
    let dotted = text.split_once('.').filter(|(entity, key)| {
        !entity.is_empty() && !key.is_empty() && entity.bytes().all(|byte| byte.is_ascii_lowercase())
    });
    let Some((entity, key)) = dotted else { return Ok((Group::Attribute, text.trim_matches('`'))) };
    let group = match entity {
        "attributes" => Group::Attribute,
        "metrics" => Group::Metric,
        "params" => Group::Param,
        "tags" => Group::Tag,
        _ => {
            let known = python::list(&["attributes", "metrics", "params", "tags"]);
            return Err(Problem::invalid(format!(
                "Invalid entity type: {}. Expected one of {known}.",
                python::repr(entity)
            )));
        }
    };
    Ok((group, key.trim_matches('`')))
}

fn alias(key: &str) -> &str {
    match key {
        "creation_time" | "creation_timestamp" => "creation_timestamp_ms",
        "last_updated_timestamp" => "last_updated_timestamp_ms",
        _ => key,
    }
}

fn number(text: &str) -> Result<f64, Problem> {
    let plain = text.trim().replace('_', "");
    plain.parse().map_err(|_| Problem::invalid(format!("could not convert string to float: {}", python::repr(text))))
}

fn text_test(operator: &str, right: Side<'_>) -> Result<Test, Problem> {
    if !(right.text.starts_with('(') && right.text.ends_with(')')) {
        // Only single quotes are quotes here.
        return Test::of_text(operator, Value::Text(right.text.trim_matches('\'').to_owned()));
    }
    let list = match python::strings(right.text) {
        Ok(list) => list,
        Err(Unlisted::Empty) => Vec::new(),
        Err(_) => {
            let message = format!("Expected a list of quoted string values. Got value {}", right.text);
            return Err(Problem::invalid(message));
        }
    };
    Test::of_text(operator, Value::List(list))
}

/// The order: the fields given, then the newest, then by id.
pub(super) fn order(order_by: &[OrderField]) -> Result<Vec<Key>, Problem> {
    let mut keys = order_by.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    for (name, ascending) in [("creation_timestamp_ms", false), ("model_id", true)] {
        if !keys.iter().any(|key| key.group == Group::Attribute && key.key == name) {
            keys.push(Key::attribute(name, ascending));
        }
    }
    Ok(keys)
}

fn key(field: &OrderField) -> Result<Key, Problem> {
    let name = field.field_name.as_str();
    let Some((entity, metric)) = name.split_once('.') else {
        let key = alias(name);
        if !ATTRIBUTES.contains(&key) {
            return Err(Problem::invalid(format!("Invalid order by field name: {name}")));
        }
        return Ok(Key::attribute(key, field.ascending));
    };
    if entity != "metrics" {
        let message = format!("Invalid order by field name: {name}. Only metrics are supported.");
        return Err(Problem::invalid(message));
    }
    let dataset = Some((field.dataset_name.clone(), field.dataset_digest.clone()));
    Ok(Key { group: Group::Metric, key: metric.to_owned(), ascending: field.ascending, numbered: false, dataset })
}
