//! Starts the shop's processes, keeps them alive, breaks them on demand, and ends them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    net::SocketAddr,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, Command},
};

use crate::{
    Demo, DemoConfig, DemoControl,
    client::Peers,
    faults::{FAULTS, Fault, FaultError, FaultInfo},
    server::{SECRET_HEADER, ServiceConfig, Switch},
    services::{BAD_VERSION, STABLE_VERSION},
};

/// The services and how many instances each has. The load comes last: it needs all others.
const FLEET: [(&str, usize); 8] = [
    ("inventory", 1),
    ("payments", 2),
    ("catalog", 2),
    ("cart", 1),
    ("shipping", 1),
    ("checkout", 1),
    ("frontend", 1),
    ("load", 1),
];
/// The instance that the fault `lost-instance` kills.
const LOST_INSTANCE: &str = "catalog-2";
/// How long a process may take to answer its first request.
const START_LIMIT: Duration = Duration::from_secs(15);
/// How long a process may take to end by itself.
const END_LIMIT: Duration = Duration::from_secs(6);
/// How often processes are looked at.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// Starts the shop and returns once all services answer and the load runs.
pub async fn supervise(config: DemoConfig) -> Result<Demo> {
    if !(config.speed.is_finite() && config.speed > 0.0) {
        bail!("speed must be a number above 0");
    }
    fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("cannot use the demo's folder {}", config.data_dir.display()))?;
    let shop = Arc::new(Shop::new(config)?);
    if let Err(error) = shop.start().await {
        shop.stop().await;
        return Err(error);
    }
    let tasks = vec![tokio::spawn(watch(shop.clone())), tokio::spawn(keep_schedule(shop.clone()))];
    Ok(Demo { control: DemoControl { shop }, tasks })
}

/// The shop as seen from above.
pub(crate) struct Shop {
    config: DemoConfig,
    secret: String,
    http: reqwest::Client,
    on: Mutex<BTreeSet<Fault>>,
    /// Held while processes change, so that changes come one after the other.
    fleet: tokio::sync::Mutex<Fleet>,
}

#[derive(Default)]
struct Fleet {
    processes: BTreeMap<String, Process>,
    /// Set at the end: nothing is started any more.
    stopped: bool,
}

/// One process. Dropping it kills it.
struct Process {
    service: &'static str,
    child: Child,
    /// Its end tells the child to end.
    stdin: ChildStdin,
    address: SocketAddr,
    /// Killed on purpose: it stays in the list of peers and is not started again.
    lost: bool,
}

