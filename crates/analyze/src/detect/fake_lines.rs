//! Lines of one service for tests of what lines hold.

use std::sync::Arc;

use types::{
    Batch, Directory, EntityId, Finding, LabelSet, ResourceDef, SECOND, TemplateDef, TemplateId, Tenant, Time, Topology,
};
use view::{Analysis, Calibration, FindingLog, Findings, MemoryHistory, Params, State, View};

use crate::checks::{self, World};

#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub template: u32,
    pub severity: u8,
    /// 0: none.
    pub trace: u64,
    pub body: String,
}

/// So many seconds, with the lines of each; templates are numbered from 1.
pub(crate) fn world(seconds: i64, templates: &[&str], lines: impl Fn(i64) -> Vec<Line>) -> World {
    let directory = Arc::new(Directory::default());
    let start = Time(1_750_000_000 * SECOND);
    let mut registry = directory.write();
    for (i, text) in templates.iter().enumerate() {
        registry.template(TemplateDef { id: TemplateId(i as u32 + 1), text: (*text).into() });
    }
    let entity = registry.entity(&EntityId::new("service", "t", "a"));
    let attributes = LabelSet::pack(&mut vec![("service.name", "a")]);
    let resource = registry.resource(ResourceDef { tenant: Tenant::default(), entity, attributes });
    drop(registry);
    let second = |s: i64| {
        let mut batch = Batch { learned: start.plus((s + 1) * SECOND), ..Batch::default() };
        for line in lines(s) {
            let rows = &mut batch.records;
            rows.time.push(start.plus(s * SECOND).0);
            rows.entity.push(entity);
            rows.resource.push(resource);
            rows.severity.push(line.severity);
            rows.template.push(TemplateId(line.template));
            rows.body.push(&line.body);
            rows.attributes.push("");
            rows.trace_id.push(u128::from(line.trace).to_be_bytes());
            rows.span_id.push([0; 8]);
        }
        Some(Arc::new(batch))
    };
    World { seconds: (0..seconds).map(second).collect(), directory, start }
}

/// All that is said.
pub(crate) fn said(analysis: &'static Analysis, world: &World) -> Vec<Finding> {
    checks::run(analysis, world, world.seconds.len(), None).concat()
}

/// The state after the world's end.
pub(crate) fn book_after(analysis: &'static Analysis, world: &World) -> State {
    let params = Params::defaults(analysis.params);
    let mut state = (analysis.new_state)(&params);
    let registry = world.directory.read();
    for (s, batch) in world.seconds.iter().enumerate() {
        let batches: Vec<_> = batch.iter().cloned().collect();
        let view = View {
            now: world.start.plus((s as i64 + 1) * SECOND),
            registry: &registry,
            batches: &batches,
            findings: &FindingLog::default(),
            incidents: &[],
            topology: &Topology::default(),
            calibration: &Calibration::default(),
            slos: &[],
            history: &MemoryHistory::default(),
        };
        (analysis.run)(&view, &params, &mut state, &mut Findings::default());
    }
    state
}
