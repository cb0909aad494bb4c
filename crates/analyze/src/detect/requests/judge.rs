//! What is not as usual: pure functions over closed buckets.

use std::collections::VecDeque;

use math::counts::{beta_binomial_upper, negative_binomial_upper, poisson_lower};
use math::log_histogram::LogHistogram;

use super::book::Point;

/// Normal buckets after which a service is judged.
pub(super) const WARM_BUCKETS: usize = 3;
/// -log10 of the tail probability from which something is said: one in a million per test.
pub(in crate::detect) const SURPRISE_MIN: f64 = 6.0;
/// Smallest number of failed requests and smallest rise of their share that is said.
pub(in crate::detect) const ERRORS_MIN: u64 = 5;
pub(in crate::detect) const ERROR_RATIO_RISE_MIN: f64 = 0.05;
/// Requests whose weight the learned error ratio has at most: it is never more certain than that, since quiet
/// minutes do not prove the next one.
const ERROR_PRIOR_MAX: f64 = 1000.0;
/// Slow means at least this many times and this much (µs) above the usual 95th percentile.
const SLOW_FACTOR_MIN: f64 = 2.0;
const SLOW_RISE_MIN_US: f64 = 30_000.0;
/// Requests that latency is judged by at least.
const REQUESTS_MIN: u32 = 10;
/// Share of requests that must be slow.
const SLOW_SHARE_MIN: f64 = 0.2;
/// A tail that got this much worse counts even where few requests are hit.
const TAIL_FACTOR: f64 = 4.0;
const TAIL_RISE_US: f64 = 200_000.0;
/// Load has jumped when it is so many times that of so many buckets before, and so much above what was ever seen.
const JUMP_FACTOR: f64 = 2.2;
const JUMP_BUCKETS: i64 = 3;
const JUMP_OVER_SEEN: f64 = 1.3;
/// Load may double and halve within its cycle; only what leaves the seen range by this factor is said: by less once
/// ten minutes are known.
const RATE_FACTOR: f64 = 3.0;
const RATE_FACTOR_KNOWN: f64 = 2.2;
const RATE_KNOWN_BUCKETS: usize = 60;

/// What is usual, from normal buckets.
#[derive(Clone, Debug, Default)]
pub(super) struct Usual {
    pub buckets: usize,
    pub requests: u64,
    pub errors: u64,
    /// Median of the buckets' 95th percentiles, µs, and the spread of their logarithms.
    pub p95: f64,
    pub p95_sigma: f64,
    pub self_p95: f64,
    pub self_p95_sigma: f64,
    pub self_p50: f64,
    /// Requests in a bucket: least, middle, most.
    pub rate: [f64; 3],
    /// Middle number of spans in a bucket.
    pub spans: f64,
    /// Share of buckets with spans.
    pub present: f64,
}

/// A claim of too many failures.
pub(super) struct Errors {
    pub failed: u64,
    pub of: u64,
    pub usual_ratio: f64,
    pub surprise: f64,
    /// First and last bucket with too many.
    pub start: i64,
    pub end: i64,
}

/// A claim of slowness.
pub(super) struct Slow {
    pub p95_us: f64,
    pub usual_us: f64,
    pub limit_us: f64,
    pub share: f64,
    pub requests: u64,
    pub surprise: f64,
    /// First and last slow bucket.
    pub start: i64,
    pub end: i64,
    /// Whether the service's own time is what grew.
    pub own: bool,
}

/// A claim of far too many or too few requests.
pub(super) struct Rate {
    pub per_bucket: f64,
    pub usual: [f64; 3],
    pub up: bool,
    pub surprise: f64,
    pub start: i64,
}

