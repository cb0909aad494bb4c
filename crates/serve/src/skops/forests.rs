//! Trees of scikit-learn: single ones, forests, and boosted ones.

use super::estimators::{Choice, Estimator, Scorer, Shares};
use super::node::Node;
use super::npy::Data;
use super::object::Thing;
use super::table::Takes;
use crate::trees::{Draft, Test, Trees};
use crate::{Label, Matrix, Problem};

/// The most nodes all trees of a model may have together: about 1.5 GiB.
const NODES: usize = 50_000_000;

/// How many numbers of nodes and leaves a model holds so far.
#[derive(Default)]
struct Size(usize);

impl Size {
    fn add(&mut self, count: usize) -> Result<(), Problem> {
        self.0 = self.0.saturating_add(count);
        match self.0 <= NODES {
            true => Ok(()),
            false => Err(Problem::Unsupported(format!("its trees have more than {NODES} nodes and leaf values"))),
        }
    }
}

/// A tree or a forest.
pub(super) fn read_forest(thing: Thing<'_>) -> Result<Estimator, Problem> {
    let width = thing.count("n_features_in_")?;
    if thing.class().ends_with("Classifier") && thing.count("n_outputs_")? != 1 {
        return Err(Problem::Unsupported(format!("{} answers several outputs", thing.class())));
    }
    let classes = match thing.class().ends_with("Classifier") {
        true => thing.labels("classes_")?,
        false => Vec::new(),
    };
    let columns = if classes.is_empty() { thing.count("n_outputs_")? } else { classes.len() };
    let mut trees = Trees::new(width, columns);
    let mut size = Size::default();
    match thing.get("estimators_") {
        None => push_tree(thing, &mut trees, 0, Leaves::whole(&classes), &mut size)?,
        Some(_) => {
            for node in thing.list("estimators_")? {
                push_tree(thing.other(node)?, &mut trees, 0, Leaves::whole(&classes), &mut size)?;
            }
        }
    }
    if trees.len() == 0 || columns == 0 {
        return Err(thing.wrong("estimators_", "is empty"));
    }
    let (choice, shares) = match classes.is_empty() {
        true => (Choice::Values, Shares::None),
        false => (Choice::Largest, Shares::Given),
    };
    let divide = trees.len() as f64;
    let scorer = Scorer::Trees { start: vec![0.0; columns], trees, divide, single: true };
    Ok(Estimator { who: thing.class().to_owned(), width, takes: Takes::Missing, scorer, choice, shares, classes })
}

/// What is done to the numbers of a leaf.
#[derive(Clone, Copy)]
enum Leaves {
    /// They are made to sum to 1: older files hold counts.
    Shares,
    /// They are multiplied.
    Times(f64),
    /// They are how many steps it takes to come to a leaf, and further to one row alone.
    Paths,
}

impl Leaves {
    fn whole(classes: &[Label]) -> Leaves {
        if classes.is_empty() { Leaves::Times(1.0) } else { Leaves::Shares }
    }
}