impl Shop {
    fn new(config: DemoConfig) -> Result<Self> {
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes).map_err(|error| anyhow!("no randomness from the system: {error}"))?;
        let secret = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        Ok(Self { config, secret, http, on: Mutex::default(), fleet: tokio::sync::Mutex::default() })
    }

    async fn start(&self) -> Result<()> {
        let mut fleet = self.fleet.lock().await;
        let wanted =
            FLEET.iter().flat_map(|(service, count)| (1..=*count).map(|n| (*service, instance(service, *count, n))));
        let starting = wanted.map(|(service, name)| async move {
            self.truncate_output(&name)?;
            let process = self.spawn(service, &name, STABLE_VERSION, &Peers::new()).await?;
            anyhow::Ok((name, process))
        });
        for started in futures::future::join_all(starting).await {
            let (name, process) = started?;
            fleet.processes.insert(name, process);
        }
        self.tell_peers(&fleet).await
    }

    /// All faults and whether each is on.
    pub fn list(&self) -> Vec<FaultInfo> {
        let on = self.on.lock();
        FAULTS.iter().map(|fault| fault.info(on.contains(fault))).collect()
    }

    /// Switches a fault.
    pub async fn set(&self, fault: Fault, on: bool) -> Result<FaultInfo, FaultError> {
        let mut fleet = self.fleet.lock().await;
        if self.on.lock().contains(&fault) != on {
            let switched = self.switch(&mut fleet, fault, on).await;
            switched.map_err(|error| FaultError::Failed { name: fault.name(), reason: format!("{error:#}") })?;
        }
        Ok(fault.info(on))
    }

    async fn switch(&self, fleet: &mut Fleet, fault: Fault, on: bool) -> Result<()> {
        if fleet.stopped {
            bail!("the shop is closed");
        }
        // Said first: a process that is started meanwhile must know.
        self.mark(fault, on);
        let switched = match fault {
            Fault::BadDeployment => self.deploy(fleet, if on { BAD_VERSION } else { STABLE_VERSION }).await,
            Fault::LostInstance if on => self.lose(fleet).await,
            Fault::LostInstance => self.restart(fleet, LOST_INSTANCE).await,
            _ => self.tell_fault(fleet, fault, on).await,
        };
        if switched.is_err() {
            self.mark(fault, !on);
        }
        switched
    }

    fn mark(&self, fault: Fault, on: bool) {
        let mut faults = self.on.lock();
        if on {
            faults.insert(fault);
        } else {
            faults.remove(&fault);
        }
    }

    /// Announces the version, then replaces one instance after the other: the new one answers before the old one ends.
    async fn deploy(&self, fleet: &mut Fleet, version: &str) -> Result<()> {
        self.announce(version).await?;
        let names: Vec<String> = fleet
            .processes
            .iter()
            .filter(|(_, one)| one.service == "catalog" && !one.lost)
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            let fresh = self.spawn("catalog", &name, version, &peers(fleet)).await?;
            let old = fleet.processes.insert(name, fresh);
            self.tell_peers(fleet).await?;
            if let Some(old) = old {
                // It finishes what it has begun while the roll-out goes on.
                tokio::spawn(end(old));
            }
        }
        Ok(())
    }

    async fn announce(&self, version: &str) -> Result<()> {
        let url = format!("http://{}/api/v1/changes", self.config.listen);
        let change = serde_json::json!({
            "entity": "service:shop/catalog",
            "kind": "deployment",
            "version": version,
            "author": "release-bot",
        });
        let response = self.http.post(url).json(&change).send().await.context("cannot announce the deployment")?;
        if !response.status().is_success() {
            bail!("the server refused the deployment's announcement with status {}", response.status());
        }
        Ok(())
    }

    async fn lose(&self, fleet: &mut Fleet) -> Result<()> {
        let Some(process) = fleet.processes.get_mut(LOST_INSTANCE) else { bail!("{LOST_INSTANCE} does not run") };
        process.lost = true;
        process.child.kill().await.context("cannot kill it")
    }

    /// Starts an instance anew and tells the others where it is.
    async fn restart(&self, fleet: &mut Fleet, name: &str) -> Result<()> {
        let Some(service) = fleet.processes.get(name).map(|process| process.service) else {
            bail!("no instance {name}")
        };
        let fresh = self.spawn(service, name, self.version_of(service), &peers(fleet)).await?;
        fleet.processes.insert(name.to_owned(), fresh);
        self.tell_peers(fleet).await
    }

    fn version_of(&self, service: &str) -> &'static str {
        let bad = service == Fault::BadDeployment.service() && self.on.lock().contains(&Fault::BadDeployment);
        if bad { BAD_VERSION } else { STABLE_VERSION }
    }

    async fn tell_fault(&self, fleet: &Fleet, fault: Fault, on: bool) -> Result<()> {
        let switch = Switch { name: fault.name().to_owned(), on };
        for process in fleet.processes.values().filter(|process| process.service == fault.service() && !process.lost) {
            let request = self.http.post(format!("http://{}/control/fault", process.address)).json(&switch);
            request.header(SECRET_HEADER, &self.secret).send().await?.error_for_status()?;
        }
        Ok(())
    }

    async fn tell_peers(&self, fleet: &Fleet) -> Result<()> {
        let peers = peers(fleet);
        for (name, process) in fleet.processes.iter().filter(|(_, process)| !process.lost) {
            let request = self.http.put(format!("http://{}/control/peers", process.address)).json(&peers);
            let told =
                request.header(SECRET_HEADER, &self.secret).send().await.and_then(|answer| answer.error_for_status());
            // One that just died is started again, and then told: not a reason to give up on the others.
            if let Err(error) = told {
                eprintln!("demo: {name} did not take the list of peers: {error}");
            }
        }
        Ok(())
    }

    /// Starts one process and waits until it says where it listens.
    async fn spawn(&self, service: &'static str, name: &str, version: &str, peers: &Peers) -> Result<Process> {
        let output = OpenOptions::new().create(true).append(true).open(self.output_of(name));
        let output = output.with_context(|| format!("cannot write the output of {name}"))?;
        let mut command = Command::new(&self.config.program);
        command.args(["shop-service", name]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(output);
        command.kill_on_drop(true);
        // What a service frees goes back to the system at once, so that its memory tells what it holds.
        command.env("MIMALLOC_PURGE_DELAY", "0");
        // An interrupt from the keyboard is for the parent alone, which then ends its children in order.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.config.program.display()))?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("{name} has no pipes");
        };
        let mut settings = serde_json::to_vec(&self.settings_of(service, name, version, peers))?;
        settings.push(b'\n');
        stdin.write_all(&settings).await.with_context(|| format!("{name} did not take its settings"))?;
        stdin.flush().await?;
        let mut ready = String::new();
        let mut stdout = BufReader::new(stdout);
        let said = tokio::time::timeout(START_LIMIT, stdout.read_line(&mut ready)).await;
        said.map_err(|_| anyhow!("{name} did not start within {} s", START_LIMIT.as_secs()))??;
        let ready: serde_json::Value = serde_json::from_str(&ready)
            .with_context(|| format!("{name} did not start; see {}", self.output_of(name).display()))?;
        let address = ready.get("listen").and_then(|listen| listen.as_str()).unwrap_or_default();
        let address = address.parse().with_context(|| format!("{name} told no address"))?;
        Ok(Process { service, child, stdin, address, lost: false })
    }

    fn settings_of(&self, service: &str, name: &str, version: &str, peers: &Peers) -> ServiceConfig {
        let mine = |fault: &&Fault| fault.service() == service;
        ServiceConfig {
            service: service.to_owned(),
            instance: name.to_owned(),
            version: version.to_owned(),
            otlp_grpc: (service != "load").then_some(self.config.otlp_grpc),
            data_dir: self.config.data_dir.join(name),
            secret: self.secret.clone(),
            seed: self.config.seed,
            speed: self.config.speed,
            peers: peers.clone(),
            faults: self.on.lock().iter().filter(mine).map(|fault| fault.name().to_owned()).collect(),
        }
    }

    fn output_of(&self, name: &str) -> std::path::PathBuf {
        self.config.data_dir.join(format!("{name}.log"))
    }

    /// Each run begins with empty output files: old ones would grow for ever.
    fn truncate_output(&self, name: &str) -> Result<()> {
        fs::write(self.output_of(name), []).with_context(|| format!("cannot write {}", self.output_of(name).display()))
    }

    /// Ends the load, then all others together.
    pub async fn stop(&self) {
        let mut fleet = self.fleet.lock().await;
        fleet.stopped = true;
        if let Some(load) = fleet.processes.remove("load") {
            end(load).await;
        }
        let processes = std::mem::take(&mut fleet.processes);
        futures::future::join_all(processes.into_values().map(end)).await;
    }

    /// Starts again what died by itself.
    async fn revive(&self) {
        let mut fleet = self.fleet.lock().await;
        if fleet.stopped {
            return;
        }
        let mut dead = Vec::new();
        for (name, process) in fleet.processes.iter_mut().filter(|(_, process)| !process.lost) {
            if let Ok(Some(status)) = process.child.try_wait() {
                eprintln!("demo: {name} ended ({status}) and is started again");
                dead.push(name.clone());
            }
        }
        for name in dead {
            if let Err(error) = self.restart(&mut fleet, &name).await {
                eprintln!("demo: {name} does not start: {error:#}");
            }
        }
    }
}

