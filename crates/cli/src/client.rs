//! Asking a running server.

use serde_json::Value;

use crate::{
    args::Remote,
    failure::{Failure, Kind, Outcome},
};

/// A server and the token to use.
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Client {
    /// From flags and environment.
    pub fn new(remote: &Remote) -> Outcome<Client> {
        let token = match &remote.token_file {
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|e| {
                    Failure::new(Kind::Usage, format!("cannot read the token file {}", file.display()))
                        .cause(e.to_string())
                })?;
                Some(text.trim().to_owned())
            }
            None => std::env::var("BELLWETHER_TOKEN").ok().filter(|t| !t.is_empty()),
        };
        if !remote.url.starts_with("http://") {
            return Err(Failure::new(Kind::Usage, format!("not an http:// address: {}", remote.url))
                .hint("put the address of the server itself, e.g. http://127.0.0.1:7171"));
        }
        Ok(Client { http: reqwest::Client::new(), url: remote.url.trim_end_matches('/').to_owned(), token })
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// GET, as JSON.
    pub async fn get(&self, path: &str) -> Outcome<Value> {
        self.send(self.http.get(format!("{}{path}", self.url))).await
    }

    /// GET, as text.
    pub async fn get_text(&self, path: &str) -> Outcome<String> {
        self.ask(self.http.get(format!("{}{path}", self.url))).await
    }

    /// GET with parameters, as JSON.
    pub async fn get_with(&self, path: &str, parameters: &[(&str, String)]) -> Outcome<Value> {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.url), parameters)
            .map_err(|error| Failure::new(Kind::Usage, format!("not an address: {}: {error}", self.url)))?;
        self.send(self.http.get(url)).await
    }

    /// POST a JSON body; the answer as JSON (null where there is none).
    pub async fn post(&self, path: &str, body: &Value) -> Outcome<Value> {
        self.send(self.http.post(format!("{}{path}", self.url)).json(body)).await
    }

    /// POST a text of a content type; the answer as JSON.
    pub async fn post_text(&self, path: &str, kind: &str, text: String) -> Outcome<Value> {
        self.send(self.http.post(format!("{}{path}", self.url)).header("content-type", kind).body(text)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Outcome<Value> {
        self.ask(request).await.map(|text| serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn ask(&self, mut request: reqwest::RequestBuilder) -> Outcome<String> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.map_err(|error| {
            Failure::new(Kind::Unavailable, format!("no answer from {}", self.url))
                .cause(root_cause(&error))
                .hint("start the server with `bellwether serve` or `bellwether demo`, or name another with --url")
        })?;
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        if status.is_success() {
            return Ok(text);
        }
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let said = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
        let kind = match status.as_u16() {
            400 | 413 | 415 => Kind::Usage,
            401 | 403 => Kind::Refused,
            404 => Kind::NotFound,
            429 | 502..=504 => Kind::Unavailable,
            _ => Kind::Failed,
        };
        let error =
            said("error").or_else(|| said("message")).unwrap_or_else(|| format!("the server answered {status}"));
        let mut failure = Failure::new(kind, error);
        if let Some(hint) = said("hint") {
            failure = failure.hint(hint);
        } else if kind == Kind::Refused && body.get("error_code").is_none() {
            failure = failure.hint("set BELLWETHER_TOKEN or --token-file; `bellwether tokens create` makes one");
        }
        Err(failure)
    }
}

/// A text as one part of a path.
pub fn segment(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if is_plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
