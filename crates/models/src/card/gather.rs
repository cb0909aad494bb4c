//! What the book knows of a version, in the order of the card.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::Value;

use super::{
    Approval, Card, Column, Data, DataName, DataSet, EARLIER, ENTRIES, Earlier, FORMAT, Fairness, FileSeen, GateSaid,
    Identity, Lifecycle, Listed, Live, Logged, MOVES, Metrics, Moved, Named, PROSE, Place, Purpose, Ratio, RunSaid,
    STATEMENTS, Seen, Signature, Stated, Statement, TEXT, Training,
    measures::{Measure, Phase, compare, measures},
    said, short,
};
use crate::{
    Book, Problem,
    book::{Lifecycle as Standing, Pairs},
    gates::Gate,
    lineage::{CONTEXT, moves_since_registered, relatives},
    moves::{Move, What},
    registry::{RegisteredModel, Stage, Version},
    runs::{DatasetInput, Run},
};

/// What old clients say of the models that a run logged.
const HISTORY: &str = "mlflow.log-model.history";
/// Tags of a run that tell of its code.
const CODE: [(&str, &str); 6] = [
    ("mlflow.source.name", "Source"),
    ("mlflow.source.type", "Kind of source"),
    ("mlflow.source.git.commit", "Commit"),
    ("mlflow.source.git.branch", "Branch"),
    ("mlflow.source.git.repoURL", "Repository"),
    ("mlflow.project.entryPoint", "Entry point"),
];
const COMMIT: &str = "mlflow.source.git.commit";
/// Tags of a model: columns by which groups are told apart, and the answer that people hope for.
const SENSITIVE: &str = "bellwether.sensitive";
const FAVOURABLE: &str = "bellwether.favourable";
/// Ends of names of files that are pickles, or hold some.
const PICKLES: [&str; 7] = [".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".pt", ".pth"];

pub(super) fn gather(book: &Book, name: &str, version: u64, seen: &Seen) -> Result<Card, Problem> {
    let (model, version) = book.version(name, &version.to_string())?;
    let run = book.run(&version.run).ok().map(|(run, _)| run);
    let stated = seen.stated.clone().or_else(|| run.and_then(|run| stated_by_run(run, version))).unwrap_or_default();
    let moves = moves_since_registered(book, &model.name, version.version);
    let measured = measures(book, version);
    Ok(Card {
        format: FORMAT,
        at: seen.at,
        identity: identity(book, model, version, &moves, &stated, seen),
        purpose: purpose(model, version),
        signature: signature(&stated),
        data: data(book, model, version, run, &measured),
        training: training(book, version, run, &stated),
        gates: places(book, model, version),
        lifecycle: lifecycle(version.version, &moves),
        metrics: Metrics { earlier: earlier(book, model, version, &measured), measured: short_measures(measured) },
        live: live(seen),
        fairness: fairness(model, seen),
        caveats: Vec::new(),
        missing: Vec::new(),
    })
}

fn identity(
    book: &Book,
    model: &RegisteredModel,
    version: &Version,
    moves: &[&Move],
    stated: &Stated,
    seen: &Seen,
) -> Identity {
    let registered = moves.first().filter(|made| matches!(made.what, What::Registered { .. }));
    let logged = book.logged_model(&version.model, true).ok().map(|logged| Logged {
        id: logged.id.clone(),
        name: short(TEXT, &logged.name),
        kind: short(TEXT, &logged.model_type),
        standing: logged.standing,
        removed: logged.lifecycle == Standing::Deleted,
    });
    let is_pickle = |path: &str| PICKLES.iter().any(|end| path.to_ascii_lowercase().ends_with(end));
    let files = seen.files.as_deref().unwrap_or_default();
    let pickles = files.iter().filter(|file| is_pickle(&file.path)).map(|file| short(TEXT, &file.path));
    let file = |file: &FileSeen| FileSeen { path: short(TEXT, &file.path), ..file.clone() };
    Identity {
        name: short(PROSE, &model.name),
        version: version.version,
        stage: version.stage,
        aliases: Listed::first(ENTRIES, model.aliases_of(version.version).map(str::to_owned)),
        in_use: model.in_use().is_some_and(|used| used.version == version.version),
        registered_at: version.created,
        registered_by: registered.and_then(|made| said(TEXT, &made.by)),
        source: short(TEXT, &without_secrets(&version.source)),
        location: short(TEXT, &without_secrets(&version.location)),
        kept_here: book.folder_of(version).is_ok(),
        logged_model: logged,
        flavors: Listed::first(ENTRIES, stated.flavors.iter().map(|flavor| short(TEXT, flavor))),
        serialization: stated.serialization.as_deref().and_then(|text| said(TEXT, text)),
        files: seen.files.as_ref().map(|files| Listed::first(ENTRIES, files.iter().map(file))),
        pickles: Listed::first(ENTRIES, pickles),
    }
}

fn purpose(model: &RegisteredModel, version: &Version) -> Purpose {
    let statement = |(tag, title)| {
        let text = version.tags.get(tag).or_else(|| model.tags.get(tag));
        Statement { title, tag, said: text.and_then(|text| said(PROSE, text)) }
    };
    let is_stated = |tag: &str| STATEMENTS.iter().any(|(known, _)| *known == tag);
    let others = |tags: &Pairs| named(tags.iter().filter(|(tag, _)| !is_stated(tag) && !tag.starts_with("mlflow.")));
    Purpose {
        model_description: said(PROSE, &model.description),
        version_description: version.description.as_deref().and_then(|text| said(PROSE, text)),
        statements: STATEMENTS.into_iter().map(statement).collect(),
        model_tags: others(&model.tags),
        version_tags: others(&version.tags),
    }
}

fn named<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>) -> Listed<Named> {
    Listed::first(ENTRIES, pairs.map(|(name, value)| Named { name: short(TEXT, name), value: short(TEXT, value) }))
}

