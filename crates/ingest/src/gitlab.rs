//! Webhooks of GitLab to events.
//!
//! The token in `X-Gitlab-Token` is compared before anything is read. A delivery is known by its `Idempotency-Key`, or
//! by `X-Gitlab-Event-UUID` with its body: hooks that one event sets off through another share that id. A deployment
//! that succeeded is a change of its service, and so is a feature flag; merges, releases, pipelines and failed jobs are
//! shown; everything else is kept as `event.gitlab.<kind>`. Source: GitLab's documentation, webhook events.

use serde_json::Value;
use types::EntityId;
use xxhash_rust::xxh3::xxh3_128;

use crate::limits::show;
use crate::outside::{Names, Places, SENTENCE, Told, finish, str_at, text_at, time};
use crate::signature::check_token;
use crate::{BadRequest, Decoded, Ingest, Request};

pub(crate) fn decode(
    ingest: &Ingest,
    request: &Request,
    header: &dyn Fn(&str) -> Option<String>,
    body: &[u8],
    tokens: &[String],
    places: &Places,
) -> Result<Decoded, BadRequest> {
    check_token(tokens, header("x-gitlab-token").as_deref(), "GitLab")?;
    let payload: Value = serde_json::from_slice(body).map_err(|e| BadRequest::malformed(show(&e.to_string())))?;
    let kind = str_at(&payload, "object_kind").or(str_at(&payload, "event_name"));
    let kind = kind.ok_or_else(|| BadRequest::malformed("object_kind is missing: this is no webhook of GitLab"))?;
    let registry = ingest.directory.read();
    let mut read = Read { payload: &payload, places, names: Names::new(places, &registry) };
    let told = read.tell(kind);
    let told = read.describe(told, kind);
    drop(read);
    drop(registry);
    let told = with_key(told, request, header, body);
    finish(ingest, request, vec![(String::new(), Ok(told))])
}

fn with_key(told: Told, request: &Request, header: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Told {
    let said = |name: &str| header(name).filter(|text| !text.trim().is_empty() && text.len() <= 200);
    let digest = format!("{:032x}", xxh3_128(body));
    match (said("idempotency-key"), said("x-gitlab-event-uuid")) {
        (Some(key), _) => told.word("delivery", Some(&key)).key(request, &["gitlab", &key]),
        (None, Some(uuid)) => told.word("delivery", Some(&uuid)).key(request, &["gitlab", &uuid, &digest]),
        // An old GitLab names no delivery: what it says in one second is one.
        (None, None) => {
            let second = request.now.floor(types::SECOND).rfc3339();
            told.key(request, &["gitlab", &second, &digest])
        }
    }
}

struct Read<'a> {
    payload: &'a Value,
    places: &'a Places,
    names: Names<'a>,
}

