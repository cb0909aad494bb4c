//! One SQL engine over memory and sealed files.
//!
//! Only reading statements are let through. Each query runs with a share of one memory pool (it spills to the folder's
//! `tmp` beyond it), a time limit and a limit of rows, each with its name in the error.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray},
    datatypes::{DataType, Float32Type, Float64Type, SchemaRef, TimeUnit, TimestampNanosecondType},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::{
    catalog::{
        CatalogProvider, CatalogProviderList, MemTable, MemoryCatalogProvider, MemoryCatalogProviderList,
        MemorySchemaProvider,
    },
    common::{DataFusionError, tree_node::TreeNodeRecursion},
    execution::{
        SessionState, SessionStateBuilder,
        context::{SQLOptions, SessionContext},
        memory_pool::FairSpillPool,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    logical_expr::{ColumnarValue, Expr, LogicalPlan, Volatility, create_udf},
    prelude::SessionConfig,
};
use futures::StreamExt;
use serde_json::Value;
use types::{Tenant, Time};

use crate::{
    Inner, StoreConfig, StoreError,
    reads::json,
    scan::Quarantine,
    sealed::Signal,
    tables::{JSON_KEY, PARTITIONS, QueryContext, SignalTable, edges_batch},
};

/// One query.
#[derive(Clone, Debug, Default)]
pub struct SqlRequest {
    /// `SELECT …`, `WITH …`, `EXPLAIN …` or `SHOW TABLES`.
    pub query: String,
    /// Only rows of this tenant, whatever the query says; `None`: all, but `_self` only where the query asks for it.
    pub tenant: Option<Tenant>,
    /// Limits.
    pub limits: SqlLimits,
}

/// Limits of one query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqlLimits {
    /// Rows of the answer; more is an error that says so.
    pub rows_max: usize,
    /// Time until the answer is complete.
    pub time_max: Duration,
}

impl Default for SqlLimits {
    fn default() -> SqlLimits {
        SqlLimits { rows_max: 100_000, time_max: Duration::from_secs(30) }
    }
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SqlColumn {
    /// As the query names it.
    pub name: String,
    /// `timestamp`, `double`, `integer`, `text`, `json`, `boolean`, `list` or Arrow's name of the type.
    #[serde(rename = "type")]
    pub kind: String,
}

/// An answer, ready to be written as JSON. Times are RFC 3339 with nanoseconds, labels and attributes JSON objects, and
/// numbers that JSON cannot hold the texts `NaN`, `+Inf` and `-Inf`.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SqlAnswer {
    /// In order.
    pub columns: Vec<SqlColumn>,
    /// One list of cells a row.
    pub rows: Vec<Vec<Value>>,
    /// What the answer lacks: damaged blocks that were left out.
    pub warnings: Vec<String>,
}

/// A longer text is refused before it is parsed.
const QUERY_BYTES_MAX: usize = 256 << 10;

/// The engine's fixed part: settings, functions, memory.
pub(crate) struct Engine {
    state: SessionState,
}

impl Engine {
    pub fn new(config: &StoreConfig) -> Result<Engine, StoreError> {
        let fatal = |e: DataFusionError| StoreError::fatal("the SQL engine could not be set up").with_source(e);
        let temporary = config.dir.join("tmp");
        let runtime: Arc<RuntimeEnv> = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(config.query_memory_bytes)))
            .with_temp_file_path(if config.read_only { std::env::temp_dir() } else { temporary })
            .build_arc()
            .map_err(fatal)?;
        let mut settings = SessionConfig::new()
            .with_target_partitions(PARTITIONS)
            .with_information_schema(true)
            .with_default_catalog_and_schema("bellwether", "public");
        settings.options_mut().sql_parser.enable_ident_normalization = true;
        let state =
            SessionStateBuilder::new().with_config(settings).with_runtime_env(runtime).with_default_features().build();
        Ok(Engine { state })
    }

    fn context(&self) -> SessionContext {
        let catalog = MemoryCatalogProvider::new();
        // Neither can fail: the catalogue is new and in memory.
        let _ = catalog.register_schema("public", Arc::new(MemorySchemaProvider::new()));
        let catalogs = MemoryCatalogProviderList::new();
        let _ = catalogs.register_catalog("bellwether".into(), Arc::new(catalog));
        let state =
            SessionStateBuilder::new_from_existing(self.state.clone()).with_catalog_list(Arc::new(catalogs)).build();
        let context = SessionContext::new_with_state(state);
        context.register_udf(label_function());
        context
    }
}

