//! Decision trees of all libraries, in one form that is quick to walk.
//!
//! The libraries differ in what they ask at a node; here a node asks only `x <= threshold`, `x == threshold`, or whether
//! a category is a member of a set. `x < t` becomes `x <=` the number before `t`; a comparison in 32 bits becomes one in
//! 64 once the caller has rounded thresholds and inputs to 32 bits, which keeps their order; "a missing value counts as
//! 0" becomes the side on which 0 goes.

use crate::explain::trees::{Forest, Place, Root as From};

/// How many rows walk through a tree before the next tree is taken: their numbers stay in the nearest cache.
const BLOCK: usize = 64;

/// How many rows walk side by side: while one waits for its node, the others go on.
const LANES: usize = 4;

/// A mark of [`Node::kind`]: a missing value goes left.
const MISSING_LEFT: u32 = 1;
/// A mark of [`Node::kind`]: the node asks for a member of a set.
const AMONG: u32 = 2;
/// A mark of [`Node::kind`]: what the set has no place for goes left.
const OUTSIDE_LEFT: u32 = 4;
/// A mark of [`Node::kind`]: zero counts as missing.
const ZERO_MISSING: u32 = 8;
/// A mark of [`Node::kind`]: the node asks for the threshold itself.
const EQUAL: u32 = 16;

/// More than a set has words; a first word of 31 bits times this is a whole number that 64 bits hold exactly.
const WORDS: u64 = 1 << 22;

/// Numbers nearer to zero than this are zero where zero counts as missing, as in LightGBM.
const ZERO: f64 = 1e-35;

/// Many trees whose answers are added up.
#[derive(Debug, Default)]
pub(crate) struct Trees {
    /// How many inputs a row has.
    features: usize,
    /// How many numbers a leaf has.
    width: usize,
    nodes: Vec<Node>,
    leaves: Vec<f64>,
    sets: Vec<u32>,
    roots: Vec<Root>,
    /// How many rows of training came by each node, and to each leaf; shorter than those where that is not known. Only
    /// explanations look at them, so they do not lie between what rows walk through.
    node_covers: Vec<f32>,
    leaf_covers: Vec<f32>,
    /// How many columns the answer has at least.
    columns: usize,
    /// Whether a node asks more than `x <= threshold` with the missing on one side.
    special: bool,
}

/// What a node asks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    /// Left: `x <= t`.
    AtMost(f64),
    /// Left: `x == t`.
    Equal(f64),
    /// Left: x, cut to a whole number, is one of these; `outside_left` tells where numbers go that are negative or
    /// that the bits have no place for.
    Among {
        /// A bit for each whole number from 0, 32 to a word, the lowest bit first.
        members: Vec<u32>,
        /// Where numbers without a bit go.
        outside_left: bool,
    },
}

/// A node as a library has it. Numbers of nodes are places in the list that [`Trees::push`] takes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Draft {
    /// A question.
    Split {
        /// Which input.
        feature: usize,
        /// The question.
        test: Test,
        /// Whether a missing value goes left.
        missing_left: bool,
        /// Whether zero counts as missing.
        zero_missing: bool,
        /// The node for yes.
        left: usize,
        /// The node for no.
        right: usize,
    },
    /// An answer: the number of a row in the list of leaves.
    Leaf(usize),
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// The threshold; of a set: its first word times [`WORDS`], and its number of words.
    threshold: f64,
    /// Where to go for yes and for no: a node, or for negative numbers the leaf `!number`.
    next: [i32; 2],
    feature: u32,
    kind: u32,
}

#[derive(Clone, Copy, Debug)]
struct Root {
    /// As in [`Node::next`].
    at: i32,
    /// The column of the answer that the first number of a leaf is added to.
    column: u32,
}

impl Trees {
    /// No trees yet, for rows of `features` inputs, with `width` numbers in each leaf.
    pub(crate) fn new(features: usize, width: usize) -> Trees {
        Trees { features, width, ..Trees::default() }
    }

    /// How many trees there are.
    pub(crate) fn len(&self) -> usize {
        self.roots.len()
    }

    /// How many numbers a leaf has.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Adds a tree whose root is node 0 and whose leaves are rows of `leaves`; what it answers is added to the columns
    /// from `column` on. Nodes that are not reached are left out.
    ///
    /// # Errors
    /// Says what is wrong: a number of a node, an input or a leaf that is not there, or nodes that do not form a tree.
    pub(crate) fn push(&mut self, drafts: &[Draft], leaves: &[f64], column: usize) -> Result<(), String> {
        self.push_with_covers(drafts, leaves, column, &[])
    }

