//! Telemetry over HTTP: bounded bodies, decoding, the log, and each protocol's own words for what became of it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use ingest::{BadKind, BadRequest, Compression, Decoded, Encoding, Ingest, RemoteWriteVersion, decompress};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::{
    auth::Permission,
    errors::{ApiError, retry_after},
    grpc,
    guard::Caller,
    models,
    routes::Routes,
    state::{App, INTAKE_UNIT, now},
};

/// Which OTLP signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `/v1/metrics`
    Metrics,
    /// `/v1/logs`
    Logs,
    /// `/v1/traces`
    Traces,
}

/// What became of a request, in no protocol's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was stored.
    Stored,
    /// Some of it was rejected, the rest stored.
    Partial,
    /// The body cannot be read.
    Malformed,
    /// Over a size limit.
    TooLarge,
    /// A content type or encoding that is not spoken.
    Unsupported,
    /// Too much at once, or the store cannot write at the moment: try again.
    Unavailable,
    /// The body came too slowly.
    TooSlow,
    /// No token, or one that is not known.
    NoToken,
    /// A token that does not allow this, or a page of another site.
    NotAllowed,
    /// A bug or a broken machine.
    Failed,
}

/// The one table: status of HTTP and number of gRPC for each protocol. OTLP clients retry only on 429, 502, 503 and
/// 504; remote write clients on all 5xx, and must not be told 5xx for data that will never be good.
pub fn statuses(outcome: Outcome) -> (StatusCode, StatusCode, i32) {
    //                          OTLP/HTTP                            remote write                         gRPC
    match outcome {
        Outcome::Stored => (StatusCode::OK, StatusCode::NO_CONTENT, 0),
        Outcome::Partial => (StatusCode::OK, StatusCode::BAD_REQUEST, 0),
        Outcome::Malformed => (StatusCode::BAD_REQUEST, StatusCode::BAD_REQUEST, 3),
        Outcome::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, StatusCode::PAYLOAD_TOO_LARGE, 3),
        Outcome::Unsupported => (StatusCode::UNSUPPORTED_MEDIA_TYPE, StatusCode::UNSUPPORTED_MEDIA_TYPE, 12),
        Outcome::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE, 14),
        Outcome::TooSlow => (StatusCode::REQUEST_TIMEOUT, StatusCode::REQUEST_TIMEOUT, 4),
        Outcome::NoToken => (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED, 16),
        Outcome::NotAllowed => (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN, 7),
        Outcome::Failed => (StatusCode::INTERNAL_SERVER_ERROR, StatusCode::INTERNAL_SERVER_ERROR, 13),
    }
}

/// The outcome that an error is.
pub fn outcome_of(error: &ApiError) -> Outcome {
    match error.status.as_u16() {
        401 => Outcome::NoToken,
        403 => Outcome::NotAllowed,
        413 => Outcome::TooLarge,
        415 => Outcome::Unsupported,
        408 => Outcome::TooSlow,
        429 | 503 => Outcome::Unavailable,
        400..=499 => Outcome::Malformed,
        _ => Outcome::Failed,
    }
}

/// OTLP over HTTP, on two listeners.
pub fn add_otlp(routes: &mut Routes) {
    routes.add(Method::POST, "/v1/metrics", Permission::Ingest, "Take in OTLP metrics", |a, c, r| {
        otlp(Signal::Metrics, false, a, c, r)
    });
    routes.add(Method::POST, "/v1/logs", Permission::Ingest, "Take in OTLP logs", |a, c, r| {
        otlp(Signal::Logs, false, a, c, r)
    });
    routes.add(Method::POST, "/v1/traces", Permission::Ingest, "Take in OTLP traces", |a, c, r| {
        otlp(Signal::Traces, false, a, c, r)
    });
}

