//! How many replicas there should be, from what the load may be when they are ready.
//!
//! Idea: a replica that is ordered now is ready after its start-up time, so what counts is the load then; one that is
//! taken away now cannot be had back before. Each count of replicas costs its replicas and, with the probability that
//! the load exceeds what they can take, a minute in which users wait: the cheapest count is taken (the newsvendor's
//! trade-off; Arrow, Harris and Marschak 1951). Replicas go only when no moment until a new one could be ready asks for
//! them. The reactive rule at the user's upper target is a floor at all times.
//!
//! Cost: some hundred nanoseconds a decision besides the outlooks. Fails where the outlook fails; the floor then acts as
//! the autoscaler would.

use std::collections::VecDeque;

use super::{
    outlook::Outlook,
    reactive::{Fleet, ReactiveOptions, recommendation},
};

/// Settings of the plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlanOptions {
    /// What a minute over capacity costs, in minutes of a replica: the one dial between cost and violations. 100 unless
    /// said otherwise.
    pub violation_price: f64,
    /// Utilisation that must not be exceeded for good, 0..=1: the floor is the reactive rule at this target. 0.8.
    pub target_max: f64,
    /// Seconds for which a replica that was asked for stays; 120: one that goes sooner is often ordered again, and paid
    /// for while it starts.
    pub hold_s: f64,
    /// Replicas never fall below this; 1.
    pub replicas_min: usize,
    /// Nor rise above this; 10,000.
    pub replicas_max: usize,
}

/// Loads looked at are at most so many times the expected one: capacity for more is not held in stock.
const LOAD_MOST: f64 = 8.0;

impl Default for PlanOptions {
    fn default() -> PlanOptions {
        PlanOptions { violation_price: 100.0, target_max: 0.8, hold_s: 120.0, replicas_min: 1, replicas_max: 10_000 }
    }
}

/// What each count of replicas risks at one moment.
#[derive(Clone, Debug)]
pub struct Need {
    /// The count that the expected load needs.
    first: usize,
    /// Probability that the load exceeds what so many take, from the first on.
    exceeded: Vec<f64>,
}

/// Below this a probability is no reason for a replica at any price.
const PROBABILITY_LEAST: f64 = 1e-9;
/// Counts looked at, from the first on.
const COUNTS_MOST: usize = 2_000;

impl Need {
    /// Of an outlook; none where the capacity of a replica is not known.
    pub fn new(outlook: &Outlook, capacity: f64) -> Option<Need> {
        let first = (outlook.expected() / capacity).ceil().max(1.0);
        if !(capacity > 0.0 && first.is_finite()) {
            return None;
        }
        let most = outlook.expected() * LOAD_MOST + 4.0 * capacity;
        let counts = (0..COUNTS_MOST).map(|i| capacity * (first + i as f64)).take_while(|level| *level <= most);
        let exceeded = counts.map(|level| outlook.probability_above(level));
        let exceeded = exceeded.take_while(|p| *p > PROBABILITY_LEAST).collect();
        Some(Need { first: first.min(1e9) as usize, exceeded })
    }

    /// The count at which replicas and expected violations together cost least.
    fn cheapest(&self, violation_price: f64) -> usize {
        let (mut best, mut least) = (0, f64::INFINITY);
        for (more, p) in self.exceeded.iter().chain(&[0.0]).enumerate() {
            let cost = more as f64 + violation_price * p;
            if cost < least {
                (best, least) = (more, cost);
            }
            // Nothing beyond can be cheaper than its replicas alone.
            if more as f64 >= least {
                break;
            }
        }
        self.first + best
    }
}

/// The plan with what it remembers.
#[derive(Clone, Debug)]
pub struct Planner {
    options: PlanOptions,
    hold_ticks: usize,
    /// What was asked for lately, without the floor.
    asked: VecDeque<usize>,
}

impl Planner {
    /// A plan that is asked every `tick_s` seconds.
    pub fn new(options: PlanOptions, tick_s: f64) -> Planner {
        let hold_ticks = (options.hold_s / tick_s.max(1.0)).ceil().max(1.0) as usize;
        Planner { options, hold_ticks, asked: VecDeque::new() }
    }

