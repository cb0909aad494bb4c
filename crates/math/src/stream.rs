//! A streaming anomaly detector for one series: constant time a point, a fixed number of bytes of plain data.
//!
//! Idea: a robust level with a damped trend (Holt's smoothing with clipped residuals, after Gelper, Fried and Croux,
//! "Robust forecasting with exponential and Holt-Winters smoothing", 2010) predicts the next point. How surprising a
//! residual is comes from the series' own residuals: their 90 % quantile and the mean log excess over it (Hill, 1975),
//! which is right for heavy tails and careful for light ones. Surprise adds up over points in a row (a one-sided
//! CUSUM, Page 1954), and only points count that leave the range and the spread seen so far: a minimum effect. A
//! season is looked for in the autocorrelation of a small ring of bucket means whose width doubles until a period
//! shows; it is used where it takes away more than half of the spread.
//!
//! Beside the verdict each point has a surprise of its own, see [`crate::novelty`].
//!
//! Cost: about 100 ns a point, [`Stream`] 152 bytes, [`Novelty`] 236 and [`Ring`] 160 bytes where the series varies,
//! [`Season`] 104 bytes where one is found. Fails on: series with less than about 30 points; changes slower than the trend (a slow drift is
//! followed, not said); two seasons at once.

use bytemuck::{Pod, Zeroable};

use crate::{
    calendar,
    novelty::{Novelty, code, number},
};

/// Surprise from which a point counts as an event by itself: one in 2,016 points, which is a false one a week at a
/// point every five minutes.
pub const SURPRISE_DEFAULT: f32 = 3.3;
/// Points before anything is said.
pub const WARM_POINTS: u32 = 30;
/// Time before anything is said, ns.
pub const WARM_NS: i64 = 150_000_000_000;

const SECOND: f64 = 1e9;
/// Memory of the level, in points.
const LEVEL_POINTS: f32 = 8.0;
/// Memory of residual scale, in points.
const SCALE_POINTS: f32 = 60.0;
/// Memory of slow level and spread, in points.
const SLOW_POINTS: f32 = 360.0;
/// Share of residuals beyond which the tail is modelled.
const TAIL_SHARE: f32 = 0.1;
/// Points in a row that a claim needs.
pub const RUN_MIN: u16 = 3;
/// Added surprise that a claim needs, beyond [`ALLOWANCE`] a point.
const SUM_MIN: f32 = 9.0;
/// Surprise that a point is allowed: only what it has more is added up.
pub const ALLOWANCE: f32 = 1.5;
const POINT_MOST: f32 = 8.0;
/// A residual this often the widest known is a jump, also within the range.
const JUMP: f32 = 1.5;

const DAY_S: u32 = 86_400;
const WEEK_S: u32 = 7 * DAY_S;
/// How far an event that comes daily or weekly may begin from its time, s.
const HABIT_SLACK_S: u32 = 1200;
/// Days in a row after which an event at the same time of day is a habit: three are said, the fourth is not.
const HABIT_DAYS: u8 = 4;
/// Weeks in a row after which an event at the same time of the week is one: twice the same time of 168 hours is no chance.
const HABIT_WEEKS: u8 = 3;
/// Days in a row after which its absence is said: more than a working week counts up to, so that what rests at
/// weekends is not missed.
const HABIT_SURE: u8 = 9;
/// Days in a row without it after which it is no habit any more.
const HABIT_LOST: u8 = 3;
/// Flag: it lives at a level that was adopted because it held; `expected` and `band` are those of the level before.
const AWAY: u8 = 1;
/// Flag: the last claim is about an event that did not come.
const MISSED: u8 = 2;

/// What is remembered of one series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Stream {
    /// Time of the last point, ns.
    pub last_ns: i64,
    /// Time of the first point, ns.
    pub first_ns: i64,
    /// The last value as it came (for counters).
    pub last_raw: f64,
    /// Since when it is abnormal, ns; 0 if it is not.
    pub since_ns: i64,
    /// Since when it is back in its band while still called abnormal, ns; 0 if it is not.
    calm_ns: i64,
    /// When the run of surprising points began, ns.
    run_ns: i64,
    /// When the event began that comes daily, s, and the one that comes weekly.
    habit_s: u32,
    week_s: u32,
    level: f32,
    trend: f32,
    scale: f32,
    slow: f32,
    spread: f32,
    low: f32,
    high: f32,
    /// The largest residual of late.
    widest: f32,
    /// Usual time between points, s.
    pub interval_s: f32,
    tail_edge: f32,
    tail_excess: f32,
    sum: f32,
    /// What was expected when it became abnormal.
    pub expected: f32,
    /// Half the width of the band around it.
    pub band: f32,
    /// The value farthest from what was expected while abnormal.
    pub peak: f32,
    /// Most surprise while abnormal.
    pub surprise: f32,
    /// Points taken.
    pub count: u32,
    /// Number of its ring plus one; 0 where it has none.
    pub ring: u32,
    /// Number of its season plus one; 0 where it has none.
    pub season: u32,
    /// Number of its novelty plus one; 0 while it has been constant.
    pub novelty: u32,
    /// How far the peak of either lay from what was expected then, and how long it took, s.
    habit_size: f32,
    habit_lasts_s: f32,
    /// On how many days without a break.
    habit: u8,
    /// In how many weeks.
    week: u8,
    /// On how many days in a row it did not come.
    missed: u8,
    flags: u8,
    run: u16,
    regular: u16,
}

/// Bucket means in which a period is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Ring {
    /// Number of the bucket being filled (time over width).
    bucket: i64,
    width_s: f32,
    sum: f32,
    count: u32,
    len: u32,
    /// The first mean; the others are kept as differences from it, to three digits.
    base: f32,
    values: [u16; RING],
    /// Width at which it was tested last, so that a width is tested once half full and once full.
    tested: u32,
}

