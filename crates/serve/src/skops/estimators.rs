//! What answers: linear models, networks, neighbours, and forests of trees.

use super::forests;
use super::object::Thing;
use super::table::Takes;
use crate::explain::{How, Space};
use crate::links::{logistic, softmax};
use crate::trees::Trees;
use crate::{Label, Matrix, Problem};

/// An estimator of scikit-learn: numbers for each row, and what they mean.
#[derive(Debug)]
pub(super) struct Estimator {
    pub(super) who: String,
    /// How many inputs a row has.
    pub(super) width: usize,
    pub(super) takes: Takes,
    pub(super) scorer: Scorer,
    pub(super) choice: Choice,
    pub(super) shares: Shares,
    /// The classes; of a model that tells clusters: their numbers.
    pub(super) classes: Vec<Label>,
}

/// How numbers for a row come to be.
#[derive(Debug)]
pub(super) enum Scorer {
    /// Weights, a row for each number, and what is added.
    Linear(Matrix, Vec<f64>),
    /// What the sums start from, the trees, and what the sums are divided by.
    Trees {
        start: Vec<f64>,
        trees: Trees,
        divide: f64,
        single: bool,
    },
    /// Layers.
    Network(Vec<Layer>),
    /// Of normal distributions, a row for each class: what is added, means, and variances.
    Normals(Vec<f64>, Matrix, Matrix),
    /// The nearest of these.
    Centers(Matrix),
    Neighbors(Neighbors),
}

/// A layer of a network.
#[derive(Debug)]
pub(super) struct Layer {
    /// A row for each input.
    weights: Matrix,
    add: Vec<f64>,
    activation: Activation,
}

#[derive(Clone, Copy, Debug)]
enum Activation {
    Identity,
    Logistic,
    Tanh,
    Relu,
    Exp,
    Softmax,
}

/// Rows that were seen, and what belongs to them.
#[derive(Debug)]
pub(super) struct Neighbors {
    rows: Matrix,
    /// As many numbers for each row as the answer has: shares of classes, or targets.
    answers: Matrix,
    count: usize,
    power: f64,
    by_distance: bool,
}

/// What the numbers mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Choice {
    /// They are the answer.
    Values,
    /// The answer is e to their power.
    Powers,
    /// The second class where the number is more than 0.
    Positive,
    /// The second class where the number is at least 0.
    NotNegative,
    /// The second class where the number is more than a half.
    Half,
    /// The class whose number is largest; the first of equal ones.
    Largest,
    /// The clusters' numbers.
    Cluster,
    /// -1 for an outlier and 1 for others: an outlier is where `-2^-number` is less than this.
    Outlier(f64),
}

/// How probabilities come from the numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shares {
    None,
    /// They are the probabilities.
    Given,
    /// One number, the probability of the second class.
    Second,
    /// One number, times this, through the logistic function.
    Logistic(f64),
    /// Each through the logistic function, then divided by their sum.
    OneForEach,
    Softmax,
    /// One number, or one for each class, cut at -1 and 1.
    Huber,
}

impl Estimator {
    pub(super) fn read(thing: Thing<'_>) -> Result<Estimator, Problem> {
        if !thing.is_of("sklearn") {
            return Err(Problem::Unsupported(format!("the class {}", thing.full_name())));
        }
        match thing.class() {
            "LinearRegression"
            | "Ridge"
            | "RidgeCV"
            | "Lasso"
            | "LassoCV"
            | "ElasticNet"
            | "ElasticNetCV"
            | "Lars"
            | "LassoLars"
            | "LassoLarsCV"
            | "LassoLarsIC"
            | "LarsCV"
            | "BayesianRidge"
            | "ARDRegression"
            | "HuberRegressor"
            | "SGDRegressor"
            | "LinearSVR"
            | "TheilSenRegressor"
            | "PassiveAggressiveRegressor"
            | "QuantileRegressor"
            | "OrthogonalMatchingPursuit" => linear(thing, Choice::Values),
            "PoissonRegressor" | "GammaRegressor" => linear(thing, Choice::Powers),
            "LogisticRegression"
            | "LogisticRegressionCV"
            | "SGDClassifier"
            | "LinearSVC"
            | "Perceptron"
            | "PassiveAggressiveClassifier"
            | "RidgeClassifier"
            | "RidgeClassifierCV"
            | "LinearDiscriminantAnalysis" => linear_classifier(thing),
            "DecisionTreeClassifier"
            | "DecisionTreeRegressor"
            | "ExtraTreeClassifier"
            | "ExtraTreeRegressor"
            | "RandomForestClassifier"
            | "RandomForestRegressor"
            | "ExtraTreesClassifier"
            | "ExtraTreesRegressor" => forests::read_forest(thing),
            "GradientBoostingClassifier" | "GradientBoostingRegressor" => forests::read_boosting(thing),
            "HistGradientBoostingClassifier" | "HistGradientBoostingRegressor" => forests::read_histograms(thing),
            "IsolationForest" => forests::read_isolation(thing),
            "MLPClassifier" | "MLPRegressor" => network(thing),
            "GaussianNB" => normals(thing),
            "KMeans" | "MiniBatchKMeans" => centers(thing),
            "KNeighborsClassifier" | "KNeighborsRegressor" => neighbors(thing),
            class => Err(Problem::Unsupported(format!("the class {class}"))),
        }
    }

