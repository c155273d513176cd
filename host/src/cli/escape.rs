//! Makes foreign text harmless for terminals: characters that a terminal would obey are shown instead.
use std::borrow::Cow;

/// Whether a terminal obeys the character, or a reader is misled by it (bidirectional controls).
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Escapes text for one line: line feeds are shown, too.
pub(super) fn line(text: &str) -> Cow<'_, str> {
    replaced(text, is_obeyed)
}

/// Escapes text of several lines.
pub(super) fn lines(text: &str) -> Cow<'_, str> {
    replaced(text, |c| c != '\n' && is_obeyed(c))
}

/// Escapes a line of a log: tabs stay, colours are removed, all other characters that a terminal would obey are shown.
pub(super) fn log_line(text: &str) -> Cow<'_, str> {
    let uncoloured = without_colours(text);
    match replaced(&uncoloured, |c| c != '\t' && is_obeyed(c)) {
        Cow::Borrowed(_) => uncoloured,
        Cow::Owned(shown) => Cow::Owned(shown),
    }
}

/// Escapes JSON: such characters can only be in strings, where `\u` escapes mean the same.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| !c.is_ascii() && is_obeyed(c) || c == '\u{7f}') {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\u{7f}' || !c.is_ascii() && is_obeyed(c) {
            // All these characters are in the basic multilingual plane, so one escape is enough.
            shown.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

fn replaced(text: &str, is_shown: impl Fn(char) -> bool) -> Cow<'_, str> {
    // The fast way for most text, which counts in a long list.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !text.contains(&is_shown) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_shown(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Removes "select graphic rendition" (ECMA-48 8.3.117): `ESC [ digits and semicolons m`.
fn without_colours(text: &str) -> Cow<'_, str> {
    if !text.contains("\u{1b}[") {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        let (before, sequence) = rest.split_at(at);
        kept.push_str(before);
        let parameters = &sequence[2..];
        let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(parameters.len());
        match parameters[end..].strip_prefix('m') {
            Some(after) => rest = after,
            None => {
                kept.push_str("\u{1b}[");
                rest = parameters;
            }
        }
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(line("a\u{1b}[2J\u{9b}b\n\u{202e}"), "a\\u{1b}[2J\\u{9b}b\\n\\u{202e}");
        assert_eq!(lines("a\nb\r"), "a\nb\\r");
        assert!(matches!(line("plain \u{e9}"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_log_loses_its_colours_and_nothing_else() {
        assert_eq!(log_line("\u{1b}[1;32mgreen\u{1b}[0m\tx"), "green\tx");
        assert_eq!(log_line("\u{1b}[2J\u{1b}]0;title\u{7}"), "\\u{1b}[2J\\u{1b}]0;title\\u{7}");
        assert_eq!(log_line("\u{1b}["), "\\u{1b}[");
    }

    #[test]
    fn escaped_json_has_the_same_meaning() {
        let value = "\u{9b}\u{202e}\u{7f}\u{1b}x";
        let text = serde_json::to_string(value).unwrap();
        let shown = json(&text);
        assert!(shown.is_ascii(), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), value);
    }
}
