//! The interface's files, built into the binary.

use axum::{
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use crate::errors::ApiError;

#[derive(rust_embed::RustEmbed)]
#[folder = "../../ui/dist"]
#[allow_missing = true]
struct Files;

const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>Bellwether</title><h1>The interface is not built</h1>\
    <p>Run <code>cargo xtask ui</code> and build again. The API is at <a href=/api/v1/openapi.json>/api/v1/openapi.json</a>.";

/// A file, or the interface's page for a path that is its own to interpret.
pub async fn serve(method: Method, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if ["api/", "v1/", "metrics"].iter().any(|p| path.starts_with(p)) {
        return ApiError::not_found(format!("no such path: /{path}")).into_response();
    }
    if !matches!(method, Method::GET | Method::HEAD) {
        return ApiError::not_found(format!("nothing takes {method} at /{path}")).into_response();
    }
    if let Some(file) = Files::get(path) {
        // Built assets have a hash in their name and never change.
        let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
        let kind = file.metadata.mimetype().to_owned();
        return answer(&kind, cache, file.data.into_owned());
    }
    if path.rsplit('/').next().is_some_and(|last| last.contains('.')) && path.starts_with("assets/") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let page = Files::get("index.html").map_or_else(|| NOT_BUILT.as_bytes().to_vec(), |f| f.data.into_owned());
    answer("text/html; charset=utf-8", "no-cache", page)
}

fn answer(kind: &str, cache: &'static str, body: Vec<u8>) -> Response {
    let mut response = body.into_response();
    let kind = HeaderValue::from_str(kind).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}
