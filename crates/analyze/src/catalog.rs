//! All analyses, in the order in which they run within a stratum. Adding one is one file and one line here.

use view::Analysis;

use crate::{cause, detect, forecast};

/// The catalogue. Documentation, settings and checks are made from it.
pub static ALL: [Analysis; 13] = [
    detect::metric::ANALYSIS,
    detect::joint::ANALYSIS,
    detect::resource::ANALYSIS,
    detect::requests::ANALYSIS,
    detect::request_counters::ANALYSIS,
    detect::slo::ANALYSIS,
    detect::map::ANALYSIS,
    detect::logs::ANALYSIS,
    detect::log_values::ANALYSIS,
    detect::log_sessions::ANALYSIS,
    detect::models::ANALYSIS,
    forecast::exhaustion::ANALYSIS,
    cause::root_cause::ANALYSIS,
];

#[cfg(test)]
mod tests {
    #[test]
    fn every_analysis_passes_the_shared_checks() {
        for analysis in &super::ALL {
            crate::checks::check(analysis);
        }
    }

    #[test]
    fn names_are_unique_and_defaults_are_in_range() {
        let names: std::collections::BTreeSet<_> = super::ALL.iter().map(|a| a.name).collect();
        assert_eq!(names.len(), super::ALL.len());
        for param in super::ALL.iter().flat_map(|a| a.params) {
            assert!((param.range.0..=param.range.1).contains(&param.default), "{}", param.name);
        }
    }
}
