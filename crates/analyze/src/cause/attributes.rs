//! Which attribute values set bad requests apart from good ones: a version, a region, a customer, a route.
//!
//! Each value is a column of a two-by-two table (bad or good, with or without it), and the likelihood ratio of the
//! table (G, Sokal and Rohlf, *Biometry*) says how surprising it is that the bad ones have it more often; the surprise
//! is corrected for the number of values that were tried. Values that the very same requests have are one answer.
//! It fails where what the bad ones share is not written on any span.

use std::collections::BTreeMap;

use math::chance::Chance;
use serde::Serialize;

/// One request: whether it was bad, and what was written on its spans.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// It failed, or was slower than asked.
    pub bad: bool,
    /// Attribute names with their values, each pair once.
    pub marks: Vec<(String, String)>,
}

/// A value that bad requests have more often than good ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Apart {
    /// Name of the attribute.
    pub attribute: String,
    /// The value.
    pub value: String,
    /// Bad requests that have it, and all bad ones.
    pub bad_with: u64,
    /// See `bad_with`.
    pub bad: u64,
    /// Good requests that have it, and all good ones.
    pub good_with: u64,
    /// See `good_with`.
    pub good: u64,
    /// -log10 of the chance of this by luck, corrected for the values tried; 300 at most.
    pub surprise: f64,
    /// Other values that the very same requests have: `attribute=value`.
    pub same: Vec<String>,
}

/// Whether an attribute only says that a request was bad (OpenTelemetry's semantic conventions): a symptom, no reason.
pub fn is_outcome(attribute: &str) -> bool {
    let last = attribute.rsplit('/').next().unwrap_or(attribute);
    let outcomes = ["http.status_code", "http.response.status_code", "rpc.grpc.status_code", "db.response.status_code"];
    let families = ["error", "exception", "otel.status", "http.response.body", "http.response.header"];
    outcomes.contains(&last)
        || families.iter().any(|family| {
            last == *family || last.starts_with(&format!("{family}.")) || last.starts_with(&format!("{family}_"))
        })
}

/// Bad requests that must have a value before it says anything.
const BAD_MIN: u64 = 3;
/// Less than one in a hundred by luck.
const SURPRISE_MIN: f64 = 2.0;
/// Most other values listed with one.
const MOST_SAME: usize = 10;

#[derive(Default)]
struct Count {
    bad: u64,
    good: u64,
    /// Tells sets of requests apart: the sum of a hash of each.
    signature: u64,
}

/// The values that set bad requests apart, the most telling first, at most `most`. Linear in the marks.
pub fn apart(requests: &[Request], most: usize) -> Vec<Apart> {
    let bad = requests.iter().filter(|r| r.bad).count() as u64;
    let good = requests.len() as u64 - bad;
    let mut counts: BTreeMap<(&str, &str), Count> = BTreeMap::new();
    for (i, request) in requests.iter().enumerate() {
        for (name, value) in &request.marks {
            let count = counts.entry((name, value)).or_default();
            *(if request.bad { &mut count.bad } else { &mut count.good }) += 1;
            count.signature = count.signature.wrapping_add(Chance::new(i as u64).bits());
        }
    }
    if bad < BAD_MIN || good == 0 {
        return Vec::new();
    }
    let tried = counts.values().filter(|c| c.bad + c.good >= BAD_MIN).count().max(1) as f64;
    let mut found: Vec<(u64, Apart)> = Vec::new();
    for ((name, value), count) in counts.iter().filter(|(_, count)| count.bad >= BAD_MIN) {
        let surprise = (surprise(count.bad, bad, count.good, good) - tried.log10()).min(300.0);
        if surprise < SURPRISE_MIN {
            continue;
        }
        found.push((
            count.signature,
            Apart {
                attribute: (*name).to_owned(),
                value: (*value).to_owned(),
                bad_with: count.bad,
                bad,
                good_with: count.good,
                good,
                surprise,
                same: Vec::new(),
            },
        ));
    }
    // Shorter names first among those that say the same: `version` before `deployment.environment.version`.
    found.sort_by(|(_, a), (_, b)| {
        let by_length = a.attribute.len().cmp(&b.attribute.len());
        b.surprise.total_cmp(&a.surprise).then(by_length).then((&a.attribute, &a.value).cmp(&(&b.attribute, &b.value)))
    });
    let mut answers: Vec<(u64, Apart)> = Vec::new();
    for (signature, one) in found {
        match answers.iter_mut().find(|(known, _)| *known == signature) {
            Some((_, known)) if known.same.len() < MOST_SAME => {
                known.same.push(format!("{}={}", one.attribute, one.value))
            }
            Some(_) => {}
            None => answers.push((signature, one)),
        }
    }
    answers.truncate(most);
    answers.into_iter().map(|(_, one)| one).collect()
}

