//! The card of a registered version: what it is, what it is for, what it was made of, how well it does, and what is not
//! known of it. Everything comes from the book and from what the caller saw; nothing is typed by hand for the card, and
//! what nobody said is said to be missing.
//!
//! Its sections are those of Mitchell et al. 2019 (Model Cards for Model Reporting); each names the points of Annex IV of
//! the EU AI Act that its facts belong to. The card itself is data (its JSON form); Markdown and HTML are made of it.

mod caveats;
mod gather;
mod html;
mod markdown;
mod measures;
mod page;
mod seen;

use serde::Serialize;

use crate::{Book, Problem, limits, registry::Stage};

pub use self::{
    measures::{Compared, DataName, Measure, Phase},
    seen::{Answers, Drift, FileSeen, FindingSeen, GroupSeen, Performance, Seen, Stated},
};

/// The form of a card's data; raised when a reader of an earlier one would misread it.
pub const FORMAT: u32 = 1;
/// Most entries of a list.
pub const ENTRIES: usize = 100;
/// Most moves, and earlier versions.
pub const MOVES: usize = 50;
/// See [`MOVES`].
pub const EARLIER: usize = 5;
/// Longest text of people, and longest other text, characters.
pub const PROSE: usize = 4000;
/// See [`PROSE`].
pub const TEXT: usize = 300;

/// What people may state of a version, by tags of it or of its model: the tag, and what it is about.
pub const STATEMENTS: [(&str, &str); 8] = [
    ("bellwether.card.intended_use", "Intended use"),
    ("bellwether.card.intended_users", "Intended users"),
    ("bellwether.card.out_of_scope", "Not meant for"),
    ("bellwether.card.provider", "Provider"),
    ("bellwether.card.license", "Licence"),
    ("bellwether.card.oversight", "Human oversight"),
    ("bellwether.card.ethics", "Ethical considerations"),
    ("bellwether.card.risks", "Known risks"),
];

/// The card of a version.
///
/// # Errors
/// A version that is not there.
pub fn card(book: &Book, name: &str, version: u64, seen: &Seen) -> Result<Card, Problem> {
    let mut card = gather::gather(book, name, version, seen)?;
    card.caveats = caveats::caveats(&card);
    card.missing = caveats::missing(&card);
    Ok(card)
}

/// A card. Lists and texts are bounded; times are ms since 1970.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Card {
    /// Its form: [`FORMAT`].
    pub format: u32,
    /// When what was seen live was looked up.
    pub at: i64,
    /// Which version it is.
    pub identity: Identity,
    /// What it is for.
    pub purpose: Purpose,
    /// What goes in and comes out; `None`: not known.
    pub signature: Option<Signature>,
    /// The data that it was made and measured with.
    pub data: Data,
    /// How it was made.
    pub training: Training,
    /// How well it was measured to be.
    pub metrics: Metrics,
    /// What stands before aliases and stages.
    pub gates: Vec<Place>,
    /// What became of it.
    pub lifecycle: Lifecycle,
    /// What was seen of it in use.
    pub live: Live,
    /// How it treats groups of people.
    pub fairness: Fairness,
    /// What to keep in mind, each a sentence.
    pub caveats: Vec<String>,
    /// What is not known.
    pub missing: Vec<Missing>,
}

impl Card {
    /// As Markdown. Text of people stays text: it links to nothing and breaks no table.
    pub fn to_markdown(&self) -> String {
        markdown::written(&page::page(self))
    }

    /// As a page that needs nothing but itself, without scripts.
    pub fn to_html(&self) -> String {
        html::written(&page::page(self))
    }
}

/// The first of a list, and how many more there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed<T> {
    /// The first.
    pub shown: Vec<T>,
    /// How many are left out.
    pub more: usize,
}

impl<T> Default for Listed<T> {
    fn default() -> Listed<T> {
        Listed { shown: Vec::new(), more: 0 }
    }
}

