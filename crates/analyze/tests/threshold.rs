//! Runs the cases in `scenarios/threshold/*.txt`: a series, its limit, and when it must (not) be expected to reach it.
//!
//! `#` begins a comment. A series is made of runs, each from where the last one's slope ended:
//!
//! ```text
//! every 10m                    # time between points
//! level 60                     # where it begins
//! run 5d slope 0.5/h noise 0.2 saw 24h 25 wave 24h 15 ramp 60 20h spike 1h 5m 400
//! limit 100
//! expect p 24h < 0.1           # probability that the limit is reached by then
//! expect median 35h..60h       # when
//! expect leak no
//! expect note too few points   # part of what is said with it
//! ```
//!
//! `saw PERIOD HEIGHT` climbs and falls back, `wave PERIOD HEIGHT` is a sine, `ramp BY TIME` an exponential approach,
//! `spike PERIOD WIDTH HEIGHT` a plateau each period; `noise` is even in ± and the same at each run of the test.

use std::{fs, path::PathBuf};

use math::forecast::threshold::{crossing, is_leak};

#[test]
fn all_scenarios_hold() {
    let folder = PathBuf::from("../../scenarios/threshold");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "the scenarios are missing in {}", folder.display());
    let wrong: Vec<String> = files
        .iter()
        .flat_map(|path| {
            let wrong = check(&fs::read_to_string(path).unwrap());
            wrong.into_iter().map(move |line| format!("{}: {line}", path.file_stem().unwrap().display()))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_expectation_fails() {
    let case = "every 10m\nlevel 10\nrun 2d slope 1/h\nlimit 60\nexpect p 12h > 0.99\nexpect leak no";
    assert_eq!(check(case).len(), 1 + usize::from(is_leak(&[1.0; 3])) + 1, "{:?}", check(case));
}

/// The expectations that do not hold, with what was found.
fn check(case: &str) -> Vec<String> {
    let (mut every_s, mut level, mut limit) = (60.0, 0.0, 1.0);
    let mut values: Vec<f64> = Vec::new();
    let mut wrong = Vec::new();
    for line in case.lines().map(|line| line.split('#').next().unwrap_or("").trim()).filter(|l| !l.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["every", time] => every_s = seconds(time),
            ["level", value] => level = value.parse().unwrap(),
            ["limit", value] => limit = value.parse().unwrap(),
            ["run", time, ..] => level = run(&mut values, level, every_s, seconds(time), &words[2..]),
            ["expect", "p", time, sign, bound] => {
                let p = crossing(&values, limit, &[seconds(time) / every_s]).probability[0];
                let bound: f64 = bound.parse().unwrap();
                if if sign == "<" { p >= bound } else { p <= bound } {
                    wrong.push(format!("{line}, but it is {p}"));
                }
            }
            ["expect", "median", range] => {
                let (from, to) = range.split_once("..").unwrap();
                let found = crossing(&values, limit, &[]).steps[1].map(|steps| steps * every_s);
                if !found.is_some_and(|f| (seconds(from)..=seconds(to)).contains(&f)) {
                    wrong.push(format!("{line}, but it is {:?} h", found.map(|s| s / 3600.0)));
                }
            }
            ["expect", "leak", answer] => {
                if is_leak(&values) != (answer == "yes") {
                    wrong.push(format!("{line}, but it is not so"));
                }
            }
            ["expect", "note", ..] => {
                let notes = crossing(&values, limit, &[]).notes;
                if !notes.iter().any(|n| n.contains(&words[2..].join(" "))) {
                    wrong.push(format!("{line}, but it says {notes:?}"));
                }
            }
            _ => panic!("cannot read {line:?}"),
        }
    }
    wrong
}

/// Appends a run; answers where its slope ended.
fn run(values: &mut Vec<f64>, level: f64, every_s: f64, length_s: f64, words: &[&str]) -> f64 {
    let find = |name: &str| words.iter().position(|w| *w == name);
    let number = |at: usize| words[at].parse::<f64>().unwrap();
    let slope = find("slope").map_or(0.0, |i| words[i + 1].trim_end_matches("/h").parse::<f64>().unwrap() / 3600.0);
    let noise = find("noise").map_or(0.0, |i| number(i + 1));
    for step in 0..(length_s / every_s) as usize {
        let s = step as f64 * every_s;
        let mut value = level + slope * s;
        if let Some(i) = find("saw") {
            let period = seconds(words[i + 1]);
            value += s.rem_euclid(period) / period * number(i + 2);
        }
        if let Some(i) = find("wave") {
            value += (s / seconds(words[i + 1]) * std::f64::consts::TAU).sin() * number(i + 2);
        }
        if let Some(i) = find("ramp") {
            value += number(i + 1) * (1.0 - (-s / seconds(words[i + 2])).exp());
        }
        if let Some(i) = find("spike") {
            let is_on = s.rem_euclid(seconds(words[i + 1])) < seconds(words[i + 2]);
            value += if is_on { number(i + 3) } else { 0.0 };
        }
        values.push(value + noise * (2.0 * even(values.len() as u64) - 1.0));
    }
    level + slope * length_s
}

/// An even draw in 0..1 for a number (SplitMix64).
fn even(number: u64) -> f64 {
    let mut x = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn seconds(text: &str) -> f64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let factor = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => panic!("no time: {text:?}"),
    };
    number.parse::<f64>().unwrap() * factor
}
