//! What is kept of models: small documents, and values of metrics in the order in which they came. A database of its own,
//! `models.db`, so that training runs and the engine do not wait for each other.
//!
//! Writers queue in the order in which they ask; one task takes all that wait into one transaction and one sync. So many
//! small calls at a time cost about as much as one.

use std::{path::Path, time::Duration};

use sqlx::{
    AssertSqlSafe, Row, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::{mpsc, oneshot};

use crate::StoreError;

const SCHEMA_VERSION: i64 = 1;
const SCHEMA: &str = "
CREATE TABLE documents (kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TABLE chunks (seq INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX chunks_run ON chunks (run);
CREATE TABLE replayed (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL);
";
/// Writes taken into one transaction at most.
const TOGETHER_MOST: usize = 1024;
/// Rows of one statement: a statement is compiled for each number of rows, so few numbers are used.
const ROWS: [usize; 3] = [64, 8, 1];

/// A document: kind, id, and its body, or that it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentRow {
    /// What it is.
    pub kind: String,
    /// Which.
    pub id: String,
    /// JSON; `None`: it is gone.
    pub body: Option<String>,
}

/// Values of metrics that came in one call to one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRow {
    /// The run's number.
    pub run: u64,
    /// What came.
    pub body: Vec<u8>,
}

/// What is written together: all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentChanges {
    /// Documents that are new, changed or gone.
    pub documents: Vec<DocumentRow>,
    /// Values of metrics.
    pub chunks: Vec<ChunkRow>,
    /// Chunks written before this are in the documents: they need no replay.
    pub replayed: bool,
}

/// The documents of one folder.
#[derive(Clone)]
pub struct Documents {
    pool: SqlitePool,
    queue: mpsc::UnboundedSender<Job>,
}

struct Job {
    changes: DocumentChanges,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// A write on its way.
pub struct Kept(Option<oneshot::Receiver<Result<(), StoreError>>>);

impl Kept {
    /// Returns once it is durable.
    pub async fn durable(self) -> Result<(), StoreError> {
        match self.0 {
            None => Ok(()),
            Some(done) => done.await.unwrap_or_else(|_| Err(StoreError::unavailable("the server is shutting down"))),
        }
    }
}

impl Documents {
    /// Opens or creates the database.
    pub async fn open(dir: &Path) -> Result<Documents, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(dir.join("models.db"))
            .busy_timeout(Duration::from_secs(10))
            .pragma("cache_size", "-4000")
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new()
            .max_connections(3)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .map_err(named)?;
        let version: i64 = sqlx::query("PRAGMA user_version").fetch_one(&pool).await.map_err(named)?.get(0);
        if version > SCHEMA_VERSION {
            return Err(StoreError::setup(format!(
                "models.db has version {version}, this program knows up to {SCHEMA_VERSION}; use a newer bellwether"
            )));
        }
        if version < SCHEMA_VERSION {
            let mut tx = pool.begin().await.map_err(named)?;
            sqlx::raw_sql(SCHEMA).execute(&mut *tx).await.map_err(named)?;
            let version = format!("PRAGMA user_version = {SCHEMA_VERSION}");
            sqlx::raw_sql(AssertSqlSafe(version)).execute(&mut *tx).await.map_err(named)?;
            tx.commit().await.map_err(named)?;
        }
        let (queue, jobs) = mpsc::unbounded_channel();
        tokio::spawn(write_all(pool.clone(), jobs));
        Ok(Documents { pool, queue })
    }

    /// All documents.
    pub async fn all(&self) -> Result<Vec<(String, String, String)>, StoreError> {
        let rows = sqlx::query("SELECT kind, id, body FROM documents").fetch_all(&self.pool).await.map_err(named)?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
    }

    /// Values of metrics that are not in the documents yet, in order.
    pub async fn to_replay(&self) -> Result<Vec<ChunkRow>, StoreError> {
        let query = "SELECT run, body FROM chunks WHERE seq > COALESCE((SELECT seq FROM replayed), 0) ORDER BY seq";
        let rows = sqlx::query(query).fetch_all(&self.pool).await.map_err(named)?;
        Ok(rows.iter().map(|row| ChunkRow { run: row.get::<i64, _>(0) as u64, body: row.get(1) }).collect())
    }

