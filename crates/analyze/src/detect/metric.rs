//! `metric`: any metric that leaves its band and stays out, and senders that fall silent.
//!
//! Each series has a [`math::stream::Stream`]; counters and deltas are judged as rates. A bent metric is evidence, it
//! hurts nobody by itself: its impact is low unless the shift is enormous, has lasted and the series is well known.
//! Silence is judged per sender (entity and instance): all its regular series have stopped while others of the same
//! tenant go on, and nothing of the same entity has just taken its place.
//!
//! What comes daily at the same time is said three times and then no more, what comes weekly twice; the absence of what
//! is daily is said too, once it came on nine days in a row. What is closed at weekends may be closed on a holiday. A new level is adopted after six hours, after one where a change of the entity explains it; coming
//! back from it is no event.
//!
//! Fails on: what changes slower than minutes (followed as a drift), series of less than 30 points, several seasons at
//! once.

use std::collections::{BTreeMap, BTreeSet};

use math::{
    novelty::Novelty,
    stream::{Parts, RUN_MIN, Ring, Rules, Season, Stream, Verdict},
};
use serde::{Deserialize, Serialize};
use types::{
    Band, Direction, EntityKey, Evidence, Finding, FindingId, MINUTE, Registry, SECOND, SeriesDef, SeriesId,
    SeriesKind, Shape, Tenant, Time,
};
use view::{
    Analysis, BaselinePolicy, Column, Findings, Fleet, NearMiss, Pages, Param, Params, State, StateData, Stratum,
    Trigger, View,
};

use super::{
    samples,
    words::{belief_from_surprise, clock, plain, round3},
};

/// The catalogue's entry.
pub const ANALYSIS: Analysis = Analysis {
    name: NAME,
    version: VERSION,
    summary: "metrics that leave their band and stay out, and senders that fall silent",
    stratum: Stratum::Detect,
    trigger: Trigger::Every(SECOND),
    params: &[
        Param {
            name: "surprise_min",
            default: 9.0,
            range: (3.0, 100.0),
            summary: "-log10 of the tail probability from which a claim is said; 9 keeps false claims under one a series and month on steady noise",
        },
        Param {
            name: "silence_s",
            default: 45.0,
            range: (10.0, 86_400.0),
            summary: "a sender is silent after this or five of its intervals, whichever is longer; 45 s bridges three missed exports of 15 s",
        },
    ],
    new_state: |_| State::new(Fleetwide::default()),
    run,
};

const NAME: &str = "metric";
const VERSION: u32 = 1;
/// Of the state's bytes; older ones are learned anew.
const SCHEMA: u32 = 3;
/// Prometheus' marker for a series that ended.
const STALE: u64 = 0x7ff0_0000_0000_0002;
/// An anomaly that goes on is said again this often.
const AGAIN_NS: i64 = 10 * SECOND;
/// From here on a lasting shift hurts somewhat: spreads away, and how long the series was known before.
const ENORMOUS: f32 = 10.0;
const KNOWN_NS: i64 = 20 * MINUTE;
/// Claims of one entity at the same time; beyond it they say nothing new.
const MAX_CLAIMS: usize = 20;
/// Near misses kept of a step.
const MAX_NEAR: usize = 20;
/// No verdict lowers the level of a claim below this: a chance of one in a hundred in each of its points.
const SURPRISE_LEAST: f64 = 2.0;
/// A sender that came up this recently may have taken the place of the silent one.
const REPLACED_NS: i64 = 5 * MINUTE;
/// A silent sender is forgotten after this.
const FORGET_NS: i64 = 30 * MINUTE;

#[derive(Default)]
struct Fleetwide {
    streams: Column<Stream>,
    parts: Columns,
    small: Fleet<Small>,
    /// Sender of each series, by series; derived from the registry, not saved.
    senders: Vec<u32>,
    sender_of: BTreeMap<(Tenant, EntityKey, String), u32>,
    sender_list: Vec<Sender>,
}

/// The memory that only some series have.
#[derive(Default)]
struct Columns {
    rings: Column<Ring>,
    seasons: Column<Season>,
    novelties: Column<Novelty>,
}

