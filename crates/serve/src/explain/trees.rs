//! Shapley values of trees, path-dependent and exact, in a single walk through each tree.
//!
//! A leaf answers `value * Π known_j * Π share_j`: the product over inputs on its path that are known (1 where the row
//! goes that way, otherwise 0) and over those that are not (the share of training rows that went that way). That game,
//! and the walk that keeps the product of a path as it goes down and hands sums of leaves up, are of Lundberg et al.
//! 2020 ("From local explanations to global understanding with explainable AI for trees", algorithm 2) and Yu et al.
//! 2022 ("Linear TreeShap"). The weights of Shapley over all orders of inputs are an integral (Owen 1972, "Multilinear
//! extensions of games"): an input's value is `∫ (known_i - share_i) * Π_{j≠i} (t known_j + (1-t) share_j) dt` over t
//! from 0 to 1. With n inputs on a path that is a polynomial of degree n - 1, which Gauss and Legendre's rule sums up
//! exactly at n/2 points; every factor is positive, so that nothing cancels, however deep a tree is.
//!
//! Cost: nodes times half the number of different inputs on the longest path, for each row; memory: that many numbers
//! for each level of a tree.

use super::cannot;
use crate::Problem;

/// How deep a tree may be that is explained.
const DEEPEST: usize = 1024;
/// How many different inputs a path may ask for: twice the most points of a rule.
const MOST_DIFFERENT: usize = 512;

/// Trees of any library. A place is the number of a node or a leaf, as the trees count them.
pub(crate) trait Forest {
    /// What rows are made of.
    type Number;

    /// What is at a place.
    fn at(&self, place: u32) -> Place;

    /// Whether a row goes left at a node.
    fn goes_left(&self, place: u32, row: &[Self::Number]) -> bool;

    /// How many rows of training came by, by weight; NaN: the file does not say.
    fn cover(&self, place: u32) -> f64;

    /// Writes a leaf's numbers.
    fn leaf(&self, place: u32, into: &mut [f64]);
}

/// What is at a place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Leaf,
    Split { feature: usize, left: u32, right: u32 },
}

/// Where a tree begins and what becomes of its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Root {
    /// Its first place.
    pub(crate) place: u32,
    /// The output that the first number of its leaves is added to.
    pub(crate) output: usize,
    /// How many numbers a leaf has.
    pub(crate) width: usize,
    /// What they are multiplied by.
    pub(crate) factor: f64,
}

/// Where contributions are added to.
pub(crate) struct Sums<'a> {
    /// A number an output.
    pub(crate) base: &'a mut [f64],
    /// Rows, in each the outputs, in each the inputs.
    pub(crate) contributions: &'a mut [f64],
    /// How many inputs there are.
    pub(crate) inputs: usize,
    /// The input that each number of a row was made of.
    pub(crate) owners: &'a [usize],
}

/// Adds what the trees' answers to `rows`, of `width` numbers each, are made of. The base values must be those without
/// the trees, and the trees' means are added to them.
///
/// # Errors
/// [`Problem::Unsupported`]: a file that does not say how many rows came by each node, or trees that are too deep.
pub(crate) fn add<F: Forest>(
    forest: &F,
    roots: &[Root],
    rows: &[F::Number],
    width: usize,
    sums: &mut Sums<'_>,
) -> Result<(), Problem> {
    let mut survey = Survey { forest, times: vec![0; width], deepest: 0, most: 0 };
    for root in roots {
        survey.tree(root, sums.base)?;
    }
    let (deepest, points) = (survey.deepest, survey.most.div_ceil(2));
    match points {
        0..=2 => walk::<F, 2>(forest, roots, rows, width, deepest, sums),
        3..=4 => walk::<F, 4>(forest, roots, rows, width, deepest, sums),
        5..=8 => walk::<F, 8>(forest, roots, rows, width, deepest, sums),
        9..=16 => walk::<F, 16>(forest, roots, rows, width, deepest, sums),
        17..=64 => walk::<F, 64>(forest, roots, rows, width, deepest, sums),
        _ => walk::<F, { MOST_DIFFERENT / 2 }>(forest, roots, rows, width, deepest, sums),
    }
    Ok(())
}

