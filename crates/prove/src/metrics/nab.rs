//! NAB's scoring: windows, sigmoid, profiles, the sweep of the threshold (Lavin and Ahmad, "Evaluating Real-Time
//! Anomaly Detection Algorithms: the Numenta Anomaly Benchmark", ICMLA 2015).
//!
//! A window holds one anomaly: the best-placed detection in it counts (early is better), none costs. A detection
//! outside of windows costs, less so shortly after one. The first 15 % of a file (of at most 5,000 rows) do not count.
//! One threshold serves all files; 0 is what a detector that never speaks gets, 100 a perfect one.

/// What a true positive, a miss and a false positive weigh.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Of a detection at the very start of a window.
    pub true_positive: f64,
    /// Of a window without a detection.
    pub false_negative: f64,
    /// Of a detection far from any window.
    pub false_positive: f64,
}

/// One file: a score a row and its windows as first and last row, in order and apart.
#[derive(Clone, Debug, Default)]
pub struct Scored {
    /// A score a row; higher is more anomalous.
    pub scores: Vec<f64>,
    /// First and last row of each window.
    pub windows: Vec<(usize, usize)>,
}

/// Rows at the start of a file of `rows` that do not count.
pub fn probation(rows: usize) -> usize {
    (0.15 * rows.min(5000) as f64).floor() as usize
}

/// Rows inside of a window, probation left out, with their scores: what AUC-PR is taken over.
pub fn labelled(file: &Scored) -> (Vec<f64>, Vec<bool>) {
    let rows = probation(file.scores.len())..file.scores.len();
    let inside = |row: usize| file.windows.iter().any(|(first, last)| (*first..=*last).contains(&row));
    rows.map(|row| (file.scores[row], inside(row))).unzip()
}

/// The best normalised score that one threshold for all files reaches, and that threshold (detections are scores at
/// or above it). NaN without a window.
pub fn swept(files: &[Scored], profile: Profile) -> (f64, f64) {
    let mut rows: Vec<Weighed> = files.iter().enumerate().flat_map(|(i, f)| weigh(i, f, profile)).collect();
    rows.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut tally = Tally::new(files, profile);
    let mut best = (tally.normalised(), f64::INFINITY);
    for (i, row) in rows.iter().enumerate() {
        tally.detect(row);
        let last_of_its_score = rows.get(i + 1).is_none_or(|next| next.score != row.score);
        if last_of_its_score && tally.normalised() > best.0 {
            best = (tally.normalised(), row.score);
        }
    }
    best
}

/// The normalised score at a given threshold. NaN without a window.
pub fn at_threshold(files: &[Scored], profile: Profile, threshold: f64) -> f64 {
    let mut tally = Tally::new(files, profile);
    for row in files.iter().enumerate().flat_map(|(i, f)| weigh(i, f, profile)).filter(|r| r.score >= threshold) {
        tally.detect(&row);
    }
    tally.normalised()
}

/// A row that counts: what its detection is worth, and in which window of which file it lies.
struct Weighed {
    score: f64,
    worth: f64,
    window: Option<(usize, usize)>,
}

fn weigh(number: usize, file: &Scored, profile: Profile) -> Vec<Weighed> {
    let mut windows = file.windows.iter().enumerate().peekable();
    let mut before: Option<(usize, usize)> = None;
    let mut rows = Vec::with_capacity(file.scores.len());
    for (row, &score) in file.scores.iter().enumerate() {
        while windows.peek().is_some_and(|(_, (_, last))| *last < row) {
            before = windows.next().map(|(_, window)| *window);
        }
        let inside = windows.peek().filter(|(_, (first, _))| *first <= row);
        let weighed = match inside {
            Some((window, (first, last))) => {
                let width = (last - first + 1) as f64;
                let place = -((last - row + 1) as f64) / width;
                let worth = profile.true_positive * sigmoid(place) / sigmoid(-1.0);
                Weighed { score, worth, window: Some((number, *window)) }
            }
            None => {
                let place = before.map(|(first, last)| (row - last) as f64 / ((last - first) as f64).max(1.0));
                Weighed { score, worth: profile.false_positive * place.map_or(-1.0, sigmoid), window: None }
            }
        };
        if row >= probation(file.scores.len()) {
            rows.push(weighed);
        }
    }
    rows
}

/// From 1 long before the end of a window (-1) over 0 at it to -1 long after.
fn sigmoid(place: f64) -> f64 {
    if place > 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * place).exp()) - 1.0 }
}

