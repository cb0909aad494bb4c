//! SQLite: the manifest of sealed files, the journal, and everything small that must commit together.

use std::{path::Path, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use sqlx::{
    Row, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use types::{
    Directory, Edge, EdgeKind, EntityId, Finding, FindingId, Incident, JournalEntry, JournalKind, Position, Tenant,
    Time, Topology,
};
use view::{Checkpoint, Pages, SeenEdge, StepCut};

use crate::{
    Commit, Recovered, StoreError, deliveries,
    sealed::{SealedFile, Signal},
};

/// Version of the tables; older ones are migrated one step at a time, newer ones refused.
const SCHEMA_VERSION: i64 = 2;

const SCHEMA_1: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (
  id INTEGER PRIMARY KEY AUTOINCREMENT, signal TEXT NOT NULL, tenant TEXT NOT NULL, date TEXT NOT NULL,
  path TEXT NOT NULL, rows INTEGER NOT NULL, bytes INTEGER NOT NULL, time_min INTEGER NOT NULL,
  time_max INTEGER NOT NULL, position_first INTEGER NOT NULL, position_last INTEGER NOT NULL,
  learned_max INTEGER NOT NULL, late BLOB NOT NULL, sums BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE journal (
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, data TEXT NOT NULL,
  text_digest BLOB, prev BLOB NOT NULL, hash BLOB NOT NULL);
CREATE INDEX journal_subject ON journal (subject);
CREATE TABLE journal_text (seq INTEGER PRIMARY KEY, salt BLOB NOT NULL, text TEXT NOT NULL);
CREATE TABLE findings (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, entity TEXT NOT NULL, start INTEGER NOT NULL, \"end\" INTEGER NOT NULL,
  ongoing INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX findings_start ON findings (start);
CREATE TABLE incidents (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, opened_at INTEGER NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL)
  WITHOUT ROWID;
CREATE INDEX incidents_opened ON incidents (opened_at);
CREATE TABLE edges (
  source TEXT NOT NULL, target TEXT NOT NULL, kind TEXT NOT NULL, tenant TEXT NOT NULL, first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (source, target, kind)) WITHOUT ROWID;
CREATE TABLE cuts (step INTEGER PRIMARY KEY, now INTEGER NOT NULL, position INTEGER NOT NULL);
CREATE TABLE checkpoint (
  id INTEGER PRIMARY KEY CHECK (id = 1), step INTEGER NOT NULL, now INTEGER NOT NULL, position INTEGER NOT NULL);
CREATE TABLE checkpoint_parts (part TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE checkpoint_pages (
  part TEXT NOT NULL, page TEXT NOT NULL, bytes BLOB NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (part, page))
  WITHOUT ROWID;
CREATE TABLE tokens (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, digest BLOB NOT NULL, scopes TEXT NOT NULL, tenant TEXT,
  created_at INTEGER NOT NULL, expires_at INTEGER, revoked_at INTEGER) WITHOUT ROWID;
CREATE TABLE aliases (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, entity TEXT NOT NULL, valid_from INTEGER NOT NULL,
  valid_to INTEGER, learned INTEGER NOT NULL);
";

/// The database of one folder.
pub(crate) struct Metadata {
    pool: SqlitePool,
    /// One writer at a time: SQLite would make the others wait and then fail.
    write: tokio::sync::Mutex<()>,
}

/// What the manifest said when the folder was opened.
pub(crate) struct Manifest {
    pub files: Vec<Arc<SealedFile>>,
    pub sealed: u64,
    pub learned: i64,
    pub damage: Vec<String>,
}

/// A line of the journal as it is kept.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct JournalRow {
    /// Number from 1, without a gap.
    pub seq: u64,
    /// When it was concluded, decided or done.
    pub at: Time,
    /// What it records.
    pub kind: JournalKind,
    /// What it is about.
    pub subject: String,
    /// Ids and numbers.
    pub data: serde_json::Value,
    /// The free text, unless there was none or it was erased.
    pub text: Option<String>,
    /// There was a text and it was erased.
    pub erased: bool,
    /// SHA-256 of the line and all before it, hexadecimal.
    pub hash: String,
}

/// Which journal lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalFilter {
    /// Only lines before this number (for the next page).
    pub before: Option<u64>,
    /// Only about this.
    pub subject: Option<String>,
    /// Only of this kind.
    pub kind: Option<JournalKind>,
    /// At most so many; 0 means 100.
    pub limit: usize,
}

/// The end of the chain.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct JournalHead {
    /// Number of the last line; 0 in an empty journal.
    pub seq: u64,
    /// Its hash, hexadecimal.
    pub hash: String,
}

/// Result of walking the chain.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct JournalCheck {
    /// Lines that are as they were written.
    pub lines: u64,
    /// The first line that is not, with the reason.
    pub bad: Option<(u64, String)>,
    /// The end of the chain as stored.
    pub head: JournalHead,
}

/// An access token as it is kept: never the secret, only its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredToken {
    /// Public id.
    pub id: String,
    /// For people.
    pub name: String,
    /// Digest of the secret.
    pub digest: Vec<u8>,
    /// What it allows, as the api writes it.
    pub scopes: String,
    /// Only this tenant.
    pub tenant: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// Until when it holds.
    pub expires_at: Option<Time>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
}

