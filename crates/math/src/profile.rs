//! What a table usually holds, and what of a new part of it is otherwise: quality of data.
//!
//! Idea: reference and window are summed up in the same bounded state, column by column, and two such states are held
//! against each other. Each check says what was expected and what was found, how far apart that is, and how likely
//! chance makes it so. It fails only where both speak: the effect is larger than a bound (so that a million rows do not
//! alarm for a trifle) and the chance is small after a correction for the number of checks (so that thirty rows do not
//! alarm for noise). Where rows are too few it says so instead of passing.
//!
//! Chances: shares of missing, infinite, zero and broken values and of new categories by the beta-binomial of
//! [`crate::counts`], which knows that the reference is itself a sample; values outside the range of `n` reference values
//! exactly, since of `m` new ones the number outside is beta-binomial with (2, n - 1) whatever the distribution
//! (Wilks 1941); a category never seen by the share of categories seen once (Good 1953).
//!
//! Cost: some 100 ns a value, of which most is hashing; at most some 100 kB a column. Merging two states gives that of
//! both. Fails on: rows that depend on one another (a reference that is one hour of a day); shifts within the range,
//! which are for the detectors of drift; values next to the end of the range, which count as inside where they share a
//! part of the histogram with it (12.5 % of the value).
//!
//! Source of the kinds of checks: Schelter et al., "Automating large-scale data quality verification", VLDB 2018.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{categories::hash_of, counts::beta_binomial_upper, log_histogram::LogHistogram, shares::normal_surprise};

/// Categories of a column whose counts are kept. One more, and the column takes any text.
pub const MAX_CATEGORIES: usize = 256;
/// Bytes of a category that are kept.
const MAX_CATEGORY_BYTES: usize = 128;
/// Hashes kept to tell distinct values and repeated rows.
const MAX_HASHES: usize = 1024;
/// Columns of a table at most; further ones are not looked at.
pub const MAX_COLUMNS: usize = 1024;
/// -log10 of a chance that is certain, as of a column that is not there.
const CERTAIN: f64 = 300.0;

/// Values of a column; `None` is missing.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Numbers; NaN and infinite ones are there but broken.
    Numbers(&'a [Option<f64>]),
    /// Text.
    Texts(&'a [Option<&'a str>]),
}

/// A table summed up. Plain data, bounded, mergeable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Columns, in order of first sight.
    pub columns: Vec<Column>,
    /// Rows seen.
    pub rows: u64,
    /// Whole rows, by hash.
    pub repeats: Hashes,
    /// Sizes of the parts that were taken in, as `ln(1 + rows)`.
    pub volumes: Moments,
}

/// A column summed up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Rows, missing values too.
    pub rows: u64,
    /// Values that are not there.
    pub missing: u64,
    /// Its numbers.
    pub numbers: Numbers,
    /// Its texts.
    pub texts: Texts,
    /// Different values, by hash.
    pub distinct: Hashes,
}

/// Numbers summed up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// NaN and infinite ones.
    pub broken: u64,
    /// Zeros.
    pub zeros: u64,
    /// Whole numbers.
    pub whole: u64,
    /// Least and greatest finite one.
    pub range: Option<(f64, f64)>,
    /// Mean and deviation of the finite ones.
    pub moments: Moments,
    /// How many lie in which part, an eighth of an octave wide; rising as the values do.
    pub parts: BTreeMap<i16, u64>,
}

/// Texts summed up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Texts {
    /// How many there are.
    pub count: u64,
    /// Counts by category; empty where there are too many.
    pub categories: BTreeMap<String, u64>,
    /// Whether there are too many categories.
    pub is_open: bool,
    /// Lengths in bytes.
    pub lengths: LogHistogram,
    /// Shortest and longest, bytes.
    pub length_range: Option<(u64, u64)>,
}

/// Count, mean and sum of squared deviations (Welford 1962, merged as Chan, Golub and LeVeque 1979).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// Values.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Sum of the squares of what they are off the mean.
    pub squares: f64,
}

/// The smallest hashes of a stream with how often each came: a sample of the different values, from which their number
/// is told (Bar-Yossef et al. 2002; off by some 3 % with 1,024, exact below that).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hashes {
    /// Times by hash.
    pub counts: BTreeMap<u64, u64>,
    /// Whether larger hashes were dropped.
    pub is_sample: bool,
}

