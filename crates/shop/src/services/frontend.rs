//! What customers talk to: passes on, and turns failures below into its own.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::Method,
    routing::{get, post},
};
use serde_json::Value;

use crate::server::{Failure, Service};

pub(super) fn routes(service: Arc<Service>) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/products/{sku}", get(product))
        .route("/cart/{customer}", get(cart))
        .route("/cart/{customer}/items", post(add_to_cart))
        .route("/checkout/{customer}", post(check_out))
        .with_state(service)
}

async fn home(State(service): State<Arc<Service>>) -> Result<Json<Value>, Failure> {
    service.work(4.0, 10.0).await;
    pass_on(&service, "catalog", Method::GET, "/products".into(), None).await
}

async fn product(State(service): State<Arc<Service>>, Path(sku): Path<String>) -> Result<Json<Value>, Failure> {
    service.work(3.0, 8.0).await;
    pass_on(&service, "catalog", Method::GET, format!("/products/{sku}"), None).await
}

async fn cart(State(service): State<Arc<Service>>, Path(customer): Path<u64>) -> Result<Json<Value>, Failure> {
    service.work(3.0, 8.0).await;
    pass_on(&service, "cart", Method::GET, format!("/carts/{customer}"), None).await
}

async fn add_to_cart(
    State(service): State<Arc<Service>>,
    Path(customer): Path<u64>,
    Json(item): Json<Value>,
) -> Result<Json<Value>, Failure> {
    service.work(3.0, 8.0).await;
    pass_on(&service, "cart", Method::POST, format!("/carts/{customer}/items"), Some(item)).await
}

async fn check_out(State(service): State<Arc<Service>>, Path(customer): Path<u64>) -> Result<Json<Value>, Failure> {
    service.work(4.0, 10.0).await;
    pass_on(&service, "checkout", Method::POST, "/orders".into(), Some(serde_json::json!({ "customer": customer })))
        .await
}

async fn pass_on(
    service: &Service,
    peer: &str,
    method: Method,
    path: String,
    body: Option<Value>,
) -> Result<Json<Value>, Failure> {
    match service.client.call(peer, method, &path, body).await {
        Ok(answer) => Ok(Json(answer)),
        Err(error) => {
            tracing::error!(peer, "request to {peer} failed: {error}");
            Err(error.into())
        }
    }
}
