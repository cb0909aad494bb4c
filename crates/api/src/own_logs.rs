//! Bellwether's own warnings and errors, stored as records of tenant `_self`. Bounded, and never about themselves.

use std::sync::Arc;

use tokio::sync::mpsc;
use types::{Batch, LabelSet, ResourceDef, TemplateId, Tenant};

use crate::state::{App, now, own_entity};

/// Lines waiting to be stored; more are dropped.
const WAITING: usize = 256;

/// A sink for lines, and where they go once there is a store.
#[derive(Clone)]
pub struct OwnLogs {
    sender: mpsc::Sender<(u8, String)>,
    receiver: Arc<parking_lot::Mutex<Option<mpsc::Receiver<(u8, String)>>>>,
}

impl Default for OwnLogs {
    fn default() -> OwnLogs {
        let (sender, receiver) = mpsc::channel(WAITING);
        OwnLogs { sender, receiver: Arc::new(parking_lot::Mutex::new(Some(receiver))) }
    }
}

impl OwnLogs {
    /// Takes a line with its OTLP severity; dropped where too many wait, so that a broken store cannot fill memory.
    pub fn line(&self, severity: u8, text: String) {
        let _ = self.sender.try_send((severity, text));
    }

    /// Stores lines as they come, a second's worth at a time.
    pub(crate) fn store_into(&self, app: Arc<App>) {
        let Some(mut receiver) = self.receiver.lock().take() else { return };
        tokio::spawn(async move {
            while let Some(first) = tokio::select! { line = receiver.recv() => line, () = app.stop.wait() => None } {
                let mut lines = vec![first];
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                while let Ok(line) = receiver.try_recv() {
                    lines.push(line);
                }
                // A failure to store them is not logged: that line would come back here.
                let _ = app.store.append(batch(&app, lines), None).await;
            }
        });
    }
}

fn batch(app: &App, lines: Vec<(u8, String)>) -> Batch {
    let tenant = Tenant::own();
    let mut registry = app.store.directory().write();
    let entity = registry.entity(&own_entity());
    let attributes =
        LabelSet::pack(&mut vec![("service.name", "bellwether"), ("service.version", env!("CARGO_PKG_VERSION"))]);
    let resource = registry.resource(ResourceDef { tenant: tenant.clone(), entity, attributes });
    drop(registry);
    let mut batch = Batch { tenant, ..Batch::default() };
    for (severity, text) in lines {
        let rows = &mut batch.records;
        rows.time.push(now().0);
        rows.resource.push(resource);
        rows.entity.push(entity);
        rows.severity.push(severity);
        rows.template.push(TemplateId(0));
        rows.body.push(&text);
        rows.attributes.push("");
        rows.trace_id.push([0; 16]);
        rows.span_id.push([0; 8]);
    }
    batch
}