/// What is enough, and what is a lot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Rows of the reference from which on it is one; 100.
    pub reference_rows_min: u64,
    /// Rows of the window from which on shares are judged; 30.
    pub window_rows_min: u64,
    /// Parts of the reference from which on their size is usual; 10.
    pub volumes_min: u64,
    /// Change of a share (0..=1) that is let pass; 0.02: two rows in a hundred.
    pub share_change_max: f64,
    /// Share of values outside the range, of another type or of new categories that is let pass; 0.002.
    pub odd_share_max: f64,
    /// Quotient of sizes that is let pass to either side; 1.5.
    pub volume_ratio_max: f64,
    /// -log10 of the chance of any false failure of a whole table; 3.
    pub surprise_min: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            reference_rows_min: 100,
            window_rows_min: 30,
            volumes_min: 10,
            share_change_max: 0.02,
            odd_share_max: 0.002,
            volume_ratio_max: 1.5,
            surprise_min: 3.0,
        }
    }
}

/// What was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A column of the reference is not there (expected 1, observed 0).
    ColumnMissing,
    /// A column is there that the reference does not have (expected 0, observed 1).
    ColumnNew,
    /// Columns stand in another order; expected and observed are a column's places.
    ColumnOrder,
    /// Share of values that are text where numbers are usual, or the other way round.
    Type,
    /// Share of missing values.
    Missing,
    /// Share of NaN and infinite numbers.
    Broken,
    /// Share of zeros.
    Zeros,
    /// Share of numbers with a fraction where all were whole.
    Fractions,
    /// Share of numbers outside the reference's range.
    Range,
    /// Share of texts longer than the reference's longest.
    Length,
    /// Share of values in categories that the reference does not have.
    Categories,
    /// Different values: one, where there were several.
    Constant,
    /// Share of rows that are there already.
    Duplicates,
    /// Rows of the window.
    Volume,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As usual.
    Passed,
    /// Too far off, and not by chance.
    Failed,
    /// Too few rows to say.
    NotEnoughData,
}

/// A check and its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The column; empty for the whole table.
    pub column: String,
    /// What was checked.
    pub kind: Kind,
    /// What the reference has.
    pub expected: f64,
    /// What the window has.
    pub observed: f64,
    /// -log10 of the chance of so much by chance, 0..=300, before correction for the number of checks.
    pub surprise: f64,
    /// How it ended.
    pub verdict: Verdict,
    /// What is not in the reference, by name; at most ten.
    pub examples: Vec<String>,
}

/// What a window is, held against a reference: all checks, in order of the reference's columns.
pub fn check(reference: &Profile, window: &Profile, settings: &Settings) -> Vec<Check> {
    let mut made = Made { settings, checks: schema(reference, window) };
    made.volume(reference, window);
    let is_enough = made.is_enough(reference.rows, window.rows);
    made.share("", Kind::Duplicates, reference.repeats.repeated(), window.repeats.repeated(), is_enough);
    for column in &reference.columns {
        if let Some(found) = window.column(&column.name) {
            made.column(column, found);
        }
    }
    made.judged()
}

impl Profile {
    /// Takes in a part of a table: columns of one length, by name. Rows beyond the shortest column do not count.
    pub fn observe(&mut self, columns: &[(&str, Values<'_>)]) {
        let columns = &columns[..columns.len().min(MAX_COLUMNS)];
        let rows = columns.iter().map(|(_, values)| values.len()).min().unwrap_or(0);
        let mut of_rows = vec![0_u64; rows];
        for (name, values) in columns {
            self.column_mut(name).observe(values, &mut of_rows);
        }
        of_rows.iter().for_each(|hash| self.repeats.observe(spread(*hash), 1));
        self.rows += rows as u64;
        self.volumes.observe((rows as f64).ln_1p());
    }

    /// Takes in what another has seen.
    pub fn merge(&mut self, other: &Profile) {
        for column in &other.columns {
            self.column_mut(&column.name).merge(column);
        }
        self.rows += other.rows;
        self.repeats.merge(&other.repeats);
        self.volumes.merge(&other.volumes);
    }

    /// A column by name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    fn column_mut(&mut self, name: &str) -> &mut Column {
        let found = self.columns.iter().position(|column| column.name == name);
        let at = found.unwrap_or_else(|| {
            self.columns.push(Column { name: name.to_owned(), ..Column::default() });
            self.columns.len() - 1
        });
        &mut self.columns[at]
    }
}

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Values::Numbers(values) => values.len(),
            Values::Texts(values) => values.len(),
        }
    }
}

