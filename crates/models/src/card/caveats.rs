//! What to keep in mind of a version, and what is not known of it: read off the card itself.

use super::{Card, Metrics, Missing, Phase, STATEMENTS};
use crate::{logged::Standing, runs::Status};

/// Serializations that are programs.
const PROGRAMS: [&str; 5] = ["pickle", "cloudpickle", "joblib", "dill", "pickled"];

/// What to keep in mind, the weightiest first.
pub(super) fn caveats(card: &Card) -> Vec<String> {
    let mut found = Vec::new();
    in_use(card, &mut found);
    made(card, &mut found);
    measured(card, &mut found);
    fairness(card, &mut found);
    found
}

fn in_use(card: &Card, found: &mut Vec<String>) {
    let refused = card.gates.iter().filter(|place| place.held).filter_map(|place| place.refusal.as_ref());
    found.extend(refused.map(|refusal| format!("It holds a place that it would be refused now: {refusal}")));
    let ongoing = card.live.findings.shown.iter().filter(|finding| finding.ongoing).count();
    if ongoing > 0 {
        found.push(format!("Findings about it go on: {ongoing}"));
    }
    let drifted = card.live.drift.shown.iter().filter(|drift| drift.drifted).count();
    if drifted > 0 {
        found.push(format!("Columns of its inputs that are not what they were at its beginning: {drifted}"));
    }
    let has_answered = card.live.answers.as_ref().is_some_and(|answers| answers.rows > 0);
    let has_labels = card.live.performance.shown.iter().any(|seen| !seen.estimated && seen.rows > 0);
    if has_answered && !has_labels {
        found.push("No labels were seen of what it answered, so how often it is right in use is not known".into());
    }
    if has_answered && !card.identity.in_use {
        found.push("It is not the version in use: what was seen of it live may be of the past".into());
    }
}

fn made(card: &Card, found: &mut Vec<String>) {
    let serialization = card.identity.serialization.as_deref().unwrap_or_default();
    let is_program = PROGRAMS.contains(&serialization.to_ascii_lowercase().as_str());
    if is_program || !card.identity.pickles.is_empty() {
        found.push("Its files hold a pickle, which is a program: whoever loads it runs what its maker wrote".into());
    }
    if !card.identity.kept_here {
        found.push("Its files are kept elsewhere: that they are still what was registered is not known".into());
    }
    if let Some(logged) = &card.identity.logged_model {
        match logged.standing {
            Standing::Ready => {}
            Standing::Pending => found.push("Its logged model was never said to be whole".into()),
            Standing::Failed => found.push("The files of its logged model did not come".into()),
        }
        if logged.removed {
            found.push("Its logged model was removed".into());
        }
    }
    let Some(run) = &card.training.run else { return };
    if run.status != Status::Finished {
        found.push(format!("The run that made it is {}, not FINISHED", run.status.name()));
    }
    if run.removed {
        found.push("The run that made it was removed".into());
    }
}

fn measured(card: &Card, found: &mut Vec<String>) {
    let measured = &card.metrics.measured.shown;
    let is_evaluated = measured.iter().any(|measure| measure.phase == Some(Phase::Evaluation));
    let is_trained_only = !measured.is_empty() && measured.iter().all(|m| m.phase == Some(Phase::Training));
    if is_trained_only {
        found.push("All that was measured of it was measured on the data that it was trained with".into());
    }
    if !measured.is_empty() && !is_evaluated && !is_trained_only {
        found.push("Nobody says that a metric was measured on data that it was not trained with".into());
    }
    if is_measured_on_training_data(card) {
        found.push("A data set that it was trained with has the digest of one that it was evaluated on".into());
    }
    if let Some(version) = compared_on_other_data(&card.metrics) {
        found.push(format!("It and version {version} were not measured on the same data, as far as is said"));
    }
}

fn is_measured_on_training_data(card: &Card) -> bool {
    let datasets = &card.data.datasets.shown;
    let of = |phase| datasets.iter().filter(move |data| data.phase == Some(phase) && !data.digest.is_empty());
    of(Phase::Training).any(|a| of(Phase::Evaluation).any(|b| a.digest == b.digest))
}

/// The version before, where none of what both have was measured on the same data.
fn compared_on_other_data(metrics: &Metrics) -> Option<u64> {
    let before = metrics.earlier.shown.first().filter(|earlier| !earlier.compared.is_empty())?;
    let is_on_the_same = before.compared.shown.iter().any(|compared| compared.same_data == Some(true));
    (!is_on_the_same).then_some(before.version)
}