/// Asks a process to end, and kills it if it does not.
async fn end(mut process: Process) {
    drop(process.stdin);
    if tokio::time::timeout(END_LIMIT, process.child.wait()).await.is_err() {
        let _ = process.child.kill().await;
    }
}

/// `catalog-1`, or just `load` for the one that is no service.
fn instance(service: &str, count: usize, number: usize) -> String {
    if service == "load" && count == 1 { service.to_owned() } else { format!("{service}-{number}") }
}

/// Who is where. A lost instance stays in: that it is gone is for the callers to find out.
fn peers(fleet: &Fleet) -> Peers {
    let mut peers = Peers::new();
    for process in fleet.processes.values().filter(|process| process.service != "load") {
        peers.entry(process.service.to_owned()).or_default().push(process.address);
    }
    peers
}

async fn watch(shop: Arc<Shop>) {
    loop {
        tokio::time::sleep(WATCH_EVERY).await;
        shop.revive().await;
    }
}

async fn keep_schedule(shop: Arc<Shop>) {
    for turn in shop.config.tour.turns(shop.config.speed) {
        tokio::time::sleep(turn.wait).await;
        switch_on_schedule(&shop, turn.fault, true).await;
        tokio::time::sleep(turn.lasts).await;
        switch_on_schedule(&shop, turn.fault, false).await;
    }
}

async fn switch_on_schedule(shop: &Shop, fault: Fault, on: bool) {
    if let Err(error) = shop.set(fault, on).await {
        eprintln!("demo: {error}");
    }
}