    /// How its numbers can be explained; `None`: they cannot.
    pub(super) fn how(&self) -> Option<How> {
        match &self.scorer {
            Scorer::Linear(..) => Some(How::Linear),
            Scorer::Trees { .. } => Some(How::Trees),
            Scorer::Network(_) | Scorer::Normals(..) | Scorer::Centers(_) | Scorer::Neighbors(_) => None,
        }
    }

    /// What its numbers are.
    pub(super) fn space(&self) -> Space {
        match (self.choice, self.shares) {
            (Choice::Values, _) => Space::Value,
            (Choice::Largest, Shares::Given) => Space::Probability,
            _ => Space::Margin,
        }
    }

    /// The numbers for each row.
    pub(super) fn scores(&self, mut rows: Matrix) -> Result<Matrix, Problem> {
        match &self.scorer {
            Scorer::Linear(weights, add) => Ok(times(&rows, weights, add)),
            Scorer::Trees { start, trees, divide, single } => {
                if *single {
                    round(&mut rows, &self.who, self.takes)?;
                }
                let mut sums = start.repeat(rows.rows);
                trees.add(&rows.values, &mut sums, start.len());
                if *divide != 1.0 {
                    sums.iter_mut().for_each(|sum| *sum /= divide);
                }
                Ok(Matrix { rows: rows.rows, columns: start.len(), values: sums })
            }
            Scorer::Network(layers) => {
                for layer in layers {
                    rows = layer.apply(&rows);
                }
                Ok(rows)
            }
            Scorer::Normals(add, means, variances) => Ok(likelihoods(&rows, add, means, variances)),
            Scorer::Centers(centers) => {
                let near = |row: &[f64], center: &[f64]| {
                    -row.iter().zip(center).map(|(x, center)| (x - center) * (x - center)).sum::<f64>()
                };
                Ok(each_pair(&rows, centers, near))
            }
            Scorer::Neighbors(neighbors) => Ok(neighbors.scores(&rows)),
        }
    }
}

fn read_classes(thing: Thing<'_>) -> Result<Vec<Label>, Problem> {
    match thing.get("_label_binarizer") {
        Some(_) if thing.get("classes_").is_none() => thing.child("_label_binarizer")?.labels("classes_"),
        _ => thing.labels("classes_"),
    }
}

fn weights(thing: Thing<'_>) -> Result<(Matrix, Vec<f64>), Problem> {
    let coefficients = thing.matrix("coef_")?;
    let mut add = match thing.get("intercept_") {
        Some(_) => thing.floats("intercept_")?,
        None => vec![0.0],
    };
    if add.len() == 1 {
        add = add.repeat(coefficients.rows.max(1));
    }
    let width = thing.count("n_features_in_")?;
    if coefficients.columns != width || coefficients.rows != add.len() || add.is_empty() {
        return Err(thing.wrong("coef_", "does not fit the inputs or intercept_"));
    }
    Ok((coefficients, add))
}

fn linear(thing: Thing<'_>, choice: Choice) -> Result<Estimator, Problem> {
    let (weights, add) = weights(thing)?;
    Ok(Estimator {
        who: thing.class().to_owned(),
        width: weights.columns,
        takes: Takes::Finite,
        scorer: Scorer::Linear(weights, add),
        choice,
        shares: Shares::None,
        classes: Vec::new(),
    })
}

