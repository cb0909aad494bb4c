//! From recorded series to a question, and the answer with names.

use std::collections::BTreeMap;

use serde::Serialize;
use types::{EntityId, SeriesKind, Time};

use super::{Answer, Measure, Question, Series, localize};
use crate::{
    detect::{
        requests::{EDGE_METRICS, SERVICE_METRICS},
        resource,
    },
    grid::{self, Grid},
};

/// Steps into which a stretch is cut, at most.
const STEPS: i64 = 12;
/// Entries that are looked at where no entity is named.
const ENTRIES_MOST: usize = 64;

/// A series as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// Whose.
    pub entity: &'a EntityId,
    /// Metric name.
    pub metric: &'a str,
    /// Whom the calls go to that it measures; `None`: it is about the entity itself.
    pub target: Option<&'a EntityId>,
    /// What its values are.
    pub kind: SeriesKind,
    /// Time (ns, ascending) and value.
    pub points: &'a [(i64, f64)],
}

/// What is asked of a recorded stretch.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who is off; `None`: who is most off of those that nobody calls.
    pub entity: Option<&'a EntityId>,
    /// In which measure of requests; `None`: errors or latency, whichever is more off.
    pub measure: Option<Measure>,
    /// Begin of the stretch.
    pub from: Time,
    /// Its end.
    pub to: Time,
}

/// Where what is extra comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Origin {
    /// Who is off.
    pub entity: EntityId,
    /// In what: `latency`, `errors` or `requests`.
    pub measure: &'static str,
    /// -log10 of the chance of this in the time before.
    pub surprise: f64,
    /// Whether nobody should act on the first suspect.
    pub undecided: bool,
    /// Most likely first.
    pub suspects: Vec<Culprit>,
    /// Length of a step, s.
    pub step_s: i64,
    /// Steps before the stretch, and within it.
    pub before: usize,
    /// See `before`.
    pub within: usize,
}

/// An entity that may be why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Culprit {
    /// Who.
    pub entity: EntityId,
    /// 0..1; all together less than 1.
    pub belief: f64,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
}

/// Metrics that [`ask`] wants of all services, besides gauges.
pub fn wanted_metrics() -> impl Iterator<Item = &'static str> {
    SERVICE_METRICS.into_iter().chain(EDGE_METRICS).filter(|name| !name.ends_with("_p95"))
}

/// Asks [`localize`] of recorded series: the derived series of services and of their calls, and gauges. `calls` are the
/// edges of the map at the time. `None` where nothing of the kind was recorded, or too little before the stretch.
pub fn ask(recorded: &[Recorded], calls: &[(&EntityId, &EntityId)], asked: &Asked) -> Option<Origin> {
    let table = Table::new(recorded, calls, asked)?;
    let series = table.series();
    let measures = match asked.measure {
        Some(measure) => vec![measure],
        None => vec![Measure::Errors, Measure::Latency],
    };
    let mut best: Option<(usize, Answer)> = None;
    for alarmed in table.alarmed(asked.entity, &measures) {
        let question = Question { entities: &table.names, calls: &table.calls, series: &series, alarmed };
        let answer = localize(&question);
        if best.as_ref().is_none_or(|(_, known)| answer.surprise > known.surprise) {
            best = Some((alarmed, answer));
        }
    }
    let (alarmed, answer) = best?;
    let name = |at: usize| table.entities[at].clone();
    let culprit = |s: super::Suspect| Culprit { entity: name(s.entity), belief: s.belief, reasons: s.reasons };
    let longest = |of: &dyn Fn(&Line) -> usize| table.lines.iter().map(of).max().unwrap_or(0);
    Some(Origin {
        entity: name(series[alarmed].entity),
        measure: match series[alarmed].measure {
            Measure::Errors => "errors",
            Measure::Requests => "requests",
            _ => "latency",
        },
        surprise: answer.surprise,
        undecided: answer.is_undecided,
        suspects: answer.suspects.into_iter().map(culprit).collect(),
        step_s: table.width / types::SECOND,
        before: longest(&|line| line.before.len()),
        within: longest(&|line| line.within.len()),
    })
}

