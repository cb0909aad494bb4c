//! Conditions on labels, as silences and routes have them: `service=payments`, `alertname~Disk*`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One condition on one label. A label that is not there counts as empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Matcher {
    /// Name of the label.
    pub label: String,
    /// How the value is compared.
    pub operator: Operator,
    /// With what; in patterns `*` stands for any text.
    pub value: String,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// `=`
    Is,
    /// `!=`
    IsNot,
    /// `~`: a pattern with `*` for any text.
    Like,
    /// `!~`
    Unlike,
}

/// Longest label name and value of a condition.
const MOST_CHARS: usize = 300;
/// Most conditions of one rule.
const MOST_MATCHERS: usize = 20;

impl Matcher {
    /// Reads `label=value`, `label!=value`, `label~pattern` or `label!~pattern`. The error says what is wrong.
    pub fn parse(text: &str) -> Result<Matcher, String> {
        let text = text.trim();
        let shape = || format!("{text:?} is no condition: write label=value, label!=value, label~pat* or label!~pat*");
        let at = text.find(['=', '~', '!']).ok_or_else(shape)?;
        let (label, rest) = text.split_at(at);
        let operators = [("!=", Operator::IsNot), ("!~", Operator::Unlike), ("=", Operator::Is), ("~", Operator::Like)];
        let (sign, operator) = operators.into_iter().find(|(sign, _)| rest.starts_with(sign)).ok_or_else(shape)?;
        let (label, value) = (label.trim(), rest[sign.len()..].trim().trim_matches('"'));
        if label.is_empty() || label.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(shape());
        }
        if value.starts_with(['=', '~']) {
            return Err(format!("{text:?} has two operators; patterns are written label~pat*, with * for any text"));
        }
        if label.chars().count().max(value.chars().count()) > MOST_CHARS {
            return Err(format!("a condition is longer than {MOST_CHARS} characters"));
        }
        Ok(Matcher { label: label.to_owned(), operator, value: value.to_owned() })
    }

    /// Reads all conditions of a rule; there must be one to twenty.
    pub fn parse_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Matcher>, String> {
        let matchers: Vec<Matcher> = texts.into_iter().map(Matcher::parse).collect::<Result<_, _>>()?;
        match matchers.len() {
            0 => Err("no condition given: name at least one, e.g. service=payments".to_owned()),
            1..=MOST_MATCHERS => Ok(matchers),
            n => Err(format!("{n} conditions, more than {MOST_MATCHERS}")),
        }
    }

    /// Whether the label's value fits. `get` gives the value of a label.
    pub fn fits<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        let value = get(&self.label).unwrap_or("");
        match self.operator {
            Operator::Is => value == self.value,
            Operator::IsNot => value != self.value,
            Operator::Like => is_like(value, &self.value),
            Operator::Unlike => !is_like(value, &self.value),
        }
    }
}

impl std::fmt::Display for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = match self.operator {
            Operator::Is => "=",
            Operator::IsNot => "!=",
            Operator::Like => "~",
            Operator::Unlike => "!~",
        };
        write!(f, "{}{sign}{}", self.label, self.value)
    }
}

impl Serialize for Matcher {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Matcher {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Matcher, D::Error> {
        Matcher::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

/// Whether a text is as a pattern says, `*` standing for any text. Linear in the text for each star.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_and_written_the_same() {
        for text in ["service=payments", "severity!=info", "alertname~Disk*Full", "team!~*ops", "empty="] {
            assert_eq!(Matcher::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Matcher::parse(" service = \"pay ments\" ").unwrap().value, "pay ments");
        for bad in ["", "service", "=x", "a b=c", "!x", "service=~pay.*", "service=="] {
            assert!(Matcher::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Matcher::parse_all([]).unwrap_err().contains("no condition"));
        assert!(Matcher::parse_all(["a=b"; 21]).unwrap_err().contains("21"));
    }

    #[test]
    fn patterns_match_any_text_where_a_star_stands() {
        let fits = |text: &str, value: &str| Matcher::parse(text).unwrap().fits(|_| Some(value));
        assert!(fits("a~Disk*", "DiskFull") && fits("a~*Full", "DiskFull") && fits("a~D*k*l", "DiskFull"));
        assert!(!fits("a~Disk", "DiskFull") && !fits("a~*x*", "DiskFull") && fits("a!~*x*", "DiskFull"));
        assert!(fits("a~*", "") && !fits("a~ab*ba", "aba"), "the ends may not overlap");
        assert!(Matcher::parse("a!=b").unwrap().fits(|_| None), "what is not there is empty");
        assert!(Matcher::parse("a=").unwrap().fits(|_| None));
    }
}