/// Buckets of a ring.
const RING: usize = 64;

impl Default for Ring {
    fn default() -> Ring {
        Ring::zeroed()
    }
}

/// A season: offsets from the level by phase.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Season {
    /// Length, s.
    pub period_s: f32,
    unit: f32,
    offsets: [i16; PHASES],
}

/// Phases of a season.
const PHASES: usize = 48;

impl Default for Season {
    fn default() -> Season {
        Season::zeroed()
    }
}

impl Season {
    /// The offset at a time, between phases linearly.
    fn offset(&self, time_ns: i64) -> f32 {
        let at = self.phase(time_ns);
        let (i, part) = (at as usize % PHASES, at.fract());
        let (a, b) = (f32::from(self.offsets[i]), f32::from(self.offsets[(i + 1) % PHASES]));
        (a + (b - a) * part) * self.unit
    }

    /// The same; on a holiday a series may look like on a Sunday too, so that the nearer of both to `wanted` counts.
    fn offset_on_the_day(&self, time_ns: i64, wanted: f32) -> f32 {
        let usual = self.offset(time_ns);
        if self.period_s != WEEK_S as f32 || calendar::holiday_at(time_ns).is_none() {
            return usual;
        }
        let sunday = self.offset(calendar::as_sunday(time_ns));
        if (sunday - wanted).abs() < (usual - wanted).abs() { sunday } else { usual }
    }

    fn phase(&self, time_ns: i64) -> f32 {
        let period = f64::from(self.period_s).max(1.0);
        let seconds = time_ns as f64 / SECOND;
        ((seconds.rem_euclid(period)) / period * PHASES as f64) as f32
    }

    /// Learns that the offset at a time was `offset`.
    fn learn(&mut self, time_ns: i64, offset: f32) {
        if self.unit <= 0.0 {
            return;
        }
        let i = self.phase(time_ns) as usize % PHASES;
        let known = f32::from(self.offsets[i]);
        let step = (offset / self.unit - known).clamp(-4000.0, 4000.0);
        self.offsets[i] = (known + 0.1 * step).clamp(-32000.0, 32000.0) as i16;
    }
}

/// What a point says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing.
    Normal,
    /// The series is abnormal now; `first` at the point that made it so.
    Abnormal {
        /// Whether this point made it so.
        first: bool,
    },
    /// It was abnormal until this point.
    Ended,
    /// What surprised is over before it was enough; [`Stream::expected`], `band` and `peak` are those of it.
    Nearly {
        /// When it began, ns.
        since_ns: i64,
        /// Points in a row.
        points: u16,
        /// Surprise added up, at least half of what a claim needs.
        surprise: f32,
    },
}

/// What is said of a point when it comes; nothing later changes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Whether the series is abnormal: sustained, and large enough to matter.
    pub verdict: Verdict,
    /// How new the point is, as -log10 of a tail probability (see [`crate::novelty`]); at least 0, finite.
    pub surprise: f32,
}

/// Why a value does or does not begin a claim.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Explanation {
    /// What was expected.
    pub expected: f32,
    /// The band around it.
    pub low: f32,
    /// The band around it.
    pub high: f32,
    /// All of these must hold.
    pub conditions: [Condition; 7],
}

/// One of the things that a claim needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    /// For people.
    pub name: &'static str,
    /// What was found.
    pub found: f32,
    /// At least this is needed.
    pub needed: f32,
    /// Whether it is there.
    pub holds: bool,
}

/// Where the memory lies that only some series have.
pub trait Parts {
    /// Takes up a part and returns its number.
    fn add_ring(&mut self, ring: Ring) -> u32;
    /// Takes up a part and returns its number.
    fn add_season(&mut self, season: Season) -> u32;
    /// Takes up a part and returns its number.
    fn add_novelty(&mut self, novelty: Novelty) -> u32;
    /// A part by its number.
    fn ring(&mut self, number: u32) -> &mut Ring;
    /// A part by its number.
    fn season(&mut self, number: u32) -> &mut Season;
    /// A part by its number.
    fn novelty(&mut self, number: u32) -> &mut Novelty;
}

/// A series with all of its memory in one place.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    stream: Stream,
    ring: Ring,
    season: Season,
    novelty: Novelty,
}

impl Watch {
    /// Takes the next point, with the rules of a series without changes. Values that are not finite and points out of
    /// order say nothing.
    pub fn observe(&mut self, time_ns: i64, value: f64) -> Point {
        let rules = Rules::default();
        let Watch { stream, ring, season, novelty } = self;
        stream.watch(time_ns, value, &mut Single { ring, season, novelty }, rules)
    }

    /// What is remembered of the series.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }
}

struct Single<'a> {
    ring: &'a mut Ring,
    season: &'a mut Season,
    novelty: &'a mut Novelty,
}

impl Parts for Single<'_> {
    fn add_ring(&mut self, ring: Ring) -> u32 {
        *self.ring = ring;
        0
    }

    fn add_season(&mut self, season: Season) -> u32 {
        *self.season = season;
        0
    }

    fn add_novelty(&mut self, novelty: Novelty) -> u32 {
        *self.novelty = novelty;
        0
    }

    fn ring(&mut self, _: u32) -> &mut Ring {
        self.ring
    }

    fn season(&mut self, _: u32) -> &mut Season {
        self.season
    }

    fn novelty(&mut self, _: u32) -> &mut Novelty {
        self.novelty
    }
}

