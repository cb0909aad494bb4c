//! How findings speak: names, clock times and numbers for people.

use types::{EntityId, Time};

/// `shop/payments`, or just `payments` in the default namespace; the kind is named unless it is a service.
pub(crate) fn plain(entity: &EntityId) -> String {
    let name = match entity.namespace() {
        "default" => entity.name().to_owned(),
        namespace => format!("{namespace}/{}", entity.name()),
    };
    match entity.kind() {
        "service" => name,
        kind => format!("{kind} {name}"),
    }
}

/// A value with so many digits that count.
pub(crate) fn rounded(value: f64, digits: usize) -> String {
    let rounded = format!("{value:.*e}", digits - 1).parse::<f64>();
    rounded.ok().filter(|v| v.is_finite()).map_or_else(|| "unknown".into(), |v| v.to_string())
}

/// `12:03:10`, UTC.
pub(crate) fn clock(at: Time) -> String {
    at.rfc3339().get(11..19).unwrap_or("").to_owned()
}

/// A share as a percentage with at most one decimal: `38 %`, `0.4 %`.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 9.95 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

/// Milliseconds with the decimals that matter: `850 ms`, `4.2 ms`, `3.1 s`.
pub(crate) fn millis(ms: f64) -> String {
    match ms {
        ms if ms >= 10_000.0 => format!("{:.1} s", ms / 1000.0),
        ms if ms >= 20.0 => format!("{ms:.0} ms"),
        ms => format!("{ms:.1} ms"),
    }
}

/// A rate with the decimals that matter: `35`, `0.4`.
pub(crate) fn number(value: f64) -> String {
    if value.abs() >= 10.0 || value == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// Rounded to three decimals: short decimals read back from JSON exactly, so that a restart changes no bit.
pub(crate) fn round3(value: f64) -> f64 {
    if value.is_finite() { (value * 1000.0).round() / 1000.0 } else { 0.0 }
}

/// The text cut to at most `bytes` bytes, between characters.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let end = (0..=bytes).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    &text[..end]
}

/// Surprise to belief: one in a million is believed at 0.6, certainty is never reached.
pub(crate) fn belief_from_surprise(surprise: f64) -> f64 {
    (1.0 - 0.5 * (-(surprise - 4.0).max(0.0) / 6.0).exp()).clamp(0.5, 0.99)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_these() {
        assert_eq!(plain(&EntityId::new("service", "shop", "cart")), "shop/cart");
        assert_eq!(plain(&EntityId::new("database", "", "orders")), "database orders");
        assert_eq!(clock(Time::parse("2026-01-02T03:04:05Z").unwrap()), "03:04:05");
        assert_eq!([percent(0.38), percent(0.004), percent(0.0)], ["38 %", "0.4 %", "0 %"]);
        assert_eq!([millis(850.4), millis(4.21), millis(31_000.0)], ["850 ms", "4.2 ms", "31.0 s"]);
        assert_eq!((cut("aé", 2), cut("aé", 3)), ("a", "aé"));
    }
}
