//! `joint`: metrics of one sender that do not go together as they usually do.
//!
//! The series of a sender (tenant, entity and instance) make one vector a minute: means of the minute, totals and
//! amounts as rates, the value before where none came for up to ten minutes. [`math::joint`] learns how they go
//! together and says when they do not, though each may be within its own band. It is evidence and opens no incident by
//! itself. Where one metric makes more than four fifths of the distance, [`super::metric`] speaks of it, and this is
//! silent.
//!
//! Bounds: of the first 64 series of a sender the first 32 that vary (what stopped keeps its place), and the first 500
//! senders; one that was silent for an hour gives way to one that found no room. At most 16 KB a sender. History that
//! is sent as such is not learned.
//!
//! Fails on: what `math::joint` fails on; series that come less often than every ten minutes; the first 17 hours.

use std::collections::BTreeMap;

use math::joint::{Joint, Judged, Part, Settings};
use serde::{Deserialize, Serialize};
use types::{
    Direction, EntityKey, Evidence, Finding, FindingId, MINUTE, Registry, SECOND, SeriesDef, SeriesId, SeriesKind,
    Shape, Time,
};
use view::{Analysis, Findings, Fleet, Pages, Param, Params, State, StateData, Stratum, Trigger, View};

use super::{
    metric::{duration, quantity},
    ongoing::{Claims, quiet_down, say},
    samples,
    words::{belief_from_surprise, clock, percent, plain, round3},
};

/// The catalogue's entry.
pub const ANALYSIS: Analysis = Analysis {
    name: NAME,
    version: 1,
    summary: "metrics of one sender that do not go together as they usually do",
    stratum: Stratum::Detect,
    trigger: Trigger::Every(10 * SECOND),
    params: &[Param {
        name: "surprise_min",
        default: 6.0,
        range: (4.0, 100.0),
        summary: "-log10 of the tail probability from which a claim is said; 6 gave one false claim in 37 weeks of public training data, 4 one to two a week",
    }],
    new_state: |_| State::new(Fleetwide::default()),
    run,
};

const NAME: &str = "joint";
const SCHEMA: u32 = 1;
/// Senders that are judged.
const MOST_THINGS: usize = 500;
/// Series of a sender that are looked at until it is known which vary, and those of them that are judged.
const MOST_MEMBERS: usize = 64;
const MOST_JUDGED: usize = 32;
/// Minutes of a sender before anything is said of it, whatever the method's own caution is.
const LEAST_MINUTES: u64 = 120;
/// A minute is over this long after its end: exports come late.
const GRACE_NS: i64 = 20 * SECOND;
/// A value stands for the minutes after it in which none came, up to so many.
const HOLDS_MINUTES: i64 = 10;
/// A sender that was silent for this long gives way to another.
const GIVES_WAY_NS: i64 = 60 * MINUTE;
const MAKES_ROOM_NS: i64 = 10 * MINUTE;
/// One metric that makes more of the distance than this is no matter of several.
const ALONE: f64 = 0.8;
/// Metrics that are named: until they make this share of the distance, each at least that, at most so many.
const NAMED: (f64, f64, usize) = (0.9, 0.05, 5);
/// A place in `Fleetwide::places` that says: looked at, not judged.
const NOWHERE: u32 = u32::MAX;

#[derive(Default)]
struct Fleetwide {
    things: Vec<Thing>,
    small: Fleet<Small>,
    /// By series: place of its member plus one, 0 where it was not looked at yet. Found again after a restart.
    places: Vec<u32>,
    of_entity: BTreeMap<EntityKey, Vec<usize>>,
    indexed: bool,
}

/// What is saved as text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Small {
    /// By number of the sender.
    claims: Claims,
    /// Whether a sender found no room.
    refused: bool,
    /// When room was made last, ns.
    room_ns: i64,
}

/// One sender. Who it is, its members' definitions say.
struct Thing {
    members: Vec<Member>,
    joint: Joint,
    /// The oldest minute that is not over.
    open: i64,
    /// When it was last heard, ns, and first.
    last_ns: i64,
    first_ns: i64,
    /// Minute in which the present alarm began; 0 without one.
    alarm_since: i64,
}