fn fairness(card: &Card, found: &mut Vec<String>) {
    let fairness = &card.fairness;
    if fairness.sensitive.is_empty() {
        found.push("No sensitive columns are named, so it is not watched for fairness".into());
    } else if fairness.favourable.is_none() {
        found.push("Sensitive columns are named and no favourable answer, so it is not watched for fairness".into());
    }
    for ratio in fairness.ratios.shown.iter().filter(|ratio| ratio.ratio < 0.8) {
        found.push(format!(
            "By {}, {} gets the favourable answer less than four fifths as often as {}",
            ratio.column, ratio.lowest, ratio.highest
        ));
    }
}

/// What is not known, in the order of the card.
pub(super) fn missing(card: &Card) -> Vec<Missing> {
    let mut found = Vec::new();
    let mut lacks = |is_missing: bool, what: &str, tell: &str| {
        if is_missing {
            found.push(Missing { what: what.to_owned(), tell: tell.to_owned() });
        }
    };
    let identity = &card.identity;
    lacks(identity.registered_by.is_none(), "Who registered it", "use tokens, so that the server knows who asks");
    lacks(
        identity.flavors.is_empty(),
        "Which library can read it",
        "log it with log_model, which writes a file MLmodel",
    );
    lacks(
        identity.files.is_none(),
        "Its files and their digests",
        "keep its files here: register it from a run or logged model of this server",
    );
    let purpose = &card.purpose;
    lacks(
        purpose.model_description.is_none() && purpose.version_description.is_none(),
        "What it is",
        "describe the model or the version in the registry",
    );
    for ((tag, title), statement) in STATEMENTS.iter().zip(&purpose.statements) {
        lacks(statement.said.is_none(), title, &format!("set the tag {tag} of the version or the model"));
    }
    lacks(card.signature.is_none(), "Its inputs and outputs", "log it with a signature or an input example");
    data_and_training(card, &mut lacks);
    live(card, &mut lacks);
    lacks(
        true,
        "Its risk management, the standards that were applied, its declaration of conformity",
        "a registry does not hold them (EU AI Act, Annex IV, points 5, 7, 8)",
    );
    found
}

fn data_and_training(card: &Card, lacks: &mut impl FnMut(bool, &str, &str)) {
    let datasets = &card.data.datasets.shown;
    let has_run = card.training.run.is_some();
    lacks(!has_run, "The run that made it", "register it from a run, or name the run when registering it");
    lacks(
        !datasets.iter().any(|data| data.phase != Some(Phase::Evaluation)),
        "The data that it was trained with",
        "call mlflow.log_input with the context training in the run",
    );
    let names_evaluation = datasets.iter().any(|data| data.phase == Some(Phase::Evaluation))
        || card.metrics.measured.shown.iter().any(|measure| measure.data.is_some());
    lacks(
        !names_evaluation,
        "The data that it was evaluated on",
        "call mlflow.log_input with the context evaluation, or log metrics with their data set",
    );
    lacks(has_run && card.training.parameters.is_empty(), "Its parameters", "log them, or switch autologging on");
    lacks(
        has_run && !card.training.has_commit,
        "The version of the code",
        "train from a git checkout; the client then says the commit",
    );
    lacks(card.training.libraries.is_empty(), "Versions of libraries", "log it with log_model");
    lacks(card.metrics.measured.is_empty(), "How good it is", "log metrics in its run or of its logged model");
    let has_earlier = !card.metrics.earlier.is_empty();
    let is_compared = card.metrics.earlier.shown.iter().any(|earlier| !earlier.compared.is_empty());
    lacks(has_earlier && !is_compared, "How it stands to versions before it", "log the same metrics of each version");
    lacks(card.gates.is_empty(), "What it must show before it is used", "set gates for the model in the settings");
    lacks(card.lifecycle.approvals.is_empty(), "Who approved it", "approve it, or ask for approvals in a gate");
}

fn live(card: &Card, lacks: &mut impl FnMut(bool, &str, &str)) {
    let live = &card.live;
    let has_answered = live.answers.as_ref().is_some_and(|answers| answers.rows > 0);
    lacks(!has_answered, "How it behaves in use", "let it answer here; its predictions are then watched");
    lacks(live.performance.is_empty(), "How good it is in use", "send labels of what it answered");
    let fairness = &card.fairness;
    lacks(
        fairness.sensitive.is_empty() || fairness.favourable.is_none(),
        "Which groups of people it may treat differently",
        "set the tags bellwether.sensitive and bellwether.favourable of the model",
    );
    lacks(fairness.groups.is_empty(), "How it treats groups of people", "let it answer with these tags set");
}
