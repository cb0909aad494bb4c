//! What is sold, and whether it is there. Version 1.1.0 carries a defect: see [`look_up`].

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::Method,
    routing::get,
};
use serde_json::{Value, json};

use super::{BAD_VERSION, PRODUCTS};
use crate::server::{Failure, Service};

pub(super) fn routes(service: Arc<Service>) -> Router {
    Router::new().route("/products", get(list)).route("/products/{sku}", get(product)).with_state(service)
}

async fn list(State(service): State<Arc<Service>>) -> Result<Json<Value>, Failure> {
    look_up(&service, "all").await?;
    let stock = ask_inventory(&service, "/stock").await?;
    let products: Vec<Value> =
        PRODUCTS.iter().map(|one| json!({ "sku": one.sku, "name": one.name, "cents": one.cents })).collect();
    Ok(Json(json!({ "products": products, "stock": stock })))
}

async fn product(State(service): State<Arc<Service>>, Path(sku): Path<String>) -> Result<Json<Value>, Failure> {
    look_up(&service, &sku).await?;
    let Some(found) = PRODUCTS.iter().find(|one| one.sku == sku) else {
        return Err(Failure::not_found(format!("no product {sku}")));
    };
    let stock = ask_inventory(&service, &format!("/stock/{sku}")).await?;
    Ok(Json(json!({ "sku": found.sku, "name": found.name, "cents": found.cents, "stock": stock })))
}

/// Reads product data. The defect of version 1.1.0: the new price rules are read anew for each request, and rules
/// without a currency make it fail.
async fn look_up(service: &Service, what: &str) -> Result<(), Failure> {
    service.work(4.0, 12.0).await;
    if service.config.version != BAD_VERSION {
        return Ok(());
    }
    service.work(150.0, 350.0).await;
    if service.random.chance(0.4) {
        tracing::error!("price rule engine: rule for {what} has no currency, cannot show a price");
        return Err(Failure::internal("price rule has no currency"));
    }
    Ok(())
}

async fn ask_inventory(service: &Service, path: &str) -> Result<Value, Failure> {
    let answer = service.client.call("inventory", Method::GET, path, None).await;
    answer.map_err(|error| {
        tracing::error!("stock unknown: {error}");
        error.into()
    })
}
