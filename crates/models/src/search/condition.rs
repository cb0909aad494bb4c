//! Conditions: what a comparison of a filter asks of an item.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::clauses::{Clause, Fault, Side, clauses};
use super::fields::{self, Field, NUMERIC, Use, Value};
use super::pattern::Pattern;
use super::tokens::Part;
use super::{Cell, Group, Item, Kind, python};
use crate::{Code, Problem};

/// One comparison, names resolved.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub group: Group,
    pub key: String,
    /// Whether an item may have several values, one of which is enough.
    pub several: bool,
    pub test: Test,
}

/// What is asked of a value.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Number {
        operator: Operator,
        value: f64,
        nan_differs: bool,
    },
    Equal(String),
    Unequal(String),
    Like(Pattern),
    In(HashSet<String>),
    NotIn(HashSet<String>),
    Missing,
    Present,
    /// No value, or another one than this.
    NotEvenPresent(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    Unequal,
}

impl Condition {
    pub(super) fn allows(&self, item: &dyn Item) -> bool {
        if self.several {
            let cells = item.cells(self.group, &self.key);
            return match &self.test {
                Test::Missing => cells.is_empty(),
                test => cells.iter().any(|cell| test.passes(cell)),
            };
        }
        match (item.cell(self.group, &self.key), &self.test) {
            (None, test) => matches!(test, Test::Missing | Test::NotEvenPresent(_)),
            (Some(cell), test) => test.passes(&cell),
        }
    }
}

impl Test {
    /// A test of text. `operator` is in upper case and one of those that text may be compared with.
    pub(super) fn of_text(operator: &str, value: Value) -> Result<Test, Problem> {
        match (operator, value) {
            ("IS NULL", _) => Ok(Test::Missing),
            ("IS NOT NULL", _) => Ok(Test::Present),
            ("=", Value::Text(text)) => Ok(Test::Equal(text)),
            ("!=", Value::Text(text)) => Ok(Test::Unequal(text)),
            ("LIKE", Value::Text(text)) => Ok(Test::Like(Pattern::new(&text, false))),
            ("ILIKE", Value::Text(text)) => Ok(Test::Like(Pattern::new(&text, true))),
            ("IN", Value::List(list)) => Ok(Test::In(list.into_iter().collect())),
            ("NOT IN", Value::List(list)) => Ok(Test::NotIn(list.into_iter().collect())),
            ("RLIKE", _) => Err(Problem {
                code: Code::NotImplemented,
                message: "RLIKE is not supported here. Use LIKE or ILIKE instead.".to_owned(),
            }),
            (_, Value::List(_)) => {
                Err(Problem::invalid(format!("Comparator '{operator}' does not take a list of values.")))
            }
            _ => Err(Problem::invalid(format!("Comparator '{operator}' needs a list of quoted string values."))),
        }
    }

    /// A test of numbers. `operator` is one of `fields::NUMERIC`.
    pub(super) fn of_number(operator: &str, value: f64, nan_differs: bool) -> Test {
        let operator = match operator {
            "<" => Operator::Less,
            "<=" => Operator::LessOrEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterOrEqual,
            "!=" => Operator::Unequal,
            _ => Operator::Equal,
        };
        Test::Number { operator, value, nan_differs }
    }

    fn passes(&self, cell: &Cell<'_>) -> bool {
        if let Test::Number { operator, value, nan_differs } = self {
            let number = match cell {
                Cell::Number(number) => *number,
                Cell::Text(text) => text.trim().parse().unwrap_or(f64::NAN),
            };
            return match number.partial_cmp(value) {
                Some(order) => operator.holds(order),
                None => *nan_differs && *operator == Operator::Unequal,
            };
        }
        match cell {
            Cell::Text(text) => self.passes_text(text),
            Cell::Number(number) => self.passes_text(&number.to_string()),
        }
    }

    fn passes_text(&self, text: &str) -> bool {
        match self {
            Test::Equal(wanted) => text == wanted,
            Test::Unequal(other) | Test::NotEvenPresent(other) => text != other,
            Test::Like(pattern) => pattern.matches(text),
            Test::In(list) => list.contains(text),
            Test::NotIn(list) => !list.contains(text),
            Test::Present => true,
            Test::Missing | Test::Number { .. } => false,
        }
    }
}

