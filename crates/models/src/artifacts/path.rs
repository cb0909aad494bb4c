//! What a client may call a file.
//!
//! Paths never reach the disk here, but clients join them to folders of their own when they download, and proxies read
//! them on the way. So whatever any of them could take for another place is refused, in this spelling and in any that
//! further percent-decoding would give. What is accepted is used as it is: checked and used are the same text.

use std::borrow::{Borrow, Cow};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Problem;

/// The longest path.
pub const PATH_BYTES_MAX: usize = 1024;
/// The longest name in a path: what common file systems take, since clients download into them.
pub const SEGMENT_BYTES_MAX: usize = 255;
/// The most names in a path.
pub const PATH_DEPTH_MAX: usize = 64;

/// How often a text may be percent-encoded over and over before it is refused without looking further.
const DECODINGS_MAX: usize = 10;

/// A relative path of names divided by `/`, safe to show, to list and to join to a folder on any system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactPath(Box<str>);

impl ArtifactPath {
    /// Takes a path that was percent-decoded once, as every request's is. Refused, with MLflow's "Invalid path": names
    /// that are empty or made of dots and blanks alone, a leading or trailing `/`, `\`, `#`, control characters, drive
    /// letters, and what would decode to any of these or to another `/`.
    pub fn parse(text: &str) -> Result<ArtifactPath, Problem> {
        check_size(text)?;
        let mut spelling = Cow::Borrowed(text);
        for _ in 0..DECODINGS_MAX {
            if !is_safe(&spelling) {
                return Err(invalid());
            }
            let Some(decoded) = percent_decoded(&spelling) else { return Err(invalid()) };
            if decoded == spelling {
                return Ok(ArtifactPath(text.into()));
            }
            let has_new_divider = slashes(&decoded) != slashes(&spelling);
            if has_new_divider {
                return Err(invalid());
            }
            spelling = Cow::Owned(decoded);
        }
        Err(invalid())
    }

    /// Takes the path of a folder, as listings ask for them: nothing is the root, and one trailing `/` is let pass.
    pub fn parse_folder(text: &str) -> Result<Option<ArtifactPath>, Problem> {
        if text.is_empty() {
            return Ok(None);
        }
        ArtifactPath::parse(text.strip_suffix('/').unwrap_or(text)).map(Some)
    }

    /// What `below` is called from here: this path, `/`, and that one.
    pub fn join(&self, below: &str) -> Result<ArtifactPath, Problem> {
        ArtifactPath::parse(&format!("{self}/{below}"))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its last name.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The paths of the folders it is in, the nearest first.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.rmatch_indices('/').map(|(at, _)| &self.0[..at])
    }

    /// A bound for ranges, which need not be a path that a client may use.
    pub(super) fn bound(text: String) -> ArtifactPath {
        ArtifactPath(text.into())
    }
}

fn invalid() -> Problem {
    Problem::invalid("Invalid path")
}

fn check_size(text: &str) -> Result<(), Problem> {
    let too = if text.len() > PATH_BYTES_MAX {
        format!("it is longer than {PATH_BYTES_MAX} bytes")
    } else if text.split('/').any(|segment| segment.len() > SEGMENT_BYTES_MAX) {
        format!("a name in it is longer than {SEGMENT_BYTES_MAX} bytes")
    } else if text.split('/').count() > PATH_DEPTH_MAX {
        format!("it is more than {PATH_DEPTH_MAX} folders deep")
    } else {
        return Ok(());
    };
    Err(Problem::invalid(format!("Invalid path: {too}")))
}

fn slashes(text: &str) -> usize {
    text.matches('/').count()
}

fn is_safe(path: &str) -> bool {
    let has_bad_character = path.contains(|c: char| c == '\\' || c == '#' || c.is_control());
    !has_bad_character && path.split('/').all(is_safe_name)
}

