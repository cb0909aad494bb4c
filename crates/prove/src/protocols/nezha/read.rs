//! Reading minutes of spans, log lines and metrics.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    path::{Path, PathBuf},
};

use analyze::cause::compare::{Line, Span, Use};
use math::templates::Miner;
use types::MINUTE;

use super::PROTOCOL;
use crate::{Problem, data};

/// Numbers for names, in order of first sight.
#[derive(Default)]
pub struct Names {
    numbers: HashMap<String, u32>,
    names: Vec<String>,
}

impl Names {
    /// The number of a name.
    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(known) = self.numbers.get(name) {
            return *known;
        }
        let number = self.names.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        number
    }

    /// The name of a number.
    pub fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", String::as_str)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }
}

/// Spans and lines of about a minute that were not in a file before.
#[derive(Clone, Default)]
pub struct Minute {
    /// Spans, in no order.
    pub spans: Vec<Span>,
    /// Lines, in no order.
    pub lines: Vec<Line>,
    /// When each trace began, ns.
    pub starts: BTreeMap<u64, i64>,
}

impl Minute {
    /// Begin of the first and of the last trace.
    pub fn bounds(&self) -> Option<(i64, i64)> {
        Some((*self.starts.values().min()?, *self.starts.values().max()?))
    }

    /// The part whose traces began at a time that `keep` says.
    pub fn part(&self, keep: impl Fn(i64) -> bool) -> Minute {
        let kept = |trace: &u64| self.starts.get(trace).is_some_and(|start| keep(*start));
        Minute {
            spans: self.spans.iter().filter(|s| kept(&s.trace)).copied().collect(),
            lines: self.lines.iter().filter(|l| kept(&l.trace)).copied().collect(),
            starts: self
                .starts
                .iter()
                .filter(|(_, start)| keep(**start))
                .map(|(trace, start)| (*trace, *start))
                .collect(),
        }
    }

    /// Adds another.
    pub fn add(&mut self, other: &Minute) {
        self.spans.extend(&other.spans);
        self.lines.extend(&other.lines);
        self.starts.extend(&other.starts);
    }

    /// In pieces of a minute, by the begin of their traces.
    pub fn by_minute(self) -> Vec<Minute> {
        let Some((first, last)) = self.bounds() else { return Vec::new() };
        let pieces = (last - first) / MINUTE + 1;
        if pieces <= 1 {
            return vec![self];
        }
        let mut found: Vec<Minute> = (0..pieces).map(|i| self.part(|start| (start - first) / MINUTE == i)).collect();
        found.retain(|m| !m.spans.is_empty());
        found
    }
}

/// Files whose spans and lines are remembered, so that what stands in two files counts once.
const FILES_REMEMBERED: usize = 8;

/// Reads minutes of one system in order.
pub struct Reader {
    /// Services, by pods without what Kubernetes appends.
    pub services: Names,
    /// Names of spans.
    pub operations: Names,
    /// The templates of all lines.
    pub miner: Miner,
    /// The first line of each template, and the operation in which it was written.
    pub examples: BTreeMap<u32, (String, u32)>,
    /// The first two lines of each two templates that follow each other in a span.
    pub pairs: BTreeMap<(u32, u32), (String, String)>,
    seen: VecDeque<BTreeSet<u64>>,
}

impl Reader {
    /// A reader that has seen nothing.
    pub fn new() -> Reader {
        Reader {
            services: Names::default(),
            operations: Names::default(),
            miner: Miner::default(),
            examples: BTreeMap::new(),
            pairs: BTreeMap::new(),
            seen: VecDeque::new(),
        }
    }

    /// Reads a minute: files `HH_MM_trace.csv` and `HH_MM_log.csv` below a day's folder, each of which may be missing.
    pub fn minute(&mut self, day: &Path, minute: &str) -> Result<Minute, Problem> {
        let mut found = Minute::default();
        let mut seen = BTreeSet::new();
        if let Some(path) = either(&day.join(format!("trace/{minute}_trace.csv"))) {
            self.spans(&path, &mut found, &mut seen)?;
        }
        if let Some(path) = either(&day.join(format!("log/{minute}_log.csv"))) {
            self.lines(&path, &mut found, &mut seen)?;
        }
        self.seen.push_back(seen);
        if self.seen.len() > FILES_REMEMBERED {
            self.seen.pop_front();
        }
        Ok(found)
    }

