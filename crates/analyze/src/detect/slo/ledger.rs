//! What is counted of each objective: bad and all events by minute for six hours, and by some 2,900ths of its window.

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};
use types::{EntityId, Finding, HOUR, MINUTE, Slo, Time};
use view::Column;

/// Ring of minutes: six hours and something to spare. Both rings are whole pages of a [`Column`].
const MINUTES: i64 = 384;
/// Ring of parts of the window.
const PARTS: i64 = 2944;
/// Rows of one objective.
const STRIDE: i64 = MINUTES + PARTS;
/// Longest stretch that is told by minutes.
const BY_MINUTE_NS: i64 = 6 * HOUR;
/// A window has at most so many parts of a multiple of five minutes.
const MOST_PARTS: i64 = 2880;

/// Events of one stretch. A good event that comes apart from its total may make `bad` negative for a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Bin {
    bad: f32,
    total: f32,
}

/// Sum of bins.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    pub bad: f64,
    pub total: f64,
}

impl Sum {
    /// Share of bad events, 0..=1; `None` without events.
    pub fn share(self) -> Option<f64> {
        (self.total > 0.0).then(|| (self.bad / self.total).clamp(0.0, 1.0))
    }
}

/// What is saved of one objective beside its bins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ledger {
    /// As it was counted last; `None` where the slot is free.
    pub slo: Option<Slo>,
    /// Whose events are counted.
    pub entity: Option<EntityId>,
    /// Whether the service ever sent server or consumer spans; if not, its root spans are its requests.
    pub has_entry: bool,
    /// First event.
    pub since: Option<Time>,
    /// Newest minute and part that hold anything.
    minute: Option<i64>,
    part: Option<i64>,
    /// Series that fit but are too many.
    pub left_out: u32,
    pub claim: Option<Claim>,
    /// Until when what was spent was told: the slow tiers look at what is spent after.
    pub told_until: Time,
    /// Minute of the last status.
    pub shown: Option<i64>,
}

/// What was said and goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Claim {
    pub finding: Finding,
    /// Whether it ever was of a fast tier.
    pub page: bool,
}

impl Ledger {
    pub fn free() -> Ledger {
        Ledger {
            slo: None,
            entity: None,
            has_entry: false,
            since: None,
            minute: None,
            part: None,
            left_out: 0,
            claim: None,
            told_until: Time(i64::MIN),
            shown: None,
        }
    }

    /// How long events have been counted, ns.
    pub fn watched_ns(&self, now: Time) -> i64 {
        self.since.map_or(0, |since| now.since(since).max(0))
    }

    fn part_ns(&self) -> i64 {
        let step_ns = 5 * MINUTE;
        let window_ns = self.slo.as_ref().map_or(0, |slo| slo.window_ns);
        step_ns * (window_ns + MOST_PARTS * step_ns - 1).div_euclid(MOST_PARTS * step_ns).max(1)
    }
}

/// The bins of all objectives.
#[derive(Default)]
pub(super) struct Bins(pub Column<Bin>);

impl Bins {
    /// Empties the bins of a slot.
    pub fn clear(&mut self, slot: usize) {
        let first = slot as i64 * STRIDE;
        (first..first + STRIDE).for_each(|row| *self.0.row(row as usize) = Bin::default());
    }

    /// Adds events at a moment that is not after `now`.
    pub fn add(&mut self, slot: usize, ledger: &mut Ledger, at: Time, bad: f64, total: f64) {
        let part_ns = ledger.part_ns();
        let (minute, part) = (at.0.div_euclid(MINUTE), at.0.div_euclid(part_ns));
        let first = slot as i64 * STRIDE;
        self.add_to(first, MINUTES, &mut ledger.minute, minute, bad, total);
        self.add_to(first + MINUTES, PARTS, &mut ledger.part, part, bad, total);
    }

    fn add_to(&mut self, first: i64, length: i64, newest: &mut Option<i64>, at: i64, bad: f64, total: f64) {
        let last = newest.unwrap_or(at);
        // What lies between was never written since the ring last came round.
        for passed in (last + 1).max(at - length + 1)..=at {
            *self.0.row((first + passed.rem_euclid(length)) as usize) = Bin::default();
        }
        *newest = Some(last.max(at));
        if at <= last.max(at) - length {
            return;
        }
        let bin = self.0.row((first + at.rem_euclid(length)) as usize);
        let added = |known: f32, more: f64| (f64::from(known) + more).clamp(-1e30, 1e30) as f32;
        bin.bad = added(bin.bad, bad);
        bin.total = added(bin.total, total);
    }

    /// Events of the last `window_ns` before `now`, but none before `from`. Whole minutes, or parts of the window.
    pub fn sum(&self, slot: usize, ledger: &Ledger, now: Time, window_ns: i64, from: Time) -> Sum {
        let by_minute = window_ns <= BY_MINUTE_NS;
        let width_ns = if by_minute { MINUTE } else { ledger.part_ns() };
        // The bin in which `from` lies holds events from before it too, unless it begins there.
        let whole_from = from.plus(width_ns - 1).0.div_euclid(width_ns);
        let first = now.plus(-window_ns).0.div_euclid(width_ns).max(whole_from);
        let row = slot as i64 * STRIDE;
        let (row, length, newest) =
            if by_minute { (row, MINUTES, ledger.minute) } else { (row + MINUTES, PARTS, ledger.part) };
        let Some(newest) = newest else { return Sum::default() };
        let bins = (first.max(newest - length + 1)..=newest.min(now.0.div_euclid(width_ns)))
            .filter_map(|at| self.0.peek((row + at.rem_euclid(length)) as usize));
        let sum = bins.fold(Sum::default(), |sum, bin| Sum {
            bad: sum.bad + f64::from(bin.bad),
            total: sum.total + f64::from(bin.total),
        });
        Sum { bad: sum.bad.clamp(0.0, sum.total.max(0.0)), total: sum.total.max(0.0) }
    }

