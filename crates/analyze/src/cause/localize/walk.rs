//! How the blame flows along calls.

use super::{
    Question, belief,
    evidence::{About, Evidence},
};

/// Share that stays at an entity even where what it calls explains all; also what ends walks in circles.
const STAYS: f64 = 0.05;
/// Share of what would stay that goes to what is called for the first time, or called and not measured.
const UNSEEN: f64 = 1.0 / 3.0;
/// Blame that is followed no further.
const LEAST: f64 = 1e-6;
/// Rounds at most; each leaves [`STAYS`] at least behind.
const ROUNDS: usize = 300;

/// What stays at an entity.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Blame {
    /// For the alarmed measure.
    pub own: f64,
    /// For something else about it that is off.
    pub other: f64,
    /// For requests that begin there.
    pub load: f64,
    /// Share of its extra that what it calls does not explain.
    pub kept: f64,
}

/// Where blame goes from one entity; the shares sum to 1.
#[derive(Clone, Debug, Default)]
struct Split {
    own: f64,
    other: f64,
    load: f64,
    kept: f64,
    /// On along the calls.
    on: Vec<(usize, f64)>,
    /// To something else that is off there, or to what is not measured.
    aside: Vec<(usize, f64, Aside)>,
}

#[derive(Clone, Copy, Debug)]
enum Aside {
    Unseen,
    Other,
}

/// The blame of each entity, all together 1 at most.
pub(super) fn blames(question: &Question, evidence: &Evidence) -> Vec<Blame> {
    let count = evidence.of.len();
    let mut blames = vec![Blame::default(); count];
    let mut splits: Vec<Option<Split>> = vec![None; count];
    let mut flow = vec![0.0; count];
    let mut load = vec![0.0; count];
    flow[evidence.alarmed] = 1.0;
    for _ in 0..ROUNDS {
        let mut next = vec![0.0; count];
        for entity in (0..count).filter(|i| flow[*i] > LEAST) {
            let split = splits[entity].get_or_insert_with(|| split(question, evidence, entity));
            let blame = &mut blames[entity];
            blame.own += flow[entity] * split.own;
            blame.other += flow[entity] * split.other;
            blame.kept = split.kept;
            load[entity] += flow[entity] * split.load;
            split.on.iter().for_each(|(to, share)| next[*to] += flow[entity] * share);
            for (to, share, aside) in &split.aside {
                match aside {
                    Aside::Unseen => blames[*to].own += flow[entity] * share,
                    Aside::Other => blames[*to].other += flow[entity] * share,
                }
            }
        }
        flow = next;
    }
    spread_load(evidence, load, &mut blames);
    blames
}

