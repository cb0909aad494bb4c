//! What customers have chosen, in memory. The fault `memory-leak` makes it keep more and more.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    faults::Fault,
    process,
    server::{Failure, Service},
};

/// Memory that the service is allowed.
const LIMIT_BYTES: u64 = 512 * 1024 * 1024;
/// From this share of its memory on, the service is late.
const TIGHT_RATIO: f64 = 0.8;
/// From this share of its memory on, it fails.
const SPENT_RATIO: f64 = 0.95;
/// Bytes that the leak takes a second, at speed 1.
const LEAK_BYTES_PER_S: f64 = 6.0 * 1024.0 * 1024.0;
/// How often the leak takes some.
const LEAK_EVERY: Duration = Duration::from_millis(250);
/// How long an untouched cart is kept.
const KEPT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Item {
    sku: String,
    quantity: i64,
}

struct Basket {
    items: Vec<Item>,
    touched: Instant,
}

struct Carts {
    service: Arc<Service>,
    baskets: Mutex<BTreeMap<u64, Basket>>,
    /// What the leak holds. Its room is reserved at once, so that it goes back to the system at once when freed.
    leaked: Mutex<Vec<u8>>,
}

pub(super) fn routes(service: Arc<Service>) -> Router {
    service.telemetry.watch_memory_limit(LIMIT_BYTES);
    let carts = Arc::new(Carts { service: service.clone(), baskets: Mutex::default(), leaked: Mutex::default() });
    service.in_background(expire(carts.clone()));
    service.in_background(leak(carts.clone()));
    Router::new()
        .route("/carts/{customer}", get(show).delete(empty))
        .route("/carts/{customer}/items", post(add))
        .with_state(carts)
}

async fn show(State(carts): State<Arc<Carts>>, Path(customer): Path<u64>) -> Result<Json<Value>, Failure> {
    breathe(&carts, 2.0, 6.0).await?;
    let items = carts.baskets.lock().get(&customer).map(|basket| basket.items.clone()).unwrap_or_default();
    Ok(Json(json!({ "customer": customer, "items": items })))
}

async fn add(
    State(carts): State<Arc<Carts>>,
    Path(customer): Path<u64>,
    Json(item): Json<Item>,
) -> Result<Json<Value>, Failure> {
    breathe(&carts, 3.0, 9.0).await?;
    tracing::info!(customer, "customer {customer} put {} x {} into the cart", item.quantity, item.sku);
    let mut baskets = carts.baskets.lock();
    let basket = baskets.entry(customer).or_insert_with(|| Basket { items: Vec::new(), touched: Instant::now() });
    basket.items.push(item);
    basket.touched = Instant::now();
    Ok(Json(json!({ "items": basket.items.len() })))
}

async fn empty(State(carts): State<Arc<Carts>>, Path(customer): Path<u64>) -> Result<Json<Value>, Failure> {
    breathe(&carts, 1.0, 4.0).await?;
    carts.baskets.lock().remove(&customer);
    Ok(Json(json!({})))
}

/// The work of a request; with little memory left it takes long, with none left it fails.
async fn breathe(carts: &Carts, low_ms: f64, high_ms: f64) -> Result<(), Failure> {
    carts.service.work(low_ms, high_ms).await;
    let used = used_bytes(carts);
    let ratio = used as f64 / LIMIT_BYTES as f64;
    if ratio < TIGHT_RATIO {
        return Ok(());
    }
    let squeeze_ms = 150.0 + (ratio - TIGHT_RATIO) * 2000.0;
    carts.service.work(squeeze_ms, 2.0 * squeeze_ms).await;
    if ratio < SPENT_RATIO || carts.service.random.chance(0.5) {
        tracing::warn!("memory is short: {} of {} MiB in use", used >> 20, LIMIT_BYTES >> 20);
        return Ok(());
    }
    tracing::error!(
        "out of memory: cannot allocate session buffer, {} of {} MiB in use",
        used >> 20,
        LIMIT_BYTES >> 20
    );
    Err(Failure::unavailable("out of memory"))
}

/// What the process holds; without `/proc`, what is known to be leaked.
fn used_bytes(carts: &Carts) -> u64 {
    process::resident_bytes().unwrap_or_else(|| carts.leaked.lock().len() as u64)
}

/// Forgets carts that nobody touched for long.
async fn expire(carts: Arc<Carts>) {
    loop {
        tokio::time::sleep(KEPT / 8).await;
        carts.baskets.lock().retain(|_, basket| basket.touched.elapsed() < KEPT);
    }
}

/// While the fault is on, takes memory up to the limit and writes to all of it, so that it is really held.
async fn leak(carts: Arc<Carts>) {
    let block_bytes = (LEAK_BYTES_PER_S * LEAK_EVERY.as_secs_f64() * carts.service.config.speed) as usize;
    loop {
        tokio::time::sleep(LEAK_EVERY).await;
        if !carts.service.suffers(Fault::MemoryLeak) {
            *carts.leaked.lock() = Vec::new();
            continue;
        }
        if used_bytes(&carts) + block_bytes as u64 <= LIMIT_BYTES {
            let mut leaked = carts.leaked.lock();
            if leaked.capacity() == 0 {
                leaked.reserve_exact(LIMIT_BYTES as usize);
            }
            let length = (leaked.len() + block_bytes).min(LIMIT_BYTES as usize);
            leaked.resize(length, 0xA5);
        }
    }
}