/// What a run says of the model that became the version: the entry of its logged model, else of its path.
fn stated_by_run(run: &Run, version: &Version) -> Option<Stated> {
    let entries: Vec<Value> = serde_json::from_str(run.tags.get(HISTORY)?).ok()?;
    let is_of_model = |entry: &&Value| {
        !version.model.is_empty() && ["model_id", "model_uuid"].iter().any(|key| entry[*key] == *version.model)
    };
    let is_of_path = |entry: &&Value| {
        let path = entry["artifact_path"].as_str().unwrap_or_default();
        !path.is_empty() && version.location.trim_end_matches('/').ends_with(&format!("/{path}"))
    };
    let found = entries.iter().rev().find(is_of_model).or_else(|| entries.iter().rev().find(is_of_path));
    found.map(Stated::of_mlmodel)
}

fn signature(stated: &Stated) -> Option<Signature> {
    if stated.inputs.is_none() && stated.outputs.is_none() && stated.params.is_none() {
        return None;
    }
    let columns = |part: &Option<Value>| {
        let all = part.as_ref().and_then(Value::as_array).into_iter().flatten();
        Listed::first(ENTRIES, all.map(column))
    };
    Some(Signature {
        inputs: columns(&stated.inputs),
        outputs: columns(&stated.outputs),
        params: columns(&stated.params),
    })
}

/// A column, tensor or parameter, as MLflow writes it.
fn column(entry: &Value) -> Column {
    let kind = match (&entry["tensor-spec"], &entry["type"], &entry["dtype"]) {
        (Value::Object(tensor), ..) => {
            let of = |key: &str| tensor.get(key).map_or_else(String::new, plain);
            format!("tensor of {} {}", of("dtype"), of("shape"))
        }
        (_, Value::Null, dtype) => plain(dtype),
        (_, kind, _) => plain(kind),
    };
    Column {
        name: entry["name"].as_str().map(|name| short(TEXT, name)),
        kind: short(TEXT, &kind),
        required: entry["required"].as_bool(),
    }
}

