//! From spans and log lines to what each service did for each request.

use std::collections::BTreeMap;

/// A span. Services, operations and traces are numbered by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace: u64,
    /// Its own id, unique within the trace.
    pub id: u64,
    /// The id of the span that made it; `None` for the first of a trace.
    pub parent: Option<u64>,
    /// Whose it is.
    pub service: u32,
    /// Its name.
    pub operation: u32,
    /// Begin, ns.
    pub start: i64,
    /// End, ns.
    pub end: i64,
    /// Whether it says that it failed.
    pub failed: bool,
}

/// A log line that was written within a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The trace in which it was written.
    pub trace: u64,
    /// The span in which it was written.
    pub span: u64,
    /// The template's number.
    pub template: u32,
    /// ns.
    pub time: i64,
}

/// Something that happens in a visit, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// A line of this template was written.
    Line(u32),
    /// A line of the second template was written right after one of the first; `None` is the begin and the end.
    Then(Option<u32>, Option<u32>),
    /// This service was called.
    Call(u32),
    /// A step of this name was done.
    Step(u32),
    /// A span said that it failed.
    Failed,
    /// Its own work took longer than nine of ten usually do.
    Slow,
    /// Its own work took longer than all before.
    Slowest,
}

/// What one service did for one request: the spans of one service that hang together, from the one that was called.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub service: u32,
    /// The operation that was called.
    pub operation: u32,
    pub trace: u64,
    /// Time within it that was not spent waiting for calls, ns.
    pub own: i64,
    /// What happened in it, each once, in order.
    pub marks: Vec<Mark>,
    /// Visits that it called.
    pub calls: Vec<usize>,
    /// What the way to and from each called visit took, ns; with its index.
    pub ways: Vec<(usize, i64)>,
}

/// Puts spans and lines together. Spans whose parent is not there begin a visit; lines without their span are left out.
pub(super) fn visits_of(spans: &[Span], lines: &[Line]) -> Vec<Visit> {
    let mut order: Vec<&Span> = spans.iter().collect();
    order.sort_by_key(|s| (s.trace, s.id, s.start, s.end, s.service, s.operation));
    order.dedup_by_key(|s| (s.trace, s.id));
    let by_id: BTreeMap<(u64, u64), usize> = order.iter().enumerate().map(|(i, s)| ((s.trace, s.id), i)).collect();
    let parents: Vec<Option<usize>> =
        order.iter().map(|s| s.parent.and_then(|p| by_id.get(&(s.trace, p)).copied())).collect();
    let firsts = firsts(&order, &parents);
    let mut visits = Vec::new();
    let mut visit_of_first: BTreeMap<usize, usize> = BTreeMap::new();
    for (i, span) in order.iter().enumerate().filter(|(i, _)| firsts[*i] == *i) {
        visit_of_first.insert(i, visits.len());
        visits.push(Visit {
            service: span.service,
            operation: span.operation,
            trace: span.trace,
            own: span.end.saturating_sub(span.start).max(0),
            marks: Vec::new(),
            calls: Vec::new(),
            ways: Vec::new(),
        });
    }
    let visit_at = |span: usize| visit_of_first[&firsts[span]];
    for (i, span) in order.iter().enumerate() {
        let marks = &mut visits[visit_at(i)].marks;
        marks.push(Mark::Step(span.operation));
        if span.failed {
            marks.push(Mark::Failed);
        }
    }
    add_calls(&order, &parents, &firsts, &visit_at, &mut visits);
    add_lines(lines, &by_id, &visit_at, &mut visits);
    for visit in &mut visits {
        visit.marks.sort_unstable();
        visit.marks.dedup();
    }
    visits
}

/// For each span the first span of its visit: the highest that is reached over spans of the same service. A ring of
/// parents ends where it began.
fn firsts(order: &[&Span], parents: &[Option<usize>]) -> Vec<usize> {
    let mut firsts: Vec<Option<usize>> = vec![None; order.len()];
    for i in 0..order.len() {
        let mut path = vec![i];
        let first = loop {
            let at = path[path.len() - 1];
            if let Some(known) = firsts[at] {
                break known;
            }
            let above = parents[at].filter(|p| order[*p].service == order[at].service);
            match above {
                Some(above) if !path.contains(&above) && path.len() < 1000 => path.push(above),
                _ => break at,
            }
        };
        for at in path {
            firsts[at] = Some(first);
        }
        firsts[first] = Some(first);
    }
    firsts.into_iter().enumerate().map(|(i, first)| first.unwrap_or(i)).collect()
}

