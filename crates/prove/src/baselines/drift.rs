//! Detectors of drift that others use, from their papers, with the settings they come with. Each takes the errors of a
//! model one by one (1 wrong, 0 right), answers whether they have become more, and begins anew after an alarm.

use std::collections::VecDeque;

/// Takes an error, answers whether it is an alarm.
pub type ErrorDetector = Box<dyn FnMut(f64) -> bool>;

/// All of them by name.
pub const ALL: [(&str, fn() -> ErrorDetector); 4] = [
    ("DDM", || Box::new(ddm())),
    ("HDDM_W", || Box::new(hddm_w())),
    ("ADWIN", || Box::new(adwin())),
    ("Page-Hinkley", || Box::new(page_hinkley())),
];

/// Errors before DDM and Page-Hinkley say anything.
const WARM: f64 = 30.0;

/// Gama, Medas, Castillo and Rodrigues, "Learning with drift detection", SBIA 2004: the error rate and its deviation
/// stand three deviations above their least.
pub fn ddm() -> impl FnMut(f64) -> bool {
    let (mut count, mut rate, mut least) = (0.0, 0.0, (f64::INFINITY, f64::INFINITY));
    move |error| {
        count += 1.0;
        rate += (error - rate) / count;
        let deviation: f64 = (rate * (1.0 - rate) / count).sqrt();
        if count < WARM {
            return false;
        }
        if rate + deviation <= least.0 + least.1 {
            least = (rate, deviation);
        }
        let is_alarm = rate + deviation > least.0 + 3.0 * least.1;
        if is_alarm {
            (count, rate, least) = (0.0, 0.0, (f64::INFINITY, f64::INFINITY));
        }
        is_alarm
    }
}

/// A mean with weights that fall exponentially, and the sum of their squares.
#[derive(Clone, Copy)]
struct Weighted {
    mean: f64,
    squares: f64,
}

impl Weighted {
    const WEIGHT: f64 = 0.05;

    fn with(before: Option<Weighted>, value: f64) -> Weighted {
        let (w, keep) = (Weighted::WEIGHT, 1.0 - Weighted::WEIGHT);
        before.map_or(Weighted { mean: value, squares: 1.0 }, |b| Weighted {
            mean: w * value + keep * b.mean,
            squares: w * w + keep * keep * b.squares,
        })
    }
}

/// Frías-Blanco et al., "Online and non-parametric drift detection methods based on Hoeffding's bounds", IEEE TKDE
/// 2015, the W test, one-sided, with weight .05 and confidence .001.
pub fn hddm_w() -> impl FnMut(f64) -> bool {
    let per_square = (1000.0_f64).ln() / 2.0;
    let (mut total, mut least, mut since) = (None, None::<Weighted>, None::<Weighted>);
    let mut least_bound = f64::INFINITY;
    move |error| {
        let now = Weighted::with(total, error);
        total = Some(now);
        let bound = now.mean + (now.squares * per_square).sqrt();
        if bound < least_bound {
            (least_bound, least, since) = (bound, Some(now), None);
        } else {
            since = Some(Weighted::with(since, error));
        }
        let (Some(before), Some(after)) = (least, since) else { return false };
        let is_alarm = after.mean - before.mean > ((before.squares + after.squares) * per_square).sqrt();
        if is_alarm {
            (total, least, since, least_bound) = (None, None, None, f64::INFINITY);
        }
        is_alarm
    }
}

/// Buckets of one size that ADWIN keeps before it joins two.
const BUCKETS: usize = 5;
/// Errors between two looks of ADWIN for a cut, and the least on each side of one.
const LOOK_EVERY: u64 = 32;
const SIDE_MIN: f64 = 5.0;
const ADWIN_DELTA: f64 = 0.002;

/// Bifet and Gavaldà, "Learning from time-changing data with adaptive windowing", SDM 2007, with delta .002: a window
/// of exponential buckets that is cut where its two parts differ. An alarm is a cut after which errors are more.
pub fn adwin() -> impl FnMut(f64) -> bool {
    // Newest first: errors and their number, a power of two.
    let mut buckets: VecDeque<(f64, f64)> = VecDeque::new();
    let mut seen = 0_u64;
    move |error| {
        buckets.push_front((error, 1.0));
        join(&mut buckets);
        seen += 1;
        if !seen.is_multiple_of(LOOK_EVERY) {
            return false;
        }
        let mut is_alarm = false;
        while let Some(rose) = cut(&buckets) {
            buckets.pop_back();
            is_alarm |= rose;
        }
        if is_alarm {
            (buckets, seen) = (VecDeque::new(), 0);
        }
        is_alarm
    }
}

