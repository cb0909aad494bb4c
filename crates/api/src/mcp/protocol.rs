//! What the Model Context Protocol says on the wire: headers and bytes in, an answer out.
//!
//! Two eras share one path. Revision 2026-07-28 has no sessions: each request carries its version in `_meta` and in its
//! headers, which must agree with the body. Clients of 2025 open with `initialize`; what they then ask needs no session
//! either, so none is handed out. <https://modelcontextprotocol.io/specification/2026-07-28>

use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

use super::untrusted;

/// The revision without sessions.
pub const MODERN: &str = "2026-07-28";
/// Revisions that begin with `initialize`, the newest first.
pub const LEGACY: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];
/// What a client speaks that names no version, and the only revision with batches.
const UNNAMED: &str = "2025-03-26";
/// Messages of one batch at most.
const BATCH_MOST: usize = 20;
/// For how long a client may keep the list of tools, ms: it changes with the program only.
const FRESH_MS: u32 = 3_600_000;

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const HEADER_MISMATCH: i32 = -32020;
const UNSUPPORTED_VERSION: i32 = -32022;

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const META_SERVER: &str = "io.modelcontextprotocol/serverInfo";

/// What can be called. The tests bring a second implementation.
pub trait Tools: Sync {
    /// The descriptions of all tools, always in the same order.
    fn list(&self) -> Vec<Value>;

    /// Calls a tool. `None`: there is none of that name; an error is for whoever called, to call better.
    fn call(
        &self,
        name: &str,
        arguments: Map<String, Value>,
    ) -> impl Future<Output = Option<Result<Value, String>>> + Send;

    /// What a model should know of the server.
    fn instructions(&self) -> &str;
}

/// An answer of HTTP.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// A message, or a list of them for a batch; nothing for what needs no answer.
    pub body: Option<Value>,
    /// The client takes a stream of events only: the body goes out as one event.
    pub as_event: bool,
}

impl Answer {
    /// An error without a request that it belongs to.
    pub fn refusal(status: StatusCode, message: impl Into<String>) -> Answer {
        Fault::new(status, INVALID_REQUEST, message).answer(None)
    }

    /// Content type and bytes; nothing where there is no body.
    pub fn rendered(&self) -> Option<(&'static str, String)> {
        let body = self.body.as_ref()?;
        Some(match self.as_event {
            true => ("text/event-stream", format!("event: message\ndata: {body}\n\n")),
            false => ("application/json", body.to_string()),
        })
    }
}

/// Answers one POST.
pub async fn answer(headers: &HeaderMap, body: &[u8], tools: &impl Tools) -> Answer {
    let as_event = match accepted(headers) {
        Ok(as_event) => as_event,
        Err(fault) => return fault.answer(None),
    };
    let mut answer = answer_body(headers, body, tools).await;
    answer.as_event = as_event && answer.status == StatusCode::OK;
    answer
}

async fn answer_body(headers: &HeaderMap, body: &[u8], tools: &impl Tools) -> Answer {
    match serde_json::from_slice(body) {
        Err(error) => {
            Fault::new(StatusCode::BAD_REQUEST, PARSE_ERROR, format!("the body is not JSON: {error}")).answer(None)
        }
        Ok(Value::Array(messages)) => match batch(headers, messages, tools).await {
            Ok(answer) => answer,
            Err(fault) => fault.answer(None),
        },
        Ok(message) => one(headers, message, tools).await,
    }
}

async fn one(headers: &HeaderMap, message: Value, tools: &impl Tools) -> Answer {
    let id = message.get("id").filter(|id| is_id(id)).cloned();
    match handle(headers, message, tools).await {
        Ok(Some(result)) => {
            Answer { status: StatusCode::OK, body: Some(answered(id.unwrap_or_default(), result)), as_event: false }
        }
        Ok(None) => Answer { status: StatusCode::ACCEPTED, body: None, as_event: false },
        Err(fault) => fault.answer(id),
    }
}

