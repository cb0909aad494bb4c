//! Objectives through the whole loop: set by an event, burnt by failing requests, one incident, shown, removed.

use std::sync::Arc;

use bellwether_engine::{Effect, Engine, EngineConfig, lay_over};
use types::slo::{Indicator, Slo};
use types::{
    Batch, DAY, Directory, EntityId, EntityKey, IncidentState, JournalEntry, JournalKind, LabelSet, MILLI, MINUTE,
    Position, ResourceDef, ResourceId, SECOND, Tenant, Time,
};
use view::{MemoryHistory, StepCut};

const START: Time = Time(1_767_268_800 * SECOND);
const STEP_S: i64 = 5;
const PER_STEP: i64 = 40;

struct Loop {
    directory: Arc<Directory>,
    engine: Engine,
    step: i64,
    effects: Vec<Effect>,
    kept: view::Checkpoint,
    restarts: bool,
}

impl Loop {
    fn new(restarts: bool) -> Loop {
        let directory = Arc::new(Directory::default());
        {
            let mut registry = directory.write();
            let entity = registry.entity(&EntityId::new("service", "shop", "payments"));
            let attributes = LabelSet::pack(&mut vec![("service.name", "payments")]);
            registry.resource(ResourceDef { tenant: Tenant::default(), entity, attributes });
        }
        let mut engine = Engine::new(directory.clone(), EngineConfig::default()).unwrap();
        let kept = engine.checkpoint(true);
        Loop { directory, engine, step: 0, effects: Vec::new(), kept, restarts }
    }

    fn now(&self) -> Time {
        START.plus(self.step * STEP_S * SECOND)
    }

    fn take(&mut self, mut batch: Batch) {
        self.step += 1;
        batch.learned = self.now();
        let cut = StepCut { step: self.step as u64, now: self.now(), position: Position(self.step as u64) };
        let batches = vec![(cut.position, Arc::new(batch))];
        self.effects.extend(self.engine.step(cut, batches, &MemoryHistory::default()));
        if self.restarts && self.step % 50 == 0 {
            lay_over(&mut self.kept, self.engine.checkpoint(false));
            self.engine = Engine::restore(self.directory.clone(), EngineConfig::default(), self.kept.clone()).unwrap();
            assert!(self.engine.warnings().is_empty(), "{:?}", self.engine.warnings());
        }
    }

    fn say(&mut self, kind: &str, attributes: serde_json::Value) {
        let mut batch = Batch::default();
        batch.events.push(self.now().0, EntityKey(0), kind, &attributes.to_string());
        self.take(batch);
    }

    /// Requests for so many minutes, every so manieth of which fails.
    fn live(&mut self, minutes: i64, one_of: i64) {
        for _ in 0..minutes * 60 / STEP_S {
            let mut batch = Batch::default();
            for i in 0..PER_STEP {
                let rows = &mut batch.spans;
                rows.time.push(self.now().0 + i * 100 * MILLI);
                rows.duration_ns.push((20 + i % 7) * MILLI);
                rows.entity.push(EntityKey(0));
                rows.resource.push(ResourceId(0));
                rows.name.push("POST /pay");
                rows.kind.push(2);
                rows.status.push(if one_of > 0 && i % one_of == 0 { 2 } else { 0 });
                rows.trace_id.push([1; 16]);
                rows.span_id.push(((self.step * PER_STEP + i + 1) as u64).to_be_bytes());
                rows.parent_span_id.push([0; 8]);
                rows.attributes.push("");
            }
            self.take(batch);
        }
    }

    fn journal(&self, kind: JournalKind) -> Vec<&JournalEntry> {
        let lines = self.effects.iter().filter_map(|effect| match effect {
            Effect::Journal(line) => Some(line),
            _ => None,
        });
        lines.filter(|line| line.kind == kind).collect()
    }
}

fn slo(name: &str, target: f64, indicator: Indicator) -> Slo {
    Slo {
        name: name.into(),
        tenant: Tenant::new("another, which does not count"),
        service: EntityId::new("service", "", "payments"),
        description: String::new(),
        target,
        window_ns: 30 * DAY,
        indicator,
        enabled: true,
    }
}

