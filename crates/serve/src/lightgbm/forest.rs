//! Trees of LightGBM in one flat array. A leaf leads to itself, so eight rows walk down a tree together without a branch
//! that depends on them.

use super::text::Section;
use crate::Problem;
use crate::explain::trees::{self, Place, Root};

/// How many rows walk down a tree together.
pub(super) const LANES: usize = 8;
/// Numbers nearer to 0 than this are 0 to LightGBM.
pub(super) const NEARLY_ZERO: f64 = 1e-35;

/// The node asks for categories.
const CATEGORIES: u32 = 1;
/// A missing number goes to the left.
const MISSING_LEFT: u32 = 2;
/// 0 is missing.
const ZERO_IS_MISSING: u32 = 4;
/// NaN is missing; where it is not, it is 0.
const NAN_IS_MISSING: u32 = 8;

#[derive(Clone, Copy, Debug)]
struct Node {
    /// Numbers up to here go to the left; a leaf: its number.
    threshold: f64,
    feature: u32,
    flags: u32,
    /// The right and the left child; a leaf: itself.
    children: [u32; 2],
    /// Where the set of categories is, or a leaf's line.
    set: u32,
}

#[derive(Clone, Copy, Debug)]
struct Tree {
    root: u32,
    /// Its nodes ask only whether numbers are over a threshold, and NaN is missing or nothing is.
    is_plain: bool,
    is_linear: bool,
}

/// A leaf that is a line: a constant and coefficients of features.
#[derive(Clone, Debug)]
struct Line {
    constant: f64,
    terms: Vec<(u32, f64)>,
}

/// All trees of a model.
#[derive(Debug, Default)]
pub(super) struct Forest {
    nodes: Vec<Node>,
    trees: Vec<Tree>,
    /// Where in `words` a set starts and ends.
    sets: Vec<(u32, u32)>,
    /// A bit for each category that goes to the left.
    words: Vec<u32>,
    lines: Vec<Line>,
    /// How many rows came by each node; NaN where the file does not say. Only explanations look at it.
    covers: Vec<f32>,
}

impl Forest {
    /// How many trees there are.
    pub fn len(&self) -> usize {
        self.trees.len()
    }

