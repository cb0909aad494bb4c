//! Personal data that is told by its form: mail addresses, numbers with check digits, network addresses, dates.

use super::{Kind, Span};

const DIGIT: u8 = 1;
const AT: u8 = 2;
const COLON: u8 = 3;
const DOT: u8 = 4;

/// What a byte may begin; 0 for nearly all.
const MARKS: [u8; 256] = {
    let mut marks = [0; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        marks[digit as usize] = DIGIT;
        digit += 1;
    }
    marks[b'@' as usize] = AT;
    marks[b':' as usize] = COLON;
    marks[b'.' as usize] = DOT;
    marks
};

/// Spans in order, apart from each other. In prose a number of the length of a phone number is one, in telemetry only
/// what is written as one.
pub fn spans(text: &str, is_prose: bool) -> Vec<Span> {
    let bytes = text.as_bytes();
    let mut found: Vec<Span> = Vec::new();
    let mut at = 0;
    while let Some(mark) = next_mark(bytes, at) {
        let from = found.last().map_or(0, |last| last.end);
        let (span, next) = match MARKS[bytes[mark] as usize] {
            DIGIT => number(text, mark, from, is_prose),
            AT => (mail(bytes, mark, from), mark + 1),
            COLON => (url(bytes, mark, from).or_else(|| address_v6(bytes, mark, from)), mark + 1),
            _ => (domain(bytes, mark, from), mark + 1),
        };
        at = next.max(mark + 1);
        if let Some(span) = span {
            at = at.max(span.end);
            found.push(span);
        }
    }
    found
}

/// Eight places at a time: in most text there is nothing at any of them.
fn next_mark(text: &[u8], mut at: usize) -> Option<usize> {
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        if block.iter().fold(0, |any, byte| any | MARKS[*byte as usize]) != 0 {
            break;
        }
        at += 8;
    }
    (at..text.len()).find(|at| MARKS[text[*at] as usize] != 0)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn is_word_at(text: &[u8], at: usize) -> bool {
    text.get(at).is_some_and(|byte| is_word(*byte))
}

/// How many bytes before `at` are so, none before `from`.
fn run_before(text: &[u8], from: usize, at: usize, is_so: impl Fn(u8) -> bool) -> usize {
    // A host or mailbox has at most 254 bytes, so no byte is read again and again.
    text[from.max(at.saturating_sub(254))..at].iter().rev().take_while(|byte| is_so(**byte)).count()
}

fn run_after(text: &[u8], at: usize, is_so: impl Fn(u8) -> bool) -> usize {
    text.get(at..).map_or(0, |rest| rest.iter().take(2048).take_while(|byte| is_so(**byte)).count())
}

fn mail(text: &[u8], at: usize, from: usize) -> Option<Span> {
    let is_local = |b: u8| b.is_ascii_alphanumeric() || b"._%+-'".contains(&b);
    let start = at - run_before(text, from, at, is_local);
    let start = start + text[start..at].iter().take_while(|b| !b.is_ascii_alphanumeric()).count();
    let end = host_end(text, at + 1)?;
    (start < at && text[at + 1..end].contains(&b'.')).then_some(Span { start, end, kind: Kind::Email })
}

