//! How the blame flows along calls.

use super::{
    belief,
    evidence::{About, Evidence},
};

/// Share that stays at an entity even where what it calls explains all, and of what stays that goes to what it calls
/// for the first time.
const STAYS: f64 = 0.05;
/// Share of what would stay that goes to what is called and not measured: twice as likely it is the one that is.
const UNSEEN: f64 = 1.0 / 3.0;
/// Blame that is followed no further.
const LEAST: f64 = 1e-6;
/// Rounds in which blame for load goes up the calls, at most; each leaves [`STAYS`] at least behind.
const ROUNDS: usize = 300;

/// What stays at an entity.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Blame {
    /// For the alarmed measure.
    pub own: f64,
    /// For something else about it that is off.
    pub other: f64,
    /// For requests that come from there.
    pub load: f64,
    /// Share of its extra that what it calls explains.
    pub explained: f64,
}

/// Where the blame at an entity goes; the shares sum to 1.
struct Split {
    /// What stays, by kind.
    stays: Blame,
    /// On to others.
    on: Vec<(usize, f64)>,
    /// What stays with another: as something that cannot be seen, or for something else that is off there.
    unseen: Vec<(usize, f64)>,
    odd: Vec<(usize, f64)>,
}

/// The blame of each entity, all together 1 at most.
pub(super) fn blames(evidence: &Evidence) -> Vec<Blame> {
    let count = evidence.of.len();
    let mut blames = vec![Blame::default(); count];
    let mut splits: Vec<Option<Split>> = (0..count).map(|_| None).collect();
    let (mut load, mut flow) = (vec![0.0; count], vec![0.0; count]);
    flow[evidence.alarmed] = 1.0;
    // Those with extra form no circle, so this ends.
    for _ in 0..count {
        let mut next = vec![0.0; count];
        let open: Vec<usize> = (0..count).filter(|i| flow[*i] > LEAST).collect();
        for entity in &open {
            let split = splits[*entity].get_or_insert_with(|| Split::new(evidence, *entity));
            let here = flow[*entity];
            let blame = &mut blames[*entity];
            blame.own += here * split.stays.own;
            blame.other += here * split.stays.other;
            blame.explained = split.stays.explained;
            load[*entity] += here * split.stays.load;
            split.on.iter().for_each(|(to, share)| next[*to] += here * share);
            split.unseen.iter().for_each(|(to, share)| blames[*to].own += here * share);
            split.odd.iter().for_each(|(to, share)| blames[*to].other += here * share);
        }
        if open.is_empty() {
            break;
        }
        flow = next;
    }
    spread_load(evidence, load, &mut blames);
    blames
}

/// The shortest way over entities with extra from the alarmed one to another, both included; none for itself.
pub(super) fn path(evidence: &Evidence, entity: usize) -> Option<Vec<usize>> {
    let mut from: Vec<Option<usize>> = vec![None; evidence.of.len()];
    let mut ring = vec![evidence.alarmed];
    while !ring.is_empty() && from[entity].is_none() {
        let mut further = Vec::new();
        for at in ring {
            for to in evidence.next[at].iter().filter(|to| **to != evidence.alarmed) {
                if from[*to].is_none() && (*to == entity || evidence.of[*to].beyond > 0.0) {
                    from[*to] = Some(at);
                    further.push(*to);
                }
            }
        }
        ring = further;
    }
    from[entity]?;
    let mut path = vec![entity];
    while let Some(before) = from[path[path.len() - 1]] {
        path.push(before);
    }
    path.reverse();
    Some(path)
}