/// -log10 of the chance that bad ones have a value this much more often by luck; 0 where they do not.
fn surprise(bad_with: u64, bad: u64, good_with: u64, good: u64) -> f64 {
    let (a, b) = (bad_with as f64, (bad - bad_with) as f64);
    let (c, d) = (good_with as f64, (good - good_with) as f64);
    let (with, without, all) = (a + c, b + d, a + b + c + d);
    if a * (c + d) <= c * (a + b) {
        return 0.0;
    }
    let cell =
        |seen: f64, row: f64, column: f64| if seen > 0.0 { seen * (seen * all / (row * column)).ln() } else { 0.0 };
    let g = 2.0 * (cell(a, a + b, with) + cell(b, a + b, without) + cell(c, c + d, with) + cell(d, c + d, without));
    let z = g.max(0.0).sqrt();
    // Upper tail of the normal, good to a few per cent everywhere and in log space (Karagiannidis and Lioumpas' form).
    let ln_tail = -z * z / 2.0 - (1.64 * z + (0.76 * z * z + 4.0).sqrt()).ln();
    -ln_tail / std::f64::consts::LN_10
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bad: bool, marks: &[(&str, &str)]) -> Request {
        Request { bad, marks: marks.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect() }
    }

    #[test]
    fn the_version_that_fails_is_named_once_with_what_means_the_same() {
        let mut requests = Vec::new();
        for i in 0..400 {
            let new = i % 4 == 0;
            let (version, image) = if new { ("2.1", "abc") } else { ("2.0", "old") };
            let region = ["eu", "us"][i % 2];
            let id = i.to_string();
            let bad = new && i % 8 == 0;
            requests.push(request(
                bad,
                &[("version", version), ("container.image", image), ("region", region), ("id", &id)],
            ));
        }
        let found = apart(&requests, 5);
        assert_eq!((found[0].attribute.as_str(), found[0].value.as_str()), ("version", "2.1"), "{found:#?}");
        assert_eq!(found[0].same, ["container.image=abc"]);
        assert_eq!((found[0].bad_with, found[0].bad, found[0].good_with, found[0].good), (50, 50, 50, 350));
        assert!(found.iter().all(|f| f.attribute != "id"));
    }

    #[test]
    fn what_only_says_that_it_failed_is_no_reason() {
        assert!(
            is_outcome("http.response.status_code") && is_outcome("pay/error.type") && is_outcome("otel.status_code")
        );
        assert!(!is_outcome("http.route") && !is_outcome("service.version") && !is_outcome("errors_seen_by"));
    }

    #[test]
    fn chance_says_nothing() {
        let values: Vec<String> = (0..50).map(|i| format!("c{i}")).collect();
        let mut requests = Vec::new();
        for i in 0..1000_u64 {
            let value = &values[(Chance::new(i).bits() % 50) as usize];
            requests.push(request(
                Chance::new(i ^ 77).bits().is_multiple_of(10),
                &[("customer", value), ("zone", ["a", "b"][(i % 2) as usize])],
            ));
        }
        assert_eq!(apart(&requests, 5), []);
    }

    #[test]
    fn nothing_to_compare_is_no_answer() {
        assert!(apart(&[], 5).is_empty());
        let all_bad: Vec<Request> = (0..9).map(|_| request(true, &[("a", "b")])).collect();
        assert!(apart(&all_bad, 5).is_empty());
        let all_good: Vec<Request> = (0..9).map(|_| request(false, &[("a", "b")])).collect();
        assert!(apart(&all_good, 5).is_empty());
    }

    #[test]
    fn the_tail_is_near_the_normal_one() {
        // 30 of 40 bad ones and 10 of 40 good ones: G = 20.9, z = 4.57, p = 2.4e-6.
        let s = surprise(30, 40, 10, 40);
        assert!((s - 5.6).abs() < 0.1, "{s}");
        assert_eq!(surprise(10, 40, 10, 40), 0.0);
    }
}
