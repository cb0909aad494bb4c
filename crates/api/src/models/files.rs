//! MLflow's artifacts: files of runs and models, up and down in pieces.

use std::{io, ops::Range, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use http_body_util::BodyExt;
use models::{
    Code, Problem,
    artifacts::{ArtifactPath, Change, Child, Entry, Error, Stored, Upload},
    mlflow::Said,
};
use serde_json::{Value, json};
use store::{DocumentChanges, DocumentRow};
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt},
    sync::mpsc,
};

use super::{
    FILE,
    http::{decoded, error, json as good, pairs, refused},
    now_ms,
};
use crate::{auth::Permission, guard, intake, routes::Routes, state::App};

/// How a place of ours begins.
const SCHEME: &str = "mlflow-artifacts:/";
/// Pieces that wait between the network and the disk.
const PIECES: usize = 8;
/// Bytes of a piece on the way down.
const PIECE: usize = 256 << 10;

pub fn add(routes: &mut Routes) {
    for prefix in [
        [
            "/api/2.0/mlflow-artifacts/artifacts",
            "/api/2.0/mlflow-artifacts/artifacts/{*path}",
            "/api/2.0/mlflow-artifacts/mpu/{*path}",
        ],
        [
            "/ajax-api/2.0/mlflow-artifacts/artifacts",
            "/ajax-api/2.0/mlflow-artifacts/artifacts/{*path}",
            "/ajax-api/2.0/mlflow-artifacts/mpu/{*path}",
        ],
    ] {
        let [list, one, parts] = prefix;
        routes.add(Method::GET, list, Permission::Read, "Files of runs and models below a path", folder);
        routes.add(
            Method::GET,
            one,
            Permission::Read,
            "A file of a run or a model, as MLflow's clients fetch it",
            file,
        );
        let what = "A file of a run or a model, as MLflow's clients send and remove it";
        routes.add_all(&[Method::PUT, Method::DELETE], one, Permission::Write, what, file);
        let what = "A file that comes in parts, as MLflow's clients send it; needs write";
        routes.add_all(&[Method::POST, Method::PUT], parts, Permission::Write, what, multipart);
    }
}

type Shared = State<Arc<App>>;

async fn folder(State(app): Shared, request: Request) -> Response {
    let said = Said::of_query(pairs(request.uri().query().unwrap_or_default()));
    answered(list(&app, said.path_said()).map(|list| good(&list)))
}

async fn file(State(app): Shared, request: Request) -> Response {
    answered(match *request.method() {
        Method::PUT => put(&app, request).await,
        Method::DELETE => delete(&app, request).await,
        _ => get(&app, request).await,
    })
}

fn answered(outcome: Result<Response, Problem>) -> Response {
    outcome.unwrap_or_else(|problem| error(&problem))
}

/// What the path of a request names, below `artifacts/` or the like.
fn path_of(request: &Request, marker: &str) -> Result<String, Problem> {
    let rest = request.uri().path().split_once(marker).map_or("", |(_, rest)| rest);
    decoded(rest).ok_or_else(|| Problem::invalid("Invalid path"))
}

/// What lies directly below a path.
fn list(app: &App, path: &str) -> Result<Value, Problem> {
    let folder = ArtifactPath::parse_folder(path)?;
    Ok(listed(app.models.tree.read().list(folder.as_ref()), |name| name.to_owned()))
}

fn listed(children: Vec<Child>, path: impl Fn(&str) -> String) -> Value {
    let shape = |child: Child| {
        let mut shape = json!({"path": path(&child.name), "is_dir": child.file.is_none()});
        if let Some(bytes) = child.file.map(|entry| entry.blob.bytes).filter(|bytes| *bytes > 0) {
            shape["file_size"] = bytes.into();
        }
        shape
    };
    let files: Vec<Value> = children.into_iter().map(shape).collect();
    if files.is_empty() { json!({}) } else { json!({"files": files}) }
}

