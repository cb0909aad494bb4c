//! Sends a notice through a channel and says what became of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use types::Time;

use crate::{
    channel::{Channel, Notice},
    egress::{Answer, Egress, Failure},
};

/// The first wait after a failure; each later one doubles it.
const BACKOFF_FIRST: Duration = Duration::from_secs(2);
/// The longest wait, whatever the other side asks for.
const WAIT_MAX: Duration = Duration::from_secs(15 * 60);

/// What became of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other side took it.
    Delivered {
        /// Keep it with the incident and this channel, and give it with the next notice ([`Notice::receipt`]).
        receipt: Option<String>,
    },
    /// Not taken; another time it may be.
    Retry {
        /// The other side asked for at least this much patience.
        after: Option<Duration>,
        /// One sentence.
        why: String,
    },
    /// Not taken and never will be as it is: somebody must change something.
    Refused {
        /// One sentence.
        why: String,
    },
    /// It was sent, and whether it was taken is not known. To repeat it is safe only where
    /// [`Channel::is_idempotent`] says so.
    Unknown {
        /// One sentence.
        why: String,
    },
}

impl Outcome {
    /// `delivered`, `retry`, `refused`, `unknown`.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Delivered { .. } => "delivered",
            Outcome::Retry { .. } => "retry",
            Outcome::Refused { .. } => "refused",
            Outcome::Unknown { .. } => "unknown",
        }
    }

    /// The sentence, if it was not delivered. It never holds text of the other side.
    pub fn why(&self) -> Option<&str> {
        match self {
            Outcome::Delivered { .. } => None,
            Outcome::Retry { why, .. } | Outcome::Refused { why } | Outcome::Unknown { why } => Some(why),
        }
    }

    /// Whether, on this channel, the same notice may be sent again.
    pub fn may_repeat(&self, channel: &Channel) -> bool {
        match self {
            Outcome::Retry { .. } => true,
            Outcome::Unknown { .. } => channel.is_idempotent(),
            Outcome::Delivered { .. } | Outcome::Refused { .. } => false,
        }
    }
}

/// Sends the notice. With several receivers (a cluster of Alertmanagers) each gets it, and the best outcome counts.
/// `now` goes into signatures and dates.
pub async fn deliver(egress: &Egress, channel: &Channel, notice: &Notice, now: Time) -> Outcome {
    let mut best: Option<Outcome> = None;
    for outgoing in channel.requests(notice, now) {
        let outcome = match egress.send(&outgoing).await {
            Ok(answer) => channel.judge(notice, &answer, now),
            Err(Failure::Refused(why)) => Outcome::Refused { why },
            Err(Failure::NotSent(why)) => Outcome::Retry { after: None, why },
            Err(Failure::Unanswered(why)) => Outcome::Unknown { why },
        };
        if best.as_ref().is_none_or(|b| rank(&outcome) > rank(b)) {
            best = Some(outcome);
        }
    }
    best.unwrap_or(Outcome::Refused { why: "the channel has nowhere to send to".into() })
}

/// How long to wait before try number `attempt` (1 is the first repetition): 2 s, doubled each time, up to 15 min, each
/// between three quarters and five quarters of that. The same delivery and attempt always give the same wait.
pub fn backoff(attempt: u32, delivery: &str) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(WAIT_MAX);
    // FNV-1a, so that deliveries that failed together do not come back together.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in delivery.bytes().chain(attempt.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let share = (hash >> 40) as f64 / (1u64 << 24) as f64;
    doubled.mul_f64(0.75 + share / 2.0)
}

/// What a status says by itself, with a receipt for the case that it is good.
pub(crate) fn by_status(answer: &Answer, receipt: Option<String>, now: Time) -> Outcome {
    let status = answer.status;
    match status {
        200..=299 => Outcome::Delivered { receipt },
        408 | 425 | 429 | 500..=599 => {
            let after = answer.retry_after.as_deref().and_then(|text| retry_after(text, now));
            let busy = if status == 429 { "is asked too often" } else { "has trouble" };
            Outcome::Retry { after, why: format!("the other side {busy} (HTTP {status})") }
        }
        300..=399 => Outcome::Refused { why: format!("it answers with a redirect, none is followed (HTTP {status})") },
        401 | 403 => Outcome::Refused { why: format!("it does not accept our credentials (HTTP {status})") },
        404 | 410 => Outcome::Refused { why: format!("there is no such receiver (HTTP {status})") },
        _ => Outcome::Refused { why: format!("it does not take the message (HTTP {status})") },
    }
}

/// Seconds or an HTTP date, at most [`WAIT_MAX`]; a date that has passed is no wait.
fn retry_after(text: &str, now: Time) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(text.parse().map_or(WAIT_MAX, |s| Duration::from_secs(s).min(WAIT_MAX)));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    let now: SystemTime = UNIX_EPOCH + Duration::from_nanos(now.0.max(0) as u64);
    Some(at.duration_since(now).unwrap_or_default().min(WAIT_MAX))
}

fn rank(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Refused { .. } => 0,
        Outcome::Retry { .. } => 1,
        Outcome::Unknown { .. } => 2,
        Outcome::Delivered { .. } => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_stay_in_bounds_and_repeat_exactly() {
        for attempt in 0..40 {
            let nominal = (2.0 * 2f64.powi(attempt.max(1) as i32 - 1)).min(900.0);
            let waits: Vec<f64> = (0..200).map(|i| backoff(attempt, &format!("d-{i}")).as_secs_f64()).collect();
            assert!(waits.iter().all(|w| (0.75 * nominal..=1.25 * nominal).contains(w)), "{attempt} {waits:?}");
            let (low, high) = waits.iter().fold((f64::MAX, 0f64), |(l, h), w| (l.min(*w), h.max(*w)));
            assert!(high - low > 0.4 * nominal, "spread at {attempt}: {low} {high}");
            assert_eq!(backoff(attempt, "d-1"), backoff(attempt, "d-1"));
        }
        assert!(backoff(u32::MAX, "") <= WAIT_MAX.mul_f64(1.25));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Time::parse("2026-11-27T13:00:00Z").unwrap();
        let secs = |text: &str| retry_after(text, now).map(|d| d.as_secs());
        assert_eq!(secs("7"), Some(7));
        assert_eq!(secs("Fri, 27 Nov 2026 13:00:42 GMT"), Some(42));
        assert_eq!(secs("Fri, 27 Nov 2026 12:00:00 GMT"), Some(0));
        assert_eq!(secs("999999999999999999999999"), Some(900));
        assert_eq!(secs("Fri, 27 Nov 2099 12:00:00 GMT"), Some(900));
        for bad in ["", "-1", "1.5", "soon", "7 s"] {
            assert_eq!(secs(bad), None, "{bad}");
        }
    }

    #[test]
    fn statuses_say_whether_to_try_again() {
        let of = |status| by_status(&Answer { status, retry_after: Some("3".into()), body: None }, None, Time(0));
        for status in [200, 202, 204] {
            assert_eq!(of(status), Outcome::Delivered { receipt: None });
        }
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(
                matches!(of(status), Outcome::Retry { after: Some(after), .. } if after.as_secs() == 3),
                "{status}"
            );
        }
        for status in [101, 301, 302, 307, 400, 401, 403, 404, 410, 413, 422] {
            assert!(matches!(of(status), Outcome::Refused { .. }), "{status}");
        }
    }
}