    /// All values of metrics of a run, in order.
    pub async fn chunks_of(&self, run: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let query = "SELECT body FROM chunks WHERE run = ? ORDER BY seq";
        let rows = sqlx::query(query).bind(run as i64).fetch_all(&self.pool).await.map_err(named)?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Takes changes into the queue, after all that were taken before.
    pub fn write(&self, changes: DocumentChanges) -> Kept {
        if changes == DocumentChanges::default() {
            return Kept(None);
        }
        let (done, wait) = oneshot::channel();
        // Where nobody takes jobs any more, the answer is that none comes.
        let _ = self.queue.send(Job { changes, done });
        Kept(Some(wait))
    }

    /// Closes the database once what was queued is written.
    pub async fn close(self) {
        let last = DocumentChanges { replayed: false, documents: Vec::new(), chunks: Vec::new() };
        let (done, wait) = oneshot::channel();
        let _ = self.queue.send(Job { changes: last, done });
        let _ = wait.await;
        self.pool.close().await;
    }
}

async fn write_all(pool: SqlitePool, mut jobs: mpsc::UnboundedReceiver<Job>) {
    while let Some(first) = jobs.recv().await {
        let mut together = vec![first];
        while together.len() < TOGETHER_MOST {
            let Ok(next) = jobs.try_recv() else { break };
            together.push(next);
        }
        let outcome = commit(&pool, &together).await;
        for job in together {
            let said = match &outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(StoreError::new(error.kind, error.to_string())),
            };
            let _ = job.done.send(said);
        }
    }
}

async fn commit(pool: &SqlitePool, jobs: &[Job]) -> Result<(), StoreError> {
    let mut tx = pool.begin().await.map_err(named)?;
    let chunks: Vec<&ChunkRow> = jobs.iter().flat_map(|job| &job.changes.chunks).collect();
    let mut rest = &chunks[..];
    for count in ROWS {
        while rest.len() >= count {
            let (now, later) = rest.split_at(count);
            put_chunks(&mut tx, now).await?;
            rest = later;
        }
    }
    // Of a document only what is said last is written.
    let mut last: std::collections::BTreeMap<(&str, &str), &DocumentRow> = std::collections::BTreeMap::new();
    for document in jobs.iter().flat_map(|job| &job.changes.documents) {
        last.insert((&document.kind, &document.id), document);
    }
    let documents: Vec<&DocumentRow> = last.into_values().collect();
    let mut rest = &documents[..];
    for count in ROWS {
        while rest.len() >= count && rest[..count].iter().all(|document| document.body.is_some()) {
            let (now, later) = rest.split_at(count);
            put_documents(&mut tx, now).await?;
            rest = later;
        }
    }
    for document in rest {
        match document.body {
            Some(_) => put_documents(&mut tx, &[document]).await?,
            None => {
                let gone = sqlx::query("DELETE FROM documents WHERE kind = ? AND id = ?");
                gone.bind(&document.kind).bind(&document.id).execute(&mut *tx).await.map_err(named)?;
            }
        }
    }
    if jobs.iter().any(|job| job.changes.replayed) {
        // A job that says so was queued after the chunks that its documents hold; later ones of this transaction are
        // replayed once more, which changes nothing.
        let until = jobs.iter().rposition(|job| job.changes.replayed).unwrap_or(0);
        let later: usize = jobs[until + 1..].iter().map(|job| job.changes.chunks.len()).sum();
        let query = "INSERT INTO replayed VALUES (1, (SELECT COALESCE(MAX(seq), 0) FROM chunks) - ?)
            ON CONFLICT (id) DO UPDATE SET seq = excluded.seq";
        sqlx::query(query).bind(later as i64).execute(&mut *tx).await.map_err(named)?;
    }
    tx.commit().await.map_err(named)
}

