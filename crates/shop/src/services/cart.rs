//! What customers have chosen, in memory. The fault `memory-leak` makes it keep more and more.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
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
    /// Bytes that the leak holds.
    leaked: AtomicU64,
}

pub(super) fn routes(service: Arc<Service>) -> Router {
    service.telemetry.watch_memory_limit(LIMIT_BYTES);
    let carts = Arc::new(Carts { service: service.clone(), baskets: Mutex::default(), leaked: AtomicU64::new(0) });
    service.in_background(expire(carts.clone()));
    let leaking = Arc::downgrade(&carts);
    std::thread::spawn(move || leak(&leaking));
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
    process::resident_bytes().unwrap_or_else(|| carts.leaked.load(Ordering::Relaxed))
}

/// Forgets carts that nobody touched for long.
async fn expire(carts: Arc<Carts>) {
    loop {
        tokio::time::sleep(KEPT / 8).await;
        carts.baskets.lock().retain(|_, basket| basket.touched.elapsed() < KEPT);
    }
}

/// While the fault is on, takes memory up to the limit and writes to all of it, so that it is really held. All room is
/// reserved at once, and taken and given back by one thread: only then does the allocator give it back to the system
/// the moment that it is freed.
fn leak(carts: &Weak<Carts>) {
    let mut held: Vec<u8> = Vec::new();
    while let Some(carts) = carts.upgrade() {
        let block_bytes = (LEAK_BYTES_PER_S * LEAK_EVERY.as_secs_f64() * carts.service.config.speed) as u64;
        if !carts.service.suffers(Fault::MemoryLeak) {
            held = Vec::new();
        } else if used_bytes(&carts) + block_bytes <= LIMIT_BYTES {
            if held.capacity() == 0 {
                held.reserve_exact(LIMIT_BYTES as usize);
            }
            held.resize((held.len() + block_bytes as usize).min(LIMIT_BYTES as usize), 0xA5);
        }
        carts.leaked.store(held.len() as u64, Ordering::Relaxed);
        drop(carts);
        std::thread::park_timeout(LEAK_EVERY);
    }
}
