//! Models that live as a test says, one step every ten seconds.

use std::sync::Arc;

use types::{Finding, FindingId, Registry, Topology};
use view::{Calibration, DerivedSample, FindingLog, MemoryHistory};

use super::*;
use crate::checks::{self, World};

const START: i64 = 1_767_268_800 * SECOND;
const STEP: i64 = 10 * SECOND;

/// Numbers in 0..1 from a seed.
struct Chance(u64);

impl Chance {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

struct Life {
    registry: Registry,
    key: EntityKey,
    state: State,
    log: FindingLog,
    now: i64,
    said: Vec<Finding>,
    derived: Vec<DerivedSample>,
    chance: Chance,
    rows: u64,
}

impl Life {
    fn new(seed: u64) -> Life {
        let mut registry = Registry::default();
        let key = registry.entity(&EntityId::new("model", "", "churn"));
        let state = (ANALYSIS.new_state)(&Params::defaults(ANALYSIS.params));
        let chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
        let (log, said, derived) = (FindingLog::default(), Vec::new(), Vec::new());
        Life { registry, key, state, log, now: START, said, derived, chance, rows: 0 }
    }

    fn step(&mut self, events: &[(&str, String)]) {
        self.now += STEP;
        let mut batch = Batch::default();
        for (kind, attributes) in events {
            batch.events.push(self.now, self.key, kind, attributes);
        }
        let batches = [Arc::new(batch)];
        let view = View {
            now: Time(self.now),
            registry: &self.registry,
            batches: &batches,
            findings: &self.log,
            incidents: &[],
            topology: &Topology::default(),
            calibration: &Calibration::default(),
            slos: &[],
            history: &MemoryHistory::default(),
        };
        let mut out = Findings::default();
        run(&view, &Params::defaults(ANALYSIS.params), &mut self.state, &mut out);
        for finding in out.said {
            assert!(finding.start <= finding.end && finding.end.0 <= self.now, "{finding:#?}");
            self.log.say(finding.clone());
            self.said.push(finding);
        }
        self.derived.extend(out.derived);
    }

    /// Steps with so many rows each, as `row` makes them.
    fn live(&mut self, steps: i64, rows: usize, row: impl Fn(&mut Chance, u64) -> String) {
        for _ in 0..steps {
            let mut events = Vec::new();
            for _ in 0..rows {
                self.rows += 1;
                events.push(("prediction", row(&mut self.chance, self.rows)));
            }
            self.step(&events);
        }
    }

    fn restart(&mut self) {
        let mut pages = Pages::new();
        self.state.save(true, &mut pages);
        let mut fresh = (ANALYSIS.new_state)(&Params::defaults(ANALYSIS.params));
        fresh.load(self.state.schema(), &pages).unwrap();
        let mut again = Pages::new();
        fresh.save(true, &mut again);
        assert!(pages == again, "what was loaded is what was saved");
        self.state = fresh;
    }

    /// Each finding as it was said last, in order of id.
    fn findings(&self) -> Vec<Finding> {
        let mut last: BTreeMap<FindingId, Finding> = BTreeMap::new();
        self.said.iter().for_each(|f| drop(last.insert(f.id, f.clone())));
        last.into_values().collect()
    }

