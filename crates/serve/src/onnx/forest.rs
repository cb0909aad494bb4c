//! Forests: `TreeEnsembleClassifier` and `TreeEnsembleRegressor`, and `TreeEnsemble` that follows both.

use std::collections::{HashMap, HashSet};

use super::graph::{Node, Op};
use super::linear::{Classes, Second, Transform};
use super::ops::needed;
use super::tensor::{Data, Tensor, cells};
use crate::Problem;
use crate::trees::{Draft, Test, Trees};

/// More outputs than this are not read.
const TARGETS_MAX: usize = 1 << 16;
/// More numbers than this the leaves of a forest may not hold.
const LEAVES_MAX: usize = 1 << 28;
/// How many rows are laid out at a time.
const BLOCK: usize = 512;

/// How the answers of trees become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joined {
    Sum,
    Average,
    Least,
    Most,
}

/// A tree as files have it: its root is the first node.
#[derive(Default)]
struct Tree {
    drafts: Vec<Draft>,
    /// What each leaf adds to which target.
    leaves: Vec<Vec<(usize, f64)>>,
}

struct Forest {
    /// One heap of trees where they are added up, and one a tree otherwise.
    heaps: Vec<Trees>,
    /// Trees that count what is added to each target, where not every leaf adds to all that others do.
    marks: Option<Trees>,
    joined: Joined,
    count: usize,
    features: usize,
    targets: usize,
    /// Whether any leaf adds to a target.
    used: Vec<bool>,
    base: Vec<f64>,
}

/// `TreeEnsembleRegressor`: `[rows, targets]`.
pub(super) fn regressor(node: &Node) -> Result<Op, Problem> {
    let targets = usize::try_from(node.int("n_targets").unwrap_or(1)).unwrap_or(0);
    let joined = match node.text("aggregate_function", "SUM")? {
        "SUM" => Joined::Sum,
        "AVERAGE" => Joined::Average,
        "MIN" => Joined::Least,
        "MAX" => Joined::Most,
        other => return Err(Problem::Unsupported(format!("the aggregate_function {other:?}"))),
    };
    let (trees, _) = trees_of(node, "target")?;
    let base = numbers(node, "base_values")?;
    let forest = Forest::new(&trees, targets, joined, base, false)?;
    numbers_of(forest, Transform::of(node)?, false)
}

/// `TreeEnsemble`: `[rows, targets]`.
pub(super) fn ensemble(node: &Node) -> Result<Op, Problem> {
    let targets = usize::try_from(node.int("n_targets").unwrap_or(1)).unwrap_or(0);
    let joined = match node.int("aggregate_function").unwrap_or(1) {
        0 => Joined::Average,
        1 => Joined::Sum,
        2 => Joined::Least,
        3 => Joined::Most,
        other => return Err(Problem::Unsupported(format!("the aggregate_function {other}"))),
    };
    let transform = match node.int("post_transform").unwrap_or(0) {
        0 => Transform::None,
        1 => Transform::Softmax,
        2 => Transform::Logistic,
        3 => Transform::SoftmaxZero,
        4 => Transform::Probit,
        other => return Err(Problem::Unsupported(format!("the post_transform {other}"))),
    };
    numbers_of(Forest::new(&linked_trees(node)?, targets, joined, Vec::new(), false)?, transform, true)
}

/// An operation that answers the numbers of a forest: as floats, or as the rows are.
fn numbers_of(forest: Forest, transform: Transform, keeps_doubles: bool) -> Result<Op, Problem> {
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let (mut scores, rows) = forest.scores(x)?;
        let targets = forest.targets;
        for row in scores.chunks_exact_mut(targets) {
            if forest.base.len() == targets {
                row.iter_mut().zip(&forest.base).for_each(|(score, base)| *score += base);
            }
            // A single number is left as it is but by one of the transforms.
            if targets > 1 || transform == Transform::Probit {
                transform.apply(row);
            }
        }
        let shape = vec![rows, targets];
        Ok(vec![match &x.data {
            Data::Double(_) if keeps_doubles => Tensor::new(shape, Data::Double(scores))?,
            _ => Tensor::floats(shape, scores.into_iter().map(|x| x as f32).collect())?,
        }])
    }))
}

