//! Personal data in text: where it stands, of which type, and the text without it.
//!
//! Idea: [`find_patterns`] looks for what is told by its form, most of it with check digits: mail addresses, payment
//! cards (Luhn), IBAN (remainder by 97), social security numbers, phone numbers, network addresses, hosts, dates.
//! [`find`] adds what only reading tells: names of people, addresses, places, firms, titles, ages and numbers of
//! documents, by the words before them ("my name is", "lives in", "Dr."), by how they are written (a capital where no
//! sentence begins and no known word stands) and by small lists of first names, surnames, countries and kinds of streets.
//! A rule rather than a model, so that each span can be explained and the same text gives the same spans.
//!
//! Cost: linear. Text with nothing to find goes through `find_patterns` at more than a hundred MB a second (one table
//! read a byte); `find` takes words apart, some MB a second. Where it fails: names that are words of the language, in
//! lower case or at the begin of a sentence; names of people, places and firms are told apart by context alone, so the
//! type may be wrong where the span is right; languages without capitals or without blanks; lines of logs, in whose
//! `CamelCase` names it sees people — use `find_patterns` there.
//!
//! Sources: ISO 13616 (IBAN); ISO/IEC 7812 (cards); Social Security Administration, "randomization" (numbers not given);
//! E.164 (phones). Types are named as Presidio does.

mod patterns;
mod prose;
mod words;

use serde::{Deserialize, Serialize};

/// What a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// Name of a person.
    Person,
    /// Street, number, postal code and what belongs to them.
    Address,
    /// Postal code alone.
    ZipCode,
    /// Country, region, town.
    Location,
    /// Nationality.
    Nationality,
    /// Firm or institution.
    Organization,
    /// Mr., Dr.
    Title,
    /// Age in years.
    Age,
    /// Date in figures, date of birth, date with time.
    DateTime,
    /// Mail address.
    Email,
    /// Phone number.
    Phone,
    /// Number of a payment card.
    CreditCard,
    /// Bank account.
    Iban,
    /// Social security number of the United States.
    UsSsn,
    /// Driver's licence.
    DriverLicense,
    /// Passport.
    Passport,
    /// Other numbers that states give to people.
    NationalId,
    /// Network address.
    IpAddress,
    /// URL or host.
    Domain,
}

/// Bytes `start..end` of a text; both lie between characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Byte behind the last.
    pub end: usize,
    /// What it is.
    pub kind: Kind,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 19] = [
        Kind::Person,
        Kind::Address,
        Kind::ZipCode,
        Kind::Location,
        Kind::Nationality,
        Kind::Organization,
        Kind::Title,
        Kind::Age,
        Kind::DateTime,
        Kind::Email,
        Kind::Phone,
        Kind::CreditCard,
        Kind::Iban,
        Kind::UsSsn,
        Kind::DriverLicense,
        Kind::Passport,
        Kind::NationalId,
        Kind::IpAddress,
        Kind::Domain,
    ];

    /// Its name, as Presidio has it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Person => "PERSON",
            Kind::Address => "ADDRESS",
            Kind::ZipCode => "ZIP_CODE",
            Kind::Location => "LOCATION",
            Kind::Nationality => "NRP",
            Kind::Organization => "ORGANIZATION",
            Kind::Title => "TITLE",
            Kind::Age => "AGE",
            Kind::DateTime => "DATE_TIME",
            Kind::Email => "EMAIL_ADDRESS",
            Kind::Phone => "PHONE_NUMBER",
            Kind::CreditCard => "CREDIT_CARD",
            Kind::Iban => "IBAN_CODE",
            Kind::UsSsn => "US_SSN",
            Kind::DriverLicense => "US_DRIVER_LICENSE",
            Kind::Passport => "US_PASSPORT",
            Kind::NationalId => "NATIONAL_ID",
            Kind::IpAddress => "IP_ADDRESS",
            Kind::Domain => "DOMAIN_NAME",
        }
    }
}

/// What is told by its form alone: in order, apart from each other. For telemetry as well as for prose.
pub fn find_patterns(text: &str) -> Vec<Span> {
    patterns::spans(text, false)
}

/// All personal data of a text that people wrote: in order, apart from each other.
pub fn find(text: &str) -> Vec<Span> {
    prose::spans(text, patterns::spans(text, true))
}

/// The text with `<PERSON>` and the like in place of the spans, which must be in order and apart from each other; one
/// that is not, or that cuts a character, is left out.
pub fn mask(text: &str, spans: &[Span]) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    for span in spans {
        let Some(before) = text.get(at..span.start).filter(|_| text.get(span.start..span.end).is_some()) else {
            continue;
        };
        masked.push_str(before);
        masked.push('<');
        masked.push_str(span.kind.name());
        masked.push('>');
        at = span.end;
    }
    masked.push_str(&text[at..]);
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking_keeps_the_type() {
        let text = "My name is Zoë Kovač, mail zoe@example.org";
        assert_eq!(mask(text, &find(text)), "My name is <PERSON>, mail <EMAIL_ADDRESS>");
        assert_eq!(mask(text, &find_patterns(text)), "My name is Zoë Kovač, mail <EMAIL_ADDRESS>");
        let wrong = [Span { start: 13, end: 14, kind: Kind::Age }, Span { start: 5, end: 99, kind: Kind::Age }];
        assert_eq!(mask(text, &wrong), text);
        for kind in Kind::ALL {
            assert!(!mask("x", &[Span { start: 0, end: 1, kind }]).contains('x'));
        }
    }
}