/// A list of messages, which only the oldest revision knows.
async fn batch(headers: &HeaderMap, messages: Vec<Value>, tools: &impl Tools) -> Result<Answer, Fault> {
    let bad = |message: String| Err(Fault::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, message));
    let version = version_header(headers)?.unwrap_or(UNNAMED);
    if version != UNNAMED {
        return bad(format!("a list of messages is not allowed in {version}: send each in a POST of its own"));
    }
    if messages.is_empty() || messages.len() > BATCH_MOST {
        return bad(format!("a list has 1 to {BATCH_MOST} messages, this one has {}", messages.len()));
    }
    if messages.iter().any(|message| message["method"] == "initialize") {
        return bad("initialize must be sent alone".into());
    }
    let mut answers = Vec::new();
    for message in messages {
        answers.extend(one(headers, message, tools).await.body);
    }
    let (status, body) = match answers.is_empty() {
        true => (StatusCode::ACCEPTED, None),
        false => (StatusCode::OK, Some(answers.into())),
    };
    Ok(Answer { status, body, as_event: false })
}

/// The result of a request; none for what is only noted.
async fn handle(headers: &HeaderMap, message: Value, tools: &impl Tools) -> Result<Option<Value>, Fault> {
    let bad = |message: &str| Fault::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, message);
    let Value::Object(mut message) = message else { return Err(bad("a message is a JSON object")) };
    if message.get("jsonrpc").is_none_or(|version| version != "2.0") {
        return Err(bad("jsonrpc must be \"2.0\""));
    }
    let version = version_header(headers)?;
    let method = match message.remove("method") {
        Some(Value::String(method)) => method,
        Some(_) => return Err(bad("method must be a text")),
        // An answer to a question that was never asked here.
        None if version != Some(MODERN) && (message.contains_key("result") || message.contains_key("error")) => {
            return Ok(None);
        }
        None => return Err(bad("a method is missing")),
    };
    match message.get("id") {
        None => return known(version.unwrap_or(UNNAMED)).map(|()| None),
        Some(id) if is_id(id) => {}
        Some(_) => return Err(bad("id must be a text or a whole number")),
    }
    let params = match message.remove("params") {
        None => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err(invalid("params must be an object")),
    };
    let said = params.get("_meta").and_then(|meta| meta.get(META_VERSION));
    let is_modern = said.is_some_and(|said| LEGACY.iter().all(|legacy| said != legacy)) || version == Some(MODERN);
    if is_modern {
        check_modern(headers, version, &method, &params)
            .map_err(|fault| Fault { status: StatusCode::BAD_REQUEST, ..fault })?;
        return modern(&method, params, tools).await.map(Some);
    }
    known(version.unwrap_or(UNNAMED))?;
    // An older client takes an error only with 200; 404 would tell it that its session has ended.
    legacy(&method, params, tools).await.map(Some).map_err(|fault| Fault { status: StatusCode::OK, ..fault })
}

/// What every request of the revision without sessions must carry.
fn check_modern(
    headers: &HeaderMap,
    version: Option<&str>,
    method: &str,
    params: &Map<String, Value>,
) -> Result<(), Fault> {
    let meta = params.get("_meta").and_then(Value::as_object);
    let said = meta.and_then(|meta| meta.get(META_VERSION)).and_then(Value::as_str);
    let said = said.ok_or_else(|| invalid(format!("params._meta[\"{META_VERSION}\"] is missing")))?;
    if version != Some(said) {
        return Err(mismatch("MCP-Protocol-Version", version, said));
    }
    known_modern(said)?;
    if !meta.and_then(|meta| meta.get(META_CAPABILITIES)).is_some_and(Value::is_object) {
        return Err(invalid(format!("params._meta[\"{META_CAPABILITIES}\"] must be an object")));
    }
    let named = one_header(headers, "mcp-method")?;
    if named != Some(method) {
        return Err(mismatch("Mcp-Method", named, method));
    }
    let Some(name) = params.get("name").and_then(Value::as_str).filter(|_| method == "tools/call") else {
        return Ok(());
    };
    let named = one_header(headers, "mcp-name")?.map(decoded).transpose()?;
    if named.as_deref() != Some(name) {
        return Err(mismatch("Mcp-Name", named.as_deref(), name));
    }
    Ok(())
}

