//! What steps make of which input: explanations of what a model is given become those of its inputs.

use super::steps::{Part, Scale, Step};
use crate::Problem;
use crate::explain::cannot;

/// A column between steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trace {
    /// The input that it is made of.
    pub(super) owner: usize,
    /// Its mean over the rows of training, where steps say it.
    pub(super) mean: Option<f64>,
}

impl Trace {
    /// Inputs as they come.
    pub(super) fn inputs(width: usize) -> Vec<Trace> {
        (0..width).map(|owner| Trace { owner, mean: None }).collect()
    }
}

impl Step {
    /// The columns after this step.
    ///
    /// # Errors
    /// [`Problem::Unsupported`]: a column is made of several inputs, or of none.
    pub(super) fn trace(&self, columns: &[Trace]) -> Result<Vec<Trace>, Problem> {
        let made_of = |owners: &mut dyn Iterator<Item = usize>| {
            Ok(owners.map(|at| Trace { owner: columns[at].owner, mean: None }).collect())
        };
        match self {
            Step::Pass => Ok(columns.to_vec()),
            Step::Chain(steps) => steps.iter().try_fold(columns.to_vec(), |columns, step| step.trace(&columns)),
            Step::Union(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| part.trace(columns)).collect::<Result<_, _>>()?;
                Ok(parts.concat())
            }
            Step::Scale { how: Scale::Rows(_), .. } => Err(cannot("what Normalizer makes of several inputs")),
            Step::Scale { who, how, .. } => {
                let mean = |at: usize| how.mean(who, at, columns[at].mean);
                Ok((0..columns.len()).map(|at| Trace { owner: columns[at].owner, mean: mean(at) }).collect())
            }
            Step::Project { who, .. } => Err(cannot(&format!("what {who} makes of several inputs"))),
            Step::Terms { terms, .. } => {
                let owner = |term: &Vec<usize>| {
                    let owner = columns[*term.first()?].owner;
                    let alone = term.iter().all(|at| columns[*at].owner == owner);
                    alone.then_some(Trace { owner, mean: None })
                };
                let owners: Option<Vec<Trace>> = terms.iter().map(owner).collect();
                owners.ok_or_else(|| cannot("products of several inputs or of none (PolynomialFeatures)"))
            }
            Step::Encode(encoder) => made_of(&mut encoder.owners()),
            Step::Impute(imputer) => made_of(&mut imputer.owners()),
        }
    }
}

impl Part {
    fn trace(&self, columns: &[Trace]) -> Result<Vec<Trace>, Problem> {
        let columns: Vec<Trace> = match &self.columns {
            Some(own) => own.iter().map(|at| columns[*at]).collect(),
            None => columns.to_vec(),
        };
        let mut out = self.step.trace(&columns)?;
        if let Some(weight) = self.weight {
            out.iter_mut().for_each(|column| column.mean = column.mean.map(|mean| mean * weight));
        }
        Ok(out)
    }
}

impl Scale {
    /// The mean of a column after this, where that is known: a StandardScaler has taken it away.
    fn mean(&self, who: &str, at: usize, before: Option<f64>) -> Option<f64> {
        match self {
            Scale::Center(Some(_), _) if who == "StandardScaler" => Some(0.0),
            Scale::Center(center, divisor) => {
                let centered = before? - center.as_ref().map_or(0.0, |center| center[at]);
                Some(centered / divisor.as_ref().map_or(1.0, |divisor| divisor[at]))
            }
            Scale::Stretch(scale, add, None) => Some(before? * scale[at] + add[at]),
            Scale::Stretch(..) | Scale::Rows(_) | Scale::Each(_) => None,
        }
    }
}
