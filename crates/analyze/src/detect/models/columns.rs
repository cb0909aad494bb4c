//! Each column of a version, then and now: how far apart, and both distributions in the same bins, to be drawn.
//!
//! A plain function for those who ask: rows go in, columns come out, nothing is kept and nothing is said. The distance
//! and its chance are those of the analysis (see `compare`), as are the rules that call an input broken (`quality`); so
//! a column is marked where one window of these very rows would count as drifted or broken.
//!
//! Shares and means count each row as often as its weight says. The distance and its chance count rows, as the
//! analysis does: a row that stands for ten is no ten witnesses.
//!
//! Bounds: [`ROWS_MAX`] rows of each side, taken evenly of more; 200 columns, of which inputs beyond are left out;
//! texts of 40 bytes. Cost: half a microsecond a row and column, most of it JSON and permutations: 15 ms at two times
//! 1,000 rows and 10 columns, 150 ms at 200. Fails on: what the analysis fails on; bins of equal width show little of a
//! column whose values span many powers of ten.

use std::collections::BTreeMap;

use math::drift_two_sample::ROWS_MIN;
use serde::Serialize;

use super::compare::{Pair, appeared, compare as compare_samples};
use super::events::{Prediction, hash};
use super::quality;
use super::sample::{Cell, Column as Cells, MAX_COLUMNS, Of, Sample, shown};
use crate::detect::words::{cut, percent, rounded};

/// Rows of each side that are read.
pub const ROWS_MAX: usize = 2000;
/// Bins of numbers, and texts that have one each.
const BINS: usize = 20;
const TEXTS: usize = 12;
/// Quartiles' distances from the quartiles beyond which a value lies in the tail (Tukey's "far out").
const FAR_OUT: f64 = 3.0;
/// Share of each tail beyond the ends.
const TAIL: f64 = 0.01;
/// Standard deviations from which the mean is what is said to have moved.
const MEAN_MOVED: f64 = 0.15;
/// Texts whose names are remembered, and bytes of one.
const NAMES_MAX: usize = 50_000;
const NAME_BYTES: usize = 40;

/// What texts beyond the most frequent ones are called together.
const OTHER: &str = "other";

const DISTANCE: &str = "Hellinger distance beyond chance";
const DISTANCE_MISSING: &str = "Hellinger distance beyond chance, of how often it is missing";

/// All columns of a version, those that drifted first, and what is to be said beside them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Compared {
    /// None where a side has no rows.
    pub columns: Vec<Column>,
    /// What is missing or was left out.
    pub warnings: Vec<String>,
}

/// One column, then and now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// An input's name, or a class's; `prediction` for the prediction.
    pub name: String,
    /// `input`, `prediction` or `probability`.
    pub of: &'static str,
    /// `number` or `text`.
    pub kind: &'static str,
    /// 0..=1, high = other than before; `None` where rows are too few or the reference is constant.
    pub distance: Option<f64>,
    /// What the distance is.
    pub measure: &'static str,
    /// Whether it drifted or is broken by the analysis' rules.
    pub drifted: bool,
    /// Of such a distance where nothing changed, corrected for all columns.
    pub chance: Option<f64>,
    /// How it differs, in words.
    pub effect: String,
    /// Shares of rows without a value.
    pub missing: Shares,
    /// Shares of the values that are there; they sum to one on each side that has some.
    pub bins: Vec<Bin>,
}

/// The same share on both sides, 0..=1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Shares {
    /// Then.
    pub reference: f64,
    /// Now.
    pub window: f64,
}

/// Some values, and how many rows have them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Which.
    #[serde(flatten)]
    pub values: Values,
    /// How many.
    #[serde(flatten)]
    pub shares: Shares,
}

/// What lies in a bin.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Values {
    /// Numbers from one up to another; the outer bins hold what lies beyond them too.
    Between {
        /// The least.
        from: f64,
        /// The same where the bin holds one number.
        to: f64,
    },
    /// One text.
    Text {
        /// As it was sent, or what it stands for.
        value: String,
    },
}

