//! The host that this runs on, watched from the first second: processor, memory, disks, network, the largest
//! processes, and Bellwether's own process and timings. Tenant `_self`.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sysinfo::{Disks, Networks, Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use types::{Batch, EntityId, EntityKey, LabelSet, Registry, SeriesDef, SeriesKind, Tenant};

use crate::state::{App, now, own_entity};

const PERIOD: Duration = Duration::from_secs(10);
/// How many of the largest processes are followed by name.
const PROCESSES: usize = 5;

/// Starts watching.
pub fn watch(app: Arc<App>) {
    tokio::spawn(async move {
        let mut host = Host {
            system: System::new(),
            disks: Disks::new_with_refreshed_list(),
            networks: Networks::new_with_refreshed_list(),
        };
        host.system.refresh_cpu_usage();
        // Processor use is a difference: the first reading needs a moment before it.
        let mut wait = Duration::from_millis(500);
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = app.stop.wait() => return,
            }
            wait = PERIOD;
            let (batch, read_host) = (read(&app, &mut host), &app.store);
            if let Err(error) = read_host.append(batch, None).await {
                tracing::debug!(%error, "the host's metrics were not stored");
            }
        }
    });
}

struct Host {
    system: System,
    disks: Disks,
    networks: Networks,
}

fn read(app: &App, host: &mut Host) -> Batch {
    host.system.refresh_cpu_usage();
    host.system.refresh_memory();
    host.disks.refresh(true);
    host.networks.refresh(true);
    host.system.refresh_processes_specifics(
        ProcessesToUpdate::All,
        true,
        ProcessRefreshKind::nothing().with_cpu().with_memory(),
    );

    let mut points = Points { app, batch: Batch { tenant: Tenant::own(), ..Batch::default() }, time: now().0 };
    let name = System::host_name().unwrap_or_else(|| "localhost".into());
    let machine = EntityId::new("host", "default", &name);
    points.of_host(&machine, host);
    points.of_self();
    points.batch
}

struct Points<'a> {
    app: &'a App,
    batch: Batch,
    time: i64,
}

impl Points<'_> {
    fn of_host(&mut self, entity: &EntityId, host: &Host) {
        use SeriesKind::{Counter, Gauge};
        let system = &host.system;
        self.push(entity, "system.cpu.utilization", "1", Gauge, &[], f64::from(system.global_cpu_usage()) / 100.0);
        self.push(entity, "system.cpu.load_average.1m", "1", Gauge, &[], System::load_average().one);
        self.push(entity, "system.memory.usage", "By", Gauge, &[("state", "used")], system.used_memory() as f64);
        self.push(entity, "system.memory.limit", "By", Gauge, &[], system.total_memory() as f64);
        self.push(entity, "system.processes.count", "{process}", Gauge, &[], system.processes().len() as f64);
        for disk in host.disks.list() {
            let mount = disk.mount_point().to_string_lossy();
            let (total, free) = (disk.total_space() as f64, disk.available_space() as f64);
            if total > 0.0 {
                self.push(
                    entity,
                    "system.filesystem.utilization",
                    "1",
                    Gauge,
                    &[("mountpoint", &mount)],
                    1.0 - free / total,
                );
            }
        }
        for (device, network) in host.networks.list() {
            self.push(
                entity,
                "system.network.io",
                "By",
                Counter,
                &[("device", device), ("direction", "receive")],
                network.total_received() as f64,
            );
            self.push(
                entity,
                "system.network.io",
                "By",
                Counter,
                &[("device", device), ("direction", "transmit")],
                network.total_transmitted() as f64,
            );
            self.push(
                entity,
                "system.network.errors",
                "{error}",
                Counter,
                &[("device", device)],
                (network.total_errors_on_received() + network.total_errors_on_transmitted()) as f64,
            );
        }
        let mut largest: Vec<_> = system.processes().values().filter(|p| p.thread_kind().is_none()).collect();
        largest.sort_by_key(|p| std::cmp::Reverse(p.memory()));
        for process in largest.into_iter().take(PROCESSES) {
            let (name, pid) = (process.name().to_string_lossy().into_owned(), process.pid().to_string());
            let labels = [("process.executable.name", name.as_str()), ("process.pid", pid.as_str())];
            self.push(entity, "process.memory.usage", "By", Gauge, &labels, process.memory() as f64);
            self.push(entity, "process.cpu.utilization", "1", Gauge, &labels, f64::from(process.cpu_usage()) / 100.0);
        }
        if let Some(own) = system.process(Pid::from_u32(std::process::id())) {
            let entity = own_entity();
            self.push(&entity, "process.memory.usage", "By", Gauge, &[], own.memory() as f64);
            self.push(&entity, "process.cpu.utilization", "1", Gauge, &[], f64::from(own.cpu_usage()) / 100.0);
            if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
                self.push(&entity, "process.open_file_descriptors", "{file}", Gauge, &[], open.count() as f64);
            }
        }
    }

    fn of_self(&mut self) {
        let entity = own_entity();
        let c = &self.app.counters;
        let counts = [
            ("bellwether.intake.requests", &c.requests_ok, 1.0),
            ("bellwether.intake.samples", &c.samples, 1.0),
            ("bellwether.intake.records", &c.records, 1.0),
            ("bellwether.intake.spans", &c.spans, 1.0),
            ("bellwether.intake.rejected", &c.rejected, 1.0),
            ("bellwether.intake.shed", &c.requests_shed, 1.0),
            ("bellwether.intake.decode_s", &c.decode_ns, 1e-9),
            ("bellwether.intake.append_s", &c.append_ns, 1e-9),
            ("bellwether.engine.steps", &c.steps, 1.0),
            ("bellwether.engine.step_s", &c.step_ns, 1e-9),
            ("bellwether.engine.commit_s", &c.commit_ns, 1e-9),
        ];
        for (metric, counter, scale) in counts {
            self.push(&entity, metric, "", SeriesKind::Counter, &[], counter.load(Ordering::Relaxed) as f64 * scale);
        }
    }

    fn push(
        &mut self,
        entity: &EntityId,
        metric: &str,
        unit: &str,
        kind: SeriesKind,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        let key: EntityKey = Registry::entity(&mut self.app.store.directory().write(), entity);
        push(self.app, &mut self.batch, self.time, key, metric, unit, kind, labels, value);
    }
}

/// Appends a point of a series of an entity.
pub fn push(
    app: &App,
    batch: &mut Batch,
    time: i64,
    entity: EntityKey,
    metric: &str,
    unit: &str,
    kind: SeriesKind,
    labels: &[(&str, &str)],
    value: f64,
) {
    let tenant = batch.tenant.clone();
    let labels = LabelSet::pack(&mut labels.to_vec());
    let def = SeriesDef { tenant, metric: metric.into(), entity, labels, kind, unit: unit.into() };
    let series = app.store.directory().write().series(def);
    batch.samples.push(series, time, value);
}