/// The entities on the way from the alarmed one to `entity` along which most goes, both included; none for itself.
pub(super) fn path(evidence: &Evidence, entity: usize) -> Option<Vec<usize>> {
    let next = if evidence.is_about_load { &evidence.callers } else { &evidence.callees };
    let mut from: Vec<Option<usize>> = vec![None; evidence.of.len()];
    let mut ring = vec![evidence.alarmed];
    while !ring.is_empty() && from[entity].is_none() {
        let mut further = Vec::new();
        for at in ring {
            for to in next[at].iter().filter(|to| **to != evidence.alarmed) {
                let is_better = from[*to].is_none();
                if is_better && (*to == entity || evidence.of[*to].beyond > 0.0) {
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

/// How the blame at an entity is shared.
fn split(question: &Question, evidence: &Evidence, entity: usize) -> Split {
    let about = &evidence.of[entity];
    let next = if evidence.is_about_load { &evidence.callers } else { &evidence.callees };
    let extra = about.extra.max(0.0);
    let parts = next[entity].iter().filter(|to| !evidence.of[**to].is_new).map(|to| (*to, part(evidence, entity, *to)));
    let parts: Vec<(usize, f64)> = parts.filter(|(_, part)| *part > 0.0).collect();
    let new: f64 = next[entity].iter().filter(|to| evidence.of[**to].is_new).map(|to| part(evidence, entity, *to)).sum();
    let explained: f64 = parts.iter().map(|(_, part)| part).sum();
    // What goes into new calls stays, for the caller began them.
    let all = extra.max(explained + new);
    let square = |part: f64| (part / all).powi(2);
    let onward: f64 = parts.iter().map(|(_, part)| square(*part)).sum();
    let moves = if onward > 0.0 { (onward / (onward + square(all - explained))).min(1.0 - STAYS) } else { 0.0 };
    let mut split = Split { kept: if all > 0.0 { 1.0 - explained / all } else { 1.0 }, ..Split::default() };
    split.on = parts.into_iter().map(|(to, part)| (to, moves * square(part) / onward)).collect();
    let stays = 1.0 - moves;
    if !evidence.is_about_load {
        split.load = stays * about.extra_load();
    }
    share_the_rest(question, evidence, entity, stays - split.load, &mut split);
    split
}

/// What of the extra of `to` belongs to the calls from `entity`: callers share it as they have extra themselves.
fn part(evidence: &Evidence, entity: usize, to: usize) -> f64 {
    let about = &evidence.of[to];
    if about.beyond <= 0.0 {
        return 0.0;
    }
    let back = if evidence.is_about_load { &evidence.callees } else { &evidence.callers };
    let need = |i: usize| if i == evidence.alarmed { evidence.of[i].extra.max(0.0) } else { evidence.of[i].beyond };
    let needs: f64 = back[to].iter().map(|i| need(*i)).sum();
    if needs > 0.0 { about.beyond * need(entity) / needs } else { about.beyond }
}

/// What stays is shared by the entity, what it calls that cannot be seen, and what is off there in another way.
fn share_the_rest(question: &Question, evidence: &Evidence, entity: usize, rest: f64, split: &mut Split) {
    let about = &evidence.of[entity];
    let callees = &evidence.callees[entity];
    let odd = |about: &About| about.other.map_or(0.0, |o| o.surprise - (callees.len() as f64 + 1.0).log10()).max(0.0);
    // What is called more than usual may be off for that alone, and who calls it is why.
    let odd_callee = |to: &usize| {
        let called = &evidence.of[*to];
        (*to, belief(odd(called)) * (1.0 - called.extra_load()) * evidence.materiality(question, entity, *to))
    };
    let others: Vec<(usize, f64)> = callees.iter().map(odd_callee).filter(|o| o.1 > 0.0).collect();
    let own = belief(odd(about));
    let sum = 1.0 + own + others.iter().map(|(_, odd)| odd).sum::<f64>();
    let unseen = callees.iter().copied().filter(|to| {
        let called = &evidence.of[*to];
        called.may_be_called && (called.is_new || called.series.is_none()) && !others.iter().any(|(other, _)| other == to)
    });
    let unseen: Vec<usize> = unseen.collect();
    let of_unseen = if unseen.is_empty() { 0.0 } else { UNSEEN };
    split.own = rest * (1.0 - of_unseen) / sum;
    split.other = rest * own / sum;
    split.aside = others.into_iter().map(|(to, odd)| (to, rest * odd / sum, Aside::Other)).collect();
    split.aside.extend(unseen.iter().map(|to| (*to, rest * of_unseen / sum / unseen.len() as f64, Aside::Unseen)));
}

/// Takes blame for load up the calls to where the requests come from.
fn spread_load(evidence: &Evidence, mut load: Vec<f64>, blames: &mut [Blame]) {
    for _ in 0..ROUNDS {
        let mut next = vec![0.0; load.len()];
        for entity in (0..load.len()).filter(|i| load[*i] > LEAST) {
            let about = &evidence.of[entity];
            let callers = evidence.callers[entity].iter().map(|from| (*from, &evidence.of[*from]));
            let callers: Vec<(usize, f64)> =
                callers.filter(|(_, a)| a.extra_load() > 0.0).map(|(from, a)| (from, a.extra_requests)).collect();
            let sent: f64 = callers.iter().map(|(_, extra)| extra).sum();
            let moves = if sent > 0.0 { (1.0 - STAYS) * (sent / about.extra_requests).min(1.0) } else { 0.0 };
            blames[entity].load += load[entity] * (1.0 - moves);
            callers.iter().for_each(|(from, extra)| next[*from] += load[entity] * moves * extra / sent);
        }
        load = next;
    }
}