/// Compares the columns of rows in order of time. Each text is the attributes of a `prediction` event, all of one
/// version; `of_whom` names the version and fixes the permutations.
pub fn compare(reference: &[&str], window: &[&str], of_whom: &str) -> Compared {
    let mut names = Names::default();
    let (before, now) = (Side::read(reference, &mut names), Side::read(window, &mut names));
    let mut warnings = warnings(&before, &now);
    if before.weights.is_empty() || now.weights.is_empty() {
        return Compared { columns: Vec::new(), warnings };
    }
    let is_judged = before.weights.len().min(now.weights.len()) >= ROWS_MIN;
    let mut pairs = compare_samples(&before.sample, &now.sample, of_whom);
    let mut broken = broken(&pairs, &before, &now);
    let new = appeared(&before.sample, &now.sample).into_iter();
    pairs.extend(new.map(|column| Pair::new(column, &before)));
    let mut columns: Vec<(f64, Column)> = pairs
        .iter()
        .map(|pair| {
            let rule = broken.remove(&pair.title()).filter(|_| is_judged && pair.before.of == Of::Input);
            let drawn = Drawn { pair, before: &before.weights, now: &now.weights, names: &names };
            (pair.effect(), drawn.column(rule))
        })
        .collect();
    columns.sort_by(|(a_effect, a), (b_effect, b)| b.drifted.cmp(&a.drifted).then(b_effect.total_cmp(a_effect)));
    if columns.len() > MAX_COLUMNS {
        warnings.push(format!("{} more columns that differ less are left out", columns.len() - MAX_COLUMNS));
    }
    Compared { columns: columns.into_iter().map(|(_, column)| column).take(MAX_COLUMNS).collect(), warnings }
}

/// Rows as columns, with the weight of each.
struct Side {
    sample: Sample,
    weights: Vec<f64>,
    unreadable: usize,
    /// Whether all inputs of all rows had a place.
    is_whole: bool,
}

impl Side {
    fn read(texts: &[&str], names: &mut Names) -> Side {
        let rows = texts.len().min(ROWS_MAX);
        let sample = Sample::new(0, ROWS_MAX);
        let mut side = Side { sample, weights: Vec::new(), unreadable: 0, is_whole: true };
        for i in 0..rows {
            match serde_json::from_str::<Prediction>(texts[i * texts.len() / rows]) {
                Ok(row) => side.push(&row, names),
                Err(_) => side.unreadable += 1,
            }
        }
        side
    }

    fn push(&mut self, row: &Prediction, names: &mut Names) {
        let mut fields = super::fields(row, None);
        let surplus = fields.len().saturating_sub(MAX_COLUMNS);
        let inputs = row.inputs.len();
        fields.drain(inputs.saturating_sub(surplus)..inputs);
        fields.iter().for_each(|field| names.learn(field.of, field.name, field.cell, field.text));
        self.sample.push(self.weights.len() as i64, &fields);
        self.is_whole &= surplus == 0 && self.sample.head.left_out == 0;
        self.weights.push(row.weight.filter(|w| w.is_finite() && *w > 0.0).unwrap_or(1.0).min(1e9));
    }
}

fn warnings(before: &Side, now: &Side) -> Vec<String> {
    let mut warnings = Vec::new();
    for (side, what) in [(before, "the reference"), (now, "the window")] {
        let rows = side.weights.len();
        if rows < ROWS_MIN {
            let lack = ROWS_MIN - rows;
            warnings.push(format!("{what} has {rows} of the {ROWS_MIN} rows that a comparison needs: {lack} more"));
        }
        if side.unreadable > 0 {
            warnings.push(format!("{} rows of {what} could not be read and are left out", side.unreadable));
        }
    }
    if !before.is_whole || !now.is_whole {
        warnings.push(format!("only the first {MAX_COLUMNS} columns in order of their names are compared"));
    }
    warnings
}

/// Texts by column and cell, for those that a sample did not keep.
#[derive(Default)]
struct Names(BTreeMap<(Of, u64, Cell), String>);

impl Names {
    fn learn(&mut self, of: Of, column: &str, cell: Cell, text: Option<&str>) {
        if let Some(text) = text
            && self.0.len() < NAMES_MAX
        {
            let whole = |name: String| if text.len() > NAME_BYTES { name + "…" } else { name };
            self.0.entry((of, hash(&[column]), cell)).or_insert_with(|| whole(shown(text)));
        }
    }

    fn of(&self, column: &Cells, cell: Cell) -> Option<String> {
        match cell.as_number() {
            Some(number) => Some((number as f32).to_string()),
            None if cell == Cell::OTHER => Some("a list or an object".into()),
            None => self.0.get(&(column.of, hash(&[column.name]), cell)).cloned(),
        }
    }
}

