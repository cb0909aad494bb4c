//! Trees of XGBoost in one flat array. The children of a node lie side by side and a leaf leads to itself, so eight rows
//! walk down a tree together without a branch that depends on them.

use std::collections::HashMap;

use super::value::Value;
use crate::Problem;
use crate::explain::trees::{self, Place, Root};

/// How many rows walk down a tree together.
pub(super) const LANES: usize = 8;

/// A node has children.
const SPLIT: u32 = 1;
/// A missing number goes to the left.
const MISSING_LEFT: u32 = 2;
/// The node asks for categories.
const CATEGORIES: u32 = 4;
/// From here on the flags hold the number of the node's set of categories, or of a leaf's numbers.
const SET: u32 = 3;

#[derive(Clone, Copy, Debug)]
struct Node {
    /// Lower numbers go to the left; a leaf: its number.
    threshold: f32,
    feature: u32,
    /// The left child; a leaf: itself.
    left: u32,
    flags: u32,
}

#[derive(Clone, Copy, Debug)]
struct Tree {
    root: u32,
    group: u32,
    weight: f32,
    has_categories: bool,
    /// Its leaves have a number for each group.
    is_wide: bool,
}

/// All trees of a model.
#[derive(Debug, Default)]
pub(super) struct Forest {
    nodes: Vec<Node>,
    trees: Vec<Tree>,
    /// Where in `categories` a set starts and ends.
    sets: Vec<(u32, u32)>,
    /// Categories that go to the right, ascending within a set.
    categories: Vec<u32>,
    /// Numbers of wide leaves, `groups` each.
    wide: Vec<f32>,
    /// How many rows came by each node, by their second derivatives; NaN where the file does not say. Only explanations
    /// look at it.
    covers: Vec<f32>,
}

impl Forest {
    /// How many trees there are.
    pub fn len(&self) -> usize {
        self.trees.len()
    }

    /// Leaves only the first trees.
    pub fn truncate(&mut self, trees: usize) {
        self.trees.truncate(trees);
    }

    /// Adds a tree as the file has it, whose rows have `width` numbers.
    pub fn push(
        &mut self,
        tree: &Value,
        group: usize,
        weight: f32,
        width: usize,
        groups: usize,
    ) -> Result<(), Problem> {
        let source = Source::read(tree, groups)?;
        let root = self.next()?;
        self.nodes.push(EMPTY);
        self.covers.push(f32::NAN);
        let mut seen = vec![false; source.left.len()];
        let mut open = vec![(0_usize, root)];
        while let Some((from, to)) = open.pop() {
            if std::mem::replace(&mut seen[from], true) {
                return Err(Problem::Damaged(format!("node {from} is reached twice")));
            }
            self.covers[to as usize] = source.covers.get(from).copied().unwrap_or(f32::NAN);
            if source.left[from] == -1 {
                self.nodes[to as usize] = self.leaf(&source, from, to, groups)?;
                continue;
            }
            let left = self.next()?;
            self.nodes[to as usize] = self.split(&source, from, left, width)?;
            self.nodes.extend([EMPTY, EMPTY]);
            self.covers.extend([f32::NAN, f32::NAN]);
            open.push((source.child(source.right[from])?, left + 1));
            open.push((source.child(source.left[from])?, left));
        }
        let (has_categories, is_wide) = (!source.sets.is_empty(), source.wide.is_some());
        self.trees.push(Tree { root, group: group as u32, weight, has_categories, is_wide });
        Ok(())
    }

    /// Adds every tree's leaf to the margins of rows: `rows` holds a multiple of [`LANES`] rows of `width` numbers each
    /// (at least one), `margins` as many rows of `groups` numbers.
    pub fn add(&self, rows: &[f32], width: usize, margins: &mut [f32], groups: usize) {
        for tree in &self.trees {
            let lanes = rows.chunks_exact(width * LANES).zip(margins.chunks_exact_mut(groups * LANES));
            for (rows, margins) in lanes {
                let leaves = if tree.has_categories {
                    self.leaves::<true>(tree.root, rows, width)
                } else {
                    self.leaves::<false>(tree.root, rows, width)
                };
                for (leaf, margins) in leaves.iter().zip(margins.chunks_exact_mut(groups)) {
                    let leaf = &self.nodes[*leaf as usize];
                    if tree.is_wide {
                        let start = (leaf.flags >> SET) as usize * groups;
                        for (margin, number) in margins.iter_mut().zip(&self.wide[start..]) {
                            *margin += tree.weight * number;
                        }
                    } else {
                        margins[tree.group as usize] += tree.weight * leaf.threshold;
                    }
                }
            }
        }
    }