    fn is_new(&self, key: u64, seen: &mut BTreeSet<u64>) -> bool {
        seen.insert(key) && !self.seen.iter().any(|s| s.contains(&key))
    }

    fn spans(&mut self, path: &Path, found: &mut Minute, seen: &mut BTreeSet<u64>) -> Result<(), Problem> {
        let columns =
            ["TraceID", "SpanID", "ParentID", "PodName", "OperationName", "StartTimeUnixNano", "EndTimeUnixNano"];
        each_row(path, &columns, |line, row| {
            let (trace, id) = (hash(&row[0]), hash(&row[1]));
            if !self.is_new(trace.rotate_left(1) ^ id, seen) {
                return Ok(());
            }
            let span = Span {
                trace,
                id,
                parent: Some(hash(&row[2])),
                service: self.services.number(service_of(&row[3])),
                operation: self.operations.number(&row[4]),
                start: whole(path, line, columns[5], &row[5])?,
                end: whole(path, line, columns[6], &row[6])?,
                failed: false,
            };
            let start = found.starts.entry(trace).or_insert(span.start);
            *start = (*start).min(span.start);
            found.spans.push(span);
            Ok(())
        })
    }

    fn lines(&mut self, path: &Path, found: &mut Minute, seen: &mut BTreeSet<u64>) -> Result<(), Problem> {
        let columns = ["TimeUnixNano", "TraceID", "SpanID", "Log"];
        let mut rows: Vec<(i64, u64, u64, String)> = Vec::new();
        each_row(path, &columns, |line, row| {
            let time = whole(path, line, columns[0], &row[0])?;
            let (trace, span) = (hash(&row[1]), hash(&row[2]));
            if self.is_new(trace ^ span.rotate_left(7) ^ (time as u64).rotate_left(20) ^ hash(&row[3]), seen) {
                rows.push((time, trace, span, row[3].clone()));
            }
            Ok(())
        })?;
        // The files hold the newest first.
        rows.sort();
        let operations: HashMap<(u64, u64), u32> =
            found.spans.iter().map(|span| ((span.trace, span.id), span.operation)).collect();
        let mut last: HashMap<(u64, u64), (u32, String)> = HashMap::new();
        for (time, trace, span, text) in rows {
            let template = self.miner.assign(&text).id;
            found.lines.push(Line { trace, span, template, time });
            if let Some((before, first)) = last.insert((trace, span), (template, text.clone())) {
                self.pairs.entry((before, template)).or_insert_with(|| (first, text.clone()));
            }
            let operation = operations.get(&(trace, span)).copied().unwrap_or(u32::MAX);
            self.examples.entry(template).or_insert((text, operation));
        }
        Ok(())
    }
}

/// One metric of one pod.
pub struct Series {
    /// Whose it is.
    pub service: u32,
    /// The column's number.
    pub metric: u32,
    /// What its values say.
    pub says: Use,
    /// Time in ns and value, ascending.
    pub points: Vec<(i64, f64)>,
}

/// The metrics of a day that say how much of a resource is used.
pub fn metrics(folder: &Path, services: &mut Names, metrics: &mut Names) -> Result<Vec<Series>, Problem> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    let is_pod = |name: &str| name.ends_with("_metric.csv") || name.ends_with("_metric.csv.gz");
    for name in data::list(folder, PROTOCOL.layout, is_pod)? {
        let path = folder.join(&name);
        let service = services.number(service_of(name.split("_metric").next().unwrap_or("")));
        let mut all = Vec::new();
        let mut header: Vec<String> = Vec::new();
        data::each_record(&path, b',', PROTOCOL.layout, |line, row| {
            if line == 1 {
                header = row.iter().map(|f| String::from_utf8_lossy(f).into_owned()).collect();
            } else {
                all.push(row.iter().map(|f| String::from_utf8_lossy(f).parse().unwrap_or(f64::NAN)).collect());
            }
            Ok(())
        })?;
        let Some(time) = header.iter().position(|h| h == "TimeStamp") else {
            return Err(Problem::new(&path, "no column TimeStamp", PROTOCOL.layout));
        };
        found.extend(used(&header, time, &all).into_iter().map(|(name, says, points)| Series {
            service,
            metric: metrics.number(&name),
            says,
            points,
        }));
    }
    Ok(found)
}

type Used = (String, Use, Vec<(i64, f64)>);

