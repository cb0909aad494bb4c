//! What names and values may be: MLflow's limits, in its words.

use serde_json::Value;

use crate::Problem;

/// Longest name of an experiment, characters.
pub const EXPERIMENT_NAME: usize = 500;
/// Longest key of a metric, parameter or tag.
pub const KEY: usize = 250;
/// Longest value of a parameter.
pub const PARAM_VALUE: usize = 6000;
/// Longest value of a run's tag.
pub const TAG_VALUE: usize = 8000;
/// Longest value of an experiment's tag.
pub const EXPERIMENT_TAG_VALUE: usize = 20_000;
/// Longest value of a tag in the registry.
pub const REGISTRY_TAG_VALUE: usize = 100_000;
/// Longest alias.
pub const ALIAS: usize = 255;
/// Most metrics, parameters, tags, and all of them together, in one batch.
pub const METRICS_PER_BATCH: usize = 1000;
/// See [`METRICS_PER_BATCH`].
pub const PARAMS_PER_BATCH: usize = 100;
/// See [`METRICS_PER_BATCH`].
pub const ENTITIES_PER_BATCH: usize = 1000;

/// The sentence about a value that cannot be.
pub fn invalid_value(path: &str, value: &Value, hint: &str) -> Problem {
    let shown = value.to_string();
    Problem::invalid(match hint {
        "" => format!("Invalid value {shown} for parameter '{path}' supplied."),
        hint => format!("Invalid value {shown} for parameter '{path}' supplied: {hint}"),
    })
}

/// The sentence about a value that is not there.
pub fn missing_value(path: &str) -> Problem {
    Problem::invalid(format!("Missing value for required parameter '{path}'."))
}

/// At most so many characters.
pub fn length(what: &str, limit: usize, value: &str) -> Result<(), Problem> {
    let fits = value.len() <= limit || value.chars().count() <= limit;
    if fits {
        return Ok(());
    }
    Err(Problem::invalid(format!("'{what}' exceeds the maximum length of {limit} characters")))
}

/// The longest prefix of at most so many characters: what MLflow stores of long values.
pub fn cut(limit: usize, value: &str) -> String {
    value.char_indices().nth(limit).map_or_else(|| value.to_owned(), |(end, _)| value[..end].to_owned())
}

/// A name of a metric, parameter or tag: plain characters, and as a path only itself.
pub fn key(path: &str, name: &str) -> Result<(), Problem> {
    key_at(|| path.to_owned(), name)
}

/// As [`key`]; where it is, is asked for only when it is wrong.
pub fn key_at(path: impl Fn() -> String, name: &str) -> Result<(), Problem> {
    let is_plain = |c: char| c.is_alphanumeric() || "/_.- :".contains(c);
    if !name.chars().all(is_plain) {
        let hint = "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), \
                    colon(:) and slashes (/).";
        return Err(invalid_value(&path(), &name.into(), hint));
    }
    own_path(path, name)
}

/// As a path a name is only itself.
fn own_path(path: impl Fn() -> String, name: &str) -> Result<(), Problem> {
    // Most names have nothing of a path.
    if !name.is_empty() && !name.contains('/') && !name.starts_with('.') {
        return Ok(());
    }
    let normal = normal_path(name);
    if normal != name || normal == "." || normal.starts_with("..") || normal.starts_with('/') {
        let hint = format!(
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. \
             This name would resolve to '{normal}'"
        );
        return Err(invalid_value(&path(), &name.into(), &hint));
    }
    Ok(())
}

/// A path without `.`, `..` and empty parts, as POSIX has it.
fn normal_path(path: &str) -> String {
    if path.is_empty() {
        return ".".into();
    }
    let slashes = path.len() - path.trim_start_matches('/').len();
    let root = match slashes {
        0 => "",
        2 => "//",
        _ => "/",
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match (part, parts.last()) {
            ("..", Some(last)) if *last != ".." => drop(parts.pop()),
            ("..", None) if !root.is_empty() => {}
            _ => parts.push(part),
        }
    }
    let normal = format!("{root}{}", parts.join("/"));
    if normal.is_empty() { ".".into() } else { normal }
}

/// A run's id.
pub fn run_id(id: &str) -> Result<(), Problem> {
    if is_id(id, 256) { Ok(()) } else { Err(invalid_value("run_id", &id.into(), "")) }
}

