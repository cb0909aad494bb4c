//! How alike a classifier treats groups of people.
//!
//! Idea: of each group only the counts of right and wrong, yes and no are kept; every rate is a quotient of two of them,
//! and a disparity the difference (or quotient) of the highest and the lowest rate of any group. The definitions are
//! those of fairlearn (Bird et al. 2020): demographic parity compares selection rates, equal opportunity true positive
//! rates, equalized odds the worse of true and false positive rates (Hardt, Price and Srebro 2016), predictive parity
//! precisions. A group of an intersection is one of its own, see [`intersection`].
//!
//! Rates have Wilson intervals, differences Newcombe's (see [`crate::shares`]); both the interval and the p of a
//! disparity are corrected for the number of pairs of groups among which the extremes were sought (Bonferroni), so that
//! many groups do not make one out of noise. A rate that rests on too few rows stays out of the disparity, and the
//! disparity names the group.
//!
//! Cost: some ten additions a row; quadratic in the groups once. Fails on: rows that depend on one another (one person
//! many times); labels that come for the predicted ones only, as with loans, where no rate of the rest can be known;
//! groups that differ in what matters for the decision, of which no count tells.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::shares::{difference, difference_surprise, normal_quantile, wilson};

/// Parts of equal width into which probabilities are sorted for calibration.
const BINS: usize = 10;
/// Groups at most; rows of further ones are counted under [`OTHER`].
const MAX_GROUPS: usize = 512;
/// Stands for groups above the bound.
pub const OTHER: &str = "(other groups)";

/// What was counted of one group. Plain data; merging is adding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Predicted yes, and right.
    pub true_positives: u64,
    /// Predicted yes, and wrong.
    pub false_positives: u64,
    /// Predicted no, and wrong.
    pub false_negatives: u64,
    /// Predicted no, and right.
    pub true_negatives: u64,
    /// Predicted yes, label not there yet.
    pub unlabelled_positives: u64,
    /// Predicted no, label not there yet.
    pub unlabelled_negatives: u64,
    /// Rows with label and probability by tenth of the probability; empty without any.
    pub bins: Vec<Bin>,
}

/// Rows of one tenth of the probability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Rows.
    pub count: u64,
    /// Of which the label is yes.
    pub positives: u64,
    /// Sum of their probabilities.
    pub probability: f64,
}

/// What is compared between groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Right among the labelled.
    Accuracy,
    /// Predicted yes among all (demographic parity).
    SelectionRate,
    /// Predicted yes among those labelled yes (equal opportunity).
    TruePositiveRate,
    /// Predicted yes among those labelled no.
    FalsePositiveRate,
    /// Labelled yes among those predicted yes (predictive parity).
    Precision,
}

impl Metric {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Metric; 5] = [
        Metric::Accuracy,
        Metric::SelectionRate,
        Metric::TruePositiveRate,
        Metric::FalsePositiveRate,
        Metric::Precision,
    ];

    /// Its name, in snake case.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::SelectionRate => "selection_rate",
            Metric::TruePositiveRate => "true_positive_rate",
            Metric::FalsePositiveRate => "false_positive_rate",
            Metric::Precision => "precision",
        }
    }
}

/// What counts as enough, and as a lot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Rows below a rate's line (its denominator) from which on it is compared; 30, where the z test begins to hold.
    pub rows_min: u64,
    /// Difference of rates (0..=1) that is let pass whatever its significance; 0.05: a twentieth of a group.
    pub difference_max: f64,
    /// Chance of an interval that misses, or of a false verdict for one metric; 0.05.
    pub alpha: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { rows_min: 30, difference_max: 0.05, alpha: 0.05 }
    }
}

/// A share with its Wilson interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// What it is a share of: accuracy, …
    pub metric: Metric,
    /// Rows for which it is so.
    pub hits: u64,
    /// Rows it is a share of.
    pub rows: u64,
    /// 0..=1; `None` where there is no row.
    pub value: Option<f64>,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Whether the rows are enough to be compared.
    pub is_enough: bool,
}

