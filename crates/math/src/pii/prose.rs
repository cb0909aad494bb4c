//! Personal data that only reading tells: people, addresses, places, firms.

use super::{Kind, Span, words::*};

/// A word, a number or a mark.
struct Token<'a> {
    start: usize,
    end: usize,
    text: &'a str,
    lower: String,
    /// What its word may be, see [`super::words`].
    kinds: u16,
    is_capital: bool,
    is_number: bool,
    /// A sentence begins with it.
    is_first: bool,
}

/// All spans of a text of which `patterns` are known already.
pub fn spans(text: &str, patterns: Vec<Span>) -> Vec<Span> {
    let tokens = tokens(text);
    let mut reader = Reader {
        text,
        taken: vec![false; tokens.len()],
        has_capitals: tokens.iter().any(|token| token.is_capital),
        has_inner_capitals: tokens.iter().any(|token| token.is_capital && !token.is_first && token.text != "I"),
        tokens,
        found: patterns,
    };
    reader.take_known();
    reader.documents();
    reader.addresses();
    reader.postal_codes_and_ages();
    reader.titles();
    reader.introduced();
    reader.places();
    reader.firms();
    reader.capitals();
    reader.given_names();
    reader.found.sort_by_key(|span| (span.start, span.end));
    reader.found.dedup_by(|later, earlier| later.start < earlier.end);
    reader.found
}

struct Reader<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    /// Whether a token is part of a span.
    taken: Vec<bool>,
    found: Vec<Span>,
    has_capitals: bool,
    /// A capital where no sentence begins.
    has_inner_capitals: bool,
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((start, first)) = chars.next() {
        if first.is_whitespace() {
            continue;
        }
        let mut end = start + first.len_utf8();
        if first.is_alphanumeric() {
            while let Some((at, next)) = chars.peek().copied() {
                let joins = matches!(next, '\'' | '’' | '-')
                    && text[at + next.len_utf8()..].chars().next().is_some_and(char::is_alphanumeric)
                    && !is_possessive(&text[at..]);
                if !next.is_alphanumeric() && !is_accent(next) && !joins {
                    break;
                }
                end = at + next.len_utf8();
                chars.next();
            }
        }
        let is_first = is_sentence_start(text, start, tokens.last());
        tokens.push(token(text, start, end, is_first));
    }
    tokens
}

fn token(text: &str, start: usize, end: usize, is_first: bool) -> Token<'_> {
    let word = &text[start..end];
    let lower = word.to_lowercase();
    let first = word.chars().next().unwrap_or(' ');
    let is_capital = first.is_uppercase();
    let is_number = first.is_ascii_digit();
    Token { start, end, text: word, kinds: kinds_of(&lower), lower, is_capital, is_number, is_first }
}

/// `'s` behind a name.
fn is_possessive(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    matches!(chars.next(), Some('s' | 'S')) && !chars.next().is_some_and(char::is_alphanumeric)
}

/// Marks that join the letter before.
fn is_accent(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c) || c == '\u{ad}'
}

fn is_sentence_start(text: &str, start: usize, before: Option<&Token<'_>>) -> bool {
    let Some(before) = before else { return true };
    if text[before.end..start].contains('\n') {
        return true;
    }
    match before.text {
        "." => !text[..before.start].ends_with(|c: char| c.is_uppercase()),
        "!" | "?" | ":" | "\"" | "“" | "(" | "*" | "#" | ">" | "…" => true,
        "-" | "–" | "—" => text[..before.start].ends_with(|c: char| c.is_whitespace()),
        _ => false,
    }
}

impl Token<'_> {
    fn is(&self, kinds: u16) -> bool {
        self.kinds & kinds != 0
    }

    fn is_word(&self) -> bool {
        self.text.starts_with(char::is_alphabetic)
    }

    /// May stand in a name: not a word of the language, or one that is a name too.
    fn is_name_like(&self) -> bool {
        self.is_word() && !self.is(CALENDAR) && (!self.is(COMMON) || self.is(GIVEN | SURNAME)) && !self.is(NATIONALITY)
    }

    fn is_capital_name(&self) -> bool {
        self.is_capital && self.is_name_like()
    }

    fn is_initial(&self) -> bool {
        self.is_capital && self.text.chars().count() == 1
    }
}

