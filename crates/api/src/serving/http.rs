//! Inference over HTTP: the Open Inference Protocol, TensorFlow Serving with KServe's first protocol, MLflow's scoring,
//! and Seldon's first protocol, each with its own words for errors.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header, header::AsHeaderName},
    response::{IntoResponse, Response},
};
use ingest::{Compression, decompress};
use models::serving::Which;
use serde_json::{Value, json};
use serve::wire::{explain, invocations, seldon, tensorflow, v2, v2_grpc};

use super::{
    Loaded, Refusal, State as Standing, find,
    traffic::{Chosen, Question, apart, ask, choose},
};
use crate::{
    auth::Permission,
    guard, intake,
    models::{decoded, pairs},
    routes::Routes,
    state::App,
};

/// What a client calls the model that it asks, where the path does not say.
const MODEL: HeaderName = HeaderName::from_static("x-bellwether-model");
/// What the prediction is called.
const PREDICTION: HeaderName = HeaderName::from_static("x-prediction-id");
/// Where JSON ends and bytes begin.
const JSON_BYTES: HeaderName = HeaderName::from_static("inference-header-content-length");
const BOTH: [Method; 2] = [Method::GET, Method::POST];

/// Adds the paths.
pub fn add(routes: &mut Routes) {
    let v2_says = "The Open Inference Protocol, version 2, as clients of Triton, KServe and MLServer speak it";
    routes.add(Method::GET, "/v2", Permission::Read, "The inference server, as its protocol describes one", v2);
    routes.add_all(&BOTH, "/v2/{*path}", Permission::Read, v2_says, v2);
    let v1_says =
        "Predictions, status and metadata as clients of TensorFlow Serving and of KServe's first protocol ask";
    routes.add(
        Method::GET,
        "/v1/models",
        Permission::Read,
        "Names of models, as KServe's first protocol lists them",
        v1,
    );
    routes.add_all(&BOTH, "/v1/models/{*path}", Permission::Read, v1_says, v1);
    let scores =
        "Predictions as MLflow's scoring server gives them; the model by ?model= or the header X-Bellwether-Model";
    routes.add(Method::POST, "/invocations", Permission::Read, scores, scoring);
    let scores = "Predictions of a model as MLflow's scoring server gives them";
    routes.add(Method::POST, "/serving-endpoints/{model}/invocations", Permission::Read, scores, scoring);
    routes.add(Method::GET, "/ping", Permission::Public, "Whether MLflow's scoring is served", ping);
    let seldon_says = "Predictions and feedback as clients of Seldon's first protocol send them";
    for path in ["/api/v1.0/{*path}", "/api/v0.1/{*path}", "/seldon/{namespace}/{deployment}/api/v1.0/{*path}"] {
        routes.add_all(&BOTH, path, Permission::Read, seldon_says, seldon_wire);
    }
}

type Shared = State<Arc<App>>;

async fn ping() -> &'static str {
    "\n"
}

/// A path's parts, decoded.
fn parts_of(request: &Request) -> Result<Vec<String>, Refusal> {
    let parts = request.uri().path().trim_matches('/').split('/').map(decoded);
    parts.collect::<Option<_>>().ok_or_else(|| Refusal::Bad("the path is not UTF-8".into()))
}

/// A header, where it is text.
fn header_of(request: &Request, name: impl AsHeaderName) -> Option<&str> {
    request.headers().get(name)?.to_str().ok()
}

/// A request's body, inflated.
async fn body_of(app: &Arc<App>, request: Request) -> Result<Bytes, Refusal> {
    let compression = intake::compression(request.headers())?;
    let (body, _held) = intake::read_body(app, request).await?;
    if compression == Compression::Identity {
        return Ok(body);
    }
    let limit = app.ingest.limits().max_body_len;
    let whole = decompress(&body, compression, limit).map_err(crate::errors::ApiError::from)?;
    Ok(Bytes::from(whole.into_owned()))
}

