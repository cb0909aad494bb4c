//! Fields that may be searched: which names each kind of thing has, and what they may be compared with. The rules and
//! the messages are MLflow's, kind by kind, since they differ.

use super::clauses::Side;
use super::python::{self, Unlisted};
use super::tokens::Part;
use super::{Group, Kind};
use crate::Problem;

pub(super) const NUMERIC: &[&str] = &[">", ">=", "!=", "=", "<", "<="];
pub(super) const PROMPT_TAG: &str = "mlflow.prompt.is_prompt";

const RUNS: &[&str] = &[
    "run_id",
    "run_name",
    "user_id",
    "status",
    "start_time",
    "end_time",
    "artifact_uri",
    "created",
    "Created",
    "run name",
    "Run name",
    "Run Name",
];
const RUNS_ORDER: &[&str] =
    &["run_id", "run_name", "user_id", "status", "start_time", "end_time", "artifact_uri", "created", "Created"];
const EXPERIMENTS: &[&str] = &["name", "experiment_id", "creation_time", "last_update_time"];
const VERSIONS: &[&str] = &["name", "version_number", "run_id", "source_path"];
const VERSIONS_NUMERIC: &[&str] = &["version_number", "creation_timestamp", "last_updated_timestamp"];
pub(super) const VERSIONS_ORDER: &[&str] = &["name", "version_number", "creation_timestamp", "last_updated_timestamp"];
const TRACES: &[&str] = &[
    "request_id",
    "timestamp",
    "timestamp_ms",
    "execution_time",
    "execution_time_ms",
    "end_time",
    "end_time_ms",
    "status",
    "client_request_id",
    "name",
    "run_id",
    "prompt",
    "text",
];
const TRACES_NUMERIC: &[&str] =
    &["timestamp_ms", "timestamp", "execution_time_ms", "execution_time", "end_time_ms", "end_time"];
const TRACES_ORDER: &[&str] = &[
    "experiment_id",
    "timestamp",
    "timestamp_ms",
    "execution_time",
    "execution_time_ms",
    "end_time",
    "end_time_ms",
    "status",
    "request_id",
    "name",
    "run_id",
];
const TRACES_LISTS: &[&str] = &["name", "status", "request_id", "run_id", "client_request_id"];
const DATASETS: &[&str] = &["name", "digest", "context"];

/// A field as it was written: its group and its name before aliases are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub group: Group,
    pub key: String,
}

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Absent,
    Text(String),
    List(Vec<String>),
    Integer(f64),
    Float(f64),
}

/// What a field is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Filter,
    Order,
}

/// The names of attributes that hold numbers.
pub(super) fn numeric_attributes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Runs => &["start_time", "end_time", "created", "Created"],
        Kind::Experiments => &["creation_time", "last_update_time"],
        Kind::RegisteredModels => &[],
        Kind::ModelVersions => VERSIONS_NUMERIC,
        Kind::LoggedModels => &["creation_timestamp_ms", "last_updated_timestamp_ms"],
        Kind::Traces => TRACES_NUMERIC,
    }
}

/// The name under which an item has an attribute.
pub(super) fn canonical(kind: Kind, key: &str) -> &str {
    match (kind, key) {
        (Kind::Runs, "created" | "Created") => "start_time",
        (Kind::Runs, "run name" | "Run name" | "Run Name") => "run_name",
        (Kind::Traces, "timestamp") => "timestamp_ms",
        (Kind::Traces, "execution_time") => "execution_time_ms",
        (Kind::Traces, "end_time") => "end_time_ms",
        _ => key,
    }
}

fn attributes(kind: Kind, used: Use) -> &'static [&'static str] {
    match (kind, used) {
        (Kind::Runs, Use::Filter) => RUNS,
        (Kind::Runs, Use::Order) => RUNS_ORDER,
        (Kind::Experiments, _) => EXPERIMENTS,
        (Kind::RegisteredModels, _) => &["name"],
        (Kind::ModelVersions, Use::Filter) => VERSIONS,
        (Kind::ModelVersions, Use::Order) => VERSIONS_ORDER,
        (Kind::Traces, Use::Filter) => TRACES,
        (Kind::Traces, Use::Order) => TRACES_ORDER,
        (Kind::LoggedModels, _) => &[],
    }
}