/// One series of a sender.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Member {
    series: u32,
    /// Number among the judged ones plus one; 0 as long as it did not vary.
    judged: u32,
    raw_ns: i64,
    raw: f64,
    /// The first level; not a number before there is one.
    first: f64,
    /// The open minute and the one after it, by their numbers' last bit: sum and count of levels.
    sums: [f64; 2],
    counts: [f64; 2],
    /// Mean of the last minute that had one, and its number.
    held: f64,
    held_minute: i64,
}

fn run(view: &View, params: &Params, state: &mut State, out: &mut Findings) {
    let fleet = state.get::<Fleetwide>();
    fleet.index(view.registry);
    let mut over = Vec::new();
    for batch in view.batches.iter().filter(|batch| !batch.backfill) {
        let rows = &batch.samples;
        for ((series, &time), &value) in rows.series.iter().zip(&rows.time).zip(&rows.value) {
            if value.is_finite() && !view.is_late(time) {
                fleet.take(*series, time, value, view.registry, &mut over);
            }
        }
    }
    let last_over = (view.now.0 - GRACE_NS).div_euclid(MINUTE) - 1;
    for (number, thing) in fleet.things.iter_mut().enumerate() {
        thing.close_until(last_over, |minute, judged| over.push((number, minute, judged)));
    }
    over.sort_by_key(|(number, minute, _)| (*minute, *number));
    for (number, minute, judged) in over {
        fleet.conclude(number, minute, judged, view, params, out);
    }
    fleet.go_on(view, out);
    fleet.make_room(view.now);
}

impl Fleetwide {
    /// Finds again, after a restart, which series are members of what.
    fn index(&mut self, registry: &Registry) {
        if std::mem::replace(&mut self.indexed, true) {
            return;
        }
        for number in 0..self.things.len() {
            let series: Vec<u32> = self.things[number].members.iter().map(|member| member.series).collect();
            for (place, series) in series.iter().enumerate() {
                self.put(*series, (number * MOST_MEMBERS + place) as u32 + 1);
            }
            if let Some(def) = series.first().and_then(|series| registry.series_def(SeriesId(*series))) {
                self.of_entity.entry(def.entity).or_default().push(number);
            }
        }
    }

    fn put(&mut self, series: u32, place: u32) {
        let at = series as usize;
        if at >= self.places.len() {
            self.places.resize(at + 1, 0);
        }
        self.places[at] = place;
    }

    fn take(
        &mut self,
        series: SeriesId,
        time: i64,
        raw: f64,
        registry: &Registry,
        over: &mut Vec<(usize, i64, Judged)>,
    ) {
        let mut place = self.places.get(series.0 as usize).copied().unwrap_or(0);
        if place == 0 {
            place = self.admit(series, registry);
            self.put(series.0, place);
        }
        if place == NOWHERE {
            return;
        }
        let Some(def) = registry.series_def(series) else { return };
        let place = place as usize - 1;
        let (number, member) = (place / MOST_MEMBERS, place % MOST_MEMBERS);
        self.things[number].take(member, def.kind, time, raw, |minute, judged| over.push((number, minute, judged)));
    }

    /// A place for a series that was not looked at yet.
    fn admit(&mut self, series: SeriesId, registry: &Registry) -> u32 {
        let Some(def) = registry.series_def(series).filter(|def| def.kind != SeriesKind::Derived) else {
            return NOWHERE;
        };
        let Some(number) = self.thing_of(def, registry) else {
            self.small.0.refused = true;
            return NOWHERE;
        };
        let members = &mut self.things[number].members;
        if members.len() >= MOST_MEMBERS {
            return NOWHERE;
        }
        members.push(Member::new(series.0));
        (number * MOST_MEMBERS + members.len()) as u32
    }

    /// The sender of a series; a new one where there is room.
    fn thing_of(&mut self, def: &SeriesDef, registry: &Registry) -> Option<usize> {
        let same = |number: &usize| {
            let other = self.things[*number].members.first().and_then(|m| registry.series_def(SeriesId(m.series)));
            other.is_some_and(|o| o.tenant == def.tenant && samples::instance(o) == samples::instance(def))
        };
        if let Some(number) = self.of_entity.get(&def.entity).and_then(|all| all.iter().copied().find(same)) {
            return Some(number);
        }
        let vacant = self.things.iter().position(|thing| thing.members.is_empty()).unwrap_or(self.things.len());
        if vacant >= MOST_THINGS {
            return None;
        }
        if vacant == self.things.len() {
            self.things.push(Thing::vacant());
        }
        self.of_entity.entry(def.entity).or_default().push(vacant);
        Some(vacant)
    }