impl Parts for Columns {
    fn add_ring(&mut self, ring: Ring) -> u32 {
        add(&mut self.rings, ring)
    }

    fn add_season(&mut self, season: Season) -> u32 {
        add(&mut self.seasons, season)
    }

    fn add_novelty(&mut self, novelty: Novelty) -> u32 {
        add(&mut self.novelties, novelty)
    }

    fn ring(&mut self, number: u32) -> &mut Ring {
        self.rings.row(number as usize)
    }

    fn season(&mut self, number: u32) -> &mut Season {
        self.seasons.row(number as usize)
    }

    fn novelty(&mut self, number: u32) -> &mut Novelty {
        self.novelties.row(number as usize)
    }
}

fn add<T: bytemuck::Pod + Default>(column: &mut Column<T>, row: T) -> u32 {
    let at = column.len();
    *column.row(at) = row;
    at as u32
}

/// What is saved whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Small {
    /// Series that are abnormal: when the claim was said last, ns, and first.
    abnormal: BTreeMap<u32, Said>,
    /// Silent senders by their text.
    silent: BTreeMap<String, Finding>,
    /// Last time silence was looked for, ns.
    looked_ns: i64,
    /// When each entity was changed last, ns.
    changes: BTreeMap<u32, i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Said {
    last_ns: i64,
    learned: Time,
    /// Start as first said, ns: it is part of the finding's id, so its end must name the same.
    start_ns: Option<i64>,
}

/// A run of surprising points that was over too soon.
struct Run {
    series: SeriesId,
    since_ns: i64,
    points: u16,
    surprise: f32,
}

/// How surprising a claim must be, and how long it takes.
struct Level<'a> {
    policy: BaselinePolicy,
    surprise_min: f64,
    view: &'a View<'a>,
    /// Entities of which people said that something was missed: the others need no look at the corrections.
    eased: BTreeSet<EntityKey>,
}

impl<'a> Level<'a> {
    fn new(view: &'a View, params: &Params) -> Level<'a> {
        let eased = view.calibration.iter().filter(|c| c.ease > 0.0);
        let eased = eased.filter_map(|c| view.registry.find_entity(&c.entity)).collect();
        Level { policy: BaselinePolicy::default(), surprise_min: params.get("surprise_min"), view, eased }
    }

    /// Surprise that a claim of a series must reach.
    fn of(&self, def: &SeriesDef) -> f64 {
        if !self.eased.contains(&def.entity) {
            return self.surprise_min;
        }
        let Some(entity) = self.view.registry.entity_id(def.entity) else { return self.surprise_min };
        let ease = self.view.calibration.ease(&def.tenant, entity, "metric", &def.metric, self.view.now);
        (self.surprise_min - ease).max(SURPRISE_LEAST)
    }
}

struct Sender {
    tenant: Tenant,
    entity: EntityKey,
    instance: String,
    series: Vec<u32>,
}

fn run(view: &View, params: &Params, state: &mut State, out: &mut Findings) {
    let fleet = state.get::<Fleetwide>();
    fleet.index_senders(view.registry);
    let level = Level::new(view, params);
    let (mut ended, mut near) = (Vec::new(), Vec::new());
    for batch in view.batches {
        for (i, entity) in batch.events.entity.iter().enumerate() {
            if types::change::breaking_kind(batch.events.kind.get(i)).is_some() {
                fleet.small.0.changes.insert(entity.0, batch.events.time[i]);
            }
        }
        let rows = &batch.samples;
        for ((series, &time), &value) in rows.series.iter().zip(&rows.time).zip(&rows.value) {
            if !batch.backfill && view.is_late(time) {
                continue;
            }
            match fleet.observe(*series, time, value, view.registry, &level) {
                Verdict::Normal => {}
                Verdict::Nearly { since_ns, points, surprise } => {
                    near.push(Run { series: *series, since_ns, points, surprise })
                }
                Verdict::Abnormal { first } => {
                    if first {
                        fleet
                            .small
                            .0
                            .abnormal
                            .insert(series.0, Said { last_ns: i64::MIN, learned: view.now, start_ns: None });
                    }
                }
                Verdict::Ended => ended.push(*series),
            }
        }
    }
    fleet.say_abnormal(view, &level, &ended, out);
    fleet.say_nearly(view, &level, near, out);
    if view.now.0 - fleet.small.0.looked_ns >= 5 * SECOND {
        fleet.small.0.looked_ns = view.now.0;
        fleet.look_for_silence(view, params, out);
    }
}

impl Fleetwide {
    /// Gives each new series its sender.
    fn index_senders(&mut self, registry: &Registry) {
        for number in self.senders.len()..registry.all_series().len() {
            let def = &registry.all_series()[number];
            let instance = samples::instance(def);
            let key = (def.tenant.clone(), def.entity, instance.to_owned());
            let next = self.sender_list.len() as u32;
            let sender = *self.sender_of.entry(key).or_insert(next);
            if sender == next {
                self.sender_list.push(Sender {
                    tenant: def.tenant.clone(),
                    entity: def.entity,
                    instance: instance.to_owned(),
                    series: Vec::new(),
                });
            }
            self.senders.push(sender);
            self.sender_list[sender as usize].series.push(number as u32);
        }
    }

