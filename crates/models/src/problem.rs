//! What is wrong with a request, in MLflow's own terms: its clients tell errors apart by these codes and retry on some.

use std::fmt;

/// MLflow's error codes that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A parameter is missing, of the wrong type or out of its range.
    InvalidParameterValue,
    /// The request as a whole cannot be read.
    BadRequest,
    /// What is named does not exist.
    ResourceDoesNotExist,
    /// What is to be made exists.
    ResourceAlreadyExists,
    /// It is not in a state in which this can be done.
    InvalidState,
    /// Nobody says who asks.
    Unauthenticated,
    /// It is not allowed.
    PermissionDenied,
    /// MLflow has it, Bellwether does not.
    NotImplemented,
    /// It cannot be done just now; clients try again.
    TemporarilyUnavailable,
    /// Something broke here.
    InternalError,
}

impl Code {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Code::InvalidParameterValue => "INVALID_PARAMETER_VALUE",
            Code::BadRequest => "BAD_REQUEST",
            Code::ResourceDoesNotExist => "RESOURCE_DOES_NOT_EXIST",
            Code::ResourceAlreadyExists => "RESOURCE_ALREADY_EXISTS",
            Code::InvalidState => "INVALID_STATE",
            Code::Unauthenticated => "UNAUTHENTICATED",
            Code::PermissionDenied => "PERMISSION_DENIED",
            Code::NotImplemented => "NOT_IMPLEMENTED",
            Code::TemporarilyUnavailable => "TEMPORARILY_UNAVAILABLE",
            Code::InternalError => "INTERNAL_ERROR",
        }
    }

    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Code::InvalidParameterValue | Code::BadRequest | Code::ResourceAlreadyExists => 400,
            Code::Unauthenticated => 401,
            Code::PermissionDenied => 403,
            Code::ResourceDoesNotExist => 404,
            Code::InvalidState | Code::InternalError => 500,
            Code::NotImplemented => 501,
            Code::TemporarilyUnavailable => 503,
        }
    }
}

/// An answer that says what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which kind.
    pub code: Code,
    /// What to do about it, for people; in MLflow's words where its clients look at them.
    pub message: String,
}

impl Problem {
    /// A parameter is wrong.
    pub fn invalid(message: impl Into<String>) -> Problem {
        Problem { code: Code::InvalidParameterValue, message: message.into() }
    }

    /// What is named does not exist.
    pub fn missing(message: impl Into<String>) -> Problem {
        Problem { code: Code::ResourceDoesNotExist, message: message.into() }
    }

    /// What is to be made exists.
    pub fn exists(message: impl Into<String>) -> Problem {
        Problem { code: Code::ResourceAlreadyExists, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for Problem {}