/// Adds the tree of a fitted tree estimator.
fn push_tree(
    estimator: Thing<'_>,
    trees: &mut Trees,
    column: usize,
    leaves: Leaves,
    size: &mut Size,
) -> Result<(), Problem> {
    let tree = estimator.child("tree_")?;
    if tree.class() != "Tree" || !tree.is_of("sklearn") {
        return Err(Problem::Unsupported(format!("the class {} as a tree", tree.full_name())));
    }
    let Data::Records(nodes) = tree.array("nodes")?.data else {
        return Err(tree.wrong("nodes", "holds no records"));
    };
    let values = tree.array("values")?;
    let Data::Floats(mut numbers) = values.data else { return Err(tree.wrong("values", "holds no numbers")) };
    let width = values.shape.iter().skip(1).product::<usize>();
    let expected = trees.width();
    if values.shape.first() != Some(&nodes.len()) || width != expected {
        return Err(tree.wrong("values", &format!("has not {expected} numbers for each node")));
    }
    size.add(nodes.len() + numbers.len())?;
    for leaf in numbers.chunks_exact_mut(width.max(1)) {
        match leaves {
            Leaves::Times(factor) => leaf.iter_mut().for_each(|number| *number *= factor),
            Leaves::Paths => {}
            Leaves::Shares => {
                let sum: f64 = leaf.iter().sum();
                if sum > 0.0 && (sum - 1.0).abs() > 1e-9 {
                    leaf.iter_mut().for_each(|number| *number /= sum);
                }
            }
        }
    }
    let field = |name: &str| nodes.ints(name).ok_or_else(|| tree.wrong("nodes", &format!("has no field {name}")));
    let (left, right, feature) = (field("left_child")?, field("right_child")?, field("feature")?);
    let thresholds = nodes.floats("threshold").ok_or_else(|| tree.wrong("nodes", "has no field threshold"))?;
    let missing_left = nodes.ints("missing_go_to_left").unwrap_or_else(|| vec![0; nodes.len()]);
    if let Leaves::Paths = leaves {
        numbers = path_lengths(&left, &right, &field("n_node_samples")?)
            .ok_or_else(|| tree.wrong("nodes", "do not form a tree"))?;
    }
    let drafts = (0..nodes.len()).map(|at| match left[at] {
        -1 => Some(Draft::Leaf(at)),
        _ => Some(Draft::Split {
            feature: usize::try_from(feature[at]).ok()?,
            test: Test::AtMost(thresholds[at]),
            missing_left: missing_left[at] != 0,
            zero_missing: false,
            left: usize::try_from(left[at]).ok()?,
            right: usize::try_from(right[at]).ok()?,
        }),
    });
    let drafts: Option<Vec<Draft>> = drafts.collect();
    let drafts = drafts.ok_or_else(|| tree.wrong("nodes", "has a place below 0"))?;
    let pushed = match nodes.floats("weighted_n_node_samples") {
        Some(covers) => trees.push_with_covers(&drafts, &numbers, column, &covers),
        None => trees.push(&drafts, &numbers, column),
    };
    pushed.map_err(|what| Problem::Damaged(format!("{}: {what}", estimator.class())))
}

/// IsolationForest: rows that few steps tell from the others are outliers.
pub(super) fn read_isolation(thing: Thing<'_>) -> Result<Estimator, Problem> {
    let width = thing.count("n_features_in_")?;
    let estimators = thing.list("estimators_")?;
    for node in thing.list("estimators_features_")? {
        let features = thing.matrix_of(node, "estimators_features_")?.values;
        if !features.iter().copied().eq((0..width).map(|at| at as f64)) {
            return Err(thing.unsupported("max_features"));
        }
    }
    let mut trees = Trees::new(width, 1);
    let mut size = Size::default();
    for node in estimators {
        push_tree(thing.other(node)?, &mut trees, 0, Leaves::Paths, &mut size)?;
    }
    let usual = usual_path(thing.number("_max_samples")?);
    let offset = thing.number("offset_")?;
    if trees.len() == 0 || usual <= 0.0 || !offset.is_finite() {
        return Err(thing.wrong("_max_samples", "or offset_ or estimators_ tells nothing of outliers"));
    }
    // The score is -2 to the power of -(the mean length of paths divided by the usual one).
    let divide = trees.len() as f64 * usual;
    let scorer = Scorer::Trees { start: vec![0.0], trees, divide, single: true };
    Ok(Estimator {
        who: thing.class().to_owned(),
        width,
        takes: Takes::Missing,
        scorer,
        choice: Choice::Outlier(offset),
        shares: Shares::None,
        classes: Vec::new(),
    })
}

/// How many steps it takes on average to tell a row from so many others.
fn usual_path(rows: f64) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    match rows {
        ..=1.0 => 0.0,
        ..=2.0 => 1.0,
        rows => 2.0 * ((rows - 1.0).ln() + EULER) - 2.0 * (rows - 1.0) / rows,
    }
}

/// Of each leaf its depth, and the usual path for the rows that were left in it; `None`: it is no tree.
fn path_lengths(left: &[i64], right: &[i64], rows: &[i64]) -> Option<Vec<f64>> {
    let mut lengths = vec![0.0; left.len()];
    let mut waiting = vec![(0usize, 0.0)];
    let mut visits = 0;
    while let Some((at, depth)) = waiting.pop() {
        visits += 1;
        if visits > left.len() {
            return None;
        }
        if *left.get(at)? == -1 {
            lengths[at] = depth + usual_path(rows[at] as f64);
            continue;
        }
        for next in [left[at], right[at]] {
            waiting.push((usize::try_from(next).ok()?, depth + 1.0));
        }
    }
    Some(lengths)
}

