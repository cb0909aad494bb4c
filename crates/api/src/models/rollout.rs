//! Rollouts: takes the steps that are due, until the server stops.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::{
    serving,
    state::{App, now},
};

/// How often it is looked which steps are due.
const PERIOD: Duration = Duration::from_secs(10);
/// Who takes them, as the journal says it.
const WHO: &str = "rollout";

/// Takes the steps that are due.
pub async fn roll_out(app: Arc<App>) {
    while !app.stop.is_set() {
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = app.stop.wait() => return,
        }
        count_refused(&app);
        let at = now().0 / 1_000_000;
        let due = app.models.read(|book| book.standings(at));
        for (name, standing) in due.into_iter().filter(|(_, standing)| standing.step.is_some()) {
            let taken = app.models.change_by(WHO, |book, at| book.take_step(&name, &standing, at)).await;
            match taken {
                Ok(()) => {
                    tracing::info!(model = name, version = standing.version, step = ?standing.step, "{}", standing.why);
                    serving::ready(&app, &name, models::serving::Which::InUse).await;
                }
                Err(problem) => {
                    tracing::warn!(model = name, "a step of its rollout was not taken: {}", problem.message)
                }
            }
        }
    }
}

/// Notes of each version that is loaded how many of its requests were refused.
fn count_refused(app: &App) {
    for loaded in app.serving.loaded() {
        let refused = loaded.counts.refused.load(Ordering::Relaxed);
        let all = refused + loaded.counts.answered.load(Ordering::Relaxed);
        // A few say nothing.
        let share = if all >= ENOUGH { refused as f64 / all as f64 } else { 0.0 };
        app.models.observe(&loaded.model.name, loaded.model.version, |seen| seen.refused = share);
    }
}

/// Requests from which their refused share counts.
const ENOUGH: u64 = 50;