impl Column {
    fn observe(&mut self, values: &Values<'_>, of_rows: &mut [u64]) {
        for (at, of_row) in of_rows.iter_mut().enumerate() {
            let hash = match values {
                Values::Numbers(values) => values[at].map(|value| self.numbers.observe(value)),
                Values::Texts(values) => values[at].map(|text| self.texts.observe(text)),
            };
            self.rows += 1;
            match hash {
                Some(hash) => self.distinct.observe(hash, 1),
                None => self.missing += 1,
            }
            *of_row = of_row.rotate_left(5).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash.unwrap_or(0x55);
        }
    }

    fn merge(&mut self, other: &Column) {
        self.rows += other.rows;
        self.missing += other.missing;
        self.numbers.merge(&other.numbers);
        self.texts.merge(&other.texts);
        self.distinct.merge(&other.distinct);
    }

    /// Numbers, broken ones too.
    fn number_count(&self) -> u64 {
        self.numbers.moments.count + self.numbers.broken
    }

    fn present(&self) -> u64 {
        self.rows - self.missing
    }

    /// The greatest share that one value may have among those present: of a category or of a part of the histogram.
    fn commonest_share(&self) -> f64 {
        let of_texts = self.texts.categories.values().max().copied().unwrap_or(u64::from(self.texts.count > 0));
        let of_numbers = self.numbers.parts.values().max().copied().unwrap_or(0);
        (of_texts.max(of_numbers) as f64 + 1.0) / (self.present() as f64 + 2.0)
    }
}

impl Numbers {
    fn observe(&mut self, value: f64) -> u64 {
        if value.is_finite() {
            self.zeros += u64::from(value == 0.0);
            self.whole += u64::from(value.fract() == 0.0);
            let (low, high) = self.range.unwrap_or((value, value));
            self.range = Some((low.min(value), high.max(value)));
            self.moments.observe(value);
            *self.parts.entry(part_of(value)).or_default() += 1;
        } else {
            self.broken += 1;
        }
        spread(value.to_bits())
    }

    fn merge(&mut self, other: &Numbers) {
        self.broken += other.broken;
        self.zeros += other.zeros;
        self.whole += other.whole;
        self.range = merged_range(self.range, other.range, f64::min, f64::max);
        self.moments.merge(&other.moments);
        other.parts.iter().for_each(|(part, count)| *self.parts.entry(*part).or_default() += count);
    }

    /// The value that a share `q` (0..=1) of the finite ones lies at or below, off by 12.5 % at most; NaN without any.
    pub fn quantile(&self, q: f64) -> f64 {
        let Some((low, high)) = self.range else { return f64::NAN };
        let rank = (q.clamp(0.0, 1.0) * self.moments.count.saturating_sub(1) as f64).round() as u64;
        let mut below = 0;
        for (part, count) in &self.parts {
            below += count;
            if below > rank {
                return value_of(*part).clamp(low, high);
            }
        }
        high
    }

    /// How many surely lie outside a range: in parts beyond those of its ends, or as the least and greatest. Zeros have
    /// a check of their own and do not count.
    fn outside(&self, range: (f64, f64)) -> u64 {
        let (first, last) = (part_of(range.0), part_of(range.1));
        let beyond = |(part, _): &(&i16, &u64)| (**part < first || **part > last) && **part != 0;
        let sure: u64 = self.parts.iter().filter(beyond).map(|(_, count)| count).sum();
        let (low, high) = self.range.unwrap_or(range);
        let ends = u64::from(low < range.0 && low != 0.0) + u64::from(high > range.1 && high != 0.0);
        sure.max(ends)
    }
}

impl Texts {
    fn observe(&mut self, text: &str) -> u64 {
        self.count += 1;
        let length = text.len() as u64;
        self.lengths.record(length);
        let (low, high) = self.length_range.unwrap_or((length, length));
        self.length_range = Some((low.min(length), high.max(length)));
        if !self.is_open {
            self.count_category(cut(text), 1);
        }
        spread(hash_of(text))
    }

    fn count_category(&mut self, name: &str, times: u64) {
        if let Some(count) = self.categories.get_mut(name) {
            *count += times;
        } else if self.categories.len() < MAX_CATEGORIES {
            self.categories.insert(name.to_owned(), times);
        } else {
            self.is_open = true;
            self.categories.clear();
        }
    }

