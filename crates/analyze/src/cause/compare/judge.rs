//! From what is not as usual to who is why.

use std::collections::{BTreeMap, BTreeSet};

use math::rates::Rate;
use types::CauseKind;

use super::{
    About, Evidence, Line, Mark, Operation, Reading, Span, Suspect, Usual, Verdict,
    visits::{Visit, visits_of},
};

/// Surprise from which a mark counts as not as usual.
const ODD: f64 = 2.0;
/// Weight from which an operation is too far from usual to be learned.
const FAR: f64 = 3.0;
/// What was called explains a mark where it is odd by at least this share of the mark's surprise.
const EXPLAINS: f64 = 0.5;
/// Own times of an operation, and ways of a call, from which something can be called slow.
const TIMES_LEAST: usize = 20;
/// Weight at which nobody is as likely the cause as the best one; natural, so that beliefs stay modest.
const NOBODY: f64 = 4.0;
/// Belief, and lead over the next, from which it is decided.
const DECIDED_BELIEF: f64 = 0.5;
const DECIDED_LEAD: f64 = 0.15;
/// Evidence said of a suspect.
const EVIDENCE_MOST: usize = 5;

/// Visits of one operation by trace.
pub(super) type Requests = BTreeMap<u64, Vec<usize>>;

/// Visits by service and operation, and by trace.
pub(super) fn requests_of(visits: &[Visit]) -> BTreeMap<(u32, u32), Requests> {
    let mut requests: BTreeMap<(u32, u32), Requests> = BTreeMap::new();
    for (i, visit) in visits.iter().enumerate() {
        requests.entry((visit.service, visit.operation)).or_default().entry(visit.trace).or_default().push(i);
    }
    requests
}

/// Requests with a mark in at least one visit, and in all of its visits.
pub(super) fn counts_of(requests: &Requests, visits: &[Visit]) -> BTreeMap<Mark, (u32, u32)> {
    let mut counts: BTreeMap<Mark, (u32, u32)> = BTreeMap::new();
    for of_request in requests.values() {
        let mut within: BTreeMap<Mark, usize> = BTreeMap::new();
        of_request.iter().flat_map(|i| &visits[*i].marks).for_each(|mark| *within.entry(*mark).or_default() += 1);
        for (mark, found) in within {
            let count = counts.entry(mark).or_default();
            *count = (count.0 + 1, count.1 + u32::from(found == of_request.len()));
        }
    }
    counts
}

/// A mark that is not as usual.
struct Odd {
    mark: Mark,
    comes: bool,
    surprise: f64,
    rate: Rate,
    /// How far it can matter, 0..=1: of a time, the part of it that is new.
    matters: f64,
    /// Surprise times the share that it has changed, see [`power`].
    weight: f64,
}

impl Odd {
    fn new(mark: Mark, comes: bool, hits: u32, of: u32, rate: Rate, matters: f64) -> Odd {
        let surprise = rate.surprise(hits, of);
        Odd { mark, comes, surprise, rate, matters, weight: surprise * power(hits, of, &rate) * matters }
    }
}

/// Share of the requests that were as usual which it has changed: the causal power of Cheng (Psychological Review 1997),
/// 0..=1. A burst of errors may be as surprising as a fault that nothing escapes.
fn power(hits: u32, of: u32, usual: &Rate) -> f64 {
    let share = f64::from(hits) / f64::from(of.max(1));
    ((share - usual.share) / (1.0 - usual.share)).clamp(0.0, 1.0)
}

/// The part of a time that is above what is usual, 0..=1.
fn new_part((seen, usual): &(f64, f64)) -> f64 {
    if *seen > 0.0 { (1.0 - usual / seen).clamp(0.0, 1.0) } else { 0.0 }
}

/// Own time above which a visit is slow, and slower than all before.
#[derive(Clone, Copy)]
struct Limits {
    middle: i64,
    slow: i64,
    slowest: i64,
}