/// JSON, texts without their quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn data(book: &Book, model: &RegisteredModel, version: &Version, run: Option<&Run>, measured: &[Measure]) -> Data {
    let datasets = run.map(|run| run.datasets.as_slice()).unwrap_or_default();
    let is_of_run = |data: &DataName| datasets.iter().any(|known| known.digest == data.digest);
    let of_metrics: BTreeSet<&DataName> =
        measured.iter().filter_map(|measure| measure.data.as_ref()).filter(|data| !is_of_run(data)).collect();
    let relatives = relatives(book, model, version);
    let titles = |same_run: bool| {
        let found = relatives.iter().filter(|of| of.same_run == same_run);
        Listed::first(
            ENTRIES,
            found.map(|of| format!("{} version {}", short(TEXT, &of.model.name), of.version.version)),
        )
    };
    let models = run.map(|run| run.model_inputs.as_slice()).unwrap_or_default();
    Data {
        datasets: Listed::first(ENTRIES, datasets.iter().map(dataset)),
        of_metrics: Listed::first(ENTRIES, of_metrics.into_iter().map(short_data)),
        models: Listed::first(ENTRIES, models.iter().map(|id| short(TEXT, id))),
        shared_with: titles(false),
        same_run: titles(true),
    }
}

fn short_data(data: &DataName) -> DataName {
    DataName { name: short(TEXT, &data.name), digest: short(TEXT, &data.digest) }
}

fn dataset(dataset: &DatasetInput) -> DataSet {
    let json = |text: &Option<String>| {
        text.as_ref().and_then(|text| serde_json::from_str::<Value>(text).ok()).unwrap_or_default()
    };
    let schema = json(&dataset.schema);
    DataSet {
        name: short(TEXT, &dataset.name),
        digest: short(TEXT, &dataset.digest),
        context: dataset.tags.get(CONTEXT).and_then(|context| said(TEXT, context)),
        phase: Phase::of_data(dataset),
        source_type: short(TEXT, &dataset.source_type),
        source: short(TEXT, &without_secrets(&dataset.source)),
        rows: json(&dataset.profile)["num_rows"].as_u64(),
        columns: schema["mlflow_colspec"].as_array().map(Vec::len),
    }
}

fn training(book: &Book, version: &Version, run: Option<&Run>, stated: &Stated) -> Training {
    let mut parameters = run.map(|run| run.params.clone()).unwrap_or_default();
    let logged = book.logged_model(&version.model, true).ok();
    let mut tags = logged.map(|logged| logged.tags.clone()).unwrap_or_default();
    parameters.extend(logged.map(|logged| logged.params.clone()).unwrap_or_default());
    tags.extend(run.map(|run| run.tags.clone()).unwrap_or_default());
    let code = CODE.iter().filter_map(|(tag, title)| {
        let value = said(TEXT, &without_secrets(tags.get(*tag)?))?;
        Some(Named { name: (*title).to_owned(), value })
    });
    Training {
        run: run.map(|run| run_said(book, run)),
        parameters: named(parameters.iter()),
        code: Listed::first(ENTRIES, code),
        has_commit: tags.get(COMMIT).is_some_and(|commit| !commit.trim().is_empty()),
        libraries: named(stated.libraries.iter()),
    }
}

fn run_said(book: &Book, run: &Run) -> RunSaid {
    let experiment = book.experiment(&run.experiment.to_string()).ok();
    let user = run.tags.get("mlflow.user").map_or("", String::as_str);
    RunSaid {
        id: run.id.clone(),
        name: short(TEXT, &run.name),
        user: said(TEXT, &run.user).or_else(|| said(TEXT, user)),
        status: run.status,
        start: run.start,
        end: run.end,
        removed: run.lifecycle == Standing::Deleted,
        experiment: run.experiment,
        experiment_name: experiment.map(|experiment| short(TEXT, &experiment.name)),
    }
}

fn short_measures(all: Vec<Measure>) -> Listed<Measure> {
    let short_one = |measure: Measure| Measure {
        metric: short(TEXT, &measure.metric),
        data: measure.data.as_ref().map(short_data),
        ..measure
    };
    Listed::first(ENTRIES, all.into_iter().map(short_one))
}