impl Read<'_> {
    fn tell(&mut self, kind: &str) -> Told {
        let payload = self.payload;
        let of = |name: &str| str_at(payload, &format!("object_attributes.{name}"));
        match kind {
            "deployment" => self.deployment(),
            "push" | "tag_push" => self.push(kind),
            "merge_request" if of("action") == Some("merge") => self
                .change("merge")
                .text("title", of("title"), SENTENCE)
                .word("sha", of("merge_commit_sha").or(of("last_commit.id")))
                .link([of("url")])
                .at(of("updated_at").and_then(time)),
            "pipeline" if has_ended(of("status")) => self
                .change("pipeline")
                .text("title", of("name").or(of("ref")), SENTENCE)
                .word("outcome", of("status"))
                .word("sha", of("sha"))
                .link([of("url"), str_at(payload, "commit.url")])
                .at(of("finished_at").and_then(time)),
            // A job that passed tells nothing.
            "build" if str_at(payload, "build_status") == Some("failed") => self
                .change("check")
                .text("title", str_at(payload, "build_name"), SENTENCE)
                .word("outcome", Some("failed"))
                .text("reason", str_at(payload, "build_failure_reason"), SENTENCE)
                .word("sha", str_at(payload, "sha"))
                .at(str_at(payload, "build_finished_at").and_then(time)),
            "release" if str_at(payload, "action") == Some("create") => self
                .change("release")
                .word("version", str_at(payload, "tag"))
                .text("title", str_at(payload, "name"), SENTENCE)
                .link([str_at(payload, "url")])
                .at(str_at(payload, "released_at").or(str_at(payload, "created_at")).and_then(time)),
            "feature_flag" => {
                let is_on = payload.pointer("/object_attributes/active") == Some(&Value::Bool(true));
                let told = self.change("flag").text("title", of("name"), SENTENCE);
                told.word("version", Some(if is_on { "on" } else { "off" }))
            }
            _ => self.other(kind),
        }
    }

    /// What is under way may break things as well as what is done.
    fn deployment(&mut self) -> Told {
        let payload = self.payload;
        let status = str_at(payload, "status");
        let kind = match status.unwrap_or("") {
            "success" => "deployment",
            "running" => "rollout",
            "failed" => "failed_deployment",
            _ => "",
        };
        let told = match kind.is_empty() || !self.places.watches(str_at(payload, "environment")) {
            true => self.other("deployment"),
            false => self.change(kind),
        };
        let sha = str_at(payload, "commit_url").and_then(|url| url.rsplit('/').next());
        told.word("version", str_at(payload, "short_sha"))
            .word("sha", sha.or(str_at(payload, "short_sha")))
            .word("outcome", status)
            .text("title", str_at(payload, "commit_title"), SENTENCE)
            .link(["deployable_url", "commit_url", "environment_external_url"].map(|name| str_at(payload, name)))
            .at(str_at(payload, "status_changed_at").and_then(time))
    }

    /// A push to the default branch, or of a tag. What is deleted comes with a hash of zeros.
    fn push(&mut self, kind: &str) -> Told {
        let payload = self.payload;
        let reference = str_at(payload, "ref").unwrap_or("");
        let is_deleted = str_at(payload, "after").is_some_and(|sha| sha.bytes().all(|b| b == b'0'));
        let branch = reference.strip_prefix("refs/heads/");
        let told = match (branch, reference.strip_prefix("refs/tags/")) {
            (Some(branch), _) if !is_deleted && str_at(payload, "project.default_branch") == Some(branch) => {
                let commits = payload.get("commits").and_then(Value::as_array);
                let last = commits.and_then(|commits| commits.last());
                self.change("push").text("title", last.and_then(|commit| str_at(commit, "title")), SENTENCE)
            }
            (_, Some(tag)) if !is_deleted => self.change("tag").word("version", Some(tag)),
            _ => self.other(kind),
        };
        told.word("sha", str_at(payload, "after")).word("author", str_at(payload, "user_username"))
    }

    fn change(&mut self, kind: &str) -> Told {
        Told::change(kind, self.service())
    }

    fn other(&mut self, kind: &str) -> Told {
        Told::event(&format!("gitlab.{kind}"), self.service())
    }

    fn service(&mut self) -> EntityId {
        let environment = str_at(self.payload, "environment").or(str_at(self.payload, "environment.name"));
        self.names.service(repository(self.payload), environment, None)
    }

    fn describe(&self, told: Told, kind: &str) -> Told {
        let payload = self.payload;
        let action = str_at(payload, "object_attributes.action").or(str_at(payload, "action"));
        told.word("environment", str_at(payload, "environment").or(str_at(payload, "environment.name")))
            .word("repository", Some(repository(payload)))
            .word("source", Some("gitlab"))
            .word("type", Some(kind))
            .word("action", action)
            .missing_word("author", str_at(payload, "user.username"))
            .missing_word("author", str_at(payload, "user_name"))
            .missing_word("sha", text_at(payload, "checkout_sha").as_deref())
            .missing_link(str_at(payload, "project.web_url"))
    }
}

fn repository(payload: &Value) -> &str {
    ["project.path_with_namespace", "path_with_namespace", "project_name"]
        .iter()
        .find_map(|path| str_at(payload, path))
        .unwrap_or("")
}

