//! The tables of SQL: what is stored, with names in place of dense ids.

use std::{
    any::Any,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch,
        RecordBatchOptions, StringArray, TimestampNanosecondArray, UInt32Array,
    },
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, UInt8Type, UInt32Type},
};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{DFSchema, DataFusionError, Result, ScalarValue},
    datasource::TableType,
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown},
    physical_plan::{
        ExecutionPlan,
        stream::RecordBatchReceiverStreamBuilder,
        streaming::{PartitionStream, StreamingTableExec},
    },
};
use types::{Registry, SeriesKind, Tenant};

use crate::{
    Inner,
    reads::{SPAN_KINDS, SPAN_STATUSES, id_hex, tenants_of},
    scan::{Quarantine, Scan, Unit, Wanted, marked},
    sealed::{SampleColumns, SampleRows, Signal},
};

/// Partitions of a scan; equal to the engine's `target_partitions`.
pub(crate) const PARTITIONS: usize = 2;
/// Rows of one batch that goes to the query.
const BATCH_ROWS: usize = 32 << 10;
/// Marks columns whose text is JSON.
pub(crate) const JSON_KEY: &str = "bellwether.json";

fn times(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into())), false)
}

fn names(name: &str) -> Field {
    Field::new(name, DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), true)
}

fn json(field: Field) -> Field {
    field.with_metadata(HashMap::from([(JSON_KEY.to_owned(), "1".to_owned())]))
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

/// The columns of a table.
pub(crate) fn table_schema(signal: Signal) -> SchemaRef {
    let fields = match signal {
        Signal::Samples => vec![
            times("time"),
            times("learned"),
            names("metric"),
            names("entity"),
            json(names("labels")),
            Field::new("value", DataType::Float64, false),
            names("tenant"),
            names("kind"),
            names("unit"),
            Field::new("series", DataType::UInt32, false),
        ],
        Signal::Records => vec![
            times("time"),
            times("learned"),
            names("entity"),
            Field::new("severity", DataType::Int32, false),
            text("body"),
            names("template"),
            json(text("attributes")),
            text("trace_id"),
            text("span_id"),
            Field::new("template_id", DataType::UInt32, false),
            json(names("resource")),
            names("tenant"),
        ],
        Signal::Spans => vec![
            times("time"),
            times("learned"),
            names("entity"),
            text("name"),
            names("kind"),
            Field::new("duration_ns", DataType::Int64, false),
            names("status"),
            text("trace_id"),
            text("span_id"),
            text("parent_span_id"),
            json(text("attributes")),
            json(names("resource")),
            names("tenant"),
        ],
        Signal::Events => {
            vec![
                times("time"),
                times("learned"),
                names("entity"),
                text("kind"),
                json(text("attributes")),
                names("tenant"),
            ]
        }
    };
    Arc::new(Schema::new(fields))
}

/// What all tables of one query share.
pub(crate) struct QueryContext {
    pub inner: Arc<Inner>,
    pub snapshot: crate::hot::Snapshot,
    pub quarantine: Arc<Quarantine>,
    /// Only this tenant, whatever the query says.
    pub tenant: Option<Tenant>,
    /// The query says nothing of `tenant`, so `_self` stays out.
    pub hide_self: AtomicBool,
}

/// One of the four signals as a table.
pub(crate) struct SignalTable {
    signal: Signal,
    schema: SchemaRef,
    context: Arc<QueryContext>,
}

impl SignalTable {
    pub fn new(signal: Signal, context: Arc<QueryContext>) -> SignalTable {
        SignalTable { signal, schema: table_schema(signal), context }
    }
}

impl std::fmt::Debug for SignalTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.signal.as_str())
    }
}

#[async_trait]
impl TableProvider for SignalTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(projection) => Arc::new(self.schema.project(projection)?),
            None => self.schema.clone(),
        };
        let wanted = self.wanted(state, filters)?;
        let context = self.context.clone();
        let (signal, columns) = (self.signal, schema.clone());
        let plan = tokio::task::spawn_blocking(move || plan(signal, wanted, &context, columns));
        let plan = plan.await.map_err(|e| DataFusionError::External(Box::new(e)))??;
        let plan = Arc::new(plan);
        let partition = || -> Arc<dyn PartitionStream> { Arc::new(ScanPart { plan: plan.clone() }) };
        let partitions = (0..PARTITIONS.min(plan.units.len().max(1))).map(|_| partition()).collect();
        Ok(Arc::new(StreamingTableExec::try_new(schema, partitions, None, None, false, None)?))
    }
}

