//! `resource`: memory and disks that run out, and memory that leaks.
//!
//! Only metrics that the conventions of OpenTelemetry or Prometheus know as bounded or leaking are looked at (see
//! [`WATCHED`]). Two rules:
//!
//! - **Nearly full**: used over limit passes 90 % after having been below 85 %.
//! - **Leak**: the minima of buckets grow steadily (Theil-Sen slope, Sen 1968; share of rising pairs as in the
//!   Mann-Kendall test), beyond everything seen before, without slowing down. Once over about 80 s for steep growth,
//!   once over hours for slow growth. A start-up ramp slows down, a saw-tooth comes back to where it was: neither is
//!   a leak.
//!
//! With a limit (of a process that has none, the machine's memory where it is known) the claim says when it will be
//! reached, at the present pace. Steep growth is a leak only if that is within an hour; without any limit, if memory
//! has doubled: every store fills its buffers at first. Fails on: leaks hidden in a heap that is
//! never given back to the system, limits that are not sent.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use types::{
    Band, Direction, Evidence, Finding, FindingId, MINUTE, Registry, SECOND, SeriesDef, SeriesId, SeriesKind, Shape,
    Time,
};
use view::{Analysis, Findings, Fleet, Pages, Param, Params, State, StateData, Stratum, Trigger, View};

use super::{
    metric::quantity,
    words::{clock, plain, round3},
};

/// The catalogue's entry.
pub const ANALYSIS: Analysis = Analysis {
    name: NAME,
    version: VERSION,
    summary: "memory and disks that run out, and memory that leaks",
    stratum: Stratum::Detect,
    trigger: Trigger::Every(5 * SECOND),
    params: &[
        Param {
            name: "full_ratio",
            default: 0.9,
            range: (0.5, 1.0),
            summary: "share of the limit from which something is nearly full; at 0.9 most systems still have time",
        },
        Param {
            name: "leak_growth",
            default: 0.3,
            range: (0.05, 10.0),
            summary: "growth over the window, relative to its start, that a leak needs; 0.3 passes over caches that warm up a little",
        },
    ],
    new_state: |_| State::new(Resources::default()),
    run,
};

const NAME: &str = "resource";
const VERSION: u32 = 1;

/// What is watched: metric name, whether it is memory (can leak), and the name of its limit; a ratio has none.
pub(crate) const WATCHED: &[(&str, bool, Option<&str>)] = &[
    ("process.memory.usage", true, Some("process.memory.limit")),
    ("process.resident_memory", true, None),
    ("process_resident_memory_bytes", true, Some("process_memory_limit_bytes")),
    ("container.memory.usage", true, Some("container.memory.limit")),
    ("container.memory.working_set", true, Some("container.memory.limit")),
    ("container_memory_working_set_bytes", true, Some("container_spec_memory_limit_bytes")),
    ("k8s.pod.memory.working_set", true, Some("k8s.pod.memory.limit")),
    ("jvm.memory.used", true, Some("jvm.memory.limit")),
    ("go.memory.used", true, Some("go.memory.limit")),
    ("system.memory.usage", false, Some("system.memory.limit")),
    ("system.memory.utilization", false, None),
    ("system.filesystem.usage", false, Some("system.filesystem.limit")),
    ("system.filesystem.utilization", false, None),
    ("k8s.volume.usage", false, Some("k8s.volume.capacity")),
    ("kubelet_volume_stats_used_bytes", false, Some("kubelet_volume_stats_capacity_bytes")),
];

/// Short buckets: steep growth within minutes.
const SHORT_NS: i64 = 10 * SECOND;
const SHORT_KEPT: usize = 9;
/// Long buckets: slow growth within hours.
const LONG_NS: i64 = 5 * MINUTE;
const LONG_KEPT: usize = 72;
const LONG_LEAST: usize = 36;
/// A process that has just started may grow.
const STARTING_NS: i64 = 2 * MINUTE;
/// Growth below this is no leak yet, bytes; without a limit twice that, and as much as there was before.
const LEAK_BYTES: f64 = 32e6;
/// Steep growth counts only if the limit is so near.
const SOON_S: f64 = 3600.0;
/// The limit of a process without one of its own.
const MACHINE_MEMORY: &str = "system.memory.limit";
/// How long a claim's reason must be gone.
const SETTLE_NS: i64 = MINUTE;
/// Series watched at most.
const MAX_SERIES: usize = 20_000;