    /// Senders that are silent leave, if others found no room. Not all the time: each series is looked at anew then.
    fn make_room(&mut self, now: Time) {
        if !self.small.0.refused || now.0 - self.small.0.room_ns < MAKES_ROOM_NS {
            return;
        }
        let silent = |thing: &Thing| !thing.members.is_empty() && now.0 - thing.last_ns > GIVES_WAY_NS;
        let leaving: Vec<usize> = (0..self.things.len()).filter(|number| silent(&self.things[*number])).collect();
        if leaving.is_empty() {
            return;
        }
        for number in leaving {
            self.things[number] = Thing::vacant();
        }
        (self.small.0.refused, self.small.0.room_ns) = (false, now.0);
        self.places.clear();
        self.of_entity.clear();
        self.indexed = false;
    }

    /// Begins, goes on with or ends the claim about a sender, by the verdict on its last minute.
    fn conclude(
        &mut self,
        number: usize,
        minute: i64,
        judged: Judged,
        view: &View,
        params: &Params,
        out: &mut Findings,
    ) {
        let key = number.to_string();
        let thing = &mut self.things[number];
        if !judged.alarm {
            thing.alarm_since = 0;
            end(&mut self.small.0.claims, &key, out);
            return;
        }
        if thing.alarm_since == 0 {
            thing.alarm_since = minute;
        }
        let known = self.small.0.claims.get(&key).map_or(params.get("surprise_min"), |claim| claim.finding.surprise);
        if judged.surprise < known || thing.joint.count() < LEAST_MINUTES {
            return;
        }
        if let Some(finding) = thing.claim(judged, view) {
            say(&mut self.small.0.claims, &key, finding, view.now, out);
        }
    }

    /// Says again what goes on, and ends what is no longer heard of.
    fn go_on(&mut self, view: &View, out: &mut Findings) {
        let claims = &mut self.small.0.claims;
        let numbers: Vec<String> = claims.keys().cloned().collect();
        for key in numbers {
            let thing = key.parse().ok().and_then(|number: usize| self.things.get(number));
            let heard = thing.is_some_and(|thing| view.now.0 - thing.last_ns <= HOLDS_MINUTES * MINUTE);
            match claims.get_mut(&key) {
                Some(claim) if heard => {
                    claim.finding.end = view.now;
                    out.say(claim.finding.clone());
                }
                _ => end(claims, &key, out),
            }
        }
    }
}

fn end(claims: &mut Claims, key: &str, out: &mut Findings) {
    if claims.contains_key(key) {
        let others: Vec<String> = claims.keys().filter(|other| *other != key).cloned().collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        quiet_down(claims, &others, 1, out);
    }
}

impl Thing {
    fn vacant() -> Thing {
        Thing {
            members: Vec::new(),
            joint: Joint::new(0, Settings::default()),
            open: i64::MIN,
            last_ns: 0,
            first_ns: 0,
            alarm_since: 0,
        }
    }

    /// Takes a point of a member in. Minutes that it shows to be over are judged.
    fn take(&mut self, member: usize, kind: SeriesKind, time: i64, raw: f64, over: impl FnMut(i64, Judged)) {
        let minute = time.div_euclid(MINUTE);
        if self.open == i64::MIN {
            (self.open, self.first_ns) = (minute, time);
        }
        let Some(before) = self.members.get(member).map(|m| (m.raw_ns, m.raw)) else { return };
        if minute < self.open || time <= before.0 {
            return;
        }
        self.close_until(minute - 2, over);
        self.last_ns = self.last_ns.max(time);
        let member = &mut self.members[member];
        (member.raw_ns, member.raw) = (time, raw);
        let level = match kind {
            SeriesKind::Gauge => Some(raw),
            _ if before.0 == 0 => None,
            _ => samples::level(kind, before, time, raw),
        };
        let Some(level) = level.filter(|level| level.is_finite()) else { return };
        if member.first.is_nan() {
            member.first = level;
        }
        let varies = (level - member.first).abs() > 1e-9 * member.first.abs().max(1e-9);
        if varies && member.judged == 0 && self.joint.metrics() < MOST_JUDGED {
            self.joint.add_metric();
            member.judged = self.joint.metrics() as u32;
        }
        let half = (minute & 1) as usize;
        member.sums[half] += level;
        member.counts[half] += 1.0;
    }

