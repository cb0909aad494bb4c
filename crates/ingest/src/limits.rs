//! The limits of what is taken in, and the list of what was not.

use types::{DAY, MINUTE, Reject, Time};

use crate::{BadRequest, Request};

/// Upper bounds of a request and its parts. Every reject names the limit that was broken by its field name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request body after decompression.
    pub max_body_len: usize,
    /// Rows that one request may become (a histogram is several rows).
    pub max_rows_per_request: usize,
    /// Labels of one series, its name and the resource's labels counted.
    pub max_labels_per_series: usize,
    /// Bytes of a label's name or an attribute's key.
    pub max_label_name_len: usize,
    /// Bytes of a label's value.
    pub max_label_value_len: usize,
    /// Bytes of a metric's name.
    pub max_metric_name_len: usize,
    /// Attributes of one record, span or resource.
    pub max_attributes: usize,
    /// Bytes of one attribute's value as text.
    pub max_attribute_value_len: usize,
    /// Bytes of a log line.
    pub max_log_body_len: usize,
    /// Bytes of a span's name.
    pub max_span_name_len: usize,
    /// Levels of arrays and maps within an attribute or a log body.
    pub max_value_depth: usize,
    /// Buckets of one histogram; exponential ones are made coarser until they fit.
    pub max_buckets: usize,
    /// Series of one data folder. Guards memory against labels that never repeat.
    pub max_series: usize,
    /// Resources of one data folder.
    pub max_resources: usize,
    /// Series whose ids are kept at hand for the next request.
    pub max_cached_series: usize,
    /// Resources whose ids are kept at hand for the next request.
    pub max_cached_resources: usize,
    /// Whether passwords, tokens and keys in log lines and attributes are replaced before anything is stored, see
    /// [`math::secrets`]. Metric labels are taken as they are.
    pub mask_secrets: bool,
    /// How far ahead of the request's time a row may lie, ns.
    pub max_future_ns: i64,
    /// How far behind the request's time a row may lie, ns; older rows would be deleted at once.
    pub retention_ns: i64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_body_len: 64 << 20,
            max_rows_per_request: 2_000_000,
            max_labels_per_series: 64,
            max_label_name_len: 256,
            max_label_value_len: 4096,
            max_metric_name_len: 512,
            max_attributes: 256,
            max_attribute_value_len: 64 << 10,
            max_log_body_len: 1 << 20,
            max_span_name_len: 4096,
            max_value_depth: 64,
            max_buckets: 256,
            max_series: 10_000_000,
            max_resources: 1_000_000,
            max_cached_series: 2_000_000,
            max_cached_resources: 100_000,
            mask_secrets: true,
            max_future_ns: 10 * MINUTE,
            retention_ns: 30 * DAY,
        }
    }
}

impl Limits {
    pub(crate) fn check_rows(&self, rows: usize) -> Result<(), BadRequest> {
        if rows <= self.max_rows_per_request {
            return Ok(());
        }
        let max = self.max_rows_per_request;
        Err(BadRequest::too_large(format!(
            "more than max_rows_per_request {max} rows in one request; send smaller ones"
        )))
    }
}

/// Which times a request may speak of.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    oldest: i64,
    newest: i64,
    backfill: bool,
}

/// Why a time is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Off {
    Future,
    Old,
}

impl Window {
    pub fn new(request: &Request, limits: &Limits) -> Window {
        let newest = request.now.0.saturating_add(limits.max_future_ns);
        let oldest = if request.backfill { 0 } else { request.now.0.saturating_sub(limits.retention_ns).max(0) };
        Window { oldest, newest, backfill: request.backfill }
    }

    /// Milliseconds as ns, if they lie in the window.
    #[inline]
    pub fn check_ms(&self, ms: i64) -> Result<i64, Off> {
        match ms.checked_mul(types::MILLI) {
            Some(ns) => self.check(ns),
            None if ms < 0 => Err(Off::Old),
            None => Err(Off::Future),
        }
    }

    /// An unsigned OTLP time as ns, if it lies in the window.
    #[inline]
    pub fn check_unsigned(&self, ns: u64) -> Result<i64, Off> {
        i64::try_from(ns).map_err(|_| Off::Future).and_then(|ns| self.check(ns))
    }

    #[inline]
    fn check(&self, ns: i64) -> Result<i64, Off> {
        if ns > self.newest {
            return Err(Off::Future);
        }
        if ns < self.oldest {
            return Err(Off::Old);
        }
        Ok(ns)
    }