fn linear_classifier(thing: Thing<'_>) -> Result<Estimator, Problem> {
    let mut model = linear(thing, Choice::Largest)?;
    model.classes = read_classes(thing)?;
    let Scorer::Linear(weights, _) = &model.scorer else { return Ok(model) };
    let binary = weights.rows == 1;
    if model.classes.len() != if binary { 2 } else { weights.rows } {
        return Err(thing.wrong("classes_", "does not fit coef_"));
    }
    if binary {
        model.choice = Choice::Positive;
    }
    model.shares = match (thing.class(), thing.text("loss")) {
        ("LogisticRegression" | "LogisticRegressionCV", _) => match (thing.text("multi_class"), binary) {
            (Some("multinomial"), true) => Shares::Logistic(2.0),
            (_, true) => Shares::Logistic(1.0),
            (Some("ovr"), false) => Shares::OneForEach,
            (Some("auto" | "deprecated"), false) if thing.text("solver") == Some("liblinear") => Shares::OneForEach,
            (_, false) => Shares::Softmax,
        },
        ("LinearDiscriminantAnalysis", _) if binary => Shares::Logistic(1.0),
        ("LinearDiscriminantAnalysis", _) => Shares::Softmax,
        ("SGDClassifier", Some("log_loss" | "log")) if binary => Shares::Logistic(1.0),
        ("SGDClassifier", Some("log_loss" | "log")) => Shares::OneForEach,
        ("SGDClassifier", Some("modified_huber")) => Shares::Huber,
        _ => Shares::None,
    };
    Ok(model)
}

fn network(thing: Thing<'_>) -> Result<Estimator, Problem> {
    let (weights, adds) = (thing.list("coefs_")?, thing.list("intercepts_")?);
    if weights.len() != adds.len() || weights.is_empty() {
        return Err(thing.wrong("coefs_", "has not as many layers as intercepts_"));
    }
    let hidden = activation(thing, "activation")?;
    let last = activation(thing, "out_activation_")?;
    let mut layers = Vec::with_capacity(weights.len());
    let width = thing.count("n_features_in_")?;
    let mut inputs = width;
    for (at, (node, add)) in weights.iter().zip(adds).enumerate() {
        let weights = thing.matrix_of(node, &format!("coefs_[{at}]"))?;
        let add = thing.matrix_of(add, &format!("intercepts_[{at}]"))?.values;
        if weights.rows != inputs || weights.columns != add.len() {
            return Err(thing.wrong(&format!("coefs_[{at}]"), "does not fit the layer before it"));
        }
        inputs = add.len();
        let activation = if at + 1 == adds.len() { last } else { hidden };
        layers.push(Layer { weights, add, activation });
    }
    let mut model = Estimator {
        who: thing.class().to_owned(),
        width,
        takes: Takes::Finite,
        scorer: Scorer::Network(layers),
        choice: Choice::Values,
        shares: Shares::None,
        classes: Vec::new(),
    };
    if thing.class() == "MLPClassifier" {
        if thing.child("_label_binarizer")?.text("y_type_") == Some("multilabel-indicator") {
            return Err(Problem::Unsupported("MLPClassifier of several labels a row".to_owned()));
        }
        model.classes = thing.labels("classes_")?;
        let binary = inputs == 1;
        if model.classes.len() != if binary { 2 } else { inputs } {
            return Err(thing.wrong("classes_", "does not fit the last layer"));
        }
        (model.choice, model.shares) =
            if binary { (Choice::Half, Shares::Second) } else { (Choice::Largest, Shares::Given) };
    }
    Ok(model)
}

fn activation(thing: Thing<'_>, name: &str) -> Result<Activation, Problem> {
    Ok(match thing.text(name) {
        Some("identity") => Activation::Identity,
        Some("logistic") => Activation::Logistic,
        Some("tanh") => Activation::Tanh,
        Some("relu") => Activation::Relu,
        Some("exp") => Activation::Exp,
        Some("softmax") => Activation::Softmax,
        _ => return Err(thing.unsupported(name)),
    })
}

