//! One day of one system: minutes in order, each fault judged with its time given, and without.

use std::{collections::BTreeMap, path::Path};

use analyze::cause::compare::{ALARM, About, Named, Reading, Usual, Verdict};
use types::{SECOND, Time};

use super::{
    PROTOCOL,
    read::{Minute, Names, Reader, Series, metrics, minutes, service_of},
};
use crate::{Problem, data, workers::timed};

/// A fault that was injected.
#[derive(Clone, Debug)]
pub struct Fault {
    /// When, ns since 1970, UTC.
    pub at: i64,
    /// The same as it is written in the list.
    pub when: String,
    /// Whose fault it is.
    pub service: String,
    /// As the list names it.
    pub kind: String,
}

/// A suspect as it is written down.
#[derive(Clone, Debug)]
pub struct Ranked {
    pub entity: String,
    pub metric: String,
    pub belief: f64,
    /// Text of the expected lines, where the evidence is one: what comes before, and the line itself.
    pub lines: Option<(String, String)>,
}

/// The outcome for one fault and one way to ask.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub ranking: Vec<Ranked>,
    pub undecided: bool,
    /// Rankings of trivial baselines: services with scores.
    pub baselines: BTreeMap<&'static str, BTreeMap<String, f64>>,
    /// From the fault to the end of the minute that raised the alarm, s.
    pub delay_s: Option<f64>,
    pub cpu_s: f64,
}

/// What a day gave.
pub struct Day {
    pub faults: Vec<Fault>,
    /// By fault: with its time given.
    pub given: Vec<Outcome>,
    /// By fault: found by ourselves; `None` where no alarm was raised.
    pub found: Vec<Option<Outcome>>,
    /// Alarms near no fault.
    pub false_alarms: usize,
    /// Alarms shortly before the time of a fault that raised one during it too.
    pub early_alarms: usize,
    pub minutes: usize,
    pub services: usize,
}

/// What is looked at from the given time of a fault on.
const LOOK_NS: i64 = 180 * SECOND;
/// How long after a fault began what is seen is not taken for usual, and alarms are its own.
const FAULT_NS: i64 = 300 * SECOND;
/// How long before its time in the list a fault may show: lines that only a fault writes stand in the logs up to 80 s
/// before.
const EARLY_NS: i64 = 90 * SECOND;
/// How old a minute must be to be learned: what began a little before it was seen is no part of what is usual.
const LAG_NS: i64 = 120 * SECOND;
/// How long an alarm is looked at until its cause is said.
const ALARM_NS: i64 = 150 * SECOND;

/// Runs one day; `None` for one of which there are neither traces nor logs.
pub fn run(root: &Path, name: &str) -> Result<Option<Day>, Problem> {
    let folder = root.join("rca_data").join(name);
    let minutes = minutes(&folder);
    if minutes.is_empty() {
        return Ok(None);
    }
    let faults = faults(&folder.join(format!("{name}-fault_list.json")))?;
    let mut reader = Reader::new();
    let mut metric_names = Names::default();
    let series = metrics(&folder.join("metric"), &mut reader.services, &mut metric_names)?;
    let mut stream = Stream {
        early: vec![None; faults.len()],
        given: Asked::new(faults.len()),
        found: Asked::new(faults.len()),
        faults,
        reader,
        metric_names,
        series,
        recent: Vec::new(),
        unlearned: Vec::new(),
        alarm: None,
        false_alarms: 0,
        early_alarms: 0,
        minutes: 0,
        counts: Counts::default(),
    };
    let usual_folder = root.join("construct_data").join(name);
    for minute in self::minutes(&usual_folder) {
        let minute = stream.reader.minute(&usual_folder, &minute)?;
        stream.rename();
        minute.by_minute().iter().for_each(|m| stream.learn(m));
    }
    for minute in minutes {
        let minute = stream.reader.minute(&folder, &minute)?;
        stream.rename();
        minute.by_minute().into_iter().for_each(|m| stream.pass(m));
    }
    stream.end();
    let given = stream.given.outcomes.into_iter().map(Option::unwrap_or_default).collect();
    Ok(Some(Day {
        faults: stream.faults,
        given,
        found: stream.found.outcomes,
        false_alarms: stream.false_alarms,
        early_alarms: stream.early_alarms,
        minutes: stream.minutes,
        services: stream.reader.services.len(),
    }))
}