/// What a claim needs, and how it ends.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Added surprise that a claim needs, beyond [`ALLOWANCE`] a point.
    pub surprise_min: f32,
    /// How long values must be back in the band before a claim ends, ns.
    pub settle_ns: i64,
    /// How long they must hold before they are normal, ns.
    pub adopt_ns: i64,
}

impl Default for Rules {
    /// Those of a series without changes: half a minute, six hours.
    fn default() -> Rules {
        Rules { surprise_min: SUM_MIN, settle_ns: 30_000_000_000, adopt_ns: 6 * 3_600_000_000_000 }
    }
}

impl Stream {
    /// Takes the next point with whatever memory the series has, and gives it more where it earns it: novelty from
    /// its first change, a ring where it varies, a season where one is found. Values that are not finite and points
    /// out of order say nothing.
    pub fn watch(&mut self, time_ns: i64, value: f64, parts: &mut impl Parts, rules: Rules) -> Point {
        if !value.is_finite() || self.count > 0 && time_ns <= self.last_ns {
            return Point { verdict: Verdict::Normal, surprise: 0.0 };
        }
        if self.novelty == 0 && self.count > 0 && value as f32 != self.level {
            let before = Novelty::after_constant(f64::from(self.level), self.count, self.first_ns, self.last_ns);
            self.novelty = parts.add_novelty(before) + 1;
        }
        let surprise = if self.novelty > 0 { parts.novelty(self.novelty - 1).observe(time_ns, value) } else { 0.0 };
        let mut season = (self.season > 0).then(|| *parts.season(self.season - 1));
        let ring = (self.ring > 0).then(|| parts.ring(self.ring - 1));
        let verdict = self.observe(time_ns, value, ring, season.as_mut(), rules);
        if let Some(season) = season {
            *parts.season(self.season - 1) = season;
        }
        if self.count.is_multiple_of(32) && self.season == 0 && self.since_ns == 0 {
            self.earn(parts);
        }
        Point { verdict, surprise }
    }

    /// Memory for a season is given only to series that vary, and only where one was found.
    fn earn(&mut self, parts: &mut impl Parts) {
        if self.ring == 0 {
            if self.varies() {
                self.ring = parts.add_ring(Ring::default()) + 1;
            }
        } else if let Some(season) = parts.ring(self.ring - 1).find_season() {
            let number = parts.add_season(season);
            self.take_season(number, &season);
        }
    }

    /// Takes the next point, a finite value later than the last. `ring` and `season` are the series' own, if it has
    /// them.
    pub fn observe(
        &mut self,
        time_ns: i64,
        value: f64,
        ring: Option<&mut Ring>,
        mut season: Option<&mut Season>,
        rules: Rules,
    ) -> Verdict {
        let value = value.clamp(-1e30, 1e30) as f32;
        let offset = season.as_ref().map_or(0.0, |s| s.offset_on_the_day(time_ns, value - self.level - self.trend));
        let x = value - offset;
        self.count = self.count.saturating_add(1);
        if self.count == 1 {
            self.start(time_ns, x);
            return Verdict::Normal;
        }
        self.learn_interval(time_ns);
        self.last_ns = time_ns;
        let predicted = self.level + self.trend;
        let residual = x - predicted;
        let (surprise, unusual) = self.judge(residual, x, predicted);
        if self.since_ns != 0 {
            let habitual = self.is_habitual();
            let verdict = self.go_on(time_ns, x, surprise, rules);
            return if habitual { self.quietly(time_ns, x, verdict) } else { verdict };
        }
        if self.habit_is_missed(time_ns) {
            return self.miss_habit(x + offset, predicted + offset);
        }
        if unusual && self.flags & AWAY != 0 && self.comes_home(x + offset) {
            (self.level, self.slow, self.trend) = (x, x, 0.0);
            self.flags &= !AWAY;
            return Verdict::Normal;
        }
        if unusual && self.is_warm(time_ns) {
            if self.run == 0 {
                self.run_ns = time_ns;
                self.expected = predicted + offset;
                self.band = (3.0 * self.scale).max(2.0 * self.spread);
                self.peak = self.expected;
            }
            if (x + offset - self.expected).abs() >= (self.peak - self.expected).abs() {
                self.peak = x + offset;
            }
            self.run = self.run.saturating_add(1);
            self.sum += surprise.min(POINT_MOST) - ALLOWANCE;
            if self.run >= RUN_MIN && self.sum >= rules.surprise_min {
                self.since_ns = self.run_ns;
                self.calm_ns = 0;
                self.peak = x + offset;
                self.surprise = self.sum;
                self.trend = 0.0;
                self.flags = 0;
                self.note_habit();
                return if self.is_habitual() { Verdict::Normal } else { Verdict::Abnormal { first: true } };
            }
            // Until it is decided, what surprises does not teach.
            return Verdict::Normal;
        }
        let verdict = self.end_run(rules);
        self.learn(x, residual);
        if let Some(season) = season.as_mut() {
            season.learn(time_ns, x + offset - self.slow);
        }
        if let Some(ring) = ring {
            ring.push(time_ns, x + offset, self.interval_s);
        }
        verdict
    }

    /// What surprised is over.
    fn end_run(&mut self, rules: Rules) -> Verdict {
        let (points, surprise) = (self.run, self.sum);
        (self.run, self.sum) = (0, 0.0);
        if points > 0 && surprise >= 0.5 * rules.surprise_min {
            Verdict::Nearly { since_ns: self.run_ns, points, surprise }
        } else {
            Verdict::Normal
        }
    }

    fn is_warm(&self, time_ns: i64) -> bool {
        self.count >= WARM_POINTS && time_ns - self.first_ns >= WARM_NS
    }

