//! One process of the shop: settings, life, and the serving end of a request.

use std::{
    collections::BTreeSet,
    future::Future,
    io::{BufRead as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use axum::{
    Json, Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{post, put},
};
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, TextMapPropagator},
    trace::{FutureExt as _, SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinHandle,
};

use crate::{
    client::{CallError, Client, Peers},
    disk::{Folder, QUOTA_BYTES},
    faults::{Fault, FaultError},
    random::Random,
    services,
    telemetry::Telemetry,
};

/// Header that carries the run's secret on control requests.
pub(crate) const SECRET_HEADER: &str = "x-shop-secret";
/// How long requests in flight may take to end at shutdown.
const GRACE: Duration = Duration::from_secs(2);

/// What the hidden command `shop-service NAME` is given; all else comes through standard input.
#[derive(Debug, Clone)]
pub struct ServiceArgs {
    /// The instance, e.g. `catalog-1`; must be the one that the settings name.
    pub name: String,
}

/// The settings of one process, as one JSON line on its standard input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceConfig {
    /// The service, e.g. `catalog`, or `load`.
    pub service: String,
    /// The instance, e.g. `catalog-1`.
    pub instance: String,
    /// The version that runs.
    pub version: String,
    /// Where telemetry goes; nowhere if absent.
    pub otlp_grpc: Option<SocketAddr>,
    /// The service's own folder.
    pub data_dir: PathBuf,
    /// The run's secret; control requests must show it.
    pub secret: String,
    /// Seed of the process's randomness.
    pub seed: u64,
    /// How much faster than life growing faults and the load's cycle run, above 0.
    pub speed: f64,
    /// Who is where, as far as known.
    pub peers: Peers,
    /// Names of the faults that are on at the start.
    pub faults: Vec<String>,
}

/// A service that answers.
pub struct Running {
    /// Where it listens, on loopback.
    pub address: SocketAddr,
    service: Arc<Service>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Running {
    /// Ends it: no new requests, those in flight to the end, telemetry sent.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.service.end_tasks();
        let _ = tokio::time::timeout(GRACE, self.serving).await;
        self.service.telemetry.stop().await;
    }
}

/// The hidden command: reads the settings, serves, and ends when standard input does.
pub async fn run_service(args: ServiceArgs) -> Result<()> {
    let (config, parent_gone) = read_settings()?;
    if config.instance != args.name {
        return Err(anyhow!(
            "settings are for {}, not for {}; start services through the demo",
            config.instance,
            args.name
        ));
    }
    let running = start_service(config).await?;
    running.service.telemetry.take_logs()?;
    tracing::info!("{} {} started", running.service.config.instance, running.service.config.version);
    // The supervisor reads this one line and then closes its end.
    writeln!(std::io::stdout(), "{}", serde_json::json!({ "listen": running.address }))?;
    // An error means that the reader is gone, which is the same news.
    let _ = parent_gone.await;
    tracing::info!("{} stopping", running.service.config.instance);
    running.stop().await;
    Ok(())
}

/// Starts one service in this process, on a free port of loopback.
pub async fn start_service(config: ServiceConfig) -> Result<Running> {
    let service = Arc::new(Service::new(config)?);
    service.telemetry.watch_process();
    let name = service.config.service.clone();
    let routes = services::routes(service.clone()).await.context(format!("cannot start {name}"))?;
    // The load offers nothing, and axum refuses a layer around nothing.
    let routes = match routes.has_routes() {
        true => routes.route_layer(middleware::from_fn_with_state(service.clone(), observe)),
        false => routes,
    };
    let app = routes.merge(control(service.clone()));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on loopback")?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let served = axum::serve(listener, app).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        if let Err(error) = served.await {
            tracing::error!("stopped serving: {error}");
        }
    });
    Ok(Running { address, service, stop, serving })
}

/// What all handlers of a process share.
pub(crate) struct Service {
    pub config: ServiceConfig,
    pub telemetry: Telemetry,
    pub client: Client,
    pub random: Random,
    pub folder: Folder,
    faults: RwLock<BTreeSet<Fault>>,
    peers_known: watch::Sender<()>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Service {
    fn new(config: ServiceConfig) -> Result<Self> {
        let telemetry = Telemetry::start(&config)?;
        let client = Client::new(&telemetry, config.peers.clone())?;
        let random = Random::new(config.seed, &config.instance);
        let folder = Folder::open(&config.data_dir, QUOTA_BYTES)
            .context(format!("cannot use the folder {}", config.data_dir.display()))?;
        let faults = config.faults.iter().map(|name| Fault::named(name)).collect::<Result<_, FaultError>>()?;
        let peers_known = watch::Sender::new(());
        let faults = RwLock::new(faults);
        Ok(Self { config, telemetry, client, random, folder, faults, peers_known, tasks: Mutex::default() })
    }

    /// Whether `fault` is on in this process.
    pub fn suffers(&self, fault: Fault) -> bool {
        self.faults.read().contains(&fault)
    }

    /// Work that takes `low_ms..high_ms` milliseconds, now and then (one in fifty) up to twice that.
    pub async fn work(&self, low_ms: f64, high_ms: f64) {
        let usual = self.random.between(low_ms, high_ms);
        let takes = if self.random.chance(0.02) { usual * self.random.between(1.0, 2.0) } else { usual };
        tokio::time::sleep(Duration::from_secs_f64(takes / 1000.0)).await;
    }

    /// Runs `task` until the service ends.
    pub fn in_background(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().push(tokio::spawn(task));
    }

    /// Told each time that the list of peers changes.
    pub fn peers_known(&self) -> watch::Receiver<()> {
        self.peers_known.subscribe()
    }

    /// A statement on a database, with its client span as the database conventions say.
    pub async fn database<T>(
        &self,
        namespace: &'static str,
        operation: &'static str,
        table: &'static str,
        text: &'static str,
        statement: impl Future<Output = sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        let tracer = &self.telemetry.tracer;
        let about = [
            KeyValue::new("db.system.name", "sqlite"),
            KeyValue::new("db.namespace", namespace),
            KeyValue::new("db.operation.name", operation),
            KeyValue::new("db.collection.name", table),
            KeyValue::new("db.query.text", text),
        ];
        let span = tracer.span_builder(format!("{operation} {table}")).with_kind(SpanKind::Client);
        let context = Context::current().with_span(span.with_attributes(about).start(tracer));
        let outcome = statement.with_context(context.clone()).await;
        if let Err(error) = &outcome {
            context.span().set_status(Status::error(error.to_string()));
        }
        context.span().end();
        outcome
    }

    fn end_tasks(&self) {
        self.tasks.lock().drain(..).for_each(|task| task.abort());
    }
}

/// An error answer: a status and a reason for the caller.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    reason: String,
}