/// Learns from normal buckets; `None` while there are too few.
pub(super) fn usual(ring: &VecDeque<Point>) -> Option<Usual> {
    if ring.len() < WARM_BUCKETS {
        return None;
    }
    let busy: Vec<&Point> = ring.iter().filter(|p| p.requests >= 5).collect();
    let busy = if busy.len() < WARM_BUCKETS { ring.iter().filter(|p| p.requests > 0).collect() } else { busy };
    let (p95, p95_sigma) = middle_and_spread(busy.iter().map(|p| f64::from(p.p95)));
    let (self_p95, self_p95_sigma) = middle_and_spread(busy.iter().map(|p| f64::from(p.self_p95)));
    let (self_p50, _) = middle_and_spread(busy.iter().map(|p| f64::from(p.self_p50)));
    let mut rates: Vec<u32> = ring.iter().map(|p| p.requests).collect();
    rates.sort_unstable();
    let mut spans: Vec<u32> = ring.iter().map(|p| p.spans).collect();
    spans.sort_unstable();
    let at = |sorted: &[u32], q: f64| f64::from(sorted[((sorted.len() - 1) as f64 * q).round() as usize]);
    Some(Usual {
        buckets: ring.len(),
        requests: ring.iter().map(|p| u64::from(p.requests)).sum(),
        errors: ring.iter().map(|p| u64::from(p.errors)).sum(),
        p95,
        p95_sigma,
        self_p95,
        self_p95_sigma,
        self_p50,
        rate: [at(&rates, 0.02), at(&rates, 0.5), at(&rates, 1.0)],
        spans: at(&spans, 0.5),
        present: spans.iter().filter(|s| **s > 0).count() as f64 / spans.len() as f64,
    })
}

impl Usual {
    /// The learned share of failed requests.
    pub fn error_ratio(&self) -> f64 {
        let (a, b) = self.error_prior();
        a / (a + b)
    }

    fn error_prior(&self) -> (f64, f64) {
        error_prior(self.errors, self.requests)
    }
}

/// Beta prior of the share of failed requests, of so many errors in so many requests. Jeffreys' half an error in fifty
/// requests before anything is known: a service that never failed is expected to fail in one of a hundred, not never.
pub(in crate::detect) fn error_prior(errors: u64, requests: u64) -> (f64, f64) {
    let (a, b) = (0.5 + errors as f64, 49.5 + (requests - errors.min(requests)) as f64);
    let shrink = (ERROR_PRIOR_MAX / (a + b)).min(1.0);
    (a * shrink, b * shrink)
}

/// Whether more requests fail than usual, in the last 30 or 60 seconds.
pub(super) fn judge_errors(recent: &VecDeque<Point>, usual: &Usual, ongoing: bool) -> Option<Errors> {
    let (a, b) = usual.error_prior();
    let usual_ratio = usual.error_ratio();
    let last = recent.back()?.bucket;
    for width in [3, 6] {
        let window = || recent.iter().filter(move |p| p.bucket > last - width);
        let failed: u64 = window().map(|p| u64::from(p.errors)).sum();
        let of: u64 = window().map(|p| u64::from(p.requests)).sum();
        let ratio = failed as f64 / of.max(1) as f64;
        let rise = ratio - usual_ratio;
        let still = ongoing && width == 3 && failed >= 2 && rise >= ERROR_RATIO_RISE_MIN / 2.0;
        // One bucket may be one hiccup.
        let spread = window().filter(|p| p.errors > 0).count() >= 2;
        let large = failed >= ERRORS_MIN && rise >= ERROR_RATIO_RISE_MIN && spread;
        if !still && !large {
            continue;
        }
        let surprise = beta_binomial_upper(failed.min(of), of, a, b);
        if still || surprise >= SURPRISE_MIN {
            let limit = usual_ratio + (rise / 2.0).max(ERROR_RATIO_RISE_MIN / 2.0);
            let bad = |p: &Point| p.errors >= 2 && f64::from(p.errors) > f64::from(p.requests) * limit;
            let (start, end) = run_of(recent, bad).unwrap_or((last, last));
            return Some(Errors { failed, of, usual_ratio, surprise, start, end });
        }
    }
    None
}

