//! What the loop promises, with three small analyses: one says a finding while a value is above 100, one counts what
//! it sees, one names a cause.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::{
    CauseKind, Direction, EdgeKind, EntityKey, Evidence, LabelSet, SECOND, SeriesDef, SeriesId, SeriesKind, Severity,
};
use view::{Fleet, MemoryHistory, Pages, StateData};

use super::*;

const START: i64 = 1_767_268_800 * SECOND;
const STEPS: i64 = 48;

/// A fleet state for the analyses of these tests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Memory {
    since: BTreeMap<u32, i64>,
    rows: u64,
}

impl StateData for Memory {
    fn schema(&self) -> u32 {
        1
    }
    fn save(&mut self, _all: bool, pages: &mut Pages) {
        pages.insert("fleet".to_owned(), Fleet(self.clone()).to_bytes());
    }
    fn load(&mut self, schema: u32, pages: &Pages) -> Result<(), String> {
        if schema != 1 {
            return Err(format!("schema {schema}"));
        }
        *self = Fleet::from_bytes(pages.get("fleet").ok_or("no page")?)?.0;
        Ok(())
    }
}

fn fresh(_: &Params) -> State {
    State::new(Memory::default())
}

static HIGH: Analysis = Analysis {
    name: "high",
    version: 1,
    summary: "says a finding while a value is above 100",
    stratum: Stratum::Detect,
    trigger: Trigger::Every(SECOND),
    params: &[view::Param { name: "limit", default: 100.0, range: (0.0, 1e6), summary: "above it is high" }],
    new_state: fresh,
    run: high,
};

static TALLY: Analysis = Analysis {
    name: "tally",
    version: 1,
    summary: "counts the rows that it sees, every seven seconds",
    stratum: Stratum::Detect,
    trigger: Trigger::Every(7 * SECOND),
    params: &[],
    new_state: fresh,
    run: tally,
};

static BLAME: Analysis = Analysis {
    name: "blame",
    version: 1,
    summary: "names the first entity of each open incident",
    stratum: Stratum::Cause,
    trigger: Trigger::Every(SECOND),
    params: &[],
    new_state: fresh,
    run: blame,
};

static AFTER_CHANGE: Analysis = Analysis {
    name: "after_change",
    version: 1,
    summary: "runs eleven seconds after a change",
    stratum: Stratum::Detect,
    trigger: Trigger::After("change.", 11 * SECOND),
    params: &[],
    new_state: fresh,
    run: |view, _, _, out| out.derived.push(derived(view.now, "bellwether.after", 1.0)),
};

fn high(view: &View, params: &Params, state: &mut State, out: &mut Findings) {
    let memory: &mut Memory = state.get();
    for batch in view.batches {
        for i in 0..batch.samples.len() {
            let (series, time, value) = (batch.samples.series[i], batch.samples.time[i], batch.samples.value[i]);
            assert!(time <= view.now.0, "a row of the future was shown");
            let Some(def) = view.registry.series_def(series) else { continue };
            let Some(entity) = view.registry.entity_id(def.entity) else { continue };
            let is_high = value > params.get("limit");
            let Some(start) = memory.since.get(&series.0).copied().or(is_high.then_some(time)) else { continue };
            memory.since.insert(series.0, start);
            if !is_high {
                memory.since.remove(&series.0);
            }
            let surprise = 3.0 + value / 7.0;
            let mut finding = finding(&batch.tenant, entity, Time(start), Time(time), is_high, surprise);
            finding.evidence.push(Evidence::Note { text: format!("{value}") });
            out.say(finding);
        }
        for i in 0..batch.spans.len() {
            let (source, at) = (batch.spans.entity[i], Time(batch.spans.time[i]));
            let target = EntityKey(source.0 + 1);
            out.edges.push(SeenEdge { source, target, kind: EdgeKind::Calls, at, count: 1 });
        }
    }
}

