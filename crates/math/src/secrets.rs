//! Secrets in text: where they stand, and the text without them.
//!
//! Idea: one pass looks for three-byte marks, of which each kind of secret has one that is rare in prose (`ssw` in
//! `password`, `eyJ` of a JSON web token, `://` of a URL), with three table reads a byte. Only where a mark stands is
//! the kind checked in full. The name of a secret is kept and its value replaced, so that the line still says what
//! happened.
//!
//! Found are: values of `password`, `passwd`, `pwd`, `secret`, `token`, `api_key`, `apikey`, `access_key`,
//! `secret_key` and `private_key` (any name that ends so) after `=` or `:`, quoted or not, also in JSON within JSON;
//! `Authorization` with its scheme, and `Bearer …` alone; AWS access key ids; PEM blocks of private keys; JSON web
//! tokens; tokens of GitHub and Slack; the password in `scheme://user:password@host`.
//!
//! Cost: linear, some 0.6 ns a byte (40 ns a line) for text without a secret, and nothing is allocated then.
//! Where it fails: a secret without a name and without a known form; an unquoted value with a blank, a comma, a
//! semicolon or a bracket in it, of which the part behind stays. A word after `token: ` in prose is left, as are
//! `PWD=/a/path`, `null` and empty values.
//!
//! Sources of the forms: AWS IAM identifiers reference; RFC 7468 (PEM); RFC 7519 (JWT); RFC 6750 and 7617 (Bearer,
//! Basic); GitHub's and Slack's token formats.

use std::ops::Range;

/// What stands for a secret.
pub const MASK: &str = "[masked]";

/// Where secrets stand in a text, in order and apart from each other; the ends lie between characters. The text should
/// be UTF-8, but any bytes are taken.
pub fn spans(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((mark, kinds)) = next_mark(text, at) {
        at = mark + 1;
        if let Some(span) = check(text, mark, kinds)
            && found.last().is_none_or(|last: &Range<usize>| last.end <= span.start)
        {
            at = at.max(span.end);
            found.push(span);
        }
    }
    found
}

/// Replaces the secrets in `text[start..]`; gives how many there were. What stands before `start` is not looked at.
pub fn mask_from(text: &mut Vec<u8>, start: usize) -> usize {
    let found = spans(text.get(start..).unwrap_or_default());
    if found.is_empty() {
        return 0;
    }
    let tail = text.split_off(start);
    let mut at = 0;
    for span in &found {
        text.extend_from_slice(&tail[at..span.start]);
        text.extend_from_slice(MASK.as_bytes());
        at = span.end;
    }
    text.extend_from_slice(&tail[at..]);
    found.len()
}

/// The text without its secrets; `None` where it has none.
pub fn masked(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    if spans(text.as_bytes()).is_empty() {
        return None;
    }
    bytes.extend_from_slice(text.as_bytes());
    mask_from(&mut bytes, 0);
    String::from_utf8(bytes).ok()
}

/// Whether a field of this name holds a secret as a whole: `db.password`, `X-Api-Key`.
pub fn is_secret_name(name: &[u8]) -> bool {
    if !matches!(name.last().map(u8::to_ascii_lowercase), Some(b'd' | b't' | b'n' | b'y')) {
        return false;
    }
    (name.len().saturating_sub(11)..name.len()).any(|at| {
        let kinds = kinds_at(name, at);
        kinds & NAMES != 0 && name_end(name, at, kinds) == Some(name.len())
    })
}

const SSW: u16 = 1;
const PWD: u16 = 1 << 1;
const CRE: u16 = 1 << 2;
const OKE: u16 = 1 << 3;
const KEY: u16 = 1 << 4;
const RIZ: u16 = 1 << 5;
const NAMES: u16 = SSW | PWD | CRE | OKE | KEY | RIZ;
const JWT: u16 = 1 << 6;
const AWS: u16 = 1 << 7;
const GITHUB: u16 = 1 << 8;
const GITHUB_PAT: u16 = 1 << 9;
const SLACK: u16 = 1 << 10;
const DASHES: u16 = 1 << 11;
const URL: u16 = 1 << 12;
const BEARER: u16 = 1 << 13;