    /// Adds a tree as the file has it, whose rows have `width` numbers.
    pub fn push(&mut self, section: &Section, width: usize) -> Result<(), Problem> {
        let leaves = section.count("num_leaves")?;
        let values: Vec<f64> = section.numbers("leaf_value", leaves)?;
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(Problem::Damaged(format!("leaf {at} has no finite number")));
        }
        let inner = leaves.checked_sub(1).ok_or_else(|| Problem::Damaged("it has no leaves".into()))?;
        let first = self.nodes.len();
        let end = u32::try_from(first + inner + leaves);
        end.map_err(|_| Problem::Unsupported("more than 4294967295 nodes".into()))?;
        let mut flags = 0;
        if inner > 0 {
            flags = self.splits(section, inner, leaves, width)?;
        }
        let is_linear = section.find("is_linear") == Some("1");
        let first_line = self.lines.len() as u32;
        if is_linear {
            self.lines.extend(lines(section, leaves, width)?);
        }
        for (at, value) in values.iter().enumerate() {
            let own = self.nodes.len() as u32;
            let set = if is_linear { first_line + at as u32 } else { 0 };
            self.nodes.push(Node { threshold: *value, feature: 0, flags: 0, children: [own, own], set });
        }
        for (name, count) in [("internal_count", inner), ("leaf_count", leaves)] {
            let covers = section.numbers(name, count).unwrap_or_else(|_| vec![f32::NAN; count]);
            self.covers.extend(covers);
        }
        let is_plain = flags & (CATEGORIES | ZERO_IS_MISSING) == 0;
        self.trees.push(Tree { root: first as u32, is_plain, is_linear });
        Ok(())
    }

    /// Adds every tree's leaf to the scores of rows: `rows` holds a multiple of [`LANES`] rows of `width` numbers each
    /// (at least one), `scores` as many rows of `groups` numbers. The trees take turns at the groups.
    pub fn add(&self, rows: &[f64], width: usize, scores: &mut [f64], groups: usize) {
        for (at, tree) in self.trees.iter().enumerate() {
            let group = at % groups;
            for (rows, scores) in rows.chunks_exact(width * LANES).zip(scores.chunks_exact_mut(groups * LANES)) {
                let leaves = if tree.is_plain {
                    self.leaves::<true>(tree.root, rows, width)
                } else {
                    self.leaves::<false>(tree.root, rows, width)
                };
                for (lane, leaf) in leaves.iter().enumerate() {
                    let leaf = &self.nodes[*leaf as usize];
                    scores[lane * groups + group] += if tree.is_linear {
                        self.lines[leaf.set as usize].at(&rows[lane * width..][..width], leaf.threshold)
                    } else {
                        leaf.threshold
                    };
                }
            }
        }
    }

    /// Whether leaves are lines.
    pub fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Where each tree begins, for an explanation of `groups` outputs that are multiplied by `factor`.
    pub fn roots(&self, groups: usize, factor: f64) -> Vec<Root> {
        let root = |(at, tree): (usize, &Tree)| Root { place: tree.root, output: at % groups, width: 1, factor };
        self.trees.iter().enumerate().map(root).collect()
    }

    fn leaves<const PLAIN: bool>(&self, root: u32, rows: &[f64], width: usize) -> [u32; LANES] {
        let mut at = [root; LANES];
        loop {
            let mut moved = 0;
            for (lane, at) in at.iter_mut().enumerate() {
                let node = &self.nodes[*at as usize];
                let number = rows[lane * width + node.feature as usize];
                let goes_left = if PLAIN { node.plain(number) } else { self.goes_left(node, number) };
                let next = node.children[usize::from(goes_left)];
                moved |= next ^ *at;
                *at = next;
            }
            if moved == 0 {
                return at;
            }
        }
    }

    fn goes_left(&self, node: &Node, number: f64) -> bool {
        if node.flags & CATEGORIES != 0 {
            return self.holds(node.set, number);
        }
        if node.flags & ZERO_IS_MISSING != 0 && (number.is_nan() || number.abs() <= NEARLY_ZERO) {
            return node.flags & MISSING_LEFT != 0;
        }
        node.plain(number)
    }

    /// Whether a category is in a set; a missing, negative or huge one is not.
    fn holds(&self, set: u32, category: f64) -> bool {
        if !(category > -1.0 && category < 2_147_483_648.0) {
            return false;
        }
        let category = category as usize;
        let (start, end) = self.sets[set as usize];
        let words = &self.words[start as usize..end as usize];
        words.get(category / 32).is_some_and(|word| word >> (category % 32) & 1 == 1)
    }

    /// Adds the nodes that are no leaves, and says what flags they have.
    fn splits(&mut self, section: &Section, inner: usize, leaves: usize, width: usize) -> Result<u32, Problem> {
        let features: Vec<usize> = section.numbers("split_feature", inner)?;
        let thresholds: Vec<f64> = section.numbers("threshold", inner)?;
        let kinds: Vec<u32> = section.numbers("decision_type", inner)?;
        let left: Vec<i64> = section.numbers("left_child", inner)?;
        let right: Vec<i64> = section.numbers("right_child", inner)?;
        reached_once(&left, &right, leaves)?;
        let (first, first_set) = (self.nodes.len(), self.sets.len());
        let sets = self.read_sets(section)?;
        let place =
            |child: i64| if child < 0 { first + inner + !child as usize } else { first + child as usize } as u32;
        let mut all_flags = 0;
        for at in 0..inner {
            let (feature, threshold) = (features[at], thresholds[at]);
            if feature >= width {
                return Err(Problem::Damaged(format!("node {at} asks for feature {feature} of {width}")));
            }
            let flags = flags(kinds[at])?;
            let mut set = 0;
            if flags & CATEGORIES != 0 {
                let fits = threshold.fract() == 0.0 && (0.0..sets as f64).contains(&threshold);
                let damaged = || Problem::Damaged(format!("node {at} asks for categories that are not there"));
                set = fits.then_some(first_set + threshold as usize).ok_or_else(damaged)? as u32;
            } else if threshold.is_nan() {
                return Err(Problem::Damaged(format!("node {at} has no threshold")));
            }
            all_flags |= flags;
            let children = [place(right[at]), place(left[at])];
            self.nodes.push(Node { threshold, feature: feature as u32, flags, children, set });
        }
        Ok(all_flags)
    }

    /// Adds a tree's sets of categories, and says how many it has.
    fn read_sets(&mut self, section: &Section) -> Result<usize, Problem> {
        let count = section.find("num_cat").map_or(Ok(0), |_| section.count("num_cat"))?;
        if count == 0 {
            return Ok(0);
        }
        let damaged = || Problem::Damaged("its sets of categories do not fit each other".into());
        let ends: Vec<usize> = section.numbers("cat_boundaries", count.checked_add(1).ok_or_else(damaged)?)?;
        let words: Vec<u32> = section.numbers("cat_threshold", ends[count])?;
        let offset = self.words.len();
        for pair in ends.windows(2) {
            if pair[0] > pair[1] || pair[1] > words.len() {
                return Err(damaged());
            }
            let (start, end) = (u32::try_from(offset + pair[0]), u32::try_from(offset + pair[1]));
            self.sets.push((start.map_err(|_| damaged())?, end.map_err(|_| damaged())?));
        }
        self.words.extend(words);
        Ok(count)
    }
}

