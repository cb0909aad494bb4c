//! CPU and memory that a container should ask for, from what it used; and what an advice would have cost.
//!
//! Idea: requests stand for a day or more, so what counts is the worst of the days to come, not of the minutes. CPU is
//! compressible: of each day the newsvendor's quantile (what a missing core costs against a spare one), then the highest
//! of the days looked at, so that a weekend does not shrink Monday. Memory is not: the highest peak, start-up included.
//! Both are raised by how far a day has exceeded all days before it, which a leak or growth does again and again.
//! [`vpa`] is the rule of Kubernetes' vertical autoscaler to compare with: 90th percentile of CPU samples and of daily
//! peaks of memory, weights halved each day, plus 15 % (its recommender's documented defaults). [`replay`] applies a
//! rule day by day to what came after.
//!
//! Cost: a sort a day looked at. Fails on: the first days; growth that speeds up; peaks rarer than the days looked at.

/// One sample of a container.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Cores in use.
    pub cpu_cores: f64,
    /// Memory in use, GiB.
    pub memory_gib: f64,
    /// Seconds since it started.
    pub since_start_s: f64,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Requests {
    /// Cores.
    pub cpu_cores: f64,
    /// GiB.
    pub memory_gib: f64,
}

/// Settings of the advice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SizingOptions {
    /// What a missing core costs over a spare one; 20.
    pub shortage_price: f64,
    /// Days looked at; 14.
    pub days: usize,
    /// Raised by at least this share; 0.15, as the vertical autoscaler does.
    pub margin_least: f64,
    /// Seconds after a start that count as start-up, whose CPU peaks are respected; 300.
    pub start_s: f64,
}

impl Default for SizingOptions {
    fn default() -> SizingOptions {
        SizingOptions { shortage_price: 20.0, days: 14, margin_least: 0.15, start_s: 300.0 }
    }
}

/// Growth from which the margin is taken is at most this share: a first day says nothing of the second.
const MARGIN_MOST: f64 = 1.0;
/// Share of start-ups whose CPU peak is covered.
const STARTS_COVERED: f64 = 0.5;

/// What to ask for; none without samples. `samples` are in order of time, `a_day` of them a day.
pub fn recommend(samples: &[Usage], a_day: usize, options: &SizingOptions) -> Option<Requests> {
    let days = days(samples, a_day, options.days);
    let p = 1.0 - 1.0 / options.shortage_price.max(1.0);
    let cpu: Vec<f64> = days.iter().filter_map(|day| quantile(day, |u| u.cpu_cores, p)).collect();
    let memory: Vec<f64> = days.iter().filter_map(|day| quantile(day, |u| u.memory_gib, 1.0)).collect();
    let starting: Vec<Usage> = days.concat().into_iter().filter(|u| u.since_start_s < options.start_s).collect();
    let start = quantile(&starting, |u| u.cpu_cores, STARTS_COVERED).unwrap_or(0.0);
    Some(Requests {
        cpu_cores: raised(&cpu, options.margin_least)?.max(start),
        memory_gib: raised(&memory, options.margin_least)?,
    })
}

/// The highest day, raised by the most that a day exceeded all before it.
fn raised(by_day: &[f64], margin_least: f64) -> Option<f64> {
    let mut highest = *by_day.first()?;
    let mut margin = margin_least.max(0.0);
    for day in &by_day[1..] {
        if highest > 0.0 {
            margin = margin.max(day / highest - 1.0);
        }
        highest = highest.max(*day);
    }
    Some(highest * (1.0 + margin.min(MARGIN_MOST)))
}

/// The rule of the vertical autoscaler; none without samples.
pub fn vpa(samples: &[Usage], a_day: usize) -> Option<Requests> {
    let (percentile, margin, days_most) = (0.9, 1.15, 8);
    let a_day = a_day.max(1);
    let newest = &samples[samples.len().saturating_sub(days_most * a_day)..];
    let weight = |i: usize| 0.5_f64.powf((newest.len() - i) as f64 / a_day as f64);
    let cpu: Vec<(f64, f64)> = newest.iter().enumerate().map(|(i, u)| (u.cpu_cores, weight(i))).collect();
    let days = days(newest, a_day, days_most);
    let peaks = days.iter().filter_map(|day| quantile(day, |u| u.memory_gib, 1.0)).collect::<Vec<_>>();
    let peaks: Vec<(f64, f64)> =
        peaks.iter().rev().enumerate().map(|(back, peak)| (*peak, 0.5_f64.powi(back as i32))).collect();
    Some(Requests {
        cpu_cores: weighted_quantile(&cpu, percentile)? * margin,
        memory_gib: weighted_quantile(&peaks, percentile)? * margin,
    })
}