impl<T> Listed<T> {
    fn first(most: usize, all: impl IntoIterator<Item = T>) -> Listed<T> {
        let mut all = all.into_iter();
        let shown = all.by_ref().take(most).collect();
        Listed { shown, more: all.count() }
    }

    fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }
}

/// Something with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// What it is.
    pub value: String,
}

/// Which version it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Identity {
    /// Of which model.
    pub name: String,
    /// Its number.
    pub version: u64,
    /// Its stage and aliases, and whether it is the version in use.
    pub stage: Stage,
    /// See `stage`.
    pub aliases: Listed<String>,
    /// See `stage`.
    pub in_use: bool,
    /// When it was registered, and by whom; `None`: not known.
    pub registered_at: i64,
    /// See `registered_at`.
    pub registered_by: Option<String>,
    /// Where it came from, as its maker said.
    pub source: String,
    /// Where its files are, and whether that is here.
    pub location: String,
    /// See `location`.
    pub kept_here: bool,
    /// The logged model that it is.
    pub logged_model: Option<Logged>,
    /// Kinds of model as which it can be read.
    pub flavors: Listed<String>,
    /// How it is written, where that is said.
    pub serialization: Option<String>,
    /// Its files; `None`: not known.
    pub files: Option<Listed<FileSeen>>,
    /// Files that are pickles.
    pub pickles: Listed<String>,
}

/// The logged model that a version is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Logged {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What kind of model it is, as its maker said; empty: not said.
    pub kind: String,
    /// How it stands: `pending`, `ready` or `failed`.
    pub standing: crate::logged::Standing,
    /// Whether it was removed.
    pub removed: bool,
}

/// What a version is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Purpose {
    /// What people say of the model, and of the version.
    pub model_description: Option<String>,
    /// See `model_description`.
    pub version_description: Option<String>,
    /// What they stated, one for each of [`STATEMENTS`].
    pub statements: Vec<Statement>,
    /// Other tags of the model, and of the version.
    pub model_tags: Listed<Named>,
    /// See `model_tags`.
    pub version_tags: Listed<Named>,
}

/// What people stated, by a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// What it is about.
    pub title: &'static str,
    /// The tag that states it.
    pub tag: &'static str,
    /// What is stated; `None`: nothing.
    pub said: Option<String>,
}

/// What goes in and comes out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// Columns or tensors that go in, that come out, and parameters of a request.
    pub inputs: Listed<Column>,
    /// See `inputs`.
    pub outputs: Listed<Column>,
    /// See `inputs`.
    pub params: Listed<Column>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name; `None`: it has none.
    pub name: Option<String>,
    /// Its type.
    pub kind: String,
    /// Whether it must be there, where that is said.
    pub required: Option<bool>,
}

/// The data that a version was made and measured with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Data {
    /// Data sets of its run.
    pub datasets: Listed<DataSet>,
    /// Data sets that only its metrics name.
    pub of_metrics: Listed<DataName>,
    /// Logged models that its run used, by id.
    pub models: Listed<String>,
    /// Other versions whose run read a data set of the same digest.
    pub shared_with: Listed<String>,
    /// Other versions of the same run.
    pub same_run: Listed<String>,
}

/// A data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataSet {
    /// Its name and digest; an empty digest: not said.
    pub name: String,
    /// See `name`.
    pub digest: String,
    /// What the run used it for, in its words, and what that means.
    pub context: Option<String>,
    /// See `context`.
    pub phase: Option<Phase>,
    /// Where it came from, without passwords and queries.
    pub source_type: String,
    /// See `source_type`.
    pub source: String,
    /// How many rows and columns it has, where that is said.
    pub rows: Option<u64>,
    /// See `rows`.
    pub columns: Option<usize>,
}