/// Everything else that takes telemetry.
pub fn add_others(routes: &mut Routes) {
    let post = Method::POST;
    routes.add(
        post.clone(),
        "/api/v1/otlp/v1/metrics",
        Permission::Ingest,
        "Take in OTLP metrics (Prometheus' path)",
        |a, c, r| otlp(Signal::Metrics, false, a, c, r),
    );
    routes.add(
        post.clone(),
        "/api/v1/write",
        Permission::Ingest,
        "Take in Prometheus remote write 1 or 2",
        |a, c, r| remote_write(false, a, c, r),
    );
    routes.add(
        post.clone(),
        "/api/v1/changes",
        Permission::Write,
        "Tell of changes: deployments, settings, flags",
        |a, c, r| events(Ingest::changes, false, a, c, r),
    );
    routes.add(
        post.clone(),
        "/api/v2/alerts",
        Permission::Ingest,
        "Take in alerts as an Alertmanager does, from a Prometheus",
        alerts,
    );
    routes.add(
        post.clone(),
        "/api/v1/webhooks/alertmanager",
        Permission::Ingest,
        "Take in alerts from an Alertmanager's webhook",
        alertmanager_webhook,
    );
    routes.add(
        post.clone(),
        "/api/v1/webhooks/github",
        Permission::Public,
        "Take in a webhook of GitHub; its signature is checked",
        |a, c, r| outside(Sender::GitHub, a, c, r),
    );
    routes.add(
        post.clone(),
        "/api/v1/webhooks/gitlab",
        Permission::Public,
        "Take in a webhook of GitLab; its token is checked",
        |a, c, r| outside(Sender::GitLab, a, c, r),
    );
    routes.add(
        post.clone(),
        "/api/v1/events",
        Permission::Write,
        "Take in CloudEvents (binary, structured or a batch); CDEvents are understood",
        |a, c, r| outside(Sender::CloudEvents, a, c, r),
    );
    routes.add(
        post.clone(),
        "/api/v1/topology",
        Permission::Write,
        "Say in TOML what of the map cannot be seen",
        declared_map,
    );
    routes.add(
        post.clone(),
        "/api/v1/labels",
        Permission::Write,
        "Tell the true outcomes of predictions",
        |a, c, r| events(Ingest::labels, false, a, c, r),
    );
    routes.add(
        post.clone(),
        "/api/v1/backfill/metrics",
        Permission::Ingest,
        "Take in OTLP metrics as history",
        |a, c, r| otlp(Signal::Metrics, true, a, c, r),
    );
    routes.add(post.clone(), "/api/v1/backfill/logs", Permission::Ingest, "Take in OTLP logs as history", |a, c, r| {
        otlp(Signal::Logs, true, a, c, r)
    });
    routes.add(
        post.clone(),
        "/api/v1/backfill/traces",
        Permission::Ingest,
        "Take in OTLP traces as history",
        |a, c, r| otlp(Signal::Traces, true, a, c, r),
    );
    routes.add(
        post.clone(),
        "/api/v1/backfill/v1/metrics",
        Permission::Ingest,
        "Take in OTLP metrics as history",
        |a, c, r| otlp(Signal::Metrics, true, a, c, r),
    );
    routes.add(
        post.clone(),
        "/api/v1/backfill/v1/logs",
        Permission::Ingest,
        "Take in OTLP logs as history",
        |a, c, r| otlp(Signal::Logs, true, a, c, r),
    );
    routes.add(
        post.clone(),
        "/api/v1/backfill/v1/traces",
        Permission::Ingest,
        "Take in OTLP traces as history",
        |a, c, r| otlp(Signal::Traces, true, a, c, r),
    );
    routes.add(
        post.clone(),
        "/api/v1/backfill/write",
        Permission::Ingest,
        "Take in remote write as history",
        |a, c, r| remote_write(true, a, c, r),
    );
    routes.add(post, "/api/v1/backfill/changes", Permission::Write, "Tell of changes as history", |a, c, r| {
        events(Ingest::changes, true, a, c, r)
    });
}

