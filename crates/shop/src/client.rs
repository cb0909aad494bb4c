//! The calling end of a request: balancer, span and `traceparent`.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use opentelemetry::{
    Context, KeyValue,
    metrics::Histogram,
    propagation::{Injector, TextMapPropagator},
    trace::{FutureExt as _, SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracer};
use parking_lot::RwLock;
use serde_json::Value;

use crate::telemetry::Telemetry;

/// Where each service's instances are.
pub(crate) type Peers = BTreeMap<String, Vec<SocketAddr>>;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before a refused call goes to the next instance.
const PAUSE_BEFORE_RETRY: Duration = Duration::from_millis(150);

/// Calls the other services.
pub(crate) struct Client {
    http: reqwest::Client,
    tracer: SdkTracer,
    called: Histogram<f64>,
    peers: RwLock<Peers>,
    turn: AtomicUsize,
}

/// Why a call gave no answer to use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nobody took the call.
    #[error("cannot reach {peer}: {reason}")]
    Unreachable {
        /// The service.
        peer: String,
        /// What the network said.
        reason: String,
    },
    /// The service answered with an error.
    #[error("{peer} answered {status}: {reason}")]
    Refused {
        /// The service.
        peer: String,
        /// HTTP status.
        status: u16,
        /// What it said.
        reason: String,
    },
}

impl Client {
    /// A client that reports to `telemetry`.
    pub fn new(telemetry: &Telemetry, peers: Peers) -> anyhow::Result<Self> {
        // Loopback only: a proxy from the environment must not come in between.
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        let (tracer, called) = (telemetry.tracer.clone(), telemetry.called.clone());
        Ok(Self { http, tracer, called, peers: RwLock::new(peers), turn: AtomicUsize::new(0) })
    }

    /// Takes a new list of who is where.
    pub fn learn(&self, peers: Peers) {
        *self.peers.write() = peers;
    }

    /// The instance of `peer` whose turn it is.
    pub fn next_instance(&self, peer: &str) -> Option<SocketAddr> {
        let peers = self.peers.read();
        let instances = peers.get(peer)?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        instances.get(turn.checked_rem(instances.len())?).copied()
    }

    /// Calls `peer`; where an instance refuses the connection, tries the next one once, after a pause.
    pub async fn call(&self, peer: &str, method: Method, path: &str, body: Option<Value>) -> Result<Value, CallError> {
        let first = self.attempt(peer, &method, path, body.as_ref(), 0).await;
        let Err(CallError::Unreachable { reason, .. }) = &first else { return first };
        tracing::warn!(peer, "call to {peer} failed, trying another instance: {reason}");
        tokio::time::sleep(PAUSE_BEFORE_RETRY).await;
        self.attempt(peer, &method, path, body.as_ref(), 1).await
    }

    /// One try with its own client span, named and described as the HTTP conventions say.
    async fn attempt(
        &self,
        peer: &str,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        resend: i64,
    ) -> Result<Value, CallError> {
        let Some(to) = self.next_instance(peer) else {
            return Err(CallError::Unreachable { peer: peer.to_owned(), reason: "no instance is known".into() });
        };
        let url = format!("http://{to}{path}");
        let mut about = vec![
            KeyValue::new("http.request.method", method.to_string()),
            KeyValue::new("server.address", to.ip().to_string()),
            KeyValue::new("server.port", i64::from(to.port())),
            KeyValue::new("url.full", url.clone()),
            KeyValue::new("peer.service", peer.to_owned()),
        ];
        if resend > 0 {
            about.push(KeyValue::new("http.request.resend_count", resend));
        }
        let span = self.tracer.span_builder(method.to_string()).with_kind(SpanKind::Client).with_attributes(about);
        let context = Context::current().with_span(span.start(&self.tracer));
        let begin = Instant::now();
        let answer = self.exchange(peer, method, url, body, &context).with_context(context.clone()).await;
        self.close(&context, peer, method, begin.elapsed(), &answer);
        answer.map(|(_, value)| value)
    }

    async fn exchange(
        &self,
        peer: &str,
        method: &Method,
        url: String,
        body: Option<&Value>,
        context: &Context,
    ) -> Result<(u16, Value), CallError> {
        let unreachable =
            |error: reqwest::Error| CallError::Unreachable { peer: peer.to_owned(), reason: innermost(&error) };
        let mut headers = HeaderMap::new();
        TraceContextPropagator::new().inject_context(context, &mut HeaderCarrier(&mut headers));
        let mut request = self.http.request(method.clone(), url).headers(headers);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let value: Value = serde_json::from_slice(&response.bytes().await.map_err(unreachable)?).unwrap_or_default();
        if status.is_success() {
            return Ok((status.as_u16(), value));
        }
        let reason = value.get("error").and_then(Value::as_str).unwrap_or("no reason given").to_owned();
        Err(CallError::Refused { peer: peer.to_owned(), status: status.as_u16(), reason })
    }

    /// Ends the span, and counts the call.
    fn close(
        &self,
        context: &Context,
        peer: &str,
        method: &Method,
        took: Duration,
        answer: &Result<(u16, Value), CallError>,
    ) {
        let span = context.span();
        let mut labels = vec![
            KeyValue::new("http.request.method", method.to_string()),
            KeyValue::new("peer.service", peer.to_owned()),
        ];
        let outcome = match answer {
            Ok((status, _)) | Err(CallError::Refused { status, .. }) => {
                KeyValue::new("http.response.status_code", i64::from(*status))
            }
            Err(CallError::Unreachable { .. }) => KeyValue::new("error.type", "connect"),
        };
        span.set_attribute(outcome.clone());
        labels.push(outcome);
        if let Err(error) = answer {
            span.set_status(Status::error(error.to_string()));
        }
        span.end();
        self.called.record(took.as_secs_f64(), &labels);
    }
}

/// Network errors tell most at the bottom ("connection refused").
fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// Writes `traceparent` into the headers of a request.
struct HeaderCarrier<'a>(&'a mut HeaderMap);

impl Injector for HeaderCarrier<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
