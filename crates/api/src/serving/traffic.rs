//! Who is asked for a prediction: the version that answers, for a share of the requests the canary, and beside the
//! answer, unheard, the shadow.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use models::serving::Which;
use serve::{Frame, Problem};

use super::{Loaded, Refusal, current, failure, find, load, log};
use crate::state::App;

/// Bodies of more bytes are worked on where blocking is allowed.
const INLINE_BYTES: usize = 32 << 10;

/// The version that is asked, and the one that answers where it cannot.
pub struct Chosen {
    /// The version that is asked.
    pub loaded: Arc<Loaded>,
    /// The version in use, where a canary is asked.
    otherwise: Option<Arc<Loaded>>,
    /// Whether the request named no version, so that it counts for those beside the one in use.
    is_live: bool,
}

/// The version that is to answer a request.
///
/// # Errors
/// As [`find`]. A canary that cannot be run leaves the request to the version in use.
pub async fn choose(app: &Arc<App>, name: &str, which: Which) -> Result<Chosen, Refusal> {
    let is_live = which == Which::InUse;
    let in_use = find(app, name, which).await?;
    if is_live
        && let Some(canary) = canary(app, name)
        && canary.model.version != in_use.model.version
    {
        return Ok(Chosen { loaded: canary, otherwise: Some(in_use), is_live });
    }
    Ok(Chosen { loaded: in_use, otherwise: None, is_live })
}

/// The canary, where it is its turn and it is loaded.
fn canary(app: &Arc<App>, name: &str) -> Option<Arc<Loaded>> {
    let (version, created, percent) = app.models.read(|book| {
        let (canary, percent) = book.registered(name).ok()?.canary()?;
        Some((canary.version, canary.created, percent))
    })?;
    let turn = app.serving.turns.fetch_add(1, Ordering::Relaxed);
    if is_its_turn(turn, percent) { loaded_or_begun(app, name, version, created) } else { None }
}

/// Whether a turn falls to a share: evenly spread (multiples of the golden ratio), so that it holds for short stretches.
fn is_its_turn(turn: u64, percent: f64) -> bool {
    let place = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) as f64 / 2_f64.powi(64);
    place * 100.0 < percent
}

/// A version if it is loaded; else it begins to be, and nobody waits.
fn loaded_or_begun(app: &Arc<App>, name: &str, version: u64, created: i64) -> Option<Arc<Loaded>> {
    let key = (name.to_owned(), version);
    if let Some(known) = current(app, &key, created) {
        return Some(known);
    }
    if failure(&app.serving, &key, created).is_none() {
        let app = app.clone();
        tokio::spawn(async move {
            if let Err(why) = load(&app, &key, created).await {
                tracing::warn!("version {} of model {} cannot be run beside others: {}", key.1, key.0, why.message());
            }
        });
    }
    None
}

/// The shadow of a model, if it is loaded.
pub fn shadow(app: &Arc<App>, name: &str) -> Option<Arc<Loaded>> {
    let (version, created) = app.models.read(|book| {
        let shadow = book.registered(name).ok()?.shadow()?;
        Some((shadow.version, shadow.created))
    })?;
    loaded_or_begun(app, name, version, created)
}

/// What was asked: how the client or the server calls it, and the rows.
pub struct Question {
    /// The prediction's id.
    pub id: String,
    /// The rows.
    pub rows: Frame,
}

/// Asks a version, notes how that went, and keeps what was asked. What a canary cannot answer the version in use does.
pub async fn ask<T: Send + 'static>(
    app: &Arc<App>,
    chosen: &Chosen,
    bytes: usize,
    ask: impl FnOnce(&Loaded) -> Result<(Question, T), Problem> + Clone + Send + 'static,
) -> Result<(String, T), Refusal> {
    let Some(in_use) = &chosen.otherwise else { return ask_one(app, &chosen.loaded, chosen.is_live, bytes, ask).await };
    match ask_one(app, &chosen.loaded, true, bytes, ask.clone()).await {
        Err(Refusal::Bad(_) | Refusal::Broken(_) | Refusal::NotHere(_)) => ask_one(app, in_use, true, bytes, ask).await,
        answered => answered,
    }
}

async fn ask_one<T: Send + 'static>(
    app: &Arc<App>,
    loaded: &Arc<Loaded>,
    is_live: bool,
    bytes: usize,
    ask: impl FnOnce(&Loaded) -> Result<(Question, T), Problem> + Send + 'static,
) -> Result<(String, T), Refusal> {
    let began = Instant::now();
    let model = loaded.clone();
    let outcome = work(bytes, move || ask(&model).map_err(Refusal::from)).await;
    loaded.counts.note(began, outcome.as_ref().ok().map(|(question, _)| question.rows.rows));
    let (Question { id, rows }, answer) = outcome?;
    log::keep(app, loaded, is_live, id.clone(), rows).await?;
    Ok((id, answer))
}

/// Does the work of a request: at once where it is small.
async fn work<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    if bytes <= INLINE_BYTES { work() } else { apart(work).await }
}

/// Does work that takes long where blocking is allowed.
pub async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Refusal::Broken(format!("the work broke off: {error}")))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_holds_for_short_stretches_too() {
        for (percent, from, to) in [(5.0, 3, 7), (50.0, 49, 51), (0.0, 0, 0), (100.0, 100, 100)] {
            for start in [0, 12_345] {
                let turns = (start..start + 100).filter(|turn| is_its_turn(*turn, percent)).count();
                assert!((from..=to).contains(&turns), "{percent}: {turns} of 100");
            }
        }
    }
}
