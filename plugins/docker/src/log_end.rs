//! The last lines of a log of which one stream alone is wanted, read from its end.
//!
//! An engine gives the last lines of both streams together. So it is asked for some, for more if too few of them are of the
//! wanted stream, and for all in the end. Where the log is followed, each part is asked for with its time: what is written
//! between the two questions is neither lost nor shown twice. The times stay where they are wanted ([`Stamps`]).
use crate::log_source::{Asked, Log};
use bollard::errors::Error;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, future, stream};
use jiff::Timestamp;
use std::{collections::VecDeque, pin::Pin};

/// How many lines of both streams are asked for at first, and how many times as many after that.
const FIRST: u64 = 256;
const MORE: u64 = 16;
/// How many are asked for at first where the log is followed: no more are written between both questions.
const FIRST_FOLLOWED: u64 = 4096;
/// If so many have too few of the wanted stream, the whole log is read.
const MOST: u64 = 1 << 20;
/// A longer line is cut, since a server may write without an end.
const MAX_LINE_BYTES: usize = 64 * 1024;

type Parts = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// The last lines, and what follows.
pub(crate) async fn read(log: Log, count: u64, follow: bool, stamps: Stamps) -> Result<Parts, Error> {
    let timestamps = follow || stamps.wanted;
    let first = if follow { FIRST_FOLLOWED } else { FIRST };
    let mut tail = Some(first.max(count.saturating_mul(2)));
    let end = loop {
        let asked = Asked { tail, timestamps, ..Asked::default() };
        let end = last(log.ask(asked), count, timestamps, stamps).await?;
        match tail {
            Some(lines) if (end.lines.len() as u64) < count => {
                tail = Some(lines.saturating_mul(MORE)).filter(|more| *more <= MOST);
            }
            _ => break end,
        }
    };
    let past = stream::iter(end.lines.into_iter().map(Ok));
    if !follow {
        return Ok(Box::pin(past));
    }
    let new = after(log.ask(Asked { follow, tail, timestamps: true }), end.until, end.at_until, stamps);
    Ok(Box::pin(past.chain(new)))
}

/// The parts after this time, and after so many of that time: Podman's times are whole seconds.
fn after(
    parts: impl Stream<Item = Result<Bytes, Error>> + Send,
    until: Option<Timestamp>,
    mut at_until: u64,
    mut stamps: Stamps,
) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    parts.try_filter_map(move |part| {
        let (time, text) = timed(part);
        let is_known = time < until || time == until && at_until > 0;
        if is_known && time == until {
            at_until -= 1;
        }
        future::ready(Ok((!is_known).then(|| stamps.show(time, text))))
    })
}

/// The parts since this time, in milliseconds after the epoch. A time of whole seconds, as Podman's are, may be later by up
/// to a second.
pub(crate) fn since(
    parts: impl Stream<Item = Result<Bytes, Error>> + Send,
    since_ms: u64,
    mut stamps: Stamps,
) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    let since_ms = i64::try_from(since_ms).unwrap_or(i64::MAX);
    let is_early = move |time: Timestamp| {
        let latest =
            if time.subsec_nanosecond() == 0 { time.as_millisecond() + 999 } else { time.as_millisecond() };
        latest < since_ms
    };
    parts.try_filter_map(move |part| {
        let (time, text) = timed(part);
        future::ready(Ok((!time.is_some_and(is_early)).then(|| stamps.show(time, text))))
    })
}

/// All parts, with their times.
pub(crate) fn stamped(
    parts: impl Stream<Item = Result<Bytes, Error>> + Send,
) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    let mut stamps = Stamps::new(true);
    parts.map_ok(move |part| {
        let (time, text) = timed(part);
        stamps.show(time, text)
    })
}

/// Puts the times before lines where they are wanted. Engines put one before each part, and a long line has several parts.
/// Podman's are those of its machine's zone; here all are in UTC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamps {
    wanted: bool,
    /// Whether the last part has not ended its line.
    in_line: bool,
}

impl Stamps {
    pub(crate) fn new(wanted: bool) -> Self {
        Self { wanted, in_line: false }
    }

    fn show(&mut self, time: Option<Timestamp>, text: Bytes) -> Bytes {
        if text.is_empty() {
            return text;
        }
        let begins = !std::mem::replace(&mut self.in_line, !text.ends_with(b"\n"));
        match time {
            Some(time) if self.wanted && begins => [format!("{time} ").as_bytes(), &text].concat().into(),
            _ => text,
        }
    }
}

/// The end of a log.
#[derive(Debug, Default)]
struct End {
    lines: VecDeque<Bytes>,
    /// The time of the last part; none if there is none, or if times were not asked for.
    until: Option<Timestamp>,
    /// How many parts have this time.
    at_until: u64,
}

