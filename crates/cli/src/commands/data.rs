//! Commands on a data folder: `audit`, `verify`, `tokens`, and `query --data-dir`.

use std::path::{Path, PathBuf};

use serde_json::Value;
use store::{ErrorKind, SqlRequest, Store, StoreConfig, StoreError};

use crate::{
    args::{Audit, DataDir, Format, Tokens},
    failure::{Failure, Kind, Outcome},
    output, settings,
};

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let kind = match error.kind {
            ErrorKind::Unavailable => Kind::Unavailable,
            ErrorKind::BadRequest => Kind::Usage,
            ErrorKind::Limit | ErrorKind::Setup | ErrorKind::Fatal => Kind::Failed,
        };
        let failure = Failure::new(kind, error.to_string());
        match std::error::Error::source(&error) {
            Some(source) => failure.cause(source.to_string()),
            None => failure,
        }
    }
}

/// Runs SQL on a folder that no server has open.
pub async fn query(dir: &Path, sql: &str) -> Outcome<(Vec<String>, Vec<Vec<Value>>, Vec<String>)> {
    let store = open(dir, true).await?;
    let answer = store.sql(SqlRequest { query: sql.to_owned(), ..SqlRequest::default() }).await?;
    store.close().await;
    Ok((answer.columns.into_iter().map(|c| c.name).collect(), answer.rows, answer.warnings))
}

/// `audit verify` and `audit head`.
pub async fn audit(what: Audit) -> Outcome {
    match what {
        Audit::Verify(flags) => {
            let store = open(&dir(&flags)?, true).await?;
            let check = store.verify_journal().await?;
            let Some((seq, reason)) = &check.bad else {
                output::write(&format!("{} journal records, all as they were written\n", check.lines));
                return Ok(());
            };
            Err(Failure::new(Kind::Failed, format!("journal record {seq} is not as it was written"))
                .cause(reason.clone())
                .hint("records before it are whole; compare with a head kept elsewhere (`bellwether audit head`) and a backup"))
        }
        Audit::Head(flags) => {
            let store = open(&dir(&flags)?, true).await?;
            let head = store.journal_head().await?;
            output::write(&format!("{} {}\n", head.seq, head.hash));
            Ok(())
        }
    }
}

/// `verify`: every frame, block and journal record.
pub async fn verify(flags: DataDir) -> Outcome {
    let dir = dir(&flags)?;
    must_exist(&dir)?;
    let bar = output::progress("sealed files checked");
    let told = bar.clone();
    let report = Store::scrub(
        &dir,
        Box::new(move |done, all| {
            told.set_length(all as u64);
            told.set_position(done as u64);
        }),
    )
    .await?;
    bar.finish_and_clear();
    let (frames, files, rows) = (report.frames, report.files, report.rows);
    output::write(&format!("{frames} frames of the log and {files} sealed files with {rows} rows are whole\n"));
    if report.is_clean() {
        return Ok(());
    }
    for fault in &report.faults {
        output::write(&format!("damaged: {}\n", output::plain(&format!("{fault:?}"))));
    }
    if let Some((seq, reason)) = &report.journal.bad {
        output::write(&format!("journal record {seq}: {reason}\n"));
    }
    Err(Failure::new(Kind::Failed, format!("{} damaged place(s)", report.faults.len()))
        .hint("the rest stays readable; queries that touch them carry a warning"))
}

/// `tokens`.
pub async fn tokens(what: Tokens) -> Outcome {
    match what {
        Tokens::Create { scope, name, days, data } => {
            let store = open(&dir(&data)?, false).await?;
            let token = api::create_token(&store, &scope, &name, days).await.map_err(|error| {
                Failure::new(Kind::Usage, error.to_string()).hint("scopes: ingest, read, write, admin")
            })?;
            store.close().await;
            eprintln!("this is shown once:");
            output::write(&format!("{token}\n"));
        }
        Tokens::List(data) => {
            let store = open(&dir(&data)?, true).await?;
            let columns = ["id", "scope", "name", "expires"].map(str::to_owned);
            let rows: Vec<Vec<Value>> = store
                .tokens()
                .await?
                .into_iter()
                .map(|t| {
                    vec![
                        t.id.into(),
                        t.scopes.into(),
                        t.name.into(),
                        t.expires_at.map_or(Value::Null, |e| e.rfc3339().into()),
                    ]
                })
                .collect();
            output::rows(&columns, &rows, Format::Table);
        }
        Tokens::Revoke { id, data } => {
            let store = open(&dir(&data)?, false).await?;
            if !store.delete_token(&id).await? {
                return Err(Failure::new(Kind::NotFound, format!("no token {id:?}"))
                    .hint("`bellwether tokens list` shows them"));
            }
            store.close().await;
            output::write(&format!("{id} is revoked\n"));
        }
    }
    Ok(())
}

/// Opens a folder that no server has open.
pub async fn open(dir: &Path, read_only: bool) -> Outcome<Store> {
    must_exist(dir)?;
    let mut config = StoreConfig::new(dir);
    config.read_only = read_only;
    config.upkeep = false;
    Ok(Store::open(config).await?)
}

fn must_exist(dir: &Path) -> Outcome {
    if dir.exists() {
        return Ok(());
    }
    Err(Failure::new(Kind::NotFound, format!("no data folder {}", dir.display())).hint("name it with --data-dir"))
}

fn dir(flags: &DataDir) -> Outcome<PathBuf> {
    flags.data_dir.clone().map_or_else(settings::default_data_dir, Ok)
}
