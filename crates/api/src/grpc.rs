//! OTLP over gRPC. The message's bytes go to the same decoders as HTTP's: no protobuf struct is built.

use std::sync::Arc;

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Request, State},
    http::Method,
    response::Response,
};
use bytes::{Buf, BufMut};
use ingest::{Compression, Encoding};
use tonic::{
    Code, Status,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{Grpc, UnaryService},
};

use crate::{
    auth::Permission,
    errors::ApiError,
    guard::Caller,
    intake::{self, Signal, outcome_of, partial_success, statuses},
    routes::Routes,
    state::App,
};

/// The three collector services.
pub fn add(routes: &mut Routes) {
    let post = Method::POST;
    routes.add(
        post.clone(),
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Permission::Ingest,
        "OTLP metrics over gRPC",
        |a, c, r| export(Signal::Metrics, a, c, r),
    );
    routes.add(
        post.clone(),
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Permission::Ingest,
        "OTLP logs over gRPC",
        |a, c, r| export(Signal::Logs, a, c, r),
    );
    routes.add(
        post,
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Permission::Ingest,
        "OTLP traces over gRPC",
        |a, c, r| export(Signal::Traces, a, c, r),
    );
}

async fn export(
    signal: Signal,
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let limit = app.ingest.limits().max_body_len;
    let path = request.uri().path().to_owned();
    let mut grpc = Grpc::new(RawCodec).accept_compressed(CompressionEncoding::Gzip).max_decoding_message_size(limit);
    let service = Export { app, caller, signal, path };
    grpc.unary(service, request).await.map(Body::new)
}

struct Export {
    app: Arc<App>,
    caller: Caller,
    signal: Signal,
    path: String,
}

impl UnaryService<Bytes> for Export {
    type Response = Vec<u8>;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<tonic::Response<Vec<u8>>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let (app, caller, signal, path) = (self.app.clone(), self.caller.clone(), self.signal, self.path.clone());
        Box::pin(async move {
            let body = request.into_inner();
            match intake::store_otlp(
                &app,
                signal,
                false,
                caller,
                Encoding::Protobuf,
                Compression::Identity,
                &path,
                body,
            )
            .await
            {
                Ok(decoded) => Ok(tonic::Response::new(partial_success(&decoded))),
                Err(error) => Err(status(error)),
            }
        })
    }
}

/// The status of an error; where trying again helps it says when (`google.rpc.RetryInfo`).
fn status(error: ApiError) -> Status {
    let (_, _, number) = statuses(outcome_of(&error));
    let code = Code::from_i32(number);
    let message = format!("{}: {}", error.error, error.hint);
    if code != Code::Unavailable {
        return Status::new(code, message);
    }
    // google.rpc.Status { code = 1, message = 2, details = 3: Any { type_url = 1, value = 2 } } with
    // RetryInfo { retry_delay = 1: Duration { seconds = 1 } }.
    let (mut delay, mut info, mut any, mut details) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    prost::encoding::int64::encode(1, &2, &mut delay);
    prost::encoding::bytes::encode(1, &delay, &mut info);
    prost::encoding::string::encode(1, &"type.googleapis.com/google.rpc.RetryInfo".to_owned(), &mut any);
    prost::encoding::bytes::encode(2, &info, &mut any);
    prost::encoding::int32::encode(1, &number, &mut details);
    prost::encoding::string::encode(2, &message, &mut details);
    prost::encoding::bytes::encode(3, &any, &mut details);
    Status::with_details(code, message, details.into())
}

/// Messages as they are on the wire.
#[derive(Clone, Copy, Default)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = RawCodec;
    type Decoder = RawCodec;

    fn encoder(&mut self) -> RawCodec {
        RawCodec
    }

    fn decoder(&mut self) -> RawCodec {
        RawCodec
    }
}

impl Encoder for RawCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let len = from.remaining();
        Ok(Some(from.copy_to_bytes(len)))
    }
}
