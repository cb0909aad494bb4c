//! Segmentations of a series: covering, and F1 of change points (van den Burg and Williams, 2020).

use std::collections::BTreeSet;

/// How well segments cover those of each annotator: for each of theirs its best Jaccard overlap with one of ours,
/// weighted by length, and the mean over annotators. 0..=1. Change points are the first points of segments.
pub fn covering(annotations: &[Vec<usize>], found: &[usize], points: usize) -> f64 {
    let ours = segments(found, points);
    let of_one = |annotation: &Vec<usize>| {
        let best = |(start, end): &(usize, usize)| {
            let overlap = |(from, to): &(usize, usize)| {
                let common = (*end).min(*to).saturating_sub((*start).max(*from));
                common as f64 / ((*end).max(*to) - (*start).min(*from)) as f64
            };
            (end - start) as f64 * ours.iter().map(overlap).fold(0.0, f64::max)
        };
        segments(annotation, points).iter().map(best).sum::<f64>() / points as f64
    };
    annotations.iter().map(of_one).sum::<f64>() / annotations.len() as f64
}

/// F1 of change points within a margin: precision against the points of all annotators, recall as the mean over
/// annotators. The first point of the series counts as found and as annotated; an annotated point is found once.
pub fn f1(annotations: &[Vec<usize>], found: &[usize], margin: usize) -> f64 {
    let with_start = |points: &[usize]| -> BTreeSet<usize> { points.iter().copied().chain([0]).collect() };
    let found = with_start(found);
    let all = with_start(&annotations.concat());
    let precision = matched(&all, &found, margin) as f64 / found.len() as f64;
    let recall = |annotation: &Vec<usize>| {
        let annotation = with_start(annotation);
        matched(&annotation, &found, margin) as f64 / annotation.len() as f64
    };
    let recall = annotations.iter().map(recall).sum::<f64>() / annotations.len() as f64;
    2.0 * precision * recall / (precision + recall)
}

/// Annotated points with a found one within the margin, each found one taken once, the nearest first.
fn matched(annotated: &BTreeSet<usize>, found: &BTreeSet<usize>, margin: usize) -> usize {
    let mut free = found.clone();
    let mut count = 0;
    for at in annotated {
        let near = free.range(at.saturating_sub(margin)..=at + margin);
        if let Some(nearest) = near.min_by_key(|f| f.abs_diff(*at)).copied() {
            free.remove(&nearest);
            count += 1;
        }
    }
    count
}

fn segments(changes: &[usize], points: usize) -> Vec<(usize, usize)> {
    let inner = changes.iter().copied().filter(|c| *c > 0 && *c < points);
    let bounds: BTreeSet<usize> = inner.chain([0, points]).collect();
    let bounds: Vec<usize> = bounds.into_iter().collect();
    bounds.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // One annotator without changes, ours split in half: best overlap 1/2.
        assert_eq!(covering(&[vec![]], &[5], 10), 0.5);
        assert_eq!(covering(&[vec![5]], &[5], 10), 1.0);
        // Halves covered by the whole: 1/2 each.
        assert_eq!(covering(&[vec![5], vec![]], &[], 10), 0.75);
        // Found 0 and 12: 12 is within 5 of 10. Recall: 2/2 and, for the other annotator, 1/1; precision 2/2.
        assert_eq!(f1(&[vec![10], vec![]], &[12], 5), 1.0);
        assert_eq!(f1(&[vec![10], vec![]], &[16], 5), 2.0 * 0.5 * 0.75 / 1.25);
        // One found point does not match two annotated ones.
        assert_eq!(f1(&[vec![10, 12]], &[11], 5), 2.0 * (2.0 / 3.0) / (1.0 + 2.0 / 3.0));
    }
}
