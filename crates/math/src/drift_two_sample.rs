//! Whether a column of a window is distributed otherwise than in a reference.
//!
//! Idea: both are counted in the same cells (quantiles of all values for numbers, the values themselves for
//! categories) and compared by the Hellinger distance, `sqrt(1 - Σ sqrt(p q))`: 0 alike, 1 without a common value. It
//! is the same unit for numbers and categories, sees shifts, spreads and tails alike, lets no outlier count more than
//! its row, and a category that was never there is no infinity. Two normal distributions a fifth of a deviation apart
//! have .07, a quarter .09, a half .18.
//!
//! Three things must come together, see [`Comparison::drifted`]. It is no chance: labels of whole blocks of rows are
//! permuted (Fisher 1935; blocks, because neighbouring rows are alike, Künsch 1989), so that the p-value is exact where
//! blocks are exchangeable; where fewer than ten permutations reach the distance, its tail is that of a gamma
//! distribution with the same two moments (after Knijnenburg et al., Bioinformatics 2009). It is more than the
//! reference's own windows differ from the rest of it. And it matters: with hundreds of thousands of rows nearly
//! everything is significant, so that the distance beyond what chance gives must reach [`EFFECT_MIN`].
//!
//! Cost: a sort of all values and [`Settings::draws`] sums over some hundred blocks: about 1 ms at two
//! times 10,000 rows, 20 to 40 ms at two times 200,000. Fails on: columns whose joint behaviour changes while each stays as it was; slow cycles longer than the
//! reference; categories with more than [`CELLS_MAX`] common values, of which the rarer ones count as one.

use std::collections::BTreeMap;

use crate::{chance::Chance, counts::ln_gamma};

/// Rows that a reference and a window need, each.
pub const ROWS_MIN: usize = 30;
/// Distance beyond chance from which a difference matters: a shift of about a quarter of a standard deviation, or a
/// category that takes one row in fifty and was not there before.
pub const EFFECT_MIN: f64 = 0.1;
/// Share of false claims among all, after the correction for many columns.
pub const LEVEL: f64 = 0.05;
/// Cells at most: numbers are cut into 16, of which each is expected to hold eight rows of the smaller side.
pub const CELLS_MAX: usize = 64;
const NUMBER_CELLS: usize = 16;
const CELL_ROWS: usize = 8;
/// Rows of a category on both sides together below which it counts as rare.
const RARE: usize = 5;
/// Blocks that rows are joined to, about, and blocks of the smaller side at least.
const BLOCKS: usize = 512;
const SIDE_BLOCKS: usize = 16;
/// Windows of its own that a reference must have to be held against itself, and those that are looked at.
const OWN_MIN: usize = 4;
const OWN_MAX: usize = 50;

/// How a comparison is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Permutations: 400 tell a p-value of .05 to .01.
    pub draws: usize,
    /// Fixes the permutations.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { draws: 400, seed: 1 }
    }
}

/// Why nothing is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotEnough {
    /// The reference has less than [`ROWS_MIN`] values.
    Reference {
        /// What there is.
        rows: usize,
    },
    /// The window has less.
    Window {
        /// What there is.
        rows: usize,
    },
    /// The reference has one value only: how it varies is not known.
    Constant,
}

/// How a window differs from a reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Hellinger distance, 0..=1.
    pub distance: f64,
    /// The distance beyond what chance gives samples of these sizes, 0..=1.
    pub effect: f64,
    /// Chance of such a distance if nothing changed.
    pub p: f64,
    /// The largest distance of a window of the reference from the rest of it; `None` where it has less than four.
    pub usual: Option<f64>,
    /// Share of the window that the reference never had: categories that are new, numbers beyond its range.
    pub unseen: f64,
}

impl Comparison {
    /// Whether the column has drifted, given its p-value after a correction for all columns.
    pub fn drifted(&self, p_corrected: f64) -> bool {
        let is_unusual = self.usual.is_none_or(|usual| self.distance > usual);
        p_corrected <= LEVEL && self.effect >= EFFECT_MIN && is_unusual
    }
}