    /// The same with the number of training rows that came by each of the drafts; where there are none, the trees
    /// cannot be explained.
    ///
    /// # Errors
    /// As [`Trees::push`].
    pub(crate) fn push_with_covers(
        &mut self,
        drafts: &[Draft],
        leaves: &[f64],
        column: usize,
        covers: &[f64],
    ) -> Result<(), String> {
        self.push_nodes(drafts, leaves, column, covers, false)
    }

    /// As [`Trees::push`], for trees in which several nodes may lead to the same one.
    ///
    /// # Errors
    /// As [`Trees::push`]; or nodes that lead back to themselves.
    pub(crate) fn push_shared(&mut self, drafts: &[Draft], leaves: &[f64], column: usize) -> Result<(), String> {
        match has_circle(drafts) {
            true => Err("a tree goes round in a circle".to_owned()),
            false => self.push_nodes(drafts, leaves, column, &[], true),
        }
    }

    fn push_nodes(
        &mut self,
        drafts: &[Draft],
        leaves: &[f64],
        column: usize,
        covers: &[f64],
        shares: bool,
    ) -> Result<(), String> {
        let mut places: Vec<Option<i32>> = vec![None; drafts.len()];
        let mut waiting: Vec<(usize, Option<(usize, usize)>)> = vec![(0, None)];
        let mut root = 0;
        while let Some((draft, parent)) = waiting.pop() {
            let place = match (places.get(draft), drafts.get(draft)) {
                (None, _) | (_, None) => return Err(format!("a tree goes on at node {draft} of {}", drafts.len())),
                (Some(Some(place)), _) if shares => *place,
                (Some(Some(_)), _) => return Err(format!("a tree comes to node {draft} twice")),
                (_, Some(Draft::Leaf(leaf))) => self.push_leaf(leaves, *leaf)?,
                (_, Some(split @ Draft::Split { left, right, .. })) => {
                    let at = self.push_node(split)?;
                    waiting.push((*right, Some((at as usize, 1))));
                    waiting.push((*left, Some((at as usize, 0))));
                    at
                }
            };
            places[draft] = Some(place);
            if let Some(cover) = covers.get(draft) {
                self.set_cover(place, *cover as f32);
            }
            match parent {
                Some((node, side)) => self.nodes[node].next[side] = place,
                None => root = place,
            }
        }
        self.roots.push(Root { at: root, column: number(column)? as u32 });
        self.columns = self.columns.max(column + self.width);
        Ok(())
    }

    /// Adds what the trees answer for `rows` (of `features` numbers each, one after the other) to `sums` (of
    /// `columns` numbers a row).
    ///
    /// # Panics
    /// If there are fewer columns than the trees answer, or fewer rows of sums than rows.
    pub(crate) fn add(&self, rows: &[f64], sums: &mut [f64], columns: usize) {
        self.add_each(rows, sums, columns, |sum, add| *sum += add);
    }

    /// As [`Trees::add`] with sums of 32 bits: they are rounded after each tree.
    ///
    /// # Panics
    /// As [`Trees::add`].
    pub(crate) fn add_single(&self, rows: &[f64], sums: &mut [f64], columns: usize) {
        self.add_each(rows, sums, columns, |sum, add| *sum = f64::from((*sum + add) as f32));
    }

    fn add_each(&self, rows: &[f64], sums: &mut [f64], columns: usize, add: impl Fn(&mut f64, f64)) {
        let width = self.features.max(1);
        assert!(columns >= self.columns && rows.len() / width * columns <= sums.len(), "the sums do not fit the rows");
        for (rows, sums) in rows.chunks(BLOCK * width).zip(sums.chunks_mut(BLOCK * columns)) {
            for root in &self.roots {
                let column = root.column as usize;
                let mut start = 0;
                let count = rows.len() / width;
                while start + LANES <= count && !self.special {
                    let leaves = self.walk_lanes(root.at, &rows[start * width..(start + LANES) * width]);
                    for (lane, leaf) in leaves.into_iter().enumerate() {
                        self.add_leaf(leaf, &mut sums[(start + lane) * columns + column..], &add);
                    }
                    start += LANES;
                }
                for row in start..count {
                    let leaf = self.walk(root.at, &rows[row * width..(row + 1) * width]);
                    self.add_leaf(leaf, &mut sums[row * columns + column..], &add);
                }
            }
        }
    }

