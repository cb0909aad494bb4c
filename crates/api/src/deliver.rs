//! Carries out what the engine decided to tell people: takes deliveries from the outbox, in order for each incident and
//! channel, and notes what became of each. A delivery is marked as being sent before it leaves, so that a crash never
//! makes one out of two; see [`store::DeliveryState`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use act::{Channel, Notice, Outcome, backoff};
use store::{Delivery, DeliveryState, StoreError};
use types::{DAY, IncidentState, SECOND, Time};

use crate::state::{App, now};

/// How often the outbox is looked at.
const TICK: Duration = Duration::from_secs(1);
/// Deliveries that are on their way at the same time.
const AT_ONCE: usize = 8;
/// How often it is looked for what must be told again, and for what may be forgotten.
const TEND: Duration = Duration::from_secs(60);
/// Tries before a delivery is given up: about three quarters of an hour.
const MOST_TRIES: u32 = 12;
/// How long what was delivered or given up is kept.
const KEEP_NS: i64 = 90 * DAY;

/// Runs until the server stops.
pub async fn run(app: Arc<App>) {
    if let Err(error) = settle(&app).await {
        tracing::error!(%error, "the outbox cannot be read; nobody is told of anything until a restart");
        return;
    }
    let mut tended: Option<Instant> = None;
    while !app.stop.is_set() {
        let tend = tended.is_none_or(|at| at.elapsed() >= TEND);
        if tend {
            tended = Some(Instant::now());
        }
        if let Err(error) = once(&app, tend).await {
            tracing::warn!(%error, "the outbox cannot be worked on at the moment, trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = app.stop.wait() => {}
        }
    }
}

/// Decides about what was on its way when the program stopped.
async fn settle(app: &App) -> Result<(), StoreError> {
    let channels = app.config.channels.iter();
    let idempotent: Vec<String> = channels.filter(|(_, c)| c.is_idempotent()).map(|(name, _)| name.clone()).collect();
    let (again, unknown) = app.store.settle_deliveries(now(), &idempotent).await?;
    if again + unknown > 0 {
        tracing::warn!(again, unknown, "notices were on their way when the program stopped");
    }
    Ok(())
}

async fn once(app: &Arc<App>, tend: bool) -> Result<(), StoreError> {
    if tend {
        refresh(app).await?;
        app.store.forget_deliveries(now().plus(-KEEP_NS)).await?;
    }
    let due = app.store.due_deliveries(now(), AT_ONCE).await?;
    let tasks: Vec<_> = due.into_iter().map(|delivery| tokio::spawn(carry_out(app.clone(), delivery))).collect();
    for task in tasks {
        if let Ok(result) = task.await {
            result?;
        }
    }
    Ok(())
}

async fn carry_out(app: Arc<App>, mut delivery: Delivery) -> Result<(), StoreError> {
    let Some(channel) = app.config.channels.get(&delivery.channel) else {
        end(&mut delivery, DeliveryState::Dead, "the settings have no such channel any more");
        return app.store.mark_delivery(&delivery).await;
    };
    let receipt = app.store.receipt(&delivery.incident.id.0, &delivery.channel).await?;
    delivery.attempts += 1;
    end(&mut delivery, DeliveryState::Sending, "on its way");
    app.store.mark_delivery(&delivery).await?;
    let notice = Notice {
        delivery: delivery.id.clone(),
        reason: delivery.reason,
        incident: delivery.incident.clone(),
        link: app.link(&format!("/incidents/{}", delivery.incident.id.0)),
        receipt,
    };
    let outcome = act::deliver(&app.egress, channel, &notice, now()).await;
    note(&mut delivery, channel, outcome);
    app.store.mark_delivery(&delivery).await
}

fn end(delivery: &mut Delivery, state: DeliveryState, outcome: &str) {
    (delivery.state, delivery.updated_at) = (state, now());
    delivery.outcome = outcome.to_owned();
}

/// What an outcome makes of a delivery.
fn note(delivery: &mut Delivery, channel: &Channel, outcome: Outcome) {
    let may_repeat = outcome.may_repeat(channel);
    let again = |delivery: &mut Delivery, after: Option<Duration>, why: String| {
        if delivery.attempts >= MOST_TRIES {
            return end(delivery, DeliveryState::Dead, &format!("given up after {} tries: {why}", delivery.attempts));
        }
        let wait = backoff(delivery.attempts, &delivery.id).max(after.unwrap_or_default());
        end(delivery, DeliveryState::Due, &why);
        delivery.next_at = delivery.updated_at.plus(i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX / 4));
    };
    match outcome {
        Outcome::Delivered { receipt } => {
            end(delivery, DeliveryState::Delivered, "taken");
            delivery.receipt = receipt.or(delivery.receipt.take());
        }
        Outcome::Retry { after, why } => again(delivery, after, why),
        Outcome::Unknown { why } if may_repeat => again(delivery, None, why),
        Outcome::Unknown { why } => end(delivery, DeliveryState::Unknown, &why),
        Outcome::Refused { why } => end(delivery, DeliveryState::Dead, &why),
    }
}

/// Receivers that take silence for the end (an Alertmanager) hear again of what goes on.
async fn refresh(app: &App) -> Result<(), StoreError> {
    let every = |(name, channel): (&String, &Channel)| Some((name.clone(), channel.refresh_every()?));
    let refreshed: Vec<(String, Duration)> = app.config.channels.iter().filter_map(every).collect();
    if refreshed.is_empty() {
        return Ok(());
    }
    let snapshot = app.snapshot.load_full();
    for incident in snapshot.incidents.iter().filter(|i| i.state != IncidentState::Resolved && !i.tenant.is_self()) {
        for (channel, every) in &refreshed {
            let before: Time = now().plus(-(every.as_secs() as i64) * SECOND);
            app.store.refresh_delivery(&incident.id.0, channel, before, now()).await?;
        }
    }
    Ok(())
}