type Shared = State<Arc<App>>;

async fn otlp(
    signal: Signal,
    backfill: bool,
    State(app): Shared,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let encoding = match content_type(request.headers()).as_str() {
        "application/json" => Encoding::Json,
        // An unknown type is answered in protobuf, the protocol's default.
        _ => Encoding::Protobuf,
    };
    match take_otlp(&app, signal, backfill, caller, encoding, request).await {
        Ok(decoded) => otlp_answer(signal, encoding, &decoded),
        Err(error) => otlp_error(encoding, error),
    }
}

async fn take_otlp(
    app: &Arc<App>,
    signal: Signal,
    backfill: bool,
    caller: Caller,
    encoding: Encoding,
    request: Request,
) -> Result<Decoded, ApiError> {
    let kind = content_type(request.headers());
    if !matches!(kind.as_str(), "application/json" | "application/x-protobuf" | "application/protobuf") {
        return Err(ApiError::unsupported(format!(
            "content-type {kind:?} is not OTLP: use application/x-protobuf or application/json"
        )));
    }
    let compression = compression(request.headers())?;
    let path = request.uri().path().to_owned();
    let headers = request.headers().clone();
    let (body, _held) = read_body(app, request).await?;
    if signal == Signal::Traces {
        models::receive(app, &headers, encoding, compression, &body).await?;
    }
    store_otlp(app, signal, backfill, caller, encoding, compression, &path, body).await
}

/// Decodes and stores one OTLP message; gRPC comes in here too.
pub async fn store_otlp(
    app: &Arc<App>,
    signal: Signal,
    backfill: bool,
    caller: Caller,
    encoding: Encoding,
    compression: Compression,
    path: &str,
    body: Bytes,
) -> Result<Decoded, ApiError> {
    take(app, backfill, caller, compression, Some(path), body, move |ingest, request, body| match signal {
        Signal::Metrics => ingest.otlp_metrics(request, body, encoding),
        Signal::Logs => ingest.otlp_logs(request, body, encoding),
        Signal::Traces => ingest.otlp_traces(request, body, encoding),
    })
    .await
}

async fn remote_write(
    backfill: bool,
    State(app): Shared,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let result = take_remote_write(&app, backfill, caller, request).await;
    let (outcome, reason, written) = match &result {
        Ok(decoded) if decoded.rejects.is_empty() => (Outcome::Stored, String::new(), decoded.written),
        Ok(decoded) => (
            Outcome::Partial,
            format!(
                "{} of {} items rejected: {}",
                decoded.rejected(),
                decoded.rejected() + taken(decoded),
                decoded.reasons()
            ),
            decoded.written,
        ),
        Err(error) => (outcome_of(error), error.error.clone(), Default::default()),
    };
    let mut response = (statuses(outcome).1, reason).into_response();
    for (name, count) in
        [("samples", written.samples), ("histograms", written.histograms), ("exemplars", written.exemplars)]
    {
        if let Ok(name) = HeaderName::try_from(format!("x-prometheus-remote-write-{name}-written")) {
            response.headers_mut().insert(name, HeaderValue::from(count));
        }
    }
    retry_after(&mut response);
    response
}

async fn take_remote_write(
    app: &Arc<App>,
    backfill: bool,
    caller: Caller,
    request: Request,
) -> Result<Decoded, ApiError> {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|h| h.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let version = match kind.split(';').map(str::trim).collect::<Vec<_>>().as_slice() {
        ["application/x-protobuf"] | ["application/x-protobuf", "proto=prometheus.writerequest"] => {
            RemoteWriteVersion::V1
        }
        ["application/x-protobuf", "proto=io.prometheus.write.v2.request"] => RemoteWriteVersion::V2,
        _ => {
            let why = format!(
                "content-type {kind:?} is not remote write: use application/x-protobuf, with ;proto=io.prometheus.write.v2.Request for version 2"
            );
            return Err(ApiError::unsupported(why));
        }
    };
    let encoding = request.headers().get(header::CONTENT_ENCODING).and_then(|h| h.to_str().ok()).unwrap_or("snappy");
    if !encoding.eq_ignore_ascii_case("snappy") {
        return Err(ApiError::unsupported(format!(
            "content-encoding {encoding:?} is not remote write: use snappy (the block format)"
        )));
    }
    let path = request.uri().path().to_owned();
    let (body, _held) = read_body(app, request).await?;
    take(app, backfill, caller, Compression::Snappy, Some(&path), body, move |ingest, request, body| {
        ingest.remote_write(request, body, version)
    })
    .await
}

