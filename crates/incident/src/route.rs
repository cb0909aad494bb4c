//! Who is told of which incidents: a table of routes, and what was told already.
//!
//! [`Router`] is asked each step what is to be told. A notice is a decision: it is made once, has an id that follows
//! from what was decided, and is carried out by somebody else. The first notice of an incident waits until its cause
//! is decided or [`Route::wait_ns`] has passed; an incident that is over before that is told of to nobody.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use types::{Incident, IncidentId, IncidentState, NoticeReason as Reason, SECOND, Severity, Time};

use crate::{Matcher, silence::entity_label};

/// One route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Its name, unique in the table.
    pub name: String,
    /// All must fit an affected entity (`entity service namespace kind name`) and the incident (`severity cause
    /// tenant`); none: every incident.
    #[serde(default)]
    pub matchers: Vec<Matcher>,
    /// Incidents below are not told of.
    #[serde(default = "major")]
    pub min_severity: Severity,
    /// Names of channels in the settings.
    pub channels: Vec<String>,
    /// How long the first notice waits for a cause, seconds.
    #[serde(default = "half_a_minute")]
    pub wait_s: u32,
    /// Also tell when another cause stands first, when somebody takes it, and when it is over.
    #[serde(default = "yes")]
    pub updates: bool,
    /// Look at the routes after this one too.
    #[serde(default)]
    pub goes_on: bool,
}

fn major() -> Severity {
    Severity::Major
}

fn half_a_minute() -> u32 {
    30
}

fn yes() -> bool {
    true
}

/// Most routes of a table, channels of a route.
pub const MOST_ROUTES: usize = 100;
/// Longest wait, seconds.
const LONGEST_WAIT_S: u32 = 3600;

impl Route {
    /// Whether it is meant for an incident.
    pub fn fits(&self, incident: &Incident) -> bool {
        let cause = incident.causes.first().filter(|_| !incident.undecided).map(|cause| cause.kind.as_str());
        let fits = |entity: Option<&types::EntityId>| {
            self.matchers.iter().all(|matcher| {
                matcher.fits(|name| match name {
                    "severity" => Some(incident.severity.as_str()),
                    "cause" => cause,
                    "tenant" => Some(incident.tenant.as_str()),
                    _ => entity_label(entity?, name),
                })
            })
        };
        incident.severity >= self.min_severity
            && (fits(None) || incident.entities.iter().any(|entity| fits(Some(entity))))
    }
}

/// The routes that an incident takes: the first that fits, and those after it while they go on.
pub fn routes_of<'a>(routes: &'a [Route], incident: &Incident) -> impl Iterator<Item = &'a Route> {
    let mut is_taken = false;
    routes.iter().filter(move |route| {
        let fits = !is_taken && route.fits(incident);
        is_taken |= fits && !route.goes_on;
        fits
    })
}

/// Reads a table of routes and checks it. `channels` are those that there are.
pub fn check(routes: &[Route], channels: &BTreeSet<String>) -> Result<(), String> {
    if routes.len() > MOST_ROUTES {
        return Err(format!("{} routes, more than {MOST_ROUTES}", routes.len()));
    }
    let mut names = BTreeSet::new();
    for (i, route) in routes.iter().enumerate() {
        let at = |what: String| format!("routes[{i}] {:?}: {what}", route.name);
        if route.name.trim().is_empty() || route.name.chars().count() > 100 {
            return Err(at("the name must have 1 to 100 characters".into()));
        }
        if !names.insert(route.name.as_str()) {
            return Err(at("another route has this name".into()));
        }
        if route.channels.is_empty() || route.channels.len() > 20 {
            return Err(at("name 1 to 20 channels".into()));
        }
        if let Some(unknown) = route.channels.iter().find(|name| !channels.contains(*name)) {
            let known: Vec<&str> = channels.iter().map(String::as_str).collect();
            let known = if known.is_empty() {
                "none is set up: see [channels] in the settings".into()
            } else {
                known.join(", ")
            };
            return Err(at(format!("no channel {unknown:?}; known: {known}")));
        }
        if route.wait_s > LONGEST_WAIT_S {
            return Err(at(format!("wait_s {} is more than {LONGEST_WAIT_S}", route.wait_s)));
        }
    }
    Ok(())
}

/// One thing to tell one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Follows from what was decided: the same decision has the same id.
    pub id: String,
    /// When it was decided.
    pub at: Time,
    /// The route that asked for it.
    pub route: String,
    /// Whom to tell.
    pub channel: String,
    /// Why.
    pub reason: Reason,
    /// The incident as it was then.
    pub incident: Incident,
}

/// What was told of one incident to one channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Told {
    route: String,
    /// `None`: the first notice still waits.
    severity: Option<Severity>,
    cause: Option<(String, types::CauseKind)>,
    state: IncidentState,
    notices: u32,
}