impl Layer {
    fn apply(&self, rows: &Matrix) -> Matrix {
        let columns = self.add.len();
        let mut values = self.add.repeat(rows.rows);
        for (row, sums) in values.chunks_exact_mut(columns.max(1)).enumerate() {
            for (input, x) in rows.row(row).iter().enumerate() {
                sums.iter_mut().zip(self.weights.row(input)).for_each(|(sum, weight)| *sum += x * weight);
            }
            match self.activation {
                Activation::Identity => {}
                Activation::Logistic => sums.iter_mut().for_each(|x| *x = logistic(*x)),
                Activation::Tanh => sums.iter_mut().for_each(|x| *x = x.tanh()),
                Activation::Relu => sums.iter_mut().for_each(|x| *x = x.max(0.0)),
                Activation::Exp => sums.iter_mut().for_each(|x| *x = x.exp()),
                Activation::Softmax => softmax(sums),
            }
        }
        Matrix { rows: rows.rows, columns, values }
    }
}

fn normals(thing: Thing<'_>) -> Result<Estimator, Problem> {
    let (means, variances) = (thing.matrix("theta_")?, thing.matrix("var_")?);
    let prior = thing.floats("class_prior_")?;
    let classes = thing.labels("classes_")?;
    let width = thing.count("n_features_in_")?;
    let fits = [means.rows, variances.rows, prior.len()].iter().all(|rows| *rows == classes.len());
    if !fits || means.columns != width || variances.columns != width {
        return Err(thing.wrong("theta_", "does not fit the classes and inputs"));
    }
    let add = prior.iter().enumerate().map(|(class, prior)| {
        let sum: f64 = variances.row(class).iter().map(|variance| (2.0 * std::f64::consts::PI * variance).ln()).sum();
        prior.ln() - 0.5 * sum
    });
    Ok(Estimator {
        who: thing.class().to_owned(),
        width,
        takes: Takes::Finite,
        scorer: Scorer::Normals(add.collect(), means, variances),
        choice: Choice::Largest,
        shares: Shares::Softmax,
        classes,
    })
}

fn centers(thing: Thing<'_>) -> Result<Estimator, Problem> {
    let centers = thing.matrix("cluster_centers_")?;
    let width = thing.count("n_features_in_")?;
    if centers.columns != width || centers.rows == 0 {
        return Err(thing.wrong("cluster_centers_", "does not fit the inputs"));
    }
    Ok(Estimator {
        who: thing.class().to_owned(),
        width,
        takes: Takes::Finite,
        classes: (0..centers.rows).map(|cluster| Label::Int(cluster as i64)).collect(),
        scorer: Scorer::Centers(centers),
        choice: Choice::Cluster,
        shares: Shares::None,
    })
}

fn neighbors(thing: Thing<'_>) -> Result<Estimator, Problem> {
    let rows = thing.matrix("_fit_X")?;
    let width = thing.count("n_features_in_")?;
    let classifier = thing.class() == "KNeighborsClassifier";
    let classes = if classifier { thing.labels("classes_")? } else { Vec::new() };
    let targets = thing.matrix("_y")?;
    let one = targets.rows == 1 && targets.columns == rows.rows;
    let answers = match classifier {
        true => {
            let mut values = vec![0.0; targets.values.len().saturating_mul(classes.len())];
            for (row, class) in targets.values.iter().enumerate() {
                if *class < 0.0 || *class >= classes.len() as f64 {
                    return Err(thing.wrong("_y", "does not fit the classes"));
                }
                values[row * classes.len() + *class as usize] = 1.0;
            }
            Matrix { rows: targets.values.len(), columns: classes.len(), values }
        }
        false if one => Matrix { rows: rows.rows, columns: 1, values: targets.values },
        false => targets,
    };
    let count = thing.count("n_neighbors")?;
    if rows.columns != width || answers.rows != rows.rows || count == 0 || count > rows.rows {
        return Err(thing.wrong("_fit_X", "does not fit the inputs, _y or n_neighbors"));
    }
    let power = match thing.text("effective_metric_") {
        Some("euclidean") => 2.0,
        Some("manhattan" | "cityblock" | "l1") => 1.0,
        Some("chebyshev") => f64::INFINITY,
        Some("minkowski") => match thing.number("p")? {
            power if power >= 1.0 => power,
            _ => return Err(thing.unsupported("p")),
        },
        _ => return Err(thing.unsupported("effective_metric_")),
    };
    let by_distance = match thing.text("weights") {
        Some("uniform") => false,
        Some("distance") => true,
        None if thing.get("weights").is_none() => false,
        _ => return Err(thing.unsupported("weights")),
    };
    Ok(Estimator {
        who: thing.class().to_owned(),
        width,
        takes: Takes::Finite,
        scorer: Scorer::Neighbors(Neighbors { rows, answers, count, power, by_distance }),
        choice: if classifier { Choice::Largest } else { Choice::Values },
        shares: if classifier { Shares::Given } else { Shares::None },
        classes,
    })
}

