//! Turns a cart into an order: reserve, charge, save, ship. The fault `full-disk` fills its folder.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use axum::{Json, Router, extract::State, http::Method, routing::post};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::SqlitePool;

use super::{PRODUCTS, open_database};
use crate::{
    faults::Fault,
    server::{Failure, Service},
};

/// Orders that are kept; older ones are deleted, so that the shop can run for weeks.
const KEPT_ORDERS: i64 = 500;
/// Bytes that saving an order may need: a page of the table and one of the log.
const ORDER_BYTES: u64 = 8192;
/// The file that the fault fills.
const ARCHIVE: &str = "receipts.archive";
/// Bytes that the archive grows by each second while the fault is on, at speed 1.
const ARCHIVE_BYTES_PER_S: f64 = 2.0 * 1024.0 * 1024.0;
/// How often it grows.
const ARCHIVE_EVERY: Duration = Duration::from_millis(500);

const INSERT: &str = "INSERT INTO orders (customer, cents, items) VALUES (?, ?, ?)";
const PRUNE: &str = "DELETE FROM orders WHERE id <= ?";

struct Orders {
    service: Arc<Service>,
    pool: SqlitePool,
    saved: AtomicU64,
}

#[derive(Deserialize)]
struct Item {
    sku: String,
    quantity: i64,
}

#[derive(Deserialize)]
struct Order {
    customer: u64,
}

pub(super) async fn routes(service: Arc<Service>) -> Result<Router> {
    // What a run before this one left full must not make this one fail.
    service.folder.delete(ARCHIVE)?;
    let pool = open_database(&service, "orders").await?;
    let table = "CREATE TABLE IF NOT EXISTS orders \
                 (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, cents INTEGER NOT NULL, items TEXT NOT NULL)";
    sqlx::query(table).execute(&pool).await?;
    service.in_background(fill(service.clone()));
    let orders = Arc::new(Orders { service, pool, saved: AtomicU64::new(0) });
    Ok(Router::new().route("/orders", post(place)).with_state(orders))
}

async fn place(State(orders): State<Arc<Orders>>, Json(order): Json<Order>) -> Result<Json<Value>, Failure> {
    let customer = order.customer;
    orders.service.work(5.0, 12.0).await;
    let (items, cents) = priced_cart(&orders, customer).await?;
    reserve(&orders, &items).await?;
    let charge = json!({ "customer": customer, "cents": cents });
    ask(&orders, "payments", Method::POST, "/charges".into(), Some(charge)).await?;
    let id = save(&orders, customer, cents, &items).await?;
    let shipped = ship(&orders, id).await;
    ask(&orders, "cart", Method::DELETE, format!("/carts/{customer}"), None).await?;
    tracing::info!(order = id, "order {id} placed by customer {customer}: {} items, {cents} cents", items.len());
    Ok(Json(json!({ "order": id, "shipped": shipped })))
}

async fn priced_cart(orders: &Orders, customer: u64) -> Result<(Vec<Item>, i64), Failure> {
    let cart = ask(orders, "cart", Method::GET, format!("/carts/{customer}"), None).await?;
    let items: Vec<Item> =
        cart.get("items").cloned().map(serde_json::from_value).transpose().unwrap_or_default().unwrap_or_default();
    let price = |item: &Item| PRODUCTS.iter().find(|one| one.sku == item.sku).map_or(0, |one| one.cents);
    let cents = items.iter().map(|item| price(item) * item.quantity).sum();
    Ok((items, cents))
}

async fn reserve(orders: &Orders, items: &[Item]) -> Result<(), Failure> {
    for item in items {
        let wanted = json!({ "sku": item.sku, "quantity": item.quantity });
        ask(orders, "inventory", Method::POST, "/reservations".into(), Some(wanted)).await?;
    }
    Ok(())
}

/// Writes the order down, if the volume has room for it.
async fn save(orders: &Orders, customer: u64, cents: i64, items: &[Item]) -> Result<i64, Failure> {
    orders.service.folder.room_for(ORDER_BYTES).map_err(|error| {
        tracing::error!("cannot save order of customer {customer}: {error}");
        Failure::no_space(error.to_string())
    })?;
    let list = items.iter().map(|item| format!("{}x{}", item.quantity, item.sku)).collect::<Vec<_>>().join(" ");
    let insert = sqlx::query(INSERT).bind(customer as i64).bind(cents).bind(list).execute(&orders.pool);
    let done = orders.service.database("orders", "INSERT", "orders", INSERT, insert).await?;
    let id = done.last_insert_rowid();
    if orders.saved.fetch_add(1, Ordering::Relaxed).is_multiple_of(50) {
        let prune = sqlx::query(PRUNE).bind(id - KEPT_ORDERS).execute(&orders.pool);
        orders.service.database("orders", "DELETE", "orders", PRUNE, prune).await?;
    }
    Ok(id)
}

/// A parcel that cannot go out today does not undo the order.
async fn ship(orders: &Orders, id: i64) -> bool {
    let sent = orders.service.client.call("shipping", Method::POST, "/shipments", Some(json!({ "order": id }))).await;
    if let Err(error) = &sent {
        tracing::warn!(order = id, "order {id} is not shipped yet: {error}");
    }
    sent.is_ok()
}

async fn ask(orders: &Orders, peer: &str, method: Method, path: String, body: Option<Value>) -> Result<Value, Failure> {
    orders.service.client.call(peer, method, &path, body).await.map_err(|error| {
        tracing::error!(peer, "checkout stopped: {error}");
        error.into()
    })
}

/// While the fault is on, an archive that nobody rotates grows to the quota; off, it is deleted.
async fn fill(service: Arc<Service>) {
    let step = (ARCHIVE_BYTES_PER_S * ARCHIVE_EVERY.as_secs_f64() * service.config.speed) as u64;
    let mut filled = false;
    loop {
        tokio::time::sleep(ARCHIVE_EVERY).await;
        let on = service.suffers(Fault::FullDisk);
        let outcome = match (on, filled) {
            (true, _) => service.folder.grow(ARCHIVE, step).map(|_| ()),
            (false, true) => service.folder.delete(ARCHIVE),
            (false, false) => Ok(()),
        };
        filled = on;
        if let Err(error) = outcome {
            tracing::error!("cannot write the archive of receipts: {error}");
        }
    }
}