/// Whether requests take longer than usual. `common` is the logarithm of the factor by which all services slowed down
/// together: a busy machine slows everything, and only what stands out of that is said.
pub(super) fn judge_latency(recent: &VecDeque<Point>, usual: &Usual, common: f64, ongoing: bool) -> Option<Slow> {
    let limit = slow_limit(usual.p95, usual.p95_sigma, common, ongoing)?;
    let last = recent.back()?.bucket;
    let width = |width| recent.iter().filter(move |p| p.bucket > last - width && p.requests > 0);
    // A quiet service is judged by a whole minute.
    let is_quiet = width(3).map(|p| p.requests).sum::<u32>() < REQUESTS_MIN;
    let window: Vec<&Point> = width(if is_quiet { 6 } else { 3 }).collect();
    let (whole, own) = (merged(&window, |p| &p.latency), merged(&window, |p| &p.self_latency));
    let (share, p95_us) = (whole.share_above(limit), whole.quantile(0.95));
    let share_min = if ongoing { SLOW_SHARE_MIN / 2.0 } else { SLOW_SHARE_MIN };
    let slow = |p: &&Point| p.latency.share_above(limit) >= share_min;
    let slow_buckets = window.iter().filter(|p| slow(p)).count();
    let slow_requests = (share * whole.total() as f64).round() as u64;
    // Two slow buckets are enough where most requests of half a minute are slow: a stall of ten seconds is not.
    let lasts = slow_buckets >= 3 || slow_buckets == 2 && (share >= 0.5 || ongoing);
    let broad = share >= share_min && lasts && slow_requests >= 5 && whole.total() >= u64::from(REQUESTS_MIN);
    let tail_limit = (usual.p95 * TAIL_FACTOR * common.max(0.0).exp()).max(usual.p95 + TAIL_RISE_US);
    let long_tail = window.len() >= 3 && window.iter().all(|p| p.requests >= 20 && f64::from(p.p95) >= tail_limit);
    if !broad && !long_tail {
        return None;
    }
    let surprise = beta_binomial_upper(slow_requests, whole.total(), 1.0, 19.0);
    if !ongoing && !long_tail && surprise < SURPRISE_MIN / 2.0 {
        return None;
    }
    // The service's own time counts as grown where it explains half of the slow requests.
    let own_limit = slow_limit(usual.self_p95, usual.self_p95_sigma, common, ongoing).unwrap_or(f64::MAX);
    let own_share = if own.is_empty() { share } else { own.share_above(own_limit) };
    let (start, end) = run_of(recent, |p| slow(&p)).unwrap_or((last - 1, last));
    Some(Slow {
        p95_us,
        usual_us: usual.p95,
        limit_us: limit,
        share,
        requests: whole.total(),
        surprise,
        start,
        end,
        own: own_share >= share / 2.0,
    })
}

/// Whether far more or far fewer requests come than ever in the remembered quarter of an hour.
pub(super) fn judge_rate(recent: &VecDeque<Point>, usual: &Usual, ongoing: bool) -> Option<Rate> {
    let last = recent.back()?.bucket;
    let window: Vec<&Point> = recent.iter().filter(|p| p.bucket > last - 3).collect();
    if window.len() < 3 {
        return None;
    }
    let sum: u64 = window.iter().map(|p| u64::from(p.requests)).sum();
    let per_bucket = sum as f64 / 3.0;
    let [low, _, high] = usual.rate;
    let factor = if usual.buckets >= RATE_KNOWN_BUCKETS { RATE_FACTOR_KNOWN } else { RATE_FACTOR };
    let factor = if ongoing { factor / 1.5 } else { factor };
    let all_above = window.iter().all(|p| f64::from(p.requests) > high * factor);
    let all_below = window.iter().all(|p| f64::from(p.requests) < low / factor);
    let up = (all_above || jumped(recent, &window, high, ongoing)) && per_bucket - high >= 20.0;
    let down = all_below && low >= 10.0;
    if !up && !down {
        return None;
    }
    let surprise = if up {
        negative_binomial_upper(sum, high.max(1.0) * 3.0, 30.0)
    } else {
        // Against two thirds of the least ever seen: the cycle may have a deeper valley.
        poisson_lower(sum, low * 2.0)
    };
    let enough = ongoing || surprise >= SURPRISE_MIN / 2.0;
    enough.then(|| Rate { per_bucket, usual: usual.rate, up, surprise, start: window[0].bucket })
}