impl SignalTable {
    /// Takes from the filters what leaves work out: time, tenant, and whatever speaks only of a series or an entity.
    fn wanted(&self, state: &dyn Session, filters: &[Expr]) -> Result<Wanted> {
        let mut wanted = Wanted::default();
        for filter in filters {
            narrow_time(filter, &mut wanted);
        }
        let mut tenants = tenants_of(&self.context.snapshot);
        if let Some(only) = &self.context.tenant {
            tenants.retain(|t| t == only);
        } else if self.context.hide_self.load(Ordering::Relaxed) {
            tenants.retain(|t| !t.is_self());
        }
        let array: ArrayRef = Arc::new(StringArray::from_iter_values(tenants.iter().map(|t| t.as_str())));
        if let Some(keep) = self.evaluate(state, filters, &[("tenant", array)])? {
            let mut at = 0;
            tenants.retain(|_| {
                at += 1;
                keep[at - 1]
            });
        }
        wanted.tenants = Some(tenants);
        let registry = self.context.inner.directory.read();
        if self.signal == Signal::Samples {
            wanted.series = self.evaluate_series(state, filters, &registry)?;
        } else {
            let array = StringArray::from_iter_values(registry.entities().iter().map(|e| e.as_str()));
            wanted.entities = self.evaluate(state, filters, &[("entity", Arc::new(array))])?;
        }
        Ok(wanted)
    }

    fn evaluate_series(&self, state: &dyn Session, filters: &[Expr], registry: &Registry) -> Result<Option<Vec<bool>>> {
        const COLUMNS: [&str; 7] = ["metric", "entity", "labels", "tenant", "kind", "unit", "series"];
        let usable: Vec<&Expr> = filters.iter().filter(|f| speaks_only_of(f, &COLUMNS)).collect();
        if usable.is_empty() {
            return Ok(None);
        }
        let needed = |name: &str| usable.iter().any(|f| f.column_refs().iter().any(|c| c.name == name));
        let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
        for name in COLUMNS.into_iter().filter(|n| needed(n)) {
            let all = registry.all_series();
            let column: ArrayRef = match name {
                "series" => Arc::new(UInt32Array::from_iter_values(0..all.len() as u32)),
                _ => Arc::new(StringArray::from_iter_values(all.iter().map(|def| match name {
                    "metric" => std::borrow::Cow::Borrowed(&*def.metric),
                    "entity" => registry.entity_id(def.entity).map_or("", |e| e.as_str()).into(),
                    "labels" => def.labels.to_json().into(),
                    "tenant" => def.tenant.as_str().into(),
                    "kind" => kind_name(def.kind).into(),
                    _ => std::borrow::Cow::Borrowed(&*def.unit),
                }))),
            };
            columns.push((name, column));
        }
        self.evaluate(state, filters, &columns)
    }

    /// Which rows of `columns` pass all filters that speak only of them; `None` where no filter does.
    fn evaluate(
        &self,
        state: &dyn Session,
        filters: &[Expr],
        columns: &[(&str, ArrayRef)],
    ) -> Result<Option<Vec<bool>>> {
        let known: Vec<&str> = columns.iter().map(|(n, _)| *n).collect();
        let usable: Vec<&Expr> = filters.iter().filter(|f| speaks_only_of(f, &known)).collect();
        if usable.is_empty() {
            return Ok(None);
        }
        let mut fields = Vec::new();
        let mut arrays = Vec::new();
        for (name, array) in columns {
            let field = self.schema.field_with_name(name)?.clone();
            arrays.push(arrow::compute::cast(array, field.data_type())?);
            fields.push(field);
        }
        let schema = Arc::new(Schema::new(fields));
        let rows = RecordBatch::try_new(schema.clone(), arrays)?;
        let df_schema = DFSchema::try_from(schema)?;
        let mut keep = vec![true; rows.num_rows()];
        for filter in usable {
            let plain = unqualified(filter.clone())?;
            let passes = state.create_physical_expr(plain, &df_schema)?.evaluate(&rows)?.into_array(rows.num_rows())?;
            let passes: &BooleanArray = passes
                .as_boolean_opt()
                .ok_or_else(|| DataFusionError::Internal("a filter did not give true or false".into()))?;
            for (i, keep) in keep.iter_mut().enumerate() {
                *keep &= passes.is_valid(i) && passes.value(i);
            }
        }
        Ok(Some(keep))
    }
}

fn speaks_only_of(filter: &Expr, columns: &[&str]) -> bool {
    let refs = filter.column_refs();
    !refs.is_empty() && refs.iter().all(|c| columns.contains(&c.name.as_str())) && !filter.is_volatile()
}

