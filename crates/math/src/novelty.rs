//! How new a point of a series is: a tail probability from records, in constant time and a fixed number of bytes.
//!
//! Idea: a point is new as far as it lies outside of all that was seen, in three views: the values of its hour of the
//! day (and the hours beside it), the values of all time, and the short-time means of its hour. Each view's distances
//! are calibrated by the series' own history: the eight highest peaks of separate events and their mean log excess
//! (Hill, 1975, on declustered peaks over a threshold, after Leadbetter, 1991) give the probability of a still higher
//! one, so that a series that leaves its range often is believed less each time. The logarithms of the three are added,
//! and what was said lately is taken off: an event is said once, and again only where it becomes clearly newer.
//!
//! The three are not independent and the first days are all new: on steady noise a surprise of 3 comes about twice in a
//! thousand points over the first two weeks and falls slowly (one in a thousand would be exact).
//!
//! Cost: about 60 ns a point, [`Novelty`] is 236 bytes. Fails on: what is unusual but within what the same hour has
//! seen (a pattern in the wrong order, a missing event); seasons longer than a day (their extremes all count as seen);
//! about the first 30 points, when nothing is known. Points far apart (more than an hour) fill their hours slowly.

use bytemuck::{Pod, Zeroable};

const DAY_NS: i64 = 86_400_000_000_000;
/// Hours in which a day is known: fine enough for a working day, coarse enough that each hour is full after one.
const HOURS: usize = 24;
/// Parts of a day in which the short-time means are known; they reach over hours anyway.
const PARTS: usize = 12;
/// Peaks kept of each view; more are steadier and forget slower.
const PEAKS: usize = 8;
/// Memory of the short-time mean, in points.
const MEAN_POINTS: f32 = 12.0;
/// Memory of the mean distance, in points.
const USUAL_POINTS: f32 = 1000.0;
/// Mean log excess before anything is known, and how many peaks that is worth.
const EXCESS: (f32, f32) = (0.3, 3.0);
/// Share of the known history in which what follows a peak belongs to it.
const EVENT_SHARE: f32 = 0.02;
/// Share of the known history in which what was said loses half of its weight against being said again.
const SAID_SHARE: f32 = 0.03;

/// Points before anything is said.
const WARM_POINTS: f32 = 30.0;

/// What is remembered of one series. Values are kept as differences from the first, to three digits.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Novelty {
    base: f32,
    mean: f32,
    /// What was said lately, fading.
    said: f32,
    count: u32,
    all_time: Span,
    value_by_hour: [Span; HOURS],
    mean_by_part: [Span; PARTS],
    records: [Records; 3],
}

impl Default for Novelty {
    fn default() -> Novelty {
        Novelty {
            all_time: Span::NONE,
            value_by_hour: [Span::NONE; HOURS],
            mean_by_part: [Span::NONE; PARTS],
            ..Novelty::zeroed()
        }
    }
}

impl Novelty {
    /// Of a series that was `value` all the time, `count` points from `first_ns` to `last_ns`.
    pub fn after_constant(value: f64, count: u32, first_ns: i64, last_ns: i64) -> Novelty {
        let mut novelty = Novelty { base: value as f32, count, all_time: Span::of(0), ..Novelty::default() };
        let step = DAY_NS / HOURS as i64;
        let hours = (last_ns.saturating_sub(first_ns) / step).clamp(0, HOURS as i64 - 1);
        for back in 0..=hours {
            let time_ns = last_ns.saturating_sub(back * step);
            novelty.value_by_hour[part_of_day::<HOURS>(time_ns)] = Span::of(0);
            novelty.mean_by_part[part_of_day::<PARTS>(time_ns)] = Span::of(0);
        }
        novelty
    }