/// Whole days back from the newest sample, the oldest first; the first may be a part of one.
fn days(samples: &[Usage], a_day: usize, most: usize) -> Vec<&[Usage]> {
    let mut days: Vec<&[Usage]> = samples.rchunks(a_day.max(1)).take(most.max(1)).collect();
    days.reverse();
    days
}

fn quantile(samples: &[Usage], of: fn(&Usage) -> f64, p: f64) -> Option<f64> {
    let mut known: Vec<f64> = samples.iter().map(of).filter(|v| v.is_finite() && *v >= 0.0).collect();
    known.sort_unstable_by(f64::total_cmp);
    known.get(((known.len().max(1) - 1) as f64 * p).ceil() as usize).copied()
}

fn weighted_quantile(values: &[(f64, f64)], p: f64) -> Option<f64> {
    let mut known: Vec<(f64, f64)> = values.iter().copied().filter(|(v, _)| v.is_finite() && *v >= 0.0).collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all: f64 = known.iter().map(|k| k.1).sum();
    let mut below = 0.0;
    let found = known.iter().find(|(_, weight)| {
        below += weight;
        below >= p * all
    });
    found.or(known.last()).map(|k| k.0)
}

/// Prices of a month, in any currency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prices {
    /// A core for an hour.
    pub core_hour: f64,
    /// A GiB for an hour.
    pub gib_hour: f64,
}

/// What a rule came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Regret {
    /// Times that memory exceeded what was asked for, once a day and start at most: the container is killed.
    pub kills: usize,
    /// Minutes in which CPU exceeded it.
    pub throttled_minutes: f64,
    /// What the requests cost.
    pub cost: f64,
    /// What they cost beyond those that, day by day in hindsight, just suffice.
    pub wasted: f64,
}

