//! Webhooks of GitHub to events.
//!
//! The signature in `X-Hub-Signature-256` is checked over the raw body before anything of it is read. A delivery is
//! taken once: by its id (`X-GitHub-Delivery`), and by its body, since the id is not signed. A deployment that
//! succeeded is a change of its service; merges, releases, pipelines and failed checks are shown; everything else is
//! kept as `event.github.<event>`. Source: GitHub's documentation, webhook events and payloads.

use serde_json::Value;
use types::Time;
use xxhash_rust::xxh3::xxh3_128;

use crate::limits::show;
use crate::outside::{Names, Places, SENTENCE, Told, finish, percent_decoded, str_at, text_at};
use crate::signature::check_signature;
use crate::{BadRequest, Decoded, Ingest, Request};

pub(crate) fn decode(
    ingest: &Ingest,
    request: &Request,
    header: &dyn Fn(&str) -> Option<String>,
    body: &[u8],
    secrets: &[String],
    places: &Places,
) -> Result<Decoded, BadRequest> {
    check_signature(secrets, header("x-hub-signature-256").as_deref(), body, "GitHub")?;
    let name = |what: &str| {
        let sent = header(what).filter(|text| !text.trim().is_empty() && text.len() <= 200);
        sent.ok_or_else(|| BadRequest::malformed(format!("header {what} is missing: this is no webhook of GitHub")))
    };
    let (event, delivery) = (name("x-github-event")?, name("x-github-delivery")?);
    let payload = payload(header("content-type").as_deref(), body)?;
    if event == "ping" {
        return finish(ingest, request, Vec::new());
    }
    let registry = ingest.directory.read();
    let mut read = Read { payload: &payload, places, names: Names::new(places, &registry) };
    let told = read.tell(&event);
    let told = read.describe(told, &event);
    let told = told.word("delivery", Some(&delivery)).key(request, &["github", &delivery]);
    // What is signed is the body; whoever sends it again under another id sends the same.
    let told = told.key(request, &["github body", &format!("{:032x}", xxh3_128(body))]);
    drop(read);
    drop(registry);
    finish(ingest, request, vec![(String::new(), Ok(told))])
}

/// The payload, sent as JSON or as the field `payload` of a form.
fn payload(content_type: Option<&str>, body: &[u8]) -> Result<Value, BadRequest> {
    let is_form = content_type.is_some_and(|media| media.trim().starts_with("application/x-www-form-urlencoded"));
    let json = match is_form {
        true => {
            let fields = body.split(|b| *b == b'&');
            let field = fields.into_iter().find_map(|field| field.strip_prefix(b"payload="));
            let text = field.and_then(|field| percent_decoded(field, true));
            text.ok_or_else(|| BadRequest::malformed("the form has no field payload"))?.into_bytes()
        }
        false => body.to_vec(),
    };
    let payload: Value = serde_json::from_slice(&json).map_err(|e| BadRequest::malformed(show(&e.to_string())))?;
    match payload.is_object() {
        true => Ok(payload),
        false => Err(BadRequest::malformed("a JSON object is expected")),
    }
}

struct Read<'a> {
    payload: &'a Value,
    places: &'a Places,
    names: Names<'a>,
}

