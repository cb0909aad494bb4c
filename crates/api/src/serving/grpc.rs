//! Inference over gRPC: the Open Inference Protocol, TensorFlow Serving, Seldon. One call is one message, but for the
//! stream of requests that Triton's clients send.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::Method,
    response::Response,
};
use futures::StreamExt;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use models::serving::Which;
use prost::Message;
use serve::{
    Answer,
    wire::{
        seldon, seldon_grpc, tensorflow,
        tensorflow_grpc::{self as tf, Choice, ModelSpec},
        v2_grpc as v2,
    },
};
use tonic::{Code, Status};

use super::{
    Loaded, Refusal, find,
    http::{EXTENSIONS, index, set_in_service, version_state, versions},
    traffic::{Chosen, Question, ask, choose},
};
use crate::{auth::Permission, grpc, guard, intake, routes::Routes, state::App};

/// Adds the services.
pub fn add(routes: &mut Routes) {
    let inference = "The Open Inference Protocol, version 2, over gRPC";
    let post = Method::POST;
    routes.add(post.clone(), "/inference.GRPCInferenceService/{method}", Permission::Read, inference, infer);
    let tensorflow = "TensorFlow Serving's predictions over gRPC";
    routes.add(post.clone(), "/tensorflow.serving.PredictionService/{method}", Permission::Read, tensorflow, predict);
    let status = "TensorFlow Serving's state of models over gRPC; labels are moved with write";
    routes.add(post.clone(), "/tensorflow.serving.ModelService/{method}", Permission::Read, status, model_service);
    let seldon = "Seldon's first protocol over gRPC";
    routes.add(post.clone(), "/seldon.protos.Seldon/{method}", Permission::Read, seldon, seldon_service);
    routes.add(post, "/seldon.protos.Model/{method}", Permission::Read, seldon, seldon_service);
}

type Shared = State<Arc<App>>;

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Status {
        let code = match &refusal {
            Refusal::Missing(_) => Code::NotFound,
            Refusal::Bad(_) => Code::InvalidArgument,
            Refusal::NotHere(_) => Code::Unimplemented,
            Refusal::Unavailable(_) => Code::Unavailable,
            Refusal::Broken(_) => Code::Internal,
            Refusal::NotAllowed(401, _) => Code::Unauthenticated,
            Refusal::NotAllowed(403, _) => Code::PermissionDenied,
            Refusal::NotAllowed(413, _) => Code::ResourceExhausted,
            Refusal::NotAllowed(..) => Code::InvalidArgument,
        };
        Status::new(code, refusal.message())
    }
}

fn answered(outcome: Result<Vec<u8>, Refusal>) -> Response {
    match outcome {
        Ok(message) => grpc::answer(&message),
        Err(refusal) => Status::from(refusal).into_http(),
    }
}

/// The last part of the path: which method is called.
fn method_of(request: &Request) -> String {
    request.uri().path().rsplit('/').next().unwrap_or_default().to_owned()
}

/// The call's one message, inflated.
async fn message(app: &Arc<App>, request: Request) -> Result<Bytes, Refusal> {
    let encoding = grpc::encoding(request.headers())?;
    let (body, _held) = intake::read_body(app, request).await?;
    let (message, is_compressed) = grpc::one_message(&body)?;
    inflated(app, message, is_compressed, encoding)
}

fn inflated(app: &App, message: Bytes, is_compressed: bool, encoding: ingest::Compression) -> Result<Bytes, Refusal> {
    if !is_compressed {
        return Ok(message);
    }
    let whole = ingest::decompress(&message, encoding, app.ingest.limits().max_body_len);
    Ok(Bytes::from(whole.map_err(crate::errors::ApiError::from)?.into_owned()))
}

fn read<T: Message + Default>(bytes: &[u8]) -> Result<T, Refusal> {
    T::decode(bytes).map_err(|error| Refusal::Bad(format!("the message cannot be read: {error}")))
}

fn unknown(method: &str) -> Refusal {
    Refusal::NotHere(format!("there is no method {method}"))
}

// The Open Inference Protocol.

async fn infer(State(app): Shared, request: Request) -> Response {
    let method = method_of(&request);
    if method == "ModelStreamInfer" {
        return stream(app, request);
    }
    answered(infer_answer(&app, &method, request).await)
}