/// One group's figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Rows, labelled or not.
    pub rows: u64,
    /// Rows with a label.
    pub labelled: u64,
    /// In the order of [`Metric::ALL`].
    pub shares: Vec<Share>,
    /// Only where there are probabilities with labels.
    pub calibration: Option<Calibration>,
}

/// How well probabilities of a group are what comes true.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Mean probability less the share labelled yes, -1..=1: above 0, too much was predicted.
    pub gap: f64,
    /// Mean over the rows of the size of that gap within each tenth (expected calibration error), 0..=1.
    pub error: f64,
    /// Rows it rests on.
    pub rows: u64,
}

/// What is to be thought of a disparity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Less than two groups have enough rows.
    NotEnoughRows,
    /// The difference is within the bound.
    WithinBound,
    /// The difference is beyond the bound, but may be chance.
    MayBeChance,
    /// The difference is beyond the bound and more than chance.
    Unequal,
}

/// How far a metric lies apart between groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disparity {
    /// Of which metric.
    pub metric: Metric,
    /// Highest less lowest, 0..=1; `None` where less than two groups have enough rows.
    pub difference: Option<f64>,
    /// Lowest by highest, 0..=1; `None` also where all are 0.
    pub ratio: Option<f64>,
    /// Interval of the difference, corrected for the pairs of groups.
    pub interval: Option<(f64, f64)>,
    /// The group with the lowest value.
    pub lowest: String,
    /// The group with the highest value.
    pub highest: String,
    /// -log10 of the chance that equal groups differ so (least of all pairs, corrected for their number), 0 or more.
    pub surprise: f64,
    /// Groups that stay out because their rows are too few.
    pub left_out: Vec<String>,
    /// What is to be thought of it.
    pub verdict: Verdict,
}

/// All there is to say of a classifier and its groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// All rows as one group, named `all`.
    pub overall: Group,
    /// By name.
    pub groups: Vec<Group>,
    /// In the order of [`Metric::ALL`].
    pub disparities: Vec<Disparity>,
}

/// Counts by group. Plain data; merging is adding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    /// Counts by name.
    pub by_name: BTreeMap<String, Tally>,
}

/// The name of a group that several columns make together.
pub fn intersection(values: &[&str]) -> String {
    values.join(" & ")
}

impl Tally {
    /// Counts a row. A probability (0..=1) counts only where the label is there.
    pub fn observe(&mut self, predicted: bool, truth: Option<bool>, probability: Option<f64>) {
        let count = match (predicted, truth) {
            (true, Some(true)) => &mut self.true_positives,
            (true, Some(false)) => &mut self.false_positives,
            (false, Some(true)) => &mut self.false_negatives,
            (false, Some(false)) => &mut self.true_negatives,
            (true, None) => &mut self.unlabelled_positives,
            (false, None) => &mut self.unlabelled_negatives,
        };
        *count += 1;
        if let (Some(truth), Some(p)) = (truth, probability.filter(|p| (0.0..=1.0).contains(p))) {
            self.bins.resize(BINS, Bin::default());
            let bin = &mut self.bins[((p * BINS as f64) as usize).min(BINS - 1)];
            bin.count += 1;
            bin.positives += u64::from(truth);
            bin.probability += p;
        }
    }

    /// Adds what another counted.
    pub fn merge(&mut self, other: &Tally) {
        self.true_positives += other.true_positives;
        self.false_positives += other.false_positives;
        self.false_negatives += other.false_negatives;
        self.true_negatives += other.true_negatives;
        self.unlabelled_positives += other.unlabelled_positives;
        self.unlabelled_negatives += other.unlabelled_negatives;
        self.bins.resize(self.bins.len().max(other.bins.len()), Bin::default());
        for (mine, theirs) in self.bins.iter_mut().zip(&other.bins) {
            mine.count += theirs.count;
            mine.positives += theirs.positives;
            mine.probability += theirs.probability;
        }
    }

