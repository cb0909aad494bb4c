//! A small shop that really runs: seven services in nine processes and a load, for the demo.
//!
//! The shop is there to be watched while it breaks. Its services talk HTTP over loopback, keep orders and stock in
//! SQLite files, and say what they do through the OpenTelemetry SDK: spans, metrics and logs over OTLP. Read it as an
//! example of how a small system is instrumented by hand:
//!
//! - [`telemetry`](self): the three pipelines of one process, its resource, and what it measures of itself;
//! - `server` and `client`: the span at each end of a call, the `traceparent` between them, the balancer;
//! - `services`: one file a service, with the logs a person would write;
//! - `load`: customers who come and go with a period of ten minutes;
//! - `faults`: the seven ways in which the shop breaks, and how each one works;
//! - `supervise`: starts and watches the processes, switches the faults, keeps the tour's schedule.
//!
//! ```text
//!   load ──> frontend ──> catalog (2) ──> inventory ──> stock.db
//!               │  │
//!               │  └─────> cart
//!               └────────> checkout ──> cart, inventory, payments (2), shipping
//!                             └───────> orders.db
//! ```
//!
//! Each process is this program again, as `bellwether shop-service NAME`. It reads its settings as one JSON line from
//! standard input (so that the run's secret shows in no process list), writes one JSON line with its address to
//! standard output, and ends when standard input ends: no child outlives its parent.

mod client;
mod disk;
mod faults;
mod load;
mod process;
mod random;
mod schedule;
mod server;
mod services;
mod supervise;
mod telemetry;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

pub use faults::{FAULTS, Fault, FaultError, FaultInfo};
pub use load::{PERIOD_S, requests_per_second};
pub use schedule::{FAULT_LASTS_S, FIRST_FAULT_AFTER_S, NEXT_FAULT_AFTER_S, Tour};
pub use server::{Running, ServiceArgs, ServiceConfig, run_service, start_service};
pub use supervise::supervise;

/// What the demo is started with.
#[derive(Debug, Clone)]
pub struct DemoConfig {
    /// Where the server takes OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    /// Where the server's interface is: deployments are announced there.
    pub listen: SocketAddr,
    /// The shop's own folder; databases and the output of its processes go there.
    pub data_dir: PathBuf,
    /// Seed of all randomness in the shop.
    pub seed: u64,
    /// How much faster than life schedule, load cycle and growing faults run, above 0; 1 is life.
    pub speed: f64,
    /// Which faults come by themselves.
    pub tour: Tour,
    /// The program that knows the command `shop-service`; usually the running one.
    pub program: PathBuf,
}

/// A running shop. Dropping it ends its processes; [`Demo::shutdown`] does so in order.
pub struct Demo {
    control: DemoControl,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Demo {
    /// The switches of the faults, to be shared.
    pub fn control(&self) -> DemoControl {
        self.control.clone()
    }

    /// Ends schedule, load and services, and waits for them.
    pub async fn shutdown(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.control.shop.stop().await;
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The switches of the faults. Clones share the shop.
#[derive(Clone)]
pub struct DemoControl {
    shop: Arc<supervise::Shop>,
}

impl DemoControl {
    /// All faults in the order of the tour, and whether each is on.
    pub fn list(&self) -> Vec<FaultInfo> {
        self.shop.list()
    }

    /// Switches the fault called `name`; switching to what it is already changes nothing.
    pub async fn set(&self, name: &str, on: bool) -> Result<FaultInfo, FaultError> {
        self.shop.set(Fault::named(name)?, on).await
    }
}