type DecodeEvents = fn(&Ingest, &ingest::Request, &[u8]) -> Result<Decoded, BadRequest>;

async fn events(
    decode: DecodeEvents,
    backfill: bool,
    State(app): Shared,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let take_events = async {
        let compression = compression(request.headers())?;
        let path = request.uri().path().to_owned();
        let (body, _held) = read_body(&app, request).await?;
        take(&app, backfill, caller, compression, Some(&path), body, decode).await
    };
    events_answer(take_events.await)
}

/// Stores true outcomes of predictions that came by another wire: a body as `/api/v1/labels` takes it.
pub async fn store_labels(app: &Arc<App>, caller: Caller, body: Bytes) -> Result<Decoded, ApiError> {
    take(app, false, caller, Compression::Identity, None, body, Ingest::labels).await
}

fn events_answer(taken_events: Result<Decoded, ApiError>) -> Response {
    answer(taken_events, |decoded, rejected| {
        (StatusCode::ACCEPTED, axum::Json(json!({"ids": decoded.ids, "rejected": rejected}))).into_response()
    })
}

/// A refusal where nothing was taken; else what `accepted` makes of it and of the reasons for the rest.
fn answer(result: Result<Decoded, ApiError>, accepted: impl FnOnce(&Decoded, Vec<&str>) -> Response) -> Response {
    match result {
        Ok(decoded) if taken(&decoded) == 0 && !decoded.rejects.is_empty() => {
            ApiError::bad_request(decoded.reasons()).into_response()
        }
        Ok(decoded) => accepted(&decoded, decoded.rejects.iter().map(|r| r.reason.as_str()).collect()),
        Err(error) => error.into_response(),
    }
}

/// Who tells of changes with headers of its own.
#[derive(Clone, Copy, Debug)]
enum Sender {
    GitHub,
    GitLab,
    CloudEvents,
}

/// Webhooks and CloudEvents. What was taken before is answered like what is new.
async fn outside(
    sender: Sender,
    State(app): Shared,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let take_events = async {
        let compression = compression(request.headers())?;
        let headers = request.headers().clone();
        let (body, _held) = read_body(&app, request).await?;
        let settings = app.clone();
        take(&app, false, caller, compression, None, body, move |ingest, request, body| {
            // Of a header that comes twice the last counts.
            let header = |name: &str| {
                let mut said = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
                said.next_back().map(str::to_owned)
            };
            let webhooks = &settings.config.webhooks;
            match sender {
                Sender::GitHub => ingest.github(request, &header, body, &webhooks.github, &webhooks.places),
                Sender::GitLab => ingest.gitlab(request, &header, body, &webhooks.gitlab, &webhooks.places),
                Sender::CloudEvents => ingest.cloudevents(request, &header, body, &webhooks.places),
            }
        })
        .await
    };
    events_answer(take_events.await)
}