    /// Rows with a label.
    pub fn labelled(&self) -> u64 {
        self.true_positives + self.false_positives + self.false_negatives + self.true_negatives
    }

    /// Rows, with a label or without.
    pub fn rows(&self) -> u64 {
        self.labelled() + self.unlabelled_positives + self.unlabelled_negatives
    }

    /// Hits and rows of a metric.
    pub fn counts(&self, metric: Metric) -> (u64, u64) {
        let predicted = self.true_positives + self.false_positives;
        match metric {
            Metric::Accuracy => (self.true_positives + self.true_negatives, self.labelled()),
            Metric::SelectionRate => (predicted + self.unlabelled_positives, self.rows()),
            Metric::TruePositiveRate => (self.true_positives, self.true_positives + self.false_negatives),
            Metric::FalsePositiveRate => (self.false_positives, self.false_positives + self.true_negatives),
            Metric::Precision => (self.true_positives, predicted),
        }
    }

    /// Of the rows that have both probability and label; `None` without any.
    pub fn calibration(&self) -> Option<Calibration> {
        let rows: u64 = self.bins.iter().map(|bin| bin.count).sum();
        let gaps = || self.bins.iter().map(|bin| bin.probability - bin.positives as f64);
        let n = rows as f64;
        (rows > 0).then(|| Calibration {
            gap: gaps().sum::<f64>() / n,
            error: gaps().map(f64::abs).sum::<f64>() / n,
            rows,
        })
    }
}

impl Groups {
    /// Counts a row of a group.
    pub fn observe(&mut self, group: &str, predicted: bool, truth: Option<bool>, probability: Option<f64>) {
        self.tally(group).observe(predicted, truth, probability);
    }

    /// Adds what another counted.
    pub fn merge(&mut self, other: &Groups) {
        for (name, tally) in &other.by_name {
            self.tally(name).merge(tally);
        }
    }

    /// Figures, disparities and verdicts.
    pub fn assess(&self, settings: &Settings) -> Assessment {
        let mut all = Tally::default();
        self.by_name.values().for_each(|tally| all.merge(tally));
        Assessment {
            overall: figures("all", &all, settings),
            groups: self.by_name.iter().map(|(name, tally)| figures(name, tally, settings)).collect(),
            disparities: Metric::ALL.map(|metric| self.disparity(metric, settings)).into(),
        }
    }

    fn tally(&mut self, group: &str) -> &mut Tally {
        let is_full = self.by_name.len() >= MAX_GROUPS && !self.by_name.contains_key(group);
        let name = if is_full { OTHER } else { group };
        self.by_name.entry(name.to_owned()).or_default()
    }

    fn disparity(&self, metric: Metric, settings: &Settings) -> Disparity {
        let counts = self.by_name.iter().map(|(name, tally)| (name.as_str(), tally.counts(metric)));
        let (compared, few): (Vec<_>, Vec<_>) = counts.partition(|(_, (_, rows))| *rows >= settings.rows_min.max(1));
        let mut found = Disparity {
            metric,
            difference: None,
            ratio: None,
            interval: None,
            lowest: String::new(),
            highest: String::new(),
            surprise: 0.0,
            left_out: few.iter().map(|(name, _)| (*name).to_owned()).collect(),
            verdict: Verdict::NotEnoughRows,
        };
        if compared.len() > 1 {
            found.compare(&compared, settings);
        }
        found
    }
}

