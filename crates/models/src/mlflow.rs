//! MLflow's REST interface: what its clients send and expect, on the [`Book`]. Bytes and words only; who listens, and what
//! makes changes durable, is elsewhere.
//!
//! Paths are given without `/api/2.0/mlflow`, `/api/3.0/mlflow` and their twins below `/ajax-api`: [`find`] says which
//! call a method and path mean, [`Call::read`] and [`Call::write`] answer it. Error texts are MLflow's where its clients
//! or people who know it look at them. Source: the recorded answers of an MLflow server, its protocol definitions, and
//! its documentation.

mod experiments;
mod logged;
mod pages;
mod registry;
mod runs;
mod said;
mod shapes;
mod traces;
mod webhooks;

pub use self::{
    pages::{decode as from_base64, encode as base64},
    runs::{Ready, log_batch, log_metric},
    said::Said,
    shapes::point,
    traces::{SpanSet, receive_spans, written},
    webhooks::tested,
};

use serde_json::{Value, json};

use crate::{Book, Code, Problem};

/// Answers without changing anything.
type Read = fn(&Book, &Said) -> Result<Value, Problem>;
/// Changes the book at a time (ms) and answers.
type Write = fn(&mut Book, &Said, i64) -> Result<Value, Problem>;

/// What a request asks for.
#[derive(Clone, Copy)]
pub enum Call {
    /// A question.
    Read(Read),
    /// A change.
    Write(Write),
    /// All values of a metric of a run: the caller reads them and calls [`history`].
    History,
    /// Values of a metric of several runs, thinned out: the caller reads them and calls [`history_of_many`].
    HistoryOfMany,
    /// Files of a run: the caller has them.
    ListRunFiles,
    /// Files of a logged model: the caller has them.
    ListModelFiles,
    /// A try of a webhook: the caller looks up what with [`tested`] and sends it.
    TestWebhook,
    /// MLflow has it, Bellwether does not.
    NotHere,
}

