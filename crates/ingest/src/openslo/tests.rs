//! Good files, and bad ones with what is said of them.

use types::slo::{LabelMatcher, LabelOperator};

use super::*;

const GOOD: &str = "\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: pay-availability
spec:
  description: Payments answer.
  service: payments
  indicator:
    metadata:
      name: pay-requests
    spec:
      ratioMetric:
        raw:
          metricSource:
            type: bellwether
            spec:
              signal: requests
  timeWindow:
    - duration: 30d
      isRolling: true
  budgetingMethod: Occurrences
  objectives:
    - target: 0.999
";

fn one(text: &str) -> Slo {
    let (slos, _) = read(text).unwrap_or_else(|e| panic!("{e:#?}"));
    assert_eq!(slos.len(), 1);
    slos.into_iter().next().unwrap()
}

#[test]
fn the_whole_of_a_small_one() {
    let (slos, notes) = read(GOOD).unwrap();
    let expected = Slo {
        name: "pay-availability".into(),
        tenant: Tenant::default(),
        service: EntityId::new("service", "", "payments"),
        description: "Payments answer.".into(),
        target: 0.999,
        window_ns: 30 * DAY,
        indicator: Indicator::Requests,
        enabled: true,
    };
    assert_eq!((slos, notes), (vec![expected], vec![]));
}

#[test]
fn the_example_in_the_book_is_read() {
    let book = std::fs::read_to_string("../../docs/slos.md").unwrap();
    let example = book.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let slo = one(example);
    assert_eq!((slo.service.as_str(), slo.indicator), ("service:shop/payments", Indicator::Requests));
}

#[test]
fn documents_refer_to_each_other() {
    let text = r#"
apiVersion: openslo/v1
kind: Service
metadata:
  name: checkout
  annotations:
    bellwether/entity: service:shop/checkout
spec:
  description: Where orders are placed.
---
apiVersion: openslo/v1
kind: DataSource
metadata: {name: main-prometheus}
spec:
  type: Prometheus
  connectionDetails: {url: "http://prometheus:9090"}
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: checkout-errors, displayName: Errors}
spec:
  description: Failed orders.
  ratioMetric:
    counter: true
    bad:
      metricSource:
        metricSourceRef: main-prometheus
        spec:
          query: sum(rate(http_requests_total{service="checkout", code=~"5.."}[5m]))
    total:
      metricSource:
        metricSourceRef: main-prometheus
        spec:
          query: >-
            sum(rate(
              http_requests_total{service="checkout"}[5m]))
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: checkout
  annotations: {bellwether/enabled: "false"}
spec:
  service: checkout
  indicatorRef: checkout-errors
  timeWindow: [{duration: 4w, isRolling: true}]
  budgetingMethod: Occurrences
  objectives:
    - {displayName: strict, targetPercent: 99.95}
    - {target: 0.9}
  alertPolicies: [pages]
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: pages}
spec: {alertWhenBreaching: true}
"#;
    let (slos, notes) = read(text).unwrap();
    let names: Vec<_> = slos.iter().map(|slo| (slo.name.as_str(), slo.target)).collect();
    assert_eq!(names, [("checkout-strict", 0.9995), ("checkout-90", 0.9)]);
    assert_eq!(slos[0].service.as_str(), "service:shop/checkout");
    assert_eq!(slos[0].window_ns, 28 * DAY);
    assert!(!slos[0].enabled);
    let is = |label: &str, operator, value: &str| LabelMatcher { label: label.into(), operator, value: value.into() };
    let total =
        Selector { metric: "http_requests_total".into(), matchers: vec![is("service", LabelOperator::Is, "checkout")] };
    let mut bad = total.clone();
    bad.matchers.push(is("code", LabelOperator::Fits, "5.."));
    assert_eq!(slos[0].indicator, Indicator::Ratio { part: Part::Bad(bad), total });
    let notes = notes.join("\n");
    for part in ["main-prometheus", "[5m] is not used", "AlertPolicy \"pages\"", "alertPolicies are left out"] {
        assert!(notes.contains(part), "{part} is not in {notes}");
    }
}

#[test]
fn latencies_are_thresholds_or_buckets() {
    let own = GOOD.replace("ratioMetric:\n        raw:", "thresholdMetric:\n").replace(
        "          metricSource:\n            type: bellwether\n            spec:\n              signal: requests",
        "        metricSource:\n          type: bellwether\n          spec:\n            signal: latency\n            thresholdMs: 250",
    );
    assert_eq!(one(&own).indicator, Indicator::Latency { threshold_ms: 250.0 });
    let by_objective = own
        .replace("            thresholdMs: 250\n", "")
        .replace("- target:", "- op: lte\n      value: 400\n      target:");
    assert_eq!(one(&by_objective).indicator, Indicator::Latency { threshold_ms: 400.0 });
    let source = |query: &str| format!("{{metricSource: {{type: Prometheus, spec: {{query: '{query}'}}}}}}");
    let buckets = GOOD.replace(
        "        raw:\n          metricSource:\n            type: bellwether\n            spec:\n              signal: requests\n",
        &format!(
            "        counter: true\n        good: {}\n        total: {}\n",
            source("request_seconds_bucket{le=\"0.3\"}"),
            source("sum(increase(request_seconds_count[1h]))"),
        ),
    );
    let Indicator::Ratio { part: Part::Good(good), total } = one(&buckets).indicator else { panic!() };
    assert_eq!(good.to_string(), r#"request_seconds_bucket{le="0.3"}"#);
    assert_eq!(total.to_string(), "request_seconds_count");
}

/// The file with one text in the place of another.
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replace(from, to)
}