    fn merge(&mut self, other: &Texts) {
        self.count += other.count;
        self.lengths.merge(&other.lengths);
        self.length_range = merged_range(self.length_range, other.length_range, u64::min, u64::max);
        if other.is_open {
            self.is_open = true;
            self.categories.clear();
        }
        for (name, count) in &other.categories {
            if !self.is_open {
                self.count_category(name, *count);
            }
        }
    }

    /// How many values are in categories that another does not have, and the first of their names.
    fn new_to(&self, reference: &Texts) -> (u64, Vec<String>) {
        let new = || self.categories.iter().filter(|(name, _)| !reference.categories.contains_key(*name));
        (new().map(|(_, count)| count).sum(), new().take(10).map(|(name, _)| name.clone()).collect())
    }
}

impl Moments {
    fn observe(&mut self, value: f64) {
        self.merge(&Moments { count: 1, mean: value, squares: 0.0 });
    }

    fn merge(&mut self, other: &Moments) {
        if other.count == 0 {
            return;
        }
        let (n, m) = (self.count as f64, other.count as f64);
        let apart = other.mean - self.mean;
        self.mean += apart * m / (n + m);
        self.squares += other.squares + apart * apart * n * m / (n + m);
        self.count += other.count;
    }

    /// Standard deviation of the sample; 0 of less than two values.
    pub fn deviation(&self) -> f64 {
        if self.count < 2 { 0.0 } else { (self.squares / (self.count - 1) as f64).max(0.0).sqrt() }
    }
}

impl Hashes {
    fn observe(&mut self, hash: u64, times: u64) {
        if let Some(count) = self.counts.get_mut(&hash) {
            *count += times;
            return;
        }
        if self.is_sample && self.counts.last_key_value().is_some_and(|(largest, _)| hash > *largest) {
            return;
        }
        self.counts.insert(hash, times);
        if self.counts.len() > MAX_HASHES {
            self.counts.pop_last();
            self.is_sample = true;
        }
    }

    fn merge(&mut self, other: &Hashes) {
        // What lies above the lesser of the two bounds was not counted by both.
        let bound = |hashes: &Hashes| match hashes.counts.last_key_value() {
            Some((largest, _)) if hashes.is_sample => *largest,
            _ => u64::MAX,
        };
        let bound = bound(self).min(bound(other));
        self.is_sample |= other.is_sample;
        self.counts.retain(|hash, _| *hash <= bound);
        let is_sample = std::mem::replace(&mut self.is_sample, false);
        other.counts.range(..=bound).for_each(|(hash, count)| self.observe(*hash, *count));
        self.is_sample |= is_sample;
    }

    /// How many different values there were.
    pub fn estimate(&self) -> f64 {
        let kept = self.counts.len() as f64;
        match self.counts.last_key_value() {
            Some((largest, _)) if self.is_sample => (kept - 1.0) * (u64::MAX as f64 / *largest as f64),
            _ => kept,
        }
    }

    /// Values that came before, and all, of those whose hashes are kept.
    fn repeated(&self) -> (u64, u64) {
        let all: u64 = self.counts.values().sum();
        (all - self.counts.len() as u64, all)
    }
}

/// Checks as they are made.
struct Made<'a> {
    settings: &'a Settings,
    checks: Vec<Check>,
}

