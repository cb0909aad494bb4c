//! Keys and tokens: read from where the settings point, never written.

use std::path::Path;

/// Longest file that is taken for a secret.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// A text that is not shown: no `Display`, no `Serialize`, and `Debug` says only that it is there.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret with this text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text, for the one place that puts it on the wire.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Reads the secret that `secret_env` or `secret_file` points to. The error is the field and what is wrong with it.
pub fn read(
    env_name: Option<&str>,
    file: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Secret>, (&'static str, String)> {
    let (field, text) = match (env_name, file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(("secret_env", "give secret_env or secret_file, not both".into())),
        (Some(name), None) => {
            ("secret_env", env(name).ok_or_else(|| ("secret_env", format!("the environment has no {name}")))?)
        }
        (None, Some(path)) => ("secret_file", read_file(path).map_err(|what| ("secret_file", what))?),
    };
    let text = text.trim();
    if text.is_empty() {
        return Err((field, "what it points to is empty".into()));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err((field, "what it points to has spaces or lines in it: it must be the secret alone".into()));
    }
    Ok(Some(Secret::new(text)))
}

fn read_file(path: &Path) -> Result<String, String> {
    let length = std::fs::metadata(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("{} has {length} bytes, a secret has at most {FILE_BYTES_MAX}", path.display()));
    }
    std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_one_place_and_is_not_shown() {
        let env = |name: &str| match name {
            "KEY" => Some(" abc\n".to_owned()),
            "TWO" => Some("a b".to_owned()),
            "NONE" => Some(" ".to_owned()),
            _ => None,
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from-file\n").unwrap();
        assert_eq!(read(Some("KEY"), None, &env).unwrap(), Some(Secret::new("abc")));
        assert_eq!(read(None, Some(file.path()), &env).unwrap(), Some(Secret::new("from-file")));
        assert_eq!(read(None, None, &env).unwrap(), None);
        for (name, path) in [(Some("TWO"), None), (Some("NONE"), None), (Some("GONE"), None)] {
            assert_eq!(read(name, path, &env).unwrap_err().0, "secret_env");
        }
        assert!(read(Some("KEY"), Some(file.path()), &env).is_err());
        assert_eq!(read(None, Some(Path::new("/nonexistent")), &env).unwrap_err().0, "secret_file");
        assert!(!format!("{:?}", Secret::new("abc")).contains("abc"));
    }
}
