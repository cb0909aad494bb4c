//! Words of a search: the splitting that MLflow's SQL tokenizer does, as far as filters and orders can tell.
//!
//! What is a name, a number or a keyword decides which of MLflow's answers a filter gets, so the corner cases are kept:
//! `metrics.12abc` is a name, the number `.1` and the name `2abc`; words beside a dot are never keywords; a backslash or
//! a doubled quote goes on with a string if it ends later. One pass, linear in the text.

/// What a stretch of the text is: words at first, groups of words after [`super::clauses`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// One whitespace character, or a line break.
    Space,
    /// A name, in back-ticks or bare.
    Name,
    /// `?`, `$1`, `%s`.
    Placeholder,
    /// The name of an SQL type; MLflow's `timestamp` is among them.
    Builtin,
    /// A word that SQL keeps for itself.
    Keyword,
    /// `ASC`, `DESC NULLS LAST` …
    Direction,
    /// Digits.
    Integer,
    /// Digits with a dot or an exponent.
    Float,
    /// Digits after `0x`.
    Hexadecimal,
    /// A string in single quotes.
    Text,
    /// A string in double quotes: a name for SQL.
    Symbol,
    /// `=`, `>=`, `LIKE` …
    Compare,
    /// `+`, `-`, `/` …
    Operator,
    /// `*`.
    Star,
    /// One of `;:()[],.`, or `::`.
    Mark,
    /// `-- …` or `/* … */`.
    Comment,
    /// Anything else.
    Other,
    /// Parentheses and what is in them.
    Parenthesis,
    /// Square brackets and what is in them.
    Brackets,
    /// A name with parentheses.
    Call,
    /// A type and a string, as in `timestamp '2020-01-01'`.
    Literal,
    /// Names with dots, and what SQL takes for an alias.
    Identifier,
    /// Operands around an operator.
    Operation,
    /// Two sides around a comparator.
    Comparison,
    /// Things with commas between them.
    Enumeration,
    /// `WHERE` and what follows.
    Where,
}

/// A stretch `start..end` (bytes) of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub part: Part,
    pub start: usize,
    pub end: usize,
}

/// Splits `text`, as far as it is asked for. The tokens lie end to end and cover all of it.
pub(super) fn split(text: &str) -> impl Iterator<Item = Token> {
    let mut reader = Reader { text, at: 0, comment_may_end: true };
    std::iter::from_fn(move || {
        let start = reader.at;
        if start == text.len() {
            return None;
        }
        let (part, length) = reader.next();
        reader.at = start + length.max(1);
        while !text.is_char_boundary(reader.at) {
            reader.at += 1;
        }
        Some(Token { part, start, end: reader.at })
    })
}

/// Words that are kept by SQL and that people may write without a dot beside them.
const KEYWORDS: &str = "ALL ALTER AND ANY AS AT AVG BEGIN BETWEEN BY CASE CAST CLASS COMMENT CONTAINS COUNT CREATE CURRENT_DATE \
    CURRENT_TIME CURRENT_TIMESTAMP DATA DAY DEFAULT DELETE DISTINCT DIV DOMAIN DROP ELSE END EXCEPT EXISTS FALSE \
    FINAL FIRST FOR FROM GLOBAL GROUP HAVING HOST HOUR IF IN INDEX INSERT INTO IS ISNULL JOIN KEY LANGUAGE LAST \
    LENGTH LEVEL LIMIT LOCAL LOCATION MATCH MAX METHOD MIN MOD MODE MONTH NEXT NO NONE NOT NOTNULL NULL OFF OFFSET \
    ON OR ORDER OWNER PARAMETER PARAMETERS PATH POSITION RESULT RETURNING SELECT SET SIZE SOURCE START SUM TABLE \
    THEN TIME TRUE TYPE UNION UPDATE USER USING UUID VALUES VERSION WHEN WHERE WHILE WITH YEAR";