/// Letters, digits, `_` and `-`, the first a letter or digit.
pub fn is_id(id: &str, longest: usize) -> bool {
    let mut chars = id.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphanumeric())
        && chars.all(|c| c.is_alphanumeric() || c == '_' || c == '-')
        && id.chars().count() <= longest
}

/// An experiment's id as a number.
pub fn experiment_id(id: &str) -> Result<u64, Problem> {
    id.trim()
        .parse()
        .map_err(|_| Problem::invalid(format!("Invalid experiment ID '{id}'. Experiment ID must be a valid integer.")))
}

/// The name of an experiment.
pub fn experiment_name(name: &str) -> Result<(), Problem> {
    if name.is_empty() {
        return Err(Problem::invalid(format!("Invalid experiment name: '{name}'")));
    }
    length("name", EXPERIMENT_NAME, name)
}

/// The name of a registered model.
pub fn model_name(name: &str) -> Result<(), Problem> {
    if name.trim().is_empty() {
        return Err(missing_value("name"));
    }
    if name.contains(['/', ':']) {
        return Err(Problem::invalid(format!("Invalid model name '{name}'. Names cannot contain '/' or ':'.")));
    }
    own_path(|| "name".to_owned(), name)
}

/// A version's number.
pub fn version(text: &str) -> Result<u64, Problem> {
    text.trim().parse().map_err(|_| Problem::invalid(format!("Parameter 'version' must be an integer, got '{text}'.")))
}

/// An alias as it is written.
pub fn alias(name: &str) -> Result<(), Problem> {
    if name.is_empty() {
        return Err(Problem::invalid("Registered model alias name cannot be empty."));
    }
    if !name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
        return Err(Problem::invalid(format!(
            "Invalid alias name: '{name}'. Names may only contain alphanumerics, underscores (_), and dashes (-)."
        )));
    }
    length("Registered model alias name", ALIAS, name)
}

/// An alias that may be set: not a reserved one.
pub fn free_alias(name: &str) -> Result<(), Problem> {
    alias(name)?;
    if name.eq_ignore_ascii_case("latest") {
        return Err(Problem::invalid("'latest' alias name (case insensitive) is reserved."));
    }
    let digits = name.strip_prefix(['v', 'V']).unwrap_or_default();
    if !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()) {
        return Err(Problem::invalid(format!("Version alias name '{name}' is reserved.")));
    }
    Ok(())
}

/// A metric's number as it is kept: infinities are the largest numbers, as MLflow keeps them.
pub fn finite(value: f64) -> f64 {
    if value.is_nan() { value } else { value.clamp(-f64::MAX, f64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_plain_and_resolve_to_themselves() {
        for good in ["a", "a b", "a/b.c-d:e", "loss é", "a..b"] {
            assert!(key("key", good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "/a", "a/", "a//b", "a/./b", "a/../b", "../b", "a;b", "a\nb", "a\\b", "a%2e"] {
            assert!(key("key", bad).is_err(), "{bad:?}");
        }
        let said = key("name", "a/../b").unwrap_err().message;
        assert!(said.starts_with("Invalid value \"a/../b\" for parameter 'name' supplied: Names may be treated"));
        assert!(said.ends_with("resolve to 'b'"), "{said}");
    }

    #[test]
    fn aliases_and_ids_have_their_rules() {
        for good in ["champion", "prod-2", "latest2", "v", "v1a"] {
            assert!(free_alias(good).is_ok(), "{good}");
        }
        for bad in ["", "latest", "LATEST", "v1", "V22", "a b", "a/b", &"x".repeat(256)] {
            assert!(free_alias(bad).is_err(), "{bad}");
        }
        assert!(run_id("0a_b-c").is_ok() && run_id("_a").is_err() && run_id("a/b").is_err() && run_id("").is_err());
        assert_eq!(experiment_id("12"), Ok(12));
        assert!(experiment_id("x").unwrap_err().message.contains("must be a valid integer"));
        assert!(experiment_id("../1").unwrap_err().message.starts_with("Invalid experiment ID '../1'"));
    }

    #[test]
    fn long_values_are_cut_by_characters_and_infinity_is_the_largest_number() {
        assert_eq!(cut(2, "äöü"), "äö");
        assert_eq!(cut(9, "äöü"), "äöü");
        assert!(length("value", 3, "äöü").is_ok() && length("value", 2, "äöü").is_err());
        assert_eq!((finite(f64::INFINITY), finite(f64::NEG_INFINITY), finite(1.0)), (f64::MAX, -f64::MAX, 1.0));
        assert!(finite(f64::NAN).is_nan());
    }
}