async fn modern(method: &str, params: Map<String, Value>, tools: &impl Tools) -> Result<Value, Fault> {
    let mut result = match method {
        "server/discover" => {
            let mut versions = vec![MODERN];
            versions.extend(LEGACY);
            json!({"supportedVersions": versions, "capabilities": {"tools": {}}, "instructions": tools.instructions()})
        }
        "tools/list" => listed(&params, tools)?,
        "tools/call" => called(params, tools).await?,
        _ => return Err(unknown(method)),
    };
    result["resultType"] = "complete".into();
    result["_meta"] = json!({ META_SERVER: server() });
    if method != "tools/call" {
        result["ttlMs"] = FRESH_MS.into();
        // The same tools for everybody.
        result["cacheScope"] = "public".into();
    }
    Ok(result)
}

async fn legacy(method: &str, params: Map<String, Value>, tools: &impl Tools) -> Result<Value, Fault> {
    match method {
        "initialize" => {
            let asked = params.get("protocolVersion").and_then(Value::as_str);
            let asked = asked.ok_or_else(|| invalid("params.protocolVersion must be a text"))?;
            let version = LEGACY.into_iter().find(|known| *known == asked).unwrap_or(LEGACY[0]);
            Ok(json!({
                "protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server(),
                "instructions": tools.instructions(),
            }))
        }
        "ping" => Ok(json!({})),
        "tools/list" => listed(&params, tools),
        "tools/call" => called(params, tools).await,
        _ => Err(unknown(method)),
    }
}

fn listed(params: &Map<String, Value>, tools: &impl Tools) -> Result<Value, Fault> {
    if params.get("cursor").is_some_and(|cursor| !cursor.is_null()) {
        return Err(invalid("params.cursor: the list has one page, there is no cursor"));
    }
    Ok(json!({ "tools": tools.list() }))
}

/// What the tool says goes out twice: as it is, and as text for clients that know no structured content.
async fn called(mut params: Map<String, Value>, tools: &impl Tools) -> Result<Value, Fault> {
    let Some(Value::String(name)) = params.remove("name") else {
        return Err(invalid("params.name must be a text: the name of a tool"));
    };
    let arguments = match params.remove("arguments") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(arguments)) => arguments,
        Some(_) => return Err(invalid("params.arguments must be an object")),
    };
    let said = tools.call(&name, arguments).await;
    let said = said.ok_or_else(|| invalid(format!("unknown tool: {}", untrusted::line(&name))))?;
    match said.and_then(untrusted::fitted) {
        Ok(value) => {
            let content = json!([{"type": "text", "text": untrusted::fenced(&value)}]);
            Ok(json!({"content": content, "structuredContent": value, "isError": false}))
        }
        Err(error) => {
            // It may quote names that senders chose.
            let error = untrusted::cleaned(json!({ "error": error }));
            Ok(json!({"content": [{"type": "text", "text": untrusted::fenced(&error)}], "isError": true}))
        }
    }
}

fn server() -> Value {
    json!({"name": "bellwether", "title": "Bellwether", "version": env!("CARGO_PKG_VERSION")})
}

