//! Evidence in words.

use super::{About, Mark};

/// Something that has a number, and a name that the caller knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A service.
    Service(u32),
    /// An operation.
    Operation(u32),
    /// A template of log lines.
    Template(u32),
    /// A metric.
    Metric(u32),
}

impl About {
    /// What it is, in short: a metric's name, or what of an operation.
    pub fn title(&self, name: &dyn Fn(Named) -> String) -> String {
        match self {
            About::Comes { operation, mark } => {
                format!("{}: {}", name(Named::Operation(*operation)), mark_title(mark, name))
            }
            About::StaysAway { operation, mark } => {
                format!("{}: no {}", name(Named::Operation(*operation)), mark_title(mark, name))
            }
            About::Ways => "network time of its calls".into(),
            About::Resource { metric, .. } => name(Named::Metric(*metric)),
        }
    }
}

fn mark_title(mark: &Mark, name: &dyn Fn(Named) -> String) -> String {
    let line = |template: &Option<u32>, edge: &str| template.map_or(edge.to_owned(), |t| name(Named::Template(t)));
    match mark {
        Mark::Line(template) => format!("line {}", name(Named::Template(*template))),
        Mark::Then(before, after) => format!("line {} then {}", line(before, "(begin)"), line(after, "(end)")),
        Mark::Call(service) => format!("call of {}", name(Named::Service(*service))),
        Mark::Step(operation) => format!("step {}", name(Named::Operation(*operation))),
        Mark::Failed => "failure".into(),
        Mark::Slow => "long own time".into(),
        Mark::Slowest => "longer own time than ever".into(),
    }
}