impl Split {
    fn new(evidence: &Evidence, entity: usize) -> Split {
        let about = &evidence.of[entity];
        let is_new = |to: &usize| evidence.of[*to].is_new;
        let (new, known): (Vec<usize>, Vec<usize>) = evidence.next[entity].iter().partition(|to| is_new(to));
        let parts: Vec<(usize, f64)> = known.iter().map(|to| (*to, part(evidence, entity, *to))).collect();
        let explained: f64 = parts.iter().map(|(_, part)| part).sum();
        // What goes into new calls stays, for the caller began them.
        let began: f64 = new.iter().map(|to| part(evidence, entity, *to)).sum();
        let all = about.extra.max(explained + began);
        let square = |part: f64| (part / all).powi(2);
        let onward: f64 = parts.iter().map(|(_, part)| square(*part)).filter(|square| square.is_finite()).sum();
        let moves = if onward > 0.0 { (onward / (onward + square(all - explained))).min(1.0 - STAYS) } else { 0.0 };
        let moving = parts.into_iter().filter(|(_, part)| moves > 0.0 && *part > 0.0);
        let on = moving.map(|(to, part)| (to, moves * square(part) / onward)).collect();
        let mut split = Split { stays: Blame::default(), on, unseen: Vec::new(), odd: Vec::new() };
        split.stays.explained = if all > 0.0 { explained / all } else { 0.0 };
        split.stays.load = if evidence.is_about_load { 0.0 } else { (1.0 - moves) * about.extra_load() };
        let rest = 1.0 - moves - split.stays.load;
        split.share_the_rest(evidence, entity, rest, &new);
        split
    }

    /// What stays is shared by the entity, what is off there or at what it calls in another way, and what it calls that
    /// cannot be judged.
    fn share_the_rest(&mut self, evidence: &Evidence, entity: usize, rest: f64, new: &[usize]) {
        let next = &evidence.next[entity];
        let by_chance = (next.len() as f64 + 1.0).log10();
        let odd = |about: &About| about.other.map_or(0.0, |odd| belief((odd.surprise - by_chance).max(0.0)));
        let odd_next = |to: &usize| {
            let called = &evidence.of[*to];
            // What is called more than usual may be off for that alone.
            (*to, odd(called) * (1.0 - called.extra_load()) * evidence.materiality(entity, *to))
        };
        self.odd = next.iter().map(odd_next).filter(|(_, weight)| *weight > 0.0).collect();
        let own_odd = odd(&evidence.of[entity]);
        let weights = 1.0 + own_odd + self.odd.iter().map(|(_, weight)| weight).sum::<f64>();
        let is_unseen = |to: &&usize| evidence.of[**to].series.is_none() && evidence.of[**to].may_be_called;
        let unseen: Vec<usize> = next.iter().filter(is_unseen).copied().collect();
        let mut own = rest / weights;
        for (entities, share) in [(&unseen[..], UNSEEN), (new, STAYS)] {
            let each = own * share / entities.len().max(1) as f64;
            self.unseen.extend(entities.iter().map(|to| (*to, each)));
            own -= each * entities.len() as f64;
        }
        self.odd.iter_mut().for_each(|(_, weight)| *weight *= rest / weights);
        self.stays.other = rest * own_odd / weights;
        self.stays.own = own;
    }
}

/// What of the extra of `to` belongs to the calls from `entity`: callers share it as they have extra themselves.
fn part(evidence: &Evidence, entity: usize, to: usize) -> f64 {
    let about = &evidence.of[to];
    if about.beyond <= 0.0 {
        return 0.0;
    }
    let need = |i: usize| if i == evidence.alarmed { evidence.of[i].extra.max(0.0) } else { evidence.of[i].beyond };
    let needs: f64 = evidence.before[to].iter().map(|i| need(*i)).sum();
    if needs > 0.0 { about.beyond * (need(entity) / needs) } else { about.beyond }
}

/// Takes blame for load up the calls to where the requests come from.
fn spread_load(evidence: &Evidence, mut load: Vec<f64>, blames: &mut [Blame]) {
    for _ in 0..ROUNDS {
        let open: Vec<usize> = (0..load.len()).filter(|i| load[*i] > LEAST).collect();
        if open.is_empty() {
            break;
        }
        let mut next = vec![0.0; load.len()];
        for entity in open {
            let callers = evidence.callers[entity].iter().map(|from| (*from, &evidence.of[*from]));
            let callers = callers.filter(|(_, about)| about.extra_load() > 0.0);
            let callers: Vec<(usize, f64)> = callers.map(|(from, about)| (from, about.extra_requests)).collect();
            let sent: f64 = callers.iter().map(|(_, extra)| extra).sum();
            let comes = (sent / evidence.of[entity].extra_requests).min(1.0);
            let moves = if comes > 0.0 { (1.0 - STAYS) * comes } else { 0.0 };
            blames[entity].load += load[entity] * (1.0 - moves);
            callers.iter().for_each(|(from, extra)| next[*from] += load[entity] * moves * extra / sent);
        }
        load = next;
    }
}