/// Whether the client takes events only; an error where it takes nothing that is spoken here.
fn accepted(headers: &HeaderMap) -> Result<bool, Fault> {
    let kind = one_header(headers, "content-type")?.unwrap_or_default();
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        let message = "the body must come as Content-Type: application/json";
        return Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, message));
    }
    let mut listed = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    if listed.peek().is_none() {
        return Ok(false);
    }
    let kinds: Vec<String> = listed
        .flat_map(|value| value.split(','))
        .map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .collect();
    let takes = |names: &[&str]| kinds.iter().any(|kind| names.contains(&kind.as_str()));
    if takes(&["application/json", "application/*", "*/*"]) {
        return Ok(false);
    }
    if takes(&["text/event-stream", "text/*"]) {
        return Ok(true);
    }
    let message = "answers are application/json or text/event-stream: name them in Accept";
    Err(Fault::new(StatusCode::NOT_ACCEPTABLE, INVALID_REQUEST, message))
}

fn version_header(headers: &HeaderMap) -> Result<Option<&str>, Fault> {
    one_header(headers, "mcp-protocol-version")
}

/// The value of a header that may be there once.
fn one_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Fault> {
    let broken = |why| Fault::new(StatusCode::BAD_REQUEST, HEADER_MISMATCH, format!("header {name} {why}"));
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(broken("is there more than once"));
    }
    value.to_str().map(|text| Some(text.trim())).map_err(|_| broken("has characters that are not ASCII"))
}

/// A header's value out of `=?base64?…?=`, where it is written so.
fn decoded(text: &str) -> Result<String, Fault> {
    let Some(inside) = text.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Ok(text.to_owned());
    };
    let bytes = from_base64(inside).and_then(|bytes| String::from_utf8(bytes).ok());
    bytes.ok_or_else(|| Fault::new(StatusCode::BAD_REQUEST, HEADER_MISMATCH, "header mcp-name is not Base64 of a text"))
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len());
    let (mut bits, mut held) = (0_u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    Some(bytes)
}

fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64() || id.is_u64()
}

fn known(version: &str) -> Result<(), Fault> {
    if LEGACY.contains(&version) { Ok(()) } else { known_modern(version) }
}

fn known_modern(version: &str) -> Result<(), Fault> {
    if version == MODERN {
        return Ok(());
    }
    let mut supported = vec![MODERN];
    supported.extend(LEGACY);
    let mut fault = Fault::new(StatusCode::BAD_REQUEST, UNSUPPORTED_VERSION, "unsupported protocol version");
    fault.data = Some(json!({"supported": supported, "requested": untrusted::line(version)}));
    Err(fault)
}

fn unknown(method: &str) -> Fault {
    Fault::new(StatusCode::NOT_FOUND, METHOD_NOT_FOUND, format!("method not found: {}", untrusted::line(method)))
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, INVALID_PARAMS, message)
}

fn mismatch(header: &str, said: Option<&str>, body: &str) -> Fault {
    let body = untrusted::line(body);
    let message = match said {
        Some(said) => format!("header mismatch: {header} is {:?}, the body says {body:?}", untrusted::line(said)),
        None => format!("header mismatch: {header} is missing, the body says {body:?}"),
    };
    Fault::new(StatusCode::BAD_REQUEST, HEADER_MISMATCH, message)
}

