//! Streams of the published kinds from other seeds and widths, so that defaults are not judged on four files alone.
//! Written after the description of their generators (Pesaranghader, Viktor and Paquet, "Reservoir of diverse adaptive
//! learners and stacking fast Hoeffding drift detection methods", Machine Learning 2018), with what the published
//! files have: balanced classes, a sigmoid transition after each drift's beginning, a tenth of noisy labels, and in
//! circles a transition that runs one concept ahead and then falls back.

use math::chance::Chance;

use super::stream::{Attribute, Stream};

/// A kind of stream: its attributes, classes, rows of a concept, concepts, and a row of a concept.
pub struct Kind {
    pub name: &'static str,
    concept_rows: usize,
    concepts: usize,
    row: fn(&mut Chance, usize, &[Vec<usize>]) -> (Vec<f64>, usize),
}

pub const KINDS: [Kind; 6] = [
    Kind { name: "sine1", concept_rows: 20_000, concepts: 5, row: |c, k, _| swapped(c, k, |x, y| y <= x.sin()) },
    Kind { name: "sine2", concept_rows: 20_000, concepts: 5, row: |c, k, _| swapped(c, k, |x, y| y <= wave(x)) },
    Kind { name: "mixed", concept_rows: 20_000, concepts: 5, row: mixed },
    Kind { name: "circles", concept_rows: 25_000, concepts: 4, row: circles },
    Kind { name: "stagger", concept_rows: 33_334, concepts: 3, row: stagger },
    Kind { name: "led", concept_rows: 25_000, concepts: 4, row: led },
];

/// A stream of a kind. `noise` is the share of labels that are wrong.
pub fn stream(kind: &Kind, width: usize, noise: f64, seed: u64) -> Stream {
    let mut chance = Chance::new(seed);
    let places = led_places(&mut chance);
    let (mut rows, mut labels) = (Vec::new(), Vec::new());
    let classes = if kind.name == "led" { 10 } else { 2 };
    for at in 0..kind.concept_rows * kind.concepts {
        let concept = concept_at(kind, width, at, &mut chance);
        let (row, label) = (kind.row)(&mut chance, concept, &places);
        let is_noisy = chance.uniform() < noise;
        rows.push(row);
        labels.push(if is_noisy { (label + 1 + chance.below(classes - 1)) % classes } else { label });
    }
    let drifts = Some((1..kind.concepts).map(|k| k * kind.concept_rows).collect());
    Stream { attributes: attributes(kind.name), classes, rows, labels, drifts, width }
}

fn attributes(kind: &str) -> Vec<Attribute> {
    let categories = |n: usize| Attribute::Category((0..n).map(|i| i.to_string()).collect());
    match kind {
        "mixed" => vec![categories(2), categories(2), Attribute::Number, Attribute::Number],
        "stagger" => vec![categories(3), categories(2), categories(2)],
        "led" => vec![categories(2); 24],
        _ => vec![Attribute::Number, Attribute::Number],
    }
}

fn concept_at(kind: &Kind, width: usize, at: usize, chance: &mut Chance) -> usize {
    let (concept, since) = (at / kind.concept_rows, at % kind.concept_rows);
    let ahead = kind.name == "circles";
    let in_transition = since < width && if ahead { concept + 1 < kind.concepts } else { concept > 0 };
    if !in_transition {
        return concept;
    }
    let (from, to) = if ahead { (concept, concept + 1) } else { (concept - 1, concept) };
    let share = 1.0 / (1.0 + (-4.0 / width as f64 * (since as f64 - width as f64 / 2.0)).exp());
    if chance.uniform() < share { to } else { from }
}

/// Draws until the wanted class comes, so that classes are balanced.
fn balanced<T>(chance: &mut Chance, draw: impl Fn(&mut Chance) -> (T, usize)) -> (T, usize) {
    let wanted = chance.below(2);
    loop {
        let (row, class) = draw(chance);
        if class == wanted {
            return (row, class);
        }
    }
}

fn wave(x: f64) -> f64 {
    0.5 + 0.3 * (3.0 * std::f64::consts::PI * x).sin()
}

fn swapped(chance: &mut Chance, concept: usize, holds: fn(f64, f64) -> bool) -> (Vec<f64>, usize) {
    let draw = |c: &mut Chance| {
        let (x, y) = (c.uniform(), c.uniform());
        (vec![x, y], usize::from(holds(x, y)))
    };
    let (row, class) = balanced(chance, draw);
    (row, (class + concept) % 2)
}

fn mixed(chance: &mut Chance, concept: usize, _: &[Vec<usize>]) -> (Vec<f64>, usize) {
    let draw = |c: &mut Chance| {
        let (v, w, x, y) = (c.below(2), c.below(2), c.uniform(), c.uniform());
        let holding = v + w + usize::from(y < wave(x));
        (vec![v as f64, w as f64, x, y], usize::from(holding >= 2))
    };
    let (row, class) = balanced(chance, draw);
    (row, (class + concept) % 2)
}

fn circles(chance: &mut Chance, concept: usize, _: &[Vec<usize>]) -> (Vec<f64>, usize) {
    let (middle, radius) = [(0.2, 0.15), (0.4, 0.2), (0.6, 0.25), (0.8, 0.3)][concept];
    balanced(chance, |c| {
        let (x, y) = (c.uniform(), c.uniform());
        (vec![x, y], usize::from((x - middle).powi(2) + (y - 0.5).powi(2) > radius * radius))
    })
}

fn stagger(chance: &mut Chance, concept: usize, _: &[Vec<usize>]) -> (Vec<f64>, usize) {
    balanced(chance, |c| {
        let (size, color, shape) = (c.below(3), c.below(2), c.below(2));
        let holds = [size == 0 && color == 0, color == 1 || shape == 0, size > 0][concept];
        (vec![size as f64, color as f64, shape as f64], usize::from(holds))
    })
}

/// Where the seven segments stand among 24 attributes, by concept: 0, 3, 1 and 3 of them change places.
fn led_places(chance: &mut Chance) -> Vec<Vec<usize>> {
    let moved = [0, 3, 1, 3].map(|swaps| {
        let mut places: Vec<usize> = (0..24).collect();
        for _ in 0..swaps {
            let (a, mut b) = (chance.below(7), chance.below(24));
            while b == a {
                b = chance.below(24);
            }
            places.swap(a, b);
        }
        places
    });
    moved.to_vec()
}

fn led(chance: &mut Chance, concept: usize, places: &[Vec<usize>]) -> (Vec<f64>, usize) {
    const SEGMENTS: [[u8; 7]; 10] = [
        [1, 1, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 1, 1, 0],
        [1, 0, 1, 1, 0, 1, 1],
        [1, 0, 0, 1, 1, 1, 1],
        [0, 1, 0, 0, 1, 1, 1],
        [1, 1, 0, 1, 1, 0, 1],
        [1, 1, 1, 1, 1, 0, 1],
        [1, 0, 0, 0, 1, 1, 0],
        [1, 1, 1, 1, 1, 1, 1],
        [1, 1, 0, 0, 1, 1, 1],
    ];
    let digit = chance.below(10);
    let at = |place: &usize, c: &mut Chance| {
        SEGMENTS[digit].get(*place).map_or_else(|| c.below(2) as f64, |s| f64::from(*s))
    };
    (places[concept].iter().map(|place| at(place, chance)).collect(), digit)
}