fn unknown(request: &Request, path: &[String]) -> Refusal {
    Refusal::Missing(format!("there is no {} /{}", request.method(), path.join("/")))
}

fn plain(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

fn good(value: &Value) -> Response {
    plain(StatusCode::OK, value.to_string().into_bytes())
}

/// A refusal in a protocol's own words.
fn refused(refusal: &Refusal, body: Value) -> Response {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = plain(status, body.to_string().into_bytes());
    crate::errors::retry_after(&mut response);
    response
}

/// `{"error": …}`
fn error(refusal: &Refusal) -> Response {
    refused(refusal, json!({"error": refusal.message()}))
}

fn named(mut response: Response, id: &str) -> Response {
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(PREDICTION, id);
    }
    response
}

// The Open Inference Protocol.

async fn v2(State(app): Shared, request: Request) -> Response {
    match v2_answer(&app, request).await {
        Ok(response) => response,
        Err(refusal) => error(&refusal),
    }
}

async fn v2_answer(app: &Arc<App>, request: Request) -> Result<Response, Refusal> {
    let whole = parts_of(&request)?;
    let path: Vec<&str> = whole[1..].iter().map(String::as_str).collect();
    let is_get = request.method() == Method::GET;
    match path.as_slice() {
        [] if is_get => Ok(good(&json!({
            "name": "bellwether",
            "version": env!("CARGO_PKG_VERSION"),
            "extensions": EXTENSIONS,
        }))),
        ["health", "live"] if is_get => Ok(good(&json!({"live": true}))),
        ["health", "ready"] if is_get => {
            let is = app.ready.load(std::sync::atomic::Ordering::Acquire);
            let status = if is { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            Ok(plain(status, json!({"ready": is}).to_string().into_bytes()))
        }
        ["models"] if is_get => Ok(good(&json!({"models": names(app)}))),
        ["models", "stats"] if is_get => {
            let all: Vec<Value> = app.serving.loaded().iter().map(|loaded| statistics(loaded)).collect();
            Ok(good(&json!({"model_stats": all})))
        }
        ["models", name, "versions", version, rest @ ..] => {
            v2_model(app, request, &whole, name, Which::of(version), rest).await
        }
        ["models", name, rest @ ..] => v2_model(app, request, &whole, name, Which::InUse, rest).await,
        ["repository", "index"] => Ok(good(&Value::Array(index(app).iter().map(Indexed::to_json).collect()))),
        ["repository", "models", name, act @ ("load" | "unload")] if !is_get => {
            guard::caller(app, Permission::Write, request.headers())?;
            set_in_service(app, name, *act == "load").await?;
            Ok(good(&json!({})))
        }
        ["systemsharedmemory" | "cudasharedmemory", .., "status"] => Ok(good(&json!([]))),
        ["systemsharedmemory" | "cudasharedmemory", ..] => {
            Err(Refusal::Bad("shared memory is not supported: send tensors in the request".into()))
        }
        ["trace", ..] | ["logging"] => {
            Err(Refusal::NotHere("tracing and logging are set in Bellwether's settings".into()))
        }
        _ => Err(unknown(&request, &whole)),
    }
}

/// What of the protocol's extensions is spoken.
pub const EXTENSIONS: [&str; 5] =
    ["classification", "model_repository", "model_configuration", "statistics", "binary_tensor_data"];

async fn v2_model(
    app: &Arc<App>,
    request: Request,
    whole: &[String],
    name: &str,
    which: Which,
    rest: &[&str],
) -> Result<Response, Refusal> {
    let is_get = request.method() == Method::GET;
    match rest {
        ["infer"] if !is_get => v2_infer(app, request, name, which).await,
        [] if is_get => {
            let loaded = find(app, name, which).await?;
            Ok(good(&v2::metadata(&loaded.model, &versions(app, name))))
        }
        ["ready"] if is_get => {
            find(app, name, which).await?;
            Ok(good(&json!({"name": name, "ready": true})))
        }
        ["config"] if is_get => Ok(good(&config(&*find(app, name, which).await?))),
        ["stats"] if is_get => Ok(good(&json!({"model_stats": [statistics(&*find(app, name, which).await?)]}))),
        ["generate" | "generate_stream" | "infer_stream"] => {
            Err(Refusal::NotHere(format!("{} is for models that write texts, which are not run here", rest[0])))
        }
        _ => Err(unknown(&request, whole)),
    }
}

async fn v2_infer(app: &Arc<App>, request: Request, name: &str, which: Which) -> Result<Response, Refusal> {
    let chosen = choose(app, name, which).await?;
    let json_bytes = match request.headers().get(JSON_BYTES) {
        None => None,
        Some(said) => {
            let said = said.to_str().ok().and_then(|said| said.trim().parse::<usize>().ok());
            Some(said.ok_or_else(|| Refusal::Bad("Inference-Header-Content-Length is no number".into()))?)
        }
    };
    let body = body_of(app, request).await?;
    let spare = app.serving.prediction_id();
    let (id, (out, json_bytes)) = ask(app, &chosen, body.len(), move |loaded| {
        let model = &loaded.model;
        let mut asked = v2::read(&body, json_bytes)?;
        let rows = asked.rows(model)?;
        let outputs = asked.answer(model, &rows)?;
        let id = asked.id.unwrap_or(spare);
        let written = v2::write(model, &id, &outputs);
        Ok((Question { id, rows }, written))
    })
    .await?;
    let mut response = plain(StatusCode::OK, out);
    if let Some(bytes) = json_bytes {
        let kind = HeaderValue::from_static("application/octet-stream");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response.headers_mut().insert(JSON_BYTES, HeaderValue::from(bytes));
    }
    Ok(named(response, &id))
}

/// Names of models that may answer.
pub fn names(app: &App) -> Vec<String> {
    let is_model = |model: &&models::registry::RegisteredModel| !model.is_prompt() && !model.versions.is_empty();
    app.models.read(|book| book.registered_models().filter(is_model).map(|model| model.name.clone()).collect())
}

/// Numbers of a model's versions.
pub fn versions(app: &App, name: &str) -> Vec<String> {
    app.models.read(|book| {
        book.registered(name).map(|model| model.versions.keys().map(u64::to_string).collect()).unwrap_or_default()
    })
}

/// Takes a model out of service, or puts it back and reads it.
pub async fn set_in_service(app: &Arc<App>, name: &str, is: bool) -> Result<(), Refusal> {
    app.models.read(|book| book.answering(name, &Which::InUse).map(drop))?;
    app.serving.set_in_service(name, is);
    if is {
        find(app, name, Which::InUse).await?;
    }
    Ok(())
}

/// A version in the list of all.
pub struct Indexed {
    /// The model.
    pub name: String,
    /// The version's number.
    pub version: u64,
    /// `READY` or `UNAVAILABLE`.
    pub state: &'static str,
    /// Why it is unavailable.
    pub reason: String,
}

impl Indexed {
    fn to_json(&self) -> Value {
        json!({"name": self.name, "version": self.version.to_string(), "state": self.state, "reason": self.reason})
    }
}

/// All versions, and whether they answer.
pub fn index(app: &App) -> Vec<Indexed> {
    let all: Vec<(String, u64)> = app.models.read(|book| {
        let models = book.registered_models().filter(|model| !model.is_prompt());
        models.flat_map(|model| model.versions.keys().map(|version| (model.name.clone(), *version))).collect()
    });
    let of = |(name, version): (String, u64)| {
        let (state, reason) = match app.serving.state(&name, version) {
            Standing::Loaded | Standing::OnRequest => ("READY", String::new()),
            Standing::Failed(why) => ("UNAVAILABLE", why),
            Standing::Unloaded => ("UNAVAILABLE", "unloaded".into()),
        };
        Indexed { name, version, state, reason }
    };
    all.into_iter().map(of).collect()
}

fn config(loaded: &Loaded) -> Value {
    let model = &loaded.model;
    let (inputs, outputs) = v2::tensors(model);
    let tensor = |(name, datatype, dims): &(String, serve::tensor::Datatype, Vec<i64>)| json!({"name": name, "data_type": v2_grpc::triton_type(*datatype).1, "dims": dims});
    json!({
        "name": model.name,
        "platform": model.platform,
        "backend": "bellwether",
        "version_policy": {"specific": {"versions": [model.version]}},
        "max_batch_size": 0,
        "input": inputs.iter().map(tensor).collect::<Vec<_>>(),
        "output": outputs.iter().map(tensor).collect::<Vec<_>>(),
    })
}

fn statistics(loaded: &Loaded) -> Value {
    use std::sync::atomic::Ordering::Relaxed;
    let counts = &loaded.counts;
    let (answered, refused) = (counts.answered.load(Relaxed), counts.refused.load(Relaxed));
    let spent = json!({"count": answered, "ns": counts.answered_ns.load(Relaxed)});
    let none = json!({"count": answered, "ns": 0});
    json!({
        "name": loaded.model.name,
        "version": loaded.model.version.to_string(),
        "last_inference": counts.last_ms.load(Relaxed),
        "inference_count": counts.rows.load(Relaxed),
        "execution_count": answered,
        "inference_stats": {
            "success": spent,
            "fail": {"count": refused, "ns": counts.refused_ns.load(Relaxed)},
            "queue": none,
            "compute_input": none,
            "compute_infer": spent,
            "compute_output": none,
        },
        "batch_stats": [],
    })
}

// TensorFlow Serving, and KServe's first protocol.

async fn v1(State(app): Shared, request: Request) -> Response {
    match v1_answer(&app, request).await {
        Ok(response) => response,
        Err(refusal) => error(&refusal),
    }
}

/// What a path below `/v1/models` names.
struct Named {
    name: String,
    which: Which,
    verb: Option<String>,
    is_metadata: bool,
}

impl Named {
    /// `NAME[/versions/N|/labels/L][:VERB|/metadata]`
    fn of(path: &[String]) -> Option<Named> {
        let (last, before) = path.split_last()?;
        let (last, verb) = match last.rsplit_once(':') {
            Some((last, verb)) => (last, Some(verb.to_ascii_lowercase())),
            None => (last.as_str(), None),
        };
        let is_metadata = !before.is_empty() && verb.is_none() && last == "metadata";
        let last = (!is_metadata).then_some(last);
        let parts: Vec<&str> = before.iter().map(String::as_str).chain(last).collect();
        let (name, which) = match parts.as_slice() {
            [name] => (*name, Which::InUse),
            [name, "versions", number] => (*name, Which::Number(number.parse().ok()?)),
            [name, "labels", label] => (*name, Which::Alias((*label).to_owned())),
            _ => return None,
        };
        Some(Named { name: name.to_owned(), which, verb, is_metadata })
    }

    /// In the words of TensorFlow Serving.
    fn missing(&self) -> Refusal {
        let name = &self.name;
        Refusal::Missing(match &self.which {
            Which::InUse => format!("Servable not found for request: Latest({name})"),
            Which::Number(number) => format!("Servable not found for request: Specific({name}, {number})"),
            Which::Alias(label) => format!("Unrecognized servable version label: {label} of model {name}"),
        })
    }

    async fn find(&self, app: &Arc<App>) -> Result<Arc<Loaded>, Refusal> {
        find(app, &self.name, self.which.clone()).await.map_err(|refusal| self.in_its_words(refusal))
    }

    async fn choose(&self, app: &Arc<App>) -> Result<Chosen, Refusal> {
        choose(app, &self.name, self.which.clone()).await.map_err(|refusal| self.in_its_words(refusal))
    }

    fn in_its_words(&self, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::Missing(_) => self.missing(),
            other => other,
        }
    }
}