/// `TreeEnsembleClassifier`: classes, and scores of `[rows, classes]`.
pub(super) fn classifier(node: &Node) -> Result<Op, Problem> {
    let classes = Classes::of(node, "classlabels_strings", "classlabels_int64s")?;
    let transform = Transform::of(node)?;
    let (trees, all_positive) = trees_of(node, "class")?;
    let forest = Forest::new(&trees, classes.len(), Joined::Sum, numbers(node, "base_values")?, true)?;
    let one_sided = classes.len() == 2 && forest.used.iter().filter(|used| **used).count() == 1;
    let rule = Rule { transform, one_sided, all_positive };
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let (mut scores, rows) = forest.scores(x)?;
        let has = forest.marks(x)?;
        let mut chosen = Vec::with_capacity(rows);
        for (at, row) in scores.chunks_exact_mut(forest.targets).enumerate() {
            let has = has.as_ref().map_or(forest.used.as_slice(), |has| &has[at * row.len()..(at + 1) * row.len()]);
            chosen.push(match row.len() {
                1 | 2 => rule.of_two(row, has, &forest.base),
                _ => rule.of_many(row, has, &forest.base),
            });
        }
        let labels = match &classes {
            // Where both sides have scores of their own the runtime of ONNX answers 1 and 0, whatever they are called.
            Classes::Ints(_) if !one_sided && classes.len() <= 2 => {
                Tensor::ints(vec![rows], chosen.iter().map(|at| *at as i64).collect())?
            }
            _ => classes.chosen(&chosen)?,
        };
        let scores = scores.into_iter().map(|x| x as f32).collect();
        Ok(vec![labels, Tensor::floats(vec![rows, forest.targets], scores)?])
    }))
}

/// How scores become a class.
struct Rule {
    transform: Transform,
    /// Of two classes only one has scores.
    one_sided: bool,
    all_positive: bool,
}

impl Rule {
    /// `has` tells which classes have scores at all.
    fn of_many(&self, row: &mut [f64], has: &[bool], base: &[f64]) -> usize {
        row.iter_mut().zip(base).for_each(|(score, base)| *score += base);
        let counts = |at: &usize| has[*at] || *at < base.len();
        let better = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
        let best = (0..row.len()).filter(counts).reduce(better);
        self.transform.apply(row);
        best.unwrap_or(0)
    }

    /// The rules of the runtime of ONNX for two classes, of which often only one has scores.
    fn of_two(&self, row: &mut [f64], has: &[bool], base: &[f64]) -> usize {
        let mut has_second = has.get(1).copied().unwrap_or(false);
        match (base, &mut *row) {
            ([_, base], [first, second]) if has_second => {
                *second = base + *first;
                *first = -*second;
            }
            ([base, other], [first, second]) => {
                *first += base;
                *second += other;
                has_second = true;
            }
            ([base], [first, ..]) => *first += base,
            _ => {}
        }
        let score = if has_second { row[1] } else { row[0] };
        let is_second = match self.one_sided && self.all_positive {
            true => score > 0.5,
            false => score > 0.0,
        };
        if has_second || row.len() == 1 {
            if row.len() > 1 || self.transform == Transform::Probit {
                self.transform.apply(row);
            }
            return usize::from(is_second);
        }
        let second = if self.one_sided && self.all_positive { Second::Rest } else { Second::Opposite };
        if let [Some(first), Some(second)] = self.transform.both(score, Some(second)) {
            row.copy_from_slice(&[first, second]);
        }
        usize::from(is_second)
    }
}