impl Disparity {
    fn compare(&mut self, groups: &[(&str, (u64, u64))], settings: &Settings) {
        let value = |group: &(&str, (u64, u64))| group.1.0 as f64 / group.1.1 as f64;
        let by_value = |a: &&(&str, _), b: &&(&str, _)| value(a).total_cmp(&value(b)).then_with(|| b.0.cmp(a.0));
        let (Some(lowest), Some(highest)) = (groups.iter().min_by(by_value), groups.iter().max_by(by_value)) else {
            return;
        };
        let pairs = (groups.len() * (groups.len() - 1) / 2) as f64;
        let pair_surprise = |i: usize| groups[..i].iter().map(move |other| difference_surprise(groups[i].1, other.1));
        let best = (1..groups.len()).flat_map(pair_surprise).fold(0.0, f64::max);
        let (low, high) = (value(lowest), value(highest));
        self.difference = Some(high - low);
        self.ratio = (high > 0.0).then_some(low / high);
        self.interval = Some(difference(highest.1, lowest.1, normal_quantile(settings.alpha / pairs / 2.0)));
        (self.lowest, self.highest) = (lowest.0.to_owned(), highest.0.to_owned());
        self.surprise = (best - pairs.log10()).max(0.0);
        self.verdict = match (high - low > settings.difference_max, self.surprise >= -settings.alpha.log10()) {
            (false, _) => Verdict::WithinBound,
            (true, false) => Verdict::MayBeChance,
            (true, true) => Verdict::Unequal,
        };
    }
}

impl Assessment {
    /// The disparity of a metric.
    pub fn disparity(&self, metric: Metric) -> Option<&Disparity> {
        self.disparities.iter().find(|disparity| disparity.metric == metric)
    }

    /// Equalized odds: the greater difference and the smaller ratio of true and of false positive rates. `None` where
    /// one of them is.
    pub fn equalized_odds(&self) -> (Option<f64>, Option<f64>) {
        let of = |metric| self.disparity(metric);
        let (yes, no) = (of(Metric::TruePositiveRate), of(Metric::FalsePositiveRate));
        let (Some(yes), Some(no)) = (yes, no) else { return (None, None) };
        let worse = yes.difference.zip(no.difference).map(|(a, b)| a.max(b));
        (worse, yes.ratio.zip(no.ratio).map(|(a, b)| a.min(b)))
    }
}

