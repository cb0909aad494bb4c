//! Cards and lineages as they are kept in `cards/` (rewritten with `UPDATE_EXPECT=1`), text that tries to be more than
//! text, and bounds.

use std::fs;

use bellwether_models::{
    Book,
    card::{Answers, Drift, FileSeen, FindingSeen, GroupSeen, Performance, Seen, Stated, card},
    lineage::lineage,
};
use serde_json::{Value, json};

/// Noon of a day.
const NOON: i64 = 1_767_268_800_000;
const RUN: &str = "0123456789abcdef0123456789abcdef";
const RUN_BEFORE: &str = "fedcba9876543210fedcba9876543210";
const LOGGED: &str = "m-00000000000000000000000000000001";

/// A book of these documents.
fn book(documents: Vec<(&str, &str, Value)>) -> Book {
    Book::load(documents.into_iter().map(|(kind, id, body)| (kind.into(), id.into(), body.to_string()))).unwrap()
}

fn run(number: u64, id: &str, rest: Value) -> Value {
    let mut run = json!({
        "number": number, "id": id, "experiment": 1, "name": format!("run-{number}"), "user": "ann",
        "status": "FINISHED", "start": NOON, "end": NOON + 90_000,
        "artifact_uri": format!("mlflow-artifacts:/1/{id}/artifacts"), "lifecycle": "active"
    });
    if let (Value::Object(run), Value::Object(rest)) = (&mut run, rest) {
        run.extend(rest);
    }
    run
}

/// A model with two versions, of which much is known.
fn churn() -> Book {
    let schema = json!({"mlflow_colspec": [{"type": "double", "name": "age"}, {"type": "long", "name": "left"}]});
    let data = |name: &str, digest: &str, context: &str| {
        json!({
            "name": name, "digest": digest, "source_type": "http", "schema": schema.to_string(),
            "source": "{\"url\": \"https://ann:secret@data.example/churn.csv?sig=secret\"}",
            "profile": "{\"num_rows\": 1200, \"num_elements\": 2400}", "tags": {"mlflow.data.context": context}
        })
    };
    let metric = |key: &str, value: f64, digest: &str| json!({"key": key, "value": value, "timestamp": NOON, "step": 3, "run": RUN, "dataset_name": "churn-test", "dataset_digest": digest});
    let moved = |number: u64, at: i64, by: &str, what: Value, before: Value, after: Value, gates: Value| {
        let body = json!({
            "number": number, "model": "churn", "at": NOON + at, "by": by, "what": what, "before": before,
            "after": after, "gates": gates, "journaled": true
        });
        ("move", number.to_string(), body)
    };
    let moves = [
        moved(1, 0, "ann", json!({"kind": "registered", "version": 1}), json!(null), json!(1), json!([])),
        moved(2, 60_000, "ann", json!({"kind": "registered", "version": 2}), json!(1), json!(2), json!([])),
        moved(3, 120_000, "bob", json!({"kind": "approved", "version": 2}), json!(2), json!(2), json!([])),
        moved(
            4,
            180_000,
            "bob",
            json!({"kind": "alias", "alias": "champion", "from": null, "to": 2}),
            json!(2),
            json!(2),
            json!(["accuracy", "four eyes"]),
        ),
    ];
    let mut documents = vec![
        (
            "experiment",
            "1",
            json!({
                "id": 1, "name": "churn of customers", "artifact_location": "mlflow-artifacts:/1",
                "lifecycle": "active", "created": NOON, "updated": NOON
            }),
        ),
        (
            "run",
            RUN_BEFORE,
            run(0, RUN_BEFORE, json!({"datasets": [data("churn-train", "d1", "training")], "params": {"C": "1.0"}})),
        ),
        ("latest", "0", json!({"accuracy": [0.91, NOON, 3], "training_loss": [0.3, NOON, 3]})),
        (
            "run",
            RUN,
            run(
                1,
                RUN,
                json!({
                    "datasets": [data("churn-train", "d1", "training"), data("churn-test", "d2", "evaluation")],
                    "params": {"C": "0.5", "penalty": "l2"},
                    "tags": {
                        "mlflow.source.name": "train.py", "mlflow.source.git.commit": "9f1c2ab",
                        "mlflow.source.git.repoURL": "https://ann:secret@git.example/churn.git"
                    }
                }),
            ),
        ),
        (
            "latest",
            "1",
            json!({"accuracy": [0.94, NOON, 3], "training_loss": [0.21, NOON, 3], "broken": [null, NOON, 3]}),
        ),
        (
            "logged_model",
            LOGGED,
            json!({
                "id": LOGGED, "experiment": 1, "name": "churn-model", "created": NOON, "updated": NOON,
                "artifact_uri": format!("mlflow-artifacts:/1/models/{LOGGED}/artifacts"), "standing": "ready",
                "source_run": RUN, "lifecycle": "active", "params": {"solver": "lbfgs"},
                "metrics": [metric("accuracy", 0.93, "d2"), metric("accuracy", 0.94, "d2"), metric("f1", 0.8125, "d2")]
            }),
        ),
        (
            "registered_model",
            "churn",
            json!({
                "name": "churn", "created": NOON, "updated": NOON, "aliases": {"champion": 2}, "last_version": 2,
                "description": "Says which customers are about to leave.",
                "tags": {
                    "bellwether.sensitive": "sex", "bellwether.favourable": "stays", "team": "retention",
                    "bellwether.card.intended_use": "Choosing whom to call.",
                    "bellwether.card.out_of_scope": "Prices, and anything that a customer is refused."
                },
                "versions": {
                    "1": {
                        "version": 1, "created": NOON, "updated": NOON, "source": format!("runs:/{RUN_BEFORE}/model"),
                        "location": format!("runs:/{RUN_BEFORE}/model"), "run": RUN_BEFORE, "stage": "None"
                    },
                    "2": {
                        "version": 2, "created": NOON + 60_000, "updated": NOON, "source": format!("models:/{LOGGED}"),
                        "location": format!("mlflow-artifacts:/1/models/{LOGGED}/artifacts"), "run": RUN,
                        "model": LOGGED, "stage": "Production", "tags": {"reviewed": "yes"}
                    }
                }
            }),
        ),
    ];
    documents.extend(moves.iter().map(|(kind, id, body)| (*kind, id.as_str(), body.clone())));
    let mut book = book(documents);
    let gates = json!([
        {"name": "accuracy", "before": ["champion"], "metric": "accuracy", "at_least": 0.9, "not_worse_by": 0.01, "same_data": true},
        {"name": "four eyes", "approvals": 2}
    ]);
    book.set_gates(serde_json::from_value(gates).unwrap());
    book
}