    /// Where each tree begins, for an explanation of `groups` outputs.
    pub fn roots(&self, groups: usize) -> Vec<Root> {
        let root = |tree: &Tree| Root {
            place: tree.root,
            output: if tree.is_wide { 0 } else { tree.group as usize },
            width: if tree.is_wide { groups } else { 1 },
            factor: f64::from(tree.weight),
        };
        self.trees.iter().map(root).collect()
    }

    fn leaves<const SETS: bool>(&self, root: u32, rows: &[f32], width: usize) -> [u32; LANES] {
        let mut at = [root; LANES];
        loop {
            let mut moved = 0;
            for (lane, at) in at.iter_mut().enumerate() {
                let node = &self.nodes[*at as usize];
                let goes_left = self.goes_left_of::<SETS>(node, rows[lane * width + node.feature as usize]);
                let next = node.left + (u32::from(!goes_left) & node.flags & SPLIT);
                moved |= next ^ *at;
                *at = next;
            }
            if moved == 0 {
                return at;
            }
        }
    }

    #[inline]
    fn goes_left_of<const SETS: bool>(&self, node: &Node, number: f32) -> bool {
        let mut goes_left = number < node.threshold;
        if SETS && node.flags & CATEGORIES != 0 {
            goes_left = !self.holds(node.flags >> SET, number);
        }
        goes_left | (number.is_nan() & (node.flags & MISSING_LEFT != 0))
    }

    /// Whether a category is in a set. A missing one is said to be, so that it goes to the right unless the node sends
    /// it to the left; one that is negative or too large is not.
    fn holds(&self, set: u32, category: f32) -> bool {
        if category.is_nan() {
            return true;
        }
        if !(0.0..16_777_216.0).contains(&category) {
            return false;
        }
        let (start, end) = self.sets[set as usize];
        self.categories[start as usize..end as usize].binary_search(&(category as u32)).is_ok()
    }

    fn next(&self) -> Result<u32, Problem> {
        u32::try_from(self.nodes.len())
            .ok()
            .filter(|next| *next < u32::MAX - 2)
            .ok_or_else(|| Problem::Unsupported("more than 4294967293 nodes".into()))
    }

    fn leaf(&mut self, source: &Source, from: usize, to: u32, groups: usize) -> Result<Node, Problem> {
        let damaged = || Problem::Damaged(format!("leaf {from} has no finite number"));
        let Some(wide) = &source.wide else {
            let number = source.thresholds[from];
            return if number.is_finite() {
                Ok(Node { threshold: number, feature: 0, left: to, flags: 0 })
            } else {
                Err(damaged())
            };
        };
        let start = usize::try_from(source.right[from]).ok().and_then(|leaf| leaf.checked_mul(groups));
        let numbers = start.and_then(|start| wide.get(start..start.checked_add(groups)?)).ok_or_else(damaged)?;
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(damaged());
        }
        let place = numbered(self.wide.len() / groups)?;
        self.wide.extend(numbers);
        Ok(Node { threshold: 0.0, feature: 0, left: to, flags: place })
    }

    fn split(&mut self, source: &Source, from: usize, left: u32, width: usize) -> Result<Node, Problem> {
        let feature = source.features[from];
        let feature = u32::try_from(feature)
            .ok()
            .filter(|feature| (*feature as usize) < width)
            .ok_or_else(|| Problem::Damaged(format!("node {from} asks for feature {feature} of {width}")))?;
        let mut flags = SPLIT | if source.missing_left[from] != 0 { MISSING_LEFT } else { 0 };
        let threshold = source.thresholds[from];
        if source.kinds.get(from).is_some_and(|kind| *kind == 1) {
            let set = source.sets.get(&from);
            let set = set.ok_or_else(|| Problem::Damaged(format!("node {from} has no categories")))?;
            flags |= CATEGORIES | numbered(self.sets.len())?;
            let start = self.categories.len() as u32;
            self.categories.extend(set);
            self.sets.push((start, self.categories.len() as u32));
        } else if threshold.is_nan() {
            return Err(Problem::Damaged(format!("node {from} has no threshold")));
        }
        Ok(Node { threshold, feature, left, flags })
    }
}

impl trees::Forest for Forest {
    type Number = f32;

    fn at(&self, place: u32) -> Place {
        let node = &self.nodes[place as usize];
        match node.flags & SPLIT {
            0 => Place::Leaf,
            _ => Place::Split { feature: node.feature as usize, left: node.left, right: node.left + 1 },
        }
    }

    fn goes_left(&self, place: u32, row: &[f32]) -> bool {
        let node = &self.nodes[place as usize];
        self.goes_left_of::<true>(node, row[node.feature as usize])
    }

    fn cover(&self, place: u32) -> f64 {
        f64::from(self.covers[place as usize])
    }

