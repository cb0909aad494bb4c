//! Where a version comes from and what became of it: data, the run that read it, the logged model, the version, the
//! names that mean it, and the times at which it was in use; beside it the versions that share its data or its run.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    Problem,
    book::Book,
    moves::{Move, What},
    registry::{RegisteredModel, Stage, Version},
    runs::{DatasetInput, Run},
};

/// Most nodes of one kind.
pub const NODES_OF_A_KIND: usize = 50;
/// The tag of a run that names the run it is a part of.
const PARENT: &str = "mlflow.parentRunId";
/// The tag of a data set that says what a run used it for.
pub(crate) const CONTEXT: &str = "mlflow.data.context";

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A data set.
    DataSet,
    /// A run.
    Run,
    /// A logged model.
    LoggedModel,
    /// A version in the registry.
    Version,
    /// An alias.
    Alias,
    /// A stage.
    Stage,
    /// A move that put the version in use, or took it out of use.
    Deployment,
}

/// What stands in a lineage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Its name within the lineage, such as `run:0123…` or `version:iris/3`.
    pub id: String,
    /// For people.
    pub title: String,
    /// When it began or was made, ms, where that is known.
    pub at: Option<i64>,
}

/// One node led to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Edge {
    /// The id of the earlier.
    pub from: String,
    /// The id of the later.
    pub to: String,
    /// How, to be read from the earlier to the later: `was read by`.
    pub means: String,
}

/// The lineage of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lineage {
    /// All that stands in it, once.
    pub nodes: Vec<Node>,
    /// What led to what; each names nodes that are there.
    pub edges: Vec<Edge>,
    /// How many nodes were left out: at most [`NODES_OF_A_KIND`] of a kind are shown.
    pub more: usize,
}

/// Where a version comes from and what became of it.
///
/// # Errors
/// A version that is not there.
pub fn lineage(book: &Book, name: &str, version: u64) -> Result<Lineage, Problem> {
    let (model, version) = book.version(name, &version.to_string())?;
    let mut found = Lineage::default();
    let own = found.version(model, version);
    found.upstream(book, version, &own);
    found.names(model, version.version, &own);
    found.deployments(book, model, version.version, &own);
    found.relatives(book, model, version);
    Ok(found)
}

impl Lineage {
    /// Puts a node in; its id, or nothing where there is no room for it.
    fn add(&mut self, kind: Kind, id: String, title: String, at: Option<i64>) -> Option<String> {
        if self.nodes.iter().any(|node| node.id == id) {
            return Some(id);
        }
        if self.nodes.iter().filter(|node| node.kind == kind).count() >= NODES_OF_A_KIND {
            self.more += 1;
            return None;
        }
        self.nodes.push(Node { kind, id: id.clone(), title, at });
        Some(id)
    }

    fn join(&mut self, from: &str, to: &str, means: &str) {
        let edge = Edge { from: from.to_owned(), to: to.to_owned(), means: means.to_owned() };
        if !self.edges.contains(&edge) {
            self.edges.push(edge);
        }
    }

    /// A version, which is always let in as the first of its kind.
    fn version(&mut self, model: &RegisteredModel, version: &Version) -> String {
        self.other_version(model, version).unwrap_or_default()
    }

    fn other_version(&mut self, model: &RegisteredModel, version: &Version) -> Option<String> {
        let title = format!("{} version {}", model.name, version.version);
        self.add(Kind::Version, version_id(&model.name, version.version), title, Some(version.created))
    }

    fn run(&mut self, run: &Run) -> Option<String> {
        self.add(Kind::Run, format!("run:{}", run.id), format!("run {}", run.name), Some(run.start))
    }

    /// Data, runs and models before the version.
    fn upstream(&mut self, book: &Book, version: &Version, own: &str) {
        let logged = self.logged(book, &version.model);
        if let Some(logged) = &logged {
            self.join(logged, own, "was registered as");
        }
        if let Some((model, copied)) = copied_from(book, version)
            && let Some(source) = self.other_version(model, copied)
        {
            self.join(&source, own, "was copied to");
        }
        let Ok((run, _)) = book.run(&version.run) else { return };
        let Some(run_node) = self.run(run) else { return };
        self.join(&run_node, logged.as_deref().unwrap_or(own), "made");
        if let Some((parent, _)) = run.tags.get(PARENT).and_then(|id| book.run(id).ok())
            && let Some(parent) = self.run(parent)
        {
            self.join(&parent, &run_node, "has the part");
        }
        for dataset in &run.datasets {
            if let Some(data) = self.data(dataset) {
                self.join(&data, &run_node, &means_of(dataset));
            }
        }
        for input in &run.model_inputs {
            if let Some(input) = self.logged(book, input) {
                self.join(&input, &run_node, "was used by");
            }
        }
    }

    fn logged(&mut self, book: &Book, id: &str) -> Option<String> {
        let model = book.logged_model(id, true).ok()?;
        self.add(Kind::LoggedModel, format!("model:{id}"), format!("logged model {}", model.name), Some(model.created))
    }