/// The marks: what may be the first, second and third byte of which kind.
const MARKS: [(u16, [&[u8]; 3]); 14] = [
    (SSW, [b"sS", b"sS", b"wW"]),
    (PWD, [b"pP", b"wW", b"dD"]),
    (CRE, [b"cC", b"rR", b"eE"]),
    (OKE, [b"oO", b"kK", b"eE"]),
    (KEY, [b"kK", b"eE", b"yY"]),
    (RIZ, [b"rR", b"iI", b"zZ"]),
    (JWT, [b"e", b"y", b"J"]),
    (AWS, [b"A", b"KS", b"I"]),
    (GITHUB, [b"g", b"h", b"pousr"]),
    (GITHUB_PAT, [b"b", b"_", b"p"]),
    (SLACK, [b"x", b"o", b"x"]),
    (DASHES, [b"-", b"-", b"B"]),
    (URL, [b":", b"/", b"/"]),
    (BEARER, [b"bB", b"eE", b"aA"]),
];

const TABLES: [[u16; 256]; 3] = {
    let mut tables = [[0; 256]; 3];
    let mut mark = 0;
    while mark < MARKS.len() {
        let (kind, bytes) = MARKS[mark];
        let mut position = 0;
        while position < 3 {
            let mut i = 0;
            while i < bytes[position].len() {
                tables[position][bytes[position][i] as usize] |= kind;
                i += 1;
            }
            position += 1;
        }
        mark += 1;
    }
    tables
};

fn kinds_of(bytes: &[u8; 3]) -> u16 {
    TABLES[0][bytes[0] as usize] & TABLES[1][bytes[1] as usize] & TABLES[2][bytes[2] as usize]
}

fn kinds_at(text: &[u8], at: usize) -> u16 {
    text.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, kinds_of)
}

/// The first mark at or after `at`, and which kinds it may be.
#[inline]
fn next_mark(text: &[u8], mut at: usize) -> Option<(usize, u16)> {
    // Eight places at a time: nearly always there is nothing at any of them.
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<10>()) {
        let mut any = 0;
        for i in 0..8 {
            any |= kinds_of(&[block[i], block[i + 1], block[i + 2]]);
        }
        if any != 0 {
            break;
        }
        at += 8;
    }
    (at..text.len().saturating_sub(2)).find_map(|at| Some((at, kinds_at(text, at))).filter(|(_, kinds)| *kinds != 0))
}

/// The secret that the mark at `at` belongs to.
fn check(text: &[u8], at: usize, kinds: u16) -> Option<Range<usize>> {
    match kinds & kinds.wrapping_neg() {
        JWT => web_token(text, at),
        AWS => aws_key_id(text, at),
        GITHUB => prefixed(text, at, text.get(at + 3) == Some(&b'_'), 4, 20),
        GITHUB_PAT => {
            let start = at.checked_sub(5)?;
            prefixed(text, start, text[start..].starts_with(b"github_pat_"), 11, 20)
        }
        SLACK => {
            let is_right = text.get(at + 3).is_some_and(u8::is_ascii_lowercase) && text.get(at + 4) == Some(&b'-');
            prefixed(text, at, is_right, 5, 8)
        }
        DASHES => private_key(text, at),
        URL => url_password(text, at),
        BEARER => bearer(text, at),
        kind => named_value(text, name_end(text, at, kind)?, kind),
    }
}

/// End of the secret's name of which a mark stands at `at`.
fn name_end(text: &[u8], at: usize, kinds: u16) -> Option<usize> {
    let (before, after) = (&text[..at], &text[at + 3..]);
    let begins = |name: &[u8]| after.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name));
    let ends =
        |name: &[u8]| before.len() >= name.len() && before[before.len() - name.len()..].eq_ignore_ascii_case(name);
    let rest = match kinds & kinds.wrapping_neg() {
        SSW if ends(b"pa") && begins(b"ord") => 3,
        SSW if ends(b"pa") && begins(b"d") => 1,
        PWD if !before.last().is_some_and(u8::is_ascii_alphanumeric) => 0,
        CRE if ends(b"se") && begins(b"t") => 1,
        OKE if ends(b"t") && begins(b"n") => 1,
        RIZ if ends(b"autho") && begins(b"ation") => 5,
        KEY => {
            let words: [&[u8]; 4] = [b"api", b"access", b"secret", b"private"];
            let joint = usize::from(matches!(before.last(), Some(b'_' | b'-' | b'.')));
            let word = &before[..before.len() - joint];
            let ends =
                |name: &&[u8]| word.len() >= name.len() && word[word.len() - name.len()..].eq_ignore_ascii_case(name);
            words.iter().any(ends).then_some(0)?
        }
        _ => return None,
    };
    Some(at + 3 + rest)
}