/// Reads `tags.key`, `attribute.key` or a bare attribute.
pub(super) fn field(kind: Kind, text: &str, used: Use) -> Result<Field, Problem> {
    let (group, written) = match text.split_once('.') {
        Some((entity, key)) => (group(kind, entity)?, key),
        None => (Group::Attribute, text),
    };
    let key = without_backticks(without_quotes(written));
    // In filters over the registry the name is looked up as it is written, quotes and all.
    let registry = matches!(kind, Kind::RegisteredModels | Kind::ModelVersions) && used == Use::Filter;
    let looked_up = if registry { written } else { key };
    let known = attributes(kind, used);
    if group == Group::Attribute && !known.contains(&looked_up) {
        return Err(unknown("attribute", looked_up, known));
    }
    if group == Group::Dataset && !DATASETS.contains(&key) {
        return Err(unknown("dataset", key, DATASETS));
    }
    Ok(Field { group, key: key.to_owned() })
}

fn unknown(what: &str, key: &str, known: &[&str]) -> Problem {
    Problem::invalid(format!("Invalid {what} key '{key}' specified. Valid keys are '{}'", python::set(known)))
}

fn group(kind: Kind, written: &str) -> Result<Group, Problem> {
    let name = without_backticks(written);
    match kind {
        Kind::Runs => match name {
            "metric" | "metrics" => Ok(Group::Metric),
            "parameter" | "parameters" | "param" | "params" => Ok(Group::Param),
            "tag" | "tags" => Ok(Group::Tag),
            "attribute" | "attributes" | "attr" | "run" => Ok(Group::Attribute),
            "dataset" | "datasets" => Ok(Group::Dataset),
            _ => Err(bad_entity(name, &python::list(&["metric", "parameter", "tag", "attribute", "dataset"]))),
        },
        Kind::Traces => match name {
            "tag" | "tags" => Ok(Group::Tag),
            "attribute" | "attributes" | "trace" => Ok(Group::Attribute),
            "request_metadata" | "metadata" => Ok(Group::Metadata),
            "span" => Ok(Group::Span),
            "feedback" => Ok(Group::Feedback),
            "expectation" => Ok(Group::Expectation),
            "issue" => Ok(Group::Issue),
            _ => {
                let known = [
                    "tag",
                    "tags",
                    "attribute",
                    "attributes",
                    "trace",
                    "request_metadata",
                    "metadata",
                    "span",
                    "feedback",
                    "expectation",
                    "issue",
                ];
                Err(bad_entity(name, &python::set(&known)))
            }
        },
        _ => match written {
            "tag" | "tags" => Ok(Group::Tag),
            "attribute" => Ok(Group::Attribute),
            _ => {
                let known = python::tuple(&["attribute", "tag", "tags"]);
                Err(Problem::invalid(format!("Invalid entity type '{written}'. Valid entity types are {known}")))
            }
        },
    }
}

fn bad_entity(name: &str, known: &str) -> Problem {
    Problem::invalid(format!("Invalid entity type '{name}'. Valid values are {known}"))
}

/// The name of a group in MLflow's messages.
pub(super) fn group_name(group: Group) -> &'static str {
    match group {
        Group::Attribute => "attribute",
        Group::Metric => "metric",
        Group::Param => "parameter",
        Group::Tag => "tag",
        Group::Dataset => "dataset",
        Group::Metadata => "request_metadata",
        Group::Span => "span",
        Group::Feedback => "feedback",
        Group::Expectation => "expectation",
        Group::Issue => "issue",
        Group::Prompt => "prompt",
    }
}

/// Reads the right side of a comparison.
pub(super) fn value(kind: Kind, field: &Field, operator: &str, side: Side<'_>) -> Result<Value, Problem> {
    match field.group {
        Group::Attribute => attribute_value(kind, &field.key, side),
        Group::Metric => number(side)
            .ok_or_else(|| Problem::invalid(format!("Expected numeric value type for metric. Found {}", side.text))),
        Group::Dataset => match side.part {
            Part::Parenthesis => listed(side.text),
            _ => quoted(side, || {
                format!("Expected a quoted string value for dataset attributes. Got value {}", side.text)
            }),
        },
        Group::Tag | Group::Span if kind == Kind::Traces && side.part == Part::Parenthesis => listed(side.text),
        Group::Feedback | Group::Expectation => assessment_value(field.group, operator, side),
        group => quoted(side, || unquoted(group, side.text)),
    }
}

