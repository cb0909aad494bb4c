//! Who met a failed request of an incident, where spans name them (OpenTelemetry's `user.id` and `enduser.id`; where
//! nobody does, `session.id`). Counted from stored spans when an incident is shown; who they are is not kept or told.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use store::{FailedFilter, FailedTraces};
use types::{Incident, IncidentState, SECOND, Time, Users};

use crate::state::{App, now};

/// What tells users apart, and what is taken where none of these is there.
const ATTRIBUTES: [&str; 3] = ["user.id", "enduser.id", "session.id"];
/// Spans that are looked at, the newest.
const SPANS_MOST: usize = 300_000;
/// How long a count is taken again: a page that is open asks every few seconds.
const FRESH_NS: i64 = 30 * SECOND;
/// Counts that are kept.
const COUNTED_MOST: usize = 200;

/// What was counted last, and when, by incident.
#[derive(Default)]
pub struct Counted(Mutex<BTreeMap<String, (Time, Option<Users>)>>);

/// The incident with its users, if any are named. What cannot be read is logged, and nothing is said of users.
pub(super) async fn with_users(app: &App, mut incident: Incident) -> Incident {
    let now = now();
    let known = app.users.0.lock().get(&incident.id.0).filter(|(at, _)| now.since(*at) < FRESH_NS).cloned();
    let users = match known {
        Some((_, users)) => users,
        None => {
            let users = count(app, &incident, now).await.unwrap_or_else(|error| {
                tracing::warn!(%error, incident = incident.id.0, "its users could not be counted");
                None
            });
            let mut counted = app.users.0.lock();
            if counted.len() >= COUNTED_MOST {
                counted.clear();
            }
            counted.insert(incident.id.0.clone(), (now, users.clone()));
            users
        }
    };
    if let Some(users) = users {
        engine::tell_users(&mut incident, users);
    }
    incident
}

async fn count(app: &App, incident: &Incident, now: Time) -> Result<Option<Users>, store::StoreError> {
    let end = incident.resolved_at.filter(|_| incident.state == IncidentState::Resolved);
    let filter = FailedFilter {
        tenant: incident.tenant.clone(),
        from: incident.started_at,
        to: end.unwrap_or(now),
        entities: incident.entities.clone(),
        attributes: ATTRIBUTES.to_vec(),
        spans_most: SPANS_MOST,
    };
    Ok(users(&app.store.failed_traces(filter).await?))
}

/// Of two attributes that name users the one that names more of them; a session only where neither does.
fn users(found: &FailedTraces) -> Option<Users> {
    let of = |i: usize| found.values.get(i).filter(|values| values.values > 0).map(|values| (i, values));
    let user = of(0).into_iter().chain(of(1)).max_by_key(|(i, values)| (values.values, std::cmp::Reverse(*i)));
    let (i, values) = user.or_else(|| of(2))?;
    Some(Users {
        count: values.values as u64,
        at_least: !found.whole || values.traces < found.traces,
        attribute: ATTRIBUTES[i].to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use store::Distinct;

    use super::*;

    #[test]
    fn users_are_taken_before_sessions_and_what_may_be_more_says_so() {
        let found = |values: [(usize, usize); 3], whole| {
            let values = values.map(|(values, traces)| Distinct { values, traces }).to_vec();
            users(&FailedTraces { traces: 10, values, whole }).map(|u| (u.count, u.at_least, u.attribute))
        };
        assert_eq!(found([(0, 0), (0, 0), (0, 0)], true), None);
        assert_eq!(found([(3, 10), (0, 0), (7, 10)], true), Some((3, false, "user.id".into())));
        assert_eq!(found([(3, 10), (4, 8), (7, 10)], true), Some((4, true, "enduser.id".into())));
        assert_eq!(found([(3, 10), (3, 10), (0, 0)], false), Some((3, true, "user.id".into())));
        assert_eq!(found([(0, 0), (0, 0), (7, 10)], true), Some((7, false, "session.id".into())));
    }
}