async fn v1_answer(app: &Arc<App>, request: Request) -> Result<Response, Refusal> {
    let path = parts_of(&request)?;
    let is_get = request.method() == Method::GET;
    if path.len() == 2 && is_get {
        return Ok(good(&json!({"models": names(app)})));
    }
    let malformed = format!("Malformed request: {} /{}", request.method(), path.join("/"));
    let Some(named) = Named::of(&path[2..]) else { return Err(Refusal::Missing(malformed)) };
    match named.verb.as_deref() {
        None if is_get && named.is_metadata => Ok(good(&tensorflow::metadata(&named.find(app).await?.model))),
        None if is_get => v1_status(app, &named).await,
        Some("predict") if !is_get => v1_predict(app, request, &named).await,
        Some("classify") if !is_get => v1_examples(app, request, &named, true).await,
        Some("regress") if !is_get => v1_examples(app, request, &named, false).await,
        Some("explain") if !is_get => {
            let loaded = named.find(app).await?;
            explained(app, request, loaded, explain::kserve).await
        }
        _ => Err(Refusal::Missing(malformed)),
    }
}

/// Why a version answers so, in a protocol's words. What is asked so is no prediction: it is not kept.
async fn explained(
    app: &Arc<App>,
    request: Request,
    loaded: Arc<Loaded>,
    explain: fn(&[u8], &serve::Servable) -> Result<Vec<u8>, serve::Problem>,
) -> Result<Response, Refusal> {
    let body = body_of(app, request).await?;
    let refused = |problem| match problem {
        serve::Problem::Unsupported(_) => Refusal::NotHere(problem.to_string()),
        other => Refusal::from(other),
    };
    // A row may take thousands of times as long as its prediction.
    let out = apart(move || explain(&body, &loaded.model).map_err(refused)).await?;
    Ok(plain(StatusCode::OK, out))
}