/// How a version was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Training {
    /// The run that made it; `None`: none is known.
    pub run: Option<RunSaid>,
    /// Its parameters, of the run and of the logged model.
    pub parameters: Listed<Named>,
    /// The code: what, which commit, and the like, as the run says.
    pub code: Listed<Named>,
    /// Whether the commit is among it.
    pub has_commit: bool,
    /// Versions of libraries.
    pub libraries: Listed<Named>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunSaid {
    /// Its id and name.
    pub id: String,
    /// See `id`.
    pub name: String,
    /// Who made it, as they said.
    pub user: Option<String>,
    /// How it stands.
    pub status: crate::runs::Status,
    /// When it began and ended.
    pub start: i64,
    /// See `start`.
    pub end: Option<i64>,
    /// Whether it was removed.
    pub removed: bool,
    /// Number and name of its experiment.
    pub experiment: u64,
    /// See `experiment`.
    pub experiment_name: Option<String>,
}

/// How well a version was measured to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Metrics {
    /// The last values.
    pub measured: Listed<Measure>,
    /// Versions before it, the newest first, on the metrics that both have.
    pub earlier: Listed<Earlier>,
}

/// A version before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Earlier {
    /// Its number.
    pub version: u64,
    /// When it was registered.
    pub registered_at: i64,
    /// Its stage.
    pub stage: Stage,
    /// The metrics that both have.
    pub compared: Listed<Compared>,
}

/// An alias or stage that gates stand before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    /// Its name.
    pub place: String,
    /// Whether the version has it.
    pub held: bool,
    /// The gates.
    pub gates: Vec<GateSaid>,
    /// Why the version would be refused now; `None`: it passes all.
    pub refusal: Option<String>,
}

/// A gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GateSaid {
    /// Its name.
    pub name: String,
    /// What it asks for, as the settings say it.
    pub asks: String,
}

/// What became of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lifecycle {
    /// Its moves, the newest of them, in order; `more`: earlier ones.
    pub moves: Listed<Moved>,
    /// Who approved it since it was registered, and when.
    pub approvals: Listed<Approval>,
}

/// A move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// When.
    pub at: i64,
    /// By whom; `None`: not known.
    pub by: Option<String>,
    /// What was done.
    pub what: String,
    /// Gates that were passed.
    pub gates: Vec<String>,
    /// The version in use before and after.
    pub before: Option<u64>,
    /// See `before`.
    pub after: Option<u64>,
}

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Approval {
    /// By whom; `None`: not known.
    pub by: Option<String>,
    /// When.
    pub at: i64,
}

/// What was seen of a version in use.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Live {
    /// What it answered; `None`: not known.
    pub answers: Option<Answers>,
    /// How well it does.
    pub performance: Listed<Performance>,
    /// How far its inputs are from those of its beginning.
    pub drift: Listed<Drift>,
    /// What analyses said of it, what goes on first.
    pub findings: Listed<FindingSeen>,
}

/// How a version treats groups of people.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Fairness {
    /// Columns by which groups are told apart, as the model's tags name them.
    pub sensitive: Listed<String>,
    /// The answer that people hope for.
    pub favourable: Option<String>,
    /// How often each group gets it.
    pub groups: Listed<GroupSeen>,
    /// For each column the lowest rate of a group by the highest, 0..=1.
    pub ratios: Listed<Ratio>,
}

/// How far apart the groups of a column are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Which column.
    pub column: String,
    /// The group with the lowest rate, and that with the highest.
    pub lowest: String,
    /// See `lowest`.
    pub highest: String,
    /// The lowest rate by the highest, 0..=1.
    pub ratio: f64,
}

/// Something that is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// What.
    pub what: String,
    /// What to do, so that the next card says it.
    pub tell: String,
}

/// A text of at most so many characters, which says when it was cut.
fn short(most: usize, text: &str) -> String {
    let cut = limits::cut(most, text);
    if cut.len() < text.len() { cut + "…" } else { cut }
}

/// A text, where there is one.
fn said(most: usize, text: &str) -> Option<String> {
    Some(text.trim()).filter(|text| !text.is_empty()).map(|text| short(most, text))
}