impl Made<'_> {
    fn is_enough(&self, reference: u64, window: u64) -> bool {
        reference >= self.settings.reference_rows_min && window >= self.settings.window_rows_min
    }

    fn column(&mut self, reference: &Column, window: &Column) {
        let name = reference.name.as_str();
        let is_enough = self.is_enough(reference.rows, window.rows);
        let rows = |column: &Column| (column.missing, column.rows);
        self.share(name, Kind::Missing, rows(reference), rows(window), is_enough);
        let is_enough = self.is_enough(reference.present(), window.present());
        let is_text = reference.texts.count > reference.number_count();
        let other = |column: &Column| if is_text { column.number_count() } else { column.texts.count };
        self.odd(name, Kind::Type, (other(reference), reference.present()), (other(window), window.present()));
        self.constant(reference, window, is_enough);
        if is_text {
            self.texts(name, &reference.texts, &window.texts);
        } else {
            self.numbers(name, reference, window);
        }
    }

    fn numbers(&mut self, name: &str, reference: &Column, window: &Column) {
        let (known, found) = (&reference.numbers, &window.numbers);
        let (n, m) = (known.moments.count, found.moments.count);
        let is_enough = self.is_enough(n, m);
        let all = (reference.number_count(), window.number_count());
        self.share(name, Kind::Broken, (known.broken, all.0), (found.broken, all.1), self.is_enough(all.0, all.1));
        self.share(name, Kind::Zeros, (known.zeros, n), (found.zeros, m), is_enough);
        if known.whole == n {
            self.odd(name, Kind::Fractions, (0, n), (m - found.whole, m));
        }
        if let (Some(range), true) = (known.range, m > 0) {
            let outside = found.outside(range);
            self.beyond(name, Kind::Range, n, outside, m, 2.0);
        }
    }

    fn texts(&mut self, name: &str, known: &Texts, found: &Texts) {
        if let Some((_, longest)) = known.length_range {
            let above = (found.lengths.share_above(longest as f64) * found.count as f64).round() as u64;
            self.beyond(name, Kind::Length, known.count, above, found.count, 1.0);
        }
        if known.is_open {
            return;
        }
        let (new, examples) = found.new_to(known);
        // Too many categories for the window: all that can be said is that there are more than the reference has.
        let new = if found.is_open { found.count } else { new };
        let seen_once = known.categories.values().filter(|count| **count == 1).count() as u64;
        self.odd(name, Kind::Categories, (seen_once, known.count), (new, found.count));
        if let Some(check) = self.checks.last_mut() {
            check.examples = examples;
            check.expected = 0.0;
        }
    }

    /// A share that may rise or fall.
    fn share(&mut self, column: &str, kind: Kind, known: (u64, u64), found: (u64, u64), is_enough: bool) {
        let (expected, observed) = (quotient(known), quotient(found));
        let rest = |(hits, rows): (u64, u64)| (rows - hits, rows);
        let surprise = rise_surprise(known, found).max(rise_surprise(rest(known), rest(found)));
        // Either side counts.
        let surprise = (surprise - 2.0_f64.log10()).max(0.0);
        let is_far = (expected - observed).abs() > self.settings.share_change_max;
        // Repeated rows that become fewer are no trouble.
        let is_far = is_far && (kind != Kind::Duplicates || observed > expected);
        self.push(column, kind, expected, observed, surprise, is_far, is_enough);
    }

    /// A share of what should not be; also few rows tell, since one that never was is already news.
    fn odd(&mut self, column: &str, kind: Kind, known: (u64, u64), found: (u64, u64)) {
        let (expected, observed) = (quotient(known), quotient(found));
        let is_far = observed - expected > self.settings.odd_share_max;
        let is_enough = known.1 >= self.settings.reference_rows_min && found.1 > 0;
        self.push(column, kind, expected, observed, rise_surprise(known, found), is_far, is_enough);
    }

    /// Values beyond the `ends` (1 or 2) of `n` known ones: `k` of `m`.
    fn beyond(&mut self, column: &str, kind: Kind, n: u64, k: u64, m: u64, ends: f64) {
        let surprise = beta_binomial_upper(k, m, ends, (n as f64 + 1.0 - ends).max(1.0));
        let is_enough = n >= self.settings.reference_rows_min && m > 0;
        let observed = quotient((k, m));
        self.push(column, kind, 0.0, observed, surprise, observed > self.settings.odd_share_max, is_enough);
    }

    fn constant(&mut self, reference: &Column, window: &Column, is_enough: bool) {
        let (expected, observed) = (reference.distinct.estimate(), window.distinct.estimate());
        let is_far = expected > 1.0 && window.present() > 0 && observed <= 1.0;
        let surprise = -(window.present() as f64) * reference.commonest_share().log10();
        self.push(&reference.name, Kind::Constant, expected, observed, surprise, is_far, is_enough);
    }

    fn volume(&mut self, reference: &Profile, window: &Profile) {
        let (usual, found) = (&reference.volumes, &window.volumes);
        // Less than 5 % of scatter is taken to be luck.
        let deviation = usual.deviation().max(0.05);
        let (n, m) = (usual.count as f64, found.count as f64);
        let away = (found.mean - usual.mean).abs();
        let surprise = normal_surprise(away / (deviation * (1.0 / n + 1.0 / m).sqrt())) - 2.0_f64.log10();
        let is_enough = usual.count >= self.settings.volumes_min && found.count > 0;
        let is_far = away > self.settings.volume_ratio_max.ln();
        self.push("", Kind::Volume, usual.mean.exp_m1(), found.mean.exp_m1(), surprise, is_far, is_enough);
    }

    fn push(
        &mut self,
        column: &str,
        kind: Kind,
        expected: f64,
        observed: f64,
        surprise: f64,
        is_far: bool,
        is_enough: bool,
    ) {
        let verdict = match (is_enough, is_far) {
            (false, _) => Verdict::NotEnoughData,
            (true, true) => Verdict::Failed,
            (true, false) => Verdict::Passed,
        };
        let surprise = if is_far || surprise.is_finite() { surprise.clamp(0.0, CERTAIN) } else { 0.0 };
        self.checks.push(Check {
            column: column.to_owned(),
            kind,
            expected,
            observed,
            surprise,
            verdict,
            examples: Vec::new(),
        });
    }

    /// What is far off fails only if it is also no chance, with as many checks as there are.
    fn judged(self) -> Vec<Check> {
        let needed = self.settings.surprise_min + (self.checks.len().max(1) as f64).log10();
        let mut checks = self.checks;
        for check in checks.iter_mut().filter(|check| check.verdict == Verdict::Failed && check.surprise < needed) {
            check.verdict = Verdict::Passed;
        }
        checks
    }
}

