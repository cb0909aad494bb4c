//! MLflow's paths: which of them is asked for, who may, and how answers are written.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use models::{
    Code, Problem,
    mlflow::{self, Call, Found, History, Said},
    serving::Which,
};
use serde_json::Value;

use super::{files, webhooks};
use crate::{auth::Permission, errors::ApiError, guard, intake, routes::Routes, serving, state::App};

/// The version that the wire is that of.
const VERSION: &str = "3.17.2";
/// Most questions are posted; what may be a change is told by the call.
const ASKING: [Method; 2] = [Method::GET, Method::POST];
const CHANGING: [Method; 3] = [Method::PUT, Method::PATCH, Method::DELETE];

/// Calls after which another version of a model may answer.
const MOVES: [&str; 3] = ["registered-models/alias", "model-versions/transition-stage", "model-versions/create"];

/// Adds MLflow's paths.
pub fn add(routes: &mut Routes) {
    let asks = "MLflow's tracking and registry, as its clients use it; what is posted to change something needs write";
    let changes = "MLflow's tracking and registry: changes";
    for path in [
        "/api/2.0/mlflow/{*path}",
        "/api/3.0/mlflow/{*path}",
        "/ajax-api/2.0/mlflow/{*path}",
        "/ajax-api/3.0/mlflow/{*path}",
    ] {
        routes.add_all(&ASKING, path, Permission::Read, asks, call);
        routes.add_all(&CHANGING, path, Permission::Write, changes, call);
    }
    files::add(routes);
    super::moves::add(routes);
    super::card::add(routes);
    super::retraining::add(routes);
    routes.add(Method::GET, "/version", Permission::Public, "MLflow's version whose wire is spoken", version);
    routes.add(Method::GET, "/health", Permission::Public, "Whether MLflow's clients are served", health);
}

async fn version() -> &'static str {
    VERSION
}

async fn health() -> &'static str {
    "OK"
}

async fn call(State(app): State<Arc<App>>, request: Request) -> Response {
    match answer(&app, request).await {
        Ok(response) => response,
        Err(problem) => error(&problem),
    }
}

async fn answer(app: &Arc<App>, request: Request) -> Result<Response, Problem> {
    let path = below(request.uri().path()).unwrap_or_default();
    let path = decoded(path).ok_or_else(|| Problem::invalid("The path is not UTF-8."))?;
    let (call, named) = match mlflow::find(request.method().as_str(), &path) {
        Found::Call(call, named) => (call, named),
        Found::OtherMethod(others) => return Ok(other_method(others)),
        Found::Nothing => return Ok(page(StatusCode::NOT_FOUND)),
    };
    if matches!(call, Call::NotHere) {
        return Err(mlflow::not_here(&path));
    }
    let mut who = String::new();
    if matches!(call, Call::Write(_) | Call::TestWebhook) {
        who = guard::caller(app, Permission::Write, request.headers()).map_err(refused)?.name;
    }
    let is_query = request.method() == Method::GET && request.uri().query().is_some_and(|query| !query.is_empty());
    let said = if is_query {
        Said::of_query(pairs(request.uri().query().unwrap_or_default()))
    } else {
        if matches!(*request.method(), Method::POST | Method::PUT) {
            check_type(request.headers())?;
        }
        let (body, _held) = intake::read_body(app, request).await.map_err(refused)?;
        // What comes by far most often is not looked at piece by piece.
        let ready = match &*path {
            "runs/log-metric" => mlflow::log_metric(&body),
            "runs/log-batch" => mlflow::log_batch(&body),
            _ => None,
        };
        if let Some(ready) = ready {
            app.models.change(|book, _| ready(book)).await?;
            return Ok(json(&Value::Object(serde_json::Map::new())));
        }
        Said::of_body(&body).ok_or_else(|| Problem::invalid("The body is JSON, but no object."))?
    };
    let said = said.with(named);
    if path.starts_with("webhooks") && matches!(call, Call::Write(_)) {
        webhooks::check(app, &said).await?;
    }
    let value = match call {
        Call::Read(look) => app.models.read(|book| look(book, &said))?,
        Call::Write(change) => {
            let value = app.models.change_by(&who, |book, at| change(book, &said, at)).await?;
            if MOVES.contains(&&*path) {
                let (name, alias) = said.model_and_alias();
                serving::ready(app, name, Which::InUse).await;
                if !alias.is_empty() {
                    serving::ready(app, name, Which::of(alias)).await;
                }
            }
            value
        }
        Call::History => history(app, &History::of_one(&said)?).await?,
        Call::HistoryOfMany => history_of_many(app, &History::of_many(&said)?).await?,
        Call::TestWebhook => webhooks::test(app, &said).await?,
        Call::ListRunFiles => files::of_run(app, &said)?,
        Call::ListModelFiles => files::of_model(app, &said)?,
        Call::NotHere => return Err(mlflow::not_here(&path)),
    };
    Ok(json(&value))
}