    pub fn reason(&self, off: Off, what: &str, sent: &str) -> String {
        match off {
            Off::Future => format!(
                "{what}: time {sent} lies in the future (after {}); check the sender's clock and unit",
                Time(self.newest)
            ),
            Off::Old if self.backfill => format!("{what}: time {sent} lies before 1970"),
            Off::Old => format!(
                "{what}: time {sent} is older than the retention (before {}); send it to the backfill path",
                Time(self.oldest)
            ),
        }
    }
}

impl Off {
    pub fn key(self) -> &'static str {
        match self {
            Off::Future => "future",
            Off::Old => "old",
        }
    }
}

/// Collects rejects: the first few of each sort by name, the rest as a count.
#[derive(Default)]
pub(crate) struct Rejects {
    groups: Vec<Group>,
}

struct Group {
    key: &'static str,
    named: Vec<Reject>,
    more: u64,
}

/// So many culprits of one sort are named.
const NAMED_PER_SORT: usize = 8;

impl Rejects {
    /// Notes `count` items of the sort `key`. The reason is only put into words while it will be shown.
    pub fn add(&mut self, key: &'static str, count: u64, reason: impl FnOnce() -> String) {
        let at = self.groups.iter().position(|g| g.key == key).unwrap_or_else(|| {
            self.groups.push(Group { key, named: Vec::new(), more: 0 });
            self.groups.len() - 1
        });
        let group = &mut self.groups[at];
        if group.named.len() == NAMED_PER_SORT {
            group.more += count;
            return;
        }
        let reason = reason();
        match group.named.iter_mut().find(|r| r.reason == reason) {
            Some(same) => same.count += count,
            None => group.named.push(Reject { count, reason }),
        }
    }

    pub fn finish(self) -> Vec<Reject> {
        let mut all = Vec::new();
        for group in self.groups {
            all.extend(group.named);
            if group.more > 0 {
                all.push(Reject { count: group.more, reason: format!("{} more items: {}", group.more, group.key) });
            }
        }
        all
    }
}

/// Text of a sender made fit for a log line or terminal: control characters escaped, cut to 200 characters.
pub(crate) fn show(text: &str) -> String {
    let mut out = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == 200 {
            out.push('…');
            break;
        }
        // Bidirectional overrides reorder what stands around them, so they count as control characters here.
        if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// [`show`] for bytes that need not be UTF-8.
pub(crate) fn show_bytes(bytes: &[u8]) -> String {
    show(&String::from_utf8_lossy(&bytes[..bytes.len().min(1000)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn culprits_are_named_then_counted() {
        let mut rejects = Rejects::default();
        for i in 0..20 {
            rejects.add("dup", 2, || format!("series {i}"));
        }
        rejects.add("other", 1, || "x".into());
        let all = rejects.finish();
        assert_eq!(all.iter().map(|r| r.count).sum::<u64>(), 41);
        assert_eq!(all.len(), NAMED_PER_SORT + 2);
    }

    #[test]
    fn shown_text_is_short_and_harmless() {
        assert_eq!(show("a\u{1b}[31m\nb\u{202e}"), "a\\u{1b}[31m\\nb\\u{202e}");
        assert_eq!(show(&"x".repeat(1000)).chars().count(), 201);
    }

    #[test]
    fn i8_extreme_times_do_not_overflow() {
        let now = Time(1_800_000_000 * types::SECOND);
        let request = Request { tenant: Default::default(), now, backfill: false };
        let window = Window::new(&request, &Limits::default());
        assert_eq!(window.check_ms(i64::MAX), Err(Off::Future));
        assert_eq!(window.check_ms(i64::MIN), Err(Off::Old));
        assert_eq!(window.check_ms(-1), Err(Off::Old));
        assert_eq!(window.check_ms(0), Err(Off::Old));
        assert_eq!(window.check_unsigned(u64::MAX), Err(Off::Future));
        assert_eq!(window.check_unsigned(now.0 as u64 + 10 * MINUTE as u64), Ok(now.0 + 10 * MINUTE));
        assert_eq!(window.check_unsigned(now.0 as u64 + 10 * MINUTE as u64 + 1), Err(Off::Future));
        let window = Window::new(&Request { backfill: true, ..request }, &Limits::default());
        assert_eq!(window.check_ms(0), Ok(0));
        assert_eq!(window.check_ms(-1), Err(Off::Old));
    }
}
