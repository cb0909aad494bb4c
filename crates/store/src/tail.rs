//! Batches in log order, for the live loop.

use std::sync::Arc;

use tokio::sync::watch;
use types::{Batch, Position};

use crate::{Inner, recover};

/// A cursor in the log. Batches come from memory while they are hot, otherwise from the log's segments, which are kept
/// back to the engine's checkpoint: a slow reader costs no memory.
pub struct Tail {
    inner: Arc<Inner>,
    cursor: Position,
    changed: watch::Receiver<u64>,
}

/// A drain gives at most about this many rows, so that a long replay does not come at once.
const ROWS_MAX: usize = 500_000;

impl Tail {
    pub(crate) fn new(inner: Arc<Inner>, after: Position) -> Tail {
        let changed = inner.visible.subscribe();
        Tail { inner, cursor: after, changed }
    }

    /// The next batches, without waiting; empty when the cursor is at the end. May read files while it catches up.
    pub fn drain(&mut self) -> Vec<(Position, Arc<Batch>)> {
        self.changed.mark_unchanged();
        let state = self.inner.visible.state.read();
        if self.cursor.0 >= state.sealed {
            let start = state.hot.partition_point(|h| h.position <= self.cursor);
            let mut rows = 0;
            let mut found = Vec::new();
            for hot in state.hot.range(start..) {
                if rows >= ROWS_MAX {
                    break;
                }
                rows += hot.batch.rows();
                found.push((hot.position, hot.batch.clone()));
            }
            drop(state);
            self.advance(&found);
            return found;
        }
        let sealed = state.sealed;
        drop(state);
        let found = recover::read_log(&self.inner, self.cursor, Position(sealed), ROWS_MAX);
        if found.is_empty() {
            // The rest up to the sealed position is void, damaged or trimmed.
            self.cursor = Position(sealed);
            return self.drain();
        }
        self.advance(&found);
        found
    }

    /// Returns when there is, or may be, something to drain.
    pub async fn changed(&mut self) {
        if self.inner.visible.last_position() > self.cursor {
            return;
        }
        // The sender lives as long as the store that this tail holds.
        let _ = self.changed.changed().await;
    }

    /// The last position drained.
    pub fn position(&self) -> Position {
        self.cursor
    }

    fn advance(&mut self, found: &[(Position, Arc<Batch>)]) {
        if let Some((last, _)) = found.last() {
            self.cursor = *last;
        }
    }
}
