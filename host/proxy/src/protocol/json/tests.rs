use crate::protocol::json::strings::{SPECIAL, first_special};
use crate::protocol::json::{JsonError, Level, Scan};
use bytes::Bytes;

fn scan(text: impl AsRef<[u8]>) -> (Scan, Result<(), JsonError>) {
    crate::protocol::json::scan(&Bytes::copy_from_slice(text.as_ref()), 128)
}

fn compact(input: &str) -> Result<String, JsonError> {
    let (scan, result) = scan(input);
    result.map(|()| String::from_utf8(scan.text.into()).expect("output of UTF-8 is UTF-8"))
}

#[test]
fn whitespace_goes_outside_strings_only() {
    let input = "{ \"a b\" :\r\n[ 1 ,\t-2.5e+3, true,null ,\"x  y\"],\n\"\":{ } }  \r\n";
    assert_eq!(compact(input).unwrap(), r#"{"a b":[1,-2.5e+3,true,null,"x  y"],"":{}}"#);
}

#[test]
fn a_nested_message_on_its_own_line_stays_inside() {
    let evil = "{\"jsonrpc\":\"2.0\",\"params\":\n{\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n}";
    assert!(!compact(evil).unwrap().contains('\n'));
}

#[test]
fn separators_that_end_lines_elsewhere_are_escaped() {
    let input = "{\"\u{2028}k\":\"a\u{2028}b\u{2029}c\u{0085}d\u{00e9}\u{20ac}\"}";
    assert_eq!(compact(input).unwrap(), "{\"\\u2028k\":\"a\\u2028b\\u2029c\\u0085d\u{00e9}\u{20ac}\"}");
}

#[test]
fn the_scanner_accepts_and_refuses_the_same_texts_as_serde_json() {
    let texts = [
        "",
        " ",
        "{",
        "}",
        "[",
        "[]",
        "{}",
        "[1,]",
        "[,1]",
        "{\"a\":}",
        "{\"a\"}",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "-",
        "-0",
        "1.",
        ".5",
        "1e",
        "1e5",
        "1E-2",
        "tru",
        "true",
        "nul",
        "\"",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u1234\"",
        "\"\t\"",
        "\"a\nb\"",
        "[1 2]",
        "{\"a\":1 \"b\":2}",
        "1 2",
        "[[]]",
        "[{}]",
        "[}",
        "{]",
        "NaN",
        "Infinity",
        "'a'",
        "{\"a\":[{\"b\":{}}]}",
        "\u{feff}{}",
        "[1]]",
        "\"\\\"",
        "\"\\",
        "+1",
        "--1",
    ];
    for text in texts {
        let expected = serde_json::from_str::<serde_json::Value>(text).map(|value| value.to_string());
        assert_eq!(compact(text).is_ok(), expected.is_ok(), "{text:?}");
    }
}

#[test]
fn nested_json_is_refused_by_depth_without_recursion() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(compact(&deep(128)).is_ok());
    assert_eq!(compact(&deep(129)), Err(JsonError::Depth));
    assert_eq!(compact(&"[".repeat(1_000_000)), Err(JsonError::Depth));
    assert_eq!(scan([b'{', b'"', 0xff, b'"']).1, Err(JsonError::Encoding));
}

