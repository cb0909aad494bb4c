//! A real Alertmanager takes our alerts, keeps them while the incident lasts, and ends them with it. It is found under
//! `ALERTMANAGER` or on the PATH; where there is none the test says that it was skipped.

mod made;

use std::{
    io::Write,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use act::{Channel, Egress, EgressSettings, Notice, Outcome, Reason, deliver};
use made::{Behaviour, Server, channel, hostile, incident};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use types::{IncidentId, IncidentState, MINUTE, SECOND, Severity, Time};

#[tokio::test]
async fn alerts_are_there_while_the_incident_lasts() {
    let Some(program) = alertmanager() else {
        let skipped = "SKIPPED: no Alertmanager found (ALERTMANAGER, PATH): nothing was delivered to a real one";
        // Past the test runner's capture.
        std::io::stderr().write_all(format!("\n{skipped}\n\n").as_bytes()).unwrap();
        return;
    };
    let receiver = Server::start(Behaviour::Say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into())).await;
    let running = Running::start(&program, &receiver).await;
    let settings = EgressSettings { allow: vec![running.address.to_string()], ..Default::default() };
    let egress = Egress::new(&settings, &[]).unwrap();
    let to =
        json!({"kind": "alertmanager", "urls": [format!("http://{}", running.address)], "labels": {"cluster": "eu"}});
    let channel = channel(to, "");

    let mut notice = Notice {
        delivery: "d-1".into(),
        reason: Reason::Opened,
        incident: incident(),
        link: Some("https://ops.example.com/incidents/inc-42".into()),
        receipt: None,
    };
    let began = clock().plus(-10 * MINUTE);
    (notice.incident.started_at, notice.incident.opened_at) = (began, began);

    // Opened, and told twice: one alert.
    for _ in 0..2 {
        notice.receipt = Some(told(&egress, &channel, &notice).await);
    }
    let alerts = running.alerts().await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let alert = &alerts[0];
    let labels = json!({"alertname": "BellwetherIncident", "severity": "major", "service": "checkout",
        "incident": "inc-42", "tenant": "default", "cluster": "eu"});
    assert_eq!(alert["labels"], labels);
    assert_eq!(alert["generatorURL"], "https://ops.example.com/incidents/inc-42");
    assert_eq!(alert["annotations"]["summary"], "checkout fails");
    let starts = Time::parse(alert["startsAt"].as_str().unwrap()).unwrap();
    assert!(began.since(starts).abs() < SECOND / 500, "{began} {starts}");
    running.heard(&receiver, "firing", "inc-42").await;

    // It stays although Alertmanager's own resolve_timeout (one second here) has passed.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(running.alerts().await.len(), 1, "an incident that goes on was taken for over");

    // Escalated: other labels, still one alert.
    (notice.reason, notice.incident.severity) = (Reason::Escalated, Severity::Critical);
    notice.receipt = Some(told(&egress, &channel, &notice).await);
    let alerts = running.alerts().await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0]["labels"]["severity"], "critical");

    // Resolved: gone, and the receiver hears it.
    notice.reason = Reason::Resolved;
    notice.incident.state = IncidentState::Resolved;
    notice.incident.resolved_at = Some(clock());
    told(&egress, &channel, &notice).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(running.alerts().await, Vec::<Value>::new());
    running.heard(&receiver, "resolved", "inc-42").await;

    // Text that tries something is text.
    let mut notice = Notice { reason: Reason::Opened, receipt: None, incident: hostile(), ..notice };
    (notice.incident.id, notice.incident.started_at) = (IncidentId("inc-43".into()), clock());
    told(&egress, &channel, &notice).await;
    assert_eq!(running.alerts().await.len(), 1);
}

async fn told(egress: &Egress, channel: &Channel, notice: &Notice) -> String {
    match deliver(egress, channel, notice, clock()).await {
        Outcome::Delivered { receipt: Some(receipt) } => receipt,
        other => panic!("{other:?}"),
    }
}

fn clock() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64)
}

fn alertmanager() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = |name: &str| std::env::split_paths(&path).map(|dir| dir.join(name)).find(|program| program.is_file());
    std::env::var_os("ALERTMANAGER")
        .map(PathBuf::from)
        .or_else(|| named("alertmanager"))
        .or_else(|| named("prometheus-alertmanager"))
}

/// An Alertmanager with a folder of its own, ended with this.
struct Running {
    child: Child,
    address: SocketAddr,
    dir: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    async fn start(program: &std::path::Path, receiver: &Server) -> Running {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("alertmanager.yml");
        let text = format!(
            "global: {{resolve_timeout: 1s}}\n\
             route: {{receiver: here, group_by: [incident], group_wait: 100ms, group_interval: 1s, repeat_interval: 1h}}\n\
             receivers: [{{name: here, webhook_configs: [{{url: '{}', send_resolved: true}}]}}]\n",
            receiver.url("/")
        );
        std::fs::write(&config, text).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", dir.path().display()))
            .arg(format!("--web.listen-address={free}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let running = Running { child, address: free, dir };
        let deadline = Instant::now() + Duration::from_secs(20);
        while running.get("/-/ready").await.is_none() {
            let log = || std::fs::read_to_string(running.dir.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "Alertmanager does not become ready:\n{}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        running
    }

    /// All alerts that are not over.
    async fn alerts(&self) -> Vec<Value> {
        let body = self.get("/api/v2/alerts").await.expect("Alertmanager answers");
        serde_json::from_str(&body).unwrap()
    }

    /// Waits until Alertmanager has told its receiver.
    async fn heard(&self, receiver: &Server, status: &str, incident: &str) {
        let (status, incident) = (format!("\"status\":\"{status}\""), format!("\"incident\":\"{incident}\""));
        let deadline = Instant::now() + Duration::from_secs(15);
        let heard = || receiver.requests.lock().iter().any(|r| r.contains(&status) && r.contains(&incident));
        while !heard() {
            assert!(Instant::now() < deadline, "no {status} for {incident}: {:?}", receiver.requests.lock());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn get(&self, path: &str) -> Option<String> {
        let mut stream = tokio::net::TcpStream::connect(self.address).await.ok()?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        head.lines().next()?.contains(" 200 ").then(|| body.to_owned())
    }
}
