//! Puts what others wrote into a text for a person to judge: whole, in one line a value, and with nothing that looks like
//! something else. Pure.

/// A word as it is: with quotes where it has more than plain letters, and everything that is not a visible letter of ASCII
/// by its number.
pub(super) fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", visible(text))
}

/// The same without quotes around it.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\'' | '\\' => shown.extend(['\\', c]),
            ' '..='~' => shown.push(c),
            other => shown.push_str(&format!("\\u{{{:x}}}", u32::from(other))),
        }
    }
    shown
}

/// A URL of a proxy without its secret part.
pub(super) fn without_secret(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    match rest.split('/').collect::<Vec<_>>().as_slice() {
        [authority, _, last] => format!("{scheme}://{authority}/…/{last}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_there_is() {
        for (given, shown) in [
            ("uvx://mcp-server-time", "uvx://mcp-server-time"),
            ("", "''"),
            ("x; rm -rf /", "'x; rm -rf /'"),
            ("a\nb", "'a\\u{a}b'"),
            ("it's", "'it\\'s'"),
            ("t\u{456}me", "'t\\u{456}me'"),
            ("\u{202e}gpj.sh", "'\\u{202e}gpj.sh'"),
        ] {
            assert_eq!(word(given), shown);
        }
    }

    #[test]
    fn a_url_is_told_without_its_secret() {
        assert_eq!(without_secret("http://127.0.0.1:7/5ec2e7/mcp"), "http://127.0.0.1:7/…/mcp");
        assert_eq!(without_secret("http://127.0.0.1:7/mcp"), "http://127.0.0.1:7/mcp");
        assert_eq!(without_secret(""), "");
    }
}
