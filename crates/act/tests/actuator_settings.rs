//! The settings that the book shows are taken as they stand there.

use std::collections::{BTreeMap, BTreeSet};

use act::actuator::{ActuatorSettings, open_all};
use figment::{
    Figment,
    providers::{Format, Toml},
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    actuators: BTreeMap<String, ActuatorSettings>,
}

fn read(toml: &str) -> Result<BTreeMap<String, ActuatorSettings>, String> {
    let file: File = Figment::from(Toml::string(toml)).extract().map_err(|error| error.to_string())?;
    Ok(file.actuators)
}

/// All blocks of the page but the one that stands for any actuator.
fn shown() -> String {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/actuators.md")).unwrap();
    let blocks = page.split("```toml").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.contains("kind =")).collect()
}

#[test]
fn what_the_book_shows_is_taken() {
    let said = read(&shown()).unwrap();
    assert_eq!(said.len(), 6);
    let env = |_: &str| Some("s3cret".to_owned());
    let (mut opened, mut kinds) = (BTreeMap::new(), BTreeSet::new());
    for (name, settings) in &said {
        match settings.open(name, &env) {
            Ok(actuator) => drop(opened.insert(name.clone(), actuator)),
            // Not every machine has these files, and not every server is root.
            Err(problem) => assert!(["secret_file", "ca_file", "uid"].contains(&problem.field), "{problem}"),
        }
    }
    for actuator in opened.values() {
        kinds.insert(actuator.kind());
        for registration in actuator.registrations() {
            assert_eq!(registration.kind, actuator.kind());
            assert!(!registration.action.is_empty());
        }
        assert!(!format!("{actuator:?}").contains("s3cret"), "{actuator:?}");
    }
    assert!(kinds.is_superset(&["airflow", "docker", "http", "systemd"].into()), "{kinds:?}");
}

#[test]
fn all_problems_are_named_at_once() {
    let said = read(
        "[actuators.a]\nkind = \"systemd\"\nunits = []\n[actuators.b]\nkind = \"docker\"\ncontainers = [\"x\"]\n\
         [actuators.c]\nkind = \"http\"\nurl = \"x\"\ntargets = [\"y\"]",
    );
    let problems = open_all(&said.unwrap(), &|_| None).unwrap_err();
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("actuators.a.units: ") && problems[1].starts_with("actuators.c.url: "));
    assert!(read("[actuators.a]\nkind = \"shell\"").unwrap_err().contains("shell"));
}