/// Files of a run, with paths from its root on.
pub(super) fn of_run(app: &App, said: &Said) -> Result<Value, Problem> {
    let (run, path) = said.run_and_path()?;
    let below = ArtifactPath::parse_folder(path)?;
    let root = app.models.read(|book| book.run(run).map(|(run, _)| run.artifact_uri.clone()))?;
    list_below(app, &root, below.as_ref())
}

/// Files of a logged model, with paths from its root on.
pub(super) fn of_model(app: &App, said: &Said) -> Result<Value, Problem> {
    let (model, path) = said.model_and_directory();
    let below = ArtifactPath::parse_folder(path)?;
    let root = app.models.read(|book| book.logged_model(model, false).map(|model| model.artifact_uri.clone()))?;
    list_below(app, &root, below.as_ref())
}

fn list_below(app: &App, root: &str, below: Option<&ArtifactPath>) -> Result<Value, Problem> {
    let Some(place) = root.strip_prefix(SCHEME) else {
        return Err(Problem {
            code: Code::NotImplemented,
            message: format!("The artifacts are at {root}, which Bellwether does not read."),
        });
    };
    let whole = match below {
        Some(below) => ArtifactPath::parse(place.trim_matches('/'))?.join(below.as_str())?,
        None => ArtifactPath::parse(place.trim_matches('/'))?,
    };
    let children = app.models.tree.read().list(Some(&whole));
    let path = |name: &str| below.map_or_else(|| name.to_owned(), |below| format!("{below}/{name}"));
    let mut answer = listed(children, path);
    answer["root_uri"] = root.into();
    Ok(answer)
}

