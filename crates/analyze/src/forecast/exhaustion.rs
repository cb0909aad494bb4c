//! `exhaustion`: when memory or a disk will be used up, before it is.
//!
//! Of each used part that has a limit, or is a ratio (the pairs that `resource` watches), or is known by its free part
//! and the whole (as the node exporter sends them), the highest use of each bucket is kept: 512 buckets of five minutes, whose pairs are merged when they are full, up to 20 minutes a bucket
//! (a week). Every five minutes [`math::forecast::threshold::crossing`] says how likely the limit is reached within a
//! day, or within as much time as was seen if that is less. What is likely three times in a row is said, with when.
//!
//! It is careful: growth must have lasted about four times as long as is left. Nothing is said with less than two hours
//! of history, of saw-teeth, bursts, and disks that have just been filled for the first time. A ratio is silent while
//! the level of the same resource is sent with its limit. Fails on: growth in rare large steps; the first tooth of a saw
//! that comes very near the limit; disks of which only the free part is sent. Cost: 2 kB a resource, one forecast for each every five minutes.

use std::collections::BTreeMap;

use bytemuck::{Pod, Zeroable};
use math::forecast::threshold::{Crossing, RESET_ONCE, crossing};
use types::{
    Band, Direction, EntityKey, Evidence, Finding, FindingId, HOUR, MINUTE, Registry, SECOND, SeriesDef, SeriesId,
    SeriesKind, Shape, Time,
};
use view::{Analysis, Column, Findings, Fleet, Pages, Param, Params, State, StateData, Stratum, Trigger, View};

use crate::detect::{
    metric::quantity,
    resource::{WATCHED, is_limit, is_limit_of, watched, what_of},
    words::{percent, plain, round3},
};

/// The catalogue's entry.
pub const ANALYSIS: Analysis = Analysis {
    name: NAME,
    version: VERSION,
    summary: "when memory and disks will be used up",
    stratum: Stratum::Detect,
    // Rows are taken often, so that none wait for it, and judged seldom.
    trigger: Trigger::Every(5 * SECOND),
    params: &[
        Param {
            name: "horizon_h",
            default: 24.0,
            range: (0.5, 168.0),
            summary: "hours to look ahead; what is a day away can be mended at leisure",
        },
        Param {
            name: "probability_min",
            default: 0.7,
            range: (0.5, 0.99),
            summary: "probability from which it is said; below it a forecast is more often noise than help",
        },
    ],
    new_state: |_| State::new(Exhaustion::default()),
    run,
};

const NAME: &str = "exhaustion";
const VERSION: u32 = 1;

/// How often it judges.
const JUDGED_NS: i64 = 5 * MINUTE;
/// Width of a bucket at first and at most.
const BUCKET_NS: i64 = 5 * MINUTE;
const BUCKET_MOST_NS: i64 = 20 * MINUTE;
const BUCKETS: usize = 512;
/// History below which nothing is said, and buckets with values in it.
const HISTORY_LEAST_NS: i64 = 2 * HOUR;
const KNOWN_LEAST: usize = 12;
/// Judgements in a row that it takes to begin, and to end.
const IN_A_ROW: u32 = 3;
/// Share of the limit by which the level must be above what was reached before a reset.
const OUTGROWN_SHARE: f64 = 0.02;
/// A series without a value for so long is not judged.
const GONE_NS: i64 = HOUR;
/// Series watched at most.
const MAX_SERIES: usize = 5_000;
const NONE: u32 = u32::MAX;

/// Free parts that are watched besides what `resource` watches, and the names of the whole.
const FREE: [(&str, &str); 2] = [
    ("node_filesystem_avail_bytes", "node_filesystem_size_bytes"),
    ("node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes"),
];