fn earlier(book: &Book, model: &RegisteredModel, version: &Version, own: &[Measure]) -> Listed<Earlier> {
    let before = model.versions.range(..version.version).rev();
    let all: Vec<&Version> = before.map(|(_, version)| version).collect();
    let of = |other: &&Version| Earlier {
        version: other.version,
        registered_at: other.created,
        stage: other.stage,
        compared: Listed::first(ENTRIES, compare(own, &measures(book, other))),
    };
    Listed { shown: all.iter().take(EARLIER).map(of).collect(), more: all.len().saturating_sub(EARLIER) }
}

/// The aliases and stages that gates stand before, by name.
fn places(book: &Book, model: &RegisteredModel, version: &Version) -> Vec<Place> {
    // Case does not matter to a gate.
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    for place in book.gates_of(&model.name).flat_map(|gate| &gate.before) {
        names.entry(place.to_lowercase()).or_insert(place);
    }
    let of = |place: &str| {
        let is_alias = model.aliases_of(version.version).any(|alias| alias.eq_ignore_ascii_case(place));
        let is_stage = version.stage != Stage::None && version.stage.name().eq_ignore_ascii_case(place);
        let refused = book.pass_gates(&model.name, place, version.version).err();
        Place {
            place: short(TEXT, place),
            held: is_alias || is_stage,
            gates: book.gates_before(&model.name, place).take(ENTRIES).map(gate_said).collect(),
            refusal: refused.map(|problem| short(TEXT, &problem.message)),
        }
    };
    names.into_values().take(ENTRIES).map(of).collect()
}

/// A gate in the words of its settings, without those that ask for nothing.
fn gate_said(gate: &Gate) -> GateSaid {
    let entries = serde_json::to_value(gate).unwrap_or_default();
    let asks = |(key, value): (&String, &Value)| {
        let is_whose = ["name", "models", "before"].contains(&key.as_str());
        let is_empty = value.as_array().is_some_and(Vec::is_empty);
        let is_nothing = is_empty || matches!(value, Value::Null | Value::Bool(false)) || value.as_u64() == Some(0);
        (!is_whose && !is_nothing).then(|| format!("{key} = {}", plain(value)))
    };
    let mut asks: Vec<String> = entries.as_object().into_iter().flatten().filter_map(asks).collect();
    asks.sort();
    GateSaid { name: short(TEXT, &gate.name), asks: short(TEXT, &asks.join(", ")) }
}

fn lifecycle(number: u64, moves: &[&Move]) -> Lifecycle {
    let of_version: Vec<&&Move> = moves.iter().filter(|made| concerns(made, number)).collect();
    let more = of_version.len().saturating_sub(MOVES);
    let shown = of_version.iter().skip(more).map(|made| moved(made, number)).collect();
    let approved = moves.iter().filter(|made| made.what == What::Approved { version: number });
    Lifecycle {
        moves: Listed { shown, more },
        approvals: Listed::first(ENTRIES, approved.map(|made| Approval { by: said(TEXT, &made.by), at: made.at })),
    }
}

/// Whether a move is of this version, or puts it in use, or takes it out of use.
fn concerns(made: &Move, number: u64) -> bool {
    let is_of_it = match &made.what {
        What::Registered { version } | What::Removed { version } => *version == number,
        What::Stage { version, .. } | What::Approved { version } => *version == number,
        What::Alias { from, to, .. } => *from == Some(number) || *to == Some(number),
    };
    is_of_it || (made.before == Some(number)) != (made.after == Some(number))
}

