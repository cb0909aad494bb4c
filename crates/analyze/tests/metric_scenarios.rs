//! Runs the cases in `scenarios/metric/*.txt`: one series made from a few words, judged by the `metric` analysis step by
//! step as it is live, and what must be said of it.
//!
//! A case is text; `#` begins a comment. Times are offsets from Monday 00:00 UTC such as `90s`, `2d` or `1d14h5m`.
//!
//! ```text
//! every 5m for 21d            # a point that often, that long
//! count                       # optional: the values are totals of a counter that grows by them each second
//! level 10250 noise 200       # normal noise of that deviation, seeded by `seed N` (1 if not said)
//! wave 1d 0.2                 # a sine of that period, as a share of the level
//! weekend 0.4                 # Saturdays and Sundays sink to that share of the level, over half a day
//! closed 0.4                  # the same, from one point to the next
//! daily 3h..3h15m add 400 0d..9d      # every day at that time, on those days
//! set 15d14h5m..15d16h 4200   # the values between; or: add …, drop … (no samples come)
//! change 5d deployment        # something was changed
//! missed 6d                   # a person said that something was missed
//! expect
//!   points: share of points whose surprise reaches the default
//!   1d14h15m said …           # each claim when it is said first and when it is over, and what was nearly said
//! ```
//!
//! A second, constant series of another entity goes on all the time, as others do. Expectations are rewritten with
//! `UPDATE_EXPECT=1`.

use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf, sync::Arc};

use bellwether_analyze::detect::metric::ANALYSIS;
use math::stream::{SURPRISE_DEFAULT, Watch};
use types::{
    Batch, Directory, EntityId, Evidence, FindingId, LabelSet, SECOND, SeriesDef, SeriesId, SeriesKind, Tenant, Time,
    Topology,
};
use view::{Calibration, FindingLog, Findings, MemoryHistory, Params, View};

/// A Monday, 00:00 UTC.
const START: i64 = 1_767_571_200 * SECOND;
const DAY: i64 = 86_400 * SECOND;

#[test]
fn all_scenarios_hold() {
    let folder = PathBuf::from("../../scenarios/metric");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "the scenarios are missing in {}", folder.display());
    let mut wrong = String::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let (case, expected) = text.split_once("\nexpect\n").expect("a line `expect`");
        let found = check(case);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, format!("{case}\nexpect\n{found}")).unwrap();
        } else if found != expected {
            write!(wrong, "\n{}\n--- expected\n{expected}--- found\n{found}", path.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "rewrite with UPDATE_EXPECT=1 once they are right:{wrong}");
}

fn check(case: &str) -> String {
    let mut recipe = Recipe { seed: 1, ..Recipe::default() };
    for line in case.lines().map(|line| line.split('#').next().unwrap_or("").trim()).filter(|l| !l.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        recipe.read(&words).unwrap_or_else(|| panic!("cannot read {line:?}"));
    }
    let points = recipe.points();
    format!("{}{}", surprising(&points), said(&recipe, &points))
}

/// How a series is made.
#[derive(Default)]
struct Recipe {
    every: i64,
    length: i64,
    count: bool,
    level: f64,
    noise: f64,
    seed: u64,
    waves: Vec<(i64, f64)>,
    weekend: Option<f64>,
    closed: Option<f64>,
    daily: Vec<(i64, i64, f64, i64, i64)>,
    spans: Vec<(i64, i64, Event)>,
    changes: Vec<(i64, String)>,
    missed: Vec<i64>,
}

#[derive(Clone, Copy)]
enum Event {
    Set(f64),
    Add(f64),
    Drop,
}

impl Recipe {
    fn read(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["every", every, "for", length] => (self.every, self.length) = (time(every)?, time(length)?),
            ["count"] => self.count = true,
            ["seed", seed] => self.seed = seed.parse().ok()?,
            ["level", level, "noise", noise] => (self.level, self.noise) = (level.parse().ok()?, noise.parse().ok()?),
            ["wave", period, share] => self.waves.push((time(period)?, share.parse().ok()?)),
            ["weekend", share] => self.weekend = Some(share.parse().ok()?),
            ["closed", share] => self.closed = Some(share.parse().ok()?),
            ["daily", clock, "add", by, days] => {
                let ((from, to), (first, last)) = (span(clock)?, span(days)?);
                self.daily.push((from, to, by.parse().ok()?, first, last));
            }
            ["set", at, to] => self.event(at, Event::Set(to.parse().ok()?))?,
            ["add", at, by] => self.event(at, Event::Add(by.parse().ok()?))?,
            ["drop", at] => self.event(at, Event::Drop)?,
            ["missed", at] => self.missed.push(time(at)?),
            ["change", at, kind] => self.changes.push((time(at)?, format!("change.{kind}"))),
            _ => return None,
        }
        Some(())
    }

    fn event(&mut self, at: &str, event: Event) -> Option<()> {
        let (from, to) = span(at)?;
        self.spans.push((from, to, event));
        Some(())
    }

    /// Offset and value of each point.
    fn points(&self) -> Vec<(i64, f64)> {
        let mut noise = Noise(self.seed.wrapping_mul(7919));
        let steps = (1..self.length / self.every).map(|i| i * self.every);
        steps.filter_map(|at| self.value(at, noise.normal()).map(|value| (at, value))).collect()
    }

    fn value(&self, at: i64, noise: f64) -> Option<f64> {
        let wave = |(period, share): &(i64, f64)| share * (at as f64 / *period as f64 * std::f64::consts::TAU).sin();
        // A weekend comes and goes over twelve hours.
        let into = (at % (7 * DAY) - 5 * DAY) as f64 / DAY as f64;
        let depth = if into >= 0.0 { 1.0_f64.min(2.0 * into).min(2.0 * (2.0 - into)) } else { 0.0 };
        let weekend = 1.0 - (1.0 - self.weekend.unwrap_or(1.0)) * depth;
        let closed = self.closed.filter(|_| into >= 0.0).unwrap_or(1.0);
        let mut value =
            self.level * weekend * closed * (1.0 + self.waves.iter().map(wave).sum::<f64>()) + self.noise * noise;
        for (from, to, by, first, last) in &self.daily {
            if (*from..*to).contains(&(at % DAY)) && (*first..*last).contains(&at) {
                value += by;
            }
        }
        for (_, _, event) in self.spans.iter().filter(|(from, to, _)| (*from..*to).contains(&at)) {
            match event {
                Event::Set(to) => value = to + self.noise * noise,
                Event::Add(by) => value += by,
                Event::Drop => return None,
            }
        }
        Some(value)
    }
}