    fn observe(&mut self, series: SeriesId, time: i64, raw: f64, registry: &Registry, level: &Level) -> Verdict {
        let number = series.0 as usize;
        if raw.to_bits() == STALE || !raw.is_finite() {
            return Verdict::Normal;
        }
        let Some(def) = registry.series_def(series).filter(|d| d.kind != SeriesKind::Derived) else {
            return Verdict::Normal;
        };
        let stream = self.streams.row(number);
        if stream.count > 0 && time <= stream.last_ns {
            return Verdict::Normal;
        }
        let Some(value) = value_of(def.kind, stream, time, raw) else { return Verdict::Normal };
        let changed = if stream.since_ns == 0 { None } else { self.small.0.changes.get(&def.entity.0) };
        let policy = &level.policy;
        let explained = changed.is_some_and(|c| (0..=policy.change_window_ns).contains(&(stream.since_ns - c)));
        let adopt_ns = if explained { policy.adopt_after_change_ns } else { policy.adopt_after_ns };
        let rules = Rules { surprise_min: level.of(def) as f32, settle_ns: policy.settle_ns, adopt_ns };
        stream.watch(time, value, &mut self.parts, rules).verdict
    }

    fn say_abnormal(&mut self, view: &View, level: &Level, ended: &[SeriesId], out: &mut Findings) {
        let mut per_entity: BTreeMap<EntityKey, usize> = BTreeMap::new();
        let mut over = Vec::new();
        for (&number, said) in &mut self.small.0.abnormal {
            let series = SeriesId(number);
            let (Some(stream), Some(def)) = (self.streams.peek(number as usize), view.registry.series_def(series))
            else {
                continue;
            };
            let is_over = stream.since_ns == 0;
            let claims = per_entity.entry(def.entity).or_default();
            *claims += 1;
            if is_over {
                over.push(number);
            }
            let due = is_over || view.now.0.saturating_sub(said.last_ns) >= AGAIN_NS;
            let enough = f64::from(stream.surprise) >= level.of(def);
            let never_said = said.last_ns == i64::MIN;
            if !due || !enough || never_said && (is_over || *claims > MAX_CLAIMS) {
                continue;
            }
            said.last_ns = view.now.0;
            let start = Time(*said.start_ns.get_or_insert(stream.since_ns));
            let season = stream.season.checked_sub(1).and_then(|n| self.parts.seasons.peek(n as usize));
            if let Some(finding) = claim(view, series, def, (stream, season), start, said.learned, !is_over) {
                out.say(finding);
            }
        }
        for number in over.into_iter().chain(ended.iter().map(|s| s.0)) {
            self.small.0.abnormal.remove(&number);
        }
    }