    fn leaf(&self, place: u32, into: &mut [f64]) {
        let leaf = &self.nodes[place as usize];
        if let [number] = into {
            *number = f64::from(leaf.threshold);
            return;
        }
        let start = (leaf.flags >> SET) as usize * into.len();
        into.iter_mut().zip(&self.wide[start..]).for_each(|(into, number)| *into = f64::from(*number));
    }
}

const EMPTY: Node = Node { threshold: 0.0, feature: 0, left: 0, flags: 0 };

fn numbered(number: usize) -> Result<u32, Problem> {
    let fits = u32::try_from(number).ok().filter(|number| *number < 1 << (32 - SET));
    fits.map(|number| number << SET).ok_or_else(|| Problem::Unsupported("too many sets of categories or leaves".into()))
}

/// A tree as the file has it.
struct Source {
    left: Vec<i64>,
    right: Vec<i64>,
    features: Vec<i64>,
    thresholds: Vec<f32>,
    missing_left: Vec<i64>,
    /// 1 where a node asks for categories; may be empty.
    kinds: Vec<i64>,
    /// Nodes and their categories.
    sets: HashMap<usize, Vec<u32>>,
    /// Numbers of wide leaves.
    wide: Option<Vec<f32>>,
    /// How many rows came by; may be empty.
    covers: Vec<f32>,
}

impl Source {
    fn read(tree: &Value, groups: usize) -> Result<Source, Problem> {
        let left = tree.integers("left_children")?;
        let kinds = if tree.find("split_type").is_some() { tree.integers("split_type")? } else { Vec::new() };
        let leaf_width = tree.find("tree_param").map_or(Ok(1), |param| param.count("size_leaf_vector", 1))?;
        let is_wide = leaf_width > 1;
        if is_wide && leaf_width != groups {
            return Err(Problem::Damaged(format!("leaves have {leaf_width} numbers, the model answers {groups}")));
        }
        let wide = match tree.find("leaf_weights") {
            None if is_wide => return Err(Problem::Unsupported("wide leaves as XGBoost before 3.1 wrote them".into())),
            Some(_) if is_wide => Some(tree.floats("leaf_weights")?),
            _ => None,
        };
        let source = Source {
            right: tree.integers("right_children")?,
            features: tree.integers("split_indices")?,
            thresholds: tree.floats("split_conditions")?,
            missing_left: tree.integers("default_left")?,
            sets: if kinds.contains(&1) { sets(tree, left.len())? } else { HashMap::new() },
            covers: if tree.find("sum_hessian").is_some() { tree.floats("sum_hessian")? } else { Vec::new() },
            wide,
            kinds,
            left,
        };
        let lengths = [source.right.len(), source.features.len(), source.thresholds.len(), source.missing_left.len()];
        let nodes = source.left.len();
        let kinds_fit = source.kinds.is_empty() || source.kinds.len() == nodes;
        if nodes == 0 || lengths.iter().any(|length| *length != nodes) || !kinds_fit {
            return Err(Problem::Damaged("its arrays are of different lengths, or empty".into()));
        }
        Ok(source)
    }

    fn child(&self, child: i64) -> Result<usize, Problem> {
        let inside = usize::try_from(child).ok().filter(|child| *child < self.left.len());
        inside.ok_or_else(|| Problem::Damaged(format!("a node leads to {child}, which is not there")))
    }
}

/// The categories of the nodes that ask for some.
fn sets(tree: &Value, nodes: usize) -> Result<HashMap<usize, Vec<u32>>, Problem> {
    let damaged = || Problem::Damaged("its categories do not fit each other".into());
    let (owners, starts) = (tree.integers("categories_nodes")?, tree.integers("categories_segments")?);
    let (sizes, categories) = (tree.integers("categories_sizes")?, tree.integers("categories")?);
    if owners.len() != starts.len() || owners.len() != sizes.len() || owners.len() > nodes {
        return Err(damaged());
    }
    let (mut sets, mut total) = (HashMap::new(), 0_usize);
    for ((owner, start), size) in owners.iter().zip(&starts).zip(&sizes) {
        let owner = usize::try_from(*owner).ok().filter(|owner| *owner < nodes).ok_or_else(damaged)?;
        let start = usize::try_from(*start).map_err(|_| damaged())?;
        let size = usize::try_from(*size).map_err(|_| damaged())?;
        total = total.checked_add(size).filter(|total| *total <= categories.len()).ok_or_else(damaged)?;
        let end = start.checked_add(size).ok_or_else(damaged)?;
        let found = categories.get(start..end).ok_or_else(damaged)?;
        let found = found.iter().map(|category| u32::try_from(*category).map_err(|_| damaged()));
        let mut set: Vec<u32> = found.collect::<Result<_, _>>()?;
        set.sort_unstable();
        sets.insert(owner, set);
    }
    Ok(sets)
}