/// GradientBoosting.
pub(super) fn read_boosting(thing: Thing<'_>) -> Result<Estimator, Problem> {
    let width = thing.count("n_features_in_")?;
    let Node::Objects(stages) = thing.need("estimators_")? else {
        return Err(thing.wrong("estimators_", "is no array of trees"));
    };
    let classes = match thing.class() {
        "GradientBoostingClassifier" => thing.labels("classes_")?,
        _ => Vec::new(),
    };
    let columns = if classes.len() > 2 { classes.len() } else { 1 };
    let (choice, shares) = match (thing.text("loss"), classes.len()) {
        (Some("squared_error" | "absolute_error" | "huber" | "quantile"), 0) => (Choice::Values, Shares::None),
        (Some("log_loss" | "deviance"), 2) => (Choice::NotNegative, Shares::Logistic(1.0)),
        (Some("exponential"), 2) => (Choice::NotNegative, Shares::Logistic(2.0)),
        (Some("log_loss" | "deviance"), 3..) => (Choice::Largest, Shares::Softmax),
        _ => return Err(thing.unsupported("loss")),
    };
    let rate = thing.number("learning_rate")?;
    if !rate.is_finite() {
        return Err(thing.unsupported("learning_rate"));
    }
    let mut trees = Trees::new(width, 1);
    let mut size = Size::default();
    for stage in &stages.1 {
        let stage = match stage {
            Node::List(stage) => &stage[..],
            one => std::slice::from_ref(one),
        };
        if stage.len() != columns {
            return Err(thing.wrong("estimators_", "has not a tree for each class"));
        }
        for (column, node) in stage.iter().enumerate() {
            push_tree(thing.other(node)?, &mut trees, column, Leaves::Times(rate), &mut size)?;
        }
    }
    let start = boosting_start(thing, columns, shares)?;
    let scorer = Scorer::Trees { start, trees, divide: 1.0, single: true };
    Ok(Estimator { who: thing.class().to_owned(), width, takes: Takes::Finite, scorer, choice, shares, classes })
}

/// What the sums of boosted trees start from.
fn boosting_start(thing: Thing<'_>, columns: usize, shares: Shares) -> Result<Vec<f64>, Problem> {
    if thing.text("init_") == Some("zero") {
        return Ok(vec![0.0; columns]);
    }
    let first = thing.child("init_")?;
    match (first.class(), first.text("strategy")) {
        ("DummyRegressor", _) if shares == Shares::None => {
            let constant = first.floats("constant_")?;
            match constant.len() == columns {
                true => Ok(constant),
                false => Err(first.wrong("constant_", "is not one number")),
            }
        }
        ("DummyClassifier", Some("prior")) => {
            let clip = |p: f64| p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
            let prior: Vec<f64> = first.floats("class_prior_")?.into_iter().map(clip).collect();
            match (shares, &prior[..]) {
                (Shares::Logistic(twice), [_, second]) => Ok(vec![(second / (1.0 - second)).ln() / twice]),
                (Shares::Softmax, prior) if prior.len() == columns => {
                    let mean = prior.iter().map(|p| p.ln()).sum::<f64>() / columns as f64;
                    Ok(prior.iter().map(|p| p.ln() - mean).collect())
                }
                _ => Err(first.wrong("class_prior_", "does not fit the classes")),
            }
        }
        _ => Err(thing.unsupported("init_")),
    }
}

/// HistGradientBoosting.
pub(super) fn read_histograms(thing: Thing<'_>) -> Result<Estimator, Problem> {
    let width = thing.count("n_features_in_")?;
    let classes = match thing.class() {
        "HistGradientBoostingClassifier" => thing.labels("classes_")?,
        _ => Vec::new(),
    };
    let (choice, shares) = match (thing.text("loss"), classes.len()) {
        (Some("squared_error" | "absolute_error" | "quantile"), 0) => (Choice::Values, Shares::None),
        (Some("poisson" | "gamma"), 0) => (Choice::Powers, Shares::None),
        (Some("log_loss"), 2) => (Choice::Positive, Shares::Logistic(1.0)),
        (Some("log_loss"), 3..) => (Choice::Largest, Shares::Softmax),
        _ => return Err(thing.unsupported("loss")),
    };
    let start = thing.floats("_baseline_prediction")?;
    let columns = if classes.len() > 2 { classes.len() } else { 1 };
    if start.len() != columns {
        return Err(thing.wrong("_baseline_prediction", "does not fit the classes"));
    }
    let known = known_categories(thing.child("_bin_mapper")?, width)?;
    let mut trees = Trees::new(width, 1);
    let mut size = Size::default();
    for round in thing.list("_predictors")? {
        let Node::List(round) = round else { return Err(thing.wrong("_predictors", "is no list of lists")) };
        if round.len() != columns {
            return Err(thing.wrong("_predictors", "has not a tree for each class"));
        }
        for (column, node) in round.iter().enumerate() {
            push_predictor(thing.other(node)?, &mut trees, column, &known, &mut size)?;
        }
    }
    let scorer = Scorer::Trees { start, trees, divide: 1.0, single: false };
    Ok(Estimator { who: thing.class().to_owned(), width, takes: Takes::Anything, scorer, choice, shares, classes })
}