async fn get(app: &Arc<App>, request: Request) -> Result<Response, Problem> {
    let text = path_of(&request, "/mlflow-artifacts/artifacts/")?;
    let path = ArtifactPath::parse(&text)?;
    let (entry, is_folder) = {
        let tree = app.models.tree.read();
        (tree.get(&path).copied(), tree.is_folder(&path))
    };
    if is_folder {
        let detail = format!("Artifact path refers to a directory, not a file: '{path}'");
        return Ok((StatusCode::BAD_REQUEST, axum::Json(json!({"detail": detail}))).into_response());
    }
    let entry = entry.ok_or_else(|| Problem::missing(format!("No such artifact: '{path}'")))?;
    let files = app.models.files.clone();
    let open = tokio::task::spawn_blocking(move || files.reader(&entry.blob));
    let file = open.await.map_err(broken)?.map_err(|error| disk(&error))?;
    let length = entry.blob.bytes;
    let range = range_of(request.headers(), length);
    if let Some(None) = range {
        let says = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
        return Ok((StatusCode::RANGE_NOT_SATISFIABLE, says).into_response());
    }
    let part = range.flatten().unwrap_or(0..length);
    let mut response = Response::new(if *request.method() == Method::HEAD {
        Body::empty()
    } else {
        pieces(tokio::fs::File::from_std(file), part.clone())
    });
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind_of(path.file_name())));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
    for (name, value) in [
        (header::CONTENT_DISPOSITION, disposition(path.file_name())),
        (header::ETAG, format!("\"{}\"", entry.blob.digest)),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    if part != (0..length) {
        let says = format!("bytes {}-{}/{length}", part.start, part.end - 1);
        if let Ok(says) = HeaderValue::try_from(says) {
            headers.insert(header::CONTENT_RANGE, says);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// The part of a file that a request asks for: nothing said, one that cannot be, or one.
fn range_of(headers: &HeaderMap, length: u64) -> Option<Option<Range<u64>>> {
    let said = headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?;
    // Several parts at once are answered with the whole.
    let (from, to) = said.split_once('-').filter(|_| !said.contains(','))?;
    let range = match (from.trim(), to.trim()) {
        ("", last) => length.saturating_sub(last.parse().ok()?)..length,
        (from, "") => from.parse().ok()?..length,
        (from, to) => from.parse().ok()?..to.parse::<u64>().ok()?.saturating_add(1).min(length),
    };
    Some((range.start < range.end).then_some(range))
}

/// A file's bytes, a piece at a time, no faster than they are taken.
fn pieces(mut file: tokio::fs::File, part: Range<u64>) -> Body {
    let (sender, receiver) = mpsc::channel::<io::Result<bytes::Bytes>>(2);
    tokio::spawn(async move {
        if let Err(error) = file.seek(io::SeekFrom::Start(part.start)).await {
            let _ = sender.send(Err(error)).await;
            return;
        }
        let mut left = part.end - part.start;
        while left > 0 {
            let mut piece = vec![0; PIECE.min(left as usize)];
            let read = file.read_exact(&mut piece).await;
            left -= piece.len() as u64;
            let is_broken = read.is_err();
            if sender.send(read.map(|_| piece.into())).await.is_err() || is_broken {
                return;
            }
        }
    });
    let next = |mut receiver: mpsc::Receiver<_>| async move { receiver.recv().await.map(|piece| (piece, receiver)) };
    // Whoever compresses asks once more after the end.
    Body::from_stream(futures::stream::unfold(receiver, next).fuse())
}

/// Files are handed out to be kept, and none as something that a browser would run.
fn kind_of(name: &str) -> &'static str {
    let end = name.rsplit_once('.').map_or("", |(_, end)| end).to_ascii_lowercase();
    match end.as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "txt" | "log" | "err" | "cfg" | "conf" | "cnf" | "cson" | "json" | "js" | "py" | "yaml" | "yml" | "csv"
        | "tsv" | "md" | "xml" | "toml" | "ini" | "sh" | "html" | "htm" | "svg" => "text/plain",
        _ if matches!(name, "MLmodel" | "MLproject") => "text/plain",
        _ => "application/octet-stream",
    }
}

/// To be kept under its name; what is not plain ASCII as RFC 5987 has it.
fn disposition(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if name.chars().all(is_plain) {
        return format!("attachment; filename={name}");
    }
    let coded = |b: u8| if is_plain(char::from(b)) { char::from(b).to_string() } else { format!("%{b:02X}") };
    format!("attachment; filename*=UTF-8''{}", name.bytes().map(coded).collect::<String>())
}

async fn put(app: &Arc<App>, request: Request) -> Result<Response, Problem> {
    guard::caller(app, Permission::Write, request.headers()).map_err(refused)?;
    let text = path_of(&request, "/mlflow-artifacts/artifacts/")?;
    if text.ends_with('/') {
        let detail = "Artifact path must include a filename (cannot end with '/').";
        return Ok((StatusCode::BAD_REQUEST, axum::Json(json!({"detail": detail}))).into_response());
    }
    let path = ArtifactPath::parse(&text)?;
    app.models.tree.read().allows(&path)?;
    let upload = app.models.files.upload().map_err(|error| disk(&error))?;
    let stored = take_in(request.into_body(), Taking::Whole(upload)).await?;
    let Taken::Whole(stored) = stored else { return Err(Problem::invalid("Invalid path")) };
    keep_file(app, path, stored).await?;
    Ok(StatusCode::OK.into_response())
}

/// Lets a path mean what was stored.
async fn keep_file(app: &Arc<App>, path: ArtifactPath, stored: Stored) -> Result<(), Problem> {
    app.models.tree.read().allows(&path)?;
    let entry = Entry { blob: stored.blob, modified_ms: now_ms() };
    change_files(app, vec![(path, Some(entry))]).await
}

/// Makes changes of the tree durable, then sees them; removes what nothing means any more.
async fn change_files(app: &Arc<App>, changes: Vec<Change>) -> Result<(), Problem> {
    let row = |(path, entry): &Change| DocumentRow {
        kind: FILE.to_owned(),
        id: path.to_string(),
        body: entry.as_ref().map(|entry| serde_json::to_string(entry).unwrap_or_default()),
    };
    let documents = changes.iter().map(row).collect();
    let kept = app.models.documents.write(DocumentChanges { documents, ..DocumentChanges::default() });
    kept.durable().await.map_err(super::in_words)?;
    let models = app.clone();
    let swept = tokio::task::spawn_blocking(move || {
        let mut tree = models.models.tree.write();
        for change in changes {
            let Some(old) = tree.apply(change) else { continue };
            if tree.references(&old.blob.digest) == 0
                && let Err(error) = models.models.files.remove(&old.blob.digest)
            {
                tracing::warn!("a file that nothing means any more could not be removed: {error}");
            }
        }
    });
    swept.await.map_err(broken)
}

async fn delete(app: &Arc<App>, request: Request) -> Result<Response, Problem> {
    guard::caller(app, Permission::Write, request.headers()).map_err(refused)?;
    let text = path_of(&request, "/mlflow-artifacts/artifacts/")?;
    let path = ArtifactPath::parse(text.trim_end_matches('/'))?;
    let gone: Vec<Change> = app.models.tree.read().under(&path).map(|(path, _)| (path.clone(), None)).collect();
    if !gone.is_empty() {
        change_files(app, gone).await?;
    }
    Ok(good(&json!({})))
}

/// Where a body goes.
enum Taking {
    Whole(Upload),
    Part(models::artifacts::PartUpload),
}

/// What became of it.
enum Taken {
    Whole(Stored),
    Part(models::artifacts::Digest),
}

/// Writes a body down as it comes; the network waits for the disk.
async fn take_in(mut body: Body, into: Taking) -> Result<Taken, Problem> {
    let (pieces, mut waiting) = mpsc::channel::<Option<bytes::Bytes>>(PIECES);
    let writing = tokio::task::spawn_blocking(move || {
        let mut into = into;
        let mut is_whole = false;
        while let Some(piece) = waiting.blocking_recv() {
            let Some(piece) = piece else {
                is_whole = true;
                break;
            };
            match &mut into {
                Taking::Whole(upload) => upload.write(&piece),
                Taking::Part(upload) => upload.write(&piece),
            }
            .map_err(|error| disk(&error))?;
        }
        if !is_whole {
            return Err(Problem { code: Code::BadRequest, message: "The body broke off.".into() });
        }
        match into {
            Taking::Whole(upload) => upload.finish().map(Taken::Whole).map_err(|error| disk(&error)),
            Taking::Part(upload) => upload.finish().map(Taken::Part).map_err(wrong),
        }
    });
    loop {
        match tokio::time::timeout(intake::BODY_GRACE, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                if pieces.send(Some(data)).await.is_err() {
                    break;
                }
            }
            Ok(None) => {
                let _ = pieces.send(None).await;
                break;
            }
            Ok(Some(Err(_))) | Err(_) => break,
        }
    }
    drop(pieces);
    writing.await.map_err(broken)?
}