/// Compares numbers in order of time; those that are not finite are left out (see [`missing`]).
pub fn numbers(reference: &[f64], window: &[f64], settings: &Settings) -> Result<Comparison, NotEnough> {
    let finite = |of: &[f64]| -> Vec<f64> { of.iter().copied().filter(|v| v.is_finite()).collect() };
    let (reference, window) = (finite(reference), finite(window));
    enough(reference.len(), window.len())?;
    let range = |v: &[f64]| v.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let (low, high) = range(&reference);
    if low == high {
        return Err(NotEnough::Constant);
    }
    let edges = edges(&reference, &window);
    let cell = |v: &f64| edges.partition_point(|e| e < v) as u8;
    let cells = |of: &[f64]| -> Vec<u8> { of.iter().map(cell).collect() };
    let outside = window.iter().filter(|v| **v < low || **v > high).count();
    let unseen = outside as f64 / window.len() as f64;
    Ok(compare(&cells(&reference), &cells(&window), edges.len() + 1, unseen, settings))
}

/// Compares categories in order of time.
pub fn categories<T: Ord>(reference: &[T], window: &[T], settings: &Settings) -> Result<Comparison, NotEnough> {
    enough(reference.len(), window.len())?;
    let mut counts: BTreeMap<&T, (usize, usize)> = BTreeMap::new();
    reference.iter().for_each(|v| counts.entry(v).or_default().0 += 1);
    if counts.len() == 1 {
        return Err(NotEnough::Constant);
    }
    window.iter().for_each(|v| counts.entry(v).or_default().1 += 1);
    let unseen: usize = counts.values().filter(|(before, _)| *before == 0).map(|(_, now)| now).sum();
    let mut common: Vec<(usize, &T)> =
        counts.iter().map(|(v, (r, w))| (r + w, *v)).filter(|(n, _)| *n >= RARE).collect();
    common.sort_by(|a, b| b.cmp(a));
    common.truncate(CELLS_MAX - 1);
    // What is rare has the cell 0.
    let cells: BTreeMap<&T, u8> = common.iter().zip(1..).map(|((_, v), cell)| (*v, cell)).collect();
    let of = |values: &[T]| -> Vec<u8> { values.iter().map(|v| cells.get(v).copied().unwrap_or(0)).collect() };
    let unseen = unseen as f64 / window.len() as f64;
    Ok(compare(&of(reference), &of(window), cells.len() + 1, unseen, settings))
}

/// Compares how often a value is missing: `true` where there is none. A column that never lacked one may begin to.
pub fn missing(reference: &[bool], window: &[bool], settings: &Settings) -> Result<Comparison, NotEnough> {
    enough(reference.len(), window.len())?;
    let cells = |of: &[bool]| -> Vec<u8> { of.iter().map(|m| u8::from(*m)).collect() };
    Ok(compare(&cells(reference), &cells(window), 2, 0.0, settings))
}

/// P-values corrected so that of all columns that are claimed the share of false ones is as small as the level
/// (Benjamini and Hochberg, JRSS-B 1995).
pub fn false_discovery(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*b].total_cmp(&p[*a]));
    let (mut corrected, mut least) = (vec![1.0; p.len()], 1.0_f64);
    for (from_last, i) in order.into_iter().enumerate() {
        let rank = p.len() - from_last;
        least = least.min(p[i] * p.len() as f64 / rank as f64);
        corrected[i] = least;
    }
    corrected
}

fn enough(reference: usize, window: usize) -> Result<(), NotEnough> {
    if reference < ROWS_MIN {
        return Err(NotEnough::Reference { rows: reference });
    }
    if window < ROWS_MIN { Err(NotEnough::Window { rows: window }) } else { Ok(()) }
}

/// Upper ends of cells with about equally many values of both sides; what is common by itself has a cell of its own.
fn edges(reference: &[f64], window: &[f64]) -> Vec<f64> {
    let mut all: Vec<f64> = reference.iter().chain(window).copied().collect();
    all.sort_unstable_by(f64::total_cmp);
    let cells = (reference.len().min(window.len()) / CELL_ROWS).clamp(4, NUMBER_CELLS);
    let wanted = all.len() / cells;
    let (mut edges, mut held, mut before) = (Vec::new(), 0, f64::NAN);
    for same in all.chunk_by(|a, b| a == b) {
        if held >= wanted || held > 0 && same.len() >= wanted {
            edges.push(before);
            held = 0;
        }
        (held, before) = (held + same.len(), same[0]);
    }
    edges
}

