//! Cost of one incident over a map of 500 services and 5,000 calls: one of them fails, all that need it pass that on,
//! and bent gauges are everywhere. Grouping, the live search for the cause, and the search in an hour of series.

use analyze::cause::{
    localize::{Measure, Question, Series, localize},
    root_cause,
};
use cpu_time::ThreadTime;
use incident::{Grouper, GroupingConfig, Input};
use types::{
    Direction, EdgeKind, EntityId, EntityKey, Finding, FindingId, Incident, Registry, SECOND, Shape, Tenant, Time,
    Topology,
};
use view::{Calibration, FindingLog, Findings, MemoryHistory, Params, View};

const SERVICES: usize = 500;
const CALLS: usize = 5_000;
/// Steps of 15 s in an hour, and those since the alarm.
const STEPS: usize = 240;
const WITHIN: usize = 20;
const NOW: Time = Time(1_767_268_800 * SECOND);

fn main() {
    let calls = calls();
    let culprit = SERVICES - 20;
    let (registry, topology) = map(&calls);
    let suffering = who_needs(culprit, &calls);
    let said = findings(culprit, &suffering);
    let mut log = FindingLog::default();
    said.iter().cloned().for_each(|finding| {
        log.say(finding);
    });

    let mut grouper = Grouper::new(GroupingConfig::default());
    let began = ThreadTime::now();
    let input = Input {
        now: NOW,
        said: &said,
        changes: &[],
        requests: &[],
        commands: &[],
        registry: &registry,
        topology: &topology,
    };
    grouper.step(&input);
    let grouped = began.elapsed().as_secs_f64();
    let incidents: Vec<Incident> = grouper.incidents().cloned().collect();

    let view = View {
        now: NOW,
        registry: &registry,
        batches: &[],
        findings: &log,
        incidents: &incidents,
        topology: &topology,
        calibration: &Calibration::default(),
        slos: &[],
        history: &MemoryHistory::default(),
    };
    let analysis = &root_cause::ANALYSIS;
    let (mut state, mut out) = ((analysis.new_state)(&Params::defaults(analysis.params)), Findings::default());
    let began = ThreadTime::now();
    (analysis.run)(&view, &Params::defaults(analysis.params), &mut state, &mut out);
    let ranked = began.elapsed().as_secs_f64();
    let best = out.said.iter().max_by(|a, b| a.belief.total_cmp(&b.belief));

    let began = ThreadTime::now();
    let first = search_series(culprit, &suffering, &calls);
    let searched = began.elapsed().as_secs_f64();

    println!("{SERVICES} services, {CALLS} calls, {} findings, {} suffering", said.len(), suffering.len());
    println!("grouping: {grouped:.3} CPU-seconds, {} incident(s)", incidents.len());
    println!("root cause from findings: {ranked:.3} CPU-seconds, first: {:?}", best.map(|f| f.entity.to_string()));
    println!("root cause from an hour of series: {searched:.3} CPU-seconds, first: {first:?}");
    println!("truth: {}", service(culprit));
}

fn service(i: usize) -> EntityId {
    EntityId::new("service", "", &format!("s{i}"))
}

/// Each service calls ten that come later, so that there are no circles.
fn calls() -> Vec<(usize, usize)> {
    let callee = |i: usize| {
        let caller = i % (SERVICES - 1);
        let mixed = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        (caller, caller + 1 + mixed as usize % (SERVICES - 1 - caller))
    };
    (0..CALLS).map(callee).collect()
}

fn map(calls: &[(usize, usize)]) -> (Registry, Topology) {
    let (mut registry, mut topology) = (Registry::default(), Topology::default());
    let keys: Vec<EntityKey> = (0..SERVICES).map(|i| registry.entity(&service(i))).collect();
    calls.iter().for_each(|(from, to)| topology.see(keys[*from], keys[*to], EdgeKind::Calls, NOW, 1));
    (registry, topology)
}

/// Who calls it directly or over others: half of them, for the requests of the rest take other ways.
fn who_needs(culprit: usize, calls: &[(usize, usize)]) -> Vec<usize> {
    let mut suffers = vec![false; SERVICES];
    suffers[culprit] = true;
    for caller in (0..culprit).rev() {
        suffers[caller] = caller % 2 == 0 && calls.iter().any(|(from, to)| *from == caller && suffers[*to]);
    }
    (0..culprit).filter(|i| suffers[*i]).collect()
}