#[derive(Default)]
struct Resources {
    slots: Fleet<BTreeMap<u32, Slot>>,
    /// Row of [`WATCHED`] plus one of each series, or 200 for a limit; derived from the registry, not saved.
    kinds: Vec<u8>,
}

/// What is remembered of one watched series. Numbers are rounded, so that they read back exactly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Slot {
    first_ns: i64,
    last_ns: i64,
    last: f64,
    /// Lowest value ever, and highest of what has left the short window.
    low: f64,
    high: f64,
    short: VecDeque<(i64, f64)>,
    long: VecDeque<(i64, f64)>,
    full: Option<Claim>,
    leak: Option<Claim>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Claim {
    finding: Finding,
    /// Since when its reason is gone, ns; 0 if it is not.
    gone_ns: i64,
}

const LIMIT: u8 = 200;

fn run(view: &View, params: &Params, state: &mut State, out: &mut Findings) {
    let resources = state.get::<Resources>();
    resources.index(view.registry);
    let mut touched = std::collections::BTreeSet::new();
    for batch in view.batches {
        let rows = &batch.samples;
        for i in 0..rows.len() {
            let series = rows.series[i];
            let watched = resources.kinds.get(series.0 as usize).copied().unwrap_or(0) != 0;
            let late = !batch.backfill && view.is_late(rows.time[i]);
            if watched && !late && rows.value[i].is_finite() && resources.take(series, rows.time[i], rows.value[i]) {
                touched.insert(series);
            }
        }
    }
    for series in touched {
        if resources.kinds[series.0 as usize] != LIMIT {
            resources.judge(view, params, series, out);
        }
    }
}

impl Resources {
    fn index(&mut self, registry: &Registry) {
        for def in &registry.all_series()[self.kinds.len()..] {
            self.kinds.push(match watched(def) {
                Some(row) => row as u8 + 1,
                None if is_limit(def) => LIMIT,
                None => 0,
            });
        }
    }

    /// Takes a point; whether it was new.
    fn take(&mut self, series: SeriesId, time: i64, value: f64) -> bool {
        let full = self.slots.0.len() >= MAX_SERIES;
        if full && !self.slots.0.contains_key(&series.0) {
            return false;
        }
        let value = if value.abs() >= 1e5 { value.round() } else { (value * 1e6).round() / 1e6 };
        let slot = self.slots.0.entry(series.0).or_insert_with(|| Slot {
            first_ns: time,
            low: value,
            high: value,
            ..Slot::default()
        });
        if time <= slot.last_ns {
            return false;
        }
        slot.last_ns = time;
        slot.last = value;
        slot.low = slot.low.min(value);
        fill(&mut slot.short, time / SHORT_NS, value, SHORT_KEPT)
            .into_iter()
            .for_each(|left| slot.high = slot.high.max(left));
        fill(&mut slot.long, time / LONG_NS, value, LONG_KEPT);
        true
    }

    fn judge(&mut self, view: &View, params: &Params, series: SeriesId, out: &mut Findings) {
        let Some(def) = view.registry.series_def(series) else { return };
        let Some(watched) = WATCHED.get(usize::from(self.kinds[series.0 as usize]) - 1) else { return };
        let limit = watched.2.and_then(|name| self.limit(view.registry, def, name));
        let machine = if watched.1 && limit.is_none() { self.limit(view.registry, def, MACHINE_MEMORY) } else { None };
        let end = limit.or(machine);
        let Some(slot) = self.slots.0.get_mut(&series.0) else { return };
        let ratio = if def.metric.ends_with("utilization") { Some(slot.last) } else { limit.map(|l| slot.last / l) };
        let lowest = if def.metric.ends_with("utilization") { Some(slot.low) } else { limit.map(|l| slot.low / l) };

        let full_ratio = params.get("full_ratio");
        let was_lower = lowest.is_some_and(|l| l < full_ratio - 0.05);
        let is_full = ratio.is_some_and(|r| r >= full_ratio) && was_lower;
        let finding = is_full.then(|| nearly_full(view, series, def, slot, ratio.unwrap_or(1.0)));
        update(&mut slot.full, finding, slot.last_ns, out);

        let started = slot.last_ns - slot.first_ns >= STARTING_NS;
        let growth = if watched.1 && started { leak(slot, params.get("leak_growth"), end) } else { None };
        let stays = slot.leak.is_some() && limit.is_some_and(|l| slot.last >= 0.8 * l);
        let finding = growth
            .map(|g| leaking(view, series, def, slot, g, end))
            .or_else(|| slot.leak.as_ref().filter(|_| stays).map(|c| c.finding.clone()));
        update(&mut slot.leak, finding, slot.last_ns, out);
    }