impl Forest {
    /// Makes trees ready; `marks`: whether it may be asked for [`Forest::marks`].
    fn new(trees: &[Tree], targets: usize, joined: Joined, base: Vec<f64>, marks: bool) -> Result<Forest, Problem> {
        if !(1..=TARGETS_MAX).contains(&targets) {
            return Err(Problem::Unsupported(format!("a forest of {targets} outputs; the most are {TARGETS_MAX}")));
        }
        if base.iter().any(|base| base.is_nan()) {
            return Err(Problem::Damaged("a base value is NaN".into()));
        }
        let splits = trees.iter().flat_map(|tree| &tree.drafts).filter_map(|draft| match draft {
            Draft::Split { feature, .. } => Some(*feature),
            Draft::Leaf(_) => None,
        });
        let features = splits.max().map_or(0, |most| most.saturating_add(1));
        let entries = || trees.iter().flat_map(|tree| tree.leaves.iter().flatten());
        if let Some((target, _)) = entries().find(|(target, _)| *target >= targets) {
            return Err(Problem::Damaged(format!("a leaf adds to output {target} of {targets}")));
        }
        // Where each tree answers one output its leaves are single numbers.
        let single: Option<Vec<usize>> = trees.iter().map(Tree::single_target).collect();
        let width = if single.is_some() { 1 } else { targets };
        let leaves: usize = trees.iter().map(|tree| tree.leaves.len()).sum();
        if leaves.checked_mul(width).is_none_or(|count| count > LEAVES_MAX) {
            return Err(Problem::Unsupported(format!("a forest of {leaves} leaves with {width} numbers each")));
        }
        let mut used = vec![false; targets];
        entries().for_each(|(target, _)| used[*target] = true);
        let is_sum = matches!(joined, Joined::Sum | Joined::Average);
        let is_ragged = single.is_none() && trees.iter().flat_map(|tree| &tree.leaves).any(|leaf| leaf.len() < targets);
        let mut marks = (marks && is_ragged).then(|| Trees::new(features, width));
        // What a leaf says nothing of neither adds, nor is it the least or the most.
        let nothing = match joined {
            Joined::Sum | Joined::Average => 0.0,
            Joined::Least => f64::INFINITY,
            Joined::Most => f64::NEG_INFINITY,
        };
        let mut heaps: Vec<Trees> = Vec::new();
        for (at, tree) in trees.iter().enumerate() {
            if heaps.is_empty() || !is_sum {
                heaps.push(Trees::new(features, width));
            }
            let column = single.as_ref().map_or(0, |single| single[at]);
            let mut numbers = vec![nothing; tree.leaves.len() * width];
            let mut there = vec![0.0; numbers.len()];
            for (leaf, entries) in tree.leaves.iter().enumerate() {
                for (target, weight) in entries {
                    let place = leaf * width + target - column;
                    numbers[place] = if there[place] > 0.0 { numbers[place] + weight } else { *weight };
                    there[place] = 1.0;
                }
            }
            let damaged = |what: String| Problem::Damaged(format!("tree {at}: {what}"));
            if let Some(heap) = heaps.last_mut() {
                heap.push_shared(&tree.drafts, &numbers, column).map_err(damaged)?;
            }
            if let Some(marks) = &mut marks {
                marks.push_shared(&tree.drafts, &there, column).map_err(damaged)?;
            }
        }
        Ok(Forest { heaps, marks, joined, count: trees.len(), features, targets, used, base })
    }

    /// The scores of all rows, and how many rows there are.
    fn scores(&self, x: &Tensor) -> Result<(Vec<f64>, usize), String> {
        let is_wide = matches!(x.data, Data::Double(_));
        let scores = self.walk(x, |rows, scores| self.add(rows, scores, is_wide))?;
        Ok((scores, x.table().0))
    }

    /// Which targets are added to, for each row; `None`: [`Forest::used`] tells it for all rows.
    fn marks(&self, x: &Tensor) -> Result<Option<Vec<bool>>, String> {
        let Some(marks) = &self.marks else { return Ok(None) };
        let counts = self.walk(x, |rows, counts| marks.add(rows, counts, self.targets))?;
        Ok(Some(counts.into_iter().map(|count| count > 0.0).collect()))
    }