impl<'a> Reader<'a> {
    fn token(&self, at: usize) -> Option<&Token<'a>> {
        self.tokens.get(at)
    }

    fn lower(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.lower.as_str())
    }

    fn is_free(&self, at: usize) -> bool {
        self.taken.get(at).is_some_and(|taken| !taken)
    }

    /// What stands between a token and the next.
    fn gap(&self, at: usize) -> &'a str {
        match (self.tokens.get(at), self.tokens.get(at + 1)) {
            (Some(token), Some(next)) => &self.text[token.end..next.start],
            _ => "\n\n",
        }
    }

    fn is_same_line(&self, at: usize) -> bool {
        !self.gap(at).contains('\n')
    }

    fn take_known(&mut self) {
        for (taken, token) in self.taken.iter_mut().zip(&self.tokens) {
            let next = self.found.partition_point(|span| span.end <= token.start);
            *taken = self.found.get(next).is_some_and(|span| span.start < token.end);
        }
    }

    /// Marks the tokens `from..to` as a span.
    fn say(&mut self, from: usize, to: usize, kind: Kind) {
        if from < to && self.taken[from..to].iter().all(|taken| !taken) {
            self.taken[from..to].fill(true);
            self.found.push(Span { start: self.tokens[from].start, end: self.tokens[to - 1].end, kind });
        }
    }

    /// Whether the words before `at` are these, in lower case.
    fn follows(&self, at: usize, words: &[&str]) -> bool {
        at >= words.len() && words.iter().rev().enumerate().all(|(i, word)| self.lower(at - 1 - i) == *word)
    }

    /// End of a name of a person that begins at `at`: at most five words, with initials and particles; `at` without one.
    fn name_end(&self, at: usize, needs_capital: bool) -> usize {
        let is_part = |i: usize| {
            self.is_free(i)
                && if needs_capital { self.tokens[i].is_capital_name() } else { self.tokens[i].is_name_like() }
        };
        let (mut end, mut i) = (at, at);
        while i < at + 7 && end < at + 6 && i < self.tokens.len() {
            if is_part(i) || (i > at && self.is_free(i) && self.tokens[i].is(NAME_END)) {
                end = i + 1;
            } else if !(i > at && self.is_joint(i)) {
                break;
            }
            if !self.is_same_line(i) {
                break;
            }
            i += 1;
        }
        end
    }

    /// A particle, or the dot of an initial.
    fn is_joint(&self, at: usize) -> bool {
        let token = &self.tokens[at];
        token.is(PARTICLE) && !token.is_capital || token.text == "." && at > 0 && self.tokens[at - 1].is_initial()
    }

    fn is_capital(&self, at: usize) -> bool {
        self.token(at).is_some_and(|token| token.is_capital)
    }

    /// Numbers of passports and licences, told by the words before them.
    fn documents(&mut self) {
        let patterns = self.found.len();
        for at in 0..self.tokens.len() {
            let kind = match self.lower(at) {
                "license" | "licence" if at > 0 && self.lower(at - 1).starts_with("driver") => Kind::DriverLicense,
                "licence" | "license" if at > 0 && matches!(self.lower(at - 1), "driving" | "s") => Kind::DriverLicense,
                "passport" => Kind::Passport,
                _ => continue,
            };
            let is_number = |token: &Token<'_>| {
                token.text.bytes().filter(u8::is_ascii_digit).count() >= 4
                    && token.text.len() >= 6
                    && token.text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            };
            if let Some(found) = (at + 1..self.tokens.len().min(at + 8)).find(|i| is_number(&self.tokens[*i])) {
                self.say_over(found, kind, patterns);
            }
        }
    }

    /// Says what a token is, whatever its form made of it: the words tell more. The first `patterns` spans are in order.
    fn say_over(&mut self, at: usize, kind: Kind, patterns: usize) {
        let (start, end) = (self.tokens[at].start, self.tokens[at].end);
        let known = self.found[..patterns].partition_point(|span| span.end <= start);
        match self.found[..patterns].get_mut(known).filter(|span| span.start < end) {
            Some(span) => *span = Span { start: start.min(span.start), end: end.max(span.end), kind },
            None => self.say(at, at + 1, kind),
        }
    }

    fn addresses(&mut self) {
        let mut at = 0;
        while at < self.tokens.len() {
            match self.street_end(at) {
                Some(end) => at = self.address_rest(at, end).max(at + 1),
                None => at += 1,
            }
        }
    }

    /// End of a street with its number that begins at `at`.
    fn street_end(&self, at: usize) -> Option<usize> {
        let first = self.token(at).filter(|_| self.is_free(at))?;
        let number = first.is_number && first.text.len() <= 6 && self.is_same_line(at);
        if let Some(end) = self.street_after_number(at).filter(|_| number) {
            return Some(end);
        }
        (first.is_word() && !first.is(COMMON & !STREET_FIRST)).then(|| self.street_before_number(at)).flatten()
    }

    /// `12 High Street`, `48 107 Rue Abdelaziz`, `46 Jakobi 69`: at most seven tokens behind the first number.
    fn street_after_number(&self, at: usize) -> Option<usize> {
        let mut names = 0;
        let is_said = self.is_address_said(at);
        for i in at + 1..self.tokens.len().min(at + 9) {
            let token = &self.tokens[i];
            if !self.is_free(i) || !self.is_same_line(i - 1) {
                break;
            }
            if names > 0 && token.is(STREET_TYPE) && (token.is_capital || !self.has_capitals || is_said || names < 3) {
                return Some(self.after_street_type(i));
            }
            let is_street_word = self.is_street_word(i);
            if token.is_number && token.text.len() <= 5 {
                // Two numbers before the name: of the house and of the street.
                let ends = matches!(self.lower(i + 1), "" | "," | ".") || !self.is_same_line(i);
                let is_unit = self.token(i + 1).is_some_and(|next| next.is(UNIT));
                let is_run = self.is_capital_run(at + 1, i) || self.is_capital(at + 1) && (ends || is_unit);
                if names > 0 && (is_said || is_run) {
                    return Some(i + 1);
                }
                if names > 0 || i > at + 1 {
                    break;
                }
                continue;
            }
            if is_street_word && !token.is_number && names == 0 && self.starts_street(i) {
                return Some(self.street_words_end(i));
            }
            let is_joint = names > 0 && (token.is(STREET_FIRST) || self.is_capital(at + 1) && token.text.len() <= 9);
            let is_name =
                token.is_word() && (token.is_capital || is_joint || is_said || !self.has_capitals) && !self.is_stop(i);
            if is_name || token.text == "." || token.is(PARTICLE) {
                names += usize::from(is_name);
            } else {
                break;
            }
        }
        let is_placed = at == 0 || matches!(self.lower(at - 1), "at" | "on" | "to") || self.is_line_start(at);
        let end = if is_placed { self.name_end(at + 1, true) } else { at };
        let closes = matches!(self.lower(end), "" | "," | "." | "?") || end > 0 && !self.is_same_line(end - 1);
        if (at + 3..=at + 4).contains(&end) && closes {
            return Some(end);
        }
        (is_said && names > 0).then(|| self.street_words_end(at + 1))
    }

    /// `Ziegelgasse 26`, `rue de la Paix 3`, `Calle Mayor, 5`.
    fn street_before_number(&self, at: usize) -> Option<usize> {
        let is_foreign = self.tokens[at].is(STREET_FIRST) && !self.tokens[at].is(COMMON);
        let is_street = self.is_street_word(at) && (is_foreign || self.is_capital(at) || !self.has_capitals);
        let is_two = !is_street
            && self.is_same_line(at)
            && self.is_capital(at)
            && self.token(at + 1).is_some_and(|t| is_street_type_end(&t.lower) || t.is(STREET_TYPE));
        if !is_street && !is_two {
            return self.numbered_name_end(at);
        }
        let words = self.street_words_end(at);
        let has_number = self.tokens[at..words].iter().any(|token| token.is_number);
        (has_number && words > at + 1).then_some(words)
    }

    /// `on Jakobi 69`: capitals and a number that is no year, behind a word of place.
    fn numbered_name_end(&self, at: usize) -> Option<usize> {
        let is_placed =
            at > 0 && matches!(self.lower(at - 1), "on" | "at" | "off" | "near") || self.is_address_said(at);
        let end = self.name_end(at, true);
        let number = self.token(end).filter(|_| is_placed && end > at && self.gap(end - 1) == " ")?;
        let is_year = number.text.parse::<u32>().is_ok_and(|year| (1900..2100).contains(&year));
        (number.is_number && number.text.len() <= 4 && !is_year && self.is_free(end)).then_some(end + 1)
    }

    /// End of words and numbers of one street.
    fn street_words_end(&self, at: usize) -> usize {
        let mut end = at;
        for i in at..self.tokens.len().min(at + 8) {
            let token = &self.tokens[i];
            if !self.is_free(i) || (i > at && !self.is_same_line(i - 1)) {
                break;
            }
            if token.is_number {
                return i + 1;
            }
            let is_comma = token.text == "," && self.token(i + 1).is_some_and(|t| t.is_number && t.text.len() <= 4);
            let is_part = token.is_word() && !self.is_stop(i) || token.text == "." || is_comma;
            if !is_part || token.is(UNIT) {
                break;
            }
            if token.is_word() {
                end = i + 1;
            }
        }
        end
    }

    fn after_street_type(&self, at: usize) -> usize {
        let mut end = at + 1;
        let is_side =
            |lower: &str| matches!(lower, "n" | "s" | "e" | "w" | "ne" | "nw" | "se" | "sw" | "north" | "south");
        if self.token(end).is_some_and(|t| t.text == "." && t.start == self.tokens[at].end) && self.is_short_type(at) {
            end += 1;
        }
        if is_side(self.lower(end)) && self.is_capital(end) {
            end += 1;
        }
        end
    }

    fn is_short_type(&self, at: usize) -> bool {
        self.tokens[at].text.len() <= 4
    }

    fn is_street_word(&self, at: usize) -> bool {
        self.starts_street(at) || is_street_type_end(self.lower(at))
    }

    fn starts_street(&self, at: usize) -> bool {
        self.token(at).is_some_and(|token| token.is(STREET_FIRST)) && self.is_same_line(at)
    }

    fn is_capital_run(&self, from: usize, to: usize) -> bool {
        let words = || self.tokens[from..to].iter().filter(|token| token.is_word() && !token.is(PARTICLE));
        words().next().is_some() && words().all(|token| token.is_capital && !token.is(CALENDAR)) || !self.has_capitals
    }

    /// A word with which no part of an address goes on.
    fn is_stop(&self, at: usize) -> bool {
        const STOPS: [&str; 28] = [
            "and", "or", "is", "are", "was", "the", "in", "at", "to", "for", "with", "from", "my", "i", "please",
            "year", "years", "days", "hours", "minutes", "times", "percent", "on", "of", "this", "that", "would",
            "but",
        ];
        STOPS.contains(&self.lower(at)) && !self.is_capital(at) || self.tokens[at].is(CALENDAR)
    }

    /// Whether the words before speak of an address.
    fn is_address_said(&self, at: usize) -> bool {
        const WORDS: [&str; 14] = [
            "address",
            "addresses",
            "lives",
            "live",
            "living",
            "resides",
            "reside",
            "located",
            "return",
            "ship",
            "deliver",
            "sent",
            "move",
            "moved",
        ];
        (at.saturating_sub(7)..at).any(|i| WORDS.contains(&self.lower(i)))
    }

    /// Takes what follows a street: flat, town, region, postal code, country. Where all of it runs on and has a postal
    /// code it is one address; where each part has a line of its own, or there is no code, the parts are apart.
    fn address_rest(&mut self, from: usize, street: usize) -> usize {
        let with_unit = self.unit_end(street);
        let start = if from > 0 && self.is_house_number(from - 1) { from - 1 } else { from };
        let block = self.block_end(with_unit);
        if let Some(end) = block.filter(|end| !self.has_wide_gap(start, *end)) {
            self.say(start, end, Kind::Address);
            return end;
        }
        self.say(start, with_unit, Kind::Address);
        self.address_fields(with_unit)
    }

    /// A number of its own right before a street that begins with a name.
    fn is_house_number(&self, at: usize) -> bool {
        let token = &self.tokens[at];
        self.is_free(at) && token.is_number && token.text.len() <= 5 && self.gap(at) == " "
    }

    /// `Apt. 12`, `Suite 771`, `2nd floor`.
    fn unit_end(&self, at: usize) -> usize {
        let mut i = at;
        while self.token(i).is_some_and(|t| matches!(t.text, "," | "." | "-") || self.is_bullet(i)) && self.is_free(i) {
            i += 1;
        }
        if !self.token(i).is_some_and(|t| t.is(UNIT) || t.text == "#") || self.is_blank_line(i.saturating_sub(1)) {
            return at;
        }
        i += 1;
        while self.token(i).is_some_and(|t| matches!(t.text, "." | "#")) {
            i += 1;
        }
        let is_value = self.token(i).is_some_and(|t| self.is_free(i) && (t.is_number || t.text.len() <= 2));
        if is_value { i + 1 } else { at }
    }

    fn is_blank_line(&self, at: usize) -> bool {
        self.gap(at).bytes().filter(|b| *b == b'\n').count() > 1
    }

    /// End of town, region, country and postal code that follow at `at`, if they end with or hold a code.
    fn block_end(&self, at: usize) -> Option<usize> {
        let (mut code, mut words) = (None, 0);
        for i in at..self.tokens.len().min(at + 16) {
            let token = &self.tokens[i];
            if !self.is_free(i) {
                break;
            }
            if self.is_postal_code(i) {
                code = Some(self.postal_end(i));
                continue;
            }
            if code.is_some_and(|end| i < end) {
                continue;
            }
            if code.is_some() {
                // Behind the code only a country.
                let end = self.long_place_end(i).unwrap_or(i + usize::from(token.is(COUNTRY)));
                let goes_on = token.text == "," || token.is(COUNTRY) || end > i;
                if end > i && self.is_capital(i) {
                    return Some(end);
                }
                if !goes_on {
                    break;
                }
                continue;
            }
            let is_part = token.is_word() && (!self.is_stop(i) || self.is_in_long_place(i)) || token.text == "&";
            words += usize::from(token.is_word());
            if !(is_part || matches!(token.text, "," | "." | "-" | "(" | ")" | "/")) || words > 8 {
                break;
            }
        }
        let end = code.or_else(|| self.country_end(at))?;
        Some(end)
    }

    /// `and` between the words of a country.
    fn is_in_long_place(&self, at: usize) -> bool {
        (at.saturating_sub(3)..at).any(|i| self.long_place_end(i).is_some_and(|end| end > at))
    }

    /// End of a country that closes an address without a code: `12 High Street Leeds United Kingdom`.
    fn country_end(&self, at: usize) -> Option<usize> {
        let place = |i: usize| self.long_place_end(i).or_else(|| self.tokens[i].is(COUNTRY).then_some(i + 1));
        let runs_on = |i: &usize| self.is_free(*i) && (self.is_capital(*i) || self.tokens[*i].text == ",");
        let found = (at..self.tokens.len().min(at + 6)).take_while(runs_on).find_map(|i| place(i).map(|end| (i, end)));
        // A town must stand before it, without a comma: with one the parts are apart.
        found.filter(|(i, _)| *i > at && self.tokens[at..*i].iter().all(|token| token.is_word())).map(|(_, end)| end)
    }

    fn is_postal_code(&self, at: usize) -> bool {
        let token = &self.tokens[at];
        let digits = token.text.bytes().filter(u8::is_ascii_digit).count();
        let is_even = token.text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let is_mixed =
            token.text.len() <= 4 && token.text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        token.is_number && is_even && (4..=9).contains(&digits)
            || token.is_capital && is_mixed && (1..=2).contains(&digits) && token.text.len() >= 2
    }

    /// With the second half of codes of two parts: `SW1A 1AA`, `123 45`.
    fn postal_end(&self, at: usize) -> usize {
        let is_half = self.token(at + 1).is_some_and(|next| {
            next.text.len() == 3 && next.text.starts_with(|c: char| c.is_ascii_digit()) && self.gap(at) == " "
        });
        at + 1 + usize::from(is_half && self.is_free(at + 1))
    }

    fn has_wide_gap(&self, from: usize, to: usize) -> bool {
        (from..to - 1).any(|i| {
            let gap = self.gap(i);
            gap.contains("  ") || gap.contains("\n\n")
        }) || self.tokens[from..to].iter().any(|token| matches!(token.text, "?" | "*" | "•" | ">"))
    }

    /// Town, country and code each on its own.
    fn address_fields(&mut self, at: usize) -> usize {
        let mut i = at;
        while i < self.tokens.len().min(at + 24) && self.is_free(i) {
            let token = &self.tokens[i];
            if self.is_postal_code(i) && (token.is_number || i + 1 < self.tokens.len()) {
                let end = self.postal_end(i);
                self.say(i, end, Kind::ZipCode);
                i = end;
            } else if token.is_word() && !self.is_stop(i) && !token.is(UNIT) {
                let end = self.field_end(i);
                if !self.is_place_field(i, end, i == at + 1 || self.is_line_start(i)) {
                    break;
                }
                self.say(i, end, Kind::Location);
                i = end;
            } else if token.is(UNIT) {
                let end = self.unit_end(i);
                if end == i {
                    break;
                }
                self.say(i, end, Kind::Address);
                i = end;
            } else if matches!(token.text, "," | "-") || self.is_bullet(i) || token.text == "." && !self.is_same_line(i)
            {
                i += 1;
            } else {
                break;
            }
        }
        i
    }

    /// A mark before the first word of its line.
    fn is_bullet(&self, at: usize) -> bool {
        let mut i = at;
        while !self.tokens[i].text.starts_with(char::is_alphanumeric) {
            if i == 0 || !self.is_same_line(i - 1) {
                return true;
            }
            // Few marks make a bullet.
            if i + 8 < at {
                return false;
            }
            i -= 1;
        }
        false
    }

    fn is_line_start(&self, at: usize) -> bool {
        at == 0 || !self.is_same_line(at - 1) || self.is_bullet(at - 1)
    }

    /// End of the words of one line or up to a comma.
    fn field_end(&self, at: usize) -> usize {
        let is_part = |i: usize| {
            let token = &self.tokens[i];
            self.is_free(i) && (token.is_word() && !self.is_stop(i) || token.is_number && token.text.len() <= 2)
        };
        let mut end = at;
        while end < self.tokens.len().min(at + 8) && (is_part(end) || matches!(self.tokens[end].text, "(" | ")")) {
            end += 1;
            if !self.is_same_line(end - 1) {
                break;
            }
        }
        end
    }

    /// A town or country, as it stands alone between commas or on a line; "nan" and the like are none.
    fn is_place_field(&self, from: usize, to: usize, is_alone: bool) -> bool {
        let words = &self.tokens[from..to];
        let is_known = words.iter().any(|token| token.is(COUNTRY | CITY | REGION));
        let is_common = words.iter().all(|token| token.is(COMMON));
        let is_written = !self.has_capitals || words[0].is_capital;
        is_written
            && !is_common
            && words.len() <= 5
            && (is_alone || is_known || from > 0 && self.lower(from - 1) == ",")
    }

    fn postal_codes_and_ages(&mut self) {
        for at in 0..self.tokens.len() {
            if !self.is_free(at) || !(self.tokens[at].is_number || self.is_postal_code(at)) {
                continue;
            }
            const CODES: [&str; 5] = ["zip", "zipcode", "postcode", "postal", "plz"];
            let is_code = (at.saturating_sub(4)..at).any(|i| CODES.contains(&self.lower(i)));
            if is_code && self.is_postal_code(at) {
                self.say(at, self.postal_end(at), Kind::ZipCode);
            } else if self.is_age(at) {
                self.say(at, at + 1, Kind::Age);
            }
        }
    }

    /// `50 years old`, `aged 50`, `age: 50`.
    fn is_age(&self, at: usize) -> bool {
        let is_small = self.tokens[at].text.parse::<u32>().is_ok_and(|age| (1..=120).contains(&age));
        let is_old = matches!(self.lower(at + 1), "year" | "years" | "yr" | "yrs" | "y")
            && matches!(self.lower(at + 2), "old" | "o" | "of");
        let before = if at > 0 && self.tokens[at - 1].text == ":" { at - 1 } else { at };
        let is_named = before > 0 && matches!(self.lower(before - 1), "age" | "aged" | "turned" | "turning" | "turns");
        is_small && (is_old || is_named || self.follows(at, &["age", "is"]) || self.follows(at, &["age", "of"]))
    }

    /// `Dr. Nielsen`: a title and a name.
    fn titles(&mut self) {
        for at in 0..self.tokens.len() {
            if !self.tokens[at].is(HONORIFIC) || !self.is_free(at) {
                continue;
            }
            let has_dot = self.token(at + 1).is_some_and(|t| t.text == ".") && self.gap(at).is_empty();
            let name = at + 1 + usize::from(has_dot);
            let is_written = self.is_capital(name) || has_dot && !self.is_capital(at);
            if !is_written || !self.is_same_line(name - 1) || !(self.is_capital(at) || has_dot) {
                continue;
            }
            let end = self.name_end(name, self.is_capital(name));
            if end > name {
                self.say(at, name, Kind::Title);
                self.say(name, end, Kind::Person);
            }
        }
    }

    /// `My name is …`, `call me …`, `Dear …`.
    fn introduced(&mut self) {
        const BEFORE: [&[&str]; 30] = [
            &["account", "holder"],
            &["my", "wife"],
            &["my", "husband"],
            &["my", "son"],
            &["my", "daughter"],
            &["written", "by"],
            &["signed", "by"],
            &["everyone", "calls", "me"],
            &["name", "is"],
            &["names", "is"],
            &["name", "'", "s"],
            &["name", ":"],
            &["name", "?"],
            &["name", "of"],
            &["name"],
            &["call", "me"],
            &["calls", "me"],
            &["called", "me"],
            &["calling", "me"],
            &["i", "am"],
            &["i'm"],
            &["this", "is"],
            &["named"],
            &["dear"],
            &["hi"],
            &["hello"],
            &["hi", ","],
            &["regards", ","],
            &["to", "meet"],
            &["signed"],
        ];
        for at in 1..self.tokens.len() {
            let Some(words) = BEFORE.iter().find(|words| self.follows(at, words)).filter(|_| self.is_free(at)) else {
                continue;
            };
            let is_name_word = words[0].starts_with("name") && words.len() > 1
                || matches!(words[0], "account" | "my" | "written" | "signed");
            // Without capitals only what surely speaks of a name.
            let needs_capital = self.has_capitals_beside(at) || !is_name_word;
            let end = self.name_end(at, needs_capital);
            self.say(at, end, Kind::Person);
        }
    }

    /// Whether names seem to be written with capitals: some word inside a sentence has one.
    fn has_capitals_beside(&self, at: usize) -> bool {
        self.is_capital(at) || self.has_inner_capitals
    }

    /// Countries, regions, large cities and nationalities by name; towns by the words before them.
    fn places(&mut self) {
        let mut at = 0;
        while at < self.tokens.len() {
            let end = self.place_end(at);
            match end {
                Some((end, kind)) if self.is_free(at) => {
                    self.say(at, end, kind);
                    at = end;
                }
                _ => at += 1,
            }
        }
    }

    fn place_end(&self, at: usize) -> Option<(usize, Kind)> {
        let token = &self.tokens[at];
        if let Some(end) = self.long_place_end(at).filter(|_| token.is_capital || !self.has_capitals) {
            return Some((end, Kind::Location));
        }
        if token.is(NATIONALITY) && !self.is_language(at) {
            return Some((at + 1, Kind::Nationality));
        }
        let is_named = token.is(COUNTRY | REGION | CITY) && (token.is_capital || token.is(COUNTRY) && !token.is(GIVEN));
        let is_part_of_name = token.is(GIVEN) && self.token(at + 1).is_some_and(Token::is_capital_name);
        let is_after_name =
            at > 0 && self.tokens[at - 1].is(GIVEN) && self.is_capital(at - 1) && self.gap(at - 1) == " ";
        if is_named && !is_part_of_name && !is_after_name {
            return Some((at + 1, Kind::Location));
        }
        if let Some(end) = self.town_end(at) {
            return Some((end, Kind::Location));
        }
        self.formed_town_end(at).map(|end| (end, Kind::Location))
    }

    /// A language or a cuisine rather than people: "in English".
    fn is_language(&self, at: usize) -> bool {
        at > 0
            && matches!(self.lower(at - 1), "in" | "speak" | "speaks" | "speaking" | "from" | "learn")
            && matches!(self.lower(at), "english" | "french" | "german" | "spanish" | "italian" | "dutch" | "greek")
    }

    fn long_place_end(&self, at: usize) -> Option<usize> {
        let token = self.tokens.get(at).filter(|token| token.is(LONG_FIRST))?;
        let rest = self.text.get(token.start..)?;
        let starts = |name: &&&str| {
            rest.get(..name.len()).is_some_and(|begin| begin.to_lowercase() == **name)
                && !rest[name.len()..].starts_with(char::is_alphanumeric)
        };
        let name = LONG_PLACES.iter().find(starts)?;
        let end = self.tokens[at].start + name.len();
        Some(at + self.tokens[at..].iter().take_while(|token| token.end <= end).count())
    }

    /// End of a town that begins at `at`, told by the word before it.
    fn town_end(&self, at: usize) -> Option<usize> {
        const BEFORE: [&str; 22] = [
            "in", "from", "near", "visit", "visited", "visiting", "toward", "towards", "via", "leaving", "reached",
            "where", "city", "town", "village", "location", "region", "outside", "around", "across", "lives",
            "country",
        ];
        const MOVES: [&str; 28] = [
            "been",
            "welcome",
            "arrived",
            "moved",
            "move",
            "moving",
            "went",
            "go",
            "going",
            "travel",
            "travelled",
            "traveled",
            "travelling",
            "traveling",
            "returned",
            "return",
            "fly",
            "flew",
            "flying",
            "drove",
            "drive",
            "trip",
            "back",
            "way",
            "flight",
            "ship",
            "relocated",
            "came",
        ];
        let before = at.checked_sub(1)?;
        let before = if self.tokens[before].text == ":" { before.checked_sub(1)? } else { before };
        const TRADES: [&str; 8] = ["bought", "buy", "purchased", "ordered", "received", "got", "email", "call"];
        let is_traded = (before.saturating_sub(3)..before).any(|i| TRADES.contains(&self.lower(i)));
        let is_after = BEFORE.contains(&self.lower(before)) && !(is_traded && self.lower(before) == "from");
        let is_moved = matches!(self.lower(before), "to" | "at" | "through" | "into" | "for")
            && (before.saturating_sub(2)..before).any(|i| MOVES.contains(&self.lower(i)));
        let is_range = self.lower(before) == "to"
            && self.found.last().is_some_and(|last| {
                last.kind == Kind::Location && before > 0 && last.end == self.tokens[before - 1].end
            });
        let is_moved = is_moved || is_range;
        let end = self.town_words_end(at);
        let is_person = self.tokens[at].is(GIVEN) && !is_moved && end > at + 1;
        let is_near = self.is_same_line(at - 1);
        let is_code = end == at + 1 && is_code_like(self.tokens[at].text);
        (is_near && (is_after || is_moved) && end > at && !is_code && !is_person && !self.has_firm_word(at, end))
            .then_some(end)
    }

    /// With what stands before and between the words of towns: `North Ebony`, `Ústí nad Labem 2`.
    fn town_words_end(&self, at: usize) -> usize {
        let name = if self.is_town_first(at) { self.after_town_first(at) } else { at };
        let mut end = self.name_end(name, true);
        if end == name {
            return at;
        }
        const JOINTS: [&str; 18] = [
            "nad", "pod", "u", "am", "an", "im", "bei", "ob", "pri", "sur", "sous", "upon", "on", "of", "och", "i",
            "på", "v",
        ];
        while end < at + 12 && JOINTS.contains(&self.lower(end)) && self.is_capital(end + 1) && self.gap(end - 1) == " "
        {
            let next = self.name_end(end + 1, true);
            if next == end + 1 {
                break;
            }
            end = next;
        }
        let is_district = self.token(end).is_some_and(|token| token.is_number && token.text.len() <= 2);
        end + usize::from(is_district && self.gap(end - 1) == " " && matches!(self.lower(end + 1), "" | "." | ","))
    }

    fn is_town_first(&self, at: usize) -> bool {
        const FIRSTS: [&str; 18] = [
            "new", "north", "south", "east", "west", "port", "lake", "st", "saint", "san", "santa", "los", "las", "el",
            "fort", "mount", "bad", "sankt",
        ];
        self.is_free(at) && self.is_capital(at) && FIRSTS.contains(&self.lower(at))
    }

    fn after_town_first(&self, at: usize) -> usize {
        at + 1 + usize::from(self.lower(at + 1) == "." && self.lower(at) == "st")
    }

    /// A town by how its name is made, wherever it stands.
    fn formed_town_end(&self, at: usize) -> Option<usize> {
        const ENDS: [&str; 30] = [
            "ville", "burg", "burgh", "town", "berg", "mouth", "shire", "stad", "stadt", "dorf", "borough", "heim",
            "hausen", "furt", "kirchen", "bury", "chester", "land", "bruck", "brück", "ovo", "grad", "haven", "hafen",
            "furth", "järvi", "joki", "køping", "köping", "view",
        ];
        let word = &self.tokens[at];
        let is_plain = word.is_capital_name() && !word.is(GIVEN | SURNAME) && self.is_free(at);
        let is_joined = at > 0 && (self.tokens[at - 1].is_capital_name() || self.tokens[at - 1].is(PARTICLE));
        let is_alone = !(is_joined && self.gap(at - 1) == " ");
        let is_formed = ENDS.iter().any(|end| word.lower.len() > end.len() + 2 && word.lower.ends_with(end))
            || ["-sur-", "-en-", "-la-", "-le-", "-lès-", "-am-"].iter().any(|part| word.lower.contains(part));
        let end = self.town_words_end(at);
        let is_first_formed = self.is_town_first(at) && end > at + 1 && !self.has_firm_word(at, end);
        let is_single = end == at + 1 && is_plain && is_formed && is_alone;
        (is_single || is_first_formed && is_alone).then_some(end)
    }

    fn has_firm_word(&self, from: usize, to: usize) -> bool {
        self.tokens[from..to].iter().any(|token| token.is(FIRM) && token.is_capital)
            || self.token(to).is_some_and(|token| token.is(FIRM) && token.is_capital)
    }

    /// `works for …`, `… Inc.`, `Hubbard-Thomas`.
    fn firms(&mut self) {
        const BEFORE: [&[&str]; 26] = [
            &["we", "at"],
            &["people", "at"],
            &["team", "at"],
            &["joined"],
            &["shares", "of"],
            &["company", ":"],
            &["employer", ":"],
            &["organization", ":"],
            &["work", "for"],
            &["work", "at"],
            &["works", "for"],
            &["works", "at"],
            &["worked", "for"],
            &["worked", "at"],
            &["working", "for"],
            &["working", "at"],
            &["employed", "by"],
            &["employed", "at"],
            &["company"],
            &["ceo", "of"],
            &["cto", "of"],
            &["founder", "of"],
            &["president", "of"],
            &["chairman", "of"],
            &["director", "of"],
            &["employees", "of"],
        ];
        let mut at = 0;
        while at < self.tokens.len() {
            let end = self.firm_words_end(at);
            let is_said = BEFORE.iter().any(|words| self.follows(at, words)) && self.is_capital(at);
            let is_said = is_said || self.is_behind_person(at) || self.are_partners(at, end);
            let has_word = end > at + 1 && self.tokens[at + 1..end].iter().any(|token| token.is(FIRM));
            let is_double = end == at + 1 && self.is_double_name(at);
            let is_verbed =
                end > at && self.is_firm_verb(end) && !self.tokens[at].is(GIVEN) && !self.is_person_like(at, end);
            if end > at && (is_said || has_word || is_double || is_verbed) {
                self.say(at, end, Kind::Organization);
                at = end;
            } else {
                at += 1;
            }
        }
    }

    /// `Miller, Cox and Sons`, `Kennedy and Sons`.
    fn are_partners(&self, from: usize, to: usize) -> bool {
        let has = |text: &str| (from..to).any(|i| self.lower(i) == text);
        has("and") && (has(",") || has("sons")) || has("&")
    }

    /// `Olga Petrova of Initech`, `Bob at Initech`: a person right before.
    fn is_behind_person(&self, at: usize) -> bool {
        let has_office = self.tokens[..at].iter().rev().take(6).any(|token| token.is_first && token.is(COMMON));
        at > 1
            && !has_office
            && matches!(self.lower(at - 1), "of" | "at" | "from")
            && self.is_capital(at)
            && self.tokens[at - 2].is_capital_name()
            && !self.tokens[at - 2].is_first
    }

    /// End of capitalised words with `and`, `&` and commas as firms of partners have them.
    fn firm_words_end(&self, at: usize) -> usize {
        let is_part = |i: usize| {
            self.is_free(i) && self.token(i).is_some_and(|t| t.is_capital && (t.is_name_like() || t.is(FIRM) && i > at))
        };
        let mut end = at;
        while is_part(end) && end < at + 6 {
            end += 1;
            if !self.is_same_line(end - 1) {
                break;
            }
            let joint = match self.lower(end) {
                "," if is_part(end + 1)
                    && self.token(end + 2).is_some_and(|t| matches!(t.lower.as_str(), "and" | "&")) =>
                {
                    1
                }
                "," if self.token(end + 1).is_some_and(|t| t.is(FIRM) && t.text.len() <= 4) => 1,
                "&" if is_part(end + 1) => 1,
                "and" if is_part(end + 1) && self.lower(end.saturating_sub(2)) == "," => 1,
                "and" if end > at && matches!(self.lower(end + 1), "sons" | "partners" | "co") => 1,
                _ => 0,
            };
            end += joint;
        }
        end
    }

    /// `Hubbard-Thomas`: two names in one word, as firms have it; not of first names.
    fn is_double_name(&self, at: usize) -> bool {
        let mut parts = self.tokens[at].text.split('-');
        let (Some(first), Some(second), None) = (parts.next(), parts.next(), parts.next()) else { return false };
        let is_alone = at == 0 || !self.tokens[at - 1].is_capital_name() || self.tokens[at - 1].is_first;
        second.starts_with(char::is_uppercase)
            && is_alone
            && kinds_of(&first.to_lowercase()) & GIVEN == 0
            && !self.token(at + 1).is_some_and(Token::is_capital_name)
    }

    /// What firms do and people rarely.
    fn is_firm_verb(&self, at: usize) -> bool {
        const VERBS: [&str; 14] = [
            "announced",
            "acquired",
            "invested",
            "launched",
            "merged",
            "manufactures",
            "produces",
            "employs",
            "hired",
            "develops",
            "sells",
            "operates",
            "specializes",
            "headquartered",
        ];
        let next = at + usize::from(matches!(self.lower(at), "has" | "is" | "was"));
        VERBS.contains(&self.lower(next))
            || self.lower(at) == "is"
                && matches!(self.lower(at + 1), "a" | "an")
                && matches!(
                    self.lower(at + 2),
                    "501" | "company" | "firm" | "nonprofit" | "leading" | "global" | "startup"
                )
    }

    fn is_person_like(&self, from: usize, to: usize) -> bool {
        self.tokens[from..to].iter().any(|token| token.is(GIVEN))
    }

    /// Capitalised words that are no words of the language: people, unless something says otherwise.
    fn capitals(&mut self) {
        let is_shouted = self.is_shouted();
        let mut at = 0;
        while at < self.tokens.len() {
            if self.is_lead_in(at) {
                at += 1;
                continue;
            }
            let end = if self.is_free(at) && !is_shouted { self.name_end(at, true) } else { at };
            if end > at && self.is_person(at, end) && !self.is_quoted(at, end) {
                self.say(at, end, Kind::Person);
            }
            at = end.max(at + 1);
        }
    }

    /// The first word of a sentence before a first name: `Mayor Jakob Novak`.
    fn is_lead_in(&self, at: usize) -> bool {
        let token = &self.tokens[at];
        let is_next = self.token(at + 1).is_some_and(|next| next.is_capital && next.is(GIVEN));
        token.is_first && is_next && self.gap(at) == " " && !token.is(GIVEN | SURNAME) && token.text.is_ascii()
    }

    /// Nearly all is in capitals, so that they say nothing.
    fn is_shouted(&self) -> bool {
        let words = || self.tokens.iter().filter(|token| token.is_word() && token.text.len() > 1);
        words().count() > 2 && words().filter(|token| is_upper(token.text)).count() * 5 > words().count() * 4
    }

    fn is_person(&self, from: usize, to: usize) -> bool {
        let words = &self.tokens[from..to];
        let first = &words[0];
        let is_known = first.is(GIVEN) || words.iter().any(|token| token.is(SURNAME) && !token.is(COMMON));
        if words.iter().all(|token| is_code_like(token.text)) || self.is_in_title(from, to) {
            return false;
        }
        if first.is_first && to == from + 1 {
            // A sentence begins with any word.
            let is_called = matches!(self.lower(to), "," | "") && !is_ending_of_words(&first.lower);
            return !first.is(COMMON) && (first.is(GIVEN) || self.is_human_verb(to) || is_called);
        }
        let is_word = is_upper(first.text) || is_ending_of_words(first.lower.trim_end_matches('s'));
        is_known || to > from + 1 || first.text.chars().count() > 2 && !is_word
    }

    /// What people do.
    fn is_human_verb(&self, at: usize) -> bool {
        const VERBS: [&str; 30] = [
            "joined", "married", "opened", "called", "bought", "died", "lives", "lived", "said", "says", "had", "has",
            "works", "worked", "grew", "was", "is", "told", "asked", "listed", "wrote", "went", "moved", "thinks",
            "wants", "and", "will", "knows", "'", "likes",
        ];
        self.is_same_line(at - 1) && VERBS.contains(&self.lower(at))
    }

    /// Between capitalised words of the language: a title of something.
    fn is_in_title(&self, from: usize, to: usize) -> bool {
        let is_title_word =
            |token: &Token<'_>| token.is_capital && token.is(COMMON) && !token.is_first && token.text.len() > 2;
        let before = from > 0 && is_title_word(&self.tokens[from - 1]) && self.gap(from - 1) == " ";
        let after = self.token(to).is_some_and(is_title_word) && self.gap(to - 1) == " ";
        (before || after) && !self.tokens[from].is(GIVEN)
    }

    /// Between quotes without a verb: a title.
    fn is_quoted(&self, from: usize, to: usize) -> bool {
        let is_quote = |at: usize| self.token(at).is_some_and(|t| matches!(t.text, "\"" | "“" | "”" | "«" | "»"));
        from > 0 && is_quote(from - 1) && is_quote(to)
    }

    /// First names in text without capitals.
    fn given_names(&mut self) {
        if self.has_inner_capitals {
            return;
        }
        for at in 0..self.tokens.len() {
            let token = &self.tokens[at];
            if !self.is_free(at) || !token.is(GIVEN) || token.is(COMMON | CALENDAR) || token.text.len() < 3 {
                continue;
            }
            let is_last = |i: usize| {
                self.is_free(i) && self.token(i).is_some_and(|t| t.is_name_like() && (!t.is(GIVEN) || t.is(SURNAME)))
            };
            let has_last = self.is_same_line(at) && is_last(at + 1) && self.gap(at) == " ";
            self.say(at, at + 1 + usize::from(has_last), Kind::Person);
        }
    }
}