    /// Judges all open minutes up to and with this one.
    fn close_until(&mut self, last: i64, mut over: impl FnMut(i64, Judged)) {
        if self.open == i64::MIN || self.open > last {
            return;
        }
        // Only the open minute and the one after it can hold anything.
        for minute in self.open..=last.min(self.open.saturating_add(1)) {
            if let Some(judged) = self.close(minute) {
                over(minute, judged);
            }
        }
        self.open = last + 1;
    }

    /// The verdict on a minute, where anything came in it.
    fn close(&mut self, minute: i64) -> Option<Judged> {
        let mut values = vec![f64::NAN; self.joint.metrics()];
        let mut came = false;
        for member in &mut self.members {
            let half = (minute & 1) as usize;
            if member.counts[half] > 0.0 {
                (member.held, member.held_minute) = (member.sums[half] / member.counts[half], minute);
                (member.sums[half], member.counts[half]) = (0.0, 0.0);
                came |= member.judged > 0;
            }
            if member.judged > 0 && minute - member.held_minute <= HOLDS_MINUTES {
                values[member.judged as usize - 1] = member.held;
            }
        }
        (came && values.len() > 1).then(|| self.joint.observe(&values))
    }

    /// What is said of an alarm. None where it is the matter of one metric.
    fn claim(&self, judged: Judged, view: &View) -> Option<Finding> {
        let parts = named(self.joint.parts())?;
        let members: Vec<(&Member, &SeriesDef, Part)> =
            parts.iter().filter_map(|part| self.member_of(*part, view.registry)).collect();
        let (_, def, _) = members.first()?;
        let (entity, instance) = (view.registry.entity_id(def.entity)?.clone(), samples::instance(def));
        let start = Time(self.alarm_since.saturating_mul(MINUTE)).min(view.now);
        let sender = match instance {
            "" => plain(&entity),
            instance => format!("{} ({instance})", plain(&entity)),
        };
        let list: Vec<String> =
            members.iter().map(|m| format!("{} ({})", name(m, &members), percent(m.2.share))).collect();
        let summary = format!(
            "{} metrics of {sender} do not go together as usual since {}: {}",
            members.len(),
            clock(start),
            list.join(", ")
        );
        let series = members.iter().map(|(member, def, _)| Evidence::Series {
            series: SeriesId(member.series),
            metric: def.metric.to_string(),
            from: start.plus(-15 * MINUTE),
            to: view.now,
        });
        let notes = members.iter().map(|member| Evidence::Note { text: note(member, &members) });
        let basis = Evidence::Note { text: self.basis(start) };
        Some(Finding {
            id: FindingId(0),
            method: NAME.into(),
            version: ANALYSIS.version,
            tenant: def.tenant.clone(),
            entity,
            shape: Shape::Abnormal,
            measure: NAME.into(),
            scope: instance.to_owned(),
            start,
            end: view.now,
            ongoing: true,
            learned: view.now,
            belief: round3(belief_from_surprise(judged.surprise)),
            surprise: round3(judged.surprise),
            impact: crate::measures::impact(NAME),
            direction: Direction::Up,
            expected: None,
            observed: round3(judged.distance),
            cause: None,
            incident: None,
            summary,
            evidence: series.chain(notes).chain([basis]).collect(),
        })
    }

    fn member_of<'a>(&'a self, part: Part, registry: &'a Registry) -> Option<(&'a Member, &'a SeriesDef, Part)> {
        let member = self.members.iter().find(|member| member.judged as usize == part.metric + 1)?;
        Some((member, registry.series_def(SeriesId(member.series))?, part))
    }

    /// What it was judged by.
    fn basis(&self, start: Time) -> String {
        let history_s = (start.0 - self.first_ns).max(0) as f64 / SECOND as f64;
        let count = self.joint.metrics();
        format!("judged by how {count} metrics go together, minute by minute, from {} of history", duration(history_s))
    }
}

/// The metrics to name, the largest part first; none where it is one alone.
fn named(parts: Vec<Part>) -> Option<Vec<Part>> {
    let (until, least, most) = NAMED;
    let mut sum = 0.0;
    let mut kept: Vec<Part> = Vec::new();
    for part in parts.into_iter().take(most) {
        if kept.len() >= 2 && (sum >= until || part.share < least) {
            break;
        }
        sum += part.share;
        kept.push(part);
    }
    (kept.len() >= 2 && kept[0].share <= ALONE && kept[1].share >= least).then_some(kept)
}