fn attribute_value(kind: Kind, key: &str, side: Side<'_>) -> Result<Value, Problem> {
    let numeric = numeric_attributes(kind).contains(&key);
    let strict = matches!(kind, Kind::Runs | Kind::Experiments);
    if strict && numeric {
        return number(side).ok_or_else(|| {
            Problem::invalid(format!("Expected numeric value type for numeric attribute: {key}. Found {}", side.text))
        });
    }
    if side.part == Part::Parenthesis {
        allows_list(kind, key)?;
        return listed(side.text);
    }
    if let (Kind::ModelVersions | Kind::Traces, Some(number)) = (kind, number(side)) {
        if numeric {
            return Ok(number);
        }
        let known = python::set(numeric_attributes(kind));
        let message = format!("Only the '{known}' attributes support comparison with numeric values.");
        return Err(Problem::invalid(message));
    }
    quoted(side, || match strict {
        true => format!("Expected a quoted string value for attributes. Got value {}", side.text),
        false => {
            format!(
                "Expected a quoted string value or a list of quoted string values for attributes. Got value {}",
                side.text
            )
        }
    })
}

fn allows_list(kind: Kind, key: &str) -> Result<(), Problem> {
    let known: &[&str] = match kind {
        Kind::Runs => &["run_id"],
        Kind::Experiments => &["experiment_id"],
        Kind::RegisteredModels => &["name"],
        Kind::ModelVersions => &["name", "run_id"],
        Kind::Traces => TRACES_LISTS,
        Kind::LoggedModels => return Ok(()),
    };
    if known.contains(&key) {
        return Ok(());
    }
    Err(Problem::invalid(match kind {
        Kind::Traces => {
            let known = python::set(known);
            format!("Only attributes in {known} supports comparison with a list of quoted string values.")
        }
        _ => {
            let known = python::list(known);
            format!("Only {known} attributes support comparison with a list of quoted string values.")
        }
    }))
}

fn assessment_value(group: Group, operator: &str, side: Side<'_>) -> Result<Value, Problem> {
    let name = group_name(group);
    if [">", ">=", "<", "<="].contains(&operator) {
        return number(side).ok_or_else(|| {
            let text = side.text;
            let what =
                format!("Expected a numeric value for {name} when using comparator '{operator}'. Got value {text}");
            Problem::invalid(what)
        });
    }
    quoted(side, || unquoted(group, side.text))
}

fn unquoted(group: Group, text: &str) -> String {
    format!("Expected a quoted string value for {} (e.g. 'my-value'). Got value {text}", group_name(group))
}

fn number(side: Side<'_>) -> Option<Value> {
    let number = side.text.parse().ok()?;
    match side.part {
        Part::Integer => Some(Value::Integer(number)),
        Part::Float => Some(Value::Float(number)),
        _ => None,
    }
}

fn quoted(side: Side<'_>, otherwise: impl Fn() -> String) -> Result<Value, Problem> {
    if !matches!(side.part, Part::Text | Part::Identifier) {
        return Err(Problem::invalid(otherwise()));
    }
    match without_quotes(side.text) {
        inner if inner.len() < side.text.len() => Ok(Value::Text(inner.to_owned())),
        _ => Err(Problem::invalid(format!(
            "Parameter value is either not quoted or unidentified quote types used for string value {}. Use either \
             single or double quotes.",
            side.text
        ))),
    }
}

fn listed(text: &str) -> Result<Value, Problem> {
    python::strings(text).map(Value::List).map_err(|why| {
        Problem::invalid(match why {
            Unlisted::Empty => {
                "While parsing a list in the query, expected a non-empty list of string values, but got empty list".to_owned()
            }
            Unlisted::IllFormed => {
                "While parsing a list in the query, expected a non-empty list of string values, but got ill-formed list."
                    .to_owned()
            }
            Unlisted::Mixed(list) => format!(
                "While parsing a list in the query, expected string value, punctuation, or whitespace, but got different \
                 type in list: {list}"
            ),
        })
    })
}

fn without_quotes(text: &str) -> &str {
    between(text, '\'').or_else(|| between(text, '"')).unwrap_or(text)
}

fn without_backticks(text: &str) -> &str {
    between(text, '`').unwrap_or(text)
}

fn between(text: &str, quote: char) -> Option<&str> {
    text.strip_prefix(quote)?.strip_suffix(quote)
}