impl Operator {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterOrEqual => order.is_ge(),
            Operator::Equal => order.is_eq(),
            Operator::Unequal => order.is_ne(),
        }
    }
}

/// A comparison as written, its field and value read.
struct Said {
    field: Field,
    operator: String,
    value: Value,
}

/// The conditions of a filter over anything but logged models.
pub(super) fn conditions(kind: Kind, text: &str) -> Result<Vec<Condition>, Problem> {
    // All of it is read before any of it is judged: so MLflow's errors come in the same order.
    let said = if text.is_empty() { Vec::new() } else { said(kind, text)? };
    match kind {
        Kind::RegisteredModels | Kind::ModelVersions => without_prompts(kind, said),
        _ => said.into_iter().map(|said| meant(kind, said)).collect(),
    }
}

fn said(kind: Kind, text: &str) -> Result<Vec<Said>, Problem> {
    let clauses = clauses(text, kind == Kind::Traces).map_err(|fault| {
        Problem::invalid(match fault {
            Fault::TooMuch(_) => format!("Error on parsing filter '{text}'"),
            Fault::Nothing => format!("Invalid filter '{text}'. Could not be parsed."),
            Fault::Several => format!(
                "Search filter contained multiple expression {}. Provide AND-ed expression list.",
                python::repr(text)
            ),
        })
    })?;
    let quote = if matches!(kind, Kind::Runs | Kind::Traces) { "'" } else { "" };
    let strange: Vec<String> = clauses
        .iter()
        .filter_map(|clause| match clause {
            Clause::Other(text) => Some(format!("{quote}{text}{quote}")),
            _ => None,
        })
        .collect();
    if !strange.is_empty() {
        return Err(Problem::invalid(format!("Invalid clause(s) in filter string: {}", strange.join(", "))));
    }
    let comparisons = clauses.into_iter().filter_map(|clause| match clause {
        Clause::Comparison { left, operator, right, pieces: 2 | 3 } => Some(comparison(kind, left, operator, right)),
        Clause::Comparison { pieces, .. } => {
            Some(Err(Problem::invalid(format!("Invalid comparison clause. Expected 3 tokens found {pieces}"))))
        }
        _ => None,
    });
    comparisons.collect()
}

fn comparison(kind: Kind, left: Side<'_>, operator: &str, right: Option<Side<'_>>) -> Result<Said, Problem> {
    let by_timestamp = kind == Kind::Traces && left.part == Part::Builtin;
    if left.part != Part::Identifier && !by_timestamp {
        return Err(Problem::invalid(format!(
            "Invalid comparison clause. Expected 'Identifier' found '{}'",
            left.text
        )));
    }
    let registry = matches!(kind, Kind::RegisteredModels | Kind::ModelVersions);
    let Some(right) = right else {
        if registry {
            return Err(Problem::invalid("Invalid comparison clause. Expected 3 tokens found 2"));
        }
        let field = fields::field(kind, left.text, Use::Filter)?;
        may_be_missing(kind, &field)?;
        return Ok(Said { field, operator: operator.to_owned(), value: Value::Absent });
    };
    let field = fields::field(kind, left.text, Use::Filter)?;
    let value = fields::value(kind, &field, operator, right)?;
    if field.group == Group::Span {
        check_span(&field.key, operator)?;
    }
    let operator = if registry { operator.to_uppercase() } else { operator.to_owned() };
    Ok(Said { field, operator, value })
}

fn may_be_missing(kind: Kind, field: &Field) -> Result<(), Problem> {
    let Field { group, key } = field;
    match (kind, group) {
        (Kind::Traces, _) | (_, Group::Tag) | (Kind::Runs, Group::Param) => Ok(()),
        (Kind::Experiments, _) => Err(Problem::invalid(format!(
            "IS NULL / IS NOT NULL is only supported for tags, not for attribute '{key}'"
        ))),
        _ => Err(Problem::invalid(format!(
            "IS NULL / IS NOT NULL is only supported for tags and params, not for '{}' '{key}'",
            fields::group_name(*group)
        ))),
    }
}