fn moved(made: &Move, number: u64) -> Moved {
    let of = |version: &u64| if *version == number { String::new() } else { format!("version {version} ") };
    let what = match &made.what {
        What::Registered { version } => format!("{}registered", of(version)),
        What::Removed { version } => format!("{}removed", of(version)),
        What::Approved { version } => format!("{}approved", of(version)),
        What::Stage { version, from, to } => {
            format!("{}moved from stage {} to {}", of(version), from.name(), to.name())
        }
        What::Alias { alias, from, to } => {
            let meant = |version: &Option<u64>| version.map_or("nothing".to_owned(), |v| format!("version {v}"));
            format!("alias {alias} moved from {} to {}", meant(from), meant(to))
        }
    };
    Moved {
        at: made.at,
        by: said(TEXT, &made.by),
        what: short(TEXT, &what),
        gates: made.gates.iter().take(ENTRIES).map(|gate| short(TEXT, gate)).collect(),
        before: made.before,
        after: made.after,
    }
}

fn live(seen: &Seen) -> Live {
    let mut findings: Vec<_> = seen.findings.iter().collect();
    findings.sort_by_key(|finding| (!finding.ongoing, Reverse(finding.start)));
    let mut drift: Vec<_> = seen.drift.iter().collect();
    drift.sort_by(|a, b| b.distance.total_cmp(&a.distance));
    Live {
        answers: seen.answers.clone(),
        performance: Listed::first(
            ENTRIES,
            seen.performance
                .iter()
                .map(|seen| super::Performance { metric: short(TEXT, &seen.metric), ..seen.clone() }),
        ),
        drift: Listed::first(
            ENTRIES,
            drift.into_iter().map(|seen| super::Drift { column: short(TEXT, &seen.column), ..seen.clone() }),
        ),
        findings: Listed::first(
            ENTRIES,
            findings.into_iter().map(|seen| super::FindingSeen {
                measure: short(TEXT, &seen.measure),
                scope: short(TEXT, &seen.scope),
                summary: short(PROSE, &seen.summary),
                ..seen.clone()
            }),
        ),
    }
}

fn fairness(model: &RegisteredModel, seen: &Seen) -> Fairness {
    let sensitive = model.tags.get(SENSITIVE).map_or("", String::as_str).split(',');
    let group = |seen: &super::GroupSeen| super::GroupSeen {
        column: short(TEXT, &seen.column),
        group: short(TEXT, &seen.group),
        ..seen.clone()
    };
    Fairness {
        sensitive: Listed::first(ENTRIES, sensitive.filter_map(|column| said(TEXT, column))),
        favourable: model.tags.get(FAVOURABLE).and_then(|answer| said(TEXT, answer)),
        groups: Listed::first(ENTRIES, seen.groups.iter().map(group)),
        ratios: Listed::first(ENTRIES, ratios(&seen.groups)),
    }
}

/// The ratio of the lowest to the highest rate of each column's groups.
fn ratios(groups: &[super::GroupSeen]) -> Vec<Ratio> {
    let mut by_column: BTreeMap<&str, Vec<&super::GroupSeen>> = BTreeMap::new();
    for group in groups.iter().filter(|group| group.favourable.is_finite()) {
        by_column.entry(&group.column).or_default().push(group);
    }
    let of = |(column, groups): (&str, Vec<&super::GroupSeen>)| {
        let lowest = groups.iter().min_by(|a, b| a.favourable.total_cmp(&b.favourable))?;
        let highest = groups.iter().max_by(|a, b| a.favourable.total_cmp(&b.favourable))?;
        (groups.len() > 1 && highest.favourable > 0.0).then(|| Ratio {
            column: short(TEXT, column),
            lowest: short(TEXT, &lowest.group),
            highest: short(TEXT, &highest.group),
            ratio: lowest.favourable / highest.favourable,
        })
    };
    by_column.into_iter().filter_map(of).collect()
}

/// A place without what may be secret in it: names and passwords before a host, and queries.
pub(super) fn without_secrets(text: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || "\"'<>`".contains(c);
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        plain += before;
        let (address, remaining) = after.split_at(after.find(is_end).unwrap_or(after.len()));
        let (place, query) = address.split_once('?').unwrap_or((address, ""));
        let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        match host.rsplit_once('@') {
            Some((_, host)) => plain += &format!("…@{host}"),
            None => plain += host,
        }
        plain += path;
        plain += if query.is_empty() { "" } else { "?…" };
        rest = remaining;
    }
    plain + rest
}