async fn v1_status(app: &Arc<App>, named: &Named) -> Result<Response, Refusal> {
    let versions = app.models.read(|book| book.asked(&named.name, &named.which)).map_err(|_| named.missing())?;
    let is_ready = named.find(app).await.is_ok();
    let status = |version: u64| {
        let (state, code, message) = version_state(app, &named.name, version);
        let status = json!({"error_code": code.1, "error_message": message});
        json!({"version": version.to_string(), "state": state.1, "status": status})
    };
    let all: Vec<Value> = versions.into_iter().map(status).collect();
    Ok(good(&json!({"model_version_status": all, "name": named.name, "ready": is_ready})))
}

/// Number and name of a version's state and of its error, in TensorFlow Serving's terms, and what is said of it.
pub fn version_state(app: &App, name: &str, version: u64) -> ((i32, &'static str), (i32, &'static str), String) {
    match app.serving.state(name, version) {
        Standing::Loaded | Standing::OnRequest => ((30, "AVAILABLE"), (0, "OK"), String::new()),
        Standing::Failed(why) => ((50, "END"), (12, "UNIMPLEMENTED"), why),
        Standing::Unloaded => ((50, "END"), (0, "OK"), String::new()),
    }
}

async fn v1_predict(app: &Arc<App>, request: Request, of: &Named) -> Result<Response, Refusal> {
    let chosen = of.choose(app).await?;
    let body = body_of(app, request).await?;
    let id = app.serving.prediction_id();
    let (id, out) = ask(app, &chosen, body.len(), move |loaded| {
        let asked = tensorflow::predict(&body, &loaded.model)?;
        let answer = loaded.model.ask(&asked.rows, asked.method)?;
        let out = tensorflow::predictions(&answer, asked.by_row);
        Ok((Question { id, rows: asked.rows }, out))
    })
    .await?;
    Ok(named(plain(StatusCode::OK, out), &id))
}