fn join(buckets: &mut VecDeque<(f64, f64)>) {
    let mut start = 0;
    while let Some((_, size)) = buckets.get(start).copied() {
        let alike = buckets.range(start..).take_while(|b| b.1 == size).count();
        if alike <= BUCKETS {
            return;
        }
        let oldest = start + alike - 1;
        buckets[oldest - 1] = (buckets[oldest - 1].0 + buckets[oldest].0, 2.0 * size);
        buckets.remove(oldest);
        start = oldest - 1;
    }
}

/// Whether some cut shows two different means; and if so, whether the newer is the higher.
fn cut(buckets: &VecDeque<(f64, f64)>) -> Option<bool> {
    let (sum, count) = buckets.iter().fold((0.0, 0.0), |(s, c), b| (s + b.0, c + b.1));
    let mean = sum / count;
    let (variance, confidence) = (mean * (1.0 - mean), (2.0 * count.ln() / ADWIN_DELTA).ln());
    let (mut new_sum, mut new_count) = (0.0, 0.0);
    for bucket in buckets {
        (new_sum, new_count) = (new_sum + bucket.0, new_count + bucket.1);
        let old_count = count - new_count;
        if new_count < SIDE_MIN || old_count < SIDE_MIN {
            continue;
        }
        let inverse = 1.0 / new_count + 1.0 / old_count;
        let bound = (2.0 * inverse * variance * confidence).sqrt() + 2.0 / 3.0 * inverse * confidence;
        let difference = new_sum / new_count - (sum - new_sum) / old_count;
        if difference.abs() > bound {
            return Some(difference > 0.0);
        }
    }
    None
}

/// Page, "Continuous inspection schemes", Biometrika 1954, in the form of Gama et al., "On evaluating stream learning
/// algorithms", 2013: allowance .005, threshold 50, forgetting .9999.
pub fn page_hinkley() -> impl FnMut(f64) -> bool {
    let (mut count, mut mean, mut sum, mut least) = (0.0, 0.0, 0.0, f64::INFINITY);
    move |error| {
        count += 1.0;
        mean += (error - mean) / count;
        sum = 0.9999 * sum + error - mean - 0.005;
        least = f64::min(least, sum);
        let is_alarm = count >= WARM && sum - least > 50.0;
        if is_alarm {
            (count, mean, sum, least) = (0.0, 0.0, 0.0, f64::INFINITY);
        }
        is_alarm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_find_a_jump_and_say_it_once() {
        let chances = super::super::random(12_000, 7);
        let errors: Vec<f64> =
            chances.iter().enumerate().map(|(i, u)| f64::from(u8::from(*u < [0.1, 0.6][i / 10_000]))).collect();
        for (name, new) in ALL {
            let mut detector = new();
            let alarms: Vec<usize> = (0..errors.len()).filter(|i| detector(errors[*i])).collect();
            assert!(alarms.iter().any(|a| (10_000..10_400).contains(a)), "{name}: {alarms:?}");
            assert!(alarms.len() <= 3, "{name}: {alarms:?}");
        }
    }

    #[test]
    fn buckets_of_a_window_grow_by_powers_of_two() {
        let mut buckets = VecDeque::new();
        for _ in 0..100 {
            buckets.push_front((1.0, 1.0));
            join(&mut buckets);
        }
        assert_eq!(buckets.iter().map(|b| b.1).sum::<f64>(), 100.0);
        assert!(buckets.iter().zip(buckets.iter().skip(1)).all(|(new, old)| new.1 <= old.1 && old.0 == old.1));
        assert!(buckets.len() <= 6 * BUCKETS);
    }

    #[test]
    fn the_deviation_of_ddm_by_hand() {
        // 30 right ones: rate 0, deviation 0; the first error is then above any multiple of it.
        let mut ddm = ddm();
        assert!((0..30).all(|_| !ddm(0.0)));
        assert!(ddm(1.0));
    }
}
