//! Which entity is why a measured value of another is off, from series and the graph of calls: what can be asked of
//! recorded history, where no finding was said.
//!
//! What is off is put as a quantity that adds up along calls: the extra time that requests took, or the extra requests
//! that failed, in each step (Σ requests × (value - its usual value)). The blame for the alarmed entity's extra flows
//! down the calls: at each entity the share that what it calls had in extra goes there, the rest stays, as self time is
//! told from total time in a profile of calls. Extra below what is common in the entity's own past counts as none.
//!
//! - Something called for the first time, and something that is not measured, gets a part only of what would stay at
//!   its caller: the caller may be what changed.
//! - What stays at an entity may still lie in what it needs: a resource, or another measure of something called, that
//!   is off beyond its own past takes over a part.
//! - Of a load that is r times the usual, the share 1 - 1/r of the blame goes up the calls to where the extra requests
//!   come from. Fewer requests are an effect and speak for nothing. An alarm about requests goes up the calls too.
//!
//! What arrives is a distribution; times the belief that alarm and suspect are more than chance (Sellke, Bayarri and
//! Berger 2001, a bound for p-values) it gives beliefs that sum to less than one. Walking a call graph to where the
//! trouble begins is the idea of MonitorRank (Kim, Sumbaly and Shah, SIGMETRICS 2013); sharing by what adds up needs
//! no training and no fault seen before. Cost: a sort a series, and the walk: steps × calls. It fails where callers
//! do not wait for what they call, where a mean hides a few very slow requests, and where the calls are not known.

mod evidence;
mod walk;

use self::evidence::{About, Evidence};

/// What a series measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Time that requests take; high is bad.
    Latency,
    /// Share of requests that fail, 0..=1; high is bad.
    Errors,
    /// Requests in a step, or a second.
    Requests,
    /// How much of a resource is used; high is bad.
    Resource,
    /// Anything else; either side is unusual.
    Other,
}

/// One series. All are on the same steps; NaN where nothing is known.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// Whose it is, an index into the entities.
    pub entity: usize,
    /// What it is called; of several of one measure the one named as the alarmed is compared with it.
    pub name: &'a str,
    /// What it measures.
    pub measure: Measure,
    /// Values before the alarm, usual ones for the most part; ends where the past of all others ends.
    pub before: &'a [f64],
    /// Values from the alarm on.
    pub within: &'a [f64],
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Names of the entities, for the reasons only.
    pub entities: &'a [&'a str],
    /// Who calls (or runs on, or reads from) whom: (caller, called). Loops and repetitions do no harm.
    pub calls: &'a [(usize, usize)],
    /// The series, in any order.
    pub series: &'a [Series<'a>],
    /// The series that is off.
    pub alarmed: usize,
}

/// What is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Most likely first; empty where the alarm itself is within the usual.
    pub suspects: Vec<Suspect>,
    /// Whether nobody should act on the first of them.
    pub is_undecided: bool,
    /// -log10 of the chance of an alarm like this in the past given.
    pub surprise: f64,
}

/// An entity that may be why.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// Index of the entity.
    pub entity: usize,
    /// Index of the series that shows it, if one does.
    pub series: Option<usize>,
    /// 0..1; all together less than 1.
    pub belief: f64,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
}

/// Belief in the first suspect from which on it is a verdict.
const DECIDED: f64 = 0.5;
/// Suspects with less belief are not said.
const BELIEF_MIN: f64 = 0.01;

/// Ranks the entities by how likely they are why the alarmed series is off.
pub fn localize(question: &Question) -> Answer {
    let Some(evidence) = Evidence::new(question) else { return Answer { is_undecided: true, ..Answer::default() } };
    let blames = walk::blames(question, &evidence);
    let mut suspects: Vec<Suspect> = Vec::new();
    for (entity, blame) in blames.iter().enumerate() {
        let said = evidence.belief_in(entity, blame);
        if said >= BELIEF_MIN {
            let (series, reasons) = reasons(question, &evidence, entity, blame);
            suspects.push(Suspect { entity, series, belief: said, reasons });
        }
    }
    suspects.sort_by(|a, b| b.belief.total_cmp(&a.belief).then(a.entity.cmp(&b.entity)));
    let is_undecided = suspects.first().is_none_or(|s| s.belief < DECIDED);
    Answer { suspects, is_undecided, surprise: evidence.surprise }
}

/// What a p-value, given as -log10, adds to the belief that something is more than chance: of the odds for chance,
/// -e p ln p at least, 0..=1 what is left of certainty.
fn belief(surprise: f64) -> f64 {
    let p = 10.0_f64.powf(-surprise);
    // From 1/e on a p-value speaks for nothing.
    let odds = if p >= (-1.0_f64).exp() { 1.0 } else { -std::f64::consts::E * p * p.max(f64::MIN_POSITIVE).ln() };
    (1.0 - odds) / (1.0 + odds)
}

/// Surprise of two p-values together, by Fisher's method: the chance of as small a product of two.
fn together(a: f64, b: f64) -> f64 {
    let (product, ln) = (a + b, (a + b) * std::f64::consts::LN_10);
    (product - ln.ln_1p() / std::f64::consts::LN_10).max(0.0)
}

/// The series that shows best why an entity is suspected, and sentences.
fn reasons(
    question: &Question,
    evidence: &Evidence,
    entity: usize,
    blame: &walk::Blame,
) -> (Option<usize>, Vec<String>) {
    let about: &About = &evidence.of[entity];
    let mut said = Vec::new();
    let series = if blame.load > blame.own.max(blame.other) {
        about.requests
    } else if blame.other > blame.own {
        about.other.map(|o| o.series)
    } else {
        about.series
    };
    if let Some(series) = series {
        let (usual, now) = (evidence.usual[series], evidence.now[series]);
        said.push(format!("{} is {}, usually {}", question.series[series].name, plain(now), plain(usual)));
    }
    if blame.load > 0.0 {
        said.push(format!("{} of the requests are more than usual", percent(about.extra_load())));
    }
    if about.is_new {
        said.push("it was hardly ever called before: who calls it may be what changed".into());
    } else if about.series.is_none() {
        said.push("it is not measured: what is missing at its callers may lie there".into());
    } else if blame.own > 0.0 {
        said.push(format!("{} of what is extra is not explained by what it calls", percent(blame.kept)));
    }
    if let Some(path) = walk::path(evidence, entity) {
        let names: Vec<&str> = path.iter().filter_map(|i| question.entities.get(*i).copied()).collect();
        said.push(format!("the trouble shows along {}", names.join(" > ")));
    }
    (series, said)
}

fn plain(value: f64) -> String {
    format!("{:.3e}", value).parse::<f64>().map_or_else(|_| "unknown".into(), |v| v.to_string())
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}