const RAW: &str = "        raw:
          metricSource:
            type: bellwether
            spec:
              signal: requests
";

#[test]
fn what_is_wrong_is_named_with_line_and_field() {
    let ratio = |rest: &str| with(RAW, rest);
    let source = |query: &str| format!("{{metricSource: {{type: Prometheus, spec: {{query: '{query}'}}}}}}");
    let query =
        |query: &str| ratio(&format!("        good: {}\n        total: {}\n", source(query), source("a_total")));
    let cases: Vec<(String, usize, &str, &str)> = vec![
        (String::new(), 1, "", "the file is empty"),
        ("# nothing\n---\n".into(), 1, "", "the file is empty"),
        ("just words".into(), 1, "", "a mapping is expected"),
        ("a: [1, 2\nb: }".into(), 2, "", "this is no YAML"),
        (with("openslo/v1", "openslo/v2alpha"), 1, "apiVersion", "only openslo/v1 is read"),
        (with("apiVersion: openslo/v1\n", ""), 1, "apiVersion", "is missing"),
        (with("kind: SLO", "kind: Slos"), 2, "kind", "did you mean SLO?"),
        (with("kind: SLO", "kind: Dashboard"), 2, "kind", "known are SLO"),
        (with("kind: SLO", "kind: SLI"), 1, "kind", "no document of kind SLO"),
        (with("  name: pay-availability", "  nmae: pay"), 4, "metadata.nmae", "did you mean name?"),
        (with("  name: pay-availability", "  name: ''"), 4, "metadata.name", "is empty"),
        (with("service: payments", "servce: payments"), 7, "spec.servce", "did you mean service?"),
        (with("service: payments", "service: 'shop/'"), 7, "spec.service", "is no entity"),
        (with("  service: payments\n", ""), 6, "spec.service", "is missing"),
        (with("Occurrences", "Timeslices"), 21, "spec.budgetingMethod", "write Occurrences"),
        (with("isRolling: true", "isRolling: false"), 20, "spec.timeWindow[0].isRolling", "calendar windows"),
        (
            with("isRolling: true", "isRolling: true\n      calendar: {timeZone: UTC}"),
            21,
            "spec.timeWindow[0].calendar",
            "calendar windows are not read",
        ),
        (with("duration: 30d", "duration: 1M"), 19, "spec.timeWindow[0].duration", "write days"),
        (with("duration: 30d", "duration: 30"), 19, "spec.timeWindow[0].duration", "is no duration"),
        (with("duration: 30d", "duration: 5m"), 19, "spec.timeWindow[0].duration", "1h to 366d"),
        (with("duration: 30d", "duration: 9223372036854775807w"), 19, "spec.timeWindow[0].duration", "1h to 366d"),
        (with("    - duration: 30d\n      isRolling: true\n", "    []\n"), 19, "spec.timeWindow", "exactly one window"),
        (with("target: 0.999", "target: 99.9"), 23, "spec.objectives[0].target", "targetPercent"),
        (with("target: 0.999", "target: 1"), 23, "spec.objectives[0].target", "below 1"),
        (with("target: 0.999", "target: .nan"), 23, "spec.objectives[0].target", "a number is expected"),
        (with("target: 0.999", "target: '0.999'"), 23, "spec.objectives[0].target", "a number is expected"),
        (with("target: 0.999", "targetPercent: 0.2e3"), 23, "spec.objectives[0].targetPercent", "below 100"),
        (with("target: 0.999", "timeSliceTarget: 0.9\n      target: 0.9"), 23, "timeSliceTarget", "time slices"),
        (with("target: 0.999", "op: gte\n      value: 3\n      target: 0.9"), 23, "spec.objectives[0].op", "lte"),
        (with("target: 0.999", "value: 3\n      target: 0.9"), 23, "spec.objectives[0].value", "latency"),
        (with("    - target: 0.999\n", "    []\n"), 23, "spec.objectives", "is empty"),
        (with("signal: requests", "signal: request"), 17, "spec.signal", "did you mean requests?"),
        (with("signal: requests", "signal: latency"), 17, "thresholdMs", "is missing"),
        (with("signal: requests", "signal: latency\n              thresholdMs: -5"), 24, "threshold_ms", "above 0"),
        (with("type: bellwether", "type: Datadog"), 15, "metricSource.type", "is not read here"),
        (with("type: bellwether", "metricSourceRef: gone"), 15, "metricSourceRef", "no DataSource is named"),
        (
            with(RAW, "        rawType: failure\n        raw: {metricSource: {type: bellwether, spec: {}}}\n"),
            13,
            "rawType",
            "only success",
        ),
        (ratio(&format!("        good: {}\n", source("a"))), 13, "ratioMetric.total", "is missing"),
        (ratio(&format!("        total: {}\n", source("a"))), 13, "ratioMetric.good", "is missing"),
        (
            ratio(&format!("        counter: false\n        bad: {0}\n        total: {0}\n", source("a"))),
            13,
            "ratioMetric.counter",
            "only running counts",
        ),
        (query("a_total / b_total"), 13, "good.metricSource.spec.query", "what is read is a selector"),
        (query("histogram_quantile(0.9, x)"), 13, "good.metricSource.spec.query", "is not read"),
        (query("a{b=~\"(\"}"), 13, "good.metricSource.spec.query", "cannot be read"),
        (with("  indicator:\n", "  indicatorRef: x\n  indicator:\n"), 8, "spec.indicatorRef", "indicator is given too"),
        (format!("{GOOD}---\n{GOOD}"), 47, "metadata.name", "is defined twice"),
        (with("  service: payments", "  service: payments\n  service: x"), 8, "", "was given before, in line 7"),
        (with("  service: payments", "  <<: {a: b}"), 7, "", "merging with <<"),
        (with("  service: payments", "  service: [a]"), 7, "spec.service", "a text is expected, not a list"),
        (with("name: pay-availability", "name: \"pay\\nx\""), 23, "(name)", "control characters"),
        (
            with("description: Payments answer.", &format!("description: {}", "x".repeat(1500))),
            23,
            "(description)",
            "longer",
        ),
    ];
    assert!(cases.len() >= 20);
    let mut missed = Vec::new();
    for (text, line, field, message) in cases {
        let problems = read(&text).err().unwrap_or_default();
        let fits = |p: &Problem| p.line == line && p.field.contains(field) && p.message.contains(message);
        if !problems.iter().any(fits) {
            missed.push(format!("line {line} {field}: {message}; is not in {problems:#?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn references_that_lead_nowhere() {
    let indicator = &GOOD[GOOD.find("  indicator:").unwrap()..GOOD.find("  timeWindow:").unwrap()];
    let refers = with(indicator, "  indicatorRef: pay-requsts\n");
    let problems = read(&refers).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "line 8: spec.indicatorRef: no SLI is named \"pay-requsts\": no document of kind SLI is in the file"
    );
    let sli = "apiVersion: openslo/v1\nkind: SLI\nmetadata: {name: pay-requests}\nspec: {thresholdMetric: {metricSource: \
               {type: bellwether, spec: {signal: requests}}}}\n";
    let problems = read(&format!("{refers}---\n{sli}")).unwrap_err();
    assert!(problems[0].message.contains("did you mean pay-requests?"), "{problems:?}");
    let good = format!("{}---\n{sli}", refers.replace("requsts", "requests"));
    assert_eq!(one(&good).indicator, Indicator::Requests);
}

#[test]
fn all_problems_are_told_and_too_many_are_counted() {
    let text = with("target: 0.999", "target: 2").replace("30d", "x").replace("requests\n  time", "reqs\n  time");
    let lines: Vec<usize> = read(&text).unwrap_err().iter().map(|p| p.line).collect();
    assert_eq!(lines, [17, 19, 23]);
    let fields: String = (0..200).map(|i| format!("  unknown-field-{i}: 1\n")).collect();
    let problems = read(&format!("{GOOD}{fields}")).unwrap_err();
    assert_eq!(problems.len(), MOST_PROBLEMS + 1);
    assert!(problems[MOST_PROBLEMS].message.starts_with("150 further problems"), "{:?}", problems.last());
}

#[test]
fn large_files_are_refused_and_many_objectives_too() {
    let large = format!("{GOOD}# {}", "x".repeat(MOST_BYTES));
    assert!(read(&large).unwrap_err()[0].message.contains("more than 1048576"));
    let many = |n: usize| (0..n).map(|i| GOOD.replace("pay-av", &format!("p{i}-av"))).collect::<Vec<_>>().join("---\n");
    assert_eq!(read(&many(MOST_SLOS)).unwrap().0.len(), MOST_SLOS);
    let problems = read(&many(MOST_SLOS + 1)).unwrap_err();
    assert!(problems.iter().any(|p| p.message.contains("more than 500 objectives")), "{problems:?}");
}

#[test]
fn no_text_makes_it_panic() {
    let mut seed = 1_u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let bits =
        ["- ", "{", "}", "[", "]", ": ", "\n", "&a ", "*a", "\"", "'", "|", "é", "\0", "---\n", "\t", "? ", "!!x "];
    for _ in 0..3000 {
        let mut text: Vec<char> = GOOD.chars().collect();
        for _ in 0..=next(4) {
            let at = next(text.len());
            let to = (at + next(12)).min(text.len());
            text.splice(at..to, bits[next(bits.len())].chars());
        }
        let _ = read(&text.into_iter().collect::<String>());
    }
}