    fn of(&self, measure: &str) -> Vec<Finding> {
        self.findings().into_iter().filter(|f| f.measure == measure).collect()
    }
}

/// Ten columns: eight numbers, of which `c3` is moved, and two of texts.
fn ten_columns(chance: &mut Chance, id: u64, moved: f64) -> String {
    let numbers = (0..8).map(|c| {
        let by = if c == 3 { moved } else { 0.0 };
        format!("\"c{c}\":{:.4}", 50.0 + 10.0 * (chance.normal() + by))
    });
    let mut inputs: Vec<String> = numbers.collect();
    let city = ["bern", "rome", "oslo"][(chance.uniform() * chance.uniform() * 3.0) as usize];
    inputs.push(format!("\"city\":\"{city}\",\"is_new\":{}", chance.uniform() < 0.3));
    let p = chance.uniform();
    let inputs = inputs.join(",");
    format!(
        "{{\"id\":\"r/{id}\",\"version\":3,\"inputs\":{{{inputs}}},\"prediction\":{},\"probabilities\":{{\"0\":{:.4},\"1\":{p:.4}}}}}",
        u8::from(p > 0.5),
        1.0 - p
    )
}

#[test]
fn a_column_that_drifts_is_named_and_it_ends_when_it_is_back() {
    let (mut found, mut windows) = (0, 0);
    for seed in 0..10 {
        let mut life = Life::new(seed);
        life.live(20, 100, |c, id| ten_columns(c, id, 0.0));
        assert_eq!(life.said, [], "seed {seed}");
        let drifted_at = life.now;
        life.live(24, 100, |c, id| ten_columns(c, id, 0.5));
        let of_inputs = life.of("model_input_drift");
        found += usize::from(!of_inputs.is_empty());
        let [finding] = &of_inputs[..] else { panic!("seed {seed}: {of_inputs:#?}") };
        windows += (finding.learned.0 - drifted_at) / (60 * SECOND);
        assert!(finding.ongoing && life.now - finding.end.0 <= 20 * SECOND, "{finding:#?}");
        let summary = &finding.summary;
        assert!(summary.starts_with("Inputs of model churn (version 3) are other than in its first 1"), "{summary}");
        assert!(summary.contains(": c3 is ") && summary.contains("higher on average") && !summary.contains("also"));
        let expected = finding.expected.unwrap();
        assert!((expected.mean - 50.0).abs() < 2.0 && (finding.observed - 55.0).abs() < 2.0, "{finding:#?}");
        assert!(finding.entity.as_str() == "model:default/churn" && finding.scope == "version 3");
        life.live(30, 100, |c, id| ten_columns(c, id, 0.0));
        assert!(!life.of("model_input_drift")[0].ongoing, "seed {seed}");
        let others: Vec<Finding> = life.findings().into_iter().filter(|f| f.measure != "model_input_drift").collect();
        assert_eq!(others, [], "seed {seed}");
    }
    assert!(found == 10 && windows <= 30, "found {found} of 10, after {windows} windows in all");
}

/// 4 models of 10 columns over 50 windows each: 200 windows, 2,600 comparisons.
#[test]
fn two_hundred_windows_without_a_change_are_silent() {
    let mut windows = 0;
    for seed in 100..104 {
        let mut life = Life::new(seed);
        life.live(12 + 6 * 50, 100, |c, id| ten_columns(c, id, 0.0));
        windows += life.derived.iter().filter(|d| d.metric == say::DRIFT).count();
        assert_eq!(life.said, [], "seed {seed}");
    }
    assert!(windows >= 170, "{windows} windows");
}

#[test]
fn predictions_that_change_are_said_of_predictions() {
    let mut life = Life::new(1);
    let row = |share: f64| {
        move |c: &mut Chance, id: u64| {
            let class = if c.uniform() < share { "yes" } else { "no" };
            format!(
                "{{\"id\":{id},\"version\":\"a\",\"inputs\":{{\"x\":{:.3}}},\"prediction\":\"{class}\"}}",
                c.normal()
            )
        }
    };
    life.live(14, 100, row(0.2));
    life.live(24, 100, row(0.5));
    let said = life.findings();
    let [finding] = &said[..] else { panic!("{said:#?}") };
    assert_eq!(finding.measure, "model_prediction_drift");
    assert!(finding.summary.contains("the prediction is yes in 5") || finding.summary.contains("is no in 5"));
}

#[test]
fn broken_inputs_are_said_by_column() {
    let row = |fault: &'static str| {
        move |c: &mut Chance, id: u64| {
            let city = ["bern", "rome", "oslo"][(c.uniform() * 3.0) as usize];
            let age = 40.0 + 8.0 * c.normal();
            let now_and_then = c.uniform() < 0.1;
            let (age, city) = match fault {
                "unit" if now_and_then => (format!("{}", age * 1000.0), format!("\"{city}\"")),
                "type" if now_and_then => (format!("\"{age} years\""), format!("\"{city}\"")),
                "holes" if now_and_then => ("null".into(), format!("\"{city}\"")),
                "unseen" if now_and_then => (format!("{age}"), "\"Bern\"".into()),
                "stuck" => ("40".into(), format!("\"{city}\"")),
                "gone" => (format!("{age},\"more\":1"), "null".into()),
                _ => (format!("{age}"), format!("\"{city}\"")),
            };
            format!("{{\"id\":{id},\"version\":1,\"inputs\":{{\"age\":{age},\"city\":{city}}},\"prediction\":1.5}}")
        }
    };
    let said = |fault: &'static str| {
        let mut life = Life::new(3);
        life.live(14, 100, row("none"));
        assert_eq!(life.said, [], "{fault}");
        life.live(12, 100, row(fault));
        let found = life.of("model_data_quality");
        let [finding] = &found[..] else { panic!("{fault}: {found:#?}") };
        finding.clone()
    };
    for (fault, words) in [
        ("unit", "age is far beyond"),
        ("type", "age is other than a number in "),
        ("holes", "age is missing in "),
        ("unseen", "city has values that it never had, such as Bern, in "),
        ("stuck", "age is always 40"),
        ("gone", "city is not there any more; also more"),
    ] {
        let summary = said(fault).summary;
        assert!(summary.contains(words), "{fault}: {summary}");
    }
}