async fn v1_examples(app: &Arc<App>, request: Request, of: &Named, is_classify: bool) -> Result<Response, Refusal> {
    let chosen = of.choose(app).await?;
    let body = body_of(app, request).await?;
    let id = app.serving.prediction_id();
    let (id, out) = ask(app, &chosen, body.len(), move |loaded| {
        let rows = tensorflow::examples(&body, &loaded.model)?;
        let out = match is_classify {
            true => tensorflow::classified(&tensorflow::classify(&loaded.model, &rows)?),
            false => json!({"results": tensorflow::regress(&loaded.model, &rows)?}),
        };
        Ok((Question { id, rows }, out))
    })
    .await?;
    Ok(named(good(&out), &id))
}

// MLflow's scoring.

async fn scoring(State(app): Shared, request: Request) -> Response {
    match scoring_answer(&app, request).await {
        Ok(response) => response,
        Err(refusal) => {
            let code = match refusal.status() {
                404 => "RESOURCE_DOES_NOT_EXIST",
                501 => "NOT_IMPLEMENTED",
                503 => "TEMPORARILY_UNAVAILABLE",
                500 => "INTERNAL_ERROR",
                401 => "UNAUTHENTICATED",
                403 => "PERMISSION_DENIED",
                _ => "BAD_REQUEST",
            };
            refused(&refusal, json!({"error_code": code, "message": refusal.message()}))
        }
    }
}