/// Words that name a type in SQL.
const BUILTINS: &str = "ARRAY BIGINT BINARY BIT BLOB BOOLEAN CHAR DATE DEC DECIMAL FLOAT INT INTEGER INTERVAL LONG MAP NUMBER NUMERIC \
    REAL SERIAL SIGNED SMALLINT STRING STRUCT TEXT TIMESTAMP TINYINT UNSIGNED VARCHAR VARIANT";

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// False once no `*/` is left: keeps a text full of `/*` linear.
    comment_may_end: bool,
}

impl Reader<'_> {
    /// The next part and its length in bytes.
    fn next(&mut self) -> (Part, usize) {
        let rest = &self.text[self.at..];
        let first = rest.chars().next().unwrap_or(' ');
        if let Some(length) = self.comment(rest) {
            return (Part::Comment, length);
        }
        if first.is_whitespace() {
            return (Part::Space, if rest.starts_with("\r\n") { 2 } else { first.len_utf8() });
        }
        self.placeholder(rest, first)
            .or_else(|| fixed(rest))
            .or_else(|| quoted(rest, first, self.before()))
            .or_else(|| self.beside_a_dot(rest, first))
            .or_else(|| number(rest))
            .or_else(|| word(rest, first))
            .unwrap_or_else(|| operator(rest))
    }

    fn before(&self) -> Option<char> {
        self.text[..self.at].chars().next_back()
    }

    fn comment(&mut self, rest: &str) -> Option<usize> {
        if rest.starts_with("--") || rest.starts_with("# ") {
            return Some(rest.find(['\n', '\r']).map_or(rest.len(), |end| end + 1));
        }
        if !rest.starts_with("/*") || !self.comment_may_end {
            return None;
        }
        let end = rest[2..].find("*/");
        self.comment_may_end = end.is_some();
        end.map(|end| end + 4)
    }

    fn placeholder(&self, rest: &str, first: char) -> Option<(Part, usize)> {
        let word = word_length(&rest[first.len_utf8()..]);
        match first {
            '$' | ':' if word > 0 && !self.before().is_some_and(is_word) => Some((Part::Placeholder, 1 + word)),
            '?' => Some((Part::Placeholder, 1)),
            '%' if rest[1..].starts_with(['s', 'S']) => Some((Part::Placeholder, 2)),
            '\\' if word > 0 => Some((Part::Other, 1 + word)),
            '@' | '#' if word > 1 && is_latin(rest[1..].chars().next()) => Some((Part::Name, 1 + word)),
            _ => None,
        }
    }

    /// Words before or after a dot, and before a parenthesis, are names even if SQL keeps them for itself.
    fn beside_a_dot(&self, rest: &str, first: char) -> Option<(Part, usize)> {
        if !is_latin(Some(first)) {
            return None;
        }
        let length = word_length(rest);
        let word = &rest[..length];
        if ["CASE", "IN", "VALUES", "USING", "FROM", "AS"].iter().any(|kept| word.eq_ignore_ascii_case(kept)) {
            return Some((Part::Keyword, length));
        }
        let after = rest[length..].trim_start();
        let dot_follows = after.starts_with('.') && !after[1..].starts_with(|c: char| c.is_ascii_digit());
        let is_name = dot_follows || self.before() == Some('.') || rest[length..].starts_with('(');
        is_name.then_some((Part::Name, length))
    }
}

fn fixed(rest: &str) -> Option<(Part, usize)> {
    match rest {
        _ if rest.starts_with(":=") => Some((Part::Other, 2)),
        _ if rest.starts_with("::") => Some((Part::Mark, 2)),
        _ if rest.starts_with('*') => Some((Part::Star, 1)),
        _ => None,
    }
}

fn quoted(rest: &str, first: char, before: Option<char>) -> Option<(Part, usize)> {
    let length = match first {
        '`' | '\'' | '"' => quoted_length(rest, first as u8)?,
        '[' if !before.is_some_and(|c| is_word(c) || c == ']' || c == ')') => {
            let end = rest[1..].find(['[', ']']).filter(|end| *end > 0 && rest[1 + end..].starts_with(']'))?;
            end + 2
        }
        _ => return None,
    };
    let part = match first {
        '\'' => Part::Text,
        '"' => Part::Symbol,
        _ => Part::Name,
    };
    Some((part, length))
}

