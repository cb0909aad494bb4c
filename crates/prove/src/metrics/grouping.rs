//! How well log lines are grouped into templates, and how right the templates' texts are.
//!
//! GA (Zhu et al., ICSE-SEIP 2019), PA (Dai et al., TSE 2020), FGA and FTA (Khan et al., ICSE 2022; Jiang et al.,
//! Loghub-2.0, ISSTA 2024). All are 0..=1, 1 is perfect.

use std::collections::{BTreeMap, BTreeSet};

/// The four usual measures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Accuracy {
    /// GA: share of lines whose group holds exactly the lines of their true template.
    pub grouping: f64,
    /// PA: share of lines whose template text is the true one.
    pub parsing: f64,
    /// FGA: F1 of groups; a group is right if it holds exactly the lines of a true template.
    pub f_grouping: f64,
    /// FTA: F1 of templates; a group is right if it holds exactly the lines of a true template and has its text.
    pub f_template: f64,
}

/// Compares groups of lines (`ids`, one a line) and the text of each line's template with the true template of each
/// line. Lines of equal true text are one true group. Blanks in texts do not count beyond separating words. NaN where
/// there is no line.
pub fn accuracy(ids: &[u32], texts: &[&str], truth: &[&str]) -> Accuracy {
    assert!(ids.len() == truth.len() && texts.len() == truth.len(), "one of each a line");
    let plain_truth: Vec<String> = truth.iter().map(|text| plain(text)).collect();
    let ours = groups(ids);
    let wanted = groups(&plain_truth);
    let true_groups: BTreeSet<&[usize]> = wanted.values().map(Vec::as_slice).collect();
    let is_parsed: Vec<bool> = texts.iter().zip(&plain_truth).map(|(text, wanted)| plain(text) == *wanted).collect();
    let (mut grouped, mut right_groups, mut right_templates) = (0, 0, 0);
    for lines in ours.values().filter(|lines| true_groups.contains(lines.as_slice())) {
        grouped += lines.len();
        right_groups += 1;
        right_templates += usize::from(lines.iter().all(|i| is_parsed[*i]));
    }
    let share = |count: usize| count as f64 / truth.len() as f64;
    let f1 = |right: usize| 2.0 * right as f64 / (ours.len() + wanted.len()) as f64;
    Accuracy {
        grouping: share(grouped),
        parsing: share(is_parsed.iter().filter(|p| **p).count()),
        f_grouping: f1(right_groups),
        f_template: f1(right_templates),
    }
}

/// Indices by key, in order.
fn groups<K: Ord>(keys: &[K]) -> BTreeMap<&K, Vec<usize>> {
    let mut groups: BTreeMap<&K, Vec<usize>> = BTreeMap::new();
    for (i, key) in keys.iter().enumerate() {
        groups.entry(key).or_default().push(i);
    }
    groups
}

fn plain(template: &str) -> String {
    template.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_and_a_right_group_by_hand() {
        // True groups {0, 1, 2} and {3, 4}; ours {0, 1}, {2} and {3, 4}, the last with a wrong text.
        let truth = ["a <*>", "a <*>", "a <*>", "b  <*>", "b <*>"];
        let texts = ["a <*>", "a <*>", "a c", "b x", "b x"];
        let found = accuracy(&[1, 1, 2, 3, 3], &texts, &truth);
        assert_eq!(found.grouping, 2.0 / 5.0);
        assert_eq!(found.parsing, 2.0 / 5.0);
        // One of three groups is right, of two true ones: precision 1/3, recall 1/2.
        assert!((found.f_grouping - 0.4).abs() < 1e-12);
        assert_eq!(found.f_template, 0.0);
    }

    #[test]
    fn merged_groups_are_wrong_for_all_their_lines() {
        // The example of Zhu et al.: a group that mixes two true templates counts for none of its lines.
        let found = accuracy(&[1, 1, 1, 2], &["x"; 4], &["x", "x", "y", "z"]);
        assert_eq!(found.grouping, 0.25);
        assert_eq!(found.parsing, 0.5);
        assert!((found.f_grouping - 2.0 / 5.0).abs() < 1e-12);
        assert_eq!(found.f_template, 0.0);
    }

    #[test]
    fn perfect_is_one_and_nothing_is_not_a_number() {
        let found = accuracy(&[7, 7, 9], &["p <*>", "p <*>", "q"], &["p <*>", "p <*>", "q"]);
        assert_eq!(found, Accuracy { grouping: 1.0, parsing: 1.0, f_grouping: 1.0, f_template: 1.0 });
        assert!(accuracy(&[], &[], &[]).grouping.is_nan());
    }
}