/// The value after a name that ends at `end`.
fn named_value(text: &[u8], end: usize, kind: u16) -> Option<Range<usize>> {
    let (mut at, _) = quote(text, end).map_or((end, None), |(at, quote)| (at, Some(quote)));
    let name_end = at;
    at = skip_blanks(text, at);
    let is_spaced = at > name_end;
    let separator = *text.get(at)?;
    if !matches!(separator, b'=' | b':') {
        return None;
    }
    at += 1;
    match (separator, text.get(at)?) {
        (b':', b':') => return None,
        (b':', b'=') | (b'=', b'>' | b'=') => at += 1,
        _ => {}
    }
    // `password= next` is an empty value, `password = it` is not.
    let value = if separator == b'=' && !is_spaced { at } else { skip_blanks(text, at) };
    // The working directory; looked at first, so that no long word is read again and again.
    if kind == PWD && is_path(&text[value..]) {
        return None;
    }
    let has_blank = value > at;
    let (mut start, opened) = quote(text, value).map_or((value, None), |(start, quote)| (start, Some(quote)));
    let scheme = scheme_length(&text[start..]);
    start += scheme;
    let end = match opened {
        Some(quote) => quoted_end(text, start, quote),
        None => word_end(text, start),
    };
    let found = text.get(start..end)?;
    let is_none = found.is_empty()
        || text[start..].starts_with(MASK.as_bytes())
        || (opened.is_none() && matches!(found, b"null" | b"None" | b"nil" | b"undefined"))
        || (opened.is_none() && separator == b':' && matches!(found[0], b'{' | b'['))
        || (opened.is_some() && matches!(found[0], b',' | b'}'));
    let is_prose = match kind {
        OKE => has_blank && separator == b':' && opened.is_none() && found.iter().all(u8::is_ascii_lowercase),
        RIZ => scheme == 0 && found.len() < 16,
        _ => false,
    };
    (!is_none && !is_prose).then_some(start..end)
}

fn is_path(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'/' | b'~' | b'\\')) || text.get(1..3) == Some(b":\\")
}

/// Length of `Bearer `, `Basic ` or `Token ` at the begin; 0 without.
fn scheme_length(text: &[u8]) -> usize {
    let schemes: [&[u8]; 3] = [b"bearer ", b"basic ", b"token "];
    let is_begin = |scheme: &&&[u8]| text.get(..scheme.len()).is_some_and(|found| found.eq_ignore_ascii_case(scheme));
    schemes.iter().find(is_begin).map_or(0, |scheme| scheme.len())
}

fn skip_blanks(text: &[u8], at: usize) -> usize {
    at + text[at..].iter().take(4).take_while(|b| matches!(b, b' ' | b'\t')).count()
}

/// A quote and the backslashes before it.
#[derive(Clone, Copy)]
struct Quote {
    byte: u8,
    backslashes: usize,
}

/// A quote at `at`, as JSON within JSON has it with one, three or seven backslashes; with where it ends.
fn quote(text: &[u8], at: usize) -> Option<(usize, Quote)> {
    let backslashes = text[at..].iter().take(8).take_while(|b| **b == b'\\').count();
    let byte = *text.get(at + backslashes)?;
    (matches!(byte, b'"' | b'\'') && matches!(backslashes, 0 | 1 | 3 | 7))
        .then_some((at + backslashes + 1, Quote { byte, backslashes }))
}

/// End of a quoted value: the next quote as deep as the opening one or less deep. Without one all the rest is secret.
fn quoted_end(text: &[u8], start: usize, quote: Quote) -> usize {
    let mut run = 0;
    for (i, byte) in text.iter().enumerate().skip(start) {
        if *byte == b'\\' {
            run += 1;
            continue;
        }
        if *byte == quote.byte {
            if run < quote.backslashes {
                return i - run;
            }
            if run % (2 * (quote.backslashes + 1)) == quote.backslashes {
                return i - quote.backslashes;
            }
        } else if *byte == b'"' {
            return i - run;
        }
        run = 0;
    }
    text.len()
}