/// Columns that say how much of a resource is used: as a share where there is such a column, else as an amount. What
/// speaks of the node is the node's.
fn used(header: &[String], time: usize, rows: &[Vec<f64>]) -> Vec<Used> {
    let mut found: Vec<Used> = Vec::new();
    for resource in ["cpu", "memory", "network"] {
        let speaks = |name: &str| {
            let name = name.to_lowercase();
            let of_it = name.contains(resource) && !name.starts_with("node");
            of_it && (resource != "network" || name.contains("(ms)") || name.contains("(s)"))
        };
        let columns: Vec<usize> = (0..header.len()).filter(|i| speaks(&header[*i])).collect();
        let is_share = |i: &usize| header[*i].contains('%');
        let shares: Vec<usize> = columns.iter().copied().filter(is_share).collect();
        let (says, columns) = if shares.is_empty() { (Use::Amount, columns) } else { (Use::Share, shares) };
        for column in columns {
            let scale = if says == Use::Share { 100.0 } else { 1.0 };
            let value = |row: &Vec<f64>| Some((*row.get(time)?, *row.get(column)? / scale));
            let mut points: Vec<(i64, f64)> = rows
                .iter()
                .filter_map(value)
                .filter(|(at, value)| at.is_finite() && value.is_finite())
                .map(|(at, value)| ((at * 1e9) as i64, value))
                .collect();
            points.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            found.push((header[column].clone(), says, points));
        }
    }
    found
}

/// The minutes for which a day has spans or lines, in order.
pub fn minutes(day: &Path) -> Vec<String> {
    let mut found = BTreeSet::new();
    for kind in ["trace", "log"] {
        let Ok(entries) = std::fs::read_dir(day.join(kind)) else { continue };
        for entry in entries.filter_map(|e| e.ok()) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let end = format!("_{kind}.csv");
            let minute = name.strip_suffix(".gz").unwrap_or(&name).strip_suffix(end.as_str());
            found.extend(minute.map(str::to_owned));
        }
    }
    found.into_iter().collect()
}

/// The service of a pod: Kubernetes appends the hash of the replica set and five characters, all from an alphabet
/// without vowels.
pub fn service_of(pod: &str) -> &str {
    let is_hash = |part: &str, longest: usize, shortest: usize| {
        let known = part.bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b));
        known && (shortest..=longest).contains(&part.len())
    };
    let Some((rest, _)) = pod.rsplit_once('-').filter(|(_, last)| is_hash(last, 5, 5)) else { return pod };
    rest.rsplit_once('-').filter(|(_, set)| is_hash(set, 10, 5)).map_or(rest, |(service, _)| service)
}

/// The file, or that with `.gz` behind it.
fn either(path: &Path) -> Option<PathBuf> {
    let packed = PathBuf::from(format!("{}.gz", path.display()));
    [path.to_owned(), packed].into_iter().find(|p| p.is_file())
}

fn each_row(
    path: &Path,
    columns: &[&str],
    mut work: impl FnMut(usize, &[String]) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut at: Vec<usize> = Vec::new();
    let mut fields: Vec<String> = vec![String::new(); columns.len()];
    data::each_record(path, b',', PROTOCOL.layout, |line, row| {
        if line == 1 {
            for name in columns {
                let found = row.iter().position(|field| field == name.as_bytes());
                at.push(found.ok_or_else(|| Problem::new(path, format!("no column {name}"), PROTOCOL.layout))?);
            }
            return Ok(());
        }
        for (field, (at, name)) in fields.iter_mut().zip(at.iter().zip(columns)) {
            let Some(bytes) = row.get(*at) else {
                return Err(Problem::new(path, format!("line {line} has no column {name}"), PROTOCOL.layout));
            };
            field.clear();
            field.push_str(&String::from_utf8_lossy(bytes));
        }
        work(line, &fields)
    })
}

fn whole(path: &Path, line: usize, column: &str, field: &str) -> Result<i64, Problem> {
    let problem =
        || Problem::new(path, format!("line {line}, column {column}: {field:?} is no whole number"), PROTOCOL.layout);
    field.trim().parse().map_err(|_| problem())
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_have_their_services() {
        for (pod, service) in [
            ("ts-contacts-service-866bd68c97-xcqfx", "ts-contacts-service"),
            ("ts-basic-service-5dc8d4f9fd-46997", "ts-basic-service"),
            ("frontend-579b9bff58-t2dbm", "frontend"),
            ("node-agent-x7k2q", "node-agent"),
            ("redis-0", "redis-0"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(service_of(pod), service);
        }
    }
}