fn figures(name: &str, tally: &Tally, settings: &Settings) -> Group {
    let z = normal_quantile(settings.alpha / 2.0);
    let share = |metric| {
        let (hits, rows) = tally.counts(metric);
        let (low, high) = wilson(hits, rows, z);
        let value = (rows > 0).then(|| hits as f64 / rows as f64);
        Share { metric, hits, rows, value, low, high, is_enough: rows >= settings.rows_min }
    };
    Group {
        name: name.to_owned(),
        rows: tally.rows(),
        labelled: tally.labelled(),
        shares: Metric::ALL.map(share).into(),
        calibration: tally.calibration(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(seed: &mut u64) -> f64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as f64 / (1_u64 << 31) as f64
    }

    /// Four groups of two thousand rows that differ.
    fn four_groups() -> Groups {
        let (mut seed, mut groups) = (12_345, Groups::default());
        for _ in 0..2000 {
            let group = (uniform(&mut seed) * 4.0).floor();
            let truth = uniform(&mut seed) < 0.3 + 0.1 * group;
            let chance = if truth { 0.7 - 0.05 * group } else { 0.2 + 0.06 * group };
            let predicted = uniform(&mut seed) < chance;
            groups.observe(&group.to_string(), predicted, Some(truth), None);
        }
        groups
    }

    fn close(found: Option<f64>, expected: f64) {
        assert!((found.unwrap() - expected).abs() < 1e-8, "{found:?}, expected {expected}");
    }

    #[test]
    fn figures_are_those_of_fairlearn() {
        // fairlearn 0.15.0 on the same two thousand rows.
        let assessment = four_groups().assess(&Settings::default());
        let rows: Vec<u64> = assessment.groups.iter().map(|g| g.rows).collect();
        assert_eq!(rows, [500, 466, 516, 518]);
        let of = |group: usize, metric: usize| assessment.groups[group].shares[metric].value;
        close(of(0, 0), 0.8);
        close(of(2, 0), 0.627_906_98);
        close(of(0, 3), 0.173_529_41);
        close(of(3, 4), 0.690_763_05);
        let overall = [0.6825, 0.428, 0.624_296_96, 0.270_927_09, 0.648_364_49];
        assessment.overall.shares.iter().zip(overall).for_each(|(share, expected)| close(share.value, expected));
        let expected = [
            (0.189_961_39, 0.762_548_26),
            (0.124_694_98, 0.740_594_38),
            (0.164_625_42, 0.778_654_90),
            (0.174_886_88, 0.498_051_95),
            (0.088_252_59, 0.872_238_98),
        ];
        for (disparity, (difference, ratio)) in assessment.disparities.iter().zip(expected) {
            close(disparity.difference, difference);
            close(disparity.ratio, ratio);
        }
        close(assessment.equalized_odds().0, 0.174_886_88);
        close(assessment.equalized_odds().1, 0.498_051_95);
        assert_eq!(assessment.disparities[3].verdict, Verdict::Unequal);
        assert_eq!((assessment.disparities[3].lowest.as_str(), assessment.disparities[3].highest.as_str()), ("0", "3"));
    }

    #[test]
    fn groups_alike_are_said_to_differ_as_rarely_as_promised() {
        let mut false_verdicts = 0;
        for seed in 1..=400 {
            let (mut seed, mut groups) = (seed * 7919, Groups::default());
            for i in 0..2000 {
                groups.observe(&(i % 8).to_string(), uniform(&mut seed) < 0.3, None, None);
            }
            let strict = Settings { difference_max: 0.0, ..Settings::default() };
            let assessment = groups.assess(&strict);
            false_verdicts += usize::from(assessment.disparities[1].verdict == Verdict::Unequal);
            assert_eq!(assessment.disparities[0].verdict, Verdict::NotEnoughRows, "no labels");
        }
        // One in twenty of 400 at most, with the scatter of such a count.
        assert!(false_verdicts <= 28, "{false_verdicts}");
    }

    #[test]
    fn few_rows_are_said_and_left_out() {
        let mut groups = Groups::default();
        for i in 0..100 {
            groups.observe("a", i % 2 == 0, Some(true), None);
            groups.observe("b", i % 2 == 0, Some(true), None);
        }
        (0..29).for_each(|_| groups.observe("c", true, Some(true), None));
        let assessment = groups.assess(&Settings::default());
        let selection = assessment.disparity(Metric::SelectionRate).unwrap();
        assert_eq!((selection.difference, selection.verdict), (Some(0.0), Verdict::WithinBound));
        assert_eq!(selection.left_out, ["c"]);
        let false_positives = assessment.disparity(Metric::FalsePositiveRate).unwrap();
        assert_eq!((false_positives.left_out.len(), false_positives.verdict), (3, Verdict::NotEnoughRows));
        assert_eq!(assessment.equalized_odds(), (None, None));
    }

    #[test]
    fn calibration_merging_and_many_groups() {
        let (mut all, mut parts) = (Groups::default(), [Groups::default(), Groups::default()]);
        for i in 0..1000_usize {
            let p = f64::from(u8::from(i % 2 == 0)) * 0.8 + 0.1;
            let truth = i % 10 < 4;
            all.observe("x", p > 0.5, Some(truth), Some(p));
            parts[i % 2].observe("x", p > 0.5, Some(truth), Some(p));
        }
        let [mut first, second] = parts;
        first.merge(&second);
        assert_eq!(first.by_name["x"].counts(Metric::Accuracy), all.by_name["x"].counts(Metric::Accuracy));
        // Predicted .9 and .1 in turn where .4 came true in both.
        let calibration = first.by_name["x"].calibration().unwrap();
        assert!((calibration.gap - 0.1).abs() < 1e-9 && (calibration.error - 0.4).abs() < 1e-9, "{calibration:?}");
        (0..2000).for_each(|i| all.observe(&i.to_string(), true, None, Some(f64::NAN)));
        assert_eq!(all.by_name.len(), MAX_GROUPS + 1);
        assert!(all.by_name[OTHER].rows() > 1000);
        assert_eq!(intersection(&["a", "b"]), "a & b");
    }
}