    /// Whether the claim is about an event that comes daily and did not come.
    pub fn is_missed(&self) -> bool {
        self.flags & MISSED != 0
    }

    /// What it takes for a value at a time to begin a claim, and which of it holds: why something was not said. Looks
    /// only; `season` is the series' own.
    pub fn explain(&self, time_ns: i64, value: f64, season: Option<&Season>) -> Explanation {
        let offset = season.map_or(0.0, |s| s.offset(time_ns));
        let x = value.clamp(-1e30, 1e30) as f32 - offset;
        let predicted = self.level + self.trend;
        let residual = x - predicted;
        let (surprise, _) = self.judge(residual, x, predicted);
        let run = if self.run > 0 { f32::from(self.run) + 1.0 } else { 1.0 };
        let sum = self.sum + surprise.min(POINT_MOST) - ALLOWANCE;
        let known_s = (time_ns.saturating_sub(self.first_ns)) as f32 / SECOND as f32;
        let condition = |name, found: f32, needed: f32| Condition { name, found, needed, holds: found >= needed };
        let outside = (x - self.high).max(self.low - x);
        let new = (outside / (0.1 * (self.high - self.low)).max(f32::MIN_POSITIVE)).max(self.jump(residual));
        let band = (3.0 * self.scale).max(2.0 * self.spread);
        Explanation {
            expected: predicted + offset,
            low: predicted + offset - band,
            high: predicted + offset + band,
            conditions: [
                condition("points known", self.count as f32, WARM_POINTS as f32),
                condition("seconds known", known_s, WARM_NS as f32 / SECOND as f32),
                condition("surprise of the point", surprise, ALLOWANCE),
                condition("beyond the range, in tenths of it, or a jump", new.min(1e6), 1.0),
                condition(
                    "distance from what was expected",
                    residual.abs(),
                    self.least_effect(predicted, self.jump(residual) > 1.0),
                ),
                condition("points in a row", run, f32::from(RUN_MIN)),
                condition("surprise added up", sum, SUM_MIN),
            ],
        }
    }

    /// Whether it varies at all: constant series need no ring.
    pub fn varies(&self) -> bool {
        self.spread > 1e-6 * self.slow.abs().max(1e-9)
    }

    /// Whether points came so regularly that their absence says something.
    pub fn is_regular(&self) -> bool {
        self.count >= 20 && self.regular >= 16
    }

    /// How far from what was expected the peak lies, in spreads; a series that hardly varies is taken to vary by a tenth.
    pub fn effect(&self) -> f32 {
        (self.peak - self.expected).abs() / self.spread.max(0.1 * self.slow.abs()).max(1e-12)
    }

    /// Points of the series are normal now, whatever they were called: a person said so, or a change explains them.
    pub fn adopt(&mut self) {
        self.since_ns = 0;
        self.calm_ns = 0;
        self.run = 0;
        self.sum = 0.0;
        self.level = self.peak;
        self.slow = self.peak;
        self.trend = 0.0;
        self.low = self.low.min(self.peak);
        self.high = self.high.max(self.peak);
    }

    /// Takes a season up: the level is measured without it from now on.
    pub fn take_season(&mut self, number: u32, season: &Season) {
        self.season = number + 1;
        let reach = season.offsets.iter().map(|o| f32::from(*o).abs() * season.unit).fold(0.0, f32::max);
        self.level -= season.offset(self.last_ns);
        self.trend = 0.0;
        // What was range because of the season is not range any more; the rest is learned anew.
        self.low = (self.low + reach).min(self.slow);
        self.high = (self.high - reach).max(self.slow);
        self.spread *= 0.5;
    }

    fn start(&mut self, time_ns: i64, x: f32) {
        (self.first_ns, self.last_ns) = (time_ns, time_ns);
        (self.level, self.slow, self.low, self.high) = (x, x, x, x);
        (self.tail_edge, self.tail_excess) = (2.5, 0.35);
    }

    fn learn_interval(&mut self, time_ns: i64) {
        let gap = ((time_ns - self.last_ns) as f64 / SECOND) as f32;
        if self.interval_s == 0.0 {
            self.interval_s = gap;
        }
        let usual = gap <= 2.5 * self.interval_s;
        self.regular = if usual { (self.regular + 1).min(1000) } else { self.regular / 2 };
        let most = 4.0 * self.interval_s;
        self.interval_s += 0.1 * (gap.min(most) - self.interval_s);
    }

    /// Surprise of a residual (-log10 of its tail probability) and whether it is large enough to matter.
    fn judge(&self, residual: f32, x: f32, predicted: f32) -> (f32, bool) {
        let floor = self.scale.max(0.01 * self.slow.abs()).max(1e-9);
        let z = residual.abs() / floor;
        let over = (z / self.tail_edge).max(1.0);
        let surprise = -TAIL_SHARE.log10() + over.log10() / self.tail_excess.max(0.12);
        let surprise = if z <= self.tail_edge { 0.0 } else { surprise };
        let reach = 0.1 * (self.high - self.low);
        let out_of_range = x > self.high + reach || x < self.low - reach;
        let needed = self.least_effect(predicted, self.jump(residual) > 1.0);
        let new = out_of_range || self.jump(residual) > 1.0;
        (surprise, surprise > ALLOWANCE && new && residual.abs() >= needed)
    }

    /// How far a value must be from what was expected to matter. A jump is measured by the level alone: the spread of
    /// a series that swings over the week is wide.
    fn least_effect(&self, predicted: f32, jumps: bool) -> f32 {
        let share = 0.2 * predicted.abs().max(self.slow.abs());
        if jumps { share } else { share.max(4.0 * self.spread) }
    }