impl Limits {
    fn of(times: impl Iterator<Item = i64>) -> Option<Limits> {
        let mut sorted: Vec<i64> = times.collect();
        if sorted.len() < TIMES_LEAST {
            return None;
        }
        sorted.sort_unstable();
        Some(Limits {
            middle: sorted[sorted.len() / 2],
            slow: sorted[sorted.len() * 9 / 10],
            slowest: sorted[sorted.len() - 1],
        })
    }
}

impl Usual {
    /// Operations that are too far from usual to be learned.
    pub(super) fn odd_operations(
        &self,
        requests: &BTreeMap<(u32, u32), Requests>,
        visits: &[Visit],
    ) -> BTreeSet<(u32, u32)> {
        let mut found = BTreeSet::new();
        for (key, requests) in requests {
            let Some(usual) = self.operations.get(key) else { continue };
            // Times drift with what is stored and who else is busy; that they are long is no reason not to learn them.
            let odd = usual.odd_marks(requests, visits, None);
            let farthest = odd.iter().map(|o| o.weight).fold(0.0, f64::max);
            if farthest >= FAR {
                found.insert(*key);
            }
        }
        found
    }

    /// Says who may be why a stretch is not as usual.
    pub fn judge(&self, spans: &[Span], lines: &[Line], readings: &[Reading]) -> Verdict {
        let visits = visits_of(spans, &self.renamed_lines(lines));
        let requests = requests_of(&visits);
        let limits: BTreeMap<(u32, u32), Limits> = requests
            .keys()
            .filter_map(|key| Some((*key, Limits::of(self.operations.get(key)?.times.iter().map(|t| t.1))?)))
            .collect();
        let odd: BTreeMap<(u32, u32), Vec<Odd>> = requests
            .iter()
            .filter_map(|(key, requests)| {
                let usual = self.operations.get(key)?;
                Some((*key, usual.odd_marks(requests, &visits, limits.get(key).copied())))
            })
            .collect();
        let weights: Vec<f64> = visits.iter().map(|visit| weight(visit, &odd, &limits)).collect();
        let below = Below::of(&visits, &weights);

        let mut services: BTreeMap<u32, Service> = BTreeMap::new();
        for (key, marks) in &odd {
            for mark in marks {
                let evidence = unexplained(*key, mark, &requests[key], &visits, &limits, &below);
                services.entry(key.0).or_default().behaviour.extend(evidence);
            }
        }
        for evidence in self.slow_ways(&visits) {
            services.entry(evidence.0).or_default().ways.push(evidence.1);
        }
        for reading in readings {
            let Some(short) = reading.short().filter(|s| s.weight >= ODD / 2.0) else { continue };
            let about = About::Resource { metric: reading.metric, value: short.value, before: short.before };
            let evidence =
                Evidence { about, surprise: short.surprise, weight: short.weight, seen: 0, of: 0, usual: 0.0 };
            services.entry(reading.service).or_default().resources.push(evidence);
        }
        verdict(services)
    }

