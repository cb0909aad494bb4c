//! A fleet of replicas under a recorded load, tick by tick.
//!
//! A policy sees the loads of the ticks before, then says how many replicas there should be. Replicas that it adds cost
//! from that moment on and are ready after the start-up time; those that it takes away are gone at once, starting ones
//! first. A tick is over capacity if its load exceeds what the ready replicas can take. Ticks whose load is not known
//! cost nothing and are not judged.

use std::collections::VecDeque;

use math::scaling::{
    outlook::LoadModel,
    plan::{Need, PlanOptions, Planner},
    reactive::{Fleet, Reactive, ReactiveOptions},
};

/// A load, one value a tick; NaN where it is not known.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Its name.
    pub name: String,
    /// Mean load in each tick.
    pub loads: Vec<f64>,
    /// Seconds a tick.
    pub tick_s: f64,
}

/// What a policy came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Replicas, ready and starting, by the hours they were there.
    pub replica_hours: f64,
    /// Minutes whose load exceeded the capacity of the ready replicas.
    pub violating_minutes: f64,
    /// The load beyond that capacity, times minutes: requests, where the load is requests a minute.
    pub requests_over: f64,
    /// Decisions that changed the number of replicas.
    pub changes: f64,
}

/// Replicas on their way, and what has come of it.
#[derive(Clone, Debug)]
struct Run {
    ready: usize,
    /// Replicas that become ready in so many ticks.
    starting: VecDeque<usize>,
    outcome: Outcome,
}

impl Run {
    fn new(ready: usize, start_ticks: usize) -> Run {
        Run { ready, starting: VecDeque::from(vec![0; start_ticks]), outcome: Outcome::default() }
    }

    fn fleet(&self) -> Fleet {
        Fleet { ready: self.ready, starting: self.starting.iter().sum() }
    }

    /// Changes to `wanted` replicas at the start of a tick with this load.
    fn tick(&mut self, wanted: usize, load: f64, capacity: f64, tick_s: f64) {
        let all = self.fleet().all();
        let mut gone = all.saturating_sub(wanted);
        for late in self.starting.iter_mut().rev() {
            let here = gone.min(*late);
            *late -= here;
            gone -= here;
        }
        self.ready -= gone.min(self.ready);
        self.starting.push_back(wanted.saturating_sub(all));
        self.ready += self.starting.pop_front().unwrap_or(0);
        if load.is_finite() {
            let minutes = tick_s / 60.0;
            let over = (load - capacity * self.ready as f64).max(0.0);
            self.outcome.replica_hours += self.fleet().all() as f64 * minutes / 60.0;
            self.outcome.violating_minutes += if over > 1e-9 * load.abs() { minutes } else { 0.0 };
            self.outcome.requests_over += over * minutes;
            self.outcome.changes += if wanted == all { 0.0 } else { 1.0 };
        }
    }
}

/// Replicas at the start, before any policy has spoken: right for the first load at this utilisation.
const FIRST_UTILISATION: f64 = 0.7;

fn first_replicas(trace: &Trace, capacity: f64) -> usize {
    let first = trace.loads.iter().copied().find(|l| l.is_finite()).unwrap_or(0.0);
    needed(first / FIRST_UTILISATION, capacity)
}

/// Replicas that a load needs at the least.
pub fn needed(load: f64, capacity: f64) -> usize {
    (load / capacity).ceil().clamp(1.0, 1e6) as usize
}

fn ticks_of(minutes: f64, tick_s: f64) -> usize {
    (minutes * 60.0 / tick_s).ceil() as usize
}

/// The rule of Kubernetes.
pub fn reactive(trace: &Trace, capacity: f64, start_minutes: f64, options: ReactiveOptions) -> Outcome {
    let mut rule = Reactive::new(options, trace.tick_s);
    let mut run = Run::new(first_replicas(trace, capacity), ticks_of(start_minutes, trace.tick_s));
    let mut seen = f64::NAN;
    for load in &trace.loads {
        let wanted = rule.decide(seen, capacity, run.fleet());
        run.tick(wanted, *load, capacity, trace.tick_s);
        seen = *load;
    }
    run.outcome
}

/// As many replicas as the highest load needs, always.
pub fn fixed(trace: &Trace, capacity: f64) -> Outcome {
    let peak = trace.loads.iter().copied().filter(|l| l.is_finite()).fold(0.0, f64::max);
    let mut run = Run::new(needed(peak, capacity), 0);
    let all = run.ready;
    trace.loads.iter().for_each(|load| run.tick(all, *load, capacity, trace.tick_s));
    run.outcome
}

/// The fewest replicas without a violation: each load is known as long ahead as a replica takes to start.
pub fn oracle(trace: &Trace, capacity: f64, start_minutes: f64) -> Outcome {
    let ticks = ticks_of(start_minutes, trace.tick_s);
    let need: Vec<usize> = trace.loads.iter().map(|l| if l.is_finite() { needed(*l, capacity) } else { 1 }).collect();
    let until = |t: usize| need[t..need.len().min(t + ticks + 1)].iter().copied().max().unwrap_or(1);
    let mut run = Run::new(if need.is_empty() { 1 } else { until(0) }, ticks);
    for (t, load) in trace.loads.iter().enumerate() {
        run.tick(until(t), *load, capacity, trace.tick_s);
    }
    run.outcome
}