    /// The newest value of the limit that belongs to a series.
    fn limit(&self, registry: &Registry, of: &SeriesDef, name: &str) -> Option<f64> {
        let fits = |(id, _): &(&u32, &Slot)| {
            registry.series_def(SeriesId(**id)).is_some_and(|def| *def.metric == *name && is_limit_of(def, of))
        };
        self.slots.0.iter().find(fits).map(|(_, slot)| slot.last).filter(|l| *l > 0.0)
    }
}

/// Row of [`WATCHED`] that a series is the used part of, if any.
pub(crate) fn watched(def: &SeriesDef) -> Option<usize> {
    let is_level = matches!(def.kind, SeriesKind::Gauge) && is_used(def);
    WATCHED.iter().position(|w| *w.0 == *def.metric).filter(|_| is_level)
}

/// Whether a gauge of this name says how much of a resource is used.
pub(crate) fn is_use(metric: &str) -> bool {
    metric.ends_with("utilization") || WATCHED.iter().any(|w| *w.0 == *metric)
}

/// Whether a series is the limit of something watched.
pub(crate) fn is_limit(def: &SeriesDef) -> bool {
    WATCHED.iter().any(|w| w.2.is_some_and(|l| *l == *def.metric)) || *def.metric == *MACHINE_MEMORY
}

/// Whether a limit belongs to a series: same entity, and no label in common that differs.
pub(crate) fn is_limit_of(limit: &SeriesDef, of: &SeriesDef) -> bool {
    limit.entity == of.entity
        && limit.tenant == of.tenant
        && limit.labels.iter().all(|(k, v)| of.labels.get(k).is_none_or(|o| o == v))
}

/// Whether a series is the used part: conventions send free, cached and reserved parts under the same name.
fn is_used(def: &SeriesDef) -> bool {
    let states = ["state", "system.filesystem.state", "system.memory.state"];
    states.iter().find_map(|label| def.labels.get(label)).is_none_or(|state| state == "used")
}

/// Puts a value in its bucket's minimum; returns a value that left the window.
fn fill(buckets: &mut VecDeque<(i64, f64)>, number: i64, value: f64, kept: usize) -> Option<f64> {
    match buckets.back_mut() {
        Some((last, min)) if *last == number => {
            *min = min.min(value);
            None
        }
        _ => {
            buckets.push_back((number, value));
            if buckets.len() > kept { buckets.pop_front().map(|(_, v)| v) } else { None }
        }
    }
}

/// Growth that looks like a leak.
#[derive(Clone, Copy)]
struct Growth {
    per_s: f64,
    from: f64,
    since_ns: i64,
}

fn leak(slot: &Slot, growth_min: f64, limit: Option<f64>) -> Option<Growth> {
    let short: Vec<(f64, f64)> = slot.short.iter().map(|(n, v)| (*n as f64 * SHORT_NS as f64, *v)).collect();
    let steep = if short.len() >= SHORT_KEPT - 1 { steady(&short, growth_min, 0.6) } else { None };
    // Steep growth must leave everything behind that was seen before the window: a saw-tooth does not.
    let steep = steep.filter(|_| slot.last > 1.1 * slot.high).filter(|growth| match limit {
        Some(limit) => limit - slot.last < growth.per_s * SOON_S,
        None => slot.last - growth.from > growth.from.max(2.0 * LEAK_BYTES),
    });
    steep.or_else(|| {
        let long: Vec<(f64, f64)> = slot.long.iter().map(|(n, v)| (*n as f64 * LONG_NS as f64, *v)).collect();
        if long.len() >= LONG_LEAST { steady(&long, growth_min, 0.5) } else { None }
    })
}