/// Whether load jumped: above all that was seen, and far above the half minute before. A load cycle rises slowly, so
/// that a jump says more than a level.
fn jumped(recent: &VecDeque<Point>, window: &[&Point], high: f64, ongoing: bool) -> bool {
    let first = window[0].bucket;
    let shortly = recent.iter().filter(|p| (first - JUMP_BUCKETS..first).contains(&p.bucket));
    let mut before: Vec<f64> = shortly.map(|p| f64::from(p.requests)).collect();
    let known = ongoing || before.len() as i64 == JUMP_BUCKETS;
    let least = if ongoing { 0.0 } else { median(&mut before) * JUMP_FACTOR };
    known && window.iter().all(|p| f64::from(p.requests) > (high * JUMP_OVER_SEEN).max(least))
}

/// How much slower than usual a service's own time was in the slowest of the last three buckets, as a logarithm;
/// `None` where that cannot be said.
pub(super) fn own_slowdown(recent: &VecDeque<Point>, usual: &Usual) -> Option<f64> {
    let last = recent.back()?.bucket;
    let window = recent.iter().filter(|p| p.bucket > last - 3 && p.requests >= 5 && p.self_p50 > 0);
    let slowest = window.map(|p| p.self_p50).max()?;
    (usual.self_p50 > 0.0).then(|| (f64::from(slowest) / usual.self_p50.max(1.0)).ln())
}

/// Middle of a set of numbers; 0 of none.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 }
}

/// First and last bucket of the latest run of bad buckets; a run goes on over one good bucket.
fn run_of(recent: &VecDeque<Point>, bad: impl Fn(&Point) -> bool) -> Option<(i64, i64)> {
    let mut run: Option<(i64, i64)> = None;
    for point in recent.iter().rev().filter(|p| bad(p)) {
        run = match run {
            None => Some((point.bucket, point.bucket)),
            Some((start, end)) if start - point.bucket <= 2 => Some((point.bucket, end)),
            known => return known,
        };
    }
    run
}

fn slow_limit(p95: f64, sigma: f64, common: f64, ongoing: bool) -> Option<f64> {
    if p95 <= 0.0 {
        return None;
    }
    let together = (1.5 * common.max(0.0)).exp();
    let factor = (4.0 * sigma).exp().clamp(SLOW_FACTOR_MIN, 6.0) * together;
    let limit = (p95 * factor).max(p95 + SLOW_RISE_MIN_US * together);
    Some(if ongoing { p95 + (limit - p95) / 2.0 } else { limit })
}

fn merged<'a>(points: &[&'a Point], part: impl Fn(&'a Point) -> &'a LogHistogram) -> LogHistogram {
    let mut all = LogHistogram::default();
    for point in points {
        all.merge(part(point));
    }
    all
}

/// Median, and the spread of the logarithms as 1.4826 times the median absolute deviation, at least 0.1 and larger
/// while few values are known.
pub(in crate::detect) fn middle_and_spread(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut logs: Vec<f64> = values.filter(|v| *v > 0.0).map(f64::ln).collect();
    if logs.is_empty() {
        return (0.0, 0.0);
    }
    let middle = median(&mut logs);
    let mut off: Vec<f64> = logs.iter().map(|l| (l - middle).abs()).collect();
    let spread = 1.4826 * median(&mut off);
    (middle.exp(), spread.max(0.1) * (1.0 + 2.0 / logs.len() as f64))
}
