//! One pass over a line: words, with what looks like a parameter replaced by `<*>`. No regular expressions.
//!
//! A word (between blanks) is cut at delimiters into atoms; an atom is a parameter where it is a number (with sign,
//! unit or exponent), hexadecimal, an id (`blk_1073741825`), `true`, `false` or `null`, or a value with a digit after
//! `=`. Addresses, hosts with a port, paths, URLs, times, dates and versions are one parameter; so are atoms next to
//! each other: `<*>.<*>`, `<*>:<*>`, `<*>-<*>` and `<*>/<*>`, as in the corrected ground truths of Khan et al. (ICSE
//! 2022).
//!
//! What belongs together is one word even with blanks in it: a number and its unit (`<*> MB`, `<*> bytes (<*> KB)`)
//! and parameters in a row (`<*> <*>`, `<*>, <*>`). So a list of three and a list of five, or a size in KB and one in
//! MB, are two values of one word, and not lines of different length.

use super::PARAMETER;

/// The masked words of a line.
#[derive(Default)]
pub(super) struct Masked {
    text: String,
    ends: Vec<u32>,
    /// Numbers that may still belong to the date that stands last.
    of_date: u8,
}

impl Masked {
    /// Reads a line; of one with several lines the first counts and the rest is one parameter.
    pub fn read(&mut self, line: &str, max_words: usize, max_bytes: usize) {
        self.text.clear();
        self.ends.clear();
        self.of_date = 0;
        let line = line.trim_ascii();
        let (mut first, mut is_cut) = match line.split_once('\n') {
            Some((first, _)) => (first, true),
            None => (line, false),
        };
        if first.len() > max_bytes {
            first = &first[..first.floor_char_boundary(max_bytes)];
            // Half a word says nothing.
            first = first.rfind(' ').map_or(first, |at| &first[..at]);
            is_cut = true;
        }
        let mut words = first.split_ascii_whitespace();
        while let Some(word) = words.next() {
            if self.ends.len() + 1 >= max_words {
                is_cut = true;
                break;
            }
            let start = self.text.len();
            self.word(word);
            if after_equals_quoted(word) {
                // A quoted value of several words: up to the quote's end.
                for rest in words.by_ref() {
                    if let Some(at) = rest.find('"') {
                        self.text.push_str(&rest[at..]);
                        break;
                    }
                }
            }
            self.close(start);
        }
        if is_cut {
            let start = self.text.len();
            self.text.push_str(PARAMETER);
            self.close(start);
        }
    }

    /// Reads the text of a template, in which parameters are marked already; with parameters in a row as one word, or
    /// each as its own.
    pub fn read_template(&mut self, text: &str, are_rows_joined: bool) {
        self.text.clear();
        self.ends.clear();
        self.of_date = 0;
        for word in text.split_ascii_whitespace() {
            let start = self.text.len();
            self.text.push_str(word);
            if !are_rows_joined && word.starts_with(PARAMETER) {
                self.ends.push(self.text.len() as u32);
            } else {
                self.close(start);
            }
        }
    }

    /// Ends the word that began at `start`: on its own, or as a part of the one before.
    fn close(&mut self, start: usize) {
        let word_start = if self.ends.len() < 2 { 0 } else { self.ends[self.ends.len() - 2] as usize };
        let of_date = std::mem::take(&mut self.of_date);
        if of_date > 0 && &self.text[start..] == PARAMETER {
            self.text.truncate(start);
            self.of_date = of_date - 1;
            return;
        }
        if !self.ends.is_empty() && self.text.len() > start {
            let (before, word) = (&self.text[word_start..start], &self.text[start..]);
            if belongs_to(before, word) {
                let joined_date = is_date(before, word);
                if joined_date {
                    self.text.truncate(word_start);
                    self.text.push_str(PARAMETER);
                    self.of_date = 4;
                } else {
                    self.text.insert(start, ' ');
                }
                if let Some(end) = self.ends.last_mut() {
                    *end = self.text.len() as u32;
                }
                return;
            }
        }
        self.ends.push(self.text.len() as u32);
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
        hash = fold_bytes(hash, self.text.as_bytes());
        for end in &self.ends {
            hash = fold(hash ^ u64::from(*end));
        }
        hash
    }