/// Judges a comparison: whether this field may be compared like this.
fn meant(kind: Kind, said: Said) -> Result<Condition, Problem> {
    match kind {
        Kind::Runs => run_condition(said),
        Kind::Experiments => experiment_condition(said),
        Kind::RegisteredModels | Kind::ModelVersions => registry_condition(kind, said),
        Kind::Traces | Kind::LoggedModels => trace_condition(said),
    }
}

const TEXT: &[&str] = &["!=", "=", "LIKE", "ILIKE"];
const TEXT_OR_NULL: &[&str] = &["!=", "=", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL"];
const TEXT_OR_LIST: &[&str] = &["!=", "=", "LIKE", "ILIKE", "IN", "NOT IN"];
const TRACE_TEXT: &[&str] = &["!=", "=", "LIKE", "ILIKE", "RLIKE", "IS NULL", "IS NOT NULL"];
const TRACE_TEXT_OR_LIST: &[&str] = &["!=", "=", "IN", "NOT IN", "LIKE", "ILIKE", "RLIKE"];
const ASSESSMENT: &[&str] = &["!=", "=", ">", ">=", "<", "<=", "LIKE", "ILIKE", "RLIKE", "IS NULL", "IS NOT NULL"];

/// Refuses an operator that is not among the `known`; `shown` and `end` are what MLflow's message shows, which is not
/// always the same.
fn one_of(operator: &str, known: &[&str], shown: &[&str], end: &str) -> Result<(), Problem> {
    if known.contains(&operator) {
        return Ok(());
    }
    Err(Problem::invalid(format!("Invalid comparator '{operator}' not one of '{}{end}", python::set(shown))))
}

fn run_condition(said: Said) -> Result<Condition, Problem> {
    let Said { field: Field { group, key }, operator, value } = said;
    let operator = operator.to_uppercase();
    let key = match group {
        Group::Attribute => fields::canonical(Kind::Runs, &key).to_owned(),
        _ => key,
    };
    let numeric = group == Group::Attribute && fields::numeric_attributes(Kind::Runs).contains(&key.as_str());
    match group {
        Group::Attribute if numeric => one_of(&operator, NUMERIC, TEXT_OR_LIST, "")?,
        Group::Attribute => one_of(&operator, TEXT_OR_LIST, TEXT_OR_LIST, "'")?,
        Group::Metric => one_of(&operator, NUMERIC, NUMERIC, "")?,
        Group::Param => one_of(&operator, TEXT_OR_NULL, TEXT_OR_NULL, "'")?,
        Group::Dataset => one_of(&operator, TEXT_OR_LIST, TEXT_OR_LIST, "")?,
        _ => one_of(&operator, TEXT_OR_NULL, TEXT_OR_NULL, "")?,
    }
    let test = match value {
        // A metric that is not a number is unlike any number; a missing time is unlike nothing.
        Value::Integer(number) | Value::Float(number) => Test::of_number(&operator, number, group == Group::Metric),
        value => Test::of_text(&operator, value)?,
    };
    Ok(Condition { group, key, several: group == Group::Dataset, test })
}

fn experiment_condition(said: Said) -> Result<Condition, Problem> {
    let Said { field: Field { group, key }, operator, value } = said;
    let invalid = |what: &str| Err(Problem::invalid(format!("Invalid comparator for {what}: {operator}")));
    if group == Group::Tag {
        if !TEXT_OR_NULL.contains(&operator.as_str()) {
            return invalid("tag");
        }
        return Ok(Condition { group, key, several: false, test: Test::of_text(&operator, value)? });
    }
    let test = match value {
        value if key == "experiment_id" => {
            if !["=", "!=", "IN", "NOT IN"].contains(&operator.as_str()) {
                return invalid("experiment_id");
            }
            Test::of_text(&operator, experiment_ids(value)?)?
        }
        Value::Integer(number) => {
            one_of(&operator, NUMERIC, TEXT_OR_LIST, "")?;
            Test::of_number(&operator, number, false)
        }
        Value::Float(number) => {
            one_of(&operator, NUMERIC, TEXT_OR_LIST, "")?;
            return Err(bad_number(&key, &format!("'{number:?}'")));
        }
        value => {
            one_of(&operator, TEXT_OR_LIST, TEXT_OR_LIST, "'")?;
            if !TEXT.contains(&operator.as_str()) {
                return invalid("string attribute");
            }
            Test::of_text(&operator, value)?
        }
    };
    Ok(Condition { group, key, several: false, test })
}

fn bad_number(key: &str, shown: &str) -> Problem {
    Problem::invalid(format!("Invalid value for numeric attribute '{key}': {shown}"))
}

/// Experiments are numbered; their numbers may be written with blanks, signs and leading zeros.
fn experiment_ids(value: Value) -> Result<Value, Problem> {
    let read = |text: String| match text.trim().parse::<i128>() {
        Ok(number) => Ok(number.to_string()),
        Err(_) => {
            Err(Problem::invalid(format!("Invalid experiment ID '{text}'. Experiment ID must be a valid integer.")))
        }
    };
    Ok(match value {
        Value::Text(text) => Value::Text(read(text)?),
        Value::List(list) => Value::List(list.into_iter().map(read).collect::<Result<_, _>>()?),
        other => other,
    })
}

/// Models and versions without those that are prompts, unless these are asked for: then only what is asked for.
fn without_prompts(kind: Kind, said: Vec<Said>) -> Result<Vec<Condition>, Problem> {
    let about_prompts = |said: &Said| said.field.group == Group::Tag && said.field.key == fields::PROMPT_TAG;
    let wanted = said.iter().find(|said| about_prompts(said)).is_some_and(|said| match &said.value {
        Value::Text(text) => {
            let text = text.to_lowercase();
            (said.operator == "=" && text == "true") || (said.operator == "!=" && text == "false")
        }
        _ => false,
    });
    let mut conditions = Vec::new();
    for said in said {
        let dropped = about_prompts(&said) && !wanted;
        let condition = meant(kind, said)?;
        if !dropped {
            conditions.push(condition);
        }
    }
    if !wanted {
        let test = Test::NotEvenPresent("true".to_owned());
        conditions.push(Condition { group: Group::Tag, key: fields::PROMPT_TAG.to_owned(), several: false, test });
    }
    Ok(conditions)
}

fn registry_condition(kind: Kind, said: Said) -> Result<Condition, Problem> {
    let Said { field: Field { group, key }, operator, value } = said;
    let invalid = |what: &str| Err(Problem::invalid(format!("Invalid comparator for {what}: {operator}")));
    if group == Group::Attribute && fields::numeric_attributes(kind).contains(&key.as_str()) {
        if !NUMERIC.contains(&operator.as_str()) {
            return invalid(&format!("attribute {key}"));
        }
        let number = match value {
            Value::Integer(number) => number,
            Value::Float(number) => return Err(bad_number(&key, &format!("{number:?}"))),
            Value::Text(text) => match text.trim().parse::<i128>() {
                Ok(number) => number as f64,
                Err(_) => return Err(bad_number(&key, &python::repr(&text))),
            },
            _ => return Err(bad_number(&key, "None")),
        };
        return Ok(Condition { group, key, several: false, test: Test::of_number(&operator, number, false) });
    }
    match group {
        Group::Attribute if !TEXT_OR_LIST.contains(&operator.as_str()) => return invalid("attribute"),
        Group::Tag if !TEXT.contains(&operator.as_str()) => return invalid("tag"),
        _ => {}
    }
    Ok(Condition { group, key, several: false, test: Test::of_text(&operator, value)? })
}

fn trace_condition(said: Said) -> Result<Condition, Problem> {
    let Said { field, operator, value } = said;
    let operator = operator.to_uppercase();
    let Field { group, mut key } = trace_field(field);
    match group {
        Group::Issue => check_issue(&key, &operator)?,
        Group::Attribute if fields::numeric_attributes(Kind::Traces).contains(&key.as_str()) => {
            one_of(&operator, NUMERIC, TRACE_TEXT_OR_LIST, "")?;
            let number = match value {
                Value::Integer(number) | Value::Float(number) => number,
                Value::Text(text) => text.trim().parse().unwrap_or(f64::NAN),
                _ => f64::NAN,
            };
            return Ok(Condition { group, key, several: false, test: Test::of_number(&operator, number, false) });
        }
        Group::Attribute => one_of(&operator, TRACE_TEXT_OR_LIST, TRACE_TEXT_OR_LIST, "'")?,
        Group::Metadata => one_of(&operator, TRACE_TEXT, TRACE_TEXT, "'")?,
        Group::Span => {
            check_span(&key, &operator)?;
            if let Some(name) = key.strip_prefix("attributes.`").and_then(|name| name.strip_suffix('`')) {
                key = format!("attributes.{name}");
            }
        }
        Group::Feedback | Group::Expectation => check_assessment(&key, &operator)?,
        _ => one_of(&operator, TRACE_TEXT, TRACE_TEXT, "")?,
    }
    if group == Group::Tag && key == "mlflow.linkedPrompts" {
        return prompt_condition(&operator, value);
    }
    // A trace may be linked to runs beside the one in which it was made.
    let is_run = group == Group::Metadata && key == "mlflow.sourceRun";
    let several = is_run || !matches!(group, Group::Attribute | Group::Tag | Group::Metadata);
    let test = match value {
        Value::Integer(number) | Value::Float(number) => Test::of_number(&operator, number, false),
        value => Test::of_text(&operator, value)?,
    };
    Ok(Condition { group, key, several, test })
}

/// Where a trace keeps what a filter calls by a short name. MLflow does this for any group but spans.
pub(super) fn trace_field(field: Field) -> Field {
    if field.group == Group::Span {
        return field;
    }
    let at = |group, key: &str| Field { group, key: key.to_owned() };
    match field.key.to_lowercase().as_str() {
        "name" => at(Group::Tag, "mlflow.traceName"),
        "prompt" => at(Group::Tag, "mlflow.linkedPrompts"),
        "run_id" => at(Group::Metadata, "mlflow.sourceRun"),
        "text" => at(Group::Span, "content"),
        short => match fields::canonical(Kind::Traces, short) {
            long if long != short => at(field.group, long),
            _ => field,
        },
    }
}

fn check_span(key: &str, operator: &str) -> Result<(), Problem> {
    let known = match key {
        "attributes." => return Err(Problem::invalid("Span attribute name cannot be empty after 'attributes.'")),
        "content" => &["LIKE", "ILIKE"],
        "name" | "type" | "status" => TRACE_TEXT_OR_LIST,
        _ if key.starts_with("attributes.") => TRACE_TEXT_OR_LIST,
        _ => {
            return Err(Problem::invalid(format!(
                "Invalid span attribute '{key}'. Supported attributes: name, status, type, attributes.<attribute_name>."
            )));
        }
    };
    if known.contains(&operator) {
        return Ok(());
    }
    Err(Problem::invalid(format!("span.{key} comparator '{operator}' not one of '{}'", python::set(known))))
}

fn check_assessment(key: &str, operator: &str) -> Result<(), Problem> {
    if key.is_empty() {
        return Err(Problem::invalid("Assessment field name cannot be empty"));
    }
    if ASSESSMENT.contains(&operator) {
        return Ok(());
    }
    let known = python::set(ASSESSMENT);
    Err(Problem::invalid(format!("assessment.{key} comparator '{operator}' not one of '{known}'")))
}

fn check_issue(key: &str, operator: &str) -> Result<(), Problem> {
    match (key, operator) {
        ("id", "=") => Ok(()),
        ("id", _) => Err(Problem::invalid(format!("issue.id comparator '{operator}' not one of '{{'='}}'"))),
        _ => Err(Problem::invalid(format!("Invalid issue attribute '{key}'. Supported attributes: id"))),
    }
}

fn prompt_condition(operator: &str, value: Value) -> Result<Condition, Problem> {
    if operator != "=" {
        return Err(Problem::invalid(format!(
            "Invalid comparator '{operator}' for prompts filter. Only '=' is supported with format: prompt = \
             \"name/version\""
        )));
    }
    let text = match value {
        Value::Text(text) => text,
        _ => String::new(),
    };
    if text.matches('/').count() != 1 {
        return Err(Problem::invalid(format!(
            "Invalid prompts filter value '{text}'. Expected format: prompt = \"name/version\""
        )));
    }
    Ok(Condition { group: Group::Prompt, key: "version".to_owned(), several: true, test: Test::Equal(text) })
}