    fn data(&mut self, dataset: &DatasetInput) -> Option<String> {
        self.add(Kind::DataSet, data_id(dataset), format!("data set {}", dataset.name), None)
    }

    /// Aliases and the stage.
    fn names(&mut self, model: &RegisteredModel, number: u64, own: &str) {
        for alias in model.aliases_of(number) {
            let id = format!("alias:{}@{alias}", model.name);
            if let Some(id) = self.add(Kind::Alias, id, format!("alias {alias}"), None) {
                self.join(own, &id, "is meant by");
            }
        }
        let stage = model.versions.get(&number).map_or(Stage::None, |version| version.stage);
        if stage != Stage::None {
            let id = format!("stage:{}/{}", model.name, stage.name());
            if let Some(id) = self.add(Kind::Stage, id, format!("stage {}", stage.name()), None) {
                self.join(own, &id, "is in");
            }
        }
    }

    /// Moves that put it in use or took it out of use, the newest where there are too many.
    fn deployments(&mut self, book: &Book, model: &RegisteredModel, number: u64, own: &str) {
        let own_moves = moves_since_registered(book, &model.name, number);
        let changes = own_moves.iter().filter(|made| (made.before == Some(number)) != (made.after == Some(number)));
        let mut kept: Vec<&&Move> = changes.rev().collect();
        self.more += kept.len().saturating_sub(NODES_OF_A_KIND);
        kept.truncate(NODES_OF_A_KIND);
        for made in kept.into_iter().rev() {
            let begins = made.after == Some(number);
            let title = if begins { "in use" } else { "out of use" };
            let Some(id) = self.add(Kind::Deployment, format!("move:{}", made.number), title.to_owned(), Some(made.at))
            else {
                continue;
            };
            self.join(own, &id, if begins { "was put in use by" } else { "was taken out of use by" });
        }
    }

    /// Versions whose run read the same data, or is the same.
    fn relatives(&mut self, book: &Book, model: &RegisteredModel, version: &Version) {
        for relative in relatives(book, model, version) {
            let Some(node) = self.other_version(relative.model, relative.version) else { continue };
            let (shared, means) = match relative.same_run {
                true => (vec![format!("run:{}", version.run)], "also made"),
                false => (relative.shared.into_iter().map(data_id).collect(), "was also read for"),
            };
            for id in shared {
                if self.nodes.iter().any(|node| node.id == id) {
                    self.join(&id, &node, means);
                }
            }
        }
    }
}

/// Another version whose run read the same data, or is the same.
pub(crate) struct Relative<'a> {
    pub model: &'a RegisteredModel,
    pub version: &'a Version,
    /// Whether one run made both.
    pub same_run: bool,
    /// Data sets of the version's own run, which the other's run read too.
    shared: Vec<&'a DatasetInput>,
}

/// All of them, by model and number.
pub(crate) fn relatives<'a>(book: &'a Book, model: &RegisteredModel, version: &Version) -> Vec<Relative<'a>> {
    let Ok((run, _)) = book.run(&version.run) else { return Vec::new() };
    let relative = |(model, version, other): (&'a RegisteredModel, &'a Version, &'a Run)| {
        let digests: BTreeSet<&str> = digests(other).collect();
        let shared = run.datasets.iter().filter(|data| digests.contains(data.digest.as_str())).collect();
        Relative { model, version, same_run: other.id == run.id, shared }
    };
    let is_itself = |of: &Relative| (&of.model.name, of.version.version) == (&model.name, version.version);
    let all = book.versions_with_runs().map(relative);
    all.filter(|of| !is_itself(of) && (of.same_run || !of.shared.is_empty())).collect()
}

impl Book {
    /// All versions whose run is known, with it.
    fn versions_with_runs(&self) -> impl Iterator<Item = (&RegisteredModel, &Version, &Run)> {
        let versions = self.registered_models().flat_map(|model| model.versions.values().map(move |v| (model, v)));
        versions.filter_map(|(model, version)| Some((model, version, self.run(&version.run).ok()?.0)))
    }
}

/// The moves of a model since this version of it came, in order. A model that was removed and made again begins anew.
pub(crate) fn moves_since_registered<'a>(book: &'a Book, name: &'a str, number: u64) -> Vec<&'a Move> {
    let all: Vec<&Move> = book.moves_of(name).collect();
    let came = |made: &&Move| matches!(made.what, What::Registered { version } if version == number);
    let first = all.iter().rposition(came).unwrap_or(0);
    all[first..].to_vec()
}

fn copied_from<'a>(book: &'a Book, version: &Version) -> Option<(&'a RegisteredModel, &'a Version)> {
    let path = version.source.strip_prefix("models:/").filter(|path| path.contains('/'))?;
    book.named_version(path).ok()
}

fn version_id(name: &str, number: u64) -> String {
    format!("version:{name}/{number}")
}

fn data_id(dataset: &DatasetInput) -> String {
    match dataset.digest.as_str() {
        "" => format!("data:{}", dataset.name),
        digest => format!("data:{digest}"),
    }
}

