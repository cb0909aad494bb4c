//! What one replica can take, learned from its load and its latency.
//!
//! Idea: latency rises as a queue does when load comes near to what can be served: base * (1 + r^(sqrt(2 (c + 1)) - 1) /
//! (c (1 - r))), r being load over capacity and c how many requests a replica serves at once (Sakasegawa, "An
//! approximation formula", Ann. Inst. Stat. Math. 29, 1977; exact for c = 1). Medians of latency by load are fitted in
//! logarithms by least absolute errors, over a grid of capacities and of c; capacities that fit almost as well are the
//! interval. Where latency does not rise, or any high capacity fits as well, that is said instead of a number.
//!
//! Cost: under a millisecond. Fails on: latency that rises for another reason at the same times (a slow database under
//! the same load); replicas of unequal size; throughput that falls under overload.

/// The curve of a replica.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curve {
    /// Latency without load, in the unit of the latencies.
    pub base: f64,
    /// Load at which the queue grows without end, in the unit of the loads.
    pub capacity: f64,
    /// Capacities that explain the data almost as well: from, to.
    pub between: (f64, f64),
    /// Requests served at once, of 1, 2, 4 … 64.
    pub servers: u32,
}

/// Why no capacity can be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Untold {
    /// What is missing.
    pub why: &'static str,
    /// A replica takes at least this: the highest load that was seen without latency running away; 0 of nothing.
    pub at_least: f64,
}

/// Pairs that are needed.
const PAIRS_LEAST: usize = 40;
/// Pairs of like load are joined into so many groups at most.
const GROUPS_MOST: usize = 40;
/// Pairs in a group at least.
const GROUP_LEAST: usize = 5;
/// The highest load over the lowest, at least.
const RANGE_LEAST: f64 = 1.5;
/// Rise of the curve over the loads seen, at least: less could be anything.
const RISE_LEAST: f64 = 1.25;
/// Capacities tried: from just under the highest load to ten times of it.
const TRIED: usize = 150;
const TRIED_FROM: f64 = 0.98;
const TRIED_TO: f64 = 10.0;
/// Utilisation at most, where a load lies at or above the capacity tried.
const BUSY_MOST: f64 = 0.995;
/// Fits whose error is within this share, and this much, of the best are as good.
const AS_GOOD: (f64, f64) = (0.15, 0.003);
/// The interval's end over its start, at most, for a number to be told.
const SURE: f64 = 2.0;

/// Learns the curve from pairs of load per replica and latency at the same time, in any order. Pairs that are not
/// finite or not positive are left out.
pub fn learn(pairs: &[(f64, f64)]) -> Result<Curve, Untold> {
    let mut known: Vec<(f64, f64)> =
        pairs.iter().copied().filter(|(l, y)| l.is_finite() && y.is_finite() && *l > 0.0 && *y > 0.0).collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let groups = groups(&known);
    let at_least = groups.last().map_or(0.0, |g| g.0);
    let untold = |why| Err(Untold { why, at_least });
    if known.len() < PAIRS_LEAST {
        return untold("too few pairs of load and latency");
    }
    if at_least < RANGE_LEAST * groups[0].0 {
        return untold("the load hardly varied");
    }
    let fits = fits(&groups, at_least);
    let Some(best) = fits.iter().min_by(|a, b| a.error.total_cmp(&b.error)).copied() else {
        return untold("no curve fits");
    };
    if best.shape(at_least) < RISE_LEAST * best.shape(groups[0].0) {
        return untold("latency does not rise with load");
    }
    let good = fits.iter().filter(|f| f.error <= best.error * (1.0 + AS_GOOD.0) + AS_GOOD.1);
    let between = good.fold((f64::MAX, 0.0_f64), |(low, high), f| (low.min(f.capacity), high.max(f.capacity)));
    if between.1 > SURE * between.0 {
        return untold("latency rises too little to say where it ends");
    }
    let base = best.log_base.exp();
    Ok(Curve { base, capacity: best.capacity, between, servers: best.servers })
}

impl Curve {
    /// Latency at a load per replica; infinite from the capacity on.
    pub fn latency(&self, load: f64) -> f64 {
        let busy = load.max(0.0) / self.capacity;
        if busy < 1.0 { self.base * queue(busy, self.servers) } else { f64::INFINITY }
    }

    /// The load per replica at which latency reaches a limit; 0 if it lies above it without load.
    pub fn load_at(&self, latency: f64) -> f64 {
        let (mut low, mut high) = (0.0, self.capacity);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if self.latency(middle) <= latency { low = middle } else { high = middle }
        }
        low
    }
}

impl Untold {
    /// What may be planned with where nothing was learned; none of nothing.
    pub fn capacity(&self) -> Option<f64> {
        (self.at_least > 0.0).then_some(self.at_least)
    }
}

/// Latency over that without load.
fn queue(busy: f64, servers: u32) -> f64 {
    let c = f64::from(servers);
    1.0 + busy.powf((2.0 * (c + 1.0)).sqrt() - 1.0) / (c * (1.0 - busy))
}

/// One capacity tried.
#[derive(Clone, Copy, Debug)]
struct Fit {
    capacity: f64,
    servers: u32,
    log_base: f64,
    /// Mean absolute error of the logarithm.
    error: f64,
}

impl Fit {
    fn shape(&self, load: f64) -> f64 {
        queue((load / self.capacity).min(BUSY_MOST), self.servers)
    }
}