async fn infer_answer(app: &Arc<App>, method: &str, request: Request) -> Result<Vec<u8>, Refusal> {
    let headers = request.headers().clone();
    let body = message(app, request).await?;
    let of_model = || read::<v2::ModelRequest>(&body);
    Ok(match method {
        "ModelInfer" => model_infer(app, read(&body)?, body.len()).await?.encode_to_vec(),
        "ServerLive" => v2::Flag { is: true }.encode_to_vec(),
        "ServerReady" => v2::Flag { is: app.ready.load(std::sync::atomic::Ordering::Acquire) }.encode_to_vec(),
        "ModelReady" => {
            let asked = of_model()?;
            match find(app, &asked.name, Which::of(&asked.version)).await {
                Ok(_) => v2::Flag { is: true }.encode_to_vec(),
                Err(Refusal::Missing(_)) => v2::Flag { is: false }.encode_to_vec(),
                Err(Refusal::NotHere(_) | Refusal::Unavailable(_)) => v2::Flag { is: false }.encode_to_vec(),
                Err(other) => return Err(other),
            }
        }
        "ServerMetadata" => v2::ServerMetadataResponse {
            name: "bellwether".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            extensions: EXTENSIONS.iter().map(|name| (*name).to_owned()).collect(),
        }
        .encode_to_vec(),
        "ModelMetadata" => {
            let asked = of_model()?;
            let loaded = find(app, &asked.name, Which::of(&asked.version)).await?;
            v2::metadata(&loaded.model, versions(app, &asked.name)).encode_to_vec()
        }
        "ModelConfig" => {
            let asked = of_model()?;
            let loaded = find(app, &asked.name, Which::of(&asked.version)).await?;
            v2::ModelConfigResponse { config: Some(v2::config(&loaded.model)) }.encode_to_vec()
        }
        "ModelStatistics" => {
            let asked = of_model()?;
            let all = match asked.name.as_str() {
                "" => app.serving.loaded(),
                name => vec![find(app, name, Which::of(&asked.version)).await?],
            };
            let model_stats = all.iter().map(|loaded| statistics(loaded)).collect();
            v2::ModelStatisticsResponse { model_stats }.encode_to_vec()
        }
        "RepositoryIndex" => {
            let asked: v2::RepositoryIndexRequest = read(&body)?;
            let all = index(app).into_iter().filter(|model| !asked.ready || model.state == "READY");
            let models = all.map(|model| v2::ModelIndex {
                name: model.name,
                version: model.version.to_string(),
                state: model.state.into(),
                reason: model.reason,
            });
            v2::RepositoryIndexResponse { models: models.collect() }.encode_to_vec()
        }
        "RepositoryModelLoad" | "RepositoryModelUnload" => {
            guard::caller(app, Permission::Write, &headers)?;
            let asked: v2::RepositoryModelRequest = read(&body)?;
            set_in_service(app, &asked.model_name, method == "RepositoryModelLoad").await?;
            Vec::new()
        }
        "SystemSharedMemoryStatus" | "CudaSharedMemoryStatus" => Vec::new(),
        other => return Err(unknown(other)),
    })
}

async fn model_infer(
    app: &Arc<App>,
    asked: v2::ModelInferRequest,
    bytes: usize,
) -> Result<v2::ModelInferResponse, Refusal> {
    let chosen = choose(app, &asked.model_name, Which::of(&asked.model_version)).await?;
    let spare = app.serving.prediction_id();
    ask(app, &chosen, bytes, move |loaded| {
        let mut asked = asked.asked()?;
        let rows = asked.rows(&loaded.model)?;
        let outputs = asked.answer(&loaded.model, &rows)?;
        let id = asked.id.unwrap_or(spare);
        let response = v2::response(&loaded.model, id.clone(), outputs);
        Ok((Question { id, rows }, response))
    })
    .await
    .map(|(_, response)| response)
}