/// A series of the question.
struct Line<'a> {
    entity: usize,
    name: &'a str,
    measure: Measure,
    before: Vec<f64>,
    within: Vec<f64>,
}

/// All series on one grid.
struct Table<'a> {
    entities: Vec<&'a EntityId>,
    names: Vec<&'a str>,
    calls: Vec<(usize, usize)>,
    lines: Vec<Line<'a>>,
    width: i64,
}

impl<'a> Table<'a> {
    fn new(recorded: &[Recorded<'a>], calls: &[(&'a EntityId, &'a EntityId)], asked: &Asked) -> Option<Table<'a>> {
        let length = asked.to.since(asked.from);
        let is_of_requests = |r: &&Recorded| r.target.is_none() && SERVICE_METRICS.contains(&r.metric);
        let gap = recorded.iter().filter(is_of_requests).map(|r| grid::usual_gap(r.points)).min()?;
        let width = grid::width(gap.max(length / STEPS))?;
        let steps = ((length + width / 2) / width).max(1) as usize;
        let mut numbers: BTreeMap<&EntityId, usize> = BTreeMap::new();
        let mut entities: Vec<&'a EntityId> = Vec::new();
        let mut number = |id: &'a EntityId| {
            *numbers.entry(id).or_insert_with(|| {
                entities.push(id);
                entities.len() - 1
            })
        };
        let calls: Vec<(usize, usize)> = calls.iter().map(|(from, to)| (number(from), number(to))).collect();
        let on_grid = |r: &Recorded| {
            let mut values = Grid::new(r.points, r.kind, width, asked.to.0 + width - 1).values;
            let within = values.split_off(values.len().saturating_sub(steps));
            (values, within)
        };
        let mut lines: Vec<Line> = Vec::new();
        let mut called: BTreeMap<usize, Vec<&Recorded>> = BTreeMap::new();
        for series in recorded {
            let Some(measure) = measure_of(series) else { continue };
            match series.target {
                Some(target) => called.entry(number(target)).or_default().push(series),
                None => {
                    let (before, within) = on_grid(series);
                    lines.push(Line {
                        entity: number(series.entity),
                        name: name_of(series, measure),
                        measure,
                        before,
                        within,
                    });
                }
            }
        }
        // Who sends nothing is known by the calls that go there.
        let speaks =
            |entity: usize, lines: &[Line]| lines.iter().any(|l| l.entity == entity && l.measure == Measure::Requests);
        for (target, series) in called {
            if !speaks(target, &lines) {
                lines.extend(of_calls(target, &series, &on_grid));
            }
        }
        lines.sort_by_key(|line| line.entity);
        let names = entities.iter().map(|id| id.name()).collect();
        Some(Table { entities, names, calls, lines, width })
    }

    fn series(&self) -> Vec<Series<'_>> {
        self.lines
            .iter()
            .map(|line| Series {
                entity: line.entity,
                name: line.name,
                measure: line.measure,
                before: &line.before,
                within: &line.within,
            })
            .collect()
    }

    /// Series that may be the one that is off.
    fn alarmed(&self, entity: Option<&EntityId>, measures: &[Measure]) -> Vec<usize> {
        let is_called = |at: usize| self.calls.iter().any(|(from, to)| *to == at && *from != at);
        let is_asked = |at: usize| match entity {
            Some(entity) => self.entities[at] == entity,
            None => !is_called(at),
        };
        let series = (0..self.lines.len()).filter(|i| {
            let line = &self.lines[*i];
            measures.contains(&line.measure) && is_asked(line.entity)
        });
        series.take(measures.len() * ENTRIES_MOST).collect()
    }
}

