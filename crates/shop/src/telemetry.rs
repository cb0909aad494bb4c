//! The three pipelines of one process: spans, metrics and logs, each sent over OTLP by the OpenTelemetry SDK.
//!
//! All three carry the same resource, which says who speaks. Each pipeline gathers in memory and sends on its own
//! thread; when nobody listens, it drops what does not fit and the service goes on.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use opentelemetry::{
    KeyValue,
    metrics::{Histogram, Meter, MeterProvider as _},
    trace::TracerProvider as _,
};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    logs::{self, BatchLogProcessor, SdkLoggerProvider},
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::{self, BatchSpanProcessor, SdkTracer, SdkTracerProvider},
};
use sqlx::SqlitePool;
use tracing_subscriber::{Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{disk::Folder, process, server::ServiceConfig};

/// How long an export may take before it is given up.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long spans and logs are gathered.
const BATCH_DELAY: Duration = Duration::from_millis(500);
/// How often metrics are read and sent.
const METRICS_EVERY: Duration = Duration::from_secs(2);
/// Histogram borders in seconds; those that the HTTP conventions advise, and finer below 100 ms.
const DURATION_BOUNDS_S: [f64; 16] =
    [0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0];

/// The pipelines of one process.
pub(crate) struct Telemetry {
    spans: SdkTracerProvider,
    metrics: SdkMeterProvider,
    logs: SdkLoggerProvider,
    /// Starts spans.
    pub tracer: SdkTracer,
    /// Makes further instruments.
    pub meter: Meter,
    /// `http.server.request.duration`, in seconds.
    pub served: Histogram<f64>,
    /// `http.client.request.duration`, in seconds.
    pub called: Histogram<f64>,
}

impl Telemetry {
    /// Starts the pipelines for the process that `config` describes; without a collector they go nowhere.
    pub fn start(config: &ServiceConfig) -> Result<Self> {
        let resource = resource(config);
        let (spans, metrics, logs) = match config.otlp_grpc {
            Some(collector) => pipelines(collector, resource).context("cannot set up telemetry")?,
            None => (
                SdkTracerProvider::builder().build(),
                SdkMeterProvider::builder().build(),
                SdkLoggerProvider::builder().build(),
            ),
        };
        let meter = metrics.meter("shop");
        let seconds = |name: &'static str, about: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(about);
            histogram.with_boundaries(DURATION_BOUNDS_S.to_vec()).build()
        };
        let served = seconds("http.server.request.duration", "Duration of HTTP requests served");
        let called = seconds("http.client.request.duration", "Duration of HTTP requests made");
        Ok(Self { tracer: spans.tracer("shop"), spans, metrics, logs, meter, served, called })
    }

    /// Sends what `tracing` events of the shop say to the collector, and warnings to standard error too. Once per
    /// process. The SDK's own complaints go nowhere: about a lost collector they would be many and of no use.
    pub fn take_logs(&self) -> Result<()> {
        let shop = |level| Targets::new().with_target("bellwether_shop", level);
        let to_collector = OpenTelemetryTracingBridge::new(&self.logs).with_filter(shop(tracing::Level::INFO));
        let to_file = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
        let to_file = to_file.with_filter(shop(tracing::Level::WARN));
        tracing_subscriber::registry().with(to_collector).with(to_file).try_init().context("cannot set up logging")
    }

    /// Measures this process: memory and processor.
    pub fn watch_process(&self) {
        self.meter
            .i64_observable_up_down_counter("process.memory.usage")
            .with_unit("By")
            .with_description("Resident memory")
            .with_callback(|to| {
                if let Some(bytes) = process::resident_bytes() {
                    to.observe(bytes as i64, &[]);
                }
            })
            .build();
        self.meter
            .f64_observable_counter("process.cpu.time")
            .with_unit("s")
            .with_description("Processor time")
            .with_callback(|to| {
                if let Some((user, system)) = process::processor_seconds() {
                    to.observe(user, &[KeyValue::new("cpu.mode", "user")]);
                    to.observe(system, &[KeyValue::new("cpu.mode", "system")]);
                }
            })
            .build();
    }

    /// Tells the memory that this process is allowed.
    pub fn watch_memory_limit(&self, limit_bytes: u64) {
        self.meter
            .i64_observable_up_down_counter("process.memory.limit")
            .with_unit("By")
            .with_description("Resident memory allowed")
            .with_callback(move |to| to.observe(limit_bytes as i64, &[]))
            .build();
    }

    /// Measures a folder as the volume that it stands for.
    pub fn watch_folder(&self, folder: &Folder) {
        let name = folder.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mount = KeyValue::new("system.filesystem.mountpoint", format!("/var/lib/shop/{name}"));
        let (watched, at) = (folder.clone(), mount.clone());
        self.meter
            .i64_observable_up_down_counter("system.filesystem.usage")
            .with_unit("By")
            .with_description("Space of the volume by state")
            .with_callback(move |to| {
                let used = watched.used_bytes();
                let free = watched.quota_bytes().saturating_sub(used);
                to.observe(used as i64, &[at.clone(), KeyValue::new("system.filesystem.state", "used")]);
                to.observe(free as i64, &[at.clone(), KeyValue::new("system.filesystem.state", "free")]);
            })
            .build();
        let (watched, at) = (folder.clone(), mount.clone());
        self.meter
            .i64_observable_up_down_counter("system.filesystem.limit")
            .with_unit("By")
            .with_description("Size of the volume")
            .with_callback(move |to| to.observe(watched.quota_bytes() as i64, std::slice::from_ref(&at)))
            .build();
        let (watched, at) = (folder.clone(), mount);
        self.meter
            .f64_observable_gauge("system.filesystem.utilization")
            .with_unit("1")
            .with_description("Share of the volume in use")
            .with_callback(move |to| {
                let ratio = watched.used_bytes() as f64 / watched.quota_bytes().max(1) as f64;
                to.observe(ratio, std::slice::from_ref(&at));
            })
            .build();
    }

    /// Measures a pool of database connections.
    pub fn watch_pool(&self, name: &'static str, pool: &SqlitePool) {
        let (watched, at) = (pool.clone(), KeyValue::new("db.client.connection.pool.name", name));
        self.meter
            .i64_observable_up_down_counter("db.client.connection.count")
            .with_unit("{connection}")
            .with_description("Connections by state")
            .with_callback(move |to| {
                let idle = watched.num_idle() as i64;
                let used = i64::from(watched.size()) - idle;
                to.observe(idle, &[at.clone(), KeyValue::new("db.client.connection.state", "idle")]);
                to.observe(used.max(0), &[at.clone(), KeyValue::new("db.client.connection.state", "used")]);
            })
            .build();
    }

    /// Measures how many pieces of work wait in a queue.
    pub fn watch_queue(&self, name: &'static str, depth: impl Fn() -> usize + Send + Sync + 'static) {
        self.meter
            .i64_observable_up_down_counter("shop.queue.depth")
            .with_unit("{job}")
            .with_description("Jobs waiting")
            .with_callback(move |to| to.observe(depth() as i64, &[KeyValue::new("queue", name)]))
            .build();
    }

    /// Sends what is left and ends the pipelines. The SDK blocks while it does, hence the thread of its own.
    pub async fn stop(&self) {
        let (spans, metrics, logs) = (self.spans.clone(), self.metrics.clone(), self.logs.clone());
        let ended = tokio::task::spawn_blocking(move || {
            // A collector that is gone is no news at this point.
            let _ = spans.shutdown_with_timeout(EXPORT_TIMEOUT);
            let _ = logs.shutdown_with_timeout(EXPORT_TIMEOUT);
            let _ = metrics.shutdown();
        });
        let _ = tokio::time::timeout(EXPORT_TIMEOUT, ended).await;
    }
}

