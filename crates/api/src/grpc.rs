//! gRPC's frames, and OTLP over it. The message's bytes go to the same decoders as HTTP's: no protobuf struct is built.

use std::sync::Arc;

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use http_body_util::{BodyExt, Full};
use ingest::{Compression, Decoded, Encoding};
use tonic::{Code, Status};

use crate::{
    auth::Permission,
    errors::ApiError,
    guard::Caller,
    intake::{Signal, outcome_of, partial_success, read_body, statuses, store_otlp},
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
    match take(&app, signal, caller, request).await {
        Ok(decoded) => answer(&partial_success(&decoded)),
        Err(error) => refuse(error),
    }
}

/// Reads the call's one message within the same memory budget and limits as bodies over HTTP.
async fn take(app: &Arc<App>, signal: Signal, caller: Caller, request: Request) -> Result<Decoded, ApiError> {
    let encoding = encoding(request.headers())?;
    let path = request.uri().path().to_owned();
    let (body, _held) = read_body(app, request).await?;
    let (message, compressed) = one_message(&body)?;
    let compression = if compressed { encoding } else { Compression::Identity };
    store_otlp(app, signal, false, caller, Encoding::Protobuf, compression, &path, message).await
}

/// How a call's messages are compressed, if their flags say so.
pub fn encoding(headers: &HeaderMap) -> Result<Compression, ApiError> {
    let text = |name: &str| headers.get(name).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let kind = text("content-type");
    if !kind.starts_with("application/grpc") {
        return Err(ApiError::unsupported(format!("content-type {kind:?} is not gRPC: HTTP has its own port")));
    }
    let encoding = Compression::from_header(text("grpc-encoding"))?;
    if encoding == Compression::Snappy {
        return Err(ApiError::unsupported("grpc-encoding snappy is not spoken: use gzip, zstd or identity"));
    }
    Ok(encoding)
}

/// A message on the wire is one byte (1: compressed), its length in four, and its bytes.
pub fn one_message(body: &Bytes) -> Result<(Bytes, bool), ApiError> {
    let Some((head, rest)) = body.split_first_chunk::<5>() else {
        return Err(ApiError::bad_request("the call holds no message"));
    };
    let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if head[0] > 1 || len != rest.len() {
        let have = rest.len();
        return Err(ApiError::bad_request(format!("not one gRPC message: it says {len} bytes, {have} came")));
    }
    Ok((body.slice(5..), head[0] == 1))
}

/// An answer of one message.
pub fn answer(message: &[u8]) -> Response {
    let trailers = trailers(&Status::new(Code::Ok, ""));
    response(Body::new(Full::new(frame(message)).with_trailers(std::future::ready(Some(Ok(trailers))))))
}

/// A message as it goes over the wire.
pub fn frame(message: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(5 + message.len());
    frame.push(0);
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(message);
    frame.into()
}

/// How a call ended, after its messages.
pub fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // A status whose words are no header goes without them.
    if status.add_header(&mut trailers).is_err() {
        trailers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(i32::from(status.code())));
    }
    trailers
}

/// An answer whose body holds messages and trailers.
pub fn response(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// An error as gRPC says it: HTTP 200 and the status in the head.
pub fn refuse(error: ApiError) -> Response {
    let unspoken = error.status == StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let mut response: Response = status(error).into_http();
    if unspoken {
        let spoken = HeaderValue::from_static("identity,gzip,zstd");
        response.headers_mut().insert(HeaderName::from_static("grpc-accept-encoding"), spoken);
    }
    response
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_holds_exactly_one_message() {
        assert_eq!(
            one_message(&Bytes::from_static(&[1, 0, 0, 0, 2, 7, 8])).unwrap(),
            (Bytes::from_static(&[7, 8]), true)
        );
        assert!(one_message(&Bytes::from_static(&[0, 0, 0, 0, 0])).unwrap().0.is_empty());
        for bad in [&[][..], &[0, 0, 0, 0], &[0, 0, 0, 0, 3, 1], &[0, 0, 0, 0, 1, 1, 2], &[2, 0, 0, 0, 1, 1]] {
            assert!(one_message(&Bytes::copy_from_slice(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_what_a_retry_can_mend_says_when_to_retry() {
        let busy = status(ApiError::unavailable("full"));
        assert_eq!(busy.code(), Code::Unavailable);
        assert!(busy.details().windows(9).any(|w| w == b"RetryInfo"));
        let bad = status(ApiError::bad_request("broken"));
        assert_eq!((bad.code(), bad.details().len()), (Code::InvalidArgument, 0));
        assert_eq!(status(ApiError::no_token()).code(), Code::Unauthenticated);
    }
}
