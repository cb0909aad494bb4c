//! Which entity is why a measured value of another is off, from series and the graph of calls: what can be asked of
//! recorded history, with or without findings.
//!
//! What is off is put as a quantity that adds up along calls: the extra time that requests took, or the extra requests
//! that failed, requests × (value - its usual value), over the stretch of the window in which the alarmed series is
//! most off. The blame flows from the alarmed entity down the calls: at each entity the share that what it calls had in
//! extra goes there and the rest stays, as a profile tells self time from total time. Shares count by their square, for
//! the larger of two is more likely the one cause than its share says (and where calls run beside each other, the
//! largest explains all). Extra that is common in an entity's own past counts as none.
//!
//! - Calls of something that was hardly ever called before are the caller's doing. Something that is called and not
//!   measured gets a part of what would stay at its caller, for it cannot be told from it.
//! - A resource, or another measure of what is called, that is off beyond its own past competes for what would stay at
//!   the caller, as far as it can matter there and was not brought about by more calls.
//! - Of a load of r times the usual the share 1 - 1/r of the blame goes up the calls to where the extra requests come
//!   from. Fewer requests are an effect and speak for nothing. An alarm about requests goes up the calls as a whole.
//!
//! What arrives is a distribution; times the belief that alarm and suspect together are more than chance (Fisher's
//! method; Sellke, Bayarri and Berger 2001 for what a p-value is worth) it gives beliefs that sum to less than one. To
//! walk a call graph to where trouble begins is the idea of MonitorRank (Kim, Sumbaly and Shah, SIGMETRICS 2013);
//! sharing by what adds up needs no training and no fault seen before. Cost: a sort a series, the steps of the past
//! times the square of the window's for the alarmed one, and some hundred times the calls. It fails where requests are
//! not counted (times of unlike frequency are then compared), where callers do not wait for what they call, where a
//! mean hides a few very slow requests, and where the calls are not known.

mod asked;
mod evidence;
mod walk;

pub use self::asked::{Asked, Culprit, Origin, Recorded, ask, wanted_metrics};
use self::{
    evidence::{About, Evidence, Odd},
    walk::{Blame, blames, path},
};
use crate::detect::words::rounded;

/// What a series measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Time that requests take; high is bad.
    Latency,
    /// Share of requests that fail, 0..=1; high is bad.
    Errors,
    /// Requests in a step, or a second.
    Requests,
    /// How much of a resource is used; high is bad.
    Resource,
    /// Anything else; either side is unusual.
    Other,
}

/// One series. All are on the same steps; NaN where nothing is known.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// Whose it is, an index into the entities.
    pub entity: usize,
    /// What it is called, for the reasons only.
    pub name: &'a str,
    /// What it measures. Of several of latency (errors, requests) of one entity the first stands for it among the
    /// others: put the mean before percentiles, for it adds up.
    pub measure: Measure,
    /// Values before the alarm, usual ones for the most part; all end with the same step.
    pub before: &'a [f64],
    /// Values from the alarm on (or from the time on at which the trouble may have begun); all begin with that step.
    pub within: &'a [f64],
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Names of the entities, for the reasons only.
    pub entities: &'a [&'a str],
    /// Who calls (or runs on, or reads from) whom: (caller, called). Loops and repetitions do no harm.
    pub calls: &'a [(usize, usize)],
    /// The series, those of one measure and entity in order of preference.
    pub series: &'a [Series<'a>],
    /// Index of the series that is off.
    pub alarmed: usize,
}

/// What is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Most likely first; empty where nothing is off.
    pub suspects: Vec<Suspect>,
    /// Whether nobody should act on the first of them.
    pub is_undecided: bool,
    /// -log10 of the chance of an alarm like this in the past given.
    pub surprise: f64,
}

/// An entity that may be why.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// Index of the entity.
    pub entity: usize,
    /// Index of the series that shows it, if one does.
    pub series: Option<usize>,
    /// 0..1; all together less than 1.
    pub belief: f64,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
}

