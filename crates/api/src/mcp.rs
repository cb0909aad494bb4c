//! `/mcp`: the Model Context Protocol over Streamable HTTP, so that a person's own agent can ask. It only reads.
//!
//! A handler of our own: what is needed are five methods without state, for which the official SDK brings 81 packages.

mod catalog;
mod protocol;
mod tools;
mod untrusted;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use protocol::Answer;
use tools::Asked;

use crate::{auth::Permission, guard::Caller, routes::Routes, state::App};

/// Largest body, bytes.
const BODY_MOST: usize = 1 << 20;
/// A body must be there within this.
const BODY_TIME: Duration = Duration::from_secs(30);

/// Other methods than POST are answered 405: there are no sessions to end and no events of the server's own.
pub fn add(routes: &mut Routes) {
    let what = "The Model Context Protocol: tools for agents, which only read";
    routes.add(Method::POST, "/mcp", Permission::Read, what, post);
}

async fn post(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let answer = match tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, BODY_MOST)).await {
        Ok(Ok(body)) => protocol::answer(&head.headers, &body, &Asked { app, caller }).await,
        Ok(Err(_)) => {
            Answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {BODY_MOST} bytes"))
        }
        Err(_) => Answer::refusal(StatusCode::REQUEST_TIMEOUT, "the body came too slowly"),
    };
    responded(&answer)
}

fn responded(answer: &Answer) -> Response {
    let Some((kind, text)) = answer.rendered() else { return answer.status.into_response() };
    let mut response = (answer.status, text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if answer.as_event {
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    }
    response
}
