//! What a sum of leaves means under an objective.

use crate::Problem;

/// How a margin becomes what is predicted, and how the base score becomes a margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Objective {
    /// The margin is the prediction.
    Raw,
    /// A probability.
    Logistic,
    /// `exp` of the margin.
    Exponential,
    /// Whether the margin is over 0.
    Hinge,
    /// Probabilities of classes.
    Probabilities,
    /// The class of the highest margin.
    Highest,
}

impl Objective {
    /// The objective of a name of XGBoost.
    pub fn named(name: &str) -> Result<Objective, Problem> {
        Ok(match name {
            "reg:squarederror" | "reg:linear" | "reg:squaredlogerror" | "reg:absoluteerror" => Objective::Raw,
            "reg:pseudohubererror" | "reg:quantileerror" => Objective::Raw,
            "rank:pairwise" | "rank:ndcg" | "rank:map" | "binary:logitraw" => Objective::Raw,
            "reg:logistic" | "binary:logistic" => Objective::Logistic,
            "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => Objective::Exponential,
            "binary:hinge" => Objective::Hinge,
            "multi:softprob" => Objective::Probabilities,
            "multi:softmax" => Objective::Highest,
            other => return Err(Problem::Unsupported(format!("the objective `{other}` of XGBoost"))),
        })
    }

    /// The margin of a base score.
    pub fn margin(self, score: f32) -> f32 {
        match self {
            Objective::Logistic => -(1.0 / score - 1.0).ln(),
            Objective::Exponential => score.ln(),
            _ => score,
        }
    }

    /// How many numbers a row's answer has, of so many margins.
    pub fn answers(self, groups: usize) -> usize {
        if self == Objective::Highest { 1 } else { groups }
    }

    /// Adds the answer of a row's margins.
    pub fn answer(self, margins: &[f32], into: &mut Vec<f64>) {
        match self {
            Objective::Raw => into.extend(margins.iter().map(|margin| f64::from(*margin))),
            Objective::Logistic => into.extend(margins.iter().map(|margin| f64::from(sigmoid(*margin)))),
            Objective::Exponential => into.extend(margins.iter().map(|margin| f64::from(margin.exp()))),
            Objective::Hinge => into.extend(margins.iter().map(|margin| f64::from(u8::from(*margin > 0.0)))),
            Objective::Probabilities => softmax(margins, into),
            Objective::Highest => into.push(highest(margins) as f64),
        }
    }
}

/// Probabilities of margins, as XGBoost rounds them.
pub(super) fn softmax(margins: &[f32], into: &mut Vec<f64>) {
    let most = margins.iter().copied().fold(f32::MIN, f32::max);
    let powers: Vec<f32> = margins.iter().map(|margin| (margin - most).exp()).collect();
    let sum: f64 = powers.iter().map(|power| f64::from(*power)).sum();
    into.extend(powers.iter().map(|power| f64::from(power / sum as f32)));
}

/// Where the highest number is; the first of equal ones.
pub(super) fn highest<T: PartialOrd>(numbers: &[T]) -> usize {
    let mut best = 0;
    for (at, number) in numbers.iter().enumerate() {
        if *number > numbers[best] {
            best = at;
        }
    }
    best
}

fn sigmoid(margin: f32) -> f32 {
    let power = (-margin).min(88.7).exp();
    (1.0 / (f64::from(power + 1.0) + 1e-16)) as f32
}