/// End of a value without quotes.
fn word_end(text: &[u8], start: usize) -> usize {
    let is_end =
        |b: &u8| b.is_ascii_whitespace() || matches!(b, b',' | b';' | b'&' | b')' | b'}' | b']' | b'"' | b'\'');
    let end = text[start..].iter().position(is_end).map_or(text.len(), |length| start + length);
    // The backslashes of a quote are the quote's.
    let is_quote = matches!(text.get(end), Some(b'"' | b'\''));
    let run = if is_quote { text[start..end].iter().rev().take_while(|b| **b == b'\\').count() } else { 0 };
    end - run
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn is_word_before(text: &[u8], at: usize) -> bool {
    at > 0 && is_word(text[at - 1])
}

/// A token that is told by its begin: `length` bytes, and at least `rest` after it.
fn prefixed(text: &[u8], at: usize, is_right: bool, length: usize, rest: usize) -> Option<Range<usize>> {
    if !is_right || is_word_before(text, at) {
        return None;
    }
    let found = text.get(at + length..)?.iter().take_while(|b| is_word(**b)).count();
    (found >= rest).then_some(at..at + length + found)
}

/// `AKIA` or `ASIA` and sixteen capitals or digits.
fn aws_key_id(text: &[u8], at: usize) -> Option<Range<usize>> {
    let id = text.get(at..at + 20)?;
    let is_right = id[3] == b'A' && id[4..].iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let ends_well = !text.get(at + 20).is_some_and(u8::is_ascii_alphanumeric);
    (is_right && ends_well && !is_word_before(text, at)).then_some(at..at + 20)
}

/// Three parts in base 64 for URLs with dots between them, the first two beginning as JSON objects do.
fn web_token(text: &[u8], at: usize) -> Option<Range<usize>> {
    // Only at the begin of a word, so that no byte is read again and again.
    if is_word_before(text, at) {
        return None;
    }
    let part = |from: usize| text.get(from..).map_or(0, |rest| rest.iter().take_while(|b| is_word(**b)).count());
    let first = at + part(at);
    if text.get(first) != Some(&b'.') || !text[first + 1..].starts_with(b"eyJ") {
        return None;
    }
    let second = first + 1 + part(first + 1);
    if text.get(second) != Some(&b'.') {
        return None;
    }
    Some(at..second + 1 + part(second + 1))
}

/// What stands between the lines of a PEM block of a private key; all the rest where its end is missing.
fn private_key(text: &[u8], at: usize) -> Option<Range<usize>> {
    let head = text.get(at + 2..text.len().min(at + 66))?;
    if !head.starts_with(b"BEGIN ") {
        return None;
    }
    let name = b"PRIVATE KEY-----";
    let start = at + 2 + head.windows(name.len()).position(|window| window == name)? + name.len();
    if text[start..].starts_with(MASK.as_bytes()) {
        return None;
    }
    let end = text[start..].windows(9).position(|window| window == b"-----END ").map_or(text.len(), |end| start + end);
    (start < end).then_some(start..end)
}

/// The password of `scheme://user:password@host`.
fn url_password(text: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at + 3;
    let is_end =
        |b: &u8| b.is_ascii_whitespace() || matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b',');
    let length = text[start..].iter().position(is_end).unwrap_or(text.len() - start);
    let authority = &text[start..start + length];
    let host = authority.iter().rposition(|b| *b == b'@')?;
    let user = authority[..host].iter().position(|b| *b == b':')?;
    let found = &authority[user + 1..host];
    (!found.is_empty() && found != MASK.as_bytes()).then_some(start + user + 1..start + host)
}