fn has_ended(status: Option<&str>) -> bool {
    matches!(status, Some("success" | "failed" | "canceled"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use types::Time;

    use super::*;
    use crate::BadKind;
    use crate::outside::fixtures::{Host, header_of};

    fn project() -> Value {
        json!({"id": 30, "name": "Test Deployment Webhooks", "namespace": "Administrator",
            "web_url": "http://10.126.0.2:3000/root/test-deployment-webhooks",
            "path_with_namespace": "root/test-deployment-webhooks", "default_branch": "master"})
    }

    fn user() -> Value {
        json!({"id": 1, "name": "Administrator", "username": "root", "email": "admin@example.com"})
    }

    /// The example of GitLab's documentation, with times of the test's clock.
    fn deployment(status: &str) -> Value {
        json!({"object_kind": "deployment", "status": status, "status_changed_at": "2027-01-15 09:50:00 +0200",
            "deployment_id": 15, "deployable_id": 796,
            "deployable_url": "http://10.126.0.2:3000/root/test-deployment-webhooks/-/jobs/796",
            "environment": "staging", "environment_tier": "staging", "environment_slug": "staging",
            "environment_external_url": "https://staging.example.com", "project": project(), "short_sha": "279484c0",
            "user": user(), "commit_title": "Add new file",
            "commit_url": "http://10.126.0.2:3000/root/x/-/commit/279484c09fbe69ededfced8c1bb6e6d24616b468"})
    }

    fn send_with(
        host: &Host,
        headers: &[(&str, &str)],
        payload: &Value,
        places: &Places,
    ) -> Result<Decoded, BadRequest> {
        let tokens = ["a token".to_owned()];
        host.ingest.gitlab(&host.request, &header_of(headers), payload.to_string().as_bytes(), &tokens, places)
    }

    fn told(host: &Host, payload: Value) -> (String, String, Value) {
        let headers = [("x-gitlab-token", "a token"), ("x-gitlab-event-uuid", "u")];
        host.row(&send_with(host, &headers, &payload, &Places::default()).unwrap(), 0)
    }

    #[test]
    fn a_deployment_that_succeeded_is_a_change() {
        let host = Host::new();
        let headers = [("x-gitlab-token", "a token"), ("x-gitlab-event-uuid", "13792a34")];
        let decoded = send_with(&host, &headers, &deployment("success"), &Places::default()).unwrap();
        let (kind, entity, attributes) = host.row(&decoded, 0);
        assert_eq!((kind.as_str(), entity.as_str()), ("change.deployment", "service:default/test-deployment-webhooks"));
        assert_eq!(decoded.batch.events.time[0], Time::parse("2027-01-15T07:50:00Z").unwrap().0);
        for (name, expected) in [
            ("version", "279484c0"),
            ("sha", "279484c09fbe69ededfced8c1bb6e6d24616b468"),
            ("author", "root"),
            ("environment", "staging"),
            ("repository", "root/test-deployment-webhooks"),
            ("link", "http://10.126.0.2:3000/root/test-deployment-webhooks/-/jobs/796"),
            ("title", "Add new file"),
            ("delivery", "13792a34"),
        ] {
            assert_eq!(attributes[name], json!(expected), "{name}");
        }
        assert_eq!(told(&host, deployment("running")).0, "change.rollout");
        assert_eq!(told(&host, deployment("failed")).0, "change.failed_deployment");
        assert_eq!(told(&host, deployment("canceled")).0, "event.gitlab.deployment");
        let places = Places::new([], vec!["production".into()]);
        let decoded = send_with(&host, &headers, &deployment("success"), &places).unwrap();
        assert_eq!(host.row(&decoded, 0).0, "event.gitlab.deployment", "it is not watched, and not lost");
    }

    #[test]
    fn merges_pipelines_jobs_flags_releases_and_pushes() {
        let host = Host::new();
        let merge = |action: &str| {
            json!({"object_kind": "merge_request", "user": user(), "project": project(),
            "object_attributes": {"title": "MS-Viewport", "action": action, "updated_at": "2027-01-15T07:23:34Z",
                "url": "http://example.com/diaspora/merge_requests/1", "last_commit": {"id": "da156088"}}})
        };
        let (kind, _, attributes) = told(&host, merge("merge"));
        assert_eq!(
            (kind.as_str(), &attributes["sha"], &attributes["author"]),
            ("change.merge", &json!("da156088"), &json!("root"))
        );
        assert_eq!(told(&host, merge("open")).0, "event.gitlab.merge_request");

        let pipeline = |status: &str| {
            json!({"object_kind": "pipeline", "user": user(), "project": project(),
            "object_attributes": {"id": 31, "name": "Pipeline for branch: master", "sha": "bcbb5ec3", "status": status,
                "finished_at": "2027-01-15 07:26:29 UTC", "url": "http://example.com/-/pipelines/31"}})
        };
        let (kind, _, attributes) = told(&host, pipeline("success"));
        assert_eq!((kind.as_str(), &attributes["outcome"]), ("change.pipeline", &json!("success")));
        assert_eq!(told(&host, pipeline("running")).0, "event.gitlab.pipeline");

        let job = |status: &str| {
            json!({"object_kind": "build", "build_name": "test", "build_status": status,
            "build_failure_reason": "script_failure", "build_finished_at": null, "sha": "2293ada6",
            "project": project(), "environment": null})
        };
        assert_eq!(told(&host, job("failed")).0, "change.check");
        assert_eq!(told(&host, job("created")).0, "event.gitlab.build");

        let flag = json!({"object_kind": "feature_flag", "project": project(), "user": user(),
            "object_attributes": {"id": 6, "name": "test-feature-flag", "active": true}});
        let (kind, _, attributes) = told(&host, flag);
        assert_eq!((kind.as_str(), &attributes["version"]), ("change.flag", &json!("on")));

        let release = json!({"object_kind": "release", "action": "create", "tag": "v1.1", "name": "v1.1",
            "project": project(), "released_at": "2027-01-15 07:55:12 UTC", "url": "https://x.example/releases/v1.1"});
        let (kind, _, attributes) = told(&host, release);
        assert_eq!((kind.as_str(), &attributes["version"]), ("change.release", &json!("v1.1")));

        let push = |kind: &str, reference: &str, after: &str| {
            json!({"object_kind": kind, "ref": reference, "after": after,
            "user_username": "jsmith", "project": project(), "commits": [{"title": "one"}, {"title": "fixed readme"}]})
        };
        let (kind, _, attributes) = told(&host, push("push", "refs/heads/master", "da156088"));
        assert_eq!((kind.as_str(), &attributes["title"]), ("change.push", &json!("fixed readme")));
        assert_eq!(told(&host, push("push", "refs/heads/topic", "da156088")).0, "event.gitlab.push");
        assert_eq!(told(&host, push("tag_push", "refs/tags/v1.0.0", "82b3d5ae")).0, "change.tag");
        assert_eq!(told(&host, push("tag_push", "refs/tags/v1.0.0", "0000000000")).0, "event.gitlab.tag_push");
        assert_eq!(
            told(&host, json!({"event_name": "project_create", "path_with_namespace": "g/p"})).1,
            "service:default/p"
        );
    }

    #[test]
    fn a_wrong_token_stores_nothing() {
        let host = Host::new();
        for headers in [vec![], vec![("x-gitlab-token", "a toke")], vec![("x-gitlab-token", "")]] {
            let refused = send_with(&host, &headers, &deployment("success"), &Places::default()).unwrap_err();
            assert_eq!(refused.kind, BadKind::Unauthenticated);
        }
        let header = header_of(&[("x-gitlab-token", "a token")]);
        let refused = host.ingest.gitlab(&host.request, &header, b"junk", &[], &Places::default()).unwrap_err();
        assert_eq!(refused.kind, BadKind::Unauthenticated, "without a token in the settings nobody is let in");
        assert!(host.ingest.directory.read().entities().is_empty());
        let bad = |body: &[u8]| {
            host.ingest
                .gitlab(&host.request, &header, body, &["a token".to_owned()], &Places::default())
                .unwrap_err()
                .reason
        };
        assert!(bad(b"junk").contains("expected") && bad(b"[]").contains("object_kind"));
    }

    #[test]
    fn a_delivery_is_taken_once() {
        let host = Host::new();
        let send = |headers: &[(&str, &str)], status: &str| {
            let mut all = vec![("x-gitlab-token", "a token")];
            all.extend(headers);
            let decoded = send_with(&host, &all, &deployment(status), &Places::default()).unwrap();
            host.ingest.taken(&decoded.once);
            (decoded.written.events, decoded.written.repeated)
        };
        let uuid = [("x-gitlab-event-uuid", "13792a34")];
        assert_eq!([send(&uuid, "running"), send(&uuid, "running")], [(1, 0), (0, 1)]);
        assert_eq!(send(&uuid, "success"), (1, 0), "hooks that one event sets off share the id");
        let key = [("x-gitlab-event-uuid", "13792a34"), ("idempotency-key", "f5e57")];
        assert_eq!([send(&key, "running"), send(&key, "running")], [(1, 0), (0, 1)]);
        assert_eq!([send(&[], "failed"), send(&[], "failed")], [(1, 0), (0, 1)]);
    }
}