fn lived(restarts: bool) -> Loop {
    let mut life = Loop::new(restarts);
    for slo in [
        slo("pay-availability", 0.999, Indicator::Requests),
        slo("pay-quick", 0.998, Indicator::Latency { threshold_ms: 300.0 }),
        slo("pay-lax", 0.5, Indicator::Requests),
    ] {
        life.say("slo.set", serde_json::json!({ "slo": slo, "actor": "ada" }));
    }
    life.live(30, 0);
    life.live(12, 4);
    life.live(45, 0);
    life
}

#[test]
fn burning_objectives_are_one_incident_with_the_errors_that_burn_them() {
    let mut life = lived(false);
    let snapshot = life.engine.snapshot();
    assert_eq!(snapshot.counters.ignored_events, 0);
    let opened = life.journal(JournalKind::Incident).into_iter().filter(|line| line.data["what"] == "opened");
    assert_eq!(opened.count(), 1);
    let incident = snapshot.incidents.last().unwrap();
    assert_eq!(incident.state, IncidentState::Resolved, "{incident:#?}");
    let resolved = incident.resolved_at.unwrap().since(START.plus(42 * MINUTE)) / MINUTE;
    assert!(resolved <= 12, "{resolved} minutes after it was over");
    assert!(incident.title.contains("errors"), "{}", incident.title);
    assert!(incident.title.contains("a burning error budget"), "{}", incident.title);
    let burns: Vec<_> = snapshot.findings.iter().filter(|f| f.measure == "slo_burn").collect();
    let mut scopes: Vec<_> = burns.iter().map(|f| f.scope.as_str()).collect();
    scopes.sort();
    assert_eq!(scopes, ["pay-availability", "pay-quick"], "{burns:#?}");
    assert!(burns.iter().all(|f| incident.findings.contains(&f.id)));
    let started = START.plus(30 * MINUTE);
    assert!(burns.iter().all(|f| f.start.since(started).abs() <= MINUTE && !f.ongoing), "{burns:#?}");
    assert!(incident.causes.iter().all(|cause| cause.entity.as_str() == "service:shop/payments"));

    let rows = &snapshot.slos;
    let names: Vec<_> = rows.iter().map(|row| (row.slo.name.as_str(), row.slo.tenant.as_str())).collect();
    assert_eq!(names, [("pay-availability", "default"), ("pay-lax", "default"), ("pay-quick", "default")]);
    let status = rows[0].status.as_ref().unwrap();
    // A quarter of 12 of 87 minutes.
    assert!((status.ratio.unwrap() - (1.0 - 3.0 / 87.0)).abs() < 0.001, "{status:?}");
    assert!(status.is_enough && status.budget_left.unwrap() < 1.0);
    let derived =
        life.effects.iter().filter(|e| matches!(e, Effect::Derived(d) if d.metric.starts_with("bellwether.slo.")));
    assert!(derived.count() > 3 * 2 * 80);
}

#[test]
fn they_are_journaled_survive_restarts_and_can_be_removed() {
    let straight = lived(false);
    let mut life = lived(true);
    assert!(straight.effects == life.effects, "a restart changed what was concluded");
    life.say("slo.removed", serde_json::json!({ "name": "pay-quick", "actor": "ada" }));
    life.say("slo.removed", serde_json::json!({ "name": "pay-gone" }));
    life.say("slo.set", serde_json::json!({ "slo": slo("bad", 1.0, Indicator::Requests) }));
    life.say("slo.set", serde_json::json!({ "slo": { "name": "worse" } }));
    let lines: Vec<_> = life.journal(JournalKind::Setting).into_iter().map(|l| (l.subject.as_str(), &l.data)).collect();
    let what = |i: usize| (lines[i].0, lines[i].1["what"].as_str().unwrap(), lines[i].1["known"].as_bool());
    assert_eq!(what(0), ("pay-availability", "slo", None));
    assert_eq!(lines[0].1["taken"], true);
    assert_eq!(what(3), ("pay-quick", "slo_removed", Some(true)));
    assert_eq!(what(4), ("pay-gone", "slo_removed", Some(false)));
    assert_eq!(lines.len(), 5);
    let snapshot = life.engine.snapshot();
    assert_eq!((snapshot.slos.len(), snapshot.counters.ignored_events), (2, 2));
}