/// The share of points that surprise by themselves.
fn surprising(points: &[(i64, f64)]) -> String {
    let mut watch = Watch::default();
    let many = points.iter().filter(|(at, v)| watch.observe(START + at, *v).surprise >= SURPRISE_DEFAULT).count();
    format!("  points: {:.2} % surprise\n", 100.0 * many as f64 / points.len() as f64)
}

/// What the analysis says: each finding when it is said first, and when it is over.
fn said(recipe: &Recipe, points: &[(i64, f64)]) -> String {
    let directory = Directory::default();
    let series = |entity: &str, kind: SeriesKind| -> (SeriesId, types::EntityKey) {
        let mut registry = directory.write();
        let entity = registry.entity(&EntityId::new("service", "shop", entity));
        let labels = LabelSet::pack(&mut vec![("service.instance.id", "1")]);
        let unit = "".into();
        let def = SeriesDef { tenant: Tenant::default(), metric: "m".into(), entity, labels, kind, unit };
        (registry.series(def), entity)
    };
    let kind = if recipe.count { SeriesKind::Counter } else { SeriesKind::Gauge };
    let ((judged, entity), (other, _)) = (series("payments", kind), series("other", SeriesKind::Gauge));
    let params = Params::defaults(ANALYSIS.params);
    let mut state = (ANALYSIS.new_state)(&params);
    let (log, topology, history) = (FindingLog::default(), Topology::default(), MemoryHistory::default());
    let mut calibration = Calibration::default();
    let mut total = 0.0;
    let mut points = points.iter().peekable();
    let mut ongoing: BTreeMap<FindingId, bool> = BTreeMap::new();
    let mut text = String::new();
    for at in (1..recipe.length / recipe.every).map(|i| i * recipe.every) {
        let mut batch = Batch { learned: Time(START + at), ..Batch::default() };
        batch.samples.push(other, START + at, 1.0);
        if let Some((_, value)) = points.next_if(|(t, _)| *t == at) {
            total += value * (recipe.every / SECOND) as f64;
            batch.samples.push(judged, START + at, if recipe.count { total } else { *value });
        }
        for (_, kind) in recipe.changes.iter().filter(|(t, _)| (at - recipe.every..at).contains(t)) {
            batch.events.push(START + at, entity, kind, "{}");
        }
        for _ in recipe.missed.iter().filter(|t| (at - recipe.every..at).contains(t)) {
            let of = directory.read().entity_id(entity).cloned().unwrap();
            calibration.miss(&Tenant::default(), &of, "m", Time(START + at));
        }
        let (registry, batches) = (directory.read(), [Arc::new(batch)]);
        let now = Time(START + at + SECOND);
        let view = View {
            now,
            registry: &registry,
            batches: &batches,
            findings: &log,
            incidents: &[],
            topology: &topology,
            calibration: &calibration,
            slos: &[],
            history: &history,
        };
        let mut out = Findings::default();
        (ANALYSIS.run)(&view, &params, &mut state, &mut out);
        for near in out.near {
            writeln!(text, "  {} nearly: {}", offset(near.at.0 - START), near.why).unwrap();
        }
        for finding in out.said {
            let before = ongoing.insert(finding.id, finding.ongoing);
            if before.is_none() {
                writeln!(text, "  {} {}: {}", offset(at), finding.measure, finding.summary).unwrap();
                for evidence in &finding.evidence {
                    if let Evidence::Note { text: note } = evidence {
                        writeln!(text, "    {note}").unwrap();
                    }
                }
            }
            if !finding.ongoing && before != Some(false) {
                writeln!(text, "  {} {} over", offset(at), finding.measure).unwrap();
            }
        }
    }
    text
}

/// `1d14h5m` as ns.
fn time(text: &str) -> Option<i64> {
    let mut sum = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let unit = [("d", DAY), ("h", 3600 * SECOND), ("m", 60 * SECOND), ("s", SECOND)];
        let unit = unit.iter().find(|(name, _)| rest[digits..].starts_with(name))?.1;
        sum += rest[..digits].parse::<i64>().ok()? * unit;
        rest = &rest[digits + 1..];
    }
    Some(sum)
}

fn span(text: &str) -> Option<(i64, i64)> {
    let (from, to) = text.split_once("..")?;
    Some((time(from)?, time(to)?))
}

fn offset(at: i64) -> String {
    let minutes = at / (60 * SECOND);
    format!("day {} {:02}:{:02}", minutes / 1440 + 1, minutes / 60 % 24, minutes % 60)
}

struct Noise(u64);

impl Noise {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}
