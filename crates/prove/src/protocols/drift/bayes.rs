//! Naive Bayes, learned row by row: what a leaf of the [`super::tree`] knows.

use super::stream::Attribute;

/// Naive Bayes with a Gaussian for each number and counts for each category (Domingos and Pazzani, Machine Learning
/// 1997).
#[derive(Clone)]
pub struct Bayes {
    /// Rows by class.
    pub rows: Vec<f64>,
    /// By attribute, then by class.
    pub attributes: Vec<Vec<Part>>,
}

/// What is known of an attribute in a class.
#[derive(Clone)]
pub enum Part {
    /// Mean and sum of squared differences from it (Welford 1962).
    Number { mean: f64, squares: f64 },
    /// Rows by category.
    Category(Vec<f64>),
}

impl Bayes {
    /// One that has learned nothing.
    pub fn new(attributes: &[Attribute], classes: usize) -> Bayes {
        let part = |attribute: &Attribute| match attribute {
            Attribute::Number => Part::Number { mean: 0.0, squares: 0.0 },
            Attribute::Category(values) => Part::Category(vec![0.0; values.len()]),
        };
        let attributes = attributes.iter().map(|a| vec![part(a); classes]).collect();
        Bayes { rows: vec![0.0; classes], attributes }
    }

    /// The likeliest class.
    pub fn predict(&self, row: &[f64]) -> usize {
        let likelihood = |class: usize| {
            let parts = self.attributes.iter().zip(row);
            (self.rows[class] + 1.0).ln() + parts.map(|(p, v)| p[class].log_density(*v, self.rows[class])).sum::<f64>()
        };
        let all = (0..self.rows.len()).map(|class| (class, likelihood(class)));
        all.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(class, _)| class)
    }

    /// Takes a row in.
    pub fn learn(&mut self, row: &[f64], class: usize) {
        self.rows[class] += 1.0;
        for (parts, value) in self.attributes.iter_mut().zip(row) {
            parts[class].learn(*value, self.rows[class]);
        }
    }
}

impl Part {
    fn log_density(&self, value: f64, rows: f64) -> f64 {
        match self {
            Part::Number { mean, squares } => {
                let variance = (squares / (rows - 1.0).max(1.0)).max(1e-6);
                -0.5 * (variance.ln() + (value - mean).powi(2) / variance)
            }
            Part::Category(counts) => ((counts[value as usize] + 1.0) / (rows + counts.len() as f64)).ln(),
        }
    }

    fn learn(&mut self, value: f64, rows: f64) {
        match self {
            Part::Number { mean, squares } => {
                let off = value - *mean;
                *mean += off / rows;
                *squares += off * (value - *mean);
            }
            Part::Category(counts) => counts[value as usize] += 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_categories_tell_classes_apart() {
        let attributes = [Attribute::Number, Attribute::Category(vec!["a".into(), "b".into()])];
        let mut learner = Bayes::new(&attributes, 2);
        for i in 0..100_u32 {
            let (class, wobble) = ((i % 2) as usize, f64::from(i % 7) / 7.0);
            learner.learn(&[10.0 * class as f64 + wobble, f64::from(i / 2 % 2)], class);
        }
        assert_eq!((learner.predict(&[0.5, 0.0]), learner.predict(&[10.5, 1.0])), (0, 1));
        let Part::Number { mean, squares } = learner.attributes[0][0] else { panic!() };
        assert!((mean - 0.42).abs() < 0.03 && (squares / 49.0 - 0.083).abs() < 0.02, "{mean} {squares}");
    }
}
