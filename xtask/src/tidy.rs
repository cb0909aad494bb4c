//! Rules of ARCHITECTURE.md that a program can check. Each has the reason in its message.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;

use crate::tools::walk;

/// Which rooms a room may use. The order of the rows is the order of the layers.
const ROOMS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("math", &[]),
    ("view", &["types"]),
    ("store", &["view", "types"]),
    ("ingest", &["math", "types"]),
    ("analyze", &["view", "math", "types"]),
    ("incident", &["types"]),
    ("act", &["types"]),
    ("models", &[]),
    ("serve", &[]),
    ("engine", &["analyze", "incident", "view", "types"]),
    ("sim", &["engine", "analyze", "view", "math", "types"]),
    ("shop", &[]),
    ("prove", &["analyze", "view", "math", "types"]),
    ("api", &["act", "engine", "analyze", "incident", "view", "ingest", "models", "serve", "store", "shop", "types"]),
    ("cli", &["act", "api", "engine", "sim", "prove", "serve", "store", "shop", "ingest", "analyze", "types"]),
];

/// Rooms that know no time, no IO and no tasks.
const DOMAIN: &[&str] = &["types", "math", "view", "analyze", "incident", "engine"];

/// All broken rules, one line each.
pub fn problems(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    dependency_direction(root, &mut found)?;
    domain_rooms_are_pure(root, &mut found)?;
    architecture_names_every_room(root, &mut found)?;
    names(root, &mut found);
    repository_is_clean(root, &mut found);
    Ok(found)
}

fn dependency_direction(root: &Path, found: &mut Vec<String>) -> Result<()> {
    let allowed: BTreeMap<_, _> = ROOMS.iter().copied().collect();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let dir = entry?.path();
        let room = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let manifest = std::fs::read_to_string(dir.join("Cargo.toml"))?;
        let Some(allowed) = allowed.get(room.as_str()) else {
            found.push(format!("crates/{room}: a room that xtask/src/tidy.rs does not list"));
            continue;
        };
        if !manifest.contains("[lints]\nworkspace = true") {
            found.push(format!("crates/{room}/Cargo.toml: say `[lints] workspace = true`, lints are set in one place"));
        }
        let mut section = "";
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            }
            let Some(name) = line.split(['.', ' ', '=']).next().filter(|_| section == "[dependencies]") else {
                continue;
            };
            if ROOMS.iter().any(|(r, _)| *r == name) && !allowed.contains(&name) {
                found.push(format!("crates/{room}: may not use room {name} (see the code map in ARCHITECTURE.md)"));
            }
            if name == "reqwest" && !["cli", "shop"].contains(&room.as_str()) {
                found.push(format!("crates/{room}: what goes out goes through act, which judges where it goes"));
            }
            let heavy = ["datafusion", "arrow", "parquet", "sqlx"].contains(&name);
            let excepted = [("shop", "sqlx"), ("prove", "parquet")].contains(&(room.as_str(), name));
            if heavy && room != "store" && !excepted {
                found.push(format!(
                    "crates/{room}: {name} belongs to store alone, it keeps the other rooms quick to build"
                ));
            }
        }
    }
    Ok(())
}

fn domain_rooms_are_pure(root: &Path, found: &mut Vec<String>) -> Result<()> {
    let bans = [
        ("SystemTime::now", "time is an argument"),
        ("Instant::now", "time is an argument"),
        ("std::fs", "no IO in a domain room"),
        ("std::net", "no IO in a domain room"),
        ("std::env", "settings are arguments"),
        ("async fn", "domain rooms are not async"),
        ("println!", "no IO in a domain room"),
        ("thread_rng", "randomness is an argument"),
    ];
    for room in DOMAIN {
        for file in walk(&root.join("crates").join(room).join("src")) {
            let text = std::fs::read_to_string(&file)?;
            // Tests come last in a file; what follows may read test data and print.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            for (number, line) in code.lines().enumerate() {
                let line = line.split("//").next().unwrap_or_default();
                for (ban, why) in bans {
                    if line.contains(ban) {
                        found.push(format!("{shown}:{}: {ban}: {why}", number + 1));
                    }
                }
                let ordered = ["analyze", "incident", "engine"].contains(room);
                if ordered && line.contains("HashMap") {
                    found.push(format!("{shown}:{}: HashMap: its order would show, use BTreeMap", number + 1));
                }
            }
        }
    }
    Ok(())
}

fn architecture_names_every_room(root: &Path, found: &mut Vec<String>) -> Result<()> {
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md"))?;
    if text.lines().count() > 300 {
        found.push("ARCHITECTURE.md: over 300 lines; it is a bird's eye view".into());
    }
    for (room, _) in ROOMS {
        if !text.contains(&format!("| `{room}` |")) {
            found.push(format!("ARCHITECTURE.md: the code map does not list `{room}`"));
        }
    }
    Ok(())
}

fn names(root: &Path, found: &mut Vec<String>) {
    for file in walk(&root.join("crates")) {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        if ["core", "common", "utils", "util", "helpers", "misc"].contains(&stem.as_str()) {
            found.push(format!("{}: name it after what it holds", file.strip_prefix(root).unwrap_or(&file).display()));
        }
    }
}

fn repository_is_clean(root: &Path, found: &mut Vec<String>) {
    let listed = std::process::Command::new("git").args(["ls-files"]).current_dir(root).output();
    let Ok(listed) = listed else { return };
    for name in String::from_utf8_lossy(&listed.stdout).lines() {
        let size = root.join(name).metadata().map_or(0, |m| m.len());
        if size > 600 * 1024 {
            found.push(format!("{name}: {} KiB; data and built files do not belong in the repository", size / 1024));
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_repository_keeps_its_rules() {
        let problems = super::problems(crate::tools::root()).unwrap();
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }
}