/// One row of the alias table: what a name meant, and when.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AliasRow {
    /// The name that senders use, written as an entity.
    pub name: EntityId,
    /// What it means.
    pub entity: EntityId,
    /// From.
    pub valid_from: Time,
    /// To; `None`: still.
    pub valid_to: Option<Time>,
    /// When this was learned.
    pub learned: Time,
}

impl Metadata {
    /// Opens or creates the database.
    pub async fn open(dir: &Path, read_only: bool) -> Result<Metadata, StoreError> {
        let mut options = SqliteConnectOptions::new()
            .filename(dir.join("metadata.db"))
            .busy_timeout(Duration::from_secs(10))
            .foreign_keys(false)
            .pragma("cache_size", "-1000");
        options = if read_only {
            options.read_only(true)
        } else {
            options.create_if_missing(true).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full)
        };
        // Connections to a local file do not age. Without these limits the pool has no maintenance task, which was seen
        // to spin for ever when a runtime ended while it looked at a pool being dropped.
        let pool = SqlitePoolOptions::new()
            .max_connections(2)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await?;
        let metadata = Metadata { pool, write: tokio::sync::Mutex::new(()) };
        metadata.migrate(read_only).await?;
        Ok(metadata)
    }

    async fn migrate(&self, read_only: bool) -> Result<(), StoreError> {
        let version: i64 = sqlx::query("PRAGMA user_version").fetch_one(&self.pool).await?.get(0);
        if version > SCHEMA_VERSION {
            return Err(StoreError::setup(format!(
                "metadata.db has version {version}, this program knows up to {SCHEMA_VERSION}; use a newer bellwether"
            )));
        }
        if version == SCHEMA_VERSION {
            return Ok(());
        }
        if read_only {
            return Err(StoreError::setup("metadata.db is of an older version; start the server once to migrate it"));
        }
        let mut tx = self.pool.begin().await?;
        for (from, step) in [SCHEMA_1, deliveries::TABLE].into_iter().enumerate() {
            if version <= from as i64 {
                sqlx::raw_sql(step).execute(&mut *tx).await?;
            }
        }
        let version = format!("PRAGMA user_version = {SCHEMA_VERSION}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(version)).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Held while something is written.
    pub(crate) async fn write_lock(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.write.lock().await
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }

    // ---- manifest

    pub async fn manifest(&self, dir: &Path) -> Result<Manifest, StoreError> {
        let rows = sqlx::query("SELECT * FROM files ORDER BY position_first, id").fetch_all(&self.pool).await?;
        let mut files = Vec::with_capacity(rows.len());
        let mut damage = Vec::new();
        for row in rows {
            match file_of_row(&row, dir) {
                Ok(file) => files.push(Arc::new(file)),
                Err(what) => damage.push(what),
            }
        }
        let sealed = self.setting("sealed_position").await?.and_then(|v| v.parse().ok()).unwrap_or(0);
        let learned = files.iter().map(|f| f.learned_max).max().unwrap_or(0);
        Ok(Manifest { files, sealed, learned, damage })
    }

    /// Puts files in and takes files out in one transaction; gives the files with their ids.
    pub async fn swap_files(
        &self,
        added: Vec<SealedFile>,
        removed: &[i64],
        sealed: Option<u64>,
    ) -> Result<Vec<Arc<SealedFile>>, StoreError> {
        let _one = self.write.lock().await;
        let mut tx = self.pool.begin().await?;
        let mut done = Vec::with_capacity(added.len());
        for mut file in added {
            file.id = insert_file(&mut tx, &file).await?;
            done.push(Arc::new(file));
        }
        for id in removed {
            sqlx::query("DELETE FROM files WHERE id = ?").bind(id).execute(&mut *tx).await?;
        }
        if let Some(sealed) = sealed {
            put_meta(&mut tx, "sealed_position", &sealed.to_string()).await?;
        }
        tx.commit().await?;
        Ok(done)
    }

    // ---- commit and recovery

    pub async fn commit(&self, commit: Commit, edges: Vec<(EntityId, EntityId, Tenant)>) -> Result<(), StoreError> {
        let _one = self.write.lock().await;
        let mut tx = self.pool.begin().await?;
        for cut in &commit.cuts {
            sqlx::query("INSERT OR REPLACE INTO cuts (step, now, position) VALUES (?, ?, ?)")
                .bind(cut.step as i64)
                .bind(cut.now.0)
                .bind(cut.position.0 as i64)
                .execute(&mut *tx)
                .await?;
        }
        append_journal(&mut tx, &commit.journal).await?;
        for finding in &commit.findings {
            put_finding(&mut tx, finding).await?;
        }
        for incident in &commit.incidents {
            put_incident(&mut tx, incident).await?;
        }
        for delivery in &commit.deliveries {
            deliveries::put(&mut tx, delivery).await?;
        }
        for (seen, (source, target, tenant)) in commit.edges.iter().zip(&edges) {
            put_edge(&mut tx, seen, source, target, tenant).await?;
        }
        if let Some(checkpoint) = &commit.checkpoint {
            put_checkpoint(&mut tx, checkpoint).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    pub async fn recovered(&self) -> Result<Recovered, StoreError> {
        let cuts = sqlx::query("SELECT step, now, position FROM cuts ORDER BY step").fetch_all(&self.pool).await?;
        let cuts: Vec<StepCut> = cuts.iter().map(cut_of_row).collect();
        let head = sqlx::query("SELECT step, now, position FROM checkpoint").fetch_optional(&self.pool).await?;
        let Some(head) = head else { return Ok(Recovered { checkpoint: None, cuts }) };
        let mut checkpoint = Checkpoint { cut: cut_of_row(&head), ..Checkpoint::default() };
        for row in sqlx::query("SELECT part, version FROM checkpoint_parts").fetch_all(&self.pool).await? {
            checkpoint.parts.insert(row.get(0), (row.get::<i64, _>(1) as u32, Pages::new()));
        }
        for row in sqlx::query("SELECT part, page, bytes, crc FROM checkpoint_pages").fetch_all(&self.pool).await? {
            let (part, page, bytes): (String, String, Vec<u8>) = (row.get(0), row.get(1), row.get(2));
            if i64::from(crc32c::crc32c(&bytes)) != row.get::<i64, _>(3) {
                tracing::warn!(part, page, "a page of the checkpoint is damaged; the engine starts afresh");
                return Ok(Recovered { checkpoint: None, cuts });
            }
            if let Some((_, pages)) = checkpoint.parts.get_mut(&part) {
                pages.insert(page, bytes);
            }
        }
        let cuts = cuts.into_iter().filter(|c| c.step > checkpoint.cut.step).collect();
        Ok(Recovered { checkpoint: Some(checkpoint), cuts })
    }

    pub async fn checkpoint_position(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT position FROM checkpoint").fetch_optional(&self.pool).await?;
        Ok(row.map_or(0, |r| r.get::<i64, _>(0) as u64))
    }

    // ---- reads of conclusions

    pub async fn incidents(&self, tenant: Option<Tenant>, limit: usize) -> Result<Vec<Incident>, StoreError> {
        let rows = sqlx::query(
            "SELECT body FROM incidents WHERE (?1 IS NULL AND tenant <> '_self') OR tenant = ?1
             ORDER BY opened_at DESC, id DESC LIMIT ?2",
        )
        .bind(tenant.map(|t| t.as_str().to_owned()))
        .bind(limit.min(1 << 20) as i64)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| from_json(row.get::<&str, _>(0))).collect()
    }

    /// Incidents of a tenant that were opened in `from..to`, newest first.
    pub async fn incidents_opened(
        &self,
        tenant: &Tenant,
        from: Time,
        to: Time,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError> {
        let query = "SELECT body FROM incidents WHERE tenant = ? AND opened_at >= ? AND opened_at < ?
             ORDER BY opened_at DESC, id DESC LIMIT ?";
        let query = sqlx::query(query).bind(tenant.as_str().to_owned()).bind(from.0).bind(to.0);
        let rows = query.bind(limit.min(1 << 20) as i64).fetch_all(&self.pool).await?;
        rows.iter().map(|row| from_json(row.get::<&str, _>(0))).collect()
    }

    pub async fn incident(&self, id: &str) -> Result<Option<Incident>, StoreError> {
        let row = sqlx::query("SELECT body FROM incidents WHERE id = ?").bind(id).fetch_optional(&self.pool).await?;
        row.map(|row| from_json(row.get::<&str, _>(0))).transpose()
    }

    pub async fn findings(
        &self,
        tenant: Option<Tenant>,
        from: Time,
        to: Time,
        limit: usize,
    ) -> Result<Vec<Finding>, StoreError> {
        let rows = sqlx::query(
            "SELECT body FROM findings WHERE ((?1 IS NULL AND tenant <> '_self') OR tenant = ?1)
             AND start < ?3 AND (\"end\" >= ?2 OR ongoing) ORDER BY start DESC, id LIMIT ?4",
        )
        .bind(tenant.map(|t| t.as_str().to_owned()))
        .bind(from.0)
        .bind(to.0)
        .bind(limit.min(1 << 20) as i64)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| from_json(row.get::<&str, _>(0))).collect()
    }

    pub async fn findings_by_id(&self, ids: &[FindingId]) -> Result<Vec<Finding>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            let row = sqlx::query("SELECT body FROM findings WHERE id = ?").bind(id.hex());
            if let Some(row) = row.fetch_optional(&self.pool).await? {
                found.push(from_json(row.get::<&str, _>(0))?);
            }
        }
        Ok(found)
    }

    /// Edges as committed: source, target, kind, tenant, first seen, last seen, count.
    pub async fn edges(&self) -> Result<Vec<(EntityId, EntityId, EdgeKind, Tenant, Edge)>, StoreError> {
        let rows = sqlx::query(
            "SELECT source, target, kind, tenant, first_seen, last_seen, count FROM edges ORDER BY source, target, kind",
        )
        .fetch_all(&self.pool)
        .await?;
        let edge = |row: &SqliteRow| {
            let kind = if row.get::<&str, _>(2) == "runs_on" { EdgeKind::RunsOn } else { EdgeKind::Calls };
            let edge =
                Edge { first_seen: Time(row.get(4)), last_seen: Time(row.get(5)), count: row.get::<i64, _>(6) as u64 };
            let tenant = Tenant::new(row.get::<&str, _>(3));
            Some((EntityId::parse(row.get(0))?, EntityId::parse(row.get(1))?, kind, tenant, edge))
        };
        Ok(rows.iter().filter_map(edge).collect())
    }

    pub async fn topology(&self, directory: &Directory) -> Result<Topology, StoreError> {
        let mut topology = Topology::default();
        let edges = self.edges().await?;
        let mut registry = directory.write();
        for (source, target, kind, _, edge) in edges {
            topology.edges.insert((registry.entity(&source), registry.entity(&target), kind), edge);
        }
        Ok(topology)
    }

    // ---- journal

    pub async fn journal(&self, filter: JournalFilter) -> Result<Vec<JournalRow>, StoreError> {
        let limit = if filter.limit == 0 { 100 } else { filter.limit.min(1 << 20) };
        let rows = sqlx::query(
            "SELECT j.seq, j.at, j.kind, j.subject, j.data, j.text_digest IS NOT NULL, j.hash, t.text
             FROM journal j LEFT JOIN journal_text t ON t.seq = j.seq
             WHERE j.seq < ?1 AND (?2 IS NULL OR j.subject = ?2) AND (?3 IS NULL OR j.kind = ?3)
             ORDER BY j.seq DESC LIMIT ?4",
        )
        .bind(filter.before.map_or(i64::MAX, |b| b as i64))
        .bind(filter.subject)
        .bind(filter.kind.as_ref().map(word))
        .bind(limit as i64)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(journal_of_row).collect()
    }

    pub async fn journal_head(&self) -> Result<JournalHead, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let (seq, hash) = head(&mut connection).await?;
        Ok(JournalHead { seq: seq as u64, hash: hex(&hash) })
    }

    pub async fn verify_journal(&self) -> Result<JournalCheck, StoreError> {
        let mut prev = vec![0u8; 32];
        let mut next = 1i64;
        let mut bad = None;
        'all: loop {
            let rows = sqlx::query(
                "SELECT j.seq, j.at, j.kind, j.subject, j.data, j.text_digest, j.prev, j.hash, t.salt, t.text
                 FROM journal j LEFT JOIN journal_text t ON t.seq = j.seq WHERE j.seq >= ? ORDER BY j.seq LIMIT 1000",
            )
            .bind(next)
            .fetch_all(&self.pool)
            .await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                match check_line(row, next, &prev) {
                    Ok(hash) => prev = hash,
                    Err(reason) => {
                        bad = Some((next as u64, reason));
                        break 'all;
                    }
                }
                next += 1;
            }
        }
        Ok(JournalCheck { lines: (next - 1) as u64, bad, head: self.journal_head().await? })
    }

    pub async fn erase_journal_text(&self, seq: u64) -> Result<bool, StoreError> {
        let _one = self.write.lock().await;
        let done = sqlx::query("DELETE FROM journal_text WHERE seq = ?").bind(seq as i64).execute(&self.pool).await?;
        Ok(done.rows_affected() > 0)
    }

    // ---- tokens, aliases, settings

    pub async fn tokens(&self) -> Result<Vec<StoredToken>, StoreError> {
        let rows = sqlx::query("SELECT * FROM tokens ORDER BY created_at, id").fetch_all(&self.pool).await?;
        let token = |row: &SqliteRow| StoredToken {
            id: row.get("id"),
            name: row.get("name"),
            digest: row.get("digest"),
            scopes: row.get("scopes"),
            tenant: row.get("tenant"),
            created_at: Time(row.get("created_at")),
            expires_at: row.get::<Option<i64>, _>("expires_at").map(Time),
            revoked_at: row.get::<Option<i64>, _>("revoked_at").map(Time),
        };
        Ok(rows.iter().map(token).collect())
    }

    pub async fn put_token(&self, token: StoredToken) -> Result<(), StoreError> {
        let _one = self.write.lock().await;
        sqlx::query("INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(token.id)
            .bind(token.name)
            .bind(token.digest)
            .bind(token.scopes)
            .bind(token.tenant)
            .bind(token.created_at.0)
            .bind(token.expires_at.map(|t| t.0))
            .bind(token.revoked_at.map(|t| t.0))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    pub async fn delete_token(&self, id: &str) -> Result<bool, StoreError> {
        let _one = self.write.lock().await;
        let done = sqlx::query("DELETE FROM tokens WHERE id = ?").bind(id).execute(&self.pool).await?;
        Ok(done.rows_affected() > 0)
    }

    pub async fn aliases(&self) -> Result<Vec<AliasRow>, StoreError> {
        let rows = sqlx::query("SELECT name, entity, valid_from, valid_to, learned FROM aliases ORDER BY learned, id")
            .fetch_all(&self.pool)
            .await?;
        let alias = |row: &SqliteRow| {
            Some(AliasRow {
                name: EntityId::parse(row.get(0))?,
                entity: EntityId::parse(row.get(1))?,
                valid_from: Time(row.get(2)),
                valid_to: row.get::<Option<i64>, _>(3).map(Time),
                learned: Time(row.get(4)),
            })
        };
        Ok(rows.iter().filter_map(alias).collect())
    }

    pub async fn add_alias(&self, alias: AliasRow) -> Result<(), StoreError> {
        let _one = self.write.lock().await;
        let mut tx = self.pool.begin().await?;
        sqlx::query("UPDATE aliases SET valid_to = ?1 WHERE name = ?2 AND valid_to IS NULL AND valid_from <= ?1")
            .bind(alias.valid_from.0)
            .bind(alias.name.as_str())
            .execute(&mut *tx)
            .await?;
        sqlx::query("INSERT INTO aliases (name, entity, valid_from, valid_to, learned) VALUES (?, ?, ?, ?, ?)")
            .bind(alias.name.as_str())
            .bind(alias.entity.as_str())
            .bind(alias.valid_from.0)
            .bind(alias.valid_to.map(|t| t.0))
            .bind(alias.learned.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    pub async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT value FROM meta WHERE key = ?").bind(key).fetch_optional(&self.pool).await?;
        Ok(row.map(|r| r.get(0)))
    }

    pub async fn put_setting(&self, key: &str, value: &str) -> Result<(), StoreError> {
        let _one = self.write.lock().await;
        let mut connection = self.pool.acquire().await?;
        put_meta(&mut connection, key, value).await
    }
}

/// Names and tenant of committed edges: an edge is `_self`'s when its source is.
pub(crate) fn edge_tenants(directory: &Directory, edges: &[SeenEdge]) -> Vec<(EntityId, EntityId, Tenant)> {
    let registry = directory.read();
    let unknown = || EntityId::new("lost", "lost", "unknown");
    let tenant = |key| {
        let resource = registry.resources().iter().find(|r| r.entity == key).map(|r| r.tenant.clone());
        resource.or_else(|| registry.all_series().iter().find(|s| s.entity == key).map(|s| s.tenant.clone()))
    };
    let name = |key| registry.entity_id(key).cloned().unwrap_or_else(unknown);
    edges.iter().map(|e| (name(e.source), name(e.target), tenant(e.source).unwrap_or_default())).collect()
}

// ---- rows

async fn put_meta(connection: &mut SqliteConnection, key: &str, value: &str) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)")
        .bind(key)
        .bind(value)
        .execute(connection)
        .await?;
    Ok(())
}