/// What the rules of the analysis say is broken, by the input's title and without it.
fn broken(pairs: &[Pair], before: &Side, now: &Side) -> BTreeMap<String, String> {
    let issues = quality::issues(pairs, &before.sample, &now.sample).into_iter();
    let rest = |issue: quality::Issue| {
        let text = issue.text.strip_prefix(&issue.column).unwrap_or(&issue.text).trim_start().to_owned();
        (issue.column, text)
    };
    issues.map(rest).collect()
}

impl<'a> Pair<'a> {
    /// A column that was not there before.
    fn new(now: Cells<'a>, before: &Side) -> Pair<'a> {
        let before = now.gone(before.weights.len());
        Pair { before, now, values: None, missing: None, p: 1.0, p_missing: 1.0 }
    }
}

/// A pair with what it takes to draw it.
struct Drawn<'a> {
    pair: &'a Pair<'a>,
    /// Weights of rows.
    before: &'a [f64],
    now: &'a [f64],
    names: &'a Names,
}

impl Drawn<'_> {
    fn column(&self, rule: Option<String>) -> Column {
        let Pair { before, now, .. } = self.pair;
        let is_number = if before.present().is_empty() { now.is_of_numbers() } else { before.is_of_numbers() };
        let missing = Shares { reference: lack(before, self.before), window: lack(now, self.now) };
        let numbers = [numbers(before, self.before), numbers(now, self.now)];
        let mut bins = if is_number { self.bins_of_numbers(&numbers) } else { self.bins_of_texts() };
        let has_drifted = self.pair.has_drifted();
        let effect = match (&rule, is_number) {
            (Some(rule), _) if !has_drifted => rule.clone(),
            (rule, true) => joined(numbers_moved(&numbers, has_drifted), rule),
            (rule, false) => joined(text_moved(&bins), rule),
        };
        bins.iter_mut().for_each(|bin| bin.shares = bin.shares.short());
        let of_missing = !has_drifted && self.pair.lacks_more();
        let (judged, chance) = match of_missing {
            true => (self.pair.missing, self.pair.p_missing),
            false => (self.pair.values, self.pair.p),
        };
        Column {
            name: if before.of == Of::Prediction { "prediction".into() } else { readable(before.name) },
            of: match before.of {
                Of::Input => "input",
                Of::Prediction => "prediction",
                Of::Probability | Of::Certainty => "probability",
            },
            kind: if is_number { "number" } else { "text" },
            distance: judged.map(|c| short(c.effect)),
            measure: if of_missing { DISTANCE_MISSING } else { DISTANCE },
            drifted: has_drifted || rule.is_some(),
            chance: judged.map(|_| rounded(chance, 2).parse().unwrap_or(1.0)),
            effect,
            missing,
            bins,
        }
    }

    fn bins_of_numbers(&self, [before, now]: &[Weighted; 2]) -> Vec<Bin> {
        let edges = Edges::of(before, now);
        let mut counts = vec![Shares::default(); edges.count()];
        before.iter().for_each(|(value, weight)| counts[edges.bin(*value)].reference += weight);
        now.iter().for_each(|(value, weight)| counts[edges.bin(*value)].window += weight);
        let mut bins: Vec<Bin> =
            (0..edges.count()).map(|i| Bin { values: edges.values(i), shares: counts[i] }).collect();
        let others = |column: &Cells, weights: &[f64]| -> f64 {
            let is_other = |cell: &Cell| !cell.is_missing() && cell.as_number().is_none();
            column.cells.iter().zip(weights).filter(|(cell, _)| is_other(cell)).map(|(_, weight)| weight).sum()
        };
        let shares =
            Shares { reference: others(&self.pair.before, self.before), window: others(&self.pair.now, self.now) };
        if shares != Shares::default() {
            bins.push(Bin { values: Values::Text { value: "no number".into() }, shares });
        }
        shared(bins)
    }

    /// The most frequent texts, and all others as one.
    fn bins_of_texts(&self) -> Vec<Bin> {
        let mut counts: BTreeMap<Cell, Shares> = BTreeMap::new();
        let Pair { before, now, .. } = self.pair;
        let there = |(cell, _): &(&Cell, &f64)| !cell.is_missing();
        let rows = before.cells.iter().zip(self.before).filter(there);
        rows.for_each(|(cell, weight)| counts.entry(*cell).or_default().reference += weight);
        let rows = now.cells.iter().zip(self.now).filter(there);
        rows.for_each(|(cell, weight)| counts.entry(*cell).or_default().window += weight);
        let name = |(cell, shares)| (self.names.of(before, cell), shares);
        let bins = counts.into_iter().map(name).map(|(name, shares)| {
            let value = name.unwrap_or_default();
            Bin { values: Values::Text { value }, shares }
        });
        let mut bins = shared(bins.collect());
        bins.sort_by(|a, b| b.shares.sum().total_cmp(&a.shares.sum()).then_with(|| a.name().cmp(b.name())));
        let is_named = |bin: &Bin| !bin.name().is_empty();
        let (mut named, mut rest): (Vec<Bin>, Vec<Bin>) = bins.into_iter().partition(is_named);
        rest.extend(named.drain(TEXTS.min(named.len())..));
        if !rest.is_empty() {
            let sum = |of: fn(&Shares) -> f64| rest.iter().map(|bin| of(&bin.shares)).sum();
            let shares = Shares { reference: sum(|s| s.reference), window: sum(|s| s.window) };
            named.push(Bin { values: Values::Text { value: OTHER.into() }, shares });
        }
        named
    }
}