impl trees::Forest for Forest {
    type Number = f64;

    fn at(&self, place: u32) -> Place {
        let node = &self.nodes[place as usize];
        let [right, left] = node.children;
        match left == place {
            true => Place::Leaf,
            false => Place::Split { feature: node.feature as usize, left, right },
        }
    }

    fn goes_left(&self, place: u32, row: &[f64]) -> bool {
        let node = &self.nodes[place as usize];
        self.goes_left(node, row[node.feature as usize])
    }

    fn cover(&self, place: u32) -> f64 {
        f64::from(self.covers[place as usize])
    }

    fn leaf(&self, place: u32, into: &mut [f64]) {
        into.fill(self.nodes[place as usize].threshold);
    }
}

impl Node {
    #[inline]
    fn plain(&self, number: f64) -> bool {
        let is_missing = number.is_nan() & (self.flags & NAN_IS_MISSING != 0);
        let number = if number.is_nan() { 0.0 } else { number };
        (is_missing & (self.flags & MISSING_LEFT != 0)) | (!is_missing & (number <= self.threshold))
    }
}

impl Line {
    /// The line's number for a row, and the leaf's own where one of its features is missing.
    fn at(&self, row: &[f64], otherwise: f64) -> f64 {
        let mut sum = self.constant;
        for (feature, coefficient) in &self.terms {
            let number = row[*feature as usize];
            if number.is_nan() {
                return otherwise;
            }
            sum += coefficient * number;
        }
        sum
    }
}

fn flags(kind: u32) -> Result<u32, Problem> {
    let missing = match kind >> 2 {
        0 => 0,
        1 => ZERO_IS_MISSING,
        2 => NAN_IS_MISSING,
        _ => return Err(Problem::Damaged(format!("a node decides in the unknown way {kind}"))),
    };
    Ok((kind & (CATEGORIES | MISSING_LEFT)) | missing)
}

/// Every node and leaf but the first must be the child of one node.
fn reached_once(left: &[i64], right: &[i64], leaves: usize) -> Result<(), Problem> {
    let (mut nodes, mut ends) = (vec![false; left.len()], vec![false; leaves]);
    let mut open = vec![0_usize];
    nodes[0] = true;
    while let Some(at) = open.pop() {
        for child in [left[at], right[at]] {
            let (seen, place) = if child < 0 { (&mut ends, !child) } else { (&mut nodes, child) };
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            let place_seen = seen.get_mut(place);
            let place_seen = place_seen.ok_or_else(|| Problem::Damaged(format!("node {at} leads to {child}")))?;
            if std::mem::replace(place_seen, true) {
                return Err(Problem::Damaged(format!("{child} is reached twice")));
            }
            if child >= 0 {
                open.push(place);
            }
        }
    }
    if nodes.iter().chain(&ends).any(|seen| !seen) {
        return Err(Problem::Damaged("a node is never reached".into()));
    }
    Ok(())
}

fn lines(section: &Section, leaves: usize, width: usize) -> Result<Vec<Line>, Problem> {
    let constants: Vec<f64> = section.numbers("leaf_const", leaves)?;
    let counts: Vec<usize> = section.numbers("num_features", leaves)?;
    let damaged = || Problem::Damaged("the lines of its leaves do not fit each other".into());
    let total = counts.iter().try_fold(0_usize, |sum, count| sum.checked_add(*count)).ok_or_else(damaged)?;
    let features: Vec<u32> = section.numbers("leaf_features", total)?;
    let coefficients: Vec<f64> = section.numbers("leaf_coeff", total)?;
    let finite = constants.iter().chain(&coefficients).all(|number| number.is_finite());
    if !finite || features.iter().any(|feature| *feature as usize >= width) {
        return Err(damaged());
    }
    let mut terms = features.into_iter().zip(coefficients);
    let lines = constants.iter().zip(counts);
    Ok(lines
        .map(|(constant, count)| Line { constant: *constant, terms: terms.by_ref().take(count).collect() })
        .collect())
}