/// Who speaks: the same for all three pipelines.
fn resource(config: &ServiceConfig) -> Resource {
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", config.service.clone()),
            KeyValue::new("service.namespace", "shop"),
            KeyValue::new("service.instance.id", config.instance.clone()),
            KeyValue::new("service.version", config.version.clone()),
            KeyValue::new("host.name", process::host_name()),
        ])
        .build()
}

fn pipelines(collector: SocketAddr, of: Resource) -> Result<(SdkTracerProvider, SdkMeterProvider, SdkLoggerProvider)> {
    let endpoint = format!("http://{collector}");
    let spans = SpanExporter::builder().with_tonic().with_endpoint(&endpoint).with_timeout(EXPORT_TIMEOUT).build()?;
    let metrics =
        MetricExporter::builder().with_tonic().with_endpoint(&endpoint).with_timeout(EXPORT_TIMEOUT).build()?;
    let logs = LogExporter::builder().with_tonic().with_endpoint(&endpoint).with_timeout(EXPORT_TIMEOUT).build()?;
    let span_batches = trace::BatchConfigBuilder::default().with_scheduled_delay(BATCH_DELAY).build();
    let log_batches = logs::BatchConfigBuilder::default().with_scheduled_delay(BATCH_DELAY).build();
    let spans = BatchSpanProcessor::builder(spans).with_batch_config(span_batches).build();
    let logs = BatchLogProcessor::builder(logs).with_batch_config(log_batches).build();
    let metrics = PeriodicReader::builder(metrics).with_interval(METRICS_EVERY).build();
    Ok((
        SdkTracerProvider::builder().with_resource(of.clone()).with_span_processor(spans).build(),
        SdkMeterProvider::builder().with_resource(of.clone()).with_reader(metrics).build(),
        SdkLoggerProvider::builder().with_resource(of).with_log_processor(logs).build(),
    ))
}