/// What was seen of its second version.
fn seen() -> Seen {
    let group = |group: &str, rows, favourable| GroupSeen {
        column: "sex".into(),
        group: group.into(),
        rows,
        favourable,
        low: Some(favourable - 0.03),
        high: Some(favourable + 0.03),
    };
    let performance = |metric: &str, value, estimated| Performance {
        metric: metric.into(),
        value,
        low: Some(value - 0.02),
        high: Some(value + 0.02),
        rows: 900,
        estimated,
    };
    Seen {
        at: NOON + 3_600_000,
        stated: Some(Stated::of_mlmodel(&json!({
            "flavors": {"sklearn": {"sklearn_version": "1.7.2", "serialization_format": "skops"}},
            "mlflow_version": "3.17.2",
            "signature": {
                "inputs": "[{\"type\": \"double\", \"name\": \"age\", \"required\": true}]",
                "outputs": "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"int64\", \"shape\": [-1]}}]"
            }
        }))),
        files: Some(vec![
            FileSeen { path: "MLmodel".into(), sha256: "0a".repeat(32), bytes: 612 },
            FileSeen { path: "model.skops".into(), sha256: "0b".repeat(32), bytes: 10_240 },
        ]),
        answers: Some(Answers {
            since: Some(NOON + 180_000),
            rows: 5000,
            requests: Some(1250),
            refused: Some(3),
            latency_ms_p50: Some(0.84),
            latency_ms_p99: Some(3.2),
        }),
        performance: vec![performance("accuracy", 0.92, false), performance("accuracy", 0.9, true)],
        groups: vec![group("f", 2400, 0.62), group("m", 2600, 0.85)],
        drift: vec![
            Drift { column: "tenure".into(), distance: 0.02, drifted: false },
            Drift { column: "age".into(), distance: 0.31, drifted: true },
        ],
        findings: vec![FindingSeen {
            measure: "model_input_drift".into(),
            scope: String::new(),
            summary: "Inputs of model churn version 2 are other than in its first 1,000 rows: age rose".into(),
            ongoing: true,
            start: NOON + 1_800_000,
        }],
    }
}

