//! The outbox: what was decided to be told to somebody, and what became of it.
//!
//! A delivery is put in with the effects of the step that decided it, in one transaction, and once only (its id
//! follows from the decision). Whoever carries it out marks it as being sent *before* it leaves and with its outcome
//! after. One that is found half-way after a crash may have arrived or not: [`Metadata::settle_deliveries`] gives it
//! back to be sent again only where the channel says that twice is once.

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use types::{Incident, NoticeReason, Time};

use crate::{
    StoreError,
    metadata::{Metadata, from_json, of_word, to_json, word},
};

pub(crate) const TABLE: &str = "
CREATE TABLE deliveries (
  id TEXT PRIMARY KEY, at INTEGER NOT NULL, route TEXT NOT NULL, channel TEXT NOT NULL, reason TEXT NOT NULL,
  incident TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
  next_at INTEGER NOT NULL, outcome TEXT NOT NULL, updated_at INTEGER NOT NULL, receipt TEXT) WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (state, next_at);
CREATE INDEX deliveries_at ON deliveries (at);
CREATE INDEX deliveries_of ON deliveries (incident, channel, at);
";

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It waits for its time.
    Due,
    /// It is on its way; after a crash nobody knows whether it arrived.
    Sending,
    /// The receiver took it.
    Delivered,
    /// It was given up: refused, or tried too often. A dead letter.
    Dead,
    /// A crash or a broken connection came between: it may have arrived. A dead letter too.
    Unknown,
}

/// One thing to tell one channel.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Delivery {
    /// Follows from the decision.
    pub id: String,
    /// When it was decided.
    pub at: Time,
    /// The route that asked for it.
    pub route: String,
    /// Whom to tell.
    pub channel: String,
    /// Why.
    pub reason: NoticeReason,
    /// The incident as it was when it was decided.
    pub incident: Incident,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next, while it is due.
    pub next_at: Time,
    /// What became of the last try, in words.
    pub outcome: String,
    /// When it last changed.
    pub updated_at: Time,
    /// What the receiver gave for the next one of this incident: a thread, labels.
    pub receipt: Option<String>,
}

