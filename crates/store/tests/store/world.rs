//! A folder and batches to fill it with.

use std::path::{Path, PathBuf};

use bellwether_store::{SqlAnswer, SqlRequest, Store, StoreConfig};
use serde_json::Value;
use types::{
    Batch, Directory, EntityId, LabelSet, ResourceDef, SECOND, SeriesDef, SeriesId, SeriesKind, TemplateDef,
    TemplateId, Tenant, Time,
};

/// 2026-11-23T10:00:00Z.
pub const START: i64 = 1_795_428_000 * SECOND;

pub struct Folder {
    pub temp: tempfile::TempDir,
}

impl Folder {
    pub fn new() -> Folder {
        Folder { temp: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.temp.path()
    }

    pub fn config(&self) -> StoreConfig {
        StoreConfig { upkeep: false, reserve_bytes: 64 << 10, ..StoreConfig::new(self.path()) }
    }

    pub async fn open(&self) -> Store {
        Store::open(self.config()).await.unwrap()
    }

    /// All files below a sub-folder with this extension, in order.
    pub fn files(&self, under: &str, extension: &str) -> Vec<PathBuf> {
        let mut folders = vec![self.path().join(under)];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else if entry.path().extension().is_some_and(|e| e == extension) {
                    found.push(entry.path());
                }
            }
        }
        found.sort();
        found
    }
}

/// A copy of a folder that can be damaged.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The id of `metric{host}` of `service:shop/<service>`.
pub fn series(directory: &Directory, tenant: &Tenant, metric: &str, service: &str, host: &str) -> SeriesId {
    let mut registry = directory.write();
    let entity = registry.entity(&EntityId::new("service", "shop", service));
    registry.series(SeriesDef {
        tenant: tenant.clone(),
        metric: metric.into(),
        entity,
        labels: LabelSet::pack(&mut vec![("host", host)]),
        kind: SeriesKind::Counter,
        unit: "s".into(),
    })
}

/// Samples of `series` metrics at one time; the value of series i at step s is `s + i / 64`, so that sums are exact in any order.
pub fn sample_batch(store: &Store, series_count: usize, step: i64) -> Batch {
    let tenant = Tenant::default();
    let mut batch = Batch { tenant: tenant.clone(), ..Batch::default() };
    for i in 0..series_count {
        let id = series(
            store.directory(),
            &tenant,
            ["cpu_seconds_total", "requests_total"][i % 2],
            ["cart", "payments"][i % 2],
            &format!("h{i}"),
        );
        batch.samples.push(id, START + step * 15 * SECOND, step as f64 + i as f64 / 64.0);
    }
    batch
}

/// Three records, two spans and an event at one time.
pub fn text_batch(store: &Store, step: i64) -> Batch {
    let tenant = Tenant::default();
    let mut batch = Batch { tenant: tenant.clone(), ..Batch::default() };
    let mut registry = store.directory().write();
    let entity = registry.entity(&EntityId::new("service", "shop", "cart"));
    let attributes = LabelSet::pack(&mut vec![("service.name", "cart"), ("service.version", "1.2")]);
    let resource = registry.resource(ResourceDef { tenant, entity, attributes });
    registry.template(TemplateDef { id: TemplateId(1), text: "order <*> placed".into() });
    drop(registry);
    let time = START + step * SECOND;
    for i in 0..3u8 {
        let records = &mut batch.records;
        records.time.push(time + i64::from(i));
        records.resource.push(resource);
        records.entity.push(entity);
        records.severity.push(9 + 4 * i);
        records.template.push(TemplateId(u32::from(i == 0)));
        records.body.push(&format!("order {step}-{i} placed"));
        records.attributes.push(if i == 0 { r#"{"thread":"w-1","n":3}"# } else { "" });
        records.trace_id.push([(step as u8).wrapping_add(1); 16]);
        records.span_id.push([i; 8]);
    }
    for i in 0..2u8 {
        let spans = &mut batch.spans;
        spans.time.push(time + i64::from(i));
        spans.duration_ns.push(1000 * i64::from(i + 1));
        spans.resource.push(resource);
        spans.entity.push(entity);
        spans.name.push("GET /cart");
        spans.kind.push(2 + i);
        spans.status.push(2 * i);
        spans.trace_id.push([(step as u8).wrapping_add(1); 16]);
        spans.span_id.push([i + 1; 8]);
        spans.parent_span_id.push([i; 8]);
        spans.attributes.push(r#"{"http.route":"/cart"}"#);
    }
    batch.events.push(time, entity, "change.deployment", r#"{"version":"2"}"#);
    batch
}

pub async fn sql(store: &Store, query: &str) -> SqlAnswer {
    let request = SqlRequest { query: query.into(), ..SqlRequest::default() };
    store.sql(request).await.unwrap_or_else(|e| panic!("{query}: {e}"))
}

/// The only cell of an answer as a number.
pub async fn number(store: &Store, query: &str) -> f64 {
    let answer = sql(store, query).await;
    match &answer.rows[0][0] {
        Value::Number(n) => n.as_f64().unwrap(),
        other => panic!("{query}: {other}"),
    }
}

pub fn at(step: i64) -> Time {
    Time(START + step * 15 * SECOND)
}

/// The same numbers at every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}