/// What the values of a watched series are.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Used over limit, as a share or in percent.
    Ratio,
    /// The used part; name of its limit.
    Used(&'static str),
    /// The free part, kept as its negative; name of the whole.
    Free(&'static str),
}

#[derive(Default)]
struct Exhaustion {
    pasts: Column<Past>,
    limits: Column<Limit>,
    /// What was said, by series. Numbers in it are rounded, so that they read back exactly.
    claims: Fleet<BTreeMap<u32, Finding>>,
    judged_ns: i64,
    /// Derived from the registry and the columns, not saved: the row of each series in its column, and the limits
    /// and levels (not ratios) of each entity.
    places: Vec<Place>,
    limits_of: BTreeMap<EntityKey, Vec<usize>>,
    levels_of: BTreeMap<EntityKey, Vec<usize>>,
    next_past: usize,
    next_limit: usize,
}

/// Row of a series, if it is watched.
#[derive(Clone, Copy)]
enum Place {
    Nowhere,
    Past(usize, Kind),
    Limit(usize),
}

/// The highest value in each bucket, the oldest first; NaN where none came.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Past {
    /// Number of the newest bucket since the epoch.
    newest: i64,
    bucket_ns: i64,
    /// Time of the newest value, and that value.
    last_ns: i64,
    last: f64,
    series: u32,
    count: u32,
    /// Judgements in a row that spoke for a claim, or against the one that goes on.
    in_a_row: u32,
    reserved: u32,
    buckets: [f32; BUCKETS],
}

/// Newest value of a limit.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
struct Limit {
    time: i64,
    value: f64,
    series: u32,
    reserved: u32,
}

fn run(view: &View, params: &Params, state: &mut State, out: &mut Findings) {
    let exhaustion = state.get::<Exhaustion>();
    exhaustion.index(view.registry);
    for batch in view.batches {
        let rows = &batch.samples;
        for i in 0..rows.len() {
            let is_late = !batch.backfill && view.is_late(rows.time[i]);
            if !is_late && rows.time[i] <= view.now.0 {
                exhaustion.take(rows.series[i], rows.time[i], rows.value[i]);
            }
        }
    }
    if view.now.0.div_euclid(JUDGED_NS) != exhaustion.judged_ns.div_euclid(JUDGED_NS) {
        exhaustion.judged_ns = view.now.0;
        for row in 0..exhaustion.pasts.len() {
            exhaustion.judge(view, params, row, out);
        }
    }
}

impl Exhaustion {
    /// Gives each new series that is watched, or a limit, its row: the next one, so that a restart finds them again.
    fn index(&mut self, registry: &Registry) {
        for (id, def) in registry.all_series().iter().enumerate().skip(self.places.len()) {
            let series = id as u32;
            let kind = kind_of(def).filter(|_| self.next_past < MAX_SERIES);
            let place = if let Some(kind) = kind {
                let row = self.next_past;
                self.next_past += 1;
                if self.pasts.peek(row).is_none_or(|past| past.series != series) {
                    *self.pasts.row(row) = Past { series, ..Past::default() };
                }
                if kind != Kind::Ratio {
                    self.levels_of.entry(def.entity).or_default().push(row);
                }
                Place::Past(row, kind)
            } else if (is_limit(def) || FREE.iter().any(|(_, whole)| *whole == &*def.metric))
                && self.next_limit < MAX_SERIES
            {
                let row = self.next_limit;
                self.next_limit += 1;
                if self.limits.peek(row).is_none_or(|limit| limit.series != series) {
                    *self.limits.row(row) = Limit { series, ..Limit::default() };
                }
                self.limits_of.entry(def.entity).or_default().push(row);
                Place::Limit(row)
            } else {
                Place::Nowhere
            };
            self.places.push(place);
        }
    }

    fn take(&mut self, series: SeriesId, time: i64, value: f64) {
        if !value.is_finite() || !(value as f32).is_finite() {
            return;
        }
        match self.places.get(series.0 as usize) {
            Some(Place::Past(row, Kind::Free(_))) => self.pasts.row(*row).take(time, -value),
            Some(Place::Past(row, _)) => self.pasts.row(*row).take(time, value),
            Some(Place::Limit(row)) => {
                let limit = self.limits.row(*row);
                if time > limit.time {
                    (limit.time, limit.value) = (time, value);
                }
            }
            _ => {}
        }
    }

