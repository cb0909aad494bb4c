//! Cards and lineage of versions: what the book knows, with what was seen of them here.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{Method, header},
    response::{IntoResponse, Response},
};
use models::{
    artifacts::ArtifactPath,
    card::{Answers, FileSeen, FindingSeen, Performance, Seen, Stated, card},
    lineage::{Lineage, lineage},
    serving::Which,
};
use serde::Deserialize;
use types::{Finding, Time};

use crate::{
    auth::Permission,
    errors::ApiError,
    rest::incidents::all_findings,
    routes::Routes,
    serving::{bytes, whose},
    state::{App, now},
};

pub fn add(routes: &mut Routes) {
    routes.add(
        Method::GET,
        "/api/v1/models/{name}/versions/{version}/card",
        Permission::Read,
        "The card of a version: what it is, of what it was made, how well it does, what is not known; format=json, markdown or html",
        card_of,
    );
    routes.add(
        Method::GET,
        "/api/v1/models/{name}/versions/{version}/lineage",
        Permission::Read,
        "From data set to run to model to version to use: what a version came from, and what came of it",
        lineage_of,
    );
}

#[derive(Deserialize)]
struct Form {
    format: Option<String>,
}

type Shared = State<Arc<App>>;

async fn card_of(
    State(app): Shared,
    Path((name, version)): Path<(String, String)>,
    Query(form): Query<Form>,
) -> Result<Response, ApiError> {
    let format = form.format.unwrap_or_else(|| "json".into());
    let number = app.models.read(|book| book.answering(&name, &Which::of(&version)).map(|version| version.version))?;
    let seen = seen(&app, &name, number).await?;
    let card = app.models.read(|book| card(book, &name, number, &seen))?;
    match format.as_str() {
        "json" => Ok(Json(card).into_response()),
        "markdown" => {
            Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], card.to_markdown()).into_response())
        }
        "html" => {
            let content = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                // It needs nothing but its own styles; whatever stands in it runs nothing.
                (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; sandbox"),
            ];
            Ok((content, card.to_html()).into_response())
        }
        other => Err(ApiError::bad_request(format!("not a format of cards: {other:?}; json, markdown and html are"))),
    }
}

async fn lineage_of(
    State(app): Shared,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<Lineage>, ApiError> {
    let found = app.models.read(|book| {
        let number = book.answering(&name, &Which::of(&version))?.version;
        lineage(book, &name, number)
    })?;
    Ok(Json(found))
}

/// What was seen here of a version.
async fn seen(app: &Arc<App>, name: &str, version: u64) -> Result<Seen, ApiError> {
    let at = now();
    let folder = app.models.read(|book| {
        let version = book.answering(name, &Which::Number(version)).ok()?;
        ArtifactPath::parse(&book.folder_of(version).ok()?).ok()
    });
    let files = folder.as_ref().map(|folder| app.models.look_at_files(|tree| FileSeen::of_folder(tree, folder)));
    let stated = match &folder {
        Some(folder) => stated(app, folder).await,
        None => None,
    };
    let loaded = app.serving.loaded().into_iter().find(|l| l.model.name == name && l.model.version == version);
    let rows = app.models.read(|book| book.observed(name, version).map_or(0, |observed| observed.rows));
    let counts = loaded.as_ref().map(|loaded| &loaded.counts);
    let requests = counts.map(|counts| counts.answered.load(Ordering::Relaxed));
    let answers = Answers {
        rows: rows.max(counts.map_or(0, |counts| counts.rows.load(Ordering::Relaxed))),
        requests,
        refused: counts.map(|counts| counts.refused.load(Ordering::Relaxed)),
        ..Answers::default()
    };
    let findings = all_findings(app, None, Time(0), at.plus(1)).await?;
    let findings = findings.iter().filter_map(|finding| found(finding, name, version)).collect();
    let performance = app.models.read(|book| {
        let difference = book.observed(name, version).and_then(|o| o.difference.map(|by| (by, o.pairs)));
        let against = difference.map(|(value, rows)| Performance {
            metric: "error less that of the version before it".into(),
            value,
            rows,
            ..Performance::default()
        });
        against.into_iter().collect()
    });
    Ok(Seen { at: at.0 / 1_000_000, stated, files, answers: Some(answers), performance, findings, ..Seen::default() })
}

/// What its `MLmodel` says.
async fn stated(app: &Arc<App>, folder: &ArtifactPath) -> Option<Stated> {
    let entry = app.models.entry(&folder.join("MLmodel").ok()?)?;
    let content = bytes(app, entry).await.ok()?;
    Some(Stated::of_mlmodel(&serve::MlModel::page(&content).ok()?))
}

/// What an analysis said of a version.
fn found(finding: &Finding, name: &str, version: u64) -> Option<FindingSeen> {
    let (model, number, part) = whose(finding)?;
    (model == name && number == version).then(|| FindingSeen {
        measure: finding.measure.to_string(),
        scope: part.to_owned(),
        summary: finding.summary.clone(),
        ongoing: finding.ongoing,
        start: finding.start.0 / 1_000_000,
    })
}