    /// Services to and from which the ways are slow.
    fn slow_ways(&self, visits: &[Visit]) -> Vec<(u32, Evidence)> {
        let limits: BTreeMap<(u32, u32), Limits> =
            self.ways.iter().filter_map(|(pair, ways)| Some((*pair, Limits::of(ways.iter().map(|w| w.1))?))).collect();
        // For each service: ways looked at, slow ones, and those slower than all before.
        let mut found: BTreeMap<u32, [u32; 3]> = BTreeMap::new();
        // What the ways took and what they usually take, in sum.
        let mut times: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
        for visit in visits {
            for (called, way) in &visit.ways {
                let pair = (visit.service, visits[*called].service);
                let Some(limits) = limits.get(&pair) else { continue };
                for service in [pair.0, pair.1] {
                    let counts = found.entry(service).or_default();
                    counts[0] += 1;
                    counts[1] += u32::from(*way > limits.slow);
                    counts[2] += u32::from(*way > limits.slowest);
                    let sums = times.entry(service).or_default();
                    *sums = (sums.0 + *way as f64, sums.1 + limits.middle as f64);
                }
            }
        }
        let mut slow = Vec::new();
        for (service, [of, above, above_all]) in found {
            let (usual, usual_most) = self.usual_ways(service, &limits);
            let by_all = (usual_most.surprise(above_all, of), power(above_all, of, &usual_most));
            let by_most = (usual.surprise(above, of), power(above, of, &usual));
            let (surprise, power) = if by_all.0 * by_all.1 > by_most.0 * by_most.1 { by_all } else { by_most };
            if surprise >= ODD {
                let weight = surprise * power * new_part(&times[&service]);
                slow.push((
                    service,
                    Evidence { about: About::Ways, surprise, weight, seen: above, of, usual: usual.share },
                ));
            }
        }
        slow
    }

    fn usual_ways(&self, service: u32, limits: &BTreeMap<(u32, u32), Limits>) -> (Rate, Rate) {
        let ways = self.ways.iter().filter(|(pair, _)| pair.0 == service || pair.1 == service);
        let limited = ways.filter_map(|(pair, ways)| Some((ways, limits.get(pair)?.slow)));
        usual_above(limited.flat_map(|(ways, slow)| ways.iter().map(move |(block, way)| (*block, *way > slow))))
    }
}

/// In which share of times they usually are above a limit, and above one that none was above; from times with their
/// stretch and whether they were above the first.
fn usual_above(times: impl Iterator<Item = (u32, bool)>) -> (Rate, Rate) {
    let mut blocks: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
    for (block, is_above) in times {
        let counts = blocks.entry(block).or_default();
        *counts = (counts.0 + u32::from(is_above), counts.1 + 1);
    }
    let never = blocks.values().map(|(_, of)| (0, *of));
    (Rate::of_blocks(blocks.values().copied()), Rate::of_blocks(never))
}

impl Operation {
    fn odd_marks(&self, requests: &Requests, visits: &[Visit], limits: Option<Limits>) -> Vec<Odd> {
        let counts = counts_of(requests, visits);
        let of = requests.len() as u32;
        let mut marks: Vec<Mark> = counts.keys().chain(self.marks.keys()).copied().collect();
        marks.sort_unstable();
        marks.dedup();
        let mut found = Vec::new();
        for mark in marks {
            let (some, all) = counts.get(&mark).copied().unwrap_or_default();
            let known = self.blocks_of(mark);
            let comes = Rate::of_blocks(known.iter().map(|(some, _, of)| (*some, *of)));
            let away = Rate::of_blocks(known.iter().map(|(_, all, of)| (of.saturating_sub(*all), *of)));
            found.push(Odd::new(mark, true, some, of, comes, 1.0));
            found.push(Odd::new(mark, false, of - all, of, away, 1.0));
        }
        if let Some(limits) = limits {
            found.extend(self.slow(requests, visits, limits));
        }
        found.retain(|odd| odd.surprise >= ODD);
        found
    }

    /// For each stretch: requests with a mark in some visit, in all visits, and requests.
    fn blocks_of(&self, mark: Mark) -> Vec<(u32, u32, u32)> {
        let mut counts = self.marks.get(&mark).into_iter().flatten().peekable();
        let with_counts = self.requests.iter().map(|(block, of)| {
            while counts.next_if(|(at, _, _)| at < block).is_some() {}
            let count = counts.next_if(|(at, _, _)| at == block).map_or((0, 0), |(_, some, all)| (*some, *all));
            (count.0.min(*of), count.1.min(*of), *of)
        });
        with_counts.collect()
    }