async fn scoring_answer(app: &Arc<App>, request: Request) -> Result<Response, Refusal> {
    let (name, which) = scored_model(app, &parts_of(&request)?, &request)?;
    let kind = header_of(&request, header::CONTENT_TYPE).unwrap_or_default();
    let content = match kind.split(';').next().map(str::trim) {
        Some("application/json") => invocations::Content::Json,
        Some("text/csv") => invocations::Content::Csv,
        _ => {
            let says = format!(
                "This predictor only supports the following content types: Types: ['text/csv', 'application/json']. Got \
                 '{kind}'."
            );
            return Err(Refusal::NotAllowed(415, says));
        }
    };
    let chosen = choose(app, &name, which).await?;
    let body = body_of(app, request).await?;
    let id = app.serving.prediction_id();
    let (id, out) = ask(app, &chosen, body.len(), move |loaded| {
        let rows = invocations::rows(content, &body, &loaded.model.schema)?;
        let answer = loaded.model.ask(&rows, loaded.model.method)?;
        Ok((Question { id, rows }, invocations::write(&answer)))
    })
    .await?;
    Ok(named(plain(StatusCode::OK, out), &id))
}

/// The model that MLflow's scoring is asked of: named, or the only one.
fn scored_model(app: &App, path: &[String], request: &Request) -> Result<(String, Which), Refusal> {
    let of_path = (path[0] == "serving-endpoints").then(|| path[1].clone());
    let query = || pairs(request.uri().query().unwrap_or_default());
    let of_query = || query().into_iter().find(|(name, _)| name == "model").map(|(_, value)| value);
    let of_header = || header_of(request, MODEL).map(str::to_owned);
    model_or_only(app, of_path.or_else(of_query).or_else(of_header))
}

/// The model that is said, or the only one.
pub fn model_or_only(app: &App, said: Option<String>) -> Result<(String, Which), Refusal> {
    if let Some(said) = said {
        return Ok(with_version(&said));
    }
    let mut all = names(app);
    match all.len() {
        1 => Ok((all.remove(0), Which::InUse)),
        0 => Err(Refusal::Missing("no model is registered yet".into())),
        _ => Err(Refusal::Bad(format!(
            "which model? Say ?model=NAME, NAME/VERSION or NAME@ALIAS, or the header X-Bellwether-Model; there are: {}",
            all.join(", ")
        ))),
    }
}

/// `NAME`, `NAME/VERSION` or `NAME@ALIAS`.
fn with_version(said: &str) -> (String, Which) {
    match said.split_once(['@', '/']) {
        Some((name, which)) => (name.to_owned(), Which::of(which)),
        None => (said.to_owned(), Which::InUse),
    }
}

// Seldon.