/// The table and what was told. Part of the engine's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Router {
    routes: Vec<Route>,
    told: BTreeMap<IncidentId, BTreeMap<String, Told>>,
    /// Notices decided, and incidents that were over before anybody was told.
    pub counts: RouterCounts,
}

/// What was decided since the data folder was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterCounts {
    /// Notices.
    pub notices: u64,
    /// First notices that were not needed: the incident was over before its wait was.
    pub spared: u64,
}

impl Router {
    /// Replaces the table. What waits for a route that is gone is told to nobody.
    pub fn set(&mut self, routes: Vec<Route>) {
        self.routes = routes;
        let names: BTreeSet<&str> = self.routes.iter().map(|route| route.name.as_str()).collect();
        for told in self.told.values_mut() {
            told.retain(|_, told| told.severity.is_some() || names.contains(told.route.as_str()));
        }
    }

    /// The table.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// What is to be told now, of incidents as they are now.
    pub fn step<'a>(&mut self, incidents: impl Iterator<Item = &'a Incident>, now: Time) -> Vec<Notice> {
        if self.routes.is_empty() && self.told.is_empty() {
            return Vec::new();
        }
        let mut notices = Vec::new();
        let mut present = BTreeSet::new();
        for incident in incidents.filter(|incident| !incident.tenant.is_self()) {
            present.insert(incident.id.clone());
            if incident.state != IncidentState::Resolved {
                self.take_up(incident);
            }
            let Some(told) = self.told.get_mut(&incident.id) else { continue };
            let mut spared = Vec::new();
            for (channel, told) in told.iter_mut() {
                let route = self.routes.iter().find(|route| route.name == told.route);
                let wait_s = route.map_or(0, |route| route.wait_s);
                let updates = route.is_none_or(|route| route.updates);
                if told.severity.is_none() && incident.state == IncidentState::Resolved {
                    spared.push(channel.clone());
                    continue;
                }
                let Some(reason) = told.reason(incident, wait_s, updates, now) else { continue };
                told.note(incident);
                let id = format!("{}-{}-{}", incident.id.0, channel, told.notices);
                let (route, channel) = (told.route.clone(), channel.clone());
                notices.push(Notice { id, at: now, route, channel, reason, incident: incident.clone() });
            }
            self.counts.spared += spared.len() as u64;
            told.retain(|channel, _| !spared.contains(channel));
        }
        self.counts.notices += notices.len() as u64;
        self.told.retain(|id, _| present.contains(id));
        notices
    }

    /// Notes whom an incident is for. What it grew into later counts too.
    fn take_up(&mut self, incident: &Incident) {
        for route in routes_of(&self.routes, incident) {
            let told = self.told.entry(incident.id.clone()).or_default();
            for channel in &route.channels {
                told.entry(channel.clone()).or_insert_with(|| Told {
                    route: route.name.clone(),
                    severity: None,
                    cause: None,
                    state: IncidentState::Open,
                    notices: 0,
                });
            }
        }
    }
}

impl Told {
    /// Why the channel is to be told now.
    fn reason(&self, incident: &Incident, wait_s: u32, updates: bool, now: Time) -> Option<Reason> {
        let is_over = incident.state == IncidentState::Resolved;
        let Some(severity) = self.severity else {
            let waited = now.since(incident.opened_at) >= i64::from(wait_s) * SECOND;
            return (waited || !incident.undecided).then_some(Reason::Opened);
        };
        if self.state == IncidentState::Resolved {
            return (!is_over).then_some(Reason::Reopened);
        }
        if is_over {
            return updates.then_some(Reason::Resolved);
        }
        if incident.severity > severity {
            return Some(Reason::Escalated);
        }
        if updates && incident.state == IncidentState::Acknowledged && self.state == IncidentState::Open {
            return Some(Reason::Acknowledged);
        }
        let is_other = !incident.undecided && top(incident) != self.cause;
        (updates && is_other).then_some(Reason::Cause)
    }

    fn note(&mut self, incident: &Incident) {
        self.severity = Some(self.severity.map_or(incident.severity, |told| told.max(incident.severity)));
        self.state = incident.state;
        if !incident.undecided {
            self.cause = top(incident);
        }
        self.notices += 1;
    }
}

fn top(incident: &Incident) -> Option<(String, types::CauseKind)> {
    incident.causes.first().map(|cause| (cause.entity.to_string(), cause.kind))
}

#[cfg(test)]
mod tests {
    use types::{Cause, CauseKind, EntityId, Tenant, incident::Impact};

    use super::*;