    /// Adds to the sums of all rows, a block at a time.
    fn walk(&self, x: &Tensor, add: impl Fn(&[f64], &mut [f64])) -> Result<Vec<f64>, String> {
        let (rows, width) = x.table();
        if width < self.features {
            return Err(format!("its trees ask for {} columns and there are {width}", self.features));
        }
        let targets = self.targets;
        let mut sums = vec![0.0; cells(&[rows, targets])?];
        let numbers = x.to_doubles()?;
        let mut block = Vec::with_capacity(BLOCK * self.features.max(1));
        for (at, sums) in sums.chunks_mut(BLOCK * targets).enumerate() {
            block.clear();
            for row in at * BLOCK..at * BLOCK + sums.len() / targets {
                match self.features {
                    // Trees without a question still take a row of something.
                    0 => block.push(0.0),
                    features => block.extend_from_slice(&numbers[row * width..row * width + features]),
                }
            }
            add(&block, sums);
        }
        Ok(sums)
    }

    fn add(&self, rows: &[f64], scores: &mut [f64], is_wide: bool) {
        let targets = self.targets;
        match self.joined {
            Joined::Sum | Joined::Average => {
                for heap in &self.heaps {
                    match is_wide {
                        true => heap.add(rows, scores, targets),
                        false => heap.add_single(rows, scores, targets),
                    }
                }
                if self.joined == Joined::Average {
                    scores.iter_mut().for_each(|score| *score /= self.count as f64);
                }
            }
            Joined::Least | Joined::Most => {
                let is_better =
                    |one: f64, best: f64| if self.joined == Joined::Least { one < best } else { one > best };
                let worst = if self.joined == Joined::Least { f64::INFINITY } else { f64::NEG_INFINITY };
                scores.fill(worst);
                let mut one = vec![0.0; scores.len()];
                for heap in &self.heaps {
                    one.fill(0.0);
                    heap.add(rows, &mut one, targets);
                    let pairs = scores.iter_mut().zip(&one);
                    pairs.filter(|(best, one)| is_better(**one, **best)).for_each(|(best, one)| *best = *one);
                }
                scores.iter_mut().filter(|score| **score == worst).for_each(|score| *score = 0.0);
            }
        }
    }
}

impl Tree {
    /// The one output that all leaves add to, if there is such.
    fn single_target(&self) -> Option<usize> {
        let mut targets = self.leaves.iter().flatten().map(|(target, _)| *target);
        let first = targets.next().unwrap_or(0);
        targets.all(|target| target == first).then_some(first)
    }
}