    /// Since when it burns: the first minute whose share of bad events reaches `share`, going back as long as no pause
    /// is longer than `pause_ns`, at most `back_ns` and not before `from`.
    pub fn begin(
        &self,
        slot: usize,
        ledger: &Ledger,
        now: Time,
        back_ns: i64,
        pause_ns: i64,
        share: f64,
        from: Time,
    ) -> Time {
        let row = slot as i64 * STRIDE;
        let Some(newest) = ledger.minute else { return now };
        let latest = newest.min(now.0.div_euclid(MINUTE));
        let back = now.plus(-back_ns.min(BY_MINUTE_NS)).max(from.plus(MINUTE - 1)).0.div_euclid(MINUTE);
        let mut begin = latest;
        for minute in (back.max(newest - MINUTES + 1)..=latest).rev() {
            if begin - minute > pause_ns / MINUTE {
                break;
            }
            let bin = self.0.peek((row + minute.rem_euclid(MINUTES)) as usize).copied().unwrap_or_default();
            if bin.bad > 0.0 && f64::from(bin.bad) >= share * f64::from(bin.total) {
                begin = minute;
            }
        }
        Time(begin * MINUTE).max(from).min(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{DAY, Tenant, slo::Indicator};

    fn ledger(window_ns: i64) -> Ledger {
        let slo = Slo {
            name: "x".into(),
            tenant: Tenant::default(),
            service: EntityId::new("service", "", "x"),
            description: String::new(),
            target: 0.9,
            window_ns,
            indicator: Indicator::Requests,
            enabled: true,
        };
        Ledger { slo: Some(slo), ..Ledger::free() }
    }

    #[test]
    fn a_window_has_parts_of_five_minutes_or_a_few_times_that() {
        let part = |days: i64| ledger(days * DAY).part_ns() / MINUTE;
        assert_eq!([1, 7, 28, 30, 90, 365].map(part), [5, 5, 15, 15, 45, 185]);
        for days in 1..=366 {
            assert!(days * DAY / ledger(days * DAY).part_ns() <= MOST_PARTS, "{days}");
        }
    }

    #[test]
    fn rings_forget_what_is_older_than_they_are() {
        let mut bins = Bins::default();
        let mut ledger = ledger(30 * DAY);
        let start = Time(1_750_000_000 * types::SECOND);
        for minute in 0..31 * 24 * 60 {
            bins.add(1, &mut ledger, start.plus(minute * MINUTE), 1.0, 10.0);
        }
        let now = start.plus(31 * DAY - MINUTE);
        let total = |window_ns| bins.sum(1, &ledger, now, window_ns, Time(i64::MIN)).total;
        assert_eq!(total(5 * MINUTE), 60.0);
        assert_eq!(total(6 * HOUR), 3610.0);
        let month = 30.0 * 14_400.0;
        assert!((month..=month + 150.0).contains(&total(30 * DAY)), "{}", total(30 * DAY));
        assert_eq!(bins.sum(1, &ledger, now, HOUR, now.floor(MINUTE)).total, 10.0);
        assert_eq!(bins.sum(1, &ledger, now, HOUR, now).total, 0.0, "a minute that began before is left out");
        assert_eq!(bins.sum(1, &ledger, now.plus(20 * MINUTE), 10 * MINUTE, Time(i64::MIN)).total, 0.0);
        // A long pause leaves nothing of the time before it in the ring.
        let later = now.plus(40 * DAY);
        bins.add(1, &mut ledger, later, 1.0, 1.0);
        assert_eq!(bins.sum(1, &ledger, later, 30 * DAY, Time(i64::MIN)), Sum { bad: 1.0, total: 1.0 });
        // What is older than the ring is left out.
        bins.add(1, &mut ledger, later.plus(-50 * DAY), 1.0, 1.0);
        assert_eq!(bins.sum(1, &ledger, later, 30 * DAY, Time(i64::MIN)).total, 1.0);
        assert_eq!(bins.sum(0, &ledger, later, 30 * DAY, Time(i64::MIN)).total, 0.0);
    }

    #[test]
    fn the_beginning_is_behind_short_pauses_only() {
        let mut bins = Bins::default();
        let mut ledger = ledger(30 * DAY);
        let at = |minute: i64| Time((1_000_000 + minute) * MINUTE);
        for minute in 0..100 {
            let bad = [20, 60, 63, 64, 70, 99].contains(&minute) || (71..99).contains(&minute);
            bins.add(0, &mut ledger, at(minute), f64::from(u8::from(bad)), 10.0);
        }
        let begin = |from| bins.begin(0, &ledger, at(99), HOUR, 5 * MINUTE + MINUTE, 0.05, from);
        assert_eq!(begin(Time(i64::MIN)), at(60));
        assert_eq!(begin(at(62).plus(5)), at(63));
    }
}