/// The last lines; no more than these are held at a time.
async fn last(
    bytes: impl Stream<Item = Result<Bytes, Error>>,
    count: u64,
    timestamps: bool,
    mut stamps: Stamps,
) -> Result<End, Error> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut bytes = std::pin::pin!(bytes);
    let (mut end, mut begun) = (End::default(), Vec::new());
    while let Some(part) = bytes.try_next().await? {
        let part = if timestamps {
            let (time, text) = timed(part);
            end.at_until = if time == end.until { end.at_until + 1 } else { 1 };
            end.until = time;
            stamps.show(time, text)
        } else {
            part
        };
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            let room = MAX_LINE_BYTES.saturating_sub(begun.len());
            begun.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                if !begun.ends_with(b"\n") {
                    begun.push(b'\n');
                }
                end.lines.push_back(Bytes::from(std::mem::take(&mut begun)));
            }
            if end.lines.len() > count {
                end.lines.pop_front();
            }
        }
    }
    if !begun.is_empty() {
        end.lines.push_back(Bytes::from(begun));
    }
    while end.lines.len() > count {
        end.lines.pop_front();
    }
    Ok(end)
}

/// The time of a part, which stands before it, and the part without it.
fn timed(mut part: Bytes) -> (Option<Timestamp>, Bytes) {
    /// A longer word is no time.
    const MAX_TIME_BYTES: usize = 48;
    let word = part.iter().take(MAX_TIME_BYTES).position(|byte| *byte == b' ');
    let time = word.and_then(|end| std::str::from_utf8(&part[..end]).ok()?.parse().ok());
    if let (Some(_), Some(end)) = (time, word) {
        drop(part.split_to(end + 1));
    }
    (time, part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Stamps = Stamps { wanted: false, in_line: false };

    fn parts(texts: &[&'static str]) -> impl Stream<Item = Result<Bytes, Error>> + use<> {
        let parts: Vec<_> = texts.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))).collect();
        stream::iter(parts)
    }

    fn texts(lines: VecDeque<Bytes>) -> Vec<String> {
        lines.into_iter().map(|line| String::from_utf8(line.to_vec()).unwrap()).collect()
    }

    #[tokio::test]
    async fn the_last_lines_are_whole_however_they_come() {
        let lines = async |count| {
            texts(last(parts(&["one\ntw", "o\n", "thr", "ee"]), count, false, PLAIN).await.unwrap().lines)
        };
        assert_eq!(lines(2).await, ["two\n", "three"]);
        assert_eq!(lines(0).await, Vec::<String>::new());
        assert_eq!(lines(9).await.len(), 3);
    }

    #[tokio::test]
    async fn times_stand_before_parts_and_are_no_text() {
        let parts = parts(&[
            "2026-01-01T00:00:00.000000001Z one\n",
            "2026-01-01T01:00:00.5+01:00 two ",
            "2026-01-01T00:00:01Z 2\n",
        ]);
        let end = last(parts, 9, true, PLAIN).await.unwrap();
        assert_eq!(texts(end.lines), ["one\n", "two 2\n"]);
        assert_eq!(end.until, Some("2026-01-01T00:00:01Z".parse().unwrap()));
        assert_eq!(end.at_until, 1);
        let (time, text) = timed(Bytes::from_static(b"no time at all"));
        assert_eq!((time, text.as_ref()), (None, &b"no time at all"[..]));
    }

    #[tokio::test]
    async fn times_that_are_wanted_stand_before_lines_in_utc_and_not_before_each_part() {
        let texts_of = [
            "2026-01-01T01:00:00.5+01:00 long ",
            "2026-01-01T00:00:01Z line\n",
            "2026-01-01T00:00:02Z two\n",
        ];
        let wanted = "2026-01-01T00:00:00.5Z long line\n2026-01-01T00:00:02Z two\n";
        let all: Vec<Bytes> = stamped(parts(&texts_of)).try_collect().await.unwrap();
        assert_eq!(all.concat(), wanted.as_bytes());
        let end = last(parts(&texts_of), 9, true, Stamps::new(true)).await.unwrap();
        assert_eq!(texts(end.lines).concat(), wanted);
        let late: Vec<Bytes> =
            since(parts(&texts_of), 1_767_225_602_000, Stamps::new(true)).try_collect().await.unwrap();
        assert_eq!(late.concat(), b"2026-01-01T00:00:02Z two\n");
    }

    #[tokio::test]
    async fn what_follows_begins_after_the_end_even_within_one_second() {
        let known =
            ["2026-01-01T00:00:00Z one\n", "2026-01-01T00:00:01Z two\n", "2026-01-01T00:00:01Z three\n"];
        let end = last(parts(&known), 1, true, PLAIN).await.unwrap();
        assert_eq!((texts(end.lines.clone()), end.at_until), (vec!["three\n".to_owned()], 2));
        let later = [&known[..], &["2026-01-01T00:00:01Z four\n", "2026-01-01T00:00:02Z five\n"]].concat();
        let new: Vec<Bytes> =
            after(parts(&later), end.until, end.at_until, PLAIN).try_collect().await.unwrap();
        assert_eq!(new.concat(), b"four\nfive\n");
    }
}