    /// What surprised and was over too soon, the most surprising of this step.
    fn say_nearly(&self, view: &View, level: &Level, mut near: Vec<Run>, out: &mut Findings) {
        near.sort_by(|a, b| b.surprise.total_cmp(&a.surprise).then(a.series.0.cmp(&b.series.0)));
        for run in near.into_iter().take(MAX_NEAR) {
            let def = view.registry.series_def(run.series);
            let (Some(def), Some(stream)) = (def, self.streams.peek(run.series.0 as usize)) else { continue };
            let Some(entity) = view.registry.entity_id(def.entity) else { continue };
            let needed = level.of(def);
            let (surprise, short) = (f64::from(run.surprise), run.points < RUN_MIN);
            let unit = unit(def);
            let words = |v: f32| quantity(f64::from(v), &unit);
            let lack = if short {
                format!("for {} of the {RUN_MIN} points in a row that it takes", run.points)
            } else {
                format!("for {} points, which surprises by {surprise:.1} of the {needed:.1} that it takes", run.points)
            };
            let why = format!(
                "{} {} to {}, usually {} to {}, but only {lack}",
                def.metric,
                if stream.peak > stream.expected { "rose" } else { "fell" },
                words(stream.peak),
                words(stream.expected - stream.band),
                words(stream.expected + stream.band),
            );
            out.near.push(NearMiss {
                method: NAME.into(),
                tenant: def.tenant.clone(),
                entity: entity.clone(),
                measure: "metric".into(),
                scope: scope(def),
                at: Time(run.since_ns),
                surprise: round3(surprise),
                needed: if short { 0.0 } else { needed },
                why,
            });
        }
    }

    fn look_for_silence(&mut self, view: &View, params: &Params, out: &mut Findings) {
        let least = (params.get("silence_s") * SECOND as f64) as i64;
        let mut newest: BTreeMap<&Tenant, i64> = BTreeMap::new();
        let last_of = |sender: &Sender| {
            sender
                .series
                .iter()
                .filter_map(|s| self.streams.peek(*s as usize))
                .filter(|s| s.is_regular())
                .map(|s| (s.last_ns, s.interval_s))
                .max_by_key(|s| s.0)
        };
        for sender in &self.sender_list {
            if let Some((last, _)) = last_of(sender) {
                let entry = newest.entry(&sender.tenant).or_insert(last);
                *entry = (*entry).max(last);
            }
        }
        let mut heard: BTreeMap<String, bool> = BTreeMap::new();
        for sender in &self.sender_list {
            let Some((last, interval_s)) = last_of(sender) else { continue };
            let patience = least.max((f64::from(interval_s) * 5.0 * SECOND as f64) as i64);
            let gap = view.now.0 - last;
            // Where everything of the tenant has stopped, it is the way to us that is silent.
            let others_go_on = newest.get(&sender.tenant).is_some_and(|n| view.now.0 - n < patience / 2);
            let silent = gap > patience && gap < FORGET_NS && others_go_on && !self.is_replaced(sender, last);
            let key = format!("{}|{}|{}", sender.tenant.as_str(), sender.entity.0, sender.instance);
            heard.insert(key.clone(), !silent);
            if !silent {
                continue;
            }
            let Some(finding) = silence(view, sender, Time(last), self.small.0.silent.get(&key)) else { continue };
            self.small.0.silent.insert(key, finding.clone());
            out.say(finding);
        }
        self.small.0.silent.retain(|key, finding| {
            if heard.get(key) == Some(&false) {
                return true;
            }
            out.say(Finding { ongoing: false, ..finding.clone() });
            false
        });
    }

    /// Whether something of the same entity has come up about when this sender was last heard.
    fn is_replaced(&self, sender: &Sender, last: i64) -> bool {
        let others = self.sender_list.iter().filter(|o| o.entity == sender.entity && o.instance != sender.instance);
        others.filter_map(|o| self.first_of(o)).any(|first| first > last - REPLACED_NS)
    }

