//! The part of PromQL that names counters: a selector, alone or within `sum`, `rate` and `increase`.

use types::slo::{LabelMatcher, LabelOperator, Selector, whole_pattern};

/// What is read, for messages.
const READ: &str = "what is read is a selector such as requests_total{code=\"500\"}, alone or as rate(SELECTOR[5m]), \
                    increase(SELECTOR[5m]) or sum(…) of one of these";

/// A selector, and the range in brackets behind it, which says nothing about a running count.
#[derive(Debug, PartialEq)]
pub(super) struct Query {
    pub selector: Selector,
    pub range: Option<String>,
    /// Whether it is a rate or an increase, so that the selected must be a counter.
    pub is_rate: bool,
}

/// Reads a query. The error says what is wrong and what is read.
pub(super) fn parse(text: &str) -> Result<Query, String> {
    let mut rest = Rest(text);
    let query = rest.query(true).map_err(|what| format!("{what}; {READ}"))?;
    rest.skip();
    match rest.0 {
        "" => Ok(query),
        more => Err(format!("{:?} is not read; {READ}", short(more))),
    }
}

/// Whether a label's pattern is a regular expression.
fn check_pattern(pattern: &str) -> Result<(), String> {
    regex_lite::Regex::new(&whole_pattern(pattern)).map(|_| ()).map_err(|e| {
        let reason = e.to_string();
        format!("the pattern {:?} cannot be read: {}", short(pattern), reason.lines().last().unwrap_or_default())
    })
}

struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn skip(&mut self) {
        self.0 = self.0.trim_start();
    }

    fn take(&mut self, sign: char) -> bool {
        self.skip();
        let rest = self.0.strip_prefix(sign);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn need(&mut self, sign: char) -> Result<(), String> {
        if self.take(sign) {
            return Ok(());
        }
        Err(match self.0 {
            "" => format!("{sign:?} is missing at the end"),
            more => format!("{sign:?} is expected before {:?}", short(more)),
        })
    }

    /// A name of letters, digits, `_` and `:`; empty where there is none.
    fn name(&mut self) -> String {
        self.skip();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let end = self.0.find(|c| !is_part(c)).unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at(end);
        self.0 = rest;
        name.to_owned()
    }

    fn query(&mut self, may_sum: bool) -> Result<Query, String> {
        let before = self.0;
        let name = self.name();
        self.skip();
        match name.as_str() {
            "sum" if self.0.starts_with("by") || self.0.starts_with("without") => {
                Err("sum by and sum without are not read".to_owned())
            }
            "sum" if may_sum && self.take('(') => {
                let query = self.query(false)?;
                self.need(')')?;
                Ok(query)
            }
            "rate" | "increase" if self.take('(') => {
                let inner = self.name();
                let selector = self.selector(inner)?;
                let range = self.range()?;
                if range.is_none() {
                    return Err(format!("{name} needs a range such as [5m]"));
                }
                self.need(')')?;
                Ok(Query { selector, range, is_rate: true })
            }
            _ if self.0.starts_with('(') => {
                Err(format!("{}(…) is not read", short(before.split('(').next().unwrap_or(""))))
            }
            _ => {
                let selector = self.selector(name)?;
                let range = self.range()?;
                Ok(Query { selector, range, is_rate: false })
            }
        }
    }

    fn selector(&mut self, mut metric: String) -> Result<Selector, String> {
        if metric.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!("{metric:?} is no name of a metric"));
        }
        let mut matchers = Vec::new();
        if self.take('{') {
            while !self.take('}') {
                match self.condition()? {
                    (name, None) => named(&mut metric, name)?,
                    (label, Some((LabelOperator::Is, value))) if label == "__name__" => named(&mut metric, value)?,
                    (label, Some(_)) if label == "__name__" => {
                        return Err("__name__ can only be compared with =".to_owned());
                    }
                    (label, Some((operator, value))) => matchers.push(LabelMatcher { label, operator, value }),
                }
                if !self.take(',') {
                    self.need('}')?;
                    break;
                }
            }
        }
        match metric.is_empty() {
            true if self.0.is_empty() => Err("no metric is named".to_owned()),
            true => Err(format!("no metric is named before {:?}", short(self.0))),
            false => Ok(Selector { metric, matchers }),
        }
    }

    /// `label="value"`, or a metric's name in quotes.
    fn condition(&mut self) -> Result<(String, Option<(LabelOperator, String)>), String> {
        self.skip();
        let is_quoted = self.0.starts_with(['"', '\'', '`']);
        let label = if is_quoted { self.quoted()? } else { self.name() };
        if label.is_empty() {
            return Err(format!("a label is expected before {:?}", short(self.0)));
        }
        self.skip();
        let signs = [
            ("=~", LabelOperator::Fits),
            ("!~", LabelOperator::FitsNot),
            ("!=", LabelOperator::IsNot),
            ("=", LabelOperator::Is),
        ];
        let Some((sign, operator)) = signs.into_iter().find(|(sign, _)| self.0.starts_with(sign)) else {
            if is_quoted && self.0.starts_with([',', '}']) {
                return Ok((label, None));
            }
            return Err(format!("=, !=, =~ or !~ is expected after {:?}", short(&label)));
        };
        self.0 = &self.0[sign.len()..];
        self.skip();
        let value = self.quoted()?;
        if matches!(operator, LabelOperator::Fits | LabelOperator::FitsNot) {
            check_pattern(&value)?;
        }
        Ok((label, Some((operator, value))))
    }

    fn quoted(&mut self) -> Result<String, String> {
        let missing = || "a value in quotes is expected".to_owned();
        let quote = self.0.chars().next().filter(|c| matches!(c, '"' | '\'' | '`')).ok_or_else(missing)?;
        let mut value = String::new();
        let mut chars = self.0.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.0 = &self.0[at + c.len_utf8()..];
                    return Ok(value);
                }
                '\\' if quote != '`' => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, c @ ('\\' | '"' | '\''))) => value.push(c),
                    Some((_, c)) => return Err(format!("the escape \\{c} is not known; a backslash is written \\\\")),
                    None => break,
                },
                c => value.push(c),
            }
        }
        Err(format!("a quote is not closed: {:?}", short(self.0)))
    }

    fn range(&mut self) -> Result<Option<String>, String> {
        if !self.take('[') {
            return Ok(None);
        }
        let end = self.0.find(']').ok_or("the bracket [ is not closed")?;
        let range = self.0[..end].trim().to_owned();
        self.0 = &self.0[end + 1..];
        Ok(Some(range))
    }
}