fn tally(view: &View, _: &Params, state: &mut State, out: &mut Findings) {
    let memory: &mut Memory = state.get();
    memory.rows += view.batches.iter().map(|batch| batch.rows() as u64).sum::<u64>();
    out.derived.push(derived(view.now, "bellwether.requests.rate", memory.rows as f64 / 3.0));
}

fn blame(view: &View, _: &Params, _: &mut State, out: &mut Findings) {
    for incident in view.incidents.iter().filter(|i| i.resolved_at.is_none()) {
        let mut finding = finding(&incident.tenant, &incident.entities[0], incident.started_at, view.now, true, 0.0);
        finding.shape = Shape::Cause;
        finding.cause = Some(CauseKind::Software);
        finding.incident = Some(incident.id.clone());
        out.say(finding);
    }
}

fn derived(at: Time, metric: &'static str, value: f64) -> DerivedSample {
    DerivedSample { tenant: Tenant::default(), entity: EntityKey(0), metric, labels: Vec::new(), time: at, value }
}

pub(crate) fn finding(
    tenant: &Tenant,
    entity: &EntityId,
    start: Time,
    end: Time,
    ongoing: bool,
    surprise: f64,
) -> Finding {
    Finding {
        id: FindingId(0),
        method: "high".to_owned(),
        version: 1,
        tenant: tenant.clone(),
        entity: entity.clone(),
        shape: Shape::Abnormal,
        measure: "error_ratio".to_owned(),
        scope: String::new(),
        start,
        end,
        ongoing,
        learned: end,
        belief: 0.9,
        surprise,
        impact: 0.9,
        direction: Direction::Up,
        expected: Some(types::Band { mean: 1.0 / 3.0, low: f64::NEG_INFINITY, high: f64::NAN }),
        observed: f64::INFINITY,
        cause: None,
        incident: None,
        summary: format!("{} is high", entity.name()),
        evidence: Vec::new(),
    }
}

/// A small world: three services in a chain, one of them bad for a while, rows out of the future, late rows, changes,
/// and people.
struct Story {
    directory: Arc<Directory>,
    steps: Vec<(StepCut, Vec<(Position, Arc<Batch>)>)>,
}