    fn first_of(&self, sender: &Sender) -> Option<i64> {
        sender
            .series
            .iter()
            .filter_map(|s| self.streams.peek(*s as usize))
            .filter(|s| s.count > 0)
            .map(|s| s.first_ns)
            .min()
    }
}

/// The value to judge: gauges as they are, totals as rates, amounts over the time since the last.
fn value_of(kind: SeriesKind, stream: &mut Stream, time: i64, raw: f64) -> Option<f64> {
    let before = std::mem::replace(&mut stream.last_raw, raw);
    if kind == SeriesKind::Gauge {
        return Some(raw);
    }
    if stream.count == 0 && stream.last_ns == 0 {
        // The first point of a total only says where it begins.
        stream.last_ns = time;
        stream.first_ns = time;
        return None;
    }
    let judged = samples::level(kind, (stream.last_ns, before), time, raw);
    if kind == SeriesKind::Counter && raw < before && time > stream.last_ns {
        stream.last_ns = time;
    }
    judged
}

/// A series within its entity.
fn scope(def: &SeriesDef) -> String {
    format!("{}{}", def.metric, def.labels.to_json())
}

/// In which its values are judged: what counts up is judged as a rate.
fn unit(def: &SeriesDef) -> String {
    match (def.kind, &*def.unit) {
        (SeriesKind::Gauge, unit) => unit.to_owned(),
        (_, unit) => format!("{unit}/s"),
    }
}

fn claim(
    view: &View,
    series: SeriesId,
    def: &SeriesDef,
    (stream, season): (&Stream, Option<&Season>),
    start: Time,
    learned: Time,
    ongoing: bool,
) -> Option<Finding> {
    let entity = view.registry.entity_id(def.entity)?.clone();
    let up = stream.peak > stream.expected;
    let (low, high) = (stream.expected - stream.band, stream.expected + stream.band);
    let lasted = stream.last_ns - start.0;
    let enormous = stream.effect() >= ENORMOUS && lasted >= MINUTE && start.0 - stream.first_ns >= KNOWN_NS;
    let unit = unit(def);
    let words = |v: f32| quantity(f64::from(v), &unit);
    let summary = if stream.is_missed() {
        format!(
            "{} of {} stayed at {}, where it {} to about {} at {} daily",
            def.metric,
            plain(&entity),
            words(stream.peak),
            if up { "falls" } else { "rises" },
            words(stream.expected),
            clock(start)
        )
    } else {
        format!(
            "{} of {} {} to {}, usually {} to {}, since {}",
            def.metric,
            plain(&entity),
            if up { "rose" } else { "fell" },
            words(stream.peak),
            words(low),
            words(high),
            clock(start)
        )
    };
    Some(Finding {
        id: FindingId(0),
        method: NAME.into(),
        version: VERSION,
        tenant: def.tenant.clone(),
        entity,
        shape: Shape::Abnormal,
        measure: "metric".into(),
        scope: scope(def),
        start,
        end: Time(stream.last_ns.min(view.now.0)).max(start),
        ongoing,
        learned,
        belief: round3(belief_from_surprise(f64::from(stream.surprise))),
        surprise: round3(f64::from(stream.surprise)),
        impact: if enormous { 0.4 } else { crate::measures::impact("metric") },
        direction: if up { Direction::Up } else { Direction::Down },
        expected: Some(Band { mean: f64::from(stream.expected), low: f64::from(low), high: f64::from(high) }),
        observed: f64::from(stream.peak),
        cause: None,
        incident: None,
        summary,
        evidence: vec![
            Evidence::Series { series, metric: def.metric.to_string(), from: start.plus(-15 * MINUTE), to: view.now },
            Evidence::Note { text: basis(stream, season, start) },
        ],
    })
}

/// What it was judged by: season, trend and how much history.
fn basis(stream: &Stream, season: Option<&Season>, start: Time) -> String {
    let history_s = (start.0 - stream.first_ns).max(0) as f64 / SECOND as f64;
    let season = match season {
        Some(season) => format!("a season of {}", duration(f64::from(season.period_s))),
        None if history_s < 2.0 * 86_400.0 => "no season yet (a daily one needs two days)".to_owned(),
        None => "no season (none was found)".to_owned(),
    };
    let interval = duration(f64::from(stream.interval_s));
    let holiday = math::calendar::holiday_at(start.0).map_or(String::new(), |name| format!("; it began on {name}"));
    format!(
        "judged by its level and damped trend and {season}, from {} of history at a point every {interval}{holiday}",
        duration(history_s)
    )
}

/// `45 s`, `12 min`, `6.5 h`, `14 d`.
pub(crate) fn duration(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 120.0 => (s, "s"),
        s if s < 7200.0 => (s / 60.0, "min"),
        s if s < 48.0 * 3600.0 => (s / 3600.0, "h"),
        s => (s / 86_400.0, "d"),
    };
    if value >= 10.0 || (value - value.round()).abs() < 0.05 {
        format!("{value:.0} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

fn silence(view: &View, sender: &Sender, last: Time, known: Option<&Finding>) -> Option<Finding> {
    let entity = view.registry.entity_id(sender.entity)?.clone();
    let who = if sender.instance.is_empty() {
        plain(&entity)
    } else {
        format!("instance {} of {}", sender.instance, plain(&entity))
    };
    let series = SeriesId(*sender.series.first()?);
    let metric = view.registry.series_def(series)?.metric.to_string();
    Some(Finding {
        id: FindingId(0),
        method: NAME.into(),
        version: VERSION,
        tenant: sender.tenant.clone(),
        entity,
        shape: Shape::Abnormal,
        measure: "silence".into(),
        scope: sender.instance.clone(),
        start: last,
        end: view.now,
        ongoing: true,
        learned: known.map_or(view.now, |k| k.learned),
        belief: 0.9,
        surprise: 9.0,
        impact: crate::measures::impact("silence"),
        direction: Direction::Silent,
        expected: None,
        observed: 0.0,
        cause: None,
        incident: None,
        summary: format!("no metrics of {who} came since {}, {} series have stopped", clock(last), sender.series.len()),
        evidence: vec![Evidence::Series { series, metric, from: last.plus(-15 * MINUTE), to: view.now }],
    })
}

/// A number with its unit for people: bytes as KB to TB, ratios as they are.
pub(crate) fn quantity(value: f64, unit: &str) -> String {
    let bytes = unit.starts_with("By");
    let (scaled, prefix) = match value.abs() {
        v if v >= 1e12 => (value / 1e12, "T"),
        v if v >= 1e9 => (value / 1e9, "G"),
        v if v >= 1e6 => (value / 1e6, "M"),
        v if v >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = if scaled.abs() >= 100.0 || scaled.fract() == 0.0 {
        0
    } else if scaled.abs() >= 1.0 {
        1
    } else {
        3
    };
    let name = match unit {
        _ if bytes => unit.replacen("By", "B", 1),
        "1" | "" | "/s" if !unit.ends_with("/s") => String::new(),
        other if other.starts_with('{') => other.replace(['{', '}'], ""),
        other => other.trim_start_matches('1').to_owned(),
    };
    let gap = if prefix.is_empty() && name.is_empty() { "" } else { " " };
    format!("{scaled:.digits$}{gap}{prefix}{name}")
}

impl StateData for Fleetwide {
    fn schema(&self) -> u32 {
        SCHEMA
    }

    fn save(&mut self, all: bool, pages: &mut Pages) {
        self.streams.save("streams", all, pages);
        self.parts.rings.save("rings", all, pages);
        self.parts.seasons.save("seasons", all, pages);
        self.parts.novelties.save("novelties", all, pages);
        pages.insert("fleet".into(), self.small.to_bytes());
    }

    fn load(&mut self, schema: u32, pages: &Pages) -> Result<(), String> {
        if schema != SCHEMA {
            return Err(format!("schema {schema} of {NAME} is not known"));
        }
        self.streams.load("streams", pages)?;
        self.parts.rings.load("rings", pages)?;
        self.parts.seasons.load("seasons", pages)?;
        self.parts.novelties.load("novelties", pages)?;
        if let Some(bytes) = pages.get("fleet") {
            self.small = Fleet::from_bytes(bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::quantity;

    #[test]
    fn quantities_read_like_a_person_wrote_them() {
        assert_eq!(quantity(412_000_000.0, "By"), "412 MB");
        assert_eq!(quantity(0.25, "1"), "0.250");
        assert_eq!(quantity(12.5, "{request}/s"), "12.5 request/s");
        assert_eq!(quantity(3.0, ""), "3");
    }
}