    fn slow(&self, requests: &Requests, visits: &[Visit], limits: Limits) -> [Odd; 2] {
        let (slow, slowest) = usual_above(self.times.iter().map(|(block, time)| (*block, *time > limits.slow)));
        let of = requests.values().flatten().count() as u32;
        let above = |limit: i64| requests.values().flatten().filter(|i| visits[**i].own > limit).count() as u32;
        let sum = requests.values().flatten().map(|i| visits[*i].own as f64).sum::<f64>();
        let matters = new_part(&(sum, limits.middle as f64 * f64::from(of)));
        let odd = |mark, hits, rate| Odd::new(mark, true, hits, of, rate, matters);
        [odd(Mark::Slow, above(limits.slow), slow), odd(Mark::Slowest, above(limits.slowest), slowest)]
    }
}

/// Evidence of a mark from the requests in which nothing deeper explains it.
fn unexplained(
    key: (u32, u32),
    odd: &Odd,
    requests: &Requests,
    visits: &[Visit],
    limits: &BTreeMap<(u32, u32), Limits>,
    below: &Below,
) -> Option<Evidence> {
    let limit = limits.get(&key).copied();
    let is_so = |i: usize| shows(&visits[i], odd, limit) && below.0[i] < odd.surprise * EXPLAINS;
    let (seen, of) = if matches!(odd.mark, Mark::Slow | Mark::Slowest) {
        let all = requests.values().flatten();
        (all.clone().filter(|i| is_so(**i)).count(), all.count())
    } else {
        (requests.values().filter(|of_request| of_request.iter().any(|i| is_so(*i))).count(), requests.len())
    };
    let surprise = odd.rate.surprise(seen as u32, of as u32);
    let (operation, mark) = (key.1, odd.mark);
    let about = if odd.comes { About::Comes { operation, mark } } else { About::StaysAway { operation, mark } };
    let (seen, of) = (seen as u32, of as u32);
    let weight = surprise * power(seen, of, &odd.rate) * odd.matters;
    (surprise >= ODD).then_some(Evidence { about, surprise, weight, seen, of, usual: odd.rate.share })
}

/// Whether a visit is odd in this way.
fn shows(visit: &Visit, odd: &Odd, limits: Option<Limits>) -> bool {
    match odd.mark {
        Mark::Slow => limits.is_some_and(|l| visit.own > l.slow),
        Mark::Slowest => limits.is_some_and(|l| visit.own > l.slowest),
        mark => visit.marks.binary_search(&mark).is_ok() == odd.comes,
    }
}

/// The most surprising of what is odd in a visit; 0 where it is as usual.
fn weight(visit: &Visit, odd: &BTreeMap<(u32, u32), Vec<Odd>>, limits: &BTreeMap<(u32, u32), Limits>) -> f64 {
    let key = (visit.service, visit.operation);
    let marks = odd.get(&key).into_iter().flatten();
    marks.filter(|o| shows(visit, o, limits.get(&key).copied())).map(|o| o.surprise).fold(0.0, f64::max)
}

/// For each visit the most surprising of what is odd in those that it called, and they.
struct Below(Vec<f64>);

impl Below {
    fn of(visits: &[Visit], weights: &[f64]) -> Below {
        // Those that are called come before their callers, unless calls make a ring.
        let (mut order, mut seen) = (Vec::with_capacity(visits.len()), vec![false; visits.len()]);
        for first in 0..visits.len() {
            let mut open = vec![(first, false)];
            while let Some((at, is_done)) = open.pop() {
                if is_done {
                    order.push(at);
                } else if !std::mem::replace(&mut seen[at], true) {
                    open.push((at, true));
                    open.extend(visits[at].calls.iter().map(|called| (*called, false)));
                }
            }
        }
        let mut below = vec![0.0_f64; visits.len()];
        for at in order {
            for called in visits[at].calls.iter().copied() {
                let own = if visits[called].service == visits[at].service { 0.0 } else { weights[called] };
                below[at] = below[at].max(own).max(below[called]);
            }
        }
        Below(below)
    }
}