fn named(metric: &mut String, name: String) -> Result<(), String> {
    if metric.is_empty() {
        *metric = name;
        return Ok(());
    }
    Err(format!("two metrics are named: {:?} and {:?}", short(metric), short(&name)))
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_alone_and_within_functions() {
        let shown = |text: &str| parse(text).map(|q| format!("{} {:?} {}", q.selector, q.range, q.is_rate));
        let all = [
            ("up", "up None false"),
            (" requests_total { code = \"500\" , } ", "requests_total{code=\"500\"} None false"),
            ("sum(rate(a:b_total{x!='1',y=~`5..`}[5m]))", "a:b_total{x!=\"1\",y=~\"5..\"} Some(\"5m\") true"),
            ("increase(a[1h])", "a Some(\"1h\") true"),
            ("sum(a{b!~\"c|d\"})", "a{b!~\"c|d\"} None false"),
            ("{__name__=\"a\", b=\"c\\\"d\"}", "a{b=\"c\\\"d\"} None false"),
            ("{\"http.requests\", \"http.code\"=\"500\"}", "http.requests{http.code=\"500\"} None false"),
            ("rate", "rate None false"),
        ];
        for (text, expected) in all {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_says_what_is_read() {
        let all = [
            ("", "no metric is named"),
            ("sum by (job) (rate(a[5m]))", "sum by"),
            ("sum(a) / sum(b)", "\"/ sum(b)\" is not read"),
            ("histogram_quantile(0.9, a)", "histogram_quantile(…) is not read"),
            ("sum(sum(a))", "sum(…) is not read"),
            ("rate(a)", "rate needs a range"),
            ("sum(rate(a[5m])", "')' is missing at the end"),
            ("a offset 5m", "\"offset 5m\" is not read"),
            ("a{b}", "=, !=, =~ or !~ is expected after \"b\""),
            ("a{b=c}", "a value in quotes is expected"),
            ("a{b=\"c}", "a quote is not closed"),
            ("a{b=~\"(\"}", "cannot be read"),
            ("a{__name__=\"b\"}", "two metrics are named"),
            ("{__name__=~\"b.*\"}", "__name__ can only be compared with ="),
            ("5xx", "no name of a metric"),
            ("a{b=\"\\d\"}", "the escape \\d is not known"),
            ("a[5m", "is not closed"),
        ];
        for (text, expected) in all {
            let said = parse(text).unwrap_err();
            assert!(said.contains(expected), "{text}: {said}");
        }
    }
}