impl Failure {
    /// The service cannot do it.
    pub fn internal(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, reason: reason.into() }
    }

    /// The service cannot do it for now.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, reason: reason.into() }
    }

    /// There is no such thing.
    pub fn not_found(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, reason: reason.into() }
    }

    /// The disk is full.
    pub fn no_space(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::INSUFFICIENT_STORAGE, reason: reason.into() }
    }
}

/// What failed below is the caller's fault only where it was told so.
impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let status = match &error {
            CallError::Refused { status, .. } if (400..500).contains(status) => {
                StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY)
            }
            _ => StatusCode::BAD_GATEWAY,
        };
        Self { status, reason: error.to_string() }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::internal(format!("database: {error}"))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(serde_json::json!({ "error": self.reason }))).into_response()
    }
}

/// The serving end: continues the caller's trace, opens the server span, measures the time.
async fn observe(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default();
    let method = request.method().to_string();
    let tracer = &service.telemetry.tracer;
    let parent = TraceContextPropagator::new().extract(&HeaderReader(request.headers()));
    let about = [
        KeyValue::new("http.request.method", method.clone()),
        KeyValue::new("http.route", route.clone()),
        KeyValue::new("url.path", request.uri().path().to_owned()),
        KeyValue::new("url.scheme", "http"),
        KeyValue::new("network.protocol.version", "1.1"),
    ];
    let span = tracer.span_builder(format!("{method} {route}")).with_kind(SpanKind::Server).with_attributes(about);
    let context = parent.with_span(span.start_with_context(tracer, &parent));
    let begin = Instant::now();
    let response = next.run(request).with_context(context.clone()).await;
    let took = begin.elapsed();
    let status = response.status();
    let outcome = KeyValue::new("http.response.status_code", i64::from(status.as_u16()));
    context.span().set_attribute(outcome.clone());
    if status.is_server_error() {
        context.span().set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
        context.span().set_status(Status::error(status.to_string()));
    }
    context.span().end();
    let labels = [KeyValue::new("http.request.method", method), KeyValue::new("http.route", route), outcome];
    service.telemetry.served.record(took.as_secs_f64(), &labels);
    response
}

/// Reads `traceparent` from the headers of a request.
struct HeaderReader<'a>(&'a HeaderMap);

impl Extractor for HeaderReader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

/// How the supervisor steers a process; neither traced nor measured.
fn control(service: Arc<Service>) -> Router {
    Router::new()
        .route("/control/peers", put(learn_peers))
        .route("/control/fault", post(switch_fault))
        .route_layer(middleware::from_fn_with_state(service.clone(), check_secret))
        .with_state(service)
}

/// The body of a control request that switches a fault.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Switch {
    /// The fault's name.
    pub name: String,
    /// On or off.
    pub on: bool,
}

async fn learn_peers(State(service): State<Arc<Service>>, Json(peers): Json<Peers>) -> StatusCode {
    service.client.learn(peers);
    service.peers_known.send_replace(());
    StatusCode::NO_CONTENT
}

async fn switch_fault(State(service): State<Arc<Service>>, Json(switch): Json<Switch>) -> Result<StatusCode, Failure> {
    let fault = Fault::named(&switch.name).map_err(|error| Failure::not_found(error.to_string()))?;
    let mut faults = service.faults.write();
    if switch.on {
        faults.insert(fault);
    } else {
        faults.remove(&fault);
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn check_secret(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(SECRET_HEADER).map(|value| value.as_bytes()).unwrap_or_default();
    if !same(shown, service.config.secret.as_bytes()) {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}

/// Compares in a time that depends on the length alone.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// Reads the first line of standard input, and tells when the rest ends. A plain thread does so: unlike the
/// runtime's own, it does not hold up the end of the process.
fn read_settings() -> Result<(ServiceConfig, oneshot::Receiver<()>)> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the settings from standard input")?;
    let config =
        serde_json::from_str(&line).context("standard input holds no settings; start services through the demo")?;
    let (gone, parent_gone) = oneshot::channel();
    std::thread::Builder::new().name("parent".into()).spawn(move || {
        // Whatever ends the copy, the parent has nothing more to say.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = gone.send(());
    })?;
    Ok((config, parent_gone))
}
