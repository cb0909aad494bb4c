//! Kinds of change, and which of them can break something.
//!
//! This is the one list: who looks for causes, who grades a baseline anew and who shows a timeline all ask here. A kind
//! is what stands behind `change.` in an event's kind.

/// Kinds that alter what runs: any of them may be why something broke.
///
/// A `rollout` is a deployment that began (its end is the `deployment`), `version` is a new version that a service
/// says of itself, `removal` and `published` are a service taken away and put before its users, `infrastructure` is an
/// environment or machine that was changed, `action` is what Bellwether did itself.
pub const CAN_BREAK: [&str; 13] = [
    "deployment",
    "rollout",
    "rollback",
    "config",
    "flag",
    "scaling",
    "certificate",
    "model_promotion",
    "infrastructure",
    "removal",
    "published",
    "version",
    "action",
];

/// Kinds that alter nothing that runs: shown beside a story, never its cause. What they lead to comes as a change of
/// its own.
pub const ONLY_SHOWN: [&str; 11] =
    ["merge", "push", "tag", "release", "pipeline", "check", "test", "artifact", "failed_deployment", "window", "note"];

/// Other words for a kind, as people and pipelines write them.
const ALSO_CALLED: [(&str, &str); 22] = [
    ("deploy", "deployment"),
    ("deployed", "deployment"),
    ("upgrade", "deployment"),
    ("roll_back", "rollback"),
    ("rolledback", "rollback"),
    ("revert", "rollback"),
    ("configuration", "config"),
    ("config_change", "config"),
    ("feature_flag", "flag"),
    ("feature-flag", "flag"),
    ("featureflag", "flag"),
    ("toggle", "flag"),
    ("scale", "scaling"),
    ("autoscaling", "scaling"),
    ("cert", "certificate"),
    ("certificate_renewal", "certificate"),
    ("promotion", "model_promotion"),
    ("model-promotion", "model_promotion"),
    ("merged", "merge"),
    ("pull_request", "merge"),
    ("merge_request", "merge"),
    ("build", "pipeline"),
];

/// The one word for a kind; a kind that is not known stays as it is.
pub fn usual_kind(kind: &str) -> &str {
    ALSO_CALLED.iter().find(|(other, _)| *other == kind).map_or(kind, |(_, usual)| usual)
}

/// Whether a change of this kind (without `change.`) can break something. A kind that somebody made up counts: who
/// announces a `migration` knows why.
pub fn can_break(kind: &str) -> bool {
    !ONLY_SHOWN.contains(&usual_kind(kind))
}

/// The kind of change that an event's kind names, if it can break something: `change.config` gives `config`.
pub fn breaking_kind(event_kind: &str) -> Option<&str> {
    event_kind.strip_prefix("change.").filter(|kind| can_break(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_apart_and_each_word_leads_to_one_of_them() {
        assert!(CAN_BREAK.iter().all(|kind| can_break(kind) && !ONLY_SHOWN.contains(kind)));
        assert!(ONLY_SHOWN.iter().all(|kind| !can_break(kind)));
        let known = |kind: &str| CAN_BREAK.contains(&kind) || ONLY_SHOWN.contains(&kind);
        assert!(ALSO_CALLED.iter().all(|(other, usual)| known(usual) && !known(other)));
    }

    #[test]
    fn what_people_write_is_brought_to_one_word() {
        assert_eq!(
            [usual_kind("deploy"), usual_kind("feature-flag"), usual_kind("dns")],
            ["deployment", "flag", "dns"]
        );
        assert_eq!(breaking_kind("change.scaling"), Some("scaling"));
        assert_eq!(breaking_kind("change.merge"), None);
        assert_eq!(breaking_kind("change.pull_request"), None);
        assert_eq!(breaking_kind("change.dns"), Some("dns"), "made up kinds count");
        assert_eq!(breaking_kind("alert"), None);
    }
}