/// What a recorded series measures; `None`: it is not looked at.
fn measure_of(series: &Recorded) -> Option<Measure> {
    let names = if series.target.is_some() { EDGE_METRICS } else { SERVICE_METRICS };
    let [rate, errors, _, mean] = names;
    match series.metric {
        name if name == rate => Some(Measure::Requests),
        name if name == errors => Some(Measure::Errors),
        name if name == mean => Some(Measure::Latency),
        name if name.starts_with("bellwether.") => None,
        _ if !matches!(series.kind, SeriesKind::Gauge) => None,
        name if resource::is_use(name) => Some(Measure::Resource),
        _ => Some(Measure::Other),
    }
}

/// What a series is called in a sentence.
fn name_of<'a>(series: &Recorded<'a>, measure: Measure) -> &'a str {
    match measure {
        Measure::Requests => "rate of requests, 1/s,",
        Measure::Errors => "share of failed requests",
        Measure::Latency => "mean time of requests, ms,",
        _ => series.metric,
    }
}

/// The series of one that is known by calls alone: of all its callers together, by how often they call.
fn of_calls<'a>(
    target: usize,
    series: &[&Recorded<'a>],
    on_grid: &dyn Fn(&Recorded) -> (Vec<f64>, Vec<f64>),
) -> Vec<Line<'a>> {
    // By caller: rate, errors and latency, with the stretch behind what came before.
    let mut callers: BTreeMap<&EntityId, [Vec<f64>; 3]> = BTreeMap::new();
    let mut within = 0;
    for one in series {
        let (mut values, last) = on_grid(one);
        within = within.max(last.len());
        values.extend(last);
        let at = match measure_of(one) {
            Some(Measure::Requests) => 0,
            Some(Measure::Errors) => 1,
            _ => 2,
        };
        callers.entry(one.entity).or_default()[at] = values;
    }
    let steps = callers.values().flatten().map(Vec::len).max().unwrap_or(0);
    // All end with the same step.
    let value = |values: &[f64], back: usize| values.len().checked_sub(back).map_or(f64::NAN, |at| values[at]);
    let at_step = |back: usize| {
        let rates = callers.values().map(|of| (of, value(&of[0], back))).filter(|(_, rate)| rate.is_finite());
        let rates: Vec<_> = rates.collect();
        let mean = |at: usize| {
            let known = rates.iter().map(|(of, rate)| (value(&of[at], back), rate)).filter(|(v, _)| v.is_finite());
            let (weighed, weight) = known.fold((0.0, 0.0), |(sum, all), (v, rate)| (sum + v * rate, all + rate));
            if weight > 0.0 { weighed / weight } else { f64::NAN }
        };
        let total = if rates.is_empty() { f64::NAN } else { rates.iter().map(|(_, rate)| rate).sum() };
        [total, mean(1), mean(2)]
    };
    let mut sums: [Vec<f64>; 3] = Default::default();
    for values in (1..=steps).rev().map(at_step) {
        sums.iter_mut().zip(values).for_each(|(sum, value)| sum.push(value));
    }
    let measures = [Measure::Requests, Measure::Errors, Measure::Latency];
    let names = ["rate of calls to it, 1/s,", "share of failed calls to it", "mean time of calls to it, ms,"];
    let line = |((mut before, measure), name): ((Vec<f64>, Measure), &'static str)| {
        let within = before.split_off(before.len().saturating_sub(within));
        Line { entity: target, name, measure, before, within }
    };
    sums.into_iter().zip(measures).zip(names).map(line).collect()
}

#[cfg(test)]
mod tests {
    use types::{MINUTE, SECOND};

    use super::*;

    const START: i64 = 1_767_571_200 * SECOND;
    const STEP: i64 = 10 * SECOND;
    const BEFORE: i64 = 360;
    const WITHIN: i64 = 30;

    fn id(name: &str) -> EntityId {
        EntityId::new("service", "", name)
    }