fn compare(reference: &[u8], window: &[u8], cells: usize, unseen: f64, settings: &Settings) -> Comparison {
    let rows = reference.len() + window.len();
    let block = (rows / BLOCKS).min(reference.len().min(window.len()) / SIDE_BLOCKS).max(1);
    let mut blocks = blocks_of(reference, block, cells);
    let before = blocks.len() / cells;
    blocks.extend(blocks_of(window, block, cells));
    let square = distance_squared(&counts_of(reference, cells), &counts_of(window, cells));
    let drawn = permuted(&blocks, before, cells, settings);
    let mean = drawn.iter().sum::<f64>() / drawn.len().max(1) as f64;
    Comparison {
        distance: square.sqrt(),
        effect: (square - mean).max(0.0).sqrt(),
        p: chance_of(square, &drawn, mean),
        usual: usual(reference, window.len(), cells),
        unseen,
    }
}

fn counts_of(values: &[u8], cells: usize) -> Vec<u32> {
    let mut counts = vec![0; cells];
    values.iter().for_each(|cell| counts[usize::from(*cell)] += 1);
    counts
}

/// Counts by whole block, one after the other.
fn blocks_of(values: &[u8], block: usize, cells: usize) -> Vec<u32> {
    values.chunks_exact(block).flat_map(|rows| counts_of(rows, cells)).collect()
}

fn distance_squared(a: &[u32], b: &[u32]) -> f64 {
    let total = |of: &[u32]| of.iter().map(|n| f64::from(*n)).sum::<f64>();
    let common: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) * f64::from(*b)).sqrt()).sum();
    (1.0 - common / (total(a) * total(b)).sqrt()).max(0.0)
}

/// Squared distances after blocks were dealt anew to both sides.
fn permuted(blocks: &[u32], before: usize, cells: usize, settings: &Settings) -> Vec<f64> {
    let count = blocks.len() / cells;
    let dealt = before.min(count - before);
    let mut all = vec![0; cells];
    blocks.chunks_exact(cells).for_each(|block| add(&mut all, block));
    let mut order: Vec<usize> = (0..count).collect();
    let mut chance = Chance::new(settings.seed);
    let draw = |_| {
        let mut one = vec![0; cells];
        for i in 0..dealt {
            order.swap(i, i + chance.below(count - i));
            add(&mut one, &blocks[order[i] * cells..][..cells]);
        }
        let other: Vec<u32> = all.iter().zip(&one).map(|(all, one)| all - one).collect();
        distance_squared(&one, &other)
    };
    (0..settings.draws).map(draw).collect()
}

fn add(sum: &mut [u32], block: &[u32]) {
    sum.iter_mut().zip(block).for_each(|(sum, n)| *sum += n);
}

/// Permutations that reach a distance, below which its tail is extrapolated.
const REACHED_MIN: usize = 10;

fn chance_of(square: f64, drawn: &[f64], mean: f64) -> f64 {
    let reached = drawn.iter().filter(|d| **d >= square - 1e-12).count();
    let counted = (reached + 1) as f64 / (drawn.len() + 1) as f64;
    let variance = drawn.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / drawn.len().max(1) as f64;
    if reached >= REACHED_MIN || variance <= 0.0 {
        return counted;
    }
    gamma_above(mean * mean / variance, square * mean / variance).min(counted)
}

/// Chance that a gamma variable of a shape (and scale 1) is above x: the series below the mean, the continued fraction
/// above it (Abramowitz and Stegun 6.5.29 and 6.5.31).
fn gamma_above(shape: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let front = (shape * x.ln() - x - ln_gamma(shape)).exp();
    if x < shape + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / shape, 1.0 / shape, shape);
        while term > sum * 1e-14 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return (1.0 - front * sum).clamp(0.0, 1.0);
    }
    let fraction = (1..200).rev().fold(0.0, |below, n| {
        let n = f64::from(n);
        n * (n - shape) / (x + 2.0 * n + 1.0 - shape - below)
    });
    (front / (x + 1.0 - shape - fraction)).clamp(0.0, 1.0)
}