/// Numbers with their weights, the least first.
type Weighted = Vec<(f64, f64)>;

fn numbers(column: &Cells, weights: &[f64]) -> Weighted {
    let rows = column.cells.iter().zip(weights);
    let mut numbers: Weighted = rows.filter_map(|(cell, weight)| Some((cell.as_number()?, *weight))).collect();
    numbers.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    numbers
}

fn numbers_moved([before, now]: &[Weighted; 2], has_drifted: bool) -> String {
    match (moments(before), moments(now)) {
        (None, None) => "no values".into(),
        (Some(_), None) => "no values any more".into(),
        (None, Some((mean, _))) => format!("mean {}, no values before", rounded(mean, 3)),
        (Some((was, deviation)), Some((is, _))) => {
            let has_moved = (is - was).abs() >= MEAN_MOVED * deviation;
            if has_moved || !has_drifted {
                return format!("mean {} (was {})", rounded(is, 3), rounded(was, 3));
            }
            let nine = |of: &Weighted| [0.05, 0.95].map(|share| rounded(quantile(of, share), 3));
            let ([low, high], [was_low, was_high]) = (nine(now), nine(before));
            format!("nine in ten lie in {low} to {high} (were in {was_low} to {was_high})")
        }
    }
}

impl Shares {
    fn sum(&self) -> f64 {
        self.reference + self.window
    }

    fn short(&self) -> Shares {
        Shares { reference: short(self.reference), window: short(self.window) }
    }
}

impl Bin {
    fn name(&self) -> &str {
        if let Values::Text { value } = &self.values { value } else { "" }
    }
}

/// Where the bins of numbers begin and end.
enum Edges {
    /// One number each.
    Each(Vec<f64>),
    /// Of one width.
    Even { low: f64, width: f64, count: usize },
}

impl Edges {
    fn of(before: &Weighted, now: &Weighted) -> Edges {
        let mut all: Vec<f64> = before.iter().chain(now).map(|(value, _)| *value).collect();
        all.sort_unstable_by(f64::total_cmp);
        // -0 is 0.
        all.dedup_by(|a, b| a == b);
        let (Some(least), Some(most)) = (all.first().copied(), all.last().copied()) else {
            return Edges::Each(Vec::new());
        };
        let is_whole = all.iter().all(|v| v.fract() == 0.0);
        if is_whole && most - least < BINS as f64 {
            let numbers = (most - least) as usize + 1;
            return Edges::Each((0..numbers).map(|i| least + i as f64).collect());
        }
        if is_whole && all.len() <= BINS || all.len() == 1 {
            return Edges::Each(all);
        }
        let ends = [before, now].into_iter().filter(|side| !side.is_empty()).map(ends);
        let ends = ends.reduce(|(low, high), (l, h)| (low.min(l), high.max(h))).unwrap_or((least, most));
        let (low, high) = if ends.0 < ends.1 { ends } else { (least, most) };
        let width = (high - low) / BINS as f64;
        let width = if is_whole { width.ceil() } else { width };
        let count = ((high - low) / width).ceil().clamp(1.0, BINS as f64);
        Edges::Even { low, width, count: count as usize }
    }

    fn count(&self) -> usize {
        match self {
            Edges::Each(numbers) => numbers.len(),
            Edges::Even { count, .. } => *count,
        }
    }

    fn bin(&self, value: f64) -> usize {
        match self {
            Edges::Each(numbers) => numbers.partition_point(|n| *n < value),
            Edges::Even { low, width, count } => (((value - low) / width).max(0.0) as usize).min(count - 1),
        }
    }

