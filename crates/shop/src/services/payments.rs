//! Charges customers. The fault `error-burst` makes half of all charges fail.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    faults::Fault,
    server::{Failure, Service},
};

/// Share of charges that fail while the fault is on.
const FAILING_RATIO: f64 = 0.5;

#[derive(Deserialize)]
struct Charge {
    customer: u64,
    cents: i64,
}

pub(super) fn routes(service: Arc<Service>) -> Router {
    Router::new().route("/charges", post(charge)).with_state(service)
}

async fn charge(State(service): State<Arc<Service>>, Json(charge): Json<Charge>) -> Result<Json<Value>, Failure> {
    service.work(18.0, 40.0).await;
    let id = format!("ch-{:08x}", service.random.bits() as u32);
    if service.suffers(Fault::ErrorBurst) && service.random.chance(FAILING_RATIO) {
        tracing::error!(
            "charge {id} of {} cents failed: signing key of the acquirer session is not valid",
            charge.cents
        );
        return Err(Failure::internal("acquirer session is not valid"));
    }
    tracing::info!("charge {id} of {} cents accepted for customer {}", charge.cents, charge.customer);
    Ok(Json(json!({ "charge": id })))
}
