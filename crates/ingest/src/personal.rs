//! Personal data in texts that are about to be stored.

use math::pii;

/// A text without personal data: what has a form of its own (mail addresses, phone, card and account numbers, and the
/// like) is replaced by its type; with `names` names of people, places and firms too, as far as rules find them.
pub fn without_personal_data(text: &str, names: bool) -> String {
    let mut spans = if names { pii::find(text) } else { pii::find_patterns(text) };
    // A day is no person; without days little would be left of most texts.
    spans.retain(|span| span.kind != pii::Kind::DateTime);
    pii::mask(text, &spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_data_is_masked_and_days_are_not() {
        assert_eq!(without_personal_data("write to ann@example.com", false), "write to <EMAIL_ADDRESS>");
        assert_eq!(without_personal_data("since 2026-11-28", false), "since 2026-11-28");
        let named = without_personal_data("my name is Ann Miller, I live in Boston", true);
        assert!(!named.contains("Miller") && named.contains("<PERSON>"), "{named}");
    }
}