    fn values(&self, i: usize) -> Values {
        // Numbers are kept as `f32`, whose shortest decimals are those that were sent.
        let plain = |v: f64| (v as f32).to_string().parse().unwrap_or(v) + 0.0;
        match self {
            Edges::Each(numbers) => Values::Between { from: plain(numbers[i]), to: plain(numbers[i]) },
            Edges::Even { low, width, .. } => {
                let [from, to] = [i, i + 1].map(|i| tidy_by(low + i as f64 * width, *width));
                Values::Between { from, to }
            }
        }
    }
}

/// An edge with the digits that a bin's width can show.
fn tidy_by(edge: f64, width: f64) -> f64 {
    let step = 10_f64.powf((width.log10() - 2.0).floor());
    let edge = if step.is_normal() { (edge / step).round() * step } else { edge };
    rounded(edge, 9).parse().unwrap_or(edge) + 0.0
}

/// Between which nearly all values of a side lie.
fn ends(side: &Weighted) -> (f64, f64) {
    let [low, first, third, high] = [TAIL, 0.25, 0.75, 1.0 - TAIL].map(|share| quantile(side, share));
    let far = FAR_OUT * (third - first);
    if far > 0.0 { (low.max(first - far), high.min(third + far)) } else { (low, high) }
}

/// The value below which a share of the weight lies.
fn quantile(side: &Weighted, share: f64) -> f64 {
    let mut left = share * side.iter().map(|(_, weight)| weight).sum::<f64>();
    let reached = side.iter().find(|(_, weight)| {
        left -= weight;
        left <= 0.0
    });
    reached.or(side.last()).map_or(0.0, |(value, _)| *value)
}

/// Mean and standard deviation; `None` without values.
fn moments(side: &Weighted) -> Option<(f64, f64)> {
    let weight: f64 = side.iter().map(|(_, weight)| weight).sum();
    let mean = side.iter().map(|(value, of)| value * of).sum::<f64>() / weight;
    let square = side.iter().map(|(value, of)| (value - mean).powi(2) * of).sum::<f64>() / weight;
    (weight > 0.0).then_some((mean, square.sqrt()))
}

/// The share of rows without a value.
fn lack(column: &Cells, weights: &[f64]) -> f64 {
    let rows = column.cells.iter().zip(weights);
    let lacking: f64 = rows.filter(|(cell, _)| cell.is_missing()).map(|(_, weight)| weight).sum();
    short(lacking / weights.iter().sum::<f64>().max(f64::MIN_POSITIVE))
}

/// Weights in bins as shares of all that is there.
fn shared(mut bins: Vec<Bin>) -> Vec<Bin> {
    let all = bins.iter().fold(Shares::default(), |all, bin| Shares {
        reference: all.reference + bin.shares.reference,
        window: all.window + bin.shares.window,
    });
    let of = |weight: f64, all: f64| if all > 0.0 { weight / all } else { 0.0 };
    for Bin { shares, .. } in &mut bins {
        *shares = Shares { reference: of(shares.reference, all.reference), window: of(shares.window, all.window) };
    }
    bins
}

/// The text whose share moved most.
fn text_moved(bins: &[Bin]) -> String {
    let moved = |bin: &Bin| (bin.shares.window - bin.shares.reference).abs();
    let named = bins.iter().filter(|bin| bin.name() != OTHER || bins.len() == 1);
    let Some(most) = named.reduce(|a, b| if moved(b) > moved(a) { b } else { a }) else {
        return "no values".into();
    };
    let Shares { reference, window } = most.shares;
    let was = if bins.iter().any(|bin| bin.shares.reference > 0.0) { percent(reference) } else { "not there".into() };
    format!("{} in {} of rows (was {was})", most.name(), percent(window))
}

fn joined(moved: String, rule: &Option<String>) -> String {
    rule.as_ref().map_or(moved.clone(), |rule| format!("{moved}; {rule}"))
}

/// A name without control characters, as long as columns keep it.
fn readable(name: &str) -> String {
    cut(name, 2 * NAME_BYTES).chars().map(|c| if c.is_control() { '_' } else { c }).collect()
}

