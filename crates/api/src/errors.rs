//! The catalogue of errors as clients see them: a code, what happened, what to do.

use axum::{
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde_json::json;
use store::{ErrorKind, StoreError};

/// An error on its way out. Each is made where it is noticed and handled once, here.
#[derive(Debug)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// `BELLWETHER-Exxxx`, stable.
    pub code: &'static str,
    /// What happened.
    pub error: String,
    /// What to do.
    pub hint: &'static str,
}

impl ApiError {
    /// The request is wrong.
    pub fn bad_request(error: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::BAD_REQUEST,
            code: "BELLWETHER-E0400",
            error: error.into(),
            hint: "mend the request; /api/v1/openapi.json describes it",
        }
    }

    /// No token, or one that is not known.
    pub fn no_token() -> ApiError {
        ApiError {
            status: StatusCode::UNAUTHORIZED,
            code: "BELLWETHER-E0401",
            error: "a valid token is needed".into(),
            hint: "send Authorization: Bearer …; `bellwether tokens create` makes one",
        }
    }

    /// A webhook whose signature or token does not show who sent it.
    pub fn bad_signature(error: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::UNAUTHORIZED,
            code: "BELLWETHER-E0402",
            error: error.into(),
            hint: "set the same secret in the settings and at the sender; see docs: changes",
        }
    }

    /// A token that does not allow this.
    pub fn not_allowed(needed: &str) -> ApiError {
        ApiError {
            status: StatusCode::FORBIDDEN,
            code: "BELLWETHER-E0403",
            error: format!("the token does not allow this: it needs {needed}"),
            hint: "use a token with that scope",
        }
    }

    /// A request from a page of another origin, or to a host name that is not ours.
    pub fn foreign(error: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::FORBIDDEN,
            code: "BELLWETHER-E0404",
            error: error.into(),
            hint: "add the host name to `hosts` in the settings if it is yours",
        }
    }

    /// What was asked for is not there.
    pub fn not_found(what: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::NOT_FOUND,
            code: "BELLWETHER-E0405",
            error: what.into(),
            hint: "lists show what is there",
        }
    }

    /// A limit was reached.
    pub fn limit(error: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: "BELLWETHER-E0422",
            error: error.into(),
            hint: "ask for less: a shorter time range, fewer columns, a LIMIT",
        }
    }

    /// A body over its limit.
    pub fn too_large(error: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            code: "BELLWETHER-E0413",
            error: error.into(),
            hint: "send smaller batches",
        }
    }

    /// A content type or encoding that is not spoken.
    pub fn unsupported(error: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            code: "BELLWETHER-E0415",
            error: error.into(),
            hint: "see docs: which content types each path takes",
        }
    }

    /// Try again later.
    pub fn unavailable(error: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "BELLWETHER-E0503",
            error: error.into(),
            hint: "try again after the time in Retry-After",
        }
    }

    /// A body that came too slowly.
    pub fn too_slow() -> ApiError {
        ApiError {
            status: StatusCode::REQUEST_TIMEOUT,
            code: "BELLWETHER-E0408",
            error: "the body came too slowly".into(),
            hint: "send at least 1 KB a second",
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        match error.kind {
            ErrorKind::Unavailable => ApiError::unavailable(error.to_string()),
            ErrorKind::BadRequest => ApiError::bad_request(error.to_string()),
            ErrorKind::Limit => ApiError::limit(error.to_string()),
            ErrorKind::Setup | ErrorKind::Fatal => {
                tracing::error!(error = %error, source = ?std::error::Error::source(&error), "a storage error");
                ApiError {
                    status: StatusCode::INTERNAL_SERVER_ERROR,
                    code: "BELLWETHER-E0500",
                    error: error.to_string(),
                    hint: "see the server's log; `bellwether verify` checks the data folder",
                }
            }
        }
    }
}

impl From<models::Problem> for ApiError {
    fn from(problem: models::Problem) -> ApiError {
        match problem.code {
            models::Code::ResourceDoesNotExist => ApiError::not_found(problem.message),
            models::Code::TemporarilyUnavailable => ApiError::unavailable(problem.message),
            _ => ApiError::bad_request(problem.message),
        }
    }
}

impl From<ingest::BadRequest> for ApiError {
    fn from(bad: ingest::BadRequest) -> ApiError {
        match bad.kind {
            ingest::BadKind::Malformed => ApiError::bad_request(bad.reason),
            ingest::BadKind::TooLarge => ApiError::too_large(bad.reason),
            ingest::BadKind::Unsupported => ApiError::unsupported(bad.reason),
            ingest::BadKind::Unauthenticated => ApiError::bad_signature(bad.reason),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({"error": self.error, "hint": self.hint, "code": self.code});
        let mut response = (self.status, axum::Json(body)).into_response();
        retry_after(&mut response);
        response
    }
}

/// Puts Retry-After on answers that may be tried again.
pub fn retry_after(response: &mut Response) {
    if matches!(response.status().as_u16(), 429 | 503) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
    }
}
