//! `exhaustion`: when memory or a disk will be used up, before it is.
//!
//! Of each used part that has a limit, or is a ratio (the pairs that `resource` watches), the highest value of each
//! bucket is kept: 512 buckets of five minutes, whose pairs are merged when they are full, up to 20 minutes a bucket
//! (a week). Every five minutes [`math::forecast::threshold::crossing`] says how likely the limit is reached within a
//! day, or within as much time as was seen if that is less. What is likely three times in a row is said, with when.
//!
//! It is careful: growth must have lasted about four times as long as is left. Nothing is said with less than two hours
//! of history, of saw-teeth, bursts, and disks that have just been filled for the first time. Fails on: growth in rare
//! large steps; disks of which only the free part is sent. A resource that sends both its level and its ratio is spoken
//! of twice. Cost: 2 kB a resource, one forecast for each every five minutes.

use std::collections::BTreeMap;

use bytemuck::{Pod, Zeroable};
use math::forecast::threshold::{Crossing, RESET_ONCE, crossing};
use types::{
    Band, Direction, EntityKey, Evidence, Finding, FindingId, HOUR, MINUTE, Registry, SECOND, SeriesDef, SeriesId,
    Shape, Time,
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

#[derive(Default)]
struct Exhaustion {
    pasts: Column<Past>,
    limits: Column<Limit>,
    /// What was said, by series. Numbers in it are rounded, so that they read back exactly.
    claims: Fleet<BTreeMap<u32, Finding>>,
    judged_ns: i64,
    /// Derived from the registry and the columns, not saved: the row of each series in its column, and the limits of
    /// each entity.
    places: Vec<Place>,
    limits_of: BTreeMap<EntityKey, Vec<usize>>,
    next_past: usize,
    next_limit: usize,
}

/// Row of a series, if it is watched.
#[derive(Clone, Copy)]
enum Place {
    Nowhere,
    Past(usize),
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
            let place = if has_limit(def) && self.next_past < MAX_SERIES {
                let row = self.next_past;
                self.next_past += 1;
                if self.pasts.peek(row).is_none_or(|past| past.series != series) {
                    *self.pasts.row(row) = Past { series, ..Past::default() };
                }
                Place::Past(row)
            } else if is_limit(def) && self.next_limit < MAX_SERIES {
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
            Some(Place::Past(row)) => self.pasts.row(*row).take(time, value),
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
        let limit = self.limit(view.registry, def).filter(|_| past.last_ns > view.now.0 - GONE_NS);
        let seen = limit.and_then(|limit| Outlook::new(past, limit, params.get("horizon_h")));
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

    /// The value at which a series is used up: 1 or 100 for a ratio, else the newest value of its limit.
    fn limit(&self, registry: &Registry, of: &SeriesDef) -> Option<f64> {
        let Some(name) = WATCHED.get(watched(of)?).and_then(|w| w.2) else {
            return Some(if *of.unit == *"%" { 100.0 } else { 1.0 });
        };
        let rows = self.limits_of.get(&of.entity)?.iter().filter_map(|row| self.limits.peek(*row));
        let fits = |limit: &&Limit| {
            let def = registry.series_def(SeriesId(limit.series));
            limit.value > 0.0 && def.is_some_and(|def| *def.metric == *name && is_limit_of(def, of))
        };
        { rows }.find(fits).map(|limit| limit.value)
    }
}

/// Whether a watched series is a ratio or has a limit by its kind.
fn has_limit(def: &SeriesDef) -> bool {
    watched(def).is_some_and(|row| WATCHED[row].2.is_some() || def.metric.ends_with("utilization"))
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
    /// None where there is too little history, it is there already, or it does not grow.
    fn new(past: &Past, limit: f64, horizon_h: f64) -> Option<Outlook> {
        let mut values = past.values();
        // Space that was just made is seen at once, not when its bucket ends.
        if let Some(newest) = values.last_mut() {
            *newest = past.last;
        }
        let known = values.iter().filter(|v| v.is_finite()).count();
        let first = values.iter().position(|v| v.is_finite())?;
        let hours = |ns: i64| ns as f64 / HOUR as f64;
        let step_h = hours(past.bucket_ns);
        let history_h = (values.len() - first) as f64 * step_h;
        if known < KNOWN_LEAST || history_h <= hours(HISTORY_LEAST_NS) || past.last >= limit {
            return None;
        }
        let ahead = horizon_h.min(history_h);
        let crossing = crossing(&values, limit, &[ahead / step_h]);
        let probability = *crossing.probability.first()?;
        let grows = crossing.pace > 0.0 && crossing.steps[1].is_some_and(|steps| steps > 0.0);
        // What came back once may come back again, until it is above where it did.
        let before = values.len().saturating_sub(crossing.lasted as usize + 1);
        let highest = values[..before].iter().copied().fold(f64::MIN, f64::max);
        let came_back = crossing.notes.contains(&RESET_ONCE) && past.last < highest + OUTGROWN_SHARE * limit;
        let (used, is_short) = (past.last, history_h < horizon_h);
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

    /// A disk of 100 GB of which `used(hours)` GB are used, a point a minute; what is said in each five minutes.
    fn said_of(hours: i64, restart_every: i64, used: impl Fn(f64) -> f64) -> Vec<Vec<Finding>> {
        let directory = Directory::default();
        let [used_series, limit_series] = ["usage", "limit"].map(|part| {
            let mut registry = directory.write();
            let entity = registry.entity(&EntityId::new("host", "", "x"));
            let mut labels = vec![("system.filesystem.mountpoint", "/var")];
            if part == "usage" {
                labels.push(("system.filesystem.state", "used"));
            }
            registry.series(SeriesDef {
                tenant: Tenant::default(),
                metric: format!("system.filesystem.{part}").into(),
                entity,
                labels: LabelSet::pack(&mut labels),
                kind: SeriesKind::Gauge,
                unit: "By".into(),
            })
        });
        let params = Params::defaults(ANALYSIS.params);
        let (mut state, mut pages) = ((ANALYSIS.new_state)(&params), Pages::new());
        let step = |number: i64| {
            let now = Time(START + number * JUDGED_NS);
            let mut batch = Batch { learned: now, ..Batch::default() };
            for minute in (-4..=0).map(|m| now.0 + m * MINUTE) {
                let value = used((minute - START) as f64 / HOUR as f64);
                batch.samples.push(used_series, minute, value * 1e9);
                batch.samples.push(limit_series, minute, 100e9);
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
    fn nothing_is_said_of_what_does_not_fill_up() {
        let silent = |hours, used: &dyn Fn(f64) -> f64| {
            let said = said_of(hours, 0, used);
            assert_eq!(said.iter().flatten().next().map(|f| f.summary.as_str()), None);
        };
        // The first tooth could not be told from a fill: here it ends early.
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
