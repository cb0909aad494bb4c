//! One pass over a line: words, with what looks like a parameter replaced by `<*>`. No regular expressions.
//!
//! A word (between blanks) is cut at delimiters into atoms; an atom is a parameter where it is a number (with sign,
//! unit or exponent), hexadecimal, an id (`blk_1073741825`), or a value with a digit after `=`. Addresses, paths, URLs, times and
//! versions follow from atoms next to each other: `<*>.<*>`, `<*>:<*>`, `<*>-<*>` and `<*>/<*>` are one parameter, as
//! in the corrected ground truths of Khan et al. (ICSE 2022).

/// The masked words of a line.
#[derive(Default)]
pub(super) struct Masked {
    text: String,
    ends: Vec<u32>,
}

impl Masked {
    /// Reads a line; of one with several lines the first counts and the rest is one parameter.
    pub fn read(&mut self, line: &str, max_words: usize, max_bytes: usize) {
        self.text.clear();
        self.ends.clear();
        let line = line.trim_ascii();
        let (mut first, mut is_cut) = match line.split_once('\n') {
            Some((first, _)) => (first, true),
            None => (line, false),
        };
        if first.len() > max_bytes {
            first = &first[..first.floor_char_boundary(max_bytes)];
            is_cut = true;
        }
        for word in first.split_ascii_whitespace() {
            if self.ends.len() + 1 >= max_words {
                is_cut = true;
                break;
            }
            self.word(word);
            self.ends.push(self.text.len() as u32);
        }
        if is_cut {
            self.text.push_str(PARAMETER);
            self.ends.push(self.text.len() as u32);
        }
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let word = self.text.get(start..*end as usize).unwrap_or("");
            start = *end as usize;
            word
        })
    }

    /// Identity of the masked line: its words and where they end.
    pub fn hash(&self) -> u64 {
        let mut hash = self.ends.len() as u64 ^ 0x9e37_79b9_7f4a_7c15;
        let (chunks, rest) = self.text.as_bytes().as_chunks::<8>();
        for chunk in chunks {
            hash = fold(hash ^ u64::from_le_bytes(*chunk));
        }
        let tail = rest.iter().fold(rest.len() as u64, |word, byte| word << 8 | u64::from(*byte));
        hash = fold(hash ^ tail);
        for end in &self.ends {
            hash = fold(hash ^ u64::from(*end));
        }
        hash
    }

    fn word(&mut self, word: &str) {
        let start = self.text.len();
        let bytes = word.as_bytes();
        if !bytes.iter().any(|b| ROLE[*b as usize] != Role::Letter) {
            self.text.push_str(word);
            return;
        }
        if is_url(word) {
            self.text.push_str(PARAMETER);
            return;
        }
        let mut at = 0;
        let mut after_equals = false;
        while at < bytes.len() {
            let length = atom_length(bytes, at);
            if length == 0 {
                self.text.push(char::from(bytes[at]));
                after_equals = bytes[at] == b'=';
                at += 1;
                continue;
            }
            // Delimiters are ASCII, so an atom always ends between characters.
            let atom = word.get(at..at + length).unwrap_or("");
            let is_value = after_equals && atom.bytes().any(|b| b.is_ascii_digit());
            if is_value || bytes[at] == b'/' || is_parameter(atom) {
                self.parameter(start);
            } else {
                self.text.push_str(atom);
            }
            after_equals = after_equals && !bytes.get(at + length).is_some_and(|b| ends_path(*b));
            at += length;
        }
    }

    /// Writes a parameter; one that follows another with a joint between them makes one of both.
    fn parameter(&mut self, start: usize) {
        let so_far = &self.text[start..];
        let joined = so_far.strip_suffix([':', '.', '-', '/', '@', '#', '+', ',']).unwrap_or(so_far);
        if joined.ends_with(PARAMETER) {
            self.text.truncate(start + joined.len());
            return;
        }
        // A host and its port.
        // A sign at the start belongs to its number.
        if so_far == "-" || so_far == "+" {
            self.text.truncate(start);
        }
        self.text.push_str(PARAMETER);
    }
}

/// Length of the atom at `at`: up to the next delimiter or, for a path (`/a/b`), to what ends a path; 0 at a delimiter.
fn atom_length(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let is_path_start = rest[0] == b'/'
        && rest.get(1).is_some_and(|b| *b != b'/' && !ends_path(*b))
        && (at == 0 || ends_path(bytes[at - 1]));
    if is_path_start {
        return rest.iter().take_while(|b| !ends_path(**b)).count();
    }
    rest.iter().take_while(|b| !is_delimiter(**b)).count()
}

/// What may stand around a path within a word.
fn ends_path(byte: u8) -> bool {
    matches!(
        byte,
        b',' | b'!' | b';' | b':' | b'=' | b'|' | b'"' | b'\'' | b'[' | b']' | b'(' | b')' | b'{' | b'}' | b'<' | b'>'
    )
}

use super::PARAMETER;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Letter,
    Digit,
    Delimiter,
}

const ROLE: [Role; 256] = {
    let mut roles = [Role::Letter; 256];
    let mut i = 0;
    while i < 128 {
        if (i as u8).is_ascii_digit() {
            roles[i] = Role::Digit;
        }
        i += 1;
    }
    let delimiters = b"=:,;()[]{}\"'<>|.-+@#$%&/\\!";
    let mut i = 0;
    while i < delimiters.len() {
        roles[delimiters[i] as usize] = Role::Delimiter;
        i += 1;
    }
    roles
};

fn is_delimiter(byte: u8) -> bool {
    ROLE[byte as usize] == Role::Delimiter
}

fn is_url(word: &str) -> bool {
    word.contains("://") && word.len() > 6
}

/// Whether an atom looks like a value and not like a word of the program.
fn is_parameter(atom: &str) -> bool {
    let bytes = atom.as_bytes();
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return matches!(atom, "true" | "false" | "null" | "True" | "False" | "None");
    }
    if digits >= 3 || bytes[0].is_ascii_digit() {
        return true;
    }
    // A short id behind an underscore: task_7, block_01.
    atom.rsplit_once('_').is_some_and(|(_, tail)| !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit()))
}

fn fold(word: u64) -> u64 {
    let product = u128::from(word) * 0xd6e8_feb8_6659_fd93_a076_1d64_78bd_642f_u128.wrapping_shr(64);
    (product as u64) ^ (product >> 64) as u64
}