fn unqualified(expr: Expr) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let strip = |e: Expr| match e {
        Expr::Column(c) => Ok(Transformed::yes(Expr::Column(datafusion::common::Column::new_unqualified(c.name)))),
        e => Ok(Transformed::no(e)),
    };
    Ok(expr.transform(strip)?.data)
}

fn narrow_time(filter: &Expr, wanted: &mut Wanted) {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            narrow_time(left, wanted);
            narrow_time(right, wanted);
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (column, literal, op) = match (&**left, &**right) {
                (Expr::Column(c), literal) => (c, literal, *op),
                (literal, Expr::Column(c)) => match op.swap() {
                    Some(op) => (c, literal, op),
                    None => return,
                },
                _ => return,
            };
            let Some(value) = nanoseconds(literal).filter(|_| column.name == "time") else { return };
            match op {
                Operator::Gt => wanted.from = wanted.from.max(value.saturating_add(1)),
                Operator::GtEq => wanted.from = wanted.from.max(value),
                Operator::Lt => wanted.to = wanted.to.min(value.saturating_sub(1)),
                Operator::LtEq => wanted.to = wanted.to.min(value),
                Operator::Eq => {
                    wanted.from = wanted.from.max(value);
                    wanted.to = wanted.to.min(value);
                }
                _ => {}
            }
        }
        Expr::Between(between) if !between.negated => {
            let is_time = matches!(&*between.expr, Expr::Column(c) if c.name == "time");
            if let (true, Some(low), Some(high)) = (is_time, nanoseconds(&between.low), nanoseconds(&between.high)) {
                wanted.from = wanted.from.max(low);
                wanted.to = wanted.to.min(high);
            }
        }
        _ => {}
    }
}

fn nanoseconds(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::TimestampNanosecond(value, _), _) => *value,
        _ => None,
    }
}

/// A scan with its units and the names it needs, shared by its partitions.
struct ScanPlan {
    scan: Scan,
    units: Vec<Unit>,
    next: AtomicUsize,
    schema: SchemaRef,
    names: Names,
}

fn plan(signal: Signal, wanted: Wanted, context: &QueryContext, schema: SchemaRef) -> Result<ScanPlan> {
    let registry = context.inner.directory.read();
    let names = Names::new(&registry, signal, &schema, &wanted);
    let scan = Scan::new(signal, wanted, context.snapshot.clone(), &registry, context.quarantine.clone());
    drop(registry);
    let units = scan.units();
    Ok(ScanPlan { scan, units, next: AtomicUsize::new(0), schema, names })
}

#[derive(Clone)]
struct ScanPart {
    plan: Arc<ScanPlan>,
}

impl std::fmt::Debug for ScanPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} units)", self.plan.scan.signal.as_str(), self.plan.units.len())
    }
}

impl PartitionStream for ScanPart {
    fn schema(&self) -> &SchemaRef {
        &self.plan.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.plan.schema.clone(), 2);
        let sender = builder.tx();
        let plan = self.plan.clone();
        builder.spawn_blocking(move || {
            while let Some(unit) = plan.units.get(plan.next.fetch_add(1, Ordering::Relaxed)) {
                for batch in plan.unit(unit)? {
                    let mut at = 0;
                    while at < batch.num_rows() {
                        let rows = BATCH_ROWS.min(batch.num_rows() - at);
                        // The query is over or was dropped.
                        if sender.blocking_send(Ok(batch.slice(at, rows))).is_err() {
                            return Ok(());
                        }
                        at += rows;
                    }
                }
            }
            Ok(())
        });
        builder.build()
    }
}

