//! Text from telemetry on its way out: what it may hold, how long it may be, which links it may carry.

/// The longest link that is passed on.
const LINK_CHARS_MAX: usize = 2000;

/// The text in one line without what could hide or reorder it: control characters, overrides of the writing
/// direction, characters of no width, tags. Runs of white space become one space.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let space = c.is_whitespace();
        if space && !out.is_empty() && !out.ends_with(' ') {
            out.push(' ');
        }
        if !space && !is_hidden(c) {
            out.push(c);
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text cut to `units_max` units of UTF-16 (what the channels count; never more than characters would be), the
/// last one being `…` where something is missing.
pub fn cut(text: &str, units_max: usize) -> String {
    fit(text, units_max, |c, out| out.push(c))
}

/// As [`cut`], with `escape` writing each character; what counts is the length after escaping, and no escape is cut in
/// two.
pub fn fit(text: &str, units_max: usize, escape: impl Fn(char, &mut String)) -> String {
    let (mut out, mut used, mut room_for_mark) = (String::new(), 0, 0);
    for c in text.chars() {
        let start = out.len();
        escape(c, &mut out);
        used += out[start..].encode_utf16().count();
        if used > units_max {
            out.truncate(room_for_mark);
            if units_max > 0 {
                out.push('…');
            }
            return out;
        }
        if used < units_max {
            room_for_mark = out.len();
        }
    }
    out
}

/// The link, if it is an `http` or `https` address without a user's name, of usual length and plain characters.
pub fn link(text: &str) -> Option<String> {
    let plain = text.len() <= LINK_CHARS_MAX && text.chars().all(|c| c.is_ascii_graphic());
    let url = url::Url::parse(text).ok().filter(|_| plain)?;
    let http = matches!(url.scheme(), "http" | "https");
    (http && url.username().is_empty() && url.password().is_none()).then(|| url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_and_lines_go() {
        assert_eq!(clean("a\u{202e}b\u{0}c\u{1b}[31m\r\n\t d\u{200b}\u{feff}"), "abc[31m d");
        assert_eq!(clean("  \u{2028} "), "");
        assert_eq!(clean("grüße 😀 سلام"), "grüße 😀 سلام");
    }

    #[test]
    fn cuts_count_units_and_keep_escapes_whole() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("😀😀", 3), "😀…");
        assert_eq!(cut("abc", 0), "");
        let amp = |c: char, out: &mut String| if c == '&' { out.push_str("&amp;") } else { out.push(c) };
        assert_eq!(fit("a&b", 7, amp), "a&amp;b");
        assert_eq!(fit("a&&b", 7, amp), "a&amp;…");
        for length in 0..40 {
            let out = fit(&"a&😀".repeat(9), length, amp);
            assert!(out.encode_utf16().count() <= length, "{length} {out}");
            assert!(!out.ends_with("&am") && !out.ends_with("&a"), "{out}");
        }
    }

    #[test]
    fn only_plain_links_pass() {
        assert_eq!(link("https://ops.example.com/i/1").as_deref(), Some("https://ops.example.com/i/1"));
        assert!(link("http://127.0.0.1:7171/x").is_some());
        let long = format!("https://x/{}", "a".repeat(2000));
        let bad =
            ["javascript:alert(1)", "https://a@b/", "https://a:b@c/", "//x", "x", "", "https://x/\n", "https://x/ y"];
        for bad in
            bad.into_iter().chain([long.as_str(), "data:text/html,x", "file:///etc/passwd", "https://x/\u{202e}"])
        {
            assert_eq!(link(bad), None, "{bad}");
        }
    }
}