/// What of the map cannot be seen, as a file; all its problems are told with their lines.
async fn declared_map(State(app): Shared, Extension(caller): Extension<Caller>, request: Request) -> Response {
    let take_map = async {
        let (body, _held) = read_body(&app, request).await?;
        let decode = |ingest: &Ingest, request: &ingest::Request, body: &[u8]| {
            let bad = |reason: String| BadRequest { kind: BadKind::Malformed, reason };
            let text = std::str::from_utf8(body).map_err(|_| bad("the file is not UTF-8".to_owned()))?;
            ingest
                .topology(request, text)
                .map_err(|problems| bad(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
        };
        take(&app, false, caller, Compression::Identity, None, body, decode).await
    };
    events_answer(take_map.await)
}

/// An Alertmanager's answers: nothing where all was taken, 400 with the reasons where some was not (the rest is kept).
async fn alerts(State(app): Shared, Extension(caller): Extension<Caller>, request: Request) -> Response {
    match take_alerts(&app, caller, request, Ingest::alerts).await {
        Ok(decoded) if decoded.rejects.is_empty() => StatusCode::OK.into_response(),
        Ok(decoded) => (StatusCode::BAD_REQUEST, axum::Json(decoded.reasons())).into_response(),
        Err(error) => error.into_response(),
    }
}

/// 2xx where anything was taken: an Alertmanager would not send the rest in another way.
async fn alertmanager_webhook(State(app): Shared, Extension(caller): Extension<Caller>, request: Request) -> Response {
    answer(take_alerts(&app, caller, request, Ingest::alertmanager_webhook).await, |decoded, rejected| {
        axum::Json(json!({"taken": taken(decoded), "rejected": rejected})).into_response()
    })
}

/// The same alert said again is news: it still fires. So nothing is taken for a retry here.
async fn take_alerts(
    app: &Arc<App>,
    caller: Caller,
    request: Request,
    decode: DecodeEvents,
) -> Result<Decoded, ApiError> {
    let compression = compression(request.headers())?;
    let (body, _held) = read_body(app, request).await?;
    take(app, false, caller, compression, None, body, decode).await
}

/// Number of the sender's items that were taken.
fn taken(decoded: &Decoded) -> u64 {
    let w = decoded.written;
    w.samples + w.histograms + w.records + w.spans + w.events
}

/// Inflates, decodes, appends, counts. A large body is decoded where it does not hold up other requests. The same bytes
/// to the same `path` of the same tenant are taken for a retry and not stored again; without a path nothing is.
async fn take<F>(
    app: &Arc<App>,
    backfill: bool,
    caller: Caller,
    compression: Compression,
    path: Option<&str>,
    body: Bytes,
    decode: F,
) -> Result<Decoded, ApiError>
where
    F: FnOnce(&Ingest, &ingest::Request, &[u8]) -> Result<Decoded, BadRequest> + Send + 'static,
{
    let request = ingest::Request { tenant: caller.tenant, now: now(), backfill };
    let seed = |path: &str| {
        let bytes = path.bytes().chain(request.tenant.as_str().bytes());
        bytes.fold(0_u64, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)))
    };
    let hash = path.map(|path| xxh3_128_with_seed(&body, seed(path)));
    let began = Instant::now();
    let work = {
        let app = app.clone();
        let body = body.clone();
        move || -> Result<Decoded, BadRequest> {
            let inflated = decompress(&body, compression, app.ingest.limits().max_body_len)?;
            decode(&app.ingest, &request, &inflated)
        }
    };
    // Small bodies are decoded at once: a thread change would cost more than they do. A compressed one may be much
    // larger than it looks. No more than a few large ones are inflated at a time: each may take the whole limit.
    let small = if compression == Compression::Identity { 256 << 10 } else { 32 << 10 };
    let decoded = if body.len() < small {
        work()
    } else {
        let _place = app.decoding.acquire().await;
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|_| Err(BadRequest { kind: BadKind::Malformed, reason: "decoding stopped".into() }))
    };
    let counters = &app.counters;
    counters.decode_ns.fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
    let mut decoded = decoded.inspect_err(|_| {
        counters.requests_bad.fetch_add(1, Ordering::Relaxed);
    })?;
    counters.rejected.fetch_add(decoded.rejected(), Ordering::Relaxed);
    let batch = std::mem::take(&mut decoded.batch);
    let rows = [batch.samples.len(), batch.records.len(), batch.spans.len(), batch.events.len()];
    if batch.rows() > 0 {
        let began = Instant::now();
        let appended = app.store.append(batch, hash).await;
        counters.append_ns.fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
        if let Err(error) = appended {
            let error = ApiError::from(error);
            if error.status == StatusCode::SERVICE_UNAVAILABLE {
                counters.requests_shed.fetch_add(1, Ordering::Relaxed);
            }
            return Err(error);
        }
    }
    app.ingest.taken(&decoded.once);
    for (counter, count) in
        [&counters.samples, &counters.records, &counters.spans, &counters.events].into_iter().zip(rows)
    {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
    counters.requests_ok.fetch_add(1, Ordering::Relaxed);
    Ok(decoded)
}

