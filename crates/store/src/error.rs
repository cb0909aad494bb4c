//! Errors by what the caller can do about them.

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Try again later: the disk is full or failed, or the store is shutting down (HTTP 503 with Retry-After).
    Unavailable,
    /// The request is wrong (HTTP 400): a query that does not parse, an unknown column.
    BadRequest,
    /// A limit was reached; the text names it (HTTP 422 for queries).
    Limit,
    /// The folder or the settings must be mended by a person: in use, not writable, of a newer version.
    Setup,
    /// A bug or a broken machine (HTTP 500).
    Fatal,
}

/// An error of the store. `Display` says what to do and does not repeat its source.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct StoreError {
    /// What the caller can do.
    pub kind: ErrorKind,
    text: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> StoreError {
        StoreError { kind, text: text.into(), source: None }
    }

    pub(crate) fn unavailable(text: impl Into<String>) -> StoreError {
        StoreError::new(ErrorKind::Unavailable, text)
    }

    pub(crate) fn bad_request(text: impl Into<String>) -> StoreError {
        StoreError::new(ErrorKind::BadRequest, text)
    }

    pub(crate) fn limit(text: impl Into<String>) -> StoreError {
        StoreError::new(ErrorKind::Limit, text)
    }

    pub(crate) fn setup(text: impl Into<String>) -> StoreError {
        StoreError::new(ErrorKind::Setup, text)
    }

    pub(crate) fn fatal(text: impl Into<String>) -> StoreError {
        StoreError::new(ErrorKind::Fatal, text)
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
    ) -> StoreError {
        self.source = Some(source.into());
        self
    }

    /// An IO error while doing `what`; a full or failing disk is worth another try, the rest is not.
    pub(crate) fn io(what: impl std::fmt::Display, error: std::io::Error) -> StoreError {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::Unavailable,
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Setup,
            _ => ErrorKind::Fatal,
        };
        StoreError::new(kind, format!("could not {what}: {error}"))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        let code = error.as_database_error().and_then(|e| e.code().map(|c| c.into_owned()));
        // SQLITE_BUSY, SQLITE_IOERR family and SQLITE_FULL pass by themselves.
        let passing = code.and_then(|c| c.parse::<i64>().ok()).is_some_and(|c| matches!(c & 0xff, 5 | 6 | 10 | 13));
        let kind = if passing || matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) {
            ErrorKind::Unavailable
        } else {
            ErrorKind::Fatal
        };
        StoreError::new(kind, format!("metadata.db: {error}"))
    }
}