fn statistics(loaded: &Loaded) -> v2::ModelStatistics {
    use std::sync::atomic::Ordering::Relaxed;
    let counts = &loaded.counts;
    let (answered, refused) = (counts.answered.load(Relaxed), counts.refused.load(Relaxed));
    v2::ModelStatistics {
        name: loaded.model.name.clone(),
        version: loaded.model.version.to_string(),
        last_inference: counts.last_ms.load(Relaxed) as u64,
        inference_count: counts.rows.load(Relaxed),
        execution_count: answered,
        inference_stats: Some(v2::InferStatistics {
            success: Some(v2::StatisticDuration { count: answered, ns: counts.answered_ns.load(Relaxed) }),
            fail: Some(v2::StatisticDuration { count: refused, ns: counts.refused_ns.load(Relaxed) }),
        }),
    }
}

/// Requests of a stream, answered in their order.
struct Stream {
    app: Arc<App>,
    body: Body,
    encoding: ingest::Compression,
    read: Vec<u8>,
    is_over: bool,
}

/// A stream of requests: each is answered as it comes, a wrong one with its error, and the stream goes on.
fn stream(app: Arc<App>, request: Request) -> Response {
    let encoding = match grpc::encoding(request.headers()) {
        Ok(encoding) => encoding,
        Err(error) => return grpc::refuse(error),
    };
    let state = Stream { app, body: request.into_body(), encoding, read: Vec::new(), is_over: false };
    let frames = futures::stream::unfold(state, |mut state| async move {
        if state.is_over {
            return None;
        }
        let frame = match state.next().await {
            Ok(Some(message)) => Frame::data(grpc::frame(&message)),
            Ok(None) => {
                state.is_over = true;
                Frame::trailers(grpc::trailers(&Status::new(Code::Ok, "")))
            }
            Err(refusal) => {
                state.is_over = true;
                Frame::trailers(grpc::trailers(&Status::from(refusal)))
            }
        };
        Some((Ok::<_, std::convert::Infallible>(frame), state))
    });
    grpc::response(Body::new(StreamBody::new(frames.fuse().boxed())))
}

impl Stream {
    /// The answer to the next request; `None`: there is no more.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        loop {
            if let Some((message, is_compressed)) = self.take()? {
                let message = inflated(&self.app, message, is_compressed, self.encoding)?;
                let bytes = message.len();
                let asked: v2::ModelInferRequest = read(&message)?;
                let answer = match model_infer(&self.app, asked, bytes).await {
                    Ok(response) => {
                        v2::ModelStreamInferResponse { infer_response: Some(response), ..Default::default() }
                    }
                    Err(refusal) => v2::ModelStreamInferResponse {
                        error_message: refusal.message().to_owned(),
                        ..Default::default()
                    },
                };
                return Ok(Some(answer.encode_to_vec()));
            }
            match self.body.frame().await {
                None if self.read.is_empty() => return Ok(None),
                None => return Err(Refusal::Bad("the stream ends within a message".into())),
                Some(Err(error)) => return Err(Refusal::Bad(format!("the stream broke off: {error}"))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.read.extend_from_slice(&data);
                    }
                }
            }
        }
    }

    /// A message that has come as a whole.
    fn take(&mut self) -> Result<Option<(Bytes, bool)>, Refusal> {
        let Some((head, rest)) = self.read.split_first_chunk::<5>() else { return Ok(None) };
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let most = self.app.ingest.limits().max_body_len;
        if head[0] > 1 || length > most {
            return Err(Refusal::Bad(format!("no message of gRPC, or one of more than {most} bytes")));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let is_compressed = head[0] == 1;
        let after = self.read.split_off(5 + length);
        let mut message = std::mem::replace(&mut self.read, after);
        message.drain(..5);
        Ok(Some((message.into(), is_compressed)))
    }
}

// TensorFlow Serving.

async fn predict(State(app): Shared, request: Request) -> Response {
    let method = method_of(&request);
    answered(predict_answer(&app, &method, request).await)
}

/// The model that a call names.
fn named(spec: Option<&ModelSpec>) -> Result<(String, Which), Refusal> {
    let spec = spec.filter(|spec| !spec.name.is_empty());
    let spec = spec.ok_or_else(|| Refusal::Bad("Missing ModelSpec".into()))?;
    let which = match &spec.choice {
        None => Which::InUse,
        Some(Choice::Version(number)) => Which::Number(u64::try_from(number.value).unwrap_or(0)),
        Some(Choice::Label(label)) => Which::Alias(label.clone()),
    };
    Ok((spec.name.clone(), which))
}