/// The largest distance of the reference's own windows from the rest of it.
fn usual(reference: &[u8], window: usize, cells: usize) -> Option<f64> {
    if reference.len() / window < OWN_MIN {
        return None;
    }
    let all = counts_of(reference, cells);
    let of_window = |rows: &[u8]| {
        let own = counts_of(rows, cells);
        let rest: Vec<u32> = all.iter().zip(&own).map(|(all, own)| all - own).collect();
        distance_squared(&own, &rest).sqrt()
    };
    Some(reference.chunks_exact(window).take(OWN_MAX).map(of_window).fold(0.0, f64::max))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normals(count: usize, seed: u64, shift: f64, spread: f64) -> Vec<f64> {
        let mut c = Chance::new(seed.wrapping_mul(77) + 5);
        (0..count).map(|_| shift + spread * c.normal()).collect()
    }

    fn numbers_of(reference: &[f64], window: &[f64]) -> Comparison {
        numbers(reference, window, &Settings::default()).unwrap()
    }

    #[test]
    fn known_distances() {
        assert!((distance_squared(&[36, 48, 16], &[30, 50, 20]).sqrt() - 0.050_8).abs() < 1e-3);
        assert_eq!((distance_squared(&[1, 0], &[0, 9]), distance_squared(&[2, 4], &[5, 10])), (1.0, 0.0));
        // Published quantiles: chi-squared with 4 degrees above 9.488 and with 30 above 50.892 (halved as gamma).
        assert!((gamma_above(2.0, 9.488 / 2.0) - 0.05).abs() < 1e-4);
        assert!((gamma_above(15.0, 50.892 / 2.0) - 0.01).abs() < 1e-4);
        assert!((gamma_above(15.0, 10.0) - 0.9165).abs() < 1e-4);
        // The example of Benjamini and Hochberg (1995): four of fifteen at .05.
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
            0.7590, 1.0,
        ];
        assert_eq!(false_discovery(&p).iter().filter(|p| **p <= 0.05).count(), 4);
        assert!(false_discovery(&[]).is_empty());
    }

    #[test]
    fn without_a_drift_one_in_twenty_is_significant_at_any_size_and_none_has_drifted() {
        for (rows, trials) in [(100, 600), (10_000, 300), (200_000, 60)] {
            let settings = Settings { draws: 200, seed: 3 };
            let (mut below, mut tiny, mut drifted) = (0, 0, 0);
            for t in 0..trials {
                let (a, b) = (normals(rows, 2 * t, 0.0, 1.0), normals(rows, 2 * t + 1, 0.0, 1.0));
                let said = numbers(&a, &b, &settings).unwrap();
                below += usize::from(said.p <= 0.05);
                tiny += usize::from(said.p <= 0.005);
                drifted += usize::from(said.drifted(said.p));
            }
            println!("{rows} rows: {below} of {trials} at .05, {tiny} at .005, {drifted} drifted");
            let expected = 0.05 * trials as f64;
            assert!((below as f64 - expected).abs() <= 3.5 * (0.95 * expected).sqrt(), "{rows}: {below}");
            assert!(tiny as f64 <= 0.005 * trials as f64 + 4.0, "{rows}: {tiny}");
            assert!(rows == 100 || drifted == 0, "{rows}: {drifted}");
        }
    }

    #[test]
    fn a_small_window_of_a_large_reference_is_calibrated_too() {
        let reference = normals(50_000, 9, 0.0, 1.0);
        let p: Vec<f64> = (0..400).map(|t| numbers_of(&reference, &normals(300, 100 + t, 0.0, 1.0)).p).collect();
        let below = p.iter().filter(|p| **p <= 0.05).count();
        assert!((8..=34).contains(&below), "{below} of 400");
    }

    #[test]
    fn shifts_spreads_and_tails_are_found_and_what_does_not_matter_is_not() {
        let reference = normals(20_000, 1, 0.0, 1.0);
        let said = |shift: f64, spread: f64| {
            let said = numbers_of(&reference, &normals(2000, 2, shift, spread));
            println!("shift {shift}, spread {spread}: {said:?}");
            said.drifted(said.p)
        };
        assert!(said(0.5, 1.0) && said(-0.35, 1.0) && said(0.0, 1.4) && said(0.0, 0.7));
        assert!(!said(0.0, 1.0) && !said(0.05, 1.0));
        // Sure and small: with many rows a shift of a twentieth is no chance, and no drift.
        let slight = numbers_of(&normals(200_000, 3, 0.0, 1.0), &normals(200_000, 4, 0.05, 1.0));
        assert!(slight.p < 1e-6 && !slight.drifted(slight.p), "{slight:?}");
        let half = numbers_of(&normals(100_000, 5, 0.0, 1.0), &normals(100_000, 6, 0.5, 1.0));
        assert!((half.distance - 0.176).abs() < 0.01, "{half:?}");
    }

    #[test]
    fn what_wanders_in_the_reference_is_no_drift() {
        // A slow walk: neighbouring rows are alike, windows differ as a matter of course.
        let mut drifted = 0;
        for seed in 0..40 {
            let mut level = 0.0;
            let noise = normals(24_000, 50 + seed, 0.0, 1.0);
            let values: Vec<f64> = noise
                .iter()
                .map(|n| {
                    level = 0.99 * level + 0.14 * n;
                    level
                })
                .collect();
            let said = numbers_of(&values[..20_000], &values[20_000..]);
            drifted += usize::from(said.drifted(said.p));
        }
        println!("{drifted} of 40 walks drifted");
        assert!(drifted <= 4, "{drifted} of 40");
    }

    #[test]
    fn categories_that_are_new_or_change_their_shares() {
        let pick = |count: usize, seed: u64, shares: &[f64]| -> Vec<usize> {
            let mut c = Chance::new(seed);
            let one = |u: f64| {
                shares
                    .iter()
                    .scan(0.0, |sum, s| {
                        *sum += s;
                        Some(*sum)
                    })
                    .take_while(|sum| *sum <= u)
                    .count()
            };
            (0..count).map(|_| one(c.uniform())).collect()
        };
        let reference = pick(10_000, 1, &[0.5, 0.3, 0.2]);
        let said = |window: &[usize]| categories(&reference, window, &Settings::default()).unwrap();
        let (same, other) = (said(&pick(1000, 2, &[0.5, 0.3, 0.2])), said(&pick(1000, 3, &[0.3, 0.3, 0.4])));
        assert!(!same.drifted(same.p) && other.drifted(other.p) && same.unseen == 0.0, "{same:?} {other:?}");
        let new = said(&pick(1000, 4, &[0.48, 0.28, 0.2, 0.04]));
        assert!(new.drifted(new.p) && (new.unseen - 0.04).abs() < 0.02, "{new:?}");
        let all_new = said(&vec![9; 1000]);
        assert!(all_new.distance == 1.0 && all_new.unseen == 1.0 && all_new.drifted(all_new.p), "{all_new:?}");
        // Names that hardly come twice: new ones all the time are usual.
        let names = |from: usize| (from..from + 2000).map(|i| i * 7919 % 100_003).collect::<Vec<usize>>();
        let names = categories(&names(0), &names(5000), &Settings::default()).unwrap();
        assert!(!names.drifted(names.p), "{names:?}");
    }

    #[test]
    fn missing_values_are_a_question_of_their_own() {
        let lacking = |count: usize, each: usize| (0..count).map(|i| each > 0 && i % each == 0).collect::<Vec<bool>>();
        let said = |each: usize| missing(&lacking(5000, 0), &lacking(1000, each), &Settings::default()).unwrap();
        assert!(said(10).drifted(said(10).p) && !said(0).drifted(said(0).p) && said(0).distance == 0.0);
        let mut holes = normals(1000, 8, 0.0, 1.0);
        (0..1000).step_by(3).for_each(|i| holes[i] = f64::NAN);
        let said = numbers_of(&normals(5000, 7, 0.0, 1.0), &holes);
        assert!(!said.drifted(said.p), "{said:?}");
    }

    #[test]
    fn too_little_is_said_and_odd_values_are_no_trouble() {
        let (settings, some) = (Settings::default(), normals(100, 1, 0.0, 1.0));
        assert_eq!(numbers(&[], &some, &settings), Err(NotEnough::Reference { rows: 0 }));
        assert_eq!(numbers(&some, &[f64::NAN; 100], &settings), Err(NotEnough::Window { rows: 0 }));
        assert_eq!(numbers(&[3.0; 100], &some, &settings), Err(NotEnough::Constant));
        assert_eq!(categories(&["a"; 100], &["b"; 100], &settings), Err(NotEnough::Constant));
        // A window that has come to rest is a drift.
        let stuck = numbers(&some, &[0.0; 100], &settings).unwrap();
        assert!(stuck.drifted(stuck.p), "{stuck:?}");
        // Two values, one of them rare, are two cells.
        let rare = |each: usize| (0..2000).map(|i| f64::from(u8::from(i % each != 0))).collect::<Vec<f64>>();
        let more = numbers_of(&rare(20), &rare(5));
        assert!(more.drifted(more.p) && !numbers_of(&rare(20), &rare(20)).drifted(1.0), "{more:?}");
        let odd = [1e308, -1e308, f64::INFINITY, f64::NAN, 0.0, -0.0, f64::MIN_POSITIVE].repeat(30);
        let said = numbers_of(&odd, &some);
        assert!(said.p > 0.0 && said.distance <= 1.0 && numbers_of(&odd, &some) == said, "{said:?}");
    }
}