    fn judge(&mut self, view: &View, params: &Params, row: usize, out: &mut Findings) {
        let Some(past) = self.pasts.peek(row) else { return };
        let Some(def) = view.registry.series_def(SeriesId(past.series)) else { return };
        let is_said = self.claims.0.contains_key(&past.series);
        let least = params.get("probability_min");
        let seen = self.outlook(view, past, def, params.get("horizon_h"));
        let seen = seen.filter(|outlook| outlook.probability >= least);
        let (series, in_a_row) = (past.series, past.in_a_row);
        let changes = seen.is_some() != is_said;
        let in_a_row = if changes { in_a_row + 1 } else { 0 };
        if in_a_row != past.in_a_row {
            self.pasts.row(row).in_a_row = in_a_row % IN_A_ROW;
        }
        match seen {
            Some(outlook) if is_said || in_a_row >= IN_A_ROW => {
                let known = self.claims.0.get(&series);
                let finding = finding(view, SeriesId(series), def, &outlook, known);
                out.say(finding.clone());
                self.claims.0.insert(series, finding);
            }
            None if is_said && in_a_row >= IN_A_ROW => {
                if let Some(finding) = self.claims.0.remove(&series) {
                    out.say(Finding { ongoing: false, ..finding });
                }
            }
            _ => {}
        }
    }

    fn outlook(&self, view: &View, past: &Past, def: &SeriesDef, horizon_h: f64) -> Option<Outlook> {
        let kind = kind_of(def)?;
        let is_gone = past.last_ns <= view.now.0 - GONE_NS;
        if is_gone || kind == Kind::Ratio && self.has_level(view, def) {
            return None;
        }
        let limit = self.limit(view.registry, def, kind)?;
        let free_of = if matches!(kind, Kind::Free(_)) { limit } else { 0.0 };
        Outlook::new(past, free_of, limit, horizon_h)
    }

    /// The value at which a series is used up: 1 or 100 for a ratio, else the newest value of its limit.
    fn limit(&self, registry: &Registry, of: &SeriesDef, kind: Kind) -> Option<f64> {
        let (Kind::Used(name) | Kind::Free(name)) = kind else {
            return Some(if *of.unit == *"%" { 100.0 } else { 1.0 });
        };
        let rows = self.limits_of.get(&of.entity)?.iter().filter_map(|row| self.limits.peek(*row));
        let fits = |limit: &&Limit| {
            let def = registry.series_def(SeriesId(limit.series));
            limit.value > 0.0 && def.is_some_and(|def| *def.metric == *name && is_limit_of(def, of))
        };
        { rows }.find(fits).map(|limit| limit.value)
    }

    /// Whether what a ratio is about also sends its level, with a limit: that one says more.
    fn has_level(&self, view: &View, ratio: &SeriesDef) -> bool {
        let about = |def: &SeriesDef| def.metric.rsplit_once('.').map(|(about, _)| about.to_owned());
        let is_level = |past: &Past| {
            let Some(def) = view.registry.series_def(SeriesId(past.series)) else { return false };
            let is_same = about(def) == about(ratio) && is_limit_of(def, ratio);
            let has_limit = || kind_of(def).and_then(|kind| self.limit(view.registry, def, kind)).is_some();
            is_same && past.last_ns > view.now.0 - GONE_NS && has_limit()
        };
        let rows = self.levels_of.get(&ratio.entity);
        rows.is_some_and(|rows| rows.iter().filter_map(|row| self.pasts.peek(*row)).any(is_level))
    }
}

/// None of a series that is not watched, or has no limit by its kind.
fn kind_of(def: &SeriesDef) -> Option<Kind> {
    let free = FREE.iter().find(|(name, _)| *name == &*def.metric && matches!(def.kind, SeriesKind::Gauge));
    if let Some((_, whole)) = free {
        return Some(Kind::Free(whole));
    }
    let (name, _, limit) = WATCHED.get(watched(def)?)?;
    limit.map(Kind::Used).or_else(|| name.ends_with("utilization").then_some(Kind::Ratio))
}

impl Default for Past {
    fn default() -> Past {
        Past {
            newest: 0,
            bucket_ns: BUCKET_NS,
            last_ns: i64::MIN,
            last: 0.0,
            series: NONE,
            count: 0,
            in_a_row: 0,
            reserved: 0,
            buckets: [f32::NAN; BUCKETS],
        }
    }
}

