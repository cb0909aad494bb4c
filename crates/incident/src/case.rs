//! One incident with what is needed to carry it on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::finding::is_latency;
use types::{
    Direction, EntityId, Finding, FindingId, Incident, IncidentId, IncidentState, MINUTE, Priority, SECOND, Severity,
    Tenant, Time, TimelineEntry,
};

use crate::{GroupingConfig, MOST_PIECES, RequestPoint, related::Neighbourhood, words};

/// What the grouper keeps of a finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    pub id: FindingId,
    pub tenant: Tenant,
    pub entity: EntityId,
    pub measure: String,
    pub scope: String,
    pub direction: Direction,
    pub start: Time,
    pub end: Time,
    pub ongoing: bool,
    pub belief: f64,
    pub impact: f64,
    pub expected_high: Option<f64>,
    pub summary: String,
}

impl Piece {
    pub fn new(finding: &Finding, entity: EntityId) -> Piece {
        let expected_high = finding.expected.map(|band| rounded(band.high, 3)).filter(|high| high.is_finite());
        Piece {
            id: finding.id,
            tenant: finding.tenant.clone(),
            entity,
            measure: finding.measure.clone(),
            scope: finding.scope.clone(),
            direction: finding.direction,
            start: finding.start,
            end: finding.end,
            ongoing: finding.ongoing,
            belief: rounded(finding.belief.clamp(0.0, 1.0), 4),
            impact: rounded(finding.impact.clamp(0.0, 1.0), 4),
            expected_high,
            summary: finding.summary.chars().take(400).collect(),
        }
    }

    /// 0..=1: belief times impact.
    pub fn weight(&self) -> f64 {
        self.belief * self.impact
    }

    /// Takes over what was said again; belief only rises (a score once given stays).
    pub fn renew(&mut self, again: Piece) {
        let (belief, end, start) = (self.belief.max(again.belief), self.end.max(again.end), self.start);
        let stronger = again.belief >= self.belief;
        let summary = if stronger { again.summary.clone() } else { std::mem::take(&mut self.summary) };
        *self = Piece { belief, end, start, summary, ..again };
    }
}

/// Rounds to `digits` decimals: such numbers survive JSON exactly.
pub fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    if value.is_finite() { (value * scale).round() / scale } else { 0.0 }
}

/// One incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    pub number: u64,
    pub public: Incident,
    /// A person resolved it: it is not reopened.
    pub by_hand: bool,
    pub pieces: BTreeMap<FindingId, Piece>,
    /// Evidence beyond the cap.
    pub left_out: u64,
    milli_requests: u64,
    milli_failed: u64,
    milli_slow: u64,
    counted_to: BTreeMap<EntityId, Time>,
    /// When its counts were last published.
    pub counts_said_at: Time,
    /// Its timeline has a line that was not published yet.
    pub touched: bool,
}

impl Case {
    pub fn new(number: u64, tenant: Tenant, started_at: Time, now: Time) -> Case {
        let public = Incident {
            id: IncidentId(format!("inc-{number}")),
            tenant,
            state: IncidentState::Open,
            severity: Severity::Info,
            priority: Default::default(),
            title: String::new(),
            summary: String::new(),
            started_at,
            opened_at: now,
            resolved_at: None,
            actor: None,
            entities: Vec::new(),
            causes: Vec::new(),
            undecided: true,
            missing: Vec::new(),
            impact: types::incident::Impact::default(),
            timeline: Vec::new(),
            findings: Vec::new(),
        };
        Case {
            number,
            public,
            by_hand: false,
            pieces: BTreeMap::new(),
            left_out: 0,
            milli_requests: 0,
            milli_failed: 0,
            milli_slow: 0,
            counted_to: BTreeMap::new(),
            counts_said_at: now,
            touched: true,
        }
    }

    pub fn is_active(&self) -> bool {
        self.public.state != IncidentState::Resolved
    }

