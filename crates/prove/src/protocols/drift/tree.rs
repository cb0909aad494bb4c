//! The model whose errors are watched: a Hoeffding tree with naive Bayes in its leaves.

use super::{
    bayes::{Bayes, Part},
    stream::Attribute,
};

/// Rows of a leaf between two looks for a split.
const LOOK_EVERY: f64 = 200.0;
/// Chance that another split than the chosen one would have been better, and the difference of gains below which that
/// does not matter.
const DELTA: f64 = 1e-7;
const TIE: f64 = 0.05;
/// Places at which a number may be cut.
const CUTS: usize = 10;

/// A tree that splits a leaf once rows enough have shown which split is the best (Domingos and Hulten, KDD 2000, with
/// their settings); a leaf answers by naive Bayes or by its majority, whichever was right more often (Holmes, Kirkby
/// and Pfahringer, "Stress-testing Hoeffding trees", PKDD 2005). A new leaf also keeps what its parent knew and
/// answers by that until it knows better: else each split would show as a burst of errors.
pub struct Tree {
    attributes: Vec<Attribute>,
    nodes: Vec<Node>,
}

enum Node {
    Leaf(Box<Leaf>),
    Split { split: Split, children: Vec<usize> },
}

struct Leaf {
    /// Rows by class, with those that the parent expected here.
    classes: Vec<f64>,
    bayes: Bayes,
    /// What its parent knew, learning on.
    inherited: Option<Bayes>,
    /// Least and most of each number.
    ranges: Vec<(f64, f64)>,
    /// How often each way to answer was right.
    inherited_right: f64,
    bayes_right: f64,
    majority_right: f64,
    looked_at: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Split {
    /// Up to a value and above it.
    Number { attribute: usize, until: f64 },
    /// By category.
    Category { attribute: usize },
}

impl Split {
    fn child(&self, row: &[f64]) -> usize {
        match *self {
            Split::Number { attribute, until } => usize::from(row[attribute] > until),
            Split::Category { attribute } => row[attribute] as usize,
        }
    }
}

impl Tree {
    /// One that has learned nothing.
    pub fn new(attributes: &[Attribute], classes: usize) -> Tree {
        let root = Node::Leaf(Box::new(Leaf::new(attributes, vec![0.0; classes], None)));
        Tree { attributes: attributes.to_vec(), nodes: vec![root] }
    }

    /// The likeliest class.
    pub fn predict(&self, row: &[f64]) -> usize {
        match &self.nodes[self.leaf_of(row)] {
            Node::Leaf(leaf) => leaf.predict(row),
            Node::Split { .. } => 0,
        }
    }

    /// Takes a row in.
    pub fn learn(&mut self, row: &[f64], class: usize) {
        let at = self.leaf_of(row);
        let Node::Leaf(leaf) = &mut self.nodes[at] else { return };
        leaf.learn(row, class);
        if leaf.rows() - leaf.looked_at >= LOOK_EVERY {
            leaf.looked_at = leaf.rows();
            if let Some((split, parts)) = leaf.best_split(&self.attributes) {
                self.split(at, split, parts);
            }
        }
    }

    fn leaf_of(&self, row: &[f64]) -> usize {
        let mut at = 0;
        while let Node::Split { split, children } = &self.nodes[at] {
            at = children[split.child(row)];
        }
        at
    }

    fn split(&mut self, at: usize, split: Split, parts: Vec<Vec<f64>>) {
        let first = self.nodes.len();
        let Node::Leaf(parent) = &self.nodes[at] else { return };
        let known = parent.bayes.clone();
        let children = (first..first + parts.len()).collect();
        let leaf = |classes| Node::Leaf(Box::new(Leaf::new(&self.attributes, classes, Some(known.clone()))));
        let leaves: Vec<Node> = parts.into_iter().map(leaf).collect();
        self.nodes.extend(leaves);
        self.nodes[at] = Node::Split { split, children };
    }
}

impl Leaf {
    fn new(attributes: &[Attribute], classes: Vec<f64>, inherited: Option<Bayes>) -> Leaf {
        Leaf {
            bayes: Bayes::new(attributes, classes.len()),
            classes,
            inherited,
            ranges: vec![(f64::INFINITY, f64::NEG_INFINITY); attributes.len()],
            inherited_right: 0.0,
            bayes_right: 0.0,
            majority_right: 0.0,
            looked_at: 0.0,
        }
    }

    /// Rows that came here.
    fn rows(&self) -> f64 {
        self.bayes.rows.iter().sum()
    }

    fn predict(&self, row: &[f64]) -> usize {
        match &self.inherited {
            Some(known) if self.inherited_right >= self.bayes_right.max(self.majority_right) => known.predict(row),
            _ if self.bayes_right >= self.majority_right => self.bayes.predict(row),
            _ => most(&self.classes),
        }
    }

    fn learn(&mut self, row: &[f64], class: usize) {
        if let Some(known) = &mut self.inherited {
            self.inherited_right += f64::from(u8::from(known.predict(row) == class));
            known.learn(row, class);
        }
        self.bayes_right += f64::from(u8::from(self.bayes.predict(row) == class));
        self.majority_right += f64::from(u8::from(most(&self.classes) == class));
        self.classes[class] += 1.0;
        self.bayes.learn(row, class);
        for (range, value) in self.ranges.iter_mut().zip(row) {
            *range = (range.0.min(*value), range.1.max(*value));
        }
    }