/// Faults of a list `{"HH": [{"inject_time", "inject_pod", "inject_type"}]}`, in order of time.
fn faults(path: &Path) -> Result<Vec<Fault>, Problem> {
    let problem = |what: String| Problem::new(path, what, PROTOCOL.layout);
    let list = data::json(path, PROTOCOL.layout)?;
    let hours = list.as_object().ok_or_else(|| problem("no object of hours".into()))?;
    let mut found = Vec::new();
    for entry in hours.values().flat_map(|hour| hour.as_array().into_iter().flatten()) {
        let field = |name: &str| {
            let value = entry.get(name).and_then(|v| v.as_str());
            value.ok_or_else(|| problem(format!("a fault without {name}: {entry}")))
        };
        let when = field("inject_time")?;
        let at = time_of(when).ok_or_else(|| problem(format!("{when:?} is no time as 2023-01-29 08:43:04")))?;
        let service = service_of(field("inject_pod")?).to_owned();
        found.push(Fault { at, when: when.to_owned(), service, kind: field("inject_type")?.to_owned() });
    }
    if found.is_empty() {
        return Err(problem("no fault".into()));
    }
    found.sort_by(|a, b| (a.at, &a.service).cmp(&(b.at, &b.service)));
    Ok(found)
}

/// `YYYY-MM-DD HH:MM:SS` in UTC as ns since 1970.
fn time_of(text: &str) -> Option<i64> {
    Time::parse(&format!("{text}Z")).map(|at| at.0)
}

/// One way to ask: what is usual to it, and what it answered.
struct Asked {
    usual: Usual,
    outcomes: Vec<Option<Outcome>>,
}

impl Asked {
    fn new(faults: usize) -> Asked {
        Asked { usual: Usual::default(), outcomes: vec![None; faults] }
    }
}

struct Stream {
    faults: Vec<Fault>,
    reader: Reader,
    metric_names: Names,
    series: Vec<Series>,
    /// Minutes of which a fault may still be judged, and that are not yet learned for it.
    recent: Vec<Minute>,
    /// Minutes that are not yet learned for what is found by ourselves.
    unlearned: Vec<Minute>,
    given: Asked,
    found: Asked,
    /// By fault: what was found shortly before its time.
    early: Vec<Option<Outcome>>,
    /// The minutes of the alarm that goes on.
    alarm: Option<Minute>,
    false_alarms: usize,
    early_alarms: usize,
    minutes: usize,
    counts: Counts,
}

impl Stream {
    fn rename(&mut self) {
        for template in self.reader.miner.take_changes() {
            let goes_on_as = self.reader.miner.resolve(template);
            self.given.usual.rename(template, goes_on_as);
            self.found.usual.rename(template, goes_on_as);
        }
    }

    fn learn(&mut self, minute: &Minute) {
        self.given.usual.learn(&minute.spans, &minute.lines);
        self.found.usual.learn(&minute.spans, &minute.lines);
        self.counts.learn(minute);
    }

    fn pass(&mut self, minute: Minute) {
        let Some((start, end)) = minute.bounds() else { return };
        self.minutes += 1;
        self.judge_given(start);
        self.learn_old(start);
        self.watch(&minute, start, end);
        self.recent.push(minute);
    }

    /// Learns minutes that are old enough to be no part of what may just be found or asked.
    fn learn_old(&mut self, now: i64) {
        let is_old = |m: &Minute, from: i64| m.bounds().is_some_and(|(_, last)| last < from.saturating_sub(LAG_NS));
        let open =
            |(fault, outcome): (&Fault, &Option<Outcome>)| (outcome.is_none() && fault.at <= now).then_some(fault.at);
        let from = self.faults.iter().zip(&self.given.outcomes).filter_map(open).min().unwrap_or(now);
        let count = self.recent.iter().take_while(|m| is_old(m, from)).count();
        for minute in self.recent.drain(..count) {
            self.given.usual.learn_unless_odd(&minute.spans, &minute.lines);
            self.counts.learn(&minute);
        }
        let count = self.unlearned.iter().take_while(|m| is_old(m, now)).count();
        for minute in self.unlearned.drain(..count) {
            self.found.usual.learn_unless_odd(&minute.spans, &minute.lines);
        }
    }

    fn end(&mut self) {
        self.judge_given(i64::MAX);
        self.close_alarm();
        // An alarm shortly before a fault's time is its own where none was raised during it, and else of nothing.
        for (found, early) in self.found.outcomes.iter_mut().zip(std::mem::take(&mut self.early)) {
            self.early_alarms += usize::from(found.is_some() && early.is_some());
            *found = found.take().or(early);
        }
    }