impl Neighbors {
    fn scores(&self, rows: &Matrix) -> Matrix {
        let mut values = Vec::with_capacity(rows.rows * self.answers.columns);
        let mut near: Vec<(f64, usize)> = Vec::with_capacity(self.rows.rows);
        for row in 0..rows.rows {
            let row = rows.row(row);
            near.clear();
            near.extend((0..self.rows.rows).map(|seen| (self.distance(row, self.rows.row(seen)), seen)));
            near.select_nth_unstable_by(self.count - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let nearest = &near[..self.count];
            let same = nearest.iter().any(|(distance, _)| *distance == 0.0);
            let weight = |distance: f64| match (self.by_distance, same) {
                (false, _) => 1.0,
                (true, false) => 1.0 / distance,
                (true, true) => f64::from(distance == 0.0),
            };
            let total: f64 = nearest.iter().map(|(distance, _)| weight(*distance)).sum();
            let start = values.len();
            values.resize(start + self.answers.columns, 0.0);
            for (distance, seen) in nearest {
                let weight = weight(*distance) / total;
                let answer = self.answers.row(*seen);
                values[start..].iter_mut().zip(answer).for_each(|(sum, answer)| *sum += weight * answer);
            }
        }
        Matrix { rows: rows.rows, columns: self.answers.columns, values }
    }

    fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        match self.power {
            1.0 => apart.sum(),
            2.0 => apart.map(|d| d * d).sum::<f64>().sqrt(),
            f64::INFINITY => apart.fold(0.0, f64::max),
            power => apart.map(|d| d.powf(power)).sum::<f64>().powf(1.0 / power),
        }
    }
}

/// A number for each pair of a row of `rows` and one of `others`.
fn each_pair(rows: &Matrix, others: &Matrix, number: impl Fn(&[f64], &[f64]) -> f64) -> Matrix {
    let mut values = Vec::with_capacity(rows.rows * others.rows);
    for row in 0..rows.rows {
        values.extend((0..others.rows).map(|other| number(rows.row(row), others.row(other))));
    }
    Matrix { rows: rows.rows, columns: others.rows, values }
}

fn times(rows: &Matrix, weights: &Matrix, add: &[f64]) -> Matrix {
    let mut sums = each_pair(rows, weights, |row, weights| row.iter().zip(weights).map(|(x, w)| x * w).sum());
    for row in sums.values.chunks_exact_mut(add.len()) {
        row.iter_mut().zip(add).for_each(|(sum, add)| *sum += add);
    }
    sums
}

fn likelihoods(rows: &Matrix, add: &[f64], means: &Matrix, variances: &Matrix) -> Matrix {
    let mut values = Vec::with_capacity(rows.rows * add.len());
    for row in 0..rows.rows {
        for (class, add) in add.iter().enumerate() {
            let parts = rows.row(row).iter().zip(means.row(class)).zip(variances.row(class));
            let sum: f64 = parts.map(|((x, mean), variance)| (x - mean) * (x - mean) / variance).sum();
            values.push(add - 0.5 * sum);
        }
    }
    Matrix { rows: rows.rows, columns: add.len(), values }
}

/// Rounds to 32 bits, in which trees of scikit-learn take their inputs.
pub(super) fn round(rows: &mut Matrix, who: &str, takes: Takes) -> Result<(), Problem> {
    for value in &mut rows.values {
        *value = f64::from(*value as f32);
        if value.is_infinite() && takes != Takes::Anything {
            return Err(Problem::Rows(format!("a number is too large for the 32 bits that {who} takes")));
        }
    }
    Ok(())
}