/// Steady growth over all of `points` (ns, value): rising in nearly all pairs, by enough, and not slowing down.
fn steady(points: &[(f64, f64)], growth_min: f64, pace_min: f64) -> Option<Growth> {
    let (mut rising, mut pairs, mut slopes) = (0.0, 0.0, Vec::new());
    for (i, a) in points.iter().enumerate() {
        for b in &points[i + 1..] {
            pairs += 1.0;
            rising += f64::from(u8::from(b.1 > a.1));
            slopes.push((b.1 - a.1) / (b.0 - a.0).max(1.0) * SECOND as f64);
        }
    }
    let (first, last) = (points.first()?, points.last()?);
    let grown = last.1 - first.1;
    if rising < 0.9 * pairs || grown < LEAK_BYTES.max(growth_min * first.1) {
        return None;
    }
    slopes.sort_by(f64::total_cmp);
    let per_s = slopes[slopes.len() / 2];
    let third = points.len() / 3;
    let early = points[third].1 - first.1;
    let late = last.1 - points[points.len() - 1 - third].1;
    (late >= pace_min * early).then_some(Growth { per_s, from: first.1, since_ns: first.0 as i64 })
}

fn nearly_full(view: &View, series: SeriesId, def: &SeriesDef, slot: &Slot, ratio: f64) -> Finding {
    let mut finding = claim(view, series, def, slot, "full");
    let what = what_of(def);
    finding.observed = round3(ratio);
    finding.summary =
        format!("{what} of {} is {:.0} % full since {}", plain(&finding.entity), ratio * 100.0, clock(finding.start));
    finding.belief = 0.95;
    finding
}

fn leaking(view: &View, series: SeriesId, def: &SeriesDef, slot: &Slot, growth: Growth, limit: Option<f64>) -> Finding {
    let mut finding = claim(view, series, def, slot, "leak");
    finding.start = Time(growth.since_ns);
    finding.observed = slot.last;
    finding.expected = Some(Band { mean: growth.from, low: slot.low, high: slot.high.max(growth.from) });
    let left_s = limit.map(|l| ((l - slot.last) / growth.per_s).max(0.0));
    let soon = left_s.is_some_and(|s| s < SOON_S);
    finding.belief = if soon { 0.9 } else { 0.75 };
    let unit = if def.unit.is_empty() { "By" } else { &def.unit };
    let end = match left_s {
        Some(s) if s < 120.0 => format!("; at this pace it reaches its limit in {s:.0} s"),
        Some(s) => format!("; at this pace it reaches its limit in {:.0} min", s / 60.0),
        None => String::new(),
    };
    finding.summary = format!(
        "memory of {} grows steadily by {}/s, from {} to {} since {}{end}",
        plain(&finding.entity),
        quantity(growth.per_s, unit),
        quantity(growth.from, unit),
        quantity(slot.last, unit),
        clock(finding.start)
    );
    finding
}

/// `memory`, `the disk` or `the disk /var`.
pub(crate) fn what_of(def: &SeriesDef) -> String {
    let kind = if def.metric.contains("memory") { "memory" } else { "the disk" };
    let mount = ["mountpoint", "system.filesystem.mountpoint"].iter().find_map(|l| def.labels.get(l));
    mount.map_or_else(|| kind.to_owned(), |m| format!("{kind} {m}"))
}