    type Kept = (EntityId, &'static str, Option<EntityId>, Vec<(i64, f64)>);

    /// A front calls middle, which calls a database that sends nothing; from a moment on one of them is slow, or fails.
    fn shop(slow_at: usize, by: f64, errors: f64) -> Vec<Kept> {
        let points =
            |value: &dyn Fn(i64) -> f64| (0..BEFORE + WITHIN).map(|i| (START + i * STEP, value(i))).collect::<Vec<_>>();
        let noise = |i: i64, salt: i64| ((i * 7919 + salt * 104_729) % 101) as f64 / 101.0;
        let mut kept: Vec<Kept> = Vec::new();
        for (at, name) in ["front", "middle", "db"].into_iter().enumerate() {
            let is_hit = |i: i64| i >= BEFORE && at <= slow_at;
            let latency =
                |i: i64| 10.0 * (3 - at) as f64 * (1.0 + 0.1 * noise(i, at as i64)) + if is_hit(i) { by } else { 0.0 };
            let failed = |i: i64| 0.001 * noise(i, 9) + if is_hit(i) { errors } else { 0.0 };
            let rate = |i: i64| 50.0 + 5.0 * noise(i, 4);
            let (metrics, of, target) = match name {
                "db" => (EDGE_METRICS, id("middle"), Some(id("db"))),
                _ => (SERVICE_METRICS, id(name), None),
            };
            let [rates, ratios, _, means] = metrics;
            kept.push((of.clone(), rates, target.clone(), points(&rate)));
            kept.push((of.clone(), ratios, target.clone(), points(&failed)));
            kept.push((of, means, target, points(&latency)));
        }
        kept
    }

    fn answer(kept: &[Kept], entity: Option<&str>, measure: Option<Measure>) -> Option<Origin> {
        let recorded = kept.iter().map(|(entity, metric, target, points)| Recorded {
            entity,
            metric,
            target: target.as_ref(),
            kind: SeriesKind::Derived,
            points,
        });
        let recorded: Vec<Recorded> = recorded.collect();
        let names = [id("front"), id("middle"), id("db")];
        let calls = [(&names[0], &names[1]), (&names[1], &names[2])];
        let entity = entity.map(id);
        let from = Time(START + BEFORE * STEP);
        let asked = Asked { entity: entity.as_ref(), measure, from, to: from.plus(5 * MINUTE) };
        ask(&recorded, &calls, &asked)
    }

    #[test]
    fn the_slow_or_failing_one_is_named_also_where_it_sends_nothing_itself() {
        for (at, name) in ["front", "middle", "db"].into_iter().enumerate() {
            for (by, errors, measure) in [(40.0, 0.0, "latency"), (0.0, 0.3, "errors")] {
                let origin = answer(&shop(at, by, errors), None, None).unwrap();
                assert_eq!((origin.entity.clone(), origin.measure), (id("front"), measure));
                assert!(origin.suspects[0].entity == id(name) && !origin.undecided, "{name} {measure}: {origin:#?}");
                assert_eq!((origin.step_s, origin.within), (30, 10));
            }
        }
    }

    #[test]
    fn who_and_what_is_asked_of_can_be_said() {
        let shop = shop(1, 40.0, 0.0);
        let origin = answer(&shop, Some("middle"), Some(Measure::Latency)).unwrap();
        assert_eq!((origin.entity, origin.suspects[0].entity.clone()), (id("middle"), id("middle")));
        assert!(answer(&shop, Some("front"), Some(Measure::Errors)).unwrap().undecided);
        assert_eq!(answer(&shop, Some("nobody"), None), None);
    }

    #[test]
    fn where_nothing_differs_or_nothing_is_known_nobody_is_named() {
        assert!(answer(&shop(2, 0.0, 0.0), None, None).unwrap().undecided);
        assert_eq!(answer(&[], None, None), None);
        let mut late = shop(2, 40.0, 0.0);
        late.iter_mut().for_each(|kept| kept.3.retain(|p| p.0 >= START + BEFORE * STEP));
        assert!(answer(&late, None, None).is_none_or(|origin| origin.undecided));
    }
}
