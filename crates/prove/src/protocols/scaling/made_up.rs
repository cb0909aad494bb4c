//! Loads that are made up, by a seed: what a recorded trace may not have.

use math::chance::Chance;

use super::replay::Trace;

const MINUTES: usize = 14 * 1440;

/// One of each kind, fourteen days by the minute.
pub fn traces(seed: u64) -> Vec<Trace> {
    let kinds: [(&str, fn(&mut Chance) -> Vec<f64>); 8] = [
        ("day and week", day_and_week),
        ("day and week, few requests", few_requests),
        ("flash crowds", flash_crowds),
        ("steps", steps),
        ("random walk", random_walk),
        ("on and off", on_and_off),
        ("jobs on the hour", jobs_on_the_hour),
        ("bursts", bursts),
    ];
    let make = |(i, (name, kind)): (usize, &(&str, fn(&mut Chance) -> Vec<f64>))| Trace {
        name: format!("made up/{name}"),
        loads: kind(&mut Chance::new(seed.wrapping_mul(1000) + i as u64)),
        tick_s: 60.0,
    };
    kinds.iter().enumerate().map(make).collect()
}

fn wave(minute: usize) -> f64 {
    let day = (std::f64::consts::TAU * (minute as f64 / 1440.0 - 0.3)).sin();
    let free = if minute / 1440 % 7 >= 5 { 0.6 } else { 1.0 };
    (0.55 + 0.45 * day) * free
}

/// A count around a mean, as of independent requests; normal from 30 on.
fn count(mean: f64, chance: &mut Chance) -> f64 {
    if mean > 30.0 {
        return (mean + mean.sqrt() * chance.normal()).round().max(0.0);
    }
    let (mut left, mut n) = ((-mean.max(0.0)).exp(), 0.0);
    let mut u = chance.uniform();
    while u > left && n < 200.0 {
        u -= left;
        n += 1.0;
        left *= mean / n;
    }
    n
}

fn day_and_week(chance: &mut Chance) -> Vec<f64> {
    (0..MINUTES).map(|t| count(3000.0 * wave(t) * (1.0 + 0.05 * chance.normal()).max(0.0), chance)).collect()
}

fn few_requests(chance: &mut Chance) -> Vec<f64> {
    (0..MINUTES).map(|t| count(60.0 * wave(t), chance)).collect()
}

/// Some surges a day that grow within minutes to a multiple and die away within an hour.
fn flash_crowds(chance: &mut Chance) -> Vec<f64> {
    let mut surge: f64 = 0.0;
    let mut wanted: f64 = 0.0;
    let mut loads = Vec::with_capacity(MINUTES);
    for t in 0..MINUTES {
        if chance.uniform() < 2.0 / 1440.0 {
            wanted = 1.0 + 3.0 * chance.uniform();
        }
        surge += 0.25 * (wanted - surge);
        wanted *= 0.96;
        loads.push(count(1000.0 * (wave(t) + 0.3 * surge) * (1.0 + 0.04 * chance.normal()).max(0.0), chance));
    }
    loads
}

/// A level that jumps every few hours.
fn steps(chance: &mut Chance) -> Vec<f64> {
    let mut level = 1000.0;
    let mut loads = Vec::with_capacity(MINUTES);
    for _ in 0..MINUTES {
        if chance.uniform() < 1.0 / 240.0 {
            level = 300.0 + 1500.0 * chance.uniform();
        }
        loads.push(count(level * (1.0 + 0.03 * chance.normal()).max(0.0), chance));
    }
    loads
}

fn random_walk(chance: &mut Chance) -> Vec<f64> {
    let mut log = 0.0;
    let mut loads = Vec::with_capacity(MINUTES);
    for _ in 0..MINUTES {
        log = 0.9995 * log + 0.02 * chance.normal();
        loads.push(count(1000.0 * f64::exp(log), chance));
    }
    loads
}

/// Busy and idle stretches of half an hour to two hours.
fn on_and_off(chance: &mut Chance) -> Vec<f64> {
    let (mut is_on, mut left) = (false, 0.0);
    let mut loads = Vec::with_capacity(MINUTES);
    for _ in 0..MINUTES {
        if left <= 0.0 {
            is_on = !is_on;
            left = 30.0 + 90.0 * chance.uniform();
        }
        left -= 1.0;
        let level = if is_on { 1500.0 } else { 200.0 };
        loads.push(count(level * (1.0 + 0.05 * chance.normal()).max(0.0), chance));
    }
    loads
}

/// Work that begins at each full hour and takes five minutes, on a daily wave.
fn jobs_on_the_hour(chance: &mut Chance) -> Vec<f64> {
    let job = |t: usize| if t % 60 < 5 { 900.0 } else { 0.0 };
    (0..MINUTES).map(|t| count((1000.0 * wave(t) + job(t)) * (1.0 + 0.04 * chance.normal()).max(0.0), chance)).collect()
}

/// Noise with heavy tails on a daily wave.
fn bursts(chance: &mut Chance) -> Vec<f64> {
    let mut stir = 0.0;
    let mut loads = Vec::with_capacity(MINUTES);
    for t in 0..MINUTES {
        let hit = if chance.uniform() < 0.01 { chance.uniform().max(1e-3).powf(-0.5) - 1.0 } else { 0.0 };
        stir = 0.7 * stir + hit.min(5.0);
        loads.push(count(800.0 * (wave(t) + 0.2 * stir) * (1.0 + 0.08 * chance.normal()).max(0.0), chance));
    }
    loads
}