    /// Adds evidence with its line in the timeline. Beyond the cap it is only counted.
    pub fn add(&mut self, piece: Piece) {
        if self.pieces.len() >= MOST_PIECES {
            self.left_out += 1;
            return;
        }
        let text = match piece.summary.as_str() {
            "" => format!("{}: {}", piece.entity.name(), words::symptom(&piece)),
            summary => summary.to_owned(),
        };
        self.note(piece.start, "finding", Some(piece.entity.clone()), text, Some(piece.id));
        self.pieces.insert(piece.id, piece);
    }

    /// A finding was said again. Returns whether it was one of this incident's.
    pub fn renew(&mut self, again: Piece) -> bool {
        let Some(known) = self.pieces.get_mut(&again.id) else { return false };
        let ended = known.ongoing && !again.ongoing;
        known.renew(again);
        if ended {
            let (at, entity, id) = (known.end, known.entity.clone(), known.id);
            let text = format!("{}: {} ended", entity.name(), words::symptom(known));
            self.note(at, "finding", Some(entity), text, Some(id));
        }
        true
    }

    /// A line of the timeline, in its place by time. The first lines and all that is no finding outlast the cap.
    pub fn note(
        &mut self,
        at: Time,
        kind: &str,
        entity: Option<EntityId>,
        text: String,
        finding: Option<types::FindingId>,
    ) {
        self.touched = true;
        let lines = &mut self.public.timeline;
        let place = lines.partition_point(|line| line.at <= at);
        lines.insert(place, TimelineEntry { at, kind: kind.to_owned(), entity, text, finding });
        if lines.len() > MOST_PIECES {
            let from = 20.min(lines.len() - 1);
            let victim = (from..lines.len()).find(|&i| lines[i].kind == "finding").unwrap_or(from);
            lines.remove(victim);
        }
    }

    /// Whether the timeline has a line of this kind, time and entity already.
    pub fn has_line(&self, at: Time, kind: &str, entity: &EntityId) -> bool {
        self.public.timeline.iter().any(|l| l.at == at && l.kind == kind && l.entity.as_ref() == Some(entity))
    }

    /// Whether it holds evidence of the same measure and scope of the same entity.
    pub fn has_more_of(&self, piece: &Piece) -> bool {
        let same = |p: &Piece| p.entity == piece.entity && p.measure == piece.measure && p.scope == piece.scope;
        self.pieces.values().any(same)
    }

    /// Evidence that hurts, or all evidence where none does.
    pub fn telling(&self, hurts_impact: f64) -> Vec<&Piece> {
        let hurting: Vec<&Piece> = self.pieces.values().filter(|p| p.impact >= hurts_impact).collect();
        if hurting.is_empty() { self.pieces.values().collect() } else { hurting }
    }

    /// When all evidence that keeps it open had ended; `None` while some goes on. That is what hurts whoever uses the
    /// entities, or, where nothing does that much, all telling evidence: a gauge that found a new level does not keep
    /// open what failing requests had opened.
    pub fn quiet_since(&self, config: &GroupingConfig) -> Option<Time> {
        let worst: Vec<&Piece> = self.pieces.values().filter(|p| p.impact >= config.alone_impact).collect();
        let keeping = if worst.is_empty() { self.telling(config.hurts_impact) } else { worst };
        if keeping.iter().any(|p| p.ongoing) { None } else { keeping.iter().map(|p| p.end).max() }
    }

    /// The evidence of most weight, of `main` if it has any.
    pub fn worst(&self, main: &EntityId) -> Option<&Piece> {
        let heaviest = |own: bool| {
            let pieces = self.pieces.values().filter(|p| !own || p.entity == *main);
            pieces.max_by(|a, b| a.weight().total_cmp(&b.weight()).then(b.start.cmp(&a.start)))
        };
        heaviest(true).or_else(|| heaviest(false))
    }