/// Time that a body may take before its pace is looked at, and the pace that it must keep, bytes a second.
pub const BODY_GRACE: Duration = Duration::from_secs(10);
const BODY_PACE: f64 = 1024.0;

/// Reserved of the memory budget before the first byte of a body is read; doubled as it grows.
const BODY_STEP: usize = 64 << 10;

/// Reads a body within the memory budget. Where the budget does not hold what the head claims, nothing is read.
pub async fn read_body(app: &App, request: Request) -> Result<(Bytes, OwnedSemaphorePermit), ApiError> {
    let limit = app.ingest.limits().max_body_len;
    let claimed = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|h| h.to_str().ok())
        .and_then(|h| h.parse::<usize>().ok());
    if claimed.is_some_and(|c| c > limit) {
        return Err(ApiError::too_large(format!(
            "a body of {} bytes is over max_body_len = {limit}",
            claimed.unwrap_or(0)
        )));
    }
    let wanted = claimed.unwrap_or(BODY_STEP);
    if app.intake.available_permits() < wanted.div_ceil(INTAKE_UNIT) {
        return Err(overloaded(app));
    }
    // Held is only what came: a sender that claims much and sends slowly keeps nobody else out.
    let mut reserved = wanted.clamp(1, BODY_STEP);
    let mut held = reserve(app, reserved)?;
    let mut body: Body = request.into_body();
    let mut read = Vec::with_capacity(claimed.unwrap_or(0).min(1 << 20));
    let began = Instant::now();
    loop {
        let frame = match tokio::time::timeout(BODY_GRACE, body.frame()).await {
            Err(_) => return Err(ApiError::too_slow()),
            Ok(None) => break,
            Ok(Some(Err(error))) => return Err(ApiError::bad_request(format!("the body broke off: {error}"))),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > limit {
            return Err(ApiError::too_large(format!("the body is over max_body_len = {limit}")));
        }
        read.extend_from_slice(&data);
        while read.len() > reserved {
            let more = reserved.min(limit);
            held.merge(reserve(app, more)?);
            reserved += more;
        }
        let elapsed = began.elapsed();
        if elapsed > BODY_GRACE && (read.len() as f64) < elapsed.as_secs_f64() * BODY_PACE {
            return Err(ApiError::too_slow());
        }
    }
    Ok((read.into(), held))
}

fn reserve(app: &App, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
    let units = bytes.div_ceil(INTAKE_UNIT).max(1) as u32;
    app.intake.clone().try_acquire_many_owned(units).map_err(|_| overloaded(app))
}

fn overloaded(app: &App) -> ApiError {
    app.counters.requests_shed.fetch_add(1, Ordering::Relaxed);
    ApiError::unavailable("too much is coming in at once: the memory for requests in the works is used up")
}

