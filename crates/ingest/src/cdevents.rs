//! CDEvents 0.3 to 0.6 in CloudEvents: services and environments become changes of their entities; merges, pipelines,
//! artifacts and failed tests are shown beside them; everything else is kept under its own type.
//!
//! Source: CDEvents specification 0.5.1, and its binding for CloudEvents.

use serde_json::Value;
use types::EntityId;

use crate::cloudevents::CloudEvent;
use crate::limits::show;
use crate::outside::{Names, Places, SENTENCE, Told, WORD, percent_decoded, str_at, text_at};

/// Reads one event; `kind` is its type without `dev.cdevents.`, e.g. `service.deployed.0.3.0`.
pub(crate) fn tell(event: &CloudEvent, kind: &str, places: &Places, names: &mut Names) -> Result<Told, String> {
    let mut parts = kind.split('.');
    let (Some(thing), Some(what)) = (parts.next(), parts.next()) else {
        return Err(format!("type {:?}: dev.cdevents.<subject>.<predicate>.<version> is expected", show(&event.kind)));
    };
    let subject = event.data.as_ref().and_then(|data| data.get("subject"));
    let subject = subject.filter(|subject| subject.is_object()).ok_or("data.subject is missing: this is no CDEvent")?;
    let id = text_at(subject, "id").map(|id| id.into_owned()).or_else(|| event.subject.clone());
    let id = id.ok_or("data.subject.id is missing")?;
    let content = subject.get("content").unwrap_or(&Value::Null);
    let read = Read { thing, what, id: &id, content };
    let told = match thing {
        "service" => read.service(names),
        "environment" => {
            let name = str_at(content, "name").unwrap_or(&id);
            Some(Told::change("infrastructure", entity("environment", name)).word("title", Some(what)))
        }
        "change" if what == "merged" => Some(Told::change("merge", read.repository(names))),
        "pipelinerun" | "build" if what == "finished" => {
            let name = str_at(content, "pipelineName").unwrap_or(&event.source);
            Some(Told::change("pipeline", entity("pipeline", name)).word("title", Some(name)))
        }
        "taskrun" if what == "finished" && read.failed() => {
            let name = str_at(content, "taskName").unwrap_or(&event.source);
            Some(Told::change("check", entity("pipeline", name)).word("title", Some(name)))
        }
        "testcaserun" | "testsuiterun" if what == "finished" && read.failed() => {
            let name = str_at(content, "testSuite.name").or(str_at(content, "testCase.name")).unwrap_or(&event.source);
            Some(Told::change("test", entity("test", name)).word("title", Some(name)))
        }
        "artifact" if what == "published" => Some(read.artifact(names)),
        _ => None,
    };
    // A deployment to an environment that is not observed explains nothing here.
    let told = told.filter(|_| places.watches(text_at(content, "environment.id").as_deref()));
    Ok(read.describe(told.unwrap_or_else(|| read.other(event, names))))
}

struct Read<'a> {
    thing: &'a str,
    what: &'a str,
    id: &'a str,
    content: &'a Value,
}