impl Read<'_> {
    fn tell(&mut self, event: &str) -> Told {
        let payload = self.payload;
        let action = str_at(payload, "action").unwrap_or("");
        match event {
            "deployment_status" => self.deployment_status(),
            "push" => self.push(),
            "pull_request" if action == "closed" && is_true(payload, "pull_request.merged") => self
                .change("merge")
                .text("title", str_at(payload, "pull_request.title"), SENTENCE)
                .word("sha", str_at(payload, "pull_request.merge_commit_sha"))
                .word("author", str_at(payload, "pull_request.user.login"))
                .link([str_at(payload, "pull_request.html_url")])
                .at(self.time(&["pull_request.merged_at"])),
            "workflow_run" if action == "completed" => self.run("workflow_run", "pipeline"),
            // A check that passed tells nothing.
            "check_run" if action == "completed" && !self.passed("check_run") => self.run("check_run", "check"),
            "release" if action == "published" => self
                .change("release")
                .word("version", str_at(payload, "release.tag_name"))
                .text("title", str_at(payload, "release.name"), SENTENCE)
                .word("author", str_at(payload, "release.author.login"))
                .link([str_at(payload, "release.html_url")])
                .at(self.time(&["release.published_at"])),
            _ => self.other(event),
        }
    }

    /// The state of a deployment: what is under way may break things as well as what is done.
    fn deployment_status(&mut self) -> Told {
        let payload = self.payload;
        let task = str_at(payload, "deployment.task").unwrap_or("");
        let kind = match str_at(payload, "deployment_status.state").unwrap_or("") {
            "success" if task.contains("rollback") => "rollback",
            "success" => "deployment",
            "in_progress" => "rollout",
            "failure" | "error" => "failed_deployment",
            _ => "",
        };
        let told = match kind.is_empty() || !self.places.watches(environment(payload)) {
            true => self.other("deployment_status"),
            false => self.change(kind),
        };
        told.word("version", version(payload).as_deref())
            .word("outcome", str_at(payload, "deployment_status.state"))
            .word("author", str_at(payload, "deployment.creator.login"))
            .link(
                ["log_url", "target_url", "environment_url"]
                    .map(|name| str_at(payload, &format!("deployment_status.{name}"))),
            )
            .at(self.time(&["deployment_status.created_at", "deployment_status.updated_at"]))
    }

    /// A push to the default branch, or of a tag.
    fn push(&mut self) -> Told {
        let payload = self.payload;
        let (reference, deleted) = (str_at(payload, "ref").unwrap_or(""), is_true(payload, "deleted"));
        let branch = reference.strip_prefix("refs/heads/");
        let tag = reference.strip_prefix("refs/tags/");
        let told = match (branch, tag) {
            (Some(branch), _) if !deleted && str_at(payload, "repository.default_branch") == Some(branch) => {
                self.change("push").text("title", str_at(payload, "head_commit.message"), SENTENCE)
            }
            (_, Some(tag)) if !deleted => self.change("tag").word("version", Some(tag)),
            _ => self.other("push"),
        };
        let pushed = payload.pointer("/repository/pushed_at").and_then(Value::as_i64);
        let at = pushed.and_then(|s| s.checked_mul(types::SECOND)).map(Time);
        told.word("sha", str_at(payload, "after"))
            .word("author", str_at(payload, "pusher.name"))
            .link([str_at(payload, "compare")])
            .at(at)
    }

    fn run(&mut self, field: &str, kind: &str) -> Told {
        let payload = self.payload;
        let at = |name: &str| str_at(payload, &format!("{field}.{name}"));
        self.change(kind)
            .text("title", at("name"), SENTENCE)
            .word("outcome", at("conclusion"))
            .word("sha", at("head_sha"))
            .word("author", at("actor.login"))
            .link([at("html_url")])
            .at(at("completed_at").or(at("updated_at")).and_then(Time::parse))
    }

    fn passed(&self, field: &str) -> bool {
        let conclusion = str_at(self.payload, &format!("{field}.conclusion")).unwrap_or("");
        matches!(conclusion, "success" | "neutral" | "skipped")
    }

    fn change(&mut self, kind: &str) -> Told {
        Told::change(kind, self.service())
    }

    fn other(&mut self, event: &str) -> Told {
        Told::event(&format!("github.{event}"), self.service())
    }

    fn service(&mut self) -> types::EntityId {
        let payload = self.payload;
        let named = deployment_payload(payload);
        let named =
            ["entity", "service", "app", "application", "component"].iter().find_map(|name| str_at(&named, name));
        self.names.service(str_at(payload, "repository.full_name").unwrap_or(""), environment(payload), named)
    }

    fn time(&self, paths: &[&str]) -> Option<Time> {
        paths.iter().find_map(|path| str_at(self.payload, path)).and_then(Time::parse)
    }

    fn describe(&self, told: Told, event: &str) -> Told {
        let payload = self.payload;
        told.word("environment", environment(payload))
            .word("repository", str_at(payload, "repository.full_name"))
            .word("source", Some("github"))
            .word("type", Some(event))
            .word("action", str_at(payload, "action"))
            .missing_word("sha", str_at(payload, "deployment.sha"))
            .missing_word("author", str_at(payload, "sender.login"))
            .missing_link(str_at(payload, "repository.html_url"))
    }
}

fn environment(payload: &Value) -> Option<&str> {
    str_at(payload, "deployment_status.environment").or(str_at(payload, "deployment.environment"))
}

/// What is deployed: as the deployment's payload says, else a tag, else the commit.
fn version(payload: &Value) -> Option<String> {
    let own = deployment_payload(payload);
    let said = ["version", "tag", "image_tag"].iter().find_map(|name| text_at(&own, name));
    let reference = str_at(payload, "deployment.ref").map(|text| text.trim_start_matches("refs/tags/"));
    let is_version =
        |text: &&str| text.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()) && text.contains('.');
    let sha = str_at(payload, "deployment.sha").map(|sha| sha.chars().take(12).collect());
    said.map(|text| text.into_owned()).or(reference.filter(is_version).map(str::to_owned)).or(sha)
}

