//! The API's description, OpenAPI 3.1, generated from the list of routes and compared in a test.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Map, Value, json};

use crate::{
    auth::Permission,
    routes::{self, Route},
    state::App,
};

/// `GET /api/v1/openapi.json`.
pub async fn serve(State(app): State<Arc<App>>) -> Json<Value> {
    Json(document(&routes::all(&app).listed))
}

/// The document for these routes.
pub fn document(listed: &[Route]) -> Value {
    let mut paths = Map::new();
    for route in listed {
        let parameters: Vec<Value> = route
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({"name": name.trim_start_matches('*'), "in": "path", "required": true, "schema": {"type": "string"}}))
            .collect();
        let mut operation = json!({
            "summary": route.summary,
            "operationId": format!("{}{}", route.method.as_str().to_lowercase(), route.path.replace(['/', '.', '-'], "_").replace(['{', '}', '*'], "")),
            "responses": {
                "2XX": {"description": "Done"},
                "4XX": {"description": "The request is wrong or not allowed", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}},
                "503": {"description": "Try again after the time in Retry-After", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}},
            },
            "x-permission": route.permission.name(),
        });
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if route.permission != Permission::Public {
            operation["security"] = json!([{"token": []}]);
        }
        let path = paths.entry(route.path.replace("{*", "{")).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Bellwether", "version": env!("CARGO_PKG_VERSION"), "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": {"type": "object", "required": ["error", "hint", "code"], "properties": {
                "error": {"type": "string"}, "hint": {"type": "string"}, "code": {"type": "string", "pattern": "^BELLWETHER-E[0-9]{4}$"}}}},
        },
    })
}