/// Applies a rule at the start of each day to the day that follows, from the second on. `rule` sees what came before.
/// The requests are the limits too, which is the strictest use of an advice.
pub fn replay(
    samples: &[Usage],
    a_day: usize,
    prices: &Prices,
    rule: impl Fn(&[Usage], usize) -> Option<Requests>,
) -> Regret {
    let mut regret = Regret::default();
    let a_day = a_day.max(1);
    let minutes = 1440.0 / a_day as f64;
    for (d, day) in samples.chunks(a_day).enumerate().skip(1) {
        let Some(asked) = rule(&samples[..d * a_day], a_day) else { continue };
        let price = |r: &Requests| {
            (r.cpu_cores * prices.core_hour + r.memory_gib * prices.gib_hour) * day.len() as f64 * minutes / 60.0
        };
        let just = Requests {
            cpu_cores: quantile(day, |u| u.cpu_cores, 1.0).unwrap_or(0.0),
            memory_gib: quantile(day, |u| u.memory_gib, 1.0).unwrap_or(0.0),
        };
        let over = day.iter().filter(|u| u.cpu_cores > asked.cpu_cores).count();
        regret.throttled_minutes += over as f64 * minutes;
        regret.kills += usize::from(just.memory_gib > asked.memory_gib);
        regret.cost += price(&asked);
        regret.wasted += (price(&asked) - price(&just)).max(0.0);
    }
    regret
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    const A_DAY: usize = 288;
    const PRICES: Prices = Prices { core_hour: 0.03, gib_hour: 0.004 };

    /// Thirty days: busy on working days, memory with a peak each day and at a start, growing by so much a day.
    fn container(growth: f64, chance: &mut Chance) -> Vec<Usage> {
        let mut samples = Vec::new();
        let mut since_start_s = 0.0;
        for t in 0..30 * A_DAY {
            let day = t / A_DAY;
            let is_free = day % 7 >= 5;
            let wave = (t as f64 / A_DAY as f64 * std::f64::consts::TAU).sin().max(0.0);
            let is_start = t % A_DAY == 0 && day.is_multiple_of(3);
            since_start_s = if is_start { 0.0 } else { since_start_s + 300.0 };
            let cpu = 0.2 + if is_free { 0.1 } else { 1.0 } * wave + 0.05 * chance.normal().abs();
            let peak = if t % A_DAY == 100 { 0.3 * chance.normal().abs() } else { 0.0 };
            let memory = (1.0 + peak + 0.02 * chance.normal()) * (1.0 + growth).powi(day as i32);
            let (cpu_cores, memory_gib) = if is_start { (cpu + 1.0, memory * 1.5) } else { (cpu, memory) };
            samples.push(Usage { cpu_cores, memory_gib, since_start_s });
        }
        samples
    }

    #[test]
    fn no_more_kills_and_far_less_throttling_than_the_rule() {
        let (mut ours, mut theirs) = (Regret::default(), Regret::default());
        let mut chance = Chance::new(1);
        let add = |sum: &mut Regret, r: Regret| {
            sum.kills += r.kills;
            sum.throttled_minutes += r.throttled_minutes;
            sum.cost += r.cost;
            sum.wasted += r.wasted;
        };
        for growth in [0.0, 0.0, 0.02] {
            let samples = container(growth, &mut chance);
            let options = SizingOptions::default();
            add(&mut ours, replay(&samples, A_DAY, &PRICES, |s, d| recommend(s, d, &options)));
            add(&mut theirs, replay(&samples, A_DAY, &PRICES, vpa));
        }
        assert!(ours.kills <= theirs.kills, "{ours:?} {theirs:?}");
        assert!(ours.throttled_minutes * 10.0 < theirs.throttled_minutes, "{ours:?} {theirs:?}");
        assert!(ours.cost < 1.6 * theirs.cost, "{ours:?} {theirs:?}");
    }

    #[test]
    fn start_up_peaks_are_respected() {
        let usage = |t: usize| {
            let is_start = t.is_multiple_of(A_DAY);
            let since_start_s = if is_start { 0.0 } else { 1e4 };
            Usage {
                cpu_cores: if is_start { 2.0 } else { 0.1 },
                memory_gib: if is_start { 3.0 } else { 1.0 },
                since_start_s,
            }
        };
        let samples: Vec<Usage> = (0..5 * A_DAY).map(usage).collect();
        let asked = recommend(&samples, A_DAY, &SizingOptions::default()).unwrap();
        assert!((asked.cpu_cores - 2.0).abs() < 1e-9 && (asked.memory_gib - 3.45).abs() < 1e-9, "{asked:?}");
        let rule = vpa(&samples, A_DAY).unwrap();
        assert!((rule.cpu_cores - 0.115).abs() < 1e-9 && (rule.memory_gib - 3.45).abs() < 1e-9, "{rule:?}");
    }

    #[test]
    fn bad_input_gives_nothing_or_numbers() {
        let options = SizingOptions::default();
        assert_eq!(recommend(&[], A_DAY, &options), None);
        assert_eq!(vpa(&[], A_DAY), None);
        let usage = |v: f64| Usage { cpu_cores: v, memory_gib: v, since_start_s: v };
        assert_eq!(recommend(&[usage(f64::NAN); 9], A_DAY, &options), None);
        assert_eq!(recommend(&[usage(-1.0); 9], A_DAY, &options), None);
        let odd = SizingOptions { shortage_price: f64::NAN, days: 0, margin_least: f64::NAN, start_s: f64::NAN };
        assert!(recommend(&[usage(f64::NAN), usage(f64::INFINITY), usage(1.0)], 0, &odd).is_some());
        let steady = vec![usage(1.0); 10 * A_DAY];
        let regret = replay(&steady, A_DAY, &PRICES, |s, d| recommend(s, d, &options));
        assert_eq!((regret.kills, regret.throttled_minutes), (0, 0.0));
        assert!((regret.wasted / regret.cost - 0.15 / 1.15).abs() < 1e-9);
        assert_eq!(replay(&steady, 0, &PRICES, |_, _| None), Regret::default());
    }
}