async fn put_chunks(tx: &mut SqliteConnection, rows: &[&ChunkRow]) -> Result<(), StoreError> {
    let sql = format!("INSERT INTO chunks (run, body) VALUES {}", vec!["(?, ?)"; rows.len()].join(", "));
    let query = sqlx::query(AssertSqlSafe(sql));
    let bound = rows.iter().fold(query, |query, row| query.bind(row.run as i64).bind(&row.body[..]));
    bound.execute(tx).await.map(drop).map_err(named)
}

async fn put_documents(tx: &mut SqliteConnection, rows: &[&DocumentRow]) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO documents VALUES {} ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
        vec!["(?, ?, ?)"; rows.len()].join(", ")
    );
    let query = sqlx::query(AssertSqlSafe(sql));
    let bound = rows.iter().fold(query, |query, row| query.bind(&row.kind).bind(&row.id).bind(&row.body));
    bound.execute(tx).await.map(drop).map_err(named)
}

/// An error that names the right database.
fn named(error: sqlx::Error) -> StoreError {
    let error = StoreError::from(error);
    StoreError::new(error.kind, error.to_string().replacen("metadata.db", "models.db", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(id: &str, body: Option<&str>) -> DocumentRow {
        DocumentRow { kind: "run".into(), id: id.into(), body: body.map(str::to_owned) }
    }

    fn chunk(run: u64, body: &[u8]) -> ChunkRow {
        ChunkRow { run, body: body.to_vec() }
    }

    #[tokio::test]
    async fn what_is_durable_reads_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let documents = Documents::open(dir.path()).await.unwrap();
        let kept: Vec<Kept> = (0..300_u64)
            .map(|i| {
                let body = format!("{i}");
                let changes = DocumentChanges {
                    documents: vec![document(&format!("{}", i % 90), Some(&body))],
                    chunks: vec![chunk(i % 2, &i.to_le_bytes())],
                    ..DocumentChanges::default()
                };
                documents.write(changes)
            })
            .collect();
        for kept in kept {
            kept.durable().await.unwrap();
        }
        let gone = DocumentChanges { documents: vec![document("7", None)], ..DocumentChanges::default() };
        documents.write(gone).durable().await.unwrap();
        documents.close().await;
        let documents = Documents::open(dir.path()).await.unwrap();
        let all = documents.all().await.unwrap();
        assert_eq!(all.len(), 89);
        assert!(all.contains(&("run".into(), "5".into(), "275".into())) && !all.iter().any(|(_, id, _)| id == "7"));
        let of_one: Vec<u64> = documents
            .chunks_of(1)
            .await
            .unwrap()
            .iter()
            .map(|b| u64::from_le_bytes(b[..].try_into().unwrap()))
            .collect();
        assert_eq!(of_one, (0..300).filter(|i| i % 2 == 1).collect::<Vec<_>>());
        assert_eq!(documents.to_replay().await.unwrap().len(), 300);
    }

    #[tokio::test]
    async fn what_the_documents_hold_is_not_replayed() {
        let dir = tempfile::tempdir().unwrap();
        let documents = Documents::open(dir.path()).await.unwrap();
        let more = |n: u8| DocumentChanges { chunks: vec![chunk(1, &[n])], ..DocumentChanges::default() };
        // All in the queue before the first is taken.
        let first = documents.write(more(1));
        let saved =
            DocumentChanges { documents: vec![document("1", Some("x"))], replayed: true, ..DocumentChanges::default() };
        let saved = documents.write(saved);
        let last = documents.write(more(2));
        for kept in [first, saved, last] {
            kept.durable().await.unwrap();
        }
        assert_eq!(documents.to_replay().await.unwrap(), [chunk(1, &[2])]);
        documents.write(DocumentChanges::default()).durable().await.unwrap();
    }

    #[tokio::test]
    async fn a_newer_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let documents = Documents::open(dir.path()).await.unwrap();
        sqlx::raw_sql("PRAGMA user_version = 99").execute(&documents.pool).await.unwrap();
        documents.close().await;
        let error = Documents::open(dir.path()).await.err().unwrap();
        assert!(error.to_string().contains("models.db has version 99"), "{error}");
    }
}