/// The length of a quoted text: a doubled quote (and, in strings, one behind a backslash) does not end it, unless
/// nothing else does.
fn quoted_length(rest: &str, quote: u8) -> Option<usize> {
    let bytes = rest.as_bytes();
    let mut last_way_out = None;
    let mut at = 1;
    while at < bytes.len() {
        let next_is_quote = bytes.get(at + 1) == Some(&quote);
        match bytes[at] {
            byte if byte == quote && !next_is_quote => return Some(at + 1),
            byte if byte == quote => {
                last_way_out = Some(at + 1);
                at += 2;
            }
            b'\\' if quote != b'`' && next_is_quote => {
                last_way_out = Some(at + 2);
                at += 2;
            }
            _ => at += 1,
        }
    }
    last_way_out
}

fn number(rest: &str) -> Option<(Part, usize)> {
    let sign = usize::from(rest.starts_with('-'));
    let body = &rest[sign..];
    let digits = digits_length(body);
    if digits == 1 && (body.starts_with("0x") || body.starts_with("0X")) {
        let hex = body[2..].bytes().take_while(u8::is_ascii_hexdigit).count();
        if hex > 0 {
            return Some((Part::Hexadecimal, sign + 2 + hex));
        }
    }
    if let Some(length) = exponent(body, digits) {
        return Some((Part::Float, sign + length));
    }
    if body[digits..].starts_with('.') {
        let fraction = digits_length(&body[digits + 1..]);
        let fewest = usize::from(digits == 0);
        if let Some(kept) = without_a_letter_behind(body, digits + 1, fraction, fewest) {
            return Some((Part::Float, sign + kept));
        }
    }
    without_a_letter_behind(body, 0, digits, 1).map(|length| (Part::Integer, sign + length))
}

fn exponent(body: &str, digits: usize) -> Option<usize> {
    if digits == 0 {
        return None;
    }
    let fraction = if body[digits..].starts_with('.') { digits_length(&body[digits + 1..]) } else { 0 };
    let mantissa = if fraction > 0 { digits + 1 + fraction } else { digits };
    let tail = body[mantissa..].strip_prefix(['e', 'E'])?;
    let sign = usize::from(tail.starts_with('-'));
    let power = digits_length(&tail[sign..]);
    (power > 0).then_some(mantissa + 1 + sign + power)
}

/// `start + count` digits, or one digit less where a letter follows: a number cannot touch a word.
fn without_a_letter_behind(body: &str, start: usize, count: usize, fewest: usize) -> Option<usize> {
    let touches = |end: usize| {
        let next = body[end..].chars().next();
        next == Some('_') || is_latin(next)
    };
    let all = start + count;
    match count {
        _ if count < fewest => None,
        _ if !touches(all) => Some(all),
        _ if count > fewest => Some(all - 1),
        _ => None,
    }
}

fn word(rest: &str, first: char) -> Option<(Part, usize)> {
    if !is_word(first) {
        return None;
    }
    let plain = word_length(rest);
    let head = &rest[..plain];
    let is = |word: &str| head.eq_ignore_ascii_case(word);
    if is("ASC") || is("DESC") {
        let nulls = followed_by(rest, plain, &["NULLS"]);
        let length = nulls.and_then(|end| followed_by(rest, end, &["FIRST", "LAST"])).unwrap_or(plain);
        return Some((Part::Direction, length));
    }
    if is("NULLS")
        && let Some(end) = followed_by(rest, plain, &["FIRST", "LAST"])
    {
        return Some((Part::Direction, end));
    }
    if is("LIKE") || is("ILIKE") || is("RLIKE") || is("REGEXP") {
        return Some((Part::Compare, plain));
    }
    if is("NOT") {
        if let Some(end) = followed_by(rest, plain, &["NULL"]) {
            return Some((Part::Keyword, end));
        }
        if let Some(end) = followed_by(rest, plain, &["LIKE", "ILIKE", "RLIKE", "REGEXP"]) {
            return Some((Part::Compare, end));
        }
    }
    if is("ORDER") || is("GROUP") {
        return Some((Part::Keyword, followed_by(rest, plain, &["BY"]).unwrap_or(plain)));
    }
    let length = rest.find(|c: char| !is_word(c) && c != '$' && c != '#').unwrap_or(rest.len());
    let kept = |words: &str| words.split(' ').any(|word| rest[..length].eq_ignore_ascii_case(word));
    let part = match () {
        () if kept(KEYWORDS) => Part::Keyword,
        () if kept(BUILTINS) => Part::Builtin,
        () => Part::Name,
    };
    Some((part, length))
}