async fn insert_file(connection: &mut SqliteConnection, file: &SealedFile) -> Result<i64, StoreError> {
    let (late, sums) = (late_bytes(file), sums_bytes(file));
    let done = sqlx::query(
        "INSERT INTO files (signal, tenant, date, path, rows, bytes, time_min, time_max, position_first,
         position_last, learned_max, late, sums, crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(file.signal.as_str())
    .bind(file.tenant.as_str())
    .bind(&file.date)
    .bind(&file.name)
    .bind(file.rows as i64)
    .bind(file.bytes as i64)
    .bind(file.time_min)
    .bind(file.time_max)
    .bind(file.position_first as i64)
    .bind(file.position_last as i64)
    .bind(file.learned_max)
    .bind(&late)
    .bind(&sums)
    .bind(i64::from(file_crc(file, &late, &sums)))
    .execute(connection)
    .await?;
    Ok(done.last_insert_rowid())
}

fn file_of_row(row: &SqliteRow, dir: &Path) -> Result<SealedFile, String> {
    let name: String = row.get("path");
    let (late, sums): (Vec<u8>, Vec<u8>) = (row.get("late"), row.get("sums"));
    let signal = Signal::parse(row.get("signal")).ok_or_else(|| format!("manifest: {name} has an unknown signal"))?;
    let late_rows = late.chunks_exact(20).map(|b| {
        let number = |at: usize| i64::from_le_bytes(b[at..at + 8].try_into().unwrap_or_default());
        (u32::from_le_bytes([b[0], b[1], b[2], b[3]]), number(4), number(12))
    });
    let file = SealedFile {
        id: row.get("id"),
        signal,
        tenant: Tenant::new(row.get("tenant")),
        date: row.get("date"),
        path: dir.join("data").join(&name),
        rows: row.get::<i64, _>("rows") as u64,
        bytes: row.get::<i64, _>("bytes") as u64,
        time_min: row.get("time_min"),
        time_max: row.get("time_max"),
        position_first: row.get::<i64, _>("position_first") as u64,
        position_last: row.get::<i64, _>("position_last") as u64,
        learned_max: row.get("learned_max"),
        late: late_rows.collect(),
        sums: sums.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        name,
        ..SealedFile::default()
    };
    if i64::from(file_crc(&file, &late, &sums)) != row.get::<i64, _>("crc") {
        return Err(format!("manifest: the row of {} is damaged; its {} rows are left out", file.name, file.rows));
    }
    Ok(file)
}

fn late_bytes(file: &SealedFile) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(file.late.len() * 20);
    for (series, low, high) in &file.late {
        bytes.extend_from_slice(&series.to_le_bytes());
        bytes.extend_from_slice(&low.to_le_bytes());
        bytes.extend_from_slice(&high.to_le_bytes());
    }
    bytes
}

