//! One written policy for what freezes a baseline, for how long, and what adopts a new level.

use types::{HOUR, MINUTE, SECOND};

/// All detectors follow it, so that a level is never learned by one and refused by another.
///
/// - While a finding about a series is ongoing its baseline is **frozen**: the points of an incident do not teach
///   what is normal.
/// - The freeze ends when the values return to the band for `settle_ns`.
/// - A new level is **adopted** when it has held steady for `adopt_after_ns`, or for `adopt_after_change_ns` if a
///   change event of the entity came at most `change_window_ns` before the shift: what was deployed is the new
///   normal, once it has been said.
/// - A verdict of a person ("not an incident") adopts at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaselinePolicy {
    /// How long values must be back in the band before the finding ends.
    pub settle_ns: i64,
    /// How long an unexplained new level must hold before it counts as normal.
    pub adopt_after_ns: i64,
    /// The same after a change.
    pub adopt_after_change_ns: i64,
    /// How long before a shift a change may lie and still explain it.
    pub change_window_ns: i64,
}

impl Default for BaselinePolicy {
    fn default() -> BaselinePolicy {
        BaselinePolicy {
            settle_ns: 30 * SECOND,
            adopt_after_ns: 6 * HOUR,
            adopt_after_change_ns: HOUR,
            change_window_ns: 15 * MINUTE,
        }
    }
}