impl Metadata {
    /// Deliveries whose time has come, oldest first; of one incident and channel only the first, so that nobody hears of
    /// an end before the beginning.
    pub async fn due_deliveries(&self, now: Time, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let query = "SELECT * FROM deliveries AS d WHERE state = 'due' AND next_at <= ? AND NOT EXISTS (
              SELECT 1 FROM deliveries AS e WHERE e.incident = d.incident AND e.channel = d.channel
              AND (e.at, e.id) < (d.at, d.id) AND e.state IN ('due', 'sending'))
            ORDER BY next_at, id LIMIT ?";
        let rows = sqlx::query(query).bind(now.0).bind(limit as i64).fetch_all(self.pool()).await?;
        rows.iter().map(of_row).collect()
    }

    /// The newest deliveries.
    pub async fn deliveries(&self, incident: Option<&str>, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let query = "SELECT * FROM deliveries WHERE ?1 IS NULL OR incident = ?1 ORDER BY at DESC, id DESC LIMIT ?2";
        let rows = sqlx::query(query).bind(incident).bind(limit as i64).fetch_all(self.pool()).await?;
        rows.iter().map(of_row).collect()
    }

    /// Notes where a delivery stands. Durable when it returns.
    pub async fn mark_delivery(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let _one = self.write_lock().await;
        sqlx::query(
            "UPDATE deliveries SET state = ?, attempts = ?, next_at = ?, outcome = ?, updated_at = ?, receipt = ? WHERE id = ?",
        )
        .bind(word(&delivery.state))
        .bind(i64::from(delivery.attempts))
        .bind(delivery.next_at.0)
        .bind(&delivery.outcome)
        .bind(delivery.updated_at.0)
        .bind(&delivery.receipt)
        .bind(&delivery.id)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// What the receiver gave with the last delivery of an incident through a channel.
    pub async fn receipt(&self, incident: &str, channel: &str) -> Result<Option<String>, StoreError> {
        let query = "SELECT receipt FROM deliveries WHERE incident = ? AND channel = ? AND receipt IS NOT NULL
            ORDER BY at DESC, id DESC LIMIT 1";
        let row = sqlx::query(query).bind(incident).bind(channel).fetch_optional(self.pool()).await?;
        Ok(row.and_then(|row| row.get(0)))
    }

    /// Puts the last delivery of an incident through a channel back where it was delivered before `before` and did not
    /// tell of the end: the receiver must hear again that it goes on.
    pub async fn refresh_delivery(
        &self,
        incident: &str,
        channel: &str,
        before: Time,
        now: Time,
    ) -> Result<(), StoreError> {
        let due = "SELECT id FROM deliveries WHERE id = (
              SELECT id FROM deliveries WHERE incident = ?1 AND channel = ?2 ORDER BY at DESC, id DESC LIMIT 1)
            AND state = 'delivered' AND reason <> 'resolved' AND updated_at < ?3";
        let found = sqlx::query(due).bind(incident).bind(channel).bind(before.0);
        let Some(row) = found.fetch_optional(self.pool()).await? else { return Ok(()) };
        let _one = self.write_lock().await;
        sqlx::query("UPDATE deliveries SET state = 'due', attempts = 0, next_at = ? WHERE id = ?")
            .bind(now.0)
            .bind(row.get::<String, _>(0))
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// A person wants a dead letter sent again. Whether there was one.
    pub async fn retry_delivery(&self, id: &str, now: Time) -> Result<bool, StoreError> {
        let _one = self.write_lock().await;
        let query = "UPDATE deliveries SET state = 'due', attempts = 0, next_at = ?1, updated_at = ?1,
            outcome = 'to be sent again, as a person asked' WHERE id = ?2 AND state IN ('dead', 'unknown')";
        Ok(sqlx::query(query).bind(now.0).bind(id).execute(self.pool()).await?.rows_affected() > 0)
    }

    /// After a start: what was on its way is sent again on channels for which twice is once, and is left as unknown
    /// on others. How many there were of each.
    pub async fn settle_deliveries(&self, now: Time, idempotent: &[String]) -> Result<(usize, usize), StoreError> {
        let rows = sqlx::query("SELECT * FROM deliveries WHERE state = 'sending'").fetch_all(self.pool()).await?;
        let (mut again, mut unknown) = (0, 0);
        for row in &rows {
            let mut delivery = of_row(row)?;
            delivery.updated_at = now;
            if idempotent.contains(&delivery.channel) {
                again += 1;
                (delivery.state, delivery.next_at) = (DeliveryState::Due, now);
                delivery.outcome =
                    "the program stopped while it was sent; sent again, which this channel allows".into();
            } else {
                unknown += 1;
                delivery.state = DeliveryState::Unknown;
                delivery.outcome = "the program stopped while it was sent: it may have arrived".into();
            }
            self.mark_delivery(&delivery).await?;
        }
        Ok((again, unknown))
    }

    /// Forgets what was decided before `before` and is not on its way.
    pub async fn forget_deliveries(&self, before: Time) -> Result<u64, StoreError> {
        let _one = self.write_lock().await;
        let query = "DELETE FROM deliveries WHERE at < ? AND state NOT IN ('due', 'sending')";
        Ok(sqlx::query(query).bind(before.0).execute(self.pool()).await?.rows_affected())
    }
}

/// Puts a delivery in; one that is known already stays as it is.
pub(crate) async fn put(connection: &mut SqliteConnection, delivery: &Delivery) -> Result<(), StoreError> {
    sqlx::query("INSERT OR IGNORE INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(&delivery.id)
        .bind(delivery.at.0)
        .bind(&delivery.route)
        .bind(&delivery.channel)
        .bind(delivery.reason.as_str())
        .bind(&delivery.incident.id.0)
        .bind(to_json(&delivery.incident)?)
        .bind(word(&delivery.state))
        .bind(i64::from(delivery.attempts))
        .bind(delivery.next_at.0)
        .bind(&delivery.outcome)
        .bind(delivery.updated_at.0)
        .bind(&delivery.receipt)
        .execute(connection)
        .await?;
    Ok(())
}

fn of_row(row: &SqliteRow) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        id: row.get("id"),
        at: Time(row.get("at")),
        route: row.get("route"),
        channel: row.get("channel"),
        reason: of_word(row.get("reason"))?,
        incident: from_json(row.get::<&str, _>("body"))?,
        state: of_word(row.get("state"))?,
        attempts: row.get::<i64, _>("attempts") as u32,
        next_at: Time(row.get("next_at")),
        outcome: row.get("outcome"),
        updated_at: Time(row.get("updated_at")),
        receipt: row.get("receipt"),
    })
}