    /// Counts requests at affected services since the incident began. Each point stands for the time since the point
    /// before it (10 s for the first, 60 s at most). Slow requests are a lower bound: where the 95th percentile is
    /// above the usual band at least one in twenty is slow, where the middle is at least half are.
    pub fn count(&mut self, point: &RequestPoint) {
        if point.tenant != self.public.tenant || !self.public.entities.contains(&point.entity) {
            return;
        }
        let before = self.counted_to.get(&point.entity).copied().unwrap_or(Time(point.at.0 - 10 * SECOND));
        let length = point.at.since(before.max(self.public.started_at)).clamp(0, MINUTE);
        if length == 0 {
            return;
        }
        self.counted_to.insert(point.entity.clone(), point.at);
        let milli = (point.rate.max(0.0) * length as f64 / SECOND as f64 * 1000.0).round() as u64;
        self.milli_requests += milli;
        self.milli_failed += (milli as f64 * point.error_ratio.clamp(0.0, 1.0)).round() as u64;
        let slow_edge = self
            .pieces
            .values()
            .filter(|p| p.ongoing && p.entity == point.entity && is_latency(&p.measure))
            .filter_map(|p| p.expected_high)
            .fold(f64::INFINITY, f64::min);
        if point.latency_ms_p50 > slow_edge {
            self.milli_slow += milli / 2;
        } else if point.latency_ms_p95 > slow_edge {
            self.milli_slow += milli / 20;
        }
    }

    /// Brings entities, severity, impact and words in line with the evidence.
    pub fn present(&mut self, config: &GroupingConfig, map: &Neighbourhood, recent: &[RequestPoint]) {
        if self.pieces.is_empty() {
            // Taken in by another: it stays as it was.
            return;
        }
        self.public.entities = self.affected(config);
        self.public.started_at = self.onset(config).unwrap_or(self.public.started_at);
        let started_at = self.public.started_at;
        for point in recent.iter().filter(|p| p.at >= started_at) {
            let is_new = self.counted_to.get(&point.entity).is_none_or(|to| *to < point.at);
            if is_new && self.is_active() {
                self.count(point);
            }
        }
        self.public.findings = self.pieces.keys().copied().collect();
        let Some(main) = self.main_entity() else { return };
        let impact = &mut self.public.impact;
        impact.dependents = map.dependents(&main, 50);
        impact.requests = self.milli_requests / 1000;
        impact.failed_requests = self.milli_failed / 1000;
        impact.slow_requests = self.milli_slow / 1000;
        let (severity, priority) = self.weigh(config, recent);
        self.public.severity = self.public.severity.max(severity);
        if self.is_active() {
            self.public.priority = priority;
        }
        self.public.title = words::title(&main, self);
        self.public.summary = words::summary(&main, self, &self.public);
    }

    /// Whom the incident is named after: the best cause if one is decided, else who is affected most.
    pub fn main_entity(&self) -> Option<EntityId> {
        let cause = self.public.causes.first().filter(|_| !self.public.undecided).map(|c| c.entity.clone());
        cause.or_else(|| self.public.entities.first().cloned())
    }

    /// When what hurts began. A kind of log line that is new may have come once long before it came often: it counts
    /// only where there is nothing else.
    fn onset(&self, config: &GroupingConfig) -> Option<Time> {
        let telling = self.telling(config.hurts_impact);
        let sure = telling.iter().filter(|p| p.measure != "log_template_new").map(|p| p.start).min();
        sure.or_else(|| telling.iter().map(|p| p.start).min())
    }