    /// The best split and the classes in its parts, if it is sure to be the best and better than none.
    fn best_split(&self, attributes: &[Attribute]) -> Option<(Split, Vec<Vec<f64>>)> {
        let best_of = |(at, kind)| {
            let gains = self.splits(at, kind).into_iter().map(|(split, parts)| (self.gain(&parts), split, parts));
            gains.max_by(|a, b| a.0.total_cmp(&b.0))
        };
        let mut found: Vec<(f64, Split, Vec<Vec<f64>>)> = attributes.iter().enumerate().filter_map(best_of).collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let second = found.get(1).map_or(0.0, |f| f.0.max(0.0));
        let (gain, split, parts) = found.into_iter().next()?;
        let range = (self.classes.len() as f64).log2();
        let bound = (range * range * (1.0 / DELTA).ln() / (2.0 * self.rows())).sqrt();
        let is_sure = gain > 0.0 && (gain - second > bound || bound < TIE);
        is_sure.then_some((split, parts))
    }

    /// Entropy that parts take away.
    fn gain(&self, parts: &[Vec<f64>]) -> f64 {
        let total: f64 = parts.iter().flatten().sum();
        let left = parts.iter().map(|p| p.iter().sum::<f64>() / total * entropy(p));
        entropy(&self.bayes.rows) - left.sum::<f64>()
    }

    /// Possible splits of an attribute, with the classes in their parts.
    fn splits(&self, attribute: usize, kind: &Attribute) -> Vec<(Split, Vec<Vec<f64>>)> {
        if let Attribute::Category(values) = kind {
            let of = |value| self.bayes.attributes[attribute].iter().map(|p| p.rows_of(value)).collect();
            return vec![(Split::Category { attribute }, (0..values.len()).map(of).collect())];
        }
        let (low, high) = self.ranges[attribute];
        let cuts = (1..=CUTS).map(|k| low + (high - low) * k as f64 / (CUTS + 1) as f64);
        cuts.map(|until| (Split::Number { attribute, until }, self.cut(attribute, until))).collect()
    }

    /// The classes below and above a cut, as the Gaussians have them.
    fn cut(&self, attribute: usize, until: f64) -> Vec<Vec<f64>> {
        let classes = self.bayes.attributes[attribute].iter().zip(&self.bayes.rows);
        let (below, above) = classes
            .map(|(part, rows)| {
                let below = rows * part.share_below(until, *rows);
                (below, rows - below)
            })
            .unzip();
        vec![below, above]
    }
}

impl Part {
    fn rows_of(&self, category: usize) -> f64 {
        match self {
            Part::Category(counts) => counts[category],
            Part::Number { .. } => 0.0,
        }
    }

    fn share_below(&self, value: f64, rows: f64) -> f64 {
        match self {
            Part::Number { mean, squares } => {
                let deviation = (squares / (rows - 1.0).max(1.0)).sqrt().max(1e-6);
                normal_below((value - mean) / deviation)
            }
            Part::Category(_) => 0.0,
        }
    }
}

/// The normal distribution function; Abramowitz and Stegun 26.2.17, error below 1e-7.
fn normal_below(z: f64) -> f64 {
    const TERMS: [f64; 5] = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let sum = TERMS.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    let above = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt() * sum;
    if z < 0.0 { above } else { 1.0 - above }
}

fn entropy(counts: &[f64]) -> f64 {
    let total: f64 = counts.iter().sum();
    counts.iter().filter(|n| **n > 0.0).map(|n| -n / total * (n / total).log2()).sum()
}

fn most(counts: &[f64]) -> usize {
    (0..counts.len()).max_by(|a, b| counts[*a].total_cmp(&counts[*b])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_learns_what_naive_bayes_cannot() {
        // Two numbers of one sign or of two: neither tells anything by itself.
        let chances = crate::baselines::random(40_000, 5);
        let attributes = [Attribute::Category(vec!["a".into(), "b".into()]), Attribute::Number];
        let (mut tree, mut bayes) = (Tree::new(&attributes, 2), Bayes::new(&attributes, 2));
        let (mut tree_right, mut bayes_right) = (0, 0);
        for (i, pair) in chances.chunks_exact(2).enumerate() {
            let row = [f64::from(u8::from(pair[0] < 0.3)), pair[1]];
            let class = usize::from((row[0] > 0.5) != (row[1] > 0.6));
            if i >= 10_000 {
                tree_right += usize::from(tree.predict(&row) == class);
                bayes_right += usize::from(bayes.predict(&row) == class);
            }
            tree.learn(&row, class);
            bayes.learn(&row, class);
        }
        println!("{tree_right} and {bayes_right} of 10,000");
        assert!(tree_right > 9500 && bayes_right < 9000, "{tree_right} and {bayes_right}");
    }

    #[test]
    fn normal_shares_of_published_values() {
        for (z, below) in [(0.0, 0.5), (1.0, 0.841_344_7), (-1.96, 0.024_997_9)] {
            assert!((normal_below(z) - below).abs() < 1e-6, "{z}");
        }
        assert_eq!((entropy(&[5.0, 5.0]), entropy(&[4.0, 0.0])), (1.0, 0.0));
    }
}