/// A metric's name, with its labels where another of the same name is spoken of.
fn name((_, def, part): &(&Member, &SeriesDef, Part), all: &[(&Member, &SeriesDef, Part)]) -> String {
    let twice = all.iter().any(|other| other.1.metric == def.metric && other.2.metric != part.metric);
    if twice { format!("{}{}", def.metric, def.labels.to_json()) } else { def.metric.to_string() }
}

fn note(member: &(&Member, &SeriesDef, Part), all: &[(&Member, &SeriesDef, Part)]) -> String {
    let (own, def, part) = member;
    let unit = if def.kind == SeriesKind::Gauge { def.unit.to_string() } else { format!("{}/s", def.unit) };
    let words = |value: f64| quantity(value, &unit);
    format!(
        "{}: {} of the distance; at {}, usually {} with a spread of {}",
        name(member, all),
        percent(part.share),
        words(own.held),
        words(part.expected),
        words(part.spread)
    )
}

impl Member {
    fn new(series: u32) -> Member {
        Member {
            series,
            judged: 0,
            raw_ns: 0,
            raw: 0.0,
            first: f64::NAN,
            sums: [0.0; 2],
            counts: [0.0; 2],
            held: 0.0,
            held_minute: i64::MIN / 2,
        }
    }

    fn save(&self, words: &mut Vec<u64>) {
        words.extend([u64::from(self.series), u64::from(self.judged), self.raw_ns as u64, self.held_minute as u64]);
        let [a, b] = self.sums;
        let [c, d] = self.counts;
        words.extend([self.raw, self.first, a, b, c, d, self.held].map(f64::to_bits));
    }

    fn load(words: &mut impl Iterator<Item = u64>) -> Option<Member> {
        let [series, judged] = [words.next()?, words.next()?].map(|number| u32::try_from(number).ok());
        let [raw_ns, held_minute] = [words.next()? as i64, words.next()? as i64];
        let mut number = || words.next().map(f64::from_bits);
        Some(Member {
            series: series?,
            judged: judged?,
            raw_ns,
            held_minute,
            raw: number()?,
            first: number()?,
            sums: [number()?, number()?],
            counts: [number()?, number()?],
            held: number()?,
        })
    }
}

impl Thing {
    fn save(&self) -> Vec<u8> {
        let times = [self.open, self.last_ns, self.first_ns, self.alarm_since].map(|time| time as u64);
        let mut words = vec![self.members.len() as u64];
        words.extend(times);
        self.members.iter().for_each(|member| member.save(&mut words));
        self.joint.save(&mut words);
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn load(bytes: &[u8]) -> Option<Thing> {
        let (words, _) = bytes.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let members = usize::try_from(words.next()?).ok().filter(|count| *count <= MOST_MEMBERS)?;
        let mut thing = Thing::vacant();
        for time in [&mut thing.open, &mut thing.last_ns, &mut thing.first_ns, &mut thing.alarm_since] {
            *time = words.next()? as i64;
        }
        for _ in 0..members {
            thing.members.push(Member::load(&mut words)?);
        }
        thing.joint = Joint::load(Settings::default(), &mut words)?;
        let judged = thing.joint.metrics();
        thing.members.iter().all(|member| member.judged as usize <= judged).then_some(thing)
    }
}

impl StateData for Fleetwide {
    fn schema(&self) -> u32 {
        SCHEMA
    }

    fn save(&mut self, _all: bool, pages: &mut Pages) {
        pages.insert("fleet".into(), self.small.to_bytes());
        for (number, thing) in self.things.iter().enumerate() {
            pages.insert(format!("thing/{number}"), thing.save());
        }
    }

