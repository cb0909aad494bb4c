//! What a sum of leaves means under an objective.

use crate::{Problem, links::softmax};

/// How scores become what is predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Objective {
    /// The score is the prediction.
    Raw,
    /// The square of the score, with its sign.
    Square,
    /// `exp` of the score.
    Exponential,
    /// A probability of the score times a factor, for each score.
    Sigmoid {
        /// The factor.
        factor: f64,
        /// Whether it tells classes.
        is_class: bool,
    },
    /// `ln(1 + exp(score))`.
    Softplus,
    /// Probabilities of classes.
    Softmax,
}

impl Objective {
    /// Reads what the file says: a name and its settings.
    pub fn read(said: &str, groups: usize) -> Result<Objective, Problem> {
        let mut words = said.split_ascii_whitespace();
        let name = words.next().unwrap_or("custom");
        let settings: Vec<&str> = words.collect();
        let has_root = settings.contains(&"sqrt");
        let objective = match name {
            "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" if has_root => Objective::Square,
            "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" => Objective::Raw,
            "poisson" | "gamma" | "tweedie" => Objective::Exponential,
            "binary" => Objective::Sigmoid { factor: factor(&settings)?, is_class: true },
            "multiclassova" => Objective::Sigmoid { factor: factor(&settings)?, is_class: true },
            "cross_entropy" => Objective::Sigmoid { factor: 1.0, is_class: false },
            "cross_entropy_lambda" => Objective::Softplus,
            "multiclass" => Objective::Softmax,
            "lambdarank" | "rank_xendcg" | "custom" => Objective::Raw,
            other => return Err(Problem::Unsupported(format!("the objective `{other}` of LightGBM"))),
        };
        let has_classes = name.starts_with("multiclass");
        if groups > 1 && !has_classes && name != "custom" {
            return Err(Problem::Damaged(format!("{groups} outputs of the objective `{name}`")));
        }
        let said_groups = settings.iter().find_map(|setting| setting.strip_prefix("num_class:"));
        if has_classes && said_groups.is_some_and(|said| said.parse() != Ok(groups)) {
            return Err(Problem::Damaged(format!("{groups} outputs of the objective `{said}`")));
        }
        Ok(objective)
    }

    /// How many classes it tells from each other, with so many scores; `None`: it tells none.
    pub fn classes(self, groups: usize) -> Option<usize> {
        match self {
            Objective::Sigmoid { is_class: true, .. } => Some(groups.max(2)),
            Objective::Softmax => Some(groups),
            _ => None,
        }
    }

    /// Turns a row's scores into its answer.
    pub fn answer(self, scores: &mut [f64]) {
        match self {
            Objective::Raw => {}
            Objective::Square => scores.iter_mut().for_each(|score| *score *= score.abs()),
            Objective::Exponential => scores.iter_mut().for_each(|score| *score = score.exp()),
            Objective::Sigmoid { factor, .. } => {
                scores.iter_mut().for_each(|score| *score = 1.0 / (1.0 + (-factor * *score).exp()));
            }
            Objective::Softplus => scores.iter_mut().for_each(|score| *score = score.exp().ln_1p()),
            Objective::Softmax => softmax(scores),
        }
    }
}

fn factor(settings: &[&str]) -> Result<f64, Problem> {
    let Some(said) = settings.iter().find_map(|setting| setting.strip_prefix("sigmoid:")) else { return Ok(1.0) };
    let factor = said.parse().ok().filter(|factor: &f64| *factor > 0.0 && factor.is_finite());
    factor.ok_or_else(|| Problem::Damaged(format!("the sigmoid `{said}` is none")))
}
