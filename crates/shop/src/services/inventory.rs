//! How much of each product is there, in SQLite. The fault `slow-dependency` makes it late.

use std::sync::Arc;

use anyhow::Result;
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::SqlitePool;

use super::{PRODUCTS, open_database};
use crate::{
    faults::Fault,
    server::{Failure, Service},
};

/// Below this, more is ordered from the supplier.
const RESTOCK_BELOW: i64 = 40;
/// What a delivery brings.
const DELIVERY: i64 = 400;

const COUNT_ALL: &str = "SELECT count(*) FROM stock WHERE quantity > 0";
const COUNT_ONE: &str = "SELECT quantity FROM stock WHERE sku = ?";
const TAKE: &str = "UPDATE stock SET quantity = quantity - ? WHERE sku = ? AND quantity >= ? RETURNING quantity";
const RESTOCK: &str = "UPDATE stock SET quantity = quantity + ? WHERE sku = ?";

struct Stock {
    service: Arc<Service>,
    pool: SqlitePool,
}

#[derive(Deserialize)]
struct Reservation {
    sku: String,
    quantity: i64,
}

pub(super) async fn routes(service: Arc<Service>) -> Result<Router> {
    let pool = open_database(&service, "stock").await?;
    let table = "CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL)";
    sqlx::query(table).execute(&pool).await?;
    for product in &PRODUCTS {
        let first = sqlx::query("INSERT INTO stock (sku, quantity) VALUES (?, ?) ON CONFLICT DO NOTHING");
        first.bind(product.sku).bind(DELIVERY).execute(&pool).await?;
    }
    let stock = Arc::new(Stock { service, pool });
    Ok(Router::new()
        .route("/stock", get(count_all))
        .route("/stock/{sku}", get(count_one))
        .route("/reservations", post(reserve))
        .with_state(stock))
}

async fn count_all(State(stock): State<Arc<Stock>>) -> Result<Json<Value>, Failure> {
    think(&stock.service).await;
    let count = sqlx::query_scalar::<_, i64>(COUNT_ALL).fetch_one(&stock.pool);
    let available = stock.service.database("stock", "SELECT", "stock", COUNT_ALL, count).await?;
    Ok(Json(json!({ "available": available })))
}

async fn count_one(State(stock): State<Arc<Stock>>, Path(sku): Path<String>) -> Result<Json<Value>, Failure> {
    think(&stock.service).await;
    let count = sqlx::query_scalar::<_, i64>(COUNT_ONE).bind(&sku).fetch_optional(&stock.pool);
    let found = stock.service.database("stock", "SELECT", "stock", COUNT_ONE, count).await?;
    let quantity = found.ok_or_else(|| Failure::not_found(format!("no stock of {sku}")))?;
    Ok(Json(json!({ "sku": sku, "quantity": quantity })))
}

async fn reserve(State(stock): State<Arc<Stock>>, Json(wanted): Json<Reservation>) -> Result<Json<Value>, Failure> {
    think(&stock.service).await;
    let Reservation { sku, quantity } = wanted;
    let take = sqlx::query_scalar::<_, i64>(TAKE).bind(quantity).bind(&sku).bind(quantity).fetch_optional(&stock.pool);
    let left = stock.service.database("stock", "UPDATE", "stock", TAKE, take).await?;
    let left = left.ok_or_else(|| Failure::not_found(format!("not enough of {sku}")))?;
    tracing::info!("reserved {quantity} x {sku}, {left} left");
    if left < RESTOCK_BELOW {
        let restock = sqlx::query(RESTOCK).bind(DELIVERY).bind(&sku).execute(&stock.pool);
        stock.service.database("stock", "UPDATE", "stock", RESTOCK, restock).await?;
        tracing::info!("delivery of {DELIVERY} x {sku} taken in");
    }
    Ok(Json(json!({ "sku": sku, "left": left })))
}

/// The work of a request; late while the fault is on.
async fn think(service: &Service) {
    service.work(3.0, 9.0).await;
    if service.suffers(Fault::SlowDependency) {
        service.work(600.0, 900.0).await;
    }
}
