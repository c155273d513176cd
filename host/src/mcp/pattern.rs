//! Patterns of the allow-list. Pure.
//!
//! A pattern is words, each for one word of what is asked for: SERVER first, then its arguments. In a word `*` stands for
//! letters, digits and a few signs, but for no separator: so it never stands for a space, a line, a path, or a letter that
//! looks like another one. A last word `...` stands for any further arguments.

/// The signs that `*` may stand for, beside letters and digits of ASCII.
const SIGNS: &[u8] = b"-._~+=:";
/// Stands for any further words.
const REST: &str = "...";

/// Whether the words are what the pattern allows. Each is taken as one word, whatever is in it.
pub(super) fn allows(pattern: &str, words: &[&str]) -> bool {
    let mut pattern: Vec<&str> = pattern.split(' ').filter(|word| !word.is_empty()).collect();
    let is_open = pattern.last() == Some(&REST);
    if is_open {
        pattern.pop();
    }
    let is_counted = if is_open { words.len() >= pattern.len() } else { words.len() == pattern.len() };
    !pattern.is_empty() && is_counted && pattern.iter().zip(words).all(|(pattern, word)| fits(pattern, word))
}

/// Whether one word fits. A wildcard at the beginning of a part stands for nothing that begins with a dash or a dot: that
/// might be an option, or lead elsewhere.
fn fits(pattern: &str, word: &str) -> bool {
    if !pattern.contains('*') {
        return pattern == word;
    }
    rest_fits(pattern.as_bytes(), word.as_bytes(), true)
}

fn rest_fits(pattern: &[u8], word: &[u8], begins_part: bool) -> bool {
    let Some((first, pattern_rest)) = pattern.split_first() else { return word.is_empty() };
    if *first != b'*' {
        return word.split_first().is_some_and(|(letter, rest)| {
            letter == first && rest_fits(pattern_rest, rest, matches!(letter, b'/' | b'@'))
        });
    }
    if begins_part && matches!(word.first(), Some(b'-' | b'.')) {
        return false;
    }
    let most =
        word.iter().take_while(|letter| letter.is_ascii_alphanumeric() || SIGNS.contains(letter)).count();
    (0..=most).any(|taken| rest_fits(pattern_rest, &word[taken..], begins_part && taken == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_for_whole_words() {
        for (pattern, words) in [
            ("uvx://mcp-server-time", &["uvx://mcp-server-time"][..]),
            ("uvx://mcp-server-time@*", &["uvx://mcp-server-time@1.2.3"]),
            ("npx://@scope/*", &["npx://@scope/server-files"]),
            ("npx://@scope/files /srv", &["npx://@scope/files", "/srv"]),
            ("uvx://git --repository *", &["uvx://git", "--repository", "wharf"]),
            ("uvx://git ...", &["uvx://git", "--anything", "; rm -rf /"]),
            ("uvx://git ...", &["uvx://git"]),
            ("ghcr.io/example/*:*", &["ghcr.io/example/time:1"]),
            ("demo-*/get_*", &["demo-1/get_time"]),
            ("*", &["time"]),
        ] {
            assert!(allows(pattern, words), "{pattern}: {words:?}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_not_allowed() {
        for (pattern, words) in [
            ("uvx://mcp-server-time", &["uvx://mcp-server-time; rm -rf /"][..]),
            ("uvx://mcp-server-time", &["uvx://mcp-server-time", "--evil"]),
            ("uvx://mcp-server-time", &["uvx://mcp-server-time\n"]),
            ("uvx://mcp-server-time", &["uvx://mcp-server-t\u{456}me"]),
            ("uvx://*", &["uvx://x; rm -rf"]),
            ("uvx://*", &["uvx://x\ny"]),
            ("uvx://*", &["uvx://--from"]),
            ("uvx://*", &["uvx://t\u{456}me"]),
            ("uvx://*", &["uvx://git+https://evil/x"]),
            ("npx://@scope/*", &["npx://@scope/../x"]),
            ("npx://@scope/*", &["npx://@scope/-x"]),
            ("npx://@scope/*", &["npx://@other/x"]),
            ("ghcr.io/example/*", &["ghcr.io/example/a/b"]),
            ("/opt/*", &["/opt/../bin/sh"]),
            ("time/*", &["time/a/b"]),
            ("uvx://git --repository *", &["uvx://git", "--repository", "/etc"]),
            ("uvx://git --repository *", &["uvx://git", "--repository"]),
            ("", &[]),
            ("...", &["sh"]),
            (" ", &[""]),
        ] {
            assert!(!allows(pattern, words), "{pattern}: {words:?}");
        }
    }
}