/// What trees answer on average, and how large they are.
struct Survey<'a, F> {
    forest: &'a F,
    /// How often the path asks for each number of a row.
    times: Vec<u32>,
    deepest: usize,
    /// The most different inputs on a path.
    most: usize,
}

impl<F: Forest> Survey<'_, F> {
    fn tree(&mut self, root: &Root, base: &mut [f64]) -> Result<(), Problem> {
        let mut leaf = vec![0.0; root.width];
        let base = &mut base[root.output..root.output + root.width];
        if let Place::Split { .. } = self.forest.at(root.place)
            && self.forest.cover(root.place) == 0.0
        {
            return Err(unknown_covers());
        }
        self.below(root.place, 0, 0, root.factor, &mut leaf, base)
    }

    fn below(
        &mut self,
        place: u32,
        depth: usize,
        different: usize,
        share: f64,
        leaf: &mut [f64],
        base: &mut [f64],
    ) -> Result<(), Problem> {
        if depth > DEEPEST || different > MOST_DIFFERENT {
            return Err(cannot(&format!(
                "trees of more than {DEEPEST} levels, or with more than {MOST_DIFFERENT} inputs on a path"
            )));
        }
        self.deepest = self.deepest.max(depth);
        self.most = self.most.max(different);
        let Place::Split { feature, left, right } = self.forest.at(place) else {
            self.forest.leaf(place, leaf);
            base.iter_mut().zip(leaf).for_each(|(base, value)| *base += share * *value);
            return Ok(());
        };
        let different = different + usize::from(self.times[feature] == 0);
        self.times[feature] += 1;
        for child in [left, right] {
            let (cover, whole) = (self.forest.cover(child), self.forest.cover(place));
            if !(0.0..f64::INFINITY).contains(&cover) || !(0.0..f64::INFINITY).contains(&whole) {
                return Err(unknown_covers());
            }
            self.below(child, depth + 1, different, share * ratio(cover, whole), leaf, base)?;
        }
        self.times[feature] -= 1;
        Ok(())
    }
}

fn unknown_covers() -> Problem {
    cannot("trees whose file does not say how many rows of training came by each node")
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// What is known of an input on the way down.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Whether the row goes this way as far as the input is asked for.
    follows: bool,
    /// The share of rows that do.
    share: f64,
}

const UNSEEN: Seen = Seen { follows: true, share: 1.0 };

/// What holds at the points of the rule, at a level of a tree.
#[derive(Clone, Copy, Debug)]
struct Level<const K: usize> {
    /// The product of the path, with the points' weights.
    product: [f64; K],
    /// What the last input on the path is given of each number of the leaves below, less what it was given above.
    change: [f64; K],
}

struct Walk<'a, F, const K: usize> {
    forest: &'a F,
    /// The points of the rule, and 1 less them.
    points: [f64; K],
    others: [f64; K],
    seen: Vec<Seen>,
    levels: Vec<Level<K>>,
    /// Sums of the leaves below, at each level a list for each number of a leaf.
    sums: Vec<[f64; K]>,
    leaf: Vec<f64>,
    width: usize,
    inputs: usize,
    owners: &'a [usize],
}

fn walk<F: Forest, const K: usize>(
    forest: &F,
    roots: &[Root],
    rows: &[F::Number],
    width: usize,
    deepest: usize,
    sums: &mut Sums<'_>,
) {
    let (points, weights) = rule::<K>();
    let widest = roots.iter().map(|root| root.width).max().unwrap_or(0);
    let mut walk = Walk {
        forest,
        points,
        others: points.map(|point| 1.0 - point),
        seen: vec![UNSEEN; width],
        levels: vec![Level { product: weights, change: [0.0; K] }; deepest + 1],
        sums: vec![[0.0; K]; (deepest + 1) * widest],
        leaf: Vec::new(),
        width: widest,
        inputs: sums.inputs,
        owners: sums.owners,
    };
    let of_row = sums.base.len() * sums.inputs;
    for root in roots {
        walk.width = root.width;
        walk.leaf.resize(root.width, 0.0);
        walk.levels[0].product = weights.map(|weight| weight * root.factor);
        let answers = sums.contributions.chunks_exact_mut(of_row.max(1));
        for (row, into) in rows.chunks_exact(width.max(1)).zip(answers) {
            walk.below(root.place, 0, row, &mut into[root.output * sums.inputs..]);
        }
    }
}

