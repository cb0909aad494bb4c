//! Reading the rest of a body that nobody wants.
//!
//! A request may be answered before its body was read: too large, too much at once, not allowed. A sender that is still
//! writing would see its connection break instead of the answer, and would not learn why. So the rest is read and
//! dropped for a while, as nginx's `lingering_close` does.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    middleware::Next,
    response::Response,
};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

/// At most so much is read and dropped, bytes, and for so long.
const MOST: usize = 128 << 20;
const LONGEST: Duration = Duration::from_secs(5);

/// Wraps the body of each request.
pub async fn layer(request: Request, next: Next) -> Response {
    next.run(request.map(|body| Body::new(Lingering(body)))).await
}

/// A body whose rest is read when it is dropped.
struct Lingering(Body);

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(task)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if self.0.is_end_stream() {
            return;
        }
        let (body, Ok(runtime)) = (std::mem::take(&mut self.0), tokio::runtime::Handle::try_current()) else { return };
        runtime.spawn(tokio::time::timeout(LONGEST, read_rest(body)));
    }
}

async fn read_rest(mut body: Body) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > MOST {
            return;
        }
    }
}