/// A classifier that is as right as it is sure: labels of `rows` that came before.
fn sure_row(c: &mut Chance, id: u64, version: u32, low: f64) -> String {
    let p = low + (1.0 - low) * c.uniform();
    let (x, q) = (c.normal(), 1.0 - p);
    format!(
        "{{\"id\":\"{version}-{id}\",\"version\":{version},\"inputs\":{{\"x\":{x:.3}}},\"prediction\":\"1\",\"probabilities\":{{\"0\":{q:.4},\"1\":{p:.4}}}}}"
    )
}

fn label(version: u32, id: u64, value: &str) -> (&'static str, String) {
    ("label", format!("{{\"id\":\"l\",\"model\":\"churn\",\"prediction_id\":\"{version}-{id}\",\"value\":{value}}}"))
}

#[test]
fn labels_that_come_late_raise_errors_of_their_version_alone() {
    let mut life = Life::new(4);
    for version in [1, 2] {
        life.rows = 0;
        life.live(40, 100, |c, id| sure_row(c, id, version, 0.8));
    }
    let mut at = 1;
    let mut labels = |life: &mut Life, count: u64, wrong: f64| {
        for _ in 0..count / 40 {
            let mut events = vec![label(1, 999_999, "1")];
            for id in at..at + 40 {
                let (first, other) = (life.chance.uniform() < wrong, life.chance.uniform() < 0.1);
                events.push(label(1, id, if first { "0" } else { "1.0" }));
                events.push(label(1, id, "0"));
                events.push(label(2, id, if other { "\"0\"" } else { "true" }));
            }
            life.step(&events);
            at += 40;
        }
    };
    labels(&mut life, 1200, 0.1);
    assert_eq!(life.of("model_errors"), []);
    life.restart();
    labels(&mut life, 400, 0.35);
    let said = life.of("model_errors");
    let [finding] = &said[..] else { panic!("{said:#?}") };
    assert!(finding.summary.starts_with("model churn (version 1) is wrong in "), "{}", finding.summary);
    assert!((finding.expected.unwrap().mean - 0.1).abs() < 0.03 && finding.observed > 0.2, "{finding:#?}");
    assert!(finding.ongoing && finding.impact >= 0.7 && finding.belief >= 0.7);
    let book: &mut Book = life.state.get();
    let model = &book.fleet.models[0];
    assert_eq!((model.early.len(), model.twice), (40, 1600), "unknown labels wait, repeated ones are counted");
    let accuracy: Vec<f64> = life.derived.iter().filter(|d| d.metric == say::ACCURACY).map(|d| d.value).collect();
    assert!(accuracy.len() > 10 && accuracy[0] > 0.8, "{accuracy:?}");
    labels(&mut life, 1200, 0.1);
    assert!(!life.of("model_errors")[0].ongoing);
}