async fn history(app: &Arc<App>, asked: &History) -> Result<Value, Problem> {
    let chunks = chunks(app, &asked.runs[0]).await?;
    Ok(mlflow::history(asked, &chunks))
}

async fn history_of_many(app: &Arc<App>, asked: &History) -> Result<Value, Problem> {
    let mut all = Vec::new();
    for run in &asked.runs {
        all.push(chunks(app, run).await?);
    }
    Ok(mlflow::history_of_many(asked, &all))
}

/// All values of metrics of a run; none where it is not known.
async fn chunks(app: &Arc<App>, run: &str) -> Result<Vec<Vec<u8>>, Problem> {
    let Some(number) = app.models.read(|book| book.run(run).map(|(run, _)| run.number).ok()) else {
        return Ok(Vec::new());
    };
    app.models.documents.chunks_of(number).await.map_err(super::in_words)
}

/// The path below its prefix.
fn below(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/ajax-api").or_else(|| path.strip_prefix("/api"))?;
    rest.strip_prefix("/2.0/mlflow/").or_else(|| rest.strip_prefix("/3.0/mlflow/"))
}

/// MLflow looks at the type of what is posted.
fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else {
        return Err(Problem::invalid("Bad Request. Content-Type header is missing."));
    };
    if kind.split(';').next() != Some("application/json") {
        return Err(Problem::invalid("Bad Request. Content-Type must be one of ['application/json']."));
    }
    Ok(())
}

/// Names and values of a query.
pub fn pairs(query: &str) -> Vec<(String, String)> {
    let text = |part: &str| decoded(&part.replace('+', " ")).unwrap_or_default();
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (text(name), text(value))
    };
    query.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

/// Percent-decoded text; `None`: it is not UTF-8.
pub fn decoded(text: &str) -> Option<String> {
    Some(percent_encoding::percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

/// A good answer.
pub(super) fn json(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], mlflow::answer(value)).into_response()
}

/// A problem, as MLflow's clients read it.
pub(super) fn error(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = mlflow::error(problem).to_string();
    let mut response =
        (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response();
    if problem.code == Code::TemporarilyUnavailable {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Bellwether's own errors, in MLflow's terms.
pub(super) fn refused(error: ApiError) -> Problem {
    let code = match error.status.as_u16() {
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        408 | 429 | 503 => Code::TemporarilyUnavailable,
        400..=499 => Code::BadRequest,
        _ => Code::InternalError,
    };
    Problem { code, message: format!("{}: {}", error.error, error.hint) }
}

/// A path that is known with other methods.
fn other_method(mut others: Vec<&'static str>) -> Response {
    if others.contains(&"GET") {
        others.push("HEAD");
    }
    others.push("OPTIONS");
    others.sort_unstable();
    let mut response = page(StatusCode::METHOD_NOT_ALLOWED);
    if let Ok(allowed) = HeaderValue::try_from(others.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// What MLflow's server shows of paths and methods that it does not have.
fn page(status: StatusCode) -> Response {
    let (name, says) = match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            ("405 Method Not Allowed", "The method is not allowed for the requested URL.")
        }
        _ => (
            "404 Not Found",
            "The requested URL was not found on the server. If you entered the URL manually please check your spelling \
             and try again.",
        ),
    };
    let title = name.split_once(' ').map_or(name, |(_, title)| title);
    let text = format!("<!doctype html>\n<html lang=en>\n<title>{name}</title>\n<h1>{title}</h1>\n<p>{says}</p>\n");
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))];
    (status, kind, Body::from(text)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_decoded_once() {
        assert_eq!(decoded("a%20b%2Fc").as_deref(), Some("a b/c"));
        assert_eq!(decoded("a%252e%").as_deref(), Some("a%2e%"));
        assert_eq!(decoded("%ff"), None);
        assert_eq!(decoded("%+1%zz").as_deref(), Some("%+1%zz"));
        let said = pairs("a=1&b=x+y%26z&&a=2&c");
        let wanted = [("a", "1"), ("b", "x y&z"), ("a", "2"), ("c", "")];
        assert_eq!(said, wanted.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!(below("/ajax-api/3.0/mlflow/runs/get"), Some("runs/get"));
        assert_eq!(below("/api/4.0/mlflow/runs/get"), None);
    }
}