/// The raw score as detections are added.
struct Tally {
    best_in: Vec<Vec<f64>>,
    raw: f64,
    null: f64,
    perfect: f64,
}

impl Tally {
    fn new(files: &[Scored], profile: Profile) -> Tally {
        let windows: usize = files.iter().map(|f| f.windows.len()).sum();
        let best_in = files.iter().map(|f| vec![-profile.false_negative; f.windows.len()]).collect();
        let null = -profile.false_negative * windows as f64;
        Tally { best_in, raw: null, null, perfect: profile.true_positive * windows as f64 }
    }

    fn detect(&mut self, row: &Weighed) {
        let Some((file, window)) = row.window else {
            self.raw += row.worth;
            return;
        };
        let best = &mut self.best_in[file][window];
        self.raw += (row.worth - *best).max(0.0);
        *best = best.max(row.worth);
    }

    fn normalised(&self) -> f64 {
        100.0 * (self.raw - self.null) / (self.perfect - self.null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: Profile = Profile { true_positive: 1.0, false_negative: 1.0, false_positive: 0.11 };

    /// A hundred rows of which the first 15 are probation; scores given by row.
    fn file(windows: &[(usize, usize)], scores: &[(usize, f64)]) -> Scored {
        let mut file = Scored { scores: vec![0.0; 100], windows: windows.to_vec() };
        scores.iter().for_each(|(row, score)| file.scores[*row] = *score);
        file
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    }

    #[test]
    fn the_first_row_of_a_window_is_worth_everything_and_silence_nothing() {
        close(swept(&[file(&[(50, 59)], &[(50, 1.0)])], STANDARD).0, 100.0);
        close(at_threshold(&[file(&[(50, 59)], &[])], STANDARD, 0.5), 0.0);
        assert_eq!(swept(&[file(&[(50, 59)], &[(50, 0.7)])], STANDARD).1, 0.7);
    }

    #[test]
    fn a_late_detection_and_false_ones_by_hand() {
        // Last row of a window of ten: place -1/10, (2 / (1 + e^-0.5) - 1) / (2 / (1 + e^-5) - 1) = 0.248241.
        let late = 0.244_918_66 / 0.986_614_3;
        close(at_threshold(&[file(&[(50, 59)], &[(59, 1.0)])], STANDARD, 0.5), 100.0 * (late + 1.0) / 2.0);
        // Before any window: -0.11. Nine rows after its end: place 1, -0.11 * 0.986614. Far behind: -0.11.
        for (row, cost) in [(20, 0.11), (68, 0.11 * 0.986_614_3), (99, 0.11)] {
            let scores = [(50, 1.0), (row, 1.0)];
            close(at_threshold(&[file(&[(50, 59)], &scores)], STANDARD, 0.5), 100.0 * (2.0 - cost) / 2.0);
        }
        // Only the best-placed detection of a window counts, and probation does not.
        close(at_threshold(&[file(&[(50, 59)], &[(3, 1.0), (50, 1.0), (55, 1.0)])], STANDARD, 0.5), 100.0);
    }

    #[test]
    fn one_threshold_serves_all_files() {
        // At 0.3 both windows are found and 20 rows are false: it is better to miss one window.
        let mut noisy = file(&[(50, 59)], &[(50, 0.3)]);
        (20..40).for_each(|row| noisy.scores[row] = 0.4);
        let (score, threshold) = swept(&[file(&[(50, 59)], &[(50, 0.9)]), noisy], STANDARD);
        close(score, 50.0);
        assert_eq!(threshold, 0.9);
        let low_fn = Profile { false_negative: 2.0, ..STANDARD };
        // (1 - 2 * 0 ... ) two windows found, 20 * 0.11 lost of 2 + 4: 100 * (6 - 2.2) / 6 beats 50.
        close(swept(&[file(&[(50, 59)], &[(50, 0.9)]), file_noisy()], low_fn).0, 100.0 * (6.0 - 2.2) / 6.0);
    }

    fn file_noisy() -> Scored {
        let mut noisy = file(&[(50, 59)], &[(50, 0.3)]);
        (20..40).for_each(|row| noisy.scores[row] = 0.4);
        noisy
    }

    #[test]
    fn probation_is_bounded() {
        assert_eq!([probation(0), probation(100), probation(4032), probation(20_000)], [0, 15, 604, 750]);
    }
}