/// The payload that whoever made the deployment gave it: an object, or JSON as text.
fn deployment_payload(payload: &Value) -> Value {
    match payload.pointer("/deployment/payload") {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
        Some(own) => own.clone(),
        None => Value::Null,
    }
}

fn is_true(payload: &Value, path: &str) -> bool {
    path.split('.').try_fold(payload, |value, name| value.get(name)) == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use types::EntityId;

    use super::*;
    use crate::BadKind;
    use crate::outside::fixtures::{Host, header_of};
    use crate::signature::hmac_sha256;

    const SECRET: &str = "It's a Secret to Everybody";

    fn signature(body: &[u8]) -> String {
        hmac_sha256(SECRET.as_bytes(), body).iter().fold("sha256=".into(), |all, b| format!("{all}{b:02x}"))
    }

    fn send(host: &Host, event: &str, delivery: &str, payload: &Value, places: &Places) -> Decoded {
        let body = payload.to_string();
        let signature = signature(body.as_bytes());
        let header = header_of(&[
            ("x-github-event", event),
            ("x-github-delivery", delivery),
            ("x-hub-signature-256", &signature),
            ("content-type", "application/json"),
        ]);
        host.ingest.github(&host.request, &header, body.as_bytes(), &[SECRET.to_owned()], places).unwrap()
    }

    fn told(host: &Host, event: &str, payload: Value) -> (String, String, Value) {
        let delivery = format!("{:x}", xxh3_128(payload.to_string().as_bytes()));
        host.row(&send(host, event, &delivery, &payload, &Places::default()), 0)
    }

    /// The fields that GitHub sends of a deployment's status, with times of the test's clock.
    fn status(state: &str) -> Value {
        json!({
            "action": "created",
            "deployment_status": {"id": 209916254, "state": state, "description": "", "environment": "production",
                "target_url": "", "log_url": "https://github.com/Codertocat/Hello-World/runs/7",
                "created_at": "2027-01-15T07:58:55Z", "updated_at": "2027-01-15T07:58:55Z"},
            "deployment": {"id": 145988746, "sha": "f95f852bd8fca8fcc58a9a2d6c842781e32a215e", "ref": "master",
                "task": "deploy", "payload": {}, "environment": "production", "creator": {"login": "Codertocat"},
                "created_at": "2027-01-15T07:58:53Z", "updated_at": "2027-01-15T07:58:55Z"},
            "repository": {"full_name": "Codertocat/Hello-World", "name": "Hello-World", "default_branch": "master",
                "html_url": "https://github.com/Codertocat/Hello-World", "pushed_at": 1_799_999_900},
            "sender": {"login": "Codertocat"},
        })
    }

    #[test]
    fn a_deployment_that_succeeded_is_a_change() {
        let host = Host::new();
        let decoded = send(&host, "deployment_status", "72d3162e-cc78", &status("success"), &Places::default());
        let (kind, entity, attributes) = host.row(&decoded, 0);
        assert_eq!((kind.as_str(), entity.as_str()), ("change.deployment", "service:default/Hello-World"));
        assert_eq!(decoded.batch.events.time[0], Time::parse("2027-01-15T07:58:55Z").unwrap().0);
        for (name, expected) in [
            ("version", "f95f852bd8fc"),
            ("author", "Codertocat"),
            ("link", "https://github.com/Codertocat/Hello-World/runs/7"),
            ("environment", "production"),
            ("repository", "Codertocat/Hello-World"),
            ("sha", "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"),
            ("delivery", "72d3162e-cc78"),
        ] {
            assert_eq!(attributes[name], json!(expected), "{name}");
        }
        let kind_of = |state: &str| told(&host, "deployment_status", status(state)).0;
        assert_eq!(kind_of("in_progress"), "change.rollout");
        assert_eq!(kind_of("failure"), "change.failed_deployment");
        assert_eq!(kind_of("queued"), "event.github.deployment_status");
        let mut back = status("success");
        back["deployment"]["task"] = json!("rollback");
        back["deployment"]["ref"] = json!("v1.2.3");
        let (kind, _, attributes) = told(&host, "deployment_status", back);
        assert_eq!((kind.as_str(), &attributes["version"]), ("change.rollback", &json!("v1.2.3")));
    }

    #[test]
    fn the_payload_of_a_deployment_names_service_and_version() {
        let host = Host::new();
        host.ingest.directory.write().entity(&EntityId::new("service", "shop", "payments"));
        for own in [json!({"service": "payments", "version": 7}), json!(r#"{"service":"payments","version":"7"}"#)] {
            let mut payload = status("success");
            payload["deployment"]["payload"] = own;
            let (_, entity, attributes) = told(&host, "deployment_status", payload);
            assert_eq!((entity.as_str(), &attributes["version"]), ("service:shop/payments", &json!("7")));
        }
        let places = Places::new(
            [("codertocat/hello-world".to_owned(), EntityId::parse("service:shop/hello").unwrap())],
            vec!["production".into()],
        );
        let to = |environment: &str, delivery: &str| {
            let mut payload = status("success");
            payload["deployment_status"]["environment"] = json!(environment);
            host.row(&send(&host, "deployment_status", delivery, &payload, &places), 0)
        };
        assert_eq!(
            (to("Production", "1").0, to("Production", "1").1),
            ("change.deployment".into(), "service:shop/hello".into())
        );
        assert_eq!(to("staging", "2").0, "event.github.deployment_status", "it is not watched, and not lost");
    }

    #[test]
    fn merges_releases_runs_checks_and_pushes() {
        let host = Host::new();
        let repository = status("")["repository"].clone();
        let payload =
            |action: &str, name: &str, inner: Value| json!({"action": action, name: inner, "repository": repository});
        let pull = |merged: bool| {
            json!({"number": 2, "title": "Update the README", "merged": merged,
            "merged_at": merged.then_some("2027-01-15T07:21:18Z"), "merge_commit_sha": "c4295bd7",
            "html_url": "https://github.com/Codertocat/Hello-World/pull/2", "user": {"login": "Codertocat"}})
        };
        let (kind, _, attributes) = told(&host, "pull_request", payload("closed", "pull_request", pull(true)));
        assert_eq!((kind.as_str(), &attributes["sha"]), ("change.merge", &json!("c4295bd7")));
        assert_eq!(
            told(&host, "pull_request", payload("closed", "pull_request", pull(false))).0,
            "event.github.pull_request"
        );
        assert_eq!(
            told(&host, "pull_request", payload("opened", "pull_request", pull(false))).0,
            "event.github.pull_request"
        );

        let release = json!({"tag_name": "0.0.1", "name": "", "html_url": "https://github.com/x/y/releases/tag/0.0.1",
            "published_at": "2027-01-15T07:20:53Z", "author": {"login": "Codertocat"}});
        let (kind, _, attributes) = told(&host, "release", payload("published", "release", release.clone()));
        assert_eq!((kind.as_str(), &attributes["version"]), ("change.release", &json!("0.0.1")));
        assert_eq!(told(&host, "release", payload("edited", "release", release)).0, "event.github.release");

        let run = |conclusion: &str| {
            json!({"id": 289782451, "name": "CI", "head_sha": "3484a3fb", "status": "completed",
            "conclusion": conclusion, "html_url": "https://github.com/x/y/actions/runs/1",
            "updated_at": "2027-01-15T07:33:49Z", "actor": {"login": "Codertocat"}})
        };
        let (kind, _, attributes) = told(&host, "workflow_run", payload("completed", "workflow_run", run("failure")));
        assert_eq!((kind.as_str(), &attributes["outcome"]), ("change.pipeline", &json!("failure")));
        assert_eq!(told(&host, "check_run", payload("completed", "check_run", run("failure"))).0, "change.check");
        assert_eq!(
            told(&host, "check_run", payload("completed", "check_run", run("success"))).0,
            "event.github.check_run"
        );

        let push = |reference: &str, deleted: bool| {
            json!({"ref": reference, "after": "6113728f", "deleted": deleted,
            "compare": "https://github.com/x/y/compare/a...b", "pusher": {"name": "Codertocat"},
            "repository": repository,
            "head_commit": {"message": "Initial commit\n\nwith more"}})
        };
        let (kind, _, attributes) = told(&host, "push", push("refs/heads/master", false));
        assert_eq!((kind.as_str(), &attributes["title"]), ("change.push", &json!("Initial commit with more")));
        assert_eq!(told(&host, "push", push("refs/heads/topic", false)).0, "event.github.push");
        assert_eq!(told(&host, "push", push("refs/tags/simple-tag", true)).0, "event.github.push");
        let (kind, _, attributes) = told(&host, "push", push("refs/tags/v2", false));
        assert_eq!((kind.as_str(), &attributes["version"]), ("change.tag", &json!("v2")));
        assert_eq!(told(&host, "Odd Event!", json!({"repository": repository})).0, "event.github.odd_event_");
        assert_eq!(told(&host, "star", json!({})).1, "service:default/unknown");
    }

    #[test]
    fn a_wrong_signature_stores_nothing() {
        let host = Host::new();
        let body = status("success").to_string();
        let good = signature(body.as_bytes());
        let headers = |signature: Option<&str>| {
            let mut headers = vec![("x-github-event", "deployment_status"), ("x-github-delivery", "1")];
            headers.extend(signature.map(|signature| ("x-hub-signature-256", signature)));
            header_of(&headers)
        };
        let secrets = [SECRET.to_owned()];
        let send = |signature: Option<&str>, body: &str, secrets: &[String]| {
            host.ingest.github(&host.request, &headers(signature), body.as_bytes(), secrets, &Places::default())
        };
        for (signature, body, secrets) in [
            (None, body.as_str(), &secrets[..]),
            (Some("sha256=00"), &body, &secrets),
            (Some(&good), &body.replace("production", "Production"), &secrets),
            (Some(&good), &body, &[]),
            (Some(&good), &body, &["other".to_owned()]),
            (None, "not even JSON", &secrets),
        ] {
            assert_eq!(send(signature, body, secrets).unwrap_err().kind, BadKind::Unauthenticated);
        }
        assert!(host.ingest.directory.read().entities().is_empty());
        assert_eq!(send(Some(&good), &body, &secrets).unwrap().written.events, 1);
        let junk = signature(b"{");
        assert_eq!(send(Some(&junk), "{", &secrets).unwrap_err().kind, BadKind::Malformed);
    }

    #[test]
    fn a_delivery_is_taken_once() {
        let host = Host::new();
        let places = Places::default();
        let first = send(&host, "deployment_status", "72d3162e", &status("success"), &places);
        host.ingest.taken(&first.once);
        let again = send(&host, "deployment_status", "72d3162e", &status("success"), &places);
        assert_eq!((again.written.events, again.written.repeated), (0, 1));
        assert_eq!(again.ids, first.ids);
        let renamed = send(&host, "deployment_status", "other", &status("success"), &places);
        assert_eq!((renamed.written.events, renamed.written.repeated), (0, 1), "the id is not signed, the body is");
        let other = send(&host, "deployment_status", "72d3162e", &status("failure"), &places);
        assert_eq!(other.written.repeated, 1);
        assert_eq!(send(&host, "deployment_status", "next", &status("failure"), &places).written.events, 1);
    }

    #[test]
    fn forms_are_read_and_pings_are_not_stored() {
        let host = Host::new();
        let json = status("success").to_string();
        let encoded: String = json.bytes().map(|b| format!("%{b:02X}")).collect();
        let body = format!("payload={encoded}&x=1");
        let send = |event: &str, body: &str| {
            let signature = signature(body.as_bytes());
            let header = header_of(&[
                ("x-github-event", event),
                ("x-github-delivery", "1"),
                ("x-hub-signature-256", &signature),
                ("content-type", "application/x-www-form-urlencoded"),
            ]);
            host.ingest.github(&host.request, &header, body.as_bytes(), &[SECRET.to_owned()], &Places::default())
        };
        assert_eq!(host.row(&send("deployment_status", &body).unwrap(), 0).0, "change.deployment");
        assert_eq!(send("ping", &body).unwrap().written.events, 0);
        assert!(send("push", "x=1").unwrap_err().reason.contains("payload"));
    }

    #[test]
    fn text_from_outside_is_made_harmless() {
        let host = Host::new();
        let mut payload = status("success");
        payload["deployment_status"]["log_url"] = json!("javascript:alert(1)");
        payload["deployment"]["creator"]["login"] = json!("a\u{202e}b\u{0}".repeat(200));
        payload["deployment"]["payload"] =
            json!({"version": "v1\u{1b}[2J token=ghp_0123456789abcdefghijABCDEFGHIJ012345"});
        let (_, _, attributes) = told(&host, "deployment_status", payload);
        assert_eq!(attributes["link"], json!("https://github.com/Codertocat/Hello-World"));
        assert!(
            attributes["author"].as_str().is_some_and(|text| text.chars().count() <= 120 && !text.contains('\u{202e}'))
        );
        let version = attributes["version"].as_str().unwrap();
        assert!(!version.contains('\u{1b}') && !version.contains("ghp_"), "{version}");
    }
}