    /// How far a residual is from being a jump: over 1 it is one. 0 while little is known.
    fn jump(&self, residual: f32) -> f32 {
        if (self.count as f32) < SLOW_POINTS || self.widest <= 0.0 {
            0.0
        } else {
            residual.abs() / (JUMP * self.widest)
        }
    }

    /// Whether a value is back at the level before the adopted one.
    fn comes_home(&self, value: f32) -> bool {
        (value - self.expected).abs() <= self.band.max(0.25 * (self.level - self.expected).abs())
    }

    fn slack_s(&self) -> u32 {
        HABIT_SLACK_S.max((2.0 * self.interval_s) as u32)
    }

    /// An event has begun: is it a day or a week after the last that counts?
    fn note_habit(&mut self) {
        let (at, slack) = (seconds(self.since_ns), self.slack_s());
        let daily = repeats(self.habit, at.saturating_sub(self.habit_s), DAY_S, slack);
        let weekly = repeats(self.week, at.saturating_sub(self.week_s), WEEK_S, slack);
        if let Some(days) = daily {
            (self.habit, self.habit_s, self.missed) = (days, at, 0);
        }
        if let Some(weeks) = weekly {
            (self.week, self.week_s) = (weeks, at);
        }
        if self.habit < HABIT_DAYS && self.week < HABIT_WEEKS {
            (self.habit_size, self.habit_lasts_s) = (0.0, 0.0);
        }
    }

    /// Whether the event that goes on comes daily or weekly.
    fn is_habitual(&self) -> bool {
        let at = seconds(self.since_ns);
        let daily = self.habit >= HABIT_DAYS && at == self.habit_s;
        let weekly = self.week >= HABIT_WEEKS && (at == self.week_s || self.is_holiday_of_habit(at));
        (daily || weekly) && self.flags & MISSED == 0
    }

    /// Whether something that begins at `at` is what comes weekly, on a holiday: at the same time of day.
    fn is_holiday_of_habit(&self, at: u32) -> bool {
        let off = at.abs_diff(self.week_s) % DAY_S;
        off.min(DAY_S - off) <= self.slack_s() && calendar::holiday_at(self.since_ns).is_some()
    }

    /// An event of habit is not said, unless it is twice as large or as long as before.
    fn quietly(&mut self, time_ns: i64, x: f32, verdict: Verdict) -> Verdict {
        let larger = (x - self.level).abs() > 2.0 * self.habit_size.abs();
        let longer = time_ns.saturating_sub(self.since_ns) as f64 / SECOND > 2.0 * f64::from(self.habit_lasts_s);
        match verdict {
            Verdict::Ended => Verdict::Normal,
            _ if larger || longer => {
                self.habit = self.habit.min(HABIT_DAYS - 1);
                self.week = self.week.min(HABIT_WEEKS - 1);
                Verdict::Abnormal { first: true }
            }
            _ => Verdict::Normal,
        }
    }

    /// An event that counts for a habit is over, or has become the level: how far it went, and how long.
    fn end_habit(&mut self, until_ns: i64) {
        let at = seconds(self.since_ns);
        if self.flags & MISSED != 0 || at != self.habit_s && at != self.week_s {
            return;
        }
        let size = self.peak - self.expected;
        self.habit_size = if size.abs() > self.habit_size.abs() { size } else { self.habit_size };
        let lasted_s = (until_ns.saturating_sub(self.since_ns) as f64 / SECOND) as f32;
        self.habit_lasts_s = self.habit_lasts_s.max(lasted_s);
    }

    fn habit_is_missed(&self, time_ns: i64) -> bool {
        let late = seconds(time_ns).saturating_sub(self.habit_s) > DAY_S + self.slack_s();
        self.habit >= HABIT_DAYS - 1 && late && self.run == 0
    }

    /// The daily event has not come: said where it was sure, and it must become so again.
    fn miss_habit(&mut self, value: f32, predicted: f32) -> Verdict {
        let sure = self.habit >= HABIT_SURE;
        self.habit_s = self.habit_s.saturating_add(DAY_S);
        self.missed = self.missed.saturating_add(1);
        self.habit = if self.missed >= HABIT_LOST { 0 } else { HABIT_DAYS - 1 };
        if !sure {
            return Verdict::Normal;
        }
        self.flags = MISSED;
        (self.since_ns, self.calm_ns) = (i64::from(self.habit_s) * SECOND as i64, 0);
        (self.surprise, self.peak) = (SUM_MIN, value);
        (self.expected, self.band) = (predicted + self.habit_size, 0.5 * self.habit_size.abs());
        Verdict::Abnormal { first: true }
    }

    fn go_on(&mut self, time_ns: i64, x: f32, surprise: f32, rules: Rules) -> Verdict {
        // A jump of this size has been said: within the range it is known from now on, until that fades.
        self.widest = self.widest.max((self.peak - self.expected).abs() / JUMP);
        let away = (x - self.expected_now()).abs();
        if away > (self.peak - self.expected).abs() {
            self.peak = x;
            self.surprise = (self.surprise + 0.1 * surprise).min(300.0);
        }
        let back = away < (0.5 * (self.peak - self.expected).abs()).max(self.band);
        if !back {
            self.calm_ns = 0;
            if time_ns - self.since_ns > rules.adopt_ns {
                self.end_habit(time_ns);
                self.peak = x;
                self.adopt();
                self.flags |= AWAY;
                return Verdict::Ended;
            }
            return Verdict::Abnormal { first: false };
        }
        if self.calm_ns == 0 {
            self.calm_ns = time_ns;
        }
        if time_ns - self.calm_ns < rules.settle_ns {
            return Verdict::Abnormal { first: false };
        }
        self.end_habit(self.calm_ns);
        (self.since_ns, self.calm_ns, self.run, self.sum) = (0, 0, 0, 0.0);
        self.level = x;
        Verdict::Ended
    }