    /// How surprising the next point is, as -log10 of a tail probability; at least 0 and finite. The point is then
    /// part of what is known.
    pub fn observe(&mut self, time_ns: i64, value: f64) -> f32 {
        let value = value.clamp(-1e30, 1e30);
        if self.count == 0 {
            self.base = value as f32;
        }
        self.count = self.count.saturating_add(1);
        let known = self.count as f32;
        let x = (value - f64::from(self.base)) as f32;
        self.mean += (x - self.mean) / MEAN_POINTS.min(known);
        let (hour, part) = (part_of_day::<HOURS>(time_ns), part_of_day::<PARTS>(time_ns));
        let (value_code, mean_code) = (code(x), code(self.mean));
        let distances = [
            around(&self.value_by_hour, hour).distance(value_code),
            self.all_time.distance(value_code),
            around(&self.mean_by_part, part).distance(mean_code),
        ];
        self.value_by_hour[hour].take(value_code);
        self.all_time.take(value_code);
        self.mean_by_part[part].take(mean_code);
        let surprise: f32 = self.records.iter_mut().zip(distances).map(|(r, d)| r.surprise(d, known)).sum();
        self.said_once(surprise, known)
    }

    /// Takes off what was said lately.
    fn said_once(&mut self, surprise: f32, known: f32) -> f32 {
        let half_life = (SAID_SHARE * known).clamp(20.0, 1000.0);
        let news = (surprise - self.said).max(0.0);
        self.said = (self.said * (-std::f32::consts::LN_2 / half_life).exp()).max(surprise);
        news
    }
}

fn part_of_day<const N: usize>(time_ns: i64) -> usize {
    (time_ns.rem_euclid(DAY_NS) / (DAY_NS / N as i64)) as usize % N
}

/// All of a part of the day and the parts beside it.
fn around<const N: usize>(day: &[Span; N], part: usize) -> Span {
    let beside = [(part + N - 1) % N, part, (part + 1) % N];
    beside.into_iter().fold(Span::NONE, |all, p| all.with(day[p]))
}

/// The upper half of a number's bits: three digits over its whole range.
pub(crate) fn code(x: f32) -> u16 {
    // Half of the last place, so that it rounds.
    ((x + x / 512.0).to_bits() >> 16) as u16
}

/// The number of a [`code`].
pub(crate) fn number(code: u16) -> f32 {
    f32::from_bits(u32::from(code) << 16)
}

/// Lowest and highest value seen, as codes.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Span {
    low: u16,
    high: u16,
}

impl Span {
    /// Nothing seen: infinity and its negative.
    const NONE: Span = Span { low: 0x7f80, high: 0xff80 };

    fn of(code: u16) -> Span {
        Span { low: code, high: code }
    }

    fn with(self, other: Span) -> Span {
        let low = if number(other.low) < number(self.low) { other.low } else { self.low };
        let high = if number(other.high) > number(self.high) { other.high } else { self.high };
        Span { low, high }
    }

    fn take(&mut self, code: u16) {
        *self = self.with(Span::of(code));
    }

    /// How far a value lies outside; 0 where nothing was seen.
    fn distance(self, code: u16) -> f32 {
        if self == Span::NONE {
            return 0.0;
        }
        (number(self.low) - number(code)).max(number(code) - number(self.high)).max(0.0)
    }
}

/// The highest distances of separate events, falling, as codes and in mean distances.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Records {
    usual: f32,
    peaks: [u16; PEAKS],
    /// Points since the latest peak.
    since: u16,
    /// The latest peak.
    latest: u16,
}

impl Records {
    /// Surprise of a distance, which is then known.
    fn surprise(&mut self, distance: f32, known: f32) -> f32 {
        self.usual += (distance - self.usual) / known.min(USUAL_POINTS);
        let height = if distance > 0.0 { distance / self.usual.max(f32::MIN_POSITIVE) } else { 0.0 };
        let surprise = self.judge(height, known);
        self.learn(code(height), known);
        surprise
    }

    fn judge(&self, height: f32, known: f32) -> f32 {
        // A peak counts as no less than a mean distance, so that the first events are judged with care.
        const LEAST: f32 = 1.0;
        let edge = number(self.peaks[PEAKS - 1]).max(LEAST);
        if height <= edge || known < WARM_POINTS {
            return 0.0;
        }
        let over: f32 = self.peaks.iter().map(|p| (number(*p).max(LEAST) / edge).ln()).sum();
        let excess = (over + EXCESS.0 * EXCESS.1) / (PEAKS as f32 - 1.0 + EXCESS.1);
        let beyond = (height / edge).ln() / excess.max(0.05);
        (known / PEAKS as f32).log10().max(0.0) + beyond * std::f32::consts::LOG10_E
    }