/// The trees of lists in which each node says its tree; and whether no leaf takes away.
fn trees_of(node: &Node, kind: &str) -> Result<(Vec<Tree>, bool), Problem> {
    let ints = |name: &str| node.ints(name).unwrap_or_default();
    let (owners, ids) = (ints("nodes_treeids"), ints("nodes_nodeids"));
    let (features, values) = (ints("nodes_featureids"), numbers(node, "nodes_values")?);
    let (yes, no) = (ints("nodes_truenodeids"), ints("nodes_falsenodeids"));
    let (modes, missing) = (node.texts("nodes_modes")?, ints("nodes_missing_value_tracks_true"));
    let count = owners.len();
    if [ids.len(), features.len(), values.len(), yes.len(), no.len(), modes.len()] != [count; 6] {
        return Err(Problem::Damaged("its lists of nodes are of different lengths".into()));
    }
    if count == 0 {
        return Err(Problem::Damaged("it has no nodes".into()));
    }
    let mut places: HashMap<(i64, i64), (usize, usize)> = HashMap::with_capacity(count);
    let mut trees: Vec<Tree> = Vec::new();
    let mut begins = Vec::new();
    for at in 0..count {
        if at == 0 || owners[at] != owners[at - 1] {
            begins.push(at);
        }
        let place = (begins.len() - 1, at - begins[begins.len() - 1]);
        if places.insert((owners[at], ids[at]), place).is_some() {
            return Err(Problem::Damaged(format!("tree {} has the node {} twice", owners[at], ids[at])));
        }
    }
    let mut leaf_of = vec![usize::MAX; count];
    for at in 0..count {
        if begins.get(trees.len()) == Some(&at) {
            trees.push(Tree::default());
        }
        let this = trees.len() - 1;
        let Some(tree) = trees.last_mut() else { continue };
        if &*modes[at] == "LEAF" {
            leaf_of[at] = tree.leaves.len();
            tree.drafts.push(Draft::Leaf(tree.leaves.len()));
            tree.leaves.push(Vec::new());
            continue;
        }
        let child = |id: i64| match places.get(&(owners[at], id)) {
            Some((tree, place)) if *tree == this => Ok(*place),
            _ => Err(Problem::Damaged(format!(
                "node {} of tree {} leads to {id}, which is not there",
                ids[at], owners[at]
            ))),
        };
        let feature = usize::try_from(features[at]).ok().filter(|feature| *feature < u32::MAX as usize);
        let feature = feature.ok_or_else(|| Problem::Damaged(format!("a node asks for input {}", features[at])))?;
        let is_missing_yes = missing.get(at) == Some(&1);
        tree.drafts.push(split(&modes[at], feature, values[at], is_missing_yes, child(yes[at])?, child(no[at])?)?);
    }
    let name = |what: &str| format!("{kind}_{what}");
    let (leaf_trees, leaf_nodes, targets) = (ints(&name("treeids")), ints(&name("nodeids")), ints(&name("ids")));
    let weights = numbers(node, &name("weights"))?;
    if [leaf_nodes.len(), targets.len(), weights.len()] != [leaf_trees.len(); 3] {
        return Err(Problem::Damaged("its lists of leaves are of different lengths".into()));
    }
    for (at, weight) in weights.iter().enumerate() {
        let place = places.get(&(leaf_trees[at], leaf_nodes[at]));
        let leaf = place.map(|(tree, place)| (*tree, leaf_of[begins[*tree] + place]));
        let target = usize::try_from(targets[at]).ok();
        let (Some((tree, leaf)), Some(target)) = (leaf, target) else {
            let says = format!("a weight of tree {} and node {}, which is no leaf", leaf_trees[at], leaf_nodes[at]);
            return Err(Problem::Damaged(says));
        };
        // What a node that is no leaf would add is never asked for.
        if let Some(leaf) = trees[tree].leaves.get_mut(leaf) {
            leaf.push((target, *weight));
        }
    }
    Ok((trees, weights.iter().all(|weight| *weight >= 0.0)))
}

/// A question of a node as [`Trees`] asks it: the sides change places where it asks for more than a threshold.
fn split(mode: &str, feature: usize, value: f64, missing_yes: bool, yes: usize, no: usize) -> Result<Draft, Problem> {
    // What is missing is not equal to anything.
    let missing_yes = missing_yes || mode == "BRANCH_NEQ";
    let (test, is_turned) = match mode {
        "BRANCH_LEQ" => (Test::AtMost(value), false),
        "BRANCH_LT" => (Test::AtMost(value.next_down()), false),
        "BRANCH_GT" => (Test::AtMost(value), true),
        "BRANCH_GTE" => (Test::AtMost(value.next_down()), true),
        "BRANCH_EQ" => (Test::Equal(value), false),
        "BRANCH_NEQ" => (Test::Equal(value), true),
        other => return Err(Problem::Unsupported(format!("nodes of mode {other:?}"))),
    };
    Ok(match is_turned {
        false => Draft::Split { feature, test, missing_left: missing_yes, zero_missing: false, left: yes, right: no },
        true => Draft::Split { feature, test, missing_left: !missing_yes, zero_missing: false, left: no, right: yes },
    })
}