fn schema(reference: &Profile, window: &Profile) -> Vec<Check> {
    let names = |profile: &Profile| profile.columns.iter().map(|c| c.name.clone()).collect::<Vec<String>>();
    let (known, found) = (names(reference), names(window));
    if known.is_empty() || found.is_empty() {
        return Vec::new();
    }
    let sets: [BTreeSet<&String>; 2] = [known.iter().collect(), found.iter().collect()];
    let certain = |column: &str, kind, expected, observed| Check {
        column: column.to_owned(),
        kind,
        expected,
        observed,
        surprise: CERTAIN,
        verdict: Verdict::Failed,
        examples: Vec::new(),
    };
    let gone = known.iter().filter(|name| !sets[1].contains(name));
    let mut checks: Vec<Check> = gone.map(|name| certain(name, Kind::ColumnMissing, 1.0, 0.0)).collect();
    let new = found.iter().filter(|name| !sets[0].contains(name));
    checks.extend(new.map(|name| certain(name, Kind::ColumnNew, 0.0, 1.0)));
    let both = |names: &[String], other: usize| {
        names.iter().filter(|name| sets[other].contains(name)).cloned().collect::<Vec<String>>()
    };
    let (was, is) = (both(&known, 1), both(&found, 0));
    let moved = was.iter().zip(&is).find(|(a, b)| a != b);
    checks.extend(moved.map(|(name, _)| {
        let place = |names: &[String]| names.iter().position(|n| n == name).unwrap_or(0) as f64;
        certain(name, Kind::ColumnOrder, place(&was), place(&is))
    }));
    checks
}

/// -log10 of the chance that a share that was `known` (hits, rows) is found so high; a half hit and miss stand for what
/// is not known.
fn rise_surprise(known: (u64, u64), found: (u64, u64)) -> f64 {
    let (hits, misses) = (known.0 as f64 + 0.5, (known.1 - known.0.min(known.1)) as f64 + 0.5);
    beta_binomial_upper(found.0, found.1, hits, misses)
}

fn quotient((hits, rows): (u64, u64)) -> f64 {
    hits as f64 / rows.max(1) as f64
}

fn merged_range<T: Copy>(
    a: Option<(T, T)>,
    b: Option<(T, T)>,
    min: fn(T, T) -> T,
    max: fn(T, T) -> T,
) -> Option<(T, T)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((min(a.0, b.0), max(a.1, b.1))),
        (a, b) => a.or(b),
    }
}

/// The first bytes of a text, cut between characters.
fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_CATEGORY_BYTES)).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// The part of a finite number: sign, exponent and three bits of the fraction, so that parts rise with the number.
fn part_of(value: f64) -> i16 {
    let part = (value.abs().to_bits() >> 49) as i16;
    if value < 0.0 { -1 - part } else { part }
}

/// The middle of a part.
fn value_of(part: i16) -> f64 {
    let size = if part < 0 { -1 - part } else { part };
    if size == 0 {
        return 0.0;
    }
    let middle = f64::from_bits(((size as u64) << 49) | (1 << 48));
    if part < 0 { -middle } else { middle }
}