/// Belief from which on something counts as so.
const DECIDED: f64 = 0.5;
/// Suspects with less belief are not said.
const BELIEF_MIN: f64 = 0.01;
/// Share of the blame from which on a sentence speaks of it.
const WORTH_SAYING: f64 = 0.1;

/// Ranks the entities by how likely they are why the alarmed series is off.
pub fn localize(question: &Question) -> Answer {
    let Some(evidence) = Evidence::new(question) else { return Answer { is_undecided: true, ..Answer::default() } };
    let mut suspects: Vec<Suspect> = Vec::new();
    for (entity, blame) in blames(&evidence).iter().enumerate() {
        let believed = evidence.belief_in(entity, blame);
        if believed >= BELIEF_MIN {
            let (series, reasons) = reasons(question, &evidence, entity, blame);
            suspects.push(Suspect { entity, series, belief: believed, reasons });
        }
    }
    suspects.sort_by(|a, b| b.belief.total_cmp(&a.belief).then(a.entity.cmp(&b.entity)));
    let is_undecided = suspects.first().is_none_or(|s| s.belief < DECIDED);
    Answer { suspects, is_undecided, surprise: evidence.surprise }
}

/// What a p-value, given as -log10, lends to the belief that something is more than chance, 0..=1: with the odds for
/// chance of at least -e p ln p, what the one has over the other.
fn belief(surprise: f64) -> f64 {
    let p = 10.0_f64.powf(-surprise);
    // From 1/e on a p-value speaks for nothing.
    let odds = if p >= (-1.0_f64).exp() { 1.0 } else { -std::f64::consts::E * p * p.max(f64::MIN_POSITIVE).ln() };
    (1.0 - odds) / (1.0 + odds)
}

/// Surprise of two p-values together, by Fisher's method: the chance of as small a product.
fn together(a: f64, b: f64) -> f64 {
    let ln = (a + b) * std::f64::consts::LN_10;
    (a + b - ln.ln_1p() * std::f64::consts::LOG10_E).max(0.0)
}

/// The series that shows best why an entity is suspected, and sentences.
fn reasons(question: &Question, evidence: &Evidence, entity: usize, blame: &Blame) -> (Option<usize>, Vec<String>) {
    let about = &evidence.of[entity];
    let is_load = blame.load > blame.own.max(blame.other);
    let series = match about.other.filter(|odd| shows_better(about, odd, blame)) {
        _ if is_load => about.requests,
        Some(odd) => Some(odd.series),
        None => about.series,
    };
    let mut said = Vec::new();
    if let Some(series) = series {
        let (usual, now) = (evidence.usual[series], evidence.now[series]);
        said.push(format!("{} is {}, usually {}", question.series[series].name, rounded(now, 4), rounded(usual, 4)));
    }
    if blame.load >= WORTH_SAYING * (blame.own + blame.other + blame.load) {
        said.push(format!("{} of its requests are more than usual", percent(about.extra_load())));
    }
    if about.is_new {
        said.push("it was hardly ever called before: who calls it now may be what changed".into());
    } else if about.series.is_none() && about.other.is_none() {
        said.push("it is not measured: what its callers lack may lie there".into());
    } else if blame.own >= WORTH_SAYING {
        said.push(format!("what it calls explains {} of what is extra there", percent(blame.explained)));
    }
    if let Some(path) = path(evidence, entity) {
        let names: Vec<&str> = path.iter().filter_map(|i| question.entities.get(*i).copied()).collect();
        said.push(format!("the trouble shows along {}", names.join(" > ")));
    }
    (series, said)
}