    fn add_leaf(&self, leaf: usize, sums: &mut [f64], add: impl Fn(&mut f64, f64)) {
        match self.width {
            1 => add(&mut sums[0], self.leaves[leaf]),
            width => {
                let answer = &self.leaves[leaf * width..(leaf + 1) * width];
                sums[..width].iter_mut().zip(answer).for_each(|(sum, more)| add(sum, *more));
            }
        }
    }

    fn walk(&self, root: i32, row: &[f64]) -> usize {
        let mut at = root;
        while at >= 0 {
            let node = &self.nodes[at as usize];
            let x = row[node.feature as usize];
            let left = match self.special {
                false => node.plain(x),
                true => node.special(x, &self.sets),
            };
            at = node.next[usize::from(!left)];
        }
        !at as usize
    }

    fn walk_lanes(&self, root: i32, rows: &[f64]) -> [usize; LANES] {
        let mut at = [root; LANES];
        let width = rows.len() / LANES;
        while at.iter().any(|at| *at >= 0) {
            for (lane, at) in at.iter_mut().enumerate() {
                if *at >= 0 {
                    let node = &self.nodes[*at as usize];
                    let left = node.plain(rows[lane * width + node.feature as usize]);
                    *at = node.next[usize::from(!left)];
                }
            }
        }
        at.map(|at| !at as usize)
    }

    fn set_cover(&mut self, place: i32, cover: f32) {
        let (covers, at) = match place >= 0 {
            true => (&mut self.node_covers, place),
            false => (&mut self.leaf_covers, !place),
        };
        covers.resize(at as usize, f32::NAN);
        covers.push(cover);
    }

    /// Where each tree begins, for an explanation of answers that are multiplied by `factor`.
    pub(crate) fn roots(&self, factor: f64) -> Vec<From> {
        let from =
            |root: &Root| From { place: root.at as u32, output: root.column as usize, width: self.width, factor };
        self.roots.iter().map(from).collect()
    }

    fn push_leaf(&mut self, leaves: &[f64], leaf: usize) -> Result<i32, String> {
        let numbers = leaf.checked_mul(self.width).and_then(|from| leaves.get(from..from.checked_add(self.width)?));
        let numbers = numbers.ok_or_else(|| format!("a tree ends at leaf {leaf}, which is not there"))?;
        if numbers.iter().any(|number| number.is_nan()) {
            return Err(format!("leaf {leaf} of a tree holds NaN"));
        }
        let place = number(self.leaves.len() / self.width.max(1))?;
        self.leaves.extend_from_slice(numbers);
        Ok(!place)
    }

    fn push_node(&mut self, draft: &Draft) -> Result<i32, String> {
        let Draft::Split { feature, test, missing_left, zero_missing, .. } = draft else {
            return Err("a leaf is no question".to_owned());
        };
        if *feature >= self.features {
            return Err(format!("a tree asks for input {feature} of {}", self.features));
        }
        let mut kind = if *missing_left { MISSING_LEFT } else { 0 };
        if *zero_missing {
            kind |= ZERO_MISSING;
        }
        let threshold = match test {
            Test::AtMost(t) | Test::Equal(t) if t.is_nan() => return Err("a threshold is NaN".to_owned()),
            Test::AtMost(t) => *t,
            Test::Equal(t) => {
                kind |= EQUAL;
                *t
            }
            Test::Among { members, outside_left } => {
                kind |= AMONG | if *outside_left { OUTSIDE_LEFT } else { 0 };
                let first = number(self.sets.len())?;
                if members.len() as u64 >= WORDS {
                    return Err("a set of categories is too large".to_owned());
                }
                self.sets.extend_from_slice(members);
                (first as u64 * WORDS + members.len() as u64) as f64
            }
        };
        self.special |= kind & (AMONG | ZERO_MISSING | EQUAL) != 0;
        let at = number(self.nodes.len())?;
        self.nodes.push(Node { threshold, next: [0, 0], feature: number(*feature)? as u32, kind });
        Ok(at)
    }
}

/// A place is that of [`Node::next`], bit for bit.
impl Forest for Trees {
    type Number = f64;

    fn at(&self, place: u32) -> Place {
        match place as i32 {
            at @ 0.. => {
                let node = &self.nodes[at as usize];
                let [left, right] = node.next.map(|next| next as u32);
                Place::Split { feature: node.feature as usize, left, right }
            }
            _ => Place::Leaf,
        }
    }