/// Holds what was made against what is kept.
fn as_kept(file: &str, made: &str) {
    let path = format!("{}/tests/cards/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_else(|_| panic!("no {path}: run with UPDATE_EXPECT=1"));
    assert!(kept == made, "{path}: see the change with UPDATE_EXPECT=1");
}

fn pretty(of: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(of).unwrap() + "\n"
}

#[test]
fn cards_and_lineages_are_as_kept() {
    let known = card(&churn(), "churn", 2, &seen()).unwrap();
    as_kept("known.json", &pretty(&known));
    as_kept("known.md", &known.to_markdown());
    as_kept("known.html", &known.to_html());
    as_kept("lineage.json", &pretty(&lineage(&churn(), "churn", 2).unwrap()));
    let unknown = card(&unknown(), "bare", 1, &Seen { at: NOON, ..Seen::default() }).unwrap();
    as_kept("unknown.json", &pretty(&unknown));
    as_kept("unknown.md", &unknown.to_markdown());
    as_kept("unknown.html", &unknown.to_html());
}

/// A version of which nothing is known but that it is there.
fn unknown() -> Book {
    let version =
        json!({"version": 1, "created": NOON, "updated": NOON, "source": "s3://bucket/m", "location": "s3://bucket/m"});
    let model =
        json!({"name": "bare", "created": NOON, "updated": NOON, "versions": {"1": version}, "last_version": 1});
    book(vec![("registered_model", "bare", model)])
}

#[test]
fn the_same_gives_the_same_and_what_is_not_there_is_refused() {
    let (a, b) = (card(&churn(), "churn", 2, &seen()).unwrap(), card(&churn(), "churn", 2, &seen()).unwrap());
    assert_eq!((a.to_markdown(), a.to_html(), pretty(&a)), (b.to_markdown(), b.to_html(), pretty(&b)));
    assert!(card(&churn(), "churn", 9, &seen()).is_err() && card(&churn(), "none", 1, &seen()).is_err());
}

#[test]
fn what_nobody_said_is_missing_and_never_made_up() {
    let card = card(&unknown(), "bare", 1, &Seen::default()).unwrap();
    let missing: Vec<&str> = card.missing.iter().map(|missing| missing.what.as_str()).collect();
    for what in [
        "Who registered it",
        "What it is",
        "Intended use",
        "Its inputs and outputs",
        "The data that it was trained with",
        "How good it is",
        "How it behaves in use",
    ] {
        assert!(missing.contains(&what), "{what}: {missing:?}");
    }
    assert!(card.caveats.iter().any(|caveat| caveat.contains("kept elsewhere")), "{:?}", card.caveats);
}

#[test]
fn passwords_and_signed_queries_of_addresses_are_left_out() {
    let card = card(&churn(), "churn", 2, &seen()).unwrap();
    for made in [card.to_markdown(), card.to_html(), pretty(&card)] {
        assert!(!made.contains("secret"), "{made}");
        assert!(made.contains("data.example"));
    }
}

/// Texts that try to be more than text.
const HOSTILE: [&str; 12] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "a | b\n| --- |\n| c |",
    "`</code><script>`|`",
    "x\n\n# A heading\n\n- a list\n> a quote\n```\ncode",
    "https://evil.example www.evil.example ann@evil.example",
    "<!-- -->&#60;b&#62;",
    "a\u{202e}b\u{0}c",
    "\\| \\` \\[",
    "[a]: https://evil.example 'x'",
];

#[test]
fn hostile_text_stays_text() {
    for text in HOSTILE {
        let card = card(&hostile(text), "m", 1, &hostile_seen(text)).unwrap();
        let plain = card_with_plain_text(text);
        let (html, markdown) = (card.to_html(), card.to_markdown());
        assert_eq!(tags(&html), tags(&plain.to_html()), "{text:?} made an element\n{html}");
        assert_eq!(shape(&markdown), shape(&plain.to_markdown()), "{text:?} made a line or a cell\n{markdown}");
        assert!(!markdown.contains('<') && !markdown.contains("]("), "{text:?}\n{markdown}");
        let said = markdown.replace("\\`", "").split('`').step_by(2).collect::<String>();
        assert!(!said.contains("://") && !said.contains("evil.example"), "{text:?} links itself\n{markdown}");
    }
}

/// The card of the same version with a harmless text.
fn card_with_plain_text(text: &str) -> bellwether_models::card::Card {
    // Pickles and statements are told apart by the text alone, so only its marks are taken away.
    let plain: String = text.chars().map(|c| if c.is_alphanumeric() { c } else { 'x' }).collect();
    card(&hostile(&plain), "m", 1, &hostile_seen(&plain)).unwrap()
}

fn tags(html: &str) -> Vec<&str> {
    let body = html.split_once("</style>").map_or("", |(_, body)| body);
    body.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default()).collect()
}

/// Of each line how it begins and how many cells it has.
fn shape(markdown: &str) -> Vec<(String, usize)> {
    let of = |line: &str| (line.chars().take(2).collect(), line.matches('|').count());
    markdown.lines().map(of).collect()
}