async fn servable(app: &Arc<App>, spec: Option<&ModelSpec>) -> Result<Chosen, Refusal> {
    let (name, which) = named(spec)?;
    let missing = match &which {
        Which::InUse => format!("Servable not found for request: Latest({name})"),
        Which::Number(number) => format!("Servable not found for request: Specific({name}, {number})"),
        Which::Alias(label) => format!("Unrecognized servable version label: {label}"),
    };
    choose(app, &name, which).await.map_err(|refusal| match refusal {
        Refusal::Missing(_) => Refusal::Missing(missing),
        other => other,
    })
}

async fn predict_answer(app: &Arc<App>, method: &str, request: Request) -> Result<Vec<u8>, Refusal> {
    let body = message(app, request).await?;
    let id = app.serving.prediction_id();
    match method {
        "Predict" => {
            let asked: tf::PredictRequest = read(&body)?;
            let chosen = servable(app, asked.model_spec.as_ref()).await?;
            ask(app, &chosen, body.len(), move |loaded| tf_predict(loaded, asked, id)).await.map(|(_, out)| out)
        }
        "Classify" => {
            let asked: tf::ExamplesRequest = read(&body)?;
            let chosen = servable(app, asked.model_spec.as_ref()).await?;
            ask(app, &chosen, body.len(), move |loaded| {
                let rows = tf::example_rows(asked.input, &loaded.model)?;
                let classes = |row: Vec<(String, f64)>| tf::Classifications {
                    classes: row.into_iter().map(|(label, score)| tf::Class { label, score: score as f32 }).collect(),
                };
                let classifications = tensorflow::classify(&loaded.model, &rows)?.into_iter().map(classes).collect();
                let response = tf::ClassificationResponse {
                    result: Some(tf::ClassificationResult { classifications }),
                    model_spec: Some(tf::spec(&loaded.model, tensorflow::DEFAULT)),
                };
                Ok((Question { id, rows }, response.encode_to_vec()))
            })
            .await
            .map(|(_, out)| out)
        }
        "Regress" => {
            let asked: tf::ExamplesRequest = read(&body)?;
            let chosen = servable(app, asked.model_spec.as_ref()).await?;
            ask(app, &chosen, body.len(), move |loaded| {
                let rows = tf::example_rows(asked.input, &loaded.model)?;
                let values = tensorflow::regress(&loaded.model, &rows)?;
                let regressions = values.into_iter().map(|value| tf::Regression { value: value as f32 }).collect();
                let response = tf::RegressionResponse {
                    result: Some(tf::RegressionResult { regressions }),
                    model_spec: Some(tf::spec(&loaded.model, tensorflow::DEFAULT)),
                };
                Ok((Question { id, rows }, response.encode_to_vec()))
            })
            .await
            .map(|(_, out)| out)
        }
        "GetModelMetadata" => {
            let asked: tf::GetModelMetadataRequest = read(&body)?;
            if let Some(other) = asked.metadata_field.iter().find(|field| *field != "signature_def") {
                return Err(Refusal::Bad(format!("Metadata field {other} is not supported")));
            }
            let loaded = servable(app, asked.model_spec.as_ref()).await?.loaded;
            Ok(tf::metadata(&loaded.model).encode_to_vec())
        }
        other => Err(unknown(other)),
    }
}

fn tf_predict(loaded: &Loaded, asked: tf::PredictRequest, id: String) -> Result<(Question, Vec<u8>), serve::Problem> {
    let model = &loaded.model;
    let signature = asked.model_spec.as_ref().map(|spec| spec.signature_name.clone()).unwrap_or_default();
    let method = tensorflow::method(&signature, model)?;
    if let Some(other) = asked.output_filter.iter().find(|output| *output != method.name()) {
        return Err(serve::Problem::Request(format!("output tensor alias not found in signature: {other}")));
    }
    let rows = asked.rows(model)?;
    let answer: Answer = model.ask(&rows, method)?;
    let signature = if signature.is_empty() { tensorflow::DEFAULT } else { &signature };
    let response = tf::PredictResponse {
        outputs: [(method.name().to_owned(), tf::tensor_of(answer))].into(),
        model_spec: Some(tf::spec(model, signature)),
    };
    Ok((Question { id, rows }, response.encode_to_vec()))
}

async fn model_service(State(app): Shared, request: Request) -> Response {
    let method = method_of(&request);
    answered(model_answer(&app, &method, request).await)
}