/// All that speaks against a service.
#[derive(Default)]
struct Service {
    behaviour: Vec<Evidence>,
    ways: Vec<Evidence>,
    resources: Vec<Evidence>,
}

impl Service {
    /// Weight of all together: how it behaves and its ways overlap, its metrics are seen apart from them.
    fn weight(&self) -> f64 {
        let (behaviour, ways) = (most(&self.behaviour), most(&self.ways));
        behaviour.max(ways) + behaviour.min(ways) / 2.0 + most(&self.resources)
    }

    /// A spent resource comes before what it shows as.
    fn kind(&self) -> CauseKind {
        let is_slow = |e: &Evidence| matches!(e.about, About::Comes { mark: Mark::Slow | Mark::Slowest, .. });
        let behaviour = most(&self.behaviour);
        let only_slow = self.behaviour.iter().filter(|e| !is_slow(e)).all(|e| e.weight < behaviour);
        let resources = most(&self.resources);
        if resources >= ODD || (resources > 0.0 && only_slow) || most(&self.ways) > behaviour {
            return CauseKind::Resource;
        }
        CauseKind::Software
    }

    /// The strongest pair of which the first still comes.
    fn leaves(&self) -> Option<(Option<u32>, u32)> {
        let away = |template: u32| {
            let of_it = Mark::Line(template);
            let all = self.behaviour.iter();
            all.filter(move |e| matches!(&e.about, About::StaysAway { mark, .. } if *mark == of_it)).map(|e| e.weight)
        };
        let pairs = self.behaviour.iter().filter_map(|e| match e.about {
            About::StaysAway { mark: Mark::Then(before, Some(after)), .. } => Some((e.weight, before, after)),
            _ => None,
        });
        let best = pairs
            .filter(|(weight, before, _)| before.is_none_or(|b| away(b).all(|w| w < weight / 2.0)))
            .max_by(|a, b| a.0.total_cmp(&b.0).then((b.1, b.2).cmp(&(a.1, a.2))))?;
        (best.0 >= most(&self.behaviour) / 2.0).then_some((best.1, best.2))
    }

    fn evidence(self) -> Vec<Evidence> {
        let first = if most(&self.resources) >= ODD { self.resources.len() } else { 0 };
        let by_surprise = |a: &Evidence, b: &Evidence| b.weight.total_cmp(&a.weight);
        let mut all = self.resources;
        all.sort_by(by_surprise);
        all.extend(self.behaviour);
        all.extend(self.ways);
        all[first..].sort_by(by_surprise);
        all.truncate(EVIDENCE_MOST);
        all
    }
}

fn most(evidence: &[Evidence]) -> f64 {
    evidence.iter().map(|e| e.weight).fold(0.0, f64::max)
}

fn verdict(services: BTreeMap<u32, Service>) -> Verdict {
    let suspects = services.into_iter().map(|(service, found)| Suspect {
        service,
        kind: found.kind(),
        weight: found.weight().min(300.0),
        leaves: found.leaves(),
        belief: 0.0,
        evidence: found.evidence(),
    });
    let mut suspects: Vec<Suspect> = suspects.filter(|s| !s.evidence.is_empty()).collect();
    suspects.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.service.cmp(&b.service)));
    // A softmax; taking the largest away first keeps it in range and changes nothing.
    let best = suspects.first().map_or(0.0, |s| s.weight).max(NOBODY);
    let total: f64 = (NOBODY - best).exp() + suspects.iter().map(|s| (s.weight - best).exp()).sum::<f64>();
    suspects.iter_mut().for_each(|s| s.belief = (s.weight - best).exp() / total);
    let belief = |i: usize| suspects.get(i).map_or(0.0, |s| s.belief);
    let undecided = belief(0) < DECIDED_BELIEF || belief(0) - belief(1) < DECIDED_LEAD;
    Verdict { suspects, undecided }
}