/// End of a host name that begins at `at`: labels with dots between, the last of two or more letters.
fn host_end(text: &[u8], at: usize) -> Option<usize> {
    let length = run_after(text, at, |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    let end = at + length - text[at..at + length].iter().rev().take_while(|b| matches!(b, b'.' | b'-')).count();
    let last = text[at..end].rsplit(|b| *b == b'.').next()?;
    (last.len() >= 2 && last.iter().all(u8::is_ascii_alphabetic)).then_some(end)
}

fn url(text: &[u8], at: usize, from: usize) -> Option<Span> {
    if !text[at..].starts_with(b"://") {
        return None;
    }
    let start = at - run_before(text, from, at, |b| b.is_ascii_alphanumeric() || b == b'+');
    let rest = run_after(text, at + 3, |b| b.is_ascii_graphic() && !b"\"'<>(){}[]|\\^`".contains(&b));
    let end = at + 3 + rest;
    let end = end - text[at + 3..end].iter().rev().take_while(|b| b".,;:!?".contains(b)).count();
    (start < at && end > at + 3).then_some(Span { start, end, kind: Kind::Domain })
}

/// Top-level domains that are taken without a scheme; others are too often the ends of file names.
const TOP: [&str; 52] = [
    "com", "org", "net", "edu", "gov", "info", "biz", "io", "co", "uk", "de", "fr", "it", "es", "nl", "be", "at", "ch",
    "se", "no", "dk", "fi", "pl", "cz", "hu", "pt", "gr", "ie", "ru", "ua", "eu", "us", "ca", "au", "nz", "jp", "cn",
    "in", "br", "mx", "za", "kr", "tv", "me", "app", "dev", "online", "shop", "site", "xyz", "ai", "si",
];

/// A host without a scheme; the dot is its last one before the top-level domain.
fn domain(text: &[u8], at: usize, from: usize) -> Option<Span> {
    let length = run_after(text, at + 1, |b| b.is_ascii_alphabetic());
    let end = at + 1 + length;
    let top = text.get(at + 1..end)?;
    let goes_on = text.get(end) == Some(&b'.') && text.get(end + 1).is_some_and(u8::is_ascii_alphabetic);
    if !(2..=6).contains(&length) || goes_on || is_word_at(text, end) || matches!(text.get(end), Some(b'@' | b'-')) {
        return None;
    }
    if !TOP.iter().any(|known| top.eq_ignore_ascii_case(known.as_bytes())) {
        return None;
    }
    let start = at - run_before(text, from, at, |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    let is_cut = start > 0 && (is_word(text[start - 1]) || matches!(text[start - 1], b'/' | b'@' | b'\\' | b'$'));
    // "done.in the" is a lost blank: a host of one label is long enough, and the top-level domain is in lower case.
    let is_host = at - start >= 3 && text[start].is_ascii_alphanumeric() && top.iter().all(u8::is_ascii_lowercase);
    let end = end + path_length(text, end);
    (is_host && !is_cut).then_some(Span { start, end, kind: Kind::Domain })
}

fn path_length(text: &[u8], at: usize) -> usize {
    let length =
        if text.get(at) == Some(&b'/') { run_after(text, at, |b| b.is_ascii_graphic() && b != b'"') } else { 0 };
    length - text[at..at + length].iter().rev().take_while(|b| b".,;:!?)".contains(b)).count()
}

fn address_v6(text: &[u8], at: usize, from: usize) -> Option<Span> {
    let is_group = |b: u8| b.is_ascii_hexdigit();
    let start = at - run_before(text, from.max(at.saturating_sub(5)), at, is_group);
    if start > 0 && (is_word(text[start - 1]) || text[start - 1] == b':') {
        return None;
    }
    let length = run_after(text, start, |b| is_group(b) || b == b':');
    let found = text.get(start..start + length)?;
    let parts: Vec<&[u8]> = found.split(|b| *b == b':').collect();
    let double = found.windows(2).filter(|pair| pair == b"::").count();
    let groups = parts.iter().filter(|part| !part.is_empty()).count();
    let is_right = parts.iter().all(|part| part.len() <= 4)
        && (groups == 8 && double == 0 || groups >= 2 && double == 1 && groups < 8)
        && !is_word_at(text, start + length)
        && found.last() != Some(&b':');
    is_right.then_some(Span { start, end: start + length, kind: Kind::IpAddress })
}

/// A run of digits with separators, as people write numbers.
struct Run<'a> {
    start: usize,
    end: usize,
    digits: Vec<u8>,
    text: &'a [u8],
    /// What stands before it, in lower case: enough for a few words.
    context: String,
    is_prose: bool,
}

fn number(text: &str, at: usize, from: usize, is_prose: bool) -> (Option<Span>, usize) {
    let bytes = text.as_bytes();
    let first = at + run_after(bytes, at, |b| b.is_ascii_digit());
    if at > 0 && is_word(bytes[at - 1]) {
        return (iban(bytes, at), first);
    }
    // Nothing of interest has less than six digits with its separators.
    let length = run_length(bytes, at);
    let end = at + length;
    if length < 7 {
        return (None, end);
    }
    let opened = run_before(bytes, from, at, |b| b == b'(' || b == b'+');
    let start = at - opened;
    let digits: Vec<u8> = bytes[at..end].iter().filter(|b| b.is_ascii_digit()).map(|b| b - b'0').collect();
    let run = Run { start, end, digits, text: bytes, context: context(text, start), is_prose };
    match run.kind(at) {
        Some((kind, start, end)) => (Some(Span { start, end, kind }), end),
        // What is no number as a whole may begin with one: "69 2010-01-02".
        None if first < end && first < at + 4 && bytes[first] == b' ' => (None, first),
        None => (None, end),
    }
}

/// Length of the digits and single separators from `at` on, without separators at the end.
fn run_length(text: &[u8], at: usize) -> usize {
    let (mut end, mut i) = (at, at);
    while let Some(byte) = text.get(i).filter(|_| i < at + 40) {
        if byte.is_ascii_digit() {
            end = i + 1;
        } else if !b" -./():".contains(byte) || i >= end + 2 {
            break;
        }
        i += 1;
    }
    end - at
}

/// Up to 48 bytes before `at`, in lower case.
fn context(text: &str, at: usize) -> String {
    let from = (at.saturating_sub(48)..=at).find(|from| text.is_char_boundary(*from)).unwrap_or(at);
    text[from..at].to_ascii_lowercase()
}

impl Run<'_> {
    fn kind(&self, first: usize) -> Option<(Kind, usize, usize)> {
        let plain = &self.text[first..self.end];
        let ends_well = !is_word_at(self.text, self.end) || self.phone_end() > self.end;
        if let Some(length) = date_length(plain) {
            return Some((Kind::DateTime, first, first + length));
        }
        if is_v4(plain) && ends_well {
            return Some((Kind::IpAddress, first, self.end));
        }
        if !ends_well {
            return self.spanish_id(plain, first);
        }
        if self.is_social_security(plain) {
            return Some((Kind::UsSsn, first, self.end));
        }
        if self.is_card(plain) {
            return Some((Kind::CreditCard, first, self.end));
        }
        if self.is_national_id() {
            return Some((Kind::NationalId, first, self.end));
        }
        self.is_phone(plain, first).then(|| (Kind::Phone, self.start, self.phone_end()))
    }

    fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.context.contains(word))
    }

    fn is_social_security(&self, plain: &[u8]) -> bool {
        let is_form =
            plain.len() == 11 && [3, 6].iter().all(|i| matches!(plain[*i], b'-' | b' ')) && self.digits.len() == 9;
        let is_named = self.digits.len() == 9 && self.says(&["ssn", "social security"]);
        let part = |from: usize, to: usize| self.digits[from..to].iter().fold(0, |n, d| n * 10 + u32::from(*d));
        (is_form && plain[3] == plain[6] || is_named)
            && !matches!(part(0, 3), 0 | 666 | 900..)
            && part(3, 5) != 0
            && part(5, 9) != 0
    }

    /// Luhn's check digit, and a first digit that card networks have.
    fn is_card(&self, plain: &[u8]) -> bool {
        let is_even = plain.iter().all(|b| b.is_ascii_digit() || matches!(b, b' ' | b'-'));
        let is_known = matches!(self.digits.first(), Some(2..=6)) || self.says(&["card"]);
        is_even && is_known && (12..=19).contains(&self.digits.len()) && luhn(&self.digits)
    }

    /// Numbers with check digits that are named before: PESEL (Poland) and NHS (England).
    fn is_national_id(&self) -> bool {
        let sum = |weights: &[u32]| weights.iter().zip(&self.digits).map(|(w, d)| w * u32::from(*d)).sum::<u32>();
        match self.digits.len() {
            11 => self.says(&["pesel"]) && sum(&[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]) % 10 == 0,
            10 => self.says(&["nhs"]) && sum(&[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]) % 11 == 0,
            _ => false,
        }
    }

    /// Eight digits and the letter that their remainder by 23 gives.
    fn spanish_id(&self, plain: &[u8], first: usize) -> Option<(Kind, usize, usize)> {
        const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
        let number = self.digits.iter().fold(0_usize, |n, d| (n * 10 + usize::from(*d)) % 230_000_000);
        let is_right = plain.len() == 8
            && self.digits.len() == 8
            && self.text.get(self.end) == Some(&LETTERS[number % 23])
            && !is_word_at(self.text, self.end + 1);
        is_right.then_some((Kind::NationalId, first, self.end + 1))
    }

    fn is_phone(&self, plain: &[u8], first: usize) -> bool {
        let count = self.digits.len();
        let lead = &self.text[self.start..first];
        if plain.contains(&b':') || plain.contains(&b'/') && !self.is_prose || !(7..=15).contains(&count) {
            return false;
        }
        // A postal code of the United States, and what stands in brackets of its own.
        if is_long_postal_code(plain) || plain.contains(&b'(') && !plain.contains(&b')') {
            return false;
        }
        if lead.contains(&b'+') || (lead.contains(&b'(') && plain.contains(&b')')) {
            return true;
        }
        let groups: Vec<usize> =
            plain.split(|b| !b.is_ascii_digit()).map(<[u8]>::len).filter(|length| *length > 0).collect();
        let is_american = matches!(groups[..], [3, 3, 4] | [1, 3, 3, 4]);
        let is_trunk = self.digits[0] == 0 && groups.len() >= 2 && count >= 9 && groups.iter().all(|g| *g >= 2);
        let is_even =
            groups.len() >= 3 && count >= 8 && groups.iter().all(|g| (2..=4).contains(g)) && !plain.contains(&b'.');
        let words =
            ["phone", "call", "tel", "mobile", "cell", "fax", "reach", "contact", "number", "text", "dial", "line"];
        let is_grouped = groups.len() >= 2 && groups[..] != [5, 4] && groups.iter().all(|g| (2..=8).contains(g));
        let is_plausible = is_grouped || self.digits[0] == 0 && count >= 9 || count >= 10;
        if self.is_prose && is_plausible && count >= 7 && !(groups.len() == 1 && count > 12) {
            return true;
        }
        is_american || is_trunk || is_even && groups.len() <= 5 || self.says(&words)
    }

    /// With an extension, as in `x123` and ` ext. 12`.
    fn phone_end(&self) -> usize {
        let rest = &self.text[self.end..];
        let blanks = usize::from(rest.first() == Some(&b' '));
        let marks: [&[u8]; 4] = [b"x", b"ext. ", b"ext ", b"ext"];
        let mark = marks.iter().find(|mark| rest[blanks..].starts_with(mark)).map_or(0, |mark| mark.len());
        let digits = run_after(rest, blanks + mark, |b| b.is_ascii_digit());
        if mark > 0 && digits > 0 { self.end + blanks + mark + digits } else { self.end }
    }
}