/// 256 bits, one for each category.
type Set = [u32; 8];

/// The categories that were seen, an input each; `None`: the input has none.
fn known_categories(mapper: Thing<'_>, width: usize) -> Result<Vec<Option<Set>>, Problem> {
    let categorical = mapper.floats("is_categorical_")?;
    let bins = mapper.list("bin_thresholds_")?;
    if categorical.len() != width || bins.len() != width {
        return Err(mapper.wrong("is_categorical_", "does not fit the inputs"));
    }
    let mut known = vec![None; width];
    for (input, node) in bins.iter().enumerate() {
        if categorical[input] == 0.0 {
            continue;
        }
        let mut set = Set::default();
        for category in mapper.raw_matrix(node, "bin_thresholds_")?.values {
            if !(0.0..256.0).contains(&category) {
                return Err(mapper.wrong("bin_thresholds_", "has a category that is not in 0 to 255"));
            }
            set[category as usize / 32] |= 1 << (category as usize % 32);
        }
        known[input] = Some(set);
    }
    Ok(known)
}

fn push_predictor(
    predictor: Thing<'_>,
    trees: &mut Trees,
    column: usize,
    known: &[Option<Set>],
    size: &mut Size,
) -> Result<(), Problem> {
    if predictor.class() != "TreePredictor" || !predictor.is_of("sklearn") {
        return Err(Problem::Unsupported(format!("the class {} as a tree", predictor.full_name())));
    }
    let Data::Records(nodes) = predictor.array("nodes")?.data else {
        return Err(predictor.wrong("nodes", "holds no records"));
    };
    size.add(2 * nodes.len())?;
    let lacks = |name: &str| predictor.wrong("nodes", &format!("has no field {name}"));
    let ints = |name: &str| nodes.ints(name).ok_or_else(|| lacks(name));
    let floats = |name: &str| nodes.floats(name).ok_or_else(|| lacks(name));
    let (values, thresholds) = (floats("value")?, floats("num_threshold")?);
    let (left, right, feature) = (ints("left")?, ints("right")?, ints("feature_idx")?);
    let (is_leaf, missing_left) = (ints("is_leaf")?, ints("missing_go_to_left")?);
    let (categorical, set) = (ints("is_categorical")?, ints("bitset_idx")?);
    let sets = match categorical.iter().any(|flag| *flag != 0) {
        true => predictor.matrix("raw_left_cat_bitsets")?,
        false => Matrix::default(),
    };
    let draft = |at: usize| {
        if is_leaf[at] != 0 {
            return Some(Draft::Leaf(at));
        }
        let feature = usize::try_from(feature[at]).ok()?;
        let missing_left = missing_left[at] != 0;
        let test = match categorical[at] {
            0 => Test::AtMost(thresholds[at]),
            _ => {
                let set = usize::try_from(set[at]).ok().filter(|set| *set < sets.rows && sets.columns == 8)?;
                let known = known.get(feature)?.as_ref()?;
                // What was never seen goes where missing values go.
                let unseen = |word: usize| if missing_left { !known[word] } else { 0 };
                let members = sets.row(set).iter().enumerate().map(|(word, bits)| *bits as u32 | unseen(word));
                Test::Among { members: members.collect(), outside_left: missing_left }
            }
        };
        let (left, right) = (usize::try_from(left[at]).ok()?, usize::try_from(right[at]).ok()?);
        Some(Draft::Split { feature, test, missing_left, zero_missing: false, left, right })
    };
    let drafts: Option<Vec<Draft>> = (0..nodes.len()).map(draft).collect();
    let drafts = drafts.ok_or_else(|| predictor.wrong("nodes", "has a place that is not there"))?;
    let counts = nodes.ints("count").unwrap_or_default();
    let covers: Vec<f64> = counts.into_iter().map(|count| count as f64).collect();
    let pushed = trees.push_with_covers(&drafts, &values, column, &covers);
    pushed.map_err(|what| Problem::Damaged(format!("{}: {what}", predictor.class())))
}