/// Also a leading `/` shows here, as an empty name.
fn is_safe_name(name: &str) -> bool {
    // Some servers cut `..;x` and `..?x`, and Windows cuts `.. ` and `...`, to what is before.
    let head = name.split([';', '?']).next().unwrap_or_default();
    let goes_elsewhere = head.chars().all(|c| c == '.' || c.is_whitespace());
    let mut bytes = name.bytes();
    let has_drive = bytes.next().is_some_and(|b| b.is_ascii_alphabetic()) && bytes.next() == Some(b':');
    !goes_elsewhere && !has_drive
}

/// Every `%` with two hex digits replaced by its byte, once; `None` where that is not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16)).map(|digit| digit as u8);
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = if bytes[at] == b'%' { hex(bytes.get(at + 1)).zip(hex(bytes.get(at + 2))) } else { None };
        match escaped {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).ok()
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for ArtifactPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ArtifactPath {
    type Error = Problem;

    fn try_from(text: String) -> Result<ArtifactPath, Problem> {
        ArtifactPath::parse(&text)
    }
}

impl From<ArtifactPath> for String {
    fn from(path: ArtifactPath) -> String {
        path.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was sent to servers of artifacts to leave their folder, by the way it works; each once decoded already.
    const ATTACKS: &[&str] = &[
        // Up and out.
        "..",
        "../",
        "../../../../etc/passwd",
        "a/../../b",
        "a/..",
        "a/b/../c",
        "./../a",
        ".",
        "./a",
        "a/.",
        "a/./b",
        // From the root.
        "/",
        "/etc/passwd",
        "//etc/passwd",
        "//proc/self/root/etc/passwd",
        "///a",
        "/~/.bashrc",
        // Names that are not there.
        "",
        "a//b",
        "a/",
        "a///",
        // Windows' divider, drives, shares, devices.
        "..\\..\\windows\\win.ini",
        "a\\..\\b",
        "..\\/..\\/a",
        "\\etc\\passwd",
        "\\\\server\\share",
        "C:\\windows",
        "C:/windows",
        "C:a",
        "c:",
        "a/D:/b",
        "//./C:/a",
        "//?/C:/a",
        "...",
        "..../a",
        ".. /a",
        ". ./a",
        " ",
        "..\u{a0}/a",
        // Encoded once more, twice more, with capitals, in part.
        "%2e%2e/%2e%2e/etc/passwd",
        "%2E%2E/a",
        "..%2f..%2fetc%2fpasswd",
        "..%2F..%2Fetc",
        "%2e%2e%2fa",
        ".%2e/a",
        "a%2fb",
        "%2fetc%2fpasswd",
        "..%5c..%5cwindows",
        "a%5cb",
        "%252e%252e/a",
        "%252e%252e%252fa",
        "..%252f..%252fa",
        "..%255c..%255ca",
        "%25252e%25252e%25252fa",
        "a/%2e",
        "a%2f%2e%2e%2fb",
        "%43:/a",
        "C%3a/windows",
        // Bytes that are no text, such as dots in more bytes than needed.
        "%c0%ae%c0%ae/a",
        "%e0%80%ae%e0%80%ae/a",
        "%ff",
        "a%80b",
        // Ends of strings and lines.
        "a\0.png",
        "a%00.png",
        "..%00/a",
        "a\n../b",
        "a\r\nX: y",
        "a%0d%0aX: y",
        "a%250ab",
        "a\u{7f}b",
        "a\u{85}b",
        "a\tb",
        // Parts of addresses.
        "#/../../etc/passwd",
        "a#/../b",
        "a#b",
        "a%23b",
        "a%2523/../b",
        "?/../../etc/passwd",
        "a?/../../b",
        ";/../../etc/passwd",
        "a;/../b",
        "..;/a",
        "..;x=y/a",
        "..?x/a",
        "%2e%2e%3b/a",
        "file:///etc/passwd",
        "file://localhost/etc/passwd",
        "file:/../../etc/passwd",
        "://etc/passwd",
        "http://127.0.0.1/a",
        "s3://bucket/key",
        "mlflow-artifacts:/../a",
        "mlflow-artifacts://host/a",
        "models:/../a",
    ];

    /// Names that look odd and lead nowhere.
    const HARMLESS: &[&str] = &[
        "model/MLmodel",
        "0/4f2b/artifacts/model/data/model.pkl",
        ".hidden",
        "..hidden",
        "a..b/c..",
        "a b.txt",
        "100%.txt",
        "%",
        "100%zz",
        "50%2",
        "a%20b",
        "what?.txt",
        "a;b=c",
        "été/模型.onnx",
        "~tmp",
        "$HOME",
        "ab:c",
        "-rf",
        "&|`'\"<>*",
        "a+b=c,d@e!",
    ];

    #[test]
    fn no_attack_is_a_path() {
        let let_through: Vec<_> = ATTACKS.iter().filter(|text| ArtifactPath::parse(text).is_ok()).collect();
        assert_eq!(let_through, Vec::<&&str>::new());
    }

    #[test]
    fn odd_names_are_kept_as_they_are() {
        for text in HARMLESS {
            assert_eq!(ArtifactPath::parse(text).expect(text).as_str(), *text);
        }
    }

    #[test]
    fn a_refusal_is_mlflows() {
        assert_eq!(ArtifactPath::parse("../a"), Err(Problem::invalid("Invalid path")));
    }

    #[test]
    fn every_attack_stays_one_when_encoded_again() {
        for attack in ATTACKS.iter().filter(|text| !text.is_empty()) {
            let mut text = attack.to_string();
            for depth in 1..=3 {
                text = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
                if text.len() < SEGMENT_BYTES_MAX {
                    assert!(ArtifactPath::parse(&text).is_err(), "{attack:?} encoded {depth} times");
                }
            }
        }
    }

    #[test]
    fn what_is_encoded_without_end_is_refused() {
        let mut text = "a%2561".to_string();
        assert!(ArtifactPath::parse(&text).is_ok());
        for _ in 0..DECODINGS_MAX {
            text = text.replace('%', "%25");
        }
        assert_eq!(ArtifactPath::parse(&text), Err(invalid()));
    }

    #[test]
    fn paths_have_limits() {
        let names = |count: usize, bytes: usize| vec!["n".repeat(bytes); count].join("/");
        for (fits, too_much, why) in [
            (names(1, 255), names(1, 256), "a name in it is longer than 255 bytes"),
            (names(4, 255), names(5, 255), "it is longer than 1024 bytes"),
            (names(64, 1), names(65, 1), "it is more than 64 folders deep"),
        ] {
            ArtifactPath::parse(&fits).unwrap();
            assert_eq!(ArtifactPath::parse(&too_much).unwrap_err().message, format!("Invalid path: {why}"));
        }
    }

    #[test]
    fn folders_may_be_the_root_or_end_in_a_divider() {
        assert_eq!(ArtifactPath::parse_folder(""), Ok(None));
        for text in ["a/b", "a/b/"] {
            assert_eq!(ArtifactPath::parse_folder(text).unwrap().unwrap().as_str(), "a/b");
        }
        for text in ["/", "//", "a//", "../", "/a"] {
            assert!(ArtifactPath::parse_folder(text).is_err(), "{text}");
        }
    }

    #[test]
    fn parts_of_a_path() {
        let path = ArtifactPath::parse("a/b").unwrap().join("c.txt").unwrap();
        assert_eq!((path.as_str(), path.file_name()), ("a/b/c.txt", "c.txt"));
        assert_eq!(path.folders().collect::<Vec<_>>(), ["a/b", "a"]);
        assert!(path.join("../d").is_err() && path.join("").is_err() && path.join("/etc").is_err());
        assert_eq!(ArtifactPath::parse("c").unwrap().file_name(), "c");
    }

    #[test]
    fn what_was_stored_is_checked_when_it_is_read() {
        let path = ArtifactPath::parse("a/b").unwrap();
        assert_eq!(serde_json::to_string(&path).unwrap(), "\"a/b\"");
        assert_eq!(serde_json::from_str::<ArtifactPath>("\"a/b\"").unwrap(), path);
        assert!(serde_json::from_str::<ArtifactPath>("\"a/../b\"").is_err());
    }
}