/// Four decimals: more than can be seen. A sum of nothing is -0, which reads badly.
fn short(share: f64) -> f64 {
    (share * 1e4).round() / 1e4 + 0.0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn row(i: usize, inputs: Value) -> String {
        json!({"id": i, "version": 1, "inputs": inputs, "prediction": (["no", "yes"][i % 2])}).to_string()
    }

    fn rows(count: usize, inputs: impl Fn(usize) -> Value) -> Vec<String> {
        (0..count).map(|i| row(i, inputs(i))).collect()
    }

    fn compared(reference: &[String], window: &[String]) -> Compared {
        let texts = |rows: &[String]| -> Vec<&'static str> { rows.iter().map(|r| &*r.clone().leak()).collect() };
        let said = compare(&texts(reference), &texts(window), "default model:default/iris 1");
        for column in &said.columns {
            assert!(column.bins.len() <= BINS + 1, "{column:?}");
            let sum = |of: fn(&Shares) -> f64| column.bins.iter().map(|bin| of(&bin.shares)).sum::<f64>();
            for (sum, lack) in
                [(sum(|s| s.reference), column.missing.reference), (sum(|s| s.window), column.missing.window)]
            {
                assert!((sum - 1.0).abs() < 3e-3 || sum == 0.0 && lack > 0.99, "{column:?}");
            }
            assert!(column.chance.is_none_or(|p| (0.0..=1.0).contains(&p)) && !column.effect.is_empty());
        }
        assert!(said.columns.is_sorted_by_key(|c| !c.drifted) && said.columns.len() <= MAX_COLUMNS);
        said
    }

    fn column<'a>(said: &'a Compared, name: &str) -> &'a Column {
        said.columns.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("{said:#?}"))
    }

    /// Evenly in 0..1, of whole numbers without a pattern.
    fn even(i: usize) -> f64 {
        (hash(&[&i.to_string()]) % 10_007) as f64 / 10_007.0
    }

    #[test]
    fn what_drifted_comes_first_in_words_numbers_and_bins_of_both() {
        let at = |moved: f64, reds: usize| move |i: usize| json!({"age": 40.0 + moved + 20.0 * even(i), "calm": even(i + 7), "hue": if i % 10 < reds { "red" } else { "blue" }});
        let said = compared(&rows(1000, at(0.0, 5)), &rows(500, at(8.0, 1)));
        let names: Vec<&str> = said.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!((names, said.warnings.len()), (vec!["age", "hue", "calm", "prediction"], 0));
        let [age, hue, calm, answer] = &said.columns[..] else { panic!() };
        assert!(age.drifted && age.effect == "mean 58.2 (was 50.1)" && age.chance.unwrap() < 1e-6, "{age:?}");
        assert!(hue.drifted && hue.effect == "blue in 90 % of rows (was 50 %)" && hue.measure == DISTANCE, "{hue:?}");
        assert!(!calm.drifted && calm.distance.unwrap() < 0.05 && calm.effect.starts_with("mean 0.5"), "{calm:?}");
        assert_eq!((answer.of, answer.kind, calm.kind, calm.bins.len()), ("prediction", "text", "number", BINS));
        assert_eq!(hue.bins[0].shares, Shares { reference: 0.5, window: 0.9 });
        let said = serde_json::to_value(hue).unwrap();
        assert_eq!(said["bins"][1], json!({"value": "red", "reference": 0.5, "window": 0.1}));
        assert_eq!(said["missing"], json!({"reference": 0.0, "window": 0.0}));
        let keys: Vec<&String> = said.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            ["bins", "chance", "distance", "drifted", "effect", "kind", "measure", "missing", "name", "of"]
        );
    }

    #[test]
    fn bins_are_even_between_robust_ends_with_the_tails_in_the_outer_ones() {
        let values = |i: usize| if i == 3 { json!(1e9) } else { json!(even(i) * 100.0) };
        let said = compared(&rows(1000, |i| json!({"a": values(i)})), &rows(500, |i| json!({"a": even(i) * 100.0})));
        let bins = &column(&said, "a").bins;
        let Values::Between { from, to } = bins[BINS - 1].values.clone() else { panic!() };
        assert!(from < to && (95.0..101.0).contains(&to) && bins[BINS - 1].shares.reference > 0.05, "{bins:?}");
        let width = |bin: &Bin| if let Values::Between { from, to } = bin.values { to - from } else { 0.0 };
        assert!(bins.iter().all(|bin| (width(bin) - width(&bins[0])).abs() < 0.02), "{bins:?}");
    }

    #[test]
    fn whole_numbers_have_bins_of_whole_numbers() {
        let bins = |of: fn(usize) -> i64| {
            let rows = rows(400, |i| json!({"a": of(i)}));
            column(&compared(&rows, &rows), "a").bins.clone()
        };
        let ends = |bin: &Bin| if let Values::Between { from, to } = bin.values { (from, to) } else { (0.0, 0.0) };
        assert_eq!(
            bins(|i| [0, 1, 3][i % 3]).iter().map(ends).collect::<Vec<_>>(),
            [(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]
        );
        assert_eq!(
            bins(|i| [1, 100, 10_000][i % 3]).iter().map(ends).collect::<Vec<_>>(),
            [(1.0, 1.0), (100.0, 100.0), (1e4, 1e4)]
        );
        let wide = bins(|i| (i % 50) as i64);
        assert_eq!((ends(&wide[0]), ends(&wide[1])), ((0.0, 3.0), (3.0, 6.0)));
        assert_eq!(bins(|_| 7).iter().map(ends).collect::<Vec<_>>(), [(7.0, 7.0)]);
    }

    #[test]
    fn twelve_texts_are_named_and_the_others_are_one_bin() {
        let text = |i: usize| format!("v{:02}", (even(i) * even(i + 9_000) * 60.0) as usize);
        let said = compared(&rows(1500, |i| json!({"a": text(i)})), &rows(1500, |i| json!({"a": text(i + 2_000)})));
        let bins = &column(&said, "a").bins;
        assert_eq!((bins.len(), bins[TEXTS].name(), bins[0].name()), (TEXTS + 1, "other", "v00"));
        assert!(bins[..TEXTS].is_sorted_by(|a, b| a.shares.sum() >= b.shares.sum()) && bins[TEXTS].shares.window > 0.1);
        // A text that comes late is named as well, and a long one is cut.
        let late = |i: usize| if i < 100 { format!("rare {i}") } else { "é".repeat(60) };
        let said = compared(&rows(1000, |i| json!({"a": late(i)})), &rows(1000, |i| json!({"a": late(i)})));
        assert_eq!(column(&said, "a").bins[0].name(), format!("{}…", "é".repeat(20)));
    }

    #[test]
    fn what_is_broken_is_said_by_the_rules_of_the_analysis() {
        let before =
            rows(600, |i| json!({"gone": even(i), "less": even(i), "still": even(i), "one": "x", "type": even(i)}));
        let now = rows(300, |i| {
            let less = if i % 2 == 0 { Value::Null } else { json!(even(i)) };
            let kind = if i % 2 == 0 { json!("text") } else { json!(even(i)) };
            json!({"less": less, "still": 0.5, "one": (["x", "y"][i % 2]), "type": kind, "new": i % 3})
        });
        let said = compared(&before, &now);
        let effect = |name: &str| column(&said, name).effect.as_str();
        assert_eq!(effect("gone"), "is not there any more");
        assert_eq!(effect("less"), "is missing in 50 % of rows (was 0 %)");
        assert_eq!(effect("one"), "was always x and is another in 50 % of rows");
        assert_eq!(effect("new"), "is there in 100 % of rows and was not before");
        assert_eq!(effect("type"), "is other than a number in 50 % of rows, where numbers were usual");
        assert!(effect("still").ends_with("is always 0.5 (was in 0 % of rows)"), "{}", effect("still"));
        assert!(["gone", "less", "one", "new", "type", "still"].iter().all(|name| column(&said, name).drifted));
        let less = column(&said, "less");
        assert_eq!((less.missing.window, less.measure), (0.5, DISTANCE_MISSING));
        let kinds = column(&said, "type");
        assert_eq!((kinds.kind, kinds.bins.last().unwrap().name()), ("number", "no number"));
        assert_eq!(column(&said, "new").missing, Shares { reference: 1.0, window: 0.0 });
    }

    #[test]
    fn weights_count_in_shares_and_means_and_make_no_witnesses() {
        let weighted = |i: usize, weight: Value| {
            json!({"id": i, "inputs": {"a": i % 2, "b": if i % 2 == 1 { json!(1) } else { Value::Null }}, "weight": weight}).to_string()
        };
        let before: Vec<String> = (0..400).map(|i| weighted(i, Value::Null)).collect();
        let now: Vec<String> = (0..400).map(|i| weighted(i, json!(if i % 2 == 0 { 1 } else { 3 }))).collect();
        let said = compared(&before, &now);
        let (a, b) = (column(&said, "a"), column(&said, "b"));
        assert_eq!(a.bins[1].shares, Shares { reference: 0.5, window: 0.75 });
        assert_eq!((a.effect.as_str(), a.drifted, b.missing.window), ("mean 0.75 (was 0.5)", false, 0.25));
        let odd = [json!(-1), json!(0), json!(1e300), json!(1)];
        let odd: Vec<String> = (0..80).map(|i| weighted(i, odd[i % 4].clone())).collect();
        assert!(compared(&odd, &odd).columns.iter().all(|c| !c.drifted));
    }

    #[test]
    fn too_little_is_shown_and_not_judged() {
        assert_eq!(compared(&[], &[]).columns, []);
        let some = rows(12, |i| json!({"a": i}));
        let many = rows(100, |i| json!({"a": i, "b": null}));
        let said = compared(&many, &some);
        assert_eq!(said.warnings, ["the window has 12 of the 30 rows that a comparison needs: 18 more"]);
        assert!(said.columns.iter().all(|c| !c.drifted && c.distance.is_none() && c.chance.is_none()), "{said:#?}");
        assert!(compared(&many, &[]).columns.is_empty() && compared(&[], &many).columns.is_empty());
        let nothing = column(&said, "b");
        assert_eq!((nothing.effect.as_str(), nothing.missing.reference, nothing.bins.len()), ("no values", 1.0, 0));
    }

    #[test]
    fn hostile_rows_are_no_trouble() {
        let broken =
            ["", "{}", "[1]", "{\"id\":1e999}", "{\"id\":1,\"inputs\":{\"a\":NaN}}", "\u{0}"].map(str::to_owned);
        let said = compared(&broken, &broken);
        assert_eq!((said.columns.len(), said.warnings.len()), (0, 4), "{said:?}");
        let odd = |i: usize| {
            let big = [json!(1e308), json!(-1e308), json!(5e-324), json!("NaN"), json!(-0.0), json!([1, {"a": 2}])];
            let name = format!("{}\n{i}", "<img src=x>".repeat(20));
            json!({"a": big[i % 6], "b": [i], name: i, "": "", "c": "\u{202e}\n".repeat(3 + i), "d": i64::MAX})
        };
        let said = compared(&rows(60, odd), &rows(300, odd));
        assert!(said.columns.iter().all(|c| c.name.len() <= 2 * NAME_BYTES && !c.name.contains('\n')), "{said:#?}");
        let text = serde_json::to_string(&said).unwrap();
        assert!(!text.contains("null,\"to\"") && !text.contains("\"from\":null"), "{text}");
        assert_eq!(column(&said, "b").bins[0].name(), "a list or an object");
    }

    #[test]
    fn columns_are_bounded_and_the_answer_is_kept() {
        let wide = |i: usize| Value::Object((0..300).map(|c| (format!("c{c:03}"), json!(even(i * 300 + c)))).collect());
        let said = compared(&rows(60, wide), &rows(60, wide));
        assert_eq!(said.columns.len(), MAX_COLUMNS);
        assert_eq!(said.warnings, ["only the first 200 columns in order of their names are compared"]);
        column(&said, "prediction");
        let others =
            |i: usize| Value::Object((0..150).map(|c| (format!("d{c:03}"), json!(even(i * 300 + c)))).collect());
        let said = compared(&rows(60, wide), &rows(60, others));
        assert_eq!((said.columns.len(), said.warnings.len()), (MAX_COLUMNS, 2));
        // More rows than are read are taken evenly.
        let many = compared(&rows(9000, |i| json!({"a": i})), &rows(9000, |i| json!({"a": i})));
        let a = column(&many, "a");
        assert!(
            a.effect.starts_with("mean 4") && a.bins.iter().all(|bin| (0.03..0.07).contains(&bin.shares.window)),
            "{a:?}"
        );
    }

    #[test]
    fn a_row_and_column_costs_microseconds() {
        for columns in [10, 200] {
            let wide = |i: usize| {
                let value = |c: usize| {
                    if c % 4 == 3 { json!(["bern", "rome", "oslo"][(i + c) % 3]) } else { json!(even(i * 300 + c)) }
                };
                Value::Object((0..columns - 1).map(|c| (format!("c{c:03}"), value(c))).collect())
            };
            let (before, now) = (rows(1000, wide), rows(1000, wide));
            let texts = |rows: &'static [String]| -> Vec<&'static str> { rows.iter().map(String::as_str).collect() };
            let (before, now) = (texts(before.leak()), texts(now.leak()));
            let start = cpu_time::ThreadTime::now();
            compare(&before, &now, "");
            let micros = start.elapsed().as_secs_f64() * 1e6 / (2000 * columns) as f64;
            println!("{columns} columns: {micros:.2} µs a row and column");
            assert!(micros < 20.0, "{micros}");
        }
    }
}