#[test]
fn members_of_the_message_params_and_meta_are_noted() {
    let input = r#" {"id" : 7,"params":{"name":"n","arguments":{"_meta":{"no":1}},"_meta": { "progressToken":"t" } },
        "result":{"_meta":{"no":2}}}"#;
    let (scan, result) = scan(input);
    assert_eq!(result, Ok(()));
    assert_eq!(scan.value(Level::Top, "id"), Some(&b"7"[..]));
    assert_eq!(scan.value(Level::Params, "name"), Some(&b"\"n\""[..]));
    assert_eq!(scan.value(Level::Meta, "progressToken"), Some(&b"\"t\""[..]));
    assert_eq!(scan.value(Level::Params, "_meta"), Some(&br#"{"progressToken":"t"}"#[..]));
    assert_eq!(scan.value(Level::Meta, "no"), None);
}

#[test]
fn a_key_is_known_by_what_it_says_and_not_by_how_it_is_written() {
    let (scan, result) = scan(r#"{ "m":1, "\u0070arams":{ "_met\u0061":{"k":2}},"\u0069d":3}"#);
    assert_eq!(result, Ok(()));
    assert_eq!(scan.value(Level::Top, "id"), Some(&b"3"[..]));
    assert_eq!(scan.value(Level::Meta, "k"), Some(&b"2"[..]));
}

#[test]
fn duplicate_keys_are_found_on_the_noted_levels() {
    let duplicate = |text: &str| scan(text).0.has_duplicate_keys();
    assert!(duplicate(r#"{"id":1,"id":2}"#));
    assert!(duplicate(r#"{"method":"a","\u006dethod":"b"}"#));
    assert!(duplicate(r#"{"params":{"name":1,"name":2}}"#));
    assert!(duplicate(r#"{"params":{"_meta":{"a":1,"a":2}}}"#));
    assert!(duplicate(r#"{"params":{},"params":{}}"#));
    assert!(!duplicate(r#"{"id":1,"params":{"id":1,"_meta":{"id":1},"arguments":{"a":1,"a":2}}}"#));
    let many = |last: &str| {
        let keys: Vec<String> = (0..40).map(|n| format!("\"k{n}\":0")).collect();
        format!("{{\"params\":{{{},\"{last}\":1}}}}", keys.join(","))
    };
    assert!(duplicate(&many("k7")) && !duplicate(&many("k40")));
}

#[test]
fn elements_of_a_batch_are_noted() {
    let (scan, result) = scan("[ {\"a\": [1, 2]} , 5,[[]] ]");
    assert_eq!(result, Ok(()));
    let elements: Vec<&[u8]> = scan.elements.iter().map(|range| &scan.text[range.clone()]).collect();
    assert_eq!(elements, [&b"{\"a\":[1,2]}"[..], b"5", b"[[]]"]);
}

#[test]
fn keys_that_were_noted_before_a_syntax_error_are_kept() {
    let (scan, result) = scan(r#"{"jsonrpc":"2.0","id":12,"result":{"x":NaN}}"#);
    assert_eq!(result, Err(JsonError::Syntax));
    assert_eq!(scan.value(Level::Top, "id"), Some(&b"12"[..]));
}

#[test]
fn a_special_byte_is_found_wherever_it_lies() {
    for length in [0, 1, 31, 32, 33, 64, 100] {
        assert_eq!(first_special(&vec![b'a'; length]), None);
        for at in 0..length {
            for byte in 0..=u8::MAX {
                let mut text = vec![b'a'; length];
                text[at] = byte;
                assert_eq!(first_special(&text), SPECIAL[byte as usize].then_some(at), "{byte} at {at}");
            }
        }
    }
}

#[test]
fn a_text_that_is_compact_is_not_copied() {
    let shares = |text: &str| {
        let source = Bytes::copy_from_slice(text.as_bytes());
        let (scan, result) = crate::protocol::json::scan(&source, 128);
        assert_eq!(result, Ok(()), "{text}");
        source.as_ptr_range().contains(&scan.text.as_ptr())
    };
    assert!(shares(r#"{"id":1,"params":{"a":[true,"\u0041"]}}"#));
    assert!(shares(" {\"id\":1}\r\n") && shares("[]\n"));
    assert!(!shares(r#"{"id": 1}"#) && !shares("[\"\u{2028}\"]"));
}

#[test]
fn a_text_with_more_members_than_are_noted_is_refused() {
    let of = |text: String| scan(text).1;
    let members = |count: usize| (0..count).map(|at| format!("\"{at}\":1")).collect::<Vec<_>>().join(",");
    assert_eq!(of(format!("{{{}}}", members(10_000))), Ok(()));
    assert_eq!(of(format!("{{{}}}", members(10_001))), Err(JsonError::Members));
    assert_eq!(of(format!("[{}1]", "1,".repeat(9_999))), Ok(()));
    assert_eq!(of(format!("[{}1]", "1,".repeat(10_000))), Err(JsonError::Members));
    let within = format!("{{\"params\":{{\"arguments\":{{{}}}}}}}", members(20_000));
    assert_eq!(of(within), Ok(()), "those of a payload are not noted");
}