impl ScanPlan {
    fn unit(&self, unit: &Unit) -> Result<Vec<RecordBatch>> {
        if self.schema.fields().is_empty()
            && let Some(rows) = self.scan.known_rows(unit)
        {
            return Ok(vec![self.batch(Vec::new(), rows)?]);
        }
        if self.scan.signal == Signal::Samples {
            return Ok(vec![self.samples(unit)?]);
        }
        let columns = self.stored_columns();
        let rows = self.scan.rows(unit, &columns).map_err(|e| DataFusionError::External(Box::new(e)))?;
        rows.iter().map(|(tenant, batch)| self.rows(tenant, batch)).collect()
    }

    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }

    fn has(&self, column: &str) -> bool {
        self.schema.column_with_name(column).is_some()
    }

    fn samples(&self, unit: &Unit) -> Result<RecordBatch> {
        let need = SampleColumns { learned: self.has("learned"), value: self.has("value") };
        let SampleRows { series, time, learned, value } = self.scan.samples(unit, need);
        let rows = series.len();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        let (mut time, mut learned, mut value) = (Some(time), Some(learned), Some(value));
        for field in self.schema.fields() {
            columns.push(match field.name().as_str() {
                "time" => timestamps(time.take().unwrap_or_default()),
                "learned" => timestamps(learned.take().unwrap_or_default()),
                "value" => Arc::new(Float64Array::from(value.take().unwrap_or_default())),
                "series" => Arc::new(UInt32Array::from(series.clone())),
                name => self.names.of_series(name, &series)?,
            });
        }
        self.batch(columns, rows)
    }

    /// Stored columns that the projected ones are made of.
    fn stored_columns(&self) -> Vec<&'static str> {
        let mut columns: Vec<&'static str> = Vec::new();
        for field in self.schema.fields() {
            let stored = match field.name().as_str() {
                "time" => "time",
                "learned" => "learned",
                "entity" => "entity",
                "severity" => "severity",
                "body" => "body",
                "template" | "template_id" => "template",
                "attributes" => "attributes",
                "trace_id" => "trace_id",
                "span_id" => "span_id",
                "parent_span_id" => "parent_span_id",
                "resource" => "resource",
                "name" => "name",
                "kind" => "kind",
                "duration_ns" => "duration_ns",
                "status" => "status",
                _ => continue,
            };
            if !columns.contains(&stored) {
                columns.push(stored);
            }
        }
        columns
    }

    fn rows(&self, tenant: &Tenant, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            let name = field.name().as_str();
            let stored = |name: &str| {
                let missing = || DataFusionError::Internal(format!("no stored column {name}"));
                batch.column_by_name(name).ok_or_else(missing)
            };
            let ids =
                |name: &str| Ok::<_, DataFusionError>(stored(name)?.as_primitive::<UInt32Type>().values().to_vec());
            columns.push(match name {
                "time" | "learned" => timestamps(stored(name)?.as_primitive::<Int64Type>().values().to_vec()),
                "tenant" => one_name(tenant.as_str(), rows)?,
                "entity" => self.names.keyed(&self.names.entities, &ids("entity")?)?,
                "resource" => self.names.keyed(&self.names.resources, &ids("resource")?)?,
                "template" => self.names.keyed(&self.names.templates, &ids("template")?)?,
                "template_id" => stored("template")?.clone(),
                "severity" => arrow::compute::cast(stored(name)?, &DataType::Int32)?,
                "trace_id" | "span_id" | "parent_span_id" => {
                    let column = stored(name)?.as_fixed_size_binary();
                    Arc::new(StringArray::from_iter((0..rows).map(|i| id_hex(column.value(i)))))
                }
                "kind" if self.scan.signal == Signal::Spans => byte_names(stored(name)?, &SPAN_KINDS)?,
                "status" => byte_names(stored(name)?, &SPAN_STATUSES)?,
                _ => stored(name)?.clone(),
            });
        }
        self.batch(columns, rows)
    }
}

fn timestamps(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::from(values).with_timezone("+00:00"))
}

fn one_name(name: &str, rows: usize) -> Result<ArrayRef> {
    let keys = Int32Array::from(vec![0; rows]);
    Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(StringArray::from(vec![name])))?))
}

fn byte_names(column: &ArrayRef, names: &[&str]) -> Result<ArrayRef> {
    let bytes = column.as_primitive::<UInt8Type>().values();
    let keys = bytes.iter().map(|b| if (*b as usize) < names.len() { i32::from(*b) } else { 0 });
    let values = Arc::new(StringArray::from(names.to_vec()));
    Ok(Arc::new(DictionaryArray::try_new(Int32Array::from_iter_values(keys), values)?))
}

pub(crate) fn kind_name(kind: SeriesKind) -> &'static str {
    match kind {
        SeriesKind::Gauge => "gauge",
        SeriesKind::Counter => "counter",
        SeriesKind::Delta => "delta",
        SeriesKind::Derived => "derived",
    }
}

/// Names behind dense ids, only those that the query shows. All batches share them, so that the query compares keys.
#[derive(Default)]
struct Names {
    entities: Option<Arc<StringArray>>,
    resources: Option<Arc<StringArray>>,
    templates: Option<Arc<StringArray>>,
    /// For each name shown of a series: key by series, and the values.
    series: HashMap<String, (Vec<i32>, Arc<StringArray>)>,
}