fn means_of(dataset: &DatasetInput) -> String {
    match dataset.tags.get(CONTEXT).filter(|context| !context.is_empty()) {
        Some(context) => format!("was read ({context}) by"),
        None => "was read by".to_owned(),
    }
}

fn digests(run: &Run) -> impl Iterator<Item = &str> {
    run.datasets.iter().map(|data| data.digest.as_str()).filter(|digest| !digest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{logged::NewLoggedModel, registry::NewVersion, runs::NewRun, serving::CHAMPION};

    fn data(name: &str, digest: &str) -> DatasetInput {
        DatasetInput { name: name.into(), digest: digest.into(), ..DatasetInput::default() }
    }

    fn book() -> Book {
        let mut book = Book::default();
        book.ensure_default(1);
        for name in ["iris", "flowers"] {
            book.create_registered(name, "", vec![], 1).unwrap();
        }
        book
    }

    fn run(book: &mut Book, datasets: Vec<DatasetInput>) -> String {
        let id = book.create_run(NewRun { experiment: "0".into(), ..NewRun::default() }).unwrap().id.clone();
        book.log_inputs(&id, datasets, vec![]).unwrap();
        id
    }

    fn register(book: &mut Book, name: &str, run: &str) {
        let source = format!("runs:/{run}/model");
        book.create_version(NewVersion { name: name.into(), source, run: run.into(), ..NewVersion::default() }, 5)
            .unwrap();
    }

    /// Edges as text, ids of runs and logged models without their digits.
    fn told(lineage: &Lineage) -> Vec<String> {
        let plain = |id: &str| match id.split_once(':') {
            Some((kind @ ("run" | "model"), _)) => kind.to_owned(),
            _ => id.to_owned(),
        };
        lineage.edges.iter().map(|edge| format!("{} {} {}", plain(&edge.from), edge.means, plain(&edge.to))).collect()
    }

    #[test]
    fn it_leads_from_data_to_what_answers() {
        let mut book = book();
        let run = run(&mut book, vec![data("train", "d1")]);
        let new = NewLoggedModel { experiment: "0".into(), source_run: run.clone(), ..NewLoggedModel::default() };
        let logged = book.create_logged_model(new, 3).unwrap().id.clone();
        let new = NewVersion {
            name: "iris".into(),
            source: format!("models:/{logged}"),
            model: logged,
            ..NewVersion::default()
        };
        book.act_as("ann", 5);
        book.create_version(new, 5).unwrap();
        book.transition("iris", "1", "Production", false, 6).unwrap();
        book.set_alias("iris", CHAMPION, "1").unwrap();
        assert_eq!(
            told(&lineage(&book, "iris", 1).unwrap()),
            [
                "model was registered as version:iris/1",
                "run made model",
                "data:d1 was read by run",
                "version:iris/1 is meant by alias:iris@champion",
                "version:iris/1 is in stage:iris/Production",
                "version:iris/1 was put in use by move:1",
            ]
        );
        assert!(lineage(&book, "iris", 2).is_err() && lineage(&book, "none", 1).is_err());
    }

    #[test]
    fn relatives_share_data_or_the_run_and_nothing_else() {
        let mut book = book();
        let [one, two, three] =
            [data("train", "d1"), data("other name", "d1"), data("train", "d3")].map(|d| run(&mut book, vec![d]));
        for (name, run) in [("iris", &one), ("flowers", &one), ("flowers", &two), ("flowers", &three)] {
            register(&mut book, name, run);
        }
        let found = lineage(&book, "iris", 1).unwrap();
        let others: Vec<String> = told(&found).into_iter().filter(|edge| edge.contains("also")).collect();
        assert_eq!(others, ["run also made version:flowers/1", "data:d1 was also read for version:flowers/2"]);
        let no_digest = run(&mut book, vec![data("train", "")]);
        register(&mut book, "iris", &no_digest);
        register(&mut book, "flowers", &no_digest);
        assert!(told(&lineage(&book, "iris", 2).unwrap()).contains(&"data:train was read by run".to_owned()));
    }

    #[test]
    fn it_is_bounded_and_names_only_what_it_shows() {
        let mut book = book();
        let many = (0..80).map(|n| data(&format!("part {n}"), &format!("d{n}"))).collect();
        let run = run(&mut book, many);
        for _ in 0..80 {
            register(&mut book, "iris", &run);
        }
        for at in 0..60 {
            book.act_as("ann", 10 + at);
            book.set_alias("iris", CHAMPION, if at % 2 == 0 { "80" } else { "1" }).unwrap();
        }
        let found = lineage(&book, "iris", 1).unwrap();
        assert_eq!(found.nodes.len(), 1 + 50 + 50 + 50 + 1, "a run, data, versions, moves, an alias");
        assert_eq!(found.more, 30 + 30 + (2 + 59 - 50));
        let is_there = |id: &str| found.nodes.iter().any(|node| node.id == id);
        assert!(found.edges.iter().all(|edge| is_there(&edge.from) && is_there(&edge.to)));
        assert_eq!(found.nodes.last().map(|node| node.kind), Some(Kind::Version));
        assert_eq!(found, lineage(&book, "iris", 1).unwrap());
    }
}
