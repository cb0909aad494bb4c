//! What teams keep of their models, live: the book with what makes it durable, and MLflow's wire on top.
//!
//! A change is made in memory, queued for the disk under the same lock, and answered once it is durable. Where the disk
//! refuses, the book is read again from what is kept, so that nothing stays that was not acknowledged.

mod card;
mod files;
mod http;
mod moves;
mod retraining;
mod rollout;
mod spans;
mod webhooks;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use models::{
    Book, Code, Problem,
    artifacts::{Entry, Files, Parts, Tree},
};
use parking_lot::RwLock;
use store::{ChunkRow, DocumentChanges, DocumentRow, Documents, ErrorKind, StoreError};

pub use http::{add, decoded, pairs};
pub use moves::journal;
pub use retraining::retrain;
pub use rollout::roll_out;
pub use spans::receive;
pub use webhooks::deliver;

use crate::{
    ServerConfig,
    state::{App, now},
};

/// The kind of the documents that say which file lies under a path.
const FILE: &str = "file";
/// How often last values of metrics are written down, so that a start has little to replay.
const SAVE_EVERY: Duration = Duration::from_secs(10);

/// The book, its files, and where both are kept.
pub struct Desk {
    book: RwLock<Book>,
    tree: RwLock<Tree>,
    documents: Documents,
    files: Files,
    parts: Parts,
    /// Told when versions moved.
    moved: tokio::sync::Notify,
    /// One at a time reads the book again.
    mending: tokio::sync::Mutex<()>,
}

impl Desk {
    /// Opens what is kept in the data folder; gates, rollouts and policies of the settings hold from now on.
    pub async fn open(config: &ServerConfig) -> Result<Desk> {
        let documents = Documents::open(&config.data_dir).await?;
        let place = config.data_dir.join("artifacts");
        let files = Files::open(&place).with_context(|| format!("cannot open {}", place.display()))?;
        let mut book = Book::default();
        book.set_gates(config.gates.clone());
        book.set_rollouts(config.rollouts.clone());
        book.set_retraining(config.retraining.clone());
        let desk = Desk {
            book: RwLock::new(book),
            tree: RwLock::default(),
            parts: Parts::new(files.clone()),
            files,
            documents,
            moved: tokio::sync::Notify::new(),
            mending: tokio::sync::Mutex::default(),
        };
        desk.read_again().await?;
        let swept = desk.files.sweep(|digest| desk.tree.read().references(digest) > 0);
        swept.context("cannot look through the files of models")?;
        desk.change(|book, at| {
            book.ensure_default(at);
            Ok(())
        })
        .await?;
        Ok(desk)
    }

    /// Makes the book and the tree again from what is kept.
    async fn read_again(&self) -> Result<()> {
        let mut tree = Tree::default();
        let mut rest = Vec::new();
        for (kind, id, body) in self.documents.all().await? {
            if kind == FILE {
                let entry: Entry = serde_json::from_str(&body).with_context(|| format!("models.db: file {id:?}"))?;
                let path = models::artifacts::ArtifactPath::parse(&id)?;
                tree.apply((path, Some(entry)));
            } else {
                rest.push((kind, id, body));
            }
        }
        let mut book = Book::load(rest)
            .map_err(|bad| anyhow::anyhow!("models.db: {} cannot be read: {}", bad.document, bad.reason))?;
        for chunk in self.documents.to_replay().await? {
            book.replay(chunk.run, &chunk.body);
        }
        book.take_unkept(&self.book.read());
        (*self.book.write(), *self.tree.write()) = (book, tree);
        Ok(())
    }

    /// Looks something up.
    pub fn read<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        look(&self.book.read())
    }

    /// Looks at the files.
    pub fn look_at_files<T>(&self, look: impl FnOnce(&Tree) -> T) -> T {
        look(&self.tree.read())
    }

    /// Notes what was seen of a version.
    pub fn observe(&self, model: &str, version: u64, note: impl FnOnce(&mut models::observed::Observed)) {
        self.book.write().observe(model, version, note);
    }

    /// Changes the book at a time, ms; returns once what changed is durable.
    pub async fn change<T>(&self, change: impl FnOnce(&mut Book, i64) -> Result<T, Problem>) -> Result<T, Problem> {
        self.change_by("", change).await
    }

    /// The same for somebody.
    pub async fn change_by<T>(
        &self,
        who: &str,
        change: impl FnOnce(&mut Book, i64) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let (answer, kept, has_moves) = {
            let mut book = self.book.write();
            let at = now_ms();
            book.act_as(who, at);
            let answer = change(&mut book, at)?;
            let changes = book.take_changes();
            let has_moves = changes.documents.iter().any(|document| document.kind == "move");
            let chunk = |c: models::Chunk| ChunkRow { run: c.run, body: c.body };
            let changes = DocumentChanges {
                documents: changes.documents.into_iter().map(row).collect(),
                chunks: changes.chunks.into_iter().map(chunk).collect(),
                replayed: false,
            };
            (answer, self.documents.write(changes), has_moves)
        };
        match kept.durable().await {
            Ok(()) => {
                if has_moves {
                    self.moved.notify_one();
                }
                Ok(answer)
            }
            Err(error) => Err(self.mend(error).await),
        }
    }

    /// After a write that failed: what was not kept must not be seen.
    async fn mend(&self, error: StoreError) -> Problem {
        let _one = self.mending.lock().await;
        if let Err(worse) = self.read_again().await {
            tracing::error!("what is kept of models could not be read again: {worse:#}");
        }
        in_words(error)
    }

    /// What lies under a path, if it is a file.
    pub fn entry(&self, path: &models::artifacts::ArtifactPath) -> Option<Entry> {
        self.tree.read().get(path).copied()
    }

    /// Where contents of files are.
    pub fn files(&self) -> Files {
        self.files.clone()
    }

    /// Writes down the last values of metrics.
    pub async fn save(&self) -> Result<(), StoreError> {
        let kept = {
            let mut book = self.book.write();
            let latest = book.take_latest();
            if latest.is_empty() {
                return Ok(());
            }
            let documents = latest.into_iter().map(row).collect();
            self.documents.write(DocumentChanges { documents, chunks: Vec::new(), replayed: true })
        };
        kept.durable().await
    }

    /// Writes down what is left and closes the database.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.save().await?;
        self.documents.clone().close().await;
        Ok(())
    }
}

/// Saves last values and forgets uploads that nobody goes on with, until the server stops.
pub async fn keep(app: Arc<App>) {
    while !app.stop.is_set() {
        tokio::select! {
            () = tokio::time::sleep(SAVE_EVERY) => {}
            () = app.stop.wait() => return,
        }
        if let Err(error) = app.models.save().await {
            tracing::warn!("last values of metrics could not be written: {error}; it is tried again");
        }
        app.models.parts.expire(now_ms());
    }
}

fn row(document: models::Document) -> DocumentRow {
    DocumentRow { kind: document.kind.to_owned(), id: document.id, body: document.body }
}

fn now_ms() -> i64 {
    now().0 / 1_000_000
}

/// What the disk says, in MLflow's terms.
fn in_words(error: StoreError) -> Problem {
    let code = match error.kind {
        ErrorKind::Unavailable => Code::TemporarilyUnavailable,
        _ => Code::InternalError,
    };
    Problem { code, message: format!("It was not stored: {error}") }
}