    fn load(&mut self, schema: u32, pages: &Pages) -> Result<(), String> {
        if schema != SCHEMA {
            return Err(format!("schema {schema} of {NAME} is not known"));
        }
        *self = Fleetwide::default();
        if let Some(bytes) = pages.get("fleet") {
            self.small = Fleet::from_bytes(bytes)?;
        }
        for number in 0..MOST_THINGS {
            let Some(bytes) = pages.get(&format!("thing/{number}")) else { break };
            self.things.push(Thing::load(bytes).ok_or_else(|| format!("page thing/{number} of {NAME} is broken"))?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use types::{Batch, Directory, EntityId, LabelSet};

    use super::*;
    use crate::checks::{self, World};

    const HOUR_S: i64 = 3600;

    /// A server for some hours, a point a minute: requests (a total), and what follows from them through the load of
    /// the day. `bend` changes processor, memory, threads and latency as it likes, by the second.
    fn server(hours: i64, bend: impl Fn(i64, &mut [f64; 4])) -> World {
        let directory = Arc::new(Directory::default());
        let names = ["cpu.utilization", "memory.usage", "threads", "latency", "requests", "limit"];
        let series: Vec<SeriesId> = {
            let mut registry = directory.write();
            let entity = registry.entity(&EntityId::new("service", "shop", "cart"));
            let mut register = |metric: &str| {
                registry.series(SeriesDef {
                    tenant: Default::default(),
                    metric: metric.into(),
                    entity,
                    labels: LabelSet::pack(&mut vec![("service.instance.id", "cart-1")]),
                    kind: if metric == "requests" { SeriesKind::Counter } else { SeriesKind::Gauge },
                    unit: "".into(),
                })
            };
            names.map(&mut register).to_vec()
        };
        let start = Time(1_750_000_000 / 60 * MINUTE);
        let (mut state, mut total, mut waves) = (5_u64, 0.0, 0.0);
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        };
        let mut second = |s: i64| {
            (s % 60 == 5).then(|| {
                waves += 0.1 * (20.0 * noise() - waves);
                let load = 100.0 + 50.0 * (s as f64 / 86_400.0 * std::f64::consts::TAU).sin() + waves;
                total += load * 60.0;
                let mut own = [
                    0.1 + load / 250.0 + 0.02 * noise(),
                    300e6 + 1e6 * load + 5e6 * noise(),
                    20.0 + load / 5.0 + noise(),
                    10.0 + load / 10.0 + noise(),
                ];
                bend(s, &mut own);
                let at = start.plus(s * SECOND);
                let mut batch = Batch { learned: at.plus(SECOND), ..Batch::default() };
                for (series, value) in series.iter().zip(own.into_iter().chain([total, 8.0])) {
                    batch.samples.push(*series, at.0, value);
                }
                Arc::new(batch)
            })
        };
        World { seconds: (0..hours * HOUR_S).map(&mut second).collect(), directory, start }
    }

    /// At the day's peak, processor and latency are as if it was night.
    fn parted(s: i64, own: &mut [f64; 4]) {
        if (30 * HOUR_S..30 * HOUR_S + 1200).contains(&s) {
            own[0] = 1.0 - own[0];
            own[3] = 40.0 - own[3];
        }
    }

    #[test]
    fn metrics_that_part_are_spoken_of_and_a_day_of_load_is_not() {
        let world = server(31, parted);
        let said = checks::run(&ANALYSIS, &world, world.seconds.len(), None);
        let (first, findings) = said.iter().enumerate().find(|(_, said)| !said.is_empty()).expect("something is said");
        assert!((30 * HOUR_S as usize..30 * HOUR_S as usize + 300).contains(&first), "{first} {findings:?}");
        let finding = &findings[0];
        let named: Vec<&str> = finding.evidence.iter().filter_map(metric).collect();
        assert!(named.contains(&"cpu.utilization") && named.contains(&"latency"), "{}", finding.summary);
        assert!(["cpu.utilization", "latency"].contains(&named[0]), "{}", finding.summary);
        assert!(
            finding.summary.contains("shop/cart (cart-1) do not go together as usual since"),
            "{}",
            finding.summary
        );
        assert_eq!((finding.scope.as_str(), finding.measure.as_str(), finding.impact), ("cart-1", "joint", 0.2));
        let last = said.iter().flatten().last().unwrap();
        assert!(!last.ongoing && last.id == finding.id, "{last:?}");
        assert!(said.iter().flatten().all(|f| f.id == finding.id), "one trouble is one claim");
        let restarted = checks::run(&ANALYSIS, &world, world.seconds.len(), Some(2999));
        assert!(said == restarted, "a restart changes nothing");
        let part = checks::run(&ANALYSIS, &world, 30 * HOUR_S as usize + 600, None);
        assert!(part[..] == said[..part.len()], "nothing looks ahead");
    }

    #[test]
    fn several_metrics_are_named_and_one_alone_is_not() {
        let named = |shares: &[f64]| {
            let part = |(metric, share): (usize, &f64)| Part { metric, share: *share, expected: 0.0, spread: 0.0 };
            named(shares.iter().enumerate().map(part).collect()).map(|parts| parts.len())
        };
        assert_eq!(named(&[0.62, 0.3, 0.04, 0.04]), Some(2));
        assert_eq!(named(&[0.41, 0.3, 0.2, 0.06, 0.03]), Some(3));
        assert_eq!(named(&[0.2; 5]), Some(5));
        assert_eq!((named(&[0.85, 0.15]), named(&[1.0]), named(&[])), (None, None, None));
    }

    fn metric(evidence: &Evidence) -> Option<&str> {
        match evidence {
            Evidence::Series { metric, .. } => Some(metric),
            _ => None,
        }
    }

    #[test]
    fn what_one_metric_does_alone_is_left_to_others() {
        let alone = |s: i64, own: &mut [f64; 4]| {
            if s >= 25 * HOUR_S {
                own[1] += 2e9;
            }
        };
        let world = server(26, alone);
        assert!(checks::run(&ANALYSIS, &world, world.seconds.len(), None).iter().all(Vec::is_empty));
    }

    #[test]
    fn senders_beyond_the_most_wait_until_one_is_silent() {
        let directory = Directory::default();
        let mut fleet = Fleetwide::default();
        let take = |fleet: &mut Fleetwide, instance: usize, time: i64| {
            let instance = format!("i{instance}");
            let series = {
                let mut registry = directory.write();
                let entity = registry.entity(&EntityId::new("service", "shop", "cart"));
                registry.series(SeriesDef {
                    tenant: Default::default(),
                    metric: "load".into(),
                    entity,
                    labels: LabelSet::pack(&mut vec![("service.instance.id", instance.as_str())]),
                    kind: SeriesKind::Gauge,
                    unit: "".into(),
                })
            };
            fleet.index(&directory.read());
            fleet.take(series, time, 1.0, &directory.read(), &mut Vec::new());
        };
        (0..MOST_THINGS + 2).for_each(|instance| take(&mut fleet, instance, MINUTE));
        assert_eq!(fleet.things.len(), MOST_THINGS);
        assert_eq!(fleet.places.iter().filter(|place| **place == NOWHERE).count(), 2);
        (1..MOST_THINGS).for_each(|instance| take(&mut fleet, instance, 61 * MINUTE));
        fleet.make_room(Time(70 * MINUTE));
        (MOST_THINGS..MOST_THINGS + 2).for_each(|instance| take(&mut fleet, instance, 70 * MINUTE));
        assert_eq!(fleet.places.iter().filter(|place| **place == NOWHERE).count(), 1);
        assert_eq!(fleet.things.len(), MOST_THINGS);
        let bytes: usize = fleet.things.iter().map(|thing| thing.save().len()).sum();
        assert!(bytes < 16 << 20);
    }

    #[test]
    fn a_full_sender_stays_below_its_bound_and_bad_points_do_not_matter() {
        let mut thing = Thing::vacant();
        thing.members = (0..MOST_MEMBERS as u32).map(Member::new).collect();
        let odd = [1e308, -1e308, 5e-324, 0.0, 3.0, 1e120];
        for minute in 1..300_i64 {
            for member in 0..MOST_MEMBERS {
                let raw = odd[(minute as usize * 5 + member) % odd.len()];
                let kind = if member % 2 == 0 { SeriesKind::Gauge } else { SeriesKind::Counter };
                thing.take(member, kind, minute * MINUTE + member as i64, raw, |_, judged| {
                    assert!(judged.surprise.is_finite() && judged.distance.is_finite());
                });
            }
        }
        // Times that leap, back and ahead.
        for time in [i64::MIN, -1, 0, i64::MAX - MINUTE] {
            thing.take(0, SeriesKind::Gauge, time, 1.0, |_, _| {});
        }
        assert_eq!(thing.joint.metrics(), MOST_JUDGED);
        let bytes = thing.save();
        assert!(bytes.len() < 16 << 10, "{}", bytes.len());
        assert_eq!(Thing::load(&bytes).unwrap().save(), bytes);
        assert!(Thing::load(&bytes[..bytes.len() / 2]).is_none());
        assert!(Thing::load(&[255; 4000]).is_none());
    }
}