impl Read<'_> {
    fn service(&self, names: &mut Names) -> Option<Told> {
        let kind = match self.what {
            "deployed" | "upgraded" => "deployment",
            "rolledback" => "rollback",
            "published" => "published",
            "removed" => "removal",
            _ => return None,
        };
        let artifact = str_at(self.content, "artifactId").and_then(Package::read);
        // An id that says nothing (a number of the sender's) may still come with an artifact that is known.
        let by_id = names.entity(self.id);
        let known = names.known_service(by_id.name()).is_some();
        let by_artifact = artifact.as_ref().filter(|_| !known).and_then(|package| names.known_service(&package.name));
        let version = artifact.and_then(|package| package.version);
        Some(Told::change(kind, by_artifact.unwrap_or(by_id)).word("version", version.as_deref()))
    }

    fn artifact(&self, names: &mut Names) -> Told {
        let package = Package::read(self.id);
        let name = package.as_ref().map_or(self.id, |package| package.name.as_str());
        let entity = names.known_service(name).unwrap_or_else(|| entity("artifact", name));
        let version = package.as_ref().and_then(|package| package.version.as_deref());
        Told::change("artifact", entity).word("version", version).word("author", str_at(self.content, "user"))
    }

    /// What is understood no further: kept with its type, about the service or repository that it names.
    fn other(&self, event: &CloudEvent, names: &mut Names) -> Told {
        let about = match (text_at(self.content, "service.id"), text_at(self.content, "repository.id")) {
            (Some(service), _) => names.entity(&service),
            (_, Some(_)) => self.repository(names),
            _ if self.thing == "service" => names.entity(self.id),
            _ => entity("source", &event.source),
        };
        let version = str_at(self.content, "artifactId").and_then(Package::read).and_then(|package| package.version);
        let told = Told::event(&format!("dev.cdevents.{}.{}", self.thing, self.what), about);
        told.word("version", version.as_deref())
            .text("subject", Some(self.id), SENTENCE)
            .text("title", str_at(self.content, "description").or(str_at(self.content, "summary")), SENTENCE)
            .data(Some(self.content))
    }

    fn repository(&self, names: &mut Names) -> EntityId {
        let id = text_at(self.content, "repository.id").unwrap_or_default();
        names.service(&id, None, None)
    }

    fn describe(&self, told: Told) -> Told {
        let content = self.content;
        let outcome = str_at(content, "outcome");
        told.word("environment", text_at(content, "environment.id").as_deref())
            .word("repository", text_at(content, "repository.id").as_deref())
            .word("outcome", outcome)
            .text("reason", str_at(content, "errors").or(str_at(content, "reason")), SENTENCE)
            .link(["uri", "ticketURI", "viewUrl"].map(|name| str_at(content, name)))
    }

    fn failed(&self) -> bool {
        !matches!(str_at(self.content, "outcome"), None | Some("success" | "pass" | "passed" | "skip" | "skipped"))
    }
}

fn entity(kind: &str, name: &str) -> EntityId {
    EntityId::new(kind, "", &name.chars().take(WORD).collect::<String>())
}

/// Name and version of a package URL, `pkg:type/namespace/name@version?qualifiers#subpath`.
struct Package {
    name: String,
    version: Option<String>,
}