    fn learn(&mut self, height: u16, known: f32) {
        self.since = self.since.saturating_add(1);
        let same_event = f32::from(self.since) <= (EVENT_SHARE * known).clamp(5.0, 100.0) && self.latest > 0;
        if same_event {
            if height <= self.latest {
                return;
            }
            if let Some(at) = self.peaks.iter().position(|p| *p == self.latest) {
                self.peaks.copy_within(at + 1.., at);
                self.peaks[PEAKS - 1] = 0;
            }
        } else if height <= self.peaks[PEAKS - 1] {
            return;
        } else {
            self.since = 0;
        }
        // Codes of positive numbers are ordered as the numbers are.
        let at = self.peaks.iter().position(|p| *p < height).unwrap_or(PEAKS - 1);
        self.peaks.copy_within(at..PEAKS - 1, at + 1);
        self.peaks[at] = height;
        self.latest = height;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_NS: i64 = 60_000_000_000;

    fn uniform(seed: &mut u64) -> f64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((*seed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Share of the points of 20 series of two weeks whose surprise reaches each of 2, 3 and 4.
    fn shares(mut shape: impl FnMut(&mut u64) -> f64) -> [f64; 3] {
        let mut counts = [0.0; 3];
        for number in 0..20 {
            let (mut novelty, mut seed) = (Novelty::default(), 77 + number);
            for i in 0..4032 {
                let surprise = novelty.observe(i * 5 * MINUTE_NS, shape(&mut seed));
                (0..3).for_each(|k| counts[k] += f64::from(u8::from(surprise >= 2.0 + k as f32)));
            }
        }
        counts.map(|c| c / (20.0 * 4032.0))
    }

    #[test]
    fn surprise_is_rare_in_steady_noise_of_any_shape() {
        let shapes: [(&str, fn(&mut u64) -> f64); 4] = [
            ("normal", |s| (-2.0 * uniform(s).ln()).sqrt() * (std::f64::consts::TAU * uniform(s)).cos()),
            ("exponential", |s| -uniform(s).ln()),
            ("heavy", |s| uniform(s).powf(-0.7)),
            ("rare", |s| if uniform(s) < 0.02 { 500.0 } else { 0.0 }),
        ];
        for (name, shape) in shapes {
            let found = shares(shape);
            println!("{name}: {found:?}");
            for (k, share) in found.into_iter().enumerate() {
                // The views are not independent and the first days are all new: more than one in 10^s is said.
                let most = [0.008, 0.004, 0.003][k];
                assert!(share <= most, "{name}: {share} at {}", 2 + k);
            }
        }
    }

    #[test]
    fn an_event_is_said_once_and_a_series_of_events_less_each_time() {
        let (mut novelty, mut seed) = (Novelty::default(), 5);
        let spike = |i: i64| i % 500 < 10 && i >= 500;
        let scores: Vec<f32> = (0..6000)
            .map(|i| novelty.observe(i * 5 * MINUTE_NS, uniform(&mut seed) + if spike(i) { 50.0 } else { 0.0 }))
            .collect();
        assert!(scores[500] > 5.0, "{}", scores[500]);
        assert!(scores[501..600].iter().all(|s| *s < 3.3), "{:?}", &scores[501..510]);
        let last = scores[5500..5600].iter().fold(0.0_f32, |m, s| m.max(*s));
        assert!(last < scores[500] / 2.0, "the eleventh spike is said with {last}");
    }

    #[test]
    fn a_value_is_new_at_an_hour_that_never_saw_it() {
        let (mut novelty, mut seed) = (Novelty::default(), 5);
        let day = |i: i64| if (i / 12 % 24) < 12 { 100.0 } else { 10.0 };
        let scores: Vec<f32> = (0..4032)
            .map(|i| {
                let value = if i == 288 * 12 + 60 { 10.0 } else { day(i) };
                novelty.observe(i * 5 * MINUTE_NS, value + uniform(&mut seed))
            })
            .collect();
        assert!(scores[288 * 12 + 60] > 3.3, "{}", scores[288 * 12 + 60]);
    }

    #[test]
    fn numbers_survive_as_three_digits() {
        for x in [0.0, 1.0, -1.0, 1234.5, 1e-20, -1e30] {
            assert!((number(code(x)) - x).abs() <= 0.004 * x.abs(), "{x} became {}", number(code(x)));
        }
        assert_eq!(size_of::<Novelty>(), 236);
    }
}