    /// Entities with telling evidence, by summed weight (each measure once), then by onset, then by name.
    fn affected(&self, config: &GroupingConfig) -> Vec<EntityId> {
        let mut best: BTreeMap<(&EntityId, &str), f64> = BTreeMap::new();
        let mut onset: BTreeMap<&EntityId, Time> = BTreeMap::new();
        for piece in self.telling(config.hurts_impact) {
            let weight = best.entry((&piece.entity, &piece.measure)).or_default();
            *weight = weight.max(piece.weight());
            let start = onset.entry(&piece.entity).or_insert(piece.start);
            *start = piece.start.min(*start);
        }
        let mut sums: BTreeMap<&EntityId, f64> = BTreeMap::new();
        for ((entity, _), weight) in best {
            *sums.entry(entity).or_default() += weight;
        }
        let mut order: Vec<_> =
            sums.into_iter().map(|(entity, sum)| (rounded(sum, 2), onset[entity], entity)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
        order.into_iter().map(|(_, _, entity)| entity.clone()).collect()
    }

    /// Severity and priority, by the worst evidence, the share of requests that fail just now, budgets that burn, and who
    /// depends on it.
    fn weigh(&self, config: &GroupingConfig, recent: &[RequestPoint]) -> (Severity, Priority) {
        let worst = self.pieces.values().map(Piece::weight).fold(0.0, f64::max);
        let ongoing = |measure: &'static str| self.pieces.values().filter(move |p| p.ongoing && p.measure == measure);
        let failing = |entity: &EntityId| ongoing("error_ratio").any(|p| p.entity == *entity);
        let current =
            self.public.entities.iter().filter(|entity| failing(entity)).filter_map(|entity| {
                recent.iter().rev().find(|p| p.entity == *entity && p.tenant == self.public.tenant)
            });
        let most_failing = current.max_by(|a, b| a.error_ratio.total_cmp(&b.error_ratio));
        let share = most_failing.map_or(0.0, |point| point.error_ratio);
        let silent = ongoing("silence").find(|p| p.belief >= 0.8);
        let burning = ongoing("slo_burn").max_by(|a, b| a.impact.total_cmp(&b.impact));
        let pages = burning.is_some_and(|p| p.impact >= config.alone_impact);
        let dependents = self.public.impact.dependents.len();
        let severity = if dependents > 0 && share >= 0.5 || silent.is_some() && dependents >= 3 {
            Severity::Critical
        } else if worst >= 0.5 || share >= 0.05 || pages {
            Severity::Major
        } else if worst >= config.hurts_impact * 0.5 {
            Severity::Warning
        } else {
            Severity::Info
        };
        let level = match severity {
            Severity::Critical => 1,
            Severity::Major if pages || dependents > 0 && share >= 0.05 => 2,
            Severity::Major | Severity::Warning => 3,
            Severity::Info => 4,
        };
        let mut facts = Vec::new();
        if let Some(point) = most_failing.filter(|point| point.error_ratio >= 0.005) {
            facts.push(format!(
                "{} of the requests to {} fail now",
                words::share(point.error_ratio),
                point.entity.name()
            ));
        }
        if let Some(piece) = silent {
            facts.push(format!("{} sends nothing any more", piece.entity.name()));
        }
        if let Some(piece) = burning {
            facts.push(format!("the error budget of {} burns", piece.scope));
        }
        let slow = self.pieces.values().filter(|p| p.ongoing && is_latency(&p.measure));
        let slow = slow.max_by(|a, b| a.weight().total_cmp(&b.weight()));
        if let (Some(piece), true) = (slow, facts.is_empty()) {
            facts.push(format!("{} answers slowly", piece.entity.name()));
        }
        match ongoing("alert").count() {
            alerts if alerts == 0 || !facts.is_empty() => {}
            1 => facts.push("a rule of another program fires".to_owned()),
            alerts => facts.push(format!("{alerts} rules of other programs fire")),
        }
        match dependents {
            0 => {}
            1 => facts.push(format!("{} needs it", self.public.impact.dependents[0].name())),
            n => facts.push(format!("{n} services need it")),
        }
        if self.public.impact.failed_requests > 0 {
            facts.push(format!("{} requests failed so far", self.public.impact.failed_requests));
        }
        if facts.is_empty() {
            facts.push("no request is known to fail".to_owned());
        }
        let when = ["now", "now", "soon", "today", "when there is time"][usize::from(level)];
        let reason = format!("P{level}, look {when}: {}.", words::list(&facts));
        (severity, Priority { level, reason })
    }
}
