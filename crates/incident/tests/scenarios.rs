//! Runs the cases in `scenarios/*.txt`: what was found, on which map, and which incidents must come of it.
//!
//! A case is text; `#` begins a comment. Times are offsets such as `90s` or `5m`.
//!
//! ```text
//! map frontend -> payments                # who calls whom; `runs on` instead of `->` for machines
//! find 10s..5m payments error_ratio belief 0.9 impact 0.9      # optional: direction D, tenant T, scope S (~ for a space)
//! load 0s..5m payments 20/s errors 0.3    # requests; optional: p50 MS, p95 MS, tenant T
//! change 5s payments deployment 1.4.2
//! cause 30s inc-1 payments change 0.8 what was deployed       # what a root-cause method says; 0 withdraws
//! person 2m acknowledges inc-1 as ann     # or: resolves, dismisses
//! merge 1m pay payments                   # two names are one
//! run 10m                                 # one step every 5 seconds
//! expect
//!   20s inc-1 opened …
//! ```
//!
//! `{1..12}` in a line makes twelve lines of it. Expectations are rewritten with `UPDATE_EXPECT=1`.

use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf};

use bellwether_incident::{Change, Command, Grouper, GroupingConfig, Input, News, RequestPoint, Update};
use types::{
    CauseKind, Direction, EdgeKind, EntityId, Finding, FindingId, IncidentId, Registry, SECOND, Shape, Tenant, Time,
    Topology,
};

/// Noon of a day, so that times in words are easy to read.
const START: i64 = 1_767_268_800 * SECOND;
const STEP: i64 = 5 * SECOND;