#[test]
fn a_model_of_numbers_is_judged_by_how_far_it_is_off() {
    let mut life = Life::new(5);
    let mut id = 0;
    for step in 0..60 {
        let mut events = Vec::new();
        for _ in 0..40 {
            id += 1;
            let off = life.chance.normal() * if step < 40 { 2.0 } else { 6.0 };
            events.push((
                "prediction",
                format!("{{\"id\":\"1-{id}\",\"version\":1,\"inputs\":{{}},\"prediction\":3.7}}"),
            ));
            events.push(label(1, id, &format!("{}", 3.7 + off)));
        }
        life.step(&events);
    }
    let said = life.of("model_errors");
    let [finding] = &said[..] else { panic!("{said:#?}") };
    assert!(
        finding.summary.contains("is off by") && (finding.expected.unwrap().mean - 1.6).abs() < 0.3,
        "{finding:#?}"
    );
    assert!(life.derived.iter().any(|d| d.metric == say::ERROR));
}

#[test]
fn accuracy_is_estimated_only_once_labels_came_and_falls_with_certainty() {
    let lived = |labelled: u64| {
        let mut life = Life::new(6);
        life.live(14, 100, |c, id| sure_row(c, id, 1, 0.85));
        let mut right = || if life.chance.uniform() < 0.925 { "1" } else { "0" };
        let events: Vec<_> = (1..=labelled).map(|id| label(1, id, right())).collect();
        life.step(&events);
        life.live(30, 100, |c, id| sure_row(c, id, 1, 0.85));
        assert_eq!(life.of("model_estimate"), []);
        life
    };
    let mut life = lived(1200);
    let estimates: Vec<f64> = life.derived.iter().filter(|d| d.metric == say::ESTIMATED).map(|d| d.value).collect();
    assert!(!estimates.is_empty() && estimates.iter().all(|e| (e - 0.925).abs() < 0.03), "{estimates:?}");
    assert_eq!(lived(0).derived.iter().filter(|d| d.metric == say::ESTIMATED).count(), 0);
    // All certainty below .85 is unlike the reference: nothing can be told, and the drift is said instead.
    life.live(24, 100, |c, id| sure_row(c, id, 1, 0.3));
    assert_eq!(life.of("model_estimate"), []);
    assert_eq!(life.of("model_prediction_drift").len(), 1);
}

#[test]
fn an_estimate_that_falls_within_what_is_known_is_said() {
    let mut life = Life::new(7);
    // As right as it is sure, from one half on; first mostly sure, then mostly not.
    let row = |power: f64| {
        move |c: &mut Chance, id: u64| {
            let p = 1.0 - 0.5 * c.uniform().powf(power);
            format!(
                "{{\"id\":\"1-{id}\",\"version\":1,\"inputs\":{{}},\"prediction\":1,\"probabilities\":{{\"0\":{:.4},\"1\":{p:.4}}}}}",
                1.0 - p
            )
        }
    };
    life.live(20, 100, row(4.0));
    let p_of = |row: &str| row.rsplit(':').next().and_then(|p| p.trim_end_matches('}').parse::<f64>().ok()).unwrap();
    // The same draws again give the probabilities of the rows.
    let mut again = Life::new(7).chance;
    let labels: Vec<_> = (1..=2000)
        .map(|id| {
            let p = p_of(&row(4.0)(&mut again, id));
            (id, life.chance.uniform() < p)
        })
        .map(|(id, is_right)| label(1, id, if is_right { "1" } else { "0" }))
        .collect();
    life.step(&labels);
    life.live(24, 100, row(4.0));
    assert_eq!(life.of("model_estimate"), []);
    life.live(24, 100, row(0.5));
    let said = life.of("model_estimate");
    let [finding] = &said[..] else { panic!("{said:#?}") };
    assert!(
        (finding.expected.unwrap().mean - 0.9).abs() < 0.03 && (finding.observed - 0.667).abs() < 0.06,
        "{finding:#?}"
    );
}

