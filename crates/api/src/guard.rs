//! What every request passes: path, Host, Origin, permission; and the headers that every answer gets.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::Response,
};
use types::Tenant;

use crate::{
    auth::{self, Permission, Scope},
    errors::ApiError,
    intake,
    state::App,
};

/// Who asks, as the token says; without one (loopback, no auth) everything is allowed.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose data is written.
    pub tenant: Tenant,
    /// For the journal.
    pub name: String,
}

/// For one route: may this caller do this?
pub async fn permit(
    State((app, permission)): State<(Arc<App>, Permission)>,
    mut request: Request,
    next: Next,
) -> Response {
    match caller(&app, permission, request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => refused(&request, error),
    }
}

fn refused(request: &Request, error: ApiError) -> Response {
    intake::refusal(request.method(), request.uri().path(), request.headers(), error)
}

/// Who asks, if it may do what `permission` says.
pub fn caller(app: &App, permission: Permission, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let anybody = Caller { tenant: Tenant::default(), name: "local".into() };
    if permission == Permission::Public || (!app.config.require_auth && !beyond_loopback(app)) || open(app) {
        return Ok(anybody);
    }
    let said = headers.get(header::AUTHORIZATION).and_then(|h| h.to_str().ok()).and_then(token_of);
    let tokens = app.tokens.read();
    let token = said.and_then(|s| auth::find(&tokens, s.trim())).ok_or_else(ApiError::no_token)?;
    if !Scope::parse(&token.scopes).is_some_and(|s| s.allows(permission)) {
        return Err(ApiError::not_allowed(permission.name()));
    }
    let tenant = token.tenant.as_deref().map_or_else(Tenant::default, Tenant::new);
    Ok(Caller { tenant, name: format!("token:{}", token.id) })
}

/// The token in an Authorization header: a bearer's, or the password of somebody whose client knows names and passwords
/// only (whatever the name).
fn token_of(header: &str) -> Option<String> {
    if let Some(token) = header.strip_prefix("Bearer ") {
        return Some(token.to_owned());
    }
    let pair = String::from_utf8(models::mlflow::from_base64(header.strip_prefix("Basic ")?.trim())?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

fn beyond_loopback(app: &App) -> bool {
    let config = &app.config;
    [config.listen, config.otlp_grpc, config.otlp_http].iter().any(|a| !a.ip().is_loopback())
}

/// `--insecure` without `--require-auth`: said on purpose.
fn open(app: &App) -> bool {
    app.config.insecure && !app.config.require_auth
}

/// For every request: no path tricks, a Host that is ours, no state change from a foreign page.
pub async fn same_site(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if let Err(error) = check_site(&app, &request) {
        return with_headers(refused(&request, error));
    }
    with_headers(next.run(request).await)
}

fn check_site(app: &App, request: &Request) -> Result<(), ApiError> {
    let path = request.uri().path();
    let lower = path.to_ascii_lowercase();
    let trick =
        ["//", "/./", "/../", "%2f", "%5c", "%00", "\\"].iter().any(|t| lower.contains(t)) || lower.ends_with("/..");
    if trick {
        return Err(ApiError::bad_request("the path has parts that could be read in two ways"));
    }
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok()).or_else(|| request.uri().host());
    if let Some(host) = host.filter(|h| !is_ours(app, h)) {
        return Err(ApiError::foreign(format!("host {host:?} is not served here")));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name: HeaderName| request.headers().get(name).and_then(|h| h.to_str().ok());
    let foreign_site =
        text(HeaderName::from_static("sec-fetch-site")).is_some_and(|s| s == "cross-site" || s == "same-site");
    // One that is no text is none of ours either.
    let foreign_origin = request.headers().get(header::ORIGIN).is_some_and(|origin| {
        let host = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        !host.is_some_and(|(_, host)| is_ours(app, host))
    });
    if foreign_site || foreign_origin {
        return Err(ApiError::foreign("a page of another site may not change anything here"));
    }
    Ok(())
}

/// Whether `host[:port]` names this server.
fn is_ours(app: &App, host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let loopback =
        name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    // Beyond loopback a literal address is ours: a rebinding attack needs a name.
    let address = beyond_loopback(app) && name.parse::<std::net::IpAddr>().is_ok();
    loopback || address || app.config.hosts.iter().any(|h| h.eq_ignore_ascii_case(name))
}

const CSP: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                   frame-ancestors 'none'; object-src 'none'; base-uri 'none'; form-action 'self'";

fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", CSP),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        // A page that needs other rules says them itself.
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    response
}