    fn goes_left(&self, place: u32, row: &[f64]) -> bool {
        let node = &self.nodes[place as usize];
        node.special(row[node.feature as usize], &self.sets)
    }

    fn cover(&self, place: u32) -> f64 {
        let cover = match place as i32 {
            at @ 0.. => self.node_covers.get(at as usize),
            leaf => self.leaf_covers.get(!leaf as usize),
        };
        cover.map_or(f64::NAN, |cover| f64::from(*cover))
    }

    fn leaf(&self, place: u32, into: &mut [f64]) {
        let leaf = !(place as i32) as usize;
        into.copy_from_slice(&self.leaves[leaf * self.width..(leaf + 1) * self.width]);
    }
}

impl Node {
    /// Whether x goes left, of a node that asks for a threshold.
    #[inline]
    fn plain(&self, x: f64) -> bool {
        (x <= self.threshold) | (x.is_nan() & (self.kind & MISSING_LEFT != 0))
    }

    /// Whether x goes left, of any node.
    fn special(&self, x: f64, sets: &[u32]) -> bool {
        if x.is_nan() || (self.kind & ZERO_MISSING != 0 && x.abs() <= ZERO) {
            return self.kind & MISSING_LEFT != 0;
        }
        if self.kind & EQUAL != 0 {
            return x == self.threshold;
        }
        if self.kind & AMONG == 0 {
            return x <= self.threshold;
        }
        let place = self.threshold as u64;
        let (first, words) = ((place / WORDS) as usize, (place % WORDS) as usize);
        let whole = x.trunc();
        if whole < 0.0 || whole >= words as f64 * 32.0 {
            return self.kind & OUTSIDE_LEFT != 0;
        }
        let whole = whole as usize;
        sets[first + whole / 32] >> (whole % 32) & 1 == 1
    }
}

/// Whether nodes lead back to themselves.
fn has_circle(drafts: &[Draft]) -> bool {
    let children = |draft: &Draft| match draft {
        Draft::Split { left, right, .. } => [Some(*left), Some(*right)],
        Draft::Leaf(_) => [None, None],
    };
    let mut parents = vec![0_usize; drafts.len()];
    for child in drafts.iter().flat_map(children).flatten() {
        parents.get_mut(child).into_iter().for_each(|count| *count += 1);
    }
    // Nodes are taken away once nothing leads to them; those of a circle stay.
    let mut free: Vec<usize> = (0..drafts.len()).filter(|at| parents[*at] == 0).collect();
    let mut taken = 0;
    while let Some(at) = free.pop() {
        taken += 1;
        for child in children(&drafts[at]).into_iter().flatten().filter(|child| *child < drafts.len()) {
            parents[child] -= 1;
            free.extend((parents[child] == 0).then_some(child));
        }
    }
    taken < drafts.len()
}