impl<F: Forest, const K: usize> Walk<'_, F, K> {
    /// Leaves the sums of the leaves below a place at its level. It calls itself for each level, so what is as long as
    /// the rule lies in the lists and not on the stack.
    fn below(&mut self, place: u32, level: usize, row: &[F::Number], into: &mut [f64]) {
        let Place::Split { feature, left, right } = self.forest.at(place) else {
            return self.end(place, level);
        };
        for sums in &mut self.sums[level * self.width..][..self.width] {
            sums.fill(0.0);
        }
        let (seen, whole) = (self.seen[feature], self.forest.cover(place));
        let goes_left = self.forest.goes_left(place, row);
        for (child, goes) in [(left, goes_left), (right, !goes_left)] {
            let ratio = ratio(self.forest.cover(child), whole);
            let next = Seen { follows: seen.follows && goes, share: seen.share * ratio };
            if !next.follows && next.share == 0.0 {
                continue; // No row comes here, known or not.
            }
            self.go_down(level, seen, next, ratio);
            self.seen[feature] = next;
            self.below(child, level + 1, row, into);
            let (above, below) = self.sums[level * self.width..].split_at_mut(self.width);
            for (output, (above, below)) in above.iter_mut().zip(below).enumerate() {
                if seen.follows {
                    let given = below.iter().zip(&self.levels[level + 1].change).map(|(sum, change)| sum * change);
                    into[output * self.inputs + self.owners[feature]] += given.sum::<f64>();
                }
                above.iter_mut().zip(below).for_each(|(above, below)| *above += *below);
            }
        }
        self.seen[feature] = seen;
    }

    /// Fills the sums of a leaf's level.
    fn end(&mut self, place: u32, level: usize) {
        self.forest.leaf(place, &mut self.leaf);
        let sums = &mut self.sums[level * self.width..][..self.width];
        for (sums, value) in sums.iter_mut().zip(&self.leaf) {
            let product = &self.levels[level].product;
            sums.iter_mut().zip(product).for_each(|(sum, product)| *sum = product * value);
        }
    }

    /// Fills the level below one, where an input that was `seen` so is seen as `next`.
    fn go_down(&mut self, level: usize, seen: Seen, next: Seen, ratio: f64) {
        let [above, below] = &mut self.levels[level..level + 2] else { return };
        if !seen.follows {
            // Its part of the product is `(1-t) share` already, and what it is given stays.
            below.product.iter_mut().zip(&above.product).for_each(|(below, above)| *below = above * ratio);
            return;
        }
        for at in 0..K {
            let (t, other) = (self.points[at], self.others[at]);
            let before = 1.0 / (t + other * seen.share);
            let (part, given) = match next.follows {
                true => {
                    let part = t + other * next.share;
                    (part, (1.0 - next.share) / part)
                }
                false => (other * next.share, -1.0 / other),
            };
            below.product[at] = above.product[at] * before * part;
            below.change[at] = given - (1.0 - seen.share) * before;
        }
    }
}