fn story() -> Story {
    let directory = Arc::new(Directory::default());
    let mut entities = Vec::new();
    let mut series = Vec::new();
    for name in ["front", "middle", "back", "host:box"] {
        let mut registry = directory.write();
        let entity = registry.entity(&EntityId::parse(name).unwrap());
        let def = SeriesDef {
            tenant: Tenant::default(),
            metric: "value".into(),
            entity,
            labels: LabelSet::default(),
            kind: SeriesKind::Gauge,
            unit: "".into(),
        };
        entities.push(entity);
        series.push(registry.series(def));
    }
    let mut position = 0;
    let mut steps = Vec::new();
    for step in 1..=STEPS {
        let now = START + step * 5 * SECOND;
        let mut batches = Vec::new();
        let mut push = |batch: Batch| {
            position += 1;
            batches.push((Position(position), Arc::new(Batch { learned: Time(now), ..batch })));
        };
        push(load(step, now, &series, &entities));
        if step % 9 == 0 {
            push(Batch { events: command("incident.acknowledged", now, entities[0]), ..Batch::default() });
        }
        if step == 12 {
            let mut own = Batch { tenant: Tenant::own(), ..Batch::default() };
            own.samples.push(series[3], now, 500.0);
            push(own);
        }
        if step == 15 {
            let mut events = types::Events::default();
            events.push(now, entities[1], "change.deployment", r#"{"version":"1.2"}"#);
            events.push(now, entities[1], "entity.merged", r#"{"alias":"old","entity":"front"}"#);
            push(Batch { events, ..Batch::default() });
        }
        if step == 18 || step == 30 {
            let mut events = types::Events::default();
            let edges = if step == 18 { r#"[{"from":"back","to":"host:box","kind":"runs_on"}]"# } else { "[]" };
            events.push(now, entities[1], "topology.declared", &format!(r#"{{"entities":[],"edges":{edges}}}"#));
            push(Batch { events, ..Batch::default() });
        }
        if step == 22 {
            let mut events = types::Events::default();
            events.push(now, entities[2], "detection.budget", r#"{"per_week":3,"actor":"ann"}"#);
            events.push(now, entities[1], "detection.missed", r#"{"metric":"value","actor":"ann"}"#);
            push(Batch { events, ..Batch::default() });
        }
        let cut = StepCut { step: step as u64, now: Time(now), position: Position(position) };
        steps.push((cut, batches));
    }
    Story { directory, steps }
}

fn load(step: i64, now: i64, series: &[SeriesId], entities: &[EntityKey]) -> Batch {
    let mut batch = Batch::default();
    for (i, id) in series.iter().enumerate().take(3) {
        let bad = (10..20).contains(&step) && i == 1 || (14..18).contains(&step) && i == 0;
        batch.samples.push(*id, now - SECOND, if bad { 150.0 + step as f64 } else { 50.0 });
    }
    // Rows come ahead of their time, by more each step; some come late.
    for ahead in 0..3 {
        batch.samples.push(series[2], now + (step % 5) * (4 + ahead) * SECOND, 50.0);
    }
    if step % 6 == 0 {
        batch.samples.push(series[2], now - 400 * SECOND, 50.0);
    }
    let spans = &mut batch.spans;
    spans.time.push(now - 2 * SECOND);
    // It ends after this step.
    spans.duration_ns.push(if step % 4 == 0 { 6 * SECOND } else { SECOND });
    spans.resource.push(types::ResourceId(0));
    spans.entity.push(entities[(step % 2) as usize]);
    spans.name.push("get");
    spans.kind.push(2);
    spans.status.push(0);
    spans.trace_id.push([step as u8; 16]);
    spans.span_id.push([step as u8; 8]);
    spans.parent_span_id.push([0; 8]);
    spans.attributes.push("");
    batch
}

fn command(kind: &str, now: i64, entity: EntityKey) -> types::Events {
    let mut events = types::Events::default();
    events.push(now, entity, kind, r#"{"incident":"inc-1","actor":"ann"}"#);
    events
}

fn config() -> EngineConfig {
    EngineConfig {
        analyses: vec![&HIGH, &TALLY, &AFTER_CHANGE, &BLAME],
        settings: BTreeMap::new(),
        grouping: GroupingConfig::default(),
    }
}

/// Effects of each step, as text: floats that are not numbers are equal there too.
fn live(story: &Story) -> Vec<String> {
    let mut engine = Engine::new(story.directory.clone(), config()).unwrap();
    run(&mut engine, story, 0, story.steps.len())
}

fn run(engine: &mut Engine, story: &Story, from: usize, to: usize) -> Vec<String> {
    let history = MemoryHistory::default();
    let steps = story.steps[from..to].iter();
    steps.map(|(cut, batches)| format!("{:?}", engine.step(*cut, batches.clone(), &history))).collect()
}

fn effects(story: &Story) -> Vec<Vec<Effect>> {
    let mut engine = Engine::new(story.directory.clone(), config()).unwrap();
    let history = MemoryHistory::default();
    story.steps.iter().map(|(cut, batches)| engine.step(*cut, batches.clone(), &history)).collect()
}

fn journal(effects: &[Effect]) -> Vec<&JournalEntry> {
    effects.iter().filter_map(|e| if let Effect::Journal(entry) = e { Some(entry) } else { None }).collect()
}

#[test]
fn the_same_cuts_give_the_same_effects() {
    let story = story();
    let said = live(&story);
    assert_eq!(said, live(&story));
    assert!(said.concat().contains("opened"), "the story must have an incident in it");
    assert!(said.concat().contains("resolved"));
}

#[test]
fn a_restart_after_any_step_changes_nothing() {
    let story = story();
    let said = live(&story);
    let mut engine = Engine::new(story.directory.clone(), config()).unwrap();
    let mut dirty = engine.checkpoint(true);
    let mut carried = 0;
    for k in 1..story.steps.len() {
        assert_eq!(run(&mut engine, &story, k - 1, k), said[k - 1..k]);
        carried += engine.waiting_rows();
        // Pages that changed, laid over those of before, are the whole state.
        lay_over(&mut dirty, engine.checkpoint(false));
        let published = format!("{:?}", engine.snapshot());
        let mut restored = Engine::restore(story.directory.clone(), config(), dirty.clone()).unwrap();
        assert_eq!(restored.warnings(), &[] as &[String]);
        assert!(format!("{:?}", restored.snapshot()) == published, "restored another snapshot after step {k}");
        assert!(restored.checkpoint(true) == dirty, "restored another state after step {k}");
        let until = (k + 12).min(story.steps.len());
        assert_eq!(run(&mut restored, &story, k, until), said[k..until], "restarted after step {k}");
    }
    assert!(carried > 100, "checkpoints of this story must carry waiting and held rows");
}

#[test]
fn a_chain_of_restarts_changes_nothing() {
    let story = story();
    let said = live(&story);
    let mut engine = Engine::new(story.directory.clone(), config()).unwrap();
    for k in 0..story.steps.len() {
        assert_eq!(run(&mut engine, &story, k, k + 1), said[k..=k]);
        engine = Engine::restore(story.directory.clone(), config(), engine.checkpoint(true)).unwrap();
    }
}

#[test]
fn after_a_crash_the_recorded_cuts_give_what_was_committed() {
    let story = story();
    let said = live(&story);
    let mut engine = Engine::new(story.directory.clone(), config()).unwrap();
    run(&mut engine, &story, 0, 11);
    let checkpoint = engine.checkpoint(true);
    run(&mut engine, &story, 11, 17);
    drop(engine);
    let mut engine = Engine::restore(story.directory.clone(), config(), checkpoint).unwrap();
    assert_eq!(engine.cut(), story.steps[10].0);
    assert_eq!(run(&mut engine, &story, 11, story.steps.len()), said[11..]);
}

#[test]
fn every_row_is_seen_once_and_none_before_its_time() {
    let story = story();
    let mut engine = Engine::new(story.directory.clone(), config()).unwrap();
    run(&mut engine, &story, 0, story.steps.len());
    // `high` fails on rows of the future. Let all time pass: then each row was counted once.
    let (last, _) = story.steps[story.steps.len() - 1];
    assert!(engine.snapshot().counters.held_back_now > 0);
    let cut = StepCut { step: last.step + 1, now: last.now.plus(60 * SECOND), position: last.position };
    let effects = engine.step(cut, Vec::new(), &MemoryHistory::default());
    let rows: usize = story.steps.iter().flat_map(|(_, batches)| batches).map(|(_, batch)| batch.rows()).sum();
    let counted = effects.iter().find_map(|effect| match effect {
        Effect::Derived(sample) if sample.metric == "bellwether.requests.rate" => Some(sample.value * 3.0),
        _ => None,
    });
    assert_eq!(counted, Some(rows as f64));
    let counters = engine.snapshot().counters;
    assert_eq!(counters.held_back_now, 0);
    assert!(counters.held_back_rows > 0);
    assert_eq!(counters.late_rows, (STEPS / 6) as u64, "what was held back is not late, what came late is");
    let seen: u64 = counters.rows.values().map(|c| c.samples + c.records + c.spans + c.events).sum();
    assert_eq!(seen, rows as u64);
}

#[test]
fn the_cause_stratum_sees_the_incident_of_the_same_step() {
    let steps = effects(&story());
    let opening = steps.iter().find(|effects| journal(effects).iter().any(|e| e.data["what"] == "opened")).unwrap();
    let lines = journal(opening);
    let opened = lines.iter().position(|e| e.data["what"] == "opened").unwrap();
    let named = lines.iter().position(|e| e.kind == JournalKind::Cause).expect("the cause of this very step");
    let found = lines.iter().position(|e| e.kind == JournalKind::Finding).unwrap();
    assert!(found < opened && opened < named);
    let last = opening.iter().rev().find_map(|e| if let Effect::Incident(i) = e { Some(i) } else { None }).unwrap();
    assert_eq!(last.causes[0].entity.name(), "middle");
    assert!(!last.undecided);
    assert_eq!(last.severity, Severity::Major);
}

#[test]
fn one_incident_with_its_neighbour_and_one_apart_for_the_own_host() {
    let mut engine_effects = effects(&story());
    let all: Vec<Effect> = engine_effects.drain(..).flatten().collect();
    let opened: Vec<_> = journal(&all).into_iter().filter(|e| e.data["what"] == "opened").collect();
    let tenants: Vec<&str> = opened.iter().map(|e| e.data["tenant"].as_str().unwrap()).collect();
    assert_eq!(tenants, ["default", "_self"]);
    let last = all.iter().rev().find_map(|e| match e {
        Effect::Incident(i) if i.id.0 == "inc-1" => Some(i),
        _ => None,
    });
    let names: Vec<&str> = last.unwrap().entities.iter().map(EntityId::name).collect();
    assert_eq!(names, ["middle", "front"]);
    let kinds: Vec<&str> = last.unwrap().timeline.iter().map(|line| line.kind.as_str()).collect();
    for kind in ["finding", "change", "cause", "state"] {
        assert!(kinds.contains(&kind), "{kind} is missing in {kinds:?}");
    }
}

#[test]
fn verdicts_are_journaled_and_unknown_incidents_ignored() {
    let story = story();
    let all: Vec<Effect> = effects(&story).into_iter().flatten().collect();
    let verdicts: Vec<_> = journal(&all).into_iter().filter(|e| e.kind == JournalKind::Verdict).collect();
    assert_eq!(verdicts[0].data["known"], false, "step 9 comes before the incident");
    assert_eq!(verdicts[1].data["known"], true);
    assert_eq!(verdicts[1].text.as_deref(), Some("ann"));
    assert_eq!(verdicts[1].data.get("actor"), None, "names stay out of the chain");
    let states = journal(&all).into_iter().filter(|e| e.data["what"] == "state").count();
    assert_eq!(states, 1, "acknowledging twice is acknowledging once");
    assert!(journal(&all).iter().any(|e| e.kind == JournalKind::Merge && e.subject == "service:default/old"));
}

#[test]
fn what_goes_on_is_not_said_each_step() {
    let all: Vec<Effect> = effects(&story()).into_iter().flatten().collect();
    let middle = |f: &&Finding| f.entity.name() == "middle" && f.shape == Shape::Abnormal;
    let findings = all.iter().filter_map(|e| if let Effect::Finding(f) = e { Some(f) } else { None });
    let said: Vec<&Finding> = findings.filter(middle).collect();
    assert!(said.len() >= 3 && said.len() <= 4, "first, every 30 s, and its end: {}", said.len());
    assert!(said[0].ongoing && !said[said.len() - 1].ongoing);
    let lines = journal(&all).into_iter().filter(|e| e.subject == said[0].id.hex()).count();
    assert_eq!(lines, 2, "said and ended");
}

#[test]
fn what_people_declare_is_part_of_the_map_until_they_take_it_back() {
    let story = story();
    let mut engine = Engine::new(story.directory.clone(), config()).unwrap();
    run(&mut engine, &story, 0, 29);
    let declared = |engine: &Engine| engine.topology.declared.len();
    let at = |engine: &Engine, now: i64| {
        engine.topology.at(Time(now)).filter(|((.., kind), _)| *kind == EdgeKind::RunsOn).count()
    };
    assert_eq!((declared(&engine), at(&engine, START + 30 * DAY)), (1, 1));
    run(&mut engine, &story, 29, STEPS as usize);
    assert_eq!((declared(&engine), at(&engine, START + 30 * DAY)), (0, 0));
    assert_eq!(at(&engine, START + 100 * SECOND), 1, "then it held");
    let (snapshot, moment) = (engine.snapshot(), Time(START + 100 * SECOND));
    let map = snapshot.map_during(&story.directory.read(), moment, moment);
    assert!(map.iter().any(|edge| edge.target.as_str() == "host:default/box" && edge.kind == EdgeKind::RunsOn));
}

#[test]
fn a_busy_pipeline_does_not_push_out_the_deployment() {
    let story = story();
    let mut engine = Engine::new(story.directory.clone(), config()).unwrap();
    let entity = engine.directory.write().entity(&EntityId::new("service", "", "busy"));
    let mut events = types::Events::default();
    events.push(START, entity, "change.deployment", "{}");
    for i in 0..3000 {
        events.push(START + i, entity, "change.pipeline", "{}");
    }
    let batch = Arc::new(Batch { events, learned: Time(START), ..Batch::default() });
    let cut = StepCut { step: 1, now: Time(START + SECOND), position: Position(1) };
    engine.step(cut, vec![(Position(1), batch)], &MemoryHistory::default());
    let changes = engine.snapshot().changes;
    assert_eq!((changes.len(), changes.iter().filter(|change| change.kind == "deployment").count()), (1000, 1));
}

#[test]
fn an_after_trigger_runs_once_when_its_time_has_come() {
    let steps = effects(&story());
    let ran: Vec<usize> = steps
        .iter()
        .enumerate()
        .filter(|(_, e)| e.iter().any(|e| matches!(e, Effect::Derived(d) if d.metric == "bellwether.after")))
        .map(|(i, _)| i + 1)
        .collect();
    assert_eq!(ran, [18], "the change of step 15 and eleven seconds");
}

#[test]
fn settings_are_checked() {
    let directory = Arc::new(Directory::default());
    let with = |analysis: &str, name: &str, value: f64| {
        let settings = BTreeMap::from([(analysis.to_owned(), BTreeMap::from([(name.to_owned(), value)]))]);
        Engine::new(directory.clone(), EngineConfig { settings, ..config() }).map(|_| ())
    };
    assert_eq!(with("high", "limit", 5.0), Ok(()));
    assert!(with("high", "limit", -5.0).unwrap_err().contains("outside"));
    assert!(with("high", "limits", 5.0).unwrap_err().contains("limit"));
    assert!(with("hihg", "limit", 5.0).unwrap_err().contains("unknown analysis"));
}

#[test]
fn state_that_cannot_be_read_starts_afresh_and_says_so() {
    let story = story();
    let mut engine = Engine::new(story.directory.clone(), config()).unwrap();
    run(&mut engine, &story, 0, 12);
    let mut checkpoint = engine.checkpoint(true);
    checkpoint.parts.get_mut("high").unwrap().0 = 99;
    checkpoint.parts.get_mut("engine").unwrap().1.insert("held".to_owned(), vec![1, 2, 3]);
    let engine = Engine::restore(story.directory.clone(), config(), checkpoint).unwrap();
    assert_eq!(engine.warnings().len(), 2);
    assert!(engine.warnings()[1].contains("high"));
    assert_eq!(engine.cut(), story.steps[11].0, "it goes on from where it was");
}

#[test]
fn batches_survive_as_bytes() {
    let story = story();
    for (_, batch) in story.steps.iter().flat_map(|(_, batches)| batches) {
        let mut bytes = Vec::new();
        codec::write_batch(batch, &mut bytes);
        let mut rest = bytes.as_slice();
        assert_eq!(codec::read_batch(&mut rest).as_ref(), Some(&**batch));
        assert!(rest.is_empty());
        for cut in (0..bytes.len()).step_by(7) {
            assert_eq!(codec::read_batch(&mut &bytes[..cut]), None);
        }
    }
}

/// A service whose value is high for 30 s every twenty minutes; `said` is what a person says at a step (one each 5 s).
fn crying(steps: i64, said: impl Fn(i64) -> Option<(&'static str, &'static str)>) -> (Engine, Vec<Effect>) {
    let directory = Arc::new(Directory::default());
    let entity = directory.write().entity(&EntityId::parse("front").unwrap());
    let series = directory.write().series(SeriesDef {
        tenant: Tenant::default(),
        metric: "value".into(),
        entity,
        labels: LabelSet::default(),
        kind: SeriesKind::Gauge,
        unit: "".into(),
    });
    let mut engine = Engine::new(directory, config()).unwrap();
    let history = MemoryHistory::default();
    let mut effects = Vec::new();
    for step in 1..=steps {
        let now = START + step * 5 * SECOND;
        let mut batch = Batch { learned: Time(now), ..Batch::default() };
        // Every third cry is louder.
        let (at, cry) = (step % 240, step / 240);
        let loud = if cry % 3 == 0 { 200.0 } else { 150.0 };
        batch.samples.push(series, now, if (60..66).contains(&at) { loud } else { 50.0 });
        if let Some((kind, attributes)) = said(step) {
            batch.events.push(now, entity, kind, attributes);
        }
        let cut = StepCut { step: step as u64, now: Time(now), position: Position(step as u64) };
        effects.extend(engine.step(cut, vec![(cut.position, Arc::new(batch))], &history));
    }
    (engine, effects)
}

fn starts(effects: &[Effect]) -> usize {
    let abnormal = effects.iter().filter_map(|e| if let Effect::Finding(f) = e { Some(f) } else { None });
    abnormal.filter(|f| f.shape == Shape::Abnormal).map(|f| f.start).collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn a_budget_holds_claims_back_and_shows_them_as_nearly_said() {
    let (all, effects) = crying(240 * 12, |_| None);
    assert_eq!(starts(&effects), 12);
    let rates = all.tuning.budget.rates(all.cut().now);
    assert!(rates[0].holds.is_none() && rates[0].said_per_week > 80.0, "{rates:?}");

    let budget = |step| (step == 1).then_some(("detection.budget", r#"{"per_week":1,"actor":"ann"}"#));
    let (mut engine, effects) = crying(240 * 12, budget);
    assert!(starts(&effects) < 4, "{} said", starts(&effects));
    assert!(journal(&effects).iter().any(|line| line.kind == JournalKind::Setting));
    let snapshot = engine.snapshot();
    assert!(snapshot.rates[0].held_back_per_week > 50.0 && snapshot.rates[0].needed_surprise > 0.0);
    let near = &snapshot.near[0];
    assert!(near.why.contains("budget") && near.needed >= near.surprise, "{near:?}");
    assert!(near.at > snapshot.near.last().unwrap().at, "newest first");
}

#[test]
fn what_people_dismiss_is_not_said_again_until_it_is_worse_and_missed_takes_that_back() {
    let dismissed = |step| (step == 70).then_some(("incident.dismissed", r#"{"incident":"inc-1","actor":"ann"}"#));
    let (mut engine, effects) = crying(240 * 4, dismissed);
    // The first cry is loud and dismissed; none of the next three is louder than that one was.
    assert_eq!(starts(&effects), 1);
    let snapshot = engine.snapshot();
    assert_eq!(snapshot.corrections.len(), 1);
    assert!(snapshot.near[0].why.contains("no incident"), "{:?}", snapshot.near[0]);

    let then_missed = |step| match step {
        70 => Some(("incident.dismissed", r#"{"incident":"inc-1","actor":"ann"}"#)),
        150 => Some(("detection.missed", r#"{"metric":"","actor":"bob"}"#)),
        _ => None,
    };
    let (_, effects) = crying(240 * 4, then_missed);
    assert_eq!(starts(&effects), 4);
    let verdicts: Vec<_> = journal(&effects).into_iter().filter(|l| l.kind == JournalKind::Verdict).collect();
    assert!(verdicts.iter().any(|l| l.data["verdict"] == "missed" && l.text.as_deref() == Some("bob")), "{verdicts:?}");
}