fn is_long_postal_code(plain: &[u8]) -> bool {
    plain.len() == 10 && plain[5] == b'-'
}

pub fn luhn(digits: &[u8]) -> bool {
    let double = |d: u8| u32::from(d) * 2 / 10 + u32::from(d) * 2 % 10;
    let of = |(i, d): (usize, &u8)| if i % 2 == 1 { double(*d) } else { u32::from(*d) };
    digits.iter().rev().enumerate().map(of).sum::<u32>() % 10 == 0 && digits.iter().any(|d| *d != 0)
}

fn is_v4(plain: &[u8]) -> bool {
    let parts: Vec<&[u8]> = plain.split(|b| *b == b'.').collect();
    let is_part = |part: &&[u8]| {
        (1..=3).contains(&part.len())
            && part.iter().all(u8::is_ascii_digit)
            && part.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')) < 256
    };
    parts.len() == 4 && parts.iter().all(is_part)
}

/// Length of a date of day, month and year in figures at the begin, with the time that follows.
fn date_length(text: &[u8]) -> Option<usize> {
    let separator = *text.iter().find(|b| !b.is_ascii_digit()).filter(|b| b"-/.".contains(b))?;
    let mut parts = text.splitn(3, |b| *b == separator);
    let (a, b, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let last = run_after(rest, 0, |b| b.is_ascii_digit());
    let value =
        |part: &[u8]| part.iter().try_fold(0_u32, |n, d| d.is_ascii_digit().then(|| n * 10 + u32::from(d - b'0')));
    let c = rest.get(..last).filter(|part| (1..=4).contains(&part.len()))?;
    let (x, y, z) = (value(a)?, value(b)?, value(c)?);
    let is_day_and_month = |p: u32, q: u32| (1..=31).contains(&p) && (1..=31).contains(&q) && p.min(q) <= 12;
    let is_year = |part: &[u8], n: u32| part.len() == 4 && (1900..2100).contains(&n);
    let short = |part: &[u8]| (1..=2).contains(&part.len());
    let is_date = is_year(a, x) && short(b) && short(c) && is_day_and_month(y, z)
        || is_year(c, z) && short(a) && short(b) && is_day_and_month(x, y)
        || separator == b'/' && c.len() == 2 && short(a) && short(b) && is_day_and_month(x, y);
    let length = a.len() + b.len() + 2 + last;
    is_date.then(|| length + time_length(&text[length..]))
}

/// ` 12:34` and ` 12:34:56` after a date.
fn time_length(text: &[u8]) -> usize {
    let is_clock = |length: usize| {
        text.get(1..length).is_some_and(|clock| {
            clock.iter().enumerate().all(|(i, b)| if i % 3 == 2 { *b == b':' } else { b.is_ascii_digit() })
        })
    };
    match text.first() {
        Some(b' ') if is_clock(9) => 9,
        Some(b' ') if is_clock(6) => 6,
        _ => 0,
    }
}

/// An IBAN whose digits begin at `at`: two capitals before, the remainder by 97 is 1 (ISO 13616).
fn iban(text: &[u8], at: usize) -> Option<Span> {
    let start = at.checked_sub(2)?;
    if !text[start..at].iter().all(u8::is_ascii_uppercase) || (start > 0 && is_word(text[start - 1])) {
        return None;
    }
    let near = &text[..text.len().min(start + 42)];
    let length = run_after(near, start, |b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ');
    // The longest that checks; what follows an IBAN in groups may look like one more group.
    let ends = (start + 15..=start + length).rev().filter(|end| text[end - 1] != b' ' && !is_word_at(text, *end));
    let is_right = |end: &usize| {
        let code: Vec<u8> = text[start..*end].iter().copied().filter(|b| *b != b' ').collect();
        (15..=34).contains(&code.len()) && code[2..4].iter().all(u8::is_ascii_digit) && remainder_97(&code) == 1
    };
    let end = ends.take(24).find(is_right)?;
    Some(Span { start, end, kind: Kind::Iban })
}

fn remainder_97(code: &[u8]) -> u32 {
    code[4..].iter().chain(&code[..4]).fold(0, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&str, Kind)> {
        spans(text, false).into_iter().map(|span| (&text[span.start..span.end], span.kind)).collect()
    }

    #[test]
    fn each_form_is_found_as_it_is() {
        let cases = [
            ("write to <Bob.o'Neil+x@mail.example.co.uk>.", "Bob.o'Neil+x@mail.example.co.uk", Kind::Email),
            ("card 4111 1111 1111 1111 lost", "4111 1111 1111 1111", Kind::CreditCard),
            ("pay 378282246310005.", "378282246310005", Kind::CreditCard),
            ("to GB82 WEST 1234 5698 7654 32 now", "GB82 WEST 1234 5698 7654 32", Kind::Iban),
            ("IBAN DE89370400440532013000", "DE89370400440532013000", Kind::Iban),
            ("id 078-05-1120", "078-05-1120", Kind::UsSsn),
            ("my ssn 078051120", "078051120", Kind::UsSsn),
            ("from 192.168.0.254 port", "192.168.0.254", Kind::IpAddress),
            ("at 2001:db8::ff00:42:8329 x", "2001:db8::ff00:42:8329", Kind::IpAddress),
            ("see https://a.example/x?y=1, then", "https://a.example/x?y=1", Kind::Domain),
            ("see www.example.com/a.", "www.example.com/a", Kind::Domain),
            ("ring +44 20 7946 0958 now", "+44 20 7946 0958", Kind::Phone),
            ("ring (555) 123-4567 x12", "(555) 123-4567 x12", Kind::Phone),
            ("ring 555-123-4567", "555-123-4567", Kind::Phone),
            ("born 1990-02-28", "1990-02-28", Kind::DateTime),
            ("on 31/12/1999 23:59:59 it", "31/12/1999 23:59:59", Kind::DateTime),
            ("dni 12345678Z", "12345678Z", Kind::NationalId),
            ("PESEL 44051401359", "44051401359", Kind::NationalId),
            ("NHS 943 476 5919", "943 476 5919", Kind::NationalId),
        ];
        for (text, expected, kind) in cases {
            assert_eq!(found(text), [(expected, kind)], "{text}");
        }
    }

    #[test]
    fn what_only_looks_alike_stays() {
        for text in [
            "4111 1111 1111 1112",
            "blk_-1608999687919862906 size 67108864",
            "version 1.2.3 of main.rs at 12:34:56",
            "GB82WEST12345698765433",
            "12-34-567",
            "a@b and std::vec::Vec at fe80",
            "1/2/3 and 13/13/2000",
            "took 1234567 ns",
            "300.1.1.1",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn any_text_is_taken_in_linear_time() {
        for pattern in ["1", "1-", "a@", "a.com", "::", "1:", "://", "AB12", "+(", "ü1 ", "1.1.1.1.", "(1) "] {
            let text: String = pattern.chars().cycle().take(1 << 16).collect();
            let found = spans(&text, true);
            assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start), "{pattern}");
            assert!(found.iter().all(|s| text.is_char_boundary(s.start) && text.is_char_boundary(s.end)), "{pattern}");
        }
    }
}