fn hostile(text: &str) -> Book {
    let data = json!({"name": text, "digest": text, "source_type": text, "source": text, "tags": {"mlflow.data.context": text}});
    let run = run(
        0,
        RUN,
        json!({"name": text, "user": text, "params": {text: text}, "datasets": [data], "tags": {"mlflow.source.name": text}}),
    );
    let tags = json!({"bellwether.card.ethics": text, "bellwether.favourable": text, text: text});
    let version = json!({
        "version": 1, "created": NOON, "updated": NOON, "description": text, "source": text, "location": text,
        "run": RUN, "stage": "None", "tags": {text: text}
    });
    let model = json!({
        "name": "m", "created": NOON, "updated": NOON, "description": text, "tags": tags, "aliases": {text: 1},
        "versions": {"1": version}, "last_version": 1
    });
    let what = json!({"kind": "alias", "alias": text, "from": null, "to": 1});
    let moved = json!({"number": 1, "model": "m", "at": NOON, "by": text, "what": what, "before": null, "after": 1, "gates": [text]});
    let mut book = book(vec![
        ("run", RUN, run),
        ("latest", "0", json!({text: [0.5, NOON, 1]})),
        ("registered_model", "m", model),
        ("move", "1", moved),
    ]);
    book.set_gates(serde_json::from_value(json!([{"name": text, "metric": text, "at_least": 0.9}])).unwrap());
    book
}

fn hostile_seen(text: &str) -> Seen {
    let text = || text.to_owned();
    Seen {
        stated: Some(Stated {
            flavors: vec![text()],
            libraries: [(text(), text())].into(),
            serialization: Some(text()),
            inputs: Some(json!([{"name": text(), "type": text()}])),
            ..Stated::default()
        }),
        files: Some(vec![FileSeen { path: text(), sha256: text(), bytes: 1 }]),
        performance: vec![Performance { metric: text(), ..Performance::default() }],
        groups: vec![
            GroupSeen { column: text(), group: text(), favourable: 0.5, ..GroupSeen::default() },
            GroupSeen { column: text(), group: text() + "2", favourable: 0.9, ..GroupSeen::default() },
        ],
        drift: vec![Drift { column: text(), distance: f64::NAN, drifted: true }],
        findings: vec![FindingSeen { measure: text(), scope: text(), summary: text(), ..FindingSeen::default() }],
        ..Seen::default()
    }
}

#[test]
fn sizes_are_bounded() {
    let long = "x".repeat(100_000);
    let params: serde_json::Map<String, Value> = (0..5000).map(|n| (format!("p{n:04}"), json!(long[..6000]))).collect();
    let latest: serde_json::Map<String, Value> =
        (0..5000).map(|n| (format!("m{n:04}"), json!([0.5, NOON, 1]))).collect();
    let datasets: Vec<Value> = (0..500)
        .map(|n| json!({"name": format!("d{n}"), "digest": format!("{n}"), "source_type": "x", "source": long}))
        .collect();
    let run = run(0, RUN, json!({"params": params, "datasets": datasets}));
    let version = |number: u64| json!({"version": number, "created": NOON, "updated": NOON, "description": long, "source": long, "location": long, "run": RUN});
    let versions: serde_json::Map<String, Value> = (1..=300).map(|n| (n.to_string(), version(n))).collect();
    let tags: serde_json::Map<String, Value> = (0..500).map(|n| (format!("t{n}"), json!(long))).collect();
    let model =
        json!({"name": "m", "created": NOON, "updated": NOON, "tags": tags, "versions": versions, "last_version": 300});
    let book = book(vec![("run", RUN, run), ("latest", "0", Value::Object(latest)), ("registered_model", "m", model)]);
    let finding =
        FindingSeen { measure: long.clone(), scope: long.clone(), summary: long.clone(), ..FindingSeen::default() };
    let seen = Seen {
        files: Some(vec![FileSeen { path: long.clone(), ..FileSeen::default() }; 5000]),
        groups: vec![GroupSeen { column: long.clone(), group: long.clone(), ..GroupSeen::default() }; 500],
        findings: vec![finding; 500],
        ..Seen::default()
    };
    let card = card(&book, "m", 300, &seen).unwrap();
    assert_eq!((card.training.parameters.shown.len(), card.training.parameters.more), (100, 4900));
    assert_eq!((card.metrics.measured.shown.len(), card.metrics.measured.more), (100, 4900));
    assert_eq!((card.metrics.earlier.shown.len(), card.metrics.earlier.more), (5, 294));
    assert_eq!((card.data.same_run.shown.len(), card.data.same_run.more), (100, 199));
    let markdown = card.to_markdown();
    assert!(markdown.contains("4900 more are not shown."));
    for made in [markdown, card.to_html(), pretty(&card)] {
        assert!(made.len() < 2 << 20, "{} bytes", made.len());
    }
}