/// The end of one of `words` that comes after whitespace behind `end`.
fn followed_by(rest: &str, end: usize, words: &[&str]) -> Option<usize> {
    let tail = &rest[end..];
    let gap = tail.len() - tail.trim_start().len();
    let length = word_length(&tail[gap..]);
    let word = &tail[gap..gap + length];
    (gap > 0 && words.iter().any(|wanted| word.eq_ignore_ascii_case(wanted))).then_some(end + gap + length)
}

fn operator(rest: &str) -> (Part, usize) {
    let run = |set: &str| rest.find(|c| !set.contains(c)).unwrap_or(rest.len());
    match rest.as_bytes().first() {
        Some(b';' | b':' | b'(' | b')' | b'[' | b']' | b',' | b'.') => (Part::Mark, 1),
        Some(b'-') if rest.starts_with("->>") => (Part::Operator, 3),
        Some(b'-') if rest.starts_with("->") => (Part::Operator, 2),
        Some(b'-') => (Part::Operator, 1),
        Some(b'@') if rest.starts_with("@>") => (Part::Operator, 2),
        Some(b'<') if rest.starts_with("<@") => (Part::Operator, 2),
        Some(b'<' | b'>' | b'=' | b'~' | b'!') => (Part::Compare, run("<>=~!")),
        Some(b'+' | b'/' | b'@' | b'#' | b'%' | b'^' | b'&' | b'|') => (Part::Operator, run("+/@#%^&|-")),
        _ => (Part::Other, 1),
    }
}

fn digits_length(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn word_length(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Letters with which SQL lets a name begin.
fn is_latin(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_ascii_alphabetic() || ('À'..='Ü').contains(&c) || ('à'..='ü').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_the_tokenizer_of_mlflow_does() {
        let cases: &[(&str, &[(Part, &str)])] = &[
            ("metrics.12abc", &[(Part::Name, "metrics"), (Part::Float, ".1"), (Part::Name, "2abc")]),
            ("tag.user", &[(Part::Name, "tag"), (Part::Mark, "."), (Part::Name, "user")]),
            ("user", &[(Part::Keyword, "user")]),
            ("1e5", &[(Part::Float, "1e5")]),
            ("-1.5E-3", &[(Part::Float, "-1.5E-3")]),
            ("123abc", &[(Part::Integer, "12"), (Part::Name, "3abc")]),
            ("'it''s'", &[(Part::Text, "'it''s'")]),
            ("'a''", &[(Part::Text, "'a'"), (Part::Other, "'")]),
            (r"'a\'b'", &[(Part::Text, r"'a\'b'")]),
            (r"'a\'", &[(Part::Text, r"'a\'")]),
            ("not  like", &[(Part::Compare, "not  like")]),
            ("desc nulls last", &[(Part::Direction, "desc nulls last")]),
            ("é_1", &[(Part::Name, "é_1")]),
            ("timestamp", &[(Part::Builtin, "timestamp")]),
            ("->>", &[(Part::Operator, "->>")]),
            ("[a b]", &[(Part::Name, "[a b]")]),
        ];
        for (text, wanted) in cases {
            assert_eq!(parts(text), *wanted, "{text}");
        }
    }

    #[test]
    fn any_text_is_covered_end_to_end() {
        for text in
            ["", "'", "\"", "`", "/*/*/*", "\u{301}x", "\u{0}\u{ffff}", "日本.1é", "%", "$", "#é", "- -", "0x", "1e-"]
        {
            let joined: String = split(text).map(|t| &text[t.start..t.end]).collect();
            assert_eq!(joined, text);
        }
    }

    fn parts(text: &str) -> Vec<(Part, &str)> {
        split(text).map(|t| (t.part, &text[t.start..t.end])).collect()
    }
}
