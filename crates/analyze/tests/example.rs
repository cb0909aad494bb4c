//! The example of `docs/adding-an-analysis.md`, so that it stays true: it compiles and passes the shared checks.

use std::collections::BTreeMap;

use analyze::{checks, measures};
use bellwether_analyze as analyze;
use types::{Direction, Evidence, Finding, FindingId, MINUTE, SECOND, Shape, TemplateId, Time};
use view::{Analysis, Findings, Fleet, Pages, Param, Params, State, StateData, Stratum, Trigger, View};

// --- begin of the example
/// The catalogue's entry.
pub const ANALYSIS: Analysis = Analysis {
    name: "burst_of_errors",
    version: 1,
    summary: "many error lines of one service within a minute",
    stratum: Stratum::Detect,
    trigger: Trigger::Every(10 * SECOND),
    params: &[Param {
        name: "lines_min",
        default: 30.0,
        range: (1.0, 1e6),
        summary: "error lines within a minute; 30 is more than a healthy service writes",
    }],
    new_state: |_| State::new(Counts::default()),
    run,
};

/// What is remembered: the error lines by tenant, entity and minute. Ordered maps, so that equal states give equal
/// bytes.
#[derive(Default)]
struct Counts(Fleet<BTreeMap<String, BTreeMap<u32, BTreeMap<i64, u32>>>>);

fn run(view: &View, params: &Params, state: &mut State, out: &mut Findings) {
    let counts = &mut state.get::<Counts>().0.0;
    for batch in view.batches {
        let rows = &batch.records;
        let of_tenant = counts.entry(batch.tenant.as_str().to_owned()).or_default();
        for i in (0..rows.len()).filter(|&i| rows.severity[i] >= 17 && !view.is_late(rows.time[i])) {
            let minutes = of_tenant.entry(rows.entity[i].0).or_default();
            *minutes.entry(rows.time[i] / MINUTE).or_default() += 1;
            let lines = minutes[&(rows.time[i] / MINUTE)];
            if f64::from(lines) == params.get("lines_min")
                && let Some(finding) = burst(view, batch, i, lines)
            {
                out.say(finding);
            }
            minutes.retain(|minute, _| *minute > view.now.0 / MINUTE - 10);
        }
    }
}

fn burst(view: &View, batch: &types::Batch, row: usize, lines: u32) -> Option<Finding> {
    let rows = &batch.records;
    let entity = view.registry.entity_id(rows.entity[row])?.clone();
    let start = Time(rows.time[row]).floor(MINUTE);
    Some(Finding {
        id: FindingId(0), // computed by `say`
        method: ANALYSIS.name.into(),
        version: ANALYSIS.version,
        tenant: batch.tenant.clone(),
        shape: Shape::Abnormal,
        measure: "log_errors_rate".into(), // a row of measures.rs
        scope: String::new(),
        start,
        end: view.now.max(start),
        ongoing: false,
        learned: view.now,
        belief: 0.6,
        surprise: 6.0,
        impact: measures::impact("log_errors_rate"),
        direction: Direction::Up,
        expected: None,
        observed: f64::from(lines),
        cause: None,
        incident: None,
        summary: format!("{entity} wrote {lines} error lines within a minute"),
        evidence: vec![Evidence::Logs {
            entity: entity.clone(),
            template: TemplateId(0),
            text: String::new(),
            sample: rows.body.get(row).chars().take(200).collect(),
            count: u64::from(lines),
            from: start,
            to: view.now,
        }],
        entity,
    })
}

impl StateData for Counts {
    fn schema(&self) -> u32 {
        1
    }

    fn save(&mut self, _all: bool, pages: &mut Pages) {
        pages.insert("fleet".into(), self.0.to_bytes());
    }

    fn load(&mut self, _schema: u32, pages: &Pages) -> Result<(), String> {
        self.0 = pages.get("fleet").map_or(Ok(Fleet::default()), |bytes| Fleet::from_bytes(bytes))?;
        Ok(())
    }
}
// --- end of the example

#[test]
fn the_example_passes_the_shared_checks() {
    checks::check(&ANALYSIS);
}

#[test]
fn the_example_speaks_when_things_break() {
    let said: Vec<_> = checks::run(&ANALYSIS, &checks::World::new(1, true), 900, None).concat();
    assert!(!said.is_empty());
}

#[test]
fn the_document_shows_this_example() {
    let document = include_str!("../../../docs/adding-an-analysis.md");
    let source = include_str!("example.rs");
    let example =
        source.split("// --- begin of the example\n").nth(1).and_then(|s| s.split("// --- end").next()).unwrap();
    assert!(document.contains(example.trim_end()), "docs/adding-an-analysis.md does not show tests/example.rs");
}