/// The trees of lists in which nodes lead to one another by their places.
fn linked_trees(node: &Node) -> Result<Vec<Tree>, Problem> {
    let ints = |name: &str| node.ints(name).unwrap_or_default();
    let (features, values) = (ints("nodes_featureids"), numbers(node, "nodes_splits")?);
    let (yes, yes_leaf) = (ints("nodes_truenodeids"), ints("nodes_trueleafs"));
    let (no, no_leaf) = (ints("nodes_falsenodeids"), ints("nodes_falseleafs"));
    let missing = ints("nodes_missing_value_tracks_true");
    let modes = node.tensor("nodes_modes")?.map(|tensor| tensor.data);
    let Some(Data::Int(modes)) = modes else {
        return Err(Problem::Damaged("its nodes_modes are missing".into()));
    };
    let (targets, weights) = (ints("leaf_targetids"), numbers(node, "leaf_weights")?);
    let count = features.len();
    if [values.len(), yes.len(), no.len(), yes_leaf.len(), no_leaf.len(), modes.len()] != [count; 6]
        || targets.len() != weights.len()
    {
        return Err(Problem::Damaged("its lists of nodes or leaves are of different lengths".into()));
    }
    const MODES: [&str; 6] = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];
    let outside = |what: &str, at: i64| Problem::Damaged(format!("it leads to {what} {at}, which is not there"));
    let mut seen = HashSet::new();
    let mut trees = Vec::new();
    for root in ints("tree_roots") {
        let mut tree = Tree::default();
        // Places are given when a node or leaf is first spoken of; nodes wait with them.
        let mut waiting = vec![(*root, 0)];
        tree.drafts.push(Draft::Leaf(0));
        while let Some((at, place)) = waiting.pop() {
            let node = usize::try_from(at).ok().filter(|node| *node < count).ok_or_else(|| outside("node", at))?;
            if !seen.insert(node) {
                return Err(Problem::Damaged(format!("its trees come to node {node} twice")));
            }
            let mut child = |to: i64, is_leaf: i64| {
                let place = tree.drafts.len();
                if is_leaf == 0 {
                    tree.drafts.push(Draft::Leaf(0));
                    waiting.push((to, place));
                    return Ok(place);
                }
                let leaf = usize::try_from(to).ok().filter(|leaf| *leaf < weights.len());
                let leaf = leaf.ok_or_else(|| outside("leaf", to))?;
                let target = usize::try_from(targets[leaf]).map_err(|_| outside("output", targets[leaf]))?;
                tree.drafts.push(Draft::Leaf(tree.leaves.len()));
                tree.leaves.push(vec![(target, weights[leaf])]);
                Ok::<_, Problem>(place)
            };
            // A tree of one leaf has a node whose sides are the same leaf.
            let (left, right) = (child(yes[node], yes_leaf[node])?, child(no[node], no_leaf[node])?);
            let mode = usize::try_from(modes[node]).ok().and_then(|mode| MODES.get(mode));
            let mode = mode.ok_or_else(|| Problem::Unsupported(format!("nodes of mode {} (sets)", modes[node])))?;
            let feature = usize::try_from(features[node]).map_err(|_| outside("input", features[node]))?;
            tree.drafts[place] = split(mode, feature, values[node], missing.get(node) == Some(&1), left, right)?;
        }
        trees.push(tree);
    }
    match trees.is_empty() {
        true => Err(Problem::Damaged("it has no trees".into())),
        false => Ok(trees),
    }
}

/// Numbers that are said as floats, or as a tensor (`NAME_as_tensor`, or the name itself).
fn numbers(node: &Node, name: &str) -> Result<Vec<f64>, Problem> {
    let tensor = match node.tensor(&format!("{name}_as_tensor"))? {
        Some(tensor) => Some(tensor),
        None => node.tensor(name)?,
    };
    match tensor {
        Some(tensor) => tensor.to_doubles().map_err(Problem::Damaged),
        None => Ok(node.floats(name).iter().map(|x| f64::from(*x)).collect()),
    }
}
