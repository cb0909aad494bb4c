//! Customers: they come more and less often with a period of ten minutes, and do what customers do.

use std::{
    f64::consts::TAU,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{server::Service, services::PRODUCTS};

/// Seconds from one peak of the load to the next, at speed 1.
pub const PERIOD_S: f64 = 600.0;
/// Mean requests a second.
const MEAN_PER_S: f64 = 12.0;
/// How far the peak is above the mean, as a share of it.
const SWING: f64 = 0.5;
/// Requests that a customer makes on average; see [`Journey::of`].
const REQUESTS_PER_CUSTOMER: f64 = 3.2;
/// Customers in the shop at once; more are turned away, so that a stuck shop does not pile up work.
const CUSTOMERS_AT_ONCE: usize = 200;

/// Requests a second that the shop should see `at_s` seconds after the load's start: a sine around 12 with a swing
/// of a half and a period of [`PERIOD_S`] divided by `speed`.
pub fn requests_per_second(at_s: f64, speed: f64) -> f64 {
    MEAN_PER_S * (1.0 + SWING * (TAU * at_s * speed / PERIOD_S).sin())
}

/// The load is a process like the others, but offers nothing and says nothing: it stands for people.
pub(crate) fn routes(service: Arc<Service>) -> Router {
    service.in_background(run(service.clone()));
    Router::new()
}

/// Sends customers, each in its own task, at random moments (a Poisson process whose rate follows the curve).
async fn run(service: Arc<Service>) {
    let mut peers_known = service.peers_known();
    while service.client.next_instance("frontend").is_none() {
        if peers_known.changed().await.is_err() {
            return;
        }
    }
    let Ok(http) = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build() else { return };
    let room = Arc::new(Semaphore::new(CUSTOMERS_AT_ONCE));
    let begin = Instant::now();
    for customer in 0u64.. {
        let rate = requests_per_second(begin.elapsed().as_secs_f64(), service.config.speed) / REQUESTS_PER_CUSTOMER;
        tokio::time::sleep(Duration::from_secs_f64(service.random.exponential(1.0 / rate))).await;
        let Ok(place) = room.clone().try_acquire_owned() else { continue };
        let (service, http) = (service.clone(), http.clone());
        tokio::spawn(async move {
            shop(&service, &http, customer).await;
            drop(place);
        });
    }
}

/// What a customer came for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Journey {
    /// Looks at the home page and two products.
    Browse,
    /// Looks at a product and puts it into the cart.
    Choose,
    /// Looks, puts into the cart, looks at the cart, pays.
    Buy,
}

impl Journey {
    /// Two in five browse (3 requests), one in five chooses (2), two in five buy (4): 3.2 on average.
    fn of(chance: f64) -> Journey {
        match chance {
            c if c < 0.4 => Journey::Browse,
            c if c < 0.6 => Journey::Choose,
            _ => Journey::Buy,
        }
    }
}

async fn shop(service: &Service, http: &reqwest::Client, customer: u64) {
    let pick = || PRODUCTS.get(service.random.below(PRODUCTS.len() as u64) as usize).map_or("tea-001", |one| one.sku);
    let journey = Journey::of(service.random.unit());
    if journey == Journey::Browse {
        let _ = visit(service, http, "/".into(), None).await
            && visit(service, http, format!("/products/{}", pick()), None).await
            && visit(service, http, format!("/products/{}", pick()), None).await;
        return;
    }
    let sku = pick();
    let item = json!({ "sku": sku, "quantity": 1 + service.random.below(3) });
    let chosen = visit(service, http, format!("/products/{sku}"), None).await
        && visit(service, http, format!("/cart/{customer}/items"), Some(item)).await;
    if !chosen || journey == Journey::Choose {
        return;
    }
    let _ = visit(service, http, format!("/cart/{customer}"), None).await
        && visit(service, http, format!("/checkout/{customer}"), Some(json!({}))).await;
}

/// One request and the pause after it. A customer whose request failed leaves (false).
async fn visit(service: &Service, http: &reqwest::Client, path: String, body: Option<Value>) -> bool {
    let Some(to) = service.client.next_instance("frontend") else { return false };
    let url = format!("http://{to}{path}");
    let request = match body {
        Some(body) => http.post(url).json(&body),
        None => http.get(url),
    };
    let answered = match request.send().await {
        Ok(response) => {
            let fine = response.status().is_success();
            // Read to the end, so that the connection can be used again.
            let _ = response.bytes().await;
            fine
        }
        Err(_) => false,
    };
    service.work(150.0, 900.0).await;
    answered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_swings_by_a_half_around_twelve_within_ten_minutes() {
        assert!((requests_per_second(0.0, 1.0) - 12.0).abs() < 1e-9);
        assert!((requests_per_second(150.0, 1.0) - 18.0).abs() < 1e-9);
        assert!((requests_per_second(450.0, 1.0) - 6.0).abs() < 1e-9);
        assert!((requests_per_second(77.0, 1.0) - requests_per_second(677.0, 1.0)).abs() < 1e-9);
        assert!((requests_per_second(15.0, 10.0) - 18.0).abs() < 1e-9);
    }

    #[test]
    fn journeys_make_as_many_requests_as_the_rate_is_divided_by() {
        let requests = |journey| match journey {
            Journey::Browse => 3.0,
            Journey::Choose => 2.0,
            Journey::Buy => 4.0,
        };
        let mean = (0..1000).map(|i| requests(Journey::of(f64::from(i) / 1000.0))).sum::<f64>() / 1000.0;
        assert!((mean - REQUESTS_PER_CUSTOMER).abs() < 0.01, "{mean}");
    }
}