    /// Replicas from the newest load, the capacity of one and what may come: `near` holds the needs before a replica
    /// that is ordered now is ready, `then` the one when it is. Without the latter the reactive rule decides alone;
    /// without a load nothing changes.
    pub fn decide(&mut self, load: f64, capacity: f64, fleet: Fleet, near: &[Need], then: Option<&Need>) -> usize {
        let options = &self.options;
        let (least, most) = (options.replicas_min, options.replicas_max.max(options.replicas_min));
        let floor_rule = ReactiveOptions { replicas_min: least, ..ReactiveOptions::at(options.target_max) };
        let Some(floor) = recommendation(load, capacity, &floor_rule, fleet) else {
            return fleet.all().clamp(least, most);
        };
        let price = options.violation_price.max(0.0);
        let ordered = then.map_or(0, |need| need.cheapest(price));
        let kept = near.iter().map(|need| need.cheapest(price)).max().unwrap_or(0);
        self.asked.push_back(ordered);
        while self.asked.len() > self.hold_ticks {
            self.asked.pop_front();
        }
        let held = self.asked.iter().copied().max().unwrap_or(0);
        ordered.max(kept.max(held).min(fleet.all())).max(floor).clamp(least, most)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::outlook::LoadModel, *};

    const TICK_S: f64 = 60.0;

    /// Replicas after a history, with two minutes to start.
    fn planned(loads: &[f64], fleet: Fleet, options: &PlanOptions) -> usize {
        let mut model = LoadModel::new(TICK_S, &[1, 2, 3]);
        loads.iter().for_each(|load| model.add(*load));
        let mut needs: Vec<Need> = model.outlooks().filter_map(|(_, o)| Need::new(&o, 10.0)).collect();
        let then = needs.pop();
        let newest = loads.last().copied().unwrap_or(f64::NAN);
        Planner::new(*options, TICK_S).decide(newest, 10.0, fleet, &needs, then.as_ref())
    }

    fn ready(ready: usize) -> Fleet {
        Fleet { ready, starting: 0 }
    }

    #[test]
    fn a_steady_load_needs_the_floor_and_a_dear_violation_more() {
        let loads = [100.0; 2000];
        let at =
            |violation_price| planned(&loads, ready(13), &PlanOptions { violation_price, ..PlanOptions::default() });
        assert_eq!(at(100.0), 13, "100 / (10 * .8), rounded up");
        assert!(at(1e6) > 13, "the price of a violation buys replicas against surprise");
        let counts: Vec<usize> = (0..7).map(|i| at(10_f64.powi(i))).collect();
        assert!(counts.is_sorted(), "{counts:?}");
    }

    #[test]
    fn a_peak_of_every_day_is_met_ahead() {
        let rise = |minute: usize| (minute as f64 - 570.0).clamp(0.0, 30.0) * 10.0;
        let load = |t: usize| 100.0 + if t % 1440 < 660 { rise(t % 1440) } else { 0.0 };
        let loads: Vec<f64> = (0..10 * 1440 + 596).map(load).collect();
        let dear = PlanOptions { violation_price: 1000.0, ..PlanOptions::default() };
        // The newest load is 350, of minute 595: a replica that is ordered now is ready in minute 598, at 380.
        let (ahead, quiet) = (planned(&loads, ready(13), &dear), planned(&loads[..loads.len() - 60], ready(13), &dear));
        assert!((38..50).contains(&ahead), "{ahead}");
        assert!(quiet < 20, "not an hour ahead: {quiet}");
    }

    #[test]
    fn the_floor_is_the_reactive_rule() {
        let mut loads = vec![100.0; 2000];
        loads.push(900.0);
        let cheap = PlanOptions { violation_price: 0.0, ..PlanOptions::default() };
        assert!(planned(&loads, ready(13), &cheap) >= 113, "a surge that nobody foresaw");
        let low = PlanOptions { target_max: 0.5, ..cheap };
        assert_eq!(planned(&[100.0; 2000], ready(40), &low), 20);
    }

    #[test]
    fn bad_input_changes_nothing_or_stays_within_limits() {
        let options = PlanOptions::default();
        assert_eq!(planned(&[], ready(3), &options), 3);
        assert_eq!(planned(&[f64::NAN; 50], ready(3), &options), 3);
        assert_eq!(planned(&[0.0; 50], ready(3), &options), 1);
        assert_eq!(planned(&[-5.0; 50], ready(3), &options), 1);
        let few = PlanOptions { replicas_max: 5, ..options };
        assert_eq!(planned(&[1e300, 1e308, f64::INFINITY, 1e308], ready(3), &few), 5);
        let odd = PlanOptions {
            violation_price: f64::NAN,
            target_max: f64::NAN,
            hold_s: f64::NAN,
            replicas_min: 2,
            replicas_max: 1,
        };
        assert_eq!(planned(&[50.0; 50], ready(3), &odd), 2);
        let mut model = LoadModel::new(TICK_S, &[1]);
        model.add(50.0);
        let outlook = model.outlooks().next().map(|(_, outlook)| outlook);
        assert!(outlook.is_some_and(|o| [0.0, -1.0, f64::NAN].iter().all(|c| Need::new(&o, *c).is_none())));
    }
}