    fn word(&mut self, word: &str) {
        let start = self.text.len();
        let bytes = word.as_bytes();
        if !bytes.iter().any(|b| ROLE[*b as usize] != Role::Letter) {
            self.text.push_str(if is_literal(word) { PARAMETER } else { word });
            return;
        }
        let mut at = 0;
        let mut after_equals = false;
        while at < bytes.len() {
            let whole = whole_length(bytes, at);
            if whole > 0 {
                self.parameter(start);
                at += whole;
                after_equals = false;
                continue;
            }
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
            if is_value || is_parameter(atom) {
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
        // A sign belongs to its number.
        if let Some(before) = so_far.strip_suffix(['-', '+'])
            && before.bytes().next_back().is_none_or(|b| matches!(b, b':' | b'=' | b'(' | b'[' | b',' | b'{'))
        {
            self.text.truncate(start + before.len());
        }
        self.text.push_str(PARAMETER);
    }
}

/// Whether a word and the one before are one: a number and its unit, parameters in a row, the parts of a date.
fn belongs_to(before: &str, word: &str) -> bool {
    let Some(open) = before.strip_suffix(',').or(Some(before)) else { return false };
    if !open.ends_with(PARAMETER) {
        return is_date(before, word) || ends_with_quantity(before) && is_bracketed_unit(before, word);
    }
    let has_comma = open.len() < before.len();
    if let Some(rest) = word.strip_prefix(PARAMETER) {
        return rest.bytes().all(|b| b.is_ascii_punctuation() && b != b'=' && b != b'<');
    }
    !has_comma && (is_unit(word.trim_end_matches([',', '.', ';', ':', ')', ']', '}'])) || is_month_or_day(word))
}

/// `<*> bytes` followed by the same in other words: `(<*>` and then `KB)`.
fn is_bracketed_unit(before: &str, word: &str) -> bool {
    let in_bracket = before.rsplit(' ').next().is_some_and(|last| last == "(<*>");
    word == "(<*>" || in_bracket && word.trim_end_matches([',', '.', ';', ':']).strip_suffix(')').is_some_and(is_unit)
}

/// Whether it ends with a number and its unit, nothing after.
fn ends_with_quantity(before: &str) -> bool {
    let mut words = before.rsplit(' ');
    words.next().is_some_and(is_unit) && words.next().is_some_and(|number| number.ends_with(PARAMETER))
}

fn is_unit(word: &str) -> bool {
    word.len() <= 12
        && matches!(
            word,
            "B" | "KB"
                | "MB"
                | "GB"
                | "TB"
                | "PB"
                | "kB"
                | "KiB"
                | "MiB"
                | "GiB"
                | "TiB"
                | "byte"
                | "bytes"
                | "Bytes"
                | "ns"
                | "us"
                | "ms"
                | "s"
                | "sec"
                | "secs"
                | "min"
                | "mins"
                | "second"
                | "seconds"
                | "minute"
                | "minutes"
                | "hour"
                | "hours"
                | "day"
                | "days"
                | "milliseconds"
                | "microseconds"
                | "MILLISECONDS"
                | "SECONDS"
                | "Hz"
                | "kHz"
                | "MHz"
                | "GHz"
                | "%"
        )
}

/// A weekday's or month's name next to another or to a number.
fn is_date(before: &str, word: &str) -> bool {
    let is_number = |text: &str| text == PARAMETER;
    let (before, word) = (before.trim_end_matches(','), word.trim_end_matches(','));
    (is_month_or_day(before) && (is_number(word) || is_month_or_day(word)))
        || (is_number(before) && is_month_or_day(word))
}

fn is_month_or_day(word: &str) -> bool {
    word.len() == 3
        && matches!(
            word,
            "Jan"
                | "Feb"
                | "Mar"
                | "Apr"
                | "May"
                | "Jun"
                | "Jul"
                | "Aug"
                | "Sep"
                | "Oct"
                | "Nov"
                | "Dec"
                | "Mon"
                | "Tue"
                | "Wed"
                | "Thu"
                | "Fri"
                | "Sat"
                | "Sun"
        )
}

/// Whether a word opens a quoted value after `=` and does not close it.
fn after_equals_quoted(word: &str) -> bool {
    word.split_once("=\"").is_some_and(|(_, value)| !value.contains('"'))
}

/// Length of a parameter of several atoms that begins at `at`; 0 where none does.
fn whole_length(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let is_begin = at == 0 || is_delimiter(bytes[at - 1]);
    if !is_begin {
        return 0;
    }
    let to_path_end = || rest.iter().take_while(|b| !ends_path(**b)).count();
    match rest {
        [b'/', next, ..] if *next != b'/' && !ends_path(*next) && (at == 0 || ends_path(bytes[at - 1])) => {
            to_path_end()
        }
        [drive, b':', b'\\', ..] if drive.is_ascii_alphabetic() => 2 + path_length(&rest[2..]),
        [b'\\', b'\\', next, ..] if next.is_ascii_alphanumeric() && at == 0 => path_length(rest),
        [first, ..] if first.is_ascii_alphanumeric() => address_length(rest),
        _ => 0,
    }
}

fn path_length(rest: &[u8]) -> usize {
    rest.iter().take_while(|b| !matches!(b, b',' | b';' | b'"' | b'\'' | b'(' | b')' | b'[' | b']' | b'|')).count()
}

/// Length of a URL, a UUID, a hardware or IPv6 address, or a host with its port.
fn address_length(rest: &[u8]) -> usize {
    let atom = rest.iter().take_while(|b| !is_delimiter(**b)).count();
    if rest[atom..].starts_with(b"://") && rest.len() > atom + 3 {
        return rest
            .iter()
            .take_while(|b| !matches!(b, b'"' | b'\'' | b'<' | b'>' | b'(' | b')' | b'[' | b']'))
            .count();
    }
    match rest.get(atom) {
        Some(b'-') if atom == 8 && is_uuid(rest) => 36,
        Some(b':') if atom <= 4 => hex_groups_length(rest),
        Some(b'.' | b'-') => host_and_port_length(rest),
        _ => 0,
    }
}

fn is_uuid(rest: &[u8]) -> bool {
    let is_right =
        |(i, b): (usize, &u8)| if matches!(i, 8 | 13 | 18 | 23) { *b == b'-' } else { b.is_ascii_hexdigit() };
    rest.len() >= 36 && rest[..36].iter().enumerate().all(is_right)
}

/// Groups of at most four hexadecimal digits between colons, three at least and a decimal digit in one.
fn hex_groups_length(rest: &[u8]) -> usize {
    let length = rest.iter().take_while(|b| b.is_ascii_hexdigit() || **b == b':').count();
    let groups = rest[..length].split(|b| *b == b':');
    let ends_well = rest.get(length).is_none_or(|b| is_delimiter(*b));
    let (mut count, mut is_short) = (0, true);
    for group in groups {
        count += usize::from(!group.is_empty());
        is_short &= group.len() <= 4;
    }
    let has_digit = rest[..length].iter().any(u8::is_ascii_digit);
    if count >= 3 && is_short && has_digit && ends_well { length - usize::from(rest[length - 1] == b':') } else { 0 }
}

/// `name.of.host:80`: names with dots or dashes and a colon with a number.
fn host_and_port_length(rest: &[u8]) -> usize {
    let name = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')).count();
    if rest.get(name) != Some(&b':') || !rest[..name].contains(&b'.') || !rest[name - 1].is_ascii_alphanumeric() {
        return 0;
    }
    let port = rest[name + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
    let ends_well = rest.get(name + 1 + port).is_none_or(|b| is_delimiter(*b));
    if (1..=5).contains(&port) && ends_well { name + 1 + port } else { 0 }
}

/// Length of the atom at `at`: up to the next delimiter; 0 at a delimiter.
fn atom_length(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let length = rest.iter().take_while(|b| !is_delimiter(**b)).count();
    // An id with a sign: blk_-1608999687919862906.
    if length > 0 && rest[length - 1] == b'_' && rest.get(length) == Some(&b'-') {
        let digits = rest[length + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        return if digits > 0 { length + 1 + digits } else { length };
    }
    length
}

/// What may stand around a path within a word.
fn ends_path(byte: u8) -> bool {
    matches!(
        byte,
        b',' | b'!' | b';' | b':' | b'=' | b'|' | b'"' | b'\'' | b'[' | b']' | b'(' | b')' | b'{' | b'}' | b'<' | b'>'
    )
}

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

fn is_literal(atom: &str) -> bool {
    matches!(atom, "true" | "false" | "null" | "True" | "False" | "None" | "TRUE" | "FALSE" | "NULL" | "nil")
}

/// Whether an atom looks like a value and not like a word of the program.
fn is_parameter(atom: &str) -> bool {
    let bytes = atom.as_bytes();
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let is_hex = || bytes.iter().all(u8::is_ascii_hexdigit);
    if digits == 0 {
        return is_literal(atom) || (bytes.len() >= 8 && is_hex());
    }
    if digits >= 3 || bytes[0].is_ascii_digit() || (bytes.len() >= 4 && is_hex()) {
        return true;
    }
    // A version: v2, V10.
    if digits + 1 == bytes.len() && matches!(bytes[0], b'v' | b'V') {
        return true;
    }
    // A short id behind an underscore: task_7, block_01.
    atom.rsplit_once('_').is_some_and(|(_, tail)| {
        let tail = tail.strip_prefix('-').unwrap_or(tail);
        !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Hash of bytes, going on from `hash`.
pub(super) fn fold_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        hash = fold(hash ^ u64::from_le_bytes(*chunk));
    }
    let tail = rest.iter().fold(rest.len() as u64, |word, byte| word << 8 | u64::from(*byte));
    fold(hash ^ tail)
}

fn fold(word: u64) -> u64 {
    let product = u128::from(word) * 0xd6e8_feb8_6659_fd93_a076_1d64_78bd_642f_u128.wrapping_shr(64);
    (product as u64) ^ (product >> 64) as u64
}