fn sums_bytes(file: &SealedFile) -> Vec<u8> {
    file.sums.iter().flat_map(|s| s.to_le_bytes()).collect()
}

fn file_crc(file: &SealedFile, late: &[u8], sums: &[u8]) -> u32 {
    let fields = format!(
        "{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}",
        file.signal.as_str(),
        file.tenant.as_str(),
        file.date,
        file.name,
        file.rows,
        file.bytes,
        file.time_min,
        file.time_max,
        file.position_first,
        file.position_last,
        file.learned_max
    );
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(fields.as_bytes()), late), sums)
}

fn cut_of_row(row: &SqliteRow) -> StepCut {
    StepCut {
        step: row.get::<i64, _>(0) as u64,
        now: Time(row.get(1)),
        position: Position(row.get::<i64, _>(2) as u64),
    }
}

async fn put_finding(connection: &mut SqliteConnection, finding: &Finding) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO findings VALUES (?, ?, ?, ?, ?, ?, ?)")
        .bind(finding.id.hex())
        .bind(finding.tenant.as_str())
        .bind(finding.entity.as_str())
        .bind(finding.start.0)
        .bind(finding.end.0)
        .bind(finding.ongoing)
        .bind(to_json(finding)?)
        .execute(connection)
        .await?;
    Ok(())
}

