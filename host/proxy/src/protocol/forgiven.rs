//! Small deviations of real senders that mean one thing only, read as what they mean: a byte order mark, a null member,
//! half a surrogate pair, our own integer as text. What could mean two things is refused as before.
use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use crate::protocol::json;
use crate::protocol::json::{Level, Scan};

/// U+FEFF, which some editors and runtimes write before a text. A reader may ignore it (RFC 8259, section 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The text without a byte order mark before it.
pub(crate) fn without_mark(text: &Bytes) -> Bytes {
    text.slice_ref(after_mark(text))
}

/// The same.
pub(crate) fn after_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// True if a text looks like UTF-16: a mark of either byte order, or a brace with a zero byte beside it.
pub(crate) fn is_utf16(text: &[u8]) -> bool {
    matches!(text, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [b'{' | b'[', 0, ..] | [0, b'{' | b'[', ..])
}

/// A message without the members at its top that are null and could as well be absent. Serializers that write every field of
/// a structure make them. `null` as the only result stays; `id` goes where a method shows that none was meant and
/// the server is the sender (a client that sends one is refused).
pub(crate) fn without_nulls(scan: Scan, is_server: bool) -> Scan {
    let is_null = |name: &str| scan.value(Level::Top, name) == Some(b"null");
    let has = |name: &str| scan.value(Level::Top, name).is_some_and(|value| value != b"null");
    let unwanted = |name: &str| match name {
        "error" | "method" | "params" => is_null(name),
        "result" => is_null(name) && has("error"),
        "id" => is_null(name) && is_server && has("method"),
        _ => false,
    };
    let all = ["error", "method", "params", "result", "id"];
    let unwanted: Vec<&str> = all.into_iter().filter(|name| unwanted(name)).collect();
    if unwanted.is_empty() {
        return scan;
    }
    let text = object_of(&scan, |name| if unwanted.contains(&name) { Member::Dropped } else { Member::Kept });
    // It was valid and not too deep before.
    json::scan(&text.into(), usize::MAX).0
}

/// What [`object_of`] does with a member.
pub(crate) enum Member {
    /// As it is.
    Kept,
    /// Left out.
    Dropped,
    /// With this value, which is JSON.
    Replaced(Vec<u8>),
}

/// The scanned object with some of its members changed; all others as the bytes that they are.
pub(crate) fn object_of(scan: &Scan, change: impl Fn(&str) -> Member) -> Vec<u8> {
    let mut out = b"{".to_vec();
    for member in scan.members.iter().filter(|member| member.level == Level::Top) {
        let value = match change(&scan.name(member)) {
            Member::Dropped => continue,
            Member::Kept => Cow::Borrowed(&scan.text[member.value.clone()]),
            Member::Replaced(value) => Cow::Owned(value),
        };
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(&scan.text[member.key.clone()]);
        out.push(b':');
        out.extend_from_slice(&value);
    }
    out.push(b'}');
    out
}

/// An id that we gave: our ids are integers of our own, so their digits as text, or with a fraction of zero, mean the same.
pub(crate) fn own_id(raw: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(raw).ok()?;
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let (digits, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_whole = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    let has_one_spelling = digits == "0" || !digits.starts_with(['0', '+']);
    digits.parse().ok().filter(|_| is_whole && has_one_spelling)
}

/// JSON as values, for what the proxy itself reads or shows. Half a surrogate pair, which is JSON and yet no text, becomes
/// U+FFFD there; what is passed on keeps it.
pub(crate) fn values(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).or_else(|_| serde_json::from_slice(&repaired(text))).ok()
}

