//! What was said and has not ended: one way for all bucketed detectors to begin, go on and end a claim.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::{Finding, Time};
use view::Findings;

use super::words::clock;

/// Something said that has not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ongoing {
    /// As last said. Its numbers are rounded, so that they read back exactly.
    pub finding: Finding,
    /// Normal buckets in a row since.
    pub quiet: u32,
}

/// Ongoing claims of one entity, by a key within it.
pub(crate) type Claims = BTreeMap<String, Ongoing>;

/// Says something new, or that it goes on: then it keeps its start, scope and the moment at which it was learned.
pub(crate) fn say(claims: &mut Claims, key: &str, mut finding: Finding, now: Time, out: &mut Findings) {
    if let Some(known) = claims.get(key) {
        finding.summary = finding.summary.replace(&clock(finding.start), &clock(known.finding.start));
        finding.start = known.finding.start;
        finding.scope = known.finding.scope.clone();
        finding.learned = known.finding.learned;
    }
    finding.end = finding.end.min(now).max(finding.start);
    claims.insert(key.to_owned(), Ongoing { finding: finding.clone(), quiet: 0 });
    out.say(finding);
}

/// Counts a quiet bucket for all claims but those in `still`, and ends those that were quiet for `settle` buckets.
/// Returns whether anything changed.
pub(crate) fn quiet_down(claims: &mut Claims, still: &[&str], settle: u32, out: &mut Findings) -> bool {
    let mut changed = false;
    claims.retain(|key, known| {
        if still.contains(&key.as_str()) {
            return true;
        }
        changed = true;
        known.quiet += 1;
        if known.quiet < settle {
            return true;
        }
        out.say(Finding { ongoing: false, ..known.finding.clone() });
        false
    });
    changed
}