impl Past {
    fn take(&mut self, time: i64, value: f64) {
        if time > self.last_ns {
            (self.last_ns, self.last) = (time, value);
        }
        let mut number = time.div_euclid(self.bucket_ns);
        if self.count == 0 || number.saturating_sub(self.newest) >= BUCKETS as i64 {
            // The first value, or one after so long that nothing before it counts.
            (self.bucket_ns, self.count) = (BUCKET_NS, 1);
            self.newest = time.div_euclid(BUCKET_NS);
            self.buckets[0] = value as f32;
            return;
        }
        while number > self.newest {
            if self.count as usize == BUCKETS {
                self.make_room();
                number = time.div_euclid(self.bucket_ns);
                continue;
            }
            self.buckets[self.count as usize] = f32::NAN;
            self.count += 1;
            self.newest += 1;
        }
        let back = self.newest - number;
        if back < i64::from(self.count) {
            let bucket = &mut self.buckets[self.count as usize - 1 - back as usize];
            *bucket = bucket.max(value as f32);
        }
    }

    /// Merges pairs of buckets, or lets go of the oldest where they are wide already.
    fn make_room(&mut self) {
        if self.bucket_ns >= BUCKET_MOST_NS {
            self.buckets.copy_within(1.., 0);
            self.count -= 1;
            return;
        }
        let first = self.newest - i64::from(self.count) + 1;
        let mut merged = [f32::NAN; BUCKETS];
        for (i, value) in self.buckets[..self.count as usize].iter().enumerate() {
            let bucket = &mut merged[((first + i as i64).div_euclid(2) - first.div_euclid(2)) as usize];
            *bucket = bucket.max(*value);
        }
        self.newest = self.newest.div_euclid(2);
        self.count = (self.newest - first.div_euclid(2) + 1) as u32;
        self.bucket_ns *= 2;
        self.buckets = merged;
    }

    fn values(&self) -> Vec<f64> {
        self.buckets[..self.count as usize].iter().map(|v| f64::from(*v)).collect()
    }
}

/// What is to be expected of one resource.
struct Outlook {
    /// That the limit is reached within the horizon, 0..=1.
    probability: f64,
    crossing: Crossing,
    limit: f64,
    used: f64,
    step_h: f64,
    history_h: f64,
    horizon_h: f64,
    /// Whether the horizon was cut to the history.
    is_short: bool,
}

impl Outlook {
    /// None where there is too little history, it is there already, or it does not grow. `free_of` is added to what was
    /// kept: the whole, where that is the negative of the free part.
    fn new(past: &Past, free_of: f64, limit: f64, horizon_h: f64) -> Option<Outlook> {
        let mut values: Vec<f64> = past.values().iter().map(|v| v + free_of).collect();
        let used = past.last + free_of;
        // Space that was just made is seen at once, not when its bucket ends.
        if let Some(newest) = values.last_mut() {
            *newest = used;
        }
        let known = values.iter().filter(|v| v.is_finite()).count();
        let first = values.iter().position(|v| v.is_finite())?;
        let hours = |ns: i64| ns as f64 / HOUR as f64;
        let step_h = hours(past.bucket_ns);
        let history_h = (values.len() - first) as f64 * step_h;
        if known < KNOWN_LEAST || history_h <= hours(HISTORY_LEAST_NS) || used >= limit {
            return None;
        }
        let ahead = horizon_h.min(history_h);
        let crossing = crossing(&values, limit, &[ahead / step_h]);
        let probability = *crossing.probability.first()?;
        let grows = crossing.pace > 0.0 && crossing.steps[1].is_some_and(|steps| steps > 0.0);
        // What came back once may come back again, until it is above where it did.
        let before = values.len().saturating_sub(crossing.lasted as usize + 1);
        let highest = values[..before].iter().copied().fold(f64::MIN, f64::max);
        let came_back = crossing.notes.contains(&RESET_ONCE) && used < highest + OUTGROWN_SHARE * limit;
        let is_short = history_h < horizon_h;
        let outlook = Outlook { probability, crossing, limit, used, step_h, history_h, horizon_h: ahead, is_short };
        (grows && !came_back).then_some(outlook)
    }