#[test]
fn groups_that_are_favoured_less_are_said_and_equal_ones_are_not() {
    let row = |of_rome: f64| {
        move |c: &mut Chance, id: u64| {
            let is_rome = c.uniform() < 0.3;
            let is_favoured = c.uniform() < if is_rome { of_rome } else { 0.5 };
            let city = if is_rome { "rome" } else { "oslo" };
            let favoured = u8::from(is_favoured);
            format!(
                "{{\"id\":{id},\"version\":1,\"inputs\":{{\"city\":\"{city}\"}},\"prediction\":{favoured},\"weight\":2}}"
            )
        }
    };
    let settings = ("model.settings", r#"{"version":1,"sensitive":["city"],"favourable":"1"}"#.to_owned());
    let mut life = Life::new(8);
    life.step(std::slice::from_ref(&settings));
    life.live(100, 100, row(0.5));
    assert_eq!(life.of("model_fairness"), []);
    life.live(70, 100, row(0.3));
    let said = life.of("model_fairness");
    let [finding] = &said[..] else { panic!("{said:#?}") };
    assert!(finding.ongoing && finding.scope == "version 1, city" && (finding.observed - 0.6).abs() < 0.1);
    assert!(finding.summary.contains("of city rome and 5"), "{}", finding.summary);
    life.live(80, 100, row(0.5));
    assert!(!life.of("model_fairness")[0].ongoing);
}

/// Two versions at once; one of them drifts, with gaps, holes, rows that come twice or late, and broken events.
fn mixed(from: i64, seconds: i64) -> World {
    let directory = Arc::new(types::Directory::default());
    let key = directory.write().entity(&EntityId::new("model", "", "churn"));
    let mut chance = Chance(11);
    let second = |s: i64, chance: &mut Chance| {
        let at = START + s * SECOND;
        let mut batch = Batch { learned: Time(at + SECOND), ..Batch::default() };
        for i in 0..10 {
            let id = s * 10 + i;
            let version = 1 + i % 2;
            let moved = if version == 2 && s > from { 15.0 } else { 0.0 };
            let age = if id % 17 == 0 { "null".into() } else { format!("{:.3}", 40.0 + moved + 8.0 * chance.normal()) };
            let p = 0.5 + 0.5 * chance.uniform();
            let row = format!(
                "{{\"id\":{id},\"version\":{version},\"inputs\":{{\"age\":{age},\"b\":\"x\"}},\"prediction\":1,\"probabilities\":{{\"1\":{p:.3},\"0\":0.1}}}}"
            );
            batch.events.push(at, key, "prediction", &row);
            if id % 5 == 0 {
                batch.events.push(at, key, "prediction", &row);
                let label = format!("{{\"prediction_id\":\"{}\",\"value\":{}}}", id - 100, id % 3);
                batch.events.push(at, key, "label", &label);
            }
        }
        for broken in ["", "{}", "[1]", "{\"id\":1e999}", "{\"id\":null,\"inputs\":{\"a\":NaN}}", "\u{0}"] {
            ["prediction", "label", "model.settings"].iter().for_each(|kind| batch.events.push(at, key, kind, broken));
        }
        let late = "{\"id\":\"late\",\"version\":1,\"inputs\":{\"age\":1e9},\"prediction\":5}";
        batch.events.push(at - 3_600 * SECOND, key, "prediction", late);
        (s % 50 != 7).then(|| Arc::new(batch))
    };
    World { seconds: (0..seconds).map(|s| second(s, &mut chance)).collect(), directory, start: Time(START) }
}

#[test]
fn versions_are_kept_apart_and_a_restart_changes_nothing() {
    let world = mixed(500, 900);
    let whole = checks::run(&ANALYSIS, &world, 900, None);
    let all: Vec<&Finding> = whole.iter().flatten().collect();
    assert!(!all.is_empty() && all.iter().any(|f| f.measure == "model_input_drift"), "{all:#?}");
    assert!(all.iter().all(|f| f.scope == "version 2" && f.method == ANALYSIS.name), "{all:#?}");
    assert_eq!(whole, checks::run(&ANALYSIS, &world, 900, Some(7)));
    assert_eq!(whole[..700], checks::run(&ANALYSIS, &world, 700, None)[..]);
}

#[test]
fn versions_columns_and_models_that_explode_are_bounded() {
    let mut life = Life::new(9);
    for step in 0..40_u64 {
        let row = |i: u64| {
            let columns: Vec<String> = (0..300).map(|c| format!("\"k{}\":\"{}\"", c * (i % 3 + 1), i * 7919)).collect();
            let (id, columns) = (step * 100 + i, columns.join(","));
            ("prediction", format!("{{\"id\":{id},\"version\":{},\"inputs\":{{{columns}}}}}", i % 90))
        };
        life.step(&(0..90).map(row).collect::<Vec<_>>());
    }
    let book: &mut Book = life.state.get();
    assert!(book.versions.len() == MAX_VERSIONS && book.fleet.left_out > 100);
    let mut pages = Pages::new();
    life.state.save(true, &mut pages);
    let bytes: usize = pages.values().map(Vec::len).sum();
    assert!(bytes < 40_000_000, "{bytes}");
    // After a day all are forgotten.
    life.now += DAY;
    life.step(&[]);
    let book: &mut Book = life.state.get();
    assert!(book.versions.iter().all(|v| !v.is_used));
}

/// A prediction of a version with a label beside it, which is wrong with a chance of `wrong`.
fn with_label(c: &mut Chance, id: u64, version: u32, wrong: f64) -> [(&'static str, String); 2] {
    let is_wrong = c.uniform() < wrong;
    let made =
        format!("{{\"id\":\"r/{id}\",\"version\":{version},\"inputs\":{{\"x\":{:.3}}},\"prediction\":1}}", c.normal());
    let label = format!("{{\"prediction_id\":\"r/{id}\",\"value\":{}}}", u8::from(!is_wrong));
    [("prediction", made), ("label", label)]
}

#[test]
fn a_version_that_is_worse_from_its_first_row_is_told_and_one_that_is_no_worse_is_not() {
    for (wrong, is_told) in [(0.1, false), (0.25, true), (0.05, false)] {
        let mut life = Life::new(7);
        for (version, wrong) in [(1, 0.1), (2, wrong)] {
            for _ in 0..15 {
                let ids: Vec<u64> = (0..40).map(|row| life.rows + row).collect();
                life.rows += 40;
                let events: Vec<_> =
                    ids.iter().flat_map(|id| with_label(&mut life.chance, *id, version, wrong)).collect();
                life.step(&events);
            }
            life.restart();
        }
        let said = life.of("model_worse");
        assert_eq!(!said.is_empty(), is_told, "{wrong}: {said:#?}");
        if let [finding] = &said[..] {
            let summary = &finding.summary;
            assert!(finding.ongoing && finding.scope == "version 2" && finding.impact > 0.5, "{finding:#?}");
            assert!(summary.contains("version 1 before it in"), "{summary}");
        }
        let pairs = life.derived.iter().rfind(|d| d.metric == say::PAIRS).unwrap();
        assert!(pairs.value > 400.0, "{}", pairs.value);
    }
}

#[test]
fn a_label_that_comes_before_its_prediction_is_joined() {
    let mut life = Life::new(9);
    for _ in 0..20 {
        let mut events = Vec::new();
        for _ in 0..100 {
            life.rows += 1;
            let [made, label] = with_label(&mut life.chance, life.rows, 1, 0.2);
            events.extend([label, made]);
        }
        life.step(&events);
        life.restart();
    }
    let accuracy = life.derived.iter().filter(|d| d.metric == say::ACCURACY).map(|d| d.value);
    assert!(accuracy.clone().count() >= 2 && accuracy.clone().all(|a| (a - 0.8).abs() < 0.1), "{:?}", life.derived);
}

#[test]
fn a_shadow_is_held_against_what_was_answered_row_by_row_and_hurts_nobody() {
    let mut life = Life::new(8);
    for _ in 0..40 {
        let mut events = Vec::new();
        for _ in 0..30 {
            life.rows += 1;
            let [made, label] = with_label(&mut life.chance, life.rows, 1, 0.1);
            let says = u8::from(life.chance.uniform() < 0.7);
            let beside = format!("{{\"id\":\"r/{}\",\"version\":2,\"prediction\":{says},\"shadow\":true}}", life.rows);
            events.extend([made, ("prediction", beside), label]);
        }
        life.step(&events);
    }
    let [finding] = &life.of("model_worse")[..] else { panic!("{:#?}", life.said) };
    assert!(finding.scope == "version 2" && finding.impact <= 0.2, "{finding:#?}");
    let last = |metric: &str| life.derived.iter().rfind(|d| d.metric == metric).unwrap().value;
    assert!((last(say::AGREEMENT) - 0.7).abs() < 0.05, "{}", last(say::AGREEMENT));
    assert!((last(say::DIFFERENCE) - 0.24).abs() < 0.05, "{}", last(say::DIFFERENCE));
}
