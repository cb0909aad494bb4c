//! Real services on real sockets, in one process, with a collector that listens to what they say.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bellwether_shop::{Running, ServiceConfig, start_service};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tonic::{Request, Response, Status};

const SECRET: &str = "0123456789abcdef";

/// What a collector was told: (service, span's name, kind, status, trace).
type Span = (String, String, i32, i32, Vec<u8>);

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let about = format!("{:?}", resource.resource);
            let service = ["frontend", "catalog", "inventory", "cart", "checkout", "payments", "shipping"]
                .into_iter()
                .find(|name| about.contains(&format!("StringValue(\"{name}\")")))
                .unwrap_or("unknown");
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().extend(spans.map(|span| {
                (service.to_owned(), span.name, span.kind, span.status.map_or(0, |status| status.code), span.trace_id)
            }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn listen() -> (Self, SocketAddr) {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let collector = Self::default();
        let service = TraceServiceServer::new(collector.clone());
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve(address));
        (collector, address)
    }

    fn spans(&self) -> Vec<Span> {
        self.0.lock().clone()
    }
}

fn settings(service: &str, number: usize, folder: &Path, collector: Option<SocketAddr>) -> ServiceConfig {
    let instance = format!("{service}-{number}");
    ServiceConfig {
        service: service.into(),
        data_dir: folder.join(&instance),
        instance,
        version: "1.0.0".into(),
        otlp_grpc: collector,
        secret: SECRET.into(),
        seed: 1,
        speed: 1.0,
        peers: BTreeMap::new(),
        faults: Vec::new(),
    }
}

async fn introduce(all: &[(&str, &Running)]) {
    let mut peers: BTreeMap<&str, Vec<SocketAddr>> = BTreeMap::new();
    for (service, running) in all {
        peers.entry(service).or_default().push(running.address);
    }
    for (_, running) in all {
        let request = reqwest::Client::new().put(format!("http://{}/control/peers", running.address)).json(&peers);
        assert!(request.header("x-shop-secret", SECRET).send().await.unwrap().status().is_success());
    }
}

async fn switch(running: &Running, name: &str, on: bool, secret: &str) -> u16 {
    let request = reqwest::Client::new().post(format!("http://{}/control/fault", running.address));
    let request = request.header("x-shop-secret", secret).json(&json!({ "name": name, "on": on }));
    request.send().await.unwrap().status().as_u16()
}

async fn get(running: &Running, path: &str) -> (u16, Value, Duration) {
    let begin = Instant::now();
    let response = reqwest::get(format!("http://{}{path}", running.address)).await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap(), begin.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_crosses_three_services_in_one_trace_and_a_slow_dependency_is_felt_above() {
    let folder = tempfile::tempdir().unwrap();
    let (collector, at) = Collector::listen().await;
    let inventory = start_service(settings("inventory", 1, folder.path(), Some(at))).await.unwrap();
    let catalog = start_service(settings("catalog", 1, folder.path(), Some(at))).await.unwrap();
    let frontend = start_service(settings("frontend", 1, folder.path(), Some(at))).await.unwrap();
    introduce(&[("inventory", &inventory), ("catalog", &catalog), ("frontend", &frontend)]).await;

    let (status, answer, took) = get(&frontend, "/products/tea-001").await;
    assert_eq!((status, answer["stock"]["quantity"].as_i64()), (200, Some(400)), "{answer}");
    assert!(took < Duration::from_millis(500), "{took:?}");

    assert_eq!(switch(&inventory, "slow-dependency", true, "wrong").await, 403);
    assert_eq!(switch(&inventory, "slow-dependency", true, SECRET).await, 204);
    let (status, _, took) = get(&frontend, "/products/tea-001").await;
    assert!(status == 200 && took >= Duration::from_millis(600), "{status} after {took:?}");
    assert_eq!(switch(&inventory, "slow-dependency", false, SECRET).await, 204);
    let (_, _, took) = get(&frontend, "/products/tea-001").await;
    assert!(took < Duration::from_millis(500), "{took:?}");

    for running in [frontend, catalog, inventory] {
        running.stop().await;
    }
    let spans = collector.spans();
    let traces: BTreeSet<_> = spans.iter().map(|span| span.4.clone()).collect();
    assert_eq!(traces.len(), 3, "one trace a request: {spans:?}");
    for trace in traces {
        let mut names: Vec<_> = spans.iter().filter(|s| s.4 == trace).map(|s| (s.0.as_str(), s.1.as_str())).collect();
        names.sort_unstable();
        let expected = [
            ("catalog", "GET"),
            ("catalog", "GET /products/{sku}"),
            ("frontend", "GET"),
            ("frontend", "GET /products/{sku}"),
            ("inventory", "GET /stock/{sku}"),
            ("inventory", "SELECT stock"),
        ];
        assert_eq!(names, expected);
    }
    assert!(spans.iter().all(|span| span.3 != 2), "no span of a healthy shop is an error: {spans:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_instance_costs_a_retry_and_a_failed_span_but_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (collector, at) = Collector::listen().await;
    let inventory = start_service(settings("inventory", 1, folder.path(), None)).await.unwrap();
    let first = start_service(settings("catalog", 1, folder.path(), None)).await.unwrap();
    let second = start_service(settings("catalog", 2, folder.path(), None)).await.unwrap();
    let frontend = start_service(settings("frontend", 1, folder.path(), Some(at))).await.unwrap();
    introduce(&[("inventory", &inventory), ("catalog", &first), ("catalog", &second), ("frontend", &frontend)]).await;
    second.stop().await;
    for _ in 0..4 {
        assert_eq!(get(&frontend, "/").await.0, 200);
    }
    frontend.stop().await;
    let failed = collector.spans().into_iter().filter(|span| span.2 == 3 && span.3 == 2).count();
    assert!((1..=4).contains(&failed), "client spans refused: {failed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_saved_until_the_disk_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Vec::new();
    for service in ["inventory", "cart", "payments", "shipping", "checkout"] {
        let mut config = settings(service, 1, folder.path(), None);
        // Fast enough to fill the quota within a second or two.
        config.speed = 60.0;
        running.push((service, start_service(config).await.unwrap()));
    }
    let all: Vec<_> = running.iter().map(|(service, one)| (*service, one)).collect();
    introduce(&all).await;
    let (cart, checkout) = (&running[1].1, &running[4].1);
    let order = || async {
        let http = reqwest::Client::new();
        let item = json!({ "sku": "mug-001", "quantity": 2 });
        http.post(format!("http://{}/carts/7/items", cart.address)).json(&item).send().await.unwrap();
        let placed = http.post(format!("http://{}/orders", checkout.address)).json(&json!({ "customer": 7 }));
        let response = placed.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let (status, answer) = order().await;
    assert_eq!((status, &answer["shipped"]), (200, &json!(true)), "{answer}");

    assert_eq!(switch(checkout, "full-disk", true, SECRET).await, 204);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let (status, answer) = order().await;
    assert_eq!(status, 507, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("no space left on device"), "{answer}");

    assert_eq!(switch(checkout, "full-disk", false, SECRET).await, 204);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(order().await.0, 200);
}