async fn put_incident(connection: &mut SqliteConnection, incident: &Incident) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO incidents VALUES (?, ?, ?, ?, ?)")
        .bind(&incident.id.0)
        .bind(incident.tenant.as_str())
        .bind(incident.opened_at.0)
        .bind(incident.state.as_str())
        .bind(to_json(incident)?)
        .execute(connection)
        .await?;
    Ok(())
}

async fn put_edge(
    connection: &mut SqliteConnection,
    seen: &SeenEdge,
    source: &EntityId,
    target: &EntityId,
    tenant: &Tenant,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO edges (source, target, kind, tenant, first_seen, last_seen, count)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6) ON CONFLICT DO UPDATE SET first_seen = min(first_seen, ?5),
         last_seen = max(last_seen, ?5), count = count + ?6",
    )
    .bind(source.as_str())
    .bind(target.as_str())
    .bind(seen.kind.as_str())
    .bind(tenant.as_str())
    .bind(seen.at.0)
    .bind(seen.count as i64)
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_checkpoint(connection: &mut SqliteConnection, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    let cut = checkpoint.cut;
    sqlx::query("INSERT OR REPLACE INTO checkpoint VALUES (1, ?, ?, ?)")
        .bind(cut.step as i64)
        .bind(cut.now.0)
        .bind(cut.position.0 as i64)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM cuts WHERE step <= ?").bind(cut.step as i64).execute(&mut *connection).await?;
    for (part, (version, pages)) in &checkpoint.parts {
        let known = sqlx::query("SELECT version FROM checkpoint_parts WHERE part = ?").bind(part);
        let known = known.fetch_optional(&mut *connection).await?.map(|r| r.get::<i64, _>(0));
        if known != Some(i64::from(*version)) {
            sqlx::query("DELETE FROM checkpoint_pages WHERE part = ?").bind(part).execute(&mut *connection).await?;
            sqlx::query("INSERT OR REPLACE INTO checkpoint_parts VALUES (?, ?)")
                .bind(part)
                .bind(i64::from(*version))
                .execute(&mut *connection)
                .await?;
        }
        for (page, bytes) in pages {
            sqlx::query("INSERT OR REPLACE INTO checkpoint_pages VALUES (?, ?, ?, ?)")
                .bind(part)
                .bind(page)
                .bind(bytes)
                .bind(i64::from(crc32c::crc32c(bytes)))
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}

// ---- the chain

async fn head(connection: &mut SqliteConnection) -> Result<(i64, Vec<u8>), StoreError> {
    let row = sqlx::query("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1").fetch_optional(connection).await?;
    Ok(row.map_or((0, vec![0; 32]), |r| (r.get(0), r.get(1))))
}

async fn append_journal(connection: &mut SqliteConnection, entries: &[JournalEntry]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let (mut seq, mut prev) = head(&mut *connection).await?;
    for entry in entries {
        seq += 1;
        let kind = word(&entry.kind);
        let data = to_json(&entry.data)?;
        let mut digest = None;
        if let Some(text) = &entry.text {
            let mut salt = [0u8; 16];
            getrandom::fill(&mut salt).map_err(|e| StoreError::fatal(format!("no random bytes: {e}")))?;
            digest = Some(text_digest(&salt, text));
            sqlx::query("INSERT INTO journal_text VALUES (?, ?, ?)")
                .bind(seq)
                .bind(&salt[..])
                .bind(text)
                .execute(&mut *connection)
                .await?;
        }
        let hash = line_hash(&prev, seq, entry.at.0, &kind, &entry.subject, &data, digest.as_deref());
        sqlx::query("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(seq)
            .bind(entry.at.0)
            .bind(&kind)
            .bind(&entry.subject)
            .bind(&data)
            .bind(digest)
            .bind(&prev)
            .bind(&hash)
            .execute(&mut *connection)
            .await?;
        prev = hash;
    }
    Ok(())
}

/// SHA-256 over the previous hash and every field, each text with its length before it.
fn line_hash(
    prev: &[u8],
    seq: i64,
    at: i64,
    kind: &str,
    subject: &str,
    data: &str,
    text_digest: Option<&[u8]>,
) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(b"bellwether journal 1");
    hash.update(prev);
    hash.update(seq.to_le_bytes());
    hash.update(at.to_le_bytes());
    for text in [kind, subject, data] {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.update([u8::from(text_digest.is_some())]);
    hash.update(text_digest.unwrap_or_default());
    hash.finalize().to_vec()
}

fn text_digest(salt: &[u8], text: &str) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(text.as_bytes());
    hash.finalize().to_vec()
}

fn check_line(row: &SqliteRow, expected: i64, prev: &[u8]) -> Result<Vec<u8>, String> {
    let seq: i64 = row.get(0);
    if seq != expected {
        return Err(format!("line {expected} is missing, the next is {seq}"));
    }
    if row.get::<&[u8], _>(6) != prev {
        return Err("it does not follow the line before it".into());
    }
    let digest: Option<&[u8]> = row.get(5);
    let hash = line_hash(prev, seq, row.get(1), row.get(2), row.get(3), row.get(4), digest);
    if row.get::<&[u8], _>(7) != hash {
        return Err("its content does not give its hash".into());
    }
    let text: Option<&str> = row.get(9);
    let salt: Option<&[u8]> = row.get(8);
    match (digest, text, salt) {
        (Some(digest), Some(text), Some(salt)) if text_digest(salt, text) != digest => {
            Err("its text is not the one that was written".into())
        }
        (None, Some(_), _) => Err("a text was added to it".into()),
        _ => Ok(hash),
    }
}

fn journal_of_row(row: &SqliteRow) -> Result<JournalRow, StoreError> {
    let text: Option<String> = row.get(7);
    let had_text: bool = row.get(5);
    Ok(JournalRow {
        seq: row.get::<i64, _>(0) as u64,
        at: Time(row.get(1)),
        kind: of_word(row.get(2))?,
        subject: row.get(3),
        data: from_json(row.get::<&str, _>(4))?,
        erased: had_text && text.is_none(),
        text,
        hash: hex(row.get::<&[u8], _>(6)),
    })
}

/// The word that stands for a value in JSON and in the tables.
pub(crate) fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The value that a word of a table stands for.
pub(crate) fn of_word<T: serde::de::DeserializeOwned>(text: String) -> Result<T, StoreError> {
    let value = serde_json::from_value(serde_json::Value::String(text));
    value.map_err(|e| StoreError::fatal(format!("metadata.db holds an unknown word: {e}")))
}

pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::fatal(format!("not writable as JSON: {e}")))
}

pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::fatal(format!("metadata.db holds unreadable JSON: {e}")))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}