async fn seldon_wire(State(app): Shared, request: Request) -> Response {
    match seldon_answer(&app, request).await {
        Ok(response) => response,
        Err(refusal) => refused(&refusal, seldon::refusal(refusal.status(), refusal.message())),
    }
}

async fn seldon_answer(app: &Arc<App>, request: Request) -> Result<Response, Refusal> {
    let path = parts_of(&request)?;
    let at = path.iter().position(|part| part == "v1.0" || part == "v0.1").unwrap_or(0);
    let rest: Vec<&str> = path[at + 1..].iter().map(String::as_str).collect();
    let (name, which) = match path[0].as_str() {
        "seldon" => (path[2].clone(), Which::InUse),
        _ => scored_model(app, &path, &request)?,
    };
    let is_post = request.method() == Method::POST;
    match rest.as_slice() {
        ["predictions"] if is_post => seldon_predict(app, request, &name, which).await,
        ["feedback"] if is_post => {
            let caller = guard::caller(app, Permission::Write, request.headers())?;
            let body = body_of(app, request).await?;
            let feedback = seldon::feedback(&body)?;
            super::feedback(app, caller, &name, which, feedback).await?;
            Ok(good(&json!({"meta": {}})))
        }
        ["metadata" | "metadata/graph"] => {
            let loaded = find(app, &name, which).await?;
            Ok(good(&v2::metadata(&loaded.model, &versions(app, &name))))
        }
        ["health", "status" | "ping"] | ["health/status" | "health/ping"] => {
            find(app, &name, which).await?;
            Ok(good(&json!({"status": "ok"})))
        }
        ["explain"] if is_post => {
            let loaded = find(app, &name, which).await?;
            explained(app, request, loaded, explain::seldon).await
        }
        _ => Err(unknown(&request, &path)),
    }
}

async fn seldon_predict(app: &Arc<App>, request: Request, name: &str, which: Which) -> Result<Response, Refusal> {
    let chosen = choose(app, name, which).await?;
    let said = header_of(&request, "seldon-puid").map(str::to_owned);
    let body = body_of(app, request).await?;
    let spare = said.unwrap_or_else(|| app.serving.prediction_id());
    let (id, out) = ask(app, &chosen, body.len(), move |loaded| {
        let message = seldon::Message::read(&body)?;
        let (rows, form) = message.rows(&loaded.model)?;
        let answer = loaded.model.ask(&rows, seldon::method(&loaded.model))?;
        let id = message.puid().map_or(spare, str::to_owned);
        let out = seldon::answer(&loaded.model, &id, &answer, form);
        Ok((Question { id, rows }, out))
    })
    .await?;
    Ok(named(good(&out), &id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Option<(String, Which, Option<String>, bool)> {
        let parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        Named::of(&parts).map(|named| (named.name, named.which, named.verb, named.is_metadata))
    }

    #[test]
    fn paths_of_tensorflow_serving_name_models_versions_and_labels() {
        let verb = |verb: &str| Some(verb.to_owned());
        assert_eq!(of("m"), Some(("m".into(), Which::InUse, None, false)));
        assert_eq!(of("m:predict"), Some(("m".into(), Which::InUse, verb("predict"), false)));
        assert_eq!(of("m/versions/3:Classify"), Some(("m".into(), Which::Number(3), verb("classify"), false)));
        assert_eq!(of("m/labels/canary/metadata"), Some(("m".into(), Which::Alias("canary".into()), None, true)));
        assert_eq!(of("metadata"), Some(("metadata".into(), Which::InUse, None, false)));
        for bad in ["m/versions/x", "m/n", "m/versions/1/2/3"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn models_are_named_with_their_version() {
        assert_eq!(with_version("iris"), ("iris".into(), Which::InUse));
        assert_eq!(with_version("iris/2"), ("iris".into(), Which::Number(2)));
        assert_eq!(with_version("iris@champion"), ("iris".into(), Which::Alias("champion".into())));
    }
}