fn claim(view: &View, series: SeriesId, def: &SeriesDef, slot: &Slot, rule: &str) -> Finding {
    let entity =
        view.registry.entity_id(def.entity).cloned().unwrap_or_else(|| types::EntityId::new("service", "", "unknown"));
    let at = Time(slot.last_ns.min(view.now.0));
    Finding {
        id: FindingId(0),
        method: NAME.into(),
        version: VERSION,
        tenant: def.tenant.clone(),
        entity,
        shape: Shape::Abnormal,
        measure: "resource".into(),
        scope: format!("{rule} {}{}", def.metric, def.labels.to_json()),
        start: at,
        end: at,
        ongoing: true,
        learned: view.now,
        belief: 0.8,
        surprise: 12.0,
        impact: crate::measures::impact("resource"),
        direction: Direction::Up,
        expected: None,
        observed: slot.last,
        cause: None,
        incident: None,
        summary: String::new(),
        evidence: vec![Evidence::Series {
            series,
            metric: def.metric.to_string(),
            from: at.plus(-15 * MINUTE),
            to: view.now,
        }],
    }
}

/// Begins, goes on with or ends a claim.
fn update(known: &mut Option<Claim>, found: Option<Finding>, at_ns: i64, out: &mut Findings) {
    match (known.as_mut(), found) {
        (None, None) => {}
        (None, Some(finding)) => {
            out.say(finding.clone());
            *known = Some(Claim { finding, gone_ns: 0 });
        }
        (Some(claim), Some(mut finding)) => {
            finding.summary = finding.summary.replace(&clock(finding.start), &clock(claim.finding.start));
            (finding.start, finding.learned, finding.ongoing) = (claim.finding.start, claim.finding.learned, true);
            finding.end = Time(at_ns).max(finding.start);
            claim.gone_ns = 0;
            claim.finding = finding.clone();
            out.say(finding);
        }
        (Some(claim), None) => {
            if claim.gone_ns == 0 {
                claim.gone_ns = at_ns;
            }
            if at_ns - claim.gone_ns >= SETTLE_NS {
                out.say(Finding { ongoing: false, ..claim.finding.clone() });
                *known = None;
            }
        }
    }
}

impl StateData for Resources {
    fn schema(&self) -> u32 {
        1
    }

    fn save(&mut self, _all: bool, pages: &mut Pages) {
        pages.insert("fleet".into(), self.slots.to_bytes());
    }

    fn load(&mut self, schema: u32, pages: &Pages) -> Result<(), String> {
        if schema != 1 {
            return Err(format!("schema {schema} of {NAME} is not known"));
        }
        if let Some(bytes) = pages.get("fleet") {
            self.slots = Fleet::from_bytes(bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a memory series, a point every 5 s, is ever called a leak.
    fn leaks(points: usize, value: impl Fn(f64) -> f64) -> bool {
        let mut resources = Resources::default();
        (0..points).any(|i| {
            let seconds = i as f64 * 5.0;
            resources.take(SeriesId(0), 1_700_000_000 * SECOND + (seconds * SECOND as f64) as i64, value(seconds));
            let slot = &resources.slots.0[&0];
            slot.last_ns - slot.first_ns >= STARTING_NS && leak(slot, 0.3, None).is_some()
        })
    }

    #[test]
    fn steep_and_slow_leaks_are_found() {
        assert!(leaks(100, |s| 30e6 + if s > 300.0 { (s - 300.0) * 5e6 } else { 0.0 }));
        assert!(leaks(5 * 720, |s| 200e6 + s * 15_000.0), "5 hours of 15 kB a second");
    }

    #[test]
    fn the_free_part_of_a_disk_is_never_called_full() {
        let def = |state: &str| SeriesDef {
            tenant: Default::default(),
            metric: "system.filesystem.usage".into(),
            entity: Default::default(),
            labels: types::LabelSet::pack(&mut vec![("system.filesystem.state", state)]),
            kind: SeriesKind::Gauge,
            unit: "By".into(),
        };
        assert!(is_used(&def("used")) && !is_used(&def("free")) && !is_used(&def("reserved")));
    }

    #[test]
    fn ramps_saw_teeth_and_steady_memory_are_not() {
        assert!(!leaks(2000, |s| 50e6 + 400e6 * (1.0 - (-s / 60.0).exp())), "a start-up ramp that flattens");
        assert!(!leaks(4000, |s| 100e6 + (s % 90.0) * 4e6), "a saw-tooth");
        assert!(!leaks(8000, |s| 100e6 + 8e6 * (s / 600.0 * std::f64::consts::TAU).sin()), "a load cycle");
        assert!(!leaks(2000, |_| 100e6));
    }
}