    fn expected_now(&self) -> f32 {
        self.level
    }

    fn learn(&mut self, x: f32, residual: f32) {
        let n = self.count as f32;
        let rate = |points: f32| 1.0 / n.min(points).max(2.0);
        let floor = self.scale.max(0.005 * self.slow.abs()).max(1e-9);
        let known = self.count > 10;
        let clipped = if known { residual.clamp(-4.0 * floor, 4.0 * floor) } else { residual };
        self.level += self.trend + rate(LEVEL_POINTS).max(0.2) * clipped;
        self.trend = 0.95 * self.trend + 0.02 * clipped;
        self.scale += rate(SCALE_POINTS) * (clipped.abs() - self.scale);
        let z = residual.abs() / floor;
        let beyond = z > self.tail_edge;
        self.tail_edge *= (0.05 * (f32::from(u8::from(beyond)) - TAIL_SHARE)).exp();
        self.tail_edge = self.tail_edge.clamp(0.5, 50.0);
        if beyond {
            self.tail_excess +=
                0.05 * ((z / self.tail_edge).max(1.0).ln() * std::f32::consts::LOG10_E * 2.0 - self.tail_excess);
        }
        let slow = rate(SLOW_POINTS);
        let wide = x - self.slow;
        let most = if known { 6.0 * self.spread.max(floor) } else { f32::MAX };
        self.slow += slow * wide.clamp(-most, most);
        self.spread += slow * (wide.abs().min(most) - self.spread);
        self.widest = (self.widest * (1.0 - 1.4e-4)).max(residual.abs());
        // The range forgets slowly: half of what lies beyond the level in about 5000 points.
        let fade = 1.4e-4;
        self.high = (self.high - fade * (self.high - self.slow)).max(x);
        self.low = (self.low + fade * (self.slow - self.low)).min(x);
    }
}

/// Whole seconds of a time; before 1970 0.
fn seconds(time_ns: i64) -> u32 {
    u32::try_from((time_ns / SECOND as i64).max(0)).unwrap_or(u32::MAX)
}

/// How often an event has come without a break when it comes again after `gap`: `None` where it is something else in
/// between.
fn repeats(times: u8, gap: u32, period: u32, slack: u32) -> Option<u8> {
    if times > 0 && gap < period.saturating_sub(slack) {
        None
    } else if times > 0 && gap <= period.saturating_add(slack) {
        Some(times.saturating_add(1))
    } else {
        Some(1)
    }
}

impl Ring {
    fn push(&mut self, time_ns: i64, x: f32, interval_s: f32) {
        if self.width_s == 0.0 {
            self.width_s = (4.0 * interval_s).max(1.0);
            self.bucket = self.number(time_ns);
        }
        let number = self.number(time_ns);
        if number == self.bucket {
            self.sum += x;
            self.count += 1;
            return;
        }
        self.close(number);
        (self.bucket, self.sum, self.count) = (number, x, 1);
    }

    fn number(&self, time_ns: i64) -> i64 {
        (time_ns as f64 / SECOND / f64::from(self.width_s)) as i64
    }

    /// Ends the bucket; a gap repeats its mean, a long one starts over.
    fn close(&mut self, next: i64) {
        let mean = if self.count > 0 { self.sum / self.count as f32 } else { 0.0 };
        let steps = next - self.bucket;
        if !(1..=8).contains(&steps) {
            self.len = 0;
            return;
        }
        if self.len == 0 {
            self.base = mean;
        }
        for _ in 0..steps {
            if self.len as usize == RING {
                for i in 0..RING / 2 {
                    self.values[i] = code(0.5 * (number(self.values[2 * i]) + number(self.values[2 * i + 1])));
                }
                self.len = (RING / 2) as u32;
                self.width_s *= 2.0;
                self.tested = 0;
                return;
            }
            self.values[self.len as usize] = code(mean - self.base);
            self.len += 1;
        }
    }

    /// A season, if the ring shows one: looked for when it is half full and when it is full, at each width once.
    pub fn find_season(&mut self) -> Option<Season> {
        let stage = if self.len as usize == RING { 2 } else { u32::from(self.len as usize >= RING / 2) };
        if stage <= self.tested {
            return None;
        }
        self.tested = stage;
        let values = self.values.map(number);
        let values = &values[..self.len as usize];
        let (lag, strength) = best_lag(values)?;
        if strength < 0.5 {
            return None;
        }
        let period_s = natural_period(lag * self.width_s, self.width_s);
        let first = self.bucket - self.len as i64;
        let season = profile(values, first, self.width_s, period_s)?;
        Some(season)
    }
}

/// The lag of the strongest autocorrelation, between buckets by a parabola, and how strong it is.
fn best_lag(values: &[f32]) -> Option<(f32, f32)> {
    let n = values.len();
    let mean = values.iter().sum::<f32>() / n as f32;
    let power: f32 = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n as f32;
    if power <= 0.0 {
        return None;
    }
    let at = |lag: usize| -> f32 {
        let pairs = values.iter().zip(&values[lag..]);
        pairs.map(|(a, b)| (a - mean) * (b - mean)).sum::<f32>() / ((n - lag) as f32 * power)
    };
    let mut best: Option<(usize, f32)> = None;
    // Two whole periods must be seen, and a period must have a shape.
    for lag in 6..=n / 2 - 1 {
        let (before, here, after) = (at(lag - 1), at(lag), at(lag + 1));
        let peak = here >= before && here >= after;
        if peak && best.is_none_or(|(_, b)| here > b + 0.1) {
            best = Some((lag, here));
        }
    }
    let (lag, strength) = best?;
    let (a, b, c) = (at(lag - 1), at(lag), at(lag + 1));
    let bend = a - 2.0 * b + c;
    let shift = if bend.abs() > 1e-6 { (0.5 * (a - c) / bend).clamp(-0.5, 0.5) } else { 0.0 };
    Some((lag as f32 + shift, strength))
}