/// Gauss and Legendre's rule on 0..=1: points and their weights, exact for polynomials up to degree `2 K - 1`.
///
/// The points are roots of a Legendre polynomial, found by Newton's method from the usual first guess.
fn rule<const K: usize>() -> ([f64; K], [f64; K]) {
    let (mut points, mut weights) = ([0.0; K], [0.0; K]);
    for at in 0..K {
        let mut x = (std::f64::consts::PI * (at as f64 + 0.75) / (K as f64 + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (mut value, mut before) = (1.0, 0.0);
            for degree in 0..K {
                let n = degree as f64;
                (value, before) = (((2.0 * n + 1.0) * x * value - n * before) / (n + 1.0), value);
            }
            slope = K as f64 * (x * value - before) / (x * x - 1.0);
            let step = value / slope;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        points[at] = (1.0 - x) / 2.0;
        weights[at] = 1.0 / ((1.0 - x * x) * slope * slope);
    }
    (points, weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trees::{Draft, Test, Trees};

    const INPUTS: usize = 6;

    /// Numbers that look random.
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % end
        }

        fn share(&mut self) -> f64 {
            self.below(1 << 20) as f64 / f64::from(1 << 20)
        }

        /// A tree of about so many levels, whose nodes hold the rows of their children.
        fn tree(&mut self, levels: usize) -> Drawn {
            let mut drawn = Drawn::default();
            self.grow(&mut drawn, levels, 1000.0);
            drawn
        }

        fn grow(&mut self, drawn: &mut Drawn, levels: usize, cover: f64) -> usize {
            let at = drawn.drafts.len();
            drawn.covers.push(cover);
            drawn.leaves.push(self.share() * 10.0 - 5.0);
            drawn.drafts.push(Draft::Leaf(at));
            if levels == 0 {
                return at;
            }
            let first = (cover * self.share()).round();
            // One side may end at once, so that deep trees stay small.
            let other = if levels > 5 { self.below(2) } else { levels - 1 };
            let left = self.grow(drawn, levels - 1, first);
            let right = self.grow(drawn, other, cover - first);
            let test = match self.below(3) {
                0 => Test::Among { members: vec![self.below(16) as u32], outside_left: self.below(2) == 0 },
                _ => Test::AtMost(self.share() * 4.0),
            };
            let (feature, missing_left) = (self.below(INPUTS), self.below(2) == 0);
            drawn.drafts[at] = Draft::Split { feature, test, missing_left, zero_missing: false, left, right };
            at
        }

        fn row(&mut self) -> Vec<f64> {
            (0..INPUTS).map(|_| if self.below(6) == 0 { f64::NAN } else { self.share() * 4.0 }).collect()
        }
    }

    #[derive(Default)]
    struct Drawn {
        drafts: Vec<Draft>,
        leaves: Vec<f64>,
        covers: Vec<f64>,
    }

    fn trees(drawn: &[Drawn]) -> Trees {
        let mut trees = Trees::new(INPUTS, 1);
        for tree in drawn {
            trees.push_with_covers(&tree.drafts, &tree.leaves, 0, &tree.covers).unwrap();
        }
        trees
    }

    fn explain(trees: &Trees, rows: &[f64]) -> Result<(f64, Vec<f64>), Problem> {
        let owners: Vec<usize> = (0..INPUTS).collect();
        let (mut base, mut contributions) = ([0.0], vec![0.0; rows.len()]);
        let mut sums = Sums { base: &mut base, contributions: &mut contributions, inputs: INPUTS, owners: &owners };
        add(trees, &trees.roots(1.0), rows, INPUTS, &mut sums)?;
        Ok((base[0], contributions))
    }

    /// What a tree answers where only some inputs are known: a bit for each.
    fn game(trees: &Trees, place: u32, row: &[f64], known: usize) -> f64 {
        let Place::Split { feature, left, right } = trees.at(place) else {
            let mut leaf = [0.0];
            trees.leaf(place, &mut leaf);
            return leaf[0];
        };
        if known >> feature & 1 == 1 {
            let next = if trees.goes_left(place, row) { left } else { right };
            return game(trees, next, row, known);
        }
        let part = |child| ratio(trees.cover(child), trees.cover(place)) * game(trees, child, row, known);
        part(left) + part(right)
    }

    /// Shapley values by their definition.
    fn by_definition(trees: &Trees, row: &[f64]) -> Vec<f64> {
        let factorial = |n: usize| (1..=n).map(|n| n as f64).product::<f64>();
        let answer =
            |known: usize| trees.roots(1.0).iter().map(|root| game(trees, root.place, row, known)).sum::<f64>();
        let answers: Vec<f64> = (0..1 << INPUTS).map(answer).collect();
        let value = |input: usize| {
            let without = (0..answers.len()).filter(|known| known >> input & 1 == 0);
            let gain = |known: usize| {
                let size = known.count_ones() as usize;
                let weight = factorial(size) * factorial(INPUTS - size - 1) / factorial(INPUTS);
                weight * (answers[known | 1 << input] - answers[known])
            };
            without.map(gain).sum::<f64>()
        };
        (0..INPUTS).map(value).collect()
    }

    #[test]
    fn values_are_those_of_the_definition() {
        let mut random = Random(1);
        for levels in [0, 1, 2, 3, 5, 8, 13, 45] {
            let trees = trees(&[random.tree(levels), random.tree(levels / 2)]);
            for _ in 0..20 {
                let row = random.row();
                let (base, values) = explain(&trees, &row).unwrap();
                let wanted = by_definition(&trees, &row);
                let near = values.iter().zip(&wanted).all(|(value, wanted)| (value - wanted).abs() < 1e-12);
                assert!(near, "{levels} levels: {values:?} {wanted:?}");
                let empty: f64 = trees.roots(1.0).iter().map(|root| game(&trees, root.place, &row, 0)).sum();
                assert!((base - empty).abs() < 1e-12, "{levels} levels");
            }
        }
    }

    /// A tree that is a chain: each node has a leaf at its left, and asks for the next of so many inputs.
    fn chain(levels: usize, inputs: usize, covers: &[f64]) -> Result<(), Problem> {
        let mut drafts = Vec::new();
        for level in 0..levels {
            let test = Test::AtMost(0.0);
            let (left, right) = (2 * level + 1, 2 * level + 2);
            let feature = level % inputs;
            drafts.push(Draft::Split { feature, test, missing_left: false, zero_missing: false, left, right });
            drafts.push(Draft::Leaf(0));
        }
        drafts.push(Draft::Leaf(1));
        let mut trees = Trees::new(inputs, 1);
        trees.push_with_covers(&drafts, &[0.0, 1.0], 0, covers).unwrap();
        let owners: Vec<usize> = (0..inputs).collect();
        let (mut base, mut contributions) = ([0.0], vec![0.0; inputs]);
        let mut sums = Sums { base: &mut base, contributions: &mut contributions, inputs, owners: &owners };
        add(&trees, &trees.roots(1.0), &vec![1.0; inputs], inputs, &mut sums)?;
        // All inputs are alike in what they do, but for how often they are asked for: the sum is known.
        assert!((base[0] + contributions.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{levels} levels");
        Ok(())
    }

    #[test]
    fn trees_may_be_deep_but_not_endless() {
        let covers = |levels: usize| {
            let pair = |level: usize| [(levels - level + 1) as f64, 1.0];
            (0..levels).flat_map(pair).chain([1.0]).collect::<Vec<f64>>()
        };
        for (levels, inputs) in [(30, 30), (100, 100), (500, 500), (DEEPEST, 7)] {
            chain(levels, inputs, &covers(levels)).unwrap();
        }
        for (levels, inputs) in [(DEEPEST + 1, 7), (100_000, 3), (MOST_DIFFERENT + 1, MOST_DIFFERENT + 1)] {
            assert!(chain(levels, inputs, &covers(levels)).unwrap_err().to_string().contains("levels"));
        }
    }

    #[test]
    fn nodes_that_no_row_came_by_are_passed_by() {
        chain(2, 2, &[4.0, 4.0, 0.0, 0.0, 0.0]).unwrap();
        chain(2, 2, &[4.0, 0.0, 4.0, 4.0, 0.0]).unwrap();
        for covers in
            [&[0.0, 0.0, 0.0, 0.0, 0.0][..], &[4.0, 2.0, f64::NAN, 1.0, 1.0], &[4.0, -1.0, 5.0, 1.0, 1.0], &[]]
        {
            assert!(chain(2, 2, covers).unwrap_err().to_string().contains("rows of training"), "{covers:?}");
        }
    }

    #[test]
    fn a_tree_that_was_pushed_without_covers_spoils_no_other() {
        let mut random = Random(2);
        let (known, unknown) = (random.tree(3), random.tree(3));
        let mut trees = Trees::new(INPUTS, 1);
        trees.push(&unknown.drafts, &unknown.leaves, 0).unwrap();
        trees.push_with_covers(&known.drafts, &known.leaves, 0, &known.covers).unwrap();
        assert!(explain(&trees, &random.row()).is_err());
    }

    #[test]
    fn a_rule_is_exact_for_polynomials() {
        fn check<const K: usize>() {
            let (points, weights) = rule::<K>();
            for power in [0, 1, K, 2 * K - 1] {
                let sum: f64 = points.iter().zip(weights).map(|(t, weight)| weight * t.powi(power as i32)).sum();
                assert!((sum * (power + 1) as f64 - 1.0).abs() < 1e-11, "{K} points, power {power}: {sum}");
            }
        }
        check::<2>();
        check::<4>();
        check::<8>();
        check::<16>();
        check::<64>();
        check::<256>();
    }
}