/// What a method and a path mean.
pub enum Found {
    /// A call, with what the path says.
    Call(Call, Vec<(&'static str, String)>),
    /// The path is known, with these methods.
    OtherMethod(Vec<&'static str>),
    /// Nothing.
    Nothing,
}

pub use self::runs::{History, history, history_of_many};

const fn read(f: Read) -> Call {
    Call::Read(f)
}

const fn write(f: Write) -> Call {
    Call::Write(f)
}

/// Method, path below the prefix (`{name}` where a part varies), and what it means.
const CALLS: &[(&str, &str, Call)] = &[
    ("POST", "experiments/create", write(experiments::create)),
    ("GET", "experiments/get", read(experiments::get)),
    ("GET", "experiments/get-by-name", read(experiments::get_by_name)),
    ("POST", "experiments/delete", write(experiments::delete)),
    ("POST", "experiments/restore", write(experiments::restore)),
    ("POST", "experiments/update", write(experiments::update)),
    ("POST", "experiments/set-experiment-tag", write(experiments::set_tag)),
    ("POST", "experiments/delete-experiment-tag", write(experiments::delete_tag)),
    ("POST", "experiments/search", read(experiments::search)),
    ("GET", "experiments/search", read(experiments::search)),
    ("POST", "runs/create", write(runs::create)),
    ("POST", "runs/update", write(runs::update)),
    ("POST", "runs/delete", write(runs::delete)),
    ("POST", "runs/restore", write(runs::restore)),
    ("GET", "runs/get", read(runs::get)),
    ("POST", "runs/log-metric", write(runs::log_metric_said)),
    ("POST", "runs/log-parameter", write(runs::log_param)),
    ("POST", "runs/log-batch", write(runs::log_batch_said)),
    ("POST", "runs/set-tag", write(runs::set_tag)),
    ("POST", "runs/delete-tag", write(runs::delete_tag)),
    ("POST", "runs/log-inputs", write(runs::log_inputs)),
    ("POST", "runs/outputs", write(runs::log_outputs)),
    ("POST", "runs/log-model", write(runs::log_model)),
    ("POST", "runs/search", read(runs::search)),
    ("GET", "metrics/get-history", Call::History),
    ("GET", "metrics/get-history-bulk-interval", Call::HistoryOfMany),
    ("GET", "artifacts/list", Call::ListRunFiles),
    ("POST", "logged-models", write(logged::create)),
    ("POST", "logged-models/search", read(logged::search)),
    ("GET", "logged-models/{model_id}", read(logged::get)),
    ("PATCH", "logged-models/{model_id}", write(logged::finalize)),
    ("DELETE", "logged-models/{model_id}", write(logged::delete)),
    ("POST", "logged-models/{model_id}/params", write(logged::log_params)),
    ("PATCH", "logged-models/{model_id}/tags", write(logged::set_tags)),
    ("DELETE", "logged-models/{model_id}/tags/{tag_key}", write(logged::delete_tag)),
    ("GET", "logged-models/{model_id}/artifacts/directories", Call::ListModelFiles),
    ("POST", "registered-models/create", write(registry::create)),
    ("GET", "registered-models/get", read(registry::get)),
    ("PATCH", "registered-models/update", write(registry::update)),
    ("POST", "registered-models/rename", write(registry::rename)),
    ("DELETE", "registered-models/delete", write(registry::delete)),
    ("GET", "registered-models/search", read(registry::search)),
    ("GET", "registered-models/get-latest-versions", read(registry::latest_versions)),
    ("POST", "registered-models/get-latest-versions", read(registry::latest_versions)),
    ("POST", "registered-models/set-tag", write(registry::set_tag)),
    ("DELETE", "registered-models/delete-tag", write(registry::delete_tag)),
    ("GET", "registered-models/alias", read(registry::get_by_alias)),
    ("POST", "registered-models/alias", write(registry::set_alias)),
    ("DELETE", "registered-models/alias", write(registry::delete_alias)),
    ("POST", "model-versions/create", write(registry::create_version)),
    ("GET", "model-versions/get", read(registry::get_version)),
    ("GET", "model-versions/get-download-uri", read(registry::download_uri)),
    ("GET", "model-versions/search", read(registry::search_versions)),
    ("PATCH", "model-versions/update", write(registry::update_version)),
    ("POST", "model-versions/transition-stage", write(registry::transition)),
    ("DELETE", "model-versions/delete", write(registry::delete_version)),
    ("POST", "model-versions/set-tag", write(registry::set_version_tag)),
    ("DELETE", "model-versions/delete-tag", write(registry::delete_version_tag)),
    ("POST", "traces", write(traces::start)),
    ("POST", "traces/search", read(traces::search)),
    ("GET", "traces/get", read(traces::get)),
    ("GET", "traces/batchGet", read(traces::get_many)),
    ("POST", "traces/batchGetInfos", read(traces::get_infos)),
    ("POST", "traces/delete-traces", write(traces::delete_many)),
    ("POST", "traces/link-to-run", write(traces::link_to_run)),
    ("GET", "traces/{trace_id}", read(traces::get_info)),
    ("PATCH", "traces/{trace_id}/tags", write(traces::set_tag)),
    ("DELETE", "traces/{trace_id}/tags", write(traces::delete_tag)),
    ("POST", "traces/{trace_id}/assessments", write(traces::create_assessment)),
    ("GET", "traces/{trace_id}/assessments/{assessment_id}", read(traces::get_assessment)),
    ("PATCH", "traces/{trace_id}/assessments/{assessment_id}", write(traces::update_assessment)),
    ("DELETE", "traces/{trace_id}/assessments/{assessment_id}", write(traces::delete_assessment)),
    ("GET", "webhooks", read(webhooks::list)),
    ("POST", "webhooks", write(webhooks::create)),
    ("GET", "webhooks/{webhook_id}", read(webhooks::get)),
    ("PATCH", "webhooks/{webhook_id}", write(webhooks::update)),
    ("DELETE", "webhooks/{webhook_id}", write(webhooks::delete)),
    ("POST", "webhooks/{webhook_id}/test", Call::TestWebhook),
    ("GET", "server-info", read(server_info)),
];

/// Begins of paths that MLflow's server has and Bellwether does not.
const NOT_HERE: [&str; 19] = [
    "artifacts/presigned-",
    "assessments/",
    "budget",
    "datasets",
    "demo",
    "experiments/search-datasets",
    "gateway/",
    "genai",
    "issues",
    "jobs",
    "label-schemas",
    "mcp-servers",
    "metrics/get-history-bulk",
    "prompt-optimization",
    "review-queues",
    "scorers",
    "traces/",
    "traces-",
    "workspaces",
];

/// What a method and a path (below the prefix) mean.
pub fn find(method: &str, path: &str) -> Found {
    let mut others = Vec::new();
    for (of, template, call) in CALLS {
        let Some(named) = matches(template, path) else { continue };
        if *of == method || (method == "HEAD" && *of == "GET") {
            return Found::Call(*call, named);
        }
        others.push(*of);
    }
    if !others.is_empty() {
        return Found::OtherMethod(others);
    }
    if NOT_HERE.iter().any(|begin| path.starts_with(begin)) {
        return Found::Call(Call::NotHere, Vec::new());
    }
    Found::Nothing
}

fn matches(template: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let (mut named, mut parts) = (Vec::new(), path.split('/'));
    for wanted in template.split('/') {
        let part = parts.next()?;
        match wanted.strip_prefix('{').and_then(|w| w.strip_suffix('}')) {
            Some(name) if !part.is_empty() => named.push((name, part.to_owned())),
            None if wanted == part => {}
            _ => return None,
        }
    }
    parts.next().is_none().then_some(named)
}

/// What an answer says that MLflow would give and Bellwether does not.
pub fn not_here(path: &str) -> Problem {
    let message = format!("Bellwether does not have {path}: use MLflow's own server for it.");
    Problem { code: Code::NotImplemented, message }
}

/// What the server can do, as clients ask before they use it.
fn server_info(_: &Book, _: &Said) -> Result<Value, Problem> {
    Ok(json!({
        "store_type": "SqlStore",
        "workspaces_enabled": false,
        "trace_archival_enabled": false,
        "multipart_uploads_enabled": true,
        "multipart_downloads_enabled": false,
        "presigned_upload_run_id_supported": false,
        "presigned_upload_model_id_supported": false,
        "features_enabled": {"gateway": false},
    }))
}

/// The JSON of an answer, as MLflow's server prints it.
pub fn answer(value: &Value) -> Vec<u8> {
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

/// The JSON of an error, as MLflow's server prints it.
pub fn error(problem: &Problem) -> Value {
    let mut body = json!({"error_code": problem.code.name(), "message": problem.message});
    let class = match problem.code {
        Code::InvalidParameterValue | Code::BadRequest => ("KAM00", "INVALID_PARAMETER_VALUE"),
        Code::ResourceAlreadyExists => ("KAM00", "RESOURCE_ALREADY_EXISTS"),
        Code::ResourceDoesNotExist => ("KAM00", "RESOURCE_NOT_FOUND"),
        Code::PermissionDenied => ("KAM00", "PERMISSION_DENIED"),
        Code::InternalError | Code::InvalidState | Code::TemporarilyUnavailable => ("XXM00", "CLIENT_INTERNAL_ERROR"),
        Code::NotImplemented | Code::Unauthenticated => return body,
    };
    (body["sqlstate"], body["error_class"]) = (class.0.into(), class.1.into());
    body
}