    fn route(name: &str, matchers: &[&str]) -> Route {
        Route {
            name: name.into(),
            matchers: matchers.iter().map(|m| Matcher::parse(m).unwrap()).collect(),
            min_severity: Severity::Warning,
            channels: vec![format!("to-{name}")],
            wait_s: 30,
            updates: true,
            goes_on: false,
        }
    }

    fn incident(number: u32, severity: Severity) -> Incident {
        Incident {
            id: IncidentId(format!("inc-{number}")),
            tenant: Tenant::default(),
            state: IncidentState::Open,
            severity,
            priority: Default::default(),
            title: String::new(),
            summary: String::new(),
            started_at: Time(0),
            opened_at: Time(0),
            resolved_at: None,
            actor: None,
            entities: vec![EntityId::new("service", "shop", "web"), EntityId::new("service", "shop", "pay")],
            causes: Vec::new(),
            undecided: true,
            missing: Vec::new(),
            impact: Impact::default(),
            timeline: Vec::new(),
            findings: Vec::new(),
        }
    }

    fn told(router: &mut Router, incident: &Incident, seconds: i64) -> Vec<(String, Reason)> {
        let notices = router.step([incident].into_iter(), Time(seconds * SECOND));
        notices.into_iter().map(|n| (n.channel, n.reason)).collect()
    }

    #[test]
    fn the_first_route_that_fits_gets_it_unless_it_goes_on() {
        let mut router = Router::default();
        let all = Route { goes_on: true, ..route("log", &[]) };
        router.set(vec![all, route("pay", &["service=pay"]), route("rest", &[])]);
        let told = told(&mut router, &incident(1, Severity::Major), 31);
        assert_eq!(told, [("to-log".to_owned(), Reason::Opened), ("to-pay".to_owned(), Reason::Opened)]);
        router.set(vec![route("other", &["service=cart"]), route("bad", &["severity=critical"])]);
        assert!(router.step([&incident(2, Severity::Major)].into_iter(), Time(99 * SECOND)).is_empty());
    }

    #[test]
    fn an_incident_is_told_once_then_only_what_is_new() {
        let mut router = Router::default();
        router.set(vec![route("all", &[])]);
        let mut it = incident(1, Severity::Warning);
        let channel = "to-all".to_owned();
        assert!(told(&mut router, &it, 10).is_empty(), "it waits for a cause");
        let entity = EntityId::new("service", "shop", "pay");
        let cause = |kind| Cause {
            entity: entity.clone(),
            kind,
            belief: 0.8,
            summary: String::new(),
            evidence: vec![],
            against: vec![],
        };
        it.causes = vec![cause(CauseKind::Change)];
        it.undecided = false;
        assert_eq!(told(&mut router, &it, 12), [(channel.clone(), Reason::Opened)], "the cause is there");
        assert!(told(&mut router, &it, 50).is_empty());
        let saved = serde_json::to_string(&router).unwrap();
        router = serde_json::from_str(&saved).unwrap();
        it.severity = Severity::Critical;
        assert_eq!(told(&mut router, &it, 60), [(channel.clone(), Reason::Escalated)]);
        it.state = IncidentState::Acknowledged;
        assert_eq!(told(&mut router, &it, 65), [(channel.clone(), Reason::Acknowledged)]);
        it.causes = vec![cause(CauseKind::Resource)];
        assert_eq!(told(&mut router, &it, 70), [(channel.clone(), Reason::Cause)]);
        it.state = IncidentState::Resolved;
        assert_eq!(told(&mut router, &it, 80), [(channel.clone(), Reason::Resolved)]);
        assert!(told(&mut router, &it, 81).is_empty());
        it.state = IncidentState::Open;
        assert_eq!(told(&mut router, &it, 82), [(channel, Reason::Reopened)]);
        assert_eq!(router.counts.notices, 6);
    }

    #[test]
    fn what_is_over_before_the_wait_is_told_to_nobody() {
        let mut router = Router::default();
        router.set(vec![route("all", &[])]);
        let mut it = incident(1, Severity::Major);
        assert!(told(&mut router, &it, 10).is_empty());
        it.state = IncidentState::Resolved;
        assert!(told(&mut router, &it, 40).is_empty());
        assert_eq!((router.counts.notices, router.counts.spared), (0, 1));
    }

    #[test]
    fn a_bad_table_names_the_route() {
        let channels = BTreeSet::from(["to-a".to_owned()]);
        let error = |routes: &[Route]| check(routes, &channels).unwrap_err();
        assert!(error(&[route("b", &[])]).contains("routes[0] \"b\": no channel \"to-b\"; known: to-a"));
        assert!(error(&[route("a", &[]), route("a", &[])]).contains("routes[1]"));
        assert!(error(&[Route { wait_s: 9999, ..route("a", &[]) }]).contains("wait_s"));
        assert!(check(&[route("a", &[])], &channels).is_ok());
    }
}