    /// Hours until it is used up: most likely, and the tenths at both ends.
    fn band(&self) -> Band {
        let hours = |i: usize| self.crossing.steps[i].map(|steps| steps * self.step_h);
        let mean = hours(1).unwrap_or(self.horizon_h);
        let low = hours(0).unwrap_or(mean);
        // The upper end may be never; then the band ends with the horizon.
        let high = hours(2).unwrap_or(self.horizon_h.max(mean));
        Band { mean: round3(mean), low: round3(low), high: round3(high) }
    }

    fn pace_h(&self) -> f64 {
        self.crossing.pace / self.step_h
    }
}

fn finding(view: &View, series: SeriesId, def: &SeriesDef, outlook: &Outlook, known: Option<&Finding>) -> Finding {
    let entity =
        view.registry.entity_id(def.entity).cloned().unwrap_or_else(|| types::EntityId::new("service", "", "unknown"));
    let band = outlook.band();
    let history_ns = (outlook.history_h * HOUR as f64) as i64;
    Finding {
        id: FindingId(0),
        method: NAME.into(),
        version: VERSION,
        tenant: def.tenant.clone(),
        shape: Shape::Forecast,
        measure: NAME.into(),
        scope: format!("{}{}", def.metric, def.labels.to_json()),
        start: known.map_or(view.now, |f| f.start),
        end: view.now,
        ongoing: true,
        learned: known.map_or(view.now, |f| f.learned),
        belief: round3(outlook.probability),
        // The same each time: the newest forecast replaces the one before.
        surprise: 6.0,
        impact: crate::measures::impact(NAME),
        direction: Direction::Up,
        observed: round3((outlook.limit - outlook.used) / outlook.pace_h()),
        expected: Some(band),
        cause: None,
        incident: None,
        summary: summary(view.now, def, &plain(&entity), outlook, &band),
        evidence: vec![
            Evidence::Series { series, metric: def.metric.to_string(), from: view.now.plus(-history_ns), to: view.now },
            Evidence::Note { text: basis(outlook) },
        ],
        entity,
    }
}

/// `the disk /var of host x will be full in about 5 h (2 h to 9 h), at 14:00 UTC on 2026-01-02, with 87 %
/// probability; used 81 %, rising 3 GB/h`.
fn summary(now: Time, def: &SeriesDef, who: &str, outlook: &Outlook, band: &Band) -> String {
    let at = now.plus((band.mean * HOUR as f64) as i64).rfc3339();
    let (date, clock) = (at.get(..10).unwrap_or(""), at.get(11..16).unwrap_or(""));
    let interval = match outlook.crossing.steps[2] {
        Some(_) => format!("{} to {}", span(band.low), span(band.high)),
        None => format!("{} or more", span(band.low)),
    };
    let rising = if def.metric.ends_with("utilization") {
        percent(outlook.pace_h() / outlook.limit)
    } else {
        quantity(outlook.pace_h(), if def.unit.is_empty() { "By" } else { &def.unit })
    };
    format!(
        "{} of {who} will be full in about {} ({interval}), at {clock} UTC on {date}, with {} probability of that \
         within {}; used {}, rising {rising}/h",
        what_of(def),
        span(band.mean),
        percent(outlook.probability),
        span(outlook.horizon_h),
        percent(outlook.used / outlook.limit),
    )
}

/// What it rests on, in words.
fn basis(outlook: &Outlook) -> String {
    let grown = span(outlook.crossing.lasted * outlook.step_h);
    let history = span(outlook.history_h);
    let mut text = format!("{history} of history, the highest value of every {}", span(outlook.step_h));
    text += &format!("; it has grown like this for {grown}");
    if outlook.is_short {
        text += &format!("; history is short: it looks no more than {} ahead", span(outlook.horizon_h));
    }
    for note in &outlook.crossing.notes {
        text += &format!("; {note}");
    }
    text
}