/// Spreads a hash over all 64 bits (the finaliser of splitmix64, Steele, Lea and Flood 2014).
fn spread(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(seed: &mut u64) -> f64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An age, an amount that misses in two of a hundred rows, and one of five cities.
    fn table(rows: usize, seed: u64) -> (Vec<Option<f64>>, Vec<Option<f64>>, Vec<Option<&'static str>>) {
        let mut seed = seed * 7919 + 1;
        let mut draw = || uniform(&mut seed);
        let ages = (0..rows).map(|_| Some((18.0 + 60.0 * draw()).floor())).collect();
        let amounts = (0..rows).map(|_| (draw() > 0.02).then(|| -100.0 * draw().ln())).collect();
        let cities = ["Oslo", "Lima", "Kyiv", "Pune", "Rome"];
        let cities = (0..rows).map(|_| Some(cities[(draw() * draw() * 5.0) as usize])).collect();
        (ages, amounts, cities)
    }

    fn profile(ages: &[Option<f64>], amounts: &[Option<f64>], cities: &[Option<&str>]) -> Profile {
        let mut profile = Profile::default();
        profile.observe(&[
            ("age", Values::Numbers(ages)),
            ("amount", Values::Numbers(amounts)),
            ("city", Values::Texts(cities)),
        ]);
        profile
    }

    fn reference() -> Profile {
        let mut all = Profile::default();
        for seed in 0..20 {
            let (ages, amounts, cities) = table(1000, seed);
            all.merge(&profile(&ages, &amounts, &cities));
        }
        all
    }

    fn failed(reference: &Profile, window: &Profile) -> Vec<(String, Kind)> {
        let checks = check(reference, window, &Settings::default());
        let failed = checks.into_iter().filter(|check| check.verdict == Verdict::Failed);
        failed.map(|check| (check.column, check.kind)).collect()
    }

    #[test]
    fn what_is_as_usual_passes_in_small_and_in_large() {
        let reference = reference();
        let mut false_failures = 0;
        for seed in 100..400 {
            let (ages, amounts, cities) = table(if seed % 2 == 0 { 1000 } else { 900 }, seed);
            false_failures += failed(&reference, &profile(&ages, &amounts, &cities)).len();
        }
        assert!(false_failures <= 1, "{false_failures} in 300 windows");
        // A hundred thousand rows with 2.5 % missing instead of 2 %: certain, and a trifle.
        let (ages, mut amounts, cities) = table(100_000, 77);
        (0..500).for_each(|i| amounts[i * 200] = None);
        let window = profile(&ages, &amounts, &cities);
        let checks = check(&reference, &window, &Settings::default());
        let missing = checks.iter().find(|c| c.kind == Kind::Missing && c.column == "amount").unwrap();
        assert_eq!(missing.verdict, Verdict::Passed);
        assert!(missing.surprise > 4.0 && missing.observed > 0.023, "{missing:?}");
        // So many rows at once are none.
        assert_eq!(failed(&reference, &window), [(String::new(), Kind::Volume)]);
    }

    #[test]
    fn each_fault_is_found_and_nothing_else() {
        type Fault = fn(&mut Vec<Option<f64>>, &mut Vec<Option<f64>>, &mut Vec<Option<&'static str>>);
        let faults: [(Fault, &str, Kind); 8] = [
            (|_, amounts, _| (0..100).for_each(|i| amounts[i * 9] = None), "amount", Kind::Missing),
            (|_, amounts, _| (0..50).for_each(|i| amounts[i * 9] = Some(f64::NAN)), "amount", Kind::Broken),
            (|_, amounts, _| (0..90).for_each(|i| amounts[i * 9] = Some(0.0)), "amount", Kind::Zeros),
            (|ages, _, _| (0..20).for_each(|i| ages[i * 9] = Some(999.0)), "age", Kind::Range),
            (|ages, _, _| (0..20).for_each(|i| ages[i * 9] = Some(33.5)), "age", Kind::Fractions),
            (|_, _, cities| (0..20).for_each(|i| cities[i * 9] = Some("Wien")), "city", Kind::Categories),
            (|_, _, cities| cities.fill(Some("Oslo")), "city", Kind::Constant),
            (
                |ages, amounts, cities| {
                    (0..500).for_each(|i| {
                        (ages[i], amounts[i], cities[i]) = (ages[i + 500], amounts[i + 500], cities[i + 500])
                    });
                },
                "",
                Kind::Duplicates,
            ),
        ];
        let reference = reference();
        for (fault, column, kind) in faults {
            let (mut ages, mut amounts, mut cities) = table(1000, 55);
            fault(&mut ages, &mut amounts, &mut cities);
            assert_eq!(failed(&reference, &profile(&ages, &amounts, &cities)), [(column.to_owned(), kind)]);
        }
        let (ages, amounts, cities) = table(300, 5);
        assert_eq!(failed(&reference, &profile(&ages, &amounts, &cities)), [(String::new(), Kind::Volume)]);
    }

    #[test]
    fn another_schema_is_said() {
        let reference = reference();
        let (ages, amounts, cities) = table(1000, 9);
        let texts: Vec<String> = ages.iter().map(|age| format!("{age:?}")).collect();
        let texts: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
        let mut window = Profile::default();
        window.observe(&[
            ("amount", Values::Numbers(&amounts)),
            ("age", Values::Texts(&texts)),
            ("town", Values::Texts(&cities)),
        ]);
        let expected =
            [("city", Kind::ColumnMissing), ("town", Kind::ColumnNew), ("age", Kind::ColumnOrder), ("age", Kind::Type)];
        assert_eq!(failed(&reference, &window), expected.map(|(column, kind)| (column.to_owned(), kind)));
    }

    #[test]
    fn few_rows_are_not_enough() {
        let (ages, amounts, cities) = table(20, 3);
        let window = profile(&ages, &amounts, &cities);
        let verdict = |reference: &Profile, kind| {
            let checks = check(reference, &window, &Settings::default());
            checks.iter().find(|check| check.kind == kind).unwrap().verdict
        };
        assert_eq!(verdict(&reference(), Kind::Missing), Verdict::NotEnoughData);
        assert_eq!(verdict(&reference(), Kind::Range), Verdict::Passed);
        assert_eq!(verdict(&window, Kind::Volume), Verdict::NotEnoughData);
        assert_eq!(verdict(&window, Kind::Range), Verdict::NotEnoughData);
        assert_eq!(check(&Profile::default(), &Profile::default(), &Settings::default()).len(), 2);
    }

    #[test]
    fn merging_is_seeing_all() {
        let (ages, amounts, cities) = table(5000, 4);
        let whole = profile(&ages, &amounts, &cities);
        let mut merged = profile(&ages[..1700], &amounts[..1700], &cities[..1700]);
        merged.merge(&profile(&ages[1700..], &amounts[1700..], &cities[1700..]));
        assert_eq!(merged.repeats, whole.repeats);
        for (a, b) in merged.columns.iter().zip(&whole.columns) {
            assert_eq!((&a.texts, &a.distinct, &a.numbers.parts), (&b.texts, &b.distinct, &b.numbers.parts));
            assert!((a.numbers.moments.mean - b.numbers.moments.mean).abs() < 1e-9);
            assert!((a.numbers.moments.deviation() - b.numbers.moments.deviation()).abs() < 1e-9);
        }
        let amounts = &whole.columns[1];
        assert!((amounts.distinct.estimate() / 4900.0 - 1.0).abs() < 0.1, "{}", amounts.distinct.estimate());
        // The median of an exponential with mean 100.
        assert!((amounts.numbers.quantile(0.5) / 69.3 - 1.0).abs() < 0.15, "{}", amounts.numbers.quantile(0.5));
        assert_eq!(whole.columns[0].distinct.estimate(), 60.0);
    }

    #[test]
    fn parts_rise_with_the_number_and_odd_values_are_no_trouble() {
        let values = [f64::MIN, -3.0, -1.0, -1e-300, 0.0, 1e-300, 0.9, 1.0, 3.0, f64::MAX];
        assert!(values.windows(2).all(|pair| part_of(pair[0]) < part_of(pair[1])));
        values.iter().filter(|v| **v != 0.0).for_each(|v| assert!((value_of(part_of(*v)) / v - 1.0).abs() < 0.125));
        let odd = [Some(f64::NAN), Some(f64::INFINITY), None, Some(f64::MAX), Some(f64::MIN), Some(-0.0)];
        let long = "ü".repeat(500);
        let texts = [Some(long.as_str()), Some(""), None];
        let mut window = Profile::default();
        window.observe(&[("a", Values::Numbers(&odd)), ("b", Values::Texts(&[]))]);
        window.observe(&[("a", Values::Numbers(&odd)), ("a", Values::Texts(&texts))]);
        window.observe(&[]);
        let checks = check(&reference(), &window, &Settings::default());
        assert!(checks.iter().all(|check| check.surprise.is_finite()));
        let many: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
        let many: Vec<Option<&str>> = many.iter().map(|text| Some(text.as_str())).collect();
        window.observe(&[("c", Values::Texts(&many))]);
        assert!(window.column("c").unwrap().texts.is_open && window.column("c").unwrap().texts.categories.is_empty());
    }
}
