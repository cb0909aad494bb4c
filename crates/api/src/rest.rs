//! The REST API under `/api/v1`, health, and `/metrics`. One file a subject.

pub(crate) mod alerts;
pub(crate) mod causes;
pub(crate) mod contrast;
pub(crate) mod detection;
pub(crate) mod explore;
pub(crate) mod forecast;
mod health;
pub(crate) mod incidents;
pub(crate) mod services;
pub(crate) mod slos;
mod sql;
mod system;
mod tokens;
pub(crate) mod users;

use serde::Deserialize;
use types::{Batch, EntityId, SECOND, Tenant, Time};

use crate::{
    errors::ApiError,
    routes::Routes,
    state::{App, now},
};

/// Adds all of them.
pub fn add(routes: &mut Routes) {
    sql::add(routes);
    incidents::add(routes);
    alerts::add(routes);
    services::add(routes);
    slos::add(routes);
    explore::add(routes);
    contrast::add(routes);
    causes::add(routes);
    detection::add(routes);
    forecast::add(routes);
    system::add(routes);
    tokens::add(routes);
    health::add(routes);
}

/// A tenant in a query string.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct TenantQuery {
    /// See [`tenant`].
    pub tenant: Option<String>,
}

/// A JSON body; the error says what is wrong in it and where.
fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|e| ApiError::bad_request(e.to_string()))
}

/// An entity in a query string; nothing where none or an empty one is named.
fn entity(text: Option<&str>) -> Result<Option<EntityId>, ApiError> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(None) };
    EntityId::parse(text)
        .map(Some)
        .ok_or_else(|| ApiError::bad_request(format!("not an entity (kind:namespace/name): {text:?}")))
}

/// A time range in a query string: RFC 3339, `now`, or `now-15m` (s, m, h, d).
#[derive(Debug, Default, Deserialize)]
pub struct Range {
    /// From, default an hour before `to`.
    pub from: Option<String>,
    /// To, default now.
    pub to: Option<String>,
}

impl Range {
    /// The two moments; the error says what is wrong.
    pub fn resolve(&self) -> Result<(Time, Time), ApiError> {
        let now = now();
        let to = self.to.as_deref().map_or(Ok(now), |t| moment(t, now))?;
        let from = self.from.as_deref().map_or(Ok(to.plus(-3600 * SECOND)), |t| moment(t, now))?;
        if from >= to {
            return Err(ApiError::bad_request("from must lie before to"));
        }
        Ok((from, to))
    }
}

/// A moment as people write it.
pub(crate) fn moment(text: &str, now: Time) -> Result<Time, ApiError> {
    let bad = || ApiError::bad_request(format!("not a time: {text:?}; use RFC 3339, now, or now-15m (s, m, h, d)"));
    let Some(rest) = text.strip_prefix("now") else { return Time::parse(text).ok_or_else(bad) };
    if rest.is_empty() {
        return Ok(now);
    }
    let sign = match rest.as_bytes()[0] {
        b'-' => -1,
        b'+' | b' ' => 1,
        _ => return Err(bad()),
    };
    let unit = match rest.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(bad()),
    };
    let number = rest.get(1..rest.len() - 1).and_then(|n| n.parse::<i64>().ok()).ok_or_else(bad)?;
    Ok(now.plus(number.saturating_mul(unit * sign).saturating_mul(SECOND)))
}

/// What a person says goes through the log like everything else, so that it replays.
async fn say(
    app: &App,
    tenant: Tenant,
    entity: &EntityId,
    kind: &str,
    attributes: serde_json::Value,
) -> Result<(), ApiError> {
    let key = app.store.directory().write().entity(entity);
    let mut batch = Batch { tenant, ..Batch::default() };
    batch.events.push(now().0, key, kind, &attributes.to_string());
    app.store.append(batch, None).await?;
    Ok(())
}

/// A tenant asked for: `_self` or a name; nothing means all but `_self`.
pub fn tenant(asked: Option<&str>) -> Option<Tenant> {
    asked.filter(|t| !t.is_empty()).map(Tenant::new)
}

/// Whether a row belongs to what was asked for.
pub fn wanted(asked: &Option<Tenant>, of: &Tenant) -> bool {
    asked.as_ref().map_or(!of.is_self(), |t| t == of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_times() {
        let now = Time(1_000_000 * SECOND);
        assert_eq!(moment("now-15m", now).unwrap(), now.plus(-900 * SECOND));
        assert_eq!(moment("now", now).unwrap(), now);
        assert!(moment("now-", now).is_err() && moment("yesterday", now).is_err() && moment("now-xh", now).is_err());
    }
}