impl Names {
    fn new(registry: &Registry, signal: Signal, schema: &Schema, wanted: &Wanted) -> Names {
        let has = |name: &str| schema.column_with_name(name).is_some();
        let mut names = Names::default();
        if signal == Signal::Samples {
            for name in ["metric", "entity", "labels", "tenant", "kind", "unit"].into_iter().filter(|n| has(n)) {
                names.series.insert(name.to_owned(), series_names(registry, name, wanted));
            }
            return names;
        }
        if has("entity") {
            let all = registry.entities().iter().map(|e| e.as_str());
            names.entities = Some(Arc::new(StringArray::from_iter_values(all)));
        }
        if has("resource") {
            let all = registry.resources().iter().map(|r| r.attributes.to_json());
            names.resources = Some(Arc::new(StringArray::from_iter_values(all)));
        }
        if has("template") {
            let mut all: Vec<&str> = registry.templates().iter().map(|t| &*t.text).collect();
            if all.is_empty() {
                all.push("");
            }
            names.templates = Some(Arc::new(StringArray::from(all)));
        }
        names
    }

    fn of_series(&self, name: &str, series: &[u32]) -> Result<ArrayRef> {
        let missing = || DataFusionError::Internal(format!("no column {name}"));
        let (key_of, values) = self.series.get(name).ok_or_else(missing)?;
        let keys = series.iter().map(|s| key_of.get(*s as usize).copied().filter(|k| *k >= 0));
        Ok(Arc::new(DictionaryArray::try_new(Int32Array::from_iter(keys), values.clone())?))
    }

    /// Names by dense id; an id without one is null.
    fn keyed(&self, values: &Option<Arc<StringArray>>, ids: &[u32]) -> Result<ArrayRef> {
        let values = values.clone().unwrap_or_else(|| Arc::new(StringArray::from(vec![""])));
        let known = values.len() as u32;
        let keys = ids.iter().map(|id| (*id < known).then_some(*id as i32));
        Ok(Arc::new(DictionaryArray::try_new(Int32Array::from_iter(keys), values)?))
    }
}

fn series_names(registry: &Registry, name: &str, wanted: &Wanted) -> (Vec<i32>, Arc<StringArray>) {
    let all = registry.all_series();
    let shown = |id: usize| wanted.series.as_ref().is_none_or(|marks| marked(marks, id as u32));
    let mut keys = vec![-1; all.len()];
    if name == "labels" {
        let mut values = Vec::new();
        for (id, def) in all.iter().enumerate().filter(|(id, _)| shown(*id)) {
            keys[id] = values.len() as i32;
            values.push(def.labels.to_json());
        }
        return (keys, Arc::new(StringArray::from(values)));
    }
    let mut key_of: HashMap<&str, i32> = HashMap::new();
    let mut values: Vec<&str> = Vec::new();
    for (id, def) in all.iter().enumerate().filter(|(id, _)| shown(*id)) {
        let value: &str = match name {
            "metric" => &def.metric,
            "entity" => registry.entity_id(def.entity).map_or("", |e| e.as_str()),
            "tenant" => def.tenant.as_str(),
            "kind" => kind_name(def.kind),
            _ => &def.unit,
        };
        keys[id] = *key_of.entry(value).or_insert_with(|| {
            values.push(value);
            values.len() as i32 - 1
        });
    }
    (keys, Arc::new(StringArray::from(values)))
}

/// The table of edges, built when the query starts.
pub(crate) fn edges_batch(
    edges: &[(types::EntityId, types::EntityId, types::EdgeKind, Tenant, types::Edge)],
) -> Result<RecordBatch> {
    let column =
        |f: &dyn Fn(usize) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..edges.len()).map(f))) };
    let schema = Arc::new(Schema::new(vec![
        text("source"),
        text("target"),
        text("kind"),
        times("first_seen"),
        times("last_seen"),
        Field::new("count", DataType::Int64, false),
        text("tenant"),
    ]));
    let columns = vec![
        column(&|i| edges[i].0.to_string()),
        column(&|i| edges[i].1.to_string()),
        column(&|i| edges[i].2.as_str().to_owned()),
        timestamps(edges.iter().map(|e| e.4.first_seen.0).collect()),
        timestamps(edges.iter().map(|e| e.4.last_seen.0).collect()),
        Arc::new(Int64Array::from_iter_values(edges.iter().map(|e| e.4.count as i64))),
        column(&|i| edges[i].3.as_str().to_owned()),
    ];
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// Keeps `Any` in scope for downcasts by DataFusion.
const _: fn(&SignalTable) -> &dyn Any = |table| table;
