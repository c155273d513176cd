//! Texts of the cluster, as they are passed on to people.
//!
//! Situation: a message of the cluster is often somebody else's text: of a server in a pod (its last words), of an admission
//! webhook, of whoever may write events or annotations in the namespace. It may be long, and hold control characters, which a
//! terminal obeys. Conclusion: it is passed on as one line of bounded length, and each character that is not shown becomes
//! a replacement character.

/// The longest text that is passed on.
const MAX_CHARS: usize = 1000;
/// Stands for the rest of a text that was cut.
const CUT: char = '…';

/// A text of somebody else as one line that can be shown.
pub(crate) fn shown(text: &str) -> String {
    let words = text.split_whitespace().enumerate();
    let mut chars = words.flat_map(|(at, word)| (at > 0).then_some(' ').into_iter().chain(word.chars()));
    let shown = |c| if is_shown(c) { c } else { '\u{fffd}' };
    let mut line: String = chars.by_ref().take(MAX_CHARS).map(shown).collect();
    if chars.next().is_some() {
        line.push(CUT);
    }
    line
}

/// Whether a terminal shows a character, and does nothing else: control characters and those that change the direction of
/// writing are not shown.
fn is_shown(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_one_line_without_control_characters() {
        assert_eq!(shown("Back-off pulling\n\timage  \"x\"\r\n"), "Back-off pulling image \"x\"");
        assert_eq!(shown("\u{1b}[2J\u{1b}]0;owned\u{7}gone"), "\u{fffd}[2J\u{fffd}]0;owned\u{fffd}gone");
        assert_eq!(shown("a\u{202e}b\u{9b}c"), "a\u{fffd}b\u{fffd}c");
        assert_eq!(shown(""), "");
    }

    #[test]
    fn a_long_text_is_cut() {
        let cut = shown(&"x".repeat(MAX_CHARS * 1000));
        assert_eq!(cut.chars().count(), MAX_CHARS + 1);
        assert!(cut.ends_with("x…"));
        assert_eq!(shown(&"x".repeat(MAX_CHARS)), "x".repeat(MAX_CHARS));
    }
}