/// Hours for people: `5 min`, `2.5 h`, `3 d`.
fn span(hours: f64) -> String {
    match hours {
        h if h < 0.95 => format!("{:.0} min", (h * 60.0).max(1.0)),
        h if h < 9.95 && (h - h.round()).abs() > 0.05 => format!("{h:.1} h"),
        h if h < 72.0 => format!("{h:.0} h"),
        h => format!("{:.0} d", h / 24.0),
    }
}

impl StateData for Exhaustion {
    fn schema(&self) -> u32 {
        1
    }

    fn save(&mut self, all: bool, pages: &mut Pages) {
        self.pasts.save("pasts", all, pages);
        self.limits.save("limits", all, pages);
        pages.insert("claims".into(), self.claims.to_bytes());
        pages.insert("judged".into(), self.judged_ns.to_le_bytes().to_vec());
    }

    fn load(&mut self, schema: u32, pages: &Pages) -> Result<(), String> {
        if schema != 1 {
            return Err(format!("schema {schema} of {NAME} is not known"));
        }
        *self = Exhaustion::default();
        self.pasts.load("pasts", pages)?;
        self.limits.load("limits", pages)?;
        if let Some(bytes) = pages.get("claims") {
            self.claims = Fleet::from_bytes(bytes)?;
        }
        if let Some(bytes) = pages.get("judged") {
            let bytes = bytes.as_slice().try_into().map_err(|_| format!("{} bytes are no time", bytes.len()))?;
            self.judged_ns = i64::from_le_bytes(bytes);
        }
        let rows = (0..self.pasts.len()).filter_map(|row| self.pasts.peek(row));
        match { rows }.find(|past| past.count as usize > BUCKETS || past.bucket_ns < 1) {
            Some(past) => Err(format!("a past of {} buckets, not of at most {BUCKETS}", past.count)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use types::{Batch, Directory, EntityId, LabelSet, SeriesKind, Tenant, Topology};
    use view::{FindingLog, MemoryHistory};

    use super::*;

    const START: i64 = 1_750_000_000 * SECOND;

    /// A metric's name, its labels and unit, and the value of it where so many GB of 100 are used.
    type Sent = (&'static str, &'static [(&'static str, &'static str)], &'static str, fn(f64) -> f64);

    const MOUNT: (&str, &str) = ("system.filesystem.mountpoint", "/var");
    const USED: (&str, &str) = ("system.filesystem.state", "used");
    const LEVEL: [Sent; 2] = [
        ("system.filesystem.usage", &[MOUNT, USED], "By", |gb| gb * 1e9),
        ("system.filesystem.limit", &[MOUNT], "By", |_| 100e9),
    ];
    const RATIO: Sent = ("system.filesystem.utilization", &[MOUNT], "1", |gb| gb / 100.0);
    const EXPORTED: [Sent; 2] = [
        ("node_filesystem_avail_bytes", &[("mountpoint", "/var")], "", |gb| (100.0 - gb) * 1e9),
        ("node_filesystem_size_bytes", &[("mountpoint", "/var")], "", |_| 100e9),
    ];

    fn said_of(hours: i64, restart_every: i64, used: impl Fn(f64) -> f64) -> Vec<Vec<Finding>> {
        said_of_sent(&LEVEL, hours, restart_every, used)
    }

    /// A disk of 100 GB of which `used(hours)` GB are used, a point a minute; what is said in each five minutes.
    fn said_of_sent(sent: &[Sent], hours: i64, restart_every: i64, used: impl Fn(f64) -> f64) -> Vec<Vec<Finding>> {
        let directory = Directory::default();
        let series: Vec<SeriesId> = sent
            .iter()
            .map(|(metric, labels, unit, _)| {
                let mut registry = directory.write();
                let entity = registry.entity(&EntityId::new("host", "", "x"));
                registry.series(SeriesDef {
                    tenant: Tenant::default(),
                    metric: (*metric).into(),
                    entity,
                    labels: LabelSet::pack(&mut labels.to_vec()),
                    kind: SeriesKind::Gauge,
                    unit: (*unit).into(),
                })
            })
            .collect();
        let params = Params::defaults(ANALYSIS.params);
        let (mut state, mut pages) = ((ANALYSIS.new_state)(&params), Pages::new());
        let step = |number: i64| {
            let now = Time(START + number * JUDGED_NS);
            let mut batch = Batch { learned: now, ..Batch::default() };
            for minute in (-4..=0).map(|m| now.0 + m * MINUTE) {
                let gb = used((minute - START) as f64 / HOUR as f64);
                for ((.., value), series) in sent.iter().zip(&series) {
                    batch.samples.push(*series, minute, value(gb));
                }
            }
            let mut out = Findings::default();
            let view = View {
                now,
                registry: &directory.read(),
                batches: &[Arc::new(batch)],
                findings: &FindingLog::default(),
                incidents: &[],
                topology: &Topology::default(),
                calibration: &view::Calibration::default(),
                slos: &[],
                history: &MemoryHistory::default(),
            };
            run(&view, &params, &mut state, &mut out);
            if restart_every > 0 && number % restart_every == 0 {
                state.save(pages.is_empty(), &mut pages);
                let mut fresh = (ANALYSIS.new_state)(&params);
                fresh.load(state.schema(), &pages).unwrap();
                state = fresh;
            }
            out.said
        };
        (1..=hours * 12).map(step).collect()
    }

    fn noise(hours: f64) -> f64 {
        let x = ((hours * 60.0).round() as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64 / 16_777_216.0 - 0.5
    }

    #[test]
    fn a_disk_that_fills_for_a_day_has_its_hour() {
        // Full after 33 hours.
        let said = said_of(29, 0, |h| 34.0 + 2.0 * h + 0.3 * noise(h));
        let at = |hour: usize| said[hour * 12 - 1].first();
        assert!((1..=20).all(|hour| at(hour).is_none()), "what took a day may well end within half of one");
        let finding = at(29).expect("nothing is said 4 h before it is full");
        assert_eq!((finding.shape, finding.measure.as_str()), (Shape::Forecast, "exhaustion"));
        assert!(finding.belief >= 0.7 && finding.ongoing, "{}", finding.belief);
        let band = finding.expected.unwrap();
        assert!((3.0..5.5).contains(&band.mean) && band.low <= band.mean && band.mean <= band.high, "{band:?}");
        assert!((finding.observed - 4.0).abs() < 0.8, "{}", finding.observed);
        let summary = &finding.summary;
        assert!(summary.starts_with("the disk /var of host x will be full in about "), "{summary}");
        assert!(summary.contains("used 92 %, rising 2") && summary.contains(" GB/h"), "{summary}");
        let basis =
            finding.evidence.iter().any(|e| matches!(e, Evidence::Note { text } if text.contains("of history")));
        assert!(basis, "{:?}", finding.evidence);
        let ids: std::collections::BTreeSet<_> = said.iter().flatten().map(|f| f.id).collect();
        assert_eq!(ids.len(), 1, "one claim from its first word on");
    }

    #[test]
    fn a_steep_fill_is_seen_within_hours_and_ends_when_space_is_made() {
        let said = said_of(9, 0, |h| if h < 8.0 { 10.0 + 10.5 * h } else { 20.0 });
        let first = said.iter().position(|found| !found.is_empty()).unwrap() / 12;
        assert!((5..8).contains(&first), "first said in hour {first}");
        let last = said.iter().flatten().last().unwrap();
        assert!(!last.ongoing && said.last().unwrap().is_empty(), "{}", last.summary);
    }

    #[test]
    fn level_and_ratio_of_one_disk_are_one_claim() {
        let fill = |h: f64| 34.0 + 2.0 * h + 0.3 * noise(h);
        let metrics_of = |sent: &[Sent]| {
            let said = said_of_sent(sent, 30, 7, fill);
            let scopes = said.iter().flatten().map(|f| f.scope.split('{').next().unwrap_or("").to_owned());
            scopes.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
        };
        assert_eq!(metrics_of(&[LEVEL[0], LEVEL[1], RATIO]), ["system.filesystem.usage"]);
        assert_eq!(metrics_of(&[RATIO, LEVEL[0]]), ["system.filesystem.utilization"], "a level without its limit");
        let other: Sent = (RATIO.0, &[("system.filesystem.mountpoint", "/srv")], "1", RATIO.3);
        assert_eq!(metrics_of(&[LEVEL[0], LEVEL[1], other]).len(), 2, "another disk");
    }

    #[test]
    fn a_disk_known_by_its_free_part_is_as_one_known_by_its_use() {
        let fill = |h: f64| 34.0 + 2.0 * h + 0.3 * noise(h);
        let said = said_of_sent(&EXPORTED, 30, 7, fill);
        let summaries = |said: Vec<Vec<Finding>>| said.into_iter().flatten().map(|f| f.summary).collect::<Vec<_>>();
        let exported = summaries(said);
        assert!(exported.len() > 3 && exported[0].starts_with("the disk /var of host x will be full in about "));
        assert_eq!(exported, summaries(said_of(30, 0, fill)));
        assert!(summaries(said_of_sent(&EXPORTED[..1], 30, 0, fill)).is_empty(), "of what size?");
    }

    #[test]
    fn nothing_is_said_of_what_does_not_fill_up() {
        let silent = |hours, used: &dyn Fn(f64) -> f64| {
            let said = said_of(hours, 0, used);
            assert_eq!(said.iter().flatten().next().map(|f| f.summary.as_str()), None);
        };
        // A first tooth that comes near the limit could not be told from a fill: here it ends a little earlier.
        silent(96, &|h| 40.0 + h.rem_euclid(12.0) / 12.0 * 50.0);
        silent(96, &|h| 40.0 + (h + 8.0).rem_euclid(12.0) / 12.0 * 50.0);
        silent(96, &|h| 40.0 + (h + 22.0).rem_euclid(24.0) / 24.0 * 58.0);
        silent(72, &|h| 70.0 + h.rem_euclid(0.7) / 0.7 * 25.0);
        silent(48, &|_| 97.0);
        silent(48, &|h| 97.0 + 2.0 * noise(h));
        silent(24, &|_| f64::NAN);
        silent(24, &|h| [f64::NAN, f64::INFINITY, 1e300, -1e300][(h * 60.0) as usize % 4]);
        silent(48, &|h| 95.0 - h);
        silent(52, &|h| 40.0 + 15.0 * (h - 48.0).clamp(0.0, 1.0));
        silent(24, &|h| 2.0 + 8.0 * h.min(1.5));
        silent(48, &|h| 60.0 + 30.0 * (h / 24.0 * std::f64::consts::TAU).sin());
        silent(48, &|h| 50.0 + 45.0 * (1.0 - (-h / 6.0).exp()));
        silent(2, &|h| 10.0 + 44.0 * h);
        silent(3, &|_| 100.0);
    }

    #[test]
    fn a_restart_changes_nothing() {
        let used = |h: f64| 34.0 + 2.0 * h + 0.3 * noise(h);
        let whole = said_of(30, 0, used);
        assert!(whole.iter().any(|found| !found.is_empty()));
        assert_eq!(whole, said_of(30, 7, used));
    }

    #[test]
    fn history_is_bounded_and_keeps_its_shape() {
        let mut past = Past::default();
        let level = |hour: f64| 10.0 + hour;
        for minute in 0..20 * 24 * 60 {
            past.take(START + minute * MINUTE, level(minute as f64 / 60.0));
        }
        assert_eq!((past.bucket_ns, past.count as usize), (BUCKET_MOST_NS, BUCKETS));
        let values = past.values();
        assert!(values.windows(2).all(|w| w[1] > w[0]));
        let whole = &values[..BUCKETS - 1];
        assert!(whole.windows(2).all(|w| (w[1] - w[0] - 1.0 / 3.0).abs() < 1e-3), "the newest is not whole");
        past.take(START - HOUR, 1e9);
        assert_eq!(values, past.values(), "what is older than all of it changes nothing");
        past.take(START + 400 * 24 * HOUR, 5.0);
        assert_eq!(past.values(), [5.0], "after a year it begins anew");
    }
}
