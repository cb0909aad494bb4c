//! Who sends a series, and what its points say: shared by the analyses of metrics.

use types::{SECOND, SeriesDef, SeriesKind};

/// The instance that sends a series, as its labels tell; empty where they do not.
pub(crate) fn instance(def: &SeriesDef) -> &str {
    let names = ["service.instance.id", "instance", "k8s.pod.name", "host.name"];
    names.iter().find_map(|name| def.labels.get(name)).unwrap_or_default()
}

/// The value to judge, where there was a point before: gauges as they are, totals as rates, amounts over the time since
/// the last. None where a total began anew, or no time has passed.
pub(crate) fn level(kind: SeriesKind, (before_ns, before): (i64, f64), time: i64, raw: f64) -> Option<f64> {
    let elapsed_s = time.saturating_sub(before_ns) as f64 / SECOND as f64;
    match kind {
        SeriesKind::Gauge => Some(raw),
        _ if elapsed_s <= 0.0 => None,
        SeriesKind::Counter if raw < before => None,
        SeriesKind::Counter => Some((raw - before) / elapsed_s),
        _ => Some(raw / elapsed_s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_rates_and_a_total_that_began_anew_says_nothing() {
        let before = (10 * SECOND, 100.0);
        assert_eq!(level(SeriesKind::Gauge, before, 20 * SECOND, 5.0), Some(5.0));
        assert_eq!(level(SeriesKind::Counter, before, 20 * SECOND, 130.0), Some(3.0));
        assert_eq!(level(SeriesKind::Counter, before, 20 * SECOND, 30.0), None);
        assert_eq!(level(SeriesKind::Counter, before, 10 * SECOND, 130.0), None);
        assert_eq!(level(SeriesKind::Delta, before, 20 * SECOND, 30.0), Some(3.0));
    }
}