pub(crate) async fn run(inner: &Arc<Inner>, request: SqlRequest) -> Result<SqlAnswer, StoreError> {
    let limits = request.limits;
    match tokio::time::timeout(limits.time_max, answer(inner, request)).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::limit(format!(
            "the query took longer than time_max = {} s; ask for a shorter time range or fewer series",
            limits.time_max.as_secs_f64()
        ))),
    }
}

async fn answer(inner: &Arc<Inner>, request: SqlRequest) -> Result<SqlAnswer, StoreError> {
    if request.query.len() > QUERY_BYTES_MAX {
        return Err(StoreError::limit(format!("the query is longer than query_bytes_max = {QUERY_BYTES_MAX}")));
    }
    let context = inner.engine.context();
    let quarantine = Arc::new(Quarantine::default());
    let shared = Arc::new(QueryContext {
        inner: inner.clone(),
        snapshot: inner.visible.snapshot(),
        quarantine: quarantine.clone(),
        tenant: request.tenant.clone(),
        hide_self: AtomicBool::new(true),
    });
    for signal in Signal::ALL {
        let table = Arc::new(SignalTable::new(signal, shared.clone()));
        context.register_table(signal.as_str(), table).map_err(from_engine)?;
    }
    let lower = request.query.to_lowercase();
    let wants_edges = ["edges", "show", "information_schema"].iter().any(|word| lower.contains(word));
    if wants_edges {
        register_edges(inner, &context, request.tenant.as_ref(), false).await?;
    }
    let plan = context.state().create_logical_plan(&request.query).await.map_err(from_engine)?;
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)
        .map_err(|_| StoreError::bad_request("only reading is allowed: SELECT, WITH, EXPLAIN and SHOW"))?;
    let hide_self = !mentions_tenant(&plan).map_err(from_engine)?;
    shared.hide_self.store(hide_self, Ordering::Relaxed);
    let plan = if wants_edges && hide_self && request.tenant.is_none() {
        // The plan holds on to its tables, so the edges are read again without those of `_self`.
        register_edges(inner, &context, None, true).await?;
        context.state().create_logical_plan(&request.query).await.map_err(from_engine)?
    } else {
        plan
    };
    let frame = context.execute_logical_plan(plan).await.map_err(from_engine)?;
    let mut stream = frame.execute_stream().await.map_err(from_engine)?;
    let schema = stream.schema();
    let mut rows = Vec::new();
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(from_engine)?;
        if rows.len() + batch.num_rows() > request.limits.rows_max {
            return Err(StoreError::limit(format!(
                "the answer has more than rows_max = {} rows; add LIMIT or aggregate",
                request.limits.rows_max
            )));
        }
        append_rows(&schema, &batch, &mut rows)?;
    }
    let columns = schema.fields().iter().map(|f| SqlColumn {
        name: f.name().clone(),
        kind: type_name(f.data_type(), f.metadata().contains_key(JSON_KEY)),
    });
    Ok(SqlAnswer { columns: columns.collect(), rows, warnings: quarantine.warnings() })
}

/// Whether a filter or join speaks of the column `tenant`.
fn mentions_tenant(plan: &LogicalPlan) -> Result<bool, DataFusionError> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Join(_)) {
            found |= node.expressions().iter().any(|e: &Expr| e.column_refs().iter().any(|c| c.name == "tenant"));
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn from_engine(error: DataFusionError) -> StoreError {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(what) => StoreError::limit(format!(
            "the query needs more memory than query_memory_bytes allows; ask for less at once ({what})"
        )),
        DataFusionError::Internal(_) | DataFusionError::IoError(_) | DataFusionError::External(_) => {
            StoreError::fatal(format!("the query failed: {error}"))
        }
        _ => StoreError::bad_request(error.strip_backtrace()),
    }
}

// ---- cells

fn type_name(kind: &DataType, is_json: bool) -> String {
    match kind {
        _ if is_json => "json".into(),
        DataType::Dictionary(_, values) => type_name(values, false),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".into(),
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => "timestamp".into(),
        DataType::Boolean => "boolean".into(),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "list".into(),
        kind if kind.is_floating() || kind.is_decimal() => "double".into(),
        kind if kind.is_integer() => "integer".into(),
        other => other.to_string().to_lowercase(),
    }
}

fn append_rows(schema: &SchemaRef, batch: &RecordBatch, rows: &mut Vec<Vec<Value>>) -> Result<(), StoreError> {
    let first = rows.len();
    rows.resize_with(first + batch.num_rows(), || Vec::with_capacity(batch.num_columns()));
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let cells = cells(column, field.metadata().contains_key(JSON_KEY))?;
        for (row, cell) in rows[first..].iter_mut().zip(cells) {
            row.push(cell);
        }
    }
    Ok(())
}