fn is_street_type_end(lower: &str) -> bool {
    STREET_ENDS.iter().any(|end| lower.len() > end.len() + 2 && lower.ends_with(end))
        || matches!(lower, "útja" | "utca" | "tér")
}

/// Ends that words of the language have and names rarely.
fn is_ending_of_words(lower: &str) -> bool {
    const ENDS: [&str; 14] =
        ["ing", "ly", "ed", "s", "tion", "ment", "ness", "ful", "able", "ous", "ive", "ity", "ate", "wise"];
    ENDS.iter().any(|end| lower.ends_with(end))
}

fn is_upper(text: &str) -> bool {
    text.chars().all(|c| !c.is_lowercase())
}

/// An abbreviation or a name of code: `HTTP`, `IPv4`.
fn is_code_like(text: &str) -> bool {
    text.len() <= 4 && is_upper(text) || text.contains(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pii::find;

    fn found(text: &str) -> Vec<(&str, Kind)> {
        find(text).into_iter().map(|span| (&text[span.start..span.end], span.kind)).collect()
    }

    #[test]
    fn people_by_context_title_and_capitals() {
        assert_eq!(found("my name is olga dubovskaya"), [("olga dubovskaya", Kind::Person)]);
        assert_eq!(found("Ask Prof. Ó Súilleabháin."), [("Prof.", Kind::Title), ("Ó Súilleabháin", Kind::Person)]);
        assert_eq!(found("Yesterday Ludwig van Beethoven called."), [("Ludwig van Beethoven", Kind::Person)]);
        assert_eq!(found("Mireille lives in Quimper"), [("Mireille", Kind::Person), ("Quimper", Kind::Location)]);
        assert_eq!(found("the dog of maria was here"), [("maria", Kind::Person)]);
    }

    #[test]
    fn addresses_as_one_and_in_parts() {
        let text = "Ship it to 221b Baker Street, London NW1 6XE today";
        assert_eq!(found(text), [("221b Baker Street, London NW1 6XE", Kind::Address)]);
        let text = "The shop is at Hauptstrasse 5.";
        assert_eq!(found(text), [("Hauptstrasse 5", Kind::Address)]);
        let text = "He lives at 12 Elm Road, Springdale";
        assert_eq!(found(text), [("12 Elm Road", Kind::Address), ("Springdale", Kind::Location)]);
        assert_eq!(found("zip code 90210"), [("90210", Kind::ZipCode)]);
    }

    #[test]
    fn documents_ages_firms_and_nationalities() {
        assert_eq!(found("my driver's license is D1234567"), [("D1234567", Kind::DriverLicense)]);
        assert_eq!(found("passport no. 912803456"), [("912803456", Kind::Passport)]);
        assert_eq!(found("she is 34 years old and French"), [("34", Kind::Age), ("French", Kind::Nationality)]);
        assert_eq!(found("I work for Initech"), [("Initech", Kind::Organization)]);
        assert_eq!(found("We asked Umbrella Holdings."), [("Umbrella Holdings", Kind::Organization)]);
    }

    #[test]
    fn prose_without_personal_data_stays() {
        for text in [
            "",
            "How do I change my password? It does not work on Monday.",
            "WHERE IS MY MONEY NOW",
            "The Supreme Court and the European Union agreed on Tuesday in March.",
            "It took 12 minutes. Please try again.",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn any_text_is_taken() {
        for pattern in [
            "Ab ",
            "12 Abc ",
            "Dr. ",
            "12 Elm St, ",
            "-'",
            "\n1",
            "Ünï-",
            "name is ",
            "passport 123456 ",
            "a\u{301}",
            "ab ",
            "? ",
        ] {
            let text: String = pattern.chars().cycle().take(1 << 16).collect();
            let spans = find(&text);
            assert!(spans.windows(2).all(|pair| pair[0].end <= pair[1].start), "{pattern}");
            assert!(spans.iter().all(|s| text.get(s.start..s.end).is_some()), "{pattern}");
        }
    }
}