fn answered(id: Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// An error of the protocol.
struct Fault {
    status: StatusCode,
    code: i32,
    message: String,
    data: Option<Value>,
}

impl Fault {
    fn new(status: StatusCode, code: i32, message: impl Into<String>) -> Fault {
        Fault { status, code, message: message.into(), data: None }
    }

    fn answer(self, id: Option<Value>) -> Answer {
        let mut body = json!({"jsonrpc": "2.0", "error": {"code": self.code, "message": self.message}});
        if let Some(data) = self.data {
            body["error"]["data"] = data;
        }
        if let Some(id) = id {
            body["id"] = id;
        }
        Answer { status: self.status, body: Some(body), as_event: false }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    struct Fake;

    impl Tools for Fake {
        fn list(&self) -> Vec<Value> {
            vec![json!({"name": "echo"})]
        }

        async fn call(&self, name: &str, arguments: Map<String, Value>) -> Option<Result<Value, String>> {
            match name {
                "echo" if arguments.contains_key("text") => Some(Ok(Value::Object(arguments))),
                "echo" => Some(Err("text is missing: what to say".into())),
                "日本" => Some(Ok(json!({}))),
                _ => None,
            }
        }

        fn instructions(&self) -> &str {
            "ask"
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let json = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
        let own = json.iter().filter(|(name, _)| pairs.iter().all(|(own, _)| own != name));
        own.chain(pairs).map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    fn modern_body(method: &str, mut params: Value) -> Value {
        params["_meta"] = json!({META_VERSION: MODERN, META_CAPABILITIES: {}});
        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    }

    async fn post(pairs: &[(&'static str, &str)], body: &Value) -> (u16, Value) {
        let answer = answer(&headers(pairs), body.to_string().as_bytes(), &Fake).await;
        (answer.status.as_u16(), answer.body.unwrap_or_default())
    }

    async fn call(method: &str, params: Value) -> (u16, Value) {
        let name = params["name"].as_str().unwrap_or("none").to_owned();
        let pairs = [("mcp-protocol-version", MODERN), ("mcp-method", method), ("mcp-name", &name)];
        let count = if method == "tools/call" { 3 } else { 2 };
        post(&pairs[..count], &modern_body(method, params)).await
    }

    fn code(answer: &(u16, Value)) -> (u16, i64) {
        (answer.0, answer.1["error"]["code"].as_i64().unwrap_or_default())
    }

    #[tokio::test]
    async fn the_revision_without_sessions_is_served() {
        let (status, body) = call("server/discover", json!({})).await;
        assert_eq!(status, 200);
        let result = &body["result"];
        assert_eq!(result["supportedVersions"][0], MODERN);
        assert_eq!((&result["resultType"], &result["cacheScope"]), (&json!("complete"), &json!("public")));
        assert!(result["ttlMs"].is_u64() && result["capabilities"]["tools"].is_object());
        assert_eq!(result["_meta"][META_SERVER]["name"], "bellwether");

        let (_, body) = call("tools/list", json!({})).await;
        assert_eq!(body["result"]["tools"], json!([{"name": "echo"}]));
        assert!(body["result"]["ttlMs"].is_u64());

        let (status, body) = call("tools/call", json!({"name": "echo", "arguments": {"text": "<hi>"}})).await;
        let result = &body["result"];
        assert_eq!((status, &body["id"], &result["isError"]), (200, &json!(1), &json!(false)));
        assert_eq!(result["structuredContent"], json!({"text": "<hi>"}));
        assert!(result["content"][0]["text"].as_str().unwrap().contains("{\"text\":\"\\u003chi\\u003e\"}"));
        assert!(result.get("ttlMs").is_none() && result["resultType"] == "complete");

        let (status, body) = call("tools/call", json!({"name": "echo"})).await;
        assert_eq!((status, &body["result"]["isError"]), (200, &json!(true)));
        assert!(body["result"]["content"][0]["text"].as_str().unwrap().contains("text is missing"));
        assert!(body["result"].get("structuredContent").is_none());

        assert_eq!(code(&call("tools/call", json!({"name": "delete"})).await), (400, -32602));
        assert_eq!(code(&call("tools/call", json!({"name": "echo", "arguments": []})).await), (400, -32602));
        assert_eq!(code(&call("ping", json!({})).await), (404, -32601), "the revision has no ping");
        assert_eq!(code(&call("subscriptions/listen", json!({})).await), (404, -32601));
        assert_eq!(code(&call("tools/list", json!({"cursor": "x"})).await), (400, -32602));
    }

    #[tokio::test]
    async fn headers_and_body_must_agree() {
        let body = modern_body("tools/call", json!({"name": "echo", "arguments": {"text": "x"}}));
        let version = ("mcp-protocol-version", MODERN);
        let (method, name) = (("mcp-method", "tools/call"), ("mcp-name", "echo"));
        assert_eq!(post(&[version, method, name], &body).await.0, 200);
        for wrong in [
            vec![method, name],
            vec![version, name],
            vec![version, method],
            vec![version, method, ("mcp-name", "other")],
            vec![version, method, ("mcp-name", "=?base64?!?=")],
            vec![version, ("mcp-method", "Tools/Call"), name],
            vec![version, ("mcp-method", "tools/list"), name],
            vec![("mcp-protocol-version", "2025-11-25"), method, name],
        ] {
            let answer = post(&wrong, &body).await;
            assert_eq!(code(&answer), (400, -32020), "{wrong:?}");
            assert_eq!(answer.1["id"], 1);
        }
        let mut twice = headers(&[version, method, name]);
        twice.append("mcp-name", "other".parse().unwrap());
        let refused = answer(&twice, body.to_string().as_bytes(), &Fake).await;
        assert_eq!(code(&(400, refused.body.unwrap())), (400, -32020));

        let coded = modern_body("tools/call", json!({"name": "日本"}));
        assert_eq!(post(&[version, method, ("mcp-name", "=?base64?5pel5pys?=")], &coded).await.0, 200);
    }

    #[tokio::test]
    async fn versions_that_are_not_spoken_are_refused_with_those_that_are() {
        let mut body = modern_body("tools/list", json!({}));
        body["params"]["_meta"][META_VERSION] = "2027-01-01".into();
        let pairs = [("mcp-protocol-version", "2027-01-01"), ("mcp-method", "tools/list")];
        let answer = post(&pairs, &body).await;
        assert_eq!(code(&answer), (400, -32022));
        let data = &answer.1["error"]["data"];
        assert_eq!(data, &json!({"supported": [MODERN, LEGACY[0], LEGACY[1], LEGACY[2]], "requested": "2027-01-01"}));

        let plain = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        assert_eq!(code(&post(&[("mcp-protocol-version", "2024-11-05")], &plain).await), (400, -32022));
        assert_eq!(code(&post(&[("mcp-protocol-version", MODERN)], &plain).await), (400, -32602), "_meta is missing");
        let mut bare = modern_body("tools/list", json!({}));
        bare["params"]["_meta"].as_object_mut().unwrap().remove(META_CAPABILITIES);
        let pairs = [("mcp-protocol-version", MODERN), ("mcp-method", "tools/list")];
        assert_eq!(code(&post(&pairs, &bare).await), (400, -32602));
    }

    #[tokio::test]
    async fn clients_of_2025_are_served_without_a_session() {
        let ask =
            |method: &str, params: Value| json!({"jsonrpc": "2.0", "id": "a", "method": method, "params": params});
        for (asked, given) in [
            ("2025-11-25", "2025-11-25"),
            ("2025-06-18", "2025-06-18"),
            ("2025-03-26", "2025-03-26"),
            ("2099-01-01", "2025-11-25"),
        ] {
            let params =
                json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
            let (status, body) = post(&[], &ask("initialize", params)).await;
            assert_eq!((status, &body["result"]["protocolVersion"]), (200, &json!(given)));
            assert_eq!(body["result"]["serverInfo"]["name"], "bellwether");
        }
        assert_eq!(code(&post(&[], &ask("initialize", json!({}))).await), (200, -32602));
        let version = [("mcp-protocol-version", "2025-06-18"), ("mcp-session-id", "of-another-server")];
        assert_eq!(post(&version, &ask("ping", json!({}))).await.1["result"], json!({}));
        let (_, listed) = post(&version, &ask("tools/list", json!({}))).await;
        assert!(listed["result"]["tools"].is_array() && listed["result"].get("resultType").is_none());
        let (_, called) = post(&version, &ask("tools/call", json!({"name": "echo", "arguments": {"text": "x"}}))).await;
        assert_eq!((&called["id"], &called["result"]["structuredContent"]["text"]), (&json!("a"), &json!("x")));
        // 404 would mean that a session ended.
        assert_eq!(code(&post(&version, &ask("resources/list", json!({}))).await), (200, -32601));
        assert_eq!(code(&post(&version, &ask("tools/call", json!({"name": "x"}))).await), (200, -32602));
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(post(&version, &initialized).await, (202, Value::Null));
        assert_eq!(post(&version, &json!({"jsonrpc": "2.0", "id": 4, "result": {}})).await, (202, Value::Null));
    }

    #[tokio::test]
    async fn what_is_not_a_message_is_refused() {
        let raw = |bytes: &'static [u8]| async { answer(&headers(&[]), bytes, &Fake).await };
        for broken in [&b""[..], b"{", b"{\"jsonrpc\":\"2.0\",}", b"\xff"] {
            let answer = raw(broken).await;
            let body = answer.body.unwrap();
            assert_eq!((answer.status.as_u16(), body["error"]["code"].as_i64()), (400, Some(-32700)));
            assert!(body.get("id").is_none());
        }
        let deep: &'static [u8] = Box::leak("[".repeat(100_000).into_boxed_str()).as_bytes();
        assert_eq!(raw(deep).await.status, StatusCode::BAD_REQUEST);
        for wrong in [
            json!(1),
            json!({"id": 1, "method": "ping"}),
            json!({"jsonrpc": "1.0", "id": 1, "method": "ping"}),
            json!({"jsonrpc": "2.0", "id": null, "method": "ping"}),
            json!({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}),
            json!({"jsonrpc": "2.0", "id": {}, "method": "ping"}),
            json!({"jsonrpc": "2.0", "id": 1, "method": 7}),
            json!({"jsonrpc": "2.0", "id": 1}),
        ] {
            assert_eq!(code(&post(&[], &wrong).await), (400, -32600), "{wrong}");
        }
        let listed = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": []});
        assert_eq!(code(&post(&[], &listed).await), (400, -32602));
        assert_eq!(post(&[("content-type", "text/plain")], &listed).await.0, 415);
        assert_eq!(post(&[("accept", "text/html")], &listed).await.0, 406);
    }

    #[tokio::test]
    async fn lists_of_messages_belong_to_the_oldest_revision() {
        let ping = |id: Value| json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let (status, body) = post(&[], &json!([ping(json!(1)), note, ping(json!("b")), 7])).await;
        assert_eq!((status, body.as_array().unwrap().len()), (200, 3));
        assert_eq!(
            (&body[0]["id"], &body[1]["id"], &body[2]["error"]["code"]),
            (&json!(1), &json!("b"), &json!(-32600))
        );
        assert_eq!(post(&[], &json!([note, note])).await, (202, Value::Null));
        assert_eq!(code(&post(&[], &json!([])).await), (400, -32600));
        assert_eq!(code(&post(&[], &vec![ping(json!(1)); 21].into()).await), (400, -32600));
        let opening = json!([{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}]);
        assert_eq!(code(&post(&[], &opening).await), (400, -32600));
        for version in ["2025-06-18", "2025-11-25", MODERN] {
            let answer = post(&[("mcp-protocol-version", version)], &json!([ping(json!(1))])).await;
            assert_eq!(code(&answer), (400, -32600), "{version}");
        }
    }

    #[tokio::test]
    async fn a_client_that_takes_events_only_gets_one() {
        let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
        let event = answer(&headers(&[("accept", "text/event-stream")]), ping.as_bytes(), &Fake).await;
        let (kind, text) = event.rendered().unwrap();
        assert_eq!(kind, "text/event-stream");
        let data = text.strip_prefix("event: message\ndata: ").unwrap().strip_suffix("\n\n").unwrap();
        assert_eq!(serde_json::from_str::<Value>(data).unwrap()["result"], json!({}));
        let json = answer(&headers(&[("accept", "*/*")]), ping.as_bytes(), &Fake).await;
        assert_eq!(json.rendered().unwrap().0, "application/json");
    }
}