fn cells(column: &ArrayRef, is_json: bool) -> Result<Vec<Value>, StoreError> {
    let fatal = |e: arrow::error::ArrowError| StoreError::fatal(format!("a column could not be written: {e}"));
    let n = column.len();
    let each = |cell: &dyn Fn(usize) -> Value| -> Vec<Value> {
        (0..n).map(|i| if column.is_null(i) { Value::Null } else { cell(i) }).collect()
    };
    Ok(match column.data_type() {
        DataType::Null => vec![Value::Null; n],
        DataType::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            let values = cells(dictionary.values(), is_json)?;
            let keys = dictionary.normalized_keys();
            each(&|i| keys.get(i).and_then(|k| values.get(*k)).cloned().unwrap_or(Value::Null))
        }
        DataType::Utf8 if is_json => {
            let texts: &StringArray = column.as_string();
            each(&|i| json(texts.value(i)))
        }
        DataType::Utf8 => {
            let texts: &StringArray = column.as_string();
            each(&|i| texts.value(i).into())
        }
        DataType::LargeUtf8 | DataType::Utf8View => {
            return cells(&arrow::compute::cast(column, &DataType::Utf8).map_err(fatal)?, is_json);
        }
        DataType::Boolean => each(&|i| column.as_boolean().value(i).into()),
        DataType::Float64 => each(&|i| number(column.as_primitive::<Float64Type>().value(i))),
        DataType::Float32 => each(&|i| number(f64::from(column.as_primitive::<Float32Type>().value(i)))),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            let times = column.as_primitive::<TimestampNanosecondType>();
            each(&|i| Time(times.value(i)).rfc3339().into())
        }
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
            let nanoseconds = DataType::Timestamp(TimeUnit::Nanosecond, None);
            return cells(&arrow::compute::cast(column, &nanoseconds).map_err(fatal)?, false);
        }
        DataType::UInt64 => each(&|i| column.as_primitive::<arrow::datatypes::UInt64Type>().value(i).into()),
        kind if kind.is_integer() => {
            let wide = arrow::compute::cast(column, &DataType::Int64).map_err(fatal)?;
            each(&|i| wide.as_primitive::<arrow::datatypes::Int64Type>().value(i).into())
        }
        kind if kind.is_decimal() => {
            return cells(&arrow::compute::cast(column, &DataType::Float64).map_err(fatal)?, false);
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let mut rows = Vec::with_capacity(n);
            for i in 0..n {
                rows.push(if list.is_null(i) { Value::Null } else { cells(&list.value(i), false)?.into() });
            }
            rows
        }
        _ => {
            let options = FormatOptions::default();
            let format = ArrayFormatter::try_new(column, &options).map_err(fatal)?;
            each(&|i| format.value(i).to_string().into())
        }
    })
}

fn number(value: f64) -> Value {
    match serde_json::Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => "NaN".into(),
        None if value > 0.0 => "+Inf".into(),
        None => "-Inf".into(),
    }
}

// ---- functions

/// `label(labels, 'name')`: one entry of a JSON object as text; null where there is none.
fn label_function() -> datafusion::logical_expr::ScalarUDF {
    let body = |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let [objects, names] = &arrays[..] else {
            return Err(DataFusionError::Plan("label takes an object and a name".into()));
        };
        let (objects, names) = (objects.as_string::<i32>(), names.as_string::<i32>());
        let mut last: (&str, Value) = ("", Value::Null);
        let mut out: Vec<Option<String>> = Vec::with_capacity(objects.len());
        for i in 0..objects.len() {
            if objects.is_null(i) || names.is_null(i) {
                out.push(None);
                continue;
            }
            if objects.value(i) != last.0 {
                last = (objects.value(i), json(objects.value(i)));
            }
            out.push(match last.1.get(names.value(i)) {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(other) => Some(other.to_string()),
            });
        }
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(out))))
    };
    create_udf("label", vec![DataType::Utf8, DataType::Utf8], DataType::Utf8, Volatility::Immutable, Arc::new(body))
}

/// Registers the edges as a table of one query.
pub(crate) async fn register_edges(
    inner: &Inner,
    context: &SessionContext,
    tenant: Option<&Tenant>,
    hide_self: bool,
) -> Result<(), StoreError> {
    let mut edges = inner.metadata.edges().await?;
    edges.retain(|e| tenant.map_or(!(hide_self && e.3.is_self()), |t| e.3 == *t));
    let batch = edges_batch(&edges).map_err(from_engine)?;
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(from_engine)?;
    context.deregister_table("edges").map_err(from_engine)?;
    context.register_table("edges", Arc::new(table)).map_err(from_engine)?;
    Ok(())
}