/// Horizons, in ticks, of a start-up time: from the next load to the first that a replica ordered now can take.
pub fn horizons(start_minutes: f64, tick_s: f64) -> Vec<usize> {
    let last = ticks_of(start_minutes, tick_s) + 1;
    let mut all = vec![last];
    // Each at most two thirds of the one after it: loads a minute apart differ little in what can be said of them.
    while let Some(next) = all.last().map(|h| h * 2 / 3).filter(|h| *h >= 1) {
        all.push(next);
    }
    all.reverse();
    all
}

/// The plan, at each of several prices of a violation.
pub fn planned(
    trace: &Trace,
    capacity: f64,
    start_minutes: f64,
    prices: &[f64],
    options: &PlanOptions,
) -> Vec<Outcome> {
    let ticks = ticks_of(start_minutes, trace.tick_s);
    let mut model = LoadModel::new(trace.tick_s, &horizons(start_minutes, trace.tick_s));
    let planner = |price: &f64| Planner::new(PlanOptions { violation_price: *price, ..*options }, trace.tick_s);
    let first = Run::new(first_replicas(trace, capacity), ticks);
    let mut runs: Vec<(Planner, Run)> = prices.iter().map(|price| (planner(price), first.clone())).collect();
    let mut seen = f64::NAN;
    for load in &trace.loads {
        let mut near: Vec<Need> = model.outlooks().filter_map(|(_, outlook)| Need::new(&outlook, capacity)).collect();
        let then = near.pop();
        for (planner, run) in &mut runs {
            let wanted = planner.decide(seen, capacity, run.fleet(), &near, then.as_ref());
            run.tick(wanted, *load, capacity, trace.tick_s);
        }
        model.add(*load);
        seen = *load;
    }
    runs.into_iter().map(|(_, run)| run.outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(loads: Vec<f64>) -> Trace {
        Trace { name: "test".into(), loads, tick_s: 60.0 }
    }

    #[test]
    fn what_is_ordered_is_paid_at_once_and_ready_later() {
        let mut run = Run::new(2, 2);
        run.tick(4, 3.5, 1.0, 60.0);
        assert_eq!(run.fleet(), Fleet { ready: 2, starting: 2 });
        run.tick(4, 3.5, 1.0, 60.0);
        run.tick(4, 3.5, 1.0, 60.0);
        assert_eq!(run.fleet(), Fleet { ready: 4, starting: 0 });
        assert_eq!((run.outcome.violating_minutes, run.outcome.requests_over), (2.0, 3.0));
        assert!((run.outcome.replica_hours - 12.0 / 60.0).abs() < 1e-12);
        run.tick(6, 1.0, 1.0, 60.0);
        run.tick(1, f64::NAN, 1.0, 60.0);
        assert_eq!(run.fleet(), Fleet { ready: 1, starting: 0 }, "starting ones go first");
        assert!((run.outcome.replica_hours - 18.0 / 60.0).abs() < 1e-12, "an unknown load costs nothing");
    }

    #[test]
    fn a_step_is_missed_by_the_rule_for_as_long_as_a_replica_takes_to_start() {
        let loads: Vec<f64> = (0..60).map(|t| if t < 30 { 7.0 } else { 14.0 }).collect();
        for start in [1.0, 5.0] {
            let outcome = reactive(&trace(loads.clone()), 1.0, start, ReactiveOptions::at(0.7));
            // One minute until it is seen.
            assert_eq!(outcome.violating_minutes, 1.0 + start);
            assert_eq!(oracle(&trace(loads.clone()), 1.0, start).violating_minutes, 0.0);
        }
        assert!((fixed(&trace(loads), 1.0).replica_hours - 14.0).abs() < 1e-9);
    }

    #[test]
    fn horizons_end_where_a_replica_is_ready() {
        assert_eq!(horizons(1.0, 60.0), [1, 2]);
        assert_eq!(horizons(5.0, 60.0), [1, 2, 4, 6]);
        assert_eq!(horizons(10.0, 15.0).last(), Some(&41));
        assert_eq!(horizons(0.0, 60.0), [1]);
    }

    #[test]
    fn traces_of_nothing_come_to_nothing() {
        for loads in [vec![], vec![f64::NAN; 5], vec![0.0; 5], vec![-1.0; 5]] {
            let trace = trace(loads);
            let options = PlanOptions::default();
            let all = [
                reactive(&trace, 1.0, 5.0, ReactiveOptions::at(0.7)),
                planned(&trace, 1.0, 5.0, &[100.0], &options)[0],
                oracle(&trace, 1.0, 5.0),
                fixed(&trace, 1.0),
            ];
            assert!(all.iter().all(|o| o.violating_minutes == 0.0 && o.replica_hours.is_finite()));
        }
    }
}