    /// Judges the faults whose time to look at is over by `now`.
    fn judge_given(&mut self, now: i64) {
        for i in 0..self.faults.len() {
            let at = self.faults[i].at;
            if self.given.outcomes[i].is_some() || at.saturating_add(LOOK_NS) > now {
                continue;
            }
            let mut window = Minute::default();
            self.recent.iter().for_each(|m| window.add(&m.part(|start| (at..at + LOOK_NS).contains(&start))));
            let (verdict, cpu_s) = timed(|| self.judge(&self.given.usual, &window, at, at + LOOK_NS));
            let mut outcome = self.outcome(verdict);
            outcome.cpu_s = cpu_s;
            outcome.baselines = self.baselines(&window, at, i);
            self.given.outcomes[i] = Some(outcome);
        }
    }

    /// Looks at a minute as it would be looked at live.
    fn watch(&mut self, minute: &Minute, start: i64, end: i64) {
        if let Some(alarm) = &mut self.alarm {
            let began = alarm.bounds().map_or(start, |(first, _)| first);
            if end - began <= ALARM_NS {
                alarm.add(minute);
                self.unlearned.push(minute.clone());
                return;
            }
            self.close_alarm();
        }
        let verdict = self.judge(&self.found.usual, minute, start, end);
        self.unlearned.push(minute.clone());
        if verdict.suspects.first().is_none_or(|s| s.weight < ALARM) {
            return;
        }
        let mut alarm = Minute::default();
        alarm.add(minute);
        self.alarm = Some(alarm);
    }

    fn close_alarm(&mut self) {
        let Some(alarm) = self.alarm.take() else { return };
        let Some((start, end)) = alarm.bounds() else { return };
        let (verdict, cpu_s) = timed(|| self.judge(&self.found.usual, &alarm, start, end));
        let alarm_end = (start + 60 * SECOND).min(end);
        let all = 0..self.faults.len();
        let begun = all.clone().rev().find(|i| {
            let at = self.faults[*i].at;
            at < alarm_end && start < at + FAULT_NS
        });
        let next = all.clone().find(|i| (alarm_end..alarm_end + EARLY_NS).contains(&self.faults[*i].at));
        let is_open = |i: &usize| self.found.outcomes[*i].is_none();
        let Some(fault) = begun.filter(is_open).or(next).or(begun) else {
            self.false_alarms += 1;
            return;
        };
        let mut outcome = self.outcome(verdict);
        outcome.cpu_s = cpu_s;
        outcome.delay_s = Some((alarm_end - self.faults[fault].at) as f64 / SECOND as f64);
        let is_early = self.faults[fault].at >= alarm_end;
        let known = if is_early { &mut self.early[fault] } else { &mut self.found.outcomes[fault] };
        known.get_or_insert(outcome);
    }

    fn judge(&self, usual: &Usual, minute: &Minute, from: i64, to: i64) -> Verdict {
        let columns: Vec<(&Series, Vec<f64>, Vec<f64>)> =
            self.series.iter().map(|s| (s, s.between(i64::MIN, from), s.between(from, to.saturating_add(1)))).collect();
        let readings = columns.iter().map(|(series, before, within)| Reading {
            service: series.service,
            metric: series.metric,
            says: series.says,
            before,
            within,
        });
        usual.judge(&minute.spans, &minute.lines, &readings.collect::<Vec<_>>())
    }

    fn outcome(&self, verdict: Verdict) -> Outcome {
        let mut ranking = Vec::new();
        for suspect in verdict.suspects {
            let is_metric = matches!(suspect.evidence[0].about, About::Resource { .. } | About::Ways);
            let lines = suspect.leaves.filter(|_| !is_metric).map(|(before, after)| self.lines_of(before, after));
            ranking.push(Ranked {
                entity: self.name(Named::Service(suspect.service)),
                metric: suspect.evidence[0].about.title(&|of| self.name(of)),
                belief: suspect.belief,
                lines,
            });
        }
        Outcome { ranking, undecided: verdict.undecided, ..Outcome::default() }
    }

    /// Examples of two templates that usually follow each other, as they were written; before the first of a visit
    /// stands the begin of its span.
    fn lines_of(&self, before: Option<u32>, after: u32) -> (String, String) {
        let (reader, miner) = (&self.reader, &self.reader.miner);
        let is_it = |pair: &&(u32, u32)| before == Some(miner.resolve(pair.0)) && miner.resolve(pair.1) == after;
        if let Some(pair) = reader.pairs.keys().find(is_it) {
            return reader.pairs[pair].clone();
        }
        let example = |template: u32| {
            let known = reader.examples.keys().find(|known| miner.resolve(**known) == template);
            known.map_or((String::new(), u32::MAX), |known| reader.examples[known].clone())
        };
        let (after, operation) = example(after);
        let begin = format!("{} start", reader.operations.name(operation));
        (before.map_or(begin, |before| example(before).0), after)
    }