#[test]
fn all_scenarios_hold() {
    let folder = PathBuf::from("../../scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "txt"));
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

/// Runs one case, and again with the grouper saved and loaded between any two steps: both must say the same.
fn check(case: &str) -> String {
    let world = World::parse(case);
    let said = world.run(false);
    assert_eq!(said, world.run(true), "a restart changed what was said");
    said
}

#[derive(Default)]
struct World {
    registry: Registry,
    topology: Topology,
    /// What comes at which step.
    findings: BTreeMap<i64, Vec<Finding>>,
    causes: BTreeMap<i64, Vec<Finding>>,
    changes: Vec<Change>,
    requests: BTreeMap<i64, Vec<RequestPoint>>,
    commands: BTreeMap<i64, Vec<Command>>,
    end: i64,
}

impl World {
    fn parse(case: &str) -> World {
        let mut world = World::default();
        for line in case.lines().map(|line| line.split('#').next().unwrap_or("").trim()).filter(|l| !l.is_empty()) {
            for line in expand(line) {
                let words: Vec<&str> = line.split_whitespace().collect();
                world.read(&words).unwrap_or_else(|| panic!("cannot read {line:?}"));
            }
        }
        world
    }

    fn read(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["map", source, "->", target] => self.edge(source, target, EdgeKind::Calls),
            ["map", source, "runs", "on", target] => self.edge(source, target, EdgeKind::RunsOn),
            ["find", span, entity, measure, rest @ ..] => return self.find(span, entity, measure, rest),
            ["load", span, entity, rate, rest @ ..] => return self.load(span, entity, rate, rest),
            ["change", at, entity, kind, version] => self.changes.push(Change {
                at: time(at)?,
                tenant: Tenant::default(),
                entity: EntityId::parse(entity)?,
                kind: kind.to_string(),
                version: Some(version.to_string()),
                author: None,
                link: None,
            }),
            ["cause", at, incident, entity, kind, belief, words @ ..] => {
                let at = time(at)?;
                let kind: CauseKind = serde_json::from_str(&format!("{kind:?}")).ok()?;
                let mut finding = finding(EntityId::parse(entity)?, "cause", at, belief.parse().ok()?, 0.0);
                finding.shape = Shape::Cause;
                finding.cause = Some(kind);
                finding.ongoing = finding.belief > 0.0;
                finding.incident = Some(IncidentId(incident.to_string()));
                finding.summary = words.join(" ");
                self.causes.entry(at.0).or_default().push(finding);
            }
            ["person", at, does, incident, "as", actor] => {
                let (at, incident, actor) = (time(at)?, IncidentId(incident.to_string()), Some(actor.to_string()));
                self.commands.entry(at.0).or_default().push(match *does {
                    "acknowledges" => Command::Acknowledge { incident, actor, at },
                    _ => Command::Resolve { incident, actor, at, dismissed: *does == "dismisses" },
                });
            }
            ["merge", at, alias, entity] => {
                let (alias, entity) = (EntityId::parse(alias)?, EntityId::parse(entity)?);
                self.commands.entry(time(at)?.0).or_default().push(Command::Merge { alias, entity });
            }
            ["run", end] => self.end = time(end)?.0,
            _ => return None,
        }
        Some(())
    }

    fn edge(&mut self, source: &str, target: &str, kind: EdgeKind) {
        let [source, target] = [source, target].map(|name| self.registry.entity(&EntityId::parse(name).unwrap()));
        self.topology.see(source, target, kind, Time(START), 1);
    }

    fn find(&mut self, span: &str, entity: &str, measure: &str, rest: &[&str]) -> Option<()> {
        let (from, to) = span.split_once("..")?;
        let (from, to) = (time(from)?, time(to)?);
        let mut said = finding(EntityId::parse(entity)?, measure, from, 0.9, 0.9);
        for pair in rest.chunks(2) {
            match pair {
                ["belief", value] => said.belief = value.parse().ok()?,
                ["impact", value] => said.impact = value.parse().ok()?,
                ["tenant", value] => said.tenant = Tenant::new(value),
                ["scope", value] => said.scope = value.replace('~', " "),
                ["direction", value] => said.direction = serde_json::from_str(&format!("{value:?}")).ok()?,
                // Said only so long after it began.
                ["said", _] => {}
                // Seen up to then; that it is over is said at the end of the span.
                ["seen", _] => {}
                _ => return None,
            }
        }
        let option = |name: &str| rest.chunks(2).find(|pair| pair[0] == name).map(|pair| time(pair[1]));
        let late = option("said").unwrap_or(Some(from))?;
        let seen = option("seen").unwrap_or(Some(to))?;
        said.id = said.compute_id();
        // Detectors say again what goes on.
        for at in (late.0..seen.0).step_by(10 * SECOND as usize).filter(|at| *at < to.0) {
            self.findings.entry(at).or_default().push(Finding { ongoing: true, end: Time(at), ..said.clone() });
        }
        self.findings.entry(to.0.max(late.0)).or_default().push(Finding { ongoing: false, end: seen.min(to), ..said });
        Some(())
    }

    fn load(&mut self, span: &str, entity: &str, rate: &str, rest: &[&str]) -> Option<()> {
        let (from, to) = span.split_once("..")?;
        let option = |name: &str| rest.chunks(2).find(|pair| pair[0] == name).and_then(|pair| pair[1].parse().ok());
        let mut at = time(from)?;
        while at <= time(to)? {
            self.requests.entry(at.0).or_default().push(RequestPoint {
                tenant: Tenant::default(),
                entity: EntityId::parse(entity)?,
                at,
                rate: rate.strip_suffix("/s")?.parse().ok()?,
                error_ratio: option("errors").unwrap_or(0.0),
                latency_ms_p50: option("p50").unwrap_or(0.0),
                latency_ms_p95: option("p95").unwrap_or(0.0),
            });
            at = at.plus(10 * SECOND);
        }
        Some(())
    }

    fn run(&self, restart: bool) -> String {
        let mut grouper = Grouper::new(GroupingConfig::default());
        let mut text = String::new();
        let mut last: BTreeMap<String, Update> = BTreeMap::new();
        for now in (START..=self.end).step_by(STEP as usize) {
            let changes: Vec<Change> = self.changes.iter().filter(|c| c.at.0 <= now).cloned().collect();
            let input = Input {
                now: Time(now),
                said: &due(&self.findings, now),
                changes: &changes,
                requests: &due(&self.requests, now),
                commands: &due(&self.commands, now),
                registry: &self.registry,
                topology: &self.topology,
            };
            let mut updates = grouper.step(&input);
            updates.extend(grouper.name_causes(&input, &due(&self.causes, now)));
            for update in updates {
                describe(&update, now, &mut text);
                last.insert(update.incident.id.0.clone(), update);
            }
            if restart {
                grouper = Grouper::load(GroupingConfig::default(), &grouper.save()).unwrap();
            }
        }
        for (id, update) in last {
            writeln!(text, "  end  {id} {}", update.incident.summary).unwrap();
        }
        text
    }
}

fn due<T: Clone>(all: &BTreeMap<i64, Vec<T>>, now: i64) -> Vec<T> {
    all.range(now - STEP + 1..=now).flat_map(|(_, list)| list.clone()).collect()
}

fn describe(update: &Update, now: i64, text: &mut String) {
    let incident = &update.incident;
    for news in update.news.iter().filter(|news| **news != News::Grew) {
        let what = match news {
            News::State(state) => format!("{state:?}"),
            News::Severity(severity) => format!("severity {severity:?}"),
            News::TookIn(other) => format!("took in {}", other.0),
            News::MergedInto(other) => format!("merged into {}", other.0),
            other => format!("{other:?}"),
        };
        let severity = format!("{:?}", incident.severity).to_lowercase();
        let names: Vec<&str> = incident.entities.iter().map(EntityId::name).collect();
        let mut line = format!(
            "  {}s {} {} ({severity}) {:?} [{}]",
            (now - START) / SECOND,
            incident.id.0,
            what.to_lowercase(),
            incident.title,
            names.join(" ")
        );
        if !incident.tenant.as_str().starts_with("default") {
            write!(line, " tenant {}", incident.tenant.as_str()).unwrap();
        }
        if *news == News::Cause {
            let causes = incident.causes.iter().map(|c| format!("{} {:?} {}", c.entity.name(), c.kind, c.belief));
            let undecided = if incident.undecided { "undecided: " } else { "" };
            write!(line, " {undecided}{}", causes.collect::<Vec<_>>().join(", ")).unwrap();
        }
        text.push_str(&line);
        text.push('\n');
    }
}

fn finding(entity: EntityId, measure: &str, start: Time, belief: f64, impact: f64) -> Finding {
    let mut finding = Finding {
        id: FindingId(0),
        method: "scenario".to_owned(),
        version: 1,
        tenant: Tenant::default(),
        entity,
        shape: Shape::Abnormal,
        measure: measure.to_owned(),
        scope: String::new(),
        start,
        end: start,
        ongoing: true,
        learned: start,
        belief,
        surprise: 9.0,
        impact,
        direction: Direction::Up,
        expected: Some(types::Band { mean: 100.0, low: 50.0, high: 200.0 }),
        observed: 1.0,
        cause: None,
        incident: None,
        summary: String::new(),
        evidence: Vec::new(),
    };
    finding.id = finding.compute_id();
    finding
}

/// `90s`, `5m` after the start.
fn time(text: &str) -> Option<Time> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: f64 = number.parse().ok()?;
    let unit = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Some(Time(START + (seconds * unit * SECOND as f64) as i64))
}

fn expand(line: &str) -> Vec<String> {
    let Some((before, rest)) = line.split_once('{') else { return vec![line.to_owned()] };
    let (range, _) = rest.split_once('}').expect("a closing brace");
    let (from, to) = range.split_once("..").expect("a range");
    let (from, to): (u32, u32) = (from.parse().unwrap(), to.parse().unwrap());
    let _ = before;
    (from..=to).map(|i| line.replace(&format!("{{{range}}}"), &i.to_string())).collect()
}