/// Median load and latency of pairs with like load.
fn groups(sorted: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let size = (sorted.len().div_ceil(GROUPS_MOST)).max(GROUP_LEAST);
    let median = |part: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| {
        crate::forecast::median(&mut part.iter().map(of).collect::<Vec<_>>())
    };
    sorted.chunks(size).map(|part| (median(part, |p| p.0), median(part, |p| p.1))).collect()
}

fn fits(groups: &[(f64, f64)], highest: f64) -> Vec<Fit> {
    let step = (TRIED_TO / TRIED_FROM).powf(1.0 / (TRIED - 1) as f64);
    let mut fits = Vec::with_capacity(7 * TRIED);
    for servers in (0..7).map(|i| 1_u32 << i) {
        for i in 0..TRIED {
            let mut fit =
                Fit { capacity: highest * TRIED_FROM * step.powi(i as i32), servers, log_base: 0.0, error: 0.0 };
            let mut logs: Vec<f64> = groups.iter().map(|(load, latency)| (latency / fit.shape(*load)).ln()).collect();
            fit.log_base = crate::forecast::median(&mut logs);
            fit.error = logs.iter().map(|l| (l - fit.log_base).abs()).sum::<f64>() / logs.len() as f64;
            if fit.error.is_finite() {
                fits.push(fit);
            }
        }
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    /// Mean latency of 2,000 requests that come by chance, `rate` a second, to servers that each take .1 s on average.
    fn simulated(rate: f64, servers: usize, chance: &mut Chance) -> f64 {
        let mut free = vec![0.0_f64; servers];
        let (mut now, mut sum) = (0.0, 0.0);
        for _ in 0..2000 {
            now -= (1.0 - chance.uniform()).ln() / rate;
            let first = (0..servers).min_by(|a, b| free[*a].total_cmp(&free[*b])).unwrap_or(0);
            let done = free[first].max(now) - 0.1 * (1.0 - chance.uniform()).ln();
            free[first] = done;
            sum += done - now;
        }
        sum / 2000.0
    }

    fn pairs(servers: usize, busiest: f64, seed: u64) -> Vec<(f64, f64)> {
        let mut chance = Chance::new(seed);
        let capacity = 10.0 * servers as f64;
        (0..300)
            .map(|_| {
                let rate = capacity * (0.1 + (busiest - 0.1) * chance.uniform());
                (rate, simulated(rate, servers, &mut chance))
            })
            .collect()
    }

    #[test]
    fn the_capacity_of_a_simulated_queue_is_found() {
        for servers in [1, 4, 16] {
            let capacity = 10.0 * servers as f64;
            let curve = learn(&pairs(servers, 0.95, 3)).unwrap();
            assert!((curve.capacity / capacity - 1.0).abs() < 0.1, "{servers}: {curve:?}");
            assert!((curve.base / 0.1 - 1.0).abs() < 0.15, "{servers}: {curve:?}");
            assert!(curve.between.0 <= curve.capacity && curve.capacity <= curve.between.1);
            let load = curve.load_at(0.2);
            assert!((curve.latency(load) / 0.2 - 1.0).abs() < 1e-6);
        }
        let one = learn(&pairs(1, 0.8, 4)).unwrap();
        assert!((one.capacity / 10.0 - 1.0).abs() < 0.15, "from loads up to 80 %: {one:?}");
    }

    #[test]
    fn outliers_do_not_move_it() {
        let mut dirty = pairs(4, 0.95, 5);
        for (i, pair) in dirty.iter_mut().enumerate() {
            match i % 20 {
                0 => pair.1 *= 30.0,
                1 => pair.1 = f64::NAN,
                2 => pair.0 = -1.0,
                _ => {}
            }
        }
        let curve = learn(&dirty).unwrap();
        assert!((curve.capacity / 40.0 - 1.0).abs() < 0.1, "{curve:?}");
    }

    #[test]
    fn it_says_when_it_cannot_tell() {
        let why = |pairs: &[(f64, f64)]| learn(pairs).unwrap_err();
        assert_eq!(why(&[]), Untold { why: "too few pairs of load and latency", at_least: 0.0 });
        assert_eq!(why(&[]).capacity(), None);
        assert_eq!(why(&[(1.0, 1.0); 10]).why, "too few pairs of load and latency");
        assert_eq!(why(&[(7.0, 1.0); 100]), Untold { why: "the load hardly varied", at_least: 7.0 });
        assert_eq!(why(&[(7.0, 1.0); 100]).capacity(), Some(7.0));
        let flat: Vec<(f64, f64)> = (1..200).map(|i| (f64::from(i), 0.1)).collect();
        assert_eq!(why(&flat).why, "latency does not rise with load");
        let falling: Vec<(f64, f64)> = (1..200).map(|i| (f64::from(i), 1.0 / f64::from(i))).collect();
        assert_eq!(why(&falling).why, "latency does not rise with load");
        let idle = why(&pairs(16, 0.3, 6));
        assert!(idle.at_least > 40.0 && idle.at_least < 50.0, "{idle:?}");
        assert_eq!(why(&[(f64::INFINITY, f64::NAN); 100]).why, "too few pairs of load and latency");
        let huge: Vec<(f64, f64)> = (1..200).map(|i| (1e300 * f64::from(i), 1e300 * f64::from(i % 7 + 1))).collect();
        assert!(learn(&huge).is_err());
    }
}
