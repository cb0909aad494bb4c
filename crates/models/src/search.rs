//! MLflow's search grammar: filters and orders over runs, experiments, models and versions.
//!
//! A filter is a row of comparisons with `AND` between them: `metrics.loss < 0.1 AND tags."my key" LIKE 'a%'`. It is read
//! once, names and aliases resolved, and then asked for each item. What MLflow refuses is refused in the same words.
//!
//! As in MLflow's SQL, what an item does not have is unlike anything: `!=` and `NOT IN` do not let it pass either, only
//! `IS NULL` does. Two things differ from kind to kind and are done here so that nobody has to think of them: searches
//! over registered models and versions leave prompts out unless they ask for them, and each kind has its own order and
//! tie-break.
//!
//! Not here: `RLIKE` (answered as not implemented), and tying several `span.` conditions to one and the same span. Where
//! MLflow itself breaks with an internal error (an attribute that logged models do not have, `run_id = ('a')`), the
//! answer here is that the parameter is invalid.

mod clauses;
mod condition;
mod fields;
mod logged;
mod order;
pub(crate) mod pattern;
mod python;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_cases;
mod tokens;

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::Problem;
use condition::Condition;
pub use order::OrderField;

pub(crate) use python::repr;

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Attributes: `run_id`, `run_name`, `user_id`, `status`, `artifact_uri`, and in ms `start_time`, `end_time`.
    Runs,
    /// Attributes: `name`, `experiment_id`, and in ms `creation_time`, `last_update_time`.
    Experiments,
    /// Attributes: `name`, and in ms `last_updated_timestamp` (orders only).
    RegisteredModels,
    /// Attributes: `name`, `version_number`, `run_id`, `source_path`, and in ms `creation_timestamp`,
    /// `last_updated_timestamp` (orders only).
    ModelVersions,
    /// Attributes: `model_id`, `experiment_id`, `name`, `model_type`, `source_run_id`, `status`, `status_message`,
    /// `artifact_location`, `lifecycle_stage`, and in ms `creation_timestamp_ms`, `last_updated_timestamp_ms`.
    LoggedModels,
    /// Attributes: `request_id`, `client_request_id`, `experiment_id`, `status`, and in ms `timestamp_ms`,
    /// `execution_time_ms`, `end_time_ms`. The name is the tag `mlflow.traceName`, the run the metadata
    /// `mlflow.sourceRun`.
    Traces,
}

/// What a field belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// A property of the item itself, see [`Kind`].
    Attribute,
    /// The latest value of a metric. For [`Kind::LoggedModels`] there may be several.
    Metric,
    /// A parameter.
    Param,
    /// A tag.
    Tag,
    /// `name`, `digest` or `context` of any data set that went in.
    Dataset,
    /// A trace's metadata.
    Metadata,
    /// `name`, `type`, `status`, `content` or `attributes.<name>` of any span of a trace.
    Span,
    /// The values of a trace's feedback of this name.
    Feedback,
    /// The values of a trace's expectation of this name.
    Expectation,
    /// `id` of any issue that a trace is linked to.
    Issue,
    /// `version`: any `name/version` of a prompt that a trace is linked to.
    Prompt,
}

/// A value as an item has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Text; compared byte by byte.
    Text(Cow<'a, str>),
    /// A number, not-a-number included.
    Number(f64),
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Cell<'a> {
        Cell::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Cell<'_> {
    fn from(text: String) -> Self {
        Cell::Text(Cow::Owned(text))
    }
}

impl From<f64> for Cell<'_> {
    fn from(number: f64) -> Self {
        Cell::Number(number)
    }
}

impl From<i64> for Cell<'_> {
    fn from(number: i64) -> Self {
        Cell::Number(number as f64)
    }
}

/// Something that can be searched.
pub trait Item {
    /// The value of a field, under the names given at [`Kind`] and [`Group`]. Nothing where it has none.
    fn cell(&self, group: Group, key: &str) -> Option<Cell<'_>>;

    /// All values of a field that may have several: [`Group::Dataset`], [`Group::Span`], [`Group::Feedback`],
    /// [`Group::Expectation`], [`Group::Issue`], [`Group::Prompt`], and [`Group::Metric`] of logged models.
    fn cells(&self, group: Group, key: &str) -> Vec<Cell<'_>> {
        self.cell(group, key).into_iter().collect()
    }

    /// The latest value of a logged model's metric on the data sets of this name and digest.
    fn metric_on(&self, key: &str, _dataset_name: Option<&str>, _dataset_digest: Option<&str>) -> Option<f64> {
        match self.cell(Group::Metric, key)? {
            Cell::Number(number) => Some(number),
            Cell::Text(_) => None,
        }
    }
}

/// Which items to show.
#[derive(Clone, Debug)]
pub struct Filter {
    conditions: Vec<Condition>,
}

impl Filter {
    /// Reads a filter; an empty one lets everything pass, except for prompts where models are searched. Costs time
    /// linear in the text. Errors: MLflow's, code `INVALID_PARAMETER_VALUE`; `NOT_IMPLEMENTED` for `RLIKE`.
    pub fn parse(kind: Kind, text: &str) -> Result<Filter, Problem> {
        let conditions = match kind {
            Kind::LoggedModels => logged::conditions(text)?,
            _ => condition::conditions(kind, text)?,
        };
        Ok(Filter { conditions })
    }

    /// Whether `item` passes.
    pub fn allows(&self, item: &dyn Item) -> bool {
        self.conditions.iter().all(|condition| condition.allows(item))
    }
}

/// Which items come first.
#[derive(Clone, Debug)]
pub struct Order {
    keys: Vec<order::Key>,
}

impl Order {
    /// Reads `order_by`, for example `["metrics.loss ASC", "start_time DESC"]`. None given: the kind's own order. The
    /// kind's tie-break always comes last, so no two items are equal. Errors: MLflow's.
    ///
    /// Logged models are ordered by fields that are objects: see [`Order::of_logged_models`]; here they may be written as
    /// text all the same.
    pub fn parse(kind: Kind, order_by: &[String]) -> Result<Order, Problem> {
        Ok(Order { keys: order::keys(kind, order_by)? })
    }

    /// The order of logged models; metrics may be taken on a data set. Errors: MLflow's.
    pub fn of_logged_models(order_by: &[OrderField]) -> Result<Order, Problem> {
        Ok(Order { keys: logged::order(order_by)? })
    }

    /// Less: `a` comes first. What is missing comes last, whichever the direction, and not-a-number just before it.
    pub fn compare(&self, a: &dyn Item, b: &dyn Item) -> Ordering {
        self.keys.iter().map(|key| key.compare(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}