fn findings(culprit: usize, suffering: &[usize]) -> Vec<Finding> {
    let mut said =
        vec![finding(culprit, "error_ratio", "own", 0.9, 60), finding(culprit, "log_errors_rate", "", 0.7, 60)];
    for (n, i) in suffering.iter().enumerate() {
        let ago = 50 - n as i64 % 20;
        said.push(finding(*i, "error_ratio", "downstream", 0.9, ago));
        said.push(finding(*i, "log_errors_rate", "", 0.7, ago));
    }
    said.extend((0..SERVICES).map(|i| finding(i, "metric", "queue", 0.2, 30 + i as i64 % 300)));
    said
}

fn finding(of: usize, measure: &str, scope: &str, impact: f64, seconds_ago: i64) -> Finding {
    let mut finding = Finding {
        id: FindingId::default(),
        method: if measure == "error_ratio" { "requests" } else { "logs" }.into(),
        version: 1,
        tenant: Tenant::default(),
        entity: service(of),
        shape: Shape::Abnormal,
        measure: measure.into(),
        scope: scope.into(),
        start: NOW.plus(-seconds_ago * SECOND),
        end: NOW,
        ongoing: true,
        learned: NOW,
        belief: 0.95,
        surprise: 10.0,
        impact,
        direction: Direction::Up,
        expected: None,
        observed: 1.0,
        cause: None,
        incident: None,
        summary: format!("{measure} of s{of}"),
        evidence: Vec::new(),
    };
    finding.id = finding.compute_id();
    finding
}

/// Requests, errors and latency of all for an hour; the name of the first suspect.
fn search_series(culprit: usize, suffering: &[usize], calls: &[(usize, usize)]) -> Option<String> {
    let noise = |n: u64| {
        let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64 / 16_777_216.0
    };
    let names: Vec<String> = (0..SERVICES).map(|i| service(i).to_string()).collect();
    let entities: Vec<&str> = names.iter().map(String::as_str).collect();
    // Each request makes a call to each in one of four cases; a call that fails makes its request fail.
    let (mut requests, mut failing) = (vec![10.0; SERVICES], vec![0.0; SERVICES]);
    failing[culprit] = 0.6;
    for caller in 0..SERVICES {
        for (_, called) in calls.iter().filter(|(from, _)| *from == caller) {
            requests[*called] += requests[caller] / 4.0;
        }
    }
    for caller in (0..culprit).rev().filter(|i| suffering.binary_search(i).is_ok()) {
        let called = calls.iter().filter(|(from, _)| *from == caller).map(|(_, to)| failing[*to]);
        failing[caller] = 1.0 - called.map(|share| 1.0 - share / 4.0).product::<f64>();
    }
    let values = |i: usize, measure: Measure| -> Vec<f64> {
        let step = |t: usize| {
            let noise = noise(((i * 3 + measure as usize) * STEPS + t) as u64);
            match measure {
                Measure::Errors => 0.01 * noise + if t >= STEPS - WITHIN { failing[i] } else { 0.0 },
                Measure::Latency => 20.0 + 5.0 * noise,
                _ => requests[i] * (0.9 + 0.2 * noise),
            }
        };
        (0..STEPS).map(step).collect()
    };
    let measures = [Measure::Requests, Measure::Errors, Measure::Latency];
    let all: Vec<(usize, Measure, Vec<f64>)> =
        (0..SERVICES).flat_map(|i| measures.map(|measure| (i, measure, values(i, measure)))).collect();
    let series: Vec<Series> = all
        .iter()
        .map(|(entity, measure, values)| {
            let (before, within) = values.split_at(STEPS - WITHIN);
            Series { entity: *entity, name: "series", measure: *measure, before, within }
        })
        .collect();
    let worst = *suffering.iter().max_by(|a, b| failing[**a].total_cmp(&failing[**b]))?;
    let alarmed = series.iter().position(|s| s.entity == worst && s.measure == Measure::Errors)?;
    let answer = localize(&Question { entities: &entities, calls, series: &series, alarmed });
    answer.suspects.first().map(|suspect| entities[suspect.entity].to_owned())
}