async fn model_answer(app: &Arc<App>, method: &str, request: Request) -> Result<Vec<u8>, Refusal> {
    let headers = request.headers().clone();
    let body = message(app, request).await?;
    match method {
        "GetModelStatus" => {
            let asked: tf::GetModelStatusRequest = read(&body)?;
            let (name, which) = named(asked.model_spec.as_ref())?;
            let versions = app.models.read(|book| book.asked(&name, &which));
            let missing = |_| Refusal::Missing(format!("Could not find any versions of model {name}"));
            let status = |version: u64| {
                let (state, code, error_message) = version_state(app, &name, version);
                let status = Some(tf::StatusProto { error_code: code.0, error_message });
                tf::ModelVersionStatus { version: version as i64, state: state.0, status }
            };
            let model_version_status = versions.map_err(missing)?.into_iter().map(status).collect();
            Ok(tf::GetModelStatusResponse { model_version_status }.encode_to_vec())
        }
        "HandleReloadConfigRequest" => {
            guard::caller(app, Permission::Write, &headers)?;
            let asked: tf::ReloadConfigRequest = read(&body)?;
            let outcome = reload(app, asked).await;
            let (error_code, error_message) = match outcome {
                Ok(()) => (0, String::new()),
                Err(refusal) => (i32::from(Status::from(refusal.clone()).code()), refusal.message().to_owned()),
            };
            Ok(tf::ReloadConfigResponse { status: Some(tf::StatusProto { error_code, error_message }) }.encode_to_vec())
        }
        other => Err(unknown(other)),
    }
}

/// Labels of versions become aliases. Where models lie is told by the registry, so a path is not looked at.
async fn reload(app: &Arc<App>, asked: tf::ReloadConfigRequest) -> Result<(), Refusal> {
    let list = asked.config.and_then(|config| config.model_config_list).unwrap_or_default().config;
    for model in &list {
        app.models.read(|book| book.answering(&model.name, &Which::InUse).map(drop))?;
    }
    for model in list {
        let mut labels: Vec<(String, i64)> = model.version_labels.into_iter().collect();
        labels.sort();
        let name = model.name.clone();
        app.models
            .change(move |book, _| {
                labels.iter().try_for_each(|(label, version)| book.set_alias(&name, label, &version.to_string()))
            })
            .await?;
        super::ready(app, &model.name, Which::InUse).await;
    }
    Ok(())
}

// Seldon.

async fn seldon_service(State(app): Shared, request: Request) -> Response {
    let method = method_of(&request);
    answered(seldon_answer(&app, &method, request).await)
}

async fn seldon_answer(app: &Arc<App>, method: &str, request: Request) -> Result<Vec<u8>, Refusal> {
    let headers = request.headers().clone();
    let said = headers.get("seldon").or_else(|| headers.get("x-bellwether-model"));
    let name = said.and_then(|name| name.to_str().ok()).map(str::to_owned);
    let body = message(app, request).await?;
    let (name, which) = super::http::model_or_only(app, name)?;
    match method {
        "Predict" => {
            let asked: seldon_grpc::SeldonMessage = read(&body)?;
            let chosen = choose(app, &name, which).await?;
            let spare = app.serving.prediction_id();
            ask(app, &chosen, body.len(), move |loaded| {
                let asked = seldon::Message::of(asked.to_json())?;
                let (rows, form) = asked.rows(&loaded.model)?;
                let answer = loaded.model.ask(&rows, seldon::method(&loaded.model))?;
                let id = asked.puid().map_or(spare, str::to_owned);
                let out = seldon::answer(&loaded.model, &id, &answer, form);
                Ok((Question { id, rows }, seldon_grpc::SeldonMessage::of_json(&out).encode_to_vec()))
            })
            .await
            .map(|(_, out)| out)
        }
        "SendFeedback" => {
            let caller = guard::caller(app, Permission::Write, &headers)?;
            let asked: seldon_grpc::Feedback = read(&body)?;
            let feedback = seldon::feedback_of(&asked.to_json())?;
            super::feedback(app, caller, &name, which, feedback).await?;
            Ok(seldon_grpc::SeldonMessage::default().encode_to_vec())
        }
        other => Err(unknown(other)),
    }
}