fn add_calls(
    order: &[&Span],
    parents: &[Option<usize>],
    firsts: &[usize],
    visit_at: &dyn Fn(usize) -> usize,
    visits: &mut [Visit],
) {
    // Children of each span: a span with one child, of another service, is the call as its caller saw it.
    let mut children: Vec<u32> = vec![0; order.len()];
    parents.iter().flatten().for_each(|p| children[*p] += 1);
    let mut waits: BTreeMap<usize, Vec<(i64, i64)>> = BTreeMap::new();
    for (i, span) in order.iter().enumerate().filter(|(i, _)| firsts[*i] == *i) {
        let Some(parent) = parents[i] else { continue };
        let (caller, called) = (visit_at(parent), visit_at(i));
        if caller == called {
            continue;
        }
        visits[caller].calls.push(called);
        visits[caller].marks.push(Mark::Call(span.service));
        let from = order[parent];
        let is_call = children[parent] == 1 && firsts[parent] != parent;
        let within = span.start >= from.start && span.end <= from.end;
        if is_call && within {
            let way = from.end.saturating_sub(from.start).saturating_sub(span.end.saturating_sub(span.start));
            visits[caller].ways.push((called, way.max(0)));
        }
        let seen = if is_call { from } else { span };
        waits.entry(caller).or_default().push((seen.start, seen.end));
    }
    let bounds: BTreeMap<usize, (i64, i64)> =
        (0..order.len()).filter(|i| firsts[*i] == *i).map(|i| (visit_at(i), (order[i].start, order[i].end))).collect();
    for (visit, mut waits) in waits {
        let (start, end) = bounds[&visit];
        waits.sort_unstable();
        let (mut waited, mut to) = (0_i64, start);
        for (from, until) in waits {
            let (from, until) = (from.max(to), until.min(end));
            if until > from {
                waited = waited.saturating_add(until.saturating_sub(from));
                to = until;
            }
        }
        visits[visit].own = end.saturating_sub(start).saturating_sub(waited).max(0);
    }
}

fn add_lines(
    lines: &[Line],
    by_id: &BTreeMap<(u64, u64), usize>,
    visit_at: &dyn Fn(usize) -> usize,
    visits: &mut [Visit],
) {
    let placed = |line: &Line| Some((visit_at(*by_id.get(&(line.trace, line.span))?), line.time, line.template));
    let mut placed: Vec<(usize, i64, u32)> = lines.iter().filter_map(placed).collect();
    placed.sort_unstable();
    for of_visit in placed.chunk_by(|a, b| a.0 == b.0) {
        let templates = of_visit.iter().map(|line| line.2);
        let marks = &mut visits[of_visit[0].0].marks;
        marks.extend(templates.clone().map(Mark::Line));
        let befores = std::iter::once(None).chain(templates.clone().map(Some));
        let afters = templates.map(Some).chain([None]);
        marks.extend(befores.zip(afters).map(|(before, after)| Mark::Then(before, after)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u64, parent: u64, service: u32, operation: u32, start: i64, end: i64) -> Span {
        let parent = (parent > 0).then_some(parent);
        Span { trace: 1, id, parent, service, operation, start, end, failed: false }
    }

    #[test]
    fn a_call_has_its_way_and_is_not_the_callers_own_time() {
        // A handler of service 1 with a call span to service 2, which does a step of its own.
        let spans = [
            span(1, 0, 1, 10, 0, 100),
            span(2, 1, 1, 11, 20, 80),
            span(3, 2, 2, 20, 30, 75),
            span(4, 3, 2, 21, 40, 50),
        ];
        let lines = [
            Line { trace: 1, span: 4, template: 7, time: 45 },
            Line { trace: 1, span: 3, template: 8, time: 31 },
            Line { trace: 1, span: 99, template: 9, time: 31 },
        ];
        let visits = visits_of(&spans, &lines);
        assert_eq!(visits.len(), 2);
        assert_eq!((visits[0].service, visits[0].own, visits[0].ways.clone()), (1, 40, vec![(1, 15)]));
        let plain = |marks: &[Mark]| marks.iter().copied().filter(|m| !matches!(m, Mark::Then(..))).collect::<Vec<_>>();
        assert_eq!(plain(&visits[0].marks), [Mark::Call(2), Mark::Step(10), Mark::Step(11)]);
        assert_eq!(plain(&visits[1].marks), [Mark::Line(7), Mark::Line(8), Mark::Step(20), Mark::Step(21)]);
        assert_eq!(visits[1].own, 45);
        let order = [None, Some(8), Some(7), None];
        for pair in order.windows(2) {
            assert!(visits[1].marks.contains(&Mark::Then(pair[0], pair[1])), "{pair:?}");
        }
    }

    #[test]
    fn parallel_calls_are_waited_for_once() {
        let spans = [span(1, 0, 1, 10, 0, 100), span(2, 1, 2, 20, 10, 60), span(3, 1, 3, 30, 20, 70)];
        let visits = visits_of(&spans, &[]);
        assert_eq!((visits[0].own, visits[0].calls.clone()), (40, vec![1, 2]));
        assert!(visits[0].ways.is_empty(), "no span shows what the caller saw");
    }

    #[test]
    fn rings_twins_and_odd_times_are_no_trouble() {
        let mut spans = vec![span(1, 2, 1, 10, 5, -5), span(2, 1, 1, 10, i64::MIN, i64::MAX), span(3, 3, 2, 20, 0, 0)];
        spans.push(spans[0]);
        spans.push(span(4, 77, 3, 30, i64::MAX, i64::MIN));
        let visits = visits_of(&spans, &[]);
        assert!(visits.iter().all(|v| v.own >= 0) && visits.len() >= 3, "{visits:?}");
        assert!(visits_of(&[], &[Line { trace: 1, span: 1, template: 1, time: 0 }]).is_empty());
    }
}
