//! Prints labels, one after the other, from a queue. The fault `log-storm` makes it shout.

use std::{sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, routing::post};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    faults::Fault,
    server::{Failure, Service},
};

/// Labels that may wait.
const QUEUE_JOBS: usize = 256;
/// Share of shipments that fail while the fault is on.
const FAILING_RATIO: f64 = 0.3;
/// How often the storm writes.
const STORM_EVERY: Duration = Duration::from_millis(100);
/// Lines each time: 120 a second.
const STORM_LINES: u64 = 12;

#[derive(Deserialize)]
struct Shipment {
    order: i64,
}

struct Shipping {
    service: Arc<Service>,
    labels: mpsc::Sender<i64>,
}

pub(super) fn routes(service: Arc<Service>) -> Router {
    let (labels, waiting) = mpsc::channel(QUEUE_JOBS);
    let queue = labels.clone();
    service.telemetry.watch_queue("labels", move || queue.max_capacity() - queue.capacity());
    service.in_background(print_labels(service.clone(), waiting));
    service.in_background(storm(service.clone()));
    let shipping = Arc::new(Shipping { service, labels });
    Router::new().route("/shipments", post(ship)).with_state(shipping)
}

async fn ship(State(shipping): State<Arc<Shipping>>, Json(shipment): Json<Shipment>) -> Result<Json<Value>, Failure> {
    let service = &shipping.service;
    service.work(8.0, 20.0).await;
    if service.suffers(Fault::LogStorm) && service.random.chance(FAILING_RATIO) {
        return Err(Failure::unavailable("no label: the carrier's session is being renewed"));
    }
    if shipping.labels.try_send(shipment.order).is_err() {
        tracing::error!("label queue is full, order {} turned away", shipment.order);
        return Err(Failure::unavailable("label queue is full"));
    }
    Ok(Json(json!({ "order": shipment.order })))
}

async fn print_labels(service: Arc<Service>, mut waiting: mpsc::Receiver<i64>) {
    while let Some(order) = waiting.recv().await {
        service.work(20.0, 60.0).await;
        tracing::info!("label for order {order} printed");
    }
}

/// While the fault is on: a loop that tries the carrier again without pause and logs each try.
async fn storm(service: Arc<Service>) {
    let mut tries: u64 = 0;
    loop {
        tokio::time::sleep(STORM_EVERY).await;
        if !service.suffers(Fault::LogStorm) {
            tries = 0;
            continue;
        }
        for _ in 0..STORM_LINES {
            tries += 1;
            let parcel = service.random.below(90_000) + 10_000;
            tracing::error!(
                "carrier fastparcel: session token rejected for parcel {parcel}, retrying at once, try {tries}"
            );
        }
    }
}