/// A place that fits into 31 bits.
fn number(place: usize) -> Result<i32, String> {
    i32::try_from(place).map_err(|_| "the trees have too many nodes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(feature: usize, test: Test, left: usize, right: usize) -> Draft {
        Draft::Split { feature, test, missing_left: false, zero_missing: false, left, right }
    }

    fn answers(trees: &Trees, rows: &[f64], columns: usize) -> Vec<f64> {
        let mut sums = vec![0.0; rows.len() / trees.features * columns];
        trees.add(rows, &mut sums, columns);
        sums
    }

    #[test]
    fn rows_go_left_up_to_the_threshold() {
        let mut trees = Trees::new(1, 1);
        trees.push(&[split(0, Test::AtMost(1.0), 1, 2), Draft::Leaf(0), Draft::Leaf(1)], &[10.0, 20.0], 0).unwrap();
        trees
            .push(&[split(0, Test::AtMost(1.0f64.next_down()), 1, 2), Draft::Leaf(0), Draft::Leaf(1)], &[1.0, 2.0], 0)
            .unwrap();
        let rows = [0.5, 1.0, 1.5, f64::NAN, f64::NEG_INFINITY, 1.0f64.next_down()];
        assert_eq!(answers(&trees, &rows, 1), [11.0, 12.0, 22.0, 22.0, 11.0, 11.0]);
    }

    #[test]
    fn missing_values_and_zeros_go_where_they_are_sent() {
        let mut trees = Trees::new(1, 1);
        let node = |zero_missing| Draft::Split {
            feature: 0,
            test: Test::AtMost(-1.0),
            missing_left: true,
            zero_missing,
            left: 1,
            right: 2,
        };
        trees.push(&[node(false), Draft::Leaf(0), Draft::Leaf(1)], &[1.0, 2.0], 0).unwrap();
        assert_eq!(answers(&trees, &[f64::NAN, 0.0, -2.0, 3.0, f64::NAN], 1), [1.0, 2.0, 1.0, 2.0, 1.0]);
        trees.push(&[node(true), Draft::Leaf(0), Draft::Leaf(1)], &[10.0, 20.0], 0).unwrap();
        assert_eq!(answers(&trees, &[f64::NAN, 0.0, -2.0, 3.0], 1), [11.0, 12.0, 11.0, 22.0]);
    }

    #[test]
    fn categories_are_members_of_sets() {
        let mut trees = Trees::new(2, 1);
        let test = Test::Among { members: vec![0b101, 1 << 31], outside_left: false };
        trees.push(&[split(1, test, 1, 2), Draft::Leaf(0), Draft::Leaf(1)], &[1.0, 2.0], 0).unwrap();
        let values = [0.0, 1.0, 2.0, 2.9, 63.0, 64.0, -1.0, 1e300, f64::NAN];
        let rows: Vec<f64> = values.iter().flat_map(|x| [0.0, *x]).collect();
        assert_eq!(answers(&trees, &rows, 1), [1.0, 2.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]);
    }

    #[test]
    fn numbers_are_asked_for_themselves() {
        let mut trees = Trees::new(1, 1);
        trees.push(&[split(0, Test::Equal(2.0), 1, 2), Draft::Leaf(0), Draft::Leaf(1)], &[1.0, 2.0], 0).unwrap();
        assert_eq!(answers(&trees, &[2.0, 1.0, 3.0, f64::NAN, 2.0], 1), [1.0, 2.0, 2.0, 2.0, 1.0]);
    }

    #[test]
    fn leaves_have_many_numbers_and_trees_their_columns() {
        let mut trees = Trees::new(1, 2);
        trees.push(&[Draft::Leaf(1)], &[9.0, 9.0, 1.0, 2.0], 0).unwrap();
        trees.push(&[Draft::Leaf(0)], &[10.0, 20.0], 1).unwrap();
        assert_eq!(answers(&trees, &[0.0; 70], 3), [1.0, 12.0, 20.0].repeat(70));
        assert_eq!(trees.len(), 2);
    }

    #[test]
    fn nodes_may_be_shared_but_not_go_in_circles() {
        let test = |t: f64| Test::Equal(t);
        let drafts = [split(0, test(1.0), 2, 1), split(0, test(2.0), 2, 3), Draft::Leaf(0), Draft::Leaf(1)];
        let mut trees = Trees::new(1, 1);
        assert!(trees.push(&drafts, &[1.0, 2.0], 0).is_err());
        let mut trees = Trees::new(1, 1);
        trees.push_shared(&drafts, &[1.0, 2.0], 0).unwrap();
        assert_eq!(answers(&trees, &[1.0, 2.0, 3.0], 1), [1.0, 1.0, 2.0]);
        let circle = [split(0, test(1.0), 1, 1), split(0, test(2.0), 0, 2), Draft::Leaf(0)];
        assert!(trees.push_shared(&circle, &[1.0], 0).unwrap_err().contains("circle"));
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let mut trees = Trees::new(1, 1);
        let threshold = || Test::AtMost(0.0);
        assert!(trees.push(&[], &[], 0).is_err());
        assert!(trees.push(&[split(0, threshold(), 0, 0)], &[], 0).unwrap_err().contains("twice"));
        assert!(trees.push(&[split(0, threshold(), 1, 2), Draft::Leaf(0)], &[1.0], 0).is_err());
        assert!(trees.push(&[split(1, threshold(), 1, 1), Draft::Leaf(0)], &[1.0], 0).is_err());
        assert!(trees.push(&[split(0, Test::AtMost(f64::NAN), 1, 1), Draft::Leaf(0)], &[1.0], 0).is_err());
        assert!(trees.push(&[Draft::Leaf(usize::MAX)], &[1.0], 0).is_err());
        assert!(trees.push(&[Draft::Leaf(0)], &[f64::NAN], 0).unwrap_err().contains("NaN"));
    }
}
