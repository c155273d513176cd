//! [`Answers`]: the call that a line of the server would have answered which cannot be taken, as far as that can be seen in what
//! could be read of it. Asked by [`crate::stdio::upstream::reader`].
use crate::protocol::forgiven::own_id;
use crate::protocol::json;
use crate::protocol::json::{Level, Scan};
use crate::protocol::message::is_answer;

/// The call that a line which cannot be taken would have answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// It does not look like an answer.
    Nothing,
    /// This one.
    Call(u64),
    /// It is an answer, but its id cannot be read.
    Unknown,
    /// It answers nothing that was asked, and so a handshake is over.
    Stray,
}

/// True if a text is an array that has an element.
pub(crate) fn is_batch(scan: &Scan) -> bool {
    scan.text.first() == Some(&b'[') && !scan.elements.is_empty()
}

/// The call that a text would have answered where its scan broke off. Of a batch that is in the element that is not whole, and
/// nothing is known of those behind it.
pub(crate) fn answered(scan: &Scan, end: &[u8], depth: usize) -> Answers {
    if !is_batch(scan) {
        return answered_alone(scan, end);
    }
    let Some(broken) = scan.elements.last().filter(|element| element.is_empty()) else {
        return Answers::Nothing;
    };
    let (element, _) = json::scan(&scan.text.slice(broken.start..), depth);
    let has_version = || {
        let at_end = || end.windows(9).any(|part| part == b"\"jsonrpc\"");
        element.member(Level::Top, "jsonrpc").is_some() || at_end()
    };
    match answered_by_id(&element) {
        Some(answers) => answers,
        // Many logs begin their lines with a bracket. One SDK writes the version last.
        None if has_version() => Answers::Unknown,
        None => Answers::Nothing,
    }
}

/// The same of a text that is no batch.
pub(crate) fn answered_alone(scan: &Scan, end: &[u8]) -> Answers {
    // One SDK writes the id last.
    answered_by_id(scan).unwrap_or_else(|| id_at_end(end).map_or(Answers::Unknown, Answers::Call))
}

/// The call that an object answers; `None` if it has the looks of an answer, and no id could be read.
fn answered_by_id(scan: &Scan) -> Option<Answers> {
    // An id with which the text ends may go on behind it.
    let is_whole = scan.member(Level::Top, "id").is_some_and(|id| id.value.end < scan.text.len());
    if let Some(id) = scan.value(Level::Top, "id").filter(|_| is_whole && is_answer(scan)) {
        return Some(match own_id(id) {
            Some(id) => Answers::Call(id),
            None if id == b"null" => Answers::Unknown,
            None => Answers::Stray,
        });
    }
    let has = |name| scan.member(Level::Top, name).is_some();
    (has("method") || !(has("result") || has("error"))).then_some(Answers::Nothing)
}

/// The id in a line that ends with `"id":NUMBER}`, or with the number as text.
fn id_at_end(end: &[u8]) -> Option<u64> {
    let rest = end.trim_ascii_end().strip_suffix(b"}")?.trim_ascii_end();
    let written = rest.iter().rev().take_while(|byte| byte.is_ascii_digit() || **byte == b'"').count();
    let (rest, written) = rest.split_at(rest.len() - written);
    let rest = rest.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end().strip_suffix(b"\"id\"")?;
    if !matches!(rest.trim_ascii_end().last(), Some(b',' | b'{')) {
        return None;
    }
    own_id(written)
}

#[cfg(test)]
mod tests {
    use super::{Answers, answered, id_at_end};
    use crate::protocol::json;

    #[test]
    fn a_broken_batch_answers_what_its_broken_message_does() {
        for (line, end, expected) in [
            (r#"[{"jsonrpc":"2.0","id":1,"result":NaN}]"#, "", Answers::Call(1)),
            (r#" [ {"error" : {}, "id":1, "jsonrpc": "2.0""#, "", Answers::Call(1)),
            (
                r#"[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":2,"result":NaN}]"#,
                "",
                Answers::Call(2),
            ),
            (r#"[{"jsonrpc":"2.0","result":NaN}]"#, "", Answers::Unknown),
            (r#"[{"jsonrpc":"2.0","result":{},"id":1"#, "", Answers::Unknown),
            (r#"[{"result":{"text":"long"#, r#"..."},"jsonrpc":"2.0","id":1}]"#, Answers::Unknown),
            (r#"[{"jsonrpc":"2.0","method":"m","params":{"error":NaN}}]"#, "", Answers::Nothing),
            (r#"[{"jsonrpc":"2.0","method":"error"},"#, "", Answers::Nothing),
            (r#"[error] {"jsonrpc":"2.0","result":1}"#, "", Answers::Nothing),
            (r#"[{"level":"error","error":NaN}]"#, "", Answers::Nothing),
        ] {
            let (scan, result) = json::scan(&line.to_owned().into(), 128);
            assert!(result.is_err(), "{line}");
            assert_eq!(answered(&scan, end.as_bytes(), 128), expected, "{line}");
        }
    }

    #[test]
    fn an_id_that_stands_last_is_found() {
        assert_eq!(id_at_end(b"...}],\"jsonrpc\":\"2.0\",\"id\":17}"), Some(17));
        assert_eq!(id_at_end(b", \"id\" : 17 } \r"), Some(17));
        assert_eq!(id_at_end(b",\"id\":\"17\"}"), Some(17));
        for other in [
            &b"{\"id\":17}}"[..],
            b"\"id\":17",
            b",\"id\":}",
            b",\"id\":\"17}",
            b",\"uid\":17}",
            b"\\\"id\":17}",
            b",\"id\":99999999999999999999}",
            b"",
        ] {
            assert_eq!(id_at_end(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