/// A round period (minutes, hours, day, week) where one is within half a bucket.
fn natural_period(period_s: f32, width_s: f32) -> f32 {
    let round =
        [300.0, 600.0, 900.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0, 21600.0, 28800.0, 43200.0, 86400.0, 604_800.0];
    let near = round.into_iter().find(|r: &f32| (r - period_s).abs() <= 0.6 * width_s);
    near.unwrap_or(period_s)
}

/// The profile of a period; `None` where it takes away less than half of the variance.
fn profile(values: &[f32], first: i64, width_s: f32, period_s: f32) -> Option<Season> {
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    let mut season = Season { period_s, unit: 1.0, ..Season::default() };
    let middle = |i: usize| ((first + i as i64) as f64 + 0.5) * f64::from(width_s) * SECOND;
    let (mut sums, mut counts) = ([0.0_f32; PHASES], [0.0_f32; PHASES]);
    for (i, value) in values.iter().enumerate() {
        // A bucket covers several phases: spread its mean over its width as a triangle.
        let center = season.phase(middle(i) as i64);
        let half = (width_s / period_s * PHASES as f32).max(1.0);
        for (phase, (sum, count)) in sums.iter_mut().zip(&mut counts).enumerate() {
            let distance = (phase as f32 - center).abs();
            let distance = distance.min(PHASES as f32 - distance);
            let weight = (1.0 - distance / half).max(0.0);
            *sum += weight * (value - mean);
            *count += weight;
        }
    }
    let offsets: Vec<f32> = sums.iter().zip(&counts).map(|(s, c)| if *c > 0.0 { s / c } else { 0.0 }).collect();
    let most = offsets.iter().fold(0.0_f32, |m, o| m.max(o.abs()));
    if most <= 0.0 || counts.contains(&0.0) {
        return None;
    }
    season.unit = most / 10_000.0;
    for (stored, offset) in season.offsets.iter_mut().zip(&offsets) {
        *stored = (offset / season.unit) as i16;
    }
    let (mut whole, mut rest) = (0.0, 0.0);
    for (i, value) in values.iter().enumerate() {
        whole += (value - mean).powi(2);
        rest += (value - mean - season.offset(middle(i) as i64)).powi(2);
    }
    (rest < 0.5 * whole).then_some(season)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { surprise_min: SUM_MIN, settle_ns: 60_000_000_000, adopt_ns: 6 * 3600 * 1_000_000_000 };

    struct Noise(u64);

    impl Noise {
        fn unit(&mut self) -> f64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
        }

        fn normal(&mut self) -> f64 {
            (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
        }
    }

    /// Starts of claims over `points` of `signal` every `step_s`, with the season taken up when it is found.
    fn claims(points: usize, step_s: i64, mut signal: impl FnMut(usize, f64) -> f64) -> (Vec<usize>, Option<f32>) {
        let mut stream = Stream::default();
        let (mut ring, mut season): (Ring, Option<Season>) = (Ring::default(), None);
        let mut starts = Vec::new();
        for i in 0..points {
            let time = 1_700_000_000_000_000_000 + i as i64 * step_s * 1_000_000_000;
            let value = signal(i, (time / 1_000_000_000) as f64);
            if stream.observe(time, value, Some(&mut ring), season.as_mut(), RULES)
                == (Verdict::Abnormal { first: true })
            {
                starts.push(i);
            }
            if season.is_none() {
                season = ring.find_season();
                if let Some(found) = &season {
                    stream.take_season(0, found);
                }
            }
        }
        (starts, season.map(|s| s.period_s))
    }

    #[test]
    fn steady_noise_of_any_shape_is_silent() {
        let shapes: [(&str, fn(&mut Noise) -> f64); 7] = [
            ("normal", |n| 100.0 + 5.0 * n.normal()),
            ("log-normal", |n| (1.0 + n.normal()).exp()),
            ("heavy", |n| 50.0 + 3.0 * n.normal() / n.unit().powf(0.4)),
            ("uniform", |n| 10.0 * n.unit()),
            ("counts", |n| (-(n.unit().ln()) * 3.0).floor()),
            ("bimodal", |n| if n.unit() < 0.3 { 100.0 } else { 10.0 } + n.normal()),
            ("rare", |n| if n.unit() < 0.02 { 500.0 } else { 0.0 }),
        ];
        let points = 40_000; // about a week at 15 s
        for (name, shape) in shapes {
            let mut said = 0;
            for seed in 1..=8 {
                let mut noise = Noise(seed * 7919);
                said += claims(points, 15, |_, _| shape(&mut noise)).0.len();
            }
            println!("{name}: {said} claims in {} series-weeks", 8);
            assert!(said <= 2, "{name}: {said} claims in 8 series-weeks");
        }
    }

    #[test]
    fn a_load_cycle_is_silent_from_its_first_turn_and_its_period_is_found() {
        for (period, step) in [(600.0, 10), (600.0, 5), (3600.0, 15), (86_400.0, 300)] {
            let mut noise = Noise(11);
            let turns = if period < 86_400.0 { 8.0 } else { 10.0 };
            let points = (turns * period / step as f64) as usize;
            let (starts, found) = claims(points, step, |_, t| {
                100.0 * (1.0 + 0.5 * (t / period * std::f64::consts::TAU).sin()) + 4.0 * noise.normal()
            });
            assert_eq!(starts, Vec::<usize>::new(), "period {period}");
            assert_eq!(found, Some(period as f32), "step {step}");
        }
    }

    #[test]
    fn shifts_and_bursts_are_found_where_they_begin() {
        for (name, at, change) in [("shift", 500, 60.0), ("drop", 500, -60.0)] {
            let mut noise = Noise(5);
            let (starts, _) = claims(700, 10, |i, _| 100.0 + 3.0 * noise.normal() + if i >= at { change } else { 0.0 });
            assert_eq!(starts.len(), 1, "{name}");
            assert!((at..at + 6).contains(&starts[0]), "{name}: {starts:?}");
        }
    }

    #[test]
    fn a_long_outage_does_not_become_normal() {
        let mut noise = Noise(3);
        let down = |i: usize| (1000..2000).contains(&i) || (4000..4100).contains(&i);
        let (starts, _) = claims(4200, 10, |i, _| if down(i) { 5.0 } else { 100.0 + 3.0 * noise.normal() });
        assert_eq!(starts.iter().filter(|s| (1000..1010).contains(*s)).count(), 1);
        assert_eq!(starts.iter().filter(|s| (4000..4010).contains(*s)).count(), 1, "{starts:?}");
    }

    #[test]
    fn a_near_miss_says_what_was_missing() {
        let mut noise = Noise(5);
        let mut watch = Watch::default();
        let time = |i: i64| 1_700_000_000_000_000_000 + i * 10_000_000_000;
        for i in 0..500 {
            watch.observe(time(i), 100.0 + 3.0 * noise.normal());
        }
        let failing = |value: f64| -> Vec<&str> {
            let explanation = watch.stream().explain(time(500), value, None);
            explanation.conditions.iter().filter(|c| !c.holds).map(|c| c.name).collect()
        };
        assert!(failing(100.0).contains(&"distance from what was expected"), "{:?}", failing(100.0));
        // One far point lacks only others after it.
        assert_eq!(failing(400.0), ["points in a row", "surprise added up"]);
    }

    #[test]
    fn what_is_over_too_soon_is_nearly_said_and_is_said_where_less_suffices() {
        let time = |i: i64| 1_700_000_000_000_000_000 + i * 10_000_000_000;
        let watch = |surprise_min: f32, far: i64, height: f64| {
            let mut noise = Noise(5);
            let mut stream = Stream::default();
            let (mut novelty, mut ring, mut season) = (Novelty::default(), Ring::default(), Season::default());
            let mut said = Vec::new();
            for i in 0..600 {
                let high = if (500..500 + far).contains(&i) { height } else { 100.0 };
                let mut parts = Single { ring: &mut ring, season: &mut season, novelty: &mut novelty };
                let rules = Rules { surprise_min, ..Rules::default() };
                let verdict = stream.watch(time(i), high + 3.0 * noise.normal(), &mut parts, rules).verdict;
                if !matches!(verdict, Verdict::Normal | Verdict::Abnormal { first: false }) {
                    said.push((i, verdict));
                }
            }
            said
        };
        let two = watch(SUM_MIN, 2, 400.0);
        assert!(matches!(two[..], [(502, Verdict::Nearly { points: 2, .. })]), "{two:?}");
        let three = watch(20.0, 3, 150.0);
        let [(503, Verdict::Nearly { points: 3, surprise, since_ns })] = three[..] else { panic!("{three:?}") };
        assert_eq!(since_ns, time(500));
        let eased = watch(surprise - 0.1, 3, 150.0);
        assert!(matches!(eased[0], (502, Verdict::Abnormal { first: true })), "{eased:?}");
    }

    #[test]
    fn no_input_makes_a_score_that_is_not_a_number() {
        let odd = [f64::NAN, f64::INFINITY, 1e308, -1e308, f64::MIN_POSITIVE, 0.0, -0.0, 1.0, 1e-300];
        for stride in 1..odd.len() {
            let mut watch = Watch::default();
            for i in 0..5000 {
                let value = odd[i * stride % odd.len()];
                // Time stands still, jumps and runs backwards now and then.
                let time = [i as i64 * 1_000_000_000, i64::MAX - i as i64, i64::MIN + i as i64, 0][i % 997 % 5 % 4];
                let point = watch.observe(time, value);
                assert!(point.surprise.is_finite() && point.surprise >= 0.0, "{value} at {time}: {point:?}");
                let explanation = watch.stream().explain(time, value, None);
                let found = explanation.conditions.map(|c| c.found);
                assert!(!value.is_finite() || found.iter().all(|f| !f.is_nan()), "{explanation:?}");
            }
        }
    }

    #[test]
    fn what_is_said_at_the_first_change_of_a_constant_is_large_and_does_not_last() {
        let mut watch = Watch::default();
        let time = |i: i64| 1_700_000_000_000_000_000 + i * 60_000_000_000;
        let scores: Vec<f32> =
            (0..2000).map(|i| watch.observe(time(i), if i < 1000 { 7.0 } else { 9.0 }).surprise).collect();
        assert!(scores[1000] > SURPRISE_DEFAULT, "{}", scores[1000]);
        let many = scores.iter().filter(|s| **s >= SURPRISE_DEFAULT).count();
        assert!(many <= 3, "{many} points surprise");
    }

    #[test]
    fn a_constant_series_is_silent_and_its_first_change_ends_some_day() {
        assert_eq!(claims(5000, 10, |_, _| 7.0).0.len(), 0);
        let (starts, _) = claims(9000, 10, |i, _| if i < 500 { 7.0 } else { 9.0 });
        assert_eq!(starts.len(), 1);
    }
}
