//! The services, one file each, and what the shop sells.

mod cart;
mod catalog;
mod checkout;
mod frontend;
mod inventory;
mod payments;
mod shipping;

use std::{sync::Arc, time::Duration};

use anyhow::{Result, anyhow};
use axum::Router;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{load, server::Service};

/// Version that catalog's bad deployment brings; all other services and days run [`STABLE_VERSION`].
pub(crate) const BAD_VERSION: &str = "1.1.0";
/// Version that works.
pub(crate) const STABLE_VERSION: &str = "1.0.0";

/// What one line of stock is called and costs.
pub(crate) struct Product {
    /// Key.
    pub sku: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// Price in cents.
    pub cents: i64,
}

/// What the shop sells.
pub(crate) const PRODUCTS: [Product; 12] = [
    Product { sku: "tea-001", name: "Green tea, 100 g", cents: 890 },
    Product { sku: "tea-002", name: "Earl Grey, 100 g", cents: 790 },
    Product { sku: "tea-003", name: "Rooibos, 200 g", cents: 650 },
    Product { sku: "cof-001", name: "Espresso beans, 1 kg", cents: 2190 },
    Product { sku: "cof-002", name: "Filter coffee, 500 g", cents: 1190 },
    Product { sku: "mug-001", name: "Stoneware mug", cents: 1450 },
    Product { sku: "mug-002", name: "Travel mug", cents: 2490 },
    Product { sku: "pot-001", name: "Glass teapot", cents: 3290 },
    Product { sku: "pot-002", name: "French press", cents: 2890 },
    Product { sku: "mil-001", name: "Hand mill", cents: 5990 },
    Product { sku: "fil-001", name: "Paper filters, 100", cents: 390 },
    Product { sku: "hon-001", name: "Acacia honey", cents: 740 },
];

/// Opens the service that the settings name: its state, its background work, its routes.
pub(crate) async fn routes(service: Arc<Service>) -> Result<Router> {
    let name = service.config.service.clone();
    match name.as_str() {
        "frontend" => Ok(frontend::routes(service)),
        "catalog" => Ok(catalog::routes(service)),
        "cart" => Ok(cart::routes(service)),
        "checkout" => checkout::routes(service).await,
        "payments" => Ok(payments::routes(service)),
        "inventory" => inventory::routes(service).await,
        "shipping" => Ok(shipping::routes(service)),
        "load" => Ok(load::routes(service)),
        _ => Err(anyhow!("the shop has no service {name:?}")),
    }
}

/// Opens (or makes) a service's database in its folder: readers do not wait for the writer, and a writer waits for
/// another instead of failing.
async fn open_database(service: &Service, name: &'static str) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(service.folder.path().join(format!("{name}.db")))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(3));
    let pool =
        SqlitePoolOptions::new().max_connections(4).idle_timeout(None).max_lifetime(None).connect_with(options).await?;
    service.telemetry.watch_pool(name, &pool);
    service.telemetry.watch_folder(&service.folder);
    Ok(pool)
}