/// Whether something else about an entity shows better than the alarmed measure why it is suspected: a resource is
/// rather a cause than a symptom, another measure of requests is so only where the alarmed one shows nothing.
fn shows_better(about: &About, odd: &Odd, blame: &Blame) -> bool {
    match odd.measure {
        Measure::Resource | Measure::Other => blame.other >= 0.5 * blame.own,
        _ => about.beyond <= 0.0 && blame.other > blame.own,
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of the past, and of the window.
    const BEFORE: usize = 240;
    const WITHIN: usize = 4;

    /// Services that call each other, each with latency, errors and requests in every step.
    struct World {
        names: Vec<String>,
        calls: Vec<(usize, usize)>,
        /// Entity, name, measure, values.
        series: Vec<(usize, &'static str, Measure, Vec<f64>)>,
        seed: u64,
    }

    /// What is done to one service in the window.
    #[derive(Clone, Copy, Default)]
    struct Fault {
        at: usize,
        /// Seconds more by itself, share of requests that fail by themselves, and times the usual requests.
        latency: f64,
        errors: f64,
        load: f64,
    }

    impl World {
        /// Callers have lower numbers than those they call. A request calls each once, one after the other, and fails
        /// where one of them fails.
        fn new(count: usize, calls: &[(usize, usize)], fault: Fault, seed: u64) -> World {
            let names = (0..count).map(|i| format!("s{i}")).collect();
            let mut world = World { names, calls: calls.to_vec(), series: Vec::new(), seed: 2 * seed + 1 };
            let steps = BEFORE + WITHIN;
            let mut requests: Vec<Vec<f64>> = Vec::new();
            for entity in 0..count {
                let callers: Vec<usize> = calls.iter().filter(|c| c.1 == entity && c.0 < entity).map(|c| c.0).collect();
                let here = (0..steps).map(|step| {
                    let more = if fault.load > 0.0 && fault.at == entity && step >= BEFORE { fault.load } else { 1.0 };
                    let own = if callers.is_empty() { 200.0 * (1.0 + 0.1 * world.noise()) } else { 0.0 };
                    (own + callers.iter().map(|c| requests[*c][step]).sum::<f64>()) * more
                });
                let here = here.collect();
                requests.push(here);
            }
            let (mut latency, mut errors) = (vec![vec![0.0; steps]; count], vec![vec![0.0; steps]; count]);
            for entity in (0..count).rev() {
                let called: Vec<usize> = calls.iter().filter(|c| c.0 == entity && c.1 > entity).map(|c| c.1).collect();
                for step in 0..steps {
                    let is_hit = fault.at == entity && step >= BEFORE;
                    let fault = if is_hit { fault } else { Fault::default() };
                    // Twice the usual requests make it half again as slow.
                    let crowd = 0.01 * (requests[entity][step] / requests[entity][0] - 1.3).max(0.0);
                    let own = 0.02 * (1.0 + 0.2 * world.noise()) + fault.latency + crowd;
                    latency[entity][step] = own + called.iter().map(|c| latency[*c][step]).sum::<f64>();
                    let own = if world.noise() > 0.99 { 0.01 } else { 0.0 };
                    errors[entity][step] =
                        (own + fault.errors + called.iter().map(|c| errors[*c][step]).sum::<f64>()).min(1.0);
                }
            }
            for (entity, ((latency, errors), requests)) in latency.into_iter().zip(errors).zip(requests).enumerate() {
                world.series.push((entity, "latency", Measure::Latency, latency));
                world.series.push((entity, "errors", Measure::Errors, errors));
                world.series.push((entity, "requests", Measure::Requests, requests));
            }
            world
        }

        /// -1..1, seeded.
        fn noise(&mut self) -> f64 {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.seed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        }

        fn ask(&self, entity: usize, measure: Measure) -> Answer {
            let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
            let series = self.series.iter().map(|(entity, name, measure, values)| {
                let (before, within) = values.split_at(values.len().saturating_sub(WITHIN));
                Series { entity: *entity, name, measure: *measure, before, within }
            });
            let series: Vec<Series> = series.collect();
            let alarmed = series.iter().position(|s| s.entity == entity && s.measure == measure).unwrap_or(usize::MAX);
            let answer = localize(&Question { entities: &names, calls: &self.calls, series: &series, alarmed });
            let sum: f64 = answer.suspects.iter().map(|s| s.belief).sum();
            assert!(sum < 1.0 + 1e-9 && answer.suspects.iter().all(|s| (0.0..=1.0).contains(&s.belief)), "{answer:?}");
            answer
        }

        /// The first suspect and the measure of the series that shows it; it must be a verdict.
        fn verdict(&self, entity: usize, measure: Measure) -> (usize, Option<Measure>) {
            let answer = self.ask(entity, measure);
            assert!(!answer.is_undecided, "{answer:#?}");
            let first = &answer.suspects[0];
            (first.entity, first.series.map(|at| self.series[at].2))
        }

        fn measures(&mut self, entity: usize) -> impl Iterator<Item = &mut Vec<f64>> {
            self.series.iter_mut().filter(move |s| s.0 == entity).map(|s| &mut s.3)
        }
    }

    const CHAIN: [(usize, usize); 4] = [(0, 1), (1, 2), (2, 3), (3, 4)];
    /// A front calls three, each calls two.
    const FAN: [(usize, usize); 9] = [(0, 1), (0, 2), (0, 3), (1, 4), (1, 5), (2, 6), (2, 7), (3, 8), (3, 9)];

    fn slow(at: usize) -> Fault {
        Fault { at, latency: 0.1, ..Fault::default() }
    }

    fn failing(at: usize) -> Fault {
        Fault { at, errors: 0.1, ..Fault::default() }
    }

    #[test]
    fn a_fault_is_named_at_any_depth() {
        for at in 0..5 {
            for seed in 0..5 {
                let slow = World::new(5, &CHAIN, slow(at), seed);
                assert_eq!(slow.verdict(0, Measure::Latency), (at, Some(Measure::Latency)), "seed {seed}");
                let failing = World::new(5, &CHAIN, failing(at), seed);
                assert_eq!(failing.verdict(0, Measure::Errors), (at, Some(Measure::Errors)), "seed {seed}");
            }
        }
    }

    #[test]
    fn a_fault_is_named_among_many_that_are_called() {
        for at in 1..10 {
            assert_eq!(World::new(10, &FAN, slow(at), 3).verdict(0, Measure::Latency).0, at);
            assert_eq!(World::new(10, &FAN, failing(at), 4).verdict(0, Measure::Errors).0, at);
        }
        // A caller whose callees are as usual, seen from one of them that is not why.
        let unrelated = World::new(10, &FAN, slow(1), 3).ask(8, Measure::Latency);
        assert!(unrelated.is_undecided, "{unrelated:#?}");
    }

    #[test]
    fn what_is_called_and_not_measured_is_second_to_its_caller() {
        let mut world = World::new(5, &CHAIN, slow(4), 1);
        world.series.retain(|s| s.0 != 4);
        let answer = world.ask(0, Measure::Latency);
        let first: Vec<usize> = answer.suspects.iter().map(|s| s.entity).take(2).collect();
        assert_eq!(first, [3, 4], "{answer:#?}");
        assert!(answer.suspects[1].reasons[0].contains("not measured"), "{answer:#?}");
        // Known not to have been called, it is no suspect.
        world.series.push((4, "requests", Measure::Requests, vec![0.0; BEFORE + WITHIN]));
        let answer = world.ask(0, Measure::Latency);
        assert!(answer.suspects[0].entity == 3 && answer.suspects.iter().all(|s| s.entity != 4), "{answer:#?}");
    }

    #[test]
    fn calls_of_something_new_are_the_callers_doing() {
        let mut world = World::new(5, &CHAIN, failing(4), 1);
        world.measures(4).for_each(|values| values[..BEFORE].fill(f64::NAN));
        let requests = world.series.iter_mut().find(|s| s.0 == 4 && s.2 == Measure::Requests).unwrap();
        requests.3[..BEFORE].fill(0.0);
        assert_eq!(world.verdict(0, Measure::Errors).0, 3);
    }

    #[test]
    fn a_surge_is_followed_to_where_it_comes_from() {
        let surge = Fault { at: 0, load: 8.0, ..Fault::default() };
        let world = World::new(5, &CHAIN, surge, 2);
        assert_eq!(world.verdict(2, Measure::Latency), (0, Some(Measure::Requests)));
        // Requests that multiply on the way come from where they do, and an alarm about requests goes up as well.
        let retries = World::new(5, &CHAIN, Fault { at: 2, load: 8.0, ..Fault::default() }, 2);
        assert_eq!(retries.verdict(3, Measure::Latency), (2, Some(Measure::Requests)));
        assert_eq!(retries.verdict(4, Measure::Requests), (2, Some(Measure::Requests)));
        // Fewer requests slow nobody down.
        let lull = World::new(5, &CHAIN, Fault { at: 0, load: 0.2, latency: 0.1, ..Fault::default() }, 2);
        assert_eq!(lull.verdict(0, Measure::Latency), (0, Some(Measure::Latency)));
        assert_eq!(lull.verdict(3, Measure::Requests).0, 0);
    }

    #[test]
    fn slow_calls_explain_failures_and_a_spent_resource_explains_slowness() {
        let mut world = World::new(5, &CHAIN, Fault { at: 3, errors: 0.2, ..Fault::default() }, 1);
        // 3 fails because 4 is slow, which itself does not fail.
        world.measures(4).next().unwrap()[BEFORE..].fill(2.0);
        let answer = world.ask(0, Measure::Errors);
        let first: Vec<usize> = answer.suspects.iter().map(|s| s.entity).take(2).collect();
        assert!(first.contains(&3) && first.contains(&4), "{answer:#?}");
        let mut world = World::new(5, &CHAIN, slow(3), 1);
        let used = (0..BEFORE + WITHIN).map(|i| if i < BEFORE { 0.4 + 0.1 * world.noise() } else { 0.99 }).collect();
        world.series.push((3, "memory used", Measure::Resource, used));
        assert_eq!(world.verdict(0, Measure::Latency), (3, Some(Measure::Resource)));
        // A host that calls nobody and has no requests.
        world.series.last_mut().unwrap().0 = 5;
        world.names.push("host".into());
        world.calls.push((3, 5));
        let answer = world.ask(0, Measure::Latency);
        let first: Vec<usize> = answer.suspects.iter().map(|s| s.entity).take(2).collect();
        assert!(first.contains(&3) && first.contains(&5), "{answer:#?}");
    }

    #[test]
    fn healthy_windows_are_undecided() {
        let mut said = 0;
        for seed in 0..100 {
            let world = World::new(10, &FAN, Fault::default(), seed + 1000);
            said += usize::from(!world.ask(0, Measure::Latency).is_undecided);
            said += usize::from(!world.ask(0, Measure::Errors).is_undecided);
        }
        assert!(said <= 10, "{said} of 200");
    }

    #[test]
    fn circles_and_calls_of_oneself_do_no_harm() {
        let mut world = World::new(5, &CHAIN, slow(3), 1);
        world.calls.extend([(2, 2), (3, 1), (4, 0), (1, 2), (0, 99), (99, 0)]);
        assert_eq!(world.verdict(0, Measure::Latency).0, 3);
    }

    #[test]
    fn names_and_order_do_not_matter() {
        let world = World::new(10, &FAN, slow(6), 7);
        let mut turned = World { names: vec!["x".into(); 10], series: Vec::new(), ..World::new(10, &FAN, slow(6), 7) };
        turned.calls = FAN.iter().rev().map(|(from, to)| (9 - from, 9 - to)).collect();
        turned.series = world.series.iter().rev().map(|s| (9 - s.0, s.1, s.2, s.3.clone())).collect();
        let plain = |answer: Answer, turn: bool| -> Vec<(usize, i64)> {
            let of = |s: &Suspect| (if turn { 9 - s.entity } else { s.entity }, (s.belief * 1e9).round() as i64);
            answer.suspects.iter().map(of).collect()
        };
        assert_eq!(plain(world.ask(0, Measure::Latency), false), plain(turned.ask(9, Measure::Latency), true));
    }

    #[test]
    fn bad_input_is_undecided() {
        let world = World::new(5, &CHAIN, slow(3), 1);
        let all = [Measure::Latency, Measure::Errors, Measure::Requests, Measure::Resource, Measure::Other];
        for bad in [f64::NAN, f64::INFINITY, 1e308, -1e308, 0.0, 7.0] {
            let mut broken = World { seed: 1, ..World::new(5, &CHAIN, slow(3), 1) };
            broken.series.iter_mut().for_each(|s| s.3.fill(bad));
            assert!(all.iter().all(|m| broken.ask(0, *m).is_undecided), "{bad}");
            let mut partly = World::new(5, &CHAIN, slow(3), 1);
            partly.series.iter_mut().skip(2).step_by(3).for_each(|s| s.3[BEFORE..].fill(bad));
            partly.ask(0, Measure::Latency);
            partly.ask(0, Measure::Requests);
        }
        let mut alternating = World::new(5, &CHAIN, slow(3), 1);
        alternating.series.iter_mut().for_each(|s| {
            s.3.iter_mut().enumerate().for_each(|(i, v)| *v = if i % 2 == 0 { 1e308 } else { -1e308 });
        });
        assert!(all.iter().all(|m| alternating.ask(0, *m).is_undecided));
        for steps in 0..WITHIN + 9 {
            let mut short = World::new(5, &CHAIN, slow(3), 1);
            short.series.iter_mut().for_each(|s| s.3.truncate(steps));
            assert!(all.iter().all(|m| short.ask(0, *m).is_undecided), "{steps} steps");
        }
        let mut ragged = World { seed: 1, ..world };
        ragged.series.iter_mut().enumerate().for_each(|(i, s)| s.3.truncate(BEFORE + WITHIN - 17 * (i % 15)));
        ragged.ask(0, Measure::Latency);
        assert!(localize(&Question { entities: &[], calls: &[], series: &[], alarmed: 0 }).is_undecided);
    }

    #[test]
    fn a_gap_here_and_there_changes_nothing() {
        let mut world = World::new(5, &CHAIN, slow(3), 1);
        for (i, s) in world.series.iter_mut().enumerate() {
            s.3.iter_mut().skip(i % 7).step_by(7).for_each(|v| *v = f64::NAN);
        }
        assert_eq!(world.verdict(0, Measure::Latency).0, 3);
    }

    #[test]
    fn many_services_are_ranked_fast() {
        // Calls in circles among the others, and from the chain to them.
        let calls: Vec<(usize, usize)> = (0..5000).map(|i| (i % 500, (i * 7 + i / 500 * 31) % 479 + 21)).collect();
        let chain: Vec<(usize, usize)> = (0..20).map(|i| (i, i + 1)).collect();
        let mut world = World::new(500, &chain, slow(20), 5);
        world.calls.extend(calls);
        let start = cpu_time::ThreadTime::now();
        let answer = world.ask(0, Measure::Latency);
        let spent = start.elapsed();
        assert_eq!(answer.suspects[0].entity, 20, "{:#?}", answer.suspects);
        assert!(spent.as_secs_f64() < 2.0, "{spent:?}");
    }

    #[test]
    fn p_values_are_worth_what_is_published() {
        // Sellke, Bayarri and Berger: p = .05 and .01 leave odds of .41 and .125 for chance.
        let odds = |p: f64| (1.0 - belief(-p.log10())) / (1.0 + belief(-p.log10()));
        assert!((odds(0.05) - 0.407).abs() < 1e-3 && (odds(0.01) - 0.125).abs() < 1e-3);
        assert!(belief(0.3) == 0.0 && belief(f64::INFINITY) == 1.0 && belief(400.0) == 1.0);
        // The product of two of .1: .01 (1 - ln .01) = .056.
        assert!((10.0_f64.powf(-together(1.0, 1.0)) - 0.056_05).abs() < 1e-4);
        assert_eq!(together(0.0, 0.0), 0.0);
    }
}