/// `Bearer` and a token of at least eight bytes with a digit or a capital in it, or the header's name before it.
fn bearer(text: &[u8], at: usize) -> Option<Range<usize>> {
    let is_right = text.get(at..at + 7)?.eq_ignore_ascii_case(b"bearer ") && !is_word_before(text, at);
    if !is_right {
        return None;
    }
    let start = at + 7;
    let length =
        text[start..].iter().take_while(|b| is_word(**b) || matches!(b, b'.' | b'~' | b'+' | b'/' | b'=')).count();
    let found = &text[start..start + length];
    let is_token = length >= 8 && found.iter().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    is_token.then_some(start..start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(text: &str) -> String {
        masked(text).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn names_keep_and_values_go() {
        for (text, expected) in [
            ("login user=bob password=hunter2 ok", "login user=bob password=[masked] ok"),
            ("DB_PASSWD: hunter2, retry", "DB_PASSWD: [masked], retry"),
            ("pwd='a b c' next", "pwd='[masked]' next"),
            ("client_secret => abc&x=1", "client_secret => [masked]&x=1"),
            ("?access_token=abc.def&page=2", "?access_token=[masked]&page=2"),
            ("X-Api-Key: 0123", "X-Api-Key: [masked]"),
            ("apikey=k1 aws_secret_access_key=k2", "apikey=[masked] aws_secret_access_key=[masked]"),
            (r#"{"password":"a\"b\\","user":"bob"}"#, r#"{"password":"[masked]","user":"bob"}"#),
            (r#"{"m":"{\"token\": \"a\\\"b\", \"n\": 1}"}"#, r#"{"m":"{\"token\": \"[masked]\", \"n\": 1}"}"#),
            ("Authorization: Bearer abc", "Authorization: Bearer [masked]"),
            ("authorization=Basic dXNlcjpwYXNz==;", "authorization=Basic [masked];"),
            ("password=ü€x y", "password=[masked] y"),
            ("secret=\"never closed", "secret=\"[masked]"),
        ] {
            assert_eq!(mask(text), expected);
        }
    }

    #[test]
    fn forms_are_known_without_a_name() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let github = format!("ghp_{}", "a1B2".repeat(9));
        let pat = format!("github_pat_{}", "a1B2".repeat(9));
        // Put together here, so that no scanner takes them for real ones.
        let slack = ["xox", "b-123456789012-abcdef"].concat();
        for secret in [jwt, "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE", &github, &pat, &slack] {
            assert_eq!(mask(&format!("sent {secret} away")), "sent [masked] away");
            assert_eq!(mask(&format!("x{secret}")), format!("x{secret}"), "not within a word");
        }
        assert_eq!(mask("with Bearer abc123XYZ=="), "with Bearer [masked]");
        assert_eq!(mask("amqp://bob:p@ss@mq:5672/v for a@b"), "amqp://bob:[masked]@mq:5672/v for a@b");
        let pem = "key -----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY----- end";
        assert_eq!(mask(pem), "key -----BEGIN RSA PRIVATE KEY-----[masked]-----END RSA PRIVATE KEY----- end");
        assert_eq!(mask("-----BEGIN PRIVATE KEY-----\nMIIE"), "-----BEGIN PRIVATE KEY-----[masked]");
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "",
            "Failed password for root from 10.0.0.1 port 22 ssh2",
            "root : TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/bin/ls",
            "max_tokens=4096 tokens: 12 secrets: 3",
            "invalid token: unexpected end of input",
            "bearer of bad news",
            "at crate::secret::Token::new (key: value)",
            "http://host:80/a@b:c and https://user@host/",
            "token=null password= secret:",
            r#"{"password":"","token":null,"msg":"token:","user":"bob"}"#,
            "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
            "authorization: denied",
            "the primary key: 7, keyboard, AKIA, eyJ, ghp_x",
        ] {
            assert_eq!(masked(text), None, "{text}");
        }
    }

    #[test]
    fn masking_again_changes_nothing() {
        let text =
            "password=a Authorization: Bearer b url=ftp://u:p@h/ {\"token\":\"c\"} api_key: 'd' Bearer abcDEF123";
        let once = mask(text);
        assert_eq!(once.matches(MASK).count(), 6, "{once}");
        assert_eq!(masked(&once), None, "{once}");
    }

    #[test]
    fn names_of_fields() {
        for name in
            ["password", "db.Password", "API-Key", "apiKey", "access_token", "pwd", "clientSecret", "authorization"]
        {
            assert!(is_secret_name(name.as_bytes()), "{name}");
        }
        for name in ["", "d", "tokens", "user", "key", "password_age", "cmd", "thread"] {
            assert!(!is_secret_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn every_place_is_looked_at() {
        for lead in 0..40 {
            for between in 0..20 {
                let text = format!("{}\npassword=x {}\ntoken=y7", "k".repeat(lead), "-".repeat(between));
                assert_eq!(spans(text.as_bytes()).len(), 2, "{text:?}");
            }
        }
    }

    #[test]
    fn any_bytes_and_megabytes_are_taken_in_linear_time() {
        let patterns: [&[u8]; 12] = [
            b"pwd=/",
            b"pwd=~",
            b"-----BEGIN PRIVATE KEY-----[masked]",
            b"password=[masked",
            b"://",
            b"password=\"",
            b"eyJ.",
            b"-----BEGIN PRIVATE KEY-----",
            b"token:",
            b"\\\"pwd\\\":",
            b"Bearer ",
            b"\xff\xfe=secret",
        ];
        for pattern in patterns {
            let text: Vec<u8> = pattern.iter().copied().cycle().take(1 << 20).collect();
            let mut copy = text.clone();
            let found = spans(&text);
            assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start));
            assert_eq!(mask_from(&mut copy, 0), found.len());
        }
    }
}