impl Package {
    /// Source: package-url/purl-spec. The tag of an image says more than its digest, of which twelve digits are kept.
    fn read(text: &str) -> Option<Package> {
        let rest = text.trim().strip_prefix("pkg:")?;
        let rest = rest.split('#').next()?;
        let (path, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
        let last = path.trim_matches('/').rsplit('/').next()?;
        let (name, version) = last.split_once('@').map_or((last, None), |(name, version)| (name, Some(version)));
        let plain = |text: &str| percent_decoded(text.as_bytes(), false).filter(|text| !text.is_empty());
        let tag = qualifiers.split('&').find_map(|pair| pair.strip_prefix("tag=")).and_then(plain);
        let version = version.and_then(plain).map(|version| match version.strip_prefix("sha256:") {
            Some(digest) => format!("sha256:{}", digest.chars().take(12).collect::<String>()),
            None => version,
        });
        Some(Package { name: plain(name)?, version: tag.or(version) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use types::EntityId;

    use super::*;
    use crate::Decoded;
    use crate::outside::fixtures::{Host, header_of};

    fn send_to(host: &Host, places: &Places, kind: &str, subject: Value) -> Decoded {
        let id = format!("{kind} {subject}");
        let context = json!({"version": "0.5.1", "id": id, "source": "/event/source/123", "type": kind});
        let event = json!({"specversion": "1.0", "id": id, "source": "/event/source/123", "type": kind,
            "subject": subject["id"], "time": "2027-01-15T07:59:00Z", "datacontenttype": "application/json",
            "data": {"context": context, "subject": subject}});
        let header = header_of(&[("content-type", "application/cloudevents+json")]);
        host.ingest.cloudevents(&host.request, &header, event.to_string().as_bytes(), places).unwrap()
    }

    fn send(host: &Host, kind: &str, subject: Value) -> (String, String, Value) {
        host.row(&send_to(host, &Places::default(), kind, subject), 0)
    }

    const IMAGE: &str = "pkg:oci/myapp@sha256%3A0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427";

    /// Subjects of the specification's own conformance examples, as they are in release 0.5.1.
    #[test]
    fn the_examples_of_the_specification() {
        let host = Host::new();
        let service = |content: Value| json!({"id": "mySubject123", "source": "/event/source/123", "content": content});
        let deployed = json!({"environment": {"id": "test123"}, "artifactId": IMAGE});
        let repository = json!({"repository": {"id": "TestRepo/TestOrg", "source": "https://example.org"}});
        let failed = json!({"pipelineName": "myPipeline", "uri": "https://www.example.com/mySubject123",
            "outcome": "failure", "errors": "Something went wrong\nWith some more details"});
        let environment = json!({"name": "testEnv", "uri": "https://example.org/testEnv"});
        let subject = "service:default/mySubject123";
        for (kind, content, expected, entity) in [
            ("service.deployed.0.3.0", &deployed, "change.deployment", subject),
            ("service.upgraded.0.3.0", &deployed, "change.deployment", subject),
            ("service.rolledback.0.3.0", &deployed, "change.rollback", subject),
            ("service.published.0.3.0", &deployed, "change.published", subject),
            ("service.removed.0.3.0", &deployed, "change.removal", subject),
            ("environment.modified.0.3.0", &environment, "change.infrastructure", "environment:default/testEnv"),
            ("environment.deleted.0.3.0", &environment, "change.infrastructure", "environment:default/testEnv"),
            ("change.merged.0.3.0", &repository, "change.merge", "service:default/TestOrg"),
            ("change.created.0.4.0", &repository, "event.dev.cdevents.change.created", "service:default/TestOrg"),
            ("pipelinerun.finished.0.3.0", &failed, "change.pipeline", "pipeline:default/myPipeline"),
            (
                "pipelinerun.started.0.3.0",
                &failed,
                "event.dev.cdevents.pipelinerun.started",
                "source:default//event/source/123",
            ),
            ("taskrun.finished.0.3.0", &failed, "change.check", "pipeline:default//event/source/123"),
            ("branch.deleted.0.3.0", &repository, "event.dev.cdevents.branch.deleted", "service:default/TestOrg"),
        ] {
            let (told, about, attributes) = send(&host, &format!("dev.cdevents.{kind}"), service(content.clone()));
            assert_eq!((told.as_str(), about.as_str()), (expected, entity), "{kind}");
            assert_eq!(attributes["type"], json!(format!("dev.cdevents.{kind}")));
            if content == &deployed {
                assert_eq!(attributes["version"], json!("sha256:0b31b1c02ff4"), "{kind}");
                assert_eq!(attributes["environment"], json!("test123"), "{kind}");
            }
            if content == &failed {
                assert_eq!(attributes["reason"], json!("Something went wrong With some more details"));
                assert_eq!(attributes["link"], json!("https://www.example.com/mySubject123"));
            }
        }
    }

    #[test]
    fn artifacts_tests_and_incidents() {
        let host = Host::new();
        let artifact = json!({"id": "pkg:golang/mygit.com/myorg/myapp@234fd47e07d1004f0aed9c",
            "source": "/event/source/123", "content": {"user": "mybot-myapp"}});
        let (kind, entity, attributes) = send(&host, "dev.cdevents.artifact.published.0.3.0", artifact);
        assert_eq!((kind.as_str(), entity.as_str()), ("change.artifact", "artifact:default/myapp"));
        assert_eq!(
            (&attributes["version"], &attributes["author"]),
            (&json!("234fd47e07d1004f0aed9c"), &json!("mybot-myapp"))
        );

        let test = |outcome: &str| {
            json!({"id": "myTestCaseRun123", "content": {"outcome": outcome,
            "environment": {"id": "dev"}, "testCase": {"id": "92834723894", "name": "Login Test"}}})
        };
        let finished = "dev.cdevents.testcaserun.finished.0.3.0";
        assert_eq!(send(&host, finished, test("success")).0, "event.dev.cdevents.testcaserun.finished");
        let (kind, entity, _) = send(&host, finished, test("failure"));
        assert_eq!((kind.as_str(), entity.as_str()), ("change.test", "test:default/Login Test"));

        let incident = json!({"id": "incident-123", "source": "/monitoring/prod1", "content": {
            "description": "Response time above threshold of 100ms", "environment": {"id": "prod1"},
            "service": {"id": "myApp", "source": "/clusterA/namespaceB"}, "artifactId": IMAGE,
            "ticketURI": "https://my-issues.example/incidents/ticket-345"}});
        let (kind, entity, attributes) = send(&host, "dev.cdevents.incident.reported.0.3.0", incident);
        // It must not look like what a person does to one of our own incidents.
        assert_eq!((kind.as_str(), entity.as_str()), ("event.dev.cdevents.incident.reported", "service:default/myApp"));
        assert_eq!(attributes["title"], json!("Response time above threshold of 100ms"));
        assert_eq!(attributes["link"], json!("https://my-issues.example/incidents/ticket-345"));
        assert_eq!(attributes["subject"], json!("incident-123"));
    }

    #[test]
    fn an_unknown_service_id_is_found_by_its_artifact() {
        let host = Host::new();
        host.ingest.directory.write().entity(&EntityId::new("service", "shop", "myapp"));
        let subject = |id: &str| json!({"id": id, "content": {"environment": {"id": "prod"}, "artifactId": IMAGE}});
        let kind = "dev.cdevents.service.deployed.0.3.0";
        assert_eq!(send(&host, kind, subject("8f14e45f-ceea")).1, "service:shop/myapp");
        assert_eq!(send(&host, kind, subject("/clusters/eu/services/myapp")).1, "service:shop/myapp");
        let said = EntityId::parse("service:shop/front").unwrap();
        let places = Places::new([("8f14e45f-ceea".to_owned(), said)], vec!["prod".into()]);
        let to = |environment: &str| {
            let subject = json!({"id": "8f14e45f-ceea", "content": {"environment": {"id": environment}}});
            host.row(&send_to(&host, &places, kind, subject), 0)
        };
        assert_eq!((to("prod").0, to("prod").1), ("change.deployment".into(), "service:shop/front".into()));
        let (kind, entity, attributes) = to("staging");
        assert_eq!((kind.as_str(), entity.as_str()), ("event.dev.cdevents.service.deployed", "service:shop/front"));
        assert_eq!(attributes["environment"], json!("staging"));
    }

    #[test]
    fn what_is_no_cdevent_is_said_to_be_none() {
        let host = Host::new();
        let send = |kind: &str, data: Value| {
            let event = json!({"specversion": "1.0", "id": "1", "source": "s", "type": kind, "data": data});
            let header = header_of(&[("content-type", "application/cloudevents+json")]);
            host.ingest.cloudevents(&host.request, &header, event.to_string().as_bytes(), &Places::default())
        };
        assert!(
            send("dev.cdevents.service.deployed.0.3.0", json!({}))
                .unwrap_err()
                .reason
                .contains("data.subject is missing")
        );
        assert!(
            send("dev.cdevents.service.deployed.0.3.0", json!({"subject": {}}))
                .unwrap_err()
                .reason
                .contains("data.subject.id")
        );
        assert!(send("dev.cdevents.service", json!({})).unwrap_err().reason.contains("type"));
        assert!(send("dev.cdeventsx.acme.thing.moved.0.1.0", json!({})).is_ok(), "custom ones are kept as they are");
    }

    #[test]
    fn package_urls() {
        let of = |text: &str| Package::read(text).map(|package| (package.name, package.version.unwrap_or_default()));
        let pair = |name: &str, version: &str| Some((name.to_owned(), version.to_owned()));
        assert_eq!(of("pkg:npm/%40acme/web@12.3.1"), pair("web", "12.3.1"));
        assert_eq!(of("pkg:oci/app@sha256%3Aabcdef0123456789?repository_url=r&tag=1.4.2"), pair("app", "1.4.2"));
        assert_eq!(
            of("pkg:docker/customer/dockerimage@sha256:244fd47e07d1004f0aed9c?x=y#sub"),
            pair("dockerimage", "sha256:244fd47e07d1")
        );
        assert_eq!(of("pkg:maven/org.acme/batik@1.9.1+b"), pair("batik", "1.9.1+b"));
        assert_eq!(of("pkg:pypi/django"), pair("django", ""));
        assert_eq!((of("1.2.3"), of("pkg:"), of("pkg:oci/@1")), (None, None, None));
    }
}