/// `mpu/create/…`, `mpu/complete/…`, `mpu/abort/…`, and the parts themselves.
async fn multipart(State(app): Shared, request: Request) -> Response {
    answered(parts(&app, request).await)
}

async fn parts(app: &Arc<App>, request: Request) -> Result<Response, Problem> {
    let text = path_of(&request, "/mlflow-artifacts/mpu/")?;
    let (what, path) = text.split_once('/').unwrap_or((&text, ""));
    let what = what.to_owned();
    let path = ArtifactPath::parse(path)?;
    if what == "part" && *request.method() == Method::PUT {
        let query = pairs(request.uri().query().unwrap_or_default());
        let said = |name: &str| query.iter().find(|(of, _)| of == name).map(|(_, value)| value.clone());
        let id = said("upload_id").unwrap_or_default();
        let number = said("part_number").and_then(|number| number.parse().ok()).unwrap_or(0);
        let part = app.models.parts.part(&path, &id, number).map_err(wrong)?;
        let Taken::Part(digest) = take_in(request.into_body(), Taking::Part(part)).await? else {
            return Err(Problem::invalid("Invalid path"));
        };
        return Ok(([(header::ETAG, format!("\"{digest}\""))], StatusCode::OK).into_response());
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let (body, _held) = intake::read_body(app, request).await.map_err(refused)?;
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    // The path of the request is that of the folder; the client's own path of the file ends with its name.
    let name = said["path"].as_str().and_then(|path| path.rsplit(['/', '\\']).next()).unwrap_or_default();
    let path = path.join(name)?;
    let id = said["upload_id"].as_str().unwrap_or_default();
    match what.as_str() {
        "create" => {
            let count = said["num_parts"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
            app.models.tree.read().allows(&path)?;
            let id = app.models.parts.begin(path.clone(), count, now_ms()).map_err(wrong)?;
            let credential = |number: u32| {
                let coded: String = path.as_str().bytes().map(percent).collect();
                let url = format!(
                    "http://{host}/api/2.0/mlflow-artifacts/mpu/part/{coded}?upload_id={id}&part_number={number}"
                );
                json!({"url": url, "part_number": number, "headers": {}})
            };
            let credentials: Vec<Value> = (1..=count).map(credential).collect();
            Ok(good(&json!({"upload_id": id, "credentials": credentials})))
        }
        "complete" => {
            let part = |part: &Value| {
                let number = part["part_number"].as_u64().and_then(|number| u32::try_from(number).ok())?;
                Some((number, part["etag"].as_str()?.trim_matches('"').to_owned()))
            };
            let listed: Option<Vec<(u32, String)>> = said["parts"].as_array().into_iter().flatten().map(part).collect();
            let listed = listed.ok_or_else(|| Problem::invalid("Each part needs a part_number and an etag."))?;
            let (parts, id, of) = (app.models.parts.clone(), id.to_owned(), path.clone());
            let done = tokio::task::spawn_blocking(move || parts.complete(&of, &id, &listed));
            let stored = done.await.map_err(broken)?.map_err(wrong)?;
            keep_file(app, path, stored).await?;
            Ok(good(&json!({})))
        }
        "abort" => {
            app.models.parts.abort(&path, id)?;
            Ok(good(&json!({})))
        }
        other => Err(Problem::missing(format!("No such step of an upload: {other}"))),
    }
}

/// A byte of a path in an address.
fn percent(byte: u8) -> String {
    let is_plain = byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    if is_plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

/// What the disk said, as clients read it: one that is full may have room again.
fn disk(error: &io::Error) -> Problem {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::TemporarilyUnavailable,
        _ => Code::InternalError,
    };
    Problem { code, message: format!("The file was not stored: {error}") }
}

fn wrong(error: Error) -> Problem {
    match error {
        Error::Disk(error) => disk(&error),
        Error::Refused(problem) => problem,
    }
}

fn broken(error: tokio::task::JoinError) -> Problem {
    Problem { code: Code::InternalError, message: format!("the work broke off: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        let of = |said: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_str(said).unwrap());
            range_of(&headers, 100)
        };
        assert_eq!(of("bytes=0-9"), Some(Some(0..10)));
        assert_eq!(of("bytes=90-"), Some(Some(90..100)));
        assert_eq!(of("bytes=-5"), Some(Some(95..100)));
        assert_eq!(of("bytes=50-1000"), Some(Some(50..100)));
        assert_eq!(of("bytes=100-"), Some(None));
        assert_eq!(of("bytes=9-3"), Some(None));
        for whole in ["bytes=0-1,4-5", "lines=1-2", "bytes=x-y"] {
            assert_eq!(of(whole), None, "{whole}");
        }
    }

    #[test]
    fn nothing_is_handed_out_as_what_a_browser_would_run() {
        for name in ["a.html", "b.svg", "c.js", "d.xml", "e.HTM"] {
            assert_eq!(kind_of(name), "text/plain", "{name}");
        }
        assert_eq!((kind_of("model.skops"), kind_of("x.png")), ("application/octet-stream", "image/png"));
        assert_eq!(disposition("a-b.txt"), "attachment; filename=a-b.txt");
        assert_eq!(disposition("ä\"\r\n.txt"), "attachment; filename*=UTF-8''%C3%A4%22%0D%0A.txt");
    }
}
