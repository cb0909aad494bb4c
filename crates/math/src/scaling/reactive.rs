//! The rule of the Kubernetes horizontal pod autoscaler, as its documentation tells it.
//!
//! Idea: replicas in proportion to the ratio of utilisation to target; nothing within a tolerance around 1; of the
//! recommendations of the last minutes the highest counts before replicas are taken away; starting replicas count as
//! idle while more are asked for. Source: kubernetes.io, "Horizontal Pod Autoscaling", sections "Algorithm details" and
//! "Default behavior". Utilisation is load over capacity and may exceed 1, as with a metric of requests: a metric of
//! CPU stops at the limit, and the rule then climbs more slowly than here.
//!
//! Cost: some nanoseconds a tick. Fails on: loads that rise faster than replicas start.

use std::collections::VecDeque;

/// Settings of the rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReactiveOptions {
    /// Utilisation to hold, 0..=1.
    pub target: f64,
    /// Ratios of utilisation to target within this of 1 change nothing; 0.1 as in Kubernetes.
    pub tolerance: f64,
    /// Seconds for which a higher recommendation keeps replicas; 300 as in Kubernetes.
    pub down_window_s: f64,
    /// Replicas never fall below this; 1.
    pub replicas_min: usize,
}

impl ReactiveOptions {
    /// The defaults of Kubernetes at a target.
    pub fn at(target: f64) -> ReactiveOptions {
        ReactiveOptions { target, tolerance: 0.1, down_window_s: 300.0, replicas_min: 1 }
    }
}

/// Seconds of one period of the policy that limits how fast replicas are added.
const UP_PERIOD_S: f64 = 15.0;
/// Replicas that may be added in such a period, or as many as there are, whichever is more.
const UP_LEAST: usize = 4;

/// Replicas that run, and those of them that are not ready yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Ready ones.
    pub ready: usize,
    /// Starting ones.
    pub starting: usize,
}

impl Fleet {
    /// All of them.
    pub fn all(self) -> usize {
        self.ready + self.starting
    }
}

/// The rule with what it remembers.
#[derive(Clone, Debug)]
pub struct Reactive {
    options: ReactiveOptions,
    tick_s: f64,
    recommended: VecDeque<usize>,
}

impl Reactive {
    /// A rule that is asked every `tick_s` seconds.
    pub fn new(options: ReactiveOptions, tick_s: f64) -> Reactive {
        Reactive { options, tick_s: tick_s.max(1.0), recommended: VecDeque::new() }
    }

    /// How many replicas there should be, given the newest load and what one replica can take. Where the load is not
    /// known nothing changes.
    pub fn decide(&mut self, load: f64, capacity: f64, fleet: Fleet) -> usize {
        let (all, least) = (fleet.all(), self.options.replicas_min);
        let recommended = recommendation(load, capacity, &self.options, fleet).unwrap_or(all).max(least);
        let window = (self.options.down_window_s / self.tick_s).ceil().max(1.0) as usize;
        self.recommended.push_back(recommended);
        while self.recommended.len() > window {
            self.recommended.pop_front();
        }
        if recommended < all {
            let highest = self.recommended.iter().copied().max().unwrap_or(recommended);
            return highest.min(all);
        }
        recommended.min(self.up_limit(all))
    }

    fn up_limit(&self, all: usize) -> usize {
        let periods = (self.tick_s / UP_PERIOD_S).floor().clamp(1.0, 16.0) as u32;
        all.saturating_mul(2_usize.pow(periods)).max(all + UP_LEAST * periods as usize)
    }
}

/// What the formula alone says, without memory; none where load or capacity is not known.
pub fn recommendation(load: f64, capacity: f64, options: &ReactiveOptions, fleet: Fleet) -> Option<usize> {
    let one = capacity * options.target;
    if !(load.is_finite() && one > 0.0) {
        return None;
    }
    let needed = load.max(0.0) / one;
    // Starting replicas have no load yet; they count as idle where more are asked for, and not at all otherwise.
    let is_more = needed > fleet.ready as f64;
    let of = if is_more { fleet.all() } else { fleet.ready };
    let ratio = needed / of.max(1) as f64;
    let turned = is_more && ratio < 1.0;
    if (ratio - 1.0).abs() <= options.tolerance || turned {
        return Some(fleet.all().max(options.replicas_min));
    }
    Some((needed.min(1e6).ceil() as usize).max(options.replicas_min))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(ready: usize, starting: usize) -> Fleet {
        Fleet { ready, starting }
    }

    #[test]
    fn the_examples_of_the_documentation_hold() {
        let options = ReactiveOptions::at(1.0);
        // "if the current metric value is 200m, and the desired value is 100m, the number of replicas will be doubled"
        assert_eq!(recommendation(10.0, 1.0, &options, fleet(5, 0)), Some(10));
        assert_eq!(
            recommendation(2.5, 1.0, &options, fleet(5, 0)),
            Some(3),
            "half the value: half of them, rounded up"
        );
        assert_eq!(recommendation(5.4, 1.0, &options, fleet(5, 0)), Some(5), "within the tolerance");
        assert_eq!(recommendation(10.0, 1.0, &options, fleet(5, 5)), Some(10), "starting ones are waited for");
        assert_eq!(recommendation(8.0, 1.0, &options, fleet(5, 5)), Some(10), "the direction turned: nothing");
    }

    #[test]
    fn down_waits_for_its_window_and_up_is_limited() {
        let mut rule = Reactive::new(ReactiveOptions::at(0.5), 60.0);
        assert_eq!(rule.decide(5.0, 1.0, fleet(10, 0)), 10);
        let later: Vec<usize> = (0..5).map(|_| rule.decide(2.0, 1.0, fleet(10, 0))).collect();
        assert_eq!(later, [10, 10, 10, 10, 4]);
        let mut rule = Reactive::new(ReactiveOptions::at(0.5), 15.0);
        assert_eq!(rule.decide(500.0, 1.0, fleet(10, 0)), 20);
        assert_eq!(rule.decide(500.0, 1.0, fleet(1, 0)), 5);
    }

    #[test]
    fn what_is_not_known_changes_nothing() {
        let mut rule = Reactive::new(ReactiveOptions::at(0.5), f64::NAN);
        for (load, capacity) in [(f64::NAN, 1.0), (5.0, 0.0), (5.0, f64::NAN), (f64::INFINITY, 1.0), (5.0, -1.0)] {
            assert_eq!(rule.decide(load, capacity, fleet(3, 1)), 4);
        }
        assert_eq!(rule.decide(-5.0, 1.0, fleet(1, 0)), 1, "a negative load is none");
    }
}