    fn name(&self, of: Named) -> String {
        let name = match of {
            Named::Service(service) => self.reader.services.name(service),
            Named::Operation(operation) => self.reader.operations.name(operation),
            Named::Template(template) => self.reader.miner.text(template),
            Named::Metric(metric) => self.metric_names.name(metric),
        };
        name.to_owned()
    }

    fn baselines(&self, window: &Minute, at: i64, fault: usize) -> BTreeMap<&'static str, BTreeMap<String, f64>> {
        let services = 0..self.reader.services.len() as u32;
        let named = |scores: Vec<f64>| {
            let named = services.clone().map(|s| self.reader.services.name(s).to_owned());
            named.zip(scores).collect::<BTreeMap<String, f64>>()
        };
        let random = crate::baselines::random(services.len(), at as u64 ^ fault as u64);
        let of_span: BTreeMap<(u64, u64), u32> = window.spans.iter().map(|s| ((s.trace, s.id), s.service)).collect();
        let mut lines = vec![0.0; services.len()];
        for service in window.lines.iter().filter_map(|l| of_span.get(&(l.trace, l.span))) {
            lines[*service as usize] += 1.0;
        }
        let own = self.counts.change(window);
        let own = services.clone().map(|s| own.get(&s).copied().unwrap_or(0.0)).collect();
        let mut cpu = vec![0.0_f64; services.len()];
        for series in &self.series {
            if self.metric_names.name(series.metric).to_lowercase().contains("cpu") {
                let z = z_of(&series.between(i64::MIN, at), &series.between(at, at + LOOK_NS));
                cpu[series.service as usize] = cpu[series.service as usize].max(z);
            }
        }
        BTreeMap::from([
            ("random", named(random)),
            ("log lines", named(lines)),
            ("own time", named(own)),
            ("cpu z", named(cpu)),
        ])
    }
}

fn z_of(before: &[f64], within: &[f64]) -> f64 {
    let n = before.len().max(1) as f64;
    let mean = before.iter().sum::<f64>() / n;
    let deviation = (before.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt().max(1e-9);
    within.iter().map(|v| (v - mean) / deviation).fold(0.0, f64::max)
}

impl Series {
    /// Values in [from, to).
    fn between(&self, from: i64, to: i64) -> Vec<f64> {
        let range = self.points.partition_point(|p| p.0 < from)..self.points.partition_point(|p| p.0 < to);
        self.points[range].iter().map(|p| p.1).collect()
    }
}

/// Mean own time of spans by service: a baseline.
#[derive(Default)]
struct Counts(BTreeMap<u32, (f64, f64)>);

impl Counts {
    fn learn(&mut self, minute: &Minute) {
        for (service, (sum, count)) in own_times(minute) {
            let known = self.0.entry(service).or_default();
            *known = (known.0 + sum, known.1 + count);
        }
    }

    /// Mean own time over what it was before.
    fn change(&self, window: &Minute) -> BTreeMap<u32, f64> {
        let change = own_times(window).into_iter().filter_map(|(service, (sum, count))| {
            let (before, of) = self.0.get(&service)?;
            Some((service, (sum / count) / (before / of).max(1.0)))
        });
        change.collect()
    }
}

/// Sum and number of the spans' times without their children's, by service.
fn own_times(minute: &Minute) -> BTreeMap<u32, (f64, f64)> {
    let mut children: BTreeMap<(u64, u64), i64> = BTreeMap::new();
    for span in &minute.spans {
        let time = children.entry((span.trace, span.parent.unwrap_or(0))).or_default();
        *time = time.saturating_add(span.end.saturating_sub(span.start));
    }
    let mut sums: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for span in &minute.spans {
        let within = children.get(&(span.trace, span.id)).copied().unwrap_or(0);
        let sum = sums.entry(span.service).or_default();
        *sum = (sum.0 + (span.end.saturating_sub(span.start).saturating_sub(within)).max(0) as f64, sum.1 + 1.0);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_utc() {
        assert_eq!(time_of("2023-01-29 08:43:04"), Some(1_674_981_784 * SECOND));
        assert_eq!(time_of("1970-01-01 00:00:00"), Some(0));
        assert_eq!(time_of("2024-02-29T12:00:00"), Some(1_709_208_000 * SECOND));
        for odd in
            ["", "2023-01-29", "2023-13-29 08:43:04", "2023-01-29 24:00:00", "9999-01-01 00:00:00", "a-b-c d:e:f"]
        {
            assert_eq!(time_of(odd), None, "{odd}");
        }
    }
}
