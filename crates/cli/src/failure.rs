//! How a command fails: what, why, what to do, and an exit code by kind.

/// Exit codes are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 1: it did not work.
    Failed,
    /// 2: the command line or a setting is wrong.
    Usage,
    /// 3: what was asked for is not there.
    NotFound,
    /// 4: not allowed.
    Refused,
    /// 5: the server is not there or busy; trying again may help.
    Unavailable,
}

/// An error as a person reads it.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    error: String,
    cause: Option<String>,
    hint: Option<String>,
}

/// What a command returns.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure of a kind with its first line.
    pub fn new(kind: Kind, error: impl Into<String>) -> Failure {
        Failure { kind, error: error.into(), cause: None, hint: None }
    }

    /// Adds why.
    pub fn cause(mut self, cause: impl Into<String>) -> Failure {
        self.cause = Some(cause.into());
        self
    }

    /// Adds what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self.kind {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::NotFound => 3,
            Kind::Refused => 4,
            Kind::Unavailable => 5,
        }
    }

    /// Writes it to standard error. Text that came from elsewhere has its control characters taken out.
    pub fn print(&self) {
        eprintln!("error: {}", crate::output::plain(&self.error));
        if let Some(cause) = &self.cause {
            eprintln!("cause: {}", crate::output::plain(cause));
        }
        if let Some(hint) = &self.hint {
            eprintln!("hint: {}", crate::output::plain(hint));
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::new(Kind::Failed, error.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        let mut chain = error.chain().map(ToString::to_string);
        let first = chain.next().unwrap_or_default();
        let causes: Vec<_> = chain.collect();
        let failure = Failure::new(Kind::Failed, first);
        if causes.is_empty() { failure } else { failure.cause(causes.join(": ")) }
    }
}