/// Escapes of half a surrogate pair replaced by U+FFFD, which has the same length.
pub(crate) fn repaired(text: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Cow::Borrowed(text);
    let mut at = 0;
    while let Some(backslash) = text[at..].iter().position(|byte| *byte == b'\\').map(|found| at + found) {
        let (first, second) = (unit(text, backslash), unit(text, backslash + 6));
        at = backslash
            + match (first, second) {
                (None, _) => 2,
                (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
                (Some(0xD800..=0xDFFF), _) => {
                    out.to_mut()[backslash..backslash + 6].copy_from_slice(b"\\ufffd");
                    6
                }
                (Some(_), _) => 6,
            };
        if at > text.len() {
            break;
        }
    }
    out
}

/// The code unit of an escape `\uXXXX` that begins here.
fn unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::{Member, object_of, own_id, repaired, values, without_mark, without_nulls};
    use crate::protocol::json;

    fn nulls(text: &str, is_server: bool) -> String {
        let (scan, result) = json::scan(&text.to_owned().into(), 128);
        result.unwrap();
        String::from_utf8(without_nulls(scan, is_server).text.to_vec()).unwrap()
    }

    #[test]
    fn a_mark_before_a_text_is_left_out_and_one_within_it_stays() {
        assert_eq!(without_mark(&"\u{FEFF}{}".into()), "{}");
        assert_eq!(without_mark(&"{\"\u{FEFF}\":1}".into()), "{\"\u{FEFF}\":1}");
    }

    #[test]
    fn a_null_member_that_could_be_absent_is_absent() {
        assert_eq!(
            nulls(r#"{"id":1,"result":{"error":null},"error":null}"#, true),
            r#"{"id":1,"result":{"error":null}}"#
        );
        assert_eq!(nulls(r#"{"id":1,"result":null,"error":{}}"#, true), r#"{"id":1,"error":{}}"#);
        assert_eq!(
            nulls(r#"{"id":1,"method":null,"params":null,"result":1}"#, true),
            r#"{"id":1,"result":1}"#
        );
        assert_eq!(nulls(r#"{"id":null,"method":"m"}"#, true), r#"{"method":"m"}"#);
        for kept in
            [r#"{"id":1,"result":null}"#, r#"{"id":null,"error":{}}"#, r#"{"extra":null,"method":"m"}"#]
        {
            assert_eq!(nulls(kept, true), kept);
        }
        let of_client = r#"{"id":null,"method":"m"}"#;
        assert_eq!(nulls(of_client, false), of_client, "a client is told");
    }

    #[test]
    fn an_id_of_ours_is_known_as_text_and_as_a_number_with_a_fraction_of_zero() {
        for raw in ["17", "\"17\"", "17.0", "17.000"] {
            assert_eq!(own_id(raw.as_bytes()), Some(17), "{raw}");
        }
        assert_eq!(own_id(b"0"), Some(0));
        for raw in [
            "17.5",
            "17.",
            "\"017\"",
            "+17",
            "-17",
            "\"\"",
            "\"x\"",
            "1e1",
            "\"1",
            "99999999999999999999",
            "",
        ] {
            assert_eq!(own_id(raw.as_bytes()), None, "{raw}");
        }
    }

    #[test]
    fn half_a_pair_is_replaced_and_a_whole_one_is_not() {
        let repaired = |text: &str| String::from_utf8(repaired(text.as_bytes()).into_owned()).unwrap();
        assert_eq!(repaired(r#""\ud83d\ude00""#), r#""\ud83d\ude00""#);
        assert_eq!(repaired(r#""a\ud83d""#), r#""a\ufffd""#);
        assert_eq!(repaired(r#""\ude00\ud83d\u0041""#), r#""\ufffd\ufffd\u0041""#);
        assert_eq!(repaired(r#""\\ud83d""#), r#""\\ud83d""#, "a backslash, and then letters");
        assert_eq!(repaired(r#""\ud83"#), r#""\ud83"#, "no escape at all");
        assert_eq!(repaired("\\"), "\\");
        assert_eq!(values(br#"{"a":"\ud83d"}"#).unwrap()["a"], "\u{FFFD}");
        assert!(values(b"{").is_none());
    }

    #[test]
    fn an_object_is_changed_where_it_is_told_and_nowhere_else() {
        let (scan, _) = json::scan(&r#"{"a":1.50,"b":"\ud83d","c":{"a":2}}"#.to_owned().into(), 128);
        let changed = object_of(&scan, |name| match name {
            "a" => Member::Dropped,
            "c" => Member::Replaced(b"3".to_vec()),
            _ => Member::Kept,
        });
        assert_eq!(String::from_utf8(changed).unwrap(), r#"{"b":"\ud83d","c":3}"#);
    }
}