/// A refusal before the handler (no token, foreign page) in the words of the protocol that was spoken.
pub fn refusal(method: &Method, path: &str, headers: &HeaderMap, error: ApiError) -> Response {
    const OTLP_ENDS: [&str; 6] =
        ["/v1/metrics", "/v1/logs", "/v1/traces", "/backfill/metrics", "/backfill/logs", "/backfill/traces"];
    let kind = content_type(headers);
    if kind.starts_with("application/grpc") {
        return grpc::refuse(error);
    }
    if *method != Method::POST || !OTLP_ENDS.iter().any(|end| path.ends_with(end)) {
        return error.into_response();
    }
    otlp_error(if kind == "application/json" { Encoding::Json } else { Encoding::Protobuf }, error)
}

fn content_type(headers: &HeaderMap) -> String {
    let text = headers.get(header::CONTENT_TYPE).and_then(|h| h.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// How a body is compressed.
pub fn compression(headers: &HeaderMap) -> Result<Compression, ApiError> {
    let text = headers.get(header::CONTENT_ENCODING).map_or(Ok(""), |h| h.to_str());
    let compression =
        Compression::from_header(text.map_err(|_| ApiError::unsupported("content-encoding is not text"))?)?;
    if compression == Compression::Snappy {
        return Err(ApiError::unsupported("content-encoding snappy is for remote write: use gzip, zstd or none"));
    }
    Ok(compression)
}

fn otlp_answer(signal: Signal, encoding: Encoding, decoded: &Decoded) -> Response {
    match encoding {
        Encoding::Protobuf => {
            ([(header::CONTENT_TYPE, "application/x-protobuf")], partial_success(decoded)).into_response()
        }
        Encoding::Json if decoded.rejects.is_empty() => axum::Json(json!({})).into_response(),
        Encoding::Json => {
            let key = match signal {
                Signal::Metrics => "rejectedDataPoints",
                Signal::Logs => "rejectedLogRecords",
                Signal::Traces => "rejectedSpans",
            };
            axum::Json(
                json!({"partialSuccess": {key: decoded.rejected().to_string(), "errorMessage": decoded.reasons()}}),
            )
            .into_response()
        }
    }
}

/// `ExportXServiceResponse`: empty where all was taken, else `partial_success { rejected = 1; error_message = 2 }`,
/// which has the same field numbers for all three signals.
pub fn partial_success(decoded: &Decoded) -> Vec<u8> {
    if decoded.rejects.is_empty() {
        return Vec::new();
    }
    let mut partial = Vec::new();
    prost::encoding::int64::encode(1, &(decoded.rejected() as i64), &mut partial);
    prost::encoding::string::encode(2, &decoded.reasons(), &mut partial);
    let mut out = Vec::new();
    prost::encoding::bytes::encode(1, &partial, &mut out);
    out
}

/// `google.rpc.Status` in the request's own encoding.
fn otlp_error(encoding: Encoding, error: ApiError) -> Response {
    let (status, _, code) = statuses(outcome_of(&error));
    let message = format!("{}: {}", error.error, error.hint);
    let mut response = match encoding {
        Encoding::Json => (status, axum::Json(json!({"code": code, "message": message}))).into_response(),
        Encoding::Protobuf => {
            let mut body = Vec::new();
            prost::encoding::int32::encode(1, &code, &mut body);
            prost::encoding::string::encode(2, &message, &mut body);
            (status, [(header::CONTENT_TYPE, "application/x-protobuf")], body).into_response()
        }
    };
    retry_after(&mut response);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn otlp_is_never_told_500_for_what_a_retry_can_mend_and_never_5xx_for_bad_data() {
        for outcome in [Outcome::Malformed, Outcome::TooLarge, Outcome::Unsupported] {
            assert!(statuses(outcome).0.is_client_error() && statuses(outcome).1.is_client_error());
        }
        assert_eq!(
            statuses(Outcome::Unavailable),
            (StatusCode::SERVICE_UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE, 14)
        );
        assert_eq!(statuses(Outcome::Partial).0, StatusCode::OK);
        assert_eq!(statuses(Outcome::Partial).1, StatusCode::BAD_REQUEST);
    }
}
